// Composes overlay pictures: frame, heat, boxes, caption, and a panel with the score curve, and
// encodes them.
#include "video/overlay.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/check.h"
#include "core/memory.h"
#include "video/ffmpeg.h"

enum { MIN_WIDTH = 480, SCROLL = 300 };

static const uint32_t colour_panel = 0x14171C, colour_grid = 0x39404A, colour_text = 0xC9D1DB,
                      colour_curve = 0xFFB347, colour_label = 0xD93A3A, colour_now = 0xFFFFFF;
// Apart in hue and brightness, and none of them taken by the scores' green to red.
static const uint32_t colour_bars[SAC_OVERLAY_BARS] = {0x4FC3F7, 0xFFF176, 0xF06292, 0xFFFFFF,
                                                       0xB388FF, 0xA1887F, 0x80CBC4, 0x90A4AE};

struct sac_overlay {
    sac_canvas *canvas;
    sac_video_writer *writer; // NULL: pictures only
    int width, height;        // of the frames
    int factor;               // enlargement
    double unit;              // 1 at a width of 480: sizes of text and lines follow the picture
    double panel_y, panel_height;
    float score_high;
    uint8_t *labels; // [label_count]
    int64_t label_count;
    float
        *scores; // [score_room]; with a known number of frames all of them, else the latest SCROLL
    int64_t score_room, frame;
    bool scroll;
    char *bar_names[SAC_OVERLAY_BARS]; // owned
    int bar_count;
    const float *bars; // [box_count][bar_count] of the next frame, borrowed
};

sac_status sac_overlay_open(sac_overlay **overlay, const char *path, int width, int height,
                            double frame_rate, int64_t frames, const uint8_t *labels,
                            float score_high, sac_error *error) {
    sac_status status = SAC_OK;
    sac_overlay *o = NULL;
    *overlay = NULL;
    if (width < 1 || height < 1 || width > SAC_MAX_SIDE || height > SAC_MAX_SIDE || frames < 0 ||
        !(score_high > 0) || !isfinite(score_high))
        SAC_TRY(sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                              "overlay of %dx%d px, %lld frames, highest score %g: expected 1x1 to "
                              "%dx%d px, no negative "
                              "number of frames and a score above 0",
                              width, height, (long long)frames, (double)score_high, SAC_MAX_SIDE,
                              SAC_MAX_SIDE));
    o = sac_calloc(1, sizeof *o);
    SAC_TRY_ALLOC(o);
    o->width = width;
    o->height = height;
    o->factor = (MIN_WIDTH + width - 1) / width;
    // A narrow tall frame must not be enlarged out of all proportion.
    while (o->factor > 1 && (int64_t)height * o->factor > 2 * MIN_WIDTH) o->factor--;
    o->score_high = score_high;
    int canvas_width = width * o->factor > MIN_WIDTH ? width * o->factor : MIN_WIDTH;
    canvas_width += canvas_width % 2;
    if (canvas_width > SAC_MAX_SIDE) canvas_width = SAC_MAX_SIDE;
    o->unit = canvas_width / (double)MIN_WIDTH;
    if (o->unit > 4) o->unit = 4;
    o->panel_height = floor(104 * o->unit);
    o->panel_y = (double)height * o->factor;
    int canvas_height = height * o->factor + (int)o->panel_height;
    canvas_height += canvas_height % 2;
    if (canvas_height > SAC_MAX_SIDE)
        SAC_TRY(sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                              "frames of height %d leave no room for the score curve", height));
    SAC_TRY(sac_canvas_create(&o->canvas, canvas_width, canvas_height));
    o->scroll = frames == 0;
    o->score_room = o->scroll ? SCROLL : frames;
    o->scores = sac_calloc(o->score_room, sizeof *o->scores);
    SAC_TRY_ALLOC(o->scores);
    if (labels != NULL && frames > 0) {
        o->labels = sac_calloc(frames, 1);
        SAC_TRY_ALLOC(o->labels);
        memcpy(o->labels, labels, (size_t)frames);
        o->label_count = frames;
    }
    if (path != NULL)
        SAC_TRY(sac_video_writer_open(&o->writer, path, canvas_width, canvas_height, frame_rate,
                                      false, error));
    *overlay = o;
    return SAC_OK;
fail:
    if (status == SAC_ERROR_MEMORY) sac_error_set(error, status, -1, "overlay: out of memory");
    sac_overlay_close(&o);
    return status;
}

void sac_overlay_close(sac_overlay **overlay) {
    if (overlay == NULL || *overlay == NULL) return;
    sac_overlay *o = *overlay;
    sac_video_writer_close(&o->writer);
    sac_canvas_close(&o->canvas);
    for (int i = 0; i < SAC_OVERLAY_BARS; i++) sac_free(o->bar_names[i]);
    sac_free(o->labels);
    sac_free(o->scores);
    sac_free(o);
    *overlay = NULL;
}

sac_status sac_overlay_commit(sac_overlay **overlay, sac_error *error) {
    sac_status status = SAC_OK;
    if ((*overlay)->writer != NULL) status = sac_video_writer_commit(&(*overlay)->writer, error);
    sac_overlay_close(overlay);
    return status;
}

sac_status sac_overlay_name_bars(sac_overlay *overlay, const char *const *names, int count) {
    if (count < 1 || count > SAC_OVERLAY_BARS || overlay->bar_count > 0) return SAC_ERROR_ARGUMENT;
    for (int i = 0; i < count; i++) {
        overlay->bar_names[i] = sac_strdup(names[i]);
        if (overlay->bar_names[i] == NULL) return SAC_ERROR_MEMORY;
    }
    overlay->bar_count = count;
    return SAC_OK;
}

void sac_overlay_set_bars(sac_overlay *overlay, const float *values) {
    overlay->bars = values;
}

const sac_canvas *sac_overlay_canvas(const sac_overlay *overlay) {
    return overlay->canvas;
}

// Keeps the score of the current frame; with more frames than announced the curve begins to scroll.
static void remember(sac_overlay *o, float score) {
    if (o->frame < o->score_room) {
        o->scores[o->frame] = score;
        return;
    }
    o->scroll = true;
    memmove(o->scores, o->scores + 1, (size_t)(o->score_room - 1) * sizeof *o->scores);
    o->scores[o->score_room - 1] = score;
}

uint32_t sac_overlay_colour(float score, float high) {
    if (isnan(score)) return 0xA0A0A0;
    double v = fmin(fmax((double)score / (double)high, 0), 1); // green over yellow to red
    uint32_t red = (uint32_t)lrint(255 * fmin(1, 2 * v)),
             green = (uint32_t)lrint(230 * fmin(1, 2 - 2 * v));
    return red << 16 | green << 8 | 0x30;
}

// Text on a dark ground, so that it can be read on any picture.
static void draw_tag(sac_overlay *o, double x, double y, double size, uint32_t rgb,
                     const char *text) {
    double width = sac_canvas_text_width(o->canvas, size, text), pad = 0.35 * size;
    sac_canvas_fill(o->canvas, x, y - 1.1 * size, width + 2 * pad, 1.5 * size, 0x000000, 0.55);
    sac_canvas_text(o->canvas, x + pad, y, size, rgb, text);
}

// Bars of one box, to its right, or to its left at the border of the picture; full height means
// score_high.
static void draw_bars(sac_overlay *o, const float *values, double left, double right, double top,
                      double bottom) {
    int width, height, stride;
    (void)sac_canvas_pixels(o->canvas, &width, &height, &stride);
    const double thick = round(3.4 * o->unit) + 1, gap = fmax(1, floor(0.7 * o->unit));
    const double total = o->bar_count * thick + gap, full = fmax(bottom - top, 16 * o->unit);
    double x = floor(right + 3 * gap);
    if (x + total > width) x = floor(left - 3 * gap - total);
    sac_canvas_fill(o->canvas, x - gap, bottom - full, total + gap, full, 0x000000, 0.3);
    for (int k = 0; k < o->bar_count; k++) {
        const double part = fmin(fmax((double)values[k] / (double)o->score_high, 0), 1);
        if (isnan(values[k])) continue;
        const double h = fmax(part * full, 1);
        sac_canvas_fill(o->canvas, x + k * thick, bottom - h, thick - 1, h, colour_bars[k], 1);
    }
}

static void draw_boxes(sac_overlay *o, double left, const sac_overlay_box *boxes, int64_t count) {
    char text[32];
    double size = 9 * o->unit;
    for (int64_t i = 0; i < count; i++) {
        const sac_overlay_box *b = &boxes[i];
        if (!(b->x2 > b->x1 && b->y2 > b->y1)) continue;
        uint32_t rgb = sac_overlay_colour(b->score, o->score_high);
        double k = o->factor, x = left + k * (double)b->x1, y = k * (double)b->y1;
        sac_canvas_box(o->canvas, x, y, k * (double)(b->x2 - b->x1), k * (double)(b->y2 - b->y1),
                       rgb, 1.5 * o->unit);
        if (o->bars != NULL && o->bar_count > 0)
            draw_bars(o, o->bars + i * o->bar_count, x, left + k * (double)b->x2, y,
                      k * (double)b->y2);
        // Numbers on every quiet walker would hide the picture.
        if (isnan(b->score) || b->score < 0.5f * o->score_high) continue;
        (void)snprintf(text, sizeof text, "%.2f", (double)b->score);
        draw_tag(o, x, y > 1.6 * size ? y - 0.45 * size : y + 1.2 * size, size, rgb, text);
    }
}

static void draw_panel(sac_overlay *o, float score) {
    sac_canvas *c = o->canvas;
    int width, height, stride;
    char text[64];
    (void)sac_canvas_pixels(c, &width, &height, &stride);
    double u = o->unit, size = 10 * u, left = 34 * u, right = width - 10 * u;
    double top = o->panel_y + 24 * u, bottom = height - 10 * u, w = right - left, h = bottom - top;
    int64_t total = o->score_room, shown = o->frame + 1 < total ? o->frame + 1 : total;
    double step = total > 1 ? w / (double)(total - 1) : 0;

    sac_canvas_fill(c, 0, o->panel_y, width, height - o->panel_y, colour_panel, 1);
    if (!o->scroll)
        for (int64_t i = 0, end; i < o->label_count;
             i = end) { // one rectangle a run: no seams between frames
            end = i + 1;
            while (end < o->label_count && o->labels[end] == o->labels[i]) end++;
            if (o->labels[i] == 0) continue;
            double x1 = fmax(left + ((double)i - 0.5) * step, left),
                   x2 = fmin(left + ((double)end - 0.5) * step, right);
            if (total == 1) x2 = right;
            sac_canvas_fill(c, x1, top, x2 - x1, h, colour_label, 0.33);
        }
    for (int i = 0; i <= 2; i++) {
        double y = top + h * i / 2;
        sac_canvas_fill(c, left, floor(y), w, fmax(1, floor(u)), colour_grid, 1);
        (void)snprintf(text, sizeof text, "%.3g", (double)o->score_high * (2 - i) / 2);
        sac_canvas_text(c, left - 5 * u - sac_canvas_text_width(c, size * 0.9, text),
                        y + 0.33 * size, size * 0.9, colour_text, text);
    }
    sac_canvas_curve(c, o->scores, shown, total, 0, o->score_high, left, top, w, h, colour_curve,
                     1.6 * u);
    double now = left + (double)(shown - 1) * step;
    sac_canvas_fill(c, floor(now), top, fmax(1, floor(u)), h, colour_now, 0.8);
    (void)snprintf(text, sizeof text, "frame %lld", (long long)o->frame);
    sac_canvas_text(c, left, o->panel_y + 15 * u, size, colour_text, text);
    if (isnan(score))
        (void)snprintf(text, sizeof text, "score -");
    else
        (void)snprintf(text, sizeof text, "score %.3f", (double)score);
    sac_canvas_text(c, left + 78 * u, o->panel_y + 15 * u, size,
                    sac_overlay_colour(score, o->score_high), text);
    double x_bars = left + 150 * u, x_end = right - (o->labels != NULL ? 100 * u : 0);
    for (int i = 0; i < o->bar_count; i++) {
        const double need = 9 * u + sac_canvas_text_width(c, 0.8 * size, o->bar_names[i]);
        if (x_bars + need > x_end) break;
        sac_canvas_fill(c, x_bars, o->panel_y + 8 * u, 6 * u, 7 * u, colour_bars[i], 1);
        sac_canvas_text(c, x_bars + 9 * u, o->panel_y + 15 * u, 0.8 * size, colour_text,
                        o->bar_names[i]);
        x_bars += need + 8 * u;
    }
    if (o->labels != NULL && !o->scroll) {
        const char *label = "abnormal (label)";
        double x = right - sac_canvas_text_width(c, size, label);
        sac_canvas_fill(c, x - 16 * u, o->panel_y + 7 * u, 10 * u, 9 * u, colour_label, 0.5);
        sac_canvas_text(c, x, o->panel_y + 15 * u, size, colour_text, label);
    }
}

sac_status sac_overlay_frame(sac_overlay *o, const uint8_t *pixels, int channels, const float *map,
                             int rows, int cols, const sac_overlay_box *boxes, int64_t box_count,
                             float score, const char *caption, sac_error *error) {
    sac_status status = SAC_OK;
    int width, height, stride;
    if (channels != 1 && channels != 3)
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1, "overlay: %d channels, expected 1 or 3",
                             channels);
    (void)sac_canvas_pixels(o->canvas, &width, &height, &stride);
    double w = (double)o->width * o->factor, h = (double)o->height * o->factor,
           left = floor((width - w) / 2);
    remember(o, score);
    sac_canvas_clear(o->canvas, 0);
    sac_canvas_frame(o->canvas, pixels, o->width, o->height, channels, left, 0, w, h);
    if (map != NULL) sac_canvas_heat(o->canvas, map, rows, cols, o->score_high, left, 0, w, h);
    if (boxes != NULL) draw_boxes(o, left, boxes, box_count);
    o->bars = NULL; // they belong to this frame only
    if (caption != NULL) draw_tag(o, 6 * o->unit, 17 * o->unit, 11 * o->unit, 0xFFFFFF, caption);
    draw_panel(o, score);
    if (o->writer != NULL) SAC_TRY(sac_video_writer_canvas(o->writer, o->canvas, error));
    o->frame++;
fail:
    return status;
}
