// Tables: what is accepted, and for everything else file, line, column and expectation.
#include <criterion/criterion.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "core/csv.h"
#include "core/memory.h"
#include "helper.h"

TestSuite(core_csv, .fini = sac_test_folder_remove);

static sac_status parse(sac_csv **csv, const char *text, sac_error *error) {
    return sac_csv_parse(csv, text, strlen(text), "boxes.csv", error);
}

Test(core_csv, reads_tables_as_they_come) {
    static const char *const same[] = {"clip,frame,x\na,1,2.5\nb,-2,3\n",
                                       "clip,frame,x\r\na,1,2.5\r\nb,-2,3\r\n",
                                       "\xEF\xBB\xBF"
                                       "clip,frame,x\na,1,2.5\nb,-2,3",
                                       "clip, frame ,x\n a,1,\t2.5 \nb,-2,3\n\n\r\n\n"};
    for (int i = 0; i < 4; i++) {
        sac_csv *csv = NULL;
        sac_error error = {0};
        sac_assert_ok(parse(&csv, same[i], &error), &error);
        cr_assert_eq(sac_csv_rows(csv), 2);
        int frame = sac_csv_column(csv, "frame"), x = sac_csv_column(csv, "x");
        cr_assert(sac_csv_column(csv, "clip") == 0 && frame == 1 && x == 2 &&
                  sac_csv_column(csv, "y") == -1);
        cr_assert_str_eq(sac_csv_header(csv, 2), "x");
        cr_assert(sac_csv_header(csv, 3) == NULL && sac_csv_header(csv, -1) == NULL);
        cr_assert_str_eq(sac_csv_text(csv, 0, 0), "a");
        cr_assert_str_eq(sac_csv_text(csv, 1, 0), "b");
        double number;
        int64_t integer;
        sac_assert_ok(sac_csv_number(csv, 0, x, 0, 10, &number, &error), &error);
        sac_assert_ok(sac_csv_integer(csv, 1, frame, -2, 10, &integer, &error), &error);
        cr_assert(number == 2.5 && integer == -2);
        cr_assert(sac_csv_text(csv, 2, 0) == NULL && sac_csv_text(csv, 0, 3) == NULL &&
                  sac_csv_text(csv, -1, 0) == NULL);
        sac_csv_close(&csv);
        cr_assert(csv == NULL);
    }
    sac_csv_close(NULL);
}

Test(core_csv, header_alone_and_empty_fields) {
    sac_csv *csv = NULL;
    sac_error error = {0};
    sac_assert_ok(parse(&csv, "a,b", &error), &error);
    cr_assert_eq(sac_csv_rows(csv), 0);
    sac_csv_close(&csv);
    sac_assert_ok(parse(&csv, "a,b,c\n,,\n1,,3", &error), &error);
    cr_assert_eq(sac_csv_rows(csv), 2);
    cr_assert_str_eq(sac_csv_text(csv, 0, 2), "");
    cr_assert_str_eq(sac_csv_text(csv, 1, 2), "3");
    sac_csv_close(&csv);
}

Test(core_csv, broken_tables_name_the_line) {
    static const struct {
        const char *text, *says, *also;
    } broken[] = {{"", "is empty", "header"},
                  {"\n\n", "is empty", "header"},
                  {"a,b\n1,2\n3\n", "line 3: 1 fields", "has 2"},
                  {"a,b\n1,2,3\n", "line 2: 3 fields", "has 2"},
                  {"a,b\n\n1,2\n", "line 2", "empty"},
                  {"a,,b\n", "column 2", "no name"},
                  {"a,b,a\n", "two columns", "'a'"},
                  {"a,b\n\"1\",2\n", "line 2", "quotation"}};
    for (int i = 0; i < 8; i++) {
        sac_csv *csv = NULL;
        sac_error error = {0};
        sac_assert_error(parse(&csv, broken[i].text, &error), SAC_ERROR_FORMAT, &error, "boxes.csv",
                         broken[i].says, broken[i].also, NULL);
        cr_assert(csv == NULL);
    }
    sac_csv *csv = NULL;
    sac_error error = {0};
    sac_assert_error(sac_csv_parse(&csv, "a,b\n1,\0002\n", 9, "zero", &error), SAC_ERROR_FORMAT,
                     &error, "zero byte", "line 2", NULL);
    char *wide = sac_calloc(10000, 1);
    memset(wide, ',', 9999);
    error = (sac_error){0};
    sac_assert_error(parse(&csv, wide, &error), SAC_ERROR_FORMAT, &error, "columns", NULL);
    sac_free(wide);
}

Test(core_csv, bad_numbers_name_line_and_column) {
    sac_csv *csv = NULL;
    sac_error error = {0};
    sac_assert_ok(parse(&csv, "frame,x\n1,nan\n1.5,1e9\n,inf\n99999999999999999999,0x1\n", &error),
                  &error);
    double number = 7;
    int64_t integer = 7;
    for (int row = 0; row < 4; row++) {
        if (row == 1) continue;
        error = (sac_error){0};
        sac_assert_error(sac_csv_number(csv, row, 1, -1e300, 1e300, &number, &error),
                         SAC_ERROR_FORMAT, &error, "boxes.csv", "'x'", "finite number", NULL);
        cr_assert_eq(error.position, row + 2);
    }
    for (int row = 1; row < 4; row++) {
        error = (sac_error){0};
        sac_assert_error(sac_csv_integer(csv, row, 0, 0, 100, &integer, &error), SAC_ERROR_FORMAT,
                         &error, "'frame'", "integer", NULL);
    }
    error = (sac_error){0};
    sac_assert_error(sac_csv_number(csv, 1, 1, 0, 640, &number, &error), SAC_ERROR_FORMAT, &error,
                     "line 3", "1e9", "640", NULL);
    error = (sac_error){0};
    sac_assert_error(sac_csv_integer(csv, 0, 0, 2, 9, &integer, &error), SAC_ERROR_FORMAT, &error,
                     "line 2", "between 2 and 9", NULL);
    error = (sac_error){0};
    sac_assert_error(sac_csv_integer(csv, 4, 0, 2, 9, &integer, &error), SAC_ERROR_ARGUMENT, &error,
                     "outside", NULL);
    error = (sac_error){0};
    sac_assert_error(sac_csv_number(csv, 0, -1, 2, 9, &number, &error), SAC_ERROR_ARGUMENT, &error,
                     "outside", NULL);
    cr_assert(number == 7 && integer == 7);
    sac_csv_close(&csv);
}

Test(core_csv, files_and_lack_of_memory) {
    const char *path = sac_test_write_text("t.csv", "a,b\n1,2\n");
    sac_csv *csv = NULL;
    sac_error error = {0};
    sac_assert_error(sac_csv_read(&csv, sac_test_path("none.csv"), &error), SAC_ERROR_IO, &error,
                     "none.csv", NULL);
    bool done = false;
    for (int64_t n = 0; n < 20 && !done; n++) {
        error = (sac_error){0};
        sac_memory_fail_after(n);
        sac_status status = sac_csv_read(&csv, path, &error);
        sac_memory_fail_after(-1);
        done = status == SAC_OK;
        if (!done) {
            sac_assert_error(status, SAC_ERROR_MEMORY, &error, "t.csv", NULL);
            cr_assert(csv == NULL);
        }
    }
    cr_assert(done);
    cr_assert_eq(sac_csv_rows(csv), 1);
    sac_csv_close(&csv);
}
