// Arrays in memory and in an unlinked file: contents, limits, what a full disk says.
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "core/file.h"
#include "core/memory.h"
#include "core/spill.h"
#include "helper.h"

TestSuite(core_spill, .fini = sac_test_folder_remove);

// Whether an address lies in a mapping of a deleted file.
static bool in_file(const void *block) {
    FILE *maps = fopen("/proc/self/maps", "r");
    char line[1024];
    bool found = false;
    cr_assert_not_null(maps);
    while (fgets(line, sizeof line, maps) != NULL) {
        unsigned long from = 0, to = 0;
        if (sscanf(line, "%lx-%lx", &from, &to) != 2) continue;
        if ((unsigned long)block >= from && (unsigned long)block < to)
            found = strstr(line, "(deleted)") != NULL;
    }
    fclose(maps);
    return found;
}

static const char *folder_make(void) {
    const char *folder = sac_test_path("spill");
    sac_error error = {0};
    sac_assert_ok(sac_folder_create(folder, &error), &error);
    return folder;
}

// {elements, bytes beside them}: what passes the threshold alone or with the others lies in a file.
// Either kind is zeroed, aligned and written to all over.
Test(core_spill, small_in_memory_large_in_a_file) {
    static const struct {
        int64_t count, beside;
        bool file;
    } cases[] = {{0, 0, false},     {1, 0, false},   {2048, 0, false}, {2049, 0, true},
                 {100000, 0, true}, {2048, 1, true}, {1, 4096, true},  {0, 1 << 20, false}};
    const char *folder = folder_make();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const int64_t n = cases[i].count;
        void *block = NULL;
        sac_error error = {0};
        sac_assert_ok(sac_spill_alloc_in(&block, n, 2, cases[i].beside, 4096, folder, &error),
                      &error);
        cr_assert_eq((uintptr_t)block % 64, 0);
        cr_assert_eq(in_file(block), cases[i].file, "case %zu", i);
        uint16_t *values = block;
        for (int64_t k = 0; k < n; k++) cr_assert_eq(values[k], 0);
        for (int64_t k = 0; k < n; k++) values[k] = (uint16_t)k;
        for (int64_t k = 0; k < n; k++) cr_assert_eq(values[k], (uint16_t)k);
        char **names = NULL;
        int64_t files = -1;
        sac_assert_ok(sac_folder_list(&names, &files, folder, &error), &error);
        cr_assert_eq(files, 0, "the file has a name");
        sac_free(names);
        sac_spill_free(block);
        cr_assert(!in_file(block) || n == 0, "case %zu is still mapped", i);
    }
    sac_spill_free(NULL);
}

Test(core_spill, the_usual_threshold_and_folder) {
    const char *folder = folder_make();
    void *block = NULL;
    sac_error error = {0};
    cr_assert_eq(setenv("TMPDIR", folder, 1), 0);
    sac_assert_ok(sac_spill_alloc(&block, 1000, 1, SAC_SPILL_THRESHOLD_BYTES - 1000, &error),
                  &error);
    cr_assert_not(in_file(block));
    sac_spill_free(block);
    sac_assert_ok(sac_spill_alloc(&block, 1000, 1, SAC_SPILL_THRESHOLD_BYTES - 999, &error),
                  &error);
    cr_assert(in_file(block));
    sac_spill_free(block);
    cr_assert_eq(setenv("TMPDIR", "/nowhere/at/all", 1), 0);
    sac_assert_error(sac_spill_alloc(&block, 1000, 1, SAC_SPILL_THRESHOLD_BYTES, &error),
                     SAC_ERROR_IO, &error, "/nowhere/at/all", NULL);
    cr_assert_null(block);
    cr_assert_eq(unsetenv("TMPDIR"), 0);
    error = (sac_error){0};
    sac_assert_ok(sac_spill_alloc(&block, 1000, 1, SAC_SPILL_THRESHOLD_BYTES, &error), &error);
    cr_assert(in_file(block));
    sac_spill_free(block);
}

// A limit on the size of files stands for a disk without room: the message says what to do.
Test(core_spill, no_room_is_an_error) {
    const char *folder = folder_make();
    const struct rlimit limit = {.rlim_cur = 1 << 20, .rlim_max = RLIM_INFINITY};
    struct rlimit before;
    void *block = &before;
    sac_error error = {0};
    cr_assert(signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
    cr_assert_eq(getrlimit(RLIMIT_FSIZE, &before), 0);
    const struct rlimit lower = {.rlim_cur = limit.rlim_cur, .rlim_max = before.rlim_max};
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &lower), 0);
    const sac_status status = sac_spill_alloc_in(&block, 3 << 20, 1024, 0, 4096, folder, &error);
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &before), 0);
    sac_assert_error(status, SAC_ERROR_IO, &error, folder, "3.0 GiB", "TMPDIR", "shorter clips",
                     NULL);
    cr_assert_null(block);
}

Test(core_spill, no_memory_is_an_error) {
    void *block = NULL;
    sac_error error = {0};
    sac_memory_fail_after(0);
    const sac_status status = sac_spill_alloc(&block, 3 << 10, 1024, 0, &error);
    sac_memory_fail_after(-1);
    sac_assert_error(status, SAC_ERROR_MEMORY, &error, "3.0 MiB", "shorter clips", NULL);
    cr_assert_null(block);
    static const struct {
        int64_t count;
        size_t size;
        int64_t beside;
    } absurd[] = {{-1, 1, 0}, {INT64_MAX, 2, 0}, {INT64_MAX, 1, 0}, {INT64_MAX - 70, 1, 100}};
    for (size_t i = 0; i < sizeof absurd / sizeof absurd[0]; i++) {
        error = (sac_error){0};
        sac_assert_error(
            sac_spill_alloc(&block, absurd[i].count, absurd[i].size, absurd[i].beside, &error),
            SAC_ERROR_MEMORY, &error, "larger than any memory", NULL);
        cr_assert_null(block);
    }
}
