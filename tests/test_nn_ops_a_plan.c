// Pooling, adaptive pooling, upsampling, normalisations and dropout inside plans: oneDNN and own
// channels-last kernels against the reference, for training (outputs, all gradients, running
// statistics) and inference; equal results for any number of threads; no slow fallback of oneDNN.
#include "tests/gradcheck.h"

static const int64_t sizes[] = {1, 2, 3, 5, 7, 15, 16, 17, 33};
#define SIZES (sizeof(sizes) / sizeof(sizes[0]))

static sac_net *net_open(int ndims, const int64_t *dims) {
    sac_net *net = NULL;
    cr_assert_eq(sac_net_create(&net), SAC_OK);
    cr_assert_eq(sac_net_input(net, "x", ndims, dims), 0);
    return net;
}

static void net_compare(sac_net *net, int last, const compare_options *options, uint64_t seed) {
    sac_net_output(net, last);
    compare_backends(net, options, seed);
    sac_net_close(&net);
}

static void pool_case(sac_op_kind kind, int ndims, const int64_t *dims, const int64_t k[3],
                      const int64_t s[3], const int64_t p[3], const compare_options *options,
                      uint64_t seed) {
    sac_net *net = net_open(ndims, dims);
    net_compare(net, sac_net_pool(net, kind, "pool", 0, k, s, p), options, seed);
}

Test(nn_ops_a_plan, pool) {
    static const int64_t k2[3] = {1, 2, 2}, s2[3] = {1, 2, 2}, p0[3] = {0, 0, 0}, k3[3] = {1, 3, 3},
                         p1[3] = {0, 1, 1};
    static const int64_t k3d[3] = {3, 3, 2}, s3d[3] = {2, 1, 2}, p3d[3] = {1, 1, 0},
                         cube[3] = {2, 2, 2};
    for (int kind = SAC_OP_MAX_POOL; kind <= SAC_OP_AVG_POOL; kind++) {
        for (size_t i = 0; i < SIZES; i++) {
            int64_t c = sizes[i], h = sizes[(i + 3) % SIZES] + 1, w = sizes[(i + 5) % SIZES] + 1;
            compare_options o = {.batch = 1 + (int64_t)i % 3,
                                 .fill = i % 2 == 0 ? GRADCHECK_SMOOTH : GRADCHECK_TIES,
                                 .channels_last = i % 2 == 1};
            pool_case((sac_op_kind)kind, 3, (const int64_t[]){c, h, w}, k2, s2, p0, &o, i);
            pool_case((sac_op_kind)kind, 3, (const int64_t[]){c, h, w}, k3, s2, p1, &o, i + 10);
            pool_case((sac_op_kind)kind, 4, (const int64_t[]){c, 3, h, w}, k2, s2, p0, &o, i + 20);
            pool_case((sac_op_kind)kind, 4, (const int64_t[]){c, 5, h, w}, k3d, s3d, p3d, &o,
                      i + 30);
            pool_case((sac_op_kind)kind, 4, (const int64_t[]){c, 4, h, w}, cube, cube, p0, &o,
                      i + 40);
        }
        compare_options real = {.batch = 4, .fill = GRADCHECK_TIES};
        pool_case((sac_op_kind)kind, 4, (const int64_t[]){16, 7, 32, 32}, k2, s2, p0, &real, 50);
        pool_case((sac_op_kind)kind, 4, (const int64_t[]){32, 7, 16, 16},
                  (const int64_t[]){7, 2, 2}, (const int64_t[]){7, 2, 2}, p0, &real, 51);
        pool_case((sac_op_kind)kind, 3, (const int64_t[]){256, 20, 12}, k2, s2, p0, &real, 52);
    }
}

Test(nn_ops_a_plan, adaptive_pool) {
    for (int kind = SAC_OP_ADAPTIVE_MAX_POOL; kind <= SAC_OP_ADAPTIVE_AVG_POOL; kind++) {
        for (size_t i = 0; i < SIZES; i++) {
            int64_t c = sizes[i], h = sizes[(i + 3) % SIZES], w = sizes[(i + 5) % SIZES];
            const int64_t outs[][3] = {{1, 1, 1}, {1, 2, 3}, {2, 4, 4}, {1, h, w}};
            for (size_t a = 0; a < 4; a++) {
                compare_options o = {.batch = 1 + (int64_t)a % 3,
                                     .fill = a % 2 == 0 ? GRADCHECK_SMOOTH : GRADCHECK_TIES,
                                     .channels_last = a == 2};
                sac_net *net = net_open(3, (const int64_t[]){c, h, w});
                net_compare(net,
                            sac_net_adaptive_pool(net, (sac_op_kind)kind, "pool", 0, 1, outs[a][1],
                                                  outs[a][2]),
                            &o, i + a);
                net = net_open(4, (const int64_t[]){c, 3, h, w});
                net_compare(net,
                            sac_net_adaptive_pool(net, (sac_op_kind)kind, "pool", 0, outs[a][0],
                                                  outs[a][1], outs[a][2]),
                            &o, i + a);
            }
        }
        compare_options real = {.batch = 2};
        sac_net *net = net_open(3, (const int64_t[]){1, 45, 80});
        net_compare(net, sac_net_adaptive_pool(net, (sac_op_kind)kind, "pool", 0, 1, 16, 16), &real,
                    60);
        net = net_open(3, (const int64_t[]){130, 23, 40});
        net_compare(net, sac_net_adaptive_pool(net, (sac_op_kind)kind, "pool", 0, 1, 1, 1), &real,
                    61);
    }
}

Test(nn_ops_a_plan, upsample) {
    for (size_t i = 0; i < SIZES; i++) {
        int64_t c = sizes[i], h = sizes[(i + 3) % SIZES], w = sizes[(i + 5) % SIZES];
        compare_options o = {.batch = 1 + (int64_t)i % 3, .channels_last = i % 2 == 0};
        sac_net *net = net_open(3, (const int64_t[]){c, h, w});
        net_compare(net, sac_net_upsample(net, "up", 0, 1, 2, 2), &o, i);
        net = net_open(3, (const int64_t[]){c, h, w});
        net_compare(net, sac_net_upsample(net, "up", 0, 1, 1, 3), &o, i);
        net = net_open(4, (const int64_t[]){c, 2, h, w});
        net_compare(net, sac_net_upsample(net, "up", 0, 2, 3, 1), &o, i);
    }
}

// Few values per channel make the gradient a difference of nearly equal numbers, hence at least 5.
Test(nn_ops_a_plan, batch_norm) {
    for (size_t i = 0; i < SIZES; i++) {
        int64_t c = sizes[i], h = sizes[(i + 3) % SIZES], w = sizes[(i + 5) % SIZES];
        compare_options o = {.batch = 5, .channels_last = i % 2 == 0};
        sac_net *net = net_open(1, (const int64_t[]){c});
        net_compare(net, sac_net_batch_norm(net, "bn", 0), &o, i);
        net = net_open(2, (const int64_t[]){c, h});
        net_compare(net, sac_net_batch_norm(net, "bn", 0), &o, i);
        net = net_open(3, (const int64_t[]){c, h, w});
        net_compare(net, sac_net_batch_norm(net, "bn", 0), &o, i);
        net = net_open(4, (const int64_t[]){c, 3, w, h});
        net_compare(net, sac_net_batch_norm(net, "bn", 0), &o, i);
    }
    compare_options real = {.batch = 8};
    sac_net *net = net_open(4, (const int64_t[]){16, 7, 32, 32});
    net_compare(net, sac_net_batch_norm(net, "bn", 0), &real, 70);
    // One value per channel: the output is the bias and nothing flows back; only inference has
    // something to compare.
    compare_options single = {.batch = 1, .skip_train = true};
    net = net_open(1, (const int64_t[]){17});
    net_compare(net, sac_net_batch_norm(net, "bn", 0), &single, 71);
}

Test(nn_ops_a_plan, layer_norm) {
    static const int64_t widths[] = {3, 5, 7, 15, 16, 17, 33, 64, 256, 320};
    for (size_t i = 0; i < sizeof(widths) / sizeof(widths[0]); i++) {
        int64_t c = widths[i], t = sizes[i % SIZES];
        compare_options o = {.batch = 1 + (int64_t)i % 3, .channels_last = i % 2 == 0};
        sac_net *net = net_open(1, (const int64_t[]){c});
        net_compare(net, sac_net_layer_norm(net, "ln", 0), &o, i);
        net = net_open(2, (const int64_t[]){t, c});
        net_compare(net, sac_net_layer_norm(net, "ln", 0), &o, i);
        net = net_open(3, (const int64_t[]){t, 3, c});
        net_compare(net, sac_net_layer_norm(net, "ln", 0), &o, i);
    }
    compare_options real = {.batch = 2};
    sac_net *net = net_open(2, (const int64_t[]){448, 64});
    net_compare(net, sac_net_layer_norm(net, "ln", 0), &real, 72);
}

Test(nn_ops_a_plan, dropout) {
    static const double rates[] = {0.0, 0.3, 0.5};
    for (size_t r = 0; r < 3; r++) {
        for (size_t i = 0; i < SIZES; i++) {
            int64_t c = sizes[i], h = sizes[(i + 3) % SIZES], w = sizes[(i + 5) % SIZES];
            compare_options o = {.batch = 3, .channels_last = i % 2 == 0};
            sac_net *net = net_open(1, (const int64_t[]){c + 15});
            net_compare(net, sac_net_dropout(net, "drop", 0, rates[r]), &o, i);
            net = net_open(3, (const int64_t[]){c, h, w});
            net_compare(net, sac_net_dropout(net, "drop", 0, rates[r]), &o, i);
            net = net_open(4, (const int64_t[]){c, 2, h, w});
            net_compare(net, sac_net_dropout(net, "drop", 0, rates[r]), &o, i);
        }
    }
    compare_options large = {.batch = 2};
    sac_net *net = net_open(2, (const int64_t[]){100, 97});
    net_compare(net, sac_net_dropout(net, "drop", 0, 0.3), &large, 80);
}

// All operators of this file in one net.
static sac_net *net_of_all(void) {
    sac_net *net = net_open(4, (const int64_t[]){17, 5, 12, 14});
    static const int64_t k[3] = {1, 2, 2}, s[3] = {1, 2, 2}, p[3] = {0, 0, 0}, k3[3] = {3, 3, 3},
                         one[3] = {1, 1, 1};
    int x = sac_net_batch_norm(net, "bn", 0);
    x = sac_net_pool(net, SAC_OP_MAX_POOL, "max", x, k, s, p);
    x = sac_net_dropout(net, "drop", x, 0.3);
    x = sac_net_upsample(net, "up", x, 1, 2, 2);
    x = sac_net_pool(net, SAC_OP_AVG_POOL, "avg", x, k3, one, one);
    x = sac_net_layer_norm(net, "ln", x);
    x = sac_net_adaptive_pool(net, SAC_OP_ADAPTIVE_AVG_POOL, "aavg", x, 3, 5, 9);
    x = sac_net_adaptive_pool(net, SAC_OP_ADAPTIVE_MAX_POOL, "amax", x, 1, 2, 4);
    sac_net_output(net, x);
    return net;
}

Test(nn_ops_a_plan, together) {
    sac_net *net = net_of_all();
    compare_options o = {.batch = 3, .limit = 3e-5};
    compare_backends(net, &o, 90);
    sac_net_close(&net);
}

// The input's gradient depends on every operator's forward and backward.
Test(nn_ops_a_plan, threads_and_repeats) {
    sac_net *net = net_of_all();
    compare_options o = {.batch = 3};
    sac_shape shape = gradcheck_input_shape(sac_net_node(net, 0), &o);
    int64_t n = sac_shape_count(&shape);
    float *kept = sac_calloc(n, sizeof(float));
    cr_assert_not_null(kept);
    static const int threads[] = {2, 2, 1, 3};
    for (int run = 0; run < 4; run++) {
        sac_nn_set_threads(threads[run]);
        sac_error error = {0};
        sac_params *params = NULL;
        sac_train *train = NULL;
        cr_assert_eq(sac_params_create(&params, net, &error), SAC_OK, "%s", error.message);
        sac_rng rng;
        sac_rng_seed(&rng, 1, 4);
        gradcheck_params(params, &rng);
        sac_plan_options plan = {.batch = o.batch, .seed = 3, .input_grad = true};
        cr_assert_eq(sac_train_create(&train, net, params, &plan, &error), SAC_OK, "%s",
                     error.message);
        compare_fill_inputs(net, &o, GRADCHECK_SMOOTH, 8, train, NULL);
        compare_run_train(net, train, GRADCHECK_SMOOTH, 8);
        const float *diff = sac_train_input_grad(train, "x");
        if (run == 0) {
            memcpy(kept, diff, (size_t)n * sizeof(float));
        } else if (run == 1) {
            cr_assert_eq(memcmp(kept, diff, (size_t)n * sizeof(float)), 0,
                         "the same seed and threads gave other bits");
        } else {
            gradcheck_compare("gradient with other threads", diff, kept, &shape, 1e-5, 8);
        }
        sac_train_close(&train);
        sac_params_close(&params);
    }
    sac_nn_set_threads(0);
    sac_free(kept);
    sac_net_close(&net);
}

// oneDNN's "ref" and "simple" implementations are tens of times slower; a layout that ends in one
// is a mistake here.
Test(nn_ops_a_plan, no_fallback) {
#if !defined(__x86_64__)
    cr_skip_test("SKIPPED: oneDNN has kernels for all of these on x86-64 only");
#endif
    sac_net *net = net_of_all();
    sac_error error = {0};
    sac_params *params = NULL;
    sac_train *train = NULL;
    cr_assert_eq(sac_params_create(&params, net, &error), SAC_OK, "%s", error.message);
    sac_plan_options plan = {.batch = 2, .seed = 3, .input_grad = true};
    cr_assert_eq(sac_train_create(&train, net, params, &plan, &error), SAC_OK, "%s", error.message);
    char *text = sac_train_describe(train);
    cr_assert_not_null(text);
    cr_assert_not_null(strstr(text, "pooling"), "description: %s", text);
    cr_assert_null(strstr(text, " ref:"), "slow implementation:\n%s", text);
    cr_assert_null(strstr(text, "simple:"), "slow implementation:\n%s", text);
    sac_free(text);
    sac_train_close(&train);
    sac_params_close(&params);
    sac_net_close(&net);
}
