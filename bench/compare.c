// Ratios of two lists of figures. Decides nothing: what counts as too slow is the caller's.
#include "bench/compare.h"

#include <fnmatch.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/check.h"
#include "core/json.h"
#include "core/memory.h"
#include "core/text.h"

// ---- reading -----------------------------------------------------------------------------------

static sac_status read_fact(char *dst, size_t size, const json_t *object, const char *key,
                            const char *name, sac_error *error) {
    const char *text;
    if (json_object_get(object, key) == NULL) return SAC_OK;
    const sac_status status = sac_json_get_text(object, key, &text, name, error);
    if (status < 0) return status;
    size_t n = 0;
    for (; text[n] != '\0' && n + 1 < size; n++)
        dst[n] = (unsigned char)text[n] < 0x20 ? ' ' : text[n];
    dst[n] = '\0';
    return SAC_OK;
}

static sac_status read_origin(sac_result_origin *origin, const json_t *result, const char *name,
                              sac_error *error) {
    json_t *machine = NULL;
    sac_status status;
    SAC_TRY(read_fact(origin->version, sizeof origin->version, result, "version", name, error));
    if (json_object_get(result, "machine") == NULL) return SAC_OK;
    SAC_TRY(sac_json_get_object(result, "machine", &machine, name, error));
    SAC_TRY(read_fact(origin->cpu, sizeof origin->cpu, machine, "cpu", name, error));
    SAC_TRY(read_fact(origin->instructions, sizeof origin->instructions, machine, "instructions",
                      name, error));
    SAC_TRY(read_fact(origin->backend, sizeof origin->backend, machine, "backend", name, error));
    if (json_object_get(machine, "cores") != NULL) {
        int64_t cores;
        SAC_TRY(sac_json_get_int(machine, "cores", 1, 1 << 20, &cores, name, error));
        origin->cores = (int)cores;
    }
    status = SAC_OK;
fail:
    return status;
}

static sac_status read_result(sac_compared_file *file, const json_t *json, const char *name,
                              sac_error *error) {
    sac_status status;
    if (!json_is_object(json))
        SAC_TRY(sac_error_set(error, SAC_ERROR_FORMAT, -1, "%s: expected a JSON object", name));
    if (json_object_get(json, "figures") == NULL)
        SAC_TRY(sac_error_set(error, SAC_ERROR_FORMAT, -1,
                              "%s: no \"figures\", so no result file of student-bench run, "
                              "scenarios, train, machine, layers, peers, pareto or suite",
                              name));
    SAC_TRY(read_origin(&file->origin, json, name, error));
    SAC_TRY(sac_figures_from_json(&file->figures, json, name, error));
    return SAC_OK;
fail:
    sac_compared_close(file);
    return status;
}

sac_status sac_compared_read(sac_compared_file *file, const char *path, sac_error *error) {
    json_t *json = NULL;
    memset(file, 0, sizeof *file);
    sac_status status = sac_json_read(&json, path, error);
    if (status >= 0) status = read_result(file, json, path, error);
    json_decref(json);
    return status;
}

sac_status sac_compared_parse(sac_compared_file *file, const void *bytes, size_t size,
                              const char *name, sac_error *error) {
    json_t *json = NULL;
    memset(file, 0, sizeof *file);
    sac_status status = sac_json_parse(&json, bytes, size, name, error);
    if (status >= 0) status = read_result(file, json, name, error);
    json_decref(json);
    return status;
}

void sac_compared_close(sac_compared_file *file) {
    if (file == NULL) return;
    sac_figures_close(&file->figures);
    memset(file, 0, sizeof *file);
}

// ---- comparing ---------------------------------------------------------------------------------

static double ratio_of(const sac_figure *a, const sac_figure *b) {
    const double over = a->lower_is_better ? a->value : b->value;
    const double under = a->lower_is_better ? b->value : a->value;
    if (isnan(over) || isnan(under)) return (double)NAN;
    if (over == under) return 1.0;
    const double ratio = over / under;
    // A sign or a zero says nothing about how much better.
    return isfinite(ratio) && ratio >= 0.0 ? ratio : (double)NAN;
}

static sac_difference difference_of(const sac_figure *a, const sac_figure *b) {
    if (isnan(a->low) || isnan(b->low)) return SAC_DIFFERENCE_UNKNOWN;
    return a->high < b->low || b->high < a->low ? SAC_DIFFERENCE_CLEAR : SAC_DIFFERENCE_WITHIN;
}

static sac_status add_row(sac_comparison *c, const sac_figure *a, const sac_figure *b,
                          sac_error *error) {
    sac_compared_row *row = &c->rows[c->count++];
    *row = (sac_compared_row){
        .a = a, .b = b, .ratio = (double)NAN, .difference = SAC_DIFFERENCE_UNKNOWN};
    if (a != NULL && !isnan(a->value) && (b == NULL || isnan(b->value))) c->missing++;
    if (a == NULL || b == NULL) return SAC_OK;
    if (strcmp(a->unit, b->unit) != 0 || a->lower_is_better != b->lower_is_better)
        return sac_error_set(error, SAC_ERROR_FORMAT, -1,
                             "'%s' is in %s (%s is better) in the first file and in %s (%s is "
                             "better) in the second",
                             a->name, a->unit, a->lower_is_better ? "lower" : "higher", b->unit,
                             b->lower_is_better ? "lower" : "higher");
    row->ratio = ratio_of(a, b);
    row->difference = difference_of(a, b);
    return SAC_OK;
}

sac_status sac_comparison_make(sac_comparison *comparison, const sac_compared_file *a,
                               const sac_compared_file *b, const char *pattern, sac_error *error) {
    sac_status status;
    double logs = 0.0;
    memset(comparison, 0, sizeof *comparison);
    comparison->geometric_mean = comparison->lowest = (double)NAN;
    SAC_TRY_ALLOC(comparison->rows =
                      sac_calloc(a->figures.count + b->figures.count, sizeof *comparison->rows));
    for (int64_t i = 0; i < a->figures.count; i++) {
        const sac_figure *figure = &a->figures.items[i];
        if (pattern != NULL && fnmatch(pattern, figure->name, 0) != 0) continue;
        SAC_TRY(add_row(comparison, figure, sac_figures_find(&b->figures, figure->name), error));
    }
    for (int64_t i = 0; i < b->figures.count; i++) {
        const sac_figure *figure = &b->figures.items[i];
        if (pattern != NULL && fnmatch(pattern, figure->name, 0) != 0) continue;
        if (sac_figures_find(&a->figures, figure->name) == NULL)
            SAC_TRY(add_row(comparison, NULL, figure, error));
    }
    int64_t positive = 0;
    for (int64_t i = 0; i < comparison->count; i++) {
        const sac_compared_row *row = &comparison->rows[i];
        if (isnan(row->ratio)) continue;
        comparison->common++;
        if (row->ratio > 0.0) {
            logs += log(row->ratio);
            positive++;
        }
        if (!(row->ratio >= comparison->lowest)) {
            comparison->lowest = row->ratio;
            comparison->worst = row;
        }
    }
    if (comparison->common == 0)
        SAC_TRY(sac_error_set(
            error, SAC_ERROR_ARGUMENT, -1, "the two files have no measured figure in common%s%s",
            pattern != NULL ? " that matches " : "", pattern != NULL ? pattern : ""));
    if (positive > 0) comparison->geometric_mean = exp(logs / (double)positive);
    return SAC_OK;
fail:
    if (status == SAC_ERROR_MEMORY) sac_error_set(error, status, -1, "no memory to compare");
    sac_comparison_close(comparison);
    return status;
}

void sac_comparison_close(sac_comparison *comparison) {
    if (comparison == NULL) return;
    sac_free(comparison->rows);
    memset(comparison, 0, sizeof *comparison);
}

int64_t sac_comparison_below(const sac_comparison *comparison, double least, bool clear_only) {
    int64_t count = 0;
    for (int64_t i = 0; i < comparison->count; i++) {
        const sac_compared_row *row = &comparison->rows[i];
        count += row->ratio < least && (!clear_only || row->difference == SAC_DIFFERENCE_CLEAR);
    }
    return count;
}

// ---- reporting ---------------------------------------------------------------------------------

static void put_fact(FILE *out, const char *key, const char *a, const char *b) {
    if (strcmp(a, b) != 0)
        fprintf(out, "%s: %s | %s\n", key, a[0] != '\0' ? a : "not told",
                b[0] != '\0' ? b : "not told");
}

char *sac_comparison_warnings(const sac_result_origin *a, const sac_result_origin *b) {
    char *text = NULL, cores[2][16];
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (out == NULL) return NULL;
    snprintf(cores[0], sizeof cores[0], "%d", a->cores);
    snprintf(cores[1], sizeof cores[1], "%d", b->cores);
    put_fact(out, "cpu", a->cpu, b->cpu);
    put_fact(out, "cores", cores[0], cores[1]);
    put_fact(out, "instructions", a->instructions, b->instructions);
    put_fact(out, "backend", a->backend, b->backend);
    put_fact(out, "version", a->version, b->version);
    return sac_text_take(out, &text);
}

static const char *difference_name(sac_difference difference) {
    static const char *const names[] = {"clear", "within the rounds", "one round"};
    return names[difference];
}

static void put_value(FILE *out, const sac_figure *figure) {
    if (figure == NULL)
        fputs(" missing |", out);
    else if (isnan(figure->value))
        fputs(" - |", out);
    else
        fprintf(out, " %.4g |", figure->value);
}

char *sac_comparison_markdown(const sac_comparison *comparison) {
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (out == NULL) return NULL;
    fputs("| figure | unit | A | B | ratio | difference |\n|---|---|---:|---:|---:|---|\n", out);
    for (int64_t i = 0; i < comparison->count; i++) {
        const sac_compared_row *row = &comparison->rows[i];
        const sac_figure *any = row->a != NULL ? row->a : row->b;
        fprintf(out, "| %s | %s |", any->name, any->unit);
        put_value(out, row->a);
        put_value(out, row->b);
        if (isnan(row->ratio))
            fputs(" - | |\n", out);
        else
            fprintf(out, " %.3f | %s |\n", row->ratio, difference_name(row->difference));
    }
    fprintf(out,
            "\nRatios above 1: B is better. Geometric mean %.3f over %lld figures, lowest %.3f "
            "(%s).\n",
            comparison->geometric_mean, (long long)comparison->common, comparison->lowest,
            comparison->worst->a->name);
    return sac_text_take(out, &text);
}

char *sac_comparison_csv(const sac_comparison *comparison) {
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (out == NULL) return NULL;
    fputs("figure,unit,a,b,ratio,difference\n", out);
    for (int64_t i = 0; i < comparison->count; i++) {
        const sac_compared_row *row = &comparison->rows[i];
        const sac_figure *any = row->a != NULL ? row->a : row->b;
        fprintf(out, "%s,%s", any->name, any->unit);
        sac_figures_csv_field(out, row->a != NULL ? row->a->value : (double)NAN);
        sac_figures_csv_field(out, row->b != NULL ? row->b->value : (double)NAN);
        sac_figures_csv_field(out, row->ratio);
        fprintf(out, ",%s\n", isnan(row->ratio) ? "" : difference_name(row->difference));
    }
    return sac_text_take(out, &text);
}

json_t *sac_comparison_json(const sac_comparison *comparison) {
    json_t *rows = json_array();
    for (int64_t i = 0; rows != NULL && i < comparison->count; i++) {
        const sac_compared_row *row = &comparison->rows[i];
        const sac_figure *any = row->a != NULL ? row->a : row->b;
        json_t *item =
            json_pack("{s:s, s:s, s:o, s:o, s:o, s:s}", "name", any->name, "unit", any->unit, "a",
                      sac_json_number(row->a != NULL ? row->a->value : (double)NAN), "b",
                      sac_json_number(row->b != NULL ? row->b->value : (double)NAN), "ratio",
                      sac_json_number(row->ratio), "difference", difference_name(row->difference));
        if (json_array_append_new(rows, item) < 0) {
            json_decref(rows);
            return NULL;
        }
    }
    return json_pack("{s:o, s:I, s:I, s:o, s:o}", "rows", rows, "common",
                     (json_int_t)comparison->common, "missing", (json_int_t)comparison->missing,
                     "geometric_mean", sac_json_number(comparison->geometric_mean), "lowest",
                     sac_json_number(comparison->lowest));
}
