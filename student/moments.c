// Online choice of the top moments. Greedy: a moment moves forward in time while the score still
// rises, which keeps one picture per event instead of many of the same second. Not an event
// detector: no threshold.
#include "student/moments.h"

#include <string.h>

#include "core/check.h"
#include "core/memory.h"
#include "video/scale.h"

enum { MAX_WIDTH = 480, MAX_MOMENTS = 64 };

struct sac_moments {
    int capacity, count;
    int64_t gap;
    int source_width, source_height, width, height, channels;
    sac_scaler *scaler; // NULL: frames are kept at their size
    sac_moment items[MAX_MOMENTS];
};

sac_status sac_moments_create(sac_moments **out, int count, int64_t gap, int width, int height,
                              int channels) {
    sac_status status = SAC_OK;
    *out = NULL;
    if (count < 1 || count > MAX_MOMENTS || gap < 1 || width < 1 || height < 1 || width > 16384 ||
        height > 16384 || (channels != 1 && channels != 3)) {
        return SAC_ERROR_ARGUMENT;
    }
    sac_moments *m = sac_calloc(1, sizeof *m);
    SAC_TRY_ALLOC(m);
    m->capacity = count;
    m->gap = gap;
    m->source_width = m->width = width;
    m->source_height = m->height = height;
    m->channels = channels;
    // A very tall frame is limited by its height, so that memory stays bounded for any shape.
    int64_t longest = width > height ? width : height;
    if (longest > MAX_WIDTH) {
        m->width = (int)((int64_t)width * MAX_WIDTH / longest);
        m->height = (int)((int64_t)height * MAX_WIDTH / longest);
        if (m->width < 1) m->width = 1;
        if (m->height < 1) m->height = 1;
        SAC_TRY(sac_scaler_create(&m->scaler, width, height, m->width, m->height, channels));
    }
    for (int i = 0; i < count; i++) {
        m->items[i].pixels = sac_calloc((int64_t)m->width * m->height * channels, 1);
        SAC_TRY_ALLOC(m->items[i].pixels);
    }
    *out = m;
    return SAC_OK;
fail:
    sac_moments_close(&m);
    return status;
}

static void keep(sac_moments *m, sac_moment *moment, const sac_result *result,
                 const uint8_t *pixels) {
    uint8_t *copy = moment->pixels;
    *moment = (sac_moment){.frame = result->frame,
                           .time_s = result->time_s,
                           .score = result->score,
                           .score_smoothed = result->score_smoothed,
                           .peak_x = result->peak_x,
                           .peak_y = result->peak_y,
                           .pixels = copy};
    const float *map = sac_result_finest(result, &moment->side);
    memcpy(moment->map, map, (size_t)(moment->side * moment->side) * sizeof *map);
    if (m->scaler != NULL) {
        sac_scaler_run(m->scaler, copy, pixels);
    } else {
        memcpy(copy, pixels, (size_t)m->width * (size_t)m->height * (size_t)m->channels);
    }
}

void sac_moments_offer(sac_moments *m, const sac_result *result, const uint8_t *pixels) {
    sac_moment *latest = NULL, *weakest = NULL;
    for (int i = 0; i < m->count; i++) {
        sac_moment *item = &m->items[i];
        if (latest == NULL || item->frame > latest->frame) latest = item;
        if (weakest == NULL || item->score_smoothed < weakest->score_smoothed) weakest = item;
    }
    if (latest != NULL && result->frame - latest->frame < m->gap) {
        if (result->score_smoothed > latest->score_smoothed) keep(m, latest, result, pixels);
    } else if (m->count < m->capacity) {
        keep(m, &m->items[m->count++], result, pixels);
    } else if (result->score_smoothed > weakest->score_smoothed) {
        keep(m, weakest, result, pixels);
    }
}

int sac_moments_count(const sac_moments *m) {
    return m->count;
}

static bool ranks_before(const sac_moment *a, const sac_moment *b) {
    if (a->score_smoothed != b->score_smoothed) return a->score_smoothed > b->score_smoothed;
    return a->frame < b->frame;
}

const sac_moment *sac_moments_at(const sac_moments *m, int rank) {
    for (int i = 0; i < m->count; i++) {
        int before = 0;
        for (int j = 0; j < m->count; j++) before += ranks_before(&m->items[j], &m->items[i]);
        if (before == rank) return &m->items[i];
    }
    return NULL;
}

void sac_moments_size(const sac_moments *m, int *width, int *height, int *channels) {
    *width = m->width;
    *height = m->height;
    *channels = m->channels;
}

void sac_moments_close(sac_moments **moments) {
    if (moments == NULL || *moments == NULL) return;
    sac_moments *m = *moments;
    sac_scaler_close(&m->scaler);
    for (int i = 0; i < m->capacity; i++) sac_free(m->items[i].pixels);
    sac_free(m);
    *moments = NULL;
}
