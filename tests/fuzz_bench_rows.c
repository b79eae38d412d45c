// Any bytes as the rows of an ablation table; what is read must be written and read again.
#include <string.h>

#include "bench/suite_rows.h"
#include "core/memory.h"
#include "fuzz.h"

size_t sac_fuzz_seed(int index, uint8_t *out, size_t capacity) {
    static const char *const samples[] = {
        "{\"rows\": [{\"name\": \"no altered clips\", \"group\": \"data\", \"seeds\": 3, "
        "\"teachers\": [\"a\", \"b\"], \"arguments\": {\"pseudo\": 0, \"jitter\": 0.5, "
        "\"early-stop\": false, \"pseudo-kinds\": [\"x\", \"y\"]}}, {\"name\": \"b\"}], "
        "\"arguments\": {\"arch\": \"tiny-s\"}}",
        "{\"rows\": []}",
    };
    if (index >= (int)(sizeof samples / sizeof *samples) || strlen(samples[index]) > capacity)
        return 0;
    memcpy(out, samples[index], strlen(samples[index]));
    return strlen(samples[index]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    sac_suite_rows rows, again;
    sac_error error = {0};
    if (sac_suite_rows_parse(&rows, data, size, "fuzz.json", &error) < 0) {
        if (error.message[0] == '\0' || rows.count != 0) __builtin_trap();
        return 0;
    }
    char *text = sac_suite_rows_json(&rows);
    if (text == NULL) __builtin_trap();
    if (sac_suite_rows_parse(&again, text, strlen(text), "again.json", &error) < 0 ||
        again.count != rows.count)
        __builtin_trap();
    sac_free(text);
    sac_suite_rows_close(&again);
    sac_suite_rows_close(&rows);
    return 0;
}
