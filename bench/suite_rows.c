// Rows of the ablation table from JSON, and the built-in ones.
#include "bench/suite_rows.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/check.h"
#include "core/json.h"
#include "core/memory.h"
#include "student/arch.h"

// What the suite decides itself, or what is no setting of a training.
static const char *const reserved[] = {
    "dataset", "teacher",  "output",      "resume",       "seed",         "threads",
    "json",    "progress", "quiet",       "config",       "check",        "help",
    "version", "max-time", "max-minutes", "print-config", "altered-cache"};

static void close_texts(char **texts, int64_t count) {
    for (int64_t i = 0; texts != NULL && i < count; i++) sac_free(texts[i]);
    sac_free(texts);
}

void sac_suite_rows_close(sac_suite_rows *rows) {
    if (rows == NULL) return;
    for (int64_t i = 0; i < rows->count; i++) {
        sac_suite_row *row = &rows->items[i];
        sac_free(row->name);
        sac_free(row->group);
        close_texts(row->teachers, row->teacher_count);
        close_texts(row->arguments, row->argument_count);
    }
    sac_free(rows->items);
    sac_free(rows->source);
    memset(rows, 0, sizeof *rows);
}

// ---- reading -----------------------------------------------------------------------------------

// A name for tables, file names and the command line: printable, without what Markdown and CSV give
// a meaning.
static sac_status check_name(const char *text, const char *what, const char *place,
                             sac_error *error) {
    const size_t length = strlen(text);
    bool good = length >= 1 && length <= 80;
    for (const char *c = text; *c != '\0'; c++)
        good = good && (unsigned char)*c >= 0x20 && strchr(",|\"", *c) == NULL;
    return good ? SAC_OK
                : sac_error_set(error, SAC_ERROR_FORMAT, -1,
                                "%s: %s '%.100s': expected 1 to 80 characters without comma, bar, "
                                "quotation mark and control characters",
                                place, what, text);
}

static sac_status check_key(const char *key, const char *place, sac_error *error) {
    const size_t length = strlen(key);
    bool good = length >= 1 && length <= 40 && key[0] >= 'a' && key[0] <= 'z';
    for (const char *c = key; *c != '\0'; c++)
        good = good && ((*c >= 'a' && *c <= 'z') || (*c >= '0' && *c <= '9') || *c == '-');
    if (!good)
        return sac_error_set(error, SAC_ERROR_FORMAT, -1,
                             "%s: '%.60s' is no long option without its dashes", place, key);
    // Options may be abbreviated, so that the beginning of a reserved one is the same as itself.
    for (size_t i = 0; i < sizeof reserved / sizeof reserved[0]; i++)
        if (strncmp(key, reserved[i], length) == 0)
            return sac_error_set(error, SAC_ERROR_FORMAT, -1,
                                 "%s: '%s' is set by the suite and cannot be a row's argument",
                                 place, key);
    return SAC_OK;
}

sac_status sac_suite_arguments_check(const char *const *arguments, int64_t count,
                                     sac_error *error) {
    for (int64_t i = 0; i < count; i++) {
        const char *key = arguments[i];
        bool set = key[0] == '-' && key[1] != '\0' && strchr("iotqh", key[1]) != NULL;
        if (strncmp(key, "--", 2) == 0) {
            key += strncmp(key, "--no-", 5) == 0 ? 5 : 2;
            const size_t length = strcspn(key, "=");
            for (size_t k = 0; k < sizeof reserved / sizeof reserved[0]; k++)
                set |= strncmp(key, reserved[k], length) == 0;
        }
        if (set)
            return sac_error_set(error, SAC_ERROR_ARGUMENT, i,
                                 "'%.60s' behind '--': the suite sets this itself, for every run",
                                 arguments[i]);
    }
    return SAC_OK;
}

static sac_status add_argument(sac_suite_row *row, char *text, const char *place,
                               sac_error *error) {
    if (text == NULL) return sac_error_set(error, SAC_ERROR_MEMORY, -1, "no memory for the rows");
    if (row->argument_count == SAC_SUITE_ARGUMENTS_MOST) {
        sac_free(text);
        return sac_error_set(error, SAC_ERROR_FORMAT, -1, "%s: more than %d arguments", place,
                             SAC_SUITE_ARGUMENTS_MOST);
    }
    row->arguments[row->argument_count++] = text;
    return SAC_OK;
}

static sac_status add_value(sac_suite_row *row, const char *key, const json_t *value,
                            const char *place, sac_error *error) {
    char number[64];
    if (json_is_boolean(value))
        return add_argument(row, sac_format("--%s%s", json_is_true(value) ? "" : "no-", key), place,
                            error);
    if (json_is_string(value)) {
        const char *text = json_string_value(value);
        if (strlen(text) > 1000)
            return sac_error_set(error, SAC_ERROR_FORMAT, -1,
                                 "%s: '%s' has %zu bytes, expected at most 1000", place, key,
                                 strlen(text));
        return add_argument(row, sac_format("--%s=%s", key, text), place, error);
    }
    if (json_is_integer(value))
        snprintf(number, sizeof number, "%lld", (long long)json_integer_value(value));
    else if (json_is_real(value))
        snprintf(number, sizeof number, "%.17g", json_real_value(value));
    else
        return sac_error_set(error, SAC_ERROR_FORMAT, -1,
                             "%s: '%s': expected a text, number, boolean or array of texts", place,
                             key);
    return add_argument(row, sac_format("--%s=%s", key, number), place, error);
}

// Those of `arguments` that `over` (may be NULL) does not set itself.
static sac_status add_arguments(sac_suite_row *row, json_t *arguments, const json_t *over,
                                const char *place, sac_error *error) {
    const char *key;
    json_t *value;
    sac_status status = SAC_OK;
    if (row->arguments == NULL)
        SAC_TRY_ALLOC(row->arguments = sac_calloc(SAC_SUITE_ARGUMENTS_MOST, sizeof(char *)));
    json_object_foreach(arguments, key, value) {
        SAC_TRY(check_key(key, place, error));
        if (json_object_get(over, key) != NULL) continue;
        if (!json_is_array(value)) {
            SAC_TRY(add_value(row, key, value, place, error));
            continue;
        }
        for (size_t i = 0; i < json_array_size(value); i++) {
            const json_t *item = json_array_get(value, i);
            if (!json_is_string(item))
                SAC_TRY(sac_error_set(error, SAC_ERROR_FORMAT, -1,
                                      "%s: '%s': expected an array of texts", place, key));
            SAC_TRY(add_value(row, key, item, place, error));
        }
    }
fail:
    return status;
}

static sac_status read_teachers(sac_suite_row *row, const json_t *item, const char *place,
                                sac_error *error) {
    json_t *list;
    sac_status status = SAC_OK;
    if (json_object_get(item, "teachers") == NULL) return SAC_OK;
    SAC_TRY(sac_json_get_array(item, "teachers", &list, place, error));
    if (json_array_size(list) < 1 || json_array_size(list) > 8)
        SAC_TRY(sac_error_set(error, SAC_ERROR_FORMAT, -1, "%s: %zu teachers, expected 1 to 8",
                              place, json_array_size(list)));
    SAC_TRY_ALLOC(row->teachers =
                      sac_calloc((int64_t)json_array_size(list), sizeof *row->teachers));
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *name = json_string_value(json_array_get(list, i));
        if (name == NULL)
            SAC_TRY(sac_error_set(error, SAC_ERROR_FORMAT, -1,
                                  "%s: \"teachers\": expected an array of names", place));
        SAC_TRY(check_name(name, "teacher", place, error));
        SAC_TRY_ALLOC(row->teachers[i] = sac_strdup(name));
        row->teacher_count++;
    }
fail:
    return status;
}

static sac_status read_row(sac_suite_row *row, json_t *item, json_t *common, const char *place,
                           sac_error *error) {
    static const char *const known[] = {"name", "group", "seeds", "teachers", "arguments"};
    const char *name, *group = "main", *key;
    json_t *arguments = NULL, *value;
    sac_status status;
    SAC_TRY(sac_json_get_text(item, "name", &name, place, error));
    SAC_TRY(check_name(name, "name", place, error));
    json_object_foreach(item, key, value) {
        bool found = false;
        for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
            found |= strcmp(key, known[i]) == 0;
        if (!found)
            SAC_TRY(sac_error_set(error, SAC_ERROR_FORMAT, -1,
                                  "%s: unknown key '%.60s', expected name, group, seeds, teachers "
                                  "or arguments",
                                  place, key));
    }
    if (json_object_get(item, "group") != NULL)
        SAC_TRY(sac_json_get_text(item, "group", &group, place, error));
    SAC_TRY(check_name(group, "group", place, error));
    row->seeds = 1;
    if (json_object_get(item, "seeds") != NULL)
        SAC_TRY(
            sac_json_get_int(item, "seeds", 1, SAC_SUITE_SEEDS_MOST, &row->seeds, place, error));
    SAC_TRY_ALLOC(row->name = sac_strdup(name));
    SAC_TRY_ALLOC(row->group = sac_strdup(group));
    SAC_TRY(read_teachers(row, item, place, error));
    if (json_object_get(item, "arguments") != NULL)
        SAC_TRY(sac_json_get_object(item, "arguments", &arguments, place, error));
    SAC_TRY(add_arguments(row, common, arguments, place, error));
    SAC_TRY(add_arguments(row, arguments, NULL, place, error));
    status = SAC_OK;
fail:
    return status;
}

static sac_status read_rows(sac_suite_rows *rows, const json_t *json, const char *name,
                            sac_error *error) {
    json_t *list, *common = NULL;
    sac_status status;
    memset(rows, 0, sizeof *rows);
    SAC_TRY(sac_json_get_array(json, "rows", &list, name, error));
    if (json_object_get(json, "arguments") != NULL)
        SAC_TRY(sac_json_get_object(json, "arguments", &common, name, error));
    const size_t count = json_array_size(list);
    if (count < 1 || count > SAC_SUITE_ROWS_MOST)
        SAC_TRY(sac_error_set(error, SAC_ERROR_FORMAT, -1, "%s: %zu rows, expected 1 to %d", name,
                              count, SAC_SUITE_ROWS_MOST));
    SAC_TRY_ALLOC(rows->source = sac_strdup(name));
    SAC_TRY_ALLOC(rows->items = sac_calloc((int64_t)count, sizeof *rows->items));
    for (size_t i = 0; i < count; i++) {
        char place[512];
        snprintf(place, sizeof place, "%.400s: row %zu", name, i + 1);
        rows->count++;
        SAC_TRY(read_row(&rows->items[i], json_array_get(list, i), common, place, error));
        for (size_t k = 0; k < i; k++)
            if (strcmp(rows->items[k].name, rows->items[i].name) == 0)
                SAC_TRY(sac_error_set(error, SAC_ERROR_FORMAT, (int64_t)i,
                                      "%s: a second row named '%s'", place, rows->items[i].name));
    }
    return SAC_OK;
fail:
    if (status == SAC_ERROR_MEMORY) sac_error_set(error, status, -1, "%s: no memory", name);
    sac_suite_rows_close(rows);
    return status;
}

sac_status sac_suite_rows_read(sac_suite_rows *rows, const char *path, sac_error *error) {
    json_t *json = NULL;
    memset(rows, 0, sizeof *rows);
    sac_status status = sac_json_read(&json, path, error);
    if (status >= 0) status = read_rows(rows, json, path, error);
    json_decref(json);
    return status;
}

sac_status sac_suite_rows_parse(sac_suite_rows *rows, const void *bytes, size_t size,
                                const char *name, sac_error *error) {
    json_t *json = NULL;
    memset(rows, 0, sizeof *rows);
    sac_status status = sac_json_parse(&json, bytes, size, name, error);
    if (status >= 0) status = read_rows(rows, json, name, error);
    json_decref(json);
    return status;
}

// ---- built in ----------------------------------------------------------------------------------

// An option and its value, which a flag does not have; no key: no option.
typedef struct setting {
    const char *key, *value;
} setting;

static sac_status add_row(json_t *list, const char *group, int64_t seeds, const char *teacher,
                          setting a, setting b, const char *format, const char *detail) {
    char name[128];
    json_t *arguments = json_object();
    snprintf(name, sizeof name, format, detail);
    const setting settings[] = {a, b};
    for (int i = 0; i < 2; i++)
        if (settings[i].key != NULL)
            json_object_set_new(arguments, settings[i].key,
                                settings[i].value != NULL ? json_string(settings[i].value)
                                                          : json_true());
    json_t *row = json_pack("{s:s, s:s, s:I, s:o}", "name", name, "group", group, "seeds",
                            (json_int_t)seeds, "arguments", arguments);
    if (row != NULL && teacher != NULL &&
        json_object_set_new(row, "teachers", json_pack("[o]", sac_json_text(teacher))) < 0) {
        json_decref(row);
        row = NULL;
    }
    return json_array_append_new(list, row) < 0 ? SAC_ERROR_MEMORY : SAC_OK;
}

// Each architecture but the default one: sac_arch_names is "tiny-s, tiny-m".
static sac_status add_architectures(json_t *list, int64_t seeds) {
    char *names = sac_strdup(sac_arch_names()), *rest = NULL;
    sac_status status = SAC_OK;
    SAC_TRY_ALLOC(names);
    for (char *name = strtok_r(names, ", ", &rest); name != NULL;
         name = strtok_r(NULL, ", ", &rest))
        if (strcmp(name, "tiny-m") != 0)
            SAC_TRY(add_row(list, "architecture", strcmp(name, "tiny-s") == 0 ? seeds : 1, NULL,
                            (setting){"arch", name}, (setting){"quantise", NULL}, "architecture %s",
                            name));
fail:
    sac_free(names);
    return status;
}

sac_status sac_suite_rows_default(sac_suite_rows *rows, const char *const *teachers,
                                  int64_t teacher_count, int64_t seeds, sac_error *error) {
    static const char *const kinds[] = {"faster",  "frozen",    "elsewhere", "reversed",
                                        "rotated", "scaled",    "texture",   "shape",
                                        "slower",  "vanishing", "appearing"};
    const setting none = {0}, quantise = {"quantise", NULL};
    json_t *list = json_array(), *json = NULL;
    sac_status status;
    memset(rows, 0, sizeof *rows);
    SAC_TRY_ALLOC(list);
    SAC_TRY(add_row(list, "main", seeds, NULL, quantise, none, "defaults%s", ""));
    for (int64_t i = 0; teacher_count > 1 && i < teacher_count; i++)
        SAC_TRY(add_row(list, "teachers", seeds, teachers[i], none, none, "teacher %s only",
                        teachers[i]));
    SAC_TRY(add_row(list, "loss", seeds, NULL, (setting){"adversarial", "0.1"}, none,
                    "adversarial term %s", "0.1"));
    SAC_TRY(add_row(list, "loss", 1, NULL, (setting){"emphasis", "0"}, none,
                    "plain mean squared error%s", ""));
    SAC_TRY(add_row(list, "altered clips", seeds, NULL, (setting){"pseudo", "0"}, none,
                    "no altered clips%s", ""));
    SAC_TRY(add_row(list, "altered clips", 1, NULL, (setting){"pseudo", "0"},
                    (setting){"adversarial", "0.1"}, "no altered clips; adversarial term%s", ""));
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        SAC_TRY(add_row(list, "altered clips", 1, NULL, (setting){"pseudo-kinds", kinds[i]}, none,
                        "altered clips: %s", kinds[i]));
    SAC_TRY(add_row(list, "pre-training", 1, NULL, (setting){"pretrain", "plain"}, none,
                    "pre-training%s", ""));
    SAC_TRY(add_row(list, "pre-training", 1, NULL, (setting){"pretrain", "masked"}, none,
                    "masked pre-training%s", ""));
    SAC_TRY(add_architectures(list, seeds));
    SAC_TRY_ALLOC(json = json_pack("{s:O}", "rows", list));
    SAC_TRY(read_rows(rows, json, "built-in rows", error));
fail:
    if (status == SAC_ERROR_MEMORY) sac_error_set(error, status, -1, "no memory for the rows");
    json_decref(list);
    json_decref(json);
    return status;
}

char *sac_suite_rows_json(const sac_suite_rows *rows) {
    json_t *list = json_array();
    for (int64_t i = 0; i < rows->count; i++) {
        const sac_suite_row *row = &rows->items[i];
        json_t *arguments = json_object(), *teachers = json_array();
        for (int64_t k = 0; k < row->argument_count; k++) {
            char key[64];
            const char *text = row->arguments[k] + 2, *equals = strchr(text, '=');
            const bool negative = equals == NULL && strncmp(text, "no-", 3) == 0;
            const size_t length = equals != NULL ? (size_t)(equals - text) : strlen(text);
            snprintf(key, sizeof key, "%.*s", (int)length, text);
            json_t *value = equals != NULL ? json_string(equals + 1)
                            : negative     ? json_false()
                                           : json_true();
            const char *name = negative ? key + 3 : key;
            json_t *before = json_object_get(arguments, name);
            // A repeated option is a list.
            if (before != NULL && !json_is_array(before)) {
                json_object_set_new(arguments, name, json_pack("[O]", before));
                before = json_object_get(arguments, name);
            }
            if (before != NULL)
                json_array_append_new(before, value);
            else
                json_object_set_new(arguments, name, value);
        }
        for (int64_t k = 0; k < row->teacher_count; k++)
            json_array_append_new(teachers, json_string(row->teachers[k]));
        json_t *item = json_pack("{s:s, s:s, s:I, s:o}", "name", row->name, "group", row->group,
                                 "seeds", (json_int_t)row->seeds, "arguments", arguments);
        if (row->teacher_count > 0)
            json_object_set_new(item, "teachers", teachers);
        else
            json_decref(teachers);
        json_array_append_new(list, item);
    }
    json_t *json = json_pack("{s:o}", "rows", list);
    char *text = json != NULL ? json_dumps(json, JSON_INDENT(2)) : NULL;
    char *copy = text != NULL ? sac_format("%s\n", text) : NULL;
    free(text);
    json_decref(json);
    return copy;
}
