// Checkpoints of a distillation: one safetensors file with weights, best weights and moments as
// tensors and the counters as JSON metadata. The order of samples needs no state: it follows from
// seed and epoch.
#include "distill/checkpoint.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/check.h"
#include "core/file.h"
#include "core/json.h"
#include "core/memory.h"
#include "core/safetensors.h"

// The columns of metrics.csv; behind them "auc_" and the name of each kind of pseudo-anomaly.
static const char *const columns[] = {"epoch",
                                      "train_loss",
                                      "validation_loss",
                                      "pseudo_auc",
                                      "learning_rate",
                                      "seconds",
                                      "samples_per_s",
                                      "adversarial_loss",
                                      "discriminator_real",
                                      "discriminator_own",
                                      "train_loss16",
                                      "train_loss4",
                                      "train_loss1",
                                      "validation_loss16",
                                      "validation_loss4",
                                      "validation_loss1"};
#define FIXED   (sizeof columns / sizeof columns[0])
#define COLUMNS (FIXED + SAC_PSEUDO_KIND_COUNT)

void sac_checkpoint_close(sac_checkpoint *state) {
    json_decref(state->rows);
    json_decref(state->options);
    state->rows = state->options = NULL;
}

sac_status sac_checkpoint_row(sac_checkpoint *state, const sac_epoch_metrics *m) {
    const double values[FIXED] = {
        (double)m->epoch,       m->train_loss,           m->validation_loss,
        m->pseudo_auc,          m->learning_rate,        m->seconds,
        m->samples_per_s,       m->adversarial_loss,     m->discriminator_real,
        m->discriminator_own,   m->train_scales[0],      m->train_scales[1],
        m->train_scales[2],     m->validation_scales[0], m->validation_scales[1],
        m->validation_scales[2]};
    json_t *row = json_array();
    bool made = row != NULL;
    for (size_t c = 0; c < COLUMNS && made; c++) {
        const double value = c < FIXED ? values[c] : m->kind_auc[c - FIXED];
        made = json_array_append_new(row, sac_json_number(value)) == 0;
    }
    if (!made) {
        json_decref(row);
        return SAC_ERROR_MEMORY;
    }
    return json_array_append_new(state->rows, row) == 0 ? SAC_OK : SAC_ERROR_MEMORY;
}

void sac_checkpoint_kind_auc(const sac_checkpoint *state, int64_t epoch,
                             double aucs[SAC_PSEUDO_KIND_COUNT]) {
    const json_t *row = epoch > 0 ? json_array_get(state->rows, (size_t)(epoch - 1)) : NULL;
    for (size_t k = 0; k < SAC_PSEUDO_KIND_COUNT; k++) {
        const json_t *cell = json_array_get(row, FIXED + k);
        aucs[k] = json_is_number(cell) ? json_number_value(cell) : NAN;
    }
}

sac_status sac_checkpoint_write_metrics(const sac_checkpoint *state, const char *folder,
                                        sac_error *error) {
    sac_status status = SAC_OK;
    sac_file_writer *writer = NULL;
    char *path = sac_path_join(folder, "metrics.csv");
    SAC_TRY_ALLOC(path);
    SAC_TRY(sac_file_writer_open(&writer, path, error));
    for (size_t c = 0; c < FIXED; c++)
        SAC_TRY(sac_file_printf(writer, error, "%s%s", c > 0 ? "," : "", columns[c]));
    for (int k = 0; k < SAC_PSEUDO_KIND_COUNT; k++) {
        SAC_TRY(
            sac_file_printf(writer, error, ",auc_%s", sac_pseudo_kind_name((sac_pseudo_kind)k)));
    }
    SAC_TRY(sac_file_printf(writer, error, "\n"));
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
    return json_pack("{s:I, s:I, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:I, s:o, s:o, s:f, s:O}",
                     "epoch", (json_int_t)s->epoch, "step", (json_int_t)s->step, "loss_sum",
                     s->sum.distillation, "adversarial_sum", s->sum.adversarial, "real_sum",
                     s->sum.real, "own_sum", s->sum.own, "loss16_sum", s->sum.scales[0],
                     "loss4_sum", s->sum.scales[1], "loss1_sum", s->sum.scales[2], "best_epoch",
                     (json_int_t)s->best_epoch, "best_validation_loss",
                     sac_json_number(s->best_validation_loss), "best_pseudo_auc",
                     sac_json_number(s->best_pseudo_auc), "seconds", s->seconds, "rows", s->rows);
}

sac_status sac_checkpoint_put(sac_safetensors *st, const char *key, const json_t *json,
                              sac_error *error) {
    char *text = json != NULL ? json_dumps(json, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
    if (text == NULL) return SAC_ERROR_MEMORY;
    const sac_status status = sac_safetensors_set_metadata(st, key, text, error);
    free(text);
    return status;
}

sac_status sac_checkpoint_put_rng(sac_safetensors *st, const sac_train *train, sac_error *error) {
    const sac_rng rng = sac_train_rng(train);
    const int64_t words = 4;
    return sac_safetensors_add(st, "dropout_rng", SAC_DTYPE_U64, 1, &words, rng.state, error);
}

static void discriminator_prefix(char *prefix, size_t size, int teacher) {
    (void)snprintf(prefix, size, "discriminator%d.", teacher);
}

sac_status sac_checkpoint_save(const sac_checkpoint *state, const char *folder,
                               const sac_checkpoint_parts *parts, sac_error *error) {
    sac_status status = SAC_OK;
    sac_safetensors *st = NULL;
    json_t *counters = state_to_json(state);
    char *path = sac_path_join(folder, "checkpoint.safetensors");
    SAC_TRY_ALLOC(path);
    SAC_TRY(sac_safetensors_create(&st));
    SAC_TRY(sac_safetensors_set_metadata(st, "format", "saccade-distillation-checkpoint", error));
    SAC_TRY(sac_checkpoint_put(st, "state", counters, error));
    SAC_TRY(sac_checkpoint_put(st, "options", state->options, error));
    SAC_TRY(sac_params_store(parts->model->params, st, "model.", error));
    SAC_TRY(sac_params_store(parts->best, st, "best.", error));
    SAC_TRY(sac_adam_store(parts->adam, parts->model->params, st, "adam.", error));
    for (int m = 0; m < parts->discriminator_count; m++) {
        char prefix[32];
        discriminator_prefix(prefix, sizeof prefix, m);
        SAC_TRY(sac_discriminator_store(parts->discriminators[m], st, prefix, error));
    }
    SAC_TRY(sac_checkpoint_put_rng(st, parts->train, error));
    SAC_TRY(sac_safetensors_write(st, path, error));
fail:
    json_decref(counters);
    sac_safetensors_close(&st);
    sac_free(path);
    return status;
}

// What a resumed run must agree with. Reals are compared as written: 17 digits are exact.
static json_t *stamp_make(const sac_checkpoint_parts *parts) {
    json_t *stamp = sac_trainer_options_to_json(parts->options), *more = NULL;
    char digest[17];
    (void)snprintf(digest, sizeof digest, "%016" PRIx64, sac_samples_digest(parts->samples));
    if (stamp == NULL) return NULL;
    more = json_pack("{s:s, s:o, s:s}", "arch", parts->model->arch, "preprocess",
                     sac_preprocess_to_json(&parts->samples->preprocess), "training data", digest);
    const bool made = more != NULL && json_object_update(stamp, more) == 0;
    json_decref(more);
    if (made) return stamp;
    json_decref(stamp);
    return NULL;
}

static sac_status stamp_compare(const json_t *now, const sac_safetensors *st, const char *path,
                                sac_error *error) {
    sac_status status = SAC_OK;
    json_t *was = NULL, *value = NULL;
    const char *key = NULL, *text = sac_safetensors_metadata(st, "options");
    if (text == NULL) {
        return sac_error_set(error, SAC_ERROR_FORMAT, -1, "%s: not a distillation checkpoint",
                             path);
    }
    SAC_TRY(sac_json_parse(&was, text, strlen(text), path, error));
    json_object_foreach((json_t *)(uintptr_t)now, key, value) {
        json_t *old = json_object_get(was, key);
        if (old != NULL && json_equal(old, value)) continue;
        char *a = old != NULL ? json_dumps(old, JSON_ENCODE_ANY) : NULL,
             *b = json_dumps(value, JSON_ENCODE_ANY);
        status =
            sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                          "%s was written with %s = %.200s, now it is %.200s: resume with the same "
                          "settings and data or start a new run folder",
                          path, key, a != NULL ? a : "nothing", b != NULL ? b : "nothing");
        free(a);
        free(b);
        break;
    }
fail:
    json_decref(was);
    return status;
}

static double number_or_nan(const json_t *object, const char *key) {
    const json_t *value = json_object_get(object, key);
    return json_is_number(value) ? json_number_value(value) : NAN;
}

static sac_status rows_check(const json_t *rows, int64_t epoch, const char *path,
                             sac_error *error) {
    if ((int64_t)json_array_size(rows) != epoch) {
        return sac_error_set(error, SAC_ERROR_FORMAT, -1,
                             "%s: %zu metrics rows for %" PRId64 " finished epochs", path,
                             json_array_size(rows), epoch);
    }
    for (size_t i = 0; i < json_array_size(rows); i++) {
        if (json_array_size(json_array_get(rows, i)) != COLUMNS) {
            return sac_error_set(error, SAC_ERROR_FORMAT, -1,
                                 "%s: metrics row %zu needs %zu numbers", path, i + 1, COLUMNS);
        }
    }
    return SAC_OK;
}

static sac_status state_load(sac_checkpoint *s, const sac_safetensors *st,
                             const sac_checkpoint_parts *parts, const char *path,
                             sac_error *error) {
    sac_status status = SAC_OK;
    json_t *json = NULL, *rows = NULL;
    const char *text = sac_safetensors_metadata(st, "state");
    if (text == NULL) {
        return sac_error_set(error, SAC_ERROR_FORMAT, -1, "%s: not a distillation checkpoint",
                             path);
    }
    SAC_TRY(sac_json_parse(&json, text, strlen(text), path, error));
    const int64_t epochs = parts->options->epochs;
    SAC_TRY(sac_json_get_int(json, "epoch", 0, epochs, &s->epoch, path, error));
    // An epoch's last step may be done while its validation is not; behind the last epoch there is
    // no step.
    const int64_t most = s->epoch < epochs ? parts->steps_per_epoch : 0;
    SAC_TRY(sac_json_get_int(json, "step", 0, most, &s->step, path, error));
    SAC_TRY(
        sac_json_get_int(json, "best_epoch", s->epoch > 0, s->epoch, &s->best_epoch, path, error));
    SAC_TRY(sac_json_get_real(json, "loss_sum", 0, 1e300, &s->sum.distillation, path, error));
    static const char *const parts_keys[3] = {"loss16_sum", "loss4_sum", "loss1_sum"};
    for (int k = 0; k < 3; k++)
        SAC_TRY(sac_json_get_real(json, parts_keys[k], 0, 1e300, &s->sum.scales[k], path, error));
    SAC_TRY(sac_json_get_real(json, "adversarial_sum", 0, 1e300, &s->sum.adversarial, path, error));
    SAC_TRY(sac_json_get_real(json, "real_sum", 0, 1e300, &s->sum.real, path, error));
    SAC_TRY(sac_json_get_real(json, "own_sum", 0, 1e300, &s->sum.own, path, error));
    SAC_TRY(sac_json_get_real(json, "seconds", 0, 1e12, &s->seconds, path, error));
    if (s->best_epoch > 0) {
        SAC_TRY(sac_json_get_real(json, "best_validation_loss", 0, 1e300, &s->best_validation_loss,
                                  path, error));
    }
    s->best_pseudo_auc = number_or_nan(json, "best_pseudo_auc");
    SAC_TRY(sac_json_get_array(json, "rows", &rows, path, error));
    SAC_TRY(rows_check(rows, s->epoch, path, error));
    json_decref(s->rows);
    s->rows = json_incref(rows);
fail:
    json_decref(json);
    return status;
}

// All zero is the one state that xoshiro256** cannot leave.
sac_status sac_checkpoint_get_rng(sac_train *train, const sac_safetensors *st, const char *path,
                                  sac_error *error) {
    sac_status status = SAC_OK;
    const int64_t words = 4;
    const void *data = NULL;
    sac_rng rng;
    SAC_TRY(sac_safetensors_expect(st, "dropout_rng", SAC_DTYPE_U64, 1, &words, &data, error));
    memcpy(rng.state, data, sizeof rng.state);
    if ((rng.state[0] | rng.state[1] | rng.state[2] | rng.state[3]) == 0) {
        return sac_error_set(error, SAC_ERROR_FORMAT, -1,
                             "%s: the state of the random numbers is zero", path);
    }
    sac_train_set_rng(train, &rng);
fail:
    return status;
}

sac_status sac_checkpoint_expect(const char *folder, bool resume, sac_error *error) {
    sac_status status = SAC_OK;
    char *path = sac_path_join(folder, "checkpoint.safetensors");
    if (path == NULL) return SAC_ERROR_MEMORY;
    const bool there = sac_is_file(path);
    if (there && !resume) {
        status = sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                               "%s exists: go on with --resume, or choose another folder", path);
    } else if (!there && resume) {
        status = sac_error_set(error, SAC_ERROR_IO, -1,
                               "%s: no such file, so there is nothing to resume", path);
    }
    sac_free(path);
    return status;
}

sac_status sac_checkpoint_begin(sac_checkpoint *state, const char *folder,
                                const sac_checkpoint_parts *parts, bool resume, sac_error *error) {
    sac_status status = SAC_OK;
    sac_safetensors *st = NULL;
    char *path = sac_path_join(folder, "checkpoint.safetensors");
    *state = (sac_checkpoint){.rows = json_array(), .options = stamp_make(parts)};
    SAC_TRY_ALLOC(path);
    SAC_TRY_ALLOC(state->rows);
    SAC_TRY_ALLOC(state->options);
    SAC_TRY(sac_checkpoint_expect(folder, resume, error));
    if (!resume) goto fail;
    SAC_TRY(sac_safetensors_read(&st, path, error));
    SAC_TRY(stamp_compare(state->options, st, path, error));
    SAC_TRY(state_load(state, st, parts, path, error));
    SAC_TRY(sac_params_load(parts->model->params, st, "model.", path, error));
    SAC_TRY(sac_params_load(parts->best, st, "best.", path, error));
    SAC_TRY(sac_adam_load(parts->adam, parts->model->params, st, "adam.", path, error));
    for (int m = 0; m < parts->discriminator_count; m++) {
        char prefix[32];
        discriminator_prefix(prefix, sizeof prefix, m);
        SAC_TRY(sac_discriminator_load(parts->discriminators[m], st, prefix, path, error));
    }
    SAC_TRY(sac_checkpoint_get_rng(parts->train, st, path, error));
    const int64_t steps = state->epoch * parts->steps_per_epoch + state->step;
    if (sac_adam_steps(parts->adam) != steps) {
        status =
            sac_error_set(error, SAC_ERROR_FORMAT, -1,
                          "%s: the optimiser made %" PRId64 " steps, the counters say %" PRId64,
                          path, sac_adam_steps(parts->adam), steps);
    }
fail:
    sac_safetensors_close(&st);
    sac_free(path);
    return status;
}
