// Drawing of the synthetic scene: figures are lists of 3-D capsules and quads, drawn with analytic
// coverage (so motion is smooth in fractions of a pixel) into a layer that is then laid over the
// frame. Shadows are drawn in ground coordinates. No scene knowledge lives here.
#ifndef SAC_VIDEO_SYNTH_RASTER_H
#define SAC_VIDEO_SYNTH_RASTER_H

#include <stdbool.h>
#include <stdint.h>

#include "saccade/status.h"
#include "video/synth_space.h"

// One piece of a figure: a capsule from a to b with radii ra, rb (a sphere when a == b), or, when
// `quad` is set, the flat face a b c d, seen only from the side where its corners run
// counter-clockwise.
typedef struct sac_synth_part {
    sac_synth_vec a, b, c, d;
    float ra, rb;          // metres
    float value;           // reflectance 0..1
    float stripe;          // relative amplitude of stripes along the axis
    float period;          // their period, metres
    float sway, phase;     // how far wind moves it (metres), and its own phase (radians)
    bool quad, shadowless; // shadowless: casts none
} sac_synth_part;

// Colour and coverage of the figure being drawn. The rectangle x0..x1, y0..y1 (exclusive) holds
// everything drawn since the last composite; outside it alpha is 0.
typedef struct sac_synth_layer {
    int width, height;
    float *value, *alpha; // [height][width]
    int x0, y0, x1, y1;
} sac_synth_layer;

SAC_NODISCARD sac_status sac_synth_layer_init(sac_synth_layer *layer, int width, int height);
void sac_synth_layer_free(sac_synth_layer *layer);

// Draws one part over what the layer holds. `sun` points to the sun (unit length) and shades round
// parts. Overlapping parts of one figure join without a seam: coverage is the larger of the two,
// colour is laid over.
void sac_synth_layer_draw(sac_synth_layer *layer, const sac_synth_camera *camera,
                          const sac_synth_part *part, sac_synth_vec sun);
// frame = frame (1-alpha) + value * light * alpha; cover = cover (1-alpha) + mark * alpha; clears
// the layer.
void sac_synth_layer_composite(sac_synth_layer *layer, float *frame, float *cover, float light,
                               float mark);

// shade[pixel] = max(shade[pixel], coverage of the part's shadow on the ground), softer with
// height.
void sac_synth_shadow_draw(float *shade, const sac_synth_camera *camera, const sac_synth_part *part,
                           sac_synth_vec sun);

// Bounding box in pixels (not clipped) of a part; false when it is behind the lens.
bool sac_synth_part_bounds(const sac_synth_part *part, const sac_synth_camera *camera,
                           double box[4]);
// Whether the pixel position lies inside the drawn part.
bool sac_synth_part_covers(const sac_synth_part *part, const sac_synth_camera *camera, double u,
                           double v);

#endif
