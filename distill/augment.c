// Changes of training samples; see distill/augment.h.
#include "distill/augment.h"

#include <math.h>
#include <string.h>

#include "core/rng.h"

#define STREAM_AUGMENT 0x6a6974746572
#define STREAM_DEEP    0x64656570
#define STREAM_NOISE   0x6e6f697365

sac_augment sac_augment_none(void) {
    return (sac_augment){.gain = 1, .gamma = 1};
}

sac_augment sac_augment_draw(const sac_augment_options *o, uint64_t seed, int64_t epoch,
                             int64_t position) {
    const uint64_t place = seed + (uint64_t)epoch * 0x9e3779b97f4a7c15u + (uint64_t)position;
    sac_rng rng;
    sac_rng_seed(&rng, place, STREAM_AUGMENT);
    sac_augment a = {.gain = 1 + o->jitter * (2 * sac_rng_uniform(&rng) - 1), .gamma = 1};
    a.offset = 127 * (1 - a.gain) + 32 * o->jitter * (2 * sac_rng_uniform(&rng) - 1);
    a.flip = sac_rng_uniform(&rng) < o->flip;
    a.dx = (int)(sac_rng_below(&rng, 2 * o->shift + 1) - o->shift);
    a.dy = (int)(sac_rng_below(&rng, 2 * o->shift + 1) - o->shift);
    // A stream of their own, so that they leave what is above as it is.
    sac_rng_seed(&rng, place, STREAM_DEEP);
    a.gamma = exp(o->gamma * (2 * sac_rng_uniform(&rng) - 1));
    a.blur = o->blur * sac_rng_uniform(&rng);
    a.noise = o->noise * sac_rng_uniform(&rng);
    const bool compressed = sac_rng_uniform(&rng) < o->compression;
    const double strength = sac_rng_uniform(&rng);
    a.step = compressed ? 2 + 22 * strength * strength : 0;
    a.block_x = (int)sac_rng_below(&rng, 8);
    a.block_y = (int)sac_rng_below(&rng, 8);
    a.noise_seed = sac_rng_next(&rng);
    return a;
}

bool sac_augment_is_deep(const sac_augment *a) {
    return a->blur > 0 || a->noise > 0 || a->step > 0;
}

double sac_augment_level(const sac_augment *a, double x) {
    if (a->gamma != 1) x = 255 * pow(x / 255, a->gamma);
    x = x * a->gain + a->offset;
    return x < 0 ? 0 : x > 255 ? 255 : x;
}

// Binomial 3x3 (1 2 1) / 4 in both directions, borders repeated, mixed with the plane.
static void blur(float *plane, float *work, int width, int height, float share) {
    for (int y = 0; y < height; y++) {
        const float *row = plane + (int64_t)y * width;
        float *out = work + (int64_t)y * width;
        for (int x = 0; x < width; x++) {
            const float left = row[x > 0 ? x - 1 : 0], right = row[x + 1 < width ? x + 1 : x];
            out[x] = 0.25f * left + 0.5f * row[x] + 0.25f * right;
        }
    }
    for (int y = 0; y < height; y++) {
        const float *above = work + (int64_t)(y > 0 ? y - 1 : 0) * width,
                    *here = work + (int64_t)y * width,
                    *below = work + (int64_t)(y + 1 < height ? y + 1 : y) * width;
        float *out = plane + (int64_t)y * width;
        for (int x = 0; x < width; x++) {
            const float blurred = 0.25f * above[x] + 0.5f * here[x] + 0.25f * below[x];
            out[x] += share * (blurred - out[x]);
        }
    }
}

// Four 16-bit uniforms add up to something close enough to a normal variable: variance 4/12.
static void noise(float *plane, int64_t count, double deviation, uint64_t seed, int index) {
    sac_rng rng;
    sac_rng_seed(&rng, seed, STREAM_NOISE + (uint64_t)index);
    const float scale = (float)(deviation * sqrt(3.0) / 65536);
    for (int64_t i = 0; i < count; i++) {
        const uint64_t bits = sac_rng_next(&rng);
        const int64_t sum = (int64_t)((bits & 0xffff) + (bits >> 16 & 0xffff) +
                                      (bits >> 32 & 0xffff) + (bits >> 48)) -
                            131070;
        const float value = plane[i] + scale * (float)sum;
        plane[i] = value < 0 ? 0 : value > 255 ? 255 : value;
    }
}

// block = basis * block * basis^T or, backwards, basis^T * block * basis.
static void transform(float block[64], const float basis[64], bool backwards) {
    float half[64];
    for (int i = 0; i < 8; i++) {
        for (int j = 0; j < 8; j++) {
            float sum = 0;
            for (int k = 0; k < 8; k++)
                sum += basis[backwards ? k * 8 + i : i * 8 + k] * block[k * 8 + j];
            half[i * 8 + j] = sum;
        }
    }
    for (int i = 0; i < 8; i++) {
        for (int j = 0; j < 8; j++) {
            float sum = 0;
            for (int k = 0; k < 8; k++)
                sum += half[i * 8 + k] * basis[backwards ? k * 8 + j : j * 8 + k];
            block[i * 8 + j] = sum;
        }
    }
}

void sac_augment_compress(float *plane, int width, int height, double step, int bx, int by) {
    float basis[64], steps[64], block[64];
    for (int u = 0; u < 8; u++) {
        for (int x = 0; x < 8; x++) {
            basis[u * 8 + x] = (float)((u == 0 ? sqrt(0.125) : 0.5) *
                                       cos((2 * x + 1) * u * 3.14159265358979 / 16));
            steps[u * 8 + x] = (float)(step * (1 + 0.5 * (u + x)));
        }
    }
    for (int y0 = -by; y0 < height; y0 += 8) {
        for (int x0 = -bx; x0 < width; x0 += 8) {
            for (int i = 0; i < 64; i++) {
                int x = x0 + i % 8, y = y0 + i / 8;
                x = x < 0 ? 0 : x >= width ? width - 1 : x;
                y = y < 0 ? 0 : y >= height ? height - 1 : y;
                block[i] = plane[(int64_t)y * width + x] - 128;
            }
            transform(block, basis, false);
            for (int i = 0; i < 64; i++) block[i] = steps[i] * rintf(block[i] / steps[i]);
            transform(block, basis, true);
            for (int i = 0; i < 64; i++) {
                const int x = x0 + i % 8, y = y0 + i / 8;
                if (x < 0 || y < 0 || x >= width || y >= height) continue;
                const float value = block[i] + 128;
                plane[(int64_t)y * width + x] = value < 0 ? 0 : value > 255 ? 255 : value;
            }
        }
    }
}

void sac_augment_plane(float *plane, float *work, int width, int height, const sac_augment *a,
                       int index) {
    if (a->blur > 0) blur(plane, work, width, height, (float)a->blur);
    if (a->noise > 0) noise(plane, (int64_t)width * height, a->noise, a->noise_seed, index);
    if (a->step > 0) sac_augment_compress(plane, width, height, a->step, a->block_x, a->block_y);
}
