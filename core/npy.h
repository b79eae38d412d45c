// NumPy .npy arrays in C order: formats 1.0 to 3.0 are read, 1.0 is written.
// Source: NumPy Enhancement Proposal 1 and the format documentation of numpy.lib.format.
#ifndef SAC_CORE_NPY_H
#define SAC_CORE_NPY_H

#include <stddef.h>
#include <stdint.h>

#include "saccade/status.h"

#define SAC_NPY_MAX_DIMS 8

typedef struct sac_npy {
    int ndims; // 0 for a scalar
    int64_t dims[SAC_NPY_MAX_DIMS];
    int64_t count; // product of dims
    float *data;   // [count] in C order, owned; NULL before reading and after close
} sac_npy;

// Reads the file `path` (at most 16 GiB) or `size` bytes that `name` stands for in messages.
// Little-endian f2 f4 f8 i1 i2 i4 i8 u1 u2 u4 u8 and bool become f32, rounded to nearest; an f8
// beyond the range of f32 becomes infinite. Values that are not finite are passed on: whoever uses
// them decides.
//   SAC_ERROR_IO      the file cannot be opened or read
//   SAC_ERROR_FORMAT  magic bytes, version, header, element type, Fortran order of two or more
//                     dimensions, or a size that does not match the shape (truncated or trailing
//                     bytes). error->position: the byte
//   SAC_ERROR_MEMORY
// *npy need not be initialised; it is empty after an error. The caller closes it.
SAC_NODISCARD sac_status sac_npy_read(sac_npy *npy, const char *path, sac_error *error);
SAC_NODISCARD sac_status sac_npy_parse(sac_npy *npy, const void *bytes, size_t size,
                                       const char *name, sac_error *error);

// Saves `data` [dims[0]]...[dims[ndims - 1]] atomically as <f4. SAC_ERROR_ARGUMENT: more than 8
// dimensions, a negative size or an overflowing product; SAC_ERROR_IO; SAC_ERROR_MEMORY.
SAC_NODISCARD sac_status sac_npy_write(const char *path, const float *data, int ndims,
                                       const int64_t *dims, sac_error *error);

// NULL-safe; empties the struct.
void sac_npy_close(sac_npy *npy);

// A large array of which one slab at a time is wanted: [dims[0]] slabs of [dims[1]]...
typedef struct sac_npy_file sac_npy_file;

// Reads and checks the header; types, errors and messages as sac_npy_read, SAC_ERROR_FORMAT also
// for a scalar and for slabs of more than 2^31 elements. The file stays open. The caller owns
// *file, which is NULL after an error.
SAC_NODISCARD sac_status sac_npy_open(sac_npy_file **file, const char *path, sac_error *error);
// Number of dimensions (1 .. SAC_NPY_MAX_DIMS), written to `dims`.
int sac_npy_shape(const sac_npy_file *file, int64_t dims[SAC_NPY_MAX_DIMS]);
// Slab `index` to `values` [dims[1]]... SAC_ERROR_ARGUMENT: no such slab; SAC_ERROR_IO: the file
// became shorter or unreadable. One thread at a time.
SAC_NODISCARD sac_status sac_npy_read_slab(sac_npy_file *file, int64_t index, float *values,
                                           sac_error *error);
void sac_npy_file_close(sac_npy_file **file); // NULL-safe

// SAC_ERROR_FORMAT with the message why Python pickles are not read (they are programs that run on
// loading) and how to turn one into a .npy file. `position`: the byte that gives it away, or -1.
sac_status sac_npy_refuse_pickle(const char *name, int64_t position, sac_error *error);

#endif
