// Any bytes as a safetensors file.
#include <stdio.h>
#include <string.h>

#include "core/safetensors.h"
#include "fuzz.h"

size_t sac_fuzz_seed(int index, uint8_t *out, size_t capacity) {
    static const struct {
        const char *header;
        size_t data;
    } samples[] = {
        {"{}", 0},
        {"{\"__metadata__\":{\"format\":\"1\",\"note\":\"\\u00e4\\n\"},\"a\":{\"dtype\":\"F32\","
         "\"shape\":[2,3],\"data_offsets\":[0,24]}}",
         24},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},\"b\":{\"dtype\":\"U8\","
         "\"shape\":[2,2],\"data_offsets\":[4,8]},"
         "\"c\":{\"dtype\":\"F64\",\"shape\":[],\"data_offsets\":[8,16]},\"d\":{\"dtype\":\"I8\","
         "\"shape\":[0],\"data_offsets\":[16,16]}}  ",
         16},
        {"{\"x\":{\"dtype\":\"BF16\",\"shape\":[2],\"data_offsets\":[0,4]}}", 4},
        {"{\"x\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,"
         "9223372036854775807]}}",
         4},
    };
    if (index >= (int)(sizeof samples / sizeof *samples) || capacity < 1024) return 0;
    uint64_t length = strlen(samples[index].header);
    memcpy(out, &length, sizeof length);
    memcpy(out + 8, samples[index].header, (size_t)length);
    for (size_t i = 0; i < samples[index].data; i++) out[8 + length + i] = (uint8_t)(i * 13);
    return 8 + (size_t)length + samples[index].data;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    sac_safetensors *st = NULL;
    sac_error error = {0};
    if (sac_safetensors_parse(&st, data, size, "fuzz.safetensors", &error) < 0) {
        if (error.message[0] == '\0' || st != NULL) __builtin_trap();
        return 0;
    }
    for (int64_t i = 0; i < sac_safetensors_count(st); i++) {
        const sac_named_tensor *tensor = sac_safetensors_at(st, i);
        const void *found = NULL;
        // Names are unique, so looking one up must give this very tensor.
        if (sac_safetensors_expect(st, tensor->name, tensor->dtype, tensor->ndims, tensor->dims,
                                   &found, NULL) < 0 ||
            found != tensor->data) {
            __builtin_trap();
        }
    }
    (void)sac_safetensors_metadata(st, "format");
    sac_safetensors_close(&st);
    return 0;
}
