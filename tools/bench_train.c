// student-bench train: speed of one optimiser step of a teacher and of a student.
#include "bench/training.h"
#include "core/check.h"
#include "core/memory.h"
#include "teachers/ssmtl.h"
#include "tools/bench_tool.h"

typedef struct train_settings {
    sac_tool_settings tool;
    int64_t threads, rounds, teacher_batch, student_batch;
    double seconds;
    int backbone;
    const char *arch;
    bench_outputs outputs; // no plot
} train_settings;

static const sac_option train_options[] = {
    {.name = "threads",
     .letter = 't',
     .type = SAC_OPTION_INT,
     .offset = offsetof(train_settings, threads),
     .min = 0,
     .max = 1024,
     .argument = "N",
     .help = "compute threads; 0 uses every core"},
    {.name = "rounds",
     .type = SAC_OPTION_INT,
     .offset = offsetof(train_settings, rounds),
     .number = 5,
     .min = 1,
     .max = 100,
     .argument = "N",
     .help = "rounds of matmul, teacher step, student step; medians are reported"},
    {.name = "seconds",
     .type = SAC_OPTION_REAL,
     .offset = offsetof(train_settings, seconds),
     .number = 2,
     .min = 0.001,
     .max = 600,
     .argument = "S",
     .help = "length of one measurement"},
    {.name = "backbone",
     .type = SAC_OPTION_CHOICE,
     .offset = offsetof(train_settings, backbone),
     .choices = SAC_SSMTL_BACKBONES,
     .help = "of the SSMTL teacher"},
    {.name = "teacher-batch",
     .type = SAC_OPTION_INT,
     .offset = offsetof(train_settings, teacher_batch),
     .number = 64,
     .min = 1,
     .max = 4096,
     .argument = "N",
     .help = "objects a teacher step"},
    {.name = "arch",
     .type = SAC_OPTION_TEXT,
     .offset = offsetof(train_settings, arch),
     .text = "tiny-m",
     .argument = "NAME",
     .help = "architecture of the student"},
    {.name = "student-batch",
     .type = SAC_OPTION_INT,
     .offset = offsetof(train_settings, student_batch),
     .number = 32,
     .min = 1,
     .max = 4096,
     .argument = "N",
     .help = "frames a student step"},
    BENCH_FILE_OPTIONS(train_settings),
    BENCH_QUIET_OPTIONS(train_settings),
    {.name = NULL},
};

static const sac_command train_command = {
    .name = BENCH_NAME " train",
    .usage = "[-t N] [options]",
    .description = "Speed of learning: samples and arithmetic per second of one optimiser step of "
                   "a teacher and\n"
                   "of a student (forward, backward, Adam), beside the machine's f32 matrix "
                   "multiplication rate in\n"
                   "the same interleaved rounds. Decoding and cropping are not part of it.",
    .options = train_options,
};

static sac_status train(const train_settings *settings, const sac_logger *logger,
                        sac_error *error) {
    sac_status status;
    sac_training_result result;
    sac_training_options options = sac_training_default_options();
    sac_figures figures = {0};
    char *text = NULL, *csv = NULL;
    json_t *json = NULL;
    SAC_TRY(bench_outputs_check(&settings->outputs, error));
    options.threads = (int)settings->threads;
    options.rounds = (int)settings->rounds;
    options.seconds = settings->seconds;
    options.backbone = settings->backbone;
    options.teacher_batch = settings->teacher_batch;
    options.student_batch = settings->student_batch;
    options.arch = settings->arch;
    options.stop = sac_interrupted;
    SAC_TRY(sac_training_measure(&result, &options, error));
    bench_warn_load(&result.machine, logger);
    SAC_TRY(sac_training_figures(&figures, &result, error));
    SAC_TRY_ALLOC(json = sac_training_to_json(&result));
    if (!bench_sign(json, &train_command, settings)) SAC_TRY(SAC_ERROR_MEMORY);
    text = sac_training_to_markdown(&result);
    csv = sac_figures_csv(&figures);
    SAC_TRY(bench_outputs_write(&settings->outputs, json, text, csv, error));
fail:
    if (status == SAC_ERROR_MEMORY) sac_error_set(error, status, -1, "out of memory");
    sac_figures_close(&figures);
    sac_free(text);
    sac_free(csv);
    json_decref(json);
    return status;
}

int bench_main_train(int argc, char **argv) {
    train_settings settings = {0};
    sac_options_result result;
    sac_error error = {0};
    const int code = sac_tool_start(&train_command, &settings, argc, argv, &result);
    if (code >= 0) return code;
    sac_interrupt_install();
    const sac_logger logger = sac_tool_logger(train_command.name, settings.tool.quiet);
    const sac_status status = train(&settings, &logger, &error);
    sac_options_close(&result);
    return bench_finish(train_command.name, status, &error, settings.tool.quiet);
}
