// Pictures of results: a scatter plot with labelled points, and bars with their spread. The same
// drawing as SVG or PNG, by the ending of the file's name. Texts may be any bytes: what is not
// UTF-8 is replaced, what is too long cut. Nothing here knows what is plotted.
#ifndef SAC_BENCH_PLOT_H
#define SAC_BENCH_PLOT_H

#include <stdbool.h>
#include <stdint.h>

#include "saccade/status.h"

#define SAC_PLOT_MOST 256

typedef struct sac_plot_point {
    const char *label;
    double x, y;      // not finite: the point is left out; y of a hollow one: a dashed line
                      // at x
    double low, high; // spread of y (scatter) or of x (bars); NaN: none
    int group;        // colour, 0..5; see sac_plot.groups
    bool hollow;      // drawn as a ring: a figure of somebody else
} sac_plot_point;

typedef struct sac_plot {
    const char *title, *x_label, *y_label, *note; // note: below the axis, NULL: none
    const char *groups[6];                        // names for the legend; NULL: not shown
    const char *hollow_label;                     // of the rings in the legend; NULL: not shown
    const sac_plot_point *points;
    int64_t count;        // 1..SAC_PLOT_MOST
    bool log_x;           // scatter only; every x must then be positive
    double y_low, y_high; // scatter only: range of y; equal: taken from the points
} sac_plot;

// Points at (x, y), 960 x 600. SAC_ERROR_ARGUMENT: no point that can be drawn, or too many, or a
// path that ends neither in .svg nor in .png; SAC_ERROR_IO, SAC_ERROR_MEMORY. Atomic.
SAC_NODISCARD sac_status sac_plot_scatter(const sac_plot *plot, const char *path, sac_error *error);
// One horizontal bar a point, in their order, of length x from 0 (or from just below the lowest
// value when all lie close together: the axis says so), 960 px wide. y is not used.
SAC_NODISCARD sac_status sac_plot_bars(const sac_plot *plot, const char *path, sac_error *error);
// SAC_ERROR_ARGUMENT unless the path ends in .svg or .png (or is NULL): to be asked before hours of
// work.
SAC_NODISCARD sac_status sac_plot_check_path(const char *path, const char *option,
                                             sac_error *error);

#endif
