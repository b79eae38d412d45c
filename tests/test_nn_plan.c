// Convolution and whole plans: oneDNN against the reference, weight sharing, folding, repeatability
// and the
// implementations that oneDNN chose.
#include <criterion/criterion.h>
#include <math.h>
#include <pthread.h>
#include <string.h>

#include "core/memory.h"
#include "gradcheck.h"
#include "nn/infer.h"
#include "nn/optim.h"
#include "nn/train.h"

static const int64_t ones[3] = {1, 1, 1};

Test(nn_plan, conv_reference_gradients) {
    const struct {
        sac_attrs attrs;
        sac_shape src;
    } cases[] = {
        {{.channels = 2,
          .kernel = {1, 3, 3},
          .stride = {1, 1, 1},
          .pad = {0, 1, 1},
          .groups = 1,
          .bias = true},
         {4, {2, 3, 5, 4}}},
        {{.channels = 4,
          .kernel = {1, 3, 2},
          .stride = {1, 2, 1},
          .pad = {0, 0, 1},
          .groups = 2,
          .bias = false},
         {4, {1, 2, 7, 3}}},
        {{.channels = 3,
          .kernel = {1, 3, 3},
          .stride = {1, 1, 1},
          .pad = {0, 1, 1},
          .groups = 3,
          .bias = true},
         {4, {2, 3, 3, 3}}},
        {{.channels = 2,
          .kernel = {3, 3, 3},
          .stride = {1, 2, 2},
          .pad = {1, 1, 1},
          .groups = 1,
          .bias = true},
         {5, {1, 2, 3, 5, 4}}},
        {{.channels = 1,
          .kernel = {1, 1, 1},
          .stride = {1, 1, 1},
          .pad = {0, 0, 0},
          .groups = 1,
          .bias = true},
         {4, {1, 1, 1, 1}}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        gradcheck_op(sac_op_of(SAC_OP_CONV), &cases[i].attrs, &cases[i].src, 1, 100 + i);
    }
}

static void conv_compare(int64_t batch, int ndims, const int64_t *dims, const sac_attrs *attrs,
                         bool channels_last) {
    sac_net *net = NULL;
    cr_assert_eq(sac_net_create(&net), SAC_OK);
    const int x = sac_net_input(net, "x", ndims, dims);
    sac_net_output(net, sac_net_add_node(net, SAC_OP_CONV, "conv", attrs, &x, 1));
    const compare_options options = {.batch = batch, .channels_last = channels_last};
    compare_backends(net, &options, (uint64_t)(dims[0] * 131 + dims[1] * 17 + attrs->channels));
    sac_net_close(&net);
}

Test(nn_plan, conv2d_sizes) {
    static const int64_t channels[] = {1, 2, 3, 7, 8, 15, 16, 17, 33};
    for (size_t i = 0; i < sizeof channels / sizeof channels[0]; i++) {
        const int64_t dims[3] = {channels[i], 9, 7};
        const int64_t oc = channels[(i * 5 + 3) % 9];
        const sac_attrs a = {.channels = oc,
                             .kernel = {1, 3, 3},
                             .stride = {1, 1 + (int64_t)(i % 2), 1},
                             .pad = {0, 1, 1},
                             .groups = 1,
                             .bias = i % 2 == 0};
        conv_compare(2, 3, dims, &a, i % 3 == 0);
    }
    static const int64_t sides[] = {1, 2, 3, 5, 16, 17};
    for (size_t i = 0; i < sizeof sides / sizeof sides[0]; i++) {
        const int64_t dims[3] = {3, sides[i], sides[5 - i]};
        const sac_attrs a = {.channels = 5,
                             .kernel = {1, 3, 3},
                             .stride = {1, 2, 2},
                             .pad = {0, 1, 1},
                             .groups = 1,
                             .bias = true};
        conv_compare(3, 3, dims, &a, true);
    }
}

Test(nn_plan, conv2d_groups) {
    const int64_t dims[3] = {16, 6, 5};
    for (int64_t groups = 2; groups <= 16; groups *= 2) {
        const sac_attrs a = {.channels = 16,
                             .kernel = {1, 3, 3},
                             .stride = {1, 1, 1},
                             .pad = {0, 1, 1},
                             .groups = groups,
                             .bias = true};
        conv_compare(2, 3, dims, &a, false);
    }
}

Test(nn_plan, conv3d_sizes) {
    static const int64_t channels[] = {1, 3, 8, 16, 17};
    for (size_t i = 0; i < sizeof channels / sizeof channels[0]; i++) {
        const int64_t dims[4] = {channels[i], 5, 6, 7};
        const sac_attrs a = {.channels = channels[(i * 2 + 1) % 5],
                             .kernel = {3, 3, 3},
                             .stride = {1, 1 + (int64_t)(i % 2), 1},
                             .pad = {1, 1, 1},
                             .groups = 1,
                             .bias = true};
        conv_compare(2, 4, dims, &a, false);
    }
    const int64_t dims[4] = {4, 3, 5, 5};
    const sac_attrs a = {.channels = 4,
                         .kernel = {3, 3, 3},
                         .stride = {1, 1, 1},
                         .pad = {1, 1, 1},
                         .groups = 4,
                         .bias = false};
    conv_compare(1, 4, dims, &a, false);
}

// A small network with everything that makes planning hard: a shared trunk fed twice, a residual
// addition, a node read by
// three others, normalisation, dropout off, several outputs of different ranks.
// A bias before a batch normalisation has no gradient but rounding noise, so only inference is
// compared with one.
static sac_net *hard_net(double dropout, bool bias) {
    sac_net *net = NULL;
    cr_assert_eq(sac_net_create(&net), SAC_OK);
    const int64_t a_dims[4] = {1, 6, 8, 8}, b_dims[4] = {1, 7, 8, 8};
    const int64_t k[3] = {3, 3, 3}, p[3] = {1, 1, 1}, pool[3] = {1, 2, 2}, none[3] = {0, 0, 0};
    const int in[2] = {sac_net_input(net, "a", 4, a_dims), sac_net_input(net, "b", 4, b_dims)};
    int code[2];
    for (int i = 0; i < 2; i++) {
        const char *const names[2][4] = {{"a.conv", "a.bn", "a.relu", "a.pool"},
                                         {"b.conv", "b.bn", "b.relu", "b.pool"}};
        int x = sac_net_conv3d(net, names[i][0], in[i], 8, k, ones, p, 1, false);
        if (i == 1) sac_net_share(net, x, "a.conv");
        x = sac_net_batch_norm(net, names[i][1], x);
        if (i == 1) sac_net_share(net, x, "a.bn");
        x = sac_net_unary(net, SAC_OP_RELU, names[i][2], x);
        x = sac_net_pool(net, SAC_OP_MAX_POOL, names[i][3], x, pool, pool, none);
        code[i] = sac_net_adaptive_pool(net, SAC_OP_ADAPTIVE_MAX_POOL, i == 0 ? "a.time" : "b.time",
                                        x, 1, 4, 4);
    }
    const int64_t flat[3] = {8, 4, 4};
    const int a = sac_net_reshape(net, "a.flat", code[0], 3, flat);
    const int b = sac_net_reshape(net, "b.flat", code[1], 3, flat);
    const int sum = sac_net_add(net, "sum", a, b);
    const int conv = sac_net_conv2d(net, "head.conv", sum, 8, 3, 1, 1, 1, bias);
    const int bn = sac_net_batch_norm(net, "head.bn", conv);
    const int residual = sac_net_add(net, "head.add", bn, sum);
    const int act = sac_net_unary(net, SAC_OP_LEAKY_RELU, "head.act", residual);
    const int drop = sac_net_dropout(net, "head.drop", act, dropout);
    const int both[2] = {drop, sum};
    const int cat = sac_net_concat(net, "cat", both, 2, 1);
    const int logits = sac_net_dense(net, "logits", cat, 2, true);
    const int up = sac_net_upsample(net, "up", cat, 1, 2, 2);
    int image = sac_net_conv2d(net, "image.conv", up, 1, 3, 1, 1, 1, true);
    image = sac_net_unary(net, SAC_OP_SIGMOID, "image", image);
    sac_net_output(net, logits);
    sac_net_output(net, image);
    sac_error error = {0};
    cr_assert_eq(sac_net_check(net, &error), SAC_OK, "%s", error.message);
    return net;
}

Test(nn_plan, whole_network_against_reference) {
    sac_net *net = hard_net(0.0, false);
    const compare_options options = {.batch = 3};
    compare_backends(net, &options, 7);
    sac_net_close(&net);
    net = hard_net(0.4, true);
    const compare_options inference = {.batch = 2, .skip_train = true};
    compare_backends(net, &inference, 8);
    sac_net_close(&net);
}

static void inputs_fill(sac_train *train, sac_rng *rng) {
    float *a = sac_train_input(train, "a"), *b = sac_train_input(train, "b");
    for (int i = 0; i < 2 * 6 * 64; i++) a[i] = (float)sac_rng_uniform(rng);
    for (int i = 0; i < 2 * 7 * 64; i++) b[i] = (float)sac_rng_uniform(rng);
}

// Ten optimiser steps; returns all parameters' bytes in `out`.
static int64_t ten_steps(float *out, int64_t limit, sac_backend backend, double dropout) {
    sac_net *net = hard_net(dropout, false);
    sac_params *params = NULL;
    sac_train *train = NULL;
    sac_adam *adam = NULL;
    sac_error error = {0};
    cr_assert_eq(sac_params_create(&params, net, &error), SAC_OK);
    sac_rng rng;
    sac_rng_seed(&rng, 5, 0);
    sac_params_init(params, &rng);
    const sac_plan_options options = {.batch = 2, .backend = backend, .seed = 9};
    cr_assert_eq(sac_train_create(&train, net, params, &options, &error), SAC_OK, "%s",
                 error.message);
    const sac_adam_options adam_options = sac_adam_default_options();
    cr_assert_eq(sac_adam_create(&adam, params, &adam_options), SAC_OK);
    for (int s = 0; s < 10; s++) {
        inputs_fill(train, &rng);
        sac_params_zero_grad(params);
        cr_assert_eq(sac_train_forward(train, &error), SAC_OK, "%s", error.message);
        const float *logits = sac_train_output(train, "logits");
        float *grad = sac_train_output_grad(train, "logits");
        for (int i = 0; i < 4; i++) grad[i] = logits[i] - (float)(i % 2);
        float *image_grad = sac_train_output_grad(train, "image");
        for (int i = 0; i < 2 * 64; i++) image_grad[i] = sac_train_output(train, "image")[i] - 0.3f;
        cr_assert_eq(sac_train_backward(train, &error), SAC_OK, "%s", error.message);
        cr_assert_eq(sac_adam_step(adam, params, 0, NULL, &error), SAC_OK, "%s", error.message);
    }
    int64_t n = 0;
    for (int64_t i = 0; i < sac_params_count(params); i++) {
        const sac_param *p = sac_params_at(params, i);
        for (int64_t k = 0; k < p->count && n < limit; k++) out[n++] = p->data[k];
    }
    sac_adam_close(&adam);
    sac_train_close(&train);
    sac_params_close(&params);
    sac_net_close(&net);
    return n;
}

#define MANY 20000

Test(nn_plan, training_is_repeatable_and_follows_the_reference) {
    static float a[MANY], b[MANY], ref[MANY];
    const int64_t n = ten_steps(a, MANY, SAC_BACKEND_ONEDNN, 0.3);
    cr_assert_eq(ten_steps(b, MANY, SAC_BACKEND_ONEDNN, 0.3), n);
    cr_assert_gt(n, 1000);
    cr_assert_eq(memcmp(a, b, (size_t)n * sizeof(float)), 0, "two runs of one seed differ");
    cr_assert_eq(ten_steps(ref, MANY, SAC_BACKEND_REF, 0.3), n);
    double error = 0, power = 0;
    for (int64_t i = 0; i < n; i++) {
        cr_assert(isfinite(a[i]));
        error += ((double)a[i] - (double)ref[i]) * ((double)a[i] - (double)ref[i]);
        power += (double)ref[i] * (double)ref[i];
    }
    // Adam's first steps move by sign; a gradient near zero may round to either side.
    cr_assert_lt(error / power, 1e-4, "ten steps drift from the reference: NMSE %g", error / power);
    (void)ten_steps(b, MANY, SAC_BACKEND_ONEDNN, 0.0);
    cr_assert_neq(memcmp(a, b, (size_t)n * sizeof(float)), 0, "dropout changed nothing");
}

// Real sizes of the teacher and the student: every primitive must be an optimised one.
Test(nn_plan, no_reference_implementations_in_real_shapes) {
    sac_net *net = NULL;
    cr_assert_eq(sac_net_create(&net), SAC_OK);
    const int64_t dims[4] = {1, 7, 64, 64}, k[3] = {3, 3, 3}, p[3] = {1, 1, 1}, pool[3] = {1, 2, 2},
                  none[3] = {0, 0, 0};
    int x = sac_net_input(net, "x", 4, dims);
    x = sac_net_conv3d(net, "c1", x, 16, k, ones, p, 1, false);
    x = sac_net_unary(net, SAC_OP_RELU, "r1", sac_net_batch_norm(net, "b1", x));
    x = sac_net_pool(net, SAC_OP_MAX_POOL, "p1", x, pool, pool, none);
    x = sac_net_conv3d(net, "c2", x, 32, k, ones, p, 1, false);
    x = sac_net_unary(net, SAC_OP_RELU, "r2", sac_net_batch_norm(net, "b2", x));
    x = sac_net_adaptive_pool(net, SAC_OP_ADAPTIVE_MAX_POOL, "p2", x, 1, 16, 16);
    sac_net_output(net, x);
    const int64_t frame[3] = {3, 160, 240};
    int y = sac_net_input(net, "y", 3, frame);
    y = sac_net_conv2d(net, "s1", y, 16, 3, 2, 1, 1, false);
    y = sac_net_unary(net, SAC_OP_RELU, "sr1", sac_net_batch_norm(net, "sb1", y));
    y = sac_net_conv2d(net, "s2", y, 24, 3, 2, 1, 1, true);
    sac_net_output(net, y);
    sac_params *params = NULL;
    sac_train *train = NULL;
    sac_infer *infer = NULL;
    sac_error error = {0};
    cr_assert_eq(sac_params_create(&params, net, &error), SAC_OK);
    const sac_plan_options options = {.batch = 2, .channels_last = true};
    cr_assert_eq(sac_train_create(&train, net, params, &options, &error), SAC_OK, "%s",
                 error.message);
    cr_assert_eq(sac_infer_create(&infer, net, params, &options, &error), SAC_OK, "%s",
                 error.message);
    char *texts[2] = {sac_train_describe(train), sac_infer_describe(infer)};
    for (int i = 0; i < 2; i++) {
        cr_assert_not_null(texts[i]);
        cr_assert(strstr(texts[i], "convolution") != NULL, "%s", texts[i]);
        cr_assert(strstr(texts[i], " ref:") == NULL,
                  "a plain reference implementation was chosen:\n%s", texts[i]);
        sac_free(texts[i]);
    }
    sac_infer_close(&infer);
    sac_train_close(&train);
    sac_params_close(&params);
    sac_net_close(&net);
}

Test(nn_plan, inference_folds_and_fuses) {
    sac_net *net = hard_net(0.5, true);
    sac_params *params = NULL;
    sac_infer *infer = NULL;
    sac_error error = {0};
    cr_assert_eq(sac_params_create(&params, net, &error), SAC_OK);
    const sac_plan_options options = {.batch = 1};
    cr_assert_eq(sac_infer_create(&infer, net, params, &options, &error), SAC_OK, "%s",
                 error.message);
    char *text = sac_infer_describe(infer);
    cr_assert_not_null(text);
    cr_assert(strstr(text, "batch_normalization") == NULL, "%s", text);
    cr_assert(strstr(text, "dropout") == NULL, "%s", text);
    cr_assert(strstr(text, "forward image eltwise") == NULL, "the sigmoid was not fused:\n%s",
              text);
    sac_free(text);
    sac_infer_close(&infer);
    sac_params_close(&params);
    sac_net_close(&net);
}

// The nearest number of 8 significant bits, by arithmetic.
static double bf16(double value) {
    int exponent = 0;
    const double mantissa = frexp(value, &exponent);
    return ldexp(rint(ldexp(mantissa, 8)), exponent - 8);
}

// conv (3 -> 4 channels, 3x3) -> dense (2 values), all through plans of one backend.
typedef struct bf16_run {
    sac_net *net;
    sac_params *params;
    float conv[4 * 6 * 5], dense[2], x[3 * 6 * 5];
} bf16_run;

static void bf16_make(bf16_run *run) {
    static const int64_t dims[3] = {3, 6, 5};
    const sac_attrs conv = {.channels = 4,
                            .kernel = {1, 3, 3},
                            .stride = {1, 1, 1},
                            .pad = {0, 1, 1},
                            .groups = 1,
                            .bias = true};
    const sac_attrs dense = {.channels = 2, .bias = true};
    sac_rng rng;
    cr_assert_eq(sac_net_create(&run->net), SAC_OK);
    int node = sac_net_input(run->net, "x", 3, dims);
    node = sac_net_add_node(run->net, SAC_OP_CONV, "conv", &conv, &node, 1);
    sac_net_output(run->net, node);
    sac_net_output(run->net, sac_net_add_node(run->net, SAC_OP_DENSE, "dense", &dense, &node, 1));
    cr_assert_eq(sac_params_create(&run->params, run->net, NULL), SAC_OK);
    sac_rng_seed(&rng, 3, 0);
    gradcheck_params(run->params, &rng);
    for (int i = 0; i < 3 * 6 * 5; i++) run->x[i] = (float)(2 * sac_rng_uniform(&rng) - 1);
}

static void bf16_infer(bf16_run *run, sac_backend backend, bool rounded) {
    sac_infer *infer = NULL;
    sac_error error = {0};
    const sac_plan_options options = {.batch = 1, .backend = backend, .bf16 = rounded};
    cr_assert_eq(sac_infer_create(&infer, run->net, run->params, &options, &error), SAC_OK, "%s",
                 error.message);
    memcpy(sac_infer_input(infer, "x"), run->x, sizeof run->x);
    cr_assert_eq(sac_infer_run(infer, &error), SAC_OK, "%s", error.message);
    memcpy(run->conv, sac_infer_output(infer, "conv"), sizeof run->conv);
    memcpy(run->dense, sac_infer_output(infer, "dense"), sizeof run->dense);
    sac_infer_close(&infer);
}

static const float *param_data(const sac_params *params, const char *name) {
    for (int64_t i = 0; i < sac_params_count(params); i++) {
        const sac_param *p = sac_params_at(params, i);
        if (strcmp(p->name, name) == 0) return p->data;
    }
    cr_assert_fail("no parameter %s", name);
    return NULL;
}

Test(nn_plan, bf16_rounds_what_is_multiplied) {
    bf16_run run = {0};
    bf16_make(&run);
    bf16_infer(&run, SAC_BACKEND_REF, true);
    const float *w = param_data(run.params, "conv.weight"),
                *b = param_data(run.params, "conv.bias");
    for (int i = 0; i < 4 * 6 * 5; i++) {
        const int oc = i / 30, y = i / 5 % 6, x = i % 5;
        double sum = (double)b[oc];
        for (int k = 0; k < 27; k++) {
            const int c = k / 9, sy = y + k / 3 % 3 - 1, sx = x + k % 3 - 1;
            if (sy < 0 || sy >= 6 || sx < 0 || sx >= 5) continue;
            sum += bf16((double)run.x[(c * 6 + sy) * 5 + sx]) * bf16((double)w[oc * 27 + k]);
        }
        cr_assert_float_eq((double)run.conv[i], sum, 1e-6 * (1 + fabs(sum)), "%d: %.9g, not %.9g",
                           i, (double)run.conv[i], sum);
    }
    const float *dw = param_data(run.params, "dense.weight"),
                *db = param_data(run.params, "dense.bias");
    for (int o = 0; o < 2; o++) {
        double sum = (double)db[o];
        for (int k = 0; k < 120; k++)
            sum += bf16((double)run.conv[k]) * bf16((double)dw[o * 120 + k]);
        cr_assert_float_eq((double)run.dense[o], sum, 1e-6 * (1 + fabs(sum)));
    }
    float rounded[4 * 6 * 5];
    memcpy(rounded, run.conv, sizeof rounded);
    bf16_infer(&run, SAC_BACKEND_REF, false);
    cr_assert_neq(memcmp(rounded, run.conv, sizeof rounded), 0, "rounding changed nothing");
    sac_params_close(&run.params);
    sac_net_close(&run.net);
}

// Operators that oneDNN leaves in f32 differ from the reference by the rounding alone.
Test(nn_plan, bf16_plans_stay_near_the_reference) {
    bf16_run run = {0};
    float expected[4 * 6 * 5];
    bf16_make(&run);
    bf16_infer(&run, SAC_BACKEND_REF, true);
    memcpy(expected, run.conv, sizeof expected);
    bf16_infer(&run, SAC_BACKEND_ONEDNN, true);
    double worst = 0, largest = 0;
    for (int i = 0; i < 4 * 6 * 5; i++) {
        worst = fmax(worst, fabs((double)run.conv[i] - (double)expected[i]));
        largest = fmax(largest, fabs((double)expected[i]));
    }
    cr_assert(largest > 0.1 && worst <= 0.01 * largest, "%g of %g", worst, largest);
    if (!sac_nn_has_bf16()) {
        // Where the CPU does not multiply bf16 the plan is the one of f32, in every bit.
        memcpy(expected, run.conv, sizeof expected);
        bf16_infer(&run, SAC_BACKEND_ONEDNN, false);
        cr_assert_eq(memcmp(expected, run.conv, sizeof expected), 0);
    }
    sac_params_close(&run.params);
    sac_net_close(&run.net);
}

Test(nn_plan, bad_options_are_refused) {
    sac_net *net = hard_net(0.0, false);
    sac_params *params = NULL;
    sac_train *train = NULL;
    sac_error error = {0};
    cr_assert_eq(sac_params_create(&params, net, &error), SAC_OK);
    const sac_plan_options options = {.batch = 0};
    cr_assert_eq(sac_train_create(&train, net, params, &options, &error), SAC_ERROR_ARGUMENT);
    cr_assert(strstr(error.message, "batch") != NULL, "%s", error.message);
    cr_assert_null(train);
    const sac_plan_options rounded = {.batch = 1, .bf16 = true};
    error = (sac_error){0};
    cr_assert_eq(sac_train_create(&train, net, params, &rounded, &error), SAC_ERROR_ARGUMENT);
    cr_assert(strstr(error.message, "bf16") != NULL, "%s", error.message);
    cr_assert_null(train);
    sac_params_close(&params);
    // Parameters without gradients do for inference only.
    cr_assert_eq(sac_params_create_constant(&params, net, &error), SAC_OK);
    const sac_plan_options one = {.batch = 1};
    for (int64_t i = 0; i < sac_params_count(params); i++)
        cr_assert_null(sac_params_at(params, i)->grad);
    sac_params_zero_grad(params);
    error = (sac_error){0};
    cr_assert_eq(sac_train_create(&train, net, params, &one, &error), SAC_ERROR_ARGUMENT);
    cr_assert(strstr(error.message, "without gradients") != NULL, "%s", error.message);
    cr_assert_null(train);
    sac_infer *infer = NULL;
    cr_assert_eq(sac_infer_create(&infer, net, params, &one, &error), SAC_OK);
    sac_infer_close(&infer);
    sac_params_close(&params);
    sac_net_close(&net);
}

Test(nn_plan, planning_survives_lack_of_memory) {
    sac_net *net = hard_net(0.1, false);
    sac_params *params = NULL;
    sac_error error = {0};
    cr_assert_eq(sac_params_create(&params, net, &error), SAC_OK);
    const sac_plan_options options = {.batch = 1};
    bool done = false;
    int failures = 0;
    for (int64_t k = 0; k < 4000 && !done; k += 1 + k / 8) {
        sac_train *train = NULL;
        sac_memory_fail_after(k);
        const sac_status status = sac_train_create(&train, net, params, &options, NULL);
        sac_memory_fail_after(-1);
        done = status == SAC_OK;
        if (!done) {
            failures++;
            cr_assert_eq(status, SAC_ERROR_MEMORY, "after %d allocations: %s", (int)k,
                         sac_status_name(status));
            cr_assert_null(train);
        }
        sac_train_close(&train);
    }
    cr_assert(done && failures > 5);
    sac_params_close(&params);
    sac_net_close(&net);
}

typedef struct cloned_run {
    sac_infer *infer;
    float seed, out[2 * 24 * 9];
    sac_status status;
} cloned_run;

static void *run_clone(void *user) {
    cloned_run *r = user;
    sac_nn_set_threads(1);
    for (int repeat = 0; repeat < 20 && r->status == SAC_OK; repeat++) {
        float *in = sac_infer_input(r->infer, "x");
        for (int i = 0; i < 2 * 3 * 36; i++) in[i] = sinf(r->seed + (float)i);
        r->status = sac_infer_run(r->infer, NULL);
        memcpy(r->out, sac_infer_output(r->infer, "r2"), sizeof r->out);
    }
    return NULL;
}

Test(nn_plan, clones_share_weights_and_run_at_the_same_time) {
    sac_net *net = NULL;
    sac_params *params = NULL;
    sac_error error = {0};
    cr_assert_eq(sac_net_create(&net), SAC_OK);
    int x = sac_net_input(net, "x", 3, (const int64_t[]){3, 6, 6});
    x = sac_net_conv2d(net, "c1", x, 16, 3, 1, 1, 1, false);
    x = sac_net_unary(net, SAC_OP_RELU, "r1", sac_net_batch_norm(net, "b1", x));
    x = sac_net_conv2d(net, "c2", x, 24, 3, 2, 1, 1, true);
    sac_net_output(net, sac_net_unary(net, SAC_OP_RELU, "r2", x));
    cr_assert_eq(sac_params_create(&params, net, &error), SAC_OK, "%s", error.message);
    sac_rng rng;
    sac_rng_seed(&rng, 11, 0);
    sac_params_init(params, &rng);
    for (int reference = 0; reference < 2; reference++) {
        const sac_plan_options options = {.batch = 2,
                                          .backend =
                                              reference ? SAC_BACKEND_REF : SAC_BACKEND_ONEDNN,
                                          .channels_last = true,
                                          .channels_last_outputs = true},
                               plain = {
                                   .batch = 2, .backend = SAC_BACKEND_REF, .channels_last = true};
        cloned_run runs[3] = {{.seed = 0}, {.seed = 1}, {.seed = 2}}, alone = {.seed = 0};
        sac_nn_set_threads(1);
        cr_assert_eq(sac_infer_create(&runs[0].infer, net, params, &options, &error), SAC_OK, "%s",
                     error.message);
        for (int i = 1; i < 3; i++) {
            // Each single allocation may fail without harm to the donor.
            for (int64_t fail = 0;; fail++) {
                error = (sac_error){0};
                sac_memory_fail_after(fail);
                const sac_status status = sac_infer_clone(&runs[i].infer, runs[0].infer, &error);
                sac_memory_fail_after(-1);
                if (status == SAC_OK) break;
                cr_assert(status == SAC_ERROR_MEMORY && runs[i].infer == NULL, "%s", error.message);
            }
        }
        if (!reference)
            cr_assert_lt(sac_infer_arena_bytes(runs[1].infer),
                         sac_infer_arena_bytes(runs[0].infer));
        pthread_t threads[3];
        for (int i = 0; i < 3; i++)
            cr_assert_eq(pthread_create(&threads[i], NULL, run_clone, &runs[i]), 0);
        for (int i = 0; i < 3; i++) pthread_join(threads[i], NULL);
        cr_assert_eq(sac_infer_create(&alone.infer, net, params, &plain, &error), SAC_OK);
        double power = 0;
        for (int i = 0; i < 3; i++) {
            cr_assert_eq(runs[i].status, SAC_OK);
            alone.seed = runs[i].seed;
            run_clone(&alone);
            for (int n = 0; n < 2; n++) {
                for (int c = 0; c < 24; c++) {
                    for (int s = 0; s < 9; s++) {
                        const float want = alone.out[(n * 24 + c) * 9 + s],
                                    got = runs[i].out[(n * 9 + s) * 24 + c];
                        cr_assert_lt(fabsf(got - want), 1e-5f, "clone %d: %g, %g expected", i,
                                     (double)got, (double)want);
                        power += (double)want * (double)want;
                    }
                }
            }
        }
        cr_assert_gt(power, 1.0);
        sac_infer_close(&alone.infer);
        for (int i = 2; i >= 0; i--) sac_infer_close(&runs[i].infer);
    }
    sac_params_close(&params);
    sac_net_close(&net);
}
