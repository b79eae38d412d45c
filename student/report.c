// Writes the HTML report. Everything is streamed into the writer; only the pictures are held in
// memory, one at a time. Knows nothing of models or videos: it shows what it is given.
#include "student/report.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/check.h"
#include "core/html.h"
#include "core/html_chart.h"
#include "core/memory.h"
#include "core/text.h"
#include "video/picture.h"

// ---- score curve --------------------------------------------------------------------------------

static double top_of_scale(const sac_report *r) {
    double high = r->events != NULL ? (double)r->events->threshold : 0.0;
    for (int64_t i = 0; i < r->frames; i++) {
        high = fmax(high, (double)r->scores[i]);
        high = fmax(high, (double)r->smoothed[i]);
    }
    high = fmax(high * 1.08, 0.01);
    return fmin(high, 1.0);
}

static void put_chart(sac_html *p, const sac_report *r) {
    const sac_chart chart = {.frames = r->frames, .high = top_of_scale(r), .height = 300};
    sac_html_put(p, "<div class=\"card\">");
    sac_chart_open(p, &chart, "Anomaly score over time");
    for (int64_t i = 0; r->events != NULL && i < r->events->count; i++) {
        const sac_event *e = &r->events->items[i];
        sac_chart_band(p, &chart, e->first, e->last, "var(--hot)", 0.13);
    }
    sac_chart_axes(p, &chart, r->times);
    sac_chart_curve(p, &chart, r->scores, "stroke=\"var(--raw)\" stroke-width=\"1\"");
    sac_chart_curve(p, &chart, r->smoothed, "stroke=\"var(--smooth)\" stroke-width=\"2\"");
    if (r->events != NULL) sac_chart_level(p, &chart, (double)r->events->threshold, "var(--hot)");
    int count = r->moments != NULL ? sac_moments_count(r->moments) : 0;
    for (int i = 0; i < count; i++) {
        const sac_moment *m = sac_moments_at(r->moments, i);
        double x = sac_chart_x(&chart, m->frame);
        double y = sac_chart_y(&chart, (double)m->score_smoothed);
        sac_html_put(
            p,
            "<a href=\"#m%d\"><circle cx=\"%.1f\" cy=\"%.1f\" r=\"8.5\" fill=\"var(--hot)\"/>"
            "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\" "
            "style=\"fill:var(--card);font-size:11px\">%d</text>"
            "</a>",
            i + 1, x, y, x, y + 4, i + 1);
    }
    sac_chart_close(p);
    sac_html_put(p, "<p class=\"legend\"><i style=\"background:var(--raw)\"></i>raw score"
                    "<i style=\"background:var(--smooth)\"></i>smoothed (causal)");
    if (r->events != NULL) {
        sac_html_put(p, "<i style=\"background:var(--hot)\"></i>threshold %.3g, shaded: events",
                     (double)r->events->threshold);
    }
    sac_html_put(p, "</p></div>");
}

// ---- pictures, events, tables -------------------------------------------------------------------

// Frame with heat map as a PNG data URI; the strongest cell is framed.
static sac_status put_picture(sac_html *p, const sac_moments *moments, const sac_moment *m,
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
    sac_canvas_heat(canvas, m->map, m->side, m->side, heat_scale, 0, 0, w, h);
    const double cell_w = (double)w / m->side, cell_h = (double)h / m->side;
    sac_canvas_box(canvas, (double)m->peak_x * w - cell_w / 2, (double)m->peak_y * h - cell_h / 2,
                   cell_w, cell_h, 0xffffff, 1.5);
    SAC_TRY(sac_canvas_encode_png(canvas, &png, &size));
    char alt[64];
    snprintf(alt, sizeof alt, "frame %" PRId64 " with its anomaly map", m->frame);
    sac_html_picture(p, png, size, w, h, alt);
fail:
    sac_free(png);
    sac_canvas_close(&canvas);
    return status;
}

static void put_moments(sac_html *p, const sac_report *r) {
    int count = r->moments != NULL ? sac_moments_count(r->moments) : 0;
    if (count == 0) return;
    // One scale for all pictures: equal colours mean equal map values.
    float scale = 0.01f;
    for (int i = 0; i < count; i++) {
        const sac_moment *m = sac_moments_at(r->moments, i);
        for (int c = 0; c < m->side * m->side; c++) {
            if (m->map[c] > scale) scale = m->map[c];
        }
    }
    sac_html_put(p, "<h2>Top moments</h2><div class=\"moments\">");
    for (int i = 0; i < count && p->status >= 0; i++) {
        const sac_moment *m = sac_moments_at(r->moments, i);
        char time[32];
        sac_html_put(p, "<figure id=\"m%d\">", i + 1);
        sac_status status = put_picture(p, r->moments, m, scale);
        if (status < 0 && p->status >= 0) {
            p->status = sac_error_set(p->error, status, m->frame,
                                      "the picture of frame %" PRId64 " cannot be drawn: %s",
                                      m->frame, sac_status_name(status));
        }
        sac_html_put(p,
                     "<figcaption><b>%d. %s</b>, frame %" PRId64
                     "<br>smoothed %.3f, raw %.3f</figcaption></figure>",
                     i + 1, sac_text_duration(time, sizeof time, m->time_s), m->frame,
                     (double)m->score_smoothed, (double)m->score);
    }
    sac_html_put(p, "</div>");
}

static void put_events(sac_html *p, const sac_report *r) {
    enum { MAX_ROWS = 500 };
    if (r->events == NULL) return;
    sac_html_put(p, "<h2>Events</h2>");
    if (r->events->count == 0) {
        sac_html_put(p, "<p class=\"sub\">No frame reaches the threshold of %.3g.</p>",
                     (double)r->events->threshold);
        return;
    }
    sac_html_put(
        p,
        "<div class=\"card\"><table><tr><th class=\"n\">#</th><th class=\"n\">from</th><th "
        "class=\"n\">to</th>"
        "<th class=\"n\">peak</th><th class=\"n\">frames</th><th class=\"n\">peak score</th></tr>");
    for (int64_t i = 0; i < r->events->count && i < MAX_ROWS; i++) {
        const sac_event *e = &r->events->items[i];
        char from[32], to[32], peak[32];
        sac_html_put(
            p,
            "<tr><td class=\"n\">%" PRId64 "</td><td class=\"n\">%s</td><td class=\"n\">%s</td>"
            "<td class=\"n\">%s</td><td class=\"n\">%" PRId64 "&#8211;%" PRId64
            "</td><td class=\"n\">%.3f</td></tr>",
            i + 1, sac_text_duration(from, sizeof from, e->first_s),
            sac_text_duration(to, sizeof to, e->last_s),
            sac_text_duration(peak, sizeof peak, e->peak_s), e->first, e->last, (double)e->score);
    }
    sac_html_put(p, "</table>");
    if (r->events->count > MAX_ROWS) {
        sac_html_put(p,
                     "<p class=\"legend\">and %" PRId64
                     " more; the whole list is in the run's JSON output</p>",
                     r->events->count - MAX_ROWS);
    }
    sac_html_put(p, "</div>");
}

static void put_summary(sac_html *p, const sac_report *r) {
    char value[64], label[96], time[32];
    int64_t peak = 0;
    for (int64_t i = 0; i < r->frames; i++) {
        if (r->smoothed[i] > r->smoothed[peak]) peak = i;
    }
    sac_html_put(p, "<div class=\"tiles\">");
    snprintf(value, sizeof value, "%" PRId64, r->frames);
    sac_html_tile(p, value, "frames");
    sac_html_tile(p, sac_text_duration(time, sizeof time, r->times[r->frames - 1]), "duration");
    snprintf(value, sizeof value, "%.3f", (double)r->smoothed[peak]);
    snprintf(label, sizeof label, "highest smoothed score, at %s",
             sac_text_duration(time, sizeof time, r->times[peak]));
    sac_html_tile(p, value, label);
    if (r->events != NULL) {
        snprintf(value, sizeof value, "%" PRId64, r->events->count);
        snprintf(label, sizeof label, "event%s at threshold %.3g", r->events->count == 1 ? "" : "s",
                 (double)r->events->threshold);
        sac_html_tile(p, value, label);
    }
    if (isfinite(r->frames_per_second) && r->frames_per_second > 0.0) {
        snprintf(value, sizeof value, "%.0f", r->frames_per_second);
        sac_html_tile(p, value, "frames per second, source to score");
    }
    sac_html_put(p, "</div>");
}

sac_status sac_report_write(sac_file_writer *writer, const sac_report *r, sac_error *error) {
    if (r->frames < 1) {
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "a report needs at least one scored frame");
    }
    sac_html page, *p = &page;
    sac_html_begin(p, writer, r->title, "Abnormal event scores by Saccade, 0 normal to 1 abnormal",
                   error);
    if (r->interrupted && r->reason != NULL) {
        sac_html_put(p, "<p class=\"note\">The run was interrupted: the source broke off behind "
                        "the last frame shown here. ");
        sac_html_text(p, r->reason);
        sac_html_put(p, "</p>");
    } else if (r->interrupted) {
        sac_html_put(p,
                     "<p class=\"note\">The run was interrupted: the source goes on after the last "
                     "frame shown here.</p>");
    }
    put_summary(p, r);
    sac_html_put(p, "<h2>Score over time</h2>");
    put_chart(p, r);
    put_moments(p, r);
    put_events(p, r);
    sac_html_keys(p, "Source", r->source);
    sac_html_keys(p, "Settings", r->settings);
    sac_html_keys(p, "Model", r->model);
    sac_html_keys(p, "Timing", r->timing);
    return sac_html_end(p);
}
