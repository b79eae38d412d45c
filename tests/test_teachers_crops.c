// Crops of objects: cut on demand and from the memory-mapped file, hostile files, samples and
// batches.
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

#include "core/file.h"
#include "core/memory.h"
#include "core/rng.h"
#include "helper.h"
#include "teachers/crops.h"
#include "teachers/ssmtl_batch.h"
#include "teachers/ssmtl_feed.h"
#include "video/scale.h"

enum { W = 40, H = 30, FRAMES = 12, SIZE = 16, MARGIN = 2, SIDE = SIZE + 2 * MARGIN, COUNT = 9 };
enum { AREA = SIZE * SIZE };

typedef struct scene {
    uint8_t pixels[FRAMES * W * H];
    sac_crop_object objects[COUNT];
} scene;

static scene *make_scene(void) {
    scene *s = sac_calloc(1, sizeof *s);
    sac_rng rng;
    sac_rng_seed(&rng, 6, 0);
    for (int i = 0; i < FRAMES * W * H; i++) s->pixels[i] = (uint8_t)sac_rng_below(&rng, 256);
    for (int i = 0; i < COUNT; i++) {
        s->objects[i] = (sac_crop_object){.pixels = s->pixels,
                                          .width = W,
                                          .height = H,
                                          .frames = FRAMES,
                                          .t = i * (FRAMES - 1) / (COUNT - 1),
                                          .box = {(float)i, 4, (float)i + 17, 25.5f, 1, -1}};
    }
    return s;
}

static int64_t cut_time(int64_t t) {
    return t < 0 ? 0 : t < FRAMES ? t : FRAMES - 1;
}

Test(teachers_crops, cut_with_margin) {
    scene *s = make_scene();
    for (int i = 0; i < COUNT; i++) {
        for (int offset = -SAC_CROP_REACH; offset <= SAC_CROP_REACH; offset++) {
            uint8_t bare[AREA], wide[SIDE * SIDE];
            float crop[AREA];
            const sac_crop_object *o = &s->objects[i];
            cr_assert_eq(sac_crop_object_cut(bare, SIZE, 0, o, offset), SAC_OK);
            cr_assert_eq(sac_crop_object_cut(wide, SIZE, MARGIN, o, offset), SAC_OK);
            sac_crop_gray(crop, SIZE, SIZE, s->pixels + cut_time(o->t + offset) * W * H, W, H,
                          (double)o->box.x1, (double)o->box.y1, (double)o->box.x2,
                          (double)o->box.y2);
            for (int y = 0; y < SIZE; y++) {
                for (int x = 0; x < SIZE; x++) {
                    int value = bare[y * SIZE + x];
                    // The same samples, so the same gray but for the last bit of their sum.
                    cr_assert(abs(value - wide[(y + MARGIN) * SIDE + x + MARGIN]) <= 1);
                    cr_assert(fabsf((float)value - crop[y * SIZE + x] * 255) <= 0.501f);
                }
            }
        }
    }
    sac_memory_fail_after(0);
    uint8_t bare[AREA];
    cr_assert_eq(sac_crop_object_cut(bare, SIZE, 0, &s->objects[0], 0), SAC_ERROR_MEMORY);
    sac_memory_fail_after(-1);
    sac_free(s);
}

static sac_crop_cache *make_cache(const char *path, const scene *s, int64_t features) {
    sac_crop_cache *cache = NULL;
    sac_error error = {0};
    sac_assert_ok(sac_crop_cache_create(&cache, path, COUNT, SIDE, features, 77, &error), &error);
    sac_assert_ok(sac_crop_cache_put(cache, 0, s->objects, 4, SIZE), NULL);
    sac_assert_ok(sac_crop_cache_put(cache, 4, s->objects + 4, COUNT - 4, SIZE), NULL);
    for (int64_t i = 0; i < COUNT; i++) {
        for (int64_t k = 0; k < features; k++)
            sac_crop_cache_features(cache, i)[k] = (float)(10 * i + k);
    }
    sac_assert_ok(sac_crop_cache_commit(cache, &error), &error);
    return cache;
}

Test(teachers_crops, cached_equals_direct) {
    scene *s = make_scene();
    const char *path = sac_test_path("cache.crops");
    sac_crop_cache *cache = make_cache(path, s, 3);
    sac_error error = {0};
    for (int round = 0; round < 2; round++) { // as made, and as opened again
        const sac_crop_source direct = {SIZE, MARGIN, s->objects, NULL};
        const sac_crop_source cached = {SIZE, MARGIN, NULL, cache};
        for (int64_t i = 0; i < COUNT; i++) {
            for (int offset = -SAC_CROP_REACH; offset <= SAC_CROP_REACH; offset++) {
                uint8_t scratch[SIDE * SIDE];
                cr_assert_eq(memcmp(sac_crop_source_get(&direct, i, offset, scratch),
                                    sac_crop_source_get(&cached, i, offset, NULL), SIDE * SIDE),
                             0, "object %d at %d", (int)i, offset);
            }
            for (int k = 0; k < 3; k++)
                cr_assert_eq(sac_crop_cache_features(cache, i)[k], (float)(10 * i + k));
        }
        sac_crop_cache_close(&cache);
        cr_assert_null(cache);
        if (round == 0) {
            sac_assert_ok(sac_crop_cache_open(&cache, path, COUNT, SIDE, 3, 77, &error), &error);
        }
    }
    sac_free(s);
}

Test(teachers_crops, refuses_hostile_files) {
    scene *s = make_scene();
    const char *path = sac_test_path("good.crops");
    sac_crop_cache *cache = make_cache(path, s, 0);
    sac_error error = {0};
    sac_crop_cache_close(&cache);
    sac_free(s);
    // Of another run.
    static const struct {
        int64_t objects, features;
        int side;
        uint64_t stamp;
    } other[] = {{COUNT, 0, SIDE, 78},
                 {COUNT, 1, SIDE, 77},
                 {COUNT + 1, 0, SIDE, 77},
                 {COUNT, 0, SIDE + 1, 77}};
    for (size_t i = 0; i < sizeof other / sizeof other[0]; i++) {
        error = (sac_error){0};
        sac_assert_error(sac_crop_cache_open(&cache, path, other[i].objects, other[i].side,
                                             other[i].features, other[i].stamp, &error),
                         SAC_ERROR_FORMAT, &error, "good.crops", NULL);
        cr_assert_null(cache);
    }
    error = (sac_error){0};
    sac_assert_error(sac_crop_cache_open(&cache, sac_test_path("none"), COUNT, SIDE, 0, 77, &error),
                     SAC_ERROR_IO, &error, "none", NULL);
    error = (sac_error){0};
    sac_assert_error(sac_crop_cache_open(&cache, sac_test_folder(), COUNT, SIDE, 0, 77, &error),
                     SAC_ERROR_IO, &error, NULL);
    // Cut short, longer, and with each byte of the header changed.
    uint8_t *bytes = NULL;
    size_t size = 0;
    error = (sac_error){0};
    sac_assert_ok(sac_file_read(&bytes, &size, path, 1u << 28, &error), &error);
    cr_assert_eq((int64_t)size, sac_crop_cache_bytes(COUNT, SIDE, 0));
    for (size_t cut = 0; cut < size; cut += cut < 70 ? 7 : size / 5) {
        error = (sac_error){0};
        sac_assert_error(sac_crop_cache_open(&cache, sac_test_write("cut.crops", bytes, cut), COUNT,
                                             SIDE, 0, 77, &error),
                         SAC_ERROR_FORMAT, &error, "cut.crops", NULL);
    }
    for (size_t at = 0; at < 64; at++) {
        bytes[at] ^= 0x41;
        error = (sac_error){0};
        sac_assert_error(sac_crop_cache_open(&cache, sac_test_write("bad.crops", bytes, size),
                                             COUNT, SIDE, 0, 77, &error),
                         SAC_ERROR_FORMAT, &error, "bad.crops", NULL);
        bytes[at] ^= 0x41;
    }
    sac_free(bytes);
    // An unfinished one.
    error = (sac_error){0};
    sac_assert_ok(sac_crop_cache_create(&cache, path, COUNT, SIDE, 0, 77, &error), &error);
    sac_crop_cache_close(&cache);
    sac_assert_error(sac_crop_cache_open(&cache, path, COUNT, SIDE, 0, 77, &error),
                     SAC_ERROR_FORMAT, &error, "unfinished", NULL);
}

Test(teachers_crops, full_disk_and_bad_sizes) {
    sac_crop_cache *cache = NULL;
    sac_error error = {0};
    const char *path = sac_test_path("large.crops");
    sac_assert_error(sac_crop_cache_create(&cache, path, (int64_t)1 << 36, 320, 4096, 1, &error),
                     SAC_ERROR_IO, &error, "large.crops", "GB", NULL);
    cr_assert_null(cache);
    cr_assert(!sac_is_file(path), "nothing is left");
    cr_assert_eq(sac_crop_cache_bytes(INT64_MAX / 8, 320, 0), -1);
    static const struct {
        int64_t objects, features;
        int side;
    } bad[] = {{0, 0, 16}, {INT64_MAX / 2, 0, 16}, {4, -1, 16}, {4, 0, 0}, {4, 0, 5000}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        error = (sac_error){0};
        sac_assert_error(sac_crop_cache_create(&cache, path, bad[i].objects, bad[i].side,
                                               bad[i].features, 1, &error),
                         SAC_ERROR_ARGUMENT, &error, "out of range", NULL);
    }
    error = (sac_error){0};
    sac_assert_error(sac_crop_cache_create(&cache, "/nowhere/x.crops", 4, 16, 0, 1, &error),
                     SAC_ERROR_IO, &error, "/nowhere/x.crops", NULL);
}

// ---- batches
// -----------------------------------------------------------------------------------------------

static sac_ssmtl_design full_design(void) {
    sac_ssmtl_design d = sac_ssmtl_default_design();
    d.crop_size = SIZE;
    d.tasks |= SAC_SSMTL_BIT(SAC_SSMTL_JIGSAW) | SAC_SSMTL_BIT(SAC_SSMTL_INPAINTING) |
               SAC_SSMTL_BIT(SAC_SSMTL_PSEUDO);
    return d;
}

// The crop a row shows at an offset, mirrored or not.
static void expected_crop(float *crop, const scene *s, int64_t row, int offset, bool mirrored) {
    uint8_t wide[SIDE * SIDE];
    cr_assert_eq(sac_crop_object_cut(wide, SIZE, MARGIN, &s->objects[row], offset), SAC_OK);
    for (int y = 0; y < SIZE; y++) {
        for (int x = 0; x < SIZE; x++) {
            int from = mirrored ? SIZE - 1 - x : x;
            crop[y * SIZE + x] = (float)wide[(y + MARGIN) * SIDE + from + MARGIN] / 255.0f;
        }
    }
}

Test(teachers_crops, batches_are_filled_as_described) {
    scene *s = make_scene();
    const sac_ssmtl_design design = full_design();
    const sac_crop_source source = {SIZE, MARGIN, s->objects, NULL};
    sac_ssmtl_batch *b = NULL;
    sac_assert_ok(sac_ssmtl_batch_create(&b, &design, COUNT, true), NULL);
    sac_ssmtl_permutations permutations;
    sac_ssmtl_permutations_make(&permutations);
    for (int i = 0; i < COUNT; i++) {
        b->samples[i] = sac_ssmtl_sample_plain(i);
        b->samples[i].reversed = (i & 1) != 0;
        b->samples[i].intermittent = (i & 2) != 0;
        b->samples[i].mirrored = (i & 4) != 0;
        const int8_t offsets[] = {-9, -6, -2, 0, 1, 3, 4};
        memcpy(b->samples[i].offsets, offsets, sizeof offsets);
        b->samples[i].permutation = 7 * i;
        b->samples[i].other = COUNT - 1 - i;
        b->samples[i].mixed = 0xf00f;
        b->samples[i].turn = (uint8_t)(1 + i % 3);
    }
    sac_assert_ok(sac_ssmtl_batch_fill(b, &source, COUNT, true), NULL);
    int64_t dims[2] = {SIZE, SIZE};
    for (int i = 0; i < COUNT; i++) {
        const sac_ssmtl_sample *a = &b->samples[i];
        float crops[7][AREA], other[AREA], expected[AREA];
        double mean = 0, deviation = 0;
        for (int k = 0; k < 7; k++) expected_crop(crops[k], s, i, k - 3, a->mirrored);
        for (int k = 0; k < 7; k++) {
            const float *irregular = b->irregular + (i * 7 + k) * AREA;
            expected_crop(expected, s, i, a->intermittent ? a->offsets[k] : k - 3, a->mirrored);
            sac_assert_close(irregular, expected, 2, dims, 1e-6, "irregular");
            for (int p = 0; p < AREA; p++) {
                int y = p / SIZE, x = p % SIZE, patch = y / 4 * 4 + x / 4;
                int from = permutations.order[a->permutation][patch];
                float moved = crops[k][(from / 4 * 4 + y % 4) * SIZE + from % 4 * 4 + x % 4];
                cr_assert_float_eq(b->jigsaw[(i * 7 + k) * AREA + p], moved, 1e-6);
                bool hidden = (SAC_SSMTL_CHESSBOARD >> patch & 1) != 0;
                cr_assert_float_eq(b->inpainting[(i * 7 + k) * AREA + p],
                                   hidden ? 0.5f : crops[k][p], 1e-6);
            }
            if (k == 3) continue;
            int row = k < 3 ? k : k - 1;
            sac_assert_close(b->arrow + (i * 6 + row) * AREA, crops[a->reversed ? 6 - k : k], 2,
                             dims, 1e-6, "arrow");
            expected_crop(other, s, a->other, k - 3, a->mirrored);
            for (int p = 0; p < AREA; p++) {
                int y = p / SIZE, x = p % SIZE, patch = y / 4 * 4 + x / 4;
                // Quarter turns: where a pixel of the turned crop comes from.
                int turned = a->turn == 1   ? x * SIZE + SIZE - 1 - y
                             : a->turn == 2 ? AREA - 1 - p
                                            : (SIZE - 1 - x) * SIZE + y;
                expected[p] = (0xf00f >> patch & 1) != 0 ? other[turned] : crops[k][p];
            }
            sac_assert_close(b->pseudo + (i * 6 + row) * AREA, expected, 2, dims, 1e-6, "pseudo");
        }
        for (int p = 0; p < AREA; p++) {
            expected[p] = crops[3][p] - 0.5f * (crops[2][p] + crops[4][p]);
            mean += (double)crops[3][p] / AREA;
        }
        for (int p = 0; p < AREA; p++) deviation += fabs((double)crops[3][p] - mean) / AREA;
        sac_assert_close(b->middle + i * AREA, expected, 2, dims, 1e-6, "residual");
        sac_assert_close(b->crop + i * AREA, crops[3], 2, dims, 1e-6, "middle crop");
        cr_assert_float_eq(b->contrast[i], deviation, 1e-6);
        cr_assert_eq(b->arrow_class[i], a->reversed);
        cr_assert_eq(b->irregular_class[i], a->intermittent);
        cr_assert_eq(b->jigsaw_class[i], a->permutation);
    }
    sac_ssmtl_batch_close(&b);
    sac_free(s);
}

// A shifted, scaled, brighter crop of a ramp is the ramp at those places.
Test(teachers_crops, augmentation_resamples) {
    scene *s = make_scene();
    for (int t = 0; t < FRAMES; t++) {
        for (int y = 0; y < H; y++) {
            for (int x = 0; x < W; x++) s->pixels[(t * H + y) * W + x] = (uint8_t)(3 * x + 4 * y);
        }
    }
    s->objects[0].box = (sac_box){10, 8, 10 + SIZE, 8 + SIZE, 1, -1}; // a pixel is a pixel
    sac_ssmtl_design design = sac_ssmtl_default_design();
    design.crop_size = SIZE;
    design.residual = false;
    const sac_crop_source source = {SIZE, MARGIN, s->objects, NULL};
    sac_ssmtl_batch *b = NULL;
    sac_assert_ok(sac_ssmtl_batch_create(&b, &design, 1, true), NULL);
    b->samples[0] = sac_ssmtl_sample_plain(0);
    b->samples[0].mirrored = true;
    b->samples[0].zoom = 0.9f;
    b->samples[0].shift_x = 0.05f;
    b->samples[0].shift_y = -0.025f;
    b->samples[0].gain = 1.2f;
    b->samples[0].bias = -0.1f;
    sac_assert_ok(sac_ssmtl_batch_fill(b, &source, 1, false), NULL);
    for (int y = 0; y < SIZE; y++) {
        for (int x = 0; x < SIZE; x++) {
            double u = 10 + ((SIZE - 1 - x) + 0.5 - SIZE / 2.0) * 0.9 + SIZE / 2.0 + 0.05 * SIZE,
                   v = 8 + (y + 0.5 - SIZE / 2.0) * 0.9 + SIZE / 2.0 - 0.025 * SIZE;
            double gray = (3 * (u - 0.5) + 4 * (v - 0.5)) / 255;
            cr_assert_float_eq(b->middle[y * SIZE + x], (gray - 0.5) * 1.2 + 0.5 - 0.1, 1e-5);
        }
    }
    sac_ssmtl_batch_close(&b);
    sac_free(s);
}

Test(teachers_crops, draws_stay_in_range) {
    const sac_ssmtl_augmentation strong = {.mirror = true, .jitter = 1, .brightness = 1};
    const unsigned all = SAC_SSMTL_BIT(SAC_SSMTL_TASKS) - 1;
    int64_t rows[] = {3, 5, 8};
    int reversed = 0, intermittent = 0, mirrored = 0, jittered = 0, moved = 0, steps[4] = {0};
    enum { ROUNDS = 2000 };
    for (int n = 0; n < ROUNDS; n++) {
        sac_rng rng;
        sac_rng_seed(&rng, 1, (uint64_t)n);
        sac_ssmtl_sample s = sac_ssmtl_sample_draw(5, all, rows, 3, &strong, &rng);
        reversed += s.reversed;
        intermittent += s.intermittent;
        mirrored += s.mirrored;
        jittered += s.zoom != 1;
        moved += s.permutation != 0;
        cr_assert(s.other == 3 || s.other == 5 || s.other == 8);
        cr_assert(s.turn >= 1 && s.turn <= 3);
        cr_assert_eq(__builtin_popcount(s.hidden), 8);
        cr_assert_eq(__builtin_popcount(s.mixed), 8);
        cr_assert(s.permutation >= 0 && s.permutation < SAC_SSMTL_PERMUTATIONS);
        cr_assert(fabsf(s.zoom - 1) <= 0.15f && fabsf(s.shift_x) <= 0.08f);
        cr_assert(fabsf(s.gain - 1) <= 0.2f && fabsf(s.bias) <= 0.1f);
        cr_assert_eq(s.offsets[3], 0);
        for (int k = 1; s.intermittent && k < 7; k++) {
            int step = s.offsets[k] - s.offsets[k - 1];
            cr_assert(step >= 1 && step <= 3);
            steps[step]++;
        }
        // Without the tasks nothing of theirs happens.
        s = sac_ssmtl_sample_draw(5, SAC_SSMTL_BIT(SAC_SSMTL_ARROW), rows, 3, NULL, &rng);
        cr_assert(!s.intermittent && !s.mirrored && s.zoom == 1 && s.permutation == 0);
    }
    // Coins: 1000 expected, standard deviation 22; steps 2000 each of about 6000, 37.
    int coins[] = {reversed, intermittent, mirrored, jittered, moved};
    for (int k = 0; k < 5; k++)
        cr_assert(abs(coins[k] - ROUNDS / 2) < 110, "coin %d: %d", k, coins[k]);
    for (int k = 1; k <= 3; k++) cr_assert(abs(steps[k] - intermittent * 2) < 190, "%d", steps[k]);
    // Permutations: all different, the first one the identity.
    sac_ssmtl_permutations p;
    sac_ssmtl_permutations_make(&p);
    for (int i = 0; i < SAC_SSMTL_PERMUTATIONS; i++) {
        unsigned seen = 0;
        for (int k = 0; k < SAC_SSMTL_PATCHES; k++) seen |= 1u << p.order[i][k];
        cr_assert_eq(seen, 0xffffu);
        for (int j = 0; j < i; j++) {
            int different = 0;
            for (int k = 0; k < SAC_SSMTL_PATCHES; k++) different += p.order[i][k] != p.order[j][k];
            cr_assert_geq(different, 10, "orders %d and %d", i, j);
        }
        cr_assert(i > 0 || p.order[0][5] == 5);
    }
}

// The thread gives the batches that follow from seed and step, wherever it begins.
Test(teachers_crops, feed_follows_from_the_step) {
    scene *s = make_scene();
    const sac_ssmtl_design design = full_design();
    const sac_crop_source source = {SIZE, MARGIN, s->objects, NULL};
    int64_t rows[COUNT - 2];
    for (int i = 0; i < COUNT - 2; i++) rows[i] = i;
    sac_ssmtl_feed_options o = {.design = &design,
                                .source = &source,
                                .rows = rows,
                                .count = COUNT - 2,
                                .batch = 4,
                                .augmentation = {true, 1, 1},
                                .seed = 9};
    enum { STEPS = 11, FLOATS = 4 * 7 * AREA };
    float *kept = sac_calloc((int64_t)STEPS * FLOATS, sizeof *kept);
    int64_t seen[COUNT] = {0};
    sac_error error = {0};
    for (int64_t begin = 0; begin < 6; begin += 5) {
        sac_ssmtl_feed *feed = NULL;
        o.step = begin;
        sac_assert_ok(sac_ssmtl_feed_open(&feed, &o, &error), &error);
        for (int64_t k = begin; k < STEPS; k++) {
            const sac_ssmtl_batch *b = NULL;
            sac_assert_ok(sac_ssmtl_feed_next(feed, &b, &error), &error);
            if (begin == 0) {
                memcpy(kept + k * FLOATS, b->irregular, FLOATS * sizeof *kept);
                for (int i = 0; i < 4 && 4 * k + i < 5 * (COUNT - 2); i++)
                    seen[b->samples[i].row]++;
            } else {
                cr_assert_eq(memcmp(kept + k * FLOATS, b->irregular, FLOATS * sizeof *kept), 0,
                             "step %d", (int)k);
            }
        }
        sac_ssmtl_feed_close(&feed);
        cr_assert_null(feed);
    }
    // Each row once per pass.
    for (int i = 0; i < COUNT - 2; i++) cr_assert_eq(seen[i], 5, "row %d: %d", i, (int)seen[i]);
    cr_assert_neq(memcmp(kept, kept + FLOATS, FLOATS * sizeof *kept), 0);
    sac_free(kept);
    sac_free(s);
}
