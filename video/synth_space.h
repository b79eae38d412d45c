// Geometry of the synthetic scene: vectors in metres, the fixed camera and its ground plane, hashed
// noise. Everything is a pure function of its arguments, so that any frame can be drawn in any
// order.
#ifndef SAC_VIDEO_SYNTH_SPACE_H
#define SAC_VIDEO_SYNTH_SPACE_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>

#define SAC_SYNTH_PI 3.14159265358979323846

// World: x to the camera's right, y away from it along the ground, z up; metres.
typedef struct sac_synth_vec {
    double x, y, z;
} sac_synth_vec;

static inline sac_synth_vec sac_synth_add(sac_synth_vec a, sac_synth_vec b) {
    return (sac_synth_vec){a.x + b.x, a.y + b.y, a.z + b.z};
}

// a + (b - a) * t
static inline sac_synth_vec sac_synth_mix(sac_synth_vec a, sac_synth_vec b, double t) {
    return (sac_synth_vec){a.x + (b.x - a.x) * t, a.y + (b.y - a.y) * t, a.z + (b.z - a.z) * t};
}

static inline double sac_synth_clamp(double v, double lo, double hi) {
    return v < lo ? lo : v > hi ? hi : v;
}

// 0 below lo, 1 above hi, smooth between.
static inline double sac_synth_smooth(double lo, double hi, double v) {
    double t = sac_synth_clamp((v - lo) / (hi - lo), 0, 1);
    return t * t * (3 - 2 * t);
}

// A pinhole camera above the origin, looking along +y and down by `pitch`.
typedef struct sac_synth_camera {
    int width, height;           // px
    double focal_px, cx, cy;     // px
    double above_m;              // height over the ground
    double sin_pitch, cos_pitch; // downward tilt
} sac_synth_camera;

// Where a world point is seen: pixel coordinates (pixel centres at .5), pixels per metre, and depth
// along the optical axis in metres. Points with depth < 0.5 are behind or at the lens: `scale` is
// 0.
typedef struct sac_synth_pixel {
    double u, v, scale, depth;
} sac_synth_pixel;

// The focal length is 1.3 * max(width, 1.5 height), so that whatever the aspect ratio the horizon
// stays above the picture and every pixel sees ground.
sac_synth_camera sac_synth_camera_make(int width, int height, double above_m, double pitch);
sac_synth_pixel sac_synth_project(const sac_synth_camera *camera, sac_synth_vec point);
// Ground point (z = 0) seen at pixel position (u, v): the inverse of the ground plane homography.
sac_synth_vec sac_synth_ground(const sac_synth_camera *camera, double u, double v);

// The walkway's own coordinates: s along it, l across it (positive: away from the camera).
typedef struct sac_synth_walkway {
    double x, y;         // world position of s = l = 0
    double cos_, sin_;   // direction of +s
    double half_width_m; // paved for |l| up to this
} sac_synth_walkway;

static inline sac_synth_vec sac_synth_walkway_to_world(const sac_synth_walkway *way, double s,
                                                       double l) {
    return (sac_synth_vec){way->x + s * way->cos_ - l * way->sin_,
                           way->y + s * way->sin_ + l * way->cos_, 0};
}

static inline void sac_synth_world_to_walkway(const sac_synth_walkway *way, double x, double y,
                                              double *s, double *l) {
    *s = (x - way->x) * way->cos_ + (y - way->y) * way->sin_;
    *l = (y - way->y) * way->cos_ - (x - way->x) * way->sin_;
}

// Finaliser of splitmix64 (Steele, Lea and Flood, 2014): a well-mixed hash of one word.
static inline uint64_t sac_synth_hash(uint64_t z) {
    z += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

// Hash of a lattice point, uniform in [0, 1).
static inline double sac_synth_lattice(int64_t i, int64_t j, uint64_t seed) {
    uint64_t h = sac_synth_hash(
        seed ^ sac_synth_hash((uint64_t)i * 0x632be59bd9b4e019u + (uint64_t)j * 0x85157af5u));
    return (double)(h >> 11) * 0x1.0p-53;
}

// Smooth value noise in [0, 1) with lattice spacing 1, and `octaves` of it, each half the size and
// weight.
double sac_synth_noise(double x, double y, uint64_t seed);
double sac_synth_fractal(double x, double y, int octaves, uint64_t seed);
// Approximately normal (sum of four uniforms), mean 0, variance 1, from a hash.
static inline float sac_synth_normal(uint64_t hash) {
    int64_t sum = (int64_t)(hash & 0xffff) + (int64_t)((hash >> 16) & 0xffff) +
                  (int64_t)((hash >> 32) & 0xffff) + (int64_t)(hash >> 48) - 131070;
    return (float)sum * (1.0f / 37837.0f); // 65536 / sqrt(3)
}

#endif
