// Speed rounds on a freshly initialised model and a small encoded clip: the numbers are consistent
// with each other, bad options are refused, and student-bench run writes the promised keys.
#include <criterion/criterion.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "bench/scores.h"
#include "bench/speed.h"
#include "bench/synthetic.h"
#include "core/file.h"
#include "core/memory.h"
#include "core/rng.h"
#include "helper.h"
#include "student/model.h"

static const char *model_path(void) {
    const char *path = sac_test_path("model.safetensors");
    sac_model *model = NULL;
    sac_error error = {0};
    sac_preprocess preprocess = sac_preprocess_default();
    preprocess.width = 96;
    preprocess.height = 64;
    sac_assert_ok(sac_model_create(&model, "tiny-m", &preprocess, &error), &error);
    sac_rng rng;
    sac_rng_seed(&rng, 5, 0);
    sac_params_init(model->params, &rng);
    sac_assert_ok(sac_model_save(model, path, &error), &error);
    sac_model_close(&model);
    return path;
}

static const char *clip_path(int64_t frames) {
    const char *path = sac_test_path("clip.mp4");
    const sac_synthetic_clip clip = {.width = 96, .height = 64, .frames = frames, .seed = 3};
    sac_error error = {0};
    sac_assert_ok(sac_synthetic_clip_write(path, &clip, NULL, NULL, &error), &error);
    return path;
}

static void check_stat(const sac_speed_stat *stat, int repeats) {
    double lowest = INFINITY, highest = 0.0;
    for (int i = 0; i < repeats; i++) {
        cr_assert(isfinite(stat->rounds[i]) && stat->rounds[i] > 0.0);
        lowest = fmin(lowest, stat->rounds[i]);
        highest = fmax(highest, stat->rounds[i]);
    }
    cr_assert(stat->fps >= lowest && stat->fps <= highest);
    cr_assert(stat->p50_ms <= stat->p90_ms && stat->p90_ms <= stat->p99_ms);
    cr_assert_gt(stat->frames, 0);
}

Test(bench_speed, rounds_are_consistent) {
    sac_speed_options options = sac_speed_default_options();
    char model[600], clip[600];
    snprintf(model, sizeof model, "%s", model_path());
    // Few frames and enough time for a pass over them also where other work slows everything down.
    snprintf(clip, sizeof clip, "%s", clip_path(8));
    options.model = model;
    options.source = clip;
    options.repeats = 3;
    options.seconds = 0.1;
    sac_speed_result result;
    sac_error error = {0};
    sac_assert_ok(sac_speed_measure(&result, &options, &error), &error);
    cr_assert_eq(result.run_count, 2);
    for (int r = 0; r < 2; r++) {
        const sac_speed_run *run = &result.runs[r];
        cr_assert_eq(run->threads, r + 1);
        check_stat(&run->student_alone, 3);
        check_stat(&run->in_sequence, 3);
        check_stat(&run->decode_only, 3);
        cr_assert(run->matmul.fps > 0 && run->matmul_int8.fps > 0);
        cr_assert_eq(run->memory.rounds != NULL, r == 0);
        if (r == 0) {
            cr_assert_null(run->pipelined.rounds);
            cr_assert(isnan(run->pipelined.fps));
            cr_assert_eq(sac_speed_file_to_score(run), &run->in_sequence);
        } else {
            check_stat(&run->pipelined, 3);
            check_stat(&run->student_pool, 3);
            check_stat(&run->student_workers, 3);
            check_stat(&run->files, 3);
            check_stat(&run->decode_files, 3);
            cr_assert_geq(sac_speed_alone(run)->fps, run->student_pool.fps);
        }
    }
    cr_assert_eq(result.input_width, 96);
    cr_assert_eq(result.source_frames, 8);
    cr_assert_str_eq(result.arch, "tiny-m");
    cr_assert_eq(result.precision, SAC_PRECISION_F32);
    cr_assert_str_neq(result.machine.isa, "unknown");
    char *text = sac_speed_markdown(&result);
    cr_assert_not_null(strstr(text, "| 2 | file to score, pipelined |"), "%s", text);
    sac_free(text);
    sac_speed_result_close(&result);
}

static int stop_at_once(void *user, int64_t done, int64_t total) {
    (void)user;
    return done <= total;
}

Test(bench_speed, refuses_and_stops) {
    sac_speed_options options = sac_speed_default_options();
    sac_speed_result result;
    sac_error error = {0};
    cr_assert_eq(sac_speed_measure(&result, &options, NULL), SAC_ERROR_ARGUMENT);
    char model[600], clip[600];
    snprintf(model, sizeof model, "%s", model_path());
    snprintf(clip, sizeof clip, "%s", clip_path(12));
    options.model = model;
    options.source = "/nonexistent.mp4";
    options.seconds = 0.01;
    sac_assert_error(sac_speed_measure(&result, &options, &error), SAC_ERROR_IO, &error,
                     "/nonexistent.mp4", NULL);
    options.source = clip;
    options.model = "/nonexistent.safetensors";
    error = (sac_error){0};
    sac_assert_error(sac_speed_measure(&result, &options, &error), SAC_ERROR_IO, &error,
                     "/nonexistent.safetensors", NULL);
    options.model = model;
    options.repeats = 0;
    cr_assert_eq(sac_speed_measure(&result, &options, NULL), SAC_ERROR_ARGUMENT);
    options.repeats = 1;
    options.seconds = (double)NAN;
    cr_assert_eq(sac_speed_measure(&result, &options, NULL), SAC_ERROR_ARGUMENT);
    options.seconds = 0.01;
    options.threads[1] = 0;
    cr_assert_eq(sac_speed_measure(&result, &options, NULL), SAC_ERROR_ARGUMENT);
    options.threads[1] = 2;
    options.progress = stop_at_once;
    error = (sac_error){0};
    sac_assert_error(sac_speed_measure(&result, &options, &error), SAC_ERROR_INTERRUPTED, &error,
                     NULL);
    cr_assert_null(result.runs[0].student_alone.rounds);
}

Test(bench_speed, model_scores_of_a_clip) {
    char name[] = "Test001", source[600];
    uint8_t labels[12] = {0};
    snprintf(source, sizeof source, "%s", clip_path(12));
    const sac_clip clip = {
        .name = name, .source = source, .frames = 12, .labels = labels, .test = true};
    const sac_clip *chosen[] = {&clip};
    sac_clip_selection selection = {.clips = chosen, .count = 1, .frames = 12};
    sac_score_set set;
    sac_error error = {0};
    char model[600];
    snprintf(model, sizeof model, "%s", model_path());
    sac_model_scoring how = {.precision = SAC_PRECISION_F32, .threads = 1, .regions = true};
    sac_assert_ok(sac_score_set_model(&set, model, &how, &selection, NULL, NULL, &error), &error);
    // A student's map is positive everywhere: at the lowest threshold one region holds every cell.
    cr_assert_eq(set.region_kind, SAC_REGIONS_MAP);
    cr_assert_geq(set.regions[0].count, 12);
    for (int t = 0; t < 12; t++)
        cr_assert(set.scores[0][t] >= 0.0F && set.scores[0][t] <= 1.0F, "frame %d: %g", t,
                  (double)set.scores[0][t]);
    cr_assert_str_eq(set.name, "model model.safetensors");
    sac_score_set_close(&set);

    // The gate changes no number of scores, and the name tells what it did.
    how.regions = false;
    how.gate = true;
    sac_assert_ok(sac_score_set_model(&set, model, &how, &selection, NULL, NULL, &error), &error);
    cr_assert(isfinite(set.scores[0][11]));
    cr_assert_not_null(strstr(set.name, "model model.safetensors, gate ("));
    cr_assert_not_null(strstr(set.name, " % of frames taken over)"));
    sac_score_set_close(&set);
    how.gate = false;

    sac_clip longer = clip;
    longer.frames = 13;
    chosen[0] = &longer;
    sac_assert_error(sac_score_set_model(&set, model, &how, &selection, NULL, NULL, &error),
                     SAC_ERROR_FORMAT, &error, "Test001", "12 scores", "expected 13", NULL);
}

Test(bench_speed, tool_writes_the_promised_keys) {
    const char *bin = getenv("SACCADE_BIN");
    if (bin == NULL) cr_skip_test("SKIPPED: SACCADE_BIN does not name the tools' folder");
    char model[600], clip[600], out[600];
    snprintf(model, sizeof model, "%s", model_path());
    snprintf(clip, sizeof clip, "%s", clip_path(20));
    snprintf(out, sizeof out, "%s", sac_test_path("speed.json"));
    const char *const sources[] = {clip, "--width 64 --height 48 --frames 8"};
    for (int i = 0; i < 2; i++) {
        char *command =
            sac_format("'%s/student-bench' run -m '%s' %s -t 2 --repeats 1 --seconds 0.02 "
                       "--json '%s' --quiet >/dev/null",
                       bin, model, sources[i], out);
        const int code = system(command);
        cr_assert(WIFEXITED(code) && WEXITSTATUS(code) == 0, "%s: %d", command, code);
        sac_free(command);
        json_t *json = json_load_file(out, 0, NULL);
        cr_assert_not_null(json);
        const char *const keys[] = {"fps_student_alone", "fps_file_to_score", "fps_decode_only"};
        for (int k = 0; k < 3; k++) {
            const json_t *value = json_object_get(json, keys[k]);
            cr_assert(json_is_number(value) && json_number_value(value) > 0.0, "%s", keys[k]);
        }
        cr_assert_eq(json_integer_value(json_object_get(json, "threads")), 2);
        cr_assert_eq(json_array_size(json_object_get(json, "runs")), 1);
        json_decref(json);
    }
}

Test(bench_speed, interruption_leaves_nothing_behind) {
    const char *bin = getenv("SACCADE_BIN");
    if (bin == NULL) cr_skip_test("SKIPPED: SACCADE_BIN does not name the tools' folder");
    char folder[600];
    snprintf(folder, sizeof folder, "%s", sac_test_path("temporary"));
    sac_error error = {0};
    sac_assert_ok(sac_folder_create(folder, &error), &error);
    // The first stops while the clip is rendered, the second while measuring.
    const char *const frames[] = {"100000", "8"};
    for (int i = 0; i < 2; i++) {
        char *command =
            sac_format("TMPDIR='%s' timeout --preserve-status -s INT 2 '%s/student-bench' "
                       "run -m '%s' -t 1 --width 64 --height 48 --frames %s --seconds 1 "
                       "--repeats 100 --json '%s/speed.json' >/dev/null 2>&1",
                       folder, bin, model_path(), frames[i], folder);
        const int code = system(command);
        cr_assert(WIFEXITED(code) && WEXITSTATUS(code) == 130, "%s: %d", command, code);
        sac_free(command);
        char **names = NULL;
        int64_t count = -1;
        sac_assert_ok(sac_folder_list(&names, &count, folder, &error), &error);
        cr_assert_eq(count, 0, "left behind: %s", count > 0 ? names[0] : "");
        sac_free(names);
    }
}
