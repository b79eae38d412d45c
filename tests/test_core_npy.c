// .npy: every dtype and header form, exact refusals, truncation at every length.
#include <criterion/criterion.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "core/file.h"
#include "core/memory.h"
#include "core/npy.h"
#include "helper.h"

TestSuite(core_npy, .fini = sac_test_folder_remove);

typedef struct bytes {
    uint8_t data[1024];
    size_t size;
} bytes;

// A file of format `major` with this header dictionary and these data.
static bytes build(int major, const char *header, const void *data, size_t size) {
    bytes file = {.data = {0x93, 'N', 'U', 'M', 'P', 'Y', (uint8_t)major, 0}};
    size_t length = strlen(header);
    file.data[8] = (uint8_t)(length & 255);
    file.data[9] = (uint8_t)(length >> 8);
    file.size = major == 1 ? 10 : 12;
    memcpy(file.data + file.size, header, length);
    file.size += length;
    if (size > 0) memcpy(file.data + file.size, data, size);
    file.size += size;
    return file;
}

static sac_status parse(sac_npy *npy, const bytes *file, sac_error *error) {
    // An exact-size copy: the sanitizer then sees a read behind the end.
    uint8_t *copy = sac_calloc((int64_t)file->size, 1);
    memcpy(copy, file->data, file->size);
    sac_status status = sac_npy_parse(npy, copy, file->size, "maps.npy", error);
    sac_free(copy);
    return status;
}

static void check_values(const char *descr, const void *data, size_t size, const float *expected,
                         int count) {
    for (int major = 1; major <= 3; major++) {
        char header[128];
        snprintf(header, sizeof header,
                 "{'descr': '%s', 'fortran_order': False, 'shape': (%d,), }\n", descr, count);
        bytes file = build(major, header, data, size);
        sac_npy npy;
        sac_error error = {0};
        sac_assert_ok(parse(&npy, &file, &error), &error);
        cr_assert(npy.ndims == 1 && npy.dims[0] == count && npy.count == count);
        for (int i = 0; i < count; i++) {
            cr_assert(npy.data[i] == expected[i], "%s[%d]: %g, expected %g", descr, i,
                      (double)npy.data[i], (double)expected[i]);
            cr_assert_eq(signbit(npy.data[i]) != 0, signbit(expected[i]) != 0, "%s[%d] sign", descr,
                         i);
        }
        sac_npy_close(&npy);
        cr_assert(npy.data == NULL);
    }
}

Test(core_npy, every_type) {
    check_values("<f4", (float[]){1.5f, -0.0f, 3e38f}, 12, (float[]){1.5f, -0.0f, 3e38f}, 3);
    check_values("<f8", (double[]){1.5, -0.1, 1e300}, 24, (float[]){1.5f, -0.1f, INFINITY}, 3);
    // Half: 1, -2, largest 65504, smallest subnormal, largest subnormal, -0, infinity.
    check_values("<f2", (uint16_t[]){0x3C00, 0xC000, 0x7BFF, 0x0001, 0x03FF, 0x8000, 0x7C00}, 14,
                 (float[]){1, -2, 65504, 0x1p-24f, 1023 * 0x1p-24f, -0.0f, INFINITY}, 7);
    check_values("|i1", (int8_t[]){-128, 0, 127}, 3, (float[]){-128, 0, 127}, 3);
    check_values("<i1", (int8_t[]){-128, 0, 127}, 3, (float[]){-128, 0, 127}, 3);
    check_values("<i2", (int16_t[]){-32768, 1, 32767}, 6, (float[]){-32768, 1, 32767}, 3);
    check_values("<i4", (int32_t[]){INT32_MIN, 5}, 8, (float[]){-2147483648.0f, 5}, 2);
    check_values("<i8", (int64_t[]){INT64_MIN, 5}, 16, (float[]){-9223372036854775808.0f, 5}, 2);
    check_values("|u1", (uint8_t[]){0, 255}, 2, (float[]){0, 255}, 2);
    check_values("<u2", (uint16_t[]){0, 65535}, 4, (float[]){0, 65535}, 2);
    check_values("<u4", (uint32_t[]){0, UINT32_MAX}, 8, (float[]){0, 4294967296.0f}, 2);
    check_values("<u8", (uint64_t[]){7, UINT64_MAX}, 16, (float[]){7, 18446744073709551616.0f}, 2);
    check_values("|b1", (uint8_t[]){0, 1}, 2, (float[]){0, 1}, 2);
    // NaN stays NaN; whoever uses the values decides about it.
    bytes file = build(1, "{'descr': '<f2', 'fortran_order': False, 'shape': (1,)}",
                       (uint16_t[]){0x7E00}, 2);
    sac_npy npy;
    sac_error error = {0};
    sac_assert_ok(parse(&npy, &file, &error), &error);
    cr_assert(isnan(npy.data[0]));
    sac_npy_close(&npy);
}

Test(core_npy, header_forms) {
    static const struct {
        const char *header;
        int ndims;
        int64_t dims[3];
    } good[] = {
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2, 3), }    \n", 3, {1, 2, 3}},
        {"{\"shape\":(1,2,3),\"fortran_order\":False,\"descr\":\"<f4\"}", 3, {1, 2, 3}},
        {" { 'shape' : ( 2L , 3L ) , 'descr' : '<f4' , 'fortran_order' : False } ", 2, {2, 3, 0}},
        {"{'descr': '<f4', 'fortran_order': True, 'shape': (6,)}", 1, {6, 0, 0}}};
    float data[6] = {1, 2, 3, 4, 5, 6};
    for (int i = 0; i < 4; i++) {
        bytes file = build(1, good[i].header, data, sizeof data);
        sac_npy npy;
        sac_error error = {0};
        sac_assert_ok(parse(&npy, &file, &error), &error);
        cr_assert_eq(npy.ndims, good[i].ndims);
        for (int d = 0; d < npy.ndims; d++) cr_assert_eq(npy.dims[d], good[i].dims[d]);
        cr_assert_eq(memcmp(npy.data, data, sizeof data), 0);
        sac_npy_close(&npy);
    }
    bytes scalar = build(1, "{'descr': '<f4', 'fortran_order': False, 'shape': ()}", data, 4);
    bytes empty =
        build(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904, 0, 16)}",
              data, 0);
    sac_npy npy;
    sac_error error = {0};
    sac_assert_ok(parse(&npy, &scalar, &error), &error);
    cr_assert(npy.ndims == 0 && npy.count == 1 && npy.data[0] == 1);
    sac_npy_close(&npy);
    sac_assert_ok(parse(&npy, &empty, &error), &error);
    cr_assert(npy.ndims == 3 && npy.count == 0 && npy.data != NULL);
    sac_npy_close(&npy);
}

Test(core_npy, hostile_headers) {
    static const char *const bad[] = {
        "",
        "{",
        "{}",
        "{'descr': '<f4'}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1,)} x",
        "{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (1,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), 'more': 1}",
        "{'descr': '<f4', 'fortran_order': 0, 'shape': (1,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': 1}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1,,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,1,1)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2,)}",
        "{'descr': '<f4', 'fortran_order': True, 'shape': (1, 1)}",
        "{'descr': '>f4', 'fortran_order': False, 'shape': (1,)}",
        "{'descr': '|f4', 'fortran_order': False, 'shape': (1,)}",
        "{'descr': '<c8', 'fortran_order': False, 'shape': (1,)}",
        "{'descr': '|O', 'fortran_order': False, 'shape': (1,)}",
        "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,)}",
        "{'descr': '<f4\\'', 'fortran_order': False, 'shape': (1,)}",
        "{'descr': '<f4, 'fortran_order': False, 'shape': (1,)}",
        "{'a very long key that no header has, longer than the buffer': 1}",
    };
    float one = 1;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        bytes file = build(1, bad[i], &one, 4);
        sac_npy npy;
        sac_error error = {0};
        sac_assert_error(parse(&npy, &file, &error), SAC_ERROR_FORMAT, &error, "maps.npy", NULL);
        cr_assert(npy.data == NULL);
        if (i >= 17 && i < 18) cr_assert(strstr(error.message, "Fortran") != NULL);
        if (i >= 18 && i < 22)
            cr_assert(strstr(error.message, i == 21 ? "pickle" : "type") != NULL, "%s",
                      error.message);
    }
}

Test(core_npy, every_truncation_and_extra_bytes_are_noticed) {
    float data[4] = {1, 2, 3, 4};
    for (int major = 1; major <= 2; major++) {
        bytes file = build(major, "{'descr': '<f4', 'fortran_order': False, 'shape': (4,)}", data,
                           sizeof data);
        size_t whole = file.size;
        for (size_t size = 0; size <= whole + 4; size++) {
            file.size = size;
            sac_npy npy;
            sac_error error = {0};
            sac_status status = parse(&npy, &file, &error);
            if (size == whole) {
                sac_assert_ok(status, &error);
            } else {
                sac_assert_error(status, SAC_ERROR_FORMAT, &error, "maps.npy", NULL);
            }
            sac_npy_close(&npy);
        }
    }
    bytes file =
        build(4, "{'descr': '<f4', 'fortran_order': False, 'shape': (4,)}", data, sizeof data);
    sac_npy npy;
    sac_error error = {0};
    sac_assert_error(parse(&npy, &file, &error), SAC_ERROR_FORMAT, &error, "version 4", NULL);
    file = build(2, "{}", NULL, 0);
    file.data[11] = 0x80; // header of 2 GiB
    error = (sac_error){0};
    sac_assert_error(parse(&npy, &file, &error), SAC_ERROR_FORMAT, &error, "header", NULL);
}

Test(core_npy, writing_and_reading_back_is_exact) {
    const char *path = sac_test_path("a.npy");
    float data[24];
    for (int i = 0; i < 24; i++) data[i] = (float)i / 7.0f;
    static const int64_t shapes[][8] = {{24}, {2, 12}, {2, 3, 4}, {1, 1, 1, 1, 2, 2, 3, 2}};
    static const int ndims[] = {1, 2, 3, 8};
    for (int i = 0; i < 4; i++) {
        sac_error error = {0};
        sac_npy npy;
        sac_assert_ok(sac_npy_write(path, data, ndims[i], shapes[i], &error), &error);
        uint8_t *raw;
        size_t size;
        sac_assert_ok(sac_file_read(&raw, &size, path, 4096, &error), &error);
        cr_assert_eq((size - sizeof data) % 64, 0,
                     "the data of a NumPy file start at a multiple of 64");
        cr_assert_eq(raw[size - sizeof data - 1], '\n');
        sac_free(raw);
        sac_assert_ok(sac_npy_read(&npy, path, &error), &error);
        cr_assert_eq(npy.ndims, ndims[i]);
        for (int d = 0; d < ndims[i]; d++) cr_assert_eq(npy.dims[d], shapes[i][d]);
        cr_assert_eq(memcmp(npy.data, data, sizeof data), 0);
        sac_npy_close(&npy);
    }
    sac_error error = {0};
    sac_npy npy;
    sac_assert_ok(sac_npy_write(path, data, 0, NULL, &error), &error);
    sac_assert_ok(sac_npy_read(&npy, path, &error), &error);
    cr_assert(npy.ndims == 0 && npy.data[0] == data[0]);
    sac_npy_close(&npy);
    sac_assert_ok(sac_npy_write(path, data, 2, (int64_t[]){0, 16}, &error), &error);
    sac_assert_ok(sac_npy_read(&npy, path, &error), &error);
    cr_assert(npy.ndims == 2 && npy.count == 0);
    sac_npy_close(&npy);
    sac_assert_error(sac_npy_write(path, data, 9, shapes[3], &error), SAC_ERROR_ARGUMENT, &error,
                     "9", NULL);
    error = (sac_error){0};
    sac_assert_error(sac_npy_write(path, data, 1, (int64_t[]){-1}, &error), SAC_ERROR_ARGUMENT,
                     &error, "-1", NULL);
    error = (sac_error){0};
    sac_assert_error(sac_npy_write("/dev/full", data, 1, (int64_t[]){24}, &error), SAC_ERROR_IO,
                     &error, "/dev/full", NULL);
    error = (sac_error){0};
    sac_assert_error(sac_npy_read(&npy, sac_test_path("none"), &error), SAC_ERROR_IO, &error,
                     "none", NULL);
    cr_assert_eq(sac_test_folder_count(), 1);
}

Test(core_npy, lack_of_memory) {
    const char *path = sac_test_path("a.npy");
    float data[3] = {1, 2, 3};
    for (int operation = 0; operation < 2; operation++) {
        bool done = false;
        for (int64_t n = 0; n < 20 && !done; n++) {
            sac_npy npy = {0};
            sac_error error = {0};
            sac_memory_fail_after(n);
            sac_status status = operation == 0
                                    ? sac_npy_write(path, data, 1, (int64_t[]){3}, &error)
                                    : sac_npy_read(&npy, path, &error);
            sac_memory_fail_after(-1);
            done = status == SAC_OK;
            if (!done) sac_assert_error(status, SAC_ERROR_MEMORY, &error, "a.npy", NULL);
            sac_npy_close(&npy);
        }
        cr_assert(done);
    }
    sac_npy_close(NULL);
}

Test(core_npy, slabs_of_a_file) {
    float data[2 * 3 * 4], slab[12];
    int64_t dims[SAC_NPY_MAX_DIMS];
    sac_error error = {0};
    sac_npy_file *file = NULL;
    for (int i = 0; i < 24; i++) data[i] = (float)i;
    const char *path = sac_test_path("slabs.npy");
    sac_assert_ok(sac_npy_write(path, data, 3, (const int64_t[]){2, 3, 4}, &error), &error);
    sac_assert_ok(sac_npy_open(&file, path, &error), &error);
    cr_assert_eq(sac_npy_shape(file, dims), 3);
    cr_assert(dims[0] == 2 && dims[1] == 3 && dims[2] == 4);
    for (int k = 0; k < 4; k++) {
        sac_assert_ok(sac_npy_read_slab(file, k % 2, slab, &error), &error);
        cr_assert_eq(memcmp(slab, data + 12 * (k % 2), sizeof slab), 0);
    }
    sac_assert_error(sac_npy_read_slab(file, 2, slab, &error), SAC_ERROR_ARGUMENT, &error,
                     "slabs.npy", NULL);
    error = (sac_error){0};
    sac_npy_file_close(&file);
    static float large[2][16384], part[16384]; // larger than what stdio keeps
    sac_assert_ok(sac_npy_write(path, large[0], 2, (const int64_t[]){2, 16384}, &error), &error);
    sac_assert_ok(sac_npy_open(&file, path, &error), &error);
    cr_assert_eq(truncate(path, 70000), 0); // behind the reader's back
    sac_assert_error(sac_npy_read_slab(file, 1, part, &error), SAC_ERROR_IO, &error, "slab 1",
                     NULL);
    sac_npy_file_close(&file);
    cr_assert_null(file);
    sac_npy_file_close(NULL);
    error = (sac_error){0};
    sac_assert_error(sac_npy_open(&file, path, &error), SAC_ERROR_FORMAT, &error, "slabs.npy",
                     NULL);
    error = (sac_error){0};
    sac_assert_error(sac_npy_open(&file, sac_test_folder(), &error), SAC_ERROR_IO, &error, NULL);
    error = (sac_error){0};
    sac_assert_ok(sac_npy_write(path, data, 0, NULL, &error), &error);
    sac_assert_error(sac_npy_open(&file, path, &error), SAC_ERROR_FORMAT, &error, "scalar", NULL);
    sac_assert_ok(sac_npy_write(path, data, 1, (const int64_t[]){3}, &error), &error);
    for (int64_t n = 0;; n++) {
        error = (sac_error){0};
        sac_memory_fail_after(n);
        sac_status status = sac_npy_open(&file, path, &error);
        sac_memory_fail_after(-1);
        if (status == SAC_OK) break;
        cr_assert(status == SAC_ERROR_MEMORY && file == NULL);
    }
    sac_assert_ok(sac_npy_read_slab(file, 2, slab, &error), &error);
    cr_assert_eq(slab[0], 2);
    sac_npy_file_close(&file);
}
