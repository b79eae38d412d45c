// Option tables. getopt_long of the C library splits the command line; this file turns its answers,
// and the members of a JSON config, into checked settings and into messages a person can act on. It
// never prints except in print_help.
#include "core/options.h"

#include <getopt.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/check.h"
#include "core/json.h"
#include "core/memory.h"
#include "core/number.h"

// getopt values: letters are themselves, long options start here.
enum { VALUE_HELP = 256, VALUE_VERSION, VALUE_CONFIG, VALUE_PRINT_CONFIG, VALUE_TABLE };
enum { HELP_WIDTH = 100, HELP_COLUMN = 26 };

// What the settings borrow from: configs and arrays, released together.
typedef struct arena {
    json_t **configs;
    int64_t config_count;
    void **blocks;
    int64_t block_count;
} arena;

// One use of a flag on the command line, applied after the configs.
typedef struct use {
    int option; // index into the table
    bool negated;
    const char *value;
} use;

static bool is_section(const sac_option *option) {
    return option->name[0] == '\0';
}

static int table_size(const sac_option *options) {
    int count = 0;
    while (options != NULL && options[count].name != NULL) count++;
    return count;
}

static void *member(const sac_option *option, void *settings) {
    return (char *)settings + option->offset;
}

// min == max: the table leaves the range open.
static bool has_range(const sac_option *option) {
    return option->min < option->max;
}

static int choice_count(const char *choices) {
    int count = 1;
    for (const char *c = choices; *c != '\0'; c++) count += *c == '|';
    return count;
}

// Text of choice `index` inside "a|b|c"; its length in *length.
static const char *choice_at(const char *choices, int index, int *length) {
    while (index-- > 0) choices = strchr(choices, '|') + 1;
    *length = (int)strcspn(choices, "|");
    return choices;
}

static int choice_index(const char *choices, const char *text) {
    int count = choice_count(choices);
    for (int i = 0; i < count; i++) {
        int length;
        const char *choice = choice_at(choices, i, &length);
        if (strlen(text) == (size_t)length && memcmp(choice, text, (size_t)length) == 0) return i;
    }
    return -1;
}

// Keeps `block` for sac_options_close; NULL stays NULL.
static void *keep_block(arena *owner, void *block) {
    if (block == NULL) return NULL;
    void **grown =
        sac_recalloc(owner->blocks, owner->block_count, owner->block_count + 1, sizeof *grown);
    if (grown == NULL) {
        sac_free(block);
        return NULL;
    }
    owner->blocks = grown;
    owner->blocks[owner->block_count++] = block;
    return block;
}

// ---- values -------------------------------------------------------------------------------------

// "--threads" or "train.json: \"threads\"" in front of every message about a value.
typedef struct source {
    const char *config; // NULL: the command line
    const sac_option *option;
    sac_error *error;
} source;

static void place(char *text, size_t size, const source *from) {
    if (from->config != NULL) {
        snprintf(text, size, "%s: \"%s\"", from->config, from->option->name);
    } else if (from->option->letter != 0) {
        snprintf(text, size, "-%c/--%s", from->option->letter, from->option->name);
    } else {
        snprintf(text, size, "--%s", from->option->name);
    }
}

static sac_status bad_value(const source *from, const char *value, const char *wanted) {
    char at[600];
    place(at, sizeof at, from);
    return sac_error_set(from->error, SAC_ERROR_ARGUMENT, -1, "%s: %s%.200s%s is not %s", at,
                         from->config == NULL ? "'" : "", value, from->config == NULL ? "'" : "",
                         wanted);
}

static void describe_range(char *text, size_t size, const sac_option *option, const char *what) {
    const int digits = option->type == SAC_OPTION_INT ? 17 : 10; // reals as in the help
    if (!has_range(option)) {
        snprintf(text, size, "%s", what);
    } else if (isfinite(option->min) && isfinite(option->max)) {
        snprintf(text, size, "%s from %.*g to %.*g", what, digits, option->min, digits,
                 option->max);
    } else if (isfinite(option->min)) {
        snprintf(text, size, "%s of at least %.*g", what, digits, option->min);
    } else if (isfinite(option->max)) {
        snprintf(text, size, "%s of at most %.*g", what, digits, option->max);
    } else {
        snprintf(text, size, "%s", what);
    }
}

static sac_status set_int(const source *from, void *settings, const char *text) {
    const sac_option *option = from->option;
    int64_t number;
    char wanted[128];
    describe_range(wanted, sizeof wanted, option, "an integer");
    if (!sac_number_integer(text, &number)) return bad_value(from, text, wanted);
    if (has_range(option) && ((double)number < option->min || (double)number > option->max)) {
        return bad_value(from, text, wanted);
    }
    *(int64_t *)member(option, settings) = number;
    return SAC_OK;
}

static sac_status set_real(const source *from, void *settings, const char *text) {
    const sac_option *option = from->option;
    double number;
    char wanted[128];
    describe_range(wanted, sizeof wanted, option, "a number");
    if (!sac_number_real(text, &number)) return bad_value(from, text, wanted);
    if (has_range(option) && !(number >= option->min && number <= option->max)) {
        return bad_value(from, text, wanted);
    }
    *(double *)member(option, settings) = number;
    return SAC_OK;
}

// Minutes from "30", "30m", "90s" or "2h".
static bool read_duration(const char *text, double *minutes) {
    static const struct {
        char unit;
        double minutes;
    } units[] = {{'s', 1.0 / 60}, {'m', 1}, {'h', 60}};
    char number[64];
    const size_t length = strlen(text);
    double factor = 1, value = 0;
    if (length == 0 || length >= sizeof number) return false;
    memcpy(number, text, length + 1);
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (text[length - 1] != units[i].unit) continue;
        factor = units[i].minutes;
        number[length - 1] = '\0';
    }
    if (!sac_number_real(number, &value) || !isfinite(value * factor)) return false;
    *minutes = value * factor;
    return true;
}

static sac_status set_duration(const source *from, void *settings, const char *text) {
    const sac_option *option = from->option;
    double minutes;
    char wanted[160];
    describe_range(wanted, sizeof wanted, option, "a time such as 90s, 30m, 2h or minutes");
    if (!read_duration(text, &minutes)) return bad_value(from, text, wanted);
    if (has_range(option) && !(minutes >= option->min && minutes <= option->max)) {
        return bad_value(from, text, wanted);
    }
    *(double *)member(option, settings) = minutes;
    return SAC_OK;
}

static sac_status set_choice(const source *from, void *settings, const char *text) {
    const sac_option *option = from->option;
    int index = choice_index(option->choices, text);
    if (index < 0) {
        char wanted[512] = "one of ";
        size_t used = strlen(wanted);
        int count = choice_count(option->choices);
        for (int i = 0; i < count && used < sizeof wanted; i++) {
            int length;
            const char *choice = choice_at(option->choices, i, &length);
            used += (size_t)snprintf(wanted + used, sizeof wanted - used, "%s%.*s",
                                     i > 0 ? ", " : "", length, choice);
        }
        return bad_value(from, text, wanted);
    }
    *(int *)member(option, settings) = index;
    return SAC_OK;
}

static sac_status append_text(const source *from, void *settings, arena *owner, const char *text) {
    sac_text_list *list = member(from->option, settings);
    // Lists hold a few entries: a fresh array per entry keeps the arena a plain list of blocks.
    const char **items = keep_block(owner, sac_calloc(list->count + 1, sizeof *items));
    if (items == NULL) {
        return sac_error_set(from->error, SAC_ERROR_MEMORY, -1, "no memory for the options");
    }
    for (int64_t i = 0; i < list->count; i++) items[i] = list->items[i];
    items[list->count] = text;
    list->items = items;
    list->count++;
    return SAC_OK;
}

static void set_default(const sac_option *option, void *settings) {
    void *to = member(option, settings);
    switch (option->type) {
    case SAC_OPTION_BOOL:
        *(bool *)to = option->number != 0.0;
        break;
    case SAC_OPTION_INT:
        *(int64_t *)to = (int64_t)option->number;
        break;
    case SAC_OPTION_REAL:
    case SAC_OPTION_DURATION:
        *(double *)to = option->number;
        break;
    case SAC_OPTION_TEXT:
        *(const char **)to = option->text;
        break;
    case SAC_OPTION_CHOICE:
        *(int *)to = (int)option->number;
        break;
    case SAC_OPTION_LIST:
        *(sac_text_list *)to = (sac_text_list){0};
        break;
    }
}

static sac_status apply_use(const sac_command *command, void *settings, arena *owner,
                            const use *given, sac_error *error) {
    source from = {.option = &command->options[given->option], .error = error};
    switch (from.option->type) {
    case SAC_OPTION_BOOL:
        *(bool *)member(from.option, settings) = !given->negated;
        return SAC_OK;
    case SAC_OPTION_INT:
        return set_int(&from, settings, given->value);
    case SAC_OPTION_REAL:
        return set_real(&from, settings, given->value);
    case SAC_OPTION_DURATION:
        return set_duration(&from, settings, given->value);
    case SAC_OPTION_TEXT:
        *(const char **)member(from.option, settings) = given->value;
        return SAC_OK;
    case SAC_OPTION_CHOICE:
        return set_choice(&from, settings, given->value);
    case SAC_OPTION_LIST:
        return append_text(&from, settings, owner, given->value);
    }
    return SAC_ERROR_ARGUMENT;
}

// ---- config -------------------------------------------------------------------------------------

static sac_status wrong_type(const source *from, const json_t *value, const char *wanted) {
    char *shown = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
    sac_status status = bad_value(from, shown != NULL ? shown : "the value", wanted);
    free(shown);
    return status;
}

// The text of a JSON text, or of a number as one would have typed it; *text NULL: of anything else.
static sac_status text_of(const char **text, const source *from, arena *owner,
                          const json_t *value) {
    *text = json_string_value(value);
    if (!json_is_number(value)) return SAC_OK;
    char number[64];
    if (json_is_integer(value)) {
        snprintf(number, sizeof number, "%lld", (long long)json_integer_value(value));
    } else {
        double again;
        snprintf(number, sizeof number, "%.15g", json_real_value(value));
        if (!sac_number_real(number, &again) || again < json_real_value(value) ||
            again > json_real_value(value))
            snprintf(number, sizeof number, "%.17g", json_real_value(value));
    }
    *text = keep_block(owner, sac_strdup(number));
    if (*text == NULL)
        return sac_error_set(from->error, SAC_ERROR_MEMORY, -1, "no memory for the options");
    return SAC_OK;
}

static sac_status apply_list(const source *from, void *settings, arena *owner, json_t *value) {
    *(sac_text_list *)member(from->option, settings) = (sac_text_list){0};
    const size_t count = json_is_array(value) ? json_array_size(value) : 1;
    for (size_t i = 0; i < count; i++) {
        const char *text = NULL;
        sac_status status =
            text_of(&text, from, owner, json_is_array(value) ? json_array_get(value, i) : value);
        if (status < 0) return status;
        if (text == NULL) return wrong_type(from, value, "a text or an array of texts");
        status = append_text(from, settings, owner, text);
        if (status < 0) return status;
    }
    return SAC_OK;
}

static sac_status apply_json(const source *from, void *settings, arena *owner, json_t *value) {
    const sac_option *option = from->option;
    char text[64], wanted[128];
    switch (option->type) {
    case SAC_OPTION_BOOL:
        if (!json_is_boolean(value)) return wrong_type(from, value, "true or false");
        *(bool *)member(option, settings) = json_is_true(value);
        return SAC_OK;
    case SAC_OPTION_INT:
        describe_range(wanted, sizeof wanted, option, "an integer");
        if (!json_is_integer(value)) return wrong_type(from, value, wanted);
        snprintf(text, sizeof text, "%lld", (long long)json_integer_value(value));
        return set_int(from, settings, text);
    case SAC_OPTION_DURATION:
        if (json_is_string(value)) return set_duration(from, settings, json_string_value(value));
        __attribute__((fallthrough)); // a number of minutes
    case SAC_OPTION_REAL: {
        describe_range(wanted, sizeof wanted, option, "a number");
        if (!json_is_number(value)) return wrong_type(from, value, wanted);
        double number = json_number_value(value);
        if (has_range(option) && !(number >= option->min && number <= option->max)) {
            return wrong_type(from, value, wanted);
        }
        *(double *)member(option, settings) = number;
        return SAC_OK;
    }
    case SAC_OPTION_TEXT: {
        const char *taken = NULL; // for null, too
        const sac_status status = text_of(&taken, from, owner, value);
        if (status < 0) return status;
        if (taken == NULL && !json_is_null(value)) return wrong_type(from, value, "a text");
        *(const char **)member(option, settings) = taken;
        return SAC_OK;
    }
    case SAC_OPTION_CHOICE:
        if (!json_is_string(value)) return wrong_type(from, value, option->choices);
        return set_choice(from, settings, json_string_value(value));
    case SAC_OPTION_LIST:
        return apply_list(from, settings, owner, value);
    }
    return SAC_ERROR_ARGUMENT;
}

static sac_status apply_config(const sac_command *command, void *settings, arena *owner,
                               const char *path, sac_error *error) {
    json_t *config = NULL;
    sac_status status = sac_json_read(&config, path, error);
    if (status < 0) return status;
    json_t **grown =
        sac_recalloc(owner->configs, owner->config_count, owner->config_count + 1, sizeof *grown);
    if (grown == NULL) {
        json_decref(config);
        return sac_error_set(error, SAC_ERROR_MEMORY, -1, "%s: no memory for the config", path);
    }
    owner->configs = grown;
    owner->configs[owner->config_count++] = config;
    if (!json_is_object(config)) {
        return sac_error_set(error, SAC_ERROR_FORMAT, -1,
                             "%s: an object with option names as keys was expected", path);
    }
    const char *key;
    json_t *value;
    json_object_foreach(config, key, value) {
        const sac_option *option = command->options;
        while (option->name != NULL && (is_section(option) || strcmp(option->name, key) != 0))
            option++;
        if (option->name == NULL) {
            return sac_error_set(error, SAC_ERROR_ARGUMENT, -1, "%s: \"%.100s\" is no option of %s",
                                 path, key, command->name);
        }
        source from = {.config = path, .option = option, .error = error};
        status = apply_json(&from, settings, owner, value);
        if (status < 0) return status;
    }
    return SAC_OK;
}

// ---- command line -------------------------------------------------------------------------------

// getopt's tables for a command.
typedef struct flags {
    struct option *longs;
    char *letters;
    char *names; // the "no-..." names, one after the other
} flags;

static void free_flags(flags *f) {
    sac_free(f->longs);
    sac_free(f->letters);
    sac_free(f->names);
}

static bool make_flags(flags *f, const sac_option *options) {
    int count = table_size(options);
    int64_t bytes = 1;
    for (int i = 0; i < count; i++) bytes += (int64_t)strlen(options[i].name) + 4;
    f->longs = sac_calloc(2 * (int64_t)count + 5, sizeof *f->longs);
    f->letters = sac_calloc(2 * (int64_t)count + 8, 1);
    f->names = sac_calloc(bytes, 1);
    if (f->longs == NULL || f->letters == NULL || f->names == NULL) return false;
    struct option *to = f->longs;
    char *letter = f->letters, *name = f->names;
    // '-': positionals are reported in place, whatever POSIXLY_CORRECT says; ':': a missing value
    // is told apart.
    *letter++ = '-';
    *letter++ = ':';
    *letter++ = 'h';
    *to++ = (struct option){"help", no_argument, NULL, VALUE_HELP};
    *to++ = (struct option){"version", no_argument, NULL, VALUE_VERSION};
    *to++ = (struct option){"config", required_argument, NULL, VALUE_CONFIG};
    *to++ = (struct option){"print-config", no_argument, NULL, VALUE_PRINT_CONFIG};
    for (int i = 0; i < count; i++) {
        const sac_option *option = &options[i];
        if (is_section(option)) continue;
        bool flag = option->type == SAC_OPTION_BOOL;
        *to++ = (struct option){option->name, flag ? no_argument : required_argument, NULL,
                                VALUE_TABLE + 2 * i};
        if (flag) {
            int length = snprintf(name, (size_t)(f->names + bytes - name), "no-%s", option->name);
            *to++ = (struct option){name, no_argument, NULL, VALUE_TABLE + 2 * i + 1};
            name += length + 1;
        }
        if (option->letter != 0) {
            *letter++ = option->letter;
            if (!flag) *letter++ = ':';
        }
    }
    return true;
}

// Says what getopt found wrong with `word`; `answer` is its '?' or ':'.
static sac_status bad_flag(const flags *f, const char *word, int answer, int letter,
                           sac_error *error) {
    if (strncmp(word, "--", 2) != 0) {
        if (answer == ':') {
            return sac_error_set(error, SAC_ERROR_ARGUMENT, -1, "-%c needs a value", letter);
        }
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1, "unknown option '-%c'", letter);
    }
    int length = (int)strcspn(word + 2, "=");
    char matches[512] = "";
    size_t used = 0;
    int found = 0;
    for (const struct option *option = f->longs; option->name != NULL; option++) {
        if (strncmp(option->name, word + 2, (size_t)length) != 0) continue;
        if (strlen(option->name) == (size_t)length) {
            found = 1;
            used = (size_t)snprintf(matches, sizeof matches, "--%s", option->name);
            break;
        }
        if (used < sizeof matches) {
            used += (size_t)snprintf(matches + used, sizeof matches - used, "%s--%s",
                                     found > 0 ? ", " : "", option->name);
        }
        found++;
    }
    if (found > 1) {
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1, "'--%.*s' is ambiguous: %s", length,
                             word + 2, matches);
    }
    if (found == 1 && answer == ':') {
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1, "%s needs a value", matches);
    }
    if (found == 1) {
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "%s takes no value, it was given '%.200s'", matches,
                             word + 2 + length + (word[2 + length] == '='));
    }
    return sac_error_set(error, SAC_ERROR_ARGUMENT, -1, "unknown option '--%.*s'", length,
                         word + 2);
}

static int option_of_letter(const sac_option *options, int letter) {
    for (int i = 0; options[i].name != NULL; i++) {
        if (!is_section(&options[i]) && options[i].letter == letter) return i;
    }
    return -1;
}

// Splits argv into uses of flags, configs and positionals; all arrays have room for argc + 1
// entries.
static sac_status split_arguments(const sac_command *command, int argc, char **argv, const flags *f,
                                  use *uses, int *use_count, const char **configs,
                                  int *config_count, sac_options_result *result, sac_error *error) {
    opterr = 0;
    optind = 0; // glibc and musl: start afresh
    for (;;) {
        // Nothing is permuted, so the word that getopt_long looks at next is known beforehand.
        int index = optind > 0 ? optind : 1;
        int answer = getopt_long(argc, argv, f->letters, f->longs, NULL);
        if (answer == -1) break;
        switch (answer) {
        case 1:
            result->positional[result->positional_count++] = optarg;
            break;
        case '?':
        case ':':
            return bad_flag(f, argv[index], answer, optopt, error);
        case 'h':
        case VALUE_HELP:
            result->help = true;
            break;
        case VALUE_PRINT_CONFIG:
            result->print_config = true;
            break;
        case VALUE_VERSION:
            result->version = true;
            break;
        case VALUE_CONFIG:
            configs[(*config_count)++] = optarg;
            break;
        default: {
            use *given = &uses[(*use_count)++];
            given->value = optarg;
            if (answer >= VALUE_TABLE) {
                given->option = (answer - VALUE_TABLE) / 2;
                given->negated = (answer - VALUE_TABLE) % 2 != 0;
            } else {
                given->option = option_of_letter(command->options, answer);
            }
        }
        }
    }
    while (optind < argc) result->positional[result->positional_count++] = argv[optind++];
    return SAC_OK;
}

static sac_status check_positionals(const sac_command *command, const sac_options_result *result,
                                    sac_error *error) {
    int64_t count = result->positional_count;
    if (count < command->min_positional) {
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "%lld of at least %d arguments given; usage: %s %s", (long long)count,
                             command->min_positional, command->name, command->usage);
    }
    if (command->max_positional >= 0 && count > command->max_positional) {
        return sac_error_set(
            error, SAC_ERROR_ARGUMENT, -1, "unexpected argument '%.200s'; usage: %s %s",
            result->positional[command->max_positional], command->name, command->usage);
    }
    return SAC_OK;
}

sac_status sac_options_parse(const sac_command *command, void *settings, int argc, char **argv,
                             sac_options_result *result, sac_error *error) {
    static const sac_option no_options[] = {{.name = NULL}};
    sac_command complete = *command;
    if (complete.options == NULL) complete.options = no_options;
    command = &complete;
    sac_status status = SAC_OK;
    flags f = {0};
    use *uses = NULL;
    int use_count = 0, config_count = 0;
    const char **configs = NULL;
    *result = (sac_options_result){0};
    // A word such as -abc holds several flags, so uses are bounded by the number of characters.
    int64_t most = argc + 1;
    for (int i = 1; i < argc; i++) most += (int64_t)strlen(argv[i]);
    arena *owner = sac_calloc(1, sizeof *owner);
    result->arena = owner;
    result->positional = sac_calloc((int64_t)argc + 1, sizeof *result->positional);
    uses = sac_calloc(most, sizeof *uses);
    configs = sac_calloc((int64_t)argc + 1, sizeof *configs);
    if (owner == NULL || result->positional == NULL || uses == NULL || configs == NULL ||
        !make_flags(&f, command->options)) {
        status = sac_error_set(error, SAC_ERROR_MEMORY, -1, "no memory for the options");
        goto fail;
    }
    for (int i = 0; command->options[i].name != NULL; i++) {
        const sac_option *option = &command->options[i];
        if (!is_section(option) && !option->hidden) set_default(option, settings);
    }
    SAC_TRY(split_arguments(command, argc, argv, &f, uses, &use_count, configs, &config_count,
                            result, error));
    if (result->help || result->version) goto done;
    for (int i = 0; i < config_count; i++)
        SAC_TRY(apply_config(command, settings, owner, configs[i], error));
    // A list on the command line replaces the one of a config instead of growing it.
    for (int i = 0; i < use_count; i++) {
        const sac_option *option = &command->options[uses[i].option];
        if (option->type == SAC_OPTION_LIST) set_default(option, settings);
    }
    for (int i = 0; i < use_count; i++)
        SAC_TRY(apply_use(command, settings, owner, &uses[i], error));
    if (!result->print_config) SAC_TRY(check_positionals(command, result, error));
done:
    free_flags(&f);
    sac_free(uses);
    sac_free(configs);
    return SAC_OK;
fail:
    free_flags(&f);
    sac_free(uses);
    sac_free(configs);
    sac_options_close(result);
    return status;
}

void sac_options_close(sac_options_result *result) {
    if (result == NULL) return;
    arena *owner = result->arena;
    if (owner != NULL) {
        for (int64_t i = 0; i < owner->config_count; i++) json_decref(owner->configs[i]);
        for (int64_t i = 0; i < owner->block_count; i++) sac_free(owner->blocks[i]);
        sac_free(owner->configs);
        sac_free(owner->blocks);
        sac_free(owner);
    }
    sac_free(result->positional);
    *result = (sac_options_result){0};
}

// ---- output -------------------------------------------------------------------------------------

// Prints `text` wrapped between `column` and the right margin, the cursor being at `column`
// already.
static void print_wrapped(FILE *out, const char *text, int column) {
    int at = column;
    while (*text != '\0') {
        int word = (int)strcspn(text, " ");
        if (at > column && at + 1 + word > HELP_WIDTH) {
            fprintf(out, "\n%*s", column, "");
            at = column;
        } else if (at > column) {
            fputc(' ', out);
            at++;
        }
        fprintf(out, "%.*s", word, text);
        at += word;
        text += word;
        while (*text == ' ') text++;
    }
    fputc('\n', out);
}

static void describe_default(char *text, size_t size, const sac_option *option) {
    char range[64] = "";
    if (has_range(option) && (option->type == SAC_OPTION_INT || option->type == SAC_OPTION_REAL ||
                              option->type == SAC_OPTION_DURATION)) {
        if (isfinite(option->min) && isfinite(option->max)) {
            snprintf(range, sizeof range, "%.10g to %.10g, ", option->min, option->max);
        } else if (isfinite(option->min)) {
            snprintf(range, sizeof range, "at least %.10g, ", option->min);
        } else if (isfinite(option->max)) {
            snprintf(range, sizeof range, "at most %.10g, ", option->max);
        }
    }
    text[0] = '\0';
    switch (option->type) {
    case SAC_OPTION_BOOL:
        if (option->number != 0.0) snprintf(text, size, " (default on)");
        break;
    case SAC_OPTION_INT:
        snprintf(text, size, " (%sdefault %lld)", range, (long long)option->number);
        break;
    case SAC_OPTION_REAL:
        snprintf(text, size, " (%sdefault %.10g)", range, option->number);
        break;
    case SAC_OPTION_DURATION:
        snprintf(text, size, " (minutes, or such as 90s, 30m, 2h; default %.10g)", option->number);
        break;
    case SAC_OPTION_TEXT:
        if (option->text != NULL) snprintf(text, size, " (default %s)", option->text);
        break;
    case SAC_OPTION_CHOICE: {
        int length;
        const char *choice = choice_at(option->choices, (int)option->number, &length);
        snprintf(text, size, " (default %.*s)", length, choice);
        break;
    }
    case SAC_OPTION_LIST:
        snprintf(text, size, " (may be repeated)");
        break;
    }
}

static void print_option(FILE *out, char letter, const char *flag, const char *help,
                         const char *suffix) {
    char text[1024];
    int used =
        letter != 0 ? fprintf(out, "  -%c, %s", letter, flag) : fprintf(out, "      %s", flag);
    if (used + 2 > HELP_COLUMN) {
        fputc('\n', out);
        used = 0;
    }
    fprintf(out, "%*s", HELP_COLUMN - used, "");
    snprintf(text, sizeof text, "%s%s", help != NULL ? help : "", suffix);
    print_wrapped(out, text, HELP_COLUMN);
}

static void print_table_option(FILE *out, const sac_option *option) {
    static const char *const placeholders[] = {[SAC_OPTION_INT] = "N",
                                               [SAC_OPTION_REAL] = "X",
                                               [SAC_OPTION_DURATION] = "TIME",
                                               [SAC_OPTION_TEXT] = "TEXT",
                                               [SAC_OPTION_LIST] = "TEXT"};
    char flag[256], suffix[512];
    if (option->type == SAC_OPTION_BOOL) {
        snprintf(flag, sizeof flag, "--[no-]%s", option->name);
    } else if (option->type == SAC_OPTION_CHOICE && option->argument == NULL) {
        snprintf(flag, sizeof flag, "--%s %s", option->name, option->choices);
    } else {
        snprintf(flag, sizeof flag, "--%s %s", option->name,
                 option->argument != NULL ? option->argument : placeholders[option->type]);
    }
    describe_default(suffix, sizeof suffix, option);
    print_option(out, option->letter, flag, option->help, suffix);
}

void sac_options_print_help(const sac_command *command, FILE *out) {
    fprintf(out, "usage: %s %s\n", command->name, command->usage);
    if (command->description != NULL) fprintf(out, "\n%s\n", command->description);
    bool titled = false;
    for (const sac_option *option = command->options; option != NULL && option->name != NULL;
         option++) {
        if (option->hidden) continue;
        if (is_section(option)) {
            fprintf(out, "\n%s:\n", option->help);
            titled = true;
            continue;
        }
        if (!titled) fprintf(out, "\nOptions:\n");
        titled = true;
        print_table_option(out, option);
    }
    fprintf(out, "\nAlways available:\n");
    print_option(out, 0, "--config FILE",
                 "read options from a JSON object with option names as keys; flags take precedence",
                 "");
    print_option(out, 0, "--print-config",
                 "print all resolved options as JSON that --config accepts, and do nothing else",
                 "");
    print_option(out, 'h', "--help", "print this text", "");
    print_option(out, 0, "--version", "print the version", "");
}

static json_t *member_to_json(const sac_option *option, const void *settings) {
    const void *from = (const char *)settings + option->offset;
    switch (option->type) {
    case SAC_OPTION_BOOL:
        return json_boolean(*(const bool *)from);
    case SAC_OPTION_INT:
        return json_integer(*(const int64_t *)from);
    case SAC_OPTION_REAL:
    case SAC_OPTION_DURATION:
        return sac_json_number(*(const double *)from);
    case SAC_OPTION_TEXT: {
        const char *text = *(const char *const *)from;
        // What --config is to read back must be the very same path, so one in another encoding
        // than UTF-8, which JSON cannot hold, is null here and not what sac_json_text makes of it.
        json_t *value = text != NULL ? json_string(text) : NULL;
        return value != NULL ? value : json_null();
    }
    case SAC_OPTION_CHOICE: {
        int length;
        const char *choice = choice_at(option->choices, *(const int *)from, &length);
        return json_stringn(choice, (size_t)length);
    }
    case SAC_OPTION_LIST: {
        const sac_text_list *list = from;
        json_t *array = json_array();
        for (int64_t i = 0; array != NULL && i < list->count; i++) {
            json_t *item = json_string(list->items[i]);
            json_array_append_new(array, item != NULL ? item : json_null());
        }
        return array;
    }
    }
    return NULL;
}

json_t *sac_options_to_json(const sac_command *command, const void *settings) {
    json_t *object = json_object();
    for (const sac_option *option = command->options; option != NULL && option->name != NULL;
         option++) {
        if (is_section(option) || option->hidden) continue;
        if (json_object_set_new(object, option->name, member_to_json(option, settings)) != 0) {
            json_decref(object);
            return NULL;
        }
    }
    return object;
}
