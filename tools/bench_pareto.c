// student-bench pareto: accuracy against speed over several students.
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "bench/pareto.h"
#include "bench/plot.h"
#include "core/check.h"
#include "core/memory.h"
#include "tools/bench_tool.h"

typedef struct pareto_settings {
    sac_tool_settings tool;
    const char *dataset, *clips, *format;
    sac_text_list models, plots;
    int64_t threads, rounds, decode_threads;
    double seconds;
    int smoothing, published;
    bool file;
    bench_truth truth;
    bench_outputs outputs; // no plot
} pareto_settings;

enum { PUBLISHED_AUTO, PUBLISHED_ALWAYS, PUBLISHED_NEVER };

#define AT(member) .offset = offsetof(pareto_settings, member)
// clang-format off
static const sac_option pareto_options[] = {
    {.name = "", .help = "What is measured"},
    {.name = "dataset", .letter = 'd', .type = SAC_OPTION_TEXT, AT(dataset), .argument = "DIR",
     .help = "data set with labelled test clips"},
    {.name = "model", .letter = 'm', .type = SAC_OPTION_LIST, AT(models), .argument = "MODEL",
     .help = "student model; may be given several times"},
    {.name = "clips", .type = SAC_OPTION_TEXT, AT(clips), .argument = "A,B",
     .help = "only these test clips; default: all with labels"},
    {.name = "smoothing", .type = SAC_OPTION_CHOICE, AT(smoothing), .number = 2,
     .choices = "none|causal|light|paper", .help = "of the micro AUC that counts"},
    BENCH_TRUTH_OPTIONS(pareto_settings),
    {.name = "", .help = "Speed"},
    {.name = "threads", .letter = 't', .type = SAC_OPTION_INT, AT(threads), .min = 0, .max = 64,
     .argument = "N", .help = "threads of the measurements; 0: every core"},
    {.name = "rounds", .type = SAC_OPTION_INT, AT(rounds), .number = 5, .min = 1, .max = 100,
     .argument = "N", .help = "interleaved rounds; the median counts"},
    {.name = "seconds", .type = SAC_OPTION_REAL, AT(seconds), .number = 0.5, .min = 0.001,
     .max = 600, .argument = "S", .help = "length of one measurement"},
    {.name = "file", .type = SAC_OPTION_BOOL, AT(file), .number = 1,
     .help = "measure from file to score and decoding too"},
    {.name = "decode-threads", .type = SAC_OPTION_INT, AT(decode_threads), .number = 1, .min = 0,
     .max = 64, .argument = "N", .help = "threads of the video decoder; 0: its own choice"},
    {.name = "format", .type = SAC_OPTION_TEXT, AT(format), .argument = "NAME",
     .help = "FFmpeg input format of SOURCE"},
    {.name = "", .help = "Results"},
    {.name = "published", .type = SAC_OPTION_CHOICE, AT(published), .choices = "auto|always|never",
     .help = "show the published points of UCSD Ped2, marked as such; auto: when the data set is "
             "called so"},
    BENCH_FILE_OPTIONS(pareto_settings),
    {.name = "plot", .type = SAC_OPTION_LIST, AT(plots), .argument = "FILE",
     .help = "draw accuracy against speed; .svg or .png, may be given several times"},
    BENCH_QUIET_OPTIONS(pareto_settings),
    {.name = NULL},
};
// clang-format on

static const sac_command pareto_command = {
    .name = BENCH_NAME " pareto",
    .usage = "--dataset DIR -m MODEL ... [SOURCE] [options]",
    .description =
        "Accuracy against speed of several students, those that hold scales in f32 and in int8: "
        "micro AUC, RBDC and TBDC on the labelled test "
        "clips,\n"
        "frames per second of all of them in the same interleaved rounds (alone, and from file to "
        "score\n"
        "beside decoding alone), size; and the published points of UCSD Ped2 for orientation. "
        "SOURCE is the\n"
        "video of the speeds, by default the first test clip.\n\n"
        "  student-bench pareto -d UCSDped2 -m models/a.safetensors -m models/b.safetensors -t 2 "
        "\\\n"
        "      clip.mp4 --plot pareto.svg --plot pareto.png --json pareto.json",
    .options = pareto_options,
    .max_positional = 1,
};

typedef struct pareto_work {
    const pareto_settings *settings;
    const sac_logger *logger;
    sac_dataset *dataset;
    sac_clip_selection selection;
    sac_region_truth truth;
    sac_pareto pareto;
    sac_machine machine;
} pareto_work;

// "UCSDped2", "Ped2" ...
static bool is_ped2(const char *name) {
    for (; *name != '\0'; name++)
        if (tolower((unsigned char)name[0]) == 'p' && tolower((unsigned char)name[1]) == 'e' &&
            tolower((unsigned char)name[2]) == 'd' && name[3] == '2')
            return true;
    return false;
}

static sac_status assess(pareto_work *w, sac_error *error) {
    const pareto_settings *s = w->settings;
    bench_display shown = {.settings = &s->tool, .label = "scoring", .unit = "frames"};
    const sac_score_progress progress = {.report = bench_show, .user = &shown};
    const sac_truth_source source = bench_truth_source(&s->truth);
    sac_status status;
    SAC_TRY(sac_region_truth_open(&w->truth, &source, &w->selection, w->logger, error));
    for (int64_t i = 0; i < w->pareto.count; i++) {
        sac_pareto_point *p = &w->pareto.points[i];
        SAC_TRY(sac_accuracy_measure(&p->accuracy, p->path, p->precision, (int)s->threads,
                                     w->dataset, &w->selection, &w->truth, w->logger, &progress,
                                     error));
        sac_progress_close(&shown.progress);
    }
fail:
    sac_progress_close(&shown.progress);
    return status;
}

static sac_status time_models(pareto_work *w, const char *source, sac_error *error) {
    const pareto_settings *s = w->settings;
    bench_display shown = {.settings = &s->tool, .label = "speeds", .unit = "measurements"};
    const sac_model_speed_options options = {
        .source = {.path = source != NULL ? source : w->selection.clips[0]->source,
                   .format = s->format,
                   .decode_threads = (int)s->decode_threads},
        .threads = s->threads > 0          ? (int)s->threads
                   : w->machine.cores < 64 ? w->machine.cores
                                           : 64,
        .rounds = (int)s->rounds,
        .seconds = s->seconds,
        .file = s->file,
        .logger = *w->logger,
        .progress = bench_show,
        .user = &shown};
    const sac_status status = sac_pareto_speeds(&w->pareto, &options, error);
    sac_progress_close(&shown.progress);
    return status;
}

static sac_status hand_out(pareto_work *w, sac_error *error) {
    const pareto_settings *s = w->settings;
    const char *name = w->dataset->name;
    sac_figures figures = {0};
    char *table = NULL, *markdown = NULL, *csv = NULL;
    json_t *json = NULL;
    sac_status status;
    SAC_TRY(sac_pareto_figures(&figures, &w->pareto, error));
    SAC_TRY_ALLOC(json = sac_pareto_json(&w->pareto, name));
    if (json_object_set_new(json, "machine", sac_machine_json(&w->machine)) < 0 ||
        json_object_set_new(json, "figures", sac_figures_to_json(&figures)) < 0 ||
        !bench_sign(json, &pareto_command, s))
        SAC_TRY(SAC_ERROR_MEMORY);
    table = sac_pareto_markdown(&w->pareto, name);
    markdown = bench_headed(&w->machine, table);
    csv = sac_pareto_csv(&w->pareto);
    SAC_TRY(bench_outputs_write(&s->outputs, json, markdown, csv, error));
    for (int64_t i = 0; i < s->plots.count; i++)
        SAC_TRY(sac_pareto_plot(&w->pareto, name, s->plots.items[i], error));
fail:
    sac_figures_close(&figures);
    json_decref(json);
    sac_free(table);
    sac_free(markdown);
    sac_free(csv);
    return status;
}

static sac_status pareto(const pareto_settings *s, const char *source, const sac_logger *logger,
                         sac_error *error) {
    pareto_work w = {.settings = s, .logger = logger};
    sac_status status;
    if (s->dataset == NULL || s->models.count == 0)
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "--dataset DIR and -m MODEL are needed; see --help");
    if (s->models.count > SAC_PLOT_MOST / 4)
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1, "at most %d models at once",
                             SAC_PLOT_MOST / 4);
    SAC_TRY(bench_outputs_check(&s->outputs, error));
    for (int64_t i = 0; i < s->plots.count; i++) {
        const bench_outputs picture = {.plot = s->plots.items[i]};
        SAC_TRY(bench_outputs_check(&picture, error));
    }
    for (int64_t i = 0; i < s->models.count; i++)
        SAC_TRY(bench_outputs_keep(&s->outputs, s->models.items[i], error));
    SAC_TRY(bench_outputs_keep(&s->outputs, source, error));
    SAC_TRY(sac_pareto_open(&w.pareto, s->models.items, s->models.count, error));
    SAC_TRY(sac_dataset_open(&w.dataset, s->dataset, logger, error));
    SAC_TRY(sac_clip_select(&w.selection, w.dataset, s->clips, error));
    w.pareto.smoothing = s->smoothing;
    w.pareto.published = s->published == PUBLISHED_ALWAYS ||
                         (s->published == PUBLISHED_AUTO && is_ped2(w.dataset->name));
    SAC_TRY(assess(&w, error));
    sac_machine_describe(&w.machine);
    bench_warn_load(&w.machine, logger);
    SAC_TRY(time_models(&w, source, error));
    w.machine.load_after = sac_machine_load();
    sac_pareto_front(&w.pareto);
    SAC_TRY(hand_out(&w, error));
fail:
    if (status == SAC_ERROR_MEMORY) sac_error_set(error, status, -1, "out of memory");
    sac_pareto_close(&w.pareto);
    sac_region_truth_close(&w.truth);
    sac_clip_selection_close(&w.selection);
    sac_dataset_close(&w.dataset);
    return status;
}

int bench_main_pareto(int argc, char **argv) {
    pareto_settings settings = {0}; // there is no single plot
    sac_options_result result;
    sac_error error = {0};
    const int code = sac_tool_start(&pareto_command, &settings, argc, argv, &result);
    if (code >= 0) return code;
    sac_interrupt_install();
    const sac_logger logger = sac_tool_logger(pareto_command.name, settings.tool.quiet);
    const char *source = result.positional_count > 0 ? result.positional[0] : NULL;
    const sac_status status = pareto(&settings, source, &logger, &error);
    sac_options_close(&result);
    return bench_finish(pareto_command.name, status, &error, settings.tool.quiet);
}
