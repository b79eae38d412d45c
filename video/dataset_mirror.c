// How many repositories mirror data sets: SET/{training,testing}/frames/CLIP/000.jpg and SET.mat
// with the variable `gt`, a cell array of 2xK matrices: the first and last frames (from 1,
// inclusive) of what is abnormal in each test clip.
#include <math.h>
#include <string.h>

#include "core/check.h"
#include "core/file.h"
#include "core/mat.h"
#include "core/memory.h"
#include "video/dataset_layout.h"
#include "video/labels.h"

// SET.mat, or the only .mat file of the root.
static sac_status find_mat(sac_builder *b) {
    sac_status status = SAC_OK;
    char **names = NULL;
    const char *chosen = NULL;
    int64_t count = 0, found = 0;
    const char *set = sac_last_component(b->set->path);
    SAC_TRY(sac_folder_list(&names, &count, b->set->path, b->error));
    for (int64_t i = 0; i < count; i++) {
        if (!sac_has_ending(names[i], "mat")) continue;
        const size_t stem = strlen(names[i]) - 4;
        if (stem == strlen(set) && strncasecmp(names[i], set, stem) == 0) {
            chosen = names[i];
            found = 1;
            break;
        }
        if (chosen == NULL) chosen = names[i];
        found++;
    }
    if (found > 1)
        SAC_TRY(sac_error_set(b->error, SAC_ERROR_FORMAT, -1,
                              "'%s' holds %lld .mat files, none of them '%s.mat': which has the "
                              "frame ranges?",
                              b->set->path, (long long)found, set));
    if (chosen != NULL) SAC_TRY_ALLOC(b->label_place = sac_path_join(b->set->path, chosen));
fail:
    sac_free(names);
    return status;
}

static sac_status find(sac_builder *b) {
    sac_status status = SAC_OK;
    char *halves[2] = {NULL, NULL}, *frames[2] = {NULL, NULL};
    static const char *const names[2] = {"training", "testing"};
    for (int i = 0; i < 2; i++) {
        SAC_TRY(sac_find_one(&halves[i], b->set->path, names[i], true, b->error));
        if (halves[i] != NULL)
            SAC_TRY(sac_find_one(&frames[i], halves[i], "frames", true, b->error));
    }
    if (frames[1] == NULL) goto fail;
    SAC_TRY(find_mat(b));
    if (b->label_place == NULL) goto fail; // frames without ranges are the generic layout's
    for (int i = 0; i < 2; i++)
        if (frames[i] != NULL) SAC_TRY(sac_builder_add_folder(b, frames[i], i == 1));
    SAC_TRY(sac_builder_make_unique(b));
    SAC_TRY_ALLOC(b->test_folder = sac_strdup(frames[1]));
fail:
    for (int i = 0; i < 2; i++) {
        sac_free(halves[i]);
        sac_free(frames[i]);
    }
    return status;
}

// A frame number; 0 for what is none.
static int64_t frame_number(double x) {
    return isfinite(x) && x >= 1 && x <= 1e9 && x <= floor(x) ? (int64_t)x : 0;
}

static sac_status mark(sac_builder *b, sac_clip *clip, const sac_mat_matrix *ranges,
                       int64_t entry) {
    sac_status status = SAC_OK;
    SAC_TRY(sac_clip_clear_labels(clip));
    if (ranges->rows == 0 || ranges->cols == 0) return SAC_OK; // nothing is abnormal
    if (ranges->rows != 2)
        SAC_TRY(sac_error_set(b->error, SAC_ERROR_FORMAT, entry,
                              "clip '%s': cell %lld of 'gt' in '%s' is %lldx%lld, expected 2xK: "
                              "first frames above last frames",
                              clip->name, (long long)entry + 1, b->label_place,
                              (long long)ranges->rows, (long long)ranges->cols));
    for (int64_t k = 0; k < ranges->cols; k++)
        SAC_TRY(sac_labels_mark(clip, frame_number(ranges->data[k]),
                                frame_number(ranges->data[ranges->cols + k]), b->label_place, 0,
                                b->error));
fail:
    return status;
}

static sac_status label(sac_builder *b) {
    sac_status status = SAC_OK;
    sac_dataset *set = b->set;
    const int64_t tests = set->count - set->train_count;
    sac_mat *mat = NULL;
    sac_mat_matrix ranges = {0};
    int64_t *index = NULL;
    SAC_TRY(sac_mat_open(&mat, b->label_place, "gt", b->error));
    SAC_TRY_ALLOC(index = sac_calloc(tests, sizeof *index));
    SAC_TRY(sac_builder_match(b, index, sac_mat_count(mat), b->label_place));
    for (int64_t i = 0; i < tests; i++) {
        SAC_TRY(sac_mat_read(mat, index[i], &ranges, b->error));
        SAC_TRY(mark(b, &set->clips[set->train_count + i], &ranges, index[i]));
    }
fail:
    sac_free(index);
    sac_mat_matrix_close(&ranges);
    sac_mat_close(&mat);
    return status;
}

const sac_layout sac_layout_mirror = {
    "mirror", "training/frames/CLIP and testing/frames/CLIP with SET.mat", find, label};
