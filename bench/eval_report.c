// Accuracy of several scorers under several conventions, as Markdown and JSON.
// Prints nothing itself; the tool decides where the text goes.
#include "bench/eval_report.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/figures.h"
#include "core/check.h"
#include "core/json.h"
#include "core/memory.h"
#include "core/text.h"

sac_status sac_eval_report_make(sac_eval_report *report, const sac_dataset *dataset,
                                const sac_clip_selection *selection, const sac_region_truth *truth,
                                const sac_score_set *sets, int64_t set_count,
                                const sac_eval_options *options, int option_count,
                                sac_error *error) {
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
    if (truth != NULL && truth->clips != NULL) {
        SAC_TRY_ALLOC(report->regions = sac_calloc(set_count, sizeof *report->regions));
        report->truth = truth;
        for (int64_t s = 0; s < set_count; s++)
            if (sets[s].regions != NULL)
                SAC_TRY(sac_region_truth_measure(&report->regions[s], truth, &sets[s], selection,
                                                 error));
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
    for (int64_t s = 0; report->regions != NULL && s < report->set_count; s++)
        sac_region_result_close(&report->regions[s]);
    sac_free(report->regions);
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

// ---- one line a scorer -------------------------------------------------------------------------

static bool has_training(const sac_eval_report *report) {
    for (int64_t s = 0; s < report->set_count; s++)
        if (!isnan(report->sets[s].training_minutes) || !isnan(report->sets[s].objects_per_s))
            return true;
    return false;
}

static bool has_parts(const sac_eval_report *report) {
    for (int64_t s = 0; s < report->set_count; s++)
        if (report->sets[s].part) return true;
    return false;
}

static void print_number(FILE *out, double value, int decimals) {
    if (isnan(value))
        fputs(" - |", out);
    else
        fprintf(out, " %.*f |", decimals, value);
}

static void print_all(FILE *out, const sac_eval_report *report) {
    const bool regions = report->regions != NULL, training = has_training(report);
    if (!regions && !training && !has_parts(report)) return;
    fputs("\nAll scorers, in percent; a single task is painted and filtered like its teacher, "
          "several teachers are\ntheir mean.",
          out);
    if (regions)
        fprintf(out,
                " RBDC and TBDC: %lld region%s in %lld track%s from %s, never smoothed in time; of "
                "objects, or\nof the connected cells of a map at every threshold.",
                (long long)report->truth->regions, report->truth->regions == 1 ? "" : "s",
                (long long)report->truth->tracks, report->truth->tracks == 1 ? "" : "s",
                report->truth->origin);
    fputs("\n\n| scorer |", out);
    for (int kind = 0; kind < 2; kind++)
        for (int o = 0; o < report->option_count; o++)
            fprintf(out, " %s, %s |", kind == 0 ? "micro" : "macro",
                    sac_smoothing_name(report->options[o].smoothing.kind));
    if (regions) fputs(" RBDC | TBDC | regions |", out);
    if (training) fputs(" training min | objects/s |", out);
    fputs("\n|---|", out);
    for (int o = 0; o < 2 * report->option_count; o++) fputs("---:|", out);
    if (regions) fputs("---:|---:|---|", out);
    if (training) fputs("---:|---:|", out);
    fputc('\n', out);
    for (int64_t s = 0; s < report->set_count; s++) {
        const sac_score_set *set = &report->sets[s];
        fputs("| ", out);
        print_cell(out, set->name);
        fputs(" |", out);
        for (int o = 0; o < report->option_count; o++)
            print_percent(out, result_of(report, s, o)->micro);
        for (int o = 0; o < report->option_count; o++)
            print_percent(out, result_of(report, s, o)->macro);
        if (regions) {
            const sac_region_result *r = &report->regions[s];
            print_percent(out, set->regions != NULL ? r->rbdc : (double)NAN);
            print_percent(out, set->regions != NULL ? r->tbdc : (double)NAN);
            fprintf(out, " %s |", sac_region_kind_name(set->region_kind));
        }
        if (training) {
            print_number(out, set->training_minutes, 1);
            print_number(out, set->objects_per_s, 0);
        }
        fputc('\n', out);
    }
}

char *sac_eval_report_markdown(const sac_eval_report *report) {
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (out == NULL) return NULL;
    print_head(out, report);
    for (int64_t s = 0; s < report->set_count; s++)
        if (!report->sets[s].baseline && !report->sets[s].part) print_clips(out, report, s);
    fputs("\n| scorer | smoothing | micro | macro |\n|---|---|---:|---:|\n", out);
    for (int64_t s = 0; s < report->set_count; s++)
        for (int o = 0; o < report->option_count && !report->sets[s].part; o++) {
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
    print_all(out, report);
    return sac_text_take(out, &text);
}

// RFC 4180: file names may hold what parts fields.
static void put_text(FILE *out, const char *text) {
    if (strpbrk(text, ",\"\r\n") == NULL) {
        fputs(text, out);
        return;
    }
    fputc('"', out);
    for (; *text != '\0'; text++) {
        if (*text == '"') fputc('"', out);
        fputc(*text, out);
    }
    fputc('"', out);
}

char *sac_eval_report_csv(const sac_eval_report *report) {
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (out == NULL) return NULL;
    fputs("scorer,baseline,part,smoothing,sigma,taps,micro,macro,constant_micro,constant_macro,"
          "rbdc,tbdc,region_kind,training_minutes,objects_per_s\n",
          out);
    for (int64_t s = 0; s < report->set_count; s++) {
        const sac_score_set *set = &report->sets[s];
        const bool regions = report->regions != NULL && set->regions != NULL;
        for (int o = 0; o < report->option_count; o++) {
            const sac_eval_result *r = result_of(report, s, o);
            sac_smoothing_options used = report->options[o].smoothing;
            if (sac_smoothing_resolve(&used, &report->options[o].smoothing) < 0)
                used = report->options[o].smoothing; // the results would not be there
            put_text(out, set->name);
            fprintf(out, ",%d,%d,%s", (int)set->baseline, (int)set->part,
                    sac_smoothing_name(used.kind));
            if (used.kind == SAC_SMOOTHING_NONE)
                fputs(",,", out);
            else
                fprintf(out, ",%g,%d", used.sigma, used.taps);
            sac_figures_csv_field(out, r->micro);
            sac_figures_csv_field(out, r->macro);
            sac_figures_csv_field(out, r->constant_micro);
            sac_figures_csv_field(out, r->constant_macro);
            sac_figures_csv_field(out, regions ? report->regions[s].rbdc : (double)NAN);
            sac_figures_csv_field(out, regions ? report->regions[s].tbdc : (double)NAN);
            fprintf(out, ",%s", regions ? sac_region_kind_name(set->region_kind) : "");
            sac_figures_csv_field(out, set->training_minutes);
            sac_figures_csv_field(out, set->objects_per_s);
            fputc('\n', out);
        }
    }
    return sac_text_take(out, &text);
}

json_t *sac_eval_report_json(const sac_eval_report *report) {
    const sac_eval_result *first = result_of(report, 0, 0);
    json_t *scorers = json_array();
    for (int64_t s = 0; s < report->set_count; s++) {
        json_t *results = json_array();
        for (int o = 0; o < report->option_count; o++)
            json_array_append_new(results,
                                  sac_eval_to_json(result_of(report, s, o), &report->options[o]));
        const sac_score_set *set = &report->sets[s];
        json_t *regions = report->regions != NULL && set->regions != NULL
                              ? sac_region_to_json(&report->regions[s])
                              : json_null();
        json_t *scorer =
            json_pack("{s:o, s:b, s:b, s:o, s:s, s:o, s:o, s:o}", "name", sac_json_text(set->name),
                      "baseline", (int)set->baseline, "part", (int)set->part, "results", results,
                      "region_kind", sac_region_kind_name(set->region_kind), "regions", regions,
                      "training_minutes", sac_json_number(set->training_minutes), "objects_per_s",
                      sac_json_number(set->objects_per_s));
        json_array_append_new(scorers, scorer);
        if (json_array_size(json_object_get(scorer, "results")) != (size_t)report->option_count) {
            json_decref(scorers);
            return NULL;
        }
    }
    json_t *truth = json_null();
    if (report->truth != NULL)
        truth = json_pack("{s:s, s:I, s:I}", "origin", report->truth->origin, "regions",
                          (json_int_t)report->truth->regions, "tracks",
                          (json_int_t)report->truth->tracks);
    return json_pack("{s:{s:o, s:s, s:I, s:I, s:I, s:I}, s:o, s:o}", "dataset", "name",
                     sac_json_text(report->dataset->name), "fingerprint",
                     report->dataset->fingerprint, "test_clips", (json_int_t)first->clips,
                     "one_class_clips", (json_int_t)first->one_class_clips, "frames",
                     (json_int_t)first->frames, "abnormal", (json_int_t)first->abnormal, "truth",
                     truth, "scorers", scorers);
}
