// The parts all commands of student-bench use: progress, warnings, results in files and on stdout.
#include "tools/bench_tool.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/check.h"
#include "core/file.h"
#include "core/json.h"
#include "core/number.h"

sac_truth_source bench_truth_source(const bench_truth *truth) {
    return (sac_truth_source){.tracks = truth->tracks,
                              .first_frame = (int)truth->tracks_from,
                              .masks = {.min_area = truth->min_region,
                                        .join_px = (int)truth->join_regions,
                                        .max_gap = truth->track_gap}};
}

int bench_show(void *user, int64_t done, int64_t total) {
    bench_display *d = user;
    // Without memory for the display the work goes on unseen.
    if (d->progress == NULL &&
        sac_progress_open(&d->progress, d->label, d->unit, total, d->settings) < 0)
        d->progress = NULL;
    sac_progress_update(d->progress, done, NULL);
    return sac_interrupted() ? 1 : 0;
}

void bench_warn(const sac_logger *logger, const char *message) {
    if (logger->write != NULL) logger->write(logger->user, SAC_LOG_WARNING, message);
}

sac_status bench_print_json(const json_t *json, sac_error *error) {
    char *text = json_dumps(json, JSON_INDENT(2));
    if (text == NULL) return sac_error_set(error, SAC_ERROR_MEMORY, -1, "no memory for the JSON");
    printf("%s\n", text);
    free(text);
    return SAC_OK;
}

sac_status bench_parse_threads(int *threads, int *count, int most, const char *text,
                               sac_error *error) {
    *count = 0;
    for (const char *item = text; item != NULL;) {
        const char *end = strchr(item, ',');
        char number[16];
        const size_t length = end != NULL ? (size_t)(end - item) : strlen(item);
        int64_t value = -1;
        if (length > 0 && length < sizeof number) {
            memcpy(number, item, length);
            number[length] = '\0';
            if (!sac_number_integer(number, &value)) value = -1;
        }
        if (value < 1 || value > 1024 || *count == most)
            return sac_error_set(
                error, SAC_ERROR_ARGUMENT, -1,
                "-t/--threads: '%.100s' is not a comma-separated list of at most %d "
                "integers from 1 to 1024",
                text, most);
        int place = 0;
        while (place < *count && threads[place] < value) place++;
        if (place == *count || threads[place] != value) {
            memmove(&threads[place + 1], &threads[place],
                    (size_t)(*count - place) * sizeof *threads);
            threads[place] = (int)value;
            ++*count;
        }
        item = end != NULL ? end + 1 : NULL;
    }
    return SAC_OK;
}

sac_status bench_hand_out(const json_t *json, const char *json_path, const char *markdown,
                          const char *markdown_path, bool print_markdown, sac_error *error) {
    sac_status status = SAC_OK;
    if (json == NULL || markdown == NULL)
        return sac_error_set(error, SAC_ERROR_MEMORY, -1, "no memory for the report");
    const bool json_on_stdout = json_path != NULL && strcmp(json_path, "-") == 0;
    const bool markdown_on_stdout = markdown_path != NULL && strcmp(markdown_path, "-") == 0;
    if (markdown_path != NULL && !markdown_on_stdout)
        SAC_TRY(sac_file_save(markdown_path, markdown, strlen(markdown), error));
    if (json_path != NULL && !json_on_stdout) SAC_TRY(sac_json_write(json, json_path, error));
    if (json_on_stdout)
        SAC_TRY(bench_print_json(json, error));
    else if (print_markdown || markdown_on_stdout)
        fputs(markdown, stdout);
    SAC_TRY(sac_tool_flush(error));
fail:
    return status;
}

int bench_finish(const char *name, sac_status status, const sac_error *error, bool quiet) {
    if (status < 0) return sac_tool_fail(name, status, error);
    sac_tool_finish(name, quiet);
    return SAC_EXIT_OK;
}

void bench_warn_load(const sac_machine *machine, const sac_logger *logger) {
    // A free machine idles near 0; a quarter of a core of somebody else's work already shows.
    const double load = machine->load_before;
    if (isnan(load) || load < 0.25) return;
    char message[160];
    snprintf(message, sizeof message,
             "load average was %.2f on %d cores before the start: trust the ratios, not the rates",
             load, machine->cores);
    bench_warn(logger, message);
}
