// UCSD Ped1 and Ped2: TrainNNN, TestNNN and TestNNN_gt folders of pictures, frame ranges in a .m
// file.
#include <string.h>

#include "core/check.h"
#include "core/file.h"
#include "core/memory.h"
#include "core/ranges.h"
#include "video/dataset_layout.h"
#include "video/labels.h"

// Adds TrainNNN or TestNNN folders of `folder`.
static sac_status add_half(sac_builder *b, const char *folder, const char *prefix, bool test) {
    sac_status status = SAC_OK;
    char **names = NULL, *path = NULL, *mask_name = NULL;
    int64_t count = 0;
    SAC_TRY(sac_folder_list(&names, &count, folder, b->error));
    for (int64_t i = 0; i < count; i++) {
        if (!sac_is_numbered(names[i], prefix)) continue;
        path = sac_path_join(folder, names[i]);
        SAC_TRY_ALLOC(path);
        if (sac_is_folder(path)) {
            SAC_TRY(sac_builder_add(b, names[i], path, test));
            mask_name = sac_format("%s_gt", names[i]);
            SAC_TRY_ALLOC(mask_name);
            if (test)
                SAC_TRY(sac_find_one(&b->set->clips[b->set->count - 1].mask_path, folder, mask_name,
                                     true, b->error));
            sac_free(mask_name);
            mask_name = NULL;
        }
        sac_free(path);
        path = NULL;
    }
fail:
    sac_free(path);
    sac_free(mask_name);
    sac_free(names);
    return status;
}

static sac_status find(sac_builder *b) {
    sac_status status = SAC_OK;
    char *train = NULL;
    SAC_TRY(sac_find_one(&train, b->set->path, "train", true, b->error));
    SAC_TRY(sac_find_one(&b->test_folder, b->set->path, "test", true, b->error));
    if (train != NULL) SAC_TRY(add_half(b, train, "train", false));
    if (b->test_folder != NULL) SAC_TRY(add_half(b, b->test_folder, "test", true));
fail:
    sac_free(train);
    return status;
}

static sac_status find_range_file(char **path, const char *folder, sac_error *error) {
    sac_status status = SAC_OK;
    char **names = NULL;
    int64_t count = 0;
    *path = NULL;
    SAC_TRY(sac_folder_list(&names, &count, folder, error));
    for (int64_t i = 0; i < count; i++) {
        if (!sac_has_ending(names[i], "m")) continue;
        if (*path != NULL)
            SAC_TRY(sac_error_set(error, SAC_ERROR_FORMAT, -1,
                                  "'%s' and '%s' beside it: expected one .m file of frame ranges",
                                  *path, names[i]));
        *path = sac_path_join(folder, names[i]);
        SAC_TRY_ALLOC(*path);
    }
fail:
    sac_free(names);
    return status;
}

static sac_status label(sac_builder *b) {
    sac_status status = SAC_OK;
    sac_dataset *set = b->set;
    sac_clip *tests = set->clips + set->train_count;
    int64_t test_count = set->count - set->train_count, count = 0, entries = 0, *index = NULL;
    sac_range *ranges = NULL;
    char *path = NULL;
    if (b->test_folder == NULL || test_count == 0) return SAC_OK;
    SAC_TRY(find_range_file(&path, b->test_folder, b->error));
    if (path == NULL) SAC_TRY(find_range_file(&path, set->path, b->error));
    if (path == NULL) return SAC_OK;
    SAC_TRY(sac_ranges_read(&ranges, &count, &entries, path, b->error));
    SAC_TRY_ALLOC(index = sac_calloc(test_count, sizeof *index));
    SAC_TRY(sac_builder_match(b, index, entries, path));
    for (int64_t i = 0; i < test_count; i++) {
        SAC_TRY(sac_clip_clear_labels(&tests[i]));
        for (int64_t k = 0; k < count; k++)
            if (ranges[k].clip == index[i])
                SAC_TRY(
                    sac_labels_mark(&tests[i], ranges[k].first, ranges[k].last, path, 0, b->error));
    }
fail:
    sac_free(index);
    sac_free(ranges);
    sac_free(path);
    return status;
}

const sac_layout sac_layout_ucsd = {"ucsd", "Train/TrainNNN and Test/TestNNN folders of pictures",
                                    find, label};
