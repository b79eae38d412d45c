// What the versions for AVX2 and AVX-VNNI share (nn/u8_conv_avx2.c, nn/u8_winograd.c): products, and
// the way of sums into dst.
#ifndef SAC_NN_U8_CONV_AVX2_H
#define SAC_NN_U8_CONV_AVX2_H

#include "nn/u8_conv.h"

#include "core/clones.h"

#if defined(__x86_64__)

#    include <immintrin.h>
#    include <stdbool.h>
#    include <string.h>

#    define TARGET __attribute__((target("avx2,fma")))
#    define TILE   static inline __attribute__((always_inline)) TARGET

typedef struct tile_store {
    const sac_u8_conv *c;
    const sac_u8_band *band;
    const float *mul, *add; // of the first channel
    int64_t oc;             // first channel
} tile_store;

// --- sums to values ----------------------------------------------------------------------------

// Packs four vectors of 8 values, saturated, into 32 bytes in their order.
TILE __m256i pack4(const __m256i *q) {
    const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    const __m256i mixed =
        _mm256_packus_epi16(_mm256_packs_epi32(q[0], q[1]), _mm256_packs_epi32(q[2], q[3]));
    return _mm256_permutevar8x32_epi32(mixed, order);
}

TILE __m256 scaled(__m256i sums, const float *mul, const float *add) {
    return _mm256_fmadd_ps(_mm256_cvtepi32_ps(sums), _mm256_loadu_ps(mul), _mm256_loadu_ps(add));
}

TILE __m256 with_residual(__m256 v, __m128i residual, float mul) {
    return _mm256_fmadd_ps(_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(residual)), _mm256_set1_ps(mul),
                           v);
}

// Above 2^31 the conversion has no value; 255 has, also for a NaN. Below, it ends at -2^31.
TILE __m256i rounded(__m256 v) {
    return _mm256_cvtps_epi32(_mm256_min_ps(v, _mm256_set1_ps(255.0f)));
}

// Eight sums of one place, the first of channel s->oc + first, into dst, for every way of output.
void sac_u8_store_any(const tile_store *s, const __m256i *acc, int64_t place, int64_t first);

TILE void store_halves(uint8_t *low, uint8_t *high, __m128i bytes) {
    const int64_t halves[2] = {_mm_cvtsi128_si64(bytes), _mm_extract_epi64(bytes, 1)};
    memcpy(low, &halves[0], sizeof halves[0]);
    memcpy(high, &halves[1], sizeof halves[1]);
}

// Four vectors of eight channels, the first of them vector `i` of a tile.
TILE void store4(const tile_store *s, const __m256i *q, int i, int vectors, int64_t x) {
    const int64_t oc = s->c->oc;
    const __m256i out = pack4(q);
    uint8_t *dst = (uint8_t *)s->band->dst + x * oc + s->oc;
    if (oc == 8 * vectors) { // one piece of memory
        _mm256_storeu_si256((__m256i *)(void *)(dst + i / vectors * oc + i % vectors * 8), out);
        return;
    }
    const __m128i half[2] = {_mm256_castsi256_si128(out), _mm256_extracti128_si256(out, 1)};
#    pragma GCC unroll 2
    for (int h = 0; h < 2; h++) {
        const int k = i + 2 * h, next = k + 1;
        uint8_t *to = dst + k / vectors * oc + k % vectors * 8;
        if (k / vectors == next / vectors) {
            _mm_storeu_si128((__m128i *)(void *)to, half[h]);
        } else {
            store_halves(to, dst + next / vectors * oc + next % vectors * 8, half[h]);
        }
    }
}

// How four bytes of a place meet the weights of eight channels.
typedef enum products {
    PAIRS,      // of words, by AVX2
    PAIRS_VNNI, // of words, by AVX-VNNI
    FOURS_VNNI  // of bytes, by AVX-VNNI
} products;

TILE void add_products(__m256i *sum, __m256i all, __m256i wei, products kind) {
    // Functions for AVX2 take these in as well, hence no intrinsics.
    if (kind == FOURS_VNNI) {
        __asm__("%{vex%} vpdpbusd %2, %1, %0" : "+x"(*sum) : "x"(all), "x"(wei));
    } else if (kind == PAIRS_VNNI) {
        __asm__("%{vex%} vpdpwssd %2, %1, %0" : "+x"(*sum) : "x"(all), "x"(wei));
    } else {
        *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(all, wei));
        // Else gcc adds the products of two steps first, in registers that there are not.
        __asm__("" : "+x"(*sum));
    }
}

// Adds the products of four bytes of each place. `block`: bytes of the weights of 8 channels;
// `step`: bytes from one place to the next.
TILE void step_of(__m256i *acc, const uint8_t *src, const int8_t *w, int64_t block, int pixels,
                  int vectors, int64_t step, products kind) {
    __m256i wei[3];
#    pragma GCC unroll 3
    for (int v = 0; v < vectors; v++)
        wei[v] = _mm256_loadu_si256((const __m256i *)(const void *)(w + v * block));
#    pragma GCC unroll 12
    for (int p = 0; p < pixels; p++) {
        int32_t four;
        memcpy(&four, src + p * step, sizeof four);
        const __m256i all = _mm256_set1_epi32(four);
#    pragma GCC unroll 3
        for (int v = 0; v < vectors; v++) add_products(acc + p * vectors + v, all, wei[v], kind);
    }
}

#endif

#endif
