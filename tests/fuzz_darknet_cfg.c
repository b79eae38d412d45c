// Any bytes as a Darknet cfg: an error, or a network whose sizes and weight count are sound.
#include "darknet_make.h"
#include "fuzz.h"

size_t sac_fuzz_seed(int index, uint8_t *out, size_t capacity) {
    static cfg_text c;
    switch (index) {
    case 0:
        cfg_mixture(&c);
        break;
    case 1:
        cfg_classifier(&c);
        break;
    case 2:
        cfg_yolov3_tiny(&c, 64, 16);
        break;
    case 3:
        cfg_resnet50(&c, 64, 16);
        c.used = 2000; // cut in the middle
        break;
    default:
        return 0;
    }
    if (c.used > capacity) return 0;
    memcpy(out, c.text, c.used);
    return c.used;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    sac_darknet *d = NULL;
    sac_error error = {0};
    if (sac_darknet_parse(&d, data, size, "fuzz.cfg", 0, 0, &error) < 0) {
        if (error.message[0] == '\0' || d != NULL) abort();
        return 0;
    }
    if (d->weight_count < 0 || d->layer_count < 1) abort();
    if (d->head_count == 0 && d->output == NULL) abort();
    for (int i = 0; i < d->head_count; i++) {
        if (sac_net_find(d->net, d->heads[i].output) < 0) abort();
    }
    // Weights that do not fit must be refused before memory is asked for.
    uint8_t header[20] = {0, 0, 0, 0, 2};
    if (d->weight_count > 0 &&
        sac_darknet_parse_weights(d, header, sizeof header, "fuzz.weights", &error) == SAC_OK) {
        abort();
    }
    sac_darknet_close(&d);
    return 0;
}
