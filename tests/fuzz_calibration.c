// Any bytes as the calibration of a model file.
#include <string.h>

#include "core/json.h"
#include "fuzz.h"
#include "student/calibration.h"

size_t sac_fuzz_seed(int index, uint8_t *out, size_t capacity) {
    static const char *const samples[] = {
        "{\"format\":1,\"frames\":36000,\"sources\":1,\"hours\":10,\"frame_rate\":1,"
        "\"confidence\":0.95,\"merge_gap_s\":2,"
        "\"smoothing\":{\"kind\":\"causal\",\"sigma\":4,\"taps\":13},"
        "\"body\":{\"score\":[0.1,0.2,0.3],\"level\":[0,0.5,1.3]},"
        "\"tail\":{\"shape\":0.1,\"scale\":0.01},\"thresholds\":[0.5,0.4,0.4],"
        "\"budget\":\"1/hour\"}",
        "{\"format\":1,\"frames\":200,\"sources\":200,\"hours\":1e-3,\"frame_rate\":0,"
        "\"confidence\":0.5,\"merge_gap_s\":0,"
        "\"smoothing\":{\"kind\":\"causal\",\"sigma\":1,\"taps\":1},"
        "\"body\":{\"score\":[0],\"level\":[0]},\"tail\":{\"shape\":0,\"scale\":1e-4},"
        "\"thresholds\":[1]}"};
    if (index >= (int)(sizeof samples / sizeof *samples) || strlen(samples[index]) > capacity)
        return 0;
    memcpy(out, samples[index], strlen(samples[index]));
    return strlen(samples[index]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    json_t *json = NULL;
    sac_calibration *calibration = NULL;
    sac_error error = {0};
    if (sac_json_parse(&json, data, size, "fuzz", NULL) < 0) return 0;
    if (sac_calibration_from_json(&calibration, json, "fuzz", &error) < 0) {
        if (error.message[0] == '\0' || calibration != NULL) __builtin_trap();
        json_decref(json);
        return 0;
    }
    float before = 0;
    for (int i = 0; i <= 64; i++) {
        const float x = sac_calibration_score(calibration, (float)i / 64);
        if (!(x >= before && x <= 1)) __builtin_trap();
        before = x;
    }
    static const sac_far budgets[] = {{1, 1.0 / 168, "week"}, {1, 1, "hour"}, {1e6, 1e6, "hour"}};
    for (int i = 0; i < 3; i++) {
        sac_operating_point point;
        if (sac_calibration_threshold(&point, calibration, &budgets[i], "fuzz", NULL) < 0) continue;
        if (!(point.bound_per_hour <= budgets[i].per_hour * (1 + 1e-9)) || point.allowed < 0)
            __builtin_trap();
    }
    json_t *again = sac_calibration_to_json(calibration);
    sac_calibration *copy = NULL;
    if (sac_calibration_from_json(&copy, again, "fuzz", NULL) < 0) __builtin_trap();
    sac_calibration_close(&copy);
    sac_calibration_close(&calibration);
    json_decref(again);
    json_decref(json);
    return 0;
}
