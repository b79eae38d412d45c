// One row of dst by AVX512-VNNI: a tile of PIXELS places times 16 * BLOCKS channels stays in
// registers while vpdpbusd adds the products of four bytes at a time; each four bytes of a row are
// broadcast to all channels. Loads of weights serve PIXELS sums, broadcasts serve BLOCKS, so that
// with 24 sums the two multipliers of a core are the limit, not its two load ports.
#include "nn/u8_conv.h"

#include "core/clones.h"

#if defined(__x86_64__)

#    include <immintrin.h>
#    include <stdbool.h>
#    include <string.h>

#    define TARGET __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")))
#    define TILE   static inline __attribute__((always_inline)) TARGET

typedef struct tile_store {
    const sac_u8_conv *c;
    const sac_u8_band *band;
    const float *mul, *add; // of the first channel
    int64_t oc;             // first channel
    bool bounded;           // sac_u8_bounded
} tile_store;

// Packs four vectors of 16 sums, saturated, into 64 bytes in their order.
TILE __m512i pack4(__m512i a, __m512i b, __m512i c, __m512i d) {
    const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    const __m512i mixed = _mm512_packus_epi16(_mm512_packs_epi32(a, b), _mm512_packs_epi32(c, d));
    return _mm512_permutexvar_epi32(order, mixed);
}

// The same for the first 8 sums of each.
TILE __m256i pack4_halves(__m512i a, __m512i b, __m512i c, __m512i d) {
    const __m512i order = _mm512_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7, 0, 0, 0, 0, 0, 0, 0, 0);
    const __m512i mixed = _mm512_packus_epi16(_mm512_packs_epi32(a, b), _mm512_packs_epi32(c, d));
    return _mm512_castsi512_si256(_mm512_permutexvar_epi32(order, mixed));
}

static inline __mmask16 last_mask(const tile_store *s, int blocks) {
    const int64_t left = s->c->oc - s->oc;
    if (left >= 16 * blocks) return 0xffff;
    return (__mmask16)((1u << (left - 16 * (blocks - 1))) - 1);
}

// Sums of one place and 16 channels into dst, for every way of output.
__attribute__((noinline)) TARGET static void store_any(const tile_store *s, const __m512i *acc,
                                                       int pixels, int blocks, int64_t x) {
    const sac_u8_conv *c = s->c;
    const __mmask16 last = last_mask(s, blocks);
    for (int i = 0; i < pixels * blocks; i++) {
        const int p = i / blocks, b = i % blocks;
        const __mmask16 mask = b == blocks - 1 ? last : (__mmask16)0xffff;
        __m512 v = _mm512_fmadd_ps(_mm512_cvtepi32_ps(acc[i]), _mm512_loadu_ps(s->mul + 16 * b),
                                   _mm512_loadu_ps(s->add + 16 * b));
        if (s->band->residual != NULL) {
            const __m128i r = _mm_maskz_loadu_epi8(
                mask, s->band->residual + (x + p) * c->residual.pixel + s->oc + 16 * b);
            v = _mm512_fmadd_ps(_mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(r)),
                                _mm512_set1_ps(c->residual_mul), v);
        }
        const int64_t at = (x + p) * c->oc + s->oc + 16 * b;
        if (c->to_f32) {
            if (c->relu) v = _mm512_max_ps(v, _mm512_setzero_ps());
            _mm512_mask_storeu_ps((float *)s->band->dst + at, mask, v);
        } else {
            // Above 2^31 the conversion has no value; 255 has.
            const __m512i q = _mm512_cvtps_epi32(_mm512_min_ps(v, _mm512_set1_ps(255.0f)));
            _mm_mask_storeu_epi8(
                (uint8_t *)s->band->dst + at, mask,
                _mm512_cvtusepi32_epi8(_mm512_max_epi32(q, _mm512_setzero_si512())));
        }
    }
}

// The usual way, u8 that fills whole vectors (or half ones), with everything in registers.
TILE void tile_out(const tile_store *s, __m512i *acc, int pixels, int blocks, int64_t x) {
    const sac_u8_conv *c = s->c;
    const int count = pixels * blocks;
    const bool whole = c->oc == 16 * blocks && count % 4 == 0;
    const bool halves = c->oc == 8 && pixels % 4 == 0 && blocks == 1;
    const uint8_t *residual = s->band->residual;
    if (c->to_f32 || !s->bounded || !(whole || halves) ||
        (residual != NULL && !(whole && c->residual.pixel == c->oc))) {
        __m512i sums[32];
#    pragma GCC unroll 32
        for (int i = 0; i < count; i++) sums[i] = acc[i];
        store_any(s, sums, pixels, blocks, x);
        return;
    }
#    pragma GCC unroll 32
    for (int i = 0; i < count; i++) {
        const int b = i % blocks;
        __m512 v = _mm512_fmadd_ps(_mm512_cvtepi32_ps(acc[i]), _mm512_loadu_ps(s->mul + 16 * b),
                                   _mm512_loadu_ps(s->add + 16 * b));
        if (residual != NULL) {
            const __m128i r =
                _mm_loadu_si128((const __m128i *)(const void *)(residual + x * c->oc + 16 * i));
            v = _mm512_fmadd_ps(_mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(r)),
                                _mm512_set1_ps(c->residual_mul), v);
        }
        acc[i] = _mm512_cvtps_epi32(v);
    }
    uint8_t *dst = (uint8_t *)s->band->dst + x * c->oc;
    if (whole) { // the tile is one piece of memory
#    pragma GCC unroll 8
        for (int i = 0; i < count / 4; i++)
            _mm512_storeu_si512(dst + 64 * i,
                                pack4(acc[4 * i], acc[4 * i + 1], acc[4 * i + 2], acc[4 * i + 3]));
        return;
    }
#    pragma GCC unroll 8
    for (int i = 0; i < pixels / 4; i++)
        _mm256_storeu_si256(
            (__m256i *)(void *)(dst + 32 * i),
            pack4_halves(acc[4 * i], acc[4 * i + 1], acc[4 * i + 2], acc[4 * i + 3]));
}

// `step`: bytes from one window to the next.
TILE void tile(const tile_store *s, const int8_t *w, int64_t block, int64_t run, int pixels,
               int blocks, int64_t step, int64_t kh, int64_t x) {
    __m512i acc[32];
#    pragma GCC unroll 32
    for (int i = 0; i < pixels * blocks; i++) acc[i] = _mm512_setzero_si512();
#    pragma GCC unroll 4
    for (int64_t ky = 0; ky < kh; ky++) {
        const uint8_t *src = s->band->rows[ky][0] + x * step;
        for (int64_t k = 0; k < run; k += 4, w += 64) {
            __m512i wei[4];
#    pragma GCC unroll 4
            for (int b = 0; b < blocks; b++) wei[b] = _mm512_loadu_si512(w + b * block);
#    pragma GCC unroll 32
            for (int p = 0; p < pixels; p++) {
                int32_t four;
                memcpy(&four, src + k + p * step, sizeof four);
                const __m512i all = _mm512_set1_epi32(four);
#    pragma GCC unroll 4
                for (int b = 0; b < blocks; b++)
                    acc[p * blocks + b] = _mm512_dpbusd_epi32(acc[p * blocks + b], all, wei[b]);
            }
        }
    }
    tile_out(s, acc, pixels, blocks, x);
}

// One row and 16 * blocks channels: full tiles, the last one moved left to end with the row.
TILE void tiles(const tile_store *s, const int8_t *w, int64_t block, int64_t run, int pixels,
                int blocks, int64_t step, int64_t kh) {
    const int64_t ow = s->c->ow;
    int64_t x = 0;
    for (; x + pixels <= ow; x += pixels) tile(s, w, block, run, pixels, blocks, step, kh, x);
    if (x == ow) return;
    if (ow >= pixels) {
        tile(s, w, block, run, pixels, blocks, step, kh, ow - pixels);
        return;
    }
    for (; x < ow; x++) tile(s, w, block, run, 1, blocks, step, kh, x);
}

// One channel with stride 2, the first layer of a student: with 3x3 taps a tile has no loop left.
TILE void tiles_first(const tile_store *s, const int8_t *w, int64_t block, int64_t run, int pixels,
                      int blocks) {
    if (run == 4 && s->c->kh == 3) {
        tiles(s, w, block, 4, pixels, blocks, 2, 3);
    } else {
        tiles(s, w, block, run, pixels, blocks, 2, s->c->kh);
    }
}

// Sanitizers make each tile many times larger: there a few sizes with the step as a variable do.
#    if defined(SAC_CLONES_SANITIZED)
#        define KNOWN_STEPS false
#    else
#        define KNOWN_STEPS true
#    endif

// Many pixels of few channels: with a step that the compiler knows their addresses need no
// registers, which run out otherwise.
#    define ROW(blocks, pixels)                                                                    \
        TARGET static void row_##blocks##_##pixels(const tile_store *s, const int8_t *w,           \
                                                   int64_t block, int64_t run) {                   \
            const int64_t step = s->c->sw * s->c->ic;                                              \
            if (KNOWN_STEPS && (pixels) >= 10) {                                                   \
                switch (step) {                                                                    \
                case 2:                                                                            \
                    tiles_first(s, w, block, run, pixels, blocks);                                 \
                    return;                                                                        \
                case 16:                                                                           \
                    tiles(s, w, block, run, pixels, blocks, 16, s->c->kh);                         \
                    return;                                                                        \
                case 32:                                                                           \
                    tiles(s, w, block, run, pixels, blocks, 32, s->c->kh);                         \
                    return;                                                                        \
                case 48:                                                                           \
                    tiles(s, w, block, run, pixels, blocks, 48, s->c->kh);                         \
                    return;                                                                        \
                case 64:                                                                           \
                    tiles(s, w, block, run, pixels, blocks, 64, s->c->kh);                         \
                    return;                                                                        \
                default:                                                                           \
                    break;                                                                         \
                }                                                                                  \
            }                                                                                      \
            tiles(s, w, block, run, pixels, blocks, step, s->c->kh);                               \
        }
ROW(1, 4)
ROW(1, 16)
ROW(2, 12)
ROW(3, 8)
ROW(4, 6)
#    if !defined(SAC_CLONES_SANITIZED)
ROW(1, 8)
ROW(1, 12)
ROW(2, 4)
ROW(2, 8)
ROW(2, 10)
ROW(3, 4)
ROW(3, 6)
ROW(4, 3)
ROW(4, 4)
ROW(4, 5)
#    endif

typedef void (*row_fn)(const tile_store *s, const int8_t *w, int64_t block, int64_t run);

// The tile that wastes least on this width; a smaller one must save more than its extra loads cost.
static row_fn row_of(int64_t blocks, int64_t ow) {
    static const struct {
        int blocks, pixels;
        row_fn run;
    } all[] = {
        {1, 4, row_1_4},
        {1, 16, row_1_16},
        {2, 12, row_2_12},
        {3, 8, row_3_8},
        {4, 6, row_4_6},
#    if !defined(SAC_CLONES_SANITIZED)
        {1, 8, row_1_8},
        {1, 12, row_1_12},
        {2, 4, row_2_4},
        {2, 8, row_2_8},
        {2, 10, row_2_10},
        {3, 4, row_3_4},
        {3, 6, row_3_6},
        {4, 3, row_4_3},
        {4, 4, row_4_4},
        {4, 5, row_4_5},
#    endif
    };
    row_fn best = NULL;
    int64_t best_cost = INT64_MAX;
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        if (all[i].blocks != blocks) continue;
        const int64_t tiles =
            ow < all[i].pixels ? 4 * ow : (ow + all[i].pixels - 1) / all[i].pixels;
        const int64_t cost =
            tiles * (ow < all[i].pixels ? 1 : all[i].pixels) * 24 + tiles * all[i].blocks * 8;
        if (cost >= best_cost) continue;
        best_cost = cost;
        best = all[i].run;
    }
    return best;
}

void sac_u8_row_vnni(const sac_u8_conv *c, const void *packed, const sac_u8_band *band) {
    const int64_t ocp = sac_u8_ocp(c), run = sac_u8_run(c), block = c->kh * run * 16;
    const float *mul = packed;
    const int8_t *w = sac_u8_weights(c, packed);
    const bool bounded = sac_u8_bounded(c, packed);
    for (int64_t done = 0, blocks = ocp / 16; done < blocks;) {
        const int64_t left = blocks - done;
        const int64_t now = left <= 4 ? left : left % 3 == 0 ? 3 : left == 5 ? 3 : 4;
        const tile_store store = {.c = c,
                                  .band = band,
                                  .mul = mul + 16 * done,
                                  .add = mul + ocp + 16 * done,
                                  .oc = 16 * done,
                                  .bounded = bounded};
        row_of(now, c->ow)(&store, w + done * block, block, run);
        done += now;
    }
}

// Registers are filled from the three sources in turn; 64 bytes hold 8 or 4 places of one, and are
// moved as groups of 8 bytes.
TARGET void sac_u8_interleave3(uint8_t *dst, const uint8_t *const src[3], int64_t n,
                               int64_t channels) {
    // Group k of the 24 that leave is group `index` of source k / words % 3.
    const int64_t words = channels / 8, places = 8 / words;
    int64_t ab[3][8], c[3][8]; // of the first two sources, of the third
    __mmask8 third[3] = {0, 0, 0};
    for (int64_t k = 0; k < 24; k++) {
        const int64_t source = k / words % 3, index = k / (3 * words) * words + k % words;
        ab[k / 8][k % 8] = index + (source == 1 ? 8 : 0);
        c[k / 8][k % 8] = index;
        if (source == 2) third[k / 8] = (__mmask8)(third[k / 8] | 1 << k % 8);
    }
    __m512i from_ab[3], from_c[3];
    for (int i = 0; i < 3; i++) {
        from_ab[i] = _mm512_loadu_si512(ab[i]);
        from_c[i] = _mm512_loadu_si512(c[i]);
    }
    int64_t x = 0;
    for (; x + places <= n; x += places) {
        const __m512i a = _mm512_loadu_si512(src[0] + x * channels),
                      b = _mm512_loadu_si512(src[1] + x * channels),
                      d = _mm512_loadu_si512(src[2] + x * channels);
#    pragma GCC unroll 3
        for (int i = 0; i < 3; i++)
            _mm512_storeu_si512(
                dst + 3 * x * channels + 64 * i,
                _mm512_mask_permutexvar_epi64(_mm512_permutex2var_epi64(a, from_ab[i], b), third[i],
                                              from_c[i], d));
    }
    for (; x < n; x++) {
        for (int p = 0; p < 3; p++)
            memcpy(dst + (3 * x + p) * channels, src[p] + x * channels, (size_t)channels);
    }
}

TARGET void sac_u8_fold_rows(uint8_t *dst, const uint8_t *const rows[4], int count, int64_t n) {
    // Unpacking works within each 16 bytes: before it, the fours of 64 pixels are dealt out to
    // them.
    const __m512i deal = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    for (int64_t x = 0; x < n; x += 64) {
        const __mmask64 all = ~(__mmask64)0, mask = n - x >= 64 ? all : all >> (64 - (n - x));
        __m512i r[4];
#    pragma GCC unroll 4
        for (int k = 0; k < 4; k++) {
            // Nothing is read under a mask of zeros.
            const bool there = k < count && rows[k] != NULL;
            r[k] = _mm512_permutexvar_epi32(
                deal, _mm512_maskz_loadu_epi8(there ? mask : 0, there ? rows[k] + x : dst));
        }
        const __m512i low01 = _mm512_unpacklo_epi8(r[0], r[1]),
                      high01 = _mm512_unpackhi_epi8(r[0], r[1]),
                      low23 = _mm512_unpacklo_epi8(r[2], r[3]),
                      high23 = _mm512_unpackhi_epi8(r[2], r[3]);
        const __m512i out[4] = {
            _mm512_unpacklo_epi16(low01, low23), _mm512_unpackhi_epi16(low01, low23),
            _mm512_unpacklo_epi16(high01, high23), _mm512_unpackhi_epi16(high01, high23)};
#    pragma GCC unroll 4
        for (int k = 0; k < 4; k++)
            _mm512_mask_storeu_epi32(dst + 4 * x + 64 * k, (__mmask16)(mask >> 16 * k), out[k]);
    }
}

#endif
