// Score curves over the frames of a clip as inline SVG, part of a page of core/html.h.
#ifndef SAC_CORE_HTML_CHART_H
#define SAC_CORE_HTML_CHART_H

#include <stdint.h>

#include "core/html.h"

typedef struct sac_chart {
    int64_t frames; // >= 1
    double high;    // top of the scale, > 0; the bottom is 0
    double height;  // of the picture in units of a thousandth of its width, > 60
} sac_chart;

// Opens the <svg> with an accessible name (our own text) / closes it.
void sac_chart_open(sac_html *page, const sac_chart *chart, const char *label);
void sac_chart_close(sac_html *page);
// Places in the view box of 1000 x height: of a frame, and of a value cut to [0, high].
double sac_chart_x(const sac_chart *chart, int64_t frame);
double sac_chart_y(const sac_chart *chart, double value);

// Grid lines with values, and seven marks below: times f64 [frames] in seconds, or frame numbers
// from 1 when it is NULL.
void sac_chart_axes(sac_html *page, const sac_chart *chart, const double *times);
// Shades frames first .. last with a CSS colour.
void sac_chart_band(sac_html *page, const sac_chart *chart, int64_t first, int64_t last,
                    const char *colour, double opacity);
// Curve of values f32 [frames]; long ones as the lowest and highest value of each piece, so that no
// peak disappears. `attributes`: our own, such as "stroke=\"red\"".
void sac_chart_curve(sac_html *page, const sac_chart *chart, const float *values,
                     const char *attributes);
// Dashed line across at a value.
void sac_chart_level(sac_html *page, const sac_chart *chart, double value, const char *colour);

#endif
