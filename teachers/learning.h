// Learning by epochs, as the families that train networks do it: options, the course of a run from
// step to step, what a checkpoint holds of it, and the table of epochs. Knows neither networks nor
// samples; the loop itself is the family's.
#ifndef SAC_TEACHERS_LEARNING_H
#define SAC_TEACHERS_LEARNING_H

#include <stdbool.h>
#include <stdint.h>

#include "core/safetensors.h"
#include "nn/train.h"
#include "saccade/status.h"
#include "teachers/family.h"

typedef struct sac_learning_options {
    int64_t batch;              // 64
    int64_t epochs;             // 6
    int64_t samples_per_epoch;  // 0: all training objects once; 4096
    int64_t validation_samples; // held-back objects looked at after each epoch, 0: all; 1024
    double learning_rate;       // 1e-3
    bool cosine;                // true: down to 2 % of it along a half cosine; false: constant
    double max_minutes; // of learning; then the epoch is closed and learning ends; 0: no limit
    double checkpoint_minutes; // between checkpoints inside an epoch, 0: after every step; 2
    uint64_t seed;
    sac_backend backend;
} sac_learning_options;
sac_learning_options sac_learning_default_options(void);
// Batch 2..4096, epochs 1..100000, learning rate above 0 and at most 1, counts and minutes not
// negative.
bool sac_learning_options_valid(const sac_learning_options *options);

// At most so many losses have a family's steps; the first is the one that is minimised.
enum { SAC_LEARNING_LOSSES = 20 };

typedef struct sac_learning_epoch {
    int64_t epoch, samples; // from 1; samples of this epoch
    double learning_rate;   // of its last step
    double seconds;         // of learning so far
    double train[SAC_LEARNING_LOSSES], valid[SAC_LEARNING_LOSSES];
} sac_learning_epoch;

// Called after each epoch with all so far, the latest last, and the index of the best; an error
// ends the run.
typedef sac_status (*sac_learning_epoch_call)(void *user, const sac_learning_epoch *epochs,
                                              int64_t count, int64_t best, sac_error *error);

// What happened; sac_free(epochs).
typedef struct sac_learning_report {
    sac_learning_epoch *epochs;
    int64_t count, best; // index of the epoch kept
    double seconds;      // of learning
    int64_t samples, training_objects, held_back_objects;
} sac_learning_report;

// The course of a run. A loop looks like this:
//   sac_learning_begin
//   while not finished
//       the family's step, at sac_learning_rate
//       sac_learning_step
//       if sac_learning_epoch_ends: validation, sac_learning_close_epoch
//       if sac_learning_must_save: the family's checkpoint, with sac_learning_store
//       sac_learning_check_stop
typedef struct sac_learning {
    const sac_learning_options *options; // borrowed, as the job
    const sac_family_job *job;
    const char *format, *stamp; // of checkpoints; a family may put another stamp here
    int losses;
    int64_t steps_per_epoch;
    sac_learning_epoch *history; // [epochs]
    // In checkpoints.
    int64_t step;        // optimiser steps done
    int64_t epoch_step;  // of the running epoch
    int64_t order_next;  // position in the family's shuffled order, -1: it has none
    int64_t epochs_done; // rows of the history
    int64_t best;        // row kept, -1: none yet
    bool finished;
    double best_loss;
    double seconds;                   // learned so far, over all runs
    double sums[SAC_LEARNING_LOSSES]; // of the running epoch, per step
    // Of this run.
    double started; // clock at which it would have begun had it learned `seconds` before
    double saved;   // clock of the last checkpoint
    bool epoch_ends, out_of_time, stopped;
} sac_learning;

// A run that has done nothing yet. SAC_ERROR_MEMORY.
//   format   of checkpoints, names the family and its version
//   losses   of the family, 1..SAC_LEARNING_LOSSES
//   objects  that train
SAC_NODISCARD sac_status sac_learning_open(sac_learning *learning,
                                           const sac_learning_options *options,
                                           const sac_family_job *job, const char *format,
                                           int losses, int64_t objects);
void sac_learning_close(sac_learning *learning); // NULL-safe

// For the next step.
double sac_learning_rate(const sac_learning *learning);
// Starts the clock and tells the listener what was done before.
void sac_learning_begin(sac_learning *learning);
// Counts a step that was done and tells the listener.
//   losses  f64 [learning->losses] of the step
void sac_learning_step(sac_learning *learning, const double *losses);
// After the last step of an epoch, or when the time is over.
bool sac_learning_epoch_ends(const sac_learning *learning);
// Adds the epoch to the history; true: it is the best so far, by valid[0].
//   train, valid  f64 [learning->losses]
bool sac_learning_close_epoch(sac_learning *learning, const double *train, const double *valid);
// After an epoch, when the listener says stop (it is asked here), and now and then.
bool sac_learning_must_save(sac_learning *learning);
// SAC_ERROR_INTERRUPTED: the listener has said stop, and there is more to do.
SAC_NODISCARD sac_status sac_learning_check_stop(const sac_learning *learning, sac_error *error);

// Adds to a checkpoint, behind the family's tensors: metadata "format" and "stamp", tensors
// "state.counts", "state.values" and "history". SAC_ERROR_MEMORY.
SAC_NODISCARD sac_status sac_learning_store(sac_learning *learning, sac_safetensors *st,
                                            sac_error *error);
// From a checkpoint that was read; `order_next` is for the family to check.
// SAC_ERROR_FORMAT: it is another family's, version's or run's, or damaged.
SAC_NODISCARD sac_status sac_learning_load(sac_learning *learning, const sac_safetensors *st,
                                           sac_error *error);
// The error for counters that contradict each other or the order of the family.
sac_status sac_learning_contradiction(const sac_learning *learning, sac_error *error);

// Takes the history. SAC_ERROR_NUMERIC: there is no epoch to keep.
SAC_NODISCARD sac_status sac_learning_finish(sac_learning_report *report, sac_learning *learning,
                                             const sac_family_objects *objects, sac_error *error);

// A column of metrics.csv, which has it once for training and once for validation.
typedef struct sac_learning_column {
    char name[64];
    int value; // index among the losses
    bool part; // of the samples, in [0,1]
} sac_learning_column;
// FOLDER/metrics.csv, a row per epoch. SAC_ERROR_IO; SAC_ERROR_MEMORY.
SAC_NODISCARD sac_status sac_learning_write_metrics(const char *folder,
                                                    const sac_learning_epoch *epochs, int64_t count,
                                                    int64_t best,
                                                    const sac_learning_column *columns,
                                                    int column_count, sac_error *error);

#endif
