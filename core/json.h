// Helpers around Jansson: checked typed access that names file and key, atomic saving,
// finite-or-null numbers.
#ifndef SAC_CORE_JSON_H
#define SAC_CORE_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "saccade/status.h"

// Reads JSON (at most 64 MiB, UTF-8, no duplicate keys) from a file, or from `size` bytes that
// `name` stands for in messages.
//   SAC_ERROR_IO      the file cannot be opened or read
//   SAC_ERROR_FORMAT  not valid JSON; the message holds line and column, error->position the byte
//   SAC_ERROR_MEMORY
// The caller owns the reference *json, which is NULL after an error.
SAC_NODISCARD sac_status sac_json_read(json_t **json, const char *path, sac_error *error);
SAC_NODISCARD sac_status sac_json_parse(json_t **json, const void *bytes, size_t size,
                                        const char *name, sac_error *error);

// Saves atomically, indented, with a line break at the end; numbers survive a round trip exactly.
// `json` may be NULL, which building it on too little memory leaves behind: SAC_ERROR_MEMORY.
// SAC_ERROR_IO: the file cannot be written.
SAC_NODISCARD sac_status sac_json_write(const json_t *json, const char *path, sac_error *error);

// New reference to a text of foreign origin, such as a path or a name, which need not be the UTF-8
// that JSON is: what sac_text_utf8 (core/text.h) makes of it; null of NULL. NULL when memory is
// short, which json_pack's "o" and json_object_set_new take for a failure.
json_t *sac_json_text(const char *text);

// New reference to a number, or to null when `value` is not finite, which JSON cannot express.
json_t *sac_json_number(double value);

// Member `key` of `object` (which may be NULL or no object: that is reported too), of the type in
// the function's name and, for numbers, within [lo, hi]. SAC_ERROR_FORMAT names `name` (the file),
// the key and what was expected; *value is only written on success. Texts, arrays and objects are
// borrowed from `object`. get_real takes integers as well.
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
