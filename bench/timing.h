// The timed loops of every speed measurement: a student over prepared inputs in memory, from a file
// to scores, and a decoder alone; each by one thread or by several workers with a student of their
// own. Rounds, medians and reports are the callers' (speed.c, scenarios.c, model_speed.c).
#ifndef SAC_BENCH_TIMING_H
#define SAC_BENCH_TIMING_H

#include <stdbool.h>
#include <stdint.h>

#include "saccade/status.h"
#include "saccade/student.h"
#include "saccade/video.h"

#define SAC_TIMING_WORKERS 64

// Times of single frames in seconds, the first SAC_TIMING_SAMPLES of a measurement.
#define SAC_TIMING_SAMPLES (1 << 22)
typedef struct sac_timing_samples {
    double *values;
    int64_t count, capacity;
} sac_timing_samples;
SAC_NODISCARD sac_status sac_timing_add(sac_timing_samples *samples, double seconds);
void sac_timing_samples_close(sac_timing_samples *samples); // NULL-safe

// Where frames come from.
typedef struct sac_timing_source {
    const char *path, *format; // as for sac_video_open
    int decode_threads;
    sac_video_skip skip_loop_filter, skip_frames; // what decoding leaves out
    int lowres;
} sac_timing_source;

// Inputs of one model for "student alone": the first frames of a source, as the network sees them.
typedef struct sac_prepared {
    uint8_t *frames;     // [count][H][W][channels] of the network
    int64_t count, size; // bytes of one frame
    int width, height;   // of the source's frames, px
} sac_prepared;
// As many frames as fit 64 MiB, beyond the caches, but 8 to 256. SAC_ERROR_FORMAT: fewer than two
// frames; what the source and the student return.
SAC_NODISCARD sac_status sac_prepared_load(sac_prepared *prepared, sac_student *student,
                                           const sac_timing_source *source, sac_error *error);
void sac_prepared_close(sac_prepared *prepared); // NULL-safe

// Decoded frames u8 [count][height][width][channels] in memory, at the source's size.
typedef struct sac_raw_frames {
    uint8_t *pixels;
    int64_t count;
    int width, height, channels; // 1 gray, 3 RGB
} sac_raw_frames;
// The first frames of a source, at most `most` and at most 256 MiB. Errors as above.
SAC_NODISCARD sac_status sac_raw_frames_load(sac_raw_frames *frames,
                                             const sac_timing_source *source, int channels,
                                             int64_t most, sac_error *error);
void sac_raw_frames_close(sac_raw_frames *frames); // NULL-safe

// Each of the following measures for about `seconds` (at least one frame) and gives frames per
// second of wall-clock time, of all workers together.
//   students  [workers], each used by one thread; workers 1 runs on the calling thread
//   samples   receives the time of every frame; NULL: not wanted

// Prepared frames to scores, as a stream: every one is pushed and what that makes possible is
// pulled. Every worker goes over all inputs, from a place of its own.
SAC_NODISCARD sac_status sac_time_prepared(double *fps, sac_student *const *students, int workers,
                                           const sac_prepared *prepared,
                                           sac_timing_samples *samples, double seconds,
                                           sac_error *error);

// Decoded frames in memory to scores: preprocess, infer, score; what a push makes possible is
// pulled at once.
SAC_NODISCARD sac_status sac_time_raw(double *fps, sac_student *const *students, int workers,
                                      const sac_raw_frames *frames, sac_timing_samples *samples,
                                      double seconds, sac_error *error);

// File to scores: decode, scale, infer, score. The source is opened again when it ends; opening and
// its first decoded frame are not timed (but scored).
//   own_thread   decoding runs ahead on a thread of its own
//   pass_frames  receives the frames of a pass that reached the end; may be NULL
SAC_NODISCARD sac_status sac_time_files(double *fps, sac_student *const *students, int workers,
                                        const sac_timing_source *source, bool own_thread,
                                        sac_timing_samples *samples, double seconds,
                                        int64_t *pass_frames, sac_error *error);

// Decoding to luma planes of the source's size, `workers` decoders at once.
SAC_NODISCARD sac_status sac_time_decoding(double *fps, int workers,
                                           const sac_timing_source *source, bool own_thread,
                                           sac_timing_samples *samples, double seconds,
                                           sac_error *error);

#endif
