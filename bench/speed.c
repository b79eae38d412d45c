// Interleaved speed rounds of a student model: alone, from file to score, decode only, limits.
// The timed loops are in timing.c; describing the machine and writing files is left to others.
#include "bench/speed.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bench/stats.h"
#include "bench/timing.h"
#include "core/check.h"
#include "core/file.h"
#include "core/memory.h"
#include "nn/roofline.h"

// Limits vary less than what they limit and need not take as long.
#define LIMIT_SECONDS 0.2

typedef enum arm {
    STUDENT_ALONE,
    POOL,
    WORKERS,
    IN_SEQUENCE,
    PIPELINED,
    FILES,
    DECODE_ONLY,
    DECODE_FILES,
    MATMUL,
    MATMUL_INT8,
    MEMORY,
    ARM_COUNT
} arm;

typedef struct bench {
    const sac_speed_options *options;
    sac_timing_source source;
    sac_student *students[SAC_SPEED_MAX_RUNS]; // N threads
    sac_student *narrower[SAC_SPEED_MAX_RUNS]; // N-1 threads, for the pipeline
    sac_student *workers[SAC_TIMING_WORKERS];  // one thread each
    sac_student_pool *pools[SAC_SPEED_MAX_RUNS];
    sac_student *pooled[SAC_SPEED_MAX_RUNS];
    sac_timing_samples times[SAC_SPEED_MAX_RUNS][ARM_COUNT];
    sac_prepared prepared;
    int64_t pass_frames; // of the last pass over the source that reached its end
} bench;

sac_speed_options sac_speed_default_options(void) {
    return (sac_speed_options){.threads = {1, 2},
                               .thread_counts = 2,
                               .repeats = 5,
                               .seconds = 1.0,
                               .decode_threads = 1,
                               .limits = true};
}

static sac_speed_stat *stat_of(sac_speed_run *run, arm which) {
    switch (which) {
    case STUDENT_ALONE:
        return &run->student_alone;
    case POOL:
        return &run->student_pool;
    case WORKERS:
        return &run->student_workers;
    case IN_SEQUENCE:
        return &run->in_sequence;
    case PIPELINED:
        return &run->pipelined;
    case FILES:
        return &run->files;
    case DECODE_FILES:
        return &run->decode_files;
    case MATMUL:
        return &run->matmul;
    case MATMUL_INT8:
        return &run->matmul_int8;
    case MEMORY:
        return &run->memory;
    case DECODE_ONLY:
    case ARM_COUNT:
        break;
    }
    return &run->decode_only;
}

static bool takes_part(const sac_speed_options *options, int run, arm which) {
    switch (which) {
    case POOL:
    case WORKERS:
    case PIPELINED:
    case FILES:
    case DECODE_FILES:
        return options->threads[run] > 1;
    case MATMUL:
    case MATMUL_INT8:
        return options->limits;
    case MEMORY:
        return options->limits && run == 0;
    case STUDENT_ALONE:
    case IN_SEQUENCE:
    case DECODE_ONLY:
    case ARM_COUNT:
        break;
    }
    return true;
}

static int workers_of(int threads) {
    return threads < SAC_TIMING_WORKERS ? threads : SAC_TIMING_WORKERS;
}

// ---- the measurements --------------------------------------------------------------------------

static sac_status measure(double *fps, bench *b, int run, arm which, sac_timing_samples *times,
                          double seconds, sac_error *error) {
    const int threads = b->options->threads[run], workers = workers_of(threads);
    switch (which) {
    case STUDENT_ALONE:
        return sac_time_prepared(fps, &b->students[run], 1, &b->prepared, times, seconds, error);
    case POOL:
        return sac_time_prepared(fps, &b->pooled[run], 1, &b->prepared, times, seconds, error);
    case WORKERS:
        return sac_time_prepared(fps, b->workers, workers, &b->prepared, times, seconds, error);
    case IN_SEQUENCE:
        return sac_time_files(fps, &b->students[run], 1, &b->source, false, times, seconds,
                              &b->pass_frames, error);
    case PIPELINED:
        return sac_time_files(fps, &b->narrower[run], 1, &b->source, true, times, seconds,
                              &b->pass_frames, error);
    case FILES:
        return sac_time_files(fps, b->workers, workers, &b->source, false, times, seconds,
                              &b->pass_frames, error);
    case DECODE_FILES:
        return sac_time_decoding(fps, workers, &b->source, false, times, seconds, error);
    case MATMUL:
        return sac_matmul_rate(fps, threads, fmin(seconds, LIMIT_SECONDS), error);
    case MATMUL_INT8:
        return sac_matmul_rate_int8(fps, threads, fmin(seconds, LIMIT_SECONDS), error);
    case MEMORY:
        return sac_memory_rate(fps, fmin(seconds, LIMIT_SECONDS), error);
    case DECODE_ONLY:
    case ARM_COUNT:
        break;
    }
    return sac_time_decoding(fps, 1, &b->source, threads > 1, times, seconds, error);
}

static sac_status all_rounds(bench *b, sac_speed_result *result, sac_error *error) {
    const sac_speed_options *options = b->options;
    sac_status status = SAC_OK;
    int64_t done = 0, total = 0;
    for (int r = 0; r < options->thread_counts; r++)
        for (int a = 0; a < ARM_COUNT; a++) total += takes_part(options, r, (arm)a);
    total *= options->repeats + 1;
    // Round -1 warms up caches, threads and the decoder and is thrown away.
    for (int round = -1; round < options->repeats; round++)
        for (int r = 0; r < options->thread_counts; r++)
            for (int a = 0; a < ARM_COUNT; a++) {
                if (!takes_part(options, r, (arm)a)) continue;
                double fps;
                const double seconds = round < 0 ? fmin(0.2, options->seconds) : options->seconds;
                SAC_TRY(measure(&fps, b, r, (arm)a, round < 0 ? NULL : &b->times[r][a], seconds,
                                error));
                if (round >= 0) stat_of(&result->runs[r], (arm)a)->rounds[round] = fps;
                done++;
                if (options->progress != NULL && options->progress(options->user, done, total) != 0)
                    SAC_TRY(sac_error_set(error, SAC_ERROR_INTERRUPTED, done, "interrupted"));
            }
fail:
    return status;
}

static sac_status summarise(bench *b, sac_speed_result *result) {
    const int repeats = b->options->repeats;
    double *sorted = sac_calloc(repeats, sizeof *sorted);
    if (sorted == NULL) return SAC_ERROR_MEMORY;
    for (int r = 0; r < result->run_count; r++)
        for (int a = 0; a < ARM_COUNT; a++) {
            sac_speed_stat *stat = stat_of(&result->runs[r], (arm)a);
            sac_timing_samples *times = &b->times[r][a];
            stat->fps = stat->p50_ms = stat->p90_ms = stat->p99_ms = stat->p999_ms = (double)NAN;
            if (!takes_part(b->options, r, (arm)a)) continue;
            memcpy(sorted, stat->rounds, (size_t)repeats * sizeof *sorted);
            sac_stats_sort(sorted, repeats);
            stat->fps = sac_stats_quantile(sorted, repeats, 0.5);
            sac_stats_sort(times->values, times->count);
            stat->p50_ms = 1e3 * sac_stats_quantile(times->values, times->count, 0.5);
            stat->p90_ms = 1e3 * sac_stats_quantile(times->values, times->count, 0.9);
            stat->p99_ms = 1e3 * sac_stats_quantile(times->values, times->count, 0.99);
            stat->p999_ms = 1e3 * sac_stats_quantile(times->values, times->count, 0.999);
            stat->frames = times->count;
        }
    sac_free(sorted);
    return SAC_OK;
}

static sac_status check_options(const sac_speed_options *options, sac_error *error) {
    if (options->model == NULL || options->source == NULL)
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "a speed measurement needs a model and a source");
    if (options->thread_counts < 1 || options->thread_counts > SAC_SPEED_MAX_RUNS)
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1, "%d thread counts, expected 1 to %d",
                             options->thread_counts, SAC_SPEED_MAX_RUNS);
    for (int r = 0; r < options->thread_counts; r++)
        if (options->threads[r] < 1 || options->threads[r] > 1024)
            return sac_error_set(error, SAC_ERROR_ARGUMENT, -1, "%d threads, expected 1 to 1024",
                                 options->threads[r]);
    if (options->repeats < 1 || options->repeats > 1000)
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1, "%d repeats, expected 1 to 1000",
                             options->repeats);
    if (!(options->seconds > 0.0 && options->seconds <= 600.0))
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "%g s per measurement, expected more than 0 and at most 600",
                             options->seconds);
    return SAC_OK;
}

static sac_status open_students(bench *b, sac_error *error) {
    sac_status status = SAC_OK;
    sac_student_options options = sac_student_default_options();
    int most = 1;
    options.logger = b->options->logger;
    options.precision = b->options->precision;
    for (int r = 0; r < b->options->thread_counts; r++) {
        const int threads = b->options->threads[r];
        options.threads = threads;
        SAC_TRY(sac_student_open(&b->students[r], b->options->model, &options, error));
        if (threads == 1) continue;
        options.threads = threads - 1;
        SAC_TRY(sac_student_open(&b->narrower[r], b->options->model, &options, error));
        const sac_student_pool_options pool = {.workers = threads};
        SAC_TRY(sac_student_pool_open(&b->pools[r], b->options->model, &options, &pool, error));
        SAC_TRY(sac_student_pool_stream(b->pools[r], &b->pooled[r], error));
        if (workers_of(threads) > most) most = workers_of(threads);
    }
    options.threads = 1;
    for (int i = 0; most > 1 && i < most; i++)
        SAC_TRY(sac_student_open(&b->workers[i], b->options->model, &options, error));
fail:
    return status;
}

static sac_status describe(sac_speed_result *result, const bench *b) {
    sac_student_info info;
    sac_status status = SAC_OK;
    sac_student_get_info(b->students[0], &info);
    result->input_width = info.width;
    result->input_height = info.height;
    result->parameters = info.parameters;
    result->macs = info.macs_per_frame;
    result->split = info.split;
    result->precision = info.precision;
    result->source_width = b->prepared.width;
    result->source_height = b->prepared.height;
    SAC_TRY_ALLOC(result->arch = sac_strdup(info.arch));
fail:
    return status;
}

static sac_status make_room(sac_speed_result *result, const sac_speed_options *options) {
    sac_status status = SAC_OK;
    result->run_count = options->thread_counts;
    result->repeats = options->repeats;
    SAC_TRY_ALLOC(result->model = sac_strdup(sac_path_last(options->model)));
    SAC_TRY_ALLOC(result->source = sac_strdup(sac_path_last(options->source)));
    for (int r = 0; r < result->run_count; r++) {
        result->runs[r].threads = options->threads[r];
        result->runs[r].workers = workers_of(options->threads[r]);
        for (int a = 0; a < ARM_COUNT; a++)
            if (takes_part(options, r, (arm)a))
                SAC_TRY_ALLOC(stat_of(&result->runs[r], (arm)a)->rounds =
                                  sac_calloc(options->repeats, sizeof(double)));
    }
fail:
    return status;
}

sac_status sac_speed_measure(sac_speed_result *result, const sac_speed_options *options,
                             sac_error *error) {
    bench b = {.options = options,
               .source = {.path = options->source,
                          .format = options->format,
                          .decode_threads = options->decode_threads,
                          .skip_loop_filter = options->skip_loop_filter,
                          .skip_frames = options->skip_frames,
                          .lowres = options->lowres}};
    sac_status status;
    memset(result, 0, sizeof *result);
    SAC_TRY(check_options(options, error));
    SAC_TRY(make_room(result, options));
    sac_machine_describe(&result->machine);
    SAC_TRY(open_students(&b, error));
    SAC_TRY(sac_prepared_load(&b.prepared, b.students[0], &b.source, error));
    SAC_TRY(describe(result, &b));
    SAC_TRY(all_rounds(&b, result, error));
    SAC_TRY(summarise(&b, result));
    result->source_frames = b.pass_frames;
    result->machine.load_after = sac_machine_load();
    status = SAC_OK;
fail:
    if (status == SAC_ERROR_MEMORY)
        sac_error_set(error, status, -1, "no memory for the speed measurement");
    for (int r = 0; r < SAC_SPEED_MAX_RUNS; r++) {
        sac_student_close(&b.students[r]);
        sac_student_close(&b.narrower[r]);
        sac_student_close(&b.pooled[r]);
        sac_student_pool_close(&b.pools[r]);
        for (int a = 0; a < ARM_COUNT; a++) sac_timing_samples_close(&b.times[r][a]);
    }
    for (int i = 0; i < SAC_TIMING_WORKERS; i++) sac_student_close(&b.workers[i]);
    sac_prepared_close(&b.prepared);
    if (status < 0) sac_speed_result_close(result);
    return status;
}

void sac_speed_result_close(sac_speed_result *result) {
    if (result == NULL) return;
    for (int r = 0; r < SAC_SPEED_MAX_RUNS; r++)
        for (int a = 0; a < ARM_COUNT; a++) sac_free(stat_of(&result->runs[r], (arm)a)->rounds);
    sac_free(result->model);
    sac_free(result->source);
    sac_free(result->arch);
    memset(result, 0, sizeof *result);
}

const sac_speed_stat *sac_speed_alone(const sac_speed_run *run) {
    const sac_speed_stat *best = &run->student_alone;
    if (run->student_pool.fps > best->fps) best = &run->student_pool;
    if (run->student_workers.fps > best->fps) best = &run->student_workers;
    return best;
}

const sac_speed_stat *sac_speed_file_to_score(const sac_speed_run *run) {
    return run->pipelined.fps > run->in_sequence.fps ? &run->pipelined : &run->in_sequence;
}
