// Finds the per-frame stems by following which slice of the input each node depends on, proves that
// they are equal, and writes stem and body as networks of their own. It plans and runs nothing.
#include "student/split.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "core/check.h"
#include "core/memory.h"

enum { FRAMES = 3, BODY = FRAMES, SOURCE }; // labels: stem of frame 0..2, body, input and slices

typedef struct cut {
    const sac_net *net;
    const sac_params *params;
    const sac_quant *quant; // or NULL
    json_t *nodes;          // descriptions of all nodes
    int count;
    int *label;        // [count]
    int *stem[FRAMES]; // [count] indices of the stem's nodes, in order
    int size[FRAMES];  // of each stem
    int slice[FRAMES]; // index of the slice of each frame
    int last[FRAMES];  // index of the node that hands over the features
    int join;          // index of the concatenation
    int *map;          // [count] index in the net being written
    char reason[128];  // set: it cannot be cut
} cut;

#define REFUSE(c, ...)                                                                             \
    do {                                                                                           \
        (void)snprintf((c)->reason, sizeof(c)->reason, __VA_ARGS__);                               \
        return;                                                                                    \
    } while (0)

static bool refused(const cut *c) {
    return c->reason[0] != '\0';
}

// ---- finding the stems --------------------------------------------------------------------------

static void find_slices(cut *c) {
    const int input = sac_net_find(c->net, "frames");
    if (input < 0 || sac_net_node(c->net, input)->kind != SAC_OP_INPUT)
        REFUSE(c, "there is no input 'frames'");
    const int64_t planes = sac_net_node(c->net, input)->shape.dims[0] / FRAMES;
    if (sac_net_node(c->net, input)->shape.dims[0] != FRAMES * planes)
        REFUSE(c, "the input's channels are not those of %d frames", FRAMES);
    for (int f = 0; f < FRAMES; f++) c->slice[f] = -1;
    for (int i = 0; i < c->count; i++) {
        const sac_node *node = sac_net_node(c->net, i);
        c->label[i] = i == input ? SOURCE : BODY;
        bool reads = false;
        for (int s = 0; s < node->src_count; s++) reads = reads || node->src[s] == input;
        if (!reads) continue;
        const sac_attrs *a = &node->attrs;
        if (node->kind != SAC_OP_SLICE || a->axis != 1 || a->length != planes || a->step != 1 ||
            a->begin % planes != 0 || sac_net_is_output(c->net, i)) {
            REFUSE(c, "node '%.60s' sees all frames at once", node->name);
        }
        const int64_t frame = a->begin / planes;
        if (c->slice[frame] >= 0) REFUSE(c, "frame %d is taken out twice", (int)frame);
        c->slice[frame] = i;
        c->label[i] = SOURCE;
    }
    for (int f = 0; f < FRAMES; f++) {
        if (c->slice[f] < 0) REFUSE(c, "frame %d is not used on its own", f);
    }
}

static int frame_of_slice(const cut *c, int index) {
    for (int f = 0; f < FRAMES; f++) {
        if (c->slice[f] == index) return f;
    }
    return -1;
}

static void find_stems(cut *c) {
    for (int i = 0; i < c->count; i++) {
        const sac_node *node = sac_net_node(c->net, i);
        if (c->label[i] == SOURCE || node->src_count == 0) continue;
        int label = -1;
        for (int s = 0; s < node->src_count; s++) {
            const int src = node->src[s];
            const int from = c->label[src] == SOURCE ? frame_of_slice(c, src) : c->label[src];
            label = s == 0 || label == from ? from : BODY;
        }
        c->label[i] = label;
        if (label == BODY) continue;
        if (sac_net_is_output(c->net, i)) REFUSE(c, "stem node '%.60s' is an output", node->name);
        c->stem[label][c->size[label]++] = i;
    }
    for (int f = 0; f < FRAMES; f++) {
        if (c->size[f] == 0) REFUSE(c, "frame %d has no stem", f);
        if (c->size[f] != c->size[0])
            REFUSE(c, "the stems of frames 0 and %d have %d and %d nodes", f, c->size[0],
                   c->size[f]);
    }
}

// One concatenation of the three features must be all that the body takes from the stems.
static void find_join(cut *c) {
    c->join = -1;
    for (int i = 0; i < c->count; i++) {
        const sac_node *node = sac_net_node(c->net, i);
        if (c->label[i] != BODY) continue;
        for (int s = 0; s < node->src_count; s++) {
            if (c->label[node->src[s]] == BODY) continue;
            if (c->join >= 0 && c->join != i)
                REFUSE(c, "both '%.40s' and '%.40s' read the stems",
                       sac_net_node(c->net, c->join)->name, node->name);
            c->join = i;
        }
    }
    if (c->join < 0) REFUSE(c, "nothing reads the stems");
    const sac_node *join = sac_net_node(c->net, c->join);
    bool ok = join->kind == SAC_OP_CONCAT && join->attrs.axis == 1 && join->src_count == FRAMES &&
              !sac_net_is_output(c->net, c->join);
    for (int f = 0; ok && f < FRAMES; f++) {
        c->last[f] = join->src[f];
        ok = c->label[join->src[f]] == f;
    }
    if (!ok)
        REFUSE(c, "'%.60s' is not the concatenation of the three stems along the channels",
               join->name);
}

// ---- equality of the stems ----------------------------------------------------------------------

static int position(const cut *c, int frame, int index) {
    if (c->slice[frame] == index) return -1;
    int k = 0;
    while (k < c->size[frame] && c->stem[frame][k] != index) k++;
    return k;
}

static bool same_operator(json_t *a, json_t *b) {
    static const char *const places[] = {"name", "share", "src"};
    json_t *x = json_copy(a), *y = json_copy(b);
    bool same = x != NULL && y != NULL;
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        (void)json_object_del(x, places[i]);
        (void)json_object_del(y, places[i]);
    }
    same = same && json_equal(x, y);
    json_decref(x);
    json_decref(y);
    return same;
}

// Whether each parameter of node a has an equal one at node b.
static bool same_parameters(const cut *c, const sac_node *a, const sac_node *b) {
    if (strcmp(a->share, b->share) == 0) return true;
    const size_t length = strlen(a->share);
    for (int64_t i = 0; i < sac_params_count(c->params); i++) {
        const sac_param *p = sac_params_at(c->params, i);
        if (strncmp(p->name, a->share, length) != 0 || p->name[length] != '.' ||
            strchr(p->name + length + 1, '.') != NULL) {
            continue;
        }
        char name[256];
        (void)snprintf(name, sizeof name, "%s%s", b->share, p->name + length);
        const sac_param *q = sac_params_find(c->params, name);
        if (q == NULL || q->count != p->count ||
            memcmp(p->data, q->data, (size_t)p->count * sizeof *p->data) != 0) {
            return false;
        }
    }
    return true;
}

static void compare(cut *c) {
    for (int f = 1; f < FRAMES; f++) {
        for (int k = 0; k < c->size[0]; k++) {
            const sac_node *a = sac_net_node(c->net, c->stem[0][k]),
                           *b = sac_net_node(c->net, c->stem[f][k]);
            bool same = a->src_count == b->src_count &&
                        same_operator(json_array_get(c->nodes, (size_t)c->stem[0][k]),
                                      json_array_get(c->nodes, (size_t)c->stem[f][k]));
            for (int s = 0; same && s < a->src_count; s++)
                same = position(c, 0, a->src[s]) == position(c, f, b->src[s]);
            if (!same) REFUSE(c, "'%.40s' and '%.40s' differ", a->name, b->name);
            if (!same_parameters(c, a, b))
                REFUSE(c, "'%.40s' and '%.40s' have different parameters", a->name, b->name);
            if (sac_quant_scale(c->quant, a->name) != sac_quant_scale(c->quant, b->name))
                REFUSE(c, "'%.40s' and '%.40s' have different scales", a->name, b->name);
        }
        if (position(c, 0, c->last[0]) != position(c, f, c->last[f]))
            REFUSE(c, "the features of frames 0 and %d come from different nodes", f);
    }
    const char *join = sac_net_node(c->net, c->join)->name,
               *last = sac_net_node(c->net, c->last[0])->name;
    if (sac_quant_scale(c->quant, join) != sac_quant_scale(c->quant, last))
        REFUSE(c, "'%.40s' and '%.40s' have different scales", last, join);
}

// ---- the two networks ---------------------------------------------------------------------------

static void append(cut *c, sac_net *part, int index) {
    const sac_node *node = sac_net_node(c->net, index);
    int src[SAC_MAX_SRC];
    for (int s = 0; s < node->src_count; s++) src[s] = c->map[node->src[s]];
    c->map[index] =
        sac_net_add_node(part, node->kind, node->name, &node->attrs, src, node->src_count);
    if (sac_net_is_output(c->net, index)) sac_net_output(part, c->map[index]);
}

static sac_status write_stem(cut *c, sac_split *split, const sac_shape *shapes, sac_error *error) {
    sac_status status = SAC_OK;
    const sac_shape *slice = &shapes[c->slice[0]];
    SAC_TRY(sac_net_create(&split->stem));
    c->map[c->slice[0]] = sac_net_input(split->stem, "frame", 3, slice->dims + 1);
    for (int k = 0; k < c->size[0]; k++) append(c, split->stem, c->stem[0][k]);
    sac_net_output(split->stem, c->map[c->last[0]]);
    SAC_TRY(sac_net_check(split->stem, error));
fail:
    return status;
}

static sac_status write_body(cut *c, sac_split *split, const sac_shape *shapes, sac_error *error) {
    sac_status status = SAC_OK;
    const sac_shape *join = &shapes[c->join];
    SAC_TRY(sac_net_create(&split->body));
    c->map[c->join] = sac_net_input(split->body, "features", join->ndims - 1, join->dims + 1);
    for (int i = 0; i < c->count; i++) {
        if (c->label[i] == BODY && i != c->join) append(c, split->body, i);
    }
    SAC_TRY(sac_net_check(split->body, error));
fail:
    return status;
}

// Parameters of a part: each node owns what it used by sharing.
static sac_status copy_params(sac_params **out, const cut *c, const sac_net *part,
                              sac_error *error) {
    sac_status status = SAC_OK;
    SAC_TRY(sac_params_create(out, part, error));
    for (int64_t i = 0; i < sac_params_count(*out); i++) {
        sac_param *p = sac_params_at(*out, i);
        char name[256], node[256];
        (void)snprintf(node, sizeof node, "%s", p->name);
        char *dot = strrchr(node, '.');
        if (dot != NULL) *dot = '\0';
        const int index = sac_net_find(c->net, node);
        const sac_param *from = NULL;
        if (index >= 0 && dot != NULL) {
            (void)snprintf(name, sizeof name, "%s.%s", sac_net_node(c->net, index)->share, dot + 1);
            from = sac_params_find(c->params, name);
        }
        if (from == NULL || from->count != p->count) {
            return sac_error_set(error, SAC_ERROR_SHAPE, -1,
                                 "parameter '%s' does not belong to the network", p->name);
        }
        memcpy(p->data, from->data, (size_t)p->count * sizeof *p->data);
    }
fail:
    return status;
}

static sac_status write_parts(cut *c, sac_split **out, sac_error *error) {
    sac_status status = SAC_OK;
    sac_shape *shapes = sac_calloc(c->count, sizeof *shapes);
    sac_split *split = sac_calloc(1, sizeof *split);
    SAC_TRY_ALLOC(shapes);
    SAC_TRY_ALLOC(split);
    SAC_TRY(sac_net_shapes(c->net, 1, shapes, error));
    SAC_TRY(write_stem(c, split, shapes, error));
    SAC_TRY(write_body(c, split, shapes, error));
    SAC_TRY(copy_params(&split->stem_params, c, split->stem, error));
    SAC_TRY(copy_params(&split->body_params, c, split->body, error));
    for (int f = 0; f < FRAMES; f++) {
        split->features[f] = sac_strdup(sac_net_node(c->net, c->last[f])->name);
        SAC_TRY_ALLOC(split->features[f]);
    }
    split->join = sac_strdup(sac_net_node(c->net, c->join)->name);
    SAC_TRY_ALLOC(split->join);
    split->shape = shapes[c->last[0]];
    *out = split;
    split = NULL;
fail:
    sac_free(shapes);
    sac_split_close(&split);
    return status;
}

sac_status sac_split_create(sac_split **out, const sac_net *net, const sac_params *params,
                            const sac_quant *quant, char *reason, sac_error *error) {
    sac_status status = SAC_OK;
    cut c = {.net = net, .params = params, .quant = quant, .count = sac_net_count(net)};
    json_t *json = NULL;
    *out = NULL;
    c.label = sac_calloc(c.count, sizeof *c.label);
    c.map = sac_calloc(c.count, sizeof *c.map);
    SAC_TRY_ALLOC(c.label);
    SAC_TRY_ALLOC(c.map);
    for (int f = 0; f < FRAMES; f++) {
        c.stem[f] = sac_calloc(c.count, sizeof *c.stem[f]);
        SAC_TRY_ALLOC(c.stem[f]);
    }
    json = sac_net_to_json(net);
    c.nodes = json_object_get(json, "nodes");
    if (json_array_size(c.nodes) != (size_t)c.count) {
        status = SAC_ERROR_MEMORY;
        goto fail;
    }
    static void (*const steps[])(cut *) = {find_slices, find_stems, find_join, compare};
    for (size_t i = 0; i < sizeof steps / sizeof steps[0] && !refused(&c); i++) steps[i](&c);
    if (!refused(&c)) SAC_TRY(write_parts(&c, out, error));
    if (reason != NULL) memcpy(reason, c.reason, sizeof c.reason);
fail:
    json_decref(json);
    sac_free(c.label);
    sac_free(c.map);
    for (int f = 0; f < FRAMES; f++) sac_free(c.stem[f]);
    if (status < 0)
        sac_error_set(error, status, -1, "cutting the network: %s", sac_status_name(status));
    return status;
}

void sac_split_close(sac_split **slot) {
    if (slot == NULL || *slot == NULL) return;
    sac_split *split = *slot;
    sac_params_close(&split->stem_params);
    sac_params_close(&split->body_params);
    sac_net_close(&split->stem);
    sac_net_close(&split->body);
    for (int f = 0; f < FRAMES; f++) sac_free(split->features[f]);
    sac_free(split->join);
    sac_free(split);
    *slot = NULL;
}

static int64_t macs_of(const sac_net *net) {
    int64_t macs = 0;
    for (int i = 0; i < sac_net_count(net); i++) macs += sac_net_macs(net, i);
    return macs;
}

sac_status sac_split_macs(int64_t *macs, const sac_net *net, const sac_params *params,
                          sac_error *error) {
    sac_split *split = NULL;
    const sac_status status = sac_split_create(&split, net, params, NULL, NULL, error);
    if (status < 0) return status;
    *macs = split != NULL ? macs_of(split->stem) + macs_of(split->body) : macs_of(net);
    sac_split_close(&split);
    return SAC_OK;
}
