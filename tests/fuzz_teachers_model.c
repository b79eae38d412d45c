// Any bytes as a teacher file: an error with a message, or a teacher that can be closed again.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/file.h"
#include "core/memory.h"
#include "fuzz.h"
#include "teachers/ssmtl.h"

static const char *fuzz_path(void) {
    static char path[64];
    if (path[0] == '\0') {
        (void)snprintf(path, sizeof path, "/tmp/saccade-fuzz-teacher-%ld", (long)getpid());
    }
    return path;
}

// The smallest teacher, written once.
static const uint8_t *good_file(size_t *size, size_t *header) {
    static uint8_t *bytes;
    static size_t length;
    if (bytes == NULL) {
        sac_ssmtl_model model = {.design = sac_ssmtl_default_design()};
        model.design.crop_size = 16;
        sac_ssmtl_calibration_init(&model.calibration, model.design.tasks);
        model.calibration.objects = 1;
        if (sac_ssmtl_net(&model.net, &model.design, false, NULL) != SAC_OK ||
            sac_params_create(&model.params, model.net, NULL) != SAC_OK ||
            sac_ssmtl_model_write(&model, fuzz_path(), NULL, NULL) != SAC_OK ||
            sac_file_read(&bytes, &length, fuzz_path(), 1u << 28, NULL) != SAC_OK) {
            abort();
        }
        unlink(fuzz_path());
        sac_params_close(&model.params);
        sac_net_close(&model.net);
    }
    uint64_t json = 0;
    memcpy(&json, bytes, 8);
    *header = 8 + (size_t)json;
    *size = length;
    return bytes;
}

// The weights are larger than a sample may be, so a sample is the header: metadata, network, tensor
// table.
size_t sac_fuzz_seed(int index, uint8_t *out, size_t capacity) {
    size_t size = 0, header = 0;
    const uint8_t *bytes = good_file(&size, &header);
    if (index > 0 || header > capacity) return 0;
    memcpy(out, bytes, header);
    return header;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    size_t whole = 0, header = 0;
    const uint8_t *bytes = good_file(&whole, &header);
    FILE *file = fopen(fuzz_path(), "wb");
    if (file == NULL) abort();
    if (size > 0 && fwrite(data, 1, size, file) != size) abort();
    // Good weights follow, so that an unharmed header makes a good teacher.
    if (fwrite(bytes + header, 1, whole - header, file) != whole - header) abort();
    if (fclose(file) != 0) abort();
    sac_ssmtl_model *model = NULL;
    sac_error error = {0};
    sac_status status = sac_ssmtl_model_read(&model, fuzz_path(), &error);
    unlink(fuzz_path());
    if (status < 0 && (error.message[0] == '\0' || model != NULL)) abort();
    if (size == header && memcmp(data, bytes, header) == 0 && status < 0) abort();
    sac_ssmtl_model_close(&model);
    return 0;
}
