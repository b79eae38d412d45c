// Reading `.cfg` text: lines to sections and keys, and strict values.
#include "nn/darknet_cfg.h"

#include <inttypes.h>
#include <string.h>

#include "core/check.h"
#include "core/memory.h"
#include "core/number.h"

#define MOST_SECTIONS 4096
#define MOST_KEYS     256

void sac_cfg_close(sac_cfg **slot) {
    if (slot == NULL || *slot == NULL) return;
    sac_cfg *cfg = *slot;
    for (int64_t i = 0; i < cfg->count; i++) sac_free(cfg->sections[i].keys);
    sac_free(cfg->sections);
    sac_free(cfg->text);
    sac_free(cfg->file);
    sac_free(cfg);
    *slot = NULL;
}

static sac_status refuse(const sac_cfg *cfg, int64_t line, sac_error *error, const char *what) {
    return sac_error_set(error, SAC_ERROR_FORMAT, line, "%s: line %" PRId64 ": %s", cfg->file, line,
                         what);
}

static sac_status add_section(sac_cfg *cfg, char *line, int64_t number, sac_error *error) {
    const size_t length = strlen(line);
    if (length < 3 || line[length - 1] != ']') {
        return refuse(cfg, number, error, "expected a section such as [convolutional]");
    }
    if (cfg->count == MOST_SECTIONS) return refuse(cfg, number, error, "more than 4096 sections");
    if (cfg->count == cfg->capacity) {
        const int64_t capacity = cfg->capacity == 0 ? 64 : 2 * cfg->capacity;
        sac_cfg_section *grown =
            sac_recalloc(cfg->sections, cfg->capacity, capacity, sizeof *grown);
        if (grown == NULL) return SAC_ERROR_MEMORY;
        cfg->sections = grown;
        cfg->capacity = capacity;
    }
    line[length - 1] = '\0';
    cfg->sections[cfg->count++] = (sac_cfg_section){.name = line + 1, .line = number};
    return SAC_OK;
}

static sac_status add_key(sac_cfg *cfg, char *line, int64_t number, sac_error *error) {
    if (cfg->count == 0) {
        return refuse(cfg, number, error, "expected [net], found a key before any section");
    }
    sac_cfg_section *section = &cfg->sections[cfg->count - 1];
    char *equals = strchr(line, '=');
    if (equals == NULL || equals == line || equals[1] == '\0') {
        return sac_error_set(error, SAC_ERROR_FORMAT, number,
                             "%s: line %" PRId64 ": expected key=value, found '%.60s'", cfg->file,
                             number, line);
    }
    if (section->count == MOST_KEYS) {
        return refuse(cfg, number, error, "more than 256 keys in a section");
    }
    if (section->count == section->capacity) {
        const int64_t capacity = section->capacity == 0 ? 8 : 2 * section->capacity;
        sac_cfg_key *grown =
            sac_recalloc(section->keys, section->capacity, capacity, sizeof *grown);
        if (grown == NULL) return SAC_ERROR_MEMORY;
        section->keys = grown;
        section->capacity = capacity;
    }
    *equals = '\0';
    section->keys[section->count++] =
        (sac_cfg_key){.name = line, .value = equals + 1, .line = number};
    return SAC_OK;
}

// Drops blanks and a comment in place.
static void strip(char *line) {
    char *out = line;
    for (const char *in = line; *in != '\0' && *in != '#' && *in != ';'; in++) {
        if (*in != ' ' && *in != '\t' && *in != '\r') *out++ = *in;
    }
    *out = '\0';
}

sac_status sac_cfg_parse(sac_cfg **out, const void *bytes, size_t size, const char *file,
                         sac_error *error) {
    sac_status status = SAC_OK;
    *out = NULL;
    sac_cfg *cfg = sac_calloc(1, sizeof *cfg);
    SAC_TRY_ALLOC(cfg);
    SAC_TRY_ALLOC(cfg->file = sac_strdup(file));
    SAC_TRY_ALLOC(cfg->text = sac_calloc((int64_t)size + 1, 1));
    if (size > 0) memcpy(cfg->text, bytes, size);
    int64_t number = 0;
    for (char *line = cfg->text, *end = cfg->text + size; line < end;) {
        number++;
        char *stop = memchr(line, '\n', (size_t)(end - line));
        if (stop == NULL) stop = end;
        if (memchr(line, '\0', (size_t)(stop - line)) != NULL) {
            SAC_TRY(refuse(cfg, number, error, "a zero byte; this is not text"));
        }
        *stop = '\0';
        strip(line);
        if (line[0] == '[') {
            SAC_TRY(add_section(cfg, line, number, error));
        } else if (line[0] != '\0') {
            SAC_TRY(add_key(cfg, line, number, error));
        }
        line = stop + 1;
    }
    *out = cfg;
    return SAC_OK;
fail:
    sac_cfg_close(&cfg);
    return sac_error_set(error, status, -1, "%s: no memory to read it", file);
}

// The key, or NULL when absent. Darknet would silently take the first of two.
static sac_status find(const sac_cfg *cfg, sac_cfg_section *section, const char *name,
                       sac_cfg_key **key, sac_error *error) {
    *key = NULL;
    for (int64_t i = 0; i < section->count; i++) {
        if (strcmp(section->keys[i].name, name) != 0) continue;
        if (*key != NULL) {
            return sac_error_set(
                error, SAC_ERROR_FORMAT, section->keys[i].line,
                "%s: line %" PRId64 ": %s is given twice in [%.40s], first in line "
                "%" PRId64,
                cfg->file, section->keys[i].line, name, section->name, (*key)->line);
        }
        *key = &section->keys[i];
        (*key)->used = true;
    }
    return SAC_OK;
}

sac_status sac_cfg_int(const sac_cfg *cfg, sac_cfg_section *section, const char *name,
                       int64_t otherwise, int64_t lo, int64_t hi, int64_t *value,
                       sac_error *error) {
    sac_cfg_key *key = NULL;
    const sac_status status = find(cfg, section, name, &key, error);
    if (status < 0) return status;
    *value = otherwise;
    if (key == NULL) return SAC_OK;
    if (!sac_number_integer(key->value, value) || *value < lo || *value > hi) {
        return sac_error_set(error, SAC_ERROR_FORMAT, key->line,
                             "%s: line %" PRId64 ": %s=%.60s in [%.40s], expected a whole number "
                             "%" PRId64 " to %" PRId64,
                             cfg->file, key->line, name, key->value, section->name, lo, hi);
    }
    return SAC_OK;
}

sac_status sac_cfg_real(const sac_cfg *cfg, sac_cfg_section *section, const char *name,
                        double otherwise, double lo, double hi, double *value, sac_error *error) {
    int count = 0;
    const sac_status status = sac_cfg_reals(cfg, section, name, lo, hi, value, 1, &count, error);
    if (status == SAC_OK && count == 0) *value = otherwise;
    return status;
}

sac_status sac_cfg_text(const sac_cfg *cfg, sac_cfg_section *section, const char *name,
                        const char *otherwise, const char **value, sac_error *error) {
    sac_cfg_key *key = NULL;
    const sac_status status = find(cfg, section, name, &key, error);
    if (status < 0) return status;
    *value = key == NULL ? otherwise : key->value;
    return SAC_OK;
}

// Item `index` of a comma-separated list: its start and length, or false behind the last one. A
// comma at the very end, which some published files have, is no further item.
static bool item_at(const char *list, int index, const char **item, size_t *length) {
    for (int i = 0; i < index; i++) {
        list += strcspn(list, ",");
        if (*list == '\0' || list[1] == '\0') return false;
        list++;
    }
    *item = list;
    *length = strcspn(list, ",");
    return true;
}

sac_status sac_cfg_reals(const sac_cfg *cfg, sac_cfg_section *section, const char *name, double lo,
                         double hi, double *values, int capacity, int *count, sac_error *error) {
    sac_cfg_key *key = NULL;
    const sac_status status = find(cfg, section, name, &key, error);
    if (status < 0) return status;
    *count = 0;
    if (key == NULL) return SAC_OK;
    const char *item = NULL;
    size_t length = 0;
    for (int i = 0; item_at(key->value, i, &item, &length); i++) {
        char text[64] = "";
        if (i == capacity) {
            return sac_error_set(error, SAC_ERROR_FORMAT, key->line,
                                 "%s: line %" PRId64 ": %s in [%.40s] holds more than %d numbers",
                                 cfg->file, key->line, name, section->name, capacity);
        }
        if (length < sizeof text) memcpy(text, item, length);
        if (!sac_number_real(text, &values[i]) || values[i] < lo || values[i] > hi) {
            return sac_error_set(error, SAC_ERROR_FORMAT, key->line,
                                 "%s: line %" PRId64 ": '%.*s' of %s in [%.40s], expected a number "
                                 "%g to %g",
                                 cfg->file, key->line, (int)(length < 60 ? length : 60), item, name,
                                 section->name, lo, hi);
        }
        *count = i + 1;
    }
    return SAC_OK;
}

sac_status sac_cfg_ints(const sac_cfg *cfg, sac_cfg_section *section, const char *name, int64_t lo,
                        int64_t hi, int64_t *values, int capacity, int *count, sac_error *error) {
    double reals[64];
    const int most = capacity < 64 ? capacity : 64;
    const sac_status status =
        sac_cfg_reals(cfg, section, name, (double)lo, (double)hi, reals, most, count, error);
    if (status < 0) return status;
    for (int i = 0; i < *count; i++) {
        values[i] = (int64_t)reals[i];
        if ((double)values[i] != reals[i]) {
            const int64_t line = sac_cfg_line(section, name);
            return sac_error_set(error, SAC_ERROR_FORMAT, line,
                                 "%s: line %" PRId64 ": %s in [%.40s], expected whole numbers",
                                 cfg->file, line, name, section->name);
        }
    }
    return SAC_OK;
}

int64_t sac_cfg_line(const sac_cfg_section *section, const char *name) {
    for (int64_t i = 0; i < section->count; i++) {
        if (strcmp(section->keys[i].name, name) == 0) return section->keys[i].line;
    }
    return section->line;
}

static bool listed(const char *list, const char *name) {
    const size_t length = strlen(name);
    for (const char *at = strstr(list, name); at != NULL; at = strstr(at + 1, name)) {
        const bool begins = at == list || at[-1] == ' ';
        if (begins && (at[length] == ' ' || at[length] == '\0')) return true;
    }
    return false;
}

sac_status sac_cfg_check_used(const sac_cfg *cfg, const sac_cfg_section *section,
                              const char *ignored, sac_error *error) {
    for (int64_t i = 0; i < section->count; i++) {
        const sac_cfg_key *key = &section->keys[i];
        if (key->used || listed(ignored, key->name)) continue;
        return sac_error_set(error, SAC_ERROR_UNSUPPORTED, key->line,
                             "%s: line %" PRId64 ": the key %.60s of [%.40s] is not known",
                             cfg->file, key->line, key->name, section->name);
    }
    return SAC_OK;
}
