// Every array stands behind a header that tells where it lies: one way to free both kinds.
#include "core/spill.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/file.h"
#include "core/memory.h"

#define HEADER 64 // keeps the alignment of what follows

typedef struct header {
    size_t mapped_bytes; // with the header; 0: a block of sac_calloc
} header;

static const char *usual_folder(void) {
    const char *named = getenv("TMPDIR");
    if (named != NULL && named[0] != '\0') return named;
    return sac_is_folder("/var/tmp") ? "/var/tmp" : "/tmp";
}

// "21.4 GiB"
static const char *size_text(char *text, size_t size, int64_t bytes) {
    const double mib = (double)bytes / (1 << 20);
    if (mib >= 1024)
        (void)snprintf(text, size, "%.1f GiB", mib / 1024);
    else
        (void)snprintf(text, size, "%.1f MiB", mib);
    return text;
}

// A file without a name; -1 with errno.
static int open_unnamed(const char *folder) {
    int fd = open(folder, O_TMPFILE | O_RDWR | O_EXCL | O_CLOEXEC, 0600);
    // Not every file system knows that, and the oldest kernels take it for opening a folder.
    if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL)) return fd;
    char *path = sac_path_join(folder, "saccade-XXXXXX");
    if (path == NULL) {
        errno = ENOMEM;
        return -1;
    }
    fd = mkostemp(path, O_CLOEXEC);
    if (fd >= 0) (void)unlink(path);
    sac_free(path);
    return fd;
}

static int take_room(int fd, size_t bytes) {
    int cause;
    do cause = posix_fallocate(fd, 0, (off_t)bytes);
    while (cause == EINTR);
    return cause;
}

static sac_status map(header **out, int64_t bytes, const char *folder, sac_error *error) {
    char size[32];
    void *mapped = MAP_FAILED;
    const size_t all = (size_t)bytes + HEADER;
    const int fd = open_unnamed(folder);
    int cause = fd < 0 ? errno : take_room(fd, all);
    if (cause == 0) {
        mapped = mmap(NULL, all, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        cause = mapped == MAP_FAILED ? errno : 0;
    }
    if (fd >= 0) (void)close(fd); // the mapping holds the file
    if (mapped == MAP_FAILED)
        return sac_error_set(error, cause == ENOMEM ? SAC_ERROR_MEMORY : SAC_ERROR_IO, -1,
                             "%s: cannot hold a temporary file of %s (%s): make room there, set "
                             "TMPDIR to another folder, or use shorter clips",
                             folder, size_text(size, sizeof size, bytes), strerror(cause));
    *out = mapped;
    (*out)->mapped_bytes = all;
    return SAC_OK;
}

sac_status sac_spill_alloc_in(void **block, int64_t count, size_t size, int64_t beside,
                              int64_t threshold_bytes, const char *folder, sac_error *error) {
    char text[32];
    int64_t bytes, together;
    header *h = NULL;
    *block = NULL;
    if (count < 0 || __builtin_mul_overflow(count, size, &bytes) ||
        __builtin_add_overflow(bytes, beside, &together) || bytes > INT64_MAX - HEADER)
        return sac_error_set(error, SAC_ERROR_MEMORY, -1, "an array larger than any memory");
    if (bytes > 0 && together > threshold_bytes) {
        const sac_status status = map(&h, bytes, folder != NULL ? folder : usual_folder(), error);
        if (status != SAC_OK) return status;
    } else {
        h = sac_calloc(bytes + HEADER, 1);
        if (h == NULL)
            return sac_error_set(error, SAC_ERROR_MEMORY, -1,
                                 "no memory for %s: shorter clips need less",
                                 size_text(text, sizeof text, bytes));
    }
    *block = (char *)h + HEADER;
    return SAC_OK;
}

sac_status sac_spill_alloc(void **block, int64_t count, size_t size, int64_t beside,
                           sac_error *error) {
    return sac_spill_alloc_in(block, count, size, beside, SAC_SPILL_THRESHOLD_BYTES, NULL, error);
}

void sac_spill_free(void *block) {
    if (block == NULL) return;
    header *h = (header *)(void *)((char *)block - HEADER);
    if (h->mapped_bytes > 0)
        (void)munmap(h, h->mapped_bytes);
    else
        sac_free(h);
}
