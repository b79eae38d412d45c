// Option tables: every type from defaults, config and command line; every kind of mistake with its
// message; help; JSON.
#include <criterion/criterion.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "core/options.h"
#include "helper.h"

TestSuite(core_options, .fini = sac_test_folder_remove);

typedef struct settings {
    bool overlay, smooth;
    int64_t threads;
    double rate, free_real, time;
    const char *model, *output;
    int mode;
    sac_text_list inputs;
} settings;

static const sac_option table[] = {
    {.name = "", .help = "Input"},
    {.name = "model",
     .letter = 'm',
     .type = SAC_OPTION_TEXT,
     .offset = offsetof(settings, model),
     .argument = "FILE",
     .help = "the student"},
    {.name = "input",
     .letter = 'i',
     .type = SAC_OPTION_LIST,
     .offset = offsetof(settings, inputs),
     .argument = "SOURCE",
     .help = "what to read"},
    {.name = "", .help = "Output"},
    {.name = "output",
     .letter = 'o',
     .type = SAC_OPTION_TEXT,
     .offset = offsetof(settings, output),
     .text = "out.csv",
     .help = "where to write"},
    {.name = "overlay",
     .letter = 'v',
     .type = SAC_OPTION_BOOL,
     .offset = offsetof(settings, overlay),
     .help = "draw the maps"},
    {.name = "smooth",
     .letter = 's',
     .type = SAC_OPTION_BOOL,
     .offset = offsetof(settings, smooth),
     .number = 1,
     .help = "smooth over time"},
    {.name = "threads",
     .letter = 't',
     .type = SAC_OPTION_INT,
     .offset = offsetof(settings, threads),
     .number = 2,
     .min = 0,
     .max = 64,
     .help = "compute threads"},
    {.name = "rate",
     .type = SAC_OPTION_REAL,
     .offset = offsetof(settings, rate),
     .number = 0.25,
     .min = 0,
     .max = 1,
     .help = "a number with a long explanation that has to be wrapped because it does not fit into "
             "the hundred columns of a line"},
    {.name = "real",
     .type = SAC_OPTION_REAL,
     .offset = offsetof(settings, free_real),
     .number = -1,
     .help = "any number"},
    {.name = "mode",
     .type = SAC_OPTION_CHOICE,
     .offset = offsetof(settings, mode),
     .number = 1,
     .choices = "none|causal|paper",
     .help = "smoothing"},
    {.name = "max-time",
     .type = SAC_OPTION_DURATION,
     .offset = offsetof(settings, time),
     .number = 5,
     .min = 0,
     .max = 600,
     .help = "when to end"},
    {.name = "minutes",
     .type = SAC_OPTION_REAL,
     .offset = offsetof(settings, time),
     .number = 77,
     .min = 0,
     .max = 600,
     .hidden = true},
    {.name = NULL},
};

static const sac_command command = {.name = "tool",
                                    .usage = "[options] SOURCE...",
                                    .description = "Does things.",
                                    .options = table,
                                    .min_positional = 0,
                                    .max_positional = 3};

enum { MAX_WORDS = 16 };

// Splits `line` at blanks and parses it; quotes are not needed here.
static sac_status parse_with(const sac_command *with, settings *s, const char *line,
                             sac_options_result *result, sac_error *error) {
    static char text[64][1024];
    static unsigned next;
    char *copy = text[next++ % 64];
    char *argv[MAX_WORDS + 1] = {(char *)"tool"};
    int argc = 1;
    snprintf(copy, sizeof text[0], "%s", line);
    for (char *word = strtok(copy, " "); word != NULL; word = strtok(NULL, " "))
        argv[argc++] = word;
    cr_assert(argc <= MAX_WORDS);
    memset(s, 0x5A, sizeof *s); // every member must be set by the table
    return sac_options_parse(with, s, argc, argv, result, error);
}

static sac_status parse(settings *s, const char *line, sac_options_result *result,
                        sac_error *error) {
    return parse_with(&command, s, line, result, error);
}

Test(core_options, defaults) {
    settings s;
    sac_options_result result;
    sac_error error = {0};
    sac_assert_ok(parse(&s, "", &result, &error), &error);
    cr_assert(!s.overlay && s.smooth && s.threads == 2 && s.rate == 0.25 && s.free_real == -1 &&
              s.model == NULL);
    cr_assert_str_eq(s.output, "out.csv");
    cr_assert(s.mode == 1 && s.inputs.count == 0 && result.positional_count == 0 && !result.help &&
              !result.version);
    sac_options_close(&result);
    sac_options_close(&result);
    sac_options_close(NULL);
}

Test(core_options, every_way_to_give_a_value) {
    static const char *const lines[] = {
        "--threads=7 --overlay --rate=0.5 --mode=paper --model=m",
        "--threads 7 --overlay --rate 0.5 --mode paper --model m",
        "-t7 -v --rate .5 --mode paper -mm", "-vt7 --ra 5e-1 --mod=paper --mode paper -m m",
        "--th 7 --ov --rate +0.5 --mode=causal --mode=paper --model x --model m"};
    for (int i = 0; i < 5; i++) {
        if (i == 3) continue; // the prefix "--mod" is ambiguous: see below
        settings s;
        sac_options_result result;
        sac_error error = {0};
        sac_assert_ok(parse(&s, lines[i], &result, &error), &error);
        cr_assert(s.threads == 7 && s.overlay && s.smooth && s.rate == 0.5 && s.mode == 2,
                  "line %d", i);
        cr_assert_str_eq(s.model, "m");
        sac_options_close(&result);
    }
    settings s;
    sac_options_result result;
    sac_error error = {0};
    sac_assert_ok(parse(&s, "--no-smooth -v --no-overlay --real -1e300 -o -", &result, &error),
                  &error);
    cr_assert(!s.smooth && !s.overlay && s.free_real == -1e300);
    cr_assert_str_eq(s.output, "-");
    sac_options_close(&result);
    // Empty text is a value.
    char *argv[] = {(char *)"tool", (char *)"--model", (char *)"", NULL};
    sac_assert_ok(sac_options_parse(&command, &s, 3, argv, &result, &error), &error);
    cr_assert_str_eq(s.model, "");
    sac_options_close(&result);
}

Test(core_options, positionals_and_lists_keep_their_order) {
    settings s;
    sac_options_result result;
    sac_error error = {0};
    sac_assert_ok(parse(&s, "a -i one,two b --input=three -i four -- -t", &result, &error), &error);
    cr_assert_eq(result.positional_count, 3);
    cr_assert_str_eq(result.positional[0], "a");
    cr_assert_str_eq(result.positional[1], "b");
    cr_assert_str_eq(result.positional[2], "-t");
    cr_assert_eq(s.inputs.count, 3);
    cr_assert_str_eq(s.inputs.items[0], "one,two");
    cr_assert_str_eq(s.inputs.items[1], "three");
    cr_assert_str_eq(s.inputs.items[2], "four");
    sac_options_close(&result);
    setenv("POSIXLY_CORRECT", "1", 1);
    sac_assert_ok(parse(&s, "a - -t 5", &result, &error), &error);
    cr_assert(result.positional_count == 2 && s.threads == 5);
    sac_options_close(&result);
}

Test(core_options, mistakes_name_option_value_and_what_is_allowed) {
    static const char *const cases[][4] = {
        {"--threads x", "-t/--threads", "'x'", "an integer from 0 to 64"},
        {"--threads 65", "--threads", "'65'", "0 to 64"},
        {"-t -1", "--threads", "'-1'", "0 to 64"},
        {"--threads 1.0", "--threads", "'1.0'", "integer"},
        {"--threads=", "--threads", "''", "integer"},
        {"--threads 99999999999999999999", "--threads", "9999", "integer"},
        {"--rate nan", "--rate", "'nan'", "a number from 0 to 1"},
        {"--rate 1.01", "--rate", "'1.01'", "from 0 to 1"},
        {"--rate 0.5x", "--rate", "'0.5x'", "number"},
        {"--real inf", "--real", "'inf'", "a number"},
        {"--mode fast", "--mode", "'fast'", "none, causal, paper"},
        {"--mode caus", "--mode", "'caus'", "none, causal, paper"},
        {"--mode none|causal", "--mode", "'none|causal'", "none, causal, paper"},
        {"--mod none", "'--mod'", "ambiguous", "--model, --mode"},
        {"--no", "'--no'", "ambiguous", "--no-overlay, --no-smooth"},
        {"--nothing", "unknown option", "'--nothing'", "--nothing"},
        {"--threadsx 1", "unknown option", "'--threadsx'", "threadsx"},
        {"-x", "unknown option", "'-x'", "-x"},
        {"-vx", "unknown option", "'-x'", "-x"},
        {"--model", "--model", "needs a value", "value"},
        {"a -m", "-m", "needs a value", "value"},
        {"-v -t", "-t", "needs a value", "value"},
        {"--overlay=yes", "--overlay", "takes no value", "'yes'"},
        {"--no-overlay=1", "--no-overlay", "takes no value", "'1'"},
        {"a b c d", "unexpected argument", "'d'", "usage: tool [options] SOURCE..."},
        {"--config", "--config", "needs a value", "value"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        settings s;
        sac_options_result result;
        sac_error error = {0};
        sac_assert_error(parse(&s, cases[i][0], &result, &error), SAC_ERROR_ARGUMENT, &error,
                         cases[i][1], cases[i][2], cases[i][3], NULL);
        cr_assert(result.positional == NULL && result.arena == NULL,
                  "a failed parse leaves nothing to free");
    }
    sac_command strict = command;
    strict.min_positional = 2;
    settings s;
    sac_options_result result;
    sac_error error = {0};
    sac_assert_error(parse_with(&strict, &s, "a", &result, &error), SAC_ERROR_ARGUMENT, &error,
                     "1 of at least 2", "usage", NULL);
    strict.max_positional = -1;
    error = (sac_error){0};
    sac_assert_ok(parse_with(&strict, &s, "a b c d e f", &result, &error), &error);
    cr_assert_eq(result.positional_count, 6);
    sac_options_close(&result);
}

Test(core_options, help_and_version_skip_the_other_checks) {
    sac_command strict = command;
    strict.min_positional = 1;
    settings s;
    sac_options_result result;
    sac_error error = {0};
    static const char *const lines[] = {"--help", "-h", "--version", "--threads nonsense --help"};
    for (int i = 0; i < 4; i++) {
        sac_assert_ok(parse_with(&strict, &s, lines[i], &result, &error), &error);
        cr_assert(result.help == (i != 2) && result.version == (i == 2));
        sac_options_close(&result);
    }
}

Test(core_options, config_files) {
    const char *path =
        sac_test_write_text("c.json", "{\"threads\": 5, \"rate\": 1, \"overlay\": true, "
                                      "\"smooth\": false, \"mode\": \"none\", \"model\": \"m\","
                                      " \"output\": null, \"input\": [\"x\", \"y\"]}");
    const char *second = sac_test_write_text("d.json", "{\"threads\": 6, \"input\": \"z\"}");
    char line[1200];
    settings s;
    sac_options_result result;
    sac_error error = {0};
    snprintf(line, sizeof line, "--config %s", path);
    sac_assert_ok(parse(&s, line, &result, &error), &error);
    cr_assert(s.threads == 5 && s.rate == 1.0 && s.overlay && !s.smooth && s.mode == 0 &&
              s.output == NULL && s.inputs.count == 2);
    cr_assert_str_eq(s.model, "m");
    cr_assert_str_eq(s.inputs.items[1], "y");
    sac_options_close(&result);
    // Flags win wherever they stand, later configs win over earlier ones, and a list is replaced as
    // a whole.
    snprintf(line, sizeof line, "-t 9 -i new --config %s --no-overlay --config=%s", path, second);
    sac_assert_ok(parse(&s, line, &result, &error), &error);
    cr_assert(s.threads == 9 && !s.overlay && s.inputs.count == 1);
    cr_assert_str_eq(s.inputs.items[0], "new");
    sac_options_close(&result);
    snprintf(line, sizeof line, "--config %s --config=%s", path, second);
    sac_assert_ok(parse(&s, line, &result, &error), &error);
    cr_assert(s.threads == 6 && s.inputs.count == 1);
    cr_assert_str_eq(s.inputs.items[0], "z");
    sac_options_close(&result);
}

Test(core_options, broken_configs) {
    static const struct {
        const char *text, *says, *also;
        sac_status status;
    } broken[] = {
        {"{\"thread\": 5}", "\"thread\"", "no option of tool", SAC_ERROR_ARGUMENT},
        {"{\"\": 5}", "\"\"", "no option of tool", SAC_ERROR_ARGUMENT},
        {"{\"threads\": 65}", "\"threads\"", "65 is not an integer from 0 to 64",
         SAC_ERROR_ARGUMENT},
        {"{\"threads\": 5.0}", "\"threads\"", "5.0 is not an integer", SAC_ERROR_ARGUMENT},
        {"{\"threads\": \"5\"}", "\"threads\"", "\"5\" is not an integer", SAC_ERROR_ARGUMENT},
        {"{\"rate\": 2}", "\"rate\"", "2 is not a number from 0 to 1", SAC_ERROR_ARGUMENT},
        {"{\"rate\": null}", "\"rate\"", "null is not a number", SAC_ERROR_ARGUMENT},
        {"{\"overlay\": 1}", "\"overlay\"", "true or false", SAC_ERROR_ARGUMENT},
        {"{\"mode\": \"fast\"}", "\"mode\"", "none, causal, paper", SAC_ERROR_ARGUMENT},
        {"{\"mode\": 1}", "\"mode\"", "none|causal|paper", SAC_ERROR_ARGUMENT},
        {"{\"model\": true}", "\"model\"", "true is not a text", SAC_ERROR_ARGUMENT},
        {"{\"input\": [null]}", "\"input\"", "array of texts", SAC_ERROR_ARGUMENT},
        {"{\"input\": {}}", "\"input\"", "array of texts", SAC_ERROR_ARGUMENT},
        {"[]", "object", "keys", SAC_ERROR_FORMAT},
        {"{\"threads\": 5,}", "line 1", "JSON", SAC_ERROR_FORMAT}};
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        char line[1200];
        snprintf(line, sizeof line, "--config %s", sac_test_write_text("c.json", broken[i].text));
        settings s;
        sac_options_result result;
        sac_error error = {0};
        sac_assert_error(parse(&s, line, &result, &error), broken[i].status, &error, "c.json",
                         broken[i].says, broken[i].also, NULL);
    }
    settings s;
    sac_options_result result;
    sac_error error = {0};
    sac_assert_error(parse(&s, "--config /no/such.json", &result, &error), SAC_ERROR_IO, &error,
                     "/no/such.json", NULL);
}

// Options such as "auto or a number" are texts inside.
Test(core_options, numbers_of_configs_are_texts_too) {
    const char *path = sac_test_write_text(
        "n.json", "{\"model\": 0.5, \"output\": -12, \"input\": [0.1, \"a\", 1e300, 7]}");
    char line[1200];
    settings s;
    sac_options_result result;
    sac_error error = {0};
    snprintf(line, sizeof line, "--config %s", path);
    sac_assert_ok(parse(&s, line, &result, &error), &error);
    cr_assert_str_eq(s.model, "0.5");
    cr_assert_str_eq(s.output, "-12");
    cr_assert_eq(s.inputs.count, 4);
    cr_assert_str_eq(s.inputs.items[0], "0.1");
    cr_assert_str_eq(s.inputs.items[1], "a");
    cr_assert_str_eq(s.inputs.items[2], "1e+300");
    cr_assert_str_eq(s.inputs.items[3], "7");
    sac_options_close(&result);
}

Test(core_options, ranges_are_said_as_in_the_help) {
    static const sac_option fine[] = {
        {.name = "x",
         .type = SAC_OPTION_REAL,
         .number = 1,
         .min = 9.9999999999999995e-08,
         .max = 0.3},
        {.name = "n", .type = SAC_OPTION_INT, .offset = 8, .max = 9007199254740992.0},
        {.name = NULL}};
    const sac_command two = {.name = "tool", .usage = "", .options = fine, .max_positional = -1};
    struct {
        double x;
        int64_t n;
    } set;
    sac_options_result result;
    sac_error error = {0};
    char tool[] = "tool", x[] = "--x=0.5", n[] = "--n=-1";
    char *words[] = {tool, x, NULL};
    sac_assert_error(sac_options_parse(&two, &set, 2, words, &result, &error), SAC_ERROR_ARGUMENT,
                     &error, "from 1e-07 to 0.3", NULL);
    error = (sac_error){0};
    words[1] = n;
    sac_assert_error(sac_options_parse(&two, &set, 2, words, &result, &error), SAC_ERROR_ARGUMENT,
                     &error, "from 0 to 9007199254740992", NULL);
}

static char *help_text(void) {
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    sac_options_print_help(&command, out);
    fclose(out);
    return text;
}

Test(core_options, help_comes_from_the_table) {
    char *text = help_text();
    static const char *const expected[] = {
        "usage: tool [options] SOURCE...\n",
        "\nDoes things.\n",
        "\nInput:\n",
        "\nOutput:\n",
        "  -m, --model FILE        the student\n",
        "  -i, --input SOURCE      what to read (may be repeated)\n",
        "where to write (default out.csv)\n",
        "  -s, --[no-]smooth       smooth over time (default on)\n",
        "  -v, --[no-]overlay      draw the maps\n",
        "compute threads (0 to 64, default 2)\n",
        "default 0.25)",
        "any number (default -1)\n",
        "--mode none|causal|paper",
        "(default causal)\n",
        "--config FILE",
        "--print-config",
        "--max-time TIME",
        "when to end (minutes, or such as 90s, 30m, 2h; default 5)\n",
        "--help",
        "--version"};
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++)
        cr_assert(strstr(text, expected[i]) != NULL, "'%s' is missing in:\n%s", expected[i], text);
    for (const char *line = text; *line != '\0';) {
        size_t length = strcspn(line, "\n");
        cr_assert(length <= 100, "%zu columns: %.*s", length, (int)length, line);
        line += length + (line[length] == '\n');
    }
    cr_assert(strstr(text, "--minutes") == NULL, "an older name is not shown");
    cr_assert(strstr(text, "Input:") < strstr(text, "Output:"));
    free(text);
}

Test(core_options, settings_survive_json_and_back) {
    settings s, again;
    sac_options_result result, result_again;
    sac_error error = {0};
    sac_assert_ok(parse(&s, "-t 3 -v --no-smooth --rate 0.1 --mode paper -i a -i b --real 1e-9",
                        &result, &error),
                  &error);
    json_t *json = sac_options_to_json(&command, &s);
    cr_assert_eq(json_object_size(json), 10);
    char *text = json_dumps(json, 0);
    char line[1200];
    snprintf(line, sizeof line, "--config %s", sac_test_write_text("resolved.json", text));
    sac_assert_ok(parse(&again, line, &result_again, &error), &error);
    json_t *json_again = sac_options_to_json(&command, &again);
    cr_assert(json_equal(json, json_again), "%s", text);
    cr_assert(again.threads == 3 && again.overlay && !again.smooth && again.rate == 0.1 &&
              again.mode == 2 && again.inputs.count == 2 && again.free_real == 1e-9);
    free(text);
    json_decref(json);
    json_decref(json_again);
    sac_options_close(&result);
    sac_options_close(&result_again);
}

Test(core_options, durations_are_minutes) {
    static const struct {
        const char *text;
        double minutes;
    } good[] = {{"30", 30}, {"30m", 30}, {"90s", 1.5}, {"2h", 120}, {"0", 0}, {"0.5h", 30}};
    settings s;
    sac_options_result result;
    sac_error error = {0};
    char line[1200];
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        snprintf(line, sizeof line, "--max-time %s", good[i].text);
        sac_assert_ok(parse(&s, line, &result, &error), &error);
        cr_assert_eq(s.time, good[i].minutes, "%s: %g", good[i].text, s.time);
        sac_options_close(&result);
    }
    static const char *const bad[] = {"h",   "30d",  "-1m",    "11h", "1 h",
                                      "nan", "infs", "1e400h", "5mm"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char *argv[] = {(char *)"tool", (char *)"--max-time", (char *)(uintptr_t)bad[i], NULL};
        error = (sac_error){0};
        sac_assert_error(sac_options_parse(&command, &s, 3, argv, &result, &error),
                         SAC_ERROR_ARGUMENT, &error, "--max-time", bad[i],
                         "a time such as 90s, 30m, 2h or minutes from 0 to 600", NULL);
    }
    // A config holds a number of minutes or such a text; an older name is read as well.
    sac_assert_ok(parse(&s, "--minutes 4", &result, &error), &error);
    cr_assert_eq(s.time, 4);
    sac_options_close(&result);
    static const struct {
        const char *text;
        double minutes;
    } configs[] = {{"{\"max-time\": 3}", 3}, {"{\"max-time\": \"2h\"}", 120}, {"{}", 5}};
    for (size_t i = 0; i < sizeof configs / sizeof *configs; i++) {
        snprintf(line, sizeof line, "--config %s", sac_test_write_text("c.json", configs[i].text));
        sac_assert_ok(parse(&s, line, &result, &error), &error);
        cr_assert_eq(s.time, configs[i].minutes, "%s", configs[i].text);
        sac_options_close(&result);
    }
    snprintf(line, sizeof line, "--config %s", sac_test_write_text("c.json", "{\"max-time\": []}"));
    error = (sac_error){0};
    sac_assert_error(parse(&s, line, &result, &error), SAC_ERROR_ARGUMENT, &error, "max-time",
                     NULL);
}

Test(core_options, print_config_asks_for_no_positionals) {
    const sac_command needy = {.name = "tool",
                               .usage = "FILE",
                               .options = table,
                               .min_positional = 1,
                               .max_positional = 1};
    settings s;
    sac_options_result result;
    sac_error error = {0};
    sac_assert_ok(parse_with(&needy, &s, "--print-config -t 7", &result, &error), &error);
    cr_assert(result.print_config && !result.help && s.threads == 7);
    sac_options_close(&result);
    sac_assert_error(parse_with(&needy, &s, "--print-config -t 70", &result, &error),
                     SAC_ERROR_ARGUMENT, &error, "threads", NULL);
}

Test(core_options, lack_of_memory) {
    char line[1200];
    snprintf(line, sizeof line, "a -i x -i y --config %s",
             sac_test_write_text("c.json", "{\"input\": [\"x\", \"y\"]}"));
    bool done = false;
    for (int64_t n = 0; n < 100 && !done; n++) {
        settings s;
        sac_options_result result;
        sac_error error = {0};
        sac_memory_fail_after(n);
        sac_status status = parse(&s, line, &result, &error);
        sac_memory_fail_after(-1);
        done = status == SAC_OK;
        if (!done) sac_assert_error(status, SAC_ERROR_MEMORY, &error, "memory", NULL);
        sac_options_close(&result);
    }
    cr_assert(done);
}
