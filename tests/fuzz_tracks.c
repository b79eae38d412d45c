// Any bytes as a track file; what is accepted must also be measurable.
#include <math.h>
#include <string.h>

#include "core/memory.h"
#include "eval/regions.h"
#include "fuzz.h"

size_t sac_fuzz_seed(int index, uint8_t *out, size_t capacity) {
    static const char *const samples[] = {
        "0,0,10,20,30,40\n0,1,11,20,31,40\n1,1,100.5,2e1,120,60\n",
        "track_id,frame,x1,y1,x2,y2\r\n5, 1, 1, 2, 3, 4\r\n\r\n",
        "7 0 1 2 3 4\n 7\t99\t1 2 3 4",
        "",
    };
    if (index >= (int)(sizeof samples / sizeof *samples) || strlen(samples[index]) > capacity)
        return 0;
    memcpy(out, samples[index], strlen(samples[index]));
    return strlen(samples[index]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    for (int first = 0; first < 2; first++) {
        sac_truth truth;
        sac_error error = {0};
        if (sac_truth_parse(&truth, data, size, "fuzz.txt", 100, first, &error) < 0) {
            if (error.message[0] == '\0' || truth.regions != NULL) __builtin_trap();
            continue;
        }
        sac_detected_region region = {
            .frame = 1, .x2 = 50, .y2 = 50, .score = 1, .until = -INFINITY};
        const sac_detected detected = {.count = 1, .regions = &region};
        const sac_region_options options = sac_region_default_options();
        sac_region_meter *meter = NULL;
        sac_region_result result;
        if (sac_region_meter_create(&meter, &options, NULL) < 0) __builtin_trap();
        // Whatever the parser lets through satisfies the meter.
        if (sac_region_meter_add(meter, "fuzz", &truth, &detected, NULL) < 0) __builtin_trap();
        if (sac_region_meter_finish(&result, meter, NULL) < 0) __builtin_trap();
        if (truth.count > 0 && !(result.rbdc >= 0.0 && result.rbdc <= 1.0)) __builtin_trap();
        sac_region_result_close(&result);
        sac_region_meter_close(&meter);
        sac_truth_close(&truth);
    }
    return 0;
}
