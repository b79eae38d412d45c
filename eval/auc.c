// Area under the ROC curve of frame scores, exact for ties.
// Knows neither clips nor smoothing; those are frame_eval.c and smooth.c.
#include <math.h>
#include <stdlib.h>

#include "core/check.h"
#include "core/memory.h"
#include "saccade/metrics.h"

typedef struct scored {
    float score;
    uint8_t label;
} scored;

static int compare_scores(const void *a, const void *b) {
    const float x = ((const scored *)a)->score, y = ((const scored *)b)->score;
    return (x > y) - (x < y);
}

sac_status sac_auc(double *auc, const float *scores, const uint8_t *labels, int64_t n,
                   sac_error *error) {
    if (auc == NULL || n < 0 || n > UINT32_MAX || (n > 0 && (scores == NULL || labels == NULL)))
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "AUC needs scores, labels and 0 to 2^32-1 frames, got %lld frames",
                             (long long)n);
    *auc = NAN;
    uint64_t abnormal = 0;
    for (int64_t i = 0; i < n; i++) {
        if (!isfinite(scores[i]))
            return sac_error_set(error, SAC_ERROR_NUMERIC, i, "score of frame %lld is not finite",
                                 (long long)i);
        if (labels[i] > 1)
            return sac_error_set(error, SAC_ERROR_ARGUMENT, i,
                                 "label of frame %lld is %u, expected 0 or 1", (long long)i,
                                 (unsigned)labels[i]);
        abnormal += labels[i];
    }
    const uint64_t normal = (uint64_t)n - abnormal;
    if (abnormal == 0 || normal == 0) return SAC_OK;

    scored *sorted = sac_calloc(n, sizeof *sorted);
    if (sorted == NULL)
        return sac_error_set(error, SAC_ERROR_MEMORY, -1, "no memory to sort %lld scores",
                             (long long)n);
    for (int64_t i = 0; i < n; i++) sorted[i] = (scored){scores[i], labels[i]};
    qsort(sorted, (size_t)n, sizeof *sorted, compare_scores);

    // Twice U in integers: a pair won counts 2, a tie counts 1. At most 2 * (n/2)^2 <= 2^63.
    uint64_t twice_u = 0, normal_below = 0;
    for (int64_t first = 0; first < n;) {
        uint64_t group_normal = 0, group_abnormal = 0;
        int64_t next = first;
        for (; next < n && sorted[next].score == sorted[first].score; next++) {
            group_abnormal += sorted[next].label;
            group_normal += (uint64_t)(1 - sorted[next].label);
        }
        twice_u += group_abnormal * (2 * normal_below + group_normal);
        normal_below += group_normal;
        first = next;
    }
    sac_free(sorted);
    *auc = (double)twice_u / (2.0 * (double)abnormal * (double)normal);
    return SAC_OK;
}
