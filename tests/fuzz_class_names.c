// Any bytes as a file of class names: an error, or names that are not empty and hold no line break.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/memory.h"
#include "fuzz.h"
#include "teachers/network_boxes.h"

static const char *const samples[] = {"person\nbicycle\ncar\n", "a b\r\n\tc \r\n\n\n", "x"};

size_t sac_fuzz_seed(int index, uint8_t *out, size_t capacity) {
    if (index >= (int)(sizeof samples / sizeof samples[0])) return 0;
    const size_t size = strlen(samples[index]);
    if (size > capacity) return 0;
    memcpy(out, samples[index], size);
    return size;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static char path[64];
    if (path[0] == '\0') {
        (void)snprintf(path, sizeof path, "/tmp/saccade-fuzz-%ld.names", (long)getpid());
    }
    FILE *file = fopen(path, "wb");
    if (file == NULL) abort();
    if (size > 0 && fwrite(data, 1, size, file) != size) abort();
    if (fclose(file) != 0) abort();
    char **names = NULL;
    int count = 0;
    sac_error error = {0};
    const sac_status status = sac_class_names_read(&names, &count, path, &error);
    unlink(path);
    if (status < 0) {
        if (error.message[0] == '\0' || names != NULL) abort();
        return 0;
    }
    if (count < 1) abort();
    for (int i = 0; i < count; i++) {
        if (names[i][0] == '\0' || strchr(names[i], '\n') != NULL) abort();
    }
    sac_free(names);
    return 0;
}
