// Trained teachers behind one face. A teacher file names its family.
#include "teachers/teacher.h"

#include <math.h>

#include "core/check.h"
#include "core/memory.h"
#include "teachers/family.h"

struct sac_teacher {
    const sac_family *family;
    void *state;
    sac_calibration calibration;
};

sac_status sac_teacher_load(sac_teacher **out, const sac_safetensors *st, const char *path,
                            sac_backend backend, sac_error *error) {
    const sac_teacher_context context = {.backend = backend};
    return sac_teacher_load_with(out, st, path, &context, error);
}

sac_status sac_teacher_open(sac_teacher **out, const char *path, sac_backend backend,
                            sac_error *error) {
    const sac_teacher_context context = {.backend = backend};
    return sac_teacher_open_with(out, path, &context, error);
}

sac_status sac_teacher_load_with(sac_teacher **out, const sac_safetensors *st, const char *path,
                                 const sac_teacher_context *context, sac_error *error) {
    sac_status status = SAC_OK;
    const char *name = NULL;
    *out = NULL;
    sac_teacher *teacher = sac_calloc(1, sizeof *teacher);
    SAC_TRY_ALLOC(teacher);
    SAC_TRY(sac_family_file_check(st, path, error));
    SAC_TRY(sac_family_get_text(st, "teacher", &name, path, error));
    const sac_family *family = sac_family_find(name);
    if (family == NULL) {
        status = sac_error_set(error, SAC_ERROR_FORMAT, -1,
                               "%s: a teacher of family '%.40s', which is not one of %s", path,
                               name, SAC_FAMILIES);
        goto fail;
    }
    teacher->family = family;
    SAC_TRY(family->open(&teacher->state, &teacher->calibration, st, path, context, error));
    *out = teacher;
    return SAC_OK;
fail:
    sac_teacher_close(&teacher);
    return sac_error_set(error, status, -1, "%s: no memory for a teacher", path);
}

sac_status sac_teacher_open_with(sac_teacher **out, const char *path,
                                 const sac_teacher_context *context, sac_error *error) {
    sac_status status = SAC_OK;
    sac_safetensors *st = NULL;
    *out = NULL;
    SAC_TRY(sac_safetensors_read(&st, path, error));
    SAC_TRY(sac_teacher_load_with(out, st, path, context, error));
fail:
    sac_safetensors_close(&st);
    return status;
}

sac_status sac_teacher_score(sac_teacher *teacher, float *scores, float *tasks,
                             const sac_detections *detections, const uint8_t *pixels, int width,
                             int height, bool (*stop)(void),
                             void (*progress)(void *user, int64_t objects_done), void *user,
                             sac_error *error) {
    sac_status status = SAC_OK;
    const sac_calibration *c = &teacher->calibration;
    float *own = NULL;
    if (detections->count == 0) return SAC_OK;
    if (tasks == NULL) {
        SAC_TRY_ALLOC(own = sac_calloc(detections->count * c->tasks, sizeof *own));
        tasks = own;
    }
    SAC_TRY(teacher->family->score(teacher->state, tasks, detections, pixels, width, height, stop,
                                   progress, user, error));
    for (int64_t i = 0; i < detections->count; i++) {
        const float *row = tasks + i * c->tasks;
        for (int k = 0; k < c->tasks; k++) {
            if (isfinite(row[k])) continue;
            status = sac_error_set(error, SAC_ERROR_NUMERIC, i,
                                   "the %s score of object %lld is not finite", c->name[k],
                                   (long long)i);
            goto fail;
        }
    }
    sac_calibration_scores(c, scores, tasks, detections->count);
fail:
    sac_free(own);
    return status < 0 ? sac_error_set(error, status, -1, "no memory for the object scores")
                      : SAC_OK;
}

int sac_teacher_task_count(const sac_teacher *teacher) {
    return teacher->calibration.tasks;
}

const char *sac_teacher_task_name(const sac_teacher *teacher, int task) {
    if (task < 0 || task >= teacher->calibration.tasks) return NULL;
    return teacher->calibration.name[task];
}

const char *sac_teacher_name(const sac_teacher *teacher) {
    return teacher->family->name;
}

const sac_calibration *sac_teacher_calibration(const sac_teacher *teacher) {
    return &teacher->calibration;
}

void sac_teacher_close(sac_teacher **slot) {
    if (slot == NULL || *slot == NULL) return;
    if ((*slot)->family != NULL) (*slot)->family->close(&(*slot)->state);
    sac_free(*slot);
    *slot = NULL;
}
