// Altered clips: what is drawn lies where the boxes say, labels and removals agree with it,
// postures freeze, nothing else changes, and foreign boxes do no harm.
#include <criterion/criterion.h>

#include "core/file.h"
#include "distill/kind_auc.h"
#include "distill/pseudo.h"
#include "distill/pseudo_show.h"
#include "distill/texture.h"
#include "distill_make.h"
#include "helper.h"

enum { W = 96, H = 64, FRAMES = 120, MOVERS = 3 };

// Fast enough that the median shows the bare ground; gray levels that change with time show a
// frozen posture.
static const mover movers[MOVERS] = {
    {.first = 0,
     .frames = 70,
     .x = 2,
     .y = 8,
     .vx = 1,
     .width = 10,
     .height = 16,
     .level = 200,
     .swing = 30},
    {.first = 10,
     .frames = 90,
     .x = 84,
     .y = 28,
     .vx = -0.75,
     .width = 9,
     .height = 14,
     .level = 180,
     .swing = 25},
    {.first = 40,
     .frames = 60,
     .x = 10,
     .y = 44,
     .vx = 1.25,
     .width = 12,
     .height = 15,
     .level = 210,
     .swing = 20},
};

typedef struct scene {
    uint8_t *pixels;
    sac_detections d;
} scene;

static scene scene_make(void) {
    return (scene){.pixels = movers_render(movers, MOVERS, FRAMES, W, H),
                   .d = movers_detect(movers, MOVERS, FRAMES)};
}

static void scene_close(scene *s) {
    sac_free(s->pixels);
    sac_detections_close(&s->d);
}

static sac_pseudo make(const scene *s, uint64_t seed) {
    sac_pseudo p = {0};
    sac_assert_ok(sac_pseudo_make(&p, s->pixels, W, H, 1, &s->d, NULL, seed, NULL), NULL);
    cr_assert_eq(p.frames, FRAMES);
    cr_assert_eq(p.altered.frames, FRAMES);
    cr_assert_eq(p.altered.start[0], 0);
    cr_assert_eq(p.altered.start[FRAMES], p.altered.count);
    return p;
}

// Whether a pixel lies in the box with the margin that is pasted or painted over, and a pixel of
// rounding.
static bool in_reach(const sac_box *b, int x, int y) {
    const double mx = 0.12 * (double)(b->x2 - b->x1) + 1.5,
                 my = 0.12 * (double)(b->y2 - b->y1) + 1.5;
    return x + 0.5 >= (double)b->x1 - mx && x + 0.5 <= (double)b->x2 + mx &&
           y + 0.5 >= (double)b->y1 - my && y + 0.5 <= (double)b->y2 + my;
}

Test(distill_pseudo, same_seed_same_bytes) {
    scene s = scene_make();
    sac_pseudo a = make(&s, 7), b = make(&s, 7), c = make(&s, 8);
    cr_assert_arr_eq(a.pixels, b.pixels, FRAMES * W * H);
    cr_assert_arr_eq(a.kinds, b.kinds, FRAMES * sizeof *a.kinds);
    cr_assert_arr_eq(a.removed, b.removed, (size_t)s.d.count * sizeof *a.removed);
    cr_assert_eq(a.altered.count, b.altered.count);
    cr_assert_arr_eq(a.altered.boxes, b.altered.boxes, (size_t)a.altered.count * sizeof(sac_box));
    cr_assert(memcmp(a.pixels, c.pixels, FRAMES * W * H) != 0);
    sac_pseudo_close(&a);
    sac_pseudo_close(&b);
    sac_pseudo_close(&c);
    cr_assert_null(a.pixels);
    scene_close(&s);
}

// Every pixel as R = G = B.
static uint8_t *in_colour(const uint8_t *gray, int64_t count) {
    uint8_t *rgb = sac_calloc(3 * count, 1);
    cr_assert_not_null(rgb);
    for (int64_t i = 0; i < 3 * count; i++) rgb[i] = gray[i / 3];
    return rgb;
}

Test(distill_pseudo, colour_with_equal_channels_is_gray) {
    scene s = scene_make();
    uint8_t *rgb = in_colour(s.pixels, (int64_t)FRAMES * W * H);
    sac_pseudo gray = make(&s, 7), colour = {0};
    sac_assert_ok(sac_pseudo_make(&colour, rgb, W, H, 3, &s.d, NULL, 7, NULL), NULL);
    cr_assert(gray.channels == 1 && colour.channels == 3);
    cr_assert_eq(gray.altered.count, colour.altered.count);
    cr_assert_arr_eq(gray.kinds, colour.kinds, FRAMES * sizeof *gray.kinds);
    for (int64_t i = 0; i < (int64_t)3 * FRAMES * W * H; i++)
        cr_assert_eq(colour.pixels[i], gray.pixels[i / 3], "byte %lld", (long long)i);
    sac_pseudo_close(&gray);
    sac_pseudo_close(&colour);
    sac_free(rgb);
    scene_close(&s);
}

// Objects that differ from the ground in colour only can be cut out, and foreign textures are not
// gray.
Test(distill_pseudo, colour_is_cut_out_and_painted) {
    scene s = scene_make();
    const int64_t count = (int64_t)FRAMES * W * H;
    uint8_t *rgb = sac_calloc(3 * count, 1);
    cr_assert_not_null(rgb);
    for (int64_t i = 0; i < count; i++) {
        const bool object = s.pixels[i] > 120;
        rgb[3 * i] = object ? 200 : 60;
        rgb[3 * i + 1] = object ? 10 : 60;
        rgb[3 * i + 2] = 60;
    }
    for (int k = 0; k < 2; k++) {
        sac_pseudo_mix mix = {{0}};
        mix.weights[k == 0 ? SAC_PSEUDO_CONTROL : SAC_PSEUDO_TEXTURE] = 1;
        sac_pseudo p = {0};
        int64_t red = 0, was_red = 0, foreign = 0;
        sac_assert_ok(sac_pseudo_make(&p, rgb, W, H, 3, &s.d, &mix, 7, NULL), NULL);
        for (int64_t i = 0; i < count; i++) {
            const uint8_t *at = p.pixels + 3 * i;
            red += at[0] == 200 && at[1] == 10;
            was_red += rgb[3 * i] == 200;
            // Neither ground nor object nor a mixture of these, all of which keep their blue.
            foreign += abs(at[2] - 60) > 20;
        }
        cr_assert(p.altered.count > 50);
        if (k == 0)
            cr_assert(red > was_red + 1000 && foreign == 0, "%lld of %lld, %lld", (long long)red,
                      (long long)was_red, (long long)foreign);
        if (k == 1) cr_assert(foreign > 1000, "%lld", (long long)foreign);
        sac_pseudo_close(&p);
    }
    sac_free(rgb);
    scene_close(&s);
}

Test(distill_pseudo, median_is_the_bare_ground) {
    scene s = scene_make();
    uint8_t *background = NULL;
    sac_assert_ok(sac_pseudo_background(&background, s.pixels, FRAMES, W * H), NULL);
    for (int y = 0; y < H; y++) {
        for (int x = 0; x < W; x++) cr_assert_eq(background[y * W + x], ground(x, y));
    }
    sac_free(background);
    // Few frames: the upper median of an even number, the value itself of a single one.
    const uint8_t levels[4][1] = {{9}, {255}, {3}, {200}};
    sac_assert_ok(sac_pseudo_background(&background, &levels[0][0], 4, 1), NULL);
    cr_assert_eq(background[0], 200);
    sac_free(background);
    sac_assert_ok(sac_pseudo_background(&background, &levels[1][0], 1, 1), NULL);
    cr_assert_eq(background[0], 255);
    sac_free(background);
    scene_close(&s);
}

Test(distill_pseudo, boxes_lie_where_pixels_changed_and_nothing_else_did) {
    scene s = scene_make();
    int64_t boxes = 0, visible = 0, kinds[SAC_PSEUDO_KIND_COUNT] = {0};
    for (uint64_t seed = 1; seed <= 8; seed++) {
        sac_pseudo p = make(&s, seed);
        for (int64_t t = 0; t < FRAMES; t++) {
            const uint8_t *was = s.pixels + t * W * H, *now = p.pixels + t * W * H;
            const int64_t begin = p.altered.start[t], end = p.altered.start[t + 1];
            for (int y = 0; y < H; y++) {
                for (int x = 0; x < W; x++) {
                    if (was[y * W + x] == now[y * W + x]) continue;
                    bool explained = false;
                    for (int64_t b = begin; b < end && !explained; b++) {
                        explained = in_reach(&p.altered.boxes[b], x, y);
                    }
                    for (int64_t b = s.d.start[t]; b < s.d.start[t + 1] && !explained; b++) {
                        explained = p.removed[b] && in_reach(&s.d.boxes[b], x, y);
                    }
                    cr_assert(explained,
                              "seed %d frame %lld: pixel %d,%d changed outside every box",
                              (int)seed, (long long)t, x, y);
                }
            }
            for (int64_t b = begin; b < end; b++) {
                const sac_box *box = &p.altered.boxes[b];
                cr_assert(box->x1 >= 0 && box->y1 >= 0 && box->x2 <= W && box->y2 <= H);
                cr_assert(box->x2 - box->x1 >= 1 && box->y2 - box->y1 >= 1);
                cr_assert(box->class_id >= 0 && box->class_id < SAC_PSEUDO_KIND_COUNT);
                kinds[box->class_id]++;
                int64_t changed = 0, area = 0;
                for (int y = (int)box->y1; y < (int)box->y2; y++) {
                    for (int x = (int)box->x1; x < (int)box->x2; x++) {
                        area++;
                        changed += was[y * W + x] != now[y * W + x];
                    }
                }
                boxes++;
                visible += 2 * changed >= area;
            }
        }
        sac_pseudo_close(&p);
    }
    cr_assert(boxes > 400, "%lld boxes", (long long)boxes);
    // An object pasted upon its own picture changes little; that is rare.
    cr_assert(10 * visible >= 9 * boxes, "%lld of %lld boxes show a change", (long long)visible,
              (long long)boxes);
    for (int k = 0; k <= SAC_PSEUDO_CONTROL; k++) { // the default mix
        cr_assert(kinds[k] >= 20, "%s occurs %lld times", sac_pseudo_kind_name((sac_pseudo_kind)k),
                  (long long)kinds[k]);
    }
    scene_close(&s);
}

Test(distill_pseudo, labels_say_what_is_abnormal) {
    scene s = scene_make();
    int64_t ones = 0, controls_alone = 0;
    for (uint64_t seed = 1; seed <= 8; seed++) {
        sac_pseudo p = make(&s, seed);
        for (int64_t t = 0; t < FRAMES; t++) {
            bool abnormal = false;
            for (int64_t b = p.altered.start[t]; b < p.altered.start[t + 1]; b++) {
                abnormal |= p.altered.boxes[b].class_id != SAC_PSEUDO_CONTROL;
            }
            cr_assert_eq(sac_pseudo_abnormal(p.kinds[t]), abnormal);
            ones += abnormal;
            controls_alone += !abnormal && p.altered.start[t] < p.altered.start[t + 1];
        }
        sac_pseudo_close(&p);
    }
    cr_assert(ones > 8 * FRAMES / 5 && ones < 8 * FRAMES, "%lld abnormal frames", (long long)ones);
    cr_assert(controls_alone > 10);
    scene_close(&s);
}

Test(distill_pseudo, removed_objects_are_gone) {
    scene s = scene_make();
    int64_t removed = 0, checked = 0;
    for (uint64_t seed = 1; seed <= 8; seed++) {
        sac_pseudo p = make(&s, seed);
        bool faster = false;
        for (int64_t b = 0; b < p.altered.count; b++) {
            faster |= p.altered.boxes[b].class_id == SAC_PSEUDO_FASTER;
        }
        for (int64_t t = 0; t < FRAMES; t++) {
            for (int64_t b = s.d.start[t]; b < s.d.start[t + 1]; b++) {
                if (!p.removed[b]) continue;
                cr_assert(faster, "only objects that are played faster leave their place");
                removed++;
                const sac_box *box = &s.d.boxes[b];
                const int x = (int)((box->x1 + box->x2) / 2), y = (int)((box->y1 + box->y2) / 2);
                bool covered = false;
                for (int64_t a = p.altered.start[t]; a < p.altered.start[t + 1]; a++) {
                    covered |= in_reach(&p.altered.boxes[a], x, y);
                }
                if (covered) continue;
                checked++;
                cr_assert(abs(p.pixels[(t * H + y) * W + x] - ground(x, y)) <= 1,
                          "seed %d frame %lld: the object at %d,%d is still there", (int)seed,
                          (long long)t, x, y);
            }
        }
        sac_pseudo_close(&p);
    }
    cr_assert(removed > 100 && checked > 50, "%lld removed, %lld checked", (long long)removed,
              (long long)checked);
    scene_close(&s);
}

// Gray level and horizontal centre of the only altered box of a frame when it lies whole in the
// picture.
static bool single(const sac_pseudo *p, int64_t t, int kind, double *level, double *x,
                   double *width) {
    if (p->altered.start[t + 1] - p->altered.start[t] != 1) return false;
    const sac_box *box = &p->altered.boxes[p->altered.start[t]];
    if (box->class_id != kind || box->x1 <= 0 || box->x2 >= W || box->y1 <= 0 || box->y2 >= H) {
        return false;
    }
    const int cx = (int)((box->x1 + box->x2) / 2), cy = (int)((box->y1 + box->y2) / 2);
    *level = 0;
    for (int dy = -1; dy <= 1; dy++) {
        for (int dx = -1; dx <= 1; dx++) *level += p->pixels[(t * H + cy + dy) * W + cx + dx] / 9.0;
    }
    *x = ((double)box->x1 + (double)box->x2) / 2;
    *width = (double)(box->x2 - box->x1);
    return true;
}

// Mean change of gray level and slowest and fastest step of one kind, over pairs of neighbouring
// frames.
typedef struct motion {
    int64_t pairs;
    double change, slowest, fastest;
} motion;

static motion measure(const scene *s, int kind) {
    motion m = {.slowest = 1e9};
    for (uint64_t seed = 1; seed <= 16; seed++) {
        sac_pseudo p = make(s, seed);
        for (int64_t t = 0; t + 1 < FRAMES; t++) {
            double level[2], x[2], width[2];
            if (!single(&p, t, kind, &level[0], &x[0], &width[0]) ||
                !single(&p, t + 1, kind, &level[1], &x[1], &width[1]) ||
                fabs(width[0] - width[1]) > 1e-3) {
                continue;
            }
            const double step = fabs(x[1] - x[0]);
            if (step > 10) continue; // the next alteration
            m.pairs++;
            m.change += fabs(level[1] - level[0]);
            m.slowest = fmin(m.slowest, step);
            m.fastest = fmax(m.fastest, step);
        }
        sac_pseudo_close(&p);
    }
    m.change /= (double)(m.pairs > 0 ? m.pairs : 1);
    return m;
}

Test(distill_pseudo, a_frozen_object_slides_without_change) {
    scene s = scene_make();
    const motion frozen = measure(&s, SAC_PSEUDO_FROZEN);
    cr_assert(frozen.pairs > 40, "%lld pairs", (long long)frozen.pairs);
    cr_assert(frozen.change < 1, "the posture changes by %g gray levels a frame", frozen.change);
    // 1 to 3 times the movers' 0.75 to 1.25 px a frame.
    cr_assert(frozen.slowest > 0.7 && frozen.fastest < 3.8 && frozen.fastest > 1.5,
              "%g to %g px a frame", frozen.slowest, frozen.fastest);
    scene_close(&s);
}

Test(distill_pseudo, a_hurried_object_is_faster_and_a_control_is_not) {
    scene s = scene_make();
    const motion faster = measure(&s, SAC_PSEUDO_FASTER), control = measure(&s, SAC_PSEUDO_CONTROL);
    cr_assert(faster.pairs > 40 && control.pairs > 40);
    cr_assert(faster.change > 5 && control.change > 5, "both keep their gait: %g, %g",
              faster.change, control.change);
    cr_assert(faster.slowest > 1.2 && faster.fastest < 5.1, "%g to %g px a frame", faster.slowest,
              faster.fastest);
    cr_assert(control.slowest > 0.7 && control.fastest < 1.3, "%g to %g px a frame",
              control.slowest, control.fastest);
    scene_close(&s);
}

static void unchanged(const mover *m, int count, int64_t frames, int width, int height) {
    uint8_t *pixels = movers_render(m, count, frames, width, height);
    sac_detections d = movers_detect(m, count, frames);
    for (uint64_t seed = 1; seed <= 3; seed++) {
        sac_pseudo p = {0};
        sac_assert_ok(sac_pseudo_make(&p, pixels, width, height, 1, &d, NULL, seed, NULL), NULL);
        cr_assert_eq(p.altered.count, 0);
        cr_assert_arr_eq(p.pixels, pixels, (size_t)(frames * width * height));
        for (int64_t t = 0; t < frames; t++) cr_assert_eq(p.kinds[t], 0);
        for (int64_t b = 0; b < d.count; b++) cr_assert(!p.removed[b]);
        sac_pseudo_close(&p);
    }
    sac_free(pixels);
    sac_detections_close(&d);
}

Test(distill_pseudo, without_tracks_the_clip_is_copied) {
    const mover brief = {
        .first = 3, .frames = 11, .x = 20, .y = 20, .width = 10, .height = 10, .level = 200};
    unchanged(&brief, 0, 30, W, H);
    unchanged(&brief, 1, 30, W, H); // a frame too short
    unchanged(&brief, 0, 1, 17, 13);
    const mover single_frame = {.frames = 1, .x = 2, .y = 2, .width = 5, .height = 5, .level = 99};
    unchanged(&single_frame, 1, 1, 17, 13);
    // One frame more, and there is something to alter.
    const mover longer = {
        .first = 3, .frames = 12, .x = 20, .y = 20, .width = 10, .height = 10, .level = 200};
    uint8_t *pixels = movers_render(&longer, 1, 30, W, H);
    sac_detections d = movers_detect(&longer, 1, 30);
    sac_pseudo p = {0};
    cr_assert_eq(sac_pseudo_make(&p, pixels, W, H, 1, &d, NULL, 1, NULL), SAC_OK);
    cr_assert_gt(p.altered.count, 0);
    sac_pseudo_close(&p);
    sac_free(pixels);
    sac_detections_close(&d);
}

// A clip that can hold one shortest track but no alteration of eight frames behind it.
Test(distill_pseudo, clips_of_every_short_length) {
    for (int64_t frames = 1; frames <= 30; frames++) {
        const mover m = {
            .frames = frames, .x = 1, .y = 1, .vx = 0.3, .width = 6, .height = 8, .level = 220};
        uint8_t *pixels = movers_render(&m, 1, frames, 17, 13);
        sac_detections d = movers_detect(&m, 1, frames);
        for (uint64_t seed = 1; seed <= 5; seed++) {
            sac_pseudo p = {0};
            sac_assert_ok(sac_pseudo_make(&p, pixels, 17, 13, 1, &d, NULL, seed, NULL), NULL);
            cr_assert(p.altered.count <= 2 * frames);
            sac_pseudo_close(&p);
        }
        sac_free(pixels);
        sac_detections_close(&d);
    }
}

// Boxes come from files: huge, tiny, far outside, in a picture of odd size.
Test(distill_pseudo, foreign_boxes_do_no_harm) {
    static const float foreign[][4] = {
        {-1e6f, -1e6f, 1e6f, 1e6f},
        {3, 4, 3.00002f, 4.00002f},
        {16.5f, 12.5f, 17, 13},
        {1e6f - 1, 1e6f - 1, 1e6f, 1e6f},
        {-50, -50, -40, -40},
        {-3, 2, 20, 2.5f},
        {2, -1e6f, 3, 1e6f},
        {8, 6, 8.0000010f, 1000000},
        {0, 0, 17, 13},
        {5, 5, 5, 9},
    };
    enum { COUNT = sizeof foreign / sizeof foreign[0], LONG = 40 };
    uint8_t *pixels = movers_render(movers, MOVERS, LONG, 17, 13);
    sac_detections d = movers_detect(movers, 0, LONG);
    sac_free(d.boxes);
    d.boxes = sac_calloc(LONG * COUNT, sizeof *d.boxes);
    cr_assert_not_null(d.boxes);
    for (int64_t t = 0; t < LONG; t++) {
        d.start[t] = d.count;
        for (int i = 0; i < COUNT; i++) {
            const float *f = foreign[i];
            d.boxes[d.count++] = (sac_box){f[0], f[1], f[2], f[3], 1, -1};
        }
    }
    d.start[LONG] = d.count;
    int64_t drawn = 0;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        sac_pseudo p = {0};
        sac_assert_ok(sac_pseudo_make(&p, pixels, 17, 13, 1, &d, NULL, seed, NULL), NULL);
        for (int64_t b = 0; b < p.altered.count; b++) {
            const sac_box *box = &p.altered.boxes[b];
            cr_assert(box->x1 >= 0 && box->y1 >= 0 && box->x2 <= 17 && box->y2 <= 13);
            cr_assert(box->x2 - box->x1 >= 1 && box->y2 - box->y1 >= 1);
        }
        drawn += p.altered.count;
        sac_pseudo_close(&p);
    }
    cr_assert(drawn > 0);
    sac_free(pixels);
    sac_detections_close(&d);
}

Test(distill_pseudo, kinds_have_names) {
    cr_assert_str_eq(sac_pseudo_kind_name(SAC_PSEUDO_FASTER), "faster");
    cr_assert_str_eq(sac_pseudo_kind_name(SAC_PSEUDO_CONTROL), "control");
    cr_assert_str_eq(sac_pseudo_kind_name(SAC_PSEUDO_KIND_COUNT), "unknown");
}

Test(distill_pseudo, out_of_memory_leaves_nothing_behind) {
    scene s = scene_make();
    int64_t failures = 0;
    for (;; failures++) {
        sac_pseudo p;
        sac_memory_fail_after(failures);
        const sac_status status = sac_pseudo_make(&p, s.pixels, W, H, 1, &s.d, NULL, 3, NULL);
        sac_memory_fail_after(-1);
        if (status == SAC_OK) {
            cr_assert(p.altered.count > 64, "the list of boxes grew");
            sac_pseudo_close(&p);
            break;
        }
        cr_assert_eq(status, SAC_ERROR_MEMORY);
        cr_assert(p.pixels == NULL && p.removed == NULL && p.kinds == NULL &&
                  p.altered.boxes == NULL && p.altered.start == NULL);
    }
    cr_assert(failures > 12, "only %lld allocations failed", (long long)failures);
    scene_close(&s);
}

// ---- further kinds ------------------------------------------------------------------------------

static sac_pseudo make_kind(const scene *s, sac_pseudo_kind kind, uint64_t seed) {
    sac_pseudo p = {0};
    sac_pseudo_mix mix = {{0}};
    mix.weights[kind] = 1;
    sac_assert_ok(sac_pseudo_make(&p, s->pixels, W, H, 1, &s->d, &mix, seed, NULL), NULL);
    return p;
}

Test(distill_pseudo, every_kind_alone) {
    scene s = scene_make();
    for (int k = 0; k < SAC_PSEUDO_KIND_COUNT; k++) {
        const sac_pseudo_kind kind = (sac_pseudo_kind)k;
        const bool stays = kind == SAC_PSEUDO_FROZEN || kind == SAC_PSEUDO_ELSEWHERE ||
                           kind == SAC_PSEUDO_CONTROL || kind == SAC_PSEUDO_SHAPE ||
                           kind == SAC_PSEUDO_APPEARING;
        int64_t boxes = 0, removed = 0, changed_boxes = 0;
        for (uint64_t seed = 1; seed <= 6; seed++) {
            sac_pseudo p = make_kind(&s, kind, seed), q = make_kind(&s, kind, seed);
            cr_assert_arr_eq(p.pixels, q.pixels, FRAMES * W * H);
            sac_pseudo_close(&q);
            for (int64_t t = 0; t < FRAMES; t++) {
                const uint8_t *was = s.pixels + t * W * H, *now = p.pixels + t * W * H;
                const int64_t begin = p.altered.start[t], end = p.altered.start[t + 1];
                cr_assert_eq(p.kinds[t], begin < end ? 1u << k : 0);
                for (int64_t b = begin; b < end; b++) {
                    const sac_box *box = &p.altered.boxes[b];
                    int64_t changed = 0, area = 0;
                    cr_assert_eq(box->class_id, k);
                    cr_assert(box->x1 >= 0 && box->y1 >= 0 && box->x2 <= W && box->y2 <= H);
                    for (int y = (int)box->y1; y < (int)box->y2; y++) {
                        for (int x = (int)box->x1; x < (int)box->x2; x++, area++)
                            changed += was[y * W + x] != now[y * W + x];
                    }
                    boxes++;
                    changed_boxes += 5 * changed > area;
                }
                for (int y = 0; y < H; y++) {
                    for (int x = 0; x < W; x++) {
                        if (was[y * W + x] == now[y * W + x]) continue;
                        bool explained = false;
                        for (int64_t b = begin; b < end && !explained; b++)
                            explained = in_reach(&p.altered.boxes[b], x, y);
                        for (int64_t b = s.d.start[t]; b < s.d.start[t + 1] && !explained; b++)
                            explained = p.removed[b] && in_reach(&s.d.boxes[b], x, y);
                        cr_assert(explained, "%s: seed %d frame %lld: pixel %d,%d changed",
                                  sac_pseudo_kind_name(kind), (int)seed, (long long)t, x, y);
                    }
                }
            }
            for (int64_t b = 0; b < s.d.count; b++) removed += p.removed[b];
            sac_pseudo_close(&p);
        }
        cr_assert(boxes > 60, "%s: %lld boxes", sac_pseudo_kind_name(kind), (long long)boxes);
        // An object that blinks in its own place looks as it did wherever it is visible.
        cr_assert(kind == SAC_PSEUDO_VANISHING || 10 * changed_boxes >= 7 * boxes,
                  "%s: %lld of %lld boxes show a change", sac_pseudo_kind_name(kind),
                  (long long)changed_boxes, (long long)boxes);
        cr_assert_eq(removed > 0, !stays, "%s: %lld removed", sac_pseudo_kind_name(kind),
                     (long long)removed);
    }
    scene_close(&s);
}

Test(distill_pseudo, slower_reversed_and_scaled_objects_are_so) {
    scene s = scene_make();
    int64_t slow = 0, back = 0, sized = 0;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        sac_pseudo p = make_kind(&s, SAC_PSEUDO_SLOWER, seed),
                   r = make_kind(&s, SAC_PSEUDO_REVERSED, seed),
                   z = make_kind(&s, SAC_PSEUDO_SCALED, seed);
        for (int64_t t = 0; t + 1 < FRAMES; t++) {
            double level[2], x[2], width[2];
            if (single(&p, t, SAC_PSEUDO_SLOWER, &level[0], &x[0], &width[0]) &&
                single(&p, t + 1, SAC_PSEUDO_SLOWER, &level[1], &x[1], &width[1]) &&
                fabs(x[1] - x[0]) < 4) {
                slow++;
                // 0.25 to 0.6 times the movers' 0.75 to 1.25 px a frame
                cr_assert(fabs(x[1] - x[0]) > 0.15 && fabs(x[1] - x[0]) < 0.8, "%g",
                          fabs(x[1] - x[0]));
            }
            if (single(&r, t, SAC_PSEUDO_REVERSED, &level[0], &x[0], &width[0]) &&
                single(&r, t + 1, SAC_PSEUDO_REVERSED, &level[1], &x[1], &width[1]) &&
                fabs(x[1] - x[0]) < 2 && fabs(width[0] - width[1]) < 1e-3) {
                // The mover of width 9 walks to the left, the others to the right.
                const bool leftwards = fabs(width[0] - 9) < 0.1;
                back++;
                cr_assert((x[1] - x[0] > 0) == leftwards, "a step of %g", x[1] - x[0]);
            }
            if (single(&z, t, SAC_PSEUDO_SCALED, &level[0], &x[0], &width[0])) {
                sized++;
                cr_assert((width[0] < 0.66 * 12) || width[0] > 1.59 * 9, "%g", width[0]);
            }
        }
        sac_pseudo_close(&p);
        sac_pseudo_close(&r);
        sac_pseudo_close(&z);
    }
    cr_assert(slow > 40 && back > 40 && sized > 40, "%lld %lld %lld", (long long)slow,
              (long long)back, (long long)sized);
    scene_close(&s);
}

Test(distill_pseudo, what_blinks_is_there_and_gone) {
    scene s = scene_make();
    const sac_pseudo_kind kinds[2] = {SAC_PSEUDO_APPEARING, SAC_PSEUDO_VANISHING};
    for (int i = 0; i < 2; i++) {
        int64_t changes = 0, longest = 0;
        for (uint64_t seed = 1; seed <= 6; seed++) {
            sac_pseudo p = make_kind(&s, kinds[i], seed);
            int64_t run = 0;
            for (int64_t t = 1; t < FRAMES; t++) {
                changes += (p.kinds[t] != 0) != (p.kinds[t - 1] != 0);
                run = p.kinds[t] != 0 ? run + 1 : 0;
                longest = run > longest ? run : longest;
            }
            sac_pseudo_close(&p);
        }
        cr_assert(changes > 60 && longest <= 40, "%lld changes, %lld frames", (long long)changes,
                  (long long)longest); // two may overlap
    }
    scene_close(&s);
}

Test(distill_pseudo, mixes_are_read) {
    sac_pseudo_mix mix;
    sac_error error = {0};
    const sac_pseudo_mix usual = sac_pseudo_default_mix();
    sac_assert_ok(sac_pseudo_mix_parse(&mix, "default", &error), &error);
    for (int k = 0; k < SAC_PSEUDO_KIND_COUNT; k++) cr_assert_eq(mix.weights[k], usual.weights[k]);
    sac_assert_ok(sac_pseudo_mix_parse(&mix, "all", &error), &error);
    for (int k = 0; k < SAC_PSEUDO_KIND_COUNT; k++) cr_assert(mix.weights[k] > 0);
    sac_assert_ok(sac_pseudo_mix_parse(&mix, "default,shape:0.5,slower", &error), &error);
    cr_assert(mix.weights[SAC_PSEUDO_SHAPE] == 0.5 && mix.weights[SAC_PSEUDO_SLOWER] == 0.25 &&
              mix.weights[SAC_PSEUDO_FASTER] == 0.35 && mix.weights[SAC_PSEUDO_SCALED] == 0);
    static const char *const bad[] = {
        "",
        "fastest",
        "faster,",
        "faster,faster",
        "faster:0",
        "faster:x",
        "all,shape",
        "faster:1e9",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        error = (sac_error){0};
        sac_assert_error(sac_pseudo_mix_parse(&mix, bad[i], &error), SAC_ERROR_ARGUMENT, &error,
                         "known: faster, frozen", NULL);
    }
    cr_assert_str_eq(sac_pseudo_kind_name(SAC_PSEUDO_KIND_COUNT), "unknown");
}

Test(distill_pseudo, textures_and_shapes_stay_in_range_and_vary) {
    sac_rng rng;
    sac_rng_seed(&rng, 9, 9);
    int seen[SAC_TEXTURE_KIND_COUNT] = {0};
    for (int i = 0; i < 60; i++) {
        sac_texture t;
        sac_texture_draw(&t, &rng, 3 + i);
        cr_assert(t.period >= 2 && fabs(t.low - t.high) >= 59.99);
        double lo = 255, hi = 0;
        for (int y = 0; y < 40; y++) {
            for (int x = 0; x < 40; x++) {
                const double v = sac_texture_at(&t, x - 20, y - 20);
                cr_assert(v >= 0 && v <= 255);
                lo = fmin(lo, v);
                hi = fmax(hi, v);
            }
        }
        cr_assert_eq(hi - lo > 10, t.kind != SAC_TEXTURE_FLAT, "kind %d: %g to %g", t.kind, lo, hi);
        seen[t.kind]++;
        sac_shape s;
        sac_shape_draw(&s, &rng);
        double area = 0;
        for (int y = -20; y <= 20; y++) {
            for (int x = -20; x <= 20; x++) {
                const double a = sac_shape_alpha(&s, x / 20.0, y / 20.0, 0.1);
                cr_assert(a >= 0 && a <= 1);
                cr_assert(x * x + y * y <= 400 || a == 0, "beyond the unit circle");
                area += a / 1681;
            }
        }
        cr_assert(area > 0.1 && area < 0.8, "covers %g", area);
    }
    for (int k = 0; k < SAC_TEXTURE_KIND_COUNT; k++) cr_assert(seen[k] > 2);
}

Test(distill_pseudo, a_contact_sheet_is_drawn) {
    scene s = scene_make();
    sac_pseudo_mix mix;
    sac_error error = {0};
    sac_pseudo p = {0};
    sac_assert_ok(sac_pseudo_mix_parse(&mix, "all", &error), &error);
    sac_assert_ok(sac_pseudo_make(&p, s.pixels, W, H, 1, &s.d, &mix, 5, NULL), NULL);
    sac_maps maps = {.frames = FRAMES,
                     .map16 = sac_calloc(FRAMES * 256, sizeof(float)),
                     .map4 = sac_calloc(FRAMES * 16, sizeof(float)),
                     .map1 = sac_calloc(FRAMES, sizeof(float))};
    const char *path = sac_test_path("sheet.png");
    sac_assert_ok(sac_pseudo_show(path, &p, W, H, &maps, &error), &error);
    uint8_t *png = NULL;
    size_t size = 0;
    sac_assert_ok(sac_file_read(&png, &size, path, 1 << 26, &error), &error);
    cr_assert(size > 10000 && memcmp(png, "\x89PNG", 4) == 0);
    sac_free(png);
    sac_assert_error(sac_pseudo_show("/no/such/folder/a.png", &p, W, H, &maps, &error),
                     SAC_ERROR_IO, &error, "/no/such/folder", NULL);
    sac_pseudo_close(&p);
    // Nothing altered: no picture.
    sac_detections none = movers_detect(movers, 0, FRAMES);
    const char *empty = sac_test_path("empty.png");
    sac_assert_ok(sac_pseudo_make(&p, s.pixels, W, H, 1, &none, &mix, 5, NULL), NULL);
    sac_assert_ok(sac_pseudo_show(empty, &p, W, H, &maps, &error), &error);
    cr_assert(!sac_is_file(empty));
    sac_detections_close(&none);
    sac_pseudo_close(&p);
    sac_maps_close(&maps);
    scene_close(&s);
}

Test(distill_pseudo, each_kind_has_its_auc) {
    // Two normal frames, one with a control, then faster (well told), frozen (half), both.
    const uint16_t kinds[7] = {0,
                               0,
                               1u << SAC_PSEUDO_CONTROL,
                               1u << SAC_PSEUDO_FASTER,
                               1u << SAC_PSEUDO_FROZEN,
                               1u << SAC_PSEUDO_FROZEN,
                               1u << SAC_PSEUDO_FASTER | 1u << SAC_PSEUDO_CONTROL};
    const float scores[7] = {0.1f, 0.2f, 0.3f, 0.9f, 0.15f, 0.8f, 0.25f};
    double aucs[SAC_PSEUDO_KIND_COUNT];
    sac_error error = {0};
    sac_assert_ok(sac_kind_auc(aucs, scores, kinds, 7, &error), &error);
    cr_assert_float_eq(aucs[SAC_PSEUDO_FASTER], 5.0 / 6, 1e-12);
    cr_assert_float_eq(aucs[SAC_PSEUDO_FROZEN], 4.0 / 6, 1e-12);
    cr_assert_float_eq(aucs[SAC_PSEUDO_CONTROL], 1, 1e-12);
    cr_assert(isnan(aucs[SAC_PSEUDO_SHAPE]));
    sac_assert_ok(sac_kind_auc(aucs, scores, kinds, 0, &error), &error);
    cr_assert(isnan(aucs[SAC_PSEUDO_FASTER]));
    const float bad[7] = {NAN};
    cr_assert_eq(sac_kind_auc(aucs, bad, kinds, 7, &error), SAC_ERROR_NUMERIC);
}
