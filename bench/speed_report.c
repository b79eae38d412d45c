// Speed measurements as Markdown and JSON.
// Numbers come from speed.c; nothing is computed here but the choice of the widest run and ratios.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench/speed.h"
#include "core/json.h"
#include "core/memory.h"

static const sac_speed_run *widest(const sac_speed_result *result) {
    const sac_speed_run *run = &result->runs[0];
    for (int r = 1; r < result->run_count; r++)
        if (result->runs[r].threads > run->threads) run = &result->runs[r];
    return run;
}

// A text that is not UTF-8 (file names need not be) becomes null.
static json_t *text_or_null(const char *text) {
    json_t *json = text != NULL ? json_string(text) : NULL;
    return json != NULL ? json : json_null();
}

static json_t *stat_json(const sac_speed_stat *stat, int repeats) {
    if (stat->rounds == NULL) return json_null();
    json_t *rounds = json_array();
    for (int i = 0; i < repeats; i++)
        json_array_append_new(rounds, sac_json_number(stat->rounds[i]));
    return json_pack("{s:o, s:o, s:o, s:o, s:I, s:o}", "fps", sac_json_number(stat->fps),
                     "frame_ms_p50", sac_json_number(stat->p50_ms), "frame_ms_p90",
                     sac_json_number(stat->p90_ms), "frame_ms_p99", sac_json_number(stat->p99_ms),
                     "frames", (json_int_t)stat->frames, "fps_rounds", rounds);
}

static const char *mode_of(const sac_speed_run *run) {
    return sac_speed_file_to_score(run) == &run->pipelined ? "pipelined" : "in_sequence";
}

static json_t *run_json(const sac_speed_run *run, int repeats) {
    return json_pack("{s:i, s:o, s:o, s:o, s:s, s:o, s:o, s:o, s:o}", "threads", run->threads,
                     "fps_student_alone", sac_json_number(run->student_alone.fps),
                     "fps_file_to_score", sac_json_number(sac_speed_file_to_score(run)->fps),
                     "fps_decode_only", sac_json_number(run->decode_only.fps), "file_to_score_mode",
                     mode_of(run), "student_alone", stat_json(&run->student_alone, repeats),
                     "in_sequence", stat_json(&run->in_sequence, repeats), "pipelined",
                     stat_json(&run->pipelined, repeats), "decode_only",
                     stat_json(&run->decode_only, repeats));
}

json_t *sac_speed_json(const sac_speed_result *result) {
    const sac_speed_run *best = widest(result);
    json_t *runs = json_array();
    for (int r = 0; r < result->run_count; r++)
        if (json_array_append_new(runs, run_json(&result->runs[r], result->repeats)) < 0) {
            json_decref(runs);
            return NULL;
        }
    return json_pack(
        "{s:o, s:o, s:o, s:i, s:i, s:{s:o, s:o, s:i, s:i, s:I, s:I}, s:{s:o, s:i, s:i, s:I}, s:o, "
        "s:o}",
        "fps_student_alone", sac_json_number(best->student_alone.fps), "fps_file_to_score",
        sac_json_number(sac_speed_file_to_score(best)->fps), "fps_decode_only",
        sac_json_number(best->decode_only.fps), "threads", best->threads, "repeats",
        result->repeats, "model", "file", text_or_null(result->model), "arch",
        text_or_null(result->arch), "width", result->input_width, "height", result->input_height,
        "parameters", (json_int_t)result->parameters, "macs", (json_int_t)result->macs, "source",
        "file", text_or_null(result->source), "width", result->source_width, "height",
        result->source_height, "frames", (json_int_t)result->source_frames, "runs", runs, "machine",
        sac_machine_json(&result->machine));
}

static void print_row(FILE *out, int threads, const char *name, const sac_speed_stat *stat,
                      int repeats) {
    if (stat->rounds == NULL) return;
    double lowest = stat->rounds[0], highest = stat->rounds[0];
    for (int i = 1; i < repeats; i++) {
        lowest = fmin(lowest, stat->rounds[i]);
        highest = fmax(highest, stat->rounds[i]);
    }
    fprintf(out, "| %d | %s | %.1f | %.1f .. %.1f | %.3f | %.3f | %.3f |\n", threads, name,
            stat->fps, lowest, highest, stat->p50_ms, stat->p90_ms, stat->p99_ms);
}

char *sac_speed_markdown(const sac_speed_result *result) {
    char *text = NULL, *copy = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (out == NULL) return NULL;
    const sac_machine *machine = &result->machine;
    fprintf(out,
            "Model %s (%s, input %dx%d, %lld parameters, %.1f MMAC per frame) on %s (%dx%d).\n",
            result->model, result->arch, result->input_width, result->input_height,
            (long long)result->parameters, (double)result->macs / 1e6, result->source,
            result->source_width, result->source_height);
    fprintf(out,
            "%s, %d cores, %s, load %.2f before and %.2f after. Median of %d interleaved rounds.\n",
            machine->cpu, machine->cores, machine->backend, machine->load_before,
            machine->load_after, result->repeats);
    fputs("\n| threads | measured | FPS | rounds | p50 ms | p90 ms | p99 ms |\n"
          "|---:|---|---:|---|---:|---:|---:|\n",
          out);
    for (int r = 0; r < result->run_count; r++) {
        const sac_speed_run *run = &result->runs[r];
        print_row(out, run->threads, "student alone", &run->student_alone, result->repeats);
        print_row(out, run->threads, "file to score, in sequence", &run->in_sequence,
                  result->repeats);
        print_row(out, run->threads, "file to score, pipelined", &run->pipelined, result->repeats);
        print_row(out, run->threads, "decode only", &run->decode_only, result->repeats);
    }
    const bool complete = !ferror(out);
    if (fclose(out) == 0 && complete) copy = sac_strdup(text);
    free(text);
    return copy;
}
