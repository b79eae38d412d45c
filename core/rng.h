// Deterministic random numbers, the same on every machine: xoshiro256**, seeded by splitmix64. The
// whole state is four words, so that a checkpoint restores a sampler exactly. Not for cryptography.
// Source: David Blackman and Sebastiano Vigna, "Scrambled linear pseudorandom number generators",
// ACM TOMS 47(4), 2021.
#ifndef SAC_CORE_RNG_H
#define SAC_CORE_RNG_H

#include <stdint.h>

typedef struct sac_rng {
    uint64_t state[4]; // never all zero after seeding
} sac_rng;

// Seeds from `seed` and an independent `stream` number (sampler, dropout, initialisation, ...).
// Stream 0 is the seeding the authors recommend.
void sac_rng_seed(sac_rng *rng, uint64_t seed, uint64_t stream);

// 64 uniform bits.
uint64_t sac_rng_next(sac_rng *rng);

// Uniform integer in [0, n) without modulo bias; 0 for n <= 1.
int64_t sac_rng_below(sac_rng *rng, int64_t n);

// Uniform multiple of 2^-53 in [0, 1).
double sac_rng_uniform(sac_rng *rng);

// Normal with mean 0 and variance 1 by Box and Muller; the second value of each pair is dropped, so
// nothing is hidden outside the state. Magnitude below 8.6.
double sac_rng_normal(sac_rng *rng);

// Fisher-Yates shuffle of index[n]; every order is equally likely.
void sac_rng_shuffle(sac_rng *rng, int64_t *index, int64_t n);

#endif
