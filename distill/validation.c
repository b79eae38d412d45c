// Runs a student over held-back frames; see distill/validation.h.
#include "distill/validation.h"

#include <math.h>
#include <string.h>

#include "core/check.h"
#include "core/memory.h"
#include "distill/kind_auc.h"
#include "distill/loss.h"
#include "saccade/metrics.h"

#define LIMIT 2000 // frames; more are thinned out evenly
#define BATCH 16

struct sac_validation {
    const sac_samples *samples;
    sac_validation_options options;
    sac_infer *infer;
    sac_sample_ref *refs;
    int64_t count;
    float *targets[3]; // one teacher, one batch
    float *scores;     // [count]
    uint8_t *labels;
    uint16_t *kinds;
    double *losses;
    float *maps;  // the finest that the student has
    int map_side; // of them
    unsigned heads;
};

void sac_validation_close(sac_validation **validation) {
    if (validation == NULL || *validation == NULL) return;
    sac_validation *v = *validation;
    sac_infer_close(&v->infer);
    for (int k = 0; k < 3; k++) sac_free(v->targets[k]);
    sac_free(v->refs);
    sac_free(v->scores);
    sac_free(v->labels);
    sac_free(v->kinds);
    sac_free(v->losses);
    sac_free(v->maps);
    sac_free(v);
    *validation = NULL;
}

static sac_status refs_make(sac_validation *v, sac_error *error) {
    const sac_samples *samples = v->samples;
    int64_t total = 0, seen = 0;
    for (int64_t c = 0; c < samples->count; c++)
        total += samples->clips[c].frames - samples->clips[c].validation_from;
    if (total == 0)
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "no frames are held back for validation");
    const int64_t every = (total + LIMIT - 1) / LIMIT;
    v->refs = sac_calloc(total / every + 1, sizeof *v->refs);
    if (v->refs == NULL) return SAC_ERROR_MEMORY;
    for (int64_t c = 0; c < samples->count; c++) {
        for (int64_t f = samples->clips[c].validation_from; f < samples->clips[c].frames;
             f++, seen++) {
            if (seen % every == 0) v->refs[v->count++] = (sac_sample_ref){(int32_t)c, (int32_t)f};
        }
    }
    return SAC_OK;
}

sac_status sac_validation_create(sac_validation **out, const sac_samples *samples,
                                 const sac_net *net, const sac_params *params,
                                 const sac_validation_options *options, sac_error *error) {
    sac_status status = SAC_OK;
    const sac_plan_options plan = {.batch = BATCH,
                                   .backend = options->backend,
                                   .channels_last = true,
                                   .quant = options->quant};
    *out = NULL;
    sac_validation *v = sac_calloc(1, sizeof *v);
    SAC_TRY_ALLOC(v);
    v->samples = samples;
    v->options = *options;
    v->options.quant = NULL;
    v->heads = sac_heads_of(net);
    for (int k = SAC_HEADS - 1; k >= 0; k--) {
        if ((v->heads >> k & 1) != 0) v->map_side = sac_heads[k].side;
    }
    SAC_TRY(refs_make(v, error));
    for (int k = 0; k < 3; k++) {
        v->targets[k] = sac_calloc(BATCH * sac_heads[k].cells, sizeof(float));
        SAC_TRY_ALLOC(v->targets[k]);
    }
    v->scores = sac_calloc(v->count, sizeof *v->scores);
    v->labels = sac_calloc(v->count, 1);
    v->kinds = sac_calloc(v->count, sizeof *v->kinds);
    v->losses = sac_calloc(v->count, sizeof *v->losses);
    v->maps = sac_calloc(v->count * v->map_side * v->map_side, sizeof *v->maps);
    SAC_TRY_ALLOC(v->scores);
    SAC_TRY_ALLOC(v->labels);
    SAC_TRY_ALLOC(v->kinds);
    SAC_TRY_ALLOC(v->losses);
    SAC_TRY_ALLOC(v->maps);
    SAC_TRY(sac_infer_create(&v->infer, net, params, &plan, error));
    *out = v;
    return SAC_OK;
fail:
    sac_validation_close(&v);
    return status;
}

// Loss and scores of one batch; returns the sum of its frames' losses.
static double batch_judge(sac_validation *v, sac_validation_result *r, int64_t at, int64_t n) {
    const sac_samples *samples = v->samples;
    const sac_sample_ref *refs = v->refs + at;
    const float *student[SAC_HEADS], *finest = NULL;
    const int64_t cells = (int64_t)v->map_side * v->map_side;
    double sum = 0;
    for (int k = SAC_HEADS - 1; k >= 0; k--) { // NULL: no such map
        student[k] = sac_infer_output(v->infer, sac_heads[k].output);
        if (student[k] != NULL) finest = student[k];
    }
    for (int m = 0; m < samples->teacher_count; m++) {
        sac_batch_targets(v->targets, samples, refs, n, m, NULL);
        const float *const target[3] = {v->targets[0], v->targets[1], v->targets[2]};
        const double weight = samples->weights[m];
        sum += (double)n * weight *
               sac_distill_loss(r->scales, NULL, student, target, n, v->options.emphasis,
                                (double)n * weight / (double)v->count, v->options.scale_weights);
        for (int64_t i = 0; i < n; i++) {
            const float *one[3], *wanted[3];
            for (int k = 0; k < 3; k++) {
                one[k] = student[k] != NULL ? student[k] + i * sac_heads[k].cells : NULL;
                wanted[k] = target[k] + i * sac_heads[k].cells;
            }
            v->losses[at + i] +=
                weight * sac_distill_loss(NULL, NULL, one, wanted, 1, v->options.emphasis, 1,
                                          v->options.scale_weights);
        }
    }
    memcpy(v->maps + at * cells, finest, (size_t)(n * cells) * sizeof(float));
    for (int64_t i = 0; i < n; i++) {
        const sac_sample_clip *clip = &samples->clips[refs[i].clip];
        const float *one[SAC_HEADS];
        for (int k = 0; k < SAC_HEADS; k++)
            one[k] = student[k] != NULL ? student[k] + i * sac_heads[k].cells : NULL;
        v->scores[at + i] = sac_heads_score(one);
        v->kinds[at + i] = clip->kinds != NULL ? clip->kinds[refs[i].frame] : 0;
        v->labels[at + i] = sac_pseudo_abnormal(v->kinds[at + i]);
    }
    return sum;
}

sac_status sac_validation_run(sac_validation *v, sac_validation_result *r, const sac_params *params,
                              sac_error *error) {
    sac_status status = SAC_OK;
    double sum = 0;
    *r = (sac_validation_result){0};
    memset(v->losses, 0, (size_t)v->count * sizeof *v->losses);
    SAC_TRY(sac_infer_update(v->infer, params, error));
    float *input = sac_infer_input(v->infer, "frames"); // NULL: u8
    for (int64_t at = 0; at < v->count; at += BATCH) {
        const int64_t n = v->count - at < BATCH ? v->count - at : BATCH;
        if (input != NULL) {
            sac_batch_input(input, v->samples, v->refs + at, n, NULL, NULL);
        } else {
            sac_batch_input_u8(sac_infer_input_u8(v->infer, "frames"), v->samples, v->refs + at, n);
        }
        SAC_TRY(sac_infer_run(v->infer, error));
        sum += batch_judge(v, r, at, n);
    }
    r->loss = sum / (double)v->count;
    if (!isfinite(r->loss)) {
        return sac_error_set(error, SAC_ERROR_NUMERIC, -1, "the validation loss is not finite");
    }
    for (int k = 0; k < SAC_HEADS; k++) {
        if ((v->heads >> k & 1) == 0) r->scales[k] = NAN;
    }
    SAC_TRY(sac_auc(&r->pseudo_auc, v->scores, v->labels, v->count, error));
    SAC_TRY(sac_kind_auc(r->kind_auc, v->scores, v->kinds, v->count, error));
fail:
    return status;
}

const sac_sample_ref *sac_validation_refs(const sac_validation *v, int64_t *count) {
    *count = v->count;
    return v->refs;
}

const double *sac_validation_losses(const sac_validation *v) {
    return v->losses;
}

const float *sac_validation_maps(const sac_validation *v, int *side) {
    *side = v->map_side;
    return v->maps;
}
