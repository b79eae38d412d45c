// One run of `teach`: detect objects, train a teacher or take a trained one, score every object of
// every clip, write the map store, and say how good the scores are. Knows families only by their
// interface; never prints.
#ifndef SAC_TEACHERS_TEACHING_H
#define SAC_TEACHERS_TEACHING_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "core/options.h"
#include "nn/train.h"
#include "saccade/status.h"
#include "teachers/detections.h"
#include "teachers/family.h"

typedef struct sac_teaching_options {
    const char *dataset, *detector; // as sac_dataset_open and sac_detector_open
    // drop_nested negative: what the teacher `from` was trained with, else the detector's default
    sac_detector_options detection;
    const char *output;         // folder of the map store
    const sac_family *family;   // to train
    const void *family_options; // of that family
    const char *from;           // teacher file, or folder of a map store: nothing is trained
    sac_backend backend;        // for scoring
    const char *deep_features;  // sac_teacher_context, for `from` and members of an ensemble
    int block;                  // pixels per cell of the painted map; 0: an 80th of the height
    int filter;                 // sac_maps_paint, odd
    sac_text_list overlay;      // "CLIP=FILE": videos of these clips
    const char *overlays;       // folder for videos of all test clips, or NULL
    // Training clips are scored and get maps as well, which students and ensembles learn from;
    // false: a store of the test clips, enough to measure the teacher by
    bool training_maps;
    bool resume, overwrite;
    // Every option that has a say in the result, for provenance and for recognising one's own
    // checkpoints: the values of "block", "filter", "threads" and "checkpoint-minutes" may differ
    // when a run is resumed.
    const json_t *settings;
} sac_teaching_options;

typedef struct sac_teaching_listener {
    void *user;
    bool (*stop)(void);
    void (*say)(void *user, sac_log_level level, const char *message);
    // As sac_family_listener; stage NULL: the stage is over.
    void (*progress)(void *user, const char *stage, const char *unit, int64_t done, int64_t total,
                     const char *note);
} sac_teaching_listener;

typedef struct sac_teaching_result {
    bool already_finished; // --resume of a finished folder: nothing was done, the rest is empty
    char teacher[SAC_CALIBRATION_NAME]; // family
    json_t *metrics;                    // of the family, with "scored_per_s"
    // Frame AUC per scorer and smoothing: [{"scores": NAME, "smoothing", "micro", "macro",
    // "constant_micro", "constant_macro"}], areas in [0,1] or null; first the teacher's object
    // scores ("all tasks"), then each task alone, every one painted and pooled to one number per
    // frame in the same way. Empty without labels.
    json_t *auc;
} sac_teaching_result;

// Runs it. Files, in this order:
//   FOLDER/work/                 detections, checkpoint, scores of clips: what --resume continues
//                                from; removed
//                                at the end
//   FOLDER/teacher.safetensors   written by the family, or a copy of `from`
//   FOLDER/...                   as in teachers/maps.h; store.json last
// A resumed run gives the same files as an uninterrupted one but for times (see the family for its
// training). store.json: a trained teacher's provenance; with `from`, "trained" holds the
// provenance of that teacher, and a warning names what differs from it in data set, detector or
// detection options.
// SAC_ERROR_ARGUMENT: options that are missing or contradict each other, or the folder holds a run
// already;
// SAC_ERROR_INTERRUPTED: continue with resume; and what reading, training and writing return.
SAC_NODISCARD sac_status sac_teach(sac_teaching_result *result, const sac_teaching_options *options,
                                   const sac_teaching_listener *listener, sac_error *error);
void sac_teaching_result_close(sac_teaching_result *result);

#endif
