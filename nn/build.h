// A oneDNN plan under construction. Operators append steps (a oneDNN primitive, or an own kernel on
// raw pointers) to the forward or backward list; buffers are symbolic
// until the plan is finished, then lifetimes decide their place in one arena.
#ifndef SAC_NN_BUILD_H
#define SAC_NN_BUILD_H

#include <oneapi/dnnl/dnnl.h>

#include "core/check.h"
#include "core/rng.h"
#include "nn/net.h"

typedef struct sac_build sac_build;
typedef int sac_buffer; // id of a symbolic buffer in the plan; -1: none

typedef enum sac_layout { SAC_LAYOUT_CHANNELS_LAST, SAC_LAYOUT_CHANNELS_FIRST } sac_layout;

// One node being built. The plan fills everything except what is marked (set by the operator).
typedef struct sac_build_node {
    const sac_node *node;
    bool training;
    int src_count;
    sac_shape src_shape[SAC_MAX_SRC], dst_shape;
    sac_buffer src
        // may have any layout: use sac_build_layout or sac_build_reorder to get the wanted one
        [SAC_MAX_SRC];
    sac_buffer
        // (set by build_forward) with any layout; an op may return its src here (identity, free
        // reshape)
        dst;
    sac_buffer param
        // plain dense f32 buffers of the parameters, in the order of sac_op.params; -1 beyond. Non-
        // trainable ones may be written.
        [4];
    sac_buffer diff_dst; // backward: given, in any layout
    bool want_diff_src[SAC_MAX_SRC];
    sac_buffer diff_src
        [SAC_MAX_SRC]; // (set by build_backward where wanted) fresh buffer, overwritten, any layout
    sac_buffer diff_param[4]; // plain accumulators, -1: not wanted; use sac_build_accumulate
    sac_buffer saved
        // (operator's own) kept from forward to backward, e.g. reordered src, workspace, mean,
        // variance
        [8];
    dnnl_primitive_desc_t forward_pd; // (operator's own) hint for backward; destroyed by the plan
    // Inference only: activation fused behind a conv or dense (SAC_OP_COUNT: none) and its
    // attributes.
    sac_op_kind fused;
    sac_attrs fused_attrs;
    bool folded; // parameters were replaced by folded ones: bias (param[1]) always present
} sac_build_node;

// Turns a oneDNN status into ours, with a message "what: oneDNN status name".
sac_status sac_dnnl_status(dnnl_status_t status, const char *what, sac_error *error);

dnnl_engine_t sac_build_engine(const sac_build *build);
// Attributes to pass to every primitive descriptor: user scratchpad mode. Borrowed.
const_dnnl_primitive_attr_t sac_build_attr(const sac_build *build);
// The same for the forward pass of what multiplies: also says whether bf16 may do.
const_dnnl_primitive_attr_t sac_build_products_attr(const sac_build *build);

// Dense f32 memory descriptor of a shape in a layout (ndims <= 3 and 1: always plain row-major).
// Caller destroys.
SAC_NODISCARD sac_status sac_build_md(dnnl_memory_desc_t *md, const sac_shape *shape,
                                      sac_layout layout, sac_error *error);
// Descriptor with format_tag_any.
SAC_NODISCARD sac_status sac_build_md_any(dnnl_memory_desc_t *md, const sac_shape *shape,
                                          sac_error *error);
// Layout a new activation should have: channels-last.
sac_layout sac_build_default_layout(const sac_build *build);

// New buffer of that layout (copies md).
SAC_NODISCARD sac_status sac_build_buffer(sac_build *build, const_dnnl_memory_desc_t md,
                                          sac_buffer *buffer, sac_error *error);
SAC_NODISCARD sac_status sac_build_buffer_like(sac_build *build, const sac_shape *shape,
                                               sac_layout layout, sac_buffer *buffer,
                                               sac_error *error);
// New raw f32 buffer of n floats (workspaces of own kernels).
SAC_NODISCARD sac_status sac_build_raw(sac_build *build, int64_t n, sac_buffer *buffer,
                                       sac_error *error);
const_dnnl_memory_desc_t sac_build_buffer_md(const sac_build *build, sac_buffer buffer); // borrowed

// `*out` holds the contents of src in the layout of md: src itself when equal, else a new buffer
// and a reorder step in the CURRENT phase.
SAC_NODISCARD sac_status sac_build_reorder(sac_build *build, sac_buffer src,
                                           const_dnnl_memory_desc_t md, sac_buffer *out,
                                           sac_error *error);
// The same for a dense layout of `shape` (same element count and dims as src).
SAC_NODISCARD sac_status sac_build_layout(sac_build *build, sac_buffer src, const sac_shape *shape,
                                          sac_layout layout, sac_buffer *out, sac_error *error);
// Like sac_build_reorder for weights: in an inference plan the reorder happens once (when
// parameters are loaded), in a training plan at each forward.
SAC_NODISCARD sac_status sac_build_weights(sac_build *build, sac_buffer param,
                                           const_dnnl_memory_desc_t md, sac_buffer *out,
                                           sac_error *error);

// New buffer id for the same memory under another descriptor (equal bytes), e.g. a dense weight
// [OC][K] seen as [OC][C][H][W].
SAC_NODISCARD sac_status sac_build_view(sac_build *build, sac_buffer src,
                                        const_dnnl_memory_desc_t md, sac_buffer *out,
                                        sac_error *error);

typedef struct sac_arg {
    int arg; // DNNL_ARG_SRC ...
    sac_buffer buffer;
} sac_arg;
// Appends a primitive (created from pd; pd stays the caller's) to the current phase; buffers of -1
// are left out. The scratchpad is added by the plan.
SAC_NODISCARD sac_status sac_build_primitive(sac_build *build, const_dnnl_primitive_desc_t pd,
                                             const sac_arg *args, int count, sac_error *error);

// Own kernel: run(context, buffers' pointers, rng). The context is copied. rng is the plan's
// dropout generator (training only).
typedef void (*sac_kernel)(const void *context, float *const *buffers, sac_rng *rng);
SAC_NODISCARD sac_status sac_build_kernel(sac_build *build, const char *name, sac_kernel run,
                                          const void *context, size_t context_size,
                                          const sac_buffer *buffers, int count, sac_error *error);

// diff_param += gradient (any layout of the same dims; reordered first when needed).
SAC_NODISCARD sac_status sac_build_accumulate(sac_build *build, sac_buffer gradient,
                                              sac_buffer diff_param, sac_error *error);

#endif
