// Boxes of whole clips from a detection network, each clip only once: results are kept in a cache
// folder and found again as long as network, settings and pixels are the same.
#ifndef SAC_TEACHERS_NETWORK_CLIP_H
#define SAC_TEACHERS_NETWORK_CLIP_H

#include <stdbool.h>
#include <stdint.h>

#include "teachers/network_boxes.h"

typedef struct sac_network_clip_options {
    sac_network_options network;
    const char *classes; // names or numbers separated by commas; other boxes are dropped. NULL: all
    const char *cache;   // folder, made when needed; NULL: nothing is kept
    bool (*stop)(void);  // asked before each frame; NULL: never
} sac_network_clip_options;

// What was done so far, to be added up over clips.
typedef struct sac_network_work {
    int64_t frames; // through the network
    double seconds; // for them, decoding included
    int64_t cached; // clips found in the cache
} sac_network_work;

// Reads a list of classes: keep [network->classes], true for those listed, or for all when `list`
// is NULL. SAC_ERROR_ARGUMENT: an empty entry, a name the network has not (or its names are
// unknown), a number outside its classes; the message lists the names.
SAC_NODISCARD sac_status sac_network_classes(bool *keep, const sac_box_network *network,
                                             const char *list, sac_error *error);

// Boxes of a clip with at least options->network.min_confidence and of the classes wanted, by
// falling confidence in each frame. With a scale and a network that can be resized, the input takes
// the size of the enlarged frame and no tiles are needed as long as it has at most 4 million
// pixels.
// The cache holds all classes down to confidence 0.05 (or less, if asked for), so other thresholds
// and classes need no new run. Its files are <clip>.<16 hex digits>.boxes.safetensors; what cannot
// be read is made anew.
//   pixels  u8 gray [clip->frames][height][width]; identifies the clip. The network sees the frames
//           of clip->source in colour, scaled to that size, or `pixels` when clip->source is NULL
//   work    NULL or added to
// SAC_ERROR_INTERRUPTED: stop; SAC_ERROR_FORMAT: clip->source has another number of frames;
// SAC_ERROR_IO: the cache cannot be written; what sac_network_detect, sac_network_classes and
// sac_video_open return; SAC_ERROR_MEMORY. On failure *detections is left empty. One thread at a
// time per network.
SAC_NODISCARD sac_status sac_network_clip(sac_box_network *network, sac_detections *detections,
                                          const sac_clip *clip, const uint8_t *pixels, int width,
                                          int height, const sac_network_clip_options *options,
                                          sac_network_work *work, sac_error *error);

#endif
