// Small students for the tests: random weights, sizes that keep the reference fast.
#ifndef SAC_TESTS_STUDENT_MAKE_H
#define SAC_TESTS_STUDENT_MAKE_H

#include <criterion/criterion.h>
#include <string.h>

#include "core/rng.h"
#include "student/model.h"

static inline void randomise(sac_model *model, uint64_t seed) {
    sac_rng rng;
    sac_rng_seed(&rng, seed, 0);
    sac_params_init(model->params, &rng);
    // As after training: running statistics that are not the identity, and logits in the sigmoid's
    // middle.
    for (int64_t i = 0; i < sac_params_count(model->params); i++) {
        sac_param *p = sac_params_at(model->params, i);
        bool logit = strstr(p->name, ".logit.weight") != NULL;
        for (int64_t k = 0; k < p->count; k++) {
            if (strstr(p->name, "running_mean") != NULL)
                p->data[k] = (float)(0.2 * sac_rng_normal(&rng));
            if (strstr(p->name, "running_var") != NULL)
                p->data[k] = (float)(0.5 + sac_rng_uniform(&rng));
            if (logit) p->data[k] *= 0.3f;
        }
    }
}

static inline sac_model *make_model(int width, int height, uint64_t seed) {
    sac_preprocess preprocess = sac_preprocess_default();
    preprocess.width = width;
    preprocess.height = height;
    sac_error error = {0};
    sac_model *model = NULL;
    sac_status status = sac_model_create(&model, "tiny-m", &preprocess, &error);
    cr_assert(status == SAC_OK, "%s", error.message);
    randomise(model, seed);
    return model;
}

// One convolution per head: a whole model file of a few kilobytes.
static inline sac_net *make_small_net(void) {
    sac_net *net = NULL;
    if (sac_net_create(&net) < 0) return NULL;
    int x = sac_net_input(net, "frames", 3, (const int64_t[]){3, 16, 16});
    x = sac_net_conv2d(net, "stem.conv", x, 2, 3, 2, 1, 1, false);
    x = sac_net_batch_norm(net, "stem.norm", x);
    x = sac_net_unary(net, SAC_OP_RELU, "stem.relu", x);
    const char *names[3] = {"map16", "map4", "map1"}, *logits[3] = {"l16", "l4", "l1"},
               *pools[3] = {"p16", "p4", "p1"};
    const int64_t sides[3] = {16, 4, 1};
    for (int i = 0; i < 3; i++) {
        int y = sac_net_conv2d(net, logits[i], x, 1, 1, 1, 0, 1, true);
        y = sac_net_adaptive_pool(net, SAC_OP_ADAPTIVE_MAX_POOL, pools[i], y, 1, sides[i],
                                  sides[i]);
        y = sac_net_unary(net, SAC_OP_SIGMOID, names[i], y);
        sac_net_output(net, y);
    }
    return net;
}

#endif
