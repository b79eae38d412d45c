// Banks of training vectors and distances to them.
#include "teachers/density.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/check.h"
#include "core/clones.h"
#include "core/memory.h"
#include "core/rng.h"

// Rows whose distances are added up side by side.
enum { BLOCK = 256 };
// What an always-present neighbour has seen of anything.
static const double SURPRISE_FLOOR = 0.01;
// Vectors, and numbers in them, that picking looks at; more would only take longer.
enum { MOST_CANDIDATES = 16384 };
static const int64_t MOST_NUMBERS = (int64_t)4 << 20;

void sac_density_close(sac_density *density) {
    if (density == NULL) return;
    sac_free(density->bank);
    *density = (sac_density){0};
}

// Squared distances sums [n] of columns first .. first + n of planes [dims][count] to a vector.
SAC_CLONES static void squared_distances(float *sums, const float *planes, int64_t count, int dims,
                                         int64_t first, int n, const float *vector) {
    memset(sums, 0, (size_t)n * sizeof *sums);
    for (int d = 0; d < dims; d++) {
        const float *plane = planes + d * count + first, value = vector[d];
        for (int i = 0; i < n; i++) sums[i] += (plane[i] - value) * (plane[i] - value);
    }
}

// nearest [count] of columns of `planes` becomes at most the squared distance to the vector.
static void update_nearest(float *nearest, const float *planes, int64_t count, int dims,
                           const float *vector) {
    for (int64_t first = 0; first < count; first += BLOCK) {
        float sums[BLOCK];
        const int n = count - first < BLOCK ? (int)(count - first) : BLOCK;
        squared_distances(sums, planes, count, dims, first, n, vector);
        for (int i = 0; i < n; i++) {
            // Picked columns hold -1 and keep it.
            if (sums[i] < nearest[first + i]) nearest[first + i] = sums[i];
        }
    }
}

static void take(sac_density *density, int64_t row, const float *feature) {
    for (int d = 0; d < density->dims; d++) {
        float value = feature[d];
        if (density->bytes) value = (float)lrintf(fminf(fmaxf(value, 0), 1) * 255) / 255;
        density->bank[d * density->rows + row] = value;
    }
}

sac_status sac_density_make(sac_density *density, const float *features, int64_t count, int dims,
                            int64_t stride, int64_t rows, bool bytes, uint64_t seed,
                            sac_error *error) {
    sac_status status = SAC_OK;
    int64_t *order = NULL;
    float *nearest = NULL, *planes = NULL;
    *density = (sac_density){0};
    if (count < 1 || dims < 1 || dims > SAC_DENSITY_MAX_DIMS || rows < 1 ||
        rows > SAC_DENSITY_MAX_ROWS || stride < dims) {
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "a bank of %lld of %lld vectors of %d values cannot be made",
                             (long long)rows, (long long)count, dims);
    }
    sac_rng rng;
    sac_rng_seed(&rng, seed, 0);
    SAC_TRY_ALLOC(order = sac_calloc(count, sizeof *order));
    for (int64_t i = 0; i < count; i++) order[i] = i;
    sac_rng_shuffle(&rng, order, count);
    int64_t candidates =
        MOST_NUMBERS / dims < MOST_CANDIDATES ? MOST_NUMBERS / dims : MOST_CANDIDATES;
    if (count < candidates) candidates = count;
    if (candidates < rows) candidates = count < rows ? count : rows;
    *density =
        (sac_density){.rows = rows < candidates ? rows : candidates, .dims = dims, .bytes = bytes};
    SAC_TRY_ALLOC(density->bank = sac_calloc(density->rows * dims, sizeof(float)));
    SAC_TRY_ALLOC(nearest = sac_calloc(candidates, sizeof *nearest));
    const int64_t drawn = (density->rows + 1) / 2;
    SAC_TRY_ALLOC(planes = sac_calloc(candidates * dims, sizeof *planes));
    for (int64_t i = 0; i < candidates; i++) {
        for (int d = 0; d < dims; d++) planes[d * candidates + i] = features[order[i] * stride + d];
        nearest[i] = INFINITY;
    }
    for (int64_t r = 0; r < density->rows; r++) {
        int64_t picked = r; // the order is random
        if (r >= drawn) {
            picked = 0;
            for (int64_t i = 1; i < candidates; i++) {
                if (nearest[i] > nearest[picked]) picked = i;
            }
        }
        const float *vector = features + order[picked] * stride;
        take(density, r, vector);
        // Equal vectors may be picked too, but none twice.
        nearest[picked] = -1;
        update_nearest(nearest, planes, candidates, dims, vector);
    }
fail:
    sac_free(order);
    sac_free(nearest);
    sac_free(planes);
    if (status < 0) sac_density_close(density);
    return status < 0 ? sac_error_set(error, status, -1, "no memory for a bank of features")
                      : SAC_OK;
}

sac_status sac_density_sample(sac_density *density, const float *features, int64_t count, int dims,
                              int64_t rows, uint64_t seed, sac_error *error) {
    sac_status status = SAC_OK;
    int64_t *order = NULL;
    *density = (sac_density){0};
    if (count < 1 || dims < 1 || dims > SAC_DENSITY_MAX_DIMS || rows < 1 ||
        rows > SAC_DENSITY_MAX_ROWS) {
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "a bank of %lld of %lld vectors of %d values cannot be made",
                             (long long)rows, (long long)count, dims);
    }
    sac_rng rng;
    sac_rng_seed(&rng, seed, 0);
    SAC_TRY_ALLOC(order = sac_calloc(count, sizeof *order));
    for (int64_t i = 0; i < count; i++) order[i] = i;
    sac_rng_shuffle(&rng, order, count);
    *density = (sac_density){.rows = rows < count ? rows : count, .dims = dims};
    SAC_TRY_ALLOC(density->bank = sac_calloc(density->rows * dims, sizeof(float)));
    for (int64_t r = 0; r < density->rows; r++) take(density, r, features + order[r] * dims);
fail:
    sac_free(order);
    if (status < 0) sac_density_close(density);
    return status < 0 ? sac_error_set(error, status, -1, "no memory for a bank of features")
                      : SAC_OK;
}

float sac_density_surprise(const sac_density *density, const float *feature, int given,
                           double alpha, double beta) {
    // Rows farther away than this have no weight worth adding.
    const double most = 12;
    const int first = density->dims - given;
    double weights = 1, sum = SURPRISE_FLOOR;
    for (int64_t begin = 0; begin < density->rows; begin += BLOCK) {
        float near[BLOCK], alike[BLOCK];
        const int n = density->rows - begin < BLOCK ? (int)(density->rows - begin) : BLOCK;
        squared_distances(near, density->bank + first * density->rows, density->rows, given, begin,
                          n, feature + first);
        squared_distances(alike, density->bank, density->rows, first, begin, n, feature);
        for (int i = 0; i < n; i++) {
            const double far = (double)near[i] / (2 * beta * beta);
            if (far > most) continue;
            const double weight = exp(-far);
            weights += weight;
            sum += weight * exp(-(double)alike[i] / (2 * alpha * alpha));
        }
    }
    return (float)-log(sum / weights);
}

float sac_density_distance(const sac_density *density, const float *feature, int neighbours) {
    float best[SAC_DENSITY_MAX_NEIGHBOURS];
    int64_t rows = density->rows;
    int k = neighbours < SAC_DENSITY_MAX_NEIGHBOURS ? neighbours : SAC_DENSITY_MAX_NEIGHBOURS;
    if (k > rows) k = (int)rows;
    if (k < 1) k = 1;
    for (int i = 0; i < k; i++) best[i] = INFINITY;
    for (int64_t first = 0; first < rows; first += BLOCK) {
        float sums[BLOCK];
        const int n = rows - first < BLOCK ? (int)(rows - first) : BLOCK;
        squared_distances(sums, density->bank, rows, density->dims, first, n, feature);
        for (int i = 0; i < n; i++) {
            if (!(sums[i] < best[k - 1])) continue;
            int at = k - 1;
            for (; at > 0 && best[at - 1] > sums[i]; at--) best[at] = best[at - 1];
            best[at] = sums[i];
        }
    }
    double mean = 0;
    for (int i = 0; i < k; i++) mean += sqrt((double)best[i]);
    return (float)(mean / k);
}

sac_status sac_density_store(const sac_density *density, sac_safetensors *st, const char *name,
                             sac_error *error) {
    sac_status status = SAC_OK;
    uint8_t *bytes = NULL;
    const int64_t dims[2] = {density->dims, density->rows}, n = dims[0] * dims[1];
    char *full = sac_format("%s.bank", name);
    SAC_TRY_ALLOC(full);
    if (density->bytes) {
        SAC_TRY_ALLOC(bytes = sac_calloc(n, 1));
        for (int64_t i = 0; i < n; i++) bytes[i] = (uint8_t)lrintf(density->bank[i] * 255);
        SAC_TRY(sac_safetensors_add(st, full, SAC_DTYPE_U8, 2, dims, bytes, error));
    } else {
        SAC_TRY(sac_safetensors_add(st, full, SAC_DTYPE_F32, 2, dims, density->bank, error));
    }
fail:
    sac_free(bytes);
    sac_free(full);
    return status;
}

sac_status sac_density_load(sac_density *density, const sac_safetensors *st, const char *name,
                            int dims, const char *path, sac_error *error) {
    sac_status status = SAC_OK;
    *density = (sac_density){0};
    char *full = sac_format("%s.bank", name);
    SAC_TRY_ALLOC(full);
    const sac_named_tensor *t = sac_safetensors_find(st, full);
    if (t == NULL || t->ndims != 2 || (t->dtype != SAC_DTYPE_F32 && t->dtype != SAC_DTYPE_U8) ||
        t->dims[0] != dims || t->dims[1] < 1 || t->dims[1] > SAC_DENSITY_MAX_ROWS) {
        status = sac_error_set(error, SAC_ERROR_FORMAT, -1,
                               "%s: has no tensor '%s' of %d rows and 1 to %d columns, f32 or u8",
                               path, full, dims, (int)SAC_DENSITY_MAX_ROWS);
        goto fail;
    }
    *density = (sac_density){.rows = t->dims[1], .dims = dims, .bytes = t->dtype == SAC_DTYPE_U8};
    SAC_TRY_ALLOC(density->bank = sac_calloc(t->count, sizeof(float)));
    for (int64_t i = 0; i < t->count; i++) {
        density->bank[i] = density->bytes ? (float)((const uint8_t *)t->data)[i] / 255
                                          : ((const float *)t->data)[i];
        if (isfinite(density->bank[i])) continue;
        status = sac_error_set(error, SAC_ERROR_NUMERIC, -1, "%s: a value of '%s' is not finite",
                               path, full);
        goto fail;
    }
fail:
    sac_free(full);
    if (status < 0) sac_density_close(density);
    return status < 0 ? sac_error_set(error, status, -1, "%s: no memory for a bank", path) : SAC_OK;
}
