// The student's model file: network description, preprocessing, parameters and provenance in one
// safetensors file. `distill` writes it, the runtime and student-info read it. Knows nothing of
// plans, streams or training.
#ifndef SAC_STUDENT_MODEL_H
#define SAC_STUDENT_MODEL_H

#include <jansson.h>

#include "nn/net.h"
#include "nn/params.h"
#include "nn/quant.h"
#include "saccade/luma.h"
#include "saccade/status.h"

// The newest format. 1: gray students with three maps; 2: also such that see colour or have fewer.
#define SAC_MODEL_FORMAT 2

// How frames become network input. Part of the model file; a mismatch is an error, never a silent
// difference.
typedef struct sac_preprocess {
    int width, height;  // 16..4096 px
    int channels;       // of a frame; 1: gray (BT.601 luma of RGB), 3: RGB
    int offsets[3];     // frames looked at, relative to t; strictly ascending, -64..64
    double mean, scale; // input = (x - mean) / scale, x in 0..255; 0, 255
} sac_preprocess;

sac_preprocess sac_preprocess_default(void); // 240x160, gray, -3 0 3, x / 255

// Bytes of one frame as the network sees it, u8 [H][W][channels]: a network frame.
int64_t sac_preprocess_bytes(const sac_preprocess *preprocess);

// SAC_OK, or `code` (SAC_ERROR_ARGUMENT for a caller's settings, SAC_ERROR_FORMAT for a file's)
// with a message that starts with `name` and tells what was found and what is allowed.
SAC_NODISCARD sac_status sac_preprocess_check(const sac_preprocess *preprocess, sac_status code,
                                              const char *name, sac_error *error);

// The network has one input "frames" [3 channels][H][W], the channels of one frame after those of
// the frame before, and one to three of the outputs "map16" [1][16][16], "map4" [1][4][4] and
// "map1" [1][1][1] (student/heads.h), each in [0,1].
typedef struct sac_model {
    char *arch; // "tiny-m"; for people, what runs is `net`
    sac_preprocess preprocess;
    sac_net *net;
    sac_params *params;
    json_t *provenance; // object: data set, teachers, seed, version, command line, metrics ...
    // Scales of the activations for int8 plans, or NULL. The network is then meant to run folded
    // (nn/fold.h); names are those of its activations.
    sac_quant *quant;
    json_t *calibration; // object that turns scores into calibrated ones, or NULL
} sac_model;

// A model of a named architecture with zero parameters (norm weights and variances one) and empty
// provenance. Initialise with sac_arch_init (student/arch.h). The caller closes it.
// SAC_ERROR_ARGUMENT: unknown architecture (the message lists the known ones) or preprocessing out
// of range;
// SAC_ERROR_MEMORY.
SAC_NODISCARD sac_status sac_model_create(sac_model **model, const char *arch,
                                          const sac_preprocess *preprocess, sac_error *error);

// Writes the file atomically. Metadata keys: "format" ("saccade-student"), "format_version",
// "arch", "network" (JSON), "preprocess" (JSON), "provenance" (JSON) and, where the model has them,
// "quantisation" (JSON, nn/quant.h) and "calibration" (JSON object).
// SAC_ERROR_NUMERIC: a parameter is not finite (names it; nothing is written); SAC_ERROR_IO;
// SAC_ERROR_MEMORY.
SAC_NODISCARD sac_status sac_model_save(const sac_model *model, const char *path, sac_error *error);

// Reads a model. The stored network is what will run, checked beforehand: input and outputs of
// the shapes above, the outputs being sigmoids; sizes that a frame can reasonably cost;
// every parameter present with its shape and finite; no tensor that the network does not use; a
// quantisation that names at least one node. Of "calibration" only that it is an object is checked.
// SAC_ERROR_IO; SAC_ERROR_FORMAT: not a model, damaged, missing or contradicting metadata;
// SAC_ERROR_UNSUPPORTED: written by a newer version; SAC_ERROR_NUMERIC: a weight is not finite;
// SAC_ERROR_MEMORY. Messages start with the path.
SAC_NODISCARD sac_status sac_model_load(sac_model **model, const char *path, sac_error *error);

// The same from memory; `name` stands for the path in messages.
SAC_NODISCARD sac_status sac_model_parse(sac_model **model, const void *bytes, size_t size,
                                         const char *name, sac_error *error);
void sac_model_close(sac_model **model); // NULL-safe, accepts half-built models
// The oldest format that can hold the model: what its file says.
int sac_model_format(const sac_model *model);

// {"width", "height", "channels": 1, "luma": "bt601", "offsets": [3], "mean", "scale"}, of colour
// "channels": 3 and "colour": "rgb" in place of "luma"; new reference, NULL on lack of memory. The
// reverse checks everything: SAC_ERROR_FORMAT naming `name` and the key.
json_t *sac_preprocess_to_json(const sac_preprocess *preprocess);
SAC_NODISCARD sac_status sac_preprocess_from_json(sac_preprocess *preprocess, const json_t *json,
                                                  const char *name, sac_error *error);

// Scales one frame u8 [height][width][channels] (1 gray, 3 RGB; sides 1..16384) to a network frame
// u8 [H][W][channels of the model], by area average or bilinear (video/scale.h). Of RGB a gray
// student gets the luma, taken before scaling (video/bt601.h); of gray a colour student gets
// R = G = B. Deterministic, the same bytes with every instruction set. Keeps the scaler of the last
// source size: memory is allocated only when the size or the channels change. One preprocessor per
// thread.
// SAC_ERROR_ARGUMENT: a value out of range; SAC_ERROR_MEMORY.
typedef struct sac_preprocessor sac_preprocessor;
SAC_NODISCARD sac_status sac_preprocessor_create(sac_preprocessor **p,
                                                 const sac_preprocess *preprocess);
SAC_NODISCARD sac_status sac_preprocessor_frame(sac_preprocessor *p, uint8_t *frame,
                                                const uint8_t *pixels, int width, int height,
                                                int channels);
// The same from a luma plane where it lies, in one pass: scaled and, of limited range, stretched to
// 0..255 with one rounding. Gives the bytes that a video source of gray pixels of the model's size
// gives; for a colour student R = G = B. SAC_ERROR_ARGUMENT: also rows that overlap.
SAC_NODISCARD sac_status sac_preprocessor_luma(sac_preprocessor *p, uint8_t *frame,
                                               const sac_luma *luma);
void sac_preprocessor_close(sac_preprocessor **p);

// input f32 [H][W][channels] = (x - mean) / scale of a network frame.
void sac_preprocess_normalise(float *input, const uint8_t *frame, const sac_preprocess *preprocess);
// Interleaves three network frames into network input f32 [H][W][3 channels], normalised: the same
// numbers.
void sac_preprocess_stack(float *input, const uint8_t *const frames[3],
                          const sac_preprocess *preprocess);

#endif
