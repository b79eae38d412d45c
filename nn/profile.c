// Where the time of an inference goes, step by step; see sac_infer_profile in nn/infer.h.
#include <stdlib.h>
#include <string.h>

#include "core/check.h"
#include "core/memory.h"
#include "nn/infer.h"
#include "nn/plan_private.h"

#define MAX_REPEATS 10000

static int compare(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static bool multiplies(const char *what) {
    return strncmp(what, "u8-convolution", 14) == 0 || strncmp(what, "convolution", 11) == 0 ||
           strncmp(what, "inner_product", 13) == 0 || strncmp(what, "matmul", 6) == 0;
}

sac_status sac_plan_profile(sac_plan *plan, int repeats, sac_profile_step **out, int *count,
                            sac_error *error) {
    sac_status status = SAC_OK;
    sac_profile_step *steps = NULL;
    sac_build_timing *timings = NULL;
    double *times = NULL;
    int n = 0;
    *out = NULL;
    *count = 0;
    if (repeats < 1 || repeats > MAX_REPEATS)
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "a profile takes 1 to %d repeats, not %d", MAX_REPEATS, repeats);
    if (plan->ref != NULL)
        return sac_error_set(error, SAC_ERROR_UNSUPPORTED, -1,
                             "the reference backend has no steps to profile");
    const int capacity = sac_build_steps(plan->build, SAC_PHASE_FORWARD);
    steps = sac_calloc(capacity, sizeof *steps);
    timings = sac_calloc(capacity, sizeof *timings);
    times = sac_calloc((int64_t)capacity * repeats, sizeof *times);
    SAC_TRY_ALLOC(steps);
    SAC_TRY_ALLOC(timings);
    SAC_TRY_ALLOC(times);
    for (int r = -1; r < repeats; r++) { // the first run warms up
        SAC_TRY(sac_build_time(plan->build, timings, capacity, &n, error));
        for (int i = 0; i < n && r >= 0; i++) times[(int64_t)i * repeats + r] = timings[i].seconds;
    }
    for (int i = 0; i < n; i++) {
        double *all = times + (int64_t)i * repeats;
        qsort(all, (size_t)repeats, sizeof *all, compare);
        (void)snprintf(steps[i].node, sizeof steps[i].node, "%s", timings[i].node);
        (void)snprintf(steps[i].implementation, sizeof steps[i].implementation, "%s",
                       timings[i].what);
        steps[i].us =
            1e6 * (repeats % 2 ? all[repeats / 2] : (all[repeats / 2 - 1] + all[repeats / 2]) / 2);
        const int node = sac_net_find(plan->net, steps[i].node);
        if (node >= 0 && multiplies(steps[i].implementation))
            steps[i].macs = sac_net_macs(plan->net, node) * plan->shapes[node].dims[0];
    }
    *out = steps;
    *count = n;
    steps = NULL;
fail:
    sac_free(steps);
    sac_free(timings);
    sac_free(times);
    if (status == SAC_OK) return SAC_OK;
    return sac_error_set(error, status, -1, "profiling: %s", sac_status_name(status));
}
