// Folding for inference; see nn/fold.h. Works on descriptions and plain arrays only.
#include "nn/fold.h"

#include <math.h>
#include <string.h>

#include "core/check.h"
#include "core/memory.h"
#include "nn/op.h"
#include "nn/plan.h"

static int readers_of(const sac_net *net, int index) {
    int count = 0;
    for (int i = 0; i < sac_net_count(net); i++) {
        const sac_node *node = sac_net_node(net, i);
        for (int s = 0; s < node->src_count; s++) count += node->src[s] == index;
    }
    return count;
}

// The batch normalisation that node `index` (conv or dense) absorbs, or -1.
static int norm_of(const sac_net *net, int index) {
    const sac_op_kind kind = sac_net_node(net, index)->kind;
    if (kind != SAC_OP_CONV && kind != SAC_OP_DENSE) return -1;
    if (sac_net_is_output(net, index) || readers_of(net, index) != 1) return -1;
    for (int i = index + 1; i < sac_net_count(net); i++) {
        const sac_node *node = sac_net_node(net, i);
        if (node->kind == SAC_OP_BATCH_NORM && node->src[0] == index) return i;
    }
    return -1;
}

// Nodes that shared all that was folded into them go on sharing.
static void share_keep(sac_net *folded, const int *map, const sac_net *net, int index) {
    const sac_node *node = sac_net_node(net, index);
    const int owner = sac_net_find(net, node->share);
    if (owner < 0 || owner == index || map[owner] < 0 || map[index] < 0) return;
    const int norm = norm_of(net, index), owner_norm = norm_of(net, owner);
    if ((norm >= 0) != (owner_norm >= 0)) return;
    if (norm >= 0) {
        const sac_node *a = sac_net_node(net, norm), *b = sac_net_node(net, owner_norm);
        if (strcmp(a->share, b->share) != 0 || a->attrs.epsilon < b->attrs.epsilon ||
            a->attrs.epsilon > b->attrs.epsilon)
            return;
    }
    sac_net_share(folded, map[index], sac_net_node(folded, map[owner])->name);
}

sac_status sac_fold_net(sac_net **out, const sac_net *net, sac_error *error) {
    sac_status status = SAC_OK;
    sac_net *folded = NULL;
    const int count = sac_net_count(net);
    int *map = sac_calloc(count, sizeof *map);
    SAC_TRY_ALLOC(map);
    SAC_TRY(sac_net_create(&folded));
    for (int i = 0; i < count; i++) map[i] = -1;
    for (int i = 0; i < count; i++) {
        const sac_node *node = sac_net_node(net, i);
        if (node->kind == SAC_OP_INPUT) {
            map[i] = sac_net_input(folded, node->name, node->shape.ndims, node->shape.dims);
        } else if (map[i] >= 0) {
            // a norm already absorbed by its source
        } else if ((node->kind == SAC_OP_DROPOUT || node->kind == SAC_OP_GRAD_REVERSE) &&
                   !sac_net_is_output(net, i) && !sac_net_is_output(net, node->src[0])) {
            map[i] = map[node->src[0]];
        } else {
            const int norm = norm_of(net, i);
            sac_attrs attrs = node->attrs;
            if (norm >= 0) attrs.bias = true;
            int src[SAC_MAX_SRC];
            for (int s = 0; s < node->src_count; s++) src[s] = map[node->src[s]];
            const char *name = norm >= 0 && sac_net_is_output(net, norm)
                                   ? sac_net_node(net, norm)->name
                                   : node->name;
            map[i] = sac_net_add_node(folded, node->kind, name, &attrs, src, node->src_count);
            share_keep(folded, map, net, i);
            if (norm >= 0) map[norm] = map[i];
        }
    }
    for (int i = 0; i < count; i++) {
        if (sac_net_is_output(net, i)) sac_net_output(folded, map[i]);
    }
    SAC_TRY(sac_net_check(folded, error));
    sac_free(map);
    *out = folded;
    return SAC_OK;
fail:
    sac_free(map);
    sac_net_close(&folded);
    return status;
}

static void fold_one(sac_param *const dst[4], sac_param *const src[4], sac_param *const norm[4],
                     double epsilon) {
    const int64_t channels = dst[0]->shape.dims[0], row = dst[0]->count / channels;
    for (int64_t c = 0; c < channels; c++) {
        const double scale = (double)norm[0]->data[c] / sqrt((double)norm[3]->data[c] + epsilon);
        const double bias = src[1] != NULL ? (double)src[1]->data[c] : 0.0;
        for (int64_t k = 0; k < row; k++) {
            dst[0]->data[c * row + k] = (float)(scale * (double)src[0]->data[c * row + k]);
        }
        dst[1]->data[c] =
            (float)(scale * (bias - (double)norm[2]->data[c]) + (double)norm[1]->data[c]);
    }
}

sac_status sac_fold_params(sac_params *folded_params, const sac_net *folded, const sac_net *net,
                           const sac_params *params, sac_error *error) {
    sac_status status = SAC_OK;
    const int count = sac_net_count(net), folded_count = sac_net_count(folded);
    sac_shape *shapes = sac_calloc(count, sizeof *shapes);
    sac_shape *folded_shapes = sac_calloc(folded_count, sizeof *folded_shapes);
    SAC_TRY_ALLOC(shapes);
    SAC_TRY_ALLOC(folded_shapes);
    SAC_TRY(sac_net_shapes(net, 1, shapes, error));
    SAC_TRY(sac_net_shapes(folded, 1, folded_shapes, error));
    // The store is only read through these pointers.
    sac_params *store = (sac_params *)(uintptr_t)params;
    for (int i = 0; i < count; i++) {
        const sac_node *node = sac_net_node(net, i);
        const int norm = norm_of(net, i);
        const char *name =
            norm >= 0 && sac_net_is_output(net, norm) ? sac_net_node(net, norm)->name : node->name;
        const int target = sac_net_find(folded, name);
        if (target < 0 || sac_net_node(folded, target)->kind != node->kind) continue;
        sac_param *src[SAC_MAX_PARAMS], *dst[SAC_MAX_PARAMS], *norms[SAC_MAX_PARAMS];
        sac_plan_node_params(src, net, i, store, shapes);
        sac_plan_node_params(dst, folded, target, folded_params, folded_shapes);
        if (norm >= 0) {
            sac_plan_node_params(norms, net, norm, store, shapes);
            fold_one(dst, src, norms, sac_net_node(net, norm)->attrs.epsilon);
            continue;
        }
        for (int p = 0; p < SAC_MAX_PARAMS; p++) {
            if (dst[p] == NULL) continue;
            if (src[p] == NULL || src[p]->count != dst[p]->count) {
                status = sac_error_set(error, SAC_ERROR_SHAPE, -1,
                                       "node '%s': parameters do not fit the network", name);
                goto fail;
            }
            memcpy(dst[p]->data, src[p]->data, (size_t)src[p]->count * sizeof(float));
        }
    }
fail:
    sac_free(shapes);
    sac_free(folded_shapes);
    return status;
}
