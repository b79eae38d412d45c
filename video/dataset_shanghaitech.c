// ShanghaiTech Campus: training/videos/01_001.avi, testing/frames/01_0014/000.jpg, labels in
// testing/test_frame_mask/*.npy and pixel masks in testing/test_pixel_mask/*.npy.
#include <string.h>

#include "core/check.h"
#include "core/file.h"
#include "core/memory.h"
#include "video/dataset_layout.h"
#include "video/labels.h"

// The clips of a half, from the first of `inner` that exists.
static sac_status add_half(sac_builder *b, const char *half, const char *const inner[2],
                           bool test) {
    sac_status status = SAC_OK;
    char *first = NULL, *second = NULL;
    SAC_TRY(sac_find_one(&first, half, inner[0], true, b->error));
    SAC_TRY(sac_find_one(&second, half, inner[1], true, b->error));
    if (first != NULL && second != NULL)
        sac_builder_log(b, SAC_LOG_INFO, "'%s' is used, '%s' beside it is not", first, inner[1]);
    if (first != NULL || second != NULL)
        SAC_TRY(sac_builder_add_folder(b, first != NULL ? first : second, test));
fail:
    sac_free(first);
    sac_free(second);
    return status;
}

static sac_status find(sac_builder *b) {
    sac_status status = SAC_OK;
    static const char *const kinds[] = {"test_frame_mask", "test_pixel_mask"};
    static const char *const train_inner[] = {"videos", "frames"}, *const test_inner[] = {"frames",
                                                                                          "videos"};
    char *train = NULL;
    SAC_TRY(sac_find_one(&b->test_folder, b->set->path, "testing", true, b->error));
    if (b->test_folder == NULL) return SAC_OK;
    SAC_TRY(sac_find_child(&b->label_place, b->test_folder, kinds, 2, true, b->error));
    if (b->label_place == NULL) return SAC_OK;
    SAC_TRY(sac_find_one(&train, b->set->path, "training", true, b->error));
    if (train != NULL) SAC_TRY(add_half(b, train, train_inner, false));
    SAC_TRY(add_half(b, b->test_folder, test_inner, true));
    SAC_TRY(sac_builder_make_unique(b));
fail:
    sac_free(train);
    return status;
}

static sac_status label_clip(sac_builder *b, sac_clip *clip, const char *frame_masks,
                             const char *pixel_masks) {
    sac_status status = SAC_OK;
    char *path = NULL, *name = sac_clip_file_name(clip);
    SAC_TRY_ALLOC(name);
    if (frame_masks != NULL) {
        SAC_TRY(sac_find_file(&path, frame_masks, name, "npy txt pkl pickle"));
        if (path == NULL)
            SAC_TRY(sac_error_set(b->error, SAC_ERROR_FORMAT, -1,
                                  "clip '%s' has no labels: expected '%s/%s.npy'", clip->name,
                                  frame_masks, name));
        SAC_TRY(sac_labels_read(&clip->labels, path, clip, b->error));
    }
    if (pixel_masks != NULL) {
        SAC_TRY(sac_find_file(&clip->mask_path, pixel_masks, name, "npy"));
        if (clip->mask_path == NULL &&
            (clip->labels == NULL || memchr(clip->labels, 1, (size_t)clip->frames) != NULL))
            SAC_TRY(sac_error_set(b->error, SAC_ERROR_FORMAT, -1,
                                  "clip '%s' has no masks: expected '%s/%s.npy'", clip->name,
                                  pixel_masks, name));
    }
fail:
    sac_free(path);
    sac_free(name);
    return status;
}

static sac_status label(sac_builder *b) {
    sac_status status = SAC_OK;
    char *frame_masks = NULL, *pixel_masks = NULL;
    SAC_TRY(sac_find_one(&frame_masks, b->test_folder, "test_frame_mask", true, b->error));
    SAC_TRY(sac_find_one(&pixel_masks, b->test_folder, "test_pixel_mask", true, b->error));
    for (int64_t i = b->set->train_count; i < b->set->count; i++)
        SAC_TRY(label_clip(b, &b->set->clips[i], frame_masks, pixel_masks));
fail:
    sac_free(frame_masks);
    sac_free(pixel_masks);
    return status;
}

const sac_layout sac_layout_shanghaitech = {
    "shanghaitech",
    "training/videos and testing/frames with testing/test_frame_mask or test_pixel_mask", find,
    label};
