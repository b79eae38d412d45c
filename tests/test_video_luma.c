// Borrowed luma planes against pictures of the same source: every pixel format, sizes, ranges,
// strides, lifetime; and what decoding may leave out: loop filter, frames, resolution, late frames.
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/memory.h"
#include "helper.h"
#include "saccade/video.h"
#include "video_make.h"

static sac_video_options luma_options(int queue) {
    sac_video_options options = sac_video_default_options();
    options.luma = true;
    options.queue = queue;
    return options;
}

static sac_video *open_with(const char *source, const sac_video_options *options) {
    sac_error error = {0};
    sac_video *video = NULL;
    sac_assert_ok(sac_video_open(&video, source, options, &error), &error);
    return video;
}

// Reads a source twice, as planes and as gray pixels of width x height (0: its own size), and
// expects sac_video_picture to give the same bytes. Returns the frames.
static int expect_same_pictures(const char *source, const char *format, int width, int height,
                                int queue) {
    sac_error error = {0};
    sac_video_options options = luma_options(queue);
    options.format = format;
    options.width = width;
    options.height = height;
    sac_video *planes = open_with(source, &options);
    options.luma = false;
    sac_video *pixels = open_with(source, &options);
    sac_video_info info;
    sac_video_get_info(planes, &info);
    const size_t bytes = (size_t)info.width * (size_t)info.height;
    uint8_t *picture = sac_calloc((int64_t)bytes, 1);
    sac_luma_frame plane;
    sac_frame frame;
    sac_status status;
    int n = 0;
    for (; (status = sac_video_read_luma(planes, &plane, &error)) == SAC_OK; n++) {
        sac_assert_ok(sac_video_read(pixels, &frame, &error), &error);
        cr_assert(plane.index == n && frame.index == n && plane.time_s == frame.time_s);
        cr_assert(!plane.repeated && !frame.repeated);
        cr_assert(plane.luma.stride >= plane.luma.width || -plane.luma.stride >= plane.luma.width);
        sac_assert_ok(sac_video_picture(planes, picture, &error), &error);
        cr_assert_eq(memcmp(picture, frame.data, bytes), 0, "%s: frame %d differs", source, n);
    }
    cr_assert_eq(status, SAC_EOF, "%s: %s", source, error.message);
    cr_assert_eq(sac_video_read(pixels, &frame, &error), SAC_EOF);
    cr_assert_eq(sac_video_picture(planes, picture, &error), SAC_ERROR_ARGUMENT);
    sac_video_counts counts;
    sac_video_get_counts(planes, &counts);
    cr_assert(counts.decoded == n && counts.delivered == n && counts.repeated == 0 &&
              counts.dropped == 0);
    sac_video_close(&planes);
    sac_video_close(&pixels);
    sac_free(picture);
    return n;
}

// ---- formats and sizes -------------------------------------------------------------------------

typedef struct layout {
    const char *format;
    bool full, borrowed;
    double tolerance; // to the luma of yuv444p, in steps of its range
} layout;

static const layout layouts[] = {
    {"gray", true, true, 2},          {"yuv420p", false, true, 0},
    {"yuv422p", false, true, 0},      {"yuv444p", false, true, 0},
    {"yuv410p", false, true, 0},      {"nv12", false, true, 0},
    {"nv21", false, true, 0},         {"yuva420p", false, true, 0},
    {"yuvj420p", true, true, 2},      {"yuvj444p", true, true, 2},
    {"yuyv422", false, false, 1},     {"uyvy422", false, false, 1},
    {"yuv420p10le", false, false, 1}, {"yuv444p16le", false, false, 1},
    {"p010le", false, false, 1},      {"gray10le", true, false, 3},
    {"gray16le", true, false, 3},     {"gray16be", true, false, 3},
    {"yuv420p10be", false, false, 1}, {"rgb24", true, false, 3},
    {"bgr24", true, false, 3},        {"bgra", true, false, 3},
    {"0rgb", true, false, 3},         {"gbrp", true, false, 3},
    {"rgb48le", true, false, 3},      {"rgb565le", true, false, 40},
    {"monob", true, false, 256},
};

// A pixel on the scale 0..255.
static double value_at(const sac_luma *luma, int x, int y) {
    double v = luma->data[y * luma->stride + x];
    return luma->full_range ? v : fmin(fmax(255 * (v - 16) / 219, 0), 255);
}

static const char *lavfi(const char *format, int w, int h, int frames) {
    static char text[256];
    (void)snprintf(text, sizeof text, "testsrc=size=%dx%d:rate=10:duration=%g,format=%s", w, h,
                   frames / 10.0, format);
    return text;
}

static void check_layouts(int w, int h) {
    double *expected = sac_calloc((int64_t)w * h, sizeof *expected);
    for (int i = -1; i < (int)(sizeof layouts / sizeof *layouts); i++) {
        const layout *l = i < 0 ? &layouts[3] : &layouts[i];
        sac_error error = {0};
        sac_video_options options = luma_options(0);
        options.format = "lavfi";
        sac_video *video = open_with(lavfi(l->format, w, h, 2), &options);
        sac_luma_frame frame;
        sac_assert_ok(sac_video_read_luma(video, &frame, &error), &error);
        const sac_luma *luma = &frame.luma;
        cr_assert(luma->width == w && luma->height == h, "%s: %dx%d", l->format, luma->width,
                  luma->height);
        cr_assert_eq(luma->full_range, l->full, "%s", l->format);
        // Packed rows are those of a converted plane; FFmpeg's own are aligned.
        if (w % 16 != 0 && !l->borrowed) cr_assert_eq(luma->stride, w, "%s", l->format);
        double sum = 0;
        for (int y = 0; y < h; y++)
            for (int x = 0; x < w; x++) {
                double v = value_at(luma, x, y);
                if (i < 0) expected[y * w + x] = v;
                sum += v;
                cr_assert(fabs(v - expected[y * w + x]) <= l->tolerance * 255 / 219 + 1e-9,
                          "%s at %d,%d: %g, expected %g", l->format, x, y, v, expected[y * w + x]);
            }
        cr_assert(sum > 0 || w == 1, "%s is all black", l->format);
        sac_video_close(&video);
        cr_assert_eq(expect_same_pictures(lavfi(l->format, w, h, 3), "lavfi", 0, 0, 0), 3);
        cr_assert_eq(expect_same_pictures(lavfi(l->format, w, h, 3), "lavfi", 12, 31, 2), 3);
    }
    sac_free(expected);
}

Test(video_luma, every_pixel_format) {
    check_layouts(64, 48);
}
Test(video_luma, every_pixel_format_at_odd_sizes) {
    check_layouts(17, 13);
    check_layouts(1, 1);
}

Test(video_luma, h264_and_lossless_files) {
    static const int sizes[][2] = {{96, 64}, {17, 13}, {1, 1}, {250, 30}};
    for (int i = 0; i < 4; i++)
        for (int queue = 0; queue <= 4; queue += 4) {
            const int w = sizes[i][0], h = sizes[i][1];
            const char *h264 = make_video("a.mp4", w, h, 12, 25, false);
            cr_assert_eq(expect_same_pictures(h264, NULL, 0, 0, queue), 12);
            cr_assert_eq(expect_same_pictures(h264, NULL, 40, 20, queue), 12);
            cr_assert_eq(
                expect_same_pictures(make_video("a.mkv", w, h, 12, 25, true), NULL, 33, 90, queue),
                12);
        }
}

Test(video_luma, streams_and_pictures_of_changing_size) {
    size_t a_size, b_size;
    uint8_t *a = read_bytes(make_video("a.ts", 64, 48, 10, 25, false), &a_size);
    uint8_t *b = read_bytes(make_video("b.ts", 130, 98, 10, 25, false), &b_size);
    a = sac_recalloc(a, (int64_t)a_size, (int64_t)(a_size + b_size), 1);
    memcpy(a + a_size, b, b_size);
    const char *both = sac_test_write("both.ts", a, a_size + b_size);
    cr_assert_eq(expect_same_pictures(both, NULL, 0, 0, 3), 20);
    sac_error error = {0};
    const sac_video_options options = luma_options(4);
    sac_video *video = open_with(both, &options);
    sac_luma_frame frame;
    for (int t = 0; t < 20; t++) {
        sac_assert_ok(sac_video_read_luma(video, &frame, &error), &error);
        cr_assert_eq(frame.luma.width, t < 10 ? 64 : 130, "frame %d", t);
        cr_assert_eq(frame.luma.height, t < 10 ? 48 : 98, "frame %d", t);
    }
    sac_video_close(&video);
    sac_free(a);
    sac_free(b);
    cr_assert_eq(expect_same_pictures(make_png_folder("gray", 33, 20, 5, 1), NULL, 0, 0, 2), 5);
    cr_assert_eq(expect_same_pictures(make_png_folder("rgb", 33, 20, 5, 3), NULL, 50, 10, 2), 5);
}

Test(video_luma, planes_stay_valid_until_the_next_read) {
    const char *path = make_video("a.mkv", 64, 48, 40, 25, true);
    sac_error error = {0};
    for (int queue = 0; queue <= 3; queue++) {
        const sac_video_options options = luma_options(queue);
        sac_video *video = open_with(path, &options);
        sac_luma_frame frame;
        uint8_t kept[64 * 48];
        for (int t = 0; t < 40; t++) {
            sac_assert_ok(sac_video_read_luma(video, &frame, &error), &error);
            for (int y = 0; y < 48; y++)
                memcpy(kept + 64 * y, frame.luma.data + y * frame.luma.stride, 64);
            usleep(500); // the decoding thread runs ahead meanwhile
            for (int y = 0; y < 48; y++)
                cr_assert_eq(memcmp(kept + 64 * y, frame.luma.data + y * frame.luma.stride, 64), 0,
                             "frame %d was overwritten", t);
        }
        sac_video_close(&video);
    }
}

// The decoder's memory goes round: over many frames the planes lie at few addresses.
Test(video_luma, planes_come_from_a_pool) {
    enum { N = 400, MOST = 40 };
    const char *path = make_video("long.mp4", 48, 32, N, 25, false);
    const uint8_t *seen[MOST];
    int count = 0;
    sac_error error = {0};
    const sac_video_options options = luma_options(4);
    sac_video *video = open_with(path, &options);
    sac_luma_frame frame;
    for (int t = 0; t < N; t++) {
        sac_assert_ok(sac_video_read_luma(video, &frame, &error), &error);
        int i = 0;
        while (i < count && seen[i] != frame.luma.data) i++;
        if (i < count) continue;
        cr_assert_lt(count, MOST, "frame %d lies at yet another address", t);
        seen[count++] = frame.luma.data;
    }
    sac_video_close(&video);
}

Test(video_luma, reading_the_other_way_is_an_error) {
    const char *folder = make_png_folder("p", 8, 8, 3, 1);
    sac_error error = {0};
    sac_video_options options = luma_options(1);
    sac_frame pixels;
    sac_luma_frame planes;
    uint8_t picture[64];
    sac_video *video = open_with(folder, &options);
    sac_assert_error(sac_video_read(video, &pixels, &error), SAC_ERROR_ARGUMENT, &error, folder,
                     "luma planes", NULL);
    error = (sac_error){0};
    sac_assert_error(sac_video_picture(video, picture, &error), SAC_ERROR_ARGUMENT, &error,
                     "no luma plane", NULL);
    error = (sac_error){0};
    sac_assert_ok(sac_video_read_luma(video, &planes, &error), &error); // still usable
    sac_assert_ok(sac_video_picture(video, picture, &error), &error);
    sac_video_close(&video);
    options.luma = false;
    video = open_with(folder, &options);
    sac_assert_error(sac_video_read_luma(video, &planes, &error), SAC_ERROR_ARGUMENT, &error,
                     "pixels", NULL);
    sac_video_close(&video);
}

Test(video_luma, options_are_checked) {
    const char *folder = make_png_folder("p", 4, 4, 1, 1);
    for (int i = 0; i < 7; i++) {
        sac_video_options o = luma_options(2);
        const char *word = "expected";
        switch (i) {
        case 0:
            o.channels = 3, word = "luma";
            break;
        case 1:
            o.skip_loop_filter = (sac_video_skip)3;
            break;
        case 2:
            o.skip_frames = SAC_VIDEO_SKIP_ALL;
            break;
        case 3:
            o.lowres = 4, word = "lowres 4";
            break;
        case 4:
            o.lowres = -1, word = "lowres -1";
            break;
        case 5:
            o.late = (sac_video_late)2;
            break;
        default:
            o.late = SAC_VIDEO_LATE_DROP, o.queue = 0, word = "queue";
            break;
        }
        sac_error error = {0};
        sac_video *video = NULL;
        sac_assert_error(sac_video_open(&video, folder, &o, &error), SAC_ERROR_ARGUMENT, &error,
                         word, NULL);
        cr_assert_null(video);
    }
}

static void fail_allocations(const char *source, int queue) {
    int failures = 0;
    for (int64_t n = 0;; n++) {
        sac_error error = {0};
        sac_video *video = NULL;
        sac_luma_frame frame;
        uint8_t picture[32 * 24];
        const sac_video_options options = luma_options(queue);
        sac_memory_fail_after(n);
        sac_status status = sac_video_open(&video, source, &options, &error);
        if (status == SAC_OK) status = sac_video_read_luma(video, &frame, &error);
        if (status == SAC_OK) status = sac_video_picture(video, picture, &error);
        sac_memory_fail_after(-1);
        sac_video_close(&video);
        if (status == SAC_OK) break;
        cr_assert_eq(status, SAC_ERROR_MEMORY, "%s", error.message);
        cr_assert_neq(error.message[0], 0);
        cr_assert_lt(++failures, 200);
    }
    cr_assert_gt(failures, 5);
}

Test(video_luma, allocation_failures) {
    fail_allocations(make_png_folder("p", 32, 24, 2, 3), 0);
    fail_allocations(make_png_folder("p", 32, 24, 2, 3), 2);
    fail_allocations(make_video("a.mkv", 32, 24, 3, 25, true), 2);
}

// ---- savings -----------------------------------------------------------------------------------

// All planes of a source packed one behind the other; sizes must not change.
static uint8_t *read_planes(const char *source, const sac_video_options *options, int frames,
                            bool *repeated, double *times, int *w, int *h) {
    sac_error error = {0};
    sac_video *video = open_with(source, options);
    sac_luma_frame frame;
    sac_status status;
    uint8_t *all = NULL;
    int n = 0;
    for (; (status = sac_video_read_luma(video, &frame, &error)) == SAC_OK; n++) {
        cr_assert_lt(n, frames, "%s: more than %d frames", source, frames);
        *w = frame.luma.width;
        *h = frame.luma.height;
        if (n == 0) all = sac_calloc((int64_t)frames * *w * *h, 1);
        for (int y = 0; y < *h; y++)
            memcpy(all + ((int64_t)n * *h + y) * *w, frame.luma.data + y * frame.luma.stride,
                   (size_t)*w);
        cr_assert_eq(frame.index, n);
        repeated[n] = frame.repeated;
        times[n] = frame.time_s;
    }
    cr_assert_eq(status, SAC_EOF, "%s: %s", source, error.message);
    cr_assert_eq(n, frames, "%s: %d frames, expected %d", source, n, frames);
    sac_video_counts counts;
    sac_video_get_counts(video, &counts);
    cr_assert_eq(counts.delivered, frames);
    cr_assert_eq(counts.decoded + counts.repeated, frames);
    sac_video_close(&video);
    return all;
}

Test(video_luma, loop_filter_left_out) {
    enum { N = 30 };
    const char *path = make_video("a.mp4", 96, 64, N, 25, false);
    bool repeated[N];
    double times[N];
    int w = 0, h = 0;
    uint8_t *planes[3];
    for (int skip = 0; skip < 3; skip++) {
        sac_video_options options = luma_options(2);
        options.skip_loop_filter = (sac_video_skip)skip;
        planes[skip] = read_planes(path, &options, N, repeated, times, &w, &h);
    }
    int64_t changed[3] = {0}, bytes = (int64_t)N * w * h;
    for (int skip = 1; skip < 3; skip++)
        for (int64_t i = 0; i < bytes; i++) {
            changed[skip] += planes[skip][i] != planes[0][i];
            cr_assert(abs(planes[skip][i] - planes[0][i]) < 160);
        }
    cr_assert(changed[1] > 0 && changed[2] > changed[1], "%lld and %lld pixels changed",
              (long long)changed[1], (long long)changed[2]);
    for (int skip = 0; skip < 3; skip++) sac_free(planes[skip]);
}

static void check_skipping(const char *path, int n, int threads, int queue) {
    bool *repeated = sac_calloc(n, 1), *never = sac_calloc(n, 1);
    double *times = sac_calloc(n, sizeof *times), *expected = sac_calloc(n, sizeof *expected);
    int w = 0, h = 0, count = 0;
    sac_video_options options = luma_options(queue);
    options.threads = threads;
    uint8_t *full = read_planes(path, &options, n, never, expected, &w, &h);
    options.skip_frames = SAC_VIDEO_SKIP_NONREF;
    uint8_t *some = read_planes(path, &options, n, repeated, times, &w, &h);
    const size_t bytes = (size_t)w * (size_t)h;
    for (int t = 0; t < n; t++) {
        const uint8_t *as = repeated[t] ? some + (size_t)(t - 1) * bytes : full + (size_t)t * bytes;
        cr_assert(!never[t] && (t > 0 || !repeated[t]));
        cr_assert_eq(memcmp(some + (size_t)t * bytes, as, bytes), 0, "%s: frame %d", path, t);
        cr_assert_float_eq(times[t], expected[t], 1e-9, "%s: time of frame %d", path, t);
        count += repeated[t];
    }
    cr_assert_gt(count, n / 8, "%s: only %d frames were skipped", path, count);
    sac_free(repeated);
    sac_free(never);
    sac_free(times);
    sac_free(expected);
    sac_free(full);
    sac_free(some);
}

Test(video_luma, skipped_frames_are_repeated_in_place) {
    static const char *const names[] = {"a.mp4", "a.mkv", "a.ts", "a.mov"};
    for (int i = 0; i < 4; i++)
        for (int n = 29; n <= 31; n++) // the last frames are of different kinds
            check_skipping(make_video(names[i], 64, 48, n, 25, false), n, 1 + (n == 30) * 2, i);
}

Test(video_luma, skipping_needs_a_codec_that_can) {
    sac_error error = {0};
    sac_video *video = NULL;
    sac_video_options options = luma_options(2);
    options.skip_frames = SAC_VIDEO_SKIP_NONREF;
    sac_assert_error(
        sac_video_open(&video, make_video("a.mkv", 16, 16, 3, 25, true), &options, &error),
        SAC_ERROR_UNSUPPORTED, &error, "ffv1", "skipped", NULL);
    error = (sac_error){0};
    sac_assert_error(sac_video_open(&video, make_png_folder("p", 8, 8, 2, 1), &options, &error),
                     SAC_ERROR_UNSUPPORTED, &error, "pictures", NULL);
    cr_assert_null(video);
}

// JPEG pictures one behind the other are a Motion JPEG stream.
static const char *make_mjpeg(int w, int h, int frames) {
    uint8_t *all = NULL;
    size_t size = 0;
    for (int t = 0; t < frames; t++) {
        size_t more;
        uint8_t *pixels = make_frame_new(w, h, 1, t),
                *bytes = encode_picture(AV_CODEC_ID_MJPEG, pixels, w, h, 1, &more);
        all = sac_recalloc(all, (int64_t)size, (int64_t)(size + more), 1);
        memcpy(all + size, bytes, more);
        size += more;
        sac_free(bytes);
        sac_free(pixels);
    }
    const char *path = sac_test_write("a.mjpeg", all, size);
    sac_free(all);
    return path;
}

static void check_lowres(const char *source, int w, int h) {
    for (int lowres = 0; lowres <= 3; lowres++) {
        sac_error error = {0};
        sac_video_options options = luma_options(2);
        options.lowres = lowres;
        sac_video *video = open_with(source, &options);
        sac_video_info info;
        sac_luma_frame frame;
        sac_video_get_info(video, &info);
        cr_assert(info.source_width == w && info.source_height == h, "%s: %dx%d", source,
                  info.source_width, info.source_height);
        const int to = 1 << lowres, lw = (w + to - 1) / to, lh = (h + to - 1) / to;
        cr_assert(info.width == lw && info.height == lh);
        int n = 0;
        for (; sac_video_read_luma(video, &frame, &error) == SAC_OK; n++) {
            cr_assert(frame.luma.width == lw && frame.luma.height == lh, "%s: %dx%d", source,
                      frame.luma.width, frame.luma.height);
            // Each pixel is about the mean of those it stands for, over all of the picture.
            uint8_t *pixels = make_frame_new(w, h, 1, n);
            double found = 0, expected = 0;
            for (int i = 0; i < w * h; i++) expected += pixels[i];
            for (int y = 0; y < lh; y++)
                for (int x = 0; x < lw; x++) found += value_at(&frame.luma, x, y);
            cr_assert_float_eq(found / (lw * lh), expected / (w * h), 6, "%s at lowres %d", source,
                               lowres);
            sac_free(pixels);
        }
        cr_assert_eq(n, 3, "%s: %s", source, error.message);
        sac_video_close(&video);
    }
}

Test(video_luma, reduced_resolution) {
    check_lowres(make_mjpeg(64, 48, 3), 64, 48);
    const char *folder = make_folder("jpeg");
    for (int t = 0; t < 3; t++) {
        size_t size;
        char name[16];
        uint8_t *pixels = make_frame_new(70, 50, 1, t),
                *bytes = encode_picture(AV_CODEC_ID_MJPEG, pixels, 70, 50, 1, &size);
        (void)snprintf(name, sizeof name, "%d.jpg", t);
        write_bytes(path_in(folder, name), bytes, size);
        sac_free(bytes);
        sac_free(pixels);
    }
    check_lowres(folder, 70, 50);
}

Test(video_luma, reduced_resolution_needs_a_codec_that_can) {
    sac_error error = {0};
    sac_video *video = NULL;
    sac_video_options options = luma_options(2);
    options.lowres = 1;
    sac_assert_error(
        sac_video_open(&video, make_video("a.mp4", 32, 16, 3, 25, false), &options, &error),
        SAC_ERROR_UNSUPPORTED, &error, "h264", "1/2", NULL);
    error = (sac_error){0};
    sac_assert_error(sac_video_open(&video, make_png_folder("p", 8, 8, 2, 1), &options, &error),
                     SAC_ERROR_UNSUPPORTED, &error, "PNG", "1/2", NULL);
    cr_assert_null(video);
}

// ---- late frames -------------------------------------------------------------------------------

Test(video_luma, late_frames_are_dropped_and_counted) {
    enum { N = 300 };
    for (int luma = 0; luma <= 1; luma++) {
        sac_error error = {0};
        sac_video_options options = luma_options(3);
        options.luma = luma != 0;
        options.late = SAC_VIDEO_LATE_DROP;
        options.format = "lavfi";
        sac_video *video = open_with("testsrc=size=32x16:rate=25:duration=12", &options);
        sac_frame pixels = {0};
        sac_luma_frame planes = {0};
        sac_video_counts counts;
        sac_status status;
        int64_t n = 0, last = -1;
        for (;; n++) {
            status = luma ? sac_video_read_luma(video, &planes, &error)
                          : sac_video_read(video, &pixels, &error);
            if (status != SAC_OK) break;
            const int64_t index = luma ? planes.index : pixels.index;
            const double time_s = luma ? planes.time_s : pixels.time_s;
            cr_assert(index > last && index < N);
            cr_assert_float_eq(time_s, (double)index / 25, 1e-6);
            last = index;
            usleep(n < 5 ? 20000 : 0);
        }
        cr_assert_eq(status, SAC_EOF, "%s", error.message);
        cr_assert_eq(last, N - 1); // the newest frames stay
        sac_video_get_counts(video, &counts);
        cr_assert(counts.decoded == N && counts.delivered == n && counts.dropped == N - n);
        cr_assert(counts.dropped > 0, "nothing was late");
        sac_video_close(&video);
    }
}

Test(video_luma, a_blocking_queue_drops_nothing) {
    for (int queue = 1; queue <= 5; queue++) {
        sac_error error = {0};
        sac_video_options options = luma_options(queue);
        options.format = "lavfi";
        sac_video *video = open_with("testsrc=size=32x16:rate=25:duration=4", &options);
        sac_luma_frame frame;
        sac_video_counts counts;
        for (int t = 0; t < 100; t++) {
            sac_assert_ok(sac_video_read_luma(video, &frame, &error), &error);
            cr_assert_eq(frame.index, t);
            if (t % 9 == 0) usleep(2000);
        }
        cr_assert_eq(sac_video_read_luma(video, &frame, &error), SAC_EOF);
        sac_video_get_counts(video, &counts);
        cr_assert(counts.decoded == 100 && counts.delivered == 100 && counts.dropped == 0);
        sac_video_close(&video);
    }
}
