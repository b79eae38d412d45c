// Procedural textures and outlines: foreign material for pseudo-anomalies without any picture from
// elsewhere. Values at a point only; who paints them where is distill/pseudo.c's part.
#ifndef SAC_DISTILL_TEXTURE_H
#define SAC_DISTILL_TEXTURE_H

#include <stdint.h>

#include "core/rng.h"

typedef enum sac_texture_kind {
    SAC_TEXTURE_FLAT,
    SAC_TEXTURE_STRIPES, // sine grating
    SAC_TEXTURE_CHECKS,
    SAC_TEXTURE_DOTS,
    SAC_TEXTURE_NOISE, // value noise, three octaves
    SAC_TEXTURE_RAMP,
    SAC_TEXTURE_KIND_COUNT
} sac_texture_kind;

typedef struct sac_texture {
    sac_texture_kind kind;
    double period;       // px
    double cosine, sine; // direction
    double phase_x, phase_y;
    double low, high; // gray levels at its two ends, at least 60 apart
    uint32_t seed;    // of the noise
} sac_texture;

// A random one for an object of about `size` px: its period is an eighth to two thirds of that, at
// least 2 px.
void sac_texture_draw(sac_texture *texture, sac_rng *rng, double size);
// Gray level, 0..255, at a point (px, any origin). Thread-safe.
double sac_texture_at(const sac_texture *texture, double x, double y);

// Outline in polar form: radius r(angle) within the square [-1,1]^2.
typedef struct sac_shape {
    int corners;              // 0: a blob (sum of waves), otherwise a star or polygon
    double inner;             // radius between two corners over that at a corner, (0, 1]
    double turn;              // rotation of the outline
    double wave[4], phase[4]; // blob: amplitude and phase of 2 to 5 waves a turn
} sac_shape;

void sac_shape_draw(sac_shape *shape, sac_rng *rng);
// How much of a point belongs to the shape: 1 inside, 0 outside, a ramp of width `edge` between.
//   u, v  in [-1,1]
double sac_shape_alpha(const sac_shape *shape, double u, double v, double edge);

#endif
