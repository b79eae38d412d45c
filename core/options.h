// One option table per command: flag, type, offset into a settings struct, default, range, help.
// The same table fills the defaults, reads a JSON config, parses the command line (getopt_long of
// the C library underneath), prints --help and writes the resolved settings as JSON.
#ifndef SAC_CORE_OPTIONS_H
#define SAC_CORE_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <jansson.h>

#include "saccade/status.h"

typedef enum sac_option_type {
    SAC_OPTION_BOOL,   // bool;           --name and --no-name
    SAC_OPTION_INT,    // int64_t
    SAC_OPTION_REAL,   // double, finite
    SAC_OPTION_TEXT,   // const char *;   borrowed from argv or the config; the default otherwise
    SAC_OPTION_CHOICE, // int;            index into `choices`
    // double, minutes; read from "30", "30m", "90s", "2h" (a JSON config: also a number of minutes)
    SAC_OPTION_DURATION,
    SAC_OPTION_LIST, // sac_text_list;  one entry per use of the flag, commas are not special
} sac_option_type;

typedef struct sac_text_list {
    // [count]; the array belongs to the sac_options_result, the texts are borrowed as for TEXT
    const char **items;
    int64_t count;
} sac_text_list;

typedef struct sac_option {
    // Long name without dashes. NULL ends the table; "" starts a section of the help, titled by
    // `help`.
    const char *name;
    char letter; // short flag, or 0; 'h' is taken by --help
    sac_option_type type;
    size_t offset;    // of the member in the settings struct
    double number;    // default of BOOL, INT, REAL, DURATION, CHOICE
    const char *text; // default of TEXT; NULL: none
    double min, max; // INT, REAL, DURATION: range, ends included; may be infinite; equal: any value
    const char *choices;  // CHOICE: "a|b|c"
    const char *argument; // placeholder in the help such as "FILE"; NULL: one by type
    const char *help;     // one or two sentences
    // An older name of another option with the same member: it is read, but not shown, written or
    // given a default.
    bool hidden;
} sac_option;

typedef struct sac_command {
    const char *name;        // "student-run"
    const char *usage;       // "-m MODEL SOURCE... [options]"
    const char *description; // what it does, with examples; printed by --help; may be NULL
    const sac_option *options;
    int min_positional, max_positional; // max -1: any number
} sac_command;

// What parsing owns: positionals, lists, configs. Close it after the last use of the settings.
typedef struct sac_options_result {
    const char **positional; // [positional_count], texts borrowed from argv
    int64_t positional_count;
    bool help, version, print_config; // asked for; sac_tool_start answers them
    void *arena;
} sac_options_result;

// Fills `settings` with the defaults, then from each --config FILE in order, then from the command
// line, wherever the flags stand. "--name value", "--name=value", "-n value", "-nvalue", grouped
// letters, unambiguous prefixes and "--" work. A list given on the command line replaces the one of
// a config. A config is a JSON object with long names as keys, as sac_options_to_json writes it; a
// number counts as the text of a TEXT or LIST.
// --config, --print-config, --help, -h and --version exist for every command; the latter three end
// the checks, and with --print-config nothing is said about the number of positionals.
//   SAC_ERROR_ARGUMENT  unknown or ambiguous flag; missing or surplus value; a value that is
//                       malformed, not finite or out of range (the message names flag or config
//                       key, value and what is allowed); too few or too many positionals
//   SAC_ERROR_IO, SAC_ERROR_FORMAT  a config cannot be read, or is no JSON object
//   SAC_ERROR_MEMORY
// After an error *result is empty and `settings` undefined. getopt's state is global: one thread at
// a time.
SAC_NODISCARD sac_status sac_options_parse(const sac_command *command, void *settings, int argc,
                                           char **argv, sac_options_result *result,
                                           sac_error *error);

// Usage, description and all options with ranges and defaults, at most 100 columns wide.
void sac_options_print_help(const sac_command *command, FILE *out);

// Resolved settings as a JSON object (new reference) that --config accepts, keys = long names; NULL
// when memory is short. Texts that are not UTF-8 become null.
json_t *sac_options_to_json(const sac_command *command, const void *settings);

// NULL-safe; empties the struct.
void sac_options_close(sac_options_result *result);

#endif
