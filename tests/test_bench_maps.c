// Score sets of map stores: teachers, single tasks and ensembles with their regions; ground truth
// from masks and track files.
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bench/map_scores.h"
#include "bench/region_truth.h"
#include "core/file.h"
#include "core/memory.h"
#include "helper.h"
#include "store_make.h"

static void open_source(sac_map_source *source, const fixture *f, const char *text) {
    sac_error error = {0};
    sac_assert_ok(sac_map_source_open(source, text, &f->dataset, NULL, &error), &error);
}

static void count_warning(void *user, sac_log_level level, const char *message) {
    if (level == SAC_LOG_WARNING && strstr(message, "another data set") != NULL) ++*(int *)user;
}

static const char plain_objects[] = HEADER ",one,two\n"
                                           "Train001,1,1,1,9,9,1,-1,0.1,0,1\n"
                                           "Test001,3,22,16,30,28,1,-1,0.9,0.5,50\n"
                                           "Test001,3,2,2,10,10,1,-1,0.2,1,10\n"
                                           "Test001,4,23,16,31,28,1,-1,0.8,2,-5\n"
                                           "Test002,2,2,2,10,10,1,-1,0.3,3,20\n";

Test(bench_maps, names_of_stores) {
    fixture f;
    set_up(&f);
    char folder[700], text[800];
    make_store(folder, "maps", NULL, "{}", 0.0F);
    sac_map_source source;
    open_source(&source, &f, folder);
    cr_assert_str_eq(source.name, "maps");
    cr_assert_null(source.objects);
    sac_map_source_close(&source);
    cr_assert_null(source.name);
    snprintf(text, sizeof text, "%s//", folder);
    open_source(&source, &f, text);
    cr_assert_str_eq(source.name, "maps");
    sac_map_source_close(&source);
    snprintf(text, sizeof text, "my teacher=%s", folder);
    open_source(&source, &f, text);
    cr_assert_str_eq(source.name, "my teacher");
    sac_map_source_close(&source);
    // A folder whose own name holds the sign.
    char odd[700];
    make_store(odd, "a=b", NULL, "{}", 0.0F);
    open_source(&source, &f, odd);
    cr_assert_str_eq(source.name, "a=b");
    sac_map_source_close(&source);
    sac_error error = {0};
    snprintf(text, sizeof text, "=%s", folder);
    sac_assert_error(sac_map_source_open(&source, text, &f.dataset, NULL, &error),
                     SAC_ERROR_ARGUMENT, &error, "NAME=FOLDER", NULL);
    error = (sac_error){0};
    sac_assert_error(sac_map_source_open(&source, "x=nowhere", &f.dataset, NULL, &error),
                     SAC_ERROR_IO, &error, "nowhere", NULL);
    cr_assert_null(source.store);
}

Test(bench_maps, teacher) {
    fixture f;
    set_up(&f);
    char folder[700];
    make_store(folder, "maps", NULL, CALIBRATED, 0.0F);
    int warnings = 0;
    const sac_logger logger = {.write = count_warning, .user = &warnings};
    sac_error error = {0};
    sac_map_source source;
    sac_assert_ok(sac_map_source_open(&source, folder, &f.dataset, &logger, &error), &error);
    cr_assert_eq(warnings, 1, "the fingerprints differ");
    sac_map_source_close(&source);
    snprintf(f.dataset.fingerprint, sizeof f.dataset.fingerprint, "abc");
    sac_assert_ok(sac_map_source_open(&source, folder, &f.dataset, &logger, &error), &error);
    cr_assert_eq(warnings, 1, "the same data set");
    sac_score_set set;
    sac_map_request request = {.regions = SAC_REGIONS_NONE};
    sac_assert_ok(sac_score_set_maps(&set, &source, &request, &f.selection, &error), &error);
    for (int t = 0; t < 4; t++) cr_assert_eq(set.scores[0][t], (float)t / 10.0F);
    for (int t = 0; t < 3; t++) cr_assert_eq(set.scores[1][t], (float)t / 10.0F);
    cr_assert(set.regions == NULL && !set.part && !set.baseline);
    cr_assert_float_eq(set.training_minutes, 7.5, 1e-12);
    cr_assert_float_eq(set.objects_per_s, 200, 1e-12);
    sac_score_set_close(&set);
    // Without objects.csv the regions are the maps'.
    request = (sac_map_request){.pooled = true, .regions = SAC_REGIONS_OBJECTS};
    sac_assert_ok(sac_score_set_maps(&set, &source, &request, &f.selection, &error), &error);
    for (int t = 0; t < 4; t++)
        cr_assert_float_eq((double)set.scores[0][t], t * (0.1 + 0.05 + 0.025) / 3.0, 1e-6);
    cr_assert_eq(set.region_kind, SAC_REGIONS_MAP);
    cr_assert_eq(set.regions[0].count, 3);
    cr_assert_float_eq(set.regions[0].regions[0].x1, 24.0F, 1e-4F);
    cr_assert_float_eq(set.regions[0].regions[0].y2, 18.0F, 1e-4F);
    sac_score_set_close(&set);
    cr_assert_null(set.regions);
    f.clips[1].frames = 4;
    error = (sac_error){0};
    sac_assert_error(sac_score_set_maps(&set, &source, &request, &f.selection, &error),
                     SAC_ERROR_SHAPE, &error, "Test002", NULL);
    sac_map_source_close(&source);
}

static float calibrated(double z) {
    return (float)(1.0 / (1.0 + exp(2.0 - 2.0 * z)));
}

Test(bench_maps, single_tasks) {
    fixture f;
    set_up(&f);
    char folder[700];
    make_store(folder, "maps", plain_objects, CALIBRATED, 0.0F);
    sac_map_source source;
    open_source(&source, &f, folder);
    cr_assert(sac_object_table_calibrated(source.objects));
    const sac_calibration *tasks = sac_object_table_tasks(source.objects);
    cr_assert(tasks->tasks == 2 && strcmp(tasks->name[1], "two") == 0);
    const sac_map_request request = {.regions = SAC_REGIONS_OBJECTS};
    sac_error error = {0};
    sac_score_set set;
    // z of task one: its value; of task two: (value - 10) / 20.
    sac_assert_ok(sac_score_set_task(&set, &source, 0, &request, &f.selection, &error), &error);
    cr_assert_str_eq(set.name, "maps: one");
    cr_assert(set.part && isnan(set.training_minutes));
    const float one[] = {0, 0, calibrated(1), calibrated(2)};
    for (int t = 0; t < 4; t++) cr_assert_float_eq(set.scores[0][t], one[t], 1e-6F, "frame %d", t);
    cr_assert_float_eq(set.scores[1][1], calibrated(3), 1e-6F);
    cr_assert_eq(set.regions[0].count, 3);
    cr_assert_eq(set.regions[0].regions[1].frame, 2);
    cr_assert_float_eq(set.regions[0].regions[0].score, calibrated(0.5), 1e-6F);
    sac_score_set_close(&set);
    sac_assert_ok(sac_score_set_task(&set, &source, 1, &request, &f.selection, &error), &error);
    cr_assert_float_eq(set.scores[0][2], calibrated(2), 1e-6F);
    cr_assert_float_eq(set.scores[0][3], calibrated(-0.75), 1e-6F);
    sac_score_set_close(&set);
    sac_map_source_close(&source);
}

Test(bench_maps, tasks_without_calibration_use_training_objects) {
    fixture f;
    set_up(&f);
    char folder[700], text[4000];
    size_t used = (size_t)snprintf(text, sizeof text, "%s", HEADER ",one\n");
    for (int i = 0; i <= 100; i++)
        used += (size_t)snprintf(text + used, sizeof text - used,
                                 "Train001,1,1,1,9,9,1,-1,0.1,%d\n", i);
    snprintf(text + used, sizeof text - used, "Test001,3,22,16,30,28,1,-1,0.9,148\n");
    make_store(folder, "maps", text, "{}", 0.0F);
    sac_map_source source;
    open_source(&source, &f, folder);
    cr_assert(!sac_object_table_calibrated(source.objects));
    sac_objects objects;
    sac_error error = {0};
    sac_assert_ok(sac_object_table_get(source.objects, &objects, "Test001", 4, &error), &error);
    // Median 50, 99 % quantile 99: 148 is twice as far.
    cr_assert_eq(objects.detections.count, 1);
    cr_assert_float_eq(objects.raw[0], 148.0F, 1e-3F);
    cr_assert_float_eq(objects.tasks[0], calibrated(2), 1e-5F);
    sac_objects_close(&objects);
    sac_assert_ok(sac_object_table_get(source.objects, &objects, "Test002", 3, &error), &error);
    cr_assert_eq(objects.detections.count, 0);
    sac_objects_close(&objects);
    sac_map_source_close(&source);
    make_store(folder, "none", HEADER ",one\nTest001,3,22,16,30,28,1,-1,0.9,148\n", "{}", 0.0F);
    sac_assert_error(sac_map_source_open(&source, folder, &f.dataset, NULL, &error),
                     SAC_ERROR_FORMAT, &error, "objects.csv", "training clips", NULL);
    make_store(folder, "bad", HEADER ",one\nTrain001,1,1,1,9,9,1,-1,0.1,high\n", "{}", 0.0F);
    error = (sac_error){0};
    sac_assert_error(sac_map_source_open(&source, folder, &f.dataset, NULL, &error),
                     SAC_ERROR_FORMAT, &error, "line 2", "'one'", NULL);
    make_store(folder, "short", "clip,frame\nTrain001,1\n", "{}", 0.0F);
    error = (sac_error){0};
    sac_assert_error(sac_map_source_open(&source, folder, &f.dataset, NULL, &error),
                     SAC_ERROR_FORMAT, &error, "'score'", NULL);
}

Test(bench_maps, ensembles) {
    fixture f;
    set_up(&f);
    char folder[3][700];
    make_store(folder[0], "a", plain_objects, CALIBRATED, 0.0F);
    make_store(folder[1], "b",
               HEADER ",one,two\n"
                      "Test001,3,22,16,30,28,1,-1,0.5,0.5,50\n"
                      "Test001,3,2,2,10,10,1,-1,0.4,1,10\n"
                      "Test001,4,23,16,31,28,1,-1,0.6,2,-5\n"
                      "Test002,2,2,2,10,10,1,-1,0.1,3,20\n",
               CALIBRATED, 0.2F);
    make_store(folder[2], "c", HEADER ",one,two\nTest001,3,22,16,30,28,1,-1,0.5,0.5,50\n",
               CALIBRATED, 0.4F);
    sac_map_source source[3];
    for (int i = 0; i < 3; i++) open_source(&source[i], &f, folder[i]);
    const sac_map_source *ab[] = {&source[0], &source[1]}, *abc[] = {ab[0], ab[1], &source[2]};
    const sac_map_request request = {.regions = SAC_REGIONS_OBJECTS};
    sac_error error = {0};
    sac_score_set set;
    sac_assert_ok(sac_score_set_ensemble(&set, ab, 2, &request, &f.selection, &error), &error);
    cr_assert_str_eq(set.name, "a + b");
    for (int t = 0; t < 4; t++)
        cr_assert_float_eq(set.scores[0][t], (float)t / 10.0F + 0.1F, 1e-6F);
    cr_assert_eq(set.region_kind, SAC_REGIONS_OBJECTS);
    cr_assert_eq(set.regions[0].count, 3);
    cr_assert_float_eq(set.regions[0].regions[0].score, 0.7F, 1e-6F);
    cr_assert_float_eq(set.training_minutes, 15, 1e-12);
    cr_assert_float_eq(set.objects_per_s, 100, 1e-9);
    sac_score_set_close(&set);
    // The third store has other boxes: regions of the mean map.
    sac_assert_ok(sac_score_set_ensemble(&set, abc, 3, &request, &f.selection, &error), &error);
    cr_assert_str_eq(set.name, "a + b + c");
    cr_assert_eq(set.region_kind, SAC_REGIONS_MAP);
    cr_assert_float_eq(set.scores[0][1], 0.3F, 1e-6F);
    cr_assert_eq(set.regions[1].count, 2);
    cr_assert_float_eq(set.regions[0].regions[2].score, 3.0F / 40.0F, 1e-6F);
    sac_score_set_close(&set);
    for (int i = 0; i < 3; i++) sac_map_source_close(&source[i]);
}

Test(bench_maps, ground_truth_and_measure) {
    fixture f;
    set_up(&f);
    char folder[700];
    make_store(folder, "maps", plain_objects, CALIBRATED, 0.0F);
    sac_error error = {0};
    sac_region_truth truth;
    const sac_truth_source masks = sac_truth_default_source(), nowhere = {.tracks = "nowhere"};
    sac_assert_ok(sac_region_truth_open(&truth, &masks, &f.selection, NULL, &error), &error);
    cr_assert(truth.count == 2 && truth.regions == 2 && truth.tracks == 1);
    cr_assert_float_eq(truth.clips[0].regions[1].x1, 23.0F, 1e-6F);
    sac_map_source source;
    open_source(&source, &f, folder);
    sac_map_request request = {.regions = SAC_REGIONS_OBJECTS};
    sac_score_set set;
    sac_region_result result;
    sac_assert_ok(sac_score_set_maps(&set, &source, &request, &f.selection, &error), &error);
    sac_assert_ok(sac_region_truth_measure(&result, &truth, &set, &f.selection, &error), &error);
    cr_assert_float_eq(result.rbdc, 1.0, 1e-12, "both found before any false positive");
    cr_assert(result.frames == 7 && result.detected == 4);
    sac_region_result_close(&result);
    sac_score_set_close(&set);
    // By task two the first is found above all others, the second below them: (0, 1/2), (1/7, 1/2),
    // (2/7, 1/2), (2/7, 1).
    sac_assert_ok(sac_score_set_task(&set, &source, 1, &request, &f.selection, &error), &error);
    sac_assert_ok(sac_region_truth_measure(&result, &truth, &set, &f.selection, &error), &error);
    cr_assert_float_eq(result.rbdc, 0.5 * 2 / 7 + 5.0 / 7, 1e-12);
    cr_assert_float_eq(result.tbdc, 1.0, 1e-12);
    sac_region_result_close(&result);
    set.regions[0].regions[0].score = NAN;
    sac_assert_error(sac_region_truth_measure(&result, &truth, &set, &f.selection, &error),
                     SAC_ERROR_NUMERIC, &error, "maps: two", "Test001", "frame 2", NULL);
    sac_score_set_close(&set);
    sac_map_source_close(&source);
    sac_region_truth_close(&truth);
    cr_assert_null(truth.clips);

    // Tracks instead, counted from 1; a normal clip needs no file, an abnormal one does.
    char tracks[700], path[800];
    snprintf(tracks, sizeof tracks, "%s", sac_test_path("tracks"));
    sac_assert_ok(sac_folder_create(tracks, &error), &error);
    const sac_truth_source files = {.tracks = tracks, .first_frame = 1};
    error = (sac_error){0};
    sac_assert_error(sac_region_truth_open(&truth, &files, &f.selection, NULL, &error),
                     SAC_ERROR_IO, &error, "Test001", "Test001.txt", NULL);
    cr_assert_null(truth.clips);
    snprintf(path, sizeof path, "%s/Test001.txt", tracks);
    error = (sac_error){0};
    sac_assert_ok(
        sac_file_save(path, "5,3,22,16,30,28\n5,4,23,16,31,28\n6,4,1,1,9,9\n", 43, &error), &error);
    sac_assert_ok(sac_region_truth_open(&truth, &files, &f.selection, NULL, &error), &error);
    cr_assert(truth.regions == 3 && truth.tracks == 2 && strcmp(truth.origin, "track files") == 0);
    sac_region_truth_close(&truth);
    sac_assert_error(sac_region_truth_open(&truth, &nowhere, &f.selection, NULL, &error),
                     SAC_ERROR_IO, &error, "nowhere", NULL);
    // Without masks of an abnormal clip there is no ground truth, which is no error.
    error = (sac_error){0};
    f.clips[0].mask_path = NULL;
    sac_assert_ok(sac_region_truth_open(&truth, &masks, &f.selection, NULL, &error), &error);
    cr_assert_null(truth.clips);
}

Test(bench_maps, allocation_failures) {
    fixture f;
    set_up(&f);
    char folder[700];
    make_store(folder, "maps", plain_objects, CALIBRATED, 0.0F);
    bool done = false;
    for (int64_t n = 0; n < 5000 && !done; n += n < 400 ? 1 : 23) {
        sac_map_source source = {0};
        sac_score_set set = {0};
        sac_region_truth truth = {0};
        sac_region_result result = {0};
        const sac_map_request request = {.regions = SAC_REGIONS_OBJECTS};
        const sac_map_source *two[] = {&source, &source};
        const sac_truth_source masks = sac_truth_default_source();
        sac_memory_fail_after(n);
        sac_status status = sac_map_source_open(&source, folder, &f.dataset, NULL, NULL);
        if (status >= 0)
            status = sac_score_set_ensemble(&set, two, 2, &request, &f.selection, NULL);
        if (status >= 0) status = sac_region_truth_open(&truth, &masks, &f.selection, NULL, NULL);
        if (status >= 0)
            status = sac_region_truth_measure(&result, &truth, &set, &f.selection, NULL);
        sac_memory_fail_after(-1);
        done = status == SAC_OK;
        cr_assert(done || status == SAC_ERROR_MEMORY, "after %d: %s", (int)n,
                  sac_status_name(status));
        sac_region_result_close(&result);
        sac_region_truth_close(&truth);
        sac_score_set_close(&set);
        sac_map_source_close(&source);
    }
    cr_assert(done);
}
