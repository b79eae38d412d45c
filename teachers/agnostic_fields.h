// Optical flow as the background-agnostic teacher keeps it: fields between neighbouring frames,
// reduced and in fixed point, because every object of a clip is cut from them again and again.
// Computes no flow of its own (video/flow.h does) and knows nothing of networks.
#ifndef SAC_TEACHERS_AGNOSTIC_FIELDS_H
#define SAC_TEACHERS_AGNOSTIC_FIELDS_H

#include <stdbool.h>
#include <stdint.h>

#include "saccade/status.h"
#include "teachers/detections.h"

// Fixed point: steps per pixel of displacement. i16 then reaches 255 px per frame; larger ones are
// cut.
enum { SAC_FIELD_STEPS = 128 };

// The flow from one frame to the next, on the grid of the former.
typedef struct sac_field {
    int width, height, reduction; // in cells; one covers reduction x reduction px of the picture
    const int16_t *data; // [2][height][width], u and v in 1/SAC_FIELD_STEPS px; NULL: no motion
} sac_field;

// How many px a cell measures: 1 in pictures below 160 rows, 2 below 480, else 4. The last column
// and row of cells may cover less.
int sac_field_reduction(int height);
// A field of a picture of this size, without data.
sac_field sac_field_layout(int width, int height);

// dst f32 [2][size][size]: the box cut out of u and v as sac_crop_gray cuts pictures (bilinear,
// mean over several samples where it shrinks, border replicated), divided by `unit` (px per frame,
// > 0) and cut to +-8. The box is in px of the picture and must be finite. Thread-safe.
void sac_field_crop(float *dst, int size, const sac_field *field, const sac_box *box, double unit);

// Speed of what moves in a crop f32 [2][area] whose corners may show ground that does not: the mean
// magnitude of its fastest half, in the unit of the crop. The half is found with a histogram of 256
// steps up to the largest magnitude. Thread-safe.
//   vector  receives the mean (u, v) of that half; may be NULL
double sac_field_speed(const float *crop, int64_t area, double vector[2]);

// Computes the flows from frame pairs[i] to pairs[i] + 1 of one clip, on all threads.
typedef struct sac_field_maker sac_field_maker;
// SAC_ERROR_ARGUMENT: a picture too small or large for the flow; SAC_ERROR_MEMORY.
SAC_NODISCARD sac_status sac_field_maker_create(sac_field_maker **maker, int width, int height,
                                                sac_error *error);
//   dst     i16 [count][2][height][width], in cells
//   pixels  u8 gray [frames][height][width]; 0 <= pairs[i] < frames - 1
SAC_NODISCARD sac_status sac_field_maker_run(sac_field_maker *maker, int16_t *dst,
                                             const uint8_t *pixels, const int64_t *pairs,
                                             int64_t count);
// How many pairs keep all threads busy in one call.
int64_t sac_field_maker_stride(const sac_field_maker *maker);
void sac_field_maker_close(sac_field_maker **maker); // NULL-safe

// The fields of whole clips: in memory while they fit, beyond that in a file without a name, mapped
// read-only, so that the system may drop and reload its pages, and nothing remains when the process
// ends, however it does.
typedef struct sac_field_clip {
    const uint8_t *pixels; // u8 gray [frames][height][width]; read only while the store is made
    int64_t frames;
    int width, height;
} sac_field_clip;

typedef struct sac_field_store sac_field_store;
// Computes the frames - 1 fields of each clip, once.
//   folder    where a file may be made; NULL: everything stays in memory
//   limit     bytes of all fields that still stay in memory
//   stop      polled between frames (NULL: never); SAC_ERROR_INTERRUPTED then
//   progress  fields done and to do; may be NULL
// SAC_ERROR_IO: the folder refuses a file of that size; SAC_ERROR_ARGUMENT: a picture that the flow
// cannot take; SAC_ERROR_MEMORY.
SAC_NODISCARD sac_status sac_field_store_make(
    sac_field_store **store, const sac_field_clip *clips, int64_t count, const char *folder,
    int64_t limit, bool (*stop)(void), void (*progress)(void *user, int64_t done, int64_t total),
    void *user, sac_error *error);
// The flow from frame t to t + 1, t cut to [0, frames - 2]; a clip of one frame gives data NULL.
// The field lives as long as the store. Thread-safe.
sac_field sac_field_store_at(const sac_field_store *store, int64_t clip, int64_t t);
bool sac_field_store_mapped(const sac_field_store *store); // true: in a file
void sac_field_store_close(sac_field_store **store);       // NULL-safe

#endif
