// Frame times and crops of object-centric sequences.
#include "teachers/sequence.h"

#include "video/scale.h"

static int64_t cut(int64_t t, int64_t frames) {
    if (t < 0) return 0;
    return t < frames ? t : frames - 1;
}

void sac_sequence_consecutive(int64_t times[SAC_SEQUENCE_LENGTH], int64_t t, int64_t frames) {
    for (int i = 0; i < SAC_SEQUENCE_LENGTH; i++)
        times[i] = cut(t - SAC_SEQUENCE_REACH + i, frames);
}

void sac_sequence_intermittent(int64_t times[SAC_SEQUENCE_LENGTH], int64_t t, int64_t frames,
                               sac_rng *rng) {
    times[SAC_SEQUENCE_REACH] = cut(t, frames);
    for (int direction = -1; direction <= 1; direction += 2) {
        int64_t at = t;
        for (int i = 1; i <= SAC_SEQUENCE_REACH; i++) {
            at += direction * (1 + sac_rng_below(rng, 3));
            times[SAC_SEQUENCE_REACH + direction * i] = cut(at, frames);
        }
    }
}

void sac_sequence_crop(float *dst, int size, const sac_box *box, const int64_t *times, int count,
                       const uint8_t *pixels, int width, int height) {
    int64_t picture = (int64_t)width * height, crop = (int64_t)size * size;
    for (int i = 0; i < count; i++) {
        if (i > 0 && times[i] == times[i - 1]) { // repeated border frame
            for (int64_t k = 0; k < crop; k++) dst[i * crop + k] = dst[(i - 1) * crop + k];
            continue;
        }
        sac_crop_gray(dst + i * crop, size, size, pixels + times[i] * picture, width, height,
                      (double)box->x1, (double)box->y1, (double)box->x2, (double)box->y2);
    }
}
