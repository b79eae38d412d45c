// Boxes from any detection network, one frame at a time: the frame is fitted into the network's
// input (whole, or enlarged in overlapping tiles so that small objects are seen), boxes are mapped
// back, merged across tiles and thinned by non-maximum suppression. How a network decodes its
// outputs is not known here: teachers/detect_darknet.h and the like hand that in as a
// sac_box_network.
#ifndef SAC_TEACHERS_NETWORK_BOXES_H
#define SAC_TEACHERS_NETWORK_BOXES_H

#include <stdbool.h>
#include <stdint.h>

#include "saccade/status.h"
#include "teachers/detections.h"

// ---- lists of boxes -----------------------------------------------------------------------------

// Boxes of one picture in any order; {0} is an empty list.
typedef struct sac_box_list {
    sac_box *boxes; // [count]
    int64_t count, capacity;
} sac_box_list;

// Appends a copy. SAC_ERROR_MEMORY.
SAC_NODISCARD sac_status sac_box_list_add(sac_box_list *list, const sac_box *box);
void sac_box_list_close(sac_box_list *list); // NULL-safe; leaves an empty list

// Greedy non-maximum suppression within each class: by falling confidence (ties: the earlier box),
// a box is dropped when its IoU with a kept box of its class exceeds `iou`. Kept boxes are left in
// that order.
//   iou  [0, 1]; 1 keeps everything
// SAC_ERROR_MEMORY: the list is untouched.
// Source: Girshick et al., Rich Feature Hierarchies, CVPR 2014, section 2.2.
SAC_NODISCARD sac_status sac_box_list_suppress(sac_box_list *list, double iou);

// ---- the network's picture ----------------------------------------------------------------------

// How a network wants its picture. Value of channel c at one pixel: (v - mean[c]) * scale[c], v in
// 0..255.
typedef struct sac_network_input {
    int width, height;  // px, 1..16384
    bool channels_last; // [height][width][3], else [3][height][width]
    bool bgr;           // channel 0 is blue; else red
    bool corner;        // the picture lies in the top left corner; else in the middle (Darknet)
    double pad;         // value v of the border: 127.5 (Darknet), 114 (YOLOX)
    double mean[3], scale[3];
} sac_network_input;

// Where a part of the frame lies in the network's input: input x = left + (frame x - x) * ratio_x,
// y alike. Coordinates in pixels, (0,0) the outer corner of the first pixel.
typedef struct sac_letterbox {
    int x, y, width, height;         // part of the frame, px
    int left, top, drawn_w, drawn_h; // where it is drawn, px of the input
    double ratio_x, ratio_y;         // input px per frame px; they differ by rounding only
} sac_letterbox;

// The part `x y width height` as large as fits, its aspect kept: drawn size = part * min(W / width,
// H / height) to whole pixels, at least 1.
sac_letterbox sac_letterbox_fit(const sac_network_input *input, int x, int y, int width,
                                int height);

// Draws it: dst f32 in the layout of `input`, all of it written; area average or bilinear
// (video/scale.h).
//   frame  u8 [frame_h][frame_w][channels], 1 (copied to all three) or 3 (RGB); the part lies
//          inside it
// SAC_ERROR_ARGUMENT: sizes, channels, a part outside the frame; SAC_ERROR_MEMORY. Any thread.
SAC_NODISCARD sac_status sac_letterbox_fill(float *dst, const sac_network_input *input,
                                            const sac_letterbox *box, const uint8_t *frame,
                                            int frame_w, int frame_h, int channels);

// A box in pixels of the input becomes one in pixels of the frame. Not cut to anything.
void sac_letterbox_map(const sac_letterbox *letterbox, sac_box *box);

// ---- networks -----------------------------------------------------------------------------------

// A detection network behind one face, filled in by its opener. One thread at a time.
typedef struct sac_box_network sac_box_network;
struct sac_box_network {
    void *user;
    sac_network_input input;
    int batch;    // pictures a run takes at most, >= 1
    int classes;  // class ids are 0..classes - 1
    char **names; // [classes] or NULL when unknown; owned
    char *text;   // for provenance, files without folders: "darknet:a.cfg:a.weights"; owned
    char *stamp;  // changes whenever the result for an input may (hash of the files); owned
    // Where picture `index` of a run goes, f32 in the layout of `input`. Stable addresses.
    float *(*picture)(void *user, int index);
    // Runs pictures 0..count-1 (1 <= count <= batch) and appends to boxes[i] what was found on
    // picture i with at least `min_confidence`, in pixels of the input, not yet suppressed, x1 <
    // x2, y1 < y2, all finite. SAC_ERROR_NUMERIC: an output is not finite; SAC_ERROR_BACKEND;
    // SAC_ERROR_MEMORY.
    sac_status (*run)(void *user, int count, double min_confidence, sac_box_list *boxes,
                      sac_error *error);
    // Changes input.width and input.height, multiples of `stride`; NULL: the size is fixed.
    // Afterwards the addresses of the pictures are others. On failure the network is as before.
    sac_status (*resize)(sac_box_network *network, int width, int height, sac_error *error);
    int stride;
    void (*close)(void *user);
};

// Closes the network through its own close, frees what it owns; NULL-safe, sets NULL.
void sac_box_network_close(sac_box_network **network);

// Class names, one per line, as in coco.names: blank lines at the end ignored, blanks around a name
// dropped. *names [*count] is one block, sac_free it.
// SAC_ERROR_IO; SAC_ERROR_FORMAT: empty, larger than 1 MiB, an empty line between names, a zero
// byte (the message names file and line); SAC_ERROR_MEMORY.
SAC_NODISCARD sac_status sac_class_names_read(char ***names, int *count, const char *path,
                                              sac_error *error);

// For openers. Reads network->names, as many as network->classes; path NULL: none. `model` stands
// in the message. SAC_ERROR_FORMAT: another number; errors of sac_class_names_read.
SAC_NODISCARD sac_status sac_box_network_names(sac_box_network *network, const char *path,
                                               const char *model, sac_error *error);
// network->stamp: `kind` and a hash of the files' bytes. SAC_ERROR_IO, SAC_ERROR_MEMORY.
SAC_NODISCARD sac_status sac_box_network_stamp(sac_box_network *network, const char *kind,
                                               const char *const *files, int count,
                                               sac_error *error);

// ---- a frame ------------------------------------------------------------------------------------

typedef struct sac_network_options {
    // Network pixels per frame pixel, (0, 16]. The frame is covered by tiles of input / scale frame
    // pixels. 0: the whole frame is fitted into the input at once.
    double scale;
    double overlap;        // of neighbouring tiles at least, as part of a tile, [0, 0.75]: 0.25
    double nms_iou;        // [0, 1]: 0.45
    double min_confidence; // [0, 1]: 0.5
} sac_network_options;
sac_network_options sac_network_default_options(void);

// Tiles that cover the frame evenly, row by row, every one as large as an input holds at that scale
// (or the frame, if that is smaller). tiles NULL: only counted. Returns their number, at least 1.
int64_t sac_network_tiles(sac_letterbox *tiles, const sac_network_input *input, int frame_w,
                          int frame_h, const sac_network_options *options);

// Boxes of one frame, cut to the frame, those less than a pixel wide or high dropped; by falling
// confidence. An object cut by the inner border of a tile gives a part of a box there. Such a box
// (its edge lies within 2 px of the inner border) is dropped when at least half of it lies in a box
// of its class from another tile that no border cuts and that is at least half as confident; then
// all are suppressed together.
//   frame  u8 [frame_h][frame_w][channels], 1 or 3 (RGB)
//   boxes  emptied first
// SAC_ERROR_ARGUMENT: an option out of range, more than 4096 tiles; whatever the network's run
// returns.
SAC_NODISCARD sac_status sac_network_detect(sac_box_network *network, sac_box_list *boxes,
                                            const uint8_t *frame, int frame_w, int frame_h,
                                            int channels, const sac_network_options *options,
                                            sac_error *error);

#endif
