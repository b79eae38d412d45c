// Another runtime as a process that answers one line a command, and the list of those there are.
// Starting, asking with a time limit, ending; what is asked is bench/peers.h's business.
#ifndef SAC_BENCH_PEER_H
#define SAC_BENCH_PEER_H

#include <stdint.h>

#include "saccade/status.h"

#define SAC_PEER_REPLY 1024 // longest answer, with its end
#define SAC_PEERS_MOST 32

typedef struct sac_peer_entry {
    char name[48];     // "ort-f32": letters, digits, '-', '_', '.'
    char precision[8]; // "f32", "int8"
    char reason[256];  // why it cannot run; empty: it can
} sac_peer_entry;

// What `command list` prints: lines "peer NAME PRECISION ..." and "skip NAME PRECISION REASON".
// Waits at most `timeout_s`.
//   entries  [SAC_PEERS_MOST]
// SAC_ERROR_IO: the command cannot be started; SAC_ERROR_FORMAT: it prints something else, nothing
// at all, too many peers or one twice; SAC_ERROR_BACKEND: it fails or takes too long;
// SAC_ERROR_MEMORY.
SAC_NODISCARD sac_status sac_peer_list(sac_peer_entry *entries, int *count, const char *command,
                                       double timeout_s, sac_error *error);

typedef struct sac_peer sac_peer;
// Starts `command name` with pipes to its standard input and output; its standard error is dropped.
// The child keeps this process's processor affinity and gets OMP_NUM_THREADS = threads.
// SAC_ERROR_IO: it cannot be started; SAC_ERROR_MEMORY.
SAC_NODISCARD sac_status sac_peer_start(sac_peer **peer, const char *command, const char *name,
                                        int threads, sac_error *error);
// Sends one line (words separated by tabs, no line feed) and waits for the line that answers it.
//   reply      [SAC_PEER_REPLY]
//   stop       asked now and then while waiting; nonzero gives up; NULL: never
// SAC_ERROR_BACKEND: the answer is "error REASON" (error->message holds the reason), the process
// ended, answers too long a line, or not within `timeout_s` (it is then killed, and every further
// question fails); SAC_ERROR_INTERRUPTED: `stop` said so; SAC_ERROR_MEMORY.
SAC_NODISCARD sac_status sac_peer_ask(sac_peer *peer, char *reply, double timeout_s,
                                      int (*stop)(void *user), void *user, sac_error *error,
                                      const char *format, ...)
    __attribute__((format(printf, 7, 8)));
void sac_peer_close(sac_peer **peer); // asks it to quit, kills it after two seconds; NULL-safe

#endif
