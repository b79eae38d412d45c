// SSMTL as a teacher family: training run, teacher file, scores. The learning itself is in
// ssmtl_train.h.
#ifndef SAC_TEACHERS_SSMTL_FAMILY_H
#define SAC_TEACHERS_SSMTL_FAMILY_H

#include "teachers/family.h"

// Its options are a sac_ssmtl_options (ssmtl_train.h). Writes metrics.csv with one row per epoch.
extern const sac_family sac_ssmtl_family;

#endif
