// Recognises the layout of a data set, counts the frames of its clips, and checks labels against
// masks. What each layout looks like is in dataset_<layout>.c.
#include "video/dataset.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <libavutil/mem.h>
#include <libavutil/sha.h>

#include "core/check.h"
#include "core/file.h"
#include "core/memory.h"
#include "saccade/video.h"
#include "video/dataset_layout.h"
#include "video/labels.h"
#include "video/masks.h"
#include "video/pictures.h"
#include "video/source.h"

// Takes the labels from the masks where there are none, and compares them where there are.
static sac_status consult_masks(sac_builder *b) {
    sac_status status = SAC_OK;
    sac_masks *masks = NULL;
    uint8_t *labels = NULL;
    for (int64_t i = b->set->train_count; i < b->set->count; i++) {
        sac_clip *clip = &b->set->clips[i];
        if (clip->mask_path == NULL) continue;
        if (clip->labels != NULL && (clip->objects != NULL || !sac_is_folder(clip->mask_path))) {
            // Reading all of a large set's masks takes minutes: only their number is checked.
            SAC_TRY(sac_masks_open(&masks, clip, 0, 0, b->error));
            sac_masks_close(&masks);
            continue;
        }
        SAC_TRY(sac_labels_from_masks(&labels, clip, b->error));
        if (clip->labels == NULL) {
            clip->labels = labels;
            labels = NULL;
            continue;
        }
        int64_t different = 0, where = -1;
        for (int64_t t = clip->frames - 1; t >= 0; t--)
            if (labels[t] != clip->labels[t]) {
                different++;
                where = t;
            }
        if (different > 0)
            sac_builder_log(b, SAC_LOG_WARNING,
                            "clip '%s': labels and masks disagree in %lld of %lld frames, first in "
                            "frame %lld (from 1); the "
                            "labels are used",
                            clip->name, (long long)different, (long long)clip->frames,
                            (long long)where + 1);
        sac_free(labels);
        labels = NULL;
    }
fail:
    sac_free(labels);
    return status;
}

// Counts and fingerprint
// -------------------------------------------------------------------------------------------------

static void hash_text(struct AVSHA *sha, const char *text) {
    av_sha_update(sha, (const uint8_t *)text,
                  strlen(text) + 1); // with its 0, so that fields cannot run together
}

static void hash_number(struct AVSHA *sha, int64_t number) {
    char text[32];
    (void)snprintf(text, sizeof text, "%lld", (long long)number);
    hash_text(sha, text);
}

static sac_status count_pictures(sac_clip *clip, struct AVSHA *sha, sac_error *error) {
    sac_status status = SAC_OK;
    sac_pictures *pictures = NULL;
    int64_t bytes;
    SAC_TRY(sac_pictures_open(&pictures, clip->source, error));
    clip->frames = sac_pictures_count(pictures);
    hash_number(sha, clip->frames);
    for (int64_t i = 0; i < clip->frames; i++) {
        SAC_TRY(sac_pictures_size(pictures, i, &bytes, error));
        hash_number(sha, bytes);
    }
fail:
    sac_pictures_close(&pictures);
    return status;
}

static sac_status count_video(sac_builder *b, sac_clip *clip, struct AVSHA *sha) {
    struct stat info;
    sac_video_counts counts;
    const sac_status status = sac_video_count_frames(&counts, clip->source, b->error);
    if (status < 0) return status;
    clip->frames = counts.decoded;
    if (counts.damaged > 0)
        sac_builder_log(b, SAC_LOG_WARNING,
                        "clip '%s': damaged frames: %lld, the first is frame %lld (from 1); the "
                        "decoder covered the errors up, and what is learned or measured near them "
                        "means little",
                        clip->name, (long long)counts.damaged, (long long)counts.first_damaged + 1);
    if (stat(clip->source, &info) != 0)
        return sac_error_set(b->error, SAC_ERROR_IO, -1, "'%s': %s", clip->source, strerror(errno));
    hash_number(sha, clip->frames);
    hash_number(sha, info.st_size);
    return SAC_OK;
}

static sac_status count_frames(sac_builder *b) {
    sac_status status = SAC_OK;
    sac_dataset *set = b->set;
    struct AVSHA *sha = av_sha_alloc();
    int64_t videos = 0;
    SAC_TRY_ALLOC(sha);
    (void)av_sha_init(sha, 256);
    hash_text(sha, set->layout);
    for (int64_t i = 0; i < set->count; i++) videos += !sac_is_folder(set->clips[i].source);
    if (videos > 0)
        sac_builder_log(b, SAC_LOG_INFO, "'%s': decoding %lld video files to count their frames",
                        set->path, (long long)videos);
    for (int64_t i = 0; i < set->count; i++) {
        sac_clip *clip = &set->clips[i];
        hash_text(sha, clip->test ? "test" : "train");
        hash_text(sha, clip->name);
        if (sac_is_folder(clip->source))
            SAC_TRY(count_pictures(clip, sha, b->error));
        else
            SAC_TRY(count_video(b, clip, sha));
    }
    uint8_t digest[32];
    av_sha_final(sha, digest);
    for (int i = 0; i < 32; i++) (void)snprintf(set->fingerprint + 2 * i, 3, "%02x", digest[i]);
fail:
    av_free(sha);
    return status;
}

static sac_status measure_first_frame(sac_builder *b) {
    sac_video *video = NULL;
    sac_video_info info;
    sac_video_options options = sac_video_default_options();
    options.queue = 0;
    sac_status status = sac_video_open(&video, b->set->clips[0].source, &options, b->error);
    if (status < 0) return status;
    sac_video_get_info(video, &info);
    b->set->width = info.source_width;
    b->set->height = info.source_height;
    sac_video_close(&video);
    return SAC_OK;
}

// Opening
// -------------------------------------------------------------------------------------------------

// Those with a structure of their own, then the one that takes anything.
static const sac_layout *const layouts[] = {&sac_layout_ucsd,         &sac_layout_avenue,
                                            &sac_layout_shanghaitech, &sac_layout_ubnormal,
                                            &sac_layout_mirror,       &sac_layout_generic};
enum { LAYOUTS = sizeof layouts / sizeof *layouts, SUBFOLDERS = 256 };

static void free_builder(sac_builder *b) {
    sac_free(b->test_folder);
    sac_free(b->label_place);
    sac_dataset_close(&b->set);
}

// Splits "ucsd:DIR"; *layout NULL for auto.
static const char *split_prefix(const sac_layout **layout, const char *path) {
    *layout = NULL;
    if (strncmp(path, "auto:", 5) == 0) return path + 5;
    for (int i = 0; i < LAYOUTS; i++) {
        size_t n = strlen(layouts[i]->name);
        if (strncmp(path, layouts[i]->name, n) == 0 && path[n] == ':') {
            *layout = layouts[i];
            return path + n + 1;
        }
    }
    return path;
}

// The clips of one layout in `root`; b->set NULL when there are none.
static sac_status try_layout(sac_builder *b, const sac_layout *layout, const char *root) {
    sac_status status = SAC_OK;
    SAC_TRY_ALLOC(b->set = sac_calloc(1, sizeof *b->set));
    SAC_TRY_ALLOC(b->set->path = sac_strdup(root));
    SAC_TRY(layout->find(b));
    if (b->set->count == 0) {
        free_builder(b);
        b->test_folder = b->label_place = NULL;
    }
fail:
    return status;
}

// The layout of `root`, the forced one or the only one whose structure is there. *found NULL: none.
static sac_status recognise(sac_builder *b, const sac_layout **found, const sac_layout *forced,
                            const char *root) {
    sac_status status = SAC_OK;
    sac_builder other = {.logger = NULL, .error = b->error};
    *found = NULL;
    for (int i = 0; i < LAYOUTS; i++) {
        const sac_layout *layout = layouts[i];
        if (forced != NULL ? layout != forced : *found != NULL && layout == &sac_layout_generic)
            continue;
        if (*found == NULL) {
            SAC_TRY(try_layout(b, layout, root));
            if (b->set != NULL) *found = layout;
            continue;
        }
        SAC_TRY(try_layout(&other, layout, root));
        if (other.set != NULL)
            SAC_TRY(sac_error_set(b->error, SAC_ERROR_FORMAT, -1,
                                  "'%s' holds clips of two layouts, such as '%s' (%s) and '%s' "
                                  "(%s): choose one with %s:DIR or %s:DIR",
                                  root, b->set->clips[0].source, (*found)->name,
                                  other.set->clips[0].source, layout->name, (*found)->name,
                                  layout->name));
    }
fail:
    free_builder(&other);
    return status;
}

// A data set one folder further down, as archives are often unpacked ("Avenue Dataset").
static sac_status recognise_below(sac_builder *b, const sac_layout **found,
                                  const sac_layout *forced, const char *root) {
    sac_status status = SAC_OK;
    char **names = NULL, *path = NULL;
    int64_t count = 0;
    sac_builder other = {.logger = NULL, .error = b->error};
    SAC_TRY(sac_folder_list(&names, &count, root, b->error));
    for (int64_t i = 0; i < count && i < SUBFOLDERS; i++) {
        const sac_layout *second = NULL;
        SAC_TRY_ALLOC(path = sac_path_join(root, names[i]));
        if (sac_is_folder(path)) {
            if (*found == NULL)
                SAC_TRY(recognise(b, found, forced, path));
            else
                SAC_TRY(recognise(&other, &second, forced, path));
        }
        if (second != NULL)
            SAC_TRY(
                sac_error_set(b->error, SAC_ERROR_FORMAT, -1,
                              "'%s' holds several data sets, '%s' and '%s' among them: name one",
                              root, b->set->path, path));
        sac_free(path);
        path = NULL;
    }
    if (*found != NULL) sac_builder_log(b, SAC_LOG_INFO, "the data set is in '%s'", b->set->path);
fail:
    free_builder(&other);
    sac_free(path);
    sac_free(names);
    return status;
}

static sac_status nothing_found(const char *path, const sac_layout *forced, sac_error *error) {
    char wanted[800] = "";
    size_t used = 0;
    for (int i = 0; i < LAYOUTS && used < sizeof wanted; i++)
        if (forced == NULL || layouts[i] == forced)
            used += (size_t)snprintf(wanted + used, sizeof wanted - used, "%s %s (%s)",
                                     used > 0 ? ";" : "", layouts[i]->structure, layouts[i]->name);
    return sac_error_set(error, SAC_ERROR_FORMAT, -1, "'%s' holds no clips; looked for%s", path,
                         wanted);
}

static sac_status name_set(sac_dataset *set, const sac_layout *layout) {
    sac_status status = SAC_OK;
    char *real = realpath(set->path, NULL);
    const char *slash = strrchr(real != NULL ? real : set->path, '/');
    set->name = sac_strdup(slash != NULL && slash[1] != 0 ? slash + 1 : set->path);
    set->layout = sac_strdup(layout->name);
    SAC_TRY_ALLOC(set->name);
    SAC_TRY_ALLOC(set->layout);
fail:
    free(real);
    return status;
}

sac_status sac_dataset_open(sac_dataset **dataset, const char *path, const sac_logger *logger,
                            sac_error *error) {
    sac_status status = SAC_OK;
    sac_builder b = {.logger = logger, .error = error};
    const sac_layout *forced = NULL, *layout = NULL;
    const char *given = split_prefix(&forced, path);
    char *root = NULL;
    struct stat info;
    *dataset = NULL;
    if (stat(given, &info) != 0)
        SAC_TRY(
            sac_error_set(error, SAC_ERROR_IO, -1, "data set '%s': %s", given, strerror(errno)));
    if (!S_ISDIR(info.st_mode))
        SAC_TRY(sac_error_set(error, SAC_ERROR_IO, -1, "data set '%s' is not a folder", given));
    SAC_TRY_ALLOC(root = sac_strdup(given));
    for (size_t n = strlen(root); n > 1 && root[n - 1] == '/'; n--) root[n - 1] = 0;
    SAC_TRY(recognise(&b, &layout, forced, root));
    if (layout == NULL) SAC_TRY(recognise_below(&b, &layout, forced, root));
    if (layout == NULL) SAC_TRY(nothing_found(root, forced, error));
    SAC_TRY(name_set(b.set, layout));
    SAC_TRY(count_frames(&b));
    SAC_TRY(measure_first_frame(&b));
    SAC_TRY(layout->label(&b));
    SAC_TRY(consult_masks(&b));
    *dataset = b.set;
    b.set = NULL;
fail:
    if (status == SAC_ERROR_MEMORY)
        sac_error_set(error, status, -1, "data set '%s': out of memory", path);
    free_builder(&b);
    sac_free(root);
    return status;
}

const sac_clip *sac_dataset_find(const sac_dataset *dataset, const char *name) {
    for (int64_t i = 0; i < dataset->count; i++)
        if (strcmp(dataset->clips[i].name, name) == 0) return &dataset->clips[i];
    return NULL;
}

void sac_dataset_close(sac_dataset **dataset) {
    if (dataset == NULL || *dataset == NULL) return;
    sac_dataset *set = *dataset;
    for (int64_t i = 0; i < set->count; i++) {
        sac_free(set->clips[i].name);
        sac_free(set->clips[i].source);
        sac_free(set->clips[i].mask_path);
        sac_free(set->clips[i].objects);
        sac_free(set->clips[i].labels);
    }
    sac_free(set->clips);
    sac_free(set->path);
    sac_free(set->name);
    sac_free(set->layout);
    sac_free(set);
    *dataset = NULL;
}
