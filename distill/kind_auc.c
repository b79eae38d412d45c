// Frame AUC kind by kind; see distill/kind_auc.h.
#include "distill/kind_auc.h"

#include <math.h>

#include "core/check.h"
#include "core/memory.h"
#include "saccade/metrics.h"

sac_status sac_kind_auc(double aucs[SAC_PSEUDO_KIND_COUNT], const float *scores,
                        const uint16_t *kinds, int64_t count, sac_error *error) {
    sac_status status = SAC_OK;
    float *some = sac_calloc(count > 0 ? count : 1, sizeof *some);
    uint8_t *labels = sac_calloc(count > 0 ? count : 1, 1);
    SAC_TRY_ALLOC(some);
    SAC_TRY_ALLOC(labels);
    for (int k = 0; k < SAC_PSEUDO_KIND_COUNT; k++) {
        const bool control = k == SAC_PSEUDO_CONTROL;
        int64_t n = 0, positive = 0;
        aucs[k] = NAN;
        for (int64_t i = 0; i < count; i++) {
            const bool abnormal = sac_pseudo_abnormal(kinds[i]), here = kinds[i] >> k & 1;
            const bool wanted = control ? here && !abnormal : here;
            const bool counterpart = control ? kinds[i] == 0 : !abnormal;
            if (!wanted && !counterpart) continue;
            some[n] = scores[i];
            labels[n++] = wanted;
            positive += wanted;
        }
        if (positive > 0 && positive < n) SAC_TRY(sac_auc(&aucs[k], some, labels, n, error));
    }
fail:
    sac_free(some);
    sac_free(labels);
    return status;
}
