// What the parts of a run of `teach` share. Private to teaching.c and teaching_output.c.
#ifndef SAC_TEACHERS_TEACHING_RUN_H
#define SAC_TEACHERS_TEACHING_RUN_H

#include "teachers/maps.h"
#include "teachers/teacher.h"
#include "teachers/teaching.h"
#include "video/dataset.h"

// A clip of the data set with what was found in it.
typedef struct sac_teaching_clip {
    const sac_clip *clip;
    // training clips stay loaded until training ends, or come and go if the family borrows
    uint8_t *pixels;      // of core/spill.h
    int64_t beside_bytes; // about so many of other clips are loaded with it
    int width, height;
    sac_detections detections;
    float *tasks;        // [count][task_count]
    float *scores;       // [count]
    float *frame_scores; // [frames], of labelled test clips
} sac_teaching_clip;

typedef struct sac_teaching_run {
    sac_teaching_options set;
    sac_teaching_listener listener;
    sac_dataset *dataset;
    sac_detector *detector;
    sac_teaching_clip *clips;
    sac_family_clip *lent; // training clips as the family sees them, while it trains
    char *work, *checkpoint, *teacher_path;
    char *from;         // teacher file
    char *stamp;        // settings that a resumed run must share
    json_t *trained;    // provenance of `from`
    json_t *settings;   // set.settings, where it had to be completed
    json_t *provenance; // of this run, without metrics
    int block, task_count;
    sac_teacher *teacher;
    sac_family_recall recall; // of the family just trained
    json_t *metrics;
    int64_t objects, scored;
    double scoring_s, scoring_cpu_s;
    int64_t progress_base;
} sac_teaching_run;

void sac_teaching_say(const sac_teaching_run *run, sac_log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void sac_teaching_progress(const sac_teaching_run *run, const char *stage, const char *unit,
                           int64_t done, int64_t total, const char *note);
// SAC_ERROR_INTERRUPTED when the listener says stop; `where`: "detecting objects".
SAC_NODISCARD sac_status sac_teaching_poll(const sac_teaching_run *run, const char *where,
                                           sac_error *error);
// Whether the store is to hold this clip.
bool sac_teaching_wants(const sac_teaching_run *run, const sac_teaching_clip *clip);
SAC_NODISCARD sac_status sac_teaching_load(sac_teaching_clip *clip, sac_error *error);

// objects.csv, maps, overlays and store.json.
SAC_NODISCARD sac_status sac_teaching_write(sac_teaching_run *run, sac_error *error);
// The AUC rows of sac_teaching_result.
SAC_NODISCARD sac_status sac_teaching_evaluate(sac_teaching_run *run, json_t **auc,
                                               sac_error *error);

#endif
