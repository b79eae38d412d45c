// Networks, teacher file and scorer of the background-agnostic teacher.
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "agnostic_scene.h"
#include "core/memory.h"
#include "core/rng.h"
#include "core/safetensors.h"
#include "helper.h"
#include "nn/infer.h"
#include "teacher_files.h"
#include "teachers/agnostic.h"
#include "teachers/agnostic_fields.h"
#include "teachers/teacher.h"
#include "video/scale.h"

enum { S = 16, AREA = S * S, CODE = 16 * 2 * 2 };

static sac_net *make_net(sac_agnostic_part part, int branch, int width, int64_t size,
                         double lambda) {
    sac_net *net = NULL;
    sac_error error = {0};
    sac_assert_ok(
        sac_agnostic_net(&net, part, branch, (sac_agnostic_width)width, size, lambda, &error),
        &error);
    return net;
}

static int64_t count_macs(const sac_net *net) {
    int64_t macs = 0;
    for (int i = 0; i < sac_net_count(net); i++) macs += sac_net_macs(net, i);
    return macs;
}

Test(teachers_agnostic, networks_by_hand) {
    static const int64_t widths[2][3] = {{16, 16, 16}, {32, 32, 16}};
    for (int w = 0; w < 2; w++) {
        int64_t model = 0;
        for (int k = 0; k < SAC_AGNOSTIC_BRANCHES; k++) {
            const int64_t c = sac_agnostic_branch_channels(k), a = widths[w][0], b = widths[w][1],
                          e = widths[w][2], full = 64 * 64 * 9;
            const int64_t encoder = full * c * a + full / 4 * a * b + full / 16 * b * e;
            const int64_t decoder =
                full / 16 * 16 * e + full / 4 * e * b + full * b * a + full * a * c;
            const int64_t judge = full * c * 16 + full / 4 * 16 * 32 + full / 16 * 32 * 16 +
                                  full / 64 * 32 * 32 + 4 * 4 * 32;
            sac_net *net = make_net(SAC_AGNOSTIC_CODER, k, w, 64, 0);
            cr_assert_eq(count_macs(net), encoder + decoder, "coder %d of width %d", k, w);
            int code = sac_net_find(net, k == 0   ? "appearance.code"
                                         : k == 1 ? "backward.code"
                                                  : "forward.code");
            sac_shape shapes[64];
            sac_error error = {0};
            cr_assert(code >= 0 && sac_net_is_output(net, code) && sac_net_count(net) <= 64);
            sac_assert_ok(sac_net_shapes(net, 1, shapes, &error), &error);
            cr_assert(shapes[code].dims[1] == 16 && shapes[code].dims[2] == 8 &&
                      shapes[code].dims[3] == 8);
            sac_net_close(&net);
            net = make_net(SAC_AGNOSTIC_LEARN, k, w, 64, 1);
            cr_assert_eq(count_macs(net), 2 * (encoder + decoder), "learner %d of width %d", k, w);
            sac_net_close(&net);
            net = make_net(SAC_AGNOSTIC_JUDGE, k, w, 64, 0);
            cr_assert_eq(count_macs(net), judge, "judge %d: %lld, %lld by hand", k,
                         (long long)count_macs(net), (long long)judge);
            sac_net_close(&net);
            model += encoder + decoder + judge;
        }
        sac_net *net = make_net(SAC_AGNOSTIC_MODEL, 0, w, 64, 0);
        cr_assert_eq(count_macs(net), model);
        sac_net_close(&net);
    }
}

Test(teachers_agnostic, parts_share_parameters_by_name) {
    sac_error error = {0};
    sac_params *learn = NULL, *coder = NULL, *judge = NULL, *model = NULL;
    sac_net *nets[4] = {
        make_net(SAC_AGNOSTIC_LEARN, 1, 0, S, 1), make_net(SAC_AGNOSTIC_CODER, 1, 0, S, 1),
        make_net(SAC_AGNOSTIC_JUDGE, 1, 0, S, 1), make_net(SAC_AGNOSTIC_MODEL, 1, 0, S, 1)};
    sac_assert_ok(sac_params_create(&learn, nets[0], &error), &error);
    sac_assert_ok(sac_params_create(&coder, nets[1], &error), &error);
    sac_assert_ok(sac_params_create(&judge, nets[2], &error), &error);
    sac_assert_ok(sac_params_create(&model, nets[3], &error), &error);
    // A pseudo-abnormal crop goes through the encoder of the normal ones; the adversary has weights
    // of its own.
    cr_assert_not_null(sac_params_find(learn, "backward.encoder1.weight"));
    cr_assert_null(sac_params_find(learn, "backward.pseudo.encoder1.weight"));
    cr_assert_not_null(sac_params_find(learn, "backward.adversary1.weight"));
    cr_assert_eq(sac_params_count(coder), 2 * (3 + 4));
    cr_assert_eq(sac_params_count(learn), 2 * (3 + 4 + 4));
    cr_assert_eq(sac_agnostic_take(coder, learn), sac_params_count(coder));
    // Everything of one branch of the model comes from learner and judge.
    cr_assert_eq(sac_agnostic_take(model, learn) + sac_agnostic_take(model, judge),
                 sac_params_count(model) / 3);
    sac_params_close(&learn);
    sac_params_close(&coder);
    sac_params_close(&judge);
    sac_params_close(&model);
    for (int i = 0; i < 4; i++) sac_net_close(&nets[i]);
}

Test(teachers_agnostic, refuses_bad_sizes) {
    static const int64_t bad[] = {0, 8, 20, 264, -64};
    sac_net *net = NULL;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        sac_error error = {0};
        sac_assert_error(
            sac_agnostic_net(&net, SAC_AGNOSTIC_MODEL, 0, SAC_AGNOSTIC_NARROW, bad[i], 1, &error),
            SAC_ERROR_ARGUMENT, &error, "multiple of 8", NULL);
    }
    sac_error error = {0};
    sac_assert_error(
        sac_agnostic_net(&net, SAC_AGNOSTIC_LEARN, 3, SAC_AGNOSTIC_NARROW, 64, 1, &error),
        SAC_ERROR_ARGUMENT, &error, "branch 3", NULL);
    error = (sac_error){0};
    sac_assert_error(
        sac_agnostic_net(&net, SAC_AGNOSTIC_LEARN, 0, SAC_AGNOSTIC_WIDTH_COUNT, 64, 1, &error),
        SAC_ERROR_ARGUMENT, &error, "width", NULL);
    error = (sac_error){0};
    sac_assert_error(
        sac_agnostic_net(&net, SAC_AGNOSTIC_LEARN, 0, SAC_AGNOSTIC_NARROW, 64, -1, &error),
        SAC_ERROR_ARGUMENT, &error, "lambda", NULL);
    bool worked = false;
    for (int64_t n = 0; n < 4000 && !worked; n += 13) {
        sac_memory_fail_after(n);
        sac_status status =
            sac_agnostic_net(&net, SAC_AGNOSTIC_LEARN, 0, SAC_AGNOSTIC_NARROW, 16, 1, NULL);
        sac_memory_fail_after(-1);
        worked = status == SAC_OK;
        if (!worked) cr_assert_eq(status, SAC_ERROR_MEMORY, "after %d allocations", (int)n);
    }
    cr_assert(worked);
    sac_net_close(&net);
}

// ---- gradients ----------------------------------------------------------------------------------

enum { ROWS = 2, VALUES = ROWS * 2 * AREA };

static double mean_abs(const float *values) {
    double sum = 0;
    for (int i = 0; i < VALUES; i++) sum += fabs((double)values[i]);
    return sum / VALUES;
}

static void set_signs(float *grad, const float *values) {
    for (int i = 0; i < VALUES; i++)
        grad[i] = values[i] > 0 ? 1.0f / VALUES : values[i] < 0 ? -1.0f / VALUES : 0;
}

static void draw_params(sac_params *params) {
    sac_rng rng;
    sac_rng_seed(&rng, 8, 1);
    sac_params_init(params, &rng);
    for (int64_t i = 0; i < sac_params_count(params); i++) {
        sac_param *p = sac_params_at(params, i);
        for (int64_t k = 0; k < p->count; k++)
            p->data[k] += (float)(0.1 * sac_rng_uniform(&rng) - 0.05);
    }
}

// Central differences of both errors along the gradient of each tensor: E descends on the error of
// normal crops and climbs, lambda times as steeply, on that of pseudo-abnormal ones; D and A
// descend on theirs.
Test(teachers_agnostic, gradients_of_both_errors) {
    const double lambda = 0.7, step = 2e-3;
    sac_error error = {0};
    sac_net *net = make_net(SAC_AGNOSTIC_LEARN, SAC_AGNOSTIC_FORWARD, 0, S, lambda);
    sac_params *params = NULL;
    sac_train *train = NULL;
    sac_assert_ok(sac_params_create(&params, net, &error), &error);
    draw_params(params);
    sac_plan_options plan = {.batch = ROWS, .backend = SAC_BACKEND_REF};
    sac_assert_ok(sac_train_create(&train, net, params, &plan, &error), &error);
    sac_rng rng;
    sac_rng_seed(&rng, 9, 1);
    float *x = sac_train_input(train, "forward"), *p = sac_train_input(train, "forward.pseudo");
    for (int i = 0; i < VALUES; i++) {
        x[i] = (float)(2 * sac_rng_uniform(&rng) - 1);
        p[i] = (float)(3 * sac_rng_uniform(&rng) - 1);
    }
    const float *normal = sac_train_output(train, "forward.error");
    const float *adverse = sac_train_output(train, "forward.adversary.error");
    sac_assert_ok(sac_train_forward(train, &error), &error);
    set_signs(sac_train_output_grad(train, "forward.error"), normal);
    set_signs(sac_train_output_grad(train, "forward.adversary.error"), adverse);
    sac_params_zero_grad(params);
    sac_assert_ok(sac_train_backward(train, &error), &error);
    int encoders = 0, decoders = 0, adversaries = 0;
    for (int64_t i = 0; i < sac_params_count(params); i++) {
        sac_param *q = sac_params_at(params, i);
        double norm = 0, both[2][2];
        for (int64_t k = 0; k < q->count; k++) norm += (double)q->grad[k] * (double)q->grad[k];
        norm = sqrt(norm);
        cr_assert_gt(norm, 1e-6, "%s has no gradient", q->name);
        float *kept = sac_calloc(q->count, sizeof *kept);
        memcpy(kept, q->data, (size_t)q->count * sizeof *kept);
        for (int side = 0; side < 2; side++) {
            for (int64_t k = 0; k < q->count; k++)
                q->data[k] =
                    kept[k] + (float)((side == 0 ? step : -step) * (double)q->grad[k] / norm);
            sac_assert_ok(sac_train_forward(train, &error), &error);
            both[side][0] = mean_abs(normal);
            both[side][1] = mean_abs(adverse);
        }
        memcpy(q->data, kept, (size_t)q->count * sizeof *kept);
        sac_free(kept);
        const double slope_normal = (both[0][0] - both[1][0]) / (2 * step);
        const double slope_adverse = (both[0][1] - both[1][1]) / (2 * step);
        double expected = slope_normal + slope_adverse;
        if (strstr(q->name, ".encoder") != NULL) {
            expected = slope_normal - lambda * slope_adverse;
            encoders++;
            cr_assert(fabs(slope_adverse) > 1e-3 * norm, "%s does not reach the adversary",
                      q->name);
        } else if (strstr(q->name, ".decoder") != NULL) {
            decoders++;
            cr_assert_lt(fabs(slope_adverse), 1e-12, "%s moves the adversary", q->name);
        } else {
            adversaries++;
            cr_assert_lt(fabs(slope_normal), 1e-12, "%s moves the decoder", q->name);
        }
        cr_assert_float_eq(norm, expected, 0.02 * norm, "%s: gradient %g, by differences %g",
                           q->name, norm, expected);
    }
    cr_assert(encoders == 6 && decoders == 8 && adversaries == 8);
    sac_train_close(&train);
    sac_params_close(&params);
    sac_net_close(&net);
}

// The same gradients on oneDNN.
Test(teachers_agnostic, gradients_of_both_backends) {
    sac_error error = {0};
    sac_net *net = make_net(SAC_AGNOSTIC_LEARN, SAC_AGNOSTIC_FORWARD, 1, S, 2);
    sac_params *params[2];
    for (int b = 0; b < 2; b++) {
        sac_train *train = NULL;
        sac_assert_ok(sac_params_create(&params[b], net, &error), &error);
        draw_params(params[b]);
        sac_plan_options plan = {.batch = ROWS,
                                 .backend = b == 0 ? SAC_BACKEND_ONEDNN : SAC_BACKEND_REF};
        sac_assert_ok(sac_train_create(&train, net, params[b], &plan, &error), &error);
        sac_rng rng;
        sac_rng_seed(&rng, 10, 1);
        float *x = sac_train_input(train, "forward"), *p = sac_train_input(train, "forward.pseudo");
        for (int i = 0; i < VALUES; i++) {
            x[i] = (float)(2 * sac_rng_uniform(&rng) - 1);
            p[i] = (float)(3 * sac_rng_uniform(&rng) - 1);
        }
        sac_assert_ok(sac_train_forward(train, &error), &error);
        float *grads[2] = {sac_train_output_grad(train, "forward.error"),
                           sac_train_output_grad(train, "forward.adversary.error")};
        for (int i = 0; i < VALUES; i++) {
            grads[0][i] = (float)(sac_rng_uniform(&rng) - 0.5);
            grads[1][i] = (float)(sac_rng_uniform(&rng) - 0.5);
        }
        sac_params_zero_grad(params[b]);
        sac_assert_ok(sac_train_backward(train, &error), &error);
        sac_train_close(&train);
    }
    for (int64_t i = 0; i < sac_params_count(params[0]); i++) {
        const sac_param *a = sac_params_at(params[0], i), *b = sac_params_at(params[1], i);
        sac_assert_close(a->grad, b->grad, 1, &a->count, 2e-5, a->name);
    }
    sac_params_close(&params[0]);
    sac_params_close(&params[1]);
    sac_net_close(&net);
}

// ---- model and scorer ---------------------------------------------------------------------------

static sac_agnostic_model *make_model(void) {
    sac_error error = {0};
    sac_agnostic_model *model = sac_calloc(1, sizeof *model);
    model->net = make_net(SAC_AGNOSTIC_MODEL, 0, 0, S, 0);
    sac_assert_ok(sac_params_create(&model->params, model->net, &error), &error);
    sac_rng rng;
    sac_rng_seed(&rng, 3, 0);
    sac_params_init(model->params, &rng);
    model->crop_size = S;
    model->flow_unit = 1.5;
    sac_calibration_init(&model->calibration, SAC_AGNOSTIC_BRANCHES, sac_agnostic_branch_name,
                         SAC_COMBINE_MEAN);
    model->calibration.objects = 9;
    for (int k = 0; k < 3; k++) model->calibration.high[k] = 1 + k;
    model->calibration.mean_high = 2;
    return model;
}

// MODEL is CODER and JUDGE behind each other.
Test(teachers_agnostic, model_is_coder_and_judge) {
    sac_error error = {0};
    sac_agnostic_model *model = make_model();
    sac_plan_options plan = {.batch = 2, .backend = SAC_BACKEND_ONEDNN};
    sac_infer *whole = NULL;
    sac_assert_ok(sac_infer_create(&whole, model->net, model->params, &plan, &error), &error);
    sac_rng rng;
    sac_rng_seed(&rng, 4, 0);
    for (int k = 0; k < SAC_AGNOSTIC_BRANCHES; k++) {
        float *x = sac_infer_input(whole, sac_agnostic_branch_name(k));
        for (int64_t i = 0; i < 2 * sac_agnostic_branch_channels(k) * AREA; i++)
            x[i] = (float)(2 * sac_rng_uniform(&rng) - 1);
    }
    sac_assert_ok(sac_infer_run(whole, &error), &error);
    for (int k = 0; k < SAC_AGNOSTIC_BRANCHES; k++) {
        const char *branch = sac_agnostic_branch_name(k);
        const int64_t n = 2 * sac_agnostic_branch_channels(k) * AREA;
        sac_net *nets[2] = {make_net(SAC_AGNOSTIC_CODER, k, 0, S, 0),
                            make_net(SAC_AGNOSTIC_JUDGE, k, 0, S, 0)};
        sac_params *params[2] = {NULL, NULL};
        sac_infer *infer[2] = {NULL, NULL};
        for (int i = 0; i < 2; i++) {
            sac_assert_ok(sac_params_create(&params[i], nets[i], &error), &error);
            cr_assert_eq(sac_agnostic_take(params[i], model->params), sac_params_count(params[i]));
            sac_assert_ok(sac_infer_create(&infer[i], nets[i], params[i], &plan, &error), &error);
        }
        char name[4][48];
        (void)snprintf(name[0], sizeof name[0], "%s.error", branch);
        (void)snprintf(name[1], sizeof name[1], "%s.difference.in", branch);
        (void)snprintf(name[2], sizeof name[2], "%s.code.in", branch);
        (void)snprintf(name[3], sizeof name[3], "%s.logit", branch);
        memcpy(sac_infer_input(infer[0], branch), sac_infer_input(whole, branch),
               (size_t)n * sizeof(float));
        sac_assert_ok(sac_infer_run(infer[0], &error), &error);
        const float *e = sac_infer_output(infer[0], name[0]);
        sac_assert_close(sac_infer_output(whole, name[0]), e, 1, &n, 1e-5, name[0]);
        float *difference = sac_infer_input(infer[1], name[1]);
        for (int64_t i = 0; i < n; i++) difference[i] = fabsf(e[i]);
        char code[48];
        (void)snprintf(code, sizeof code, "%s.code", branch);
        memcpy(sac_infer_input(infer[1], name[2]), sac_infer_output(infer[0], code),
               2 * CODE * sizeof(float));
        sac_assert_ok(sac_infer_run(infer[1], &error), &error);
        int64_t two = 2;
        sac_assert_close(sac_infer_output(whole, name[3]), sac_infer_output(infer[1], name[3]), 1,
                         &two, 1e-4, name[3]);
        for (int i = 0; i < 2; i++) {
            sac_infer_close(&infer[i]);
            sac_params_close(&params[i]);
            sac_net_close(&nets[i]);
        }
    }
    sac_infer_close(&whole);
    sac_agnostic_model_close(&model);
}

static bool stop_now(void) {
    return true;
}

// Every object's scores are those of its own crops, whatever the batch; first and last frame use
// the flow they have.
Test(teachers_agnostic, scores_of_a_clip) {
    sac_error error = {0};
    sac_agnostic_model *model = make_model();
    scene s;
    scene_make(&s, 1);
    // Leave frames without objects, so that fields are needed here and there only.
    sac_detections d = {.frames = SCENE_FRAMES, .start = sac_calloc(SCENE_FRAMES + 1, 8)};
    d.boxes = sac_calloc(s.detections[0].count, sizeof *d.boxes);
    for (int t = 0; t < SCENE_FRAMES; t++) {
        if (t < 4 || t % 5 == 0 || t == SCENE_FRAMES - 1) {
            for (int i = 0; i < SCENE_PER_FRAME; i++)
                d.boxes[d.count++] = s.detections[0].boxes[t * SCENE_PER_FRAME + i];
        }
        d.start[t + 1] = d.count;
    }
    const uint8_t *pixels = s.clips[0].pixels;
    float *expected = sac_calloc(3 * d.count, sizeof *expected);
    sac_plan_options plan = {.batch = 1, .backend = SAC_BACKEND_REF};
    sac_infer *infer = NULL;
    sac_field_store *store = NULL;
    sac_field_clip clip = {pixels, SCENE_FRAMES, SCENE_W, SCENE_H};
    sac_assert_ok(sac_infer_create(&infer, model->net, model->params, &plan, &error), &error);
    sac_assert_ok(sac_field_store_make(&store, &clip, 1, NULL, INT64_MAX, NULL, NULL, NULL, &error),
                  &error);
    for (int t = 0; t < SCENE_FRAMES; t++) {
        for (int64_t i = d.start[t]; i < d.start[t + 1]; i++) {
            const sac_box *b = &d.boxes[i];
            sac_crop_gray(sac_infer_input(infer, "appearance"), S, S,
                          pixels + (int64_t)t * SCENE_PICTURE, SCENE_W, SCENE_H, (double)b->x1,
                          (double)b->y1, (double)b->x2, (double)b->y2);
            sac_field before = sac_field_store_at(store, 0, t - 1);
            sac_field after = sac_field_store_at(store, 0, t);
            sac_field_crop(sac_infer_input(infer, "backward"), S, &before, b, 1.5);
            sac_field_crop(sac_infer_input(infer, "forward"), S, &after, b, 1.5);
            sac_assert_ok(sac_infer_run(infer, &error), &error);
            static const char *const logits[] = {"appearance.logit", "backward.logit",
                                                 "forward.logit"};
            for (int k = 0; k < 3; k++) {
                double logit = (double)*sac_infer_output(infer, logits[k]);
                expected[3 * i + k] = (float)(1 / (1 + exp(-logit)));
            }
        }
    }
    int64_t dims[2] = {d.count, 3};
    float *tasks = sac_calloc(3 * d.count, sizeof *tasks);
    static const int64_t batches[] = {1, 7, 64};
    for (int i = 0; i < 3; i++) {
        sac_agnostic_scorer *scorer = NULL;
        sac_assert_ok(
            sac_agnostic_scorer_create(&scorer, model, batches[i], SAC_BACKEND_ONEDNN, &error),
            &error);
        for (int again = 0; again < 2; again++) {
            memset(tasks, 0, (size_t)(3 * d.count) * sizeof *tasks);
            sac_assert_ok(sac_agnostic_scorer_run(scorer, tasks, &d, pixels, SCENE_W, SCENE_H, NULL,
                                                  NULL, NULL, &error),
                          &error);
            sac_assert_close(tasks, expected, 2, dims, 1e-4, "tasks");
        }
        sac_assert_error(sac_agnostic_scorer_run(scorer, tasks, &d, pixels, SCENE_W, SCENE_H,
                                                 stop_now, NULL, NULL, &error),
                         SAC_ERROR_INTERRUPTED, &error, "interrupted", NULL);
        error = (sac_error){0};
        // A clip of one frame, then one of another size.
        int64_t start[2] = {0, 3};
        sac_detections one = {.frames = 1, .count = 3, .start = start, .boxes = d.boxes};
        sac_assert_ok(sac_agnostic_scorer_run(scorer, tasks, &one, pixels, SCENE_W, SCENE_H, NULL,
                                              NULL, NULL, &error),
                      &error);
        cr_assert(isfinite(tasks[8]));
        sac_assert_ok(sac_agnostic_scorer_run(scorer, tasks, &d, pixels, SCENE_W / 2, SCENE_H, NULL,
                                              NULL, NULL, &error),
                      &error);
        sac_assert_error(
            sac_agnostic_scorer_run(scorer, tasks, &one, pixels, 4, 4, NULL, NULL, NULL, &error),
            SAC_ERROR_ARGUMENT, &error, NULL);
        error = (sac_error){0};
        sac_agnostic_scorer_close(&scorer);
    }
    sac_free(tasks);
    sac_free(expected);
    sac_field_store_close(&store);
    sac_infer_close(&infer);
    sac_detections_close(&d);
    scene_close(&s);
    sac_agnostic_model_close(&model);
}

Test(teachers_agnostic, file_round_trip) {
    sac_error error = {0};
    sac_agnostic_model *model = make_model(), *back = NULL;
    const char *path = sac_test_path("teacher.safetensors");
    sac_assert_ok(sac_agnostic_model_write(model, path, NULL, &error), &error);
    sac_safetensors *st = NULL;
    sac_assert_ok(sac_safetensors_read(&st, path, &error), &error);
    sac_assert_ok(sac_agnostic_model_parse(&back, st, path, &error), &error);
    sac_safetensors_close(&st);
    cr_assert_eq(back->crop_size, S);
    cr_assert_eq(back->flow_unit, 1.5);
    cr_assert_eq(back->calibration.high[2], 3);
    cr_assert_str_eq(back->calibration.name[1], "backward");
    for (int64_t i = 0; i < sac_params_count(model->params); i++) {
        const sac_param *a = sac_params_at(model->params, i), *b = sac_params_at(back->params, i);
        cr_assert_eq(memcmp(a->data, b->data, (size_t)a->count * sizeof(float)), 0, "%s", a->name);
    }
    // Through the family's door too.
    sac_teacher *teacher = NULL;
    sac_assert_ok(sac_teacher_open(&teacher, path, SAC_BACKEND_ONEDNN, &error), &error);
    cr_assert_str_eq(sac_teacher_name(teacher), "background-agnostic");
    cr_assert_eq(sac_teacher_task_count(teacher), 3);
    cr_assert_str_eq(sac_teacher_task_name(teacher, 0), "appearance");
    scene s;
    scene_make(&s, 1);
    float *scores = sac_calloc(s.detections[0].count, sizeof *scores);
    sac_assert_ok(sac_teacher_score(teacher, scores, NULL, &s.detections[0], s.clips[0].pixels,
                                    SCENE_W, SCENE_H, NULL, NULL, NULL, &error),
                  &error);
    for (int64_t i = 0; i < s.detections[0].count; i++) cr_assert(scores[i] >= 0 && scores[i] <= 1);
    sac_free(scores);
    scene_close(&s);
    sac_teacher_close(&teacher);
    sac_agnostic_model_close(&model);
    sac_agnostic_model_close(&back);
}

Test(teachers_agnostic, refuses_foreign_files) {
    sac_error error = {0};
    sac_agnostic_model *model = make_model();
    const char *good = sac_test_path("good.safetensors");
    sac_assert_ok(sac_agnostic_model_write(model, good, NULL, &error), &error);
    expect_refusal(good, "teacher", "ssmtl", SAC_ERROR_FORMAT, "");
    expect_refusal(good, "crop_size", "sixteen", SAC_ERROR_FORMAT, "crop_size");
    expect_refusal(good, "crop_size", "32", SAC_ERROR_FORMAT, "expected shape");
    expect_refusal(good, "crop_size", "1e9", SAC_ERROR_FORMAT, "crop_size");
    expect_refusal(good, "flow_unit", "nan", SAC_ERROR_FORMAT, "flow_unit");
    expect_refusal(good, "flow_unit", "0", SAC_ERROR_FORMAT, "flow_unit");
    expect_refusal(good, "flow_unit", "-2", SAC_ERROR_FORMAT, "flow_unit");
    expect_refusal(good, "network", "{", SAC_ERROR_FORMAT, "");
    expect_refusal(good, "network", "{\"nodes\": []}", SAC_ERROR_FORMAT, "");
    expect_refusal(good, "calibration", "{\"objects\": 0}", SAC_ERROR_FORMAT, "objects");
    expect_refusal(good, "calibration", "{\"objects\": 5, \"tasks\": {}}", SAC_ERROR_FORMAT,
                   "appearance");
    // A network of another part: no logits.
    sac_net *coder = make_net(SAC_AGNOSTIC_CODER, 0, 0, S, 0);
    json_t *json = sac_net_to_json(coder);
    char *text = json_dumps(json, JSON_COMPACT);
    expect_refusal(good, "network", text, SAC_ERROR_FORMAT, "inputs");
    free(text);
    json_decref(json);
    sac_net_close(&coder);
    expect_cuts_refused(good, 30000, 331);
    sac_agnostic_model_close(&model);
}
