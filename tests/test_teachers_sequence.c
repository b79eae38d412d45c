// Frame times of object-centric sequences, and their crops.
#include <criterion/criterion.h>
#include <string.h>

#include "helper.h"
#include "teachers/sequence.h"
#include "video/scale.h"

Test(teachers_sequence, consecutive_repeats_border_frames) {
    static const struct {
        int64_t t, frames, times[7];
    } cases[] = {
        {10, 50, {7, 8, 9, 10, 11, 12, 13}}, {0, 50, {0, 0, 0, 0, 1, 2, 3}},
        {2, 50, {0, 0, 1, 2, 3, 4, 5}},      {49, 50, {46, 47, 48, 49, 49, 49, 49}},
        {0, 1, {0, 0, 0, 0, 0, 0, 0}},       {1, 3, {0, 0, 0, 1, 2, 2, 2}},
    };
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        int64_t times[7];
        sac_sequence_consecutive(times, cases[c].t, cases[c].frames);
        for (int i = 0; i < 7; i++) {
            cr_assert_eq(times[i], cases[c].times[i], "case %zu, crop %d: %lld", c, i,
                         (long long)times[i]);
        }
    }
}

Test(teachers_sequence, intermittent_steps) {
    sac_rng rng;
    sac_rng_seed(&rng, 3, 0);
    int seen[4] = {0};
    for (int round = 0; round < 2000; round++) {
        int64_t times[7];
        sac_sequence_intermittent(times, 100, 200, &rng);
        cr_assert_eq(times[3], 100);
        for (int i = 1; i < 7; i++) {
            int64_t step = times[i] - times[i - 1];
            cr_assert(step >= 1 && step <= 3, "step %lld", (long long)step);
            seen[step]++;
        }
    }
    // 12000 draws, 4000 expected each, standard deviation 52.
    for (int s = 1; s <= 3; s++) cr_assert(seen[s] > 3700 && seen[s] < 4300, "%d: %d", s, seen[s]);
    for (int round = 0; round < 200; round++) {
        int64_t times[7];
        sac_sequence_intermittent(times, 1, 6, &rng);
        for (int i = 0; i < 7; i++) cr_assert(times[i] >= 0 && times[i] < 6);
        for (int i = 1; i < 7; i++) cr_assert(times[i] >= times[i - 1]);
    }
}

Test(teachers_sequence, crops_are_those_of_the_scaler) {
    enum { W = 20, H = 16, FRAMES = 5, S = 8 };
    uint8_t pixels[FRAMES * W * H];
    for (int i = 0; i < FRAMES * W * H; i++) pixels[i] = (uint8_t)(i * 31 % 251);
    sac_box box = {.x1 = 2.5f, .y1 = 1, .x2 = 13, .y2 = 15.5f, .confidence = 1};
    int64_t times[7];
    sac_sequence_consecutive(times, 1, FRAMES);
    float crops[7 * S * S], expected[S * S];
    memset(crops, 0xff, sizeof crops);
    sac_sequence_crop(crops, S, &box, times, 7, pixels, W, H);
    for (int i = 0; i < 7; i++) {
        sac_crop_gray(expected, S, S, pixels + times[i] * W * H, W, H, 2.5, 1, 13, 15.5);
        int64_t dims[2] = {S, S};
        sac_assert_close(crops + i * S * S, expected, 2, dims, 0, "crop of a sequence");
    }
}
