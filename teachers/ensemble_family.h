// Ensemble: several trained teachers as one. An object's score is the weighted mean of what its
// members say, each relative to its own held-back training objects, calibrated once more.
#ifndef SAC_TEACHERS_ENSEMBLE_FAMILY_H
#define SAC_TEACHERS_ENSEMBLE_FAMILY_H

#include "teachers/family.h"

enum { SAC_ENSEMBLE_MEMBERS = 8 };

typedef struct sac_ensemble_options {
    // "NAME=MAPS[:WEIGHT],...": map stores of the same data set and the same boxes. NAME of 1 to 32
    // letters a-z, digits, '_' and '-'; WEIGHT from 0.001 to 1000, 1 if left out: equal weights
    // need no test labels
    const char *members;
    sac_backend backend;
} sac_ensemble_options;

//   u_m   = sac_calibration_combine of member m's task scores: 0 typical, 1 at its 99 % quantile
//   score = calibrated weighted mean of the u_m, by median and 99 % quantile over the held-back
//   objects
// The members are not scored again: their stores hold the task scores. Teacher file: metadata as
// every teacher's, "members" (JSON array of names), and of each member its whole file, tensors and
// metadata with the prefix "member.NAME.". A member cannot be an ensemble itself.
// train: SAC_ERROR_ARGUMENT: the text is malformed; SAC_ERROR_FORMAT: a store is of other data or
// other boxes; SAC_ERROR_UNSUPPORTED: a member is an ensemble.
extern const sac_family sac_ensemble_family;

#endif
