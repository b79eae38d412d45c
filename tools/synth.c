// synth: writes the synthetic data set, and on request says how far two frame-difference scorers
// get on it. Parses options, shows progress, prints results; the scene is video/synth, the scorers
// are bench/baseline.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/baseline.h"
#include "core/check.h"
#include "core/file.h"
#include "core/json.h"
#include "core/memory.h"
#include "core/tool.h"
#include "saccade/metrics.h"
#include "video/dataset.h"
#include "video/synth.h"

#define NAME "synth"

typedef struct settings {
    sac_tool_settings tool;
    const char *output;
    int64_t width, height, train_clips, test_clips, frames, walkers;
    double frame_rate;
    bool baseline;
} settings;

// clang-format off
static const sac_option options[] = {
    {.name = "", .help = "Data set"},
    {.name = "output", .letter = 'o', .type = SAC_OPTION_TEXT, .offset = offsetof(settings, output),
     .argument = "DIR",
     .help = "folder to write; new, empty, or holding a set of the same settings (required)"},
    {.name = "width", .type = SAC_OPTION_INT, .offset = offsetof(settings, width), .number = 240,
     .min = 32, .max = 4096, .argument = "PX", .help = "frame width"},
    {.name = "height", .type = SAC_OPTION_INT, .offset = offsetof(settings, height), .number = 160,
     .min = 32, .max = 4096, .argument = "PX", .help = "frame height"},
    {.name = "train-clips", .type = SAC_OPTION_INT, .offset = offsetof(settings, train_clips),
     .number = 6, .min = 0, .max = 1000, .argument = "N", .help = "normal training clips"},
    {.name = "test-clips", .type = SAC_OPTION_INT, .offset = offsetof(settings, test_clips),
     .number = 7, .min = 0, .max = 1000, .argument = "N",
     .help = "test clips, one anomaly each: cyclist, skater, runner, cart, wrong-way walker, "
             "thrown object, loiterer, and again from the beginning"},
    {.name = "frames", .type = SAC_OPTION_INT, .offset = offsetof(settings, frames), .number = 120,
     .min = 1, .max = 100000, .argument = "N", .help = "frames per clip"},
    {.name = "frame-rate", .type = SAC_OPTION_REAL, .offset = offsetof(settings, frame_rate),
     .number = 10, .min = 1, .max = 240, .argument = "FPS",
     .help = "frames per second; people walk at the same speed in m/s whatever it is"},
    {.name = "walkers", .type = SAC_OPTION_INT, .offset = offsetof(settings, walkers), .number = 14,
     .min = 0, .max = 200, .argument = "N", .help = "mean number of people in view"},
    {.name = "", .help = "Difficulty"},
    {.name = "baseline", .type = SAC_OPTION_BOOL, .offset = offsetof(settings, baseline),
     .help = "also print the frame AUC of two trivial scorers on the set written: mean absolute "
             "frame difference, and its largest mean over 16x16 blocks"},
    SAC_TOOL_OPTIONS(settings),
    {0},
};
// clang-format on

static const sac_command command = {
    .name = NAME,
    .usage = "-o DIR [options]",
    .description =
        "Writes a small surveillance data set with exact ground truth: a fixed camera over a "
        "walkway,\n"
        "articulated walkers, shadows, drifting light and sensor noise. Training clips are normal; "
        "each\n"
        "test clip holds one kind of anomaly, with pixel masks (TestNNN_gt), frame ranges "
        "(Test/synth.m)\n"
        "and synth.json, which says how the set was made. Equal settings give equal bytes.\n"
        "\n"
        "  synth -o scene\n"
        "  synth -o big --width 640 --height 360 --frames 400 --frame-rate 25 --seed 7 "
        "--baseline\n",
    .options = options,
    .min_positional = 0,
    .max_positional = 0,
};

static int report(void *user, int64_t done, int64_t total) {
    (void)total;
    sac_progress_update(user, done, NULL);
    return sac_interrupted() ? 1 : 0;
}

static int poll_interrupt(void *user) {
    (void)user;
    return sac_interrupted() ? 1 : 0;
}

typedef struct difficulty {
    double mean_auc, block_auc, abnormal; // abnormal: share of the test frames
    int64_t frames;
} difficulty;

// Opens what was written like any other data set, so that the labels come from the files.
static sac_status measure(difficulty *result, const char *folder, const sac_logger *logger,
                          sac_error *error) {
    sac_status status = SAC_OK;
    sac_dataset *dataset = NULL;
    float *mean = NULL, *block = NULL;
    uint8_t *labels = NULL;
    int64_t total = 0, at = 0, abnormal = 0;
    char *spec = sac_format("ucsd:%s", folder);
    SAC_TRY_ALLOC(spec);
    SAC_TRY(sac_dataset_open(&dataset, spec, logger, error));
    for (int64_t i = dataset->train_count; i < dataset->count; i++)
        total += dataset->clips[i].frames;
    mean = sac_calloc(total, sizeof *mean);
    block = sac_calloc(total, sizeof *block);
    labels = sac_calloc(total, sizeof *labels);
    SAC_TRY_ALLOC(mean);
    SAC_TRY_ALLOC(block);
    SAC_TRY_ALLOC(labels);
    for (int64_t i = dataset->train_count; i < dataset->count; i++) {
        const sac_clip *clip = &dataset->clips[i];
        SAC_TRY(sac_baseline_clip(mean + at, block + at, clip, poll_interrupt, NULL, error));
        memcpy(labels + at, clip->labels, (size_t)clip->frames);
        at += clip->frames;
    }
    for (int64_t i = 0; i < total; i++) abnormal += labels[i];
    result->frames = total;
    result->abnormal = total > 0 ? (double)abnormal / (double)total : 0;
    SAC_TRY(sac_auc(&result->mean_auc, mean, labels, total, error));
    SAC_TRY(sac_auc(&result->block_auc, block, labels, total, error));
fail:
    sac_free(mean);
    sac_free(block);
    sac_free(labels);
    sac_free(spec);
    sac_dataset_close(&dataset);
    return status;
}

static void print_auc(const char *scorer, double auc) {
    if (isnan(auc))
        printf("  %-42s undefined: only one class\n", scorer);
    else
        printf("  %-42s %.3f\n", scorer, auc);
}

static void print_text(const settings *s, const json_t *made, const difficulty *d) {
    printf("%s: %lld training and %lld test clips of %lld frames, %lldx%lld, seed %lld\n",
           s->output, (long long)s->train_clips, (long long)s->test_clips, (long long)s->frames,
           (long long)s->width, (long long)s->height, (long long)s->tool.seed);
    const json_t *tests = json_object_get(made, "test"), *test;
    size_t i;
    json_array_foreach(tests, i, test) {
        if (i == 0) printf("\n%-10s %-18s %s\n", "clip", "anomaly", "abnormal frames");
        printf("%-10s %-18s %lld\n", json_string_value(json_object_get(test, "name")),
               json_string_value(json_object_get(test, "anomaly")),
               (long long)json_integer_value(json_object_get(test, "abnormal_frames")));
    }
    if (d == NULL) return;
    printf("\nFrame AUC, micro, no smoothing (%lld test frames, %.1f %% abnormal):\n",
           (long long)d->frames, 100 * d->abnormal);
    print_auc("mean absolute frame difference", d->mean_auc);
    print_auc("largest 16x16 block of it", d->block_auc);
    print_auc("a constant", d->abnormal > 0 && d->abnormal < 1 ? 0.5 : NAN);
}

static sac_status print_json(const settings *s, json_t *made, const difficulty *d,
                             sac_error *error) {
    int failed = json_object_set_new(made, "folder", sac_json_text(s->output));
    if (d != NULL) {
        json_t *baseline = json_object();
        failed |= json_object_set_new(baseline, "test_frames", json_integer((json_int_t)d->frames));
        failed |= json_object_set_new(baseline, "abnormal_share", sac_json_number(d->abnormal));
        failed |= json_object_set_new(baseline, "micro_auc_mean", sac_json_number(d->mean_auc));
        failed |= json_object_set_new(baseline, "micro_auc_block", sac_json_number(d->block_auc));
        failed |= json_object_set_new(made, "baseline", baseline);
    }
    char *text = failed != 0 ? NULL : json_dumps(made, JSON_INDENT(2));
    if (text == NULL) return sac_error_set(error, SAC_ERROR_MEMORY, -1, "no memory for the JSON");
    printf("%s\n", text);
    free(text);
    return SAC_OK;
}

static sac_status run(const settings *s, sac_error *error) {
    sac_status status = SAC_OK;
    sac_progress *progress = NULL;
    json_t *made = NULL;
    char *provenance = NULL;
    difficulty measured;
    const sac_logger logger = sac_tool_logger(NAME, s->tool.quiet);
    sac_synth_options o = sac_synth_default_options();
    o.width = (int)s->width;
    o.height = (int)s->height;
    o.train_clips = s->train_clips;
    o.test_clips = s->test_clips;
    o.frames_per_clip = s->frames;
    o.walkers = (int)s->walkers;
    o.frame_rate = s->frame_rate;
    o.seed = (uint64_t)s->tool.seed;
    if (s->output == NULL)
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "-o/--output: missing; give the folder to write");
    if (s->baseline && s->test_clips == 0)
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "--baseline: needs --test-clips of at least 1");
    SAC_TRY(sac_progress_open(&progress, NAME, "frames", (o.train_clips + o.test_clips) * s->frames,
                              &s->tool));
    SAC_TRY(sac_synth_write(s->output, &o, report, progress, error));
    sac_progress_close(&progress);
    if (s->baseline) SAC_TRY(measure(&measured, s->output, &logger, error));
    provenance = sac_path_join(s->output, "synth.json");
    SAC_TRY_ALLOC(provenance);
    SAC_TRY(sac_json_read(&made, provenance, error));
    const difficulty *d = s->baseline ? &measured : NULL;
    if (s->tool.json)
        SAC_TRY(print_json(s, made, d, error));
    else
        print_text(s, made, d);
    SAC_TRY(sac_tool_flush(error));
fail:
    sac_progress_close(&progress);
    sac_free(provenance);
    json_decref(made);
    return status;
}

int main(int argc, char **argv) {
    settings s;
    sac_options_result parsed;
    sac_error error = {0};
    int code = sac_tool_start(&command, &s, argc, argv, &parsed);
    if (code >= 0) return code;
    sac_interrupt_install();
    sac_status status = run(&s, &error);
    sac_options_close(&parsed);
    if (status < 0) return sac_tool_fail(NAME, status, &error);
    sac_tool_finish(NAME, s.tool.quiet);
    return SAC_EXIT_OK;
}
