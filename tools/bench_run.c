// student-bench run: speed of a student model, of decoding, and of both together.
#include "bench/speed.h"
#include "core/check.h"
#include "core/memory.h"
#include "tools/bench_tool.h"
#include "tools/decode_options.h"

typedef struct run_settings {
    sac_tool_settings tool; // progress, quiet and seed; threads is a list here, json a file
    const char *model, *threads, *format;
    int64_t repeats;
    decode_settings decode;
    int precision;
    double seconds;
    bool limits;
    bench_clip_settings clip;
    bench_outputs outputs;
} run_settings;

static const sac_option run_options[] = {
    {.name = "", .help = "What is measured"},
    BENCH_MODEL_OPTION(run_settings, "student model file"),
    {.name = "threads",
     .letter = 't',
     .type = SAC_OPTION_TEXT,
     .offset = offsetof(run_settings, threads),
     .text = "1,2",
     .argument = "N[,N]",
     .help = "thread counts to measure; the results of the highest stand at the top of the JSON"},
    BENCH_PRECISION_OPTION(run_settings),
    BENCH_ROUND_OPTIONS(run_settings),
    DECODE_OPTIONS(run_settings, decode, 1),
    {.name = "limits",
     .type = SAC_OPTION_BOOL,
     .offset = offsetof(run_settings, limits),
     .number = 1,
     .help = "measure the matrix-multiplication and memory rates in the same rounds"},
    BENCH_CLIP_OPTIONS(run_settings),
    BENCH_OUTPUT_OPTIONS(run_settings, "what share of its limit each figure reaches"),
    BENCH_QUIET_OPTIONS(run_settings),
    {.name = NULL},
};

static const sac_command run_command = {
    .name = BENCH_NAME " run",
    .usage = "-m MODEL [SOURCE] [-t N[,N]] [options]",
    .description =
        "Speed of a student: alone (network planes in memory to scores; one stream on a plan of "
        "all\n"
        "threads or on a pool of workers, and a stream a thread), from file to score (decode, "
        "scale, infer, "
        "score; in\n"
        "sequence, pipelined with one thread for decoding, and a file a thread), and decoding "
        "alone,\n"
        "interleaved in rounds with the machine's limits. fps_student_alone and fps_file_to_score "
        "in the\n"
        "JSON are the faster way of each (one file only). SOURCE is whatever FFmpeg opens, or a "
        "folder of\n"
        "pictures; without it a synthetic clip is encoded as H.264 for the purpose.\n\n"
        "  student-bench run -m models/ped2.safetensors clip.mp4 -t 1,2 --json speed.json",
    .options = run_options,
    .max_positional = 1,
};

static sac_status run(const run_settings *settings, const char *source, const sac_logger *logger,
                      sac_error *error) {
    sac_speed_options options = sac_speed_default_options();
    sac_speed_result result = {0};
    sac_figures figures = {0};
    bench_display shown = {
        .settings = &settings->tool, .label = "measuring", .unit = "measurements"};
    bench_clip clip = {0};
    char *markdown = NULL, *csv = NULL;
    json_t *json = NULL;
    sac_status status;
    SAC_TRY(bench_outputs_check(&settings->outputs, error));
    SAC_TRY(bench_parse_threads(options.threads, &options.thread_counts, SAC_SPEED_MAX_RUNS,
                                settings->threads, error));
    SAC_TRY(bench_outputs_keep(&settings->outputs, settings->model, error));
    SAC_TRY(bench_outputs_keep(&settings->outputs, source, error));
    SAC_TRY(bench_check_model(settings->model, error));
    SAC_TRY(bench_clip_open(&clip, source, &settings->clip, &settings->tool, error));
    options.model = settings->model;
    options.source = clip.source;
    options.format = settings->format;
    options.repeats = (int)settings->repeats;
    options.seconds = settings->seconds;
    options.decode_threads = (int)settings->decode.threads;
    options.skip_loop_filter = (sac_video_skip)settings->decode.skip_loop_filter;
    options.skip_frames = (sac_video_skip)settings->decode.skip_frames;
    options.lowres = (int)settings->decode.lowres;
    options.limits = settings->limits;
    options.precision = (sac_precision)settings->precision;
    options.logger = *logger;
    options.progress = bench_show;
    options.user = &shown;
    SAC_TRY(sac_speed_measure(&result, &options, error));
    sac_progress_close(&shown.progress);
    bench_warn_load(&result.machine, logger);
    SAC_TRY(sac_speed_figures(&figures, &result, error));
    SAC_TRY_ALLOC(json = sac_speed_json(&result));
    if (!bench_sign(json, &run_command, settings)) SAC_TRY(SAC_ERROR_MEMORY);
    markdown = sac_speed_markdown(&result);
    csv = sac_figures_csv(&figures);
    SAC_TRY(bench_outputs_write(&settings->outputs, json, markdown, csv, error));
    SAC_TRY(bench_plot_limits(&figures, "Speed as a share of its limit", settings->outputs.plot,
                              logger, error));
fail:
    if (status == SAC_ERROR_MEMORY) sac_error_set(error, status, -1, "out of memory");
    sac_progress_close(&shown.progress);
    bench_clip_close(&clip);
    sac_free(markdown);
    sac_free(csv);
    json_decref(json);
    sac_figures_close(&figures);
    sac_speed_result_close(&result);
    return status;
}

int bench_main_run(int argc, char **argv) {
    run_settings settings = {0};
    sac_options_result result;
    sac_error error = {0};
    const int code = sac_tool_start(&run_command, &settings, argc, argv, &result);
    if (code >= 0) return code;
    sac_interrupt_install();
    const sac_logger logger = sac_tool_logger(run_command.name, settings.tool.quiet);
    const char *source = result.positional_count > 0 ? result.positional[0] : NULL;
    const sac_status status = run(&settings, source, &logger, &error);
    sac_options_close(&result);
    return bench_finish(run_command.name, status, &error, settings.tool.quiet);
}
