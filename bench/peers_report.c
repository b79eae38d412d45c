// The comparison with peers as figures, JSON and Markdown. Numbers come from peers.c; only ratios
// of rounds are computed here.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/peers.h"
#include "bench/stats.h"
#include "core/check.h"
#include "core/json.h"
#include "core/memory.h"
#include "core/text.h"

static const char *const titles[SAC_COMPARISONS] = {
    "From the same u8 frames in memory to scores (conversion of the input counted)",
    "Like for like: the same f32 tensor to scores"};
static const char *const prefixes[SAC_COMPARISONS] = {"u8 frames to scores",
                                                      "f32 tensor to scores"};
static const char *const keys[SAC_COMPARISONS] = {"u8_frames_to_scores", "f32_tensor_to_scores"};

// Rounds of ours / peer; NULL when one of them did not run or memory is short (*status).
static double *ratios(const sac_peers_result *r, int ours, int peer, sac_comparison c,
                      sac_status *status) {
    const double *a = r->arms[ours].rounds[c], *b = r->arms[peer].rounds[c];
    *status = SAC_OK;
    if (a == NULL || b == NULL) return NULL;
    double *quotients = sac_calloc(r->repeats, sizeof *quotients);
    if (quotients == NULL) *status = SAC_ERROR_MEMORY;
    for (int i = 0; i < r->repeats && quotients != NULL; i++) quotients[i] = a[i] / b[i];
    return quotients;
}

sac_status sac_peers_ratio_of(sac_peers_ratio *ratio, const sac_peers_result *result, int ours,
                              int peer, sac_comparison comparison) {
    sac_status status = SAC_OK;
    *ratio = (sac_peers_ratio){(double)NAN, (double)NAN, (double)NAN};
    double *rounds = ratios(result, ours, peer, comparison, &status);
    if (rounds == NULL) return status;
    sac_stats_sort(rounds, result->repeats);
    ratio->median = sac_stats_quantile(rounds, result->repeats, 0.5);
    ratio->low = rounds[0];
    ratio->high = rounds[result->repeats - 1];
    sac_free(rounds);
    return SAC_OK;
}

sac_status sac_peers_figures(sac_figures *figures, const sac_peers_result *r, sac_error *error) {
    sac_status status = SAC_OK;
    char name[160];
    double *rounds = NULL;
    sac_figure figure;
    for (int c = 0; c < SAC_COMPARISONS; c++) {
        for (int a = 0; a < r->arm_count; a++) {
            if (r->arms[a].rounds[c] == NULL) continue;
            SAC_TRY_ALLOC(rounds = sac_calloc(r->repeats, sizeof *rounds));
            memcpy(rounds, r->arms[a].rounds[c], (size_t)r->repeats * sizeof *rounds);
            (void)snprintf(name, sizeof name, "%s; %s", prefixes[c], r->arms[a].name);
            figure = sac_figure_of_rounds(name, "FPS", false, rounds, r->repeats);
            SAC_TRY(sac_figures_add(figures, &figure, error));
            sac_free(rounds);
            rounds = NULL;
        }
        for (int o = 0; o < r->arm_count; o++) {
            for (int a = 0; a < r->arm_count && r->arms[o].ours; a++) {
                if (r->arms[a].ours) continue;
                rounds = ratios(r, o, a, (sac_comparison)c, &status);
                if (status < 0) goto fail;
                if (rounds == NULL) continue;
                (void)snprintf(name, sizeof name, "%s; %s / %s", prefixes[c], r->arms[o].name,
                               r->arms[a].name);
                figure = sac_figure_of_rounds(name, "x", false, rounds, r->repeats);
                SAC_TRY(sac_figures_add(figures, &figure, error));
                sac_free(rounds);
                rounds = NULL;
            }
        }
    }
fail:
    sac_free(rounds);
    return status;
}

// ---- JSON --------------------------------------------------------------------------------------

static json_t *rounds_json(const double *rounds, int repeats) {
    if (rounds == NULL) return json_null();
    json_t *list = json_array();
    for (int i = 0; i < repeats; i++) json_array_append_new(list, sac_json_number(rounds[i]));
    return list;
}

static json_t *arm_json(const sac_peers_result *r, int index) {
    const sac_peers_arm *a = &r->arms[index];
    json_t *json =
        json_pack("{s:s, s:s, s:b, s:o, s:o, s:o}", "name", a->name, "precision", a->precision,
                  "ours", a->ours, "runtime", sac_json_text(a->text), "skipped",
                  a->skipped[0] != '\0' ? sac_json_text(a->skipped) : json_null(), "max_difference",
                  sac_json_number(a->difference));
    for (int c = 0; c < SAC_COMPARISONS && json != NULL; c++) {
        json_t *ratio = json_object();
        for (int o = 0; o < r->arm_count && !a->ours; o++) {
            sac_peers_ratio q;
            if (!r->arms[o].ours) continue;
            if (sac_peers_ratio_of(&q, r, o, index, (sac_comparison)c) < 0 ||
                json_object_set_new(
                    ratio, r->arms[o].name,
                    json_pack("{s:o, s:o, s:o}", "median", sac_json_number(q.median), "low",
                              sac_json_number(q.low), "high", sac_json_number(q.high))) < 0) {
                json_decref(ratio);
                ratio = NULL;
                break;
            }
        }
        if (json_object_set_new(json, keys[c],
                                json_pack("{s:o, s:o, s:o}", "fps", sac_json_number(a->fps[c]),
                                          "fps_rounds", rounds_json(a->rounds[c], r->repeats),
                                          "ours_divided_by_it", ratio)) < 0) {
            json_decref(json);
            json = NULL;
        }
    }
    return json;
}

json_t *sac_peers_json(const sac_peers_result *r) {
    json_t *arms = json_array();
    for (int a = 0; a < r->arm_count; a++) {
        if (json_array_append_new(arms, arm_json(r, a)) < 0) {
            json_decref(arms);
            return NULL;
        }
    }
    return json_pack("{s:{s:o, s:o, s:i, s:i}, s:i, s:s, s:i, s:o, s:o, s:o}", "model", "file",
                     sac_json_text(r->model), "arch", sac_json_text(r->arch), "width", r->width,
                     "height", r->height, "threads", r->threads, "processors", r->processors,
                     "repeats", r->repeats, "runtimes", arms, "peers_missing",
                     r->peers_missing[0] != '\0' ? sac_json_text(r->peers_missing) : json_null(),
                     "machine", sac_machine_json(&r->machine));
}

// ---- Markdown ----------------------------------------------------------------------------------

static void print_ratio(FILE *out, const sac_peers_ratio *q) {
    if (isfinite(q->median)) {
        fprintf(out, " %.2f (%.2f .. %.2f) |", q->median, q->low, q->high);
    } else {
        fputs(" - |", out);
    }
}

static void print_row(FILE *out, const sac_peers_result *r, int index, sac_comparison c,
                      sac_status *status) {
    const sac_peers_arm *a = &r->arms[index];
    if (a->rounds[c] == NULL) return;
    double low = a->rounds[c][0], high = low;
    for (int i = 1; i < r->repeats; i++) {
        low = fmin(low, a->rounds[c][i]);
        high = fmax(high, a->rounds[c][i]);
    }
    fprintf(out, "| %s | %s | %.1f | %.1f .. %.1f |", a->name, a->precision, a->fps[c], low, high);
    for (int o = 0; o < r->arm_count; o++) {
        sac_peers_ratio q = {(double)NAN, (double)NAN, (double)NAN};
        if (!r->arms[o].ours) continue;
        if (!a->ours && sac_peers_ratio_of(&q, r, o, index, c) < 0) *status = SAC_ERROR_MEMORY;
        print_ratio(out, &q);
    }
    if (isfinite(a->difference)) {
        fprintf(out, " %.1e |\n", a->difference);
    } else {
        fputs(" - |\n", out);
    }
}

char *sac_peers_markdown(const sac_peers_result *r) {
    char *text = NULL, *copy = NULL, *machine = sac_machine_text(&r->machine);
    size_t size = 0;
    sac_status status = SAC_OK;
    FILE *out = machine != NULL ? open_memstream(&text, &size) : NULL;
    if (out == NULL) {
        sac_free(machine);
        return NULL;
    }
    fprintf(
        out,
        "Model %s (%s, input %dx%d) on every runtime through the same ONNX export; %d thread%s, "
        "all pinned to processors %s.\n%s. "
        "Median of %d interleaved rounds; ratios are ours / peer, round by round: median "
        "(smallest .. largest).\n",
        r->model, r->arch, r->width, r->height, r->threads, r->threads == 1 ? "" : "s",
        r->processors, machine, r->repeats);
    sac_free(machine);
    for (int c = 0; c < SAC_COMPARISONS; c++) {
        fprintf(out, "\n%s\n\n| runtime | precision | FPS | rounds |", titles[c]);
        for (int o = 0; o < r->arm_count; o++)
            if (r->arms[o].ours) fprintf(out, " %s / it |", r->arms[o].name);
        fputs(" maps differ by |\n|---|---|---:|---|", out);
        for (int o = 0; o < r->arm_count; o++)
            if (r->arms[o].ours) fputs("---:|", out);
        fputs("---:|\n", out);
        for (int a = 0; a < r->arm_count; a++) print_row(out, r, a, (sac_comparison)c, &status);
    }
    fputs("\n", out);
    for (int a = 0; a < r->arm_count; a++) {
        const sac_peers_arm *arm = &r->arms[a];
        if (arm->skipped[0] != '\0') {
            fprintf(out, "SKIPPED: %s: %s\n", arm->name, arm->skipped);
        } else {
            fprintf(out, "- %s: %s\n", arm->name, arm->text);
        }
    }
    if (r->peers_missing[0] != '\0')
        fprintf(out, "SKIPPED: all peers: %s; bench/peers/setup makes them\n", r->peers_missing);
    const bool complete = !ferror(out);
    if (fclose(out) == 0 && complete && status == SAC_OK) copy = sac_text_utf8(text);
    free(text);
    return copy;
}
