// Clocks and resource use of this process. Any thread.
#ifndef SAC_CORE_TIME_H
#define SAC_CORE_TIME_H

// Cores that this process may use, at least 1.
int sac_core_count(void);

// Wall seconds since an arbitrary start, never running backwards (CLOCK_MONOTONIC).
double sac_time_s(void);

// CPU seconds of all threads of this process so far, user and system.
double sac_cpu_time_s(void);

// Largest resident set of this process so far. Linux counts on from what the same process held
// before it became this program: behind a large one that called exec the figure is too high.
double sac_peak_memory_bytes(void);

// Resident set of this process now; 0 where the system does not tell.
double sac_resident_memory_bytes(void);

#endif
