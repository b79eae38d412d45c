// Frames and maps into batches; see distill/batch.h.
#include "distill/batch.h"

#include <string.h>

int64_t sac_batch_work_bytes(const sac_samples *samples, int64_t n) {
    return n * 2 * samples->preprocess.width * samples->preprocess.height * (int64_t)sizeof(float);
}

// Pixels beyond the border repeat it.
static int inside(int at, int size) {
    return at < 0 ? 0 : at >= size ? size - 1 : at;
}

static void frames_of(const uint8_t *frames[3], const sac_samples *samples, sac_sample_ref ref) {
    const sac_preprocess *p = &samples->preprocess;
    const sac_sample_clip *clip = &samples->clips[ref.clip];
    for (int k = 0; k < 3; k++) {
        int64_t t = ref.frame + p->offsets[k];
        t = t < 0 ? 0 : t >= clip->frames ? clip->frames - 1 : t;
        frames[k] = clip->pixels + t * sac_preprocess_bytes(p);
    }
}

// Where pixel (x, y) of an augmented frame comes from.
static int64_t place_of(const sac_preprocess *p, const sac_augment *a, int x, int y) {
    const int from = a->flip ? p->width - 1 - x - a->dx : x + a->dx;
    return (int64_t)inside(y + a->dy, p->height) * p->width + inside(from, p->width);
}

// One sample's frames into the network input f32 [H][W][3 channels].
static void input_fill(float *input, const sac_samples *samples, sac_sample_ref ref,
                       const sac_augment *a) {
    const sac_preprocess *p = &samples->preprocess;
    const uint8_t *frames[3];
    float table[256];
    for (int v = 0; v < 256; v++)
        table[v] = (float)((sac_augment_level(a, (double)v) - p->mean) / p->scale);
    frames_of(frames, samples, ref);
    for (int y = 0; y < p->height; y++) {
        for (int x = 0; x < p->width; x++) {
            const int64_t i = place_of(p, a, x, y) * p->channels;
            for (int k = 0; k < 3; k++) {
                for (int c = 0; c < p->channels; c++) *input++ = table[frames[k][i + c]];
            }
        }
    }
}

// The same of a deep sample, plane by plane.
static void input_fill_deep(float *input, const sac_samples *samples, sac_sample_ref ref,
                            const sac_augment *a, float *work) {
    const sac_preprocess *p = &samples->preprocess;
    const int64_t n = (int64_t)p->width * p->height;
    const float mean = (float)p->mean, factor = (float)(1 / p->scale);
    const uint8_t *frames[3];
    float table[256];
    for (int v = 0; v < 256; v++) table[v] = (float)sac_augment_level(a, (double)v);
    frames_of(frames, samples, ref);
    for (int plane = 0; plane < 3 * p->channels; plane++) {
        const uint8_t *from = frames[plane / p->channels] + plane % p->channels;
        float *at = work;
        for (int y = 0; y < p->height; y++) {
            for (int x = 0; x < p->width; x++)
                *at++ = table[from[place_of(p, a, x, y) * p->channels]];
        }
        sac_augment_plane(work, work + n, p->width, p->height, a, plane);
        for (int64_t i = 0; i < n; i++)
            input[3 * p->channels * i + plane] = (work[i] - mean) * factor;
    }
}

void sac_batch_input(float *input, const sac_samples *samples, const sac_sample_ref *refs,
                     int64_t n, const sac_augment *augments, float *work) {
    const int64_t size = 3 * sac_preprocess_bytes(&samples->preprocess);
    const int64_t room = sac_batch_work_bytes(samples, 1) / (int64_t)sizeof(float);
    const sac_augment none = sac_augment_none();
#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < n; i++) {
        const sac_augment *a = augments != NULL ? &augments[i] : &none;
        if (work != NULL && sac_augment_is_deep(a)) {
            input_fill_deep(input + i * size, samples, refs[i], a, work + i * room);
        } else {
            input_fill(input + i * size, samples, refs[i], a);
        }
    }
}

void sac_batch_input_u8(uint8_t *input, const sac_samples *samples, const sac_sample_ref *refs,
                        int64_t n) {
    const sac_preprocess *p = &samples->preprocess;
    const int64_t pixels = (int64_t)p->width * p->height;
#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < n; i++) {
        const uint8_t *frames[3];
        uint8_t *at = input + i * 3 * sac_preprocess_bytes(p);
        frames_of(frames, samples, refs[i]);
        for (int64_t x = 0; x < pixels; x++) {
            for (int k = 0; k < 3; k++) {
                for (int c = 0; c < p->channels; c++) *at++ = frames[k][x * p->channels + c];
            }
        }
    }
}

void sac_batch_targets(float *const targets[3], const sac_samples *samples,
                       const sac_sample_ref *refs, int64_t n, int teacher,
                       const sac_augment *augments) {
    for (int64_t i = 0; i < n; i++) {
        const sac_maps *maps = &samples->clips[refs[i].clip].maps[teacher];
        const float *const sources[3] = {maps->map16, maps->map4, maps->map1};
        const bool flip = augments != NULL && augments[i].flip;
        for (int k = 0; k < 3; k++) {
            const float *source = sources[k] + refs[i].frame * sac_heads[k].cells;
            float *target = targets[k] + i * sac_heads[k].cells;
            for (int64_t c = 0; c < sac_heads[k].cells; c++) {
                const int64_t side = sac_heads[k].side, x = c % side;
                target[c] = source[flip ? c - x + side - 1 - x : c];
            }
        }
    }
}
