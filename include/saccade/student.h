// The student runtime: loads a model file, takes frames, gives anomaly scores and maps. One
// sac_student serves one stream at a time and one thread at a time; open one per stream, or, where
// there are many, one and others beside it (one thread) or a pool and students of it (many
// threads), which share the plans. It does not decode: see saccade/video.h.
#ifndef SACCADE_STUDENT_H
#define SACCADE_STUDENT_H

#include <stdbool.h>

#include "saccade/luma.h"
#include "saccade/metrics.h"
#include "saccade/status.h"

#ifdef __cplusplus
extern "C" {
#endif

#define SAC_MAP_FINE   16
#define SAC_MAP_COARSE 4
// Results that may wait to be pulled; see sac_student_push.
#define SAC_STUDENT_WAITING 16

typedef enum sac_precision {
    SAC_PRECISION_AUTO, // int8 where the model holds scales and this CPU gains by it, else f32
    SAC_PRECISION_F32,
    SAC_PRECISION_INT8, // a model without scales is an error; slow, but equal, on CPUs
                        // without AVX2
    SAC_PRECISION_BF16 // of any model: products rounded to bf16, sums in f32, where the CPU has AMX
                       // (and on the reference); f32 elsewhere. Never chosen by AUTO
} sac_precision;

typedef struct sac_student_options {
    int threads;    // of one frame, 0..1024; 0: all cores, which must be idle to gain by barriers
    bool reference; // run on the plain reference instead of oneDNN (slow; for checking)
    sac_precision precision;
    double smoothing_sigma; // causal smoothing of the scores, frames; 0: the default of sac_smooth
    int smoothing_taps;     // 0: default
    // Frames in which nothing moved beyond sensor noise are replaced by the last one in which
    // something did, and results whose three frames are thereby those of the result before are not
    // computed again. Saves most of the work on quiet cameras; changes scores a little, so it is
    // off by default. The rule stands in student/timeline.h.
    bool gate;
    sac_logger logger;
} sac_student_options;

SAC_API sac_student_options sac_student_default_options(void);   // one thread, the rest 0: oneDNN
SAC_API const char *sac_precision_name(sac_precision precision); // "auto", "f32", "int8", "bf16"

typedef struct sac_student_info {
    const char *arch;                   // "tiny-m"
    int width, height;                  // network input, px
    int channels;                       // of a frame: 1 gray, 3 RGB
    int offsets[3];                     // frames looked at, relative to t: -3 0 3
    bool has_map16, has_map4, has_map1; // the outputs of the network; one at least
    int lookahead;                      // frames that must follow before t can be scored
    int64_t parameters, macs; // trained parameters; multiply-accumulates of the whole network
    int64_t macs_per_frame;   // the same as run in a stream: a stem per frame counts once
    bool split;               // the stem is computed once per frame, apart from the body
    sac_precision precision;  // chosen: F32, INT8 or BF16
    const char *backend;      // "oneDNN 3.2.0", "plain reference"
    const char *isa;          // instruction set the backend uses here, "avx512_core_vnni"
    double load_ms, plan_ms;  // reading and checking the model file (0: from memory); planning
    int64_t plan_bytes;       // weights, activations and scratch memory of the plans
} sac_student_info;

typedef struct sac_result {
    int64_t frame;        // index from 0
    double time_s;        // presentation time given at push
    float score;          // raw, in [0,1]: mean over the maps that the student has of the largest
                          // value of each; with all three (map1 + max map4 + max map16) / 3
    float score_smoothed; // causal Gaussian over the scores so far (saccade/metrics.h)
    float peak_x, peak_y; // centre of the strongest cell of the finest map, in [0,1] of the sides
    const float *map16;   // [16][16] in [0,1]; valid until the next call on this student; NULL: the
                          // student has no such map
    const float *map4;    // [4][4]; NULL alike
    float map1;           // NaN: no such map
} sac_result;
// The finest map that there is, [*side][*side]; of side 1 it lies in the result itself.
SAC_API const float *sac_result_finest(const sac_result *result, int *side);

typedef struct sac_student sac_student;

// Loads a model file and plans its network; everything is allocated here or when the frame size
// changes.
//   options  NULL: the defaults
// SAC_ERROR_IO, SAC_ERROR_FORMAT (not a model, damaged, missing or contradicting metadata),
// SAC_ERROR_UNSUPPORTED (newer format version), SAC_ERROR_NUMERIC (a weight is not finite; the
// message names it), SAC_ERROR_ARGUMENT (options out of range, int8 of a model without scales),
// SAC_ERROR_BACKEND, SAC_ERROR_MEMORY. *student is NULL on failure.
SAC_API SAC_NODISCARD sac_status sac_student_open(sac_student **student, const char *path,
                                                  const sac_student_options *options,
                                                  sac_error *error);
// Another stream on the plans of `host`, which was opened by sac_student_open, with its options:
// for one thread that serves many streams. Scores are bit-identical to those of a student of its
// own, and it costs its frames and features in memory only. The host and all students beside it
// belong to one thread at a time, together; the host is closed last. SAC_ERROR_ARGUMENT: the host
// has no plans of its own; SAC_ERROR_MEMORY.
SAC_API SAC_NODISCARD sac_status sac_student_beside(sac_student *host, sac_student **student,
                                                    sac_error *error);
// Texts live as long as the student.
SAC_API void sac_student_get_info(const sac_student *student, sac_student_info *info);

// Feeds the next frame.
//   pixels   u8 [height][width][channels], copied; sides 1..16384 (other sizes than the frame
//            before are welcome: every frame is scaled to the network's size)
//   channels 1 gray, 3 RGB; a gray student sees the BT.601 luma of RGB, a colour student gray as
//            R = G = B
//   time_s   presentation time, finite; handed back with the result
// Frames before the first and after the last are replaced by the border frame, so clips of one
// frame work. Pull until SAC_AGAIN after each push; at most SAC_STUDENT_WAITING results may wait.
// SAC_ERROR_ARGUMENT: a value out of range, push after finish, or too many results waiting;
// SAC_ERROR_MEMORY.
SAC_API SAC_NODISCARD sac_status sac_student_push(sac_student *student, const uint8_t *pixels,
                                                  int width, int height, int channels,
                                                  double time_s, sac_error *error);
// No more frames: the remaining ones become available to pull. Calling it again changes nothing.
SAC_API SAC_NODISCARD sac_status sac_student_finish(sac_student *student, sac_error *error);
// The same from a luma plane where it lies, such as sac_video_read_luma hands out: scaled and, of
// limited range, stretched in one pass; a colour student sees R = G = B. The plane is free again on
// return.
// SAC_ERROR_ARGUMENT: also rows that overlap.
SAC_API SAC_NODISCARD sac_status sac_student_push_luma(sac_student *student, const sac_luma *luma,
                                                       double time_s, sac_error *error);
// The next frame as the network sees it, u8 [height][width][channels] of the network: what the
// preprocessing gives, in streaming order. For benchmarks of the student alone.
// SAC_ERROR_ARGUMENT as sac_student_push.
SAC_API SAC_NODISCARD sac_status sac_student_push_plane(sac_student *student, const uint8_t *plane,
                                                        double time_s, sac_error *error);
// Next result in frame order, exactly one per pushed frame. The network runs inside this call,
// without allocating; with a pool it runs on the workers, and a call waits only when more frames
// than these can take up are under way.
// SAC_OK; SAC_AGAIN: push more first; SAC_EOF: all frames of a finished stream were handed out;
// SAC_ERROR_NUMERIC: a score is not finite (position and message name the frame, which stays the
// next one); SAC_ERROR_BACKEND.
// Numerics: equal frames give bit-equal results for one thread count. In f32 the maps agree within
// 1e-4 between thread counts and with the reference. In int8 they do not depend on the number of
// threads, and each activation agrees with the reference within one step of its scale.
SAC_API SAC_NODISCARD sac_status sac_student_pull(sac_student *student, sac_result *result,
                                                  sac_error *error);
// Forgets the stream (frames, smoothing) and starts at frame 0 again.
SAC_API void sac_student_reset(sac_student *student);
// Results that the gate took over from the frame before since the stream began.
SAC_API int64_t sac_student_reused(sac_student *student);
// Scores one prepared input f32 [height][width][3][channels] (channels-last: three frames of
// sac_student_prepare interleaved): the whole network alone, for like-for-like comparison with
// runtimes that know nothing of streams. Does not touch the stream; frame and time of the result
// are 0 and score_smoothed is the raw score. The first call may plan the whole network. Errors as
// sac_student_pull; SAC_ERROR_UNSUPPORTED: the student has no plans of its own (sac_student_beside,
// pools).
SAC_API SAC_NODISCARD sac_status sac_student_score_prepared(sac_student *student,
                                                            const float *input, sac_result *result,
                                                            sac_error *error);
// One u8 frame as the network sees it, f32 [height][width][channels] of the network: scaled,
// (x - mean) / scale.
// SAC_ERROR_ARGUMENT and SAC_ERROR_MEMORY as sac_student_push.
SAC_API SAC_NODISCARD sac_status sac_student_prepare(sac_student *student, float *plane,
                                                     const uint8_t *pixels, int width, int height,
                                                     int channels, sac_error *error);
SAC_API void sac_student_close(sac_student **student); // NULL-safe

// Throughput: worker threads with one compute thread each over one set of weights. Frames of many
// streams, and of one stream where the network has a stem per frame or enough frames wait, are
// scored side by side without barriers; results are bit-identical to those of a student with one
// thread. Memory per stream does not depend on its length.
typedef struct sac_student_pool sac_student_pool;

typedef struct sac_student_pool_options {
    int workers; // threads, 0..1024; 0: one per core
    bool pin;    // keep each worker on one core; for machines that do nothing else
} sac_student_pool_options;

// Loads and plans once for all workers. Of `options` the pool uses all but threads (each run has
// one); smoothing, gate and logger are those of every stream. NULL: the defaults.
// Errors as sac_student_open.
SAC_API SAC_NODISCARD sac_status sac_student_pool_open(sac_student_pool **pool, const char *path,
                                                       const sac_student_options *options,
                                                       const sac_student_pool_options *pool_options,
                                                       sac_error *error);
// A student of the pool, to be used like any other, each from one thread at a time. Differences:
// push returns before the network has seen the frame, and pull gives SAC_AGAIN also while a result
// is being computed and more frames may be pushed meanwhile. SAC_ERROR_MEMORY.
SAC_API SAC_NODISCARD sac_status sac_student_pool_stream(sac_student_pool *pool,
                                                         sac_student **student, sac_error *error);
// Waits until the next result, if its frames are there, has been computed: pull then gives it. For
// live streams, where the next frame is long in coming. Returns at once without a pool.
SAC_API void sac_student_wait(sac_student *student);
// As sac_student_get_info; plan_bytes are those of all workers.
SAC_API void sac_student_pool_get_info(const sac_student_pool *pool, sac_student_info *info);
SAC_API int sac_student_pool_workers(const sac_student_pool *pool);
// All students of the pool must have been closed. NULL-safe.
SAC_API void sac_student_pool_close(sac_student_pool **pool);

#ifdef __cplusplus
}
#endif
#endif
