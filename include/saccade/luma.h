// One picture's luma where it lies in memory: what video sources deliver without a copy and
// students take. A view: it owns nothing.
#ifndef SACCADE_LUMA_H
#define SACCADE_LUMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct sac_luma {
    const uint8_t *data; // first row, `width` bytes, one a pixel
    ptrdiff_t stride;    // bytes from one row to the next; negative: upside down in memory
    int width, height;   // 1..16384 px
    bool full_range;     // true: 0 black, 255 white; false: 16 black, 235 white (ITU-R BT.601-7,
                         // 2.5.3, as most video), to be stretched to 0..255 by who uses it
} sac_luma;

#ifdef __cplusplus
}
#endif
#endif
