// Matrices out of .mat files through libmatio. Which variable means what is the caller's business.
#include "core/mat.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <hdf5.h>
#include <matio.h>

#include "core/check.h"
#include "core/file.h"
#include "core/mat5.h"
#include "core/memory.h"

struct sac_mat {
    mat_t *file;
    matvar_t *variable;
    char *path, *name;
    bool cells;
    int64_t count;
};

// HDF5 prints its errors unless told not to, and a library does not print.
#define SILENTLY(statement)                                                                        \
    do {                                                                                           \
        H5E_BEGIN_TRY {                                                                            \
            statement;                                                                             \
        }                                                                                          \
        H5E_END_TRY                                                                                \
    } while (0)

static bool is_numeric(const matvar_t *v) {
    return v->class_type >= MAT_C_DOUBLE && v->class_type <= MAT_C_UINT64;
}

// Product of the dimensions, -1 for none, or more than `limit`.
static int64_t element_count(const matvar_t *v, int64_t limit) {
    int64_t count = 1;
    if (v->rank < 1 || v->dims == NULL) return -1;
    for (int i = 0; i < v->rank; i++)
        if (v->dims[i] == 0) return 0;
    for (int i = 0; i < v->rank; i++)
        if (v->dims[i] > (size_t)limit || !sac_mul(count, (int64_t)v->dims[i], &count) ||
            count > limit)
            return -1;
    return count;
}

static sac_status no_variable(const sac_mat *mat, sac_error *error) {
    char names[400] = "";
    size_t used = 0, count = 0;
    char **found = NULL;
    SILENTLY(found = Mat_GetDir(mat->file, &count));
    for (size_t i = 0; found != NULL && i < count && used < sizeof names; i++)
        if (found[i] != NULL)
            used += (size_t)snprintf(names + used, sizeof names - used, "%s'%.60s'",
                                     used > 0 ? ", " : "", found[i]);
    return sac_error_set(error, SAC_ERROR_FORMAT, -1, "%s: no variable '%s'; the file holds %s",
                         mat->path, mat->name, used > 0 ? names : "none that can be read");
}

// Tells the formats apart by the header of 128 bytes that 5 and 7.3 share: text, then the version
// and the byte order.
static sac_status check_format(const char *path, sac_error *error) {
    uint8_t head[128] = {0};
    FILE *file = fopen(path, "rb");
    if (file == NULL) return sac_error_set(error, SAC_ERROR_IO, -1, "%s: cannot be opened", path);
    const size_t got = fread(head, 1, sizeof head, file);
    (void)fclose(file);
    const bool little = memcmp(head + 126, "IM", 2) == 0;
    const int version = got < sizeof head                  ? 0
                        : little                           ? head[125]
                        : memcmp(head + 126, "MI", 2) == 0 ? head[124]
                                                           : 0;
    if (version == 1) return sac_mat5_check(path, error);
    if (version != 2)
        return sac_error_set(error, SAC_ERROR_FORMAT, 0,
                             "%s: is not a .mat file of MATLAB (format 5, that is version 5 to 7, "
                             "or 7.3)%s",
                             path,
                             got > 1 && head[0] == 0x80 && head[1] <= 5
                                 ? " but a Python pickle, which is a program and not run"
                                 : "");
    return SAC_OK;
}

sac_status sac_mat_open(sac_mat **out, const char *path, const char *variable, sac_error *error) {
    sac_status status = SAC_OK;
    sac_mat *mat = NULL;
    *out = NULL;
    if (!sac_is_file(path)) {
        // Reading nothing of it reports why.
        uint8_t *bytes = NULL;
        size_t size;
        status = sac_file_read(&bytes, &size, path, 0, error);
        sac_free(bytes);
        return status < 0 ? status : sac_error_set(error, SAC_ERROR_IO, -1, "%s: not a file", path);
    }
    SAC_TRY(check_format(path, error));
    SAC_TRY_ALLOC(mat = sac_calloc(1, sizeof *mat));
    SAC_TRY_ALLOC(mat->path = sac_strdup(path));
    SAC_TRY_ALLOC(mat->name = sac_strdup(variable));
    SILENTLY(mat->file = Mat_Open(path, MAT_ACC_RDONLY));
    if (mat->file == NULL)
        SAC_TRY(sac_error_set(error, SAC_ERROR_FORMAT, 0,
                              "%s: is not a .mat file of MATLAB, or is damaged", path));
    SILENTLY(mat->variable = Mat_VarReadInfo(mat->file, variable));
    if (mat->variable == NULL) SAC_TRY(no_variable(mat, error));
    const matvar_t *v = mat->variable;
    mat->cells = v->class_type == MAT_C_CELL;
    if (!mat->cells && !is_numeric(v))
        SAC_TRY(sac_error_set(error, SAC_ERROR_FORMAT, -1,
                              "%s: variable '%s' is neither a matrix of numbers nor a cell array",
                              path, variable));
    mat->count = mat->cells ? element_count(v, SAC_MAT_MAX_CELLS) : 1;
    if (mat->count < 0 || (mat->cells && mat->count > 0 && v->data == NULL))
        SAC_TRY(sac_error_set(error, SAC_ERROR_FORMAT, -1,
                              "%s: variable '%s' has absurd dimensions or is damaged", path,
                              variable));
    *out = mat;
    return SAC_OK;
fail:
    sac_mat_close(&mat);
    return sac_error_set(error, status, -1, "%s: no memory for variable '%s'", path, variable);
}

int64_t sac_mat_count(const sac_mat *mat) {
    return mat->count;
}

#define TRANSPOSE(type)                                                                            \
    for (int64_t c = 0; c < m->cols; c++)                                                          \
        for (int64_t r = 0; r < m->rows; r++)                                                      \
            m->data[r * m->cols + c] = (double)((const type *)m->raw)[c * m->rows + r];            \
    break

static void convert(sac_mat_matrix *m, enum matio_classes kind) {
    switch (kind) {
    case MAT_C_DOUBLE:
        TRANSPOSE(double);
    case MAT_C_SINGLE:
        TRANSPOSE(float);
    case MAT_C_INT8:
        TRANSPOSE(int8_t);
    case MAT_C_UINT8:
        TRANSPOSE(uint8_t);
    case MAT_C_INT16:
        TRANSPOSE(int16_t);
    case MAT_C_UINT16:
        TRANSPOSE(uint16_t);
    case MAT_C_INT32:
        TRANSPOSE(int32_t);
    case MAT_C_UINT32:
        TRANSPOSE(uint32_t);
    case MAT_C_INT64:
        TRANSPOSE(int64_t);
    case MAT_C_UINT64:
        TRANSPOSE(uint64_t);
    default:
        break; // is_numeric let nothing else through
    }
}

static sac_status make_room(sac_mat_matrix *m, int64_t count, int64_t raw_bytes) {
    if (m->room < count) {
        sac_free(m->data);
        m->room = 0;
        m->data = sac_calloc(count, sizeof *m->data);
        if (m->data == NULL) return SAC_ERROR_MEMORY;
        m->room = count;
    }
    if (m->raw_room < raw_bytes) {
        sac_free(m->raw);
        m->raw_room = 0;
        m->raw = sac_calloc(raw_bytes, 1);
        if (m->raw == NULL) return SAC_ERROR_MEMORY;
        m->raw_room = raw_bytes;
    }
    return SAC_OK;
}

sac_status sac_mat_read(sac_mat *mat, int64_t index, sac_mat_matrix *matrix, sac_error *error) {
    sac_status status = SAC_OK;
    char place[48] = "";
    if (index < 0 || index >= mat->count)
        return sac_error_set(error, SAC_ERROR_ARGUMENT, index,
                             "%s: matrix %lld of variable '%s', which has %lld", mat->path,
                             (long long)index, mat->name, (long long)mat->count);
    if (mat->cells) (void)snprintf(place, sizeof place, ", cell %lld", (long long)index + 1);
    matvar_t *v = mat->cells ? ((matvar_t **)mat->variable->data)[index] : mat->variable;
    matrix->rows = matrix->cols = 0;
    if (v == NULL || v->class_type == MAT_C_EMPTY) return SAC_OK;
    if (!is_numeric(v) || v->isComplex)
        return sac_error_set(error, SAC_ERROR_FORMAT, index,
                             "%s: variable '%s'%s: expected a matrix of real numbers", mat->path,
                             mat->name, place);
    const int64_t count = element_count(v, SAC_MAT_MAX_ELEMENTS);
    bool flat = count >= 0;
    for (int i = 2; flat && i < v->rank; i++) flat = v->dims[i] == 1;
    if (!flat && count != 0)
        return sac_error_set(error, SAC_ERROR_FORMAT, index,
                             "%s: variable '%s'%s: expected a matrix of two dimensions and at most "
                             "%lld elements",
                             mat->path, mat->name, place, (long long)SAC_MAT_MAX_ELEMENTS);
    if (count == 0) return SAC_OK;
    matrix->rows = (int64_t)v->dims[0];
    matrix->cols = count / matrix->rows;
    const size_t bytes = Mat_SizeOfClass((int)v->class_type);
    SAC_TRY(make_room(matrix, count, count * (int64_t)bytes));
    int failed = 1;
    SILENTLY(failed = Mat_VarReadDataLinear(mat->file, v, matrix->raw, 0, 1, (int)count));
    if (failed != 0)
        SAC_TRY(sac_error_set(error, SAC_ERROR_FORMAT, index,
                              "%s: variable '%s'%s is damaged or cut short", mat->path, mat->name,
                              place));
    convert(matrix, v->class_type);
    return SAC_OK;
fail:
    return sac_error_set(error, status, index, "%s: variable '%s'%s: no memory for %lld numbers",
                         mat->path, mat->name, place, (long long)count);
}

void sac_mat_matrix_close(sac_mat_matrix *matrix) {
    if (matrix == NULL) return;
    sac_free(matrix->data);
    sac_free(matrix->raw);
    memset(matrix, 0, sizeof *matrix);
}

void sac_mat_close(sac_mat **mat) {
    if (mat == NULL || *mat == NULL) return;
    Mat_VarFree((*mat)->variable);
    if ((*mat)->file != NULL) SILENTLY((void)Mat_Close((*mat)->file));
    sac_free((*mat)->path);
    sac_free((*mat)->name);
    sac_free(*mat);
    *mat = NULL;
}
