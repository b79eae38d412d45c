// Helpers around Jansson: strict typed access that names file and key, atomic saving, finite-or-null numbers.
#ifndef SAC_CORE_JSON_H
#define SAC_CORE_JSON_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h> // maintained JSON library in every Debian; we never write JSON by hand

#include "saccade/status.h"

// Parse; SAC_ERROR_FORMAT with name, line and column. At most 64 MiB.
SAC_NODISCARD sac_status sac_json_read(json_t **json, const char *path, sac_error *error);
SAC_NODISCARD sac_status sac_json_parse(json_t **json, const void *bytes, size_t size,
                                        const char *name, sac_error *error);
SAC_NODISCARD sac_status sac_json_write(const json_t *json, const char *path,
                                        sac_error *error); // atomic, indented, trailing newline
// json_real, or JSON null when the value is not finite.
json_t *sac_json_number(double value);
// Typed members; SAC_ERROR_FORMAT names `name` (the file), the key and the expected type or range. Borrowed results.
SAC_NODISCARD sac_status sac_json_get_int(const json_t *object, const char *key, int64_t lo,
                                          int64_t hi, int64_t *value, const char *name,
                                          sac_error *error);
SAC_NODISCARD sac_status sac_json_get_real(const json_t *object, const char *key, double lo,
                                           double hi, double *value, const char *name,
                                           sac_error *error);
SAC_NODISCARD sac_status sac_json_get_text(const json_t *object, const char *key,
                                           const char **value, const char *name, sac_error *error);
SAC_NODISCARD sac_status sac_json_get_bool(const json_t *object, const char *key, bool *value,
                                           const char *name, sac_error *error);
SAC_NODISCARD sac_status sac_json_get_array(const json_t *object, const char *key, json_t **value,
                                            const char *name, sac_error *error);
SAC_NODISCARD sac_status sac_json_get_object(const json_t *object, const char *key, json_t **value,
                                             const char *name, sac_error *error);

#endif
