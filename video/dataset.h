// Data sets as distributed, found by their structure: UCSD (Train/TrainNNN, Test/TestNNN, TestNNN_gt, *.m) and a generic layout
// (train/, test/ with videos or frame folders; labels as <clip>.txt / <clip>.npy per frame or one labels.csv `video,start,end`).
#ifndef SAC_VIDEO_DATASET_H
#define SAC_VIDEO_DATASET_H

#include <stdbool.h>
#include <stdint.h>

#include "saccade/status.h"

typedef struct sac_clip {
    char *name;         // "Train001"
    char *source;       // path for sac_video_open: picture folder or video file
    char *mask_folder;  // pixel masks or NULL
    int64_t frames;     // exact number of frames; counted for pictures, decoded-count for video files
    uint8_t *labels;    // [frames] 0 normal, 1 abnormal; NULL for training clips or unlabelled tests
    bool test;
} sac_clip;

typedef struct sac_dataset {
    char *path, *name, *layout; // name: last path component; layout: "ucsd" or "generic"
    sac_clip *clips;            // training clips first, each group in natural order
    int64_t count, train_count;
    int width, height;          // of the first clip's first frame
    char fingerprint[65];       // hex digest over layout, clip names, frame counts and file sizes: which data this is
} sac_dataset;

// Opens DIR, "auto:DIR" or "ucsd:DIR" / "generic:DIR" (force a layout). Errors name the clip and both counts when labels or masks do not match the frames;
// an unknown structure lists what was looked for. A test clip in UCSD layout takes its labels from the *.m entry of its position, and, where there is no .m, from
// the masks (any pixel set). Where both exist and disagree the .m wins and a warning is logged.
SAC_NODISCARD sac_status sac_dataset_open(sac_dataset **dataset, const char *path, const sac_logger *logger, sac_error *error);
const sac_clip *sac_dataset_find(const sac_dataset *dataset, const char *name); // NULL when absent
void sac_dataset_close(sac_dataset **dataset);

// All frames of a clip in memory: u8 [frames][height][width][channels] (sac_free it). width/height 0: the source's.
// SAC_ERROR_FORMAT when the clip decodes to another number of frames than `clip->frames`.
SAC_NODISCARD sac_status sac_clip_load(uint8_t **pixels, int *width, int *height, int channels, const sac_clip *clip, sac_error *error);
// Masks of a clip: u8 [frames][height][width], 0 or 1.
SAC_NODISCARD sac_status sac_clip_load_masks(uint8_t **masks, int *width, int *height, const sac_clip *clip, sac_error *error);

#endif
