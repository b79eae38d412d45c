// Comma-separated tables held as one buffer with its separators replaced by zeros, plus a pointer
// per field. No quoting, no escapes, no other separators: a file that needs them is refused with a
// message.
#include "core/csv.h"

#include <stdbool.h>
#include <string.h>

#include "core/check.h"
#include "core/file.h"
#include "core/memory.h"
#include "core/number.h"

#define CSV_LIMIT   ((size_t)256 << 20)
#define MAX_COLUMNS 4096

struct sac_csv {
    char *name;
    char *text;
    char **fields; // [rows + 1][columns], the header first
    int64_t rows;
    int columns;
};

// Fields of the line [line, end), which is terminated in place; -1 when there are more than `most`.
static int split_line(char *line, char *end, char **fields, int most) {
    int count = 0;
    for (char *start = line;;) {
        char *comma = memchr(start, ',', (size_t)(end - start));
        char *stop = comma != NULL ? comma : end;
        if (count == most) return -1;
        char *first = start, *last = stop;
        while (first < last && (*first == ' ' || *first == '\t')) first++;
        while (last > first && (last[-1] == ' ' || last[-1] == '\t')) last--;
        *last = '\0';
        fields[count++] = first;
        if (comma == NULL) return count;
        start = comma + 1;
    }
}

static int count_fields(const char *line, const char *end) {
    int64_t count = 1;
    for (const char *c = line; c < end; c++) count += *c == ',';
    return count > MAX_COLUMNS ? -1 : (int)count;
}

static sac_status check_header(const sac_csv *csv, sac_error *error) {
    for (int a = 0; a < csv->columns; a++) {
        if (csv->fields[a][0] == '\0') {
            return sac_error_set(error, SAC_ERROR_FORMAT, 1, "%s: line 1: column %d has no name",
                                 csv->name, a + 1);
        }
        for (int b = 0; b < a; b++) {
            if (strcmp(csv->fields[a], csv->fields[b]) == 0) {
                return sac_error_set(error, SAC_ERROR_FORMAT, 1,
                                     "%s: line 1: two columns are named '%.100s'", csv->name,
                                     csv->fields[a]);
            }
        }
    }
    return SAC_OK;
}

// Splits csv->text, `size` bytes followed by a spare one, into fields.
static sac_status split_text(sac_csv *csv, size_t size, sac_error *error) {
    char *text = csv->text;
    char *end = text + size;
    if (size >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0) text += 3;
    while (end > text && (end[-1] == '\n' || end[-1] == '\r')) end--;
    *end = '\0';
    if (text == end) {
        return sac_error_set(error, SAC_ERROR_FORMAT, 1, "%s: is empty, a header row was expected",
                             csv->name);
    }
    int64_t lines = 1;
    for (const char *c = text; c < end; c++) lines += *c == '\n';
    for (int64_t line = 0; line < lines; line++) {
        char *stop = memchr(text, '\n', (size_t)(end - text));
        char *next = stop != NULL ? stop + 1 : end;
        if (stop == NULL) stop = end;
        if (stop > text && stop[-1] == '\r') stop--;
        long long number = (long long)line + 1;
        const char *zero = memchr(text, '\0', (size_t)(stop - text));
        if (zero != NULL || memchr(text, '"', (size_t)(stop - text)) != NULL) {
            return sac_error_set(error, SAC_ERROR_FORMAT, number, "%s: line %lld: %s", csv->name,
                                 number,
                                 zero != NULL ? "holds a zero byte; a text file was expected"
                                              : "quotation marks are not supported");
        }
        if (stop == text) {
            return sac_error_set(error, SAC_ERROR_FORMAT, number, "%s: line %lld is empty",
                                 csv->name, number);
        }
        int found = count_fields(text, stop);
        if (line == 0) {
            if (found < 0) {
                return sac_error_set(error, SAC_ERROR_FORMAT, number,
                                     "%s: line 1: more than %d columns", csv->name, MAX_COLUMNS);
            }
            csv->columns = found;
            // Each field but the last of a line is followed by a comma, so a hostile line count
            // cannot ask for more pointers than the file has bytes.
            int64_t fields;
            if (!sac_mul(lines, found, &fields) || fields > (int64_t)size + 1) {
                fields = (int64_t)size + 1;
            }
            csv->fields = sac_calloc(fields, sizeof *csv->fields);
            if (csv->fields == NULL) {
                return sac_error_set(error, SAC_ERROR_MEMORY, -1, "%s: no memory for its fields",
                                     csv->name);
            }
        } else if (found != csv->columns) {
            return sac_error_set(error, SAC_ERROR_FORMAT, number,
                                 "%s: line %lld: %d fields, the header has %d", csv->name, number,
                                 found < 0 ? MAX_COLUMNS + 1 : found, csv->columns);
        }
        split_line(text, stop, csv->fields + line * csv->columns, csv->columns);
        if (line == 0) {
            sac_status status = check_header(csv, error);
            if (status < 0) return status;
        }
        text = next;
    }
    csv->rows = lines - 1;
    return SAC_OK;
}

sac_status sac_csv_parse(sac_csv **out, const void *bytes, size_t size, const char *name,
                         sac_error *error) {
    sac_status status = SAC_OK;
    *out = NULL;
    if (size > CSV_LIMIT) {
        return sac_error_set(error, SAC_ERROR_FORMAT, -1, "%s: %zu bytes, at most %zu are accepted",
                             name, size, CSV_LIMIT);
    }
    sac_csv *csv = sac_calloc(1, sizeof *csv);
    if (csv != NULL) csv->name = sac_strdup(name);
    if (csv != NULL) csv->text = sac_calloc((int64_t)size + 1, 1);
    if (csv == NULL || csv->name == NULL || csv->text == NULL) {
        status = sac_error_set(error, SAC_ERROR_MEMORY, -1, "%s: no memory for the table", name);
        goto fail;
    }
    if (size > 0) memcpy(csv->text, bytes, size);
    SAC_TRY(split_text(csv, size, error));
    *out = csv;
    return SAC_OK;
fail:
    sac_csv_close(&csv);
    return status;
}

sac_status sac_csv_read(sac_csv **csv, const char *path, sac_error *error) {
    uint8_t *bytes = NULL;
    size_t size = 0;
    sac_status status = SAC_OK;
    *csv = NULL;
    SAC_TRY(sac_file_read(&bytes, &size, path, CSV_LIMIT, error));
    SAC_TRY(sac_csv_parse(csv, bytes, size, path, error));
fail:
    sac_free(bytes);
    return status;
}

int64_t sac_csv_rows(const sac_csv *csv) {
    return csv->rows;
}

int sac_csv_column(const sac_csv *csv, const char *name) {
    for (int column = 0; column < csv->columns; column++) {
        if (strcmp(csv->fields[column], name) == 0) return column;
    }
    return -1;
}

const char *sac_csv_header(const sac_csv *csv, int column) {
    return column >= 0 && column < csv->columns ? csv->fields[column] : NULL;
}

const char *sac_csv_text(const sac_csv *csv, int64_t row, int column) {
    if (row < 0 || row >= csv->rows || column < 0 || column >= csv->columns) return NULL;
    return csv->fields[(row + 1) * csv->columns + column];
}

// Row 0 is line 2: neither the header nor a row spans lines, and no line is skipped.
static sac_status bad_field(const sac_csv *csv, int64_t row, int column, const char *wanted,
                            sac_error *error) {
    const char *text = sac_csv_text(csv, row, column);
    if (text == NULL) {
        return sac_error_set(
            error, SAC_ERROR_ARGUMENT, -1,
            "%s: row %lld, column %d is outside the table of %lld rows and %d columns", csv->name,
            (long long)row, column, (long long)csv->rows, csv->columns);
    }
    return sac_error_set(error, SAC_ERROR_FORMAT, row + 2,
                         "%s: line %lld, column '%.100s': '%.100s' is not %s", csv->name,
                         (long long)row + 2, csv->fields[column], text, wanted);
}

sac_status sac_csv_number(const sac_csv *csv, int64_t row, int column, double lo, double hi,
                          double *value, sac_error *error) {
    const char *text = sac_csv_text(csv, row, column);
    double number;
    if (text == NULL || !sac_number_real(text, &number)) {
        return bad_field(csv, row, column, "a finite number", error);
    }
    if (!(number >= lo && number <= hi)) {
        return sac_error_set(error, SAC_ERROR_FORMAT, row + 2,
                             "%s: line %lld, column '%.100s': %s is not between %g and %g",
                             csv->name, (long long)row + 2, csv->fields[column], text, lo, hi);
    }
    *value = number;
    return SAC_OK;
}

sac_status sac_csv_integer(const sac_csv *csv, int64_t row, int column, int64_t lo, int64_t hi,
                           int64_t *value, sac_error *error) {
    const char *text = sac_csv_text(csv, row, column);
    int64_t number;
    if (text == NULL || !sac_number_integer(text, &number)) {
        return bad_field(csv, row, column, "an integer", error);
    }
    if (number < lo || number > hi) {
        return sac_error_set(error, SAC_ERROR_FORMAT, row + 2,
                             "%s: line %lld, column '%.100s': %s is not between %lld and %lld",
                             csv->name, (long long)row + 2, csv->fields[column], text,
                             (long long)lo, (long long)hi);
    }
    *value = number;
    return SAC_OK;
}

void sac_csv_close(sac_csv **slot) {
    if (slot == NULL || *slot == NULL) return;
    sac_csv *csv = *slot;
    sac_free(csv->fields);
    sac_free(csv->text);
    sac_free(csv->name);
    sac_free(csv);
    *slot = NULL;
}
