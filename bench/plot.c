// Scatter plots and bars with Cairo, as SVG or PNG.
#include "bench/plot.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <cairo-svg.h>
#include <cairo.h>

#include "core/check.h"
#include "core/file.h"
#include "core/memory.h"
#include "core/text.h"

#if defined(__SANITIZE_ADDRESS__)
// Fontconfig keeps what it loads until the process ends, as in video/picture.c, whose definition
// counts where both are linked.
SAC_API __attribute__((weak)) const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void) {
    return "leak:libfontconfig\n";
}
#endif

enum { WIDTH = 960, HEIGHT = 600, LEFT = 76, RIGHT = 30, TOP = 56, BOTTOM = 84 };
enum { BAR = 22, TICKS_MOST = 32 };

static const uint32_t colours[6] = {0x1B6CA8, 0xD1495B, 0x2E8B57, 0xB8860B, 0x6A4C93, 0x444444};

typedef struct box {
    double x, y, w, h;
} box;

typedef struct axis {
    double low, high; // of the data; logarithms when `log`
    bool log;
    double ticks[TICKS_MOST];
    int tick_count;
} axis;

// ---- surface -----------------------------------------------------------------------------------

static bool ends_with(const char *path, const char *ending) {
    const size_t n = strlen(path), m = strlen(ending);
    return n > m && strcasecmp(path + n - m, ending) == 0;
}

sac_status sac_plot_check_path(const char *path, const char *option, sac_error *error) {
    if (path == NULL || ends_with(path, ".svg") || ends_with(path, ".png")) return SAC_OK;
    return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                         "%s '%s': a picture's name must end in .svg or .png", option, path);
}

static cairo_status_t write_bytes(void *writer, const unsigned char *data, unsigned int size) {
    return sac_file_write(writer, data, size, NULL) < 0 ? CAIRO_STATUS_WRITE_ERROR
                                                        : CAIRO_STATUS_SUCCESS;
}

static void colour(cairo_t *c, uint32_t rgb, double alpha) {
    cairo_set_source_rgba(c, (rgb >> 16 & 255) / 255.0, (rgb >> 8 & 255) / 255.0,
                          (rgb & 255) / 255.0, alpha);
}

typedef void (*draw_function)(cairo_t *c, const sac_plot *plot, double width, double height);

static sac_status draw_to(const sac_plot *plot, const char *path, double width, double height,
                          draw_function draw, sac_error *error) {
    sac_file_writer *writer = NULL;
    cairo_surface_t *surface = NULL;
    cairo_t *c = NULL;
    sac_status status;
    const bool svg = ends_with(path, ".svg");
    SAC_TRY(sac_plot_check_path(path, "picture", error));
    SAC_TRY(sac_file_writer_open(&writer, path, error));
    const double scale = svg ? 1 : 2; // pixels of a PNG are not to be seen
    surface = svg ? cairo_svg_surface_create_for_stream(write_bytes, writer, width, height)
                  : cairo_image_surface_create(CAIRO_FORMAT_RGB24, (int)(scale * width),
                                               (int)(scale * height));
    c = cairo_create(surface);
    cairo_scale(c, scale, scale);
    colour(c, 0xFFFFFF, 1);
    cairo_paint(c);
    cairo_select_font_face(c, "sans-serif", CAIRO_FONT_SLANT_NORMAL, CAIRO_FONT_WEIGHT_NORMAL);
    draw(c, plot, width, height);
    cairo_status_t drawn = cairo_status(c);
    if (drawn == CAIRO_STATUS_SUCCESS && !svg)
        drawn = cairo_surface_write_to_png_stream(surface, write_bytes, writer);
    cairo_surface_finish(surface);
    if (drawn == CAIRO_STATUS_SUCCESS) drawn = cairo_surface_status(surface);
    if (drawn != CAIRO_STATUS_SUCCESS)
        SAC_TRY(sac_error_set(
            error, drawn == CAIRO_STATUS_NO_MEMORY ? SAC_ERROR_MEMORY : SAC_ERROR_IO, -1,
            "%s: the picture cannot be made: %s", path, cairo_status_to_string(drawn)));
    SAC_TRY(sac_file_writer_commit(&writer, error));
fail:
    cairo_destroy(c);
    cairo_surface_destroy(surface);
    sac_file_writer_close(&writer);
    return status;
}

// ---- text --------------------------------------------------------------------------------------

typedef enum anchor { ANCHOR_LEFT, ANCHOR_MIDDLE, ANCHOR_RIGHT } anchor;

static double text_width(cairo_t *c, double size, const char *text) {
    cairo_text_extents_t extents;
    cairo_set_font_size(c, size);
    cairo_text_extents(c, text, &extents);
    return extents.x_advance;
}

// The text is UTF-8: what comes from outside goes through `fit` first.
static void put_text(cairo_t *c, double x, double y, double size, uint32_t rgb, anchor at,
                     const char *text) {
    const double width = text_width(c, size, text);
    colour(c, rgb, 1);
    cairo_move_to(c, at == ANCHOR_LEFT ? x : at == ANCHOR_MIDDLE ? x - width / 2 : x - width, y);
    cairo_show_text(c, text);
}

// Foreign text as UTF-8, cut with an ellipsis so that it takes at most `most` px.
static void fit(cairo_t *c, char *dst, size_t size, double font, double most, const char *text) {
    char *clean = sac_text_utf8(text);
    const int whole = snprintf(dst, size, "%s", clean != NULL ? clean : "?");
    sac_free(clean);
    size_t n = strlen(dst);
    if (whole >= 0 && (size_t)whole >= size) { // it may have cut a character
        while (n > 0 && ((unsigned char)dst[n - 1] & 0xC0) == 0x80) n--;
        if (n > 0 && ((unsigned char)dst[n - 1] & 0xC0) == 0xC0) n--;
        dst[n] = '\0';
    }
    if (text_width(c, font, dst) <= most) return;
    while (n > 1) {
        do n--;
        while (n > 0 && ((unsigned char)dst[n] & 0xC0) == 0x80);
        if (n + 4 >= size) continue;
        memcpy(dst + n, "\xE2\x80\xA6", 4); // an ellipsis
        if (text_width(c, font, dst) <= most) return;
    }
}

// ---- axes --------------------------------------------------------------------------------------

static void number_text(char *text, size_t size, double value) {
    if (value != 0 && fabs(value) >= 10000)
        snprintf(text, size, "%.4gk", value / 1000);
    else
        snprintf(text, size, "%.4g", value);
}

// A round step so that at most `most` of them make up the span.
static double round_step(double span, double most) {
    const double raw = span / most, power = pow(10, floor(log10(raw)));
    const double part = raw / power;
    return power * (part <= 1 ? 1 : part <= 2 ? 2 : part <= 5 ? 5 : 10);
}

static void make_linear(axis *a, double low, double high, double most_ticks) {
    if (!(high > low)) {
        const double margin = low != 0 ? 0.05 * fabs(low) : 1;
        low -= margin;
        high += margin;
    }
    const double step = round_step(high - low, most_ticks);
    a->log = false;
    a->low = step * floor(low / step + 1e-9);
    a->high = step * ceil(high / step - 1e-9);
    a->tick_count = 0;
    for (int i = 0; i < TICKS_MOST && a->low + i * step <= a->high + 0.5 * step; i++)
        a->ticks[a->tick_count++] = a->low + i * step;
}

// 1, 2, 5 of each decade; only 1 when there are many decades.
static void make_log(axis *a, double low, double high) {
    static const double marks[] = {1, 2, 5};
    a->log = true;
    a->low = log10(low) - 0.08;
    a->high = log10(high) + 0.25; // room for the label of the last point
    a->tick_count = 0;
    const int stride = a->high - a->low > 5 ? 3 : 1;
    for (int decade = (int)floor(a->low); decade <= (int)ceil(a->high); decade++)
        for (int m = 0; m < 3; m += stride) {
            const double value = marks[m] * pow(10, decade);
            if (log10(value) >= a->low && log10(value) <= a->high && a->tick_count < TICKS_MOST)
                a->ticks[a->tick_count++] = value;
        }
}

static double along(const axis *a, double value) {
    const double v = a->log ? log10(value) : value;
    return (v - a->low) / (a->high - a->low);
}

static void line(cairo_t *c, double x0, double y0, double x1, double y1) {
    cairo_move_to(c, x0, y0);
    cairo_line_to(c, x1, y1);
    cairo_stroke(c);
}

static void draw_x_axis(cairo_t *c, const axis *a, const box *area, const char *label) {
    for (int i = 0; i < a->tick_count; i++) {
        char text[32];
        const double x = area->x + area->w * along(a, a->ticks[i]);
        colour(c, 0xDDDDDD, 1);
        cairo_set_line_width(c, 1);
        line(c, x, area->y, x, area->y + area->h);
        number_text(text, sizeof text, a->ticks[i]);
        put_text(c, x, area->y + area->h + 17, 12, 0x444444, ANCHOR_MIDDLE, text);
    }
    char text[256];
    fit(c, text, sizeof text, 13, area->w, label);
    put_text(c, area->x + area->w / 2, area->y + area->h + 38, 13, 0x222222, ANCHOR_MIDDLE, text);
}

static void draw_y_axis(cairo_t *c, const axis *a, const box *area, const char *label) {
    for (int i = 0; i < a->tick_count; i++) {
        char text[32];
        const double y = area->y + area->h * (1 - along(a, a->ticks[i]));
        colour(c, 0xDDDDDD, 1);
        cairo_set_line_width(c, 1);
        line(c, area->x, y, area->x + area->w, y);
        number_text(text, sizeof text, a->ticks[i]);
        put_text(c, area->x - 7, y + 4, 12, 0x444444, ANCHOR_RIGHT, text);
    }
    cairo_save(c);
    cairo_translate(c, 20, area->y + area->h / 2);
    cairo_rotate(c, -M_PI / 2);
    char text[256];
    fit(c, text, sizeof text, 13, area->h, label);
    put_text(c, 0, 0, 13, 0x222222, ANCHOR_MIDDLE, text);
    cairo_restore(c);
}

static void draw_frame(cairo_t *c, const box *area) {
    colour(c, 0x888888, 1);
    cairo_set_line_width(c, 1);
    cairo_rectangle(c, area->x, area->y, area->w, area->h);
    cairo_stroke(c);
}

static uint32_t colour_of(const sac_plot_point *p) {
    return colours[p->group >= 0 && p->group < 6 ? p->group : 5];
}

static void draw_mark(cairo_t *c, double x, double y, uint32_t rgb, bool hollow) {
    cairo_new_path(c);
    cairo_arc(c, x, y, 5, 0, 2 * M_PI);
    colour(c, hollow ? 0xFFFFFF : rgb, 1);
    cairo_fill_preserve(c);
    colour(c, rgb, 1);
    cairo_set_line_width(c, 1.8);
    cairo_stroke(c);
}

// Names of the colours and of the rings, in one line below the title.
static void draw_legend(cairo_t *c, const sac_plot *plot, double x, double y) {
    char text[256];
    for (int g = 0; g < 6; g++) {
        bool used = false;
        for (int64_t i = 0; i < plot->count; i++)
            used |= plot->points[i].group == g && !plot->points[i].hollow;
        if (plot->groups[g] == NULL || !used) continue;
        draw_mark(c, x + 5, y - 4, colours[g], false);
        fit(c, text, sizeof text, 12, 200, plot->groups[g]);
        put_text(c, x + 15, y, 12, 0x222222, ANCHOR_LEFT, text);
        x += 34 + text_width(c, 12, text);
    }
    if (plot->hollow_label == NULL) return;
    draw_mark(c, x + 5, y - 4, colours[5], true);
    fit(c, text, sizeof text, 12, 300, plot->hollow_label);
    put_text(c, x + 15, y, 12, 0x222222, ANCHOR_LEFT, text);
}

static void draw_head(cairo_t *c, const sac_plot *plot, double width, double height) {
    cairo_select_font_face(c, "sans-serif", CAIRO_FONT_SLANT_NORMAL, CAIRO_FONT_WEIGHT_BOLD);
    char title[512];
    fit(c, title, sizeof title, 16, width - 40, plot->title);
    put_text(c, 20, 24, 16, 0x111111, ANCHOR_LEFT, title);
    cairo_select_font_face(c, "sans-serif", CAIRO_FONT_SLANT_NORMAL, CAIRO_FONT_WEIGHT_NORMAL);
    draw_legend(c, plot, 20, 45);
    if (plot->note != NULL) {
        char note[512];
        fit(c, note, sizeof note, 11, width - 40, plot->note);
        put_text(c, 20, height - 14, 11, 0x666666, ANCHOR_LEFT, note);
    }
}

// ---- scatter -----------------------------------------------------------------------------------

static bool drawable(const sac_plot *plot, const sac_plot_point *p) {
    return isfinite(p->x) && isfinite(p->y) && (!plot->log_x || p->x > 0);
}

// An x without a y: shown as a line, where that x is.
static bool is_upright(const sac_plot *plot, const sac_plot_point *p) {
    return isfinite(p->x) && !isfinite(p->y) && p->hollow && (!plot->log_x || p->x > 0);
}

static bool overlaps(const box *a, const box *b) {
    return a->x < b->x + b->w && b->x < a->x + a->w && a->y < b->y + b->h && b->y < a->y + a->h;
}

static void draw_upright(cairo_t *c, const sac_plot_point *p, double x, const box *area) {
    static const double dashes[] = {5, 4};
    char text[128];
    cairo_save(c);
    cairo_set_dash(c, dashes, 2, 0);
    colour(c, colour_of(p), 0.6);
    cairo_set_line_width(c, 1.2);
    line(c, x, area->y, x, area->y + area->h);
    cairo_restore(c);
    fit(c, text, sizeof text, 12, 260, p->label);
    cairo_save(c);
    cairo_translate(c, x - 5, area->y + area->h - 8);
    cairo_rotate(c, -M_PI / 2);
    put_text(c, 0, 0, 12, 0x555555, ANCHOR_LEFT, text);
    cairo_restore(c);
}

// Places a label beside its point where it covers no mark and no earlier label, if there is such a
// place among those tried.
static void draw_label(cairo_t *c, const sac_plot_point *p, double x, double y, box *taken,
                       int64_t *taken_count, const box *area) {
    char text[128];
    fit(c, text, sizeof text, 12, 260, p->label);
    const double w = text_width(c, 12, text), h = 14;
    const double tries[][2] = {
        {9, 4},        {-9 - w, 4},  {-w / 2, -10}, {-w / 2, 20}, {9, -9},        {9, 17},
        {-9 - w, -9},  {-9 - w, 17}, {12, -23},     {12, 31},     {-12 - w, -23}, {-12 - w, 31},
        {-w / 2, -24}, {-w / 2, 34}, {16, -37},     {16, 45},     {-16 - w, -37}, {-16 - w, 45}};
    box best = {0};
    double least = INFINITY;
    for (size_t t = 0; t < sizeof tries / sizeof tries[0]; t++) {
        const box b = {x + tries[t][0], y + tries[t][1] - 11, w, h};
        double cost = 0.01 * (double)t;
        for (int64_t i = 0; i < *taken_count; i++) cost += overlaps(&b, &taken[i]);
        if (b.x < area->x || b.x + b.w > area->x + area->w || b.y < area->y ||
            b.y + b.h > area->y + area->h)
            cost += 4;
        if (cost < least) {
            least = cost;
            best = b;
        }
    }
    taken[(*taken_count)++] = best;
    put_text(c, best.x, best.y + 11, 12, p->hollow ? 0x555555 : 0x111111, ANCHOR_LEFT, text);
}

static void draw_scatter(cairo_t *c, const sac_plot *plot, double width, double height) {
    const box area = {LEFT, TOP, width - LEFT - RIGHT, height - TOP - BOTTOM};
    double x_low = INFINITY, x_high = -INFINITY, y_low = INFINITY, y_high = -INFINITY;
    axis xs, ys;
    box taken[2 * SAC_PLOT_MOST];
    int64_t taken_count = 0;
    for (int64_t i = 0; i < plot->count; i++) {
        const sac_plot_point *p = &plot->points[i];
        if (!drawable(plot, p) && !is_upright(plot, p)) continue;
        x_low = fmin(x_low, p->x);
        x_high = fmax(x_high, p->x);
        if (!drawable(plot, p)) continue;
        y_low = fmin(y_low, fmin(p->y, isfinite(p->low) ? p->low : p->y));
        y_high = fmax(y_high, fmax(p->y, isfinite(p->high) ? p->high : p->y));
    }
    if (plot->y_high > plot->y_low) {
        y_low = plot->y_low;
        y_high = plot->y_high;
    }
    if (plot->log_x)
        make_log(&xs, x_low, x_high);
    else
        make_linear(&xs, x_low, x_high, 8);
    make_linear(&ys, y_low, y_high, 8);
    draw_head(c, plot, width, height);
    draw_x_axis(c, &xs, &area, plot->x_label);
    draw_y_axis(c, &ys, &area, plot->y_label);
    draw_frame(c, &area);
    for (int64_t i = 0; i < plot->count; i++) {
        const sac_plot_point *p = &plot->points[i];
        if (is_upright(plot, p)) {
            const double at = area.x + area.w * along(&xs, p->x);
            draw_upright(c, p, at, &area);
            taken[taken_count++] = (box){at - 16, area.y + area.h - 160, 18, 160};
        }
        if (!drawable(plot, p)) continue;
        const double x = area.x + area.w * along(&xs, p->x),
                     y = area.y + area.h * (1 - along(&ys, p->y));
        if (isfinite(p->low) && isfinite(p->high)) {
            colour(c, colour_of(p), 0.6);
            cairo_set_line_width(c, 1.5);
            line(c, x, area.y + area.h * (1 - along(&ys, p->low)), x,
                 area.y + area.h * (1 - along(&ys, p->high)));
        }
        draw_mark(c, x, y, colour_of(p), p->hollow);
        taken[taken_count++] = (box){x - 7, y - 7, 14, 14};
    }
    for (int64_t i = 0; i < plot->count; i++) {
        const sac_plot_point *p = &plot->points[i];
        if (!drawable(plot, p)) continue;
        draw_label(c, p, area.x + area.w * along(&xs, p->x),
                   area.y + area.h * (1 - along(&ys, p->y)), taken, &taken_count, &area);
    }
}

static sac_status check(const sac_plot *plot, bool scatter, sac_error *error) {
    int64_t drawn = 0;
    if (plot->count < 1 || plot->count > SAC_PLOT_MOST)
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "a picture of %lld points, expected 1 to %d", (long long)plot->count,
                             SAC_PLOT_MOST);
    for (int64_t i = 0; i < plot->count; i++)
        drawn += scatter ? drawable(plot, &plot->points[i]) : isfinite(plot->points[i].x);
    if (drawn == 0)
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "nothing to draw: no point has a finite place");
    return SAC_OK;
}

sac_status sac_plot_scatter(const sac_plot *plot, const char *path, sac_error *error) {
    const sac_status status = check(plot, true, error);
    return status < 0 ? status : draw_to(plot, path, WIDTH, HEIGHT, draw_scatter, error);
}

// ---- bars --------------------------------------------------------------------------------------

static void draw_bars(cairo_t *c, const sac_plot *plot, double width, double height) {
    double low = INFINITY, high = -INFINITY, widest = 0;
    char text[192];
    axis xs;
    for (int64_t i = 0; i < plot->count; i++) {
        const sac_plot_point *p = &plot->points[i];
        fit(c, text, sizeof text, 12, 330, p->label);
        widest = fmax(widest, text_width(c, 12, text));
        if (!isfinite(p->x)) continue;
        low = fmin(low, fmin(p->x, isfinite(p->low) ? p->low : p->x));
        high = fmax(high, fmax(p->x, isfinite(p->high) ? p->high : p->x));
    }
    // Differences between values that lie close together would not be seen from zero.
    const bool from_zero = low < 0 || low < 0.7 * high;
    const box area = {30 + widest, TOP, width - 30 - widest - 76, height - TOP - BOTTOM};
    make_linear(&xs, from_zero ? fmin(low, 0) : low - 0.5 * (high - low), fmax(high, 0), 8);
    draw_head(c, plot, width, height);
    char label[256];
    snprintf(label, sizeof label, "%s%s", plot->x_label,
             from_zero ? "" : " (the axis does not start at 0)");
    draw_x_axis(c, &xs, &area, label);
    const double zero = area.x + area.w * along(&xs, from_zero ? 0 : xs.low);
    for (int64_t i = 0; i < plot->count; i++) {
        const sac_plot_point *p = &plot->points[i];
        const double y = area.y + BAR * ((double)i + 0.5);
        fit(c, text, sizeof text, 12, 330, p->label);
        put_text(c, area.x - 8, y + 4, 12, 0x111111, ANCHOR_RIGHT, text);
        if (!isfinite(p->x)) {
            put_text(c, zero + 6, y + 4, 12, 0x777777, ANCHOR_LEFT, "-");
            continue;
        }
        const double x = area.x + area.w * along(&xs, p->x);
        colour(c, colour_of(p), p->hollow ? 0.35 : 0.85);
        cairo_rectangle(c, fmin(zero, x), y - 7, fabs(x - zero), 14);
        cairo_fill(c);
        double end = fmax(x, zero);
        if (isfinite(p->low) && isfinite(p->high)) {
            const double x0 = area.x + area.w * along(&xs, p->low),
                         x1 = area.x + area.w * along(&xs, p->high);
            colour(c, 0x111111, 0.9);
            cairo_set_line_width(c, 1.3);
            line(c, x0, y, x1, y);
            line(c, x0, y - 4, x0, y + 4);
            line(c, x1, y - 4, x1, y + 4);
            end = fmax(end, x1);
        }
        number_text(text, sizeof text, p->x);
        put_text(c, end + 6, y + 4, 12, 0x111111, ANCHOR_LEFT, text);
    }
    draw_frame(c, &area);
}

sac_status sac_plot_bars(const sac_plot *plot, const char *path, sac_error *error) {
    const sac_status status = check(plot, false, error);
    if (status < 0) return status;
    return draw_to(plot, path, WIDTH, TOP + BOTTOM + BAR * (double)plot->count, draw_bars, error);
}
