// Writes the synthetic data set in UCSD layout: frames, masks, frame ranges, and how all of it was
// made. Never removes files; a folder that holds something else is refused.
#include <limits.h>
#include <string.h>

#include "core/check.h"
#include "core/file.h"
#include "core/json.h"
#include "core/memory.h"
#include "video/picture.h"
#include "video/synth_clip.h"

// Test clips draw from streams of their own, so that more training clips do not change them.
#define FIRST_TEST_STREAM 1000000u

typedef struct writing {
    const char *folder;
    const sac_synth_options *options;
    sac_synth_stage *stage;
    uint8_t *gray, *mask;
    int64_t done, total;
    int (*progress)(void *user, int64_t done, int64_t total);
    void *user;
} writing;

static sac_synth_anomaly kind_of_test(int64_t clip) {
    return (sac_synth_anomaly)(SAC_SYNTH_CYCLIST + clip % (SAC_SYNTH_ANOMALY_COUNT - 1));
}

static sac_status no_memory(sac_error *error, const char *folder) {
    return sac_error_set(error, SAC_ERROR_MEMORY, -1, "%s: no memory for the synthetic scene",
                         folder);
}

// Appends "[a:b c:d]" of the runs of ones in labels to a file.
static sac_status write_ranges(sac_file_writer *writer, const uint8_t *labels, int64_t frames,
                               sac_error *error) {
    sac_status status;
    const char *blank = "";
    SAC_TRY(sac_file_printf(writer, error, "TestVideoFile{end+1}.gt_frame = ["));
    for (int64_t t = 0; t < frames; t++) {
        if (labels[t] == 0) continue;
        int64_t last = t;
        while (last + 1 < frames && labels[last + 1] != 0) last++;
        SAC_TRY(sac_file_printf(writer, error, "%s%lld:%lld", blank, (long long)t + 1,
                                (long long)last + 1));
        blank = " ";
        t = last;
    }
    SAC_TRY(sac_file_printf(writer, error, "];\n"));
    return SAC_OK;
fail:
    return status;
}

// Renders one clip into <folder>/<group>/<name> and, for test clips, its masks beside it.
static sac_status write_clip(writing *w, const char *group, const char *name, uint64_t stream,
                             sac_synth_anomaly kind, uint8_t *labels, sac_error *error) {
    sac_status status = SAC_OK;
    sac_synth_scene *scene = NULL;
    const sac_synth_options *o = w->options;
    char *path = sac_format("%s/%s/%s", w->folder, group, name), *masks = NULL, *file = NULL;
    SAC_TRY_ALLOC(path);
    if (labels != NULL) {
        masks = sac_format("%s_gt", path);
        SAC_TRY_ALLOC(masks);
        SAC_TRY(sac_folder_create(masks, error));
    }
    SAC_TRY(sac_folder_create(path, error));
    SAC_TRY(sac_synth_scene_create_on(&scene, w->stage, o, stream, kind));
    for (int64_t t = 0; t < o->frames_per_clip; t++) {
        if (w->progress != NULL && w->progress(w->user, w->done, w->total) != 0) {
            status = sac_error_set(error, SAC_ERROR_INTERRUPTED, w->done,
                                   "%s: stopped after %lld of %lld frames", w->folder,
                                   (long long)w->done, (long long)w->total);
            goto fail;
        }
        SAC_TRY(
            sac_synth_scene_render(scene, t, w->gray, w->mask, labels != NULL ? &labels[t] : NULL));
        file = sac_format("%s/%03lld.png", path, (long long)t + 1);
        SAC_TRY_ALLOC(file);
        SAC_TRY(sac_picture_write_png(file, w->gray, o->width, o->height, 1, error));
        sac_free(file);
        file = NULL;
        if (masks != NULL) {
            int64_t pixels = (int64_t)o->width * o->height;
            for (int64_t i = 0; i < pixels; i++) w->mask[i] = w->mask[i] != 0 ? 255 : 0;
            file = sac_format("%s/%03lld.png", masks, (long long)t + 1);
            SAC_TRY_ALLOC(file);
            SAC_TRY(sac_picture_write_png(file, w->mask, o->width, o->height, 1, error));
            sac_free(file);
            file = NULL;
        }
        w->done++;
    }
fail:
    if (status == SAC_ERROR_MEMORY) (void)no_memory(error, w->folder);
    sac_synth_scene_close(&scene);
    sac_free(file);
    sac_free(masks);
    sac_free(path);
    return status;
}

// Everything that decides the bytes of the set, as stored in synth.json.
static json_t *settings_to_json(const sac_synth_options *o) {
    // Seeds above the range of JSON integers are kept as text.
    char *text =
        o->seed <= (uint64_t)INT64_MAX ? NULL : sac_format("%llu", (unsigned long long)o->seed);
    json_t *seed = o->seed <= (uint64_t)INT64_MAX ? json_integer((json_int_t)o->seed)
                   : text != NULL                 ? json_string(text)
                                                  : NULL;
    sac_free(text);
    return json_pack("{s:i, s:i, s:i, s:I, s:I, s:I, s:i, s:f, s:o}", "version", SAC_SYNTH_VERSION,
                     "width", o->width, "height", o->height, "train_clips",
                     (json_int_t)o->train_clips, "test_clips", (json_int_t)o->test_clips,
                     "frames_per_clip", (json_int_t)o->frames_per_clip, "walkers", o->walkers,
                     "frame_rate", o->frame_rate, "seed", seed);
}

static json_t *clip_to_json(const char *name, sac_synth_anomaly kind, const uint8_t *labels,
                            int64_t frames) {
    int64_t abnormal = 0;
    for (int64_t t = 0; labels != NULL && t < frames; t++) abnormal += labels[t];
    return json_pack("{s:s, s:s, s:I}", "name", name, "anomaly", sac_synth_anomaly_name(kind),
                     "abnormal_frames", (json_int_t)abnormal);
}

// synth.json: settings, the kind and number of abnormal frames of every test clip written so far,
// and whether the set is complete.
static sac_status write_provenance(const char *path, const sac_synth_options *options,
                                   json_t *clips, bool complete, sac_error *error) {
    json_t *json =
        json_pack("{s:s, s:b, s:o, s:O}", "generator", "saccade synth", "complete",
                  complete ? 1 : 0, "settings", settings_to_json(options), "test", clips);
    if (json == NULL) return no_memory(error, path);
    sac_status status = sac_json_write(json, path, error);
    json_decref(json);
    return status;
}

// A folder may be new, empty, or hold a set (also an unfinished one) of exactly these settings,
// whose files are then written again. Anything else could mix two data sets.
static sac_status check_folder(const char *folder, const char *provenance,
                               const sac_synth_options *options, sac_error *error) {
    sac_status status = SAC_OK;
    char **names = NULL;
    int64_t count = 0;
    json_t *old = NULL, *now = NULL;
    if (!sac_is_folder(folder)) return SAC_OK;
    SAC_TRY(sac_folder_list(&names, &count, folder, error));
    if (count == 0) goto fail;
    if (!sac_is_file(provenance)) {
        status =
            sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                          "%s: the folder is not empty and holds no synth.json; expected a new or "
                          "empty folder, or a synthetic set made with the same settings",
                          folder);
        goto fail;
    }
    SAC_TRY(sac_json_read(&old, provenance, error));
    now = settings_to_json(options);
    SAC_TRY_ALLOC(now);
    const json_t *settings = json_object_get(old, "settings");
    if (settings == NULL || !json_equal(settings, now))
        status =
            sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                          "%s: the folder holds a synthetic set made with other settings; choose "
                          "another folder or delete this one",
                          folder);
fail:
    if (status == SAC_ERROR_MEMORY) (void)no_memory(error, folder);
    json_decref(old);
    json_decref(now);
    sac_free(names);
    return status;
}

static sac_status write_all(writing *w, const char *ranges, const char *provenance,
                            sac_error *error) {
    sac_status status = SAC_OK;
    const sac_synth_options *o = w->options;
    sac_file_writer *writer = NULL;
    uint8_t *labels = NULL;
    char *name = NULL, *tests = NULL;
    json_t *clips = json_array();
    SAC_TRY_ALLOC(clips);
    SAC_TRY(write_provenance(provenance, o, clips, false, error));
    for (int64_t i = 0; i < o->train_clips; i++) {
        name = sac_format("Train%03lld", (long long)i + 1);
        SAC_TRY_ALLOC(name);
        SAC_TRY(write_clip(w, "Train", name, (uint64_t)i, SAC_SYNTH_NONE, NULL, error));
        sac_free(name);
        name = NULL;
    }
    if (o->test_clips > 0) {
        labels = sac_calloc(o->frames_per_clip, 1);
        SAC_TRY_ALLOC(labels);
        tests = sac_path_join(w->folder, "Test");
        SAC_TRY_ALLOC(tests);
        SAC_TRY(sac_folder_create(tests, error));
        SAC_TRY(sac_file_writer_open(&writer, ranges, error));
        SAC_TRY(sac_file_printf(writer, error, "TestVideoFile = {};\n"));
    }
    for (int64_t i = 0; i < o->test_clips; i++) {
        name = sac_format("Test%03lld", (long long)i + 1);
        SAC_TRY_ALLOC(name);
        SAC_TRY(write_clip(w, "Test", name, FIRST_TEST_STREAM + (uint64_t)i, kind_of_test(i),
                           labels, error));
        SAC_TRY(write_ranges(writer, labels, o->frames_per_clip, error));
        json_t *clip = clip_to_json(name, kind_of_test(i), labels, o->frames_per_clip);
        if (json_array_append_new(clips, clip) != 0) {
            status = SAC_ERROR_MEMORY;
            goto fail;
        }
        sac_free(name);
        name = NULL;
    }
    if (writer != NULL) SAC_TRY(sac_file_writer_commit(&writer, error));
    SAC_TRY(write_provenance(provenance, o, clips, true, error));
    if (w->progress != NULL) (void)w->progress(w->user, w->done, w->total);
fail:
    if (status == SAC_ERROR_MEMORY) (void)no_memory(error, w->folder);
    sac_file_writer_close(&writer);
    json_decref(clips);
    sac_free(labels);
    sac_free(tests);
    sac_free(name);
    return status;
}

sac_status sac_synth_write(const char *folder, const sac_synth_options *options,
                           int (*progress)(void *user, int64_t done, int64_t total), void *user,
                           sac_error *error) {
    if (folder == NULL || options == NULL)
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1, "synth: no folder or no options given");
    sac_status status = SAC_OK;
    const sac_synth_options *o = options;
    char *provenance = NULL, *ranges = NULL;
    writing w = {.folder = folder, .options = options, .progress = progress, .user = user};
    SAC_TRY(sac_synth_check_options(options, error));
    provenance = sac_path_join(folder, "synth.json");
    ranges = sac_format("%s/Test/synth.m", folder);
    SAC_TRY_ALLOC(provenance);
    SAC_TRY_ALLOC(ranges);
    SAC_TRY(check_folder(folder, provenance, options, error));
    SAC_TRY(sac_folder_create(folder, error));
    w.total = (o->train_clips + o->test_clips) * o->frames_per_clip;
    w.gray = sac_calloc((int64_t)o->width * o->height, 1);
    w.mask = sac_calloc((int64_t)o->width * o->height, 1);
    SAC_TRY_ALLOC(w.gray);
    SAC_TRY_ALLOC(w.mask);
    SAC_TRY(sac_synth_stage_create(&w.stage, o->width, o->height, o->seed));
    SAC_TRY(write_all(&w, ranges, provenance, error));
fail:
    if (status == SAC_ERROR_MEMORY) (void)no_memory(error, folder);
    sac_synth_stage_close(&w.stage);
    sac_free(w.gray);
    sac_free(w.mask);
    sac_free(ranges);
    sac_free(provenance);
    return status;
}
