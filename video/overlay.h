// Overlay frames shared by `teach` and `student-run`: the frame, its anomaly map as heat, optional
// boxes with scores, and the score curve below. Draws and encodes; scores come from the caller.
#ifndef SAC_VIDEO_OVERLAY_H
#define SAC_VIDEO_OVERLAY_H

#include <stdbool.h>
#include <stdint.h>

#include "saccade/status.h"
#include "video/picture.h"

typedef struct sac_overlay_box {
    float x1, y1, x2, y2; // source pixels
    float score;          // 0..score_high colours the box (green .. red); NaN: gray, no number
} sac_overlay_box;

// Colour 0xRRGGBB of a score: green at 0 over yellow to red at `high`; gray for NaN.
uint32_t sac_overlay_colour(float score, float high);

typedef struct sac_overlay sac_overlay;
// Frames of width x height px (enlarged by an integer factor so that the picture is at least 480
// wide); scores are drawn against [0, score_high], and so are map values. labels NULL or u8
// [frames], copied: abnormal frames are shaded red under the curve. `frames` may be 0 (unknown):
// the curve then scrolls over the latest 300. path NULL: nothing is encoded, for callers who only
// want sac_overlay_canvas.
// SAC_ERROR_ARGUMENT: size outside 1..16384, score_high not above 0, frames below 0; else what
// sac_video_writer_open returns.
SAC_NODISCARD sac_status sac_overlay_open(sac_overlay **overlay, const char *path, int width,
                                          int height, double frame_rate, int64_t frames,
                                          const uint8_t *labels, float score_high,
                                          sac_error *error);
// Names up to SAC_OVERLAY_BARS quantities (a teacher's tasks) whose values stand as small bars
// beside the boxes, each in its own colour, with a legend above the curve. Once, before the first
// frame; names are copied. SAC_ERROR_ARGUMENT: count outside 1..SAC_OVERLAY_BARS; SAC_ERROR_MEMORY.
#define SAC_OVERLAY_BARS 8
SAC_NODISCARD sac_status sac_overlay_name_bars(sac_overlay *overlay, const char *const *names,
                                               int count);
// Values of the bars for the boxes of the next frame, f32 [box_count][count] in 0..score_high (NaN:
// no bar); borrowed until that frame is drawn. Without it a frame's boxes have no bars.
void sac_overlay_set_bars(sac_overlay *overlay, const float *values);
// One frame: pixels u8 [height][width][channels], map f32 [rows][cols] or NULL, boxes or NULL,
// score (NaN: not known, a gap in the curve), caption or NULL.
SAC_NODISCARD sac_status sac_overlay_frame(sac_overlay *overlay, const uint8_t *pixels,
                                           int channels, const float *map, int rows, int cols,
                                           const sac_overlay_box *boxes, int64_t box_count,
                                           float score, const char *caption, sac_error *error);
SAC_NODISCARD sac_status sac_overlay_commit(sac_overlay **overlay,
                                            sac_error *error); // closes in any case
void sac_overlay_close(sac_overlay **overlay);                 // abandons the file
// The picture of the last frame drawn (for reports), borrowed.
const sac_canvas *sac_overlay_canvas(const sac_overlay *overlay);

#endif
