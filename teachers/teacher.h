// A trained teacher as others see it: opens any family's file and scores the objects of a clip.
//
// To add a family NAME:
//   1. teachers/NAME_family.{h,c}: a `const sac_family sac_NAME_family` (teachers/family.h) with
//   five functions.
//      `check` refuses bad options before anything is done.
//      `train` gets the training clips with their objects and the family's options, and writes a
//      teacher file:
//      safetensors with its own tensors, plus what sac_family_file_describe puts in. It scores the
//      held-back
//      objects itself (sac_family_calibrate), so that a file on its own says how abnormal an object
//      is.
//      `open` reads that file, `score` gives raw task scores, `close` ends it. Combining tasks,
//      mapping to [0,1],
//      checking for scores that are not finite, maps, objects.csv, overlays, resume of the steps
//      after training
//      and the table of AUCs are done behind it, from the names and quantiles in its
//      sac_calibration.
//   2. Its row in FAMILIES of teachers/family.c and its name in SAC_FAMILIES of teachers/family.h.
//   3. Its options: a struct in the family's header, a member of it in the settings of
//   tools/teach_options.h, a
//      group of rows titled "Teacher NAME: ..." in the table of tools/teach_options.c (the group's
//      values enter
//      provenance and the stamp of a run of that family only), and a row in that file's table of
//      families, which
//      says where its options lie.
// Training that takes long keeps a checkpoint with the job's stamp and continues from it bit for
// bit.
#ifndef SAC_TEACHERS_TEACHER_H
#define SAC_TEACHERS_TEACHER_H

#include <stdbool.h>
#include <stdint.h>

#include "core/safetensors.h"
#include "nn/train.h"
#include "saccade/status.h"
#include "teachers/calibration.h"
#include "teachers/detections.h"

typedef struct sac_teacher sac_teacher;

// What a teacher may need beside its file.
typedef struct sac_teacher_context {
    sac_backend backend;
    // Image network of deep features (teachers/deep.h), where it is not, or no longer, where the
    // file says; NULL: there
    const char *deep_features;
    const char *cache; // folder for deep features; NULL: none is kept
} sac_teacher_context;

// Opens a teacher file (FOLDER/teacher.safetensors of a map store), or one that is parsed already
// and that `path` stands for in messages.
// SAC_ERROR_IO; SAC_ERROR_FORMAT: no teacher file, of no known family, damaged;
// SAC_ERROR_UNSUPPORTED: a newer version; SAC_ERROR_NUMERIC: a weight is not finite;
// SAC_ERROR_MEMORY; what sac_deep_open_described returns.
SAC_NODISCARD sac_status sac_teacher_open(sac_teacher **teacher, const char *path,
                                          sac_backend backend, sac_error *error);
SAC_NODISCARD sac_status sac_teacher_load(sac_teacher **teacher, const sac_safetensors *st,
                                          const char *path, sac_backend backend, sac_error *error);
// The same with more to hand in; what the context names is borrowed for the call.
SAC_NODISCARD sac_status sac_teacher_open_with(sac_teacher **teacher, const char *path,
                                               const sac_teacher_context *context,
                                               sac_error *error);
SAC_NODISCARD sac_status sac_teacher_load_with(sac_teacher **teacher, const sac_safetensors *st,
                                               const char *path, const sac_teacher_context *context,
                                               sac_error *error);

// Scores every object of a clip.
//   scores    f32 [detections->count] in [0,1], calibrated with the teacher's own held-back
//             training objects, so
//             that clips, altered clips and single objects are comparable: about 0.1 typical for
//             normal ones
//             (sac_calibration_scores; a calibration by clip takes these objects for the whole
//             clip)
//   tasks     f32 [count][sac_teacher_task_count] raw task scores, or NULL
//   pixels    u8 gray [frames][height][width]
//   stop      polled (NULL: never)
//   progress  may be NULL
// SAC_ERROR_INTERRUPTED: `stop` said so; SAC_ERROR_NUMERIC: a score is not finite (names task and
// object);
// SAC_ERROR_MEMORY. One teacher serves one thread.
SAC_NODISCARD sac_status sac_teacher_score(sac_teacher *teacher, float *scores, float *tasks,
                                           const sac_detections *detections, const uint8_t *pixels,
                                           int width, int height, bool (*stop)(void),
                                           void (*progress)(void *user, int64_t objects_done),
                                           void *user, sac_error *error);

int sac_teacher_task_count(const sac_teacher *teacher);
const char *sac_teacher_task_name(const sac_teacher *teacher, int task); // NULL outside
const char *sac_teacher_name(const sac_teacher *teacher);                // of the family: "ssmtl"
// What it holds for usual; borrowed.
const sac_calibration *sac_teacher_calibration(const sac_teacher *teacher);
void sac_teacher_close(sac_teacher **teacher);

#endif
