// Writes small .mat files for the tests with libmatio, which the product only reads with.
#ifndef SAC_TESTS_MAT_MAKE_H
#define SAC_TESTS_MAT_MAKE_H

#include <criterion/criterion.h>
#include <matio.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

// A matrix of rows x cols, `data` in MATLAB's order (columns one after another).
static inline matvar_t *mat_matrix(const char *name, enum matio_classes kind, enum matio_types type,
                                   size_t rows, size_t cols, const void *data, int flags) {
    size_t dims[2] = {rows, cols};
    matvar_t *v =
        Mat_VarCreate(name, kind, type, 2, dims, (void *)(uintptr_t)data, flags); // copies
    cr_assert_not_null(v);
    return v;
}

static inline matvar_t *mat_doubles(const char *name, size_t rows, size_t cols,
                                    const double *data) {
    return mat_matrix(name, MAT_C_DOUBLE, MAT_T_DOUBLE, rows, cols, data, 0);
}

// Cell array [1][count]; it owns the cells.
static inline matvar_t *mat_cells(const char *name, size_t count, matvar_t **cells) {
    size_t dims[2] = {1, count};
    matvar_t *v = Mat_VarCreate(name, MAT_C_CELL, MAT_T_CELL, 2, dims, NULL, 0);
    cr_assert_not_null(v);
    for (size_t i = 0; i < count; i++) (void)Mat_VarSetCell(v, (int)i, cells[i]);
    return v;
}

// Writes and frees the variables.
static inline void mat_write(const char *path, bool hdf5, bool compressed, int count,
                             matvar_t **variables) {
    mat_t *file = Mat_CreateVer(path, NULL, hdf5 ? MAT_FT_MAT73 : MAT_FT_MAT5);
    cr_assert_not_null(file, "%s", path);
    for (int i = 0; i < count; i++) {
        cr_assert_eq(Mat_VarWrite(file, variables[i],
                                  compressed ? MAT_COMPRESSION_ZLIB : MAT_COMPRESSION_NONE),
                     0);
        Mat_VarFree(variables[i]);
    }
    cr_assert_eq(Mat_Close(file), 0);
}

// Avenue's volLabel: `frames` logical masks of w x h pixels, of which pixel (x, y) of frame t
// (from 0) is set for first <= t <= last.
static inline void mat_write_masks(const char *path, int frames, int w, int h, int x, int y,
                                   int first, int last) {
    matvar_t *cells[256];
    uint8_t mask[64 * 64];
    cr_assert(frames <= 256 && w <= 64 && h <= 64);
    for (int t = 0; t < frames; t++) {
        memset(mask, 0, sizeof mask);
        if (t >= first && t <= last)
            for (int dx = 0; dx < 4; dx++)
                for (int dy = 0; dy < 4; dy++) mask[(x + dx) * h + y + dy] = 1;
        cells[t] =
            mat_matrix(NULL, MAT_C_UINT8, MAT_T_UINT8, (size_t)h, (size_t)w, mask, MAT_F_LOGICAL);
    }
    matvar_t *variable = mat_cells("volLabel", (size_t)frames, cells);
    mat_write(path, false, true, 1, &variable);
}

#endif
