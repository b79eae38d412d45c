// What the data sets need of the video source beyond its public face.
#ifndef SAC_VIDEO_SOURCE_H
#define SAC_VIDEO_SOURCE_H

#include <stdint.h>

#include "saccade/status.h"

// Decodes all of `source` and counts its frames, without scaling or copying them. width, height
// (may be NULL) of the first frame. The statuses of sac_video_open and sac_video_read.
SAC_NODISCARD sac_status sac_video_count_frames(const char *source, int64_t *frames, int *width,
                                                int *height, sac_error *error);

#endif
