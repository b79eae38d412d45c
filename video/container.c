// Reads only lengths from the outermost level of a container. FFmpeg ends quietly where a cut
// Matroska or AVI file ends; this finds out that something is missing. Decodes nothing and trusts
// nothing: a wrong length only makes the answer wrong.
#include "video/container.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static bool read_at(FILE *file, int64_t at, uint8_t *bytes, size_t n) {
    return fseeko(file, at, SEEK_SET) == 0 && fread(bytes, 1, n, file) == n;
}

static uint64_t big_endian(const uint8_t *b, int n) {
    uint64_t v = 0;
    for (int i = 0; i < n; i++) v = v << 8 | b[i];
    return v;
}

// EBML length field at `at` (RFC 8794, section 4); *next is where the content begins. False:
// unknown or malformed.
static bool ebml_length(FILE *file, int64_t at, int64_t *length, int64_t *next) {
    uint8_t b[8];
    if (!read_at(file, at, b, 1) || b[0] == 0) return false;
    int n = 1;
    while ((b[0] & (0x80 >> (n - 1))) == 0) n++;
    if (!read_at(file, at, b, (size_t)n)) return false;
    uint64_t mask = (UINT64_C(1) << (7 * n)) - 1, v = big_endian(b, n) & mask;
    *next = at + n;
    *length = (int64_t)v;
    return v != mask; // all ones: unknown length
}

static int64_t matroska(FILE *file) {
    int64_t length, at;
    uint8_t id[4];
    if (!ebml_length(file, 4, &length, &at)) return 0;
    at += length;
    if (!read_at(file, at, id, 4) || big_endian(id, 4) != 0x18538067) return 0;
    return ebml_length(file, at + 4, &length, &at) ? at + length : 0;
}

// End of the last box (ISO/IEC 14496-12, 4.2); a box of length 0 reaches to the end of the file.
static int64_t mp4(FILE *file) {
    int64_t at = 0;
    uint8_t b[16];
    for (int boxes = 0; boxes < 1 << 20; boxes++) {
        if (!read_at(file, at, b, 8)) return at;
        uint64_t length = big_endian(b, 4);
        if (length == 0) return 0;
        if (length == 1) {
            if (!read_at(file, at, b, 16)) return at + 16;
            length = big_endian(b + 8, 8);
        }
        if (length < 8 || length > INT64_MAX / 4 || at > INT64_MAX / 4) return 0;
        at += (int64_t)length;
    }
    return 0;
}

int64_t sac_container_declared_bytes(const char *path) {
    int64_t declared = 0;
    uint8_t b[12];
    FILE *file = fopen(path, "rb");
    if (file == NULL) return 0;
    if (read_at(file, 0, b, sizeof b)) {
        if (big_endian(b, 4) == 0x1A45DFA3)
            declared = matroska(file);
        else if (memcmp(b + 4, "ftyp", 4) == 0)
            declared = mp4(file);
        else if (memcmp(b, "RIFF", 4) == 0 && memcmp(b + 8, "AVI ", 4) == 0) {
            uint32_t length =
                (uint32_t)b[4] | (uint32_t)b[5] << 8 | (uint32_t)b[6] << 16 | (uint32_t)b[7] << 24;
            declared = length == 0 || length == UINT32_MAX ? 0 : 8 + (int64_t)length;
        }
    }
    (void)fclose(file);
    return declared;
}
