// Quantiles of held-back objects' task scores, and scores relative to them.
#include "teachers/calibration.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/check.h"
#include "core/json.h"
#include "core/memory.h"

// Task scores further out add nothing; the limit keeps the sum finite.
static const double MOST_Z = 20;
// The same for -ln of a tail probability.
static const double MOST_TAIL = 100;
static const char *const COMBINATIONS[] = {"mean", "max", "tail"};
static const char *const NORMALISATIONS[] = {"training", "clip"};

void sac_calibration_init(sac_calibration *c, int tasks, const char *(*name)(int task),
                          sac_combination combination) {
    *c = (sac_calibration){.tasks = tasks < SAC_CALIBRATION_TASKS ? tasks : SAC_CALIBRATION_TASKS,
                           .combination = combination};
    for (int k = 0; k < c->tasks; k++) {
        (void)snprintf(c->name[k], sizeof c->name[k], "%s", name(k));
        c->weight[k] = 1;
    }
}

static int compare_float(const void *pa, const void *pb) {
    float a = *(const float *)pa, b = *(const float *)pb;
    return a < b ? -1 : a > b;
}

// Quantile with linear interpolation between order statistics.
static double quantile(const float *sorted, int64_t n, double q) {
    double at = q * (double)(n - 1);
    int64_t low = (int64_t)at, high = low + 1 < n ? low + 1 : low;
    return sorted[low] + (at - (double)low) * ((double)sorted[high] - sorted[low]);
}

// Median and 99 % quantile of values f32 [n], which get sorted.
static void quantiles(double *median, double *high, float *values, int64_t n) {
    qsort(values, (size_t)n, sizeof *values, compare_float);
    *median = quantile(values, n, 0.5);
    *high = quantile(values, n, 0.99);
}

// Equal quantiles (a few objects only) must not divide by zero.
static double relative(double value, double median, double high) {
    return fmin(fmax((value - median) / fmax(high - median, 1e-6), -MOST_Z), MOST_Z);
}

double sac_calibration_relative(const sac_calibration *c, int task, float value) {
    return relative((double)value, c->median[task], c->high[task]);
}

// -ln of the probability that a normal object is as unusual as this.
static double tail(const sac_calibration *c, int k, float value) {
    const double z = sac_calibration_relative(c, k, value);
    if (z <= 1) return fmax(0, log(2) + z * log(50));
    const double usual = fmax(c->high[k] - c->median[k], 1e-6) / log(50);
    const double beyond = ((double)value - c->high[k]) / fmax(c->excess[k], usual);
    return fmin(log(100) + beyond, MOST_TAIL);
}

static double combine(const sac_calibration *c, const float *tasks) {
    double sum = 0, weights = 0, most = -INFINITY;
    for (int k = 0; k < c->tasks; k++) {
        double z = c->weight[k] * (c->combination == SAC_COMBINE_TAIL
                                       ? tail(c, k, tasks[k])
                                       : sac_calibration_relative(c, k, tasks[k]));
        sum += z;
        weights += c->weight[k];
        if (z > most) most = z;
    }
    return c->combination == SAC_COMBINE_MAX ? most : sum / weights;
}

double sac_calibration_combine(const sac_calibration *c, const float *tasks) {
    return relative(combine(c, tasks), c->mean_median, c->mean_high);
}

float sac_calibration_score(double u) {
    return (float)(1 / (1 + exp(2 - 2 * u)));
}

// values[i], i < count, to [0,1] by their extremes.
static void stretch(float *values, int64_t count) {
    float low = INFINITY, high = -INFINITY;
    for (int64_t i = 0; i < count; i++) {
        low = fminf(low, values[i]);
        high = fmaxf(high, values[i]);
    }
    for (int64_t i = 0; i < count; i++) {
        double part = ((double)values[i] - (double)low) / ((double)high - (double)low);
        values[i] = high > low ? (float)fmin(fmax(part, 0), 1) : 0;
    }
}

void sac_calibration_task_scores(const sac_calibration *c, int task, float *scores,
                                 const float *tasks, int64_t count) {
    for (int64_t i = 0; i < count; i++) {
        float value = tasks[i * c->tasks + task];
        scores[i] = c->normalisation == SAC_NORMALISE_CLIP
                        ? value
                        : sac_calibration_score(sac_calibration_relative(c, task, value));
    }
    if (c->normalisation == SAC_NORMALISE_CLIP) stretch(scores, count);
}

void sac_calibration_scores(const sac_calibration *c, float *scores, const float *tasks,
                            int64_t count) {
    if (c->normalisation != SAC_NORMALISE_CLIP) {
        for (int64_t i = 0; i < count; i++)
            scores[i] = sac_calibration_score(sac_calibration_combine(c, tasks + i * c->tasks));
        return;
    }
    double low[SAC_CALIBRATION_TASKS], high[SAC_CALIBRATION_TASKS];
    for (int k = 0; k < c->tasks; k++) {
        low[k] = INFINITY;
        high[k] = -INFINITY;
        for (int64_t i = 0; i < count; i++) {
            low[k] = fmin(low[k], (double)tasks[i * c->tasks + k]);
            high[k] = fmax(high[k], (double)tasks[i * c->tasks + k]);
        }
    }
    for (int64_t i = 0; i < count; i++) {
        double sum = 0, most = 0;
        for (int k = 0; k < c->tasks; k++) {
            double x = high[k] > low[k]
                           ? ((double)tasks[i * c->tasks + k] - low[k]) / (high[k] - low[k])
                           : 0;
            sum += c->weight[k] * x;
            most = fmax(most, c->weight[k] * x);
        }
        scores[i] = (float)(c->combination == SAC_COMBINE_MAX ? most : sum);
    }
    stretch(scores, count);
}

sac_status sac_calibration_fit(sac_calibration *c, const float *tasks, int64_t objects,
                               sac_error *error) {
    sac_status status = SAC_OK;
    float *values = NULL;
    c->objects = 0;
    if (objects < 1) {
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "no held-back objects to calibrate the scores with");
    }
    SAC_TRY_ALLOC(values = sac_calloc(objects, sizeof *values));
    for (int k = 0; k < c->tasks; k++) {
        for (int64_t i = 0; i < objects; i++) {
            values[i] = tasks[i * c->tasks + k];
            if (!isfinite(values[i])) {
                status = sac_error_set(error, SAC_ERROR_NUMERIC, i,
                                       "the %s score of held-back object %lld is not finite",
                                       c->name[k], (long long)i);
                goto fail;
            }
        }
        quantiles(&c->median[k], &c->high[k], values, objects);
        int64_t above = 0;
        double excess = 0;
        for (int64_t i = objects - 1; i >= 0 && (double)values[i] > c->high[k]; i--, above++)
            excess += (double)values[i] - c->high[k];
        c->excess[k] = above > 0 ? excess / (double)above : 0;
    }
    SAC_TRY(sac_calibration_fit_combination(c, tasks, objects, error));
fail:
    sac_free(values);
    return status < 0 ? sac_error_set(error, status, -1, "no memory for the calibration") : SAC_OK;
}

sac_status sac_calibration_fit_combination(sac_calibration *c, const float *tasks, int64_t objects,
                                           sac_error *error) {
    c->objects = 0;
    if (objects < 1) {
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "no held-back objects to calibrate the scores with");
    }
    float *values = sac_calloc(objects, sizeof *values);
    if (values == NULL)
        return sac_error_set(error, SAC_ERROR_MEMORY, -1, "no memory for the calibration");
    for (int64_t i = 0; i < objects; i++) values[i] = (float)combine(c, tasks + i * c->tasks);
    quantiles(&c->mean_median, &c->mean_high, values, objects);
    c->objects = objects;
    sac_free(values);
    return SAC_OK;
}

// {NAME: {"median", "q99"[, "excess", "weight"]}}
static json_t *tasks_json(const sac_calibration *c, bool whole) {
    json_t *tasks = json_object();
    for (int k = 0; tasks != NULL && k < c->tasks; k++) {
        json_t *row = json_pack("{s:f, s:f}", "median", c->median[k], "q99", c->high[k]);
        bool failed = row == NULL || json_object_set(tasks, c->name[k], row) != 0;
        if (!failed && whole) {
            failed = json_object_set_new(row, "excess", sac_json_number(c->excess[k])) != 0;
        }
        if (!failed && whole && c->weight[k] != 1) {
            failed = json_object_set_new(row, "weight", sac_json_number(c->weight[k])) != 0;
        }
        json_decref(row);
        if (failed) {
            json_decref(tasks);
            return NULL;
        }
    }
    return tasks;
}

json_t *sac_calibration_tasks_json(const sac_calibration *c) {
    return tasks_json(c, false);
}

json_t *sac_calibration_to_json(const sac_calibration *c) {
    json_t *tasks = tasks_json(c, true);
    if (tasks == NULL) return NULL;
    json_t *json = json_pack("{s:I, s:s, s:o, s:{s:f, s:f}}", "objects", (json_int_t)c->objects,
                             "combination", COMBINATIONS[c->combination], "tasks", tasks, "mean",
                             "median", c->mean_median, "q99", c->mean_high);
    if (json == NULL || c->normalisation == SAC_NORMALISE_TRAINING) return json;
    if (json_object_set_new(json, "normalisation", json_string(NORMALISATIONS[c->normalisation])) ==
        0)
        return json;
    json_decref(json);
    return NULL;
}

sac_status sac_calibration_read(sac_calibration *c, const json_t *json, const char *path,
                                sac_error *error) {
    sac_status status = SAC_OK;
    json_t *tasks = NULL, *row = NULL;
    const char *combination = COMBINATIONS[SAC_COMBINE_MEAN];
    // Files of version 0.1 knew the mean only and did not name it.
    if (json_object_get(json, "combination") != NULL) {
        SAC_TRY(sac_json_get_text(json, "combination", &combination, path, error));
    }
    int found = -1;
    for (int i = 0; i < (int)(sizeof COMBINATIONS / sizeof COMBINATIONS[0]); i++) {
        if (strcmp(combination, COMBINATIONS[i]) == 0) found = i;
    }
    if (found < 0) {
        return sac_error_set(error, SAC_ERROR_FORMAT, -1,
                             "%s: 'combination' is '%.40s', expected mean, max or tail", path,
                             combination);
    }
    c->combination = (sac_combination)found;
    c->normalisation = SAC_NORMALISE_TRAINING;
    if (json_object_get(json, "normalisation") != NULL) {
        const char *normalisation = NULL;
        SAC_TRY(sac_json_get_text(json, "normalisation", &normalisation, path, error));
        if (strcmp(normalisation, NORMALISATIONS[SAC_NORMALISE_CLIP]) == 0) {
            c->normalisation = SAC_NORMALISE_CLIP;
        } else if (strcmp(normalisation, NORMALISATIONS[SAC_NORMALISE_TRAINING]) != 0) {
            return sac_error_set(error, SAC_ERROR_FORMAT, -1,
                                 "%s: 'normalisation' is '%.40s', expected training or clip", path,
                                 normalisation);
        }
    }
    SAC_TRY(sac_json_get_int(json, "objects", 1, INT64_MAX, &c->objects, path, error));
    SAC_TRY(sac_json_get_object(json, "tasks", &tasks, path, error));
    for (int k = 0; k < c->tasks; k++) {
        SAC_TRY(sac_json_get_object(tasks, c->name[k], &row, path, error));
        SAC_TRY(sac_json_get_real(row, "median", -1e9, 1e9, &c->median[k], path, error));
        SAC_TRY(sac_json_get_real(row, "q99", -1e9, 1e9, &c->high[k], path, error));
        c->excess[k] = 0;
        if (c->combination == SAC_COMBINE_TAIL || json_object_get(row, "excess") != NULL) {
            SAC_TRY(sac_json_get_real(row, "excess", 0, 1e9, &c->excess[k], path, error));
        }
        c->weight[k] = 1;
        if (json_object_get(row, "weight") != NULL) {
            SAC_TRY(sac_json_get_real(row, "weight", 1e-6, 1e6, &c->weight[k], path, error));
        }
    }
    SAC_TRY(sac_json_get_object(json, "mean", &row, path, error));
    SAC_TRY(sac_json_get_real(row, "median", -1e9, 1e9, &c->mean_median, path, error));
    SAC_TRY(sac_json_get_real(row, "q99", -1e9, 1e9, &c->mean_high, path, error));
fail:
    return status;
}
