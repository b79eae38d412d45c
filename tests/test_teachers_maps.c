// Painting, pooling and the map store.
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/file.h"
#include "core/memory.h"
#include "core/npy.h"
#include "core/rng.h"
#include "helper.h"
#include "teachers/maps.h"

static sac_detections make_detections(int64_t frames, const int64_t *per_frame,
                                      const sac_box *boxes) {
    sac_detections d = {.frames = frames};
    d.start = sac_calloc(frames + 1, sizeof *d.start);
    for (int64_t t = 0; t < frames; t++) d.start[t + 1] = d.start[t] + per_frame[t];
    d.count = d.start[frames];
    d.boxes = sac_calloc(d.count, sizeof *d.boxes);
    if (d.count > 0) memcpy(d.boxes, boxes, (size_t)d.count * sizeof *boxes);
    return d;
}

Test(teachers_maps, painted_by_hand) {
    // 32x32 picture, block 2: a 16x16 grid, so the fine map is the grid itself.
    sac_box boxes[] = {{4, 6, 8, 10, 1, -1}, {6, 8, 13, 9, 1, -1}, {30.5f, 0, 32, 1.5f, 1, -1}};
    int64_t per_frame[] = {0, 3};
    sac_detections d = make_detections(2, per_frame, boxes);
    float scores[] = {0.25f, 0.75f, 0.5f};
    sac_maps maps = {0};
    sac_assert_ok(sac_maps_paint(&maps, &d, scores, 32, 32, 2, 1), NULL);
    for (int y = 0; y < 16; y++) {
        for (int x = 0; x < 16; x++) {
            float expected = 0;
            if (x >= 2 && x < 4 && y >= 3 && y < 5) expected = 0.25f;
            if (x >= 3 && x < 7 && y == 4) expected = 0.75f; // the larger score wins
            if (x == 15 && y == 0) expected = 0.5f;
            cr_assert_eq(maps.map16[0 * 256 + y * 16 + x], 0.0f);
            cr_assert_eq(maps.map16[1 * 256 + y * 16 + x], expected, "cell %d,%d", x, y);
        }
    }
    const float coarse[16] = {0.25f, 0, 0, 0.5f, 0.75f, 0.75f};
    for (int i = 0; i < 16; i++) cr_assert_eq(maps.map4[16 + i], coarse[i], "coarse cell %d", i);
    cr_assert_eq(maps.map1[0], 0.0f);
    cr_assert_eq(maps.map1[1], 0.75f);
    sac_maps_close(&maps);
    cr_assert_null(maps.map16);
    sac_detections_close(&d);
}

// Pooling from the definition, for sizes above, equal to and below 16 cells.
Test(teachers_maps, pooling_matches_definition) {
    static const int sizes[][3] = {{360, 240, 3}, {17, 13, 1}, {5, 3, 1}, {1, 1, 1}, {64, 48, 20}};
    sac_rng rng;
    sac_rng_seed(&rng, 4, 0);
    for (int s = 0; s < 5; s++) {
        int w = sizes[s][0], h = sizes[s][1], block = sizes[s][2];
        int gw = (w + block - 1) / block, gh = (h + block - 1) / block;
        sac_box boxes[9];
        float scores[9];
        for (int i = 0; i < 9; i++) {
            float x = (float)(sac_rng_uniform(&rng) * w), y = (float)(sac_rng_uniform(&rng) * h);
            boxes[i] = (sac_box){
                x * 0.7f, y * 0.6f, x * 0.7f + (float)w * 0.2f, y * 0.6f + (float)h * 0.3f, 1, -1};
            scores[i] = (float)sac_rng_uniform(&rng);
        }
        int64_t per_frame[] = {9};
        sac_detections d = make_detections(1, per_frame, boxes);
        sac_maps maps = {0};
        sac_assert_ok(sac_maps_paint(&maps, &d, scores, w, h, block, 1), NULL);
        for (int out = 16; out >= 1; out /= 4) {
            const float *map = out == 16 ? maps.map16 : out == 4 ? maps.map4 : maps.map1;
            for (int i = 0; i < out; i++) {
                for (int j = 0; j < out; j++) {
                    float expected = 0;
                    for (int b = 0; b < 9; b++) {
                        for (int y = 0; y < gh; y++) {
                            for (int x = 0; x < gw; x++) {
                                bool cell = (int64_t)y >= (int64_t)i * gh / out &&
                                            y < ((i + 1) * gh + out - 1) / out &&
                                            x >= j * gw / out && x < ((j + 1) * gw + out - 1) / out;
                                bool box = x >= (int)floorf(boxes[b].x1 / (float)block) &&
                                           x < (int)ceilf(boxes[b].x2 / (float)block) &&
                                           y >= (int)floorf(boxes[b].y1 / (float)block) &&
                                           y < (int)ceilf(boxes[b].y2 / (float)block);
                                if (cell && box) expected = fmaxf(expected, scores[b]);
                            }
                        }
                    }
                    cr_assert_eq(map[i * out + j], expected, "%dx%d block %d scale %d cell %d,%d",
                                 w, h, block, out, j, i);
                }
            }
        }
        sac_maps_close(&maps);
        sac_detections_close(&d);
    }
}

Test(teachers_maps, refuses_bad_scores) {
    sac_box boxes[] = {{1, 1, 3, 3, 1, -1}};
    int64_t per_frame[] = {1};
    sac_detections d = make_detections(1, per_frame, boxes);
    sac_maps maps = {0};
    const float bad[] = {NAN, INFINITY, -0.1f, 1.5f};
    for (int i = 0; i < 4; i++) {
        cr_assert_eq(sac_maps_paint(&maps, &d, &bad[i], 8, 8, 1, 1), SAC_ERROR_NUMERIC);
        cr_assert_null(maps.map16);
    }
    float good = 0.5f;
    cr_assert_eq(sac_maps_paint(&maps, &d, &good, 8, 8, 0, 1), SAC_ERROR_ARGUMENT);
    for (int64_t n = 0; n < 4; n++) {
        sac_memory_fail_after(n);
        sac_status status = sac_maps_paint(&maps, &d, &good, 8, 8, 1, 1);
        sac_memory_fail_after(-1);
        cr_assert_eq(status, SAC_ERROR_MEMORY);
    }
    sac_detections_close(&d);
}

// A store with one clip of three frames and three objects.
static const char *make_store(const char *name) {
    const char *folder = sac_test_path(name);
    sac_box boxes[] = {{1, 1, 3, 5, 0.9f, -1}, {2.25f, 0, 8, 8, 1, 2}, {4, 4, 5, 5, 0.7f, -1}};
    int64_t per_frame[] = {1, 0, 2};
    sac_detections d = make_detections(3, per_frame, boxes);
    float scores[] = {0.1f, 0.2f, 0.7f};
    sac_maps maps = {0};
    sac_map_store *store = NULL;
    sac_error error = {0};
    sac_assert_ok(sac_maps_paint(&maps, &d, scores, 8, 8, 1, 1), &error);
    sac_assert_ok(sac_map_store_create(&store, folder, &error), &error);
    sac_assert_ok(sac_map_store_put(store, "Train001", false, &maps, &error), &error);
    cr_assert(sac_map_store_has(store, "Train001"));
    sac_assert_error(sac_map_store_put(store, "Train001", false, &maps, &error), SAC_ERROR_ARGUMENT,
                     &error, "Train001", NULL);
    const char *bad_names[] = {"", "../x", ".hidden", "a/b"};
    for (int i = 0; i < 4; i++) {
        error = (sac_error){0};
        sac_assert_error(sac_map_store_put(store, bad_names[i], false, &maps, &error),
                         SAC_ERROR_ARGUMENT, &error, "file name", NULL);
    }
    error = (sac_error){0};
    char *path = sac_path_join(folder, "objects.csv");
    const char text[] = "clip,frame,x1,y1,x2,y2,confidence,class,score,middle\n"
                        "Train001,1,1,1,3,5,0.9,-1,0.1,0.5\n"
                        "Train001,3,2.25,0,8,8,1,2,0.2,0.5\n"
                        "Other,1,2,0,8,8,1,2,0.9,0.5\n"
                        "Train001,3,4,4,5,5,0.7,-1,0.7,0.5\n";
    sac_assert_ok(sac_file_save(path, text, sizeof text - 1, &error), &error);
    sac_free(path);
    json_t *provenance =
        json_pack("{s:s, s:{s:s}}", "teacher", "ssmtl", "dataset", "fingerprint", "0123");
    sac_assert_ok(sac_map_store_commit(store, provenance, &error), &error);
    json_decref(provenance);
    sac_map_store_close(&store);
    sac_maps_close(&maps);
    sac_detections_close(&d);
    return folder;
}

// Files are named by the bytes of a clip's name, store.json by what JSON can hold of them.
Test(teachers_maps, names_need_not_be_utf8) {
    static const char name[] = "sc\xE9ne 1";
    const char *folder = sac_test_path("foreign");
    const sac_detections none = {.frames = 2, .start = (int64_t[3]){0}};
    sac_map_store *store = NULL;
    sac_maps maps = {0};
    sac_error error = {0};
    sac_assert_ok(sac_maps_paint(&maps, &none, NULL, 16, 16, 1, 1), &error);
    sac_assert_ok(sac_map_store_create(&store, folder, &error), &error);
    sac_assert_ok(sac_map_store_put(store, name, false, &maps, &error), &error);
    sac_assert_error(sac_map_store_put(store, name, false, &maps, &error), SAC_ERROR_ARGUMENT,
                     &error, "already", NULL);
    sac_maps_close(&maps);
    json_t *provenance = json_pack("{s:s}", "teacher", "ssmtl");
    sac_assert_ok(sac_map_store_commit(store, provenance, &error), &error);
    json_decref(provenance);
    sac_map_store_close(&store);
    sac_assert_ok(sac_map_store_open(&store, folder, &error), &error);
    cr_assert(sac_map_store_has(store, name));
    cr_assert_not(sac_map_store_has(store, "sc\xE9ne 2"));
    sac_assert_ok(sac_map_store_get(store, &maps, name, 2, &error), &error);
    sac_maps_close(&maps);
    sac_map_store_close(&store);
}

Test(teachers_maps, store_round_trip) {
    const char *folder = make_store("store");
    sac_map_store *store = NULL;
    sac_maps maps = {0};
    sac_error error = {0};
    sac_assert_ok(sac_map_store_open(&store, folder, &error), &error);
    cr_assert_str_eq(json_string_value(json_object_get(sac_map_store_provenance(store), "teacher")),
                     "ssmtl");
    cr_assert(sac_map_store_has(store, "Train001"));
    cr_assert_not(sac_map_store_has(store, "Train002"));
    sac_assert_ok(sac_map_store_get(store, &maps, "Train001", 3, &error), &error);
    cr_assert_eq(maps.map1[0], 0.1f);
    cr_assert_eq(maps.map1[1], 0.0f);
    cr_assert_eq(maps.map1[2], 0.7f);
    sac_maps_close(&maps);
    sac_detections d = {0};
    float *scores = NULL;
    sac_assert_ok(sac_map_store_objects(store, &d, &scores, "Train001", 3, &error), &error);
    cr_assert_eq(d.count, 3);
    cr_assert(d.start[1] == 1 && d.start[2] == 1 && d.start[3] == 3);
    cr_assert_eq(d.boxes[1].x1, 2.25f);
    cr_assert_eq(d.boxes[1].class_id, 2);
    cr_assert_eq(scores[2], 0.7f);
    sac_free(scores);
    sac_detections_close(&d);
    // A clip without rows has no objects.
    sac_assert_ok(sac_map_store_objects(store, &d, NULL, "Train009", 4, &error), &error);
    cr_assert_eq(d.count, 0);
    cr_assert_eq(d.start[4], 0);
    sac_detections_close(&d);
    // A row beyond the clip's frames.
    sac_assert_error(sac_map_store_objects(store, &d, NULL, "Train001", 2, &error),
                     SAC_ERROR_FORMAT, &error, "objects.csv", "frame", NULL);
    sac_map_store_close(&store);
    sac_map_store_close(&store);
}

Test(teachers_maps, store_refuses_what_is_wrong) {
    const char *folder = make_store("wrong");
    sac_map_store *store = NULL;
    sac_maps maps = {0};
    sac_error error = {0};
    sac_assert_ok(sac_map_store_open(&store, folder, &error), &error);
    sac_assert_error(sac_map_store_get(store, &maps, "Train001", 4, &error), SAC_ERROR_SHAPE,
                     &error, "Train001.16x16.npy", "4 frames", NULL);
    cr_assert_null(maps.map16);
    error = (sac_error){0};
    sac_assert_error(sac_map_store_get(store, &maps, "Train007", 4, &error), SAC_ERROR_FORMAT,
                     &error, "Train007", NULL);
    float one[3] = {0, 0, 0};
    int64_t dims[1] = {3};
    const float bad[] = {1.5f, -0.5f, NAN};
    for (int i = 0; i < 3; i++) {
        error = (sac_error){0};
        one[1] = bad[i];
        char *path = sac_path_join(folder, "Train001.1x1.npy");
        sac_assert_ok(sac_npy_write(path, one, 1, dims, &error), &error);
        sac_assert_error(sac_map_store_get(store, &maps, "Train001", 3, &error),
                         i == 2 ? SAC_ERROR_NUMERIC : SAC_ERROR_FORMAT, &error, "Train001.1x1.npy",
                         "frame 2", NULL);
        sac_free(path);
    }
    sac_map_store_close(&store);

    char *json = sac_path_join(folder, "store.json");
    static const struct {
        const char *text;
        sac_status code;
        const char *word;
    } cases[] = {
        {"{", SAC_ERROR_FORMAT, "store.json"},
        {"[]", SAC_ERROR_FORMAT, "object"},
        {"{\"format\": \"other\", \"version\": 1}", SAC_ERROR_FORMAT, "saccade-maps"},
        {"{\"format\": \"saccade-maps\", \"version\": 2}", SAC_ERROR_UNSUPPORTED, "version 2"},
        {"{\"format\": \"saccade-maps\", \"version\": 1, \"teacher\": \"x\", \"clips\": "
         "[{\"name\": "
         "\"../../etc\", \"test\": true, \"frames\": 3}]}",
         SAC_ERROR_FORMAT, "file name"},
        {"{\"format\": \"saccade-maps\", \"version\": 1, \"teacher\": \"x\", \"clips\": [3]}",
         SAC_ERROR_FORMAT, "store.json"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        error = (sac_error){0};
        sac_assert_ok(sac_file_save(json, cases[i].text, strlen(cases[i].text), &error), &error);
        sac_assert_error(sac_map_store_open(&store, folder, &error), cases[i].code, &error,
                         cases[i].word, NULL);
        cr_assert_null(store);
    }
    unlink(json);
    error = (sac_error){0};
    sac_assert_error(sac_map_store_open(&store, folder, &error), SAC_ERROR_IO, &error, "unfinished",
                     NULL);
    error = (sac_error){0};
    sac_assert_error(sac_map_store_open(&store, sac_test_path("nowhere"), &error), SAC_ERROR_IO,
                     &error, "nowhere", NULL);
    sac_free(json);
}

Test(teachers_maps, creating_again_makes_it_unfinished) {
    const char *folder = make_store("again");
    sac_map_store *store = NULL;
    sac_error error = {0};
    sac_assert_ok(sac_map_store_create(&store, folder, &error), &error);
    sac_map_store_close(&store);
    cr_assert_eq(sac_map_store_open(&store, folder, NULL), SAC_ERROR_IO);
}

Test(teachers_maps, filter_is_a_mean_over_covered_cells) {
    // Block 2 on 32x32: map16 is the grid. Ten frames, boxes that move, gaps without any.
    enum { FRAMES = 10, FILTER = 5 };
    int64_t per_frame[FRAMES];
    sac_box boxes[3 * FRAMES];
    float scores[3 * FRAMES];
    int count = 0;
    sac_rng rng;
    sac_rng_seed(&rng, 3, 0);
    for (int t = 0; t < FRAMES; t++) {
        per_frame[t] = t == 4 ? 0 : 3;
        for (int k = 0; k < per_frame[t]; k++) {
            const float x = (float)sac_rng_below(&rng, 26), y = (float)sac_rng_below(&rng, 26);
            boxes[count] = (sac_box){x, y, x + 6, y + 5, 1, -1};
            scores[count++] = (float)sac_rng_uniform(&rng);
        }
    }
    sac_detections d = make_detections(FRAMES, per_frame, boxes);
    sac_maps raw = {0}, maps = {0};
    sac_assert_ok(sac_maps_paint(&raw, &d, scores, 32, 32, 2, 1), NULL);
    sac_assert_ok(sac_maps_paint(&maps, &d, scores, 32, 32, 2, FILTER), NULL);
    int covered = 0, changed = 0;
    for (int t = 0; t < FRAMES; t++) {
        float most = 0;
        for (int i = 0; i < 256; i++) {
            double sum = 0, n = 0;
            for (int u = t - 2; u <= t + 2; u++) {
                for (int y = i / 16 - 2; y <= i / 16 + 2; y++) {
                    for (int x = i % 16 - 2; x <= i % 16 + 2; x++) {
                        if (u < 0 || u >= FRAMES || y < 0 || y > 15 || x < 0 || x > 15) continue;
                        sum += (double)raw.map16[u * 256 + y * 16 + x];
                        n += raw.map16[u * 256 + y * 16 + x] > 0;
                    }
                }
            }
            const bool here = raw.map16[t * 256 + i] > 0;
            const float expected = here ? (float)(sum / n) : 0;
            cr_assert_float_eq(maps.map16[t * 256 + i], expected, 1e-6, "frame %d cell %d", t, i);
            covered += here;
            changed += here && fabsf(expected - raw.map16[t * 256 + i]) > 1e-3f;
            if (expected > most) most = expected;
        }
        cr_assert_float_eq(maps.map1[t], most, 1e-6, "frame %d", t);
    }
    cr_assert(covered > 100 && changed > covered / 2);
    sac_maps_close(&raw);
    sac_maps_close(&maps);
    cr_assert_eq(sac_maps_paint(&maps, &d, scores, 32, 32, 2, 4), SAC_ERROR_ARGUMENT);
    cr_assert_eq(sac_maps_paint(&maps, &d, scores, 32, 32, 2, 0), SAC_ERROR_ARGUMENT);
    sac_detections_close(&d);
}
