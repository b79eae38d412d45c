// Objects found in a clip: boxes per frame, from the motion detector or from CSV files of any other
// detector. Boxes are independent from frame to frame: there is no tracking.
#ifndef SAC_TEACHERS_DETECTIONS_H
#define SAC_TEACHERS_DETECTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "saccade/status.h"
#include "video/dataset.h"

typedef struct sac_box {
    float x1, y1, x2, y2; // pixels of the source frame, x1 < x2, y1 < y2
    float confidence;     // (0, 1]
    int32_t class_id;     // -1: unknown
} sac_box;

// Boxes of one clip in frame order: those of frame t are boxes[start[t] .. start[t+1]).
typedef struct sac_detections {
    int64_t frames, count;
    int64_t *start; // [frames + 1]
    sac_box *boxes; // [count]
} sac_detections;

void sac_detections_close(sac_detections *detections);

// Intersection over union of two boxes, 0 when they do not touch; *inside (may be NULL) receives
// the part of a that lies in b, in [0,1].
double sac_box_overlap(const sac_box *a, const sac_box *b, double *inside);

// A detector chosen on the command line, several separated by commas:
//   boxes:FILE.csv  header with clip,frame,x1,y1,x2,y2 and optionally confidence, class; other
//                   columns are
//                   ignored; frames from 1; x2, y2 exclusive. Several files form one table: rows of
//                   the same
//                   clip in two files are joined, equal rows of a frame count once.
//   darknet:CFG:WEIGHTS[:NAMES]
//                   a YOLO network, teachers/detect_darknet.h; NAMES holds a class name per line
//   onnx:FILE[:NAMES]
//                   a YOLOX network, teachers/detect_onnx.h
//   motion          teachers/motion.h
//   flow            teachers/flow_objects.h, outside the boxes of the others
// With several, the rows of the files come first, then the networks' boxes in the order given, then
// the blobs of the motion detector, then the objects of the flow; of each those that no box so far
// covers: IoU < 0.3 and less than half inside any one of them.
typedef struct sac_detector sac_detector;
typedef struct sac_detector_options {
    double min_confidence;   // boxes below are dropped, [0, 1]: 0.5
    double motion_threshold; // gray levels above the background noise, motion detector: 14
    double flow_threshold;   // px per frame step above the noise of the flow: 0.4
    double min_area_px;      // moving pixels of the smallest blob or flow object: 40
    // A box of a file or network is dropped when at least this part of it lies inside another one
    // of its frame that is 3 1/3 to 20 times as large, (0, 1]: 0.8; 0: never. Such boxes are mostly
    // parts of people (feet with a bit of ground, bags), which move unlike people: of the training
    // objects of UCSD Ped2 (YOLOv3) they are 1 % of all and 25 % of those that the attribute
    // teacher gives 0.5 or more.
    double drop_nested;
    // Detection networks, see teachers/network_boxes.h and teachers/network_clip.h.
    // network pixels per frame pixel, [0, 16]; 0: frames are fitted into the input
    double network_scale;
    double network_overlap;   // of tiles, [0, 0.75]: 0.25
    double network_nms;       // IoU, [0, 1]: 0.45
    const char *network_size; // "WIDTHxHEIGHT" of the input; NULL: the network's own
    const char *classes;      // names or numbers separated by commas; NULL: all
    const char *cache;        // folder for the networks' boxes; NULL: none
    bool (*stop)(void);       // asked before each frame of a network; NULL: never
} sac_detector_options;
sac_detector_options sac_detector_default_options(void);

// Parses the specification and reads the CSV files.
// The texts of `options` are copied.
// SAC_ERROR_ARGUMENT: empty or unknown detector (the message lists the known ones), "motion" or
// "flow" twice, an option out of range; SAC_ERROR_IO; SAC_ERROR_FORMAT: a missing column, a value
// out of range, an empty box (the message names file and line); what opening a network returns;
// SAC_ERROR_MEMORY.
SAC_NODISCARD sac_status sac_detector_open(sac_detector **detector, const char *specification,
                                           const sac_detector_options *options, sac_error *error);
// Optional, before the runs: shows the motion detector a training clip, so that it knows how large
// people are from all clips shown (one camera is assumed) instead of from each clip alone. No
// effect on CSV files.
//   pixels  u8 gray [frames][height][width]
// SAC_ERROR_ARGUMENT, SAC_ERROR_MEMORY.
SAC_NODISCARD sac_status sac_detector_learn(sac_detector *detector, const uint8_t *pixels,
                                            int64_t frames, int width, int height,
                                            sac_error *error);
// Boxes of a clip, cut to the picture; those less than a pixel wide or high after that are dropped.
//   pixels  u8 gray [frames][height][width] of the whole clip
// SAC_ERROR_FORMAT: with files alone, no row of any names the clip; a row names a frame outside the
// clip or lies wholly outside the picture (it then belongs to other video); what sac_network_clip
// returns;
// SAC_ERROR_ARGUMENT: frames too small for the flow; SAC_ERROR_MEMORY.
// On failure *detections is left empty. Thread-safe without networks, else one thread at a time.
SAC_NODISCARD sac_status sac_detector_run(const sac_detector *detector, sac_detections *detections,
                                          const sac_clip *clip, const uint8_t *pixels, int width,
                                          int height, sac_error *error);
// Frames that networks looked at so far in `seconds`, and clips found in the cache instead.
// Pointers may be NULL.
void sac_detector_speed(const sac_detector *detector, int64_t *frames, double *seconds,
                        int64_t *cached_clips);
// Normalised specification for provenance (file names without folders). Borrowed.
const char *sac_detector_text(const sac_detector *detector);
void sac_detector_close(sac_detector **detector);

// A set of clips' detections in one safetensors file, so that a resumed run starts from exactly the
// same boxes. `stamp` (any text) is stored and must be equal when read.
//   names  [count] clip names
SAC_NODISCARD sac_status sac_detections_write(const char *path, const char *const *names,
                                              const sac_detections *detections, int64_t count,
                                              const char *stamp, sac_error *error);
// Fills detections [count], frames given by `frames` [count]. SAC_ERROR_FORMAT: damaged, another
// stamp, another number of frames, or boxes out of order.
SAC_NODISCARD sac_status sac_detections_read(const char *path, const char *const *names,
                                             const int64_t *frames, sac_detections *detections,
                                             int64_t count, const char *stamp, sac_error *error);

#endif
