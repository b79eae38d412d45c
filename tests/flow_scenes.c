// Frames with known motion. Textures are sums of waves of random direction, length and phase.
#include "flow_scenes.h"

#include <math.h>
#include <stddef.h>

#include "core/rng.h"

enum { WAVES = 40 };

typedef struct texture {
    double x[WAVES], y[WAVES], phase[WAVES], amplitude[WAVES];
    double mean;
} texture;

static void texture_make(texture *t, uint64_t seed, uint64_t stream, double shortest, double mean) {
    sac_rng rng;
    sac_rng_seed(&rng, seed, stream);
    double power = 0;
    for (int i = 0; i < WAVES; i++) {
        double length = shortest * pow(10, sac_rng_uniform(&rng));
        double angle = 6.283185307179586 * sac_rng_uniform(&rng);
        t->x[i] = 6.283185307179586 / length * cos(angle);
        t->y[i] = 6.283185307179586 / length * sin(angle);
        t->phase[i] = 6.283185307179586 * sac_rng_uniform(&rng);
        t->amplitude[i] = sqrt(length);
        power += length / 2;
    }
    for (int i = 0; i < WAVES; i++) t->amplitude[i] *= 30 / sqrt(power);
    t->mean = mean;
}

static double texture_at(const texture *t, double x, double y) {
    double sum = t->mean;
    for (int i = 0; i < WAVES; i++) {
        sum += t->amplitude[i] * cos(t->x[i] * x + t->y[i] * y + t->phase[i]);
    }
    return sum;
}

static uint8_t level(double value) {
    return (uint8_t)lround(fmin(fmax(value, 0), 255));
}

static bool in_square(const flow_scene *s, double x, double y, double left, double top) {
    return s->side > 0 && x >= left && y >= top && x < left + s->side && y < top + s->side;
}

void flow_scene_make(const flow_scene *s, uint8_t *from, uint8_t *to, float *truth, uint8_t *seen) {
    texture ground, square;
    const double shortest = s->wavelength > 0 ? s->wavelength : 6;
    texture_make(&ground, s->seed, 0, shortest, 110);
    texture_make(&square, s->seed, 1, shortest, 140);
    sac_rng rng;
    sac_rng_seed(&rng, s->seed, 2);
    const double cx = 0.5 * s->width, cy = 0.5 * s->height, gain = s->gain > 0 ? s->gain : 1;
    const double c = (1 + s->zoom) * cos(s->turn), n = (1 + s->zoom) * sin(s->turn);
    const double determinant = c * c + n * n;
    const int64_t picture = (int64_t)s->width * s->height;
    for (int y = 0; y < s->height; y++) {
        for (int x = 0; x < s->width; x++) {
            const int64_t p = (int64_t)y * s->width + x;
            const bool on = in_square(s, x, y, s->square_x, s->square_y);
            double value = on ? texture_at(&square, x, y) : texture_at(&ground, x, y);
            from[p] = level(value + s->noise * sac_rng_normal(&rng));
            const double dx = x - cx, dy = y - cy;
            const double to_x = on ? x + s->move_x : cx + c * dx - n * dy + s->shift_x;
            const double to_y = on ? y + s->move_y : cy + n * dx + c * dy + s->shift_y;
            if (truth != NULL) {
                truth[p] = (float)(to_x - x);
                truth[picture + p] = (float)(to_y - y);
            }
            if (seen != NULL) {
                seen[p] = to_x >= 0 && to_y >= 0 && to_x <= s->width - 1 && to_y <= s->height - 1 &&
                          (on || !in_square(s, to_x, to_y, s->square_x + s->move_x,
                                            s->square_y + s->move_y));
            }
            // The second frame: what lies at this pixel came from where?
            if (in_square(s, x, y, s->square_x + s->move_x, s->square_y + s->move_y)) {
                value = texture_at(&square, x - s->move_x, y - s->move_y);
            } else {
                const double ex = x - s->shift_x - cx, ey = y - s->shift_y - cy;
                value = texture_at(&ground, cx + (c * ex + n * ey) / determinant,
                                   cy + (-n * ex + c * ey) / determinant);
            }
            to[p] = level(gain * value + s->offset + s->noise * sac_rng_normal(&rng));
        }
    }
}

double flow_error(const float *flow, const float *truth, const uint8_t *seen, int width, int height,
                  int border) {
    const int64_t picture = (int64_t)width * height;
    double sum = 0;
    int64_t count = 0;
    for (int y = border; y < height - border; y++) {
        for (int x = border; x < width - border; x++) {
            const int64_t p = (int64_t)y * width + x;
            if (!seen[p]) continue;
            sum += hypot((double)flow[p] - (double)truth[p],
                         (double)flow[picture + p] - (double)truth[picture + p]);
            count++;
        }
    }
    return count > 0 ? sum / (double)count : NAN;
}
