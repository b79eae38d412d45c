// student-bench: accuracy of scores against a data set's labels (`eval`), speed of a student model
// (`run`), of training steps (`train`), and the machine's limits (`machine`). Parses options, shows progress, writes results;
// measuring is bench/.
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/eval_report.h"
#include "bench/machine.h"
#include "bench/scores.h"
#include "bench/speed.h"
#include "bench/synthetic.h"
#include "bench/training.h"
#include "core/check.h"
#include "core/file.h"
#include "core/json.h"
#include "core/memory.h"
#include "core/number.h"
#include "core/tool.h"
#include "nn/roofline.h"
#include "saccade/version.h"
#include "teachers/ssmtl.h"

#define NAME "student-bench"

// ---- shared by the commands --------------------------------------------------------------------

// A display that opens at the first report, when the total is known.
typedef struct display {
    const sac_tool_settings *settings;
    const char *label, *unit;
    sac_progress *progress;
} display;

static int show(void *user, int64_t done, int64_t total) {
    display *d = user;
    // Without memory for the display the work goes on unseen.
    if (d->progress == NULL &&
        sac_progress_open(&d->progress, d->label, d->unit, total, d->settings) < 0)
        d->progress = NULL;
    sac_progress_update(d->progress, done, NULL);
    return sac_interrupted() ? 1 : 0;
}

static void warn(const sac_logger *logger, const char *message) {
    if (logger->write != NULL) logger->write(logger->user, SAC_LOG_WARNING, message);
}

static sac_status print_json(const json_t *json, sac_error *error) {
    char *text = json_dumps(json, JSON_INDENT(2));
    if (text == NULL) return sac_error_set(error, SAC_ERROR_MEMORY, -1, "no memory for the JSON");
    printf("%s\n", text);
    free(text);
    return SAC_OK;
}

// "1,2" to numbers in ascending order without repetition.
static sac_status parse_threads(int *threads, int *count, int most, const char *text,
                                sac_error *error) {
    *count = 0;
    for (const char *item = text; item != NULL;) {
        const char *end = strchr(item, ',');
        char number[16];
        const size_t length = end != NULL ? (size_t)(end - item) : strlen(item);
        int64_t value = -1;
        if (length > 0 && length < sizeof number) {
            memcpy(number, item, length);
            number[length] = '\0';
            if (!sac_number_integer(number, &value)) value = -1;
        }
        if (value < 1 || value > 1024 || *count == most)
            return sac_error_set(
                error, SAC_ERROR_ARGUMENT, -1,
                "-t/--threads: '%.100s' is not a comma-separated list of at most %d "
                "integers from 1 to 1024",
                text, most);
        int place = 0;
        while (place < *count && threads[place] < value) place++;
        if (place == *count || threads[place] != value) {
            memmove(&threads[place + 1], &threads[place],
                    (size_t)(*count - place) * sizeof *threads);
            threads[place] = (int)value;
            ++*count;
        }
        item = end != NULL ? end + 1 : NULL;
    }
    return SAC_OK;
}

// Markdown to its file and to stdout, JSON to its file; a "-" takes standard output for itself.
static sac_status hand_out(const json_t *json, const char *json_path, const char *markdown,
                           const char *markdown_path, bool print_markdown, sac_error *error) {
    sac_status status = SAC_OK;
    if (json == NULL || markdown == NULL)
        return sac_error_set(error, SAC_ERROR_MEMORY, -1, "no memory for the report");
    const bool json_on_stdout = json_path != NULL && strcmp(json_path, "-") == 0;
    const bool markdown_on_stdout = markdown_path != NULL && strcmp(markdown_path, "-") == 0;
    if (markdown_path != NULL && !markdown_on_stdout)
        SAC_TRY(sac_file_save(markdown_path, markdown, strlen(markdown), error));
    if (json_path != NULL && !json_on_stdout) SAC_TRY(sac_json_write(json, json_path, error));
    if (json_on_stdout)
        SAC_TRY(print_json(json, error));
    else if (print_markdown || markdown_on_stdout)
        fputs(markdown, stdout);
    SAC_TRY(sac_tool_flush(error));
fail:
    return status;
}

static int finish(const char *name, sac_status status, const sac_error *error, bool quiet) {
    if (status < 0) return sac_tool_fail(name, status, error);
    sac_tool_finish(name, quiet);
    return SAC_EXIT_OK;
}

// ---- eval --------------------------------------------------------------------------------------

enum { SMOOTHING_ALL = 4 }; // after the values of sac_smoothing, as in the option's choices

typedef struct eval_settings {
    sac_tool_settings tool;
    const char *dataset, *clips;
    sac_text_list models, scores, maps;
    const char *column;
    int map_score;
    bool baseline;
    int smoothing, one_class;
    double sigma;
    int64_t taps;
    bool video_minmax;
    const char *markdown, *output;
} eval_settings;

static const sac_option eval_options[] = {
    {.name = "", .help = "What is evaluated (several may be given and stand in one table)"},
    {.name = "dataset",
     .letter = 'd',
     .type = SAC_OPTION_TEXT,
     .offset = offsetof(eval_settings, dataset),
     .argument = "DIR",
     .help = "data set with labelled test clips, UCSD or generic layout"},
    {.name = "model",
     .letter = 'm',
     .type = SAC_OPTION_LIST,
     .offset = offsetof(eval_settings, models),
     .argument = "MODEL",
     .help = "student model, run over the clips"},
    {.name = "scores",
     .letter = 's',
     .type = SAC_OPTION_LIST,
     .offset = offsetof(eval_settings, scores),
     .argument = "PATH",
     .help =
         "folder with <clip>.csv or <clip>.npy, one CSV with a column 'clip', or for a single clip "
         "its CSV or .npy"},
    {.name = "maps",
     .type = SAC_OPTION_LIST,
     .offset = offsetof(eval_settings, maps),
     .argument = "FOLDER",
     .help = "map store written by teach"},
    {.name = "baseline",
     .type = SAC_OPTION_BOOL,
     .offset = offsetof(eval_settings, baseline),
     .help = "add the frame-difference scorers"},
    {.name = "clips",
     .type = SAC_OPTION_TEXT,
     .offset = offsetof(eval_settings, clips),
     .argument = "A,B",
     .help = "only these test clips; default: all with labels"},
    {.name = "column",
     .type = SAC_OPTION_TEXT,
     .offset = offsetof(eval_settings, column),
     .text = "score",
     .argument = "NAME",
     .help = "column of the score tables"},
    {.name = "map-score",
     .type = SAC_OPTION_CHOICE,
     .offset = offsetof(eval_settings, map_score),
     .choices = "1x1|mean",
     .help =
         "frame score of a map store: its 1x1 array, or the mean of 1x1 and the largest 4x4 and "
         "16x16 cells"},
    {.name = "", .help = "Conventions"},
    {.name = "smoothing",
     .type = SAC_OPTION_CHOICE,
     .offset = offsetof(eval_settings, smoothing),
     .number = SMOOTHING_ALL,
     .choices = "none|causal|light|paper|all",
     .help =
         "temporal smoothing: causal sigma 4, 13 taps; light sigma 3, 19 taps; paper sigma 20, 49 "
         "taps; all shows each"},
    {.name = "sigma",
     .type = SAC_OPTION_REAL,
     .offset = offsetof(eval_settings, sigma),
     .min = 0,
     .max = 1e6,
     .argument = "FRAMES",
     .help = "width of the chosen smoothing; 0: its default"},
    {.name = "taps",
     .type = SAC_OPTION_INT,
     .offset = offsetof(eval_settings, taps),
     .min = 0,
     .max = SAC_SMOOTHING_MAX_TAPS,
     .argument = "N",
     .help = "taps of the chosen smoothing; 0: its default, or three sigma when --sigma is given"},
    {.name = "video-minmax",
     .type = SAC_OPTION_BOOL,
     .offset = offsetof(eval_settings, video_minmax),
     .help =
         "normalise each clip to [0,1] before the micro AUC, as some papers do: looks at the whole "
         "test clip"},
    {.name = "one-class",
     .type = SAC_OPTION_CHOICE,
     .offset = offsetof(eval_settings, one_class),
     .choices = "skip|count",
     .help = "clips with one class in the macro AUC: skip them or count them as 1"},
    {.name = "", .help = "Results"},
    {.name = "output",
     .letter = 'o',
     .type = SAC_OPTION_TEXT,
     .offset = offsetof(eval_settings, output),
     .argument = "FILE",
     .help = "write the results as JSON"},
    {.name = "markdown",
     .type = SAC_OPTION_TEXT,
     .offset = offsetof(eval_settings, markdown),
     .argument = "FILE",
     .help = "write the tables as Markdown"},
    SAC_TOOL_OPTIONS(eval_settings),
    {.name = NULL},
};

static const sac_command eval_command = {
    .name = NAME " eval",
    .usage = "--dataset DIR (-m MODEL | --scores PATH | --maps FOLDER | --baseline)... [options]",
    .description =
        "Frame-level micro and macro ROC AUC against the labels of a data set, with the convention "
        "and\n"
        "what a constant scorer gets under it. Tables go to standard output.\n\n"
        "  student-bench eval --dataset scene -m run/student.safetensors --baseline\n"
        "  student-bench eval --dataset scene --maps maps/ssmtl --smoothing causal -o teacher.json",
    .options = eval_options,
};

static sac_status eval_conventions(sac_eval_options *options, int *count,
                                   const eval_settings *settings, sac_error *error) {
    const bool all = settings->smoothing == SMOOTHING_ALL;
    const bool tuned = settings->sigma > 0.0 || settings->taps > 0;
    if (tuned && (all || settings->smoothing == SAC_SMOOTHING_NONE))
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "--sigma and --taps need --smoothing causal, light or paper");
    *count = all ? 4 : 1;
    for (int i = 0; i < *count; i++) {
        options[i] = (sac_eval_options){
            .smoothing = {.kind = (sac_smoothing)(all ? i : settings->smoothing),
                          .sigma = settings->sigma,
                          .taps = (int)settings->taps},
            .video_minmax = settings->video_minmax,
            .count_one_class = settings->one_class == 1,
        };
        sac_smoothing_options used;
        if (sac_smoothing_resolve(&used, &options[i].smoothing) < 0)
            return sac_error_set(
                error, SAC_ERROR_ARGUMENT, -1,
                "--taps %lld: expected an odd number, or 1 to %d for causal smoothing",
                (long long)settings->taps, SAC_SMOOTHING_CAUSAL_TAPS);
    }
    return SAC_OK;
}

// Score sets in the order models, maps, scores, baseline; `count` grows with each one that is
// complete.
static sac_status collect(sac_score_set *sets, int64_t *count, const eval_settings *settings,
                          const sac_dataset *dataset, const sac_clip_selection *selection,
                          const sac_logger *logger, sac_error *error) {
    sac_status status = SAC_OK;
    display shown = {.settings = &settings->tool, .unit = "frames"};
    const sac_score_progress progress = {.report = show, .user = &shown};
    for (int64_t i = 0; i < settings->models.count; i++) {
        shown.label = "student";
        SAC_TRY(sac_score_set_model(&sets[*count], settings->models.items[i],
                                    (int)settings->tool.threads, selection, logger, &progress,
                                    error));
        ++*count;
        sac_progress_close(&shown.progress);
    }
    for (int64_t i = 0; i < settings->maps.count; i++) {
        SAC_TRY(sac_score_set_maps(&sets[*count], settings->maps.items[i], settings->map_score == 1,
                                   dataset, selection, logger, error));
        ++*count;
    }
    for (int64_t i = 0; i < settings->scores.count; i++) {
        SAC_TRY(sac_score_set_read(&sets[*count], settings->scores.items[i], settings->column,
                                   selection, error));
        ++*count;
    }
    if (settings->baseline) {
        shown.label = "baseline";
        SAC_TRY(
            sac_score_set_baseline(&sets[*count], &sets[*count + 1], selection, &progress, error));
        *count += 2;
    }
fail:
    sac_progress_close(&shown.progress);
    return status;
}

static json_t *eval_json(const sac_eval_report *report, const eval_settings *settings) {
    json_t *json = sac_eval_report_json(report);
    json_t *resolved = sac_options_to_json(&eval_command, settings);
    if (json == NULL || json_object_set_new(json, "settings", resolved) < 0 ||
        json_object_set_new(json, "version", json_string(sac_version())) < 0) {
        json_decref(json);
        return NULL;
    }
    return json;
}

static sac_status eval(const eval_settings *settings, const sac_logger *logger, sac_error *error) {
    sac_dataset *dataset = NULL;
    sac_clip_selection selection = {0};
    sac_score_set *sets = NULL;
    sac_eval_report report = {0};
    sac_eval_options conventions[4];
    json_t *json = NULL;
    char *markdown = NULL;
    int64_t set_count = 0;
    int convention_count = 0;
    sac_status status;
    const int64_t wanted = settings->models.count + settings->maps.count + settings->scores.count +
                           (settings->baseline ? 2 : 0);
    if (settings->dataset == NULL)
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1, "--dataset DIR is missing");
    if (wanted == 0)
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "nothing to evaluate: give -m MODEL, --scores PATH, --maps FOLDER or "
                             "--baseline");
    SAC_TRY(eval_conventions(conventions, &convention_count, settings, error));
    SAC_TRY(sac_dataset_open(&dataset, settings->dataset, logger, error));
    SAC_TRY(sac_clip_select(&selection, dataset, settings->clips, error));
    SAC_TRY_ALLOC(sets = sac_calloc(wanted, sizeof *sets));
    SAC_TRY(collect(sets, &set_count, settings, dataset, &selection, logger, error));
    SAC_TRY(sac_eval_report_make(&report, dataset, &selection, sets, set_count, conventions,
                                 convention_count, error));
    json = eval_json(&report, settings);
    markdown = sac_eval_report_markdown(&report);
    SAC_TRY(hand_out(json, settings->output, markdown, settings->markdown, !settings->tool.json,
                     error));
    if (settings->tool.json) {
        SAC_TRY(print_json(json, error));
        SAC_TRY(sac_tool_flush(error));
    }
fail:
    if (status == SAC_ERROR_MEMORY) sac_error_set(error, status, -1, "out of memory");
    json_decref(json);
    sac_free(markdown);
    sac_eval_report_close(&report);
    for (int64_t i = 0; i < set_count; i++) sac_score_set_close(&sets[i]);
    sac_free(sets);
    sac_clip_selection_close(&selection);
    sac_dataset_close(&dataset);
    return status;
}

static int main_eval(int argc, char **argv) {
    eval_settings settings;
    sac_options_result result;
    sac_error error = {0};
    const int code = sac_tool_start(&eval_command, &settings, argc, argv, &result);
    if (code >= 0) return code;
    sac_interrupt_install();
    const sac_logger logger = sac_tool_logger(eval_command.name, settings.tool.quiet);
    const sac_status status = eval(&settings, &logger, &error);
    sac_options_close(&result);
    return finish(eval_command.name, status, &error, settings.tool.quiet);
}

// ---- run ---------------------------------------------------------------------------------------

typedef struct run_settings {
    sac_tool_settings tool; // progress, quiet and seed; threads is a list here, json a file
    const char *model, *threads, *format, *json, *markdown;
    int64_t repeats, decode_threads, width, height, frames;
    double seconds;
} run_settings;

// The common flags that also fit commands whose -t is a list and whose --json is a file.
#define QUIET_OPTIONS(kind)                                                                        \
    {.name = "progress",                                                                           \
     .type = SAC_OPTION_CHOICE,                                                                    \
     .offset = offsetof(kind, tool.progress),                                                      \
     .choices = "auto|always|never",                                                               \
     .help = "progress lines on standard error; auto: only on a terminal"},                        \
    {                                                                                              \
        .name = "quiet", .letter = 'q', .type = SAC_OPTION_BOOL,                                   \
        .offset = offsetof(kind, tool.quiet), .help = "print results and errors only"              \
    }

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
    QUIET_OPTIONS(run_settings),
    {.name = NULL},
};

static const sac_command run_command = {
    .name = NAME " run",
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

static void warn_load(const sac_machine *machine, const sac_logger *logger) {
    // A free machine idles near 0; a quarter of a core of somebody else's work already shows.
    const double load = machine->load_before;
    if (isnan(load) || load < 0.25) return;
    char message[160];
    snprintf(message, sizeof message,
             "load average was %.2f on %d cores before the start: trust the ratios, not the rates",
             load, machine->cores);
    warn(logger, message);
}

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
    display shown = {.settings = &settings->tool};
    char *folder = NULL, *path = NULL, *markdown = NULL;
    json_t *json = NULL;
    sac_status status;
    if (settings->model == NULL)
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1, "-m MODEL is missing");
    SAC_TRY(parse_threads(options.threads, &options.thread_counts, SAC_SPEED_MAX_RUNS,
                          settings->threads, error));
    options.model = settings->model;
    options.source = source;
    options.format = settings->format;
    options.repeats = (int)settings->repeats;
    options.seconds = settings->seconds;
    options.decode_threads = (int)settings->decode_threads;
    options.logger = *logger;
    options.progress = show;
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
        SAC_TRY(sac_synthetic_clip_write(path, &clip, show, &shown, error));
        sac_progress_close(&shown.progress);
        options.source = path;
    }
    shown.label = "measuring";
    shown.unit = "measurements";
    SAC_TRY(sac_speed_measure(&result, &options, error));
    sac_progress_close(&shown.progress);
    warn_load(&result.machine, logger);
    json = sac_speed_json(&result);
    if (json != NULL &&
        (json_object_set_new(json, "settings", sac_options_to_json(&run_command, settings)) < 0 ||
         json_object_set_new(json, "version", json_string(sac_version())) < 0))
        SAC_TRY(SAC_ERROR_MEMORY);
    markdown = sac_speed_markdown(&result);
    SAC_TRY(hand_out(json, settings->json, markdown, settings->markdown, true, error));
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

static int main_run(int argc, char **argv) {
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
    return finish(run_command.name, status, &error, settings.tool.quiet);
}

// ---- machine -----------------------------------------------------------------------------------

typedef struct machine_settings {
    sac_tool_settings tool;
    const char *threads, *json;
    double seconds;
} machine_settings;

static const sac_option machine_options[] = {
    {.name = "threads",
     .letter = 't',
     .type = SAC_OPTION_TEXT,
     .offset = offsetof(machine_settings, threads),
     .text = "1,2",
     .argument = "N[,N]",
     .help = "thread counts to measure"},
    {.name = "seconds",
     .type = SAC_OPTION_REAL,
     .offset = offsetof(machine_settings, seconds),
     .number = 1,
     .min = 0.001,
     .max = 600,
     .argument = "S",
     .help = "length of one measurement"},
    {.name = "json",
     .type = SAC_OPTION_TEXT,
     .offset = offsetof(machine_settings, json),
     .argument = "FILE",
     .help = "write the results as JSON; - for standard output instead of the table"},
    QUIET_OPTIONS(machine_settings),
    {.name = NULL},
};

static const sac_command machine_command = {
    .name = NAME " machine",
    .usage = "[-t N[,N]] [options]",
    .description =
        "The machine's limits: f32 matrix multiplication rate and memory copy rate, the\n"
        "yardsticks for training and inference speed.",
    .options = machine_options,
};

static sac_status machine(const machine_settings *settings, const sac_logger *logger,
                          sac_error *error) {
    sac_machine facts;
    int threads[SAC_SPEED_MAX_RUNS], count;
    double memory;
    char *text = NULL, *copy = NULL;
    size_t size = 0;
    FILE *out = NULL;
    json_t *rates = json_array(), *json = NULL;
    sac_status status;
    SAC_TRY(parse_threads(threads, &count, SAC_SPEED_MAX_RUNS, settings->threads, error));
    sac_machine_describe(&facts);
    warn_load(&facts, logger);
    SAC_TRY_ALLOC(out = open_memstream(&text, &size));
    fprintf(out, "%s, %d cores, %s, %s\n%s\n\n| limit | threads | rate |\n|---|---:|---:|\n",
            facts.cpu, facts.cores, facts.instructions, facts.backend, facts.system);
    for (int i = 0; i < count; i++) {
        double gflops;
        SAC_TRY(sac_matmul_rate(&gflops, threads[i], settings->seconds, error));
        fprintf(out, "| f32 matmul 1024 | %d | %.1f GFLOP/s |\n", threads[i], gflops);
        SAC_TRY(json_array_append_new(rates, json_pack("{s:i, s:o}", "threads", threads[i],
                                                       "f32_gflops", sac_json_number(gflops))) < 0
                    ? SAC_ERROR_MEMORY
                    : SAC_OK);
        if (sac_interrupted())
            SAC_TRY(sac_error_set(error, SAC_ERROR_INTERRUPTED, i, "interrupted"));
    }
    SAC_TRY(sac_memory_rate(&memory, settings->seconds, error));
    fprintf(out, "| memory copy, read and write | 1 | %.1f GB/s |\n", memory);
    facts.load_after = sac_machine_load();
    const bool complete = !ferror(out);
    const int closed = fclose(out);
    out = NULL;
    if (!complete || closed != 0) SAC_TRY(SAC_ERROR_MEMORY);
    SAC_TRY_ALLOC(copy = sac_strdup(text));
    json = json_pack("{s:O, s:o, s:o, s:s}", "matmul", rates, "memory_gigabytes_s",
                     sac_json_number(memory), "machine", sac_machine_json(&facts), "version",
                     sac_version());
    SAC_TRY(hand_out(json, settings->json, copy, NULL, true, error));
fail:
    if (status == SAC_ERROR_MEMORY) sac_error_set(error, status, -1, "out of memory");
    if (out != NULL) fclose(out);
    free(text);
    sac_free(copy);
    json_decref(json);
    json_decref(rates);
    return status;
}

static int main_machine(int argc, char **argv) {
    machine_settings settings;
    sac_options_result result;
    sac_error error = {0};
    const int code = sac_tool_start(&machine_command, &settings, argc, argv, &result);
    if (code >= 0) return code;
    sac_interrupt_install();
    const sac_logger logger = sac_tool_logger(machine_command.name, settings.tool.quiet);
    const sac_status status = machine(&settings, &logger, &error);
    sac_options_close(&result);
    return finish(machine_command.name, status, &error, settings.tool.quiet);
}

// ---- train -------------------------------------------------------------------------------------

typedef struct train_settings {
    sac_tool_settings tool;
    int64_t threads, rounds, teacher_batch, student_batch;
    double seconds;
    int backbone;
    const char *arch, *json, *markdown;
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
    {.name = "json",
     .type = SAC_OPTION_TEXT,
     .offset = offsetof(train_settings, json),
     .argument = "FILE",
     .help = "write the results as JSON; - for standard output instead of the table"},
    {.name = "markdown",
     .type = SAC_OPTION_TEXT,
     .offset = offsetof(train_settings, markdown),
     .argument = "FILE",
     .help = "write the table as Markdown"},
    QUIET_OPTIONS(train_settings),
    {.name = NULL},
};

static const sac_command train_command = {
    .name = NAME " train",
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
    char *text = NULL;
    json_t *json = NULL;
    options.threads = (int)settings->threads;
    options.rounds = (int)settings->rounds;
    options.seconds = settings->seconds;
    options.backbone = settings->backbone;
    options.teacher_batch = settings->teacher_batch;
    options.student_batch = settings->student_batch;
    options.arch = settings->arch;
    options.stop = sac_interrupted;
    SAC_TRY(sac_training_measure(&result, &options, error));
    warn_load(&result.machine, logger);
    SAC_TRY_ALLOC(text = sac_training_to_markdown(&result));
    SAC_TRY_ALLOC(json = sac_training_to_json(&result));
    SAC_TRY(hand_out(json, settings->json, text, settings->markdown, true, error));
fail:
    if (status == SAC_ERROR_MEMORY) sac_error_set(error, status, -1, "out of memory");
    sac_free(text);
    json_decref(json);
    return status;
}

static int main_train(int argc, char **argv) {
    train_settings settings;
    sac_options_result result;
    sac_error error = {0};
    const int code = sac_tool_start(&train_command, &settings, argc, argv, &result);
    if (code >= 0) return code;
    sac_interrupt_install();
    const sac_logger logger = sac_tool_logger(train_command.name, settings.tool.quiet);
    const sac_status status = train(&settings, &logger, &error);
    sac_options_close(&result);
    return finish(train_command.name, status, &error, settings.tool.quiet);
}

// ---- the commands ------------------------------------------------------------------------------

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
} commands[] = {
    {"eval", main_eval}, {"run", main_run}, {"train", main_train}, {"machine", main_machine}};

static const sac_option no_options[] = {{.name = NULL}};
static const sac_command top_command = {
    .name = NAME,
    .usage = "COMMAND [options]",
    .description =
        "Accuracy and speed of students, teachers and plain score files.\n\n"
        "  eval     frame AUC of models, score files or teacher maps on a labelled data set\n"
        "  run      frames per second of a student, and of decoding, on this machine\n"
        "  train    samples per second of a teacher's and a student's training step\n"
        "  machine  this machine's matrix-multiplication and memory rates\n\n"
        "Each command has its own --help.",
    .options = no_options,
    .max_positional = -1,
};

int main(int argc, char **argv) {
    const char *name = argc > 1 ? argv[1] : NULL;
    if (name != NULL && name[0] != '-') {
        for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
            if (strcmp(name, commands[i].name) == 0) return commands[i].run(argc - 1, argv + 1);
        sac_error error = {0};
        const sac_status status = sac_error_set(&error, SAC_ERROR_ARGUMENT, -1,
                                                "unknown command '%.100s', expected eval, run, "
                                                "train or machine",
                                                name);
        return sac_tool_fail(NAME, status, &error);
    }
    sac_options_result result;
    char nothing = 0;
    const int code = sac_tool_start(&top_command, &nothing, argc, argv, &result);
    if (code >= 0) return code;
    sac_options_close(&result);
    sac_error error = {0};
    const sac_status status =
        sac_error_set(&error, SAC_ERROR_ARGUMENT, -1,
                      "no command given, expected eval, run, train or machine; see "
                      "--help");
    return sac_tool_fail(NAME, status, &error);
}
