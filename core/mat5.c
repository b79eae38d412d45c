// Structure of .mat files of format 5: tags, lengths, dimensions. What the numbers are is not
// looked at.
#include "core/mat5.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include <zlib.h>

#include "core/check.h"
#include "core/file.h"
#include "core/memory.h"

enum {
    HEADER = 128,
    WINDOW = 1 << 16,
    MAX_DEPTH = 16,
    MAX_DIMS = 32,
    TYPE_INT8 = 1,
    TYPE_INT32 = 5,
    TYPE_UINT32 = 6,
    TYPE_MATRIX = 14,
    TYPE_COMPRESSED = 15,
    CLASS_CELL = 1,
    CLASS_STRUCT = 2,
    CLASS_CHAR = 4,
    CLASS_DOUBLE = 6,
    CLASS_UINT64 = 15
};
#define FILE_LIMIT   ((size_t)4 << 30)
#define FLAG_COMPLEX 0x0800u

// Bytes of the file, or of a compressed element in it while `inflating`.
typedef struct reader {
    const uint8_t *bytes;
    size_t at, size; // of the file, or end of the compressed element
    bool swap, inflating;
    z_stream z;
    uint8_t *window; // [WINDOW]
    size_t used, filled;
    uint64_t position; // of inflated data
    const char *name;
    sac_error *error;
} reader;

typedef struct tag {
    uint32_t type, bytes;
    bool small; // its data lie in the tag itself
    uint8_t data[4];
} tag;

static sac_status bad(const reader *r, const char *what) {
    const unsigned long long at = r->inflating ? r->position : r->at;
    return sac_error_set(r->error, SAC_ERROR_FORMAT, (int64_t)at,
                         "%s: is damaged at byte %llu%s: %s", r->name, at,
                         r->inflating ? " of a compressed variable" : "", what);
}

static sac_status refill(reader *r) {
    r->z.next_out = r->window;
    r->z.avail_out = WINDOW;
    while (r->z.avail_out == WINDOW) {
        const int result = inflate(&r->z, Z_NO_FLUSH);
        if (result == Z_MEM_ERROR) return SAC_ERROR_MEMORY;
        if (r->z.avail_out < WINDOW) break;
        if (result != Z_OK) return bad(r, "its compressed data end early or are broken");
    }
    r->filled = WINDOW - r->z.avail_out;
    r->used = 0;
    return SAC_OK;
}

// The next n bytes into `out`, or past them with NULL.
static sac_status take(reader *r, void *out, uint64_t n) {
    if (!r->inflating) {
        if (n > r->size - r->at) return bad(r, "it is cut short");
        if (out != NULL) memcpy(out, r->bytes + r->at, (size_t)n);
        r->at += (size_t)n;
        return SAC_OK;
    }
    uint8_t *to = out;
    while (n > 0) {
        if (r->used == r->filled) {
            const sac_status status = refill(r);
            if (status < 0) return status;
        }
        const size_t ready = r->filled - r->used, part = n < ready ? (size_t)n : ready;
        if (to != NULL) {
            memcpy(to, r->window + r->used, part);
            to += part;
        }
        r->used += part;
        r->position += part;
        n -= part;
    }
    return SAC_OK;
}

static uint32_t word(const reader *r, const uint8_t *bytes) {
    uint32_t value;
    memcpy(&value, bytes, sizeof value);
    return r->swap ? __builtin_bswap32(value) : value;
}

// A tag within `left` bytes of its parent, which the tag and, unless it is a matrix, its padded
// data are taken from.
static sac_status take_tag(reader *r, tag *t, uint64_t *left) {
    sac_status status = SAC_OK;
    uint8_t raw[8] = {0};
    *t = (tag){0};
    if (*left < 8) return bad(r, "an element is missing");
    SAC_TRY(take(r, raw, 8));
    *left -= 8;
    const uint32_t first = word(r, raw);
    t->small = first >> 16 != 0;
    t->type = t->small ? first & 0xFFFFu : first;
    t->bytes = t->small ? first >> 16 : word(r, raw + 4);
    memcpy(t->data, raw + 4, 4);
    if (t->small && t->bytes > 4) return bad(r, "a short element holds more than 4 bytes");
    if (!t->small && t->bytes > *left) return bad(r, "an element is longer than what holds it");
fail:
    return status;
}

// The data of an element whose tag was taken: `out` (NULL: skipped) has room for `room` bytes.
static sac_status take_data(reader *r, const tag *t, void *out, uint32_t room, uint64_t *left) {
    sac_status status = SAC_OK;
    if (out != NULL && t->bytes > room) return bad(r, "an element is longer than expected");
    if (t->small) {
        if (out != NULL) memcpy(out, t->data, t->bytes);
        return SAC_OK;
    }
    SAC_TRY(take(r, out, t->bytes));
    *left -= t->bytes;
    uint64_t padding = (8 - t->bytes % 8) % 8;
    if (padding > *left) padding = *left; // the last one in a compressed variable may lack it
    SAC_TRY(take(r, NULL, padding));
    *left -= padding;
fail:
    return status;
}

static uint32_t type_size(uint32_t type) {
    static const uint8_t sizes[19] = {0, 1, 1, 2, 2, 4, 4, 4, 0, 8, 0, 0, 8, 8, 0, 0, 1, 2, 4};
    return type < sizeof sizes ? sizes[type] : 0;
}

// One array of `count` numbers or characters.
static sac_status check_numbers(reader *r, uint64_t count, uint64_t *left) {
    sac_status status = SAC_OK;
    tag t;
    SAC_TRY(take_tag(r, &t, left));
    const uint32_t size = type_size(t.type);
    if (size == 0) return bad(r, "an array of unknown type");
    if ((uint64_t)t.bytes != count * size)
        return bad(r, "an array's length does not match its dimensions");
    SAC_TRY(take_data(r, &t, NULL, 0, left));
fail:
    return status;
}

static sac_status check_matrix(reader *r, uint64_t left, int depth);

// `count` matrices in a row.
static sac_status check_children(reader *r, uint64_t count, uint64_t *left, int depth) {
    sac_status status = SAC_OK;
    if (count > *left / 8) return bad(r, "it has fewer cells or fields than its dimensions say");
    for (uint64_t i = 0; i < count; i++) {
        tag t;
        SAC_TRY(take_tag(r, &t, left));
        if (t.type != TYPE_MATRIX || t.small) return bad(r, "a cell or field is not an array");
        SAC_TRY(check_matrix(r, t.bytes, depth + 1));
        *left -= t.bytes;
    }
fail:
    return status;
}

static sac_status check_fields(reader *r, uint64_t count, uint64_t *left, int depth) {
    sac_status status = SAC_OK;
    tag t;
    uint8_t raw[4];
    SAC_TRY(take_tag(r, &t, left));
    if (t.type != TYPE_INT32 || t.bytes != 4) return bad(r, "a structure without length of names");
    SAC_TRY(take_data(r, &t, raw, sizeof raw, left));
    const uint32_t length = word(r, raw);
    SAC_TRY(take_tag(r, &t, left));
    if (t.type != TYPE_INT8 || length == 0 || length > 4096 || t.bytes % length != 0)
        return bad(r, "a structure without names of fields");
    SAC_TRY(take_data(r, &t, NULL, 0, left));
    const uint64_t fields = t.bytes / length;
    if (fields > 0 && count > UINT32_MAX / fields) return bad(r, "a structure is too large");
    SAC_TRY(check_children(r, count * fields, left, depth));
fail:
    return status;
}

// The inside of a matrix element of `left` bytes.
static sac_status check_matrix(reader *r, uint64_t left, int depth) {
    sac_status status = SAC_OK;
    tag t;
    uint8_t flags[8], dims[4 * MAX_DIMS], name[256];
    if (left == 0) return SAC_OK; // an empty cell
    if (depth > MAX_DEPTH) return bad(r, "it is nested too deeply");
    SAC_TRY(take_tag(r, &t, &left));
    if (t.type != TYPE_UINT32 || t.bytes != 8 || t.small) return bad(r, "a variable has no flags");
    SAC_TRY(take_data(r, &t, flags, sizeof flags, &left));
    const uint32_t kind = word(r, flags) & 0xFFu;
    const bool complex = (word(r, flags) & FLAG_COMPLEX) != 0;
    SAC_TRY(take_tag(r, &t, &left));
    if (t.type != TYPE_INT32 || t.bytes < 8 || t.bytes > sizeof dims || t.bytes % 4 != 0)
        return bad(r, "a variable has no dimensions");
    SAC_TRY(take_data(r, &t, dims, sizeof dims, &left));
    int64_t count = 1;
    bool empty = false, fits = true;
    for (uint32_t i = 0; i < t.bytes; i += 4) {
        const int32_t size = (int32_t)word(r, dims + i);
        if (size < 0) fits = false;
        empty = empty || size == 0;
    }
    for (uint32_t i = 0; i < t.bytes && fits && !empty; i += 4)
        fits = sac_mul(count, (int32_t)word(r, dims + i), &count) && count <= INT32_MAX;
    if (!fits) return bad(r, "a variable has absurd dimensions");
    if (empty) count = 0;
    SAC_TRY(take_tag(r, &t, &left));
    if (t.type != TYPE_INT8) return bad(r, "a variable has no name");
    SAC_TRY(take_data(r, &t, name, sizeof name, &left));
    if (kind == CLASS_CELL) {
        SAC_TRY(check_children(r, (uint64_t)count, &left, depth));
    } else if (kind == CLASS_STRUCT) {
        SAC_TRY(check_fields(r, (uint64_t)count, &left, depth));
    } else if (kind == CLASS_CHAR || (kind >= CLASS_DOUBLE && kind <= CLASS_UINT64)) {
        // An empty array may come without data.
        if (count > 0 || left > 0) SAC_TRY(check_numbers(r, (uint64_t)count, &left));
        if (complex && (count > 0 || left > 0)) SAC_TRY(check_numbers(r, (uint64_t)count, &left));
    } else {
        SAC_TRY(sac_error_set(r->error, SAC_ERROR_UNSUPPORTED, -1,
                              "%s: holds a sparse matrix, an object or a function, which is not "
                              "read; save the variable that is wanted in a file of its own",
                              r->name));
    }
    if (left > 7) return bad(r, "a variable is longer than its contents");
    SAC_TRY(take(r, NULL, left));
fail:
    return status;
}

// A compressed element: one matrix element, deflated.
static sac_status check_compressed(reader *r, uint32_t bytes) {
    sac_status status = SAC_OK;
    reader inner = {.bytes = r->bytes,
                    .swap = r->swap,
                    .inflating = true,
                    .window = r->window,
                    .name = r->name,
                    .error = r->error};
    tag t;
    uint64_t left = UINT64_MAX;
    inner.z.next_in = (Bytef *)(uintptr_t)(r->bytes + r->at);
    inner.z.avail_in = bytes;
    if (inflateInit(&inner.z) != Z_OK) return SAC_ERROR_MEMORY;
    SAC_TRY(take_tag(&inner, &t, &left));
    if (t.type != TYPE_MATRIX || t.small) SAC_TRY(bad(&inner, "a variable is not an array"));
    SAC_TRY(check_matrix(&inner, t.bytes, 0));
    SAC_TRY(take(r, NULL, bytes));
fail:
    (void)inflateEnd(&inner.z);
    return status;
}

sac_status sac_mat5_check_bytes(const void *bytes, size_t size, const char *name,
                                sac_error *error) {
    sac_status status = SAC_OK;
    reader r = {.bytes = bytes, .at = HEADER, .size = size, .name = name, .error = error};
    const uint8_t *head = bytes;
    if (size < HEADER || (memcmp(head + 126, "IM", 2) != 0 && memcmp(head + 126, "MI", 2) != 0))
        return sac_error_set(error, SAC_ERROR_FORMAT, 0,
                             "%s: is not a .mat file of format 5 (wrong header)", name);
    const bool little = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__;
    r.swap = (head[126] == 'I') != little;
    SAC_TRY_ALLOC(r.window = sac_calloc(WINDOW, 1));
    // Zeros behind the last element are padding.
    while (r.size - r.at >= 8) {
        tag t;
        uint64_t left = r.size - r.at;
        SAC_TRY(take_tag(&r, &t, &left));
        if (t.small || (t.type != TYPE_MATRIX && t.type != TYPE_COMPRESSED)) {
            SAC_TRY(bad(&r, "expected a variable"));
        } else if (t.type == TYPE_MATRIX) {
            const size_t end = r.at + t.bytes;
            SAC_TRY(check_matrix(&r, t.bytes, 0));
            r.at = end;
        } else {
            SAC_TRY(check_compressed(&r, t.bytes));
        }
    }
    if (r.size != r.at) SAC_TRY(bad(&r, "it is cut short"));
fail:
    sac_free(r.window);
    return status < 0 ? sac_error_set(error, status, -1, "%s: no memory to check it", name)
                      : SAC_OK;
}

sac_status sac_mat5_check(const char *path, sac_error *error) {
    uint8_t *bytes = NULL;
    size_t size = 0;
    sac_status status = sac_file_read(&bytes, &size, path, FILE_LIMIT, error);
    if (status >= 0) status = sac_mat5_check_bytes(bytes, size, path, error);
    sac_free(bytes);
    return status;
}
