// Data sets as distributed, found by their structure; frames, labels and masks of their clips.
//
// UCSD (Ped1, Ped2; any mix of upper and lower case):
//   Train/TrainNNN/, Test/TestNNN/  pictures
//   Test/TestNNN_gt/                pixel masks, may be missing
//   Test/*.m or *.m                 frame ranges, one entry per test clip in order
//
// Avenue ("Avenue Dataset", Lu et al., ICCV 2013):
//   training_videos/01.avi, testing_videos/01.avi
//   testing_label_mask/N_label.mat  variable volLabel, a 1xT cell array of pixel masks, N not
//                                   zero-padded; here, in ground_truth_demo/, or in a
//                                   ground_truth_demo/ beside this folder. Labels come from them
//
// ShanghaiTech Campus (Luo et al., ICCV 2017):
//   training/videos/01_001.avi, testing/frames/01_0014/000.jpg (or the other of the two folders)
//   testing/test_frame_mask/01_0014.npy  labels, 0 or 1, [T]
//   testing/test_pixel_mask/01_0014.npy  pixel masks [T][height][width]
//
// UBnormal (Acsintoae et al., CVPR 2022):
//   SceneS/normal_scene_S_scenario_K*.mp4, SceneS/abnormal_scene_S_scenario_K*.mp4
//   SceneS/<video>_annotations/<video>_tracks.txt (or _new_tracks.txt)  core/spans.h
//   SceneS/<video>_annotations/<video>_%04d_gt.png  objects by gray value, frames from 0
//   {normal,abnormal}_{training,validation,test}_video_names.txt, here or in scripts/ or Split/:
//     the published halves; training takes the normal videos of its half. Without these lists
//     normal videos are for training and abnormal ones for test
//
// Mirrors (of Ped2, Avenue and others):
//   training/frames/CLIP/000.jpg, testing/frames/CLIP/000.jpg
//   SET.mat                         variable gt, a cell array with a 2xK matrix for each test clip:
//                                   first frames above last frames, from 1, inclusive; empty for a
//                                   normal clip
//
// Generic:
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
// The data set may lie one folder below the one that is named. Either half may be missing, and so
// may any of the clips: where a file has entries for more test clips than there are, the numbers in
// the clips' names tell theirs. Hidden files (.DS_Store, ._*) are passed over. Pictures of masks
// are .bmp, .png, .tif or .pgm; a pixel above 0 is set. Python pickles are refused.
#ifndef SAC_VIDEO_DATASET_H
#define SAC_VIDEO_DATASET_H

#include <stdbool.h>
#include <stdint.h>

#include "saccade/status.h"

typedef struct sac_clip {
    char *name;   // "Train001"; in a generic set whose halves share names "train_01" and "test_01"
    char *source; // path for sac_video_open: picture folder or video file
    char *mask_path; // pixel masks: a folder, .mat or .npy (video/masks.h), or NULL
    char *objects;   // UBnormal: file that tells which objects of the masks are abnormal, or NULL
    int64_t frames;  // exact number of frames; counted for pictures, decoded-count for video files
    uint8_t *labels; // [frames] 0 normal, 1 abnormal; NULL for training clips or unlabelled tests
    bool test;
} sac_clip;

typedef struct sac_dataset {
    char *path, *name, *layout; // name: last path component; layout: "ucsd", "avenue" ...
    sac_clip *clips;            // training clips first, each group in natural order
    int64_t count, train_count;
    int width, height; // of the first clip's first frame
    // SHA-256 over layout, clip names, frame counts and file sizes, hex: tells which data this is,
    // wherever it lies
    char fingerprint[65];
} sac_dataset;

// Opens DIR, "auto:DIR", or with the layout forced "ucsd:DIR", "avenue:DIR", "shanghaitech:DIR",
// "ubnormal:DIR", "mirror:DIR", "generic:DIR". A test clip's labels come from the range or label
// file; where there is none, from the masks (any pixel set). Where both exist and disagree the file
// wins and a warning is logged; masks in .mat and .npy files and UBnormal's are not read for that,
// only counted. No more than one mask is in memory at a time. A clip with damaged frames (see
// sac_video_read) is warned about, so that whoever opens a data set need not say it again.
//   logger  NULL: silent
// SAC_ERROR_IO: missing or unreadable; SAC_ERROR_FORMAT: labels or masks that do not match the
// frames (names the clip and both counts), a test clip without labels or masks where others have
// them, range entries that do not match the test clips, damaged files, pickles, clips of two
// layouts in one folder, several data sets below it, or an unknown structure (lists what was looked
// for); SAC_ERROR_MEMORY.
SAC_NODISCARD sac_status sac_dataset_open(sac_dataset **dataset, const char *path,
                                          const sac_logger *logger, sac_error *error);
const sac_clip *sac_dataset_find(const sac_dataset *dataset, const char *name); // NULL when absent
void sac_dataset_close(sac_dataset **dataset);

// All frames of a clip: u8 [frames][height][width][channels], a block of core/spill.h, which long
// clips do not keep in memory (sac_spill_free it). *width, *height 0: the source's, which they then
// receive. SAC_ERROR_FORMAT when the clip decodes to another number of frames than `clip->frames`,
// and whatever sac_spill_alloc, sac_video_open and sac_video_read return.
SAC_NODISCARD sac_status sac_clip_load(uint8_t **pixels, int *width, int *height, int channels,
                                       const sac_clip *clip, sac_error *error);
// The same where the caller holds more clips at once, of so many bytes.
SAC_NODISCARD sac_status sac_clip_load_beside(uint8_t **pixels, int *width, int *height,
                                              int channels, const sac_clip *clip,
                                              int64_t beside_bytes, sac_error *error);
// Masks of a clip: u8 [frames][height][width], 0 or 1 (sac_free it). *width, *height 0: the first
// mask's. A mask of another size is scaled; a pixel is set then when at least half of its area is.
// SAC_ERROR_ARGUMENT: the clip has no masks.
SAC_NODISCARD sac_status sac_clip_load_masks(uint8_t **masks, int *width, int *height,
                                             const sac_clip *clip, sac_error *error);

#endif
