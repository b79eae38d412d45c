// A small student as quantisation meets it: three frames as channels, one stem per frame with
// shared weights, a residual body, three heads. For the tests of nn/quant.h and of int8 plans.
#ifndef SAC_TESTS_QUANT_NET_H
#define SAC_TESTS_QUANT_NET_H

#include <stdio.h>

#include <criterion/criterion.h>

#include "core/rng.h"
#include "nn/net.h"
#include "nn/params.h"

typedef struct quant_net_sizes {
    int64_t height, width; // of the input
    int64_t stem, body, head;
} quant_net_sizes;

static inline int quant_net_conv(sac_net *net, const char *prefix, int src, int64_t channels,
                                 int64_t stride, const char *share) {
    char name[64], owner[64];
    (void)snprintf(name, sizeof name, "%s.conv", prefix);
    int x = sac_net_conv2d(net, name, src, channels, 3, stride, 1, 1, false);
    (void)snprintf(owner, sizeof owner, "%s.conv", share != NULL ? share : prefix);
    if (share != NULL) sac_net_share(net, x, owner);
    (void)snprintf(name, sizeof name, "%s.norm", prefix);
    x = sac_net_batch_norm(net, name, x);
    (void)snprintf(owner, sizeof owner, "%s.norm", share != NULL ? share : prefix);
    if (share != NULL) sac_net_share(net, x, owner);
    (void)snprintf(name, sizeof name, "%s.relu", prefix);
    return sac_net_unary(net, SAC_OP_RELU, name, x);
}

static inline sac_net *quant_net(const quant_net_sizes *s) {
    sac_net *net = NULL;
    cr_assert_eq(sac_net_create(&net), SAC_OK);
    const int x = sac_net_input(net, "frames", 3, (const int64_t[]){3, s->height, s->width});
    int features[3];
    static const char *const stems[3][3] = {{"stem0.slice", "stem0.a", "stem0.b"},
                                            {"stem1.slice", "stem1.a", "stem1.b"},
                                            {"stem2.slice", "stem2.a", "stem2.b"}};
    for (int f = 0; f < 3; f++) {
        int y = sac_net_slice(net, stems[f][0], x, 1, f, 1, 1);
        y = quant_net_conv(net, stems[f][1], y, s->stem, 2, f > 0 ? stems[0][1] : NULL);
        features[f] =
            quant_net_conv(net, stems[f][2], y, 2 * s->stem, 2, f > 0 ? stems[0][2] : NULL);
    }
    int y = sac_net_concat(net, "features", features, 3, 1);
    const int wide = quant_net_conv(net, "body1", y, s->body, 2, NULL);
    y = sac_net_conv2d(net, "body2.conv", wide, s->body, 3, 1, 1, 1, false);
    y = sac_net_batch_norm(net, "body2.norm", y);
    y = sac_net_add(net, "body2.add", y, wide);
    y = sac_net_unary(net, SAC_OP_RELU, "body2.relu", y);
    static const char *const heads[3][5] = {
        {"head16.conv", "head16.relu", "head16.logit", "head16.pool", "map16"},
        {"head4.conv", "head4.relu", "head4.logit", "head4.pool", "map4"},
        {"head1.conv", "head1.relu", "head1.logit", "head1.pool", "map1"}};
    static const int64_t cells[3] = {4, 2, 1};
    for (int h = 0; h < 3; h++) {
        int z = sac_net_conv2d(net, heads[h][0], y, s->head, h == 0 ? 3 : 1, 1, h == 0, 1, true);
        z = sac_net_unary(net, SAC_OP_RELU, heads[h][1], z);
        z = sac_net_conv2d(net, heads[h][2], z, 1, 1, 1, 0, 1, true);
        z = sac_net_adaptive_pool(net, SAC_OP_ADAPTIVE_MAX_POOL, heads[h][3], z, 1, cells[h],
                                  cells[h]);
        sac_net_output(net, sac_net_unary(net, SAC_OP_SIGMOID, heads[h][4], z));
    }
    sac_error error = {0};
    cr_assert_eq(sac_net_check(net, &error), SAC_OK, "%s", error.message);
    return net;
}

// Trained-looking parameters: He weights, norms near one, biases near zero.
static inline sac_params *quant_net_params(const sac_net *net, uint64_t seed) {
    sac_params *params = NULL;
    sac_error error = {0};
    sac_rng rng;
    sac_rng_seed(&rng, seed, 3);
    cr_assert_eq(sac_params_create(&params, net, &error), SAC_OK, "%s", error.message);
    sac_params_init(params, &rng);
    for (int64_t i = 0; i < sac_params_count(params); i++) {
        sac_param *p = sac_params_at(params, i);
        for (int64_t k = 0; k < p->count && p->shape.ndims == 1; k++)
            p->data[k] += (float)(0.2 * (sac_rng_uniform(&rng) - 0.5));
    }
    return params;
}

// A smooth picture with noise, in 0..255.
static inline uint8_t quant_net_pixel(sac_rng *rng, int64_t i, int64_t width) {
    const int64_t y = i / width, x = i % width;
    return (uint8_t)((y * 5 + x * 3 + (int64_t)sac_rng_below(rng, 64)) % 256);
}

#endif
