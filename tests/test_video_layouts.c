// Avenue, ShanghaiTech, UBnormal and the mirrors in miniature, as they are distributed; then each
// with what can be wrong in it.
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/file.h"
#include "core/memory.h"
#include "core/npy.h"
#include "helper.h"
#include "mat_make.h"
#include "video/dataset.h"
#include "video/masks.h"
#include "video/picture.h"
#include "video_make.h"

enum { W = 32, H = 24 };

static void text_file(const char *name, const char *text) {
    write_bytes(sac_test_path(name), text, strlen(text));
}

static void frames(const char *folder, int count) {
    uint8_t *pixels = make_frame_new(W, H, 1, 0);
    size_t size;
    make_folder(folder);
    for (int t = 0; t < count; t++) {
        char name[256];
        make_frame(pixels, W, H, 1, t);
        (void)snprintf(name, sizeof name, "%s/%03d.jpg", folder, t);
        uint8_t *jpeg = encode_picture(AV_CODEC_ID_MJPEG, pixels, W, H, 1, &size);
        write_bytes(sac_test_path(name), jpeg, size);
        sac_free(jpeg);
    }
    sac_free(pixels);
}

static void video(const char *name, int count) {
    (void)make_video(name, W, H, count, 25, false);
}

// What the Finder of a Mac leaves behind.
static void litter(const char *folder) {
    char name[256];
    (void)snprintf(name, sizeof name, "%.200s/.DS_Store", folder);
    text_file(name, "x");
    (void)snprintf(name, sizeof name, "%.200s/._01.avi", folder);
    text_file(name, "x");
}

static sac_dataset *open_set(const char *path) {
    sac_error error = {0};
    sac_dataset *set = NULL;
    sac_assert_ok(sac_dataset_open(&set, path, NULL, &error), &error);
    return set;
}

static void expect_labels(const sac_dataset *set, const char *name, const char *labels) {
    const sac_clip *c = sac_dataset_find(set, name);
    cr_assert_not_null(c, "no clip %s", name);
    cr_assert(c->test);
    cr_assert_not_null(c->labels, "clip %s has no labels", name);
    cr_assert_eq(c->frames, (int64_t)strlen(labels));
    for (int64_t t = 0; t < c->frames; t++)
        cr_assert_eq(c->labels[t], labels[t] - '0', "clip %s, frame %lld", name, (long long)t);
}

static void expect_error(const char *path, const char *a, const char *b, const char *c) {
    sac_error error = {0};
    sac_dataset *set = NULL;
    sac_assert_error(sac_dataset_open(&set, path, NULL, &error), SAC_ERROR_FORMAT, &error, a, b, c,
                     NULL);
    cr_assert_null(set);
}

// Pixels set in frame t of a clip's masks, read by themselves; box in the frame's own size.
static int mask_pixels(const sac_clip *clip, int64_t t, int *x, int *y) {
    sac_error error = {0};
    sac_masks *masks = NULL;
    int w, h, count = 0;
    sac_assert_ok(sac_masks_open(&masks, clip, 0, 0, &error), &error);
    sac_masks_size(masks, &w, &h);
    cr_assert(w == W && h == H, "%dx%d", w, h);
    uint8_t mask[W * H];
    sac_assert_ok(sac_masks_read(masks, t, mask, &error), &error);
    *x = *y = -1;
    for (int i = 0; i < W * H; i++) {
        if (mask[i] == 0) continue;
        cr_assert_eq(mask[i], 1);
        if (count++ == 0) *x = i % W, *y = i / W;
    }
    sac_assert_error(sac_masks_read(masks, clip->frames, mask, &error), SAC_ERROR_ARGUMENT, &error,
                     clip->name, NULL);
    sac_masks_close(&masks);
    return count;
}

// Avenue
// -------------------------------------------------------------------------------------------------

// Three test clips, of which 3 and 12 are held: a partial set with masks of all.
static const char *avenue(const char *root) {
    char name[256];
    static const char *const videos[] = {"training_videos/01.avi", "training_videos/02.avi",
                                         "testing_videos/03.avi", "testing_videos/12.avi"};
    static const int lengths[] = {5, 4, 6, 4};
    static const char *const folders[] = {"training_videos", "testing_videos",
                                          "ground_truth_demo/testing_label_mask", "training_vol"};
    for (int i = 0; i < 4; i++) {
        (void)snprintf(name, sizeof name, "%s/%s", root, folders[i]);
        make_folder(name);
        litter(name);
    }
    for (int i = 0; i < 4; i++) {
        (void)snprintf(name, sizeof name, "%s/%s", root, videos[i]);
        video(name, lengths[i]);
    }
    for (int i = 1; i <= 12; i += i == 1 ? 2 : 9) { // 1, 3, 12
        (void)snprintf(name, sizeof name, "%s/ground_truth_demo/testing_label_mask/%d_label.mat",
                       root, i);
        mat_write_masks(sac_test_path(name), i == 3 ? 6 : 4, W, H, 10, 5, i == 3 ? 2 : 9,
                        i == 3 ? 4 : 9);
    }
    return path_in(sac_test_folder(), root);
}

Test(video_layouts, avenue) {
    const char *root = avenue("Avenue Dataset");
    sac_dataset *set = open_set(root);
    int x, y;
    cr_assert_str_eq(set->layout, "avenue");
    cr_assert_str_eq(set->name, "Avenue Dataset");
    cr_assert(set->count == 4 && set->train_count == 2 && set->width == W && set->height == H);
    cr_assert_str_eq(set->clips[0].name, "01");
    cr_assert_str_eq(set->clips[3].name, "12");
    expect_labels(set, "03", "001110");
    expect_labels(set, "12", "0000");
    cr_assert_eq(mask_pixels(sac_dataset_find(set, "03"), 3, &x, &y), 16);
    cr_assert(x == 10 && y == 5);
    cr_assert_eq(mask_pixels(sac_dataset_find(set, "03"), 1, &x, &y), 0);
    // Scaled on request, like pictures of masks.
    uint8_t *masks = NULL;
    int w = 2 * W, h = 2 * H;
    sac_error error = {0};
    sac_assert_ok(sac_clip_load_masks(&masks, &w, &h, sac_dataset_find(set, "03"), &error), &error);
    int set_pixels = 0;
    for (int i = 0; i < 4 * W * H; i++) set_pixels += masks[2 * 4 * W * H + i];
    cr_assert(set_pixels >= 49 && set_pixels <= 81, "%d", set_pixels);
    sac_free(masks);
    sac_dataset_close(&set);
    // By its parent, and with the masks unpacked beside it.
    set = open_set(sac_test_folder());
    cr_assert_str_eq(set->name, "Avenue Dataset");
    sac_dataset_close(&set);
    cr_assert_eq(rename(path_in(root, "ground_truth_demo"), sac_test_path("ground_truth_demo")), 0);
    set = open_set(root);
    cr_assert_str_eq(set->layout, "avenue");
    expect_labels(set, "03", "001110");
    sac_dataset_close(&set);
}

Test(video_layouts, avenue_mistakes) {
    const char *root = avenue("set");
    const char *mat = path_in(root, "ground_truth_demo/testing_label_mask/3_label.mat");
    uint8_t *bytes;
    size_t size;
    mat_write_masks(mat, 5, W, H, 10, 5, 2, 4);
    expect_error(root, "clip '03'", "6 frames", "5 masks");
    mat_write_masks(mat, 6, W, H, 10, 5, 2, 4);
    bytes = read_bytes(mat, &size);
    write_bytes(mat, bytes, size - 9);
    expect_error(root, "3_label.mat", "damaged", "");
    write_bytes(mat, "\x80\x04\x95 pickled", 11);
    expect_error(root, "3_label.mat", "pickle", "");
    sac_free(bytes);
    matvar_t *other = mat_doubles("label", 1, 1, (const double[]){1});
    mat_write(mat, false, true, 1, &other);
    expect_error(root, "3_label.mat", "volLabel", "'label'");
    cr_assert_eq(unlink(mat), 0);
    expect_error(root, "clip '03'", "no masks", "3_label.mat");
    // Without any masks it is a generic set without labels.
    cr_assert_eq(rename(path_in(root, "ground_truth_demo"), path_in(root, "elsewhere")), 0);
    sac_dataset *set = open_set(root);
    cr_assert_str_eq(set->layout, "generic");
    cr_assert_null(sac_dataset_find(set, "03")->labels);
    sac_dataset_close(&set);
}

// ShanghaiTech
// -------------------------------------------------------------------------------------------------

// A .npy of one-byte elements, as the data set has them.
static void npy_typed(const char *name, const char *type, const char *shape, const uint8_t *data,
                      size_t count) {
    char file[8192];
    const int length = snprintf(
        file + 10, 118, "{'descr': '%s', 'fortran_order': False, 'shape': %s, }", type, shape);
    memcpy(file, "\x93NUMPY\1\0\x76\0", 10);
    memset(file + 10 + length, ' ', (size_t)(118 - length));
    file[127] = '\n';
    cr_assert_leq(count, sizeof file - 128);
    memcpy(file + 128, data, count);
    write_bytes(sac_test_path(name), file, 128 + count);
}

static void npy_bytes(const char *name, const char *shape, const uint8_t *data, size_t count) {
    npy_typed(name, "|u1", shape, data, count);
}

static void pixel_masks(const char *name, int count, int first, int last) {
    uint8_t masks[8 * W * H] = {0};
    char shape[64];
    cr_assert_leq(count, 8);
    for (int t = first; t <= last; t++)
        for (int i = 0; i < 12; i++) masks[(t * H + 6 + i / 4) * W + 20 + i % 4] = 1;
    (void)snprintf(shape, sizeof shape, "(%d, %d, %d)", count, H, W);
    npy_bytes(name, shape, masks, (size_t)(count * W * H));
}

static const char *shanghai(void) {
    static const char *const folders[] = {"st/training/videos", "st/testing/frames",
                                          "st/testing/test_frame_mask",
                                          "st/testing/test_pixel_mask"};
    for (int i = 0; i < 4; i++) {
        make_folder(folders[i]);
        litter(folders[i]);
    }
    video("st/training/videos/01_001.avi", 5);
    video("st/training/videos/01_0010.avi", 4);
    frames("st/testing/frames/01_0014", 6);
    frames("st/testing/frames/12_0142", 5);
    litter("st/testing/frames/01_0014");
    npy_bytes("st/testing/test_frame_mask/01_0014.npy", "(6,)", (const uint8_t[]){0, 1, 1, 0, 0, 0},
              6);
    npy_bytes("st/testing/test_frame_mask/12_0142.npy", "(5,)", (const uint8_t[]){0, 0, 0, 0, 0},
              5);
    npy_bytes("st/testing/test_frame_mask/99_0001.npy", "(1,)", (const uint8_t[]){0},
              1); // not held
    pixel_masks("st/testing/test_pixel_mask/01_0014.npy", 6, 1, 2);
    return path_in(sac_test_folder(), "st");
}

Test(video_layouts, shanghaitech) {
    const char *root = shanghai();
    sac_dataset *set = open_set(root);
    int x, y;
    cr_assert_str_eq(set->layout, "shanghaitech");
    cr_assert(set->count == 4 && set->train_count == 2);
    cr_assert_str_eq(set->clips[0].name, "01_001");
    cr_assert_str_eq(set->clips[1].name, "01_0010");
    expect_labels(set, "01_0014", "011000");
    expect_labels(set, "12_0142", "00000");
    const sac_clip *c = sac_dataset_find(set, "01_0014");
    cr_assert_eq(mask_pixels(c, 1, &x, &y), 12);
    cr_assert(x == 20 && y == 6);
    cr_assert_eq(mask_pixels(c, 3, &x, &y), 0);
    cr_assert_null(sac_dataset_find(set, "12_0142")->mask_path); // normal: none needed
    sac_dataset_close(&set);
    // Labels from the pixel masks alone.
    cr_assert_eq(rename(path_in(root, "testing/test_frame_mask"), path_in(root, "aside")), 0);
    pixel_masks("st/testing/test_pixel_mask/12_0142.npy", 5, 4, 4);
    set = open_set(root);
    expect_labels(set, "01_0014", "011000");
    expect_labels(set, "12_0142", "00001");
    sac_dataset_close(&set);
}

Test(video_layouts, shanghaitech_mistakes) {
    const char *root = shanghai(), *labels = "st/testing/test_frame_mask/01_0014.npy",
               *masks = "st/testing/test_pixel_mask/01_0014.npy";
    const uint8_t six[] = {0, 1, 1, 0, 0, 0};
    npy_bytes(labels, "(5,)", six, 5);
    expect_error(root, "clip '01_0014'", "6 frames", "5 labels");
    // A pickled array: the header says 'O', the data are a program.
    npy_typed(labels, "|O", "(6,)", six, 6);
    expect_error(root, "01_0014.npy", "pickle", "allow_pickle=True");
    write_bytes(sac_test_path(labels), "\x80\x05\x95xxxxxxxxxx", 13);
    expect_error(root, "01_0014.npy", "pickle", "NEW.npy");
    cr_assert_eq(unlink(sac_test_path(labels)), 0);
    expect_error(root, "clip '01_0014'", "no labels", "01_0014.npy");
    text_file("st/testing/test_frame_mask/01_0014.pkl", "x");
    expect_error(root, "01_0014.pkl", "program", "allow_pickle=True");
    npy_bytes(labels, "(6,)", six, 6);
    pixel_masks(masks, 7, 1, 2);
    expect_error(root, "clip '01_0014'", "6 frames", "7 masks");
    npy_bytes(masks, "(6,)", six, 6);
    expect_error(root, "01_0014.npy", "1 dimensions", "[frames][height][width]");
    npy_bytes(masks, "(6, 1, 2)", six, 6);
    expect_error(root, "01_0014.npy", "6 bytes", "12");
    cr_assert_eq(unlink(sac_test_path(masks)), 0);
    expect_error(root, "clip '01_0014'", "no masks", "test_pixel_mask/01_0014.npy");
}

// UBnormal
// -------------------------------------------------------------------------------------------------

// Frame `t` of a clip's objects: object 3 moves right (two parts, the larger 4x4), object 9 rests.
static void objects(const char *folder, const char *clip, int t) {
    sac_error error = {0};
    char name[512];
    uint8_t ids[W * H] = {0};
    for (int i = 0; i < 16; i++) ids[(8 + i / 4) * W + 2 + t + i % 4] = 3;
    ids[20 * W + 30] = 3;
    for (int i = 0; i < 9; i++) ids[(1 + i / 3) * W + 25 + i % 3] = 9;
    (void)snprintf(name, sizeof name, "%s/%s_%04d_gt.png", folder, clip, t);
    sac_assert_ok(sac_picture_write_png(sac_test_path(name), ids, W, H, 1, &error), &error);
}

static const char *ubnormal(void) {
    static const char *const scenes[] = {"ub/Scene1", "ub/Scene10"};
    for (int i = 0; i < 2; i++) {
        make_folder(scenes[i]);
        litter(scenes[i]);
    }
    video("ub/Scene1/normal_scene_1_scenario1_1.mp4", 6);
    video("ub/Scene10/normal_scene_10_scenario_2.mp4", 4);
    video("ub/Scene1/abnormal_scene_1_scenario_4.mp4", 6);
    video("ub/Scene10/abnormal_scene_10_scenario_1_fog.mp4", 4);
    make_folder("ub/Scene1/abnormal_scene_1_scenario_4_annotations");
    make_folder("ub/Scene10/abnormal_scene_10_scenario_1_fog_annotations");
    text_file("ub/Scene1/abnormal_scene_1_scenario_4_annotations/"
              "abnormal_scene_1_scenario_4_tracks.txt",
              "3,2,4\n9,4,4\n");
    text_file("ub/Scene10/abnormal_scene_10_scenario_1_fog_annotations/"
              "abnormal_scene_10_scenario_1_fog_tracks.txt",
              "1,0,3");
    for (int t = 0; t < 6; t++)
        objects("ub/Scene1/abnormal_scene_1_scenario_4_annotations", "abnormal_scene_1_scenario_4",
                t);
    return path_in(sac_test_folder(), "ub");
}

Test(video_layouts, ubnormal) {
    const char *root = ubnormal();
    sac_dataset *set = open_set(root);
    int x, y;
    cr_assert_str_eq(set->layout, "ubnormal");
    cr_assert(set->count == 4 && set->train_count == 2);
    cr_assert_str_eq(set->clips[0].name, "normal_scene_1_scenario1_1");
    expect_labels(set, "abnormal_scene_1_scenario_4", "001110");
    expect_labels(set, "abnormal_scene_10_scenario_1_fog", "1111");
    const sac_clip *c = sac_dataset_find(set, "abnormal_scene_1_scenario_4");
    cr_assert_eq(mask_pixels(c, 1, &x, &y), 0);
    cr_assert_eq(mask_pixels(c, 2, &x, &y), 17); // only object 3 is abnormal yet
    cr_assert(x == 4 && y == 8);
    cr_assert_eq(mask_pixels(c, 4, &x, &y), 26);
    cr_assert(x == 25 && y == 1);
    // The other clip came without pictures.
    cr_assert_null(sac_dataset_find(set, "abnormal_scene_10_scenario_1_fog")->mask_path);
    sac_error error = {0};
    sac_masks *masks = NULL;
    int64_t spans;
    uint8_t ids[W * H];
    sac_assert_ok(sac_masks_open(&masks, c, 0, 0, &error), &error);
    cr_assert_not_null(sac_masks_spans(masks, &spans));
    cr_assert_eq(spans, 2);
    sac_assert_ok(sac_masks_read_objects(masks, 3, ids, &error), &error);
    cr_assert(ids[8 * W + 5] == 3 && ids[1 * W + 25] == 9 && ids[0] == 0);
    sac_masks_close(&masks);
    sac_dataset_close(&set);
    // Corrected spans win.
    text_file("ub/Scene1/abnormal_scene_1_scenario_4_annotations/"
              "abnormal_scene_1_scenario_4_new_tracks.txt",
              "9,0,0\n");
    set = open_set(root);
    expect_labels(set, "abnormal_scene_1_scenario_4", "100000");
    sac_dataset_close(&set);
}

Test(video_layouts, ubnormal_halves_by_the_lists) {
    const char *root = ubnormal();
    make_folder("ub/scripts");
    text_file("ub/scripts/normal_training_video_names.txt", "normal_scene_1_scenario1_1\r\n");
    text_file("ub/scripts/normal_test_video_names.txt",
              "normal_scene_2_scenario_1\nnormal_scene_10_scenario_2");
    text_file("ub/scripts/abnormal_training_video_names.txt", "abnormal_scene_10_scenario_1_fog\n");
    text_file("ub/scripts/abnormal_test_video_names.txt", "abnormal_scene_1_scenario_4\n");
    sac_dataset *set = open_set(root);
    cr_assert(set->count == 3 && set->train_count == 1);
    cr_assert_str_eq(set->clips[0].name, "normal_scene_1_scenario1_1");
    expect_labels(set, "normal_scene_10_scenario_2", "0000");
    expect_labels(set, "abnormal_scene_1_scenario_4", "001110");
    sac_dataset_close(&set);
    text_file("ub/scripts/normal_test_video_names.txt", "normal_scene_1_scenario1_1");
    expect_error(root, "normal_scene_1_scenario1_1", "training", "test");
}

Test(video_layouts, ubnormal_mistakes) {
    const char *root = ubnormal(),
               *spans = "ub/Scene1/abnormal_scene_1_scenario_4_annotations/"
                        "abnormal_scene_1_scenario_4_tracks.txt",
               *picture = "ub/Scene1/abnormal_scene_1_scenario_4_annotations/"
                          "abnormal_scene_1_scenario_4_0003_gt.png";
    sac_error error = {0};
    sac_dataset *set = NULL;
    text_file(spans, "3,2,6\n");
    expect_error(root, "clip 'abnormal_scene_1_scenario_4'", "6 frames", "2 to 6");
    text_file(spans, "3,2,x\n");
    expect_error(root, "tracks.txt", "line 1", "id,first,last");
    text_file(spans, "");
    expect_error(root, "tracks.txt", "no object", "abnormal video");
    text_file(spans, "3,2,4\n");
    write_bytes(sac_test_path(picture), "\x89PNG\r\n\x1a\n", 8);
    set = open_set(root); // masks are read when needed
    sac_masks *masks = NULL;
    uint8_t mask[W * H];
    sac_assert_ok(
        sac_masks_open(&masks, sac_dataset_find(set, "abnormal_scene_1_scenario_4"), 0, 0, &error),
        &error);
    sac_assert_error(sac_masks_read(masks, 3, mask, &error), SAC_ERROR_FORMAT, &error,
                     "0003_gt.png", NULL);
    sac_masks_close(&masks);
    sac_dataset_close(&set);
    cr_assert_eq(unlink(sac_test_path(picture)), 0);
    error = (sac_error){0};
    sac_assert_error(sac_dataset_open(&set, root, NULL, &error), SAC_ERROR_IO, &error, "frame 3",
                     "0003_gt.png", "abnormal_scene_1_scenario_4", NULL);
    cr_assert_eq(unlink(sac_test_path(spans)), 0);
    expect_error(root, "clip 'abnormal_scene_1_scenario_4'", "no labels", "tracks.txt");
    cr_assert_eq(rename(path_in(root, "Scene1/abnormal_scene_1_scenario_4_annotations"),
                        path_in(root, "aside")),
                 0);
    expect_error(root, "clip 'abnormal_scene_1_scenario_4'", "no annotations", "_annotations");
}

// Mirrors
// -------------------------------------------------------------------------------------------------

static void mirror_ranges(const char *name, int entries) {
    const double one[] = {2, 3}, two[] = {1, 1, 4, 5};
    matvar_t *cells[4] = {mat_doubles(NULL, 2, 1, one), mat_doubles(NULL, 0, 0, NULL),
                          mat_doubles(NULL, 2, 2, two), mat_doubles(NULL, 2, 1, one)};
    for (int i = entries; i < 4; i++) Mat_VarFree(cells[i]);
    matvar_t *gt = mat_cells("gt", (size_t)entries, cells);
    mat_write(sac_test_path(name), false, true, 1, &gt);
}

static const char *mirror(void) {
    frames("ped9/training/frames/01", 4);
    frames("ped9/testing/frames/01", 4);
    frames("ped9/testing/frames/02", 3);
    frames("ped9/testing/frames/03", 6);
    litter("ped9/testing/frames");
    litter("ped9");
    mirror_ranges("ped9/ped9.mat", 3);
    return path_in(sac_test_folder(), "ped9");
}

Test(video_layouts, mirror) {
    const char *root = mirror();
    sac_dataset *set = open_set(root);
    cr_assert_str_eq(set->layout, "mirror");
    cr_assert(set->count == 4 && set->train_count == 1);
    cr_assert_str_eq(set->clips[0].name, "train_01");
    expect_labels(set, "test_01", "0110");
    expect_labels(set, "test_02", "000");
    expect_labels(set, "test_03", "100110");
    sac_dataset_close(&set);
    // Some of the clips: by their numbers.
    cr_assert_eq(rename(path_in(root, "testing/frames/02"), path_in(root, "aside")), 0);
    set = open_set(root);
    cr_assert_eq(set->count, 3);
    expect_labels(set, "test_01", "0110");
    expect_labels(set, "test_03", "100110");
    sac_dataset_close(&set);
    // Another name of the only .mat file.
    cr_assert_eq(rename(path_in(root, "ped9.mat"), path_in(root, "labels.mat")), 0);
    set = open_set(root);
    expect_labels(set, "test_03", "100110");
    sac_dataset_close(&set);
}

Test(video_layouts, mirror_mistakes) {
    const char *root = mirror();
    mirror_ranges("ped9/ped9.mat", 2);
    expect_error(root, "clip 'test_03'", "2 entries", "3 test clips");
    mirror_ranges("ped9/ped9.mat", 3);
    cr_assert_eq(unlink(path_in(root, "testing/frames/03/005.jpg")), 0);
    cr_assert_eq(unlink(path_in(root, "testing/frames/03/004.jpg")), 0);
    expect_error(root, "clip 'test_03'", "4 frames", "4 to 5");
    frames("ped9/testing/frames/03", 6);
    static const struct {
        double data[3];
        size_t rows;
        const char *text;
    } wrong[] = {{{2, 3, 4}, 3, "2xK"}, {{0, 3, 0}, 2, "0 to 3"}, {{1.5, 3, 0}, 2, "0 to 3"}};
    for (int i = 0; i < 3; i++) {
        matvar_t *cells[3] = {mat_doubles(NULL, wrong[i].rows, 1, wrong[i].data),
                              mat_doubles(NULL, 0, 0, NULL), mat_doubles(NULL, 0, 0, NULL)};
        matvar_t *gt = mat_cells("gt", 3, cells);
        mat_write(sac_test_path("ped9/ped9.mat"), false, true, 1, &gt);
        expect_error(root, "clip 'test_01'", "ped9.mat", wrong[i].text);
    }
    size_t size;
    uint8_t *bytes = read_bytes(sac_test_path("ped9/ped9.mat"), &size);
    write_bytes(sac_test_path("ped9/ped9.mat"), bytes, size - 9);
    sac_free(bytes);
    expect_error(root, "ped9.mat", "damaged", "");
    cr_assert_eq(rename(path_in(root, "ped9.mat"), path_in(root, "a.mat")), 0);
    mirror_ranges("ped9/b.mat", 3);
    expect_error(root, "2 .mat files", "ped9.mat", "");
}

// All
// -------------------------------------------------------------------------------------------------

Test(video_layouts, mixed_layouts_are_told_apart_by_the_user) {
    const char *root = avenue("both");
    char path[512];
    frames("both/training/frames/01", 4);
    frames("both/testing/frames/07", 4);
    mirror_ranges("both/both.mat", 1);
    expect_error(root, "two layouts", "avenue:DIR", "mirror:DIR");
    (void)snprintf(path, sizeof path, "avenue:%s", root);
    sac_dataset *set = open_set(path);
    cr_assert_str_eq(set->layout, "avenue");
    sac_dataset_close(&set);
    (void)snprintf(path, sizeof path, "mirror:%s", root);
    set = open_set(path);
    cr_assert_str_eq(set->layout, "mirror");
    expect_labels(set, "07", "0110");
    sac_dataset_close(&set);
    (void)snprintf(path, sizeof path, "ubnormal:%s", root);
    expect_error(path, "SceneN", "ubnormal", "no clips");
}

Test(video_layouts, several_data_sets_in_one_folder) {
    (void)shanghai();
    sac_dataset *set = open_set(sac_test_folder());
    cr_assert_str_eq(set->name, "st");
    sac_dataset_close(&set);
    (void)mirror();
    expect_error(sac_test_folder(), "several data sets", "st", "ped9");
}

Test(video_layouts, allocation_failures) {
    const char *roots[] = {avenue("a v"), shanghai(), ubnormal(), mirror()};
    for (int r = 0; r < 4; r++) {
        int failures = 0;
        for (int64_t n = 0;; n += 1 + n / 8) { // not each of hundreds
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
        }
        cr_assert_gt(failures, 20);
    }
}
