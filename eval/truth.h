// Where abnormal things are: ground-truth regions per frame with the track each belongs to, from
// pixel masks or from track files. Reads no pictures (video/ does) and measures nothing
// (eval/regions.h does).
#ifndef SAC_EVAL_TRUTH_H
#define SAC_EVAL_TRUTH_H

#include <stddef.h>
#include <stdint.h>

#include "core/spans.h"
#include "saccade/status.h"

typedef struct sac_truth_region {
    int64_t frame;        // from 0
    int64_t track;        // 0 .. tracks - 1
    float x1, y1, x2, y2; // px of the source frame, x1 < x2, y1 < y2; x2 and y2 exclusive
} sac_truth_region;

// Regions of one clip in frame order. A clip without any is normal throughout.
typedef struct sac_truth {
    int64_t frames, count, tracks;
    sac_truth_region *regions; // [count], owned
} sac_truth;
void sac_truth_close(sac_truth *truth); // NULL-safe, leaves an empty one

// How masks become regions and tracks.
typedef struct sac_mask_options {
    int64_t min_area; // px, >= 1; smaller regions are specks and left out: 10
    int join_px;      // components whose boxes are at most so far apart are parts of one object,
                      // up to 1024: 2; -1: none are joined
    int64_t max_gap;  // frames a track may be out of sight, 0..10000: 5
} sac_mask_options;
sac_mask_options sac_mask_default_options(void);

// Boxes around what each mask marks, linked to tracks.
//   truth     filled; release with sac_truth_close. Left empty on failure.
//   masks     u8 [frames][height][width], 0 normal, anything else abnormal
//   options   NULL: the defaults
// Components: pixels that touch at a side or corner (8-neighbours). Regions: components whose boxes
// overlap, touch or have at most join_px empty columns and rows between them, directly or over
// others (someone behind a lamp post is one region); of all pixels together at least min_area.
// Tracks: a region continues the track whose last region, at most 1 + max_gap frames ago, has the
// largest IoU with it, if above 0; pairs are taken greedily from the largest IoU (of equal ones the
// older track first), one to one; a region without such a track begins a new one. Of two objects
// that meet in one region one track ends, and another begins where they part: masks say nothing of
// identity. Where tracks are annotated, read them.
// O(p + k^2) for p pixels and k components a frame. SAC_ERROR_ARGUMENT: a NULL pointer, frames
// below 0, a side outside 1..16384, options out of range; SAC_ERROR_MEMORY. Thread-safe.
SAC_NODISCARD sac_status sac_truth_from_masks(sac_truth *truth, const uint8_t *masks,
                                              int64_t frames, int width, int height,
                                              const sac_mask_options *options, sac_error *error);

// The same, frame by frame: what a clip needs is then one mask in memory.
typedef struct sac_truth_tracer sac_truth_tracer;
SAC_NODISCARD sac_status sac_truth_tracer_create(sac_truth_tracer **tracer, int width, int height,
                                                 const sac_mask_options *options, sac_error *error);
// The next frame's mask, u8 [height][width].
SAC_NODISCARD sac_status sac_truth_tracer_mask(sac_truth_tracer *tracer, const uint8_t *mask,
                                               sac_error *error);
// The next frame where masks tell objects apart: `ids`, u8 [height][width], holds each pixel's
// object, and `spans` (core/spans.h) when which object is abnormal. Each span that covers the frame
// is a track of its own and gives one region, the box of that 8-connected part of its object whose
// box is largest (none when the object is not to be seen). The options are not used; calls of the
// two kinds must not be mixed (SAC_ERROR_ARGUMENT), and `spans` must stay the same.
// Source: UBnormal's script for its RBDC and TBDC tracks.
SAC_NODISCARD sac_status sac_truth_tracer_objects(sac_truth_tracer *tracer, const uint8_t *ids,
                                                  const sac_span *spans, int64_t count,
                                                  sac_error *error);
// Hands the regions out; sizes in px are multiplied by scale_x and scale_y (from the masks' size to
// the clip's; 1, 1: none). Closes the tracer.
void sac_truth_tracer_finish(sac_truth *truth, sac_truth_tracer **tracer, float scale_x,
                             float scale_y);
void sac_truth_tracer_close(sac_truth_tracer **tracer); // NULL-safe

// The public annotation of RBDC and TBDC: one text file a clip, one region a line,
//   track_id,frame,x1,y1,x2,y2
// separated by commas or blanks, in any order; track ids are any integers, coordinates px (decimal
// fractions allowed). Empty lines and one header line "track_id,..." are passed over; an empty file
// means a normal clip. A track may have several regions in a frame (an object seen in parts): each
// counts.
//   frames       of the clip
//   first_frame  number of the clip's first frame in the file: 0 (as published) or 1
//   truth        filled; release with sac_truth_close. Left empty on failure.
// SAC_ERROR_IO; SAC_ERROR_FORMAT: another number of fields, a value that is no number, a frame
// outside the clip, an empty or absurd box (sides beyond +-1e6), more than 64 MiB or a zero byte;
// the message names file and line (error->position: the line). SAC_ERROR_ARGUMENT: first_frame or
// frames; SAC_ERROR_MEMORY.
// Source of the format: Georgescu et al., "A Background-Agnostic Framework with Adversarial
// Training for Abnormal Event Detection in Video", TPAMI 2021, annotations of Avenue and
// ShanghaiTech.
SAC_NODISCARD sac_status sac_truth_read(sac_truth *truth, const char *path, int64_t frames,
                                        int first_frame, sac_error *error);
// The same from `size` bytes that `name` stands for in messages.
SAC_NODISCARD sac_status sac_truth_parse(sac_truth *truth, const void *bytes, size_t size,
                                         const char *name, int64_t frames, int first_frame,
                                         sac_error *error);

#endif
