// One row of dst by AVX2. Its product of bytes saturates, so words are multiplied: vpmaddwd takes
// pairs of them, two to each of eight channels, and vpaddd adds to sums of 32 bits. A tile of
// PIXELS places times 8 * VECTORS channels stays in registers; each pair of a row is broadcast to
// all channels. With 12 sums the 16 registers are full, and the two multipliers of a core are the
// limit.
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

// Eight sums of one place into dst, for every way of output.
__attribute__((noinline)) TARGET static void store_any(const tile_store *s, const __m256i *acc,
                                                       int64_t place, int64_t first) {
    const sac_u8_conv *c = s->c;
    const int64_t oc = s->oc + first, left = c->oc - oc, at = place * c->oc + oc;
    const size_t count = left < 8 ? (size_t)left : 8;
    __m256 v = scaled(*acc, s->mul + first, s->add + first);
    if (s->band->residual != NULL) {
        uint8_t r[16] = {0};
        memcpy(r, s->band->residual + place * c->residual.pixel + oc, count);
        v = with_residual(v, _mm_loadu_si128((const __m128i *)(const void *)r), c->residual_mul);
    }
    if (c->to_f32) {
        float out[8];
        // The order of operands keeps what is not a number and the sign of zero.
        if (c->relu) v = _mm256_max_ps(_mm256_setzero_ps(), v);
        _mm256_storeu_ps(out, v);
        memcpy((float *)s->band->dst + at, out, count * sizeof *out);
    } else {
        const __m256i q[4] = {rounded(v)};
        uint8_t out[32];
        _mm256_storeu_si256((__m256i *)(void *)out, pack4(q));
        memcpy((uint8_t *)s->band->dst + at, out, count);
    }
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
            _mm_storel_epi64((__m128i *)(void *)to, half[h]);
            _mm_storeh_pd((double *)(void *)(dst + next / vectors * oc + next % vectors * 8),
                          _mm_castsi128_pd(half[h]));
        }
    }
}

// u8 that fills whole vectors goes out with everything in registers.
TILE void tile_out(const tile_store *s, __m256i *acc, int pixels, int vectors, int64_t x) {
    const sac_u8_conv *c = s->c;
    const int count = pixels * vectors;
    if (count % 4 != 0 || c->to_f32 || c->oc - s->oc < 8 * vectors) {
        __m256i sums[12];
#    pragma GCC unroll 12
        for (int i = 0; i < count; i++) sums[i] = acc[i];
        for (int i = 0; i < count; i++) store_any(s, sums + i, x + i / vectors, i % vectors * 8);
        return;
    }
    const uint8_t *residual = s->band->residual;
    if (residual != NULL) {
        residual += x * c->residual.pixel + s->oc;
#    pragma GCC unroll 12
        for (int i = 0; i < count; i++) {
            const int64_t at = i / vectors * c->residual.pixel + i % vectors * 8;
            const __m128i r = _mm_loadl_epi64((const __m128i *)(const void *)(residual + at));
            acc[i] = rounded(
                with_residual(scaled(acc[i], s->mul + i % vectors * 8, s->add + i % vectors * 8), r,
                              c->residual_mul));
        }
    } else {
#    pragma GCC unroll 12
        for (int i = 0; i < count; i++)
            acc[i] = rounded(scaled(acc[i], s->mul + i % vectors * 8, s->add + i % vectors * 8));
    }
#    pragma GCC unroll 3
    for (int i = 0; i < count; i += 4) store4(s, acc + i, i, vectors, x);
}

// --- products ----------------------------------------------------------------------------------

// Adds the products of a pair of words of each place.
TILE void step_of(__m256i *acc, const int16_t *src, const int16_t *w, int64_t block, int pixels,
                  int vectors, int64_t step) {
    __m256i wei[3];
#    pragma GCC unroll 3
    for (int v = 0; v < vectors; v++)
        wei[v] = _mm256_loadu_si256((const __m256i *)(const void *)(w + v * block));
#    pragma GCC unroll 12
    for (int p = 0; p < pixels; p++) {
        int32_t pair;
        memcpy(&pair, src + p * step, sizeof pair);
        const __m256i all = _mm256_set1_epi32(pair);
#    pragma GCC unroll 3
        for (int v = 0; v < vectors; v++) {
            __m256i *sum = acc + p * vectors + v;
            *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(all, wei[v]));
            // Else gcc adds the products of two steps first, in registers that there are not.
            __asm__("" : "+x"(*sum));
        }
    }
}

// `step`: words from one window to the next. `block`: words of the weights of 8 channels.
TILE void tile(const tile_store *s, const int16_t *w, int64_t block, int64_t run, int pixels,
               int vectors, int64_t step, int64_t kh, int64_t x) {
    __m256i acc[12];
#    pragma GCC unroll 12
    for (int i = 0; i < pixels * vectors; i++) acc[i] = _mm256_setzero_si256();
#    pragma GCC unroll 4
    for (int64_t ky = 0; ky < kh; ky++) {
        const int16_t *src = (const int16_t *)(const void *)s->band->rows[ky][0] + x * step;
        for (int64_t k = 0; k < run; k += 2, src += 2, w += 16)
            step_of(acc, src, w, block, pixels, vectors, step);
    }
    tile_out(s, acc, pixels, vectors, x);
}

// One row and 8 * vectors channels: full tiles, the last one moved left to end with the row.
TILE void tiles(const tile_store *s, const int16_t *w, int64_t block, int64_t run, int pixels,
                int vectors, int64_t step, int64_t kh) {
    const int64_t ow = s->c->ow;
    int64_t x = 0;
    for (; x + pixels <= ow; x += pixels) tile(s, w, block, run, pixels, vectors, step, kh, x);
    if (x == ow) return;
    if (ow >= pixels) {
        tile(s, w, block, run, pixels, vectors, step, kh, ow - pixels);
        return;
    }
    for (; x < ow; x++) tile(s, w, block, run, 1, vectors, step, kh, x);
}

// The first layer of a student, one channel with stride 2 and 3x3 taps, has no loop left. Not with
// sanitizers, which make each tile many times larger.
#    if defined(SAC_CLONES_SANITIZED)
#        define KNOWS_FIRST false
#    else
#        define KNOWS_FIRST true
#    endif

#    define ROW(vectors, pixels)                                                                   \
        TARGET static void row_##vectors##_##pixels(const tile_store *s, const int16_t *w,         \
                                                    int64_t block, int64_t run) {                  \
            const int64_t step = s->c->sw * s->c->ic;                                              \
            if (KNOWS_FIRST && step == 2 && run == 4 && s->c->kh == 3) {                           \
                tiles(s, w, block, 4, pixels, vectors, 2, 3);                                      \
            } else {                                                                               \
                tiles(s, w, block, run, pixels, vectors, step, s->c->kh);                          \
            }                                                                                      \
        }
ROW(1, 4)
ROW(1, 12)
ROW(2, 2)
ROW(2, 4)
ROW(2, 6)
ROW(3, 4)

typedef void (*row_fn)(const tile_store *s, const int16_t *w, int64_t block, int64_t run);

typedef struct row_way {
    int vectors, pixels;
    row_fn run;
} row_way;

// Sixths of a cycle that a step of all tiles takes: two products, six instructions a cycle.
static int64_t cost_of(const row_way *way, int64_t ow) {
    const int64_t pixels = ow < way->pixels ? 1 : way->pixels, tiles = (ow + pixels - 1) / pixels;
    const int64_t products = pixels * way->vectors;
    const int64_t all = 2 * products + pixels + way->vectors + 2;
    return tiles * (3 * products > all ? 3 * products : all);
}

static row_fn row_of(int64_t vectors, int64_t ow) {
    static const row_way ways[] = {{1, 12, row_1_12}, {1, 4, row_1_4}, {2, 6, row_2_6},
                                   {2, 4, row_2_4},   {2, 2, row_2_2}, {3, 4, row_3_4}};
    const row_way *best = NULL;
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        if (ways[i].vectors == vectors &&
            (best == NULL || cost_of(&ways[i], ow) < cost_of(best, ow)))
            best = &ways[i];
    }
    return best->run;
}

void sac_u8_row_avx2(const sac_u8_conv *c, const void *packed, const sac_u8_band *band) {
    const int64_t ocp = sac_u8_ocp(c), run = sac_u8_run(c), block = c->kh * run * 8;
    const float *mul = packed;
    const int16_t *w = (const int16_t *)(const void *)sac_u8_weights(c, packed);
    for (int64_t done = 0, vectors = (c->oc + 7) / 8; done < vectors;) {
        const int64_t left = vectors - done, now = left == 1 ? 1 : left % 2 == 1 ? 3 : 2;
        const tile_store store = {.c = c,
                                  .band = band,
                                  .mul = mul + 8 * done,
                                  .add = mul + ocp + 8 * done,
                                  .oc = 8 * done};
        row_of(now, c->ow)(&store, w + done * block, block, run);
        done += now;
    }
}

// --- gathering ---------------------------------------------------------------------------------

TARGET void sac_u8_widen(int16_t *dst, const uint8_t *src, int64_t n, int64_t ic, int64_t pixel,
                         int64_t channels) {
    if (channels == ic && pixel == ic) { // one piece
        channels *= n;
        n = 1;
    }
    for (int64_t x = 0; x < n; x++, dst += ic, src += pixel) {
        int64_t k = 0;
        for (; k + 16 <= channels; k += 16)
            _mm256_storeu_si256(
                (__m256i *)(void *)(dst + k),
                _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)(const void *)(src + k))));
        for (; k + 8 <= channels; k += 8)
            _mm_storeu_si128(
                (__m128i *)(void *)(dst + k),
                _mm_cvtepu8_epi16(_mm_loadl_epi64((const __m128i *)(const void *)(src + k))));
        for (; k < channels; k++) dst[k] = src[k];
    }
}

#endif
