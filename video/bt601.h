// The luma of RGB pixels, for every place that turns colour into gray: all must give the same byte.
#ifndef SAC_VIDEO_BT601_H
#define SAC_VIDEO_BT601_H

#include <stdint.h>

// 0.299 R + 0.587 G + 0.114 B (ITU-R BT.601-7, 2.5.1) rounded, all in 0..255. The weights sum to
// 65536, so that equal channels come back unchanged; off from the exact value by less than 0.002
// before rounding.
static inline uint8_t sac_bt601_luma(uint32_t r, uint32_t g, uint32_t b) {
    return (uint8_t)((19595 * r + 38470 * g + 7471 * b + 32768) >> 16);
}

#endif
