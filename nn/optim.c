// Adam, AdamW, clipping and learning-rate schedules. Works on the parameter store alone; it knows
// neither nets nor plans.
#include "nn/optim.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "core/check.h"
#include "core/clones.h"
#include "core/memory.h"

// Sums go over fixed blocks added in order, so that the norm does not depend on the number of
// threads.
#define BLOCKS 64

typedef struct moments {
    int64_t count; // 0: not trainable
    float *m, *v;
} moments;

struct sac_adam {
    sac_adam_options options;
    int64_t steps, tensors;
    moments *moments; // [tensors], same order as the parameter store
};

sac_adam_options sac_adam_default_options(void) {
    return (sac_adam_options){.learning_rate = 1e-3, .beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8};
}

static bool valid(const sac_adam_options *o) {
    return isfinite(o->learning_rate) && o->learning_rate > 0 && o->beta1 >= 0 && o->beta1 < 1 &&
           o->beta2 >= 0 && o->beta2 < 1 && isfinite(o->epsilon) && o->epsilon > 0 &&
           isfinite(o->weight_decay) && o->weight_decay >= 0 && isfinite(o->clip_norm) &&
           o->clip_norm >= 0;
}

sac_status sac_adam_create(sac_adam **adam, const sac_params *params,
                           const sac_adam_options *options) {
    sac_status status = SAC_OK;
    sac_adam *a = NULL;
    *adam = NULL;
    if (!valid(options)) return SAC_ERROR_ARGUMENT;
    a = sac_calloc(1, sizeof *a);
    SAC_TRY_ALLOC(a);
    a->options = *options;
    a->moments = sac_calloc(sac_params_count(params), sizeof *a->moments);
    SAC_TRY_ALLOC(a->moments);
    a->tensors = sac_params_count(params);
    for (int64_t t = 0; t < a->tensors; t++) {
        const sac_param *param = sac_params_at(params, t);
        if (!param->trainable) continue;
        a->moments[t].count = param->count;
        a->moments[t].m = sac_calloc(param->count, sizeof(float));
        SAC_TRY_ALLOC(a->moments[t].m);
        a->moments[t].v = sac_calloc(param->count, sizeof(float));
        SAC_TRY_ALLOC(a->moments[t].v);
    }
    *adam = a;
    return SAC_OK;
fail:
    sac_adam_close(&a);
    return status;
}

// The store must hold the tensors the state was made for.
static sac_status check_tensors(const sac_adam *adam, const sac_params *params, sac_error *error) {
    if (sac_params_count(params) != adam->tensors)
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "optimiser: made for %lld tensors, given %lld",
                             (long long)adam->tensors, (long long)sac_params_count(params));
    for (int64_t t = 0; t < adam->tensors; t++) {
        const sac_param *param = sac_params_at(params, t);
        int64_t count = param->trainable ? param->count : 0;
        if (count != adam->moments[t].count)
            return sac_error_set(
                error, SAC_ERROR_ARGUMENT, -1,
                "optimiser: tensor \"%s\" has %lld trainable elements, expected %lld", param->name,
                (long long)count, (long long)adam->moments[t].count);
    }
    return SAC_OK;
}

// Sum of squares; squares of f32 cannot overflow a double, so it is finite exactly when every
// element is.
static double squared_norm(const float *x, int64_t n) {
    double part[BLOCKS] = {0}, sum = 0;
    int64_t step = (n + BLOCKS - 1) / BLOCKS;
#pragma omp parallel for schedule(static) if (n > 65536)
    for (int b = 0; b < BLOCKS; b++) {
        int64_t end = (b + 1) * step < n ? (b + 1) * step : n;
        double block = 0;
        for (int64_t i = b * step; i < end; i++) block += (double)x[i] * x[i];
        part[b] = block;
    }
    for (int b = 0; b < BLOCKS; b++) sum += part[b];
    return sum;
}

typedef struct update {
    double beta1, beta2, epsilon;
    double clip;             // factor on the gradient
    double l2, decay;        // L2 coefficient; lr * weight decay of AdamW
    double rate, correction; // lr / (1 - beta1^t); 1 / (1 - beta2^t)
} update;

#define SPAN 8192

SAC_CLONES static void update_span(float *restrict p, float *restrict m, float *restrict v,
                                   const float *restrict grad, int64_t n,
                                   const update *restrict u) {
    const update c = *u;
#pragma omp simd
    for (int64_t i = 0; i < n; i++) {
        double value = p[i], g = c.clip * grad[i] + c.l2 * value;
        double first = c.beta1 * m[i] + (1 - c.beta1) * g;
        double second = c.beta2 * v[i] + (1 - c.beta2) * g * g;
        m[i] = (float)first;
        v[i] = (float)(second < FLT_MAX ? second : FLT_MAX);
        p[i] = (float)(value - c.rate * first / (sqrt(second * c.correction) + c.epsilon) -
                       c.decay * value);
    }
}

static void update_tensor(float *p, float *m, float *v, const float *grad, int64_t n,
                          const update *u) {
#pragma omp parallel for schedule(static) if (n > 2 * SPAN)
    for (int64_t begin = 0; begin < n; begin += SPAN) {
        int64_t count = n - begin < SPAN ? n - begin : SPAN;
        update_span(p + begin, m + begin, v + begin, grad + begin, count, u);
    }
}

sac_status sac_adam_step(sac_adam *adam, sac_params *params, double learning_rate,
                         double *grad_norm, sac_error *error) {
    const sac_adam_options *o = &adam->options;
    sac_status status = check_tensors(adam, params, error);
    if (status < 0) return status;
    if (!isfinite(learning_rate))
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "optimiser: the learning rate is not finite");
    double squares = 0, rate = learning_rate > 0 ? learning_rate : o->learning_rate;
    for (int64_t t = 0; t < adam->tensors; t++) {
        const sac_param *param = sac_params_at(params, t);
        if (!param->trainable) continue;
        double s = squared_norm(param->grad, param->count);
        if (!isfinite(s))
            return sac_error_set(error, SAC_ERROR_NUMERIC, -1,
                                 "step %lld: the gradient of \"%s\" is not finite",
                                 (long long)adam->steps + 1, param->name);
        squares += s;
    }
    double norm = sqrt(squares);
    if (grad_norm) *grad_norm = norm;

    adam->steps++;
    double t = (double)adam->steps;
    update u = {
        .beta1 = o->beta1,
        .beta2 = o->beta2,
        .epsilon = o->epsilon,
        .clip = o->clip_norm > 0 && norm > o->clip_norm ? o->clip_norm / norm : 1,
        .l2 = o->decoupled ? 0 : o->weight_decay,
        .decay = o->decoupled ? rate * o->weight_decay : 0,
        .rate = rate / (1 - pow(o->beta1, t)),
        .correction = 1 / (1 - pow(o->beta2, t)),
    };
    for (int64_t i = 0; i < adam->tensors; i++) {
        sac_param *param = sac_params_at(params, i);
        if (param->trainable)
            update_tensor(param->data, adam->moments[i].m, adam->moments[i].v, param->grad,
                          param->count, &u);
    }
    return SAC_OK;
}

int64_t sac_adam_steps(const sac_adam *adam) {
    return adam->steps;
}

static char *tensor_name(const char *prefix, const char *name, const char *suffix) {
    return sac_format("%s%s%s", prefix ? prefix : "", name, suffix);
}

static sac_status store_one(const sac_param *param, const float *data, sac_safetensors *st,
                            const char *prefix, const char *suffix, sac_error *error) {
    char *name = tensor_name(prefix, param->name, suffix);
    if (!name) return SAC_ERROR_MEMORY;
    sac_status status = sac_safetensors_add(st, name, SAC_DTYPE_F32, param->shape.ndims,
                                            param->shape.dims, data, error);
    sac_free(name);
    return status;
}

sac_status sac_adam_store(const sac_adam *adam, const sac_params *params, sac_safetensors *st,
                          const char *prefix, sac_error *error) {
    sac_status status = SAC_OK;
    char *name = NULL;
    SAC_TRY(check_tensors(adam, params, error));
    for (int64_t t = 0; t < adam->tensors; t++) {
        const sac_param *param = sac_params_at(params, t);
        if (!param->trainable) continue;
        SAC_TRY(store_one(param, adam->moments[t].m, st, prefix, ".m", error));
        SAC_TRY(store_one(param, adam->moments[t].v, st, prefix, ".v", error));
    }
    name = tensor_name(prefix, "step", "");
    SAC_TRY_ALLOC(name);
    SAC_TRY(sac_safetensors_add(st, name, SAC_DTYPE_I64, 1, (int64_t[]){1}, &adam->steps, error));
fail:
    sac_free(name);
    return status;
}

// Finds and checks one moment; *data stays the container's.
static sac_status find_one(const sac_param *param, const sac_safetensors *st, const char *prefix,
                           const char *suffix, bool negative_allowed, const float **data,
                           const char *file, sac_error *error) {
    sac_status status = SAC_OK;
    const void *found = NULL;
    char *name = tensor_name(prefix, param->name, suffix);
    SAC_TRY_ALLOC(name);
    SAC_TRY(sac_safetensors_expect(st, name, SAC_DTYPE_F32, param->shape.ndims, param->shape.dims,
                                   &found, error));
    *data = found;
    for (int64_t i = 0; i < param->count; i++) {
        if (!isfinite((*data)[i]) || (!negative_allowed && (*data)[i] < 0)) {
            status = sac_error_set(error, SAC_ERROR_FORMAT, -1,
                                   "%s: element %lld of \"%s\" is %g, expected a finite%s number",
                                   file, (long long)i, name, (double)(*data)[i],
                                   negative_allowed ? "" : ", non-negative");
            goto fail;
        }
    }
fail:
    sac_free(name);
    return status;
}

sac_status sac_adam_load(sac_adam *adam, const sac_params *params, const sac_safetensors *st,
                         const char *prefix, const char *file, sac_error *error) {
    sac_status status = SAC_OK;
    const void *step = NULL;
    char *name = NULL;
    int64_t steps = 0;
    SAC_TRY(check_tensors(adam, params, error));
    name = tensor_name(prefix, "step", "");
    SAC_TRY_ALLOC(name);
    SAC_TRY(sac_safetensors_expect(st, name, SAC_DTYPE_I64, 1, (int64_t[]){1}, &step, error));
    memcpy(&steps, step, sizeof steps);
    if (steps < 0 || steps > INT64_C(1) << 53) {
        status =
            sac_error_set(error, SAC_ERROR_FORMAT, -1, "%s: \"%s\" is %lld, expected a step count",
                          file, name, (long long)steps);
        goto fail;
    }
    // First pass checks, second pass copies: a bad file changes nothing.
    for (int pass = 0; pass < 2; pass++) {
        for (int64_t t = 0; t < adam->tensors; t++) {
            const sac_param *param = sac_params_at(params, t);
            const float *m = NULL, *v = NULL;
            if (!param->trainable) continue;
            SAC_TRY(find_one(param, st, prefix, ".m", true, &m, file, error));
            SAC_TRY(find_one(param, st, prefix, ".v", false, &v, file, error));
            if (pass == 0) continue;
            memcpy(adam->moments[t].m, m, (size_t)param->count * sizeof(float));
            memcpy(adam->moments[t].v, v, (size_t)param->count * sizeof(float));
        }
    }
    adam->steps = steps;
fail:
    sac_free(name);
    return status;
}

void sac_adam_close(sac_adam **adam) {
    if (!adam || !*adam) return;
    sac_adam *a = *adam;
    for (int64_t t = 0; a->moments && t < a->tensors; t++) {
        sac_free(a->moments[t].m);
        sac_free(a->moments[t].v);
    }
    sac_free(a->moments);
    sac_free(a);
    *adam = NULL;
}

double sac_schedule_rate(const sac_schedule *schedule, int64_t step) {
    double rate = schedule->base;
    if (step < schedule->warmup) {
        rate *= (double)(step + 1) / (double)schedule->warmup;
    } else if (schedule->kind == SAC_SCHEDULE_STEP) {
        if (schedule->step > 0) rate *= pow(schedule->factor, (double)(step / schedule->step));
    } else if (schedule->kind == SAC_SCHEDULE_COSINE) {
        double done = (double)(step - schedule->warmup),
               length = (double)(schedule->total - schedule->warmup);
        rate = schedule->floor;
        if (done < length)
            rate += (schedule->base - schedule->floor) * 0.5 *
                    (1 + cos(3.14159265358979323846 * done / length));
    }
    return rate > 0 ? rate : DBL_MIN;
}
