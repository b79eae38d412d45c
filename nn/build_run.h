// The plan's side of nn/build.h: phases, finishing (lifetimes, arena, primitives' arguments) and
// running.
// Operators never include this.
#ifndef SAC_NN_BUILD_RUN_H
#define SAC_NN_BUILD_RUN_H

#include "nn/build.h"

typedef enum sac_phase {
    SAC_PHASE_LOAD, // once per set of weights (inference) or not at all
    SAC_PHASE_FORWARD,
    SAC_PHASE_BACKWARD, // follows forward on the same time line
    SAC_PHASE_COUNT
} sac_phase;

// bf16: what multiplies may do so in bf16, see sac_plan_options.
SAC_NODISCARD sac_status sac_build_create(sac_build **build, bool training, bool bf16,
                                          sac_error *error);
void sac_build_set_phase(sac_build *build, sac_phase phase);
// Prefix for the descriptions of the steps that follow, e.g. the node's name. Borrowed until
// finish.
void sac_build_set_label(sac_build *build, const char *label);
// Buffer over memory that lives outside the arena and outlives the plan.
SAC_NODISCARD sac_status sac_build_external(sac_build *build, const_dnnl_memory_desc_t md,
                                            float *data, sac_buffer *buffer, sac_error *error);
// Keeps the buffer's place for the plan's whole life (inputs, outputs, loaded weights).
void sac_build_persist(sac_build *build, sac_buffer buffer);
// Zeroes a buffer as a step of the current phase.
SAC_NODISCARD sac_status sac_build_zero(sac_build *build, sac_buffer buffer, sac_error *error);
// Assigns the arena and creates all memory objects; after it only run, data and describe are valid.
SAC_NODISCARD sac_status sac_build_finish(sac_build *build, sac_error *error);
// A second instance of a finished inference plan for another thread: primitives and loaded weights
// are those of `donor`, which must outlive it and must not be loaded anew meanwhile; activations
// and scratchpad are its own. Nothing is planned or reordered again.
SAC_NODISCARD sac_status sac_build_clone(sac_build **build, const sac_build *donor,
                                         sac_error *error);
SAC_NODISCARD sac_status sac_build_run(sac_build *build, sac_phase phase, sac_error *error);
// Steps of the forward phase with their times: fills at most `capacity` entries, returns their
// number; run it once per repeat. `node` and `what` are borrowed from the plan.
typedef struct sac_build_timing {
    const char *node, *what;
    double seconds;
} sac_build_timing;
SAC_NODISCARD sac_status sac_build_time(sac_build *build, sac_build_timing *timings, int capacity,
                                        int *count, sac_error *error);
int sac_build_steps(const sac_build *build, sac_phase phase);
float *sac_build_data(const sac_build *build, sac_buffer buffer);
// A persistent buffer, and what views it, lies at `data` from now on, which must hold until the
// last run that touches it. Allocates nothing.
SAC_NODISCARD sac_status sac_build_bind(sac_build *build, sac_buffer buffer, void *data,
                                        sac_error *error);
sac_rng *sac_build_rng(sac_build *build);
// Its own memory: of a clone without the weights.
int64_t sac_build_arena_bytes(const sac_build *build);
char *sac_build_describe(const sac_build *build);
void sac_build_close(sac_build **build);

#endif
