// Speed of a student model, measured in interleaved rounds within one run, because only ratios
// within a run can be trusted on a busy machine. A round holds, for each thread count N:
//   student alone  planes of the network's size (u8) in memory to scores, as a stream: one plan of
//                  N threads
//   pool           the same stream through a pool of N single-thread workers (N >= 2)
//   workers        N streams, each on a student of one thread of its own (N >= 2)
//   in sequence    file to score: decode, scale, infer, score one after the other, N compute
//                  threads
//   pipelined      the same with decoding on a thread of its own and N-1 compute threads (N >= 2)
//   files          N files to scores at once, each in sequence on one thread (N >= 2)
//   decode only    the same file to gray frames at its own size: decoding on the caller's thread
//                  for N = 1, on its own thread for N >= 2
//   decode files   N decoders at once, the limit of `files` (N >= 2)
//   matmul         the matrix-multiplication rates in f32 and in int8: the limit of the
//                  student alone is that of its precision, of bf16 that of f32
// and once the copying rate of memory. Opening files and models is not timed, the first frame
// neither (it starts the decoder).
#ifndef SAC_BENCH_SPEED_H
#define SAC_BENCH_SPEED_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "bench/figures.h"
#include "bench/machine.h"
#include "saccade/status.h"
#include "saccade/student.h"
#include "saccade/video.h"

#define SAC_SPEED_MAX_RUNS 8

typedef struct sac_speed_options {
    const char *model, *source;      // paths; source as for sac_video_open
    const char *format;              // FFmpeg input format or NULL
    int threads[SAC_SPEED_MAX_RUNS]; // thread counts, each 1..1024
    int thread_counts;
    int repeats;        // rounds, 1..1000; the published numbers are medians of at least five
    double seconds;     // length of one measurement, (0, 600]; the source starts again when it ends
    int decode_threads; // decoder threads, 0: library's choice
    sac_video_skip skip_loop_filter, skip_frames; // what decoding leaves out, as sac_video_options
    int lowres;
    bool limits; // measure the matrix-multiplication and memory rates too
    sac_precision precision;
    sac_logger logger;
    int (*progress)(void *user, int64_t done,
                    int64_t total); // measurements; nonzero stops; or NULL
    void *user;
} sac_speed_options;
// Threads 1 and 2, five repeats, one second, one decoder thread, limits.
sac_speed_options sac_speed_default_options(void);

// One kind of measurement over all rounds.
typedef struct sac_speed_stat {
    double fps;     // median of the rounds; NaN when not measured; of limits GFLOP/s or GB/s
    double *rounds; // [repeats] in order, owned; NULL: not measured
    double p50_ms, p90_ms, p99_ms, p999_ms; // time of one frame over all rounds; NaN of limits
    int64_t frames;                         // timed in all rounds
} sac_speed_stat;

typedef struct sac_speed_run {
    int threads, workers; // workers: at most SAC_TIMING_WORKERS
    sac_speed_stat student_alone, student_pool, student_workers, in_sequence, pipelined, files,
        decode_only, decode_files, matmul, matmul_int8, memory;
} sac_speed_run;

typedef struct sac_speed_result {
    sac_speed_run runs[SAC_SPEED_MAX_RUNS]; // memory: of the first only
    int run_count, repeats;
    sac_machine machine;
    char *model, *source, *arch; // file names without folders; owned
    int source_width, source_height, input_width, input_height;
    int64_t source_frames;    // in one pass; 0 when no pass was finished
    int64_t parameters, macs; // macs: of one frame of a stream
    bool split;               // the stem runs once a frame
    sac_precision precision;  // chosen
} sac_speed_result;

// SAC_ERROR_ARGUMENT: options out of range; SAC_ERROR_FORMAT: a source without at least two frames;
// what the student and the video source return; SAC_ERROR_INTERRUPTED; SAC_ERROR_MEMORY.
SAC_NODISCARD sac_status sac_speed_measure(sac_speed_result *result,
                                           const sac_speed_options *options, sac_error *error);
void sac_speed_result_close(sac_speed_result *result);

// The fastest of one plan, pool and workers: throughput may choose.
const sac_speed_stat *sac_speed_alone(const sac_speed_run *run);
// The faster of in sequence and pipelined: a program that streams may choose.
const sac_speed_stat *sac_speed_file_to_score(const sac_speed_run *run);

// Every measurement with its limit: the student alone of the matmul rate in its precision
// (2 * MAC * FPS over it), a file to score of decoding the same file, several of several; medians
// over rounds of the ratio within each round.
// SAC_ERROR_MEMORY, SAC_ERROR_ARGUMENT (see sac_figures_add).
SAC_NODISCARD sac_status sac_speed_figures(sac_figures *figures, const sac_speed_result *result,
                                           sac_error *error);
// Keys at top level: fps_student_alone, fps_file_to_score, fps_decode_only of the run with the most
// threads; everything under "runs", "machine", "model", "source". New reference, NULL on lack of
// memory.
json_t *sac_speed_json(const sac_speed_result *result);
char *sac_speed_markdown(const sac_speed_result *result); // sac_free it

#endif
