// Any bytes as UBnormal's list of abnormal objects.
#include <string.h>

#include "core/memory.h"
#include "core/spans.h"
#include "fuzz.h"

size_t sac_fuzz_seed(int index, uint8_t *out, size_t capacity) {
    static const char *const samples[] = {"7,10,20\n255,0,99\n", "1.000000e+00 2.0 3\r\n\r\n",
                                          " 3\t4 , 5"};
    if (index >= (int)(sizeof samples / sizeof *samples) || strlen(samples[index]) > capacity)
        return 0;
    memcpy(out, samples[index], strlen(samples[index]));
    return strlen(samples[index]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    sac_span *spans = NULL;
    int64_t count;
    sac_error error = {0};
    if (sac_spans_parse(&spans, &count, data, size, "fuzz.txt", "c", 100, &error) < 0) {
        if (error.message[0] == '\0' || spans != NULL) __builtin_trap();
        return 0;
    }
    for (int64_t i = 0; i < count; i++)
        if (spans[i].id < 1 || spans[i].id > 255 || spans[i].first < 0 ||
            spans[i].last < spans[i].first || spans[i].last >= 100)
            __builtin_trap();
    sac_free(spans);
    return 0;
}
