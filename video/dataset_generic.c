// Any two folders of clips, with labels beside them or in a table.
#include <string.h>

#include "core/check.h"
#include "core/csv.h"
#include "core/file.h"
#include "core/memory.h"
#include "video/dataset_layout.h"
#include "video/labels.h"

static sac_status add_half(sac_builder *b, const char *half, bool test) {
    sac_status status = SAC_OK;
    static const char *const inner[] = {"videos", "frames"};
    char *folder = NULL;
    SAC_TRY(sac_find_child(&folder, half, inner, 2, true, b->error));
    SAC_TRY(sac_builder_add_folder(b, folder != NULL ? folder : half, test));
fail:
    sac_free(folder);
    return status;
}

static sac_status find(sac_builder *b) {
    sac_status status = SAC_OK;
    static const char *const train_names[] = {"train", "training", "train_videos",
                                              "training_videos"},
                             *const test_names[] = {"test", "testing", "test_videos",
                                                    "testing_videos"};
    char *train = NULL;
    SAC_TRY(sac_find_child(&train, b->set->path, train_names, 4, true, b->error));
    SAC_TRY(sac_find_child(&b->test_folder, b->set->path, test_names, 4, true, b->error));
    if (train != NULL) SAC_TRY(add_half(b, train, false));
    if (b->test_folder != NULL) SAC_TRY(add_half(b, b->test_folder, true));
    SAC_TRY(sac_builder_make_unique(b));
fail:
    sac_free(train);
    return status;
}

static sac_status read_clip_labels(sac_builder *b, sac_clip *clip, const char *test_folder) {
    sac_status status = SAC_OK;
    char *path = NULL, *folder = NULL, *name = sac_clip_file_name(clip),
         *beside = sac_parent_of(clip->source);
    SAC_TRY_ALLOC(name);
    SAC_TRY_ALLOC(beside);
    const char *places[][2] = {{beside, NULL},
                               {test_folder, NULL},
                               {test_folder, "labels"},
                               {test_folder, "test_frame_mask"},
                               {b->set->path, "labels"}};
    for (size_t i = 0; i < sizeof places / sizeof *places && path == NULL; i++) {
        SAC_TRY_ALLOC(folder = sac_format("%s%s%s", places[i][0], places[i][1] != NULL ? "/" : "",
                                          places[i][1] != NULL ? places[i][1] : ""));
        SAC_TRY(sac_find_file(&path, folder, name, "txt npy pkl pickle"));
        sac_free(folder);
        folder = NULL;
    }
    if (path != NULL) SAC_TRY(sac_labels_read(&clip->labels, path, clip, b->error));
fail:
    sac_free(path);
    sac_free(folder);
    sac_free(name);
    sac_free(beside);
    return status;
}

static sac_status find_masks(sac_builder *b, sac_clip *clip, const char *test_folder) {
    sac_status status = SAC_OK;
    char *name = sac_clip_file_name(clip), *beside = sac_parent_of(clip->source);
    SAC_TRY_ALLOC(name);
    SAC_TRY_ALLOC(beside);
    for (int i = 0; i < 3 && clip->mask_path == NULL; i++) {
        char *path = i == 0   ? sac_format("%s/%s_gt", beside, name)
                     : i == 1 ? sac_format("%s/masks/%s", test_folder, name)
                              : sac_format("%s/masks/%s", b->set->path, name);
        SAC_TRY_ALLOC(path);
        if (sac_is_folder(path))
            clip->mask_path = path;
        else
            sac_free(path);
    }
fail:
    sac_free(name);
    sac_free(beside);
    return status;
}

static sac_clip *find_test_clip(sac_builder *b, const char *video) {
    for (int64_t i = b->set->train_count; i < b->set->count; i++) {
        sac_clip *clip = &b->set->clips[i];
        const char *slash = strrchr(clip->source, '/');
        const char *file = slash != NULL ? slash + 1 : clip->source;
        const char *dot = sac_is_folder(clip->source) ? NULL : strrchr(file, '.');
        size_t stem = dot != NULL ? (size_t)(dot - file) : strlen(file);
        if (strcmp(file, video) == 0 || strcmp(clip->name, video) == 0 ||
            (strlen(video) == stem && strncmp(file, video, stem) == 0))
            return clip;
    }
    return NULL;
}

// labels.csv: video,start,end with frames from 1, both included. Clips that have labels already
// keep them.
static sac_status read_label_table(sac_builder *b, const char *test_folder) {
    sac_status status = SAC_OK;
    sac_dataset *set = b->set;
    sac_csv *csv = NULL;
    char *path = NULL;
    bool *own = NULL;
    SAC_TRY(sac_find_one(&path, set->path, "labels.csv", false, b->error));
    if (path == NULL) SAC_TRY(sac_find_one(&path, test_folder, "labels.csv", false, b->error));
    if (path == NULL) return SAC_OK;
    SAC_TRY(sac_csv_read(&csv, path, b->error));
    int video = sac_csv_column(csv, "video"), start = sac_csv_column(csv, "start"),
        end = sac_csv_column(csv, "end");
    if (video < 0 || start < 0 || end < 0)
        SAC_TRY(sac_error_set(b->error, SAC_ERROR_FORMAT, 1,
                              "'%s', line 1: expected the header video,start,end", path));
    own = sac_calloc(set->count, sizeof *own);
    SAC_TRY_ALLOC(own);
    for (int64_t i = set->train_count; i < set->count; i++) {
        own[i] = set->clips[i].labels != NULL;
        if (own[i]) continue;
        set->clips[i].labels = sac_calloc(set->clips[i].frames, 1);
        SAC_TRY_ALLOC(set->clips[i].labels);
    }
    for (int64_t row = 0; row < sac_csv_rows(csv); row++) {
        const char *name = sac_csv_text(csv, row, video);
        sac_clip *clip = find_test_clip(b, name);
        int64_t first, last;
        if (clip == NULL)
            SAC_TRY(sac_error_set(b->error, SAC_ERROR_FORMAT, row + 2,
                                  "'%s', line %lld: there is no test clip '%s'", path,
                                  (long long)row + 2, name));
        SAC_TRY(sac_csv_integer(csv, row, start, 1, INT64_MAX, &first, b->error));
        SAC_TRY(sac_csv_integer(csv, row, end, 1, INT64_MAX, &last, b->error));
        if (!own[clip - set->clips])
            SAC_TRY(sac_labels_mark(clip, first, last, path, row + 2, b->error));
    }
fail:
    sac_free(own);
    sac_csv_close(&csv);
    sac_free(path);
    return status;
}

static sac_status label(sac_builder *b) {
    sac_status status = SAC_OK;
    if (b->test_folder == NULL) return SAC_OK;
    for (int64_t i = b->set->train_count; i < b->set->count; i++) {
        SAC_TRY(read_clip_labels(b, &b->set->clips[i], b->test_folder));
        SAC_TRY(find_masks(b, &b->set->clips[i], b->test_folder));
    }
    SAC_TRY(read_label_table(b, b->test_folder));
fail:
    return status;
}

const sac_layout sac_layout_generic = {
    "generic",
    "train, training, train_videos or training_videos and the same with test, with video files or "
    "picture folders in it",
    find, label};
