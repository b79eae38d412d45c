// Sequences of still pictures: a folder, a printf or glob pattern, or a single picture file. Finds
// and orders the files and decodes one of them; sizes, pixel formats and times are the video
// source's business.
#ifndef SAC_VIDEO_PICTURES_H
#define SAC_VIDEO_PICTURES_H

#include <stdbool.h>
#include <stdint.h>

#include <libavutil/frame.h>

#include "saccade/status.h"

typedef struct sac_pictures sac_pictures;

// By ending, upper or lower case: jpg jpeg png bmp tif tiff pgm ppm pnm webp.
bool sac_pictures_name(const char *name);
// Whether the last component holds a printf number (%d, %03d) or a glob sign (* ? [).
bool sac_pictures_is_pattern(const char *source);
// `source`: folder (natural order, other files ignored), pattern or picture file. A printf pattern
// takes the numbers found from the smallest on; a gap is an error, since later frames would get
// wrong indices. SAC_ERROR_IO: missing, unreadable, nothing matches; SAC_ERROR_FORMAT: folder
// without pictures, gap; SAC_ERROR_MEMORY.
SAC_NODISCARD sac_status sac_pictures_open(sac_pictures **pictures, const char *source,
                                           sac_error *error);
int64_t sac_pictures_count(const sac_pictures *pictures);
const char *sac_pictures_path(const sac_pictures *pictures, int64_t index);
// Size of the file of picture `index`: what a data set's fingerprint covers. SAC_ERROR_IO.
SAC_NODISCARD sac_status sac_pictures_size(const sac_pictures *pictures, int64_t index,
                                           int64_t *bytes, sac_error *error);
// Decodes picture `index` into `frame` (unreferenced first). SAC_ERROR_IO, SAC_ERROR_FORMAT (empty,
// truncated, damaged, not a picture), SAC_ERROR_UNSUPPORTED, SAC_ERROR_MEMORY; each names the
// picture. One thread at a time.
SAC_NODISCARD sac_status sac_pictures_decode(sac_pictures *pictures, int64_t index, AVFrame *frame,
                                             sac_error *error);
// From now on decodes at 1 / 2^lowres of both sides, 0..3, rounded up; kinds other than JPEG are
// SAC_ERROR_UNSUPPORTED then.
void sac_pictures_set_lowres(sac_pictures *pictures, int lowres);
// Size of the picture decoded last as it lies in its file; before the first one 0x0.
void sac_pictures_coded_size(const sac_pictures *pictures, int *width, int *height);
void sac_pictures_close(sac_pictures **pictures);

// The decoding step alone: one picture file held in memory. `name` is used in messages.
typedef struct sac_picture_decoder sac_picture_decoder;
SAC_NODISCARD sac_status sac_picture_decoder_create(sac_picture_decoder **decoder);
SAC_NODISCARD sac_status sac_picture_decoder_run(sac_picture_decoder *decoder, AVFrame *frame,
                                                 const uint8_t *bytes, size_t size,
                                                 const char *name, sac_error *error);
void sac_picture_decoder_close(sac_picture_decoder **decoder);

#endif
