// student-bench: accuracy, speed, the two against each other, and result files side by side. Only
// chooses the command; each is a file bench_<command>.c.
#include <stdio.h>
#include <string.h>

#include "tools/bench_tool.h"

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
} commands[] = {{"eval", bench_main_eval},      {"report", bench_main_report},
                {"run", bench_main_run},        {"scenarios", bench_main_scenarios},
                {"train", bench_main_train},    {"machine", bench_main_machine},
                {"layers", bench_main_layers},  {"peers", bench_main_peers},
                {"pareto", bench_main_pareto},  {"suite", bench_main_suite},
                {"compare", bench_main_compare}};
enum { COMMANDS = sizeof commands / sizeof commands[0] };

static const sac_option no_options[] = {{.name = NULL}};
static const sac_command top_command = {
    .name = BENCH_NAME,
    .usage = "COMMAND [options]",
    .description =
        "Accuracy and speed of students, teachers and plain score files.\n\n"
        "  eval       frame AUC, RBDC and TBDC of models, score files or teachers on a labelled "
        "data set\n"
        "  report     a page about a teacher: curves, false alarms, misses, tasks; overlay videos\n"
        "  run        frames per second of a student, and of decoding, on this machine\n"
        "  scenarios  a student in use: latency, offline throughput, cameras, a training step\n"
        "  train      samples per second of a teacher's and a student's training step\n"
        "  machine    this machine's matrix-multiplication and memory rates\n"
        "  layers     where the time of one inference goes, step by step\n"
        "  peers      a student here and in other runtimes, in the same rounds\n"
        "  pareto     accuracy against speed of several students, with the published points\n"
        "  suite      the ablation table: trains and measures a student a row\n"
        "  compare    two result files figure by figure, as ratios\n\n"
        "Each command has its own --help.",
    .options = no_options,
    .max_positional = -1,
};

// "eval, report ... or compare"
static const char *known(char *text, size_t size) {
    size_t used = 0;
    for (int i = 0; i < COMMANDS && used < size; i++)
        used += (size_t)snprintf(text + used, size - used, "%s%s",
                                 i == 0              ? ""
                                 : i == COMMANDS - 1 ? " or "
                                                     : ", ",
                                 commands[i].name);
    return text;
}

int main(int argc, char **argv) {
    const char *name = argc > 1 ? argv[1] : NULL;
    sac_error error = {0};
    char names[256];
    if (name != NULL && name[0] != '-') {
        for (int i = 0; i < COMMANDS; i++)
            if (strcmp(name, commands[i].name) == 0) return commands[i].run(argc - 1, argv + 1);
        const sac_status status =
            sac_error_set(&error, SAC_ERROR_ARGUMENT, -1, "unknown command '%.100s', expected %s",
                          name, known(names, sizeof names));
        return sac_tool_fail(BENCH_NAME, status, &error);
    }
    sac_options_result result;
    char nothing = 0;
    const int code = sac_tool_start(&top_command, &nothing, argc, argv, &result);
    if (code >= 0) return code;
    sac_options_close(&result);
    const sac_status status =
        sac_error_set(&error, SAC_ERROR_ARGUMENT, -1, "no command given, expected %s; see --help",
                      known(names, sizeof names));
    return sac_tool_fail(BENCH_NAME, status, &error);
}
