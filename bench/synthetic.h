// The benchmark's own clip: the synthetic scene encoded as H.264, for speed measurements without
// any data.
#ifndef SAC_BENCH_SYNTHETIC_H
#define SAC_BENCH_SYNTHETIC_H

#include <stdint.h>

#include "saccade/status.h"

typedef struct sac_synthetic_clip {
    int width, height; // 32..4096 px
    int64_t frames;    // >= 2
    uint64_t seed;
} sac_synthetic_clip;

// Renders the scene (a cyclist passing among walkers) and encodes it into `path` (the ending
// chooses the container; H.264 when an encoder exists, else MPEG-4). Nothing is left behind on
// failure.
//   poll  may be NULL; called with frames done and total, nonzero stops
// SAC_ERROR_ARGUMENT: sizes out of range; SAC_ERROR_IO, SAC_ERROR_BACKEND, SAC_ERROR_INTERRUPTED,
// SAC_ERROR_MEMORY.
SAC_NODISCARD sac_status sac_synthetic_clip_write(const char *path, const sac_synthetic_clip *clip,
                                                  int (*poll)(void *user, int64_t done,
                                                              int64_t total),
                                                  void *user, sac_error *error);

#endif
