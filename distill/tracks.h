// Tracks: the boxes of one object linked over consecutive frames, as material for pseudo-anomalies.
#ifndef SAC_DISTILL_TRACKS_H
#define SAC_DISTILL_TRACKS_H

#include <stdint.h>

#include "saccade/status.h"
#include "teachers/detections.h"

typedef struct sac_track {
    int64_t first, frames; // boxes for frames first .. first + frames - 1
    float *boxes;          // [frames][4] x1 y1 x2 y2 px, smoothed over time; owned
} sac_track;

typedef struct sac_tracks {
    sac_track *items;
    int64_t count;
} sac_tracks;

// Greedy linking: from frame to frame the pair of highest intersection over union (at least 0.3) is
// joined, each box at most once; a box missing in up to two frames is interpolated. Corners are
// smoothed with a mean over 5 frames (fewer at the ends), so that a crop does not jitter.
//   tracks      filled, in no particular but a repeatable order; release with sac_tracks_close
//   detections  of one clip
//   min_frames  shorter tracks are dropped
// SAC_ERROR_MEMORY (*tracks is then empty). Thread-safe.
SAC_NODISCARD sac_status sac_tracks_link(sac_tracks *tracks, const sac_detections *detections,
                                         int64_t min_frames);
void sac_tracks_close(sac_tracks *tracks);

#endif
