// Attribute teacher: each object's velocity, direction, size, rest and appearance against those of
// the training objects, by distance to the nearest of them. Learns nothing by gradients; a minute
// for a data set.
// Source: Reiss and Hoshen, Attribute-based Representations for Accurate and Interpretable Video
// Anomaly Detection, 2022 (AI-VAD): velocity, pose and deep features, each scored by density.
// Deviations: position is an attribute too (as in Ramachandra and Jones, Street Scene, WACV 2020);
// no pose network; deep features (teachers/deep.h) only with a network of the user's;
// every task's distance becomes a tail probability before they are added (calibration.h), among
// training objects compared with the other training clips, instead of being divided by the range.
#ifndef SAC_TEACHERS_ATTRIBUTES_FAMILY_H
#define SAC_TEACHERS_ATTRIBUTES_FAMILY_H

#include <stdint.h>

#include "teachers/deep.h"
#include "teachers/family.h"

typedef struct sac_attributes_options {
    const char *attributes; // comma-separated groups (sac_attribute_name) and "deep"
    int64_t bank;           // training objects kept per group, 16 to SAC_DENSITY_MAX_ROWS
    int64_t neighbours;     // 1 to SAC_DENSITY_MAX_NEIGHBOURS
    // frames the flow reaches over, 1 to 3; 0: chosen from the training clips
    int64_t step;
    int combination; // sac_combination
    uint64_t seed;
    // An image network whose features are one more group, "deep", added at the end of `attributes`
    // where it is not named there; sac_deep_options. network NULL: none
    sac_deep_options deep;
    sac_backend backend; // for that network
} sac_attributes_options;
#define SAC_ATTRIBUTES_ALL "velocity,orientation,place,size,rest,appearance,course,stay"
// What moves how fast, whereto and where. Blobs of moving pixels fall apart and merge, so that
// their size and looks say more about the detector than about the object; on synthetic scenes that
// served for this choice alone (seeds 77 and 78, motion detector) those groups take up to 6 points
// of frame AUC away. With boxes of a network add size and appearance.
#define SAC_ATTRIBUTES_DEFAULT "velocity,orientation,place"

// Teacher file: metadata as every teacher's, and "attributes" (JSON: tasks in order, neighbours,
// scene, "deep" as sac_deep_describe); tensors "<task>.bank" (density.h). The network of deep
// features is not in it: it is read again, and must be the same, wherever the teacher scores.
extern const sac_family sac_attributes_family;

#endif
