// UCSD range files: the statements that occur, and clear refusal of everything else.
#include <criterion/criterion.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "core/memory.h"
#include "core/ranges.h"
#include "helper.h"

TestSuite(core_ranges, .fini = sac_test_folder_remove);

Test(core_ranges, reads_entries_in_order) {
    static const char text[] = "% frame-level ground truth\n"
                               "TestVideoFile = {};\r\n"
                               "\n"
                               "TestVideoFile{end+1}.gt_frame = [61:180];\n"
                               "TestVideoFile{end+1}.gt_frame = [5:90, 140:200];\n"
                               "  TestVideoFile{ end + 1 }.gt_frame=[1 3:3,7 ]   % three\n"
                               "TestVideoFile{end+1}.gt_frame = [];\n"
                               "TestVideoFile{end+1}.gt_frame = [2:4]";
    static const int64_t expected[][3] = {{0, 61, 180}, {1, 5, 90}, {1, 140, 200}, {2, 1, 1},
                                          {2, 3, 3},    {2, 7, 7},  {4, 2, 4}};
    sac_range *ranges = NULL;
    int64_t count, clips;
    sac_error error = {0};
    sac_assert_ok(sac_ranges_parse(&ranges, &count, &clips, text, sizeof text - 1, "gt.m", &error),
                  &error);
    cr_assert_eq(clips, 5);
    cr_assert_eq(count, 7);
    for (int i = 0; i < 7; i++) {
        cr_assert(ranges[i].clip == expected[i][0] && ranges[i].first == expected[i][1] &&
                      ranges[i].last == expected[i][2],
                  "%d", i);
    }
    sac_free(ranges);
}

Test(core_ranges, only_empty_entries_are_no_error) {
    sac_range *ranges = NULL;
    int64_t count, clips;
    sac_error error = {0};
    static const char text[] = "T{end+1}.gt_frame = [];\nT{end+1}.gt_frame = [];\n";
    sac_assert_ok(sac_ranges_parse(&ranges, &count, &clips, text, sizeof text - 1, "gt.m", &error),
                  &error);
    cr_assert(count == 0 && clips == 2 && ranges != NULL);
    sac_free(ranges);
}

Test(core_ranges, refuses_other_statements_with_the_line) {
    static const char *const bad[] = {"T{end+1}.gt_frame = [180:61];",
                                      "T{end+1}.gt_frame = [0:5];",
                                      "T{end+1}.gt_frame = [1:5",
                                      "T{end+1}.gt_frame = [1:200000000];",
                                      "T{end+1}.gt_frame = [-1];",
                                      "T{end+1}.gt_frame = [1:2:9];",
                                      "T{end+2}.gt_frame = [1];",
                                      "T{end+1}.gt = [1];",
                                      "T{3}.gt_frame = [1];",
                                      "T{end+1}.gt_frame = [1]; x = 2",
                                      "clear all",
                                      "T = 1;",
                                      "T{end+1}.gt_frame [1];",
                                      "T{end+1}.gt_frame = 1;",
                                      "\x01\x02",
                                      "= {}",
                                      "T{end+1}.gt_frame = [99999999999999999999];"};
    for (int i = 0; i < 17; i++) {
        char text[256];
        snprintf(text, sizeof text, "T = {};\nT{end+1}.gt_frame = [1];\n%s\n", bad[i]);
        sac_range *ranges = NULL;
        int64_t count, clips;
        sac_error error = {0};
        sac_assert_error(
            sac_ranges_parse(&ranges, &count, &clips, text, strlen(text), "gt.m", &error),
            SAC_ERROR_FORMAT, &error, "gt.m", "line 3", "expected", NULL);
        cr_assert_eq(error.position, 3);
        cr_assert(ranges == NULL);
    }
    static const char *const empty[] = {"", "\n\n", "% nothing", "T = {};"};
    for (int i = 0; i < 4; i++) {
        sac_range *ranges = NULL;
        int64_t count, clips;
        sac_error error = {0};
        sac_assert_error(
            sac_ranges_parse(&ranges, &count, &clips, empty[i], strlen(empty[i]), "gt.m", &error),
            SAC_ERROR_FORMAT, &error, "gt.m", "no entry", NULL);
    }
}

Test(core_ranges, files_and_lack_of_memory) {
    const char *path = sac_test_write_text(
        "gt.m", "T{end+1}.gt_frame = [1:2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19];\n");
    sac_range *ranges = NULL;
    int64_t count, clips;
    sac_error error = {0};
    sac_assert_error(sac_ranges_read(&ranges, &count, &clips, sac_test_path("none.m"), &error),
                     SAC_ERROR_IO, &error, "none.m", NULL);
    bool done = false;
    for (int64_t n = 0; n < 20 && !done; n++) {
        error = (sac_error){0};
        sac_memory_fail_after(n);
        sac_status status = sac_ranges_read(&ranges, &count, &clips, path, &error);
        sac_memory_fail_after(-1);
        done = status == SAC_OK;
        if (!done) {
            sac_assert_error(status, SAC_ERROR_MEMORY, &error, "gt.m", NULL);
            cr_assert(ranges == NULL);
        }
    }
    cr_assert(done);
    cr_assert_eq(count, 18);
    sac_free(ranges);
}
