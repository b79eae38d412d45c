// The end of an anomaly head in one step: a 1x1 convolution of u8 to one logit per place, the
// strongest logit of each cell (adaptive max pooling), and the sigmoid.
//   acc[n,y,x] = sum_c src[n,y,x,c] * wei[c]
//   dst[n,i,j] = act(mul * max over cell (i, j) of acc + add), act the sigmoid or nothing
// mul is positive, so that the largest sum is the largest logit; cell i of O over S places covers
// [floor(i S / O), ceil((i + 1) S / O)). Same results as the three operators one by one, within the
// rounding of f32. Sums are exact integers in every version of the kernel.
#ifndef SAC_NN_U8_HEAD_H
#define SAC_NN_U8_HEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "nn/u8_isa.h"

typedef struct sac_u8_head {
    int64_t n, h, w, c, oh, ow;
    bool sigmoid;
    sac_u8_isa isa; // of sac_u8_head_prepare
} sac_u8_head;

// At best for `isa`, which this process must be able to run. AMX has nothing for one channel.
void sac_u8_head_prepare(sac_u8_head *head, sac_u8_isa isa);
// Packed: mul, add, weights in whole vectors. Scratch: a map of sums and one of row maxima.
size_t sac_u8_head_packed_bytes(const sac_u8_head *head);
size_t sac_u8_head_scratch_bytes(const sac_u8_head *head);
// Weights f32 [c], bias of one element or NULL.
void sac_u8_head_pack(const sac_u8_head *head, void *packed, const float *weights,
                      const float *bias, double s_src);
// dst f32 [n][oh][ow], src dense [n][h][w][c]. Runs on one thread: a head costs microseconds.
void sac_u8_head_run(const sac_u8_head *head, float *dst, const void *packed, void *scratch,
                     const uint8_t *src);

#endif
