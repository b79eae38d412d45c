// Reading with limits, atomic writing, full disks, folders, natural order.
#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/file.h"
#include "core/memory.h"
#include "core/number.h"
#include "helper.h"

TestSuite(core_file, .fini = sac_test_folder_remove);

Test(core_file, reads_what_is_there) {
    static const size_t sizes[] = {0, 1, 63, 64, 65, 4096, 100000};
    for (int i = 0; i < 7; i++) {
        uint8_t *bytes = malloc(sizes[i] + 1);
        for (size_t b = 0; b < sizes[i]; b++) bytes[b] = (uint8_t)(b * 31 + 7);
        const char *path = sac_test_write("data", bytes, sizes[i]);
        uint8_t *data;
        size_t size;
        sac_error error = {0};
        sac_assert_ok(sac_file_read(&data, &size, path, 100000, &error), &error);
        cr_assert_eq(size, sizes[i]);
        cr_assert_eq(memcmp(data, bytes, size), 0);
        cr_assert_eq(data[size], 0);
        sac_free(data);
        free(bytes);
    }
    // A file whose size is not known beforehand.
    uint8_t *data;
    size_t size;
    sac_error error = {0};
    sac_assert_ok(sac_file_read(&data, &size, "/proc/self/status", 1 << 20, &error), &error);
    cr_assert(size > 100 && strncmp((char *)data, "Name:", 5) == 0);
    sac_free(data);
}

Test(core_file, refuses_with_the_name_and_the_cause) {
    uint8_t *data = NULL;
    size_t size;
    sac_error error = {0};
    sac_assert_error(sac_file_read(&data, &size, "/no/such/file", 10, &error), SAC_ERROR_IO, &error,
                     "/no/such/file", "No such file", NULL);
    error = (sac_error){0};
    sac_assert_error(sac_file_read(&data, &size, sac_test_folder(), 10, &error), SAC_ERROR_IO,
                     &error, "folder", NULL);
    error = (sac_error){0};
    const char *path = sac_test_write_text("eleven", "12345678901");
    sac_assert_error(sac_file_read(&data, &size, path, 10, &error), SAC_ERROR_FORMAT, &error,
                     "eleven", "11", "10", NULL);
    error = (sac_error){0};
    sac_assert_error(sac_file_read(&data, &size, "/proc/self/status", 10, &error), SAC_ERROR_FORMAT,
                     &error, "10", NULL);
    error = (sac_error){0};
    const char *pipe_path = sac_test_path("pipe");
    cr_assert_eq(mkfifo(pipe_path, 0600), 0);
    sac_assert_error(sac_file_read(&data, &size, pipe_path, 10, &error), SAC_ERROR_IO, &error,
                     "regular", NULL);
    error = (sac_error){0};
    sac_assert_error(sac_file_read(&data, &size, "/dev/zero", 10, &error), SAC_ERROR_IO, &error,
                     "regular", NULL);
    cr_assert(data == NULL);
}

Test(core_file, a_file_appears_whole_or_not_at_all) {
    const char *path = sac_test_path("result.txt");
    sac_error error = {0};
    sac_file_writer *writer = NULL;
    sac_assert_ok(sac_file_writer_open(&writer, path, &error), &error);
    sac_assert_ok(sac_file_write(writer, "one ", 4, &error), &error);
    cr_assert(!sac_is_file(path), "visible before commit");
    cr_assert(sac_is_file(sac_file_writer_path(writer)));
    sac_assert_ok(sac_file_printf(writer, &error, "%d\n", 2), &error);
    sac_assert_ok(sac_file_writer_commit(&writer, &error), &error);
    cr_assert(writer == NULL);
    uint8_t *data;
    size_t size;
    sac_assert_ok(sac_file_read(&data, &size, path, 100, &error), &error);
    cr_assert_str_eq((char *)data, "one 2\n");
    sac_free(data);
    cr_assert_eq(sac_test_folder_count(), 1);

    // Abandoning leaves the old contents and no temporary.
    sac_assert_ok(sac_file_writer_open(&writer, path, &error), &error);
    sac_assert_ok(sac_file_write(writer, "new", 3, &error), &error);
    sac_file_writer_close(&writer);
    cr_assert(writer == NULL);
    sac_file_writer_close(&writer);
    sac_file_writer_close(NULL);
    sac_assert_ok(sac_file_read(&data, &size, path, 100, &error), &error);
    cr_assert_str_eq((char *)data, "one 2\n");
    sac_free(data);
    cr_assert_eq(sac_test_folder_count(), 1);
}

Test(core_file, two_writers_of_one_name_do_not_meet) {
    const char *path = sac_test_path("shared");
    sac_error error = {0};
    sac_file_writer *a = NULL, *b = NULL;
    sac_assert_ok(sac_file_writer_open(&a, path, &error), &error);
    sac_assert_ok(sac_file_writer_open(&b, path, &error), &error);
    cr_assert_str_neq(sac_file_writer_path(a), sac_file_writer_path(b));
    sac_assert_ok(sac_file_write(a, "a", 1, &error), &error);
    sac_assert_ok(sac_file_write(b, "b", 1, &error), &error);
    sac_assert_ok(sac_file_writer_commit(&b, &error), &error);
    sac_assert_ok(sac_file_writer_commit(&a, &error), &error);
    uint8_t *data;
    size_t size;
    sac_assert_ok(sac_file_read(&data, &size, path, 100, &error), &error);
    cr_assert_str_eq((char *)data, "a");
    sac_free(data);
    cr_assert_eq(sac_test_folder_count(), 1);
}

Test(core_file, abandoned_temporaries_of_a_killed_run_are_stepped_over) {
    const char *path = sac_test_path("x");
    char *name = sac_format("x.tmp-%ld-0", (long)getpid());
    sac_test_write_text(name, "left behind");
    sac_free(name);
    sac_error error = {0};
    sac_assert_ok(sac_file_save(path, "ok", 2, &error), &error);
    cr_assert(sac_is_file(path));
}

Test(core_file, a_full_disk_is_an_error) {
    sac_error error = {0};
    sac_assert_error(sac_file_save("/dev/full", "x", 1, &error), SAC_ERROR_IO, &error, "/dev/full",
                     "No space", NULL);
    // More than the buffer: the write itself fails, and commit must not succeed afterwards.
    error = (sac_error){0};
    sac_file_writer *writer = NULL;
    sac_assert_ok(sac_file_writer_open(&writer, "/dev/full", &error), &error);
    static const char block[1 << 16];
    sac_status status = sac_file_write(writer, block, sizeof block, &error);
    sac_assert_error(status, SAC_ERROR_IO, &error, "No space", NULL);
    cr_assert_eq(sac_file_writer_commit(&writer, &error), SAC_ERROR_IO);
    cr_assert(writer == NULL);
    // A device takes bytes without a temporary beside it.
    error = (sac_error){0};
    sac_assert_ok(sac_file_save("/dev/null", block, sizeof block, &error), &error);
}

Test(core_file, a_size_limit_of_the_system_leaves_nothing_behind) {
    // SIGXFSZ is ignored so that write() reports EFBIG, as a full quota would.
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigaction(SIGXFSZ, &ignore, NULL);
    struct rlimit limit = {.rlim_cur = 4096, .rlim_max = 4096};
    const char *path = sac_test_path("big");
    static const char block[1 << 20];
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    sac_error error = {0};
    sac_status status = sac_file_save(path, block, sizeof block, &error);
    int64_t left = sac_test_folder_count();
    limit.rlim_cur = RLIM_INFINITY;
    sac_assert_error(status, SAC_ERROR_IO, &error, "big", NULL);
    cr_assert_eq(left, 0, "%lld files left", (long long)left);
}

Test(core_file, unwritable_places_are_named) {
    sac_error error = {0};
    sac_assert_error(sac_file_save("/no/such/folder/file", "x", 1, &error), SAC_ERROR_IO, &error,
                     "/no/such/folder/file", NULL);
    error = (sac_error){0};
    sac_assert_error(sac_file_save(sac_test_folder(), "x", 1, &error), SAC_ERROR_IO, &error,
                     "folder", NULL);
    error = (sac_error){0};
    sac_assert_error(sac_file_save("", "x", 1, &error), SAC_ERROR_ARGUMENT, &error, "empty", NULL);
}

Test(core_file, asks_without_leaving_anything) {
    sac_error error = {0};
    char **names = NULL;
    int64_t count = 0;
    sac_assert_ok(sac_file_check(NULL, &error), &error);
    sac_assert_ok(sac_file_check("-", &error), &error);
    sac_assert_ok(sac_file_check("/dev/null", &error), &error);
    sac_assert_ok(sac_file_check(sac_test_path("later"), &error), &error);
    sac_assert_ok(sac_folder_list(&names, &count, sac_test_folder(), &error), &error);
    cr_assert_eq(count, 0, "%s is left behind", names[0]);
    sac_free(names);
    sac_assert_error(sac_file_check(sac_test_path("no/folder"), &error), SAC_ERROR_IO, &error,
                     "no/folder", NULL);
    error = (sac_error){0};
    sac_assert_error(sac_file_check(sac_test_folder(), &error), SAC_ERROR_IO, &error, "folder",
                     NULL);
    error = (sac_error){0};
    sac_assert_error(sac_file_check("", &error), SAC_ERROR_ARGUMENT, &error, "empty", NULL);
}

Test(core_file, an_output_may_not_be_an_input) {
    sac_error error = {0};
    char input[512], link_name[512];
    (void)snprintf(input, sizeof input, "%s", sac_test_write("input", "x", 1));
    (void)snprintf(link_name, sizeof link_name, "%s", sac_test_path("link"));
    cr_assert_eq(symlink(input, link_name), 0);
    sac_assert_ok(sac_file_check_kept(input, NULL, "csv", &error), &error);
    sac_assert_ok(sac_file_check_kept(NULL, input, "csv", &error), &error);
    sac_assert_ok(sac_file_check_kept(input, sac_test_path("other"), "csv", &error), &error);
    sac_assert_ok(sac_file_check_kept("/dev/null", "/dev/null", "csv", &error), &error);
    sac_assert_error(sac_file_check_kept(input, input, "csv", &error), SAC_ERROR_ARGUMENT, &error,
                     "--csv", "input", NULL);
    error = (sac_error){0};
    sac_assert_error(sac_file_check_kept(input, link_name, "csv", &error), SAC_ERROR_ARGUMENT,
                     &error, "link", NULL);
}

Test(core_file, folders) {
    sac_error error = {0};
    const char *deep = sac_test_path("a/b//c/");
    sac_assert_ok(sac_folder_create(deep, &error), &error);
    cr_assert(sac_is_folder(deep) && !sac_is_file(deep));
    sac_assert_ok(sac_folder_create(deep, &error), &error);
    const char *file = sac_test_write_text("plain", "");
    cr_assert(sac_is_file(file) && !sac_is_folder(file));
    cr_assert(!sac_is_file("/no/such") && !sac_is_folder("/no/such"));
    sac_assert_error(sac_folder_create(sac_test_path("plain/below"), &error), SAC_ERROR_IO, &error,
                     "plain", NULL);
    error = (sac_error){0};
    sac_assert_error(sac_folder_create("", &error), SAC_ERROR_ARGUMENT, &error, "empty", NULL);
    error = (sac_error){0};
    sac_assert_error(sac_folder_create("/proc/none/x", &error), SAC_ERROR_IO, &error, "/proc/none",
                     NULL);
}

Test(core_file, listing_is_natural_and_hides_hidden) {
    static const char *const names[] = {"f10.png",  "f2.png", "f1.png", ".hidden",
                                        "f002.png", "g",      "F3",     "e\xCC\x81"};
    static const char *const order[] = {"F3",     "e\xCC\x81", "f1.png", "f002.png",
                                        "f2.png", "f10.png",   "g"};
    for (int i = 0; i < 8; i++) sac_test_write_text(names[i], "");
    char **found;
    int64_t count;
    sac_error error = {0};
    sac_assert_ok(sac_folder_list(&found, &count, sac_test_folder(), &error), &error);
    cr_assert_eq(count, 7);
    for (int i = 0; i < 7; i++) cr_assert_str_eq(found[i], order[i]);
    cr_assert(found[7] == NULL);
    sac_free(found);
    sac_assert_error(sac_folder_list(&found, &count, "/no/such", &error), SAC_ERROR_IO, &error,
                     "/no/such", NULL);
    error = (sac_error){0};
    sac_assert_error(sac_folder_list(&found, &count, sac_test_path("g"), &error), SAC_ERROR_IO,
                     &error, "folder", NULL);
}

Test(core_file, an_empty_folder_lists_nothing) {
    char **found;
    int64_t count;
    sac_error error = {0};
    sac_assert_ok(sac_folder_list(&found, &count, sac_test_folder(), &error), &error);
    cr_assert_eq(count, 0);
    cr_assert(found != NULL && found[0] == NULL);
    sac_free(found);
}

Test(core_file, natural_order_is_a_total_order) {
    static const char *const sorted[] = {"",
                                         "0",
                                         "00",
                                         "01",
                                         "1",
                                         "1a",
                                         "2",
                                         "10",
                                         "10a",
                                         "a",
                                         "a0",
                                         "a00",
                                         "a01",
                                         "a1",
                                         "a1b1",
                                         "a1b02",
                                         "a1b2",
                                         "a1b10",
                                         "a2",
                                         "a18446744073709551616",
                                         "a18446744073709551617",
                                         "aa",
                                         "b"};
    enum { COUNT = sizeof sorted / sizeof *sorted };
    for (int i = 0; i < COUNT; i++) {
        for (int j = 0; j < COUNT; j++) {
            int order = sac_natural_compare(sorted[i], sorted[j]);
            cr_assert_eq(order, (i > j) - (i < j), "'%s' against '%s': %d", sorted[i], sorted[j],
                         order);
        }
    }
}

Test(core_file, joining_paths) {
    static const char *const cases[][3] = {
        {"a", "b", "a/b"}, {"a/", "b", "a/b"},        {"a//", "/b", "a/b"}, {"/", "b", "/b"},
        {"", "b", "b"},    {"a/b", "c/d", "a/b/c/d"}, {".", "x", "./x"}};
    for (int i = 0; i < 7; i++) {
        char *path = sac_path_join(cases[i][0], cases[i][1]);
        cr_assert_str_eq(path, cases[i][2]);
        sac_free(path);
    }
}

Test(core_file, name_at_the_end_of_a_path) {
    static const char *const cases[][2] = {{"a/b.mp4", "b.mp4"}, {"/b", "b"}, {"b", "b"},
                                           {"a/b/", "a/b/"},     {"", ""},    {"/", "/"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        cr_assert_str_eq(sac_path_last(cases[i][0]), cases[i][1]);
}

Test(core_file, lack_of_memory_is_reported_and_leaves_nothing) {
    const char *input = sac_test_write_text("input", "some bytes");
    const char *output = sac_test_path("output");
    const char *inside = sac_test_path("sub/folder");
    for (int operation = 0; operation < 4; operation++) {
        bool done = false;
        for (int64_t n = 0; n < 50 && !done; n++) {
            uint8_t *data = NULL;
            char **names = NULL;
            size_t size;
            int64_t count;
            sac_error error = {0};
            sac_memory_fail_after(n);
            sac_status status = operation == 0   ? sac_file_read(&data, &size, input, 100, &error)
                                : operation == 1 ? sac_file_save(output, "x", 1, &error)
                                : operation == 2 ? sac_folder_create(inside, &error)
                                                 : sac_folder_list(&names, &count, "/", &error);
            sac_memory_fail_after(-1);
            done = status == SAC_OK;
            if (!done) {
                sac_assert_error(status, SAC_ERROR_MEMORY, &error, "memory", NULL);
                cr_assert(data == NULL && names == NULL);
                if (operation == 1) cr_assert_eq(sac_test_folder_count(), 1);
            } else {
                cr_assert(n > 0, "operation %d allocates nothing: the test checks nothing",
                          operation);
            }
            sac_free(data);
            sac_free(names);
        }
        cr_assert(done);
    }
}

Test(core_file, numbers_are_read_strictly) {
    static const char *const bad[] = {"",  " 1", "1 ", "1x",    "0x10", "inf", "nan", "-",
                                      "+", ".",  "e5", "1e999", "--1",  "1e",  "1,5"};
    double real = 42.0;
    int64_t integer = 42;
    for (int i = 0; i < 15; i++)
        cr_assert(!sac_number_real(bad[i], &real) && real == 42.0, "'%s'", bad[i]);
    static const char *const bad_integers[] = {
        "",  " 1", "1 ", "1.0", "1e3", "0x1", "9223372036854775808", "-9223372036854775809",
        "-", "+-1"};
    for (int i = 0; i < 10; i++)
        cr_assert(!sac_number_integer(bad_integers[i], &integer) && integer == 42, "'%s'",
                  bad_integers[i]);
    cr_assert(sac_number_real("-1.5e-3", &real) && real == -1.5e-3);
    cr_assert(sac_number_real("+.5", &real) && real == 0.5);
    cr_assert(sac_number_real("1e-400", &real) && real == 0.0);
    cr_assert(sac_number_integer("-9223372036854775808", &integer) && integer == INT64_MIN);
    cr_assert(sac_number_integer("+007", &integer) && integer == 7);
}
