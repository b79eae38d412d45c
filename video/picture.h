// Pictures and video out: drawing on frames (Cairo underneath), PNG to file or memory, encoded video through FFmpeg.
#ifndef SAC_VIDEO_PICTURE_H
#define SAC_VIDEO_PICTURE_H

#include <stdbool.h>
#include <stdint.h>

#include "saccade/status.h"

// A picture being drawn, pixels 0xAARRGGBB. Colours are 0xRRGGBB. Coordinates in pixels.
typedef struct sac_canvas sac_canvas;
SAC_NODISCARD sac_status sac_canvas_create(sac_canvas **canvas, int width, int height);
void sac_canvas_clear(sac_canvas *canvas, uint32_t rgb);
// Draws a frame u8 [h][w][channels] scaled into the rectangle.
void sac_canvas_frame(sac_canvas *canvas, const uint8_t *pixels, int w, int h, int channels, double x, double y, double width, double height);
// Draws an anomaly map f32 [rows][cols] as a smooth transparent heat layer over the rectangle: value/scale 0 transparent, 1 strong red-yellow.
void sac_canvas_heat(sac_canvas *canvas, const float *map, int rows, int cols, float scale, double x, double y, double width, double height);
void sac_canvas_box(sac_canvas *canvas, double x, double y, double width, double height, uint32_t rgb, double line_width);
void sac_canvas_fill(sac_canvas *canvas, double x, double y, double width, double height, uint32_t rgb, double alpha);
void sac_canvas_text(sac_canvas *canvas, double x, double y, double size, uint32_t rgb, const char *text); // baseline left
// Score curve of n values (y range [lo, hi], NaN skipped) over the rectangle, x = index/(total-1).
void sac_canvas_curve(sac_canvas *canvas, const float *values, int64_t n, int64_t total, float lo, float hi, double x, double y, double width, double height, uint32_t rgb, double line_width);
const uint8_t *sac_canvas_pixels(const sac_canvas *canvas, int *width, int *height, int *stride_bytes); // BGRA in memory
SAC_NODISCARD sac_status sac_canvas_write_png(const sac_canvas *canvas, const char *path, sac_error *error); // atomic
SAC_NODISCARD sac_status sac_canvas_encode_png(const sac_canvas *canvas, uint8_t **bytes, size_t *size); // sac_free(*bytes)
void sac_canvas_close(sac_canvas **canvas);
// Writes u8 gray [h][w] or RGB [h][w][3] as PNG, atomic.
SAC_NODISCARD sac_status sac_picture_write_png(const char *path, const uint8_t *pixels, int width, int height, int channels, sac_error *error);

// Video out: container by file ending (.mp4 .mkv .avi ...), H.264 when an encoder exists, else MPEG-4; odd sizes are padded by one pixel.
// `lossless` chooses FFV1 (.mkv/.avi). Written to a temporary name and renamed at commit.
typedef struct sac_video_writer sac_video_writer;
SAC_NODISCARD sac_status sac_video_writer_open(sac_video_writer **writer, const char *path, int width, int height, double frame_rate, bool lossless, sac_error *error);
SAC_NODISCARD sac_status sac_video_writer_frame(sac_video_writer *writer, const uint8_t *pixels, int channels, sac_error *error); // u8 [h][w][1|3]
SAC_NODISCARD sac_status sac_video_writer_canvas(sac_video_writer *writer, const sac_canvas *canvas, sac_error *error);
SAC_NODISCARD sac_status sac_video_writer_commit(sac_video_writer **writer, sac_error *error);
void sac_video_writer_close(sac_video_writer **writer); // abandons when not committed

#endif
