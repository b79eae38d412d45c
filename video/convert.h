// One decoded FFmpeg picture to packed u8 gray or RGB of a fixed size, whatever size and pixel
// format it has.
#ifndef SAC_VIDEO_CONVERT_H
#define SAC_VIDEO_CONVERT_H

#include <libavutil/frame.h>

#include "saccade/luma.h"
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
// Scaling is sac_scaler's; gray of limited range is scaled and stretched in one pass.
// A new source size or format re-plans (allocates); the same one again does not.
// SAC_ERROR_UNSUPPORTED: hardware surface, or a format FFmpeg cannot convert; SAC_ERROR_FORMAT:
// size outside 1..16384; SAC_ERROR_MEMORY. Messages start with `name`.
SAC_NODISCARD sac_status sac_converter_run(sac_converter *converter, uint8_t *dst,
                                           const AVFrame *frame, const char *name,
                                           sac_error *error);

// Memory for the luma of pictures that have none lying ready; zero-initialise, sac_luma_store_free.
typedef struct sac_luma_store {
    uint8_t *bytes;
    int64_t size;
} sac_luma_store;
void sac_luma_store_free(sac_luma_store *store);

// The luma of a decoded picture. 8-bit luma samples lying side by side (gray8, nv12, yuv420p and
// relatives) are borrowed from `frame`; everything else is converted into `store`, which grows to
// the largest picture: deeper samples rounded to 8 bits, RGB and palettes to BT.601 luma of full
// range (video/bt601.h). The converter's own size does not matter. Errors as
// sac_converter_run.
SAC_NODISCARD sac_status sac_converter_luma(sac_converter *converter, sac_luma *luma,
                                            sac_luma_store *store, const AVFrame *frame,
                                            const char *name, sac_error *error);
// That luma as the gray picture that sac_converter_run makes. SAC_ERROR_MEMORY.
SAC_NODISCARD sac_status sac_converter_gray(sac_converter *converter, uint8_t *dst,
                                            const sac_luma *luma);
void sac_converter_close(sac_converter **converter);

#endif
