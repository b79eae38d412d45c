// Plans, runs and assesses the trainings of an ablation table.
#include "bench/suite.h"

#include <ctype.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bench/child.h"
#include "core/check.h"
#include "core/file.h"
#include "core/json.h"
#include "core/memory.h"
#include "core/number.h"
#include "core/text.h"
#include "core/time.h"

const char *sac_suite_state_name(sac_suite_state state) {
    static const char *const names[] = {"to do", "interrupted", "finished", "failed"};
    return names[state];
}

// ---- planning ----------------------------------------------------------------------------------

static uint64_t fnv(uint64_t hash, const void *bytes, size_t size) {
    const uint8_t *b = bytes;
    for (size_t i = 0; i < size; i++) hash = (hash ^ b[i]) * UINT64_C(0x100000001b3);
    return hash;
}
#define FNV_START UINT64_C(0xcbf29ce484222325)

// A teacher argument taken apart.
typedef struct teacher {
    char name[96], weight[32];
    char *maps; // owned
    char digest[20];
} teacher;

static bool has_prefix(const char *text, const char *prefix) {
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

// What was taught: the store's own description of itself, or the student that teaches.
static sac_status digest_teacher(teacher *t, sac_error *error) {
    static const char student[] = "student:";
    uint8_t *bytes = NULL;
    size_t size = 0;
    char *path = has_prefix(t->maps, student) ? sac_strdup(t->maps + sizeof student - 1)
                                              : sac_path_join(t->maps, "store.json");
    sac_status status;
    SAC_TRY_ALLOC(path);
    SAC_TRY(sac_file_read(&bytes, &size, path, (size_t)1 << 30, error));
    snprintf(t->digest, sizeof t->digest, "%016" PRIx64, fnv(FNV_START, bytes, size));
fail:
    sac_free(bytes);
    sac_free(path);
    return status;
}

static sac_status parse_teacher(teacher *t, const char *text, sac_error *error) {
    const char *equals = strchr(text, '=');
    const size_t length = equals != NULL ? (size_t)(equals - text) : 0;
    double weight;
    if (length == 0 || length >= sizeof t->name || equals[1] == '\0')
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "--teacher '%.200s': expected NAME=MAPS or NAME=MAPS:WEIGHT", text);
    memcpy(t->name, text, length);
    t->name[length] = '\0';
    t->maps = sac_strdup(equals + 1);
    if (t->maps == NULL) return SAC_ERROR_MEMORY;
    char *colon = strrchr(t->maps, ':');
    // A colon may belong to the path: it starts a weight only before a number.
    if (colon != NULL && sac_number_real(colon + 1, &weight)) {
        snprintf(t->weight, sizeof t->weight, "%.17g", weight);
        *colon = '\0';
    } else {
        snprintf(t->weight, sizeof t->weight, "1");
    }
    return digest_teacher(t, error);
}

static sac_status push(sac_suite_run *run, char *text) {
    if (text == NULL) return SAC_ERROR_MEMORY;
    run->arguments[run->argument_count++] = text;
    return SAC_OK;
}

static bool row_wants(const sac_suite_row *row, const char *wanted) {
    for (int64_t i = 0; i < row->teacher_count; i++)
        if (sac_text_is_utf8_of(row->teachers[i], wanted)) return true;
    return row->teacher_count == 0;
}

static sac_status row_check(const sac_suite_row *row, const teacher *teachers, int64_t count,
                            sac_error *error) {
    for (int64_t i = 0; i < row->teacher_count; i++) {
        bool found = false;
        for (int64_t k = 0; k < count; k++)
            found |= sac_text_is_utf8_of(row->teachers[i], teachers[k].name);
        if (!found)
            return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                                 "row '%s' wants the teacher '%s', which no --teacher gives",
                                 row->name, row->teachers[i]);
    }
    return SAC_OK;
}

// "No altered clips" -> "no-altered-clips"
static void slug(char *dst, size_t size, const char *name) {
    size_t n = 0;
    for (; *name != '\0' && n + 1 < size; name++) {
        const int c = tolower((unsigned char)*name);
        if (isalnum(c) && c < 128)
            dst[n++] = (char)c;
        else if (n > 0 && dst[n - 1] != '-')
            dst[n++] = '-';
    }
    while (n > 0 && dst[n - 1] == '-') n--;
    dst[n] = '\0';
}

// Everything that decides what comes out, and nothing else.
static sac_status make_settings(sac_suite_run *run, const sac_suite *suite,
                                const sac_suite_row *row, const teacher *teachers) {
    const sac_suite_options *o = suite->options;
    json_t *list = json_array(), *arguments = json_array();
    sac_status status = SAC_OK;
    for (int64_t k = 0; k < o->teacher_count; k++)
        if (row_wants(row, teachers[k].name))
            json_array_append_new(list, json_pack("{s:o, s:s, s:s}", "name",
                                                  sac_json_text(teachers[k].name), "weight",
                                                  teachers[k].weight, "maps", teachers[k].digest));
    for (int64_t i = 0; i < o->more_count; i++)
        json_array_append_new(arguments, sac_json_text(o->more[i]));
    for (int64_t i = 0; i < row->argument_count; i++)
        json_array_append_new(arguments, sac_json_text(row->arguments[i]));
    run->settings =
        json_pack("{s:s, s:o, s:o, s:I}", "dataset", suite->dataset->fingerprint, "teachers", list,
                  "arguments", arguments, "seed", (json_int_t)run->seed);
    SAC_TRY_ALLOC(run->settings);
fail:
    return status;
}

static sac_status make_folder(sac_suite_run *run, const sac_suite *suite,
                              const sac_suite_row *row) {
    char name[48];
    sac_status status = SAC_OK;
    char *text = json_dumps(run->settings, JSON_COMPACT | JSON_SORT_KEYS);
    SAC_TRY_ALLOC(text);
    slug(name, sizeof name, row->name);
    SAC_TRY_ALLOC(run->folder =
                      sac_format("%s/runs/%s-s%" PRId64 "-%08" PRIx32, suite->options->output, name,
                                 run->seed, (uint32_t)(fnv(FNV_START, text, strlen(text)) >> 16)));
    SAC_TRY_ALLOC(run->student = sac_path_join(run->folder, "student.safetensors"));
    SAC_TRY_ALLOC(run->student_int8 = sac_path_join(run->folder, "student-int8.safetensors"));
fail:
    free(text);
    return status;
}

static sac_status make_arguments(sac_suite_run *run, const sac_suite *suite,
                                 const sac_suite_row *row, const teacher *teachers) {
    const sac_suite_options *o = suite->options;
    sac_status status = SAC_OK;
    const int64_t most = o->teacher_count + o->more_count + row->argument_count + 11;
    SAC_TRY_ALLOC(run->arguments = sac_calloc(most, sizeof *run->arguments));
    SAC_TRY(push(run, sac_strdup(o->distill)));
    SAC_TRY(push(run, sac_format("--dataset=%s", o->dataset)));
    SAC_TRY(push(run, sac_format("--output=%s", run->folder)));
    SAC_TRY(push(run, sac_format("--seed=%" PRId64, run->seed)));
    SAC_TRY(push(run, sac_format("--threads=%d", o->threads)));
    // Rows that alter the clips alike share what the teachers say about them.
    SAC_TRY(push(run, sac_format("--altered-cache=%s/altered", o->output)));
    if (o->max_time != NULL) SAC_TRY(push(run, sac_format("--max-time=%s", o->max_time)));
    for (int64_t k = 0; k < o->teacher_count; k++)
        if (row_wants(row, teachers[k].name))
            SAC_TRY(push(run, sac_format("--teacher=%s", o->teachers[k])));
    for (int64_t i = 0; i < o->more_count; i++) SAC_TRY(push(run, sac_strdup(o->more[i])));
    for (int64_t i = 0; i < row->argument_count; i++)
        SAC_TRY(push(run, sac_strdup(row->arguments[i])));
fail:
    return status;
}

static bool file_in(const char *folder, const char *name) {
    char *path = sac_path_join(folder, name);
    const bool there = path != NULL && sac_is_file(path);
    sac_free(path);
    return there;
}

// Whether distill has anything to go on from, in any of its stages: without it, it takes no
// --resume; with it, nothing else.
static bool has_checkpoint(const char *folder) {
    return file_in(folder, "checkpoint.safetensors") ||
           file_in(folder, "pretrain/checkpoint.safetensors") ||
           file_in(folder, "quantise/checkpoint.safetensors");
}

// result.json is written last, so that a run without it is recognised as unfinished.
static sac_suite_state look(const sac_suite_run *run) {
    json_t *json = NULL;
    char *path = sac_path_join(run->folder, "result.json");
    sac_suite_state state = SAC_SUITE_ABSENT;
    if (path != NULL && sac_is_file(run->student) && sac_json_read(&json, path, NULL) >= 0 &&
        json_equal(json_object_get(json, "settings"), run->settings))
        state = SAC_SUITE_FINISHED;
    else if (file_in(run->folder, "run.json"))
        state = SAC_SUITE_INTERRUPTED;
    json_decref(json);
    sac_free(path);
    return state;
}

static sac_status plan(sac_suite *suite, const teacher *teachers, sac_error *error) {
    const sac_suite_options *o = suite->options;
    sac_status status = SAC_OK;
    int64_t count = 0;
    for (int64_t r = 0; r < o->rows->count; r++) count += o->rows->items[r].seeds;
    SAC_TRY_ALLOC(suite->runs = sac_calloc(count, sizeof *suite->runs));
    for (int64_t r = 0; r < o->rows->count; r++) {
        const sac_suite_row *row = &o->rows->items[r];
        SAC_TRY(row_check(row, teachers, o->teacher_count, error));
        for (int64_t k = 0; k < row->seeds; k++) {
            sac_suite_run *run = &suite->runs[suite->count++];
            run->row = r;
            run->seed = o->seed + k;
            SAC_TRY(make_settings(run, suite, row, teachers));
            SAC_TRY(make_folder(run, suite, row));
            SAC_TRY(make_arguments(run, suite, row, teachers));
            run->state = look(run);
        }
    }
fail:
    return status;
}

sac_status sac_suite_open(sac_suite *suite, const sac_suite_options *options, sac_error *error) {
    teacher *teachers = NULL;
    sac_status status;
    memset(suite, 0, sizeof *suite);
    suite->options = options;
    if (options->teacher_count < 1)
        SAC_TRY(sac_error_set(error, SAC_ERROR_ARGUMENT, -1, "a suite needs at least one teacher"));
    SAC_TRY(sac_suite_arguments_check(options->more, options->more_count, error));
    SAC_TRY_ALLOC(teachers = sac_calloc(options->teacher_count, sizeof *teachers));
    for (int64_t i = 0; i < options->teacher_count; i++) {
        SAC_TRY(parse_teacher(&teachers[i], options->teachers[i], error));
        for (int64_t k = 0; k < i; k++)
            if (strcmp(teachers[k].name, teachers[i].name) == 0)
                SAC_TRY(sac_error_set(error, SAC_ERROR_ARGUMENT, -1, "two teachers are named '%s'",
                                      teachers[i].name));
    }
    SAC_TRY(sac_dataset_open(&suite->dataset, options->dataset, &options->logger, error));
    SAC_TRY(sac_clip_select(&suite->selection, suite->dataset, options->clips, error));
    SAC_TRY(plan(suite, teachers, error));
    status = SAC_OK;
fail:
    if (status == SAC_ERROR_MEMORY) sac_error_set(error, status, -1, "no memory for the suite");
    for (int64_t i = 0; teachers != NULL && i < options->teacher_count; i++)
        sac_free(teachers[i].maps);
    sac_free(teachers);
    if (status < 0) sac_suite_close(suite);
    return status;
}

void sac_suite_close(sac_suite *suite) {
    if (suite == NULL) return;
    for (int64_t i = 0; i < suite->count; i++) {
        sac_suite_run *run = &suite->runs[i];
        for (int64_t k = 0; k < run->argument_count; k++) sac_free(run->arguments[k]);
        sac_free(run->arguments);
        sac_free(run->folder);
        sac_free(run->student);
        sac_free(run->student_int8);
        json_decref(run->settings);
    }
    sac_free(suite->runs);
    sac_region_truth_close(&suite->truth);
    sac_clip_selection_close(&suite->selection);
    sac_dataset_close(&suite->dataset);
    memset(suite, 0, sizeof *suite);
}

// ---- running -----------------------------------------------------------------------------------

// What the poll of one training needs for its note.
typedef struct watching {
    const sac_suite *suite;
    const sac_suite_run *run;
    int64_t number;
    double begun;
    bool stopped;
} watching;

#define OWN_FILES "/proc/self/fd" // what this process has open

// Last line of a text file, from its last 4000 bytes; empty when there is none.
static void last_line(char *line, size_t size, const char *folder, const char *name) {
    char text[4001];
    char *path = sac_path_join(folder, name);
    FILE *file = path != NULL ? fopen(path, "rb") : NULL;
    size_t got = 0;
    line[0] = '\0';
    if (file != NULL) {
        if (fseek(file, -4000, SEEK_END) != 0) rewind(file);
        got = fread(text, 1, sizeof text - 1, file);
        fclose(file);
    }
    sac_free(path);
    text[got] = '\0';
    char *start = text, *rest = NULL;
    for (char *c = strtok_r(text, "\r\n", &rest); c != NULL; c = strtok_r(NULL, "\r\n", &rest))
        if (!has_prefix(c, "Try '")) start = c; // where help is to be had, behind a usage error
    const size_t length = strlen(start) < size ? strlen(start) : size - 1;
    memcpy(line, start, length);
    line[length] = '\0';
}

// What distill says against a row.
static sac_status refuse(const sac_suite *suite, int64_t row, sac_status why, const char *line,
                         sac_error *error) {
    const sac_suite_rows *rows = suite->options->rows;
    return sac_error_set(error, why, row, "%.200s: row %" PRId64 " ('%s'): %s", rows->source,
                         row + 1, rows->items[row].name,
                         line[0] != '\0' ? line : "distill does not say why");
}

static int poll_training(void *user) {
    watching *w = user;
    const sac_suite_options *o = w->suite->options;
    char row[256], note[512], time[32];
    if (o->poll == NULL) return 0;
    last_line(row, sizeof row, w->run->folder, "metrics.csv");
    const int64_t epoch = isdigit((unsigned char)row[0]) ? strtoll(row, NULL, 10) : 0;
    sac_text_duration(time, sizeof time, floor(sac_time_s() - w->begun));
    snprintf(note, sizeof note, "'%s' seed %" PRId64 ", %" PRId64 " epochs in %s",
             o->rows->items[w->run->row].name, w->run->seed, epoch, time);
    w->stopped |= o->poll(o->user, w->number, w->suite->count, note) != 0;
    return w->stopped;
}

static sac_status save(const sac_suite_run *run, const char *name, json_t *json, sac_error *error) {
    char *path = sac_path_join(run->folder, name);
    const sac_status status = path == NULL ? SAC_ERROR_MEMORY : sac_json_write(json, path, error);
    sac_free(path);
    json_decref(json);
    return status;
}

static void tell(const sac_suite_options *o, sac_log_level level, const char *format,
                 const char *name, int64_t seed, const char *text) {
    char message[1200];
    if (o->logger.write == NULL) return;
    snprintf(message, sizeof message, format, name, (long long)seed, text);
    o->logger.write(o->logger.user, level, message);
}

// The folders of a run, innermost first.
enum { FOLDERS = 4 };
static void folders_of(char *folders[FOLDERS], const sac_suite *suite, const sac_suite_run *run) {
    const char *output = suite->options->output;
    folders[0] = sac_strdup(run->folder);
    folders[1] = sac_path_join(output, "runs");
    folders[2] = sac_path_join(output, "altered");
    folders[3] = sac_strdup(output);
}

// Takes back what a run with a mistake in its options left behind, where it was made by this call:
// the corrected row is another run, and this one would be taken for an interrupted one.
static void take_back(char *const folders[FOLDERS], const bool there[FOLDERS]) {
    static const char *const files[] = {"run.json", "distill.log"};
    if (there[0] || folders[0] == NULL) return;
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        char *path = sac_path_join(folders[0], files[i]);
        if (path != NULL) (void)unlink(path);
        sac_free(path);
    }
    // Only empty folders can be removed, so nothing of value goes with them.
    for (int i = 0; i < FOLDERS; i++)
        if (!there[i] && folders[i] != NULL) (void)rmdir(folders[i]);
}

static sac_status train(sac_suite *suite, int64_t number, sac_error *error) {
    const sac_suite_options *o = suite->options;
    sac_suite_run *run = &suite->runs[number];
    const char *name = o->rows->items[run->row].name;
    watching w = {.suite = suite, .run = run, .number = number, .begun = sac_time_s()};
    char *log = NULL, line[512], *folders[FOLDERS];
    bool there[FOLDERS];
    sac_status status;
    int code = 1;
    folders_of(folders, suite, run);
    for (int i = 0; i < FOLDERS; i++) there[i] = folders[i] == NULL || sac_is_folder(folders[i]);
    SAC_TRY(sac_folder_create(run->folder, error));
    SAC_TRY(save(run, "run.json", json_pack("{s:s, s:O}", "row", name, "settings", run->settings),
                 error));
    SAC_TRY_ALLOC(log = sac_path_join(run->folder, "distill.log"));
    if (has_checkpoint(run->folder)) SAC_TRY(push(run, sac_strdup("--resume")));
    SAC_TRY(sac_child_run(&code, run->arguments, log, poll_training, &w, error));
    if (code == 130 || w.stopped)
        SAC_TRY(sac_error_set(error, SAC_ERROR_INTERRUPTED, number,
                              "interrupted in '%s', seed %lld: go on with --resume", name,
                              (long long)run->seed));
    if (code != 0 || !sac_is_file(run->student)) {
        last_line(line, sizeof line, run->folder, "distill.log");
        if (code == 2) {
            take_back(folders, there);
            SAC_TRY(refuse(suite, run->row, SAC_ERROR_ARGUMENT, line, error));
        }
        tell(o, SAC_LOG_WARNING, "'%s', seed %lld failed: %s", name, run->seed, line);
        run->state = SAC_SUITE_FAILED;
        suite->failed++;
        status = SAC_OK;
        goto fail;
    }
    SAC_TRY(save(run, "result.json",
                 json_pack("{s:s, s:O}", "row", name, "settings", run->settings), error));
    run->state = SAC_SUITE_FINISHED;
fail:
    for (int i = 0; i < FOLDERS; i++) sac_free(folders[i]);
    sac_free(log);
    return status;
}

static int poll_check(void *user) {
    watching *w = user;
    const sac_suite_options *o = w->suite->options;
    char note[128];
    if (o->poll == NULL) return 0;
    snprintf(note, sizeof note, "checking '%s'", o->rows->items[w->run->row].name);
    w->stopped |= o->poll(o->user, w->number, w->suite->count, note) != 0;
    return w->stopped;
}

static sac_status check_run(const sac_suite *suite, int64_t number, sac_error *error) {
    static char resume[] = "--resume", check[] = "--check";
    const sac_suite_run *run = &suite->runs[number];
    watching w = {.suite = suite, .run = run, .number = number};
    char **arguments = NULL, *log = NULL, line[512], said[16];
    sac_status status;
    int code = 1;
    // A log in memory: it is read once, and nothing is left behind however this ends.
    const int memory = memfd_create("distill.log", MFD_CLOEXEC);
    if (memory < 0)
        SAC_TRY(sac_error_set(error, SAC_ERROR_MEMORY, -1, "no memory for what distill says"));
    snprintf(said, sizeof said, "%d", memory);
    SAC_TRY_ALLOC(log = sac_path_join(OWN_FILES, said));
    SAC_TRY_ALLOC(arguments = sac_calloc(run->argument_count + 3, sizeof *arguments));
    memcpy(arguments, run->arguments, (size_t)run->argument_count * sizeof *arguments);
    arguments[run->argument_count] = check;
    if (has_checkpoint(run->folder)) arguments[run->argument_count + 1] = resume;
    SAC_TRY(sac_child_run(&code, arguments, log, poll_check, &w, error));
    if (code == 130 || w.stopped)
        SAC_TRY(sac_error_set(error, SAC_ERROR_INTERRUPTED, number, "interrupted"));
    if (code != 0) {
        last_line(line, sizeof line, OWN_FILES, said);
        SAC_TRY(
            refuse(suite, run->row, code == 2 ? SAC_ERROR_ARGUMENT : SAC_ERROR_IO, line, error));
    }
fail:
    if (memory >= 0) close(memory);
    sac_free(arguments);
    sac_free(log);
    return status;
}

sac_status sac_suite_check(const sac_suite *suite, sac_error *error) {
    sac_status status = SAC_OK;
    for (int64_t i = 0; i < suite->count && !suite->options->resume; i++)
        if (suite->runs[i].state == SAC_SUITE_INTERRUPTED)
            SAC_TRY(sac_error_set(error, SAC_ERROR_ARGUMENT, i,
                                  "%s was begun and not finished: go on with --resume, or remove "
                                  "it",
                                  suite->runs[i].folder));
    int64_t checked = -1; // row: its runs differ in the seed alone
    for (int64_t i = 0; i < suite->count; i++) {
        if (suite->runs[i].state == SAC_SUITE_FINISHED || suite->runs[i].row == checked) continue;
        SAC_TRY(check_run(suite, i, error));
        checked = suite->runs[i].row;
    }
fail:
    if (status == SAC_ERROR_MEMORY) sac_error_set(error, status, -1, "no memory for the suite");
    return status;
}

static int poll_scores(void *user, int64_t done, int64_t total) {
    const watching *w = user;
    const sac_suite_options *o = w->suite->options;
    char note[256];
    if (o->poll == NULL) return 0;
    snprintf(note, sizeof note, "'%s' seed %" PRId64 ", scoring %" PRId64 "/%" PRId64,
             o->rows->items[w->run->row].name, w->run->seed, done, total);
    return o->poll(o->user, w->number, w->suite->count, note);
}

static sac_status assess(sac_suite *suite, int64_t number, sac_error *error) {
    const sac_suite_options *o = suite->options;
    sac_suite_run *run = &suite->runs[number];
    watching w = {.suite = suite, .run = run, .number = number};
    const sac_score_progress progress = {.report = poll_scores, .user = &w};
    char text[256];
    sac_status status;
    SAC_TRY(sac_model_facts_read(&run->facts, run->student, error));
    SAC_TRY(sac_accuracy_measure(&run->accuracy, run->student, SAC_PRECISION_F32, o->threads,
                                 suite->dataset, &suite->selection, &suite->truth, &o->logger,
                                 &progress, error));
    run->assessed = true;
    if (sac_is_file(run->student_int8)) {
        SAC_TRY(sac_accuracy_measure(&run->accuracy_int8, run->student_int8, SAC_PRECISION_INT8,
                                     o->threads, suite->dataset, &suite->selection, &suite->truth,
                                     &o->logger, &progress, error));
        run->assessed_int8 = true;
    }
    snprintf(text, sizeof text, "micro AUC %.2f, %.2f with light smoothing; %.1f minutes",
             100 * run->accuracy.micro[0], 100 * run->accuracy.micro[2],
             run->facts.training_minutes);
    tell(o, SAC_LOG_INFO, "'%s', seed %lld: %s", o->rows->items[run->row].name, run->seed, text);
fail:
    return status;
}

sac_status sac_suite_run_all(sac_suite *suite, sac_error *error) {
    const sac_suite_options *o = suite->options;
    sac_status status;
    SAC_TRY(sac_region_truth_open(&suite->truth, &o->truth, &suite->selection, &o->logger, error));
    for (int64_t i = 0; i < suite->count; i++) {
        if (o->poll != NULL && o->poll(o->user, i, suite->count, NULL) != 0)
            SAC_TRY(sac_error_set(error, SAC_ERROR_INTERRUPTED, i, "interrupted"));
        if (suite->runs[i].state != SAC_SUITE_FINISHED) SAC_TRY(train(suite, i, error));
        if (suite->runs[i].state == SAC_SUITE_FINISHED) SAC_TRY(assess(suite, i, error));
    }
    status = SAC_OK;
fail:
    if (status == SAC_ERROR_MEMORY) sac_error_set(error, status, -1, "no memory for the suite");
    return status;
}
