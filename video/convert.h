// One decoded FFmpeg picture to packed u8 gray or RGB of a fixed size, whatever size and pixel
// format it has.
#ifndef SAC_VIDEO_CONVERT_H
#define SAC_VIDEO_CONVERT_H

#include <libavutil/frame.h>

#include "saccade/status.h"

typedef struct sac_converter sac_converter;
// width, height 1..16384, channels 1 or 3 (checked by the caller).
SAC_NODISCARD sac_status sac_converter_create(sac_converter **converter, int width, int height,
                                              int channels);
// dst u8 [height][width][channels], range 0..255.
// Gray: the luma of the video itself, limited range (16..235) stretched to 0..255; of RGB sources
//   Y = 0.299 R + 0.587 G + 0.114 B (ITU-R BT.601-7, 2.5.1)
// rounded, so that equal R, G and B come back unchanged.
// RGB: with the matrix and range the video declares, BT.601 limited when it declares none.
// Scaling is sac_scaler's. Limited range is stretched after scaling: the factor commutes, the
// clipping of values outside 16..235 does not, which only matters for invalid video.
// A new source size or format re-plans (allocates); the same one again does not.
// SAC_ERROR_UNSUPPORTED: hardware surface, or a format FFmpeg cannot convert; SAC_ERROR_FORMAT:
// size outside 1..16384; SAC_ERROR_MEMORY. Messages start with `name`.
SAC_NODISCARD sac_status sac_converter_run(sac_converter *converter, uint8_t *dst,
                                           const AVFrame *frame, const char *name,
                                           sac_error *error);
void sac_converter_close(sac_converter **converter);

#endif
