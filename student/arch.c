// Architectures of the student, described as data (nn/net.h). A model file stores the description
// itself, so that changing or dropping an architecture here never breaks a trained model. No
// weights and no planning here.
#include "student/arch.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/check.h"
#include "core/number.h"
#include "student/heads.h"

// ---- the tiny family ----------------------------------------------------------------------------

// Channel counts are those of width 1.
typedef struct tiny {
    const char *name;
    int width, height;        // default input, px
    int64_t stem, fuse, down; // of the stride-2 convolutions: on each frame, on three, and after
    int64_t body;             // residual blocks behind them
    int64_t head;             // hidden channels of each head
} tiny;

static const tiny tinies[] = {
    {"tiny-s", 192, 128, 8, 24, 32, 1, 16},
    {"tiny-m", 240, 160, 16, 32, 48, 2, 32},
    {"tiny-l", 288, 192, 16, 48, 64, 3, 32},
};
enum { TINY_COUNT = sizeof tinies / sizeof tinies[0] };

const char *sac_arch_names(void) {
    return "tiny-s, tiny-m, tiny-l, paper";
}

// Node names are made as "PART.KIND": one buffer for the call at hand.
typedef struct name {
    char text[64];
} name;

static const char *named(name *n, const char *part, const char *kind) {
    (void)snprintf(n->text, sizeof n->text, "%.40s.%.20s", part, kind);
    return n->text;
}

// conv 3x3 without bias, then batch normalisation; nodes PART.conv and PART.norm. With `share` they
// use the parameters of the nodes of that part.
static int conv_norm(sac_net *net, const char *part, const char *share, int src, int64_t channels,
                     int64_t stride) {
    name n;
    src = sac_net_conv2d(net, named(&n, part, "conv"), src, channels, 3, stride, 1, 1, false);
    if (share != NULL) sac_net_share(net, src, named(&n, share, "conv"));
    src = sac_net_batch_norm(net, named(&n, part, "norm"), src);
    if (share != NULL) sac_net_share(net, src, named(&n, share, "norm"));
    return src;
}

static int conv_norm_relu(sac_net *net, const char *part, const char *share, int src,
                          int64_t channels, int64_t stride) {
    name n;
    src = conv_norm(net, part, share, src, channels, stride);
    return sac_net_unary(net, SAC_OP_RELU, named(&n, part, "relu"), src);
}

// Head of one scale: hidden convolution, ReLU, one logit per place, the strongest logit of each
// cell, sigmoid. Sigmoid is monotone, so pooling logits gives the map of the strongest probability
// and costs nothing extra.
static void head(sac_net *net, const char *part, const char *output, int src, int64_t kernel,
                 int64_t channels, int64_t cells) {
    name n;
    src =
        sac_net_conv2d(net, named(&n, part, "conv"), src, channels, kernel, 1, kernel / 2, 1, true);
    src = sac_net_unary(net, SAC_OP_RELU, named(&n, part, "relu"), src);
    src = sac_net_conv2d(net, named(&n, part, "logit"), src, 1, 1, 1, 0, 1, true);
    src = sac_net_adaptive_pool(net, SAC_OP_ADAPTIVE_MAX_POOL, named(&n, part, "pool"), src, 1,
                                cells, cells);
    src = sac_net_unary(net, SAC_OP_SIGMOID, output, src);
    sac_net_output(net, src);
}

// One of the three frames, of so many planes, through the stem; the second and the third use the
// first one's weights.
static int stem(sac_net *net, int frames, int index, int64_t planes, int64_t channels) {
    char part[16];
    name n;
    (void)snprintf(part, sizeof part, "stem%d", index);
    const int x =
        sac_net_slice(net, named(&n, part, "frame"), frames, 1, index * planes, planes, 1);
    return conv_norm_relu(net, part, index > 0 ? "stem0" : NULL, x, channels, 2);
}

static int64_t scaled(int64_t channels, double width) {
    const int64_t n = (int64_t)llround((double)channels * width / 8.0) * 8;
    return n < 8 ? 8 : n;
}

static int input(sac_net *net, const sac_preprocess *p) {
    return sac_net_input(net, "frames", 3, (const int64_t[]){3 * p->channels, p->height, p->width});
}

// NAME[*X][:MAPS] taken apart.
typedef struct design {
    const tiny *tiny; // NULL: paper
    double width;
    unsigned heads;
} design;

static void build_tiny(sac_net *net, const design *d, const sac_preprocess *p) {
    const tiny *t = d->tiny;
    const double width = d->width;
    const int frames = input(net, p);
    const int64_t down = scaled(t->down, width), hidden = scaled(t->head, width);
    int seen[3];
    for (int i = 0; i < 3; i++) seen[i] = stem(net, frames, i, p->channels, scaled(t->stem, width));
    int x = sac_net_concat(net, "fuse.frames", seen, 3, 1);
    x = conv_norm_relu(net, "fuse", NULL, x, scaled(t->fuse, width), 2);
    x = conv_norm_relu(net, "down", NULL, x, down, 2);
    for (int64_t i = 0; i < t->body; i++) {
        char first[32], second[32];
        name n;
        (void)snprintf(first, sizeof first, "body%" PRId64 "a", i + 1);
        (void)snprintf(second, sizeof second, "body%" PRId64 "b", i + 1);
        int y = conv_norm_relu(net, first, NULL, x, down, 1);
        y = conv_norm(net, second, NULL, y, down, 1);
        y = sac_net_add(net, named(&n, second, "add"), y, x);
        x = sac_net_unary(net, SAC_OP_RELU, named(&n, second, "relu"), y);
    }
    static const char *const parts[SAC_HEADS] = {"head16", "head4", "head1"};
    for (int k = 0; k < SAC_HEADS; k++) {
        if ((d->heads >> k & 1) == 0) continue;
        head(net, parts[k], sac_heads[k].output, x, k == 0 ? 3 : 1, hidden, sac_heads[k].side);
    }
}

// ---- the published student ----------------------------------------------------------------------

enum { PAPER_DIM = 256, PAPER_HEADS = 5, PAPER_HEAD_DIM = 64, PAPER_BLOCKS = 5 };

// [C][H][W] normalised over C at every place. The operator works on the last axis.
static int norm_channels(sac_net *net, const char *part, int src, int64_t h, int64_t w) {
    name n;
    src = sac_net_reshape(net, named(&n, part, "tokens"), src, 2,
                          (const int64_t[]){PAPER_DIM, h * w});
    src = sac_net_permute(net, named(&n, part, "last"), src, 3, (const int64_t[]){0, 2, 1});
    src = sac_net_layer_norm(net, named(&n, part, "norm"), src);
    src = sac_net_permute(net, named(&n, part, "first"), src, 3, (const int64_t[]){0, 2, 1});
    return sac_net_reshape(net, named(&n, part, "image"), src, 3,
                           (const int64_t[]){PAPER_DIM, h, w});
}

// Convolutional projection: depthwise 3x3, batch normalisation, 1x1 to [heads][64][H W].
static int projection(sac_net *net, const char *part, int src, int64_t stride, int64_t h,
                      int64_t w) {
    name n;
    src = sac_net_conv2d(net, named(&n, part, "depthwise"), src, PAPER_DIM, 3, stride, 1, PAPER_DIM,
                         false);
    src = sac_net_batch_norm(net, named(&n, part, "norm"), src);
    src = sac_net_conv2d(net, named(&n, part, "point"), src, PAPER_HEADS * PAPER_HEAD_DIM, 1, 1, 0,
                         1, false);
    return sac_net_reshape(net, named(&n, part, "heads"), src, 3,
                           (const int64_t[]){PAPER_HEADS, PAPER_HEAD_DIM, h * w});
}

static int attention(sac_net *net, const char *part, int src, int64_t h, int64_t w) {
    name n, m;
    const int64_t kh = (h + 1) / 2, kw = (w + 1) / 2; // of keys and values, stride 2
    static const int64_t swap[] = {0, 1, 3, 2};
    int q = projection(net, named(&n, part, "q"), src, 1, h, w);
    const int k = projection(net, named(&n, part, "k"), src, 2, kh, kw);
    int v = projection(net, named(&n, part, "v"), src, 2, kh, kw);
    q = sac_net_permute(net, named(&m, part, "queries"), q, 4, swap);
    v = sac_net_permute(net, named(&m, part, "values"), v, 4, swap);
    int x = sac_net_matmul(net, named(&m, part, "match"), q, k);
    x = sac_net_linear(net, named(&m, part, "scale"), x, 1.0 / 8.0, 0.0); // 1 / sqrt(64)
    x = sac_net_softmax(net, named(&m, part, "softmax"), x, 3);
    x = sac_net_matmul(net, named(&m, part, "mix"), x, v);
    x = sac_net_permute(net, named(&m, part, "back"), x, 4, swap);
    x = sac_net_reshape(net, named(&m, part, "join"), x, 3,
                        (const int64_t[]){PAPER_HEADS * PAPER_HEAD_DIM, h, w});
    return sac_net_conv2d(net, named(&m, part, "out"), x, PAPER_DIM, 1, 1, 0, 1, true);
}

static int transformer_block(sac_net *net, int index, int src, int64_t h, int64_t w) {
    char part[16];
    name n, m;
    (void)snprintf(part, sizeof part, "block%d", index);
    int x = norm_channels(net, named(&n, part, "norm1"), src, h, w);
    x = attention(net, named(&n, part, "attention"), x, h, w);
    src = sac_net_add(net, named(&n, part, "add1"), src, x);
    x = norm_channels(net, named(&m, part, "norm2"), src, h, w);
    x = sac_net_conv2d(net, named(&n, part, "mlp1"), x, 4 * PAPER_DIM, 1, 1, 0, 1, true);
    x = sac_net_unary(net, SAC_OP_GELU, named(&n, part, "gelu"), x);
    x = sac_net_conv2d(net, named(&n, part, "mlp2"), x, PAPER_DIM, 1, 1, 0, 1, true);
    return sac_net_add(net, named(&n, part, "add2"), src, x);
}

static void build_paper(sac_net *net, const design *d, const sac_preprocess *p) {
    name n;
    int x = input(net, p);
    x = sac_net_conv2d(net, "stem.conv", x, 16, 7, 1, 3, 1, false);
    x = sac_net_batch_norm(net, "stem.norm", x);
    x = sac_net_unary(net, SAC_OP_RELU, "stem.relu", x);
    int64_t h = p->height, w = p->width;
    for (int i = 0; i < 4; i++) {
        char part[16];
        (void)snprintf(part, sizeof part, "down%d", i + 1);
        x = conv_norm_relu(net, part, NULL, x, (int64_t)32 << i, 2);
        h = (h + 1) / 2;
        w = (w + 1) / 2;
    }
    for (int i = 0; i < PAPER_BLOCKS; i++) x = transformer_block(net, i + 1, x, h, w);
    x = norm_channels(net, "final", x, h, w); // ours, see the header
    static const char *const parts[2] = {"head16", "head4"};
    for (int k = 0; k < 2; k++) {
        if ((d->heads >> k & 1) != 0)
            head(net, parts[k], sac_heads[k].output, x, 3, 64, sac_heads[k].side);
    }
    if ((d->heads >> 2 & 1) == 0) return;
    x = sac_net_pool(net, SAC_OP_MAX_POOL, "head1.pool", x, (const int64_t[]){1, 2, 2},
                     (const int64_t[]){1, 2, 2}, (const int64_t[]){0, 0, 0});
    x = sac_net_unary(net, SAC_OP_RELU, named(&n, "head1", "relu"), x);
    x = sac_net_dense(net, "head1.logit", x, 1, true);
    x = sac_net_reshape(net, "head1.cell", x, 3, (const int64_t[]){1, 1, 1});
    sac_net_output(net, sac_net_unary(net, SAC_OP_SIGMOID, "map1", x));
}

// ---- by name ------------------------------------------------------------------------------------

static sac_status arch_parse(design *d, const char *arch, sac_error *error) {
    const char *colon = strchr(arch, ':'), *end = colon != NULL ? colon : arch + strlen(arch);
    const char *star = memchr(arch, '*', (size_t)(end - arch));
    const size_t length = (size_t)((star != NULL ? star : end) - arch);
    const bool paper = length == strlen("paper") && strncmp(arch, "paper", length) == 0;
    char factor[32] = "1";
    *d = (design){.width = 1.0, .heads = SAC_HEADS_ALL};
    for (int i = 0; i < TINY_COUNT; i++) {
        if (strlen(tinies[i].name) == length && strncmp(arch, tinies[i].name, length) == 0)
            d->tiny = &tinies[i];
    }
    if (d->tiny == NULL && !paper) {
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "'%.64s' is not a known architecture; known: %s", arch,
                             sac_arch_names());
    }
    if (star != NULL && end - star <= (ptrdiff_t)sizeof factor)
        (void)snprintf(factor, sizeof factor, "%.*s", (int)(end - star - 1), star + 1);
    else if (star != NULL)
        factor[0] = '\0'; // no number is that long
    if (star != NULL &&
        (paper || !sac_number_real(factor, &d->width) || !(d->width >= 0.25 && d->width <= 8.0))) {
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "architecture '%.64s': expected NAME or, for the tiny family, NAME*X "
                             "with a factor X of 0.25..8 for the channel counts",
                             arch);
    }
    if (colon != NULL && !sac_heads_parse(&d->heads, colon + 1)) {
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "maps '%.40s': expected one to three of 16, 4 and 1 between commas, "
                             "each once",
                             colon + 1);
    }
    return SAC_OK;
}

sac_status sac_arch_preprocess(sac_preprocess *preprocess, const char *arch, sac_error *error) {
    sac_status status = SAC_OK;
    design d;
    *preprocess = sac_preprocess_default();
    SAC_TRY(arch_parse(&d, arch, error));
    if (d.tiny != NULL) {
        preprocess->width = d.tiny->width;
        preprocess->height = d.tiny->height;
        return SAC_OK;
    }
    preprocess->width = 640;
    preprocess->height = 360;
    preprocess->mean = 127.0;
    preprocess->scale = 128.0;
fail:
    return status;
}

sac_status sac_arch_build(sac_net **net, const char *arch, const sac_preprocess *preprocess,
                          sac_error *error) {
    sac_status status = SAC_OK;
    design d;
    *net = NULL;
    SAC_TRY(arch_parse(&d, arch, error));
    SAC_TRY(sac_preprocess_check(preprocess, SAC_ERROR_ARGUMENT, "preprocessing", error));
    SAC_TRY(sac_net_create(net));
    if (d.tiny != NULL) {
        build_tiny(*net, &d, preprocess);
    } else {
        build_paper(*net, &d, preprocess);
    }
    SAC_TRY(sac_net_check(*net, error));
    return SAC_OK;
fail:
    sac_net_close(net);
    return sac_error_set(error, status, -1, "architecture %s: %s", arch, sac_status_name(status));
}

void sac_arch_init(sac_model *model, sac_rng *rng) {
    sac_params_init(model->params, rng);
    // Weights [channels][3 frames][features][3][3].
    sac_param *fuse = sac_params_find(model->params, "fuse.conv.weight");
    const int join = sac_net_find(model->net, "fuse.frames");
    if (fuse == NULL || join < 0 || sac_net_node(model->net, join)->kind != SAC_OP_CONCAT) return;
    const int64_t rows = fuse->shape.dims[0], frame = fuse->count / rows / 3;
    static const float patterns[4][3] = {{0, 1, 0}, {-1, 0, 1}, {-1, 1, 0}, {0, -1, 1}};
    for (int64_t row = 0; row < rows; row++) {
        float *w = fuse->data + row * 3 * frame;
        for (int64_t i = 0; i < frame; i++) {
            const float value = w[i];
            for (int t = 0; t < 3; t++) w[t * frame + i] = value * patterns[row % 4][t];
        }
    }
}
