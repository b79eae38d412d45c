// student-bench eval: accuracy of scores against a data set's labels and, where it has them,
// regions. Parses options, shows progress, writes tables; measuring is bench/.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/eval_report.h"
#include "bench/map_scores.h"
#include "bench/scores.h"
#include "core/check.h"
#include "core/file.h"
#include "core/memory.h"
#include "tools/bench_tool.h"
#include "tools/decode_options.h"

enum { MAX_STORES = 64, MAX_MEMBERS = 16, SAVINGS = 4 };
enum { SMOOTHING_ALL = 4 }; // after the values of sac_smoothing, as in the option's choices

typedef struct eval_settings {
    sac_tool_settings tool;
    const char *dataset, *clips;
    sac_text_list models, scores, maps;
    const char *column;
    int map_score, regions, precision;
    bool baseline, per_task, ensembles, savings, gate;
    decode_settings decode;
    bench_truth truth;
    int smoothing, one_class;
    double sigma;
    int64_t taps;
    bool video_minmax;
    bench_outputs outputs; // no plot; the file of JSON is called --output
} eval_settings;

static const sac_option eval_options[] = {
    {.name = "", .help = "What is evaluated (several may be given and stand in one table)"},
    {.name = "dataset",
     .letter = 'd',
     .type = SAC_OPTION_TEXT,
     .offset = offsetof(eval_settings, dataset),
     .argument = "DIR",
     .help = "data set with labelled test clips; layouts: teach --help"},
    {.name = "model",
     .letter = 'm',
     .type = SAC_OPTION_LIST,
     .offset = offsetof(eval_settings, models),
     .argument = "MODEL",
     .help = "student model, run over the clips"},
    {.name = "precision",
     .type = SAC_OPTION_CHOICE,
     .offset = offsetof(eval_settings, precision),
     .choices = "auto|f32|int8|bf16",
     .help = "of the models; auto: int8 where a model holds scales and the CPU gains by it; bf16 "
             "needs AMX, else f32"},
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
     .argument = "[NAME=]FOLDER",
     .help = "map store written by teach"},
    {.name = "per-task",
     .type = SAC_OPTION_BOOL,
     .offset = offsetof(eval_settings, per_task),
     .help = "add each task of each map store alone"},
    {.name = "ensembles",
     .type = SAC_OPTION_BOOL,
     .offset = offsetof(eval_settings, ensembles),
     .help =
         "add the means of the map stores: every combination of up to four, else pairs and all"},
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
    {.name = "", .help = "Decoding of videos for models"},
    DECODE_OPTIONS(eval_settings, decode, 0),
    {.name = "savings",
     .type = SAC_OPTION_BOOL,
     .offset = offsetof(eval_settings, savings),
     .help = "add each model with each thing that decoding can leave out, where the clips' codec "
             "allows it: what a saving costs in AUC"},
    {.name = "gate",
     .type = SAC_OPTION_BOOL,
     .offset = offsetof(eval_settings, gate),
     .help = "add each model with the gate, which takes results over while nothing moves: what it "
             "costs in AUC and how many it takes over"},
    {.name = "", .help = "Regions (RBDC, TBDC), measured where the clips have masks or tracks"},
    BENCH_TRUTH_OPTIONS(eval_settings),
    {.name = "regions",
     .type = SAC_OPTION_CHOICE,
     .offset = offsetof(eval_settings, regions),
     .choices = "objects|maps",
     .help = "regions of map stores: their objects, or the connected cells of their 16x16 maps"},
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
     .offset = offsetof(eval_settings, outputs.json),
     .argument = "FILE",
     .help = "write the results as JSON"},
    {.name = "markdown",
     .type = SAC_OPTION_TEXT,
     .offset = offsetof(eval_settings, outputs.markdown),
     .argument = "FILE",
     .help = "write the tables as Markdown"},
    {.name = "csv",
     .type = SAC_OPTION_TEXT,
     .offset = offsetof(eval_settings, outputs.csv),
     .argument = "FILE",
     .help = "write one line a scorer and smoothing as CSV"},
    SAC_TOOL_OPTIONS_UNSEEDED(eval_settings),
    {.name = NULL},
};

static const sac_command eval_command = {
    .name = BENCH_NAME " eval",
    .usage = "--dataset DIR (-m MODEL | --scores PATH | --maps FOLDER | --baseline)... [options]",
    .description =
        "Frame-level micro and macro ROC AUC against the labels of a data set, with the convention "
        "and\n"
        "what a constant scorer gets under it, and RBDC and TBDC of regions where ground truth "
        "says "
        "where\n"
        "things are. Tables go to standard output.\n\n"
        "  student-bench eval --dataset scene -m run/student.safetensors --baseline\n"
        "  student-bench eval --dataset videos -m run/student.safetensors --gate --savings\n"
        "  student-bench eval --dataset scene --maps maps/ssmtl --smoothing causal -o "
        "teacher.json\n"
        "  student-bench eval --dataset scene --maps a=maps/ssmtl --maps b=maps/motion --per-task "
        "--ensembles",
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

// What an evaluation holds; `set_count` grows with each set that is complete.
typedef struct eval_work {
    const eval_settings *settings;
    const sac_logger *logger;
    sac_dataset *dataset;
    sac_clip_selection selection;
    sac_region_truth truth;
    sac_map_source *sources; // [settings->maps.count]
    sac_score_set *sets;
    int64_t set_count;
} eval_work;

static void close_work(eval_work *w) {
    for (int64_t i = 0; i < w->set_count; i++) sac_score_set_close(&w->sets[i]);
    for (int64_t i = 0; w->sources != NULL && i < w->settings->maps.count; i++)
        sac_map_source_close(&w->sources[i]);
    sac_free(w->sets);
    sac_free(w->sources);
    sac_region_truth_close(&w->truth);
    sac_clip_selection_close(&w->selection);
    sac_dataset_close(&w->dataset);
}

static sac_map_request request_of(const eval_work *w) {
    return (sac_map_request){.pooled = w->settings->map_score == 1,
                             .regions = w->truth.clips == NULL      ? SAC_REGIONS_NONE
                                        : w->settings->regions == 1 ? SAC_REGIONS_MAP
                                                                    : SAC_REGIONS_OBJECTS};
}

static int task_count(const sac_map_source *source) {
    return source->objects != NULL ? sac_object_table_tasks(source->objects)->tasks : 0;
}

// Combinations of the stores as bits: every one of two or more; of many stores pairs and all.
static bool is_ensemble(uint64_t members, int64_t stores) {
    int size = 0;
    for (uint64_t m = members; m != 0; m &= m - 1) size++;
    return size >= 2 && (stores <= 4 || size == 2 || size == stores);
}

static sac_status collect_ensemble(eval_work *w, uint64_t members, const sac_map_request *request,
                                   sac_error *error) {
    const sac_map_source *chosen[MAX_MEMBERS];
    int count = 0;
    for (int i = 0; i < w->settings->maps.count; i++)
        if (members >> i & 1) chosen[count++] = &w->sources[i];
    const sac_status status = sac_score_set_ensemble(&w->sets[w->set_count], chosen, count, request,
                                                     &w->selection, error);
    if (status >= 0) w->set_count++;
    return status;
}

// The map stores, each followed by its tasks, then their combinations.
static sac_status collect_maps(eval_work *w, sac_error *error) {
    sac_status status = SAC_OK;
    const eval_settings *settings = w->settings;
    const sac_map_request request = request_of(w);
    const int64_t stores = settings->maps.count;
    for (int64_t i = 0; i < stores; i++) {
        const sac_map_source *source = &w->sources[i];
        SAC_TRY(sac_score_set_maps(&w->sets[w->set_count], source, &request, &w->selection, error));
        w->set_count++;
        // A teacher of one task is that task.
        for (int k = 0; settings->per_task && task_count(source) > 1 && k < task_count(source);
             k++) {
            if (sac_interrupted())
                return sac_error_set(error, SAC_ERROR_INTERRUPTED, k, "interrupted");
            SAC_TRY(sac_score_set_task(&w->sets[w->set_count], source, k, &request, &w->selection,
                                       error));
            w->set_count++;
        }
    }
    if (!settings->ensembles) return SAC_OK;
    for (uint64_t members = 1; members >> stores == 0; members++)
        if (is_ensemble(members, stores)) SAC_TRY(collect_ensemble(w, members, &request, error));
fail:
    return status;
}

// Pictures have no loop filter and no frames that others refer to.
static bool only_pictures(const sac_clip_selection *selection) {
    for (int64_t i = 0; i < selection->count; i++)
        if (!sac_is_folder(selection->clips[i]->source)) return false;
    return true;
}

// A model over the clips as asked for, then with the gate, then with one saving after the other.
static sac_status collect_model(eval_work *w, const char *model, bench_display *shown,
                                sac_error *error) {
    static const decode_settings savings[SAVINGS] = {{.skip_loop_filter = SAC_VIDEO_SKIP_NONREF},
                                                     {.skip_loop_filter = SAC_VIDEO_SKIP_ALL},
                                                     {.skip_frames = SAC_VIDEO_SKIP_NONREF},
                                                     {.lowres = 1}};
    sac_status status = SAC_OK;
    const eval_settings *settings = w->settings;
    const sac_score_progress progress = {.report = bench_show, .user = shown};
    enum { PLAIN, GATE, FIRST_SAVING };
    for (int i = PLAIN; i < FIRST_SAVING + SAVINGS; i++) {
        if ((i == GATE && !settings->gate) || (i >= FIRST_SAVING && !settings->savings)) continue;
        if (i >= FIRST_SAVING && savings[i - FIRST_SAVING].lowres == 0 &&
            only_pictures(&w->selection))
            continue;
        decode_settings decode = i < FIRST_SAVING ? settings->decode : savings[i - FIRST_SAVING];
        decode.threads = settings->decode.threads;
        sac_video_options video = sac_video_default_options();
        decode_options_apply(&video, &decode);
        const sac_model_scoring how = {.precision = (sac_precision)settings->precision,
                                       .threads = (int)settings->tool.threads,
                                       .regions = w->truth.clips != NULL,
                                       .gate = i == GATE,
                                       .decode = &video};
        status = sac_score_set_model(&w->sets[w->set_count], model, &how, &w->selection, w->logger,
                                     &progress, error);
        sac_progress_close(&shown->progress);
        if (i >= FIRST_SAVING && status == SAC_ERROR_UNSUPPORTED) {
            bench_warn(w->logger, error->message);
            *error = (sac_error){0};
            continue;
        }
        SAC_TRY(status);
        w->set_count++;
    }
    status = SAC_OK;
fail:
    return status;
}

// Score sets in the order models, maps, scores, baseline.
static sac_status collect(eval_work *w, sac_error *error) {
    sac_status status = SAC_OK;
    const eval_settings *settings = w->settings;
    bench_display shown = {.settings = &settings->tool, .unit = "frames"};
    const sac_score_progress progress = {.report = bench_show, .user = &shown};
    for (int64_t i = 0; i < settings->models.count; i++) {
        shown.label = "student";
        SAC_TRY(collect_model(w, settings->models.items[i], &shown, error));
    }
    SAC_TRY(collect_maps(w, error));
    for (int64_t i = 0; i < settings->scores.count; i++) {
        SAC_TRY(sac_score_set_read(&w->sets[w->set_count], settings->scores.items[i],
                                   settings->column, &w->selection, error));
        w->set_count++;
    }
    if (settings->baseline) {
        shown.label = "baseline";
        SAC_TRY(sac_score_set_baseline(&w->sets[w->set_count], &w->sets[w->set_count + 1],
                                       &w->selection, &progress, error));
        w->set_count += 2;
    }
fail:
    sac_progress_close(&shown.progress);
    return status;
}

// Opens the map stores and makes room for all sets.
static sac_status open_sources(eval_work *w, sac_error *error) {
    sac_status status = SAC_OK;
    const eval_settings *settings = w->settings;
    const int64_t stores = settings->maps.count;
    int64_t room = settings->models.count * (2 + (settings->savings ? SAVINGS : 0)) +
                   settings->scores.count + stores + 2;
    if (stores > MAX_STORES)
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1, "at most %d map stores at once",
                             MAX_STORES);
    if (settings->ensembles && stores > MAX_MEMBERS)
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1, "--ensembles of at most %d map stores",
                             MAX_MEMBERS);
    if (settings->ensembles && stores < 2)
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "--ensembles needs at least two --maps FOLDER");
    SAC_TRY_ALLOC(w->sources = sac_calloc(stores, sizeof *w->sources));
    for (int64_t i = 0; i < stores; i++) {
        SAC_TRY(sac_map_source_open(&w->sources[i], settings->maps.items[i], w->dataset, w->logger,
                                    error));
        room += task_count(&w->sources[i]);
    }
    if (settings->ensembles) room += stores * (stores - 1) / 2 + stores + 2;
    SAC_TRY_ALLOC(w->sets = sac_calloc(room, sizeof *w->sets));
fail:
    return status;
}

static json_t *eval_json(const sac_eval_report *report, const sac_machine *machine,
                         const eval_settings *settings) {
    json_t *json = sac_eval_report_json(report);
    if (json == NULL || json_object_set_new(json, "machine", sac_machine_json(machine)) < 0 ||
        !bench_sign(json, &eval_command, settings)) {
        json_decref(json);
        return NULL;
    }
    return json;
}

// The scores and models that are evaluated must outlive their evaluation.
static sac_status keep_inputs(const eval_settings *settings, sac_error *error) {
    sac_status status = SAC_OK;
    const sac_text_list *const lists[] = {&settings->models, &settings->scores};
    for (size_t l = 0; l < sizeof lists / sizeof lists[0]; l++)
        for (int64_t i = 0; i < lists[l]->count; i++)
            SAC_TRY(bench_outputs_keep(&settings->outputs, lists[l]->items[i], error));
fail:
    return status;
}

static sac_status eval(const eval_settings *settings, const sac_logger *logger, sac_error *error) {
    eval_work w = {.settings = settings, .logger = logger};
    bench_outputs outputs = settings->outputs;
    outputs.print_json = settings->tool.json;
    sac_eval_report report = {0};
    sac_eval_options conventions[4];
    json_t *json = NULL;
    char *tables = NULL, *markdown = NULL, *csv = NULL;
    sac_machine machine;
    int convention_count = 0;
    sac_status status;
    if (settings->dataset == NULL)
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1, "--dataset DIR is missing");
    if (settings->models.count + settings->maps.count + settings->scores.count == 0 &&
        !settings->baseline)
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "nothing to evaluate: give -m MODEL, --scores PATH, --maps FOLDER or "
                             "--baseline");
    if ((settings->savings || settings->gate) && settings->models.count == 0)
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1, "%s needs -m MODEL",
                             settings->savings ? "--savings" : "--gate");
    if (settings->per_task && settings->maps.count == 0)
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1, "--per-task needs --maps FOLDER");
    SAC_TRY(bench_outputs_check(&outputs, error));
    SAC_TRY(keep_inputs(settings, error));
    SAC_TRY(eval_conventions(conventions, &convention_count, settings, error));
    sac_machine_describe(&machine);
    SAC_TRY(sac_dataset_open(&w.dataset, settings->dataset, logger, error));
    SAC_TRY(sac_clip_select(&w.selection, w.dataset, settings->clips, error));
    SAC_TRY(open_sources(&w, error));
    // Only models and map stores have regions.
    const sac_truth_source source = bench_truth_source(&settings->truth);
    if (settings->models.count + settings->maps.count > 0 || source.tracks != NULL)
        SAC_TRY(sac_region_truth_open(&w.truth, &source, &w.selection, logger, error));
    SAC_TRY(collect(&w, error));
    SAC_TRY(sac_eval_report_make(&report, w.dataset, &w.selection, &w.truth, w.sets, w.set_count,
                                 conventions, convention_count, error));
    machine.load_after = sac_machine_load();
    json = eval_json(&report, &machine, settings);
    tables = sac_eval_report_markdown(&report);
    markdown = bench_headed(&machine, tables);
    csv = sac_eval_report_csv(&report);
    SAC_TRY(bench_outputs_write(&outputs, json, markdown, csv, error));
fail:
    if (status == SAC_ERROR_MEMORY) sac_error_set(error, status, -1, "out of memory");
    json_decref(json);
    sac_free(tables);
    sac_free(markdown);
    sac_free(csv);
    sac_eval_report_close(&report);
    close_work(&w);
    return status;
}

int bench_main_eval(int argc, char **argv) {
    eval_settings settings = {0};
    sac_options_result result;
    sac_error error = {0};
    const int code = sac_tool_start(&eval_command, &settings, argc, argv, &result);
    if (code >= 0) return code;
    sac_interrupt_install();
    const sac_logger logger = sac_tool_logger(eval_command.name, settings.tool.quiet);
    const sac_status status = eval(&settings, &logger, &error);
    sac_options_close(&result);
    return bench_finish(eval_command.name, status, &error, settings.tool.quiet);
}
