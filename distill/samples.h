// What a student learns from: the frames of the training clips at network size with the teachers'
// maps, and the pseudo-anomalous versions of the clips with the maps that the teachers give them.
// Everything lies in memory as u8 frames, gray or in colour as the student sees them; the frames in
// a block of core/spill.h, so that an hour and more need not fit.
#ifndef SAC_DISTILL_SAMPLES_H
#define SAC_DISTILL_SAMPLES_H

#include <stdbool.h>
#include <stdint.h>

#include "distill/pseudo.h"
#include "nn/train.h"
#include "saccade/status.h"
#include "student/model.h"
#include "teachers/maps.h"
#include "video/dataset.h"

#define SAC_MAX_TEACHERS 8

typedef struct sac_distill_teacher {
    const char *name, *folder; // map store of `teach`; of a student the path of its model file
    double weight;             // of its loss term
    bool student;              // a trained student: it gives maps of its own to all clips
} sac_distill_teacher;

typedef struct sac_sample_clip {
    char *name;              // "Train001", altered versions "Train001+1"
    int64_t frames;          // >= 1
    int64_t validation_from; // frames from here on validate, those before train; 0: all validate
    uint8_t *pixels;         // [frames][height][width][channels] of the preprocessing, borrowed
    uint16_t *kinds;         // [frames] what is altered, see sac_pseudo; NULL for an original clip
    sac_maps maps[SAC_MAX_TEACHERS];
} sac_sample_clip;

typedef struct sac_samples {
    sac_preprocess preprocess;
    sac_sample_clip *clips; // originals first
    int64_t count, originals;
    uint8_t *pixels; // of all clips, one behind the other: a block of core/spill.h, owned
    int teacher_count;
    double weights[SAC_MAX_TEACHERS]; // 0 beyond teacher_count
    // every teacher's family does, see teachers/family.h; a student: it learned from mirrored
    // frames
    bool mirrors;
    int64_t altered_objects; // pasted into all altered clips
} sac_samples;

typedef struct sac_samples_options {
    sac_preprocess preprocess;
    int64_t variants;           // altered versions of each clip; 0: none
    sac_pseudo_mix mix;         // what is altered; all 0: the default
    double validation_fraction; // of the clips, at least one and not all (of each clip's end where
                                // there are fewer than 4 clips), 0.15
    uint64_t seed;
    sac_backend backend; // for the teachers' networks
    // Path to which -NAME of each teacher is added: folders that keep the maps of the altered clips
    // (of a student: of all clips) for a resumed run, each from when it is finished.
    const char *cache;
    // The folders serve several runs, one after the other: their names end in -NAME-KEY instead,
    // where KEY stands for everything their content depends on.
    bool cache_shared;
    const char *show; // existing folder for a contact sheet of each altered clip and teacher; NULL
    bool (*stop)(void);                                        // NULL: never
    void (*progress)(void *user, int64_t done, int64_t total); // in clips, NULL: silent
    void *user;
    sac_logger logger;
} sac_samples_options;

// What can be said of teachers before any is opened. SAC_ERROR_ARGUMENT: none or too many, altered
// clips wanted with students as the only teachers.
SAC_NODISCARD sac_status sac_samples_check(const sac_distill_teacher *teachers, int teacher_count,
                                           int64_t variants, sac_error *error);
// Loads everything. The objects that are altered are those of the first teacher with a map store;
// every teacher scores them.
//   samples   filled; release with sac_samples_close. Left empty on failure.
//   teachers  [teacher_count], 1 to SAC_MAX_TEACHERS
// SAC_ERROR_FORMAT: a map store of another data set (fingerprints differ), maps that do not fit the
// clips; SAC_ERROR_ARGUMENT: no training clips, or sac_samples_check; SAC_ERROR_INTERRUPTED by
// `stop`, which is asked before every clip, altered ones too (what is finished is kept); SAC_ERROR_IO and SAC_ERROR_MEMORY of sac_spill_alloc
// before any teacher has worked; errors of the parts below.
SAC_NODISCARD sac_status sac_samples_load(sac_samples *samples, const sac_dataset *dataset,
                                          const sac_distill_teacher *teachers, int teacher_count,
                                          const sac_samples_options *options, sac_error *error);

// Number that differs, but for an accident, when a frame, map, label, weight or the split differs:
// tells a resumed run that it goes on with the same data. No protection against forgery.
uint64_t sac_samples_digest(const sac_samples *samples);
// Frame AUC of one teacher's own maps on the held-back frames, altered ones against all others:
// what the student can hope for on them. *auc is NaN without altered clips; kinds (may be NULL) as
// sac_kind_auc gives them. SAC_ERROR_ARGUMENT: no
// such teacher; SAC_ERROR_MEMORY; SAC_ERROR_NUMERIC: a map is not finite.
SAC_NODISCARD sac_status sac_samples_teacher_auc(double *auc, double kinds[SAC_PSEUDO_KIND_COUNT],
                                                 const sac_samples *samples, int teacher,
                                                 sac_error *error);
void sac_samples_close(sac_samples *samples);

#endif
