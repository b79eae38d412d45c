// What the data sets need of the video source beyond its public face.
#ifndef SAC_VIDEO_SOURCE_H
#define SAC_VIDEO_SOURCE_H

#include "saccade/video.h"

// Decodes all of `source` without scaling or copying its frames: how many there are (decoded) and
// how many of them are damaged; nothing is delivered. The statuses of sac_video_open and
// sac_video_read.
SAC_NODISCARD sac_status sac_video_count_frames(sac_video_counts *counts, const char *source,
                                                sac_error *error);

#endif
