// Darknet files for tests: architectures written out from their published descriptions, and weights
// from a generator.
#ifndef SAC_TESTS_DARKNET_MAKE_H
#define SAC_TESTS_DARKNET_MAKE_H

#include <math.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "core/rng.h"
#include "nn/darknet.h"

typedef struct cfg_text {
    char text[32768];
    size_t used;
    int thin; // filters are divided by this
    int layers;
} cfg_text;

__attribute__((format(printf, 2, 3))) static inline void cfg_put(cfg_text *c, const char *format,
                                                                 ...) {
    va_list arguments;
    va_start(arguments, format);
    int n = vsnprintf(c->text + c->used, sizeof c->text - c->used, format, arguments);
    va_end(arguments);
    if (n < 0 || (size_t)n >= sizeof c->text - c->used) abort();
    c->used += (size_t)n;
}

static inline void cfg_section(cfg_text *c, const char *name) {
    cfg_put(c, "\n[%s]\n", name);
    c->layers++;
}

static inline void cfg_net(cfg_text *c, int width, int height) {
    cfg_put(c, "[net]\nbatch=1\nwidth=%d\nheight=%d\nchannels=3\nmomentum=0.9\n", width, height);
}

static inline void cfg_conv(cfg_text *c, int filters, int size, int stride,
                            const char *activation) {
    cfg_section(c, "convolutional");
    int n = filters / c->thin;
    cfg_put(c, "batch_normalize=1\nfilters=%d\nsize=%d\nstride=%d\npad=1\nactivation=%s\n",
            n < 1 ? 1 : n, size, stride, activation);
}

static inline void cfg_shortcut(cfg_text *c, int from, const char *activation) {
    cfg_section(c, "shortcut");
    cfg_put(c, "from=%d\nactivation=%s\n", from, activation);
}

static inline void cfg_route(cfg_text *c, const char *layers) {
    cfg_section(c, "route");
    cfg_put(c, "layers = %s\n", layers);
}

static inline void cfg_maxpool(cfg_text *c, int size, int stride) {
    cfg_section(c, "maxpool");
    cfg_put(c, "size=%d\nstride=%d\n", size, stride);
}

static inline void cfg_head(cfg_text *c, int classes, const char *mask, const char *anchors,
                            int num) {
    int count = 1;
    for (const char *m = mask; *m != '\0'; m++) count += *m == ',';
    cfg_section(c, "convolutional");
    cfg_put(c, "size=1\nstride=1\npad=1\nfilters=%d\nactivation=linear\n", count * (5 + classes));
    cfg_section(c, "yolo");
    cfg_put(c,
            "mask = %s\nanchors = %s\nclasses=%d\nnum=%d\njitter=.3\nignore_thresh = .7\n"
            "truth_thresh = 1\nrandom=1\n",
            mask, anchors, classes, num);
}

static const char COCO_ANCHORS[] =
    "10,13,  16,30,  33,23,  30,61,  62,45,  59,119,  116,90,  156,198,  373,326";
static const char TINY_ANCHORS[] = "10,14,  23,27,  37,58,  81,82,  135,169,  344,319";

// Darknet-53 and three heads: Redmon and Farhadi, YOLOv3, table 1 and section 2.3.
static inline void cfg_yolov3(cfg_text *c, int side, int thin) {
    static const int blocks[5] = {1, 2, 8, 8, 4};
    *c = (cfg_text){.thin = thin};
    cfg_net(c, side, side);
    cfg_conv(c, 32, 3, 1, "leaky");
    for (int stage = 0; stage < 5; stage++) {
        cfg_conv(c, 64 << stage, 3, 2, "leaky");
        for (int i = 0; i < blocks[stage]; i++) {
            cfg_conv(c, 32 << stage, 1, 1, "leaky");
            cfg_conv(c, 64 << stage, 3, 1, "leaky");
            cfg_shortcut(c, -3, "linear");
        }
    }
    static const char *const masks[3] = {"6,7,8", "3,4,5", "0,1,2"};
    static const char *const joins[3] = {NULL, "-1, 61", "-1, 36"};
    for (int head = 0; head < 3; head++) {
        if (head > 0) {
            cfg_route(c, "-4");
            cfg_conv(c, 512 >> head, 1, 1, "leaky");
            cfg_section(c, "upsample");
            cfg_put(c, "stride=2\n");
            cfg_route(c, joins[head]);
        }
        for (int i = 0; i < 3; i++) {
            cfg_conv(c, 512 >> head, 1, 1, "leaky");
            cfg_conv(c, 1024 >> head, 3, 1, "leaky");
        }
        cfg_head(c, 80, masks[head], COCO_ANCHORS, 9);
    }
}

static inline void cfg_yolov3_tiny(cfg_text *c, int side, int thin) {
    *c = (cfg_text){.thin = thin};
    cfg_net(c, side, side);
    for (int i = 0; i < 6; i++) {
        cfg_conv(c, 16 << i, 3, 1, "leaky");
        cfg_maxpool(c, 2, i < 5 ? 2 : 1);
    }
    cfg_conv(c, 1024, 3, 1, "leaky");
    cfg_conv(c, 256, 1, 1, "leaky");
    cfg_conv(c, 512, 3, 1, "leaky");
    cfg_head(c, 80, "3,4,5", TINY_ANCHORS, 6);
    cfg_route(c, "-4");
    cfg_conv(c, 128, 1, 1, "leaky");
    cfg_section(c, "upsample");
    cfg_put(c, "stride=2\n");
    cfg_route(c, "-1, 8");
    cfg_conv(c, 256, 3, 1, "leaky");
    cfg_head(c, 80, "0,1,2", TINY_ANCHORS, 6);
}

// Darknet's form of ResNet-50: shortcuts without projections, leaky, the classifier before the
// mean.
static inline void cfg_resnet50(cfg_text *c, int side, int thin) {
    static const int blocks[4] = {3, 4, 6, 3};
    *c = (cfg_text){.thin = thin};
    cfg_net(c, side, side);
    cfg_conv(c, 64, 7, 2, "leaky");
    cfg_maxpool(c, 2, 2);
    for (int stage = 0; stage < 4; stage++) {
        for (int i = 0; i < blocks[stage]; i++) {
            cfg_conv(c, 64 << stage, 1, 1, "leaky");
            cfg_conv(c, 64 << stage, 3, stage > 0 && i == 0 ? 2 : 1, "leaky");
            cfg_conv(c, 256 << stage, 1, 1, "linear");
            cfg_shortcut(c, -4, "leaky");
        }
    }
    cfg_section(c, "convolutional");
    cfg_put(c, "filters=1000\nsize=1\nstride=1\npad=1\nactivation=linear\n");
    cfg_section(c, "avgpool");
    cfg_section(c, "softmax");
    cfg_put(c, "groups=1\n");
}

// Most of what detectors are made of, in eighteen small layers.
static inline void cfg_mixture(cfg_text *c) {
    *c = (cfg_text){.thin = 1};
    cfg_net(c, 48, 32);
    cfg_conv(c, 8, 3, 2, "leaky"); // 0
    cfg_conv(c, 8, 5, 1, "mish");  // 1: each channel for itself
    cfg_put(c, "groups=8\n");
    cfg_maxpool(c, 2, 2);           // 2
    cfg_conv(c, 12, 3, 1, "swish"); // 3
    cfg_section(c, "route");        // 4: the second half
    cfg_put(c, "layers=-1\ngroups=2\ngroup_id=1\n");
    cfg_conv(c, 12, 1, 1, "relu");  // 5
    cfg_shortcut(c, -3, "leaky");   // 6
    cfg_maxpool(c, 2, 1);           // 7
    cfg_maxpool(c, 3, 1);           // 8
    cfg_route(c, "-1,-2,6");        // 9
    cfg_conv(c, 16, 3, 2, "leaky"); // 10
    cfg_section(c, "dropout");      // 11
    cfg_put(c, "probability=.2\n");
    cfg_conv(c, 8, 1, 1, "logistic"); // 12
    cfg_section(c, "upsample");       // 13
    cfg_put(c, "stride=2\n");
    cfg_route(c, "-1,6");                  // 14
    cfg_conv(c, 16, 3, 1, "leaky");        // 15
    cfg_head(c, 2, "0,1", "4,5, 9,14", 2); // 16, 17
}

// A classifier that ends in connected layers.
static inline void cfg_classifier(cfg_text *c) {
    *c = (cfg_text){.thin = 1};
    cfg_net(c, 20, 16);
    cfg_conv(c, 6, 3, 1, "leaky");
    cfg_maxpool(c, 2, 2);
    cfg_section(c, "connected");
    cfg_put(c, "output=10\nactivation=leaky\n");
    cfg_section(c, "connected");
    cfg_put(c, "output=5\nactivation=linear\n");
    cfg_section(c, "softmax");
    cfg_section(c, "cost");
    cfg_put(c, "type=sse\n");
}

// A weights file for the network, version 0.2; the caller frees it with sac_free.
static inline uint8_t *make_weights(const sac_darknet *d, uint64_t seed, size_t *size) {
    sac_rng rng;
    sac_rng_seed(&rng, seed, 0);
    *size = 20 + 4 * (size_t)d->weight_count;
    uint8_t *bytes = sac_calloc((int64_t)*size, 1);
    if (bytes == NULL) abort();
    const int32_t version[3] = {0, 2, 5};
    memcpy(bytes, version, sizeof version);
    float *at = (float *)(void *)(bytes + 20);
    for (int i = 0; i < d->slot_count; i++) {
        const sac_darknet_slot *s = &d->slots[i];
        const double deviation = sqrt(2.0 * (double)s->outputs / (double)s->weights);
        for (int part = 0; part < 5; part++) {
            // biases, scales, means, variances, weights; a connected layer has the weights second
            const int what = !s->connected ? part : part == 1 ? 4 : part > 1 ? part - 1 : 0;
            const bool norm = what >= 1 && what <= 3;
            if (norm && !s->normalized) continue;
            const int64_t n = what == 4 ? s->weights : s->outputs;
            for (int64_t k = 0; k < n; k++) {
                switch (what) {
                case 0:
                case 2:
                    *at++ = (float)(0.1 * sac_rng_normal(&rng));
                    break;
                case 1:
                    *at++ = (float)(0.8 + 0.4 * sac_rng_uniform(&rng));
                    break;
                case 3:
                    *at++ = (float)(0.5 + sac_rng_uniform(&rng));
                    break;
                default:
                    *at++ = (float)(deviation * sac_rng_normal(&rng));
                    break;
                }
            }
        }
    }
    return bytes;
}

#endif
