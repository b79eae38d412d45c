// Conditions of scoring as JSON and their comparison; see tools/conditions.h.
#include "tools/conditions.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/number.h"

enum { CONDITIONS = 6, VALUE = 32 };

static const char *const keys[CONDITIONS] = {"precision",        "size",        "gate",
                                             "skip_loop_filter", "skip_frames", "lowres"};
// What is meant where a calibration says nothing; NULL: nothing can be said.
static const char *const defaults[CONDITIONS] = {NULL, "source", "off", "none", "none", "0"};

sac_status run_parse_size(int *width_px, int *height_px, const char *text, sac_error *error) {
    *width_px = *height_px = 0;
    if (text == NULL) return SAC_OK;
    char buffer[32];
    int64_t width = 0, height = 0;
    snprintf(buffer, sizeof buffer, "%s", text);
    char *cross = strchr(buffer, 'x');
    bool ok = cross != NULL && strlen(text) < sizeof buffer;
    if (ok) {
        *cross = '\0';
        ok = sac_number_integer(buffer, &width) && sac_number_integer(cross + 1, &height) &&
             width >= 1 && width <= 16384 && height >= 1 && height <= 16384;
    }
    if (!ok) {
        return sac_error_set(
            error, SAC_ERROR_ARGUMENT, -1,
            "--size '%.64s': WIDTHxHEIGHT with sides of 1..16384 was expected, such as 360x240",
            text);
    }
    *width_px = (int)width;
    *height_px = (int)height;
    return SAC_OK;
}

static void describe(char values[CONDITIONS][VALUE], const run_conditions *c) {
    static const char *const skips[] = {"none", "nonref", "all"};
    (void)snprintf(values[0], VALUE, "%s", sac_precision_name(c->precision));
    (void)snprintf(values[1], VALUE, "source");
    if (c->width > 0) (void)snprintf(values[1], VALUE, "%dx%d", c->width, c->height);
    (void)snprintf(values[2], VALUE, "%s", c->gate ? "on" : "off");
    (void)snprintf(values[3], VALUE, "%s", skips[c->decode.skip_loop_filter]);
    (void)snprintf(values[4], VALUE, "%s", skips[c->decode.skip_frames]);
    (void)snprintf(values[5], VALUE, "%" PRId64, c->decode.lowres);
}

sac_status run_conditions_store(json_t *object, const run_conditions *conditions) {
    char values[CONDITIONS][VALUE];
    describe(values, conditions);
    for (int i = 0; i < CONDITIONS; i++) {
        if (json_object_set_new(object, keys[i], json_string(values[i])) != 0)
            return SAC_ERROR_MEMORY;
    }
    return SAC_OK;
}

void run_conditions_compare(char *text, size_t size, const json_t *stored,
                            const run_conditions *now) {
    char values[CONDITIONS][VALUE];
    size_t used = 0;
    describe(values, now);
    text[0] = '\0';
    for (int i = 0; i < CONDITIONS && used < size; i++) {
        const char *then = json_string_value(json_object_get(stored, keys[i]));
        if (then == NULL || strlen(then) >= VALUE) then = defaults[i];
        if (then == NULL || strcmp(then, values[i]) == 0) continue;
        const int more = snprintf(text + used, size - used, "%s%s %s (now %s)",
                                  used > 0 ? ", " : "", keys[i], then, values[i]);
        used += more > 0 ? (size_t)more : 0;
    }
}
