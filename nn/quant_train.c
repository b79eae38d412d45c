// Which nodes of a network are quantised together, and the network that is fine-tuned under
// quantisation. Works on descriptions only.
#include <stdio.h>
#include <string.h>

#include "core/check.h"
#include "core/memory.h"
#include "nn/op.h"
#include "nn/quant.h"

// Operators whose output values are values of their sources.
static bool passes(sac_op_kind kind) {
    switch (kind) {
    case SAC_OP_MAX_POOL:
    case SAC_OP_ADAPTIVE_MAX_POOL:
    case SAC_OP_UPSAMPLE:
    case SAC_OP_CONCAT:
    case SAC_OP_SLICE:
    case SAC_OP_RESHAPE:
    case SAC_OP_PERMUTE:
        return true;
    default:
        return false;
    }
}

static bool starts(const sac_node *node) {
    return node->kind == SAC_OP_INPUT || node->kind == SAC_OP_RELU ||
           (node->kind == SAC_OP_CLIP && node->attrs.alpha >= 0);
}

static bool multiplies(sac_op_kind kind) {
    return kind == SAC_OP_CONV || kind == SAC_OP_DENSE;
}

static int root_of(const int *parent, int i) {
    while (parent[i] != i) i = parent[i];
    return i;
}

static void unite(int *parent, int a, int b) {
    a = root_of(parent, a);
    b = root_of(parent, b);
    if (a < b) parent[b] = a;
    if (b < a) parent[a] = b;
}

// The first activation that starts a group and reads node i, directly or through a residual sum.
static int activation_behind(const sac_net *net, int i) {
    for (int k = i + 1; k < sac_net_count(net); k++) {
        const sac_node *node = sac_net_node(net, k);
        for (int s = 0; s < node->src_count; s++) {
            if (node->src[s] != i) continue;
            if (starts(node)) return k;
            if (node->kind == SAC_OP_ADD) return activation_behind(net, k);
        }
    }
    return -1;
}

int sac_quant_groups(int *group, const sac_net *net) {
    const int count = sac_net_count(net);
    int groups = 0;
    int *parent = sac_calloc(count, sizeof *parent);
    bool *possible = sac_calloc(count, sizeof *possible);
    bool *read = sac_calloc(count, sizeof *read);
    if (parent == NULL || possible == NULL || read == NULL) {
        groups = -1;
        goto done;
    }
    for (int i = 0; i < count; i++) {
        const sac_node *node = sac_net_node(net, i);
        parent[i] = i;
        possible[i] = starts(node);
        if (!passes(node->kind)) continue;
        possible[i] = true;
        for (int s = 0; s < node->src_count; s++)
            possible[i] = possible[i] && possible[node->src[s]];
        for (int s = 0; s < node->src_count && possible[i]; s++) unite(parent, i, node->src[s]);
    }
    // The same weights once per frame: the same scales, so that one frame's network does for all.
    for (int i = 0; i < count; i++) {
        const sac_node *node = sac_net_node(net, i);
        if (!multiplies(node->kind)) continue;
        const int owner = sac_net_find(net, node->share);
        if (owner < 0 || owner == i) continue;
        const int a = activation_behind(net, owner), b = activation_behind(net, i);
        if (a >= 0 && b >= 0) unite(parent, a, b);
        if (possible[sac_net_node(net, owner)->src[0]] && possible[node->src[0]])
            unite(parent, sac_net_node(net, owner)->src[0], node->src[0]);
    }
    for (int i = 0; i < count; i++) {
        const sac_node *node = sac_net_node(net, i);
        if (!multiplies(node->kind)) continue;
        if (possible[node->src[0]]) read[root_of(parent, node->src[0])] = true;
    }
    for (int i = 0; i < count; i++) {
        const int root = root_of(parent, i);
        group[i] = -1;
        if (!possible[i] || !read[root]) continue;
        group[i] = root == i ? groups++ : group[root];
    }
done:
    sac_free(parent);
    sac_free(possible);
    sac_free(read);
    return groups;
}

// Rounding happens where a value first appears; what passes on values of a quantised source with
// the same scale changes nothing.
static bool needs_rounding(const sac_net *net, int i, const sac_quant *quant) {
    const sac_node *node = sac_net_node(net, i);
    const float scale = sac_quant_scale(quant, node->name);
    if (scale <= 0.0f) return false;
    if (!passes(node->kind)) return true;
    for (int s = 0; s < node->src_count; s++) {
        const float before = sac_quant_scale(quant, sac_net_node(net, node->src[s])->name);
        if (before < scale || before > scale) return true;
    }
    return false;
}

sac_status sac_quant_training_net(sac_net **out, const sac_net *folded, const sac_quant *quant,
                                  sac_error *error) {
    sac_status status = SAC_OK;
    sac_net *net = NULL;
    const int count = sac_net_count(folded);
    bool any = false;
    int *map = sac_calloc(count, sizeof *map);     // the node itself
    int *rounded = sac_calloc(count, sizeof *map); // what its readers take
    *out = NULL;
    SAC_TRY_ALLOC(map);
    SAC_TRY_ALLOC(rounded);
    SAC_TRY(sac_net_create(&net));
    for (int i = 0; i < count; i++) {
        const sac_node *node = sac_net_node(folded, i);
        if (node->kind == SAC_OP_BATCH_NORM) {
            status = sac_error_set(error, SAC_ERROR_ARGUMENT, i,
                                   "'%s' is a batch normalisation: fold the network before it is "
                                   "quantised",
                                   node->name);
            goto fail;
        }
        if (node->kind == SAC_OP_INPUT) {
            map[i] = sac_net_input(net, node->name, node->shape.ndims, node->shape.dims);
        } else {
            sac_attrs attrs = node->attrs;
            int src[SAC_MAX_SRC];
            for (int s = 0; s < node->src_count; s++) src[s] = rounded[node->src[s]];
            if (multiplies(node->kind) &&
                sac_quant_scale(quant, sac_net_node(folded, node->src[0])->name) > 0)
                attrs.weight_quant = true;
            map[i] = sac_net_add_node(net, node->kind, node->name, &attrs, src, node->src_count);
            if (strcmp(node->share, node->name) != 0) sac_net_share(net, map[i], node->share);
        }
        rounded[i] = map[i];
        if (sac_net_is_output(folded, i)) sac_net_output(net, map[i]);
        if (!needs_rounding(folded, i, quant)) continue;
        char name[160];
        (void)snprintf(name, sizeof name, "%s/u8", node->name);
        rounded[i] =
            sac_net_fake_quant(net, name, map[i], (double)sac_quant_scale(quant, node->name));
        any = true;
    }
    if (!any) {
        status = sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                               "the quantisation table names no node of this network");
        goto fail;
    }
    SAC_TRY(sac_net_check(net, error));
    *out = net;
    net = NULL;
fail:
    sac_free(map);
    sac_free(rounded);
    sac_net_close(&net);
    if (status == SAC_OK) return SAC_OK;
    return sac_error_set(error, status, -1, "quantised training network: %s",
                         sac_status_name(status));
}
