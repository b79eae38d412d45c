// Darknet `.weights` files: the numbers in the order of the layers, copied into the parameter
// store.
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/check.h"
#include "core/file.h"
#include "core/memory.h"
#include "nn/darknet.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "weights are copied as they lie in the file");

// Where reading stands.
typedef struct reader {
    const char *file;
    const uint8_t *bytes;
    size_t at;
    sac_params *params;
    const sac_darknet_slot *slot;
    sac_error *error;
} reader;

static int64_t slot_numbers(const sac_darknet_slot *slot) {
    return slot->outputs * (slot->normalized ? 4 : 1) + slot->weights;
}

// Bytes of the header, 0 when it is not one.
static sac_status header_size(const uint8_t *bytes, size_t size, const char *file, size_t *header,
                              sac_error *error) {
    int32_t version[3];
    if (size < 16) {
        return sac_error_set(error, SAC_ERROR_FORMAT, (int64_t)size,
                             "%s: %zu bytes, expected a header of at least 16", file, size);
    }
    memcpy(version, bytes, sizeof version);
    if (version[0] < 0 || version[1] < 0 || version[0] > 2000 || version[1] > 2000) {
        return sac_error_set(error, SAC_ERROR_FORMAT, 0,
                             "%s: version %" PRId32 ".%" PRId32
                             " in the header, expected a Darknet weights file",
                             file, version[0], version[1]);
    }
    if (version[0] > 1000 || version[1] > 1000) {
        return sac_error_set(error, SAC_ERROR_UNSUPPORTED, 0,
                             "%s: version %" PRId32 ".%" PRId32
                             " marks transposed weights, which are not supported",
                             file, version[0], version[1]);
    }
    *header = version[0] * 10 + version[1] >= 2 ? 20 : 16;
    if (size < *header) {
        return sac_error_set(error, SAC_ERROR_FORMAT, (int64_t)size,
                             "%s: %zu bytes, expected a header of %zu", file, size, *header);
    }
    return SAC_OK;
}

static sac_status check_count(const sac_darknet *d, size_t payload, const char *file,
                              sac_error *error) {
    const int64_t found = (int64_t)(payload / 4);
    if (payload % 4 == 0 && found == d->weight_count) return SAC_OK;
    int64_t before = 0;
    for (int i = 0; i < d->slot_count && found < d->weight_count; i++) {
        const int64_t own = slot_numbers(&d->slots[i]);
        if (found < before + own) {
            return sac_error_set(error, SAC_ERROR_FORMAT, found,
                                 "%s: %" PRId64 " numbers, the cfg needs %" PRId64
                                 "; they run out in layer %d (line "
                                 "%" PRId64 " of the cfg), which needs %" PRId64
                                 " and finds %" PRId64,
                                 file, found, d->weight_count, d->slots[i].layer, d->slots[i].line,
                                 own, found - before);
        }
        before += own;
    }
    return sac_error_set(error, SAC_ERROR_FORMAT, d->weight_count,
                         "%s: %zu bytes behind the header, the cfg needs %" PRId64
                         " numbers (%" PRId64 " bytes)",
                         file, payload, d->weight_count, 4 * d->weight_count);
}

// The next numbers of the file into the parameter "<layer>.<name>".
static sac_status take(reader *r, const char *name, bool variance) {
    char full[64];
    (void)snprintf(full, sizeof full, "%d.%s", r->slot->layer, name);
    sac_param *param = sac_params_find(r->params, full);
    if (param == NULL) { // the importer named it, so it is there
        return sac_error_set(r->error, SAC_ERROR_SHAPE, -1, "%s: no parameter %s", r->file, full);
    }
    memcpy(param->data, r->bytes + r->at, (size_t)param->count * sizeof(float));
    for (int64_t i = 0; i < param->count; i++) {
        if (isfinite(param->data[i]) && !(variance && param->data[i] < 0)) continue;
        return sac_error_set(r->error, SAC_ERROR_FORMAT,
                             (int64_t)r->at + i * (int64_t)sizeof(float),
                             "%s: number %" PRId64 " of %s in layer %d (line %" PRId64
                             " of the cfg) is %g, expected a finite%s number",
                             r->file, i, name, r->slot->layer, r->slot->line,
                             (double)param->data[i], variance ? ", not negative" : "");
    }
    r->at += (size_t)param->count * sizeof(float);
    return SAC_OK;
}

static sac_status take_norm(reader *r) {
    sac_status status = SAC_OK;
    SAC_TRY(take(r, "norm.weight", false));
    SAC_TRY(take(r, "norm.running_mean", false));
    SAC_TRY(take(r, "norm.running_var", true));
fail:
    return status;
}

static sac_status take_slot(reader *r) {
    sac_status status = SAC_OK;
    const sac_darknet_slot *slot = r->slot;
    const char *bias = slot->normalized  ? "norm.bias"
                       : slot->connected ? "dense.bias"
                                         : "conv.bias";
    SAC_TRY(take(r, bias, false));
    if (slot->connected) {
        SAC_TRY(take(r, "dense.weight", false));
        if (slot->normalized) SAC_TRY(take_norm(r));
    } else {
        if (slot->normalized) SAC_TRY(take_norm(r));
        SAC_TRY(take(r, "conv.weight", false));
    }
fail:
    return status;
}

sac_status sac_darknet_parse_weights(sac_darknet *darknet, const void *bytes, size_t size,
                                     const char *file, sac_error *error) {
    sac_status status = SAC_OK;
    sac_params *params = NULL;
    size_t header = 0;
    SAC_TRY(header_size(bytes, size, file, &header, error));
    // Before anything is allocated: a hostile cfg may ask for any amount.
    SAC_TRY(check_count(darknet, size - header, file, error));
    SAC_TRY(sac_params_create_constant(&params, darknet->net, error));
    reader r = {.file = file, .bytes = bytes, .at = header, .params = params, .error = error};
    for (int i = 0; i < darknet->slot_count; i++) {
        r.slot = &darknet->slots[i];
        SAC_TRY(take_slot(&r));
    }
    if (r.at != size) {
        status = sac_error_set(error, SAC_ERROR_FORMAT, (int64_t)r.at,
                               "%s: layers take %zu of %zu bytes", file, r.at, size);
        goto fail;
    }
    sac_params_close(&darknet->params);
    darknet->params = params;
    return SAC_OK;
fail:
    sac_params_close(&params);
    return sac_error_set(error, status, -1, "%s: no memory for its weights", file);
}

sac_status sac_darknet_read_weights(sac_darknet *darknet, const char *path, sac_error *error) {
    uint8_t *bytes = NULL;
    size_t size = 0;
    sac_status status = sac_file_read(&bytes, &size, path, (size_t)4 << 30, error);
    if (status == SAC_OK) status = sac_darknet_parse_weights(darknet, bytes, size, path, error);
    sac_free(bytes);
    return status;
}
