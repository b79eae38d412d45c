// Packing, the band of padded rows, threads, and the plain version; see nn/u8_conv.h. The versions
// for AVX2 and AVX-VNNI are nn/u8_conv_avx2.c with nn/u8_winograd.c, that for AVX512-VNNI is
// nn/u8_conv_vnni.c, that for AMX nn/u8_conv_amx.c.
#include "nn/u8_conv.h"

#include <math.h>
#include <omp.h>
#include <string.h>

#include "core/clones.h"
#include "nn/quant.h"

static int64_t align64(int64_t n) {
    return (n + 63) / 64 * 64;
}

// Pixels of one padded row: the input with its left padding, and as far as the last window reaches.
static int64_t row_pixels(const sac_u8_conv *c) {
    const int64_t tile = c->winograd ? SAC_U8_WINOGRAD_TILE : 1;
    const int64_t ow = (c->ow + tile - 1) / tile * tile;
    const int64_t reach = (ow - 1) * c->sw + c->kw, input = c->pw + c->iw;
    return reach > input ? reach : input;
}

// Of one plane. Runs that are filled up to whole chunks reach beyond the last window.
static int64_t row_bytes(const sac_u8_conv *c) {
    const int64_t reach = c->winograd        ? 16
                          : sac_u8_spread(c) ? 0
                                             : sac_u8_run(c) - c->kw * c->pixel;
    return align64((row_pixels(c) * c->pixel + reach) * c->cell);
}

// With ends_only: the first tile of places, then the last.
typedef struct row_ends {
    int64_t first_bytes, last_bytes;
    int64_t first_pixels, last_pixels; // of the source; 0: no padding there, nothing to copy
    int64_t last_x, last_begin;        // place of dst, pixel of the source
} row_ends;

static row_ends ends_of(const sac_u8_conv *c) {
    row_ends e = {0};
#if defined(__x86_64__)
    int64_t tile[2];
    if (!c->ends_only) return e;
    (void)sac_u8_amx_tiles(c, tile);
    e.last_x = c->ow - tile[1];
    e.last_begin = e.last_x * c->sw - c->pw;
    e.first_pixels = c->pw > 0 ? (tile[0] - 1) * c->sw + c->kw - c->pw : 0;
    e.last_pixels = (c->ow - 1) * c->sw - c->pw + c->kw > c->iw ? c->iw - e.last_begin : 0;
    e.first_bytes = align64(((tile[0] - 1) * c->sw + c->kw) * c->pixel);
    e.last_bytes = align64(((tile[1] - 1) * c->sw + c->kw) * c->pixel);
#endif
    return e;
}

// A row of one plane in the ring.
static int64_t slot_bytes(const sac_u8_conv *c) {
    const row_ends e = ends_of(c);
    return c->ends_only ? e.first_bytes + e.last_bytes : row_bytes(c);
}

// Rows that are needed at a time.
static int64_t ring_rows(const sac_u8_conv *c) {
    return c->winograd ? (SAC_U8_WINOGRAD_TILE - 1) * c->sh + c->kh : c->kh;
}

// The rows in a ring and a plane of zeros.
static int64_t rows_bytes(const sac_u8_conv *c) {
    return ring_rows(c) * c->planes * slot_bytes(c) + row_bytes(c);
}

// Folded: the pixels of a window's rows begin at a cache line, behind their padding.
static int64_t folded_bytes(const sac_u8_conv *c) {
    return 64 + align64((row_pixels(c) - c->pw) * 4) + 64;
}

static int64_t band_bytes(const sac_u8_conv *c) {
    int64_t bytes = c->folded ? 2 * folded_bytes(c) : rows_bytes(c);
#if defined(__x86_64__)
    if (c->isa == SAC_U8_AMX) bytes += SAC_U8_AMX_SUMS_BYTES;
    if (c->winograd) bytes += align64(sac_u8_winograd_bytes(c));
#endif
    return bytes;
}

// Weights are packed for vectors of eight channels, not sixteen.
static bool eights(const sac_u8_conv *c) {
    return c->isa == SAC_U8_AVX2 || c->isa == SAC_U8_AVX_VNNI;
}

void sac_u8_conv_prepare(sac_u8_conv *c, sac_u8_isa isa) {
    const int threads = omp_get_max_threads();
    c->bands = threads > SAC_U8_MAX_THREADS ? SAC_U8_MAX_THREADS : threads;
    c->isa = isa;
    c->planes = 1;
    c->pixel = c->ic;
    c->ends_only = c->folded = c->winograd = false;
#if defined(__x86_64__)
    c->winograd = eights(c) && sac_u8_winograd_fits(c);
#endif
    c->word = isa == SAC_U8_AVX2 || c->winograd ? 2 : 1;
    c->chunk = 4 / c->word;
#if defined(__x86_64__)
    if (isa == SAC_U8_AMX && !sac_u8_amx_prepare(c)) c->isa = SAC_U8_VNNI;
#endif
    c->cell = c->winograd ? 1 : c->word;
}

bool sac_u8_conv_packs_alike(const sac_u8_conv *a, const sac_u8_conv *b) {
    return a->ic == b->ic && a->oc == b->oc && a->kh == b->kh && a->kw == b->kw &&
           a->planes == b->planes && a->word == b->word && eights(a) == eights(b) &&
           a->chunk == b->chunk && sac_u8_spread(a) == sac_u8_spread(b) && a->folded == b->folded &&
           a->winograd == b->winograd && (!a->winograd || a->sw == b->sw);
}

size_t sac_u8_conv_packed_bytes(const sac_u8_conv *c) {
    return (size_t)(align64((2 * sac_u8_ocp(c) + 1) * (int64_t)sizeof(float)) +
                    sac_u8_weights_words(c) * c->word);
}

size_t sac_u8_conv_scratch_bytes(const sac_u8_conv *c) {
    return (size_t)(c->bands * band_bytes(c));
}

#if defined(__x86_64__)
static void pack_winograd(const sac_u8_conv *c, int16_t *w, const float *from, float scale,
                          int64_t oc) {
    const int64_t blocks = sac_u8_winograd_blocks(c), pairs = sac_u8_winograd_words(c) / 2;
    for (int64_t ic = 0; ic < c->ic; ic++) {
        int8_t g[9];
        int16_t u[SAC_U8_WINOGRAD_BLOCKS];
        for (int k = 0; k < 9; k++) g[k] = sac_quant_step(from[ic * 9 + k], scale);
        sac_u8_winograd_weights(c, u, g);
        for (int64_t k = 0; k < blocks; k++)
            w[((oc / 8 * blocks + k) * pairs + ic / 2) * 16 + oc % 8 * 2 + ic % 2] = u[k];
    }
}
#endif

void sac_u8_conv_pack(const sac_u8_conv *c, void *packed, const float *weights, const float *bias,
                      double s_src, double s_dst) {
    const int64_t ocp = sac_u8_ocp(c), run = sac_u8_run(c), taps = c->ic * c->kh * c->kw;
    const int64_t channels = sac_u8_plane_channels(c);
    const int64_t tap = sac_u8_spread(c) ? c->chunk : channels;
    const int64_t vector = eights(c) ? 8 : 16, four = 4 / c->word; // words of four bytes
    float *mul = packed, *add = mul + ocp, *most = add + ocp;
    memset(packed, 0, sac_u8_conv_packed_bytes(c));
    int8_t *w = (int8_t *)(uintptr_t)sac_u8_weights(c, packed);
    for (int64_t oc = 0; oc < c->oc; oc++) {
        const float *from = weights + oc * taps;
        float scale = 0.0f;
        sac_quant_weights(NULL, &scale, from, 1, taps);
        mul[oc] = (float)(s_src * (double)scale / s_dst);
        add[oc] = bias != NULL ? (float)((double)bias[oc] / s_dst) : 0.0f;
        const double reach = 255.0 * 127.0 * (double)taps * (double)mul[oc] + fabs((double)add[oc]);
        if (!(reach <= (double)*most)) *most = (float)reach; // also when it is not a number
#if defined(__x86_64__)
        if (c->winograd) {
            pack_winograd(c, (int16_t *)(void *)w, from, scale, oc);
            continue;
        }
#endif
        for (int64_t ic = 0; ic < c->ic; ic++) {
            for (int64_t ky = 0; ky < c->kh; ky++) {
                const int64_t row =
                    c->folded ? oc / 16 : (oc / vector * c->kh + ky) * c->planes + ic / channels;
                for (int64_t kx = 0; kx < c->kw; kx++) {
                    const int64_t at = c->folded ? 4 * kx + ky : kx * tap + ic % channels;
                    const int8_t q = sac_quant_step(from[(ic * c->kh + ky) * c->kw + kx], scale);
                    const int64_t to =
                        ((row * (run / four) + at / four) * vector + oc % vector) * four +
                        at % four;
                    if (c->word == 2) {
                        ((int16_t *)(void *)w)[to] = q;
                    } else {
                        w[to] = q;
                    }
                }
            }
        }
    }
}

#define COPY_CASE(bytes)                                                                           \
    case bytes:                                                                                    \
        for (int64_t x = 0; x < n; x++) memcpy(dst + x * ic, src + x * pixel, bytes);              \
        return

// n pixels of one part into a row of ic channels.
static void part_copy(uint8_t *restrict dst, const uint8_t *restrict src, int64_t n, int64_t ic,
                      int64_t pixel, int64_t channels) {
    switch (channels) {
        COPY_CASE(1);
        COPY_CASE(3);
        COPY_CASE(8);
        COPY_CASE(16);
        COPY_CASE(24);
        COPY_CASE(32);
        COPY_CASE(48);
        COPY_CASE(64);
    default:
        for (int64_t x = 0; x < n; x++) memcpy(dst + x * ic, src + x * pixel, (size_t)channels);
    }
}

#if defined(__x86_64__)
// Three sources of 8 or 16 channels each, dense.
static bool threes(const sac_u8_conv *c) {
    const int64_t channels = c->part[0].channels;
    if (c->isa < SAC_U8_VNNI || c->parts != 3 || (channels != 8 && channels != 16)) return false;
    for (int p = 0; p < 3; p++) {
        if (c->part[p].channels != channels || c->part[p].pixel != channels) return false;
    }
    return true;
}
#endif

// Where row y of a part begins.
static const uint8_t *part_row(const sac_u8_conv *c, const uint8_t *const *src, int p, int64_t n,
                               int64_t y) {
    return src[p] + c->part[p].offset + n * c->part[p].batch + y * c->part[p].row;
}

// All but the padding, which stays zero. `plane`: bytes from one plane of the row to the next.
static void row_fill(const sac_u8_conv *c, uint8_t *row, int64_t plane, const uint8_t *const *src,
                     int64_t n, int64_t y) {
    const int64_t left = c->pw * c->pixel;
#if defined(__x86_64__)
    if (c->cell == 2) {
        int16_t *to = (int16_t *)(void *)row + left;
        for (int p = 0; p < c->parts; to += c->part[p++].channels)
            sac_u8_widen(to, part_row(c, src, p, n, y), c->iw, c->ic, c->part[p].pixel,
                         c->part[p].channels);
        return;
    }
    if (c->planes == 1 && !sac_u8_spread(c) && threes(c)) {
        const uint8_t *const from[3] = {part_row(c, src, 0, n, y), part_row(c, src, 1, n, y),
                                        part_row(c, src, 2, n, y)};
        sac_u8_interleave3(row + left, from, c->iw, c->part[0].channels);
        return;
    }
#endif
    int64_t first = 0;
    for (int p = 0; p < c->parts; p++) {
        const sac_u8_part *part = &c->part[p];
        const uint8_t *from = part_row(c, src, p, n, y);
        uint8_t *to = row + left + (c->planes == 1 ? first : p * plane);
        if (part->channels == c->pixel && part->pixel == c->pixel) {
            memcpy(to, from, (size_t)(c->iw * c->pixel));
        } else {
            part_copy(to, from, c->iw, c->pixel, part->pixel, part->channels);
        }
        first += part->channels;
    }
}

static void ends_fill(const sac_u8_conv *c, const row_ends *e, uint8_t *row, int64_t plane,
                      const uint8_t *const *src, int64_t n, int64_t y) {
    for (int p = 0; p < c->planes; p++, row += plane) {
        const uint8_t *from = part_row(c, src, p, n, y);
        memcpy(row + c->pw * c->pixel, from, (size_t)(e->first_pixels * c->pixel));
        memcpy(row + e->first_bytes, from + e->last_begin * c->pixel,
               (size_t)(e->last_pixels * c->pixel));
    }
}

// The rows can be read where they lie: nothing to pad, to interleave or to fill up.
static bool reads_in_place(const sac_u8_conv *c) {
    return c->cell == 1 && c->ph == 0 && c->pw == 0 && c->parts == 1 &&
           c->part[0].pixel == c->pixel && !sac_u8_spread(c) && c->kw * c->ic == sac_u8_run(c) &&
           row_pixels(c) == c->iw && (c->oh - 1) * c->sh + c->kh <= c->ih;
}

#if defined(__x86_64__)
// One row is folded while the one before it is multiplied.
static void folded_fill(const sac_u8_conv *c, uint8_t *place, const uint8_t *const *src,
                        int64_t r) {
    const int64_t n = r / c->oh, oy = r % c->oh;
    const uint8_t *rows[4] = {NULL, NULL, NULL, NULL};
    for (int64_t ky = 0; ky < c->kh; ky++) {
        const int64_t y = oy * c->sh - c->ph + ky;
        if (y >= 0 && y < c->ih) rows[ky] = part_row(c, src, 0, n, y);
    }
    sac_u8_fold_rows(place + 64, rows, (int)c->kh, c->iw);
}

static void rows_folded(const sac_u8_conv *c, void *dst, const void *packed, uint8_t *band_data,
                        const uint8_t *const *src, int64_t begin, int64_t end) {
    const int64_t bytes = folded_bytes(c);
    sac_u8_amx amx;
    memset(band_data, 0, (size_t)(2 * bytes));
    sac_u8_amx_begin(&amx, c, packed, band_data + 2 * bytes);
    folded_fill(c, band_data + begin % 2 * bytes, src, begin);
    for (int64_t r = begin; r < end; r++) {
        sac_u8_band band;
        if (r + 1 < end) folded_fill(c, band_data + (r + 1) % 2 * bytes, src, r + 1);
        band.rows[0][0] = band_data + r % 2 * bytes + 64 - c->pw * 4;
        band.residual = NULL;
        band.dst = (uint8_t *)dst + r * c->ow * c->oc;
        sac_u8_amx_row(&amx, &band);
    }
    sac_u8_amx_end(&amx);
}
#endif

// Of dst, and the residual that goes into it.
static sac_u8_band band_at(const sac_u8_conv *c, void *dst, const uint8_t *residual, int64_t n,
                           int64_t oy) {
    const int64_t at = (n * c->oh + oy) * c->ow * c->oc;
    sac_u8_band band;
    band.residual = c->residual.channels > 0 ? residual + c->residual.offset +
                                                   n * c->residual.batch + oy * c->residual.row
                                             : NULL;
    band.dst = c->to_f32 ? (void *)((float *)dst + at) : (void *)((uint8_t *)dst + at);
    return band;
}

#if defined(__x86_64__)
static int64_t tile_rows(const sac_u8_conv *c) {
    return (c->oh + SAC_U8_WINOGRAD_TILE - 1) / SAC_U8_WINOGRAD_TILE;
}

// `begin`, `end`: parts of rows of tiles.
static void tiles_run(const sac_u8_conv *c, void *dst, const void *packed, uint8_t *band_data,
                      const uint8_t *const *src, const uint8_t *residual, int64_t begin,
                      int64_t end) {
    const int64_t bytes = slot_bytes(c), count = ring_rows(c), all = tile_rows(c);
    const int64_t parts = sac_u8_winograd_parts(c);
    const uint8_t *zero = band_data + count * bytes;
    int16_t *v = (int16_t *)(void *)(band_data + rows_bytes(c));
    int64_t held[SAC_U8_WINOGRAD_ROWS]; // which row lies in each place of the ring
    for (int64_t k = 0; k < count; k++) held[k] = -1;
    memset(band_data, 0, (size_t)rows_bytes(c));
    for (int64_t r = begin; r < end; r++) {
        const int64_t n = r / parts / all, oy = r / parts % all * SAC_U8_WINOGRAD_TILE;
        const uint8_t *rows[SAC_U8_WINOGRAD_ROWS];
        sac_u8_band band[SAC_U8_WINOGRAD_TILE];
        for (int64_t k = 0; k < count; k++) {
            const int64_t y = oy * c->sh - c->ph + k, place = (y + count) % count;
            uint8_t *row = band_data + place * bytes;
            const bool inside = y >= 0 && y < c->ih;
            if (inside && held[place] != n * c->ih + y) {
                held[place] = n * c->ih + y;
                row_fill(c, row, bytes, src, n, y);
            }
            rows[k] = inside ? row : zero;
        }
        for (int64_t i = 0; i < SAC_U8_WINOGRAD_TILE; i++) {
            if (oy + i < c->oh) {
                band[i] = band_at(c, dst, residual, n, oy + i);
            } else {
                band[i].dst = NULL;
            }
        }
        sac_u8_winograd_run(c, packed, v, rows, band, r % parts);
    }
}
#endif

static void rows_run(const sac_u8_conv *c, void *dst, const void *packed, uint8_t *band_data,
                     const uint8_t *const *src, const uint8_t *residual, int64_t begin,
                     int64_t end) {
#if defined(__x86_64__)
    if (c->folded) {
        rows_folded(c, dst, packed, band_data, src, begin, end);
        return;
    }
    if (c->winograd) {
        tiles_run(c, dst, packed, band_data, src, residual, begin, end);
        return;
    }
#endif
    const bool direct = reads_in_place(c);
    const int64_t bytes = slot_bytes(c);
    const row_ends ends = ends_of(c);
    uint8_t *zero = band_data + c->kh * c->planes * bytes;
    int64_t held[SAC_U8_MAX_KERNEL]; // which row lies in each place of the ring
    for (int64_t k = 0; k < c->kh; k++) held[k] = -1;
    if (!direct) memset(band_data, 0, (size_t)rows_bytes(c));
#if defined(__x86_64__)
    sac_u8_amx amx;
    if (c->isa == SAC_U8_AMX) sac_u8_amx_begin(&amx, c, packed, band_data + rows_bytes(c));
#endif
    for (int64_t r = begin; r < end; r++) {
        const int64_t n = r / c->oh, oy = r % c->oh;
        sac_u8_band band = band_at(c, dst, residual, n, oy);
        for (int64_t ky = 0; ky < c->kh; ky++) {
            const int64_t y = oy * c->sh - c->ph + ky, place = y < 0 ? 0 : y % c->kh;
            uint8_t *row = band_data + place * c->planes * bytes;
            if (y < 0 || y >= c->ih) {
                for (int p = 0; p < c->planes; p++)
                    band.rows[ky][p] = band.first[ky][p] = band.last[ky][p] = zero;
                continue;
            }
            if (direct) {
                band.rows[ky][0] = band.first[ky][0] = band.last[ky][0] = part_row(c, src, 0, n, y);
                continue;
            }
            const bool filled = held[place] == n * c->ih + y;
            held[place] = n * c->ih + y;
            if (!c->ends_only) {
                if (!filled) row_fill(c, row, bytes, src, n, y);
                for (int p = 0; p < c->planes; p++) band.rows[ky][p] = row + p * bytes;
                continue;
            }
            if (!filled) ends_fill(c, &ends, row, bytes, src, n, y);
            for (int p = 0; p < c->planes; p++, row += bytes) {
                const uint8_t *whole = part_row(c, src, p, n, y) - c->pw * c->pixel;
                band.rows[ky][p] = whole;
                band.first[ky][p] = ends.first_pixels > 0 ? row : whole;
                band.last[ky][p] = ends.last_pixels > 0
                                       ? row + ends.first_bytes - ends.last_x * c->sw * c->pixel
                                       : whole;
            }
        }
        switch (c->isa) {
#if defined(__x86_64__)
        case SAC_U8_AMX:
            sac_u8_amx_row(&amx, &band);
            break;
        case SAC_U8_VNNI:
            sac_u8_row_vnni(c, packed, &band);
            break;
        case SAC_U8_AVX_VNNI:
        case SAC_U8_AVX2:
            sac_u8_row_avx2(c, packed, &band);
            break;
#endif
        default:
            sac_u8_row_plain(c, packed, &band);
        }
    }
#if defined(__x86_64__)
    if (c->isa == SAC_U8_AMX) sac_u8_amx_end(&amx);
#endif
}

void sac_u8_conv_run(const sac_u8_conv *c, void *dst, const void *packed, void *scratch,
                     const uint8_t *const src[SAC_U8_MAX_PARTS], const uint8_t *residual) {
    const int64_t each = band_bytes(c), weights = sac_u8_weights_words(c);
    int64_t rows = c->n * c->oh, products = rows * c->ow * weights; // rows: what threads share out
#if defined(__x86_64__)
    if (c->winograd) {
        rows = c->n * tile_rows(c) * sac_u8_winograd_parts(c);
        products /= SAC_U8_WINOGRAD_TILE * SAC_U8_WINOGRAD_TILE;
    }
#endif
    int threads = omp_get_max_threads();
    if (threads > c->bands) threads = c->bands;
    if (threads > rows) threads = (int)rows;
    // Less than a few microseconds of work: waking a second thread costs more.
    const int64_t least = c->isa == SAC_U8_AMX ? 1 << 21 : c->winograd ? 1 << 18 : 1 << 19;
    if (products < least) threads = 1;
    if (threads <= 1) {
        rows_run(c, dst, packed, scratch, src, residual, 0, rows);
        return;
    }
#pragma omp parallel num_threads(threads)
    {
        // The team may be smaller than asked for.
        const int64_t team = omp_get_num_threads(), t = omp_get_thread_num();
        rows_run(c, dst, packed, (uint8_t *)scratch + t * each, src, residual, rows * t / team,
                 rows * (t + 1) / team);
    }
}

// Sixteen channels at one place.
SAC_CLONES_INTEGER static void sum16(int32_t *restrict acc, const sac_u8_band *band, int64_t kh,
                                     int64_t at, int64_t run, const int8_t *restrict w) {
    for (int64_t ky = 0; ky < kh; ky++) {
        const uint8_t *src = band->rows[ky][0] + at;
        for (int64_t k = 0; k < run; k += 4, w += 64) {
            for (int i = 0; i < 16; i++) {
                acc[i] += src[k] * w[4 * i] + src[k + 1] * w[4 * i + 1] +
                          src[k + 2] * w[4 * i + 2] + src[k + 3] * w[4 * i + 3];
            }
        }
    }
}

void sac_u8_row_plain(const sac_u8_conv *c, const void *packed, const sac_u8_band *band) {
    const int64_t ocp = sac_u8_ocp(c), run = sac_u8_run(c);
    const float *mul = packed, *add = mul + ocp;
    const int8_t *w = sac_u8_weights(c, packed);
    for (int64_t x = 0; x < c->ow; x++) {
        for (int64_t b = 0; b < ocp; b += 16) {
            int32_t acc[16] = {0};
            sum16(acc, band, c->kh, x * c->sw * c->ic, run, w + b * c->kh * run);
            for (int64_t i = 0; i < 16 && b + i < c->oc; i++) {
                float v = fmaf((float)acc[i], mul[b + i], add[b + i]);
                if (band->residual != NULL)
                    v = fmaf((float)band->residual[x * c->residual.pixel + b + i], c->residual_mul,
                             v);
                const int64_t at = x * c->oc + b + i;
                if (c->to_f32) {
                    ((float *)band->dst)[at] = c->relu && v < 0.0f ? 0.0f : v;
                } else {
                    // In this order a NaN, of factors beyond f32, becomes 255 as with vectors.
                    v = v < 255.0f ? v : 255.0f;
                    v = v > 0.0f ? v : 0.0f;
                    ((uint8_t *)band->dst)[at] = (uint8_t)rintf(v);
                }
            }
        }
    }
}
