// Processes of peer runtimes; see bench/peer.h. One socket pair carries both directions, so that
// writing to a process that has ended is an error and no signal.
#include "bench/peer.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/check.h"
#include "core/memory.h"
#include "core/time.h"

extern char **environ;

struct sac_peer {
    char name[64];
    pid_t pid; // 0: ended and waited for
    int fd;    // -1: closed
    char text[SAC_PEER_REPLY];
    size_t length; // of what has arrived and was not handed out
};

// This process's environment with OMP_NUM_THREADS set; the array is the caller's, its last text
// `threads_text`.
static char **environment(char threads_text[40], int threads) {
    int64_t count = 0;
    while (environ[count] != NULL) count++;
    char **copy = sac_calloc(count + 2, sizeof *copy);
    if (copy == NULL) return NULL;
    int64_t kept = 0;
    for (int64_t i = 0; i < count; i++) {
        if (strncmp(environ[i], "OMP_NUM_THREADS=", 16) != 0) copy[kept++] = environ[i];
    }
    (void)snprintf(threads_text, 40, "OMP_NUM_THREADS=%d", threads);
    copy[kept] = threads_text;
    return copy;
}

sac_status sac_peer_start(sac_peer **out, const char *command, const char *name, int threads,
                          sac_error *error) {
    sac_status status = SAC_OK;
    int ends[2] = {-1, -1};
    char **env = NULL;
    char threads_text[40];
    posix_spawn_file_actions_t actions;
    bool prepared = false;
    *out = NULL;
    sac_peer *peer = sac_calloc(1, sizeof *peer);
    SAC_TRY_ALLOC(peer);
    peer->fd = -1;
    (void)snprintf(peer->name, sizeof peer->name, "%s", name);
    SAC_TRY_ALLOC(env = environment(threads_text, threads));
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
        status = sac_error_set(error, SAC_ERROR_IO, -1, "%s: no socket pair: %s", command,
                               strerror(errno));
        goto fail;
    }
    if (posix_spawn_file_actions_init(&actions) != 0) {
        status = SAC_ERROR_MEMORY;
        goto fail;
    }
    prepared = true;
    if (posix_spawn_file_actions_adddup2(&actions, ends[1], 0) != 0 ||
        posix_spawn_file_actions_adddup2(&actions, ends[1], 1) != 0 ||
        posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0) != 0) {
        status = SAC_ERROR_MEMORY;
        goto fail;
    }
    char *arguments[3] = {(char *)(uintptr_t)command, (char *)(uintptr_t)name, NULL};
    const int failure = posix_spawn(&peer->pid, command, &actions, NULL, arguments, env);
    if (failure != 0) {
        peer->pid = 0;
        status = sac_error_set(error, SAC_ERROR_IO, -1, "%s cannot be started: %s", command,
                               strerror(failure));
        goto fail;
    }
    peer->fd = ends[0];
    ends[0] = -1;
    *out = peer;
    peer = NULL;
fail:
    if (prepared) (void)posix_spawn_file_actions_destroy(&actions);
    if (ends[0] >= 0) close(ends[0]);
    if (ends[1] >= 0) close(ends[1]);
    sac_free(env);
    sac_free(peer);
    return status < 0 ? sac_error_set(error, status, -1, "%s: %s", command, sac_status_name(status))
                      : SAC_OK;
}

// Ends the process; how it ended goes into `text` ("exit code 1", "killed").
static void end_process(sac_peer *peer, bool at_once, char *text, size_t size) {
    int state = 0;
    if (size > 0) text[0] = '\0';
    if (peer->fd >= 0) close(peer->fd);
    peer->fd = -1;
    if (peer->pid == 0) return;
    const double start = sac_time_s();
    pid_t got = 0;
    if (at_once) kill(peer->pid, SIGKILL);
    while ((got = waitpid(peer->pid, &state, WNOHANG)) == 0 || (got < 0 && errno == EINTR)) {
        if (sac_time_s() - start > 2) kill(peer->pid, SIGKILL);
        const struct timespec pause = {.tv_nsec = 5000000};
        nanosleep(&pause, NULL);
    }
    peer->pid = 0;
    if (size == 0) return;
    if (got > 0 && WIFEXITED(state)) {
        (void)snprintf(text, size, "exit code %d", WEXITSTATUS(state));
    } else if (got > 0 && WIFSIGNALED(state)) {
        (void)snprintf(text, size, "signal %d", WTERMSIG(state));
    }
}

static sac_status died(sac_peer *peer, sac_error *error, const char *what) {
    char how[32];
    end_process(peer, false, how, sizeof how);
    return sac_error_set(error, SAC_ERROR_BACKEND, -1, "%s: %s%s%s", peer->name, what,
                         how[0] != '\0' ? ": " : "", how);
}

// Takes the first line out of what has arrived.
static bool take_line(sac_peer *peer, char *reply) {
    char *end = memchr(peer->text, '\n', peer->length);
    if (end == NULL) return false;
    const size_t length = (size_t)(end - peer->text);
    memcpy(reply, peer->text, length);
    reply[length] = '\0';
    peer->length -= length + 1;
    memmove(peer->text, end + 1, peer->length);
    return true;
}

// What came behind the last line feed of a process that has ended. Not for answers: one that died
// while it spoke has said something else.
static bool take_rest(sac_peer *peer, char *reply) {
    if (peer->length == 0) return false;
    memcpy(reply, peer->text, peer->length);
    reply[peer->length] = '\0';
    peer->length = 0;
    return true;
}

// *ended: the other side has closed (then without a line there is none to come).
static sac_status read_line(sac_peer *peer, char *reply, double deadline_s, bool *ended,
                            int (*stop)(void *user), void *user, sac_error *error) {
    *ended = false;
    while (!take_line(peer, reply)) {
        if (peer->length == sizeof peer->text - 1) {
            end_process(peer, true, NULL, 0);
            return sac_error_set(error, SAC_ERROR_BACKEND, -1, "%s: answers more than %zu bytes",
                                 peer->name, sizeof peer->text - 1);
        }
        if (stop != NULL && stop(user) != 0)
            return sac_error_set(error, SAC_ERROR_INTERRUPTED, -1, "interrupted");
        if (sac_time_s() > deadline_s) {
            end_process(peer, true, NULL, 0);
            return sac_error_set(error, SAC_ERROR_BACKEND, -1, "%s: no answer in time", peer->name);
        }
        struct pollfd wait = {.fd = peer->fd, .events = POLLIN};
        if (poll(&wait, 1, 50) <= 0) continue;
        const ssize_t got =
            recv(peer->fd, peer->text + peer->length, sizeof peer->text - 1 - peer->length, 0);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) {
            *ended = true;
            return SAC_OK;
        }
        peer->length += (size_t)got;
    }
    return SAC_OK;
}

sac_status sac_peer_ask(sac_peer *peer, char *reply, double timeout_s, int (*stop)(void *user),
                        void *user, sac_error *error, const char *format, ...) {
    sac_status status = SAC_OK;
    char line[4 * SAC_PEER_REPLY];
    bool ended = false;
    va_list list;
    reply[0] = '\0';
    va_start(list, format);
    const int length = vsnprintf(line, sizeof line - 1, format, list);
    va_end(list);
    if (length < 0 || length >= (int)sizeof line - 1 || strchr(line, '\n') != NULL)
        return sac_error_set(error, SAC_ERROR_BACKEND, -1,
                             "%s: a question of %d bytes, or of more "
                             "than one line",
                             peer->name, length);
    if (peer->fd < 0)
        return sac_error_set(error, SAC_ERROR_BACKEND, -1, "%s: has ended", peer->name);
    line[length] = '\n';
    for (size_t sent = 0; sent < (size_t)length + 1;) {
        const ssize_t got = send(peer->fd, line + sent, (size_t)length + 1 - sent, MSG_NOSIGNAL);
        if (got < 0 && errno == EINTR) continue;
        // What it said before it ended may tell why.
        if (got < 0) break;
        sent += (size_t)got;
    }
    SAC_TRY(read_line(peer, reply, sac_time_s() + timeout_s, &ended, stop, user, error));
    if (ended) {
        status = died(peer, error, "ended without an answer");
        goto fail;
    }
    if (strncmp(reply, "error", 5) == 0 && (reply[5] == ' ' || reply[5] == '\0'))
        status = sac_error_set(error, SAC_ERROR_BACKEND, -1, "%s: %s", peer->name,
                               reply[5] != '\0' ? reply + 6 : "fails without a reason");
fail:
    return status;
}

void sac_peer_close(sac_peer **peer) {
    if (peer == NULL || *peer == NULL) return;
    if ((*peer)->fd >= 0) (void)send((*peer)->fd, "quit\n", 5, MSG_NOSIGNAL);
    end_process(*peer, false, NULL, 0);
    sac_free(*peer);
    *peer = NULL;
}

static bool name_fits(const char *name) {
    const size_t length =
        strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.");
    return length > 0 && name[length] == '\0' && length < sizeof((sac_peer_entry *)0)->name;
}

// "peer NAME PRECISION ..." or "skip NAME PRECISION REASON"
static bool entry_of(sac_peer_entry *entry, char *line) {
    char *rest = line, *word[3] = {NULL, NULL, NULL};
    for (int i = 0; i < 3; i++) word[i] = strsep(&rest, " ");
    if (word[2] == NULL || !name_fits(word[1]) ||
        (strcmp(word[2], "f32") != 0 && strcmp(word[2], "int8") != 0))
        return false;
    const bool skip = strcmp(word[0], "skip") == 0;
    if (!skip && strcmp(word[0], "peer") != 0) return false;
    memset(entry, 0, sizeof *entry);
    (void)snprintf(entry->name, sizeof entry->name, "%s", word[1]);
    (void)snprintf(entry->precision, sizeof entry->precision, "%s", word[2]);
    if (skip)
        (void)snprintf(entry->reason, sizeof entry->reason, "%s",
                       rest != NULL && rest[0] != '\0' ? rest : "no reason given");
    return true;
}

sac_status sac_peer_list(sac_peer_entry *entries, int *count, const char *command, double timeout_s,
                         sac_error *error) {
    sac_status status = SAC_OK;
    sac_peer *peer = NULL;
    char line[SAC_PEER_REPLY], how[32];
    bool ended = false;
    *count = 0;
    SAC_TRY(sac_peer_start(&peer, command, "list", 1, error));
    const double deadline_s = sac_time_s() + timeout_s;
    for (;;) {
        SAC_TRY(read_line(peer, line, deadline_s, &ended, NULL, NULL, error));
        if (ended && !take_rest(peer, line)) break;
        char shown[80];
        (void)snprintf(shown, sizeof shown, "%.79s", line);
        bool fits = *count < SAC_PEERS_MOST && entry_of(&entries[*count], line);
        for (int i = 0; i < *count && fits; i++)
            fits = strcmp(entries[i].name, entries[*count].name) != 0;
        if (!fits) {
            status = sac_error_set(error, SAC_ERROR_FORMAT, *count,
                                   "%s list: line %d, '%s', expected \"peer NAME f32|int8\" or "
                                   "\"skip NAME f32|int8 REASON\", each name once and at most %d",
                                   command, *count + 1, shown, SAC_PEERS_MOST);
            goto fail;
        }
        ++*count;
    }
    end_process(peer, false, how, sizeof how);
    if (strcmp(how, "exit code 0") != 0) {
        status = sac_error_set(error, SAC_ERROR_BACKEND, -1, "%s list fails: %s", command, how);
    } else if (*count == 0) {
        status = sac_error_set(error, SAC_ERROR_FORMAT, -1, "%s list names no peer", command);
    }
fail:
    sac_peer_close(&peer);
    if (status < 0) *count = 0;
    return status;
}
