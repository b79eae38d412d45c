// Calibration of a student on frames in memory; see bench/peers_int8.h.
#include "bench/peers_int8.h"

#include <math.h>

#include "core/check.h"
#include "core/memory.h"
#include "nn/calibrate.h"
#include "nn/fold.h"
#include "nn/infer.h"

enum { CALIBRATION = 16 }; // frames

// The network's input of frame k, channels-last.
static void fill(float *input, const sac_model *model, const uint8_t *frames, int64_t k) {
    const sac_preprocess *p = &model->preprocess;
    const uint8_t *three[3];
    for (int i = 0; i < 3; i++)
        three[i] = frames + (k + p->offsets[i] - p->offsets[0]) * sac_preprocess_bytes(p);
    sac_preprocess_stack(input, three, p);
}

static int64_t samples_of(const sac_model *model, int64_t count) {
    const int64_t most = count - (model->preprocess.offsets[2] - model->preprocess.offsets[0]);
    return most < CALIBRATION ? most : CALIBRATION;
}

sac_status sac_peers_calibrate(sac_quant **quant, const sac_model *model, const uint8_t *frames,
                               int64_t count, sac_error *error) {
    sac_status status = SAC_OK;
    sac_calibrate *c = NULL;
    *quant = NULL;
    const sac_preprocess *p = &model->preprocess;
    const sac_plan_options plan = {
        .batch = 1, .backend = SAC_BACKEND_ONEDNN, .channels_last = true};
    sac_calibrate_options options = sac_calibrate_defaults();
    options.input_scale = p->mean == 0 ? 1.0 / p->scale : 0;
    SAC_TRY(sac_calibrate_create(&c, model->net, model->params, &plan, &options, error));
    for (int64_t k = 0; k < samples_of(model, count); k++) {
        fill(sac_calibrate_input(c, "frames"), model, frames, k);
        SAC_TRY(sac_calibrate_run(c, error));
    }
    SAC_TRY(sac_calibrate_finish(c, quant, error));
fail:
    sac_calibrate_close(&c);
    return status;
}

// Convolutions outside the table that feed a sum: their largest value on the same frames becomes
// step 127.
sac_status sac_peers_centred(sac_quant **centred, const sac_model *model, const sac_quant *quant,
                             const uint8_t *frames, int64_t count, sac_error *error) {
    sac_status status = SAC_OK;
    sac_net *folded = NULL;
    sac_params *params = NULL;
    sac_infer *infer = NULL;
    float *largest = NULL;
    *centred = NULL;
    SAC_TRY(sac_quant_create(centred));
    SAC_TRY(sac_fold_net(&folded, model->net, error));
    SAC_TRY(sac_params_create(&params, folded, error));
    SAC_TRY(sac_fold_params(params, folded, model->net, model->params, error));
    const int nodes = sac_net_count(folded);
    SAC_TRY_ALLOC(largest = sac_calloc(nodes, sizeof *largest));
    for (int i = 0; i < nodes; i++) largest[i] = -1;
    for (int i = 0; i < nodes; i++) {
        const sac_node *node = sac_net_node(folded, i);
        for (int s = 0; s < node->src_count && node->kind == SAC_OP_ADD; s++) {
            const sac_node *src = sac_net_node(folded, node->src[s]);
            if (src->kind != SAC_OP_CONV || sac_quant_scale(quant, src->name) > 0) continue;
            largest[node->src[s]] = 0;
            sac_net_output(folded, node->src[s]);
        }
    }
    const sac_plan_options plan = {
        .batch = 1, .backend = SAC_BACKEND_ONEDNN, .channels_last = true};
    SAC_TRY(sac_infer_create(&infer, folded, params, &plan, error));
    for (int64_t k = 0; k < samples_of(model, count); k++) {
        fill(sac_infer_input(infer, "frames"), model, frames, k);
        SAC_TRY(sac_infer_run(infer, error));
        for (int i = 0; i < nodes; i++) {
            if (largest[i] < 0) continue;
            const char *name = sac_net_node(folded, i)->name;
            const sac_shape shape = sac_infer_output_shape(infer, name);
            const float *values = sac_infer_output(infer, name);
            int64_t size = 1;
            for (int d = 0; d < shape.ndims; d++) size *= shape.dims[d];
            for (int64_t v = 0; v < size; v++) largest[i] = fmaxf(largest[i], fabsf(values[v]));
        }
    }
    for (int i = 0; i < nodes; i++) {
        const double scale = (double)largest[i] / 127;
        if (scale >= SAC_QUANT_MIN_SCALE && scale <= SAC_QUANT_MAX_SCALE)
            SAC_TRY(sac_quant_set(*centred, sac_net_node(folded, i)->name, scale, error));
    }
fail:
    sac_free(largest);
    sac_infer_close(&infer);
    sac_params_close(&params);
    sac_net_close(&folded);
    if (status < 0) sac_quant_close(centred);
    return status;
}
