// Files as wholes: limited reads, atomic writes (temporary name, fsync, rename), folders in natural
// order. No partial reads and no appending: a file that exists under its final name is complete.
#include "core/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/check.h"
#include "core/memory.h"

// strerror without its shared buffer: %m of glibc and musl reads errno itself, so callers pass
// errno along.
static sac_status io_error(sac_error *error, const char *what, const char *path, int code) {
    char text[128];
    errno = code;
    snprintf(text, sizeof text, "%m");
    return sac_error_set(error, SAC_ERROR_IO, -1, "%s: %s: %s", path, what, text);
}

sac_status sac_file_read(uint8_t **data, size_t *size, const char *path, size_t limit,
                         sac_error *error) {
    sac_status status = SAC_OK;
    uint8_t *block = NULL;
    size_t used = 0;
    *data = NULL;
    *size = 0;
    if (path[0] == '\0')
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1, "the input file name is empty");
    // O_NONBLOCK: opening a named pipe without a writer must not hang; it has no effect on regular
    // files.
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file < 0) return io_error(error, "cannot be opened", path, errno);
    struct stat info;
    if (fstat(file, &info) != 0) {
        status = io_error(error, "cannot be examined", path, errno);
        goto fail;
    }
    if (S_ISDIR(info.st_mode)) {
        status =
            sac_error_set(error, SAC_ERROR_IO, -1, "%s: is a folder, a file was expected", path);
        goto fail;
    }
    if (!S_ISREG(info.st_mode)) {
        status = sac_error_set(error, SAC_ERROR_IO, -1, "%s: is not a regular file", path);
        goto fail;
    }
    if (limit > SIZE_MAX / 4) limit = SIZE_MAX / 4;
    if (info.st_size < 0 || (uint64_t)info.st_size > limit) {
        status = sac_error_set(error, SAC_ERROR_FORMAT, -1,
                               "%s: holds %lld bytes, at most %zu are accepted", path,
                               (long long)info.st_size, limit);
        goto fail;
    }
    // The size is only a hint: files of /proc say 0 and other programs may still be writing.
    size_t capacity = (size_t)info.st_size + 1;
    block = sac_calloc((int64_t)capacity + 1, 1);
    if (block == NULL) {
        status = sac_error_set(error, SAC_ERROR_MEMORY, -1, "%s: no memory for %zu bytes", path,
                               capacity);
        goto fail;
    }
    for (;;) {
        ssize_t got = read(file, block + used, capacity - used);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) {
            status = io_error(error, "cannot be read", path, errno);
            goto fail;
        }
        if (got == 0) break;
        used += (size_t)got;
        if (used > limit) {
            status =
                sac_error_set(error, SAC_ERROR_FORMAT, -1, "%s: more than %zu bytes", path, limit);
            goto fail;
        }
        if (used == capacity) {
            size_t larger = capacity < 2048 ? 4096 : capacity * 2;
            uint8_t *grown = sac_recalloc(block, (int64_t)used, (int64_t)larger + 1, 1);
            if (grown == NULL) {
                status = sac_error_set(error, SAC_ERROR_MEMORY, -1, "%s: no memory for %zu bytes",
                                       path, larger);
                goto fail;
            }
            block = grown;
            capacity = larger;
        }
    }
    block[used] = 0;
    close(file);
    *data = block;
    *size = used;
    return SAC_OK;
fail:
    close(file);
    sac_free(block);
    return status;
}

struct sac_file_writer {
    FILE *stream;
    char *path;      // final name; "-" for standard output
    char *temporary; // NULL for standard output and for special files
    bool failed;     // a write failed: commit must not publish the file
};

// Devices and pipes (/dev/null, /dev/full, a fifo) cannot be replaced by a rename: they are written
// directly.
static bool is_special(const char *path) {
    struct stat info;
    return stat(path, &info) == 0 && !S_ISREG(info.st_mode) && !S_ISDIR(info.st_mode);
}

static sac_status open_temporary(sac_file_writer *writer, sac_error *error) {
    static atomic_uint serial;
    mode_t mode = S_IRUSR | S_IWUSR | S_IRGRP | S_IWGRP | S_IROTH | S_IWOTH; // the umask applies
    for (int attempt = 0; attempt < 100; attempt++) {
        sac_free(writer->temporary);
        writer->temporary = sac_format("%s.tmp-%ld-%u", writer->path, (long)getpid(),
                                       atomic_fetch_add(&serial, 1u));
        if (writer->temporary == NULL) {
            return sac_error_set(error, SAC_ERROR_MEMORY, -1, "%s: no memory for its name",
                                 writer->path);
        }
        int file = open(writer->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
        if (file < 0 && errno == EEXIST)
            continue; // left behind by a killed run with our process number
        int code = errno;
        if (file >= 0) {
            writer->stream = fdopen(file, "wb");
            if (writer->stream != NULL) return SAC_OK;
            code = errno;
            close(file);
            unlink(writer->temporary);
        }
        sac_free(writer->temporary);
        writer->temporary = NULL;
        return io_error(error, "cannot be created", writer->path, code);
    }
    sac_free(writer->temporary);
    writer->temporary = NULL;
    return sac_error_set(error, SAC_ERROR_IO, -1,
                         "%s: a hundred abandoned temporaries lie beside it", writer->path);
}

sac_status sac_file_writer_open(sac_file_writer **out, const char *path, sac_error *error) {
    sac_status status = SAC_OK;
    *out = NULL;
    sac_file_writer *writer = sac_calloc(1, sizeof *writer);
    if (writer == NULL) {
        return sac_error_set(error, SAC_ERROR_MEMORY, -1, "%s: no memory for a writer", path);
    }
    writer->path = sac_strdup(path);
    if (writer->path == NULL) {
        status = sac_error_set(error, SAC_ERROR_MEMORY, -1, "%s: no memory for its name", path);
        goto fail;
    }
    if (path[0] == '\0') {
        status = sac_error_set(error, SAC_ERROR_ARGUMENT, -1, "the output file name is empty");
        goto fail;
    }
    if (strcmp(path, "-") == 0) {
        writer->stream = stdout;
    } else if (sac_is_folder(path)) {
        status =
            sac_error_set(error, SAC_ERROR_IO, -1, "%s: is a folder, a file was expected", path);
        goto fail;
    } else if (is_special(path)) {
        writer->stream = fopen(path, "wbe");
        if (writer->stream == NULL) {
            status = io_error(error, "cannot be opened for writing", path, errno);
            goto fail;
        }
    } else {
        SAC_TRY(open_temporary(writer, error));
    }
    *out = writer;
    return SAC_OK;
fail:
    sac_file_writer_close(&writer);
    return status;
}

// How messages name what is written.
static const char *name_of(const sac_file_writer *writer) {
    return writer->stream == stdout ? "standard output" : writer->path;
}

sac_status sac_file_write(sac_file_writer *writer, const void *data, size_t size,
                          sac_error *error) {
    if (size == 0) return SAC_OK;
    if (fwrite(data, 1, size, writer->stream) != size) {
        writer->failed = true;
        return io_error(error, "cannot be written", name_of(writer), errno);
    }
    return SAC_OK;
}

sac_status sac_file_printf(sac_file_writer *writer, sac_error *error, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    int length = vfprintf(writer->stream, format, arguments);
    int code = errno;
    va_end(arguments);
    if (length < 0) {
        writer->failed = true;
        return io_error(error, "cannot be written", name_of(writer), code);
    }
    return SAC_OK;
}

const char *sac_file_writer_path(const sac_file_writer *writer) {
    return writer->temporary != NULL ? writer->temporary : writer->path;
}

sac_status sac_file_writer_commit(sac_file_writer **slot, sac_error *error) {
    sac_file_writer *writer = *slot;
    sac_status status = SAC_OK;
    if (writer->failed || ferror(writer->stream)) {
        status =
            sac_error_set(error, SAC_ERROR_IO, -1, "%s: an earlier write failed", name_of(writer));
        goto fail;
    }
    if (fflush(writer->stream) != 0) {
        status = io_error(error, "cannot be written", name_of(writer), errno);
        goto fail;
    }
    if (writer->temporary != NULL) {
        // A library may have replaced the temporary by another file, so sync by name. The folder is
        // not synced: after a loss of power the name may still lead to the older file, but never to
        // a damaged one.
        int file = open(writer->temporary, O_RDONLY | O_CLOEXEC);
        if (file < 0 || fsync(file) != 0) {
            int code = errno;
            if (file >= 0) close(file);
            status = io_error(error, "cannot be written to disk", writer->path, code);
            goto fail;
        }
        close(file);
        int failed = fclose(writer->stream);
        int code = errno;
        writer->stream = NULL;
        if (failed != 0) {
            status = io_error(error, "cannot be written", writer->path, code);
            goto fail;
        }
        if (rename(writer->temporary, writer->path) != 0) {
            status = io_error(error, "cannot be renamed into place", writer->path, errno);
            goto fail;
        }
        sac_free(writer->temporary);
        writer->temporary = NULL;
    } else if (writer->stream != stdout) {
        int failed = fclose(writer->stream);
        int code = errno;
        writer->stream = NULL;
        if (failed != 0) {
            status = io_error(error, "cannot be written", writer->path, code);
            goto fail;
        }
    }
fail:
    sac_file_writer_close(slot);
    return status;
}

void sac_file_writer_close(sac_file_writer **slot) {
    if (slot == NULL || *slot == NULL) return;
    sac_file_writer *writer = *slot;
    if (writer->stream != NULL && writer->stream != stdout) fclose(writer->stream);
    if (writer->temporary != NULL) unlink(writer->temporary);
    sac_free(writer->temporary);
    sac_free(writer->path);
    sac_free(writer);
    *slot = NULL;
}

sac_status sac_file_save(const char *path, const void *data, size_t size, sac_error *error) {
    sac_file_writer *writer = NULL;
    sac_status status = SAC_OK;
    SAC_TRY(sac_file_writer_open(&writer, path, error));
    SAC_TRY(sac_file_write(writer, data, size, error));
    SAC_TRY(sac_file_writer_commit(&writer, error));
fail:
    sac_file_writer_close(&writer);
    return status;
}

sac_status sac_file_check(const char *path, sac_error *error) {
    sac_file_writer *probe = NULL;
    if (path == NULL || strcmp(path, "-") == 0) return SAC_OK;
    if (is_special(path))
        return access(path, W_OK) == 0
                   ? SAC_OK
                   : io_error(error, "cannot be opened for writing", path, errno);
    const sac_status status = sac_file_writer_open(&probe, path, error);
    sac_file_writer_close(&probe);
    return status;
}

sac_status sac_folder_create(const char *path, sac_error *error) {
    if (path[0] == '\0')
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1, "the folder name is empty");
    char *partial = sac_strdup(path);
    if (partial == NULL) {
        return sac_error_set(error, SAC_ERROR_MEMORY, -1, "%s: no memory for its name", path);
    }
    sac_status status = SAC_OK;
    for (char *end = partial + 1;; end++) {
        if (*end != '/' && *end != '\0') continue;
        char kept = *end;
        *end = '\0';
        if (mkdir(partial, S_IRWXU | S_IRWXG | S_IRWXO) != 0) {
            int code = errno;
            // Also on a read-only file system an existing component is fine.
            if (!sac_is_folder(partial)) {
                status = io_error(error, "cannot be created as a folder", partial, code);
                break;
            }
        }
        if (kept == '\0') break;
        *end = kept;
    }
    sac_free(partial);
    return status;
}

bool sac_is_folder(const char *path) {
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

bool sac_is_file(const char *path) {
    struct stat info;
    return stat(path, &info) == 0 && S_ISREG(info.st_mode);
}

sac_status sac_file_check_kept(const char *input, const char *output, const char *option,
                               sac_error *error) {
    struct stat in, out;
    if (input == NULL || output == NULL || stat(input, &in) != 0 || stat(output, &out) != 0 ||
        !S_ISREG(in.st_mode) || in.st_dev != out.st_dev || in.st_ino != out.st_ino)
        return SAC_OK;
    if (option == NULL)
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1, "%s: would replace the input %s",
                             output, input);
    return sac_error_set(error, SAC_ERROR_ARGUMENT, -1, "--%s %s: would replace the input %s",
                         option, output, input);
}

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

int sac_natural_compare(const char *a, const char *b) {
    const char *first_a = a, *first_b = b;
    while (*a != '\0' && *b != '\0') {
        if (is_digit(*a) && is_digit(*b)) {
            while (*a == '0' && is_digit(a[1])) a++;
            while (*b == '0' && is_digit(b[1])) b++;
            size_t length_a = 0, length_b = 0;
            while (is_digit(a[length_a])) length_a++;
            while (is_digit(b[length_b])) length_b++;
            if (length_a != length_b) return length_a < length_b ? -1 : 1;
            int order = memcmp(a, b, length_a);
            if (order != 0) return order < 0 ? -1 : 1;
            a += length_a;
            b += length_b;
        } else {
            if (*a != *b) return (unsigned char)*a < (unsigned char)*b ? -1 : 1;
            a++;
            b++;
        }
    }
    if (*a != *b) return *a == '\0' ? -1 : 1;
    // "01" and "1" are equal as numbers; a total order keeps folder listings deterministic.
    int order = strcmp(first_a, first_b);
    return order < 0 ? -1 : order > 0;
}

static int compare_names(const void *a, const void *b) {
    return sac_natural_compare(*(char *const *)a, *(char *const *)b);
}

// Growing list of NUL-terminated names in one buffer.
typedef struct name_list {
    char *bytes;
    int64_t used, capacity, count;
} name_list;

static bool append_name(name_list *list, const char *name) {
    int64_t length = (int64_t)strlen(name) + 1;
    if (list->used + length > list->capacity) {
        int64_t larger = (list->capacity + length) * 2;
        char *grown = sac_recalloc(list->bytes, list->used, larger, 1);
        if (grown == NULL) return false;
        list->bytes = grown;
        list->capacity = larger;
    }
    memcpy(list->bytes + list->used, name, (size_t)length);
    list->used += length;
    list->count++;
    return true;
}

sac_status sac_folder_list(char ***names, int64_t *count, const char *path, sac_error *error) {
    sac_status status = SAC_OK;
    name_list list = {0};
    *names = NULL;
    *count = 0;
    DIR *folder = opendir(path);
    if (folder == NULL) return io_error(error, "cannot be opened as a folder", path, errno);
    for (;;) {
        errno = 0;
        const struct dirent *entry = readdir(folder);
        if (entry == NULL) {
            if (errno != 0) {
                status = io_error(error, "cannot be listed", path, errno);
                goto fail;
            }
            break;
        }
        if (entry->d_name[0] == '.') continue;
        if (!append_name(&list, entry->d_name)) {
            status =
                sac_error_set(error, SAC_ERROR_MEMORY, -1, "%s: no memory for its listing", path);
            goto fail;
        }
    }
    // Pointers first, then the bytes they point to.
    int64_t pointers = (list.count + 1) * (int64_t)sizeof(char *);
    char **block = sac_calloc(pointers + list.used, 1);
    if (block == NULL) {
        status = sac_error_set(error, SAC_ERROR_MEMORY, -1, "%s: no memory for its listing", path);
        goto fail;
    }
    char *text = (char *)block + pointers;
    if (list.used > 0) memcpy(text, list.bytes, (size_t)list.used);
    for (int64_t i = 0; i < list.count; i++) {
        block[i] = text;
        text += strlen(text) + 1;
    }
    if (list.count > 1) qsort(block, (size_t)list.count, sizeof *block, compare_names);
    *names = block;
    *count = list.count;
fail:
    closedir(folder);
    sac_free(list.bytes);
    return status;
}

char *sac_path_join(const char *folder, const char *name) {
    size_t length = strlen(folder);
    while (length > 1 && folder[length - 1] == '/') length--;
    while (*name == '/') name++;
    if (length == 0) return sac_strdup(name);
    return sac_format("%.*s%s%s", (int)length, folder, folder[length - 1] == '/' ? "" : "/", name);
}

const char *sac_path_last(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash != NULL && slash[1] != '\0' ? slash + 1 : path;
}
