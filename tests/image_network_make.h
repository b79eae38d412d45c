// A small image classifier in Darknet's format, for tests of what imitates image networks.
#ifndef SAC_TESTS_IMAGE_NETWORK_MAKE_H
#define SAC_TESTS_IMAGE_NETWORK_MAKE_H

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "core/rng.h"
#include "helper.h"

enum { TINY_SIDE = 12, TINY_FILTERS = 4, TINY_CLASSES = 5 };
enum { TINY_WEIGHTS = TINY_FILTERS * (1 + 3 * 9) + TINY_CLASSES * (1 + TINY_FILTERS) };

// Writes cfg and weights; `text` receives "darknet:CFG:WEIGHTS", `values` the numbers of the
// weights file: convolution 3x3 of 3 channels to 4 (biases, weights), leaky; mean over the picture;
// dense to 5 (biases, weights); softmax.
static inline void make_image_network(char *text, size_t size, float values[TINY_WEIGHTS],
                                      uint64_t seed) {
    static const char cfg[] = "[net]\nwidth=12\nheight=12\nchannels=3\n"
                              "[convolutional]\nfilters=4\nsize=3\nstride=1\npad=1\n"
                              "activation=leaky\n"
                              "[avgpool]\n"
                              "[connected]\noutput=5\nactivation=linear\n"
                              "[softmax]\n";
    uint8_t bytes[20 + 4 * TINY_WEIGHTS] = {0, 0, 0, 0, 2};
    sac_rng rng;
    sac_rng_seed(&rng, seed, 0);
    for (int i = 0; i < TINY_WEIGHTS; i++) values[i] = (float)(0.5 * sac_rng_normal(&rng));
    memcpy(bytes + 20, values, 4 * TINY_WEIGHTS);
    char path[512];
    (void)snprintf(path, sizeof path, "%s", sac_test_write_text("tiny.cfg", cfg));
    (void)snprintf(text, size, "darknet:%s:%s", path,
                   sac_test_write("tiny.weights", bytes, sizeof bytes));
}

#endif
