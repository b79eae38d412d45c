// Typed access to JSON: every type, range and missing key with its message; atomic writing; finite
// or null.
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "core/file.h"
#include "core/json.h"
#include "core/memory.h"
#include "helper.h"

TestSuite(core_json, .fini = sac_test_folder_remove);

static json_t *parse(const char *text) {
    json_t *json = NULL;
    sac_error error = {0};
    sac_assert_ok(sac_json_parse(&json, text, strlen(text), "test", &error), &error);
    return json;
}

Test(core_json, members_by_type) {
    json_t *json =
        parse("{\"i\": -3, \"r\": 2.5, \"t\": \"x\", \"b\": true, \"a\": [1], \"o\": {\"k\": 1}}");
    int64_t i = 0;
    double r = 0, from_int = 0;
    const char *t = NULL;
    bool b = false;
    json_t *a = NULL, *o = NULL;
    sac_error error = {0};
    sac_assert_ok(sac_json_get_int(json, "i", -3, 3, &i, "f", &error), &error);
    sac_assert_ok(sac_json_get_real(json, "r", 2.5, 2.5, &r, "f", &error), &error);
    sac_assert_ok(sac_json_get_real(json, "i", -10, 10, &from_int, "f", &error), &error);
    sac_assert_ok(sac_json_get_text(json, "t", &t, "f", &error), &error);
    sac_assert_ok(sac_json_get_bool(json, "b", &b, "f", &error), &error);
    sac_assert_ok(sac_json_get_array(json, "a", &a, "f", &error), &error);
    sac_assert_ok(sac_json_get_object(json, "o", &o, "f", &error), &error);
    cr_assert(i == -3 && r == 2.5 && from_int == -3.0 && strcmp(t, "x") == 0 && b &&
              json_array_size(a) == 1 && json_object_size(o) == 1);
    json_decref(json);
}

// What becomes of bytes that are not UTF-8 is sac_text_utf8's business.
Test(core_json, foreign_texts_are_repaired) {
    static const char *const texts[][2] = {
        {"sc\xE9ne", "sc\xEF\xBF\xBDne"}, {"sc\xC3\xA8ne", "sc\xC3\xA8ne"}, {"", ""}};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        json_t *json = sac_json_text(texts[i][0]);
        cr_assert_str_eq(json_string_value(json), texts[i][1]);
        json_decref(json);
    }
    json_t *none = sac_json_text(NULL);
    cr_assert(json_is_null(none));
    sac_memory_fail_after(0);
    none = sac_json_text("x");
    sac_memory_fail_after(-1);
    cr_assert_null(none);
}

Test(core_json, wrong_members_say_file_key_and_expectation) {
    json_t *json = parse("{\"i\": 5, \"r\": 2.5, \"t\": \"x\", \"n\": null}");
    int64_t i = 77;
    double r = 77;
    const char *t = NULL;
    bool b = false;
    json_t *c = NULL;
    sac_error error = {0};
#define BAD(call, ...)                                                                             \
    error = (sac_error){0};                                                                        \
    sac_assert_error(call, SAC_ERROR_FORMAT, &error, "model.json", __VA_ARGS__, NULL)
    BAD(sac_json_get_int(json, "none", 0, 9, &i, "model.json", &error), "\"none\"", "missing");
    BAD(sac_json_get_int(json, "i", 6, 9, &i, "model.json", &error), "\"i\"", "5", "from 6 to 9");
    BAD(sac_json_get_int(json, "r", 0, 9, &i, "model.json", &error), "\"r\"", "integer");
    BAD(sac_json_get_real(json, "r", 0, 1, &r, "model.json", &error), "\"r\"", "2.5");
    BAD(sac_json_get_real(json, "t", 0, 1, &r, "model.json", &error), "\"t\"", "number");
    BAD(sac_json_get_text(json, "n", &t, "model.json", &error), "\"n\"", "null", "text");
    BAD(sac_json_get_bool(json, "i", &b, "model.json", &error), "true or false");
    BAD(sac_json_get_array(json, "i", &c, "model.json", &error), "array");
    BAD(sac_json_get_object(json, "i", &c, "model.json", &error), "object");
    BAD(sac_json_get_object(NULL, "i", &c, "model.json", &error), "object");
    BAD(sac_json_get_int(json_object_get(json, "t"), "i", 0, 9, &i, "model.json", &error), "text");
    cr_assert(i == 77 && r == 77 && t == NULL && !b && c == NULL);
    json_decref(json);
}

Test(core_json, broken_text_names_line_and_column) {
    static const char *const broken[] = {"",
                                         "{",
                                         "{\"a\": 1,}",
                                         "{\"a\": 1 \"b\": 2}",
                                         "[1, 2",
                                         "nul",
                                         "{\"a\": 1} x",
                                         "{\"a\": 1, \"a\": 2}",
                                         "\xFF",
                                         "{\"a\": 1e999}",
                                         "{\"a\": 99999999999999999999}"};
    for (int i = 0; i < 11; i++) {
        json_t *json = NULL;
        sac_error error = {0};
        sac_assert_error(sac_json_parse(&json, broken[i], strlen(broken[i]), "file.json", &error),
                         SAC_ERROR_FORMAT, &error, "file.json", "line", "column", NULL);
        cr_assert(json == NULL);
    }
    // Nesting far beyond any real file must be refused, not recursed into until the stack ends.
    enum { DEPTH = 100000 };
    char *deep = sac_calloc(DEPTH, 1);
    memset(deep, '[', DEPTH);
    json_t *json = NULL;
    sac_error error = {0};
    sac_assert_error(sac_json_parse(&json, deep, DEPTH, "deep", &error), SAC_ERROR_FORMAT, &error,
                     "deep", NULL);
    sac_free(deep);
}

Test(core_json, writing_and_reading_back_is_exact) {
    const char *path = sac_test_path("out.json");
    json_t *json = json_object();
    json_object_set_new(json, "pi", sac_json_number(3.14159265358979323846));
    json_object_set_new(json, "tenth", sac_json_number(0.1));
    json_object_set_new(json, "nan", sac_json_number(NAN));
    json_object_set_new(json, "inf", sac_json_number(-INFINITY));
    sac_error error = {0};
    sac_assert_ok(sac_json_write(json, path, &error), &error);
    json_t *back = NULL;
    sac_assert_ok(sac_json_read(&back, path, &error), &error);
    cr_assert(json_equal(json, back));
    cr_assert(json_is_null(json_object_get(back, "nan")) &&
              json_is_null(json_object_get(back, "inf")));
    json_decref(back);
    uint8_t *text;
    size_t size;
    sac_assert_ok(sac_file_read(&text, &size, path, 1000, &error), &error);
    cr_assert_eq(text[size - 1], '\n');
    sac_free(text);
    sac_assert_error(sac_json_write(json, "/dev/full", &error), SAC_ERROR_IO, &error, "/dev/full",
                     NULL);
    error = (sac_error){0};
    sac_assert_error(sac_json_write(NULL, path, &error), SAC_ERROR_MEMORY, &error, NULL);
    error = (sac_error){0};
    sac_assert_error(sac_json_read(&back, sac_test_path("none"), &error), SAC_ERROR_IO, &error,
                     "none", NULL);
    json_decref(json);
    cr_assert_eq(sac_test_folder_count(), 1);
}

Test(core_json, lack_of_memory) {
    const char *path = sac_test_write_text("in.json", "{\"a\": 1}");
    json_t *json = json_object();
    for (int operation = 0; operation < 2; operation++) {
        bool done = false;
        for (int64_t n = 0; n < 20 && !done; n++) {
            json_t *read = NULL;
            sac_error error = {0};
            sac_memory_fail_after(n);
            sac_status status = operation == 0 ? sac_json_read(&read, path, &error)
                                               : sac_json_write(json, sac_test_path("o"), &error);
            sac_memory_fail_after(-1);
            done = status == SAC_OK;
            if (!done) sac_assert_error(status, SAC_ERROR_MEMORY, &error, "memory", NULL);
            cr_assert(done || read == NULL);
            json_decref(read);
        }
        cr_assert(done);
    }
    json_decref(json);
}
