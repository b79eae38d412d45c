// Status names, first cause wins, messages cut without breaking UTF-8.
#include <criterion/criterion.h>
#include <string.h>

#include "core/check.h"
#include "helper.h"
#include "saccade/version.h"

Test(core_status, every_code_has_a_name_of_its_own) {
    static const int codes[] = {0, 1, 2, -1, -2, -3, -4, -5, -6, -7, -8, -9};
    enum { COUNT = sizeof codes / sizeof *codes };
    for (int i = 0; i < COUNT; i++) {
        const char *name = sac_status_name((sac_status)codes[i]);
        cr_assert(name != NULL && name[0] != '\0');
        cr_assert_str_neq(name, "unknown status");
        for (int j = 0; j < i; j++) cr_assert_str_neq(name, sac_status_name((sac_status)codes[j]));
    }
    cr_assert_str_eq(sac_status_name((sac_status)-1000), "unknown status");
}

Test(core_status, first_cause_wins) {
    sac_error error = {0};
    cr_assert_eq(sac_error_set(&error, SAC_ERROR_IO, 7, "%s %d", "first", 1), SAC_ERROR_IO);
    cr_assert_eq(sac_error_set(&error, SAC_ERROR_FORMAT, 8, "second"), SAC_ERROR_FORMAT);
    cr_assert_eq(error.code, SAC_ERROR_IO);
    cr_assert_eq(error.position, 7);
    cr_assert_str_eq(error.message, "first 1");
    cr_assert_eq(sac_error_set(NULL, SAC_ERROR_SHAPE, 0, "nobody reads it"), SAC_ERROR_SHAPE);
}

Test(core_status, long_messages_end_in_whole_characters) {
    // Every cut position inside "€" (three bytes) and "😀" (four) is met once.
    static const char *const letters[] = {"\xE2\x82\xAC", "\xF0\x9F\x98\x80", "\xC3\xA4"};
    for (int l = 0; l < 3; l++) {
        size_t width = strlen(letters[l]);
        for (size_t shift = 0; shift < width; shift++) {
            char text[3000] = "";
            memset(text, 'x', shift);
            for (size_t at = shift; at + width < sizeof text; at += width)
                memcpy(text + at, letters[l], width);
            sac_error error = {0};
            cr_assert_eq(sac_error_set(&error, SAC_ERROR_FORMAT, -1, "%s", text), SAC_ERROR_FORMAT);
            size_t length = strlen(error.message);
            cr_assert(length < sizeof error.message && length > sizeof error.message - 5);
            cr_assert_eq((length - shift) % width, 0, "cut inside a character: length %zu", length);
        }
    }
}

Test(core_status, messages_are_printable_utf8) {
    static const struct {
        const char *given, *shown;
    } cases[] = {{"a\x1B[31mred", "a?[31mred"},
                 {"tab\tand\nline", "tab and line"},
                 {"\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80", "\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80"},
                 {"x\xFFy\x80z", "x?y?z"},
                 {"\xC0\xAF", "??"},           // overlong
                 {"\xED\xA0\x80", "???"},      // surrogate
                 {"\xF4\x90\x80\x80", "????"}, // above U+10FFFF
                 {"\xE2\x82", "??"},           // cut by the one who gave it
                 {"\x7F\x01", "??"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        sac_error error = {0};
        cr_assert_eq(sac_error_set(&error, SAC_ERROR_FORMAT, -1, "%s", cases[i].given),
                     SAC_ERROR_FORMAT);
        cr_assert_str_eq(error.message, cases[i].shown, "case %zu", i);
    }
}

Test(core_status, size_products_are_checked) {
    int64_t out = 0;
    cr_assert(sac_mul(3, 4, &out) && out == 12);
    cr_assert(sac_mul(INT64_MAX, 1, &out) && out == INT64_MAX);
    cr_assert(!sac_mul(INT64_MAX, 2, &out));
    cr_assert(!sac_mul(-1, 2, &out));
    cr_assert(!sac_mul(2, -1, &out));
    cr_assert(sac_add(INT64_MAX, 0, &out) && !sac_add(INT64_MAX, 1, &out));
}

Test(core_status, version_has_three_numbers) {
    int dots = 0;
    for (const char *c = sac_version(); *c != '\0'; c++) {
        cr_assert(*c == '.' || (*c >= '0' && *c <= '9'));
        dots += *c == '.';
    }
    cr_assert_eq(dots, 2);
    cr_assert(sac_commit() != NULL);
}
