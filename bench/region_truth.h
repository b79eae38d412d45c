// Ground-truth regions of the clips under evaluation, from track files or the data set's pixel
// masks.
#ifndef SAC_BENCH_REGION_TRUTH_H
#define SAC_BENCH_REGION_TRUTH_H

#include <stdint.h>

#include "bench/scores.h"
#include "eval/truth.h"
#include "saccade/status.h"
#include "teachers/clip_truth.h"

typedef struct sac_region_truth {
    sac_truth *clips; // [count] in the order of the selection, owned; NULL: not available
    int64_t count, regions, tracks;
    const char *origin; // "track files" or "pixel masks"
} sac_region_truth;
void sac_region_truth_close(sac_region_truth *truth); // NULL-safe, leaves an empty one

//   source  track files or masks (teachers/clip_truth.h)
// A clip that neither a file nor masks describe is fine when its labels say that it is normal
// throughout. Otherwise: with track files an error; with masks the truth is not available (clips
// NULL) and, when other clips have masks, `logger` (may be NULL) is told which clip lacks them.
// SAC_ERROR_IO: no such folder, or an abnormal clip without file; errors of sac_truth_read,
// sac_truth_from_masks and sac_clip_load_masks; SAC_ERROR_MEMORY.
SAC_NODISCARD sac_status sac_region_truth_open(sac_region_truth *truth,
                                               const sac_truth_source *source,
                                               const sac_clip_selection *selection,
                                               const sac_logger *logger, sac_error *error);

// Whole evaluation of one set. NaN areas when there is no ground truth. Errors of
// sac_region_meter_add with the set's name in front.
SAC_NODISCARD sac_status sac_region_truth_measure(sac_region_result *result,
                                                  const sac_region_truth *truth,
                                                  const sac_score_set *set,
                                                  const sac_clip_selection *selection,
                                                  sac_error *error);

#endif
