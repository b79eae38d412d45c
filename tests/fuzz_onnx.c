// Any bytes as an ONNX file. What is accepted must be a network that plans and goes through JSON.
#include <jansson.h>

#include "fuzz.h"
#include "nn/onnx.h"
#include "onnx_models.h"

size_t sac_fuzz_seed(int index, uint8_t *out, size_t capacity) {
    onnx_make m;
    size_t size = 0;
    if (index < 0 || index >= 10) return 0; // the others are larger than a seed may be
    onnx_models[index].make(&m);
    uint8_t *data = make_finish(&m, &size);
    if (size > capacity) size = 0;
    if (size > 0) memcpy(out, data, size);
    free(data);
    return size;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    sac_net *net = NULL, *again = NULL;
    sac_params *params = NULL;
    sac_error error = {0};
    const sac_onnx_options options = {.dims = {0, 4, 6, 6, 6}};
    if (sac_onnx_parse(&net, &params, data, size, "fuzz.onnx", &options, &error) < 0) {
        if (error.message[0] == '\0' || net != NULL || params != NULL) __builtin_trap();
        return 0;
    }
    json_t *json = sac_net_to_json(net);
    if (sac_net_check(net, &error) < 0 || sac_params_check_finite(params, &error) < 0 ||
        sac_net_from_json(&again, json, "fuzz", &error) < 0) {
        __builtin_trap();
    }
    json_decref(json);
    sac_net_close(&again);
    sac_params_close(&params);
    sac_net_close(&net);
    return 0;
}
