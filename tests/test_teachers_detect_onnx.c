// YOLOX detectors: decoding by hand-made numbers, a network whose weights are chosen so that it
// finds bright squares, from the file to boxes in a frame, refusals, and the real YOLOX-Nano where
// it is at hand.
#include <math.h>
#include <string.h>

#include "core/file.h"
#include "core/memory.h"
#include "helper.h"
#include "onnx_make.h"
#include "teachers/detect_onnx.h"

#include <criterion/criterion.h>

Test(teachers_detect_onnx, cells_and_grids) {
    cr_assert_eq(sac_yolox_cells(416, 416, 3), 3549);
    cr_assert_eq(sac_yolox_cells(64, 96, 3), 126);
    cr_assert_eq(sac_yolox_cells(128, 128, 4), 256 + 64 + 16 + 4);
}

Test(teachers_detect_onnx, boxes_of_known_values) {
    // 64 x 32: grids 8x4, 4x2 and 2x1. One object on each, two classes.
    enum { ROW = 7, CELLS = 32 + 8 + 2 };
    float values[CELLS * ROW] = {0};
    sac_box_list boxes = {0};
    float *a = values + (1 * 8 + 5) * ROW, *b = values + (32 + 1 * 4 + 2) * ROW,
          *c = values + (40 + 1) * ROW;
    memcpy(a, (float[]){0.5f, 0.25f, 0, logf(2), 0.9f, 0.2f, 0.8f}, ROW * sizeof *a);
    memcpy(b, (float[]){0, 0, logf(0.5f), 0, 1, 1, 0.75f}, ROW * sizeof *a);
    memcpy(c, (float[]){-1, 0.5f, 0, 0, 0.6f, 0.5f, 0}, ROW * sizeof *a);
    cr_assert_eq(sac_yolox_decode(&boxes, values, 2, 64, 32, 3, 0.3), SAC_OK);
    const sac_box want[] = {
        {44 - 4, 10 - 8, 44 + 4, 10 + 8, 0.72f, 1},
        {32 - 4, 16 - 8, 32 + 4, 16 + 8, 1, 0},
        {32 - 4, 16 - 8, 32 + 4, 16 + 8, 0.75f, 1},
        {0 - 16, 16 - 16, 0 + 16, 16 + 16, 0.3f, 0},
    };
    cr_assert_eq(boxes.count, 4);
    for (int i = 0; i < 4; i++) {
        const sac_box *got = &boxes.boxes[i];
        cr_assert(fabsf(got->x1 - want[i].x1) < 1e-4f && fabsf(got->y1 - want[i].y1) < 1e-4f &&
                      fabsf(got->x2 - want[i].x2) < 1e-4f && fabsf(got->y2 - want[i].y2) < 1e-4f &&
                      fabsf(got->confidence - want[i].confidence) < 1e-6f &&
                      got->class_id == want[i].class_id,
                  "box %d: %g %g %g %g, %g, class %d", i, (double)got->x1, (double)got->y1,
                  (double)got->x2, (double)got->y2, (double)got->confidence, got->class_id);
    }
    sac_box_list_close(&boxes);
    a[2] = 1000; // of infinite width
    cr_assert_eq(sac_yolox_decode(&boxes, values, 2, 64, 32, 3, 0.5), SAC_OK);
    cr_assert_eq(boxes.count, 2);
    a[6] = NAN;
    cr_assert_eq(sac_yolox_decode(&boxes, values, 2, 64, 32, 3, 0.5), SAC_ERROR_NUMERIC);
    sac_box_list_close(&boxes);
}

// A detector of bright things without training: on each grid the object value is the logistic
// function of the mean brightness of the cell, over 128 positive; the box is the cell, class 1 on
// the finest grid and 0 on the others. With `open` sizes of height and width, or 64 x 96.
static const char *bright_file(const char *name, bool open) {
    onnx_make m;
    char inputs[100], pooled[16], map[16], prob[16], joined[16];
    make_start(&m, 11);
    make_input(&m, "images", 4, (const int64_t[]){1, 3, open ? 0 : 64, open ? 0 : 96});
    make_list(&m, "flat", DIMS(1, 7, -1));
    const float none[4 * 3] = {0}, middle[4] = {0.5f, 0.5f, 0, 0};
    make_floats(&m, "box.w", DIMS(4, 3, 1, 1), none);
    make_floats(&m, "box.b", DIMS(4), middle);
    for (int g = 0; g < 3; g++) {
        const int64_t s = 8 << g;
        (void)snprintf(pooled, sizeof pooled, "mean%d", g);
        make_pool(&m, "AveragePool", "images", pooled, s, s, 0, false, false);
        (void)snprintf(map, sizeof map, "box%d", g);
        (void)snprintf(inputs, sizeof inputs, "%s box.w box.b", pooled);
        make_node(&m, "Conv", inputs, map);
        // Object, then the two classes.
        const float w[9] = {0.1f / 3, 0.1f / 3, 0.1f / 3};
        const float b[3] = {-12.8f, g == 0 ? -9.0f : 9.0f, g == 0 ? 9.0f : -9.0f};
        (void)snprintf(prob, sizeof prob, "p%d.w", g);
        make_floats(&m, prob, DIMS(3, 3, 1, 1), w);
        (void)snprintf(prob, sizeof prob, "p%d.b", g);
        make_floats(&m, prob, DIMS(3), b);
        (void)snprintf(inputs, sizeof inputs, "%s p%d.w p%d.b", pooled, g, g);
        (void)snprintf(prob, sizeof prob, "p%d", g);
        make_node(&m, "Conv", inputs, prob);
        (void)snprintf(inputs, sizeof inputs, "s%d", g);
        make_node(&m, "Sigmoid", prob, inputs);
        (void)snprintf(inputs, sizeof inputs, "box%d s%d", g, g);
        (void)snprintf(joined, sizeof joined, "j%d", g);
        make_begin(&m, "Concat", inputs, joined);
        make_attr_int(&m, "axis", 1);
        make_end(&m);
        (void)snprintf(inputs, sizeof inputs, "j%d flat", g);
        (void)snprintf(joined, sizeof joined, "f%d", g);
        make_node(&m, "Reshape", inputs, joined);
    }
    make_begin(&m, "Concat", "f0 f1 f2", "all");
    make_attr_int(&m, "axis", 2);
    make_end(&m);
    make_begin(&m, "Transpose", "all", "output");
    make_attr_ints(&m, "perm", DIMS(0, 2, 1));
    make_end(&m);
    make_output(&m, "output");
    size_t size = 0;
    uint8_t *data = make_finish(&m, &size);
    const char *path = sac_test_write(name, data, size);
    free(data);
    return path;
}

static void square(uint8_t *frame, int width, int x, int y, int size) {
    for (int j = 0; j < size; j++) memset(frame + (y + j) * width + x, 255, (size_t)size);
}

Test(teachers_detect_onnx, bright_squares_are_found) {
    sac_error error = {0};
    sac_box_network *network = NULL;
    sac_box_list boxes = {0};
    const char *names = sac_test_write_text("bright.names", "large\nsmall\n");
    const char *path = bright_file("bright.onnx", false);
    sac_assert_ok(sac_onnx_network_open(&network, path, names, 0, 0, 2, SAC_BACKEND_ONEDNN, &error),
                  &error);
    cr_assert(network->input.width == 96 && network->input.height == 64 && network->classes == 2);
    cr_assert(network->resize != NULL && network->stride == 32 && network->batch == 2);
    cr_assert_str_eq(network->text, "onnx:bright.onnx");
    cr_assert_str_eq(network->names[1], "small");
    // A frame of half the input's size: ratio 2, in the top left corner.
    uint8_t frame[48 * 32] = {0};
    square(frame, 48, 16, 8, 4);   // one cell of the finest grid
    square(frame, 48, 32, 16, 16); // one of the coarsest, 16 of the finest
    sac_network_options options = sac_network_default_options();
    for (int again = 0; again < 2; again++) {
        sac_assert_ok(sac_network_detect(network, &boxes, frame, 48, 32, 1, &options, &error),
                      &error);
        int small = 0, large = 0;
        bool whole = false, lone = false;
        for (int64_t i = 0; i < boxes.count; i++) {
            const sac_box *b = &boxes.boxes[i];
            small += b->class_id == 1;
            large += b->class_id == 0;
            lone = lone || (b->class_id == 1 && fabsf(b->x1 - 16) < 0.01f &&
                            fabsf(b->y1 - 8) < 0.01f && fabsf(b->x2 - 20) < 0.01f &&
                            fabsf(b->y2 - 12) < 0.01f && b->confidence > 0.99f);
            whole = whole ||
                    (b->class_id == 0 && fabsf(b->x1 - 32) < 0.01f && fabsf(b->y1 - 16) < 0.01f &&
                     fabsf(b->x2 - 48) < 0.01f && fabsf(b->y2 - 32) < 0.01f);
        }
        // Also four cells of the middle grid, inside the large one but too small to be suppressed.
        cr_assert(small == 17 && large == 5 && whole && lone, "%d small, %d large", small, large);
        // The same by a larger input, where the frame fills its corner only.
        if (again == 0) {
            sac_assert_ok(network->resize(network, 160, 96, &error), &error);
            cr_assert(network->input.width == 160 && network->input.height == 96);
            sac_assert_ok(network->resize(network, 96, 64, &error), &error);
        }
    }
    cr_assert_eq(network->resize(network, 100, 64, &error), SAC_ERROR_FORMAT); // and all stays
    cr_assert(network->input.width == 96 && network->input.height == 64);
    sac_box_network_close(&network);

    // Sizes left open: those asked for, or 416.
    path = bright_file("open.onnx", true);
    error = (sac_error){0};
    sac_assert_ok(sac_onnx_network_open(&network, path, NULL, 128, 64, 1, SAC_BACKEND_REF, &error),
                  &error);
    cr_assert(network->input.width == 128 && network->input.height == 64);
    cr_assert(network->resize == NULL && network->names == NULL);
    sac_box_network_close(&network);
    sac_assert_ok(sac_onnx_network_open(&network, path, NULL, 0, 0, 1, SAC_BACKEND_ONEDNN, &error),
                  &error);
    cr_assert(network->input.width == 416 && network->input.height == 416);
    sac_box_network_close(&network);
    sac_box_list_close(&boxes);
}

static void refused(const char *path, const char *names, int64_t width, int64_t height, int batch,
                    sac_status code, const char *first, const char *second) {
    sac_error error = {0};
    sac_box_network *network = NULL;
    const sac_status status =
        sac_onnx_network_open(&network, path, names, width, height, batch, SAC_BACKEND_REF, &error);
    sac_assert_error(status, code, &error, first, second, NULL);
    cr_assert_null(network);
}

Test(teachers_detect_onnx, other_networks_are_refused) {
    const char *path = bright_file("bright.onnx", false);
    refused(path, NULL, 0, 0, 0, SAC_ERROR_ARGUMENT, "batch 0", "1 to 64");
    refused(path, NULL, 100, 64, 1, SAC_ERROR_ARGUMENT, "100x64", "multiples of 32");
    refused(path, NULL, 64, 0, 1, SAC_ERROR_ARGUMENT, "64x0", "multiples of 32");
    refused(path, sac_test_write_text("one.names", "thing\n"), 0, 0, 1, SAC_ERROR_FORMAT,
            "one.names", "2 classes");
    refused(sac_test_path("missing.onnx"), NULL, 0, 0, 1, SAC_ERROR_IO, "missing.onnx", NULL);
    refused(sac_test_write_text("text.onnx", "no network"), NULL, 0, 0, 1, SAC_ERROR_FORMAT,
            "text.onnx", "not an ONNX file");
    onnx_make m;
    make_start(&m, 11);
    make_input(&m, "x", DIMS(1, 3, 64, 64));
    make_node(&m, "Relu", "x", "y");
    make_output(&m, "y");
    size_t size = 0;
    uint8_t *data = make_finish(&m, &size);
    refused(sac_test_write("relu.onnx", data, size), NULL, 0, 0, 1, SAC_ERROR_FORMAT,
            "[1][3][64][64]", "YOLOX");
    free(data);
}

// As a detector of the command line.
Test(teachers_detect_onnx, specification) {
    sac_error error = {0};
    sac_detector *detector = NULL;
    sac_detections found = {0};
    char text[2048];
    const sac_detector_options options = sac_detector_default_options();
    const char *names = sac_test_write_text("bright.names", "large\nsmall\n");
    (void)snprintf(text, sizeof text, "onnx:%s:%s", bright_file("bright.onnx", false), names);
    sac_assert_ok(sac_detector_open(&detector, text, &options, &error), &error);
    cr_assert_str_eq(sac_detector_text(detector), "onnx:bright.onnx");
    uint8_t frames[2 * 96 * 64] = {0};
    square(frames + 96 * 64, 96, 32, 16, 8);
    char name[] = "clip";
    sac_clip clip = {.frames = 2};
    clip.name = name;
    sac_assert_ok(sac_detector_run(detector, &found, &clip, frames, 96, 64, &error), &error);
    cr_assert(found.count == 1 && found.start[1] == 0 && found.start[2] == 1);
    cr_assert(found.boxes[0].class_id == 1 && fabsf(found.boxes[0].x1 - 32) < 0.01f &&
              fabsf(found.boxes[0].y2 - 24) < 0.01f);
    sac_detections_close(&found);
    sac_detector_close(&detector);
    static const char *const bad[] = {"onnx:", "onnx::names", "onnx:a:", "onnx:a:b:c"};
    for (int i = 0; i < 4; i++) {
        error = (sac_error){0};
        sac_assert_error(sac_detector_open(&detector, bad[i], &options, &error), SAC_ERROR_ARGUMENT,
                         &error, "onnx:FILE[:NAMES]", NULL);
        cr_assert_null(detector);
    }
}

// What matters here is that the pieces fit: the official file, its input, its grids.
Test(teachers_detect_onnx, real_yolox_reads) {
    char path[1024];
    const char *source = getenv("SACCADE_SOURCE");
    (void)snprintf(path, sizeof path, "%s/../shared/data/pretrained/yolox-nano/yolox_nano.onnx",
                   source != NULL ? source : ".");
    if (!sac_is_file(path)) sac_skip_case("no YOLOX-Nano beside the project");
    sac_error error = {0};
    sac_box_network *network = NULL;
    sac_box_list boxes = {0};
    sac_assert_ok(sac_onnx_network_open(&network, path, NULL, 0, 0, 1, SAC_BACKEND_ONEDNN, &error),
                  &error);
    cr_assert(network->classes == 80 && network->resize != NULL);
    uint8_t *gray = sac_calloc(360 * 240, 1);
    cr_assert_not_null(gray);
    memset(gray, 120, 360 * 240);
    const sac_network_options options = sac_network_default_options();
    sac_assert_ok(sac_network_detect(network, &boxes, gray, 360, 240, 1, &options, &error), &error);
    cr_assert_eq(boxes.count, 0, "%lld objects in a gray frame", (long long)boxes.count);
    sac_free(gray);
    sac_box_list_close(&boxes);
    sac_box_network_close(&network);
}
