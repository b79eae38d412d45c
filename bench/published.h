// What others have published for accuracy and speed on UCSD Ped2, as they state it: on their own
// machines and with their own way of timing, so never to be compared as if it had been measured
// here.
#ifndef SAC_BENCH_PUBLISHED_H
#define SAC_BENCH_PUBLISHED_H

typedef struct sac_published {
    const char *name, *venue;
    double micro; // AUC in percent; NaN: not stated for Ped2
    double fps;   // NaN: not stated
    const char *conditions;
} sac_published;

// NULL behind the last one.
const sac_published *sac_published_ped2(int index);

#endif
