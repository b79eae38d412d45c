// Drawing with Cairo and PNG pictures with FFmpeg's encoder. What is drawn where is decided by the
// callers (overlay.c, reports); encoded video is writer.c.
#include "video/picture.h"

#include <math.h>
#include <string.h>

#include <cairo.h>
#include <libavcodec/avcodec.h>
#include <libavutil/opt.h>

#include "core/check.h"
#include "core/file.h"
#include "core/memory.h"
#include "video/ffmpeg.h"

#if defined(__SANITIZE_ADDRESS__)
// Fontconfig keeps what it loads until the process ends, which the leak checker takes for leaks of
// ours.
SAC_API const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void) {
    return "leak:libfontconfig\n";
}
#endif

struct sac_canvas {
    int width, height;
    cairo_surface_t *surface;
    cairo_t *cairo;
    // Kept between calls, so that drawing the next frame of a video does not allocate.
    cairo_surface_t *layer_frame, *layer_heat;
    float *heat_rows; // [heat rows of the map][heat layer width]
    int64_t heat_room;
};

sac_status sac_canvas_create(sac_canvas **canvas, int width, int height) {
    sac_status status = SAC_OK;
    sac_canvas *c = NULL;
    *canvas = NULL;
    if (width < 1 || height < 1 || width > SAC_MAX_SIDE || height > SAC_MAX_SIDE)
        return SAC_ERROR_ARGUMENT;
    c = sac_calloc(1, sizeof *c);
    SAC_TRY_ALLOC(c);
    c->width = width;
    c->height = height;
    c->surface = cairo_image_surface_create(CAIRO_FORMAT_ARGB32, width, height);
    if (cairo_surface_status(c->surface) != CAIRO_STATUS_SUCCESS) SAC_TRY(SAC_ERROR_MEMORY);
    c->cairo = cairo_create(c->surface);
    if (cairo_status(c->cairo) != CAIRO_STATUS_SUCCESS) SAC_TRY(SAC_ERROR_MEMORY);
    cairo_select_font_face(c->cairo, "sans-serif", CAIRO_FONT_SLANT_NORMAL,
                           CAIRO_FONT_WEIGHT_NORMAL);
    sac_canvas_clear(c, 0);
    *canvas = c;
    return SAC_OK;
fail:
    sac_canvas_close(&c);
    return status;
}

void sac_canvas_close(sac_canvas **canvas) {
    if (canvas == NULL || *canvas == NULL) return;
    sac_canvas *c = *canvas;
    cairo_destroy(c->cairo);
    cairo_surface_destroy(c->surface);
    cairo_surface_destroy(c->layer_frame);
    cairo_surface_destroy(c->layer_heat);
    sac_free(c->heat_rows);
    sac_free(c);
    *canvas = NULL;
}

static void set_colour(cairo_t *cairo, uint32_t rgb, double alpha) {
    cairo_set_source_rgba(cairo, (rgb >> 16 & 255) / 255.0, (rgb >> 8 & 255) / 255.0,
                          (rgb & 255) / 255.0, alpha);
}

void sac_canvas_clear(sac_canvas *c, uint32_t rgb) {
    set_colour(c->cairo, rgb, 1);
    cairo_paint(c->cairo);
}

// Makes *layer an image of width x height, reusing it when it has that size. NULL: out of memory.
static uint8_t *layer_pixels(cairo_surface_t **layer, int width, int height, int *stride) {
    if (*layer == NULL || cairo_image_surface_get_width(*layer) != width ||
        cairo_image_surface_get_height(*layer) != height) {
        cairo_surface_destroy(*layer);
        *layer = cairo_image_surface_create(CAIRO_FORMAT_ARGB32, width, height);
        if (cairo_surface_status(*layer) != CAIRO_STATUS_SUCCESS) {
            cairo_surface_destroy(*layer);
            *layer = NULL;
            return NULL;
        }
    }
    *stride = cairo_image_surface_get_stride(*layer);
    cairo_surface_flush(*layer);
    return cairo_image_surface_get_data(*layer);
}

// Paints a layer into the rectangle. EXTEND_PAD keeps the enlarged border from fading out.
static void paint_layer(sac_canvas *c, cairo_surface_t *layer, double x, double y, double width,
                        double height) {
    double w = cairo_image_surface_get_width(layer), h = cairo_image_surface_get_height(layer);
    if (!(width > 0 && height > 0)) return;
    cairo_surface_mark_dirty(layer);
    cairo_save(c->cairo);
    cairo_rectangle(c->cairo, x, y, width, height);
    cairo_clip(c->cairo);
    cairo_translate(c->cairo, x, y);
    cairo_scale(c->cairo, width / w, height / h);
    cairo_set_source_surface(c->cairo, layer, 0, 0);
    cairo_pattern_set_extend(cairo_get_source(c->cairo), CAIRO_EXTEND_PAD);
    cairo_pattern_set_filter(cairo_get_source(c->cairo),
                             width < w || height < h ? CAIRO_FILTER_GOOD : CAIRO_FILTER_BILINEAR);
    cairo_paint(c->cairo);
    cairo_restore(c->cairo);
}

void sac_canvas_frame(sac_canvas *c, const uint8_t *pixels, int w, int h, int channels, double x,
                      double y, double width, double height) {
    int stride;
    uint8_t *out = layer_pixels(&c->layer_frame, w, h, &stride);
    if (out == NULL) return;
    for (int row = 0; row < h; row++, out += stride) {
        for (int i = 0; i < w; i++, pixels += channels) {
            uint32_t r = pixels[0], g = channels == 3 ? pixels[1] : r,
                     b = channels == 3 ? pixels[2] : r;
            uint32_t v = 0xFF000000u | r << 16 | g << 8 | b;
            memcpy(out + 4 * i, &v, sizeof v);
        }
    }
    paint_layer(c, c->layer_frame, x, y, width, height);
}

// Cubic B-spline weights of the four cells around cell coordinate `at` (cell centres at whole
// numbers).
static int spline(double at, double weight[4]) {
    double base = floor(at), t = at - base;
    weight[0] = (1 - t) * (1 - t) * (1 - t) / 6;
    weight[1] = (3 * t * t * t - 6 * t * t + 4) / 6;
    weight[2] = (-3 * t * t * t + 3 * t * t + 3 * t + 1) / 6;
    weight[3] = t * t * t / 6;
    return (int)base - 1;
}

static int clamp_index(int i, int n) {
    return i < 0 ? 0 : i >= n ? n - 1 : i;
}

// Colour of heat v in [0,1], premultiplied 0xAARRGGBB: red to orange to yellow, opaque up to 0.72.
// The lowest values stay clear, so that a quiet scene is not tinted.
static uint32_t heat_colour(float v) {
    if (!(v > 0.04f)) return 0;
    if (v > 1) v = 1;
    float a = (v - 0.04f) / 0.96f;
    a = 0.72f * a * (2 - a);
    float green = v < 0.35f ? 0.0f : (v - 0.35f) / 0.65f * 0.9f;
    float red = v < 0.35f ? 0.65f + v : 1.0f;
    uint32_t alpha = (uint32_t)lrintf(255 * a);
    return alpha << 24 | (uint32_t)lrintf(255 * a * red) << 16 |
           (uint32_t)lrintf(255 * a * green) << 8;
}

void sac_canvas_heat(sac_canvas *c, const float *map, int rows, int cols, float scale, double x,
                     double y, double width, double height) {
    int stride, w = clamp_index((int)(width / 2), SAC_MAX_SIDE) + 1,
                h = clamp_index((int)(height / 2), SAC_MAX_SIDE) + 1;
    double weight[4];
    if (!(scale > 0) || rows < 1 || cols < 1 || !(width > 0 && height > 0)) return;
    if (c->heat_room < (int64_t)rows * w) {
        sac_free(c->heat_rows);
        c->heat_room = (int64_t)rows * w;
        c->heat_rows = sac_calloc(c->heat_room, sizeof *c->heat_rows);
    }
    uint8_t *out = layer_pixels(&c->layer_heat, w, h, &stride);
    if (out == NULL || c->heat_rows == NULL) {
        c->heat_room = c->heat_rows != NULL ? c->heat_room : 0;
        return;
    }
    for (int i = 0; i < w; i++) {
        int first = spline((i + 0.5) * cols / w - 0.5, weight);
        for (int r = 0; r < rows; r++) {
            double sum = 0;
            for (int k = 0; k < 4; k++) {
                float v = map[(int64_t)r * cols + clamp_index(first + k, cols)];
                if (v > 0) sum += weight[k] * (double)fminf(v / scale, 1); // false for NaN
            }
            c->heat_rows[(int64_t)r * w + i] = (float)sum;
        }
    }
    for (int j = 0; j < h; j++, out += stride) {
        int first = spline((j + 0.5) * rows / h - 0.5, weight);
        const float *r[4];
        for (int k = 0; k < 4; k++) r[k] = c->heat_rows + (int64_t)clamp_index(first + k, rows) * w;
        for (int i = 0; i < w; i++) {
            double v = weight[0] * (double)r[0][i] + weight[1] * (double)r[1][i] +
                       weight[2] * (double)r[2][i] + weight[3] * (double)r[3][i];
            uint32_t colour = heat_colour((float)v);
            memcpy(out + 4 * i, &colour, sizeof colour);
        }
    }
    paint_layer(c, c->layer_heat, x, y, width, height);
}

void sac_canvas_box(sac_canvas *c, double x, double y, double width, double height, uint32_t rgb,
                    double line_width) {
    set_colour(c->cairo, rgb, 1);
    cairo_set_line_width(c->cairo, line_width);
    cairo_set_line_join(c->cairo, CAIRO_LINE_JOIN_MITER);
    cairo_rectangle(c->cairo, x, y, width, height);
    cairo_stroke(c->cairo);
}

void sac_canvas_fill(sac_canvas *c, double x, double y, double width, double height, uint32_t rgb,
                     double alpha) {
    set_colour(c->cairo, rgb, alpha);
    cairo_rectangle(c->cairo, x, y, width, height);
    cairo_fill(c->cairo);
}

// Length of the well-formed UTF-8 sequence at `s` (RFC 3629, section 4), 0 when there is none.
static size_t utf8_length(const unsigned char *s) {
    if (s[0] < 0x80) return 1;
    size_t n = s[0] >= 0xC2 && s[0] <= 0xDF   ? 2
               : (s[0] & 0xF0) == 0xE0        ? 3
               : s[0] >= 0xF0 && s[0] <= 0xF4 ? 4
                                              : 0;
    for (size_t i = 1; i < n; i++)
        if ((s[i] & 0xC0) != 0x80) return 0;
    if ((s[0] == 0xE0 && s[1] < 0xA0) || (s[0] == 0xED && s[1] > 0x9F) ||
        (s[0] == 0xF0 && s[1] < 0x90) || (s[0] == 0xF4 && s[1] > 0x8F))
        return 0;
    return n;
}

// Copies text with malformed bytes and control characters replaced: Cairo stops drawing altogether
// after bad UTF-8.
static void clean_text(char *out, size_t room, const char *text) {
    const unsigned char *s = (const unsigned char *)text;
    size_t used = 0;
    while (*s != 0) {
        size_t n = utf8_length(s);
        if (used + (n > 0 ? n : 1) >= room) break;
        if (n == 0 || *s < 0x20 || *s == 0x7F) {
            out[used++] = n == 0 ? '?' : ' ';
            s++;
        } else {
            memcpy(out + used, s, n);
            used += n;
            s += n;
        }
    }
    out[used] = 0;
}

void sac_canvas_text(sac_canvas *c, double x, double y, double size, uint32_t rgb,
                     const char *text) {
    char clean[1024];
    clean_text(clean, sizeof clean, text);
    set_colour(c->cairo, rgb, 1);
    cairo_set_font_size(c->cairo, size);
    cairo_move_to(c->cairo, x, y);
    cairo_show_text(c->cairo, clean);
    cairo_new_path(c->cairo);
}

double sac_canvas_text_width(sac_canvas *c, double size, const char *text) {
    char clean[1024];
    cairo_text_extents_t extents;
    clean_text(clean, sizeof clean, text);
    cairo_set_font_size(c->cairo, size);
    cairo_text_extents(c->cairo, clean, &extents);
    return extents.x_advance;
}

void sac_canvas_curve(sac_canvas *c, const float *values, int64_t n, int64_t total, float lo,
                      float hi, double x, double y, double width, double height, uint32_t rgb,
                      double line_width) {
    double step = total > 1 ? width / (double)(total - 1) : 0;
    bool drawing = false;
    if (!(hi > lo)) return;
    set_colour(c->cairo, rgb, 1);
    cairo_set_line_width(c->cairo, line_width);
    cairo_set_line_join(c->cairo, CAIRO_LINE_JOIN_ROUND);
    cairo_set_line_cap(c->cairo, CAIRO_LINE_CAP_ROUND);
    // With several values on one pixel column only the first, lowest, highest and last are drawn:
    // the picture is the same and an hour of video does not take an hour.
    for (int64_t i = 0; i < n;) {
        int64_t end = i + 1;
        if (step < 0.5)
            while (end < n && floor((double)end * step) == floor((double)i * step)) end++;
        int64_t low = -1, high = -1, first = -1, last = -1;
        for (int64_t k = i; k < end; k++) {
            if (isnan(values[k])) continue;
            if (first < 0) first = low = high = k;
            last = k;
            if (values[k] < values[low]) low = k;
            if (values[k] > values[high]) high = k;
        }
        if (first < 0) {
            drawing = false;
        } else {
            int64_t points[4] = {first, low < high ? low : high, low < high ? high : low, last};
            for (int p = 0; p < 4; p++) {
                if (p > 0 && points[p] == points[p - 1]) continue;
                double v = ((double)values[points[p]] - (double)lo) / ((double)hi - (double)lo);
                v = v < 0 ? 0 : v > 1 ? 1 : v;
                double px = x + (double)points[p] * step, py = y + height * (1 - v);
                if (drawing)
                    cairo_line_to(c->cairo, px, py);
                else
                    cairo_move_to(c->cairo, px, py);
                // A value alone between gaps is a dot.
                if (!drawing) cairo_line_to(c->cairo, px, py);
                drawing = true;
            }
        }
        i = end;
    }
    cairo_stroke(c->cairo);
}

const uint8_t *sac_canvas_pixels(const sac_canvas *c, int *width, int *height, int *stride_bytes) {
    cairo_surface_flush(c->surface);
    *width = c->width;
    *height = c->height;
    *stride_bytes = cairo_image_surface_get_stride(c->surface);
    return cairo_image_surface_get_data(c->surface);
}

// PNG
// -------------------------------------------------------------------------------------------------

// `pixels` rows lie `stride` bytes apart; four bytes a pixel are BGRA of which A is dropped.
static sac_status encode_png(AVPacket *packet, const uint8_t *pixels, int width, int height,
                             ptrdiff_t stride, int bytes_per_pixel, const char *name,
                             sac_error *error) {
    sac_status status = SAC_OK;
    AVCodecContext *context = NULL;
    AVFrame *frame = NULL;
    int code;
    sac_ffmpeg_start();
    const AVCodec *codec = avcodec_find_encoder(AV_CODEC_ID_PNG);
    if (codec == NULL)
        return sac_error_set(error, SAC_ERROR_UNSUPPORTED, -1, "%s: FFmpeg here has no PNG encoder",
                             name);
    context = avcodec_alloc_context3(codec);
    frame = av_frame_alloc();
    SAC_TRY_ALLOC(context);
    SAC_TRY_ALLOC(frame);
    context->width = frame->width = width;
    context->height = frame->height = height;
    context->pix_fmt = bytes_per_pixel == 1 ? AV_PIX_FMT_GRAY8 : AV_PIX_FMT_RGB24;
    context->time_base = (AVRational){1, 25};
    context->thread_count = 1;
    context->compression_level = 4; // 9 takes five times as long for a few percent
    (void)av_opt_set(context->priv_data, "pred", "sub", 0);
    frame->format = context->pix_fmt;
    code = avcodec_open2(context, codec, NULL);
    if (code >= 0) code = av_frame_get_buffer(frame, 0);
    if (code < 0) SAC_TRY(sac_ffmpeg_error(error, code, -1, "%s: PNG encoder", name));
    for (int y = 0; y < height; y++) {
        const uint8_t *in = pixels + y * stride;
        uint8_t *out = frame->data[0] + (ptrdiff_t)y * frame->linesize[0];
        if (bytes_per_pixel != 4) {
            memcpy(out, in, (size_t)width * (size_t)bytes_per_pixel);
            continue;
        }
        for (int x = 0; x < width; x++, out += 3) {
            uint32_t v;
            memcpy(&v, in + 4 * x, sizeof v);
            out[0] = (uint8_t)(v >> 16);
            out[1] = (uint8_t)(v >> 8);
            out[2] = (uint8_t)v;
        }
    }
    code = avcodec_send_frame(context, frame);
    if (code >= 0) code = avcodec_receive_packet(context, packet);
    if (code < 0) SAC_TRY(sac_ffmpeg_error(error, code, -1, "%s: PNG encoder", name));
fail:
    av_frame_free(&frame);
    avcodec_free_context(&context);
    return status;
}

static sac_status save_png(const char *path, const uint8_t *pixels, int width, int height,
                           ptrdiff_t stride, int bytes_per_pixel, sac_error *error) {
    sac_status status = SAC_OK;
    AVPacket *packet = av_packet_alloc();
    SAC_TRY_ALLOC(packet);
    SAC_TRY(encode_png(packet, pixels, width, height, stride, bytes_per_pixel, path, error));
    SAC_TRY(sac_file_save(path, packet->data, (size_t)packet->size, error));
fail:
    if (status == SAC_ERROR_MEMORY) sac_error_set(error, status, -1, "'%s': out of memory", path);
    av_packet_free(&packet);
    return status;
}

sac_status sac_picture_write_png(const char *path, const uint8_t *pixels, int width, int height,
                                 int channels, sac_error *error) {
    if (width < 1 || height < 1 || width > SAC_MAX_SIDE || height > SAC_MAX_SIDE ||
        (channels != 1 && channels != 3))
        return sac_error_set(
            error, SAC_ERROR_ARGUMENT, -1,
            "'%s': picture of %dx%d px with %d channels, expected 1x1 to %dx%d and 1 or 3", path,
            width, height, channels, SAC_MAX_SIDE, SAC_MAX_SIDE);
    return save_png(path, pixels, width, height, (ptrdiff_t)width * channels, channels, error);
}

sac_status sac_canvas_write_png(const sac_canvas *canvas, const char *path, sac_error *error) {
    int width, height, stride;
    const uint8_t *pixels = sac_canvas_pixels(canvas, &width, &height, &stride);
    return save_png(path, pixels, width, height, stride, 4, error);
}

sac_status sac_canvas_encode_png(const sac_canvas *canvas, uint8_t **bytes, size_t *size) {
    sac_status status = SAC_OK;
    int width, height, stride;
    AVPacket *packet = av_packet_alloc();
    const uint8_t *pixels = sac_canvas_pixels(canvas, &width, &height, &stride);
    *bytes = NULL;
    *size = 0;
    SAC_TRY_ALLOC(packet);
    SAC_TRY(encode_png(packet, pixels, width, height, stride, 4, "picture", NULL));
    *bytes = sac_calloc(packet->size, 1);
    SAC_TRY_ALLOC(*bytes);
    memcpy(*bytes, packet->data, (size_t)packet->size);
    *size = (size_t)packet->size;
fail:
    av_packet_free(&packet);
    return status;
}
