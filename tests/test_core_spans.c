// UBnormal's lists of abnormal objects.
#include "core/spans.h"

#include <criterion/criterion.h>
#include <string.h>

#include "core/memory.h"
#include "helper.h"

static int64_t parse(sac_span **spans, const char *text) {
    sac_error error = {0};
    int64_t count = -1;
    sac_assert_ok(sac_spans_parse(spans, &count, text, strlen(text), "t.txt", "c", 100, &error),
                  &error);
    return count;
}

Test(core_spans, what_is_read) {
    sac_span *s = NULL;
    cr_assert_eq(parse(&s, "7,10,20\n255, 0 ,99\r\n\n7 30 30"), 3);
    cr_assert(s[0].id == 7 && s[0].first == 10 && s[0].last == 20);
    cr_assert(s[1].id == 255 && s[1].first == 0 && s[1].last == 99);
    cr_assert(s[2].id == 7 && s[2].first == 30 && s[2].last == 30);
    sac_free(s);
    cr_assert_eq(parse(&s, "1.000000000000000000e+00,2.0,3.0\n"), 1); // numpy's savetxt
    cr_assert(s[0].id == 1 && s[0].first == 2 && s[0].last == 3);
    sac_free(s);
    cr_assert_eq(parse(&s, ""), 0);
    sac_free(s);
    cr_assert_eq(parse(&s, "\n \n"), 0);
    sac_free(s);
}

Test(core_spans, what_is_refused) {
    static const char *const bad[][3] = {{"1,2", "line 1", "three integers"},
                                         {"1,2,3,4", "line 1", "three integers"},
                                         {"1,2,3\n1,x,3", "line 2", "three integers"},
                                         {"1,2.5,3", "line 1", "three integers"},
                                         {"0,2,3", "line 1", "1 to 255"},
                                         {"256,2,3", "line 1", "1 to 255"},
                                         {"1,5,4", "clip 'c'", "5 to 4"},
                                         {"1,-1,4", "clip 'c'", "-1 to 4"},
                                         {"\n1,90,100", "clip 'c' has 100 frames", "line 2"},
                                         {"1,2,1e300", "line 1", ""}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        sac_error error = {0};
        sac_span *s = NULL;
        int64_t count;
        sac_assert_error(
            sac_spans_parse(&s, &count, bad[i][0], strlen(bad[i][0]), "t.txt", "c", 100, &error),
            SAC_ERROR_FORMAT, &error, "t.txt", bad[i][1], bad[i][2], NULL);
        cr_assert_null(s);
    }
    sac_error error = {0};
    sac_span *s = NULL;
    int64_t count;
    sac_assert_error(sac_spans_parse(&s, &count, "1,2\0,3", 6, "t.txt", "c", 9, &error),
                     SAC_ERROR_FORMAT, &error, "zero byte", NULL);
    error = (sac_error){0};
    sac_assert_error(sac_spans_read(&s, &count, sac_test_path("none"), "c", 9, &error),
                     SAC_ERROR_IO, &error, "none", NULL);
}

Test(core_spans, lack_of_memory) {
    for (int64_t n = 0;; n++) {
        sac_error error = {0};
        sac_span *s = NULL;
        int64_t count;
        char text[40 * 8 + 1] = "";
        for (int i = 0; i < 40; i++) memcpy(text + 8 * i, "1,2,003\n", 8);
        sac_memory_fail_after(n);
        sac_status status =
            sac_spans_parse(&s, &count, text, sizeof text - 1, "t.txt", "c", 9, &error);
        sac_memory_fail_after(-1);
        if (status == SAC_OK) {
            cr_assert_eq(count, 40);
            cr_assert_geq(n, 3);
            sac_free(s);
            break;
        }
        cr_assert_eq(status, SAC_ERROR_MEMORY);
    }
}
