// A trained teacher as others see it: scores the objects of a clip. Families register here (now: "ssmtl").
#ifndef SAC_TEACHERS_TEACHER_H
#define SAC_TEACHERS_TEACHER_H

#include <stdbool.h>
#include <stdint.h>

#include "nn/train.h"
#include "saccade/status.h"
#include "teachers/detections.h"

typedef struct sac_teacher sac_teacher;
// Opens a teacher file (FOLDER/teacher.safetensors of a map store).
SAC_NODISCARD sac_status sac_teacher_open(sac_teacher **teacher, const char *path,
                                          sac_backend backend, sac_error *error);
// scores f32 [detections->count], calibrated to [0,1] with statistics of the teacher's own training objects (so that clips, altered clips and single objects are comparable):
// about 0.1 typical for normal objects. tasks f32 [count][sac_teacher_task_count] raw task scores or NULL. pixels u8 gray [frames][height][width].
// `stop` is polled (NULL: never) and makes the call return SAC_ERROR_INTERRUPTED.
SAC_NODISCARD sac_status sac_teacher_score(sac_teacher *teacher, float *scores, float *tasks,
                                           const sac_detections *detections, const uint8_t *pixels,
                                           int width, int height, bool (*stop)(void),
                                           void (*progress)(void *user, int64_t objects_done),
                                           void *user, sac_error *error);
int sac_teacher_task_count(const sac_teacher *teacher);
const char *sac_teacher_task_name(const sac_teacher *teacher, int task);
const char *sac_teacher_name(const sac_teacher *teacher); // "ssmtl"
void sac_teacher_close(sac_teacher **teacher);

#endif
