// Order statistics of small samples, for repeated timings.
// No confidence intervals: the rounds themselves are reported beside the median.
#ifndef SAC_BENCH_STATS_H
#define SAC_BENCH_STATS_H

#include <stdint.h>

// Sorts values f64 [n] in ascending order.
void sac_stats_sort(double *values, int64_t n);
// Quantile q in [0,1] of SORTED values f64 [n] by linear interpolation between neighbours at
// position q * (n - 1) (Hyndman and Fan, "Sample quantiles in statistical packages", 1996, type 7);
// q 0.5 is the usual median. NaN when n < 1.
double sac_stats_quantile(const double *sorted, int64_t n, double q);

#endif
