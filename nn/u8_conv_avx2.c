// One row of dst by AVX2 or AVX-VNNI. AVX2's product of bytes saturates, so words are multiplied:
// vpmaddwd takes pairs of them, two to each of eight channels, and vpaddd adds to sums of 32 bits.
// AVX-VNNI's vpdpbusd does both with four bytes. A tile of PIXELS places times 8 * VECTORS channels
// stays in registers; each four bytes of a row are broadcast to all channels. With 12 sums the 16
// registers are full, and multiplying and adding are the limit.
#include "nn/u8_conv_avx2.h"

#if defined(__x86_64__)

// --- sums to values ----------------------------------------------------------------------------

TARGET void sac_u8_store_any(const tile_store *s, const __m256i *acc, int64_t place,
                             int64_t first) {
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

// u8 that fills whole vectors goes out with everything in registers.
TILE void tile_out(const tile_store *s, __m256i *acc, int pixels, int vectors, int64_t x) {
    const sac_u8_conv *c = s->c;
    const int count = pixels * vectors;
    if (count % 4 != 0 || c->to_f32 || c->oc - s->oc < 8 * vectors) {
        __m256i sums[12];
#    pragma GCC unroll 12
        for (int i = 0; i < count; i++) sums[i] = acc[i];
        for (int i = 0; i < count; i++)
            sac_u8_store_any(s, sums + i, x + i / vectors, i % vectors * 8);
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

// `run`, `step`, `block`: bytes of a row of taps, from one window to the next, of the weights of 8
// channels.
TILE void tile(const tile_store *s, const int8_t *w, int64_t block, int64_t run, int pixels,
               int vectors, int64_t step, int64_t kh, int64_t x, products kind) {
    __m256i acc[12];
#    pragma GCC unroll 12
    for (int i = 0; i < pixels * vectors; i++) acc[i] = _mm256_setzero_si256();
#    pragma GCC unroll 4
    for (int64_t ky = 0; ky < kh; ky++) {
        const uint8_t *src = s->band->rows[ky][0] + x * step;
        for (int64_t k = 0; k < run; k += 4, src += 4, w += 32)
            step_of(acc, src, w, block, pixels, vectors, step, kind);
    }
    tile_out(s, acc, pixels, vectors, x);
}

// One row and 8 * vectors channels: full tiles, the last one moved left to end with the row.
TILE void tiles(const tile_store *s, const int8_t *w, int64_t block, int64_t run, int pixels,
                int vectors, int64_t step, int64_t kh, products kind) {
    const int64_t ow = s->c->ow;
    int64_t x = 0;
    for (; x + pixels <= ow; x += pixels)
        tile(s, w, block, run, pixels, vectors, step, kh, x, kind);
    if (x == ow) return;
    if (ow >= pixels) {
        tile(s, w, block, run, pixels, vectors, step, kh, ow - pixels, kind);
        return;
    }
    for (; x < ow; x++) tile(s, w, block, run, 1, vectors, step, kh, x, kind);
}

// The first layer of a student, one channel with stride 2 and 3x3 taps, has no loop left. Not with
// sanitizers, which make each tile many times larger.
#    if defined(SAC_CLONES_SANITIZED)
#        define KNOWS_FIRST false
#    else
#        define KNOWS_FIRST true
#    endif

// `word`: bytes of an activation in the band.
TILE void row(const tile_store *s, const int8_t *w, int64_t block, int64_t run, int pixels,
              int vectors, int word, products kind) {
    const int64_t step = s->c->sw * s->c->ic * word;
    if (KNOWS_FIRST && step == 2 * word && run == 4 * word && s->c->kh == 3) {
        tiles(s, w, block, 4 * word, pixels, vectors, 2 * word, 3, kind);
    } else {
        tiles(s, w, block, run, pixels, vectors, step, s->c->kh, kind);
    }
}

#    define ROW(vectors, pixels)                                                                   \
        TARGET static void pairs_##vectors##_##pixels(const tile_store *s, const int8_t *w,        \
                                                      int64_t block, int64_t run) {                \
            row(s, w, block, run, pixels, vectors, 2, PAIRS);                                      \
        }                                                                                          \
        TARGET static void fours_##vectors##_##pixels(const tile_store *s, const int8_t *w,        \
                                                      int64_t block, int64_t run) {                \
            row(s, w, block, run, pixels, vectors, 1, FOURS_VNNI);                                 \
        }
ROW(1, 4)
ROW(1, 12)
ROW(2, 2)
ROW(2, 4)
ROW(2, 6)
ROW(3, 4)

typedef void (*row_fn)(const tile_store *s, const int8_t *w, int64_t block, int64_t run);

typedef struct row_way {
    int vectors, pixels;
    row_fn pairs, fours;
} row_way;

// Sixths of a cycle that a step of all tiles takes: two products, six instructions a cycle.
static int64_t cost_of(const row_way *way, int64_t ow, bool fours) {
    const int64_t pixels = ow < way->pixels ? 1 : way->pixels, tiles = (ow + pixels - 1) / pixels;
    const int64_t sums = pixels * way->vectors;
    const int64_t all = (fours ? 1 : 2) * sums + pixels + way->vectors + 2;
    return tiles * (3 * sums > all ? 3 * sums : all);
}

static row_fn row_of(int64_t vectors, int64_t ow, bool fours) {
#    define WAY(vectors, pixels)                                                                   \
        { vectors, pixels, pairs_##vectors##_##pixels, fours_##vectors##_##pixels }
    static const row_way ways[] = {WAY(1, 12), WAY(1, 4), WAY(2, 6),
                                   WAY(2, 4),  WAY(2, 2), WAY(3, 4)};
    const row_way *best = NULL;
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        if (ways[i].vectors == vectors &&
            (best == NULL || cost_of(&ways[i], ow, fours) < cost_of(best, ow, fours)))
            best = &ways[i];
    }
    return fours ? best->fours : best->pairs;
}

void sac_u8_row_avx2(const sac_u8_conv *c, const void *packed, const sac_u8_band *band) {
    const int64_t ocp = sac_u8_ocp(c), run = sac_u8_run(c) * c->word, block = c->kh * run * 8;
    const float *mul = packed;
    const int8_t *w = sac_u8_weights(c, packed);
    for (int64_t done = 0, vectors = (c->oc + 7) / 8; done < vectors;) {
        const int64_t left = vectors - done, now = left == 1 ? 1 : left % 2 == 1 ? 3 : 2;
        const tile_store store = {.c = c,
                                  .band = band,
                                  .mul = mul + 8 * done,
                                  .add = mul + ocp + 8 * done,
                                  .oc = 8 * done};
        row_of(now, c->ow, c->word == 1)(&store, w + done * block, block, run);
        done += now;
    }
}

// --- gathering ---------------------------------------------------------------------------------

TILE void widen16(int16_t *dst, const uint8_t *src) {
    _mm256_storeu_si256((__m256i *)(void *)dst,
                        _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)(const void *)src)));
}

TILE void widen8(int16_t *dst, const uint8_t *src) {
    _mm_storeu_si128((__m128i *)(void *)dst,
                     _mm_cvtepu8_epi16(_mm_loadl_epi64((const __m128i *)(const void *)src)));
}

TARGET void sac_u8_widen(int16_t *dst, const uint8_t *src, int64_t n, int64_t ic, int64_t pixel,
                         int64_t channels) {
    if (channels == ic && pixel == ic) { // one piece
        channels *= n;
        n = 1;
    }
    if (channels == 16) {
        for (int64_t x = 0; x < n; x++) widen16(dst + x * ic, src + x * pixel);
        return;
    }
    if (channels == 8) {
        for (int64_t x = 0; x < n; x++) widen8(dst + x * ic, src + x * pixel);
        return;
    }
    for (int64_t x = 0; x < n; x++, dst += ic, src += pixel) {
        int64_t k = 0;
        for (; k + 16 <= channels; k += 16) widen16(dst + k, src + k);
        for (; k + 8 <= channels; k += 8) widen8(dst + k, src + k);
        for (; k < channels; k++) dst[k] = src[k];
    }
}

#endif
