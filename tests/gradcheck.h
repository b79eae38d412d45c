// Checks shared by the operator tests: the reference's backward against central differences of its
// forward, and the oneDNN plans of a whole net against the reference plans. It knows no operator in
// particular and decides no tolerance that a caller cannot see.
#ifndef SAC_TESTS_GRADCHECK_H
#define SAC_TESTS_GRADCHECK_H

#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include <criterion/criterion.h>

#include "core/memory.h"
#include "core/rng.h"
#include "nn/infer.h"
#include "nn/op.h"
#include "nn/params.h"
#include "nn/train.h"

#define GRADCHECK_UNUSED __attribute__((unused))

// Inputs and steps are multiples of 2^-12 and small, so x + h and x - h are exact in f32 and the
// quotient has no error from the step itself.
#define GRADCHECK_STEP 0.015625 // 2^-6
// Fourth-order differences leave h^4/30 of the fifth derivative (about 2e-9 times it) and 3 *
// FLT_EPSILON * |dst| / h (about 2e-5 |dst|) from the f32 rounding of dst. 2e-3 of the largest
// gradient leaves a wide margin on both and still catches a wrong factor or a missing term.
#define GRADCHECK_TOLERANCE 2e-3

// How the values of a test tensor are drawn.
typedef enum gradcheck_fill {
    GRADCHECK_SMOOTH, // uniform in [-1, 1]
    // all values at least 8 steps apart and 4 from zero: no kink of max or relu within reach of a
    // difference
    GRADCHECK_APART,
    GRADCHECK_TIES, // multiples of 1/2 in [-2, 2]: many equal values, exact sums
    GRADCHECK_NAN   // all NaN: poisons a plan, so that a value that nobody wrote is seen
} gradcheck_fill;

GRADCHECK_UNUSED static inline float gradcheck_quantise(double x) {
    return (float)(nearbyint(x * 4096.0) / 4096.0);
}

GRADCHECK_UNUSED static void gradcheck_values(float *x, int64_t n, gradcheck_fill fill,
                                              sac_rng *rng) {
    switch (fill) {
    case GRADCHECK_SMOOTH:
        for (int64_t i = 0; i < n; i++) x[i] = gradcheck_quantise(2.0 * sac_rng_uniform(rng) - 1.0);
        break;
    case GRADCHECK_TIES:
        for (int64_t i = 0; i < n; i++) x[i] = 0.5f * (float)(sac_rng_below(rng, 9) - 4);
        break;
    case GRADCHECK_NAN:
        for (int64_t i = 0; i < n; i++) x[i] = NAN;
        break;
    case GRADCHECK_APART: {
        int64_t *order = sac_calloc(n, sizeof(*order));
        cr_assert_not_null(order);
        for (int64_t i = 0; i < n; i++) order[i] = i;
        sac_rng_shuffle(rng, order, n);
        for (int64_t i = 0; i < n; i++) {
            x[i] = (float)(((double)(order[i] - n / 2) + 0.5) * 8.0 * GRADCHECK_STEP);
        }
        sac_free(order);
        break;
    }
    }
}

// "[2][3][5]" of flat index i in `shape`.
GRADCHECK_UNUSED static void gradcheck_place(int64_t i, const sac_shape *shape, char *text,
                                             size_t size) {
    int64_t at[SAC_MAX_DIMS] = {0};
    for (int d = shape->ndims - 1; d >= 0; d--) {
        at[d] = i % shape->dims[d];
        i /= shape->dims[d];
    }
    size_t used = 0;
    text[0] = '\0';
    for (int d = 0; d < shape->ndims && used < size; d++) {
        int wrote = snprintf(text + used, size - used, "[%" PRId64 "]", at[d]);
        if (wrote < 0) break;
        used += (size_t)wrote;
    }
}

// got against want: no NaN or infinity, max |got - want| <= limit * max |want|, NMSE <= 1e-10 (sum
// of squared errors over sum of squares), and `want` not all zero, which would check nothing.
// `shape` only serves the message and may have its axes in any order.
GRADCHECK_UNUSED static void gradcheck_compare(const char *what, const float *got,
                                               const float *want, const sac_shape *shape,
                                               double limit, uint64_t seed) {
    int64_t n = sac_shape_count(shape), worst = 0;
    double scale = 0.0, worst_error = -1.0, squared_error = 0.0, squared = 0.0;
    char place[128], text[96];
    for (int64_t i = 0; i < n; i++) {
        if (!isfinite(got[i]) || !isfinite(want[i])) {
            gradcheck_place(i, shape, place, sizeof(place));
            cr_assert_fail("%s: not finite at %s of %s: got %g, want %g (seed %" PRIu64 ")", what,
                           place, sac_shape_text(shape, text), (double)got[i], (double)want[i],
                           seed);
        }
        double error = fabs((double)got[i] - (double)want[i]);
        if (error > worst_error) {
            worst_error = error;
            worst = i;
        }
        scale = fmax(scale, fabs((double)want[i]));
        squared_error += error * error;
        squared += (double)want[i] * (double)want[i];
    }
    gradcheck_place(worst, shape, place, sizeof(place));
    cr_assert(scale > 0.0, "%s: all zero, checks nothing (%s, seed %" PRIu64 ")", what,
              sac_shape_text(shape, text), seed);
    cr_assert(worst_error <= limit * scale && squared_error <= 1e-10 * squared,
              "%s: worst at %s of %s: got %.9g, want %.9g, scaled error %.3g (limit %.3g), NMSE "
              "%.3g (seed %" PRIu64 ")",
              what, place, sac_shape_text(shape, text), (double)got[worst], (double)want[worst],
              worst_error / scale, limit, squared_error / squared, seed);
}

// -------------------------------------------------------------------------------------------------
// Reference backward against central differences

typedef struct gradcheck_case {
    const sac_op *op;
    sac_ref ref;
    sac_param_spec spec[SAC_MAX_PARAMS];
    int param_count;
    float *src[SAC_MAX_SRC], *param[SAC_MAX_PARAMS], *state[SAC_MAX_PARAMS], *dst, *weight;
    int64_t dst_count;
    uint64_t seed;
} gradcheck_case;

// sum_i weight_i * dst_i of one forward. The generator and the running statistics start from the
// same values each time.
GRADCHECK_UNUSED static double gradcheck_loss(gradcheck_case *c) {
    sac_rng rng;
    sac_rng_seed(&rng, c->seed, 77);
    c->ref.rng = &rng;
    for (int p = 0; p < c->param_count; p++) {
        if (c->spec[p].trainable) continue;
        memcpy(c->state[p], c->param[p],
               (size_t)sac_shape_count(&c->spec[p].shape) * sizeof(float));
    }
    for (int64_t i = 0; i < c->dst_count; i++) c->dst[i] = NAN;
    c->op->ref_forward(&c->ref);
    c->ref.rng = NULL;
    double loss = 0.0;
    for (int64_t i = 0; i < c->dst_count; i++) loss += (double)c->weight[i] * (double)c->dst[i];
    return loss;
}

GRADCHECK_UNUSED static void gradcheck_tensor(gradcheck_case *c, const char *what, float *x,
                                              const float *gradient, const float *offset,
                                              const sac_shape *shape) {
    int64_t n = sac_shape_count(shape);
    double *numeric = sac_calloc(n, sizeof(*numeric));
    cr_assert_not_null(numeric);
    double scale = 0.0;
    for (int64_t i = 0; i < n; i++) {
        float keep = x[i];
        double loss[4];
        const double steps[4] = {-2.0 * GRADCHECK_STEP, -GRADCHECK_STEP, GRADCHECK_STEP,
                                 2.0 * GRADCHECK_STEP};
        for (int s = 0; s < 4; s++) {
            x[i] = (float)((double)keep + steps[s]);
            loss[s] = gradcheck_loss(c);
        }
        x[i] = keep;
        numeric[i] = (8.0 * (loss[2] - loss[1]) - (loss[3] - loss[0])) / (12.0 * GRADCHECK_STEP);
        scale = fmax(scale, fabs(numeric[i]));
    }
    // A gradient can be zero by nature (a normalisation over one value); rounding must not turn
    // into a relative error of 100 % then.
    scale = fmax(scale, 1e-1);
    for (int64_t i = 0; i < n; i++) {
        double analytic = (double)gradient[i] - (offset != NULL ? (double)offset[i] : 0.0);
        if (fabs(analytic - numeric[i]) <= GRADCHECK_TOLERANCE * scale) continue; // false for NaN
        char place[128], text[96];
        gradcheck_place(i, shape, place, sizeof(place));
        cr_assert_fail("%s: diff of %s at %s of %s: backward %.6g, differences %.6g, largest %.3g "
                       "(seed %" PRIu64 ")",
                       c->op->name, what, place, sac_shape_text(shape, text), analytic, numeric[i],
                       scale, c->seed);
    }
    sac_free(numeric);
}

// The same with a choice of values and of the mode.
GRADCHECK_UNUSED static void gradcheck_op_fill(const sac_op *op, const sac_attrs *attrs,
                                               const sac_shape *shapes, int n, uint64_t seed,
                                               gradcheck_fill fill, bool training) {
    gradcheck_case c = {.op = op, .seed = seed};
    sac_rng rng;
    sac_rng_seed(&rng, seed, 1);
    sac_ref *ref = &c.ref;
    ref->attrs = attrs;
    ref->training = training;
    ref->src_count = n;
    sac_error error = {0};
    cr_assert_eq(op->shape(attrs, shapes, n, &ref->dst_shape, &error), SAC_OK, "%s: %s", op->name,
                 error.message);
    float *diff_src[SAC_MAX_SRC] = {0}, *src_before[SAC_MAX_SRC] = {0},
          *diff_param[SAC_MAX_PARAMS] = {0}, *offset[SAC_MAX_PARAMS] = {0};
    for (int s = 0; s < n; s++) {
        int64_t count = sac_shape_count(&shapes[s]);
        ref->src_shape[s] = shapes[s];
        ref->src[s] = c.src[s] = sac_calloc(count, sizeof(float));
        src_before[s] = sac_calloc(count, sizeof(float));
        diff_src[s] = sac_calloc(count, sizeof(float));
        cr_assert(c.src[s] != NULL && src_before[s] != NULL && diff_src[s] != NULL);
        gradcheck_values(c.src[s], count, fill, &rng);
        memcpy(src_before[s], c.src[s], (size_t)count * sizeof(float));
        for (int64_t i = 0; i < count; i++) diff_src[s][i] = NAN;
    }
    c.param_count = op->params != NULL ? op->params(attrs, shapes, c.spec) : 0;
    for (int p = 0; p < c.param_count; p++) {
        int64_t count = sac_shape_count(&c.spec[p].shape);
        c.param[p] = sac_calloc(count, sizeof(float));
        offset[p] = sac_calloc(count, sizeof(float));
        diff_param[p] = sac_calloc(count, sizeof(float));
        c.state[p] = sac_calloc(count, sizeof(float));
        cr_assert(c.param[p] != NULL && offset[p] != NULL && diff_param[p] != NULL &&
                  c.state[p] != NULL);
        gradcheck_values(c.param[p], count, GRADCHECK_SMOOTH, &rng);
        gradcheck_values(offset[p], count, GRADCHECK_SMOOTH, &rng);
        memcpy(diff_param[p], offset[p], (size_t)count * sizeof(float));
        if (strcmp(c.spec[p].suffix, "running_var") == 0) {
            for (int64_t i = 0; i < count; i++) c.param[p][i] = 1.0f + 0.5f * c.param[p][i];
        }
        bool state = !c.spec[p].trainable;
        ref->param[p] = state ? c.state[p] : c.param[p];
        ref->state[p] = state ? c.state[p] : NULL;
    }
    c.dst_count = sac_shape_count(&ref->dst_shape);
    ref->dst = c.dst = sac_calloc(c.dst_count, sizeof(float));
    c.weight = sac_calloc(c.dst_count, sizeof(float));
    int64_t workspace =
        op->ref_workspace != NULL ? op->ref_workspace(attrs, shapes, &ref->dst_shape) : 0;
    ref->workspace = sac_calloc(workspace, sizeof(float));
    cr_assert(c.dst != NULL && c.weight != NULL && ref->workspace != NULL);
    for (int64_t i = 0; i < workspace; i++) ref->workspace[i] = NAN;
    gradcheck_values(c.weight, c.dst_count, GRADCHECK_SMOOTH, &rng);

    gradcheck_loss(&c);
    ref->diff_dst = c.weight;
    op->ref_backward(ref); // nothing wanted: must write nothing and survive
    for (int s = 0; s < n; s++) ref->diff_src[s] = diff_src[s];
    for (int p = 0; p < c.param_count; p++)
        ref->diff_param[p] = c.spec[p].trainable ? diff_param[p] : NULL;
    op->ref_backward(ref);
    for (int s = 0; s < n; s++) {
        cr_assert_eq(
            memcmp(src_before[s], c.src[s], (size_t)sac_shape_count(&shapes[s]) * sizeof(float)), 0,
            "%s wrote to src %d", op->name, s);
        ref->diff_src[s] = NULL;
    }
    for (int p = 0; p < c.param_count; p++) ref->diff_param[p] = NULL;
    ref->diff_dst = NULL;

    for (int s = 0; s < n; s++) {
        char what[16];
        snprintf(what, sizeof(what), "src %d", s);
        gradcheck_tensor(&c, what, c.src[s], diff_src[s], NULL, &shapes[s]);
    }
    for (int p = 0; p < c.param_count; p++) {
        if (c.spec[p].trainable)
            gradcheck_tensor(&c, c.spec[p].suffix, c.param[p], diff_param[p], offset[p],
                             &c.spec[p].shape);
    }
    for (int s = 0; s < n; s++) {
        sac_free(c.src[s]);
        sac_free(src_before[s]);
        sac_free(diff_src[s]);
    }
    for (int p = 0; p < c.param_count; p++) {
        sac_free(c.param[p]);
        sac_free(c.state[p]);
        sac_free(offset[p]);
        sac_free(diff_param[p]);
    }
    sac_free(c.dst);
    sac_free(c.weight);
    sac_free(ref->workspace);
}

// Smooth operators: training mode, values in [-1, 1]. `n` is the number of inputs, shapes include
// N.
GRADCHECK_UNUSED static void gradcheck_op(const sac_op *op, const sac_attrs *attrs,
                                          const sac_shape *shapes, int n, uint64_t seed) {
    gradcheck_op_fill(op, attrs, shapes, n, seed, GRADCHECK_SMOOTH, true);
}

// Operators with kinks (max, relu): values far enough from each other and from zero.
GRADCHECK_UNUSED static void gradcheck_op_apart(const sac_op *op, const sac_attrs *attrs,
                                                const sac_shape *shapes, int n, uint64_t seed) {
    gradcheck_op_fill(op, attrs, shapes, n, seed, GRADCHECK_APART, true);
}

// -------------------------------------------------------------------------------------------------
// oneDNN plans against reference plans

typedef struct compare_options {
    int64_t batch;
    gradcheck_fill fill;
    bool channels_last; // of the inputs
    bool skip_train, skip_infer;
    double limit; // on max |error| / max |reference|; 0 stands for 1e-5
} compare_options;

// Random trainable parameters (never the trivial 1 and 0 of a fresh norm) and running statistics.
GRADCHECK_UNUSED static void gradcheck_params(sac_params *params, sac_rng *rng) {
    sac_params_init(params, rng);
    for (int64_t i = 0; i < sac_params_count(params); i++) {
        sac_param *p = sac_params_at(params, i);
        const char *dot = strrchr(p->name, '.');
        bool variance = dot != NULL && strcmp(dot, ".running_var") == 0;
        for (int64_t k = 0; k < p->count; k++) {
            double u = 2.0 * sac_rng_uniform(rng) - 1.0;
            if (variance) {
                p->data[k] = (float)(1.0 + 0.5 * u);
            } else {
                p->data[k] += (float)(0.3 * u);
            }
        }
    }
}

GRADCHECK_UNUSED static sac_shape gradcheck_input_shape(const sac_node *node,
                                                        const compare_options *options) {
    sac_shape shape = {.ndims = node->shape.ndims + 1, .dims = {options->batch}};
    int axes = node->shape.ndims;
    for (int d = 0; d < axes; d++) shape.dims[d + 1] = node->shape.dims[d];
    if (options->channels_last &&
        axes >= 3) { // images and volumes only; vectors and tokens have one layout
        for (int d = 1; d < axes; d++) shape.dims[d] = node->shape.dims[d];
        shape.dims[axes] = node->shape.dims[0];
    }
    return shape;
}

GRADCHECK_UNUSED static void compare_fill_inputs(const sac_net *net, const compare_options *options,
                                                 gradcheck_fill fill, uint64_t seed,
                                                 sac_train *train, sac_infer *infer) {
    sac_rng rng;
    sac_rng_seed(&rng, seed, 5);
    for (int i = 0; i < sac_net_count(net); i++) {
        const sac_node *node = sac_net_node(net, i);
        if (node->kind != SAC_OP_INPUT) continue;
        sac_shape shape = gradcheck_input_shape(node, options);
        float *x =
            train != NULL ? sac_train_input(train, node->name) : sac_infer_input(infer, node->name);
        cr_assert_not_null(x);
        gradcheck_values(x, sac_shape_count(&shape), fill, &rng);
    }
}

// The inputs still hold what compare_fill_inputs wrote.
GRADCHECK_UNUSED static void compare_inputs_kept(const sac_net *net, const compare_options *options,
                                                 uint64_t seed, sac_train *train, sac_infer *infer,
                                                 const char *when) {
    sac_rng rng;
    sac_rng_seed(&rng, seed, 5);
    for (int i = 0; i < sac_net_count(net); i++) {
        const sac_node *node = sac_net_node(net, i);
        if (node->kind != SAC_OP_INPUT) continue;
        sac_shape shape = gradcheck_input_shape(node, options);
        int64_t n = sac_shape_count(&shape);
        float *want = sac_calloc(n, sizeof(float));
        cr_assert_not_null(want);
        gradcheck_values(want, n, options->fill, &rng);
        const float *x =
            train != NULL ? sac_train_input(train, node->name) : sac_infer_input(infer, node->name);
        cr_assert_eq(memcmp(x, want, (size_t)n * sizeof(float)), 0, "%s changed the input '%s'",
                     when, node->name);
        sac_free(want);
    }
}

// Forward and backward; gradients of the outputs drawn from `seed` (NaN when poisoning).
GRADCHECK_UNUSED static void compare_run_train(const sac_net *net, sac_train *train,
                                               gradcheck_fill fill, uint64_t seed) {
    sac_error error = {0};
    sac_status status = sac_train_forward(train, &error);
    cr_assert(status == SAC_OK || fill == GRADCHECK_NAN, "forward: %s", error.message);
    sac_rng rng;
    sac_rng_seed(&rng, seed, 6);
    for (int i = 0; i < sac_net_count(net); i++) {
        if (!sac_net_is_output(net, i)) continue;
        const char *name = sac_net_node(net, i)->name;
        sac_shape shape = sac_train_output_shape(train, name);
        float *diff = sac_train_output_grad(train, name);
        cr_assert_not_null(diff);
        gradcheck_values(diff, sac_shape_count(&shape),
                         fill == GRADCHECK_NAN ? fill : GRADCHECK_SMOOTH, &rng);
    }
    memset(&error, 0, sizeof(error));
    status = sac_train_backward(train, &error);
    cr_assert(status == SAC_OK || fill == GRADCHECK_NAN, "backward: %s", error.message);
}

GRADCHECK_UNUSED static void compare_train(const sac_net *net, const compare_options *options,
                                           uint64_t seed) {
    double limit = options->limit > 0.0 ? options->limit : 1e-5;
    sac_error error = {0};
    sac_params *start = NULL, *params[2] = {NULL, NULL};
    sac_train *train[2] = {NULL, NULL};
    cr_assert_eq(sac_params_create(&start, net, &error), SAC_OK, "%s", error.message);
    sac_rng rng;
    sac_rng_seed(&rng, seed, 4);
    gradcheck_params(start, &rng);
    for (int b = 0; b < 2; b++) {
        cr_assert_eq(sac_params_create(&params[b], net, &error), SAC_OK, "%s", error.message);
        cr_assert_eq(sac_params_copy(params[b], start), SAC_OK);
        sac_plan_options plan = {.batch = options->batch,
                                 .backend = b == 0 ? SAC_BACKEND_ONEDNN : SAC_BACKEND_REF,
                                 .seed = seed,
                                 .channels_last = options->channels_last,
                                 .input_grad = true};
        cr_assert_eq(sac_train_create(&train[b], net, params[b], &plan, &error), SAC_OK, "%s",
                     error.message);
        sac_rng dropout = sac_train_rng(train[b]);
        compare_fill_inputs(net, options, GRADCHECK_NAN, seed, train[b], NULL);
        compare_run_train(net, train[b], GRADCHECK_NAN, seed);
        cr_assert_eq(sac_params_copy(params[b], start), SAC_OK);
        sac_params_zero_grad(params[b]);
        sac_train_set_rng(train[b], &dropout);
        compare_fill_inputs(net, options, options->fill, seed, train[b], NULL);
        compare_run_train(net, train[b], options->fill, seed);
        compare_inputs_kept(net, options, seed, train[b], NULL, "training");
    }
    char what[256];
    for (int i = 0; i < sac_net_count(net); i++) {
        const sac_node *node = sac_net_node(net, i);
        if (sac_net_is_output(net, i)) {
            sac_shape shape = sac_train_output_shape(train[0], node->name);
            snprintf(what, sizeof(what), "train output '%s'", node->name);
            gradcheck_compare(what, sac_train_output(train[0], node->name),
                              sac_train_output(train[1], node->name), &shape, limit, seed);
        }
        if (node->kind == SAC_OP_INPUT) {
            sac_shape shape = gradcheck_input_shape(node, options);
            snprintf(what, sizeof(what), "gradient of input '%s'", node->name);
            gradcheck_compare(what, sac_train_input_grad(train[0], node->name),
                              sac_train_input_grad(train[1], node->name), &shape, limit, seed);
        }
    }
    for (int64_t i = 0; i < sac_params_count(params[0]); i++) {
        sac_param *a = sac_params_at(params[0], i), *b = sac_params_at(params[1], i);
        snprintf(what, sizeof(what), "%s of '%s'", a->trainable ? "gradient" : "value", a->name);
        gradcheck_compare(what, a->trainable ? a->grad : a->data, a->trainable ? b->grad : b->data,
                          &a->shape, limit, seed);
    }
    for (int b = 0; b < 2; b++) {
        sac_train_close(&train[b]);
        sac_params_close(&params[b]);
    }
    sac_params_close(&start);
}

GRADCHECK_UNUSED static void compare_infer(const sac_net *net, const compare_options *options,
                                           uint64_t seed) {
    double limit = options->limit > 0.0 ? options->limit : 1e-5;
    sac_error error = {0};
    sac_params *params = NULL;
    sac_infer *infer[2] = {NULL, NULL};
    cr_assert_eq(sac_params_create(&params, net, &error), SAC_OK, "%s", error.message);
    sac_rng rng;
    sac_rng_seed(&rng, seed, 4);
    gradcheck_params(params, &rng);
    for (int b = 0; b < 2; b++) {
        sac_plan_options plan = {.batch = options->batch,
                                 .backend = b == 0 ? SAC_BACKEND_ONEDNN : SAC_BACKEND_REF,
                                 .seed = seed,
                                 .channels_last = options->channels_last};
        cr_assert_eq(sac_infer_create(&infer[b], net, params, &plan, &error), SAC_OK, "%s",
                     error.message);
        compare_fill_inputs(net, options, GRADCHECK_NAN, seed, NULL, infer[b]);
        sac_status poisoned = sac_infer_run(infer[b], NULL);
        cr_assert(poisoned == SAC_OK || poisoned == SAC_ERROR_NUMERIC);
        compare_fill_inputs(net, options, options->fill, seed, NULL, infer[b]);
        cr_assert_eq(sac_infer_run(infer[b], &error), SAC_OK, "%s", error.message);
        compare_inputs_kept(net, options, seed, NULL, infer[b], "inference");
    }
    for (int i = 0; i < sac_net_count(net); i++) {
        if (!sac_net_is_output(net, i)) continue;
        const char *name = sac_net_node(net, i)->name;
        sac_shape shape = sac_infer_output_shape(infer[0], name);
        char what[256];
        snprintf(what, sizeof(what), "inference output '%s'", name);
        gradcheck_compare(what, sac_infer_output(infer[0], name), sac_infer_output(infer[1], name),
                          &shape, limit, seed);
    }
    for (int b = 0; b < 2; b++) sac_infer_close(&infer[b]);
    sac_params_close(&params);
}

// Training (outputs, gradients of inputs and parameters, running statistics) and inference of
// `net`, oneDNN against reference. Each plan first runs on NaN, so a value that the second run
// leaves unwritten shows up; inputs must stay unchanged.
GRADCHECK_UNUSED static void compare_backends(const sac_net *net, const compare_options *options,
                                              uint64_t seed) {
    sac_error error = {0};
    cr_assert_eq(sac_net_check(net, &error), SAC_OK, "%s", error.message);
    if (!options->skip_train) compare_train(net, options, seed);
    if (!options->skip_infer) compare_infer(net, options, seed);
}

#endif
