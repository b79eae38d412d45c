// Measures matmul rates with the library that also runs the nets: a yardstick, not a benchmark of
// oneDNN. Calls of one thread are kept shorter than the slices in which a busy machine hands out its
// cores: longer ones would all hold other programs' time, which the short steps of a network escape
// in the median. Several threads wait for each other at the end of every call, so that theirs are
// long.
#include "nn/roofline.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#ifdef _OPENMP
#    include <omp.h>
#endif

#include "core/memory.h"
#include "core/time.h"
#include "nn/build.h"

#define MIN_SIDE    256
#define MAX_SIDE    1024
#define CALL_S      1.5e-3 // a call lasts about as long at most
#define WARM_UP     3
#define MIN_REPEATS 15
#define MAX_REPEATS 4096

typedef struct rate_run {
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    dnnl_memory_desc_t src_md, any, dst_md;
    dnnl_primitive_desc_t pd;
    dnnl_primitive_t matmul;
    dnnl_memory_t src, weights, dst;
    void *src_data, *weights_data, *dst_data;
} rate_run;

static int compare_doubles(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void close_run(rate_run *run) {
    if (run->src) dnnl_memory_destroy(run->src);
    if (run->weights) dnnl_memory_destroy(run->weights);
    if (run->dst) dnnl_memory_destroy(run->dst);
    if (run->matmul) dnnl_primitive_destroy(run->matmul);
    if (run->pd) dnnl_primitive_desc_destroy(run->pd);
    if (run->src_md) dnnl_memory_desc_destroy(run->src_md);
    if (run->any) dnnl_memory_desc_destroy(run->any);
    if (run->dst_md) dnnl_memory_desc_destroy(run->dst_md);
    if (run->stream) dnnl_stream_destroy(run->stream);
    if (run->engine) dnnl_engine_destroy(run->engine);
    sac_free(run->src_data);
    sac_free(run->weights_data);
    sac_free(run->dst_data);
    *run = (rate_run){0};
}

// Ordinary numbers: zeros and denormals would be multiplied at another speed on some machines.
static void fill(rate_run *run, int side, int64_t weights_bytes, bool int8) {
    uint8_t *u = run->src_data;
    int8_t *s = run->weights_data;
    float *src = run->src_data, *weights = run->weights_data;
    for (int i = 0; i < side * side; i++) {
        if (int8) {
            u[i] = (uint8_t)(i % 251);
        } else {
            src[i] = (float)(i % 17) / 16 - 0.5f;
        }
    }
    for (int64_t i = 0; i < (int8 ? weights_bytes : weights_bytes / (int64_t)sizeof(float)); i++) {
        if (int8) {
            s[i] = (int8_t)(i % 255 - 127);
        } else {
            weights[i] = (float)(i % 13) / 12 - 0.5f;
        }
    }
}

static sac_status open_run(rate_run *run, int side, bool int8, sac_error *error) {
    sac_status status = SAC_OK;
    const dnnl_dims_t dims = {side, side};
    SAC_TRY(sac_dnnl_status(dnnl_engine_create(&run->engine, dnnl_cpu, 0), "engine", error));
    SAC_TRY(sac_dnnl_status(
        dnnl_stream_create(&run->stream, run->engine, dnnl_stream_default_flags), "stream", error));
    SAC_TRY(sac_dnnl_status(
        dnnl_memory_desc_create_with_tag(&run->src_md, 2, dims, int8 ? dnnl_u8 : dnnl_f32, dnnl_ab),
        "matmul layout", error));
    SAC_TRY(sac_dnnl_status(dnnl_memory_desc_create_with_tag(
                                &run->any, 2, dims, int8 ? dnnl_s8 : dnnl_f32, dnnl_format_tag_any),
                            "matmul layout", error));
    SAC_TRY(sac_dnnl_status(dnnl_memory_desc_create_with_tag(&run->dst_md, 2, dims,
                                                             int8 ? dnnl_s32 : dnnl_f32, dnnl_ab),
                            "matmul layout", error));
    SAC_TRY(sac_dnnl_status(dnnl_matmul_primitive_desc_create(&run->pd, run->engine, run->src_md,
                                                              run->any, NULL, run->dst_md, NULL),
                            "matmul", error));
    SAC_TRY(sac_dnnl_status(dnnl_primitive_create(&run->matmul, run->pd), "matmul", error));

    const_dnnl_memory_desc_t weights_md =
        dnnl_primitive_desc_query_md(run->pd, dnnl_query_weights_md, 0);
    const int64_t weights_bytes = (int64_t)dnnl_memory_desc_get_size(weights_md);
    run->src_data = sac_calloc(side * side, int8 ? 1 : sizeof(float));
    SAC_TRY_ALLOC(run->src_data);
    run->dst_data = sac_calloc(side * side, sizeof(float));
    SAC_TRY_ALLOC(run->dst_data);
    run->weights_data = sac_calloc(weights_bytes, 1);
    SAC_TRY_ALLOC(run->weights_data);
    fill(run, side, weights_bytes, int8);
    SAC_TRY(sac_dnnl_status(dnnl_memory_create(&run->src, run->src_md, run->engine, run->src_data),
                            "matmul memory", error));
    SAC_TRY(sac_dnnl_status(
        dnnl_memory_create(&run->weights, weights_md, run->engine, run->weights_data),
        "matmul memory", error));
    SAC_TRY(sac_dnnl_status(dnnl_memory_create(&run->dst, run->dst_md, run->engine, run->dst_data),
                            "matmul memory", error));
fail:
    return status;
}

static sac_status multiply_once(rate_run *run, double *seconds, sac_error *error) {
    const dnnl_exec_arg_t args[] = {
        {DNNL_ARG_SRC, run->src}, {DNNL_ARG_WEIGHTS, run->weights}, {DNNL_ARG_DST, run->dst}};
    double start = sac_time_s();
    sac_status status = sac_dnnl_status(dnnl_primitive_execute(run->matmul, run->stream, 3, args),
                                        "matmul run", error);
    if (status == SAC_OK)
        status = sac_dnnl_status(dnnl_stream_wait(run->stream), "matmul run", error);
    *seconds = sac_time_s() - start;
    return status;
}

// *fastest = seconds of the fastest of some calls.
static sac_status warm_up(rate_run *run, double *fastest, sac_error *error) {
    sac_status status = SAC_OK;
    *fastest = INFINITY;
    for (int i = 0; i < WARM_UP; i++) {
        double seconds;
        SAC_TRY(multiply_once(run, &seconds, error));
        *fastest = fmin(*fastest, seconds);
    }
fail:
    return status;
}

// Sets the thread count of this thread's parallel regions and returns the one before.
static int set_threads(int threads) {
#ifdef _OPENMP
    int before = omp_get_max_threads();
    omp_set_num_threads(threads > 0 ? threads : omp_get_num_procs());
    return before;
#else
    return threads;
#endif
}

static bool several_threads(void) {
#ifdef _OPENMP
    return omp_get_max_threads() > 1;
#else
    return false;
#endif
}

static sac_status rate_measure(double *gops, int threads, double seconds, bool int8,
                               sac_error *error) {
    sac_status status = SAC_OK;
    rate_run run = {0};
    double *times = NULL, fastest = INFINITY;
    int count = 0;
    if (!(seconds > 0 && seconds <= 3600) || threads < 0 || threads > 1024)
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "matmul rate: %d threads for %g seconds, expected 0 to 1024 threads "
                             "and up to 3600 seconds",
                             threads, seconds);
    int before = set_threads(threads);
    times = sac_calloc(MAX_REPEATS, sizeof *times);
    SAC_TRY_ALLOC(times);
    const int opened = several_threads() ? MAX_SIDE : MIN_SIDE;
    int side = opened;
    SAC_TRY(open_run(&run, side, int8, error));
    SAC_TRY(warm_up(&run, &fastest, error));
    for (double s = 8 * fastest; side < MAX_SIDE && s <= CALL_S; s *= 8) side *= 2;
    if (side > opened) {
        close_run(&run);
        SAC_TRY(open_run(&run, side, int8, error));
        SAC_TRY(warm_up(&run, &fastest, error));
    }
    double start = sac_time_s();
    while (count < MIN_REPEATS || (count < MAX_REPEATS && sac_time_s() - start < seconds)) {
        SAC_TRY(multiply_once(&run, &times[count], error));
        count++;
    }
    qsort(times, (size_t)count, sizeof *times, compare_doubles);
    double median = count % 2 ? times[count / 2] : (times[count / 2 - 1] + times[count / 2]) / 2;
    if (!(median > 0)) {
        status =
            sac_error_set(error, SAC_ERROR_BACKEND, -1, "matmul rate: the clock did not advance");
        goto fail;
    }
    *gops = 2.0 * side * side * side / median * 1e-9;
fail:
    set_threads(before);
    close_run(&run);
    sac_free(times);
    return status;
}

sac_status sac_matmul_rate(double *gflops, int threads, double seconds, sac_error *error) {
    return rate_measure(gflops, threads, seconds, false, error);
}

sac_status sac_matmul_rate_int8(double *gops, int threads, double seconds, sac_error *error) {
    return rate_measure(gops, threads, seconds, true, error);
}
