// student-bench suite: the ablation table in one command.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/plot.h"
#include "bench/suite_report.h"
#include "core/check.h"
#include "core/file.h"
#include "core/memory.h"
#include "core/text.h"
#include "core/time.h"
#include "tools/bench_tool.h"

typedef struct suite_settings {
    sac_tool_settings tool;
    const char *dataset, *output, *rows, *distill, *max_time, *clips;
    sac_text_list teachers;
    int64_t seeds, rounds;
    double seconds;
    bool resume, list, speed;
    bench_truth truth;
} suite_settings;

#define AT(member) .offset = offsetof(suite_settings, member)
// clang-format off
static const sac_option suite_options[] = {
    {.name = "", .help = "What is trained"},
    {.name = "dataset", .letter = 'd', .type = SAC_OPTION_TEXT, AT(dataset), .argument = "DIR",
     .help = "data set with training clips and labelled test clips"},
    {.name = "teacher", .type = SAC_OPTION_LIST, AT(teachers), .argument = "NAME=MAPS[:WEIGHT]",
     .help = "map folder written by `teach`, as for `distill`; may be given several times"},
    {.name = "output", .letter = 'o', .type = SAC_OPTION_TEXT, AT(output), .argument = "DIR",
     .help = "folder for runs/ and results.json, .md, .csv, .svg and .png"},
    {.name = "rows", .type = SAC_OPTION_TEXT, AT(rows), .argument = "FILE",
     .help = "rows of the table as JSON; --list --json prints the built-in ones in that form"},
    {.name = "seeds", .type = SAC_OPTION_INT, AT(seeds), .number = 3, .min = 1, .max = 100,
     .argument = "N", .help = "runs of each of the built-in main rows"},
    {.name = "seed", .type = SAC_OPTION_INT, AT(tool.seed), .number = 1, .min = 0,
     .max = 9007199254740000.0, .argument = "N", .help = "of the first run of a row"},
    {.name = "max-time", .type = SAC_OPTION_TEXT, AT(max_time), .argument = "TIME",
     .help = "end each training gracefully after so long, as for `distill`; a run that it leaves "
             "without a wanted student goes on with --resume and more"},
    {.name = "resume", .type = SAC_OPTION_BOOL, AT(resume),
     .help = "go on with a run that was interrupted; finished runs are reused in any case"},
    {.name = "list", .type = SAC_OPTION_BOOL, AT(list),
     .help = "show the rows, what is finished and the commands, and do nothing"},
    {.name = "distill", .type = SAC_OPTION_TEXT, AT(distill), .argument = "PROGRAM",
     .help = "path of distill; default: beside this program"},
    {.name = "threads", .letter = 't', .type = SAC_OPTION_INT, AT(tool.threads), .min = 0,
     .max = 64, .argument = "N", .help = "threads of everything; 0: every core"},
    {.name = "", .help = "What is measured"},
    {.name = "clips", .type = SAC_OPTION_TEXT, AT(clips), .argument = "A,B",
     .help = "only these test clips; default: all with labels"},
    BENCH_TRUTH_OPTIONS(suite_settings),
    {.name = "speed", .type = SAC_OPTION_BOOL, AT(speed), .number = 1,
     .help = "measure the students' frames per second when all are trained"},
    {.name = "rounds", .type = SAC_OPTION_INT, AT(rounds), .number = 5, .min = 1, .max = 100,
     .argument = "N", .help = "interleaved rounds of the speeds; the median counts"},
    {.name = "seconds", .type = SAC_OPTION_REAL, AT(seconds), .number = 0.5, .min = 0.001,
     .max = 600, .argument = "S", .help = "length of one speed measurement"},
    {.name = "json", .type = SAC_OPTION_BOOL, AT(tool.json),
     .help = "print the results, or the rows with --list, as JSON instead of the table"},
    BENCH_QUIET_OPTIONS(suite_settings),
    {.name = NULL},
};
// clang-format on

static const sac_command suite_command = {
    .name = BENCH_NAME " suite",
    .usage = "--dataset DIR --teacher NAME=MAPS ... -o DIR [options] [-- OPTIONS OF DISTILL]",
    .description =
        "The ablation table: for every row, and every seed of the main rows, `distill` trains a "
        "student,\n"
        "whose accuracy (micro and macro AUC, RBDC, TBDC), size, speed and training time are then\n"
        "measured. Test labels are looked at for the table only. Finished runs are kept and "
        "reused when\n"
        "their settings are the same; an interrupted suite goes on with --resume. The arguments of "
        "all\n"
        "rows are checked before the first training. What stands behind -- goes to every training. "
        "A\n"
        "file of rows is\n\n"
        "  {\"arguments\": {\"epochs\": 10},\n"
        "   \"rows\": [{\"name\": \"no altered clips\", \"group\": \"altered clips\", \"seeds\": "
        "3,\n"
        "             \"teachers\": [\"ssmtl\"], \"arguments\": {\"pseudo\": 0}}]}\n\n"
        "with long options of distill in \"arguments\", those of all rows beside \"rows\"; a row's "
        "own "
        "win.\n"
        "Of a row only the name is needed.\n\n"
        "  student-bench suite --dataset UCSDped2 --teacher ssmtl=maps --teacher "
        "attributes=maps2 \\\n"
        "      -o ablation --max-time 30m -- --pseudo 5 --shift 4",
    .options = suite_options,
    .max_positional = SAC_SUITE_ARGUMENTS_MOST,
};

// One progress line for the whole suite: runs done in this call, and what is going on.
typedef struct suite_display {
    const suite_settings *settings;
    const sac_suite *suite;
    sac_progress *progress;
    int64_t to_do; // at the beginning
    double begun;
} suite_display;

static int64_t finished_before(const suite_display *d, int64_t run) {
    int64_t done = 0;
    for (int64_t i = 0; i < run; i++) done += d->suite->runs[i].state == SAC_SUITE_FINISHED;
    return done;
}

static int show_suite(void *user, int64_t run, int64_t runs, const char *note) {
    suite_display *d = user;
    const double now = sac_time_s();
    if (d->progress == NULL) {
        d->begun = now;
        for (int64_t i = 0; i < runs; i++)
            d->to_do += d->suite->runs[i].state != SAC_SUITE_FINISHED;
        if (sac_progress_open(&d->progress, "suite", "runs", runs, &d->settings->tool) < 0)
            d->progress = NULL;
    }
    // Its own estimate: the line's would take the reused runs for fast ones.
    int64_t left = 0;
    for (int64_t i = run; i < runs; i++) left += d->suite->runs[i].state != SAC_SUITE_FINISHED;
    const int64_t done = d->to_do - left;
    char text[400], time[32];
    if (done > 0 && left > 0)
        snprintf(
            text, sizeof text, "%s; all in about %s", note != NULL ? note : "",
            sac_text_duration(time, sizeof time, (now - d->begun) / (double)done * (double)left));
    else
        snprintf(text, sizeof text, "%s", note != NULL ? note : "");
    sac_progress_update(d->progress, finished_before(d, run), text);
    return sac_interrupted() ? 1 : 0;
}

static sac_status teacher_names(char ***names, const suite_settings *s, sac_error *error) {
    sac_status status = SAC_OK;
    SAC_TRY_ALLOC(*names = sac_calloc(s->teachers.count, sizeof **names));
    for (int64_t i = 0; i < s->teachers.count; i++) {
        SAC_TRY_ALLOC((*names)[i] = sac_strdup(s->teachers.items[i]));
        char *equals = strchr((*names)[i], '=');
        if (equals == NULL || equals == (*names)[i])
            SAC_TRY(sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                                  "--teacher '%.200s': expected NAME=MAPS or NAME=MAPS:WEIGHT",
                                  s->teachers.items[i]));
        *equals = '\0';
        for (int64_t k = 0; k < i; k++)
            if (strcmp((*names)[k], (*names)[i]) == 0)
                SAC_TRY(sac_error_set(error, SAC_ERROR_ARGUMENT, -1, "two teachers are named '%s'",
                                      (*names)[i]));
    }
fail:
    return status;
}

static sac_status read_rows(sac_suite_rows *rows, const suite_settings *s, sac_error *error) {
    char **names = NULL;
    sac_status status;
    if (s->rows != NULL) return sac_suite_rows_read(rows, s->rows, error);
    SAC_TRY(teacher_names(&names, s, error));
    SAC_TRY(sac_suite_rows_default(rows, (const char *const *)names, s->teachers.count, s->seeds,
                                   error));
fail:
    for (int64_t i = 0; names != NULL && i < s->teachers.count; i++) sac_free(names[i]);
    sac_free(names);
    return status;
}

// A word as a shell would take it back.
static void put_word(const char *word) {
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "-_=./,:+%@";
    if (word[0] != '\0' && word[strspn(word, plain)] == '\0') {
        fputs(word, stdout);
        return;
    }
    putchar('\'');
    for (; *word != '\0'; word++)
        if (*word == '\'')
            fputs("'\\''", stdout);
        else
            putchar(*word);
    putchar('\'');
}

static sac_status list_rows(const sac_suite *suite, const suite_settings *s, sac_error *error) {
    const sac_suite_rows *rows = suite->options->rows;
    if (s->tool.json) {
        char *text = sac_suite_rows_json(rows);
        if (text == NULL) return SAC_ERROR_MEMORY;
        fputs(text, stdout);
        sac_free(text);
        return sac_tool_flush(error);
    }
    for (int64_t i = 0; i < suite->count; i++) {
        const sac_suite_run *run = &suite->runs[i];
        printf("%s, seed %lld: %s\n   ", rows->items[run->row].name, (long long)run->seed,
               sac_suite_state_name(run->state));
        for (int64_t k = 0; k < run->argument_count; k++) {
            putchar(' ');
            put_word(run->arguments[k]);
        }
        putchar('\n');
    }
    printf("%lld rows, %lld runs\n", (long long)rows->count, (long long)suite->count);
    return sac_tool_flush(error);
}

static sac_status write_picture(const sac_suite_table *table, const char *folder, const char *name,
                                sac_error *error) {
    char *path = sac_path_join(folder, name);
    const sac_status status =
        path == NULL ? SAC_ERROR_MEMORY : sac_suite_table_plot(table, path, error);
    sac_free(path);
    return status;
}

static sac_status write_results(const sac_suite_table *table, const suite_settings *s,
                                sac_machine *machine, sac_error *error) {
    sac_figures figures = {0};
    char *json_path = sac_path_join(s->output, "results.json"),
         *markdown_path = sac_path_join(s->output, "results.md"),
         *csv_path = sac_path_join(s->output, "results.csv"), *rows = NULL, *markdown = NULL,
         *csv = NULL;
    json_t *json = NULL;
    sac_status status;
    bool any = false;
    SAC_TRY_ALLOC(json_path);
    SAC_TRY_ALLOC(markdown_path);
    SAC_TRY_ALLOC(csv_path);
    for (int64_t r = 0; r < table->count; r++) any |= table->lines[r].finished > 0;
    machine->load_after = sac_machine_load();
    SAC_TRY(sac_suite_table_figures(&figures, table, error));
    SAC_TRY_ALLOC(json = sac_suite_table_json(table));
    if (json_object_set_new(json, "machine", sac_machine_json(machine)) < 0 ||
        json_object_set_new(json, "figures", sac_figures_to_json(&figures)) < 0 ||
        !bench_sign(json, &suite_command, s))
        SAC_TRY(SAC_ERROR_MEMORY);
    rows = sac_suite_table_markdown(table);
    markdown = bench_headed(machine, rows);
    csv = sac_suite_table_csv(table);
    const bench_outputs outputs = {
        .json = json_path, .markdown = markdown_path, .csv = csv_path, .print_json = s->tool.json};
    SAC_TRY(bench_outputs_write(&outputs, json, markdown, csv, error));
    if (any) {
        SAC_TRY(write_picture(table, s->output, "results.svg", error));
        SAC_TRY(write_picture(table, s->output, "results.png", error));
    }
fail:
    sac_free(json_path);
    sac_free(markdown_path);
    sac_free(csv_path);
    sac_free(rows);
    sac_free(markdown);
    sac_free(csv);
    json_decref(json);
    sac_figures_close(&figures);
    return status;
}

// The folder of the results is there and takes files, said before hours of training.
static sac_status check_output(const suite_settings *s, sac_error *error) {
    sac_status status;
    char *path = NULL;
    SAC_TRY(sac_folder_create(s->output, error));
    SAC_TRY_ALLOC(path = sac_path_join(s->output, "results.json"));
    SAC_TRY(sac_file_check(path, error));
fail:
    sac_free(path);
    return status;
}

// Trains, and tables what there is, also after an interruption.
static sac_status work_through(sac_suite *suite, const suite_settings *s, sac_machine *machine,
                               suite_display *shown, sac_error *error) {
    sac_suite_table table = {0};
    bench_display timing = {.settings = &s->tool, .label = "speeds", .unit = "measurements"};
    sac_status status;
    const bool there = sac_is_folder(s->output);
    SAC_TRY(sac_suite_check(suite, error));
    SAC_TRY(check_output(s, error));
    const sac_status worked = sac_suite_run_all(suite, error);
    sac_progress_close(&shown->progress);
    if (worked < 0 && worked != SAC_ERROR_INTERRUPTED) {
        if (!there) (void)rmdir(s->output); // unless a run has left something in it
        return worked;
    }
    SAC_TRY(sac_suite_table_make(&table, suite, error));
    const int threads = s->tool.threads > 0   ? (int)s->tool.threads
                        : machine->cores < 64 ? machine->cores
                                              : 64;
    if (worked >= 0 && s->speed)
        SAC_TRY(sac_suite_table_speeds(&table, threads, (int)s->rounds, s->seconds, bench_show,
                                       &timing, error));
    sac_progress_close(&timing.progress);
    // The interruption keeps its message: sac_error_set leaves the first one.
    SAC_TRY(write_results(&table, s, machine, error));
    status = worked;
    if (status >= 0 && suite->failed > 0)
        status = sac_error_set(error, SAC_ERROR_NUMERIC, -1, "%lld of %lld runs failed",
                               (long long)suite->failed, (long long)suite->count);
fail:
    sac_progress_close(&timing.progress);
    sac_suite_table_close(&table);
    return status;
}

static sac_status run_suite(const suite_settings *s, const char **more, int64_t more_count,
                            const sac_logger *logger, sac_error *error) {
    sac_suite_rows rows = {0};
    sac_suite suite = {0};
    sac_machine machine;
    suite_display shown = {.settings = s, .suite = &suite};
    char *distill = NULL;
    sac_status status;
    if (s->dataset == NULL || s->output == NULL || s->teachers.count == 0)
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "--dataset, --teacher and -o are needed; see --help");
    sac_machine_describe(&machine);
    SAC_TRY_ALLOC(distill = s->distill != NULL ? sac_strdup(s->distill)
                                               : bench_program_beside("distill"));
    if (access(distill, X_OK) != 0)
        SAC_TRY(sac_error_set(error, SAC_ERROR_IO, -1, "%s: no such program: %s", distill,
                              strerror(errno)));
    SAC_TRY(read_rows(&rows, s, error));
    const sac_suite_options options = {.dataset = s->dataset,
                                       .output = s->output,
                                       .distill = distill,
                                       .teachers = s->teachers.items,
                                       .teacher_count = s->teachers.count,
                                       .rows = &rows,
                                       .more = more,
                                       .more_count = more_count,
                                       .seed = s->tool.seed,
                                       .threads = (int)s->tool.threads,
                                       .max_time = s->max_time,
                                       .clips = s->clips,
                                       .truth = bench_truth_source(&s->truth),
                                       .resume = s->resume,
                                       .logger = *logger,
                                       .poll = show_suite,
                                       .user = &shown};
    SAC_TRY(sac_suite_open(&suite, &options, error));
    if (s->list)
        SAC_TRY(list_rows(&suite, s, error));
    else
        SAC_TRY(work_through(&suite, s, &machine, &shown, error));
fail:
    if (status == SAC_ERROR_MEMORY) sac_error_set(error, status, -1, "out of memory");
    sac_progress_close(&shown.progress);
    sac_suite_close(&suite);
    sac_suite_rows_close(&rows);
    sac_free(distill);
    return status;
}

int bench_main_suite(int argc, char **argv) {
    suite_settings settings;
    sac_options_result result;
    sac_error error = {0};
    const int code = sac_tool_start(&suite_command, &settings, argc, argv, &result);
    if (code >= 0) return code;
    sac_interrupt_install();
    const sac_logger logger = sac_tool_logger(suite_command.name, settings.tool.quiet);
    const sac_status status =
        run_suite(&settings, result.positional, result.positional_count, &logger, &error);
    sac_options_close(&result);
    return bench_finish(suite_command.name, status, &error, settings.tool.quiet);
}
