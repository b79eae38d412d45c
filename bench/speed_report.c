// Speed measurements as figures, Markdown and JSON.
// Numbers come from speed.c; nothing is computed here but the choice of the widest run and ratios.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/speed.h"
#include "bench/stats.h"
#include "core/check.h"
#include "core/json.h"
#include "core/memory.h"
#include "core/text.h"

static const sac_speed_run *widest(const sac_speed_result *result) {
    const sac_speed_run *run = &result->runs[0];
    for (int r = 1; r < result->run_count; r++)
        if (result->runs[r].threads > run->threads) run = &result->runs[r];
    return run;
}

static json_t *rounds_json(const sac_speed_stat *stat, int repeats) {
    json_t *rounds = json_array();
    for (int i = 0; i < repeats; i++)
        json_array_append_new(rounds, sac_json_number(stat->rounds[i]));
    return rounds;
}

static json_t *stat_json(const sac_speed_stat *stat, int repeats) {
    if (stat->rounds == NULL) return json_null();
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:I, s:o}", "fps", sac_json_number(stat->fps),
                     "frame_ms_p50", sac_json_number(stat->p50_ms), "frame_ms_p90",
                     sac_json_number(stat->p90_ms), "frame_ms_p99", sac_json_number(stat->p99_ms),
                     "frame_ms_p999", sac_json_number(stat->p999_ms), "frames",
                     (json_int_t)stat->frames, "fps_rounds", rounds_json(stat, repeats));
}

static json_t *limit_json(const sac_speed_stat *stat, int repeats) {
    if (stat->rounds == NULL) return json_null();
    return json_pack("{s:o, s:o}", "rate", sac_json_number(stat->fps), "rounds",
                     rounds_json(stat, repeats));
}

static json_t *run_json(const sac_speed_run *run, int repeats) {
    json_t *json =
        json_pack("{s:i, s:i, s:o, s:o, s:o, s:s, s:s}", "threads", run->threads, "workers",
                  run->workers, "fps_student_alone", sac_json_number(sac_speed_alone(run)->fps),
                  "fps_file_to_score", sac_json_number(sac_speed_file_to_score(run)->fps),
                  "fps_decode_only", sac_json_number(run->decode_only.fps), "student_alone_mode",
                  sac_speed_alone(run) == &run->student_workers ? "workers"
                  : sac_speed_alone(run) == &run->student_pool  ? "pool"
                                                                : "one_plan",
                  "file_to_score_mode",
                  sac_speed_file_to_score(run) == &run->pipelined ? "pipelined" : "in_sequence");
    json_t *parts =
        json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "student_alone",
                  stat_json(&run->student_alone, repeats), "student_pool",
                  stat_json(&run->student_pool, repeats), "student_workers",
                  stat_json(&run->student_workers, repeats), "in_sequence",
                  stat_json(&run->in_sequence, repeats), "pipelined",
                  stat_json(&run->pipelined, repeats), "files", stat_json(&run->files, repeats),
                  "decode_only", stat_json(&run->decode_only, repeats), "decode_files",
                  stat_json(&run->decode_files, repeats), "f32_matmul_gflops",
                  limit_json(&run->matmul, repeats), "int8_matmul_gops",
                  limit_json(&run->matmul_int8, repeats), "memory_gigabytes_s",
                  limit_json(&run->memory, repeats));
    if (json_object_update(json, parts) < 0) {
        json_decref(json);
        json = NULL;
    }
    json_decref(parts);
    return json;
}

json_t *sac_speed_json(const sac_speed_result *result) {
    const sac_speed_run *best = widest(result);
    json_t *runs = json_array();
    for (int r = 0; r < result->run_count; r++)
        if (json_array_append_new(runs, run_json(&result->runs[r], result->repeats)) < 0) {
            json_decref(runs);
            return NULL;
        }
    sac_figures figures = {0};
    json_t *list =
        sac_speed_figures(&figures, result, NULL) < 0 ? NULL : sac_figures_to_json(&figures);
    sac_figures_close(&figures);
    return json_pack("{s:o, s:o, s:o, s:i, s:i, s:{s:o, s:o, s:i, s:i, s:I, s:I, s:b, s:s}, "
                     "s:{s:o, s:i, s:i, s:I}, s:o, "
                     "s:o, s:o}",
                     "fps_student_alone", sac_json_number(sac_speed_alone(best)->fps),
                     "fps_file_to_score", sac_json_number(sac_speed_file_to_score(best)->fps),
                     "fps_decode_only", sac_json_number(best->decode_only.fps), "threads",
                     best->threads, "repeats", result->repeats, "model", "file",
                     sac_json_text(result->model), "arch", sac_json_text(result->arch), "width",
                     result->input_width, "height", result->input_height, "parameters",
                     (json_int_t)result->parameters, "macs_per_frame", (json_int_t)result->macs,
                     "split", result->split, "precision", sac_precision_name(result->precision),
                     "source", "file", sac_json_text(result->source), "width", result->source_width,
                     "height", result->source_height, "frames", (json_int_t)result->source_frames,
                     "runs", runs, "machine", sac_machine_json(&result->machine), "figures", list);
}

// ---- figures -----------------------------------------------------------------------------------

static const sac_speed_stat *matmul_of(const sac_speed_run *run, const sac_speed_result *result) {
    return result->precision == SAC_PRECISION_INT8 ? &run->matmul_int8 : &run->matmul;
}

static const char *matmul_name(const sac_speed_result *result) {
    return result->precision == SAC_PRECISION_INT8 ? "int8 matmul" : "f32 matmul";
}

// Median over rounds of factor * rounds / limit.
static double share(const sac_speed_stat *stat, const sac_speed_stat *limit, double factor,
                    int repeats) {
    double *ratios = sac_calloc(repeats, sizeof *ratios), median = (double)NAN;
    if (ratios == NULL || stat->rounds == NULL || limit->rounds == NULL) {
        sac_free(ratios);
        return (double)NAN;
    }
    for (int i = 0; i < repeats; i++) ratios[i] = factor * stat->rounds[i] / limit->rounds[i];
    sac_stats_sort(ratios, repeats);
    median = sac_stats_quantile(ratios, repeats, 0.5);
    sac_free(ratios);
    return median;
}

static sac_status add(sac_figures *figures, int repeats, const char *name, const char *unit,
                      const sac_speed_stat *stat, const sac_speed_stat *limit,
                      const char *limit_name, double factor, sac_error *error) {
    if (stat->rounds == NULL) return SAC_OK;
    double *rounds = sac_calloc(repeats, sizeof *rounds);
    if (rounds == NULL) return SAC_ERROR_MEMORY;
    memcpy(rounds, stat->rounds, (size_t)repeats * sizeof *rounds);
    sac_figure figure = sac_figure_of_rounds(name, unit, false, rounds, repeats);
    sac_free(rounds);
    if (limit != NULL)
        sac_figure_set_limit(&figure, limit_name, share(stat, limit, factor, repeats));
    return sac_figures_add(figures, &figure, error);
}

sac_status sac_speed_figures(sac_figures *figures, const sac_speed_result *result,
                             sac_error *error) {
    sac_status status = SAC_OK;
    const int n = result->repeats;
    const double gflop = 2e-9 * (double)result->macs;
    for (int r = 0; r < result->run_count; r++) {
        const sac_speed_run *run = &result->runs[r];
        char name[128];
        const char *plural = run->threads == 1 ? "" : "s";
#define ADD(unit, stat, limit, limit_name, factor, ...)                                            \
    do {                                                                                           \
        snprintf(name, sizeof name, __VA_ARGS__);                                                  \
        SAC_TRY(add(figures, n, name, unit, stat, limit, limit_name, factor, error));              \
    } while (0)
        ADD("FPS", &run->student_alone, matmul_of(run, result), matmul_name(result), gflop,
            "student alone; one plan; %d thread%s", run->threads, plural);
        ADD("FPS", &run->student_pool, matmul_of(run, result), matmul_name(result), gflop,
            "student alone; pool of %d", run->threads);
        ADD("FPS", &run->student_workers, matmul_of(run, result), matmul_name(result), gflop,
            "student alone; %d workers", run->workers);
        ADD("FPS", &run->in_sequence, &run->decode_only, "decode only", 1,
            "file to score; in sequence; %d thread%s", run->threads, plural);
        ADD("FPS", &run->pipelined, &run->decode_only, "decode only", 1,
            "file to score; pipelined; %d thread%s", run->threads, plural);
        ADD("FPS", &run->files, &run->decode_files, "decode only of as many", 1,
            "%d files to scores at once", run->workers);
        ADD("FPS", &run->decode_only, NULL, NULL, 1, "decode only; %d thread%s", run->threads,
            plural);
        ADD("FPS", &run->decode_files, NULL, NULL, 1, "decode only; %d files at once",
            run->workers);
        ADD("GFLOP/s", &run->matmul, NULL, NULL, 1, "f32 matmul; %d thread%s", run->threads,
            plural);
        ADD("GOP/s", &run->matmul_int8, NULL, NULL, 1, "int8 matmul; %d thread%s", run->threads,
            plural);
        ADD("GB/s", &run->memory, NULL, NULL, 1, "memory copy; read and write");
#undef ADD
    }
fail:
    return status;
}

// ---- Markdown ----------------------------------------------------------------------------------

static void print_row(FILE *out, int threads, const char *name, const sac_speed_stat *stat,
                      int repeats, double of_limit, const char *limit) {
    if (stat->rounds == NULL) return;
    double lowest = stat->rounds[0], highest = stat->rounds[0];
    for (int i = 1; i < repeats; i++) {
        lowest = fmin(lowest, stat->rounds[i]);
        highest = fmax(highest, stat->rounds[i]);
    }
    fprintf(out, "| %d | %s | %.1f | %.1f .. %.1f | ", threads, name, stat->fps, lowest, highest);
    if (isfinite(stat->p50_ms))
        fprintf(out, "%.3f | %.3f | %.3f | %.3f |", stat->p50_ms, stat->p90_ms, stat->p99_ms,
                stat->p999_ms);
    else
        fputs(" | | | |", out);
    if (isfinite(of_limit))
        fprintf(out, " %.0f %% of %s |\n", 100 * of_limit, limit);
    else
        fputs(" |\n", out);
}

char *sac_speed_markdown(const sac_speed_result *result) {
    char *text = NULL, *machine = sac_machine_text(&result->machine);
    size_t size = 0;
    FILE *out = machine != NULL ? open_memstream(&text, &size) : NULL;
    if (out == NULL) {
        sac_free(machine);
        return NULL;
    }
    const int n = result->repeats;
    const double gflop = 2e-9 * (double)result->macs;
    fprintf(out,
            "Model %s (%s in %s, input %dx%d, %lld parameters, %.1f MMAC per frame%s) on %s "
            "(%dx%d).\n",
            result->model, result->arch, sac_precision_name(result->precision), result->input_width,
            result->input_height, (long long)result->parameters, (double)result->macs / 1e6,
            result->split ? ", stem once a frame" : "", result->source, result->source_width,
            result->source_height);
    fprintf(out, "%s. Median of %d interleaved rounds.\n", machine, n);
    fputs("\n| threads | measured | FPS | rounds | p50 ms | p90 ms | p99 ms | p99.9 ms | of its "
          "limit |\n|---:|---|---:|---|---:|---:|---:|---:|---|\n",
          out);
    for (int r = 0; r < result->run_count; r++) {
        const sac_speed_run *run = &result->runs[r];
        const int t = run->threads;
        print_row(out, t, "student alone", &run->student_alone, n,
                  share(&run->student_alone, matmul_of(run, result), gflop, n),
                  matmul_name(result));
        print_row(out, t, "student alone, a pool of workers", &run->student_pool, n,
                  share(&run->student_pool, matmul_of(run, result), gflop, n), matmul_name(result));
        print_row(out, t, "student alone, a stream a thread", &run->student_workers, n,
                  share(&run->student_workers, matmul_of(run, result), gflop, n),
                  matmul_name(result));
        print_row(out, t, "file to score, in sequence", &run->in_sequence, n,
                  share(&run->in_sequence, &run->decode_only, 1, n), "decode only");
        print_row(out, t, "file to score, pipelined", &run->pipelined, n,
                  share(&run->pipelined, &run->decode_only, 1, n), "decode only");
        print_row(out, t, "a file a thread to scores", &run->files, n,
                  share(&run->files, &run->decode_files, 1, n), "decoding as many");
        print_row(out, t, "decode only", &run->decode_only, n, (double)NAN, NULL);
        print_row(out, t, "decode only, a file a thread", &run->decode_files, n, (double)NAN, NULL);
        print_row(out, t, "f32 matmul, GFLOP/s", &run->matmul, n, (double)NAN, NULL);
        print_row(out, t, "int8 matmul, GOP/s", &run->matmul_int8, n, (double)NAN, NULL);
        print_row(out, 1, "memory copy, GB/s", &run->memory, n, (double)NAN, NULL);
    }
    sac_free(machine);
    return sac_text_take(out, &text);
}
