// xoshiro256** 1.0 with splitmix64 seeding (David Blackman and Sebastiano Vigna, "Scrambled linear
// pseudorandom number generators", ACM TOMS 2021, algorithms in the public domain). Not for
// cryptography.
#include "core/rng.h"

#include <math.h>

static uint64_t rotate_left(uint64_t x, int bits) {
    return (x << bits) | (x >> (64 - bits));
}

static uint64_t splitmix64(uint64_t *state) {
    uint64_t z = (*state += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

void sac_rng_seed(sac_rng *rng, uint64_t seed, uint64_t stream) {
    // Stream 0 is the plain splitmix64 seeding of the authors; the others start from a hashed
    // offset, so that (seed, stream) pairs that are close to each other give unrelated sequences.
    uint64_t state = seed;
    if (stream != 0) {
        uint64_t hashed = stream;
        state ^= splitmix64(&hashed);
    }
    for (int i = 0; i < 4; i++) rng->state[i] = splitmix64(&state);
}

uint64_t sac_rng_next(sac_rng *rng) {
    uint64_t *s = rng->state;
    uint64_t result = rotate_left(s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate_left(s[3], 45);
    return result;
}

int64_t sac_rng_below(sac_rng *rng, int64_t n) {
    if (n <= 1) return 0;
    uint64_t range = (uint64_t)n;
    // 2^64 mod n values at the bottom would make small results more likely: draw again on them.
    uint64_t reject = (0 - range) % range;
    uint64_t x;
    do {
        x = sac_rng_next(rng);
    } while (x < reject);
    return (int64_t)(x % range);
}

double sac_rng_uniform(sac_rng *rng) {
    return (double)(sac_rng_next(rng) >> 11) * 0x1.0p-53;
}

double sac_rng_normal(sac_rng *rng) {
    // Box and Muller, 1958. The second value is thrown away so that the four words stay the whole
    // state.
    double radius = sqrt(-2.0 * log(1.0 - sac_rng_uniform(rng)));
    return radius * cos(6.283185307179586476925286766559 * sac_rng_uniform(rng));
}

void sac_rng_shuffle(sac_rng *rng, int64_t *index, int64_t n) {
    for (int64_t i = n - 1; i > 0; i--) {
        int64_t j = sac_rng_below(rng, i + 1);
        int64_t kept = index[i];
        index[i] = index[j];
        index[j] = kept;
    }
}
