// Teacher anomaly maps: object scores painted with max, pooled to 16x16, 4x4 and 1x1 per frame; and the store that keeps them on disk.
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

// Paints scores [detections->count] in [0,1] into a [ceil(H/block)][ceil(W/block)] map per frame with max (zero elsewhere), then adaptive max-pooling to the three scales.
SAC_NODISCARD sac_status sac_maps_paint(sac_maps *maps, const sac_detections *detections, const float *scores, int width, int height, int block);

// The store: FOLDER/store.json (provenance, clips), FOLDER/<clip>.16x16.npy [T][16][16], <clip>.4x4.npy [T][4][4], <clip>.1x1.npy [T], FOLDER/objects.csv
// (clip,frame,x1,y1,x2,y2,confidence,class,score), FOLDER/teacher.safetensors (the trained teacher). store.json keys: "format" "saccade-maps", "version" 1, "teacher" (name),
// "dataset" {name, fingerprint, width, height}, "detector", "block", "clips" [{name, test, frames}], "settings", "metrics".
typedef struct sac_map_store sac_map_store;
SAC_NODISCARD sac_status sac_map_store_create(sac_map_store **store, const char *folder, sac_error *error); // makes the folder
SAC_NODISCARD sac_status sac_map_store_put(sac_map_store *store, const char *clip, bool test, const sac_maps *maps, sac_error *error);
// Writes store.json last, so that a store without it is recognised as unfinished.
SAC_NODISCARD sac_status sac_map_store_commit(sac_map_store *store, const json_t *provenance, sac_error *error);
SAC_NODISCARD sac_status sac_map_store_open(sac_map_store **store, const char *folder, sac_error *error);
const json_t *sac_map_store_provenance(const sac_map_store *store);
// Checks shapes against `frames` (an error names clip and file), values finite and in [0,1].
SAC_NODISCARD sac_status sac_map_store_get(const sac_map_store *store, sac_maps *maps, const char *clip, int64_t frames, sac_error *error);
bool sac_map_store_has(const sac_map_store *store, const char *clip);
const char *sac_map_store_folder(const sac_map_store *store);
// Boxes of a clip from objects.csv; scores f32 [count] (may be NULL; sac_free it).
SAC_NODISCARD sac_status sac_map_store_objects(const sac_map_store *store, sac_detections *detections, float **scores, const char *clip, int64_t frames, sac_error *error);
void sac_map_store_close(sac_map_store **store);

#endif
