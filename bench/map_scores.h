// Score sets out of teachers' map stores: a teacher as it is, each of its tasks alone, and several
// teachers together.
#ifndef SAC_BENCH_MAP_SCORES_H
#define SAC_BENCH_MAP_SCORES_H

#include <stdbool.h>

#include "bench/scores.h"
#include "saccade/status.h"
#include "teachers/maps.h"
#include "teachers/objects.h"
#include "video/dataset.h"

// An open store. Close it with sac_map_source_close, also after a failed open.
typedef struct sac_map_source {
    char *name; // in tables
    sac_map_store *store;
    sac_object_table *objects; // NULL: the store has none
} sac_map_source;
// `text` is "FOLDER" (called by its last component) or "NAME=FOLDER"; a folder of that whole text
// wins. A store made from another data set is reported as a warning to `logger` (may be NULL).
// Errors of sac_map_store_open and sac_object_table_open; SAC_ERROR_ARGUMENT: an empty name.
SAC_NODISCARD sac_status sac_map_source_open(sac_map_source *source, const char *text,
                                             const sac_dataset *dataset, const sac_logger *logger,
                                             sac_error *error);
void sac_map_source_close(sac_map_source *source); // NULL-safe, leaves an empty one

typedef struct sac_map_request {
    // Frame score: false: the 1x1 array, the largest object score of the frame; true: mean of 1x1,
    // largest 4x4 and largest 16x16 cell, as a student's frame score is made.
    bool pooled;
    // Regions wanted: none, the objects, or those of the 16x16 maps. Objects of a store that has
    // none become the maps'.
    sac_region_kind regions;
} sac_map_request;

// The teacher. Errors of sac_map_store_get and sac_object_table_get.
SAC_NODISCARD sac_status sac_score_set_maps(sac_score_set *set, const sac_map_source *source,
                                            const sac_map_request *request,
                                            const sac_clip_selection *selection, sac_error *error);
// One task alone: the objects' scores of that task in [0,1] (teachers/objects.h), painted and
// filtered as the store's maps were, so that rows differ in the task only.
//   task  0 .. sac_object_table_tasks(source->objects)->tasks - 1
// SAC_ERROR_FORMAT: store.json has no "block" or "filter".
SAC_NODISCARD sac_status sac_score_set_task(sac_score_set *set, const sac_map_source *source,
                                            int task, const sac_map_request *request,
                                            const sac_clip_selection *selection, sac_error *error);
// Several teachers with equal weights: the mean of their frame scores. Regions: where all have the
// same boxes, these with the mean of the scores; otherwise the regions of the mean 16x16 map.
// Training minutes add up, objects/s is that of running one after the other.
SAC_NODISCARD sac_status sac_score_set_ensemble(sac_score_set *set,
                                                const sac_map_source *const *sources, int count,
                                                const sac_map_request *request,
                                                const sac_clip_selection *selection,
                                                sac_error *error);

#endif
