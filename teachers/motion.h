// Motion detector: boxes of moving people and things from the background model alone. Needs no
// weights and knows no classes; what stands still for most of a clip is background to it.
#ifndef SAC_TEACHERS_MOTION_H
#define SAC_TEACHERS_MOTION_H

#include "saccade/status.h"
#include "teachers/detections.h"

// Free-standing upright blobs, the evidence for the size of people.
typedef struct sac_size_sample {
    double y, height, aspect; // bottom row px, height px, width / height
} sac_size_sample;
typedef struct sac_size_samples {
    sac_size_sample *items;
    int64_t count, capacity;
} sac_size_samples;
void sac_size_samples_close(sac_size_samples *samples);

// Typical size of a person whose feet are at image row y:
//   height(y) = base + slope * y, kept within [median / 2.5, 2.5 * median] of the most frequent
//   height
//   width(y)  = aspect * height(y)
// slope >= 0, and over the rows where people were seen the height at most doubles.
// count 0: too few samples to learn from; nothing is then merged or split.
typedef struct sac_person_size {
    double base, slope, aspect, median_height;
    int64_t count; // samples near the most frequent height
} sac_person_size;
void sac_person_size_at(const sac_person_size *size, double y, double *width, double *height);

// Adds the samples of one clip (arguments as below), so that several clips of one camera can be
// pooled.
SAC_NODISCARD sac_status sac_motion_learn(sac_size_samples *samples, const uint8_t *pixels,
                                          int64_t frames, int width, int height,
                                          double motion_threshold, double min_area_px,
                                          sac_error *error);
// The most frequent height first, then a trimmed line through the samples around it.
// SAC_ERROR_MEMORY.
SAC_NODISCARD sac_status sac_person_size_fit(sac_person_size *size,
                                             const sac_size_samples *samples);

// Boxes of every frame of a clip.
//   pixels            u8 gray [frames][height][width]
//   motion_threshold  gray levels above the background noise
//   min_area_px       foreground pixels a blob must have
//   size              how large people are, or NULL: learned from this clip
// Per frame: foreground mask, connected components; fragments whose common box still fits a person
// are merged (a body cut by a railing or a shirt of the ground's colour); blobs wider than a person
// are split at the thinnest columns (people side by side), blobs taller than a person into a nearer
// and a farther one. A blob that is split but solid (filled like one body, for example a cart) is
// also kept whole. Confidence = mean over the blob's pixels of strength / (strength + threshold),
// at least about one half. class_id is -1. Boxes lie inside the picture.
// SAC_ERROR_ARGUMENT, SAC_ERROR_MEMORY. Thread-safe.
SAC_NODISCARD sac_status sac_motion_detect(sac_detections *detections, const uint8_t *pixels,
                                           int64_t frames, int width, int height,
                                           double motion_threshold, double min_area_px,
                                           const sac_person_size *size, sac_error *error);

#endif
