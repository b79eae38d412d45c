// safetensors files: named tensors and string metadata (format: 8-byte header length, JSON header, raw data).
// Reading copies into owned memory after every offset, dtype and overlap has been checked.
#ifndef SAC_CORE_SAFETENSORS_H
#define SAC_CORE_SAFETENSORS_H

#include <stdbool.h>
#include <stdint.h>

#include "saccade/status.h"

#define SAC_SAFETENSORS_MAX_DIMS 8

typedef enum sac_dtype {
    SAC_DTYPE_F32,
    SAC_DTYPE_F64,
    SAC_DTYPE_U64,
    SAC_DTYPE_I64,
    SAC_DTYPE_I32,
    SAC_DTYPE_U8,
    SAC_DTYPE_I8
} sac_dtype;

typedef struct sac_named_tensor {
    char *name;
    sac_dtype dtype;
    int ndims;
    int64_t dims[SAC_SAFETENSORS_MAX_DIMS];
    int64_t count; // elements
    void *data;    // owned by the container
} sac_named_tensor;

typedef struct sac_safetensors sac_safetensors;

SAC_NODISCARD sac_status sac_safetensors_create(sac_safetensors **st);
// Copies `data`. SAC_ERROR_ARGUMENT: duplicate name.
SAC_NODISCARD sac_status sac_safetensors_add(sac_safetensors *st, const char *name, sac_dtype dtype,
                                             int ndims, const int64_t *dims, const void *data,
                                             sac_error *error);
// Sets or replaces one metadata string (UTF-8).
SAC_NODISCARD sac_status sac_safetensors_set_metadata(sac_safetensors *st, const char *key,
                                                      const char *value, sac_error *error);
// NULL when absent.
const char *sac_safetensors_metadata(const sac_safetensors *st, const char *key);
const sac_named_tensor *sac_safetensors_find(const sac_safetensors *st, const char *name);
int64_t sac_safetensors_count(const sac_safetensors *st);
const sac_named_tensor *sac_safetensors_at(const sac_safetensors *st, int64_t index);
// Finds `name` and checks dtype and shape; SAC_ERROR_FORMAT names what was found and what was expected.
SAC_NODISCARD sac_status sac_safetensors_expect(const sac_safetensors *st, const char *name,
                                                sac_dtype dtype, int ndims, const int64_t *dims,
                                                const void **data, sac_error *error);
// SAC_ERROR_IO, SAC_ERROR_FORMAT (with the byte offset), SAC_ERROR_MEMORY. Names the file.
SAC_NODISCARD sac_status sac_safetensors_read(sac_safetensors **st, const char *path,
                                              sac_error *error);
SAC_NODISCARD sac_status sac_safetensors_parse(sac_safetensors **st, const void *bytes, size_t size,
                                               const char *name, sac_error *error);
// Atomic. Data offsets are 64-byte aligned by header padding; tensors in insertion order.
SAC_NODISCARD sac_status sac_safetensors_write(const sac_safetensors *st, const char *path,
                                               sac_error *error);
void sac_safetensors_close(sac_safetensors **st);

#endif
