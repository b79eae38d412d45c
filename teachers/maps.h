// Teacher anomaly maps: object scores painted with max, pooled to 16x16, 4x4 and 1x1 per frame; and
// the store that keeps them on disk.
#ifndef SAC_TEACHERS_MAPS_H
#define SAC_TEACHERS_MAPS_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "saccade/status.h"
#include "teachers/detections.h"

typedef struct sac_maps {
    int64_t frames;
    float *map16; // [frames][16][16]
    float *map4;  // [frames][4][4]
    float *map1;  // [frames]
} sac_maps;
void sac_maps_close(sac_maps *maps);

// Per frame a map of zeros [ceil(height/block)][ceil(width/block)]; every box raises the cells it
// touches to its score,
//   cells x: floor(x1/block) .. ceil(x2/block) - 1, y alike (cut to the picture)
//   map[cell] = max(map[cell], score)
// then, with a filter above 1, a mean over filter x filter cells and `filter` frames, taken over
// covered cells only,
//   map'[t][y][x] = sum of map over the window / number of covered cells in it,  0 where no box
//   lies
// (scores of single frames are noisy, and objects stay for many frames), then adaptive max-pooling
// to 16x16 and 4x4 (output cell i covers floor(i*S/O) .. ceil((i+1)*S/O) - 1 of S cells) and to the
// maximum of the frame.
//   maps     filled; release with sac_maps_close. Left empty on failure.
//   scores   f32 [detections->count] in [0,1]
//   block    pixels per cell, >= 1: 3 on Ped2, 20 at 640x360 and above (in the papers)
//   filter   odd, 1 (off) to SAC_MAPS_MAX_FILTER; 9 in the papers
// SAC_ERROR_NUMERIC: a score that is not finite or outside [0,1] (position = its index);
// SAC_ERROR_ARGUMENT: sizes below 1, or such a filter; SAC_ERROR_MEMORY. Thread-safe.
// Source: Croitoru et al., CVIU 2024, anomaly maps of the teachers. Deviation: their 9x9x9 mean
// divides by the whole window, which makes small objects fainter than large ones; ours by what is
// covered.
#define SAC_MAPS_MAX_FILTER 63
SAC_NODISCARD sac_status sac_maps_paint(sac_maps *maps, const sac_detections *detections,
                                        const float *scores, int width, int height, int block,
                                        int filter);

// The store:
//   FOLDER/store.json            provenance and list of clips, written last
//   FOLDER/<clip>.16x16.npy      [T][16][16], also <clip>.4x4.npy [T][4][4] and <clip>.1x1.npy [T]
//   FOLDER/objects.csv           clip,frame,x1,y1,x2,y2,confidence,class,score and one column per
//                                task;
//                                frames from 1
//   FOLDER/teacher.safetensors   the trained teacher
// store.json keys: "format" "saccade-maps", "version" 1, "clips" [{name, test, frames}] (written by
// the store); "teacher" (name), "dataset" {name, fingerprint, width, height}, "detector", "block",
// "filter", "settings", "metrics" (given by whoever fills it).
typedef struct sac_map_store sac_map_store;

// Makes the folder and removes an old store.json in it, so that an unfinished store is never taken
// for a finished one.
SAC_NODISCARD sac_status sac_map_store_create(sac_map_store **store, const char *folder,
                                              sac_error *error);
// Writes the three arrays of one clip. SAC_ERROR_ARGUMENT: a clip name that is no file name or was
// put before; SAC_ERROR_IO.
SAC_NODISCARD sac_status sac_map_store_put(sac_map_store *store, const char *clip, bool test,
                                           const sac_maps *maps, sac_error *error);
// Writes store.json last, so that a store without it is recognised as unfinished.
SAC_NODISCARD sac_status sac_map_store_commit(sac_map_store *store, const json_t *provenance,
                                              sac_error *error);
// SAC_ERROR_IO: no such folder, or no store.json in it (unfinished); SAC_ERROR_FORMAT: damaged;
// SAC_ERROR_UNSUPPORTED: a newer version.
SAC_NODISCARD sac_status sac_map_store_open(sac_map_store **store, const char *folder,
                                            sac_error *error);
// Lets an opened store take clips beside those that it has; store.json lists them from the next
// commit on. SAC_ERROR_MEMORY.
SAC_NODISCARD sac_status sac_map_store_continue(sac_map_store *store, sac_error *error);
// The whole of store.json (after open), borrowed.
const json_t *sac_map_store_provenance(const sac_map_store *store);
// Checks shapes against `frames` (an error names clip and file), values finite and in [0,1].
SAC_NODISCARD sac_status sac_map_store_get(const sac_map_store *store, sac_maps *maps,
                                           const char *clip, int64_t frames, sac_error *error);
bool sac_map_store_has(const sac_map_store *store, const char *clip);
const char *sac_map_store_folder(const sac_map_store *store);
// Boxes of a clip from objects.csv; scores f32 [count] (may be NULL; sac_free it). A clip without
// rows has no objects, which is not an error. SAC_ERROR_IO: no objects.csv; SAC_ERROR_FORMAT names
// file and line.
SAC_NODISCARD sac_status sac_map_store_objects(const sac_map_store *store,
                                               sac_detections *detections, float **scores,
                                               const char *clip, int64_t frames, sac_error *error);
// Column `column` of objects.csv for the objects of a clip, in their order: values f32 [count].
// SAC_ERROR_IO: no objects.csv; SAC_ERROR_FORMAT: no such column, a value is no number, or the clip
// has not `count` objects.
SAC_NODISCARD sac_status sac_map_store_column(const sac_map_store *store, float *values,
                                              int64_t count, const char *clip, const char *column,
                                              sac_error *error);
void sac_map_store_close(sac_map_store **store);

#endif
