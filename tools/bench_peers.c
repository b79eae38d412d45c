// student-bench peers: our runtime and others on the same network, in interleaved rounds.
#include "bench/peers.h"
#include "core/check.h"
#include "core/memory.h"
#include "tools/bench_tool.h"

typedef struct peers_settings {
    sac_tool_settings tool; // progress, quiet and seed; json is a file here
    const char *model, *peer, *only, *format;
    int64_t threads, repeats;
    double seconds;
    bench_clip_settings clip;
    bench_outputs outputs; // no plot
} peers_settings;

static const sac_option peers_options[] = {
    {.name = "", .help = "What is measured"},
    BENCH_MODEL_OPTION(peers_settings, "student model file; the peers get it as ONNX"),
    {.name = "threads",
     .letter = 't',
     .type = SAC_OPTION_INT,
     .offset = offsetof(peers_settings, threads),
     .number = 1,
     .min = 1,
     .max = 1024,
     .argument = "N",
     .help = "threads of every runtime, all pinned to the first N processors"},
    BENCH_ROUND_OPTIONS(peers_settings),
    {.name = "peer",
     .type = SAC_OPTION_TEXT,
     .offset = offsetof(peers_settings, peer),
     .argument = "PROGRAM",
     .help = "what starts a peer, as bench/peers/setup makes it, by default peers/peer beside this "
             "program's folder; without it only our own runtime is measured"},
    {.name = "only",
     .type = SAC_OPTION_TEXT,
     .offset = offsetof(peers_settings, only),
     .argument = "NAME[,NAME]",
     .help = "these peers only, for example ort-int8,openvino-int8"},
    BENCH_CLIP_OPTIONS(peers_settings),
    {.name = "", .help = "Results"},
    BENCH_FILE_OPTIONS(peers_settings),
    BENCH_QUIET_OPTIONS(peers_settings),
    {.name = NULL},
};

static const sac_command peers_command = {
    .name = BENCH_NAME " peers",
    .usage = "-m MODEL [SOURCE] [-t N] [--peer PROGRAM] [options]",
    .description =
        "Our runtime against ONNX Runtime, OpenVINO, PyTorch, OpenCV DNN and ncnn on the same "
        "network, round by\n"
        "round in one run. Two comparisons: from the same u8 frames in memory to scores, every "
        "runtime's own\n"
        "conversion of its input counted; and like for like, the same f32 tensor to scores. Every "
        "peer's maps\n"
        "are compared with ours first. Peers that cannot run are listed as SKIPPED with the "
        "reason.\n\n"
        "  bench/peers/setup\n"
        "  student-bench peers -m models/ped2.safetensors -t 2 --markdown peers.md",
    .options = peers_options,
    .max_positional = 1,
};

static sac_status peers(const peers_settings *settings, const char *source,
                        const sac_logger *logger, sac_error *error) {
    sac_peers_options options = sac_peers_default_options();
    sac_peers_result result = {0};
    sac_figures figures = {0};
    bench_display shown = {
        .settings = &settings->tool, .label = "measuring", .unit = "measurements"};
    bench_clip clip = {0};
    char *markdown = NULL, *csv = NULL, *beside = NULL;
    json_t *json = NULL;
    sac_status status;
    SAC_TRY(bench_outputs_check(&settings->outputs, error));
    SAC_TRY(bench_outputs_keep(&settings->outputs, settings->model, error));
    SAC_TRY(bench_outputs_keep(&settings->outputs, source, error));
    SAC_TRY(bench_check_model(settings->model, error));
    SAC_TRY(bench_clip_open(&clip, source, &settings->clip, &settings->tool, error));
    options.model = settings->model;
    options.source = clip.source;
    options.format = settings->format;
    SAC_TRY_ALLOC(beside = bench_program_beside("../peers/peer"));
    options.command = settings->peer != NULL ? settings->peer : beside;
    options.only = settings->only;
    options.threads = (int)settings->threads;
    options.repeats = (int)settings->repeats;
    options.seconds = settings->seconds;
    options.logger = *logger;
    options.progress = bench_show;
    options.user = &shown;
    SAC_TRY(sac_peers_measure(&result, &options, error));
    sac_progress_close(&shown.progress);
    bench_warn_load(&result.machine, logger);
    SAC_TRY(sac_peers_figures(&figures, &result, error));
    json = sac_peers_json(&result);
    SAC_TRY_ALLOC(json);
    if (json_object_set_new(json, "figures", sac_figures_to_json(&figures)) < 0 ||
        !bench_sign(json, &peers_command, settings))
        SAC_TRY(SAC_ERROR_MEMORY);
    markdown = sac_peers_markdown(&result);
    csv = sac_figures_csv(&figures);
    SAC_TRY(bench_outputs_write(&settings->outputs, json, markdown, csv, error));
fail:
    if (status == SAC_ERROR_MEMORY) sac_error_set(error, status, -1, "out of memory");
    sac_progress_close(&shown.progress);
    bench_clip_close(&clip);
    sac_free(markdown);
    sac_free(csv);
    sac_free(beside);
    json_decref(json);
    sac_figures_close(&figures);
    sac_peers_result_close(&result);
    return status;
}

int bench_main_peers(int argc, char **argv) {
    peers_settings settings = {0}; // there is no --plot
    sac_options_result result;
    sac_error error = {0};
    const int code = sac_tool_start(&peers_command, &settings, argc, argv, &result);
    if (code >= 0) return code;
    sac_interrupt_install();
    const sac_logger logger = sac_tool_logger(peers_command.name, settings.tool.quiet);
    const char *source = result.positional_count > 0 ? result.positional[0] : NULL;
    const sac_status status = peers(&settings, source, &logger, &error);
    sac_options_close(&result);
    return bench_finish(peers_command.name, status, &error, settings.tool.quiet);
}
