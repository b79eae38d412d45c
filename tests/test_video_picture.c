// Drawing, PNG, encoded video and overlays: pixels that must come out, and outputs that must not be
// left half-written.
#include "video/picture.h"

#include <criterion/criterion.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/file.h"
#include "core/memory.h"
#include "helper.h"
#include "saccade/video.h"
#include "video/overlay.h"
#include "video_make.h"

static uint32_t pixel(const sac_canvas *canvas, int x, int y) {
    int w, h, stride;
    uint32_t v;
    const uint8_t *p = sac_canvas_pixels(canvas, &w, &h, &stride);
    cr_assert(x >= 0 && y >= 0 && x < w && y < h);
    memcpy(&v, p + (ptrdiff_t)y * stride + 4 * x, sizeof v);
    return v & 0xFFFFFF;
}

static sac_canvas *canvas_of(int w, int h) {
    sac_canvas *canvas = NULL;
    cr_assert_eq(sac_canvas_create(&canvas, w, h), SAC_OK);
    return canvas;
}

Test(video_picture, canvas_sizes) {
    sac_canvas *canvas = NULL;
    static const int bad[][2] = {{0, 1}, {1, 0}, {-1, 5}, {16385, 1}, {1, 16385}};
    for (int i = 0; i < 5; i++) {
        cr_assert_eq(sac_canvas_create(&canvas, bad[i][0], bad[i][1]), SAC_ERROR_ARGUMENT);
        cr_assert_null(canvas);
    }
    canvas = canvas_of(1, 1);
    cr_assert_eq(pixel(canvas, 0, 0), 0);
    sac_canvas_close(&canvas);
    sac_canvas_close(&canvas);
}

Test(video_picture, shapes) {
    sac_canvas *canvas = canvas_of(60, 40);
    sac_canvas_clear(canvas, 0x102030);
    cr_assert_eq(pixel(canvas, 59, 39), 0x102030);
    sac_canvas_fill(canvas, 10, 10, 5, 5, 0xFF8000, 1);
    cr_assert_eq(pixel(canvas, 10, 10), 0xFF8000);
    cr_assert_eq(pixel(canvas, 14, 14), 0xFF8000);
    cr_assert_eq(pixel(canvas, 15, 15), 0x102030);
    sac_canvas_box(canvas, 30.5, 5.5, 20, 20, 0x00FF00, 1);
    cr_assert_eq(pixel(canvas, 30, 15), 0x00FF00);
    cr_assert_eq(pixel(canvas, 50, 15), 0x00FF00);
    cr_assert_eq(pixel(canvas, 40, 15), 0x102030);
    sac_canvas_close(&canvas);
}

Test(video_picture, frame_is_exact_at_its_own_size_and_fills_when_enlarged) {
    sac_canvas *canvas = canvas_of(64, 48);
    uint8_t *gray = make_frame_new(32, 24, 1, 1), *rgb = make_frame_new(32, 24, 3, 1);
    sac_canvas_frame(canvas, rgb, 32, 24, 3, 8, 4, 32, 24);
    for (int y = 0; y < 24; y++)
        for (int x = 0; x < 32; x++) {
            const uint8_t *p = rgb + 3 * (y * 32 + x);
            cr_assert_eq(pixel(canvas, 8 + x, 4 + y),
                         (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2]);
        }
    cr_assert_eq(pixel(canvas, 7, 4), 0);
    cr_assert_eq(pixel(canvas, 40, 4), 0);
    memset(gray, 77, 32 * 24);
    sac_canvas_frame(canvas, gray, 32, 24, 1, 0, 0, 64, 48);
    cr_assert_eq(pixel(canvas, 0, 0), 0x4D4D4D); // borders as bright as the middle
    cr_assert_eq(pixel(canvas, 63, 47), 0x4D4D4D);
    sac_canvas_close(&canvas);
    sac_free(gray);
    sac_free(rgb);
}

Test(video_picture, heat_shows_where_and_how_much) {
    sac_canvas *canvas = canvas_of(160, 160);
    float map[16 * 16] = {0};
    map[4 * 16 + 11] = map[4 * 16 + 12] = map[5 * 16 + 11] = map[5 * 16 + 12] =
        1; // centre at x 120, y 50
    map[0] = NAN;
    sac_canvas_clear(canvas, 0x404040);
    sac_canvas_heat(canvas, map, 16, 16, 1, 0, 0, 160, 160);
    uint32_t hot = pixel(canvas, 120, 50), cold = pixel(canvas, 30, 120);
    cr_assert_eq(cold, 0x404040);
    cr_assert_eq(pixel(canvas, 0, 0), 0x404040);
    cr_assert((hot >> 16) > 180 && (hot & 255) < 0x40, "%06x", hot);
    sac_canvas_clear(canvas, 0x404040);
    sac_canvas_heat(canvas, map, 16, 16, 4, 0, 0, 160, 160);
    uint32_t warm = pixel(canvas, 120, 50);
    cr_assert((warm >> 16) < (hot >> 16) && warm != 0x404040, "%06x against %06x", warm, hot);
    sac_canvas_clear(canvas, 0x404040);
    sac_canvas_heat(canvas, map, 16, 16, 0, 0, 0, 160, 160);
    cr_assert_eq(pixel(canvas, 120, 50), 0x404040);
    float one = 5;
    sac_canvas_heat(canvas, &one, 1, 1, 1, 0, 0, 160, 160);
    cr_assert_neq(pixel(canvas, 0, 0), 0x404040);
    sac_canvas_close(&canvas);
}

Test(video_picture, curve) {
    sac_canvas *canvas = canvas_of(101, 101);
    float values[101];
    for (int i = 0; i < 101; i++) values[i] = i < 50 ? 0.2f : i >= 57 && i <= 63 ? NAN : 0.8f;
    sac_canvas_curve(canvas, values, 101, 101, 0, 1, 0.5, 0.5, 100, 100, 0xFFFFFF, 2);
    cr_assert_neq(pixel(canvas, 20, 80), 0);
    cr_assert_eq(pixel(canvas, 20, 20), 0);
    cr_assert_neq(pixel(canvas, 80, 20), 0);
    cr_assert_eq(pixel(canvas, 60, 20), 0); // the gap
    sac_canvas_clear(canvas, 0);
    sac_canvas_curve(canvas, values, 51, 101, 0, 1, 0.5, 0.5, 100, 100, 0xFFFFFF,
                     2); // half the frames so far
    cr_assert_eq(pixel(canvas, 80, 20), 0);
    // A million values draw as fast and as right: one spike must not be lost.
    float *many = sac_calloc(1000000, sizeof *many);
    many[500000] = 1;
    sac_canvas_clear(canvas, 0);
    sac_canvas_curve(canvas, many, 1000000, 1000000, 0, 1, 0.5, 0.5, 100, 100, 0xFFFFFF, 2);
    cr_assert_neq(pixel(canvas, 50, 10), 0);
    sac_free(many);
    float nan = NAN, single = 0.5f;
    sac_canvas_curve(canvas, &nan, 1, 1, 0, 1, 0, 0, 100, 100, 0xFFFFFF, 2);
    sac_canvas_curve(canvas, &single, 1, 1, 0, 1, 0, 0, 100, 100, 0xFFFFFF, 2);
    sac_canvas_curve(canvas, &single, 1, 1, 1, 1, 0, 0, 100, 100, 0xFFFFFF, 2);
    sac_canvas_close(&canvas);
}

Test(video_picture, bad_text_does_not_stop_the_drawing) {
    static const char *const texts[] = {"\xFF\xFE",
                                        "half \xC3",
                                        "over \xE0\x80\x80 long",
                                        "\xED\xA0\x80 surrogate",
                                        "\xF5\x80\x80\x80",
                                        "line\nfeed\ttab",
                                        "Gr\xC3\xBC\xC3\x9F \xE2\x82\xAC"};
    char *endless = sac_calloc(100001, 1);
    memset(endless, 'x', 100000);
    for (size_t i = 0; i < sizeof texts / sizeof *texts + 1; i++) {
        sac_canvas *canvas = canvas_of(80, 20);
        const char *text = i < sizeof texts / sizeof *texts ? texts[i] : endless;
        sac_canvas_text(canvas, 2, 15, 12, 0xFFFFFF, text);
        cr_assert(isfinite(sac_canvas_text_width(canvas, 12, text)));
        sac_canvas_fill(canvas, 70, 0, 5, 5, 0xFF0000, 1);
        cr_assert_eq(pixel(canvas, 72, 2), 0xFF0000, "text %zu", i);
        sac_canvas_close(&canvas);
    }
    sac_free(endless);
}

Test(video_picture, png_is_exact_and_repeatable) {
    sac_error error = {0};
    static const int sizes[][2] = {{1, 1}, {17, 13}, {64, 48}};
    for (int i = 0; i < 3; i++)
        for (int ch = 1; ch <= 3; ch += 2) {
            int w = sizes[i][0], h = sizes[i][1];
            uint8_t *pixels = make_frame_new(w, h, ch, 2);
            const char *path = sac_test_path("picture.png");
            sac_assert_ok(sac_picture_write_png(path, pixels, w, h, ch, &error), &error);
            size_t size, again;
            uint8_t *first = read_bytes(path, &size);
            cr_assert_eq(first[25], ch == 1 ? 0 : 2, "PNG colour type"); // gray stays gray
            sac_assert_ok(sac_picture_write_png(path, pixels, w, h, ch, &error), &error);
            uint8_t *second = read_bytes(path, &again);
            cr_assert(size == again && memcmp(first, second, size) == 0);
            sac_video *video = NULL;
            sac_video_options options = sac_video_default_options();
            sac_frame frame;
            options.channels = ch;
            sac_assert_ok(sac_video_open(&video, path, &options, &error), &error);
            sac_assert_ok(sac_video_read(video, &frame, &error), &error);
            cr_assert_eq(memcmp(frame.data, pixels, (size_t)(w * h * ch)), 0);
            sac_video_close(&video);
            sac_free(first);
            sac_free(second);
            sac_free(pixels);
        }
    cr_assert_eq(sac_test_folder_count(), 1);
}

Test(video_picture, canvas_png) {
    sac_error error = {0};
    sac_canvas *canvas = canvas_of(20, 10);
    uint8_t *bytes = NULL, *file;
    size_t size = 0, file_size;
    sac_canvas_clear(canvas, 0x336699);
    sac_assert_ok(sac_canvas_encode_png(canvas, &bytes, &size), &error);
    const char *path = sac_test_path("canvas.png");
    sac_assert_ok(sac_canvas_write_png(canvas, path, &error), &error);
    file = read_bytes(path, &file_size);
    cr_assert(size == file_size && memcmp(bytes, file, size) == 0);
    sac_video *video = NULL;
    sac_video_options options = sac_video_default_options();
    sac_frame frame;
    options.channels = 3;
    sac_assert_ok(sac_video_open(&video, path, &options, &error), &error);
    sac_assert_ok(sac_video_read(video, &frame, &error), &error);
    cr_assert(frame.data[0] == 0x33 && frame.data[1] == 0x66 && frame.data[2] == 0x99);
    sac_video_close(&video);
    sac_free(bytes);
    sac_free(file);
    sac_canvas_close(&canvas);
}

Test(video_picture, png_errors) {
    sac_error error = {0};
    uint8_t pixels[12] = {0};
    sac_assert_error(sac_picture_write_png(sac_test_path("x.png"), pixels, 0, 2, 1, &error),
                     SAC_ERROR_ARGUMENT, &error, "x.png", NULL);
    error = (sac_error){0};
    sac_assert_error(sac_picture_write_png(sac_test_path("x.png"), pixels, 2, 2, 2, &error),
                     SAC_ERROR_ARGUMENT, &error, "x.png", NULL);
    error = (sac_error){0};
    sac_assert_error(sac_picture_write_png(sac_test_path("none/x.png"), pixels, 2, 2, 3, &error),
                     SAC_ERROR_IO, &error, "none/x.png", NULL);
    cr_assert_eq(sac_test_folder_count(), 0);
}

Test(video_picture, writer_arguments) {
    sac_video_writer *writer = NULL;
    static const struct {
        const char *name;
        int w, h;
        double rate;
        bool lossless;
        sac_status code;
    } cases[] = {{"a.mp4", 0, 5, 25, false, SAC_ERROR_ARGUMENT},
                 {"a.mp4", 5, 16385, 25, false, SAC_ERROR_ARGUMENT},
                 {"a.mp4", 5, 5, 0, false, SAC_ERROR_ARGUMENT},
                 {"a.mp4", 5, 5, NAN, false, SAC_ERROR_ARGUMENT},
                 {"a.mp4", 5, 5, 1e9, false, SAC_ERROR_ARGUMENT},
                 {"a.xyz", 5, 5, 25, false, SAC_ERROR_UNSUPPORTED},
                 {"a", 5, 5, 25, false, SAC_ERROR_UNSUPPORTED},
                 {"a.png", 5, 5, 25, false, SAC_ERROR_UNSUPPORTED},
                 {"a.wav", 5, 5, 25, false, SAC_ERROR_UNSUPPORTED},
                 {"a.webm", 5, 5, 25, false, SAC_ERROR_UNSUPPORTED},
                 {"a.flv", 5, 5, 25, true, SAC_ERROR_UNSUPPORTED},
                 {"none/a.mp4", 6, 6, 25, false, SAC_ERROR_IO}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        sac_error error = {0};
        sac_assert_error(sac_video_writer_open(&writer, sac_test_path(cases[i].name), cases[i].w,
                                               cases[i].h, cases[i].rate, cases[i].lossless,
                                               &error),
                         cases[i].code, &error, cases[i].name, NULL);
        cr_assert_null(writer);
    }
    cr_assert_eq(sac_test_folder_count(), 0);
    sac_video_writer_close(NULL);
}

Test(video_picture, uncommitted_videos_leave_nothing) {
    sac_error error = {0};
    sac_video_writer *writer = NULL;
    uint8_t *pixels = make_frame_new(32, 32, 1, 0);
    for (int frames = 0; frames < 30; frames += 29) {
        sac_assert_ok(
            sac_video_writer_open(&writer, sac_test_path("v.mp4"), 32, 32, 25, false, &error),
            &error);
        for (int t = 0; t < frames; t++)
            sac_assert_ok(sac_video_writer_frame(writer, pixels, 1, &error), &error);
        sac_video_writer_close(&writer);
        cr_assert_null(writer);
        cr_assert_eq(sac_test_folder_count(), 0);
    }
    sac_assert_ok(sac_video_writer_open(&writer, sac_test_path("v.mp4"), 32, 32, 25, false, &error),
                  &error);
    sac_assert_error(sac_video_writer_commit(&writer, &error), SAC_ERROR_ARGUMENT, &error, "v.mp4",
                     "frame", NULL);
    cr_assert_null(writer);
    cr_assert_eq(sac_test_folder_count(), 0);
    sac_free(pixels);
}

Test(video_picture, videos_are_repeatable_and_named_with_colons) {
    size_t a_size, b_size;
    uint8_t *a = read_bytes(make_video("a:b.mp4", 48, 32, 20, 29.97, false), &a_size);
    uint8_t *b = read_bytes(make_video("b.mp4", 48, 32, 20, 29.97, false), &b_size);
    cr_assert(a_size == b_size && memcmp(a, b, a_size) == 0, "same frames, different files");
    cr_assert_eq(sac_test_folder_count(), 2);
    sac_free(a);
    sac_free(b);
}

Test(video_picture, disk_full) {
    // A limit on the file size stands for the full disk: writing fails with an error in the middle.
    struct rlimit limit;
    cr_assert_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
    cr_assert_neq(signal(SIGXFSZ, SIG_IGN), SIG_ERR);
    sac_test_path("x"); // creates the folder
    static const char *const names[] = {"full.mp4", "full.mkv", "full.avi"};
    for (int i = 0; i < 3; i++) {
        sac_error error = {0};
        sac_video_writer *writer = NULL;
        sac_status status = SAC_OK;
        uint8_t *pixels = make_frame_new(160, 120, 1, 0);
        struct rlimit small = {.rlim_cur = 20000, .rlim_max = limit.rlim_max};
        cr_assert_eq(setrlimit(RLIMIT_FSIZE, &small), 0);
        sac_assert_ok(
            sac_video_writer_open(&writer, sac_test_path(names[i]), 160, 120, 25, false, &error),
            &error);
        for (int t = 0; t < 400 && status == SAC_OK; t++) {
            for (int k = 0; k < 160 * 120; k++)
                pixels[k] = (uint8_t)((uint32_t)k * 2654435761u >> (t % 16)); // does not compress
            status = sac_video_writer_frame(writer, pixels, 1, &error);
        }
        if (status == SAC_OK) status = sac_video_writer_commit(&writer, &error);
        sac_assert_error(status, SAC_ERROR_IO, &error, names[i], NULL);
        if (writer != NULL) {
            sac_error again = {0};
            cr_assert_lt(sac_video_writer_frame(writer, pixels, 1, &again), 0);
            cr_assert_lt(sac_video_writer_commit(&writer, &again), 0);
        }
        cr_assert_null(writer);
        cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
        cr_assert_eq(sac_test_folder_count(), 0, "something was left behind");
        sac_free(pixels);
    }
}

Test(video_picture, writer_takes_canvas_of_its_size_only) {
    sac_error error = {0};
    sac_video_writer *writer = NULL;
    sac_canvas *small = canvas_of(16, 16), *right = canvas_of(31, 17);
    sac_frame frame;
    sac_video *video = NULL;
    sac_video_options options = sac_video_default_options();
    sac_canvas_clear(right, 0xC08040);
    const char *path = sac_test_path("c.mkv");
    sac_assert_ok(sac_video_writer_open(&writer, path, 31, 17, 25, true, &error), &error);
    sac_assert_error(sac_video_writer_canvas(writer, small, &error), SAC_ERROR_SHAPE, &error,
                     "16x16", "31x17", NULL);
    error = (sac_error){0};
    sac_assert_ok(sac_video_writer_canvas(writer, right, &error), &error);
    sac_assert_ok(sac_video_writer_commit(&writer, &error), &error);
    options.channels = 3;
    sac_assert_ok(sac_video_open(&video, path, &options, &error), &error);
    sac_assert_ok(sac_video_read(video, &frame, &error), &error);
    for (int i = 0; i < 31 * 17; i++)
        cr_assert(frame.data[3 * i] == 0xC0 && frame.data[3 * i + 1] == 0x80 &&
                  frame.data[3 * i + 2] == 0x40);
    sac_video_close(&video);
    sac_canvas_close(&small);
    sac_canvas_close(&right);
}

Test(video_picture, overlay) {
    enum { PW = 120, PH = 80, N = 24 };
    sac_error error = {0};
    sac_overlay *overlay = NULL;
    uint8_t labels[N] = {0}, *pixels = make_frame_new(PW, PH, 1, 0);
    float map[16 * 16] = {0};
    int w, h, stride;
    memset(labels + 12, 1, 6);
    map[8 * 16 + 8] = map[8 * 16 + 7] = map[7 * 16 + 8] = map[7 * 16 + 7] = 1;
    memset(pixels, 60, PW * PH);
    sac_assert_ok(
        sac_overlay_open(&overlay, sac_test_path("o.mp4"), PW, PH, 10, N, labels, 1, &error),
        &error);
    static const char *const bars[] = {"arrow", "middle"};
    cr_assert_eq(sac_overlay_name_bars(overlay, bars, 0), SAC_ERROR_ARGUMENT);
    cr_assert_eq(sac_overlay_name_bars(overlay, bars, SAC_OVERLAY_BARS + 1), SAC_ERROR_ARGUMENT);
    sac_assert_ok(sac_overlay_name_bars(overlay, bars, 2), &error);
    for (int t = 0; t < N; t++) {
        sac_overlay_box box = {10, 10, 30, 40, t < 12 ? 0.0f : 1.0f};
        const float tasks[] = {1.0f, 0.25f};
        // Frame 3 has no bars; those of frame 2 must not come back.
        if (t != 3) sac_overlay_set_bars(overlay, tasks);
        sac_assert_ok(sac_overlay_frame(overlay, pixels, 1, map, 16, 16, &box, 1,
                                        t == 5 ? NAN : (float)t / N, "clip \xFF", &error),
                      &error);
        const sac_canvas *canvas = sac_overlay_canvas(overlay);
        (void)sac_canvas_pixels(canvas, &w, &h, &stride);
        cr_assert(w >= 480 && w % 2 == 0 && h % 2 == 0 && h > 320);
        // Bars right of the box at 120..160: the first blue over the whole height, the second,
        // yellow, over a quarter of it.
        bool blue = false, yellow_low = false, yellow_high = false;
        for (int x = 123; x < 134; x++) {
            const uint32_t upper = pixel(canvas, x, 60), lower = pixel(canvas, x, 150);
            blue = blue || ((upper & 255) > 200 && upper >> 16 < 120);
            yellow_low = yellow_low || (lower >> 16 > 200 && (lower & 255) < 160);
            yellow_high = yellow_high || (upper >> 16 > 200 && (upper & 255) < 160);
        }
        cr_assert(blue == (t != 3) && yellow_low == (t != 3) && !yellow_high,
                  "bars of frame %d: %d %d %d", t, blue, yellow_low, yellow_high);
        uint32_t centre = pixel(canvas, w / 2, 160), box_edge = pixel(canvas, 40, 100);
        cr_assert_gt(centre >> 16, 120, "no heat in the middle: %06x", centre);
        if (t < 12)
            cr_assert((box_edge >> 8 & 255) > (box_edge >> 16), "box of score 0 is not green: %06x",
                      box_edge);
        else
            cr_assert((box_edge >> 8 & 255) < (box_edge >> 16), "box of score 1 is not red: %06x",
                      box_edge);
        // Labels shaded under the curve, right of the position already drawn.
        if (t == 2) {
            uint32_t normal = pixel(canvas, 34 + 436 * 8 / 23, h - 20),
                     abnormal = pixel(canvas, 34 + 436 * 15 / 23, h - 20);
            cr_assert((abnormal >> 16) > (normal >> 16) + 30, "%06x and %06x", abnormal, normal);
        }
    }
    sac_assert_ok(sac_overlay_commit(&overlay, &error), &error);
    cr_assert_null(overlay);
    sac_video *video = NULL;
    sac_frame frame;
    int frames = 0;
    sac_assert_ok(sac_video_open(&video, sac_test_path("o.mp4"), NULL, &error), &error);
    while (sac_video_read(video, &frame, &error) == SAC_OK) frames++;
    cr_assert(frames == N && frame.width == 0);
    sac_video_close(&video);
    sac_free(pixels);
}

Test(video_picture, overlays_of_odd_shapes_and_unknown_length) {
    static const int sizes[][2] = {{1, 1}, {17, 13}, {3, 600}, {2000, 5}};
    for (int i = 0; i < 4; i++) {
        sac_error error = {0};
        sac_overlay *overlay = NULL;
        uint8_t *pixels = make_frame_new(sizes[i][0], sizes[i][1], 3, 0);
        sac_assert_ok(
            sac_overlay_open(&overlay, NULL, sizes[i][0], sizes[i][1], 25, 0, NULL, 0.5f, &error),
            &error);
        for (int t = 0; t < 310; t += i == 1 ? 1 : 100)
            sac_assert_ok(
                sac_overlay_frame(overlay, pixels, 3, NULL, 0, 0, NULL, 0, 0.3f, NULL, &error),
                &error);
        sac_assert_ok(sac_overlay_commit(&overlay, &error), &error);
        sac_free(pixels);
    }
    // More frames than announced must not write past the end.
    sac_error error = {0};
    sac_overlay *overlay = NULL;
    uint8_t label = 1, gray[4] = {9, 9, 9, 9};
    sac_assert_ok(sac_overlay_open(&overlay, NULL, 2, 2, 25, 1, &label, 1, &error), &error);
    for (int t = 0; t < 5; t++)
        sac_assert_ok(sac_overlay_frame(overlay, gray, 1, NULL, 0, 0, NULL, 0, 0.3f, NULL, &error),
                      &error);
    sac_overlay_close(&overlay);
    static const float bad[] = {0, -1, NAN, INFINITY};
    for (int i = 0; i < 4; i++)
        cr_assert_eq(sac_overlay_open(&overlay, NULL, 2, 2, 25, 1, NULL, bad[i], NULL),
                     SAC_ERROR_ARGUMENT);
    cr_assert_eq(sac_overlay_open(&overlay, NULL, 0, 2, 25, 1, NULL, 1, NULL), SAC_ERROR_ARGUMENT);
    cr_assert_eq(sac_overlay_open(&overlay, NULL, 2, 2, 25, -1, NULL, 1, NULL), SAC_ERROR_ARGUMENT);
}

Test(video_picture, allocation_failures) {
    for (int kind = 0; kind < 3; kind++) {
        int failures = 0;
        for (int64_t n = 0;; n++) {
            sac_canvas *canvas = NULL;
            sac_video_writer *writer = NULL;
            sac_overlay *overlay = NULL;
            sac_error error = {0};
            const char *path = sac_test_path("a.mkv");
            sac_memory_fail_after(n);
            sac_status status =
                kind == 0 ? sac_canvas_create(&canvas, 8, 8)
                : kind == 1
                    ? sac_video_writer_open(&writer, path, 8, 8, 25, true, &error)
                    : sac_overlay_open(&overlay, path, 8, 8, 25, 5, (uint8_t[5]){0}, 1, &error);
            sac_memory_fail_after(-1);
            sac_canvas_close(&canvas);
            sac_video_writer_close(&writer);
            sac_overlay_close(&overlay);
            if (status == SAC_OK) break;
            cr_assert_eq(status, SAC_ERROR_MEMORY, "%s", error.message);
            failures++;
            cr_assert_lt(n, 100);
        }
        cr_assert_gt(failures, 0);
        cr_assert_eq(sac_test_folder_count(), 0);
    }
}
