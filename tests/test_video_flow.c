// Dense optical flow: each fast kernel against its plain definition, end-point errors on scenes of
// known motion, borders, small sizes, bad arguments. The table of errors is printed, so that a run
// shows how good the flow is.
#include <criterion/criterion.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/memory.h"
#include "core/rng.h"
#include "flow_scenes.h"
#include "helper.h"
#include "video/flow.h"
#include "video/flow_kernels.h"
#include "video/synth.h"

// ---- kernels -----------------------------------------------------------------------------------

enum { STRIDE = 320, PIXELS = 16 * STRIDE };

static void fill(float *values, int64_t count, sac_rng *rng, double low, double high) {
    for (int64_t i = 0; i < count; i++) {
        values[i] = (float)(low + (high - low) * sac_rng_uniform(rng));
    }
}

Test(video_flow, patch_kernels_match_plain) {
    static float image[PIXELS], other[PIXELS], dx[PIXELS], dy[PIXELS];
    const sac_flow_kernels *plain = &sac_flow_plain, *fast = &sac_flow_fast;
    sac_rng rng;
    sac_rng_seed(&rng, 5, 0);
    const int64_t area[] = {SAC_FLOW_SIDE, SAC_FLOW_SIDE}, three[] = {3}, sums[] = {4};
    for (int round = 0; round < 40; round++) {
        fill(image, PIXELS, &rng, 0, 255);
        fill(other, PIXELS, &rng, 0, 255);
        fill(dx, PIXELS, &rng, -40, 40);
        fill(dy, PIXELS, &rng, -40, 40);
        char what[80];
        snprintf(what, sizeof what, "round %d of seed 5", round);
        const int at = (int)sac_rng_below(&rng, 300); // any alignment
        sac_flow_patch a, b;
        memset(&a, 0xff, sizeof a);
        memset(&b, 0xff, sizeof b);
        plain->prepare(&a, image + at, STRIDE, dx + at, dy + at, STRIDE);
        fast->prepare(&b, image + at, STRIDE, dx + at, dy + at, STRIDE);
        sac_assert_close(b.value, a.value, 2, area, 0, what);
        sac_assert_close(b.dx, a.dx, 2, area, 1e-5, what);
        sac_assert_close(b.dy, a.dy, 2, area, 1e-5, what);
        float scaled[2][3]; // elements are about 1e-5, which the comparison would not see
        for (int i = 0; i < 3; i++) {
            scaled[0][i] = 1e5f * a.inverse[i];
            scaled[1][i] = 1e5f * b.inverse[i];
        }
        sac_assert_close(scaled[1], scaled[0], 1, three, 1e-4, what);
        const float fx = round == 0 ? 0 : (float)sac_rng_uniform(&rng),
                    fy = round == 1 ? 0 : (float)sac_rng_uniform(&rng);
        const int to = (int)sac_rng_below(&rng, 300);
        sac_flow_sums p, q;
        plain->match(&p, &a, other + to, STRIDE, fx, fy);
        fast->match(&q, &a, other + to, STRIDE, fx, fy);
        const float expected[4] = {p.x, p.y, p.offset, p.cost},
                    actual[4] = {q.x, q.y, q.offset, q.cost};
        sac_assert_close(actual, expected, 1, sums, 1e-5, what);
        // Matched with itself nothing is left.
        fast->match(&q, &a, image + at, STRIDE, 0, 0);
        cr_assert(q.cost == 0 && q.offset == 0 && q.x == 0 && q.y == 0);
        static float votes[2][3][PIXELS];
        fill(votes[0][0], 3 * PIXELS, &rng, 0, 2);
        memcpy(votes[1], votes[0], sizeof votes[0]);
        plain->spread(votes[0][0] + at, votes[0][1] + at, votes[0][2] + at, STRIDE, &a, other + to,
                      STRIDE, fx, fy, p.offset, 3.5f, -1.25f);
        fast->spread(votes[1][0] + at, votes[1][1] + at, votes[1][2] + at, STRIDE, &a, other + to,
                     STRIDE, fx, fy, p.offset, 3.5f, -1.25f);
        const int64_t all[] = {3, 16, STRIDE};
        sac_assert_close(votes[1][0], votes[0][0], 3, all, 1e-4, what);
    }
}

enum { PLANES = 21, LANES = 600 };

// Rows of the refinement with every pointer at column 0 of its own plane.
static sac_flow_row make_row(float planes[PLANES][LANES]) {
    float *p[PLANES];
    for (int i = 0; i < PLANES; i++) p[i] = planes[i] + 8;
    return (sac_flow_row){.a11 = p[0],
                          .a12 = p[1],
                          .a22 = p[2],
                          .b1 = p[3],
                          .b2 = p[4],
                          .right = p[5],
                          .down = p[6],
                          .inverse1 = p[7],
                          .inverse2 = p[8],
                          .up = p[9],
                          .u = p[10],
                          .v = p[11],
                          .u_above = p[12],
                          .v_above = p[13],
                          .u_below = p[14],
                          .v_below = p[15]};
}

Test(video_flow, row_kernels_match_plain) {
    static const int widths[] = {8, 9, 15, 16, 17, 31, 240, 255, 256, 257, 513};
    static float a[PLANES][LANES], b[PLANES][LANES];
    const int64_t dims[] = {PLANES, LANES};
    sac_rng rng;
    sac_rng_seed(&rng, 6, 0);
    for (size_t k = 0; k < sizeof widths / sizeof widths[0]; k++) {
        const int n = widths[k];
        for (int round = 0; round < 6; round++) {
            fill(a[0], PLANES * LANES, &rng, 0.1, 1);
            for (int i = 10; i < 16; i++) fill(a[i], LANES, &rng, -3, 3);
            fill(a[16], LANES * 3, &rng, 0, 100);
            memcpy(b, a, sizeof a);
            const sac_flow_row x = make_row(a), y = make_row(b);
            char what[80];
            // The planes of a row kernel's neighbours serve as pictures; all that is not written
            // stays equal.
            snprintf(what, sizeof what, "width %d, round %d of seed 6", n, round);
            const float *const f[3] = {a[16] + 8, a[17] + 8, a[18] + 8}, *const g[3] = {a[17] + 8,
                                                                                        a[18] + 8,
                                                                                        a[16] + 8};
            sac_flow_plain.linearise(&x, f, g, x.up, n);
            sac_flow_fast.linearise(&y, f, g, y.up, n);
            sac_assert_close(b[0], a[0], 2, dims, 1e-5, what);
            sac_flow_plain.stiffen(a[19] + 8, &x, 0.4f, n);
            sac_flow_fast.stiffen(b[19] + 8, &y, 0.4f, n);
            sac_assert_close(b[0], a[0], 2, dims, 1e-5, what);
            const bool last = round == 0;
            sac_flow_plain.join(&x, a[19] + 8, last ? NULL : a[20] + 8, n);
            sac_flow_fast.join(&y, b[19] + 8, last ? NULL : b[20] + 8, n);
            sac_assert_close(b[0], a[0], 2, dims, 1e-5, what);
            cr_assert(y.right[n - 1] == 0 && (!last || y.down[n / 2] == 0));
            sac_flow_plain.invert(&x, n);
            sac_flow_fast.invert(&y, n);
            sac_assert_close(b[0], a[0], 2, dims, 1e-5, what);
            memcpy(b, a, sizeof a);
            sac_flow_plain.relax(&x, round, n);
            sac_flow_fast.relax(&y, round, n);
            sac_assert_close(b[0], a[0], 2, dims, 1e-4, what);
        }
    }
}

Test(video_flow, relax_keeps_the_other_colour) {
    static float planes[PLANES][LANES], before[PLANES][LANES];
    sac_rng rng;
    sac_rng_seed(&rng, 7, 0);
    for (int parity = 0; parity < 2; parity++) {
        fill(planes[0], PLANES * LANES, &rng, 0.1, 1);
        memcpy(before, planes, sizeof planes);
        const sac_flow_row row = make_row(planes);
        sac_flow_fast.relax(&row, parity, 300);
        for (int x = -8; x < LANES - 8; x++) {
            const bool may = x >= 0 && x < 300 && (x + parity) % 2 == 0;
            for (int i = 0; i < PLANES; i++) {
                const bool changed = planes[i][8 + x] != before[i][8 + x];
                cr_assert(may && (i == 10 || i == 11) ? changed : !changed,
                          "parity %d, plane %d, column %d", parity, i, x);
            }
        }
    }
}

Test(video_flow, warp_matches_plain) {
    enum { W = 70, H = 20 };
    static float image[H][W], u[W], v[W], out[2][2][W];
    sac_rng rng;
    sac_rng_seed(&rng, 8, 0);
    const int64_t dims[] = {2, W};
    for (int round = 0; round < 60; round++) {
        fill(image[0], W * H, &rng, 0, 255);
        const double reach = round < 30 ? 3 : 200; // mostly inside, mostly outside
        fill(u, W, &rng, -reach, reach);
        fill(v, W, &rng, -reach, reach);
        const int y = round % H;
        u[3] = 0, v[3] = 0;
        u[4] = W - 1 - 4, v[4] = (float)(H - 1 - y); // exactly the last pixel
        sac_flow_plain.warp(out[0][0], out[0][1], image[0], W, H, y, u, v, W);
        sac_flow_fast.warp(out[1][0], out[1][1], image[0], W, H, y, u, v, W);
        sac_assert_close(out[1][0], out[0][0], 2, dims, 1e-4, "seed 8");
        cr_assert(out[1][0][3] == image[y][3] && out[1][1][3] == 1);
        cr_assert(fabsf(out[1][0][4] - image[H - 1][W - 1]) < 1e-4f && out[1][1][4] == 1);
    }
}

// ---- whole flows -------------------------------------------------------------------------------

typedef struct pair {
    int width, height;
    uint8_t *from, *to, *seen;
    float *truth, *flow;
} pair;

static pair pair_make(int width, int height) {
    const int64_t n = (int64_t)width * height;
    pair p = {.width = width,
              .height = height,
              .from = sac_calloc(n, 1),
              .to = sac_calloc(n, 1),
              .seen = sac_calloc(n, 1),
              .truth = sac_calloc(2 * n, sizeof(float)),
              .flow = sac_calloc(2 * n, sizeof(float))};
    cr_assert(p.from && p.to && p.seen && p.truth && p.flow);
    for (int64_t i = 0; i < 2 * n; i++) p.flow[i] = NAN;
    return p;
}

static void pair_close(pair *p) {
    sac_free(p->from);
    sac_free(p->to);
    sac_free(p->seen);
    sac_free(p->truth);
    sac_free(p->flow);
}

static sac_flow *open_flow(int width, int height, const sac_flow_options *options) {
    sac_flow *flow = NULL;
    sac_error error = {0};
    sac_assert_ok(sac_flow_create(&flow, width, height, options, &error), &error);
    return flow;
}

static void run(sac_flow *flow, pair *p) {
    sac_assert_ok(sac_flow_run(flow, p->flow, p->from, p->to), NULL);
    for (int64_t i = 0; i < 2 * (int64_t)p->width * p->height; i++) {
        cr_assert(isfinite(p->flow[i]), "value %d of %dx%d is %g", (int)i, p->width, p->height,
                  (double)p->flow[i]);
    }
}

// Mean end-point error inside the moving square.
static double square_error(const pair *p, const flow_scene *s) {
    double sum = 0;
    const int64_t n = (int64_t)p->width * p->height;
    for (int y = (int)s->square_y; y < (int)s->square_y + s->side; y++) {
        for (int x = (int)s->square_x; x < (int)s->square_x + s->side; x++) {
            const int64_t at = (int64_t)y * p->width + x;
            sum += hypot((double)p->flow[at] - (double)p->truth[at],
                         (double)p->flow[n + at] - (double)p->truth[n + at]);
        }
    }
    return sum / (s->side * s->side);
}

// Limits are about one and a half times what was measured.
static const struct {
    const char *name;
    flow_scene scene;
    double all, inner,
        square; // limits: visible pixels, those 16 px from the border, the moving square
} cases[] = {
    {"still, noise of 2", {.noise = 2}, 0.05, 0.05, 0},
    {"(0.3, -0.6)", {.shift_x = 0.3, .shift_y = -0.6}, 0.02, 0.015, 0},
    {"(2.5, 1.25)", {.shift_x = 2.5, .shift_y = 1.25}, 0.04, 0.015, 0},
    {"(12, -5)", {.shift_x = 12, .shift_y = -5}, 0.1, 0.01, 0},
    {"(-12, 12)", {.shift_x = -12, .shift_y = 12}, 0.15, 0.02, 0},
    {"(4, 0.5), fine texture", {.shift_x = 4, .shift_y = 0.5, .wavelength = 3.5}, 0.04, 0.015, 0},
    {"turned 0.03, zoomed 1.03", {.turn = 0.03, .zoom = 0.03}, 0.1, 0.06, 0},
    {"square of 24 by (3, 1)",
     {.side = 24, .square_x = 90, .square_y = 60, .move_x = 3, .move_y = 1},
     0.03,
     0.04,
     0.48},
    {"square of 12 by (-2.5, 0)",
     {.side = 12, .square_x = 90, .square_y = 60, .move_x = -2.5},
     0.015,
     0.02,
     0.65},
    {"square of 32 by (8, -3)",
     {.side = 32, .square_x = 90, .square_y = 60, .move_x = 8, .move_y = -3},
     0.1,
     0.12,
     1},
    {"square of 24, noise of 4",
     {.side = 24, .square_x = 90, .square_y = 60, .move_x = 3, .move_y = 1, .noise = 4},
     0.15,
     0.16,
     0.6},
    {"(2, 1), brightness 1.1 x + 15",
     {.shift_x = 2, .shift_y = 1, .gain = 1.1, .offset = 15},
     0.12,
     0.1,
     0},
    {"(2, 1), noise of 6", {.shift_x = 2, .shift_y = 1, .noise = 6}, 0.22, 0.2, 0},
};

Test(video_flow, known_motion) {
    pair p = pair_make(240, 160);
    sac_flow *flow = open_flow(240, 160, NULL);
    printf("| 240x160, mean end-point error, px | all | inner | square |\n|---|---:|---:|---:|\n");
    bool good = true;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        flow_scene scene = cases[i].scene;
        scene.width = p.width;
        scene.height = p.height;
        scene.seed = i + 1;
        flow_scene_make(&scene, p.from, p.to, p.truth, p.seen);
        run(flow, &p);
        const double all = flow_error(p.flow, p.truth, p.seen, p.width, p.height, 0);
        const double inner = flow_error(p.flow, p.truth, p.seen, p.width, p.height, 16);
        const double square = scene.side > 0 ? square_error(&p, &scene) : 0;
        const bool fine =
            all <= cases[i].all && inner <= cases[i].inner && square <= cases[i].square;
        printf("| %s | %.3f | %.3f | %.3f |%s\n", cases[i].name, all, inner, square,
               fine ? "" : " over its limit");
        good = good && fine;
    }
    fflush(stdout);
    sac_flow_close(&flow);
    pair_close(&p);
    cr_assert(good, "an end-point error is over its limit, see the table");
}

Test(video_flow, refinement_helps) {
    // Turning and noise are what single patches cannot do well.
    pair p = pair_make(200, 140);
    sac_flow_options options = sac_flow_default_options();
    static const flow_scene scenes[] = {
        {.width = 200, .height = 140, .turn = 0.03, .zoom = 0.03, .seed = 3},
        {.width = 200, .height = 140, .shift_x = 1, .noise = 5, .seed = 4}};
    for (int i = 0; i < 2; i++) {
        double error[2];
        flow_scene_make(&scenes[i], p.from, p.to, p.truth, p.seen);
        for (int k = 0; k < 2; k++) {
            options.refine_rounds = k == 0 ? 0 : sac_flow_default_options().refine_rounds;
            sac_flow *flow = open_flow(200, 140, &options);
            run(flow, &p);
            error[k] = flow_error(p.flow, p.truth, p.seen, p.width, p.height, 8);
            sac_flow_close(&flow);
        }
        cr_assert_lt(error[1], 0.75 * error[0], "scene %d: %g with, %g without", i, error[1],
                     error[0]);
    }
    pair_close(&p);
}

Test(video_flow, no_motion_gives_none) {
    static const int sizes[][2] = {{17, 13}, {64, 48}, {101, 67}};
    for (int s = 0; s < 3; s++) {
        pair p = pair_make(sizes[s][0], sizes[s][1]);
        sac_flow *flow = open_flow(p.width, p.height, NULL);
        flow_scene scene = {.width = p.width, .height = p.height, .noise = 20, .seed = 2};
        for (int kind = 0; kind < 3; kind++) {
            // A picture, black, white.
            flow_scene_make(&scene, p.from, p.to, NULL, NULL);
            if (kind > 0) memset(p.from, kind == 1 ? 0 : 255, (size_t)(p.width * p.height));
            memcpy(p.to, p.from, (size_t)(p.width * p.height));
            run(flow, &p);
            for (int i = 0; i < 2 * p.width * p.height; i++) {
                cr_assert_float_eq(p.flow[i], 0, 1e-4, "kind %d, value %d: %g", kind, i,
                                   (double)p.flow[i]);
            }
        }
        sac_flow_close(&flow);
        pair_close(&p);
    }
}

Test(video_flow, borders) {
    // What leaves the picture still gets the motion of its neighbourhood, on all four sides.
    static const double shifts[][2] = {{5, 0}, {-5, 0}, {0, 5}, {0, -5}};
    pair p = pair_make(120, 90);
    sac_flow *flow = open_flow(120, 90, NULL);
    for (int i = 0; i < 4; i++) {
        const flow_scene scene = {.width = 120,
                                  .height = 90,
                                  .shift_x = shifts[i][0],
                                  .shift_y = shifts[i][1],
                                  .seed = 20 + (uint64_t)i};
        flow_scene_make(&scene, p.from, p.to, p.truth, p.seen);
        run(flow, &p);
        memset(p.seen, 1, 120 * 90);
        const double all = flow_error(p.flow, p.truth, p.seen, 120, 90, 0);
        cr_assert_lt(all, 0.5, "side %d: %g px", i, all);
    }
    sac_flow_close(&flow);
    pair_close(&p);
}

Test(video_flow, small_sizes) {
    static const int sizes[][2] = {{8, 8},   {9, 8},   {8, 40},  {17, 13}, {13, 17}, {23, 24},
                                   {24, 23}, {25, 49}, {200, 9}, {9, 200}, {12, 12}, {47, 31}};
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        pair p = pair_make(sizes[s][0], sizes[s][1]);
        const flow_scene scene = {
            .width = p.width, .height = p.height, .shift_x = 1, .shift_y = -0.5, .seed = 40 + s};
        flow_scene_make(&scene, p.from, p.to, p.truth, p.seen);
        sac_flow_options options = sac_flow_default_options();
        for (int k = 0; k < 4; k++) {
            options.stride_px = k == 1 ? 1 : k == 2 ? 8 : 4;
            options.finest_level = k == 3 ? 4 : 0; // fewer levels than asked for are fine
            sac_flow *flow = open_flow(p.width, p.height, &options);
            run(flow, &p);
            const double error = flow_error(p.flow, p.truth, p.seen, p.width, p.height, 0);
            if (k < 2) {
                cr_assert_lt(error, 0.5, "%dx%d, variant %d: %g px", p.width, p.height, k, error);
            }
            sac_flow_close(&flow);
        }
        pair_close(&p);
    }
}

Test(video_flow, large_pictures) {
    pair p = pair_make(4096, 40);
    const flow_scene scene = {.width = 4096, .height = 40, .shift_x = 6, .shift_y = 1, .seed = 9};
    flow_scene_make(&scene, p.from, p.to, p.truth, p.seen);
    sac_flow *flow = open_flow(4096, 40, NULL);
    run(flow, &p);
    cr_assert_lt(flow_error(p.flow, p.truth, p.seen, p.width, p.height, 4), 0.1);
    sac_flow_close(&flow);
    pair_close(&p);
}

Test(video_flow, coarser_is_a_little_worse) {
    pair p = pair_make(160, 120);
    const flow_scene scene = {
        .width = 160, .height = 120, .shift_x = 3.3, .shift_y = -1.7, .wavelength = 8, .seed = 5};
    flow_scene_make(&scene, p.from, p.to, p.truth, p.seen);
    for (int level = 0; level < 3; level++) {
        sac_flow_options options = sac_flow_default_options();
        options.finest_level = level;
        sac_flow *flow = open_flow(160, 120, &options);
        run(flow, &p);
        const double error = flow_error(p.flow, p.truth, p.seen, 160, 120, 16);
        cr_assert_lt(error, 0.06 * (1 << level), "level %d: %g px", level, error);
        sac_flow_close(&flow);
    }
    pair_close(&p);
}

Test(video_flow, unrelated_frames_stay_finite) {
    // Noise against noise and black against white: any answer will do, within the padding.
    pair p = pair_make(90, 70);
    sac_flow *flow = open_flow(90, 70, NULL);
    sac_rng rng;
    sac_rng_seed(&rng, 77, 0);
    for (int round = 0; round < 4; round++) {
        for (int i = 0; i < 90 * 70; i++) {
            p.from[i] = round == 3 ? 0 : (uint8_t)sac_rng_below(&rng, 256);
            p.to[i] = round == 3 ? 255 : (uint8_t)(sac_rng_below(&rng, 2) * 255);
        }
        run(flow, &p);
        for (int i = 0; i < 2 * 90 * 70; i++) cr_assert_lt(fabsf(p.flow[i]), 200);
    }
    sac_flow_close(&flow);
    pair_close(&p);
}

Test(video_flow, reference_agrees) {
    pair p = pair_make(96, 64);
    float *plain = sac_calloc(2 * 96 * 64, sizeof *plain);
    flow_scene scene = {.width = 96,
                        .height = 64,
                        .shift_x = 0.4,
                        .side = 20,
                        .square_x = 30,
                        .square_y = 20,
                        .move_x = 3,
                        .move_y = 1,
                        .noise = 2,
                        .seed = 3};
    flow_scene_make(&scene, p.from, p.to, p.truth, p.seen);
    sac_flow_options options = sac_flow_default_options();
    options.reference = true;
    sac_flow *reference = open_flow(96, 64, &options), *flow = open_flow(96, 64, NULL);
    run(reference, &p);
    memcpy(plain, p.flow, 2 * 96 * 64 * sizeof *plain);
    run(flow, &p);
    memset(p.seen, 1, 96 * 64);
    const double difference = flow_error(p.flow, plain, p.seen, 96, 64, 0);
    // Where two places fit equally well, rounding decides; nowhere else.
    cr_assert_lt(difference, 0.01, "%g px", difference);
    cr_assert_gt(flow_error(plain, (float[2 * 96 * 64]){0}, p.seen, 96, 64, 0), 0.3);
    sac_flow_close(&reference);
    sac_flow_close(&flow);
    sac_free(plain);
    pair_close(&p);
}

Test(video_flow, same_frames_same_bits) {
    pair p = pair_make(131, 77);
    const size_t bytes = 2 * 131 * 77 * sizeof(float);
    float *first = sac_calloc(2 * 131 * 77, sizeof *first);
    uint8_t copy[2][131 * 77];
    const flow_scene scene = {
        .width = 131, .height = 77, .shift_x = 2.2, .turn = 0.02, .noise = 3, .seed = 6};
    const flow_scene others = {.width = 131, .height = 77, .shift_x = -7, .noise = 9, .seed = 7};
    sac_flow *a = open_flow(131, 77, NULL), *b = open_flow(131, 77, NULL);
    flow_scene_make(&scene, p.from, p.to, NULL, NULL);
    memcpy(copy[0], p.from, sizeof copy[0]);
    memcpy(copy[1], p.to, sizeof copy[1]);
    run(a, &p);
    memcpy(first, p.flow, bytes);
    cr_assert(memcmp(copy[0], p.from, sizeof copy[0]) == 0);
    cr_assert(memcmp(copy[1], p.to, sizeof copy[1]) == 0);
    // Other frames in between, and another object.
    flow_scene_make(&others, p.from, p.to, NULL, NULL);
    run(a, &p);
    cr_assert(memcmp(first, p.flow, bytes) != 0);
    flow_scene_make(&scene, p.from, p.to, NULL, NULL);
    run(a, &p);
    cr_assert(memcmp(first, p.flow, bytes) == 0);
    run(b, &p);
    cr_assert(memcmp(first, p.flow, bytes) == 0);
    sac_flow_close(&a);
    sac_flow_close(&b);
    sac_free(first);
    pair_close(&p);
}

// People of the synthetic scene move, its ground does not.
Test(video_flow, people_of_the_synthetic_scene) {
    sac_synth_options options = sac_synth_default_options();
    options.frames_per_clip = 40;
    options.train_clips = 1;
    sac_synth_scene *scene = NULL;
    sac_assert_ok(sac_synth_scene_create(&scene, &options, 1, SAC_SYNTH_CYCLIST), NULL);
    pair p = pair_make(options.width, options.height);
    sac_flow *flow = open_flow(p.width, p.height, NULL);
    const int64_t n = (int64_t)p.width * p.height;
    double still = 0, moving = 0;
    int64_t still_count = 0, moving_count = 0;
    for (int t = 5; t < 35; t += 6) {
        float boxes[64][4];
        sac_assert_ok(sac_synth_scene_render(scene, t, p.from, NULL, NULL), NULL);
        sac_assert_ok(sac_synth_scene_render(scene, t + 1, p.to, NULL, NULL), NULL);
        const int64_t count = sac_synth_scene_boxes(scene, t, boxes[0], 64);
        run(flow, &p);
        memset(p.seen, 0, (size_t)n);
        for (int64_t k = 0; k < count && k < 64; k++) {
            const float *box = boxes[k];
            // The middle of the box is body; 12 px around it is nobody's for sure.
            for (int y = (int)box[1] - 12; y < (int)box[3] + 12; y++) {
                for (int x = (int)box[0] - 12; x < (int)box[2] + 12; x++) {
                    if (x >= 0 && y >= 0 && x < p.width && y < p.height)
                        p.seen[y * p.width + x] |= 1;
                }
            }
            const int x = (int)(0.5f * (box[0] + box[2])), y = (int)(0.6f * box[1] + 0.4f * box[3]);
            if (x < 0 || y < 0 || x >= p.width || y >= p.height || box[3] - box[1] < 12) continue;
            moving += hypot((double)p.flow[y * p.width + x], (double)p.flow[n + y * p.width + x]);
            moving_count++;
        }
        for (int64_t i = 0; i < n; i++) {
            if (p.seen[i]) continue;
            still += hypot((double)p.flow[i], (double)p.flow[n + i]);
            still_count++;
        }
    }
    cr_assert(still_count > 1000 && moving_count > 20);
    still /= (double)still_count;
    moving /= (double)moving_count;
    printf("synthetic scene: ground %.3f px, people %.3f px a frame\n", still, moving);
    cr_assert_lt(still, 0.15, "%g px", still);
    cr_assert_gt(moving, 0.5, "%g px", moving);
    sac_flow_close(&flow);
    sac_synth_scene_close(&scene);
    pair_close(&p);
}

// ---- bad input ---------------------------------------------------------------------------------

Test(video_flow, refuses_bad_arguments) {
    static const int sizes[][2] = {{7, 8}, {8, 7}, {0, 100}, {-5, 100}, {16385, 100}, {100, 16385}};
    sac_flow *flow = NULL;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        sac_error error = {0};
        sac_assert_error(sac_flow_create(&flow, sizes[i][0], sizes[i][1], NULL, &error),
                         SAC_ERROR_ARGUMENT, &error, "8 to 16384", NULL);
        cr_assert_null(flow);
    }
    for (int i = 0; i < 10; i++) {
        sac_flow_options o = sac_flow_default_options();
        if (i == 0) o.finest_level = -1;
        if (i == 1) o.finest_level = 5;
        if (i == 2) o.stride_px = 0;
        if (i == 3) o.stride_px = 9;
        if (i == 4) o.search_steps = 0;
        if (i == 5) o.refine_rounds = -1;
        if (i == 6) o.refine_rounds = 21;
        if (i == 7) o.smoothness = 0;
        if (i == 8) o.smoothness = NAN;
        if (i == 9) o.smoothness = INFINITY;
        sac_error error = {0};
        sac_assert_error(sac_flow_create(&flow, 40, 30, &o, &error), SAC_ERROR_ARGUMENT, &error,
                         "option", "stride 1..8", NULL);
        cr_assert_null(flow);
    }
    flow = open_flow(8, 8, NULL);
    uint8_t frame[64] = {0};
    float dst[128];
    cr_assert_eq(sac_flow_run(NULL, dst, frame, frame), SAC_ERROR_ARGUMENT);
    cr_assert_eq(sac_flow_run(flow, NULL, frame, frame), SAC_ERROR_ARGUMENT);
    cr_assert_eq(sac_flow_run(flow, dst, NULL, frame), SAC_ERROR_ARGUMENT);
    cr_assert_eq(sac_flow_run(flow, dst, frame, NULL), SAC_ERROR_ARGUMENT);
    sac_flow_close(&flow);
    cr_assert_null(flow);
    sac_flow_close(&flow);
    sac_flow_close(NULL);
}

Test(video_flow, allocation_failures) {
    for (int variant = 0; variant < 3; variant++) {
        sac_flow_options options = sac_flow_default_options();
        if (variant == 1) options.refine_rounds = 0;
        if (variant == 2) options.finest_level = 4;
        bool worked = false;
        int64_t n = 0;
        for (; n < 200 && !worked; n++) {
            sac_flow *flow = NULL;
            sac_error error = {0};
            sac_memory_fail_after(n);
            const sac_status status = sac_flow_create(&flow, 48, 40, &options, &error);
            worked = status == SAC_OK;
            if (worked) {
                // Nothing is allocated while it runs.
                uint8_t frame[48 * 40] = {0};
                static float dst[2 * 48 * 40];
                sac_memory_fail_after(0);
                cr_assert_eq(sac_flow_run(flow, dst, frame, frame), SAC_OK);
            }
            sac_memory_fail_after(-1);
            if (!worked) {
                cr_assert_eq(status, SAC_ERROR_MEMORY, "after %d allocations", (int)n);
                cr_assert_null(flow);
                cr_assert_not_null(strstr(error.message, "48x40"));
            }
            sac_flow_close(&flow);
        }
        cr_assert(worked && n > 10);
    }
}
