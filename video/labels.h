// Frame labels of one clip, read from the files data sets keep them in.
#ifndef SAC_VIDEO_LABELS_H
#define SAC_VIDEO_LABELS_H

#include <stdint.h>

#include "saccade/status.h"
#include "video/dataset.h"

// Labels of `clip` from a text file (one 0 or 1 per line) or a .npy array of 0 and 1, u8
// [clip->frames]; sac_free it. SAC_ERROR_FORMAT: another value, or another number of labels than
// frames (names the clip and both counts), or a pickle (tells why and how to convert it).
SAC_NODISCARD sac_status sac_labels_read(uint8_t **labels, const char *path, const sac_clip *clip,
                                         sac_error *error);
// A frame is abnormal when any pixel of its mask is set. Holds one mask at a time.
SAC_NODISCARD sac_status sac_labels_from_masks(uint8_t **labels, const sac_clip *clip,
                                               sac_error *error);
// A frame is abnormal when a span of the file (core/spans.h) covers it. Errors of sac_spans_read.
SAC_NODISCARD sac_status sac_labels_from_spans(uint8_t **labels, const char *path,
                                               const sac_clip *clip, sac_error *error);
// Marks frames first..last (from 1, inclusive) of `clip`; allocates clip->labels when it has none.
// SAC_ERROR_FORMAT: outside 1..frames; `path` and `line` (0: not known) name the place.
SAC_NODISCARD sac_status sac_labels_mark(sac_clip *clip, int64_t first, int64_t last,
                                         const char *path, int64_t line, sac_error *error);

#endif
