// Overlay video of one clip as a teacher sees it: the map, boxes coloured by score, a bar for each
// task beside every box, the score curve with ground-truth bands below.
#ifndef SAC_TEACHERS_CLIP_OVERLAY_H
#define SAC_TEACHERS_CLIP_OVERLAY_H

#include <stdbool.h>
#include <stdint.h>

#include "saccade/status.h"
#include "teachers/calibration.h"
#include "teachers/maps.h"
#include "video/dataset.h"

typedef struct sac_clip_overlay {
    const sac_clip *clip;
    const uint8_t *pixels; // u8 gray [clip->frames][height][width]
    int width, height;
    const sac_detections *detections;
    const float *scores;          // [detections->count] in [0,1]
    const float *tasks;           // [count][calibration->tasks] in [0,1], or NULL: no bars
    const sac_calibration *names; // of the tasks; the first SAC_OVERLAY_BARS are shown
    const sac_maps *maps;
    double frame_rate;  // of the video
    bool (*stop)(void); // polled every frame; NULL: never
} sac_clip_overlay;

// Writes the video (atomically; the ending chooses the container). SAC_ERROR_INTERRUPTED: `stop`
// said so; else what sac_overlay_open and sac_overlay_frame return.
SAC_NODISCARD sac_status sac_clip_overlay_write(const char *path, const sac_clip_overlay *overlay,
                                                sac_error *error);

#endif
