// What an operator is: shape check, parameters, plain reference (forward and backward) and how it
// enters a oneDNN plan (forward and backward). One file
// per operator, nn/op_<name>.c, each ending in a `const sac_op sac_op_<name>` of this type;
// nn/op_table.c lists them. oneDNN types appear only inside nn/.
#ifndef SAC_NN_OP_H
#define SAC_NN_OP_H

#include "core/rng.h"
#include "nn/build.h"
#include "nn/net.h"

#define SAC_MAX_PARAMS 4

typedef enum sac_init { SAC_INIT_ZERO, SAC_INIT_ONE, SAC_INIT_HE } sac_init;

typedef struct sac_param_spec {
    const char *suffix; // "weight", "bias", "running_mean", "running_var"
    sac_shape shape;
    bool trainable;
    sac_init init;
    int64_t fan_in; // for SAC_INIT_HE
} sac_param_spec;

// Arguments of the reference. All tensors dense channels-first f32; accumulate in double.
typedef struct sac_ref {
    const sac_attrs *attrs;
    bool training;
    int src_count;
    sac_shape src_shape[SAC_MAX_SRC], dst_shape;
    const float *src[SAC_MAX_SRC];
    float *dst; // forward writes it; backward may read it
    const float *param[SAC_MAX_PARAMS];
    float *state
        // writable alias of non-trainable params (running statistics); NULL otherwise
        [SAC_MAX_PARAMS];
    const float *diff_dst;             // backward
    float *diff_src[SAC_MAX_SRC];      // backward OVERWRITES; NULL: not wanted
    float *diff_param[SAC_MAX_PARAMS]; // backward ADDS; NULL: not wanted
    float *workspace;                  // [workspace()] floats living from forward to backward
    sac_rng *rng;                      // dropout
} sac_ref;

typedef struct sac_op {
    const char *name; // as in JSON: "conv"
    int min_src, max_src;
    // Checks attributes and input shapes (with N), sets dst. On failure SAC_ERROR_SHAPE or
    // _ARGUMENT with a message that says what was found and expected
    // (without the node's name; the caller prefixes it).
    sac_status (*shape)(const sac_attrs *attrs, const sac_shape *src, int src_count, sac_shape *dst,
                        sac_error *error);
    // Fills specs, returns their number (0..SAC_MAX_PARAMS); NULL: none.
    int (*params)(const sac_attrs *attrs, const sac_shape *src, sac_param_spec *specs);
    int64_t (*macs)(const sac_attrs *attrs, const sac_shape *src,
                    const sac_shape *dst); // per whole shape; NULL: 0
    int64_t (*ref_workspace)(const sac_attrs *attrs, const sac_shape *src,
                             const sac_shape *dst); // NULL: 0
    void (*ref_forward)(const sac_ref *ref);
    void (*ref_backward)(const sac_ref *ref);
    // Appends oneDNN primitives or own kernels to the plan; see nn/build.h.
    sac_status (*build_forward)(sac_build *build, sac_build_node *node, sac_error *error);
    sac_status (*build_backward)(sac_build *build, sac_build_node *node, sac_error *error);
} sac_op;

const sac_op *sac_op_of(sac_op_kind kind); // NULL for SAC_OP_INPUT

int64_t sac_shape_count(
    const sac_shape *shape); // product of dims; shapes in a checked net never overflow
bool sac_shape_equal(const sac_shape *a, const sac_shape *b);
// "[8][3][64][64]" into a buffer of at least 96 bytes; returns it.
char *sac_shape_text(const sac_shape *shape, char *buffer);

// The axes behind N and C of [N][C][H][W], with d 1, or [N][C][D][H][W].
typedef struct sac_space {
    int64_t d, h, w;
} sac_space;
sac_space sac_shape_space(const sac_shape *shape);
// SAC_ERROR_SHAPE: a shape that has other axes.
SAC_NODISCARD sac_status sac_shape_check_space(const sac_shape *shape, sac_error *error);

#endif
