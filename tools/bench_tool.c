// The parts all commands of student-bench use: progress, warnings, results in files and on stdout.
#include "tools/bench_tool.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/plot.h"
#include "bench/synthetic.h"
#include "core/check.h"
#include "core/file.h"
#include "core/json.h"
#include "core/memory.h"
#include "core/number.h"
#include "saccade/student.h"
#include "saccade/version.h"

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

char *bench_headed(const sac_machine *machine, const char *table) {
    char *head = sac_machine_text(machine);
    char *text = head != NULL && table != NULL ? sac_format("%s.\n\n%s", head, table) : NULL;
    sac_free(head);
    return text;
}

static bool on_stdout(const char *path) {
    return path != NULL && strcmp(path, "-") == 0;
}

sac_status bench_outputs_check(const bench_outputs *outputs, sac_error *error) {
    sac_status status = SAC_OK;
    const char *const files[] = {outputs->json, outputs->markdown, outputs->csv, outputs->plot};
    const int shown = (outputs->print_json || on_stdout(outputs->json)) +
                      on_stdout(outputs->markdown) + on_stdout(outputs->csv);
    if (shown > 1)
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "standard output can take one of JSON, Markdown and CSV only");
    SAC_TRY(sac_plot_check_path(outputs->plot, "--plot", error));
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        SAC_TRY(sac_file_check(files[i], error));
        // A device such as /dev/null may take several.
        if (files[i] == NULL || on_stdout(files[i]) || strncmp(files[i], "/dev/", 5) == 0) continue;
        for (size_t k = 0; k < i; k++)
            if (files[k] != NULL && strcmp(files[i], files[k]) == 0)
                SAC_TRY(sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                                      "%s: two results cannot be one file", files[i]));
    }
fail:
    return status;
}

sac_status bench_outputs_keep(const bench_outputs *outputs, const char *input, sac_error *error) {
    sac_status status = SAC_OK;
    const char *const files[] = {outputs->json, outputs->markdown, outputs->csv, outputs->plot};
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++)
        SAC_TRY(sac_file_check_kept(input, files[i], NULL, error));
fail:
    return status;
}

static sac_status print_results(const bench_outputs *outputs, const json_t *json,
                                const char *markdown, const char *csv, sac_error *error) {
    if (outputs->print_json || on_stdout(outputs->json)) {
        char *text = json_dumps(json, JSON_INDENT(2));
        if (text == NULL)
            return sac_error_set(error, SAC_ERROR_MEMORY, -1, "no memory for the JSON");
        printf("%s\n", text);
        free(text); // Jansson allocates with malloc
    } else {
        fputs(on_stdout(outputs->csv) ? csv : markdown, stdout);
    }
    return sac_tool_flush(error);
}

static sac_status save(const char *path, const char *text, sac_error *error) {
    if (path == NULL || on_stdout(path)) return SAC_OK;
    return sac_file_save(path, text, strlen(text), error);
}

static void keep_first(sac_status *kept, sac_status status) {
    if (*kept >= 0) *kept = status;
}

sac_status bench_outputs_write(const bench_outputs *outputs, const json_t *json,
                               const char *markdown, const char *csv, sac_error *error) {
    if (json == NULL || markdown == NULL || (csv == NULL && outputs->csv != NULL))
        return sac_error_set(error, SAC_ERROR_MEMORY, -1, "no memory for the report");
    sac_status status = print_results(outputs, json, markdown, csv, error);
    keep_first(&status, save(outputs->csv, csv, error));
    keep_first(&status, save(outputs->markdown, markdown, error));
    if (outputs->json != NULL && !on_stdout(outputs->json))
        keep_first(&status, sac_json_write(json, outputs->json, error));
    return status;
}

sac_status bench_plot_limits(const sac_figures *figures, const char *title, const char *path,
                             const sac_logger *logger, sac_error *error) {
    sac_plot_point *points = NULL;
    sac_plot plot = {.title = title, .x_label = "percent of the limit measured in the same run"};
    char(*labels)[256] = NULL;
    sac_status status = SAC_OK;
    if (path == NULL) return SAC_OK;
    SAC_TRY_ALLOC(points = sac_calloc(figures->count, sizeof *points));
    SAC_TRY_ALLOC(labels = sac_calloc(figures->count, sizeof *labels));
    for (int64_t i = 0; i < figures->count && plot.count < SAC_PLOT_MOST; i++) {
        const sac_figure *figure = &figures->items[i];
        if (!isfinite(figure->of_limit)) continue;
        snprintf(labels[plot.count], sizeof *labels, "%s / %s", figure->name, figure->limit);
        points[plot.count] = (sac_plot_point){.label = labels[plot.count],
                                              .x = 100 * figure->of_limit,
                                              .low = (double)NAN,
                                              .high = (double)NAN};
        plot.count++;
    }
    plot.points = points;
    if (plot.count > 0)
        SAC_TRY(sac_plot_bars(&plot, path, error));
    else
        bench_warn(logger, "no figure has a limit: no picture is drawn");
fail:
    sac_free(points);
    sac_free(labels);
    return status;
}

bool bench_sign(json_t *json, const sac_command *command, const void *settings) {
    return json != NULL && json_object_set_new(json, "command", json_string(command->name)) == 0 &&
           json_object_set_new(json, "settings", sac_options_to_json(command, settings)) == 0 &&
           json_object_set_new(json, "version", json_string(sac_version())) == 0;
}

// A fresh folder for the synthetic clip, and the clip's path in it.
static sac_status temporary_clip(bench_clip *clip, sac_error *error) {
    const char *base = getenv("TMPDIR");
    char *made = sac_format("%s/student-bench-XXXXXX", base != NULL && base[0] ? base : "/tmp");
    if (made == NULL) return SAC_ERROR_MEMORY;
    if (mkdtemp(made) == NULL) {
        const sac_status status =
            sac_error_set(error, SAC_ERROR_IO, -1, "%s: temporary folder cannot be made: %s", made,
                          strerror(errno));
        sac_free(made);
        return status;
    }
    clip->folder = made;
    clip->path = sac_path_join(made, "synthetic.mp4");
    return clip->path != NULL ? SAC_OK : SAC_ERROR_MEMORY;
}

sac_status bench_clip_open(bench_clip *clip, const char *source,
                           const bench_clip_settings *settings, const sac_tool_settings *tool,
                           sac_error *error) {
    sac_status status = SAC_OK;
    bench_display shown = {.settings = tool, .label = "synthetic clip", .unit = "frames"};
    *clip = (bench_clip){.source = source};
    if (source != NULL) return SAC_OK;
    const sac_synthetic_clip wanted = {.width = (int)settings->width,
                                       .height = (int)settings->height,
                                       .frames = settings->frames,
                                       .seed = (uint64_t)tool->seed};
    SAC_TRY(temporary_clip(clip, error));
    SAC_TRY(sac_synthetic_clip_write(clip->path, &wanted, bench_show, &shown, error));
    clip->source = clip->path;
fail:
    sac_progress_close(&shown.progress);
    if (status < 0) bench_clip_close(clip);
    return status;
}

void bench_clip_close(bench_clip *clip) {
    if (clip == NULL) return;
    if (clip->path != NULL) unlink(clip->path);
    if (clip->folder != NULL) rmdir(clip->folder);
    sac_free(clip->path);
    sac_free(clip->folder);
    *clip = (bench_clip){0};
}

sac_status bench_check_model(const char *model, sac_error *error) {
    sac_student *student = NULL;
    if (model == NULL) return sac_error_set(error, SAC_ERROR_ARGUMENT, -1, "-m MODEL is missing");
    const sac_status status = sac_student_open(&student, model, NULL, error);
    sac_student_close(&student);
    return status;
}

char *bench_program_beside(const char *name) {
    char path[4096];
    const ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);
    if (length <= 0) return sac_strdup(name);
    path[length] = '\0';
    char *slash = strrchr(path, '/');
    if (slash == NULL) return sac_strdup(name);
    *slash = '\0';
    return sac_path_join(path, name);
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
