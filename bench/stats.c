// Order statistics of timings.
#include "bench/stats.h"

#include <math.h>
#include <stdlib.h>

static int compare(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

void sac_stats_sort(double *values, int64_t n) {
    if (n > 1) qsort(values, (size_t)n, sizeof *values, compare);
}

double sac_stats_quantile(const double *sorted, int64_t n, double q) {
    if (n < 1) return NAN;
    const double position = fmin(fmax(q, 0.0), 1.0) * (double)(n - 1);
    const int64_t below = (int64_t)position;
    if (below + 1 >= n) return sorted[n - 1];
    const double part = position - (double)below;
    return sorted[below] + part * (sorted[below + 1] - sorted[below]);
}
