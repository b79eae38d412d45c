// The flat list of figures: building, JSON both ways, CSV and Markdown.
#include "bench/figures.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bench/stats.h"
#include "core/check.h"
#include "core/json.h"
#include "core/memory.h"
#include "core/text.h"

static void copy_plain(char *dst, size_t size, const char *text) {
    char *clean = sac_text_utf8(text != NULL ? text : "");
    size_t n = 0;
    for (const char *c = clean; c != NULL && *c != '\0' && n + 1 < size; c++)
        dst[n++] = strchr(",|\"", *c) != NULL || (unsigned char)*c < 0x20 ? '_' : *c;
    // A character of several bytes must not be cut.
    if (n + 1 == size) {
        while (n > 0 && ((unsigned char)dst[n - 1] & 0xC0) == 0x80) n--;
        if (n > 0 && ((unsigned char)dst[n - 1] & 0xC0) == 0xC0) n--;
    }
    dst[n] = '\0';
    sac_free(clean);
}

sac_figure sac_figure_of_value(const char *name, const char *unit, bool lower_is_better,
                               double value) {
    sac_figure figure = {.lower_is_better = lower_is_better,
                         .value = isfinite(value) ? value : (double)NAN,
                         .low = (double)NAN,
                         .high = (double)NAN,
                         .rounds = 1,
                         .of_limit = (double)NAN};
    copy_plain(figure.name, sizeof figure.name, name);
    copy_plain(figure.unit, sizeof figure.unit, unit);
    return figure;
}

sac_figure sac_figure_of_rounds(const char *name, const char *unit, bool lower_is_better,
                                double *rounds, int64_t count) {
    sac_stats_sort(rounds, count);
    sac_figure figure =
        sac_figure_of_value(name, unit, lower_is_better, sac_stats_quantile(rounds, count, 0.5));
    if (count > 1 && isfinite(figure.value) && isfinite(rounds[0]) && isfinite(rounds[count - 1])) {
        figure.low = rounds[0];
        figure.high = rounds[count - 1];
    }
    figure.rounds = count > 0 ? count : 1;
    return figure;
}

void sac_figure_set_limit(sac_figure *figure, const char *limit, double of_limit) {
    if (!isfinite(of_limit)) return;
    copy_plain(figure->limit, sizeof figure->limit, limit);
    figure->of_limit = of_limit;
}

const sac_figure *sac_figures_find(const sac_figures *figures, const char *name) {
    for (int64_t i = 0; i < figures->count; i++)
        if (strcmp(figures->items[i].name, name) == 0) return &figures->items[i];
    return NULL;
}

sac_status sac_figures_add(sac_figures *figures, const sac_figure *figure, sac_error *error) {
    if (sac_figures_find(figures, figure->name) != NULL)
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1, "two figures are named '%s'",
                             figure->name);
    if (figures->count >= SAC_FIGURES_MOST)
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1, "more than %d figures",
                             SAC_FIGURES_MOST);
    if (figures->count == figures->capacity) {
        const int64_t capacity = figures->capacity > 0 ? 2 * figures->capacity : 32;
        sac_figure *items =
            sac_recalloc(figures->items, figures->capacity, capacity, sizeof *items);
        if (items == NULL)
            return sac_error_set(error, SAC_ERROR_MEMORY, -1, "no memory for the figures");
        figures->items = items;
        figures->capacity = capacity;
    }
    figures->items[figures->count++] = *figure;
    return SAC_OK;
}

void sac_figures_close(sac_figures *figures) {
    if (figures == NULL) return;
    sac_free(figures->items);
    memset(figures, 0, sizeof *figures);
}

// ---- JSON --------------------------------------------------------------------------------------

json_t *sac_figures_to_json(const sac_figures *figures) {
    json_t *list = json_array();
    for (int64_t i = 0; list != NULL && i < figures->count; i++) {
        const sac_figure *f = &figures->items[i];
        json_t *item = json_pack("{s:s, s:s, s:s, s:o, s:o, s:o, s:I, s:o, s:o}", "name", f->name,
                                 "unit", f->unit, "better", f->lower_is_better ? "lower" : "higher",
                                 "value", sac_json_number(f->value), "low", sac_json_number(f->low),
                                 "high", sac_json_number(f->high), "rounds", (json_int_t)f->rounds,
                                 "limit", f->limit[0] != '\0' ? json_string(f->limit) : json_null(),
                                 "of_limit", sac_json_number(f->of_limit));
        if (json_array_append_new(list, item) < 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

// A text that fits the figure and needs no cleaning.
static sac_status read_text(char *dst, size_t size, const json_t *item, const char *key, bool empty,
                            const char *place, sac_error *error) {
    const char *text;
    const sac_status status = sac_json_get_text(item, key, &text, place, error);
    if (status < 0) return status;
    const size_t length = strlen(text);
    if (length >= size || (length == 0 && !empty))
        return sac_error_set(error, SAC_ERROR_FORMAT, -1,
                             "%s: \"%s\" has %zu bytes, expected %d to %zu", place, key, length,
                             empty ? 0 : 1, size - 1);
    for (const char *c = text; *c != '\0'; c++)
        if ((unsigned char)*c < 0x20 || strchr(",|\"", *c) != NULL)
            return sac_error_set(error, SAC_ERROR_FORMAT, -1,
                                 "%s: \"%s\" holds a comma, bar, quotation mark or control "
                                 "character",
                                 place, key);
    memcpy(dst, text, length + 1);
    return SAC_OK;
}

static sac_status read_number(double *value, const json_t *item, const char *key, const char *place,
                              sac_error *error) {
    const json_t *number = json_object_get(item, key);
    *value = (double)NAN;
    if (json_is_null(number)) return SAC_OK;
    return sac_json_get_real(item, key, -1e18, 1e18, value, place, error);
}

static sac_status read_figure(sac_figure *figure, const json_t *item, const char *place,
                              sac_error *error) {
    char better[8];
    sac_status status;
    memset(figure, 0, sizeof *figure);
    SAC_TRY(read_text(figure->name, sizeof figure->name, item, "name", false, place, error));
    SAC_TRY(read_text(figure->unit, sizeof figure->unit, item, "unit", true, place, error));
    SAC_TRY(read_text(better, sizeof better, item, "better", false, place, error));
    figure->lower_is_better = strcmp(better, "lower") == 0;
    if (!figure->lower_is_better && strcmp(better, "higher") != 0)
        SAC_TRY(sac_error_set(error, SAC_ERROR_FORMAT, -1,
                              "%s: \"better\" is '%s', expected higher or lower", place, better));
    SAC_TRY(read_number(&figure->value, item, "value", place, error));
    SAC_TRY(read_number(&figure->low, item, "low", place, error));
    SAC_TRY(read_number(&figure->high, item, "high", place, error));
    SAC_TRY(read_number(&figure->of_limit, item, "of_limit", place, error));
    SAC_TRY(sac_json_get_int(item, "rounds", 1, INT64_C(1) << 40, &figure->rounds, place, error));
    if (isnan(figure->low) != isnan(figure->high) ||
        (!isnan(figure->low) && !(figure->low <= figure->value && figure->value <= figure->high)))
        SAC_TRY(sac_error_set(error, SAC_ERROR_FORMAT, -1,
                              "%s: expected \"low\" <= \"value\" <= \"high\", or \"low\" and "
                              "\"high\" both null",
                              place));
    if (!json_is_null(json_object_get(item, "limit")))
        SAC_TRY(read_text(figure->limit, sizeof figure->limit, item, "limit", true, place, error));
    status = SAC_OK;
fail:
    return status;
}

sac_status sac_figures_from_json(sac_figures *figures, const json_t *result, const char *file,
                                 sac_error *error) {
    json_t *list;
    sac_status status;
    memset(figures, 0, sizeof *figures);
    SAC_TRY(sac_json_get_array(result, "figures", &list, file, error));
    if (json_array_size(list) > SAC_FIGURES_MOST)
        SAC_TRY(sac_error_set(error, SAC_ERROR_FORMAT, -1, "%s: %zu figures, expected at most %d",
                              file, json_array_size(list), SAC_FIGURES_MOST));
    for (size_t i = 0; i < json_array_size(list); i++) {
        sac_figure figure;
        char place[512];
        snprintf(place, sizeof place, "%.400s: figure %zu", file, i + 1);
        SAC_TRY(read_figure(&figure, json_array_get(list, i), place, error));
        if (sac_figures_find(figures, figure.name) != NULL)
            SAC_TRY(sac_error_set(error, SAC_ERROR_FORMAT, (int64_t)i,
                                  "%s: a second figure named '%s'", place, figure.name));
        SAC_TRY(sac_figures_add(figures, &figure, error));
    }
    return SAC_OK;
fail:
    sac_figures_close(figures);
    return status;
}

// ---- tables ------------------------------------------------------------------------------------

void sac_figures_csv_field(FILE *out, double value) {
    fputc(',', out);
    if (isfinite(value)) fprintf(out, "%.9g", value);
}

char *sac_figures_csv(const sac_figures *figures) {
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (out == NULL) return NULL;
    fputs("name,unit,better,value,low,high,rounds,limit,of_limit\n", out);
    for (int64_t i = 0; i < figures->count; i++) {
        const sac_figure *f = &figures->items[i];
        fprintf(out, "%s,%s,%s", f->name, f->unit, f->lower_is_better ? "lower" : "higher");
        sac_figures_csv_field(out, f->value);
        sac_figures_csv_field(out, f->low);
        sac_figures_csv_field(out, f->high);
        fprintf(out, ",%lld,%s", (long long)f->rounds, f->limit);
        sac_figures_csv_field(out, f->of_limit);
        fputc('\n', out);
    }
    return sac_text_take(out, &text);
}

// Four significant digits, without an exponent.
static void put_number(FILE *out, double value) {
    const double size = fabs(value);
    if (!isfinite(value))
        fputc('-', out);
    else
        fprintf(out, "%.*f",
                size >= 1000 || size == 0 ? 0
                : size >= 100             ? 1
                : size >= 10              ? 2
                                          : 3,
                value);
}

char *sac_figures_markdown(const sac_figures *figures) {
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (out == NULL) return NULL;
    fputs("| figure | value | rounds | of its limit |\n|---|---:|---|---|\n", out);
    for (int64_t i = 0; i < figures->count; i++) {
        const sac_figure *f = &figures->items[i];
        fprintf(out, "| %s | ", f->name);
        put_number(out, f->value);
        fprintf(out, "%s%s | ", isfinite(f->value) ? " " : "", isfinite(f->value) ? f->unit : "");
        if (isfinite(f->low)) {
            put_number(out, f->low);
            fputs(" .. ", out);
            put_number(out, f->high);
            fprintf(out, " (%lld)", (long long)f->rounds);
        }
        fputs(" | ", out);
        if (isfinite(f->of_limit)) fprintf(out, "%.1f %% of %s", 100 * f->of_limit, f->limit);
        fputs(" |\n", out);
    }
    return sac_text_take(out, &text);
}
