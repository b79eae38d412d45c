// Samples and the arrays of a batch.
#include "teachers/ssmtl_batch.h"

#include <math.h>
#include <string.h>

#include "core/check.h"
#include "core/memory.h"

enum { CONTEXT = SAC_SEQUENCE_LENGTH - 1, REACH = SAC_SEQUENCE_REACH, GRID = 4, MOST_SIZE = 256 };
static const double MOST_SHIFT = 0.08, MOST_ZOOM = 0.15, MOST_GAIN = 0.2, MOST_BIAS = 0.1;
static const float HIDDEN_GRAY = 0.5f;

sac_ssmtl_sample sac_ssmtl_sample_plain(int64_t row) {
    return (sac_ssmtl_sample){
        .row = row, .zoom = 1, .gain = 1, .hidden = SAC_SSMTL_CHESSBOARD, .other = row};
}

static double either_side(sac_rng *rng) {
    return 2 * sac_rng_uniform(rng) - 1;
}

// Half of the 16 patches.
static uint16_t half_of_the_patches(sac_rng *rng) {
    int64_t patches[SAC_SSMTL_PATCHES];
    uint16_t bits = 0;
    for (int p = 0; p < SAC_SSMTL_PATCHES; p++) patches[p] = p;
    sac_rng_shuffle(rng, patches, SAC_SSMTL_PATCHES);
    for (int p = 0; p < SAC_SSMTL_PATCHES / 2; p++) bits |= (uint16_t)(1u << patches[p]);
    return bits;
}

static void draw_offsets(int8_t offsets[SAC_SEQUENCE_LENGTH], sac_rng *rng) {
    for (int direction = -1; direction <= 1; direction += 2) {
        int at = 0;
        for (int i = 1; i <= REACH; i++) {
            at += direction * (int)(1 + sac_rng_below(rng, 3));
            offsets[REACH + direction * i] = (int8_t)at;
        }
    }
}

sac_ssmtl_sample sac_ssmtl_sample_draw(int64_t row, unsigned tasks, const int64_t *rows,
                                       int64_t count, const sac_ssmtl_augmentation *augmentation,
                                       sac_rng *rng) {
    sac_ssmtl_sample s = sac_ssmtl_sample_plain(row);
    s.reversed = sac_rng_below(rng, 2) == 1;
    // Without the task there is no reason to show anything but what is scored.
    s.intermittent = (tasks & SAC_SSMTL_BIT(SAC_SSMTL_IRREGULARITY)) && sac_rng_below(rng, 2) == 1;
    if (s.intermittent) draw_offsets(s.offsets, rng);
    if (tasks & SAC_SSMTL_BIT(SAC_SSMTL_JIGSAW)) {
        bool moved = sac_rng_below(rng, 2) == 1;
        s.permutation = moved ? 1 + (int32_t)sac_rng_below(rng, SAC_SSMTL_PERMUTATIONS - 1) : 0;
    }
    if (tasks & SAC_SSMTL_BIT(SAC_SSMTL_INPAINTING)) s.hidden = half_of_the_patches(rng);
    if (tasks & SAC_SSMTL_BIT(SAC_SSMTL_PSEUDO)) {
        s.other = rows[sac_rng_below(rng, count)];
        s.mixed = half_of_the_patches(rng);
        s.turn = (uint8_t)(1 + sac_rng_below(rng, 3));
    }
    if (augmentation == NULL) return s;
    s.mirrored = augmentation->mirror && sac_rng_below(rng, 2) == 1;
    if (augmentation->jitter > 0 && sac_rng_below(rng, 2) == 1) {
        // In units of the crop's side until it is known; see place().
        s.zoom = (float)(1 + MOST_ZOOM * augmentation->jitter * either_side(rng));
        s.shift_x = (float)(MOST_SHIFT * augmentation->jitter * either_side(rng));
        s.shift_y = (float)(MOST_SHIFT * augmentation->jitter * either_side(rng));
    }
    if (augmentation->brightness > 0) {
        s.gain = (float)(1 + MOST_GAIN * augmentation->brightness * either_side(rng));
        s.bias = (float)(MOST_BIAS * augmentation->brightness * either_side(rng));
    }
    return s;
}

void sac_ssmtl_permutations_make(sac_ssmtl_permutations *p) {
    enum { CANDIDATES = 64 };
    sac_rng rng;
    sac_rng_seed(&rng, 4, 16);
    for (int k = 0; k < SAC_SSMTL_PATCHES; k++) p->order[0][k] = (uint8_t)k;
    for (int i = 1; i < SAC_SSMTL_PERMUTATIONS; i++) {
        int farthest = -1;
        for (int c = 0; c < CANDIDATES; c++) {
            int64_t order[SAC_SSMTL_PATCHES];
            for (int k = 0; k < SAC_SSMTL_PATCHES; k++) order[k] = k;
            sac_rng_shuffle(&rng, order, SAC_SSMTL_PATCHES);
            int nearest = SAC_SSMTL_PATCHES;
            for (int j = 0; j < i; j++) {
                int moved = 0;
                for (int k = 0; k < SAC_SSMTL_PATCHES; k++) moved += order[k] != p->order[j][k];
                if (moved < nearest) nearest = moved;
            }
            if (nearest <= farthest) continue;
            farthest = nearest;
            for (int k = 0; k < SAC_SSMTL_PATCHES; k++) p->order[i][k] = (uint8_t)order[k];
        }
    }
}

// Where the samples of one axis lie in a crop with margin.
typedef struct axis {
    int at[MOST_SIZE];
    float share[MOST_SIZE]; // of the next pixel
} axis;

typedef struct placing {
    int size, side;
    bool exact; // whole pixels: no interpolation
    float gain, bias;
    axis x, y;
} placing;

static void place_axis(axis *a, int size, int side, double zoom, double shift, bool mirrored) {
    const double room = (side - zoom * size) / 2; // the samples must stay inside
    shift = fmax(fmin(shift * size, room), -room);
    for (int i = 0; i < size; i++) {
        int k = mirrored ? size - 1 - i : i;
        double u = (k + 0.5 - size / 2.0) * zoom + side / 2.0 + shift - 0.5;
        u = fmax(fmin(u, side - 1), 0);
        int at = (int)u < side - 1 ? (int)u : side - 2;
        if (at < 0) at = 0;
        a->at[i] = at;
        a->share[i] = (float)(u - at);
    }
}

static void place(placing *p, const sac_ssmtl_sample *s, const sac_crop_source *source) {
    p->size = source->size;
    p->side = source->size + 2 * source->margin;
    p->exact = s->zoom == 1 && s->shift_x == 0 && s->shift_y == 0;
    p->gain = s->gain / 255.0f;
    p->bias = 0.5f - 0.5f * s->gain + s->bias;
    if (p->exact) {
        for (int i = 0; i < p->size; i++) {
            p->x.at[i] = source->margin + (s->mirrored ? p->size - 1 - i : i);
            p->y.at[i] = source->margin + i;
        }
        return;
    }
    place_axis(&p->x, p->size, p->side, (double)s->zoom, (double)s->shift_x, s->mirrored);
    place_axis(&p->y, p->size, p->side, (double)s->zoom, (double)s->shift_y, false);
}

// dst f32 [S][S] from u8 [side][side].
static void resample(float *dst, const uint8_t *src, const placing *p) {
    for (int y = 0; y < p->size; y++) {
        const uint8_t *top = src + (int64_t)p->y.at[y] * p->side;
        float *row = dst + (int64_t)y * p->size;
        if (p->exact) {
            for (int x = 0; x < p->size; x++) row[x] = (float)top[p->x.at[x]] * p->gain + p->bias;
            continue;
        }
        const uint8_t *bottom = top + p->side;
        const float down = p->y.share[y];
        for (int x = 0; x < p->size; x++) {
            const int at = p->x.at[x];
            const float right = p->x.share[x];
            float a = (float)top[at] + right * (float)(top[at + 1] - top[at]);
            float b = (float)bottom[at] + right * (float)(bottom[at + 1] - bottom[at]);
            row[x] = (a + down * (b - a)) * p->gain + p->bias;
        }
    }
}

static sac_status show(float *dst, const sac_crop_source *source, int64_t row, int offset,
                       uint8_t *scratch, const placing *p) {
    const uint8_t *crop = sac_crop_source_get(source, row, offset, scratch);
    if (crop == NULL) return SAC_ERROR_MEMORY;
    resample(dst, crop, p);
    return SAC_OK;
}

// Calls body(p, y, first, end) for the pixels first..end of each row y of each patch p.
#define FOR_PATCHES(size)                                                                          \
    for (int64_t p = 0; p < SAC_SSMTL_PATCHES; p++)                                                \
        for (int64_t y = p / GRID * ((size) / GRID), left = p % GRID * ((size) / GRID);            \
             y < (p / GRID + 1) * ((size) / GRID); y++)

static void fill_jigsaw(float *dst, const float *crops, const uint8_t *order, int64_t size) {
    const int64_t patch = size / GRID, area = size * size;
    for (int k = 0; k < SAC_SEQUENCE_LENGTH; k++) {
        FOR_PATCHES(size) {
            int64_t from = order[p], row = from / GRID * patch + y % patch;
            memcpy(dst + k * area + y * size + left,
                   crops + k * area + row * size + from % GRID * patch,
                   (size_t)patch * sizeof *dst);
        }
    }
}

static void fill_inpainting(float *dst, const float *crops, uint16_t hidden, int64_t size) {
    const int64_t patch = size / GRID, area = size * size;
    memcpy(dst, crops, (size_t)(SAC_SEQUENCE_LENGTH * area) * sizeof *dst);
    for (int k = 0; k < SAC_SEQUENCE_LENGTH; k++) {
        FOR_PATCHES(size) {
            if ((hidden >> p & 1) == 0) continue;
            for (int64_t x = 0; x < patch; x++) dst[k * area + y * size + left + x] = HIDDEN_GRAY;
        }
    }
}

// In place: patches of `other`, turned, where `mixed` says so.
static void mix(float *crops, const float *other, const sac_ssmtl_sample *s, int64_t size) {
    const int64_t patch = size / GRID, area = size * size;
    for (int k = 0; k < SAC_SEQUENCE_LENGTH; k++) {
        FOR_PATCHES(size) {
            if ((s->mixed >> p & 1) == 0) continue;
            for (int64_t x = left; x < left + patch; x++) {
                int64_t from = s->turn == 2   ? (size - 1 - y) * size + size - 1 - x
                               : s->turn == 1 ? x * size + size - 1 - y
                                              : (size - 1 - x) * size + y;
                crops[k * area + y * size + x] = other[k * area + from];
            }
        }
    }
}

// The six crops around the middle one, in order or backward.
static void put_context(float *dst, const float *crops, int64_t area, bool reversed) {
    for (int k = 0; k < CONTEXT; k++) {
        int from = k < REACH ? k : k + 1;
        if (reversed) from = SAC_SEQUENCE_LENGTH - 1 - from;
        memcpy(dst + k * area, crops + from * area, (size_t)area * sizeof *dst);
    }
}

static float mean_deviation(const float *crop, int64_t area) {
    double mean = 0, deviation = 0;
    for (int64_t k = 0; k < area; k++) mean += (double)crop[k];
    mean /= (double)area;
    for (int64_t k = 0; k < area; k++) deviation += fabs((double)crop[k] - mean);
    return (float)(deviation / (double)area);
}

// `work` holds two sequences of crops, `scratch` one crop with margin.
static sac_status fill_row(sac_ssmtl_batch *b, int64_t i, const sac_crop_source *source,
                           float *work, uint8_t *scratch) {
    sac_status status = SAC_OK;
    const sac_ssmtl_sample *s = &b->samples[i];
    const int64_t area = b->size * b->size, seven = SAC_SEQUENCE_LENGTH * area;
    const size_t crop_bytes = (size_t)area * sizeof(float);
    float *second = work + seven;
    const float *middle = work + REACH * area;
    placing p;
    place(&p, s, source);
    for (int k = 0; k < SAC_SEQUENCE_LENGTH; k++) {
        SAC_TRY(show(work + k * area, source, s->row, k - REACH, scratch, &p));
    }
    if (b->contrast != NULL) b->contrast[i] = mean_deviation(middle, area);
    if (b->crop != NULL) memcpy(b->crop + i * area, middle, crop_bytes);
    if (b->middle != NULL) {
        float *target = b->middle + i * area;
        memcpy(target, middle, crop_bytes);
        for (int64_t k = 0; b->residual && k < area; k++)
            target[k] -= 0.5f * (middle[k - area] + middle[k + area]);
    }
    if (b->arrow != NULL) put_context(b->arrow + i * CONTEXT * area, work, area, s->reversed);
    if (b->irregular != NULL) {
        float *dst = b->irregular + i * seven;
        if (!s->intermittent) memcpy(dst, work, (size_t)seven * sizeof *dst);
        for (int k = 0; s->intermittent && k < SAC_SEQUENCE_LENGTH; k++)
            SAC_TRY(show(dst + k * area, source, s->row, s->offsets[k], scratch, &p));
    }
    if (b->jigsaw != NULL) {
        fill_jigsaw(b->jigsaw + i * seven, work, b->permutations->order[s->permutation], b->size);
    }
    if (b->inpainting != NULL) {
        fill_inpainting(b->inpainting + i * seven, work, s->hidden, b->size);
    }
    if (b->pseudo != NULL) {
        for (int k = 0; k < SAC_SEQUENCE_LENGTH; k++)
            SAC_TRY(show(second + k * area, source, s->other, k - REACH, scratch, &p));
        mix(work, second, s, b->size);
        put_context(b->pseudo + i * CONTEXT * area, work, area, false);
        memcpy(b->pseudo_crop + i * area, middle, crop_bytes);
    }
    b->arrow_class[i] = s->reversed;
    b->irregular_class[i] = s->intermittent;
    b->jigsaw_class[i] = s->permutation;
fail:
    return status;
}

sac_status sac_ssmtl_batch_fill(sac_ssmtl_batch *b, const sac_crop_source *source, int64_t count,
                                bool parallel) {
    const int64_t area = b->size * b->size, side = source->size + 2 * source->margin;
    bool failed = false;
#pragma omp parallel if (parallel)
    {
        float *work = sac_calloc(2 * SAC_SEQUENCE_LENGTH * area, sizeof *work);
        uint8_t *scratch = sac_calloc(side * side, 1);
#pragma omp for schedule(static)
        for (int64_t i = 0; i < count; i++) {
            if (work == NULL || scratch == NULL || fill_row(b, i, source, work, scratch) < 0) {
#pragma omp atomic write
                failed = true;
            }
        }
        sac_free(work);
        sac_free(scratch);
    }
    return failed ? SAC_ERROR_MEMORY : SAC_OK;
}

sac_status sac_ssmtl_batch_create(sac_ssmtl_batch **out, const sac_ssmtl_design *design, int64_t n,
                                  bool training) {
    sac_status status = SAC_OK;
    const unsigned tasks = design->tasks;
    const int64_t area = design->crop_size * design->crop_size, six = CONTEXT * area,
                  seven = SAC_SEQUENCE_LENGTH * area;
    const bool middle = (tasks & SAC_SSMTL_BIT(SAC_SSMTL_MIDDLE)) != 0,
               inpainting = (tasks & SAC_SSMTL_BIT(SAC_SSMTL_INPAINTING)) != 0,
               pseudo = training && (tasks & SAC_SSMTL_BIT(SAC_SSMTL_PSEUDO)) != 0,
               jigsaw = (tasks & SAC_SSMTL_BIT(SAC_SSMTL_JIGSAW)) != 0;
    *out = NULL;
    sac_ssmtl_batch *b = sac_calloc(1, sizeof *b);
    SAC_TRY_ALLOC(b);
    b->n = n;
    b->size = design->crop_size;
    b->residual = design->residual;
    SAC_TRY_ALLOC(b->samples = sac_calloc(n, sizeof *b->samples));
    SAC_TRY_ALLOC(b->arrow_class = sac_calloc(n, sizeof *b->arrow_class));
    SAC_TRY_ALLOC(b->irregular_class = sac_calloc(n, sizeof *b->irregular_class));
    SAC_TRY_ALLOC(b->jigsaw_class = sac_calloc(n, sizeof *b->jigsaw_class));
    SAC_TRY_ALLOC(b->contrast = sac_calloc(n, sizeof *b->contrast));
    if (middle || (tasks & SAC_SSMTL_BIT(SAC_SSMTL_ARROW)))
        SAC_TRY_ALLOC(b->arrow = sac_calloc(n * six, sizeof(float)));
    bool sequence = (tasks & SAC_SSMTL_BIT(SAC_SSMTL_IRREGULARITY)) != 0 || (jigsaw && !training);
    for (int k = SAC_SSMTL_DISTILLATION; k <= SAC_SSMTL_POSE; k++)
        sequence = sequence || (tasks & SAC_SSMTL_BIT(k)) != 0;
    if (sequence) SAC_TRY_ALLOC(b->irregular = sac_calloc(n * seven, sizeof(float)));
    if (jigsaw && training) {
        SAC_TRY_ALLOC(b->jigsaw = sac_calloc(n * seven, sizeof(float)));
        SAC_TRY_ALLOC(b->permutations = sac_calloc(1, sizeof *b->permutations));
        sac_ssmtl_permutations_make(b->permutations);
    }
    if (middle) SAC_TRY_ALLOC(b->middle = sac_calloc(n * area, sizeof(float)));
    if (inpainting) {
        SAC_TRY_ALLOC(b->inpainting = sac_calloc(n * seven, sizeof(float)));
        SAC_TRY_ALLOC(b->crop = sac_calloc(n * area, sizeof(float)));
    }
    if (pseudo) {
        SAC_TRY_ALLOC(b->pseudo = sac_calloc(n * six, sizeof(float)));
        SAC_TRY_ALLOC(b->pseudo_crop = sac_calloc(n * area, sizeof(float)));
    }
    *out = b;
    return SAC_OK;
fail:
    sac_ssmtl_batch_close(&b);
    return status;
}

void sac_ssmtl_batch_close(sac_ssmtl_batch **slot) {
    if (slot == NULL || *slot == NULL) return;
    sac_ssmtl_batch *b = *slot;
    float *const arrays[] = {b->arrow,  b->irregular, b->jigsaw,      b->inpainting, b->pseudo,
                             b->middle, b->crop,      b->pseudo_crop, b->contrast};
    for (size_t i = 0; i < sizeof arrays / sizeof arrays[0]; i++) sac_free(arrays[i]);
    sac_free(b->samples);
    sac_free(b->arrow_class);
    sac_free(b->irregular_class);
    sac_free(b->jigsaw_class);
    sac_free(b->permutations);
    sac_free(b);
    *slot = NULL;
}
