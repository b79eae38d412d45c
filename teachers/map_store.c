// Map store on disk: one folder per teacher, arrays as .npy, objects as CSV, provenance as JSON.
// Everything read from it is checked; nothing is kept in memory but the provenance and the object
// table.
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/check.h"
#include "core/csv.h"
#include "core/file.h"
#include "core/json.h"
#include "core/memory.h"
#include "core/npy.h"
#include "core/text.h"
#include "teachers/maps.h"

static const char FORMAT[] = "saccade-maps";
enum { VERSION = 1 };

struct sac_map_store {
    char *folder;
    json_t *clips;      // array while the store is written
    json_t *provenance; // store.json when opened
    sac_csv *objects;   // objects.csv when opened and present
};

// Clip names become file names: no folders, nothing hidden, nothing that could leave the store.
static bool good_name(const char *name) {
    size_t length = strlen(name);
    if (length == 0 || length > 200 || name[0] == '.') return false;
    for (const char *c = name; *c != '\0'; c++) {
        if (*c == '/' || (unsigned char)*c < 32) return false;
    }
    return true;
}

sac_status sac_map_store_create(sac_map_store **out, const char *folder, sac_error *error) {
    sac_status status = SAC_OK;
    char *path = NULL;
    *out = NULL;
    sac_map_store *store = sac_calloc(1, sizeof *store);
    SAC_TRY_ALLOC(store);
    SAC_TRY_ALLOC(store->folder = sac_strdup(folder));
    SAC_TRY_ALLOC(store->clips = json_array());
    SAC_TRY(sac_folder_create(folder, error));
    SAC_TRY_ALLOC(path = sac_path_join(folder, "store.json"));
    if (sac_is_file(path) && unlink(path) != 0) {
        status = sac_error_set(error, SAC_ERROR_IO, -1, "%s: cannot be removed", path);
        goto fail;
    }
    sac_free(path);
    *out = store;
    return SAC_OK;
fail:
    sac_free(path);
    sac_map_store_close(&store);
    return sac_error_set(error, status, -1, "%s: no memory for a map store", folder);
}

// As the names were written: JSON holds none that is not UTF-8.
static const json_t *find_clip(const json_t *clips, const char *name) {
    for (size_t i = 0; i < json_array_size(clips); i++) {
        const json_t *clip = json_array_get(clips, i);
        const char *found = json_string_value(json_object_get(clip, "name"));
        if (found != NULL && sac_text_is_utf8_of(found, name)) return clip;
    }
    return NULL;
}

static char *array_path(const sac_map_store *store, const char *clip, const char *scale) {
    return sac_format("%s/%s.%s.npy", store->folder, clip, scale);
}

sac_status sac_map_store_put(sac_map_store *store, const char *clip, bool test,
                             const sac_maps *maps, sac_error *error) {
    sac_status status = SAC_OK;
    char *path = NULL;
    json_t *row = NULL;
    if (!good_name(clip) || find_clip(store->clips, clip) != NULL) {
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "%s: the clip name '%s' cannot be used as a file name or is there "
                             "already",
                             store->folder, clip);
    }
    static const char *const scale[] = {"16x16", "4x4", "1x1"};
    const float *data[] = {maps->map16, maps->map4, maps->map1};
    for (int i = 0; i < 3; i++) {
        int64_t side = i == 0 ? 16 : 4;
        int64_t dims[3] = {maps->frames, side, side};
        SAC_TRY_ALLOC(path = array_path(store, clip, scale[i]));
        SAC_TRY(sac_npy_write(path, data[i], i == 2 ? 1 : 3, dims, error));
        sac_free(path);
        path = NULL;
    }
    row = json_pack("{s:o, s:b, s:I}", "name", sac_json_text(clip), "test", (int)test, "frames",
                    (json_int_t)maps->frames);
    if (row == NULL || json_array_append_new(store->clips, row) != 0) status = SAC_ERROR_MEMORY;
fail:
    sac_free(path);
    return status < 0 ? sac_error_set(error, status, -1, "%s: no memory to write it", store->folder)
                      : SAC_OK;
}

sac_status sac_map_store_commit(sac_map_store *store, const json_t *provenance, sac_error *error) {
    sac_status status = SAC_OK;
    json_t *json = NULL;
    char *path = sac_path_join(store->folder, "store.json");
    SAC_TRY_ALLOC(path);
    json = json_pack("{s:s, s:i}", "format", FORMAT, "version", (int)VERSION);
    if (json == NULL || json_object_update(json, (json_t *)(uintptr_t)provenance) != 0 ||
        json_object_set(json, "clips", store->clips) != 0) {
        status = SAC_ERROR_MEMORY;
        goto fail;
    }
    SAC_TRY(sac_json_write(json, path, error));
fail:
    json_decref(json);
    sac_free(path);
    return status < 0 ? sac_error_set(error, status, -1, "%s: no memory to write it", store->folder)
                      : SAC_OK;
}

sac_status sac_map_store_continue(sac_map_store *store, sac_error *error) {
    if (store->clips != NULL) return SAC_OK;
    store->clips = json_copy(json_object_get(store->provenance, "clips"));
    if (store->clips != NULL) return SAC_OK;
    return sac_error_set(error, SAC_ERROR_MEMORY, -1, "%s: no memory for a map store",
                         store->folder);
}

static sac_status check_provenance(const sac_map_store *store, const char *path, sac_error *error) {
    sac_status status = SAC_OK;
    const char *text = NULL;
    int64_t number = 0;
    json_t *part = NULL;
    const json_t *json = store->provenance;
    if (!json_is_object(json)) {
        return sac_error_set(error, SAC_ERROR_FORMAT, -1, "%s: a JSON object was expected", path);
    }
    SAC_TRY(sac_json_get_text(json, "format", &text, path, error));
    if (strcmp(text, FORMAT) != 0) {
        return sac_error_set(error, SAC_ERROR_FORMAT, -1, "%s: 'format' is '%.40s', expected '%s'",
                             path, text, FORMAT);
    }
    SAC_TRY(sac_json_get_int(json, "version", 1, INT32_MAX, &number, path, error));
    if (number > VERSION) {
        return sac_error_set(error, SAC_ERROR_UNSUPPORTED, -1,
                             "%s: version %lld, this program reads up to %d", path,
                             (long long)number, (int)VERSION);
    }
    SAC_TRY(sac_json_get_text(json, "teacher", &text, path, error));
    // Stores that were derived from other stores say nothing about the data set themselves.
    if (json_object_get(json, "dataset") != NULL) {
        SAC_TRY(sac_json_get_object(json, "dataset", &part, path, error));
        SAC_TRY(sac_json_get_text(part, "fingerprint", &text, path, error));
    }
    SAC_TRY(sac_json_get_array(json, "clips", &part, path, error));
    for (size_t i = 0; i < json_array_size(part); i++) {
        const json_t *clip = json_array_get(part, i);
        bool test = false;
        SAC_TRY(sac_json_get_text(clip, "name", &text, path, error));
        SAC_TRY(sac_json_get_bool(clip, "test", &test, path, error));
        SAC_TRY(sac_json_get_int(clip, "frames", 1, INT32_MAX, &number, path, error));
        if (!good_name(text)) {
            return sac_error_set(error, SAC_ERROR_FORMAT, -1,
                                 "%s: clip %zu has a name that is no file name", path, i);
        }
    }
fail:
    return status;
}

sac_status sac_map_store_open(sac_map_store **out, const char *folder, sac_error *error) {
    sac_status status = SAC_OK;
    char *path = NULL;
    *out = NULL;
    sac_map_store *store = sac_calloc(1, sizeof *store);
    SAC_TRY_ALLOC(store);
    SAC_TRY_ALLOC(store->folder = sac_strdup(folder));
    SAC_TRY_ALLOC(path = sac_path_join(folder, "store.json"));
    if (!sac_is_folder(folder)) {
        status = sac_error_set(error, SAC_ERROR_IO, -1,
                               "%s: no such folder, a map store was expected", folder);
        goto fail;
    }
    if (!sac_is_file(path)) {
        status =
            sac_error_set(error, SAC_ERROR_IO, -1,
                          "%s: holds no store.json: not a map store, or an unfinished one", folder);
        goto fail;
    }
    SAC_TRY(sac_json_read(&store->provenance, path, error));
    SAC_TRY(check_provenance(store, path, error));
    sac_free(path);
    SAC_TRY_ALLOC(path = sac_path_join(folder, "objects.csv"));
    if (sac_is_file(path)) SAC_TRY(sac_csv_read(&store->objects, path, error));
    sac_free(path);
    *out = store;
    return SAC_OK;
fail:
    sac_free(path);
    sac_map_store_close(&store);
    return sac_error_set(error, status, -1, "%s: no memory for a map store", folder);
}

const json_t *sac_map_store_provenance(const sac_map_store *store) {
    return store->provenance;
}

const char *sac_map_store_folder(const sac_map_store *store) {
    return store->folder;
}

static const json_t *store_clips(const sac_map_store *store) {
    return store->clips != NULL ? store->clips : json_object_get(store->provenance, "clips");
}

bool sac_map_store_has(const sac_map_store *store, const char *clip) {
    return find_clip(store_clips(store), clip) != NULL;
}

// Reads one array and hands its data over.
static sac_status get_array(const sac_map_store *store, float **data, const char *clip,
                            const char *scale, int64_t side, int64_t frames, sac_error *error) {
    sac_status status = SAC_OK;
    sac_npy npy = {0};
    char *path = array_path(store, clip, scale);
    SAC_TRY_ALLOC(path);
    SAC_TRY(sac_npy_read(&npy, path, error));
    int ndims = side == 1 ? 1 : 3;
    bool fits = npy.ndims == ndims && npy.dims[0] == frames;
    for (int i = 1; i < ndims && fits; i++) fits = npy.dims[i] == side;
    if (!fits) {
        status = sac_error_set(error, SAC_ERROR_SHAPE, -1,
                               "%s: clip %s has %lld frames, so an array of %lld%s was expected",
                               path, clip, (long long)frames, (long long)frames,
                               side == 16  ? "x16x16"
                               : side == 4 ? "x4x4"
                                           : " values");
        goto fail;
    }
    for (int64_t i = 0; i < npy.count; i++) {
        if (!(npy.data[i] >= 0 && npy.data[i] <= 1)) {
            int64_t frame = i / (side * side);
            status =
                sac_error_set(error, isfinite(npy.data[i]) ? SAC_ERROR_FORMAT : SAC_ERROR_NUMERIC,
                              frame, "%s: value %g at frame %lld, expected 0 to 1", path,
                              (double)npy.data[i], (long long)frame + 1);
            goto fail;
        }
    }
    *data = npy.data;
    npy.data = NULL;
fail:
    sac_npy_close(&npy);
    sac_free(path);
    return status;
}

sac_status sac_map_store_get(const sac_map_store *store, sac_maps *maps, const char *clip,
                             int64_t frames, sac_error *error) {
    sac_status status = SAC_OK;
    *maps = (sac_maps){.frames = frames};
    if (!sac_map_store_has(store, clip)) {
        return sac_error_set(error, SAC_ERROR_FORMAT, -1, "%s: holds no maps of clip %s",
                             store->folder, clip);
    }
    SAC_TRY(get_array(store, &maps->map16, clip, "16x16", 16, frames, error));
    SAC_TRY(get_array(store, &maps->map4, clip, "4x4", 4, frames, error));
    SAC_TRY(get_array(store, &maps->map1, clip, "1x1", 1, frames, error));
    return SAC_OK;
fail:
    sac_maps_close(maps);
    return sac_error_set(error, status, -1, "%s: no memory for the maps of clip %s", store->folder,
                         clip);
}

sac_status sac_map_store_objects(const sac_map_store *store, sac_detections *detections,
                                 float **scores, const char *clip, int64_t frames,
                                 sac_error *error) {
    sac_status status = SAC_OK;
    *detections = (sac_detections){.frames = frames};
    if (scores != NULL) *scores = NULL;
    float *values = NULL;
    char *path = sac_path_join(store->folder, "objects.csv");
    SAC_TRY_ALLOC(path);
    if (store->objects == NULL) {
        status = sac_error_set(error, SAC_ERROR_IO, -1, "%s: no such file", path);
        goto fail;
    }
    static const char *const wanted[] = {"clip", "frame", "x1",         "y1",   "x2",
                                         "y2",   "score", "confidence", "class"};
    int column[9];
    for (int i = 0; i < 9; i++) {
        column[i] = sac_csv_column(store->objects, wanted[i]);
        if (column[i] < 0) {
            status = sac_error_set(error, SAC_ERROR_FORMAT, 1,
                                   "%s: line 1: the header has no column '%s'", path, wanted[i]);
            goto fail;
        }
    }
    int64_t rows = sac_csv_rows(store->objects), count = 0;
    for (int64_t i = 0; i < rows; i++) {
        if (strcmp(sac_csv_text(store->objects, i, column[0]), clip) == 0) count++;
    }
    SAC_TRY_ALLOC(detections->start = sac_calloc(frames + 1, sizeof(int64_t)));
    SAC_TRY_ALLOC(detections->boxes = sac_calloc(count, sizeof(sac_box)));
    SAC_TRY_ALLOC(values = sac_calloc(count, sizeof *values));
    int64_t last = 0;
    for (int64_t i = 0; i < rows; i++) {
        if (strcmp(sac_csv_text(store->objects, i, column[0]), clip) != 0) continue;
        int64_t frame = 0, class_id = 0;
        double edge[4], score = 0, confidence = 0;
        SAC_TRY(sac_csv_integer(store->objects, i, column[1], 1, frames, &frame, error));
        for (int k = 0; k < 4; k++) {
            SAC_TRY(sac_csv_number(store->objects, i, column[2 + k], -1e6, 1e6, &edge[k], error));
        }
        SAC_TRY(sac_csv_number(store->objects, i, column[6], 0, 1, &score, error));
        SAC_TRY(sac_csv_number(store->objects, i, column[7], 0, 1, &confidence, error));
        SAC_TRY(sac_csv_integer(store->objects, i, column[8], -1, INT32_MAX, &class_id, error));
        if (frame < last || !(edge[0] < edge[2] && edge[1] < edge[3])) {
            status = sac_error_set(error, SAC_ERROR_FORMAT, i + 2,
                                   "%s: line %lld: an empty box, or frames out of order", path,
                                   (long long)i + 2);
            goto fail;
        }
        last = frame;
        values[detections->count] = (float)score;
        detections->boxes[detections->count++] =
            (sac_box){(float)edge[0], (float)edge[1],    (float)edge[2],
                      (float)edge[3], (float)confidence, (int32_t)class_id};
        detections->start[frame]++;
    }
    for (int64_t t = 0; t < frames; t++) detections->start[t + 1] += detections->start[t];
    if (scores != NULL) {
        *scores = values;
        values = NULL;
    }
    sac_free(values);
    sac_free(path);
    return SAC_OK;
fail:
    sac_free(values);
    sac_free(path);
    sac_detections_close(detections);
    return sac_error_set(error, status, -1, "%s: no memory for the objects of clip %s",
                         store->folder, clip);
}

sac_status sac_map_store_column(const sac_map_store *store, float *values, int64_t count,
                                const char *clip, const char *column, sac_error *error) {
    sac_status status = SAC_OK;
    int64_t n = 0;
    if (store->objects == NULL)
        return sac_error_set(error, SAC_ERROR_IO, -1, "%s/objects.csv: no such file",
                             store->folder);
    const int name = sac_csv_column(store->objects, "clip");
    const int at = sac_csv_column(store->objects, column);
    if (name < 0 || at < 0) {
        return sac_error_set(error, SAC_ERROR_FORMAT, 1,
                             "%s/objects.csv: line 1: the header has no column '%s'", store->folder,
                             name < 0 ? "clip" : column);
    }
    for (int64_t i = 0; i < sac_csv_rows(store->objects); i++) {
        double value = 0;
        if (strcmp(sac_csv_text(store->objects, i, name), clip) != 0) continue;
        SAC_TRY(sac_csv_number(store->objects, i, at, -1e30, 1e30, &value, error));
        if (n < count) values[n] = (float)value;
        n++;
    }
    if (n != count) {
        return sac_error_set(error, SAC_ERROR_FORMAT, -1,
                             "%s/objects.csv: clip %s has %lld objects, expected %lld",
                             store->folder, clip, (long long)n, (long long)count);
    }
fail:
    return status;
}

void sac_map_store_close(sac_map_store **slot) {
    if (slot == NULL || *slot == NULL) return;
    sac_map_store *store = *slot;
    json_decref(store->clips);
    json_decref(store->provenance);
    sac_csv_close(&store->objects);
    sac_free(store->folder);
    sac_free(store);
    *slot = NULL;
}
