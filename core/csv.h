// Strict reader for the small comma-separated tables we accept (boxes, labels): header row, fixed columns,
// no quoting. Every error names file, line and what was expected there.
#ifndef SAC_CORE_CSV_H
#define SAC_CORE_CSV_H

#include <stdint.h>

#include "saccade/status.h"

typedef struct sac_csv sac_csv;

// Reads the whole file (at most 256 MiB) and checks that each row has as many fields as the header.
// Carriage returns, a UTF-8 BOM and empty last lines are accepted.
SAC_NODISCARD sac_status sac_csv_read(sac_csv **csv, const char *path, sac_error *error);
SAC_NODISCARD sac_status sac_csv_parse(sac_csv **csv, const void *bytes, size_t size,
                                       const char *name, sac_error *error);
int64_t sac_csv_rows(const sac_csv *csv); // without the header
// Column index of a header name, -1 when absent.
int sac_csv_column(const sac_csv *csv, const char *name);
// Field text, valid until close.
const char *sac_csv_text(const sac_csv *csv, int64_t row, int column);
// Whole field as a finite number / integer within [lo, hi]; otherwise SAC_ERROR_FORMAT naming file, line and column.
SAC_NODISCARD sac_status sac_csv_number(const sac_csv *csv, int64_t row, int column, double lo,
                                        double hi, double *value, sac_error *error);
SAC_NODISCARD sac_status sac_csv_integer(const sac_csv *csv, int64_t row, int column, int64_t lo,
                                         int64_t hi, int64_t *value, sac_error *error);
void sac_csv_close(sac_csv **csv);

#endif
