// Any bytes as a quantisation table: an error with a reason, or a table within its limits that
// survives writing and reading.
#include <stdlib.h>
#include <string.h>

#include "core/json.h"
#include "fuzz.h"
#include "nn/quant.h"

size_t sac_fuzz_seed(int index, uint8_t *out, size_t capacity) {
    static const char *const samples[] = {
        "{\"version\": 1, \"activations\": {\"frames\": 0.00392156862745098, \"a.relu\": 0.1}}",
        "{\"version\": 1, \"activations\": {}}",
        "{\"version\": 2, \"activations\": {\"a\": 1e3, \"b\": 1e-12, \"c\": 7}}",
    };
    if (index >= (int)(sizeof samples / sizeof *samples) || strlen(samples[index]) > capacity)
        return 0;
    memcpy(out, samples[index], strlen(samples[index]));
    return strlen(samples[index]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    json_t *json = NULL, *again = NULL;
    sac_quant *quant = NULL, *read = NULL;
    sac_error error = {0};
    if (sac_json_parse(&json, data, size, "fuzz", &error) < 0) return 0;
    const sac_status status = sac_quant_from_json(&quant, json, "fuzz", &error);
    json_decref(json);
    if (status < 0) {
        if (quant != NULL || error.code != status || error.message[0] == '\0') abort();
        return 0;
    }
    again = sac_quant_to_json(quant);
    if (again == NULL || sac_quant_from_json(&read, again, "again", NULL) < 0 ||
        sac_quant_count(read) != sac_quant_count(quant))
        abort();
    for (int i = 0; i < sac_quant_count(quant); i++) {
        const char *name = sac_quant_name(quant, i);
        const float scale = sac_quant_scale(quant, name), other = sac_quant_scale(read, name);
        if (!(scale > 0.0f && scale <= (float)SAC_QUANT_MAX_SCALE) || scale < other ||
            scale > other)
            abort();
    }
    json_decref(again);
    sac_quant_close(&quant);
    sac_quant_close(&read);
    return 0;
}
