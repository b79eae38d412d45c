// YOLOX outputs to boxes, and an ONNX network behind the face of a detection network.
#include "teachers/detect_onnx.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/check.h"
#include "core/file.h"
#include "core/memory.h"
#include "nn/infer.h"
#include "nn/onnx.h"

#define MOST_BATCH   64
#define MOST_BYTES   ((size_t)1 << 30)
#define MOST_CLASSES 65536
#define OPEN_SIZE    416 // of the published networks, for files that leave it open

typedef struct yolox {
    uint8_t *file; // to build the network again for another input size; NULL: fixed
    size_t file_size;
    char *path, *input, *output; // names of the nodes
    sac_plan_options options;
    sac_infer *infer;
    int64_t width, height, cells;
    int classes, levels;
} yolox;

int64_t sac_yolox_cells(int64_t width, int64_t height, int levels) {
    int64_t cells = 0;
    for (int l = 0; l < levels; l++) cells += (width >> (3 + l)) * (height >> (3 + l));
    return cells;
}

static sac_status decode_cell(sac_box_list *boxes, const float *t, int classes, double i, double j,
                              double stride, double least) {
    const double object = (double)t[4];
    if (!(object >= least)) return SAC_OK; // no product with a probability reaches it
    const double x = (i + (double)t[0]) * stride, y = (j + (double)t[1]) * stride;
    const double w = exp((double)t[2]) * stride, h = exp((double)t[3]) * stride;
    sac_box box = {.x1 = (float)(x - w / 2),
                   .y1 = (float)(y - h / 2),
                   .x2 = (float)(x + w / 2),
                   .y2 = (float)(y + h / 2)};
    const bool sized = isfinite(box.x1) && isfinite(box.y1) && isfinite(box.x2) &&
                       isfinite(box.y2) && box.x1 < box.x2 && box.y1 < box.y2;
    if (!sized) return SAC_OK;
    for (int c = 0; c < classes; c++) {
        const double confidence = object * (double)t[5 + c];
        if (!(confidence >= least) || !(confidence > 0)) continue;
        box.confidence = (float)fmin(confidence, 1);
        box.class_id = c;
        const sac_status status = sac_box_list_add(boxes, &box);
        if (status < 0) return status;
    }
    return SAC_OK;
}

sac_status sac_yolox_decode(sac_box_list *boxes, const float *values, int classes, int64_t width,
                            int64_t height, int levels, double min_confidence) {
    const int64_t row = 5 + classes, cells = sac_yolox_cells(width, height, levels);
    for (int64_t i = 0; i < cells * row; i++) {
        if (!isfinite(values[i])) return SAC_ERROR_NUMERIC;
    }
    for (int l = 0; l < levels; l++) {
        const int64_t stride = INT64_C(8) << l;
        for (int64_t j = 0; j < height / stride; j++) {
            for (int64_t i = 0; i < width / stride; i++, values += row) {
                const sac_status status = decode_cell(boxes, values, classes, (double)i, (double)j,
                                                      (double)stride, min_confidence);
                if (status < 0) return status;
            }
        }
    }
    return SAC_OK;
}

// What was found in a file: its only input and output, and the sizes they say.
typedef struct found {
    sac_net *net;
    sac_params *params;
    const char *input, *output; // of the net
    int64_t width, height, cells;
    int classes, levels;
} found;

static void found_close(found *f) {
    sac_net_close(&f->net);
    sac_params_close(&f->params);
}

// "[1][3][416][416]"
static const char *shape_text(const sac_shape *shape, char text[96]) {
    int used = 0;
    text[0] = '\0';
    for (int d = 0; d < shape->ndims && used >= 0 && used < 70; d++)
        used += snprintf(text + used, 96 - (size_t)used, "[%" PRId64 "]", shape->dims[d]);
    return text;
}

static sac_status ports_find(found *f, const char *path, sac_error *error) {
    sac_status status = SAC_OK;
    const int count = sac_net_count(f->net);
    int inputs = 0, outputs = 0;
    sac_shape in = {0}, out = {0};
    sac_shape *shapes = sac_calloc(count, sizeof *shapes);
    SAC_TRY_ALLOC(shapes);
    SAC_TRY(sac_net_shapes(f->net, 1, shapes, error));
    for (int i = 0; i < count; i++) {
        const sac_node *node = sac_net_node(f->net, i);
        if (node->kind == SAC_OP_INPUT) {
            inputs++;
            in = shapes[i];
            f->input = node->name;
        }
        if (sac_net_is_output(f->net, i)) {
            outputs++;
            out = shapes[i];
            f->output = node->name;
        }
    }
    char text[2][96];
    const bool picture = inputs == 1 && in.ndims == 4 && in.dims[1] == 3;
    const bool rows =
        outputs == 1 && out.ndims == 3 && out.dims[2] > 5 && out.dims[2] - 5 <= MOST_CLASSES;
    f->height = in.dims[2];
    f->width = in.dims[3];
    f->cells = out.dims[1];
    for (int levels = 3; picture && rows && levels <= 4 && f->levels == 0; levels++) {
        const int64_t multiple = INT64_C(4) << levels;
        if (f->width % multiple == 0 && f->height % multiple == 0 &&
            sac_yolox_cells(f->width, f->height, levels) == f->cells)
            f->levels = levels;
    }
    if (f->levels == 0) {
        status = sac_error_set(error, SAC_ERROR_FORMAT, -1,
                               "%s: %d inputs, the last %s, and %d outputs, the last %s; a YOLOX "
                               "detector has one input "
                               "[N][3][H][W] and one output [N][cells][5 + classes] with the cells "
                               "of strides 8, 16 and "
                               "32",
                               path, inputs, shape_text(&in, text[0]), outputs,
                               shape_text(&out, text[1]));
        goto fail;
    }
    f->classes = (int)out.dims[2] - 5;
fail:
    sac_free(shapes);
    return status;
}

// The network of a file at an input size, 0: the file's own.
static sac_status network_find(found *f, const uint8_t *file, size_t size, const char *path,
                               int64_t width, int64_t height, sac_error *error) {
    *f = (found){0};
    const sac_onnx_options options = {
        .dims = {0, 3, height != 0 ? height : OPEN_SIZE, width != 0 ? width : OPEN_SIZE},
        .replace = width != 0 && height != 0};
    sac_status status = sac_onnx_parse(&f->net, &f->params, file, size, path, &options, error);
    if (status >= 0) status = ports_find(f, path, error);
    if (status < 0) found_close(f);
    return status;
}

static float *yolox_picture(void *user, int index) {
    const yolox *y = user;
    return sac_infer_input(y->infer, y->input) + index * 3 * y->width * y->height;
}

static sac_status yolox_run(void *user, int count, double min_confidence, sac_box_list *boxes,
                            sac_error *error) {
    const yolox *y = user;
    sac_status status = sac_infer_run(y->infer, error);
    const float *values = sac_infer_output(y->infer, y->output);
    for (int i = 0; i < count && status >= 0; i++) {
        status = sac_yolox_decode(&boxes[i], values + i * y->cells * (5 + y->classes), y->classes,
                                  y->width, y->height, y->levels, min_confidence);
    }
    if (status == SAC_ERROR_NUMERIC) {
        return sac_error_set(error, status, -1, "the detection network's output '%s' is not finite",
                             y->output);
    }
    return status;
}

static void yolox_close(void *user) {
    yolox *y = user;
    if (y == NULL) return;
    sac_infer_close(&y->infer);
    sac_free(y->file);
    sac_free(y->path);
    sac_free(y->input);
    sac_free(y->output);
    sac_free(y);
}

// Plans a network that was found and takes its sizes over; on failure everything stays.
static sac_status take(sac_box_network *network, const found *f, sac_error *error) {
    yolox *y = network->user;
    sac_infer *infer = NULL;
    const sac_status status = sac_infer_create(&infer, f->net, f->params, &y->options, error);
    if (status < 0) return status;
    sac_infer_close(&y->infer);
    y->infer = infer;
    y->width = f->width;
    y->height = f->height;
    y->cells = f->cells;
    network->input.width = (int)f->width;
    network->input.height = (int)f->height;
    return SAC_OK;
}

static sac_status yolox_resize(sac_box_network *network, int width, int height, sac_error *error) {
    const yolox *y = network->user;
    found f;
    sac_status status = network_find(&f, y->file, y->file_size, y->path, width, height, error);
    if (status < 0) return status;
    status = take(network, &f, error);
    found_close(&f);
    return status;
}

// Whether the network can be read for another input size too.
static bool is_resizable(const yolox *y, const found *f) {
    found other;
    const int64_t more = INT64_C(4) << f->levels;
    const sac_status status = network_find(&other, y->file, y->file_size, y->path,
                                           f->width + 2 * more, f->height + more, NULL);
    const bool fits = status >= 0 && other.classes == f->classes && other.levels == f->levels;
    found_close(&other);
    return fits;
}

sac_status sac_onnx_network_open(sac_box_network **out, const char *path, const char *names,
                                 int64_t width, int64_t height, int batch, sac_backend backend,
                                 sac_error *error) {
    sac_status status = SAC_OK;
    sac_box_network *network = NULL;
    found f = {0};
    *out = NULL;
    if (batch < 1 || batch > MOST_BATCH) {
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1, "%s: batch %d, expected 1 to %d", path,
                             batch, MOST_BATCH);
    }
    if ((width == 0) != (height == 0) || width % 32 != 0 || height % 32 != 0 || width < 0 ||
        height < 0 || width > 16384 || height > 16384) {
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "%s: input size %" PRId64 "x%" PRId64 ", expected multiples of 32",
                             path, width, height);
    }
    SAC_TRY_ALLOC(network = sac_calloc(1, sizeof *network));
    network->close = yolox_close;
    yolox *y = network->user = sac_calloc(1, sizeof *y);
    SAC_TRY_ALLOC(y);
    SAC_TRY_ALLOC(y->path = sac_strdup(path));
    SAC_TRY(sac_file_read(&y->file, &y->file_size, path, MOST_BYTES, error));
    SAC_TRY(network_find(&f, y->file, y->file_size, path, width, height, error));
    SAC_TRY_ALLOC(y->input = sac_strdup(f.input));
    SAC_TRY_ALLOC(y->output = sac_strdup(f.output));
    y->classes = network->classes = f.classes;
    y->levels = f.levels;
    y->options = (sac_plan_options){.batch = batch, .backend = backend};
    network->batch = batch;
    network->input =
        (sac_network_input){.bgr = true, .corner = true, .pad = 114, .scale = {1, 1, 1}};
    network->picture = yolox_picture;
    network->run = yolox_run;
    SAC_TRY(sac_box_network_names(network, names, path, error));
    SAC_TRY(take(network, &f, error));
    if (width == 0 && is_resizable(y, &f)) {
        network->resize = yolox_resize;
        network->stride = 4 << f.levels;
    } else {
        sac_free(y->file);
        y->file = NULL;
    }
    SAC_TRY(sac_box_network_stamp(network, "onnx", &path, 1, error));
    SAC_TRY_ALLOC(network->text = sac_format("onnx:%s", sac_path_last(path)));
    found_close(&f);
    *out = network;
    return SAC_OK;
fail:
    found_close(&f);
    sac_box_network_close(&network);
    return sac_error_set(error, status, -1, "%s: no memory for the detector", path);
}
