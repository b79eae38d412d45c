// Resolves and checks output names. Opens nothing for good: writers are opened when their source
// begins.
#include "student/output_names.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/check.h"
#include "core/file.h"
#include "core/memory.h"

static const struct {
    const char *option, *ending;
    bool text; // may go to standard output
} kinds[SAC_OUTPUT_COUNT] = {
    [SAC_OUTPUT_CSV] = {"csv", "csv", true},
    [SAC_OUTPUT_JSONL] = {"jsonl", "jsonl", true},
    [SAC_OUTPUT_MAPS] = {"maps", "npy", false},
    [SAC_OUTPUT_OVERLAY] = {"overlay", "mp4", false},
    [SAC_OUTPUT_REPORT] = {"report", "html", false},
};

const char *sac_output_option(sac_output_kind kind) {
    return kinds[kind].option;
}

// Bytes from 128 on are letters of other alphabets: videos that differ in these alone need files of
// their own.
static bool is_plain(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-' || (unsigned char)c >= 128;
}

char *sac_output_source_name(const char *source) {
    size_t end = strlen(source);
    while (end > 1 && source[end - 1] == '/') end--;
    size_t start = end;
    while (start > 0 && source[start - 1] != '/') start--;
    const bool folder = sac_is_folder(source);
    // A pattern's own name says nothing; the folder it lies in does.
    if (!folder && !sac_is_file(source) &&
        (memchr(source + start, '%', end - start) != NULL ||
         memchr(source + start, '*', end - start) != NULL)) {
        end = start > 0 ? start - 1 : 0;
        start = end;
        while (start > 0 && source[start - 1] != '/') start--;
    } else if (!folder) {
        for (size_t i = end; i > start + 1; i--) {
            if (source[i - 1] == '.') {
                end = i - 1;
                break;
            }
        }
    }
    char *name = sac_format("%.*s", (int)(end - start), source + start);
    if (name == NULL) return NULL;
    bool telling = false;
    for (char *c = name; *c != '\0'; c++) {
        telling = telling || (is_plain(*c) && *c != '.');
        if (!is_plain(*c)) *c = '_';
    }
    // "." or "/" would give hidden or impossible file names.
    if (telling && name[0] != '.') return name;
    sac_free(name);
    return sac_strdup("source");
}

static char *replace_all(const char *pattern, const char *name) {
    size_t count = 0, length = strlen(name);
    for (const char *at = strstr(pattern, "{}"); at != NULL; at = strstr(at + 2, "{}")) count++;
    char *out = sac_calloc((int64_t)(strlen(pattern) + count * length + 1), 1);
    if (out == NULL) return NULL;
    char *to = out;
    for (const char *from = pattern; *from != '\0';) {
        if (from[0] == '{' && from[1] == '}') {
            memcpy(to, name, length);
            to += length;
            from += 2;
        } else {
            *to++ = *from++;
        }
    }
    *to = '\0';
    return out;
}

static sac_status resolve_one(char **path, const char *pattern, sac_output_kind kind,
                              const char *name, int64_t sources, sac_error *error) {
    sac_status status = SAC_OK;
    char *file = NULL;
    size_t length = strlen(pattern);
    if (length == 0) {
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1, "--%s: the file name is empty",
                             kinds[kind].option);
    }
    if (strcmp(pattern, "-") == 0) {
        if (!kinds[kind].text) {
            return sac_error_set(
                error, SAC_ERROR_ARGUMENT, -1,
                "--%s: cannot be written to standard output, a file name was expected",
                kinds[kind].option);
        }
        *path = sac_strdup("-");
    } else if (strstr(pattern, "{}") != NULL) {
        *path = replace_all(pattern, name);
    } else if (pattern[length - 1] == '/' || sac_is_folder(pattern)) {
        SAC_TRY(sac_folder_create(pattern, error));
        file = sac_format("%s.%s", name, kinds[kind].ending);
        SAC_TRY_ALLOC(file);
        *path = sac_path_join(pattern, file);
    } else if (sources > 1) {
        return sac_error_set(
            error, SAC_ERROR_ARGUMENT, -1,
            "--%s %s: %lld sources need a file each; write {} where the source's name shall "
            "stand, or name a folder",
            kinds[kind].option, pattern, (long long)sources);
    } else {
        *path = sac_strdup(pattern);
    }
    SAC_TRY_ALLOC(*path);
fail:
    sac_free(file);
    return status;
}

// The path with its folder resolved, so that "a.csv" and "./a.csv" compare equal. The folder must
// exist.
static char *canonical(const char *path) {
    char *whole = realpath(path, NULL); // allocated with malloc
    if (whole != NULL) {
        char *copy = sac_strdup(whole);
        free(whole);
        return copy;
    }
    const char *slash = strrchr(path, '/');
    char *folder = slash == NULL   ? sac_strdup(".")
                   : slash == path ? sac_strdup("/")
                                   : sac_format("%.*s", (int)(slash - path), path);
    if (folder == NULL) return NULL;
    char *resolved = realpath(folder, NULL);
    char *out =
        sac_path_join(resolved != NULL ? resolved : folder, slash == NULL ? path : slash + 1);
    free(resolved);
    sac_free(folder);
    return out;
}

// Creates the temporary of the final file and removes it again: a wrong folder or missing rights
// show at once.
static sac_status check_writable(const char *path, sac_error *error) {
    struct stat info;
    // Opening a pipe would wait for its reader, so special files are left to the run itself.
    if (stat(path, &info) == 0 && !S_ISREG(info.st_mode) && !S_ISDIR(info.st_mode)) return SAC_OK;
    sac_file_writer *writer = NULL;
    sac_status status = sac_file_writer_open(&writer, path, error);
    sac_file_writer_close(&writer);
    return status;
}

static int compare_texts(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

// Two outputs with one name would replace each other.
static sac_status check_distinct(const sac_output_names *names, sac_error *error) {
    sac_status status = SAC_OK;
    int64_t total = names->count * SAC_OUTPUT_COUNT, used = 0;
    int streams = 0;
    char **sorted = sac_calloc(total, sizeof *sorted);
    SAC_TRY_ALLOC(sorted);
    for (int64_t i = 0; i < total; i++) {
        if (names->paths[i] == NULL) continue;
        if (strcmp(names->paths[i], "-") == 0) {
            streams +=
                i < SAC_OUTPUT_COUNT; // the kinds of the first source; every source has the same
            continue;
        }
        // Two kinds may both be sent to a device such as /dev/null.
        struct stat info;
        if (stat(names->paths[i], &info) == 0 && !S_ISREG(info.st_mode)) continue;
        sorted[used] = canonical(names->paths[i]);
        SAC_TRY_ALLOC(sorted[used]);
        used++;
    }
    if (streams > 1) {
        status = sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                               "only one of --csv and --jsonl can go to standard output");
        goto fail;
    }
    if (used > 1) qsort(sorted, (size_t)used, sizeof *sorted, compare_texts);
    for (int64_t i = 1; i < used; i++) {
        if (strcmp(sorted[i - 1], sorted[i]) == 0) {
            status = sac_error_set(
                error, SAC_ERROR_ARGUMENT, -1,
                "two outputs have the same name %s; sources with equal names need separate runs",
                sorted[i]);
            goto fail;
        }
    }
fail:
    for (int64_t i = 0; sorted != NULL && i < used; i++) sac_free(sorted[i]);
    sac_free(sorted);
    return status;
}

sac_status sac_output_names_resolve(sac_output_names *names, const char *const *patterns,
                                    const char *const *sources, int64_t count, const char *model,
                                    sac_error *error) {
    sac_status status = SAC_OK;
    char *name = NULL;
    *names = (sac_output_names){.count = count};
    names->paths = sac_calloc(count * SAC_OUTPUT_COUNT, sizeof *names->paths);
    SAC_TRY_ALLOC(names->paths);
    for (int64_t i = 0; i < count; i++) {
        name = sac_output_source_name(sources[i]);
        SAC_TRY_ALLOC(name);
        for (int kind = 0; kind < SAC_OUTPUT_COUNT; kind++) {
            char **path = &names->paths[i * SAC_OUTPUT_COUNT + kind];
            if (patterns[kind] == NULL) continue;
            SAC_TRY(resolve_one(path, patterns[kind], (sac_output_kind)kind, name, count, error));
            if (strcmp(*path, "-") == 0) continue;
            for (int64_t j = 0; j <= count; j++)
                SAC_TRY(sac_file_check_kept(j < count ? sources[j] : model, *path,
                                            kinds[kind].option, error));
            SAC_TRY(check_writable(*path, error));
        }
        sac_free(name);
        name = NULL;
    }
    SAC_TRY(check_distinct(names, error));
    return SAC_OK;
fail:
    sac_free(name);
    sac_output_names_close(names);
    return sac_error_set(error, status, -1, "output names: %s", sac_status_name(status));
}

const char *sac_output_names_get(const sac_output_names *names, int64_t source,
                                 sac_output_kind kind) {
    return names->paths[source * SAC_OUTPUT_COUNT + kind];
}

void sac_output_names_close(sac_output_names *names) {
    for (int64_t i = 0; names->paths != NULL && i < names->count * SAC_OUTPUT_COUNT; i++) {
        sac_free(names->paths[i]);
    }
    sac_free(names->paths);
    *names = (sac_output_names){0};
}
