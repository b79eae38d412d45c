// Readers of frame labels. Each checks values and counts against the clip; which file belongs to
// which clip is decided in dataset.c.
#include "video/labels.h"

#include <string.h>

#include "core/check.h"
#include "core/file.h"
#include "core/memory.h"
#include "core/npy.h"
#include "core/spans.h"
#include "video/masks.h"

static sac_status wrong_count(const char *path, const sac_clip *clip, int64_t count,
                              sac_error *error) {
    return sac_error_set(error, SAC_ERROR_FORMAT, count,
                         "clip '%s' has %lld frames, but '%s' holds %lld labels", clip->name,
                         (long long)clip->frames, path, (long long)count);
}

static sac_status read_npy(uint8_t **labels, const char *path, const sac_clip *clip,
                           sac_error *error) {
    sac_status status = SAC_OK;
    sac_npy npy = {0};
    uint8_t *out = NULL;
    SAC_TRY(sac_npy_read(&npy, path, error));
    int64_t longest = 1; // [T], [1][T] and [T][1] are all in use
    for (int i = 0; i < npy.ndims; i++)
        if (npy.dims[i] > longest) longest = npy.dims[i];
    if (npy.count != longest)
        SAC_TRY(sac_error_set(error, SAC_ERROR_FORMAT, -1,
                              "'%s' has %d dimensions, expected one label per frame", path,
                              npy.ndims));
    if (npy.count != clip->frames) SAC_TRY(wrong_count(path, clip, npy.count, error));
    out = sac_calloc(clip->frames, 1);
    SAC_TRY_ALLOC(out);
    for (int64_t i = 0; i < npy.count; i++) {
        if (npy.data[i] != 0 && npy.data[i] != 1)
            SAC_TRY(sac_error_set(error, SAC_ERROR_FORMAT, i,
                                  "'%s', frame %lld: label %g, expected 0 or 1", path, (long long)i,
                                  (double)npy.data[i]));
        out[i] = npy.data[i] != 0;
    }
    *labels = out;
    out = NULL;
fail:
    sac_free(out);
    sac_npy_close(&npy);
    return status;
}

static sac_status read_text(uint8_t **labels, const char *path, const sac_clip *clip,
                            sac_error *error) {
    sac_status status = SAC_OK;
    uint8_t *bytes = NULL, *out = NULL;
    size_t size = 0;
    int64_t line = 0;
    SAC_TRY(sac_file_read(&bytes, &size, path, (size_t)1 << 28, error));
    out = sac_calloc(clip->frames, 1);
    SAC_TRY_ALLOC(out);
    const char *at = (const char *)bytes, *end = at + size;
    while (end > at && (end[-1] == '\n' || end[-1] == '\r' || end[-1] == ' ' || end[-1] == '\t'))
        end--;
    while (at < end) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        if (stop == NULL) stop = end;
        const char *last = stop;
        while (at < last && (*at == ' ' || *at == '\t')) at++;
        while (last > at && (last[-1] == ' ' || last[-1] == '\t' || last[-1] == '\r')) last--;
        if (last - at != 1 || (*at != '0' && *at != '1'))
            SAC_TRY(sac_error_set(error, SAC_ERROR_FORMAT, line + 1,
                                  "'%s', line %lld: expected 0 or 1", path, (long long)line + 1));
        if (line < clip->frames) out[line] = *at == '1';
        line++;
        at = stop < end ? stop + 1 : end;
    }
    if (line != clip->frames) SAC_TRY(wrong_count(path, clip, line, error));
    *labels = out;
    out = NULL;
fail:
    sac_free(out);
    sac_free(bytes);
    return status;
}

sac_status sac_labels_read(uint8_t **labels, const char *path, const sac_clip *clip,
                           sac_error *error) {
    const char *dot = strrchr(path, '.');
    *labels = NULL;
    if (dot != NULL && (strcasecmp(dot, ".pkl") == 0 || strcasecmp(dot, ".pickle") == 0))
        return sac_npy_refuse_pickle(path, -1, error);
    if (dot != NULL && strcasecmp(dot, ".npy") == 0) return read_npy(labels, path, clip, error);
    return read_text(labels, path, clip, error);
}

sac_status sac_labels_from_masks(uint8_t **labels, const sac_clip *clip, sac_error *error) {
    sac_status status = SAC_OK;
    sac_masks *masks = NULL;
    uint8_t *mask = NULL, *out = NULL;
    int width = 0, height = 0;
    *labels = NULL;
    SAC_TRY(sac_masks_open(&masks, clip, 0, 0, error));
    sac_masks_size(masks, &width, &height);
    const int64_t area = (int64_t)width * height;
    SAC_TRY_ALLOC(mask = sac_calloc(area, 1));
    SAC_TRY_ALLOC(out = sac_calloc(clip->frames, 1));
    for (int64_t t = 0; t < clip->frames; t++) {
        SAC_TRY(sac_masks_read(masks, t, mask, error));
        out[t] = memchr(mask, 1, (size_t)area) != NULL;
    }
    *labels = out;
    out = NULL;
fail:
    sac_free(out);
    sac_free(mask);
    sac_masks_close(&masks);
    return status;
}

sac_status sac_labels_from_spans(uint8_t **labels, const char *path, const sac_clip *clip,
                                 sac_error *error) {
    sac_status status = SAC_OK;
    sac_span *spans = NULL;
    int64_t count = 0;
    *labels = NULL;
    SAC_TRY(sac_spans_read(&spans, &count, path, clip->name, clip->frames, error));
    SAC_TRY_ALLOC(*labels = sac_calloc(clip->frames, 1));
    for (int64_t i = 0; i < count; i++)
        memset(*labels + spans[i].first, 1, (size_t)(spans[i].last - spans[i].first + 1));
fail:
    sac_free(spans);
    return status;
}

sac_status sac_labels_mark(sac_clip *clip, int64_t first, int64_t last, const char *path,
                           int64_t line, sac_error *error) {
    char place[40] = "";
    if (clip->labels == NULL) clip->labels = sac_calloc(clip->frames, 1);
    if (clip->labels == NULL) return SAC_ERROR_MEMORY;
    if (first < 1 || last < first || last > clip->frames) {
        if (line > 0) (void)snprintf(place, sizeof place, ", line %lld", (long long)line);
        return sac_error_set(
            error, SAC_ERROR_FORMAT, line,
            "clip '%s' has %lld frames, but '%s'%s marks frames %lld to %lld of it", clip->name,
            (long long)clip->frames, path, place, (long long)first, (long long)last);
    }
    memset(clip->labels + first - 1, 1, (size_t)(last - first + 1));
    return SAC_OK;
}
