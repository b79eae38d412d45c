// Reads the object table of a map store with its task columns and puts the tasks on one scale.
#include "teachers/objects.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/check.h"
#include "core/csv.h"
#include "core/file.h"
#include "core/json.h"
#include "core/memory.h"

struct sac_object_table {
    sac_csv *csv;
    char *path;
    int clip, first; // columns of the clip's name and of the first task
    const sac_map_store *store;
    sac_calibration tasks;
    bool calibrated;
};

void sac_objects_close(sac_objects *objects) {
    if (objects == NULL) return;
    sac_detections_close(&objects->detections);
    sac_free(objects->scores);
    sac_free(objects->raw);
    sac_free(objects->tasks);
    memset(objects, 0, sizeof *objects);
}

static sac_status name_tasks(sac_object_table *table, sac_error *error) {
    table->clip = sac_csv_column(table->csv, "clip");
    const int score = sac_csv_column(table->csv, "score");
    if (table->clip < 0 || score < 0)
        return sac_error_set(error, SAC_ERROR_FORMAT, 1,
                             "%s: line 1: the header has no column '%s'", table->path,
                             table->clip < 0 ? "clip" : "score");
    table->first = score + 1;
    table->tasks.combination = SAC_COMBINE_MEAN;
    const char *name;
    while ((name = sac_csv_header(table->csv, table->first + table->tasks.tasks)) != NULL) {
        const int k = table->tasks.tasks;
        if (k == SAC_CALIBRATION_TASKS || strlen(name) >= SAC_CALIBRATION_NAME)
            return sac_error_set(error, SAC_ERROR_FORMAT, 1,
                                 "%s: line 1: more than %d tasks, or a name of more than %d bytes",
                                 table->path, SAC_CALIBRATION_TASKS, SAC_CALIBRATION_NAME - 1);
        snprintf(table->tasks.name[k], SAC_CALIBRATION_NAME, "%s", name);
        table->tasks.weight[k] = 1.0;
        table->tasks.tasks++;
    }
    return SAC_OK;
}

// Quantiles of every task from provenance; false when one is missing or makes no sense.
static bool take_quantiles(sac_calibration *tasks, const json_t *owner) {
    const json_t *all = json_object_get(json_object_get(owner, "metrics"), "calibration");
    for (int k = 0; k < tasks->tasks; k++) {
        const json_t *entry = json_object_get(all, tasks->name[k]);
        const json_t *median = json_object_get(entry, "median"),
                     *high = json_object_get(entry, "q99");
        if (!json_is_number(median) || !json_is_number(high)) return false;
        tasks->median[k] = json_number_value(median);
        tasks->high[k] = json_number_value(high);
        if (!(tasks->high[k] > tasks->median[k])) return false;
    }
    return true;
}

static sac_status read_row(float *values, const sac_object_table *table, int64_t row,
                           sac_error *error) {
    sac_status status = SAC_OK;
    for (int k = 0; k < table->tasks.tasks; k++) {
        double value;
        SAC_TRY(sac_csv_number(table->csv, row, table->first + k, -(double)FLT_MAX, (double)FLT_MAX,
                               &value, error));
        values[k] = (float)value;
    }
fail:
    return status;
}

// Whether a clip of the store is a training clip.
static bool is_training(const json_t *provenance, const char *clip) {
    const json_t *clips = json_object_get(provenance, "clips");
    for (size_t i = 0; i < json_array_size(clips); i++) {
        const json_t *item = json_array_get(clips, i);
        const char *name = json_string_value(json_object_get(item, "name"));
        if (name != NULL && strcmp(name, clip) == 0)
            return json_is_false(json_object_get(item, "test"));
    }
    return false;
}

static sac_status fit_training(sac_object_table *table, sac_error *error) {
    sac_status status = SAC_OK;
    const int64_t rows = sac_csv_rows(table->csv);
    const json_t *provenance = sac_map_store_provenance(table->store);
    float *values = sac_calloc(rows, (size_t)table->tasks.tasks * sizeof *values);
    int64_t count = 0;
    const char *before = NULL;
    bool training = false;
    SAC_TRY_ALLOC(values);
    for (int64_t i = 0; i < rows; i++) {
        const char *clip = sac_csv_text(table->csv, i, table->clip);
        // Rows of a clip stand together.
        if (before == NULL || strcmp(before, clip) != 0) training = is_training(provenance, clip);
        before = clip;
        if (!training) continue;
        SAC_TRY(read_row(values + count * table->tasks.tasks, table, i, error));
        count++;
    }
    if (count == 0)
        SAC_TRY(sac_error_set(error, SAC_ERROR_FORMAT, -1,
                              "%s: no objects of training clips, and store.json has no calibration "
                              "of the tasks",
                              table->path));
    SAC_TRY(sac_calibration_fit(&table->tasks, values, count, error));
fail:
    sac_free(values);
    return status;
}

sac_status sac_object_table_open(sac_object_table **out, const sac_map_store *store,
                                 sac_error *error) {
    sac_status status = SAC_OK;
    const char *folder = sac_map_store_folder(store);
    *out = NULL;
    sac_object_table *table = sac_calloc(1, sizeof *table);
    SAC_TRY_ALLOC(table);
    table->store = store;
    SAC_TRY_ALLOC(table->path = sac_path_join(folder, "objects.csv"));
    SAC_TRY(sac_csv_read(&table->csv, table->path, error));
    SAC_TRY(name_tasks(table, error));
    const json_t *provenance = sac_map_store_provenance(table->store);
    table->calibrated = take_quantiles(&table->tasks, provenance) ||
                        take_quantiles(&table->tasks, json_object_get(provenance, "trained"));
    if (!table->calibrated && table->tasks.tasks > 0) SAC_TRY(fit_training(table, error));
    *out = table;
    return SAC_OK;
fail:
    sac_object_table_close(&table);
    return sac_error_set(error, status, -1, "%s: no memory for its objects", folder);
}

void sac_object_table_close(sac_object_table **slot) {
    if (slot == NULL || *slot == NULL) return;
    sac_csv_close(&(*slot)->csv);
    sac_free((*slot)->path);
    sac_free(*slot);
    *slot = NULL;
}

const sac_calibration *sac_object_table_tasks(const sac_object_table *table) {
    return &table->tasks;
}

bool sac_object_table_calibrated(const sac_object_table *table) {
    return table->calibrated;
}

sac_status sac_object_table_get(const sac_object_table *table, sac_objects *objects,
                                const char *clip, int64_t frames, sac_error *error) {
    sac_status status = SAC_OK;
    const int tasks = table->tasks.tasks;
    memset(objects, 0, sizeof *objects);
    objects->task_count = tasks;
    SAC_TRY(sac_map_store_objects(table->store, &objects->detections, &objects->scores, clip,
                                  frames, error));
    const int64_t count = objects->detections.count;
    SAC_TRY_ALLOC(objects->raw = sac_calloc(count * tasks, sizeof *objects->raw));
    SAC_TRY_ALLOC(objects->tasks = sac_calloc(count * tasks, sizeof *objects->tasks));
    // The store kept the rows in their order.
    int64_t at = 0;
    for (int64_t i = 0; i < sac_csv_rows(table->csv) && at < count; i++) {
        if (strcmp(sac_csv_text(table->csv, i, table->clip), clip) != 0) continue;
        SAC_TRY(read_row(objects->raw + at * tasks, table, i, error));
        for (int k = 0; k < tasks; k++)
            objects->tasks[at * tasks + k] = sac_calibration_score(
                sac_calibration_relative(&table->tasks, k, objects->raw[at * tasks + k]));
        at++;
    }
    return SAC_OK;
fail:
    sac_objects_close(objects);
    return sac_error_set(error, status, -1, "%s: no memory for the objects of clip %s", table->path,
                         clip);
}

sac_status sac_objects_detected(sac_detected *detected, const sac_detections *detections,
                                const float *scores) {
    *detected = (sac_detected){.count = detections->count};
    detected->regions = sac_calloc(detections->count, sizeof *detected->regions);
    if (detected->regions == NULL) {
        detected->count = 0;
        return SAC_ERROR_MEMORY;
    }
    for (int64_t t = 0; t < detections->frames; t++)
        for (int64_t i = detections->start[t]; i < detections->start[t + 1]; i++) {
            const sac_box *b = &detections->boxes[i];
            detected->regions[i] =
                (sac_detected_region){t, b->x1, b->y1, b->x2, b->y2, scores[i], -(float)INFINITY};
        }
    return SAC_OK;
}
