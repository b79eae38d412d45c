// Any bytes as a UCSD range file.
#include <string.h>

#include "core/memory.h"
#include "core/ranges.h"
#include "fuzz.h"

size_t sac_fuzz_seed(int index, uint8_t *out, size_t capacity) {
    static const char *const samples[] = {
        "T = {};\nT{end+1}.gt_frame = [61:180];\nT{end+1}.gt_frame = [5:90, 140:200];\n",
        "% comment\r\nT = { } ;\r\nT { end + 1 } . gt_frame = [ 1 2, 3:4 ] % x\r\n",
        "T{end+1}.gt_frame = [];",
    };
    if (index >= (int)(sizeof samples / sizeof *samples) || strlen(samples[index]) > capacity)
        return 0;
    memcpy(out, samples[index], strlen(samples[index]));
    return strlen(samples[index]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    sac_range *ranges = NULL;
    int64_t count, clips;
    sac_error error = {0};
    if (sac_ranges_parse(&ranges, &count, &clips, data, size, "fuzz.m", &error) < 0) {
        if (error.message[0] == '\0' || ranges != NULL) __builtin_trap();
        return 0;
    }
    for (int64_t i = 0; i < count; i++) {
        if (ranges[i].first < 1 || ranges[i].last < ranges[i].first || ranges[i].clip < 0 ||
            ranges[i].clip >= clips)
            __builtin_trap();
    }
    sac_free(ranges);
    return 0;
}
