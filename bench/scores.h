// Where frame scores to be evaluated come from: tables and arrays written by other programs, a
// student model run here, or the frame-difference baseline (map stores: bench/map_scores.h). Every
// source ends up as one score set aligned with the data set's labelled test clips; a count that
// does not match is an error.
#ifndef SAC_BENCH_SCORES_H
#define SAC_BENCH_SCORES_H

#include <stdbool.h>
#include <stdint.h>

#include "eval/regions.h"
#include "saccade/status.h"
#include "saccade/student.h"
#include "saccade/video.h"
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

// What regions of a score set are.
typedef enum sac_region_kind {
    SAC_REGIONS_NONE,    // frame scores only
    SAC_REGIONS_OBJECTS, // boxes of a teacher with the objects' scores
    SAC_REGIONS_MAP,     // connected cells of 16x16 maps (eval/map_regions.h)
    SAC_REGIONS_COARSE,  // of 4x4 maps, where a student has no finer one
    SAC_REGIONS_FRAME,   // the whole frame, of a student with a 1x1 map only
} sac_region_kind;
const char *sac_region_kind_name(sac_region_kind kind); // "-", "objects", "16x16 map" ...

typedef struct sac_score_set {
    char *name;     // for tables: "model ped2.safetensors"
    int64_t count;  // clips of the selection
    float **scores; // [count][frames of that clip], raw; owned
    bool baseline;  // the frame-difference scorers; tables keep them apart
    bool part;      // a single task or a mixture of others: only in the table of all scorers
    sac_region_kind region_kind;
    sac_detected *regions; // [count] detected regions of each clip; NULL: none; owned
    double training_minutes, objects_per_s; // of a teacher; NaN: not known or not one
} sac_score_set;
void sac_score_set_close(sac_score_set *set); // NULL-safe
// A set of the selection's shape with scores 0 and without regions. Takes `name` (sac_free) over,
// also on failure, which leaves an empty set; a NULL name counts as lack of memory.
SAC_NODISCARD sac_status sac_score_set_create(sac_score_set *set, char *name,
                                              const sac_clip_selection *selection,
                                              sac_error *error);

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

// How a student model is run over the clips. What is not the usual way stands in the set's name.
typedef struct sac_model_scoring {
    sac_precision precision;
    int threads;  // workers, each on frames of its own, 0: one per core; scores do not depend on it
    bool regions; // keep those of its finest maps too
    bool gate;    // take results over while nothing moves (saccade/student.h)
    const sac_video_options *decode; // threads of the decoder and what it leaves out
                                     // (skip_loop_filter, skip_frames, lowres); NULL: nothing
} sac_model_scoring;
// The scores of one model. SAC_ERROR_UNSUPPORTED: a clip's codec cannot leave out what `decode`
// says; what the student and the video source return.
SAC_NODISCARD sac_status sac_score_set_model(sac_score_set *set, const char *path,
                                             const sac_model_scoring *how,
                                             const sac_clip_selection *selection,
                                             const sac_logger *logger,
                                             const sac_score_progress *progress, sac_error *error);

// Both frame-difference scorers in one pass over the clips.
SAC_NODISCARD sac_status sac_score_set_baseline(sac_score_set *mean, sac_score_set *block,
                                                const sac_clip_selection *selection,
                                                const sac_score_progress *progress,
                                                sac_error *error);

#endif
