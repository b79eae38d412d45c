// Any bytes as a .mat file of format 5. Format 7.3 is HDF5's to parse and left out.
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/mat.h"
#include "core/mat5.h"
#include "fuzz.h"

static void put(uint8_t **at, uint32_t value) {
    memcpy(*at, &value, 4);
    *at += 4;
}

// Flags, dimensions and name of a variable of class `kind`.
static void put_head(uint8_t **at, uint32_t kind, uint32_t rows, uint32_t cols, char name) {
    put(at, 6), put(at, 8), put(at, kind), put(at, 0);
    put(at, 5), put(at, 8), put(at, rows), put(at, cols);
    put(at, name != 0 ? 1u << 16 | 1u : 1u), put(at, (uint32_t)name);
}

size_t sac_fuzz_seed(int index, uint8_t *out, size_t capacity) {
    if (index > 2 || capacity < 1024) return 0;
    memset(out, ' ', 124);
    memcpy(out + 124, "\x00\x01IM", 4);
    uint8_t *at = out + 128;
    if (index == 0) { // 2x2 bytes
        put(&at, 14), put(&at, 48);
        put_head(&at, 9, 2, 2, 'v');
        put(&at, 4u << 16 | 2u), put(&at, 0x01000100u);
    } else { // 1x2 cells of doubles
        const uint32_t cell = 40 + 8 + 16;
        put(&at, 14), put(&at, 40 + 2 * (8 + cell));
        put_head(&at, 1, 1, 2, 'v');
        for (int c = 0; c < 2; c++) {
            put(&at, 14), put(&at, cell);
            put_head(&at, 6, index == 1 ? 2 : 1, index == 1 ? 1 : 2, 0);
            put(&at, 9), put(&at, 16), put(&at, 0), put(&at, 0x3FF00000u), put(&at, 0),
                put(&at, 0x40000000u);
        }
    }
    return (size_t)(at - out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    sac_error error = {0};
    if (sac_mat5_check_bytes(data, size, "fuzz.mat", &error) < 0) {
        if (error.message[0] == '\0') __builtin_trap();
        return 0;
    }
    const int file = memfd_create("fuzz.mat", 0);
    if (file < 0) return 0;
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    sac_mat *mat = NULL;
    sac_mat_matrix m = {0};
    error = (sac_error){0};
    if (write(file, data, size) == (ssize_t)size && memcmp(data + 124, "\0\1", 2) == 0) {
        if (sac_mat_open(&mat, path, "v", &error) < 0) {
            if (error.message[0] == '\0' || mat != NULL) __builtin_trap();
        } else {
            volatile double last = 0;
            for (int64_t i = 0; i < sac_mat_count(mat); i++) {
                if (sac_mat_read(mat, i, &m, &error) < 0) break;
                for (int64_t k = 0; k < m.rows * m.cols; k++) last = m.data[k];
            }
            (void)last;
        }
    }
    sac_mat_matrix_close(&m);
    sac_mat_close(&mat);
    (void)close(file);
    return 0;
}
