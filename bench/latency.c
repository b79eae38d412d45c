// Quantiles of the time from a frame to its score.
#include "bench/latency.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bench/stats.h"
#include "core/check.h"
#include "core/json.h"

static const double quantiles[SAC_LATENCY_QUANTILES] = {0.5, 0.9, 0.99, 0.999};
static const char *const quantile_names[SAC_LATENCY_QUANTILES] = {"p50", "p90", "p99", "p99.9"};
enum { P999_FRAMES = 1000 };

sac_latency_options sac_latency_default_options(void) {
    return (sac_latency_options){.source = {.decode_threads = 1}, .rounds = 5, .seconds = 2};
}

// Sorts the round's samples into the way's, and notes the round's own quantiles.
static sac_status take_round(sac_latency_way *way, int round, sac_timing_samples *all,
                             sac_timing_samples *samples) {
    sac_status status = SAC_OK;
    sac_stats_sort(samples->values, samples->count);
    for (int q = 0; q < SAC_LATENCY_QUANTILES; q++)
        way->rounds[q][round] =
            1e3 * sac_stats_quantile(samples->values, samples->count, quantiles[q]);
    for (int64_t i = 0; i < samples->count; i++) SAC_TRY(sac_timing_add(all, samples->values[i]));
    samples->count = 0;
fail:
    return status;
}

static void summarise(sac_latency_way *way, sac_timing_samples *all) {
    sac_stats_sort(all->values, all->count);
    for (int q = 0; q < SAC_LATENCY_QUANTILES; q++)
        way->ms[q] = 1e3 * sac_stats_quantile(all->values, all->count, quantiles[q]);
    if (all->count < P999_FRAMES) way->ms[SAC_LATENCY_P999] = (double)NAN;
    way->worst_ms = 1e3 * sac_stats_quantile(all->values, all->count, 1.0);
    way->frames = all->count;
}

static sac_status check(const sac_latency_options *o, sac_error *error) {
    if (o->model == NULL || o->source.path == NULL)
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1, "latency needs a model and a source");
    if (o->rounds < 1 || o->rounds > SAC_LATENCY_ROUNDS)
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1, "%d rounds, expected 1 to %d",
                             o->rounds, SAC_LATENCY_ROUNDS);
    if (!(o->seconds > 0 && o->seconds <= 600))
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "%g s a measurement, expected more than 0 and at most 600",
                             o->seconds);
    return SAC_OK;
}

sac_status sac_latency_measure(sac_latency_result *result, const sac_latency_options *options,
                               sac_error *error) {
    sac_student *student = NULL;
    sac_student_options student_options = sac_student_default_options();
    sac_student_info info;
    sac_raw_frames raw = {0};
    sac_timing_samples samples = {0}, memory = {0}, file = {0};
    sac_status status;
    double fps;
    memset(result, 0, sizeof *result);
    SAC_TRY(check(options, error));
    student_options.threads = options->threads;
    student_options.logger = options->logger;
    student_options.precision = options->precision;
    SAC_TRY(sac_student_open(&student, options->model, &student_options, error));
    sac_student_get_info(student, &info);
    SAC_TRY(sac_raw_frames_load(&raw, &options->source, info.channels, 256, error));
    result->threads = options->threads;
    result->rounds = options->rounds;
    result->lookahead = info.lookahead;
    // Round -1 warms up.
    for (int round = -1; round < options->rounds; round++) {
        const double seconds = round < 0 ? fmin(0.2, options->seconds) : options->seconds;
        SAC_TRY(sac_time_raw(&fps, &student, 1, &raw, &samples, seconds, error));
        if (round >= 0) SAC_TRY(take_round(&result->memory, round, &memory, &samples));
        samples.count = 0;
        SAC_TRY(sac_time_files(&fps, &student, 1, &options->source, false, &samples, seconds, NULL,
                               error));
        if (round >= 0) SAC_TRY(take_round(&result->file, round, &file, &samples));
        samples.count = 0;
        if (options->progress != NULL &&
            options->progress(options->user, round + 2, options->rounds + 1) != 0)
            SAC_TRY(sac_error_set(error, SAC_ERROR_INTERRUPTED, round, "interrupted"));
    }
    summarise(&result->memory, &memory);
    summarise(&result->file, &file);
    status = SAC_OK;
fail:
    if (status == SAC_ERROR_MEMORY)
        sac_error_set(error, status, -1, "no memory to measure latency");
    sac_timing_samples_close(&samples);
    sac_timing_samples_close(&memory);
    sac_timing_samples_close(&file);
    sac_raw_frames_close(&raw);
    sac_student_close(&student);
    return status;
}

static sac_status way_figures(sac_figures *figures, const sac_latency_way *way, const char *name,
                              int rounds, sac_error *error) {
    sac_status status = SAC_OK;
    for (int q = 0; q < SAC_LATENCY_QUANTILES; q++) {
        char text[128];
        double copy[SAC_LATENCY_ROUNDS];
        memcpy(copy, way->rounds[q], sizeof copy);
        snprintf(text, sizeof text, "latency; %s; %s", name, quantile_names[q]);
        sac_figure figure = sac_figure_of_rounds(text, "ms", true, copy, rounds);
        // The value of all rounds together; single rounds have too few frames for the last one.
        figure.value = way->ms[q];
        if (q == SAC_LATENCY_P999 || isnan(figure.value) ||
            !(figure.low <= figure.value && figure.value <= figure.high))
            figure.low = figure.high = (double)NAN;
        SAC_TRY(sac_figures_add(figures, &figure, error));
    }
fail:
    return status;
}

sac_status sac_latency_figures(sac_figures *figures, const sac_latency_result *result,
                               sac_error *error) {
    sac_status status =
        way_figures(figures, &result->memory, "frame in memory to score", result->rounds, error);
    if (status >= 0)
        status =
            way_figures(figures, &result->file, "frame in file to score", result->rounds, error);
    return status;
}

static json_t *way_json(const sac_latency_way *way) {
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:I}", "p50_ms",
                     sac_json_number(way->ms[SAC_LATENCY_P50]), "p90_ms",
                     sac_json_number(way->ms[SAC_LATENCY_P90]), "p99_ms",
                     sac_json_number(way->ms[SAC_LATENCY_P99]), "p999_ms",
                     sac_json_number(way->ms[SAC_LATENCY_P999]), "worst_ms",
                     sac_json_number(way->worst_ms), "frames", (json_int_t)way->frames);
}

json_t *sac_latency_json(const sac_latency_result *result) {
    return json_pack("{s:i, s:i, s:i, s:o, s:o}", "threads", result->threads, "rounds",
                     result->rounds, "lookahead_frames", result->lookahead, "memory",
                     way_json(&result->memory), "file", way_json(&result->file));
}
