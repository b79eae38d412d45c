// Data sets: both layouts generated, every mismatch an error that names the clip, and real Ped2
// where it is at hand.
#include "video/dataset.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/file.h"
#include "core/memory.h"
#include "core/npy.h"
#include "core/spill.h"
#include "helper.h"
#include "video/picture.h"
#include "video/source.h"
#include "video_make.h"

enum { W = 24, H = 16 };

static void write_text(const char *folder, const char *name, const char *text) {
    write_bytes(path_in(folder, name), text, strlen(text));
}

static const char *sub_folder(const char *folder, const char *name) {
    sac_error error = {0};
    const char *path = path_in(folder, name);
    sac_assert_ok(sac_folder_create(path, &error), &error);
    return path;
}

// `frames` PNG pictures; with `mask_from`..`mask_to` (from 1) also masks that are set in these
// frames.
static void clip(const char *half, const char *name, int frames, int mask_from, int mask_to) {
    sac_error error = {0};
    char text[64];
    const char *folder = sub_folder(half, name), *masks = NULL;
    uint8_t *pixels = make_frame_new(W, H, 1, 0);
    if (mask_to > 0) {
        (void)snprintf(text, sizeof text, "%s_gt", name);
        masks = sub_folder(half, text);
    }
    for (int t = 0; t < frames; t++) {
        (void)snprintf(text, sizeof text, "%03d.png", t + 1);
        make_frame(pixels, W, H, 1, t);
        sac_assert_ok(sac_picture_write_png(path_in(folder, text), pixels, W, H, 1, &error),
                      &error);
        if (masks == NULL) continue;
        memset(pixels, 0, W * H);
        if (t + 1 >= mask_from && t + 1 <= mask_to) pixels[5 * W + 7] = pixels[5 * W + 8] = 255;
        sac_assert_ok(sac_picture_write_png(path_in(masks, text), pixels, W, H, 1, &error), &error);
    }
    sac_free(pixels);
}

// A small data set in UCSD layout; test clips of 6 and 8 frames.
static const char *ucsd(const char *name) {
    const char *root = make_folder(name), *train = sub_folder(root, "Train"),
               *test = sub_folder(root, "Test");
    clip(train, "Train002", 5, 0, 0);
    clip(train, "Train001", 4, 0, 0);
    clip(test, "Test001", 6, 3, 5);
    clip(test, "Test010", 8, 1, 8);
    write_text(test, "notes.txt", "not a clip");
    write_text(test, "small.m",
               "T = {};\nT{end+1}.gt_frame = [3:5];\nT{end+1}.gt_frame = [1:8];\n");
    return root;
}

static sac_dataset *open_set(const char *path) {
    sac_error error = {0};
    sac_dataset *set = NULL;
    sac_assert_ok(sac_dataset_open(&set, path, NULL, &error), &error);
    return set;
}

static void expect_labels(const sac_clip *c, const char *labels) {
    cr_assert_not_null(c);
    cr_assert_not_null(c->labels, "clip %s has no labels", c->name);
    cr_assert_eq(c->frames, (int64_t)strlen(labels));
    for (int64_t t = 0; t < c->frames; t++)
        cr_assert_eq(c->labels[t], labels[t] - '0', "clip %s, frame %lld", c->name, (long long)t);
}

static void expect_open_error(const char *path, sac_status code, const char *a, const char *b,
                              const char *c) {
    sac_error error = {0};
    sac_dataset *set = NULL;
    sac_assert_error(sac_dataset_open(&set, path, NULL, &error), code, &error, a, b, c, NULL);
    cr_assert_null(set);
    cr_assert_eq(sac_dataset_open(&set, path, NULL, NULL), code);
}

static int warnings;
static char last_warning[1024];
static void count_warning(void *user, sac_log_level level, const char *message) {
    (void)user;
    if (level != SAC_LOG_WARNING) return;
    warnings++;
    (void)snprintf(last_warning, sizeof last_warning, "%s", message);
}

Test(video_dataset, ucsd_layout) {
    sac_dataset *set = open_set(ucsd("set"));
    cr_assert_str_eq(set->layout, "ucsd");
    cr_assert_str_eq(set->name, "set");
    cr_assert(set->count == 4 && set->train_count == 2 && set->width == W && set->height == H);
    static const char *const names[] = {"Train001", "Train002", "Test001", "Test010"};
    static const int frames[] = {4, 5, 6, 8};
    for (int i = 0; i < 4; i++) {
        cr_assert_str_eq(set->clips[i].name, names[i]);
        cr_assert_eq(set->clips[i].frames, frames[i]);
        cr_assert_eq(set->clips[i].test, i >= 2);
        cr_assert_eq(set->clips[i].mask_path != NULL, i >= 2);
        cr_assert_eq(sac_dataset_find(set, names[i]), &set->clips[i]);
    }
    cr_assert_null(set->clips[0].labels);
    expect_labels(&set->clips[2], "001110");
    expect_labels(&set->clips[3], "11111111");
    cr_assert_null(sac_dataset_find(set, "Test002"));
    cr_assert_eq(strlen(set->fingerprint), 64);
    sac_dataset_close(&set);
    cr_assert_null(set);
    sac_dataset_close(&set);
}

Test(video_dataset, lower_case_and_prefixes) {
    const char *root = make_folder("lower"), *train = sub_folder(root, "train"),
               *test = sub_folder(root, "test");
    char path[4096];
    clip(train, "train1", 3, 0, 0);
    clip(test, "test1", 3, 2, 2);
    write_text(root, "x.m", "T{end+1}.gt_frame = [2];"); // in the root instead of test
    static const char *const prefixes[] = {"", "auto:", "ucsd:"};
    for (int i = 0; i < 3; i++) {
        (void)snprintf(path, sizeof path, "%s%s/", prefixes[i], root);
        sac_dataset *set = open_set(path);
        cr_assert_str_eq(set->layout, "ucsd");
        cr_assert_str_eq(set->name, "lower");
        expect_labels(sac_dataset_find(set, "test1"), "010");
        sac_dataset_close(&set);
    }
    (void)snprintf(path, sizeof path, "generic:%s", root);
    sac_dataset *set = open_set(path);
    cr_assert_str_eq(set->layout, "generic");
    cr_assert_eq(set->count, 2);
    expect_labels(sac_dataset_find(set, "test1"), "010"); // from the masks
    sac_dataset_close(&set);
}

Test(video_dataset, labels_from_masks_and_without) {
    const char *root = ucsd("set"), *test = path_in(root, "Test");
    cr_assert_eq(unlink(path_in(test, "small.m")), 0);
    clip(test, "Test011", 2, 0, 0);
    sac_dataset *set = open_set(root);
    expect_labels(sac_dataset_find(set, "Test001"), "001110");
    cr_assert_null(sac_dataset_find(set, "Test011")->labels);
    sac_dataset_close(&set);
}

Test(video_dataset, ranges_win_over_masks_with_a_warning) {
    const char *root = ucsd("set");
    sac_logger logger = {.write = count_warning};
    sac_dataset *set = NULL;
    sac_error error = {0};
    warnings = 0;
    sac_assert_ok(sac_dataset_open(&set, root, &logger, &error), &error);
    cr_assert_eq(warnings, 0);
    sac_dataset_close(&set);
    write_text(path_in(root, "Test"), "small.m",
               "T{end+1}.gt_frame = [2:5];\nT{end+1}.gt_frame = [1:8];\n");
    sac_assert_ok(sac_dataset_open(&set, root, &logger, &error), &error);
    cr_assert_eq(warnings, 1);
    cr_assert(strstr(last_warning, "Test001") != NULL && strstr(last_warning, "frame 2") != NULL,
              "%s", last_warning);
    expect_labels(sac_dataset_find(set, "Test001"), "011110");
    sac_dataset_close(&set);
}

Test(video_dataset, ucsd_mismatches_name_the_clip) {
    const char *root = ucsd("set"), *test = path_in(root, "Test");
    write_text(test, "small.m", "T{end+1}.gt_frame = [3:5];\n");
    expect_open_error(root, SAC_ERROR_FORMAT, "Test010", "1 entries", "2 test clips");
    write_text(test, "small.m",
               "T{end+1}.gt_frame = [3:5];\nT{end+1}.gt_frame = [1];\nT{end+1}.gt_frame = [1];\n");
    expect_open_error(root, SAC_ERROR_FORMAT, "Test010", "3 entries", "small.m");
    write_text(test, "small.m", "T{end+1}.gt_frame = [3:5];\nT{end+1}.gt_frame = [1:9];\n");
    expect_open_error(root, SAC_ERROR_FORMAT, "Test010", "8 frames", "1 to 9");
    write_text(test, "small.m", "T{end+1}.gt_frame = [3:x];\n");
    expect_open_error(root, SAC_ERROR_FORMAT, "small.m", "", "");
    write_text(test, "small.m", "T{end+1}.gt_frame = [3:5];\nT{end+1}.gt_frame = [1:8];\n");
    write_text(test, "other.m", "T{end+1}.gt_frame = [3:5];\n");
    expect_open_error(root, SAC_ERROR_FORMAT, "other.m", "small.m", "one");
    cr_assert_eq(unlink(path_in(test, "other.m")), 0);
    cr_assert_eq(unlink(path_in(path_in(test, "Test001_gt"), "004.png")), 0);
    expect_open_error(root, SAC_ERROR_FORMAT, "Test001", "6 frames", "5 masks");
}

Test(video_dataset, damaged_files_are_named) {
    const char *root = ucsd("set"), *test = path_in(root, "Test"),
               *mask = path_in(path_in(test, "Test010_gt"), "003.png");
    write_bytes(mask, "junk", 4);
    expect_open_error(root, SAC_ERROR_FORMAT, mask, "", "");
    root = ucsd("set2");
    const char *picture = path_in(path_in(path_in(root, "Train"), "Train001"), "001.png");
    write_bytes(picture, "junk", 4);
    expect_open_error(root, SAC_ERROR_FORMAT, picture, "", "");
    root = ucsd("set3");
    (void)sub_folder(path_in(root, "Train"), "Train009");
    expect_open_error(root, SAC_ERROR_FORMAT, "Train009", "no pictures", "");
}

Test(video_dataset, unknown_structures) {
    const char *root = make_folder("nothing");
    expect_open_error(root, SAC_ERROR_FORMAT, "nothing", "Train/TrainNNN", "train_videos");
    expect_open_error(sac_test_path("missing"), SAC_ERROR_IO, "missing", "No such file", "");
    expect_open_error(sac_test_write_text("file", "x"), SAC_ERROR_IO, "not a folder", "", "");
    (void)sub_folder(root, "train");
    (void)sub_folder(root, "test");
    expect_open_error(root, SAC_ERROR_FORMAT, "nothing", "", "");
}

// Generic: two training videos, a test video and a test folder.
static const char *generic(const char *name) {
    const char *root = make_folder(name), *train = sub_folder(root, "training_videos"),
               *test = sub_folder(root, "testing_videos");
    char relative[256];
    (void)snprintf(relative, sizeof relative, "%s/training_videos/01.mp4", name);
    (void)make_video(relative, 32, 24, 7, 25, false);
    (void)snprintf(relative, sizeof relative, "%s/training_videos/02.mkv", name);
    (void)make_video(relative, 32, 24, 5, 25, true);
    (void)snprintf(relative, sizeof relative, "%s/testing_videos/01.avi", name);
    (void)make_video(relative, 32, 24, 6, 25, false);
    clip(test, "02", 4, 0, 0);
    write_text(train, "notes.txt", "x");
    return root;
}

Test(video_dataset, generic_layout) {
    const char *root = generic("set"), *test = path_in(root, "testing_videos");
    sac_error error = {0};
    sac_dataset *set = open_set(root);
    cr_assert_str_eq(set->layout, "generic");
    cr_assert(set->count == 4 && set->train_count == 2 && set->width == 32 && set->height == 24);
    // Both halves have 01 and 02, so the names carry the half.
    cr_assert_eq(sac_dataset_find(set, "train_01")->frames, 7);
    cr_assert_eq(sac_dataset_find(set, "train_02")->frames, 5);
    cr_assert_eq(sac_dataset_find(set, "test_01")->frames, 6);
    cr_assert_eq(sac_dataset_find(set, "test_02")->frames, 4);
    for (int i = 0; i < 4; i++) cr_assert_null(set->clips[i].labels);
    sac_dataset_close(&set);

    write_text(test, "01.txt", "0\r\n0\r\n1\r\n1\r\n0\r\n0");
    sac_assert_ok(
        sac_npy_write(path_in(test, "02.npy"), (float[]){1, 0, 0, 1}, 1, (int64_t[]){4}, &error),
        &error);
    set = open_set(root);
    expect_labels(sac_dataset_find(set, "test_01"), "001100");
    expect_labels(sac_dataset_find(set, "test_02"), "1001");
    sac_dataset_close(&set);

    cr_assert_eq(unlink(path_in(test, "01.txt")), 0);
    cr_assert_eq(unlink(path_in(test, "02.npy")), 0);
    write_text(root, "labels.csv", "video,start,end\n01.avi,2,3\n01,6,6\n");
    set = open_set(root);
    expect_labels(sac_dataset_find(set, "test_01"), "011001");
    expect_labels(sac_dataset_find(set, "test_02"), "0000");
    sac_dataset_close(&set);

    const char *labels = sub_folder(root, "labels"); // a file of its own wins over the table
    write_text(labels, "02.txt", "1\n1\n1\n0\n");
    set = open_set(root);
    expect_labels(sac_dataset_find(set, "test_01"), "011001");
    expect_labels(sac_dataset_find(set, "test_02"), "1110");
    sac_dataset_close(&set);
}

Test(video_dataset, generic_mismatches_name_the_clip) {
    const char *root = generic("set"), *test = path_in(root, "testing_videos");
    sac_error error = {0};
    write_text(test, "01.txt", "0\n0\n1\n1\n0\n");
    expect_open_error(root, SAC_ERROR_FORMAT, "test_01", "6 frames", "5 labels");
    write_text(test, "01.txt", "0\n0\n1\n1\n0\n0\n0\n");
    expect_open_error(root, SAC_ERROR_FORMAT, "test_01", "6 frames", "7 labels");
    write_text(test, "01.txt", "0\n0\n2\n1\n0\n0\n");
    expect_open_error(root, SAC_ERROR_FORMAT, "01.txt", "line 3", "0 or 1");
    write_text(test, "01.txt", "0\n\n1\n1\n0\n0\n");
    expect_open_error(root, SAC_ERROR_FORMAT, "01.txt", "line 2", "0 or 1");
    cr_assert_eq(unlink(path_in(test, "01.txt")), 0);
    const char *npy = path_in(test, "01.npy");
    sac_assert_ok(sac_npy_write(npy, (float[]){1, 0, 0, 1}, 1, (int64_t[]){4}, &error), &error);
    expect_open_error(root, SAC_ERROR_FORMAT, "test_01", "6 frames", "4 labels");
    sac_assert_ok(sac_npy_write(npy, (float[]){1, 0, 0.5f, 1, 0, 0}, 1, (int64_t[]){6}, &error),
                  &error);
    expect_open_error(root, SAC_ERROR_FORMAT, "01.npy", "0.5", "frame 2");
    sac_assert_ok(sac_npy_write(npy, (float[]){1, 0, 0, 1, 0, 0}, 2, (int64_t[]){2, 3}, &error),
                  &error);
    expect_open_error(root, SAC_ERROR_FORMAT, "01.npy", "dimensions", "");
    cr_assert_eq(unlink(npy), 0);
    write_text(root, "labels.csv", "video,start,end\n01.avi,2,7\n");
    expect_open_error(root, SAC_ERROR_FORMAT, "test_01", "6 frames", "line 2");
    write_text(root, "labels.csv", "video,start,end\n01.avi,1,2\n01.avi,3,2\n");
    expect_open_error(root, SAC_ERROR_FORMAT, "test_01", "3 to 2", "line 3");
    write_text(root, "labels.csv", "video,start,end\nnone.avi,1,2\n");
    expect_open_error(root, SAC_ERROR_FORMAT, "none.avi", "line 2", "labels.csv");
    write_text(root, "labels.csv", "video,from,to\n01.avi,1,2\n");
    expect_open_error(root, SAC_ERROR_FORMAT, "labels.csv", "video,start,end", "");
    write_text(root, "labels.csv", "video,start,end\n01.avi,zero,2\n");
    expect_open_error(root, SAC_ERROR_FORMAT, "labels.csv", "", "");
}

Test(video_dataset, clip_given_twice) {
    const char *root = generic("set");
    (void)make_video("set/training_videos/01.mov", 32, 24, 2, 25, false);
    expect_open_error(root, SAC_ERROR_FORMAT, "01.mp4", "01.mov", "both");
}

Test(video_dataset, damaged_video_is_named) {
    const char *root = generic("set");
    write_bytes(path_in(root, "training_videos/02.mkv"), "junk", 4);
    expect_open_error(root, SAC_ERROR_FORMAT, "02.mkv", "", "");
}

// Flips bits of a video where the decoder notices it and covers it up: not everywhere it can.
static void damage(const char *path, sac_video_counts *counts) {
    size_t size;
    uint8_t *bytes = read_bytes(path, &size);
    counts->damaged = 0;
    for (size_t at = size / 4; at < size * 3 / 4 && counts->damaged == 0; at += 50) {
        for (size_t i = 0; i < 4; i++) bytes[at + i] ^= 0x5A;
        write_bytes(path, bytes, size);
        if (sac_video_count_frames(counts, path, NULL) != SAC_OK) counts->damaged = 0;
        for (size_t i = 0; i < 4; i++) bytes[at + i] ^= 0x5A;
    }
    cr_assert_gt(counts->damaged, 0, "no place for damage in %s", path);
    sac_free(bytes);
}

Test(video_dataset, covered_up_damage_is_warned_of_once_a_clip) {
    const char *root = generic("set");
    const sac_logger logger = {.write = count_warning};
    sac_error error = {0};
    sac_dataset *set = NULL;
    sac_video_counts counts;
    char expected[128];
    damage(make_video("set/training_videos/01.mp4", 64, 48, 60, 25, false), &counts);
    warnings = 0;
    sac_assert_ok(sac_dataset_open(&set, root, &logger, &error), &error);
    cr_assert_eq(set->clips[0].frames, 60);
    cr_assert_eq(warnings, 1);
    (void)snprintf(expected, sizeof expected,
                   "clip 'train_01': damaged frames: %lld, the first is frame %lld (from 1)",
                   (long long)counts.damaged, (long long)counts.first_damaged + 1);
    cr_assert_not_null(strstr(last_warning, expected), "'%s' not in: %s", expected, last_warning);
    sac_dataset_close(&set);
}

Test(video_dataset, shanghai_like_layout) {
    const char *root = make_folder("set"), *training = sub_folder(root, "training"),
               *testing = sub_folder(root, "testing");
    const char *masks = sub_folder(testing, "test_frame_mask"),
               *frames = sub_folder(testing, "frames");
    sac_error error = {0};
    (void)sub_folder(training, "videos");
    (void)make_video("set/training/videos/01_001.avi", 32, 24, 3, 25, false);
    clip(frames, "01_0014", 4, 0, 0);
    sac_assert_ok(sac_npy_write(path_in(masks, "01_0014.npy"), (float[]){0, 1, 1, 0}, 1,
                                (int64_t[]){4}, &error),
                  &error);
    sac_dataset *set = open_set(root);
    cr_assert(set->count == 2 && set->train_count == 1);
    cr_assert_str_eq(set->clips[0].name, "01_001");
    expect_labels(sac_dataset_find(set, "01_0014"), "0110");
    sac_dataset_close(&set);
}

Test(video_dataset, fingerprint_tells_data_apart) {
    const char *a = ucsd("one"), *b = ucsd("two");
    sac_dataset *x = open_set(a), *y = open_set(b);
    cr_assert_str_eq(x->fingerprint, y->fingerprint); // the same data elsewhere
    sac_dataset_close(&y);
    const char *picture = path_in(path_in(path_in(b, "Train"), "Train001"), "004.png");
    uint8_t pixels[W * H] = {0};
    sac_error error = {0};
    sac_assert_ok(sac_picture_write_png(picture, pixels, W, H, 1, &error), &error);
    y = open_set(b);
    cr_assert_str_neq(x->fingerprint, y->fingerprint);
    sac_dataset_close(&y);
    cr_assert_eq(unlink(picture), 0);
    y = open_set(b);
    cr_assert_str_neq(x->fingerprint, y->fingerprint);
    sac_dataset_close(&y);
    sac_dataset_close(&x);
}

Test(video_dataset, loading_clips_and_masks) {
    sac_dataset *set = open_set(ucsd("set"));
    sac_error error = {0};
    uint8_t *pixels = NULL, *masks = NULL, *expected = make_frame_new(W, H, 1, 0);
    int w = 0, h = 0;
    sac_clip c = *sac_dataset_find(set, "Test001");
    sac_assert_ok(sac_clip_load(&pixels, &w, &h, 1, &c, &error), &error);
    cr_assert(w == W && h == H);
    for (int t = 0; t < 6; t++) {
        make_frame(expected, W, H, 1, t);
        cr_assert_eq(memcmp(pixels + t * W * H, expected, W * H), 0);
    }
    // The same frames where so many others are held that they go to a file.
    uint8_t *spilled = NULL;
    sac_assert_ok(sac_clip_load_beside(&spilled, &w, &h, 1, &c, SAC_SPILL_THRESHOLD_BYTES, &error),
                  &error);
    cr_assert_eq(memcmp(spilled, pixels, 6 * W * H), 0);
    sac_spill_free(spilled);
    sac_spill_free(pixels);
    w = h = 8;
    sac_assert_ok(sac_clip_load(&pixels, &w, &h, 3, &c, &error), &error);
    cr_assert(w == 8 && h == 8);
    sac_spill_free(pixels);
    w = h = 0;
    sac_assert_ok(sac_clip_load_masks(&masks, &w, &h, &c, &error), &error);
    cr_assert(w == W && h == H);
    for (int t = 0; t < 6; t++)
        for (int i = 0; i < W * H; i++)
            cr_assert_eq(masks[t * W * H + i],
                         t >= 2 && t <= 4 && (i == 5 * W + 7 || i == 5 * W + 8));
    sac_free(masks);
    w = 2 * W, h = 2 * H; // enlarged: the set area stays about the same share
    sac_assert_ok(sac_clip_load_masks(&masks, &w, &h, &c, &error), &error);
    int set_pixels = 0;
    for (int i = 0; i < 4 * W * H; i++) {
        cr_assert_leq(masks[2 * 4 * W * H + i], 1);
        set_pixels += masks[2 * 4 * W * H + i];
    }
    cr_assert(set_pixels >= 4 && set_pixels <= 12, "%d", set_pixels);
    sac_free(masks);

    c.frames = 7;
    w = h = 0;
    sac_assert_error(sac_clip_load(&pixels, &w, &h, 1, &c, &error), SAC_ERROR_FORMAT, &error,
                     "Test001", "6 frames", "7", NULL);
    cr_assert_null(pixels);
    c.frames = 5;
    error = (sac_error){0};
    sac_assert_error(sac_clip_load(&pixels, &w, &h, 1, &c, &error), SAC_ERROR_FORMAT, &error,
                     "Test001", "6 frames", "5", NULL);
    error = (sac_error){0};
    sac_assert_error(sac_clip_load_masks(&masks, &w, &h, &c, &error), SAC_ERROR_FORMAT, &error,
                     "Test001", "5 frames", "6 masks", NULL);
    cr_assert_null(masks);
    error = (sac_error){0};
    sac_assert_error(sac_clip_load_masks(&masks, &w, &h, sac_dataset_find(set, "Train001"), &error),
                     SAC_ERROR_ARGUMENT, &error, "Train001", NULL);
    sac_free(expected);
    sac_dataset_close(&set);
}

Test(video_dataset, masks_must_be_exact) {
    const char *root = ucsd("set"), *masks = path_in(path_in(root, "Test"), "Test001_gt");
    size_t size;
    uint8_t *pixels = make_frame_new(W, H, 1, 0),
            *jpeg = encode_picture(AV_CODEC_ID_MJPEG, pixels, W, H, 1, &size);
    cr_assert_eq(unlink(path_in(masks, "004.png")), 0);
    write_bytes(path_in(masks, "004.jpg"), jpeg, size);
    expect_open_error(root, SAC_ERROR_FORMAT, "004.jpg", "exact", "");
    sac_free(pixels);
    sac_free(jpeg);
}

Test(video_dataset, allocation_failures) {
    const char *roots[] = {ucsd("set"), generic("other")};
    for (int r = 0; r < 2; r++) {
        int failures = 0;
        for (int64_t n = 0;; n += 1 + n / 6) { // not each of hundreds
            sac_error error = {0};
            sac_dataset *set = NULL;
            sac_memory_fail_after(n);
            sac_status status = sac_dataset_open(&set, roots[r], NULL, &error);
            sac_memory_fail_after(-1);
            if (status == SAC_OK) {
                sac_dataset_close(&set);
                break;
            }
            cr_assert_eq(status, SAC_ERROR_MEMORY, "%s: %s", sac_status_name(status),
                         error.message);
            cr_assert(error.message[0] != 0);
            cr_assert_null(set);
            failures++;
            cr_assert_lt(n, 1000000);
        }
        cr_assert_gt(failures, 20);
    }
}

Test(video_dataset, ped2) {
    const char *source = getenv("SACCADE_SOURCE");
    char path[4096];
    if (source == NULL) sac_skip_case("SACCADE_SOURCE is not set");
    (void)snprintf(path, sizeof path, "%s/../shared/data/UCSDped2", source);
    if (!sac_is_folder(path)) sac_skip_case("no UCSD Ped2 beside the project");
    sac_dataset *set = open_set(path);
    int64_t train = 0, test = 0, abnormal = 0;
    cr_assert_str_eq(set->layout, "ucsd");
    cr_assert(set->count == 22 && set->train_count == 16 && set->width == 360 &&
              set->height == 240);
    for (int64_t i = 0; i < set->count; i++) {
        *(set->clips[i].test ? &test : &train) += set->clips[i].frames;
        for (int64_t t = 0; set->clips[i].labels != NULL && t < set->clips[i].frames; t++)
            abnormal += set->clips[i].labels[t];
    }
    cr_assert(train == 2550 && test == 960 && abnormal == 830, "%lld %lld %lld", (long long)train,
              (long long)test, (long long)abnormal);
    sac_error error = {0};
    uint8_t *pixels = NULL, *masks = NULL;
    int w = 0, h = 0;
    const sac_clip *c = sac_dataset_find(set, "Test001");
    sac_assert_ok(sac_clip_load(&pixels, &w, &h, 1, c, &error), &error);
    cr_assert(w == 360 && h == 240);
    double mean = 0;
    for (int i = 0; i < 360 * 240; i++) mean += pixels[i] / (360.0 * 240);
    cr_assert(mean > 60 && mean < 200, "mean gray %.1f", mean);
    w = h = 0;
    sac_assert_ok(sac_clip_load_masks(&masks, &w, &h, c, &error), &error);
    int64_t set_pixels = 0;
    for (int64_t i = 0; i < 180 * 360 * 240; i++) set_pixels += masks[i];
    cr_assert(set_pixels > 10000 && set_pixels < 180 * 360 * 240 / 20, "%lld mask pixels",
              (long long)set_pixels);
    sac_spill_free(pixels);
    sac_free(masks);
    sac_dataset_close(&set);
}
