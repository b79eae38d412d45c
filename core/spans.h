// When annotated objects are abnormal: UBnormal's <video>_tracks.txt, one object a line,
//   id,first,last
// frames counted from 0, both included; `id` is the gray value of the object in the pixel masks.
// Which pixels those are is not this file's business.
// Source: Acsintoae et al., "UBnormal: New Benchmark for Supervised Open-Set Video Anomaly
// Detection", CVPR 2022, and the data set's own scripts.
#ifndef SAC_CORE_SPANS_H
#define SAC_CORE_SPANS_H

#include <stddef.h>
#include <stdint.h>

#include "saccade/status.h"

typedef struct sac_span {
    int id;              // 1..255
    int64_t first, last; // frames from 0, inclusive, first <= last
} sac_span;

// Reads all spans of the file `path` (at most 16 MiB) or of `size` bytes that `name` stands for in
// messages, in file order, separated by commas or blanks; numbers may be written with a fraction of
// zero. Empty lines are passed over; an empty file means that nothing is abnormal. Several spans
// may have one id.
//   frames  of the clip that `clip` names in messages
//   SAC_ERROR_IO; SAC_ERROR_MEMORY
//   SAC_ERROR_FORMAT  another number of fields, a value that is no integer, an id outside 1..255, a
//                     frame outside the clip, a span that runs backwards. error->position: the line
// The caller frees *spans, which is NULL after an error, with sac_free.
SAC_NODISCARD sac_status sac_spans_read(sac_span **spans, int64_t *count, const char *path,
                                        const char *clip, int64_t frames, sac_error *error);
SAC_NODISCARD sac_status sac_spans_parse(sac_span **spans, int64_t *count, const void *bytes,
                                         size_t size, const char *name, const char *clip,
                                         int64_t frames, sac_error *error);

#endif
