// Frame-level evaluation of a test set: smoothing per clip, micro and macro ROC AUC, the
// constant-scorer floor, and their tables. Reading scores and labels from files is the callers'
// business.
#include "eval/frame_eval.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/check.h"
#include "core/json.h"
#include "core/memory.h"
#include "core/text.h"

static void scale_to_unit(float *scores, int64_t n) {
    float low = scores[0], high = scores[0];
    for (int64_t i = 1; i < n; i++) {
        low = fminf(low, scores[i]);
        high = fmaxf(high, scores[i]);
    }
    // In double: high - low of two finite floats may overflow f32.
    const double range = (double)high - (double)low;
    for (int64_t i = 0; i < n; i++)
        scores[i] = range > 0.0 ? (float)(((double)scores[i] - (double)low) / range) : 0.0F;
}

static sac_status check_clips(const sac_eval_clip *clips, int64_t count, int64_t *frames,
                              sac_error *error) {
    *frames = 0;
    for (int64_t c = 0; c < count; c++) {
        const sac_eval_clip *clip = &clips[c];
        if (clip->name == NULL || clip->scores == NULL || clip->labels == NULL || clip->frames < 1)
            return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                                 "clip %s: needs a name, scores, labels and at least one frame",
                                 clip->name != NULL ? clip->name : "without name");
        for (int64_t t = 0; t < clip->frames; t++) {
            if (!isfinite(clip->scores[t]))
                return sac_error_set(error, SAC_ERROR_NUMERIC, t,
                                     "clip %s: score of frame %lld is not finite", clip->name,
                                     (long long)t);
            if (clip->labels[t] > 1)
                return sac_error_set(error, SAC_ERROR_ARGUMENT, t,
                                     "clip %s: label of frame %lld is %u, expected 0 or 1",
                                     clip->name, (long long)t, (unsigned)clip->labels[t]);
        }
        if (!sac_add(*frames, clip->frames, frames))
            return sac_error_set(error, SAC_ERROR_ARGUMENT, -1, "too many frames");
    }
    return SAC_OK;
}

// Micro and macro AUC of `scores` [sum of frames] that hold all clips one after the other; they are
// smoothed and scaled in place. `rows` may be NULL.
static sac_status areas(double *micro, double *macro, sac_eval_row *rows, float *scores,
                        const uint8_t *labels, const sac_eval_clip *clips, int64_t count,
                        const sac_eval_options *options, sac_error *error) {
    double sum = 0.0;
    int64_t counted = 0, offset = 0;
    for (int64_t c = 0; c < count; c++) {
        const int64_t n = clips[c].frames;
        sac_status status = sac_smooth(scores + offset, scores + offset, n, &options->smoothing);
        if (status < 0)
            return sac_error_set(error, status, -1, "clip %s: smoothing failed: %s", clips[c].name,
                                 sac_status_name(status));
        if (options->video_minmax) scale_to_unit(scores + offset, n);
        double auc;
        status = sac_auc(&auc, scores + offset, labels + offset, n, error);
        if (status < 0) return status;
        if (rows != NULL) rows[c].auc = auc;
        if (!isnan(auc)) {
            sum += auc;
            counted++;
        } else if (options->count_one_class) {
            sum += 1.0;
            counted++;
        }
        offset += n;
    }
    *macro = counted > 0 ? sum / (double)counted : NAN;
    return sac_auc(micro, scores, labels, offset, error);
}

// Rows and the names they point to, in one block.
static sac_eval_row *make_rows(const sac_eval_clip *clips, int64_t count) {
    int64_t bytes;
    if (!sac_mul(count, (int64_t)sizeof(sac_eval_row), &bytes)) return NULL;
    for (int64_t c = 0; c < count; c++)
        if (!sac_add(bytes, (int64_t)strlen(clips[c].name) + 1, &bytes)) return NULL;
    sac_eval_row *rows = sac_calloc(bytes, 1);
    if (rows == NULL) return NULL;
    char *text = (char *)(rows + count);
    for (int64_t c = 0; c < count; c++) {
        const size_t size = strlen(clips[c].name) + 1;
        memcpy(text, clips[c].name, size);
        rows[c].name = text;
        text += size;
    }
    return rows;
}

sac_status sac_eval_frames(sac_eval_result *result, const sac_eval_clip *clips, int64_t count,
                           const sac_eval_options *options, sac_error *error) {
    if (result == NULL)
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1, "evaluation needs a result to fill");
    memset(result, 0, sizeof *result);
    if (clips == NULL || options == NULL || count < 1)
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1, "evaluation needs at least one clip");
    sac_smoothing_options resolved;
    if (sac_smoothing_resolve(&resolved, &options->smoothing) < 0)
        return sac_error_set(
            error, SAC_ERROR_ARGUMENT, -1,
            "smoothing with sigma %g and %d taps: sigma must be in 0..1e6, taps odd "
            "and at most %d, or 1..%d for causal smoothing",
            options->smoothing.sigma, options->smoothing.taps, SAC_SMOOTHING_MAX_TAPS,
            SAC_SMOOTHING_CAUSAL_TAPS);
    float *scores = NULL;
    uint8_t *labels = NULL;
    int64_t frames;
    sac_status status;
    SAC_TRY(check_clips(clips, count, &frames, error));
    SAC_TRY_ALLOC(scores = sac_calloc(frames, sizeof *scores));
    SAC_TRY_ALLOC(labels = sac_calloc(frames, sizeof *labels));
    SAC_TRY_ALLOC(result->rows = make_rows(clips, count));
    result->clips = count;
    result->frames = frames;

    // The floor goes through the same smoothing and normalisation as the scores themselves.
    for (int64_t i = 0; i < frames; i++) scores[i] = 0.5F;
    int64_t offset = 0;
    for (int64_t c = 0; c < count; c++) {
        const int64_t n = clips[c].frames;
        memcpy(labels + offset, clips[c].labels, (size_t)n * sizeof *labels);
        offset += n;
    }
    SAC_TRY(areas(&result->constant_micro, &result->constant_macro, NULL, scores, labels, clips,
                  count, options, error));

    offset = 0;
    for (int64_t c = 0; c < count; c++) {
        sac_eval_row *row = &result->rows[c];
        row->frames = clips[c].frames;
        for (int64_t t = 0; t < row->frames; t++) row->abnormal += clips[c].labels[t];
        result->abnormal += row->abnormal;
        if (row->abnormal == 0 || row->abnormal == row->frames) result->one_class_clips++;
        memcpy(scores + offset, clips[c].scores, (size_t)row->frames * sizeof *scores);
        offset += row->frames;
    }
    SAC_TRY(areas(&result->micro, &result->macro, result->rows, scores, labels, clips, count,
                  options, error));
    sac_free(scores);
    sac_free(labels);
    return SAC_OK;
fail:
    if (status == SAC_ERROR_MEMORY)
        sac_error_set(error, status, -1, "no memory to evaluate %lld clips", (long long)count);
    sac_free(scores);
    sac_free(labels);
    sac_eval_result_close(result);
    return status;
}

void sac_eval_result_close(sac_eval_result *result) {
    if (result == NULL) return;
    sac_free(result->rows);
    memset(result, 0, sizeof *result);
}

char *sac_eval_convention(const sac_eval_options *options) {
    sac_smoothing_options smoothing;
    if (options == NULL || sac_smoothing_resolve(&smoothing, &options->smoothing) < 0) return NULL;
    const char *minmax = options->video_minmax ? "per-video min-max" : "no per-video min-max";
    const char *one_class =
        options->count_one_class ? "one-class clips counted as 1" : "one-class clips skipped";
    if (smoothing.kind == SAC_SMOOTHING_NONE)
        return sac_format("no smoothing, %s, %s", minmax, one_class);
    return sac_format("%s smoothing (sigma %g, %d taps), %s, %s",
                      sac_smoothing_name(smoothing.kind), smoothing.sigma, smoothing.taps, minmax,
                      one_class);
}

static void print_percent(FILE *out, double area) {
    if (isnan(area))
        fputs("-", out);
    else
        fprintf(out, "%.2f", 100.0 * area);
}

// Names come from folders on disk: a bar would split the cell, a control character the line.
static void print_cell(FILE *out, const char *text) {
    for (; *text != '\0'; text++) {
        if (*text == '|') fputc('\\', out);
        fputc((unsigned char)*text < 0x20 ? '?' : *text, out);
    }
}

static void print_summary(FILE *out, const char *name, int64_t frames, int64_t abnormal,
                          double area) {
    fprintf(out, "| %s | %lld | %lld | ", name, (long long)frames, (long long)abnormal);
    print_percent(out, area);
    fputs(" |\n", out);
}

char *sac_eval_to_markdown(const sac_eval_result *result, const sac_eval_options *options) {
    char *convention = NULL, *text = NULL;
    size_t size = 0;
    FILE *out = NULL;
    if (result == NULL || (convention = sac_eval_convention(options)) == NULL) return NULL;
    if ((out = open_memstream(&text, &size)) == NULL) {
        sac_free(convention);
        return NULL;
    }
    fprintf(out, "Frame-level ROC AUC in percent: %s\n\n", convention);
    fputs("| clip | frames | abnormal | AUC |\n|---|---:|---:|---:|\n", out);
    for (int64_t c = 0; c < result->clips; c++) {
        const sac_eval_row *row = &result->rows[c];
        fputs("| ", out);
        print_cell(out, row->name);
        fprintf(out, " | %lld | %lld | ", (long long)row->frames, (long long)row->abnormal);
        print_percent(out, row->auc);
        fputs(" |\n", out);
    }
    print_summary(out, "micro", result->frames, result->abnormal, result->micro);
    print_summary(out, "macro", result->frames, result->abnormal, result->macro);
    print_summary(out, "constant scorer, micro", result->frames, result->abnormal,
                  result->constant_micro);
    print_summary(out, "constant scorer, macro", result->frames, result->abnormal,
                  result->constant_macro);
    if (result->one_class_clips > 0)
        fprintf(out, "\nOf %lld clips, %lld with one class only: no AUC of their own.\n",
                (long long)result->clips, (long long)result->one_class_clips);
    sac_free(convention);
    return sac_text_take(out, &text);
}

json_t *sac_eval_to_json(const sac_eval_result *result, const sac_eval_options *options) {
    sac_smoothing_options smoothing;
    if (result == NULL || options == NULL ||
        sac_smoothing_resolve(&smoothing, &options->smoothing) < 0)
        return NULL;
    char *convention = sac_eval_convention(options);
    json_t *clips = json_array(), *json = NULL;
    if (convention == NULL || clips == NULL) goto fail;
    for (int64_t c = 0; c < result->clips; c++) {
        const sac_eval_row *row = &result->rows[c];
        json_t *item = json_object();
        if (json_array_append_new(clips, item) < 0) goto fail;
        if (json_object_set_new(item, "name", sac_json_text(row->name)) < 0 ||
            json_object_set_new(item, "frames", json_integer(row->frames)) < 0 ||
            json_object_set_new(item, "abnormal", json_integer(row->abnormal)) < 0 ||
            json_object_set_new(item, "auc", sac_json_number(row->auc)) < 0)
            goto fail;
    }
    json = json_pack("{s:s, s:s, s:f, s:i, s:b, s:s, s:o, s:o, s:o, s:o, s:I, s:I, s:O}",
                     "convention", convention, "smoothing", sac_smoothing_name(smoothing.kind),
                     "sigma", smoothing.sigma, "taps", smoothing.taps, "video_minmax",
                     (int)options->video_minmax, "one_class",
                     options->count_one_class ? "count" : "skip", "micro",
                     sac_json_number(result->micro), "macro", sac_json_number(result->macro),
                     "constant_micro", sac_json_number(result->constant_micro), "constant_macro",
                     sac_json_number(result->constant_macro), "frames", (json_int_t)result->frames,
                     "abnormal", (json_int_t)result->abnormal, "clips", clips);
fail:
    json_decref(clips);
    sac_free(convention);
    return json;
}
