// How well scores tell each kind of pseudo-anomaly, for ablation without any label of a test clip.
#ifndef SAC_DISTILL_KIND_AUC_H
#define SAC_DISTILL_KIND_AUC_H

#include <stdint.h>

#include "distill/pseudo.h"
#include "saccade/status.h"

// aucs[k] = frame AUC of the frames where kind k is visible against those without any abnormal
// kind; frames with other abnormal kinds only are left out. CONTROL: frames where nothing but a
// control is visible against untouched ones: 0.5 when pasting alone is no anomaly.
//   aucs    NaN where a kind or its counterpart does not occur
//   scores  f32 [count], finite
//   kinds   [count] masks, see sac_pseudo
// SAC_ERROR_NUMERIC: a score is not finite; SAC_ERROR_MEMORY.
SAC_NODISCARD sac_status sac_kind_auc(double aucs[SAC_PSEUDO_KIND_COUNT], const float *scores,
                                      const uint16_t *kinds, int64_t count, sac_error *error);

#endif
