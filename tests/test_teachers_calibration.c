// Quantiles of held-back objects, scores relative to them, and their place in a teacher file.
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "core/memory.h"
#include "helper.h"
#include "teachers/calibration.h"

static const char *name(int task) {
    static const char *const names[] = {"one", "two", "three"};
    return names[task];
}

enum { OBJECTS = 101 };

// Every rank once, shuffled.
static void make_tasks(float tasks[OBJECTS * 3]) {
    for (int i = 0; i < OBJECTS; i++) {
        int rank = i * 37 % OBJECTS;
        tasks[i * 3] = (float)rank;
        tasks[i * 3 + 1] = (float)(2 * rank - 50);
        tasks[i * 3 + 2] = (float)(-rank);
    }
}

static float object_score(const sac_calibration *c, const float *tasks) {
    return sac_calibration_score(sac_calibration_combine(c, tasks));
}

Test(teachers_calibration, quantiles_and_mean) {
    float tasks[OBJECTS * 3];
    make_tasks(tasks);
    sac_calibration c = {0};
    sac_error error = {0};
    sac_calibration_init(&c, 3, name, SAC_COMBINE_MEAN);
    cr_assert_str_eq(c.name[2], "three");
    sac_assert_ok(sac_calibration_fit(&c, tasks, OBJECTS, &error), &error);
    cr_assert_eq(c.objects, OBJECTS);
    cr_assert_float_eq(c.median[0], 50, 1e-9);
    cr_assert_float_eq(c.high[0], 99, 1e-9);
    cr_assert_float_eq(c.median[1], 50, 1e-9);
    cr_assert_float_eq(c.high[1], 148, 1e-9);
    cr_assert_float_eq(c.median[2], -50, 1e-9);
    cr_assert_float_eq(c.high[2], -1, 1e-9);
    cr_assert_float_eq(sac_calibration_relative(&c, 1, 197), 1.5, 1e-9);
    // z of the three tasks is r, r and -r with r = (rank - 50) / 49, so their mean is r / 3.
    cr_assert_float_eq(c.mean_median, 0, 1e-6);
    cr_assert_float_eq(c.mean_high, 1.0 / 3, 1e-6);
    // At the median everywhere: 0.12. Where the mean is at its 99 % quantile: one half.
    float typical[] = {50, 50, -50}, high[] = {99, 148, -99};
    cr_assert_float_eq(object_score(&c, typical), 1 / (1 + exp(2)), 1e-6);
    cr_assert_float_eq(object_score(&c, high), 0.5, 1e-6);
    // A calm task takes back what an excited one says.
    float mixed[] = {99, 50, -99};
    cr_assert_float_eq(object_score(&c, mixed), object_score(&c, typical), 1e-6);
    // More abnormal is higher, also far out, and never above 1.
    float last = -1;
    for (int k = 0; k < 12; k++) {
        float task[] = {50 + 10 * (float)k, 50 + 20 * (float)k, -50 + 10 * (float)k};
        float score = object_score(&c, task);
        cr_assert(score > last && score <= 1, "step %d: %g after %g", k, (double)score,
                  (double)last);
        last = score;
    }
    float far[] = {1e30f, 1e30f, 1e30f}, low[] = {-1e30f, -1e30f, -1e30f};
    cr_assert(object_score(&c, far) <= 1);
    cr_assert(object_score(&c, low) >= 0 && object_score(&c, low) < 1e-6f);
}

Test(teachers_calibration, maximum_and_weights) {
    float tasks[OBJECTS * 3];
    make_tasks(tasks);
    sac_calibration c = {0};
    sac_error error = {0};
    sac_calibration_init(&c, 3, name, SAC_COMBINE_MAX);
    sac_assert_ok(sac_calibration_fit(&c, tasks, OBJECTS, &error), &error);
    // max(r, r, -r) = |r|: every value twice but for 0.
    cr_assert_float_eq(c.mean_median, 25.0 / 49, 1e-6);
    cr_assert_float_eq(c.mean_high, 50.0 / 49, 1e-6);
    float one[] = {50, 50, 48}; // only the third task is excited: z = 2
    cr_assert_float_eq(sac_calibration_combine(&c, one), (2 - 25.0 / 49) / (25.0 / 49), 1e-5);
    // Weights of the mean: 3 of 5 parts for the first task.
    sac_calibration_init(&c, 3, name, SAC_COMBINE_MEAN);
    c.weight[0] = 3;
    sac_assert_ok(sac_calibration_fit(&c, tasks, OBJECTS, &error), &error);
    cr_assert_float_eq(c.mean_high, 3.0 / 5, 1e-6); // (3 r + r - r) / 5
}

Test(teachers_calibration, refuses_bad_objects) {
    float tasks[OBJECTS * 3];
    make_tasks(tasks);
    sac_calibration c = {0};
    sac_error error = {0};
    sac_calibration_init(&c, 3, name, SAC_COMBINE_MEAN);
    sac_assert_error(sac_calibration_fit(&c, tasks, 0, &error), SAC_ERROR_ARGUMENT, &error,
                     "held-back", NULL);
    error = (sac_error){0};
    tasks[7] = NAN;
    sac_assert_error(sac_calibration_fit(&c, tasks, OBJECTS, &error), SAC_ERROR_NUMERIC, &error,
                     "two", "object 2", NULL);
    error = (sac_error){0};
    sac_memory_fail_after(0);
    sac_status status = sac_calibration_fit(&c, tasks, OBJECTS, &error);
    sac_memory_fail_after(-1);
    cr_assert_eq(status, SAC_ERROR_MEMORY);
    cr_assert_eq(c.objects, 0);
}

Test(teachers_calibration, survives_a_file) {
    float tasks[OBJECTS * 3];
    make_tasks(tasks);
    sac_calibration c = {0}, again = {0};
    sac_error error = {0};
    sac_calibration_init(&c, 3, name, SAC_COMBINE_MAX);
    c.weight[1] = 0.25;
    sac_assert_ok(sac_calibration_fit(&c, tasks, OBJECTS, &error), &error);
    json_t *json = sac_calibration_to_json(&c);
    cr_assert_not_null(json);
    sac_calibration_init(&again, 3, name, SAC_COMBINE_MEAN);
    sac_assert_ok(sac_calibration_read(&again, json, "file", &error), &error);
    cr_assert_eq(memcmp(&again, &c, sizeof c), 0);
    static const struct {
        const char *text, *word;
    } bad[] = {
        {"{}", "objects"},
        {"{\"objects\": 0}", "objects"},
        {"{\"objects\": 5, \"combination\": \"sum\"}", "combination"},
        {"{\"objects\": 5, \"combination\": 5}", "combination"},
        {"{\"objects\": 5, \"tasks\": {}}", "one"},
        {"{\"objects\": 5, \"tasks\": {\"one\": {\"median\": 0}}}", "q99"},
        {"{\"objects\": 5, \"tasks\": {\"one\": {\"median\": 0, \"q99\": 1, \"weight\": 0}}}",
         "weight"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        json_t *wrong = json_loads(bad[i].text, 0, NULL);
        error = (sac_error){0};
        sac_assert_error(sac_calibration_read(&again, wrong, "file", &error), SAC_ERROR_FORMAT,
                         &error, "file", bad[i].word, NULL);
        json_decref(wrong);
    }
    json_decref(json);
}

// By the extremes of a clip, as in the paper: every task first, then their sum.
Test(teachers_calibration, by_clip) {
    sac_calibration c = {0}, again = {0};
    sac_error error = {0};
    sac_calibration_init(&c, 3, name, SAC_COMBINE_MEAN);
    c.normalisation = SAC_NORMALISE_CLIP;
    c.objects = 5;
    for (int k = 0; k < 3; k++) c.high[k] = 1;
    const float tasks[4 * 3] = {0, 10, 7, 1, 30, 7, 2, 20, 7, 4, 10, 7};
    // Tasks by their extremes: 0 1/4 2/4 1; 0 1 1/2 0; all equal, so 0. Sums 0, 1.25, 1, 1.
    const float expected[] = {0, 1, 0.8f, 0.8f}, second[] = {0, 1, 0.5f, 0};
    float scores[4];
    int64_t dims[1] = {4};
    sac_calibration_scores(&c, scores, tasks, 4);
    sac_assert_close(scores, expected, 1, dims, 1e-6, "sum of the tasks");
    sac_calibration_task_scores(&c, 1, scores, tasks, 4);
    sac_assert_close(scores, second, 1, dims, 1e-6, "one task");
    sac_calibration_scores(&c, scores, tasks, 1);
    cr_assert_eq(scores[0], 0, "a single object is not unusual");
    // By training objects: what combine says.
    c.normalisation = SAC_NORMALISE_TRAINING;
    c.mean_high = 1;
    sac_calibration_scores(&c, scores, tasks, 4);
    for (int i = 0; i < 4; i++) {
        cr_assert_eq(scores[i], sac_calibration_score(sac_calibration_combine(&c, tasks + 3 * i)));
    }
    c.normalisation = SAC_NORMALISE_CLIP;
    json_t *json = sac_calibration_to_json(&c);
    sac_calibration_init(&again, 3, name, SAC_COMBINE_MEAN);
    sac_assert_ok(sac_calibration_read(&again, json, "file", &error), &error);
    cr_assert_eq(again.normalisation, SAC_NORMALISE_CLIP);
    (void)json_object_set_new(json, "normalisation", json_string("video"));
    sac_assert_error(sac_calibration_read(&again, json, "file", &error), SAC_ERROR_FORMAT, &error,
                     "normalisation", "video", NULL);
    json_decref(json);
}
