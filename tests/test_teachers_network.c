// Detection networks: pictures, tiles and suppression with a network whose answers are known, YOLO
// decoding by its formula, the cache of clips, and real files on real frames.
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "core/file.h"
#include "core/memory.h"
#include "core/rng.h"
#include "core/spill.h"
#include "darknet_make.h"
#include "helper.h"
#include "teachers/detect_darknet.h"
#include "teachers/network_clip.h"

// ---- a network that finds rectangles ------------------------------------------------------------

enum { CLASSES = 6, FIRST_LEVEL = 100, LEVEL_STEP = 25 };

typedef struct finder {
    float *pictures;
    int width, height, batch;
    int64_t runs, shown;
    float confidence;
} finder;

static float *finder_picture(void *user, int index) {
    finder *f = user;
    return f->pictures + (int64_t)index * 3 * f->width * f->height;
}

// True at a pixel of this level whose neighbours have it too; blur at edges never does.
static bool is_inside(const finder *f, const float *p, int x, int y, float level) {
    static const int steps[5][2] = {{0, 0}, {1, 0}, {-1, 0}, {0, 1}, {0, -1}};
    for (int i = 0; i < 5; i++) {
        const int nx = x + steps[i][0], ny = y + steps[i][1];
        if (nx < 0 || ny < 0 || nx >= f->width || ny >= f->height) continue;
        if (fabsf(p[ny * f->width + nx] - level) > 0.01f) return false;
    }
    return true;
}

// An object of class c is a rectangle of gray level 100 + 25 c; its box is the extent of that
// level.
static sac_status finder_run(void *user, int count, double least, sac_box_list *boxes,
                             sac_error *error) {
    (void)error;
    finder *f = user;
    f->runs++;
    f->shown += count;
    for (int i = 0; i < count; i++) {
        const float *p = finder_picture(f, i);
        for (int c = 0; c < CLASSES; c++) {
            const float level = (float)(FIRST_LEVEL + LEVEL_STEP * c) / 255;
            int x1 = f->width, y1 = f->height, x2 = 0, y2 = 0;
            for (int y = 0; y < f->height; y++) {
                for (int x = 0; x < f->width; x++) {
                    if (!is_inside(f, p, x, y, level)) continue;
                    // Its neighbours belong to the object.
                    x1 = x - 1 < x1 ? (x > 0 ? x - 1 : 0) : x1;
                    y1 = y - 1 < y1 ? (y > 0 ? y - 1 : 0) : y1;
                    x2 = x + 2 > x2 ? (x + 2 < f->width ? x + 2 : f->width) : x2;
                    y2 = y + 2 > y2 ? (y + 2 < f->height ? y + 2 : f->height) : y2;
                }
            }
            if (x2 <= x1 || (double)f->confidence < least) continue;
            const sac_box box = {(float)x1, (float)y1, (float)x2, (float)y2, f->confidence, c};
            const sac_status status = sac_box_list_add(&boxes[i], &box);
            if (status < 0) return status;
        }
    }
    return SAC_OK;
}

static void finder_close(void *user) {
    finder *f = user;
    sac_free(f->pictures);
    sac_free(f);
}

static sac_box_network *make_finder(int width, int height, int batch) {
    static const char *const names[CLASSES] = {"person", "bicycle", "car", "dog", "cart", "kite"};
    finder *f = sac_calloc(1, sizeof *f);
    sac_box_network *n = sac_calloc(1, sizeof *n);
    cr_assert(f != NULL && n != NULL);
    *f = (finder){.width = width, .height = height, .batch = batch, .confidence = 0.8f};
    f->pictures = sac_calloc((int64_t)batch * 3 * width * height, sizeof(float));
    n->names = sac_calloc(CLASSES, sizeof *n->names);
    cr_assert(f->pictures != NULL && n->names != NULL);
    memcpy(n->names, names, sizeof names);
    n->user = f;
    n->input = (sac_network_input){
        .width = width, .height = height, .pad = 30, .scale = {1 / 255.0, 1 / 255.0, 1 / 255.0}};
    n->batch = batch;
    n->classes = CLASSES;
    n->text = sac_strdup("finder");
    n->stamp = sac_strdup("finder 1");
    n->picture = finder_picture;
    n->run = finder_run;
    n->close = finder_close;
    return n;
}

static void paint(uint8_t *frame, int width, const sac_box *box) {
    for (int y = (int)box->y1; y < (int)box->y2; y++) {
        memset(frame + (int64_t)y * width + (int)box->x1, FIRST_LEVEL + LEVEL_STEP * box->class_id,
               (size_t)(box->x2 - box->x1));
    }
}

static void assert_same(const sac_box_list *found, const sac_box *expected, int count, double px,
                        const char *what) {
    cr_assert_eq(found->count, count, "%s: %d boxes, expected %d", what, (int)found->count, count);
    for (int k = 0; k < count; k++) {
        bool hit = false;
        for (int64_t i = 0; i < found->count; i++) {
            const sac_box *a = &found->boxes[i], *b = &expected[k];
            hit = hit || (a->class_id == b->class_id && fabs((double)a->x1 - b->x1) <= px &&
                          fabs((double)a->y1 - b->y1) <= px && fabs((double)a->x2 - b->x2) <= px &&
                          fabs((double)a->y2 - b->y2) <= px);
        }
        cr_assert(hit, "%s: the object of class %d was not found", what, expected[k].class_id);
    }
}

Test(teachers_network, known_boxes_in_boxes_out) {
    enum { W = 200, H = 130 };
    static const sac_box objects[] = {{3, 4, 23, 44, 1, 0},
                                      {80, 20, 120, 60, 1, 1},
                                      {150, 90, 200, 130, 1, 2},
                                      {40, 70, 58, 125, 1, 3},
                                      {95, 75, 111, 99, 1, 4}};
    static uint8_t frame[W * H], rgb[W * H * 3];
    for (int i = 0; i < 5; i++) paint(frame, W, &objects[i]);
    for (int i = 0; i < W * H * 3; i++) rgb[i] = frame[i / 3];
    static const struct {
        int width, height, batch;
        double scale, overlap, px;
        bool corner;
        int64_t tiles;
    } cases[] = {
        {200, 130, 1, 0, 0.25, 0.01, false, 1}, {320, 320, 1, 0, 0.25, 1, false, 1},
        {416, 300, 1, 0, 0.25, 1, true, 1},     {400, 260, 1, 2, 0.25, 1, false, 1},
        {160, 160, 1, 1, 0.5, 0.01, false, 2},  {96, 96, 1, 1, 0.6, 0.01, false, 8},
        {96, 96, 3, 1, 0.6, 0.01, false, 8},    {200, 200, 4, 2, 0.6, 1, true, 8},
        {300, 300, 2, 3, 0.6, 1, false, 8},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char what[64];
        (void)snprintf(what, sizeof what, "case %d", (int)i);
        sac_box_network *n = make_finder(cases[i].width, cases[i].height, cases[i].batch);
        n->input.corner = cases[i].corner;
        sac_network_options o = sac_network_default_options();
        o.scale = cases[i].scale;
        o.overlap = cases[i].overlap;
        sac_error error = {0};
        sac_box_list found = {0};
        cr_assert_eq(sac_network_tiles(NULL, &n->input, W, H, &o), cases[i].tiles, "%s: %d tiles",
                     what, (int)sac_network_tiles(NULL, &n->input, W, H, &o));
        sac_assert_ok(sac_network_detect(n, &found, frame, W, H, 1, &o, &error), &error);
        cr_assert_eq(((finder *)n->user)->shown, cases[i].tiles);
        cr_assert_eq(((finder *)n->user)->runs,
                     (cases[i].tiles + cases[i].batch - 1) / cases[i].batch);
        assert_same(&found, objects, 5, cases[i].px, what);
        sac_assert_ok(sac_network_detect(n, &found, rgb, W, H, 3, &o, &error), &error);
        assert_same(&found, objects, 5, cases[i].px, what);
        sac_box_list_close(&found);
        sac_box_network_close(&n);
    }
}

// Without overlap an object on a border is only seen in parts, and nothing better replaces them.
Test(teachers_network, parts_stay_when_no_tile_shows_the_whole) {
    enum { W = 200, H = 100 };
    static uint8_t frame[W * H];
    const sac_box object = {80, 20, 120, 60, 1, 1};
    const sac_box parts[2] = {{80, 20, 100, 60, 1, 1}, {100, 20, 120, 60, 1, 1}};
    paint(frame, W, &object);
    sac_box_network *n = make_finder(100, 100, 1);
    sac_network_options o = sac_network_default_options();
    o.scale = 1;
    o.overlap = 0;
    sac_box_list found = {0};
    sac_error error = {0};
    sac_assert_ok(sac_network_detect(n, &found, frame, W, H, 1, &o, &error), &error);
    assert_same(&found, parts, 2, 0.01, "two halves");
    o.min_confidence = 0.9;
    sac_assert_ok(sac_network_detect(n, &found, frame, W, H, 1, &o, &error), &error);
    cr_assert_eq(found.count, 0);
    o.scale = 17;
    sac_assert_error(sac_network_detect(n, &found, frame, W, H, 1, &o, &error), SAC_ERROR_ARGUMENT,
                     &error, "scale", NULL);
    error = (sac_error){0};
    o.scale = 1;
    sac_assert_error(sac_network_detect(n, &found, frame, W, H, 2, &o, &error), SAC_ERROR_ARGUMENT,
                     &error, "200x100x2", NULL);
    sac_box_list_close(&found);
    sac_box_network_close(&n);
}

Test(teachers_network, letterbox) {
    sac_network_input input = {.width = 320, .height = 320};
    sac_letterbox box = sac_letterbox_fit(&input, 0, 0, 360, 240);
    cr_assert(box.drawn_w == 320 && box.drawn_h == 213 && box.left == 0 && box.top == 53);
    input.corner = true;
    box = sac_letterbox_fit(&input, 10, 20, 30, 60);
    cr_assert(box.drawn_w == 160 && box.drawn_h == 320 && box.left == 0 && box.top == 0);
    sac_box b = {16, 32, 160, 320, 0.5f, 3};
    sac_letterbox_map(&box, &b);
    cr_assert(b.x1 == 13 && b.y1 == 26 && b.x2 == 40 && b.y2 == 80);
    cr_assert(b.confidence == 0.5f && b.class_id == 3);

    // Every pixel of a 2x1 part in a 4x4 input: drawn 4x2, one row of border above and below.
    const uint8_t frame[2 * 3 * 3] = {9, 9, 9, 10, 20, 30, 40, 50, 60, 9, 9, 9, 9, 9, 9, 9, 9, 9};
    input = (sac_network_input){
        .width = 4, .height = 4, .pad = 100, .mean = {1, 2, 3}, .scale = {1, 0.5, 2}};
    for (int variant = 0; variant < 4; variant++) {
        float dst[48];
        input.bgr = variant % 2 != 0;
        input.channels_last = variant / 2 != 0;
        for (int i = 0; i < 48; i++) dst[i] = NAN;
        box = sac_letterbox_fit(&input, 1, 0, 2, 1);
        cr_assert(box.drawn_w == 4 && box.drawn_h == 2 && box.top == 1);
        cr_assert_eq(sac_letterbox_fill(dst, &input, &box, frame, 3, 2, 3), SAC_OK);
        for (int c = 0; c < 3; c++) {
            const double first = 10 * (input.bgr ? 3 - c : c + 1), last = first + 30;
            for (int i = 0; i < 16; i++) {
                const double row[4] = {first, 0.75 * first + 0.25 * last,
                                       0.25 * first + 0.75 * last, last};
                const double v = i / 4 == 0 || i / 4 == 3 ? 100 : floor(row[i % 4] + 0.5);
                const double expected = (v - input.mean[c]) * input.scale[c];
                const float found = dst[input.channels_last ? i * 3 + c : c * 16 + i];
                cr_assert_float_eq(found, expected, 1e-5,
                                   "variant %d channel %d cell %d: %g, not %g", variant, c, i,
                                   (double)found, expected);
            }
        }
    }
    float dst[48];
    box.width = 3; // leaves the frame
    cr_assert_eq(sac_letterbox_fill(dst, &input, &box, frame, 3, 2, 3), SAC_ERROR_ARGUMENT);
}

// Tiles lie in the frame, cover it, and neighbours overlap as much as asked for.
Test(teachers_network, tiles_cover) {
    sac_rng rng;
    sac_rng_seed(&rng, 1, 0);
    static sac_letterbox tiles[4096];
    for (int round = 0; round < 300; round++) {
        const int w = 1 + (int)sac_rng_below(&rng, 700), h = 1 + (int)sac_rng_below(&rng, 500);
        const sac_network_input input = {.width = 32 + (int)sac_rng_below(&rng, 400),
                                         .height = 32 + (int)sac_rng_below(&rng, 400),
                                         .corner = round % 2 != 0};
        const sac_network_options o = {.scale = 0.3 + 3 * sac_rng_uniform(&rng),
                                       .overlap = 0.6 * sac_rng_uniform(&rng)};
        const int64_t count = sac_network_tiles(NULL, &input, w, h, &o);
        if (count > 4096) continue;
        cr_assert_eq(sac_network_tiles(tiles, &input, w, h, &o), count);
        int reach = 0, row = 0;
        for (int64_t i = 0; i < count; i++) {
            const sac_letterbox *t = &tiles[i];
            cr_assert(t->x >= 0 && t->y >= 0 && t->x + t->width <= w && t->y + t->height <= h);
            cr_assert(t->left >= 0 && t->left + t->drawn_w <= input.width);
            cr_assert(t->top >= 0 && t->top + t->drawn_h <= input.height);
            cr_assert_float_eq(t->ratio_x, o.scale, 0.51 / t->width + 0.5 / input.width, "%d",
                               round);
            if (t->x == 0) {
                cr_assert(i == 0 || reach == w, "round %d: a row ends at %d of %d", round, reach,
                          w);
                cr_assert(t->y == 0 || (double)(row - t->y) >= floor(o.overlap * t->height) - 1);
                row = t->y + t->height;
            } else {
                cr_assert((double)(reach - t->x) >= floor(o.overlap * t->width) - 1,
                          "round %d: tiles overlap by %d of %d", round, reach - t->x, t->width);
            }
            reach = t->x + t->width;
        }
        cr_assert(reach == w && row == h, "round %d: covered up to %d, %d of %dx%d", round, reach,
                  row, w, h);
    }
}

Test(teachers_network, suppression) {
    static const sac_box boxes[] = {
        {0, 0, 10, 10, 0.6f, 0},  // IoU 0.67 with the stronger next
        {0, 0, 10, 15, 0.9f, 0},  // kept
        {0, 0, 10, 15, 0.7f, 1},  // another class
        {0, 12, 10, 27, 0.8f, 0}, // IoU 0.11
        {0, 0, 10, 15, 0.9f, 0},  // the same again
        {50, 50, 60, 60, 0.1f, 0},
    };
    sac_box_list list = {0};
    for (int i = 0; i < 6; i++) cr_assert_eq(sac_box_list_add(&list, &boxes[i]), SAC_OK);
    cr_assert_eq(sac_box_list_suppress(&list, 0.45), SAC_OK);
    static const int kept[] = {1, 3, 2, 5};
    cr_assert_eq(list.count, 4);
    for (int i = 0; i < 4; i++)
        cr_assert_eq(memcmp(&list.boxes[i], &boxes[kept[i]], sizeof boxes[0]), 0);
    cr_assert_eq(sac_box_list_suppress(&list, 0), SAC_OK);
    cr_assert_eq(list.count, 3);
    list.count = 0;
    for (int i = 0; i < 6; i++) cr_assert_eq(sac_box_list_add(&list, &boxes[i]), SAC_OK);
    sac_memory_fail_after(0);
    cr_assert_eq(sac_box_list_suppress(&list, 0.45), SAC_ERROR_MEMORY);
    sac_memory_fail_after(-1);
    cr_assert(list.count == 6 && memcmp(list.boxes, boxes, sizeof boxes) == 0);
    cr_assert_eq(sac_box_list_suppress(&list, 1), SAC_OK);
    cr_assert_eq(list.count, 6);
    sac_box_list_close(&list);
    cr_assert_null(list.boxes);
}

Test(teachers_network, class_names) {
    char **names = NULL;
    int count = 0;
    sac_error error = {0};
    const char *path = sac_test_write_text("a.names", "person\r\n traffic light \ncar\n\n\n");
    sac_assert_ok(sac_class_names_read(&names, &count, path, &error), &error);
    cr_assert_eq(count, 3);
    cr_assert_str_eq(names[1], "traffic light");
    cr_assert_str_eq(names[2], "car");
    sac_free(names);
    path = sac_test_write_text("b.names", "person\n\ncar\n");
    sac_assert_error(sac_class_names_read(&names, &count, path, &error), SAC_ERROR_FORMAT, &error,
                     "b.names", "line 2", NULL);
    error = (sac_error){0};
    path = sac_test_write_text("c.names", "\n");
    sac_assert_error(sac_class_names_read(&names, &count, path, &error), SAC_ERROR_FORMAT, &error,
                     "0 class names", NULL);
    error = (sac_error){0};
    path = sac_test_write("d.names", "a\nb\0c\n", 6);
    sac_assert_error(sac_class_names_read(&names, &count, path, &error), SAC_ERROR_FORMAT, &error,
                     "line 2", "zero byte", NULL);
    error = (sac_error){0};
    sac_assert_error(sac_class_names_read(&names, &count, "/nonexistent", &error), SAC_ERROR_IO,
                     &error, "/nonexistent", NULL);
    cr_assert_null(names);

    sac_box_network *n = make_finder(32, 32, 1);
    bool keep[CLASSES];
    error = (sac_error){0};
    sac_assert_ok(sac_network_classes(keep, n, "bicycle,5", &error), &error);
    for (int c = 0; c < CLASSES; c++) cr_assert_eq(keep[c], c == 1 || c == 5);
    sac_assert_ok(sac_network_classes(keep, n, NULL, &error), &error);
    cr_assert(keep[0] && keep[CLASSES - 1]);
    static const char *const bad[] = {"", "person,", "persons", "6", "-1", "person,,car"};
    for (int i = 0; i < 6; i++) {
        error = (sac_error){0};
        sac_assert_error(sac_network_classes(keep, n, bad[i], &error), SAC_ERROR_ARGUMENT, &error,
                         "class '", "person, bicycle", NULL);
    }
    sac_free(n->names);
    n->names = NULL;
    error = (sac_error){0};
    sac_assert_error(sac_network_classes(keep, n, "car", &error), SAC_ERROR_ARGUMENT, &error,
                     "unknown", "0 to 5", NULL);
    sac_box_network_close(&n);
}

// ---- YOLO ---------------------------------------------------------------------------------------

Test(teachers_network, yolo_decoding) {
    // Two anchors, two classes, a grid of 2 x 3 in an input of 64 x 96; one cell of one anchor is
    // set.
    sac_darknet_head head = {.grid_w = 2,
                             .grid_h = 3,
                             .anchors = 2,
                             .classes = 2,
                             .anchor_w = {10, 20},
                             .anchor_h = {30, 12},
                             .scale_x_y = 1.2};
    float values[2 * 7 * 6];
    for (int i = 0; i < 2 * 7 * 6; i++) values[i] = -30; // nothing
    const double t[7] = {0.3, -0.7, 0.5, -0.2, 2, 1, -1};
    const int64_t i = 1, j = 2, anchor = 1;
    for (int k = 0; k < 7; k++) values[(anchor * 7 + k) * 6 + j * 2 + i] = (float)t[k];
    sac_box_list boxes = {0};
    cr_assert_eq(sac_darknet_decode(&boxes, &head, values, 64, 96, 0.05), SAC_OK);
    const double s[4] = {1 / (1 + exp(-0.3)), 1 / (1 + exp(0.7)), 1 / (1 + exp(-2.0)),
                         1 / (1 + exp(-1.0))};
    const double x = (1 + 1.2 * s[0] - 0.1) * 32, y = (2 + 1.2 * s[1] - 0.1) * 32;
    const double w = 20 * exp(0.5), h = 12 * exp(-0.2);
    cr_assert_eq(boxes.count, 2);
    for (int c = 0; c < 2; c++) {
        const sac_box *b = &boxes.boxes[c];
        cr_assert_eq(b->class_id, c);
        cr_assert_float_eq(b->confidence, s[2] * (c == 0 ? s[3] : 1 - s[3]), 1e-6);
        cr_assert_float_eq(b->x1, x - w / 2, 1e-4);
        cr_assert_float_eq(b->y1, y - h / 2, 1e-4);
        cr_assert_float_eq(b->x2, x + w / 2, 1e-4);
        cr_assert_float_eq(b->y2, y + h / 2, 1e-4);
    }
    boxes.count = 0;
    cr_assert_eq(sac_darknet_decode(&boxes, &head, values, 64, 96, 0.5), SAC_OK);
    cr_assert(boxes.count == 1 && boxes.boxes[0].class_id == 0);
    values[(anchor * 7 + 2) * 6 + j * 2 + i] = 200; // exp overflows a float
    boxes.count = 0;
    cr_assert_eq(sac_darknet_decode(&boxes, &head, values, 64, 96, 0.5), SAC_OK);
    cr_assert_eq(boxes.count, 0);

    head.new_coords = true;
    for (int k = 0; k < 2 * 7 * 6; k++) values[k] = 0;
    const float u[7] = {0.25f, 0.5f, 0.6f, 0.4f, 0.9f, 0.8f, 0.1f};
    for (int k = 0; k < 7; k++) values[k * 6] = u[k];
    cr_assert_eq(sac_darknet_decode(&boxes, &head, values, 64, 96, 0.5), SAC_OK);
    cr_assert_eq(boxes.count, 1);
    cr_assert_float_eq(boxes.boxes[0].confidence, 0.72, 1e-6);
    cr_assert_float_eq(boxes.boxes[0].x1 + boxes.boxes[0].x2, 2 * 32 * (1.2 * 0.25 - 0.1), 1e-4);
    cr_assert_float_eq(boxes.boxes[0].x2 - boxes.boxes[0].x1, 10 * 4 * 0.36, 1e-4);
    cr_assert_float_eq(boxes.boxes[0].y2 - boxes.boxes[0].y1, 30 * 4 * 0.16, 1e-4);
    values[3] = NAN;
    cr_assert_eq(sac_darknet_decode(&boxes, &head, values, 64, 96, 0.5), SAC_ERROR_NUMERIC);
    sac_box_list_close(&boxes);
}

// ---- clips and their cache ----------------------------------------------------------------------

static int stop_countdown;
static bool stop_soon(void) {
    return stop_countdown-- <= 0;
}

Test(teachers_network, clips_are_detected_once) {
    enum { W = 64, H = 48, T = 5 };
    static uint8_t pixels[T * W * H];
    for (int t = 0; t < T; t++) {
        const sac_box a = {(float)(4 + 5 * t), 10, (float)(16 + 5 * t), 30, 1, 0};
        const sac_box b = {40, 32, 56, 44, 1, 2};
        paint(pixels + t * W * H, W, &a);
        if (t % 2 == 0) paint(pixels + t * W * H, W, &b);
    }
    char name[] = "Clip";
    const sac_clip clip = {.name = name, .frames = T};
    sac_box_network *n = make_finder(W, H, 1);
    finder *f = n->user;
    char *cache = sac_path_join(sac_test_folder(), "cache");
    sac_network_clip_options o = {.network = sac_network_default_options(), .cache = cache};
    sac_network_work work = {0};
    sac_detections d = {0};
    sac_error error = {0};
    sac_assert_ok(sac_network_clip(n, &d, &clip, pixels, W, H, &o, &work, &error), &error);
    cr_assert(d.frames == T && d.count == 8 && f->runs == T && work.frames == T &&
              work.cached == 0);
    cr_assert_eq(d.start[1], 2);
    cr_assert_eq(d.start[2], 3);
    cr_assert_eq(d.boxes[2].x1, 9);
    sac_detections_close(&d);
    // Again, with another threshold and with one class: nothing is run.
    sac_assert_ok(sac_network_clip(n, &d, &clip, pixels, W, H, &o, &work, &error), &error);
    cr_assert(d.count == 8 && d.start[T] == 8 && d.boxes[2].x1 == 9);
    sac_detections_close(&d);
    o.network.min_confidence = 0.9;
    sac_assert_ok(sac_network_clip(n, &d, &clip, pixels, W, H, &o, &work, &error), &error);
    cr_assert_eq(d.count, 0);
    sac_detections_close(&d);
    o.network.min_confidence = 0.5;
    o.classes = "car";
    sac_assert_ok(sac_network_clip(n, &d, &clip, pixels, W, H, &o, &work, &error), &error);
    cr_assert(d.count == 3 && d.start[1] == 1 && d.start[2] == 1 && d.start[3] == 2);
    for (int i = 0; i < 3; i++) cr_assert_eq(d.boxes[i].class_id, 2);
    sac_detections_close(&d);
    cr_assert(f->runs == T && work.cached == 3);
    // Another scale, other pixels, another network: run anew, each kept beside the others.
    o.classes = NULL;
    o.network.scale = 1;
    sac_assert_ok(sac_network_clip(n, &d, &clip, pixels, W, H, &o, &work, &error), &error);
    sac_detections_close(&d);
    cr_assert_eq(f->runs, 2 * T);
    o.network.scale = 0;
    pixels[7]++;
    sac_assert_ok(sac_network_clip(n, &d, &clip, pixels, W, H, &o, &work, &error), &error);
    sac_detections_close(&d);
    cr_assert_eq(f->runs, 3 * T);
    n->stamp[0] = 'F';
    sac_assert_ok(sac_network_clip(n, &d, &clip, pixels, W, H, &o, &work, &error), &error);
    sac_detections_close(&d);
    cr_assert_eq(f->runs, 4 * T);
    char **files = NULL;
    int64_t count = 0;
    sac_assert_ok(sac_folder_list(&files, &count, cache, &error), &error);
    cr_assert_eq(count, 4);
    // Damaged files are made anew.
    for (int64_t i = 0; i < count; i++) {
        char *path = sac_path_join(cache, files[i]);
        sac_assert_ok(sac_file_save(path, "damaged", 7, &error), &error);
        sac_free(path);
    }
    sac_free(files);
    sac_assert_ok(sac_network_clip(n, &d, &clip, pixels, W, H, &o, &work, &error), &error);
    cr_assert(d.count == 8 && f->runs == 5 * T);
    sac_detections_close(&d);
    sac_assert_ok(sac_network_clip(n, &d, &clip, pixels, W, H, &o, &work, &error), &error);
    cr_assert(d.count == 8 && f->runs == 5 * T);
    sac_detections_close(&d);
    // Stopped on the way: nothing is kept.
    o.network.scale = 2;
    o.stop = stop_soon;
    stop_countdown = 2;
    sac_assert_error(sac_network_clip(n, &d, &clip, pixels, W, H, &o, &work, &error),
                     SAC_ERROR_INTERRUPTED, &error, "Clip", NULL);
    cr_assert(d.boxes == NULL && d.start == NULL);
    sac_assert_ok(sac_folder_list(&files, &count, cache, &(sac_error){0}), NULL);
    cr_assert_eq(count, 4);
    sac_free(files);
    sac_free(cache);
    sac_box_network_close(&n);
}

// ---- the detector -------------------------------------------------------------------------------

// Paths of a small network's files with random weights.
static void make_files(const char **cfg, const char **weights) {
    static cfg_text c;
    sac_error error = {0};
    sac_darknet *d = NULL;
    size_t size = 0;
    cfg_mixture(&c);
    sac_assert_ok(sac_darknet_parse(&d, c.text, c.used, "mixture", 0, 0, &error), &error);
    uint8_t *bytes = make_weights(d, 7, &size);
    *cfg = sac_test_write_text("mixture.cfg", c.text);
    *weights = sac_test_write("mixture.weights", bytes, size);
    sac_free(bytes);
    sac_darknet_close(&d);
}

Test(teachers_network, darknet_detector) {
    const char *cfg, *weights;
    make_files(&cfg, &weights);
    const char *names = sac_test_write_text("two.names", "cat\ndog\n");
    char *text = sac_format("motion,darknet:%s:%s:%s", cfg, weights, names);
    sac_detector_options o = sac_detector_default_options();
    o.min_confidence = 0.3;
    o.network_scale = 1.5;
    char *cache = sac_path_join(sac_test_folder(), "boxes");
    o.cache = cache;
    sac_detector *detector = NULL;
    sac_error error = {0};
    sac_assert_ok(sac_detector_open(&detector, text, &o, &error), &error);
    cr_assert_str_eq(sac_detector_text(detector), "darknet:mixture.cfg:mixture.weights,motion");
    enum { W = 70, H = 40, T = 3 };
    static uint8_t pixels[T * W * H];
    sac_rng rng;
    sac_rng_seed(&rng, 2, 0);
    for (int i = 0; i < T * W * H; i++) pixels[i] = (uint8_t)sac_rng_below(&rng, 256);
    char name[] = "A";
    const sac_clip clip = {.name = name, .frames = T};
    sac_detections first = {0}, second = {0};
    sac_assert_ok(sac_detector_run(detector, &first, &clip, pixels, W, H, &error), &error);
    cr_assert_gt(first.count, 0);
    for (int64_t i = 0; i < first.count; i++) {
        const sac_box *b = &first.boxes[i];
        cr_assert(b->x1 >= 0 && b->y1 >= 0 && b->x2 <= W && b->y2 <= H && b->x2 - b->x1 >= 1);
        cr_assert(b->confidence >= 0.3f && b->class_id < 2);
    }
    int64_t frames = -1, cached = -1;
    double seconds = -1;
    sac_detector_speed(detector, &frames, &seconds, &cached);
    cr_assert(frames == T && seconds > 0 && cached == 0);
    sac_detector_close(&detector);
    // A new detector finds the boxes of the old one.
    sac_assert_ok(sac_detector_open(&detector, text, &o, &error), &error);
    sac_assert_ok(sac_detector_run(detector, &second, &clip, pixels, W, H, &error), &error);
    sac_detector_speed(detector, &frames, NULL, &cached);
    cr_assert(frames == 0 && cached == 1);
    cr_assert(second.count == first.count &&
              memcmp(first.boxes, second.boxes, (size_t)first.count * sizeof(sac_box)) == 0);
    sac_detections_close(&first);
    sac_detections_close(&second);
    sac_detector_close(&detector);
    sac_free(cache);
    sac_free(text);
}

Test(teachers_network, detector_refuses) {
    const char *cfg, *weights;
    make_files(&cfg, &weights);
    const char *names = sac_test_write_text("one.names", "cat\n");
    const uint8_t header[20] = {0, 0, 0, 0, 2};
    const char *short_weights = sac_test_write("short.weights", header, sizeof header);
    const char *headless =
        sac_test_write_text("headless.cfg", "[net]\nwidth=8\nheight=8\n[conv]\n");
    char texts[8][1024];
    (void)snprintf(texts[0], 1024, "darknet:%s", cfg);
    (void)snprintf(texts[1], 1024, "darknet:%s:%s:", cfg, weights);
    (void)snprintf(texts[2], 1024, "darknet:%s:%s:%s", cfg, weights, names);
    (void)snprintf(texts[3], 1024, "darknet:%s:%s", cfg, short_weights);
    (void)snprintf(texts[4], 1024, "darknet:%s:%s", headless, weights);
    (void)snprintf(texts[5], 1024, "darknet:%s:/nonexistent.weights", cfg);
    (void)snprintf(texts[6], 1024, "darknet:%s:%s", cfg, weights);
    (void)snprintf(texts[7], 1024, "yolo:%s:%s", cfg, weights);
    static const struct {
        int text;
        const char *size, *classes;
        double scale;
        sac_status code;
        const char *message;
    } cases[] = {
        {0, NULL, NULL, 0, SAC_ERROR_ARGUMENT, "CFG:WEIGHTS[:NAMES]"},
        {1, NULL, NULL, 0, SAC_ERROR_ARGUMENT, "CFG:WEIGHTS[:NAMES]"},
        {2, NULL, NULL, 0, SAC_ERROR_FORMAT, "one.names: 1 class names"},
        {3, NULL, NULL, 0, SAC_ERROR_FORMAT, "needs 248 and finds 0"},
        {4, NULL, NULL, 0, SAC_ERROR_FORMAT, "0 [yolo] sections"},
        {5, NULL, NULL, 0, SAC_ERROR_IO, "/nonexistent.weights"},
        {6, "48", NULL, 0, SAC_ERROR_ARGUMENT, "network size '48'"},
        {6, "0x48", NULL, 0, SAC_ERROR_ARGUMENT, "network size '0x48'"},
        {6, "48x32 ", NULL, 0, SAC_ERROR_ARGUMENT, "network size"},
        {6, "50x34", NULL, 0, SAC_ERROR_FORMAT, "different sizes"},
        {6, NULL, "cat", 0, SAC_ERROR_ARGUMENT, "class 'cat'"},
        {6, NULL, NULL, 20, SAC_ERROR_ARGUMENT, "scale 0..16"},
        {7, NULL, NULL, 0, SAC_ERROR_ARGUMENT, "darknet:CFG:WEIGHTS"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        sac_detector *detector = NULL;
        sac_error error = {0};
        sac_detector_options o = sac_detector_default_options();
        o.network_size = cases[i].size;
        o.classes = cases[i].classes;
        o.network_scale = cases[i].scale;
        const sac_status status = sac_detector_open(&detector, texts[cases[i].text], &o, &error);
        sac_assert_error(status, cases[i].code, &error, cases[i].message, NULL);
        cr_assert_null(detector);
    }
    bool done = false;
    for (int64_t k = 0; !done; k += 7) {
        sac_box_network *n = NULL;
        sac_error error = {0};
        sac_memory_fail_after(k);
        const sac_status status =
            sac_darknet_network_open(&n, cfg, weights, NULL, 0, 0, 1, SAC_BACKEND_REF, &error);
        sac_memory_fail_after(-1);
        done = status == SAC_OK;
        cr_assert(done || status == SAC_ERROR_MEMORY, "%d: %s", (int)k, error.message);
        sac_box_network_close(&n);
    }
}

// A resized network sees the frame at once and gives what one opened at that size gives.
Test(teachers_network, resizing) {
    const char *cfg, *weights;
    make_files(&cfg, &weights);
    sac_box_network *a = NULL, *b = NULL;
    sac_error error = {0};
    sac_assert_ok(
        sac_darknet_network_open(&a, cfg, weights, NULL, 0, 0, 1, SAC_BACKEND_ONEDNN, &error),
        &error);
    sac_assert_ok(
        sac_darknet_network_open(&b, cfg, weights, NULL, 96, 64, 2, SAC_BACKEND_ONEDNN, &error),
        &error);
    cr_assert(a->resize != NULL && a->stride == 8 && b->resize == NULL);
    cr_assert_str_eq(a->stamp, b->stamp);
    sac_assert_error(a->resize(a, 50, 34, &error), SAC_ERROR_FORMAT, &error, "mixture.cfg", NULL);
    cr_assert(a->input.width == 48 && a->input.height == 32);
    error = (sac_error){0};
    sac_assert_ok(a->resize(a, 96, 64, &error), &error);
    static uint8_t frame[48 * 32];
    for (int i = 0; i < 48 * 32; i++) frame[i] = (uint8_t)(i * 37);
    sac_box_list x = {0}, y = {0};
    sac_network_options o = sac_network_default_options();
    o.min_confidence = 0.2;
    sac_assert_ok(sac_network_detect(a, &x, frame, 48, 32, 1, &o, &error), &error);
    sac_assert_ok(sac_network_detect(b, &y, frame, 48, 32, 1, &o, &error), &error);
    cr_assert(x.count > 0 && x.count == y.count);
    for (int64_t i = 0; i < x.count; i++) {
        cr_assert(sac_box_overlap(&x.boxes[i], &y.boxes[i], NULL) > 0.99);
    }
    sac_box_list_close(&x);
    sac_box_list_close(&y);
    sac_box_network_close(&a);
    sac_box_network_close(&b);
}

// YOLO-Fastest on Ped2, enlarged twice, finds most of what YOLOv3 found, and finds less in frames
// as they are.
Test(teachers_network, real_frames) {
    const char *source = getenv("SACCADE_SOURCE");
    char base[512], clip_path[600], csv[600], text[2048];
    (void)snprintf(base, sizeof base, "%s/../shared/data", source);
    (void)snprintf(clip_path, sizeof clip_path, "%s/UCSDped2/Test/Test001", base);
    (void)snprintf(csv, sizeof csv, "boxes:%s/ped2_yolov3_boxes/test.csv", base);
    (void)snprintf(text, sizeof text, "darknet:%s/pretrained/%s/%s.cfg:%s/pretrained/%s/%s.weights",
                   base, "yolo-fastest-1.1-xl", "yolo-fastest-1.1-xl", base, "yolo-fastest-1.1-xl",
                   "yolo-fastest-1.1-xl");
    if (!sac_is_folder(clip_path) || !sac_is_file(csv + 6))
        sac_skip_case("no Ped2 beside the project");
    char name[] = "Test001";
    sac_clip clip = {.name = name, .source = clip_path, .frames = 180};
    uint8_t *pixels = NULL;
    int w = 0, h = 0;
    sac_error error = {0};
    sac_assert_ok(sac_clip_load(&pixels, &w, &h, 1, &clip, &error), &error);
    sac_detector *detector = NULL;
    sac_detector_options o = sac_detector_default_options();
    sac_detections truth = {0};
    sac_assert_ok(sac_detector_open(&detector, csv, &o, &error), &error);
    sac_assert_ok(sac_detector_run(detector, &truth, &clip, pixels, w, h, &error), &error);
    sac_detector_close(&detector);
    double recall[2];
    for (int run = 0; run < 2; run++) {
        enum { STEP = 30 };
        sac_box_network *n = NULL;
        char *files = sac_strdup(text + 8), *colon = strchr(files, ':');
        *colon = '\0';
        sac_assert_ok(sac_darknet_network_open(&n, files, colon + 1, NULL, run == 0 ? 736 : 0,
                                               run == 0 ? 480 : 0, 1, SAC_BACKEND_ONEDNN, &error),
                      &error);
        sac_free(files);
        sac_network_options network = sac_network_default_options();
        network.min_confidence = 0.3;
        sac_box_list found = {0};
        int64_t hits = 0, total = 0;
        for (int64_t t = 0; t < 180; t += STEP) {
            sac_assert_ok(
                sac_network_detect(n, &found, pixels + t * w * h, w, h, 1, &network, &error),
                &error);
            for (int64_t i = truth.start[t]; i < truth.start[t + 1]; i++) {
                bool hit = false;
                for (int64_t k = 0; k < found.count; k++) {
                    hit = hit || sac_box_overlap(&truth.boxes[i], &found.boxes[k], NULL) >= 0.5;
                }
                hits += hit;
                total++;
            }
        }
        recall[run] = (double)hits / (double)total;
        sac_box_list_close(&found);
        sac_box_network_close(&n);
    }
    cr_assert(recall[0] > 0.7 && recall[1] < recall[0], "recall %.3f enlarged, %.3f as is",
              recall[0], recall[1]);
    sac_spill_free(pixels);
    sac_detections_close(&truth);
}
