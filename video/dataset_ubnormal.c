// UBnormal: SceneS/{normal,abnormal}_scene_S_scenario_K*.mp4 and, beside an abnormal video,
// <video>_annotations with <video>_tracks.txt (core/spans.h) and <video>_%04d_gt.png, in which each
// object has a gray value of its own.
#include <string.h>

#include "core/check.h"
#include "core/file.h"
#include "core/memory.h"
#include "video/dataset_layout.h"
#include "video/labels.h"

// Which half the published lists put a clip into.
enum { TRAINING, VALIDATION, TEST, KINDS };
static const char *const kind_names[KINDS] = {"training", "validation", "test"};

typedef struct split {
    uint8_t *text[2][KINDS]; // of normal and abnormal clips, NULL: no such list
    bool lists;              // there are lists
} split;

static bool is_abnormal(const char *name) {
    return strncasecmp(name, "abnormal_scene_", 15) == 0;
}

static bool is_clip(const char *name) {
    return sac_is_video_name(name) &&
           (strncasecmp(name, "normal_scene_", 13) == 0 || is_abnormal(name));
}

static sac_status read_lists(split *s, sac_builder *b) {
    sac_status status = SAC_OK;
    static const char *const places[] = {"", "/scripts", "/Split", "/split", "/splits"};
    char *path = NULL;
    for (size_t p = 0; p < sizeof places / sizeof *places && !s->lists; p++)
        for (int abnormal = 0; abnormal < 2; abnormal++)
            for (int kind = 0; kind < KINDS; kind++) {
                size_t size;
                path = sac_format("%s%s/%s_%s_video_names.txt", b->set->path, places[p],
                                  abnormal ? "abnormal" : "normal", kind_names[kind]);
                SAC_TRY_ALLOC(path);
                if (sac_is_file(path)) {
                    SAC_TRY(sac_file_read(&s->text[abnormal][kind], &size, path, (size_t)1 << 24,
                                          b->error));
                    s->lists = true;
                }
                sac_free(path);
                path = NULL;
            }
fail:
    sac_free(path);
    return status;
}

// Whether a line of the list is `name`.
static bool holds(const uint8_t *list, const char *name) {
    const size_t length = strlen(name);
    for (const char *at = (const char *)list; at != NULL && *at != '\0';) {
        size_t n = strcspn(at, "\r\n");
        while (n > 0 && (at[n - 1] == ' ' || at[n - 1] == '\t')) n--;
        if (n == length && memcmp(at, name, n) == 0) return true;
        at = strchr(at, '\n');
        if (at != NULL) at++;
    }
    return false;
}

// Half of a clip: 0 training, 1 test, -1 neither. One-class training sees normal clips only.
static sac_status half_of(int *half, const split *s, const char *name, sac_builder *b) {
    const int abnormal = is_abnormal(name);
    if (!s->lists) {
        *half = abnormal;
        return SAC_OK;
    }
    const bool training = holds(s->text[abnormal][TRAINING], name),
               test = holds(s->text[abnormal][TEST], name);
    if (training && test)
        return sac_error_set(b->error, SAC_ERROR_FORMAT, -1,
                             "'%s': clip '%s' is listed for training and for test", b->set->path,
                             name);
    *half = test ? 1 : training && !abnormal ? 0 : -1;
    return SAC_OK;
}

static sac_status add_scene(sac_builder *b, const split *s, const char *scene, bool test,
                            int64_t *left_out) {
    sac_status status = SAC_OK;
    char **names = NULL, *name = NULL, *path = NULL;
    int64_t count = 0;
    SAC_TRY(sac_folder_list(&names, &count, scene, b->error));
    for (int64_t i = 0; i < count; i++) {
        int half = -1;
        if (!is_clip(names[i])) continue;
        SAC_TRY_ALLOC(name = sac_without_ending(names[i]));
        SAC_TRY_ALLOC(path = sac_path_join(scene, names[i]));
        SAC_TRY(half_of(&half, s, name, b));
        if (half == test && sac_is_file(path)) SAC_TRY(sac_builder_add(b, name, path, test));
        *left_out += half < 0;
        sac_free(name);
        sac_free(path);
        name = path = NULL;
    }
fail:
    sac_free(name);
    sac_free(path);
    sac_free(names);
    return status;
}

static sac_status find(sac_builder *b) {
    sac_status status = SAC_OK;
    char **names = NULL, *scene = NULL;
    int64_t count = 0, left_out = 0;
    split s = {0};
    SAC_TRY(sac_folder_list(&names, &count, b->set->path, b->error));
    SAC_TRY(read_lists(&s, b));
    for (int test = 0; test < 2; test++)
        for (int64_t i = 0; i < count; i++) {
            if (!sac_is_numbered(names[i], "scene")) continue;
            SAC_TRY_ALLOC(scene = sac_path_join(b->set->path, names[i]));
            if (sac_is_folder(scene)) SAC_TRY(add_scene(b, &s, scene, test == 1, &left_out));
            sac_free(scene);
            scene = NULL;
        }
    if (b->set->count > 0) {
        SAC_TRY(sac_builder_make_unique(b));
        SAC_TRY_ALLOC(b->test_folder = sac_strdup(b->set->path));
        if (s.lists)
            sac_builder_log(b, SAC_LOG_INFO,
                            "'%s': halves by the lists of video names; %lld clips are in neither",
                            b->set->path, (long long)left_out / 2);
        else
            sac_builder_log(b, SAC_LOG_INFO,
                            "'%s': no lists of video names: normal videos are for training, "
                            "abnormal ones for test",
                            b->set->path);
    }
fail:
    for (int a = 0; a < 2; a++)
        for (int k = 0; k < KINDS; k++) sac_free(s.text[a][k]);
    sac_free(scene);
    sac_free(names);
    return status;
}

// Whether the folder holds any picture of objects.
static sac_status has_pictures(bool *has, const char *folder, sac_error *error) {
    sac_status status = SAC_OK;
    char **names = NULL;
    int64_t count = 0;
    *has = false;
    SAC_TRY(sac_folder_list(&names, &count, folder, error));
    for (int64_t i = 0; i < count && !*has; i++) {
        const size_t n = strlen(names[i]);
        *has = n > 7 && strcmp(names[i] + n - 7, "_gt.png") == 0;
    }
fail:
    sac_free(names);
    return status;
}

static sac_status annotate(sac_builder *b, sac_clip *clip, const char *folder, const char *name) {
    sac_status status = SAC_OK;
    bool pictures;
    char *stem = NULL;
    // Corrected spans, where there are some, go first.
    static const char *const endings[] = {"_new_tracks", "_tracks"};
    for (int i = 0; i < 2 && clip->objects == NULL; i++) {
        SAC_TRY_ALLOC(stem = sac_format("%s%s", name, endings[i]));
        SAC_TRY(sac_find_file(&clip->objects, folder, stem, "txt"));
        sac_free(stem);
        stem = NULL;
    }
    if (clip->objects == NULL)
        SAC_TRY(sac_error_set(b->error, SAC_ERROR_FORMAT, -1,
                              "clip '%s' has no labels: expected '%s/%s_tracks.txt'", clip->name,
                              folder, name));
    SAC_TRY(sac_labels_from_spans(&clip->labels, clip->objects, clip, b->error));
    int64_t abnormal = 0;
    for (int64_t i = 0; i < clip->frames; i++) abnormal += clip->labels[i];
    if (abnormal == 0)
        SAC_TRY(sac_error_set(b->error, SAC_ERROR_FORMAT, -1,
                              "'%s': no object in any of the %lld frames of an abnormal video",
                              clip->objects, (long long)clip->frames));
    SAC_TRY(has_pictures(&pictures, folder, b->error));
    if (pictures) SAC_TRY_ALLOC(clip->mask_path = sac_strdup(folder));
fail:
    sac_free(stem);
    return status;
}

static sac_status label(sac_builder *b) {
    sac_status status = SAC_OK;
    char *name = NULL, *folder = NULL;
    const sac_clip *without = NULL, *with = NULL;
    for (int64_t i = b->set->train_count; i < b->set->count; i++) {
        sac_clip *clip = &b->set->clips[i];
        SAC_TRY_ALLOC(name = sac_clip_file_name(clip));
        SAC_TRY_ALLOC(folder = sac_format("%.*s_annotations",
                                          (int)(strrchr(clip->source, '.') - clip->source),
                                          clip->source));
        if (!is_abnormal(name)) {
            SAC_TRY(sac_clip_clear_labels(clip));
        } else if (sac_is_folder(folder)) {
            SAC_TRY(annotate(b, clip, folder, name));
            with = clip;
        } else {
            without = clip;
        }
        sac_free(name);
        sac_free(folder);
        name = folder = NULL;
    }
    if (with != NULL && without != NULL)
        SAC_TRY(sac_error_set(b->error, SAC_ERROR_FORMAT, -1,
                              "clip '%s' ('%s') has no annotations, clip '%s' has: expected a "
                              "folder %s_annotations beside the video",
                              without->name, without->source, with->name, without->name));
fail:
    sac_free(name);
    sac_free(folder);
    return status;
}

const sac_layout sac_layout_ubnormal = {
    "ubnormal", "SceneN folders with normal_scene_* and abnormal_scene_* videos", find, label};
