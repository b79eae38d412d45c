// Typed, checked access to Jansson values. Messages name the file, the key and what was expected.
#include "core/json.h"

#include <math.h>
#include <string.h>

#include "core/check.h"
#include "core/file.h"
#include "core/memory.h"
#include "core/text.h"

#define JSON_LIMIT ((size_t)64 << 20)

sac_status sac_json_parse(json_t **json, const void *bytes, size_t size, const char *name,
                          sac_error *error) {
    *json = NULL;
    if (size > JSON_LIMIT) {
        return sac_error_set(error, SAC_ERROR_FORMAT, -1,
                             "%s: %zu bytes of JSON, at most %zu are accepted", name, size,
                             JSON_LIMIT);
    }
    json_error_t cause;
    // An empty buffer may be NULL, which Jansson would take for a wrong argument.
    *json = json_loadb(size == 0 ? "" : bytes, size, JSON_REJECT_DUPLICATES, &cause);
    if (*json == NULL) {
        if (json_error_code(&cause) == json_error_out_of_memory) {
            return sac_error_set(error, SAC_ERROR_MEMORY, -1, "%s: no memory for its JSON", name);
        }
        return sac_error_set(error, SAC_ERROR_FORMAT, cause.position,
                             "%s: line %d, column %d: not valid JSON: %s", name, cause.line,
                             cause.column, cause.text);
    }
    return SAC_OK;
}

sac_status sac_json_read(json_t **json, const char *path, sac_error *error) {
    uint8_t *bytes = NULL;
    size_t size = 0;
    *json = NULL;
    sac_status status = SAC_OK;
    SAC_TRY(sac_file_read(&bytes, &size, path, JSON_LIMIT, error));
    SAC_TRY(sac_json_parse(json, bytes, size, path, error));
fail:
    sac_free(bytes);
    return status;
}

typedef struct dump_target {
    sac_file_writer *writer;
    sac_error *error;
    sac_status status;
} dump_target;

static int dump_bytes(const char *bytes, size_t size, void *user) {
    dump_target *target = user;
    target->status = sac_file_write(target->writer, bytes, size, target->error);
    return target->status < 0 ? -1 : 0;
}

sac_status sac_json_write(const json_t *json, const char *path, sac_error *error) {
    sac_file_writer *writer = NULL;
    sac_status status = SAC_OK;
    if (json == NULL) {
        return sac_error_set(error, SAC_ERROR_MEMORY, -1, "%s: no memory for its JSON", path);
    }
    SAC_TRY(sac_file_writer_open(&writer, path, error));
    dump_target target = {.writer = writer, .error = error};
    if (json_dump_callback(json, dump_bytes, &target, JSON_INDENT(2) | JSON_REAL_PRECISION(17)) !=
        0) {
        status = target.status < 0 ? target.status
                                   : sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                                                   "%s: the value cannot be written as JSON", path);
        goto fail;
    }
    SAC_TRY(sac_file_write(writer, "\n", 1, error));
    SAC_TRY(sac_file_writer_commit(&writer, error));
fail:
    sac_file_writer_close(&writer);
    return status;
}

json_t *sac_json_text(const char *text) {
    if (text == NULL) return json_null();
    char *clean = sac_text_utf8(text);
    json_t *json = clean != NULL ? json_string(clean) : NULL;
    sac_free(clean);
    return json;
}

json_t *sac_json_number(double value) {
    return isfinite(value) ? json_real(value) : json_null();
}

static const char *type_name(const json_t *value) {
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "an array";
    case JSON_STRING:
        return "a text";
    case JSON_INTEGER:
        return "an integer";
    case JSON_REAL:
        return "a real number";
    case JSON_TRUE:
    case JSON_FALSE:
        return "a truth value";
    case JSON_NULL:
        return "null";
    }
    return "something else";
}

// Member `key`; NULL with a message when it is absent.
static const json_t *member(const json_t *object, const char *key, const char *wanted,
                            const char *name, sac_error *error) {
    if (!json_is_object(object)) {
        sac_error_set(error, SAC_ERROR_FORMAT, -1,
                      "%s: \"%s\" was looked for in %s, not in an object", name, key,
                      object == NULL ? "nothing" : type_name(object));
        return NULL;
    }
    const json_t *value = json_object_get(object, key);
    if (value == NULL) {
        sac_error_set(error, SAC_ERROR_FORMAT, -1, "%s: \"%s\" is missing, %s was expected", name,
                      key, wanted);
    }
    return value;
}

static sac_status wrong_type(const json_t *value, const char *key, const char *wanted,
                             const char *name, sac_error *error) {
    return sac_error_set(error, SAC_ERROR_FORMAT, -1, "%s: \"%s\" is %s, %s was expected", name,
                         key, type_name(value), wanted);
}

sac_status sac_json_get_int(const json_t *object, const char *key, int64_t lo, int64_t hi,
                            int64_t *out, const char *name, sac_error *error) {
    const json_t *value = member(object, key, "an integer", name, error);
    if (value == NULL) return SAC_ERROR_FORMAT;
    if (!json_is_integer(value)) return wrong_type(value, key, "an integer", name, error);
    int64_t number = json_integer_value(value);
    if (number < lo || number > hi) {
        return sac_error_set(error, SAC_ERROR_FORMAT, -1,
                             "%s: \"%s\" is %lld, an integer from %lld to %lld was expected", name,
                             key, (long long)number, (long long)lo, (long long)hi);
    }
    *out = number;
    return SAC_OK;
}

sac_status sac_json_get_real(const json_t *object, const char *key, double lo, double hi,
                             double *out, const char *name, sac_error *error) {
    const json_t *value = member(object, key, "a number", name, error);
    if (value == NULL) return SAC_ERROR_FORMAT;
    if (!json_is_number(value)) return wrong_type(value, key, "a number", name, error);
    double number = json_number_value(value);
    if (!(number >= lo && number <= hi)) {
        return sac_error_set(error, SAC_ERROR_FORMAT, -1,
                             "%s: \"%s\" is %g, a number from %g to %g was expected", name, key,
                             number, lo, hi);
    }
    *out = number;
    return SAC_OK;
}

sac_status sac_json_get_text(const json_t *object, const char *key, const char **out,
                             const char *name, sac_error *error) {
    const json_t *value = member(object, key, "a text", name, error);
    if (value == NULL) return SAC_ERROR_FORMAT;
    if (!json_is_string(value)) return wrong_type(value, key, "a text", name, error);
    *out = json_string_value(value);
    return SAC_OK;
}

sac_status sac_json_get_bool(const json_t *object, const char *key, bool *out, const char *name,
                             sac_error *error) {
    const json_t *value = member(object, key, "true or false", name, error);
    if (value == NULL) return SAC_ERROR_FORMAT;
    if (!json_is_boolean(value)) return wrong_type(value, key, "true or false", name, error);
    *out = json_is_true(value);
    return SAC_OK;
}

sac_status sac_json_get_array(const json_t *object, const char *key, json_t **out, const char *name,
                              sac_error *error) {
    const json_t *value = member(object, key, "an array", name, error);
    if (value == NULL) return SAC_ERROR_FORMAT;
    if (!json_is_array(value)) return wrong_type(value, key, "an array", name, error);
    *out = json_object_get(object, key);
    return SAC_OK;
}

sac_status sac_json_get_object(const json_t *object, const char *key, json_t **out,
                               const char *name, sac_error *error) {
    const json_t *value = member(object, key, "an object", name, error);
    if (value == NULL) return SAC_ERROR_FORMAT;
    if (!json_is_object(value)) return wrong_type(value, key, "an object", name, error);
    *out = json_object_get(object, key);
    return SAC_OK;
}
