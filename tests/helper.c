// Shared by the test binaries; see helper.h. Never linked into anything that is installed.
#include "helper.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <ftw.h>
#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "core/memory.h"

static int64_t element_count(int ndims, const int64_t *dims) {
    int64_t count = 1;
    for (int i = 0; i < ndims; i++) count *= dims[i];
    return count;
}

// "[1][0][7] of [2][3][8]"
static void coordinates(char *text, size_t size, int64_t index, int ndims, const int64_t *dims) {
    int64_t at[16];
    for (int i = ndims - 1; i >= 0; i--) {
        at[i] = index % dims[i];
        index /= dims[i];
    }
    size_t used = 0;
    for (int i = 0; i < ndims; i++) {
        used += (size_t)snprintf(text + used, size - used, "[%lld]", (long long)at[i]);
    }
    used += (size_t)snprintf(text + used, size - used, " of ");
    for (int i = 0; i < ndims; i++) {
        used += (size_t)snprintf(text + used, size - used, "[%lld]", (long long)dims[i]);
    }
}

// One comparison for both kinds of limit: the value of limits[i], or `scaled` times the largest
// expected magnitude.
static void compare(const float *actual, const float *expected, const double *limits, double scaled,
                    int ndims, const int64_t *dims, const char *what) {
    cr_assert(ndims >= 0 && ndims <= 16, "%s: %d dimensions", what, ndims);
    int64_t count = element_count(ndims, dims);
    cr_assert(count > 0, "%s: no elements: this comparison checks nothing", what);
    double largest = 0.0, squares = 0.0, error_squares = 0.0;
    for (int64_t i = 0; i < count; i++) {
        if (!isfinite(expected[i])) continue;
        largest = fmax(largest, fabs((double)expected[i]));
        squares += (double)expected[i] * expected[i];
    }
    cr_assert(squares > 0.0, "%s: every expected value is 0: this comparison checks nothing", what);
    double scale = fmax(1.0, largest);
    int64_t worst = -1;
    double worst_excess = 0.0, worst_error = 0.0;
    char place[256];
    for (int64_t i = 0; i < count; i++) {
        if (actual[i] == expected[i]) continue;
        if (!isfinite(actual[i]) || !isfinite(expected[i])) {
            coordinates(place, sizeof place, i, ndims, dims);
            cr_assert_fail("%s: at %s: %g, expected %g", what, place, (double)actual[i],
                           (double)expected[i]);
        }
        double error = fabs((double)actual[i] - (double)expected[i]);
        error_squares += error * error;
        double limit = limits != NULL ? limits[i] : scaled * scale;
        double excess = limit > 0.0 ? error / limit : INFINITY;
        if (excess > worst_excess) {
            worst_excess = excess;
            worst_error = error;
            worst = i;
        }
    }
    if (worst_excess > 1.0) {
        coordinates(place, sizeof place, worst, ndims, dims);
        cr_assert_fail(
            "%s: worst at %s: %.9g, expected %.9g; error / max(1, max|expected|) = %.3g, "
            "%.3g times the limit; NMSE %.3g",
            what, place, (double)actual[worst], (double)expected[worst], worst_error / scale,
            worst_excess, error_squares / squares);
    }
}

void sac_assert_close(const float *actual, const float *expected, int ndims, const int64_t *dims,
                      double rtol, const char *what) {
    compare(actual, expected, NULL, rtol, ndims, dims, what);
}

void sac_assert_within(const float *actual, const float *expected, const double *limits, int ndims,
                       const int64_t *dims, const char *what) {
    compare(actual, expected, limits, 0.0, ndims, dims, what);
}

void sac_assert_error(sac_status status, sac_status code, const sac_error *error, ...) {
    cr_assert(status == code, "status is '%s', expected '%s' (message: %s)",
              sac_status_name(status), sac_status_name(code), error->message);
    cr_assert(error->code == code, "the error holds '%s', expected '%s' (message: %s)",
              sac_status_name(error->code), sac_status_name(code), error->message);
    cr_assert(error->message[0] != '\0', "the message is empty");
    va_list texts;
    va_start(texts, error);
    for (;;) {
        const char *text = va_arg(texts, const char *);
        if (text == NULL) break;
        cr_assert(strstr(error->message, text) != NULL, "'%s' is not part of the message '%s'",
                  text, error->message);
    }
    va_end(texts);
}

void sac_assert_ok(sac_status status, const sac_error *error) {
    cr_assert(status == SAC_OK, "%s: %s", sac_status_name(status),
              error != NULL ? error->message : "(no details asked for)");
}

void sac_skip_case(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    printf("SKIPPED: ");
    vprintf(format, arguments);
    printf("\n");
    fflush(stdout);
    va_end(arguments);
    cr_skip_test("see the line above");
    abort();
}

static char folder[256];
static pid_t folder_owner;

static int remove_entry(const char *path, const struct stat *info, int flag, struct FTW *position) {
    (void)info;
    (void)flag;
    (void)position;
    return remove(path);
}

void sac_test_folder_remove(void) {
    // Each Criterion test is a forked process: only the one that made the folder removes it.
    if (folder[0] == '\0' || folder_owner != getpid()) return;
    nftw(folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    folder[0] = '\0';
}

const char *sac_test_folder(void) {
    if (folder[0] != '\0' && folder_owner == getpid()) return folder;
    const char *base = getenv("TMPDIR");
    // Every saved file is synced: in memory that does not wait for whatever else the disk is doing.
    struct statvfs memory;
    bool roomy = statvfs("/dev/shm", &memory) == 0 && access("/dev/shm", W_OK) == 0 &&
                 (double)memory.f_bavail * (double)memory.f_frsize > 1e9;
    if (base == NULL) base = roomy ? "/dev/shm" : "/tmp";
    snprintf(folder, sizeof folder, "%s/saccade-test-XXXXXX", base);
    cr_assert(mkdtemp(folder) != NULL, "no temporary folder could be made: %s", folder);
    folder_owner = getpid();
    static bool registered;
    if (!registered) {
        registered = true;
        atexit(sac_test_folder_remove);
    }
    return folder;
}

const char *sac_test_path(const char *name) {
    // A ring: enough paths for one expression and no growth over loops of thousands.
    static char paths[64][512];
    static unsigned next;
    char *path = paths[next++ % 64];
    int length = snprintf(path, sizeof paths[0], "%s/%s", sac_test_folder(), name);
    cr_assert(length > 0 && length < (int)sizeof paths[0], "path of '%s' is too long", name);
    return path;
}

const char *sac_test_write(const char *name, const void *bytes, size_t size) {
    const char *path = sac_test_path(name);
    FILE *file = fopen(path, "wb");
    cr_assert(file != NULL, "%s cannot be created", path);
    size_t written = size > 0 ? fwrite(bytes, 1, size, file) : 0;
    cr_assert(fclose(file) == 0 && written == size, "%s cannot be written", path);
    return path;
}

const char *sac_test_write_text(const char *name, const char *text) {
    return sac_test_write(name, text, strlen(text));
}

int64_t sac_test_folder_count(void) {
    DIR *entries = opendir(sac_test_folder());
    cr_assert(entries != NULL);
    int64_t count = 0;
    for (;;) {
        const struct dirent *entry = readdir(entries);
        if (entry == NULL) break;
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) count++;
    }
    closedir(entries);
    return count;
}
