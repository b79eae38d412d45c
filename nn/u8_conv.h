// Convolution of u8 activations with s8 weights (nn/quant.h), 2D, groups 1, no dilation, in three
// versions that give the same integers: AVX512-VNNI, and plain C compiled for several instruction
// sets. Knows no network and no plan.
//   acc[n,oy,ox,oc] = sum_{ky,kx,c} src[n, oy*SH - PH + ky, ox*SW - PW + kx, c] * wei[oc,c,ky,kx]
//   u8:  dst = saturate_u8(round_half_even(acc * mul[oc] + add[oc] [+ residual * residual_mul]))
//   f32: dst = acc * mul[oc] + add[oc] [, at least 0]
// The sums are exact; the three multiply-adds are f32, once fused and once not, so that a value
// right between two steps may fall to either side: versions agree within one step of u8.
// In channels-last order the taps of one row of the kernel are KW * C bytes in a row, whatever C
// is. Work is a sum over KH such runs, four bytes at a time; nothing depends on C being a multiple
// of anything. Sources are gathered row by row into a band with its padding, which is where a
// concatenation or a change from planes to pixels happens, at no further cost.
#ifndef SAC_NN_U8_CONV_H
#define SAC_NN_U8_CONV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SAC_U8_MAX_PARTS   8
#define SAC_U8_MAX_KERNEL  16 // KH
#define SAC_U8_MAX_THREADS 64

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
    bool vnni;         // of sac_u8_conv_prepare
    int bands;         // scratch holds so many; no more threads take part
} sac_u8_conv;

// Fills `vnni` (when `fast` allows and the CPU has it) and `bands`.
void sac_u8_conv_prepare(sac_u8_conv *conv, bool fast);
size_t sac_u8_conv_packed_bytes(const sac_u8_conv *conv);
size_t sac_u8_conv_scratch_bytes(const sac_u8_conv *conv);
// Rounds f32 weights [oc][ic][kh][kw] and packs them with the factors:
// mul = s_src * s_wei[oc] / s_dst, add = bias / s_dst; s_dst 1 for f32. bias NULL: 0.
void sac_u8_conv_pack(const sac_u8_conv *conv, void *packed, const float *weights,
                      const float *bias, double s_src, double s_dst);
// dst [n][oh][ow][oc], dense. src: data of each part. Runs on the calling thread's OpenMP setting.
void sac_u8_conv_run(const sac_u8_conv *conv, void *dst, const void *packed, void *scratch,
                     const uint8_t *const src[SAC_U8_MAX_PARTS], const uint8_t *residual);

// What the versions share. The packed block: mul [ocp], add [ocp], weights
// [ocp / 16][kh][run / 4][16][4].
typedef struct sac_u8_band {
    const uint8_t *rows[SAC_U8_MAX_KERNEL]; // row ky of the window, from its left padding on
    const uint8_t *residual;                // of this row of dst, or NULL
    void *dst;                              // this row
} sac_u8_band;
static inline int64_t sac_u8_ocp(const sac_u8_conv *c) {
    return (c->oc + 15) / 16 * 16;
}
static inline int64_t sac_u8_run(const sac_u8_conv *c) { // bytes of one row of taps
    return (c->kw * c->ic + 3) / 4 * 4;
}
// One row of dst.
void sac_u8_row_plain(const sac_u8_conv *c, const void *packed, const sac_u8_band *band);
#if defined(__x86_64__)
void sac_u8_row_vnni(const sac_u8_conv *c, const void *packed, const sac_u8_band *band);
#endif

#endif
