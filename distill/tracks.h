// Tracks: the boxes of one object linked over consecutive frames, as material for pseudo-anomalies.
#ifndef SAC_DISTILL_TRACKS_H
#define SAC_DISTILL_TRACKS_H

#include <stdint.h>

#include "saccade/status.h"
#include "teachers/detections.h"

typedef struct sac_track {
    int64_t first, frames; // boxes for frames first .. first + frames - 1
    float *boxes;          // [frames][4] x1 y1 x2 y2, smoothed over time; owned
} sac_track;

typedef struct sac_tracks {
    sac_track *items;
    int64_t count;
} sac_tracks;

// Greedy linking: from frame to frame the pair of highest intersection over union (at least 0.3) is joined, each box at most once; a box missing in up to two
// frames is interpolated. Tracks shorter than `min_frames` are dropped. Centres and sizes are smoothed with a 5-frame mean, so that a crop does not jitter.
// SAC_ERROR_MEMORY.
SAC_NODISCARD sac_status sac_tracks_link(sac_tracks *tracks, const sac_detections *detections,
                                         int64_t min_frames);
void sac_tracks_close(sac_tracks *tracks);

#endif
