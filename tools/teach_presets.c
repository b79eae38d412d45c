// Presets of `teach`: which defaults a name stands for. Parses nothing but the name.
#include "teach_presets.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "teach_options.h"

enum { MOST_OPTIONS = 128 };

// Minutes are those of two cores that have nothing else to do, on UCSD Ped2 (27,000 training
// objects).
static const struct {
    const char *preset, *option, *value;
} PRESETS[] = {
    // A look at new data: 2 minutes.
    {"fast", "crop-size", "32"},
    {"fast", "agnostic-crop-size", "32"},
    {"fast", "epochs", "6"},
    // The largest network, small crops, five times over the data: about an hour.
    {"hour", "backbone", "deep-wide"},
    {"hour", "crop-size", "32"},
    {"hour", "epochs", "20"},
    {"hour", "samples-per-epoch", "6144"},
    {"hour", "validation-samples", "2048"},
    // As published, but for gray crops: days.
    {"paper", "backbone", "deep-wide"},
    {"paper", "crop-size", "64"},
    {"paper", "agnostic-width", "wide"},
    {"paper", "residual", "0"},
    {"paper", "epochs", "30"},
    {"paper", "samples-per-epoch", "0"},
    {"paper", "validation-samples", "0"},
    {"paper", "schedule", "constant"},
    {"paper", "weight-decay", "0"},
    {"paper", "mirror", "0"},
    {"paper", "jitter", "0"},
    {"paper", "brightness", "0"},
    {"paper", "score-normalisation", "paper"},
};

static const char *preset_of(int argc, char **argv) {
    static const char flag[] = "--preset"; // or what getopt takes for it: --pre, --pres, --prese
    const size_t least = 5;
    const char *preset = "";
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        const size_t length = strcspn(argv[i], "=");
        if (length < least || length >= sizeof flag || strncmp(argv[i], flag, length) != 0)
            continue;
        if (argv[i][length] == '=') {
            preset = argv[i] + length + 1;
        } else if (i + 1 < argc) {
            preset = argv[i + 1];
        }
    }
    return preset;
}

// Index of `value` in "a|b|c"; 0 when it is not there.
static double choice_of(const char *choices, const char *value) {
    const size_t length = strlen(value);
    for (int i = 0;; i++) {
        const size_t n = strcspn(choices, "|");
        if (n == length && strncmp(choices, value, n) == 0) return i;
        if (choices[n] == '\0') return 0;
        choices += n + 1;
    }
}

const sac_command *teach_command_for(int argc, char **argv) {
    static sac_option options[MOST_OPTIONS];
    static sac_command command;
    const char *preset = preset_of(argc, argv);
    int count = 0;
    while (count < MOST_OPTIONS - 1 && teach_command.options[count].name != NULL) {
        sac_option *o = &options[count];
        *o = teach_command.options[count++];
        for (size_t i = 0; i < sizeof PRESETS / sizeof PRESETS[0]; i++) {
            if (strcmp(PRESETS[i].preset, preset) != 0 || strcmp(PRESETS[i].option, o->name) != 0)
                continue;
            o->number = o->type == SAC_OPTION_CHOICE ? choice_of(o->choices, PRESETS[i].value)
                                                     : strtod(PRESETS[i].value, NULL);
        }
    }
    // A table too long to copy has no presets rather than half an option list.
    const bool whole = teach_command.options[count].name == NULL;
    options[count].name = NULL;
    command = teach_command;
    if (whole) command.options = options;
    return &command;
}
