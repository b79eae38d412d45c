// Deep features of objects: what an image network that somebody else trained says about each
// object's crop, as a vector of length one. Each clip is looked at once: vectors are kept in a
// cache folder. Knows nothing of what is usual.
#ifndef SAC_TEACHERS_DEEP_H
#define SAC_TEACHERS_DEEP_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "nn/train.h"
#include "saccade/status.h"
#include "teachers/detections.h"

typedef struct sac_deep_options {
    // FILE.onnx[:OUTPUT] or darknet:CFG:WEIGHTS[:LAYER] as sac_image_network_read has it; "onnx:"
    // may stand before the first
    const char *network;
    const char *preprocess; // sac_image_input_parse
    // px of the network's input whatever the file says, 8 to 2048; 0: the file's own. The cost of a
    // crop grows with its square, and an object of 30 px shows no more in 224 than in 64
    int64_t side;
} sac_deep_options;

typedef struct sac_deep sac_deep;

// Reads the network. The vector is its output: a map is averaged over its positions, as before the
// classifier of most networks, so that an inner output of a few hundred channels serves best.
// SAC_ERROR_ARGUMENT: more than SAC_DENSITY_MAX_DIMS values, a preprocessing that is none, a text
// that is not UTF-8; and the errors of sac_image_network_read_as and sac_image_runner_create.
SAC_NODISCARD sac_status sac_deep_open(sac_deep **deep, const sac_deep_options *options,
                                       sac_backend backend, sac_error *error);

// For a teacher's file: {"network": as given, "preprocess", "side", "length", "digest"}, the digest
// being SHA-256 of the network's description, weights and input. New reference; NULL: no memory.
json_t *sac_deep_describe(const sac_deep *deep);
// The same for provenance: files without folders.
json_t *sac_deep_provenance(const sac_deep *deep);
// Files of such a text without their folders, "darknet:a.cfg:a.weights:12"; sac_free it.
char *sac_deep_name(const char *network);

// Opens the network that a description asks for: `elsewhere` (NULL: none) if that is it, else the
// file of the description. `path` stands for the teacher in messages.
// SAC_ERROR_FORMAT: no description; SAC_ERROR_IO: neither file can be read; SAC_ERROR_ARGUMENT:
// what is there is another network (digests named). The message says which file is wanted.
SAC_NODISCARD sac_status sac_deep_open_described(sac_deep **deep, const json_t *description,
                                                 const char *elsewhere, sac_backend backend,
                                                 const char *path, sac_error *error);

int64_t sac_deep_length(const sac_deep *deep);
// Folder for vectors, made when needed, NULL: none. Files deep.<16 hex digits>.safetensors, found
// again by network, pixels and boxes; what cannot be read is made anew. SAC_ERROR_MEMORY.
SAC_NODISCARD sac_status sac_deep_use_cache(sac_deep *deep, const char *folder);

// rows f32 [detections->count][length]: ReLU of the network's output divided by its Euclidean norm
// (zeros stay zeros), in the frame of each object.
//   pixels  u8 gray [frames][height][width]
// `stop` and `progress` as in sac_teacher_score. SAC_ERROR_INTERRUPTED; SAC_ERROR_NUMERIC: a value
// is not finite; SAC_ERROR_IO: the cache cannot be written; SAC_ERROR_MEMORY. One thread at a time.
SAC_NODISCARD sac_status sac_deep_measure(sac_deep *deep, float *rows,
                                          const sac_detections *detections, const uint8_t *pixels,
                                          int width, int height, bool (*stop)(void),
                                          void (*progress)(void *user, int64_t objects_done),
                                          void *user, sac_error *error);
// Objects that the network looked at so far, those of the cache not counted.
int64_t sac_deep_looked_at(const sac_deep *deep);
void sac_deep_close(sac_deep **deep); // NULL-safe

#endif
