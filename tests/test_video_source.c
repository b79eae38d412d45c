// The video source on generated files: exact pixels, sizes, times, order, formats, queue,
// interruption.
#include "saccade/video.h"

#include <criterion/criterion.h>
#include <math.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/memory.h"
#include "core/time.h"
#include "helper.h"
#include "video/picture.h"
#include "video/scale.h"
#include "video/source.h"
#include "video_make.h"

static sac_video *open_video(const char *source, int width, int height, int channels, int queue) {
    sac_error error = {0};
    sac_video *video = NULL;
    sac_video_options options = sac_video_default_options();
    options.width = width;
    options.height = height;
    options.channels = channels;
    options.queue = queue;
    sac_assert_ok(sac_video_open(&video, source, &options, &error), &error);
    return video;
}

// All frames in one block; *frames, *w, *h receive the sizes.
static uint8_t *read_all(const char *source, int width, int height, int channels, int queue,
                         int *frames, int *w, int *h) {
    sac_error error = {0};
    sac_video_info info;
    sac_frame frame;
    sac_status status;
    double last = 0;
    sac_video *video = open_video(source, width, height, channels, queue);
    sac_video_get_info(video, &info);
    size_t bytes = (size_t)info.width * (size_t)info.height * (size_t)channels;
    uint8_t *all = NULL;
    *w = info.width;
    *h = info.height;
    *frames = 0;
    while ((status = sac_video_read(video, &frame, &error)) == SAC_OK) {
        cr_assert_eq(frame.width, info.width);
        cr_assert_eq(frame.height, info.height);
        cr_assert_eq(frame.channels, channels);
        cr_assert_eq(frame.index, *frames);
        cr_assert(frame.time_s >= last && isfinite(frame.time_s));
        last = frame.time_s;
        all = sac_recalloc(all, (int64_t)bytes * *frames, (int64_t)bytes * (*frames + 1), 1);
        memcpy(all + bytes * (size_t)(*frames)++, frame.data, bytes);
    }
    cr_assert_eq(status, SAC_EOF, "%s", error.message);
    for (int i = 0; i < 3; i++) cr_assert_eq(sac_video_read(video, &frame, &error), SAC_EOF);
    sac_video_close(&video);
    cr_assert_null(video);
    return all;
}

// Expects exactly the frames of make_frame.
static void expect_pattern(const char *source, int w, int h, int channels, int queue, int frames) {
    int n, rw, rh;
    uint8_t *all = read_all(source, 0, 0, channels, queue, &n, &rw, &rh),
            *expected = make_frame_new(w, h, channels, 0);
    cr_assert_eq(n, frames, "%s: %d frames, expected %d", source, n, frames);
    cr_assert(rw == w && rh == h);
    for (int t = 0; t < frames; t++) {
        make_frame(expected, w, h, channels, t);
        cr_assert_eq(memcmp(all + (size_t)t * (size_t)(w * h * channels), expected,
                            (size_t)(w * h * channels)),
                     0, "%s: frame %d differs", source, t);
    }
    sac_free(all);
    sac_free(expected);
}

static double psnr(const uint8_t *a, const uint8_t *b, int64_t n) {
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += (double)(a[i] - b[i]) * (a[i] - b[i]);
    return sum == 0 ? 99 : 10 * log10(255.0 * 255.0 * (double)n / sum);
}

Test(video_source, picture_folder_is_exact_and_in_natural_order) {
    const char *folder = make_png_folder("frames", 48, 32, 12, 1); // 1.png .. 12.png
    write_bytes(path_in(folder, "README.txt"), "not a picture", 13);
    write_bytes(path_in(folder, ".hidden.png"), "x", 1);
    expect_pattern(folder, 48, 32, 1, 0, 12);
    expect_pattern(folder, 48, 32, 1, 4, 12);
    expect_pattern(folder, 48, 32, 1, 64, 12);
    char slash[4096];
    (void)snprintf(slash, sizeof slash, "%s/", folder);
    expect_pattern(slash, 48, 32, 1, 1, 12);
}

Test(video_source, rgb_pictures_keep_their_colours) {
    expect_pattern(make_png_folder("rgb", 19, 11, 3, 3), 19, 11, 3, 2, 3);
}

Test(video_source, gray_of_rgb_is_bt601_luma) {
    const char *folder = make_png_folder("rgb", 19, 11, 1, 3);
    int n, w, h;
    uint8_t *all = read_all(folder, 0, 0, 1, 0, &n, &w, &h), *rgb = make_frame_new(19, 11, 3, 0);
    for (int i = 0; i < 19 * 11; i++) {
        double y = 0.299 * rgb[3 * i] + 0.587 * rgb[3 * i + 1] + 0.114 * rgb[3 * i + 2];
        cr_assert(fabs(all[i] - y) <= 0.51, "pixel %d: %d, expected %.3f", i, all[i], y);
    }
    sac_free(all);
    sac_free(rgb);
}

Test(video_source, patterns) {
    sac_error error = {0};
    const char *folder = make_folder("numbered");
    uint8_t *pixels = make_frame_new(20, 10, 1, 0);
    for (int t = 0; t < 12; t++) {
        char name[40];
        make_frame(pixels, 20, 10, 1, t);
        (void)snprintf(name, sizeof name, "frame%03d.png", t + 95); // 095 .. 106
        sac_assert_ok(sac_picture_write_png(path_in(folder, name), pixels, 20, 10, 1, &error),
                      &error);
    }
    expect_pattern(path_in(folder, "frame%03d.png"), 20, 10, 1, 2, 12);
    expect_pattern(path_in(folder, "frame*.png"), 20, 10, 1, 0, 12);
    expect_pattern(path_in(folder, "frame[01]??.png"), 20, 10, 1, 0, 12);
    expect_pattern(path_in(folder, "frame095.png"), 20, 10, 1, 0, 1);

    sac_video *video = NULL;
    cr_assert_eq(unlink(path_in(folder, "frame100.png")), 0);
    sac_assert_error(sac_video_open(&video, path_in(folder, "frame%03d.png"), NULL, &error),
                     SAC_ERROR_FORMAT, &error, "100", "missing", NULL);
    cr_assert_null(video);
    error = (sac_error){0};
    sac_assert_error(sac_video_open(&video, path_in(folder, "nothing%d.png"), NULL, &error),
                     SAC_ERROR_IO, &error, "nothing%d.png", NULL);
    error = (sac_error){0};
    sac_assert_error(sac_video_open(&video, path_in(folder, "*.bmp"), NULL, &error), SAC_ERROR_IO,
                     &error, "*.bmp", NULL);
    sac_free(pixels);
}

Test(video_source, every_kind_of_picture) {
    static const struct {
        enum AVCodecID id;
        const char *name;
        int channels, limit; // largest error
    } kinds[] = {{AV_CODEC_ID_BMP, "a.bmp", 1, 0},     {AV_CODEC_ID_BMP, "b.bmp", 3, 0},
                 {AV_CODEC_ID_TIFF, "a.tif", 1, 0},    {AV_CODEC_ID_TIFF, "b.TIFF", 3, 0},
                 {AV_CODEC_ID_PGM, "a.pgm", 1, 0},     {AV_CODEC_ID_PPM, "b.ppm", 3, 0},
                 {AV_CODEC_ID_MJPEG, "a.jpeg", 1, 24}, {AV_CODEC_ID_MJPEG, "b.JPG", 1, 24}};
    const char *folder = make_folder("kinds");
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        int ch = kinds[k].channels, n, w, h;
        size_t size;
        uint8_t *pixels = make_frame_new(33, 18, ch, 1),
                *bytes = encode_picture(kinds[k].id, pixels, 33, 18, ch, &size);
        const char *path = path_in(folder, kinds[k].name);
        write_bytes(path, bytes, size);
        uint8_t *all = read_all(path, 0, 0, ch, 0, &n, &w, &h);
        cr_assert(n == 1 && w == 33 && h == 18, "%s", path);
        for (int i = 0; i < 33 * 18 * ch; i++)
            cr_assert(abs(all[i] - pixels[i]) <= kinds[k].limit,
                      "%s: element %d is %d, expected %d", path, i, all[i], pixels[i]);
        sac_free(all);
        sac_free(pixels);
        sac_free(bytes);
    }
}

Test(video_source, sixteen_bit_and_black_and_white_pictures) {
    static const char head[] = "P5\n3 2\n65535\n", bits[] = "P4\n8 1\n\xA5";
    uint8_t file[sizeof head - 1 + 12], expected[6] = {0, 1, 127, 128, 254, 255};
    memcpy(file, head, sizeof head - 1);
    for (size_t i = 0; i < 6; i++)
        file[sizeof head - 1 + 2 * i] = file[sizeof head + 2 * i] = expected[i];
    int n, w, h;
    uint8_t *all = read_all(sac_test_write("deep.pgm", file, sizeof file), 0, 0, 1, 0, &n, &w, &h);
    cr_assert(n == 1 && w == 3 && h == 2);
    for (int i = 0; i < 6; i++)
        cr_assert(abs(all[i] - expected[i]) <= 1, "pixel %d: %d, expected %d", i, all[i],
                  expected[i]);
    sac_free(all);
    all = read_all(sac_test_write("bits.pnm", bits, sizeof bits - 1), 0, 0, 1, 0, &n, &w, &h);
    for (int i = 0; i < 8; i++)
        cr_assert_eq(all[i], (0xA5 >> (7 - i)) & 1 ? 0 : 255); // 1 is black in PBM
    sac_free(all);
}

Test(video_source, lossless_video_is_exact_at_any_size) {
    static const int sizes[][2] = {{64, 48}, {17, 13}, {1, 1}, {2, 1}, {1, 7}, {133, 3}};
    for (int i = 0; i < 6; i++) {
        char name[40];
        (void)snprintf(name, sizeof name, "exact%d.%s", i, i % 2 != 0 ? "avi" : "mkv");
        const char *path = make_video(name, sizes[i][0], sizes[i][1], 9, 25, true);
        expect_pattern(path, sizes[i][0], sizes[i][1], 1, 0, 9);
        expect_pattern(path, sizes[i][0], sizes[i][1], 1, 3, 9);
    }
}

Test(video_source, h264_keeps_frames_times_and_range) {
    enum { W = 96, H = 64, N = 40 };
    sac_error error = {0};
    const char *path = make_video("clip.mp4", W, H, N, 10, false);
    sac_video *video = open_video(path, 0, 0, 1, 4);
    sac_video_info info;
    sac_frame frame;
    uint8_t *expected = make_frame_new(W, H, 1, 0);
    int n = 0, darkest = 255, brightest = 0;
    sac_video_get_info(video, &info);
    cr_assert(info.source_width == W && info.source_height == H && info.width == W &&
              info.height == H);
    cr_assert_float_eq(info.frame_rate, 10, 1e-6);
    cr_assert_eq(info.frames, N);
    for (; sac_video_read(video, &frame, &error) == SAC_OK; n++) {
        make_frame(expected, W, H, 1, n);
        cr_assert_float_eq(frame.time_s, n / 10.0, 1e-6);
        cr_assert_gt(psnr(frame.data, expected, W * H), 28, "frame %d: %.1f dB", n,
                     psnr(frame.data, expected, W * H));
        for (int i = 0; i < W * H; i++) {
            if (frame.data[i] < darkest) darkest = frame.data[i];
            if (frame.data[i] > brightest) brightest = frame.data[i];
        }
    }
    cr_assert_eq(n, N, "%s", error.message);
    cr_assert(darkest <= 2 && brightest >= 253, "range %d to %d: 16..235 was not stretched",
              darkest, brightest);
    sac_video_close(&video);
    sac_free(expected);
}

Test(video_source, odd_sizes_survive_h264) {
    static const int sizes[][2] = {{17, 13}, {1, 1}, {15, 32}};
    for (int i = 0; i < 3; i++) {
        char name[40];
        int n, w, h, pw = (sizes[i][0] + 1) / 2 * 2, ph = (sizes[i][1] + 1) / 2 * 2;
        (void)snprintf(name, sizeof name, "odd%d.mp4", i);
        uint8_t *all = read_all(make_video(name, sizes[i][0], sizes[i][1], 5, 25, false), 0, 0, 1,
                                2, &n, &w, &h);
        cr_assert(n == 5 && w == pw && h == ph, "%d frames of %dx%d", n, w, h);
        sac_free(all);
    }
}

Test(video_source, queue_and_threads_change_nothing) {
    const char *path = make_video("clip.mkv", 160, 120, 60, 25, false);
    int n[4], w, h;
    uint8_t *all[4];
    static const int queues[] = {0, 1, 4, 64};
    for (int q = 0; q < 4; q++) all[q] = read_all(path, 100, 50, 1, queues[q], &n[q], &w, &h);
    for (int q = 1; q < 4; q++) {
        cr_assert_eq(n[q], 60);
        cr_assert_eq(memcmp(all[0], all[q], 60 * 100 * 50), 0, "queue %d", queues[q]);
    }
    sac_error error = {0};
    sac_video *video = NULL;
    sac_video_options options = sac_video_default_options();
    sac_frame frame;
    options.width = 100;
    options.height = 50;
    options.threads = 3;
    sac_assert_ok(sac_video_open(&video, path, &options, &error), &error);
    for (int t = 0; t < 60; t++) {
        sac_assert_ok(sac_video_read(video, &frame, &error), &error);
        cr_assert_eq(memcmp(all[0] + t * 5000, frame.data, 5000), 0, "frame %d with three threads",
                     t);
    }
    cr_assert_eq(sac_video_read(video, &frame, &error), SAC_EOF);
    sac_video_close(&video);
    for (int q = 0; q < 4; q++) sac_free(all[q]);
}

Test(video_source, scaling_is_the_scaler) {
    const char *path = make_png_folder("big", 90, 70, 2, 1);
    int n, w, h;
    uint8_t *all = read_all(path, 40, 100, 1, 0, &n, &w, &h), *src = make_frame_new(90, 70, 1, 1),
            dst[4000];
    sac_scaler *scaler = NULL;
    cr_assert_eq(sac_scaler_create(&scaler, 90, 70, 40, 100, 1), SAC_OK);
    sac_scaler_run(scaler, dst, src);
    cr_assert_eq(memcmp(all + 4000, dst, 4000), 0);
    sac_scaler_close(&scaler);
    sac_free(all);
    sac_free(src);
}

Test(video_source, pictures_of_changing_size_are_scaled) {
    sac_error error = {0};
    const char *folder = make_folder("mixed");
    static const int sizes[][2] = {{40, 30}, {80, 60}, {1, 1}, {40, 30}, {13, 17}};
    int n, w, h;
    for (int t = 0; t < 5; t++) {
        char name[16];
        uint8_t *pixels = make_frame_new(sizes[t][0], sizes[t][1], 1, t);
        (void)snprintf(name, sizeof name, "%d.png", t);
        sac_assert_ok(sac_picture_write_png(path_in(folder, name), pixels, sizes[t][0], sizes[t][1],
                                            1, &error),
                      &error);
        sac_free(pixels);
    }
    uint8_t *all = read_all(folder, 0, 0, 1, 2, &n, &w, &h);
    cr_assert(n == 5 && w == 40 && h == 30);
    for (int t = 0; t < 5; t++) {
        uint8_t *src = make_frame_new(sizes[t][0], sizes[t][1], 1, t), dst[1200];
        sac_scaler *scaler = NULL;
        cr_assert_eq(sac_scaler_create(&scaler, sizes[t][0], sizes[t][1], 40, 30, 1), SAC_OK);
        sac_scaler_run(scaler, dst, src);
        cr_assert_eq(memcmp(all + t * 1200, dst, 1200), 0, "picture %d", t);
        sac_scaler_close(&scaler);
        sac_free(src);
    }
    sac_free(all);
}

Test(video_source, streams_of_changing_size_are_scaled) {
    size_t a_size, b_size;
    uint8_t *a = read_bytes(make_video("a.ts", 64, 48, 10, 25, false), &a_size);
    uint8_t *b = read_bytes(make_video("b.ts", 128, 96, 10, 25, false), &b_size);
    a = sac_recalloc(a, (int64_t)a_size, (int64_t)(a_size + b_size), 1);
    memcpy(a + a_size, b, b_size);
    int n, w, h;
    uint8_t *all = read_all(sac_test_write("both.ts", a, a_size + b_size), 0, 0, 1, 2, &n, &w, &h);
    cr_assert(n == 20 && w == 64 && h == 48, "%d frames of %dx%d", n, w, h);
    uint8_t *src = make_frame_new(128, 96, 1, 9), *dst = sac_calloc(64 * 48, 1);
    sac_scaler *scaler = NULL;
    cr_assert_eq(sac_scaler_create(&scaler, 128, 96, 64, 48, 1), SAC_OK);
    sac_scaler_run(scaler, dst, src);
    cr_assert_gt(psnr(all + 19 * 64 * 48, dst, 64 * 48), 26);
    sac_scaler_close(&scaler);
    sac_free(src);
    sac_free(dst);
    sac_free(all);
    sac_free(a);
    sac_free(b);
}

Test(video_source, eight_k_frame) {
    static const char head[] = "P5\n7680 4320\n255\n";
    size_t size = sizeof head - 1 + (size_t)7680 * 4320;
    uint8_t *file = sac_calloc((int64_t)size, 1);
    memcpy(file, head, sizeof head - 1);
    memset(file + sizeof head - 1, 10, 7680 * 2160); // upper half dark, lower half bright
    memset(file + sizeof head - 1 + 7680 * 2160, 200, 7680 * 2160);
    const char *path = sac_test_write("8k.pgm", file, size);
    int n, w, h;
    uint8_t *all = read_all(path, 320, 180, 1, 4, &n, &w, &h);
    cr_assert(n == 1 && all[0] == 10 && all[320 * 180 - 1] == 200);
    sac_free(all);
    all = read_all(path, 0, 0, 1, 4, &n, &w, &h);
    cr_assert(n == 1 && w == 7680 && h == 4320 && all[7680 * 4320 - 1] == 200);
    sac_free(all);
    sac_free(file);
}

Test(video_source, device_format) {
    sac_error error = {0};
    sac_video *video = NULL;
    sac_video_options options = sac_video_default_options();
    sac_frame frame;
    options.format = "lavfi";
    options.channels = 3;
    sac_assert_ok(
        sac_video_open(&video, "color=c=red:size=32x16:rate=5:duration=2", &options, &error),
        &error);
    for (int t = 0; t < 10; t++) {
        sac_assert_ok(sac_video_read(video, &frame, &error), &error);
        cr_assert_float_eq(frame.time_s, t / 5.0, 1e-6);
        cr_assert(frame.width == 32 && frame.height == 16);
        cr_assert(frame.data[0] >= 250 && frame.data[1] <= 5 && frame.data[2] <= 5, "%d %d %d",
                  frame.data[0], frame.data[1], frame.data[2]);
    }
    cr_assert_eq(sac_video_read(video, &frame, &error), SAC_EOF);
    sac_video_close(&video);
    options.format = "no_such_format";
    sac_assert_error(sac_video_open(&video, "x", &options, &error), SAC_ERROR_UNSUPPORTED, &error,
                     "no_such_format", NULL);
}

Test(video_source, times_of_pictures_follow_the_rate) {
    sac_error error = {0};
    sac_video *video = NULL;
    sac_video_options options = sac_video_default_options();
    sac_frame frame;
    options.frame_rate = 12.5;
    sac_assert_ok(sac_video_open(&video, make_png_folder("p", 4, 4, 5, 1), &options, &error),
                  &error);
    for (int t = 0; t < 5; t++) {
        sac_assert_ok(sac_video_read(video, &frame, &error), &error);
        cr_assert_float_eq(frame.time_s, t / 12.5, 1e-12);
    }
    sac_video_close(&video);
}

Test(video_source, frame_stays_valid_until_the_next_read) {
    const char *folder = make_png_folder("p", 16, 16, 30, 1);
    sac_error error = {0};
    sac_video *video = open_video(folder, 0, 0, 1, 1);
    sac_frame frame;
    uint8_t *expected = make_frame_new(16, 16, 1, 0);
    for (int t = 0; t < 30; t++) {
        sac_assert_ok(sac_video_read(video, &frame, &error), &error);
        usleep(2000); // the decoding thread runs ahead meanwhile
        make_frame(expected, 16, 16, 1, t);
        cr_assert_eq(memcmp(frame.data, expected, 256), 0, "frame %d was overwritten", t);
    }
    sac_video_close(&video);
    sac_free(expected);
}

Test(video_source, close_in_the_middle) {
    const char *path = make_video("clip.mkv", 64, 48, 50, 25, false);
    for (int read = 0; read < 12; read += 3)
        for (int queue = 0; queue <= 8; queue += 4) {
            sac_error error = {0};
            sac_frame frame;
            sac_video *video = open_video(path, 0, 0, 1, queue);
            for (int i = 0; i < read; i++)
                sac_assert_ok(sac_video_read(video, &frame, &error), &error);
            sac_video_close(&video);
            cr_assert_null(video);
        }
    sac_video_close(NULL);
}

Test(video_source, counting_frames) {
    sac_video_counts counts;
    sac_error error = {0};
    sac_assert_ok(
        sac_video_count_frames(&counts, make_video("clip.mp4", 32, 18, 33, 25, false), &error),
        &error);
    cr_assert(counts.decoded == 33 && counts.damaged == 0 && counts.first_damaged == -1);
}

Test(video_source, options_are_checked) {
    const char *folder = make_png_folder("p", 4, 4, 1, 1);
    for (int i = 0; i < 12; i++) {
        sac_video_options o = sac_video_default_options();
        const char *word = "";
        switch (i) {
        case 0:
            o.width = -1, o.height = 4, word = "-1x4";
            break;
        case 1:
            o.width = 4, word = "4x0";
            break;
        case 2:
            o.width = 16385, o.height = 1, word = "16385";
            break;
        case 3:
            o.channels = 2, word = "channels";
            break;
        case 4:
            o.threads = -1, word = "threads";
            break;
        case 5:
            o.queue = 65, word = "queue";
            break;
        case 6:
            o.queue = -1, word = "queue";
            break;
        case 7:
            o.frame_rate = 0, word = "rate";
            break;
        case 8:
            o.frame_rate = NAN, word = "rate";
            break;
        case 9:
            o.timeout_s = -1, word = "timeout";
            break;
        case 10:
            o.timeout_s = NAN, word = "timeout";
            break;
        default:
            o.threads = 65, word = "threads";
            break;
        }
        sac_error error = {0};
        sac_video *video = NULL;
        sac_assert_error(sac_video_open(&video, folder, &o, &error), SAC_ERROR_ARGUMENT, &error,
                         word, NULL);
        cr_assert_null(video);
        cr_assert_eq(sac_video_open(&video, folder, &o, NULL), SAC_ERROR_ARGUMENT);
    }
    sac_error error = {0};
    sac_video *video = NULL;
    sac_assert_error(sac_video_open(&video, "", NULL, &error), SAC_ERROR_ARGUMENT, &error, "name",
                     NULL);
}

// A server on this machine that sends some bytes and then keeps silent until the client goes away.
typedef struct server {
    int listener;
    const uint8_t *bytes;
    size_t size;
} server;

static void *serve(void *user) {
    server *s = user;
    int client = accept(s->listener, NULL, NULL);
    if (client < 0) return NULL;
    size_t sent = 0;
    while (sent < s->size) {
        ssize_t n = send(client, s->bytes + sent, s->size - sent, MSG_NOSIGNAL);
        if (n <= 0) break;
        sent += (size_t)n;
    }
    char byte;
    while (recv(client, &byte, 1, 0) > 0) continue;
    (void)close(client);
    return NULL;
}

// Starts the server; writes its URL. 0 when this machine has no loopback network.
static int start_server(server *s, pthread_t *thread, char *url, size_t room) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    s->listener = socket(AF_INET, SOCK_STREAM, 0);
    if (s->listener < 0 || bind(s->listener, (struct sockaddr *)&address, sizeof address) != 0 ||
        listen(s->listener, 1) != 0 ||
        getsockname(s->listener, (struct sockaddr *)&address, &length) != 0)
        return 0;
    (void)snprintf(url, room, "tcp://127.0.0.1:%d", ntohs(address.sin_port));
    return pthread_create(thread, NULL, serve, s) == 0;
}

Test(video_source, silent_server_times_out) {
    server s = {0};
    pthread_t thread;
    char url[64];
    sac_error error = {0};
    sac_video *video = NULL;
    sac_video_options options = sac_video_default_options();
    options.timeout_s = 0.3;
    if (!start_server(&s, &thread, url, sizeof url)) sac_skip_case("no loopback network");
    double start = sac_time_s();
    sac_assert_error(sac_video_open(&video, url, &options, &error), SAC_ERROR_IO, &error, url,
                     "no data", NULL);
    cr_assert(sac_time_s() - start < 10);
    pthread_join(thread, NULL);
    (void)close(s.listener);
}

static void *interrupt_later(void *user) {
    usleep(200 * 1000);
    sac_video_interrupt(user);
    return NULL;
}

static void interrupt_stalled_stream(int queue) {
    server s = {0};
    pthread_t thread, other;
    char url[64];
    sac_error error = {0};
    sac_video *video = NULL;
    sac_video_options options = sac_video_default_options();
    sac_frame frame;
    sac_status status;
    int frames = 0;
    uint8_t *bytes = read_bytes(make_video("live.ts", 64, 48, 60, 25, false), &s.size);
    s.bytes = bytes;
    options.queue = queue;
    options.timeout_s = 60;
    if (!start_server(&s, &thread, url, sizeof url)) sac_skip_case("no loopback network");
    // Opening reads ahead to learn the stream, and a stream that is silent so early takes until the
    // interrupt or the end of the analysis; so send enough and let the stall come afterwards.
    cr_assert_eq(setsockopt(s.listener, SOL_SOCKET, SO_RCVBUF, &(int){1 << 20}, sizeof(int)), 0);
    options.format = "mpegts";
    options.timeout_s = 2;
    status = sac_video_open(&video, url, &options, &error);
    if (status == SAC_OK) {
        cr_assert_eq(pthread_create(&other, NULL, interrupt_later, video), 0);
        double start = sac_time_s();
        while ((status = sac_video_read(video, &frame, &error)) == SAC_OK) frames++;
        cr_assert(status == SAC_ERROR_INTERRUPTED, "%s after %d frames: %s",
                  sac_status_name(status), frames, error.message);
        cr_assert(sac_time_s() - start < 1.9, "interrupting took %.2f s", sac_time_s() - start);
        cr_assert_eq(sac_video_read(video, &frame, &error), SAC_ERROR_INTERRUPTED);
        pthread_join(other, NULL);
        sac_video_close(&video);
    }
    pthread_join(thread, NULL);
    (void)close(s.listener);
    sac_free(bytes);
    cr_assert_eq(status, SAC_ERROR_INTERRUPTED, "%s", error.message);
}

Test(video_source, interrupt_with_queue) {
    interrupt_stalled_stream(4);
}
Test(video_source, interrupt_without_queue) {
    interrupt_stalled_stream(0);
}

Test(video_source, interrupt_wins_over_frames_in_the_queue) {
    sac_error error = {0};
    sac_frame frame;
    sac_video *video = open_video(make_png_folder("p", 8, 8, 20, 1), 0, 0, 1, 8);
    sac_assert_ok(sac_video_read(video, &frame, &error), &error);
    sac_video_interrupt(video);
    sac_assert_error(sac_video_read(video, &frame, &error), SAC_ERROR_INTERRUPTED, &error,
                     "interrupted", NULL);
    sac_video_close(&video);
}

static void fail_allocations(const char *source, int queue) {
    int failures = 0;
    for (int64_t n = 0;; n++) {
        sac_error error = {0};
        sac_video *video = NULL;
        sac_video_options options = sac_video_default_options();
        options.queue = queue;
        sac_memory_fail_after(n);
        sac_status status = sac_video_open(&video, source, &options, &error);
        sac_memory_fail_after(-1);
        if (status == SAC_OK) {
            sac_video_close(&video);
            break;
        }
        cr_assert_eq(status, SAC_ERROR_MEMORY, "%s: %s", sac_status_name(status), error.message);
        cr_assert(error.message[0] != 0);
        cr_assert_null(video);
        failures++;
        cr_assert_lt(n, 1000);
    }
    cr_assert_gt(failures, 5);
}

Test(video_source, allocation_failures) {
    fail_allocations(make_png_folder("p", 8, 8, 3, 1), 0);
    fail_allocations(make_png_folder("p", 8, 8, 3, 1), 2);
    fail_allocations(make_video("clip.mkv", 16, 16, 3, 25, true), 2);
}

// A picture of all 256 values through a limited-range format: the stretch must round like the
// formula.
Test(video_source, limited_range_is_stretched_exactly) {
    sac_error error = {0};
    sac_video *video = NULL;
    sac_video_options options = sac_video_default_options();
    sac_frame frame;
    // One row of Y4M, which is limited range: Y 0..255 (some outside 16..235), 4:4:4.
    static const char head[] = "YUV4MPEG2 W256 H1 F25:1 Ip A1:1 C444\nFRAME\n";
    uint8_t file[sizeof head - 1 + 3 * 256];
    memcpy(file, head, sizeof head - 1);
    for (int i = 0; i < 256; i++) file[sizeof head - 1 + (size_t)i] = (uint8_t)i;
    memset(file + sizeof head - 1 + 256, 128, 512);
    sac_assert_ok(
        sac_video_open(&video, sac_test_write("all.y4m", file, sizeof file), &options, &error),
        &error);
    sac_assert_ok(sac_video_read(video, &frame, &error), &error);
    cr_assert(frame.width == 256 && frame.height == 1);
    for (int i = 0; i < 256; i++) {
        double v = fmin(fmax((i - 16) * 255.0 / 219.0, 0), 255);
        cr_assert_eq(frame.data[i], (int)floor(v + 0.5), "Y %d gives %d, expected %.3f", i,
                     frame.data[i], v);
    }
    sac_video_close(&video);
}
