// Strict reader for the small comma-separated tables Saccade accepts (boxes, labels): a header row,
// the same number of fields in every row, no quoting. Every error names file, line and column and
// what was expected there.
#ifndef SAC_CORE_CSV_H
#define SAC_CORE_CSV_H

#include <stddef.h>
#include <stdint.h>

#include "saccade/status.h"

typedef struct sac_csv sac_csv;

// Reads the file `path` (at most 256 MiB) or the `size` bytes at `bytes`, which `name` stands for
// in messages. Blanks around a field, carriage returns, a UTF-8 byte-order mark and empty last
// lines are accepted and dropped.
//   SAC_ERROR_IO      the file cannot be opened or read
//   SAC_ERROR_FORMAT  empty; a row with another number of fields; an empty line; a column without a
//                     name or with that of another; a quotation mark; a zero byte; more than 4096
//                     columns. error->position: the line
//   SAC_ERROR_MEMORY
// The caller owns *csv, which is NULL after an error. A table may be read by several threads.
SAC_NODISCARD sac_status sac_csv_read(sac_csv **csv, const char *path, sac_error *error);
SAC_NODISCARD sac_status sac_csv_parse(sac_csv **csv, const void *bytes, size_t size,
                                       const char *name, sac_error *error);

// Rows without the header.
int64_t sac_csv_rows(const sac_csv *csv);

// Index of the column named `name` in the header, from 0; -1 when there is none.
int sac_csv_column(const sac_csv *csv, const char *name);

// Name of a column in the header, valid until close; NULL outside the table.
const char *sac_csv_header(const sac_csv *csv, int column);

// Text of a field, valid until close; NULL outside the table. Row 0 is line 2 of the file.
const char *sac_csv_text(const sac_csv *csv, int64_t row, int column);

// The whole field as a decimal number within [lo, hi]; *value is only written on success.
//   SAC_ERROR_FORMAT    not a finite decimal number (or integer), or out of range.
//                       error->position: the line
//   SAC_ERROR_ARGUMENT  row or column outside the table
SAC_NODISCARD sac_status sac_csv_number(const sac_csv *csv, int64_t row, int column, double lo,
                                        double hi, double *value, sac_error *error);
SAC_NODISCARD sac_status sac_csv_integer(const sac_csv *csv, int64_t row, int column, int64_t lo,
                                         int64_t hi, int64_t *value, sac_error *error);

// NULL-safe; sets *csv to NULL.
void sac_csv_close(sac_csv **csv);

#endif
