// One program run as a child: started in its own process group with its output in a file, watched,
// asked to stop, waited for.
#ifndef SAC_BENCH_CHILD_H
#define SAC_BENCH_CHILD_H

#include <stdbool.h>

#include "saccade/status.h"

// arguments  argv [count] followed by NULL; [0] is the path of the program
// log        file that its standard output and error are appended to
// poll       called about five times a second while it runs; nonzero: the child gets SIGINT once
//            and is waited for; NULL: none
// code       receives its exit code, or 128 + signal
// The child gets SIGINT too when this process dies. SAC_ERROR_IO: the log cannot be opened, or the
// program not started (named); SAC_ERROR_BACKEND: no new process.
SAC_NODISCARD sac_status sac_child_run(int *code, char *const *arguments, const char *log,
                                       int (*poll)(void *user), void *user, sac_error *error);

#endif
