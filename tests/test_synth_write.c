// The synthetic data set on disk: layout, labels equal to masks, repeatability, folders that are
// refused, being stopped and continued, no half-written output.
#include <criterion/criterion.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/file.h"
#include "core/json.h"
#include "core/memory.h"
#include "core/ranges.h"
#include "core/spill.h"
#include "helper.h"
#include "video/dataset.h"
#include "video/synth.h"

TestSuite(synth_write, .fini = sac_test_folder_remove);

static sac_synth_options tiny(void) {
    sac_synth_options o = sac_synth_default_options();
    o.width = 48;
    o.height = 32;
    o.train_clips = 2;
    o.test_clips = 8;
    o.frames_per_clip = 24;
    return o;
}

static void write_set(const char *folder, const sac_synth_options *o) {
    sac_error error = {0};
    sac_assert_ok(sac_synth_write(folder, o, NULL, NULL, &error), &error);
}

static char *text_of(const char *folder, const char *name, size_t *size) {
    char *path = sac_path_join(folder, name);
    uint8_t *data = NULL;
    sac_error error = {0};
    sac_assert_ok(sac_file_read(&data, size, path, 1 << 20, &error), &error);
    sac_free(path);
    return (char *)data;
}

Test(synth_write, opens_as_a_data_set) {
    sac_synth_options o = tiny();
    const char *folder = sac_test_path("set");
    write_set(folder, &o);
    sac_dataset *dataset = NULL;
    sac_error error = {0};
    sac_assert_ok(sac_dataset_open(&dataset, folder, NULL, &error), &error);
    cr_assert_str_eq(dataset->layout, "ucsd");
    cr_assert(dataset->count == 10 && dataset->train_count == 2);
    cr_assert(dataset->width == 48 && dataset->height == 32);
    size_t size;
    char *provenance = text_of(folder, "synth.json", &size);
    json_t *json = NULL;
    sac_assert_ok(sac_json_parse(&json, provenance, size, "synth.json", &error), &error);
    cr_assert(json_is_true(json_object_get(json, "complete")));
    cr_assert_eq(json_array_size(json_object_get(json, "test")), 8);
    bool any_abnormal = false;
    for (int64_t i = 0; i < dataset->count; i++) {
        const sac_clip *clip = &dataset->clips[i];
        cr_assert_eq(clip->frames, 24);
        cr_assert_eq(clip->test, i >= 2);
        cr_assert_eq(clip->labels != NULL, i >= 2);
        uint8_t *pixels = NULL, *masks = NULL;
        int w = 0, h = 0;
        sac_assert_ok(sac_clip_load(&pixels, &w, &h, 1, clip, &error), &error);
        cr_assert(w == 48 && h == 32);
        // The pictures hold exactly what the scene renders.
        int64_t test = i - 2;
        sac_synth_anomaly kind = i < 2 ? SAC_SYNTH_NONE : (sac_synth_anomaly)(1 + test % 7);
        sac_synth_scene *scene = NULL;
        uint64_t stream = i < 2 ? (uint64_t)i : 1000000u + (uint64_t)test;
        cr_assert_eq(sac_synth_scene_create(&scene, &o, stream, kind), SAC_OK);
        uint8_t gray[48 * 32], mask[48 * 32], abnormal = 0;
        int64_t abnormal_frames = 0;
        if (i >= 2) {
            w = h = 0;
            sac_assert_ok(sac_clip_load_masks(&masks, &w, &h, clip, &error), &error);
            cr_assert(w == 48 && h == 32);
        }
        for (int64_t t = 0; t < 24; t++) {
            cr_assert_eq(sac_synth_scene_render(scene, t, gray, mask, &abnormal), SAC_OK);
            cr_assert_eq(memcmp(gray, pixels + t * 48 * 32, sizeof gray), 0, "%s frame %d",
                         clip->name, (int)t);
            if (i < 2) continue;
            cr_assert_eq(memcmp(mask, masks + t * 48 * 32, sizeof mask), 0, "%s mask %d",
                         clip->name, (int)t);
            bool set = memchr(mask, 1, sizeof mask) != NULL;
            cr_assert_eq(clip->labels[t], set, "%s: label and mask of frame %d", clip->name,
                         (int)t);
            abnormal_frames += set;
        }
        if (i >= 2) {
            const json_t *entry = json_array_get(json_object_get(json, "test"), (size_t)test);
            cr_assert_str_eq(json_string_value(json_object_get(entry, "name")), clip->name);
            cr_assert_str_eq(json_string_value(json_object_get(entry, "anomaly")),
                             sac_synth_anomaly_name(kind));
            cr_assert_eq(json_integer_value(json_object_get(entry, "abnormal_frames")),
                         abnormal_frames);
            any_abnormal |= abnormal_frames > 0;
        }
        sac_synth_scene_close(&scene);
        sac_spill_free(pixels);
        sac_free(masks);
    }
    cr_assert(any_abnormal);
    json_decref(json);
    sac_free(provenance);
    sac_dataset_close(&dataset);
}

Test(synth_write, range_file_has_an_entry_for_every_test_clip) {
    sac_synth_options o = tiny();
    o.train_clips = 0;
    o.test_clips = 3;
    o.walkers = 3;
    const char *folder = sac_test_path("ranges");
    write_set(folder, &o);
    cr_assert_not(sac_is_folder(sac_test_path("ranges/Train")));
    sac_range *ranges = NULL;
    int64_t count, clips;
    sac_error error = {0};
    sac_assert_ok(
        sac_ranges_read(&ranges, &count, &clips, sac_test_path("ranges/Test/synth.m"), &error),
        &error);
    cr_assert_eq(clips, 3);
    cr_assert_geq(count, 3);
    for (int64_t i = 0; i < count; i++)
        cr_assert(ranges[i].first >= 1 && ranges[i].last <= 24 &&
                  ranges[i].first <= ranges[i].last);
    sac_free(ranges);
}

Test(synth_write, writing_again_gives_the_same_files) {
    sac_synth_options o = tiny();
    o.test_clips = 1;
    const char *a = sac_test_path("a"), *b = sac_test_path("b");
    write_set(a, &o);
    write_set(b, &o);
    static const char *const files[] = {"Train/Train002/024.png", "Test/Test001/013.png",
                                        "Test/Test001_gt/013.png", "Test/synth.m", "synth.json"};
    for (int again = 0; again < 2; again++) {
        for (int i = 0; i < 5; i++) {
            size_t sa, sb;
            char *x = text_of(a, files[i], &sa), *y = text_of(b, files[i], &sb);
            cr_assert(sa == sb && memcmp(x, y, sa) == 0, "%s differs", files[i]);
            sac_free(x);
            sac_free(y);
        }
        write_set(b, &o); // over itself
    }
    // Other settings must not mix with these files.
    sac_error error = {0};
    o.frames_per_clip = 10;
    sac_assert_error(sac_synth_write(b, &o, NULL, NULL, &error), SAC_ERROR_ARGUMENT, &error, b,
                     "other settings", NULL);
}

Test(synth_write, refuses_folders_that_hold_something_else) {
    sac_synth_options o = tiny();
    sac_error error = {0};
    sac_assert_ok(sac_folder_create(sac_test_path("full"), &error), &error);
    sac_test_write_text("full/notes.txt", "mine");
    sac_assert_error(sac_synth_write(sac_test_path("full"), &o, NULL, NULL, &error),
                     SAC_ERROR_ARGUMENT, &error, "full", "not empty", NULL);
    error = (sac_error){0};
    sac_assert_ok(sac_folder_create(sac_test_path("damaged"), &error), &error);
    sac_test_write_text("damaged/synth.json", "{\"settings\": ");
    sac_assert_error(sac_synth_write(sac_test_path("damaged"), &o, NULL, NULL, &error),
                     SAC_ERROR_FORMAT, &error, "synth.json", NULL);
    error = (sac_error){0};
    sac_test_write_text("damaged/synth.json", "[1, 2]");
    sac_assert_error(sac_synth_write(sac_test_path("damaged"), &o, NULL, NULL, &error),
                     SAC_ERROR_ARGUMENT, &error, "damaged", "other settings", NULL);
    cr_assert_not(sac_is_folder(sac_test_path("full/Train")));
    cr_assert_not(sac_is_folder(sac_test_path("damaged/Train")));
}

Test(synth_write, says_what_cannot_be_written) {
    sac_synth_options o = tiny();
    sac_error error = {0};
    const char *file = sac_test_write_text("file", "x");
    sac_assert_error(sac_synth_write(file, &o, NULL, NULL, &error), SAC_ERROR_IO, &error, "file",
                     NULL);
    error = (sac_error){0};
    sac_assert_error(sac_synth_write(sac_test_path("file/below"), &o, NULL, NULL, &error),
                     SAC_ERROR_IO, &error, "file", NULL);
    // A frame's name is taken by a folder.
    const char *folder = sac_test_path("blocked");
    o.train_clips = 1;
    o.test_clips = 0;
    o.frames_per_clip = 3;
    write_set(folder, &o);
    cr_assert_eq(unlink(sac_test_path("blocked/Train/Train001/002.png")), 0);
    cr_assert_eq(mkdir(sac_test_path("blocked/Train/Train001/002.png"), 0755), 0);
    error = (sac_error){0};
    sac_assert_error(sac_synth_write(folder, &o, NULL, NULL, &error), SAC_ERROR_IO, &error,
                     "002.png", NULL);
    char **names = NULL;
    int64_t count;
    error = (sac_error){0};
    sac_assert_ok(sac_folder_list(&names, &count, sac_test_path("blocked/Train/Train001"), &error),
                  &error);
    cr_assert_eq(count, 3, "temporaries were left behind");
    sac_free(names);
    error = (sac_error){0};
    o.width = 17;
    o.height = 13;
    sac_assert_error(sac_synth_write(sac_test_path("small"), &o, NULL, NULL, &error),
                     SAC_ERROR_ARGUMENT, &error, "17x13", "32", NULL);
    cr_assert_not(sac_is_folder(sac_test_path("small")));
    error = (sac_error){0};
    sac_assert_error(sac_synth_write(NULL, &o, NULL, NULL, &error), SAC_ERROR_ARGUMENT, &error,
                     "folder", NULL);
    error = (sac_error){0};
    sac_assert_error(sac_synth_write(folder, NULL, NULL, NULL, &error), SAC_ERROR_ARGUMENT, &error,
                     "options", NULL);
}

typedef struct stopper {
    int64_t stop_at, last, total;
} stopper;

static int count_frames(void *user, int64_t done, int64_t total) {
    stopper *s = user;
    s->last = done;
    s->total = total;
    return done == s->stop_at;
}

Test(synth_write, stops_when_asked_and_completes_later) {
    sac_synth_options o = tiny();
    o.test_clips = 1;
    o.frames_per_clip = 5;
    const char *folder = sac_test_path("stopped");
    stopper s = {.stop_at = 12};
    sac_error error = {0};
    sac_assert_error(sac_synth_write(folder, &o, count_frames, &s, &error), SAC_ERROR_INTERRUPTED,
                     &error, "12 of 15", NULL);
    size_t size;
    char *text = text_of(folder, "synth.json", &size);
    cr_assert_not_null(strstr(text, "\"complete\": false"));
    sac_free(text);
    cr_assert_not(sac_is_file(sac_test_path("stopped/Test/synth.m")));
    s = (stopper){.stop_at = -1};
    error = (sac_error){0};
    sac_assert_ok(sac_synth_write(folder, &o, count_frames, &s, &error), &error);
    cr_assert(s.last == 15 && s.total == 15);
    text = text_of(folder, "synth.json", &size);
    cr_assert_not_null(strstr(text, "\"complete\": true"));
    sac_free(text);
    sac_dataset *dataset = NULL;
    sac_assert_ok(sac_dataset_open(&dataset, folder, NULL, &error), &error);
    cr_assert_eq(dataset->count, 3);
    sac_dataset_close(&dataset);
}

Test(synth_write, survives_lack_of_memory) {
    sac_synth_options o = tiny();
    o.train_clips = o.test_clips = 1;
    o.frames_per_clip = 1;
    const char *folder = sac_test_path("memory");
    int failures = 0;
    for (int64_t n = 0;; n += 1 + n / 16) {
        sac_error error = {0};
        sac_memory_fail_after(n);
        sac_status status = sac_synth_write(folder, &o, NULL, NULL, &error);
        sac_memory_fail_after(-1);
        if (status == SAC_OK) break;
        cr_assert_eq(status, SAC_ERROR_MEMORY, "after %d: %s", (int)n, error.message);
        failures++;
        cr_assert_lt(n, 100000);
    }
    cr_assert_gt(failures, 20);
}
