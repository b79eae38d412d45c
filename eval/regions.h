// Region-level accuracy: RBDC and TBDC. Takes detected regions and ground-truth regions of all test
// clips and gives the areas under detection rate versus false positives per frame.
// Source: Ramachandra and Jones, "Street Scene: A new dataset and evaluation protocol for video
// anomaly detection", WACV 2020, section 4.
#ifndef SAC_EVAL_REGIONS_H
#define SAC_EVAL_REGIONS_H

#include <stdint.h>

#include <jansson.h>

#include "eval/truth.h"
#include "saccade/status.h"

// A region that a detector reports at every threshold th with until < th <= score. An object with a
// score is reported at all thresholds up to it: until = -INFINITY. A region cut out of a map is
// there until it grows or merges at a lower threshold (eval/map_regions.h).
typedef struct sac_detected_region {
    int64_t frame;        // from 0
    float x1, y1, x2, y2; // px, x1 < x2, y1 < y2
    float score;          // finite
    float until;          // below score; -INFINITY: never ends
} sac_detected_region;

// Detected regions of one clip in frame order.
typedef struct sac_detected {
    int64_t count;
    sac_detected_region *regions; // [count], owned
} sac_detected;
void sac_detected_close(sac_detected *detected); // NULL-safe, leaves an empty one

typedef struct sac_region_options {
    double min_iou;     // (0, 1]: intersection over union at which a region is found: 0.1
    double track_share; // (0, 1]: share of a track's regions that must be found: 0.1
    double max_fpr;     // false positives per frame at which the curves end, > 0: 1
} sac_region_options;
sac_region_options sac_region_default_options(void);

// One curve from (0, 0) to max_fpr: corners of straight pieces, in order of fpr; two corners of one
// fpr are a vertical step.
typedef struct sac_region_curve {
    int64_t count;
    double *fpr, *rate; // [count], owned by the result
} sac_region_curve;

typedef struct sac_region_result {
    double rbdc, tbdc;              // areas divided by max_fpr, in [0,1]; NaN without ground truth
    double region_rate, track_rate; // detection rates at max_fpr; NaN without ground truth
    int64_t clips, frames;          // all clips, normal ones too
    int64_t regions, tracks;        // of the ground truth
    int64_t detected;               // regions that were reported
    sac_region_curve region, track;
} sac_region_result;
void sac_region_result_close(sac_region_result *result); // NULL-safe, leaves an empty one

// Collects clips one by one; at a threshold th
//   found region    at least one region reported at th in its frame has IoU >= min_iou with it
//   found track     at least max(1, ceil(track_share * n)) of its n regions are found
//   false positive  a region reported at th whose IoU with every ground-truth region of its frame
//                   is below min_iou (all of them in a frame without ground truth)
//   RBDR = found regions / regions    TBDR = found tracks / tracks
//   FPR = false positives / frames
// over all clips together. The curve is the best rate that is reached with at most so many false
// positives,
//   R(f) = max { RBDR(th) : FPR(th) <= f },   linear between the points of the thresholds,
// from (0, 0) to f = max_fpr, and RBDC its area, TBDC likewise. For objects, whose number only
// grows when the threshold sinks, that is the plain curve; a map's regions may merge, so that
// fewer are reported at a lower threshold, and then the better threshold counts.
//
// Conventions
//   ties              all regions of one score enter together; the order of input has no influence
//   several regions on one ground-truth region    it is found once, none of them is a false
//                     positive; on background each counts. One region may find several
//   end of the curve  between the last threshold with FPR <= max_fpr and the next, interpolated
//                     linearly at exactly max_fpr; a curve that never gets there goes on flat
//   no false positive a vertical step at 0: one box that finds the only region gives area 1
//   no detection      areas 0
//   clips without ground truth   their frames count, and everything detected in them is false
//   no ground truth in any clip  NaN, a valid result
//   clips of 0 frames            count as clips and change nothing
// Counts are integers, so the areas are exact up to the last rounding. O(p + n log n) for n regions
// and p pairs of detected and ground-truth regions of the same frame.
typedef struct sac_region_meter sac_region_meter;

// SAC_ERROR_ARGUMENT: options out of range or NULL; SAC_ERROR_MEMORY.
SAC_NODISCARD sac_status sac_region_meter_create(sac_region_meter **meter,
                                                 const sac_region_options *options,
                                                 sac_error *error);
// Adds a clip of truth->frames frames. `name` is for messages; nothing is borrowed after the call.
// SAC_ERROR_ARGUMENT: regions out of frame order or outside the clip, a track outside 0..tracks-1,
// an empty box, `until` not below the score; SAC_ERROR_NUMERIC: a score or coordinate is not
// finite; both name the clip and the frame (error->position). SAC_ERROR_MEMORY. After an error the
// meter can only be closed.
SAC_NODISCARD sac_status sac_region_meter_add(sac_region_meter *meter, const char *name,
                                              const sac_truth *truth, const sac_detected *detected,
                                              sac_error *error);
// Result over all clips so far; release with sac_region_result_close. SAC_ERROR_MEMORY.
SAC_NODISCARD sac_status sac_region_meter_finish(sac_region_result *result,
                                                 const sac_region_meter *meter, sac_error *error);
void sac_region_meter_close(sac_region_meter **meter); // NULL-safe

// Intersection over union of two boxes x1 y1 x2 y2; 0 when they do not overlap.
double sac_region_iou(const float a[4], const float b[4]);

// {rbdc, tbdc, region_rate, track_rate, regions, tracks, detected, frames}, undefined ones null.
// New reference; NULL on lack of memory.
json_t *sac_region_to_json(const sac_region_result *result);

#endif
