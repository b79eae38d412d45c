// Banks of training vectors: distances against plain loops, what is picked, files.
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "core/memory.h"
#include "core/rng.h"
#include "helper.h"
#include "teachers/density.h"

enum { COUNT = 700, MOST_DIMS = 9 };

static void make_vectors(float *v, int dims) {
    sac_rng rng;
    sac_rng_seed(&rng, 3, 0);
    for (int i = 0; i < COUNT * dims; i++) v[i] = (float)sac_rng_uniform(&rng);
}

// Mean distance to the k nearest of all vectors, by sorting.
static double reference(const float *v, int dims, const float *to, int k) {
    double best[COUNT];
    int n = 0;
    for (int i = 0; i < COUNT; i++) {
        double sum = 0;
        for (int d = 0; d < dims; d++)
            sum += ((double)v[i * dims + d] - (double)to[d]) *
                   ((double)v[i * dims + d] - (double)to[d]);
        int at = n++;
        for (; at > 0 && best[at - 1] > sum; at--) best[at] = best[at - 1];
        best[at] = sum;
    }
    double mean = 0;
    for (int i = 0; i < k; i++) mean += sqrt(best[i]) / k;
    return mean;
}

Test(teachers_density, distance_is_that_of_the_definition) {
    static float v[COUNT * MOST_DIMS];
    static const int dims[] = {1, 2, 3, 8, 9}, neighbours[] = {1, 3, 16};
    for (size_t i = 0; i < sizeof dims / sizeof dims[0]; i++) {
        sac_density density;
        sac_error error = {0};
        make_vectors(v, dims[i]);
        sac_assert_ok(
            sac_density_make(&density, v, COUNT, dims[i], dims[i], COUNT, false, 1, &error),
            &error);
        cr_assert_eq(density.rows, COUNT);
        for (size_t k = 0; k < sizeof neighbours / sizeof neighbours[0]; k++) {
            float to[MOST_DIMS];
            for (int d = 0; d < dims[i]; d++) to[d] = 0.3f + 0.4f * (float)d;
            double expected = reference(v, dims[i], to, neighbours[k]);
            double got = (double)sac_density_distance(&density, to, neighbours[k]);
            cr_assert_float_eq(got, expected, 1e-5 * (1 + expected), "%d dims, %d neighbours",
                               dims[i], neighbours[k]);
        }
        cr_assert_eq(sac_density_distance(&density, v, 1), 0, "a vector of the bank");
        sac_density_close(&density);
    }
}

Test(teachers_density, rare_vectors_are_picked) {
    static float v[COUNT * 2];
    make_vectors(v, 2);
    v[2 * 345] = 9; // one far out
    v[2 * 345 + 1] = -9;
    sac_density density, again;
    sac_error error = {0};
    sac_assert_ok(sac_density_make(&density, v, COUNT, 2, 2, 20, false, 7, &error), &error);
    cr_assert_eq(density.rows, 20);
    cr_assert_eq(sac_density_distance(&density, v + 2 * 345, 1), 0);
    // The far half covers the square: no corner is far from the bank.
    for (int corner = 0; corner < 4; corner++) {
        float to[2] = {(float)(corner & 1), (float)(corner >> 1)};
        cr_assert_lt(sac_density_distance(&density, to, 1), 0.25f, "corner %d", corner);
    }
    sac_assert_ok(sac_density_make(&again, v, COUNT, 2, 2, 20, false, 7, &error), &error);
    cr_assert_eq(memcmp(density.bank, again.bank, 40 * sizeof(float)), 0, "same seed");
    sac_density_close(&again);
    sac_assert_ok(sac_density_make(&again, v, COUNT, 2, 2, 20, false, 8, &error), &error);
    cr_assert_neq(memcmp(density.bank, again.bank, 40 * sizeof(float)), 0, "another seed");
    sac_density_close(&again);
    sac_density_close(&density);
}

Test(teachers_density, survives_a_file) {
    static float v[COUNT * 3];
    make_vectors(v, 3);
    for (int bytes = 0; bytes < 2; bytes++) {
        sac_density density, again;
        sac_safetensors *st = NULL;
        sac_error error = {0};
        sac_assert_ok(sac_density_make(&density, v, COUNT, 3, 3, 50, bytes != 0, 7, &error),
                      &error);
        sac_assert_ok(sac_safetensors_create(&st), &error);
        sac_assert_ok(sac_density_store(&density, st, "colour", &error), &error);
        sac_assert_ok(sac_density_load(&again, st, "colour", 3, "file", &error), &error);
        cr_assert_eq(again.rows, 50);
        cr_assert_eq(memcmp(density.bank, again.bank, 150 * sizeof(float)), 0);
        sac_density_close(&again);
        sac_assert_error(sac_density_load(&again, st, "colour", 4, "file", &error),
                         SAC_ERROR_FORMAT, &error, "file", "colour.bank", NULL);
        error = (sac_error){0};
        sac_assert_error(sac_density_load(&again, st, "form", 3, "file", &error), SAC_ERROR_FORMAT,
                         &error, "form.bank", NULL);
        sac_safetensors_close(&st);
        sac_density_close(&density);
    }
    const float bad[2] = {1, NAN};
    const int64_t dims[2] = {1, 2}, empty[2] = {1, 0};
    sac_safetensors *st = NULL;
    sac_density density;
    sac_error error = {0};
    sac_assert_ok(sac_safetensors_create(&st), &error);
    sac_assert_ok(sac_safetensors_add(st, "bad.bank", SAC_DTYPE_F32, 2, dims, bad, &error), &error);
    sac_assert_ok(sac_safetensors_add(st, "none.bank", SAC_DTYPE_F32, 2, empty, bad, &error),
                  &error);
    sac_assert_error(sac_density_load(&density, st, "bad", 1, "file", &error), SAC_ERROR_NUMERIC,
                     &error, "bad.bank", NULL);
    error = (sac_error){0};
    sac_assert_error(sac_density_load(&density, st, "none", 1, "file", &error), SAC_ERROR_FORMAT,
                     &error, "none.bank", NULL);
    cr_assert_null(density.bank);
    sac_safetensors_close(&st);
}

Test(teachers_density, refuses_bad_sizes_and_short_memory) {
    float v[4] = {1, 2, 3, 4};
    sac_density density;
    for (int i = 0; i < 4; i++) {
        sac_error error = {0};
        sac_assert_error(sac_density_make(&density, v, i == 0 ? 0 : 2, i == 1 ? 0 : 2,
                                          i == 2 ? 1 : 2, i == 3 ? 0 : 2, false, 1, &error),
                         SAC_ERROR_ARGUMENT, &error, "bank", NULL);
        cr_assert_null(density.bank);
    }
    bool worked = false;
    for (int n = 0; n < 20 && !worked; n++) {
        sac_memory_fail_after(n);
        sac_status status = sac_density_make(&density, v, 2, 2, 2, 2, false, 1, NULL);
        sac_memory_fail_after(-1);
        worked = status == SAC_OK;
        if (!worked) cr_assert_eq(status, SAC_ERROR_MEMORY);
    }
    cr_assert(worked);
    sac_density_close(&density);
}

// The formula in double, one row after the other.
static double plain_surprise(const sac_density *d, const float *v, int given, double alpha,
                             double beta) {
    double weights = 1, sum = 0.01;
    for (int64_t r = 0; r < d->rows; r++) {
        double place = 0, rest = 0;
        for (int k = 0; k < d->dims; k++) {
            const double gap = (double)d->bank[k * d->rows + r] - (double)v[k];
            *(k < d->dims - given ? &rest : &place) += gap * gap;
        }
        weights += exp(-place / (2 * beta * beta));
        sum += exp(-place / (2 * beta * beta)) * exp(-rest / (2 * alpha * alpha));
    }
    return -log(sum / weights);
}

// Two streams side by side, each with a direction of its own; few go the other way.
Test(teachers_density, surprise_depends_on_the_place) {
    enum { N = 4000, DIMS = 4 };
    float *v = sac_calloc(N, DIMS * sizeof *v);
    sac_rng rng;
    sac_rng_seed(&rng, 3, 0);
    for (int i = 0; i < N; i++) {
        const bool upper = i % 2 == 0, against = i % 50 == 0;
        v[i * DIMS] = upper != against ? 1 : -1;
        v[i * DIMS + 1] = (float)(0.1 * sac_rng_normal(&rng));
        v[i * DIMS + 2] = (float)(10 * sac_rng_uniform(&rng));
        v[i * DIMS + 3] = (float)((upper ? 1.5 : 0) + 0.2 * sac_rng_normal(&rng));
    }
    sac_density d, again;
    sac_error error = {0};
    sac_assert_ok(sac_density_sample(&d, v, N, DIMS, 1500, 4, &error), &error);
    sac_assert_ok(sac_density_sample(&again, v, N, DIMS, 1500, 4, &error), &error);
    cr_assert_eq(d.rows, 1500);
    cr_assert_eq(memcmp(d.bank, again.bank, 1500 * DIMS * sizeof *v), 0);
    sac_density_close(&again);
    const float with[DIMS] = {1, 0, 5, 1.5f}, against[DIMS] = {-1, 0, 5, 1.5f},
                nowhere[DIMS] = {1, 0, 5, 30};
    const float a = sac_density_surprise(&d, with, 2, 0.5, 0.5),
                b = sac_density_surprise(&d, against, 2, 0.5, 0.5),
                c = sac_density_surprise(&d, nowhere, 2, 0.5, 0.5);
    cr_assert_lt(a, 0.3f, "with the stream %g", (double)a);
    cr_assert_gt(b, 2, "against it %g", (double)b);
    cr_assert_float_eq((double)c, -log(0.01), 1e-4);
    for (int i = 0; i < 200; i++) {
        float own[DIMS];
        for (int k = 0; k < DIMS; k++)
            own[k] = v[i * DIMS + k] + (float)(0.5 * sac_rng_normal(&rng));
        const int given = 1 + i % 3;
        cr_assert_float_eq((double)sac_density_surprise(&d, own, given, 0.4, 0.7),
                           plain_surprise(&d, own, given, 0.4, 0.7), 1e-2, "vector %d given %d", i,
                           given);
    }
    sac_density_close(&d);
    sac_assert_error(sac_density_sample(&d, v, 0, DIMS, 10, 4, &error), SAC_ERROR_ARGUMENT, &error,
                     "bank", NULL);
    sac_free(v);
}
