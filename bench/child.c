// fork, exec and wait.
#include "bench/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { STARTUP_FAILED = 127 };

// In the child: only calls that are safe between fork and exec.
static void become(char *const *arguments, int log, int report, pid_t parent) {
    (void)setpgid(0, 0);
    (void)prctl(PR_SET_PDEATHSIG, SIGINT);
    if (getppid() != parent) _exit(STARTUP_FAILED);
    const int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (nothing >= 0 && dup2(nothing, 0) >= 0 && dup2(log, 1) >= 0 && dup2(log, 2) >= 0) {
        // An ignored signal would stay ignored.
        (void)signal(SIGINT, SIG_DFL);
        (void)signal(SIGTERM, SIG_DFL);
        (void)signal(SIGPIPE, SIG_DFL);
        execv(arguments[0], arguments);
    }
    const int cause = errno;
    if (write(report, &cause, sizeof cause) < 0) _exit(STARTUP_FAILED);
    _exit(STARTUP_FAILED);
}

static int exit_code(int state) {
    return WIFEXITED(state) ? WEXITSTATUS(state) : WIFSIGNALED(state) ? 128 + WTERMSIG(state) : 1;
}

static int watch(pid_t child, int (*poll)(void *user), void *user) {
    bool asked = false;
    int state = 0;
    struct timespec pause = {.tv_nsec = 6250000}; // at first: some children end at once
    for (;;) {
        const pid_t ended = waitpid(child, &state, WNOHANG);
        if (ended == child) return exit_code(state);
        if (ended < 0 && errno != EINTR) return 1;
        if (poll != NULL && !asked && poll(user) != 0) {
            (void)kill(child, SIGINT);
            asked = true;
        }
        (void)nanosleep(&pause, NULL);
        if (pause.tv_nsec < 200000000) pause.tv_nsec *= 2;
    }
}

sac_status sac_child_run(int *code, char *const *arguments, const char *log,
                         int (*poll)(void *user), void *user, sac_error *error) {
    int report[2], cause = 0;
    *code = 1;
    const int out = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (out < 0)
        return sac_error_set(error, SAC_ERROR_IO, -1, "%s: cannot be opened: %s", log,
                             strerror(errno));
    if (pipe2(report, O_CLOEXEC) != 0) {
        cause = errno;
        close(out);
        return sac_error_set(error, SAC_ERROR_BACKEND, -1, "no pipe for %s: %s", arguments[0],
                             strerror(cause));
    }
    const pid_t parent = getpid(), child = fork();
    if (child == 0) {
        close(report[0]);
        become(arguments, out, report[1], parent);
    }
    cause = errno;
    close(out);
    close(report[1]);
    if (child < 0) {
        close(report[0]);
        return sac_error_set(error, SAC_ERROR_BACKEND, -1, "no process for %s: %s", arguments[0],
                             strerror(cause));
    }
    // Closed by a successful exec; otherwise the cause comes out of it.
    ssize_t got;
    do got = read(report[0], &cause, sizeof cause);
    while (got < 0 && errno == EINTR);
    close(report[0]);
    *code = watch(child, poll, user);
    if (got == (ssize_t)sizeof cause)
        return sac_error_set(error, SAC_ERROR_IO, -1, "%s: cannot be started: %s", arguments[0],
                             strerror(cause));
    return SAC_OK;
}
