// The quantisation table, its JSON against hostile input, groups, calibration, fake quantisation
// (reference, oneDNN, gradients) and the fine-tuning network.
#include <math.h>
#include <string.h>

#include <criterion/criterion.h>

#include "core/json.h"
#include "core/memory.h"
#include "gradcheck.h"
#include "helper.h"
#include "nn/calibrate.h"
#include "nn/fold.h"
#include "nn/quant.h"
#include "quant_net.h"

static const quant_net_sizes small = {.height = 34, .width = 40, .stem = 4, .body = 12, .head = 8};

static sac_net *folded_of(const sac_net *net) {
    sac_net *folded = NULL;
    sac_error error = {0};
    sac_assert_ok(sac_fold_net(&folded, net, &error), &error);
    return folded;
}

static sac_quant *calibrated(const sac_net *net, const sac_params *params, sac_clip_rule rule) {
    sac_error error = {0};
    sac_calibrate *c = NULL;
    sac_quant *quant = NULL;
    const sac_plan_options plan = {.batch = 2};
    sac_calibrate_options options = sac_calibrate_defaults();
    options.rule = rule;
    sac_assert_ok(sac_calibrate_create(&c, net, params, &plan, &options, &error), &error);
    sac_rng rng;
    sac_rng_seed(&rng, 7, 1);
    for (int run = 0; run < 3; run++) {
        float *x = sac_calibrate_input(c, "frames");
        for (int64_t i = 0; i < 2 * 3 * small.height * small.width; i++)
            x[i] = (float)quant_net_pixel(&rng, i, small.width) / 255.0f;
        sac_assert_ok(sac_calibrate_run(c, &error), &error);
    }
    sac_assert_ok(sac_calibrate_finish(c, &quant, &error), &error);
    sac_calibrate_close(&c);
    return quant;
}

Test(nn_quant, table_keeps_scales_and_goes_through_json) {
    sac_error error = {0};
    sac_quant *quant = NULL, *read = NULL, *copy = NULL;
    cr_assert_eq(sac_quant_create(&quant), SAC_OK);
    sac_assert_ok(sac_quant_set(quant, "a", 0.1, &error), &error);
    sac_assert_ok(sac_quant_set(quant, "b.relu/x", 1.0 / 255, &error), &error);
    sac_assert_ok(sac_quant_set(quant, "a", 0.3, &error), &error);
    cr_assert_eq(sac_quant_count(quant), 2);
    json_t *json = sac_quant_to_json(quant);
    sac_assert_ok(sac_quant_from_json(&read, json, "model", &error), &error);
    cr_assert_eq(sac_quant_copy(&copy, read), SAC_OK);
    cr_assert_eq(sac_quant_scale(copy, "a"), 0.3f);
    cr_assert_eq(sac_quant_scale(copy, "b.relu/x"), (float)(1.0 / 255));
    cr_assert_eq(sac_quant_scale(copy, "c"), 0.0f);
    cr_assert_eq(sac_quant_scale(NULL, "a"), 0.0f);
    json_decref(json);
    sac_quant_close(&quant);
    sac_quant_close(&read);
    sac_quant_close(&copy);
}

Test(nn_quant, hostile_json_is_refused_with_a_reason) {
    static const struct {
        const char *text;
        sac_status status;
        const char *reason;
    } cases[] = {
        {"[]", SAC_ERROR_FORMAT, "version"},
        {"{\"activations\": {}}", SAC_ERROR_FORMAT, "version"},
        {"{\"version\": 2, \"activations\": {}}", SAC_ERROR_UNSUPPORTED, "version 2"},
        {"{\"version\": 1}", SAC_ERROR_FORMAT, "activations"},
        {"{\"version\": 1, \"activations\": [1]}", SAC_ERROR_FORMAT, "activations"},
        {"{\"version\": 1, \"activations\": {\"a\": \"1\"}}", SAC_ERROR_FORMAT, "number"},
        {"{\"version\": 1, \"activations\": {\"a\": 0}}", SAC_ERROR_FORMAT, "expected"},
        {"{\"version\": 1, \"activations\": {\"a\": -1}}", SAC_ERROR_FORMAT, "expected"},
        {"{\"version\": 1, \"activations\": {\"a\": 1e300}}", SAC_ERROR_FORMAT, "expected"},
        {"{\"version\": 1, \"activations\": {\"\": 1}}", SAC_ERROR_FORMAT, "name"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        sac_error error = {0};
        json_t *json = NULL;
        sac_quant *quant = NULL;
        sac_assert_ok(sac_json_parse(&json, cases[i].text, strlen(cases[i].text), "t", &error),
                      &error);
        sac_assert_error(sac_quant_from_json(&quant, json, "m.json", &error), cases[i].status,
                         &error, "m.json", cases[i].reason, NULL);
        cr_assert_null(quant);
        json_decref(json);
    }
    sac_quant *quant = NULL;
    cr_assert_eq(sac_quant_create(&quant), SAC_OK);
    for (int i = 0; i < 4; i++) {
        static const double bad[] = {0, -1, INFINITY, NAN};
        sac_error error = {0};
        sac_assert_error(sac_quant_set(quant, "a", bad[i], &error), SAC_ERROR_ARGUMENT, &error,
                         "expected", NULL);
    }
    sac_quant_close(&quant);
}

Test(nn_quant, weights_round_to_127_steps_per_channel) {
    const float w[8] = {0.5f, -1.0f, 0.25f, 0.003f, 0, 0, 0, 0};
    int8_t q[8];
    float scales[2], fake[8];
    sac_quant_weights(q, scales, w, 2, 4);
    const int8_t want[8] = {64, -127, 32, 0, 0, 0, 0, 0}; // 63.5 to even, 31.75
    cr_assert_eq(memcmp(q, want, sizeof q), 0, "%d %d %d %d", q[0], q[1], q[2], q[3]);
    cr_assert_eq(scales[0], 1.0f / 127);
    cr_assert_eq(scales[1], 1.0f);
    sac_quant_weights_fake(fake, w, 2, 4);
    for (int i = 0; i < 8; i++) cr_assert_eq(fake[i], scales[i / 4] * (float)q[i]);
}

Test(nn_quant, groups_follow_the_values) {
    sac_net *net = quant_net(&small), *folded = folded_of(net);
    int group[64];
    cr_assert_lt(sac_net_count(folded), 64);
    const int groups = sac_quant_groups(group, folded);
#define GROUP(name) group[sac_net_find(folded, name)]
    cr_assert_geq(GROUP("frames"), 0);
    cr_assert_eq(GROUP("frames"), GROUP("stem1.slice"));
    cr_assert_eq(GROUP("stem0.a.relu"), GROUP("stem2.a.relu"));
    cr_assert_eq(GROUP("stem0.b.relu"), GROUP("stem1.b.relu"));
    cr_assert_eq(GROUP("stem0.b.relu"), GROUP("features"));
    cr_assert_neq(GROUP("stem0.a.relu"), GROUP("features"));
    cr_assert_neq(GROUP("body1.relu"), GROUP("body2.relu"));
    cr_assert_eq(GROUP("body2.add"), -1);
    cr_assert_eq(GROUP("body1.conv"), -1);
    cr_assert_eq(GROUP("head16.logit"), -1);
    cr_assert_eq(GROUP("map1"), -1);
    cr_assert_eq(groups, 8); // frames, a, b, body1, body2, three heads
    // Folding keeps what the stems share.
    cr_assert_str_eq(sac_net_node(folded, sac_net_find(folded, "stem2.b.conv"))->share,
                     "stem0.b.conv");
    sac_net_close(&net);
    sac_net_close(&folded);
}

Test(nn_quant, calibration_covers_what_it_saw) {
    sac_net *net = quant_net(&small);
    sac_params *params = quant_net_params(net, 11);
    sac_quant *largest = calibrated(net, params, SAC_CLIP_MAX),
              *percentile = calibrated(net, params, SAC_CLIP_PERCENTILE),
              *mse = calibrated(net, params, SAC_CLIP_MSE);
    cr_assert_eq(sac_quant_scale(mse, "frames"), (float)(1.0 / 255));
    cr_assert_eq(sac_quant_scale(mse, "stem0.b.relu"), sac_quant_scale(mse, "features"));
    cr_assert_eq(sac_quant_scale(mse, "map1"), 0.0f);
    for (int i = 0; i < sac_quant_count(largest); i++) {
        const char *name = sac_quant_name(largest, i);
        const float top = sac_quant_scale(largest, name);
        cr_assert(sac_quant_scale(mse, name) <= top * 1.001f &&
                      sac_quant_scale(mse, name) > 0.3f * top,
                  "%s: %g of %g", name, (double)sac_quant_scale(mse, name), (double)top);
        cr_assert(sac_quant_scale(percentile, name) <= top * 1.001f, "%s", name);
    }
    sac_quant_close(&largest);
    sac_quant_close(&percentile);
    sac_quant_close(&mse);
    sac_params_close(&params);
    sac_net_close(&net);
}

Test(nn_quant, calibration_says_what_it_cannot_do) {
    sac_net *net = quant_net(&small);
    sac_params *params = quant_net_params(net, 11);
    sac_error error = {0};
    sac_calibrate *c = NULL;
    sac_quant *quant = NULL;
    const sac_plan_options plan = {.batch = 1};
    sac_calibrate_options options = sac_calibrate_defaults();
    options.rule = SAC_CLIP_PERCENTILE;
    options.percentile = 101;
    sac_assert_error(sac_calibrate_create(&c, net, params, &plan, &options, &error),
                     SAC_ERROR_ARGUMENT, &error, "percentile", NULL);
    options = sac_calibrate_defaults();
    options.input_scale = -1;
    error = (sac_error){0};
    sac_assert_error(sac_calibrate_create(&c, net, params, &plan, &options, &error),
                     SAC_ERROR_ARGUMENT, &error, "scale", NULL);
    options = sac_calibrate_defaults();
    error = (sac_error){0};
    sac_assert_ok(sac_calibrate_create(&c, net, params, &plan, &options, &error), &error);
    sac_assert_error(sac_calibrate_finish(c, &quant, &error), SAC_ERROR_ARGUMENT, &error, "sample",
                     NULL);
    float *x = sac_calibrate_input(c, "frames");
    const int64_t n = 3 * small.height * small.width;
    for (int64_t i = 0; i < n; i++) x[i] = -0.5f + (float)(i % 200) / 100.0f;
    error = (sac_error){0};
    sac_assert_ok(sac_calibrate_run(c, &error), &error);
    sac_assert_ok(sac_calibrate_finish(c, &quant, &error), &error);
    cr_assert_eq(sac_quant_scale(quant, "frames"), 0.0f, "an input below zero stays f32");
    cr_assert_gt(sac_quant_scale(quant, "stem0.a.relu"), 0.0f);
    x[5] = NAN;
    sac_assert_error(sac_calibrate_run(c, &error), SAC_ERROR_NUMERIC, &error, "finite", NULL);
    sac_quant_close(&quant);
    sac_calibrate_close(&c);
    sac_params_close(&params);
    sac_net_close(&net);
}

// Forward values and the straight-through gradient, by definition.
Test(nn_quant, fake_quant_reference) {
    const sac_attrs attrs = {.alpha = 0.5};
    const sac_op *op = sac_op_of(SAC_OP_FAKE_QUANT);
    const float src[8] = {-3.0f, -0.1f, 0.0f, 0.24f, 0.75f, 1.2f, 127.5f, 128.0f};
    const float want[8] = {0, 0, 0, 0, 1.0f, 1.0f, 127.5f, 127.5f}; // 1.5 steps to even: 2
    const float gradient[8] = {0, 0, 1, 1, 1, 1, 1, 0};
    float dst[8], diff_dst[8] = {1, 1, 1, 1, 1, 1, 1, 1}, diff_src[8];
    const sac_shape shape = {2, {1, 8}};
    sac_ref ref = {.attrs = &attrs,
                   .src_count = 1,
                   .src_shape = {shape},
                   .dst_shape = shape,
                   .src = {src},
                   .dst = dst,
                   .diff_dst = diff_dst,
                   .diff_src = {diff_src}};
    op->ref_forward(&ref);
    op->ref_backward(&ref);
    for (int i = 0; i < 8; i++) {
        cr_assert_eq(dst[i], want[i], "%d: %g", i, (double)dst[i]);
        cr_assert_eq(diff_src[i], gradient[i], "%d", i);
    }
}

// Values on a quarter of steps: no rounding that two ways of computing x / s could decide
// otherwise.
Test(nn_quant, fake_quant_and_rounded_weights_agree_between_backends) {
    for (int64_t batch = 1; batch <= 3; batch += 2) {
        sac_net *net = NULL;
        cr_assert_eq(sac_net_create(&net), SAC_OK);
        int x = sac_net_input(net, "x", 3, (const int64_t[]){3, 9, 7});
        x = sac_net_fake_quant(net, "q", x, 0.1875);
        sac_attrs conv = {.channels = 5,
                          .kernel = {1, 3, 3},
                          .stride = {1, 2, 1},
                          .pad = {0, 1, 1},
                          .groups = 1,
                          .bias = true,
                          .weight_quant = true};
        x = sac_net_add_node(net, SAC_OP_CONV, "conv", &conv, &x, 1);
        int y = sac_net_unary(net, SAC_OP_RELU, "relu", x);
        sac_net_output(net, y);
        const sac_attrs dense = {.channels = 6, .bias = true, .weight_quant = true};
        sac_net_output(net, sac_net_add_node(net, SAC_OP_DENSE, "dense", &dense, &y, 1));
        const compare_options options = {.batch = batch, .fill = GRADCHECK_TIES};
        compare_backends(net, &options, (uint64_t)batch);
        // The attribute survives JSON.
        json_t *json = sac_net_to_json(net);
        sac_net *read = NULL;
        sac_error error = {0};
        sac_assert_ok(sac_net_from_json(&read, json, "net", &error), &error);
        cr_assert(sac_net_node(read, sac_net_find(read, "conv"))->attrs.weight_quant);
        cr_assert_eq(sac_net_node(read, sac_net_find(read, "q"))->attrs.alpha, 0.1875);
        json_decref(json);
        sac_net_close(&read);
        sac_net_close(&net);
    }
}

Test(nn_quant, fake_quant_refuses_bad_scales) {
    static const double bad[] = {0, -1, 1e4, NAN};
    for (int i = 0; i < 4; i++) {
        sac_net *net = NULL;
        sac_error error = {0};
        cr_assert_eq(sac_net_create(&net), SAC_OK);
        int x = sac_net_input(net, "x", 1, (const int64_t[]){4});
        sac_net_output(net, sac_net_fake_quant(net, "q", x, bad[i]));
        sac_assert_error(sac_net_check(net, &error), SAC_ERROR_ARGUMENT, &error, "alpha", NULL);
        sac_net_close(&net);
    }
}

Test(nn_quant, training_net_has_the_parameters_of_the_folded_net) {
    sac_error error = {0};
    sac_net *net = quant_net(&small), *folded = folded_of(net), *qat = NULL;
    sac_params *params = quant_net_params(net, 11), *fp = NULL, *qp = NULL;
    sac_quant *quant = calibrated(net, params, SAC_CLIP_MSE);
    sac_assert_error(sac_quant_training_net(&qat, net, quant, &error), SAC_ERROR_ARGUMENT, &error,
                     "fold", NULL);
    error = (sac_error){0};
    sac_assert_ok(sac_quant_training_net(&qat, folded, quant, &error), &error);
    cr_assert(sac_net_node(qat, sac_net_find(qat, "head16.logit"))->attrs.weight_quant);
    cr_assert_geq(sac_net_find(qat, "frames/u8"), 0);
    cr_assert_geq(sac_net_find(qat, "body2.relu/u8"), 0);
    cr_assert_eq(sac_net_find(qat, "features/u8"), -1, "values that pass on are not rounded again");
    sac_assert_ok(sac_params_create(&fp, folded, &error), &error);
    sac_assert_ok(sac_params_create(&qp, qat, &error), &error);
    cr_assert_eq(sac_params_count(fp), sac_params_count(qp));
    sac_assert_ok(sac_fold_params(fp, folded, net, params, &error), &error);
    sac_assert_ok(sac_params_copy(qp, fp), &error);
    // A few steps against a target lower the loss: gradients get through.
    sac_train *train = NULL;
    const sac_plan_options plan = {.batch = 1};
    sac_assert_ok(sac_train_create(&train, qat, qp, &plan, &error), &error);
    sac_rng rng;
    sac_rng_seed(&rng, 5, 1);
    float *x = sac_train_input(train, "frames");
    for (int64_t i = 0; i < 3 * small.height * small.width; i++)
        x[i] = (float)quant_net_pixel(&rng, i, small.width) / 255.0f;
    double first = 0, last = 0;
    for (int step = 0; step < 40; step++) {
        sac_assert_ok(sac_train_forward(train, &error), &error);
        const float *map = sac_train_output(train, "map16");
        float *diff = sac_train_output_grad(train, "map16");
        last = 0;
        for (int i = 0; i < 16; i++) {
            const float want = i % 2 ? 0.9f : 0.2f;
            last += pow((double)(map[i] - want), 2);
            diff[i] = 2 * (map[i] - want);
        }
        if (step == 0) first = last;
        sac_params_zero_grad(qp);
        sac_assert_ok(sac_train_backward(train, &error), &error);
        for (int64_t i = 0; i < sac_params_count(qp); i++) {
            sac_param *p = sac_params_at(qp, i);
            for (int64_t k = 0; k < p->count; k++) p->data[k] -= 0.02f * p->grad[k];
        }
    }
    cr_assert(last < 0.8 * first, "loss from %g to %g", first, last);
    sac_train_close(&train);
    sac_quant_close(&quant);
    sac_params_close(&params);
    sac_params_close(&fp);
    sac_params_close(&qp);
    sac_net_close(&qat);
    sac_net_close(&folded);
    sac_net_close(&net);
}

Test(nn_quant, every_failed_allocation_is_reported) {
    sac_net *net = quant_net(&small), *folded = folded_of(net);
    sac_params *params = quant_net_params(net, 11);
    sac_quant *quant = calibrated(net, params, SAC_CLIP_MSE);
    bool done = false;
    for (int64_t n = 0; !done && n < 2000; n++) {
        sac_net *qat = NULL;
        sac_quant *copy = NULL;
        sac_memory_fail_after(n);
        const sac_status a = sac_quant_training_net(&qat, folded, quant, NULL);
        const sac_status b = sac_quant_copy(&copy, quant);
        sac_memory_fail_after(-1);
        cr_assert(a == SAC_OK || (a == SAC_ERROR_MEMORY && qat == NULL));
        cr_assert(b == SAC_OK || (b == SAC_ERROR_MEMORY && copy == NULL));
        done = a == SAC_OK && b == SAC_OK;
        sac_net_close(&qat);
        sac_quant_close(&copy);
    }
    cr_assert(done);
    sac_quant_close(&quant);
    sac_params_close(&params);
    sac_net_close(&folded);
    sac_net_close(&net);
}
