// Any bytes as a result file to be compared, with itself.
#include <string.h>

#include "bench/compare.h"
#include "core/memory.h"
#include "fuzz.h"

size_t sac_fuzz_seed(int index, uint8_t *out, size_t capacity) {
    static const char *const samples[] = {
        "{\"figures\": [{\"name\": \"student alone; 2 workers\", \"unit\": \"FPS\", \"better\": "
        "\"higher\", \"value\": 2.5, \"low\": 1, \"high\": 3e2, \"rounds\": 3, \"limit\": "
        "\"matmul\", \"of_limit\": 0.5}, {\"name\": \"b\", \"unit\": \"ms\", \"better\": "
        "\"lower\", \"value\": 0, \"low\": null, \"high\": null, \"rounds\": 1, \"limit\": null, "
        "\"of_limit\": null}], \"machine\": {\"cpu\": \"x\", \"cores\": 2, \"instructions\": "
        "\"avx2\", \"backend\": \"oneDNN\"}, \"version\": \"0.1.0\"}",
        "{\"figures\": []}",
    };
    if (index >= (int)(sizeof samples / sizeof *samples) || strlen(samples[index]) > capacity)
        return 0;
    memcpy(out, samples[index], strlen(samples[index]));
    return strlen(samples[index]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    sac_compared_file file;
    sac_comparison comparison;
    sac_error error = {0};
    if (sac_compared_parse(&file, data, size, "fuzz.json", &error) < 0) {
        if (error.message[0] == '\0' || file.figures.count != 0) __builtin_trap();
        return 0;
    }
    if (sac_comparison_make(&comparison, &file, &file, NULL, &error) >= 0) {
        sac_free(sac_comparison_markdown(&comparison));
        json_decref(sac_comparison_json(&comparison));
        sac_comparison_close(&comparison);
    }
    sac_free(sac_figures_csv(&file.figures));
    sac_free(sac_figures_markdown(&file.figures));
    sac_compared_close(&file);
    return 0;
}
