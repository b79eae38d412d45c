// SSMTL network, samples, task scores, calibration and the teacher file.
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "core/file.h"
#include "core/memory.h"
#include "core/rng.h"
#include "core/safetensors.h"
#include "helper.h"
#include "teachers/ssmtl.h"
#include "teachers/teacher.h"
#include "video/scale.h"

enum { W = 40, H = 30, FRAMES = 12, S = 16 };

Test(teachers_ssmtl, networks_of_all_backbones) {
    // Multiply-accumulates of one convolution 3x3x3 layer list, by hand, for the narrow ones at 64 px gray.
    for (int b = 0; b < 4; b++) {
        const sac_ssmtl_backbone *backbone = sac_ssmtl_backbone_at(b);
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
        sac_assert_ok(sac_ssmtl_net(&net, b, 64, &error), &error);
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
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        sac_error error = {0};
        sac_assert_error(sac_ssmtl_net(&net, 0, bad[i], &error), SAC_ERROR_ARGUMENT, &error,
                         "multiple of 8", NULL);
    }
    sac_error error = {0};
    sac_assert_error(sac_ssmtl_net(&net, 2, 24, &error), SAC_ERROR_ARGUMENT, &error,
                     "multiple of 16", NULL);
    error = (sac_error){0};
    sac_assert_error(sac_ssmtl_net(&net, 9, 64, &error), SAC_ERROR_ARGUMENT, &error, "backbone",
                     NULL);
    bool worked = false;
    for (int64_t n = 0; n < 2000 && !worked; n += 7) {
        sac_memory_fail_after(n);
        sac_status status = sac_ssmtl_net(&net, 0, 16, NULL);
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

Test(teachers_ssmtl, samples_are_filled_as_described) {
    uint8_t *pixels = make_pixels();
    sac_ssmtl_sample samples[4];
    for (int i = 0; i < 4; i++) {
        samples[i] = (sac_ssmtl_sample){.pixels = pixels,
                                        .width = W,
                                        .height = H,
                                        .frames = FRAMES,
                                        .t = 2 + 2 * i,
                                        .box = {3, 4, 20, 25, 1, -1},
                                        .reversed = (i & 1) != 0,
                                        .intermittent = (i & 2) != 0,
                                        .times = {0, 1, 4, 2 + 2 * i, 9, 10, 11}};
    }
    enum { AREA = S * S };
    static float arrow[4 * 6 * AREA], irregular[4 * 7 * AREA], residual[4 * AREA];
    float contrast[4];
    sac_ssmtl_fill(arrow, irregular, residual, contrast, samples, 4, S);
    float crop[AREA];
    int64_t dims[2] = {S, S};
    for (int i = 0; i < 4; i++) {
        for (int k = 0; k < 7; k++) {
            int64_t t = samples[i].intermittent ? samples[i].times[k] : samples[i].t - 3 + k;
            t = t < 0 ? 0 : t;
            sac_crop_gray(crop, S, S, pixels + t * W * H, W, H, 3, 4, 20, 25);
            sac_assert_close(irregular + (i * 7 + k) * AREA, crop, 2, dims, 0, "irregular input");
            if (k == 3) {
                float expected[AREA];
                double mean = 0, deviation = 0;
                sac_crop_gray(crop, S, S, pixels + samples[i].t * W * H, W, H, 3, 4, 20, 25);
                for (int p = 0; p < AREA; p++) {
                    // Arrow crops 2 and 3 are the neighbours, whichever way the sequence is played.
                    expected[p] = crop[p] - 0.5f * (arrow[(i * 6 + 2) * AREA + p] +
                                                    arrow[(i * 6 + 3) * AREA + p]);
                    mean += (double)crop[p] / AREA;
                }
                for (int p = 0; p < AREA; p++) deviation += fabs((double)crop[p] - mean) / AREA;
                sac_assert_close(residual + i * AREA, expected, 2, dims, 1e-6, "residual");
                cr_assert_float_eq(contrast[i], deviation, 1e-6);
                continue;
            }
            // Arrow: consecutive frames without the middle one, forward or backward.
            int64_t step = samples[i].reversed ? 3 - k : k - 3;
            t = samples[i].t + step;
            t = t < 0 ? 0 : t >= FRAMES ? FRAMES - 1 : t;
            sac_crop_gray(crop, S, S, pixels + t * W * H, W, H, 3, 4, 20, 25);
            sac_assert_close(arrow + (i * 6 + (k < 3 ? k : k - 1)) * AREA, crop, 2, dims, 0,
                             "arrow input");
        }
    }
    sac_free(pixels);
}

// An untrained model with a calibration.
static sac_ssmtl_model *make_model(void) {
    sac_ssmtl_model *model = sac_calloc(1, sizeof *model);
    sac_error error = {0};
    sac_rng rng;
    sac_rng_seed(&rng, 2, 0);
    sac_assert_ok(sac_ssmtl_net(&model->net, 0, S, &error), &error);
    sac_assert_ok(sac_params_create(&model->params, model->net, &error), &error);
    sac_params_init(model->params, &rng);
    model->crop_size = S;
    sac_calibration *c = &model->calibration;
    const double median[] = {0.2, -1.5, 0.25}, high[] = {0.5, 2, 3.75};
    sac_ssmtl_calibration_init(c);
    c->objects = 10;
    for (int k = 0; k < SAC_SSMTL_TASKS; k++) {
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
        tasks[i] = sac_calloc(d.count * SAC_SSMTL_TASKS, sizeof(float));
        memset(tasks[i], 0xff, (size_t)(d.count * SAC_SSMTL_TASKS) * sizeof(float));
        sac_assert_ok(sac_ssmtl_scorer_create(&scorer, model, batch[i],
                                              i == 0 ? SAC_BACKEND_REF : SAC_BACKEND_ONEDNN,
                                              &error),
                      &error);
        sac_assert_ok(
            sac_ssmtl_scorer_run(scorer, tasks[i], &d, pixels, W, H, NULL, NULL, NULL, &error),
            &error);
        sac_ssmtl_scorer_close(&scorer);
    }
    int64_t dims[2] = {d.count, SAC_SSMTL_TASKS};
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

// Rewrites one metadata entry of a good file and expects a certain refusal.
static void expect_refusal(const char *good, const char *key, const char *value, sac_status code,
                           const char *word) {
    sac_safetensors *st = NULL;
    sac_error error = {0};
    const char *path = sac_test_path("hostile.safetensors");
    sac_assert_ok(sac_safetensors_read(&st, good, &error), &error);
    sac_assert_ok(sac_safetensors_set_metadata(st, key, value, &error), &error);
    sac_assert_ok(sac_safetensors_write(st, path, &error), &error);
    sac_safetensors_close(&st);
    sac_teacher *teacher = NULL;
    sac_assert_error(sac_teacher_open(&teacher, path, SAC_BACKEND_REF, &error), code, &error,
                     "hostile.safetensors", word, NULL);
    cr_assert_null(teacher);
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
    // Truncated at every 97th byte of the header region and a few places in the data.
    uint8_t *bytes = NULL;
    size_t size = 0;
    error = (sac_error){0};
    sac_assert_ok(sac_file_read(&bytes, &size, good, 1u << 28, &error), &error);
    for (size_t cut = 0; cut < size; cut += cut < 20000 ? 97 : size / 7) {
        const char *path = sac_test_write("cut.safetensors", bytes, cut);
        sac_teacher *teacher = NULL;
        error = (sac_error){0};
        sac_assert_error(sac_teacher_open(&teacher, path, SAC_BACKEND_REF, &error),
                         SAC_ERROR_FORMAT, &error, "cut.safetensors", NULL);
    }
    sac_free(bytes);
    sac_ssmtl_model_close(&model);
}
