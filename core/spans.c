// UBnormal's lists of abnormal objects.
#include "core/spans.h"

#include <stdbool.h>
#include <string.h>

#include "core/check.h"
#include "core/file.h"
#include "core/memory.h"
#include "core/number.h"

enum { LINE = 256, FIELDS = 3 };
#define SPANS_LIMIT ((size_t)16 << 20)

static bool is_separator(char c) {
    return c == ' ' || c == '\t' || c == '\r' || c == ',';
}

// An integer, which numpy may have written as 12.000000 or 1.2e+01.
static bool read_integer(const char *text, int64_t *value) {
    double number;
    if (!sac_number_real(text, &number) || number < -1e15 || number > 1e15) return false;
    *value = (int64_t)number;
    return (double)*value >= number && (double)*value <= number;
}

// Cuts a line into numbers; returns how many, or FIELDS + 1 for "something else".
static int cut(int64_t values[FIELDS], char *line) {
    int count = 0;
    for (char *at = line;;) {
        while (is_separator(*at)) at++;
        if (*at == '\0') return count;
        char *word = at;
        while (*at != '\0' && !is_separator(*at)) at++;
        const bool last = *at == '\0';
        *at = '\0';
        if (count == FIELDS || !read_integer(word, &values[count++])) return FIELDS + 1;
        if (last) return count;
        at++;
    }
}

static sac_status take_line(sac_span *span, int *fields, char *line, int64_t number,
                            const char *name, const char *clip, int64_t frames, sac_error *error) {
    int64_t v[FIELDS] = {0};
    *fields = cut(v, line);
    if (*fields == 0) return SAC_OK;
    if (*fields != FIELDS)
        return sac_error_set(error, SAC_ERROR_FORMAT, number,
                             "%s: line %lld: expected three integers id,first,last", name,
                             (long long)number);
    if (v[0] < 1 || v[0] > 255)
        return sac_error_set(error, SAC_ERROR_FORMAT, number,
                             "%s: line %lld: object %lld, expected an id from 1 to 255", name,
                             (long long)number, (long long)v[0]);
    if (v[1] < 0 || v[2] < v[1] || v[2] >= frames)
        return sac_error_set(error, SAC_ERROR_FORMAT, number,
                             "clip '%s' has %lld frames (from 0), but %s, line %lld, marks frames "
                             "%lld to %lld of it",
                             clip, (long long)frames, name, (long long)number, (long long)v[1],
                             (long long)v[2]);
    *span = (sac_span){.id = (int)v[0], .first = v[1], .last = v[2]};
    return SAC_OK;
}

sac_status sac_spans_parse(sac_span **spans, int64_t *count, const void *bytes, size_t size,
                           const char *name, const char *clip, int64_t frames, sac_error *error) {
    sac_status status = SAC_OK;
    sac_span *list = NULL;
    int64_t room = 0, used = 0, number = 0;
    const char *at = bytes, *end = at + size;
    *spans = NULL;
    *count = 0;
    if (size > SPANS_LIMIT || (size > 0 && memchr(bytes, 0, size) != NULL))
        return sac_error_set(error, SAC_ERROR_FORMAT, -1,
                             "%s: more than 16 MiB or a zero byte, expected a text file id,first,"
                             "last",
                             name);
    SAC_TRY_ALLOC(list = sac_calloc(room = 16, sizeof *list));
    while (at < end) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        if (stop == NULL) stop = end;
        char line[LINE];
        int fields = 0;
        number++;
        if (stop - at >= LINE)
            SAC_TRY(sac_error_set(error, SAC_ERROR_FORMAT, number,
                                  "%s: line %lld: expected three integers id,first,last", name,
                                  (long long)number));
        memcpy(line, at, (size_t)(stop - at));
        line[stop - at] = '\0';
        if (used == room) {
            sac_span *grown = sac_recalloc(list, room, 2 * room, sizeof *list);
            SAC_TRY_ALLOC(grown);
            list = grown;
            room *= 2;
        }
        SAC_TRY(take_line(&list[used], &fields, line, number, name, clip, frames, error));
        used += fields == FIELDS;
        at = stop < end ? stop + 1 : end;
    }
    *spans = list;
    *count = used;
    return SAC_OK;
fail:
    sac_free(list);
    return sac_error_set(error, status, -1, "%s: no memory for its spans", name);
}

sac_status sac_spans_read(sac_span **spans, int64_t *count, const char *path, const char *clip,
                          int64_t frames, sac_error *error) {
    uint8_t *bytes = NULL;
    size_t size = 0;
    *spans = NULL;
    *count = 0;
    sac_status status = sac_file_read(&bytes, &size, path, SPANS_LIMIT, error);
    if (status >= 0) status = sac_spans_parse(spans, count, bytes, size, path, clip, frames, error);
    sac_free(bytes);
    return status;
}
