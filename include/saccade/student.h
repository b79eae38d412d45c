// The student runtime: loads a model file, takes frames, gives anomaly scores and maps. One sac_student serves one stream at a time; open one per stream.
#ifndef SACCADE_STUDENT_H
#define SACCADE_STUDENT_H

#include <stdbool.h>

#include "saccade/metrics.h"
#include "saccade/status.h"

#ifdef __cplusplus
extern "C" {
#endif

#define SAC_MAP_FINE 16
#define SAC_MAP_COARSE 4

typedef struct sac_student_options {
    int threads;             // compute threads; 0: all cores
    bool reference;          // run on the plain reference instead of oneDNN (slow; for checking)
    double smoothing_sigma;  // causal smoothing of the scores, frames; 0: the default of sac_smooth
    int smoothing_taps;      // 0: default
    sac_logger logger;
} sac_student_options;

SAC_API sac_student_options sac_student_default_options(void);

typedef struct sac_student_info {
    const char *arch;         // "tiny-m"
    int width, height;        // network input
    int channels;             // of a frame: 1 gray
    int offsets[3];           // frames looked at, relative to t: -3 0 3
    int lookahead;            // frames that must follow before t can be scored
    int64_t parameters, macs; // per frame
} sac_student_info;

typedef struct sac_result {
    int64_t frame;          // index from 0
    double time_s;          // presentation time given at push
    float score;            // raw: mean(1x1, max 4x4, max 16x16), in [0,1]
    float score_smoothed;   // causal
    float peak_x, peak_y;   // centre of the strongest 16x16 cell, in [0,1] of width and height
    const float *map16;     // [16][16]; valid until the next call on this student
    const float *map4;      // [4][4]
    float map1;
} sac_result;

typedef struct sac_student sac_student;

// SAC_ERROR_IO, SAC_ERROR_FORMAT (not a model, damaged, missing or contradicting metadata), SAC_ERROR_UNSUPPORTED (newer format version), SAC_ERROR_NUMERIC (a weight is
// not finite; the message names it), SAC_ERROR_MEMORY.
SAC_API SAC_NODISCARD sac_status sac_student_open(sac_student **student, const char *path, const sac_student_options *options, sac_error *error);
SAC_API void sac_student_get_info(const sac_student *student, sac_student_info *info); // texts live as long as the student
// Feeds the next frame, u8 [height][width][channels] of any size (1 gray or 3 RGB), scaled inside. Frames before the first and after the last are replaced by the border frame.
SAC_API SAC_NODISCARD sac_status sac_student_push(sac_student *student, const uint8_t *pixels, int width, int height, int channels, double time_s, sac_error *error);
// No more frames: the remaining ones become available to pull.
SAC_API SAC_NODISCARD sac_status sac_student_finish(sac_student *student, sac_error *error);
// Next result in frame order: SAC_OK; SAC_AGAIN: push more first; SAC_EOF: all frames of a finished stream were handed out. Exactly one result per pushed frame.
SAC_API SAC_NODISCARD sac_status sac_student_pull(sac_student *student, sac_result *result, sac_error *error);
// Forgets the stream (frames, smoothing) and starts at frame 0 again.
SAC_API void sac_student_reset(sac_student *student);
// Scores one prepared input f32 [height][width][3] (channels-last, as sac_student_prepare makes it): the network alone, for benchmarks.
SAC_API SAC_NODISCARD sac_status sac_student_score_prepared(sac_student *student, const float *input, sac_result *result, sac_error *error);
// One u8 frame to its network plane, f32 [height][width]: gray, scaled, (x - 127) / 128.
SAC_API SAC_NODISCARD sac_status sac_student_prepare(sac_student *student, float *plane, const uint8_t *pixels, int width, int height, int channels, sac_error *error);
SAC_API void sac_student_close(sac_student **student);

#ifdef __cplusplus
}
#endif
#endif
