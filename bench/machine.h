// Facts about the machine that belong beside every timing: processor, cores, load, backend, the
// measured rate of memory, and the time of an optical flow.
#ifndef SAC_BENCH_MACHINE_H
#define SAC_BENCH_MACHINE_H

#include <jansson.h>

#include "saccade/status.h"

typedef struct sac_machine {
    char cpu[128];          // model name, or the architecture when the system does not tell
    char instructions[128]; // those of the vector extensions that matter, "avx2 avx512_vnni"
    int cores;              // this process may run on
    char backend[64];       // "oneDNN 3.2.0"
    char isa[64];           // what the backend uses here, "avx512_core_vnni"
    char compiler[128], system[128];
    double load_before, load_after; // one-minute load average; NaN when unknown
} sac_machine;

// Fills everything, load_after as NaN. Never fails: unknown texts are "unknown".
void sac_machine_describe(sac_machine *machine);
// One-minute load average now, NaN when unknown.
double sac_machine_load(void);
// What stands at the head of every table, on one line: "AMD EPYC, 2 cores, avx2 fma, oneDNN 3.2.0
// (avx2), saccade 0.1.0 of 4fe7bde, load 0.10 before and 1.02 after". sac_free it; NULL on lack of
// memory.
char *sac_machine_text(const sac_machine *machine);
// New reference, NULL on lack of memory.
json_t *sac_machine_json(const sac_machine *machine);

// *gigabytes_s = bytes read plus bytes written per second, in 1e9, of copying a 64 MiB block to
// another (larger than the caches of small machines), median over copies lasting about `seconds`;
// one thread.
// SAC_ERROR_ARGUMENT: seconds outside (0, 600]; SAC_ERROR_MEMORY.
SAC_NODISCARD sac_status sac_memory_rate(double *gigabytes_s, double seconds, sac_error *error);

// *ms = milliseconds of the dense optical flow (video/flow.h, its defaults) between two frames of
// the synthetic scene, width x height px of 32..4096, median over runs lasting about `seconds`; one
// thread.
// SAC_ERROR_ARGUMENT: seconds outside (0, 600], a size out of range; SAC_ERROR_MEMORY.
SAC_NODISCARD sac_status sac_flow_time(double *ms, int width, int height, double seconds,
                                       sac_error *error);

#endif
