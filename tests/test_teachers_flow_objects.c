// Objects from optical flow: a thing that moves over still, noisy and restless ground, boxes that
// are known already, short and small clips, bad arguments.
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "core/memory.h"
#include "core/rng.h"
#include "helper.h"
#include "teachers/flow_objects.h"

enum { W = 120, H = 80, FRAMES = 36, SIDE = 20, TOP = 30 };

// Fixed random gray levels, smooth over a few pixels.
static double ground(int x, int y) {
    return 110 + 25 * sin(0.45 * x + 0.2 * y) + 25 * cos(0.33 * y - 0.27 * x) +
           15 * sin(0.9 * x * 0.7 + 1.1 * y);
}

static double left_of(int t, double speed) {
    return 4 + speed * t;
}

// A square of its own texture that moves right by `speed` px a frame from x = 4; above it, if
// `restless`, a strip of the ground that swings to and fro by two pixels all the time.
static uint8_t *scene(double speed, bool restless, double noise) {
    uint8_t *pixels = sac_calloc((int64_t)W * H * FRAMES, 1);
    sac_rng rng;
    sac_rng_seed(&rng, 12, 0);
    for (int t = 0; t < FRAMES; t++) {
        for (int y = 0; y < H; y++) {
            for (int x = 0; x < W; x++) {
                double value = ground(restless && y < 20 ? x + t % 2 * 2 : x, y);
                const double sx = x - left_of(t, speed);
                if (speed > 0 && sx >= 0 && sx < SIDE && y >= TOP && y < TOP + SIDE) {
                    value = 130 + 50 * sin(0.8 * sx) * cos(0.7 * y);
                }
                value += noise * sac_rng_normal(&rng);
                pixels[((int64_t)t * H + y) * W + x] = (uint8_t)lround(fmin(fmax(value, 0), 255));
            }
        }
    }
    return pixels;
}

static sac_box truth(int t, double speed) {
    const float left = (float)left_of(t, speed);
    return (sac_box){left, TOP, left + SIDE, TOP + SIDE, 1, -1};
}

static sac_detections detect(const uint8_t *pixels, double threshold, const sac_detections *known) {
    sac_detections d = {0};
    sac_error error = {0};
    sac_assert_ok(sac_flow_objects_detect(&d, pixels, FRAMES, W, H, threshold, 40, known, &error),
                  &error);
    cr_assert_eq(d.frames, FRAMES);
    cr_assert_eq(d.start[FRAMES], d.count);
    for (int64_t i = 0; i < d.count; i++) {
        const sac_box *b = &d.boxes[i];
        cr_assert(b->x1 >= 0 && b->y1 >= 0 && b->x2 <= W && b->y2 <= H && b->x1 < b->x2 &&
                  b->y1 < b->y2);
        cr_assert(b->confidence > 0.5f && b->confidence < 1 && b->class_id == -1);
    }
    return d;
}

// Mean confidence of the square's boxes; fails unless it is found in nearly every frame and nothing
// else is.
static double expect_square(const sac_detections *d, double speed) {
    int hits = 0, others = 0;
    double confidence = 0;
    for (int t = 0; t < FRAMES; t++) {
        const sac_box expected = truth(t, speed);
        double best = 0;
        for (int64_t i = d->start[t]; i < d->start[t + 1]; i++) {
            const double iou = sac_box_overlap(&expected, &d->boxes[i], NULL);
            if (iou > best) best = iou;
            if (iou < 0.3) others++;
            if (iou >= 0.5) confidence += d->boxes[i].confidence;
        }
        hits += best >= 0.5;
    }
    cr_assert(hits >= FRAMES - 2 && others <= 1, "speed %g: %d of %d frames, %d other boxes", speed,
              hits, FRAMES, others);
    return confidence / hits;
}

Test(teachers_flow_objects, finds_what_moves) {
    double confidence[2];
    for (int i = 0; i < 2; i++) {
        const double speed = i == 0 ? 1 : 2.5;
        uint8_t *pixels = scene(speed, false, 2);
        sac_detections d = detect(pixels, 0.4, NULL), again = detect(pixels, 0.4, NULL);
        confidence[i] = expect_square(&d, speed);
        // The same clip gives the same boxes.
        cr_assert_eq(d.count, again.count);
        cr_assert(memcmp(d.boxes, again.boxes, (size_t)d.count * sizeof *d.boxes) == 0);
        sac_detections_close(&d);
        sac_detections_close(&again);
        sac_free(pixels);
    }
    cr_assert_gt(confidence[1], confidence[0] + 0.05, "%g when slow, %g when fast", confidence[0],
                 confidence[1]);
}

Test(teachers_flow_objects, threshold_and_area_count) {
    uint8_t *pixels = scene(1, false, 2);
    sac_detections d = detect(pixels, 1.5, NULL);
    cr_assert_eq(d.count, 0, "slower than the threshold: %d boxes", (int)d.count);
    sac_detections_close(&d);
    sac_error error = {0};
    sac_assert_ok(sac_flow_objects_detect(&d, pixels, FRAMES, W, H, 0.4, 2000, NULL, &error),
                  &error);
    cr_assert_eq(d.count, 0, "smaller than the least area: %d boxes", (int)d.count);
    sac_detections_close(&d);
    sac_free(pixels);
}

Test(teachers_flow_objects, restless_ground_is_noise) {
    uint8_t *pixels = scene(2, true, 2);
    sac_detections d = detect(pixels, 0.4, NULL);
    expect_square(&d, 2);
    sac_detections_close(&d);
    sac_free(pixels);
}

Test(teachers_flow_objects, still_clips_have_none) {
    uint8_t *pixels = scene(0, false, 3);
    sac_detections d = detect(pixels, 0.4, NULL);
    cr_assert_eq(d.count, 0, "%d boxes", (int)d.count);
    cr_assert_not_null(d.boxes);
    sac_detections_close(&d);
    sac_free(pixels);
}

Test(teachers_flow_objects, known_boxes_are_blacked_out) {
    uint8_t *pixels = scene(2, false, 2);
    sac_box boxes[FRAMES];
    int64_t start[FRAMES + 1] = {0};
    // The square is known in the second half; one box reaches out of the picture.
    for (int t = 0; t < FRAMES; t++) {
        start[t + 1] = t < FRAMES / 2 ? 0 : start[t] + 1;
        if (t >= FRAMES / 2) boxes[start[t]] = truth(t, 2);
    }
    boxes[0].y1 = -30;
    const sac_detections known = {
        .frames = FRAMES, .count = start[FRAMES], .start = start, .boxes = boxes};
    sac_detections d = detect(pixels, 0.4, &known);
    cr_assert_geq(d.start[FRAMES / 2], FRAMES / 2 - 1, "%d boxes in the first half",
                  (int)d.start[FRAMES / 2]);
    cr_assert_eq(d.count, d.start[FRAMES / 2], "%d boxes beside the known ones",
                 (int)(d.count - d.start[FRAMES / 2]));
    sac_detections_close(&d);
    sac_free(pixels);
}

Test(teachers_flow_objects, short_clips) {
    uint8_t *pixels = scene(2, false, 0);
    for (int frames = 1; frames < 4; frames++) {
        sac_detections d = {0};
        sac_error error = {0};
        sac_assert_ok(sac_flow_objects_detect(&d, pixels, frames, W, H, 0.4, 40, NULL, &error),
                      &error);
        cr_assert(d.frames == frames && d.start[frames] == d.count);
        if (frames == 1) cr_assert_eq(d.count, 0);
        sac_detections_close(&d);
    }
    sac_free(pixels);
}

Test(teachers_flow_objects, refuses_bad_arguments) {
    uint8_t *pixels = scene(1, false, 0);
    sac_detections d = {0};
    static const struct {
        int64_t frames;
        double threshold, area;
    } cases[] = {{0, 0.4, 40}, {3, 0, 40},        {3, -1, 40},  {3, NAN, 40},
                 {3, 0.4, 0},  {3, INFINITY, 40}, {3, 0.4, NAN}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        sac_error error = {0};
        sac_assert_error(sac_flow_objects_detect(&d, pixels, cases[i].frames, W, H,
                                                 cases[i].threshold, cases[i].area, NULL, &error),
                         SAC_ERROR_ARGUMENT, &error, "threshold above 0", NULL);
        cr_assert_null(d.boxes);
    }
    sac_error error = {0};
    sac_assert_error(sac_flow_objects_detect(&d, pixels, 3, 7, 40, 0.4, 40, NULL, &error),
                     SAC_ERROR_ARGUMENT, &error, "7x40", NULL);
    cr_assert_null(d.start);
    int64_t start[3] = {0};
    const sac_detections known = {.frames = 2, .start = start};
    error = (sac_error){0};
    sac_assert_error(sac_flow_objects_detect(&d, pixels, 3, W, H, 0.4, 40, &known, &error),
                     SAC_ERROR_ARGUMENT, &error, "3 frames", "2 frames", NULL);
    sac_free(pixels);
}

Test(teachers_flow_objects, allocation_failures) {
    uint8_t *pixels = scene(2, false, 0);
    bool worked = false;
    int64_t n = 0;
    for (; n < 300 && !worked; n++) {
        sac_detections d = {0};
        sac_error error = {0};
        sac_memory_fail_after(n);
        const sac_status status =
            sac_flow_objects_detect(&d, pixels, 3, W, H, 0.4, 40, NULL, &error);
        sac_memory_fail_after(-1);
        worked = status == SAC_OK;
        if (!worked) {
            cr_assert_eq(status, SAC_ERROR_MEMORY, "after %d allocations", (int)n);
            cr_assert(d.boxes == NULL && d.start == NULL);
        }
        sac_detections_close(&d);
    }
    cr_assert(worked && n > 20);
    sac_free(pixels);
}
