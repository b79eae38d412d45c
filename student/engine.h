// The student's network ready to run on one thread of the caller (and the compute threads it was
// planned for): whole, or cut into the stem of one frame and the body of three. It knows no
// streams. Clones share weights and compiled code, so that many workers cost little memory.
#ifndef SAC_STUDENT_ENGINE_H
#define SAC_STUDENT_ENGINE_H

#include <stdbool.h>

#include "nn/infer.h"
#include "saccade/student.h"
#include "student/heads.h"
#include "student/model.h"

typedef struct sac_maps {
    unsigned heads; // which of the maps there are, see student/heads.h
    float map16[SAC_MAP_FINE * SAC_MAP_FINE], map4[SAC_MAP_COARSE * SAC_MAP_COARSE], map1;
} sac_maps;
// maps[k] of each head, NULL where there is none.
void sac_maps_list(const float *list[SAC_HEADS], const sac_maps *maps);

typedef struct sac_engine_options {
    int threads;    // of each run, 0: all cores; the plan is made for them
    bool reference; // the plain reference instead of oneDNN
    bool whole;     // never cut into stem and body
    // F32; INT8 with the scales of the model, which must have some; BF16. AUTO is none of them.
    sac_precision precision;
} sac_engine_options;

typedef struct sac_engine sac_engine;

// Plans a model's network. The model is borrowed and must outlive the engine.
// SAC_ERROR_FORMAT: not a student's inputs and outputs; SAC_ERROR_ARGUMENT: AUTO, int8 without
// scales; SAC_ERROR_BACKEND, SAC_ERROR_MEMORY.
SAC_NODISCARD sac_status sac_engine_create(sac_engine **engine, const sac_model *model,
                                           const sac_engine_options *options, sac_error *error);
// The same engine for another thread; `donor` must outlive it. Scores are bit-identical.
SAC_NODISCARD sac_status sac_engine_clone(sac_engine **engine, const sac_engine *donor,
                                          sac_error *error);
void sac_engine_close(sac_engine **engine); // NULL-safe

bool sac_engine_split(const sac_engine *engine); // stem and body are apart
// What one frame leaves behind for the bodies that look at it: its features, or, where the network
// runs whole, the network frame itself. Bytes.
int64_t sac_engine_feature_bytes(const sac_engine *engine);
// Multiply-accumulates per frame of a stream: of a split network those of one stem and the body.
int64_t sac_engine_macs(const sac_engine *engine);
// Memory of the plans: of a clone without shared weights.
int64_t sac_engine_bytes(const sac_engine *engine);

// Features of one network frame u8 [H][W][channels]. Allocates nothing, nor does
// sac_engine_body.
SAC_NODISCARD sac_status sac_engine_stem(sac_engine *engine, void *features, const uint8_t *frame,
                                         sac_error *error);
// Maps of three frames' features. The maps may be anything, also not finite.
SAC_NODISCARD sac_status sac_engine_body(sac_engine *engine, sac_maps *maps,
                                         const void *const features[3], sac_error *error);
// Maps of a prepared f32 input [H][W][3 channels] through the whole network; int8 rounds it to the
// scale of the input first. The first call of an engine that is split plans that network.
SAC_NODISCARD sac_status sac_engine_prepared(sac_engine *engine, sac_maps *maps, const float *input,
                                             sac_error *error);

// Time of each step that a frame of a stream costs, in order, as sac_infer_profile: of a split
// network the stem's and then the body's, once each. They run on what the last sac_engine_stem
// (split only) and sac_engine_body, at least one of each, were given; frame and features must still
// lie there, and the features of that stem are written again. The caller frees `*steps` [*count]
// with sac_free.
// SAC_ERROR_ARGUMENT: repeats; SAC_ERROR_UNSUPPORTED: the reference; SAC_ERROR_MEMORY; errors of
// running.
SAC_NODISCARD sac_status sac_engine_profile(sac_engine *engine, int repeats,
                                            sac_profile_step **steps, int *count, sac_error *error);

#endif
