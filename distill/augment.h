// What is changed about one training sample, the same for its three frames and their colours but
// for the sensor's noise: geometry, gray levels, blur, noise, and the artefacts of a compressed
// video.
#ifndef SAC_DISTILL_AUGMENT_H
#define SAC_DISTILL_AUGMENT_H

#include <stdbool.h>
#include <stdint.h>

typedef struct sac_augment_options {
    // random gain 1 +- jitter about gray level 127 and offset +- 32 * jitter gray levels, 0.1
    double jitter;
    // part of the samples mirrored left to right, with their maps, 0; wrong where the direction of
    // walking matters and the teacher knows it
    double flip;
    // the frames of a sample are moved together by up to so many pixels of the network input each
    // way, 0..64; their maps stay as they are, so keep it well below a cell of the finest map (1/16
    // of the width)
    int64_t shift;
    double gamma; // gray levels to the power exp(+-gamma), 0..1; 0: not
    double blur;  // largest share of a 3x3 binomial blur, 0..1; 0: not
    double noise; // largest standard deviation of noise in gray levels, anew in every frame, 0..64
    // part of the samples that is compressed: 8x8 blocks, coefficients rounded to steps that grow
    // with frequency, of one random strength and block position for the three frames; 0..1
    double compression;
} sac_augment_options;

typedef struct sac_augment {
    double gain, offset;  // of gray levels
    bool flip;            // left and right swapped, in the frames and in the maps
    int dx, dy;           // the three frames moved together; the maps stay
    double gamma;         // exponent, 1: none
    double blur, noise;   // share, standard deviation
    double step;          // of compression at frequency 0, gray levels; 0: none
    int block_x, block_y; // position of the blocks, 0..7
    uint64_t noise_seed;
} sac_augment;

sac_augment sac_augment_none(void);
// Draws from (seed, epoch, position) alone, so that a resumed run needs no state for it.
sac_augment sac_augment_draw(const sac_augment_options *options, uint64_t seed, int64_t epoch,
                             int64_t position);
// Whether sac_augment_plane is needed besides table and geometry.
bool sac_augment_is_deep(const sac_augment *augment);

// Level of a value x, 0..255, gray or of each colour alike: gamma, then gain and offset, clamped.
double sac_augment_level(const sac_augment *augment, double x);

// Blur, noise and compression of one plane of a frame, in place.
//   plane   f32 [height][width], gray levels 0..255; stays in that range
//   work    f32 [height][width], overwritten
//   index   0.., of the sample's planes: their noise differs
// Thread-safe.
void sac_augment_plane(float *plane, float *work, int width, int height, const sac_augment *augment,
                       int index);

// Rounds the coefficients of the orthonormal two-dimensional DCT-II of each 8x8 block,
//   c'(u,v) = s * round(c(u,v) / s),  s = step * (1 + (u + v) / 2),
// and transforms back. Blocks begin at (-x, -y); those that reach beyond the plane repeat its
// border.
// Source: the scheme of ITU-T T.81 (JPEG), with own steps.
void sac_augment_compress(float *plane, int width, int height, double step, int x, int y);

#endif
