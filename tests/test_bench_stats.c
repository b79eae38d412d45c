// Quantiles against values worked out by hand (and NumPy's default definition, which is the same).
#include <criterion/criterion.h>
#include <math.h>

#include "bench/stats.h"

Test(bench_stats, quantiles_of_known_samples) {
    double odd[] = {5.0, 1.0, 4.0, 2.0, 3.0};
    sac_stats_sort(odd, 5);
    cr_assert_eq(odd[0], 1.0);
    cr_assert_eq(odd[4], 5.0);
    cr_assert_eq(sac_stats_quantile(odd, 5, 0.5), 3.0);
    cr_assert_eq(sac_stats_quantile(odd, 5, 0.0), 1.0);
    cr_assert_eq(sac_stats_quantile(odd, 5, 1.0), 5.0);
    cr_assert_float_eq(sac_stats_quantile(odd, 5, 0.9), 4.6, 1e-12);
    double even[] = {10.0, 40.0, 30.0, 20.0};
    sac_stats_sort(even, 4);
    cr_assert_eq(sac_stats_quantile(even, 4, 0.5), 25.0);
    cr_assert_float_eq(sac_stats_quantile(even, 4, 0.1), 13.0, 1e-12);
}

Test(bench_stats, edges) {
    double one[] = {7.0};
    sac_stats_sort(one, 1);
    sac_stats_sort(NULL, 0);
    cr_assert_eq(sac_stats_quantile(one, 1, 0.99), 7.0);
    cr_assert_eq(sac_stats_quantile(one, 1, -3.0), 7.0);
    cr_assert_eq(sac_stats_quantile(one, 1, 3.0), 7.0);
    cr_assert(isnan(sac_stats_quantile(NULL, 0, 0.5)));
}
