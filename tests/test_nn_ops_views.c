// Reshape and permute: order of elements against index arithmetic, plans against the reference in
// every layout, and that the common conversions between pictures and tokens move nothing.
#include "gradcheck.h"
#include "helper.h"
#include "nn/op_list.h"

static void refused(const sac_op *op, const sac_attrs *attrs, const sac_shape *src, sac_status code,
                    const char *first, const char *second) {
    sac_error error = {0};
    sac_shape dst;
    sac_assert_error(op->shape(attrs, src, 1, &dst, &error), code, &error, first, second, NULL);
}

Test(nn_ops_views, wrong_attributes_are_named) {
    sac_shape src = {.ndims = 4, .dims = {2, 3, 4, 5}};
    sac_attrs a = {.ndims = 2, .dims = {6, 11}};
    refused(&sac_op_reshape, &a, &src, SAC_ERROR_SHAPE, "60", "66");
    a.dims[1] = 0;
    refused(&sac_op_reshape, &a, &src, SAC_ERROR_ARGUMENT, "axis 1", "size 0");
    a = (sac_attrs){.ndims = 4, .dims = {INT64_MAX, INT64_MAX, 2, 2}};
    refused(&sac_op_reshape, &a, &src, SAC_ERROR_ARGUMENT, "axis 1", "2^63");
    a = (sac_attrs){.ndims = 5, .dims = {60, 1, 1, 1, 1}};
    refused(&sac_op_reshape, &a, &src, SAC_ERROR_ARGUMENT, "5 axes", "1 to 4");
    a.ndims = 0;
    refused(&sac_op_reshape, &a, &src, SAC_ERROR_ARGUMENT, "0 axes", "1 to 4");

    a = (sac_attrs){.ndims = 3, .dims = {0, 2, 1}};
    refused(&sac_op_permute, &a, &src, SAC_ERROR_SHAPE, "3 axes", "[2][3][4][5]");
    const int64_t orders[][4] = {{0, 1, 1, 3}, {0, 1, 2, 4}, {0, 1, 2, -1}};
    const char *said[] = {"order[2] = 1", "order[3] = 4", "order[3] = -1"};
    for (int i = 0; i < 3; i++) {
        a = (sac_attrs){.ndims = 4};
        memcpy(a.dims, orders[i], sizeof orders[i]);
        refused(&sac_op_permute, &a, &src, SAC_ERROR_ARGUMENT, said[i], "permutation");
    }
    a = (sac_attrs){.ndims = 4, .dims = {1, 0, 2, 3}};
    refused(&sac_op_permute, &a, &src, SAC_ERROR_ARGUMENT, "order[0] = 1", "N stays");
}

Test(nn_ops_views, reference_permutes_by_index_arithmetic) {
    enum { A = 2, B = 3, C = 4, D = 5 };
    float src[A * B * C * D], dst[A * B * C * D];
    for (int i = 0; i < A * B * C * D; i++) src[i] = (float)i;
    sac_attrs attrs = {.ndims = 4, .dims = {0, 2, 3, 1}};
    sac_ref ref = {.attrs = &attrs, .src_count = 1, .src = {src}, .dst = dst};
    ref.src_shape[0] = (sac_shape){.ndims = 4, .dims = {A, B, C, D}};
    sac_error error = {0};
    sac_assert_ok(sac_op_permute.shape(&attrs, ref.src_shape, 1, &ref.dst_shape, &error), &error);
    cr_assert(sac_shape_equal(&ref.dst_shape, &(sac_shape){.ndims = 4, .dims = {A, C, D, B}}));
    sac_op_permute.ref_forward(&ref);
    for (int a = 0; a < A; a++)
        for (int b = 0; b < B; b++)
            for (int c = 0; c < C; c++)
                for (int d = 0; d < D; d++)
                    cr_assert_eq(dst[((a * C + c) * D + d) * B + b],
                                 src[((a * B + b) * C + c) * D + d]);
}

Test(nn_ops_views, reference_backward_is_the_derivative) {
    sac_shape src = {.ndims = 5, .dims = {2, 3, 2, 4, 2}};
    sac_attrs a = {.ndims = 5, .dims = {0, 3, 1, 4, 2}};
    gradcheck_op(&sac_op_permute, &a, &src, 1, 1);
    a = (sac_attrs){.ndims = 2, .dims = {6, 8}};
    gradcheck_op(&sac_op_reshape, &a, &src, 1, 2);
}

static sac_net *start(void) {
    sac_net *net = NULL;
    cr_assert_eq(sac_net_create(&net), SAC_OK);
    return net;
}

static void compare(sac_net *net, int64_t batch, uint64_t seed) {
    for (int last = 0; last < 2; last++) {
        compare_options options = {.batch = batch, .channels_last = last == 1};
        compare_backends(net, &options, seed);
    }
    sac_net_close(&net);
}

// Every permutation of up to five axes, with a smooth operator behind it that works on whatever
// layout comes.
Test(nn_ops_views, permute_plans_match_the_reference) {
    for (int axes = 2; axes <= 5; axes++) {
        int64_t order[5] = {0, 1, 2, 3, 4};
        const int64_t dims[] = {3, 2, 5, 4};
        int total = axes == 5 ? 24 : axes == 4 ? 6 : axes == 3 ? 2 : 1;
        for (int p = 0; p < total; p++) {
            // p-th permutation of the axes behind N in factorial digits.
            int64_t left[4] = {1, 2, 3, 4};
            int rest = p;
            for (int d = 1; d < axes; d++) {
                int remaining = axes - d, pick = rest % remaining;
                rest /= remaining;
                order[d] = left[pick];
                memmove(&left[pick], &left[pick + 1],
                        (size_t)(remaining - 1 - pick) * sizeof left[0]);
            }
            sac_net *net = start();
            int x = sac_net_input(net, "x", axes - 1, dims);
            x = sac_net_permute(net, "permuted", x, axes, order);
            sac_net_output(net, x);
            x = sac_net_unary(net, SAC_OP_GELU, "gelu", x);
            sac_net_output(net, sac_net_softmax(net, "softmax", x, 1));
            compare(net, 2, (uint64_t)(axes * 100 + p));
        }
    }
}

Test(nn_ops_views, reshape_plans_match_the_reference) {
    const struct {
        int from, to;
        int64_t src[4], dst[4];
    } cases[] = {{3, 1, {3, 4, 5}, {60}},       {1, 3, {60}, {3, 4, 5}},
                 {3, 2, {3, 4, 5}, {3, 20}},    {3, 2, {3, 4, 5}, {12, 5}},
                 {2, 4, {6, 20}, {2, 3, 4, 5}}, {4, 3, {2, 3, 4, 5}, {2, 12, 5}},
                 {4, 2, {2, 3, 4, 5}, {8, 15}}, {3, 4, {6, 4, 4}, {3, 2, 4, 4}},
                 {3, 3, {1, 4, 5}, {4, 1, 5}},  {4, 4, {1, 1, 16, 17}, {16, 1, 17, 1}},
                 {3, 3, {4, 6, 5}, {5, 4, 6}},  {1, 1, {1}, {1}}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        sac_net *net = start();
        int x = sac_net_input(net, "x", cases[i].from, cases[i].src);
        x = sac_net_reshape(net, "reshaped", x, cases[i].to, cases[i].dst);
        sac_net_output(net, x);
        sac_net_output(net, sac_net_unary(net, SAC_OP_SIGMOID, "sigmoid", x));
        compare(net, 2, i);
    }
}

// Attention over the tokens of a picture: split heads, Q K^T, softmax, times V, join heads, back to
// a picture.
static sac_net *attention(void) {
    enum { C = 12, HEADS = 3, SIDE = 5, T = SIDE * SIDE };
    sac_net *net = start();
    int x = sac_net_input(net, "x", 3, (int64_t[]){C, SIDE, SIDE});
    const char *names[3][3] = {
        {"q", "q.split", "q.tokens"}, {"k", "k.split", "k.tokens"}, {"v", "v.split", "v.tokens"}};
    int heads[3];
    for (int i = 0; i < 3; i++) {
        // No bias on K: softmax ignores a shift of all scores, so its gradient is 0 by nature.
        int y = sac_net_conv2d(net, names[i][0], x, C, 1, 1, 0, 1, i != 1);
        y = sac_net_reshape(net, names[i][1], y, 3, (int64_t[]){HEADS, C / HEADS, T}); // [h][d][T]
        // K stays [d][T], the others become [T][d].
        heads[i] = i == 1 ? y : sac_net_permute(net, names[i][2], y, 4, (int64_t[]){0, 1, 3, 2});
    }
    int y = sac_net_softmax(net, "weights", sac_net_matmul(net, "scores", heads[0], heads[1]), 3);
    y = sac_net_matmul(net, "mixed", y, heads[2]);                     // [h][T][d]
    y = sac_net_permute(net, "joined", y, 4, (int64_t[]){0, 1, 3, 2}); // [h][d][T]
    y = sac_net_reshape(net, "picture", y, 3, (int64_t[]){C, SIDE, SIDE});
    sac_net_output(net, sac_net_add(net, "residual", y, x));
    return net;
}

Test(nn_ops_views, attention_matches_the_reference) {
    compare(attention(), 1, 5);
    compare(attention(), 3, 6);
}

static char *describe(const sac_net *net, bool training) {
    sac_error error = {0};
    sac_params *params = NULL;
    sac_train *train = NULL;
    sac_infer *infer = NULL;
    sac_plan_options plan = {.batch = 2, .channels_last = true, .input_grad = true};
    sac_assert_ok(sac_params_create(&params, net, &error), &error);
    char *text = NULL;
    if (training) {
        sac_assert_ok(sac_train_create(&train, net, params, &plan, &error), &error);
        text = sac_train_describe(train);
    } else {
        sac_assert_ok(sac_infer_create(&infer, net, params, &plan, &error), &error);
        text = sac_infer_describe(infer);
    }
    cr_assert_not_null(text);
    sac_train_close(&train);
    sac_infer_close(&infer);
    sac_params_close(&params);
    return text;
}

static int count(const char *text, const char *word) {
    int n = 0;
    for (const char *at = strstr(text, word); at != NULL; at = strstr(at + 1, word)) n++;
    return n;
}

// Channels-last picture -> [C][H*W] -> tokens [H*W][C] -> and back: names change, bytes stay.
Test(nn_ops_views, pictures_become_tokens_without_a_copy) {
    sac_net *net = start();
    int x = sac_net_input(net, "x", 3, (int64_t[]){16, 6, 7});
    x = sac_net_unary(net, SAC_OP_GELU, "first", x);
    x = sac_net_reshape(net, "flat", x, 2, (int64_t[]){16, 42});
    x = sac_net_permute(net, "tokens", x, 3, (int64_t[]){0, 2, 1});
    x = sac_net_unary(net, SAC_OP_SIGMOID, "second", x);
    x = sac_net_permute(net, "back", x, 3, (int64_t[]){0, 2, 1});
    x = sac_net_reshape(net, "picture", x, 3, (int64_t[]){16, 6, 7});
    x = sac_net_permute(net, "last", x, 4, (int64_t[]){0, 2, 3, 1}); // row-major for the output
    sac_net_output(net, x);
    for (int training = 0; training < 2; training++) {
        char *text = describe(net, training == 1);
        cr_assert_eq(count(text, "eltwise"), training ? 4 : 2, "%s", text);
        cr_assert_eq(count(text, "reorder"), 0, "a view was copied:\n%s", text);
        sac_free(text);
    }
    compare(net, 2, 11);
}

// A dense layer on a channels-last picture flattens without reordering the picture; training
// reorders only what the kernel asks for weights.
Test(nn_ops_views, dense_takes_channels_last_pictures_as_they_are) {
    sac_net *net = start();
    int x = sac_net_input(net, "x", 3, (int64_t[]){32, 4, 4});
    x = sac_net_unary(net, SAC_OP_RELU, "relu", x);
    sac_net_output(net, sac_net_dense(net, "head", x, 2, true));
    char *text = describe(net, false);
    const char *line = strstr(text, "forward");
    cr_assert_not_null(line);
    cr_assert_eq(count(line, "forward head reorder"), 0, "%s", text);
    cr_assert_eq(count(text, "inner_product"), 1, "%s", text);
    sac_free(text);
    sac_net_close(&net);
}

Test(nn_ops_views, inference_fuses_activations_behind_dense) {
    const sac_op_kind kinds[] = {SAC_OP_RELU, SAC_OP_LEAKY_RELU, SAC_OP_GELU, SAC_OP_SIGMOID};
    for (int k = 0; k < 4; k++) {
        sac_net *net = start();
        int x = sac_net_input(net, "x", 1, (int64_t[]){20});
        x = sac_net_dense(net, "dense", x, 30, true);
        sac_net_output(net, sac_net_unary(net, kinds[k], "y", x));
        char *text = describe(net, false);
        cr_assert_eq(count(text, "inner_product"), 1, "%s", text);
        cr_assert_eq(count(text, "eltwise"), 0, "not fused:\n%s", text);
        sac_free(text);
        sac_net_close(&net);
    }
}
