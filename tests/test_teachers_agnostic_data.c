// Flow fields and pseudo-abnormal crops of the background-agnostic teacher.
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "agnostic_scene.h"
#include "helper.h"
#include "teachers/agnostic_fields.h"
#include "teachers/agnostic_pseudo.h"
#include "video/scale.h"

enum { S = 16, AREA = S * S };

// ---- fields -------------------------------------------------------------------------------------

// A field that holds the gray levels of a picture is cropped as the picture is.
Test(teachers_agnostic_data, fields_are_cut_like_pictures) {
    enum { W = 37, H = 29 };
    static uint8_t gray[W * H];
    static int16_t values[2 * W * H];
    sac_rng rng;
    sac_rng_seed(&rng, 1, 0);
    for (int i = 0; i < W * H; i++) {
        gray[i] = (uint8_t)sac_rng_below(&rng, 256);
        values[i] = gray[i];
        values[W * H + i] = (int16_t)-gray[i];
    }
    sac_field field = {.width = W, .height = H, .reduction = 1, .data = values};
    static const sac_box boxes[] = {{0, 0, W, H, 1, -1},
                                    {3, 4, 19, 20, 1, -1},
                                    {-6.5f, 2.25f, 9, 40, 1, -1},
                                    {10.3f, 11.2f, 13.1f, 12.9f, 1, -1}};
    static const int sizes[] = {5, 16, 64};
    for (int b = 0; b < 4; b++) {
        for (int k = 0; k < 3; k++) {
            const int n = sizes[k] * sizes[k];
            static float crop[2 * 64 * 64], want[2 * 64 * 64];
            const double unit = 0.5;
            sac_field_crop(crop, sizes[k], &field, &boxes[b], unit);
            sac_crop_gray(want, sizes[k], sizes[k], gray, W, H, (double)boxes[b].x1,
                          (double)boxes[b].y1, (double)boxes[b].x2, (double)boxes[b].y2);
            for (int i = 0; i < n; i++) {
                want[i] *= (float)(255.0 / (SAC_FIELD_STEPS * unit));
                want[n + i] = -want[i];
            }
            int64_t dims[3] = {2, sizes[k], sizes[k]};
            sac_assert_close(crop, want, 3, dims, 1e-5, "crop");
        }
    }
    // In cells of 2 px the same crop comes from a box twice as large.
    sac_box box = {4, 6, 20, 30, 1, -1}, twice = {8, 12, 40, 60, 1, -1};
    float a[2 * AREA], b[2 * AREA];
    sac_field_crop(a, S, &field, &box, 1);
    field.reduction = 2;
    sac_field_crop(b, S, &field, &twice, 1);
    int64_t dims[3] = {2, S, S};
    sac_assert_close(a, b, 3, dims, 1e-6, "reduced");
    // Far out is cut; no data is no motion.
    field.reduction = 1;
    for (int i = 0; i < W * H; i++) values[i] = 32767;
    sac_field_crop(a, S, &field, &box, 1);
    cr_assert_eq(a[5], 8.0f);
    field.data = NULL;
    sac_field_crop(a, S, &field, &box, 1);
    for (int i = 0; i < 2 * AREA; i++) cr_assert_eq(a[i], 0.0f);
}

Test(teachers_agnostic_data, speed_is_that_of_the_faster_half) {
    float crop[2 * AREA] = {0};
    double vector[2];
    cr_assert_eq(sac_field_speed(crop, AREA, vector), 0);
    // Five of eight rows of pixels move: the half that is taken lies among them.
    for (int i = 0; i < AREA * 5 / 8; i++) {
        crop[i] = 3;
        crop[AREA + i] = -4;
    }
    cr_assert_float_eq(sac_field_speed(crop, AREA, vector), 5, 1e-9);
    cr_assert_float_eq(vector[0], 3, 1e-9);
    cr_assert_float_eq(vector[1], -4, 1e-9);
    cr_assert_float_eq(sac_field_speed(crop, AREA, NULL), 5, 1e-9);
    // One wild pixel changes little.
    crop[AREA - 1] = 100;
    cr_assert_lt(fabs(sac_field_speed(crop, AREA, NULL) - 5), 1);
}

// Every second pixel of a picture that moves 2 px to the right and 1 down.
static void moving_texture(uint8_t *frame, int w, int h, int t) {
    for (int y = 0; y < h; y++) {
        for (int x = 0; x < w; x++) {
            double u = 0.31 * (x - 2 * t), v = 0.23 * (y - t);
            frame[y * w + x] = (uint8_t)(128 + 50 * sin(u) + 50 * sin(v) + 20 * sin(u + 1.7 * v));
        }
    }
}

Test(teachers_agnostic_data, fields_hold_the_motion) {
    static const int heights[] = {64, 170};
    for (int k = 0; k < 2; k++) {
        const int w = 81, h = heights[k];
        uint8_t *pixels = sac_calloc((int64_t)w * h * 2, 1);
        moving_texture(pixels, w, h, 0);
        moving_texture(pixels + w * h, w, h, 1);
        sac_field_maker *maker = NULL;
        sac_error error = {0};
        sac_assert_ok(sac_field_maker_create(&maker, w, h, &error), &error);
        sac_field field = sac_field_layout(w, h);
        cr_assert_eq(field.reduction, k + 1);
        cr_assert_eq(field.width, k == 0 ? 81 : 41);
        int16_t *values = sac_calloc(2 * (int64_t)field.width * field.height, sizeof *values);
        int64_t pair = 0;
        cr_assert_eq(sac_field_maker_run(maker, values, pixels, &pair, 1), SAC_OK);
        field.data = values;
        float crop[2 * AREA];
        sac_box box = {20, 20, 60, 50, 1, -1};
        double vector[2];
        sac_field_crop(crop, S, &field, &box, 2);
        (void)sac_field_speed(crop, AREA, vector);
        cr_assert_float_eq(vector[0], 1, 0.1, "u %g", vector[0]);
        cr_assert_float_eq(vector[1], 0.5, 0.1, "v %g", vector[1]);
        sac_field_maker_close(&maker);
        sac_free(values);
        sac_free(pixels);
    }
}

static bool stop_now(void) {
    return true;
}

static int64_t last_done, last_total;
static void note_progress(void *user, int64_t done, int64_t total) {
    (void)user;
    last_done = done;
    last_total = total;
}

Test(teachers_agnostic_data, stores_in_memory_and_in_files_agree) {
    scene s;
    scene_make(&s, 2);
    // Clips of different lengths and sizes.
    const sac_field_clip clips[3] = {
        {s.clips[0].pixels, SCENE_FRAMES, SCENE_W, SCENE_H},
        {s.clips[1].pixels, 1, SCENE_W, SCENE_H},
        {s.clips[1].pixels, 7, SCENE_W / 2, SCENE_H},
    };
    sac_error error = {0};
    sac_field_store *memory = NULL, *file = NULL, *none = NULL;
    const char *folder = sac_test_folder();
    sac_assert_ok(
        sac_field_store_make(&memory, clips, 3, NULL, 0, NULL, note_progress, NULL, &error),
        &error);
    cr_assert(last_done == 39 + 6 && last_total == 39 + 6);
    sac_assert_ok(sac_field_store_make(&file, clips, 3, folder, 1000, NULL, NULL, NULL, &error),
                  &error);
    cr_assert(!sac_field_store_mapped(memory) && sac_field_store_mapped(file));
    cr_assert_eq(sac_test_folder_count(), 0, "the file has a name");
    for (int c = 0; c < 3; c++) {
        for (int64_t t = -1; t <= clips[c].frames; t++) {
            sac_field a = sac_field_store_at(memory, c, t), b = sac_field_store_at(file, c, t);
            cr_assert_eq(a.width, clips[c].width);
            if (c == 1) {
                cr_assert(a.data == NULL && b.data == NULL);
                continue;
            }
            cr_assert_eq(memcmp(a.data, b.data, 4 * (size_t)a.width * (size_t)a.height), 0,
                         "clip %d, frame %d", c, (int)t);
        }
        if (c != 1) {
            cr_assert_eq(sac_field_store_at(memory, c, -1).data,
                         sac_field_store_at(memory, c, 0).data);
            cr_assert_eq(sac_field_store_at(memory, c, 99).data,
                         sac_field_store_at(memory, c, clips[c].frames - 2).data);
            cr_assert_neq(sac_field_store_at(memory, c, 0).data,
                          sac_field_store_at(memory, c, 1).data);
        }
    }
    sac_assert_error(sac_field_store_make(&none, clips, 3, NULL, 0, stop_now, NULL, NULL, &error),
                     SAC_ERROR_INTERRUPTED, &error, "optical flow", NULL);
    cr_assert_null(none);
    error = (sac_error){0};
    sac_assert_error(
        sac_field_store_make(&none, clips, 3, "/nowhere", 1000, NULL, NULL, NULL, &error),
        SAC_ERROR_IO, &error, "/nowhere", NULL);
    const sac_field_clip small = {s.clips[0].pixels, 2, 4, 4};
    error = (sac_error){0};
    sac_assert_error(sac_field_store_make(&none, &small, 1, NULL, 0, NULL, NULL, NULL, &error),
                     SAC_ERROR_ARGUMENT, &error, NULL);
    sac_field_store_close(&memory);
    sac_field_store_close(&file);
    sac_field_store_close(&file);
    scene_close(&s);
}

// ---- pseudo-abnormal crops ----------------------------------------------------------------------

typedef struct crops {
    float picture[AREA], flow[2][2 * AREA];
} crops;

typedef struct world {
    scene s;
    sac_field_store *fields;
    sac_family_object objects[SCENE_CLIPS * SCENE_FRAMES * SCENE_PER_FRAME];
    sac_agnostic_pool pool;
} world;

static void make_world(world *w, int speed) {
    *w = (world){0};
    scene_make(&w->s, speed);
    sac_field_clip clips[SCENE_CLIPS];
    int64_t count = 0;
    for (int c = 0; c < SCENE_CLIPS; c++) {
        clips[c] = (sac_field_clip){w->s.clips[c].pixels, SCENE_FRAMES, SCENE_W, SCENE_H};
        for (int64_t i = 0; i < w->s.detections[c].count; i++)
            w->objects[count++] = (sac_family_object){c, i / SCENE_PER_FRAME, i};
    }
    sac_error error = {0};
    sac_assert_ok(
        sac_field_store_make(&w->fields, clips, SCENE_CLIPS, NULL, 0, NULL, NULL, NULL, &error),
        &error);
    w->pool = (sac_agnostic_pool){.clips = w->s.clips,
                                  .clip_count = SCENE_CLIPS,
                                  .fields = w->fields,
                                  .objects = w->objects,
                                  .object_count = count,
                                  .crop_size = S,
                                  .flow_unit = 1};
}

static void close_world(world *w) {
    sac_field_store_close(&w->fields);
    scene_close(&w->s);
}

static void normal_of(crops *c, const world *w, int64_t object) {
    sac_agnostic_crops(c->picture, c->flow[0], c->flow[1], &w->pool, &w->objects[object]);
}

static void pseudo_of(crops *c, const world *w, int64_t object, uint64_t seed, int picture,
                      int motion) {
    float scratch[2 * AREA];
    for (int i = 0; i < 2 * AREA; i++) scratch[i] = NAN;
    sac_agnostic_pseudo(c->picture, c->flow[0], c->flow[1], scratch, &w->pool, &w->objects[object],
                        seed, picture, motion);
    for (int i = 0; i < AREA; i++)
        cr_assert(c->picture[i] >= 0 && c->picture[i] <= 1, "%s: gray %g",
                  sac_agnostic_picture_name(picture), (double)c->picture[i]);
    for (int i = 0; i < 2 * AREA; i++) {
        for (int k = 0; k < 2; k++)
            cr_assert(fabsf(c->flow[k][i]) <= 8, "%s: flow %g", sac_agnostic_motion_name(motion),
                      (double)c->flow[k][i]);
    }
}

static int compare_float(const void *pa, const void *pb) {
    float a = *(const float *)pa, b = *(const float *)pb;
    return a < b ? -1 : a > b;
}

// Largest difference of two sets of values.
static double set_difference(const float *a, const float *b) {
    float x[AREA], y[AREA];
    double most = 0;
    memcpy(x, a, sizeof x);
    memcpy(y, b, sizeof y);
    qsort(x, AREA, sizeof *x, compare_float);
    qsort(y, AREA, sizeof *y, compare_float);
    for (int i = 0; i < AREA; i++) most = fmax(most, fabs((double)x[i] - (double)y[i]));
    return most;
}

static double mean_difference(const float *a, const float *b, int n) {
    double sum = 0;
    for (int i = 0; i < n; i++) sum += fabs((double)a[i] - (double)b[i]);
    return sum / n;
}

Test(teachers_agnostic_data, crops_are_those_of_the_object) {
    world w;
    make_world(&w, 1);
    crops c;
    float want[AREA], flow[2 * AREA];
    const int64_t object = 3 * 10 + 1; // of frame 10
    const sac_box *b = &w.s.detections[0].boxes[object];
    normal_of(&c, &w, object);
    sac_crop_gray(want, S, S, w.s.clips[0].pixels + 10 * SCENE_PICTURE, SCENE_W, SCENE_H,
                  (double)b->x1, (double)b->y1, (double)b->x2, (double)b->y2);
    cr_assert_eq(memcmp(c.picture, want, sizeof want), 0);
    for (int k = 0; k < 2; k++) {
        sac_field field = sac_field_store_at(w.fields, 0, 9 + k);
        sac_field_crop(flow, S, &field, b, 1);
        cr_assert_eq(memcmp(c.flow[k], flow, sizeof flow), 0);
    }
    // It slides one pixel to the right.
    double vector[2];
    (void)sac_field_speed(c.flow[1], AREA, vector);
    cr_assert(vector[0] > 0.6 && vector[0] < 1.4 && fabs(vector[1]) < 0.3, "%g %g", vector[0],
              vector[1]);
    // Mirrored, it slides to the left, and twice mirrored is what it was.
    crops back = c;
    sac_agnostic_mirror(back.picture, back.flow[0], back.flow[1], S);
    for (int i = 0; i < AREA; i++) {
        int m = i / S * S + S - 1 - i % S;
        cr_assert(back.picture[i] == c.picture[m] && back.flow[0][i] == -c.flow[0][m] &&
                  back.flow[1][AREA + i] == c.flow[1][AREA + m]);
    }
    sac_agnostic_mirror(back.picture, back.flow[0], back.flow[1], S);
    cr_assert_eq(memcmp(&back, &c, sizeof c), 0);
    close_world(&w);
}

Test(teachers_agnostic_data, pictures_of_every_kind) {
    world w;
    make_world(&w, 1);
    double ground = 0;
    for (int kind = 0; kind < SAC_AGNOSTIC_PICTURES; kind++) {
        int others = 0; // that another seed gives
        for (uint64_t seed = 1; seed <= 30; seed++) {
            crops normal, pseudo, again;
            const int64_t object = (int64_t)seed * 7;
            normal_of(&normal, &w, object);
            pseudo_of(&pseudo, &w, object, seed, kind, 0);
            pseudo_of(&again, &w, object, seed, kind, 0);
            cr_assert_eq(memcmp(&pseudo, &again, sizeof pseudo), 0, "not repeatable");
            pseudo_of(&again, &w, object, seed + 1000, kind, 0);
            others += memcmp(pseudo.picture, again.picture, sizeof again.picture) != 0;
            cr_assert_gt(mean_difference(pseudo.picture, normal.picture, AREA), 0.01, "%s",
                         sac_agnostic_picture_name(kind));
            if (kind == SAC_AGNOSTIC_TURNED || kind == SAC_AGNOSTIC_SHUFFLED)
                cr_assert_eq(set_difference(pseudo.picture, normal.picture), 0);
            if (kind == SAC_AGNOSTIC_MIXED) {
                int kept = 0;
                for (int i = 0; i < AREA; i++) kept += pseudo.picture[i] == normal.picture[i];
                cr_assert(kept > AREA / 5 && kept < AREA * 9 / 10, "%d pixels kept", kept);
            }
            if (kind == SAC_AGNOSTIC_PLACE) {
                for (int i = 0; i < AREA; i++) ground += (double)pseudo.picture[i] / AREA / 30;
            }
        }
        cr_assert_gt(others, 10, "%s hardly depends on the seed", sac_agnostic_picture_name(kind));
    }
    // The ground lies at 80 to 102 of 255, objects at 150 and above.
    cr_assert(ground > 0.3 && ground < 0.5, "places of gray %g", ground);
    close_world(&w);
}

Test(teachers_agnostic_data, motions_of_every_kind) {
    world w;
    make_world(&w, 1);
    for (int kind = 0; kind < SAC_AGNOSTIC_MOTIONS; kind++) {
        for (uint64_t seed = 1; seed <= 30; seed++) {
            crops normal, pseudo;
            const int64_t object = 31; // of frame 10, away from the jump at the right border
            double before[2], after[2], back[2];
            normal_of(&normal, &w, object);
            pseudo_of(&pseudo, &w, object, seed, 0, kind);
            double speed = sac_field_speed(normal.flow[1], AREA, before);
            double altered = sac_field_speed(pseudo.flow[1], AREA, after);
            (void)sac_field_speed(pseudo.flow[0], AREA, back);
            double ratio = altered / speed;
            if (kind == SAC_AGNOSTIC_FASTER) {
                cr_assert(ratio > 1.49 && ratio < 5.01, "%g times as fast", ratio);
                for (int i = 0; i < 2 * AREA; i++)
                    cr_assert_float_eq(pseudo.flow[1][i], ratio * (double)normal.flow[1][i], 1e-4);
                // Both flows go together.
                cr_assert_float_eq(pseudo.flow[0][9] * normal.flow[1][9],
                                   normal.flow[0][9] * pseudo.flow[1][9], 1e-4);
            }
            if (kind == SAC_AGNOSTIC_RIGID) {
                double spread = 0, usual = 0;
                for (int i = 0; i < AREA; i++) {
                    spread += fabs((double)pseudo.flow[1][i] - after[0]) / ratio;
                    usual += fabs((double)normal.flow[1][i] - before[0]);
                }
                cr_assert_lt(spread, 0.75 * usual);
                cr_assert(ratio > 0.7 && ratio < 4.2, "%g times as fast", ratio);
            }
            if (kind == SAC_AGNOSTIC_ASIDE) {
                double cosine = (before[0] * after[0] + before[1] * after[1]) /
                                (hypot(before[0], before[1]) * hypot(after[0], after[1]));
                cr_assert(fabs(cosine) < 0.75, "turned by a cosine of %g", cosine);
                cr_assert(ratio > 0.79 && ratio < 2.51, "%g times as fast", ratio);
            }
            if (kind == SAC_AGNOSTIC_BROKEN) {
                float speeds[2][AREA];
                for (int i = 0; i < AREA; i++) {
                    speeds[0][i] = hypotf(normal.flow[1][i], normal.flow[1][AREA + i]);
                    speeds[1][i] =
                        hypotf(pseudo.flow[1][i], pseudo.flow[1][AREA + i]) / (float)ratio;
                }
                cr_assert_lt(set_difference(speeds[0], speeds[1]), 1e-3);
                cr_assert(ratio > 0.99 && ratio < 3.01, "%g times as fast", ratio);
            }
        }
    }
    close_world(&w);
    // What stands still is given a motion.
    make_world(&w, 0);
    for (int kind = 0; kind < SAC_AGNOSTIC_MOTIONS; kind++) {
        crops normal, pseudo;
        normal_of(&normal, &w, 31);
        pseudo_of(&pseudo, &w, 31, 5, 0, kind);
        cr_assert_lt(sac_field_speed(normal.flow[1], AREA, NULL), 0.05);
        double speed = sac_field_speed(pseudo.flow[1], AREA, NULL);
        cr_assert(speed > 0.9 && speed < 3.1, "%s: %g", sac_agnostic_motion_name(kind), speed);
    }
    close_world(&w);
}

// Drawn kinds: all of them occur, FASTER in about half of the cases.
Test(teachers_agnostic_data, kinds_are_drawn) {
    world w;
    make_world(&w, 1);
    int faster = 0;
    for (uint64_t seed = 0; seed < 200; seed++) {
        crops drawn, wanted;
        pseudo_of(&drawn, &w, 31, seed, -1, -1);
        bool found = false;
        for (int kind = 0; kind < SAC_AGNOSTIC_PICTURES && !found; kind++) {
            pseudo_of(&wanted, &w, 31, seed, kind, -1);
            found = memcmp(drawn.picture, wanted.picture, sizeof drawn.picture) == 0;
        }
        cr_assert(found);
        crops normal;
        normal_of(&normal, &w, 31);
        double ratio = (double)drawn.flow[1][9] / (double)normal.flow[1][9];
        bool same = ratio > 1.4;
        for (int i = 0; same && i < 2 * AREA; i++)
            same = fabs((double)drawn.flow[1][i] - ratio * (double)normal.flow[1][i]) < 1e-3;
        faster += same;
    }
    cr_assert(faster > 70 && faster < 130, "%d of 200 are faster", faster);
    cr_assert_str_eq(sac_agnostic_picture_name(SAC_AGNOSTIC_MIXED), "mixed");
    cr_assert_str_eq(sac_agnostic_motion_name(SAC_AGNOSTIC_MOTIONS), "unknown");
    close_world(&w);
}
