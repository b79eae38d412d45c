// Histograms of activations and the scales chosen from them; see nn/calibrate.h.
#include "nn/calibrate.h"

#include <math.h>
#include <string.h>

#include "core/check.h"
#include "core/memory.h"
#include "nn/fold.h"
#include "nn/infer.h"
#include "nn/op.h"

#define BINS 2048

// Values > 0 of one group; bin b covers [b, b + 1) * range / BINS, the last one range itself too.
typedef struct histogram {
    int64_t count[BINS];
    int64_t total;
    double range, largest;
    bool negative; // an input was below zero
} histogram;

struct sac_calibrate {
    sac_calibrate_options options;
    sac_net *net; // folded, activations marked as outputs
    sac_infer *infer;
    int *group;
    histogram *histograms;
    int groups;
    int64_t runs;
};

sac_calibrate_options sac_calibrate_defaults(void) {
    return (sac_calibrate_options){
        .rule = SAC_CLIP_MSE, .percentile = 99.99, .input_scale = 1.0 / 255};
}

void sac_calibrate_close(sac_calibrate **calibrate) {
    if (calibrate == NULL || *calibrate == NULL) return;
    sac_infer_close(&(*calibrate)->infer);
    sac_net_close(&(*calibrate)->net);
    sac_free((*calibrate)->group);
    sac_free((*calibrate)->histograms);
    sac_free(*calibrate);
    *calibrate = NULL;
}

// Values that pass-through operators only repeat need no look.
static bool watched(const sac_calibrate *c, int i) {
    const sac_op_kind kind = sac_net_node(c->net, i)->kind;
    return c->group[i] >= 0 && (kind == SAC_OP_INPUT || kind == SAC_OP_RELU || kind == SAC_OP_CLIP);
}

sac_status sac_calibrate_create(sac_calibrate **out, const sac_net *net, const sac_params *params,
                                const sac_plan_options *plan, const sac_calibrate_options *options,
                                sac_error *error) {
    sac_status status = SAC_OK;
    sac_params *folded = NULL;
    sac_calibrate *c = NULL;
    *out = NULL;
    if (plan->quant != NULL)
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1, "calibration runs the network in f32");
    if (options->rule < SAC_CLIP_MSE || options->rule > SAC_CLIP_MAX ||
        (options->rule == SAC_CLIP_PERCENTILE &&
         !(options->percentile > 50 && options->percentile <= 100)))
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "calibration percentile is %g, expected above 50 and up to 100",
                             options->percentile);
    if (!(options->input_scale >= SAC_QUANT_MIN_SCALE &&
          options->input_scale <= SAC_QUANT_MAX_SCALE) &&
        !(options->input_scale >= 0 && options->input_scale <= 0))
        return sac_error_set(
            error, SAC_ERROR_ARGUMENT, -1,
            "calibration: input scale is %g, expected %g to %g, or 0 to measure it",
            options->input_scale, SAC_QUANT_MIN_SCALE, SAC_QUANT_MAX_SCALE);
    c = sac_calloc(1, sizeof *c);
    SAC_TRY_ALLOC(c);
    c->options = *options;
    SAC_TRY(sac_fold_net(&c->net, net, error));
    SAC_TRY(sac_params_create(&folded, c->net, error));
    SAC_TRY(sac_fold_params(folded, c->net, net, params, error));
    c->group = sac_calloc(sac_net_count(c->net), sizeof *c->group);
    SAC_TRY_ALLOC(c->group);
    c->groups = sac_quant_groups(c->group, c->net);
    if (c->groups < 0) {
        status = SAC_ERROR_MEMORY;
        goto fail;
    }
    c->histograms = sac_calloc(c->groups, sizeof *c->histograms);
    SAC_TRY_ALLOC(c->histograms);
    for (int i = 0; i < sac_net_count(c->net); i++) {
        if (watched(c, i) && sac_net_node(c->net, i)->kind != SAC_OP_INPUT)
            sac_net_output(c->net, i);
    }
    SAC_TRY(sac_infer_create(&c->infer, c->net, folded, plan, error));
    sac_params_close(&folded);
    *out = c;
    return SAC_OK;
fail:
    sac_params_close(&folded);
    sac_calibrate_close(&c);
    return sac_error_set(error, status, -1, "planning a calibration: %s", sac_status_name(status));
}

float *sac_calibrate_input(sac_calibrate *calibrate, const char *name) {
    return sac_infer_input(calibrate->infer, name);
}

// Doubles the range until it reaches `value`; neighbouring bins merge, so no value is misplaced.
static void widen(histogram *h, double value) {
    if (!(h->range > 0)) h->range = value;
    while (h->range < value) {
        for (int b = 0; b < BINS / 2; b++) h->count[b] = h->count[2 * b] + h->count[2 * b + 1];
        memset(h->count + BINS / 2, 0, BINS / 2 * sizeof h->count[0]);
        h->range *= 2;
    }
}

static sac_status look(histogram *h, const float *values, int64_t n, const char *name,
                       sac_error *error) {
    float largest = 0.0f, smallest = 0.0f;
    bool finite = true;
    for (int64_t i = 0; i < n; i++) {
        finite = finite && isfinite(values[i]);
        largest = values[i] > largest ? values[i] : largest;
        smallest = values[i] < smallest ? values[i] : smallest;
    }
    if (!finite)
        return sac_error_set(error, SAC_ERROR_NUMERIC, -1,
                             "calibration: an activation of '%s' is not finite", name);
    h->negative = h->negative || smallest < 0.0f;
    if (!(largest > 0.0f)) return SAC_OK;
    if ((double)largest > h->largest) h->largest = (double)largest;
    widen(h, (double)largest);
    const double bins = BINS / h->range;
    for (int64_t i = 0; i < n; i++) {
        if (!(values[i] > 0.0f)) continue;
        const int64_t b = (int64_t)((double)values[i] * bins);
        h->count[b < BINS ? b : BINS - 1]++;
        h->total++;
    }
    return SAC_OK;
}

sac_status sac_calibrate_run(sac_calibrate *c, sac_error *error) {
    sac_status status = SAC_OK;
    SAC_TRY(sac_infer_run(c->infer, error));
    for (int i = 0; i < sac_net_count(c->net); i++) {
        if (!watched(c, i)) continue;
        const sac_node *node = sac_net_node(c->net, i);
        const sac_shape shape = sac_infer_output_shape(c->infer, node->name);
        const float *values = node->kind == SAC_OP_INPUT ? sac_infer_input(c->infer, node->name)
                                                         : sac_infer_output(c->infer, node->name);
        SAC_TRY(
            look(&c->histograms[c->group[i]], values, sac_shape_count(&shape), node->name, error));
    }
    c->runs++;
fail:
    return status;
}

static double clip_percentile(const histogram *h, double percentile) {
    const double wanted = percentile / 100 * (double)h->total;
    double seen = 0;
    for (int b = 0; b < BINS; b++) {
        seen += (double)h->count[b];
        if (seen >= wanted) return fmin((b + 1) * h->range / BINS, h->largest);
    }
    return h->largest;
}

// Expected squared error with the limit at the upper end of bin `last`.
static double squared_error(const histogram *h, int last) {
    const double width = h->range / BINS, limit = (last + 1) * width, step = limit / 255;
    double inside = 0, error = 0;
    for (int b = 0; b <= last; b++) inside += (double)h->count[b];
    for (int b = last + 1; b < BINS; b++) {
        const double over = (b + 0.5) * width - limit;
        error += (double)h->count[b] * over * over;
    }
    return error + inside * step * step / 12;
}

static double clip_mse(const histogram *h) {
    double best = INFINITY, limit = h->largest;
    // Below 1/16 of the range 255 steps are finer than the bins.
    for (int last = BINS / 16; last < BINS; last++) {
        const double error = squared_error(h, last);
        if (!(error < best)) continue;
        best = error;
        limit = fmin((last + 1) * h->range / BINS, h->largest);
    }
    return limit;
}

sac_status sac_calibrate_finish(sac_calibrate *c, sac_quant **out, sac_error *error) {
    sac_status status = SAC_OK;
    sac_quant *quant = NULL;
    double *scales = NULL;
    *out = NULL;
    if (c->runs == 0)
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "calibration needs at least one sample");
    scales = sac_calloc(c->groups, sizeof *scales);
    SAC_TRY_ALLOC(scales);
    SAC_TRY(sac_quant_create(&quant));
    for (int g = 0; g < c->groups; g++) {
        const histogram *h = &c->histograms[g];
        if (h->negative || h->total == 0) continue;
        const double limit = c->options.rule == SAC_CLIP_MAX ? h->largest
                             : c->options.rule == SAC_CLIP_PERCENTILE
                                 ? clip_percentile(h, c->options.percentile)
                                 : clip_mse(h);
        scales[g] = fmin(fmax(limit / 255, SAC_QUANT_MIN_SCALE), SAC_QUANT_MAX_SCALE);
    }
    for (int i = 0; i < sac_net_count(c->net); i++) {
        const int g = c->group[i];
        if (g >= 0 && sac_net_node(c->net, i)->kind == SAC_OP_INPUT && scales[g] > 0 &&
            c->options.input_scale > 0)
            scales[g] = c->options.input_scale;
    }
    for (int i = 0; i < sac_net_count(c->net); i++) {
        const int g = c->group[i];
        if (g >= 0 && scales[g] > 0)
            SAC_TRY(sac_quant_set(quant, sac_net_node(c->net, i)->name, scales[g], error));
    }
    if (sac_quant_count(quant) == 0) {
        status = sac_error_set(error, SAC_ERROR_UNSUPPORTED, -1,
                               "calibration: no activation of this network can be quantised");
        goto fail;
    }
    sac_free(scales);
    *out = quant;
    return SAC_OK;
fail:
    sac_free(scales);
    sac_quant_close(&quant);
    return sac_error_set(error, status, -1, "calibration: %s", sac_status_name(status));
}
