// SSMTL network, samples, task scores, calibration and the teacher file.
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "core/memory.h"
#include "core/rng.h"
#include "helper.h"
#include "teacher_files.h"
#include "teachers/ssmtl.h"
#include "teachers/teacher.h"

enum { W = 40, H = 30, FRAMES = 12, S = 16, COLUMNS = 3 };

Test(teachers_ssmtl, networks_of_all_backbones) {
    // Multiply-accumulates of one convolution 3x3x3 layer list, by hand, for the narrow ones at 64
    // px gray.
    for (int b = 0; b < 4; b++) {
        const sac_ssmtl_backbone *backbone = sac_ssmtl_backbone_at(b);
        sac_ssmtl_design design = sac_ssmtl_default_design();
        design.backbone = b;
        cr_assert_not_null(backbone);
        int64_t expected = 0;
        int depth[2] = {6, 7};
        for (int branch = 0; branch < 2; branch++) {
            int64_t side = 64, channels = 1;
            for (const int *layer = backbone->layers; *layer != 0; layer++) {
                if (*layer > 0) {
                    expected += depth[branch] * side * side * 27 * channels * *layer;
                    channels = *layer;
                } else {
                    side /= 2;
                }
            }
            expected += side * side * 9 * channels * 32 + side / 2 * (side / 2) * 32 * 2;
            if (branch == 0) {
                int64_t from = channels;
                for (int i = 0; i <= backbone->decoder_stages; i++) {
                    side *= 2;
                    int64_t to = i < backbone->decoder_stages ? 32 : 1;
                    expected += side * side * 9 * from * to;
                    from = to;
                }
                cr_assert_eq(side, 64, "decoder of %s ends at %d", backbone->name, (int)side);
            }
        }
        sac_net *net = NULL;
        sac_error error = {0};
        sac_assert_ok(sac_ssmtl_net(&net, &design, true, &error), &error);
        int64_t macs = 0;
        for (int i = 0; i < sac_net_count(net); i++) macs += sac_net_macs(net, i);
        cr_assert_eq(macs, expected, "%s: %lld MACs, %lld by hand", backbone->name, (long long)macs,
                     (long long)expected);
        // Both branches use one set of backbone weights.
        sac_params *params = NULL;
        sac_assert_ok(sac_params_create(&params, net, &error), &error);
        cr_assert_not_null(sac_params_find(params, "arrow.block1.conv.weight"));
        cr_assert_null(sac_params_find(params, "irregular.block1.conv.weight"));
        cr_assert_not_null(sac_params_find(params, "irregular.head.conv.weight"));
        sac_params_close(&params);
        sac_net_close(&net);
    }
    cr_assert_null(sac_ssmtl_backbone_at(4));
    cr_assert_null(sac_ssmtl_backbone_at(-1));
}

Test(teachers_ssmtl, refuses_bad_sizes) {
    static const int64_t bad[] = {0, 8, 20, 264, -64};
    sac_net *net = NULL;
    sac_ssmtl_design design = sac_ssmtl_default_design();
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        sac_error error = {0};
        design.crop_size = bad[i];
        sac_assert_error(sac_ssmtl_net(&net, &design, true, &error), SAC_ERROR_ARGUMENT, &error,
                         "multiple of 8", NULL);
    }
    sac_error error = {0};
    design.backbone = 2;
    design.crop_size = 24;
    sac_assert_error(sac_ssmtl_net(&net, &design, true, &error), SAC_ERROR_ARGUMENT, &error,
                     "multiple of 16", NULL);
    error = (sac_error){0};
    design.backbone = 9;
    sac_assert_error(sac_ssmtl_net(&net, &design, true, &error), SAC_ERROR_ARGUMENT, &error,
                     "backbone", NULL);
    bool worked = false;
    design.backbone = 0;
    design.crop_size = 16;
    for (int64_t n = 0; n < 2000 && !worked; n += 7) {
        sac_memory_fail_after(n);
        sac_status status = sac_ssmtl_net(&net, &design, true, NULL);
        sac_memory_fail_after(-1);
        worked = status == SAC_OK;
        if (!worked) cr_assert_eq(status, SAC_ERROR_MEMORY, "after %d allocations", (int)n);
    }
    cr_assert(worked);
    sac_net_close(&net);
}

static uint8_t *make_pixels(void) {
    uint8_t *pixels = sac_calloc((int64_t)W * H * FRAMES, 1);
    sac_rng rng;
    sac_rng_seed(&rng, 6, 0);
    for (int64_t i = 0; i < (int64_t)W * H * FRAMES; i++)
        pixels[i] = (uint8_t)sac_rng_below(&rng, 256);
    return pixels;
}

// An untrained model with a calibration.
static sac_ssmtl_model *make_model(void) {
    sac_ssmtl_model *model = sac_calloc(1, sizeof *model);
    sac_error error = {0};
    sac_rng rng;
    sac_rng_seed(&rng, 2, 0);
    model->design = sac_ssmtl_default_design();
    model->design.crop_size = S;
    sac_assert_ok(sac_ssmtl_net(&model->net, &model->design, false, &error), &error);
    sac_assert_ok(sac_params_create(&model->params, model->net, &error), &error);
    sac_params_init(model->params, &rng);
    sac_calibration *c = &model->calibration;
    const double median[] = {0.2, -1.5, 0.25}, high[] = {0.5, 2, 3.75};
    sac_ssmtl_calibration_init(c, model->design.tasks);
    c->objects = 10;
    for (int k = 0; k < COLUMNS; k++) {
        c->median[k] = median[k];
        c->high[k] = high[k];
    }
    c->mean_median = 0.1;
    c->mean_high = 0.7;
    return model;
}

static sac_detections make_detections(void) {
    sac_detections d = {.frames = FRAMES};
    d.start = sac_calloc(FRAMES + 1, sizeof *d.start);
    d.boxes = sac_calloc(2 * FRAMES, sizeof *d.boxes);
    for (int t = 0; t < FRAMES; t++) {
        for (int i = 0; i < t % 3; i++) {
            d.boxes[d.count++] =
                (sac_box){(float)t, (float)(2 * i), (float)t + 12, (float)(2 * i) + 20, 1, -1};
        }
        d.start[t + 1] = d.count;
    }
    return d;
}

Test(teachers_ssmtl, scorer_matches_reference_and_batches) {
    sac_ssmtl_model *model = make_model();
    uint8_t *pixels = make_pixels();
    sac_detections d = make_detections();
    float *tasks[3];
    const int64_t batch[] = {4, 4, 5};
    for (int i = 0; i < 3; i++) {
        sac_ssmtl_scorer *scorer = NULL;
        sac_error error = {0};
        tasks[i] = sac_calloc(d.count * COLUMNS, sizeof(float));
        memset(tasks[i], 0xff, (size_t)(d.count * COLUMNS) * sizeof(float));
        sac_assert_ok(sac_ssmtl_scorer_create(&scorer, model, batch[i],
                                              i == 0 ? SAC_BACKEND_REF : SAC_BACKEND_ONEDNN,
                                              &error),
                      &error);
        sac_assert_ok(
            sac_ssmtl_scorer_run(scorer, tasks[i], &d, pixels, W, H, NULL, NULL, NULL, &error),
            &error);
        sac_ssmtl_scorer_close(&scorer);
    }
    int64_t dims[2] = {d.count, COLUMNS};
    sac_assert_close(tasks[1], tasks[0], 2, dims, 1e-4, "oneDNN against reference");
    sac_assert_close(tasks[2], tasks[1], 2, dims, 1e-5, "batch 5 against batch 4");
    for (int i = 0; i < 3; i++) sac_free(tasks[i]);
    sac_detections_close(&d);
    sac_free(pixels);
    sac_ssmtl_model_close(&model);
}

static bool stop_now(void) {
    return true;
}

Test(teachers_ssmtl, teacher_file_round_trip) {
    sac_ssmtl_model *model = make_model();
    uint8_t *pixels = make_pixels();
    sac_detections d = make_detections();
    const char *path = sac_test_path("teacher.safetensors");
    sac_error error = {0};
    json_t *provenance = json_pack("{s:s}", "dataset", "test");
    sac_assert_ok(sac_ssmtl_model_write(model, path, provenance, &error), &error);
    json_decref(provenance);
    sac_teacher *teacher = NULL;
    sac_assert_ok(sac_teacher_open(&teacher, path, SAC_BACKEND_ONEDNN, &error), &error);
    cr_assert_str_eq(sac_teacher_name(teacher), "ssmtl");
    cr_assert_eq(sac_teacher_task_count(teacher), 3);
    cr_assert_str_eq(sac_teacher_task_name(teacher, 2), "irregularity");
    float *scores = sac_calloc(d.count, sizeof *scores),
          *again = sac_calloc(d.count, sizeof *again);
    float *tasks = sac_calloc(d.count * 3, sizeof *tasks);
    sac_assert_ok(
        sac_teacher_score(teacher, scores, tasks, &d, pixels, W, H, NULL, NULL, NULL, &error),
        &error);
    sac_assert_ok(
        sac_teacher_score(teacher, again, NULL, &d, pixels, W, H, NULL, NULL, NULL, &error),
        &error);
    for (int64_t i = 0; i < d.count; i++) {
        cr_assert_eq(scores[i], again[i]);
        cr_assert_eq(scores[i], sac_calibration_score(
                                    sac_calibration_combine(&model->calibration, tasks + 3 * i)));
        cr_assert(scores[i] >= 0 && scores[i] <= 1);
    }
    sac_assert_error(
        sac_teacher_score(teacher, scores, NULL, &d, pixels, W, H, stop_now, NULL, NULL, &error),
        SAC_ERROR_INTERRUPTED, &error, "interrupted", NULL);
    sac_teacher_close(&teacher);
    sac_teacher_close(&teacher);
    sac_free(scores);
    sac_free(again);
    sac_free(tasks);
    sac_detections_close(&d);
    sac_free(pixels);
    sac_ssmtl_model_close(&model);
}

Test(teachers_ssmtl, refuses_foreign_files) {
    sac_ssmtl_model *model = make_model();
    const char *good = sac_test_path("good.safetensors");
    sac_error error = {0};
    sac_assert_ok(sac_ssmtl_model_write(model, good, NULL, &error), &error);
    expect_refusal(good, "teacher", "other", SAC_ERROR_FORMAT, "family");
    expect_refusal(good, "format", "other", SAC_ERROR_FORMAT, "saccade-teacher");
    expect_refusal(good, "version", "2", SAC_ERROR_UNSUPPORTED, "version");
    expect_refusal(good, "crop_size", "sixteen", SAC_ERROR_FORMAT, "crop_size");
    expect_refusal(good, "crop_size", "32", SAC_ERROR_FORMAT, "expected shape");
    expect_refusal(good, "network", "{", SAC_ERROR_FORMAT, "");
    expect_refusal(good, "network", "{\"nodes\": []}", SAC_ERROR_FORMAT, "");
    expect_refusal(good, "calibration", "{\"objects\": 0}", SAC_ERROR_FORMAT, "objects");
    expect_refusal(good, "calibration", "{\"objects\": 5, \"tasks\": {}}", SAC_ERROR_FORMAT,
                   "middle");
    expect_refusal(good, "design", "{\"tasks\": [\"middle\"], \"residual\": true}",
                   SAC_ERROR_FORMAT, "no task fills");
    expect_refusal(good, "design", "{\"tasks\": [\"arrow\", \"arrow\"], \"residual\": true}",
                   SAC_ERROR_FORMAT, "repeated");
    expect_refusal(good, "design", "{\"tasks\": [\"jigsaw\"], \"residual\": true}",
                   SAC_ERROR_FORMAT, "expected shape");
    expect_refusal(good, "design", "{\"tasks\": [], \"residual\": true}", SAC_ERROR_FORMAT,
                   "no task");
    expect_refusal(good, "design",
                   "{\"tasks\": [\"middle\", \"arrow\", \"irregularity\"], \"residual\": false}",
                   SAC_ERROR_FORMAT, "middle.crop");
    // A weight that is not a number.
    sac_params_find(model->params, "arrow.block1.conv.weight")->data[5] = NAN;
    const char *nan_path = sac_test_path("nan.safetensors");
    sac_status status = sac_ssmtl_model_write(model, nan_path, NULL, NULL);
    if (status == SAC_OK) {
        sac_teacher *teacher = NULL;
        sac_assert_error(sac_teacher_open(&teacher, nan_path, SAC_BACKEND_REF, &error),
                         SAC_ERROR_NUMERIC, &error, "arrow.block1.conv.weight", NULL);
    } else {
        cr_assert_eq(status, SAC_ERROR_NUMERIC);
    }
    expect_cuts_refused(good, 20000, 97);
    sac_ssmtl_model_close(&model);
}
