// YOLOX networks in ONNX files (nn/onnx.h) as detectors: decoding of their output into boxes.
// Pictures, tiles and suppression are teachers/network_boxes.h.
#ifndef SAC_TEACHERS_DETECT_ONNX_H
#define SAC_TEACHERS_DETECT_ONNX_H

#include <stdint.h>

#include "nn/train.h"
#include "teachers/network_boxes.h"

// Cells of a YOLOX output for an input of width x height: those of the grids with strides 8, 16 and
// 32 (levels 3), and 64 (levels 4), one behind the other. Sizes are multiples of the largest
// stride.
int64_t sac_yolox_cells(int64_t width, int64_t height, int levels);

// Appends the boxes whose confidence is at least `min_confidence`, in pixels of the input. At cell
// (i, j) of a grid of stride s, with the values t:
//   x = (i + tx) s   y = (j + ty) s   w = exp(tw) s   h = exp(th) s
//   confidence = t_object t_class, for every class whose product reaches `min_confidence` one box;
// both are probabilities already. Boxes of no or infinite size are left out.
//   values  [cells][5 + classes]
// SAC_ERROR_NUMERIC: a value is not finite; SAC_ERROR_MEMORY.
// Source: Ge et al., YOLOX: Exceeding YOLO Series in 2021, arXiv:2107.08430, section 2.1, and the
// published exports, which leave the decoding out.
SAC_NODISCARD sac_status sac_yolox_decode(sac_box_list *boxes, const float *values, int classes,
                                          int64_t width, int64_t height, int levels,
                                          double min_confidence);

// A detector from an ONNX file with one input [N][3][H][W], blue first, values 0..255, the picture
// in the top left corner of gray 114, and one output [N][cells][5 + classes]. Gray or RGB frames.
//   names          file with a name per class; NULL: unknown
//   width, height  px of the input, multiples of 32, fixed; 0: the file's (416 where it leaves them
//                  open), and resizable if the network allows that
//   batch          pictures per run, 1..64
// SAC_ERROR_FORMAT: other inputs or outputs than these, the number of names is not that of the
// classes;
// SAC_ERROR_ARGUMENT: batch or sizes out of range; what sac_onnx_parse, sac_class_names_read and
// sac_infer_create return. The caller owns *network, sac_box_network_close.
SAC_NODISCARD sac_status sac_onnx_network_open(sac_box_network **network, const char *path,
                                               const char *names, int64_t width, int64_t height,
                                               int batch, sac_backend backend, sac_error *error);

#endif
