// The student's model file: network description, preprocessing, parameters and provenance in one safetensors file. `distill` writes it, the runtime and student-info read it.
#ifndef SAC_STUDENT_MODEL_H
#define SAC_STUDENT_MODEL_H

#include <jansson.h>

#include "nn/net.h"
#include "nn/params.h"
#include "saccade/status.h"

#define SAC_MODEL_FORMAT 1

// How frames become network input. Part of the model file; a mismatch is an error, never a silent difference.
typedef struct sac_preprocess {
    int width, height;   // 16..4096
    int channels;        // 1: gray (BT.601 luma of RGB)
    int offsets[3];      // ascending, -64..64
    double mean, scale;  // input = (x - mean) / scale; 127, 128
} sac_preprocess;
sac_preprocess sac_preprocess_default(void); // 240x160, -3 0 3

typedef struct sac_model {
    char *arch;             // "tiny-m"
    sac_preprocess preprocess;
    sac_net *net;           // input "frames" [3][H][W]; outputs "map16" [1][16][16], "map4" [1][4][4], "map1" [1][1][1], each in [0,1]
    sac_params *params;
    json_t *provenance;     // object: dataset fingerprint, teachers, seed, version, command line, metrics ...
} sac_model;

// A model of a named architecture with fresh (zero) parameters. Architectures: "tiny-m". SAC_ERROR_ARGUMENT lists the known ones.
SAC_NODISCARD sac_status sac_model_create(sac_model **model, const char *arch, const sac_preprocess *preprocess, sac_error *error);
// Metadata keys: "format" ("saccade-student"), "format_version", "arch", "network" (JSON), "preprocess" (JSON), "provenance" (JSON).
SAC_NODISCARD sac_status sac_model_save(const sac_model *model, const char *path, sac_error *error);
SAC_NODISCARD sac_status sac_model_load(sac_model **model, const char *path, sac_error *error);
SAC_NODISCARD sac_status sac_model_parse(sac_model **model, const void *bytes, size_t size, const char *name, sac_error *error);
void sac_model_close(sac_model **model);

// Architectures (student/arch.c).
SAC_NODISCARD sac_status sac_arch_build(sac_net **net, const char *arch, const sac_preprocess *preprocess, sac_error *error);
const char *sac_arch_names(void); // "tiny-m"

// Preprocessing shared by training and running (student/preprocess.c): scales one gray or RGB u8 frame to u8 [height][width] of the model.
typedef struct sac_preprocessor sac_preprocessor; // keeps the scaler for the current source size
SAC_NODISCARD sac_status sac_preprocessor_create(sac_preprocessor **p, const sac_preprocess *preprocess);
SAC_NODISCARD sac_status sac_preprocessor_frame(sac_preprocessor *p, uint8_t *gray, const uint8_t *pixels, int width, int height, int channels);
void sac_preprocessor_close(sac_preprocessor **p);
// Interleaves three gray planes u8 [H][W] into network input f32 [H][W][3], normalised.
void sac_preprocess_stack(float *input, const uint8_t *const planes[3], const sac_preprocess *preprocess);
// frame score = mean(map1, max map4, max map16).
float sac_frame_score(const float *map16, const float *map4, float map1);

#endif
