// safetensors files: named tensors and text metadata. Layout: 8 bytes little-endian header length,
// JSON header, raw data. Reading copies into owned memory after every offset, type and overlap has
// been checked. Source: the safetensors format description (Hugging Face), whose reference reader
// accepts the same files.
#ifndef SAC_CORE_SAFETENSORS_H
#define SAC_CORE_SAFETENSORS_H

#include <stdbool.h>
#include <stddef.h>
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
    char *name; // UTF-8, not empty
    sac_dtype dtype;
    int ndims; // 0 for a scalar
    int64_t dims[SAC_SAFETENSORS_MAX_DIMS];
    int64_t count; // elements: product of dims
    void *data;    // [count] in C order, owned by the container, 64-byte aligned
} sac_named_tensor;

// A container in memory. Several threads may read one; changing it is for one thread.
typedef struct sac_safetensors sac_safetensors;

// An empty container. SAC_ERROR_MEMORY.
SAC_NODISCARD sac_status sac_safetensors_create(sac_safetensors **st);

// Copies `data`, dims[ndims] elements in C order, under `name`.
//   SAC_ERROR_ARGUMENT  the name is taken, empty, "__metadata__" or not UTF-8; no such dtype; more
//                       than 8 dimensions; a negative size or an overflowing product
//   SAC_ERROR_MEMORY
SAC_NODISCARD sac_status sac_safetensors_add(sac_safetensors *st, const char *name, sac_dtype dtype,
                                             int ndims, const int64_t *dims, const void *data,
                                             sac_error *error);

// Sets or replaces one metadata text. SAC_ERROR_ARGUMENT: key or value is not UTF-8;
// SAC_ERROR_MEMORY.
SAC_NODISCARD sac_status sac_safetensors_set_metadata(sac_safetensors *st, const char *key,
                                                      const char *value, sac_error *error);

// Borrowed from the container; NULL when there is none of that key, name or index.
const char *sac_safetensors_metadata(const sac_safetensors *st, const char *key);
const sac_named_tensor *sac_safetensors_find(const sac_safetensors *st, const char *name);
const sac_named_tensor *sac_safetensors_at(const sac_safetensors *st, int64_t index);

// Metadata entry number `index` in no particular order: its key, borrowed; NULL when there are no
// more.
const char *sac_safetensors_metadata_key(const sac_safetensors *st, int64_t index);

// Number of tensors; their order is that of adding, or of the data in a file.
int64_t sac_safetensors_count(const sac_safetensors *st);

// Looks up `name` and hands out its data (borrowed) if dtype and shape are the expected ones.
//   SAC_ERROR_FORMAT    missing, or of another dtype or shape: the message says what was expected
//   SAC_ERROR_ARGUMENT  the expectation itself is impossible
SAC_NODISCARD sac_status sac_safetensors_expect(const sac_safetensors *st, const char *name,
                                                sac_dtype dtype, int ndims, const int64_t *dims,
                                                const void **data, sac_error *error);

// Reads the file `path` (at most 16 GiB, header at most 100 MB) or `size` bytes that `name` stands
// for in messages.
//   SAC_ERROR_IO           the file cannot be opened or read
//   SAC_ERROR_FORMAT       header length, JSON, an entry's members, a shape or offset, overlapping
//                          tensors, bytes of no tensor, truncation. error->position: the byte
//   SAC_ERROR_UNSUPPORTED  a dtype of the format that sac_dtype lacks
//   SAC_ERROR_MEMORY
// The caller owns *st, which is NULL after an error.
SAC_NODISCARD sac_status sac_safetensors_read(sac_safetensors **st, const char *path,
                                              sac_error *error);
SAC_NODISCARD sac_status sac_safetensors_parse(sac_safetensors **st, const void *bytes, size_t size,
                                               const char *name, sac_error *error);

// Saves atomically, tensors in their order; blanks behind the header make the data start at a
// multiple of 64. SAC_ERROR_IO; SAC_ERROR_MEMORY; SAC_ERROR_ARGUMENT: a header above 100 MB.
SAC_NODISCARD sac_status sac_safetensors_write(const sac_safetensors *st, const char *path,
                                               sac_error *error);

// NULL-safe; sets *st to NULL.
void sac_safetensors_close(sac_safetensors **st);

#endif
