// Checkpoints of a distillation: one safetensors file with weights, best weights and moments as tensors and the
// counters as JSON metadata. The order of samples needs no state: it follows from seed and epoch.
#include "distill/checkpoint.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/check.h"
#include "core/file.h"
#include "core/json.h"
#include "core/memory.h"
#include "core/safetensors.h"

static const char *const columns[] = {"epoch",        "train_loss",    "validation_loss",
                                      "pseudo_auc",   "learning_rate", "seconds",
                                      "samples_per_s"};
#define COLUMNS (sizeof columns / sizeof columns[0])

void sac_checkpoint_close(sac_checkpoint *state) {
    if (state->rows != NULL) json_decref(state->rows);
    state->rows = NULL;
}

sac_status sac_checkpoint_row(sac_checkpoint *state, const sac_epoch_metrics *m) {
    json_t *row = json_pack("[I, o, o, o, o, o, o]", (json_int_t)m->epoch,
                            sac_json_number(m->train_loss), sac_json_number(m->validation_loss),
                            sac_json_number(m->pseudo_auc), sac_json_number(m->learning_rate),
                            sac_json_number(m->seconds), sac_json_number(m->samples_per_s));
    return row != NULL && json_array_append_new(state->rows, row) == 0 ? SAC_OK : SAC_ERROR_MEMORY;
}

sac_status sac_checkpoint_write_metrics(const sac_checkpoint *state, const char *folder,
                                        sac_error *error) {
    sac_status status = SAC_OK;
    sac_file_writer *writer = NULL;
    char *path = sac_path_join(folder, "metrics.csv");
    SAC_TRY_ALLOC(path);
    SAC_TRY(sac_file_writer_open(&writer, path, error));
    for (size_t c = 0; c < COLUMNS; c++)
        SAC_TRY(sac_file_printf(writer, error, "%s%s", columns[c], c + 1 < COLUMNS ? "," : "\n"));
    for (size_t r = 0; r < json_array_size(state->rows); r++) {
        const json_t *row = json_array_get(state->rows, r);
        for (size_t c = 0; c < COLUMNS; c++) {
            const json_t *cell = json_array_get(row, c);
            const char *end = c + 1 < COLUMNS ? "," : "\n";
            if (json_is_number(cell)) {
                SAC_TRY(sac_file_printf(writer, error, "%.9g%s", json_number_value(cell), end));
            } else {
                SAC_TRY(sac_file_printf(writer, error, "%s", end));
            }
        }
    }
    SAC_TRY(sac_file_writer_commit(&writer, error));
fail:
    sac_file_writer_close(&writer);
    sac_free(path);
    return status;
}

static json_t *state_to_json(const sac_checkpoint *s) {
    return json_pack("{s:I, s:I, s:f, s:I, s:o, s:o, s:f, s:O}", "epoch", (json_int_t)s->epoch,
                     "step", (json_int_t)s->step, "loss_sum", s->loss_sum, "best_epoch",
                     (json_int_t)s->best_epoch, "best_validation_loss",
                     sac_json_number(s->best_validation_loss), "best_pseudo_auc",
                     sac_json_number(s->best_pseudo_auc), "seconds", s->seconds, "rows", s->rows);
}

static sac_status metadata_set(sac_safetensors *st, const char *key, json_t *json,
                               sac_error *error) {
    char *text = json != NULL ? json_dumps(json, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
    if (json != NULL) json_decref(json);
    if (text == NULL) return SAC_ERROR_MEMORY;
    const sac_status status = sac_safetensors_set_metadata(st, key, text, error);
    free(text);
    return status;
}

sac_status sac_checkpoint_save(const sac_checkpoint *state, const char *folder,
                               const sac_checkpoint_parts *parts, sac_error *error) {
    sac_status status = SAC_OK;
    sac_safetensors *st = NULL;
    char *path = sac_path_join(folder, "checkpoint.safetensors");
    SAC_TRY_ALLOC(path);
    SAC_TRY(sac_safetensors_create(&st));
    SAC_TRY(sac_safetensors_set_metadata(st, "format", "saccade-distillation-checkpoint", error));
    SAC_TRY(metadata_set(st, "state", state_to_json(state), error));
    SAC_TRY(metadata_set(st, "options", sac_trainer_options_to_json(parts->options), error));
    SAC_TRY(sac_params_store(parts->params, st, "model.", error));
    SAC_TRY(sac_params_store(parts->best, st, "best.", error));
    SAC_TRY(sac_adam_store(parts->adam, parts->params, st, "adam.", error));
    const sac_rng rng = sac_train_rng(parts->train);
    const int64_t words = 4;
    SAC_TRY(sac_safetensors_add(st, "dropout_rng", SAC_DTYPE_U64, 1, &words, rng.state, error));
    SAC_TRY(sac_safetensors_write(st, path, error));
fail:
    sac_safetensors_close(&st);
    sac_free(path);
    return status;
}

static sac_status options_compare(const sac_safetensors *st, const sac_trainer_options *options,
                                  const char *path, sac_error *error) {
    sac_status status = SAC_OK;
    json_t *was = NULL, *now = sac_trainer_options_to_json(options);
    const char *text = sac_safetensors_metadata(st, "options");
    if (text == NULL) {
        status =
            sac_error_set(error, SAC_ERROR_FORMAT, -1, "%s: not a distillation checkpoint", path);
        goto fail;
    }
    SAC_TRY(sac_json_parse(&was, text, strlen(text), path, error));
    const char *key;
    json_t *value;
    json_object_foreach(now, key, value) {
        json_t *old = json_object_get(was, key);
        if (old != NULL && json_equal(old, value)) continue;
        char *a = old != NULL ? json_dumps(old, JSON_ENCODE_ANY) : NULL,
             *b = json_dumps(value, JSON_ENCODE_ANY);
        status = sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                               "%s was written with %s = %s, now it is %s: resume with the same "
                               "settings or start a new run folder",
                               path, key, a != NULL ? a : "nothing", b != NULL ? b : "nothing");
        free(a);
        free(b);
        break;
    }
fail:
    if (was != NULL) json_decref(was);
    if (now != NULL) json_decref(now);
    return status;
}

static double number_or_nan(const json_t *object, const char *key) {
    const json_t *value = json_object_get(object, key);
    return json_is_number(value) ? json_number_value(value) : NAN;
}

static sac_status state_load(sac_checkpoint *s, const sac_safetensors *st, const char *path,
                             sac_error *error) {
    sac_status status = SAC_OK;
    json_t *json = NULL, *rows = NULL;
    const char *text = sac_safetensors_metadata(st, "state");
    if (text == NULL)
        return sac_error_set(error, SAC_ERROR_FORMAT, -1, "%s: not a distillation checkpoint",
                             path);
    SAC_TRY(sac_json_parse(&json, text, strlen(text), path, error));
    SAC_TRY(sac_json_get_int(json, "epoch", 0, 100000, &s->epoch, path, error));
    SAC_TRY(sac_json_get_int(json, "step", 0, INT32_MAX, &s->step, path, error));
    SAC_TRY(sac_json_get_int(json, "best_epoch", 0, 100000, &s->best_epoch, path, error));
    SAC_TRY(sac_json_get_real(json, "loss_sum", 0, 1e300, &s->loss_sum, path, error));
    SAC_TRY(sac_json_get_real(json, "seconds", 0, 1e12, &s->seconds, path, error));
    SAC_TRY(sac_json_get_array(json, "rows", &rows, path, error));
    s->best_validation_loss = number_or_nan(json, "best_validation_loss");
    s->best_pseudo_auc = number_or_nan(json, "best_pseudo_auc");
    for (size_t i = 0; i < json_array_size(rows); i++) {
        if (json_array_size(json_array_get(rows, i)) != COLUMNS) {
            status = sac_error_set(error, SAC_ERROR_FORMAT, -1,
                                   "%s: metrics row %zu needs %zu numbers", path, i, COLUMNS);
            goto fail;
        }
    }
    json_decref(s->rows);
    s->rows = json_incref(rows);
fail:
    if (json != NULL) json_decref(json);
    return status;
}

sac_status sac_checkpoint_begin(sac_checkpoint *state, const char *folder,
                                const sac_checkpoint_parts *parts, bool resume, sac_error *error) {
    sac_status status = SAC_OK;
    sac_safetensors *st = NULL;
    const int64_t words = 4;
    const void *rng_words = NULL;
    char *path = sac_path_join(folder, "checkpoint.safetensors");
    *state = (sac_checkpoint){.rows = json_array()};
    SAC_TRY_ALLOC(path);
    SAC_TRY_ALLOC(state->rows);
    if (!resume) {
        if (sac_is_file(path)) {
            status =
                sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                              "%s exists: go on with --resume, or choose another folder", path);
        }
        goto fail;
    }
    SAC_TRY(sac_safetensors_read(&st, path, error));
    SAC_TRY(options_compare(st, parts->options, path, error));
    SAC_TRY(state_load(state, st, path, error));
    SAC_TRY(sac_params_load(parts->params, st, "model.", path, error));
    SAC_TRY(sac_params_load(parts->best, st, "best.", path, error));
    SAC_TRY(sac_adam_load(parts->adam, parts->params, st, "adam.", path, error));
    SAC_TRY(sac_safetensors_expect(st, "dropout_rng", SAC_DTYPE_U64, 1, &words, &rng_words, error));
    sac_rng rng;
    memcpy(rng.state, rng_words, sizeof rng.state);
    sac_train_set_rng(parts->train, &rng);
fail:
    sac_safetensors_close(&st);
    sac_free(path);
    return status;
}
