// A small student with one stem per frame, in the form that sac_split_create cuts: slices of
// "frames", three stems that share parameters, a concatenation, a body, three heads.
#ifndef SAC_TESTS_STEM_MAKE_H
#define SAC_TESTS_STEM_MAKE_H

#include <stdio.h>
#include <string.h>

#include "core/memory.h"
#include "nn/calibrate.h"
#include "nn/infer.h"
#include "student_make.h"

typedef enum stem_flaw {
    STEM_SOUND,
    STEM_OWN_PARAMETERS, // nothing is shared; the caller decides about the values
    STEM_OTHER_KERNEL,   // frame 1's second convolution differs
    STEM_OTHER_ORDER,    // the concatenation takes frame 1 first
    STEM_SECOND_READER,  // an output hangs on one stem alone
    STEM_LONGER,         // frame 2's stem has one more node
    STEM_SEES_ALL        // a body node reads "frames"
} stem_flaw;

static inline sac_net *make_stem_net(int width, int height, int channels, stem_flaw flaw) {
    sac_net *net = NULL;
    if (sac_net_create(&net) < 0) return NULL;
    const int frames =
        sac_net_input(net, "frames", 3, (const int64_t[]){3 * channels, height, width});
    static const char *const parts[] = {"cut", "conv1", "norm1", "relu1", "conv2", "relu2", "more"};
    int features[3], second = -1;
    for (int f = 0; f < 3; f++) {
        char names[7][32];
        int nodes[7];
        for (int k = 0; k < 7; k++) snprintf(names[k], sizeof names[k], "stem%d.%s", f, parts[k]);
        nodes[0] = sac_net_slice(net, names[0], frames, 1, f * channels, channels, 1);
        nodes[1] = sac_net_conv2d(net, names[1], nodes[0], 8, 3, 2, 1, 1, false);
        nodes[2] = sac_net_batch_norm(net, names[2], nodes[1]);
        nodes[3] = sac_net_unary(net, SAC_OP_RELU, names[3], nodes[2]);
        const int64_t kernel = flaw == STEM_OTHER_KERNEL && f == 1 ? 1 : 3;
        nodes[4] = sac_net_conv2d(net, names[4], nodes[3], 8, kernel, 1, kernel / 2, 1, true);
        nodes[5] = sac_net_unary(net, SAC_OP_RELU, names[5], nodes[4]);
        for (int k = 1; k < 5; k++) {
            if (f == 0 || flaw == STEM_OWN_PARAMETERS || k == 3 ||
                (k == 4 && flaw == STEM_OTHER_KERNEL)) {
                continue;
            }
            char owner[32];
            snprintf(owner, sizeof owner, "stem0.%s", parts[k]);
            sac_net_share(net, nodes[k], owner);
        }
        if (f == 1) second = nodes[3];
        features[f] = nodes[5];
        if (f == 2 && flaw == STEM_LONGER)
            features[f] = sac_net_unary(net, SAC_OP_RELU, names[6], nodes[5]);
    }
    if (flaw == STEM_OTHER_ORDER) {
        const int first = features[0];
        features[0] = features[1];
        features[1] = first;
    }
    int x = sac_net_concat(net, "join", features, 3, 1);
    x = sac_net_conv2d(net, "body.conv", x, 16, 3, 1, 1, 1, false);
    x = sac_net_batch_norm(net, "body.norm", x);
    x = sac_net_unary(net, SAC_OP_RELU, "body.relu", x);
    const char *names[3] = {"map16", "map4", "map1"},
               *logits[3] = {"l16.logit", "l4.logit", "l1.logit"}, *pools[3] = {"p16", "p4", "p1"};
    const int64_t sides[3] = {16, 4, 1};
    for (int i = 0; i < 3; i++) {
        int from = x;
        if (i == 2 && flaw == STEM_SECOND_READER) from = second;
        if (i == 2 && flaw == STEM_SEES_ALL) from = frames;
        int y = sac_net_conv2d(net, logits[i], from, 1, 1, 1, 0, 1, true);
        y = sac_net_adaptive_pool(net, SAC_OP_ADAPTIVE_MAX_POOL, pools[i], y, 1, sides[i],
                                  sides[i]);
        sac_net_output(net, sac_net_unary(net, SAC_OP_SIGMOID, names[i], y));
    }
    return net;
}

// A whole model around it, with the preprocessing of such students.
static inline sac_model *make_stem_model(int width, int height, int channels, stem_flaw flaw,
                                         uint64_t seed) {
    sac_model *model = sac_calloc(1, sizeof *model);
    cr_assert_not_null(model);
    sac_error error = {0};
    model->arch = sac_strdup("stem-test");
    model->preprocess = sac_preprocess_default();
    model->preprocess.width = width;
    model->preprocess.height = height;
    model->preprocess.channels = channels;
    model->preprocess.mean = 0;
    model->preprocess.scale = 255;
    model->net = make_stem_net(width, height, channels, flaw);
    model->provenance = json_object();
    cr_assert(sac_net_check(model->net, &error) == SAC_OK, "%s", error.message);
    cr_assert(sac_params_create(&model->params, model->net, &error) == SAC_OK, "%s", error.message);
    randomise(model, seed);
    return model;
}

// Gives a model scales, measured on random pictures.
static inline void quantise_model(sac_model *model) {
    sac_error error = {0};
    sac_calibrate *c = NULL;
    const sac_plan_options plan = {.batch = 1};
    const sac_calibrate_options options = sac_calibrate_defaults();
    sac_rng rng;
    sac_rng_seed(&rng, 21, 0);
    sac_nn_set_threads(1);
    cr_assert(sac_calibrate_create(&c, model->net, model->params, &plan, &options, &error) ==
                  SAC_OK,
              "%s", error.message);
    for (int run = 0; run < 4; run++) {
        float *x = sac_calibrate_input(c, "frames");
        const int64_t frame = sac_preprocess_bytes(&model->preprocess);
        for (int64_t i = 0; i < 3 * frame; i++)
            x[i] = (float)(40 + 2 * run + (i * 7 + i / 40 * 13) % 100 +
                           (int64_t)sac_rng_below(&rng, 60)) /
                   255.0f;
        cr_assert(sac_calibrate_run(c, &error) == SAC_OK, "%s", error.message);
    }
    cr_assert(sac_calibrate_finish(c, &model->quant, &error) == SAC_OK, "%s", error.message);
    sac_calibrate_close(&c);
}

#endif
