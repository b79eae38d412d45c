// safetensors container. Reading follows the format's rules to the letter: every tensor lies inside
// the data, none overlap, no byte is unused; then everything is copied. No memory mapping, no
// dtypes beyond the ones of sac_dtype.
#include "core/safetensors.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "core/check.h"
#include "core/file.h"
#include "core/memory.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "tensor data are copied without swapping bytes");

#define FILE_LIMIT   ((size_t)16 << 30)
#define HEADER_LIMIT ((size_t)100000000) // the reference implementation's limit
#define ALIGNMENT    64
#define METADATA_KEY "__metadata__"

typedef struct pair {
    char *key, *value;
} pair;

struct sac_safetensors {
    char *name; // file name for messages, NULL for a container made in memory
    sac_named_tensor *tensors;
    int64_t count, capacity;
    pair *metadata;
    int64_t metadata_count, metadata_capacity;
};

static const struct {
    const char *name;
    int bytes;
} dtypes[] = {
    [SAC_DTYPE_F32] = {"F32", 4}, [SAC_DTYPE_F64] = {"F64", 8}, [SAC_DTYPE_U64] = {"U64", 8},
    [SAC_DTYPE_I64] = {"I64", 8}, [SAC_DTYPE_I32] = {"I32", 4}, [SAC_DTYPE_U8] = {"U8", 1},
    [SAC_DTYPE_I8] = {"I8", 1},
};
enum { DTYPE_COUNT = sizeof dtypes / sizeof *dtypes };

static const char *file_name(const sac_safetensors *st) {
    return st->name != NULL ? st->name : "model";
}

sac_status sac_safetensors_create(sac_safetensors **st) {
    *st = sac_calloc(1, sizeof **st);
    return *st != NULL ? SAC_OK : SAC_ERROR_MEMORY;
}

void sac_safetensors_close(sac_safetensors **slot) {
    if (slot == NULL || *slot == NULL) return;
    sac_safetensors *st = *slot;
    for (int64_t i = 0; i < st->count; i++) {
        sac_free(st->tensors[i].name);
        sac_free(st->tensors[i].data);
    }
    for (int64_t i = 0; i < st->metadata_count; i++) {
        sac_free(st->metadata[i].key);
        sac_free(st->metadata[i].value);
    }
    sac_free(st->tensors);
    sac_free(st->metadata);
    sac_free(st->name);
    sac_free(st);
    *slot = NULL;
}

// Elements of a shape; false when a size is negative or the product overflows.
static bool shape_count(int ndims, const int64_t *dims, int64_t *count) {
    *count = 1;
    for (int i = 0; i < ndims; i++) {
        if (dims[i] < 0) return false;
    }
    for (int i = 0; i < ndims; i++) {
        if (dims[i] == 0) {
            *count = 0;
            return true;
        }
    }
    for (int i = 0; i < ndims; i++) {
        if (!sac_mul(*count, dims[i], count)) return false;
    }
    return true;
}

static bool valid_text(const char *text) {
    json_t *probe = json_string(text); // NULL when it is not UTF-8
    bool valid = probe != NULL;
    json_decref(probe);
    return valid;
}

// Appends without looking for a duplicate name.
static sac_status append(sac_safetensors *st, const char *name, sac_dtype dtype, int ndims,
                         const int64_t *dims, int64_t count, const void *data, sac_error *error) {
    if (st->count == st->capacity) {
        int64_t larger = st->capacity * 2 + 16;
        sac_named_tensor *grown = sac_recalloc(st->tensors, st->count, larger, sizeof *grown);
        if (grown == NULL) goto fail;
        st->tensors = grown;
        st->capacity = larger;
    }
    sac_named_tensor *tensor = &st->tensors[st->count];
    *tensor = (sac_named_tensor){.dtype = dtype, .ndims = ndims, .count = count};
    for (int i = 0; i < ndims; i++) tensor->dims[i] = dims[i];
    tensor->name = sac_strdup(name);
    tensor->data = sac_calloc(count, (size_t)dtypes[dtype].bytes);
    if (tensor->name == NULL || tensor->data == NULL) {
        sac_free(tensor->name);
        sac_free(tensor->data);
        goto fail;
    }
    if (count > 0) memcpy(tensor->data, data, (size_t)count * (size_t)dtypes[dtype].bytes);
    st->count++;
    return SAC_OK;
fail:
    return sac_error_set(error, SAC_ERROR_MEMORY, -1,
                         "%s: no memory for tensor '%.200s' of %lld values", file_name(st), name,
                         (long long)count);
}

sac_status sac_safetensors_add(sac_safetensors *st, const char *name, sac_dtype dtype, int ndims,
                               const int64_t *dims, const void *data, sac_error *error) {
    int64_t count = 0, bytes = 0;
    if ((int)dtype < 0 || (int)dtype >= DTYPE_COUNT || ndims < 0 ||
        ndims > SAC_SAFETENSORS_MAX_DIMS || !shape_count(ndims, dims, &count) ||
        !sac_mul(count, dtypes[dtype].bytes, &bytes)) {
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "tensor '%.200s': its dtype, dimensions or sizes cannot be stored",
                             name);
    }
    if (name[0] == '\0' || strcmp(name, METADATA_KEY) == 0 || !valid_text(name)) {
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "'%.200s' cannot be the name of a tensor", name);
    }
    if (sac_safetensors_find(st, name) != NULL) {
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1, "there is a tensor '%.200s' already",
                             name);
    }
    return append(st, name, dtype, ndims, dims, count, data, error);
}

static pair *find_metadata(const sac_safetensors *st, const char *key) {
    for (int64_t i = 0; i < st->metadata_count; i++) {
        if (strcmp(st->metadata[i].key, key) == 0) return &st->metadata[i];
    }
    return NULL;
}

static sac_status append_metadata(sac_safetensors *st, const char *key, const char *value,
                                  sac_error *error) {
    char *key_copy = sac_strdup(key), *value_copy = sac_strdup(value);
    if (key_copy == NULL || value_copy == NULL) goto fail;
    if (st->metadata_count == st->metadata_capacity) {
        int64_t larger = st->metadata_capacity * 2 + 16;
        pair *grown = sac_recalloc(st->metadata, st->metadata_count, larger, sizeof *grown);
        if (grown == NULL) goto fail;
        st->metadata = grown;
        st->metadata_capacity = larger;
    }
    st->metadata[st->metadata_count++] = (pair){key_copy, value_copy};
    return SAC_OK;
fail:
    sac_free(key_copy);
    sac_free(value_copy);
    return sac_error_set(error, SAC_ERROR_MEMORY, -1, "%s: no memory for metadata '%.200s'",
                         file_name(st), key);
}

sac_status sac_safetensors_set_metadata(sac_safetensors *st, const char *key, const char *value,
                                        sac_error *error) {
    if (!valid_text(key) || !valid_text(value)) {
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1, "metadata '%.200s' is not UTF-8", key);
    }
    pair *old = find_metadata(st, key);
    if (old == NULL) return append_metadata(st, key, value, error);
    char *copy = sac_strdup(value);
    if (copy == NULL) {
        return sac_error_set(error, SAC_ERROR_MEMORY, -1, "no memory for metadata '%.200s'", key);
    }
    sac_free(old->value);
    old->value = copy;
    return SAC_OK;
}

const char *sac_safetensors_metadata(const sac_safetensors *st, const char *key) {
    const pair *found = find_metadata(st, key);
    return found != NULL ? found->value : NULL;
}

const char *sac_safetensors_metadata_key(const sac_safetensors *st, int64_t index) {
    return index >= 0 && index < st->metadata_count ? st->metadata[index].key : NULL;
}

const sac_named_tensor *sac_safetensors_find(const sac_safetensors *st, const char *name) {
    for (int64_t i = 0; i < st->count; i++) {
        if (strcmp(st->tensors[i].name, name) == 0) return &st->tensors[i];
    }
    return NULL;
}

int64_t sac_safetensors_count(const sac_safetensors *st) {
    return st->count;
}

const sac_named_tensor *sac_safetensors_at(const sac_safetensors *st, int64_t index) {
    return index >= 0 && index < st->count ? &st->tensors[index] : NULL;
}

// "F32 [2][3]" for messages.
static void describe(char *text, size_t size, sac_dtype dtype, int ndims, const int64_t *dims) {
    size_t used = (size_t)snprintf(text, size, "%s ", dtypes[dtype].name);
    if (ndims == 0) snprintf(text + used, size - used, "[]");
    for (int i = 0; i < ndims && used < size; i++) {
        used += (size_t)snprintf(text + used, size - used, "[%lld]", (long long)dims[i]);
    }
}

sac_status sac_safetensors_expect(const sac_safetensors *st, const char *name, sac_dtype dtype,
                                  int ndims, const int64_t *dims, const void **data,
                                  sac_error *error) {
    if ((int)dtype < 0 || (int)dtype >= DTYPE_COUNT || ndims < 0 ||
        ndims > SAC_SAFETENSORS_MAX_DIMS) {
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "tensor '%.200s': no such dtype or shape", name);
    }
    char wanted[256], found[256];
    describe(wanted, sizeof wanted, dtype, ndims, dims);
    const sac_named_tensor *tensor = sac_safetensors_find(st, name);
    if (tensor == NULL) {
        return sac_error_set(error, SAC_ERROR_FORMAT, -1,
                             "%s: tensor '%.200s' is missing, %s was expected", file_name(st), name,
                             wanted);
    }
    bool same = tensor->dtype == dtype && tensor->ndims == ndims;
    for (int i = 0; same && i < ndims; i++) same = tensor->dims[i] == dims[i];
    if (!same) {
        describe(found, sizeof found, tensor->dtype, tensor->ndims, tensor->dims);
        return sac_error_set(error, SAC_ERROR_FORMAT, -1,
                             "%s: tensor '%.200s' is %s, %s was expected", file_name(st), name,
                             found, wanted);
    }
    *data = tensor->data;
    return SAC_OK;
}

// ---- reading ------------------------------------------------------------------------------------

typedef struct entry {
    const char *name; // borrowed from the JSON
    sac_dtype dtype;
    int ndims;
    int64_t dims[SAC_SAFETENSORS_MAX_DIMS];
    int64_t count;
    int64_t begin, end; // in the data part
    int64_t order;      // position in the header
} entry;

static sac_status bad_entry(const char *file, const char *name, sac_error *error,
                            const char *what) {
    return sac_error_set(error, SAC_ERROR_FORMAT, 8, "%s: header: tensor '%.200s': %s", file, name,
                         what);
}

static sac_status read_entry(entry *out, const char *name, const json_t *value, int64_t data_bytes,
                             const char *file, sac_error *error) {
    static const char *const others[] = {"F16", "BF16", "F8_E4M3", "F8_E5M2",
                                         "U32", "U16",  "I16",     "BOOL"};
    const json_t *dtype = json_object_get(value, "dtype");
    const json_t *shape = json_object_get(value, "shape");
    const json_t *offsets = json_object_get(value, "data_offsets");
    if (!json_is_object(value) || !json_is_string(dtype) || !json_is_array(shape) ||
        !json_is_array(offsets) || json_object_size(value) != 3) {
        return bad_entry(
            file, name, error,
            "an object with 'dtype', 'shape' and 'data_offsets' and nothing else was expected");
    }
    const char *type = json_string_value(dtype);
    int known = -1;
    for (int i = 0; i < DTYPE_COUNT; i++) {
        if (strcmp(type, dtypes[i].name) == 0) known = i;
    }
    if (known < 0) {
        for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
            if (strcmp(type, others[i]) != 0) continue;
            return sac_error_set(
                error, SAC_ERROR_UNSUPPORTED, 8,
                "%s: header: tensor '%.200s': dtype %s is not supported; F32, F64, U64, I64, I32, "
                "U8 and I8 are",
                file, name, type);
        }
        return bad_entry(file, name, error, "its dtype is none of the format's");
    }
    if (json_array_size(shape) > SAC_SAFETENSORS_MAX_DIMS) {
        return bad_entry(file, name, error, "more than 8 dimensions");
    }
    *out = (entry){.name = name,
                   .dtype = (sac_dtype)known,
                   .ndims = (int)json_array_size(shape),
                   .order = out->order};
    for (int i = 0; i < out->ndims; i++) {
        const json_t *size = json_array_get(shape, (size_t)i);
        if (!json_is_integer(size))
            return bad_entry(file, name, error, "its shape must hold integers");
        out->dims[i] = json_integer_value(size);
    }
    int64_t bytes = 0;
    if (!shape_count(out->ndims, out->dims, &out->count) ||
        !sac_mul(out->count, dtypes[known].bytes, &bytes)) {
        return bad_entry(file, name, error, "its shape has a negative size or overflows");
    }
    const json_t *begin = json_array_get(offsets, 0), *end = json_array_get(offsets, 1);
    if (json_array_size(offsets) != 2 || !json_is_integer(begin) || !json_is_integer(end)) {
        return bad_entry(file, name, error, "'data_offsets' must be two integers");
    }
    out->begin = json_integer_value(begin);
    out->end = json_integer_value(end);
    if (out->begin < 0 || out->end < out->begin || out->end > data_bytes) {
        return sac_error_set(error, SAC_ERROR_FORMAT, 8,
                             "%s: header: tensor '%.200s': data offsets %lld to %lld, the file has "
                             "%lld bytes of data",
                             file, name, (long long)out->begin, (long long)out->end,
                             (long long)data_bytes);
    }
    if (out->end - out->begin != bytes) {
        return sac_error_set(
            error, SAC_ERROR_FORMAT, 8,
            "%s: header: tensor '%.200s': %lld bytes of data, its dtype and shape need %lld", file,
            name, (long long)(out->end - out->begin), (long long)bytes);
    }
    return SAC_OK;
}

static int compare_entries(const void *a, const void *b) {
    const entry *x = a, *y = b;
    if (x->begin != y->begin) return x->begin < y->begin ? -1 : 1;
    if (x->end != y->end) return x->end < y->end ? -1 : 1;
    return x->order < y->order ? -1 : x->order > y->order;
}

static sac_status read_metadata(sac_safetensors *st, json_t *metadata, sac_error *error) {
    if (!json_is_object(metadata)) {
        return sac_error_set(error, SAC_ERROR_FORMAT, 8,
                             "%s: header: '" METADATA_KEY "' must be an object", st->name);
    }
    const char *key;
    json_t *value;
    json_object_foreach(metadata, key, value) {
        if (!json_is_string(value)) {
            return sac_error_set(error, SAC_ERROR_FORMAT, 8,
                                 "%s: header: metadata '%.200s' must be a text", st->name, key);
        }
        // The JSON reader has refused duplicate keys already.
        sac_status status = append_metadata(st, key, json_string_value(value), error);
        if (status < 0) return status;
    }
    return SAC_OK;
}

static sac_status read_tensors(sac_safetensors *st, json_t *header, const uint8_t *data,
                               int64_t data_start, int64_t data_bytes, sac_error *error) {
    sac_status status = SAC_OK;
    int64_t count = 0;
    const char *key;
    json_t *value;
    entry *entries = sac_calloc((int64_t)json_object_size(header), sizeof *entries);
    if (entries == NULL) {
        return sac_error_set(error, SAC_ERROR_MEMORY, -1, "%s: no memory for its header", st->name);
    }
    json_object_foreach(header, key, value) {
        if (strcmp(key, METADATA_KEY) == 0) {
            SAC_TRY(read_metadata(st, value, error));
            continue;
        }
        if (key[0] == '\0') {
            status = bad_entry(st->name, key, error, "its name is empty");
            goto fail;
        }
        entries[count].order = count;
        SAC_TRY(read_entry(&entries[count], key, value, data_bytes, st->name, error));
        count++;
    }
    qsort(entries, (size_t)count, sizeof *entries, compare_entries);
    int64_t at = 0;
    for (int64_t i = 0; i < count; i++) {
        const entry *e = &entries[i];
        if (e->begin != at) {
            status = sac_error_set(error, SAC_ERROR_FORMAT, data_start + e->begin,
                                   "%s: byte %lld: the data of tensor '%.200s' %s", st->name,
                                   (long long)(data_start + e->begin), e->name,
                                   e->begin < at ? "overlap those of another tensor"
                                                 : "follow bytes that belong to no tensor");
            goto fail;
        }
        at = e->end;
    }
    if (at != data_bytes) {
        status =
            sac_error_set(error, SAC_ERROR_FORMAT, data_start + at,
                          "%s: byte %lld: %lld bytes behind the last tensor belong to none",
                          st->name, (long long)(data_start + at), (long long)(data_bytes - at));
        goto fail;
    }
    for (int64_t i = 0; i < count; i++) {
        const entry *e = &entries[i];
        SAC_TRY(append(st, e->name, e->dtype, e->ndims, e->dims, e->count, data + e->begin, error));
    }
fail:
    sac_free(entries);
    return status;
}

sac_status sac_safetensors_parse(sac_safetensors **out, const void *bytes, size_t size,
                                 const char *name, sac_error *error) {
    const uint8_t *file = bytes;
    sac_status status = SAC_OK;
    json_t *header = NULL;
    sac_safetensors *st = NULL;
    *out = NULL;
    if (size < 8) {
        return sac_error_set(error, SAC_ERROR_FORMAT, (int64_t)size,
                             "%s: %zu bytes are too few for a safetensors file", name, size);
    }
    uint64_t length;
    memcpy(&length, file, sizeof length);
    if (length > HEADER_LIMIT || length > size - 8) {
        return sac_error_set(error, SAC_ERROR_FORMAT, 0,
                             "%s: byte 0: header of %llu bytes, at most %zu were expected (is it a "
                             "safetensors file, and "
                             "complete?)",
                             name, (unsigned long long)length,
                             size - 8 < HEADER_LIMIT ? size - 8 : HEADER_LIMIT);
    }
    if (length < 2 || file[8] != '{') {
        return sac_error_set(error, SAC_ERROR_FORMAT, 8,
                             "%s: byte 8: a header starting with '{' was expected", name);
    }
    json_error_t cause;
    header = json_loadb((const char *)file + 8, (size_t)length, JSON_REJECT_DUPLICATES, &cause);
    if (header == NULL && json_error_code(&cause) == json_error_out_of_memory) {
        return sac_error_set(error, SAC_ERROR_MEMORY, -1, "%s: no memory for its header", name);
    }
    if (header == NULL) {
        return sac_error_set(error, SAC_ERROR_FORMAT, 8 + (int64_t)cause.position,
                             "%s: byte %lld: header is not valid JSON: %s", name,
                             8 + (long long)cause.position, cause.text);
    }
    status = sac_safetensors_create(&st);
    if (status == SAC_OK) st->name = sac_strdup(name);
    if (st == NULL || st->name == NULL) {
        status = sac_error_set(error, SAC_ERROR_MEMORY, -1, "%s: no memory for its tensors", name);
        goto fail;
    }
    int64_t start = 8 + (int64_t)length;
    SAC_TRY(read_tensors(st, header, file + start, start, (int64_t)size - start, error));
    json_decref(header);
    *out = st;
    return SAC_OK;
fail:
    json_decref(header);
    sac_safetensors_close(&st);
    return status;
}

sac_status sac_safetensors_read(sac_safetensors **st, const char *path, sac_error *error) {
    uint8_t *bytes = NULL;
    size_t size = 0;
    sac_status status = SAC_OK;
    *st = NULL;
    SAC_TRY(sac_file_read(&bytes, &size, path, FILE_LIMIT, error));
    SAC_TRY(sac_safetensors_parse(st, bytes, size, path, error));
fail:
    sac_free(bytes);
    return status;
}

// ---- writing ------------------------------------------------------------------------------------

// Header as JSON; NULL on lack of memory. Jansson keeps the order of insertion.
static json_t *build_header(const sac_safetensors *st) {
    json_t *header = json_object();
    if (header == NULL) return NULL;
    if (st->metadata_count > 0) {
        json_t *metadata = json_object();
        if (json_object_set_new(header, METADATA_KEY, metadata) != 0) goto fail;
        for (int64_t i = 0; i < st->metadata_count; i++) {
            if (json_object_set_new(metadata, st->metadata[i].key,
                                    json_string(st->metadata[i].value)) != 0)
                goto fail;
        }
    }
    int64_t at = 0;
    for (int64_t i = 0; i < st->count; i++) {
        const sac_named_tensor *tensor = &st->tensors[i];
        int64_t end = at + tensor->count * dtypes[tensor->dtype].bytes;
        json_t *shape = json_array();
        for (int d = 0; d < tensor->ndims; d++) {
            if (json_array_append_new(shape, json_integer(tensor->dims[d])) != 0) {
                json_decref(shape);
                goto fail;
            }
        }
        json_t *described =
            json_pack("{s:s, s:o, s:[I, I]}", "dtype", dtypes[tensor->dtype].name, "shape", shape,
                      "data_offsets", (json_int_t)at, (json_int_t)end);
        if (json_object_set_new(header, tensor->name, described) != 0) goto fail;
        at = end;
    }
    return header;
fail:
    json_decref(header);
    return NULL;
}

sac_status sac_safetensors_write(const sac_safetensors *st, const char *path, sac_error *error) {
    static const char blanks[ALIGNMENT + 1] =
        "                                                                ";
    sac_status status = SAC_OK;
    sac_file_writer *writer = NULL;
    char *text = NULL;
    json_t *header = build_header(st);
    if (header != NULL) text = json_dumps(header, JSON_COMPACT);
    json_decref(header);
    if (text == NULL) {
        return sac_error_set(error, SAC_ERROR_MEMORY, -1, "%s: no memory for its header", path);
    }
    size_t length = strlen(text), padding = (ALIGNMENT - (8 + length) % ALIGNMENT) % ALIGNMENT;
    uint64_t total = length + padding;
    if (total > HEADER_LIMIT) {
        status = sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                               "%s: a header of %zu bytes is too large", path, length);
        goto fail;
    }
    SAC_TRY(sac_file_writer_open(&writer, path, error));
    SAC_TRY(sac_file_write(writer, &total, sizeof total, error));
    SAC_TRY(sac_file_write(writer, text, length, error));
    SAC_TRY(sac_file_write(writer, blanks, padding, error));
    for (int64_t i = 0; i < st->count; i++) {
        const sac_named_tensor *tensor = &st->tensors[i];
        SAC_TRY(sac_file_write(writer, tensor->data,
                               (size_t)tensor->count * (size_t)dtypes[tensor->dtype].bytes, error));
    }
    SAC_TRY(sac_file_writer_commit(&writer, error));
fail:
    free(text);
    sac_file_writer_close(&writer);
    return status;
}
