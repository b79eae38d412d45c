// What a teacher's report shows of many thousand objects: the strongest and weakest ones, each
// object once. Chooses only; knows nothing of pages and pictures.
#ifndef SAC_TEACHERS_PICKS_H
#define SAC_TEACHERS_PICKS_H

#include <stdbool.h>
#include <stdint.h>

#include "eval/truth.h"
#include "saccade/status.h"
#include "teachers/objects.h"
#include "video/dataset.h"

// A test clip with everything that is known of it.
typedef struct sac_review_clip {
    const sac_clip *clip;
    sac_objects objects;
    float *frame_scores; // [frames]
    sac_truth truth;
    bool truth_known; // the regions of everything abnormal are in `truth`
    int64_t *best;    // [truth.count] object with the highest score and IoU >= 0.1; -1: none
    bool *normal;     // [objects] see sac_review_match
} sac_review_clip;
void sac_review_clip_close(sac_review_clip *clip); // frees all but `clip`

// Fills `best` and `normal`. An object is normal when it has IoU < 0.1 with every ground-truth
// region of its frame and lies in none of them by more than half (a wheel of an abnormal bicycle is
// no false alarm to look at, though RBDC counts it as one); where regions are not known, when its
// frame is labelled normal. Objects of clips with neither are never normal. SAC_ERROR_MEMORY.
SAC_NODISCARD sac_status sac_review_match(sac_review_clip *clip);

// An object (or a ground-truth region without one) chosen to be shown.
typedef struct sac_pick {
    int64_t clip;   // index of the sac_review_clip
    int64_t frame;  // from 0
    int64_t object; // index, -1: none
    int64_t region; // of the truth, -1: none
    float value;    // by which it was chosen
} sac_pick;

// Up to `most` objects in order of their value: task -1 the score, else that task's score; highest
// first, or lowest first. `normal_only`: only normal ones. No object twice: a pick within
// SAC_PICK_FRAMES of a stronger one of the same clip is passed over when the boxes, each enlarged
// to three times its size and by a tenth of its larger side per frame between them, overlap.
//   picks  [most]
// Returns the number of picks; -1 when memory is short. O(n log n + n * most).
enum { SAC_PICK_FRAMES = 30 };
int sac_pick_objects(sac_pick *picks, int most, const sac_review_clip *clips, int64_t count,
                     int task, bool highest, bool normal_only);
// Up to `most` ground-truth regions: `with_object`: those that have an object, in order of the best
// one's score, lowest first; else those without any (value -1) in order of clip and frame. Of one
// track only regions SAC_PICK_FRAMES apart. Returns as above.
int sac_pick_missed(sac_pick *picks, int most, const sac_review_clip *clips, int64_t count,
                    bool with_object);
// Up to `most` frames that are labelled abnormal in order of their score, lowest first, of one clip
// SAC_PICK_FRAMES apart; object and region are -1. For data without regions. Returns as above.
int sac_pick_missed_frames(sac_pick *picks, int most, const sac_review_clip *clips, int64_t count);

// The lowest threshold at which at most `rate` normal objects per frame of the clips reach it: just
// above the first score too many; 0 when there are never so many. NaN when memory is short.
double sac_review_threshold(const sac_review_clip *clips, int64_t count, double rate);

#endif
