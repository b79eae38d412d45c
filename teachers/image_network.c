// Reading, keeping and running image networks of others.
#include "teachers/image_network.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/check.h"
#include "core/file.h"
#include "core/memory.h"
#include "core/number.h"
#include "nn/darknet.h"
#include "nn/infer.h"
#include "nn/onnx.h"
#include "teachers/family.h"
#include "video/scale.h"

enum { BATCH = 16, MOST_CELLS = 8, OPEN_SIDE = 224, MOST_SIDE = 2048 };

// By sac_image_preprocess; channels in the network's order.
static const struct {
    const char *name;
    double mean[3], scale[3];
} PREPROCESSES[] = {
    {"auto", {0}, {0}},
    {"imagenet",
     {255 * 0.485, 255 * 0.456, 255 * 0.406},
     {1 / (255 * 0.229), 1 / (255 * 0.224), 1 / (255 * 0.225)}},
    {"caffe", {104, 117, 123}, {1, 1, 1}}, // blue, green, red
    {"unit", {0}, {1.0 / 255, 1.0 / 255, 1.0 / 255}},
    {"raw", {0}, {1, 1, 1}},
};

static sac_image_input preset(sac_image_preprocess preprocess) {
    sac_image_input input = {.preprocess = preprocess};
    memcpy(input.mean, PREPROCESSES[preprocess].mean, sizeof input.mean);
    memcpy(input.scale, PREPROCESSES[preprocess].scale, sizeof input.scale);
    (void)snprintf(input.text, sizeof input.text, "%s", PREPROCESSES[preprocess].name);
    return input;
}

// "N" or "N/N/N", `length` characters of text, last channel first if `turned`.
static bool parse_three(double values[3], const char *text, size_t length, bool turned) {
    int count = 0;
    for (size_t at = 0; at <= length; count++) {
        char number[32] = "";
        const size_t rest = length - at, slash = strcspn(text + at, "/"),
                     n = slash < rest ? slash : rest;
        if (count == 3 || n == 0 || n >= sizeof number) return false;
        memcpy(number, text + at, n);
        if (!sac_number_real(number, &values[turned ? 2 - count : count])) return false;
        at += n + 1;
    }
    if (count == 1) values[0] = values[1] = values[2] = values[turned ? 2 : 0];
    return count != 2;
}

sac_status sac_image_input_parse(sac_image_input *input, const char *text, sac_error *error) {
    for (int k = SAC_IMAGE_AUTO; k <= SAC_IMAGE_RAW; k++) {
        if (strcmp(text, PREPROCESSES[k].name) != 0) continue;
        *input = preset((sac_image_preprocess)k);
        return SAC_OK;
    }
    *input = (sac_image_input){.preprocess = SAC_IMAGE_CUSTOM};
    const bool bgr = strncmp(text, "bgr:", 4) == 0;
    bool good = (bgr || strncmp(text, "rgb:", 4) == 0) && strlen(text) < sizeof input->text;
    const char *mean = good ? text + 4 : "";
    const size_t length = strcspn(mean, ":");
    good = good && mean[length] == ':' && parse_three(input->mean, mean, length, bgr) &&
           parse_three(input->scale, mean + length + 1, strlen(mean + length + 1), bgr);
    for (int c = 0; c < 3; c++) good = good && input->scale[c] != 0;
    if (!good) {
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "'%.100s': expected %s, or rgb:MEAN:SCALE or bgr:MEAN:SCALE with one "
                             "number or three separated by '/' each, scale not 0",
                             text, SAC_IMAGE_PREPROCESSES);
    }
    (void)snprintf(input->text, sizeof input->text, "%s", text);
    return SAC_OK;
}

// Known files: a name that begins so was trained with this preprocessing.
static const struct {
    const char *name;
    sac_image_preprocess preprocess;
} KNOWN[] = {
    {"squeezenet1.1", SAC_IMAGE_CAFFE},
    {"yolox", SAC_IMAGE_RAW},
};

static sac_image_preprocess preprocess_of(const char *path) {
    const char *name = sac_path_last(path);
    for (size_t i = 0; i < sizeof KNOWN / sizeof KNOWN[0]; i++) {
        if (strncmp(name, KNOWN[i].name, strlen(KNOWN[i].name)) == 0) return KNOWN[i].preprocess;
    }
    return SAC_IMAGE_IMAGENET;
}

void sac_image_network_close(sac_image_network **slot) {
    if (slot == NULL || *slot == NULL) return;
    sac_net_close(&(*slot)->net);
    sac_params_close(&(*slot)->params);
    sac_free(*slot);
    *slot = NULL;
}

static uint64_t mix(uint64_t hash, const void *bytes, size_t size) {
    const uint8_t *b = bytes;
    for (size_t i = 0; i < size; i++) hash = (hash ^ b[i]) * 0x100000001b3u; // FNV-1a
    return hash;
}

// The one node that is an input, or an output; -1 and an error naming all when there are none or
// several.
static int only(const sac_net *net, bool input, const char *path, sac_error *error) {
    char names[256] = "";
    int found = -1, count = 0;
    for (int i = 0; i < sac_net_count(net); i++) {
        const sac_node *node = sac_net_node(net, i);
        if (input ? node->kind != SAC_OP_INPUT : !sac_net_is_output(net, i)) continue;
        size_t at = strlen(names);
        (void)snprintf(names + at, sizeof names - at, "%s%.60s", count > 0 ? ", " : "", node->name);
        found = i;
        count++;
    }
    if (count == 1) return found;
    (void)sac_error_set(error, SAC_ERROR_ARGUMENT, -1, "%s: has %d %s%s (%s), expected one%s", path,
                        count, input ? "input" : "output", count == 1 ? "" : "s", names,
                        input ? "" : "; choose it with FILE:OUTPUT");
    return -1;
}

// Checks input and output of a network that is otherwise complete, and sets length and digest.
static sac_status inspect(sac_image_network *n, const char *path, sac_error *error) {
    sac_status status = SAC_OK;
    sac_shape *shapes = NULL;
    int input = only(n->net, true, path, error), output = only(n->net, false, path, error);
    if (input < 0 || output < 0) return SAC_ERROR_ARGUMENT;
    const sac_shape *in = &sac_net_node(n->net, input)->shape;
    if (in->ndims != 3 || (in->dims[0] != 1 && in->dims[0] != 3) || in->dims[1] > MOST_SIDE ||
        in->dims[2] > MOST_SIDE) {
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "%s: its input is no picture of 1 or 3 channels up to %d px", path,
                             (int)MOST_SIDE);
    }
    SAC_TRY_ALLOC(shapes = sac_calloc(sac_net_count(n->net), sizeof *shapes));
    SAC_TRY(sac_net_shapes(n->net, 1, shapes, error));
    n->length = 1;
    for (int k = 1; k < shapes[output].ndims; k++) {
        if (!sac_mul(n->length, shapes[output].dims[k], &n->length)) n->length = INT64_MAX;
    }
    if (n->length < 1 || n->length > SAC_IMAGE_MAX_LENGTH) {
        status = sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                               "%s: output '%.60s' has %lld values, at most %d can be imitated",
                               path, sac_net_node(n->net, output)->name, (long long)n->length,
                               (int)SAC_IMAGE_MAX_LENGTH);
        goto fail;
    }
    n->digest = mix(0xcbf29ce484222325u, &n->preprocess, sizeof n->preprocess);
    if (n->preprocess == SAC_IMAGE_CUSTOM) {
        n->digest = mix(n->digest, n->input.mean, sizeof n->input.mean);
        n->digest = mix(n->digest, n->input.scale, sizeof n->input.scale);
    }
    n->digest = mix(n->digest, &n->length, sizeof n->length);
    for (int64_t i = 0; i < sac_params_count(n->params); i++) {
        const sac_param *p = sac_params_at(n->params, i);
        n->digest = mix(n->digest, p->data, (size_t)p->count * sizeof *p->data);
    }
fail:
    sac_free(shapes);
    return status;
}

// Keeps what node `output` needs as the only output, averaged to at most `cells` in each direction.
static sac_status narrow(sac_image_network *n, int output, int cells, sac_error *error) {
    sac_status status = SAC_OK;
    sac_net *net = NULL;
    sac_params *params = NULL;
    sac_shape *shapes = NULL;
    SAC_TRY_ALLOC(shapes = sac_calloc(sac_net_count(n->net), sizeof *shapes));
    SAC_TRY(sac_net_shapes(n->net, 1, shapes, error));
    SAC_TRY(sac_net_create(&net));
    int last = -1;
    for (int i = 0; i <= output; i++) {
        const sac_node *node = sac_net_node(n->net, i);
        last = node->kind == SAC_OP_INPUT
                   ? sac_net_input(net, node->name, node->shape.ndims, node->shape.dims)
                   : sac_net_add_node(net, node->kind, node->name, &node->attrs, node->src,
                                      node->src_count);
        if (strcmp(node->share, node->name) != 0) sac_net_share(net, last, node->share);
    }
    const int64_t *dims = shapes[output].dims;
    if (shapes[output].ndims == 4 && (dims[2] > cells || dims[3] > cells)) {
        last = sac_net_adaptive_pool(net, SAC_OP_ADAPTIVE_AVG_POOL, "saccade.cells", last, 1,
                                     dims[2] < cells ? dims[2] : cells,
                                     dims[3] < cells ? dims[3] : cells);
    }
    sac_net_output(net, last);
    SAC_TRY(sac_net_check(net, error));
    SAC_TRY(sac_params_create_constant(&params, net, error));
    for (int64_t i = 0; i < sac_params_count(params); i++) {
        sac_param *dst = sac_params_at(params, i);
        const sac_param *src = sac_params_find(n->params, dst->name);
        if (src == NULL || src->count != dst->count) {
            status = sac_error_set(error, SAC_ERROR_SHAPE, -1, "no weights for '%s'", dst->name);
            goto fail;
        }
        memcpy(dst->data, src->data, (size_t)src->count * sizeof *dst->data);
    }
    sac_net_close(&n->net);
    sac_params_close(&n->params);
    n->net = net;
    n->params = params;
    net = NULL;
    params = NULL;
fail:
    sac_net_close(&net);
    sac_params_close(&params);
    sac_free(shapes);
    return status;
}

// FILE[:OUTPUT]; *output receives the node to imitate.
static sac_status read_onnx(sac_image_network *n, char *path, int side, int *output,
                            sac_error *error) {
    sac_status status = SAC_OK;
    // A file may have colons in its name: the output is what follows one that ends a file's name.
    char *colon = sac_is_file(path) ? NULL : strrchr(path, ':');
    if (colon != NULL) *colon++ = '\0';
    const char *outputs[1] = {colon};
    sac_onnx_options options = {.dims = {0, 3, OPEN_SIDE, OPEN_SIDE}};
    if (side > 0) {
        // The channels stay as they are.
        options = (sac_onnx_options){.dims = {0, 0, side, side}, .replace = true};
    }
    if (colon != NULL) {
        options.outputs = outputs;
        options.output_count = 1;
    }
    SAC_TRY(sac_onnx_read(&n->net, &n->params, path, &options, error));
    *output = only(n->net, false, path, error);
    if (*output < 0) status = SAC_ERROR_ARGUMENT;
fail:
    return status;
}

// CFG:WEIGHTS[:LAYER], see the header.
static sac_status read_darknet(sac_image_network *n, char *text, int side, int *output,
                               sac_error *error) {
    sac_status status = SAC_OK;
    sac_darknet *darknet = NULL;
    char *weights = strchr(text, ':'), *layer = NULL, *end = NULL;
    if (weights != NULL) *weights++ = '\0';
    if (weights != NULL) layer = strchr(weights, ':');
    if (layer != NULL) *layer++ = '\0';
    if (weights == NULL) {
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "darknet:%s: expected darknet:CFG:WEIGHTS[:LAYER]", text);
    }
    SAC_TRY(sac_darknet_read(&darknet, text, side, side, error));
    SAC_TRY(sac_darknet_read_weights(darknet, weights, error));
    int64_t number = darknet->layer_count - 1;
    if (layer != NULL) number = strtoll(layer, &end, 10);
    if ((layer != NULL && (end == layer || *end != '\0')) || number < 0 ||
        number >= darknet->layer_count || darknet->layers[number] < 0) {
        status = sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                               "%s: layer '%s': expected the number of one from 0 to %d that has a "
                               "result",
                               text, layer == NULL ? "last" : layer, darknet->layer_count - 1);
        goto fail;
    }
    *output = darknet->layers[number];
    // What is imitated are the values before a final softmax.
    const sac_node *node = sac_net_node(darknet->net, *output);
    if (layer == NULL && node->kind == SAC_OP_SOFTMAX) *output = node->src[0];
    n->net = darknet->net;
    n->params = darknet->params;
    darknet->net = NULL;
    darknet->params = NULL;
fail:
    sac_darknet_close(&darknet);
    return status;
}

sac_status sac_image_network_read(sac_image_network **out, const char *text,
                                  sac_image_preprocess preprocess, sac_error *error) {
    const sac_image_options options = {.input = preset(preprocess), .cells = MOST_CELLS};
    return sac_image_network_read_as(out, text, &options, error);
}

sac_status sac_image_network_read_as(sac_image_network **out, const char *text,
                                     const sac_image_options *options, sac_error *error) {
    static const char darknet[] = "darknet:";
    sac_status status = SAC_OK;
    char *path = NULL;
    int output = -1;
    *out = NULL;
    if (options->cells < 1 || options->cells > 64 || options->side < 0 ||
        options->side > MOST_SIDE || (options->side > 0 && options->side < 8)) {
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "%s: %d cells and an input of %d px; expected 1 to 64, and 8 to %d or "
                             "0",
                             text, options->cells, options->side, (int)MOST_SIDE);
    }
    sac_image_network *n = sac_calloc(1, sizeof *n);
    SAC_TRY_ALLOC(n);
    SAC_TRY_ALLOC(path = sac_strdup(text));
    const bool foreign = strncmp(text, darknet, strlen(darknet)) == 0;
    SAC_TRY(foreign ? read_darknet(n, path + strlen(darknet), options->side, &output, error)
                    : read_onnx(n, path, options->side, &output, error));
    n->input = options->input;
    if (n->input.preprocess == SAC_IMAGE_AUTO)
        n->input = preset(foreign ? SAC_IMAGE_UNIT : preprocess_of(path));
    n->preprocess = n->input.preprocess;
    SAC_TRY(narrow(n, output, options->cells, error));
    SAC_TRY(inspect(n, text, error));
    *out = n;
    n = NULL;
fail:
    sac_image_network_close(&n);
    sac_free(path);
    return status < 0 ? sac_error_set(error, status, -1, "%s: no memory for the network", text)
                      : SAC_OK;
}

sac_status sac_image_network_store(const sac_image_network *n, sac_safetensors *st,
                                   const char *prefix, sac_error *error) {
    sac_status status = SAC_OK;
    json_t *network = sac_net_to_json(n->net);
    char key[96];
    (void)snprintf(key, sizeof key, "%s.network", prefix);
    SAC_TRY(sac_family_set_json(st, key, network, error));
    (void)snprintf(key, sizeof key, "%s.preprocess", prefix);
    SAC_TRY(sac_safetensors_set_metadata(st, key, n->input.text, error));
    (void)snprintf(key, sizeof key, "%s.", prefix);
    SAC_TRY(sac_params_store(n->params, st, key, error));
fail:
    json_decref(network);
    return status;
}

sac_status sac_image_network_load(sac_image_network **out, const sac_safetensors *st,
                                  const char *prefix, const char *path, sac_error *error) {
    sac_status status = SAC_OK;
    json_t *json = NULL;
    const char *text = NULL;
    char key[96];
    *out = NULL;
    sac_image_network *n = sac_calloc(1, sizeof *n);
    SAC_TRY_ALLOC(n);
    (void)snprintf(key, sizeof key, "%s.preprocess", prefix);
    SAC_TRY(sac_family_get_text(st, key, &text, path, error));
    if (sac_image_input_parse(&n->input, text, NULL) < 0 || n->input.preprocess == SAC_IMAGE_AUTO) {
        status = sac_error_set(error, SAC_ERROR_FORMAT, -1, "%s: '%s' is '%.20s', which is unknown",
                               path, key, text);
        goto fail;
    }
    n->preprocess = n->input.preprocess;
    (void)snprintf(key, sizeof key, "%s.network", prefix);
    SAC_TRY(sac_family_get_json(st, key, &json, path, error));
    SAC_TRY(sac_net_from_json(&n->net, json, path, error));
    SAC_TRY(sac_params_create_constant(&n->params, n->net, error));
    (void)snprintf(key, sizeof key, "%s.", prefix);
    SAC_TRY(sac_params_load(n->params, st, key, path, error));
    sac_error inner = {0};
    if (inspect(n, path, &inner) < 0) {
        status = sac_error_set(error, SAC_ERROR_FORMAT, -1, "%s", inner.message);
        goto fail;
    }
    *out = n;
    n = NULL;
fail:
    json_decref(json);
    sac_image_network_close(&n);
    return status < 0 ? sac_error_set(error, status, -1, "%s: no memory for a network", path)
                      : SAC_OK;
}

// ---- running
// -----------------------------------------------------------------------------------------------

struct sac_image_runner {
    sac_infer *infer;
    char *output; // its name
    float *input;
    int64_t length;
    int channels, width, height;
    float scale[3], shift[3]; // input = gray * scale + shift, gray in [0,1], per channel
};

static void set_input(sac_image_runner *r, const sac_image_input *input) {
    for (int c = 0; c < 3; c++) {
        r->scale[c] = (float)(255 * input->scale[c]);
        r->shift[c] = (float)(-input->mean[c] * input->scale[c]);
    }
}

sac_status sac_image_runner_create(sac_image_runner **out, const sac_image_network *network,
                                   sac_backend backend, sac_error *error) {
    sac_status status = SAC_OK;
    *out = NULL;
    sac_image_runner *r = sac_calloc(1, sizeof *r);
    SAC_TRY_ALLOC(r);
    sac_plan_options options = {.batch = BATCH, .backend = backend};
    SAC_TRY(sac_infer_create(&r->infer, network->net, network->params, &options, error));
    int input = only(network->net, true, "", error), output = only(network->net, false, "", error);
    const sac_node *node = sac_net_node(network->net, input);
    SAC_TRY_ALLOC(r->output = sac_strdup(sac_net_node(network->net, output)->name));
    r->input = sac_infer_input(r->infer, node->name);
    r->channels = (int)node->shape.dims[0];
    r->height = (int)node->shape.dims[1];
    r->width = (int)node->shape.dims[2];
    r->length = network->length;
    set_input(r, &network->input);
    *out = r;
    return SAC_OK;
fail:
    sac_image_runner_close(&r);
    return sac_error_set(error, status, -1, "no memory for an image network");
}

static void put_object(const sac_image_runner *r, float *dst, const sac_crop_object *o) {
    const int64_t area = (int64_t)r->width * r->height;
    float *gray = dst + (r->channels - 1) * area; // the last plane is written last
    sac_crop_gray(gray, r->width, r->height, o->pixels + o->t * o->width * o->height, o->width,
                  o->height, (double)o->box.x1, (double)o->box.y1, (double)o->box.x2,
                  (double)o->box.y2);
    for (int c = 0; c < r->channels; c++) {
        for (int64_t k = 0; k < area; k++) dst[c * area + k] = gray[k] * r->scale[c] + r->shift[c];
    }
}

sac_status sac_image_runner_run(sac_image_runner *r, float *dst, int64_t stride,
                                const sac_crop_object *objects, int64_t count, bool (*stop)(void),
                                sac_error *error) {
    sac_status status = SAC_OK;
    const int64_t size = (int64_t)r->channels * r->width * r->height;
    for (int64_t first = 0; first < count; first += BATCH) {
        const int64_t n = count - first < BATCH ? count - first : BATCH;
        if (stop != NULL && stop()) {
            return sac_error_set(error, SAC_ERROR_INTERRUPTED, first,
                                 "interrupted while an image network looked at objects");
        }
#pragma omp parallel for schedule(static)
        for (int64_t i = 0; i < n; i++) put_object(r, r->input + i * size, &objects[first + i]);
        SAC_TRY(sac_infer_run(r->infer, error));
        const float *values = sac_infer_output(r->infer, r->output);
        for (int64_t i = 0; i < n; i++) {
            for (int64_t k = 0; k < r->length; k++) {
                float value = values[i * r->length + k];
                if (!isfinite(value)) {
                    return sac_error_set(error, SAC_ERROR_NUMERIC, first + i,
                                         "value %lld of the image network is not finite for "
                                         "object %lld",
                                         (long long)k, (long long)(first + i));
                }
                dst[(first + i) * stride + k] = value > 0 ? value : 0;
            }
        }
    }
fail:
    return status;
}

void sac_image_runner_close(sac_image_runner **slot) {
    if (slot == NULL || *slot == NULL) return;
    sac_infer_close(&(*slot)->infer);
    sac_free((*slot)->output);
    sac_free(*slot);
    *slot = NULL;
}
