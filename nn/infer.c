// The inference plan: the folded network on nn/plan.c. On the reference backend nothing is folded,
// so that
// it checks the folding too.
#include "nn/infer.h"

#include <omp.h>
#include <stdio.h>

#include <oneapi/dnnl/dnnl.h>

#include "core/check.h"
#include "core/memory.h"
#include "nn/fold.h"
#include "nn/plan.h"
#include "nn/u8_isa.h"

struct sac_infer {
    sac_net *net; // own copy: folded, or the original description on the reference
    sac_net *copy;
    sac_params *params; // own, folded
    bool reference;     // not folded
    bool clone;         // net, copy and params are the donor's
    sac_plan *plan;
};

void sac_infer_close(sac_infer **infer) {
    if (infer == NULL || *infer == NULL) return;
    sac_plan_close(&(*infer)->plan);
    if (!(*infer)->clone) {
        sac_params_close(&(*infer)->params);
        sac_net_close(&(*infer)->net);
        sac_net_close(&(*infer)->copy);
    }
    sac_free(*infer);
    *infer = NULL;
}

static sac_status net_copy(sac_net **copy, const sac_net *net, sac_error *error) {
    json_t *json = sac_net_to_json(net);
    if (json == NULL) return sac_error_set(error, SAC_ERROR_MEMORY, -1, "out of memory");
    const sac_status status = sac_net_from_json(copy, json, "network", error);
    json_decref(json);
    return status;
}

static sac_status params_take(sac_infer *infer, const sac_params *params, sac_error *error) {
    if (infer->reference) return sac_params_copy(infer->params, params);
    return sac_fold_params(infer->params, infer->net, infer->copy, params, error);
}

sac_status sac_infer_create(sac_infer **out, const sac_net *net, const sac_params *params,
                            const sac_plan_options *options, sac_error *error) {
    sac_status status = SAC_OK;
    sac_infer *infer = sac_calloc(1, sizeof *infer);
    SAC_TRY_ALLOC(infer);
    // Rounding works on folded weights, whoever computes.
    infer->reference =
        options->backend == SAC_BACKEND_REF && options->quant == NULL && !options->bf16;
    SAC_TRY(net_copy(&infer->copy, net, error));
    if (infer->reference) {
        SAC_TRY(net_copy(&infer->net, net, error));
    } else {
        SAC_TRY(sac_fold_net(&infer->net, infer->copy, error));
    }
    SAC_TRY(sac_params_create_constant(&infer->params, infer->net, error));
    SAC_TRY(params_take(infer, params, error));
    SAC_TRY(sac_plan_create(&infer->plan, infer->net, infer->params, options, false, error));
    *out = infer;
    return SAC_OK;
fail:
    sac_infer_close(&infer);
    return sac_error_set(error, status, -1, "planning a network: %s", sac_status_name(status));
}

sac_status sac_infer_clone(sac_infer **out, const sac_infer *donor, sac_error *error) {
    sac_status status = SAC_OK;
    sac_infer *infer = sac_calloc(1, sizeof *infer);
    SAC_TRY_ALLOC(infer);
    *infer = (sac_infer){.net = donor->net,
                         .copy = donor->copy,
                         .params = donor->params,
                         .reference = donor->reference,
                         .clone = true};
    SAC_TRY(sac_plan_clone(&infer->plan, donor->plan, error));
    *out = infer;
    return SAC_OK;
fail:
    sac_infer_close(&infer);
    return sac_error_set(error, status, -1, "cloning a plan: %s", sac_status_name(status));
}

sac_status sac_infer_update(sac_infer *infer, const sac_params *params, sac_error *error) {
    const sac_status status = params_take(infer, params, error);
    return status == SAC_OK ? sac_plan_load(infer->plan, error) : status;
}

float *sac_infer_input(sac_infer *infer, const char *name) {
    return sac_plan_port_data(infer->plan, SAC_PORT_INPUT, name);
}

uint8_t *sac_infer_input_u8(sac_infer *infer, const char *name) {
    return (uint8_t *)sac_plan_port_data(infer->plan, SAC_PORT_INPUT_U8, name);
}

sac_status sac_infer_bind_input_u8(sac_infer *infer, const char *name, int part,
                                   const uint8_t *data, bool *bound, sac_error *error) {
    // Steps read their sources only.
    return sac_plan_bind(infer->plan, false, name, part, (void *)(uintptr_t)data, bound, error);
}

sac_status sac_infer_bind_output_u8(sac_infer *infer, const char *name, uint8_t *data, bool *bound,
                                    sac_error *error) {
    return sac_plan_bind(infer->plan, true, name, 0, data, bound, error);
}

const uint8_t *sac_infer_output_u8(const sac_infer *infer, const char *name) {
    return (const uint8_t *)sac_plan_port_data(infer->plan, SAC_PORT_OUTPUT_U8, name);
}

sac_status sac_infer_profile(sac_infer *infer, int repeats, sac_profile_step **steps, int *count,
                             sac_error *error) {
    return sac_plan_profile(infer->plan, repeats, steps, count, error);
}

const float *sac_infer_output(const sac_infer *infer, const char *name) {
    return sac_plan_port_data(infer->plan, SAC_PORT_OUTPUT, name);
}

sac_shape sac_infer_output_shape(const sac_infer *infer, const char *name) {
    return sac_plan_shape(infer->plan, name);
}

sac_status sac_infer_run(sac_infer *infer, sac_error *error) {
    return sac_plan_forward(infer->plan, error);
}

int64_t sac_infer_arena_bytes(const sac_infer *infer) {
    return sac_plan_bytes(infer->plan);
}

char *sac_infer_describe(const sac_infer *infer) {
    return sac_plan_describe(infer->plan);
}

void sac_nn_set_threads(int threads) {
    // Both our kernels and oneDNN take the calling thread's OpenMP setting.
    omp_set_num_threads(threads > 0 ? threads : omp_get_num_procs());
}

const char *sac_nn_backend_version(void) {
    static _Thread_local char text[64];
    const dnnl_version_t *version = dnnl_version();
    (void)snprintf(text, sizeof text, "oneDNN %d.%d.%d", version->major, version->minor,
                   version->patch);
    return text;
}

const char *sac_nn_isa(void) {
    // dnnl_cpu_isa_t is a set of bits; each level holds those of the ones it builds on.
    static const struct {
        dnnl_cpu_isa_t isa;
        const char *name;
    } names[] = {{dnnl_cpu_isa_sse41, "sse41"},
                 {dnnl_cpu_isa_avx, "avx"},
                 {dnnl_cpu_isa_avx2, "avx2"},
                 {dnnl_cpu_isa_avx2_vnni, "avx2_vnni"},
                 {dnnl_cpu_isa_avx512_core, "avx512_core"},
                 {dnnl_cpu_isa_avx512_core_vnni, "avx512_core_vnni"},
                 {dnnl_cpu_isa_avx512_core_bf16, "avx512_core_bf16"},
                 {dnnl_cpu_isa_avx512_core_fp16, "avx512_core_fp16"},
                 {dnnl_cpu_isa_avx512_core_amx, "avx512_core_amx"}};
    const dnnl_cpu_isa_t isa = dnnl_get_effective_cpu_isa();
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (names[i].isa == isa) return names[i].name;
    }
    return "other";
}

bool sac_nn_has_bf16(void) {
    const unsigned amx = (unsigned)dnnl_cpu_isa_avx512_core_amx;
    return ((unsigned)dnnl_get_effective_cpu_isa() & amx) == amx;
}

const char *sac_nn_int8_kernels(void) {
    return sac_u8_isa_name(sac_u8_isa_best());
}
