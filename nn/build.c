// oneDNN plans: symbolic buffers, steps, lifetimes and one arena. Knows nothing of operators or of
// which way gradients flow; nn/plan.c drives it.
#include "nn/build.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <oneapi/dnnl/dnnl_debug.h>

#include "core/memory.h"
#include "core/time.h"
#include "nn/build_run.h"
#include "nn/op.h"

#define ALIGNMENT 64
#define MAX_ARGS  16

typedef struct buffer {
    dnnl_memory_desc_t md; // owned
    size_t bytes;
    int root;        // index of the buffer that owns the memory (itself, or the one it views)
    int first, last; // steps of the time line that touch it; first -1: never
    bool persistent;
    bool loaded; // filled by the load phase: lies apart, so that clones can share it
    float *external;
    size_t offset; // in the arena, or among the loaded ones
    float *data;
    dnnl_memory_t memory;
} buffer;

typedef struct step {
    sac_phase phase;
    char *label;
    char *node, *what;          // the label's last parts
    dnnl_primitive_t primitive; // NULL: own kernel
    dnnl_exec_arg_t args[MAX_ARGS];
    int ids[MAX_ARGS]; // buffer of each argument
    int count;
    size_t scratchpad_bytes;
    dnnl_memory_desc_t scratchpad_md;
    dnnl_memory_t scratchpad;
    sac_kernel kernel;
    void *context;
    float *pointers[MAX_ARGS];
} step;

struct sac_build {
    bool training, finished;
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    dnnl_primitive_attr_t attr, products;
    sac_phase phase;
    const char *label;
    buffer *buffers;
    int buffer_count, buffer_capacity;
    step *steps;
    int step_count, step_capacity;
    uint8_t *arena, *scratchpad, *weights; // weights: what the load phase fills
    size_t arena_bytes, scratchpad_bytes, weights_bytes;
    bool clone; // engine, descriptors, primitives, contexts and weights belong to another build
    sac_rng rng;
};

sac_status sac_dnnl_status(dnnl_status_t status, const char *what, sac_error *error) {
    if (status == dnnl_success) return SAC_OK;
    static const struct {
        dnnl_status_t from;
        sac_status to;
        const char *text;
    } table[] = {
        {dnnl_out_of_memory, SAC_ERROR_MEMORY, "out of memory"},
        {dnnl_invalid_arguments, SAC_ERROR_BACKEND, "invalid arguments"},
        {dnnl_unimplemented, SAC_ERROR_UNSUPPORTED, "not implemented for these sizes"},
        {dnnl_runtime_error, SAC_ERROR_BACKEND, "runtime error"},
        {dnnl_not_required, SAC_ERROR_BACKEND, "not required"},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        if (table[i].from == status)
            return sac_error_set(error, table[i].to, -1, "oneDNN %s: %s", what, table[i].text);
    }
    return sac_error_set(error, SAC_ERROR_BACKEND, -1, "oneDNN %s: status %d", what, (int)status);
}

static sac_status no_memory(sac_error *error) {
    return sac_error_set(error, SAC_ERROR_MEMORY, -1, "out of memory while planning a network");
}

sac_status sac_build_create(sac_build **out, bool training, bool bf16, sac_error *error) {
    sac_status status = SAC_OK;
    sac_build *build = sac_calloc(1, sizeof *build);
    if (build == NULL) return no_memory(error);
    build->training = training;
    build->phase = SAC_PHASE_FORWARD;
    build->label = "";
    SAC_TRY(sac_dnnl_status(dnnl_engine_create(&build->engine, dnnl_cpu, 0), "engine", error));
    SAC_TRY(sac_dnnl_status(dnnl_stream_create(&build->stream, build->engine, dnnl_stream_in_order),
                            "stream", error));
    SAC_TRY(sac_dnnl_status(dnnl_primitive_attr_create(&build->attr), "attributes", error));
    SAC_TRY(sac_dnnl_status(
        dnnl_primitive_attr_set_scratchpad_mode(build->attr, dnnl_scratchpad_mode_user),
        "scratchpad mode", error));
    SAC_TRY(sac_dnnl_status(dnnl_primitive_attr_clone(&build->products, build->attr), "attributes",
                            error));
    if (bf16) {
        SAC_TRY(sac_dnnl_status(
            dnnl_primitive_attr_set_fpmath_mode(build->products, dnnl_fpmath_mode_bf16),
            "bf16 products", error));
    }
    *out = build;
    return SAC_OK;
fail:
    sac_build_close(&build);
    return status;
}

void sac_build_close(sac_build **build_ptr) {
    if (build_ptr == NULL || *build_ptr == NULL) return;
    sac_build *build = *build_ptr;
    for (int i = 0; i < build->step_count; i++) {
        step *s = &build->steps[i];
        if (s->scratchpad != NULL) dnnl_memory_destroy(s->scratchpad);
        if (build->clone) continue;
        if (s->primitive != NULL) dnnl_primitive_destroy(s->primitive);
        if (s->scratchpad_md != NULL) dnnl_memory_desc_destroy(s->scratchpad_md);
        sac_free(s->label);
        sac_free(s->node);
        sac_free(s->what);
        sac_free(s->context);
    }
    for (int i = 0; i < build->buffer_count; i++) {
        if (build->buffers[i].memory != NULL) dnnl_memory_destroy(build->buffers[i].memory);
        if (build->buffers[i].md != NULL && !build->clone)
            dnnl_memory_desc_destroy(build->buffers[i].md);
    }
    sac_free(build->steps);
    sac_free(build->buffers);
    sac_free(build->arena);
    sac_free(build->scratchpad);
    if (!build->clone) sac_free(build->weights);
    if (build->attr != NULL) dnnl_primitive_attr_destroy(build->attr);
    if (build->products != NULL) dnnl_primitive_attr_destroy(build->products);
    if (build->stream != NULL) dnnl_stream_destroy(build->stream);
    if (build->engine != NULL && !build->clone) dnnl_engine_destroy(build->engine);
    sac_free(build);
    *build_ptr = NULL;
}

void sac_build_set_phase(sac_build *build, sac_phase phase) {
    build->phase = phase;
}
void sac_build_set_label(sac_build *build, const char *label) {
    build->label = label;
}
dnnl_engine_t sac_build_engine(const sac_build *build) {
    return build->engine;
}
const_dnnl_primitive_attr_t sac_build_attr(const sac_build *build) {
    return build->attr;
}
const_dnnl_primitive_attr_t sac_build_products_attr(const sac_build *build) {
    return build->products;
}
sac_rng *sac_build_rng(sac_build *build) {
    return &build->rng;
}

sac_layout sac_build_default_layout(const sac_build *build) {
    (void)build;
    return SAC_LAYOUT_CHANNELS_LAST;
}

static sac_status md_create(dnnl_memory_desc_t *md, const sac_shape *shape, dnnl_format_tag_t tag,
                            sac_error *error) {
    dnnl_dims_t dims = {0};
    for (int i = 0; i < shape->ndims; i++) dims[i] = shape->dims[i];
    return sac_dnnl_status(dnnl_memory_desc_create_with_tag(md, shape->ndims, dims, dnnl_f32, tag),
                           "layout", error);
}

sac_status sac_build_md(dnnl_memory_desc_t *md, const sac_shape *shape, sac_layout layout,
                        sac_error *error) {
    static const dnnl_format_tag_t first[6] = {
        dnnl_format_tag_undef, dnnl_a, dnnl_ab, dnnl_abc, dnnl_abcd, dnnl_abcde};
    static const dnnl_format_tag_t last[6] = {
        dnnl_format_tag_undef, dnnl_a, dnnl_ab, dnnl_abc, dnnl_acdb, dnnl_acdeb};
    return md_create(md, shape,
                     layout == SAC_LAYOUT_CHANNELS_LAST ? last[shape->ndims] : first[shape->ndims],
                     error);
}

sac_status sac_build_md_any(dnnl_memory_desc_t *md, const sac_shape *shape, sac_error *error) {
    return md_create(md, shape, dnnl_format_tag_any, error);
}

static sac_status buffer_add(sac_build *build, const_dnnl_memory_desc_t md, int root,
                             float *external, sac_buffer *out, sac_error *error) {
    if (build->buffer_count == build->buffer_capacity) {
        const int capacity = build->buffer_capacity == 0 ? 128 : 2 * build->buffer_capacity;
        buffer *grown =
            sac_recalloc(build->buffers, build->buffer_capacity, capacity, sizeof *grown);
        if (grown == NULL) return no_memory(error);
        build->buffers = grown;
        build->buffer_capacity = capacity;
    }
    buffer *b = &build->buffers[build->buffer_count];
    *b = (buffer){.root = root >= 0 ? build->buffers[root].root : build->buffer_count,
                  .first = -1,
                  .last = -1,
                  .external = external};
    const sac_status status = sac_dnnl_status(dnnl_memory_desc_clone(&b->md, md), "layout", error);
    if (status != SAC_OK) return status;
    b->bytes = dnnl_memory_desc_get_size(md);
    *out = build->buffer_count++;
    return SAC_OK;
}

sac_status sac_build_buffer(sac_build *build, const_dnnl_memory_desc_t md, sac_buffer *out,
                            sac_error *error) {
    return buffer_add(build, md, -1, NULL, out, error);
}

sac_status sac_build_external(sac_build *build, const_dnnl_memory_desc_t md, float *data,
                              sac_buffer *out, sac_error *error) {
    return buffer_add(build, md, -1, data, out, error);
}

sac_status sac_build_view(sac_build *build, sac_buffer src, const_dnnl_memory_desc_t md,
                          sac_buffer *out, sac_error *error) {
    if (dnnl_memory_desc_get_size(md) > build->buffers[src].bytes) {
        return sac_error_set(error, SAC_ERROR_SHAPE, -1, "a view must not exceed its buffer");
    }
    return buffer_add(build, md, src, NULL, out, error);
}

sac_status sac_build_buffer_like(sac_build *build, const sac_shape *shape, sac_layout layout,
                                 sac_buffer *out, sac_error *error) {
    dnnl_memory_desc_t md = NULL;
    sac_status status = sac_build_md(&md, shape, layout, error);
    if (status != SAC_OK) return status;
    status = sac_build_buffer(build, md, out, error);
    dnnl_memory_desc_destroy(md);
    return status;
}

sac_status sac_build_raw(sac_build *build, int64_t n, sac_buffer *out, sac_error *error) {
    const sac_shape shape = {.ndims = 1, .dims = {n > 0 ? n : 1}};
    return sac_build_buffer_like(build, &shape, SAC_LAYOUT_CHANNELS_FIRST, out, error);
}

const_dnnl_memory_desc_t sac_build_buffer_md(const sac_build *build, sac_buffer id) {
    return build->buffers[id].md;
}

void sac_build_persist(sac_build *build, sac_buffer id) {
    build->buffers[build->buffers[id].root].persistent = true;
}

static sac_status step_add(sac_build *build, const char *kind, const char *implementation,
                           step **out, sac_error *error) {
    if (build->step_count == build->step_capacity) {
        const int capacity = build->step_capacity == 0 ? 128 : 2 * build->step_capacity;
        step *grown = sac_recalloc(build->steps, build->step_capacity, capacity, sizeof *grown);
        if (grown == NULL) return no_memory(error);
        build->steps = grown;
        build->step_capacity = capacity;
    }
    static const char *const phases[SAC_PHASE_COUNT] = {"load", "forward", "backward"};
    step *s = &build->steps[build->step_count];
    *s = (step){.phase = build->phase};
    s->label = sac_format("%s %s %s %s", phases[build->phase], build->label, kind, implementation);
    s->node = sac_strdup(build->label);
    s->what = sac_format("%s %s", kind, implementation);
    build->step_count++;
    if (s->label == NULL || s->node == NULL || s->what == NULL) return no_memory(error);
    *out = s;
    return SAC_OK;
}

static void touch(sac_build *build, sac_buffer id, int index) {
    buffer *root = &build->buffers[build->buffers[id].root];
    if (root->first < 0) root->first = index;
    root->last = index;
    // What the load phase produces must survive every run.
    if (build->phase == SAC_PHASE_LOAD) root->persistent = root->loaded = true;
}

sac_status sac_build_primitive(sac_build *build, const_dnnl_primitive_desc_t pd,
                               const sac_arg *args, int count, sac_error *error) {
    const char *implementation = "";
    dnnl_primitive_kind_t kind = dnnl_undefined_primitive;
    (void)dnnl_primitive_desc_query(pd, dnnl_query_impl_info_str, 0, &implementation);
    (void)dnnl_primitive_desc_query(pd, dnnl_query_primitive_kind, 0, &kind);
    step *s = NULL;
    sac_status status = step_add(build, dnnl_prim_kind2str(kind), implementation, &s, error);
    if (status != SAC_OK) return status;
    for (int i = 0; i < count; i++) {
        if (args[i].buffer < 0) continue;
        if (s->count == MAX_ARGS)
            return sac_error_set(error, SAC_ERROR_BACKEND, -1, "too many arguments");
        s->args[s->count].arg = args[i].arg;
        s->ids[s->count++] = args[i].buffer;
        touch(build, args[i].buffer, build->step_count - 1);
    }
    const_dnnl_memory_desc_t scratchpad =
        dnnl_primitive_desc_query_md(pd, dnnl_query_scratchpad_md, 0);
    if (scratchpad != NULL) s->scratchpad_bytes = dnnl_memory_desc_get_size(scratchpad);
    if (s->scratchpad_bytes > 0) {
        SAC_TRY(sac_dnnl_status(dnnl_memory_desc_clone(&s->scratchpad_md, scratchpad), "scratchpad",
                                error));
        if (s->scratchpad_bytes > build->scratchpad_bytes)
            build->scratchpad_bytes = s->scratchpad_bytes;
    }
    SAC_TRY(sac_dnnl_status(dnnl_primitive_create(&s->primitive, pd), s->label, error));
fail:
    return status;
}

sac_status sac_build_kernel(sac_build *build, const char *name, sac_kernel run, const void *context,
                            size_t context_size, const sac_buffer *buffers, int count,
                            sac_error *error) {
    if (count > MAX_ARGS) return sac_error_set(error, SAC_ERROR_BACKEND, -1, "too many arguments");
    step *s = NULL;
    const sac_status status = step_add(build, name, "own", &s, error);
    if (status != SAC_OK) return status;
    s->kernel = run;
    s->context = sac_calloc((int64_t)context_size, 1);
    if (s->context == NULL) return no_memory(error);
    if (context_size > 0) memcpy(s->context, context, context_size);
    for (int i = 0; i < count; i++) {
        s->ids[i] = buffers[i];
        if (buffers[i] >= 0) touch(build, buffers[i], build->step_count - 1);
    }
    s->count = count;
    return SAC_OK;
}

sac_status sac_build_reorder(sac_build *build, sac_buffer src, const_dnnl_memory_desc_t md,
                             sac_buffer *out, sac_error *error) {
    if (dnnl_memory_desc_equal(build->buffers[src].md, md)) {
        *out = src;
        return SAC_OK;
    }
    sac_status status = SAC_OK;
    dnnl_primitive_desc_t pd = NULL;
    sac_buffer dst = -1;
    SAC_TRY(sac_build_buffer(build, md, &dst, error));
    SAC_TRY(sac_dnnl_status(dnnl_reorder_primitive_desc_create(&pd, build->buffers[src].md,
                                                               build->engine, md, build->engine,
                                                               build->attr),
                            "reorder", error));
    const sac_arg args[2] = {{DNNL_ARG_FROM, src}, {DNNL_ARG_TO, dst}};
    SAC_TRY(sac_build_primitive(build, pd, args, 2, error));
    *out = dst;
fail:
    if (pd != NULL) dnnl_primitive_desc_destroy(pd);
    return status;
}

sac_status sac_build_layout(sac_build *build, sac_buffer src, const sac_shape *shape,
                            sac_layout layout, sac_buffer *out, sac_error *error) {
    dnnl_memory_desc_t md = NULL;
    sac_status status = sac_build_md(&md, shape, layout, error);
    if (status != SAC_OK) return status;
    status = sac_build_reorder(build, src, md, out, error);
    dnnl_memory_desc_destroy(md);
    return status;
}

sac_status sac_build_weights(sac_build *build, sac_buffer param, const_dnnl_memory_desc_t md,
                             sac_buffer *out, sac_error *error) {
    const sac_phase phase = build->phase;
    if (!build->training) build->phase = SAC_PHASE_LOAD;
    const sac_status status = sac_build_reorder(build, param, md, out, error);
    build->phase = phase;
    return status;
}

static void add_kernel(const void *context, float *const *buffers, sac_rng *rng) {
    (void)rng;
    const int64_t n = *(const int64_t *)context;
    float *sum = buffers[0];
    const float *addend = buffers[1];
#pragma omp parallel for simd schedule(static) if (n > 65536)
    for (int64_t i = 0; i < n; i++) sum[i] += addend[i];
}

sac_status sac_build_accumulate(sac_build *build, sac_buffer gradient, sac_buffer diff_param,
                                sac_error *error) {
    sac_buffer plain = -1;
    const sac_status status =
        sac_build_reorder(build, gradient, build->buffers[diff_param].md, &plain, error);
    if (status != SAC_OK) return status;
    const int64_t n = (int64_t)(build->buffers[diff_param].bytes / sizeof(float));
    const sac_buffer buffers[2] = {diff_param, plain};
    return sac_build_kernel(build, "accumulate", add_kernel, &n, sizeof n, buffers, 2, error);
}

static void zero_kernel(const void *context, float *const *buffers, sac_rng *rng) {
    (void)rng;
    memset(buffers[0], 0, *(const size_t *)context);
}

sac_status sac_build_zero(sac_build *build, sac_buffer id, sac_error *error) {
    return sac_build_kernel(build, "zero", zero_kernel, &build->buffers[id].bytes, sizeof(size_t),
                            &id, 1, error);
}

static int by_size(const void *a, const void *b) {
    const buffer *x = *(const buffer *const *)a, *y = *(const buffer *const *)b;
    if (x->bytes != y->bytes) return x->bytes < y->bytes ? 1 : -1;
    return x->root - y->root;
}

static size_t align_up(size_t n) {
    return (n + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

static int by_offset(const void *a, const void *b) {
    const buffer *x = *(const buffer *const *)a, *y = *(const buffer *const *)b;
    return x->offset < y->offset ? -1 : x->offset > y->offset;
}

// Largest first, each at the lowest gap that no already placed buffer of overlapping lifetime
// occupies.
// Source: the greedy-by-size strategy of Pisarchyk and Lee, Efficient Memory Management for DNNs,
// 2020.
static sac_status arena_assign(sac_build *build, sac_error *error) {
    buffer **order = sac_calloc(build->buffer_count, sizeof *order);
    buffer **busy = sac_calloc(build->buffer_count, sizeof *busy);
    if (order == NULL || busy == NULL) {
        sac_free(order);
        sac_free(busy);
        return no_memory(error);
    }
    int count = 0;
    for (int i = 0; i < build->buffer_count; i++) {
        buffer *b = &build->buffers[i];
        if (b->root != i || b->external != NULL || (b->first < 0 && !b->persistent)) continue;
        if (b->loaded) {
            b->offset = build->weights_bytes;
            build->weights_bytes += align_up(b->bytes);
            continue;
        }
        if (b->persistent) {
            b->first = 0;
            b->last = build->step_count;
        }
        order[count++] = b;
    }
    if (count > 1) qsort(order, (size_t)count, sizeof *order, by_size);
    for (int i = 0; i < count; i++) {
        buffer *b = order[i];
        int overlapping = 0;
        for (int k = 0; k < i; k++) {
            if (order[k]->last >= b->first && order[k]->first <= b->last)
                busy[overlapping++] = order[k];
        }
        if (overlapping > 1) qsort(busy, (size_t)overlapping, sizeof *busy, by_offset);
        size_t at = 0;
        for (int k = 0; k < overlapping; k++) {
            if (busy[k]->offset >= at + align_up(b->bytes)) break;
            const size_t end = align_up(busy[k]->offset + busy[k]->bytes);
            if (end > at) at = end;
        }
        b->offset = at;
        if (at + align_up(b->bytes) > build->arena_bytes)
            build->arena_bytes = at + align_up(b->bytes);
    }
    sac_free(order);
    sac_free(busy);
    return SAC_OK;
}

// Everything that runs need of their own, once the places are known.
static sac_status memory_create(sac_build *build, sac_error *error) {
    sac_status status = SAC_OK;
    build->arena = sac_calloc((int64_t)build->arena_bytes, 1);
    build->scratchpad = sac_calloc((int64_t)build->scratchpad_bytes, 1);
    if (!build->clone) build->weights = sac_calloc((int64_t)build->weights_bytes, 1);
    if (build->arena == NULL || build->scratchpad == NULL || build->weights == NULL) {
        return sac_error_set(error, SAC_ERROR_MEMORY, -1,
                             "out of memory: the plan needs %" PRId64 " MiB",
                             sac_build_arena_bytes(build) >> 20);
    }
    for (int i = 0; i < build->buffer_count; i++) {
        buffer *b = &build->buffers[i];
        const buffer *root = &build->buffers[b->root];
        uint8_t *base = root->loaded ? build->weights : build->arena;
        b->data = root->external != NULL ? root->external : (float *)(void *)(base + root->offset);
        if (root->external == NULL && root->first < 0) b->data = NULL; // never used
        if (b->data == NULL) continue;
        SAC_TRY(sac_dnnl_status(dnnl_memory_create(&b->memory, b->md, build->engine, b->data),
                                "memory", error));
    }
    for (int i = 0; i < build->step_count; i++) {
        step *s = &build->steps[i];
        for (int k = 0; k < s->count; k++) {
            if (s->ids[k] < 0) continue;
            s->args[k].memory = build->buffers[s->ids[k]].memory;
            s->pointers[k] = build->buffers[s->ids[k]].data;
        }
        if (s->scratchpad_bytes > 0) {
            SAC_TRY(sac_dnnl_status(dnnl_memory_create(&s->scratchpad, s->scratchpad_md,
                                                       build->engine, build->scratchpad),
                                    "scratchpad", error));
            if (s->count == MAX_ARGS)
                return sac_error_set(error, SAC_ERROR_BACKEND, -1, "too many arguments");
            s->args[s->count].arg = DNNL_ARG_SCRATCHPAD;
            s->args[s->count++].memory = s->scratchpad;
        }
    }
    build->finished = true;
fail:
    return status;
}

sac_status sac_build_finish(sac_build *build, sac_error *error) {
    const sac_status status = arena_assign(build, error);
    return status == SAC_OK ? memory_create(build, error) : status;
}

sac_status sac_build_clone(sac_build **out, const sac_build *donor, sac_error *error) {
    sac_status status = SAC_OK;
    *out = NULL;
    if (!donor->finished || donor->training) {
        return sac_error_set(error, SAC_ERROR_BACKEND, -1,
                             "only finished inference plans can be "
                             "cloned");
    }
    sac_build *build = sac_calloc(1, sizeof *build);
    if (build == NULL) return no_memory(error);
    build->clone = true;
    build->engine = donor->engine;
    build->label = "";
    build->weights = donor->weights;
    build->weights_bytes = donor->weights_bytes;
    build->arena_bytes = donor->arena_bytes;
    build->scratchpad_bytes = donor->scratchpad_bytes;
    SAC_TRY(sac_dnnl_status(dnnl_stream_create(&build->stream, build->engine, dnnl_stream_in_order),
                            "stream", error));
    build->buffers = sac_calloc(donor->buffer_count, sizeof *build->buffers);
    build->steps = sac_calloc(donor->step_count, sizeof *build->steps);
    SAC_TRY_ALLOC(build->buffers);
    SAC_TRY_ALLOC(build->steps);
    for (int i = 0; i < donor->buffer_count; i++) {
        build->buffers[i] = donor->buffers[i];
        build->buffers[i].memory = NULL;
    }
    build->buffer_count = donor->buffer_count;
    for (int i = 0; i < donor->step_count; i++) {
        step *s = &build->steps[i];
        *s = donor->steps[i];
        if (s->scratchpad_bytes > 0) s->count--; // the scratchpad is added again
        s->scratchpad = NULL;
    }
    build->step_count = donor->step_count;
    SAC_TRY(memory_create(build, error));
    *out = build;
    return SAC_OK;
fail:
    sac_build_close(&build);
    return sac_error_set(error, status, -1, "out of memory while cloning a plan");
}

static sac_status step_run(sac_build *build, const step *s, sac_error *error) {
    if (s->kernel != NULL) {
        s->kernel(s->context, s->pointers, &build->rng);
        return SAC_OK;
    }
    const dnnl_status_t result =
        dnnl_primitive_execute(s->primitive, build->stream, s->count, s->args);
    return result != dnnl_success ? sac_dnnl_status(result, s->label, error) : SAC_OK;
}

sac_status sac_build_run(sac_build *build, sac_phase phase, sac_error *error) {
    for (int i = 0; i < build->step_count; i++) {
        if (build->steps[i].phase != phase) continue;
        const sac_status status = step_run(build, &build->steps[i], error);
        if (status != SAC_OK) return status;
    }
    return sac_dnnl_status(dnnl_stream_wait(build->stream), "stream", error);
}

int sac_build_steps(const sac_build *build, sac_phase phase) {
    int count = 0;
    for (int i = 0; i < build->step_count; i++) count += build->steps[i].phase == phase;
    return count;
}

sac_status sac_build_time(sac_build *build, sac_build_timing *timings, int capacity, int *count,
                          sac_error *error) {
    sac_status status = SAC_OK;
    *count = 0;
    for (int i = 0; i < build->step_count && *count < capacity; i++) {
        const step *s = &build->steps[i];
        if (s->phase != SAC_PHASE_FORWARD) continue;
        const double start = sac_time_s();
        SAC_TRY(step_run(build, s, error));
        SAC_TRY(sac_dnnl_status(dnnl_stream_wait(build->stream), "stream", error));
        timings[(*count)++] =
            (sac_build_timing){.node = s->node, .what = s->what, .seconds = sac_time_s() - start};
    }
fail:
    return status;
}

float *sac_build_data(const sac_build *build, sac_buffer id) {
    return build->buffers[id].data;
}

sac_status sac_build_bind(sac_build *build, sac_buffer id, void *data, sac_error *error) {
    const int root = build->buffers[id].root;
    if (build->buffers[id].data == data) return SAC_OK;
    for (int i = 0; i < build->buffer_count; i++) {
        buffer *b = &build->buffers[i];
        if (b->root != root || b->data == NULL) continue;
        b->data = data;
        const dnnl_status_t result = dnnl_memory_set_data_handle(b->memory, data);
        if (result != dnnl_success) return sac_dnnl_status(result, "memory", error);
    }
    for (int i = 0; i < build->step_count; i++) {
        step *s = &build->steps[i];
        for (int k = 0; k < s->count; k++) {
            if (s->ids[k] >= 0 && build->buffers[s->ids[k]].root == root) s->pointers[k] = data;
        }
    }
    return SAC_OK;
}

int64_t sac_build_arena_bytes(const sac_build *build) {
    return (int64_t)(build->arena_bytes + build->scratchpad_bytes +
                     (build->clone ? 0 : build->weights_bytes));
}

char *sac_build_describe(const sac_build *build) {
    size_t size = 1;
    for (int i = 0; i < build->step_count; i++) size += strlen(build->steps[i].label) + 1;
    char *text = sac_calloc((int64_t)size, 1);
    if (text == NULL) return NULL;
    size_t used = 0;
    for (int i = 0; i < build->step_count; i++) {
        const size_t n = strlen(build->steps[i].label);
        memcpy(text + used, build->steps[i].label, n);
        text[used + n] = '\n';
        used += n + 1;
    }
    return text;
}
