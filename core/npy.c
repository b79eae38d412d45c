// NumPy .npy files: the header is a Python dictionary literal of which exactly the three documented
// keys are accepted, read by a small strict parser. No pickled objects, no structured types, no
// Fortran order.
#include "core/npy.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "core/check.h"
#include "core/file.h"
#include "core/memory.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "array data are copied without swapping bytes");

#define NPY_LIMIT    ((size_t)16 << 30)
#define HEADER_LIMIT 65535u

typedef struct cursor {
    const char *text; // header text
    size_t at, size;
    size_t start; // offset of the header in the file, for messages
    const char *name;
    sac_error *error;
} cursor;

static sac_status bad_header(const cursor *c, const char *expected) {
    return sac_error_set(c->error, SAC_ERROR_FORMAT, (int64_t)(c->start + c->at),
                         "%s: byte %zu: bad .npy header: %s was expected", c->name,
                         c->start + c->at, expected);
}

static void skip_blanks(cursor *c) {
    while (c->at < c->size && (c->text[c->at] == ' ' || c->text[c->at] == '\n' ||
                               c->text[c->at] == '\t' || c->text[c->at] == '\r')) {
        c->at++;
    }
}

static bool take(cursor *c, char wanted) {
    skip_blanks(c);
    if (c->at < c->size && c->text[c->at] == wanted) {
        c->at++;
        return true;
    }
    return false;
}

// Quoted text without escapes, of less than `capacity` bytes.
static bool take_text(cursor *c, char *out, size_t capacity) {
    skip_blanks(c);
    if (c->at >= c->size || (c->text[c->at] != '\'' && c->text[c->at] != '"')) return false;
    char quote = c->text[c->at];
    size_t end = c->at + 1, length = 0;
    while (end < c->size && c->text[end] != quote) {
        if (c->text[end] == '\\' || c->text[end] == '\0' || length + 1 >= capacity) return false;
        out[length++] = c->text[end++];
    }
    if (end >= c->size) return false;
    out[length] = '\0';
    c->at = end + 1;
    return true;
}

static bool take_word(cursor *c, const char *word) {
    skip_blanks(c);
    size_t length = strlen(word);
    if (c->size - c->at < length || memcmp(c->text + c->at, word, length) != 0) return false;
    c->at += length;
    return true;
}

static bool take_size(cursor *c, int64_t *value) {
    skip_blanks(c);
    size_t first = c->at;
    int64_t number = 0;
    while (c->at < c->size && c->text[c->at] >= '0' && c->text[c->at] <= '9') {
        if (!sac_mul(number, 10, &number) || !sac_add(number, c->text[c->at] - '0', &number))
            return false;
        c->at++;
    }
    if (c->at == first) return false;
    if (c->at < c->size && c->text[c->at] == 'L') c->at++; // written by Python 2
    *value = number;
    return true;
}

static sac_status take_shape(cursor *c, sac_npy *npy) {
    if (!take(c, '(')) return bad_header(c, "a tuple of sizes");
    npy->ndims = 0;
    while (!take(c, ')')) {
        if (npy->ndims == SAC_NPY_MAX_DIMS) return bad_header(c, "a shape of at most 8 dimensions");
        if (!take_size(c, &npy->dims[npy->ndims]))
            return bad_header(c, "a size of at most 63 bits");
        npy->ndims++;
        if (!take(c, ',')) {
            if (npy->ndims < 2 || !take(c, ')')) return bad_header(c, "',' or ')'");
            break;
        }
    }
    return SAC_OK;
}

static sac_status read_header(cursor *c, sac_npy *npy, char *descr, size_t capacity,
                              bool *fortran) {
    bool seen_descr = false, seen_order = false, seen_shape = false;
    if (!take(c, '{')) return bad_header(c, "'{'");
    while (!take(c, '}')) {
        char key[32];
        if (!take_text(c, key, sizeof key)) return bad_header(c, "a quoted key");
        if (!take(c, ':')) return bad_header(c, "':'");
        if (strcmp(key, "descr") == 0 && !seen_descr) {
            seen_descr = true;
            if (!take_text(c, descr, capacity)) return bad_header(c, "a plain type such as '<f4'");
        } else if (strcmp(key, "fortran_order") == 0 && !seen_order) {
            seen_order = true;
            *fortran = take_word(c, "True");
            if (!*fortran && !take_word(c, "False")) return bad_header(c, "True or False");
        } else if (strcmp(key, "shape") == 0 && !seen_shape) {
            seen_shape = true;
            sac_status status = take_shape(c, npy);
            if (status < 0) return status;
        } else {
            return bad_header(c, "'descr', 'fortran_order' and 'shape', each once,");
        }
        if (!take(c, ',')) {
            if (!take(c, '}')) return bad_header(c, "',' or '}'");
            break;
        }
    }
    if (!seen_descr || !seen_order || !seen_shape) {
        return bad_header(c, "'descr', 'fortran_order' and 'shape', each once,");
    }
    skip_blanks(c);
    return c->at == c->size ? SAC_OK : bad_header(c, "nothing behind '}'");
}

static float half_to_float(uint16_t half) {
    uint32_t sign = (uint32_t)(half & 0x8000u) << 16;
    uint32_t exponent = (half >> 10) & 31u, fraction = half & 1023u, bits;
    if (exponent == 31) {
        bits = sign | 0x7F800000u | fraction << 13;
    } else if (exponent > 0) {
        bits = sign | (exponent + 112) << 23 | fraction << 13;
    } else {
        // Zero or subnormal: fraction * 2^-24 is exact in float.
        float magnitude = (float)fraction * 0x1p-24f;
        return sign != 0 ? -magnitude : magnitude;
    }
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

// memcpy per element: the data start anywhere in the file's buffer.
#define CONVERT(type, expression)                                                                  \
    for (int64_t i = 0; i < count; i++) {                                                          \
        type x;                                                                                    \
        memcpy(&x, from + (size_t)i * sizeof x, sizeof x);                                         \
        to[i] = (expression);                                                                      \
    }                                                                                              \
    break

static void convert(float *to, const uint8_t *from, int64_t count, char kind, int bytes) {
    switch (kind << 8 | bytes) {
    case 'f' << 8 | 2:
        CONVERT(uint16_t, half_to_float(x));
    case 'f' << 8 | 4:
        if (count > 0) memcpy(to, from, (size_t)count * sizeof *to);
        break;
    case 'f' << 8 | 8:
        CONVERT(double, (float)x);
    case 'i' << 8 | 1:
        CONVERT(int8_t, (float)x);
    case 'i' << 8 | 2:
        CONVERT(int16_t, (float)x);
    case 'i' << 8 | 4:
        CONVERT(int32_t, (float)x);
    case 'i' << 8 | 8:
        CONVERT(int64_t, (float)x);
    case 'b' << 8 | 1:
    case 'u' << 8 | 1:
        CONVERT(uint8_t, (float)x);
    case 'u' << 8 | 2:
        CONVERT(uint16_t, (float)x);
    case 'u' << 8 | 4:
        CONVERT(uint32_t, (float)x);
    case 'u' << 8 | 8:
        CONVERT(uint64_t, (float)x);
    default:
        break; // read_type let nothing else through
    }
}

// "<f4" into kind and bytes.
static bool read_type(const char *descr, char *kind, int *bytes) {
    static const char *const known[] = {"f2", "f4", "f8", "i1", "i2", "i4",
                                        "i8", "u1", "u2", "u4", "u8", "b1"};
    bool single = descr[0] == '|';
    if (descr[0] != '<' && !single) return false;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (strcmp(descr + 1, known[i]) != 0) continue;
        *kind = known[i][0];
        *bytes = known[i][1] - '0';
        return !single || *bytes == 1;
    }
    return false;
}

// What the header says.
typedef struct layout {
    sac_npy shape; // without data
    char kind;
    int element;   // bytes
    size_t offset; // of the data
} layout;

sac_status sac_npy_refuse_pickle(const char *name, int64_t position, sac_error *error) {
    return sac_error_set(
        error, SAC_ERROR_FORMAT, position,
        "%s: holds pickled Python objects. A pickle is a program that Python runs while it loads "
        "the file, so Saccade reads none. If you trust whoever made it, turn it into a plain array "
        "once: python3 -c \"import numpy as n; "
        "n.save('NEW.npy', n.asarray(n.load('OLD', allow_pickle=True).tolist()))\"",
        name);
}

// Of a file of `total` bytes the first `size` are given, which hold the whole header if it is
// valid.
static sac_status read_layout(layout *l, const uint8_t *file, size_t size, size_t total,
                              const char *name, sac_error *error) {
    sac_status status = SAC_OK;
    sac_npy *npy = &l->shape;
    memset(l, 0, sizeof *l);
    // Protocols 2 to 5 begin with their number.
    if (size >= 2 && file[0] == 0x80 && file[1] >= 2 && file[1] <= 5)
        return sac_npy_refuse_pickle(name, 0, error);
    if (size < 10 || memcmp(file, "\x93NUMPY", 6) != 0) {
        return sac_error_set(error, SAC_ERROR_FORMAT, 0, "%s: is not a .npy file (%s)", name,
                             size < 10 ? "shorter than its 10-byte preamble" : "wrong magic bytes");
    }
    int major = file[6];
    if (major < 1 || major > 3) {
        return sac_error_set(error, SAC_ERROR_FORMAT, 6,
                             "%s: .npy format version %d, 1 to 3 are known", name, major);
    }
    size_t start = major == 1 ? 10 : 12;
    if (size < start) {
        return sac_error_set(error, SAC_ERROR_FORMAT, (int64_t)size,
                             "%s: is cut inside its preamble", name);
    }
    size_t length = (size_t)file[8] | (size_t)file[9] << 8;
    if (major > 1) length |= (size_t)file[10] << 16 | (size_t)file[11] << 24;
    if (length > HEADER_LIMIT || length > size - start) {
        return sac_error_set(error, SAC_ERROR_FORMAT, 8,
                             "%s: byte 8: header of %zu bytes, at most %zu were expected", name,
                             length,
                             size - start < HEADER_LIMIT ? size - start : (size_t)HEADER_LIMIT);
    }
    cursor c = {.text = (const char *)file + start,
                .size = length,
                .start = start,
                .name = name,
                .error = error};
    char descr[64] = "";
    bool fortran = false;
    SAC_TRY(read_header(&c, npy, descr, sizeof descr, &fortran));
    if (descr[0] == '|' && descr[1] == 'O' && descr[2] == '\0')
        SAC_TRY(sac_npy_refuse_pickle(name, (int64_t)start, error));
    if (!read_type(descr, &l->kind, &l->element)) {
        SAC_TRY(sac_error_set(
            error, SAC_ERROR_FORMAT, (int64_t)start,
            "%s: elements of type '%s', little-endian f2 f4 f8 i1 i2 i4 i8 u1 u2 u4 u8 or "
            "bool were expected",
            name, descr));
    }
    // In at most one dimension both orders are the same.
    if (fortran && npy->ndims > 1) {
        SAC_TRY(sac_error_set(error, SAC_ERROR_FORMAT, (int64_t)start,
                              "%s: the array is in Fortran order, C order was expected", name));
    }
    int64_t count = 1, wanted = 0;
    bool fits = true, empty = false;
    for (int i = 0; i < npy->ndims; i++) empty = empty || npy->dims[i] == 0;
    for (int i = 0; i < npy->ndims && !empty; i++)
        fits = fits && sac_mul(count, npy->dims[i], &count);
    if (empty) count = 0;
    fits = fits && sac_mul(count, l->element, &wanted);
    size_t present = total - start - length;
    if (!fits || (uint64_t)wanted != present) {
        SAC_TRY(sac_error_set(error, SAC_ERROR_FORMAT, (int64_t)(start + length),
                              "%s: %zu bytes of data, its shape and type '%s' need %s%lld", name,
                              present, descr, fits ? "" : "more than ",
                              fits ? (long long)wanted : (long long)INT64_MAX));
    }
    npy->count = count;
    l->offset = start + length;
fail:
    return status;
}

sac_status sac_npy_parse(sac_npy *npy, const void *bytes, size_t size, const char *name,
                         sac_error *error) {
    layout l;
    memset(npy, 0, sizeof *npy);
    sac_status status = read_layout(&l, bytes, size, size, name, error);
    if (status < 0) return status;
    *npy = l.shape;
    npy->data = sac_calloc(npy->count, sizeof *npy->data);
    if (npy->data == NULL) {
        status = sac_error_set(error, SAC_ERROR_MEMORY, -1, "%s: no memory for %lld values", name,
                               (long long)npy->count);
        sac_npy_close(npy);
        return status;
    }
    convert(npy->data, (const uint8_t *)bytes + l.offset, npy->count, l.kind, l.element);
    return SAC_OK;
}

sac_status sac_npy_read(sac_npy *npy, const char *path, sac_error *error) {
    uint8_t *bytes = NULL;
    size_t size = 0;
    sac_status status = SAC_OK;
    memset(npy, 0, sizeof *npy);
    SAC_TRY(sac_file_read(&bytes, &size, path, NPY_LIMIT, error));
    SAC_TRY(sac_npy_parse(npy, bytes, size, path, error));
fail:
    sac_free(bytes);
    return status;
}

struct sac_npy_file {
    FILE *file;
    char *path;
    layout layout;
    int64_t slab; // elements
    uint8_t *raw; // [slab * element]
};

sac_status sac_npy_open(sac_npy_file **out, const char *path, sac_error *error) {
    sac_status status = SAC_OK;
    sac_npy_file *f = NULL;
    uint8_t *head = NULL;
    *out = NULL;
    if (!sac_is_file(path)) { // reading nothing of it reports why
        uint8_t *bytes = NULL;
        size_t size;
        status = sac_file_read(&bytes, &size, path, 0, error);
        sac_free(bytes);
        return status < 0 ? status : sac_error_set(error, SAC_ERROR_IO, -1, "%s: not a file", path);
    }
    SAC_TRY_ALLOC(f = sac_calloc(1, sizeof *f));
    SAC_TRY_ALLOC(f->path = sac_strdup(path));
    SAC_TRY_ALLOC(head = sac_calloc(HEADER_LIMIT + 12, 1));
    f->file = fopen(path, "rb");
    if (f->file == NULL || fseeko(f->file, 0, SEEK_END) != 0)
        SAC_TRY(sac_error_set(error, SAC_ERROR_IO, -1, "%s: cannot be opened: %s", path,
                              strerror(errno)));
    const off_t total = ftello(f->file);
    rewind(f->file);
    const size_t got = fread(head, 1, HEADER_LIMIT + 12, f->file);
    if (total < 0 || ferror(f->file) != 0 || (size_t)total < got)
        SAC_TRY(sac_error_set(error, SAC_ERROR_IO, -1, "%s: cannot be read", path));
    SAC_TRY(read_layout(&f->layout, head, got, (size_t)total, path, error));
    const sac_npy *shape = &f->layout.shape;
    f->slab = 1;
    bool fits = shape->ndims > 0;
    for (int i = 1; i < shape->ndims && fits; i++)
        fits = sac_mul(f->slab, shape->dims[i], &f->slab) && f->slab <= INT32_MAX;
    if (!fits)
        SAC_TRY(sac_error_set(error, SAC_ERROR_FORMAT, -1,
                              "%s: a scalar or one with slabs beyond 2^31 elements, expected an "
                              "array to be read along its first dimension",
                              path));
    SAC_TRY_ALLOC(f->raw = sac_calloc(f->slab, (size_t)f->layout.element));
    sac_free(head);
    *out = f;
    return SAC_OK;
fail:
    sac_free(head);
    sac_npy_file_close(&f);
    return sac_error_set(error, status, -1, "%s: no memory to read it", path);
}

int sac_npy_shape(const sac_npy_file *file, int64_t dims[SAC_NPY_MAX_DIMS]) {
    memcpy(dims, file->layout.shape.dims, sizeof file->layout.shape.dims);
    return file->layout.shape.ndims;
}

sac_status sac_npy_read_slab(sac_npy_file *file, int64_t index, float *values, sac_error *error) {
    const layout *l = &file->layout;
    if (index < 0 || index >= l->shape.dims[0])
        return sac_error_set(error, SAC_ERROR_ARGUMENT, index, "%s: slab %lld of %lld", file->path,
                             (long long)index, (long long)l->shape.dims[0]);
    const int64_t bytes = file->slab * l->element;
    if (fseeko(file->file, (off_t)((int64_t)l->offset + index * bytes), SEEK_SET) != 0 ||
        fread(file->raw, 1, (size_t)bytes, file->file) != (size_t)bytes)
        return sac_error_set(error, SAC_ERROR_IO, index, "%s: slab %lld cannot be read", file->path,
                             (long long)index);
    convert(values, file->raw, file->slab, l->kind, l->element);
    return SAC_OK;
}

void sac_npy_file_close(sac_npy_file **file) {
    if (file == NULL || *file == NULL) return;
    if ((*file)->file != NULL) (void)fclose((*file)->file);
    sac_free((*file)->path);
    sac_free((*file)->raw);
    sac_free(*file);
    *file = NULL;
}

sac_status sac_npy_write(const char *path, const float *data, int ndims, const int64_t *dims,
                         sac_error *error) {
    sac_status status = SAC_OK;
    sac_file_writer *writer = NULL;
    if (ndims < 0 || ndims > SAC_NPY_MAX_DIMS) {
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "%s: %d dimensions, 0 to %d can be written", path, ndims,
                             SAC_NPY_MAX_DIMS);
    }
    char shape[SAC_NPY_MAX_DIMS * 22 + 3] = "(", header[64 * 6];
    int64_t bytes = sizeof *data;
    size_t used = 1;
    for (int i = 0; i < ndims; i++) {
        if (!sac_mul(bytes, dims[i], &bytes)) {
            return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                                 "%s: size %lld of dimension %d cannot be written", path,
                                 (long long)dims[i], i);
        }
        const char *behind = i + 1 < ndims ? ", " : ndims == 1 ? "," : "";
        used += (size_t)snprintf(shape + used, sizeof shape - used, "%lld%s", (long long)dims[i],
                                 behind);
    }
    snprintf(shape + used, sizeof shape - used, ")");
    int text = snprintf(header, sizeof header,
                        "{'descr': '<f4', 'fortran_order': False, 'shape': %s, }", shape);
    // Preamble, header and a line break fill whole 64-byte blocks, as NumPy writes them.
    size_t total = (10 + (size_t)text + 1 + 63) / 64 * 64, length = total - 10;
    memset(header + text, ' ', length - (size_t)text);
    header[length - 1] = '\n';
    const uint8_t preamble[10] = {
        0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0, (uint8_t)(length & 255), (uint8_t)(length >> 8)};
    SAC_TRY(sac_file_writer_open(&writer, path, error));
    SAC_TRY(sac_file_write(writer, preamble, sizeof preamble, error));
    SAC_TRY(sac_file_write(writer, header, length, error));
    SAC_TRY(sac_file_write(writer, data, (size_t)bytes, error));
    SAC_TRY(sac_file_writer_commit(&writer, error));
fail:
    sac_file_writer_close(&writer);
    return status;
}

void sac_npy_close(sac_npy *npy) {
    if (npy == NULL) return;
    sac_free(npy->data);
    memset(npy, 0, sizeof *npy);
}
