// student-bench scenarios: a student in use. Many paced streams and their memory, the time to
// start, latency of one stream, offline throughput, how many cameras the machine holds, a training
// step, a day's frames; with the machine's limits, in one result file.
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bench/cameras.h"
#include "bench/endurance.h"
#include "bench/latency.h"
#include "bench/speed.h"
#include "bench/startup.h"
#include "bench/training.h"
#include "core/check.h"
#include "core/memory.h"
#include "tools/bench_tool.h"

enum {
    STREAMS = 1,
    STARTUP = 2,
    LATENCY = 4,
    OFFLINE = 8,
    CAMERAS = 16,
    TRAINING = 32,
    ENDURANCE = 64
};
static const char *const scenario_names[] = {"streams", "startup",  "latency",  "offline",
                                             "cameras", "training", "endurance"};
enum { SCENARIOS = sizeof scenario_names / sizeof scenario_names[0] };

typedef struct scenarios_settings {
    sac_tool_settings tool;
    const char *model, *format, *only;
    int64_t threads, repeats, decode_threads, streams, most;
    int precision;
    double seconds, frame_rate, late, search_s, verify_s, hours, growth;
    bench_clip_settings clip;
    bench_outputs outputs;
} scenarios_settings;

#define AT(member) .offset = offsetof(scenarios_settings, member)
// clang-format off
static const sac_option scenarios_options[] = {
    {.name = "", .help = "What is measured"},
    BENCH_MODEL_OPTION(scenarios_settings, "student model file"),
    {.name = "only", .type = SAC_OPTION_TEXT, AT(only),
     .text = "streams,startup,latency,offline,cameras,training", .argument = "A,B",
     .help = "scenarios to run"},
    {.name = "threads", .letter = 't', .type = SAC_OPTION_INT, AT(threads), .min = 0, .max = 64,
     .argument = "N", .help = "compute threads, and workers of the cameras; 0: every core"},
    BENCH_PRECISION_OPTION(scenarios_settings),
    {.name = "repeats", .type = SAC_OPTION_INT, AT(repeats), .number = 5, .min = 1, .max = 100,
     .argument = "N", .help = "interleaved rounds; the median counts"},
    {.name = "seconds", .type = SAC_OPTION_REAL, AT(seconds), .number = 1, .min = 0.001,
     .max = 600, .argument = "S", .help = "length of one measurement"},
    {.name = "decode-threads", .type = SAC_OPTION_INT, AT(decode_threads), .number = 1, .min = 0,
     .max = 64, .argument = "N", .help = "threads of the video decoder; 0: its own choice"},
    {.name = "format", .type = SAC_OPTION_TEXT, AT(format), .argument = "NAME",
     .help = "FFmpeg input format of the source"},
    {.name = "", .help = "Streams and cameras"},
    {.name = "streams", .type = SAC_OPTION_INT, AT(streams), .number = 64, .min = 1, .max = 4096,
     .argument = "N", .help = "paced streams of the scenario of that name"},
    {.name = "camera-fps", .type = SAC_OPTION_REAL, AT(frame_rate), .number = 25, .min = 0.1,
     .max = 1000, .argument = "FPS", .help = "frame rate of each stream"},
    {.name = "late", .type = SAC_OPTION_REAL, AT(late), .number = 1, .min = 0, .max = 99,
     .argument = "PERCENT", .help = "frames that may be late: scored more than a frame interval "
                                    "after they came"},
    {.name = "most-cameras", .type = SAC_OPTION_INT, AT(most), .number = 1024, .min = 1,
     .max = 4096, .argument = "N", .help = "cameras tried at most"},
    {.name = "search-seconds", .type = SAC_OPTION_REAL, AT(search_s), .number = 2, .min = 0.05,
     .max = 600, .argument = "S", .help = "length of a trial while searching"},
    {.name = "verify-seconds", .type = SAC_OPTION_REAL, AT(verify_s), .number = 10, .min = 0.05,
     .max = 86400, .argument = "S",
     .help = "length of the run that verifies what was found, and of the streams"},
    {.name = "", .help = "Endurance"},
    {.name = "hours", .type = SAC_OPTION_REAL, AT(hours), .number = 24, .min = 0.01,
     .max = 10000, .argument = "H", .help = "length of the stream, at --camera-fps"},
    {.name = "growth", .type = SAC_OPTION_REAL, AT(growth), .number = 2, .min = 0, .max = 1e6,
     .argument = "MIB", .help = "that resident memory may grow after the warm-up"},
    BENCH_CLIP_OPTIONS(scenarios_settings),
    BENCH_OUTPUT_OPTIONS(scenarios_settings, "what share of its limit each figure reaches"),
    BENCH_QUIET_OPTIONS(scenarios_settings),
    {.name = NULL},
};
// clang-format on

static const sac_command scenarios_command = {
    .name = BENCH_NAME " scenarios",
    .usage = "-m MODEL [SOURCE] [-t N] [options]",
    .description =
        "A student in use, each scenario with the machine's limits from the same run:\n\n"
        "  streams   --streams paced streams with decoding: frames a second of each, late frames, "
        "and the\n"
        "            peak memory of the process (it is run first)\n"
        "  startup   from the start of student-run to its first row of scores, and where the time "
        "goes\n"
        "  latency   one stream without waiting: p50, p90, p99 and p99.9 of the time from a frame "
        "in\n"
        "            memory, or in the file, to its score\n"
        "  offline   frames per second, alone and from file to score, as `student-bench run`\n"
        "  cameras   how many paced streams hold with few late frames, found by search and "
        "verified in\n"
        "            a longer run: with decoding, and with decoded frames from memory\n"
        "  training  samples per second of a training step, as `student-bench train`\n"
        "  endurance the frames of --hours of video as fast as they go, decoded frames from "
        "memory on a\n"
        "            pool: memory after the warm-up and at 24 places up to the end; exit code 1 "
        "where it\n"
        "            grew by more than --growth. Only when asked for: a day takes minutes\n\n"
        "SOURCE is whatever FFmpeg opens; without it a synthetic clip is encoded as H.264.\n\n"
        "  student-bench scenarios -m models/ped2.safetensors clip.mp4 -t 2 --json scenarios.json\n"
        "  student-bench scenarios -m models/ped2.safetensors -t 2 --only endurance --hours 24",
    .options = scenarios_options,
    .max_positional = 1,
};

typedef struct scenarios_work {
    const scenarios_settings *settings;
    const sac_logger *logger;
    int wanted, threads;
    bench_clip clip;
    sac_timing_source source;
    bench_display shown;
    sac_machine machine;
    sac_figures figures;
    json_t *json; // results of the scenarios so far
} scenarios_work;

static sac_status parse_only(int *wanted, const char *text, sac_error *error) {
    *wanted = 0;
    for (const char *item = text; item != NULL;) {
        const size_t length = strcspn(item, ",");
        int found = 0;
        for (int i = 0; i < SCENARIOS; i++)
            if (strlen(scenario_names[i]) == length &&
                strncmp(item, scenario_names[i], length) == 0)
                found = 1 << i;
        if (found == 0)
            return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                                 "--only '%.100s': expected a comma-separated list of streams, "
                                 "startup, latency, offline, cameras, training and endurance",
                                 text);
        *wanted |= found;
        item = item[length] == ',' ? item + length + 1 : NULL;
    }
    return SAC_OK;
}

static sac_status keep(scenarios_work *w, const char *name, json_t *result) {
    return json_object_set_new(w->json, name, result) < 0 ? SAC_ERROR_MEMORY : SAC_OK;
}

static void begin(scenarios_work *w, const char *label, const char *unit) {
    sac_progress_close(&w->shown.progress);
    w->shown = (bench_display){.settings = &w->settings->tool, .label = label, .unit = unit};
}

static sac_status run_startup(scenarios_work *w, sac_error *error) {
    sac_startup_options options = sac_startup_default_options();
    sac_startup_result *result = sac_calloc(1, sizeof *result);
    char *program = bench_program_beside("student-run");
    sac_status status = SAC_OK;
    char message[512];
    SAC_TRY_ALLOC(result);
    SAC_TRY_ALLOC(program);
    if (access(program, X_OK) != 0) {
        snprintf(message, sizeof message, "the start is SKIPPED: %.400s: %s", program,
                 strerror(errno));
        bench_warn(w->logger, message);
        goto fail;
    }
    options.program = program;
    options.model = w->settings->model;
    options.source = w->source.path;
    options.format = w->source.format;
    options.precision = (sac_precision)w->settings->precision;
    options.threads = w->threads;
    options.rounds = (int)w->settings->repeats;
    options.stop = sac_interrupted;
    sac_progress_close(&w->shown.progress);
    SAC_TRY(sac_startup_measure(result, &options, error));
    SAC_TRY(sac_startup_figures(&w->figures, result, error));
    SAC_TRY(keep(w, "startup", sac_startup_json(result)));
fail:
    sac_free(program);
    sac_free(result);
    return status;
}

static sac_status run_latency(scenarios_work *w, sac_error *error) {
    sac_latency_options options = sac_latency_default_options();
    sac_latency_result *result = sac_calloc(1, sizeof *result);
    sac_status status;
    SAC_TRY_ALLOC(result);
    options.model = w->settings->model;
    options.precision = (sac_precision)w->settings->precision;
    options.source = w->source;
    options.threads = w->threads;
    options.rounds = (int)w->settings->repeats;
    options.seconds = w->settings->seconds;
    options.logger = *w->logger;
    options.progress = bench_show;
    options.user = &w->shown;
    begin(w, "latency", "rounds");
    SAC_TRY(sac_latency_measure(result, &options, error));
    SAC_TRY(sac_latency_figures(&w->figures, result, error));
    SAC_TRY(keep(w, "latency", sac_latency_json(result)));
fail:
    sac_free(result);
    return status;
}

static sac_status run_offline(scenarios_work *w, sac_error *error) {
    sac_speed_options options = sac_speed_default_options();
    sac_speed_result result = {0};
    sac_status status;
    options.model = w->settings->model;
    options.precision = (sac_precision)w->settings->precision;
    options.source = w->source.path;
    options.format = w->source.format;
    options.decode_threads = w->source.decode_threads;
    options.threads[0] = w->threads;
    options.thread_counts = 1;
    options.repeats = (int)w->settings->repeats;
    options.seconds = w->settings->seconds;
    options.logger = *w->logger;
    options.progress = bench_show;
    options.user = &w->shown;
    begin(w, "offline", "measurements");
    SAC_TRY(sac_speed_measure(&result, &options, error));
    SAC_TRY(sac_speed_figures(&w->figures, &result, error));
    SAC_TRY(keep(w, "offline", sac_speed_json(&result)));
fail:
    sac_speed_result_close(&result);
    return status;
}

static sac_cameras_options cameras_of(const scenarios_work *w, bool decoding, int64_t most) {
    sac_cameras_options options = sac_cameras_default_options();
    options.model = w->settings->model;
    options.precision = (sac_precision)w->settings->precision;
    options.source = w->source;
    options.decoding = decoding;
    options.workers = w->threads;
    options.frame_rate = w->settings->frame_rate;
    options.late_share = w->settings->late / 100;
    options.most = (int)most;
    options.search_s = w->settings->search_s;
    options.verify_s = w->settings->verify_s;
    options.logger = *w->logger;
    options.stop = sac_interrupted;
    return options;
}

static sac_status run_streams(scenarios_work *w, sac_error *error) {
    const sac_cameras_options options = cameras_of(w, true, w->settings->streams);
    sac_cameras_result *result = sac_calloc(1, sizeof *result);
    sac_status status;
    SAC_TRY_ALLOC(result);
    sac_progress_close(&w->shown.progress);
    SAC_TRY(sac_cameras_run(result, &options, error));
    const sac_cameras_trial *run = &result->trials[0];
    const struct {
        const char *what, *unit;
        bool lower;
        double value;
    } found[] = {
        {"frames a second of each", "FPS", false, run->fps},
        {"late frames", "%", true, 100.0 * (double)run->late / (double)run->frames},
        {"p99 from arrival to score", "ms", true, run->p99_ms},
        {"peak memory", "MB", true, result->peak_memory_bytes / 1e6},
    };
    for (size_t i = 0; i < sizeof found / sizeof found[0]; i++) {
        char name[128];
        snprintf(name, sizeof name, "%d streams at %g FPS with decoding; %s", options.most,
                 options.frame_rate, found[i].what);
        sac_figure figure =
            sac_figure_of_value(name, found[i].unit, found[i].lower, found[i].value);
        if (i == 0)
            sac_figure_set_limit(&figure, "what arrives", found[i].value / options.frame_rate);
        SAC_TRY(sac_figures_add(&w->figures, &figure, error));
    }
    SAC_TRY(keep(w, "streams", sac_cameras_json(result, &options)));
fail:
    sac_free(result);
    return status;
}

static sac_status run_cameras(scenarios_work *w, bool decoding, json_t *list, sac_error *error) {
    const sac_cameras_options options = cameras_of(w, decoding, w->settings->most);
    sac_cameras_result *result = sac_calloc(1, sizeof *result);
    sac_status status;
    char name[128];
    SAC_TRY_ALLOC(result);
    sac_progress_close(&w->shown.progress);
    SAC_TRY(sac_cameras_search(result, &options, error));
    snprintf(name, sizeof name, "cameras at %g FPS; %s", options.frame_rate,
             decoding ? "with decoding" : "decoded frames from memory");
    sac_figure figure = sac_figure_of_value(name, "cameras", false, result->streams);
    // What the same number of files or frames flat out would hold, if that was measured.
    const sac_figure *rate = NULL;
    char limit[128];
    if (decoding) {
        snprintf(limit, sizeof limit, "%d files to scores at once", w->threads);
        rate = sac_figures_find(&w->figures, limit);
        if (rate == NULL)
            rate = sac_figures_find(&w->figures, "file to score; in sequence; 1 thread");
    } else {
        snprintf(limit, sizeof limit, "student alone; %d workers", w->threads);
        rate = sac_figures_find(&w->figures, limit);
        if (rate == NULL) rate = sac_figures_find(&w->figures, "student alone; one plan; 1 thread");
    }
    if (rate != NULL && rate->value > 0)
        sac_figure_set_limit(&figure, rate->name,
                             result->streams * options.frame_rate / rate->value);
    SAC_TRY(sac_figures_add(&w->figures, &figure, error));
    if (json_array_append_new(list, sac_cameras_json(result, &options)) < 0)
        SAC_TRY(SAC_ERROR_MEMORY);
fail:
    sac_free(result);
    return status;
}

// *grown: what is to be said when memory did not stay flat, once the figures are out.
static sac_status run_endurance(scenarios_work *w, sac_error *grown, sac_error *error) {
    sac_endurance_options options = sac_endurance_default_options();
    sac_endurance_result *result = sac_calloc(1, sizeof *result);
    sac_status status;
    SAC_TRY_ALLOC(result);
    options.model = w->settings->model;
    options.precision = (sac_precision)w->settings->precision;
    options.source = w->source;
    options.workers = w->threads;
    options.frame_rate = w->settings->frame_rate;
    options.frames = llround(w->settings->hours * 3600 * options.frame_rate);
    options.growth_bytes = w->settings->growth * (1 << 20);
    options.logger = *w->logger;
    options.progress = bench_show;
    options.user = &w->shown;
    begin(w, "endurance", "frames");
    SAC_TRY(sac_endurance_measure(result, &options, error));
    SAC_TRY(sac_endurance_figures(&w->figures, result, error));
    SAC_TRY(keep(w, "endurance", sac_endurance_json(result)));
    if (!result->flat)
        sac_error_set(grown, SAC_ERROR_MEMORY, result->frames,
                      "resident memory grew by %.0f kB over %lld frames, more than %.0f kB",
                      result->resident_growth / 1e3, (long long)result->frames,
                      options.growth_bytes / 1e3);
fail:
    sac_free(result);
    return status;
}

// Of the architecture that the model names, when this program still builds it.
static sac_status run_training(scenarios_work *w, sac_error *error) {
    sac_training_options options = sac_training_default_options();
    sac_training_result *result = sac_calloc(1, sizeof *result);
    sac_student *student = NULL;
    sac_student_info info;
    sac_status status;
    char message[256];
    SAC_TRY_ALLOC(result);
    SAC_TRY(sac_student_open(&student, w->settings->model, NULL, error));
    sac_student_get_info(student, &info);
    options.arch = info.arch;
    options.threads = w->threads;
    options.rounds = (int)w->settings->repeats;
    options.seconds = w->settings->seconds;
    options.stop = sac_interrupted;
    sac_progress_close(&w->shown.progress);
    sac_error cause = {0};
    status = sac_training_measure(result, &options, &cause);
    if (status == SAC_ERROR_ARGUMENT) {
        snprintf(message, sizeof message, "the training step is left out: %.200s", cause.message);
        bench_warn(w->logger, message);
        status = SAC_OK;
        goto fail;
    }
    if (status < 0) {
        sac_error_set(error, status, cause.position, "%s", cause.message);
        goto fail;
    }
    SAC_TRY(sac_training_figures(&w->figures, result, error));
    SAC_TRY(keep(w, "training", sac_training_to_json(result)));
fail:
    sac_student_close(&student);
    sac_free(result);
    return status;
}

static char *markdown_of(const scenarios_work *w) {
    char *table = sac_figures_markdown(&w->figures), *machine = sac_machine_text(&w->machine);
    char *text =
        table == NULL || machine == NULL
            ? NULL
            : sac_format("%s; %d thread%s; medians of %lld rounds.\n\n%s", machine, w->threads,
                         w->threads == 1 ? "" : "s", (long long)w->settings->repeats, table);
    sac_free(machine);
    sac_free(table);
    return text;
}

static sac_status scenarios(const scenarios_settings *settings, const char *source,
                            const sac_logger *logger, sac_error *error) {
    scenarios_work w = {.settings = settings, .logger = logger};
    sac_error grown = {0};
    char *markdown = NULL, *csv = NULL;
    json_t *cameras = NULL;
    sac_status status;
    SAC_TRY(bench_outputs_check(&settings->outputs, error));
    SAC_TRY(bench_outputs_keep(&settings->outputs, settings->model, error));
    SAC_TRY(bench_outputs_keep(&settings->outputs, source, error));
    SAC_TRY(parse_only(&w.wanted, settings->only, error));
    // Said before the scenarios that come first have taken their minutes.
    if ((w.wanted & ENDURANCE) && settings->hours * 3600 * settings->frame_rate < 100)
        SAC_TRY(sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                              "--hours %g at %g frames a second are less than the 100 frames that "
                              "endurance needs",
                              settings->hours, settings->frame_rate));
    SAC_TRY(bench_check_model(settings->model, error));
    sac_machine_describe(&w.machine);
    bench_warn_load(&w.machine, logger);
    w.threads = settings->threads > 0  ? (int)settings->threads
                : w.machine.cores < 64 ? w.machine.cores
                                       : 64;
    SAC_TRY_ALLOC(w.json = json_object());
    SAC_TRY(bench_clip_open(&w.clip, source, &settings->clip, &settings->tool, error));
    w.source = (sac_timing_source){.path = w.clip.source,
                                   .format = settings->format,
                                   .decode_threads = (int)settings->decode_threads};
    // First, before others have made the process grow.
    if (w.wanted & STREAMS) SAC_TRY(run_streams(&w, error));
    if (w.wanted & STARTUP) SAC_TRY(run_startup(&w, error));
    if (w.wanted & LATENCY) SAC_TRY(run_latency(&w, error));
    if (w.wanted & OFFLINE) SAC_TRY(run_offline(&w, error));
    if (w.wanted & CAMERAS) {
        SAC_TRY_ALLOC(cameras = json_array());
        SAC_TRY(run_cameras(&w, true, cameras, error));
        SAC_TRY(run_cameras(&w, false, cameras, error));
        json_t *list = cameras;
        cameras = NULL;
        SAC_TRY(keep(&w, "cameras", list));
    }
    if (w.wanted & TRAINING) SAC_TRY(run_training(&w, error));
    if (w.wanted & ENDURANCE) SAC_TRY(run_endurance(&w, &grown, error));
    sac_progress_close(&w.shown.progress);
    w.machine.load_after = sac_machine_load();
    SAC_TRY(keep(&w, "machine", sac_machine_json(&w.machine)));
    SAC_TRY(keep(&w, "figures", sac_figures_to_json(&w.figures)));
    if (!bench_sign(w.json, &scenarios_command, settings)) SAC_TRY(SAC_ERROR_MEMORY);
    markdown = markdown_of(&w);
    csv = sac_figures_csv(&w.figures);
    SAC_TRY(bench_outputs_write(&settings->outputs, w.json, markdown, csv, error));
    SAC_TRY(bench_plot_limits(&w.figures, "A student in use: shares of the limits",
                              settings->outputs.plot, logger, error));
    if (grown.code < 0)
        SAC_TRY(sac_error_set(error, grown.code, grown.position, "%s", grown.message));
fail:
    if (status == SAC_ERROR_MEMORY) sac_error_set(error, status, -1, "out of memory");
    sac_progress_close(&w.shown.progress);
    bench_clip_close(&w.clip);
    json_decref(cameras);
    json_decref(w.json);
    sac_figures_close(&w.figures);
    sac_free(markdown);
    sac_free(csv);
    return status;
}

int bench_main_scenarios(int argc, char **argv) {
    scenarios_settings settings = {0};
    sac_options_result result;
    sac_error error = {0};
    const int code = sac_tool_start(&scenarios_command, &settings, argc, argv, &result);
    if (code >= 0) return code;
    sac_interrupt_install();
    const sac_logger logger = sac_tool_logger(scenarios_command.name, settings.tool.quiet);
    const char *source = result.positional_count > 0 ? result.positional[0] : NULL;
    const sac_status status = scenarios(&settings, source, &logger, &error);
    sac_options_close(&result);
    return bench_finish(scenarios_command.name, status, &error, settings.tool.quiet);
}
