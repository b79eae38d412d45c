// Samples for fuzz targets of teacher files with networks. The weights are larger than a sample may
// be, so a sample is the header: metadata, network, tensor table. Good weights follow, so that an
// unharmed header makes a good teacher.
#ifndef SAC_TESTS_FUZZ_TEACHER_H
#define SAC_TESTS_FUZZ_TEACHER_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/file.h"
#include "core/safetensors.h"
#include "fuzz.h"
#include "teachers/family.h"

// The target's: writes its smallest teacher.
static sac_status write_teacher(const char *path);

// The smallest teacher, written once.
static inline const uint8_t *good_teacher(size_t *size, size_t *header) {
    static uint8_t *bytes;
    static size_t length;
    if (bytes == NULL) {
        char path[64];
        (void)snprintf(path, sizeof path, "/tmp/saccade-fuzz-teacher-%ld", (long)getpid());
        if (write_teacher(path) != SAC_OK ||
            sac_file_read(&bytes, &length, path, 1u << 28, NULL) != SAC_OK)
            abort();
        unlink(path);
    }
    uint64_t json = 0;
    memcpy(&json, bytes, 8);
    *header = 8 + (size_t)json;
    *size = length;
    return bytes;
}

size_t sac_fuzz_seed(int index, uint8_t *out, size_t capacity) {
    size_t size = 0, header = 0;
    const uint8_t *bytes = good_teacher(&size, &header);
    if (index > 0 || header > capacity) return 0;
    memcpy(out, bytes, header);
    return header;
}

// The sample with its weights, as far as all families read it.
static inline sac_status parse_sample(sac_safetensors **st, const uint8_t *data, size_t size,
                                      sac_error *error) {
    size_t whole = 0, header = 0;
    const uint8_t *bytes = good_teacher(&whole, &header);
    uint8_t *file = malloc(size + whole - header);
    if (file == NULL) abort();
    if (size > 0) memcpy(file, data, size);
    memcpy(file + size, bytes + header, whole - header);
    sac_status status = sac_safetensors_parse(st, file, size + whole - header, "sample", error);
    free(file);
    return status == SAC_OK ? sac_family_file_check(*st, "sample", error) : status;
}

// Aborts unless there is either a model or a message, and for the good header a model.
static inline void judge_sample(sac_status status, const void *model, const sac_error *error,
                                const uint8_t *data, size_t size) {
    size_t whole = 0, header = 0;
    const uint8_t *bytes = good_teacher(&whole, &header);
    if (status < 0 && (error->message[0] == '\0' || model != NULL)) abort();
    if (size == header && memcmp(data, bytes, header) == 0 && status < 0) abort();
}

#endif
