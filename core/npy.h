// NumPy .npy arrays (format 1.0 to 3.0 read, 1.0 written), C order, little endian.
// Source: NumPy Enhancement Proposal 1 (npy-format).
#ifndef SAC_CORE_NPY_H
#define SAC_CORE_NPY_H

#include <stdint.h>

#include "saccade/status.h"

#define SAC_NPY_MAX_DIMS 8

typedef struct sac_npy {
    int ndims;
    int64_t dims[SAC_NPY_MAX_DIMS];
    int64_t count; // product of dims
    float *data;   // converted to f32 from f2 f4 f8 i1 i2 i4 i8 u1 u2 u4 u8 bool; owned
} sac_npy;

// SAC_ERROR_IO; SAC_ERROR_FORMAT: magic, header, dtype, Fortran order, or size mismatch (truncated or
// trailing bytes), each naming the file and what was expected; SAC_ERROR_MEMORY.
SAC_NODISCARD sac_status sac_npy_read(sac_npy *npy, const char *path, sac_error *error);
SAC_NODISCARD sac_status sac_npy_parse(sac_npy *npy, const void *bytes, size_t size,
                                       const char *name, sac_error *error);
SAC_NODISCARD sac_status sac_npy_write(const char *path, const float *data, int ndims,
                                       const int64_t *dims, sac_error *error);
void sac_npy_close(sac_npy *npy);

#endif
