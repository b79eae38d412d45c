// Rows of dst by AMX-INT8. A tile of A is up to 16 places of a row, a chunk of a run each, loaded
// where they lie: places are a constant number of bytes apart. A tile of B is the packed weights of
// 16 channels for the same chunk. Two tiles of places meet two of channels, so that four products
// need four loads; the loads then take about half the time of the products.
//
// What is left, turning sums into u8, takes AVX512 about as long as the products take the tiles.
// Both run at the same time: the sums of a block of places go to a buffer in L1, and are worked off
// a little at a time between the products of the next block.
#include "nn/u8_conv.h"

#if defined(__x86_64__)

#    include <immintrin.h>
#    include <string.h>

#    define TARGET                                                                                 \
        __attribute__((target("amx-tile,amx-int8,avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")))
#    define TILE static inline __attribute__((always_inline)) TARGET

#    define PLACES 16 // of a tile
#    define CHUNK  64 // bytes of a row of a tile
#    define GROUP  64 // channels of a block at most: four tiles, in passes of two

// Registers: sums 0 and 1 of the first tile of places, 2 and 3 of the second; places 4 and 5;
// weights 6 and 7.
typedef struct tile_config {
    uint8_t palette, start_row, reserved[14];
    uint16_t bytes[16]; // of a row
    uint8_t rows[16];
} tile_config;

// The sums of a place lie close together, so that 16 at a time are u8 that lie close together.
static bool dense_sums(const sac_u8_conv *c) {
    return c->oc == 8 || c->oc == 24;
}

// Vectors of 16 sums until the factors repeat; 0: this shape goes the general way, as do sums that
// are not bounded.
static int period_of(const sac_u8_conv *c) {
    if (c->to_f32 || (c->residual.channels > 0 && c->residual.pixel != c->oc)) return 0;
    switch (c->oc) {
    case 8:
    case 16:
        return 1;
    case 32:
        return 2;
    case 24:
    case 48:
        return 3;
    default:
        return c->oc % GROUP == 0 ? 4 : 0;
    }
}

// --- shapes ------------------------------------------------------------------------------------

static int64_t chunks(int64_t bytes) {
    return (bytes + CHUNK - 1) / CHUNK;
}

int sac_u8_amx_tiles(const sac_u8_conv *c, int64_t rows[2]) {
    if (c->folded) { // any number of them side by side
        const int64_t count = (c->ow + PLACES - 1) / PLACES;
        rows[0] = rows[1] = (c->ow + count - 1) / count;
        return 2;
    }
    if (c->ow <= PLACES) {
        rows[0] = c->ow;
        rows[1] = 0;
        return 1;
    }
    // Of equal size, as far as that goes: one pair, or several that may overlap at the end.
    const int64_t count = 2 * ((c->ow + 2 * PLACES - 1) / (2 * PLACES));
    rows[0] = (c->ow + count - 1) / count;
    rows[1] = count == 2 ? c->ow - rows[0] : rows[0];
    return 2;
}

// Rows that are long enough for tiles between the first and the last, in dense parts, and padding
// that only these two see.
static bool ends_suffice(const sac_u8_conv *c) {
    const int64_t beyond = (c->ow - 1) * c->sw - c->pw + c->kw - c->iw;
    for (int p = 0; p < c->parts; p++) {
        if (c->part[p].pixel != c->part[p].channels) return false;
    }
    return c->ow > 2 * PLACES && c->pw <= c->sw && beyond <= c->sw;
}

static bool parts_equal(const sac_u8_conv *c) {
    for (int p = 1; p < c->parts; p++) {
        if (c->part[p].channels != c->part[0].channels) return false;
    }
    return true;
}

// One channel makes 3x3 taps that take three steps for nine products. Interleaved they take one.
// With 8 channels of dst, half a vector, that beats AVX512-VNNI; with 16 both are equally fast.
static bool folds(const sac_u8_conv *c) {
    return c->ic == 1 && c->part[0].pixel == 1 && c->kh <= 4 && 4 * c->kw <= CHUNK &&
           c->ow >= PLACES && c->oc == 8 && !c->to_f32 && c->residual.channels == 0;
}

bool sac_u8_amx_prepare(sac_u8_conv *c) {
    if (folds(c)) {
        c->folded = true;
        c->pixel = 4;
        c->chunk = 4 * c->kw;
        return true;
    }
    // A step costs the same whether its chunk is full or not: with few products a place vectors
    // win.
    if (c->ow < 4 || c->kh * c->kw * c->ic <= 32) return false;
    // Parts stay apart when that takes no more steps, or a few more but no interleaving.
    const int64_t part_run = c->kw * (c->ic / c->parts);
    const int64_t apart = c->parts * chunks(part_run), together = chunks(c->kw * c->ic);
    if (parts_equal(c) &&
        (apart <= together || (ends_suffice(c) && part_run % 4 == 0 && 2 * apart <= 3 * together)))
        c->planes = c->parts;
    const int64_t channels = sac_u8_plane_channels(c), run = c->kw * channels, count = chunks(run);
    c->pixel = channels;
    // Equal chunks, of whole groups of four bytes.
    c->chunk = ((run + count - 1) / count + 3) / 4 * 4;
    c->ends_only = c->planes == c->parts && c->chunk * count == run && ends_suffice(c);
    if (c->ends_only) return true;
    if (c->kw > 1 && count == c->kw) {
        c->pixel = CHUNK;
        c->chunk = (channels + 3) / 4 * 4;
    } else if (c->kw > 1 && c->sw * channels % CHUNK == 0) {
        c->chunk = CHUNK;
    }
    return true;
}

TARGET void sac_u8_amx_begin(sac_u8_amx *s, const sac_u8_conv *c, const void *packed, void *sums) {
    const float *mul = packed, *add = mul + sac_u8_ocp(c);
    s->c = c;
    s->packed = packed;
    s->sums = sums;
    s->half = 0;
    s->tiles = sac_u8_amx_tiles(c, s->rows);
    s->period = sac_u8_bounded(c, packed) ? period_of(c) : 0;
    s->pending = (sac_u8_amx_pending){0};
    for (int i = 0; i < 64 && s->period > 0; i++) {
        s->factors[i] = mul[i % c->oc];
        s->factors[64 + i] = add[i % c->oc];
    }
    tile_config config = {.palette = 1};
    for (int i = 0; i < 8; i++) {
        const bool places = i == 4 || i == 5, weights = i >= 6;
        const bool half =
            s->period > 0 && dense_sums(c) && (c->folded ? !places : i % 2 == (c->oc == 24));
        const bool second = i == 2 || i == 3 || i == 5;
        config.rows[i] = (uint8_t)(weights ? c->chunk / 4 : s->rows[second && s->tiles == 2]);
        config.bytes[i] = (uint16_t)(places ? c->chunk : half ? 32 : 64);
    }
    // gcc 12 believes that the instruction reads 8 bytes; all 64 must be written before it.
    __asm__ volatile("" : : "r"(&config) : "memory");
    _tile_loadconfig(&config);
    if (c->folded) _tile_loadd(6, sac_u8_weights(c, packed), 64);
}

// --- sums to values ----------------------------------------------------------------------------

// Packs four vectors of 16 sums, saturated, into 64 bytes in their order.
TILE __m512i pack4(const __m512i *q) {
    const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    const __m512i mixed =
        _mm512_packus_epi16(_mm512_packs_epi32(q[0], q[1]), _mm512_packs_epi32(q[2], q[3]));
    return _mm512_permutexvar_epi32(order, mixed);
}

TILE __m512 scaled(const int32_t *sums, __m512 mul, __m512 add) {
    return _mm512_fmadd_ps(_mm512_cvtepi32_ps(_mm512_loadu_si512(sums)), mul, add);
}

TILE __m512 with_residual(__m512 v, __m128i residual, float mul) {
    return _mm512_fmadd_ps(_mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(residual)), _mm512_set1_ps(mul),
                           v);
}

// Above 2^31 the conversion has no value; 255 has.
TILE __m512i rounded_any(__m512 v) {
    return _mm512_cvtps_epi32(_mm512_min_ps(v, _mm512_set1_ps(255.0f)));
}

TILE int64_t unit_bytes(int period) {
    return period == 3 ? 192 : 64;
}

// Whole periods, at least 64 bytes of dst. `step`: bytes of dst to the next.
TILE void unit(sac_u8_amx_pending *p, const __m512 *mul, const __m512 *add, int period,
               bool residual, float residual_mul, int64_t step) {
    const int vectors = (int)unit_bytes(period) / 16;
    __m512i q[12];
#    pragma GCC unroll 12
    for (int i = 0; i < vectors; i++) {
        __m512 v = scaled(p->sums + 16 * i, mul[i % period], add[i % period]);
        if (residual)
            v = with_residual(
                v, _mm_loadu_si128((const __m128i *)(const void *)(p->residual + 16 * i)),
                residual_mul);
        q[i] = _mm512_cvtps_epi32(v);
    }
#    pragma GCC unroll 3
    for (int i = 0; i < vectors; i += 4) _mm512_storeu_si512(p->dst + 16 * i, pack4(q + i));
    p->sums += 16 * vectors;
    p->dst += step;
    if (residual) p->residual += step;
    p->left -= 16 * vectors;
}

// The end of a block, where less than a unit is left.
__attribute__((noinline)) TARGET static void unit_last(const sac_u8_amx_pending *p, int period,
                                                       float residual_mul) {
    for (int64_t i = 0; 16 * i < p->left; i++) {
        const int64_t left = p->left - 16 * i;
        const __mmask16 mask = (__mmask16)(left >= 16 ? 0xffff : (1 << left) - 1);
        __m512 v = scaled(p->sums + 16 * i, _mm512_loadu_ps(p->mul + i % period * 16),
                          _mm512_loadu_ps(p->add + i % period * 16));
        if (p->residual != NULL)
            v = with_residual(v, _mm_maskz_loadu_epi8(mask, p->residual + 16 * i), residual_mul);
        _mm_mask_storeu_epi8(
            p->dst + 16 * i, mask,
            _mm512_cvtusepi32_epi8(_mm512_max_epi32(rounded_any(v), _mm512_setzero_si512())));
    }
}

// Every way of output: f32, any number of channels, residuals that lie anyhow.
__attribute__((noinline)) TARGET static void out_any(const sac_u8_amx *s, const sac_u8_band *band,
                                                     const int32_t *sums, int tiles, int64_t x,
                                                     int64_t first, int64_t places) {
    const sac_u8_conv *c = s->c;
    const float *mul = (const float *)s->packed + first, *add = mul + sac_u8_ocp(c);
    for (int64_t i = 0; i < places * tiles; i++) {
        const int64_t place = x + i / tiles, oc = i % tiles * 16, left = c->oc - first - oc;
        const int64_t at = place * c->oc + first + oc;
        const __mmask16 mask = (__mmask16)(left >= 16 ? 0xffff : (1 << left) - 1);
        __m512 v = scaled(sums + 16 * i, _mm512_loadu_ps(mul + oc), _mm512_loadu_ps(add + oc));
        if (band->residual != NULL)
            v = with_residual(
                v,
                _mm_maskz_loadu_epi8(mask, band->residual + place * c->residual.pixel + first + oc),
                c->residual_mul);
        if (c->to_f32) {
            if (c->relu) v = _mm512_max_ps(v, _mm512_setzero_ps());
            _mm512_mask_storeu_ps((float *)band->dst + at, mask, v);
        } else {
            _mm_mask_storeu_epi8(
                (uint8_t *)band->dst + at, mask,
                _mm512_cvtusepi32_epi8(_mm512_max_epi32(rounded_any(v), _mm512_setzero_si512())));
        }
    }
}

// --- products ----------------------------------------------------------------------------------

typedef struct block_place {
    const sac_u8_band *band;
    const int8_t *weights; // of the first channel
    int64_t x, oc;         // first place, first channel
} block_place;

// Multiplies a block of `tiles` tiles of places and `n` of channels, and works off the one before.
// `period` 0: none waits, and this one is put out at once.
TILE void block(sac_u8_amx *s, const block_place *at, int tiles, int n, int period, bool residual) {
    const sac_u8_conv *c = s->c;
    const int64_t run = sac_u8_run(c), chunk = c->chunk, hop = sac_u8_spread(c) ? c->pixel : chunk;
    const int64_t step = c->sw * c->pixel, x0 = at->x * step, x1 = x0 + s->rows[0] * step;
    const sac_u8_band *band = at->band;
    const bool last = at->x + s->rows[0] + s->rows[1] == c->ow;
    const sac_u8_rows *rows0 = c->ends_only && at->x == 0 ? &band->first : &band->rows,
                      *rows1 = c->ends_only && last ? &band->last : &band->rows;
    const int64_t weights_block = c->kh * c->planes * run * 16;
    const int64_t width = period > 0 && c->oc < GROUP ? c->oc : 16 * n; // sums of a place
    const int64_t dst_step = period == 4 ? c->oc : unit_bytes(period);
    const int64_t bytes = unit_bytes(period);
    int32_t *sums = s->sums + s->half * (SAC_U8_AMX_SUMS_BYTES / 8);
    sac_u8_amx_pending p = s->pending;
    __m512 mul[4], add[4];
    const int64_t steps = (n + 1) / 2 * c->kh * c->planes * (run / chunk);
    const int64_t each = (p.left / bytes + steps - 1) / steps; // units in a step
#    pragma GCC unroll 4
    for (int i = 0; i < period; i++) {
        mul[i] = _mm512_loadu_ps((p.left > 0 ? p.mul : s->factors) + 16 * i);
        add[i] = _mm512_loadu_ps((p.left > 0 ? p.add : s->factors) + 16 * i);
    }
#    pragma GCC unroll 2
    for (int pass = 0; pass < n; pass += 2) {
        const bool two = pass + 1 < n;
        const int8_t *w0 = at->weights + pass * weights_block, *w1 = w0 + weights_block;
        _tile_zero(0);
        if (two) _tile_zero(1);
        if (tiles == 2) {
            _tile_zero(2);
            if (two) _tile_zero(3);
        }
        for (int64_t ky = 0; ky < c->kh; ky++) {
            for (int plane = 0; plane < c->planes; plane++) {
                const uint8_t *a0 = (*rows0)[ky][plane] + x0, *a1 = (*rows1)[ky][plane] + x1;
                for (int64_t k = 0; k < run; k += chunk, a0 += hop, a1 += hop) {
                    _tile_loadd(4, a0, step);
                    _tile_loadd(6, w0, 64);
                    _tile_dpbusd(0, 4, 6);
                    if (two) {
                        _tile_loadd(7, w1, 64);
                        _tile_dpbusd(1, 4, 7);
                    }
                    if (tiles == 2) {
                        _tile_loadd(5, a1, step);
                        _tile_dpbusd(2, 5, 6);
                        if (two) _tile_dpbusd(3, 5, 7);
                    }
                    w0 += 16 * chunk;
                    w1 += 16 * chunk;
                    if (period == 0) continue;
                    for (int64_t i = 0; i < each && p.left >= bytes; i++)
                        unit(&p, mul, add, period, residual, c->residual_mul, dst_step);
                }
            }
        }
        int32_t *to = sums + 16 * pass;
        _tile_stored(0, to, width * 4);
        if (two) _tile_stored(1, to + 16, width * 4);
        if (tiles == 2) {
            to += s->rows[0] * width;
            _tile_stored(2, to, width * 4);
            if (two) _tile_stored(3, to + 16, width * 4);
        }
    }
    if (period == 0) {
        out_any(s, band, sums, n, at->x, at->oc, s->rows[0] + s->rows[1]);
        return;
    }
    if (p.left > 0) unit_last(&p, period, c->residual_mul);
    const int64_t begin = at->x * c->oc + at->oc;
    s->half ^= 1;
    s->pending = (sac_u8_amx_pending){
        .sums = sums,
        .dst = (uint8_t *)band->dst + begin,
        .residual = residual ? band->residual + begin : NULL,
        .mul = c->oc <= GROUP ? s->factors : (const float *)s->packed + at->oc,
        .add = c->oc <= GROUP ? s->factors + 64 : (const float *)s->packed + sac_u8_ocp(c) + at->oc,
        .left = (s->rows[0] + s->rows[1]) * width};
}

#    define BLOCK(n, period)                                                                       \
        __attribute__((noinline))                                                                  \
        TARGET static void block_##n##_##period(sac_u8_amx *s, const block_place *at) {            \
            if (s->tiles == 1) {                                                                   \
                if (s->c->residual.channels > 0) {                                                 \
                    block(s, at, 1, n, period, true);                                              \
                } else {                                                                           \
                    block(s, at, 1, n, period, false);                                             \
                }                                                                                  \
            } else if (s->c->residual.channels > 0) {                                              \
                block(s, at, 2, n, period, true);                                                  \
            } else {                                                                               \
                block(s, at, 2, n, period, false);                                                 \
            }                                                                                      \
        }
BLOCK(1, 0)
BLOCK(2, 0)
BLOCK(3, 0)
BLOCK(4, 0)
BLOCK(1, 1)
BLOCK(2, 2)
BLOCK(2, 3)
BLOCK(3, 3)
BLOCK(4, 4)

// First place of tile t of a block at x; the last tile of a row is moved left to end with it.
static int64_t folded_place(const sac_u8_amx *s, int64_t x, int64_t t) {
    const int64_t at = x + t * s->rows[0];
    return at + s->rows[0] <= s->c->ow ? at : s->c->ow - s->rows[0];
}

// Tile t, already in `places`, into `sums_of`; the next one into `next`; the sums of tile t - 2 out
// of `ready`.
#    define FOLDED_TILE(places, next, sums_of, ready)                                              \
        if (t + 1 < tiles) _tile_loadd(next, src + folded_place(s, x, t + 1) * step, step);        \
        if (t < tiles) {                                                                           \
            _tile_zero(sums_of);                                                                   \
            _tile_dpbusd(sums_of, places, 6);                                                      \
        }                                                                                          \
        if (t >= 2) _tile_stored(ready, sums + (folded_place(s, x, t - 2) - x) * width, width * 4)

// Folded rows: one step, one tile of channels, up to eight tiles of places.
__attribute__((noinline)) TARGET static void block_folded(sac_u8_amx *s, const sac_u8_band *band,
                                                          int64_t x, int64_t tiles) {
    const sac_u8_conv *c = s->c;
    const int64_t step = c->sw * c->pixel, rows = s->rows[0], end = x + tiles * rows;
    const int64_t width = s->period > 0 ? c->oc : 16;
    const uint8_t *src = band->rows[0][0];
    int32_t *sums = s->sums + s->half * (SAC_U8_AMX_SUMS_BYTES / 8);
    sac_u8_amx_pending p = s->pending;
    const __m512 mul = _mm512_loadu_ps(s->factors), add = _mm512_loadu_ps(s->factors + 64);
    const int64_t each = (p.left / 64 + tiles - 1) / tiles;
    // Sums are stored when the next two tiles are on their way.
    _tile_loadd(4, src + folded_place(s, x, 0) * step, step);
    for (int64_t t = 0; t < tiles + 2; t++) {
        switch (t % 4) {
        case 0:
            FOLDED_TILE(4, 5, 0, 2);
            break;
        case 1:
            FOLDED_TILE(5, 4, 1, 3);
            break;
        case 2:
            FOLDED_TILE(4, 5, 2, 0);
            break;
        default:
            FOLDED_TILE(5, 4, 3, 1);
        }
        for (int64_t i = 0; i < each && p.left >= 64; i++) unit(&p, &mul, &add, 1, false, 0.0f, 64);
    }
    if (p.left > 0) unit_last(&p, 1, 0.0f);
    const int64_t places = (end < c->ow ? end : c->ow) - x;
    if (s->period == 0) {
        out_any(s, band, sums, 1, x, 0, places);
        return;
    }
    s->half ^= 1;
    s->pending = (sac_u8_amx_pending){.sums = sums,
                                      .dst = (uint8_t *)band->dst + x * c->oc,
                                      .mul = s->factors,
                                      .add = s->factors + 64,
                                      .left = places * c->oc};
}

typedef void (*block_fn)(sac_u8_amx *s, const block_place *at);

static block_fn block_of(const sac_u8_amx *s, int64_t tiles) {
    static const block_fn any[] = {block_1_0, block_2_0, block_3_0, block_4_0};
    switch (s->period) {
    case 1:
        return block_1_1;
    case 2:
        return block_2_2;
    case 3:
        return tiles == 2 ? block_2_3 : block_3_3;
    case 4:
        return block_4_4;
    default:
        return any[tiles - 1];
    }
}

void sac_u8_amx_row(sac_u8_amx *s, const sac_u8_band *band) {
    const sac_u8_conv *c = s->c;
    const int64_t block = c->kh * c->planes * sac_u8_run(c) * 16, ocp = sac_u8_ocp(c);
    const int64_t places = s->rows[0] + s->rows[1];
    const int8_t *weights = sac_u8_weights(c, s->packed);
    if (c->folded) {
        for (int64_t x = 0; x < c->ow; x += 8 * s->rows[0]) {
            const int64_t left = (c->ow - x + s->rows[0] - 1) / s->rows[0];
            const int64_t begin = x + s->rows[0] <= c->ow ? x : c->ow - s->rows[0];
            block_folded(s, band, begin, left < 8 ? left : 8);
        }
        return;
    }
    for (int64_t oc = 0; oc < ocp; oc += GROUP) {
        const int64_t tiles = (ocp - oc < GROUP ? ocp - oc : GROUP) / 16;
        const block_fn run = block_of(s, tiles);
        for (int64_t x = 0; x < c->ow; x += places) {
            // The last block is moved left to end with the row.
            const block_place at = {.band = band,
                                    .weights = weights + oc / 16 * block,
                                    .x = x + places <= c->ow ? x : c->ow - places,
                                    .oc = oc};
            run(s, &at);
        }
    }
}

TARGET void sac_u8_amx_end(sac_u8_amx *s) {
    sac_u8_amx_pending *p = &s->pending;
    _tile_release();
    if (p->left == 0) return;
    const int64_t step = s->period == 4 ? s->c->oc : unit_bytes(s->period);
    // Period 4 has units of one place: all are whole.
    while (s->period == 4 && p->left > 64) {
        const int64_t left = p->left;
        p->left = 64;
        unit_last(p, s->period, s->c->residual_mul);
        p->left = left - 64;
        p->sums += 64;
        p->dst += step;
        if (p->residual != NULL) p->residual += step;
    }
    unit_last(p, s->period, s->c->residual_mul);
    p->left = 0;
}

#endif
