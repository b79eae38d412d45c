// Monotonic wall clock.
#ifndef SAC_CORE_TIME_H
#define SAC_CORE_TIME_H
// Seconds since an arbitrary start (CLOCK_MONOTONIC).
double sac_time_s(void);
// Process CPU seconds (user + system) and peak resident set in bytes.
double sac_cpu_time_s(void);
double sac_peak_memory_bytes(void);
#endif
