// Frame scores and regions of map stores. Maps of single tasks are painted again from the objects;
// nothing is written anywhere.
#include "bench/map_scores.h"

#include <math.h>
#include <string.h>

#include "core/check.h"
#include "core/file.h"
#include "core/json.h"
#include "core/memory.h"
#include "eval/map_regions.h"
#include "saccade/student.h"
#include "student/heads.h"
#include "teachers/clip_truth.h"

enum { FINE = SAC_MAP_FINE * SAC_MAP_FINE, COARSE = SAC_MAP_COARSE * SAC_MAP_COARSE };

// ---- sources -----------------------------------------------------------------------------------

static void warn_other_data(const sac_map_store *store, const sac_dataset *dataset,
                            const sac_logger *logger) {
    const json_t *made_from = json_object_get(sac_map_store_provenance(store), "dataset");
    const char *fingerprint = json_string_value(json_object_get(made_from, "fingerprint"));
    if (logger == NULL || logger->write == NULL || fingerprint == NULL ||
        strcmp(fingerprint, dataset->fingerprint) == 0)
        return;
    char *message = sac_format("%s was made from another data set than %s (fingerprints differ)",
                               sac_map_store_folder(store), dataset->path);
    if (message != NULL) logger->write(logger->user, SAC_LOG_WARNING, message);
    sac_free(message);
}

sac_status sac_map_source_open(sac_map_source *source, const char *text, const sac_dataset *dataset,
                               const sac_logger *logger, sac_error *error) {
    sac_status status = SAC_OK;
    char *table = NULL;
    memset(source, 0, sizeof *source);
    const char *folder = text, *sign = strchr(text, '=');
    if (sign != NULL && !sac_is_folder(text)) {
        const size_t length = (size_t)(sign - text);
        if (length == 0)
            return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                                 "--maps '%.200s': expected FOLDER or NAME=FOLDER", text);
        folder = sign + 1;
        SAC_TRY_ALLOC(source->name = sac_format("%.*s", (int)length, text));
    } else {
        size_t end = strlen(text);
        while (end > 1 && text[end - 1] == '/') end--;
        size_t start = end;
        while (start > 0 && text[start - 1] != '/') start--;
        SAC_TRY_ALLOC(source->name = sac_format("%.*s", (int)(end - start), text + start));
    }
    SAC_TRY(sac_map_store_open(&source->store, folder, error));
    warn_other_data(source->store, dataset, logger);
    SAC_TRY_ALLOC(table = sac_path_join(folder, "objects.csv"));
    if (sac_is_file(table)) SAC_TRY(sac_object_table_open(&source->objects, source->store, error));
fail:
    sac_free(table);
    if (status < 0) sac_map_source_close(source);
    return status < 0 ? sac_error_set(error, status, -1, "%s: no memory", text) : SAC_OK;
}

void sac_map_source_close(sac_map_source *source) {
    if (source == NULL) return;
    sac_object_table_close(&source->objects);
    sac_map_store_close(&source->store);
    sac_free(source->name);
    memset(source, 0, sizeof *source);
}

// A number of the training run, NaN when the store does not hold it.
static double fact(const sac_map_store *store, const char *key) {
    const json_t *root = sac_map_store_provenance(store);
    const json_t *value = json_object_get(json_object_get(root, "metrics"), key);
    if (!json_is_number(value))
        value = json_object_get(json_object_get(json_object_get(root, "trained"), "metrics"), key);
    return json_is_number(value) ? json_number_value(value) : (double)NAN;
}

// ---- sets --------------------------------------------------------------------------------------

static void take_frames(float *scores, const sac_maps *maps, bool pooled) {
    for (int64_t t = 0; t < maps->frames; t++) {
        const float *const all[SAC_HEADS] = {maps->map16 + t * FINE, maps->map4 + t * COARSE,
                                             maps->map1 + t};
        scores[t] = pooled ? sac_heads_score(all) : maps->map1[t];
    }
}

static sac_status take_map_regions(sac_detected *regions, const float *map16, const sac_clip *clip,
                                   sac_error *error) {
    int width, height;
    sac_status status = sac_clip_size(&width, &height, clip, error);
    if (status >= 0)
        status = sac_map_regions(regions, map16, clip->frames, SAC_MAP_FINE, SAC_MAP_FINE, width,
                                 height, error);
    return status;
}

static sac_status make_regions(sac_score_set *set, sac_region_kind kind,
                               const sac_clip_selection *selection) {
    set->region_kind = kind;
    if (kind == SAC_REGIONS_NONE) return SAC_OK;
    set->regions = sac_calloc(selection->count, sizeof *set->regions);
    return set->regions != NULL ? SAC_OK : SAC_ERROR_MEMORY;
}

sac_status sac_score_set_maps(sac_score_set *set, const sac_map_source *source,
                              const sac_map_request *request, const sac_clip_selection *selection,
                              sac_error *error) {
    sac_maps maps = {0};
    sac_objects objects = {0};
    sac_status status;
    SAC_TRY(sac_score_set_create(
        set, sac_format("maps %s%s", source->name, request->pooled ? ", mean of scales" : ""),
        selection, error));
    set->training_minutes = fact(source->store, "training_minutes");
    set->objects_per_s = fact(source->store, "scored_per_s");
    SAC_TRY(make_regions(set,
                         request->regions == SAC_REGIONS_OBJECTS && source->objects == NULL
                             ? SAC_REGIONS_MAP
                             : request->regions,
                         selection));
    for (int64_t c = 0; c < selection->count; c++) {
        const sac_clip *clip = selection->clips[c];
        SAC_TRY(sac_map_store_get(source->store, &maps, clip->name, clip->frames, error));
        take_frames(set->scores[c], &maps, request->pooled);
        if (set->region_kind == SAC_REGIONS_MAP) {
            SAC_TRY(take_map_regions(&set->regions[c], maps.map16, clip, error));
        } else if (set->region_kind == SAC_REGIONS_OBJECTS) {
            SAC_TRY(
                sac_object_table_get(source->objects, &objects, clip->name, clip->frames, error));
            SAC_TRY(sac_objects_detected(&set->regions[c], &objects.detections, objects.scores));
            sac_objects_close(&objects);
        }
        sac_maps_close(&maps);
    }
    return SAC_OK;
fail:
    sac_maps_close(&maps);
    sac_objects_close(&objects);
    sac_score_set_close(set);
    return sac_error_set(error, status, -1, "no memory for the scores of %s", source->name);
}

sac_status sac_score_set_task(sac_score_set *set, const sac_map_source *source, int task,
                              const sac_map_request *request, const sac_clip_selection *selection,
                              sac_error *error) {
    sac_maps maps = {0};
    sac_objects objects = {0};
    float *scores = NULL;
    int64_t block, filter;
    sac_status status;
    const json_t *provenance = sac_map_store_provenance(source->store);
    const char *folder = sac_map_store_folder(source->store);
    const sac_calibration *tasks = sac_object_table_tasks(source->objects);
    SAC_TRY(sac_score_set_create(set, sac_format("%s: %s", source->name, tasks->name[task]),
                                 selection, error));
    set->part = true;
    SAC_TRY(sac_json_get_int(provenance, "block", 1, INT16_MAX, &block, folder, error));
    SAC_TRY(sac_json_get_int(provenance, "filter", 1, SAC_MAPS_MAX_FILTER, &filter, folder, error));
    SAC_TRY(make_regions(set, request->regions, selection));
    for (int64_t c = 0; c < selection->count; c++) {
        const sac_clip *clip = selection->clips[c];
        int width, height;
        SAC_TRY(sac_clip_size(&width, &height, clip, error));
        SAC_TRY(sac_object_table_get(source->objects, &objects, clip->name, clip->frames, error));
        SAC_TRY_ALLOC(scores = sac_calloc(objects.detections.count, sizeof *scores));
        for (int64_t i = 0; i < objects.detections.count; i++)
            scores[i] = objects.tasks[i * objects.task_count + task];
        SAC_TRY(sac_maps_paint(&maps, &objects.detections, scores, width, height, (int)block,
                               (int)filter));
        take_frames(set->scores[c], &maps, request->pooled);
        if (request->regions == SAC_REGIONS_OBJECTS)
            SAC_TRY(sac_objects_detected(&set->regions[c], &objects.detections, scores));
        else if (request->regions == SAC_REGIONS_MAP)
            SAC_TRY(take_map_regions(&set->regions[c], maps.map16, clip, error));
        sac_free(scores);
        scores = NULL;
        sac_maps_close(&maps);
        sac_objects_close(&objects);
    }
    return SAC_OK;
fail:
    sac_free(scores);
    sac_maps_close(&maps);
    sac_objects_close(&objects);
    sac_score_set_close(set);
    return sac_error_set(error, status, -1, "%s: task %s: %s", folder, tasks->name[task],
                         sac_status_name(status));
}

// ---- several teachers --------------------------------------------------------------------------

static bool same_boxes(const sac_detections *a, const sac_detections *b) {
    if (a->count != b->count || a->frames != b->frames) return false;
    for (int64_t t = 0; t <= a->frames; t++)
        if (a->start[t] != b->start[t]) return false;
    for (int64_t i = 0; i < a->count; i++)
        if (memcmp(&a->boxes[i].x1, &b->boxes[i].x1, sizeof(float)) != 0 ||
            memcmp(&a->boxes[i].y1, &b->boxes[i].y1, sizeof(float)) != 0 ||
            memcmp(&a->boxes[i].x2, &b->boxes[i].x2, sizeof(float)) != 0 ||
            memcmp(&a->boxes[i].y2, &b->boxes[i].y2, sizeof(float)) != 0)
            return false;
    return true;
}

// Mean object scores of a clip in `first`; *same false (and first unfinished) where boxes differ.
static sac_status mean_objects(sac_objects *first, bool *same, const sac_map_source *const *sources,
                               int count, const sac_clip *clip, sac_error *error) {
    sac_status status = SAC_OK;
    sac_objects other = {0};
    *same = true;
    for (int s = 0; s < count && *same; s++) {
        if (sources[s]->objects == NULL) {
            *same = false;
            break;
        }
        SAC_TRY(sac_object_table_get(sources[s]->objects, s == 0 ? first : &other, clip->name,
                                     clip->frames, error));
        if (s == 0) continue;
        *same = same_boxes(&first->detections, &other.detections);
        for (int64_t i = 0; *same && i < first->detections.count; i++)
            first->scores[i] += other.scores[i];
        sac_objects_close(&other);
    }
    for (int64_t i = 0; *same && i < first->detections.count; i++) first->scores[i] /= (float)count;
fail:
    sac_objects_close(&other);
    return status;
}

// Object regions of all clips, or none at all when boxes differ anywhere.
static sac_status ensemble_objects(sac_score_set *set, bool *same,
                                   const sac_map_source *const *sources, int count,
                                   const sac_clip_selection *selection, sac_error *error) {
    sac_status status = SAC_OK;
    sac_objects objects = {0};
    *same = true;
    for (int64_t c = 0; c < selection->count && *same; c++) {
        SAC_TRY(mean_objects(&objects, same, sources, count, selection->clips[c], error));
        if (*same)
            SAC_TRY(sac_objects_detected(&set->regions[c], &objects.detections, objects.scores));
        sac_objects_close(&objects);
    }
    for (int64_t c = 0; c < selection->count && !*same; c++) sac_detected_close(&set->regions[c]);
fail:
    sac_objects_close(&objects);
    return status;
}

static sac_status add_maps(sac_maps *sum, const sac_map_source *source, bool first,
                           const sac_clip *clip, sac_error *error) {
    sac_maps maps = {0};
    const sac_status status =
        sac_map_store_get(source->store, first ? sum : &maps, clip->name, clip->frames, error);
    if (status < 0 || first) return status;
    for (int64_t i = 0; i < clip->frames * FINE; i++) sum->map16[i] += maps.map16[i];
    for (int64_t i = 0; i < clip->frames * COARSE; i++) sum->map4[i] += maps.map4[i];
    for (int64_t i = 0; i < clip->frames; i++) sum->map1[i] += maps.map1[i];
    sac_maps_close(&maps);
    return SAC_OK;
}

static sac_status name_ensemble(char **name, const sac_map_source *const *sources, int count) {
    *name = sac_strdup("");
    for (int s = 0; s < count && *name != NULL; s++) {
        char *longer = sac_format("%s%s%s", *name, s > 0 ? " + " : "", sources[s]->name);
        sac_free(*name);
        *name = longer;
    }
    return *name != NULL ? SAC_OK : SAC_ERROR_MEMORY;
}

sac_status sac_score_set_ensemble(sac_score_set *set, const sac_map_source *const *sources,
                                  int count, const sac_map_request *request,
                                  const sac_clip_selection *selection, sac_error *error) {
    sac_maps maps = {0};
    char *name = NULL;
    bool same = false;
    double minutes = 0.0, seconds_per_object = 0.0;
    sac_status status;
    memset(set, 0, sizeof *set);
    SAC_TRY(name_ensemble(&name, sources, count));
    SAC_TRY(sac_score_set_create(set, name, selection, error));
    set->part = true;
    for (int s = 0; s < count; s++) {
        minutes += fact(sources[s]->store, "training_minutes");
        seconds_per_object += 1.0 / fact(sources[s]->store, "scored_per_s");
    }
    set->training_minutes = minutes;
    set->objects_per_s = 1.0 / seconds_per_object;
    SAC_TRY(make_regions(set, request->regions, selection));
    if (request->regions == SAC_REGIONS_OBJECTS)
        SAC_TRY(ensemble_objects(set, &same, sources, count, selection, error));
    if (request->regions != SAC_REGIONS_NONE && !same) set->region_kind = SAC_REGIONS_MAP;
    for (int64_t c = 0; c < selection->count; c++) {
        const sac_clip *clip = selection->clips[c];
        for (int s = 0; s < count; s++) SAC_TRY(add_maps(&maps, sources[s], s == 0, clip, error));
        const float share = 1.0f / (float)count;
        for (int64_t i = 0; i < clip->frames * FINE; i++) maps.map16[i] *= share;
        for (int64_t i = 0; i < clip->frames * COARSE; i++) maps.map4[i] *= share;
        for (int64_t i = 0; i < clip->frames; i++) maps.map1[i] *= share;
        take_frames(set->scores[c], &maps, request->pooled);
        if (set->region_kind == SAC_REGIONS_MAP)
            SAC_TRY(take_map_regions(&set->regions[c], maps.map16, clip, error));
        sac_maps_close(&maps);
    }
    return SAC_OK;
fail:
    sac_maps_close(&maps);
    sac_score_set_close(set);
    return sac_error_set(error, status, -1, "an ensemble of %d teachers: %s", count,
                         sac_status_name(status));
}
