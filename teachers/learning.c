// The course of a run that learns by epochs. Everything here that influences the result is in a
// checkpoint; the clock only decides when checkpoints are written and when the time is over.
#include "teachers/learning.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/check.h"
#include "core/file.h"
#include "core/memory.h"
#include "core/time.h"
#include "nn/optim.h"

// Numbers of the tensors in checkpoints.
enum { COUNTS = 6, VALUES = 2, EPOCH_VALUES = 4 };
static const double COSINE_FLOOR = 0.02;

sac_learning_options sac_learning_default_options(void) {
    return (sac_learning_options){.batch = 64,
                                  .epochs = 6,
                                  .samples_per_epoch = 4096,
                                  .validation_samples = 1024,
                                  .learning_rate = 1e-3,
                                  .cosine = true,
                                  .checkpoint_minutes = 2,
                                  .seed = 1,
                                  .backend = SAC_BACKEND_ONEDNN};
}

bool sac_learning_options_valid(const sac_learning_options *o) {
    return o->batch >= 2 && o->batch <= 4096 && o->epochs >= 1 && o->epochs <= 100000 &&
           o->samples_per_epoch >= 0 && o->validation_samples >= 0 && o->learning_rate > 0 &&
           o->learning_rate <= 1 && o->max_minutes >= 0 && o->checkpoint_minutes >= 0;
}

sac_status sac_learning_open(sac_learning *l, const sac_learning_options *options,
                             const sac_family_job *job, const char *format, int losses,
                             int64_t objects) {
    int64_t samples = options->samples_per_epoch == 0 ? objects : options->samples_per_epoch;
    int64_t steps = samples / options->batch;
    *l = (sac_learning){.options = options,
                        .job = job,
                        .format = format,
                        .stamp = job->stamp,
                        .losses = losses,
                        .steps_per_epoch = steps > 0 ? steps : 1,
                        .order_next = -1,
                        .best = -1};
    l->history = sac_calloc(options->epochs, sizeof *l->history);
    return l->history == NULL ? SAC_ERROR_MEMORY : SAC_OK;
}

void sac_learning_close(sac_learning *l) {
    if (l == NULL) return;
    sac_free(l->history);
    l->history = NULL;
}

// ---- from step to step --------------------------------------------------------------------------

static int64_t total_steps(const sac_learning *l) {
    return l->options->epochs * l->steps_per_epoch;
}

double sac_learning_rate(const sac_learning *l) {
    sac_schedule schedule = {.kind = SAC_SCHEDULE_CONSTANT, .base = l->options->learning_rate};
    if (l->options->cosine) {
        schedule.kind = SAC_SCHEDULE_COSINE;
        schedule.total = total_steps(l);
        schedule.floor = COSINE_FLOOR * l->options->learning_rate;
    }
    return sac_schedule_rate(&schedule, l->step);
}

static void tell(const sac_learning *l, const char *note) {
    sac_family_progress(&l->job->listener, "train", "samples", l->step * l->options->batch,
                        total_steps(l) * l->options->batch, note);
}

void sac_learning_begin(sac_learning *l) {
    l->saved = sac_time_s();
    l->started = l->saved - l->seconds;
    tell(l, NULL);
}

void sac_learning_step(sac_learning *l, const double *losses) {
    char note[32];
    for (int k = 0; k < l->losses; k++) l->sums[k] += losses[k];
    l->step++;
    l->epoch_step++;
    l->seconds = sac_time_s() - l->started;
    (void)snprintf(note, sizeof note, "loss %.4f", l->sums[0] / (double)l->epoch_step);
    tell(l, note);
    l->out_of_time = l->options->max_minutes > 0 && l->seconds >= 60 * l->options->max_minutes;
    l->epoch_ends = l->epoch_step == l->steps_per_epoch || l->out_of_time;
}

bool sac_learning_epoch_ends(const sac_learning *l) {
    return l->epoch_ends;
}

bool sac_learning_close_epoch(sac_learning *l, const double *train, const double *valid) {
    sac_learning_epoch *e = &l->history[l->epochs_done];
    l->seconds = sac_time_s() - l->started;
    *e = (sac_learning_epoch){.epoch = l->epochs_done + 1,
                              .samples = l->epoch_step * l->options->batch,
                              .learning_rate = sac_learning_rate(l),
                              .seconds = l->seconds};
    memcpy(e->train, train, (size_t)l->losses * sizeof *train);
    memcpy(e->valid, valid, (size_t)l->losses * sizeof *valid);
    bool better = l->best < 0 || valid[0] < l->best_loss;
    if (better) {
        l->best = l->epochs_done;
        l->best_loss = valid[0];
    }
    l->epochs_done++;
    l->epoch_step = 0;
    memset(l->sums, 0, sizeof l->sums);
    l->finished = l->out_of_time || l->epochs_done == l->options->epochs;
    return better;
}

bool sac_learning_must_save(sac_learning *l) {
    l->stopped = !l->finished && sac_family_stopped(&l->job->listener);
    return l->epoch_ends || l->stopped ||
           sac_time_s() - l->saved >= 60 * l->options->checkpoint_minutes;
}

sac_status sac_learning_check_stop(const sac_learning *l, sac_error *error) {
    if (!l->stopped) return SAC_OK;
    return sac_error_set(error, SAC_ERROR_INTERRUPTED, l->step,
                         "interrupted after step %lld of %lld%s", (long long)l->step,
                         (long long)total_steps(l),
                         l->job->checkpoint != NULL ? "; the checkpoint is saved" : "");
}

// ---- checkpoints --------------------------------------------------------------------------------

sac_status sac_learning_store(sac_learning *l, sac_safetensors *st, sac_error *error) {
    sac_status status = SAC_OK;
    const int64_t columns = EPOCH_VALUES + 2 * l->losses;
    const size_t bytes = (size_t)l->losses * sizeof(double);
    double *rows = sac_calloc(l->epochs_done * columns, sizeof *rows);
    SAC_TRY_ALLOC(rows);
    SAC_TRY(sac_safetensors_set_metadata(st, "format", l->format, error));
    SAC_TRY(sac_safetensors_set_metadata(st, "stamp", l->stamp, error));
    int64_t counts[COUNTS] = {l->step, l->epoch_step}, n = 2;
    if (l->order_next >= 0) counts[n++] = l->order_next;
    counts[n++] = l->epochs_done;
    counts[n++] = l->best;
    counts[n++] = l->finished;
    SAC_TRY(sac_safetensors_add(st, "state.counts", SAC_DTYPE_I64, 1, &n, counts, error));
    double values[VALUES + SAC_LEARNING_LOSSES] = {l->best_loss, l->seconds};
    memcpy(values + VALUES, l->sums, bytes);
    n = VALUES + l->losses;
    SAC_TRY(sac_safetensors_add(st, "state.values", SAC_DTYPE_F64, 1, &n, values, error));
    for (int64_t i = 0; i < l->epochs_done; i++) {
        const sac_learning_epoch *e = &l->history[i];
        double *row = rows + i * columns;
        row[0] = (double)e->epoch;
        row[1] = (double)e->samples;
        row[2] = e->learning_rate;
        row[3] = e->seconds;
        memcpy(row + EPOCH_VALUES, e->train, bytes);
        memcpy(row + EPOCH_VALUES + l->losses, e->valid, bytes);
    }
    int64_t dims[2] = {l->epochs_done, columns};
    SAC_TRY(sac_safetensors_add(st, "history", SAC_DTYPE_F64, 2, dims, rows, error));
    l->saved = sac_time_s();
fail:
    sac_free(rows);
    return status;
}

sac_status sac_learning_contradiction(const sac_learning *l, sac_error *error) {
    return sac_error_set(error, SAC_ERROR_FORMAT, -1, "%s: its counters contradict each other",
                         l->job->checkpoint);
}

static sac_status check_origin(const sac_learning *l, const sac_safetensors *st, sac_error *error) {
    const char *text = sac_safetensors_metadata(st, "format");
    if (text == NULL || strcmp(text, l->format) != 0) {
        return sac_error_set(error, SAC_ERROR_FORMAT, -1,
                             "%s: not a checkpoint of this version of the teacher",
                             l->job->checkpoint);
    }
    text = sac_safetensors_metadata(st, "stamp");
    if (text == NULL || strcmp(text, l->stamp) != 0) {
        return sac_error_set(error, SAC_ERROR_FORMAT, -1,
                             "%s: was made with other data or settings, which differ: then %s, "
                             "now %s",
                             l->job->checkpoint, text == NULL ? "unknown" : text, l->stamp);
    }
    return SAC_OK;
}

static bool consistent(const sac_learning *l) {
    return l->step >= 0 && l->step <= total_steps(l) && l->epoch_step >= 0 &&
           l->epoch_step <= l->steps_per_epoch && l->epochs_done >= 0 &&
           l->epochs_done <= l->options->epochs && l->best >= -1 && l->best < l->epochs_done &&
           isfinite(l->seconds) && l->seconds >= 0 && (!l->finished || l->best >= 0);
}

sac_status sac_learning_load(sac_learning *l, const sac_safetensors *st, sac_error *error) {
    sac_status status = SAC_OK;
    const void *data = NULL;
    const int64_t columns = EPOCH_VALUES + 2 * l->losses;
    const size_t bytes = (size_t)l->losses * sizeof(double);
    SAC_TRY(check_origin(l, st, error));
    int64_t n = l->order_next >= 0 ? COUNTS : COUNTS - 1;
    SAC_TRY(sac_safetensors_expect(st, "state.counts", SAC_DTYPE_I64, 1, &n, &data, error));
    const int64_t *counts = data;
    l->step = *counts++;
    l->epoch_step = *counts++;
    if (l->order_next >= 0) l->order_next = *counts++;
    l->epochs_done = *counts++;
    l->best = *counts++;
    l->finished = *counts != 0;
    n = VALUES + l->losses;
    SAC_TRY(sac_safetensors_expect(st, "state.values", SAC_DTYPE_F64, 1, &n, &data, error));
    const double *values = data;
    l->best_loss = values[0];
    l->seconds = values[1];
    memcpy(l->sums, values + VALUES, bytes);
    if (!consistent(l)) {
        status = sac_learning_contradiction(l, error);
        goto fail;
    }
    int64_t dims[2] = {l->epochs_done, columns};
    SAC_TRY(sac_safetensors_expect(st, "history", SAC_DTYPE_F64, 2, dims, &data, error));
    for (int64_t i = 0; i < l->epochs_done; i++) {
        const double *row = (const double *)data + i * columns;
        sac_learning_epoch *e = &l->history[i];
        *e = (sac_learning_epoch){
            .epoch = i + 1,
            .samples = row[1] >= 0 && row[1] < 1e15 ? (int64_t)row[1] : 0,
            .learning_rate = row[2],
            .seconds = row[3],
        };
        memcpy(e->train, row + EPOCH_VALUES, bytes);
        memcpy(e->valid, row + EPOCH_VALUES + l->losses, bytes);
    }
fail:
    return status;
}

// ---- what comes of it ---------------------------------------------------------------------------

sac_status sac_learning_finish(sac_learning_report *report, sac_learning *l,
                               const sac_family_objects *objects, sac_error *error) {
    if (l->best < 0 || l->best >= l->epochs_done)
        return sac_error_set(error, SAC_ERROR_NUMERIC, -1, "no epoch was finished");
    *report = (sac_learning_report){.epochs = l->history,
                                    .count = l->epochs_done,
                                    .best = l->best,
                                    .seconds = l->seconds,
                                    .samples = l->step * l->options->batch,
                                    .training_objects = objects->train,
                                    .held_back_objects = objects->held_back};
    l->history = NULL;
    return SAC_OK;
}

static sac_status write_losses(sac_file_writer *writer, const double *losses,
                               const sac_learning_column *columns, int count, sac_error *error) {
    sac_status status = SAC_OK;
    for (int k = 0; k < count; k++) {
        double value = losses[columns[k].value];
        if (columns[k].part) {
            SAC_TRY(sac_file_printf(writer, error, ",%.4f", value));
        } else {
            SAC_TRY(sac_file_printf(writer, error, ",%.6g", value));
        }
    }
fail:
    return status;
}

sac_status sac_learning_write_metrics(const char *folder, const sac_learning_epoch *epochs,
                                      int64_t count, int64_t best,
                                      const sac_learning_column *columns, int column_count,
                                      sac_error *error) {
    sac_status status = SAC_OK;
    sac_file_writer *writer = NULL;
    char *path = sac_path_join(folder, "metrics.csv");
    SAC_TRY_ALLOC(path);
    SAC_TRY(sac_file_writer_open(&writer, path, error));
    SAC_TRY(sac_file_printf(writer, error, "epoch,samples,learning_rate,seconds"));
    for (int k = 0; k < column_count; k++)
        SAC_TRY(sac_file_printf(writer, error, ",train_%s", columns[k].name));
    for (int k = 0; k < column_count; k++)
        SAC_TRY(sac_file_printf(writer, error, ",valid_%s", columns[k].name));
    SAC_TRY(sac_file_printf(writer, error, ",best\n"));
    for (int64_t i = 0; i < count; i++) {
        const sac_learning_epoch *e = &epochs[i];
        SAC_TRY(sac_file_printf(writer, error, "%lld,%lld,%.6g,%.1f", (long long)e->epoch,
                                (long long)e->samples, e->learning_rate, e->seconds));
        SAC_TRY(write_losses(writer, e->train, columns, column_count, error));
        SAC_TRY(write_losses(writer, e->valid, columns, column_count, error));
        SAC_TRY(sac_file_printf(writer, error, ",%d\n", i == best));
    }
    SAC_TRY(sac_file_writer_commit(&writer, error));
fail:
    sac_file_writer_close(&writer);
    sac_free(path);
    return status;
}
