// The measured matmul rate: plausible, repeatable in form, strict about arguments. No speed is
// demanded.
#include <math.h>

#include <criterion/criterion.h>

#include "helper.h"
#include "nn/roofline.h"

Test(nn_roofline, gives_a_plausible_rate) {
    sac_error error = {0};
    double one = NAN, all = NAN;
    sac_assert_ok(sac_matmul_rate(&one, 1, 0.05, &error), &error);
    sac_assert_ok(sac_matmul_rate(&all, 0, 0.05, &error), &error);
    double bytes = NAN;
    sac_assert_ok(sac_matmul_rate_int8(&bytes, 1, 0.05, &error), &error);
    cr_assert(bytes > 0.01 && bytes < 1e5, "%g GOP/s in int8", bytes);
    // A brief measurement is of the same machine, however little of its time we get.
    double brief = NAN;
    sac_assert_ok(sac_matmul_rate_int8(&brief, 1, 0.001, &error), &error);
    cr_assert(brief > 0.1 * bytes && bytes > 0.1 * brief, "%g and %g GOP/s", brief, bytes);
    // A calculator's pace and beyond any core's peak: a wrong unit fails, a slow machine does not.
    cr_assert(one > 0.01 && one < 1e4, "%g GFLOP/s on one thread", one);
    cr_assert(all > 0.01 && all < 1e6, "%g GFLOP/s on all", all);
}

Test(nn_roofline, refuses_bad_arguments) {
    double rate = 0;
    const struct {
        int threads;
        double seconds;
    } bad[] = {{-1, 0.1}, {2000, 0.1}, {1, 0}, {1, -1}, {1, NAN}, {1, INFINITY}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        sac_error error = {0};
        sac_assert_error(sac_matmul_rate(&rate, bad[i].threads, bad[i].seconds, &error),
                         SAC_ERROR_ARGUMENT, &error, "matmul rate", "expected", NULL);
        error = (sac_error){0};
        sac_assert_error(sac_matmul_rate_int8(&rate, bad[i].threads, bad[i].seconds, &error),
                         SAC_ERROR_ARGUMENT, &error, "matmul rate", "expected", NULL);
    }
}
