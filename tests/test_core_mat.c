// .mat files: every kind of number, cells, both formats, and everything that is refused.
#include "core/mat.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "core/file.h"
#include "core/mat5.h"
#include "core/memory.h"
#include "helper.h"
#include "mat_make.h"

static sac_mat *open_mat(const char *path, const char *variable) {
    sac_error error = {0};
    sac_mat *mat = NULL;
    sac_assert_ok(sac_mat_open(&mat, path, variable, &error), &error);
    return mat;
}

static void expect_matrix(sac_mat *mat, int64_t index, int64_t rows, int64_t cols,
                          const double *values, sac_mat_matrix *m) {
    sac_error error = {0};
    sac_assert_ok(sac_mat_read(mat, index, m, &error), &error);
    cr_assert(m->rows == rows && m->cols == cols, "%lldx%lld", (long long)m->rows,
              (long long)m->cols);
    for (int64_t i = 0; i < rows * cols; i++)
        cr_assert_eq(m->data[i], values[i], "matrix %lld, element %lld: %g", (long long)index,
                     (long long)i, m->data[i]);
}

// gt of a mirror: cells of 2xK, one of them empty, beside another variable.
static const char *write_ranges(const char *name, bool hdf5, bool compressed) {
    const char *path = sac_test_path(name);
    const double first[] = {3, 7, 12, 20}, third[] = {1, 2};
    matvar_t *cells[3] = {mat_doubles(NULL, 2, 2, first), mat_doubles(NULL, 0, 0, NULL),
                          mat_doubles(NULL, 2, 1, third)};
    matvar_t *variables[2] = {mat_doubles("fps", 1, 1, (const double[]){25}),
                              mat_cells("gt", 3, cells)};
    mat_write(path, hdf5, compressed, 2, variables);
    return path;
}

Test(core_mat, cells_of_ranges_in_every_format) {
    for (int kind = 0; kind < 4; kind++) {
        char name[32];
        (void)snprintf(name, sizeof name, "gt%d.mat", kind);
        const char *path = write_ranges(name, kind >= 2, kind % 2 != 0);
        sac_mat *mat = open_mat(path, "gt");
        sac_mat_matrix m = {0};
        cr_assert_eq(sac_mat_count(mat), 3);
        for (int again = 0; again < 2; again++) { // any order, any number of times
            expect_matrix(mat, 2, 2, 1, (const double[]){1, 2}, &m);
            expect_matrix(mat, 0, 2, 2, (const double[]){3, 12, 7, 20}, &m);
            sac_error error = {0};
            sac_assert_ok(sac_mat_read(mat, 1, &m, &error), &error);
            cr_assert(m.rows == 0 || m.cols == 0);
        }
        sac_error error = {0};
        sac_assert_error(sac_mat_read(mat, 3, &m, &error), SAC_ERROR_ARGUMENT, &error, "gt", "3",
                         NULL);
        sac_mat_close(&mat);
        cr_assert_null(mat);
        mat = open_mat(path, "fps");
        cr_assert_eq(sac_mat_count(mat), 1);
        expect_matrix(mat, 0, 1, 1, (const double[]){25}, &m);
        sac_mat_close(&mat);
        sac_mat_matrix_close(&m);
    }
    sac_mat_close(NULL);
    sac_mat_matrix_close(NULL);
}

Test(core_mat, every_kind_of_number) {
    const double d[] = {-1.5, 2, 1e300};
    const float f[] = {-1.5f, 2, 3};
    const int8_t i1[] = {-128, 0, 127};
    const uint8_t u1[] = {0, 1, 255};
    const int16_t i2[] = {-32768, 0, 32767};
    const uint16_t u2[] = {0, 1, 65535};
    const int32_t i4[] = {INT32_MIN, 0, INT32_MAX};
    const uint32_t u4[] = {0, 1, UINT32_MAX};
    const int64_t i8[] = {-(1LL << 52), 0, 1LL << 52};
    const uint64_t u8[] = {0, 1, 1ULL << 53};
    const char *path = sac_test_path("kinds.mat");
    matvar_t *v[] = {mat_matrix("d", MAT_C_DOUBLE, MAT_T_DOUBLE, 1, 3, d, 0),
                     mat_matrix("f", MAT_C_SINGLE, MAT_T_SINGLE, 1, 3, f, 0),
                     mat_matrix("i1", MAT_C_INT8, MAT_T_INT8, 1, 3, i1, 0),
                     mat_matrix("u1", MAT_C_UINT8, MAT_T_UINT8, 3, 1, u1, 0),
                     mat_matrix("i2", MAT_C_INT16, MAT_T_INT16, 1, 3, i2, 0),
                     mat_matrix("u2", MAT_C_UINT16, MAT_T_UINT16, 1, 3, u2, 0),
                     mat_matrix("i4", MAT_C_INT32, MAT_T_INT32, 1, 3, i4, 0),
                     mat_matrix("u4", MAT_C_UINT32, MAT_T_UINT32, 1, 3, u4, 0),
                     mat_matrix("i8", MAT_C_INT64, MAT_T_INT64, 1, 3, i8, 0),
                     mat_matrix("u8", MAT_C_UINT64, MAT_T_UINT64, 1, 3, u8, 0)};
    mat_write(path, false, true, 10, v);
    static const char *const names[] = {"d", "f", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8"};
    const double expected[][3] = {{-1.5, 2, 1e300},
                                  {-1.5, 2, 3},
                                  {-128, 0, 127},
                                  {0, 1, 255},
                                  {-32768, 0, 32767},
                                  {0, 1, 65535},
                                  {INT32_MIN, 0, INT32_MAX},
                                  {0, 1, UINT32_MAX},
                                  {-(double)(1LL << 52), 0, (double)(1LL << 52)},
                                  {0, 1, (double)(1ULL << 53)}};
    sac_mat_matrix m = {0};
    for (int k = 0; k < 10; k++) {
        sac_mat *mat = open_mat(path, names[k]);
        expect_matrix(mat, 0, k == 3 ? 3 : 1, k == 3 ? 1 : 3, expected[k], &m);
        sac_mat_close(&mat);
    }
    cr_assert_eq(m.data[2], 0x1p53, "the last one holds the largest number");
    sac_mat_matrix_close(&m);
}

static void expect_refused(const char *path, const char *variable, sac_status code, const char *a,
                           const char *b) {
    sac_error error = {0};
    sac_mat *mat = NULL;
    sac_assert_error(sac_mat_open(&mat, path, variable, &error), code, &error, a, b, NULL);
    cr_assert_null(mat);
    cr_assert_eq(sac_mat_open(&mat, path, variable, NULL), code);
}

Test(core_mat, refusals) {
    const char *path = write_ranges("gt.mat", false, true);
    expect_refused(path, "volLabel", SAC_ERROR_FORMAT, "no variable 'volLabel'", "'fps', 'gt'");
    expect_refused(sac_test_path("none.mat"), "gt", SAC_ERROR_IO, "none.mat", "");
    expect_refused(sac_test_folder(), "gt", SAC_ERROR_IO, "", "");
    expect_refused(sac_test_write_text("text.mat", "gt = {}"), "gt", SAC_ERROR_FORMAT, "text.mat",
                   "not a .mat file");
    expect_refused(sac_test_write("pickle.mat", "\x80\x04\x95)\0\0\0", 8), "gt", SAC_ERROR_FORMAT,
                   "pickle.mat", "pickle");

    sac_error error = {0};
    sac_mat_matrix m = {0};
    size_t dims[3] = {2, 2, 2};
    const double zeros[8] = {0};
    mat_complex_split_t parts = {.Re = (void *)(uintptr_t)zeros, .Im = (void *)(uintptr_t)zeros};
    matvar_t *cells[] = {
        mat_matrix(NULL, MAT_C_CHAR, MAT_T_UINT8, 1, 3, "abc", 0),
        Mat_VarCreate(NULL, MAT_C_DOUBLE, MAT_T_DOUBLE, 3, dims, (void *)(uintptr_t)zeros, 0),
        mat_matrix(NULL, MAT_C_DOUBLE, MAT_T_DOUBLE, 2, 2, &parts, MAT_F_COMPLEX)};
    matvar_t *v[] = {mat_cells("mixed", 3, cells),
                     mat_matrix("text", MAT_C_CHAR, MAT_T_UINT8, 1, 3, "abc", 0)};
    path = sac_test_path("mixed.mat");
    mat_write(path, false, true, 2, v);
    expect_refused(path, "text", SAC_ERROR_FORMAT, "'text'", "numbers");
    sac_mat *mat = open_mat(path, "mixed");
    static const char *const texts[] = {"real numbers", "two dimensions", "real numbers"};
    for (int i = 0; i < 3; i++) {
        char cell[16];
        (void)snprintf(cell, sizeof cell, "cell %d", i + 1);
        error = (sac_error){0};
        sac_assert_error(sac_mat_read(mat, i, &m, &error), SAC_ERROR_FORMAT, &error, "mixed.mat",
                         cell, texts[i], NULL);
    }
    sac_mat_close(&mat);
    sac_mat_matrix_close(&m);
}

Test(core_mat, cut_short_anywhere) {
    for (int kind = 0; kind < 3; kind++) { // plain, compressed, HDF5
        const char *path = write_ranges("whole.mat", kind == 2, kind == 1);
        uint8_t *bytes = NULL;
        size_t size;
        sac_error error = {0};
        sac_assert_ok(sac_file_read(&bytes, &size, path, 1 << 20, &error), &error);
        for (size_t n = 0; n < size; n += kind == 2 ? 251 : 1) {
            const char *cut = sac_test_write("cut.mat", bytes, n);
            sac_mat *mat = NULL;
            error = (sac_error){0};
            sac_status status = sac_mat_open(&mat, cut, "gt", &error);
            if (status == SAC_OK) { // the end of an HDF5 file may be unused
                cr_assert_eq(kind, 2);
                sac_mat_close(&mat);
            } else {
                cr_assert_eq(status, SAC_ERROR_FORMAT, "%zu bytes: %s", n, error.message);
                cr_assert_not_null(strstr(error.message, "cut.mat"));
            }
        }
        sac_free(bytes);
    }
}

Test(core_mat, lengths_that_lie) {
    const char *path = write_ranges("whole.mat", false, false);
    uint8_t *bytes = NULL;
    size_t size;
    sac_error error = {0};
    sac_assert_ok(sac_file_read(&bytes, &size, path, 1 << 20, &error), &error);
    sac_assert_ok(sac_mat5_check_bytes(bytes, size, "x", &error), &error);
    // Each 4-byte word made absurd in turn: refused, or harmless.
    static const uint32_t absurd[] = {0xFFFFFFFFu, 0x7FFFFFFFu, 0x10000000u, 0};
    int refused = 0;
    for (size_t at = 128; at + 4 <= size; at += 4)
        for (int k = 0; k < 4; k++) {
            uint8_t kept[4];
            memcpy(kept, bytes + at, 4);
            memcpy(bytes + at, &absurd[k], 4);
            const char *changed = sac_test_write("changed.mat", bytes, size);
            sac_mat *mat = NULL;
            error = (sac_error){0};
            if (sac_mat_open(&mat, changed, "gt", &error) < 0) {
                cr_assert_neq(error.message[0], 0);
                refused++;
            } else {
                sac_mat_matrix m = {0};
                for (int64_t i = 0; i < sac_mat_count(mat); i++)
                    if (sac_mat_read(mat, i, &m, &error) < 0) break;
                sac_mat_matrix_close(&m);
                sac_mat_close(&mat);
            }
            memcpy(bytes + at, kept, 4);
        }
    cr_assert_gt(refused, 60);
    sac_free(bytes);
}

Test(core_mat, big_endian_is_checked_alike) {
    // 1x1 u8 variable "a" = 7, by hand.
    static const uint8_t body[] = {0, 0, 0, 14, 0, 0, 0,   48, 0, 0, 0, 6, 0, 0, 0, 8, 0, 0, 0,
                                   9, 0, 0, 0,  0, 0, 0,   0,  5, 0, 0, 0, 8, 0, 0, 0, 1, 0, 0,
                                   0, 1, 0, 1,  0, 1, 'a', 0,  0, 0, 0, 1, 0, 2, 7, 0, 0, 0};
    uint8_t file[128 + sizeof body];
    memset(file, ' ', 124);
    memcpy(file + 124, "\x01\x00MI", 4);
    memcpy(file + 128, body, sizeof body);
    sac_error error = {0};
    sac_assert_ok(sac_mat5_check_bytes(file, sizeof file, "x", &error), &error);
    sac_mat *mat = open_mat(sac_test_write("big.mat", file, sizeof file), "a");
    sac_mat_matrix m = {0};
    expect_matrix(mat, 0, 1, 1, (const double[]){7}, &m);
    sac_mat_matrix_close(&m);
    sac_mat_close(&mat);
    file[128 + 35] = 2; // two rows, one number
    sac_assert_error(sac_mat5_check_bytes(file, sizeof file, "x", &error), SAC_ERROR_FORMAT, &error,
                     "dimensions", NULL);
    file[128 + 35] = 1;
    file[128 + 19] = 5; // sparse
    error = (sac_error){0};
    sac_assert_error(sac_mat5_check_bytes(file, sizeof file, "x", &error), SAC_ERROR_UNSUPPORTED,
                     &error, "sparse", NULL);
}

Test(core_mat, allocation_failures) {
    const char *path = write_ranges("gt.mat", false, true);
    int failures = 0;
    for (int64_t n = 0;; n++) {
        sac_error error = {0};
        sac_mat *mat = NULL;
        sac_mat_matrix m = {0};
        sac_memory_fail_after(n);
        sac_status status = sac_mat_open(&mat, path, "gt", &error);
        if (status == SAC_OK) status = sac_mat_read(mat, 0, &m, &error);
        sac_memory_fail_after(-1);
        sac_mat_matrix_close(&m);
        sac_mat_close(&mat);
        if (status == SAC_OK) break;
        cr_assert_eq(status, SAC_ERROR_MEMORY, "%s", error.message);
        failures++;
    }
    cr_assert_gt(failures, 4);
}
