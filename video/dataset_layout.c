// Helpers of the layouts: names, folders, clips, and which label belongs to which clip. Knows no
// layout.
#include "video/dataset_layout.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/check.h"
#include "core/file.h"
#include "core/memory.h"

void sac_builder_log(const sac_builder *b, sac_log_level level, const char *format, ...) {
    char message[1024];
    va_list arguments;
    if (b->logger == NULL || b->logger->write == NULL) return;
    va_start(arguments, format);
    (void)vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    b->logger->write(b->logger->user, level, message);
}

bool sac_has_ending(const char *name, const char *ending) {
    const char *dot = strrchr(name, '.');
    return dot != NULL && strcasecmp(dot + 1, ending) == 0;
}

bool sac_is_video_name(const char *name) {
    static const char *const endings[] = {
        "avi", "mp4",  "mkv", "mov",  "m4v", "mpg",   "mpeg", "wmv", "webm", "flv", "ts",  "mts",
        "3gp", "h264", "264", "hevc", "265", "mjpeg", "mjpg", "y4m", "ogv",  "vob", "asf", "m2ts"};
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++)
        if (sac_has_ending(name, endings[i])) return true;
    return false;
}

bool sac_is_numbered(const char *name, const char *prefix) {
    size_t n = strlen(prefix);
    if (strncasecmp(name, prefix, n) != 0 || name[n] == 0) return false;
    for (const char *p = name + n; *p != 0; p++)
        if (!isdigit((unsigned char)*p)) return false;
    return true;
}

int64_t sac_number_in(const char *name) {
    const char *end = name + strlen(name);
    while (end > name && !isdigit((unsigned char)end[-1])) end--;
    const char *start = end;
    while (start > name && isdigit((unsigned char)start[-1])) start--;
    if (start == end || end - start > 9) return -1;
    int64_t number = 0;
    for (; start < end; start++) number = 10 * number + (*start - '0');
    return number;
}

sac_status sac_find_child(char **path, const char *folder, const char *const *wanted, int count,
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

sac_status sac_find_one(char **path, const char *folder, const char *wanted, bool is_folder,
                        sac_error *error) {
    return sac_find_child(path, folder, &wanted, 1, is_folder, error);
}

sac_status sac_find_file(char **path, const char *folder, const char *name, const char *endings) {
    *path = NULL;
    for (const char *at = endings; *at != '\0';) {
        const int length = (int)strcspn(at, " ");
        *path = sac_format("%s/%s.%.*s", folder, name, length, at);
        if (*path == NULL) return SAC_ERROR_MEMORY;
        if (sac_is_file(*path)) return SAC_OK;
        sac_free(*path);
        *path = NULL;
        at += length;
        while (*at == ' ') at++;
    }
    return SAC_OK;
}

const char *sac_last_component(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

char *sac_without_ending(const char *name) {
    const char *dot = strrchr(name, '.');
    return sac_format("%.*s", (int)(dot != NULL ? dot - name : (ptrdiff_t)strlen(name)), name);
}

char *sac_parent_of(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash != NULL ? sac_format("%.*s", (int)(slash - path), path) : sac_strdup(".");
}

char *sac_clip_file_name(const sac_clip *clip) {
    const char *name = sac_last_component(clip->source);
    return sac_is_folder(clip->source) ? sac_strdup(name) : sac_without_ending(name);
}

sac_status sac_builder_add(sac_builder *b, const char *name, const char *source, bool test) {
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

// What lies beside clips without being one.
static bool is_side_folder(const char *name) {
    static const char *const known[] = {"labels", "masks", "gt", "test_frame_mask",
                                        "test_pixel_mask"};
    size_t n = strlen(name);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcasecmp(name, known[i]) == 0) return true;
    return n > 3 && strcasecmp(name + n - 3, "_gt") == 0;
}

sac_status sac_builder_add_folder(sac_builder *b, const char *folder, bool test) {
    sac_status status = SAC_OK;
    char **names = NULL, *path = NULL, *name = NULL;
    int64_t count = 0;
    SAC_TRY(sac_folder_list(&names, &count, folder, b->error));
    for (int64_t i = 0; i < count; i++) {
        path = sac_path_join(folder, names[i]);
        SAC_TRY_ALLOC(path);
        bool is_folder = sac_is_folder(path);
        if ((is_folder && !is_side_folder(names[i])) ||
            (sac_is_file(path) && sac_is_video_name(names[i]))) {
            name = is_folder ? sac_strdup(names[i]) : sac_without_ending(names[i]);
            SAC_TRY_ALLOC(name);
            SAC_TRY(sac_builder_add(b, name, path, test));
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
    return status;
}

static int by_name(const void *a, const void *b) {
    const sac_clip *p = *(const sac_clip *const *)a, *q = *(const sac_clip *const *)b;
    return strcmp(p->name, q->name);
}

sac_status sac_builder_make_unique(sac_builder *b) {
    sac_status status = SAC_OK;
    sac_dataset *set = b->set;
    bool shared = false;
    const sac_clip **sorted = sac_calloc(set->count, sizeof *sorted);
    SAC_TRY_ALLOC(sorted);
    for (int64_t i = 0; i < set->count; i++) sorted[i] = &set->clips[i];
    if (set->count > 1) qsort(sorted, (size_t)set->count, sizeof *sorted, by_name);
    // Of one name there are at most one clip in each half; with a third, two of a half.
    for (int64_t i = 0; i < set->count; i++)
        for (int64_t j = i + 1; j < set->count && strcmp(sorted[i]->name, sorted[j]->name) == 0;
             j++) {
            const sac_clip *p = sorted[i] < sorted[j] ? sorted[i] : sorted[j],
                           *q = sorted[i] < sorted[j] ? sorted[j] : sorted[i];
            if (p->test == q->test)
                SAC_TRY(sac_error_set(b->error, SAC_ERROR_FORMAT, -1,
                                      "'%s' and '%s' are both clip '%s'", p->source, q->source,
                                      p->name));
            shared = true;
        }
    for (int64_t i = 0; i < set->count && shared; i++) {
        char *name = sac_format("%s_%s", set->clips[i].test ? "test" : "train", set->clips[i].name);
        SAC_TRY_ALLOC(name);
        sac_free(set->clips[i].name);
        set->clips[i].name = name;
    }
fail:
    sac_free(sorted);
    return status;
}

sac_status sac_builder_match(sac_builder *b, int64_t *index, int64_t entries, const char *path) {
    sac_status status = SAC_OK;
    const sac_dataset *set = b->set;
    const sac_clip *tests = set->clips + set->train_count;
    const int64_t count = set->count - set->train_count;
    bool numbered = entries > count; // a file of fewer entries than clips cannot be complete
    for (int64_t i = 0; i < count; i++) index[i] = i;
    if (entries == count) return SAC_OK;
    for (int64_t i = 0; i < count && numbered; i++) {
        char *name = sac_clip_file_name(&tests[i]);
        SAC_TRY_ALLOC(name);
        index[i] = sac_number_in(name) - 1;
        sac_free(name);
        numbered = index[i] >= 0 && index[i] < entries && (i == 0 || index[i] > index[i - 1]);
    }
    if (numbered) {
        sac_builder_log(b, SAC_LOG_INFO,
                        "'%s' holds %lld entries for %lld test clips: taken by the clips' numbers",
                        path, (long long)entries, (long long)count);
        return SAC_OK;
    }
    if (entries < count)
        SAC_TRY(sac_error_set(
            b->error, SAC_ERROR_FORMAT, entries,
            "clip '%s' has no frame ranges: '%s' holds %lld entries for %lld test clips",
            tests[entries].name, path, (long long)entries, (long long)count));
    SAC_TRY(sac_error_set(
        b->error, SAC_ERROR_FORMAT, entries,
        "'%s' holds %lld entries, but clip '%s' is the last of only %lld test clips, whose numbers "
        "do not tell which entries are theirs",
        path, (long long)entries, tests[count - 1].name, (long long)count));
fail:
    return status;
}

sac_status sac_clip_clear_labels(sac_clip *clip) {
    if (clip->labels == NULL) clip->labels = sac_calloc(clip->frames, 1);
    return clip->labels != NULL ? SAC_OK : SAC_ERROR_MEMORY;
}
