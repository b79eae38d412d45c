// A data set of two short clips on disk and map stores of it, for tests of what reads stores.
#ifndef SAC_TESTS_STORE_MAKE_H
#define SAC_TESTS_STORE_MAKE_H

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "bench/scores.h"
#include "core/file.h"
#include "helper.h"
#include "teachers/maps.h"
#include "video/picture.h"

enum { W = 64, H = 48, CLIPS = 2 };

// Test001 with 4 frames, abnormal from the third on, and Test002 with 3 normal ones; pictures and
// masks lie on disk.
typedef struct fixture {
    char names[CLIPS][16], sources[CLIPS][700], masks[CLIPS][720], path[8];
    uint8_t labels[CLIPS][4];
    sac_clip clips[CLIPS];
    const sac_clip *chosen[CLIPS];
    sac_dataset dataset;
    sac_clip_selection selection;
} fixture;

static inline void write_pictures(const char *folder, int64_t frames, bool masks) {
    static uint8_t pixels[W * H];
    sac_error error = {0};
    sac_assert_ok(sac_folder_create(folder, &error), &error);
    for (int64_t t = 0; t < frames; t++) {
        memset(pixels, masks ? 0 : 90, sizeof pixels);
        // The abnormal thing: 8x12 px at (20 + t, 16).
        if (masks && t >= 2)
            for (int y = 16; y < 28; y++) memset(pixels + y * W + 20 + t, 255, 8);
        char path[800];
        snprintf(path, sizeof path, "%s/%03d.png", folder, (int)t + 1);
        sac_assert_ok(sac_picture_write_png(path, pixels, W, H, 1, &error), &error);
    }
}

static inline void set_up(fixture *f) {
    static const int64_t frames[CLIPS] = {4, 3};
    memset(f, 0, sizeof *f);
    for (int c = 0; c < CLIPS; c++) {
        snprintf(f->names[c], sizeof f->names[c], "Test%03d", c + 1);
        snprintf(f->sources[c], sizeof f->sources[c], "%s", sac_test_path(f->names[c]));
        snprintf(f->masks[c], sizeof f->masks[c], "%s_gt", f->sources[c]);
        write_pictures(f->sources[c], frames[c], false);
        f->clips[c] = (sac_clip){.name = f->names[c],
                                 .source = f->sources[c],
                                 .frames = frames[c],
                                 .labels = f->labels[c],
                                 .test = true};
        f->chosen[c] = &f->clips[c];
        f->selection.frames += frames[c];
    }
    write_pictures(f->masks[0], 4, true);
    f->clips[0].mask_path = f->masks[0];
    f->labels[0][2] = f->labels[0][3] = 1;
    snprintf(f->path, sizeof f->path, "set");
    f->dataset = (sac_dataset){.path = f->path, .name = f->path, .clips = f->clips, .count = CLIPS};
    f->selection.clips = f->chosen;
    f->selection.count = CLIPS;
}

// Maps of one clip whose frame t has 1x1 value t/10 + shift, largest coarse cell t/20 and fine cell
// t/40 at row 5, column 6, where the abnormal thing is.
static inline void put_maps(sac_map_store *store, const char *clip, int64_t frames, float shift) {
    float map16[4 * 256] = {0}, map4[4 * 16] = {0}, map1[4];
    for (int64_t t = 0; t < frames; t++) {
        map1[t] = (float)t / 10.0F + shift;
        map4[t * 16 + 5] = (float)t / 20.0F;
        map16[t * 256 + 5 * 16 + 6] = (float)t / 40.0F;
    }
    const sac_maps maps = {.frames = frames, .map16 = map16, .map4 = map4, .map1 = map1};
    sac_error error = {0};
    sac_assert_ok(sac_map_store_put(store, clip, clip[1] == 'e', &maps, &error), &error);
}

#define HEADER "clip,frame,x1,y1,x2,y2,confidence,class,score"
#define CALIBRATED                                                                                 \
    "{\"calibration\": {\"one\": {\"median\": 0, \"q99\": 1}, \"two\": {\"median\": 10, "          \
    "\"q99\": 30}}, \"training_minutes\": 7.5, \"scored_per_s\": 200}"

// A store in folder `name` of the temporary folder; `objects` NULL: none. Path in `folder` [700].
static inline void make_store(char *folder, const char *name, const char *objects,
                              const char *metrics, float shift) {
    sac_map_store *store = NULL;
    sac_error error = {0};
    snprintf(folder, 700, "%s", sac_test_path(name));
    sac_assert_ok(sac_map_store_create(&store, folder, &error), &error);
    put_maps(store, "Train001", 4, 0.0F);
    put_maps(store, "Test001", 4, shift);
    put_maps(store, "Test002", 3, shift);
    json_t *provenance = json_pack(
        "{s:s, s:{s:s, s:s, s:i, s:i}, s:s, s:i, s:i, s:{}, s:o}", "teacher", "ssmtl", "dataset",
        "name", "set", "fingerprint", "abc", "width", W, "height", H, "detector", "motion", "block",
        1, "filter", 1, "settings", "metrics", json_loads(metrics, 0, NULL));
    cr_assert_not_null(provenance);
    sac_assert_ok(sac_map_store_commit(store, provenance, &error), &error);
    json_decref(provenance);
    sac_map_store_close(&store);
    char path[800];
    snprintf(path, sizeof path, "%s/objects.csv", folder);
    if (objects != NULL)
        sac_assert_ok(sac_file_save(path, objects, strlen(objects), &error), &error);
}

#endif
