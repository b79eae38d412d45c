// The accuracy report and the machine facts: the tables hold what the evaluation found.
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bench/eval_report.h"
#include "bench/machine.h"
#include "core/memory.h"

typedef struct fixture {
    char names[2][16], path[8];
    uint8_t labels[2][4];
    float scores[2][2][4];
    float *rows[2][2];
    const sac_clip *chosen[2];
    sac_clip clips[2];
    sac_dataset dataset;
    sac_clip_selection selection;
    char titles[2][32];
    sac_score_set sets[2];
} fixture;

static void set_up(fixture *f) {
    memset(f, 0, sizeof *f);
    const uint8_t labels[2][4] = {{0, 0, 1, 1}, {1, 1, 1, 1}};
    const float good[2][4] = {{0.1F, 0.4F, 0.35F, 0.8F}, {0.9F, 0.9F, 0.9F, 0.9F}};
    memcpy(f->labels, labels, sizeof labels);
    memcpy(f->scores[0], good, sizeof good);
    snprintf(f->path, sizeof f->path, "scene");
    snprintf(f->titles[0], sizeof f->titles[0], "mine|yours");
    snprintf(f->titles[1], sizeof f->titles[1], "trivial");
    for (int c = 0; c < 2; c++) {
        snprintf(f->names[c], sizeof f->names[c], "Test%03d", c + 1);
        f->clips[c] =
            (sac_clip){.name = f->names[c], .labels = f->labels[c], .frames = 4, .test = true};
        f->chosen[c] = &f->clips[c];
        f->rows[0][c] = f->scores[0][c];
        f->rows[1][c] = f->scores[1][c];
    }
    f->dataset = (sac_dataset){.path = f->path, .name = f->path, .clips = f->clips, .count = 2};
    f->selection = (sac_clip_selection){.clips = f->chosen, .count = 2, .frames = 8};
    for (int s = 0; s < 2; s++)
        f->sets[s] = (sac_score_set){.name = f->titles[s],
                                     .count = 2,
                                     .scores = f->rows[s],
                                     .baseline = s == 1,
                                     .training_minutes = (double)NAN,
                                     .objects_per_s = (double)NAN};
}

Test(bench_report, tables_and_json) {
    fixture f;
    set_up(&f);
    const sac_eval_options options[] = {
        {.count_one_class = true},
        {.smoothing = {.kind = SAC_SMOOTHING_PAPER}, .count_one_class = true}};
    sac_eval_report report;
    sac_error error = {0};
    cr_assert_eq(sac_eval_report_make(&report, &f.dataset, &f.selection, NULL, f.sets, 2, options,
                                      2, &error),
                 SAC_OK, "%s", error.message);
    char *text = sac_eval_report_markdown(&report);
    cr_assert_not_null(text);
    // Micro without smoothing: of 12 pairs only 0.35 < 0.4 is lost.
    cr_assert_not_null(strstr(text, "| mine\\|yours | none | 91.67 | 87.50 |"), "%s", text);
    cr_assert_not_null(strstr(text, "| trivial | none | 50.00 | 75.00 |"), "%s", text);
    cr_assert_not_null(strstr(text, "| constant scorer | any | 50.00 | 75.00 |"), "%s", text);
    cr_assert_not_null(strstr(text, "| Test001 | 4 | 2 | 75.00 |"), "%s", text);
    cr_assert_not_null(strstr(text, "| Test002 | 4 | 4 | - | - |"), "%s", text);
    cr_assert_not_null(strstr(text, "paper (sigma 20, 49 taps)"), "%s", text);
    cr_assert_not_null(strstr(text, "one-class clips count as 1"), "%s", text);
    sac_free(text);
    json_t *json = sac_eval_report_json(&report);
    json_t *scorers = json_object_get(json, "scorers");
    cr_assert_eq(json_array_size(scorers), 2);
    json_t *results = json_object_get(json_array_get(scorers, 0), "results");
    cr_assert_eq(json_array_size(results), 2);
    cr_assert_float_eq(json_real_value(json_object_get(json_array_get(results, 0), "micro")),
                       11.0 / 12.0, 1e-12);
    cr_assert(json_is_true(json_object_get(json_array_get(scorers, 1), "baseline")));
    json_decref(json);
    sac_eval_report_close(&report);
    cr_assert_null(report.results);
}

Test(bench_report, regions_and_parts_have_a_table_of_their_own) {
    fixture f;
    set_up(&f);
    // One region a frame in the abnormal half of Test001; the first scorer finds one of the two.
    sac_truth_region regions[2] = {{2, 0, 0, 0, 9, 9}, {3, 0, 0, 0, 9, 9}};
    sac_truth truths[2] = {{.frames = 4, .count = 2, .tracks = 1, .regions = regions},
                           {.frames = 4}};
    const sac_region_truth truth = {
        .clips = truths, .count = 2, .regions = 2, .tracks = 1, .origin = "pixel masks"};
    sac_detected_region one = {2, 0, 0, 9, 9, 0.5F, -(float)INFINITY};
    sac_detected detected[2] = {{.count = 1, .regions = &one}, {0}};
    f.sets[0].regions = detected;
    f.sets[0].region_kind = SAC_REGIONS_OBJECTS;
    f.sets[0].training_minutes = 12.34;
    f.sets[0].objects_per_s = 256.4;
    f.sets[1].part = true;
    const sac_eval_options options = {0};
    sac_eval_report report;
    sac_error error = {0};
    cr_assert_eq(sac_eval_report_make(&report, &f.dataset, &f.selection, &truth, f.sets, 2,
                                      &options, 1, &error),
                 SAC_OK, "%s", error.message);
    char *text = sac_eval_report_markdown(&report);
    cr_assert_not_null(strstr(text,
                              "| scorer | micro, none | macro, none | RBDC | TBDC | regions | "
                              "training min | objects/s |"),
                       "%s", text);
    cr_assert_not_null(
        strstr(text, "| mine\\|yours | 91.67 | 75.00 | 50.00 | 100.00 | objects | 12.3 | 256 |"),
        "%s", text);
    cr_assert_not_null(strstr(text, "| trivial | 50.00 | 50.00 | - | - | - | - | - |"), "%s", text);
    cr_assert_null(strstr(text, "| trivial | none |"), "a part stands in the last table only");
    cr_assert_not_null(strstr(text, "2 regions in 1 track from pixel masks"), "%s", text);
    sac_free(text);
    json_t *json = sac_eval_report_json(&report);
    const json_t *scorers = json_object_get(json, "scorers");
    const json_t *measured = json_object_get(json_array_get(scorers, 0), "regions");
    cr_assert_float_eq(json_real_value(json_object_get(measured, "rbdc")), 0.5, 1e-12);
    cr_assert(json_is_null(json_object_get(json_array_get(scorers, 1), "regions")));
    cr_assert(json_is_true(json_object_get(json_array_get(scorers, 1), "part")));
    cr_assert_eq(json_integer_value(json_object_get(json_object_get(json, "truth"), "tracks")), 1);
    json_decref(json);
    sac_eval_report_close(&report);
    cr_assert_null(report.regions);
}

Test(bench_report, errors_name_the_scorer) {
    fixture f;
    set_up(&f);
    f.scores[1][1][2] = NAN;
    const sac_eval_options options = {0};
    sac_eval_report report;
    sac_error error = {0};
    cr_assert_eq(sac_eval_report_make(&report, &f.dataset, &f.selection, NULL, f.sets, 2, &options,
                                      1, &error),
                 SAC_ERROR_NUMERIC);
    cr_assert_not_null(strstr(error.message, "trivial"));
    cr_assert_not_null(strstr(error.message, "Test002"));
    cr_assert_not_null(strstr(error.message, "frame 2"));
    cr_assert_null(report.results);
    cr_assert_eq(
        sac_eval_report_make(&report, &f.dataset, &f.selection, NULL, f.sets, 0, &options, 1, NULL),
        SAC_ERROR_ARGUMENT);
    cr_assert_eq(
        sac_eval_report_make(&report, &f.dataset, &f.selection, NULL, f.sets, 1, &options, 5, NULL),
        SAC_ERROR_ARGUMENT);
}

Test(bench_report, machine_facts) {
    sac_machine machine;
    sac_machine_describe(&machine);
    cr_assert_geq(machine.cores, 1);
    cr_assert_gt(strlen(machine.cpu), 0);
    cr_assert_gt(strlen(machine.backend), 0);
    json_t *json = sac_machine_json(&machine);
    cr_assert_eq(json_integer_value(json_object_get(json, "cores")), machine.cores);
    cr_assert(json_is_null(json_object_get(json, "load_after")));
    json_decref(json);
    double rate = 0.0;
    sac_error error = {0};
    cr_assert_eq(sac_memory_rate(&rate, 0.05, &error), SAC_OK, "%s", error.message);
    cr_assert(rate > 0.01 && rate < 10000.0, "%g GB/s", rate);
    cr_assert_eq(sac_memory_rate(&rate, 0.0, NULL), SAC_ERROR_ARGUMENT);
    cr_assert_eq(sac_memory_rate(&rate, (double)NAN, NULL), SAC_ERROR_ARGUMENT);
    double ms = 0.0;
    cr_assert_eq(sac_flow_time(&ms, 64, 48, 0.02, &error), SAC_OK, "%s", error.message);
    cr_assert(ms > 0.001 && ms < 2000.0, "%g ms", ms);
    cr_assert_eq(sac_flow_time(&ms, 64, 48, 0.0, NULL), SAC_ERROR_ARGUMENT);
    cr_assert_eq(sac_flow_time(&ms, 31, 48, 0.02, &error), SAC_ERROR_ARGUMENT);
    cr_assert(strstr(error.message, "31x48") != NULL, "%s", error.message);
}
