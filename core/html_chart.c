// Curves, axes and bands of score charts as SVG elements.
#include "core/html_chart.h"

#include <math.h>
#include <stdio.h>

#include "core/text.h"

// Plot area inside the view box of 1000 x height.
static const double left = 46, right = 988, top = 12, below = 36;
enum { MAX_POINTS = 1500 };

static double bottom_of(const sac_chart *chart) {
    return chart->height - below;
}

void sac_chart_open(sac_html *page, const sac_chart *chart, const char *label) {
    sac_html_put(page, "<svg viewBox=\"0 0 1000 %.0f\" role=\"img\" aria-label=\"%s\">",
                 chart->height, label);
}

void sac_chart_close(sac_html *page) {
    sac_html_put(page, "</svg>");
}

double sac_chart_x(const sac_chart *chart, int64_t frame) {
    return chart->frames < 2 ? (left + right) / 2
                             : left + (right - left) * (double)frame / (double)(chart->frames - 1);
}

double sac_chart_y(const sac_chart *chart, double value) {
    const double bottom = bottom_of(chart);
    return bottom - (bottom - top) * fmin(fmax(value / chart->high, 0.0), 1.0);
}

// 1, 2 or 5 times a power of ten, so that `range` holds at most `count` steps.
static double nice_step(double range, int count) {
    const double raw = range / count, power = pow(10.0, floor(log10(raw)));
    const double factor = raw / power;
    return (factor <= 1.0 ? 1.0 : factor <= 2.0 ? 2.0 : factor <= 5.0 ? 5.0 : 10.0) * power;
}

void sac_chart_axes(sac_html *page, const sac_chart *chart, const double *times) {
    const double step = nice_step(chart->high, chart->height < 240 ? 2 : 5);
    for (int i = 0; i * step <= chart->high * 1.0001; i++) {
        const double y = sac_chart_y(chart, i * step);
        sac_html_put(page,
                     "<line x1=\"%.0f\" x2=\"%.0f\" y1=\"%.1f\" y2=\"%.1f\" "
                     "stroke=\"var(--grid)\"/>"
                     "<text x=\"%.0f\" y=\"%.1f\" text-anchor=\"end\">%.4g</text>",
                     left, right, y, y, left - 7, y + 4, i * step);
    }
    for (int i = 0; i <= 6; i++) {
        char mark[32];
        const int64_t frame = (chart->frames - 1) * i / 6;
        if (i > 0 && frame == (chart->frames - 1) * (i - 1) / 6)
            continue; // clips shorter than seven frames
        const char *anchor = i == 6 ? "end" : i == 0 ? "start" : "middle";
        if (times != NULL)
            sac_text_duration(mark, sizeof mark, times[frame]);
        else
            snprintf(mark, sizeof mark, "%lld", (long long)frame + 1);
        sac_html_put(page, "<text x=\"%.1f\" y=\"%.0f\" text-anchor=\"%s\">%s</text>",
                     sac_chart_x(chart, frame), bottom_of(chart) + 20, anchor, mark);
    }
}

void sac_chart_band(sac_html *page, const sac_chart *chart, int64_t first, int64_t last,
                    const char *colour, double opacity) {
    const double x1 = sac_chart_x(chart, first), x2 = sac_chart_x(chart, last);
    sac_html_put(page,
                 "<rect x=\"%.1f\" y=\"%.0f\" width=\"%.1f\" height=\"%.0f\" fill=\"%s\" "
                 "opacity=\"%.2f\"/>",
                 x1, top, fmax(x2 - x1, 1.5), bottom_of(chart) - top, colour, opacity);
}

void sac_chart_curve(sac_html *page, const sac_chart *chart, const float *values,
                     const char *attributes) {
    sac_html_put(page, "<polyline fill=\"none\" stroke-linejoin=\"round\" %s points=\"",
                 attributes);
    if (chart->frames <= 2 * MAX_POINTS) {
        for (int64_t i = 0; i < chart->frames; i++) {
            sac_html_put(page, "%.1f,%.1f ", sac_chart_x(chart, i),
                         sac_chart_y(chart, (double)values[i]));
        }
        // One frame alone would be an invisible line.
        if (chart->frames == 1)
            sac_html_put(page, "%.1f,%.1f", sac_chart_x(chart, 0) + 4,
                         sac_chart_y(chart, (double)values[0]));
    } else {
        for (int64_t bin = 0; bin < MAX_POINTS; bin++) {
            const int64_t from = chart->frames * bin / MAX_POINTS;
            const int64_t to = chart->frames * (bin + 1) / MAX_POINTS;
            int64_t low = from, peak = from;
            for (int64_t i = from; i < to; i++) {
                if (values[i] < values[low]) low = i;
                if (values[i] > values[peak]) peak = i;
            }
            const int64_t first = low < peak ? low : peak, second = low < peak ? peak : low;
            sac_html_put(page, "%.1f,%.1f %.1f,%.1f ", sac_chart_x(chart, first),
                         sac_chart_y(chart, (double)values[first]), sac_chart_x(chart, second),
                         sac_chart_y(chart, (double)values[second]));
        }
    }
    sac_html_put(page, "\"/>");
}

void sac_chart_level(sac_html *page, const sac_chart *chart, double value, const char *colour) {
    const double y = sac_chart_y(chart, value);
    sac_html_put(page,
                 "<line x1=\"%.0f\" x2=\"%.0f\" y1=\"%.1f\" y2=\"%.1f\" stroke=\"%s\" "
                 "stroke-width=\"1.5\" stroke-dasharray=\"6 5\"/>",
                 left, right, y, y, colour);
}
