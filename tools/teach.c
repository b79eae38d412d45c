// teach: detects objects, trains a teacher on the training clips of a data set (or takes a trained
// one), scores every object of every clip and writes the anomaly maps as a map store. This file
// shows progress and prints the table; the run itself is teachers/teaching.h.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/json.h"
#include "eval/frame_eval.h"
#include "nn/infer.h"
#include "teach_options.h"
#include "teach_presets.h"
#include "teachers/report.h"

typedef struct screen {
    const teach_settings *set;
    sac_logger logger;
    sac_progress *progress;
    char stage[32];
    int64_t
        // done before this run: a resumed one shows the rate and the rest of what is left to do
        base;
} screen;

static void on_say(void *user, sac_log_level level, const char *message) {
    screen *s = user;
    s->logger.write(s->logger.user, level, message);
}

static void on_progress(void *user, const char *stage, const char *unit, int64_t done,
                        int64_t total, const char *note) {
    screen *s = user;
    if (stage == NULL || strcmp(stage, s->stage) != 0) {
        sac_progress_close(&s->progress);
        s->stage[0] = '\0';
        if (stage == NULL) return;
        s->base = done;
        if (sac_progress_open(&s->progress, stage, unit, total - done, &s->set->tool) < 0) return;
        (void)snprintf(s->stage, sizeof s->stage, "%s", stage);
    }
    sac_progress_update(s->progress, done - s->base, note);
}

static void print_percent(const json_t *row, const char *key) {
    const json_t *value = json_object_get(row, key);
    if (json_is_number(value)) {
        printf(" | %6.2f", 100 * json_number_value(value));
    } else {
        printf(" |      -");
    }
}

// The row of `table` with these scores and smoothing.
static const json_t *find_row(const json_t *table, const char *scores, int kind) {
    for (size_t i = 0; i < json_array_size(table); i++) {
        const json_t *row = json_array_get(table, i);
        if (strcmp(json_string_value(json_object_get(row, "scores")), scores) == 0 &&
            strcmp(json_string_value(json_object_get(row, "smoothing")),
                   sac_smoothing_name((sac_smoothing)kind)) == 0)
            return row;
    }
    return NULL;
}

static void print_scorer(const json_t *table, const char *scores, const char *title,
                         const char *micro, const char *macro) {
    printf("| %-20s", title);
    for (int kind = SAC_SMOOTHING_NONE; kind <= SAC_SMOOTHING_PAPER; kind++)
        print_percent(find_row(table, scores, kind), micro);
    for (int kind = SAC_SMOOTHING_NONE; kind <= SAC_SMOOTHING_PAPER; kind++)
        print_percent(find_row(table, scores, kind), macro);
    printf(" |\n");
}

static void print_table(const json_t *table, int64_t filter) {
    printf("Frame AUC of the teacher in %%, for information: never used for selection.\n"
           "No per-video normalisation; clips of one class are left out of macro. The maps are "
           "means over\n"
           "%lld frames around each, before the smoothing named here.\n\n"
           "|                      |         micro AUC by smoothing      |         macro AUC by "
           "smoothing      |\n"
           "| scores               |   none | causal |  light |  paper |   none | causal |  light "
           "|  paper |\n"
           "|----------------------|-------:|-------:|-------:|-------:|-------:|-------:|-------:"
           "|-------:|\n",
           (long long)filter);
    const char *last = "";
    for (size_t i = 0; i < json_array_size(table); i++) {
        const char *scores = json_string_value(json_object_get(json_array_get(table, i), "scores"));
        if (strcmp(scores, last) != 0) print_scorer(table, scores, scores, "micro", "macro");
        last = scores;
    }
    print_scorer(table, "all tasks", "constant", "constant_micro", "constant_macro");
}

static void print_results(const teach_settings *set, const sac_teaching_result *result) {
    if (set->tool.json) {
        json_t *json =
            json_pack("{s:o, s:s, s:O, s:O}", "output", sac_json_text(set->output), "teacher",
                      result->teacher, "metrics", result->metrics, "auc", result->auc);
        char *text = json == NULL ? NULL : json_dumps(json, JSON_INDENT(2));
        if (text != NULL) puts(text);
        json_decref(json);
        free(text);
    } else if (json_array_size(result->auc) == 0) {
        printf("Maps written to %s (the test clips have no labels, so no AUC).\n", set->output);
    } else {
        print_table(result->auc, set->filter);
    }
}

static void on_report(void *user, int64_t done, int64_t total) {
    on_progress(user, "report", "clips", done, total, NULL);
}

// The page about the finished maps.
static sac_status write_report(screen *s, const teach_settings *set, sac_error *error) {
    sac_map_store *store = NULL;
    sac_dataset *dataset = NULL;
    sac_status status = sac_map_store_open(&store, set->output, error);
    // What there is to say about the data set was said when the maps were made.
    if (status >= 0) status = sac_dataset_open(&dataset, set->dataset, NULL, error);
    if (status >= 0) {
        const sac_teacher_report report = {.store = store,
                                           .dataset = dataset,
                                           .truth = sac_truth_default_source(),
                                           .pictures = 12,
                                           .stop = sac_interrupted,
                                           .progress = on_report,
                                           .user = s};
        status = sac_teacher_report_save(set->report, &report, error);
        sac_progress_close(&s->progress);
    }
    sac_map_store_close(&store);
    sac_dataset_close(&dataset);
    return status;
}

static sac_status teach(screen *s, teach_settings *set, sac_error *error) {
    sac_teaching_options options;
    sac_teaching_result result = {0};
    sac_teaching_listener listener = {
        .user = s, .stop = sac_interrupted, .say = on_say, .progress = on_progress};
    sac_nn_set_threads((int)set->tool.threads);
    sac_status status = teach_options_fill(&options, set);
    if (status == SAC_OK) status = sac_teach(&result, &options, &listener, error);
    sac_progress_close(&s->progress);
    if (status == SAC_OK && set->report != NULL) status = write_report(s, set, error);
    if (status == SAC_OK && result.already_finished) {
        char text[512];
        (void)snprintf(text, sizeof text, "%.400s: is finished, nothing to do", set->output);
        on_say(s, SAC_LOG_INFO, text);
    } else if (status == SAC_OK) {
        print_results(set, &result);
        status = sac_tool_flush(error);
    }
    json_decref((json_t *)(uintptr_t)options.settings);
    sac_teaching_result_close(&result);
    return status;
}

int main(int argc, char **argv) {
    sac_tool_wait_passively(argv);
    teach_settings set = {0};
    screen s = {.set = &set};
    sac_options_result parsed = {0};
    sac_error error = {0};
    int code = sac_tool_start(teach_command_for(argc, argv), &set, argc, argv, &parsed);
    if (code >= 0) return code;
    s.logger = sac_tool_logger(teach_command.name, set.tool.quiet);
    sac_interrupt_install();
    sac_status status = teach(&s, &set, &error);
    code = status < 0 ? sac_tool_fail(teach_command.name, status, &error) : SAC_EXIT_OK;
    sac_options_close(&parsed);
    if (code == SAC_EXIT_OK) sac_tool_finish(teach_command.name, set.tool.quiet);
    return code;
}
