// Accuracy of several scorers under several conventions, as Markdown and JSON.
// Prints nothing itself; the tool decides where the text goes.
#include "bench/eval_report.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/check.h"
#include "core/memory.h"

sac_status sac_eval_report_make(sac_eval_report *report, const sac_dataset *dataset,
                                const sac_clip_selection *selection, const sac_score_set *sets,
                                int64_t set_count, const sac_eval_options *options,
                                int option_count, sac_error *error) {
    memset(report, 0, sizeof *report);
    sac_eval_clip *clips = NULL;
    sac_status status;
    int64_t results;
    if (option_count < 1 || option_count > 4 || set_count < 1 ||
        !sac_mul(set_count, option_count, &results))
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "a report needs at least one scorer and one to four conventions");
    report->dataset = dataset;
    report->sets = sets;
    memcpy(report->options, options, (size_t)option_count * sizeof *options);
    SAC_TRY_ALLOC(report->results = sac_calloc(results, sizeof *report->results));
    report->set_count = set_count;
    report->option_count = option_count;
    SAC_TRY_ALLOC(clips = sac_calloc(selection->count, sizeof *clips));
    for (int64_t s = 0; s < set_count; s++) {
        for (int64_t c = 0; c < selection->count; c++)
            clips[c] = (sac_eval_clip){.name = selection->clips[c]->name,
                                       .scores = sets[s].scores[c],
                                       .labels = selection->clips[c]->labels,
                                       .frames = selection->clips[c]->frames};
        for (int o = 0; o < option_count; o++) {
            sac_error cause = {0};
            status = sac_eval_frames(&report->results[s * option_count + o], clips,
                                     selection->count, &options[o], &cause);
            if (status < 0) {
                sac_error_set(error, status, cause.position, "%.200s: %.700s", sets[s].name,
                              cause.message);
                goto fail;
            }
        }
    }
    sac_free(clips);
    return SAC_OK;
fail:
    if (status == SAC_ERROR_MEMORY) sac_error_set(error, status, -1, "no memory for the report");
    sac_free(clips);
    sac_eval_report_close(report);
    return status;
}

void sac_eval_report_close(sac_eval_report *report) {
    if (report == NULL) return;
    for (int64_t i = 0; i < report->set_count * report->option_count; i++)
        sac_eval_result_close(&report->results[i]);
    sac_free(report->results);
    memset(report, 0, sizeof *report);
}

static const sac_eval_result *result_of(const sac_eval_report *report, int64_t set, int option) {
    return &report->results[set * report->option_count + option];
}

static void print_percent(FILE *out, double area) {
    if (isnan(area))
        fputs(" - |", out);
    else
        fprintf(out, " %.2f |", 100.0 * area);
}

// File and clip names may hold a bar, which would split the cell, or a control character.
static void print_cell(FILE *out, const char *text) {
    for (; *text != '\0'; text++) {
        if (*text == '|') fputc('\\', out);
        fputc((unsigned char)*text < 0x20 ? '?' : *text, out);
    }
}

static const char *smoothing_text(const sac_eval_options *options, char *text, size_t size) {
    sac_smoothing_options used;
    if (sac_smoothing_resolve(&used, &options->smoothing) < 0) return "?";
    if (used.kind == SAC_SMOOTHING_NONE) return "none";
    snprintf(text, size, "%s (sigma %g, %d taps)", sac_smoothing_name(used.kind), used.sigma,
             used.taps);
    return text;
}

static void print_head(FILE *out, const sac_eval_report *report) {
    const sac_eval_result *first = result_of(report, 0, 0);
    fputs("Data set ", out);
    print_cell(out, report->dataset->name);
    fprintf(out, ": %lld test clips, %lld frames, %lld abnormal", (long long)first->clips,
            (long long)first->frames, (long long)first->abnormal);
    const long long one_class = (long long)first->one_class_clips;
    if (one_class > 0)
        fprintf(out, "; %lld %s one class only and %s no AUC of %s own", one_class,
                one_class == 1 ? "clip holds" : "clips hold", one_class == 1 ? "has" : "have",
                one_class == 1 ? "its" : "their");
    fprintf(out,
            ".\nFrame-level ROC AUC in percent. %s before the micro AUC; one-class clips %s in the "
            "macro AUC.\n",
            report->options[0].video_minmax ? "Per-video min-max" : "No per-video min-max",
            report->options[0].count_one_class ? "count as 1" : "are skipped");
}

static void print_clips(FILE *out, const sac_eval_report *report, int64_t set) {
    fputc('\n', out);
    print_cell(out, report->sets[set].name);
    fputs("\n\n| clip | frames | abnormal |", out);
    for (int o = 0; o < report->option_count; o++)
        fprintf(out, " %s |", sac_smoothing_name(report->options[o].smoothing.kind));
    fputs("\n|---|---:|---:|", out);
    for (int o = 0; o < report->option_count; o++) fputs("---:|", out);
    fputc('\n', out);
    const sac_eval_result *first = result_of(report, set, 0);
    for (int64_t c = 0; c < first->clips; c++) {
        fputs("| ", out);
        print_cell(out, first->rows[c].name);
        fprintf(out, " | %lld | %lld |", (long long)first->rows[c].frames,
                (long long)first->rows[c].abnormal);
        for (int o = 0; o < report->option_count; o++)
            print_percent(out, result_of(report, set, o)->rows[c].auc);
        fputc('\n', out);
    }
}

char *sac_eval_report_markdown(const sac_eval_report *report) {
    char *text = NULL, *copy = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (out == NULL) return NULL;
    print_head(out, report);
    for (int64_t s = 0; s < report->set_count; s++)
        if (!report->sets[s].baseline) print_clips(out, report, s);
    fputs("\n| scorer | smoothing | micro | macro |\n|---|---|---:|---:|\n", out);
    for (int64_t s = 0; s < report->set_count; s++)
        for (int o = 0; o < report->option_count; o++) {
            char smoothing[80];
            fputs("| ", out);
            print_cell(out, report->sets[s].name);
            fprintf(out, " | %s |",
                    smoothing_text(&report->options[o], smoothing, sizeof smoothing));
            print_percent(out, result_of(report, s, o)->micro);
            print_percent(out, result_of(report, s, o)->macro);
            fputc('\n', out);
        }
    // One line is enough: a constant stays one under any smoothing.
    fputs("| constant scorer | any |", out);
    print_percent(out, result_of(report, 0, 0)->constant_micro);
    print_percent(out, result_of(report, 0, 0)->constant_macro);
    fputc('\n', out);
    const bool complete = !ferror(out);
    if (fclose(out) == 0 && complete) copy = sac_strdup(text);
    free(text);
    return copy;
}

// A text that is not UTF-8 (file names need not be) becomes null.
static json_t *text_or_null(const char *text) {
    json_t *json = json_string(text);
    return json != NULL ? json : json_null();
}

json_t *sac_eval_report_json(const sac_eval_report *report) {
    const sac_eval_result *first = result_of(report, 0, 0);
    json_t *scorers = json_array();
    for (int64_t s = 0; s < report->set_count; s++) {
        json_t *results = json_array();
        for (int o = 0; o < report->option_count; o++)
            json_array_append_new(results,
                                  sac_eval_to_json(result_of(report, s, o), &report->options[o]));
        json_t *scorer = json_pack("{s:o, s:b, s:o}", "name", text_or_null(report->sets[s].name),
                                   "baseline", (int)report->sets[s].baseline, "results", results);
        json_array_append_new(scorers, scorer);
        if (json_array_size(json_object_get(scorer, "results")) != (size_t)report->option_count) {
            json_decref(scorers);
            return NULL;
        }
    }
    return json_pack("{s:{s:o, s:s, s:I, s:I, s:I, s:I}, s:o}", "dataset", "name",
                     text_or_null(report->dataset->name), "fingerprint",
                     report->dataset->fingerprint, "test_clips", (json_int_t)first->clips,
                     "one_class_clips", (json_int_t)first->one_class_clips, "frames",
                     (json_int_t)first->frames, "abnormal", (json_int_t)first->abnormal, "scorers",
                     scorers);
}
