// Any bytes as a file of cached crops: an error with a message, or a cache whose every byte can be
// read.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/file.h"
#include "core/memory.h"
#include "fuzz.h"
#include "teachers/crops.h"

enum { OBJECTS = 2, SIDE = 6, FEATURES = 3, STAMP = 5 };

static const char *fuzz_path(void) {
    static char path[64];
    if (path[0] == '\0') {
        (void)snprintf(path, sizeof path, "/tmp/saccade-fuzz-crops-%ld", (long)getpid());
    }
    return path;
}

size_t sac_fuzz_seed(int index, uint8_t *out, size_t capacity) {
    static uint8_t pixels[64];
    sac_crop_object objects[OBJECTS];
    sac_crop_cache *cache = NULL;
    uint8_t *bytes = NULL;
    size_t size = 0;
    if (index > 0) return 0;
    for (int i = 0; i < OBJECTS; i++) {
        objects[i] = (sac_crop_object){
            .pixels = pixels, .width = 8, .height = 8, .frames = 1, .box = {1, 1, 5, 5, 1, -1}};
    }
    if (sac_crop_cache_create(&cache, fuzz_path(), OBJECTS, SIDE, FEATURES, STAMP, NULL) < 0 ||
        sac_crop_cache_put(cache, 0, objects, OBJECTS, SIDE - 2) < 0 ||
        sac_crop_cache_commit(cache, NULL) < 0 ||
        sac_file_read(&bytes, &size, fuzz_path(), 1 << 20, NULL) < 0) {
        abort();
    }
    sac_crop_cache_close(&cache);
    unlink(fuzz_path());
    if (size > capacity) abort();
    memcpy(out, bytes, size);
    sac_free(bytes);
    return size;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    FILE *file = fopen(fuzz_path(), "wb");
    if (file == NULL) abort();
    if (size > 0 && fwrite(data, 1, size, file) != size) abort();
    if (fclose(file) != 0) abort();
    sac_crop_cache *cache = NULL;
    sac_error error = {0};
    sac_status status =
        sac_crop_cache_open(&cache, fuzz_path(), OBJECTS, SIDE, FEATURES, STAMP, &error);
    if (status < 0 && (error.message[0] == '\0' || cache != NULL)) abort();
    if (status >= 0) {
        unsigned sum = 0;
        for (int64_t i = 0; i < OBJECTS; i++) {
            const uint8_t *crops = sac_crop_cache_at(cache, i);
            const float *features = sac_crop_cache_features(cache, i);
            for (int k = 0; k < SAC_CROP_TIMES * SIDE * SIDE; k++) sum += crops[k];
            for (int k = 0; k < FEATURES; k++) sum += features[k] > 0;
        }
        if (sum > OBJECTS * (SAC_CROP_TIMES * SIDE * SIDE * 255u + FEATURES)) abort();
    }
    sac_crop_cache_close(&cache);
    unlink(fuzz_path());
    return 0;
}
