// Deterministic random numbers: xoshiro256** (Blackman and Vigna, 2018), seeded by splitmix64.
// The whole state is four words, so that a checkpoint can restore a sampler exactly.
#ifndef SAC_CORE_RNG_H
#define SAC_CORE_RNG_H

#include <stdint.h>

typedef struct sac_rng {
    uint64_t state[4];
} sac_rng;

// Seeds from `seed` and an independent `stream` number (sampler, dropout, initialisation, ...).
void sac_rng_seed(sac_rng *rng, uint64_t seed, uint64_t stream);
uint64_t sac_rng_next(sac_rng *rng);
// Uniform integer in [0, n), n >= 1, without modulo bias.
int64_t sac_rng_below(sac_rng *rng, int64_t n);
double sac_rng_uniform(sac_rng *rng); // [0, 1)
double sac_rng_normal(sac_rng *rng);  // mean 0, variance 1; no hidden spare value
// Fisher-Yates shuffle of an index array.
void sac_rng_shuffle(sac_rng *rng, int64_t *index, int64_t n);

#endif
