// Boxes from CSV tables, the motion detector, their combination, and the cache of detections.
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "core/file.h"
#include "core/memory.h"
#include "core/rng.h"
#include "helper.h"
#include "teachers/detections.h"
#include "teachers/motion.h"

static sac_detector *open_detector(const char *specification) {
    sac_detector *detector = NULL;
    sac_detector_options options = sac_detector_default_options();
    sac_error error = {0};
    sac_assert_ok(sac_detector_open(&detector, specification, &options, &error), &error);
    return detector;
}

Test(teachers_detections, overlap) {
    sac_box a = {0, 0, 4, 4, 1, -1}, b = {2, 2, 6, 6, 1, -1}, c = {9, 9, 10, 10, 1, -1};
    double inside = -1;
    cr_assert_float_eq(sac_box_overlap(&a, &b, &inside), 4.0 / 28, 1e-12);
    cr_assert_float_eq(inside, 0.25, 1e-12);
    cr_assert_eq(sac_box_overlap(&a, &c, &inside), 0);
    cr_assert_eq(inside, 0);
    cr_assert_eq(sac_box_overlap(&a, &a, NULL), 1);
}

Test(teachers_detections, tables_are_joined) {
    const char *first =
        sac_test_write_text("first.csv", "clip,frame,x1,y1,x2,y2,confidence\n"
                                         "B,3,1,1,5,5,0.9\n"
                                         "A,1,1,2,3,4,0.9\n"
                                         "A,4,-3,2,3,400,0.8\n" // cut to the picture
                                         "A,4,1,1,9,9,0.3\n"    // below the confidence
                                         "A,2,10,10,20,20,0.7\n");
    char *second_text = NULL, *specification = NULL;
    const char *second = sac_test_write_text("second.csv", "frame,y1,x1,y2,x2,clip,note,class\r\n"
                                                           "4,5,6,7,8,A,late,3\r\n"
                                                           "1,2,1,4,3,A,the same again,3\r\n");
    specification = sac_format("boxes:%s,boxes:%s", first, second);
    sac_detector *detector = open_detector(specification);
    cr_assert_str_eq(sac_detector_text(detector), "boxes:first.csv,boxes:second.csv");
    char name[] = "A";
    sac_clip clip = {.name = name, .frames = 5};
    sac_detections d = {0};
    sac_error error = {0};
    sac_assert_ok(sac_detector_run(detector, &d, &clip, NULL, 40, 30, &error), &error);
    cr_assert_eq(d.count, 4);
    const int64_t start[] = {0, 1, 2, 2, 4, 4};
    for (int t = 0; t <= 5; t++) cr_assert_eq(d.start[t], start[t], "start of frame %d", t);
    cr_assert(d.boxes[2].x1 == 0 && d.boxes[2].y2 == 30 && d.boxes[2].x2 == 3);
    cr_assert_float_eq(d.boxes[2].confidence, 0.8, 1e-6);
    cr_assert(d.boxes[3].x1 == 6 && d.boxes[3].y1 == 5 && d.boxes[3].class_id == 3);
    cr_assert_eq(d.boxes[3].confidence, 1.0f);
    sac_detections_close(&d);
    char other[] = "C";
    clip.name = other;
    sac_assert_error(sac_detector_run(detector, &d, &clip, NULL, 40, 30, &error), SAC_ERROR_FORMAT,
                     &error, "clip C", "first.csv", NULL);
    cr_assert_null(d.boxes);
    error = (sac_error){0};
    clip.name = name;
    clip.frames = 3;
    sac_assert_error(sac_detector_run(detector, &d, &clip, NULL, 40, 30, &error), SAC_ERROR_FORMAT,
                     &error, "first.csv", "line 4", "frame 4", "3 frames", NULL);
    error = (sac_error){0};
    clip.frames = 5;
    sac_assert_error(sac_detector_run(detector, &d, &clip, NULL, 9, 9, &error), SAC_ERROR_FORMAT,
                     &error, "line 6", "outside the 9x9", NULL);
    sac_detector_close(&detector);
    sac_detector_close(&detector);
    sac_free(specification);
    sac_free(second_text);
}

// Parts of larger boxes go, what is merely near, alone or of another scale stays.
Test(teachers_detections, nested_boxes_are_dropped) {
    const char *path = sac_test_write_text("nested.csv", "clip,frame,x1,y1,x2,y2\n"
                                                         "scene,1,10,10,22,40\n" // a person
                                                         "scene,1,11,34,22,40\n" // its feet
                                                         "scene,1,9,30,24,41\n"  // half as large
                                                         "scene,1,14,20,16,22\n" // 90 times less
                                                         "scene,1,18,34,30,40\n" // half outside
                                                         "scene,2,11,34,22,40\n" // nothing around
                                                         "scene,2,60,60,62,62\n");
    const sac_clip clip = {.name = (char *)"scene", .frames = 2};
    uint8_t *pixels = sac_calloc(2 * 80 * 80, 1);
    char *specification = sac_format("boxes:%s", path);
    for (int on = 0; on < 2; on++) {
        sac_detector_options options = sac_detector_default_options();
        cr_assert_eq(options.drop_nested, 0.8);
        if (on == 0) options.drop_nested = 0;
        sac_detector *detector = NULL;
        sac_detections d;
        sac_error error = {0};
        sac_assert_ok(sac_detector_open(&detector, specification, &options, &error), &error);
        sac_assert_ok(sac_detector_run(detector, &d, &clip, pixels, 80, 80, &error), &error);
        cr_assert_eq(d.count, on == 0 ? 7 : 6);
        cr_assert_eq(d.start[1], on == 0 ? 5 : 4);
        cr_assert_eq(d.start[2], d.count);
        cr_assert_eq(d.boxes[1].y1, on == 0 ? 34 : 30, "the feet");
        sac_detections_close(&d);
        sac_detector_close(&detector);
    }
    sac_detector_options bad = sac_detector_default_options();
    bad.drop_nested = 1.5;
    sac_detector *detector = NULL;
    sac_error error = {0};
    sac_assert_error(sac_detector_open(&detector, specification, &bad, &error), SAC_ERROR_ARGUMENT,
                     &error, "nested", NULL);
    sac_free(specification);
    sac_free(pixels);
}

Test(teachers_detections, refuses_bad_tables) {
    static const struct {
        const char *text, *word, *place;
    } cases[] = {
        {"clip,frame,x1,y1,x2\nA,1,1,1,2\n", "'y2'", "line 1"},
        {"clip,frame,x1,y1,x2,y2\nA,0,1,1,2,2\n", "frame", "line 2"},
        {"clip,frame,x1,y1,x2,y2\nA,1,1,1,2,2\nA,1.5,1,1,2,2\n", "frame", "line 3"},
        {"clip,frame,x1,y1,x2,y2\nA,1,1,1,nan,2\n", "x2", "line 2"},
        {"clip,frame,x1,y1,x2,y2\nA,1,5,1,2,2\n", "empty", "line 2"},
        {"clip,frame,x1,y1,x2,y2\nA,1,1,1,2,1e30\n", "y2", "line 2"},
        {"clip,frame,x1,y1,x2,y2,confidence\nA,1,1,1,2,2,1.5\n", "confidence", "line 2"},
        {"clip,frame,x1,y1,x2,y2,class\nA,1,1,1,2,2,person\n", "class", "line 2"},
        {"clip,frame,x1,y1,x2,y2\n,1,1,1,2,2\n", "clip name is empty", "line 2"},
        {"clip,frame,x1,y1,x2,y2\nA,1,1,1\n", "bad.csv", "2"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *specification = sac_format("boxes:%s", sac_test_write_text("bad.csv", cases[i].text));
        sac_detector *detector = NULL;
        sac_detector_options options = sac_detector_default_options();
        sac_error error = {0};
        sac_assert_error(sac_detector_open(&detector, specification, &options, &error),
                         SAC_ERROR_FORMAT, &error, "bad.csv", cases[i].word, cases[i].place, NULL);
        cr_assert_null(detector);
        sac_free(specification);
    }
}

Test(teachers_detections, refuses_bad_specifications) {
    static const char *const cases[] = {"",         "yolo",   "boxes:", "motion,",
                                        "motion:3", "Motion", "flow:2", "flows"};
    sac_detector *detector = NULL;
    sac_detector_options options = sac_detector_default_options();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        sac_error error = {0};
        sac_assert_error(sac_detector_open(&detector, cases[i], &options, &error),
                         SAC_ERROR_ARGUMENT, &error, "motion", "boxes:FILE.csv", NULL);
    }
    sac_error error = {0};
    sac_assert_error(sac_detector_open(&detector, "motion,motion", &options, &error),
                     SAC_ERROR_ARGUMENT, &error, "twice", NULL);
    error = (sac_error){0};
    sac_assert_error(sac_detector_open(&detector, "flow,motion,flow", &options, &error),
                     SAC_ERROR_ARGUMENT, &error, "'flow' given twice", NULL);
    error = (sac_error){0};
    options.flow_threshold = 0;
    sac_assert_error(sac_detector_open(&detector, "flow", &options, &error), SAC_ERROR_ARGUMENT,
                     &error, "flow thresholds above 0", NULL);
    options = sac_detector_default_options();
    error = (sac_error){0};
    sac_assert_error(sac_detector_open(&detector, "boxes:/nowhere/x.csv", &options, &error),
                     SAC_ERROR_IO, &error, "/nowhere/x.csv", NULL);
    error = (sac_error){0};
    options.min_area_px = NAN;
    sac_assert_error(sac_detector_open(&detector, "motion", &options, &error), SAC_ERROR_ARGUMENT,
                     &error, "out of range", NULL);
}

// A scene of upright rectangles ("people") walking right over a textured ground.
enum { W = 160, H = 100, FRAMES = 60, PEOPLE = 4 };

typedef struct person {
    int y, h, w, speed, phase, shade; // y: top
} person;

static const person people[PEOPLE] = {{10, 20, 9, 1, 0, 200},
                                      {35, 22, 10, 2, 40, 30},
                                      {65, 25, 11, 2, 90, 220},
                                      {66, 24, 11, 1, 20, 25}};

static void place(const person *p, int t, int *x1, int *x2) {
    *x1 = (p->phase + p->speed * t) % (W + 40) - 20;
    *x2 = *x1 + p->w;
}

static uint8_t *walking_scene(bool cut_in_half, bool joined) {
    uint8_t *pixels = sac_calloc((int64_t)W * H * FRAMES, 1);
    sac_rng rng;
    sac_rng_seed(&rng, 8, 0);
    for (int t = 0; t < FRAMES; t++) {
        uint8_t *frame = pixels + (int64_t)t * W * H;
        for (int p = 0; p < W * H; p++) {
            frame[p] = (uint8_t)(100 + (p * 13 + p / W * 7) % 20 + sac_rng_below(&rng, 5));
        }
        for (int i = 0; i < PEOPLE; i++) {
            int x1, x2;
            place(&people[i], t, &x1, &x2);
            int copies = joined && i == 2 ? 3 : 1; // three abreast, touching
            for (int y = people[i].y; y < people[i].y + people[i].h; y++) {
                int from = y - people[i].y;
                // A belt of the ground's colour cuts the second person in two.
                if (cut_in_half && i == 1 && from >= 10 && from < 14) continue;
                for (int x = x1; x < x1 + copies * (x2 - x1); x++) {
                    if (x >= 0 && x < W) frame[y * W + x] = (uint8_t)people[i].shade;
                }
            }
        }
    }
    return pixels;
}

// Part of the true boxes wholly inside the picture that a detection meets with IoU >= 0.5.
static double recall(const sac_detections *d, int copies_of_third) {
    int hits = 0, all = 0;
    for (int t = 0; t < FRAMES; t++) {
        for (int i = 0; i < PEOPLE; i++) {
            int x1, x2;
            place(&people[i], t, &x1, &x2);
            for (int k = 0; k < (i == 2 ? copies_of_third : 1); k++) {
                int left = x1 + k * (x2 - x1), right = left + (x2 - x1);
                if (left < 0 || right > W) continue;
                if (copies_of_third > 1 && i == 3) continue; // walks through the group
                sac_box truth = {(float)left,
                                 (float)people[i].y,
                                 (float)right,
                                 (float)(people[i].y + people[i].h),
                                 1,
                                 -1};
                all++;
                double best = 0;
                for (int64_t b = d->start[t]; b < d->start[t + 1]; b++) {
                    best = fmax(best, sac_box_overlap(&truth, &d->boxes[b], NULL));
                }
                hits += best >= 0.5;
            }
        }
    }
    cr_assert_gt(all, 50);
    return (double)hits / all;
}

Test(teachers_detections, motion_finds_walkers) {
    uint8_t *pixels = walking_scene(false, false);
    sac_detections d = {0};
    sac_error error = {0};
    sac_assert_ok(sac_motion_detect(&d, pixels, FRAMES, W, H, 14, 40, NULL, &error), &error);
    double found = recall(&d, 1);
    cr_assert_gt(found, 0.85, "recall %g", found);
    cr_assert_lt(d.count, FRAMES * (PEOPLE + 2), "%d boxes", (int)d.count);
    for (int64_t i = 0; i < d.count; i++) {
        const sac_box *b = &d.boxes[i];
        cr_assert(b->x1 >= 0 && b->y1 >= 0 && b->x2 <= W && b->y2 <= H && b->x1 < b->x2);
        cr_assert(b->confidence > 0.4f && b->confidence <= 1 && b->class_id == -1);
    }
    sac_detections_close(&d);
    sac_free(pixels);
}

Test(teachers_detections, motion_merges_and_splits_by_size) {
    uint8_t *plain = walking_scene(false, false);
    sac_size_samples samples = {0};
    sac_person_size size = {0};
    sac_error error = {0};
    sac_assert_ok(sac_motion_learn(&samples, plain, FRAMES, W, H, 14, 40, &error), &error);
    sac_assert_ok(sac_person_size_fit(&size, &samples), &error);
    double w = 0, h = 0;
    sac_person_size_at(&size, 60, &w, &h);
    cr_assert(h > 18 && h < 27 && w > 7 && w < 14, "person of %gx%g", w, h);
    uint8_t *hard = walking_scene(true, true);
    sac_detections with = {0}, without = {0};
    sac_person_size nothing = {0}; // knows no sizes: neither merges nor splits
    sac_assert_ok(sac_motion_detect(&with, hard, FRAMES, W, H, 14, 40, &size, &error), &error);
    sac_assert_ok(sac_motion_detect(&without, hard, FRAMES, W, H, 14, 40, &nothing, &error),
                  &error);
    double good = recall(&with, 3), poor = recall(&without, 3);
    cr_assert_gt(good, 0.8, "recall %g", good);
    cr_assert_lt(poor, 0.6, "recall without sizes %g: the scene is too easy to check anything",
                 poor);
    sac_detections_close(&with);
    sac_detections_close(&without);
    sac_size_samples_close(&samples);
    sac_free(plain);
    sac_free(hard);
}

Test(teachers_detections, motion_fills_what_boxes_leave) {
    uint8_t *pixels = walking_scene(false, false);
    // The table knows the first person only.
    char *table = sac_strdup("clip,frame,x1,y1,x2,y2\n");
    for (int t = 0; t < FRAMES; t++) {
        int x1, x2;
        place(&people[0], t, &x1, &x2);
        if (x1 < 0 || x2 > W) continue;
        char *longer = sac_format("%sscene,%d,%d,10,%d,30\n", table, t + 1, x1, x2);
        sac_free(table);
        table = longer;
    }
    char *specification = sac_format("motion,boxes:%s", sac_test_write_text("one.csv", table));
    sac_detector *detector = open_detector(specification);
    cr_assert_str_eq(sac_detector_text(detector), "boxes:one.csv,motion");
    char name[] = "scene";
    sac_clip clip = {.name = name, .frames = FRAMES};
    sac_error error = {0};
    sac_assert_ok(sac_detector_learn(detector, pixels, FRAMES, W, H, &error), &error);
    sac_detections d = {0};
    sac_assert_ok(sac_detector_run(detector, &d, &clip, pixels, W, H, &error), &error);
    double found = recall(&d, 1);
    cr_assert_gt(found, 0.85, "recall %g", found);
    for (int t = 25; t < 50; t++) {
        cr_assert_eq(d.boxes[d.start[t]].confidence, 1.0f, "the table's box comes first");
        for (int64_t i = d.start[t] + 1; i < d.start[t + 1]; i++) {
            double inside = 0;
            double iou = sac_box_overlap(&d.boxes[i], &d.boxes[d.start[t]], &inside);
            cr_assert(iou < 0.3 && inside < 0.5, "frame %d: a blob repeats the table's box", t);
        }
    }
    sac_detections_close(&d);
    // A clip the table does not name is fine with motion.
    char other[] = "elsewhere";
    clip.name = other;
    sac_assert_ok(sac_detector_run(detector, &d, &clip, pixels, W, H, &error), &error);
    cr_assert_gt(d.count, 0);
    sac_detections_close(&d);
    sac_detector_close(&detector);
    sac_free(specification);
    sac_free(table);
    sac_free(pixels);
}

// The table knows the first person only, the flow finds others; what the table has is not repeated.
Test(teachers_detections, flow_fills_what_boxes_leave) {
    uint8_t *pixels = walking_scene(false, false);
    char *table = sac_strdup("clip,frame,x1,y1,x2,y2\n");
    for (int t = 0; t < FRAMES; t++) {
        int x1, x2;
        place(&people[0], t, &x1, &x2);
        if (x1 < 0 || x2 > W) continue;
        char *longer = sac_format("%sscene,%d,%d,10,%d,30\n", table, t + 1, x1, x2);
        sac_free(table);
        table = longer;
    }
    char *specification = sac_format("flow,boxes:%s", sac_test_write_text("first.csv", table));
    sac_detector *detector = open_detector(specification);
    cr_assert_str_eq(sac_detector_text(detector), "boxes:first.csv,flow");
    char name[] = "scene";
    sac_clip clip = {.name = name, .frames = FRAMES};
    sac_error error = {0};
    sac_assert_ok(sac_detector_learn(detector, pixels, FRAMES, W, H, &error), &error);
    sac_detections d = {0};
    sac_assert_ok(sac_detector_run(detector, &d, &clip, pixels, W, H, &error), &error);
    int found = 0, all = 0;
    for (int t = 25; t < 50; t++) {
        cr_assert_eq(d.boxes[d.start[t]].confidence, 1.0f, "the table's box comes first");
        int x1, x2;
        place(&people[1], t, &x1, &x2); // walks alone
        if (x1 < 0 || x2 > W) continue;
        sac_box truth = {(float)x1, 35, (float)x2, 57, 1, -1};
        all++;
        bool hit = false;
        for (int64_t i = d.start[t] + 1; i < d.start[t + 1]; i++) {
            double inside = 0;
            double iou = sac_box_overlap(&d.boxes[i], &d.boxes[d.start[t]], &inside);
            cr_assert(iou < 0.3 && inside < 0.5, "frame %d: the flow repeats the table's box", t);
            cr_assert(d.boxes[i].confidence >= 0.5f && d.boxes[i].confidence < 1);
            // Things without texture on weak ground: the box is right but wide.
            if (sac_box_overlap(&truth, &d.boxes[i], &inside) >= 0.3 && inside > 0.9) hit = true;
        }
        found += hit;
    }
    cr_assert(all >= 10 && found >= 0.8 * all, "%d of %d", found, all);
    sac_detections_close(&d);
    sac_detector_close(&detector);
    sac_free(specification);
    // Beside the motion detector the flow comes last.
    detector = open_detector("flow,motion");
    cr_assert_str_eq(sac_detector_text(detector), "motion,flow");
    sac_assert_ok(sac_detector_run(detector, &d, &clip, pixels, W, H, &error), &error);
    cr_assert_gt(recall(&d, 1), 0.85);
    sac_detections_close(&d);
    // Frames too small for the flow are named as such.
    sac_assert_error(sac_detector_run(detector, &d, &clip, pixels, 7, 7, &error),
                     SAC_ERROR_ARGUMENT, &error, "7x7", NULL);
    cr_assert_null(d.boxes);
    sac_detector_close(&detector);
    sac_free(table);
    sac_free(pixels);
}

Test(teachers_detections, motion_on_tiny_clips) {
    static const int sizes[][3] = {{1, 1, 1}, {17, 13, 2}, {2, 40, 9}};
    for (int s = 0; s < 3; s++) {
        int w = sizes[s][0], h = sizes[s][1], frames = sizes[s][2];
        uint8_t *pixels = sac_calloc((int64_t)w * h * frames, 1);
        for (int64_t i = 0; i < (int64_t)w * h * frames; i++) pixels[i] = (uint8_t)(i * 97);
        sac_detections d = {0};
        sac_error error = {0};
        sac_assert_ok(sac_motion_detect(&d, pixels, frames, w, h, 14, 40, NULL, &error), &error);
        cr_assert_eq(d.start[frames], d.count);
        sac_detections_close(&d);
        sac_free(pixels);
    }
}

Test(teachers_detections, cache_round_trip) {
    sac_box boxes[] = {{1.25f, 2, 3, 4.5f, 0.75f, -1}, {0, 0, 9, 9, 1, 7}};
    int64_t starts[3][4] = {{0, 1, 1, 2}, {0, 0, 0, 0}, {0, 2, 2, 2}};
    sac_detections d[3];
    const char *names[] = {"a", "empty", "c"};
    int64_t frames[] = {3, 3, 3};
    for (int i = 0; i < 3; i++) {
        d[i] = (sac_detections){
            .frames = 3, .count = starts[i][3], .start = starts[i], .boxes = boxes};
    }
    const char *path = sac_test_path("cache.safetensors");
    sac_error error = {0};
    sac_assert_ok(sac_detections_write(path, names, d, 3, "stamp 1", &error), &error);
    sac_detections back[3];
    sac_assert_ok(sac_detections_read(path, names, frames, back, 3, "stamp 1", &error), &error);
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(back[i].count, d[i].count);
        for (int t = 0; t <= 3; t++) cr_assert_eq(back[i].start[t], starts[i][t]);
        for (int64_t k = 0; k < d[i].count; k++) {
            cr_assert_eq(back[i].boxes[k].x1, boxes[k].x1);
            cr_assert_eq(back[i].boxes[k].y2, boxes[k].y2);
            cr_assert_eq(back[i].boxes[k].confidence, boxes[k].confidence);
            cr_assert_eq(back[i].boxes[k].class_id, boxes[k].class_id);
        }
        sac_detections_close(&back[i]);
    }
    sac_assert_error(sac_detections_read(path, names, frames, back, 3, "stamp 2", &error),
                     SAC_ERROR_FORMAT, &error, "cache.safetensors", "settings", NULL);
    error = (sac_error){0};
    frames[2] = 4;
    sac_assert_error(sac_detections_read(path, names, frames, back, 3, "stamp 1", &error),
                     SAC_ERROR_FORMAT, &error, "c.start", NULL);
    for (int i = 0; i < 3; i++) cr_assert_null(back[i].boxes);
    error = (sac_error){0};
    sac_assert_error(sac_detections_write("/nowhere/x", names, d, 3, "s", &error), SAC_ERROR_IO,
                     &error, "/nowhere", NULL);
}

Test(teachers_detections, allocation_failures) {
    uint8_t *pixels = walking_scene(false, false);
    const char *path = sac_test_write_text("few.csv", "clip,frame,x1,y1,x2,y2\nscene,1,1,1,9,9\n");
    char *specification = sac_format("boxes:%s,motion,flow", path);
    char name[] = "scene";
    sac_clip clip = {.name = name, .frames = 3};
    bool worked = false;
    for (int64_t n = 0; n < 400 && !worked; n++) {
        sac_detector *detector = NULL;
        sac_detections d = {0};
        sac_detector_options options = sac_detector_default_options();
        sac_memory_fail_after(n);
        sac_status status = sac_detector_open(&detector, specification, &options, NULL);
        if (status == SAC_OK) {
            status = sac_detector_run(detector, &d, &clip, pixels, W, H, NULL);
        }
        sac_memory_fail_after(-1);
        worked = status == SAC_OK;
        if (!worked) cr_assert_eq(status, SAC_ERROR_MEMORY, "after %d allocations", (int)n);
        sac_detections_close(&d);
        sac_detector_close(&detector);
    }
    cr_assert(worked);
    sac_free(specification);
    sac_free(pixels);
}
