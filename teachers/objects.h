// The scored objects of a map store: boxes, scores and every task of the teacher, relative to what
// is usual. For tables, reports and videos; reads only, changes nothing in the store.
#ifndef SAC_TEACHERS_OBJECTS_H
#define SAC_TEACHERS_OBJECTS_H

#include <stdbool.h>
#include <stdint.h>

#include "eval/regions.h"
#include "saccade/status.h"
#include "teachers/calibration.h"
#include "teachers/maps.h"

// Objects of one clip. Task k of object i stands at [i * task_count + k].
typedef struct sac_objects {
    sac_detections detections;
    int task_count;
    float *scores; // [count] in [0,1]
    float *raw;    // [count][task_count] as the teacher gave them
    float *tasks;  // [count][task_count] in [0,1], see below
} sac_objects;
void sac_objects_close(sac_objects *objects); // NULL-safe, leaves an empty one

// objects.csv of a store, read once. Columns behind `score` are tasks. Their yardstick is
// "calibration" in "metrics" of store.json (or of "trained", the teacher of a store made with
// --from); where a task is missing there, all are measured by the store's own training objects
// instead.
typedef struct sac_object_table sac_object_table;
// The store is borrowed until the table is closed.
// SAC_ERROR_IO: the store has no objects.csv; SAC_ERROR_FORMAT: a column is missing, more than
// SAC_CALIBRATION_TASKS tasks, a score that is no number (file and line named), or no training
// objects where they are needed as a yardstick; SAC_ERROR_MEMORY.
SAC_NODISCARD sac_status sac_object_table_open(sac_object_table **table, const sac_map_store *store,
                                               sac_error *error);
// Names, medians and quantiles of the tasks; `tasks` may be 0. Borrowed.
const sac_calibration *sac_object_table_tasks(const sac_object_table *table);
// Whether the yardstick came from the store's provenance (true) or from its training objects.
bool sac_object_table_calibrated(const sac_object_table *table);
// Objects of a clip; none for a clip without rows. tasks = sac_calibration_score of
// sac_calibration_relative, so that 0.12 is typical and 0.5 the 99 % quantile, as in `scores`.
// Errors as sac_map_store_objects; *objects is left empty then.
SAC_NODISCARD sac_status sac_object_table_get(const sac_object_table *table, sac_objects *objects,
                                              const char *clip, int64_t frames, sac_error *error);
void sac_object_table_close(sac_object_table **table); // NULL-safe

// Objects with the given scores f32 [detections->count] as detected regions (release with
// sac_detected_close). SAC_ERROR_MEMORY.
SAC_NODISCARD sac_status sac_objects_detected(sac_detected *detected,
                                              const sac_detections *detections,
                                              const float *scores);

#endif
