// YOLO networks in Darknet's files (nn/darknet.h) as detectors: decoding of their heads into boxes.
// Pictures, tiles and suppression are teachers/network_boxes.h.
#ifndef SAC_TEACHERS_DETECT_DARKNET_H
#define SAC_TEACHERS_DETECT_DARKNET_H

#include <stdint.h>

#include "nn/darknet.h"
#include "nn/train.h"
#include "teachers/network_boxes.h"

// Appends the boxes of one head whose confidence is at least `min_confidence` to `boxes`, in pixels
// of an input of width x height. With the head's values t at cell (i, j) and anchor a, s the
// logistic function, q = scale_x_y:
//   x = (i + q s(tx) - (q - 1) / 2) width / grid_w      w = anchor_w exp(tw)
//   y = (j + q s(ty) - (q - 1) / 2) height / grid_h     h = anchor_h exp(th)
//   confidence = s(to) s(t_class), for every class whose product reaches `min_confidence` one box
// and with new_coords: t itself instead of s(t), (2 tw)^2 anchor_w, (2 th)^2 anchor_h.
//   values  [anchors * (5 + classes)][grid_h][grid_w]
// Boxes of no or infinite size are left out. SAC_ERROR_NUMERIC: a value is not finite;
// SAC_ERROR_MEMORY. Source: Redmon and Farhadi, YOLOv3, arXiv:1804.02767, section 2.1 and 2.2;
// scale_x_y: Bochkovskiy et al., YOLOv4, arXiv:2004.10934, section 3.4 (eliminate grid
// sensitivity).
SAC_NODISCARD sac_status sac_darknet_decode(sac_box_list *boxes, const sac_darknet_head *head,
                                            const float *values, int64_t width, int64_t height,
                                            double min_confidence);

// A detector from a cfg and its weights. Gray or RGB frames, letterboxed in the middle of gray
// 127.5, values in [0,1].
//   names          file with a name per class; NULL: unknown
//   width, height  px of the input, multiples of the network's stride (32), fixed; 0: the cfg's,
//                  and resizable
//   batch          pictures per run, 1..64
// SAC_ERROR_FORMAT: the cfg has no [yolo] section or not 3 channels, the number of names is not
// that of the classes; SAC_ERROR_ARGUMENT: batch out of range; whatever sac_darknet_read,
// sac_darknet_read_weights, sac_class_names_read and sac_infer_create return. The caller owns
// *network, sac_box_network_close.
SAC_NODISCARD sac_status sac_darknet_network_open(sac_box_network **network, const char *cfg,
                                                  const char *weights, const char *names,
                                                  int64_t width, int64_t height, int batch,
                                                  sac_backend backend, sac_error *error);

#endif
