// Any bytes as the weights of one small network: an error, or parameters that are all finite.
#include "darknet_make.h"
#include "fuzz.h"

static sac_darknet *network(void) {
    static cfg_text c;
    sac_darknet *d = NULL;
    cfg_put(&c, "[net]\nwidth=4\nheight=4\nchannels=3\n[conv]\nfilters=2\nbatch_normalize=1\n"
                "activation=leaky\n[connected]\noutput=3\nbatch_normalize=1\nactivation=relu\n");
    sac_error error = {0};
    if (sac_darknet_parse(&d, c.text, c.used, "fuzz.cfg", 0, 0, &error) < 0) abort();
    c.used = 0;
    return d;
}

size_t sac_fuzz_seed(int index, uint8_t *out, size_t capacity) {
    if (index > 1) return 0;
    sac_darknet *d = network();
    size_t size = 0;
    uint8_t *bytes = make_weights(d, 3, &size);
    sac_darknet_close(&d);
    if (size > capacity) abort();
    memcpy(out, bytes, size);
    if (index == 1) { // the old header
        out[4] = 1;
        memmove(out + 16, out + 20, size - 20);
        size -= 4;
    }
    sac_free(bytes);
    return size;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static sac_darknet *d;
    if (d == NULL) d = network();
    sac_error error = {0};
    if (sac_darknet_parse_weights(d, data, size, "fuzz.weights", &error) < 0) {
        if (error.message[0] == '\0') abort();
        return 0;
    }
    if (sac_params_check_finite(d->params, NULL) != SAC_OK) abort();
    sac_params_close(&d->params);
    return 0;
}
