// What every command-line tool shares: common flags, error printing, progress, interruption,
// closing line. Only the `main` files include this; the library never prints.
#ifndef SAC_CORE_TOOL_H
#define SAC_CORE_TOOL_H

#include <stdbool.h>
#include <stdint.h>

#include "core/options.h"
#include "saccade/status.h"

enum { SAC_EXIT_OK = 0, SAC_EXIT_FAILED = 1, SAC_EXIT_USAGE = 2, SAC_EXIT_INTERRUPTED = 130 };

// Common settings; put one at the start of each tool's settings struct as member `tool` and
// SAC_TOOL_OPTIONS(type) into its table: -t/--threads, --seed, --json, --progress
// auto|always|never, --quiet; SAC_TOOL_OPTIONS_UNSEEDED where nothing is random: the same without
// --seed.
typedef struct sac_tool_settings {
    int64_t threads; // 0: all cores
    int64_t seed;
    bool json;    // machine-readable results on stdout
    int progress; // 0 auto, 1 always, 2 never
    bool quiet;
} sac_tool_settings;

// clang-format off
#define SAC_TOOL_OPTIONS(owner)                                                                    \
    SAC_TOOL_OPTIONS_UNSEEDED(owner),                                                              \
    {.name = "seed", .type = SAC_OPTION_INT, .offset = offsetof(owner, tool.seed), .number = 1,    \
     .min = 0, .max = 9007199254740992.0, .argument = "N", .help = "seed of everything random"}
#define SAC_TOOL_OPTIONS_UNSEEDED(owner)                                                           \
    {.name = "", .help = "Common options"},                                                        \
    {.name = "threads", .letter = 't', .type = SAC_OPTION_INT,                                     \
     .offset = offsetof(owner, tool.threads), .number = 0, .min = 0, .max = 1024, .argument = "N", \
     .help = "compute threads; 0 uses every core"},                                                \
    {.name = "json", .type = SAC_OPTION_BOOL, .offset = offsetof(owner, tool.json),                \
     .help = "print results as JSON on standard output"},                                          \
    {.name = "progress", .type = SAC_OPTION_CHOICE, .offset = offsetof(owner, tool.progress),      \
     .choices = "auto|always|never",                                                               \
     .help = "progress lines on standard error; auto: only on a terminal"},                        \
    {.name = "quiet", .letter = 'q', .type = SAC_OPTION_BOOL,                                      \
     .offset = offsetof(owner, tool.quiet), .help = "print results and errors only"}
// clang-format on

// To be called first in `main` of a tool that computes: begins the program again with
// OMP_WAIT_POLICY=passive unless the person has set that variable. OpenMP's threads spin for
// milliseconds behind every parallel region otherwise, and where anything else wants the cores a
// run takes many times its time. The runtime library reads the variable before `main`, hence the
// second start (a millisecond); where that cannot be done nothing changes.
//   argv  as given to `main`
void sac_tool_wait_passively(char **argv);

// Parses the command line (see sac_options_parse) and answers --help, --version and mistakes.
// Returns -1 to go on, the caller then owns *result; otherwise the exit code main must return at
// once. Call it first: the closing line counts from here. From here on, too, a write to a closed
// pipe fails instead of killing (SIGPIPE is ignored).
int sac_tool_start(const sac_command *command, void *settings, int argc, char **argv,
                   sac_options_result *result);

// Prints "name: message" on stderr (the status name when there is no message) and returns the exit
// code: 2 for SAC_ERROR_ARGUMENT, 130 for SAC_ERROR_INTERRUPTED, otherwise 1.
int sac_tool_fail(const char *name, sac_status status, const sac_error *error);

// Writes out what stdout still buffers. SAC_ERROR_IO when anything printed so far was lost (disk
// full, closed pipe): call it before a successful return from main.
SAC_NODISCARD sac_status sac_tool_flush(sac_error *error);

// Logger that writes "name: message" to stderr; `quiet` keeps warnings and errors only. `name` must
// outlive it.
sac_logger sac_tool_logger(const char *name, bool quiet);

// Closing line on stderr: version, wall and CPU time, peak resident memory. Silent when `quiet`.
void sac_tool_finish(const char *name, bool quiet);

// From here on SIGINT and SIGTERM set a flag instead of killing; long loops poll the flag. One that
// comes half a second or more after the first kills; one that comes sooner is the same wish to stop
// (`timeout` sends its signal twice) and does nothing more.
void sac_interrupt_install(void);
bool sac_interrupted(void);

// Progress on stderr: "label done/total rate unit/s ETA h:mm:ss note". On a terminal one line that
// is redrawn at most six times a second; with `--progress always` and no terminal a line per 10 s;
// otherwise, and with --quiet, nothing. One thread at a time.
typedef struct sac_progress sac_progress;

// `unit` is what is counted ("frames"); `total` 0 when it is not known, which leaves the ETA out.
// SAC_ERROR_MEMORY.
SAC_NODISCARD sac_status sac_progress_open(sac_progress **progress, const char *label,
                                           const char *unit, int64_t total,
                                           const sac_tool_settings *settings);

// `done` so far, counted from 0; `note` (may be NULL) is put behind. NULL-safe and cheap enough for
// every step.
void sac_progress_update(sac_progress *progress, int64_t done, const char *note);

// Clears the line. NULL-safe; sets *progress to NULL.
void sac_progress_close(sac_progress **progress);

#endif
