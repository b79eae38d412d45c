// Sections of a Darknet `.cfg` to nodes of a network. Sizes are followed layer by layer here, so
// that every error can name the line at fault; numbers of the weights file are counted on the way
// (nn/darknet_weights.c reads them).
#include "nn/darknet.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/check.h"
#include "core/file.h"
#include "core/memory.h"
#include "nn/darknet_cfg.h"

#define MOST_SIDE     16384
#define MOST_CHANNELS 65536
#define MOST_SOURCES  SAC_MAX_SRC

// Keys that any layer may have and that concern training alone.
#define TRAINING                                                                                   \
    "learning_rate onlyforward dont_update burnin_update stopbackward train_only_bn clip "         \
    "learning_rate_scale "

typedef struct layer {
    int node; // -1: yolo, which hands nothing on
    int64_t c, h, w;
} layer;

typedef struct importer {
    sac_darknet *d;
    const sac_cfg *cfg;
    sac_cfg_section *section; // being read
    int index;                // its layer
    layer *layers;            // [section count - 1]
    layer last;
    sac_error *error;
} importer;

static sac_status refuse(const importer *im, sac_status code, const char *key, const char *format,
                         ...) __attribute__((format(printf, 4, 5)));
static sac_status refuse(const importer *im, sac_status code, const char *key, const char *format,
                         ...) {
    char text[512];
    const int64_t line = key != NULL ? sac_cfg_line(im->section, key) : im->section->line;
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    return sac_error_set(im->error, code, line, "%s: line %" PRId64 ": [%.40s] %s", im->cfg->file,
                         line, im->section->name, text);
}

static sac_status get_int(const importer *im, const char *key, int64_t otherwise, int64_t lo,
                          int64_t hi, int64_t *value) {
    return sac_cfg_int(im->cfg, im->section, key, otherwise, lo, hi, value, im->error);
}

// Keys that change the result in ways that are not implemented: absent or of the value that changes
// nothing.
static sac_status require_plain(const importer *im, const char *const *keys, int count,
                                double plain) {
    for (int i = 0; i < count; i++) {
        double value = 0;
        const sac_status status =
            sac_cfg_real(im->cfg, im->section, keys[i], plain, -1e9, 1e9, &value, im->error);
        if (status < 0) return status;
        if (value != plain) {
            return refuse(im, SAC_ERROR_UNSUPPORTED, keys[i], "%s=%g is not supported, only %g",
                          keys[i], value, plain);
        }
    }
    return SAC_OK;
}

#define COUNT(array) (int)(sizeof(array) / sizeof *(array))

// A node of this layer, named "12.<what>".
static int add_node(importer *im, sac_op_kind kind, const char *what, const sac_attrs *attrs,
                    const int *src, int count) {
    char name[64];
    (void)snprintf(name, sizeof name, "%d.%s", im->index, what);
    return sac_net_add_node(im->d->net, kind, name, attrs, src, count);
}

static int add_unary(importer *im, sac_op_kind kind, const char *what, const sac_attrs *attrs,
                     int src) {
    return add_node(im, kind, what, attrs, &src, 1);
}

static sac_status activate(importer *im, const char *otherwise) {
    static const struct {
        const char *name;
        sac_op_kind kind; // SAC_OP_INPUT: none
        sac_attrs attrs;
    } known[] = {
        {"linear", SAC_OP_INPUT, {0}},     {"leaky", SAC_OP_LEAKY_RELU, {.alpha = 0.1}},
        {"relu", SAC_OP_RELU, {0}},        {"relu6", SAC_OP_CLIP, {.alpha = 0, .beta = 6}},
        {"mish", SAC_OP_MISH, {0}},        {"swish", SAC_OP_SWISH, {.alpha = 1}},
        {"logistic", SAC_OP_SIGMOID, {0}},
    };
    const char *name = NULL;
    const sac_status status =
        sac_cfg_text(im->cfg, im->section, "activation", otherwise, &name, im->error);
    if (status < 0) return status;
    for (int i = 0; i < COUNT(known); i++) {
        if (strcmp(name, known[i].name) != 0) continue;
        if (known[i].kind != SAC_OP_INPUT) {
            im->last.node = add_unary(im, known[i].kind, "act", &known[i].attrs, im->last.node);
        }
        return SAC_OK;
    }
    return refuse(
        im, SAC_ERROR_UNSUPPORTED, "activation",
        "activation '%.40s' is not supported (linear leaky relu relu6 mish swish logistic)", name);
}

static sac_status add_slot(importer *im, bool connected, bool normalized, int64_t outputs,
                           int64_t weights) {
    sac_darknet *d = im->d;
    d->slots[d->slot_count++] = (sac_darknet_slot){.layer = im->index,
                                                   .line = im->section->line,
                                                   .connected = connected,
                                                   .normalized = normalized,
                                                   .outputs = outputs,
                                                   .weights = weights};
    int64_t total = outputs * (normalized ? 4 : 1);
    if (!sac_add(total, weights, &total) || !sac_add(d->weight_count, total, &d->weight_count)) {
        return refuse(im, SAC_ERROR_FORMAT, NULL, "has more weights than can be counted");
    }
    return SAC_OK;
}

static sac_status need_source(const importer *im) {
    if (im->last.node >= 0) return SAC_OK;
    return refuse(im, SAC_ERROR_FORMAT, NULL,
                  "follows a [yolo] section, which hands nothing on; expected a [route] first");
}

// The layer a number in `from` or `layers` means: from the start, or negative from here.
static sac_status find_layer(const importer *im, const char *key, int64_t number, layer *found) {
    const int64_t index = number < 0 ? im->index + number : number;
    if (index < 0 || index >= im->index) {
        return refuse(im, SAC_ERROR_FORMAT, key,
                      "%s names layer %" PRId64 ", expected 0 to %d (this is layer %d)", key, index,
                      im->index - 1, im->index);
    }
    *found = im->layers[index];
    if (found->node < 0) {
        return refuse(im, SAC_ERROR_UNSUPPORTED, key,
                      "%s names layer %" PRId64 ", a yolo layer, which hands nothing on", key,
                      index);
    }
    return SAC_OK;
}

// Output cells of a window; Darknet rounds down.
static int64_t cells(int64_t size, int64_t padding, int64_t kernel, int64_t stride) {
    return size + padding < kernel ? 0 : (size + padding - kernel) / stride + 1;
}

static sac_status read_strides(const importer *im, int64_t *x, int64_t *y, int64_t *stride) {
    sac_status status = SAC_OK;
    SAC_TRY(get_int(im, "stride", 1, 1, 1024, stride));
    SAC_TRY(get_int(im, "stride_x", *stride, 1, 1024, x));
    SAC_TRY(get_int(im, "stride_y", *stride, 1, 1024, y));
fail:
    return status;
}

static sac_status read_convolutional(importer *im) {
    sac_status status = SAC_OK;
    static const char *const zero[] = {
        "antialiasing", "binary",         "xnor",      "bin_output",          "flipped",
        "sway",         "rotate",         "stretch",   "stretch_sway",        "deform",
        "dontload",     "dontloadscales", "coordconv", "assisted_excitation", "reverse"};
    int64_t filters, groups, size, sx, sy, stride, dilation, pad, padding, norm, cbn;
    SAC_TRY(need_source(im));
    SAC_TRY(require_plain(im, zero, COUNT(zero), 0));
    SAC_TRY(get_int(im, "filters", 1, 1, MOST_CHANNELS, &filters));
    SAC_TRY(get_int(im, "groups", 1, 1, MOST_CHANNELS, &groups));
    SAC_TRY(get_int(im, "size", 1, 1, 1024, &size));
    SAC_TRY(read_strides(im, &sx, &sy, &stride));
    SAC_TRY(get_int(im, "dilation", 1, 1, 1024, &dilation));
    SAC_TRY(get_int(im, "pad", 0, 0, 1, &pad));
    SAC_TRY(get_int(im, "padding", 0, 0, 1024, &padding));
    SAC_TRY(get_int(im, "batch_normalize", 0, 0, 2, &norm));
    SAC_TRY(get_int(im, "cbn", 0, 0, 1, &cbn));
    if (size == 1) dilation = 1;
    if (pad != 0) padding = size / 2;
    layer *l = &im->last;
    if (l->c % groups != 0 || filters % groups != 0) {
        return refuse(im, SAC_ERROR_FORMAT, "groups",
                      "groups=%" PRId64 " does not divide %" PRId64 " input channels and %" PRId64
                      " filters",
                      groups, l->c, filters);
    }
    const int64_t h = cells(l->h, 2 * padding, size, sy), w = cells(l->w, 2 * padding, size, sx);
    if (h < 1 || w < 1) {
        return refuse(im, SAC_ERROR_FORMAT, "size",
                      "size=%" PRId64 " is larger than its padded input, %" PRId64 "x%" PRId64,
                      size, l->w + 2 * padding, l->h + 2 * padding);
    }
    // Darknet dilates the padding too and leaves dilation out of the output size, which only then
    // agree.
    const int64_t reach = dilation * (size - 1) + 1, border = dilation * padding;
    if (cells(l->h, 2 * border, reach, sy) != h || cells(l->w, 2 * border, reach, sx) != w ||
        border > 1024) {
        return refuse(im, SAC_ERROR_UNSUPPORTED, "dilation",
                      "dilation=%" PRId64 " with size=%" PRId64 " and padding %" PRId64
                      " is not supported",
                      dilation, size, padding);
    }
    const bool normalized = norm != 0 || cbn != 0;
    const sac_attrs attrs = {.channels = filters,
                             .kernel = {1, size, size},
                             .stride = {1, sy, sx},
                             .pad = {0, border, border},
                             .dilation = {0, dilation - 1, dilation - 1},
                             .groups = groups,
                             .bias = !normalized};
    int64_t weights = 0;
    if (!sac_mul(l->c / groups * filters, size * size, &weights)) weights = INT64_MAX;
    SAC_TRY(add_slot(im, false, normalized, filters, weights));
    l->node = add_unary(im, SAC_OP_CONV, "conv", &attrs, l->node);
    l->c = filters;
    l->h = h;
    l->w = w;
    if (normalized) {
        const sac_attrs norms = {.epsilon = 1e-5, .momentum = 0.1};
        l->node = add_unary(im, SAC_OP_BATCH_NORM, "norm", &norms, l->node);
    }
    SAC_TRY(activate(im, "logistic"));
    SAC_TRY(sac_cfg_check_used(im->cfg, im->section,
                               TRAINING "angle dot stream wait_stream grad_centr", im->error));
fail:
    return status;
}

static sac_status read_connected(importer *im) {
    sac_status status = SAC_OK;
    static const char *const zero[] = {"dontload", "dontloadscales"};
    int64_t output, norm, inputs, weights = 0;
    layer *l = &im->last;
    SAC_TRY(need_source(im));
    SAC_TRY(require_plain(im, zero, COUNT(zero), 0));
    SAC_TRY(get_int(im, "output", 1, 1, MOST_CHANNELS, &output));
    SAC_TRY(get_int(im, "batch_normalize", 0, 0, 1, &norm));
    if (!sac_mul(l->c * l->h, l->w, &inputs) || !sac_mul(inputs, output, &weights)) {
        weights = INT64_MAX;
    }
    SAC_TRY(add_slot(im, true, norm != 0, output, weights));
    const sac_attrs attrs = {.channels = output, .bias = norm == 0};
    l->node = add_unary(im, SAC_OP_DENSE, "dense", &attrs, l->node);
    if (norm != 0) {
        const sac_attrs norms = {.epsilon = 1e-5, .momentum = 0.1};
        l->node = add_unary(im, SAC_OP_BATCH_NORM, "norm", &norms, l->node);
    }
    SAC_TRY(activate(im, "logistic"));
    // Darknet goes on with a picture of one pixel.
    const sac_attrs shape = {.ndims = 3, .dims = {output, 1, 1}};
    *l = (layer){.node = add_unary(im, SAC_OP_RESHAPE, "shape", &shape, l->node),
                 .c = output,
                 .h = 1,
                 .w = 1};
    SAC_TRY(sac_cfg_check_used(im->cfg, im->section, TRAINING, im->error));
fail:
    return status;
}

// Brings the layer `from` to the size of the last one as Darknet adds it: every stride-th row and
// column, and of the channels those that both have. *whole: nothing was left out, so that it adds
// to all channels. Deviation: Darknet also spreads a smaller picture over a larger one; no
// published network does.
static sac_status fit_shortcut(importer *im, layer *from, int position) {
    const layer *l = &im->last;
    char what[32];
    if (from->w != l->w || from->h != l->h) {
        const int64_t stride = from->w / l->w;
        if (stride < 1 || from->w != stride * l->w || from->h != stride * l->h) {
            return refuse(im, SAC_ERROR_UNSUPPORTED, "from",
                          "a layer of %" PRId64 "x%" PRId64 " cannot be added to one of %" PRId64
                          "x%" PRId64 ", expected the same size or a multiple of it",
                          from->w, from->h, l->w, l->h);
        }
        const sac_attrs thin = {.kernel = {1, 1, 1}, .stride = {1, stride, stride}};
        (void)snprintf(what, sizeof what, "thin%d", position);
        from->node = add_unary(im, SAC_OP_MAX_POOL, what, &thin, from->node);
    }
    if (from->c > l->c) {
        const sac_attrs first = {.axis = 1, .begin = 0, .length = l->c, .step = 1};
        (void)snprintf(what, sizeof what, "first%d", position);
        from->node = add_unary(im, SAC_OP_SLICE, what, &first, from->node);
        from->c = l->c;
    }
    return SAC_OK;
}

static sac_status read_shortcut(importer *im) {
    sac_status status = SAC_OK;
    static const char *const one[] = {"alpha", "beta"};
    int64_t from[MOST_SOURCES - 1];
    int count = 0;
    const char *type = NULL;
    layer *l = &im->last;
    SAC_TRY(need_source(im));
    SAC_TRY(sac_cfg_ints(im->cfg, im->section, "from", -100000, 100000, from, COUNT(from), &count,
                         im->error));
    if (count == 0) return refuse(im, SAC_ERROR_FORMAT, NULL, "has no key from");
    SAC_TRY(sac_cfg_text(im->cfg, im->section, "weights_type", "none", &type, im->error));
    if (strcmp(type, "none") != 0) {
        return refuse(im, SAC_ERROR_UNSUPPORTED, "weights_type",
                      "weights_type=%.40s is not supported", type);
    }
    SAC_TRY(require_plain(im, one, COUNT(one), 1));
    int whole[MOST_SOURCES] = {l->node}, whole_count = 1;
    for (int i = 0; i < count; i++) {
        layer source = {0};
        SAC_TRY(find_layer(im, "from", from[i], &source));
        SAC_TRY(fit_shortcut(im, &source, i));
        if (source.c == l->c) {
            whole[whole_count++] = source.node;
            continue;
        }
        if (count > 1) {
            return refuse(im, SAC_ERROR_UNSUPPORTED, "from",
                          "several layers of different channels (%" PRId64 " and %" PRId64
                          ") are not supported",
                          source.c, l->c);
        }
        // The source has fewer channels: they are added to the first ones, the others pass.
        const sac_attrs head = {.axis = 1, .begin = 0, .length = source.c, .step = 1};
        const sac_attrs tail = {.axis = 1, .begin = source.c, .length = l->c - source.c, .step = 1};
        const int both[2] = {add_unary(im, SAC_OP_SLICE, "head", &head, l->node), source.node};
        const int parts[2] = {add_node(im, SAC_OP_ADD, "add", NULL, both, 2),
                              add_unary(im, SAC_OP_SLICE, "tail", &tail, l->node)};
        const sac_attrs channels = {.axis = 1};
        l->node = add_node(im, SAC_OP_CONCAT, "concat", &channels, parts, 2);
    }
    if (whole_count > 1) l->node = add_node(im, SAC_OP_ADD, "add", NULL, whole, whole_count);
    SAC_TRY(activate(im, "linear"));
    SAC_TRY(sac_cfg_check_used(im->cfg, im->section,
                               TRAINING "weights_normalizion weights_normalization", im->error));
fail:
    return status;
}

static sac_status read_route(importer *im) {
    sac_status status = SAC_OK;
    int64_t numbers[MOST_SOURCES], groups, group;
    int count = 0, src[MOST_SOURCES];
    layer joined = {0};
    SAC_TRY(sac_cfg_ints(im->cfg, im->section, "layers", -100000, 100000, numbers, COUNT(numbers),
                         &count, im->error));
    if (count == 0) return refuse(im, SAC_ERROR_FORMAT, NULL, "has no key layers");
    SAC_TRY(get_int(im, "groups", 1, 1, MOST_CHANNELS, &groups));
    SAC_TRY(get_int(im, "group_id", 0, 0, groups - 1, &group));
    for (int i = 0; i < count; i++) {
        layer source = {0};
        SAC_TRY(find_layer(im, "layers", numbers[i], &source));
        if (i == 0) joined = (layer){.h = source.h, .w = source.w};
        if (source.h != joined.h || source.w != joined.w) {
            return refuse(im, SAC_ERROR_FORMAT, "layers",
                          "joins layers of different sizes, %" PRId64 "x%" PRId64 " and %" PRId64
                          "x%" PRId64 "; is the network's input a multiple of 32 px?",
                          joined.w, joined.h, source.w, source.h);
        }
        if (source.c % groups != 0) {
            return refuse(im, SAC_ERROR_FORMAT, "groups",
                          "groups=%" PRId64 " does not divide %" PRId64 " channels", groups,
                          source.c);
        }
        if (groups > 1) {
            char what[32];
            const int64_t length = source.c / groups;
            const sac_attrs part = {
                .axis = 1, .begin = group * length, .length = length, .step = 1};
            (void)snprintf(what, sizeof what, "part%d", i);
            source.node = add_unary(im, SAC_OP_SLICE, what, &part, source.node);
            source.c = length;
        }
        src[i] = source.node;
        joined.c += source.c;
    }
    if (joined.c > MOST_CHANNELS) {
        return refuse(im, SAC_ERROR_FORMAT, "layers",
                      "joins %" PRId64 " channels, expected at most %d", joined.c, MOST_CHANNELS);
    }
    const sac_attrs channels = {.axis = 1};
    joined.node =
        count == 1 ? src[0] : add_node(im, SAC_OP_CONCAT, "concat", &channels, src, count);
    im->last = joined;
    SAC_TRY(sac_cfg_check_used(im->cfg, im->section, TRAINING, im->error));
fail:
    return status;
}

static sac_status read_upsample(importer *im) {
    sac_status status = SAC_OK;
    static const char *const one[] = {"scale"};
    int64_t stride;
    layer *l = &im->last;
    SAC_TRY(need_source(im));
    SAC_TRY(get_int(im, "stride", 2, 1, 64, &stride));
    SAC_TRY(require_plain(im, one, COUNT(one), 1));
    if (l->h * stride > 4 * MOST_SIDE || l->w * stride > 4 * MOST_SIDE) {
        return refuse(im, SAC_ERROR_FORMAT, "stride", "makes a picture larger than %d px",
                      4 * MOST_SIDE);
    }
    const sac_attrs attrs = {.size = {1, stride, stride}};
    l->node = add_unary(im, SAC_OP_UPSAMPLE, "upsample", &attrs, l->node);
    l->h *= stride;
    l->w *= stride;
    SAC_TRY(sac_cfg_check_used(im->cfg, im->section, TRAINING, im->error));
fail:
    return status;
}

// Darknet's padding is the sum of both sides, the smaller half in front, and defaults to size - 1;
// cells outside count as minus infinity. What lies behind the last window is not padded here, which
// changes nothing.
static sac_status read_maxpool(importer *im) {
    sac_status status = SAC_OK;
    static const char *const zero[] = {"maxpool_depth", "antialiasing"};
    int64_t size, sx, sy, stride, padding;
    layer *l = &im->last;
    SAC_TRY(need_source(im));
    SAC_TRY(require_plain(im, zero, COUNT(zero), 0));
    SAC_TRY(read_strides(im, &sx, &sy, &stride));
    SAC_TRY(get_int(im, "size", stride, 1, 1024, &size));
    SAC_TRY(get_int(im, "padding", size - 1, 0, 2048, &padding));
    const int64_t front = padding / 2, back = padding - front;
    const int64_t h = cells(l->h, padding, size, sy), w = cells(l->w, padding, size, sx);
    if (h < 1 || w < 1 || back >= size) {
        return refuse(im, SAC_ERROR_FORMAT, "size",
                      "size=%" PRId64 " and padding=%" PRId64 " do not fit an input of %" PRId64
                      "x%" PRId64,
                      size, padding, l->w, l->h);
    }
    const int64_t over_h = (h - 1) * sy + size - front - l->h;
    const int64_t over_w = (w - 1) * sx + size - front - l->w;
    const sac_attrs attrs = {
        .kernel = {1, size, size},
        .stride = {1, sy, sx},
        .pad = {0, front, front},
        .pad_extra = {0, over_h > front ? over_h - front : 0, over_w > front ? over_w - front : 0}};
    l->node = add_unary(im, SAC_OP_MAX_POOL, "pool", &attrs, l->node);
    l->h = h;
    l->w = w;
    SAC_TRY(sac_cfg_check_used(im->cfg, im->section, TRAINING "out_channels", im->error));
fail:
    return status;
}

static sac_status read_avgpool(importer *im) {
    sac_status status = SAC_OK;
    layer *l = &im->last;
    SAC_TRY(need_source(im));
    const sac_attrs attrs = {.size = {1, 1, 1}};
    l->node = add_unary(im, SAC_OP_ADAPTIVE_AVG_POOL, "mean", &attrs, l->node);
    l->h = l->w = 1;
    SAC_TRY(sac_cfg_check_used(im->cfg, im->section, TRAINING, im->error));
fail:
    return status;
}

static sac_status read_softmax(importer *im) {
    sac_status status = SAC_OK;
    int64_t groups, spatial;
    double temperature = 1;
    layer *l = &im->last;
    SAC_TRY(need_source(im));
    SAC_TRY(get_int(im, "groups", 1, 1, MOST_CHANNELS, &groups));
    SAC_TRY(get_int(im, "spatial", 0, 0, 1, &spatial));
    SAC_TRY(
        sac_cfg_real(im->cfg, im->section, "temperature", 1, 1e-3, 1e3, &temperature, im->error));
    const int64_t inputs = l->c * l->h * l->w;
    if (inputs % groups != 0) {
        return refuse(im, SAC_ERROR_FORMAT, "groups",
                      "groups=%" PRId64 " does not divide %" PRId64 " values", groups, inputs);
    }
    if (temperature != 1) {
        const sac_attrs scale = {.alpha = 1 / temperature};
        l->node = add_unary(im, SAC_OP_LINEAR, "scale", &scale, l->node);
    }
    const bool channels = spatial != 0 || (groups == 1 && l->h == 1 && l->w == 1);
    if (!channels) {
        const sac_attrs rows = {.ndims = 2, .dims = {groups, inputs / groups}};
        l->node = add_unary(im, SAC_OP_RESHAPE, "rows", &rows, l->node);
    }
    const sac_attrs attrs = {.axis = channels ? 1 : 2};
    l->node = add_unary(im, SAC_OP_SOFTMAX, "softmax", &attrs, l->node);
    if (!channels) {
        const sac_attrs shape = {.ndims = 3, .dims = {l->c, l->h, l->w}};
        l->node = add_unary(im, SAC_OP_RESHAPE, "shape", &shape, l->node);
    }
    SAC_TRY(sac_cfg_check_used(im->cfg, im->section, TRAINING "noloss", im->error));
fail:
    return status;
}

static sac_status read_identity(importer *im) {
    const sac_status status = need_source(im);
    if (status < 0) return status;
    return sac_cfg_check_used(im->cfg, im->section,
                              TRAINING "probability dropblock dropblock_size_rel "
                                       "dropblock_size_abs type scale ratio",
                              im->error);
}

static sac_status read_yolo(importer *im) {
    sac_status status = SAC_OK;
    int64_t mask[SAC_DARKNET_MAX_ANCHORS], classes, num, new_coords;
    double anchors[2 * SAC_DARKNET_MAX_ANCHORS];
    int mask_count = 0, anchor_count = 0;
    sac_darknet *d = im->d;
    layer *l = &im->last;
    SAC_TRY(need_source(im));
    if (d->head_count == SAC_DARKNET_MAX_HEADS) {
        return refuse(im, SAC_ERROR_UNSUPPORTED, NULL, "is one of more than %d",
                      SAC_DARKNET_MAX_HEADS);
    }
    sac_darknet_head *head = &d->heads[d->head_count];
    SAC_TRY(get_int(im, "classes", 20, 1, MOST_CHANNELS, &classes));
    SAC_TRY(get_int(im, "num", 1, 1, SAC_DARKNET_MAX_ANCHORS, &num));
    SAC_TRY(sac_cfg_ints(im->cfg, im->section, "mask", 0, num - 1, mask, COUNT(mask), &mask_count,
                         im->error));
    SAC_TRY(sac_cfg_reals(im->cfg, im->section, "anchors", 0.001, 1e5, anchors, COUNT(anchors),
                          &anchor_count, im->error));
    SAC_TRY(
        sac_cfg_real(im->cfg, im->section, "scale_x_y", 1, 0.5, 4, &head->scale_x_y, im->error));
    SAC_TRY(get_int(im, "new_coords", 0, 0, 1, &new_coords));
    if (mask_count == 0) { // all anchors
        mask_count = (int)num;
        for (int i = 0; i < mask_count; i++) mask[i] = i;
    }
    // Darknet ignores surplus anchors and would make missing ones up.
    if (anchor_count % 2 != 0 || anchor_count < 2 * num) {
        return refuse(im, SAC_ERROR_FORMAT, "anchors",
                      "has %d anchor numbers, expected %" PRId64 " (two for each of num=%" PRId64
                      ")",
                      anchor_count, 2 * num, num);
    }
    if (l->c != mask_count * (5 + classes)) {
        return refuse(im, SAC_ERROR_FORMAT, NULL,
                      "needs %" PRId64 " channels (%d anchors, 5 + %" PRId64
                      " values each), the layer before it has %" PRId64,
                      mask_count * (5 + classes), mask_count, classes, l->c);
    }
    head->line = im->section->line;
    head->grid_w = l->w;
    head->grid_h = l->h;
    head->anchors = mask_count;
    head->classes = (int)classes;
    head->new_coords = new_coords != 0;
    for (int i = 0; i < mask_count; i++) {
        head->anchor_w[i] = anchors[2 * mask[i]];
        head->anchor_h[i] = anchors[2 * mask[i] + 1];
    }
    if (d->head_count > 0 && head->classes != d->heads[0].classes) {
        return refuse(im, SAC_ERROR_FORMAT, "classes", "classes=%d, the first [yolo] has %d",
                      head->classes, d->heads[0].classes);
    }
    if (l->node >= 0 && sac_net_is_output(d->net, l->node)) {
        return refuse(im, SAC_ERROR_UNSUPPORTED, NULL, "reads the same layer as another [yolo]");
    }
    sac_net_output(d->net, l->node);
    head->output = sac_net_node(d->net, l->node)->name;
    d->head_count++;
    l->node = -1;
    SAC_TRY(sac_cfg_check_used(
        im->cfg, im->section,
        TRAINING "jitter ignore_thresh truth_thresh iou_thresh random max counters_per_class "
                 "label_smooth_eps objectness_smooth max_delta iou_normalizer cls_normalizer "
                 "obj_normalizer delta_normalizer iou_loss iou_thresh_kind beta_nms nms_kind "
                 "focal_loss resize track_history_size dets_for_track dets_for_show "
                 "track_ciou_norm sim_thresh show_details",
        im->error));
fail:
    return status;
}

static const struct {
    const char *name;
    sac_status (*read)(importer *im);
} SECTIONS[] = {
    {"convolutional", read_convolutional},
    {"conv", read_convolutional},
    {"shortcut", read_shortcut},
    {"route", read_route},
    {"upsample", read_upsample},
    {"maxpool", read_maxpool},
    {"max", read_maxpool},
    {"avgpool", read_avgpool},
    {"avg", read_avgpool},
    {"dropout", read_identity},
    {"cost", read_identity},
    {"softmax", read_softmax},
    {"soft", read_softmax},
    {"connected", read_connected},
    {"conn", read_connected},
    {"yolo", read_yolo},
};

static sac_status read_net(importer *im, int64_t width, int64_t height) {
    sac_status status = SAC_OK;
    static const char *const one[] = {"time_steps"};
    sac_darknet *d = im->d;
    if (strcmp(im->section->name, "net") != 0 && strcmp(im->section->name, "network") != 0) {
        return refuse(im, SAC_ERROR_FORMAT, NULL, "stands first, expected [net]");
    }
    SAC_TRY(get_int(im, "width", 0, 0, MOST_SIDE, &d->width));
    SAC_TRY(get_int(im, "height", 0, 0, MOST_SIDE, &d->height));
    SAC_TRY(get_int(im, "channels", 3, 1, 4, &d->channels));
    SAC_TRY(require_plain(im, one, COUNT(one), 1));
    if (width > 0) d->width = width;
    if (height > 0) d->height = height;
    if (d->width < 1 || d->height < 1) {
        return refuse(im, SAC_ERROR_FORMAT, NULL, "gives no width and height, expected 1 to %d",
                      MOST_SIDE);
    }
    const int64_t dims[3] = {d->channels, d->height, d->width};
    im->last = (layer){.node = sac_net_input(d->net, SAC_DARKNET_INPUT, 3, dims),
                       .c = d->channels,
                       .h = d->height,
                       .w = d->width};
    // All of these concern training, augmentation or memory; letterboxing is the caller's choice.
    SAC_TRY(sac_cfg_check_used(
        im->cfg, im->section,
        "batch subdivisions inputs momentum decay angle saturation exposure hue aspect flip blur "
        "gaussian_noise mixup cutmix mosaic mosaic_bound contrastive contrastive_jit_flip "
        "contrastive_color unsupervised letter_box label_smooth_eps resize_step learning_rate "
        "learning_rate_min sgdr_cycle sgdr_mult burn_in max_batches policy steps scales seq_scales "
        "step scale gamma power max_crop min_crop crop center optimized_memory "
        "workspace_size_limit_MB adam B1 B2 eps track augment_speed sequential_subdivisions "
        "try_fix_nan loss_scale dynamic_minibatch ema_alpha max_chart_loss "
        "num_sigmas_reject_badlabels badlabels_rejection_percentage badlabels_reject_threshold "
        "equidistant_point use_cuda_graph show_receptive_field weights_reject_freq "
        "init_sequential_subdivisions",
        im->error));
fail:
    return status;
}

static sac_status read_layer(importer *im) {
    for (int i = 0; i < COUNT(SECTIONS); i++) {
        if (strcmp(im->section->name, SECTIONS[i].name) == 0) return SECTIONS[i].read(im);
    }
    return sac_error_set(im->error, SAC_ERROR_UNSUPPORTED, im->section->line,
                         "%s: line %" PRId64 ": section [%.40s] is not supported", im->cfg->file,
                         im->section->line, im->section->name);
}

// A builder of the network failed: its first error explains the negative node.
static sac_status check_built(const importer *im) {
    if (im->last.node >= 0 || strcmp(im->section->name, "yolo") == 0) return SAC_OK;
    sac_error why = {0};
    const sac_status status = sac_net_check(im->d->net, &why);
    return refuse(im, status == SAC_ERROR_MEMORY ? status : SAC_ERROR_FORMAT, NULL,
                  "cannot be built: %.300s", why.message);
}

// The network says the same about its sizes as we do, or one of us is wrong.
static sac_status check_shapes(const importer *im) {
    sac_status status = SAC_OK;
    const sac_darknet *d = im->d;
    sac_error why = {0};
    sac_shape *shapes = NULL;
    status = sac_net_check(d->net, &why);
    if (status == SAC_OK) {
        SAC_TRY_ALLOC(shapes = sac_calloc(sac_net_count(d->net), sizeof *shapes));
        status = sac_net_shapes(d->net, 1, shapes, &why);
    }
    if (status < 0) {
        status = sac_error_set(im->error, status == SAC_ERROR_MEMORY ? status : SAC_ERROR_FORMAT,
                               -1, "%s: %s", im->cfg->file, why.message);
        goto fail;
    }
    for (int i = 0; i < d->layer_count; i++) {
        const layer *l = &im->layers[i];
        if (l->node < 0) continue;
        const sac_shape *s = &shapes[l->node];
        if (s->ndims != 4 || s->dims[1] != l->c || s->dims[2] != l->h || s->dims[3] != l->w) {
            status = sac_error_set(im->error, SAC_ERROR_FORMAT, -1,
                                   "%s: layer %d has another size than its operator gives",
                                   im->cfg->file, i);
            goto fail;
        }
    }
fail:
    sac_free(shapes);
    return status;
}

sac_status sac_darknet_parse(sac_darknet **out, const void *text, size_t size, const char *file,
                             int64_t width, int64_t height, sac_error *error) {
    sac_status status = SAC_OK;
    sac_cfg *cfg = NULL;
    importer im = {.error = error};
    *out = NULL;
    if (width < 0 || width > MOST_SIDE || height < 0 || height > MOST_SIDE) {
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "%s: input size %" PRId64 "x%" PRId64 ", expected 1 to %d px, or 0",
                             file, width, height, MOST_SIDE);
    }
    sac_darknet *d = im.d = sac_calloc(1, sizeof *d);
    SAC_TRY_ALLOC(d);
    SAC_TRY(sac_cfg_parse(&cfg, text, size, file, error));
    if (cfg->count < 2) {
        status = sac_error_set(error, SAC_ERROR_FORMAT, -1,
                               "%s: expected [net] and layers, found %" PRId64 " sections", file,
                               cfg->count);
        goto fail;
    }
    const int count = (int)cfg->count - 1;
    im.cfg = cfg;
    SAC_TRY(sac_net_create(&d->net));
    SAC_TRY_ALLOC(im.layers = sac_calloc(count, sizeof *im.layers));
    SAC_TRY_ALLOC(d->layers = sac_calloc(count, sizeof *d->layers));
    SAC_TRY_ALLOC(d->slots = sac_calloc(count, sizeof *d->slots));
    im.section = &cfg->sections[0];
    SAC_TRY(read_net(&im, width, height));
    SAC_TRY(check_built(&im));
    d->stride = 1;
    for (im.index = 0; im.index < count; im.index++) {
        im.section = &cfg->sections[im.index + 1];
        SAC_TRY(read_layer(&im));
        SAC_TRY(check_built(&im));
        if (im.last.node >= 0) {
            const int64_t x = d->width / im.last.w, y = d->height / im.last.h;
            d->stride = x > d->stride ? x : d->stride;
            d->stride = y > d->stride ? y : d->stride;
        }
        im.layers[im.index] = im.last;
        d->layers[im.index] = im.last.node;
        d->layer_count++;
    }
    if (d->head_count == 0) {
        sac_net_output(d->net, im.last.node);
        d->output = sac_net_node(d->net, im.last.node)->name;
    }
    SAC_TRY(check_shapes(&im));
    sac_cfg_close(&cfg);
    sac_free(im.layers);
    // Nodes may have moved while the list grew, their names have not.
    *out = d;
    return SAC_OK;
fail:
    sac_cfg_close(&cfg);
    sac_free(im.layers);
    sac_darknet_close(&d);
    return sac_error_set(error, status, -1, "%s: no memory to read it", file);
}

sac_status sac_darknet_read(sac_darknet **darknet, const char *path, int64_t width, int64_t height,
                            sac_error *error) {
    uint8_t *bytes = NULL;
    size_t size = 0;
    *darknet = NULL;
    sac_status status = sac_file_read(&bytes, &size, path, (size_t)4 << 20, error);
    if (status == SAC_OK) {
        status = sac_darknet_parse(darknet, bytes, size, path, width, height, error);
    }
    sac_free(bytes);
    return status;
}

int64_t sac_darknet_macs(const sac_darknet *darknet) {
    int64_t total = 0;
    for (int i = 0; i < sac_net_count(darknet->net); i++) total += sac_net_macs(darknet->net, i);
    return total;
}

void sac_darknet_close(sac_darknet **slot) {
    if (slot == NULL || *slot == NULL) return;
    sac_net_close(&(*slot)->net);
    sac_params_close(&(*slot)->params);
    sac_free((*slot)->layers);
    sac_free((*slot)->slots);
    sac_free(*slot);
    *slot = NULL;
}
