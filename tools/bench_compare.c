// student-bench compare: two result files figure by figure.
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bench/compare.h"
#include "core/check.h"
#include "core/memory.h"
#include "tools/bench_tool.h"

typedef struct compare_settings {
    sac_tool_settings tool;
    const char *only;
    bench_outputs outputs;
    double least;
    bool clear;
} compare_settings;

static const sac_option compare_options[] = {
    {.name = "only",
     .type = SAC_OPTION_TEXT,
     .offset = offsetof(compare_settings, only),
     .argument = "PATTERN",
     .help = "only figures whose name matches, with * ? and [...]"},
    {.name = "fail-below",
     .type = SAC_OPTION_REAL,
     .offset = offsetof(compare_settings, least),
     .min = 0,
     .max = 1000,
     .argument = "R",
     .help = "fail when a ratio is below R, or a figure of A is missing in B; 0: never"},
    {.name = "clear",
     .type = SAC_OPTION_BOOL,
     .offset = offsetof(compare_settings, clear),
     .help = "fail for clear differences only, where the rounds of the two do not overlap"},
    BENCH_FILE_OPTIONS(compare_settings),
    {.name = "quiet",
     .letter = 'q',
     .type = SAC_OPTION_BOOL,
     .offset = offsetof(compare_settings, tool.quiet),
     .help = "print results and errors only"},
    {.name = NULL},
};

static const sac_command compare_command = {
    .name = BENCH_NAME " compare",
    .usage = "A.json B.json [--fail-below R] [options]",
    .description =
        "Ratios of the figures (medians) in two result files of run, scenarios, train, machine, "
        "layers,\n"
        "peers, pareto or suite; above 1 means that B is better, whatever the figure's sense. A\n"
        "difference is clear when the rounds of the two do not overlap. Other machines or versions "
        "are\n"
        "warned about.\n\n"
        "  student-bench compare before.json after.json --only 'student alone*' --fail-below 0.95",
    .options = compare_options,
    .min_positional = 2,
    .max_positional = 2,
};

static sac_status warn_about(const sac_compared_file files[2], const sac_logger *logger) {
    char *warnings = sac_comparison_warnings(&files[0].origin, &files[1].origin), *rest = NULL;
    if (warnings == NULL) return SAC_ERROR_MEMORY;
    for (char *line = strtok_r(warnings, "\n", &rest); line != NULL;
         line = strtok_r(NULL, "\n", &rest)) {
        char message[512];
        snprintf(message, sizeof message, "the two differ in %.400s", line);
        bench_warn(logger, message);
    }
    sac_free(warnings);
    return SAC_OK;
}

static sac_status judge(const sac_comparison *comparison, const compare_settings *settings,
                        sac_error *error) {
    if (!(settings->least > 0)) return SAC_OK;
    const int64_t below = sac_comparison_below(comparison, settings->least, settings->clear);
    if (below > 0)
        return sac_error_set(error, SAC_ERROR_NUMERIC, -1,
                             "%lld of %lld ratios %s below %g, the lowest is %.3f (%s)",
                             (long long)below, (long long)comparison->common,
                             below == 1 ? "is" : "are", settings->least, comparison->lowest,
                             comparison->worst->a->name);
    if (comparison->missing > 0)
        return sac_error_set(error, SAC_ERROR_NUMERIC, -1,
                             "%lld figures of the first file are missing in the second",
                             (long long)comparison->missing);
    return SAC_OK;
}

static sac_status compare(const compare_settings *settings, const char **paths,
                          const sac_logger *logger, sac_error *error) {
    sac_compared_file files[2] = {0};
    sac_comparison comparison = {0};
    char *markdown = NULL, *csv = NULL;
    json_t *json = NULL;
    sac_status status;
    SAC_TRY(bench_outputs_check(&settings->outputs, error));
    for (int i = 0; i < 2; i++) SAC_TRY(bench_outputs_keep(&settings->outputs, paths[i], error));
    for (int i = 0; i < 2; i++) SAC_TRY(sac_compared_read(&files[i], paths[i], error));
    SAC_TRY(sac_comparison_make(&comparison, &files[0], &files[1], settings->only, error));
    SAC_TRY(warn_about(files, logger));
    markdown = sac_comparison_markdown(&comparison);
    json = sac_comparison_json(&comparison);
    csv = sac_comparison_csv(&comparison);
    SAC_TRY(bench_outputs_write(&settings->outputs, json, markdown, csv, error));
    SAC_TRY(judge(&comparison, settings, error));
fail:
    if (status == SAC_ERROR_MEMORY) sac_error_set(error, status, -1, "out of memory");
    sac_free(markdown);
    sac_free(csv);
    json_decref(json);
    sac_comparison_close(&comparison);
    for (int i = 0; i < 2; i++) sac_compared_close(&files[i]);
    return status;
}

int bench_main_compare(int argc, char **argv) {
    compare_settings settings = {0};
    sac_options_result result;
    sac_error error = {0};
    const int code = sac_tool_start(&compare_command, &settings, argc, argv, &result);
    if (code >= 0) return code;
    const sac_logger logger = sac_tool_logger(compare_command.name, settings.tool.quiet);
    const sac_status status = compare(&settings, result.positional, &logger, &error);
    sac_options_close(&result);
    return bench_finish(compare_command.name, status, &error, settings.tool.quiet);
}
