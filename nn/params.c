// The parameter store: plain f32 tensors with gradients. Layouts preferred by oneDNN never appear
// here; plans reorder from and to these arrays.
#include "nn/params.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/check.h"
#include "core/memory.h"
#include "nn/op.h"

struct sac_params {
    sac_param *items;
    sac_init *init;
    int64_t *fan_in;
    int64_t count;
};

void sac_params_close(sac_params **params) {
    if (params == NULL || *params == NULL) return;
    for (int64_t i = 0; i < (*params)->count && (*params)->items != NULL; i++) {
        sac_free((*params)->items[i].name);
        sac_free((*params)->items[i].data);
        sac_free((*params)->items[i].grad);
    }
    sac_free((*params)->items);
    sac_free((*params)->init);
    sac_free((*params)->fan_in);
    sac_free(*params);
    *params = NULL;
}

static sac_status item_fill(sac_params *params, const sac_node *node, const sac_param_spec *spec,
                            bool gradients) {
    const bool learns = gradients && spec->trainable;
    const int64_t i = params->count++;
    sac_param *item = &params->items[i];
    item->name = sac_format("%s.%s", node->name, spec->suffix);
    item->shape = spec->shape;
    item->count = sac_shape_count(&spec->shape);
    item->trainable = spec->trainable;
    item->data = sac_calloc(item->count, sizeof(float));
    if (learns) item->grad = sac_calloc(item->count, sizeof(float));
    if (item->name == NULL || item->data == NULL || (learns && item->grad == NULL)) {
        return SAC_ERROR_MEMORY;
    }
    params->init[i] = spec->init;
    params->fan_in[i] = spec->fan_in;
    if (spec->init == SAC_INIT_ONE) {
        for (int64_t k = 0; k < item->count; k++) item->data[k] = 1.0f;
    }
    return SAC_OK;
}

static sac_status create(sac_params **out, const sac_net *net, bool gradients, sac_error *error) {
    sac_status status = SAC_OK;
    sac_params *params = NULL;
    const int count = sac_net_count(net);
    sac_shape *shapes = sac_calloc(count, sizeof *shapes);
    SAC_TRY_ALLOC(shapes);
    SAC_TRY(sac_net_shapes(net, 1, shapes, error));
    params = sac_calloc(1, sizeof *params);
    SAC_TRY_ALLOC(params);
    params->items = sac_calloc((int64_t)count * SAC_MAX_PARAMS, sizeof *params->items);
    params->init = sac_calloc((int64_t)count * SAC_MAX_PARAMS, sizeof *params->init);
    params->fan_in = sac_calloc((int64_t)count * SAC_MAX_PARAMS, sizeof *params->fan_in);
    SAC_TRY_ALLOC(params->items);
    SAC_TRY_ALLOC(params->init);
    SAC_TRY_ALLOC(params->fan_in);
    for (int i = 0; i < count; i++) {
        const sac_node *node = sac_net_node(net, i);
        const sac_op *op = sac_op_of(node->kind);
        if (op == NULL || op->params == NULL || strcmp(node->name, node->share) != 0) continue;
        sac_param_spec specs[SAC_MAX_PARAMS];
        const int n = op->params(&node->attrs, &shapes[node->src[0]], specs);
        for (int p = 0; p < n; p++) SAC_TRY(item_fill(params, node, &specs[p], gradients));
    }
    sac_free(shapes);
    *out = params;
    return SAC_OK;
fail:
    sac_free(shapes);
    sac_params_close(&params);
    return sac_error_set(error, status, -1, "parameters: %s", sac_status_name(status));
}

sac_status sac_params_create(sac_params **out, const sac_net *net, sac_error *error) {
    return create(out, net, true, error);
}

sac_status sac_params_create_constant(sac_params **out, const sac_net *net, sac_error *error) {
    return create(out, net, false, error);
}

void sac_params_init(sac_params *params, sac_rng *rng) {
    for (int64_t i = 0; i < params->count; i++) {
        sac_param *item = &params->items[i];
        const int64_t fan_in = params->fan_in[i] > 0 ? params->fan_in[i] : 1;
        const double deviation = sqrt(2.0 / (double)fan_in);
        for (int64_t k = 0; k < item->count; k++) {
            switch (params->init[i]) {
            case SAC_INIT_HE:
                item->data[k] = (float)(deviation * sac_rng_normal(rng));
                break;
            case SAC_INIT_ONE:
                item->data[k] = 1.0f;
                break;
            case SAC_INIT_ZERO:
                item->data[k] = 0.0f;
                break;
            }
        }
    }
}

int64_t sac_params_count(const sac_params *params) {
    return params->count;
}

sac_param *sac_params_at(const sac_params *params, int64_t index) {
    return &params->items[index];
}

sac_param *sac_params_find(const sac_params *params, const char *name) {
    for (int64_t i = 0; i < params->count; i++) {
        if (strcmp(params->items[i].name, name) == 0) return &params->items[i];
    }
    return NULL;
}

void sac_params_zero_grad(sac_params *params) {
    for (int64_t i = 0; i < params->count; i++) {
        sac_param *item = &params->items[i];
        if (item->grad != NULL) memset(item->grad, 0, (size_t)item->count * sizeof(float));
    }
}

int64_t sac_params_elements(const sac_params *params, bool trainable_only) {
    int64_t total = 0;
    for (int64_t i = 0; i < params->count; i++) {
        if (params->items[i].trainable || !trainable_only) total += params->items[i].count;
    }
    return total;
}

sac_status sac_params_check_finite(const sac_params *params, sac_error *error) {
    for (int64_t i = 0; i < params->count; i++) {
        const sac_param *item = &params->items[i];
        for (int64_t k = 0; k < item->count; k++) {
            if (!isfinite(item->data[k])) {
                return sac_error_set(error, SAC_ERROR_NUMERIC, k,
                                     "tensor '%s' element %" PRId64 " is not finite", item->name,
                                     k);
            }
        }
    }
    return SAC_OK;
}

sac_status sac_params_store(const sac_params *params, sac_safetensors *st, const char *prefix,
                            sac_error *error) {
    for (int64_t i = 0; i < params->count; i++) {
        const sac_param *item = &params->items[i];
        char *name = sac_format("%s%s", prefix != NULL ? prefix : "", item->name);
        if (name == NULL) return sac_error_set(error, SAC_ERROR_MEMORY, -1, "out of memory");
        const sac_status status = sac_safetensors_add(st, name, SAC_DTYPE_F32, item->shape.ndims,
                                                      item->shape.dims, item->data, error);
        sac_free(name);
        if (status != SAC_OK) return status;
    }
    return SAC_OK;
}

sac_status sac_params_load(sac_params *params, const sac_safetensors *st, const char *prefix,
                           const char *file, sac_error *error) {
    for (int64_t i = 0; i < params->count; i++) {
        sac_param *item = &params->items[i];
        char *name = sac_format("%s%s", prefix != NULL ? prefix : "", item->name);
        if (name == NULL) return sac_error_set(error, SAC_ERROR_MEMORY, -1, "out of memory");
        const void *data = NULL;
        sac_error why = {0};
        sac_status status = sac_safetensors_expect(st, name, SAC_DTYPE_F32, item->shape.ndims,
                                                   item->shape.dims, &data, &why);
        sac_free(name);
        if (status != SAC_OK) return sac_error_set(error, status, -1, "%s: %s", file, why.message);
        memcpy(item->data, data, (size_t)item->count * sizeof(float));
    }
    sac_error why = {0};
    const sac_status status = sac_params_check_finite(params, &why);
    if (status != SAC_OK)
        return sac_error_set(error, status, why.position, "%s: %s", file, why.message);
    return SAC_OK;
}

sac_status sac_params_copy(sac_params *dst, const sac_params *src) {
    if (dst->count != src->count) return SAC_ERROR_SHAPE;
    for (int64_t i = 0; i < dst->count; i++) {
        if (!sac_shape_equal(&dst->items[i].shape, &src->items[i].shape)) return SAC_ERROR_SHAPE;
    }
    for (int64_t i = 0; i < dst->count; i++) {
        memcpy(dst->items[i].data, src->items[i].data, (size_t)src->items[i].count * sizeof(float));
    }
    return SAC_OK;
}
