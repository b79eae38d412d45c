// student-bench layers: where the time of one inference goes, step by step.
#include <string.h>

#include "bench/layers.h"
#include "core/check.h"
#include "core/memory.h"
#include "student/arch.h"
#include "tools/bench_tool.h"

#define DEFAULT_ARCH "tiny-s"

typedef struct layers_settings {
    sac_tool_settings tool;
    const char *model, *arch;
    bench_outputs outputs; // no plot
    int64_t threads, repeats;
    int precision;
    bool whole;
    double seconds;
} layers_settings;

static const sac_option layers_options[] = {
    {.name = "model",
     .letter = 'm',
     .type = SAC_OPTION_TEXT,
     .offset = offsetof(layers_settings, model),
     .argument = "FILE",
     .help = "student to measure"},
    {.name = "arch",
     .type = SAC_OPTION_TEXT,
     .offset = offsetof(layers_settings, arch),
     .argument = "NAME",
     .help = "architecture of a student with random weights, at its usual size; without it and "
             "--model: " DEFAULT_ARCH},
    {.name = "precision",
     .type = SAC_OPTION_CHOICE,
     .offset = offsetof(layers_settings, precision),
     .choices = "int8|f32",
     .help = "int8 takes scales from random frames where the model has none"},
    {.name = "whole",
     .type = SAC_OPTION_BOOL,
     .offset = offsetof(layers_settings, whole),
     .help = "the network of three frames at once instead of the stem of one and the body, into "
             "which streams cut it"},
    {.name = "threads",
     .letter = 't',
     .type = SAC_OPTION_INT,
     .offset = offsetof(layers_settings, threads),
     .number = 1,
     .min = 1,
     .max = 1024,
     .argument = "N",
     .help = "compute threads"},
    {.name = "repeats",
     .type = SAC_OPTION_INT,
     .offset = offsetof(layers_settings, repeats),
     .number = 300,
     .min = 1,
     .max = 10000,
     .argument = "N",
     .help = "runs; medians are reported"},
    {.name = "seconds",
     .type = SAC_OPTION_REAL,
     .offset = offsetof(layers_settings, seconds),
     .number = 1,
     .min = 0.001,
     .max = 600,
     .argument = "S",
     .help = "length of the matrix multiplication measurement"},
    BENCH_FILE_OPTIONS(layers_settings),
    BENCH_QUIET_OPTIONS(layers_settings),
    {.name = NULL},
};

static const sac_command layers_command = {
    .name = BENCH_NAME " layers",
    .usage = "[-m MODEL | --arch NAME] [options]",
    .description = "Time of each step that one frame of a stream costs, what ran it, and its\n"
                   "share of the machine's matrix multiplication rate, measured in the same run.",
    .options = layers_options,
};

static sac_status model_open(sac_model **model, const layers_settings *s, sac_error *error) {
    sac_status status = SAC_OK;
    sac_preprocess preprocess;
    sac_rng rng;
    sac_rng_seed(&rng, 1, 0x6c6179657273);
    if (s->model != NULL) return sac_model_load(model, s->model, error);
    SAC_TRY(sac_arch_preprocess(&preprocess, s->arch, error));
    SAC_TRY(sac_model_create(model, s->arch, &preprocess, error));
    sac_arch_init(*model, &rng);
fail:
    return status;
}

static sac_status layers(const layers_settings *s, const sac_logger *logger, sac_error *error) {
    sac_status status = SAC_OK;
    sac_model *model = NULL;
    sac_layers_result result = {0};
    sac_figures figures = {0};
    char *text = NULL, *csv = NULL;
    json_t *json = NULL;
    if (s->model != NULL && s->arch != NULL)
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "--arch %s: the architecture of --model is its own", s->arch);
    SAC_TRY(bench_outputs_check(&s->outputs, error));
    SAC_TRY(bench_outputs_keep(&s->outputs, s->model, error));
    SAC_TRY(model_open(&model, s, error));
    const sac_layers_options options = {.threads = (int)s->threads,
                                        .repeats = (int)s->repeats,
                                        .int8 = s->precision == 0,
                                        .whole = s->whole,
                                        .seconds = s->seconds};
    SAC_TRY(sac_layers_measure(&result, model, &options, error));
    bench_warn_load(&result.machine, logger);
    SAC_TRY(sac_layers_figures(&figures, &result, error));
    SAC_TRY_ALLOC(json = sac_layers_json(&result));
    if (json_object_set_new(json, "figures", sac_figures_to_json(&figures)) < 0 ||
        !bench_sign(json, &layers_command, s))
        SAC_TRY(SAC_ERROR_MEMORY);
    text = sac_layers_markdown(&result);
    csv = sac_figures_csv(&figures);
    SAC_TRY(bench_outputs_write(&s->outputs, json, text, csv, error));
fail:
    if (status == SAC_ERROR_MEMORY) sac_error_set(error, status, -1, "out of memory");
    sac_figures_close(&figures);
    sac_layers_close(&result);
    sac_model_close(&model);
    sac_free(text);
    sac_free(csv);
    json_decref(json);
    return status;
}

int bench_main_layers(int argc, char **argv) {
    layers_settings settings = {0};
    sac_options_result result;
    sac_error error = {0};
    const int code = sac_tool_start(&layers_command, &settings, argc, argv, &result);
    if (code >= 0) return code;
    sac_interrupt_install();
    if (settings.model == NULL && settings.arch == NULL) settings.arch = DEFAULT_ARCH;
    const sac_logger logger = sac_tool_logger(layers_command.name, settings.tool.quiet);
    const sac_status status = layers(&settings, &logger, &error);
    sac_options_close(&result);
    return bench_finish(layers_command.name, status, &error, settings.tool.quiet);
}
