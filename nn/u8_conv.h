// Convolution of u8 activations with s8 weights (nn/quant.h), 2D, groups 1, no dilation, for the
// instruction sets of nn/u8_isa.h, bit for bit the same in each. Knows no network and no plan.
//   acc[n,oy,ox,oc] = sum_{ky,kx,c} src[n, oy*SH - PH + ky, ox*SW - PW + kx, c] * wei[oc,c,ky,kx]
//   u8:  dst = saturate_u8(round_half_even(acc * mul[oc] + add[oc] [+ residual * residual_mul]))
//   f32: dst = acc * mul[oc] + add[oc] [, at least 0]
// The sums are exact; the multiply-adds are f32, each fused.
// In channels-last order the taps of one row of the kernel are KW * C bytes in a row, whatever C
// is. Work is a sum over KH such runs, in chunks of a few bytes; nothing depends on C being a
// multiple of anything. Sources are gathered row by row into a band with its padding, which is
// where a concatenation or a change from planes to pixels happens. AVX2 has no exact products of
// bytes: there the weights are 16-bit words, and what they meet is widened when a row is gathered or
// a tile transformed. AMX, to which a chunk is 64 bytes and costs the same when it is not full, has
// two more ways: the parts of a source may stay apart, each with runs of its own, and rows may be
// read where they lie but for their ends.
#ifndef SAC_NN_U8_CONV_H
#define SAC_NN_U8_CONV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "nn/u8_isa.h"

#define SAC_U8_MAX_PARTS   8
#define SAC_U8_MAX_KERNEL  16 // KH
#define SAC_U8_MAX_THREADS 64
// Transformed tiles: places in each direction, and what one of stride 2 takes.
#define SAC_U8_WINOGRAD_TILE   4
#define SAC_U8_WINOGRAD_BLOCKS 81
#define SAC_U8_WINOGRAD_ROWS   9 // of the source

// Where some channels of a source lie: byte (n, y, x, c) at
// data + offset + n * batch + y * row + x * pixel + c, c < channels.
typedef struct sac_u8_part {
    int64_t offset, batch, row, pixel, channels;
} sac_u8_part;

typedef struct sac_u8_conv {
    int64_t n, ih, iw, ic, oh, ow, oc, kh, kw, sh, sw, ph, pw;
    int parts; // of the source, together ic channels
    sac_u8_part part[SAC_U8_MAX_PARTS];
    sac_u8_part residual; // channels 0: none
    float residual_mul;
    bool to_f32, relu; // relu: f32 only, u8 has it by saturation
    // Of sac_u8_conv_prepare.
    sac_u8_isa isa;
    int planes;   // 1, or the parts that stay apart: rows of so many planes of ic / planes channels
    int64_t word; // bytes of a packed weight: AVX2 and winograd 2, else 1
    int64_t cell; // bytes of an activation in the band: AVX2 without winograd 2, else 1
    int64_t chunk;  // words of a run that one step multiplies; runs are padded to whole chunks
    int64_t pixel;  // words from one pixel of a plane's row to the next: all channels; or 64, so
                    // that pixels do not straddle cache lines and each tap is a chunk; folded: 4
    bool ends_only; // the band holds the first and last places of a row alone
    bool folded;   // one channel: the rows of a window lie interleaved, four bytes a pixel, and are
                   // one row of taps
    bool winograd; // AVX2 and AVX-VNNI: 3x3 by transformed tiles, four rows of dst at a time
    int bands;     // scratch holds so many; no more threads take part
} sac_u8_conv;

// Takes scratch for as many threads as OpenMP has on the calling thread now, at most
// SAC_U8_MAX_THREADS. Chooses the kernel, at best for `isa`, which this process must be able to
// run: a lower one where the shape is no work for it. Packed weights and scratch belong to this
// choice.
void sac_u8_conv_prepare(sac_u8_conv *conv, sac_u8_isa isa);
// Whether weights packed for the one serve the other.
bool sac_u8_conv_packs_alike(const sac_u8_conv *a, const sac_u8_conv *b);
size_t sac_u8_conv_packed_bytes(const sac_u8_conv *conv);
size_t sac_u8_conv_scratch_bytes(const sac_u8_conv *conv);
// Rounds f32 weights [oc][ic][kh][kw] and packs them with the factors:
// mul = s_src * s_wei[oc] / s_dst, add = bias / s_dst; s_dst 1 for f32. bias NULL: 0.
void sac_u8_conv_pack(const sac_u8_conv *conv, void *packed, const float *weights,
                      const float *bias, double s_src, double s_dst);
// dst [n][oh][ow][oc], dense. src: data of each part. Runs on the calling thread's OpenMP setting.
void sac_u8_conv_run(const sac_u8_conv *conv, void *dst, const void *packed, void *scratch,
                     const uint8_t *const src[SAC_U8_MAX_PARTS], const uint8_t *residual);

// What the versions share. The packed block: mul [ocp], add [ocp], the largest value that sums can
// become, weights [ocp / 16][kh][planes][run / 4][16][4] (folded: kh is 1), for AVX-VNNI
// [ocp / 8][kh][run / 4][8][4], for AVX2 s16 [ocp / 8][kh][run / 2][8][2]; transformed, for both, s16
// [ocp / 8][blocks][words / 2][8][2].
// Row ky of the window in each plane.
typedef const uint8_t *sac_u8_rows[SAC_U8_MAX_KERNEL][SAC_U8_MAX_PARTS];
typedef struct sac_u8_band {
    // From the left padding on. With ends_only `rows` is not for the first and the last tile of
    // places, which have their own.
    sac_u8_rows rows, first, last;
    const uint8_t *residual; // of this row of dst, or NULL
    void *dst;               // this row
} sac_u8_band;
static inline int64_t sac_u8_ocp(const sac_u8_conv *c) {
    return (c->oc + 15) / 16 * 16;
}
static inline int64_t sac_u8_plane_channels(const sac_u8_conv *c) {
    return c->ic / c->planes;
}
static inline int64_t sac_u8_run(const sac_u8_conv *c) { // words of one row of taps in one plane
    if (c->folded) return c->chunk;
    return (c->kw * sac_u8_plane_channels(c) + c->chunk - 1) / c->chunk * c->chunk;
}
static inline bool sac_u8_spread(const sac_u8_conv *c) { // pixels lie apart
    return c->pixel != sac_u8_plane_channels(c);
}
static inline int64_t sac_u8_tap_rows(const sac_u8_conv *c) { // that a place sums over
    return c->folded ? 1 : c->kh;
}
static inline int64_t sac_u8_winograd_words(const sac_u8_conv *c) { // of a block: all channels
    return (c->ic + 7) / 8 * 8;
}
static inline int64_t sac_u8_winograd_blocks(const sac_u8_conv *c) {
    return c->sw == 1 ? 36 : SAC_U8_WINOGRAD_BLOCKS;
}
static inline int64_t sac_u8_weights_words(const sac_u8_conv *c) {
    return sac_u8_ocp(c) * (c->winograd ? sac_u8_winograd_blocks(c) * sac_u8_winograd_words(c)
                                        : sac_u8_tap_rows(c) * c->planes * sac_u8_run(c));
}
static inline const int8_t *sac_u8_weights(const sac_u8_conv *c, const void *packed) {
    return (const int8_t *)packed +
           ((2 * sac_u8_ocp(c) + 1) * (int64_t)sizeof(float) + 63) / 64 * 64;
}
// No value reaches 2^31, where conversion to integers ends: saturation alone does.
static inline bool sac_u8_bounded(const sac_u8_conv *c, const void *packed) {
    return ((const float *)packed)[2 * sac_u8_ocp(c)] + 255.0f * c->residual_mul < 2e9f;
}
// One row of dst.
void sac_u8_row_plain(const sac_u8_conv *c, const void *packed, const sac_u8_band *band);
#if defined(__x86_64__)
void sac_u8_row_avx2(const sac_u8_conv *c, const void *packed, const sac_u8_band *band);

// 3x3 kernels in transformed tiles of 4x4 places, in integers: V of the source, U of the kernel,
// sums M of their products over the channels. In one direction, from pixels d and taps g, by the
// points 0, 1, -1, 2, -2 and infinity (Winograd 1980; Lavin and Gray, CVPR 2016, scaled by 24):
//   stride 1, F(4, 3):
//     V = (4 (d0 - d2) + d4 - d2, (d4 - 4 d2) + (d3 - 4 d1), (d4 - 4 d2) - (d3 - 4 d1),
//          (d4 - d2) + 2 (d3 - d1), (d4 - d2) - 2 (d3 - d1), d5 - d3 - 4 (d3 - d1)),
//     U = (6 g0, -4 (g0 + g1 + g2), -4 (g0 - g1 + g2), g0 + 2 g1 + 4 g2, g0 - 2 g1 + 4 g2, 6 g2),
//     24 dst = (M0 + M1 + M2 + M3 + M4, M1 - M2 + 2 (M3 - M4), M1 + M2 + 4 (M3 + M4),
//               M1 - M2 + 8 (M3 - M4) + 4 M5): 36 products where sixteen places have 144;
//   stride 2, even pixels e meet g0 and g2 in F(4, 2) without the point -2, odd ones o meet g1:
//     V = (2 (e0 - e2) + e3 - e1 | o0, e3 - e1 - (e1 + e2), e3 - e2 - 2 (e2 - e1), e3 - e1,
//          e4 - e2 - 2 (e3 - e1) | o3, o1, o2),
//     U = (3 g0 | 6 g1, -3 (g0 + g2), g2 - g0, g0 + 2 g2, 6 g2 | 6 g1, 6 g1, 6 g1),
//     6 dst = (M0 + M1 + M2 + M3, M1 - M2 + 2 M3 + M5, M1 + M2 + 4 M3 + M6,
//              M1 - M2 + 8 M3 + M4): 81 products.
// V and U fit words (at most 68 * 255 and 144 * 127). Sums are taken in the ring of 32 bits, where
// 576 dst (36 dst) is exact though it may be far larger; multiplied by the inverse of 9 there and
// shifted by 6 (2) bits it is dst, if dst has no more than 26 (30) bits: up to 115 (1841) channels.
bool sac_u8_winograd_fits(const sac_u8_conv *c);
// V of a part of a row of tiles: [tiles][blocks][words], but blocks that add up side by side.
int64_t sac_u8_winograd_bytes(const sac_u8_conv *c);
// Into how many parts a row of tiles falls.
int64_t sac_u8_winograd_parts(const sac_u8_conv *c);
void sac_u8_winograd_weights(const sac_u8_conv *c, int16_t u[SAC_U8_WINOGRAD_BLOCKS],
                             const int8_t g[9]);
// One part. rows: six or nine, from the left padding on, 16 bytes beyond their end readable. A
// band's dst is NULL where dst has no such row.
void sac_u8_winograd_run(const sac_u8_conv *c, const void *packed, int16_t *v,
                         const uint8_t *const rows[SAC_U8_WINOGRAD_ROWS],
                         const sac_u8_band band[SAC_U8_WINOGRAD_TILE], int64_t part);
// n pixels of one part into a row of s16 that has ic channels.
void sac_u8_widen(int16_t *dst, const uint8_t *src, int64_t n, int64_t ic, int64_t pixel,
                  int64_t channels);

void sac_u8_row_vnni(const sac_u8_conv *c, const void *packed, const sac_u8_band *band);

// A row of n places of three parts [n][channels] into one of [n][3 * channels], channels 8 or 16.
void sac_u8_interleave3(uint8_t *dst, const uint8_t *const src[3], int64_t n, int64_t channels);

// n pixels of up to four rows of bytes, interleaved: dst[x][k] = rows[k][x], 0 from `count` on.
void sac_u8_fold_rows(uint8_t *dst, const uint8_t *const rows[4], int count, int64_t n);

// AMX: rows of one thread between begin and end. Sums of a block of places lie in one half of
// `sums` until the next block is multiplied, and become u8 meanwhile: dst is complete at the end.
#    define SAC_U8_AMX_SUMS_BYTES (2 * 8192 + 1024)
typedef struct sac_u8_amx_pending {
    const int32_t *sums;
    uint8_t *dst;
    const uint8_t *residual;
    const float *mul, *add;
    int64_t left; // bytes of dst
} sac_u8_amx_pending;
typedef struct sac_u8_amx {
    const sac_u8_conv *c;
    const void *packed;
    int32_t *sums; // 64-byte aligned
    int half;
    int tiles;          // of places, side by side in a block: 1 or 2
    int64_t rows[2];    // places in each
    int period;         // vectors until factors repeat; 0: of the general way
    float factors[128]; // mul [64], add [64], of whole periods
    sac_u8_amx_pending pending;
} sac_u8_amx;
// Fills planes, chunk, pixel, ends_only and folded. False: no work for AMX.
bool sac_u8_amx_prepare(sac_u8_conv *c);
// Places of the tiles of a block, and their number.
int sac_u8_amx_tiles(const sac_u8_conv *c, int64_t rows[2]);
void sac_u8_amx_begin(sac_u8_amx *s, const sac_u8_conv *c, const void *packed, void *sums);
void sac_u8_amx_row(sac_u8_amx *s, const sac_u8_band *band);
void sac_u8_amx_end(sac_u8_amx *s);
#endif

#endif
