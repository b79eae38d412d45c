// Random numbers: published known answers, ranges, moments, exact restore.
#include <criterion/criterion.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "core/rng.h"

// First outputs of xoshiro256** from the state {1, 2, 3, 4}, as in the authors' reference
// implementation.
Test(core_rng, known_answers_of_the_generator) {
    static const uint64_t expected[] = {
        11520u, 0u, 1509978240u, 1215971899390074240u, 1216172134540287360u, 607988272756665600u};
    sac_rng rng = {{1, 2, 3, 4}};
    for (int i = 0; i < 6; i++) cr_assert_eq(sac_rng_next(&rng), expected[i], "output %d", i);
}

// splitmix64 from 1234567, published with the reference implementation.
Test(core_rng, known_answers_of_the_seeding) {
    static const uint64_t expected[] = {6457827717110365317u, 3203168211198807973u,
                                        9817491932198370423u, 4593380528125082431u};
    sac_rng rng;
    sac_rng_seed(&rng, 1234567, 0);
    for (int i = 0; i < 4; i++) cr_assert_eq(rng.state[i], expected[i], "word %d", i);
}

Test(core_rng, streams_and_seeds_differ) {
    sac_rng all[64];
    for (int i = 0; i < 64; i++) sac_rng_seed(&all[i], (uint64_t)(i / 8), (uint64_t)(i % 8));
    for (int i = 0; i < 64; i++) {
        for (int j = 0; j < i; j++) {
            for (int w = 0; w < 4; w++) cr_assert_neq(all[i].state[w], all[j].state[w]);
        }
    }
}

Test(core_rng, copy_of_the_state_repeats_everything) {
    sac_rng rng, saved;
    sac_rng_seed(&rng, 7, 3);
    for (int i = 0; i < 11; i++) (void)sac_rng_normal(&rng);
    saved = rng;
    double a[3] = {sac_rng_normal(&rng), sac_rng_uniform(&rng), (double)sac_rng_below(&rng, 1000)};
    double b[3] = {sac_rng_normal(&saved), sac_rng_uniform(&saved),
                   (double)sac_rng_below(&saved, 1000)};
    cr_assert_eq(memcmp(a, b, sizeof a), 0);
    cr_assert_eq(memcmp(&rng, &saved, sizeof rng), 0);
}

Test(core_rng, below_is_flat_and_in_range) {
    sac_rng rng;
    sac_rng_seed(&rng, 1, 0);
    enum { DRAWS = 210000, CELLS = 7 };
    int64_t seen[CELLS] = {0};
    for (int i = 0; i < DRAWS; i++) {
        int64_t x = sac_rng_below(&rng, CELLS);
        cr_assert(x >= 0 && x < CELLS);
        seen[x]++;
    }
    double chi2 = 0.0;
    for (int c = 0; c < CELLS; c++) {
        double d = (double)seen[c] - (double)DRAWS / CELLS;
        chi2 += d * d / ((double)DRAWS / CELLS);
    }
    cr_assert(chi2 < 22.5, "chi square %g of 6 degrees of freedom (22.5 is the 99.9 %% point)",
              chi2);
    cr_assert_eq(sac_rng_below(&rng, 1), 0);
    for (int i = 0; i < 1000; i++) {
        int64_t x = sac_rng_below(&rng, INT64_MAX);
        cr_assert(x >= 0 && x < INT64_MAX);
    }
}

Test(core_rng, uniform_and_normal_have_their_moments) {
    sac_rng rng;
    sac_rng_seed(&rng, 5, 1);
    enum { DRAWS = 200000 };
    double sum = 0, squares = 0, normal_sum = 0, normal_squares = 0, fourth = 0;
    for (int i = 0; i < DRAWS; i++) {
        double u = sac_rng_uniform(&rng);
        cr_assert(u >= 0.0 && u < 1.0);
        sum += u;
        squares += u * u;
        double z = sac_rng_normal(&rng);
        cr_assert(isfinite(z));
        normal_sum += z;
        normal_squares += z * z;
        fourth += z * z * z * z;
    }
    cr_assert_float_eq(sum / DRAWS, 0.5, 0.004);
    cr_assert_float_eq(squares / DRAWS, 1.0 / 3.0, 0.004);
    cr_assert_float_eq(normal_sum / DRAWS, 0.0, 0.012);
    cr_assert_float_eq(normal_squares / DRAWS, 1.0, 0.02);
    cr_assert_float_eq(fourth / DRAWS, 3.0, 0.15);
}

Test(core_rng, shuffle_keeps_every_index_and_moves_them) {
    sac_rng rng;
    sac_rng_seed(&rng, 9, 0);
    int64_t index[100];
    bool seen[100] = {false};
    for (int64_t i = 0; i < 100; i++) index[i] = i;
    sac_rng_shuffle(&rng, index, 100);
    int moved = 0;
    for (int64_t i = 0; i < 100; i++) {
        cr_assert(index[i] >= 0 && index[i] < 100 && !seen[index[i]]);
        seen[index[i]] = true;
        moved += index[i] != i;
    }
    cr_assert(moved > 80);
    // All six orders of three must appear equally often.
    int orders[27] = {0};
    for (int i = 0; i < 6000; i++) {
        int64_t three[3] = {0, 1, 2};
        sac_rng_shuffle(&rng, three, 3);
        orders[three[0] * 9 + three[1] * 3 + three[2]]++;
    }
    static const int codes[6] = {5, 7, 11, 15, 19, 21};
    for (int i = 0; i < 6; i++)
        cr_assert(orders[codes[i]] > 850 && orders[codes[i]] < 1150, "%d", orders[codes[i]]);
    sac_rng_shuffle(&rng, index, 0);
    sac_rng_shuffle(&rng, NULL, 0);
}
