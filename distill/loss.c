// The distillation loss; see distill/loss.h.
#include "distill/loss.h"

#include <stddef.h>

#include "student/heads.h"

double sac_distill_loss(double parts[3], float *const grad[3], const float *const student[3],
                        const float *const target[3], int64_t n, double emphasis, double weight,
                        const double scales[3]) {
    double total = 0;
    for (int k = 0; k < SAC_HEADS; k++) {
        if (student[k] == NULL) continue;
        const int64_t count = n * sac_heads[k].cells;
        const double scale = scales != NULL ? scales[k] : 1;
        double sum = 0;
        for (int64_t i = 0; i < count; i++) {
            const double t = (double)target[k][i], error = (double)student[k][i] - t,
                         w = 1 + emphasis * t;
            sum += w * error * error;
            if (grad != NULL && grad[k] != NULL)
                grad[k][i] += (float)(scale * weight * 2 * w * error / (double)count);
        }
        total += scale * (sum / (double)count);
        if (parts != NULL) parts[k] += weight * (sum / (double)count);
    }
    return total;
}
