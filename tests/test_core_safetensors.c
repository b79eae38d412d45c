// safetensors: round trips, lookup messages, and hostile files: overlap, holes, huge sizes,
// duplicates, every truncation.
#include <criterion/criterion.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "core/file.h"
#include "core/memory.h"
#include "core/safetensors.h"
#include "helper.h"

TestSuite(core_safetensors, .fini = sac_test_folder_remove);

static sac_safetensors *sample(void) {
    sac_safetensors *st = NULL;
    sac_error error = {0};
    float f32[6] = {1, -2, 3.5f, 4, 5, 6};
    double f64 = 0.1;
    uint64_t u64[2] = {UINT64_MAX, 1};
    int64_t i64 = INT64_MIN;
    int32_t i32[2] = {-1, INT32_MAX};
    uint8_t u8[3] = {0, 128, 255};
    int8_t i8[1] = {-128};
    sac_assert_ok(sac_safetensors_create(&st), &error);
    sac_assert_ok(
        sac_safetensors_add(st, "conv.wei", SAC_DTYPE_F32, 2, (int64_t[]){2, 3}, f32, &error),
        &error);
    sac_assert_ok(sac_safetensors_add(st, "u8", SAC_DTYPE_U8, 1, (int64_t[]){3}, u8, &error),
                  &error);
    sac_assert_ok(sac_safetensors_add(st, "scalar", SAC_DTYPE_F64, 0, NULL, &f64, &error), &error);
    sac_assert_ok(
        sac_safetensors_add(st, "empty", SAC_DTYPE_F32, 2, (int64_t[]){0, 7}, f32, &error), &error);
    sac_assert_ok(sac_safetensors_add(st, "u64", SAC_DTYPE_U64, 1, (int64_t[]){2}, u64, &error),
                  &error);
    sac_assert_ok(sac_safetensors_add(st, "i64", SAC_DTYPE_I64, 1, (int64_t[]){1}, &i64, &error),
                  &error);
    sac_assert_ok(sac_safetensors_add(st, "i32", SAC_DTYPE_I32, 1, (int64_t[]){2}, i32, &error),
                  &error);
    sac_assert_ok(
        sac_safetensors_add(st, "\xC3\xA4 \"quoted\"", SAC_DTYPE_I8, 1, (int64_t[]){1}, i8, &error),
        &error);
    sac_assert_ok(sac_safetensors_set_metadata(st, "format", "1", &error), &error);
    sac_assert_ok(sac_safetensors_set_metadata(st, "note", "line\nbreak \xE2\x82\xAC", &error),
                  &error);
    return st;
}

Test(core_safetensors, round_trip_is_exact) {
    const char *path = sac_test_path("m.safetensors");
    sac_safetensors *st = sample(), *back = NULL;
    sac_error error = {0};
    sac_assert_ok(sac_safetensors_write(st, path, &error), &error);
    sac_assert_ok(sac_safetensors_read(&back, path, &error), &error);
    cr_assert_eq(sac_safetensors_count(back), sac_safetensors_count(st));
    for (int64_t i = 0; i < sac_safetensors_count(st); i++) {
        const sac_named_tensor *a = sac_safetensors_at(st, i), *b = sac_safetensors_at(back, i);
        cr_assert_str_eq(a->name, b->name);
        cr_assert(a->dtype == b->dtype && a->ndims == b->ndims && a->count == b->count);
        for (int d = 0; d < a->ndims; d++) cr_assert_eq(a->dims[d], b->dims[d]);
        static const size_t sizes[] = {4, 8, 8, 8, 4, 1, 1};
        cr_assert_eq(memcmp(a->data, b->data, (size_t)a->count * sizes[a->dtype]), 0);
    }
    cr_assert(sac_safetensors_at(back, -1) == NULL && sac_safetensors_at(back, 8) == NULL);
    cr_assert_str_eq(sac_safetensors_metadata(back, "format"), "1");
    cr_assert_str_eq(sac_safetensors_metadata(back, "note"), "line\nbreak \xE2\x82\xAC");
    cr_assert(sac_safetensors_metadata(back, "none") == NULL);
    uint8_t *raw;
    size_t size;
    uint64_t length;
    sac_assert_ok(sac_file_read(&raw, &size, path, 1 << 20, &error), &error);
    memcpy(&length, raw, 8);
    cr_assert_eq((8 + length) % 64, 0, "the data start at a multiple of 64");
    sac_free(raw);
    sac_safetensors_close(&st);
    sac_safetensors_close(&back);
    sac_safetensors_close(&back);
    sac_safetensors_close(NULL);
    cr_assert_eq(sac_test_folder_count(), 1);
}

Test(core_safetensors, an_empty_container_is_a_valid_file) {
    const char *path = sac_test_path("m");
    sac_safetensors *st = NULL;
    sac_error error = {0};
    sac_assert_ok(sac_safetensors_create(&st), &error);
    sac_assert_ok(sac_safetensors_write(st, path, &error), &error);
    sac_safetensors_close(&st);
    sac_assert_ok(sac_safetensors_read(&st, path, &error), &error);
    cr_assert_eq(sac_safetensors_count(st), 0);
    sac_safetensors_close(&st);
}

Test(core_safetensors, adding_refuses_what_cannot_be_stored) {
    sac_safetensors *st = sample();
    float one = 1;
    sac_error error = {0};
#define BAD(call, ...)                                                                             \
    error = (sac_error){0};                                                                        \
    sac_assert_error(call, SAC_ERROR_ARGUMENT, &error, __VA_ARGS__, NULL)
    BAD(sac_safetensors_add(st, "u8", SAC_DTYPE_F32, 0, NULL, &one, &error), "u8", "already");
    BAD(sac_safetensors_add(st, "", SAC_DTYPE_F32, 0, NULL, &one, &error), "name");
    BAD(sac_safetensors_add(st, "__metadata__", SAC_DTYPE_F32, 0, NULL, &one, &error), "name");
    BAD(sac_safetensors_add(st, "\xFF\xFE", SAC_DTYPE_F32, 0, NULL, &one, &error), "name");
    BAD(sac_safetensors_add(st, "x", SAC_DTYPE_F32, 9, (int64_t[9]){1}, &one, &error), "x");
    BAD(sac_safetensors_add(st, "x", SAC_DTYPE_F32, 1, (int64_t[]){-1}, &one, &error), "x");
    BAD(sac_safetensors_add(st, "x", SAC_DTYPE_F32, 2, (int64_t[]){INT64_MAX, 2}, &one, &error),
        "x");
    BAD(sac_safetensors_add(st, "x", (sac_dtype)99, 0, NULL, &one, &error), "x");
    BAD(sac_safetensors_set_metadata(st, "k", "\xFF", &error), "k");
    BAD(sac_safetensors_set_metadata(st, "\xFF", "v", &error), "UTF-8");
    cr_assert_eq(sac_safetensors_count(st), 8);
    error = (sac_error){0};
    sac_assert_ok(sac_safetensors_set_metadata(st, "format", "2", &error), &error);
    cr_assert_str_eq(sac_safetensors_metadata(st, "format"), "2");
    sac_assert_error(sac_safetensors_write(st, "/dev/full", &error), SAC_ERROR_IO, &error,
                     "/dev/full", NULL);
    sac_safetensors_close(&st);
}

Test(core_safetensors, expecting_says_what_was_found) {
    sac_safetensors *st = sample();
    const void *data = NULL;
    sac_error error = {0};
    sac_assert_ok(
        sac_safetensors_expect(st, "conv.wei", SAC_DTYPE_F32, 2, (int64_t[]){2, 3}, &data, &error),
        &error);
    cr_assert(data == sac_safetensors_find(st, "conv.wei")->data);
    sac_assert_error(
        sac_safetensors_expect(st, "conv.wei", SAC_DTYPE_F32, 2, (int64_t[]){3, 2}, &data, &error),
        SAC_ERROR_FORMAT, &error, "conv.wei", "F32 [2][3]", "F32 [3][2]", NULL);
    error = (sac_error){0};
    sac_assert_error(
        sac_safetensors_expect(st, "u8", SAC_DTYPE_I8, 1, (int64_t[]){3}, &data, &error),
        SAC_ERROR_FORMAT, &error, "U8 [3]", "I8 [3]", NULL);
    error = (sac_error){0};
    sac_assert_error(
        sac_safetensors_expect(st, "scalar", SAC_DTYPE_F64, 1, (int64_t[]){1}, &data, &error),
        SAC_ERROR_FORMAT, &error, "F64 []", NULL);
    error = (sac_error){0};
    sac_assert_error(
        sac_safetensors_expect(st, "none", SAC_DTYPE_F32, 1, (int64_t[]){3}, &data, &error),
        SAC_ERROR_FORMAT, &error, "none", "missing", "F32 [3]", NULL);
    error = (sac_error){0};
    sac_assert_error(
        sac_safetensors_expect(st, "none", SAC_DTYPE_F32, 9, (int64_t[9]){3}, &data, &error),
        SAC_ERROR_ARGUMENT, &error, "none", NULL);
    sac_safetensors_close(&st);
}

// Header text and `data_size` bytes behind it as a file in memory; sac_free it.
static uint8_t *build(const char *header, size_t data_size, size_t *size) {
    uint64_t length = strlen(header);
    *size = 8 + (size_t)length + data_size;
    uint8_t *file = sac_calloc((int64_t)*size, 1);
    memcpy(file, &length, 8);
    memcpy(file + 8, header, (size_t)length);
    return file;
}

Test(core_safetensors, hostile_headers) {
    static const struct {
        const char *header;
        size_t data;
        const char *says;
        sac_status status;
    } bad[] = {
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},\"b\":{\"dtype\":\"F32\","
         "\"shape\":[1],\"data_offsets\":[2,6]}}",
         6, "overlap", SAC_ERROR_FORMAT},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},\"b\":{\"dtype\":\"F32\","
         "\"shape\":[1],\"data_offsets\":[0,4]}}",
         4, "overlap", SAC_ERROR_FORMAT},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[8],\"data_offsets\":[0,8]},\"b\":{\"dtype\":\"U8\","
         "\"shape\":[0],\"data_offsets\":[4,4]}}",
         8, "overlap", SAC_ERROR_FORMAT},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}", 8, "belong to no",
         SAC_ERROR_FORMAT},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 8, "behind the last",
         SAC_ERROR_FORMAT},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 4, "4 bytes of data",
         SAC_ERROR_FORMAT},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,8]}}", 8, "need 4",
         SAC_ERROR_FORMAT},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[-4,0]}}", 4, "-4",
         SAC_ERROR_FORMAT},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,0]}}", 4, "4 to 0",
         SAC_ERROR_FORMAT},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,9223372036854775807]}}", 4,
         "9223372036854775807", SAC_ERROR_FORMAT},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[-1],\"data_offsets\":[0,4]}}", 4, "negative",
         SAC_ERROR_FORMAT},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,4]}}", 4,
         "overflows", SAC_ERROR_FORMAT},
        {"{\"a\":{\"dtype\":\"F64\",\"shape\":[2305843009213693952],\"data_offsets\":[0,4]}}", 4,
         "overflows", SAC_ERROR_FORMAT},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1.5],\"data_offsets\":[0,4]}}", 4, "integers",
         SAC_ERROR_FORMAT},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,1,1,1,1,1],\"data_offsets\":[0,4]}}", 4,
         "8 dimensions", SAC_ERROR_FORMAT},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0]}}", 4, "two integers",
         SAC_ERROR_FORMAT},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4,4]}}", 4, "two integers",
         SAC_ERROR_FORMAT},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":\"0,4\"}}", 4, "expected",
         SAC_ERROR_FORMAT},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1]}}", 4, "expected", SAC_ERROR_FORMAT},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4],\"x\":1}}", 4,
         "nothing else", SAC_ERROR_FORMAT},
        {"{\"a\":7}", 4, "expected", SAC_ERROR_FORMAT},
        {"{\"a\":{\"dtype\":\"Q9\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "dtype",
         SAC_ERROR_FORMAT},
        {"{\"a\":{\"dtype\":\"BF16\",\"shape\":[2],\"data_offsets\":[0,4]}}", 4, "BF16",
         SAC_ERROR_UNSUPPORTED},
        {"{\"\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "empty",
         SAC_ERROR_FORMAT},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},\"a\":{\"dtype\":\"U8\","
         "\"shape\":[1],\"data_offsets\":[1,2]}}",
         2, "duplicate", SAC_ERROR_FORMAT},
        {"{\"__metadata__\":{\"k\":\"1\",\"k\":\"2\"}}", 0, "duplicate", SAC_ERROR_FORMAT},
        {"{\"__metadata__\":{\"k\":1}}", 0, "text", SAC_ERROR_FORMAT},
        {"{\"__metadata__\":[]}", 0, "object", SAC_ERROR_FORMAT},
        {"[]", 0, "'{'", SAC_ERROR_FORMAT},
        {"", 4, "'{'", SAC_ERROR_FORMAT},
        {"{\"a\":", 4, "JSON", SAC_ERROR_FORMAT},
        {"{} {}", 0, "JSON", SAC_ERROR_FORMAT},
        {"{\"\\u0000\":1}", 0, "JSON", SAC_ERROR_FORMAT},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        size_t size;
        uint8_t *file = build(bad[i].header, bad[i].data, &size);
        sac_safetensors *st = NULL;
        sac_error error = {0};
        sac_assert_error(sac_safetensors_parse(&st, file, size, "evil.safetensors", &error),
                         bad[i].status, &error, "evil.safetensors", bad[i].says, NULL);
        cr_assert(st == NULL && error.position >= 0);
        sac_free(file);
    }
    // Sizes of the header itself.
    static const uint64_t lengths[] = {UINT64_MAX, INT64_MAX, 100000001, 3, 1, 0};
    for (int i = 0; i < 6; i++) {
        uint8_t file[10] = {0, 0, 0, 0, 0, 0, 0, 0, '{', '}'};
        memcpy(file, &lengths[i], 8);
        sac_safetensors *st = NULL;
        sac_error error = {0};
        sac_assert_error(sac_safetensors_parse(&st, file, sizeof file, "evil", &error),
                         SAC_ERROR_FORMAT, &error, "evil", "byte", NULL);
    }
}

Test(core_safetensors, files_of_others) {
    // Tensors out of order in the header, blanks behind it, data not aligned.
    static const char header[] = "{\"b\":{\"dtype\":\"U8\",\"shape\":[3],\"data_offsets\":[4,7]},"
                                 "\"a\":{\"data_offsets\":[0,4],\"shape\":[1],\"dtype\":\"F32\"},"
                                 "\"__metadata__\":{}}   ";
    size_t size;
    uint8_t *file = build(header, 7, &size);
    float half = 0.5f;
    memcpy(file + size - 7, &half, 4);
    memcpy(file + size - 3, "xyz", 3);
    sac_safetensors *st = NULL;
    sac_error error = {0};
    sac_assert_ok(sac_safetensors_parse(&st, file, size, "theirs", &error), &error);
    cr_assert_str_eq(sac_safetensors_at(st, 0)->name, "a");
    cr_assert_eq(*(float *)sac_safetensors_find(st, "a")->data, 0.5f);
    cr_assert_eq(memcmp(sac_safetensors_find(st, "b")->data, "xyz", 3), 0);
    sac_safetensors_close(&st);
    sac_free(file);
}

Test(core_safetensors, every_truncation_is_noticed) {
    const char *path = sac_test_path("m");
    sac_safetensors *st = sample();
    sac_error error = {0};
    sac_assert_ok(sac_safetensors_write(st, path, &error), &error);
    sac_safetensors_close(&st);
    uint8_t *raw;
    size_t size;
    sac_assert_ok(sac_file_read(&raw, &size, path, 1 << 20, &error), &error);
    for (size_t cut = 0; cut < size; cut++) {
        uint8_t *part = sac_calloc((int64_t)cut, 1);
        memcpy(part, raw, cut);
        error = (sac_error){0};
        sac_assert_error(sac_safetensors_parse(&st, part, cut, "cut", &error), SAC_ERROR_FORMAT,
                         &error, "cut", NULL);
        cr_assert(st == NULL);
        sac_free(part);
    }
    sac_free(raw);
    sac_assert_error(sac_safetensors_read(&st, sac_test_path("none"), &(sac_error){0}),
                     SAC_ERROR_IO, &(sac_error){.code = SAC_ERROR_IO, .message = "x"}, NULL);
}

Test(core_safetensors, lack_of_memory) {
    const char *path = sac_test_path("m");
    sac_safetensors *st = sample(), *back = NULL;
    float one = 1;
    for (int operation = 0; operation < 4; operation++) {
        bool done = false;
        for (int64_t n = 0; n < 100 && !done; n++) {
            sac_error error = {0};
            sac_memory_fail_after(n);
            sac_status status =
                operation == 0   ? sac_safetensors_write(st, path, &error)
                : operation == 1 ? sac_safetensors_read(&back, path, &error)
                : operation == 2
                    ? sac_safetensors_add(st, "new", SAC_DTYPE_F32, 0, NULL, &one, &error)
                    : sac_safetensors_set_metadata(st, "new", "v", &error);
            sac_memory_fail_after(-1);
            done = status == SAC_OK;
            if (!done) sac_assert_error(status, SAC_ERROR_MEMORY, &error, "memory", NULL);
            cr_assert(done || back == NULL || operation > 1);
        }
        cr_assert(done);
    }
    cr_assert(sac_safetensors_find(st, "new") != NULL);
    cr_assert_str_eq(sac_safetensors_metadata(st, "new"), "v");
    sac_safetensors_close(&st);
    sac_safetensors_close(&back);
    sac_memory_fail_after(0);
    cr_assert_eq(sac_safetensors_create(&st), SAC_ERROR_MEMORY);
    sac_memory_fail_after(-1);
}
