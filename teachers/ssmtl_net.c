// Builds the SSMTL network from its design. Tables hold what can be chosen; nothing here runs a
// network.
#include "teachers/ssmtl_net.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/check.h"

enum {
    CONTEXT = SAC_SEQUENCE_LENGTH - 1,
    HEAD_WIDTH = 32,
    HEAD_CHANNELS = 16, // of one attention head
    MLP_FACTOR = 4,
    CORNER = 2, // the masked convolution looks at cells this far away
    SQUEEZE = 8,
    MOST_BLOCKS = 8
};

static const sac_ssmtl_backbone BACKBONES[] = {
    {"shallow-narrow", {16, SAC_SSMTL_POOL, 32, SAC_SSMTL_POOL, 32, SAC_SSMTL_POOL_ALL}, 32, 2},
    {"shallow-wide", {32, SAC_SSMTL_POOL, 64, SAC_SSMTL_POOL, 64, SAC_SSMTL_POOL_ALL}, 32, 2},
    {"deep-narrow",
     {16, 16, SAC_SSMTL_POOL, 32, 32, SAC_SSMTL_POOL, 32, SAC_SSMTL_POOL, 32, SAC_SSMTL_POOL_ALL},
     32,
     3},
    {"deep-wide",
     {32, 32, SAC_SSMTL_POOL, 64, 64, SAC_SSMTL_POOL, 64, SAC_SSMTL_POOL, 64, SAC_SSMTL_POOL_ALL},
     32,
     3},
};

const sac_ssmtl_backbone *sac_ssmtl_backbone_at(int index) {
    if (index < 0 || index >= (int)(sizeof BACKBONES / sizeof BACKBONES[0])) return NULL;
    return &BACKBONES[index];
}

static const char *const TASK_NAMES[SAC_SSMTL_TASKS] = {
    [SAC_SSMTL_MIDDLE] = "middle",
    [SAC_SSMTL_ARROW] = "arrow",
    [SAC_SSMTL_IRREGULARITY] = "irregularity",
    [SAC_SSMTL_DISTILLATION] = "distillation",
    [SAC_SSMTL_SEGMENTATION] = "segmentation",
    [SAC_SSMTL_POSE] = "pose",
    [SAC_SSMTL_JIGSAW] = "jigsaw",
    [SAC_SSMTL_INPAINTING] = "inpainting",
    [SAC_SSMTL_PSEUDO] = "pseudo",
};

const char *sac_ssmtl_task_name(int task) {
    return task >= 0 && task < SAC_SSMTL_TASKS ? TASK_NAMES[task] : NULL;
}

bool sac_ssmtl_has_accuracy(int task) {
    return task == SAC_SSMTL_ARROW || task == SAC_SSMTL_IRREGULARITY || task == SAC_SSMTL_JIGSAW;
}

int sac_ssmtl_target_of(int task) {
    return task >= SAC_SSMTL_DISTILLATION && task <= SAC_SSMTL_POSE ? task - SAC_SSMTL_DISTILLATION
                                                                    : -1;
}

sac_status sac_ssmtl_tasks_parse(unsigned *tasks, const char *list, sac_error *error) {
    *tasks = 0;
    for (const char *at = list;; at++) {
        size_t length = strcspn(at, ",");
        int found = -1;
        for (int k = 0; k < SAC_SSMTL_TASKS; k++) {
            if (strlen(TASK_NAMES[k]) == length && strncmp(at, TASK_NAMES[k], length) == 0)
                found = k;
        }
        if (found < 0 || (*tasks & SAC_SSMTL_BIT(found)) != 0) {
            return sac_error_set(error, SAC_ERROR_ARGUMENT, at - list,
                                 "%s task '%.*s'; the tasks are middle, arrow, irregularity, "
                                 "distillation, segmentation, pose, jigsaw, inpainting, pseudo, "
                                 "each at most once",
                                 found < 0 ? "unknown" : "repeated", (int)length, at);
        }
        *tasks |= SAC_SSMTL_BIT(found);
        at += length;
        if (*at == '\0') return SAC_OK;
    }
}

int sac_ssmtl_column_task(unsigned tasks, int column) {
    for (int k = 0; k < SAC_SSMTL_PSEUDO; k++) {
        if ((tasks & SAC_SSMTL_BIT(k)) != 0 && column-- == 0) return k;
    }
    return -1;
}

int sac_ssmtl_columns(unsigned tasks) {
    int count = 0;
    while (sac_ssmtl_column_task(tasks, count) >= 0) count++;
    return count;
}

sac_ssmtl_design sac_ssmtl_default_design(void) {
    return (sac_ssmtl_design){
        .crop_size = 64, .tasks = SAC_SSMTL_DEFAULT_TASKS, .residual = true, .dropout = 0.3};
}

// A network being built. Node names are "<branch>.<layer>"; a branch with `share` borrows the
// parameters of the backbone of that branch.
typedef struct builder {
    sac_net *net;
    const sac_ssmtl_design *design;
    const sac_ssmtl_backbone *backbone;
    bool training;
    const char *branch;
    const char
        *share;   // branch whose backbone weights are used, NULL: the first branch, which owns them
    bool sharing; // the layers being added belong to the backbone
    char text[128]; // of `name`
} builder;

static const char *name(builder *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
static const char *name(builder *b, const char *format, ...) {
    va_list arguments;
    int at = snprintf(b->text, sizeof b->text, "%s.", b->branch);
    va_start(arguments, format);
    (void)vsnprintf(b->text + at, sizeof b->text - (size_t)at, format, arguments);
    va_end(arguments);
    return b->text;
}

// To be called with the name still in b->text.
static int shared(builder *b, int node) {
    if (!b->sharing || b->share == NULL || node < 0) return node;
    char owner[128];
    (void)snprintf(owner, sizeof owner, "%s%s", b->share, strchr(b->text, '.'));
    sac_net_share(b->net, node, owner);
    return node;
}

static const int64_t ONE[3] = {1, 1, 1}, SPACE[3] = {1, 3, 3}, TIME[3] = {3, 1, 1},
                     THREE[3] = {3, 3, 3}, NONE[3] = {0, 0, 0};

// Convolution k 'same', stride s, no bias.
static int conv3d(builder *b, const char *layer, int src, int64_t width, const int64_t k[3],
                  const int64_t s[3], int64_t groups, bool bias) {
    int64_t pad[3] = {k[0] / 2, k[1] / 2, k[2] / 2};
    return shared(
        b, sac_net_conv3d(b->net, name(b, "%s", layer), src, width, k, s, pad, groups, bias));
}

static int norm(builder *b, const char *layer, int src) {
    return shared(b, sac_net_batch_norm(b->net, name(b, "%s", layer), src));
}

static int norm_relu(builder *b, const char *layer, int src) {
    char text[64];
    (void)snprintf(text, sizeof text, "%s.norm", layer);
    int node = norm(b, text, src);
    return sac_net_unary(b->net, SAC_OP_RELU, name(b, "%s.relu", layer), node);
}

// Volume convolution 3x3x3 of the design's kind, norm, ReLU.
static int add_block(builder *b, const char *layer, int src, int from, int width) {
    char text[64], conv[64];
    int node;
    const int kind = b->design->convolution;
    (void)snprintf(text, sizeof text, "%s.%s", layer,
                   kind == SAC_SSMTL_FACTORISED ? "space" : "depth");
    (void)snprintf(conv, sizeof conv, "%s.conv", layer);
    if (kind == SAC_SSMTL_FACTORISED) {
        node = norm_relu(b, text, conv3d(b, text, src, width, SPACE, ONE, 1, false));
        node = conv3d(b, conv, node, width, TIME, ONE, 1, false);
    } else if (kind == SAC_SSMTL_DEPTHWISE && from > 1) { // one channel has nothing to separate
        node = norm_relu(b, text, conv3d(b, text, src, from, THREE, ONE, from, false));
        node = conv3d(b, conv, node, width, ONE, ONE, 1, false);
    } else {
        node = conv3d(b, conv, src, width, THREE, ONE, 1, false);
    }
    return norm_relu(b, layer, node);
}

// conv 3x3 without bias, norm, ReLU of heads and decoders
static int add_flat(builder *b, const char *layer, int src, int width) {
    int node = sac_net_conv2d(b->net, name(b, "%s.conv", layer), src, width, 3, 1, 1, 1, false);
    return norm_relu(b, layer, node);
}

static int add_pool(builder *b, const char *layer, int src, int64_t depth, int64_t side) {
    int64_t kernel[3] = {depth, side, side};
    return sac_net_pool(b->net, SAC_OP_MAX_POOL, name(b, "%s", layer), src, kernel, kernel, NONE);
}

// Sizes of the volume inside a backbone.
typedef struct volume {
    int64_t channels, length, side;
} volume;

// Reconstruction of each cell from the corners of its surroundings, channels scaled by their mean;
// see the header.
static int add_masked(builder *b, int src, const volume *v) {
    // Taps at -2 and +2 of both axes: a 2x2 kernel whose taps lie four cells apart.
    sac_attrs corners = {.channels = v->channels,
                         .kernel = {1, 2, 2},
                         .stride = {1, 1, 1},
                         .pad = {0, CORNER, CORNER},
                         .dilation = {0, 2 * CORNER - 1, 2 * CORNER - 1},
                         .groups = 1,
                         .bias = true};
    int node =
        shared(b, sac_net_add_node(b->net, SAC_OP_CONV, name(b, "masked.conv"), &corners, &src, 1));
    node = sac_net_unary(b->net, SAC_OP_RELU, name(b, "masked.relu"), node);
    int squeeze = sac_net_adaptive_pool(b->net, SAC_OP_ADAPTIVE_AVG_POOL, name(b, "masked.mean"),
                                        node, 1, 1, 1);
    int64_t narrow = v->channels / SQUEEZE;
    squeeze = conv3d(b, "masked.squeeze", squeeze, narrow, ONE, ONE, 1, true);
    squeeze = sac_net_unary(b->net, SAC_OP_RELU, name(b, "masked.squeeze.relu"), squeeze);
    squeeze = conv3d(b, "masked.excite", squeeze, v->channels, ONE, ONE, 1, true);
    squeeze = sac_net_unary(b->net, SAC_OP_SIGMOID, name(b, "masked.gate"), squeeze);
    node = sac_net_mul(b->net, name(b, "masked.scaled"), node, squeeze);
    if (b->training) {
        int minus = sac_net_linear(b->net, name(b, "masked.minus"), src, -1, 0);
        sac_net_output(b->net, sac_net_add(b->net, name(b, "masked.error"), node, minus));
    }
    return node;
}

// Layer norm over the channels of [C][T][h][w].
static int channel_norm(builder *b, const char *layer, int src) {
    static const int64_t last[5] = {0, 2, 3, 4, 1}, first[5] = {0, 4, 1, 2, 3};
    int node = sac_net_permute(b->net, name(b, "%s.last", layer), src, 5, last);
    node = shared(b, sac_net_layer_norm(b->net, name(b, "%s", layer), node));
    return sac_net_permute(b->net, name(b, "%s.first", layer), node, 5, first);
}

// Depthwise convolution + norm + 1x1x1, cut into heads: [heads][16][tokens].
static int projection(builder *b, const char *layer, int src, const volume *v, int64_t stride) {
    char text[64];
    int64_t s[3] = {1, stride, stride};
    (void)snprintf(text, sizeof text, "%s.depth", layer);
    int node = conv3d(b, text, src, v->channels, THREE, s, v->channels, false);
    (void)snprintf(text, sizeof text, "%s.norm", layer);
    node = norm(b, text, node);
    (void)snprintf(text, sizeof text, "%s.point", layer);
    node = conv3d(b, text, node, v->channels, ONE, ONE, 1, true);
    int64_t side = (v->side - 1) / stride + 1;
    int64_t dims[3] = {v->channels / HEAD_CHANNELS, HEAD_CHANNELS, v->length * side * side};
    return sac_net_reshape(b->net, name(b, "%s.heads", layer), node, 3, dims);
}

static int add_transformer(builder *b, int index, int src, const volume *v) {
    static const int64_t swap[4] = {0, 1, 3, 2};
    char text[6][32];
    static const char *const parts[6] = {"norm1", "query", "key", "value", "norm2", "out"};
    for (int i = 0; i < 6; i++)
        (void)snprintf(text[i], sizeof text[i], "cvt%d.%s", index, parts[i]);
    int x = channel_norm(b, text[0], src);
    int query = projection(b, text[1], x, v, 1), key = projection(b, text[2], x, v, 2),
        value = projection(b, text[3], x, v, 2);
    query = sac_net_permute(b->net, name(b, "%s.tokens", text[1]), query, 4, swap);
    query = sac_net_linear(b->net, name(b, "%s.scaled", text[1]), query,
                           1 / sqrt((double)HEAD_CHANNELS), 0);
    value = sac_net_permute(b->net, name(b, "%s.tokens", text[3]), value, 4, swap);
    int node = sac_net_matmul(b->net, name(b, "cvt%d.weights", index), query, key);
    node = sac_net_softmax(b->net, name(b, "cvt%d.softmax", index), node, 3);
    node = sac_net_matmul(b->net, name(b, "cvt%d.mix", index), node, value);
    node = sac_net_permute(b->net, name(b, "%s.heads", text[5]), node, 4, swap);
    int64_t dims[4] = {v->channels, v->length, v->side, v->side};
    node = sac_net_reshape(b->net, name(b, "%s.cells", text[5]), node, 4, dims);
    node = conv3d(b, text[5], node, v->channels, ONE, ONE, 1, true);
    x = sac_net_add(b->net, name(b, "cvt%d.attended", index), src, node);
    node = channel_norm(b, text[4], x);
    char wide[32], back[32];
    (void)snprintf(wide, sizeof wide, "cvt%d.wide", index);
    (void)snprintf(back, sizeof back, "cvt%d.back", index);
    node = conv3d(b, wide, node, MLP_FACTOR * v->channels, ONE, ONE, 1, true);
    node = sac_net_unary(b->net, SAC_OP_GELU, name(b, "%s.gelu", wide), node);
    node = conv3d(b, back, node, v->channels, ONE, ONE, 1, true);
    return sac_net_add(b->net, name(b, "cvt%d", index), x, node);
}

// [1][T][S][S] -> [C][h][h]. The first branch owns the weights, all others share them.
static int add_backbone(builder *b, const char *branch, int64_t length) {
    b->branch = branch;
    b->sharing = true;
    volume v = {1, length, b->design->crop_size};
    int64_t dims[4] = {1, length, v.side, v.side};
    int node = sac_net_input(b->net, branch, 4, dims), convs = 0, pools = 0;
    for (const int *layer = b->backbone->layers; *layer != 0; layer++) {
        char text[32];
        if (*layer > 0) {
            (void)snprintf(text, sizeof text, "block%d", ++convs);
            node = add_block(b, text, node, (int)v.channels, *layer);
            v.channels = *layer;
            continue;
        }
        (void)snprintf(text, sizeof text, "pool%d", ++pools);
        bool last = *layer == SAC_SSMTL_POOL_ALL, blocks = b->design->transformer > 0;
        if (last && b->design->masked) node = add_masked(b, node, &v);
        v.side /= 2;
        node = add_pool(b, text, node, last && !blocks ? v.length : 1, 2);
        if (!last || !blocks) continue;
        for (int i = 1; i <= b->design->transformer; i++) node = add_transformer(b, i, node, &v);
        node = add_pool(b, "pool.time", node, v.length, 1);
    }
    int64_t flat[3] = {v.channels, v.side, v.side};
    node = sac_net_reshape(b->net, name(b, "code"), node, 3, flat);
    b->sharing = false;
    if (b->share == NULL) b->share = branch;
    return node;
}

// Head "<task>.head...", output "<task>.<output>".
static int add_head(builder *b, const char *task, const char *output, int code, int64_t width) {
    b->branch = task;
    int node = add_flat(b, "head", code, HEAD_WIDTH);
    node = sac_net_dropout(b->net, name(b, "head.dropout"), node, b->design->dropout);
    node = add_pool(b, "head.pool", node, 1, 2);
    return sac_net_dense(b->net, name(b, "%s", output), node, width, true);
}

// Decoder: nearest x2 and conv 3x3 until the crop size is reached.
static void add_decoder(builder *b, const char *task, const char *output, int code) {
    b->branch = task;
    int node = code;
    for (int i = 0; i <= b->backbone->decoder_stages; i++) {
        char stage[32];
        (void)snprintf(stage, sizeof stage, "stage%d", i + 1);
        node = sac_net_upsample(b->net, name(b, "up%d", i + 1), node, 1, 2, 2);
        if (i < b->backbone->decoder_stages)
            node = add_flat(b, stage, node, b->backbone->decoder_width);
    }
    sac_net_output(b->net,
                   sac_net_conv2d(b->net, name(b, "%s", output), node, 1, 3, 1, 1, 1, true));
}

static void build(builder *b) {
    const unsigned tasks = b->design->tasks;
    const unsigned targets = SAC_SSMTL_BIT(SAC_SSMTL_DISTILLATION) |
                             SAC_SSMTL_BIT(SAC_SSMTL_SEGMENTATION) | SAC_SSMTL_BIT(SAC_SSMTL_POSE);
    unsigned seven = SAC_SSMTL_BIT(SAC_SSMTL_IRREGULARITY) | targets;
    if (!b->training) seven |= SAC_SSMTL_BIT(SAC_SSMTL_JIGSAW);
    if (tasks & (SAC_SSMTL_BIT(SAC_SSMTL_MIDDLE) | SAC_SSMTL_BIT(SAC_SSMTL_ARROW))) {
        int code = add_backbone(b, "arrow", CONTEXT);
        if (tasks & SAC_SSMTL_BIT(SAC_SSMTL_ARROW))
            sac_net_output(b->net, add_head(b, "arrow", "logits", code, 2));
        if (tasks & SAC_SSMTL_BIT(SAC_SSMTL_MIDDLE))
            add_decoder(b, "middle", b->design->residual ? "residual" : "crop", code);
    }
    if (tasks & seven) {
        int code = add_backbone(b, "irregular", SAC_SEQUENCE_LENGTH);
        if (tasks & SAC_SSMTL_BIT(SAC_SSMTL_IRREGULARITY))
            sac_net_output(b->net, add_head(b, "irregular", "logits", code, 2));
        for (int k = SAC_SSMTL_DISTILLATION; k <= SAC_SSMTL_POSE; k++) {
            if ((tasks & SAC_SSMTL_BIT(k)) == 0) continue;
            int64_t width = b->design->features[sac_ssmtl_target_of(k)];
            int node = add_head(b, TASK_NAMES[k], "dense", code, width);
            sac_net_output(b->net, sac_net_unary(b->net, SAC_OP_RELU, name(b, "features"), node));
        }
        if (!b->training && (tasks & SAC_SSMTL_BIT(SAC_SSMTL_JIGSAW)))
            sac_net_output(b->net, add_head(b, "jigsaw", "logits", code, SAC_SSMTL_PERMUTATIONS));
    }
    if (b->training && (tasks & SAC_SSMTL_BIT(SAC_SSMTL_JIGSAW))) {
        int code = add_backbone(b, "jigsaw", SAC_SEQUENCE_LENGTH);
        sac_net_output(b->net, add_head(b, "jigsaw", "logits", code, SAC_SSMTL_PERMUTATIONS));
    }
    if (tasks & SAC_SSMTL_BIT(SAC_SSMTL_INPAINTING)) {
        int code = add_backbone(b, "inpainting", SAC_SEQUENCE_LENGTH);
        add_decoder(b, "inpainting", "crop", code);
    }
    if (b->training && (tasks & SAC_SSMTL_BIT(SAC_SSMTL_PSEUDO))) {
        int code = add_backbone(b, "pseudo", CONTEXT);
        code = sac_net_grad_reverse(b->net, "pseudo.reversed", code, 1);
        add_decoder(b, "pseudo", "crop", code);
    }
}

static sac_status check_design(const sac_ssmtl_design *d, const sac_ssmtl_backbone *backbone,
                               sac_error *error) {
    int64_t unit = 1;
    for (const int *layer = backbone->layers; *layer != 0; layer++) {
        if (*layer < 0) unit *= 2;
    }
    // The code has at least 2x2 cells, because a head pools once more.
    if (d->crop_size < 2 * unit || d->crop_size > 256 || d->crop_size % unit != 0) {
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "crop size %lld: backbone %s needs a multiple of %lld from %lld to "
                             "256",
                             (long long)d->crop_size, backbone->name, (long long)unit,
                             (long long)(2 * unit));
    }
    const unsigned own = SAC_SSMTL_BIT(SAC_SSMTL_JIGSAW) | SAC_SSMTL_BIT(SAC_SSMTL_INPAINTING) |
                         SAC_SSMTL_BIT(SAC_SSMTL_PSEUDO);
    if (d->tasks >= SAC_SSMTL_BIT(SAC_SSMTL_TASKS) || (d->tasks & ~own) == 0) {
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "the tasks need at least one of middle, arrow, irregularity, "
                             "distillation, segmentation and pose");
    }
    for (int k = 0; k < SAC_SSMTL_TASKS; k++) {
        int target = sac_ssmtl_target_of(k);
        if (target < 0 || (d->tasks & SAC_SSMTL_BIT(k)) == 0) continue;
        if (d->features[target] < 1 || d->features[target] > SAC_SSMTL_MAX_FEATURES) {
            return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                                 "task %s: %lld features to imitate, expected 1 to %d",
                                 TASK_NAMES[k], (long long)d->features[target],
                                 (int)SAC_SSMTL_MAX_FEATURES);
        }
    }
    if (!(d->dropout >= 0 && d->dropout < 1) || d->transformer < 0 ||
        d->transformer > MOST_BLOCKS || d->convolution < SAC_SSMTL_FULL ||
        d->convolution > SAC_SSMTL_DEPTHWISE) {
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "the network is out of range (dropout in [0, 1), 0 to %d transformer "
                             "blocks, convolution " SAC_SSMTL_CONVOLUTIONS ")",
                             (int)MOST_BLOCKS);
    }
    return SAC_OK;
}

sac_status sac_ssmtl_net(sac_net **out, const sac_ssmtl_design *design, bool training,
                         sac_error *error) {
    sac_status status = SAC_OK;
    builder b = {.design = design, .training = training};
    *out = NULL;
    b.backbone = sac_ssmtl_backbone_at(design->backbone);
    if (b.backbone == NULL) {
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1, "no backbone number %d",
                             design->backbone);
    }
    SAC_TRY(check_design(design, b.backbone, error));
    SAC_TRY(sac_net_create(&b.net));
    build(&b);
    SAC_TRY(sac_net_check(b.net, error));
    *out = b.net;
    return SAC_OK;
fail:
    sac_net_close(&b.net);
    return sac_error_set(error, status, -1, "no memory for the network");
}
