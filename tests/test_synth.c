// The synthetic scene: repeatability, masks and labels of every anomaly kind, perspective, speeds,
// boxes, bad options. Writing data sets is tested in test_synth_write.c.
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "helper.h"
#include "video/synth.h"

TestSuite(synth);

static sac_synth_options small(void) {
    sac_synth_options o = sac_synth_default_options();
    o.width = 96;
    o.height = 64;
    o.frames_per_clip = 40;
    return o;
}

static sac_synth_scene *open_scene(const sac_synth_options *o, uint64_t clip,
                                   sac_synth_anomaly kind) {
    sac_synth_scene *scene = NULL;
    sac_status status = sac_synth_scene_create(&scene, o, clip, kind);
    cr_assert_eq(status, SAC_OK, "%s", sac_status_name(status));
    return scene;
}

static uint8_t *picture(const sac_synth_options *o) {
    uint8_t *pixels = sac_calloc((int64_t)o->width * o->height, 1);
    cr_assert_not_null(pixels);
    return pixels;
}

// All frames and masks of a clip, frames first.
static uint8_t *all_frames(const sac_synth_options *o, uint64_t clip, sac_synth_anomaly kind,
                           int64_t *bytes) {
    int64_t pixels = (int64_t)o->width * o->height;
    *bytes = 2 * pixels * o->frames_per_clip;
    uint8_t *all = sac_calloc(*bytes, 1);
    cr_assert_not_null(all);
    sac_synth_scene *scene = open_scene(o, clip, kind);
    for (int64_t t = 0; t < o->frames_per_clip; t++)
        cr_assert_eq(sac_synth_scene_render(scene, t, all + 2 * t * pixels,
                                            all + (2 * t + 1) * pixels, NULL),
                     SAC_OK);
    sac_synth_scene_close(&scene);
    cr_assert_null(scene);
    return all;
}

static int64_t differing(const uint8_t *a, const uint8_t *b, int64_t n) {
    int64_t count = 0;
    for (int64_t i = 0; i < n; i++) count += a[i] != b[i];
    return count;
}

Test(synth, names_and_defaults) {
    sac_synth_options o = sac_synth_default_options();
    cr_assert(o.width == 240 && o.height == 160 && o.train_clips == 6 && o.test_clips == 7);
    cr_assert(o.frames_per_clip == 120 && o.walkers == 14 && o.frame_rate == 10 && o.seed == 1);
    for (int a = 0; a < SAC_SYNTH_ANOMALY_COUNT; a++)
        for (int b = 0; b < a; b++)
            cr_assert_str_neq(sac_synth_anomaly_name((sac_synth_anomaly)a),
                              sac_synth_anomaly_name((sac_synth_anomaly)b));
    cr_assert_str_eq(sac_synth_anomaly_name(SAC_SYNTH_ANOMALY_COUNT), "unknown");
    cr_assert_str_eq(sac_synth_anomaly_name((sac_synth_anomaly)-1), "unknown");
}

Test(synth, same_options_same_bytes) {
    sac_synth_options o = small();
    int64_t n, pixels = (int64_t)o.width * o.height;
    uint8_t *first = all_frames(&o, 5, SAC_SYNTH_CYCLIST, &n);
    uint8_t *again = all_frames(&o, 5, SAC_SYNTH_CYCLIST, &n);
    cr_assert_eq(memcmp(first, again, (size_t)n), 0);
    uint8_t *clip = all_frames(&o, 6, SAC_SYNTH_CYCLIST, &n);
    o.seed = 2;
    uint8_t *seed = all_frames(&o, 5, SAC_SYNTH_CYCLIST, &n);
    cr_assert_gt(differing(first, clip, pixels), pixels / 2, "another clip looks the same");
    cr_assert_gt(differing(first, seed, pixels), pixels / 2, "another seed looks the same");
    // Clips share their stage, seeds do not: the mean picture of a clip shows it.
    double same = 0, other = 0;
    for (int64_t i = 0; i < pixels; i++) {
        double mean[3] = {0, 0, 0};
        for (int64_t t = 0; t < o.frames_per_clip; t++) {
            mean[0] += first[2 * t * pixels + i];
            mean[1] += clip[2 * t * pixels + i];
            mean[2] += seed[2 * t * pixels + i];
        }
        same += fabs(mean[0] - mean[1]);
        other += fabs(mean[0] - mean[2]);
    }
    cr_assert_gt(other, 1.5 * same, "stage of clips %g apart, of seeds %g", same, other);
    sac_free(first);
    sac_free(again);
    sac_free(clip);
    sac_free(seed);
}

Test(synth, frames_in_any_order) {
    sac_synth_options o = small();
    int64_t n, pixels = (int64_t)o.width * o.height;
    uint8_t *all = all_frames(&o, 9, SAC_SYNTH_CART, &n);
    uint8_t *gray = picture(&o), *mask = picture(&o);
    sac_synth_scene *scene = open_scene(&o, 9, SAC_SYNTH_CART);
    static const int64_t order[] = {39, 0, 17, 17, 18, 3, 38};
    for (int i = 0; i < 7; i++) {
        int64_t t = order[i];
        cr_assert_eq(sac_synth_scene_render(scene, t, gray, mask, NULL), SAC_OK);
        cr_assert_eq(differing(gray, all + 2 * t * pixels, pixels), 0, "frame %d", (int)t);
        cr_assert_eq(differing(mask, all + (2 * t + 1) * pixels, pixels), 0, "mask %d", (int)t);
    }
    sac_synth_scene_close(&scene);
    sac_free(gray);
    sac_free(mask);
    sac_free(all);
}

Test(synth, training_is_normal_and_alive) {
    sac_synth_options o = small();
    uint8_t *gray = picture(&o), *mask = picture(&o), *previous = picture(&o), abnormal = 9;
    int64_t pixels = (int64_t)o.width * o.height;
    for (uint64_t clip = 0; clip < 6; clip++) {
        sac_synth_scene *scene = open_scene(&o, clip, SAC_SYNTH_NONE);
        for (int64_t t = 0; t < o.frames_per_clip; t++) {
            cr_assert_eq(sac_synth_scene_render(scene, t, gray, mask, &abnormal), SAC_OK);
            cr_assert_eq(abnormal, 0);
            int64_t set = 0, change = 0;
            for (int64_t i = 0; i < pixels; i++) {
                set += mask[i];
                change += abs(gray[i] - previous[i]);
            }
            cr_assert_eq(set, 0, "clip %d frame %d has a mask", (int)clip, (int)t);
            // Noise and walkers change every frame a little, never the whole picture.
            double mean = (double)change / (double)pixels;
            if (t > 0) cr_assert(mean > 0.8 && mean < 12, "frame %d changes by %g", (int)t, mean);
            memcpy(previous, gray, (size_t)pixels);
        }
        sac_synth_scene_close(&scene);
    }
    sac_free(gray);
    sac_free(mask);
    sac_free(previous);
}

typedef struct blob {
    int64_t count;
    double x1, y1, x2, y2; // bounding box, x2 y2 exclusive
} blob;

static blob blob_of(const uint8_t *mask, int width, int height) {
    blob b = {0, 1e9, 1e9, -1, -1};
    for (int y = 0; y < height; y++) {
        for (int x = 0; x < width; x++) {
            uint8_t set = mask[(int64_t)y * width + x];
            cr_assert_leq(set, 1);
            if (set == 0) continue;
            b.count++;
            b.x1 = fmin(b.x1, x);
            b.y1 = fmin(b.y1, y);
            b.x2 = fmax(b.x2, x + 1);
            b.y2 = fmax(b.y2, y + 1);
        }
    }
    return b;
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double median(double *values, int n) {
    if (n == 0) return NAN;
    qsort(values, (size_t)n, sizeof *values, ascending);
    return values[n / 2];
}

// Every kind: masks and labels agree, the event begins and ends inside the clip, the mask lies on a
// true box, and the thing moves at its pace (in its own heights per second, which perspective
// leaves alone).
Test(synth, anomalies_are_masked_and_move_as_they_should) {
    static const double pace[SAC_SYNTH_ANOMALY_COUNT][2] = {
        [SAC_SYNTH_CYCLIST] = {1.2, 3.2},   [SAC_SYNTH_SKATER] = {0.9, 2.2},
        [SAC_SYNTH_RUNNER] = {1.1, 2.8},    [SAC_SYNTH_CART] = {0.8, 2.4},
        [SAC_SYNTH_WRONG_WAY] = {0.3, 1.1}, [SAC_SYNTH_THROWN] = {10, 90},
        [SAC_SYNTH_LOITERER] = {0, 0.4},
    };
    sac_synth_options o = sac_synth_default_options();
    uint8_t *gray = picture(&o), *mask = picture(&o), abnormal;
    for (uint64_t seed = 1; seed <= 2; seed++) {
        for (int kind = SAC_SYNTH_CYCLIST; kind < SAC_SYNTH_ANOMALY_COUNT; kind++) {
            const char *name = sac_synth_anomaly_name((sac_synth_anomaly)kind);
            o.seed = seed;
            sac_synth_scene *scene = open_scene(&o, 1000 + (uint64_t)kind, (sac_synth_anomaly)kind);
            double heights[512], steps[512];
            int normal = 0, odd = 0, measured = 0;
            blob last = {0};
            for (int64_t t = 0; t < o.frames_per_clip; t++) {
                cr_assert_eq(sac_synth_scene_render(scene, t, gray, mask, &abnormal), SAC_OK);
                blob b = blob_of(mask, o.width, o.height);
                cr_assert_eq(abnormal, b.count > 0, "%s frame %d", name, (int)t);
                if (t == 0 || t == o.frames_per_clip - 1)
                    cr_assert_eq(abnormal, 0, "%s, seed %d: abnormal at frame %d", name, (int)seed,
                                 (int)t);
                normal += abnormal == 0;
                odd += abnormal;
                if (b.count > 0) {
                    float boxes[200][4];
                    int64_t n = sac_synth_scene_boxes(scene, t, boxes[0], 200);
                    cr_assert(n > 0 && n <= 200);
                    int inside = 0;
                    for (int64_t i = 0; i < n; i++)
                        inside +=
                            b.x1 >= (double)boxes[i][0] - 2 && b.y1 >= (double)boxes[i][1] - 2 &&
                            b.x2 <= (double)boxes[i][2] + 2 && b.y2 <= (double)boxes[i][3] + 2;
                    // Several balls may be in the air at once.
                    // A few pixels may be all that shows between others.
                    if (kind != SAC_SYNTH_THROWN && b.count >= 12)
                        cr_assert_gt(inside, 0, "%s frame %d: no box holds the mask", name, (int)t);
                }
                // Whole figures only: no border, and the same extent in both frames.
                bool whole =
                    b.count > 0 && b.x1 > 0 && b.y1 > 0 && b.x2 < o.width && b.y2 < o.height;
                double height = b.y2 - b.y1;
                if (whole && last.count > 0 && fabs(height - (last.y2 - last.y1)) <= 2 &&
                    measured < 512) {
                    heights[measured] = height;
                    steps[measured++] =
                        hypot(0.5 * (b.x1 + b.x2 - last.x1 - last.x2), b.y2 - last.y2) / height;
                }
                last = whole ? b : (blob){0};
            }
            cr_assert(odd >= 10 && normal >= 20, "%s: %d abnormal frames, %d normal", name, odd,
                      normal);
            cr_assert_geq(measured, 5, "%s was hardly ever seen whole", name);
            double speed = median(steps, measured) * o.frame_rate;
            if (kind == SAC_SYNTH_THROWN) // a ball of 0.2 m: tens of its own size per second
                cr_assert(median(heights, measured) < 16 && speed > pace[kind][0], "thrown: %g",
                          speed);
            else
                cr_assert(speed >= pace[kind][0] && speed <= pace[kind][1],
                          "%s, seed %d: %g heights per second, expected %g to %g", name, (int)seed,
                          speed, pace[kind][0], pace[kind][1]);
            sac_synth_scene_close(&scene);
        }
    }
    sac_free(gray);
    sac_free(mask);
}

// People far away are smaller and move fewer pixels.
Test(synth, perspective) {
    sac_synth_options o = sac_synth_default_options();
    double size[2][20000], step[2][20000];
    int count[2] = {0, 0};
    for (uint64_t clip = 0; clip < 4; clip++) {
        sac_synth_scene *scene = open_scene(&o, clip, SAC_SYNTH_NONE);
        float before[200][4], now[200][4];
        int64_t n_before = 0;
        for (int64_t t = 0; t < o.frames_per_clip; t++) {
            int64_t n = sac_synth_scene_boxes(scene, t, now[0], 200);
            cr_assert_leq(n, 200);
            for (int64_t i = 0; i < n; i++) {
                const float *b = now[i];
                cr_assert(b[0] >= 0 && b[1] >= 0 && b[0] < b[2] && b[1] < b[3] && b[2] <= 240 &&
                          b[3] <= 160);
                bool whole = b[0] > 0 && b[1] > 0 && b[2] < 240 && b[3] < 160;
                int far = b[3]<75, near = b[3]> 105;
                if (!whole || (!far && !near)) continue;
                double least = 1e9; // head of the same person one frame earlier
                for (int64_t k = 0; k < n_before; k++) {
                    double dx = 0.5 * (double)(b[0] + b[2] - before[k][0] - before[k][2]);
                    least = fmin(least, hypot(dx, (double)(b[1] - before[k][1])));
                }
                if (least > 12 || count[near] == 20000) continue;
                size[near][count[near]] = (double)(b[3] - b[1]);
                step[near][count[near]++] = least;
            }
            memcpy(before, now, sizeof now);
            n_before = n;
        }
        sac_synth_scene_close(&scene);
    }
    cr_assert(count[0] > 50 && count[1] > 50, "%d far, %d near", count[0], count[1]);
    double far_size = median(size[0], count[0]), near_size = median(size[1], count[1]);
    double far_step = median(step[0], count[0]), near_step = median(step[1], count[1]);
    cr_assert_lt(far_size, 0.8 * near_size, "heights %g and %g", far_size, near_size);
    cr_assert_lt(far_step, 0.85 * near_step, "steps %g and %g", far_step, near_step);
}

Test(synth, crowd_follows_the_wish) {
    sac_synth_options o = sac_synth_default_options();
    double mean[3] = {0};
    static const int wish[3] = {0, 6, 24};
    for (int i = 0; i < 3; i++) {
        o.walkers = wish[i];
        int64_t seen = 0;
        for (uint64_t clip = 0; clip < 3; clip++) {
            sac_synth_scene *scene = open_scene(&o, clip, SAC_SYNTH_NONE);
            for (int64_t t = 0; t < o.frames_per_clip; t += 10)
                seen += sac_synth_scene_boxes(scene, t, NULL, 0);
            sac_synth_scene_close(&scene);
        }
        mean[i] = (double)seen / 36;
    }
    cr_assert_eq(mean[0], 0);
    cr_assert(mean[1] > 3 && mean[1] < 12, "6 walkers wanted, %g seen", mean[1]);
    cr_assert(mean[2] > 14 && mean[2] < 36, "24 walkers wanted, %g seen", mean[2]);
}

Test(synth, speed_does_not_depend_on_the_frame_rate) {
    // A passage takes the same share of twelve seconds, however often they are sampled.
    int share[3];
    static const double rates[3] = {5, 10, 30};
    for (int i = 0; i < 3; i++) {
        sac_synth_options o = small();
        o.frame_rate = rates[i];
        o.frames_per_clip = (int64_t)(12 * rates[i]);
        uint8_t *gray = picture(&o), abnormal;
        sac_synth_scene *scene = open_scene(&o, 3, SAC_SYNTH_CYCLIST);
        int odd = 0;
        for (int64_t t = 0; t < o.frames_per_clip; t++) {
            cr_assert_eq(sac_synth_scene_render(scene, t, gray, NULL, &abnormal), SAC_OK);
            odd += abnormal;
        }
        share[i] = (int)(100.0 * odd / (double)o.frames_per_clip);
        sac_synth_scene_close(&scene);
        sac_free(gray);
    }
    for (int i = 0; i < 3; i++)
        cr_assert(share[i] >= 20 && share[i] <= 70, "%d %% abnormal at %g frames/s", share[i],
                  rates[i]);
}

Test(synth, odd_and_extreme_sizes) {
    static const int sizes[][2] = {{32, 32}, {33, 47}, {32, 400}, {400, 32}, {127, 65}};
    for (int i = 0; i < 5; i++) {
        sac_synth_options o = small();
        o.width = sizes[i][0];
        o.height = sizes[i][1];
        o.frames_per_clip = 3;
        for (int kind = 0; kind < SAC_SYNTH_ANOMALY_COUNT; kind++) {
            int64_t n;
            uint8_t *all = all_frames(&o, 1, (sac_synth_anomaly)kind, &n);
            int64_t bright = 0;
            for (int64_t p = 0; p < n / 6; p++) bright += all[p] > 20;
            cr_assert_gt(bright, n / 12, "%dx%d is dark", o.width, o.height);
            sac_free(all);
        }
    }
}

Test(synth, refuses_bad_options) {
    sac_synth_scene *scene = (sac_synth_scene *)1;
    sac_synth_options good = small();
    for (int i = 0; i < 15; i++) {
        sac_synth_options o = good;
        switch (i) {
        case 0:
            o.width = 17, o.height = 13;
            break;
        case 1:
            o.width = 31;
            break;
        case 2:
            o.height = 31;
            break;
        case 3:
            o.width = 4097;
            break;
        case 4:
            o.height = -1;
            break;
        case 5:
            o.frames_per_clip = 0;
            break;
        case 6:
            o.frames_per_clip = 100001;
            break;
        case 7:
            o.walkers = -1;
            break;
        case 8:
            o.walkers = 201;
            break;
        case 9:
            o.frame_rate = 0.5;
            break;
        case 10:
            o.frame_rate = NAN;
            break;
        case 11:
            o.frame_rate = INFINITY;
            break;
        case 12:
            o.train_clips = -1;
            break;
        case 13:
            o.test_clips = 1001;
            break;
        default:
            o.train_clips = o.test_clips = 0;
            break;
        }
        cr_assert_eq(sac_synth_scene_create(&scene, &o, 0, SAC_SYNTH_NONE), SAC_ERROR_ARGUMENT,
                     "case %d", i);
        cr_assert_null(scene);
    }
    cr_assert_eq(sac_synth_scene_create(&scene, &good, 0, SAC_SYNTH_ANOMALY_COUNT),
                 SAC_ERROR_ARGUMENT);
    cr_assert_null(scene);
    cr_assert_eq(sac_synth_scene_create(&scene, &good, 0, (sac_synth_anomaly)-1),
                 SAC_ERROR_ARGUMENT);
    cr_assert_eq(sac_synth_scene_create(&scene, NULL, 0, SAC_SYNTH_NONE), SAC_ERROR_ARGUMENT);
    cr_assert_eq(sac_synth_scene_create(NULL, &good, 0, SAC_SYNTH_NONE), SAC_ERROR_ARGUMENT);
    uint8_t *gray = picture(&good);
    scene = open_scene(&good, 0, SAC_SYNTH_NONE);
    cr_assert_eq(sac_synth_scene_render(scene, -1, gray, NULL, NULL), SAC_ERROR_ARGUMENT);
    cr_assert_eq(sac_synth_scene_render(scene, 40, gray, NULL, NULL), SAC_ERROR_ARGUMENT);
    cr_assert_eq(sac_synth_scene_render(scene, 0, NULL, NULL, NULL), SAC_ERROR_ARGUMENT);
    cr_assert_eq(sac_synth_scene_render(NULL, 0, gray, NULL, NULL), SAC_ERROR_ARGUMENT);
    cr_assert_eq(sac_synth_scene_boxes(scene, 40, NULL, 0), 0);
    cr_assert_eq(sac_synth_scene_boxes(scene, 0, NULL, 3), 0);
    cr_assert_eq(sac_synth_scene_boxes(NULL, 0, NULL, 0), 0);
    sac_synth_scene_close(&scene);
    sac_synth_scene_close(&scene);
    sac_synth_scene_close(NULL);
    sac_free(gray);
}

Test(synth, survives_lack_of_memory) {
    sac_synth_options o = small();
    o.frames_per_clip = 3;
    int failures = 0;
    for (int64_t n = 0;; n++) {
        sac_synth_scene *scene = (sac_synth_scene *)1;
        sac_memory_fail_after(n);
        sac_status status = sac_synth_scene_create(&scene, &o, 2, SAC_SYNTH_THROWN);
        sac_memory_fail_after(-1);
        if (status == SAC_OK) {
            sac_synth_scene_close(&scene);
            break;
        }
        cr_assert_eq(status, SAC_ERROR_MEMORY);
        cr_assert_null(scene);
        failures++;
        cr_assert_lt(n, 2000);
    }
    cr_assert_gt(failures, 15);
}
