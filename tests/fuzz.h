// What a fuzz target defines. LLVMFuzzerTestOneInput must accept any bytes without a crash, hang or
// leak.
#ifndef SAC_TESTS_FUZZ_H
#define SAC_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// Optional. Writes the valid (or nearly valid) sample number `index`, from 0, to `out` and returns
// its size; 0 when there is no such sample. `capacity` is 65536 bytes. Good samples let the fuzzer
// reach past the first checks.
size_t sac_fuzz_seed(int index, uint8_t *out, size_t capacity) __attribute__((weak));

#endif
