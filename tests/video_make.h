// Generated pictures and videos for the tests of the video folder. Everything fails the running
// test itself.
#ifndef SAC_TESTS_VIDEO_MAKE_H
#define SAC_TESTS_VIDEO_MAKE_H

#include <libavcodec/codec_id.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Frame t of a moving pattern with smooth shades, edges and full contrast: u8 [h][w][channels].
void make_frame(uint8_t *pixels, int w, int h, int channels, int t);
// Freshly allocated with sac_calloc.
uint8_t *make_frame_new(int w, int h, int channels, int t);
// Writes frames t = 0..frames-1 of make_frame (gray) to `name` in the test folder; returns its
// path.
const char *make_video(const char *name, int w, int h, int frames, double frame_rate,
                       bool lossless);
// Folder of PNG pictures 1.png .. N.png of make_frame; returns its path.
const char *make_png_folder(const char *name, int w, int h, int frames, int channels);
// Makes folder `name` in the test folder; returns its path.
const char *make_folder(const char *name);
// Path of `name` in `folder`, for the rest of the process.
const char *path_in(const char *folder, const char *name);
// Gray or RGB pixels as a picture file of another kind (MJPEG, BMP, TIFF, PGM, PPM, PNG).
uint8_t *encode_picture(enum AVCodecID codec, const uint8_t *pixels, int w, int h, int channels,
                        size_t *size);
// Whole file / first `size` bytes of it under another name.
uint8_t *read_bytes(const char *path, size_t *size);
void write_bytes(const char *path, const void *bytes, size_t size);

#endif
