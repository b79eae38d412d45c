// Reducing, keeping and cropping optical flow. The numbers of a field depend on its two frames
// only, never on threads or on where it is kept.
#include "teachers/agnostic_fields.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#ifdef _OPENMP
#    include <omp.h>
#endif

#include "core/check.h"
#include "core/memory.h"
#include "video/flow.h"

// Flow inputs further out are cut: a mismatch of the flow must not drown everything else in a
// batch.
static const float MOST_FLOW = 8;
enum { BINS = 256, MOST_SAMPLES = 64 };

int sac_field_reduction(int height) {
    if (height < 160) return 1;
    return height < 480 ? 2 : 4;
}

sac_field sac_field_layout(int width, int height) {
    int r = sac_field_reduction(height);
    return (sac_field){
        .width = (width + r - 1) / r, .height = (height + r - 1) / r, .reduction = r};
}

static int64_t field_values(const sac_field *f) {
    return 2 * (int64_t)f->width * f->height;
}

// ---- crops --------------------------------------------------------------------------------------

static int clamp_int(double v, int most) {
    if (!(v > 0)) return 0;
    return v < most ? (int)v : most;
}

// Bilinear weights along one axis for `size` cells of a crop, each a mean of n samples.
typedef struct axis {
    double start, step; // position of the first sample of the first cell, distance of samples
    int n, most;
} axis;

static axis make_axis(double from, double to, int size, int reduction, int cells) {
    double low = from / reduction, length = (to - from) / reduction;
    axis a = {.most = cells - 1, .n = 1};
    double shrink = ceil(fabs(length) / size);
    a.n = shrink < 1 ? 1 : shrink < MOST_SAMPLES ? (int)shrink : MOST_SAMPLES;
    a.step = length / ((double)size * a.n);
    a.start = low + 0.5 * a.step - 0.5;
    return a;
}

void sac_field_crop(float *dst, int size, const sac_field *field, const sac_box *box, double unit) {
    int64_t area = (int64_t)size * size;
    if (field->data == NULL) {
        memset(dst, 0, (size_t)(2 * area) * sizeof *dst);
        return;
    }
    axis ax = make_axis((double)box->x1, (double)box->x2, size, field->reduction, field->width);
    axis ay = make_axis((double)box->y1, (double)box->y2, size, field->reduction, field->height);
    const int16_t *u = field->data, *v = u + (int64_t)field->width * field->height;
    const double scale = 1.0 / ((double)SAC_FIELD_STEPS * unit * ax.n * ay.n);
    for (int i = 0; i < size; i++) {
        for (int j = 0; j < size; j++) {
            double sum_u = 0, sum_v = 0;
            for (int k = 0; k < ay.n; k++) {
                double y = ay.start + (i * ay.n + k) * ay.step;
                y = y < 0 ? 0 : y > ay.most ? ay.most : y;
                int y0 = clamp_int(y, ay.most), y1 = y0 < ay.most ? y0 + 1 : y0;
                double fy = y - y0;
                const int64_t r0 = (int64_t)y0 * field->width, r1 = (int64_t)y1 * field->width;
                for (int l = 0; l < ax.n; l++) {
                    double x = ax.start + (j * ax.n + l) * ax.step;
                    x = x < 0 ? 0 : x > ax.most ? ax.most : x;
                    int x0 = clamp_int(x, ax.most), x1 = x0 < ax.most ? x0 + 1 : x0;
                    double fx = x - x0;
                    sum_u += (1 - fy) * ((1 - fx) * u[r0 + x0] + fx * u[r0 + x1]) +
                             fy * ((1 - fx) * u[r1 + x0] + fx * u[r1 + x1]);
                    sum_v += (1 - fy) * ((1 - fx) * v[r0 + x0] + fx * v[r0 + x1]) +
                             fy * ((1 - fx) * v[r1 + x0] + fx * v[r1 + x1]);
                }
            }
            float cu = (float)(sum_u * scale), cv = (float)(sum_v * scale);
            dst[(int64_t)i * size + j] = fminf(fmaxf(cu, -MOST_FLOW), MOST_FLOW);
            dst[area + (int64_t)i * size + j] = fminf(fmaxf(cv, -MOST_FLOW), MOST_FLOW);
        }
    }
}

double sac_field_speed(const float *crop, int64_t area, double vector[2]) {
    const float *u = crop, *v = crop + area;
    int64_t count[BINS] = {0}, above = 0;
    double most = 0, sum = 0, mean_u = 0, mean_v = 0;
    for (int64_t i = 0; i < area; i++) most = fmax(most, hypot((double)u[i], (double)v[i]));
    if (vector != NULL) vector[0] = vector[1] = 0;
    if (!(most > 0)) return 0;
    for (int64_t i = 0; i < area; i++)
        count[clamp_int(BINS * hypot((double)u[i], (double)v[i]) / most, BINS - 1)]++;
    int bin = BINS;
    while (bin > 0 && 2 * above < area) above += count[--bin];
    for (int64_t i = 0; i < area; i++) {
        double speed = hypot((double)u[i], (double)v[i]);
        if (clamp_int(BINS * speed / most, BINS - 1) < bin) continue;
        sum += speed;
        mean_u += (double)u[i];
        mean_v += (double)v[i];
    }
    if (vector != NULL) {
        vector[0] = mean_u / (double)above;
        vector[1] = mean_v / (double)above;
    }
    return sum / (double)above;
}

// ---- making -------------------------------------------------------------------------------------

struct sac_field_maker {
    sac_field layout;
    int width, height, threads;
    sac_flow **flow; // [threads]
    float *dense;    // [threads][2][height][width]
};

sac_status sac_field_maker_create(sac_field_maker **out, int width, int height, sac_error *error) {
    sac_status status = SAC_OK;
    int64_t values = 0;
    *out = NULL;
    sac_field_maker *maker = sac_calloc(1, sizeof *maker);
    SAC_TRY_ALLOC(maker);
    maker->threads = 1;
#ifdef _OPENMP
    maker->threads = omp_get_max_threads();
#endif
    SAC_TRY_ALLOC(maker->flow = sac_calloc(maker->threads, sizeof(sac_flow *)));
    for (int i = 0; i < maker->threads; i++) {
        SAC_TRY(sac_flow_create(&maker->flow[i], width, height, NULL, error));
    }
    maker->width = width;
    maker->height = height;
    maker->layout = sac_field_layout(width, height);
    if (!sac_mul((int64_t)width * height, 2 * (int64_t)maker->threads, &values)) {
        SAC_TRY(SAC_ERROR_MEMORY);
    }
    SAC_TRY_ALLOC(maker->dense = sac_calloc(values, sizeof *maker->dense));
    *out = maker;
    return SAC_OK;
fail:
    sac_field_maker_close(&maker);
    return sac_error_set(error, status, -1, "no memory for the optical flow of %dx%d px", width,
                         height);
}

void sac_field_maker_close(sac_field_maker **slot) {
    if (slot == NULL || *slot == NULL) return;
    for (int i = 0; (*slot)->flow != NULL && i < (*slot)->threads; i++)
        sac_flow_close(&(*slot)->flow[i]);
    sac_free((*slot)->flow);
    sac_free((*slot)->dense);
    sac_free(*slot);
    *slot = NULL;
}

int64_t sac_field_maker_stride(const sac_field_maker *maker) {
    return maker->threads;
}

// Means over cells, in fixed point.
static void reduce(int16_t *dst, const sac_field *f, const float *dense, int width, int height) {
    const int r = f->reduction;
    for (int plane = 0; plane < 2; plane++) {
        const float *src = dense + (int64_t)plane * width * height;
        for (int y = 0; y < f->height; y++) {
            int y1 = (y + 1) * r < height ? (y + 1) * r : height;
            for (int x = 0; x < f->width; x++) {
                int x1 = (x + 1) * r < width ? (x + 1) * r : width;
                double sum = 0;
                for (int yy = y * r; yy < y1; yy++) {
                    for (int xx = x * r; xx < x1; xx++)
                        sum += (double)src[(int64_t)yy * width + xx];
                }
                double mean = SAC_FIELD_STEPS * sum / ((y1 - y * r) * (x1 - x * r));
                *dst++ = (int16_t)lrint(fmin(fmax(mean, -32767), 32767));
            }
        }
    }
}

sac_status sac_field_maker_run(sac_field_maker *maker, int16_t *dst, const uint8_t *pixels,
                               const int64_t *pairs, int64_t count) {
    const int64_t picture = (int64_t)maker->width * maker->height;
    const int64_t values = field_values(&maker->layout);
    sac_status first = SAC_OK;
#ifdef _OPENMP
#    pragma omp parallel for schedule(dynamic, 1) num_threads(maker->threads)
#endif
    for (int64_t i = 0; i < count; i++) {
        int thread = 0;
#ifdef _OPENMP
        thread = omp_get_thread_num();
#endif
        float *dense = maker->dense + 2 * picture * thread;
        sac_status status = sac_flow_run(maker->flow[thread], dense, pixels + pairs[i] * picture,
                                         pixels + (pairs[i] + 1) * picture);
        if (status == SAC_OK) {
            reduce(dst + i * values, &maker->layout, dense, maker->width, maker->height);
        } else {
#ifdef _OPENMP
#    pragma omp critical(sac_field_maker_status)
#endif
            first = status;
        }
    }
    return first;
}

// ---- keeping ------------------------------------------------------------------------------------

typedef struct stored {
    sac_field layout;
    int64_t fields; // frames - 1
    int64_t offset; // of the first one, in values
} stored;

struct sac_field_store {
    stored *clips; // [count]
    int64_t count, bytes;
    int16_t *memory; // everything, or
    void *map;       // everything, from a file
    int file;        // while it is made; else -1
};

void sac_field_store_close(sac_field_store **slot) {
    if (slot == NULL || *slot == NULL) return;
    sac_field_store *store = *slot;
    if (store->map != NULL) (void)munmap(store->map, (size_t)store->bytes);
    if (store->file >= 0) (void)close(store->file);
    sac_free(store->memory);
    sac_free(store->clips);
    sac_free(store);
    *slot = NULL;
}

// A file that already has no name any more: it goes away with the process.
static sac_status open_file(sac_field_store *store, const char *folder, sac_error *error) {
    sac_status status = SAC_OK;
    char *path = sac_format("%s/flow-XXXXXX", folder);
    SAC_TRY_ALLOC(path);
    store->file = mkstemp(path);
    if (store->file < 0 || unlink(path) != 0) {
        status = sac_error_set(error, SAC_ERROR_IO, -1,
                               "%s: cannot hold a file for the optical flow", folder);
    }
fail:
    sac_free(path);
    return status;
}

static sac_status put(sac_field_store *store, const int16_t *values, int64_t offset, int64_t count,
                      const char *folder, sac_error *error) {
    if (store->memory != NULL) {
        memcpy(store->memory + offset, values, (size_t)count * sizeof *values);
        return SAC_OK;
    }
    const char *bytes = (const char *)values;
    int64_t at = offset * (int64_t)sizeof *values, left = count * (int64_t)sizeof *values;
    while (left > 0) {
        ssize_t wrote = pwrite(store->file, bytes, (size_t)left, (off_t)at);
        if (wrote <= 0) {
            return sac_error_set(error, SAC_ERROR_IO, -1,
                                 "%s: cannot take %lld MB of optical flow (disk full?)", folder,
                                 (long long)(store->bytes >> 20));
        }
        bytes += wrote;
        at += wrote;
        left -= wrote;
    }
    return SAC_OK;
}

static sac_status lay_out(sac_field_store *store, const sac_field_clip *clips, int64_t *total) {
    int64_t at = 0;
    *total = 0;
    for (int64_t c = 0; c < store->count; c++) {
        stored *s = &store->clips[c];
        int64_t values = 0;
        s->layout = sac_field_layout(clips[c].width, clips[c].height);
        s->fields = clips[c].frames > 0 ? clips[c].frames - 1 : 0;
        s->offset = at;
        if (!sac_mul(s->fields, field_values(&s->layout), &values) || !sac_add(at, values, &at)) {
            return SAC_ERROR_MEMORY;
        }
        *total += s->fields;
    }
    return sac_mul(at, sizeof(int16_t), &store->bytes) ? SAC_OK : SAC_ERROR_MEMORY;
}

sac_status sac_field_store_make(sac_field_store **out, const sac_field_clip *clips, int64_t count,
                                const char *folder, int64_t limit, bool (*stop)(void),
                                void (*progress)(void *user, int64_t done, int64_t total),
                                void *user, sac_error *error) {
    sac_status status = SAC_OK;
    sac_field_maker *maker = NULL;
    int16_t *values = NULL;
    int64_t *pairs = NULL;
    int64_t total = 0, done = 0;
    *out = NULL;
    sac_field_store *store = sac_calloc(1, sizeof *store);
    SAC_TRY_ALLOC(store);
    store->file = -1;
    store->count = count;
    SAC_TRY_ALLOC(store->clips = sac_calloc(count, sizeof *store->clips));
    SAC_TRY(lay_out(store, clips, &total));
    if (folder == NULL || store->bytes <= limit) {
        SAC_TRY_ALLOC(store->memory = sac_calloc(store->bytes, 1));
    } else {
        SAC_TRY(open_file(store, folder, error));
    }
    for (int64_t c = 0; c < count; c++) {
        const sac_field_clip *clip = &clips[c];
        const stored *s = &store->clips[c];
        if (s->fields == 0) continue;
        if (c == 0 || maker == NULL || clip->width != clips[c - 1].width ||
            clip->height != clips[c - 1].height) {
            sac_field_maker_close(&maker);
            sac_free(values);
            sac_free(pairs);
            values = NULL;
            pairs = NULL;
            SAC_TRY(sac_field_maker_create(&maker, clip->width, clip->height, error));
            int64_t stride = sac_field_maker_stride(maker);
            SAC_TRY_ALLOC(values = sac_calloc(stride * field_values(&s->layout), sizeof *values));
            SAC_TRY_ALLOC(pairs = sac_calloc(stride, sizeof *pairs));
        }
        for (int64_t t = 0, n = 0; t < s->fields; t += n) {
            if (stop != NULL && stop()) {
                status = sac_error_set(error, SAC_ERROR_INTERRUPTED, -1,
                                       "interrupted while computing the optical flow");
                goto fail;
            }
            for (n = 0; n < sac_field_maker_stride(maker) && t + n < s->fields; n++)
                pairs[n] = t + n;
            SAC_TRY(sac_field_maker_run(maker, values, clip->pixels, pairs, n));
            SAC_TRY(put(store, values, s->offset + t * field_values(&s->layout),
                        n * field_values(&s->layout), folder, error));
            done += n;
            if (progress != NULL) progress(user, done, total);
        }
    }
    if (store->file >= 0) {
        void *map = mmap(NULL, (size_t)store->bytes, PROT_READ, MAP_SHARED, store->file, 0);
        if (map == MAP_FAILED) {
            status = sac_error_set(error, SAC_ERROR_IO, -1, "%s: the optical flow cannot be mapped",
                                   folder);
            goto fail;
        }
        store->map = map;
        (void)close(store->file);
        store->file = -1;
    }
    sac_field_maker_close(&maker);
    sac_free(values);
    sac_free(pairs);
    *out = store;
    return SAC_OK;
fail:
    sac_field_maker_close(&maker);
    sac_free(values);
    sac_free(pairs);
    sac_field_store_close(&store);
    return sac_error_set(error, status, -1, "no memory for the optical flow");
}

sac_field sac_field_store_at(const sac_field_store *store, int64_t clip, int64_t t) {
    const stored *s = &store->clips[clip];
    sac_field field = s->layout;
    if (s->fields == 0) return field;
    if (t >= s->fields) t = s->fields - 1;
    if (t < 0) t = 0;
    const int16_t *all = store->map != NULL ? store->map : store->memory;
    field.data = all + s->offset + t * field_values(&s->layout);
    return field;
}

bool sac_field_store_mapped(const sac_field_store *store) {
    return store->map != NULL;
}
