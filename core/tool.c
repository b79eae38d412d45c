// The shared face of the command-line tools: start, errors, progress, interruption, closing line.
// It prints and keeps the state of the one running process, so only `main` files under tools/ use
// it.
#include "core/tool.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/memory.h"
#include "core/time.h"
#include "saccade/version.h"

static double start_s;

void sac_tool_wait_passively(char **argv) {
    static const char variable[] = "OMP_WAIT_POLICY";
    if (getenv(variable) != NULL || setenv(variable, "passive", 1) != 0) return;
    (void)execv("/proc/self/exe", argv);
    // Still here: the tool runs as it would have without.
}

static sac_status print_config(const sac_command *command, const void *settings, sac_error *error) {
    json_t *json = sac_options_to_json(command, settings);
    char *text = json != NULL ? json_dumps(json, JSON_INDENT(2) | JSON_REAL_PRECISION(17)) : NULL;
    json_decref(json);
    if (text == NULL) return sac_error_set(error, SAC_ERROR_MEMORY, -1, "no memory for the config");
    puts(text);
    free(text);
    return SAC_OK;
}

int sac_tool_start(const sac_command *command, void *settings, int argc, char **argv,
                   sac_options_result *result) {
    sac_error error = {0};
    start_s = sac_time_s();
    // A reader that goes away is a failed write like any other: temporary files are removed.
    (void)signal(SIGPIPE, SIG_IGN);
    sac_status status = sac_options_parse(command, settings, argc, argv, result, &error);
    if (status < 0) {
        fprintf(stderr, "%s: %s\n", command->name,
                error.message[0] != '\0' ? error.message : sac_status_name(status));
        if (status != SAC_ERROR_ARGUMENT) return SAC_EXIT_FAILED;
        fprintf(stderr, "Try '%s --help'.\n", command->name);
        return SAC_EXIT_USAGE;
    }
    if (!result->help && !result->version && !result->print_config) return -1;
    if (result->help) {
        sac_options_print_help(command, stdout);
    } else if (result->print_config) {
        status = print_config(command, settings, &error);
        if (status < 0) {
            sac_options_close(result);
            return sac_tool_fail(command->name, status, &error);
        }
    } else {
        const char *commit = sac_commit();
        printf("%s %s%s%s%s\n", command->name, sac_version(), commit[0] != '\0' ? " (commit " : "",
               commit, commit[0] != '\0' ? ")" : "");
    }
    sac_options_close(result);
    status = sac_tool_flush(&error);
    return status < 0 ? sac_tool_fail(command->name, status, &error) : SAC_EXIT_OK;
}

sac_status sac_tool_flush(sac_error *error) {
    if (fflush(stdout) != 0)
        return sac_error_set(error, SAC_ERROR_IO, -1, "standard output: cannot be written: %s",
                             strerror(errno));
    // The cause was known to whoever wrote then.
    if (ferror(stdout))
        return sac_error_set(error, SAC_ERROR_IO, -1, "standard output: an earlier write failed");
    return SAC_OK;
}

int sac_tool_fail(const char *name, sac_status status, const sac_error *error) {
    const char *message =
        error != NULL && error->message[0] != '\0' ? error->message : sac_status_name(status);
    fflush(stdout); // results before the reason, also when both go to one file
    fprintf(stderr, "%s: %s\n", name, message);
    if (status == SAC_ERROR_ARGUMENT) return SAC_EXIT_USAGE;
    return status == SAC_ERROR_INTERRUPTED ? SAC_EXIT_INTERRUPTED : SAC_EXIT_FAILED;
}

static void log_message(const char *name, sac_log_level level, const char *message) {
    const char *word = level == SAC_LOG_WARNING ? "warning: "
                       : level == SAC_LOG_ERROR ? "error: "
                                                : "";
    fprintf(stderr, "%s: %s%s\n", name, word, message);
}

static void log_normal(void *user, sac_log_level level, const char *message) {
    if (level != SAC_LOG_DEBUG) log_message(user, level, message);
}

static void log_quiet(void *user, sac_log_level level, const char *message) {
    if (level == SAC_LOG_ERROR || level == SAC_LOG_WARNING) log_message(user, level, message);
}

sac_logger sac_tool_logger(const char *name, bool quiet) {
    // The callbacks only read the name; the public type has no const because other users write.
    return (sac_logger){.write = quiet ? log_quiet : log_normal, .user = (void *)(uintptr_t)name};
}

void sac_tool_finish(const char *name, bool quiet) {
    if (quiet) return;
    fprintf(stderr, "%s %s: %.2f s wall, %.2f s CPU, %.0f MiB peak\n", name, sac_version(),
            sac_time_s() - start_s, sac_cpu_time_s(), sac_peak_memory_bytes() / (1024.0 * 1024.0));
}

// ---- interruption -------------------------------------------------------------------------------

// Nanoseconds between the first signal and one that kills. `timeout` sends the same signal to the
// tool and to its process group, microseconds apart: that is one wish to stop, not two.
static const int64_t insist_ns = 500000000;

static volatile sig_atomic_t interrupted;
static _Atomic int64_t first_signal_ns; // 0: none yet; lock-free, so a handler may use it

// Only async-signal-safe calls: any thread may be here, in the midst of anything.
static void on_signal(int number) {
    int kept = errno;
    struct timespec time = {0};
    clock_gettime(CLOCK_MONOTONIC, &time);
    int64_t now = (int64_t)time.tv_sec * 1000000000 + time.tv_nsec, first = 0;
    if (!atomic_compare_exchange_strong(&first_signal_ns, &first, now) &&
        now - first >= insist_ns) {
        // Blocked while this runs: it strikes when the handler returns.
        signal(number, SIG_DFL);
        raise(number);
    }
    interrupted = 1;
    errno = kept;
}

void sac_interrupt_install(void) {
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    sigaddset(&action.sa_mask, SIGINT);
    sigaddset(&action.sa_mask, SIGTERM);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

bool sac_interrupted(void) {
    return interrupted != 0;
}

// ---- progress -----------------------------------------------------------------------------------

struct sac_progress {
    char *label, *unit;
    int64_t total, done;
    double start_s, shown_s;
    bool terminal; // redraw one line instead of adding lines
    bool enabled;
    int width; // characters of the line on the terminal
};

static const double terminal_interval_s = 1.0 / 6.0, line_interval_s = 10.0;

sac_status sac_progress_open(sac_progress **out, const char *label, const char *unit, int64_t total,
                             const sac_tool_settings *settings) {
    *out = NULL;
    sac_progress *progress = sac_calloc(1, sizeof *progress);
    if (progress == NULL) return SAC_ERROR_MEMORY;
    progress->label = sac_strdup(label);
    progress->unit = sac_strdup(unit);
    if (progress->label == NULL || progress->unit == NULL) {
        sac_progress_close(&progress);
        return SAC_ERROR_MEMORY;
    }
    progress->total = total;
    progress->start_s = progress->shown_s = sac_time_s();
    progress->terminal = isatty(STDERR_FILENO) == 1;
    bool never = settings->quiet || settings->progress == 2;
    progress->enabled = !never && (progress->terminal || settings->progress == 1);
    *out = progress;
    return SAC_OK;
}

static int format_line(const sac_progress *progress, double now_s, const char *note, char *line,
                       size_t size) {
    double elapsed = now_s - progress->start_s;
    double rate = elapsed > 0.0 ? (double)progress->done / elapsed : 0.0;
    int used = progress->total > 0 ? snprintf(line, size, "%.100s %lld/%lld", progress->label,
                                              (long long)progress->done, (long long)progress->total)
                                   : snprintf(line, size, "%.100s %lld", progress->label,
                                              (long long)progress->done);
    used += snprintf(line + used, size - (size_t)used, " %.*f %.40s/s", rate < 10.0 ? 2 : 0, rate,
                     progress->unit);
    if (progress->total > 0 && rate > 0.0 && progress->done <= progress->total) {
        double rest = (double)(progress->total - progress->done) / rate;
        if (rest < 1e9) {
            int64_t seconds = (int64_t)(rest + 0.5);
            used += snprintf(line + used, size - (size_t)used, " ETA %lld:%02d:%02d",
                             (long long)(seconds / 3600), (int)(seconds / 60 % 60),
                             (int)(seconds % 60));
        }
    }
    if (note != NULL) used += snprintf(line + used, size - (size_t)used, " %.120s", note);
    return used;
}

void sac_progress_update(sac_progress *progress, int64_t done, const char *note) {
    if (progress == NULL) return;
    progress->done = done;
    if (!progress->enabled) return;
    double now = sac_time_s();
    double interval = progress->terminal ? terminal_interval_s : line_interval_s;
    if (now - progress->shown_s < interval) return;
    progress->shown_s = now;
    char line[512];
    int length = format_line(progress, now, note, line, sizeof line);
    if (progress->terminal) {
        int rest = progress->width > length ? progress->width - length : 0;
        fprintf(stderr, "\r%s%*s", line, rest, "");
        progress->width = length;
        fflush(stderr);
    } else {
        fprintf(stderr, "%s\n", line);
    }
}

void sac_progress_close(sac_progress **slot) {
    if (slot == NULL || *slot == NULL) return;
    sac_progress *progress = *slot;
    if (progress->enabled && progress->terminal && progress->width > 0) {
        fprintf(stderr, "\r%*s\r", progress->width, "");
        fflush(stderr);
    }
    sac_free(progress->label);
    sac_free(progress->unit);
    sac_free(progress);
    *slot = NULL;
}
