// Dense, matmul, activations, softmax, add and concat: shape errors, known numbers, the reference's
// backward against central differences, and oneDNN plans against reference plans, forward and
// backward.
#include "gradcheck.h"
#include "helper.h"
#include "nn/op_list.h"

static sac_shape shape1(int n, const int64_t *dims) {
    sac_shape s = {.ndims = n};
    memcpy(s.dims, dims, (size_t)n * sizeof(int64_t));
    return s;
}
#define SHAPE(...)                                                                                 \
    shape1((int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), (int64_t[]){__VA_ARGS__})

// --- shapes ------------------------------------------------------------------------------------

static void refused(const sac_op *op, const sac_attrs *attrs, const sac_shape *src, int count,
                    sac_status code, const char *first, const char *second) {
    sac_error error = {0};
    sac_shape dst;
    sac_assert_error(op->shape(attrs, src, count, &dst, &error), code, &error, first, second, NULL);
}

Test(nn_ops_b, wrong_shapes_and_attributes_are_named) {
    sac_shape image = SHAPE(2, 3, 4, 5), lone = SHAPE(7);
    sac_attrs none = {0}, a = {0};
    refused(&sac_op_dense, &none, &image, 1, SAC_ERROR_ARGUMENT, "0 output channels", "expected");
    a.channels = 4;
    refused(&sac_op_dense, &a, &lone, 1, SAC_ERROR_SHAPE, "[7]", "axis");
    sac_shape large = SHAPE(1, 65536, 65536);
    refused(&sac_op_dense, &a, &large, 1, SAC_ERROR_SHAPE, "[65536][65536]", "2^31");

    sac_shape pairs[][2] = {{SHAPE(2, 3, 4), SHAPE(2, 5, 6)},
                            {SHAPE(2, 3, 4), SHAPE(2, 2, 4, 6)},
                            {SHAPE(2, 8, 3, 4), SHAPE(2, 7, 4, 6)},
                            {SHAPE(3, 4), SHAPE(4, 6)}};
    const char *found[] = {"[2][5][6]", "[2][2][4][6]", "axis 1", "[3][4]"};
    for (int i = 0; i < 4; i++)
        refused(&sac_op_matmul, &none, pairs[i], 2, SAC_ERROR_SHAPE, found[i], "inputs");

    a.alpha = NAN;
    refused(&sac_op_leaky_relu, &a, &image, 1, SAC_ERROR_ARGUMENT, "alpha", "expected");
    a.axis = 0;
    refused(&sac_op_softmax, &a, &image, 1, SAC_ERROR_ARGUMENT, "axis 0", "1 to 3");
    a.axis = 4;
    refused(&sac_op_softmax, &a, &image, 1, SAC_ERROR_ARGUMENT, "axis 4", "[2][3][4][5]");
    refused(&sac_op_concat, &a, (sac_shape[]){image, image}, 2, SAC_ERROR_ARGUMENT, "axis 4",
            "1 to 3");
    a.axis = 1;
    refused(&sac_op_concat, &a, (sac_shape[]){image, SHAPE(2, 9, 4, 6)}, 2, SAC_ERROR_SHAPE,
            "[2][9][4][6]", "axis 1");
    refused(&sac_op_concat, &a, (sac_shape[]){image, SHAPE(2, 9, 4)}, 2, SAC_ERROR_SHAPE, "input 1",
            "[2][9][4]");
    refused(&sac_op_add, &none, (sac_shape[]){image, image, SHAPE(2, 3, 4, 6)}, 3, SAC_ERROR_SHAPE,
            "input 2", "[2][3][4][6]");

    sac_error error = {0};
    sac_shape dst;
    sac_assert_ok(sac_op_concat.shape(&a, (sac_shape[]){image, SHAPE(2, 9, 4, 5)}, 2, &dst, &error),
                  &error);
    cr_assert(sac_shape_equal(&dst, &(sac_shape){.ndims = 4, .dims = {2, 12, 4, 5}}));
    sac_shape mm[2] = {SHAPE(2, 8, 3, 4), SHAPE(2, 8, 4, 6)};
    sac_assert_ok(sac_op_matmul.shape(&none, mm, 2, &dst, &error), &error);
    cr_assert(sac_shape_equal(&dst, &(sac_shape){.ndims = 4, .dims = {2, 8, 3, 6}}));
    cr_assert_eq(sac_op_matmul.macs(&none, mm, &dst), 2 * 8 * 3 * 4 * 6);
    a.channels = 10;
    sac_assert_ok(sac_op_dense.shape(&a, &image, 1, &dst, &error), &error);
    cr_assert(sac_shape_equal(&dst, &(sac_shape){.ndims = 2, .dims = {2, 10}}));
    cr_assert_eq(sac_op_dense.macs(&a, &image, &dst), 2 * 10 * 60);
    sac_param_spec specs[SAC_MAX_PARAMS];
    cr_assert_eq(sac_op_dense.params(&a, &image, specs), 1);
    a.bias = true;
    cr_assert_eq(sac_op_dense.params(&a, &image, specs), 2);
    cr_assert(specs[0].fan_in == 60 && specs[0].shape.dims[1] == 60 &&
              specs[1].shape.dims[0] == 10);
}

// --- known numbers -----------------------------------------------------------------------------

static void forward(const sac_op *op, const sac_attrs *attrs, int count, const sac_shape *shapes,
                    const float *const *src, const float *const *params, float *dst) {
    sac_error error = {0};
    sac_ref ref = {.attrs = attrs, .src_count = count, .dst = dst};
    for (int k = 0; k < count; k++) {
        ref.src_shape[k] = shapes[k];
        ref.src[k] = src[k];
    }
    for (int p = 0; params && p < 2; p++) ref.param[p] = params[p];
    sac_assert_ok(op->shape(attrs, shapes, count, &ref.dst_shape, &error), &error);
    op->ref_forward(&ref);
}

static void expect(const float *got, const float *want, int n, double limit, const char *what) {
    for (int i = 0; i < n; i++)
        cr_assert(fabs((double)got[i] - (double)want[i]) <= limit, "%s[%d]: %.9g, want %.9g", what,
                  i, (double)got[i], (double)want[i]);
}

Test(nn_ops_b, reference_gives_known_numbers) {
    float dst[16];
    const float x[] = {-2, -0.5f, 0, 1, 3};
    sac_shape five = SHAPE(1, 5);
    sac_attrs attrs = {.alpha = 0.25};
    forward(&sac_op_relu, &attrs, 1, &five, (const float *[]){x}, NULL, dst);
    expect(dst, (const float[]){0, 0, 0, 1, 3}, 5, 0, "relu");
    forward(&sac_op_leaky_relu, &attrs, 1, &five, (const float *[]){x}, NULL, dst);
    expect(dst, (const float[]){-0.5f, -0.125f, 0, 1, 3}, 5, 0, "leaky relu");
    // x Phi(x) from tables of the normal distribution.
    forward(&sac_op_gelu, &attrs, 1, &five, (const float *[]){x}, NULL, dst);
    expect(dst, (const float[]){-0.04550026f, -0.15426877f, 0, 0.84134475f, 2.99595031f}, 5, 3e-7,
           "gelu");
    forward(&sac_op_sigmoid, &attrs, 1, &five, (const float *[]){x}, NULL, dst);
    expect(dst, (const float[]){0.11920292f, 0.37754067f, 0.5f, 0.73105858f, 0.95257413f}, 5, 1e-7,
           "sigmoid");
    // Extremes neither overflow nor become NaN.
    const float extreme[] = {-3e38f, -100, 100, 3e38f, 1};
    forward(&sac_op_sigmoid, &attrs, 1, &five, (const float *[]){extreme}, NULL, dst);
    expect(dst, (const float[]){0, 0, 1, 1, 0.73105858f}, 5, 1e-7, "sigmoid of extremes");
    attrs.axis = 1;
    forward(&sac_op_softmax, &attrs, 1, &five, (const float *[]){extreme}, NULL, dst);
    expect(dst, (const float[]){0, 0, 0, 1, 0}, 5, 0, "softmax of extremes");
    const float logs[] = {0, logf(2), logf(3), logf(4), logf(10)};
    forward(&sac_op_softmax, &attrs, 1, &five, (const float *[]){logs}, NULL, dst);
    expect(dst, (const float[]){0.05f, 0.1f, 0.15f, 0.2f, 0.5f}, 5, 1e-7, "softmax");
    // Softmax over the middle axis of [1][2][2]: pairs (0, 2) and (1, 3).
    attrs.axis = 1;
    sac_shape square = SHAPE(1, 2, 2);
    forward(&sac_op_softmax, &attrs, 1, &square,
            (const float *[]){(const float[]){0, 5, logf(3), 5}}, NULL, dst);
    expect(dst, (const float[]){0.25f, 0.5f, 0.75f, 0.5f}, 4, 1e-7, "softmax, axis 1");

    const float a[] = {1, 2, 3, 4, 5, 6}, b[] = {1, 0, -1, 2, 0, 1};
    forward(&sac_op_matmul, &attrs, 2, (sac_shape[]){SHAPE(1, 2, 3), SHAPE(1, 3, 2)},
            (const float *[]){a, b}, NULL, dst);
    expect(dst, (const float[]){-1, 7, -1, 16}, 4, 0, "matmul");
    forward(&sac_op_add, &attrs, 3, (sac_shape[]){SHAPE(1, 6), SHAPE(1, 6), SHAPE(1, 6)},
            (const float *[]){a, b, a}, NULL, dst);
    expect(dst, (const float[]){3, 4, 5, 10, 10, 13}, 6, 0, "add");
    attrs.axis = 2;
    forward(&sac_op_concat, &attrs, 2, (sac_shape[]){SHAPE(1, 2, 1), SHAPE(1, 2, 3)},
            (const float *[]){(const float[]){8, 9}, a}, NULL, dst);
    expect(dst, (const float[]){8, 1, 2, 3, 9, 4, 5, 6}, 8, 0, "concat");
    attrs = (sac_attrs){.channels = 2, .bias = true};
    forward(&sac_op_dense, &attrs, 1, &(sac_shape){.ndims = 3, .dims = {2, 3, 1}},
            (const float *[]){a}, (const float *[]){b, (const float[]){0.5f, -0.5f}}, dst);
    expect(dst, (const float[]){-1.5f, 4.5f, -1.5f, 13.5f}, 4, 0, "dense");
}

// --- the reference against central differences --------------------------------------------------

Test(nn_ops_b, reference_backward_is_the_derivative) {
    sac_attrs a = {.channels = 5, .bias = true, .alpha = 0.25, .axis = 1};
    const sac_shape images[] = {SHAPE(1, 1), SHAPE(2, 7), SHAPE(3, 5, 2), SHAPE(2, 3, 4, 3),
                                SHAPE(2, 2, 3, 2, 3)};
    const sac_op *const kinked[] = {&sac_op_relu, &sac_op_leaky_relu};
    const sac_op *const smooth[] = {&sac_op_gelu, &sac_op_sigmoid, &sac_op_dense, &sac_op_softmax};
    for (size_t s = 0; s < sizeof images / sizeof images[0]; s++) {
        uint64_t seed = 40 + s;
        for (int k = 0; k < 2; k++) gradcheck_op_apart(kinked[k], &a, &images[s], 1, seed);
        for (int k = 0; k < 4; k++) gradcheck_op(smooth[k], &a, &images[s], 1, seed);
        for (a.axis = 1; a.axis < images[s].ndims; a.axis++) {
            gradcheck_op(&sac_op_softmax, &a, &images[s], 1, seed);
            sac_shape parts[3] = {images[s], images[s], images[s]};
            parts[1].dims[a.axis] += 2;
            for (int n = 1; n <= 3; n++) gradcheck_op(&sac_op_concat, &a, parts, n, seed);
        }
        a.axis = 1;
        sac_shape same[SAC_MAX_SRC];
        for (int n = 0; n < SAC_MAX_SRC; n++) same[n] = images[s];
        for (int n = 2; n <= SAC_MAX_SRC; n += 3) gradcheck_op(&sac_op_add, &a, same, n, seed);
    }
    a.bias = false, a.alpha = -0.5;
    gradcheck_op(&sac_op_dense, &a, &images[3], 1, 50);
    gradcheck_op_apart(&sac_op_leaky_relu, &a, &images[3], 1, 51);
    sac_shape products[][2] = {{SHAPE(1, 1, 1), SHAPE(1, 1, 1)},
                               {SHAPE(2, 3, 5), SHAPE(2, 5, 4)},
                               {SHAPE(2, 3, 4, 2), SHAPE(2, 3, 2, 5)},
                               {SHAPE(2, 1, 2, 3, 4), SHAPE(2, 1, 2, 4, 1)}};
    for (int i = 0; i < 4; i++) gradcheck_op(&sac_op_matmul, &a, products[i], 2, 60 + (uint64_t)i);
}

// --- plans against the reference ----------------------------------------------------------------

static const int64_t sizes[] = {1, 2, 3, 5, 7, 15, 16, 17, 33};
#define SIZES ((int)(sizeof sizes / sizeof sizes[0]))

// No step of either plan may run on oneDNN's own reference implementation.
static void assert_fast(const sac_net *net, int64_t batch, bool channels_last) {
    sac_error error = {0};
    sac_params *params = NULL;
    sac_train *train = NULL;
    sac_infer *infer = NULL;
    sac_plan_options plan = {.batch = batch, .channels_last = channels_last, .input_grad = true};
    sac_assert_ok(sac_params_create(&params, net, &error), &error);
    sac_assert_ok(sac_train_create(&train, net, params, &plan, &error), &error);
    sac_assert_ok(sac_infer_create(&infer, net, params, &plan, &error), &error);
    char *texts[2] = {sac_train_describe(train), sac_infer_describe(infer)};
    for (int i = 0; i < 2; i++) {
        cr_assert_not_null(texts[i]);
        cr_assert(strstr(texts[i], " ref") == NULL, "slow implementation in the plan:\n%s",
                  texts[i]);
        sac_free(texts[i]);
    }
    sac_train_close(&train);
    sac_infer_close(&infer);
    sac_params_close(&params);
}

static void compare(sac_net *net, int64_t batch, gradcheck_fill fill, double limit, uint64_t seed) {
    for (int last = 0; last < 2; last++) {
        compare_options options = {
            .batch = batch, .fill = fill, .channels_last = last == 1, .limit = limit};
        compare_backends(net, &options, seed);
        assert_fast(net, batch, last == 1);
    }
    sac_net_close(&net);
}

static sac_net *start(void) {
    sac_net *net = NULL;
    cr_assert_eq(sac_net_create(&net), SAC_OK);
    return net;
}

Test(nn_ops_b, dense_plans_match_the_reference) {
    for (int i = 0; i < SIZES; i++) {
        for (int j = 0; j < SIZES; j++) {
            sac_net *net = start();
            int x = sac_net_input(net, "x", 1, (int64_t[]){sizes[i]});
            sac_net_output(net, sac_net_dense(net, "y", x, sizes[j], j % 2 == 0));
            compare(net, sizes[(i + j) % SIZES], GRADCHECK_SMOOTH, 0, (uint64_t)(i * 100 + j));
        }
    }
    // Pictures, volumes and tokens, flattened channels-first whatever the layout; the last ones are
    // heads of real nets.
    const struct {
        int64_t batch, channels;
        int ndims;
        int64_t dims[4];
    } cases[] = {{2, 7, 3, {3, 5, 2}},     {3, 5, 3, {1, 4, 4}},   {1, 3, 3, {17, 1, 1}},
                 {2, 16, 4, {3, 2, 5, 4}}, {5, 2, 2, {7, 9}},      {1, 1, 4, {1, 1, 1, 2}},
                 {2, 9, 4, {5, 1, 3, 3}},  {64, 2, 3, {32, 4, 4}}, {16, 1080, 3, {32, 4, 4}}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        sac_net *net = start();
        int x = sac_net_input(net, "x", cases[i].ndims, cases[i].dims);
        sac_net_output(net, sac_net_dense(net, "y", x, cases[i].channels, true));
        compare(net, cases[i].batch, GRADCHECK_SMOOTH, 0, 900 + i);
    }
}

// Two layers that share one weight: its gradient is the sum of both.
Test(nn_ops_b, shared_dense_adds_both_gradients) {
    sac_net *net = start();
    int x = sac_net_input(net, "x", 3, (int64_t[]){6, 2, 2}),
        y = sac_net_input(net, "y", 3, (int64_t[]){6, 2, 2});
    int a = sac_net_dense(net, "a", x, 11, true), b = sac_net_dense(net, "b", y, 11, true);
    sac_net_share(net, b, "a");
    sac_net_output(net, a);
    sac_net_output(net, b);
    compare(net, 3, GRADCHECK_SMOOTH, 0, 1);
}

static const sac_op_kind activations[] = {SAC_OP_RELU, SAC_OP_LEAKY_RELU, SAC_OP_GELU,
                                          SAC_OP_SIGMOID};

// Behind a dense layer an inference plan fuses the activation; behind an input it cannot.
Test(nn_ops_b, activations_fused_and_alone_match_the_reference) {
    for (int k = 0; k < 4; k++) {
        for (int i = 0; i < SIZES; i++) {
            sac_net *net = start();
            int x = sac_net_input(net, "x", 2, (int64_t[]){sizes[i], 3});
            sac_net_output(net, sac_net_unary(net, activations[k], "alone", x));
            x = sac_net_dense(net, "dense", x, 19, i % 2 == 0);
            sac_net_output(net, sac_net_unary(net, activations[k], "behind", x));
            compare(net, sizes[SIZES - 1 - i] + 1, GRADCHECK_SMOOTH, 0, (uint64_t)(k * 10 + i));
        }
        const int64_t shapes[][4] = {{3, 5, 7, 0}, {16, 9, 17, 0}, {5, 2, 3, 4}};
        for (int i = 0; i < 3; i++) {
            sac_net *net = start();
            int x = sac_net_input(net, "x", i == 2 ? 4 : 3, shapes[i]);
            sac_net_output(net, sac_net_unary(net, activations[k], "y", x));
            compare(net, 2, GRADCHECK_SMOOTH, 0, (uint64_t)(k * 10 + i + 100));
        }
    }
}

Test(nn_ops_b, leaky_slopes_of_both_signs) {
    const double slopes[] = {0, 0.01, 0.5, 1, -0.3};
    for (int i = 0; i < 5; i++) {
        sac_net *net = start();
        int x = sac_net_input(net, "x", 1, (int64_t[]){33});
        sac_attrs attrs = {.alpha = slopes[i]};
        sac_net_output(net, sac_net_add_node(net, SAC_OP_LEAKY_RELU, "y", &attrs, &x, 1));
        x = sac_net_dense(net, "dense", x, 19, true);
        sac_net_output(net, sac_net_add_node(net, SAC_OP_LEAKY_RELU, "z", &attrs, &x, 1));
        compare(net, 4, GRADCHECK_SMOOTH, 0, (uint64_t)i);
    }
}

Test(nn_ops_b, softmax_plans_match_the_reference) {
    for (int i = 1; i < SIZES; i++) { // over one value the result is 1 and the gradient 0
        sac_net *net = start();
        int x = sac_net_input(net, "x", 1, &sizes[i]);
        sac_net_output(net, sac_net_softmax(net, "y", x, 1));
        compare(net, sizes[SIZES - i], GRADCHECK_SMOOTH, 0, (uint64_t)i);
    }
    const int64_t dims[] = {4, 3, 17, 5};
    for (int ndims = 2; ndims <= 4; ndims++) {
        for (int axis = 1; axis <= ndims; axis++) {
            sac_net *net = start();
            int x = sac_net_input(net, "x", ndims, dims);
            sac_net_output(net, sac_net_softmax(net, "y", x, axis));
            compare(net, 2, GRADCHECK_SMOOTH, 0, (uint64_t)(ndims * 10 + axis));
        }
    }
}

Test(nn_ops_b, matmul_plans_match_the_reference) {
    for (int i = 0; i < SIZES; i++) {
        for (int j = 0; j < SIZES; j++) {
            sac_net *net = start();
            int64_t m = sizes[i], k = sizes[j], l = sizes[(2 * i + j) % SIZES];
            int a = sac_net_input(net, "a", 2, (int64_t[]){m, k}),
                b = sac_net_input(net, "b", 2, (int64_t[]){k, l});
            sac_net_output(net, sac_net_matmul(net, "y", a, b));
            compare(net, 1 + (i + j) % 3, GRADCHECK_SMOOTH, 0, (uint64_t)(i * 100 + j));
        }
    }
    const int64_t batched[][5] = {
        {5, 49, 64, 16, 0}, {1, 3, 2, 5, 0}, {2, 3, 4, 5, 6}, {1, 1, 1, 7, 1}};
    for (int i = 0; i < 4; i++) {
        const int64_t *d = batched[i];
        sac_net *net = start();
        int a, b;
        if (d[4] == 0) { // [H][M][K] x [H][K][L]
            a = sac_net_input(net, "a", 3, (int64_t[]){d[0], d[1], d[2]});
            b = sac_net_input(net, "b", 3, (int64_t[]){d[0], d[2], d[3]});
        } else {
            a = sac_net_input(net, "a", 4, (int64_t[]){d[0], d[1], d[2], d[3]});
            b = sac_net_input(net, "b", 4, (int64_t[]){d[0], d[1], d[3], d[4]});
        }
        sac_net_output(net, sac_net_matmul(net, "y", a, b));
        compare(net, 2, GRADCHECK_SMOOTH, 0, 500 + (uint64_t)i);
    }
    // A tensor times itself: two gradients meet in one input.
    sac_net *net = start();
    int a = sac_net_input(net, "a", 2, (int64_t[]){9, 9});
    sac_net_output(net, sac_net_matmul(net, "y", a, a));
    compare(net, 3, GRADCHECK_SMOOTH, 0, 600);
}

Test(nn_ops_b, add_plans_match_the_reference) {
    for (int count = 2; count <= SAC_MAX_SRC; count++) {
        for (int i = 0; i < SIZES; i++) {
            sac_net *net = start();
            int src[SAC_MAX_SRC];
            for (int k = 0; k < count; k++) {
                char name[16];
                snprintf(name, sizeof name, "x%d", k);
                src[k] =
                    sac_net_input(net, name, 3, (int64_t[]){3, sizes[i], sizes[SIZES - 1 - i]});
            }
            sac_attrs none = {0};
            sac_net_output(net, sac_net_add_node(net, SAC_OP_ADD, "y", &none, src, count));
            compare(net, 1 + i % 2, GRADCHECK_SMOOTH, 0, (uint64_t)(count * 100 + i));
        }
    }
    // Large enough for several threads, and gradients that are used again behind the sum: a chain
    // of residual blocks.
    sac_net *net = start();
    int x = sac_net_input(net, "x", 3, (int64_t[]){8, 33, 40});
    for (int k = 0; k < 3; k++) {
        char name[2][16];
        snprintf(name[0], sizeof name[0], "gelu%d", k);
        snprintf(name[1], sizeof name[1], "add%d", k);
        x = sac_net_add(net, name[1], sac_net_unary(net, SAC_OP_GELU, name[0], x), x);
        sac_net_output(net, x);
    }
    sac_net_output(net, sac_net_add(net, "twice", x, x));
    compare(net, 3, GRADCHECK_SMOOTH, 0, 7);
}

Test(nn_ops_b, concat_plans_match_the_reference) {
    for (int ndims = 1; ndims <= 4; ndims++) {
        for (int axis = 1; axis <= ndims; axis++) {
            for (int count = 1; count <= SAC_MAX_SRC; count += ndims == 3 ? 1 : 3) {
                sac_net *net = start();
                int src[SAC_MAX_SRC];
                for (int k = 0; k < count; k++) {
                    char name[16];
                    int64_t dims[] = {3, 5, 2, 7};
                    dims[axis - 1] = sizes[(k * 2 + ndims) % SIZES];
                    snprintf(name, sizeof name, "x%d", k);
                    src[k] = sac_net_input(net, name, ndims, dims);
                }
                sac_net_output(net, sac_net_concat(net, "y", src, count, axis));
                compare(net, 1 + count % 2, GRADCHECK_SMOOTH, 0,
                        (uint64_t)(ndims * 100 + axis * 10 + count));
            }
        }
    }
    // The same tensor twice, a computed part, and one part whose single channel has no order of
    // axes of its own.
    sac_net *net = start();
    int x = sac_net_input(net, "x", 3, (int64_t[]){1, 16, 16}),
        y = sac_net_input(net, "y", 3, (int64_t[]){5, 16, 16});
    int act = sac_net_unary(net, SAC_OP_SIGMOID, "sigmoid", y);
    sac_net_output(net, sac_net_concat(net, "z", (int[]){x, y, act, x}, 4, 1));
    compare(net, 2, GRADCHECK_SMOOTH, 0, 3);
}

// Every allocation of planning may fail: the plan says so, leaks nothing and leaves no half-built
// object.
Test(nn_ops_b, planning_survives_lack_of_memory) {
    sac_error error = {0};
    sac_net *net = start();
    int x = sac_net_input(net, "x", 3, (int64_t[]){4, 5, 6});
    int y = sac_net_unary(net, SAC_OP_LEAKY_RELU, "leaky", x);
    y = sac_net_concat(net, "concat", (int[]){x, y}, 2, 1);
    y = sac_net_reshape(net, "flat", y, 2, (int64_t[]){8, 30});
    int t = sac_net_permute(net, "tokens", y, 3, (int64_t[]){0, 2, 1});
    y = sac_net_softmax(net, "softmax", sac_net_matmul(net, "matmul", y, t), 1);
    y = sac_net_add(net, "add", y, y);
    y = sac_net_unary(net, SAC_OP_GELU, "gelu", sac_net_dense(net, "dense", y, 3, true));
    sac_net_output(net, y);
    sac_params *params = NULL;
    sac_assert_ok(sac_params_create(&params, net, &error), &error);
    sac_plan_options plan = {.batch = 2, .input_grad = true};
    for (int training = 0; training < 2; training++) {
        int refused = 0;
        sac_status status = SAC_ERROR_MEMORY;
        for (int64_t n = 0; n < 5000 && status != SAC_OK; n++) {
            sac_train *train = NULL;
            sac_infer *infer = NULL;
            error = (sac_error){0};
            sac_memory_fail_after(n);
            status = training ? sac_train_create(&train, net, params, &plan, &error)
                              : sac_infer_create(&infer, net, params, &plan, &error);
            sac_memory_fail_after(-1);
            if (status != SAC_OK) {
                cr_assert_eq(status, SAC_ERROR_MEMORY, "allocation %lld: %s", (long long)n,
                             error.message);
                cr_assert(train == NULL && infer == NULL);
                refused++;
            }
            sac_train_close(&train);
            sac_infer_close(&infer);
        }
        cr_assert_eq(status, SAC_OK);
        cr_assert(refused > 20, "only %d allocations failed", refused);
    }
    sac_params_close(&params);
    sac_net_close(&net);
}
