// libFuzzer builds only: writes the samples of a target into the folder that SACCADE_FUZZ_CORPUS
// names before libFuzzer reads it as its corpus.
#include <stdio.h>
#include <stdlib.h>

#include "fuzz.h"

enum { CAPACITY = 65536 };

int LLVMFuzzerInitialize(int *argc, char ***argv);

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    (void)argc;
    (void)argv;
    const char *folder = getenv("SACCADE_FUZZ_CORPUS");
    static uint8_t data[CAPACITY];
    for (int i = 0; folder != NULL && sac_fuzz_seed != NULL; i++) {
        size_t size = sac_fuzz_seed(i, data, CAPACITY);
        if (size == 0) break;
        char path[4096];
        snprintf(path, sizeof path, "%s/sample-%03d", folder, i);
        FILE *file = fopen(path, "wb");
        if (file == NULL) continue;
        fwrite(data, 1, size, file);
        fclose(file);
    }
    return 0;
}
