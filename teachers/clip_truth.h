// Ground-truth regions of one clip of a data set, from its track file or its pixel masks.
#ifndef SAC_TEACHERS_CLIP_TRUTH_H
#define SAC_TEACHERS_CLIP_TRUTH_H

#include <stdbool.h>
#include <stdint.h>

#include "eval/truth.h"
#include "saccade/status.h"
#include "video/dataset.h"

typedef struct sac_truth_source {
    // Folder with a file per clip (eval/truth.h): <clip>.txt, or named as the clip's file or
    // folder, zero-padded or not. NULL: masks.
    const char *tracks;
    int first_frame; // of track files, 0 or 1
    sac_mask_options masks;
} sac_truth_source;
sac_truth_source sac_truth_default_source(void); // masks with their defaults

// Width and height of a clip's frames in px, from its first one. Errors of sac_video_open.
SAC_NODISCARD sac_status sac_clip_size(int *width, int *height, const sac_clip *clip,
                                       sac_error *error);

// Whether the labels say that every frame is normal.
bool sac_clip_is_normal(const sac_clip *clip);

//   truth  filled; release with sac_truth_close. Boxes in px of the clip's frames
// Masks are read one at a time.
//   known  whether the clip's regions are known: it has masks or a track file, or is normal
//          throughout by its labels (then *truth has none). false leaves *truth empty and is no
//          error
// SAC_ERROR_IO: an abnormal clip without track file in `tracks`; errors of sac_truth_read,
// sac_truth_from_masks, sac_clip_load_masks; SAC_ERROR_MEMORY.
SAC_NODISCARD sac_status sac_clip_truth(sac_truth *truth, bool *known, const sac_clip *clip,
                                        const sac_truth_source *source, sac_error *error);

#endif
