// The accuracy-speed table and picture. What is measured is assess.c's.
#include "bench/pareto.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bench/plot.h"
#include "bench/published.h"
#include "bench/stats.h"
#include "core/check.h"
#include "core/file.h"
#include "core/json.h"
#include "core/memory.h"
#include "core/text.h"

// "models/ped2.safetensors" -> "ped2", fit for tables and CSV.
static char *name_of(const char *path) {
    char *name = sac_text_utf8(sac_path_last(path));
    if (name == NULL) return NULL;
    char *dot = strrchr(name, '.');
    if (dot != NULL && dot != name) *dot = '\0';
    for (char *c = name; *c != '\0'; c++)
        if (strchr(",|\"\n\t", *c) != NULL) *c = '_';
    return name;
}

// `name` taken over; a number behind it where another model has it: "student.safetensors" of two
// folders.
static sac_status add_point(sac_pareto *pareto, const char *path, char *name, int64_t number,
                            sac_precision precision, const sac_model_facts *facts) {
    sac_pareto_point *p = &pareto->points[pareto->count];
    const char *behind = precision == SAC_PRECISION_INT8 ? " int8" : "";
    bool taken = false;
    if (name == NULL) return SAC_ERROR_MEMORY;
    for (int64_t k = 0; k < pareto->count; k++)
        taken |= strcmp(pareto->points[k].path, path) != 0 &&
                 strncmp(pareto->points[k].name, name, strlen(name)) == 0 &&
                 (pareto->points[k].name[strlen(name)] == '\0' ||
                  strcmp(pareto->points[k].name + strlen(name), " int8") == 0);
    *p = (sac_pareto_point){.path = path, .precision = precision, .facts = *facts};
    p->name = taken ? sac_format("%s #%lld%s", name, (long long)number, behind)
                    : sac_format("%s%s", name, behind);
    sac_free(name);
    if (p->name == NULL) return SAC_ERROR_MEMORY;
    pareto->count++;
    return SAC_OK;
}

sac_status sac_pareto_open(sac_pareto *pareto, const char *const *models, int64_t count,
                           sac_error *error) {
    sac_status status;
    int64_t room;
    memset(pareto, 0, sizeof *pareto);
    pareto->decode_fps = (double)NAN;
    if (!sac_mul(count, 2, &room)) room = -1;
    SAC_TRY_ALLOC(pareto->points = sac_calloc(room, sizeof *pareto->points));
    for (int64_t i = 0; i < count; i++) {
        sac_model_facts facts;
        for (int64_t k = 0; k < i; k++)
            if (strcmp(models[k], models[i]) == 0)
                SAC_TRY(
                    sac_error_set(error, SAC_ERROR_ARGUMENT, i, "%s is given twice", models[i]));
        SAC_TRY(sac_model_facts_read(&facts, models[i], error));
        SAC_TRY(add_point(pareto, models[i], name_of(models[i]), i + 1, SAC_PRECISION_F32, &facts));
        if (facts.int8)
            SAC_TRY(add_point(pareto, models[i], name_of(models[i]), i + 1, SAC_PRECISION_INT8,
                              &facts));
    }
    return SAC_OK;
fail:
    if (status == SAC_ERROR_MEMORY) sac_error_set(error, status, -1, "no memory for the models");
    sac_pareto_close(pareto);
    return status;
}

void sac_pareto_close(sac_pareto *pareto) {
    if (pareto == NULL) return;
    for (int64_t i = 0; i < pareto->count; i++) sac_free(pareto->points[i].name);
    sac_free(pareto->points);
    memset(pareto, 0, sizeof *pareto);
}

static double median(const double *rounds, int count) {
    double sorted[SAC_ASSESS_ROUNDS];
    memcpy(sorted, rounds, (size_t)count * sizeof *sorted);
    sac_stats_sort(sorted, count);
    return sac_stats_quantile(sorted, count, 0.5);
}

sac_status sac_pareto_speeds(sac_pareto *pareto, const sac_model_speed_options *options,
                             sac_error *error) {
    sac_model_speed *speeds = sac_calloc(pareto->count, sizeof *speeds);
    const char **models = sac_calloc(pareto->count, sizeof *models);
    sac_precision *precisions = sac_calloc(pareto->count, sizeof *precisions);
    sac_model_speed_options each = *options;
    double decode[SAC_ASSESS_ROUNDS];
    sac_status status;
    SAC_TRY_ALLOC(speeds);
    SAC_TRY_ALLOC(models);
    SAC_TRY_ALLOC(precisions);
    for (int64_t i = 0; i < pareto->count; i++) {
        models[i] = pareto->points[i].path;
        precisions[i] = pareto->points[i].precision;
    }
    each.models = models;
    each.precisions = precisions;
    each.count = pareto->count;
    SAC_TRY(sac_model_speeds_measure(speeds, decode, &each, error));
    pareto->rounds = options->rounds;
    pareto->threads = options->threads;
    if (options->file) pareto->decode_fps = median(decode, options->rounds);
    for (int64_t i = 0; i < pareto->count; i++) {
        sac_pareto_point *p = &pareto->points[i];
        double shares[SAC_ASSESS_ROUNDS];
        p->speed = speeds[i];
        p->fps = median(p->speed.alone, options->rounds);
        p->file_fps = p->of_decode = (double)NAN;
        if (!options->file) continue;
        for (int r = 0; r < options->rounds; r++) shares[r] = p->speed.file[r] / decode[r];
        p->file_fps = median(p->speed.file, options->rounds);
        p->of_decode = median(shares, options->rounds);
    }
fail:
    if (status == SAC_ERROR_MEMORY) sac_error_set(error, status, -1, "no memory to measure speeds");
    sac_free(speeds);
    sac_free(models);
    sac_free(precisions);
    return status;
}

static double area(const sac_pareto *pareto, const sac_pareto_point *p) {
    return p->accuracy.micro[pareto->smoothing];
}

void sac_pareto_front(sac_pareto *pareto) {
    for (int64_t i = 0; i < pareto->count; i++) {
        sac_pareto_point *p = &pareto->points[i];
        p->front = isfinite(area(pareto, p));
        for (int64_t k = 0; k < pareto->count && p->front; k++) {
            const sac_pareto_point *q = &pareto->points[k];
            if (area(pareto, q) >= area(pareto, p) && q->fps >= p->fps &&
                (area(pareto, q) > area(pareto, p) || q->fps > p->fps))
                p->front = false;
        }
    }
}

// ---- texts -------------------------------------------------------------------------------------

static void put(FILE *out, double value, int decimals) {
    if (isfinite(value))
        fprintf(out, " %.*f |", decimals, value);
    else
        fputs(" - |", out);
}

char *sac_pareto_markdown(const sac_pareto *pareto, const char *dataset) {
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (out == NULL) return NULL;
    fprintf(out,
            "Data set %s. Micro AUC in percent without per-video min-max; FPS: median of %d "
            "interleaved rounds, %d thread%s;\nalone: prepared frames in memory to scores, one "
            "worker a thread. MMAC a frame: streaming, its stem once. Bold: no other model here is "
            "faster and more accurate.\n\n"
            "| model | input | none | causal | light | paper | RBDC | TBDC | FPS alone | FPS file "
            "to score | of decoding | parameters | MMAC a frame | KiB |\n"
            "|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n",
            dataset, pareto->rounds, pareto->threads, pareto->threads == 1 ? "" : "s");
    for (int64_t i = 0; i < pareto->count; i++) {
        const sac_pareto_point *p = &pareto->points[i];
        const char *mark = p->front ? "**" : "";
        fprintf(out, "| %s%s%s (%s) | %dx%d |", mark, p->name, mark, p->facts.arch, p->facts.width,
                p->facts.height);
        for (int s = 0; s < SAC_ASSESS_SMOOTHINGS; s++) put(out, 100 * p->accuracy.micro[s], 2);
        put(out, 100 * p->accuracy.rbdc, 2);
        put(out, 100 * p->accuracy.tbdc, 2);
        put(out, p->fps, 0);
        put(out, p->file_fps, 0);
        if (isfinite(p->of_decode))
            fprintf(out, " %.0f %% |", 100 * p->of_decode);
        else
            fputs(" - |", out);
        fprintf(out, " %lld | %.1f | %.0f |\n", (long long)p->facts.parameters,
                1e-6 * (double)p->facts.macs_per_frame, (double)p->facts.file_bytes / 1024);
    }
    if (pareto->published) {
        fputs("\nPublished, on other machines and with other ways of timing (not measured "
              "here):\n\n| method | micro AUC Ped2 | FPS | conditions |\n|---|---:|---:|---|\n",
              out);
        const sac_published *known;
        for (int i = 0; (known = sac_published_ped2(i)) != NULL; i++) {
            fprintf(out, "| %s (%s) |", known->name, known->venue);
            put(out, known->micro, 1);
            put(out, known->fps, 0);
            fprintf(out, " %s |\n", known->conditions);
        }
    }
    return sac_text_take(out, &text);
}

static void put_field(FILE *out, double value) {
    fputc(',', out);
    if (isfinite(value)) fprintf(out, "%.9g", value);
}

char *sac_pareto_csv(const sac_pareto *pareto) {
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (out == NULL) return NULL;
    fputs("model,measured,precision,arch,width,height,parameters,macs,macs_per_frame,file_bytes,"
          "micro_none,micro_"
          "causal,"
          "micro_light,micro_paper,rbdc,tbdc,fps_alone,fps_file_to_score,front\n",
          out);
    for (int64_t i = 0; i < pareto->count; i++) {
        const sac_pareto_point *p = &pareto->points[i];
        fprintf(out, "%s,1,%s,%s,%d,%d,%lld,%lld,%lld,%lld", p->name,
                sac_precision_name(p->precision), p->facts.arch, p->facts.width, p->facts.height,
                (long long)p->facts.parameters, (long long)p->facts.macs,
                (long long)p->facts.macs_per_frame, (long long)p->facts.file_bytes);
        for (int s = 0; s < SAC_ASSESS_SMOOTHINGS; s++) put_field(out, p->accuracy.micro[s]);
        put_field(out, p->accuracy.rbdc);
        put_field(out, p->accuracy.tbdc);
        put_field(out, p->fps);
        put_field(out, p->file_fps);
        fprintf(out, ",%d\n", p->front);
    }
    const sac_published *known;
    for (int i = 0; pareto->published && (known = sac_published_ped2(i)) != NULL; i++) {
        fprintf(out, "%s,0,,,,,,,,,,,", known->name);
        // The smoothing is the papers' own choice, which this column comes nearest to.
        put_field(out, known->micro / 100);
        fputs(",,", out);
        put_field(out, known->fps);
        fputs(",,\n", out);
    }
    return sac_text_take(out, &text);
}

static json_t *rounds_json(const double *rounds, int count) {
    json_t *list = json_array();
    for (int i = 0; i < count; i++) json_array_append_new(list, sac_json_number(rounds[i]));
    return list;
}

json_t *sac_pareto_json(const sac_pareto *pareto, const char *dataset) {
    json_t *models = json_array(), *published = json_array();
    for (int64_t i = 0; i < pareto->count; i++) {
        const sac_pareto_point *p = &pareto->points[i];
        json_t *item = json_pack(
            "{s:s, s:s, s:s, s:i, s:i, s:I, s:I, s:I, s:I, s:o, s:o, s:o, s:o, s:o, s:b}", "name",
            p->name, "arch", p->facts.arch, "precision", sac_precision_name(p->precision), "width",
            p->facts.width, "height", p->facts.height, "parameters",
            (json_int_t)p->facts.parameters, "macs", (json_int_t)p->facts.macs, "macs_per_frame",
            (json_int_t)p->facts.macs_per_frame, "file_bytes", (json_int_t)p->facts.file_bytes,
            "accuracy", sac_accuracy_json(&p->accuracy), "fps", sac_json_number(p->fps),
            "fps_rounds", rounds_json(p->speed.alone, pareto->rounds), "fps_file_to_score",
            sac_json_number(p->file_fps), "of_decoding", sac_json_number(p->of_decode), "front",
            p->front);
        if (json_array_append_new(models, item) < 0) {
            json_decref(models);
            json_decref(published);
            return NULL;
        }
    }
    const sac_published *known;
    for (int i = 0; pareto->published && (known = sac_published_ped2(i)) != NULL; i++)
        json_array_append_new(
            published, json_pack("{s:s, s:s, s:o, s:o, s:s}", "name", known->name, "venue",
                                 known->venue, "micro", sac_json_number(known->micro / 100), "fps",
                                 sac_json_number(known->fps), "conditions", known->conditions));
    return json_pack("{s:o, s:i, s:i, s:o, s:s, s:o, s:o}", "dataset", sac_json_text(dataset),
                     "threads", pareto->threads, "rounds", pareto->rounds, "fps_decode_only",
                     sac_json_number(pareto->decode_fps), "smoothing",
                     sac_smoothing_name((sac_smoothing)pareto->smoothing), "models", models,
                     "published", published);
}

sac_status sac_pareto_figures(sac_figures *figures, const sac_pareto *pareto, sac_error *error) {
    sac_status status = SAC_OK;
    for (int64_t i = 0; i < pareto->count; i++) {
        const sac_pareto_point *p = &pareto->points[i];
        char name[128];
        double rounds[SAC_ASSESS_ROUNDS];
        snprintf(name, sizeof name, "%.80s; micro AUC %s", p->name,
                 sac_smoothing_name((sac_smoothing)pareto->smoothing));
        sac_figure figure = sac_figure_of_value(name, "%", false, 100 * area(pareto, p));
        SAC_TRY(sac_figures_add(figures, &figure, error));
        memcpy(rounds, p->speed.alone, sizeof rounds);
        snprintf(name, sizeof name, "%.80s; student alone", p->name);
        figure = sac_figure_of_rounds(name, "FPS", false, rounds, pareto->rounds);
        SAC_TRY(sac_figures_add(figures, &figure, error));
        if (!isfinite(p->file_fps)) continue;
        memcpy(rounds, p->speed.file, sizeof rounds);
        snprintf(name, sizeof name, "%.80s; file to score", p->name);
        figure = sac_figure_of_rounds(name, "FPS", false, rounds, pareto->rounds);
        sac_figure_set_limit(&figure, "decode only", p->of_decode);
        SAC_TRY(sac_figures_add(figures, &figure, error));
    }
fail:
    return status;
}

// ---- picture -----------------------------------------------------------------------------------

sac_status sac_pareto_plot(const sac_pareto *pareto, const char *dataset, const char *path,
                           sac_error *error) {
    char title[160], axis[96];
    const sac_published *known;
    int published = 0;
    while (pareto->published && sac_published_ped2(published) != NULL) published++;
    sac_plot_point *points = sac_calloc(pareto->count + published, sizeof *points);
    if (points == NULL)
        return sac_error_set(error, SAC_ERROR_MEMORY, -1, "no memory for the picture");
    snprintf(title, sizeof title, "Accuracy and speed, %.100s", dataset);
    snprintf(axis, sizeof axis, "micro AUC (%%), %s smoothing",
             sac_smoothing_name((sac_smoothing)pareto->smoothing));
    sac_plot plot = {
        .title = title,
        .x_label = "frames per second, student alone",
        .y_label = axis,
        .groups = {"measured here, on the front", "measured here"},
        .hollow_label = published > 0 ? "published, on GPUs, as stated" : NULL,
        .note = published > 0 ? "Published points were measured by others on other machines and "
                                "data splits; dashed: a speed stated without an AUC for this data "
                                "set."
                              : NULL,
        .points = points,
        .log_x = true};
    for (int64_t i = 0; i < pareto->count && plot.count < SAC_PLOT_MOST; i++) {
        const sac_pareto_point *p = &pareto->points[i];
        points[plot.count++] = (sac_plot_point){.label = p->name,
                                                .x = p->fps,
                                                .y = 100 * area(pareto, p),
                                                .low = (double)NAN,
                                                .high = (double)NAN,
                                                .group = p->front ? 0 : 1};
    }
    for (int i = 0; i < published && plot.count < SAC_PLOT_MOST; i++) {
        known = sac_published_ped2(i);
        points[plot.count++] = (sac_plot_point){.label = known->name,
                                                .x = known->fps,
                                                .y = known->micro,
                                                .low = (double)NAN,
                                                .high = (double)NAN,
                                                .group = 5,
                                                .hollow = true};
    }
    const sac_status status = sac_plot_scatter(&plot, path, error);
    sac_free(points);
    return status;
}
