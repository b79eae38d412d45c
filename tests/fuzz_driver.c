// Runs a fuzz target without libFuzzer: first its samples as they are, cut at every length (large
// ones at a few hundred), then random mutations of them for the seconds named by the first
// argument, or the files named as arguments. The seed is fixed, so a failure repeats; the input
// being tried is kept in the file that SACCADE_FUZZ_CORPUS names, with the suffix "-crash", until
// the run ends well. It is not guided by coverage: that is what libFuzzer is for.
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/file.h"
#include "core/memory.h"
#include "core/rng.h"
#include "core/time.h"
#include "fuzz.h"

enum { CAPACITY = 65536, SAMPLES = 64 };

// The current input lives in a shared mapping of a file, which survives a crash without a write per
// round.
typedef struct attempt {
    uint8_t *bytes; // [8 + CAPACITY]: size, then the input
} attempt;

static void try_input(const attempt *kept, const uint8_t *data, size_t size) {
    // An exact-size block lets the address sanitizer see a read one byte behind the end.
    uint8_t *copy = malloc(size > 0 ? size : 1);
    if (copy == NULL) abort();
    if (size > 0) memcpy(copy, data, size);
    if (kept->bytes != NULL) {
        uint64_t stored = size;
        memcpy(kept->bytes, &stored, sizeof stored);
        if (size > 0) memcpy(kept->bytes + sizeof stored, data, size);
    }
    LLVMFuzzerTestOneInput(copy, size);
    free(copy);
}

static size_t mutate(sac_rng *rng, uint8_t *data, size_t size, const uint8_t *other,
                     size_t other_size) {
    static const uint8_t interesting[] = {0,   1,   0x7F, 0x80, 0xFF, '0',  '9',  '-', '"', '{',
                                          '}', '[', ']',  ',',  ':',  '\n', '\\', ' ', 'e', '.'};
    static const char *const numbers[] = {
        "18446744073709551616", "9223372036854775807", "-1", "1e999", "nan",
        "4294967296",           "2147483648"};
    int64_t rounds = 1 + sac_rng_below(rng, 6);
    for (int64_t round = 0; round < rounds; round++) {
        size_t at = size > 0 ? (size_t)sac_rng_below(rng, (int64_t)size) : 0;
        switch (sac_rng_below(rng, 9)) {
        case 0: // flip one bit
            if (size > 0) data[at] ^= (uint8_t)(1u << sac_rng_below(rng, 8));
            break;
        case 1: // random byte
            if (size > 0) data[at] = (uint8_t)sac_rng_next(rng);
            break;
        case 2: // byte that parsers care about
            if (size > 0) data[at] = interesting[sac_rng_below(rng, (int64_t)sizeof interesting)];
            break;
        case 3: // cut the tail
            size = at;
            break;
        case 4: { // remove a run
            size_t run = (size_t)sac_rng_below(rng, 16) + 1;
            if (at + run > size) run = size - at;
            memmove(data + at, data + at + run, size - at - run);
            size -= run;
            break;
        }
        case 5: { // double a run
            size_t run = (size_t)sac_rng_below(rng, 64) + 1;
            if (at + run > size) run = size - at;
            if (size + run > CAPACITY) break;
            memmove(data + at + run, data + at, size - at);
            size += run;
            break;
        }
        case 6: { // little-endian word of an extreme size
            uint64_t word = sac_rng_next(rng) >> sac_rng_below(rng, 64);
            if (sac_rng_below(rng, 2) == 0) word = 0 - word;
            size_t bytes = (size_t)1 << sac_rng_below(rng, 4);
            if (at + bytes <= size) memcpy(data + at, &word, bytes);
            break;
        }
        case 7: { // extreme number as text
            const char *number =
                numbers[sac_rng_below(rng, (int64_t)(sizeof numbers / sizeof *numbers))];
            size_t length = strlen(number);
            if (size + length > CAPACITY) break;
            memmove(data + at + length, data + at, size - at);
            memcpy(data + at, number, length);
            size += length;
            break;
        }
        default: { // splice another sample behind this place
            if (other_size == 0) break;
            size_t from = (size_t)sac_rng_below(rng, (int64_t)other_size);
            size_t run = other_size - from;
            if (at + run > CAPACITY) run = CAPACITY - at;
            memcpy(data + at, other + from, run);
            size = at + run;
            break;
        }
        }
    }
    return size;
}

static attempt open_attempt(char *path, size_t path_size) {
    attempt kept = {0};
    const char *folder = getenv("SACCADE_FUZZ_CORPUS");
    if (folder == NULL) return kept;
    snprintf(path, path_size, "%s-crash", folder);
    FILE *file = fopen(path, "wb+");
    if (file == NULL) return kept;
    size_t bytes = sizeof(uint64_t) + CAPACITY;
    if (ftruncate(fileno(file), (off_t)bytes) == 0) {
        void *map = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fileno(file), 0);
        if (map != MAP_FAILED) kept.bytes = map;
    }
    fclose(file);
    return kept;
}

int main(int argc, char **argv) {
    char *end = NULL;
    double seconds = argc > 1 ? strtod(argv[1], &end) : 5.0;
    char path[4096] = "";
    attempt kept = {0};
    if (argc > 1 && (end == argv[1] || *end != '\0')) {
        for (int i = 1; i < argc; i++) {
            uint8_t *bytes;
            size_t size;
            sac_error error = {0};
            if (sac_file_read(&bytes, &size, argv[i], (size_t)1 << 30, &error) < 0) {
                fprintf(stderr, "%s\n", error.message);
                return 1;
            }
            // A file kept by an earlier run starts with the size of the input.
            size_t offset = 0;
            uint64_t stored;
            if (size == sizeof stored + CAPACITY) {
                memcpy(&stored, bytes, sizeof stored);
                if (stored <= CAPACITY) {
                    offset = sizeof stored;
                    size = (size_t)stored;
                }
            }
            try_input(&kept, bytes + offset, size);
            sac_free(bytes);
            printf("%s: survived\n", argv[i]);
        }
        return 0;
    }

    kept = open_attempt(path, sizeof path);
    uint8_t *samples[SAMPLES];
    size_t sizes[SAMPLES];
    int count = 0;
    uint8_t *data = malloc(CAPACITY + 8);
    if (data == NULL) return 1;
    while (sac_fuzz_seed != NULL && count < SAMPLES) {
        size_t size = sac_fuzz_seed(count, data, CAPACITY);
        if (size == 0) break;
        samples[count] = malloc(size);
        if (samples[count] == NULL) return 1;
        memcpy(samples[count], data, size);
        sizes[count++] = size;
    }
    double deadline = sac_time_s() + seconds;
    uint64_t runs = 0;
    try_input(&kept, NULL, 0);
    for (int i = 0; i < count; i++) {
        size_t step = sizes[i] / 512 + 1;
        try_input(&kept, samples[i], sizes[i]);
        for (size_t cut = 0; cut < sizes[i] && sac_time_s() < deadline; cut += step, runs++) {
            try_input(&kept, samples[i], cut);
        }
    }
    sac_rng rng;
    sac_rng_seed(&rng, 1, 0);
    while (sac_time_s() < deadline) {
        size_t size = 0;
        const uint8_t *other = NULL;
        size_t other_size = 0;
        if (count > 0) {
            int64_t pick = sac_rng_below(&rng, count), splice = sac_rng_below(&rng, count);
            memcpy(data, samples[pick], size = sizes[pick]);
            other = samples[splice];
            other_size = sizes[splice];
        } else {
            size = (size_t)sac_rng_below(&rng, 512);
            for (size_t i = 0; i < size; i++) data[i] = (uint8_t)sac_rng_next(&rng);
        }
        try_input(&kept, data, mutate(&rng, data, size, other, other_size));
        runs++;
    }
    for (int i = 0; i < count; i++) free(samples[i]);
    free(data);
    if (kept.bytes != NULL) {
        munmap(kept.bytes, sizeof(uint64_t) + CAPACITY);
        unlink(path);
    }
    printf("%" PRIu64 " inputs from %d samples\n", runs, count);
    return runs > 0 ? 0 : 1;
}
