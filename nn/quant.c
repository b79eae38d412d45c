// The quantisation table, its JSON, and the rounding of weights. Which nodes go together and the
// training network are in nn/quant_train.c.
#include "nn/quant.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "core/check.h"
#include "core/json.h"
#include "core/memory.h"
#include "nn/u8_isa.h"

#define VERSION     1
#define MAX_ENTRIES 4096
#define MAX_NAME    128

typedef struct entry {
    char *name;
    double scale;
} entry;

struct sac_quant {
    entry *entries;
    int count, capacity;
};

sac_status sac_quant_create(sac_quant **quant) {
    *quant = sac_calloc(1, sizeof **quant);
    return *quant != NULL ? SAC_OK : SAC_ERROR_MEMORY;
}

void sac_quant_close(sac_quant **quant) {
    if (quant == NULL || *quant == NULL) return;
    for (int i = 0; i < (*quant)->count; i++) sac_free((*quant)->entries[i].name);
    sac_free((*quant)->entries);
    sac_free(*quant);
    *quant = NULL;
}

static entry *find(const sac_quant *quant, const char *name) {
    for (int i = 0; quant != NULL && i < quant->count; i++) {
        if (strcmp(quant->entries[i].name, name) == 0) return &quant->entries[i];
    }
    return NULL;
}

sac_status sac_quant_set(sac_quant *quant, const char *name, double scale, sac_error *error) {
    const size_t length = name != NULL ? strlen(name) : 0;
    if (length == 0 || length > MAX_NAME)
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "a quantised node needs a name of 1 to %d characters", MAX_NAME);
    if (!(scale >= SAC_QUANT_MIN_SCALE && scale <= SAC_QUANT_MAX_SCALE))
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "scale of '%s' is %g, expected %g to %g", name, scale,
                             SAC_QUANT_MIN_SCALE, SAC_QUANT_MAX_SCALE);
    entry *known = find(quant, name);
    if (known != NULL) {
        known->scale = scale;
        return SAC_OK;
    }
    if (quant->count == MAX_ENTRIES)
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1, "more than %d quantised nodes",
                             MAX_ENTRIES);
    if (quant->count == quant->capacity) {
        const int capacity = quant->capacity == 0 ? 32 : 2 * quant->capacity;
        entry *grown = sac_recalloc(quant->entries, quant->capacity, capacity, sizeof *grown);
        if (grown == NULL) return sac_error_set(error, SAC_ERROR_MEMORY, -1, "out of memory");
        quant->entries = grown;
        quant->capacity = capacity;
    }
    char *copy = sac_strdup(name);
    if (copy == NULL) return sac_error_set(error, SAC_ERROR_MEMORY, -1, "out of memory");
    quant->entries[quant->count++] = (entry){.name = copy, .scale = scale};
    return SAC_OK;
}

float sac_quant_scale(const sac_quant *quant, const char *name) {
    const entry *known = find(quant, name);
    return known != NULL ? (float)known->scale : 0.0f;
}

int sac_quant_count(const sac_quant *quant) {
    return quant != NULL ? quant->count : 0;
}

const char *sac_quant_name(const sac_quant *quant, int index) {
    return quant->entries[index].name;
}

sac_status sac_quant_copy(sac_quant **copy, const sac_quant *quant) {
    sac_status status = SAC_OK;
    *copy = NULL;
    SAC_TRY(sac_quant_create(copy));
    for (int i = 0; i < sac_quant_count(quant); i++)
        SAC_TRY(sac_quant_set(*copy, quant->entries[i].name, quant->entries[i].scale, NULL));
    return SAC_OK;
fail:
    sac_quant_close(copy);
    return status;
}

json_t *sac_quant_to_json(const sac_quant *quant) {
    json_t *activations = json_object();
    for (int i = 0; i < sac_quant_count(quant); i++) {
        if (json_object_set_new(activations, quant->entries[i].name,
                                json_real(quant->entries[i].scale)) < 0) {
            json_decref(activations);
            return NULL;
        }
    }
    return json_pack("{s:i, s:o}", "version", VERSION, "activations", activations);
}

sac_status sac_quant_from_json(sac_quant **out, const json_t *json, const char *name,
                               sac_error *error) {
    sac_status status = SAC_OK;
    sac_quant *quant = NULL;
    json_t *activations = NULL, *item = NULL;
    const char *key = NULL;
    int64_t version = 0;
    *out = NULL;
    SAC_TRY(sac_json_get_int(json, "version", 1, INT32_MAX, &version, name, error));
    if (version != VERSION)
        return sac_error_set(error, SAC_ERROR_UNSUPPORTED, -1,
                             "%s: quantisation table of version %lld, this program knows %d", name,
                             (long long)version, VERSION);
    SAC_TRY(sac_json_get_object(json, "activations", &activations, name, error));
    if (json_object_size(activations) > MAX_ENTRIES)
        return sac_error_set(error, SAC_ERROR_FORMAT, -1,
                             "%s: %zu quantised activations, expected at most %d", name,
                             json_object_size(activations), MAX_ENTRIES);
    SAC_TRY(sac_quant_create(&quant));
    json_object_foreach(activations, key, item) {
        sac_error why = {0};
        if (!json_is_number(item)) {
            status = sac_error_set(error, SAC_ERROR_FORMAT, -1,
                                   "%s: the scale of '%.128s' must be a number", name, key);
            goto fail;
        }
        status = sac_quant_set(quant, key, json_number_value(item), &why);
        if (status == SAC_ERROR_ARGUMENT) {
            status = sac_error_set(error, SAC_ERROR_FORMAT, -1, "%s: %s", name, why.message);
        }
        if (status != SAC_OK) goto fail;
    }
    *out = quant;
    return SAC_OK;
fail:
    sac_quant_close(&quant);
    return sac_error_set(error, status, -1, "%s: %s", name, sac_status_name(status));
}

// Scale of one channel. A channel so small that its scale would be no normal number counts as zero.
static float channel_scale(const float *weights, int64_t k) {
    float largest = 0.0f;
    for (int64_t i = 0; i < k; i++) {
        const float size = fabsf(weights[i]);
        if (size > largest) largest = size;
    }
    const float scale = largest / 127.0f;
    return scale >= FLT_MIN && scale <= FLT_MAX ? scale : 1.0f;
}

static float step_of(float weight, float scale) {
    float q = rintf(weight / scale);
    if (!(q >= -127.0f)) q = -127.0f;
    return q > 127.0f ? 127.0f : q;
}

int8_t sac_quant_step(float weight, float scale) {
    return (int8_t)step_of(weight, scale);
}

void sac_quant_weights(int8_t *q, float *scales, const float *weights, int64_t oc, int64_t k) {
    for (int64_t c = 0; c < oc; c++) {
        scales[c] = channel_scale(weights + c * k, k);
        for (int64_t i = 0; q != NULL && i < k; i++)
            q[c * k + i] = (int8_t)step_of(weights[c * k + i], scales[c]);
    }
}

void sac_quant_weights_fake(float *fake, const float *weights, int64_t oc, int64_t k) {
    for (int64_t c = 0; c < oc; c++) {
        const float scale = channel_scale(weights + c * k, k);
        for (int64_t i = 0; i < k; i++) {
            const float w = weights[c * k + i];
            // What is not a number shall be seen, not be rounded away.
            fake[c * k + i] = isfinite(w) ? scale * step_of(w, scale) : w;
        }
    }
}

bool sac_quant_cpu_is_fast(void) {
    return sac_u8_isa_best() != SAC_U8_PLAIN;
}
