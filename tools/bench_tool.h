// What the commands of student-bench share: progress, warnings, lists of threads, handing out
// results. Each command is one file bench_<command>.c with a function of the table in
// student_bench.c.
#ifndef SAC_TOOLS_BENCH_TOOL_H
#define SAC_TOOLS_BENCH_TOOL_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "bench/machine.h"
#include "core/tool.h"
#include "saccade/status.h"
#include "teachers/clip_truth.h"

#define BENCH_NAME "student-bench"

// Where ground-truth regions come from; the commands that need them share the options.
typedef struct bench_truth {
    const char *tracks;
    int64_t tracks_from, min_region, join_regions, track_gap;
} bench_truth;
sac_truth_source bench_truth_source(const bench_truth *truth);
// clang-format off
#define BENCH_TRUTH_OPTIONS(kind)                                                                  \
    {.name = "tracks", .type = SAC_OPTION_TEXT, .offset = offsetof(kind, truth.tracks),            \
     .argument = "DIR", .help = "ground truth from track files CLIP.txt with lines "               \
     "track_id,frame,x1,y1,x2,y2, instead of from the masks"},                                     \
    {.name = "tracks-from", .type = SAC_OPTION_INT, .offset = offsetof(kind, truth.tracks_from),   \
     .min = 0, .max = 1, .argument = "N",                                                          \
     .help = "number of a clip's first frame in track files"},                                     \
    {.name = "min-region", .type = SAC_OPTION_INT, .offset = offsetof(kind, truth.min_region),     \
     .number = 10, .min = 1, .max = 1e9, .argument = "PX",                                         \
     .help = "pixels of the smallest region in a mask"},                                           \
    {.name = "join-regions", .type = SAC_OPTION_INT, .offset = offsetof(kind, truth.join_regions), \
     .number = 2, .min = -1, .max = 1024, .argument = "PX",                                        \
     .help = "parts of a mask at most so far apart are one region; -1: none"},                     \
    {.name = "track-gap", .type = SAC_OPTION_INT, .offset = offsetof(kind, truth.track_gap),       \
     .number = 5, .min = 0, .max = 10000, .argument = "FRAMES",                                    \
     .help = "frames a region of the masks may be out of sight and still be the same track"}
// clang-format on

int bench_main_eval(int argc, char **argv);
int bench_main_report(int argc, char **argv);
int bench_main_run(int argc, char **argv);
int bench_main_train(int argc, char **argv);
int bench_main_machine(int argc, char **argv);

// A display that opens at the first report, when the total is known.
typedef struct bench_display {
    const sac_tool_settings *settings;
    const char *label, *unit;
    sac_progress *progress;
} bench_display;
// Progress callback with the display as user; nonzero when the user wants to stop.
int bench_show(void *display, int64_t done, int64_t total);

void bench_warn(const sac_logger *logger, const char *message);
// Warns when other work was on the machine before the start.
void bench_warn_load(const sac_machine *machine, const sac_logger *logger);

// "1,2" to numbers in ascending order without repetition. SAC_ERROR_ARGUMENT.
SAC_NODISCARD sac_status bench_parse_threads(int *threads, int *count, int most, const char *text,
                                             sac_error *error);

SAC_NODISCARD sac_status bench_print_json(const json_t *json, sac_error *error);
// Markdown to its file and to stdout, JSON to its file; a "-" takes standard output for itself.
SAC_NODISCARD sac_status bench_hand_out(const json_t *json, const char *json_path,
                                        const char *markdown, const char *markdown_path,
                                        bool print_markdown, sac_error *error);
// Exit code and closing line.
int bench_finish(const char *name, sac_status status, const sac_error *error, bool quiet);

// The common flags that also fit commands whose -t is a list and whose --json is a file.
#define BENCH_QUIET_OPTIONS(kind)                                                                  \
    {.name = "progress",                                                                           \
     .type = SAC_OPTION_CHOICE,                                                                    \
     .offset = offsetof(kind, tool.progress),                                                      \
     .choices = "auto|always|never",                                                               \
     .help = "progress lines on standard error; auto: only on a terminal"},                        \
    {                                                                                              \
        .name = "quiet", .letter = 'q', .type = SAC_OPTION_BOOL,                                   \
        .offset = offsetof(kind, tool.quiet), .help = "print results and errors only"              \
    }

#endif
