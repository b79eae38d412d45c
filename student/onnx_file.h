// A student model as an ONNX file for other runtimes: the network of nn/onnx_export.h, with all
// that a stranger needs to feed it and to read its outputs written into the file. Apart from the
// runtime, which needs no protobuf.
#ifndef SAC_STUDENT_ONNX_FILE_H
#define SAC_STUDENT_ONNX_FILE_H

#include "nn/quant.h"
#include "student/model.h"

typedef struct sac_model_onnx_options {
    // "frames" takes pixels u8 [N][3 channels][H][W], the planes of three frames one behind the
    // other, and the graph computes (x - mean) / scale; else f32 computed already.
    bool input_u8;
    int64_t batch;                    // 0: left open
    const sac_quant *quant, *centred; // 8 bits, as in nn/onnx_export.h; NULL: f32
} sac_model_onnx_options;

// The bytes of the file, sac_free them. Input "frames"; outputs, those that the model has, "map16"
// [N][1][16][16], "map4" [N][1][4][4], "map1" [N][1][1][1] in [0,1]. The file's doc_string tells a
// person what goes in and comes out; metadata_props hold "saccade.arch", "saccade.preprocess",
// "saccade.provenance" (the model file's JSON), "saccade.input" ("f32" or "u8") and
// "saccade.precision" ("f32" or "int8").
// Errors as sac_onnx_export.
SAC_NODISCARD sac_status sac_model_to_onnx(uint8_t **data, size_t *size, const sac_model *model,
                                           const sac_model_onnx_options *options, sac_error *error);
// The same, written atomically. SAC_ERROR_IO: the file cannot be written.
SAC_NODISCARD sac_status sac_model_write_onnx(const sac_model *model, const char *path,
                                              const sac_model_onnx_options *options,
                                              sac_error *error);

#endif
