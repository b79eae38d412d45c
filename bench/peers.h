// Our runtime and others on the same network in one run, in interleaved rounds, because only ratios
// within a run can be trusted. Two comparisons, never mixed:
//   u8   from the same gray frames u8 in memory (of the network's size) to anomaly maps, a peer's
//        own conversion of its input counted; ours: the streaming runtime, push to score
//   f32  like for like: the same f32 tensor to maps; ours: the network alone
// In int8 the scales are the model's, or without those calibrated on the same frames.
// The peers get the network as our own ONNX export (student/onnx_file.h), and every peer's maps are
// compared with ours before anything is timed. All run with the same number of threads on the same
// processors. Peers are processes (bench/peer.h); one that is not there is a result too.
#ifndef SAC_BENCH_PEERS_H
#define SAC_BENCH_PEERS_H

#include <stdbool.h>

#include <jansson.h>

#include "bench/figures.h"
#include "bench/machine.h"
#include "bench/peer.h"
#include "saccade/status.h"

typedef enum sac_comparison { SAC_COMPARE_U8, SAC_COMPARE_F32, SAC_COMPARISONS } sac_comparison;

typedef struct sac_peers_options {
    const char *model;
    const char *source, *format; // frames, as for sac_video_open
    const char *command;         // of the peers, as bench/peers/setup makes it
    const char *only;            // names separated by commas; NULL: all
    int threads;                 // 1..1024, at most the processors this process may use
    int repeats;                 // rounds, 1..1000
    double seconds;              // of one measurement, (0, 600]
    sac_logger logger;
    int (*progress)(void *user, int64_t done,
                    int64_t total); // measurements; nonzero stops; or NULL
    void *user;
} sac_peers_options;
sac_peers_options sac_peers_default_options(void); // 1 thread, five rounds, one second

typedef struct sac_peers_arm {
    char name[48], precision[8];
    bool ours;
    char text[SAC_PEER_REPLY];       // version and settings
    char skipped[SAC_PEER_REPLY];    // why it did not run; empty: it did
    double difference;               // max |map value - ours in the same precision|; NaN: ours
    double *rounds[SAC_COMPARISONS]; // [repeats] frames per second; NULL when skipped
    double fps[SAC_COMPARISONS];     // medians
} sac_peers_arm;

typedef struct sac_peers_result {
    sac_peers_arm arms[SAC_PEERS_MOST + 2]; // ours first
    int arm_count, repeats, threads;
    char processors[128];               // "0,1"
    char *model, *arch;                 // owned
    char no_int8[SAC_PEER_REPLY];       // why there is no int8 plan; empty: there is one
    char peers_missing[SAC_PEER_REPLY]; // why there is no peer at all; empty: there is a list
    int width, height;
    sac_machine machine;
} sac_peers_result;

// SAC_ERROR_ARGUMENT: options out of range, a name in `only` that no peer has, more threads than
// processors; what models, video and export return; SAC_ERROR_IO: no temporary folder;
// SAC_ERROR_INTERRUPTED; SAC_ERROR_MEMORY. A peer that fails is a skipped arm with its reason.
SAC_NODISCARD sac_status sac_peers_measure(sac_peers_result *result,
                                           const sac_peers_options *options, sac_error *error);
void sac_peers_result_close(sac_peers_result *result);

// Ratios ours / peer of every round: median, smallest, largest. NaN when either did not run.
typedef struct sac_peers_ratio {
    double median, low, high;
} sac_peers_ratio;
SAC_NODISCARD sac_status sac_peers_ratio_of(sac_peers_ratio *ratio, const sac_peers_result *result,
                                            int ours, int peer, sac_comparison comparison);

// "u8 frames to scores; ort-f32" in FPS, "u8 frames to scores; saccade-f32 / ort-f32" in "x".
SAC_NODISCARD sac_status sac_peers_figures(sac_figures *figures, const sac_peers_result *result,
                                           sac_error *error);
json_t *sac_peers_json(const sac_peers_result *result);   // new reference, NULL on lack of memory
char *sac_peers_markdown(const sac_peers_result *result); // sac_free it

#endif
