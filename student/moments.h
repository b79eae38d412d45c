// The strongest moments of a stream at distinct times, each with a small picture and its anomaly
// map, kept in bounded memory while the stream runs.
#ifndef SAC_STUDENT_MOMENTS_H
#define SAC_STUDENT_MOMENTS_H

#include <stdint.h>

#include "saccade/status.h"
#include "saccade/student.h"

typedef struct sac_moment {
    int64_t frame;
    double time_s;
    float score, score_smoothed, peak_x, peak_y;
    float map[SAC_MAP_FINE * SAC_MAP_FINE]; // the finest, [side][side]
    int side;
    uint8_t *pixels; // [height][width][channels] of sac_moments_size
} sac_moment;

typedef struct sac_moments sac_moments;

// Keeps up to `count` (1..64) moments that lie at least `gap` frames apart, ranked by smoothed
// score. Pictures are at most 480 px wide: frames of width x height x channels (1 or 3) are shrunk.
// SAC_ERROR_ARGUMENT, SAC_ERROR_MEMORY. One thread.
SAC_NODISCARD sac_status sac_moments_create(sac_moments **moments, int count, int64_t gap,
                                            int width, int height, int channels);
// The next frame in order with its pixels u8 [height][width][channels]; copied when the moment is
// kept. A later frame within the gap of a kept moment replaces it when it scores higher. Never
// allocates.
void sac_moments_offer(sac_moments *moments, const sac_result *result, const uint8_t *pixels);
int sac_moments_count(const sac_moments *moments);
// Moment by rank from 0, the highest smoothed score first (the earlier of equal ones); valid until
// the next offer.
const sac_moment *sac_moments_at(const sac_moments *moments, int rank);
void sac_moments_size(const sac_moments *moments, int *width, int *height, int *channels);
void sac_moments_close(sac_moments **moments);

#endif
