// student-bench report: an HTML page about a teacher's map store, and overlay videos of its test
// clips.
#include <stdio.h>
#include <string.h>

#include "core/check.h"
#include "core/file.h"
#include "core/memory.h"
#include "core/spill.h"
#include "teachers/clip_overlay.h"
#include "teachers/objects.h"
#include "teachers/report.h"
#include "tools/bench_tool.h"

typedef struct report_settings {
    sac_tool_settings tool;
    const char *dataset, *maps, *output, *overlays;
    bench_truth truth;
    int64_t pictures;
    double frame_rate;
} report_settings;

static const sac_option report_options[] = {
    {.name = "", .help = "What is shown"},
    {.name = "dataset",
     .letter = 'd',
     .type = SAC_OPTION_TEXT,
     .offset = offsetof(report_settings, dataset),
     .argument = "DIR",
     .help = "data set the maps were made of; layouts: teach --help"},
    {.name = "maps",
     .type = SAC_OPTION_TEXT,
     .offset = offsetof(report_settings, maps),
     .argument = "FOLDER",
     .help = "map store written by teach"},
    {.name = "pictures",
     .type = SAC_OPTION_INT,
     .offset = offsetof(report_settings, pictures),
     .number = 12,
     .min = 1,
     .max = 60,
     .argument = "N",
     .help = "pictures of each kind"},
    BENCH_TRUTH_OPTIONS(report_settings),
    {.name = "", .help = "Results"},
    {.name = "output",
     .letter = 'o',
     .type = SAC_OPTION_TEXT,
     .offset = offsetof(report_settings, output),
     .argument = "FILE",
     .help = "the page; - for standard output"},
    {.name = "overlays",
     .type = SAC_OPTION_TEXT,
     .offset = offsetof(report_settings, overlays),
     .argument = "DIR",
     .help = "also videos of the test clips: boxes coloured by score, a bar for each task"},
    {.name = "frame-rate",
     .type = SAC_OPTION_REAL,
     .offset = offsetof(report_settings, frame_rate),
     .number = 10,
     .min = 0.1,
     .max = 1000,
     .argument = "FPS",
     .help = "of the videos"},
    BENCH_QUIET_OPTIONS(report_settings),
    {.name = NULL},
};

static const sac_command report_command = {
    .name = BENCH_NAME " report",
    .usage = "--dataset DIR --maps FOLDER [-o FILE.html] [--overlays DIR] [options]",
    .description =
        "One HTML page about a teacher: score curves with the abnormal frames, the normal objects "
        "with the\n"
        "highest scores, anomalies that were missed, the highest and lowest objects of every task, "
        "tracks,\n"
        "settings.\n\n"
        "  student-bench report --dataset UCSDped2 --maps runs/yolo -o yolo.html --overlays "
        "yolo-videos",
    .options = report_options,
};

typedef struct report_work {
    const report_settings *settings;
    sac_dataset *dataset;
    sac_map_store *store;
    bench_display shown;
} report_work;

static void on_clip(void *user, int64_t done, int64_t total) {
    (void)bench_show(&((report_work *)user)->shown, done, total);
}

static sac_status write_page(report_work *w, sac_error *error) {
    const report_settings *s = w->settings;
    const sac_teacher_report page = {.store = w->store,
                                     .dataset = w->dataset,
                                     .truth = bench_truth_source(&s->truth),
                                     .pictures = (int)s->pictures,
                                     .stop = sac_interrupted,
                                     .progress = on_clip,
                                     .user = w};
    w->shown = (bench_display){.settings = &s->tool, .label = "report", .unit = "clips"};
    const sac_status status = sac_teacher_report_save(s->output, &page, error);
    sac_progress_close(&w->shown.progress);
    return status;
}

static sac_status write_overlay(const report_work *w, const sac_object_table *table,
                                const sac_clip *clip, sac_error *error) {
    sac_status status = SAC_OK;
    sac_objects objects = {0};
    sac_maps maps = {0};
    uint8_t *pixels = NULL;
    int width = 0, height = 0;
    char *path = sac_format("%s/%s.mp4", w->settings->overlays, clip->name);
    SAC_TRY_ALLOC(path);
    SAC_TRY(sac_object_table_get(table, &objects, clip->name, clip->frames, error));
    SAC_TRY(sac_map_store_get(w->store, &maps, clip->name, clip->frames, error));
    SAC_TRY(sac_clip_load(&pixels, &width, &height, 1, clip, error));
    const sac_clip_overlay overlay = {.clip = clip,
                                      .pixels = pixels,
                                      .width = width,
                                      .height = height,
                                      .detections = &objects.detections,
                                      .scores = objects.scores,
                                      .tasks = objects.tasks,
                                      .names = sac_object_table_tasks(table),
                                      .maps = &maps,
                                      .frame_rate = w->settings->frame_rate,
                                      .stop = sac_interrupted};
    SAC_TRY(sac_clip_overlay_write(path, &overlay, error));
fail:
    sac_free(path);
    sac_spill_free(pixels);
    sac_maps_close(&maps);
    sac_objects_close(&objects);
    return status;
}

static sac_status write_overlays(report_work *w, sac_error *error) {
    sac_status status = SAC_OK;
    sac_object_table *table = NULL;
    const sac_dataset *dataset = w->dataset;
    w->shown = (bench_display){.settings = &w->settings->tool, .label = "videos", .unit = "clips"};
    SAC_TRY(sac_folder_create(w->settings->overlays, error));
    SAC_TRY(sac_object_table_open(&table, w->store, error));
    for (int64_t i = dataset->train_count; i < dataset->count; i++) {
        (void)bench_show(&w->shown, i - dataset->train_count,
                         dataset->count - dataset->train_count);
        if (sac_map_store_has(w->store, dataset->clips[i].name))
            SAC_TRY(write_overlay(w, table, &dataset->clips[i], error));
    }
fail:
    sac_progress_close(&w->shown.progress);
    sac_object_table_close(&table);
    return status;
}

static sac_status report(const report_settings *settings, const sac_logger *logger,
                         sac_error *error) {
    sac_status status = SAC_OK;
    report_work w = {.settings = settings};
    if (settings->dataset == NULL || settings->maps == NULL)
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1, "%s is missing",
                             settings->dataset == NULL ? "--dataset DIR" : "--maps FOLDER");
    if (settings->output == NULL && settings->overlays == NULL)
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "nothing to write: give -o FILE.html or --overlays DIR");
    SAC_TRY(sac_file_check(settings->output, error));
    SAC_TRY(sac_map_store_open(&w.store, settings->maps, error));
    SAC_TRY(sac_dataset_open(&w.dataset, settings->dataset, logger, error));
    if (settings->output != NULL) SAC_TRY(write_page(&w, error));
    if (settings->overlays != NULL) SAC_TRY(write_overlays(&w, error));
fail:
    if (status == SAC_ERROR_MEMORY) sac_error_set(error, status, -1, "out of memory");
    sac_map_store_close(&w.store);
    sac_dataset_close(&w.dataset);
    return status;
}

int bench_main_report(int argc, char **argv) {
    report_settings settings;
    sac_options_result result;
    sac_error error = {0};
    const int code = sac_tool_start(&report_command, &settings, argc, argv, &result);
    if (code >= 0) return code;
    sac_interrupt_install();
    const sac_logger logger = sac_tool_logger(report_command.name, settings.tool.quiet);
    const sac_status status = report(&settings, &logger, &error);
    sac_options_close(&result);
    return bench_finish(report_command.name, status, &error, settings.tool.quiet);
}
