// The background-agnostic teacher as a family: training run, teacher file, scores. The learning
// itself is in agnostic_train.h.
#ifndef SAC_TEACHERS_AGNOSTIC_FAMILY_H
#define SAC_TEACHERS_AGNOSTIC_FAMILY_H

#include "teachers/family.h"

// Its options are a sac_agnostic_options (agnostic_train.h). Writes metrics.csv with one row per
// epoch.
extern const sac_family sac_agnostic_family;

#endif
