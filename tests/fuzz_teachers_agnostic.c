// Any bytes as a file of the background-agnostic teacher: an error with a message, or a teacher
// that can be closed again.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/file.h"
#include "core/memory.h"
#include "fuzz.h"
#include "teachers/agnostic.h"

// The smallest teacher, written once.
static const uint8_t *good_file(size_t *size, size_t *header) {
    static uint8_t *bytes;
    static size_t length;
    if (bytes == NULL) {
        char path[64];
        (void)snprintf(path, sizeof path, "/tmp/saccade-fuzz-agnostic-%ld", (long)getpid());
        sac_agnostic_model model = {.crop_size = 16, .flow_unit = 1};
        sac_calibration_init(&model.calibration, SAC_AGNOSTIC_BRANCHES, sac_agnostic_branch_name,
                             SAC_COMBINE_MEAN);
        model.calibration.objects = 1;
        if (sac_agnostic_net(&model.net, SAC_AGNOSTIC_MODEL, 0, SAC_AGNOSTIC_NARROW, 16, 1, NULL) !=
                SAC_OK ||
            sac_params_create(&model.params, model.net, NULL) != SAC_OK ||
            sac_agnostic_model_write(&model, path, NULL, NULL) != SAC_OK ||
            sac_file_read(&bytes, &length, path, 1u << 28, NULL) != SAC_OK) {
            abort();
        }
        unlink(path);
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
    // Good weights follow, so that an unharmed header makes a good teacher.
    uint8_t *file = malloc(size + whole - header);
    if (file == NULL) abort();
    if (size > 0) memcpy(file, data, size);
    memcpy(file + size, bytes + header, whole - header);
    sac_agnostic_model *model = NULL;
    sac_safetensors *st = NULL;
    sac_error error = {0};
    sac_status status = sac_safetensors_parse(&st, file, size + whole - header, "sample", &error);
    if (status == SAC_OK) status = sac_agnostic_model_parse(&model, st, "sample", &error);
    if (status < 0 && (error.message[0] == '\0' || model != NULL)) abort();
    if (size == header && memcmp(data, bytes, header) == 0 && status < 0) abort();
    sac_agnostic_model_close(&model);
    sac_safetensors_close(&st);
    free(file);
    return 0;
}
