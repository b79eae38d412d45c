// Finds the clips of a data set by the folder structure, counts their frames and brings labels and
// masks to them. Reads pixels only to count frames of video files and to compare masks with labels.
#include "video/dataset.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <libavutil/mem.h>
#include <libavutil/sha.h>

#include "core/check.h"
#include "core/csv.h"
#include "core/file.h"
#include "core/memory.h"
#include "core/ranges.h"
#include "saccade/video.h"
#include "video/labels.h"
#include "video/pictures.h"
#include "video/source.h"

#define HALF_NAMES 4
static const char *const train_names[HALF_NAMES] = {"train", "training", "train_videos",
                                                    "training_videos"};
static const char *const test_names[HALF_NAMES] = {"test", "testing", "test_videos",
                                                   "testing_videos"};

// A data set while it is being opened.
typedef struct builder {
    sac_dataset *set;
    int64_t capacity;
    const sac_logger *logger;
    sac_error *error;
} builder;

__attribute__((format(printf, 3, 4))) static void log_message(const sac_logger *logger,
                                                              sac_log_level level,
                                                              const char *format, ...) {
    char message[1024];
    va_list arguments;
    if (logger == NULL || logger->write == NULL) return;
    va_start(arguments, format);
    (void)vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    logger->write(logger->user, level, message);
}

static bool has_ending(const char *name, const char *const *endings, size_t count) {
    const char *dot = strrchr(name, '.');
    for (size_t i = 0; dot != NULL && i < count; i++)
        if (strcasecmp(dot + 1, endings[i]) == 0) return true;
    return false;
}

static bool is_video_name(const char *name) {
    static const char *const endings[] = {
        "avi", "mp4",  "mkv", "mov",  "m4v", "mpg",   "mpeg", "wmv", "webm", "flv", "ts",  "mts",
        "3gp", "h264", "264", "hevc", "265", "mjpeg", "mjpg", "y4m", "ogv",  "vob", "asf", "m2ts"};
    return has_ending(name, endings, sizeof endings / sizeof *endings);
}

// "train" and digits, in any case.
static bool is_numbered(const char *name, const char *prefix) {
    size_t n = strlen(prefix);
    if (strncasecmp(name, prefix, n) != 0 || name[n] == 0) return false;
    for (const char *p = name + n; *p != 0; p++)
        if (!isdigit((unsigned char)*p)) return false;
    return true;
}

// Path of the first child of `folder` whose name equals one of `wanted` in any case; *path NULL
// when there is none.
static sac_status find_child(char **path, const char *folder, const char *const *wanted, int count,
                             bool is_folder, sac_error *error) {
    sac_status status = SAC_OK;
    char **names = NULL;
    int64_t names_count = 0;
    *path = NULL;
    SAC_TRY(sac_folder_list(&names, &names_count, folder, error));
    for (int w = 0; w < count && *path == NULL; w++)
        for (int64_t i = 0; i < names_count && *path == NULL; i++) {
            if (strcasecmp(names[i], wanted[w]) != 0) continue;
            *path = sac_path_join(folder, names[i]);
            SAC_TRY_ALLOC(*path);
            if (is_folder ? !sac_is_folder(*path) : !sac_is_file(*path)) {
                sac_free(*path);
                *path = NULL;
            }
        }
fail:
    sac_free(names);
    return status;
}

static sac_status find_one(char **path, const char *folder, const char *wanted, bool is_folder,
                           sac_error *error) {
    return find_child(path, folder, &wanted, 1, is_folder, error);
}

// Clips
// -------------------------------------------------------------------------------------------------

static sac_status add_clip(builder *b, const char *name, const char *source, bool test) {
    sac_status status = SAC_OK;
    sac_dataset *set = b->set;
    if (set->count == b->capacity) {
        int64_t capacity = b->capacity > 0 ? 2 * b->capacity : 32;
        sac_clip *clips = sac_recalloc(set->clips, b->capacity, capacity, sizeof *clips);
        SAC_TRY_ALLOC(clips);
        set->clips = clips;
        b->capacity = capacity;
    }
    sac_clip *clip = &set->clips[set->count++];
    *clip = (sac_clip){.test = test};
    if (!test) set->train_count = set->count;
    clip->name = sac_strdup(name);
    clip->source = sac_strdup(source);
    SAC_TRY_ALLOC(clip->name);
    SAC_TRY_ALLOC(clip->source);
fail:
    return status;
}

// Adds TrainNNN or TestNNN folders of `folder`.
static sac_status add_ucsd_half(builder *b, const char *folder, const char *prefix, bool test) {
    sac_status status = SAC_OK;
    char **names = NULL, *path = NULL, *mask_name = NULL;
    int64_t count = 0;
    SAC_TRY(sac_folder_list(&names, &count, folder, b->error));
    for (int64_t i = 0; i < count; i++) {
        if (!is_numbered(names[i], prefix)) continue;
        path = sac_path_join(folder, names[i]);
        SAC_TRY_ALLOC(path);
        if (sac_is_folder(path)) {
            SAC_TRY(add_clip(b, names[i], path, test));
            mask_name = sac_format("%s_gt", names[i]);
            SAC_TRY_ALLOC(mask_name);
            if (test)
                SAC_TRY(find_one(&b->set->clips[b->set->count - 1].mask_folder, folder, mask_name,
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

static sac_status add_ucsd(builder *b, char **test_folder) {
    sac_status status = SAC_OK;
    char *train = NULL;
    SAC_TRY(find_one(&train, b->set->path, "train", true, b->error));
    SAC_TRY(find_one(test_folder, b->set->path, "test", true, b->error));
    if (train != NULL) SAC_TRY(add_ucsd_half(b, train, "train", false));
    if (*test_folder != NULL) SAC_TRY(add_ucsd_half(b, *test_folder, "test", true));
fail:
    sac_free(train);
    return status;
}

// What lies beside clips without being one.
static bool is_side_folder(const char *name) {
    static const char *const known[] = {"labels", "masks", "gt", "test_frame_mask",
                                        "test_pixel_mask"};
    size_t n = strlen(name);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcasecmp(name, known[i]) == 0) return true;
    return n > 3 && strcasecmp(name + n - 3, "_gt") == 0;
}

static char *without_ending(const char *name) {
    const char *dot = strrchr(name, '.');
    return sac_format("%.*s", (int)(dot != NULL ? dot - name : (ptrdiff_t)strlen(name)), name);
}

static sac_status add_generic_half(builder *b, const char *half, bool test) {
    sac_status status = SAC_OK;
    static const char *const inner[] = {"videos", "frames"};
    char **names = NULL, *folder = NULL, *path = NULL, *name = NULL;
    int64_t count = 0;
    SAC_TRY(find_child(&folder, half, inner, 2, true, b->error));
    if (folder == NULL) folder = sac_strdup(half);
    SAC_TRY_ALLOC(folder);
    SAC_TRY(sac_folder_list(&names, &count, folder, b->error));
    for (int64_t i = 0; i < count; i++) {
        path = sac_path_join(folder, names[i]);
        SAC_TRY_ALLOC(path);
        bool is_folder = sac_is_folder(path);
        if ((is_folder && !is_side_folder(names[i])) ||
            (sac_is_file(path) && is_video_name(names[i]))) {
            name = is_folder ? sac_strdup(names[i]) : without_ending(names[i]);
            SAC_TRY_ALLOC(name);
            SAC_TRY(add_clip(b, name, path, test));
            sac_free(name);
            name = NULL;
        }
        sac_free(path);
        path = NULL;
    }
fail:
    sac_free(name);
    sac_free(path);
    sac_free(names);
    sac_free(folder);
    return status;
}

static sac_status add_generic(builder *b, char **test_folder) {
    sac_status status = SAC_OK;
    char *train = NULL;
    SAC_TRY(find_child(&train, b->set->path, train_names, HALF_NAMES, true, b->error));
    SAC_TRY(find_child(test_folder, b->set->path, test_names, HALF_NAMES, true, b->error));
    if (train != NULL) SAC_TRY(add_generic_half(b, train, false));
    if (*test_folder != NULL) SAC_TRY(add_generic_half(b, *test_folder, true));
fail:
    sac_free(train);
    return status;
}

// Two clips of one half must not share a name; where the halves do, each name gets its half in
// front.
static sac_status make_names_unique(builder *b) {
    sac_status status = SAC_OK;
    sac_dataset *set = b->set;
    bool shared = false;
    for (int64_t i = 0; i < set->count; i++)
        for (int64_t j = i + 1; j < set->count; j++) {
            if (strcmp(set->clips[i].name, set->clips[j].name) != 0) continue;
            if (set->clips[i].test == set->clips[j].test)
                SAC_TRY(sac_error_set(b->error, SAC_ERROR_FORMAT, -1,
                                      "'%s' and '%s' are both clip '%s'", set->clips[i].source,
                                      set->clips[j].source, set->clips[i].name));
            shared = true;
        }
    for (int64_t i = 0; i < set->count && shared; i++) {
        char *name = sac_format("%s_%s", set->clips[i].test ? "test" : "train", set->clips[i].name);
        SAC_TRY_ALLOC(name);
        sac_free(set->clips[i].name);
        set->clips[i].name = name;
    }
fail:
    return status;
}

// Name of the clip as its files have it.
static char *file_name_of(const sac_clip *clip) {
    const char *slash = strrchr(clip->source, '/');
    const char *name = slash != NULL ? slash + 1 : clip->source;
    return sac_is_folder(clip->source) ? sac_strdup(name) : without_ending(name);
}

// Labels
// -------------------------------------------------------------------------------------------------

static sac_status find_range_file(char **path, const char *folder, sac_error *error) {
    sac_status status = SAC_OK;
    static const char *const endings[] = {"m"};
    char **names = NULL;
    int64_t count = 0;
    *path = NULL;
    SAC_TRY(sac_folder_list(&names, &count, folder, error));
    for (int64_t i = 0; i < count; i++) {
        if (!has_ending(names[i], endings, 1)) continue;
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

static sac_status read_ranges(builder *b, const char *test_folder) {
    sac_status status = SAC_OK;
    sac_dataset *set = b->set;
    sac_clip *tests = set->clips + set->train_count;
    int64_t test_count = set->count - set->train_count, count = 0, entries = 0;
    sac_range *ranges = NULL;
    char *path = NULL;
    if (test_folder == NULL || test_count == 0) return SAC_OK;
    SAC_TRY(find_range_file(&path, test_folder, b->error));
    if (path == NULL) SAC_TRY(find_range_file(&path, set->path, b->error));
    if (path == NULL) return SAC_OK;
    SAC_TRY(sac_ranges_read(&ranges, &count, &entries, path, b->error));
    if (entries < test_count)
        SAC_TRY(sac_error_set(
            b->error, SAC_ERROR_FORMAT, entries,
            "clip '%s' has no frame ranges: '%s' holds %lld entries for %lld test clips",
            tests[entries].name, path, (long long)entries, (long long)test_count));
    if (entries > test_count)
        SAC_TRY(sac_error_set(
            b->error, SAC_ERROR_FORMAT, entries,
            "'%s' holds %lld entries, but clip '%s' is the last of only %lld test clips", path,
            (long long)entries, tests[test_count - 1].name, (long long)test_count));
    for (int64_t i = 0; i < test_count; i++) {
        tests[i].labels = sac_calloc(tests[i].frames, 1);
        SAC_TRY_ALLOC(tests[i].labels);
    }
    for (int64_t i = 0; i < count; i++)
        SAC_TRY(sac_labels_mark(&tests[ranges[i].clip], ranges[i].first, ranges[i].last, path, 0,
                                b->error));
fail:
    sac_free(ranges);
    sac_free(path);
    return status;
}

// First existing file FOLDER[/SUB]/NAME.txt or .npy.
static sac_status find_label_file(char **path, const char *folder, const char *sub,
                                  const char *name) {
    static const char *const endings[] = {"txt", "npy"};
    for (int i = 0; i < 2; i++) {
        *path = sac_format("%s%s%s/%s.%s", folder, sub != NULL ? "/" : "", sub != NULL ? sub : "",
                           name, endings[i]);
        if (*path == NULL) return SAC_ERROR_MEMORY;
        if (sac_is_file(*path)) return SAC_OK;
        sac_free(*path);
        *path = NULL;
    }
    return SAC_OK;
}

static char *parent_of(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash != NULL ? sac_format("%.*s", (int)(slash - path), path) : sac_strdup(".");
}

static sac_status read_clip_labels(builder *b, sac_clip *clip, const char *test_folder) {
    sac_status status = SAC_OK;
    char *path = NULL, *name = file_name_of(clip), *beside = parent_of(clip->source);
    SAC_TRY_ALLOC(name);
    SAC_TRY_ALLOC(beside);
    const char *places[][2] = {{beside, NULL},
                               {test_folder, NULL},
                               {test_folder, "labels"},
                               {test_folder, "test_frame_mask"},
                               {b->set->path, "labels"}};
    for (size_t i = 0; i < sizeof places / sizeof *places && path == NULL; i++)
        SAC_TRY(find_label_file(&path, places[i][0], places[i][1], name));
    if (path != NULL) SAC_TRY(sac_labels_read(&clip->labels, path, clip, b->error));
fail:
    sac_free(path);
    sac_free(name);
    sac_free(beside);
    return status;
}

static sac_status find_masks(builder *b, sac_clip *clip, const char *test_folder) {
    sac_status status = SAC_OK;
    char *name = file_name_of(clip), *beside = parent_of(clip->source);
    SAC_TRY_ALLOC(name);
    SAC_TRY_ALLOC(beside);
    for (int i = 0; i < 3 && clip->mask_folder == NULL; i++) {
        char *path = i == 0   ? sac_format("%s/%s_gt", beside, name)
                     : i == 1 ? sac_format("%s/masks/%s", test_folder, name)
                              : sac_format("%s/masks/%s", b->set->path, name);
        SAC_TRY_ALLOC(path);
        if (sac_is_folder(path))
            clip->mask_folder = path;
        else
            sac_free(path);
    }
fail:
    sac_free(name);
    sac_free(beside);
    return status;
}

static sac_clip *find_test_clip(builder *b, const char *video) {
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
static sac_status read_label_table(builder *b, const char *test_folder) {
    sac_status status = SAC_OK;
    sac_dataset *set = b->set;
    sac_csv *csv = NULL;
    char *path = NULL;
    bool *own = NULL;
    SAC_TRY(find_one(&path, set->path, "labels.csv", false, b->error));
    if (path == NULL) SAC_TRY(find_one(&path, test_folder, "labels.csv", false, b->error));
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

// Takes the labels from the masks where there are none, and compares them where there are.
static sac_status consult_masks(builder *b) {
    sac_status status = SAC_OK;
    uint8_t *labels = NULL;
    for (int64_t i = b->set->train_count; i < b->set->count; i++) {
        sac_clip *clip = &b->set->clips[i];
        if (clip->mask_folder == NULL) continue;
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
            log_message(b->logger, SAC_LOG_WARNING,
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

static sac_status count_video(sac_clip *clip, struct AVSHA *sha, sac_error *error) {
    struct stat info;
    sac_status status = sac_video_count_frames(clip->source, &clip->frames, NULL, NULL, error);
    if (status < 0) return status;
    if (stat(clip->source, &info) != 0)
        return sac_error_set(error, SAC_ERROR_IO, -1, "'%s': %s", clip->source, strerror(errno));
    hash_number(sha, clip->frames);
    hash_number(sha, info.st_size);
    return SAC_OK;
}

static sac_status count_frames(builder *b) {
    sac_status status = SAC_OK;
    sac_dataset *set = b->set;
    struct AVSHA *sha = av_sha_alloc();
    int64_t videos = 0;
    SAC_TRY_ALLOC(sha);
    (void)av_sha_init(sha, 256);
    hash_text(sha, set->layout);
    for (int64_t i = 0; i < set->count; i++) videos += !sac_is_folder(set->clips[i].source);
    if (videos > 0)
        log_message(b->logger, SAC_LOG_INFO,
                    "'%s': decoding %lld video files to count their frames", set->path,
                    (long long)videos);
    for (int64_t i = 0; i < set->count; i++) {
        sac_clip *clip = &set->clips[i];
        hash_text(sha, clip->test ? "test" : "train");
        hash_text(sha, clip->name);
        if (sac_is_folder(clip->source))
            SAC_TRY(count_pictures(clip, sha, b->error));
        else
            SAC_TRY(count_video(clip, sha, b->error));
    }
    uint8_t digest[32];
    av_sha_final(sha, digest);
    for (int i = 0; i < 32; i++) (void)snprintf(set->fingerprint + 2 * i, 3, "%02x", digest[i]);
fail:
    av_free(sha);
    return status;
}

static sac_status measure_first_frame(builder *b) {
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

// Splits "ucsd:DIR" and sets path and name.
static sac_status resolve_path(builder *b, const char **layout, const char *path) {
    sac_status status = SAC_OK;
    sac_dataset *set = b->set;
    static const char *const layouts[] = {"auto", "ucsd", "generic"};
    char *real = NULL;
    *layout = "auto";
    for (int i = 0; i < 3; i++) {
        size_t n = strlen(layouts[i]);
        if (strncmp(path, layouts[i], n) == 0 && path[n] == ':') {
            *layout = layouts[i];
            path += n + 1;
            break;
        }
    }
    real = realpath(path, NULL);
    if (real == NULL)
        SAC_TRY(sac_error_set(b->error, errno == ENOMEM ? SAC_ERROR_MEMORY : SAC_ERROR_IO, -1,
                              "data set '%s': %s", path, strerror(errno)));
    if (!sac_is_folder(real))
        SAC_TRY(sac_error_set(b->error, SAC_ERROR_IO, -1, "data set '%s' is not a folder", path));
    const char *slash = strrchr(real, '/');
    set->path = sac_strdup(path);
    set->name = sac_strdup(slash != NULL && slash[1] != 0 ? slash + 1 : real);
    SAC_TRY_ALLOC(set->path);
    SAC_TRY_ALLOC(set->name);
    size_t n = strlen(set->path);
    while (n > 1 && set->path[n - 1] == '/') set->path[--n] = 0;
fail:
    free(real);
    return status;
}

sac_status sac_dataset_open(sac_dataset **dataset, const char *path, const sac_logger *logger,
                            sac_error *error) {
    sac_status status = SAC_OK;
    builder b = {.logger = logger, .error = error};
    const char *layout = NULL;
    char *test_folder = NULL;
    *dataset = NULL;
    b.set = sac_calloc(1, sizeof *b.set);
    SAC_TRY_ALLOC(b.set);
    SAC_TRY(resolve_path(&b, &layout, path));
    bool ucsd = false;
    if (strcmp(layout, "generic") != 0) {
        SAC_TRY(add_ucsd(&b, &test_folder));
        ucsd = b.set->count > 0;
    }
    if (!ucsd && strcmp(layout, "ucsd") != 0) {
        sac_free(test_folder);
        test_folder = NULL;
        SAC_TRY(add_generic(&b, &test_folder));
        SAC_TRY(make_names_unique(&b));
    }
    if (b.set->count == 0)
        SAC_TRY(sac_error_set(
            error, SAC_ERROR_FORMAT, -1, "'%s' holds no clips; looked for%s%s%s", b.set->path,
            strcmp(layout, "generic") != 0
                ? " Train/TrainNNN and Test/TestNNN folders of pictures (UCSD)"
                : "",
            strcmp(layout, "auto") == 0 ? " and" : "",
            strcmp(layout, "ucsd") != 0
                ? " train, training, train_videos or training_videos and the same with test, with "
                  "video files or picture folders in it (generic)"
                : ""));
    b.set->layout = sac_strdup(ucsd ? "ucsd" : "generic");
    SAC_TRY_ALLOC(b.set->layout);
    SAC_TRY(count_frames(&b));
    SAC_TRY(measure_first_frame(&b));
    if (ucsd) {
        SAC_TRY(read_ranges(&b, test_folder));
    } else if (test_folder != NULL) {
        for (int64_t i = b.set->train_count; i < b.set->count; i++) {
            SAC_TRY(read_clip_labels(&b, &b.set->clips[i], test_folder));
            SAC_TRY(find_masks(&b, &b.set->clips[i], test_folder));
        }
        SAC_TRY(read_label_table(&b, test_folder));
    }
    SAC_TRY(consult_masks(&b));
    sac_free(test_folder);
    *dataset = b.set;
    return SAC_OK;
fail:
    if (status == SAC_ERROR_MEMORY)
        sac_error_set(error, status, -1, "data set '%s': out of memory", path);
    sac_free(test_folder);
    sac_dataset_close(&b.set);
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
        sac_free(set->clips[i].mask_folder);
        sac_free(set->clips[i].labels);
    }
    sac_free(set->clips);
    sac_free(set->path);
    sac_free(set->name);
    sac_free(set->layout);
    sac_free(set);
    *dataset = NULL;
}
