// Regions of anomaly maps: connected cells above a threshold, for every threshold at once. Does not
// smooth, filter or upsample the maps.
#ifndef SAC_EVAL_MAP_REGIONS_H
#define SAC_EVAL_MAP_REGIONS_H

#include <stdint.h>

#include "eval/regions.h"
#include "saccade/status.h"

// For each frame and threshold th > 0 the cells with map >= th fall into connected components
// (8-neighbours); a region is the box around one, in pixels of the source frame:
//   x1 = left cell * width / cols, x2 = (right cell + 1) * width / cols, y alike.
// While the threshold sinks, components appear, grow and merge; each distinct box of a component is
// one detected region with the thresholds (until, score] at which it stands. With
// sac_region_meter the curve is therefore exact over all thresholds, without a grid. Cells at 0 or
// below never belong to a region: a map is 0 where nothing was found.
//   detected  filled, in frame order; release with sac_detected_close. Left empty on failure. At
//             most one region a cell
//   maps      f32 [frames][rows][cols], finite
//   width, height  px of the source frame
// O(frames * c log c) for c = rows * cols. SAC_ERROR_NUMERIC: a value is not finite (position = the
// frame); SAC_ERROR_ARGUMENT: a NULL pointer, frames below 0, rows or cols outside 1..1024, width
// or height below 1; SAC_ERROR_MEMORY. Thread-safe.
// Source: the component (max-)tree of a gray picture; Salembier, Oliveras and Garrido, IEEE TIP
// 1998. The box instead of the cells themselves is our choice: ground truth is boxes too.
SAC_NODISCARD sac_status sac_map_regions(sac_detected *detected, const float *maps, int64_t frames,
                                         int rows, int cols, int width, int height,
                                         sac_error *error);

#endif
