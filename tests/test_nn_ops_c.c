// Operators of imported networks: slice, multiply, two-parameter activations and gradient reversal;
// padding of unequal sides, dilation and counted padding. Shape errors, known numbers, the
// reference's backward against central differences, oneDNN plans against reference plans, JSON both
// ways.
#include "gradcheck.h"
#include "helper.h"
#include "nn/op_list.h"

static sac_net *start(int ndims, const int64_t *dims) {
    sac_net *net = NULL;
    cr_assert_eq(sac_net_create(&net), SAC_OK);
    cr_assert_eq(sac_net_input(net, "x", ndims, dims), 0);
    return net;
}

static void refused(const sac_op *op, const sac_attrs *attrs, const sac_shape *src, int count,
                    sac_status code, const char *first, const char *second) {
    sac_error error = {0};
    sac_shape dst;
    sac_assert_error(op->shape(attrs, src, count, &dst, &error), code, &error, first, second, NULL);
}

static void forward(const sac_op *op, const sac_attrs *attrs, int count, const sac_shape *shapes,
                    const float *const *src, float *dst, sac_shape *dst_shape) {
    sac_error error = {0};
    sac_ref ref = {.attrs = attrs, .src_count = count, .dst = dst};
    for (int k = 0; k < count; k++) {
        ref.src_shape[k] = shapes[k];
        ref.src[k] = src[k];
    }
    sac_assert_ok(op->shape(attrs, shapes, count, &ref.dst_shape, &error), &error);
    if (dst_shape != NULL) *dst_shape = ref.dst_shape;
    op->ref_forward(&ref);
}

static void expect(const float *got, const float *want, int n, double limit, const char *what) {
    for (int i = 0; i < n; i++)
        cr_assert(fabs((double)got[i] - (double)want[i]) <= limit, "%s[%d]: %.9g, want %.9g", what,
                  i, (double)got[i], (double)want[i]);
}

// Compares the backends, inputs channels-last for odd seeds, and frees the net. No step may run on
// oneDNN's own reference implementation.
static void compare(sac_net *net, int output, int64_t batch, gradcheck_fill fill, double limit,
                    uint64_t seed) {
    sac_error error = {0};
    const bool last = seed % 2 == 1;
    sac_net_output(net, output);
    const compare_options options = {
        .batch = batch, .fill = fill, .channels_last = last, .limit = limit};
    compare_backends(net, &options, seed);
    sac_params *params = NULL;
    sac_infer *infer = NULL;
    const sac_plan_options plan = {.batch = batch, .channels_last = last};
    sac_assert_ok(sac_params_create(&params, net, &error), &error);
    sac_assert_ok(sac_infer_create(&infer, net, params, &plan, &error), &error);
    char *text = sac_infer_describe(infer);
    cr_assert_not_null(text);
    cr_assert(strstr(text, " ref") == NULL, "slow implementation in the plan:\n%s", text);
    sac_free(text);
    sac_infer_close(&infer);
    sac_params_close(&params);
    sac_net_close(&net);
}

// --- slice -------------------------------------------------------------------------------------

Test(nn_ops_c, slice_known_numbers_and_refusals) {
    const sac_shape shape = {4, {1, 2, 2, 4}};
    float src[16], dst[8];
    for (int i = 0; i < 16; i++) src[i] = (float)i;
    sac_attrs a = {.axis = 3, .begin = 1, .length = 2, .step = 2};
    sac_shape out;
    forward(&sac_op_slice, &a, 1, &shape, (const float *[]){src}, dst, &out);
    expect(dst, (const float[]){1, 3, 5, 7, 9, 11, 13, 15}, 8, 0, "columns 1 and 3");
    cr_assert(sac_shape_equal(&out, &(sac_shape){4, {1, 2, 2, 2}}));
    a = (sac_attrs){.axis = 1, .begin = 1, .length = 1, .step = 1};
    forward(&sac_op_slice, &a, 1, &shape, (const float *[]){src}, dst, &out);
    expect(dst, src + 8, 8, 0, "channel 1");

    a = (sac_attrs){.axis = 0, .begin = 0, .length = 1, .step = 1};
    refused(&sac_op_slice, &a, &shape, 1, SAC_ERROR_ARGUMENT, "axis 0", "1 to 3");
    a.axis = 4;
    refused(&sac_op_slice, &a, &shape, 1, SAC_ERROR_ARGUMENT, "axis 4", "[1][2][2][4]");
    a = (sac_attrs){.axis = 3, .begin = 1, .length = 3, .step = 2};
    refused(&sac_op_slice, &a, &shape, 1, SAC_ERROR_SHAPE, "3 cells from 1", "axis 3");
    a = (sac_attrs){.axis = 3, .begin = 0, .length = INT64_MAX, .step = INT64_MAX};
    refused(&sac_op_slice, &a, &shape, 1, SAC_ERROR_SHAPE, "do not fit", "axis 3");
    a = (sac_attrs){.axis = 3, .begin = -1, .length = 1, .step = 1};
    refused(&sac_op_slice, &a, &shape, 1, SAC_ERROR_ARGUMENT, "begin -1", "at least");
    a = (sac_attrs){.axis = 3, .begin = 0, .length = 1, .step = 0};
    refused(&sac_op_slice, &a, &shape, 1, SAC_ERROR_ARGUMENT, "step 0", "at least");
}

Test(nn_ops_c, slice_gradients_and_plans) {
    const sac_shape shape = {5, {2, 3, 4, 5, 6}};
    for (int axis = 1; axis < 5; axis++) {
        for (int64_t step = 1; step < 4; step++) {
            const int64_t begin = step - 1, length = (shape.dims[axis] - 1 - begin) / step + 1;
            const sac_attrs a = {.axis = axis, .begin = begin, .length = length, .step = step};
            gradcheck_op(&sac_op_slice, &a, &shape, 1, (uint64_t)(axis * 10) + (uint64_t)step);
            for (int ndims = axis; ndims <= 4; ndims++) {
                sac_net *net = start(ndims, shape.dims + 1);
                compare(net, sac_net_slice(net, "y", 0, axis, begin, length, step), 2,
                        GRADCHECK_SMOOTH, 0, (uint64_t)(axis * 10) + (uint64_t)step);
            }
        }
    }
    // Space to depth, as YOLOX begins: four slices of one input, joined; then a convolution.
    sac_net *net = start(3, (const int64_t[]){3, 12, 16});
    int parts[4];
    for (int k = 0; k < 4; k++) {
        char name[2][16];
        (void)snprintf(name[0], sizeof name[0], "rows%d", k);
        (void)snprintf(name[1], sizeof name[1], "columns%d", k);
        parts[k] = sac_net_slice(net, name[1], sac_net_slice(net, name[0], 0, 2, k % 2, 6, 2), 3,
                                 k / 2, 8, 2);
    }
    const int joined = sac_net_concat(net, "focus", parts, 4, 1);
    compare(net, sac_net_conv2d(net, "stem", joined, 16, 3, 1, 1, 1, true), 2, GRADCHECK_SMOOTH, 0,
            5);
}

// --- multiply ----------------------------------------------------------------------------------

Test(nn_ops_c, mul_known_numbers_and_refusals) {
    const float a[] = {1, 2, 3, 4, 5, 6}, b[] = {2, -1};
    float dst[6];
    forward(&sac_op_mul, NULL, 2, (sac_shape[]){{4, {1, 2, 1, 3}}, {4, {1, 2, 1, 1}}},
            (const float *[]){a, b}, dst, NULL);
    expect(dst, (const float[]){2, 4, 6, -4, -5, -6}, 6, 0, "per channel");
    forward(&sac_op_mul, NULL, 2, (sac_shape[]){{2, {1, 6}}, {2, {1, 6}}}, (const float *[]){a, a},
            dst, NULL);
    expect(dst, (const float[]){1, 4, 9, 16, 25, 36}, 6, 0, "squares");
    const sac_shape wrong[][2] = {{{4, {2, 3, 4, 5}}, {4, {2, 3, 4, 1}}},
                                  {{4, {2, 3, 4, 5}}, {4, {2, 1, 1, 1}}},
                                  {{4, {2, 3, 4, 5}}, {4, {1, 3, 1, 1}}},
                                  {{4, {2, 3, 1, 1}}, {4, {2, 3, 4, 5}}},
                                  {{4, {2, 3, 4, 5}}, {2, {2, 3}}}};
    for (int i = 0; i < 5; i++)
        refused(&sac_op_mul, NULL, wrong[i], 2, SAC_ERROR_SHAPE, "input 1", "[N][C][1]");
}

Test(nn_ops_c, mul_gradients_and_plans) {
    const int64_t dims[] = {5, 4, 3, 2};
    for (int ndims = 1; ndims <= 4; ndims++) {
        for (int channel = 0; channel < 2; channel++) {
            sac_shape pair[2] = {{.ndims = ndims + 1, .dims = {2}}};
            memcpy(pair[0].dims + 1, dims, sizeof dims);
            pair[1] = pair[0];
            for (int d = 2; channel && d <= ndims; d++) pair[1].dims[d] = 1;
            gradcheck_op(&sac_op_mul, NULL, pair, 2, (uint64_t)(ndims * 2 + channel));
            sac_net *net = start(ndims, dims);
            const int b = sac_net_input(net, "b", ndims, pair[1].dims + 1);
            compare(net, sac_net_mul(net, "y", 0, b), 2, GRADCHECK_SMOOTH, 0, (uint64_t)ndims);
        }
    }
    static const int64_t channels[] = {1, 7, 16, 65, 130};
    for (size_t i = 0; i < sizeof channels / sizeof channels[0]; i++) {
        // Squeeze and excitation in full; the widest is large enough for several threads.
        sac_net *net = start(3, (const int64_t[]){channels[i], 9, 11});
        int s = sac_net_adaptive_pool(net, SAC_OP_ADAPTIVE_AVG_POOL, "squeeze", 0, 1, 1, 1);
        s = sac_net_conv2d(net, "reduce", s, 4, 1, 1, 0, 1, true);
        s = sac_net_unary(net, SAC_OP_SWISH, "act", s);
        s = sac_net_conv2d(net, "expand", s, channels[i], 1, 1, 0, 1, true);
        s = sac_net_unary(net, SAC_OP_HARD_SIGMOID, "gate", s);
        compare(net, sac_net_mul(net, "scaled", 0, s), 2, GRADCHECK_SMOOTH, 2e-5, i);
    }
    // A tensor times itself and times something computed from it.
    sac_net *net = start(3, (const int64_t[]){8, 5, 6});
    const int square = sac_net_mul(net, "square", 0, 0);
    compare(net, sac_net_mul(net, "cube", sac_net_unary(net, SAC_OP_TANH, "tanh", square), 0), 2,
            GRADCHECK_SMOOTH, 0, 9);
}

// --- activations -------------------------------------------------------------------------------

Test(nn_ops_c, activations_give_known_numbers) {
    const float x[] = {-4, -1, 0, 0.5f, 4};
    const sac_shape five = {2, {1, 5}};
    const struct {
        const sac_op *op;
        sac_attrs attrs;
        float want[5];
    } cases[] = {
        {&sac_op_clip, {.alpha = -2, .beta = 3}, {-2, -1, 0, 0.5f, 3}},
        {&sac_op_linear, {.alpha = 0.5, .beta = 1}, {-1, 0.5f, 1, 1.25f, 3}},
        {&sac_op_tanh, {0}, {-0.99932930f, -0.76159416f, 0, 0.46211716f, 0.99932930f}},
        {&sac_op_swish, {.alpha = 1}, {-0.07194484f, -0.26894142f, 0, 0.31122967f, 3.92805516f}},
        {&sac_op_swish, {.alpha = 2}, {-0.00134140f, -0.11920292f, 0, 0.36552929f, 3.99865860f}},
        {&sac_op_hard_sigmoid, {.alpha = 0.25, .beta = 0.5}, {0, 0.25f, 0.5f, 0.625f, 1}},
        {&sac_op_hard_swish, {.alpha = 0.25, .beta = 0.5}, {0, -0.25f, 0, 0.3125f, 4}},
        {&sac_op_mish, {0}, {-0.07259157f, -0.30340146f, 0, 0.37524524f, 3.99741280f}},
        {&sac_op_grad_reverse, {.alpha = 3}, {-4, -1, 0, 0.5f, 4}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        float dst[5];
        forward(cases[i].op, &cases[i].attrs, 1, &five, (const float *[]){x}, dst, NULL);
        expect(dst, cases[i].want, 5, 5e-7, cases[i].op->name);
        const float broken[5] = {NAN, NAN, NAN, NAN, NAN};
        forward(cases[i].op, &cases[i].attrs, 1, &five, (const float *[]){broken}, dst, NULL);
        cr_assert(isnan(dst[0]) && isnan(dst[4]), "%s hides NaN", cases[i].op->name);
    }
    float kept[5];
    forward(&sac_op_relu, &(sac_attrs){0}, 1, &five,
            (const float *[]){(const float[]){NAN, -1, 0, 2, -INFINITY}}, kept, NULL);
    cr_assert(isnan(kept[0]) && kept[1] == 0 && kept[2] == 0 && kept[3] == 2 && kept[4] == 0);
    // Extremes neither overflow nor become NaN.
    const float extreme[] = {-3e38f, -100, 0, 100, 3e38f};
    float dst[5];
    forward(&sac_op_mish, &(sac_attrs){0}, 1, &five, (const float *[]){extreme}, dst, NULL);
    expect(dst, (const float[]){0, 0, 0, 100, 3e38f}, 5, 1e-6, "mish of extremes");
    forward(&sac_op_swish, &(sac_attrs){.alpha = 1}, 1, &five, (const float *[]){extreme}, dst,
            NULL);
    expect(dst, (const float[]){0, 0, 0, 100, 3e38f}, 5, 1e-6, "swish of extremes");

    sac_attrs a = {.alpha = 1, .beta = 0.5};
    refused(&sac_op_clip, &a, &five, 1, SAC_ERROR_ARGUMENT, "[1, 0.5]", "lower limit first");
    a.alpha = NAN;
    refused(&sac_op_clip, &a, &five, 1, SAC_ERROR_ARGUMENT, "nan", "lower limit first");
    refused(&sac_op_linear, &a, &five, 1, SAC_ERROR_ARGUMENT, "nan", "a float can hold");
    refused(&sac_op_swish, &a, &five, 1, SAC_ERROR_ARGUMENT, "nan", "expected");
    a.alpha = -1;
    refused(&sac_op_grad_reverse, &a, &five, 1, SAC_ERROR_ARGUMENT, "-1", "0 to 1000");
}

// One node of each new activation. Kinks lie off the points where APART values are.
static int activation(sac_net *net, int which, const char *name, int src) {
    switch (which) {
    case 0:
        return sac_net_clip(net, name, src, -0.3, 0.4);
    case 1:
        return sac_net_clip(net, name, src, 0, 6);
    case 2:
        return sac_net_linear(net, name, src, -1.5, 0.25);
    case 3:
        return sac_net_unary(net, SAC_OP_TANH, name, src);
    case 4:
        return sac_net_unary(net, SAC_OP_SWISH, name, src);
    case 5:
        return sac_net_add_node(net, SAC_OP_SWISH, name, &(sac_attrs){.alpha = 1.7}, &src, 1);
    case 6:
        return sac_net_unary(net, SAC_OP_HARD_SIGMOID, name, src);
    case 7:
        return sac_net_unary(net, SAC_OP_HARD_SWISH, name, src);
    case 8:
        return sac_net_add_node(net, SAC_OP_HARD_SWISH, name,
                                &(sac_attrs){.alpha = 0.9, .beta = 0.45}, &src, 1);
    default:
        return sac_net_unary(net, SAC_OP_MISH, name, src);
    }
}
#define ACTIVATIONS 10

Test(nn_ops_c, activation_gradients) {
    const sac_shape shapes[] = {{2, {2, 7}}, {4, {2, 3, 4, 3}}, {5, {1, 2, 3, 2, 3}}};
    const struct {
        const sac_op *op;
        sac_attrs attrs;
    } smooth[] = {{&sac_op_linear, {.alpha = -1.5, .beta = 0.25}},
                  {&sac_op_tanh, {0}},
                  {&sac_op_swish, {.alpha = 1}},
                  {&sac_op_swish, {.alpha = 1.7}},
                  {&sac_op_mish, {0}}},
      kinked[] = {{&sac_op_clip, {.alpha = -1, .beta = 2}},
                  {&sac_op_hard_sigmoid, {.alpha = 0.25, .beta = 0.5}},
                  {&sac_op_hard_swish, {.alpha = 0.25, .beta = 0.5}}};
    for (size_t s = 0; s < 3; s++) {
        for (size_t k = 0; k < 5; k++)
            gradcheck_op(smooth[k].op, &smooth[k].attrs, &shapes[s], 1, 10 + s);
        // Values are odd multiples of 4 steps of 2^-6; the kinks above lie between them.
        for (size_t k = 0; k < 3; k++)
            gradcheck_op_apart(kinked[k].op, &kinked[k].attrs, &shapes[s], 1, 20 + s);
    }
}

// Alone behind an input, and behind a convolution or dense layer, where an inference plan fuses it.
Test(nn_ops_c, activation_plans) {
    for (int which = 0; which < ACTIVATIONS; which++) {
        for (int wide = 0; wide < 2; wide++) {
            sac_net *net = start(3, (const int64_t[]){wide ? 16 : 3, 9, 7});
            sac_net_output(net, activation(net, which, "alone", 0));
            const int conv = sac_net_conv2d(net, "conv", 0, wide ? 33 : 5, 3, 1, 1, 1, true);
            sac_net_output(net, activation(net, which, "behind-conv", conv));
            const int dense = sac_net_dense(net, "dense", 0, 19, true);
            compare(net, activation(net, which, "behind-dense", dense), 2, GRADCHECK_SMOOTH, 2e-5,
                    (uint64_t)(which + wide));
        }
    }
}

Test(nn_ops_c, activations_are_fused_at_inference) {
    sac_error error = {0};
    for (int which = 0; which < ACTIVATIONS; which++) {
        sac_net *net = start(3, (const int64_t[]){16, 8, 8});
        int x = sac_net_conv2d(net, "conv", 0, 16, 3, 1, 1, 1, false);
        x = activation(net, which, "act", sac_net_batch_norm(net, "bn", x));
        x = sac_net_grad_reverse(net, "reverse", x, 1);
        x = sac_net_conv2d(net, "conv2", x, 16, 1, 1, 0, 1, true);
        sac_net_output(net, activation(net, which, "act2", x));
        sac_params *params = NULL;
        sac_infer *infer = NULL;
        const sac_plan_options plan = {.batch = 1, .channels_last = true};
        sac_assert_ok(sac_params_create(&params, net, &error), &error);
        sac_assert_ok(sac_infer_create(&infer, net, params, &plan, &error), &error);
        char *text = sac_infer_describe(infer);
        cr_assert_not_null(text);
        // Neither a norm, nor an activation, nor the reversal has a step of its own.
        cr_assert(strstr(text, "eltwise") == NULL && strstr(text, "reversal") == NULL &&
                      strstr(text, "norm") == NULL,
                  "%d:\n%s", which, text);
        sac_free(text);
        sac_infer_close(&infer);
        sac_params_close(&params);
        sac_net_close(&net);
    }
}

// --- gradient reversal -------------------------------------------------------------------------

Test(nn_ops_c, gradient_reversal) {
    const float src[] = {1, -2, 3}, diff_dst[] = {0.5f, -1, 2};
    float diff_src[3] = {NAN, NAN, NAN};
    const sac_attrs a = {.alpha = 0.25};
    sac_ref ref = {.attrs = &a,
                   .src_count = 1,
                   .src_shape = {{2, {1, 3}}},
                   .dst_shape = {2, {1, 3}},
                   .src = {src},
                   .diff_dst = diff_dst,
                   .diff_src = {diff_src}};
    sac_op_grad_reverse.ref_backward(&ref);
    expect(diff_src, (const float[]){-0.125f, 0.25f, -0.5f}, 3, 0, "reversed gradient");
    // Two heads on one trunk, one of them an adversary.
    sac_net *net = start(3, (const int64_t[]){4, 5, 6});
    const int trunk = sac_net_unary(net, SAC_OP_TANH, "act",
                                    sac_net_conv2d(net, "trunk", 0, 8, 3, 1, 1, 1, true));
    sac_net_output(net, sac_net_conv2d(net, "head", trunk, 2, 1, 1, 0, 1, true));
    const int back = sac_net_grad_reverse(net, "reverse", trunk, 0.7);
    compare(net, sac_net_conv2d(net, "adversary", back, 3, 1, 1, 0, 1, true), 2, GRADCHECK_SMOOTH,
            2e-5, 3);
    // Directly behind the input and at the end of the network; large enough for several threads.
    net = start(2, (const int64_t[]){7, 10000});
    compare(net, sac_net_grad_reverse(net, "reverse", 0, 2), 1, GRADCHECK_SMOOTH, 0, 4);
}

// --- windows -----------------------------------------------------------------------------------

static sac_attrs window(const int64_t k[3], const int64_t s[3], const int64_t p[3],
                        const int64_t extra[3]) {
    sac_attrs a = {.groups = 1};
    memcpy(a.kernel, k, sizeof a.kernel);
    memcpy(a.stride, s, sizeof a.stride);
    memcpy(a.pad, p, sizeof a.pad);
    memcpy(a.pad_extra, extra, sizeof a.pad_extra);
    return a;
}

static const int64_t one[3] = {1, 1, 1}, zero[3] = {0, 0, 0}, k2[3] = {1, 2, 2}, k3[3] = {1, 3, 3},
                     s2[3] = {1, 2, 2}, p1[3] = {0, 1, 1}, behind1[3] = {0, 1, 1},
                     behind01[3] = {0, 0, 1}, less1[3] = {0, -1, -1};

Test(nn_ops_c, unequal_padding_known_numbers) {
    const float src[] = {1, 2, 3, 4, 5, 6, 7, 8, 9};
    const sac_shape shape = {4, {1, 1, 3, 3}};
    sac_shape out;
    float dst[16];
    // Darknet's maxpool of size 2, stride 1 keeps the size.
    sac_attrs a = window(k2, one, zero, behind1);
    forward(&sac_op_max_pool, &a, 1, &shape, (const float *[]){src}, dst, &out);
    cr_assert(sac_shape_equal(&out, &shape));
    expect(dst, (const float[]){5, 6, 6, 8, 9, 9, 8, 9, 9}, 9, 0, "max 2x2 behind");
    // Rounded up: the last windows are cut off by the border and hold what is left.
    a = window(k2, s2, zero, behind1);
    forward(&sac_op_max_pool, &a, 1, &shape, (const float *[]){src}, dst, &out);
    cr_assert(sac_shape_equal(&out, &(sac_shape){4, {1, 1, 2, 2}}));
    expect(dst, (const float[]){5, 6, 8, 9}, 4, 0, "max, rounded up");
    forward(&sac_op_avg_pool, &a, 1, &shape, (const float *[]){src}, dst, &out);
    expect(dst, (const float[]){3, 4.5f, 7.5f, 9}, 4, 0, "mean, rounded up");
    a.count_pad = true;
    forward(&sac_op_avg_pool, &a, 1, &shape, (const float *[]){src}, dst, &out);
    expect(dst, (const float[]){3, 2.25f, 3.75f, 2.25f}, 4, 0, "mean with counted padding");

    a = window(k2, s2, zero, (const int64_t[3]){0, 2, 0});
    refused(&sac_op_max_pool, &a, &shape, 1, SAC_ERROR_ARGUMENT, "2 behind",
            "less than the kernel");
    a = window(k3, s2, p1, (const int64_t[3]){0, 0, -2});
    refused(&sac_op_avg_pool, &a, &shape, 1, SAC_ERROR_ARGUMENT, "-1 behind", "expected 0");
}

Test(nn_ops_c, window_gradients_and_plans) {
    const int64_t *extras[] = {zero, behind1, behind01, less1};
    const sac_shape flat = {4, {2, 3, 5, 6}};
    for (int e = 0; e < 4; e++) {
        for (int stride = 0; stride < 2; stride++) {
            const int64_t *s = stride ? s2 : one, *p = e == 3 ? p1 : zero;
            sac_attrs a = window(k3, s, p, extras[e]);
            const uint64_t seed = (uint64_t)(e * 2 + stride);
            gradcheck_op_apart(&sac_op_max_pool, &a, &flat, 1, seed);
            gradcheck_op(&sac_op_avg_pool, &a, &flat, 1, seed);
            const sac_op_kind kinds[] = {SAC_OP_MAX_POOL, SAC_OP_AVG_POOL, SAC_OP_AVG_POOL};
            for (int k = 0; k < 3; k++) {
                a.count_pad = k == 2;
                if (k == 2) gradcheck_op(&sac_op_avg_pool, &a, &flat, 1, seed);
                sac_net *net = start(3, (const int64_t[]){16, 9, 10});
                const int x = 0;
                compare(net, sac_net_add_node(net, kinds[k], "pool", &a, &x, 1), 2,
                        GRADCHECK_SMOOTH, 0, seed);
                net = start(4, (const int64_t[]){5, 2, 9, 10});
                compare(net, sac_net_add_node(net, kinds[k], "pool", &a, &x, 1), 2,
                        GRADCHECK_SMOOTH, 0, seed);
            }
            a.count_pad = false;
            for (int groups = 1; groups <= 16; groups *= 4) {
                const int64_t dilation = (e + stride + groups / 4) % 3;
                a.channels = 16;
                a.groups = groups;
                a.bias = dilation == 1;
                a.dilation[1] = a.dilation[2] = dilation;
                if (groups == 4) {
                    const sac_shape small = {4, {1, 4, 8, 7}};
                    sac_attrs b = a;
                    b.channels = 4;
                    gradcheck_op(&sac_op_conv, &b, &small, 1, seed);
                }
                sac_net *net = start(3, (const int64_t[]){16, 9, 10});
                const int x = 0;
                compare(net, sac_net_add_node(net, SAC_OP_CONV, "conv", &a, &x, 1), 2,
                        GRADCHECK_SMOOTH, 2e-5, seed + (uint64_t)(groups / 4));
            }
        }
    }
    // Volumes: unequal on one axis only, dilated on another.
    sac_attrs a = window((const int64_t[3]){2, 3, 3}, (const int64_t[3]){1, 2, 1}, p1,
                         (const int64_t[3]){1, -1, 2});
    a.channels = 6;
    a.dilation[2] = 1;
    const sac_shape deep = {5, {1, 2, 3, 5, 6}};
    gradcheck_op(&sac_op_conv, &a, &deep, 1, 30);
    sac_net *net = start(4, (const int64_t[]){8, 3, 7, 8});
    const int x = 0;
    compare(net, sac_net_add_node(net, SAC_OP_CONV, "conv", &a, &x, 1), 2, GRADCHECK_SMOOTH, 2e-5,
            31);
}

// --- JSON --------------------------------------------------------------------------------------

Test(nn_ops_c, json_keeps_everything_and_reads_old_files) {
    sac_error error = {0};
    sac_net *net = start(3, (const int64_t[]){4, 12, 12}), *again = NULL;
    sac_attrs a = window(k3, one, p1, behind01);
    a.channels = 4;
    a.dilation[1] = 1;
    int x = 0;
    x = sac_net_add_node(net, SAC_OP_CONV, "conv", &a, &x, 1);
    a = window(k3, s2, p1, less1);
    a.groups = 0; // not an attribute of pools
    a.count_pad = true;
    x = sac_net_add_node(net, SAC_OP_AVG_POOL, "pool", &a, &x, 1);
    for (int which = 0; which < ACTIVATIONS; which++) {
        char name[16];
        (void)snprintf(name, sizeof name, "act%d", which);
        x = activation(net, which, name, x);
    }
    x = sac_net_clip(net, "open", x, -(double)FLT_MAX, (double)FLT_MAX);
    x = sac_net_grad_reverse(net, "reverse", sac_net_slice(net, "slice", x, 1, 1, 2, 2), 0.5);
    sac_net_output(net, sac_net_mul(net, "mul", x, x));
    sac_assert_ok(sac_net_check(net, &error), &error);
    json_t *json = sac_net_to_json(net);
    sac_assert_ok(sac_net_from_json(&again, json, "test", &error), &error);
    json_t *second = sac_net_to_json(again);
    cr_assert(json_equal(json, second));
    for (int i = 0; i < sac_net_count(net); i++)
        cr_assert_eq(
            memcmp(&sac_net_node(net, i)->attrs, &sac_net_node(again, i)->attrs, sizeof(sac_attrs)),
            0, "attributes of '%s'", sac_net_node(net, i)->name);
    json_decref(json);
    json_decref(second);
    sac_net_close(&again);
    sac_net_close(&net);

    // Without the newer keys, as older files are, padding is the same on both sides; and such nets
    // are written as they always were.
    const char *old = "{\"nodes\": [{\"op\": \"input\", \"name\": \"x\", \"shape\": [3, 8, 8]}, "
                      "{\"op\": \"avg_pool\", \"name\": \"p\", \"src\": [\"x\"], \"kernel\": [1, "
                      "3, 3], \"stride\": [1, 1, 1], \"pad\": [0, 1, 1]}], \"outputs\": [\"p\"]}";
    json = json_loads(old, 0, NULL);
    sac_assert_ok(sac_net_from_json(&net, json, "test", &error), &error);
    second = sac_net_to_json(net);
    cr_assert(json_equal(json, second));
    json_decref(json);
    json_decref(second);
    sac_net_close(&net);
}

Test(nn_ops_c, hostile_attributes_are_refused) {
    static const char *const bad[][2] = {
        {"avg_pool", "\"kernel\": [1,3,3], \"stride\": [1,1,1], \"pad\": [0,1,1], \"pad_extra\": "
                     "[0,-2,0]"},
        {"max_pool", "\"kernel\": [1,3,3], \"stride\": [1,1,1], \"pad\": [0,1,1], \"pad_extra\": "
                     "[0,9223372036854775807,0]"},
        {"max_pool", "\"kernel\": [1,3,3], \"stride\": [1,1,1], \"pad\": [0,1,1], \"pad_extra\": "
                     "[1]"},
        {"avg_pool", "\"kernel\": [1,3,3], \"stride\": [1,1,1], \"pad\": [0,1,1], \"count_pad\": "
                     "3"},
        {"conv", "\"channels\": 4, \"bias\": true, \"groups\": 1, \"kernel\": [1,3,3], "
                 "\"stride\": [1,1,1], \"pad\": [0,1,1], \"dilation\": [0,-1,0]"},
        {"slice", "\"axis\": 1, \"begin\": 0, \"length\": 9, \"step\": 1"},
        {"slice", "\"axis\": 1, \"begin\": 0, \"length\": 0, \"step\": 1"},
        {"slice", "\"axis\": 1, \"begin\": 0, \"length\": 1"},
        {"clip", "\"alpha\": 1, \"beta\": 0"},
        {"linear", "\"alpha\": 1e39, \"beta\": 0"},
        {"grad_reverse", "\"alpha\": -1"},
        {"swish", "\"alpha\": 1e4"},
        {"mul", "\"alpha\": 1"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char text[512];
        (void)snprintf(text, sizeof text,
                       "{\"nodes\": [{\"op\": \"input\", \"name\": \"x\", \"shape\": [4, 8, 8]}, "
                       "{\"op\": \"%s\", \"name\": \"y\", \"src\": [\"x\"], %s}], \"outputs\": "
                       "[\"y\"]}",
                       bad[i][0], bad[i][1]);
        json_t *json = json_loads(text, 0, NULL);
        cr_assert_not_null(json, "case %zu", i);
        sac_net *net = NULL;
        sac_error error = {0};
        cr_assert_eq(sac_net_from_json(&net, json, "model.safetensors", &error), SAC_ERROR_FORMAT,
                     "case %zu: %s", i, error.message);
        cr_assert_null(net);
        json_decref(json);
    }
}
