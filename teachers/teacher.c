// Trained teachers behind one face. A family is a row of functions; a teacher file names its family.
#include "teachers/teacher.h"

#include <string.h>

#include "core/check.h"
#include "core/memory.h"
#include "core/safetensors.h"
#include "teachers/ssmtl.h"

// Objects per run of a network: large enough to keep the cores busy, small enough for the cache of a few.
enum { BATCH = 64 };

typedef struct family {
    const char *name;
    int tasks;
    const char *(*task_name)(int task);
    sac_status (*open)(sac_teacher *teacher, const char *path, sac_backend backend,
                       sac_error *error);
    sac_status (*score)(sac_teacher *teacher, float *scores, float *tasks,
                        const sac_detections *detections, const uint8_t *pixels, int width,
                        int height, bool (*stop)(void),
                        void (*progress)(void *user, int64_t objects_done), void *user,
                        sac_error *error);
    void (*close)(sac_teacher *teacher);
} family;

struct sac_teacher {
    const family *family;
    sac_ssmtl_model *ssmtl;
    sac_ssmtl_scorer *ssmtl_scorer;
};

static sac_status open_ssmtl(sac_teacher *teacher, const char *path, sac_backend backend,
                             sac_error *error) {
    sac_status status = SAC_OK;
    SAC_TRY(sac_ssmtl_model_read(&teacher->ssmtl, path, error));
    SAC_TRY(sac_ssmtl_scorer_create(&teacher->ssmtl_scorer, teacher->ssmtl, BATCH, backend, error));
fail:
    return status;
}

static sac_status score_ssmtl(sac_teacher *teacher, float *scores, float *tasks,
                              const sac_detections *detections, const uint8_t *pixels, int width,
                              int height, bool (*stop)(void),
                              void (*progress)(void *user, int64_t objects_done), void *user,
                              sac_error *error) {
    sac_status status = SAC_OK;
    float *own = NULL;
    if (tasks == NULL) {
        SAC_TRY_ALLOC(own = sac_calloc(detections->count, SAC_SSMTL_TASKS * sizeof *own));
        tasks = own;
    }
    SAC_TRY(sac_ssmtl_scorer_run(teacher->ssmtl_scorer, tasks, detections, pixels, width, height,
                                 stop, progress, user, error));
    for (int64_t i = 0; i < detections->count; i++) {
        scores[i] =
            sac_ssmtl_object_score(&teacher->ssmtl->calibration, tasks + i * SAC_SSMTL_TASKS);
    }
fail:
    sac_free(own);
    return status < 0 ? sac_error_set(error, status, -1, "no memory for the object scores")
                      : SAC_OK;
}

static void close_ssmtl(sac_teacher *teacher) {
    sac_ssmtl_scorer_close(&teacher->ssmtl_scorer);
    sac_ssmtl_model_close(&teacher->ssmtl);
}

static const family FAMILIES[] = {
    {"ssmtl", SAC_SSMTL_TASKS, sac_ssmtl_task_name, open_ssmtl, score_ssmtl, close_ssmtl},
};

sac_status sac_teacher_open(sac_teacher **out, const char *path, sac_backend backend,
                            sac_error *error) {
    sac_status status = SAC_OK;
    sac_safetensors *st = NULL;
    *out = NULL;
    sac_teacher *teacher = sac_calloc(1, sizeof *teacher);
    SAC_TRY_ALLOC(teacher);
    SAC_TRY(sac_safetensors_read(&st, path, error));
    const char *name = sac_safetensors_metadata(st, "teacher");
    for (size_t i = 0; name != NULL && i < sizeof FAMILIES / sizeof FAMILIES[0]; i++) {
        if (strcmp(name, FAMILIES[i].name) == 0) teacher->family = &FAMILIES[i];
    }
    if (teacher->family == NULL) {
        status = sac_error_set(error, SAC_ERROR_FORMAT, -1,
                               "%s: not a teacher of a known family (ssmtl)", path);
        goto fail;
    }
    sac_safetensors_close(&st);
    SAC_TRY(teacher->family->open(teacher, path, backend, error));
    *out = teacher;
    return SAC_OK;
fail:
    sac_safetensors_close(&st);
    sac_teacher_close(&teacher);
    return sac_error_set(error, status, -1, "%s: no memory for a teacher", path);
}

sac_status sac_teacher_score(sac_teacher *teacher, float *scores, float *tasks,
                             const sac_detections *detections, const uint8_t *pixels, int width,
                             int height, bool (*stop)(void),
                             void (*progress)(void *user, int64_t objects_done), void *user,
                             sac_error *error) {
    return teacher->family->score(teacher, scores, tasks, detections, pixels, width, height, stop,
                                  progress, user, error);
}

int sac_teacher_task_count(const sac_teacher *teacher) {
    return teacher->family->tasks;
}

const char *sac_teacher_task_name(const sac_teacher *teacher, int task) {
    return teacher->family->task_name(task);
}

const char *sac_teacher_name(const sac_teacher *teacher) {
    return teacher->family->name;
}

void sac_teacher_close(sac_teacher **slot) {
    if (slot == NULL || *slot == NULL) return;
    if ((*slot)->family != NULL) (*slot)->family->close(*slot);
    sac_free(*slot);
    *slot = NULL;
}
