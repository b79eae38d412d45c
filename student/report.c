// Writes the HTML report. Everything is streamed into the writer; only the pictures are held in
// memory, one at a time. Knows nothing of models or videos: it shows what it is given.
#include "student/report.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/check.h"
#include "core/memory.h"
#include "student/text.h"
#include "video/picture.h"

// The page being written; `status` keeps the first failure, so that the code below reads as the
// page does.
typedef struct page {
    sac_file_writer *writer;
    sac_error *error;
    sac_status status;
} page;

__attribute__((format(printf, 2, 3))) static void put(page *p, const char *format, ...) {
    if (p->status < 0) return;
    va_list arguments;
    va_start(arguments, format);
    char *text = NULL;
    int length = vasprintf(&text, format, arguments);
    va_end(arguments);
    if (length < 0) {
        p->status = sac_error_set(p->error, SAC_ERROR_MEMORY, -1, "no memory for the report");
        return;
    }
    p->status = sac_file_write(p->writer, text, (size_t)length, p->error);
    free(text); // vasprintf allocates with malloc
}

static void put_raw(page *p, const char *text, size_t size) {
    if (p->status >= 0) p->status = sac_file_write(p->writer, text, size, p->error);
}

// Foreign text, escaped for HTML content and quoted attributes.
static void put_text(page *p, const char *foreign) {
    char *text = sac_text_utf8(foreign);
    if (text == NULL) {
        if (p->status >= 0) {
            p->status = sac_error_set(p->error, SAC_ERROR_MEMORY, -1, "no memory for the report");
        }
        return;
    }
    for (const char *s = text; *s != '\0';) {
        size_t plain = strcspn(s, "&<>\"'");
        put_raw(p, s, plain);
        s += plain;
        switch (*s) {
        case '&':
            put(p, "&amp;");
            break;
        case '<':
            put(p, "&lt;");
            break;
        case '>':
            put(p, "&gt;");
            break;
        case '"':
            put(p, "&quot;");
            break;
        case '\'':
            put(p, "&#39;");
            break;
        default:
            break;
        }
        if (*s != '\0') s++;
    }
    sac_free(text);
}

static void put_base64(page *p, const uint8_t *bytes, size_t size) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char line[4096];
    size_t used = 0;
    for (size_t i = 0; i < size; i += 3) {
        size_t left = size - i;
        uint32_t block = (uint32_t)bytes[i] << 16;
        if (left > 1) block |= (uint32_t)bytes[i + 1] << 8;
        if (left > 2) block |= bytes[i + 2];
        line[used++] = digits[block >> 18];
        line[used++] = digits[block >> 12 & 63];
        line[used++] = left > 1 ? digits[block >> 6 & 63] : '=';
        line[used++] = left > 2 ? digits[block & 63] : '=';
        if (used == sizeof line) {
            put_raw(p, line, used);
            used = 0;
        }
    }
    put_raw(p, line, used);
}

static const char style[] =
    ":root{color-scheme:light "
    "dark;--bg:#f6f7f9;--card:#fff;--ink:#1b2430;--soft:#5b6776;--line:#dde2e8;"
    "--raw:#a9b6c6;--smooth:#1565c0;--hot:#d1342b;--grid:#e8ecf1}"
    "@media(prefers-color-scheme:dark){:root{--bg:#12161c;--card:#1b2129;--ink:#e6eaf0;--soft:#"
    "97a3b3;"
    "--line:#2e3742;--raw:#566476;--smooth:#64b5f6;--hot:#ff7a6e;--grid:#27303a}}"
    "*{box-sizing:border-box}body{margin:0;background:var(--bg);color:var(--ink);"
    "font:15px/1.5 system-ui,-apple-system,'Segoe UI',Roboto,'Noto Sans',sans-serif}"
    "main{max-width:1080px;margin:0 auto;padding:28px 20px 60px}"
    "h1{font-size:1.5rem;margin:0 0 4px;overflow-wrap:anywhere}h2{font-size:1.05rem;margin:34px 0 "
    "10px}"
    ".sub{color:var(--soft);margin:0 0 20px}.note{border-left:4px solid var(--hot);padding:6px "
    "12px;"
    "background:var(--card)}"
    ".tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:12px}"
    ".tile,.card,figure{background:var(--card);border:1px solid var(--line);border-radius:10px}"
    ".tile{padding:10px 14px}.tile b{display:block;font-size:1.3rem;font-weight:600}.tile "
    "span{color:var(--soft);"
    "font-size:.85rem}.card{padding:14px;overflow-x:auto}"
    "svg{display:block;width:100%;min-width:560px;height:auto}svg "
    "text{fill:var(--soft);font-size:12px;"
    "font-family:inherit}.legend{color:var(--soft);font-size:.85rem;margin:8px 0 0}"
    ".legend i{display:inline-block;width:18px;height:3px;margin:0 6px 3px "
    "14px;vertical-align:middle}"
    ".moments{display:grid;grid-template-columns:repeat(auto-fill,minmax(300px,1fr));gap:14px}"
    "figure{margin:0;overflow:hidden}figure "
    "img{display:block;width:100%;height:auto;background:#000}"
    "figcaption{padding:8px 12px;font-size:.88rem;color:var(--soft)}figcaption b{color:var(--ink)}"
    "table{border-collapse:collapse;width:100%;font-size:.9rem}th,td{text-align:left;padding:5px "
    "10px;"
    "border-bottom:1px solid var(--line);vertical-align:top;overflow-wrap:anywhere}"
    "th{color:var(--soft);font-weight:500}tr:last-child td,tr:last-child th{border-bottom:0}"
    "td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}.keys th{width:34%}";

static void put_tile(page *p, const char *value, const char *label) {
    put(p, "<div class=\"tile\"><b>%s</b><span>%s</span></div>", value, label);
}

// ---- score curve --------------------------------------------------------------------------------

// Plot area inside the view box of 1000 x 300.
static const double left = 46, right = 988, top = 12, bottom = 264;
enum { MAX_POINTS = 1500 };

static double x_of(const sac_report *r, int64_t frame) {
    return r->frames < 2 ? (left + right) / 2
                         : left + (right - left) * (double)frame / (double)(r->frames - 1);
}

static double y_of(double value, double high) {
    return bottom - (bottom - top) * fmin(fmax(value / high, 0.0), 1.0);
}

// Polyline of the values; long ones as the lowest and highest value of each bin, so that no peak
// disappears.
static void put_curve(page *p, const sac_report *r, const float *values, double high,
                      const char *attributes) {
    put(p, "<polyline fill=\"none\" stroke-linejoin=\"round\" %s points=\"", attributes);
    if (r->frames <= 2 * MAX_POINTS) {
        for (int64_t i = 0; i < r->frames; i++) {
            put(p, "%.1f,%.1f ", x_of(r, i), y_of((double)values[i], high));
        }
        // One frame alone would be an invisible line.
        if (r->frames == 1) put(p, "%.1f,%.1f", x_of(r, 0) + 4, y_of((double)values[0], high));
    } else {
        for (int64_t bin = 0; bin < MAX_POINTS; bin++) {
            int64_t from = r->frames * bin / MAX_POINTS, to = r->frames * (bin + 1) / MAX_POINTS;
            int64_t low = from, peak = from;
            for (int64_t i = from; i < to; i++) {
                if (values[i] < values[low]) low = i;
                if (values[i] > values[peak]) peak = i;
            }
            int64_t first = low < peak ? low : peak, second = low < peak ? peak : low;
            put(p, "%.1f,%.1f %.1f,%.1f ", x_of(r, first), y_of((double)values[first], high),
                x_of(r, second), y_of((double)values[second], high));
        }
    }
    put(p, "\"/>");
}

// 1, 2 or 5 times a power of ten, so that `range` holds at most `count` steps.
static double nice_step(double range, int count) {
    double raw = range / count, power = pow(10.0, floor(log10(raw)));
    double factor = raw / power;
    return (factor <= 1.0 ? 1.0 : factor <= 2.0 ? 2.0 : factor <= 5.0 ? 5.0 : 10.0) * power;
}

static double top_of_scale(const sac_report *r) {
    double high = r->events != NULL ? (double)r->events->threshold : 0.0;
    for (int64_t i = 0; i < r->frames; i++) {
        high = fmax(high, (double)r->scores[i]);
        high = fmax(high, (double)r->smoothed[i]);
    }
    high = fmax(high * 1.08, 0.01);
    return fmin(high, 1.0);
}

static void put_axes(page *p, const sac_report *r, double high) {
    double step = nice_step(high, 5);
    for (int i = 0; i * step <= high * 1.0001; i++) {
        double y = y_of(i * step, high);
        put(p,
            "<line x1=\"%.0f\" x2=\"%.0f\" y1=\"%.1f\" y2=\"%.1f\" stroke=\"var(--grid)\"/>"
            "<text x=\"%.0f\" y=\"%.1f\" text-anchor=\"end\">%.4g</text>",
            left, right, y, y, left - 7, y + 4, i * step);
    }
    for (int i = 0; i <= 6; i++) {
        char time[32];
        int64_t frame = (r->frames - 1) * i / 6;
        if (i > 0 && frame == (r->frames - 1) * (i - 1) / 6)
            continue; // clips shorter than seven frames
        const char *anchor = i == 6 ? "end" : i == 0 ? "start" : "middle";
        put(p, "<text x=\"%.1f\" y=\"%.0f\" text-anchor=\"%s\">%s</text>", x_of(r, frame),
            bottom + 20, anchor, sac_text_duration(time, sizeof time, r->times[frame]));
    }
}

static void put_chart(page *p, const sac_report *r) {
    const double high = top_of_scale(r);
    put(p, "<div class=\"card\"><svg viewBox=\"0 0 1000 300\" role=\"img\" "
           "aria-label=\"Anomaly score over time\">");
    for (int64_t i = 0; r->events != NULL && i < r->events->count; i++) {
        const sac_event *e = &r->events->items[i];
        double x1 = x_of(r, e->first), x2 = x_of(r, e->last);
        put(p,
            "<rect x=\"%.1f\" y=\"%.0f\" width=\"%.1f\" height=\"%.0f\" fill=\"var(--hot)\" "
            "opacity=\".13\"/>",
            x1, top, fmax(x2 - x1, 1.5), bottom - top);
    }
    put_axes(p, r, high);
    put_curve(p, r, r->scores, high, "stroke=\"var(--raw)\" stroke-width=\"1\"");
    put_curve(p, r, r->smoothed, high, "stroke=\"var(--smooth)\" stroke-width=\"2\"");
    if (r->events != NULL) {
        double y = y_of((double)r->events->threshold, high);
        put(p,
            "<line x1=\"%.0f\" x2=\"%.0f\" y1=\"%.1f\" y2=\"%.1f\" stroke=\"var(--hot)\" "
            "stroke-width=\"1.5\" "
            "stroke-dasharray=\"6 5\"/>",
            left, right, y, y);
    }
    int count = r->moments != NULL ? sac_moments_count(r->moments) : 0;
    for (int i = 0; i < count; i++) {
        const sac_moment *m = sac_moments_at(r->moments, i);
        double x = x_of(r, m->frame), y = y_of((double)m->score_smoothed, high);
        put(p,
            "<a href=\"#m%d\"><circle cx=\"%.1f\" cy=\"%.1f\" r=\"8.5\" fill=\"var(--hot)\"/>"
            "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\" "
            "style=\"fill:var(--card);font-size:11px\">%d</text>"
            "</a>",
            i + 1, x, y, x, y + 4, i + 1);
    }
    put(p, "</svg><p class=\"legend\"><i style=\"background:var(--raw)\"></i>raw score"
           "<i style=\"background:var(--smooth)\"></i>smoothed (causal)");
    if (r->events != NULL) {
        put(p, "<i style=\"background:var(--hot)\"></i>threshold %.3g, shaded: events",
            (double)r->events->threshold);
    }
    put(p, "</p></div>");
}

// ---- pictures, events, tables -------------------------------------------------------------------

// Frame with heat map as a PNG data URI; the strongest cell is framed.
static sac_status put_picture(page *p, const sac_moments *moments, const sac_moment *m,
                              float heat_scale) {
    sac_status status = SAC_OK;
    sac_canvas *canvas = NULL;
    uint8_t *png = NULL;
    size_t size = 0;
    int width = 0, height = 0, channels = 0;
    sac_moments_size(moments, &width, &height, &channels);
    // Very small frames are enlarged, so that the heat map can be seen.
    int zoom = width < 160 && height < 160 ? 160 / (width > height ? width : height) : 1;
    int w = width * zoom, h = height * zoom;
    SAC_TRY(sac_canvas_create(&canvas, w, h));
    sac_canvas_frame(canvas, m->pixels, width, height, channels, 0, 0, w, h);
    sac_canvas_heat(canvas, m->map16, SAC_MAP_FINE, SAC_MAP_FINE, heat_scale, 0, 0, w, h);
    const double cell_w = (double)w / SAC_MAP_FINE, cell_h = (double)h / SAC_MAP_FINE;
    sac_canvas_box(canvas, (double)m->peak_x * w - cell_w / 2, (double)m->peak_y * h - cell_h / 2,
                   cell_w, cell_h, 0xffffff, 1.5);
    SAC_TRY(sac_canvas_encode_png(canvas, &png, &size));
    put(p,
        "<img width=\"%d\" height=\"%d\" alt=\"frame %" PRId64 " with its anomaly map\" "
        "src=\"data:image/png;base64,",
        w, h, m->frame);
    put_base64(p, png, size);
    put(p, "\">");
fail:
    sac_free(png);
    sac_canvas_close(&canvas);
    return status;
}

static void put_moments(page *p, const sac_report *r) {
    int count = r->moments != NULL ? sac_moments_count(r->moments) : 0;
    if (count == 0) return;
    // One scale for all pictures: equal colours mean equal map values.
    float scale = 0.01f;
    for (int i = 0; i < count; i++) {
        const sac_moment *m = sac_moments_at(r->moments, i);
        for (int c = 0; c < SAC_MAP_FINE * SAC_MAP_FINE; c++) {
            if (m->map16[c] > scale) scale = m->map16[c];
        }
    }
    put(p, "<h2>Top moments</h2><div class=\"moments\">");
    for (int i = 0; i < count && p->status >= 0; i++) {
        const sac_moment *m = sac_moments_at(r->moments, i);
        char time[32];
        put(p, "<figure id=\"m%d\">", i + 1);
        sac_status status = put_picture(p, r->moments, m, scale);
        if (status < 0 && p->status >= 0) {
            p->status = sac_error_set(p->error, status, m->frame,
                                      "the picture of frame %" PRId64 " cannot be drawn: %s",
                                      m->frame, sac_status_name(status));
        }
        put(p,
            "<figcaption><b>%d. %s</b>, frame %" PRId64
            "<br>smoothed %.3f, raw %.3f</figcaption></figure>",
            i + 1, sac_text_duration(time, sizeof time, m->time_s), m->frame,
            (double)m->score_smoothed, (double)m->score);
    }
    put(p, "</div>");
}

static void put_events(page *p, const sac_report *r) {
    enum { MAX_ROWS = 500 };
    if (r->events == NULL) return;
    put(p, "<h2>Events</h2>");
    if (r->events->count == 0) {
        put(p, "<p class=\"sub\">No frame reaches the threshold of %.3g.</p>",
            (double)r->events->threshold);
        return;
    }
    put(p,
        "<div class=\"card\"><table><tr><th class=\"n\">#</th><th class=\"n\">from</th><th "
        "class=\"n\">to</th>"
        "<th class=\"n\">peak</th><th class=\"n\">frames</th><th class=\"n\">peak score</th></tr>");
    for (int64_t i = 0; i < r->events->count && i < MAX_ROWS; i++) {
        const sac_event *e = &r->events->items[i];
        char from[32], to[32], peak[32];
        put(p,
            "<tr><td class=\"n\">%" PRId64 "</td><td class=\"n\">%s</td><td class=\"n\">%s</td>"
            "<td class=\"n\">%s</td><td class=\"n\">%" PRId64 "&#8211;%" PRId64
            "</td><td class=\"n\">%.3f</td></tr>",
            i + 1, sac_text_duration(from, sizeof from, e->first_s),
            sac_text_duration(to, sizeof to, e->last_s),
            sac_text_duration(peak, sizeof peak, e->peak_s), e->first, e->last, (double)e->score);
    }
    put(p, "</table>");
    if (r->events->count > MAX_ROWS) {
        put(p,
            "<p class=\"legend\">and %" PRId64
            " more; the whole list is in the run's JSON output</p>",
            r->events->count - MAX_ROWS);
    }
    put(p, "</div>");
}

static void put_rows(page *p, const json_t *object, const char *prefix, int depth) {
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach((json_t *)object, key, value) {
        if (json_is_null(value)) continue; // an option that was not given
        if (json_is_object(value) && depth < 4 && json_object_size(value) > 0) {
            char *nested = sac_format("%s%s.", prefix, key);
            if (nested != NULL) put_rows(p, value, nested, depth + 1);
            if (nested == NULL && p->status >= 0) p->status = SAC_ERROR_MEMORY;
            sac_free(nested);
            continue;
        }
        put(p, "<tr><th>");
        put_text(p, prefix);
        put_text(p, key);
        put(p, "</th><td>");
        if (json_is_string(value)) {
            put_text(p, json_string_value(value));
        } else {
            char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(6));
            if (text != NULL) put_text(p, text);
            if (text == NULL && p->status >= 0) p->status = SAC_ERROR_MEMORY;
            free(text); // Jansson allocates with malloc
        }
        put(p, "</td></tr>");
    }
}

static void put_table(page *p, const char *title, const json_t *object) {
    if (object == NULL || json_object_size(object) == 0) return;
    put(p, "<h2>%s</h2><div class=\"card\"><table class=\"keys\">", title);
    put_rows(p, object, "", 0);
    put(p, "</table></div>");
}

static void put_summary(page *p, const sac_report *r) {
    char value[64], label[96], time[32];
    int64_t peak = 0;
    for (int64_t i = 0; i < r->frames; i++) {
        if (r->smoothed[i] > r->smoothed[peak]) peak = i;
    }
    put(p, "<div class=\"tiles\">");
    snprintf(value, sizeof value, "%" PRId64, r->frames);
    put_tile(p, value, "frames");
    put_tile(p, sac_text_duration(time, sizeof time, r->times[r->frames - 1]), "duration");
    snprintf(value, sizeof value, "%.3f", (double)r->smoothed[peak]);
    snprintf(label, sizeof label, "highest smoothed score, at %s",
             sac_text_duration(time, sizeof time, r->times[peak]));
    put_tile(p, value, label);
    if (r->events != NULL) {
        snprintf(value, sizeof value, "%" PRId64, r->events->count);
        snprintf(label, sizeof label, "event%s at threshold %.3g", r->events->count == 1 ? "" : "s",
                 (double)r->events->threshold);
        put_tile(p, value, label);
    }
    if (isfinite(r->frames_per_second) && r->frames_per_second > 0.0) {
        snprintf(value, sizeof value, "%.0f", r->frames_per_second);
        put_tile(p, value, "frames per second, source to score");
    }
    put(p, "</div>");
}

sac_status sac_report_write(sac_file_writer *writer, const sac_report *r, sac_error *error) {
    if (r->frames < 1) {
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "a report needs at least one scored frame");
    }
    page body = {.writer = writer, .error = error, .status = SAC_OK};
    page *p = &body;
    // The policy forbids everything a report does not need, so that even a mistake in escaping
    // could load nothing.
    put(p,
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; "
        "style-src 'unsafe-inline'\">"
        "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><title>");
    put_text(p, r->title);
    put(p, " &#8211; Saccade</title><style>%s</style></head>\n<body><main><h1>", style);
    put_text(p, r->title);
    put(p, "</h1><p class=\"sub\">Abnormal event scores by Saccade, 0 normal to 1 abnormal</p>");
    if (r->interrupted) {
        put(p, "<p class=\"note\">The run was interrupted: the source goes on after the last frame "
               "shown here.</p>");
    }
    put_summary(p, r);
    put(p, "<h2>Score over time</h2>");
    put_chart(p, r);
    put_moments(p, r);
    put_events(p, r);
    put_table(p, "Source", r->source);
    put_table(p, "Settings", r->settings);
    put_table(p, "Model", r->model);
    put_table(p, "Timing", r->timing);
    put(p, "</main></body></html>\n");
    if (body.status < 0) {
        sac_error_set(error, body.status, -1, "the report cannot be written: %s",
                      sac_status_name(body.status));
    }
    return body.status;
}
