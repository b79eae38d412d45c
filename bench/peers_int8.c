// Calibration and runs of our int8 plan; see bench/peers_int8.h.
#include "bench/peers_int8.h"

#include <math.h>
#include <string.h>

#include "core/check.h"
#include "core/clones.h"
#include "core/memory.h"
#include "nn/calibrate.h"
#include "nn/fold.h"
#include "nn/infer.h"

enum { CALIBRATION = 16 }; // frames

struct sac_int8_arm {
    const sac_model *model;
    sac_quant *quant, *centred;
    sac_infer *infer;
    uint8_t *u8; // input of the plan, [3][H][W], or
    float *f32;
    int64_t pixels;
    sac_int8_maps maps;
};

// The network's input of frame k, f32 [3][H][W].
static void fill(float *input, const sac_model *model, const uint8_t *planes, int64_t k) {
    const sac_preprocess *p = &model->preprocess;
    const int64_t pixels = (int64_t)p->width * p->height;
    for (int c = 0; c < 3; c++)
        sac_preprocess_plane(input + c * pixels,
                             planes + (k + p->offsets[c] - p->offsets[0]) * pixels, p);
}

static int64_t samples_of(const sac_model *model, int64_t count) {
    const int64_t most = count - (model->preprocess.offsets[2] - model->preprocess.offsets[0]);
    return most < CALIBRATION ? most : CALIBRATION;
}

static sac_status calibrate(sac_int8_arm *arm, const uint8_t *planes, int64_t count,
                            sac_error *error) {
    sac_status status = SAC_OK;
    sac_calibrate *c = NULL;
    const sac_preprocess *p = &arm->model->preprocess;
    const sac_plan_options plan = {.batch = 1, .backend = SAC_BACKEND_ONEDNN};
    sac_calibrate_options options = sac_calibrate_defaults();
    options.input_scale = p->mean == 0 ? 1.0 / p->scale : 0;
    SAC_TRY(sac_calibrate_create(&c, arm->model->net, arm->model->params, &plan, &options, error));
    for (int64_t k = 0; k < samples_of(arm->model, count); k++) {
        fill(sac_calibrate_input(c, "frames"), arm->model, planes, k);
        SAC_TRY(sac_calibrate_run(c, error));
    }
    SAC_TRY(sac_calibrate_finish(c, &arm->quant, error));
fail:
    sac_calibrate_close(&c);
    return status;
}

// Convolutions outside the table that feed a sum: their largest value on the same frames becomes
// step 127.
static sac_status calibrate_sums(sac_int8_arm *arm, const uint8_t *planes, int64_t count,
                                 sac_error *error) {
    sac_status status = SAC_OK;
    sac_net *folded = NULL;
    sac_params *params = NULL;
    sac_infer *infer = NULL;
    float *largest = NULL;
    SAC_TRY(sac_quant_create(&arm->centred));
    SAC_TRY(sac_fold_net(&folded, arm->model->net, error));
    SAC_TRY(sac_params_create(&params, folded, error));
    SAC_TRY(sac_fold_params(params, folded, arm->model->net, arm->model->params, error));
    const int nodes = sac_net_count(folded);
    SAC_TRY_ALLOC(largest = sac_calloc(nodes, sizeof *largest));
    for (int i = 0; i < nodes; i++) largest[i] = -1;
    for (int i = 0; i < nodes; i++) {
        const sac_node *node = sac_net_node(folded, i);
        for (int s = 0; s < node->src_count && node->kind == SAC_OP_ADD; s++) {
            const sac_node *src = sac_net_node(folded, node->src[s]);
            if (src->kind != SAC_OP_CONV || sac_quant_scale(arm->quant, src->name) > 0) continue;
            largest[node->src[s]] = 0;
            sac_net_output(folded, node->src[s]);
        }
    }
    const sac_plan_options plan = {.batch = 1, .backend = SAC_BACKEND_ONEDNN};
    SAC_TRY(sac_infer_create(&infer, folded, params, &plan, error));
    for (int64_t k = 0; k < samples_of(arm->model, count); k++) {
        fill(sac_infer_input(infer, "frames"), arm->model, planes, k);
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
            SAC_TRY(sac_quant_set(arm->centred, sac_net_node(folded, i)->name, scale, error));
    }
fail:
    sac_free(largest);
    sac_infer_close(&infer);
    sac_params_close(&params);
    sac_net_close(&folded);
    return status;
}

sac_status sac_int8_arm_create(sac_int8_arm **out, const sac_model *model, const uint8_t *planes,
                               int64_t count, sac_error *error) {
    sac_status status = SAC_OK;
    *out = NULL;
    sac_int8_arm *arm = sac_calloc(1, sizeof *arm);
    SAC_TRY_ALLOC(arm);
    arm->model = model;
    arm->pixels = (int64_t)model->preprocess.width * model->preprocess.height;
    SAC_TRY(calibrate(arm, planes, count, error));
    SAC_TRY(calibrate_sums(arm, planes, count, error));
    const sac_plan_options plan = {.batch = 1, .backend = SAC_BACKEND_ONEDNN, .quant = arm->quant};
    SAC_TRY(sac_infer_create(&arm->infer, model->net, model->params, &plan, error));
    arm->u8 = sac_infer_input_u8(arm->infer, "frames");
    if (arm->u8 == NULL) arm->f32 = sac_infer_input(arm->infer, "frames");
    arm->maps = (sac_int8_maps){.map16 = sac_infer_output(arm->infer, "map16"),
                                .map4 = sac_infer_output(arm->infer, "map4"),
                                .map1 = sac_infer_output(arm->infer, "map1")};
    *out = arm;
    return SAC_OK;
fail:
    sac_int8_arm_close(&arm);
    return sac_error_set(error, status, -1, "the int8 plan cannot be made: %s",
                         sac_status_name(status));
}

const sac_quant *sac_int8_arm_quant(const sac_int8_arm *arm) {
    return arm->quant;
}

const sac_quant *sac_int8_arm_centred(const sac_int8_arm *arm) {
    return arm->centred;
}

bool sac_int8_arm_takes_pixels(const sac_int8_arm *arm) {
    return arm->u8 != NULL;
}

sac_status sac_int8_arm_run_u8(sac_int8_arm *arm, const uint8_t *const planes[3],
                               sac_int8_maps *maps, sac_error *error) {
    for (int c = 0; c < 3; c++) {
        if (arm->u8 != NULL) {
            memcpy(arm->u8 + c * arm->pixels, planes[c], (size_t)arm->pixels);
        } else {
            sac_preprocess_plane(arm->f32 + c * arm->pixels, planes[c], &arm->model->preprocess);
        }
    }
    *maps = arm->maps;
    return sac_infer_run(arm->infer, error);
}

// q = saturate_u8(round_half_even(scale * x))
SAC_CLONES static void to_pixels(uint8_t *restrict q, const float *restrict x, int64_t n,
                                 float scale) {
    for (int64_t i = 0; i < n; i++) {
        const float step = rintf(x[i] * scale);
        q[i] = (uint8_t)(step < 0.0f ? 0.0f : step > 255.0f ? 255.0f : step);
    }
}

sac_status sac_int8_arm_run_f32(sac_int8_arm *arm, const float *input, sac_int8_maps *maps,
                                sac_error *error) {
    const int64_t values = 3 * arm->pixels;
    if (arm->u8 != NULL) {
        to_pixels(arm->u8, input, values, 1.0f / sac_quant_scale(arm->quant, "frames"));
    } else {
        memcpy(arm->f32, input, (size_t)values * sizeof *input);
    }
    *maps = arm->maps;
    return sac_infer_run(arm->infer, error);
}

void sac_int8_arm_close(sac_int8_arm **arm) {
    if (arm == NULL || *arm == NULL) return;
    sac_infer_close(&(*arm)->infer);
    sac_quant_close(&(*arm)->quant);
    sac_quant_close(&(*arm)->centred);
    sac_free(*arm);
    *arm = NULL;
}
