// Pictures and video out: drawing on frames (Cairo underneath), PNG to file or memory, encoded
// video through FFmpeg.
#ifndef SAC_VIDEO_PICTURE_H
#define SAC_VIDEO_PICTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "saccade/status.h"

// A picture being drawn, pixels 0xAARRGGBB, black at first. Colours are 0xRRGGBB. Coordinates in
// pixels, x to the right, y down. Drawing never fails for the caller: what cannot be drawn (no
// memory for a layer) is left out. One thread at a time.
typedef struct sac_canvas sac_canvas;
// SAC_ERROR_ARGUMENT: size outside 1..16384; SAC_ERROR_MEMORY.
SAC_NODISCARD sac_status sac_canvas_create(sac_canvas **canvas, int width, int height);
void sac_canvas_clear(sac_canvas *canvas, uint32_t rgb);
// Draws a frame u8 [h][w][channels] (1 gray, 3 RGB) scaled into the rectangle.
void sac_canvas_frame(sac_canvas *canvas, const uint8_t *pixels, int w, int h, int channels,
                      double x, double y, double width, double height);
// Draws an anomaly map f32 [rows][cols] as a smooth transparent heat layer over the rectangle:
// value/scale 0 is transparent, 1 strong red-yellow, larger values saturate, NaN is transparent.
// Values sit at cell centres, cubic B-spline between them (no overshoot; peaks narrower than a cell
// are flattened, so the layer is for looking, not for reading values off). scale <= 0 draws
// nothing.
void sac_canvas_heat(sac_canvas *canvas, const float *map, int rows, int cols, float scale,
                     double x, double y, double width, double height);
void sac_canvas_box(sac_canvas *canvas, double x, double y, double width, double height,
                    uint32_t rgb, double line_width);
void sac_canvas_fill(sac_canvas *canvas, double x, double y, double width, double height,
                     uint32_t rgb, double alpha);
// Baseline left at (x, y), font size in pixels, UTF-8; bytes that are not UTF-8 are drawn as '?'.
void sac_canvas_text(sac_canvas *canvas, double x, double y, double size, uint32_t rgb,
                     const char *text);
// Width the text takes, px.
double sac_canvas_text_width(sac_canvas *canvas, double size, const char *text);
// Score curve of n values over the rectangle, x = index/(total-1); y range [lo, hi], values outside
// are clipped to it, NaN leaves a gap.
void sac_canvas_curve(sac_canvas *canvas, const float *values, int64_t n, int64_t total, float lo,
                      float hi, double x, double y, double width, double height, uint32_t rgb,
                      double line_width);
const uint8_t *sac_canvas_pixels(const sac_canvas *canvas, int *width, int *height,
                                 int *stride_bytes); // BGRA in memory
SAC_NODISCARD sac_status sac_canvas_write_png(const sac_canvas *canvas, const char *path,
                                              sac_error *error); // atomic
SAC_NODISCARD sac_status sac_canvas_encode_png(const sac_canvas *canvas, uint8_t **bytes,
                                               size_t *size); // sac_free(*bytes)
void sac_canvas_close(sac_canvas **canvas);
// Writes u8 gray [h][w] or RGB [h][w][3] as PNG of that kind, atomic. Same pixels, same bytes.
// SAC_ERROR_ARGUMENT: size or channels; SAC_ERROR_IO; SAC_ERROR_MEMORY.
SAC_NODISCARD sac_status sac_picture_write_png(const char *path, const uint8_t *pixels, int width,
                                               int height, int channels, sac_error *error);

// Video out: container by file ending (.mp4 .mkv .avi .ts ...), H.264 (CRF 20, 4:2:0) when an
// encoder exists, else MPEG-4; odd sizes are padded by one pixel (the border repeated). `lossless`
// chooses FFV1 in RGB (.mkv .avi), which keeps every size and every pixel: same frames, same bytes.
// (x264 promises that too, but small pictures come out in a few different ways in one process.)
// Written to a temporary name and renamed at commit; nothing is left of an uncommitted one.
// SAC_ERROR_ARGUMENT: size outside 1..16384, frame rate outside (0, 1000], no frame before commit;
// SAC_ERROR_UNSUPPORTED: no such container, or it cannot hold the codec; SAC_ERROR_IO (disk full,
// ...); SAC_ERROR_MEMORY; SAC_ERROR_BACKEND.
typedef struct sac_video_writer sac_video_writer;
SAC_NODISCARD sac_status sac_video_writer_open(sac_video_writer **writer, const char *path,
                                               int width, int height, double frame_rate,
                                               bool lossless, sac_error *error);
SAC_NODISCARD sac_status sac_video_writer_frame(sac_video_writer *writer, const uint8_t *pixels,
                                                int channels,
                                                sac_error *error); // u8 [h][w][1|3]
// The canvas must have the writer's size (SAC_ERROR_SHAPE).
SAC_NODISCARD sac_status sac_video_writer_canvas(sac_video_writer *writer, const sac_canvas *canvas,
                                                 sac_error *error);
SAC_NODISCARD sac_status sac_video_writer_commit(sac_video_writer **writer, sac_error *error);
void sac_video_writer_close(sac_video_writer **writer); // abandons when not committed

#endif
