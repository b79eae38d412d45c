// A tiny command-line tool for tests/cli_core_tool.sh: it does what real tools do with core/tool.h
// and nothing else.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/tool.h"

typedef struct settings {
    sac_tool_settings tool;
    const char *act;
} settings;

static const sac_option options[] = {
    {.name = "act",
     .type = SAC_OPTION_TEXT,
     .offset = offsetof(settings, act),
     .help = "what to do: fail, wait, ignore, threads, log, progress, print or flood"},
    SAC_TOOL_OPTIONS(settings),
    {.name = NULL},
};

static const sac_command command = {.name = "tool-probe",
                                    .usage = "[options]",
                                    .description = "Checks the common parts of the tools.",
                                    .options = options};

static int act(const settings *s) {
    sac_error error = {0};
    if (strcmp(s->act, "fail") == 0) {
        sac_status status = sac_error_set(&error, SAC_ERROR_FORMAT, 3, "clip.csv: line 3 is wrong");
        return sac_tool_fail(command.name, status, &error);
    }
    if (strcmp(s->act, "fail-silently") == 0)
        return sac_tool_fail(command.name, SAC_ERROR_MEMORY, &error);
    if (strcmp(s->act, "wait") == 0) {
        sac_interrupt_install();
        printf("waiting\n");
        fflush(stdout);
        for (int i = 0; i < 1000 && !sac_interrupted(); i++)
            nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
        return sac_interrupted() ? sac_tool_fail(command.name, SAC_ERROR_INTERRUPTED, &error)
                                 : SAC_EXIT_FAILED;
    }
    if (strcmp(s->act, "ignore") == 0) {
        sac_interrupt_install();
        printf("waiting\n");
        fflush(stdout);
        for (int i = 0; i < 1000; i++) nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
        return SAC_EXIT_FAILED;
    }
    if (strcmp(s->act, "threads") == 0) printf("%s\n", getenv("OMP_WAIT_POLICY"));
    if (strcmp(s->act, "log") == 0) {
        sac_logger logger = sac_tool_logger(command.name, s->tool.quiet);
        logger.write(logger.user, SAC_LOG_ERROR, "an error");
        logger.write(logger.user, SAC_LOG_WARNING, "a warning");
        logger.write(logger.user, SAC_LOG_INFO, "a remark");
        logger.write(logger.user, SAC_LOG_DEBUG, "a detail");
    }
    if (strcmp(s->act, "progress") == 0) {
        sac_progress *progress = NULL;
        if (sac_progress_open(&progress, "teach", "frames", 40, &s->tool) < 0)
            return SAC_EXIT_FAILED;
        for (int i = 1; i <= 40; i++) {
            nanosleep(&(struct timespec){.tv_nsec = 25000000}, NULL);
            sac_progress_update(progress, i, i > 30 ? "nearly" : NULL);
        }
        sac_progress_close(&progress);
        sac_progress_update(progress, 1, NULL);
    }
    if (strcmp(s->act, "flood") == 0) {
        for (int i = 0; i < 1000001; i++) printf("line %d\n", i);
    }
    if (strcmp(s->act, "print") == 0)
        printf("result %lld %lld\n", (long long)s->tool.threads, (long long)s->tool.seed);
    sac_status status = sac_tool_flush(&error);
    if (status < 0) return sac_tool_fail(command.name, status, &error);
    sac_tool_finish(command.name, s->tool.quiet);
    return SAC_EXIT_OK;
}

int main(int argc, char **argv) {
    sac_tool_wait_passively(argv);
    settings s;
    sac_options_result result;
    int code = sac_tool_start(&command, &s, argc, argv, &result);
    if (code >= 0) return code;
    code = s.act != NULL ? act(&s) : SAC_EXIT_OK;
    sac_options_close(&result);
    return code;
}
