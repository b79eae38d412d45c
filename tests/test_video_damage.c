// Damaged, truncated, wrong and hostile video: every one a clear error, never a crash, and never a
// quiet end.
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/memory.h"
#include "helper.h"
#include "saccade/video.h"
#include "video/container.h"
#include "video/source.h"
#include "video_make.h"

// Opens and reads to the end; returns the final status and the number of frames.
static sac_status run(const char *source, int queue, int64_t *frames, sac_error *error) {
    sac_video *video = NULL;
    sac_video_options options = sac_video_default_options();
    sac_frame frame;
    options.queue = queue;
    *frames = 0;
    sac_status status = sac_video_open(&video, source, &options, error);
    cr_assert_eq(status == SAC_OK, video != NULL);
    while (status == SAC_OK && (status = sac_video_read(video, &frame, error)) == SAC_OK)
        (*frames)++;
    sac_video_close(&video);
    return status;
}

static void expect_failure(const char *source, sac_status code, const char *word) {
    for (int queue = 0; queue < 5; queue += 4) {
        sac_error error = {0};
        int64_t frames;
        sac_assert_error(run(source, queue, &frames, &error), code, &error, source, word, NULL);
        cr_assert_eq(frames, 0, "%s gave frames", source);
    }
}

Test(video_damage, missing) {
    expect_failure(sac_test_path("none.mp4"), SAC_ERROR_IO, "No such file");
    expect_failure(sac_test_path("none/x.png"), SAC_ERROR_IO, "No such file");
    expect_failure(sac_test_path("none"), SAC_ERROR_IO, "No such file");
}

Test(video_damage, empty) {
    expect_failure(sac_test_write("empty.mp4", "", 0), SAC_ERROR_FORMAT, "empty");
    expect_failure(sac_test_write("empty.png", "", 0), SAC_ERROR_FORMAT, "empty");
    expect_failure(make_folder("empty"), SAC_ERROR_FORMAT, "no pictures");
}

Test(video_damage, text) {
    char text[2000];
    for (int i = 0; i < 2000; i++) text[i] = (char)(i % 40 == 39 ? '\n' : 'a' + i % 26);
    static const char *const names[] = {"notes.txt", "notes.mp4", "notes.avi", "notes",
                                        "notes.h264"};
    for (int i = 0; i < 5; i++)
        expect_failure(sac_test_write(names[i], text, sizeof text), SAC_ERROR_FORMAT, "");
    expect_failure(sac_test_write("notes.png", text, sizeof text), SAC_ERROR_FORMAT,
                   "not a picture");
    expect_failure(sac_test_write("notes.JPG", text, sizeof text), SAC_ERROR_FORMAT,
                   "not a picture");
}

Test(video_damage, sound_only) {
    // 8000 Hz mono, 8 bits, 800 samples of silence.
    static const uint8_t head[44] =
        "RIFF\x44\x03\0\0WAVEfmt "
        "\x10\0\0\0\1\0\1\0\x40\x1F\0\0\x40\x1F\0\0\1\0\x08\0data\x20\x03\0";
    uint8_t file[844];
    memcpy(file, head, 44);
    memset(file + 44, 128, 800);
    expect_failure(sac_test_write("sound.wav", file, sizeof file), SAC_ERROR_FORMAT, "no video");
}

Test(video_damage, unreadable) {
    const char *path = make_video("locked.mp4", 16, 16, 2, 25, false);
    if (geteuid() == 0) sac_skip_case("root reads every file");
    cr_assert_eq(chmod(path, 0), 0);
    expect_failure(path, SAC_ERROR_IO, "denied");
}

// Cut files must end in an error that names the file, wherever the cut is.
static void cut(const char *name, bool lossless, int frames, bool whole_frames_first) {
    size_t size;
    uint8_t *bytes = read_bytes(make_video(name, 64, 48, frames, 25, lossless), &size);
    char cut_name[64];
    (void)snprintf(cut_name, sizeof cut_name, "cut_%s", name);
    static const int tenths[] = {1, 3, 5, 7, 9, 10};
    bool some = false;
    for (int i = 0; i < 6; i++) {
        size_t keep = tenths[i] == 10 ? size - 3 : size * (size_t)tenths[i] / 10;
        const char *path = sac_test_write(cut_name, bytes, keep);
        for (int queue = 0; queue < 5; queue += 4) {
            sac_error error = {0};
            int64_t got;
            sac_status status = run(path, queue, &got, &error);
            cr_assert_eq(status, SAC_ERROR_FORMAT,
                         "%s cut to %zu of %zu bytes: %s after %lld frames: %s", name, keep, size,
                         sac_status_name(status), (long long)got, error.message);
            cr_assert_not_null(strstr(error.message, cut_name), "%s", error.message);
            if (got > 0) {
                char frame[40];
                (void)snprintf(frame, sizeof frame, "frame %lld", (long long)got);
                cr_assert_not_null(strstr(error.message, frame), "%s after %lld frames",
                                   error.message, (long long)got);
                cr_assert_eq(error.position, got);
                some = true;
            }
            cr_assert_leq(got, frames);
        }
    }
    cr_assert(some || !whole_frames_first, "%s: no frame before the cut was handed out", name);
    sac_free(bytes);
}

Test(video_damage, cut_mp4) {
    cut("a.mp4", false, 60, true);
}
Test(video_damage, cut_mkv) {
    cut("a.mkv", false, 60, true);
}
Test(video_damage, cut_avi) {
    cut("a.avi", false, 60, true);
}
Test(video_damage, cut_lossless_mkv) {
    cut("b.mkv", true, 12, true);
}
Test(video_damage, cut_lossless_avi) {
    cut("b.avi", true, 12, true);
}

Test(video_damage, complete_files_hold_what_they_declare) {
    static const char *const names[] = {"a.mp4", "a.mkv", "a.avi", "a.mov", "a.ts"};
    for (int i = 0; i < 5; i++) {
        struct stat info;
        const char *path = make_video(names[i], 32, 32, 20, 25, false);
        sac_error error = {0};
        int64_t frames;
        cr_assert_eq(stat(path, &info), 0);
        cr_assert_leq(sac_container_declared_bytes(path), info.st_size, "%s", path);
        if (i < 4) cr_assert_gt(sac_container_declared_bytes(path), info.st_size / 2, "%s", path);
        cr_assert_eq(run(path, 2, &frames, &error), SAC_EOF, "%s", error.message);
        cr_assert_eq(frames, 20);
    }
}

// Every picture kind, cut anywhere, inside a folder of good ones: the error names that picture.
Test(video_damage, folder_with_a_truncated_picture) {
    static const struct {
        enum AVCodecID id;
        const char *name;
    } kinds[] = {{AV_CODEC_ID_PNG, "2.png"}, {AV_CODEC_ID_MJPEG, "2.jpg"},
                 {AV_CODEC_ID_BMP, "2.bmp"}, {AV_CODEC_ID_TIFF, "2.tif"},
                 {AV_CODEC_ID_PGM, "2.pgm"}, {AV_CODEC_ID_PPM, "2.ppm"}};
    uint8_t *pixels = make_frame_new(64, 48, 3, 1);
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        char folder_name[16];
        size_t size;
        int channels = kinds[k].id == AV_CODEC_ID_PGM ? 1 : 3;
        uint8_t *bytes = encode_picture(kinds[k].id, pixels, 64, 48, channels, &size);
        (void)snprintf(folder_name, sizeof folder_name, "f%zu", k);
        const char *folder = make_png_folder(folder_name, 64, 48, 3, 1);
        (void)unlink(path_in(folder, "2.png"));
        const char *path = path_in(folder, kinds[k].name);
        for (int tenth = 0; tenth <= 9; tenth++) {
            size_t keep = tenth == 9 ? size - size / 20 - 20 : size * (size_t)tenth / 10;
            write_bytes(path, bytes, keep);
            for (int queue = 0; queue < 5; queue += 4) {
                sac_error error = {0};
                int64_t frames;
                sac_status status = run(folder, queue, &frames, &error);
                cr_assert_eq(status, SAC_ERROR_FORMAT, "%s cut to %zu of %zu bytes: %s", path, keep,
                             size, sac_status_name(status));
                cr_assert_eq(frames, 1);
                cr_assert_not_null(strstr(error.message, path), "%s", error.message);
            }
        }
        write_bytes(path, bytes, size);
        sac_error error = {0};
        int64_t frames;
        cr_assert_eq(run(folder, 0, &frames, &error), SAC_EOF, "%s", error.message);
        cr_assert_eq(frames, 3);
        sac_free(bytes);
    }
    sac_free(pixels);
}

Test(video_damage, png_with_a_flipped_bit) {
    const char *folder = make_png_folder("flip", 64, 48, 3, 1), *path = path_in(folder, "3.png");
    size_t size;
    uint8_t *bytes = read_bytes(path, &size);
    sac_error error = {0};
    int64_t frames;
    bytes[size / 2] ^= 16;
    write_bytes(path, bytes, size);
    sac_assert_error(run(folder, 4, &frames, &error), SAC_ERROR_FORMAT, &error, "3.png", NULL);
    cr_assert_eq(frames, 2);
    sac_free(bytes);
}

// Reads `source` to its end: the marks of the frames and the counts must say the same. Returns the
// number of damaged frames.
static int64_t read_damaged(const char *source, bool luma, int64_t frames) {
    sac_video *video = NULL;
    sac_video_options options = sac_video_default_options();
    sac_video_counts counts;
    sac_error error = {0};
    int64_t read = 0, damaged = 0, first = -1;
    options.luma = luma;
    sac_assert_ok(sac_video_open(&video, source, &options, &error), &error);
    for (;; read++) {
        sac_frame frame;
        sac_luma_frame plane = {0};
        const sac_status status = luma ? sac_video_read_luma(video, &plane, &error)
                                       : sac_video_read(video, &frame, &error);
        if (status == SAC_EOF) break;
        sac_assert_ok(status, &error);
        const bool marked = luma ? plane.damaged : frame.damaged;
        if (marked && damaged++ == 0) first = read;
    }
    sac_video_get_counts(video, &counts);
    cr_assert_eq(read, frames, "%s: %lld frames", source, (long long)read);
    cr_assert_eq(counts.damaged, damaged);
    cr_assert_eq(counts.first_damaged, first);
    sac_video_close(&video);
    sac_assert_ok(sac_video_count_frames(&counts, source, &error), &error);
    cr_assert(counts.decoded == read && counts.damaged == damaged && counts.first_damaged == first);
    return damaged;
}

// Errors that MPEG-4's decoder covers up lose no frame, and are counted.
Test(video_damage, bit_errors_are_counted) {
    size_t size;
    const char *whole = make_video("bits.mp4", 64, 48, 60, 25, false);
    uint8_t *bytes = read_bytes(whole, &size);
    int64_t damaged = 0;
    cr_assert_eq(read_damaged(whole, false, 60), 0);
    cr_assert_eq(read_damaged(whole, true, 60), 0);
    for (size_t at = 0; at < 3; at++) {
        for (size_t i = 0; i < 8; i++) bytes[size / 3 + at * size / 8 + i] ^= 0x5A;
        const char *path = sac_test_write("bits_flipped.mp4", bytes, size);
        const int64_t found = read_damaged(path, false, 60);
        cr_assert_eq(read_damaged(path, true, 60), found);
        cr_assert_geq(found, damaged);
        damaged = found;
    }
    cr_assert_gt(damaged, 0);
    sac_free(bytes);
}

Test(video_damage, absurd_sizes) {
    expect_failure(sac_test_write_text("wide.pgm", "P5\n16385 1\n255\nx"), SAC_ERROR_FORMAT, "");
    expect_failure(sac_test_write_text("huge.pgm", "P5\n999999999 999999999\n255\nx"),
                   SAC_ERROR_FORMAT, "");
    expect_failure(sac_test_write_text("none.pgm", "P5\n0 0\n255\n"), SAC_ERROR_FORMAT, "");
    uint8_t png[] =
        "\x89PNG\r\n\x1a\n\0\0\0\rIHDR\x7F\xFF\xFF\xFF\x7F\xFF\xFF\xFF\x08\0\0\0\0\0\0\0\0";
    expect_failure(sac_test_write("huge.png", png, sizeof png - 1), SAC_ERROR_FORMAT, "");
}

Test(video_damage, wide_picture_of_the_allowed_size) {
    static const char head[] = "P5\n16384 2\n255\n";
    uint8_t *file = sac_calloc((int64_t)sizeof head + 32768, 1);
    sac_error error = {0};
    int64_t frames;
    memcpy(file, head, sizeof head - 1);
    cr_assert_eq(run(sac_test_write("wide.pgm", file, sizeof head - 1 + 32768), 1, &frames, &error),
                 SAC_EOF, "%s", error.message);
    cr_assert_eq(frames, 1);
    sac_free(file);
}

Test(video_damage, playlists_do_not_reach_the_network) {
    sac_error error = {0};
    int64_t frames;
    const char *list =
        sac_test_write_text("list.m3u8", "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n"
                                         "http://127.0.0.1:9/x.ts\n#EXT-X-ENDLIST\n");
    cr_assert_lt(run(list, 2, &frames, &error), 0);
    cr_assert_eq(frames, 0);
}

Test(video_damage, errors_stay) {
    const char *folder = make_png_folder("p", 8, 8, 3, 1);
    write_bytes(path_in(folder, "2.png"), "x", 1);
    for (int queue = 0; queue < 5; queue += 4) {
        sac_error error = {0}, again = {0};
        sac_video *video = NULL;
        sac_video_options options = sac_video_default_options();
        sac_frame frame;
        options.queue = queue;
        sac_assert_ok(sac_video_open(&video, folder, &options, &error), &error);
        sac_assert_ok(sac_video_read(video, &frame, &error), &error);
        sac_assert_error(sac_video_read(video, &frame, &error), SAC_ERROR_FORMAT, &error, "2.png",
                         NULL);
        sac_assert_error(sac_video_read(video, &frame, &again), SAC_ERROR_FORMAT, &again, "2.png",
                         NULL);
        cr_assert_eq(sac_video_read(video, &frame, NULL), SAC_ERROR_FORMAT);
        sac_video_close(&video);
    }
}

Test(video_damage, first_picture_damaged) {
    const char *folder = make_png_folder("p", 8, 8, 3, 1);
    write_bytes(path_in(folder, "1.png"), "\x89PNG\r\n\x1a\n", 8);
    sac_error error = {0};
    int64_t frames;
    sac_assert_error(run(folder, 4, &frames, &error), SAC_ERROR_FORMAT, &error, "1.png", NULL);
}

Test(video_damage, folder_named_like_a_picture) {
    const char *folder = make_png_folder("p", 8, 8, 2, 1);
    cr_assert_eq(mkdir(path_in(folder, "1b.png"), 0777), 0);
    sac_error error = {0};
    int64_t frames;
    sac_assert_error(run(folder, 4, &frames, &error), SAC_ERROR_IO, &error, "1b.png", NULL);
}
