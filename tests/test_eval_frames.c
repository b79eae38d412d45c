// Micro and macro AUC of whole test sets, their conventions, the constant-scorer floor and the
// tables.
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "core/memory.h"
#include "core/rng.h"
#include "eval/frame_eval.h"

enum { CLIPS = 12, FRAMES = 40 };

typedef struct test_set {
    float scores[CLIPS][FRAMES];
    uint8_t labels[CLIPS][FRAMES];
    char names[CLIPS][16];
    sac_eval_clip clips[CLIPS];
} test_set;

// Ped2's shape: twelve clips, the last four entirely abnormal.
static void make_set(test_set *set, uint64_t seed) {
    sac_rng rng;
    sac_rng_seed(&rng, seed, 0);
    for (int c = 0; c < CLIPS; c++) {
        snprintf(set->names[c], sizeof set->names[c], "Test%03d", c + 1);
        for (int t = 0; t < FRAMES; t++) {
            set->labels[c][t] = c >= 8 || t >= 10 + c;
            set->scores[c][t] = (float)(sac_rng_normal(&rng) + c + 0.8 * set->labels[c][t]);
        }
        set->clips[c] = (sac_eval_clip){set->names[c], set->scores[c], set->labels[c], FRAMES};
    }
}

Test(eval_frames, constant_scorer_floor_of_ped2) {
    test_set set;
    make_set(&set, 1);
    for (int c = 0; c < CLIPS; c++)
        for (int t = 0; t < FRAMES; t++) set.scores[c][t] = 0.25F;
    for (int kind = SAC_SMOOTHING_NONE; kind <= SAC_SMOOTHING_PAPER; kind++)
        for (int minmax = 0; minmax < 2; minmax++)
            for (int count = 0; count < 2; count++) {
                const sac_eval_options options = {.smoothing = {.kind = (sac_smoothing)kind},
                                                  .video_minmax = minmax == 1,
                                                  .count_one_class = count == 1};
                const double floor = count == 1 ? 8.0 / 12.0 : 0.5;
                sac_eval_result result;
                cr_assert_eq(sac_eval_frames(&result, set.clips, CLIPS, &options, NULL), SAC_OK);
                cr_assert_eq(result.micro, 0.5);
                cr_assert_eq(result.constant_micro, 0.5);
                cr_assert_float_eq(result.macro, floor, 1e-15);
                cr_assert_float_eq(result.constant_macro, floor, 1e-15);
                cr_assert_eq(result.one_class_clips, 4);
                sac_eval_result_close(&result);
            }
}

Test(eval_frames, equals_the_metrics_put_together_by_hand) {
    test_set set;
    make_set(&set, 2);
    const test_set before = set;
    const sac_eval_options options = {.smoothing = {.kind = SAC_SMOOTHING_CAUSAL}};
    sac_eval_result result;
    cr_assert_eq(sac_eval_frames(&result, set.clips, CLIPS, &options, NULL), SAC_OK);
    cr_assert_eq(memcmp(before.scores, set.scores, sizeof set.scores), 0, "scores changed");
    float all[CLIPS * FRAMES];
    uint8_t labels[CLIPS * FRAMES];
    double sum = 0.0, micro;
    int64_t abnormal = 0;
    for (int c = 0; c < CLIPS; c++) {
        double auc;
        cr_assert_eq(sac_smooth(all + c * FRAMES, set.scores[c], FRAMES, &options.smoothing),
                     SAC_OK);
        memcpy(labels + c * FRAMES, set.labels[c], FRAMES);
        cr_assert_eq(sac_auc(&auc, all + c * FRAMES, set.labels[c], FRAMES, NULL), SAC_OK);
        cr_assert_str_eq(result.rows[c].name, set.names[c]);
        cr_assert_eq(result.rows[c].frames, FRAMES);
        cr_assert_eq(isnan(auc), c >= 8);
        if (c < 8) {
            cr_assert_eq(result.rows[c].auc, auc);
            sum += auc;
        } else {
            cr_assert(isnan(result.rows[c].auc));
        }
        for (int t = 0; t < FRAMES; t++) abnormal += set.labels[c][t];
    }
    cr_assert_eq(sac_auc(&micro, all, labels, CLIPS * FRAMES, NULL), SAC_OK);
    cr_assert_eq(result.micro, micro);
    cr_assert_float_eq(result.macro, sum / 8.0, 1e-15);
    cr_assert_eq(result.frames, CLIPS * FRAMES);
    cr_assert_eq(result.abnormal, abnormal);
    cr_assert_eq(result.clips, CLIPS);
    sac_eval_result_close(&result);
    cr_assert_null(result.rows);
    sac_eval_result_close(NULL);
}

Test(eval_frames, video_minmax_removes_offsets_between_clips) {
    test_set set;
    make_set(&set, 3);
    for (int c = 0; c < CLIPS; c++)
        for (int t = 0; t < FRAMES; t++)
            set.scores[c][t] = 100.0F * (float)(CLIPS - c) + (float)set.labels[c][t];
    sac_eval_options options = {0};
    sac_eval_result plain, scaled;
    cr_assert_eq(sac_eval_frames(&plain, set.clips, 8, &options, NULL), SAC_OK);
    options.video_minmax = true;
    cr_assert_eq(sac_eval_frames(&scaled, set.clips, 8, &options, NULL), SAC_OK);
    cr_assert_eq(plain.macro, 1.0);
    cr_assert_eq(scaled.macro, 1.0);
    cr_assert_eq(scaled.micro, 1.0);
    cr_assert_lt(plain.micro, 0.8);
    sac_eval_result_close(&plain);
    sac_eval_result_close(&scaled);
    // The largest finite scores do not overflow the range.
    float extreme[] = {-3e38F, 3e38F};
    const uint8_t labels[] = {0, 1};
    const sac_eval_clip clip = {"wide", extreme, labels, 2};
    cr_assert_eq(sac_eval_frames(&scaled, &clip, 1, &options, NULL), SAC_OK);
    cr_assert_eq(scaled.micro, 1.0);
    sac_eval_result_close(&scaled);
}

Test(eval_frames, one_class_everywhere_is_undefined) {
    test_set set;
    make_set(&set, 4);
    sac_eval_options options = {0};
    sac_eval_result result;
    cr_assert_eq(sac_eval_frames(&result, set.clips + 8, 4, &options, NULL), SAC_OK);
    cr_assert(isnan(result.micro) && isnan(result.macro) && isnan(result.constant_macro));
    char *text = sac_eval_to_markdown(&result, &options);
    cr_assert_not_null(strstr(text, "| micro | 160 | 160 | - |"), "%s", text);
    sac_free(text);
    json_t *json = sac_eval_to_json(&result, &options);
    cr_assert(json_is_null(json_object_get(json, "micro")));
    json_decref(json);
    sac_eval_result_close(&result);
    options.count_one_class = true;
    cr_assert_eq(sac_eval_frames(&result, set.clips + 8, 4, &options, NULL), SAC_OK);
    cr_assert_eq(result.macro, 1.0);
    sac_eval_result_close(&result);
}

Test(eval_frames, errors_name_the_clip_and_the_frame) {
    test_set set;
    const sac_eval_options options = {0};
    sac_eval_result result;
    sac_error error = {0};
    make_set(&set, 5);
    set.scores[6][17] = NAN;
    cr_assert_eq(sac_eval_frames(&result, set.clips, CLIPS, &options, &error), SAC_ERROR_NUMERIC);
    cr_assert_not_null(strstr(error.message, "Test007"));
    cr_assert_not_null(strstr(error.message, "frame 17"));
    cr_assert_null(result.rows);

    make_set(&set, 5);
    set.labels[3][2] = 9;
    error = (sac_error){0};
    cr_assert_eq(sac_eval_frames(&result, set.clips, CLIPS, &options, &error), SAC_ERROR_ARGUMENT);
    cr_assert_not_null(strstr(error.message, "Test004"));

    make_set(&set, 5);
    set.clips[2].frames = 0;
    error = (sac_error){0};
    cr_assert_eq(sac_eval_frames(&result, set.clips, CLIPS, &options, &error), SAC_ERROR_ARGUMENT);
    cr_assert_not_null(strstr(error.message, "Test003"));

    const sac_eval_options even = {.smoothing = {.kind = SAC_SMOOTHING_LIGHT, .taps = 4}};
    make_set(&set, 5);
    error = (sac_error){0};
    cr_assert_eq(sac_eval_frames(&result, set.clips, CLIPS, &even, &error), SAC_ERROR_ARGUMENT);
    cr_assert_not_null(strstr(error.message, "odd"));
    cr_assert_eq(sac_eval_frames(&result, NULL, 1, &options, NULL), SAC_ERROR_ARGUMENT);
    cr_assert_eq(sac_eval_frames(&result, set.clips, 0, &options, NULL), SAC_ERROR_ARGUMENT);
    cr_assert_eq(sac_eval_frames(&result, set.clips, 1, NULL, NULL), SAC_ERROR_ARGUMENT);
    cr_assert_eq(sac_eval_frames(NULL, set.clips, 1, &options, NULL), SAC_ERROR_ARGUMENT);
    cr_assert_null(sac_eval_convention(&even));
}

Test(eval_frames, every_lack_of_memory_is_reported_once) {
    test_set set;
    make_set(&set, 6);
    const sac_eval_options options = {.smoothing = {.kind = SAC_SMOOTHING_LIGHT}};
    bool finished = false;
    for (int64_t successes = 0; successes < 200 && !finished; successes++) {
        sac_eval_result result;
        sac_memory_fail_after(successes);
        const sac_status status = sac_eval_frames(&result, set.clips, CLIPS, &options, NULL);
        sac_memory_fail_after(-1);
        finished = status == SAC_OK;
        if (!finished) cr_assert_eq(status, SAC_ERROR_MEMORY);
        sac_eval_result_close(&result);
    }
    cr_assert(finished);
}

Test(eval_frames, convention_in_words) {
    const sac_eval_options options = {.smoothing = {.kind = SAC_SMOOTHING_CAUSAL}};
    char *text = sac_eval_convention(&options);
    cr_assert_str_eq(text, "causal smoothing (sigma 4, 13 taps), no per-video min-max, "
                           "one-class clips skipped");
    sac_free(text);
    const sac_eval_options other = {.video_minmax = true, .count_one_class = true};
    text = sac_eval_convention(&other);
    cr_assert_str_eq(text, "no smoothing, per-video min-max, one-class clips counted as 1");
    sac_free(text);
}

Test(eval_frames, tables_hold_the_numbers) {
    test_set set;
    make_set(&set, 7);
    snprintf(set.names[1], sizeof set.names[1], "a|b\n");
    const sac_eval_options options = {.smoothing = {.kind = SAC_SMOOTHING_PAPER}};
    sac_eval_result result;
    cr_assert_eq(sac_eval_frames(&result, set.clips, CLIPS, &options, NULL), SAC_OK);
    char *text = sac_eval_to_markdown(&result, &options);
    cr_assert_not_null(strstr(text, "paper smoothing (sigma 20, 49 taps)"));
    cr_assert_not_null(strstr(text, "| a\\|b? | 40 | 29 |"), "%s", text);
    cr_assert_not_null(strstr(text, "| Test012 | 40 | 40 | - |"), "%s", text);
    cr_assert_not_null(strstr(text, "| constant scorer, macro | 480 | 372 | 50.00 |"), "%s", text);
    cr_assert_not_null(strstr(text, "Of 12 clips, 4 with one class only"), "%s", text);
    sac_free(text);
    json_t *json = sac_eval_to_json(&result, &options);
    cr_assert_eq(json_real_value(json_object_get(json, "micro")), result.micro);
    cr_assert_eq(json_real_value(json_object_get(json, "macro")), result.macro);
    cr_assert_eq(json_integer_value(json_object_get(json, "taps")), 49);
    json_t *rows = json_object_get(json, "clips");
    cr_assert_eq(json_array_size(rows), CLIPS);
    cr_assert_str_eq(json_string_value(json_object_get(json_array_get(rows, 0), "name")),
                     "Test001");
    cr_assert(json_is_null(json_object_get(json_array_get(rows, 11), "auc")));
    json_decref(json);
    sac_eval_result_close(&result);
}
