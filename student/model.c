// Model files: safetensors with the network, the preprocessing and the provenance as JSON metadata.
// A file is hostile until every part has been checked against every other; nothing large is
// allocated before that.
#include "student/model.h"

#include <stdlib.h>
#include <string.h>

#include "core/check.h"
#include "core/file.h"
#include "core/json.h"
#include "core/memory.h"
#include "core/safetensors.h"
#include "student/arch.h"
#include "student/heads.h"

// Larger files, activations and amounts of work than these are taken for damage or malice. The
// paper's network needs 7 GMAC.
#define MAX_FILE_BYTES       ((size_t)512 << 20)
#define MAX_NODE_VALUES      ((int64_t)1 << 28)
#define MAX_NET_VALUES       ((int64_t)1 << 30)
#define MAX_MACS_PER_FRAME   ((int64_t)1000 * 1000 * 1000 * 1000)
#define MAX_ARCH_NAME_LENGTH 64

// ---- preprocessing as JSON ----------------------------------------------------------------------

// How pixels of such a frame came about: key and value.
static const char *const kinds[2][2] = {{"luma", "bt601"}, {"colour", "rgb"}};

json_t *sac_preprocess_to_json(const sac_preprocess *p) {
    const char *const *kind = kinds[p->channels == 3];
    return json_pack("{s:i, s:i, s:i, s:s, s:[i, i, i], s:f, s:f}", "width", p->width, "height",
                     p->height, "channels", p->channels, kind[0], kind[1], "offsets", p->offsets[0],
                     p->offsets[1], p->offsets[2], "mean", p->mean, "scale", p->scale);
}

sac_status sac_preprocess_from_json(sac_preprocess *p, const json_t *json, const char *name,
                                    sac_error *error) {
    sac_status status = SAC_OK;
    int64_t width = 0, height = 0, channels = 0;
    const char *text = NULL;
    json_t *offsets = NULL;
    *p = (sac_preprocess){0};
    SAC_TRY(sac_json_get_int(json, "width", 16, 4096, &width, name, error));
    SAC_TRY(sac_json_get_int(json, "height", 16, 4096, &height, name, error));
    SAC_TRY(sac_json_get_int(json, "channels", 1, 3, &channels, name, error));
    const char *const *kind = kinds[channels == 3];
    SAC_TRY(sac_json_get_text(json, kind[0], &text, name, error));
    SAC_TRY(sac_json_get_array(json, "offsets", &offsets, name, error));
    SAC_TRY(sac_json_get_real(json, "mean", -65536.0, 65536.0, &p->mean, name, error));
    SAC_TRY(sac_json_get_real(json, "scale", 1e-6, 1e6, &p->scale, name, error));
    if (strcmp(text, kind[1]) != 0) {
        return sac_error_set(error, SAC_ERROR_FORMAT, -1,
                             "%s: \"%s\" is '%.32s', '%s' was expected", name, kind[0], text,
                             kind[1]);
    }
    if (json_array_size(offsets) != 3) {
        return sac_error_set(error, SAC_ERROR_FORMAT, -1,
                             "%s: \"offsets\" holds %zu values, 3 were expected", name,
                             json_array_size(offsets));
    }
    for (size_t i = 0; i < 3; i++) {
        const json_t *offset = json_array_get(offsets, i);
        json_int_t value = json_integer_value(offset);
        if (!json_is_integer(offset) || value < -64 || value > 64) {
            return sac_error_set(error, SAC_ERROR_FORMAT, -1,
                                 "%s: \"offsets\" must hold integers within -64..64", name);
        }
        p->offsets[i] = (int)value;
    }
    p->width = (int)width;
    p->height = (int)height;
    p->channels = (int)channels;
    SAC_TRY(sac_preprocess_check(p, SAC_ERROR_FORMAT, name, error));
fail:
    return status;
}

// ---- checks of the network ----------------------------------------------------------------------

static int64_t shape_values(const sac_shape *shape) {
    int64_t count = 1;
    for (int i = 0; i < shape->ndims; i++) {
        if (!sac_mul(count, shape->dims[i], &count)) return INT64_MAX;
    }
    return count;
}

// Parameters of one node, or INT64_MAX on overflow: known before anything is allocated for them.
static int64_t node_parameters(const sac_node *node, const sac_shape *src) {
    const sac_attrs *a = &node->attrs;
    int64_t count = 0;
    bool ok = true;
    switch (node->kind) {
    case SAC_OP_CONV:
        count = a->groups > 0 ? src->dims[1] / a->groups : INT64_MAX;
        for (int i = 0; i < 3; i++) ok = ok && sac_mul(count, a->kernel[i], &count);
        ok = ok && sac_mul(count, a->channels, &count) &&
             sac_add(count, a->bias ? a->channels : 0, &count);
        break;
    case SAC_OP_DENSE:
        count = shape_values(src); // batch 1
        ok = sac_mul(count, a->channels, &count) &&
             sac_add(count, a->bias ? a->channels : 0, &count);
        break;
    case SAC_OP_BATCH_NORM:
        ok = sac_mul(src->dims[1], 4, &count);
        break;
    case SAC_OP_LAYER_NORM:
        ok = sac_mul(src->dims[src->ndims - 1], 2, &count);
        break;
    default:
        break;
    }
    return ok ? count : INT64_MAX;
}

static bool shape_is(const sac_shape *shape, int64_t c, int64_t h, int64_t w) {
    return shape->ndims == 4 && shape->dims[0] == 1 && shape->dims[1] == c && shape->dims[2] == h &&
           shape->dims[3] == w;
}

static sac_status check_output(const sac_net *net, const sac_shape *shapes, const sac_head *head,
                               const char *name, sac_error *error) {
    const char *output = head->output;
    const int index = sac_net_find(net, output), side = head->side;
    if (!shape_is(&shapes[index], 1, side, side)) {
        return sac_error_set(error, SAC_ERROR_FORMAT, -1,
                             "%s: output '%s' has not the expected shape [1][%d][%d]", name, output,
                             side, side);
    }
    // A sigmoid keeps every score within [0,1] whatever the weights are.
    if (sac_net_node(net, index)->kind != SAC_OP_SIGMOID) {
        return sac_error_set(error, SAC_ERROR_FORMAT, -1,
                             "%s: output '%s' is a %s, a sigmoid was expected", name, output,
                             sac_op_kind_name(sac_net_node(net, index)->kind));
    }
    return SAC_OK;
}

// Interface of the network: exactly the input and the outputs that the runtime fills and reads.
static sac_status check_interface(const sac_net *net, const sac_shape *shapes,
                                  const sac_preprocess *p, const char *name, sac_error *error) {
    sac_status status = SAC_OK;
    int inputs = 0, outputs = 0, maps = 0;
    const unsigned heads = sac_heads_of(net);
    for (int i = 0; i < sac_net_count(net); i++) {
        inputs += sac_net_node(net, i)->kind == SAC_OP_INPUT;
        outputs += sac_net_is_output(net, i);
    }
    int frames = sac_net_find(net, "frames");
    if (inputs != 1 || frames < 0 || sac_net_node(net, frames)->kind != SAC_OP_INPUT) {
        return sac_error_set(error, SAC_ERROR_FORMAT, -1,
                             "%s: the network has %d inputs, one named 'frames' was expected", name,
                             inputs);
    }
    if (!shape_is(&shapes[frames], 3 * p->channels, p->height, p->width)) {
        return sac_error_set(
            error, SAC_ERROR_FORMAT, -1,
            "%s: input 'frames' contradicts the preprocessing, shape [%d][%d][%d] was expected",
            name, 3 * p->channels, p->height, p->width);
    }
    for (int k = 0; k < SAC_HEADS; k++) maps += (heads >> k & 1) != 0;
    if (maps == 0 || outputs != maps) {
        return sac_error_set(error, SAC_ERROR_FORMAT, -1,
                             "%s: the network has %d outputs, of which %d are maps; only map16, "
                             "map4 and map1, one of them at least, were expected",
                             name, outputs, maps);
    }
    for (int k = 0; k < SAC_HEADS; k++) {
        if ((heads >> k & 1) != 0) SAC_TRY(check_output(net, shapes, &sac_heads[k], name, error));
    }
fail:
    return status;
}

// Cost of the network against fixed limits and, for parameters, against what the file holds.
static sac_status check_cost(const sac_net *net, const sac_shape *shapes, int64_t stored,
                             const char *name, sac_error *error) {
    int64_t values = 0, parameters = 0, macs = 0;
    for (int i = 0; i < sac_net_count(net); i++) {
        const sac_node *node = sac_net_node(net, i);
        int64_t count = shape_values(&shapes[i]);
        if (count > MAX_NODE_VALUES || !sac_add(values, count, &values) ||
            values > MAX_NET_VALUES) {
            return sac_error_set(error, SAC_ERROR_FORMAT, -1,
                                 "%s: node '%s' makes the network larger than any student may be",
                                 name, node->name);
        }
        if (node->src_count == 0 || strcmp(node->share, node->name) != 0) continue;
        // Twice the file and a little: enough for the loader to name a tensor that is missing.
        if (!sac_add(parameters, node_parameters(node, &shapes[node->src[0]]), &parameters) ||
            parameters / 2 > stored + 65536) {
            return sac_error_set(error, SAC_ERROR_FORMAT, -1,
                                 "%s: the network up to node '%s' needs far more parameters than "
                                 "the %lld in the file",
                                 name, node->name, (long long)stored);
        }
    }
    // Only now are the products known to stay below 2^63.
    for (int i = 0; i < sac_net_count(net); i++) {
        if (!sac_add(macs, sac_net_macs(net, i), &macs) || macs > MAX_MACS_PER_FRAME) {
            return sac_error_set(error, SAC_ERROR_FORMAT, -1,
                                 "%s: the network up to node '%s' needs more than %lld "
                                 "multiply-accumulates per frame",
                                 name, sac_net_node(net, i)->name, (long long)MAX_MACS_PER_FRAME);
        }
    }
    return SAC_OK;
}

static sac_status check_net(const sac_model *model, int64_t stored, const char *name,
                            sac_error *error) {
    sac_status status = SAC_OK;
    sac_shape *shapes = sac_calloc(sac_net_count(model->net), sizeof *shapes);
    SAC_TRY_ALLOC(shapes);
    SAC_TRY(sac_net_shapes(model->net, 1, shapes, error));
    SAC_TRY(check_interface(model->net, shapes, &model->preprocess, name, error));
    SAC_TRY(check_cost(model->net, shapes, stored, name, error));
fail:
    sac_free(shapes);
    return status;
}

// ---- create, save, load -------------------------------------------------------------------------

sac_status sac_model_create(sac_model **out, const char *arch, const sac_preprocess *preprocess,
                            sac_error *error) {
    sac_status status = SAC_OK;
    *out = NULL;
    sac_model *model = sac_calloc(1, sizeof *model);
    SAC_TRY_ALLOC(model);
    model->preprocess = *preprocess;
    SAC_TRY(sac_arch_build(&model->net, arch, preprocess, error));
    model->arch = sac_strdup(arch);
    SAC_TRY_ALLOC(model->arch);
    model->provenance = json_object();
    SAC_TRY_ALLOC(model->provenance);
    SAC_TRY(sac_params_create(&model->params, model->net, error));
    *out = model;
    return SAC_OK;
fail:
    sac_model_close(&model);
    return sac_error_set(error, status, -1, "a model of architecture '%.64s' cannot be made: %s",
                         arch, sac_status_name(status));
}

int sac_model_format(const sac_model *model) {
    return model->preprocess.channels == 3 || sac_heads_of(model->net) != SAC_HEADS_ALL ? 2 : 1;
}

static sac_status set_json(sac_safetensors *st, const char *key, const json_t *json,
                           sac_error *error) {
    char *text = json_dumps(json, JSON_COMPACT | JSON_SORT_KEYS | JSON_REAL_PRECISION(17));
    if (text == NULL) return SAC_ERROR_MEMORY;
    sac_status status = sac_safetensors_set_metadata(st, key, text, error);
    free(text); // Jansson allocates with malloc
    return status;
}

sac_status sac_model_save(const sac_model *model, const char *path, sac_error *error) {
    sac_status status = SAC_OK;
    sac_safetensors *st = NULL;
    json_t *network = NULL, *preprocess = NULL, *quant = NULL;
    char version[16];
    SAC_TRY(sac_params_check_finite(model->params, error));
    SAC_TRY(sac_preprocess_check(&model->preprocess, SAC_ERROR_ARGUMENT, path, error));
    network = sac_net_to_json(model->net);
    SAC_TRY_ALLOC(network);
    preprocess = sac_preprocess_to_json(&model->preprocess);
    SAC_TRY_ALLOC(preprocess);
    snprintf(version, sizeof version, "%d", sac_model_format(model));
    SAC_TRY(sac_safetensors_create(&st));
    SAC_TRY(sac_safetensors_set_metadata(st, "format", "saccade-student", error));
    SAC_TRY(sac_safetensors_set_metadata(st, "format_version", version, error));
    SAC_TRY(sac_safetensors_set_metadata(st, "arch", model->arch, error));
    SAC_TRY(set_json(st, "network", network, error));
    SAC_TRY(set_json(st, "preprocess", preprocess, error));
    SAC_TRY(set_json(st, "provenance", model->provenance, error));
    if (model->quant != NULL) {
        quant = sac_quant_to_json(model->quant);
        SAC_TRY_ALLOC(quant);
        SAC_TRY(set_json(st, "quantisation", quant, error));
    }
    if (model->calibration != NULL) SAC_TRY(set_json(st, "calibration", model->calibration, error));
    SAC_TRY(sac_params_store(model->params, st, NULL, error));
    SAC_TRY(sac_safetensors_write(st, path, error));
fail:
    sac_safetensors_close(&st);
    json_decref(network);
    json_decref(preprocess);
    json_decref(quant);
    if (status < 0) {
        sac_error_set(error, status, -1, "%s: the model cannot be written: %s", path,
                      sac_status_name(status));
    }
    return status;
}

// Metadata that must be there, as text.
static sac_status get_text(const sac_safetensors *st, const char *key, const char **text,
                           const char *name, sac_error *error) {
    *text = sac_safetensors_metadata(st, key);
    if (*text != NULL) return SAC_OK;
    return sac_error_set(error, SAC_ERROR_FORMAT, -1,
                         "%s: not a Saccade student model: metadata \"%s\" is missing", name, key);
}

static sac_status get_json(const sac_safetensors *st, const char *key, json_t **json,
                           const char *name, sac_error *error) {
    sac_status status = SAC_OK;
    const char *text = NULL;
    char *place = sac_format("%s: metadata \"%s\"", name, key);
    SAC_TRY_ALLOC(place);
    SAC_TRY(get_text(st, key, &text, name, error));
    SAC_TRY(sac_json_parse(json, text, strlen(text), place, error));
    if (!json_is_object(*json)) {
        status = sac_error_set(error, SAC_ERROR_FORMAT, -1, "%s is not a JSON object", place);
    }
fail:
    sac_free(place);
    return status;
}

// Every scale belongs to a node, and the frames cut out of the input have the input's: the runtime
// hands frames to whole networks and to stems alike, and both must read the same bytes.
static sac_status check_scales(const sac_model *model, const char *place, sac_error *error) {
    if (sac_quant_count(model->quant) == 0)
        return sac_error_set(error, SAC_ERROR_FORMAT, -1, "%s holds no scale", place);
    for (int i = 0; i < sac_quant_count(model->quant); i++) {
        const char *node = sac_quant_name(model->quant, i);
        if (sac_net_find(model->net, node) < 0) {
            return sac_error_set(error, SAC_ERROR_FORMAT, -1,
                                 "%s: '%.64s' is no node of the stored network", place, node);
        }
    }
    for (int i = 0; i < sac_net_count(model->net); i++) {
        const sac_node *node = sac_net_node(model->net, i);
        if (node->kind != SAC_OP_SLICE) continue;
        const sac_node *src = sac_net_node(model->net, node->src[0]);
        if (src->kind != SAC_OP_INPUT) continue;
        if (sac_quant_scale(model->quant, node->name) != sac_quant_scale(model->quant, src->name)) {
            return sac_error_set(error, SAC_ERROR_FORMAT, -1,
                                 "%s: '%.64s' is cut out of '%.64s' and must have its scale", place,
                                 node->name, src->name);
        }
    }
    return SAC_OK;
}

// The optional parts.
static sac_status get_options(sac_model *model, const sac_safetensors *st, const char *name,
                              sac_error *error) {
    sac_status status = SAC_OK;
    json_t *json = NULL;
    char *place = sac_format("%s: metadata \"quantisation\"", name);
    SAC_TRY_ALLOC(place);
    if (sac_safetensors_metadata(st, "calibration") != NULL)
        SAC_TRY(get_json(st, "calibration", &model->calibration, name, error));
    if (sac_safetensors_metadata(st, "quantisation") != NULL) {
        SAC_TRY(get_json(st, "quantisation", &json, name, error));
        SAC_TRY(sac_quant_from_json(&model->quant, json, place, error));
        SAC_TRY(check_scales(model, place, error));
    }
fail:
    json_decref(json);
    sac_free(place);
    return status;
}

static sac_status check_version(const sac_safetensors *st, const char *name, sac_error *error) {
    sac_status status = SAC_OK;
    const char *format = NULL, *version = NULL;
    SAC_TRY(get_text(st, "format", &format, name, error));
    if (strcmp(format, "saccade-student") != 0) {
        return sac_error_set(error, SAC_ERROR_FORMAT, -1,
                             "%s: not a Saccade student model: its format is '%.64s', "
                             "'saccade-student' was expected",
                             name, format);
    }
    SAC_TRY(get_text(st, "format_version", &version, name, error));
    size_t digits = strspn(version, "0123456789");
    if (digits == 0 || digits > 9 || version[digits] != '\0' || version[0] == '0') {
        return sac_error_set(error, SAC_ERROR_FORMAT, -1,
                             "%s: format version '%.32s', a whole number from 1 was expected", name,
                             version);
    }
    long number = strtol(version, NULL, 10);
    if (number > SAC_MODEL_FORMAT) {
        return sac_error_set(
            error, SAC_ERROR_UNSUPPORTED, -1,
            "%s: format version %ld is newer than this program, which knows up to %d", name, number,
            SAC_MODEL_FORMAT);
    }
fail:
    return status;
}

static sac_status check_arch(const char *arch, const char *name, sac_error *error) {
    size_t length = strlen(arch);
    bool ok = length >= 1 && length <= MAX_ARCH_NAME_LENGTH;
    for (size_t i = 0; i < length && ok; i++) ok = arch[i] > ' ' && arch[i] < 127;
    if (ok) return SAC_OK;
    return sac_error_set(error, SAC_ERROR_FORMAT, -1,
                         "%s: \"arch\" must be a name of 1..%d printable characters", name,
                         MAX_ARCH_NAME_LENGTH);
}

// Every tensor of the file must belong to the network: a left-over hints at a mixed-up description.
static sac_status check_no_extra(const sac_model *model, const sac_safetensors *st,
                                 const char *name, sac_error *error) {
    for (int64_t i = 0; i < sac_safetensors_count(st); i++) {
        const sac_named_tensor *tensor = sac_safetensors_at(st, i);
        if (sac_params_find(model->params, tensor->name) == NULL) {
            return sac_error_set(error, SAC_ERROR_FORMAT, -1,
                                 "%s: tensor '%.200s' does not belong to the stored network", name,
                                 tensor->name);
        }
    }
    return SAC_OK;
}

sac_status sac_model_parse(sac_model **out, const void *bytes, size_t size, const char *name,
                           sac_error *error) {
    sac_status status = SAC_OK;
    sac_safetensors *st = NULL;
    json_t *network = NULL, *preprocess = NULL;
    const char *arch = NULL;
    char *place = NULL;
    int64_t stored = 0;
    *out = NULL;
    sac_model *model = sac_calloc(1, sizeof *model);
    SAC_TRY_ALLOC(model);
    SAC_TRY(sac_safetensors_parse(&st, bytes, size, name, error));
    SAC_TRY(check_version(st, name, error));
    SAC_TRY(get_text(st, "arch", &arch, name, error));
    SAC_TRY(check_arch(arch, name, error));
    model->arch = sac_strdup(arch);
    SAC_TRY_ALLOC(model->arch);

    place = sac_format("%s: metadata \"preprocess\"", name);
    SAC_TRY_ALLOC(place);
    SAC_TRY(get_json(st, "preprocess", &preprocess, name, error));
    SAC_TRY(sac_preprocess_from_json(&model->preprocess, preprocess, place, error));
    SAC_TRY(get_json(st, "provenance", &model->provenance, name, error));
    SAC_TRY(get_json(st, "network", &network, name, error));
    SAC_TRY(sac_net_from_json(&model->net, network, name, error));

    for (int64_t i = 0; i < sac_safetensors_count(st); i++)
        stored += sac_safetensors_at(st, i)->count;
    SAC_TRY(check_net(model, stored, name, error));
    SAC_TRY(sac_params_create(&model->params, model->net, error));
    SAC_TRY(check_no_extra(model, st, name, error));
    SAC_TRY(sac_params_load(model->params, st, NULL, name, error));
    SAC_TRY(get_options(model, st, name, error));
    *out = model;
    model = NULL;
fail:
    if (status < 0) {
        sac_error_set(error, status, -1, "%s: the model cannot be read: %s", name,
                      sac_status_name(status));
    }
    sac_free(place);
    json_decref(network);
    json_decref(preprocess);
    sac_safetensors_close(&st);
    sac_model_close(&model);
    return status;
}

sac_status sac_model_load(sac_model **model, const char *path, sac_error *error) {
    sac_status status = SAC_OK;
    uint8_t *bytes = NULL;
    size_t size = 0;
    *model = NULL;
    SAC_TRY(sac_file_read(&bytes, &size, path, MAX_FILE_BYTES, error));
    SAC_TRY(sac_model_parse(model, bytes, size, path, error));
fail:
    sac_free(bytes);
    return status;
}

void sac_model_close(sac_model **model) {
    if (model == NULL || *model == NULL) return;
    sac_params_close(&(*model)->params);
    sac_net_close(&(*model)->net);
    json_decref((*model)->provenance);
    json_decref((*model)->calibration);
    sac_quant_close(&(*model)->quant);
    sac_free((*model)->arch);
    sac_free(*model);
    *model = NULL;
}
