// student-bench run: speed of a student model, of decoding, and of both together.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/speed.h"
#include "bench/synthetic.h"
#include "core/check.h"
#include "core/file.h"
#include "core/memory.h"
#include "saccade/student.h"
#include "saccade/version.h"
#include "tools/bench_tool.h"

typedef struct run_settings {
    sac_tool_settings tool; // progress, quiet and seed; threads is a list here, json a file
    const char *model, *threads, *format, *json, *markdown;
    int64_t repeats, decode_threads, width, height, frames;
    double seconds;
} run_settings;

static const sac_option run_options[] = {
    {.name = "", .help = "What is measured"},
    {.name = "model",
     .letter = 'm',
     .type = SAC_OPTION_TEXT,
     .offset = offsetof(run_settings, model),
     .argument = "MODEL",
     .help = "student model file"},
    {.name = "threads",
     .letter = 't',
     .type = SAC_OPTION_TEXT,
     .offset = offsetof(run_settings, threads),
     .text = "1,2",
     .argument = "N[,N]",
     .help = "thread counts to measure; the results of the highest stand at the top of the JSON"},
    {.name = "repeats",
     .type = SAC_OPTION_INT,
     .offset = offsetof(run_settings, repeats),
     .number = 5,
     .min = 1,
     .max = 1000,
     .argument = "N",
     .help = "interleaved rounds; the median counts"},
    {.name = "seconds",
     .type = SAC_OPTION_REAL,
     .offset = offsetof(run_settings, seconds),
     .number = 1,
     .min = 0.001,
     .max = 600,
     .argument = "S",
     .help = "length of one measurement"},
    {.name = "decode-threads",
     .type = SAC_OPTION_INT,
     .offset = offsetof(run_settings, decode_threads),
     .number = 1,
     .min = 0,
     .max = 64,
     .argument = "N",
     .help = "threads of the video decoder; 0: its own choice"},
    {.name = "format",
     .type = SAC_OPTION_TEXT,
     .offset = offsetof(run_settings, format),
     .argument = "NAME",
     .help = "FFmpeg input format of the source, for devices"},
    {.name = "", .help = "The synthetic clip used without SOURCE"},
    {.name = "width",
     .type = SAC_OPTION_INT,
     .offset = offsetof(run_settings, width),
     .number = 360,
     .min = 32,
     .max = 4096,
     .argument = "PX",
     .help = "width"},
    {.name = "height",
     .type = SAC_OPTION_INT,
     .offset = offsetof(run_settings, height),
     .number = 240,
     .min = 32,
     .max = 4096,
     .argument = "PX",
     .help = "height"},
    {.name = "frames",
     .type = SAC_OPTION_INT,
     .offset = offsetof(run_settings, frames),
     .number = 400,
     .min = 2,
     .max = 100000,
     .argument = "N",
     .help = "length"},
    {.name = "seed",
     .type = SAC_OPTION_INT,
     .offset = offsetof(run_settings, tool.seed),
     .number = 1,
     .min = 0,
     .max = 9007199254740992.0,
     .argument = "N",
     .help = "seed of the scene"},
    {.name = "", .help = "Results"},
    {.name = "json",
     .type = SAC_OPTION_TEXT,
     .offset = offsetof(run_settings, json),
     .argument = "FILE",
     .help = "write the results as JSON; - for standard output instead of the table"},
    {.name = "markdown",
     .type = SAC_OPTION_TEXT,
     .offset = offsetof(run_settings, markdown),
     .argument = "FILE",
     .help = "write the table as Markdown"},
    BENCH_QUIET_OPTIONS(run_settings),
    {.name = NULL},
};

static const sac_command run_command = {
    .name = BENCH_NAME " run",
    .usage = "-m MODEL [SOURCE] [-t N[,N]] [options]",
    .description =
        "Speed of a student: alone (frames preprocessed in memory to scores), from file to score\n"
        "(decode, scale, infer, score; in sequence, and pipelined with one thread for decoding), "
        "and\n"
        "decoding alone, interleaved in rounds. SOURCE is whatever FFmpeg opens, or a folder of "
        "pictures;\n"
        "without it a synthetic clip is encoded as H.264 for the purpose.\n\n"
        "  student-bench run -m models/ped2.safetensors clip.mp4 -t 1,2 --json speed.json",
    .options = run_options,
    .max_positional = 1,
};

// A fresh folder for the synthetic clip, and the clip's path in it.
static sac_status temporary_clip(char **folder, char **path, sac_error *error) {
    const char *base = getenv("TMPDIR");
    char *made = sac_format("%s/student-bench-XXXXXX", base != NULL && base[0] ? base : "/tmp");
    *folder = *path = NULL;
    if (made == NULL) return SAC_ERROR_MEMORY;
    if (mkdtemp(made) == NULL) {
        const sac_status status =
            sac_error_set(error, SAC_ERROR_IO, -1, "%s: temporary folder cannot be made: %s", made,
                          strerror(errno));
        sac_free(made);
        return status;
    }
    *folder = made;
    *path = sac_path_join(made, "synthetic.mp4");
    return *path != NULL ? SAC_OK : SAC_ERROR_MEMORY;
}

static sac_status run(const run_settings *settings, const char *source, const sac_logger *logger,
                      sac_error *error) {
    sac_speed_options options = sac_speed_default_options();
    sac_speed_result result = {0};
    bench_display shown = {.settings = &settings->tool};
    char *folder = NULL, *path = NULL, *markdown = NULL;
    json_t *json = NULL;
    sac_status status;
    if (settings->model == NULL)
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1, "-m MODEL is missing");
    SAC_TRY(bench_parse_threads(options.threads, &options.thread_counts, SAC_SPEED_MAX_RUNS,
                                settings->threads, error));
    options.model = settings->model;
    options.source = source;
    options.format = settings->format;
    options.repeats = (int)settings->repeats;
    options.seconds = settings->seconds;
    options.decode_threads = (int)settings->decode_threads;
    options.logger = *logger;
    options.progress = bench_show;
    options.user = &shown;
    // A missing or damaged model must not cost the rendering of a clip first.
    sac_student *student = NULL;
    SAC_TRY(sac_student_open(&student, settings->model, NULL, error));
    sac_student_close(&student);
    if (source == NULL) {
        const sac_synthetic_clip clip = {.width = (int)settings->width,
                                         .height = (int)settings->height,
                                         .frames = settings->frames,
                                         .seed = (uint64_t)settings->tool.seed};
        shown.label = "synthetic clip";
        shown.unit = "frames";
        SAC_TRY(temporary_clip(&folder, &path, error));
        SAC_TRY(sac_synthetic_clip_write(path, &clip, bench_show, &shown, error));
        sac_progress_close(&shown.progress);
        options.source = path;
    }
    shown.label = "measuring";
    shown.unit = "measurements";
    SAC_TRY(sac_speed_measure(&result, &options, error));
    sac_progress_close(&shown.progress);
    bench_warn_load(&result.machine, logger);
    json = sac_speed_json(&result);
    if (json != NULL &&
        (json_object_set_new(json, "settings", sac_options_to_json(&run_command, settings)) < 0 ||
         json_object_set_new(json, "version", json_string(sac_version())) < 0))
        SAC_TRY(SAC_ERROR_MEMORY);
    markdown = sac_speed_markdown(&result);
    SAC_TRY(bench_hand_out(json, settings->json, markdown, settings->markdown, true, error));
fail:
    if (status == SAC_ERROR_MEMORY) sac_error_set(error, status, -1, "out of memory");
    sac_progress_close(&shown.progress);
    if (path != NULL) unlink(path);
    if (folder != NULL) rmdir(folder);
    sac_free(path);
    sac_free(folder);
    sac_free(markdown);
    json_decref(json);
    sac_speed_result_close(&result);
    return status;
}

int bench_main_run(int argc, char **argv) {
    run_settings settings;
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
