// A trained student as a teacher of a smaller one: it gives the maps of whole clips, original or
// altered. Where its maps are kept and mixed with others is distill/samples.c's part.
#ifndef SAC_DISTILL_CHAIN_H
#define SAC_DISTILL_CHAIN_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "nn/train.h"
#include "saccade/status.h"
#include "student/model.h"
#include "teachers/maps.h"

typedef struct sac_chain sac_chain;

// Reads the model and plans it in f32 for its own input size, whatever the trained student's is.
// SAC_ERROR_ARGUMENT: it has no 16x16 map; errors of sac_model_load and sac_infer_create. One
// object serves one thread at a time.
SAC_NODISCARD sac_status sac_chain_open(sac_chain **chain, const char *path, sac_backend backend,
                                        sac_error *error);
// Maps of a clip; frames that it looks at beyond the ends repeat the first and the last. A 4x4 or
// 1x1 map that the student has not is pooled from the 16x16 one.
//   maps    filled; release with sac_maps_close. Left empty on failure.
//   pixels  u8 [frames][height][width][channels], frames >= 1, channels 1 or 3, whatever
//           the student sees (saccade/student.h)
//   stop    polled between batches, NULL: never
// SAC_ERROR_INTERRUPTED by `stop`; SAC_ERROR_NUMERIC: a map that is not in [0,1]; SAC_ERROR_MEMORY.
SAC_NODISCARD sac_status sac_chain_maps(sac_chain *chain, sac_maps *maps, const uint8_t *pixels,
                                        int64_t frames, int width, int height, int channels,
                                        bool (*stop)(void), sac_error *error);
// What its maps depend on besides the pixels: architecture, preprocessing, digest of the weights.
// New reference; NULL on lack of memory.
json_t *sac_chain_origin(const sac_chain *chain);
const sac_model *sac_chain_model(const sac_chain *chain); // borrowed
// Whether it learned from mirrored frames, so that mirrored ones keep their mirrored maps.
bool sac_chain_mirrors(const sac_chain *chain);
void sac_chain_close(sac_chain **chain);

#endif
