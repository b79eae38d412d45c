// CUHK Avenue: training_videos/01.avi, testing_videos/01.avi, and pixel masks in
// testing_label_mask/1_label.mat, which its archive of ground truth keeps apart from the videos.
#include <stdio.h>
#include <string.h>

#include "core/check.h"
#include "core/file.h"
#include "core/memory.h"
#include "video/dataset_layout.h"

// testing_label_mask in `folder` or in its ground_truth_demo.
static sac_status find_masks(char **path, const char *folder, sac_error *error) {
    sac_status status = SAC_OK;
    char *demo = NULL;
    SAC_TRY(sac_find_one(path, folder, "testing_label_mask", true, error));
    if (*path != NULL) return SAC_OK;
    SAC_TRY(sac_find_one(&demo, folder, "ground_truth_demo", true, error));
    if (demo != NULL) SAC_TRY(sac_find_one(path, demo, "testing_label_mask", true, error));
fail:
    sac_free(demo);
    return status;
}

static sac_status find(sac_builder *b) {
    sac_status status = SAC_OK;
    char *train = NULL, *beside = NULL;
    SAC_TRY(sac_find_one(&train, b->set->path, "training_videos", true, b->error));
    SAC_TRY(sac_find_one(&b->test_folder, b->set->path, "testing_videos", true, b->error));
    if (b->test_folder == NULL) goto fail;
    SAC_TRY(find_masks(&b->label_place, b->set->path, b->error));
    if (b->label_place == NULL) { // unpacked beside "Avenue Dataset"
        SAC_TRY_ALLOC(beside =
                          sac_format("%s/../ground_truth_demo/testing_label_mask", b->set->path));
        if (sac_is_folder(beside)) {
            b->label_place = beside;
            beside = NULL;
        }
    }
    if (b->label_place == NULL) goto fail; // videos without masks are the generic layout's
    if (train != NULL) SAC_TRY(sac_builder_add_folder(b, train, false));
    SAC_TRY(sac_builder_add_folder(b, b->test_folder, true));
    SAC_TRY(sac_builder_make_unique(b));
fail:
    sac_free(train);
    sac_free(beside);
    return status;
}

// "7_label.mat" or "07_label.mat".
static bool is_label_of(const char *name, int64_t number) {
    char plain[32];
    while (*name == '0') name++;
    (void)snprintf(plain, sizeof plain, "%lld_label.mat", (long long)number);
    return strcasecmp(name, plain) == 0;
}

static sac_status label(sac_builder *b) {
    sac_status status = SAC_OK;
    char **names = NULL, *file = NULL;
    int64_t count = 0;
    SAC_TRY(sac_folder_list(&names, &count, b->label_place, b->error));
    for (int64_t i = b->set->train_count; i < b->set->count; i++) {
        sac_clip *clip = &b->set->clips[i];
        SAC_TRY_ALLOC(file = sac_clip_file_name(clip));
        const int64_t number = sac_number_in(file);
        for (int64_t k = 0; k < count && clip->mask_path == NULL; k++)
            if (number >= 0 && is_label_of(names[k], number))
                SAC_TRY_ALLOC(clip->mask_path = sac_path_join(b->label_place, names[k]));
        if (clip->mask_path == NULL)
            SAC_TRY(sac_error_set(b->error, SAC_ERROR_FORMAT, -1,
                                  "clip '%s' ('%s') has no masks: expected '%s/%lld_label.mat'",
                                  clip->name, clip->source, b->label_place,
                                  number >= 0 ? (long long)number : (long long)(i + 1)));
        sac_free(file);
        file = NULL;
    }
fail: // the labels come from the masks
    sac_free(file);
    sac_free(names);
    return status;
}

const sac_layout sac_layout_avenue = {
    "avenue", "training_videos and testing_videos with testing_label_mask/N_label.mat", find,
    label};
