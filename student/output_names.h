// Names of the files that one run over several sources writes: one pattern per kind of output, one
// file per source. Everything that can be found wrong with them is found before the first frame is
// read.
#ifndef SAC_STUDENT_OUTPUT_NAMES_H
#define SAC_STUDENT_OUTPUT_NAMES_H

#include <stdint.h>

#include "saccade/status.h"

typedef enum sac_output_kind {
    SAC_OUTPUT_CSV,
    SAC_OUTPUT_JSONL,
    SAC_OUTPUT_MAPS,
    SAC_OUTPUT_OVERLAY,
    SAC_OUTPUT_REPORT,
    SAC_OUTPUT_COUNT
} sac_output_kind;

const char *sac_output_option(sac_output_kind kind); // "csv", "jsonl", "maps", "overlay", "report"

// The name a source gives to its files: its last component without file ending, the folder's name
// for a pattern such as "clip/%04d.png"; of ASCII all but letters, digits, '.', '_' and '-' becomes
// '_'. sac_free it; NULL on lack of memory.
char *sac_output_source_name(const char *source);

// paths [count][SAC_OUTPUT_COUNT]; NULL: not wanted; "-": standard output (CSV and JSON lines).
typedef struct sac_output_names {
    char **paths;
    int64_t count;
} sac_output_names;

// Resolves patterns[SAC_OUTPUT_COUNT] (NULL: not wanted) for count >= 1 sources. In a pattern every
// "{}" is replaced by the source's name; a folder (existing, or ending in '/', then made) holds one
// file "<source's name>.<ending>" per source.
//   model  path that no output may replace, as no output may replace a source
// SAC_ERROR_ARGUMENT: several sources and one file name, two outputs with one name, an output that
// is an input, "-" for a binary or used twice; SAC_ERROR_IO: an output cannot be created (tried
// here, nothing is left behind); SAC_ERROR_MEMORY.
SAC_NODISCARD sac_status sac_output_names_resolve(sac_output_names *names,
                                                  const char *const *patterns,
                                                  const char *const *sources, int64_t count,
                                                  const char *model, sac_error *error);
const char *sac_output_names_get(const sac_output_names *names, int64_t source,
                                 sac_output_kind kind);
void sac_output_names_close(sac_output_names *names);

#endif
