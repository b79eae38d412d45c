// Under which conditions a student's scores came about, as far as they change them: precision,
// size and savings of the decoder, gate. student-calibrate takes and stores them in the model's
// calibration, student-run tells where its own differ.
#ifndef SAC_TOOLS_CONDITIONS_H
#define SAC_TOOLS_CONDITIONS_H

#include <stdbool.h>

#include <jansson.h>

#include "saccade/status.h"
#include "saccade/student.h"
#include "tools/decode_options.h"

typedef struct run_conditions {
    sac_precision precision; // that runs, not AUTO
    int width, height;       // of --size; 0: the source's
    bool gate;
    decode_settings decode; // without the threads
} run_conditions;

// "WIDTHxHEIGHT", sides 1..16384; NULL gives 0, 0. SAC_ERROR_ARGUMENT.
SAC_NODISCARD sac_status run_parse_size(int *width_px, int *height_px, const char *text,
                                        sac_error *error);
// Adds them to an object. SAC_ERROR_MEMORY.
SAC_NODISCARD sac_status run_conditions_store(json_t *object, const run_conditions *conditions);
// In which of the stored conditions, made so or by an older version that stored only the precision
// and knew no others, `now` differs: "size 64x48 (now source), gate off (now on)". Empty:
// in none. Untrustworthy members count as not stored.
void run_conditions_compare(char *text, size_t size, const json_t *stored,
                            const run_conditions *now);

#endif
