// Accuracy and interleaved speed of student models.
#include "bench/assess.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "bench/eval_report.h"
#include "core/check.h"
#include "core/json.h"
#include "core/memory.h"
#include "nn/params.h"
#include "student/model.h"
#include "student/split.h"

sac_status sac_model_facts_read(sac_model_facts *facts, const char *path, sac_error *error) {
    sac_model *model = NULL;
    struct stat file;
    sac_status status;
    memset(facts, 0, sizeof *facts);
    SAC_TRY(sac_model_load(&model, path, error));
    snprintf(facts->arch, sizeof facts->arch, "%s", model->arch);
    facts->width = model->preprocess.width;
    facts->height = model->preprocess.height;
    facts->parameters = sac_params_elements(model->params, true);
    facts->int8 = model->quant != NULL;
    for (int i = 0; i < sac_net_count(model->net); i++) facts->macs += sac_net_macs(model->net, i);
    SAC_TRY(sac_split_macs(&facts->macs_per_frame, model->net, model->params, error));
    if (stat(path, &file) == 0) facts->file_bytes = (int64_t)file.st_size;
    const json_t *minutes =
        json_object_get(json_object_get(model->provenance, "metrics"), "minutes");
    facts->training_minutes = json_is_number(minutes) ? json_number_value(minutes) : (double)NAN;
    sac_model_close(&model);
    return SAC_OK;
fail:
    sac_model_close(&model);
    return status;
}

// ---- accuracy ----------------------------------------------------------------------------------

sac_status sac_accuracy_measure(sac_accuracy *accuracy, const char *path, sac_precision precision,
                                int threads, const sac_dataset *dataset,
                                const sac_clip_selection *selection, const sac_region_truth *truth,
                                const sac_logger *logger, const sac_score_progress *progress,
                                sac_error *error) {
    sac_eval_options conventions[SAC_ASSESS_SMOOTHINGS];
    sac_eval_report report = {0};
    sac_score_set set = {0};
    sac_status status;
    const sac_model_scoring how = {.precision = precision,
                                   .threads = threads,
                                   .regions = truth != NULL && truth->clips != NULL};
    for (int i = 0; i < SAC_ASSESS_SMOOTHINGS; i++)
        conventions[i] = (sac_eval_options){.smoothing = {.kind = (sac_smoothing)i}};
    SAC_TRY(sac_score_set_model(&set, path, &how, selection, logger, progress, error));
    SAC_TRY(sac_eval_report_make(&report, dataset, selection, truth, &set, 1, conventions,
                                 SAC_ASSESS_SMOOTHINGS, error));
    for (int i = 0; i < SAC_ASSESS_SMOOTHINGS; i++) {
        accuracy->micro[i] = report.results[i].micro;
        accuracy->macro[i] = report.results[i].macro;
    }
    accuracy->rbdc = report.regions != NULL ? report.regions[0].rbdc : (double)NAN;
    accuracy->tbdc = report.regions != NULL ? report.regions[0].tbdc : (double)NAN;
    status = SAC_OK;
fail:
    sac_eval_report_close(&report);
    sac_score_set_close(&set);
    return status;
}

static json_t *smoothings_json(const double *values) {
    json_t *json = json_object();
    for (int i = 0; i < SAC_ASSESS_SMOOTHINGS; i++)
        if (json_object_set_new(json, sac_smoothing_name((sac_smoothing)i),
                                sac_json_number(values[i])) < 0) {
            json_decref(json);
            return NULL;
        }
    return json;
}

json_t *sac_accuracy_json(const sac_accuracy *accuracy) {
    return json_pack("{s:o, s:o, s:o, s:o}", "micro", smoothings_json(accuracy->micro), "macro",
                     smoothings_json(accuracy->macro), "rbdc", sac_json_number(accuracy->rbdc),
                     "tbdc", sac_json_number(accuracy->tbdc));
}

static sac_status read_area(double *area, const json_t *object, const char *key, const char *file,
                            sac_error *error) {
    *area = (double)NAN;
    if (json_is_null(json_object_get(object, key))) return SAC_OK;
    return sac_json_get_real(object, key, 0, 1, area, file, error);
}

sac_status sac_accuracy_from_json(sac_accuracy *accuracy, const json_t *json, const char *file,
                                  sac_error *error) {
    sac_status status;
    json_t *micro, *macro;
    SAC_TRY(sac_json_get_object(json, "micro", &micro, file, error));
    SAC_TRY(sac_json_get_object(json, "macro", &macro, file, error));
    for (int i = 0; i < SAC_ASSESS_SMOOTHINGS; i++) {
        const char *name = sac_smoothing_name((sac_smoothing)i);
        SAC_TRY(read_area(&accuracy->micro[i], micro, name, file, error));
        SAC_TRY(read_area(&accuracy->macro[i], macro, name, file, error));
    }
    SAC_TRY(read_area(&accuracy->rbdc, json, "rbdc", file, error));
    SAC_TRY(read_area(&accuracy->tbdc, json, "tbdc", file, error));
    status = SAC_OK;
fail:
    return status;
}

// ---- speed -------------------------------------------------------------------------------------

typedef struct runner {
    sac_student *workers[SAC_TIMING_WORKERS];
    sac_student *streaming; // for the file
    sac_prepared prepared;
} runner;

static void runner_close(runner *r) {
    for (int i = 0; i < SAC_TIMING_WORKERS; i++) sac_student_close(&r->workers[i]);
    sac_student_close(&r->streaming);
    sac_prepared_close(&r->prepared);
}

static sac_status runner_open(runner *r, int64_t m, const sac_model_speed_options *o,
                              sac_error *error) {
    const char *model = o->models[m];
    sac_student_options options = sac_student_default_options();
    sac_status status;
    options.logger = o->logger;
    if (o->precisions != NULL) options.precision = o->precisions[m];
    options.threads = 1;
    for (int i = 0; i < o->threads; i++)
        SAC_TRY(sac_student_open(&r->workers[i], model, &options, error));
    options.threads = o->threads > 1 ? o->threads - 1 : 1;
    if (o->file) SAC_TRY(sac_student_open(&r->streaming, model, &options, error));
    SAC_TRY(sac_prepared_load(&r->prepared, r->workers[0], &o->source, error));
    status = SAC_OK;
fail:
    return status;
}

static sac_status check(const sac_model_speed_options *o, sac_error *error) {
    if (o->count < 1 || o->models == NULL || o->source.path == NULL)
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1, "speeds need models and a source");
    if (o->threads < 1 || o->threads > SAC_TIMING_WORKERS)
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1, "%d threads, expected 1 to %d",
                             o->threads, SAC_TIMING_WORKERS);
    if (o->rounds < 1 || o->rounds > SAC_ASSESS_ROUNDS)
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1, "%d rounds, expected 1 to %d",
                             o->rounds, SAC_ASSESS_ROUNDS);
    if (!(o->seconds > 0 && o->seconds <= 600))
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "%g s a measurement, expected more than 0 and at most 600",
                             o->seconds);
    return SAC_OK;
}

sac_status sac_model_speeds_measure(sac_model_speed *speeds, double *decode,
                                    const sac_model_speed_options *options, sac_error *error) {
    runner *runners = NULL;
    sac_status status;
    SAC_TRY(check(options, error));
    SAC_TRY_ALLOC(runners = sac_calloc(options->count, sizeof *runners));
    for (int64_t m = 0; m < options->count; m++)
        SAC_TRY(runner_open(&runners[m], m, options, error));
    // Round -1 warms up.
    for (int round = -1; round < options->rounds; round++) {
        const double seconds = round < 0 ? fmin(0.2, options->seconds) : options->seconds;
        for (int64_t m = 0; m < options->count; m++) {
            runner *r = &runners[m];
            double alone, file = (double)NAN;
            SAC_TRY(sac_time_prepared(&alone, r->workers, options->threads, &r->prepared, NULL,
                                      seconds, error));
            if (options->file)
                SAC_TRY(sac_time_files(&file, &r->streaming, 1, &options->source,
                                       options->threads > 1, NULL, seconds, NULL, error));
            if (round >= 0) {
                speeds[m].alone[round] = alone;
                speeds[m].file[round] = file;
            }
            if (options->progress != NULL &&
                options->progress(options->user, (round + 1) * options->count + m + 1,
                                  (options->rounds + 1) * options->count) != 0)
                SAC_TRY(sac_error_set(error, SAC_ERROR_INTERRUPTED, m, "interrupted"));
        }
        if (options->file && decode != NULL) {
            double fps;
            SAC_TRY(sac_time_decoding(&fps, 1, &options->source, options->threads > 1, NULL,
                                      seconds, error));
            if (round >= 0) decode[round] = fps;
        }
    }
    status = SAC_OK;
fail:
    if (status == SAC_ERROR_MEMORY) sac_error_set(error, status, -1, "no memory to measure speeds");
    for (int64_t m = 0; runners != NULL && m < options->count; m++) runner_close(&runners[m]);
    sac_free(runners);
    return status;
}
