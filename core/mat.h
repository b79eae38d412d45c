// Matrices of numbers in MATLAB's .mat files: a variable by its name, which is one matrix or a cell
// array of them, read one at a time. Only what data sets keep in such files; nothing is written.
// Reading is the business of libmatio (format 5, compressed or not, and 7.3); what it finds is
// checked here before memory is spent on it.
#ifndef SAC_CORE_MAT_H
#define SAC_CORE_MAT_H

#include <stdint.h>

#include "saccade/status.h"

// Elements of one matrix and cells of one array that are accepted at most.
#define SAC_MAT_MAX_ELEMENTS ((int64_t)1 << 26)
#define SAC_MAT_MAX_CELLS    ((int64_t)1 << 20)

typedef struct sac_mat sac_mat;

// One matrix, made to be used again and again: zero it before the first read.
typedef struct sac_mat_matrix {
    int64_t rows, cols;
    double *data; // [rows][cols], rows one after another (MATLAB keeps columns), owned
    int64_t room; // elements allocated
    void *raw;    // elements as the file has them, owned; of no interest to callers
    int64_t raw_room;
} sac_mat_matrix;

// Opens the file and finds the variable; reads no numbers yet.
//   SAC_ERROR_IO           the file cannot be opened or read, or is no regular file
//   SAC_ERROR_FORMAT       not a .mat file, damaged or cut short; no variable of this name (the
//                          message lists those there are); neither numbers nor a cell array; more
//                          than SAC_MAT_MAX_CELLS cells
//   SAC_ERROR_UNSUPPORTED  the file holds sparse matrices, objects or functions (format 5)
//   SAC_ERROR_MEMORY
// Messages start with the path. The caller owns *mat, which is NULL after an error. HDF5 keeps
// global state: files of format 7.3 are to be read by one thread of the process at a time.
// Numerics: format 5 files are checked in full before libmatio sees them (core/mat5.h), since
// lengths in the file steer its reads; what HDF5 does with a hostile file of format 7.3 is its own
// affair.
SAC_NODISCARD sac_status sac_mat_open(sac_mat **mat, const char *path, const char *variable,
                                      sac_error *error);

// Cells of a cell array in MATLAB's (column-major) order; 1 for a plain matrix.
int64_t sac_mat_count(const sac_mat *mat);

// Reads matrix `index`, 0 .. sac_mat_count - 1. Integers, logicals, single and double become
// double, exact but for 64-bit integers beyond 2^53. An empty matrix has rows or cols 0.
//   SAC_ERROR_ARGUMENT  the index
//   SAC_ERROR_FORMAT    no numbers (text, structure, sparse, nested cell), complex, more than two
//                       dimensions, more than SAC_MAT_MAX_ELEMENTS, damaged or cut short;
//                       error->position: the index
//   SAC_ERROR_MEMORY
// *matrix keeps its memory and may hold anything after an error.
SAC_NODISCARD sac_status sac_mat_read(sac_mat *mat, int64_t index, sac_mat_matrix *matrix,
                                      sac_error *error);

void sac_mat_matrix_close(sac_mat_matrix *matrix); // NULL-safe, leaves an empty one
void sac_mat_close(sac_mat **mat);                 // NULL-safe

#endif
