// Pixel masks of a clip, one frame at a time, from whatever the data set keeps them in. Which files
// they are was decided when the data set was opened.
#ifndef SAC_VIDEO_MASKS_H
#define SAC_VIDEO_MASKS_H

#include <stdint.h>

#include "core/spans.h"
#include "saccade/status.h"
#include "video/dataset.h"

// Reads, by what clip->mask_path is:
//   folder          pictures (.bmp .png .tif .pgm), one a frame in natural order; a pixel above 0
//                   is set
//   the same with   UBnormal's <video>_%04d_gt.png, frames from 0; a pixel is set when its gray
//   clip->objects   value is the id of an object that is abnormal in that frame. Pictures of frames
//                   that no span covers are not looked at and may be missing
//   .mat            Avenue's volLabel: a 1xT cell array of masks; a number other than 0 is set
//   .npy            ShanghaiTech's [T][height][width]; a number other than 0 is set
// Holds one mask in memory (and libmatio's table of cells).
typedef struct sac_masks sac_masks;

//   width, height  what masks are scaled to, px; a pixel is set then when at least half of its area
//                  is. 0, 0: the size of the first mask
// SAC_ERROR_ARGUMENT: the clip has no masks, a size outside 1..16384; SAC_ERROR_FORMAT: another
// number of masks than frames (names the clip and both), damaged, JPEG; SAC_ERROR_IO: a missing
// picture or file; SAC_ERROR_MEMORY. The clip must outlive the reader. One thread at a time.
SAC_NODISCARD sac_status sac_masks_open(sac_masks **masks, const sac_clip *clip, int width,
                                        int height, sac_error *error);
void sac_masks_size(const sac_masks *masks, int *width, int *height);
// Mask of frame `frame` (from 0, any order), u8 [height][width], 0 or 1. Errors as above;
// SAC_ERROR_ARGUMENT: no such frame.
SAC_NODISCARD sac_status sac_masks_read(sac_masks *masks, int64_t frame, uint8_t *mask,
                                        sac_error *error);

// When masks tell objects apart: the spans (borrowed) and their number; NULL otherwise.
const sac_span *sac_masks_spans(const sac_masks *masks, int64_t *count);
// Each pixel's object instead of 0 or 1, only of such masks opened with size 0, 0. A frame without
// abnormal objects is all 0.
SAC_NODISCARD sac_status sac_masks_read_objects(sac_masks *masks, int64_t frame, uint8_t *ids,
                                                sac_error *error);
void sac_masks_close(sac_masks **masks); // NULL-safe

#endif
