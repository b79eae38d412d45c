// The frame-range files of the UCSD data sets: MATLAB text such as
//   TestVideoFile = {};
//   TestVideoFile{end+1}.gt_frame = [61:180];
// where the bracket holds ranges a:b or single frames, separated by blanks or commas, frames from 1.
#ifndef SAC_CORE_RANGES_H
#define SAC_CORE_RANGES_H

#include <stdint.h>

#include "saccade/status.h"

typedef struct sac_range {
    int64_t clip;        // index of the entry in file order, from 0
    int64_t first, last; // frames from 1, inclusive
} sac_range;

// Reads all ranges; `*clips` receives the number of entries (one without frames counts: "[]").
// SAC_ERROR_FORMAT names file and line. sac_free(*ranges).
SAC_NODISCARD sac_status sac_ranges_read(sac_range **ranges, int64_t *count, int64_t *clips,
                                         const char *path, sac_error *error);
SAC_NODISCARD sac_status sac_ranges_parse(sac_range **ranges, int64_t *count, int64_t *clips,
                                          const void *bytes, size_t size, const char *name,
                                          sac_error *error);

#endif
