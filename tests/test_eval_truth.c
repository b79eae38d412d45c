// Ground truth: components and tracks of masks, and track files good and bad.
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "core/memory.h"
#include "core/rng.h"
#include "eval/truth.h"
#include "helper.h"

enum { W = 24, H = 16 };

static void paint(uint8_t *mask, int x, int y, int w, int h) {
    for (int i = y; i < y + h; i++) memset(mask + i * W + x, 255, (size_t)w);
}

static void expect_box(const sac_truth_region *r, int64_t frame, int64_t track, int x1, int y1,
                       int x2, int y2) {
    cr_assert(r->frame == frame && r->track == track && (int)r->x1 == x1 && (int)r->y1 == y1 &&
                  (int)r->x2 == x2 && (int)r->y2 == y2,
              "frame %lld track %lld box %g %g %g %g", (long long)r->frame, (long long)r->track,
              (double)r->x1, (double)r->y1, (double)r->x2, (double)r->y2);
}

Test(eval_truth, masks_become_tracks) {
    static uint8_t masks[6][H * W];
    sac_truth truth;
    sac_error error = {0};
    // Two objects that move; the second is absent in frame 2; a third in frame 5 only.
    paint(masks[0], 1, 2, 4, 5);
    paint(masks[1], 2, 2, 4, 5);
    paint(masks[2], 3, 2, 4, 5);
    paint(masks[0], 15, 8, 3, 3);
    paint(masks[1], 15, 9, 3, 3);
    paint(masks[3], 15, 9, 3, 3);
    // Two parts that only touch at a corner are one region.
    paint(masks[5], 4, 4, 2, 2);
    paint(masks[5], 6, 6, 2, 2);
    const sac_mask_options strict = {.min_area = 1};
    sac_assert_ok(sac_truth_from_masks(&truth, masks[0], 6, W, H, &strict, &error), &error);
    cr_assert_eq(truth.count, 7);
    cr_assert_eq(truth.tracks, 4);
    cr_assert_eq(truth.frames, 6);
    expect_box(&truth.regions[0], 0, 0, 1, 2, 5, 7);
    expect_box(&truth.regions[1], 0, 1, 15, 8, 18, 11);
    expect_box(&truth.regions[2], 1, 0, 2, 2, 6, 7);
    expect_box(&truth.regions[3], 1, 1, 15, 9, 18, 12);
    expect_box(&truth.regions[4], 2, 0, 3, 2, 7, 7);
    expect_box(&truth.regions[5], 3, 2, 15, 9, 18, 12);
    expect_box(&truth.regions[6], 5, 3, 4, 4, 8, 8);
    sac_truth_close(&truth);
    cr_assert_null(truth.regions);
    // Without the specks.
    const sac_mask_options large = {.min_area = 10};
    sac_assert_ok(sac_truth_from_masks(&truth, masks[0], 6, W, H, &large, &error), &error);
    cr_assert_eq(truth.count, 3);
    cr_assert_eq(truth.tracks, 1);
    sac_truth_close(&truth);
    // Out of sight for a frame; the first is gone for two, the third lies where the first was.
    sac_mask_options patient = {.min_area = 1, .max_gap = 1};
    sac_assert_ok(sac_truth_from_masks(&truth, masks[0], 6, W, H, &patient, &error), &error);
    cr_assert_eq(truth.tracks, 3);
    expect_box(&truth.regions[5], 3, 1, 15, 9, 18, 12);
    expect_box(&truth.regions[6], 5, 2, 4, 4, 8, 8);
    sac_truth_close(&truth);
    patient.max_gap = 2;
    sac_assert_ok(sac_truth_from_masks(&truth, masks[0], 6, W, H, &patient, &error), &error);
    cr_assert_eq(truth.tracks, 2);
    expect_box(&truth.regions[6], 5, 0, 4, 4, 8, 8);
    sac_truth_close(&truth);
}

Test(eval_truth, parts_of_an_object_are_one_region) {
    static uint8_t mask[H * W];
    sac_truth truth;
    sac_error error = {0};
    // Three pieces in a row, two empty columns between them, and one further away.
    paint(mask, 2, 2, 2, 6);
    paint(mask, 6, 4, 2, 2);
    paint(mask, 10, 1, 1, 3);
    paint(mask, 14, 12, 2, 1);
    for (int join = 0; join < 4; join++) {
        const sac_mask_options options = {.min_area = 1, .join_px = join};
        sac_assert_ok(sac_truth_from_masks(&truth, mask, 1, W, H, &options, &error), &error);
        cr_assert_eq(truth.count, join < 2 ? 4 : 2, "joined over %d px", join);
        if (join >= 2) expect_box(&truth.regions[0], 0, 0, 2, 1, 11, 8);
        sac_truth_close(&truth);
    }
    // The area is that of all parts: 12 + 4 + 3.
    const sac_mask_options both = {.min_area = 19, .join_px = 2};
    sac_assert_ok(sac_truth_from_masks(&truth, mask, 1, W, H, &both, &error), &error);
    cr_assert_eq(truth.count, 1);
    sac_truth_close(&truth);
    const sac_mask_options more = {.min_area = 20, .join_px = 2};
    sac_assert_ok(sac_truth_from_masks(&truth, mask, 1, W, H, &more, &error), &error);
    cr_assert_eq(truth.count, 0);
    sac_truth_close(&truth);
}

Test(eval_truth, the_larger_overlap_continues_the_track) {
    static uint8_t masks[4][H * W];
    sac_truth truth;
    sac_error error = {0};
    // Two objects meet to one component and part again.
    paint(masks[0], 2, 4, 4, 6);
    paint(masks[0], 10, 4, 8, 6);
    paint(masks[1], 2, 4, 16, 6);
    paint(masks[2], 2, 4, 4, 6);
    paint(masks[2], 10, 4, 8, 6);
    const sac_mask_options strict = {.min_area = 1};
    sac_assert_ok(sac_truth_from_masks(&truth, masks[0], 4, W, H, &strict, &error), &error);
    cr_assert_eq(truth.count, 5);
    cr_assert_eq(truth.tracks, 3);
    // The large one (IoU 48 of 96 px) goes on through the meeting, the small one gets a new track.
    expect_box(&truth.regions[2], 1, 1, 2, 4, 18, 10);
    expect_box(&truth.regions[3], 2, 2, 2, 4, 6, 10);
    expect_box(&truth.regions[4], 2, 1, 10, 4, 18, 10);
    sac_truth_close(&truth);
}

static void flood(uint8_t *mask, int *box, int *area, int x, int y) {
    if (x < 0 || y < 0 || x >= W || y >= H || mask[y * W + x] == 0) return;
    mask[y * W + x] = 0;
    ++*area;
    if (x < box[0]) box[0] = x;
    if (y < box[1]) box[1] = y;
    if (x >= box[2]) box[2] = x + 1;
    if (y >= box[3]) box[3] = y + 1;
    for (int d = 0; d < 9; d++) flood(mask, box, area, x + d % 3 - 1, y + d / 3 - 1);
}

Test(eval_truth, components_are_the_flood_filled_ones) {
    for (uint64_t seed = 1; seed <= 200; seed++) {
        sac_rng rng;
        sac_rng_seed(&rng, seed, 0);
        uint8_t masks[3][H * W];
        const double density = 0.05 + 0.9 * sac_rng_uniform(&rng);
        for (int i = 0; i < 3 * H * W; i++)
            (&masks[0][0])[i] = (uint8_t)(sac_rng_uniform(&rng) < density ? 1 + i % 255 : 0);
        const int least = 1 + (int)sac_rng_below(&rng, 4);
        sac_truth truth;
        sac_error error = {0};
        const sac_mask_options options = {.min_area = least, .join_px = -1};
        const sac_mask_options *used = &options;
        sac_assert_ok(sac_truth_from_masks(&truth, masks[0], 3, W, H, used, &error), &error);
        int64_t expected = 0;
        for (int t = 0; t < 3; t++)
            for (int i = 0; i < H * W; i++) {
                int box[4] = {W, H, 0, 0}, area = 0, matches = 0;
                flood(masks[t], box, &area, i % W, i / W);
                if (area < least) continue;
                expected++;
                for (int64_t k = 0; k < truth.count; k++) {
                    const sac_truth_region *r = &truth.regions[k];
                    matches += r->frame == t && (int)r->x1 == box[0] && (int)r->y1 == box[1] &&
                               (int)r->x2 == box[2] && (int)r->y2 == box[3];
                }
                cr_assert_geq(matches, 1, "seed %d: no box %d %d %d %d", (int)seed, box[0], box[1],
                              box[2], box[3]);
            }
        cr_assert_eq(truth.count, expected, "seed %d", (int)seed);
        // No track twice in a frame, and none without a region.
        for (int64_t k = 0; k < truth.tracks; k++) {
            int64_t in[3] = {0};
            for (int64_t i = 0; i < truth.count; i++)
                if (truth.regions[i].track == k) in[truth.regions[i].frame]++;
            cr_assert(in[0] <= 1 && in[1] <= 1 && in[2] <= 1 && in[0] + in[1] + in[2] > 0);
        }
        sac_truth_close(&truth);
    }
}

Test(eval_truth, bad_masks) {
    static uint8_t mask[H * W];
    sac_truth truth;
    cr_assert_eq(sac_truth_from_masks(NULL, mask, 1, W, H, NULL, NULL), SAC_ERROR_ARGUMENT);
    cr_assert_eq(sac_truth_from_masks(&truth, NULL, 1, W, H, NULL, NULL), SAC_ERROR_ARGUMENT);
    cr_assert_eq(sac_truth_from_masks(&truth, mask, -1, W, H, NULL, NULL), SAC_ERROR_ARGUMENT);
    cr_assert_eq(sac_truth_from_masks(&truth, mask, 1, 0, H, NULL, NULL), SAC_ERROR_ARGUMENT);
    cr_assert_eq(sac_truth_from_masks(&truth, mask, 1, W, 20000, NULL, NULL), SAC_ERROR_ARGUMENT);
    const sac_mask_options bad[] = {{0, 0, 0}, {1, -2, 0}, {1, 1025, 0}, {1, 0, -1}, {1, 0, 10001}};
    for (int i = 0; i < 5; i++)
        cr_assert_eq(sac_truth_from_masks(&truth, mask, 1, W, H, &bad[i], NULL),
                     SAC_ERROR_ARGUMENT);
    cr_assert_eq(sac_truth_from_masks(&truth, NULL, 0, W, H, NULL, NULL), SAC_OK);
    cr_assert_eq(truth.count, 0);
}

// ---- track files -------------------------------------------------------------------------------

static sac_status parse(sac_truth *truth, const char *text, int first, sac_error *error) {
    return sac_truth_parse(truth, text, strlen(text), "Test001.txt", 10, first, error);
}

Test(eval_truth, track_files) {
    static const char *const same[] = {
        "7,0,1,2,3,4\n-2,3,10,20,30.5,40\n7,1,1,2,3,4\n",
        "\xEF\xBB\xBFtrack_id,frame,x1,y1,x2,y2\r\n7, 1, 1, 2, 3, 4\r\n\r\n"
        "7,0,1,2,3,4\r\n-2,3,10,20,30.5,40\r\n",
        "7 0 1 2 3 4\n  7\t1\t1.0 2 3 4 \n-2 3 1e1 20 30.5 40",
    };
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        sac_truth truth;
        sac_error error = {0};
        sac_assert_ok(parse(&truth, same[i], 0, &error), &error);
        cr_assert(truth.count == 3 && truth.tracks == 2 && truth.frames == 10);
        expect_box(&truth.regions[0], 0, 1, 1, 2, 3, 4);
        expect_box(&truth.regions[1], 1, 1, 1, 2, 3, 4);
        expect_box(&truth.regions[2], 3, 0, 10, 20, 30, 40);
        cr_assert_float_eq(truth.regions[2].x2, 30.5f, 1e-6f);
        sac_truth_close(&truth);
    }
    sac_truth truth;
    sac_error error = {0};
    sac_assert_ok(parse(&truth, "1,1,0,0,5,5\n1,10,0,0,5,5\n", 1, &error), &error);
    expect_box(&truth.regions[1], 9, 0, 0, 0, 5, 5);
    sac_truth_close(&truth);
    sac_assert_ok(parse(&truth, "", 0, &error), &error);
    cr_assert(truth.count == 0 && truth.tracks == 0 && truth.frames == 10);
    // From a file, and none there.
    const char *path = sac_test_write_text("Test001.txt", same[0]);
    sac_assert_ok(sac_truth_read(&truth, path, 10, 0, &error), &error);
    cr_assert_eq(truth.count, 3);
    sac_truth_close(&truth);
    sac_assert_error(sac_truth_read(&truth, sac_test_path("none.txt"), 10, 0, &error), SAC_ERROR_IO,
                     &error, "none.txt", NULL);
}

Test(eval_truth, bad_track_files) {
    static const struct {
        const char *text, *says;
        int first;
    } bad[] = {
        {"1,0,0,0,5\n", "line 1", 0},         {"1,0,0,0,5,5\n1,0,0,0,5,5,6\n", "line 2", 0},
        {"1,0,0,0,5,5,\n", "six numbers", 0}, {"1,0,0,0,,5\n", "line 1", 0},
        {"a,0,0,0,5,5\n", "track 'a'", 0},    {"1.5,0,0,0,5,5\n", "track '1.5'", 0},
        {"1,10,0,0,5,5\n", "frame '10'", 0},  {"1,-1,0,0,5,5\n", "from 0 to 9", 0},
        {"1,0,0,0,5,5\n", "from 1 to 10", 1}, {"1,0,nan,0,5,5\n", "'nan'", 0},
        {"1,0,0,0,5,1e7\n", "'1e7'", 0},      {"1,0,5,0,5,5\n", "empty box", 0},
        {"1,0,0,6,5,5\n", "empty box", 0},    {"1,0,999999.99,0,999999.991,5\n", "empty box", 0},
        {"x\ntrack_id,frame\n", "line 1", 0}, {"99999999999999999999,0,0,0,5,5\n", "track", 0},
        {"1,0,0x1,0,5,5\n", "'0x1'", 0},      {"{\"a\": 1}\n", "line 1", 0},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        sac_truth truth;
        sac_error error = {0};
        sac_assert_error(parse(&truth, bad[i].text, bad[i].first, &error), SAC_ERROR_FORMAT, &error,
                         "Test001.txt", bad[i].says, NULL);
        cr_assert(truth.regions == NULL && truth.count == 0);
    }
    sac_truth truth;
    sac_error error = {0};
    sac_assert_error(sac_truth_parse(&truth, "1,0\0,0,0,5,5", 12, "x", 10, 0, &error),
                     SAC_ERROR_FORMAT, &error, "zero byte", NULL);
    cr_assert_eq(sac_truth_parse(&truth, "", 0, "x", 10, 2, NULL), SAC_ERROR_ARGUMENT);
    cr_assert_eq(sac_truth_parse(&truth, "", 0, "x", -1, 0, NULL), SAC_ERROR_ARGUMENT);
}

Test(eval_truth, allocation_failures) {
    static uint8_t masks[40][H * W];
    for (int t = 0; t < 40; t++)
        for (int k = 0; k < 4; k++) paint(masks[t], 6 * k, t % 4, 3, 5);
    static char text[4000];
    size_t used = 0;
    for (int i = 0; i < 100; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "%d,%d,0,0,5,5\n", i, i % 10);
    const sac_mask_options strict = {.min_area = 1};
    bool done = false;
    for (int64_t n = 0; n < 200 && !done; n++) {
        sac_truth a = {0}, b = {0};
        sac_memory_fail_after(n);
        sac_status status = sac_truth_from_masks(&a, masks[0], 40, W, H, &strict, NULL);
        if (status >= 0) status = parse(&b, text, 0, NULL);
        sac_memory_fail_after(-1);
        done = status == SAC_OK;
        cr_assert(done || status == SAC_ERROR_MEMORY);
        if (done) cr_assert(a.count == 160 && a.tracks == 4 && b.count == 100 && b.tracks == 100);
        sac_truth_close(&a);
        sac_truth_close(&b);
    }
    cr_assert(done);
}

// Two objects of one mask sequence, of which 3 is abnormal in frames 1..2 and 5 in frame 2.
Test(eval_truth, objects_told_apart) {
    enum { OW = 20, OH = 10 };
    const sac_span spans[] = {{5, 2, 2}, {3, 1, 2}};
    uint8_t ids[3][OH * OW] = {0};
    sac_error error = {0};
    sac_truth_tracer *tracer = NULL;
    sac_truth truth = {0};
    for (int t = 0; t < 3; t++) {
        for (int i = 0; i < 12; i++) ids[t][(2 + i / 4) * OW + 3 + t + i % 4] = 3;
        ids[t][9 * OW + 19] = 3; // another part of it, smaller
        for (int i = 0; i < 4; i++) ids[t][(7 + i / 2) * OW + 1 + i % 2] = 5;
    }
    sac_assert_ok(sac_truth_tracer_create(&tracer, OW, OH, NULL, &error), &error);
    for (int t = 0; t < 3; t++)
        sac_assert_ok(sac_truth_tracer_objects(tracer, ids[t], spans, 2, &error), &error);
    sac_assert_error(sac_truth_tracer_mask(tracer, ids[0], &error), SAC_ERROR_ARGUMENT, &error,
                     "mixed", NULL);
    sac_truth_tracer_finish(&truth, &tracer, 2.0f, 3.0f);
    cr_assert_null(tracer);
    cr_assert(truth.frames == 3 && truth.count == 3 && truth.tracks == 2);
    const sac_truth_region expected[] = {
        {1, 1, 8, 6, 16, 15}, {2, 0, 2, 21, 6, 27}, {2, 1, 10, 6, 18, 15}};
    for (int i = 0; i < 3; i++) {
        const sac_truth_region *r = &truth.regions[i], *e = &expected[i];
        cr_assert(r->frame == e->frame && r->track == e->track, "region %d", i);
        cr_assert(r->x1 == e->x1 && r->y1 == e->y1 && r->x2 == e->x2 && r->y2 == e->y2,
                  "region %d: %g %g %g %g", i, (double)r->x1, (double)r->y1, (double)r->x2,
                  (double)r->y2);
    }
    sac_truth_close(&truth);
    sac_truth_tracer_close(&tracer);
    sac_truth_tracer_close(NULL);
    error = (sac_error){0};
    sac_assert_error(sac_truth_tracer_create(&tracer, 0, 5, NULL, &error), SAC_ERROR_ARGUMENT,
                     &error, "0x5", NULL);
}
