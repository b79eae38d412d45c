// The x step of the scaler in AVX2 and AVX-512 code, chosen at run time. Knows nothing of images:
// it makes weighted sums of 16-bit row elements and divides them. On other processors every call
// says SAC_ERROR_UNSUPPORTED.
#ifndef SAC_VIDEO_SCALE_X86_H
#define SAC_VIDEO_SCALE_X86_H

#include <stdint.h>

#include "saccade/status.h"
#include "video/scale.h"

#define SAC_ROW_PADDING 128 // elements behind the row that may be read (and are given no weight)

// How a weighted sum becomes a byte: min(255, ((max(sum, low) - low) * multiplier + bias) >>
// shift). Sums below 2^30, multiplier below 2^32, everything before the shift below 2^63.
typedef struct sac_row_division {
    uint32_t low;
    uint64_t multiplier, bias;
    int shift;
} sac_row_division;

// Output element e = pixel * channels + c comes from
//   sum over t of weight[pixel][t] * row[(first[pixel] + t) * channels + c].
typedef struct sac_row_plan {
    int elements, channels, taps;
    const int32_t *first;
    const int16_t *weight; // [pixels][taps]
} sac_row_plan;

typedef struct sac_row_reducer sac_row_reducer;
// Copies what it needs of the plan. SAC_ERROR_UNSUPPORTED: wrong processor, or the ratio is too
// large for `code`.
SAC_NODISCARD sac_status sac_row_reducer_create(sac_row_reducer **reducer, const sac_row_plan *plan,
                                                sac_scaler_code code);
// dst u8 [elements]; row u16 with values below 2^15 and SAC_ROW_PADDING readable elements behind
// it.
void sac_row_reducer_run(const sac_row_reducer *reducer, uint8_t *dst, const uint16_t *row,
                         const sac_row_division *division);
void sac_row_reducer_close(sac_row_reducer **reducer);

#endif
