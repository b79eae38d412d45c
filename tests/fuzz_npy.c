// Any bytes as a .npy file.
#include <string.h>

#include "core/npy.h"
#include "fuzz.h"

size_t sac_fuzz_seed(int index, uint8_t *out, size_t capacity) {
    static const char *const headers[] = {
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }        \n",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (3,), }\n",
        "{'descr': '|u1', 'fortran_order': True, 'shape': (4, 6), }\n",
        "{'shape': (), 'descr': '<i8', 'fortran_order': False}",
        "{\"descr\": \"<f2\", \"fortran_order\": False, \"shape\": (1, 12L), }",
    };
    if (index >= (int)(sizeof headers / sizeof *headers) || capacity < 256) return 0;
    size_t length = strlen(headers[index]), start = index == 1 ? 12 : 10;
    memset(out, 0, start);
    memcpy(out, "\x93NUMPY", 6);
    out[6] = index == 1 ? 2 : 1;
    out[8] = (uint8_t)length;
    memcpy(out + start, headers[index], length);
    size_t data = index == 3 ? 8 : 24;
    for (size_t i = 0; i < data; i++) out[start + length + i] = (uint8_t)(i * 11);
    return start + length + data;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    sac_npy npy;
    sac_error error = {0};
    if (sac_npy_parse(&npy, data, size, "fuzz.npy", &error) < 0) {
        if (error.message[0] == '\0' || npy.data != NULL) __builtin_trap();
        return 0;
    }
    int64_t count = 1;
    for (int i = 0; i < npy.ndims; i++) count *= npy.dims[i];
    if (count != npy.count) __builtin_trap();
    volatile float last = 0;
    for (int64_t i = 0; i < npy.count; i++) last = npy.data[i];
    (void)last;
    sac_npy_close(&npy);
    return 0;
}
