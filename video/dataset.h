// Data sets as distributed, found by their structure; frames, labels and masks of their clips.
//
// UCSD (Ped1, Ped2; any mix of upper and lower case):
//   Train/TrainNNN/, Test/TestNNN/  pictures
//   Test/TestNNN_gt/                pixel masks, may be missing
//   Test/*.m or *.m                 frame ranges, one entry per test clip in order
//
// Generic (also Avenue's and ShanghaiTech's folders):
//   train/ or training/ or train_videos/ or training_videos/, and the same with test
//     in it, or in its videos/ or frames/ folder: clips, which are videos or folders of pictures
//   labels of test clip NAME, the first that exists of
//     - NAME.txt (one 0 or 1 per line) or NAME.npy beside the clip, in its test folder's labels/ or
//       test_frame_mask/, or in the root's labels/
//     - labels.csv in the root or the test folder, header `video,start,end`: frames start..end of
//       `video` are abnormal, counted from 1, both included as in UCSD; test clips without a row
//       are normal
//   masks: folder NAME_gt beside the clip, or masks/NAME in the test folder or the root
//
// Either half may be missing. Masks are .bmp, .png, .tif or .pgm pictures; a pixel above 0 is set.
#ifndef SAC_VIDEO_DATASET_H
#define SAC_VIDEO_DATASET_H

#include <stdbool.h>
#include <stdint.h>

#include "saccade/status.h"

typedef struct sac_clip {
    char *name;   // "Train001"; in a generic set whose halves share names "train_01" and "test_01"
    char *source; // path for sac_video_open: picture folder or video file
    char *mask_folder; // pixel masks or NULL
    int64_t frames;  // exact number of frames; counted for pictures, decoded-count for video files
    uint8_t *labels; // [frames] 0 normal, 1 abnormal; NULL for training clips or unlabelled tests
    bool test;
} sac_clip;

typedef struct sac_dataset {
    char *path, *name, *layout; // name: last path component; layout: "ucsd" or "generic"
    sac_clip *clips;            // training clips first, each group in natural order
    int64_t count, train_count;
    int width, height; // of the first clip's first frame
    // SHA-256 over layout, clip names, frame counts and file sizes, hex: tells which data this is,
    // wherever it lies
    char fingerprint[65];
} sac_dataset;

// Opens DIR, "auto:DIR" or "ucsd:DIR" / "generic:DIR" (force a layout). A test clip's labels come
// from the range or label file; where there is none, from the masks (any pixel set). Where both
// exist and disagree the file wins and a warning is logged. SAC_ERROR_IO: missing or unreadable;
// SAC_ERROR_FORMAT: labels or masks that do not match the frames (names the clip and both counts),
// range entries that do not match the test clips, damaged files, or an unknown structure (lists
// what was looked for); SAC_ERROR_MEMORY.
SAC_NODISCARD sac_status sac_dataset_open(sac_dataset **dataset, const char *path,
                                          const sac_logger *logger, sac_error *error);
const sac_clip *sac_dataset_find(const sac_dataset *dataset, const char *name); // NULL when absent
void sac_dataset_close(sac_dataset **dataset);

// All frames of a clip in memory: u8 [frames][height][width][channels] (sac_free it). *width,
// *height 0: the source's, which they then receive. SAC_ERROR_FORMAT when the clip decodes to
// another number of frames than `clip->frames`, and whatever sac_video_open and sac_video_read
// return.
SAC_NODISCARD sac_status sac_clip_load(uint8_t **pixels, int *width, int *height, int channels,
                                       const sac_clip *clip, sac_error *error);
// Masks of a clip: u8 [frames][height][width], 0 or 1 (sac_free it). *width, *height 0: the first
// mask's. A mask of another size is scaled; a pixel is set then when at least half of its area is.
// SAC_ERROR_ARGUMENT: the clip has no masks.
SAC_NODISCARD sac_status sac_clip_load_masks(uint8_t **masks, int *width, int *height,
                                             const sac_clip *clip, sac_error *error);

#endif
