// Where frame scores to be evaluated come from: tables and arrays written by other programs, a
// teacher's map store, a student model run here, or the frame-difference baseline. Every source
// ends up as one score set aligned with the data set's labelled test clips; a count that does not
// match is an error.
#ifndef SAC_BENCH_SCORES_H
#define SAC_BENCH_SCORES_H

#include <stdbool.h>
#include <stdint.h>

#include "saccade/status.h"
#include "video/dataset.h"

// The test clips under evaluation, borrowed from a data set that must outlive the selection.
typedef struct sac_clip_selection {
    const sac_clip **clips;
    int64_t count, frames; // frames of all clips
} sac_clip_selection;

// names  comma-separated clip names in any order, or NULL for every labelled test clip; the
//        selection keeps the data set's order
// SAC_ERROR_ARGUMENT: an empty or unknown name, or a clip without labels (the message names it and
// lists the labelled ones), or no labelled test clip at all; SAC_ERROR_MEMORY.
SAC_NODISCARD sac_status sac_clip_select(sac_clip_selection *selection, const sac_dataset *dataset,
                                         const char *names, sac_error *error);
void sac_clip_selection_close(sac_clip_selection *selection);

typedef struct sac_score_set {
    char *name;     // for tables: "model ped2.safetensors"
    int64_t count;  // clips of the selection
    float **scores; // [count][frames of that clip], raw; owned
    bool baseline;  // the frame-difference scorers; tables keep them apart
} sac_score_set;
void sac_score_set_close(sac_score_set *set);

// Called after each frame or file; nonzero stops with SAC_ERROR_INTERRUPTED. NULL callback: silent.
typedef struct sac_score_progress {
    int (*report)(void *user, int64_t done, int64_t total);
    void *user;
} sac_score_progress;

// path    a folder with <clip>.csv or <clip>.npy for each clip (the table wins when both exist),
//         one CSV with a column `clip` (or `source`: its last path component without ending is the
//         name) that holds several clips, or, when one clip is selected, its CSV or .npy itself
// column  CSV column with the scores, usually "score"
// A table needs the columns `frame` (consecutive, from 0 or 1) and `column`, and one row per frame;
// an array is [frames]. SAC_ERROR_IO: a clip's file is missing (named); SAC_ERROR_FORMAT:
// malformed, or another number of scores than frames (clip and both counts named);
// SAC_ERROR_ARGUMENT; _MEMORY.
SAC_NODISCARD sac_status sac_score_set_read(sac_score_set *set, const char *path,
                                            const char *column, const sac_clip_selection *selection,
                                            sac_error *error);

// Frame scores of a teacher's map store. `pooled` false: its 1x1 array, the largest object score of
// the frame; true: mean of 1x1, largest 4x4 and largest 16x16 cell, as a student's frame score is
// made. A store made from another data set is reported as a warning to `logger` (may be NULL).
SAC_NODISCARD sac_status sac_score_set_maps(sac_score_set *set, const char *folder, bool pooled,
                                            const sac_dataset *dataset,
                                            const sac_clip_selection *selection,
                                            const sac_logger *logger, sac_error *error);

// Runs a student model over the clips. threads 0: all cores.
SAC_NODISCARD sac_status sac_score_set_model(sac_score_set *set, const char *path, int threads,
                                             const sac_clip_selection *selection,
                                             const sac_logger *logger,
                                             const sac_score_progress *progress, sac_error *error);

// Both frame-difference scorers in one pass over the clips.
SAC_NODISCARD sac_status sac_score_set_baseline(sac_score_set *mean, sac_score_set *block,
                                                const sac_clip_selection *selection,
                                                const sac_score_progress *progress,
                                                sac_error *error);

#endif
