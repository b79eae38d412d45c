// Sums up a suite over seeds and writes the ablation table.
#include "bench/suite_report.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bench/plot.h"
#include "bench/stats.h"
#include "core/check.h"
#include "core/json.h"
#include "core/memory.h"
#include "core/text.h"

enum { LIGHT = 2 }; // of sac_smoothing

static void add_value(sac_suite_stat *stat, double *sum, double *squares, double value) {
    if (!isfinite(value)) return;
    stat->low = stat->count == 0 ? value : fmin(stat->low, value);
    stat->high = stat->count == 0 ? value : fmax(stat->high, value);
    *sum += value;
    *squares += value * value;
    stat->count++;
}

// Of the assessed runs of one row; `pick` takes the quantity out of a run.
static sac_suite_stat sum_up(const sac_suite *suite, int64_t row,
                             double (*pick)(const sac_suite_run *run, int which), int which) {
    sac_suite_stat stat = {
        .mean = (double)NAN, .low = (double)NAN, .high = (double)NAN, .deviation = (double)NAN};
    double sum = 0, squares = 0;
    for (int64_t i = 0; i < suite->count; i++)
        if (suite->runs[i].row == row && suite->runs[i].assessed)
            add_value(&stat, &sum, &squares, pick(&suite->runs[i], which));
    const double n = (double)stat.count;
    if (stat.count > 0) stat.mean = sum / n;
    if (stat.count > 1) stat.deviation = sqrt(fmax(0, (squares - sum * stat.mean) / (n - 1)));
    return stat;
}

static double pick_micro(const sac_suite_run *run, int which) {
    return run->accuracy.micro[which];
}
static double pick_int8(const sac_suite_run *run, int which) {
    return run->assessed_int8 ? run->accuracy_int8.micro[which] : (double)NAN;
}
static double pick_macro(const sac_suite_run *run, int which) {
    return run->accuracy.macro[which];
}
static double pick_region(const sac_suite_run *run, int which) {
    return which == 0 ? run->accuracy.rbdc : run->accuracy.tbdc;
}
static double pick_minutes(const sac_suite_run *run, int which) {
    (void)which;
    return run->facts.training_minutes;
}

sac_status sac_suite_table_make(sac_suite_table *table, const sac_suite *suite, sac_error *error) {
    const sac_suite_rows *rows = suite->options->rows;
    memset(table, 0, sizeof *table);
    table->lines = sac_calloc(rows->count, sizeof *table->lines);
    if (table->lines == NULL)
        return sac_error_set(error, SAC_ERROR_MEMORY, -1, "no memory for the table");
    table->suite = suite;
    table->count = rows->count;
    for (int64_t r = 0; r < rows->count; r++) {
        sac_suite_line *line = &table->lines[r];
        line->row = &rows->items[r];
        line->fps = line->fps_int8 = (double)NAN;
        for (int s = 0; s < SAC_ASSESS_SMOOTHINGS; s++) {
            line->micro[s] = sum_up(suite, r, pick_micro, s);
            line->macro[s] = sum_up(suite, r, pick_macro, s);
            line->micro_int8[s] = sum_up(suite, r, pick_int8, s);
        }
        line->rbdc = sum_up(suite, r, pick_region, 0);
        line->tbdc = sum_up(suite, r, pick_region, 1);
        line->minutes = sum_up(suite, r, pick_minutes, 0);
        for (int64_t i = 0; i < suite->count; i++) {
            const sac_suite_run *run = &suite->runs[i];
            if (run->row != r) continue;
            line->runs++;
            line->failed += run->state == SAC_SUITE_FAILED;
            line->finished += run->assessed;
            if (!run->assessed || line->student != NULL) continue;
            line->student = run->student;
            line->student_int8 = run->assessed_int8 ? run->student_int8 : NULL;
            line->facts = run->facts;
        }
    }
    return SAC_OK;
}

void sac_suite_table_close(sac_suite_table *table) {
    if (table == NULL) return;
    sac_free(table->lines);
    memset(table, 0, sizeof *table);
}

static double keep_rounds(double *kept, const sac_model_speed *speed, int rounds) {
    double sorted[SAC_ASSESS_ROUNDS];
    memcpy(kept, speed->alone, sizeof speed->alone);
    memcpy(sorted, speed->alone, sizeof sorted);
    sac_stats_sort(sorted, rounds);
    return sac_stats_quantile(sorted, rounds, 0.5);
}

sac_status sac_suite_table_speeds(sac_suite_table *table, int threads, int rounds, double seconds,
                                  int (*progress)(void *user, int64_t done, int64_t total),
                                  void *user, sac_error *error) {
    const char **models = sac_calloc(2 * table->count, sizeof *models);
    sac_precision *precisions = sac_calloc(2 * table->count, sizeof *precisions);
    sac_model_speed *speeds = sac_calloc(2 * table->count, sizeof *speeds);
    int64_t count = 0;
    sac_status status = SAC_OK;
    SAC_TRY_ALLOC(models);
    SAC_TRY_ALLOC(precisions);
    SAC_TRY_ALLOC(speeds);
    for (int64_t r = 0; r < table->count; r++) {
        const sac_suite_line *line = &table->lines[r];
        const char *const paths[2] = {line->student, line->student_int8};
        for (int p = 0; p < 2; p++) {
            if (paths[p] == NULL) continue;
            models[count] = paths[p];
            precisions[count++] = p == 0 ? SAC_PRECISION_F32 : SAC_PRECISION_INT8;
        }
    }
    if (count == 0) goto fail;
    const sac_model_speed_options options = {
        .models = models,
        .precisions = precisions,
        .count = count,
        .source = {.path = table->suite->selection.clips[0]->source, .decode_threads = 1},
        .threads = threads,
        .rounds = rounds,
        .seconds = seconds,
        .logger = table->suite->options->logger,
        .progress = progress,
        .user = user};
    SAC_TRY(sac_model_speeds_measure(speeds, NULL, &options, error));
    table->threads = threads;
    count = 0;
    for (int64_t r = 0; r < table->count; r++) {
        sac_suite_line *line = &table->lines[r];
        if (line->student == NULL) continue;
        line->rounds = rounds;
        line->fps = keep_rounds(line->fps_rounds, &speeds[count++], rounds);
        if (line->student_int8 == NULL) continue;
        line->fps_int8 = keep_rounds(line->fps_int8_rounds, &speeds[count++], rounds);
    }
fail:
    if (status == SAC_ERROR_MEMORY) sac_error_set(error, status, -1, "no memory to measure speeds");
    sac_free(models);
    sac_free(precisions);
    sac_free(speeds);
    return status;
}

// ---- texts -------------------------------------------------------------------------------------

static void put_stat(FILE *out, const sac_suite_stat *stat, double scale, int decimals) {
    if (stat->count == 0)
        fputs(" - |", out);
    else if (stat->count == 1)
        fprintf(out, " %.*f |", decimals, scale * stat->mean);
    else
        fprintf(out, " %.*f ± %.*f |", decimals, scale * stat->mean, decimals,
                scale * stat->deviation);
}

static void put_rate(FILE *out, double fps) {
    if (isfinite(fps))
        fprintf(out, " %.0f |", fps);
    else
        fputs(" - |", out);
}

char *sac_suite_table_markdown(const sac_suite_table *table) {
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (out == NULL) return NULL;
    const sac_suite *suite = table->suite;
    fprintf(out,
            "Data set %s, %lld test clips, %lld frames; %lld teacher%s. AUC in percent, no "
            "per-video min-max, one-class\nclips skipped in the macro AUC (light smoothing). More "
            "than one run: mean ± standard deviation over seeds.\nMMAC a frame: streaming, its "
            "stem once.\n",
            suite->dataset->name, (long long)suite->selection.count,
            (long long)suite->selection.frames, (long long)suite->options->teacher_count,
            suite->options->teacher_count == 1 ? "" : "s");
    if (table->threads > 0)
        fprintf(out,
                "FPS: student alone, %d stream%s of one thread, all rows in the same rounds.\n",
                table->threads, table->threads == 1 ? "" : "s");
    fputs("\n| row | runs | micro none | micro causal | micro light | micro paper | macro | RBDC | "
          "TBDC | int8 none | int8 light | parameters | MMAC a frame | FPS f32 | FPS int8 | "
          "minutes |\n"
          "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n",
          out);
    for (int64_t r = 0; r < table->count; r++) {
        const sac_suite_line *line = &table->lines[r];
        fprintf(out, "| %s | %lld", line->row->name, (long long)line->finished);
        if (line->finished < line->runs) fprintf(out, " of %lld", (long long)line->runs);
        if (line->failed > 0) fprintf(out, " (%lld failed)", (long long)line->failed);
        fputs(" |", out);
        for (int s = 0; s < SAC_ASSESS_SMOOTHINGS; s++) put_stat(out, &line->micro[s], 100, 2);
        put_stat(out, &line->macro[LIGHT], 100, 2);
        put_stat(out, &line->rbdc, 100, 2);
        put_stat(out, &line->tbdc, 100, 2);
        put_stat(out, &line->micro_int8[0], 100, 2);
        put_stat(out, &line->micro_int8[LIGHT], 100, 2);
        if (line->student == NULL)
            fputs(" - | - |", out);
        else
            fprintf(out, " %lld | %.1f |", (long long)line->facts.parameters,
                    1e-6 * (double)line->facts.macs_per_frame);
        put_rate(out, line->fps);
        put_rate(out, line->fps_int8);
        put_stat(out, &line->minutes, 1, 1);
        fputc('\n', out);
    }
    return sac_text_take(out, &text);
}

static void put_columns(FILE *out, const sac_suite_stat *stat) {
    const double values[] = {stat->mean, stat->low, stat->high, stat->deviation};
    for (int i = 0; i < 4; i++) sac_figures_csv_field(out, values[i]);
}

char *sac_suite_table_csv(const sac_suite_table *table) {
    static const char *const quantities[] = {
        "micro_none",   "micro_causal", "micro_light", "micro_paper", "macro_none",
        "macro_causal", "macro_light",  "macro_paper", "rbdc",        "tbdc",
        "minutes",      "int8_none",    "int8_causal", "int8_light",  "int8_paper"};
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (out == NULL) return NULL;
    fputs("row,group,runs,finished,failed", out);
    for (size_t q = 0; q < sizeof quantities / sizeof quantities[0]; q++)
        fprintf(out, ",%s,%s_low,%s_high,%s_deviation", quantities[q], quantities[q], quantities[q],
                quantities[q]);
    fputs(",arch,width,height,parameters,macs,macs_per_frame,fps,fps_int8\n", out);
    for (int64_t r = 0; r < table->count; r++) {
        const sac_suite_line *line = &table->lines[r];
        fprintf(out, "%s,%s,%lld,%lld,%lld", line->row->name, line->row->group,
                (long long)line->runs, (long long)line->finished, (long long)line->failed);
        for (int s = 0; s < SAC_ASSESS_SMOOTHINGS; s++) put_columns(out, &line->micro[s]);
        for (int s = 0; s < SAC_ASSESS_SMOOTHINGS; s++) put_columns(out, &line->macro[s]);
        put_columns(out, &line->rbdc);
        put_columns(out, &line->tbdc);
        put_columns(out, &line->minutes);
        for (int s = 0; s < SAC_ASSESS_SMOOTHINGS; s++) put_columns(out, &line->micro_int8[s]);
        if (line->student != NULL)
            fprintf(out, ",%s,%d,%d,%lld,%lld,%lld,", line->facts.arch, line->facts.width,
                    line->facts.height, (long long)line->facts.parameters,
                    (long long)line->facts.macs, (long long)line->facts.macs_per_frame);
        else
            fputs(",,,,,,,", out);
        if (isfinite(line->fps)) fprintf(out, "%.9g", line->fps);
        fputc(',', out);
        if (isfinite(line->fps_int8)) fprintf(out, "%.9g", line->fps_int8);
        fputc('\n', out);
    }
    return sac_text_take(out, &text);
}

static json_t *stat_json(const sac_suite_stat *stat) {
    return json_pack("{s:o, s:o, s:o, s:o, s:I}", "mean", sac_json_number(stat->mean), "low",
                     sac_json_number(stat->low), "high", sac_json_number(stat->high), "deviation",
                     sac_json_number(stat->deviation), "count", (json_int_t)stat->count);
}

static json_t *smoothings_json(const sac_suite_stat *stats) {
    json_t *json = json_object();
    for (int s = 0; s < SAC_ASSESS_SMOOTHINGS; s++)
        (void)json_object_set_new(json, sac_smoothing_name((sac_smoothing)s), stat_json(&stats[s]));
    return json;
}

static json_t *runs_json(const sac_suite *suite, int64_t row) {
    json_t *list = json_array();
    for (int64_t i = 0; i < suite->count; i++) {
        const sac_suite_run *run = &suite->runs[i];
        if (run->row != row) continue;
        json_array_append_new(
            list,
            json_pack("{s:I, s:s, s:O, s:o, s:o, s:o}", "seed", (json_int_t)run->seed, "state",
                      sac_suite_state_name(run->state), "settings", run->settings, "accuracy",
                      run->assessed ? sac_accuracy_json(&run->accuracy) : json_null(),
                      "accuracy_int8",
                      run->assessed_int8 ? sac_accuracy_json(&run->accuracy_int8) : json_null(),
                      "minutes",
                      run->assessed ? sac_json_number(run->facts.training_minutes) : json_null()));
    }
    return list;
}

static json_t *line_json(const sac_suite_table *table, int64_t r) {
    const sac_suite_line *line = &table->lines[r];
    json_t *student = json_null(), *rounds = json_array(), *rounds_int8 = json_array();
    for (int i = 0; i < line->rounds; i++)
        json_array_append_new(rounds, sac_json_number(line->fps_rounds[i]));
    if (line->student != NULL)
        student =
            json_pack("{s:s, s:i, s:i, s:I, s:I, s:I, s:I}", "arch", line->facts.arch, "width",
                      line->facts.width, "height", line->facts.height, "parameters",
                      (json_int_t)line->facts.parameters, "macs", (json_int_t)line->facts.macs,
                      "macs_per_frame", (json_int_t)line->facts.macs_per_frame, "file_bytes",
                      (json_int_t)line->facts.file_bytes);
    for (int i = 0; isfinite(line->fps_int8) && i < line->rounds; i++)
        json_array_append_new(rounds_int8, sac_json_number(line->fps_int8_rounds[i]));
    return json_pack("{s:s, s:s, s:I, s:I, s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, "
                     "s:o, s:o}",
                     "name", line->row->name, "group", line->row->group, "runs",
                     (json_int_t)line->runs, "finished", (json_int_t)line->finished, "failed",
                     (json_int_t)line->failed, "micro", smoothings_json(line->micro), "macro",
                     smoothings_json(line->macro), "rbdc", stat_json(&line->rbdc), "tbdc",
                     stat_json(&line->tbdc), "minutes", stat_json(&line->minutes), "student",
                     student, "fps", sac_json_number(line->fps), "fps_rounds", rounds, "micro_int8",
                     smoothings_json(line->micro_int8), "fps_int8", sac_json_number(line->fps_int8),
                     "fps_int8_rounds", rounds_int8, "each", runs_json(table->suite, r));
}

json_t *sac_suite_table_json(const sac_suite_table *table) {
    json_t *rows = json_array();
    const sac_suite *suite = table->suite;
    for (int64_t r = 0; r < table->count; r++)
        if (json_array_append_new(rows, line_json(table, r)) < 0) {
            json_decref(rows);
            return NULL;
        }
    return json_pack("{s:{s:o, s:s, s:I, s:I}, s:i, s:o}", "dataset", "name",
                     sac_json_text(suite->dataset->name), "fingerprint",
                     suite->dataset->fingerprint, "clips", (json_int_t)suite->selection.count,
                     "frames", (json_int_t)suite->selection.frames, "threads", table->threads,
                     "rows", rows);
}

// ---- figures and picture -----------------------------------------------------------------------

static sac_status add_figure(sac_figures *figures, const sac_suite_line *line, const char *what,
                             const char *unit, bool lower, const sac_suite_stat *stat, double scale,
                             sac_error *error) {
    char name[128];
    if (stat->count == 0) return SAC_OK;
    snprintf(name, sizeof name, "%s; %s", line->row->name, what);
    sac_figure figure = sac_figure_of_value(name, unit, lower, scale * stat->mean);
    figure.rounds = stat->count;
    if (stat->count > 1) {
        // Rounding must not put the mean outside.
        figure.low = fmin(scale * stat->low, figure.value);
        figure.high = fmax(scale * stat->high, figure.value);
    }
    return sac_figures_add(figures, &figure, error);
}

sac_status sac_suite_table_figures(sac_figures *figures, const sac_suite_table *table,
                                   sac_error *error) {
    sac_status status = SAC_OK;
    for (int64_t r = 0; r < table->count; r++) {
        const sac_suite_line *line = &table->lines[r];
        SAC_TRY(add_figure(figures, line, "micro AUC light", "%", false, &line->micro[LIGHT], 100,
                           error));
        SAC_TRY(add_figure(figures, line, "micro AUC light int8", "%", false,
                           &line->micro_int8[LIGHT], 100, error));
        SAC_TRY(add_figure(figures, line, "training", "minutes", true, &line->minutes, 1, error));
        if (line->rounds == 0) continue;
        char name[128];
        double rounds[SAC_ASSESS_ROUNDS];
        memcpy(rounds, line->fps_rounds, sizeof rounds);
        snprintf(name, sizeof name, "%s; student alone", line->row->name);
        sac_figure figure = sac_figure_of_rounds(name, "FPS", false, rounds, line->rounds);
        SAC_TRY(sac_figures_add(figures, &figure, error));
        if (!isfinite(line->fps_int8)) continue;
        memcpy(rounds, line->fps_int8_rounds, sizeof rounds);
        snprintf(name, sizeof name, "%s; student alone int8", line->row->name);
        figure = sac_figure_of_rounds(name, "FPS", false, rounds, line->rounds);
        SAC_TRY(sac_figures_add(figures, &figure, error));
    }
fail:
    return status;
}

// A bar for a quantity of a line; the range where there are several runs.
static sac_plot_point bar_of(const char *label, const sac_suite_stat *stat, int group) {
    sac_plot_point bar = {.label = label,
                          .x = 100 * stat->mean,
                          .low = (double)NAN,
                          .high = (double)NAN,
                          .group = group < 6 ? group : 5};
    if (stat->count > 1) {
        bar.low = 100 * stat->low;
        bar.high = 100 * stat->high;
    }
    return bar;
}

sac_status sac_suite_table_plot(const sac_suite_table *table, const char *path, sac_error *error) {
    sac_plot_point *points = sac_calloc(2 * table->count, sizeof *points);
    sac_plot plot = {.title = "Ablation: micro AUC in percent, light smoothing",
                     .x_label = "micro AUC (%), mean and range over seeds"};
    int groups = 0;
    if (points == NULL)
        return sac_error_set(error, SAC_ERROR_MEMORY, -1, "no memory for the picture");
    for (int64_t r = 0; r < table->count && plot.count + 2 <= SAC_PLOT_MOST; r++) {
        const sac_suite_line *line = &table->lines[r];
        int group = 0;
        while (group < groups && strcmp(plot.groups[group], line->row->group) != 0) group++;
        if (group == groups && groups < 6) plot.groups[groups++] = line->row->group;
        points[plot.count++] = bar_of(line->row->name, &line->micro[LIGHT], group);
        if (line->micro_int8[LIGHT].count == 0) continue;
        points[plot.count] = bar_of("int8", &line->micro_int8[LIGHT], group);
        points[plot.count++].hollow = true;
    }
    plot.points = points;
    const sac_status status = sac_plot_bars(&plot, path, error);
    sac_free(points);
    return status;
}
