// One option table per command: (flag, type, offset into a settings struct, default, range, help). The same
// table parses the command line (getopt_long of the C library underneath), fills defaults, reads a JSON
// config file, prints --help with the defaults and writes the resolved settings as JSON.
#ifndef SAC_CORE_OPTIONS_H
#define SAC_CORE_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <jansson.h>

#include "saccade/status.h"

typedef enum sac_option_type {
    SAC_OPTION_BOOL,   // bool;            --flag and --no-flag
    SAC_OPTION_INT,    // int64_t in [min, max]
    SAC_OPTION_REAL,   // double in [min, max], finite
    SAC_OPTION_TEXT,   // const char *;    borrowed from argv or the config, NULL when not given
    SAC_OPTION_CHOICE, // int;             index into `choices`
    SAC_OPTION_LIST,   // sac_text_list;   may be given several times
} sac_option_type;

typedef struct sac_text_list {
    const char **items; // array owned by the sac_options_arena, texts borrowed
    int64_t count;
} sac_text_list;

typedef struct sac_option {
    const char *
        name; // long name without dashes; NULL ends the table; "" starts a help section titled by `help`
    char letter; // short flag or 0
    sac_option_type type;
    size_t offset;        // into the settings struct
    double number;        // default of BOOL, INT, REAL, CHOICE
    const char *text;     // default of TEXT, or NULL
    double min, max;      // INT, REAL
    const char *choices;  // CHOICE: "a|b|c"
    const char *argument; // placeholder in help, e.g. "FILE", or NULL for a default one
    const char *help;     // one or two sentences
} sac_option;

typedef struct sac_command {
    const char *name;        // "student-run"
    const char *usage;       // "-m MODEL SOURCE... [options]"
    const char *description; // what it does and examples, printed by --help
    const sac_option *options;
    int min_positional, max_positional; // max -1: any number
} sac_command;

// What parsing owns (positional array, lists, config texts); free after the settings are no longer used.
typedef struct sac_options_result {
    const char **positional;
    int64_t positional_count;
    bool help, version; // handled by the caller's main through sac_options_handle
    void *arena;
} sac_options_result;

// Fills `settings` with defaults, then --config FILE.json if given, then the command line. "--", "--name=value", "-tN" and
// unambiguous use of every flag work; numbers are parsed strictly (whole text, range, no NaN).
// SAC_ERROR_ARGUMENT: message names the option, the value and what is allowed. --help and --version (always available) set
// the result's flags and skip the checks of positionals.
SAC_NODISCARD sac_status sac_options_parse(const sac_command *command, void *settings, int argc,
                                           char **argv, sac_options_result *result,
                                           sac_error *error);
void sac_options_print_help(const sac_command *command, FILE *out);
// Resolved settings as a JSON object (new reference), keys = long names.
json_t *sac_options_to_json(const sac_command *command, const void *settings);
void sac_options_close(sac_options_result *result);

#endif
