// The frame-range files of the UCSD data sets: MATLAB text such as
//   TestVideoFile = {};
//   TestVideoFile{end+1}.gt_frame = [61:180];
// where the bracket holds ranges a:b or single frames, separated by blanks or commas, frames
// counted from 1. Source: UCSD Anomaly Detection Dataset (Mahadevan, Li, Bhalodia, Vasconcelos,
// CVPR 2010), UCSDped1.m and UCSDped2.m.
#ifndef SAC_CORE_RANGES_H
#define SAC_CORE_RANGES_H

#include <stddef.h>
#include <stdint.h>

#include "saccade/status.h"

typedef struct sac_range {
    int64_t clip;        // index of the entry in file order, from 0
    int64_t first, last; // frames from 1, inclusive, first <= last
} sac_range;

// Reads all ranges of the file `path` (at most 16 MiB) or of `size` bytes that `name` stands for in
// messages, in file order. `*clips` receives the number of entries, among which "[]" counts.
// Comments (%) and empty lines are skipped; ranges may overlap.
//   SAC_ERROR_IO      the file cannot be opened or read
//   SAC_ERROR_FORMAT  any other statement, a range that runs backwards, frame 0 or a frame above
//                     100000000, or no entry at all. error->position: the line
//   SAC_ERROR_MEMORY
// The caller frees *ranges, which is NULL after an error, with sac_free.
SAC_NODISCARD sac_status sac_ranges_read(sac_range **ranges, int64_t *count, int64_t *clips,
                                         const char *path, sac_error *error);
SAC_NODISCARD sac_status sac_ranges_parse(sac_range **ranges, int64_t *count, int64_t *clips,
                                          const void *bytes, size_t size, const char *name,
                                          sac_error *error);

#endif
