// Objects that only their motion gives away: regions of large optical flow, outside the boxes that
// other detectors found, become boxes. Knows no classes and no sizes of people; what rests is not
// found.
#ifndef SAC_TEACHERS_FLOW_OBJECTS_H
#define SAC_TEACHERS_FLOW_OBJECTS_H

#include "saccade/status.h"
#include "teachers/detections.h"

// Boxes of every frame of a clip of a fixed camera.
//   m_t(p)   = |flow from frame t to t + 1 at p| (the last frame: to the one before), px
//   noise(p) = 1.5522 * lower quartile of m over up to 31 frames spread over the clip, at least its
//              median over the picture: the median of a pixel that noise moves (Rayleigh's law),
//              also where something passes half of the time. Leaves, water, flicker and sensor
//              noise are in it.
//   e_t(p)   = m_t(p) - noise(p)
//   changed  = |mean over 3x3 of the step of gray level, less its median over the picture| above 3
//              times its noise (from the median of that over the picture) and above 2 gray levels
//   mask     = e_t > threshold_px within 4 px of a changed pixel (flow reaches further than that
//              where the ground has no texture to contradict), outside the boxes of `known`, each
//              enlarged by 4 px
// Each connected region of the mask (8 neighbours) with at least min_area_px changed pixels becomes
// the box of those. Confidence = m / (m + threshold_px), m the mean of e_t over the region: more
// than one half and nearer to 1 the faster. class_id is -1. Boxes lie inside the picture. What
// moves close together is one box.
//   pixels        u8 gray [frames][height][width]; sides of at least SAC_FLOW_LEAST_PX
//   threshold_px  px per frame step, above 0
//   min_area_px   changed pixels, at least 1
//   known         boxes found so far, of the same number of frames, or NULL
// A clip of one frame has none. On failure *detections is left empty. Thread-safe.
// SAC_ERROR_ARGUMENT: a number out of range, `known` of another length, frames too small for the
// flow;
// SAC_ERROR_MEMORY.
// Source: Antonio Barbalau, Radu Tudor Ionescu, Mariana-Iuliana Georgescu, Jacob Dueholm,
// Bharathkumar Ramachandra, Kamal Nasrollahi, Fahad Shahbaz Khan, Thomas B. Moeslund and Mubarak
// Shah, "SSMTL++: Revisiting self-supervised multi-task learning for video anomaly detection", CVIU
// 229, 2023. Deviations: our own flow; the threshold stands above the clip's noise level; regions
// end where the picture stops to change.
SAC_NODISCARD sac_status sac_flow_objects_detect(sac_detections *detections, const uint8_t *pixels,
                                                 int64_t frames, int width, int height,
                                                 double threshold_px, double min_area_px,
                                                 const sac_detections *known, sac_error *error);

#endif
