// The text of a Darknet `.cfg`: sections with key=value lines, read strictly. Knows where
// everything stands and which keys were asked for; what sections mean is nn/darknet.c's business.
#ifndef SAC_NN_DARKNET_CFG_H
#define SAC_NN_DARKNET_CFG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "saccade/status.h"

typedef struct sac_cfg_key {
    char *name, *value; // without blanks
    int64_t line;       // from 1
    bool used;          // a getter was asked for it
} sac_cfg_key;

typedef struct sac_cfg_section {
    char *name; // "convolutional"
    int64_t line;
    sac_cfg_key *keys; // [count]
    int64_t count, capacity;
} sac_cfg_section;

typedef struct sac_cfg {
    char *file, *text;         // the name in messages; the bytes that the others point into
    sac_cfg_section *sections; // [count]
    int64_t count, capacity;
} sac_cfg;

// As Darknet reads it: blanks are dropped everywhere, lines that begin with # or ; are comments.
// Beyond Darknet a # or ; also ends a value.
//   SAC_ERROR_FORMAT  a zero byte, more than 4096 sections or 256 keys in one, a section without
//                     ']', a line without '=', a key before the first section, a key or value that
//                     is empty; names file and line
//   SAC_ERROR_MEMORY
SAC_NODISCARD sac_status sac_cfg_parse(sac_cfg **cfg, const void *bytes, size_t size,
                                       const char *file, sac_error *error);
void sac_cfg_close(sac_cfg **cfg); // NULL-safe

// Value of a key, or `otherwise` when it is absent. SAC_ERROR_FORMAT: given twice, not a whole
// number (a number) or outside [lo, hi]; the message names file, line, key, value and range.
SAC_NODISCARD sac_status sac_cfg_int(const sac_cfg *cfg, sac_cfg_section *section, const char *key,
                                     int64_t otherwise, int64_t lo, int64_t hi, int64_t *value,
                                     sac_error *error);
SAC_NODISCARD sac_status sac_cfg_real(const sac_cfg *cfg, sac_cfg_section *section, const char *key,
                                      double otherwise, double lo, double hi, double *value,
                                      sac_error *error);
SAC_NODISCARD sac_status sac_cfg_text(const sac_cfg *cfg, sac_cfg_section *section, const char *key,
                                      const char *otherwise, const char **value, sac_error *error);
// Comma-separated numbers in [lo, hi], at most `capacity`; *count 0 when the key is absent.
SAC_NODISCARD sac_status sac_cfg_reals(const sac_cfg *cfg, sac_cfg_section *section,
                                       const char *key, double lo, double hi, double *values,
                                       int capacity, int *count, sac_error *error);
SAC_NODISCARD sac_status sac_cfg_ints(const sac_cfg *cfg, sac_cfg_section *section, const char *key,
                                      int64_t lo, int64_t hi, int64_t *values, int capacity,
                                      int *count, sac_error *error);
// Line of a key, or of the section when it has none.
int64_t sac_cfg_line(const sac_cfg_section *section, const char *key);
// SAC_ERROR_UNSUPPORTED when a key was neither asked for nor stands in `ignored` (space-separated
// names).
SAC_NODISCARD sac_status sac_cfg_check_used(const sac_cfg *cfg, const sac_cfg_section *section,
                                            const char *ignored, sac_error *error);

#endif
