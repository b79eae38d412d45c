// Runs of student-run on one frame, timed from outside, and from inside by what it prints as JSON.
#include "bench/startup.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/check.h"
#include "core/json.h"
#include "core/memory.h"
#include "core/time.h"

enum { MOST_BYTES = 1 << 20, TIMEOUT_S = 120 };

extern char **environ;

static const char *const part_names[SAC_STARTUP_PARTS] = {
    "libraries until main", "reading the model", "planning", "source and first frames",
    "until the first row"};

sac_startup_options sac_startup_default_options(void) {
    return (sac_startup_options){.rounds = 5};
}

// What a run of the program printed, and when.
typedef struct printed {
    char *text; // [MOST_BYTES], closed by a zero
    size_t length;
    double row_s; // from its start until its second line was there: below the header
} printed;

// Reads to the end of what the program prints.
static sac_status read_all(printed *out, int fd, double start, const sac_startup_options *o,
                           sac_error *error) {
    int lines = 0;
    for (;;) {
        struct pollfd wait = {.fd = fd, .events = POLLIN};
        if (o->stop != NULL && o->stop())
            return sac_error_set(error, SAC_ERROR_INTERRUPTED, -1, "interrupted");
        if (sac_time_s() - start > TIMEOUT_S)
            return sac_error_set(error, SAC_ERROR_BACKEND, -1, "%s: runs longer than %d s",
                                 o->program, TIMEOUT_S);
        if (poll(&wait, 1, 100) <= 0) continue;
        const ssize_t got = read(fd, out->text + out->length, MOST_BYTES - 1 - out->length);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) break;
        for (ssize_t i = 0; i < got; i++) {
            if (out->text[out->length + (size_t)i] == '\n' && ++lines == 2)
                out->row_s = sac_time_s() - start;
        }
        out->length += (size_t)got;
        if (out->length == MOST_BYTES - 1)
            return sac_error_set(error, SAC_ERROR_FORMAT, -1, "%s: prints more than %d bytes",
                                 o->program, MOST_BYTES - 1);
    }
    out->text[out->length] = '\0';
    return SAC_OK;
}

static sac_status run_program(printed *out, char *const *arguments, const sac_startup_options *o,
                              sac_error *error) {
    sac_status status = SAC_OK;
    posix_spawn_file_actions_t actions;
    bool prepared = false;
    int ends[2] = {-1, -1}, state = 0;
    pid_t child = 0;
    out->length = 0;
    out->row_s = (double)NAN;
    if (pipe2(ends, O_CLOEXEC) != 0)
        return sac_error_set(error, SAC_ERROR_BACKEND, -1, "no pipe: %s", strerror(errno));
    if (posix_spawn_file_actions_init(&actions) != 0) SAC_TRY(SAC_ERROR_MEMORY);
    prepared = true;
    if (posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0) != 0 ||
        posix_spawn_file_actions_adddup2(&actions, ends[1], 1) != 0)
        SAC_TRY(SAC_ERROR_MEMORY);
    const double start = sac_time_s();
    const int failure = posix_spawn(&child, arguments[0], &actions, NULL, arguments, environ);
    if (failure != 0) {
        child = 0;
        SAC_TRY(sac_error_set(error, SAC_ERROR_IO, -1, "%s cannot be started: %s", arguments[0],
                              strerror(failure)));
    }
    close(ends[1]);
    ends[1] = -1;
    SAC_TRY(read_all(out, ends[0], start, o, error));
fail:
    if (child > 0) {
        if (status < 0) (void)kill(child, SIGKILL);
        while (waitpid(child, &state, 0) < 0 && errno == EINTR) continue;
        if (status >= 0 && (!WIFEXITED(state) || WEXITSTATUS(state) != 0))
            status = sac_error_set(error, SAC_ERROR_BACKEND, -1,
                                   "%s fails; what it said stands above", arguments[0]);
    }
    if (prepared) (void)posix_spawn_file_actions_destroy(&actions);
    if (ends[0] >= 0) close(ends[0]);
    if (ends[1] >= 0) close(ends[1]);
    return status;
}

// The times that the program itself took.
static sac_status read_timing(double *load_ms, double *plan_ms, double *first_ms,
                              const printed *out, const sac_startup_options *o, sac_error *error) {
    sac_status status;
    json_t *json = NULL, *sources = NULL, *timing = NULL;
    SAC_TRY(sac_json_parse(&json, out->text, out->length, o->program, error));
    SAC_TRY(sac_json_get_array(json, "sources", &sources, o->program, error));
    SAC_TRY(sac_json_get_object(json_array_get(sources, 0), "timing", &timing, o->program, error));
    SAC_TRY(sac_json_get_real(timing, "load_ms", 0, 1e9, load_ms, o->program, error));
    SAC_TRY(sac_json_get_real(timing, "plan_ms", 0, 1e9, plan_ms, o->program, error));
    SAC_TRY(
        sac_json_get_real(timing, "start_to_first_score_ms", 0, 1e9, first_ms, o->program, error));
fail:
    json_decref(json);
    return status;
}

static sac_status check(const sac_startup_options *o, sac_error *error) {
    if (o->program == NULL || o->model == NULL || o->source == NULL)
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "the time to start needs a program, a model and a source");
    if (o->threads < 0 || o->threads > 1024)
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1, "%d threads, expected 0 to 1024",
                             o->threads);
    if (o->rounds < 1 || o->rounds > SAC_STARTUP_ROUNDS)
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1, "%d rounds, expected 1 to %d",
                             o->rounds, SAC_STARTUP_ROUNDS);
    return SAC_OK;
}

sac_status sac_startup_measure(sac_startup_result *result, const sac_startup_options *options,
                               sac_error *error) {
    sac_status status;
    printed out = {0};
    char threads[16];
    memset(result, 0, sizeof *result);
    SAC_TRY(check(options, error));
    SAC_TRY_ALLOC(out.text = sac_calloc(MOST_BYTES, 1));
    (void)snprintf(threads, sizeof threads, "%d", options->threads);
    // posix_spawn takes arguments that it does not change as char *.
    const char *arguments[20] = {options->program,
                                 "-m",
                                 options->model,
                                 "-t",
                                 threads,
                                 "--precision",
                                 sac_precision_name(options->precision),
                                 "--max-frames",
                                 "1",
                                 "--quiet",
                                 "--progress",
                                 "never"};
    int count = 12;
    if (options->format != NULL) {
        arguments[count++] = "--format";
        arguments[count++] = options->format;
    }
    const int flag = count++; // changes from run to run
    arguments[count++] = "--";
    arguments[count++] = options->source;
    for (int round = -1; round < options->rounds; round++) {
        double load_ms = 0, plan_ms = 0, first_ms = 0;
        arguments[flag] = "--csv=-";
        SAC_TRY(run_program(&out, (char *const *)(uintptr_t)arguments, options, error));
        const double total_ms = 1e3 * out.row_s;
        if (!isfinite(total_ms))
            SAC_TRY(sac_error_set(error, SAC_ERROR_FORMAT, -1, "%s: prints no row of scores",
                                  options->program));
        arguments[flag] = "--json";
        SAC_TRY(run_program(&out, (char *const *)(uintptr_t)arguments, options, error));
        SAC_TRY(read_timing(&load_ms, &plan_ms, &first_ms, &out, options, error));
        if (round < 0) continue;
        result->ms[SAC_STARTUP_TOTAL][round] = total_ms;
        // Of two runs, so that it may come out below zero where the machine is busy.
        result->ms[SAC_STARTUP_PROGRAM][round] = fmax(0, total_ms - first_ms);
        result->ms[SAC_STARTUP_MODEL][round] = load_ms;
        result->ms[SAC_STARTUP_PLAN][round] = plan_ms;
        result->ms[SAC_STARTUP_FRAMES][round] = fmax(0, first_ms - load_ms - plan_ms);
        result->rounds = round + 1;
    }
    status = SAC_OK;
fail:
    if (status == SAC_ERROR_MEMORY)
        sac_error_set(error, status, -1, "no memory to measure the start");
    sac_free(out.text);
    return status;
}

sac_status sac_startup_figures(sac_figures *figures, const sac_startup_result *result,
                               sac_error *error) {
    sac_status status = SAC_OK;
    for (int p = 0; p < SAC_STARTUP_PARTS; p++) {
        char name[128];
        double copy[SAC_STARTUP_ROUNDS];
        memcpy(copy, result->ms[p], sizeof copy);
        snprintf(name, sizeof name, "start of student-run; %s", part_names[p]);
        const sac_figure figure = sac_figure_of_rounds(name, "ms", true, copy, result->rounds);
        SAC_TRY(sac_figures_add(figures, &figure, error));
    }
fail:
    return status;
}

json_t *sac_startup_json(const sac_startup_result *result) {
    static const char *const keys[SAC_STARTUP_PARTS] = {"program_ms", "model_ms", "plan_ms",
                                                        "frames_ms", "total_ms"};
    json_t *json = json_object();
    for (int p = 0; json != NULL && p < SAC_STARTUP_PARTS; p++) {
        json_t *rounds = json_array();
        for (int r = 0; rounds != NULL && r < result->rounds; r++)
            if (json_array_append_new(rounds, sac_json_number(result->ms[p][r])) < 0) break;
        if (json_object_set_new(json, keys[p], rounds) < 0) {
            json_decref(json);
            return NULL;
        }
    }
    return json;
}
