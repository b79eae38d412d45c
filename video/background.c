// Median background with per-pixel noise, exposure compensation, closing and connected components.
// Everything is computed from the clip's own pixels; nothing is learned across clips.
#include "video/background.h"

#include <math.h>
#include <string.h>

#include "core/check.h"
#include "core/memory.h"

struct sac_background {
    const uint8_t *pixels;
    int64_t frames;
    int width, height;
    sac_background_options options;
    int64_t segment;   // whose model is loaded, -1: none yet
    uint8_t *median;   // [height][width]
    float *noise;      // [height][width]
    float *difference; // [height][width] scratch
    float *rows;       // [height][width] scratch of the 3x3 mean
    uint8_t *scratch;  // [height][width] scratch of the closing
};

sac_background_options sac_background_default_options(void) {
    return (sac_background_options){
        .samples = 61, .segment_frames = 600, .threshold = 8, .close_x = 1, .close_y = 2};
}

sac_status sac_background_create(sac_background **out, const uint8_t *pixels, int64_t frames,
                                 int width, int height, const sac_background_options *options,
                                 sac_error *error) {
    sac_status status = SAC_OK;
    *out = NULL;
    if (pixels == NULL || frames < 1 || width < 1 || height < 1) {
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "a background needs at least one frame, got %lld of %dx%d",
                             (long long)frames, width, height);
    }
    if (options->samples < 3 || options->samples > 251 || options->segment_frames < 1 ||
        !(options->threshold > 0) || !isfinite(options->threshold) || options->close_x < 0 ||
        options->close_x > 32 || options->close_y < 0 || options->close_y > 32) {
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "a background option is out of range (samples 3..251, threshold above "
                             "0, closing radius 0..32)");
    }
    sac_background *background = sac_calloc(1, sizeof *background);
    SAC_TRY_ALLOC(background);
    background->pixels = pixels;
    background->frames = frames;
    background->width = width;
    background->height = height;
    background->options = *options;
    background->segment = -1;
    int64_t count = 0;
    if (!sac_mul(width, height, &count)) {
        status = SAC_ERROR_MEMORY;
        goto fail;
    }
    SAC_TRY_ALLOC(background->median = sac_calloc(count, 1));
    SAC_TRY_ALLOC(background->noise = sac_calloc(count, sizeof(float)));
    SAC_TRY_ALLOC(background->difference = sac_calloc(count, sizeof(float)));
    SAC_TRY_ALLOC(background->rows = sac_calloc(count, sizeof(float)));
    SAC_TRY_ALLOC(background->scratch = sac_calloc(count, 1));
    *out = background;
    return SAC_OK;
fail:
    sac_background_close(&background);
    return sac_error_set(error, status, -1, "no memory for a background of %dx%d pixels", width,
                         height);
}

// Value at rank `rank` (from 0) of a histogram of bytes.
static int ranked(const uint16_t *histogram, int rank) {
    int seen = 0;
    for (int value = 0; value < 256; value++) {
        seen += histogram[value];
        if (seen > rank) return value;
    }
    return 255;
}

// Fills median and noise for the segment frame t lies in.
static void load_segment(sac_background *background, int64_t t) {
    int64_t length = background->options.segment_frames;
    int64_t segments = (background->frames + length - 1) / length;
    int64_t segment = t / length;
    if (segment == background->segment) return;
    background->segment = segment;
    // A short last segment would otherwise see only a few frames: reach half a segment to both
    // sides.
    int64_t first = 0, last = background->frames - 1;
    if (segments > 1) {
        first = segment * length - length / 2;
        last = (segment + 1) * length - 1 + length / 2;
        if (first < 0) first = 0;
        if (last > background->frames - 1) last = background->frames - 1;
    }
    int64_t span = last - first + 1;
    int samples = span < background->options.samples ? (int)span : background->options.samples;
    int64_t picture = (int64_t)background->width * background->height;
    const uint8_t *sample[251];
    for (int i = 0; i < samples; i++) {
        int64_t frame = first + (2 * (int64_t)i + 1) * span / (2 * samples);
        sample[i] = background->pixels + frame * picture;
    }
    int64_t noise_histogram[256] = {0};
    uint16_t histogram[256];
    for (int64_t p = 0; p < picture; p++) {
        memset(histogram, 0, sizeof histogram);
        for (int i = 0; i < samples; i++) histogram[sample[i][p]]++;
        int median = ranked(histogram, samples / 2);
        memset(histogram, 0, sizeof histogram);
        for (int i = 0; i < samples; i++) {
            int deviation = sample[i][p] - median;
            histogram[deviation < 0 ? -deviation : deviation]++;
        }
        int deviation = ranked(histogram, samples / 2);
        background->median[p] = (uint8_t)median;
        background->noise[p] = 1.4826f * (float)deviation;
        noise_histogram[deviation]++;
    }
    // A pixel that happened to be constant is not noise-free: no pixel is better than the typical
    // one.
    int64_t seen = 0;
    int typical = 0;
    while (typical < 255 && (seen += noise_histogram[typical]) <= picture / 2) typical++;
    float least = 1.4826f * (float)typical;
    if (least < 1) least = 1;
    for (int64_t p = 0; p < picture; p++) {
        if (background->noise[p] < least) background->noise[p] = least;
    }
}

// Exposure of a frame relative to the background: frame = gain * background + offset, least squares
// over the pixels that fit, starting from the median difference (objects cover less than half).
static void fit_exposure(const sac_background *background, const uint8_t *frame, double *gain,
                         double *offset) {
    int64_t picture = (int64_t)background->width * background->height;
    int64_t step = picture / 20000 + 1;
    if (step > 1 && step % 2 == 0) step++; // does not run down one column of an even width
    int64_t histogram[511] = {0}, samples = 0;
    for (int64_t p = 0; p < picture; p += step, samples++) {
        histogram[frame[p] - background->median[p] + 255]++;
    }
    int64_t seen = 0;
    int difference = 0;
    while (difference < 510 && (seen += histogram[difference]) <= samples / 2) difference++;
    *gain = 1;
    *offset = difference - 255;
    for (int round = 0; round < 3; round++) {
        double n = 0, sx = 0, sy = 0, sxx = 0, sxy = 0;
        for (int64_t p = 0; p < picture; p += step) {
            double x = background->median[p], y = frame[p];
            double limit = 2.5 * background->noise[p] + 2;
            if (fabs(y - *gain * x - *offset) > limit) continue;
            n += 1;
            sx += x;
            sy += y;
            sxx += x * x;
            sxy += x * y;
        }
        if (n * 4 < (double)samples) return; // too few pixels agree: keep the last estimate
        double variance = sxx / n - sx / n * (sx / n);
        if (variance < 25) { // a flat picture says nothing about the gain
            *offset = sy / n - *gain * sx / n;
            continue;
        }
        double slope = (sxy / n - sx / n * (sy / n)) / variance;
        if (slope < 0.5 || slope > 2) return;
        *gain = slope;
        *offset = sy / n - slope * sx / n;
    }
}

// Running maximum (dilation) or minimum (erosion) along one axis; outside the picture is ignored.
static void filter_axis(uint8_t *dst, const uint8_t *src, int64_t n, int64_t stride, int radius,
                        uint8_t wanted) {
    // Distance since the last pixel of the wanted value is enough for a binary mask.
    int64_t last = -1 - (int64_t)radius;
    for (int64_t i = 0; i < n + radius; i++) {
        if (i < n && src[i * stride] == wanted) last = i;
        int64_t centre = i - radius;
        if (centre < 0) continue;
        dst[centre * stride] = last >= centre - radius ? wanted : (uint8_t)(1 - wanted);
    }
}

static void filter_mask(sac_background *background, uint8_t *mask, uint8_t wanted) {
    int width = background->width, height = background->height;
    for (int y = 0; y < height; y++) {
        filter_axis(background->scratch + (int64_t)y * width, mask + (int64_t)y * width, width, 1,
                    background->options.close_x, wanted);
    }
    for (int x = 0; x < width; x++) {
        filter_axis(mask + x, background->scratch + x, height, width, background->options.close_y,
                    wanted);
    }
}

// 3x3 mean over the pixels that exist.
static void mean3(float *dst, float *rows, const float *src, int width, int height) {
    for (int y = 0; y < height; y++) {
        const float *line = src + (int64_t)y * width;
        for (int x = 0; x < width; x++) {
            float sum = line[x];
            float n = 1;
            if (x > 0) sum += line[x - 1], n += 1;
            if (x + 1 < width) sum += line[x + 1], n += 1;
            rows[(int64_t)y * width + x] = sum / n;
        }
    }
    for (int y = 0; y < height; y++) {
        const float *line = rows + (int64_t)y * width;
        for (int x = 0; x < width; x++) {
            float sum = line[x];
            float n = 1;
            if (y > 0) sum += line[x - width], n += 1;
            if (y + 1 < height) sum += line[x + width], n += 1;
            dst[(int64_t)y * width + x] = sum / n;
        }
    }
}

void sac_background_mask(sac_background *background, uint8_t *mask, float *strength, int64_t t) {
    load_segment(background, t);
    int64_t picture = (int64_t)background->width * background->height;
    const uint8_t *frame = background->pixels + t * picture;
    double gain = 1, offset = 0;
    fit_exposure(background, frame, &gain, &offset);
    for (int64_t p = 0; p < picture; p++) {
        background->difference[p] =
            (float)frame[p] - (float)gain * (float)background->median[p] - (float)offset;
    }
    mean3(background->difference, background->rows, background->difference, background->width,
          background->height);
    float threshold = (float)background->options.threshold;
    for (int64_t p = 0; p < picture; p++) {
        float d = fabsf(background->difference[p]);
        mask[p] = d > threshold + background->noise[p];
        if (strength != NULL) strength[p] = d;
    }
    if (background->options.close_x > 0 || background->options.close_y > 0) {
        filter_mask(background, mask, 1);
        filter_mask(background, mask, 0);
    }
}

const uint8_t *sac_background_picture(sac_background *background, int64_t t) {
    load_segment(background, t);
    return background->median;
}

void sac_background_close(sac_background **slot) {
    if (slot == NULL || *slot == NULL) return;
    sac_background *background = *slot;
    sac_free(background->median);
    sac_free(background->noise);
    sac_free(background->difference);
    sac_free(background->rows);
    sac_free(background->scratch);
    sac_free(background);
    *slot = NULL;
}

// Root of a provisional label, with path halving.
static int32_t find_root(int32_t *parent, int32_t label) {
    while (parent[label] != label) {
        parent[label] = parent[parent[label]];
        label = parent[label];
    }
    return label;
}

static int32_t join(int32_t *parent, int32_t a, int32_t b) {
    a = find_root(parent, a);
    b = find_root(parent, b);
    if (a < b) {
        parent[b] = a;
        return a;
    }
    parent[a] = b;
    return b;
}

sac_status sac_blobs_find(sac_blob **out, int64_t *out_count, int32_t *labels, const uint8_t *mask,
                          const float *strength, int width, int height) {
    sac_status status = SAC_OK;
    sac_blob *blobs = NULL;
    int32_t *index = NULL;
    *out = NULL;
    *out_count = 0;
    // No two provisional labels start in the same 2x2 cell, so a quarter of the pixels is enough.
    int64_t most = ((int64_t)width + 1) / 2 * (((int64_t)height + 1) / 2) + 1;
    int32_t *parent = sac_calloc(most, sizeof *parent);
    SAC_TRY_ALLOC(parent);
    int32_t next = 1;
    for (int y = 0; y < height; y++) {
        const uint8_t *row = mask + (int64_t)y * width;
        int32_t *label = labels + (int64_t)y * width;
        const int32_t *above = label - width;
        for (int x = 0; x < width; x++) {
            if (!row[x]) {
                label[x] = 0;
                continue;
            }
            int32_t found = x > 0 ? label[x - 1] : 0;
            for (int dx = -1; y > 0 && dx <= 1; dx++) {
                if (x + dx < 0 || x + dx >= width || above[x + dx] == 0) continue;
                found = found == 0 ? above[x + dx] : join(parent, found, above[x + dx]);
            }
            if (found == 0) {
                found = next;
                parent[next] = next;
                next++;
            }
            label[x] = found;
        }
    }
    // Roots are the smallest labels of their sets, that is, in scan order.
    SAC_TRY_ALLOC(index = sac_calloc(next, sizeof *index));
    int32_t count = 0;
    for (int32_t i = 1; i < next; i++) {
        if (find_root(parent, i) == i) index[i] = ++count;
    }
    SAC_TRY_ALLOC(blobs = sac_calloc(count, sizeof *blobs));
    for (int32_t i = 0; i < count; i++) {
        blobs[i] = (sac_blob){.x1 = width, .y1 = height};
    }
    for (int y = 0; y < height; y++) {
        for (int x = 0; x < width; x++) {
            int64_t p = (int64_t)y * width + x;
            if (labels[p] == 0) continue;
            labels[p] = index[find_root(parent, labels[p])];
            sac_blob *blob = &blobs[labels[p] - 1];
            if (x < blob->x1) blob->x1 = x;
            if (y < blob->y1) blob->y1 = y;
            if (x + 1 > blob->x2) blob->x2 = x + 1;
            if (y + 1 > blob->y2) blob->y2 = y + 1;
            blob->area++;
            if (strength != NULL) blob->strength += strength[p];
        }
    }
    *out = blobs;
    *out_count = count;
    blobs = NULL;
fail:
    sac_free(parent);
    sac_free(index);
    sac_free(blobs);
    return status;
}
