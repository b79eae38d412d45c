// An image network on the crops of a clip's objects, or its vectors from the cache.
#include "teachers/deep.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/check.h"
#include "core/file.h"
#include "core/json.h"
#include "core/memory.h"
#include "core/safetensors.h"
#include "teachers/density.h"
#include "teachers/image_network.h"
#include "video/digest.h"

// Objects between two looks at the clock; a multiple of the runner's batch.
enum { SLICE = 64 };

struct sac_deep {
    char *network; // as given
    char preprocess[sizeof((sac_image_input *)0)->text];
    int64_t side, length, looked_at;
    char digest[SAC_DIGEST_TEXT];
    sac_image_runner *runner;
    char *cache; // or NULL
};

void sac_deep_close(sac_deep **slot) {
    if (slot == NULL || *slot == NULL) return;
    sac_image_runner_close(&(*slot)->runner);
    sac_free((*slot)->network);
    sac_free((*slot)->cache);
    sac_free(*slot);
    *slot = NULL;
}

char *sac_deep_name(const char *network) {
    char *name = sac_strdup(network);
    size_t out = 0;
    for (size_t at = 0, part = 0; name != NULL && network[at] != '\0'; at++) {
        if (network[at] == '/') {
            out = part;
            continue;
        }
        name[out++] = network[at];
        if (network[at] == ':') part = out;
    }
    if (name != NULL) name[out] = '\0';
    return name;
}

// Equal texts, equal vectors.
static sac_status digest_of(char text[SAC_DIGEST_TEXT], const sac_image_network *n) {
    sac_status status = SAC_OK;
    sac_digest *digest = NULL;
    json_t *json = sac_net_to_json(n->net);
    char *net = json == NULL ? NULL : json_dumps(json, JSON_COMPACT | JSON_SORT_KEYS);
    if (net == NULL) {
        status = SAC_ERROR_MEMORY;
        goto fail;
    }
    SAC_TRY(sac_digest_create(&digest));
    sac_digest_text(digest, "deep 1");
    sac_digest_text(digest, net);
    for (int c = 0; c < 3; c++) {
        char number[64];
        (void)snprintf(number, sizeof number, "%.17g %.17g", n->input.mean[c], n->input.scale[c]);
        sac_digest_text(digest, number);
    }
    for (int64_t i = 0; i < sac_params_count(n->params); i++) {
        const sac_param *p = sac_params_at(n->params, i);
        sac_digest_text(digest, p->name);
        sac_digest_bytes(digest, p->data, (size_t)p->count * sizeof *p->data);
    }
    sac_digest_finish(digest, text);
fail:
    sac_digest_close(&digest);
    json_decref(json);
    free(net); // of Jansson
    return status;
}

sac_status sac_deep_open(sac_deep **out, const sac_deep_options *options, sac_backend backend,
                         sac_error *error) {
    static const char prefix[] = "onnx:";
    sac_status status = SAC_OK;
    sac_image_network *network = NULL;
    sac_image_options image = {.cells = 1, .side = (int)options->side};
    const char *text = options->network;
    *out = NULL;
    sac_deep *d = sac_calloc(1, sizeof *d);
    SAC_TRY_ALLOC(d);
    json_t *probe = json_string(text);
    if (probe == NULL) {
        status = sac_error_set(error, SAC_ERROR_ARGUMENT, -1, "%s: the name is not UTF-8", text);
        goto fail;
    }
    json_decref(probe);
    SAC_TRY(sac_image_input_parse(&image.input, options->preprocess, error));
    if (options->side < 0 || options->side > INT32_MAX) image.side = -1;
    if (strncmp(text, prefix, strlen(prefix)) == 0) text += strlen(prefix);
    SAC_TRY(sac_image_network_read_as(&network, text, &image, error));
    d->length = network->length;
    d->side = options->side;
    if (d->length > SAC_DENSITY_MAX_DIMS) {
        status = sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                               "%s: its output has %" PRId64 " values, at most %d can be compared; "
                               "choose another one (FILE:OUTPUT)",
                               options->network, d->length, (int)SAC_DENSITY_MAX_DIMS);
        goto fail;
    }
    (void)snprintf(d->preprocess, sizeof d->preprocess, "%s", network->input.text);
    SAC_TRY_ALLOC(d->network = sac_strdup(options->network));
    SAC_TRY(digest_of(d->digest, network));
    SAC_TRY(sac_image_runner_create(&d->runner, network, backend, error));
    *out = d;
    d = NULL;
fail:
    sac_image_network_close(&network);
    sac_deep_close(&d);
    return status < 0 ? sac_error_set(error, status, -1, "no memory for an image network") : SAC_OK;
}

// ---- in a teacher's file ------------------------------------------------------------------------

static json_t *describe(const sac_deep *d, const char *network) {
    return json_pack("{s:s, s:s, s:I, s:I, s:s}", "network", network, "preprocess", d->preprocess,
                     "side", (json_int_t)d->side, "length", (json_int_t)d->length, "digest",
                     d->digest);
}

json_t *sac_deep_describe(const sac_deep *deep) {
    return describe(deep, deep->network);
}

json_t *sac_deep_provenance(const sac_deep *deep) {
    char *name = sac_deep_name(deep->network);
    json_t *json = name == NULL ? NULL : describe(deep, name);
    sac_free(name);
    return json;
}

sac_status sac_deep_open_described(sac_deep **out, const json_t *description, const char *elsewhere,
                                   sac_backend backend, const char *path, sac_error *error) {
    sac_status status = SAC_OK;
    const char *network = NULL, *preprocess = NULL, *digest = NULL;
    int64_t length = 0;
    sac_deep_options options = {0};
    sac_image_input input;
    *out = NULL;
    SAC_TRY(sac_json_get_text(description, "network", &network, path, error));
    SAC_TRY(sac_json_get_text(description, "preprocess", &preprocess, path, error));
    SAC_TRY(sac_json_get_text(description, "digest", &digest, path, error));
    SAC_TRY(sac_json_get_int(description, "side", 0, 2048, &options.side, path, error));
    SAC_TRY(sac_json_get_int(description, "length", 1, SAC_DENSITY_MAX_DIMS, &length, path, error));
    if (sac_image_input_parse(&input, preprocess, NULL) < 0) {
        return sac_error_set(error, SAC_ERROR_FORMAT, -1, "%s: 'preprocess' is '%.60s'", path,
                             preprocess);
    }
    options.preprocess = preprocess;
    // What was said last about why a file is not the one, with the user's own file first.
    sac_error why = {0};
    const char *candidates[] = {elsewhere, network};
    for (size_t i = 0; i < sizeof candidates / sizeof candidates[0]; i++) {
        if (candidates[i] == NULL) continue;
        sac_error own = {0};
        options.network = candidates[i];
        sac_status opened = sac_deep_open(out, &options, backend, &own);
        if (opened == SAC_OK && strcmp((*out)->digest, digest) == 0 && (*out)->length == length)
            return SAC_OK;
        if (opened == SAC_OK) {
            (void)sac_error_set(&own, SAC_ERROR_ARGUMENT, -1, "%s has digest %.12s", candidates[i],
                                (*out)->digest);
            opened = SAC_ERROR_ARGUMENT;
        }
        sac_deep_close(out);
        if (why.message[0] != '\0') continue;
        status = opened;
        why = own;
    }
    return sac_error_set(error, status, -1,
                         "%s: its deep features are those of network '%.200s' with digest %.12s; "
                         "name that file with --deep-features (%.200s)",
                         path, network, digest, why.message);
fail:
    return status;
}

int64_t sac_deep_length(const sac_deep *deep) {
    return deep->length;
}

int64_t sac_deep_looked_at(const sac_deep *deep) {
    return deep->looked_at;
}

// ---- a clip -------------------------------------------------------------------------------------

sac_status sac_deep_use_cache(sac_deep *deep, const char *folder) {
    char *copy = folder == NULL ? NULL : sac_strdup(folder);
    if (folder != NULL && copy == NULL) return SAC_ERROR_MEMORY;
    sac_free(deep->cache);
    deep->cache = copy;
    return SAC_OK;
}

// What the vectors of a clip depend on, and the file that has its name from it.
static sac_status cache_path(const sac_deep *deep, const sac_detections *d, const uint8_t *pixels,
                             int width, int height, char stamp[SAC_DIGEST_TEXT], char **path) {
    sac_status status = SAC_OK;
    sac_digest *digest = NULL;
    char sizes[128];
    (void)snprintf(sizes, sizeof sizes, "%" PRId64 "x%dx%d, %" PRId64 " objects", d->frames, width,
                   height, d->count);
    SAC_TRY(sac_digest_create(&digest));
    sac_digest_text(digest, deep->digest);
    sac_digest_text(digest, sizes);
    sac_digest_bytes(digest, pixels, (size_t)d->frames * (size_t)width * (size_t)height);
    sac_digest_bytes(digest, d->start, (size_t)(d->frames + 1) * sizeof *d->start);
    for (int64_t i = 0; i < d->count; i++) {
        sac_digest_bytes(digest, &d->boxes[i].x1, 4 * sizeof d->boxes[i].x1);
    }
    sac_digest_finish(digest, stamp);
    SAC_TRY_ALLOC(*path = sac_format("%s/deep.%.16s.safetensors", deep->cache, stamp));
fail:
    sac_digest_close(&digest);
    return status;
}

// Whether the file was there and good.
static bool recall(const char *path, const char *stamp, float *rows, int64_t count,
                   int64_t length) {
    sac_safetensors *st = NULL;
    const void *data = NULL;
    const int64_t dims[2] = {count, length};
    bool good = false;
    if (!sac_is_file(path) || sac_safetensors_read(&st, path, NULL) < 0) return false;
    const char *own = sac_safetensors_metadata(st, "stamp");
    if (own != NULL && strcmp(own, stamp) == 0 &&
        sac_safetensors_expect(st, "features", SAC_DTYPE_F32, 2, dims, &data, NULL) == SAC_OK) {
        memcpy(rows, data, (size_t)(count * length) * sizeof *rows);
        good = true;
        for (int64_t i = 0; i < count * length; i++) good = good && isfinite(rows[i]);
    }
    sac_safetensors_close(&st);
    return good;
}

static sac_status keep(const char *path, const char *stamp, const float *rows, int64_t count,
                       int64_t length, sac_error *error) {
    sac_status status = SAC_OK;
    sac_safetensors *st = NULL;
    const int64_t dims[2] = {count, length};
    SAC_TRY(sac_safetensors_create(&st));
    SAC_TRY(sac_safetensors_set_metadata(st, "stamp", stamp, error));
    SAC_TRY(sac_safetensors_add(st, "features", SAC_DTYPE_F32, 2, dims, rows, error));
    SAC_TRY(sac_safetensors_write(st, path, error));
fail:
    sac_safetensors_close(&st);
    return status;
}

static void to_unit_length(float *row, int64_t length) {
    double sum = 0;
    for (int64_t k = 0; k < length; k++) sum += (double)row[k] * (double)row[k];
    if (!(sum > 0)) return;
    const double scale = 1 / sqrt(sum);
    for (int64_t k = 0; k < length; k++) row[k] = (float)((double)row[k] * scale);
}

sac_status sac_deep_measure(sac_deep *deep, float *rows, const sac_detections *d,
                            const uint8_t *pixels, int width, int height, bool (*stop)(void),
                            void (*progress)(void *user, int64_t objects_done), void *user,
                            sac_error *error) {
    sac_status status = SAC_OK;
    sac_crop_object *objects = NULL;
    char stamp[SAC_DIGEST_TEXT], *path = NULL;
    if (d->count == 0) return SAC_OK;
    if (deep->cache != NULL) {
        SAC_TRY(sac_folder_create(deep->cache, error));
        SAC_TRY(cache_path(deep, d, pixels, width, height, stamp, &path));
        if (recall(path, stamp, rows, d->count, deep->length)) goto fail;
    }
    SAC_TRY_ALLOC(objects = sac_calloc(d->count, sizeof *objects));
    for (int64_t t = 0; t < d->frames; t++) {
        for (int64_t i = d->start[t]; i < d->start[t + 1]; i++) {
            objects[i] = (sac_crop_object){.pixels = pixels,
                                           .width = width,
                                           .height = height,
                                           .frames = d->frames,
                                           .t = t,
                                           .box = d->boxes[i]};
        }
    }
    for (int64_t first = 0; first < d->count; first += SLICE) {
        const int64_t n = d->count - first < SLICE ? d->count - first : SLICE;
        SAC_TRY(sac_image_runner_run(deep->runner, rows + first * deep->length, deep->length,
                                     objects + first, n, stop, error));
        for (int64_t i = first; i < first + n; i++) {
            to_unit_length(rows + i * deep->length, deep->length);
        }
        deep->looked_at += n;
        if (progress != NULL) progress(user, first + n);
    }
    if (path != NULL) SAC_TRY(keep(path, stamp, rows, d->count, deep->length, error));
fail:
    sac_free(objects);
    sac_free(path);
    return status < 0 ? sac_error_set(error, status, -1, "no memory for deep features") : SAC_OK;
}
