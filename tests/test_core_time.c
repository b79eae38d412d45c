// Clocks and memory of the process: they move the right way and by the right amount.
#include <criterion/criterion.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/time.h"

Test(core_time, cores_that_this_process_may_use) {
    cpu_set_t before, one;
    const int cores = sac_core_count();
    cr_assert_geq(cores, 1);
    cr_assert_eq(sched_getaffinity(0, sizeof before, &before), 0);
    cr_assert_eq(cores, CPU_COUNT(&before));
    size_t first = 0;
    while (!CPU_ISSET(first, &before)) first++;
    CPU_ZERO(&one);
    CPU_SET(first, &one);
    cr_assert_eq(sched_setaffinity(0, sizeof one, &one), 0);
    cr_assert_eq(sac_core_count(), 1);
}

Test(core_time, wall_time_passes_while_sleeping_and_cpu_time_does_not) {
    double wall = sac_time_s(), cpu = sac_cpu_time_s();
    nanosleep(&(struct timespec){.tv_nsec = 200000000}, NULL);
    wall = sac_time_s() - wall;
    cpu = sac_cpu_time_s() - cpu;
    cr_assert(wall >= 0.199 && wall < 20.0, "%g s of wall time for 0.2 s of sleep", wall);
    cr_assert(cpu >= 0.0 && cpu < 0.15, "%g s of CPU time while sleeping", cpu);
}

Test(core_time, cpu_time_passes_while_working) {
    double start = sac_cpu_time_s(), deadline = sac_time_s() + 20.0;
    volatile double sum = 0.0;
    while (sac_cpu_time_s() - start < 0.05 && sac_time_s() < deadline) {
        for (int i = 0; i < 10000; i++) sum += i;
    }
    cr_assert(sac_cpu_time_s() - start >= 0.05);
}

Test(core_time, wall_time_never_runs_backwards) {
    double last = sac_time_s();
    for (int i = 0; i < 100000; i++) {
        double now = sac_time_s();
        cr_assert(now >= last);
        last = now;
    }
}

Test(core_time, peak_memory_grows_with_touched_memory) {
    double before = sac_peak_memory_bytes();
    cr_assert(before > 1e5, "%g bytes for a running process", before);
    size_t size = (size_t)256 << 20;
    char *block = malloc(size);
    cr_assert(block != NULL);
    memset(block, 1, size);
    double after = sac_peak_memory_bytes();
    cr_assert(after - before > 0.5 * (double)size && after - before < 2.5 * (double)size,
              "%g bytes more after touching %zu", after - before, size);
    const double held = sac_resident_memory_bytes();
    cr_assert(held > 0.5 * (double)size && held <= 1.1 * after, "%g bytes held, peak %g", held,
              after);
    free(block);
    cr_assert(sac_peak_memory_bytes() >= after);
#if !defined(__SANITIZE_ADDRESS__) // which keeps what was freed for a while
    const double freed = held - sac_resident_memory_bytes();
    cr_assert(freed > 0.5 * (double)size, "%g bytes less after freeing %zu", freed, size);
#endif
}
