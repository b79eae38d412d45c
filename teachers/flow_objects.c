// Threshold, blacking out and connected regions of the flow's length. Frames are independent of
// each other but for the noise level of the clip.
#include "teachers/flow_objects.h"

#include <math.h>
#include <string.h>

#include "core/check.h"
#include "core/memory.h"
#include "video/background.h"
#include "video/flow.h"

enum {
    SAMPLES = 31, // frames the noise level is taken from
    REACH = 4,    // px around what changes or is known
};
// Steps of 1/32 px up to 8 px are enough to take a median of.
#define STEPS 32.0f
// Median over lower quartile of the length of a vector of normal noise, sqrt(log 2 / log(4 / 3)).
#define RAYLEIGH 1.5522f
// Gray levels that a mean of 3x3 pixels must at least change by.
#define LEAST_CHANGE 2.0f

typedef struct finder {
    const uint8_t *pixels;
    int64_t frames, picture;
    int width, height;
    sac_flow *flow;
    float *uv;                      // [2][height][width]
    float *length;                  // [height][width] of the flow, then less the noise
    float *noise;                   // [height][width]
    uint8_t *samples;               // [SAMPLES][height][width], in STEPS
    uint8_t *mask;                  // [height][width]
    uint8_t *changed, *rows, *near; // [height][width]
    int32_t *labels;                // [height][width]
    sac_box *boxes;
    int64_t count, capacity;
} finder;

static void close_finder(finder *f) {
    sac_flow_close(&f->flow);
    sac_free(f->uv);
    sac_free(f->length);
    sac_free(f->noise);
    sac_free(f->samples);
    sac_free(f->mask);
    sac_free(f->changed);
    sac_free(f->rows);
    sac_free(f->near);
    sac_free(f->labels);
    sac_free(f->boxes);
}

// The frame that frame t is compared with.
static int64_t following(const finder *f, int64_t t) {
    return t + 1 < f->frames ? t + 1 : t - 1;
}

static sac_status flow_length(finder *f, int64_t t) {
    const int64_t to = following(f, t);
    sac_status status =
        sac_flow_run(f->flow, f->uv, f->pixels + t * f->picture, f->pixels + to * f->picture);
    const float *u = f->uv, *v = f->uv + f->picture;
    for (int64_t p = 0; p < f->picture; p++) f->length[p] = sqrtf(u[p] * u[p] + v[p] * v[p]);
    return status;
}

// Value at rank `rank` (from 0) of a histogram of bytes.
static int ranked(const int64_t histogram[256], int64_t rank) {
    int64_t seen = 0;
    for (int value = 0; value < 256; value++) {
        seen += histogram[value];
        if (seen > rank) return value;
    }
    return 255;
}

static sac_status measure_noise(finder *f) {
    sac_status status = SAC_OK;
    const int samples = f->frames < SAMPLES ? (int)f->frames : SAMPLES;
    SAC_TRY_ALLOC(f->samples = sac_calloc(samples * f->picture, 1));
    for (int i = 0; i < samples; i++) {
        SAC_TRY(flow_length(f, (2 * (int64_t)i + 1) * f->frames / (2 * samples)));
        uint8_t *dst = f->samples + i * f->picture;
        for (int64_t p = 0; p < f->picture; p++) {
            dst[p] = (uint8_t)lroundf(fminf(STEPS * f->length[p], 255));
        }
    }
    int64_t typical[256] = {0};
    for (int64_t p = 0; p < f->picture; p++) {
        int64_t histogram[256] = {0};
        for (int i = 0; i < samples; i++) histogram[f->samples[i * f->picture + p]]++;
        const int value = ranked(histogram, samples / 4);
        f->noise[p] = RAYLEIGH * (float)value / STEPS;
        typical[value]++;
    }
    // A pixel that happened to be quiet is no quieter than the picture.
    const float least = RAYLEIGH * (float)ranked(typical, f->picture / 2) / STEPS;
    for (int64_t p = 0; p < f->picture; p++) f->noise[p] = fmaxf(f->noise[p], least);
fail:
    sac_free(f->samples);
    f->samples = NULL;
    return status;
}

static void black_out(finder *f, const sac_detections *known, int64_t t) {
    for (int64_t i = known->start[t]; i < known->start[t + 1]; i++) {
        const sac_box *b = &known->boxes[i];
        const int x1 = (int)fmaxf(floorf(b->x1) - REACH, 0);
        const int y1 = (int)fmaxf(floorf(b->y1) - REACH, 0);
        const int x2 = (int)fminf(ceilf(b->x2) + REACH, (float)f->width);
        const int y2 = (int)fminf(ceilf(b->y2) + REACH, (float)f->height);
        for (int y = y1; y < y2; y++) {
            if (x1 < x2) memset(f->mask + (int64_t)y * f->width + x1, 0, (size_t)(x2 - x1));
        }
    }
}

// Value of the middle of `count` numbers between -LEVELS and LEVELS, in quarters.
static float middle(const float *values, int64_t count) {
    enum { LEVELS = 256 };
    int64_t histogram[8 * LEVELS] = {0}, seen = 0;
    for (int64_t i = 0; i < count; i++) {
        const float at = 4 * (values[i] + LEVELS) + 0.5f;
        histogram[(int)fminf(fmaxf(at, 0), 8 * LEVELS - 1)]++;
    }
    int value = 0;
    while (value < 8 * LEVELS - 1 && (seen += histogram[value]) <= count / 2) value++;
    return 0.25f * (float)value - LEVELS;
}

// f->changed: whose mean of 3x3 differs between the two frames by more than noise, once a change of
// the whole picture's brightness is taken off.
static void find_changes(finder *f, int64_t t) {
    const uint8_t *from = f->pixels + t * f->picture,
                  *to = f->pixels + following(f, t) * f->picture;
    float *d = f->uv, *mean = f->uv + f->picture; // the flow is not needed any more
    for (int64_t p = 0; p < f->picture; p++) d[p] = (float)to[p] - (float)from[p];
    const float offset = middle(d, f->picture);
    for (int y = 0; y < f->height; y++) {
        const int above = y > 0 ? -f->width : 0, below = y + 1 < f->height ? f->width : 0;
        for (int x = 0; x < f->width; x++) {
            const int left = x > 0 ? -1 : 0, right = x + 1 < f->width ? 1 : 0;
            const int64_t p = (int64_t)y * f->width + x;
            const float *a = d + p + above, *b = d + p, *c = d + p + below;
            const float sum = (a[left] + a[0] + a[right]) + (b[left] + b[0] + b[right]) +
                              (c[left] + c[0] + c[right]);
            mean[p] = fabsf(sum / 9 - offset);
        }
    }
    const float limit = fmaxf(3 * 1.4826f * middle(mean, f->picture), LEAST_CHANGE);
    for (int64_t p = 0; p < f->picture; p++) f->changed[p] = mean[p] > limit;
}

// Sets what lies within REACH px of a set place, in `dst`.
static void grow_axis(uint8_t *dst, const uint8_t *src, int64_t stride, int n) {
    int last = -REACH - 1; // last set place so far
    for (int i = 0; i < n + REACH; i++) {
        if (i < n && src[i * stride]) last = i;
        const int at = i - REACH;
        if (at >= 0) dst[at * stride] = last >= at - REACH;
    }
}

// Flow reaches beyond a thing where the ground has no texture to contradict; no gray level changes
// there.
static void keep_near_changes(finder *f) {
    for (int y = 0; y < f->height; y++) {
        const int64_t row = (int64_t)y * f->width;
        grow_axis(f->rows + row, f->changed + row, 1, f->width);
    }
    for (int x = 0; x < f->width; x++) grow_axis(f->near + x, f->rows + x, f->width, f->height);
    for (int64_t p = 0; p < f->picture; p++) f->mask[p] &= f->near[p];
}

static sac_status append_box(finder *f, sac_box box) {
    if (f->count == f->capacity) {
        const int64_t capacity = f->capacity == 0 ? 256 : 2 * f->capacity;
        sac_box *grown = sac_recalloc(f->boxes, f->capacity, capacity, sizeof *grown);
        if (grown == NULL) return SAC_ERROR_MEMORY;
        f->boxes = grown;
        f->capacity = capacity;
    }
    f->boxes[f->count++] = box;
    return SAC_OK;
}

static sac_status find_in_frame(finder *f, int64_t t, double threshold_px, double min_area_px,
                                const sac_detections *known) {
    sac_status status = SAC_OK;
    sac_blob *blobs = NULL;
    int64_t count = 0;
    SAC_TRY(flow_length(f, t));
    for (int64_t p = 0; p < f->picture; p++) {
        f->length[p] -= f->noise[p];
        f->mask[p] = f->length[p] > (float)threshold_px;
    }
    if (known != NULL) black_out(f, known, t);
    find_changes(f, t);
    keep_near_changes(f);
    SAC_TRY(sac_blobs_find(&blobs, &count, f->labels, f->mask, f->length, f->width, f->height));
    for (int64_t i = 0; i < count; i++) {
        const sac_blob *b = &blobs[i];
        if ((double)b->area < min_area_px) continue;
        const double mean = b->strength / (double)b->area;
        int64_t area = 0;
        int x1 = b->x2, y1 = b->y2, x2 = b->x1, y2 = b->y1;
        for (int y = b->y1; y < b->y2; y++) {
            for (int x = b->x1; x < b->x2; x++) {
                const int64_t p = (int64_t)y * f->width + x;
                if (f->labels[p] != i + 1 || !f->changed[p]) continue;
                area++;
                if (x < x1) x1 = x;
                if (y < y1) y1 = y;
                if (x + 1 > x2) x2 = x + 1;
                if (y + 1 > y2) y2 = y + 1;
            }
        }
        if ((double)area < min_area_px) continue;
        SAC_TRY(append_box(f, (sac_box){.x1 = (float)x1,
                                        .y1 = (float)y1,
                                        .x2 = (float)x2,
                                        .y2 = (float)y2,
                                        .confidence = (float)(mean / (mean + threshold_px)),
                                        .class_id = -1}));
    }
fail:
    sac_free(blobs);
    return status;
}

sac_status sac_flow_objects_detect(sac_detections *detections, const uint8_t *pixels,
                                   int64_t frames, int width, int height, double threshold_px,
                                   double min_area_px, const sac_detections *known,
                                   sac_error *error) {
    sac_status status = SAC_OK;
    finder f = {.pixels = pixels,
                .frames = frames,
                .picture = (int64_t)width * height,
                .width = width,
                .height = height};
    *detections = (sac_detections){0};
    if (frames < 1 || !(threshold_px > 0 && isfinite(threshold_px)) || !(min_area_px >= 1)) {
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "flow objects need a frame, a threshold above 0 and an area of at "
                             "least 1 px, got %lld frames, %g and %g",
                             (long long)frames, threshold_px, min_area_px);
    }
    if (known != NULL && known->frames != frames) {
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "flow objects of %lld frames beside known boxes of %lld frames",
                             (long long)frames, (long long)known->frames);
    }
    SAC_TRY(sac_flow_create(&f.flow, width, height, NULL, error));
    SAC_TRY_ALLOC(f.uv = sac_calloc(2 * f.picture, sizeof(float)));
    SAC_TRY_ALLOC(f.length = sac_calloc(f.picture, sizeof(float)));
    SAC_TRY_ALLOC(f.noise = sac_calloc(f.picture, sizeof(float)));
    SAC_TRY_ALLOC(f.mask = sac_calloc(f.picture, 1));
    SAC_TRY_ALLOC(f.changed = sac_calloc(f.picture, 1));
    SAC_TRY_ALLOC(f.rows = sac_calloc(f.picture, 1));
    SAC_TRY_ALLOC(f.near = sac_calloc(f.picture, 1));
    SAC_TRY_ALLOC(f.labels = sac_calloc(f.picture, sizeof(int32_t)));
    detections->frames = frames;
    SAC_TRY_ALLOC(detections->start = sac_calloc(frames + 1, sizeof(int64_t)));
    if (frames > 1) SAC_TRY(measure_noise(&f));
    for (int64_t t = 0; t < frames; t++) {
        if (frames > 1) SAC_TRY(find_in_frame(&f, t, threshold_px, min_area_px, known));
        detections->start[t + 1] = f.count;
    }
    if (f.boxes == NULL) SAC_TRY_ALLOC(f.boxes = sac_calloc(0, sizeof(sac_box)));
    detections->boxes = f.boxes;
    detections->count = f.count;
    f.boxes = NULL;
fail:
    close_finder(&f);
    if (status < 0) {
        sac_detections_close(detections);
        return sac_error_set(error, status, -1, "no memory for the flow objects");
    }
    return SAC_OK;
}
