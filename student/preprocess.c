// From a frame of any size to the network's input: gray or RGB, scaled, three frames stacked and
// normalised. Training and running share this file, so that they see identical numbers. It does no
// colour management beyond BT.601 luma and the two ranges of luma.
#include "student/model.h"

#include <math.h>

#include "core/check.h"
#include "core/memory.h"
#include "video/bt601.h"
#include "video/scale.h"

// Largest side the scaler takes.
enum { MAX_SIDE = 16384 };

struct sac_preprocessor {
    sac_preprocess preprocess;
    sac_scaler *scaler; // for source_width x source_height with source_channels
    int source_width, source_height, source_channels;
    uint8_t *gray; // [source_height][source_width], of RGB sources of a gray student
    int64_t gray_size;
};

sac_preprocess sac_preprocess_default(void) {
    return (sac_preprocess){.width = 240,
                            .height = 160,
                            .channels = 1,
                            .offsets = {-3, 0, 3},
                            .mean = 0.0,
                            .scale = 255.0};
}

int64_t sac_preprocess_bytes(const sac_preprocess *p) {
    return (int64_t)p->width * p->height * p->channels;
}

sac_status sac_preprocess_check(const sac_preprocess *preprocess, sac_status code, const char *name,
                                sac_error *error) {
    const sac_preprocess *p = preprocess;
    if (p->width < 16 || p->width > 4096 || p->height < 16 || p->height > 4096) {
        return sac_error_set(error, code, -1,
                             "%s: input size %dx%d, 16..4096 to each side expected", name, p->width,
                             p->height);
    }
    if (p->channels != 1 && p->channels != 3) {
        return sac_error_set(error, code, -1, "%s: %d channels, 1 (gray) or 3 (RGB) expected", name,
                             p->channels);
    }
    for (int i = 0; i < 3; i++) {
        if (p->offsets[i] < -64 || p->offsets[i] > 64 ||
            (i > 0 && p->offsets[i] <= p->offsets[i - 1])) {
            return sac_error_set(
                error, code, -1,
                "%s: frame offsets %d %d %d, ascending ones within -64..64 expected", name,
                p->offsets[0], p->offsets[1], p->offsets[2]);
        }
    }
    // The bounds keep every input finite and far from denormal.
    if (!(fabs(p->mean) <= 65536.0) || !(p->scale >= 1e-6 && p->scale <= 1e6)) {
        return sac_error_set(
            error, code, -1,
            "%s: normalisation (x - %g) / %g, a mean within +-65536 and a scale of "
            "1e-6..1e6 expected",
            name, p->mean, p->scale);
    }
    return SAC_OK;
}

sac_status sac_preprocessor_create(sac_preprocessor **out, const sac_preprocess *preprocess) {
    *out = NULL;
    if (sac_preprocess_check(preprocess, SAC_ERROR_ARGUMENT, "preprocessing", NULL) < 0) {
        return SAC_ERROR_ARGUMENT;
    }
    sac_preprocessor *p = sac_calloc(1, sizeof *p);
    if (p == NULL) return SAC_ERROR_MEMORY;
    p->preprocess = *preprocess;
    *out = p;
    return SAC_OK;
}

static sac_status fit_scaler(sac_preprocessor *p, int width, int height, int channels) {
    if (p->scaler != NULL && width == p->source_width && height == p->source_height &&
        channels == p->source_channels) {
        return SAC_OK;
    }
    sac_scaler_close(&p->scaler);
    const sac_status status = sac_scaler_create(&p->scaler, width, height, p->preprocess.width,
                                                p->preprocess.height, channels);
    p->source_width = width;
    p->source_height = height;
    p->source_channels = channels;
    return status;
}

// A gray plane at the beginning of `frame` becomes R = G = B, from its end on.
static void spread(uint8_t *frame, int64_t pixels) {
    for (int64_t i = pixels - 1; i >= 0; i--) {
        const uint8_t level = frame[i];
        frame[3 * i] = frame[3 * i + 1] = frame[3 * i + 2] = level;
    }
}

sac_status sac_preprocessor_luma(sac_preprocessor *p, uint8_t *frame, const sac_luma *luma) {
    sac_status status = SAC_OK;
    if (frame == NULL || luma == NULL || luma->data == NULL || luma->width < 1 ||
        luma->height < 1 || luma->width > MAX_SIDE || luma->height > MAX_SIDE ||
        (luma->height > 1 && luma->stride < luma->width && luma->stride > -luma->width)) {
        return SAC_ERROR_ARGUMENT;
    }
    SAC_TRY(fit_scaler(p, luma->width, luma->height, 1));
    if (luma->full_range)
        sac_scaler_run_rows(p->scaler, frame, luma->data, luma->stride);
    else
        sac_scaler_run_limited(p->scaler, frame, luma->data, luma->stride);
    if (p->preprocess.channels == 3)
        spread(frame, (int64_t)p->preprocess.width * p->preprocess.height);
fail:
    return status;
}

static void gray_of_rgb(uint8_t *restrict gray, const uint8_t *restrict rgb, int64_t count) {
    for (int64_t i = 0; i < count; i++)
        gray[i] = sac_bt601_luma(rgb[3 * i], rgb[3 * i + 1], rgb[3 * i + 2]);
}

sac_status sac_preprocessor_frame(sac_preprocessor *p, uint8_t *frame, const uint8_t *pixels,
                                  int width, int height, int channels) {
    sac_status status = SAC_OK;
    if (frame == NULL || pixels == NULL || width < 1 || height < 1 || width > MAX_SIDE ||
        height > MAX_SIDE || (channels != 1 && channels != 3)) {
        return SAC_ERROR_ARGUMENT;
    }
    const int64_t count = (int64_t)width * height;
    if (channels == 3 && p->preprocess.channels == 3) {
        SAC_TRY(fit_scaler(p, width, height, 3));
        sac_scaler_run(p->scaler, frame, pixels);
        return SAC_OK;
    }
    if (channels == 3) {
        if (count > p->gray_size) {
            sac_free(p->gray);
            p->gray_size = 0;
            p->gray = sac_calloc(count, 1);
            SAC_TRY_ALLOC(p->gray);
            p->gray_size = count;
        }
        gray_of_rgb(p->gray, pixels, count);
        pixels = p->gray;
    }
    const sac_luma luma = {
        .data = pixels, .stride = width, .width = width, .height = height, .full_range = true};
    SAC_TRY(sac_preprocessor_luma(p, frame, &luma));
fail:
    return status;
}

void sac_preprocessor_close(sac_preprocessor **p) {
    if (p == NULL || *p == NULL) return;
    sac_scaler_close(&(*p)->scaler);
    sac_free((*p)->gray);
    sac_free(*p);
    *p = NULL;
}

// Normalised value of every possible pixel: the division is done 256 times instead of once per
// pixel, and training and running get the same bits for any mean and scale.
static void fill_table(float table[256], const sac_preprocess *preprocess) {
    const float mean = (float)preprocess->mean, scale = (float)preprocess->scale;
    for (int x = 0; x < 256; x++) table[x] = ((float)x - mean) / scale;
}

void sac_preprocess_normalise(float *input, const uint8_t *frame,
                              const sac_preprocess *preprocess) {
    const int64_t count = sac_preprocess_bytes(preprocess);
    float table[256];
    fill_table(table, preprocess);
    for (int64_t i = 0; i < count; i++) input[i] = table[frame[i]];
}

void sac_preprocess_stack(float *input, const uint8_t *const frames[3],
                          const sac_preprocess *preprocess) {
    const int64_t count = (int64_t)preprocess->width * preprocess->height;
    const uint8_t *restrict a = frames[0], *restrict b = frames[1], *restrict c = frames[2];
    float *restrict dst = input;
    float table[256];
    fill_table(table, preprocess);
    if (preprocess->channels == 3) {
        for (int64_t i = 0; i < count; i++) {
            for (int k = 0; k < 3; k++) {
                dst[9 * i + k] = table[a[3 * i + k]];
                dst[9 * i + 3 + k] = table[b[3 * i + k]];
                dst[9 * i + 6 + k] = table[c[3 * i + k]];
            }
        }
        return;
    }
    for (int64_t i = 0; i < count; i++) {
        dst[3 * i] = table[a[i]];
        dst[3 * i + 1] = table[b[i]];
        dst[3 * i + 2] = table[c[i]];
    }
}
