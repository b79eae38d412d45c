// What the commands of student-bench share: progress, warnings, lists of threads, handing out
// results. Each command is one file bench_<command>.c with a function of the table in
// student_bench.c.
#ifndef SAC_TOOLS_BENCH_TOOL_H
#define SAC_TOOLS_BENCH_TOOL_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "bench/figures.h"
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

int bench_main_compare(int argc, char **argv);
int bench_main_eval(int argc, char **argv);
int bench_main_layers(int argc, char **argv);
int bench_main_machine(int argc, char **argv);
int bench_main_pareto(int argc, char **argv);
int bench_main_peers(int argc, char **argv);
int bench_main_report(int argc, char **argv);
int bench_main_run(int argc, char **argv);
int bench_main_scenarios(int argc, char **argv);
int bench_main_suite(int argc, char **argv);
int bench_main_train(int argc, char **argv);

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

// `table` behind a line about the machine and this version (sac_free it); NULL when `table` is, or
// on lack of memory.
char *bench_headed(const sac_machine *machine, const char *table);
// Where a command's results go; NULL: not wanted. The table stands on standard output unless
// something else is sent there by "-".
typedef struct bench_outputs {
    const char *json, *markdown, *csv, *plot;
    bool print_json; // on standard output, whatever file there is of it
} bench_outputs;
// clang-format off
// Rows for a settings struct `kind` with a bench_outputs `outputs`.
#define BENCH_FILE_OPTIONS(kind)                                                                   \
    {.name = "json", .type = SAC_OPTION_TEXT, .offset = offsetof(kind, outputs.json),              \
     .argument = "FILE",                                                                           \
     .help = "write the results as JSON; - for standard output instead of the table"},             \
    {.name = "markdown", .type = SAC_OPTION_TEXT, .offset = offsetof(kind, outputs.markdown),      \
     .argument = "FILE", .help = "write the table as Markdown"},                                   \
    {.name = "csv", .type = SAC_OPTION_TEXT, .offset = offsetof(kind, outputs.csv),                \
     .argument = "FILE", .help = "write the table as CSV"}
#define BENCH_OUTPUT_OPTIONS(kind, shown)                                                          \
    {.name = "", .help = "Results"}, BENCH_FILE_OPTIONS(kind),                                     \
    {.name = "plot", .type = SAC_OPTION_TEXT, .offset = offsetof(kind, outputs.plot),              \
     .argument = "FILE", .help = "draw " shown "; .svg or .png"}
// clang-format on
// What can be wrong with the outputs is said before the work begins. SAC_ERROR_ARGUMENT: the ending
// of a picture, two results on standard output or in one file; SAC_ERROR_IO: a file that cannot be
// written.
SAC_NODISCARD sac_status bench_outputs_check(const bench_outputs *outputs, sac_error *error);
// SAC_ERROR_ARGUMENT: a result would be written over `input`, a file that is read. NULL and "-" are
// none.
SAC_NODISCARD sac_status bench_outputs_keep(const bench_outputs *outputs, const char *input,
                                            sac_error *error);
// First what belongs on standard output, then the files, each tried whatever became of those before
// it; the first failure is returned. The picture is the caller's, afterwards. NULL texts: lack of
// memory, a CSV that is not wanted excepted.
SAC_NODISCARD sac_status bench_outputs_write(const bench_outputs *outputs, const json_t *json,
                                             const char *markdown, const char *csv,
                                             sac_error *error);
// Bars of what share of its limit each figure reaches. Nothing when `path` is NULL or no figure has
// a limit (with a warning).
SAC_NODISCARD sac_status bench_plot_limits(const sac_figures *figures, const char *title,
                                           const char *path, const sac_logger *logger,
                                           sac_error *error);
// Adds "command", "settings" and "version" to a result; false on lack of memory.
bool bench_sign(json_t *json, const sac_command *command, const void *settings);
// A source to measure with: SOURCE as given, or a synthetic clip in a temporary folder.
typedef struct bench_clip {
    char *folder, *path; // owned; NULL when the source was given
    const char *source;
} bench_clip;
typedef struct bench_clip_settings {
    int64_t width, height, frames;
} bench_clip_settings;
// clang-format off
#define BENCH_CLIP_OPTIONS(kind)                                                                   \
    {.name = "", .help = "The synthetic clip used without SOURCE"},                                \
    {.name = "width", .type = SAC_OPTION_INT, .offset = offsetof(kind, clip.width),                \
     .number = 360, .min = 32, .max = 4096, .argument = "PX", .help = "width"},                    \
    {.name = "height", .type = SAC_OPTION_INT, .offset = offsetof(kind, clip.height),              \
     .number = 240, .min = 32, .max = 4096, .argument = "PX", .help = "height"},                   \
    {.name = "frames", .type = SAC_OPTION_INT, .offset = offsetof(kind, clip.frames),              \
     .number = 400, .min = 2, .max = 100000, .argument = "N", .help = "length"},                   \
    {.name = "seed", .type = SAC_OPTION_INT, .offset = offsetof(kind, tool.seed), .number = 1,     \
     .min = 0, .max = 9007199254740992.0, .argument = "N", .help = "seed of the scene"}
// The student that is measured.
#define BENCH_MODEL_OPTION(kind, what)                                                             \
    {.name = "model", .letter = 'm', .type = SAC_OPTION_TEXT, .offset = offsetof(kind, model),     \
     .argument = "MODEL", .help = what}
#define BENCH_PRECISION_OPTION(kind)                                                               \
    {.name = "precision", .type = SAC_OPTION_CHOICE, .offset = offsetof(kind, precision),          \
     .choices = "auto|f32|int8|bf16",                                                              \
     .help = "of the student; auto: int8 where the model holds scales and the CPU gains by it; "   \
     "bf16 needs AMX, else f32"}
// What is measured in interleaved rounds, and for how long; of what FFmpeg opens.
#define BENCH_ROUND_OPTIONS(kind)                                                                  \
    {.name = "repeats", .type = SAC_OPTION_INT, .offset = offsetof(kind, repeats), .number = 5,    \
     .min = 1, .max = 1000, .argument = "N", .help = "interleaved rounds; the median counts"},     \
    {.name = "seconds", .type = SAC_OPTION_REAL, .offset = offsetof(kind, seconds), .number = 1,   \
     .min = 0.001, .max = 600, .argument = "S", .help = "length of one measurement"},              \
    {.name = "format", .type = SAC_OPTION_TEXT, .offset = offsetof(kind, format),                  \
     .argument = "NAME", .help = "FFmpeg input format of the source, for devices"}
// clang-format on
// `source` NULL: the clip is rendered. SAC_ERROR_IO, SAC_ERROR_INTERRUPTED, SAC_ERROR_MEMORY.
SAC_NODISCARD sac_status bench_clip_open(bench_clip *clip, const char *source,
                                         const bench_clip_settings *settings,
                                         const sac_tool_settings *tool, sac_error *error);
void bench_clip_close(bench_clip *clip); // removes the temporary clip; NULL-safe
// SAC_OK when the model can be opened: a damaged one must not cost the rendering of a clip first.
SAC_NODISCARD sac_status bench_check_model(const char *model, sac_error *error);
// Path of a program that lies beside this one (sac_free it); NULL on lack of memory.
char *bench_program_beside(const char *name);
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
