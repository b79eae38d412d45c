// The time line of one stream, from frames to scores: places for frames, features and results,
// border replication, which piece of work may start next, smoothing in frame order. It runs nothing
// by itself and has no lock: the runtime calls it from one thread, the pool under its lock.
#ifndef SAC_STUDENT_TIMELINE_H
#define SAC_STUDENT_TIMELINE_H

#include "student/engine.h"

typedef struct sac_timeline_options {
    int ahead; // results that may be in work or wait to be taken, >= 1
    bool gate; // see sac_timeline_push
    double smoothing_sigma;
    int smoothing_taps;
} sac_timeline_options;

typedef struct sac_timeline sac_timeline;

// SAC_ERROR_ARGUMENT: smoothing out of range; SAC_ERROR_MEMORY. Everything is allocated here. The
// engine is only asked for its sizes; all engines that run the stream's tasks must be clones of it.
SAC_NODISCARD sac_status sac_timeline_create(sac_timeline **stream,
                                             const sac_preprocess *preprocess,
                                             const sac_engine *engine,
                                             const sac_timeline_options *options, sac_error *error);
void sac_timeline_close(sac_timeline **stream); // NULL-safe

// Where the next network frame u8 [H][W][channels] goes. NULL: no room, take results first.
uint8_t *sac_timeline_frame(sac_timeline *stream);
// With the gate: a frame that differs from the last one that did by no more than sensor noise is
// replaced by that one, here, before it counts. Frames are compared in blocks of 8x8 pixels by
// their mean absolute difference d, of colour over all three channels; still means median(d) <= 3
// and max(d) <= 1.5 + 3 median(d), in levels of 255: noise moves all blocks alike, an object moves
// a few. As comparisons are with the frame that was kept and not with the neighbour, slow change
// adds up until it counts. Only the pushing thread may be in here; no lock is needed.
void sac_timeline_gate(sac_timeline *stream);
// It is filled: the frame counts from here on.
void sac_timeline_commit(sac_timeline *stream, double time_s);
void sac_timeline_finish(sac_timeline *stream);
int64_t sac_timeline_reused(const sac_timeline *stream); // results taken over from the frame before
// Starts at frame 0 again. No task may be running.
void sac_timeline_reset(sac_timeline *stream);

// A piece of work: the stem of one frame, or the body and score of one result.
typedef struct sac_task {
    sac_timeline *stream;
    int64_t frame;
    bool body, copy;    // copy: a stem whose features are those of the frame before
    int64_t sources[3]; // of a body: the frames it looks at
} sac_task;

// Next piece of work that may start; false: none now. Claims come in an order in which one thread
// does no more than the next result needs. Each claimed task must be run and then reported done.
bool sac_timeline_claim(sac_timeline *stream, sac_task *task);
// Runs it on an engine; outside any lock. What fails is kept with the result.
void sac_task_run(const sac_task *task, sac_engine *engine);
void sac_task_done(const sac_task *task);
int sac_timeline_running(const sac_timeline *stream); // tasks claimed and not done

typedef enum sac_timeline_state {
    SAC_TIMELINE_READY, // a result (or its error) can be taken
    SAC_TIMELINE_AGAIN, // more frames are needed first
    SAC_TIMELINE_EOF,   // all results of a finished stream were taken
    SAC_TIMELINE_BUSY,  // its frames are there, its result is not yet
    SAC_TIMELINE_FULL   // the same, and no further frame should be pushed before it is taken
} sac_timeline_state;
sac_timeline_state sac_timeline_look(const sac_timeline *stream);
// Takes the result that look said is READY. SAC_ERROR_NUMERIC: its score is not finite;
// SAC_ERROR_BACKEND: its network failed; such a result stays the next one.
SAC_NODISCARD sac_status sac_timeline_take(sac_timeline *stream, sac_result *result,
                                           sac_error *error);

// Score and peak of maps; everything of a result but frame, time and smoothing. The maps are
// borrowed. SAC_ERROR_NUMERIC naming the frame.
SAC_NODISCARD sac_status sac_maps_result(sac_result *result, const sac_maps *maps, int64_t frame,
                                         sac_error *error);

#endif
