// The student runtime: loads a model file, takes frames, gives anomaly scores and maps. One
// sac_student serves one stream at a time and one thread at a time; open one per stream. It does
// not decode: see saccade/video.h.
#ifndef SACCADE_STUDENT_H
#define SACCADE_STUDENT_H

#include <stdbool.h>

#include "saccade/metrics.h"
#include "saccade/status.h"

#ifdef __cplusplus
extern "C" {
#endif

#define SAC_MAP_FINE   16
#define SAC_MAP_COARSE 4
// Results that may wait to be pulled; see sac_student_push.
#define SAC_STUDENT_WAITING 16

typedef struct sac_student_options {
    int threads;            // compute threads, 0..1024; 0: all cores
    bool reference;         // run on the plain reference instead of oneDNN (slow; for checking)
    double smoothing_sigma; // causal smoothing of the scores, frames; 0: the default of sac_smooth
    int smoothing_taps;     // 0: default
    sac_logger logger;
} sac_student_options;

SAC_API sac_student_options sac_student_default_options(void); // everything 0: all cores, oneDNN

typedef struct sac_student_info {
    const char *arch;         // "tiny-m"
    int width, height;        // network input, px
    int channels;             // of a frame: 1 gray
    int offsets[3];           // frames looked at, relative to t: -3 0 3
    int lookahead;            // frames that must follow before t can be scored
    int64_t parameters, macs; // trained parameters; multiply-accumulates per frame
} sac_student_info;

typedef struct sac_result {
    int64_t frame;        // index from 0
    double time_s;        // presentation time given at push
    float score;          // raw: (map1 + max map4 + max map16) / 3, in [0,1]
    float score_smoothed; // causal Gaussian over the scores so far (saccade/metrics.h)
    float peak_x, peak_y; // centre of the strongest 16x16 cell, in [0,1] of width and height
    const float *map16;   // [16][16] in [0,1]; valid until the next call on this student
    const float *map4;    // [4][4]
    float map1;
} sac_result;

typedef struct sac_student sac_student;

// Loads a model file and plans its network; everything is allocated here or when the frame size
// changes.
//   options  NULL: the defaults
// SAC_ERROR_IO, SAC_ERROR_FORMAT (not a model, damaged, missing or contradicting metadata),
// SAC_ERROR_UNSUPPORTED (newer format version), SAC_ERROR_NUMERIC (a weight is not finite; the
// message names it), SAC_ERROR_ARGUMENT (options out of range),
// SAC_ERROR_BACKEND, SAC_ERROR_MEMORY. *student is NULL on failure.
SAC_API SAC_NODISCARD sac_status sac_student_open(sac_student **student, const char *path,
                                                  const sac_student_options *options,
                                                  sac_error *error);
// Texts live as long as the student.
SAC_API void sac_student_get_info(const sac_student *student, sac_student_info *info);

// Feeds the next frame.
//   pixels   u8 [height][width][channels], copied; sides 1..16384 (other sizes than the frame
//            before are welcome: every frame is scaled to the network's size)
//   channels 1 gray, 3 RGB (turned into BT.601 luma)
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
// Next result in frame order, exactly one per pushed frame. The network runs inside this call,
// without allocating.
// SAC_OK; SAC_AGAIN: push more first; SAC_EOF: all frames of a finished stream were handed out;
// SAC_ERROR_NUMERIC: a score is not finite (position and message name the frame, which stays the
// next one); SAC_ERROR_BACKEND.
// Numerics: equal frames give bit-equal results for one thread count; between thread counts and
// against the reference the maps agree within 1e-4.
SAC_API SAC_NODISCARD sac_status sac_student_pull(sac_student *student, sac_result *result,
                                                  sac_error *error);
// Forgets the stream (frames, smoothing) and starts at frame 0 again.
SAC_API void sac_student_reset(sac_student *student);
// Scores one prepared input f32 [height][width][3] (channels-last: three planes of
// sac_student_prepare interleaved): the network alone, for benchmarks. Does not touch the stream;
// frame and time of the result are 0 and score_smoothed is the raw score. Errors as
// sac_student_pull.
SAC_API SAC_NODISCARD sac_status sac_student_score_prepared(sac_student *student,
                                                            const float *input, sac_result *result,
                                                            sac_error *error);
// One u8 frame to its network plane, f32 [height][width] of the network: gray, scaled,
// (x - mean) / scale.
// SAC_ERROR_ARGUMENT and SAC_ERROR_MEMORY as sac_student_push.
SAC_API SAC_NODISCARD sac_status sac_student_prepare(sac_student *student, float *plane,
                                                     const uint8_t *pixels, int width, int height,
                                                     int channels, sac_error *error);
SAC_API void sac_student_close(sac_student **student); // NULL-safe

#ifdef __cplusplus
}
#endif
#endif
