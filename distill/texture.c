// Textures and outlines from a few random numbers; see distill/texture.h.
#include "distill/texture.h"

#include <math.h>

#define TURN 6.283185307179586

static double uniform(sac_rng *rng, double lo, double hi) {
    return lo + (hi - lo) * sac_rng_uniform(rng);
}

static double clamp(double v, double lo, double hi) {
    return v < lo ? lo : v > hi ? hi : v;
}

void sac_texture_draw(sac_texture *t, sac_rng *rng, double size) {
    const double angle = uniform(rng, 0, TURN);
    t->kind = (sac_texture_kind)sac_rng_below(rng, SAC_TEXTURE_KIND_COUNT);
    t->period = fmax(2, size * uniform(rng, 0.125, 0.667));
    t->cosine = cos(angle);
    t->sine = sin(angle);
    t->phase_x = uniform(rng, 0, 64);
    t->phase_y = uniform(rng, 0, 64);
    t->low = uniform(rng, 0, 195);
    t->high = uniform(rng, t->low + 60, 255);
    if (sac_rng_below(rng, 2) == 1) {
        const double swap = t->low;
        t->low = t->high;
        t->high = swap;
    }
    t->seed = (uint32_t)sac_rng_below(rng, 1 << 30);
}

// Random number in [0, 1) of a lattice point.
static double lattice(uint32_t seed, int64_t x, int64_t y) {
    uint64_t h = seed + 0x9e3779b97f4a7c15u * (uint64_t)x + 0xc2b2ae3d27d4eb4fu * (uint64_t)y;
    h = (h ^ (h >> 29)) * 0xbf58476d1ce4e5b9u;
    h = (h ^ (h >> 32)) * 0x94d049bb133111ebu;
    return (double)(h >> 40) / 16777216.0;
}

static double value_noise(uint32_t seed, double x, double y) {
    const double fx = floor(x), fy = floor(y);
    const int64_t ix = (int64_t)fx, iy = (int64_t)fy;
    double u = x - fx, v = y - fy;
    u = u * u * (3 - 2 * u);
    v = v * v * (3 - 2 * v);
    return (1 - v) * ((1 - u) * lattice(seed, ix, iy) + u * lattice(seed, ix + 1, iy)) +
           v * ((1 - u) * lattice(seed, ix, iy + 1) + u * lattice(seed, ix + 1, iy + 1));
}

double sac_texture_at(const sac_texture *t, double x, double y) {
    x += t->phase_x;
    y += t->phase_y;
    const double a = (x * t->cosine + y * t->sine) / t->period,
                 b = (y * t->cosine - x * t->sine) / t->period;
    double part = 0; // of the way from low to high
    switch (t->kind) {
    case SAC_TEXTURE_STRIPES:
        part = 0.5 + 0.5 * sin(TURN * a);
        break;
    case SAC_TEXTURE_CHECKS:
        part = ((int64_t)floor(2 * a) + (int64_t)floor(2 * b)) & 1 ? 1 : 0;
        break;
    case SAC_TEXTURE_DOTS: {
        const double du = a - floor(a) - 0.5, dv = b - floor(b) - 0.5;
        part = clamp(5 * (0.33 - sqrt(du * du + dv * dv)) + 0.5, 0, 1);
        break;
    }
    case SAC_TEXTURE_NOISE:
        part =
            (4 * value_noise(t->seed, 2 * a, 2 * b) + 2 * value_noise(t->seed + 1, 4 * a, 4 * b) +
             value_noise(t->seed + 2, 8 * a, 8 * b)) /
            7;
        break;
    case SAC_TEXTURE_RAMP:
        part = fabs(2 * (a / 2 - floor(a / 2)) - 1);
        break;
    default:
        break;
    }
    return clamp(t->low + (t->high - t->low) * part, 0, 255);
}

void sac_shape_draw(sac_shape *s, sac_rng *rng) {
    *s = (sac_shape){.inner = 1};
    s->turn = uniform(rng, 0, TURN);
    if (sac_rng_below(rng, 2) == 0) {
        for (int k = 0; k < 4; k++) {
            s->wave[k] = uniform(rng, 0, 0.3) / (k + 1);
            s->phase[k] = uniform(rng, 0, TURN);
        }
        return;
    }
    s->corners = 3 + (int)sac_rng_below(rng, 6);
    s->inner = uniform(rng, 0.35, 1);
}

// Radius at an angle, at most 1.
static double radius(const sac_shape *s, double angle) {
    angle += s->turn;
    if (s->corners > 0) {
        const double at = s->corners * angle / TURN;
        const double from_corner = fabs(2 * (at - floor(at)) - 1); // 1 at a corner, 0 between
        return s->inner + (1 - s->inner) * from_corner;
    }
    double r = 1, most = 1;
    for (int k = 0; k < 4; k++) {
        r += s->wave[k] * sin((k + 2) * angle + s->phase[k]);
        most += s->wave[k];
    }
    return r / most;
}

double sac_shape_alpha(const sac_shape *s, double u, double v, double edge) {
    const double inside = radius(s, atan2(v, u)) - sqrt(u * u + v * v);
    return clamp(edge > 0 ? inside / edge : inside > 0, 0, 1);
}
