// Int8 plans against the reference, which defines them, within one step; against the fine-tuning
// network; layouts, batches, threads, outputs as u8, profile, and the plan's errors. The kernels
// themselves are test_nn_u8.c.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "core/memory.h"
#include "helper.h"
#include "nn/calibrate.h"
#include "nn/fold.h"
#include "nn/infer.h"
#include "nn/quant.h"
#include "quant_net.h"

static const quant_net_sizes small = {.height = 34, .width = 40, .stem = 8, .body = 20, .head = 16};

static sac_quant *quant_of(const sac_net *net, const sac_params *params, int64_t pixels) {
    sac_error error = {0};
    sac_calibrate *c = NULL;
    sac_quant *quant = NULL;
    const sac_plan_options plan = {.batch = 1};
    const sac_calibrate_options options = sac_calibrate_defaults();
    sac_assert_ok(sac_calibrate_create(&c, net, params, &plan, &options, &error), &error);
    sac_rng rng;
    sac_rng_seed(&rng, 7, 1);
    float *x = sac_calibrate_input(c, "frames");
    for (int64_t i = 0; i < pixels; i++)
        x[i] = (float)quant_net_pixel(&rng, i, small.width) / 255.0f;
    sac_assert_ok(sac_calibrate_run(c, &error), &error);
    sac_assert_ok(sac_calibrate_finish(c, &quant, &error), &error);
    sac_calibrate_close(&c);
    return quant;
}

typedef struct pair {
    sac_infer *infer[2]; // own kernels, reference
} pair;

static pair pair_open(const sac_net *net, const sac_params *params, const sac_plan_options *base) {
    pair p;
    for (int b = 0; b < 2; b++) {
        sac_error error = {0};
        sac_plan_options options = *base;
        options.backend = b == 0 ? SAC_BACKEND_ONEDNN : SAC_BACKEND_REF;
        sac_assert_ok(sac_infer_create(&p.infer[b], net, params, &options, &error), &error);
    }
    return p;
}

static void pair_fill(pair *p, const char *name, int64_t n, uint64_t seed) {
    for (int b = 0; b < 2; b++) {
        sac_rng rng;
        sac_rng_seed(&rng, seed, 2);
        uint8_t *x = sac_infer_input_u8(p->infer[b], name);
        cr_assert_not_null(x);
        cr_assert_null(sac_infer_input(p->infer[b], name));
        for (int64_t i = 0; i < n; i++) x[i] = quant_net_pixel(&rng, i, small.width);
    }
}

static void pair_run(pair *p) {
    for (int b = 0; b < 2; b++) {
        sac_error error = {0};
        sac_assert_ok(sac_infer_run(p->infer[b], &error), &error);
    }
}

static void pair_close(pair *p) {
    sac_infer_close(&p->infer[0]);
    sac_infer_close(&p->infer[1]);
}

static void students_agree(int64_t batch, bool channels_last) {
    sac_net *net = quant_net(&small);
    sac_params *params = quant_net_params(net, 21);
    const int64_t pixels = 3 * small.height * small.width;
    sac_quant *quant = quant_of(net, params, pixels);
    const sac_plan_options options = {
        .batch = batch, .channels_last = channels_last, .quant = quant};
    pair p = pair_open(net, params, &options);
    for (uint64_t seed = 0; seed < 3; seed++) {
        pair_fill(&p, "frames", batch * pixels, seed);
        pair_run(&p);
        static const char *const maps[3] = {"map16", "map4", "map1"};
        for (int m = 0; m < 3; m++) {
            const sac_shape shape = sac_infer_output_shape(p.infer[0], maps[m]);
            // One step somewhere in the middle moves a probability by far less.
            sac_assert_close(sac_infer_output(p.infer[0], maps[m]),
                             sac_infer_output(p.infer[1], maps[m]), shape.ndims, shape.dims, 2e-3,
                             maps[m]);
        }
    }
    char *text = sac_infer_describe(p.infer[0]);
    cr_assert_null(strstr(text, " ref"), "%s", text);
    cr_assert_not_null(strstr(text, "u8-convolution"), "%s", text);
    // Three stems read planes where they lie, the body reads three features: nothing is copied.
    cr_assert(channels_last || strstr(text, "gather") == NULL, "%s", text);
    cr_assert_null(strstr(text, "u8 to f32"), "%s", text);
    sac_free(text);
    pair_close(&p);
    sac_quant_close(&quant);
    sac_params_close(&params);
    sac_net_close(&net);
}

Test(nn_int8, student_agrees_with_the_reference) {
    students_agree(1, false);
    students_agree(1, true);
    students_agree(3, false);
}

// The caller's memory in place of the plan's, for inputs in parts or whole and for outputs.
Test(nn_int8, bound_memory_is_read_and_written_in_place) {
    sac_net *net = quant_net(&small), *folded = NULL;
    sac_params *params = quant_net_params(net, 23), *fp = NULL;
    sac_error error = {0};
    const int64_t plane = small.height * small.width;
    sac_quant *quant = quant_of(net, params, 3 * plane);
    sac_assert_ok(sac_fold_net(&folded, net, &error), &error);
    sac_assert_ok(sac_params_create(&fp, folded, &error), &error);
    sac_assert_ok(sac_fold_params(fp, folded, net, params, &error), &error);
    const char *inner = NULL; // a quantised activation, as an output
    for (int i = 0; i < sac_net_count(folded) && inner == NULL; i++) {
        const sac_node *node = sac_net_node(folded, i);
        if (node->kind != SAC_OP_RELU || sac_quant_scale(quant, node->name) <= 0) continue;
        sac_net_output(folded, i);
        inner = node->name;
    }
    cr_assert_not_null(inner);
    sac_plan_options options = {.batch = 1, .quant = quant, .outputs_u8 = true};
    sac_infer *plain = NULL, *parts = NULL, *reference = NULL;
    sac_assert_ok(sac_infer_create(&plain, folded, fp, &options, &error), &error);
    options.input_parts = 3;
    sac_assert_ok(sac_infer_create(&parts, folded, fp, &options, &error), &error);
    cr_assert_null(sac_infer_input_u8(parts, "frames"));
    const sac_shape shape = sac_infer_output_shape(plain, inner);
    const int64_t count = shape.dims[1] * shape.dims[2] * shape.dims[3];
    uint8_t *frames = sac_calloc(3 * plane, 1), *out = sac_calloc(count, 1);
    sac_rng rng;
    sac_rng_seed(&rng, 5, 1);
    for (int64_t i = 0; i < 3 * plane; i++) frames[i] = quant_net_pixel(&rng, i, small.width);
    memcpy(sac_infer_input_u8(plain, "frames"), frames, (size_t)(3 * plane));
    sac_assert_ok(sac_infer_run(plain, &error), &error);
    bool bound = false;
    for (int f = 0; f < 3; f++) {
        sac_assert_ok(
            sac_infer_bind_input_u8(parts, "frames", f, frames + f * plane, &bound, &error),
            &error);
        cr_assert(bound);
    }
    sac_assert_ok(sac_infer_bind_output_u8(parts, inner, out, &bound, &error), &error);
    cr_assert(bound);
    sac_assert_ok(sac_infer_run(parts, &error), &error);
    cr_assert_eq(memcmp(out, sac_infer_output_u8(plain, inner), (size_t)count), 0);
    cr_assert_eq(sac_infer_output_u8(parts, inner), out);
    const sac_shape map = sac_infer_output_shape(plain, "map16");
    cr_assert_eq(memcmp(sac_infer_output(parts, "map16"), sac_infer_output(plain, "map16"),
                        (size_t)(map.dims[2] * map.dims[3]) * sizeof(float)),
                 0);
    // Whole, and other memory for the next run.
    uint8_t *other = sac_calloc(3 * plane, 1);
    for (int64_t i = 0; i < 3 * plane; i++) other[i] = (uint8_t)(255 - frames[i]);
    sac_assert_ok(sac_infer_bind_input_u8(plain, "frames", 0, other, &bound, &error), &error);
    cr_assert(bound);
    for (int f = 0; f < 3; f++)
        sac_assert_ok(
            sac_infer_bind_input_u8(parts, "frames", f, other + f * plane, &bound, &error), &error);
    sac_assert_ok(sac_infer_run(plain, &error), &error);
    cr_assert_neq(memcmp(out, sac_infer_output_u8(plain, inner), (size_t)count), 0);
    sac_assert_ok(sac_infer_run(parts, &error), &error);
    cr_assert_eq(memcmp(out, sac_infer_output_u8(plain, inner), (size_t)count), 0);
    // What cannot be bound.
    sac_assert_ok(sac_infer_bind_input_u8(parts, "frames", 3, other, &bound, &error), &error);
    cr_assert_not(bound);
    sac_assert_ok(sac_infer_bind_input_u8(plain, "no such", 0, other, &bound, &error), &error);
    cr_assert_not(bound);
    options = (sac_plan_options){.batch = 1, .quant = quant, .backend = SAC_BACKEND_REF};
    sac_assert_ok(sac_infer_create(&reference, folded, fp, &options, &error), &error);
    sac_assert_ok(sac_infer_bind_input_u8(reference, "frames", 0, other, &bound, &error), &error);
    cr_assert_not(bound);
    sac_infer_close(&plain);
    options = (sac_plan_options){.batch = 1, .quant = quant, .input_parts = 2};
    cr_assert_eq(sac_infer_create(&plain, folded, fp, &options, &error), SAC_ERROR_ARGUMENT);
    cr_assert_not_null(strstr(error.message, "parts"), "%s", error.message);
    sac_infer_close(&parts);
    sac_infer_close(&reference);
    sac_free(frames);
    sac_free(other);
    sac_free(out);
    sac_quant_close(&quant);
    sac_params_close(&params);
    sac_params_close(&fp);
    sac_net_close(&net);
    sac_net_close(&folded);
}

// Every activation within one step, with the reference's values as sources: the network is cut
// after each of them.
Test(nn_int8, each_activation_is_within_one_step) {
    sac_net *net = quant_net(&small), *folded = NULL;
    sac_params *params = quant_net_params(net, 22), *fp = NULL;
    sac_error error = {0};
    const int64_t pixels = 3 * small.height * small.width;
    sac_quant *quant = quant_of(net, params, pixels);
    sac_assert_ok(sac_fold_net(&folded, net, &error), &error);
    sac_assert_ok(sac_params_create(&fp, folded, &error), &error);
    sac_assert_ok(sac_fold_params(fp, folded, net, params, &error), &error);
    for (int i = 0; i < sac_net_count(folded); i++) {
        if (sac_quant_scale(quant, sac_net_node(folded, i)->name) > 0 &&
            sac_net_node(folded, i)->kind != SAC_OP_INPUT)
            sac_net_output(folded, i);
    }
    const sac_plan_options options = {.batch = 2, .quant = quant, .outputs_u8 = true};
    pair p = pair_open(folded, fp, &options);
    pair_fill(&p, "frames", 2 * pixels, 1);
    pair_run(&p);
    int64_t seen = 0, differing = 0;
    for (int i = 0; i < sac_net_count(folded); i++) {
        const char *name = sac_net_node(folded, i)->name;
        const uint8_t *a = sac_infer_output_u8(p.infer[0], name),
                      *b = sac_infer_output_u8(p.infer[1], name);
        cr_assert_eq(a != NULL, b != NULL, "%s", name);
        if (a == NULL) continue;
        cr_assert_null(sac_infer_output(p.infer[0], name));
        cr_assert_null(sac_infer_output(p.infer[1], name));
        const sac_shape shape = sac_infer_output_shape(p.infer[0], name);
        const int64_t n = shape.dims[0] * shape.dims[1] * shape.dims[2] * shape.dims[3];
        for (int64_t k = 0; k < n; k++) {
            // A step before the last layers can become two behind them.
            cr_assert(abs(a[k] - b[k]) <= 2, "%s at %lld: %d and %d", name, (long long)k, a[k],
                      b[k]);
            differing += a[k] != b[k];
        }
        seen += n;
    }
    cr_assert_gt(seen, 10000);
    cr_assert(differing * 500 < seen, "%lld of %lld differ", (long long)differing, (long long)seen);
    pair_close(&p);
    sac_quant_close(&quant);
    sac_params_close(&params);
    sac_params_close(&fp);
    sac_net_close(&net);
    sac_net_close(&folded);
}

// What is fine-tuned is what will run.
Test(nn_int8, fine_tuning_network_agrees_with_the_int8_plan) {
    sac_net *net = quant_net(&small), *folded = NULL, *qat = NULL;
    sac_params *params = quant_net_params(net, 23), *fp = NULL;
    sac_error error = {0};
    const int64_t pixels = 3 * small.height * small.width;
    sac_quant *quant = quant_of(net, params, pixels);
    sac_assert_ok(sac_fold_net(&folded, net, &error), &error);
    sac_assert_ok(sac_params_create(&fp, folded, &error), &error);
    sac_assert_ok(sac_fold_params(fp, folded, net, params, &error), &error);
    sac_assert_ok(sac_quant_training_net(&qat, folded, quant, &error), &error);
    sac_infer *integers = NULL;
    sac_train *train = NULL;
    sac_plan_options options = {.batch = 1, .quant = quant};
    sac_assert_ok(sac_infer_create(&integers, net, params, &options, &error), &error);
    options.quant = NULL;
    sac_assert_ok(sac_train_create(&train, qat, fp, &options, &error), &error);
    sac_rng rng;
    sac_rng_seed(&rng, 3, 2);
    for (int64_t i = 0; i < pixels; i++) {
        const uint8_t q = quant_net_pixel(&rng, i, small.width);
        sac_infer_input_u8(integers, "frames")[i] = q;
        sac_train_input(train, "frames")[i] = (float)q / 255.0f;
    }
    sac_assert_ok(sac_infer_run(integers, &error), &error);
    sac_assert_ok(sac_train_forward(train, &error), &error);
    static const char *const maps[3] = {"map16", "map4", "map1"};
    for (int m = 0; m < 3; m++) {
        const sac_shape shape = sac_infer_output_shape(integers, maps[m]);
        sac_assert_close(sac_train_output(train, maps[m]), sac_infer_output(integers, maps[m]),
                         shape.ndims, shape.dims, 2e-3, maps[m]);
    }
    // A training plan does not take a table.
    sac_train *refused = NULL;
    options.quant = quant;
    sac_assert_error(sac_train_create(&refused, folded, fp, &options, &error), SAC_ERROR_ARGUMENT,
                     &error, "sac_quant_training_net", NULL);
    sac_train_close(&train);
    sac_infer_close(&integers);
    sac_quant_close(&quant);
    sac_params_close(&params);
    sac_params_close(&fp);
    sac_net_close(&net);
    sac_net_close(&folded);
    sac_net_close(&qat);
}

// Operators without an integer form, pooling, vectors, tables that skip nodes, and u8 outputs.
Test(nn_int8, whatever_the_table_says_agrees_with_the_reference) {
    sac_net *net = NULL;
    cr_assert_eq(sac_net_create(&net), SAC_OK);
    const int64_t k[3] = {1, 3, 3}, s[3] = {1, 2, 2}, z[3] = {0, 1, 1};
    int x = sac_net_input(net, "frames", 3, (const int64_t[]){2, 18, 20});
    int y = sac_net_conv2d(net, "c1", x, 6, 3, 1, 1, 1, true);
    y = sac_net_unary(net, SAC_OP_RELU, "r1", y);
    y = sac_net_pool(net, SAC_OP_MAX_POOL, "pool", y, k, s, z);
    int d = sac_net_conv2d(net, "depthwise", y, 6, 3, 1, 1, 6, true);
    d = sac_net_unary(net, SAC_OP_RELU, "r2", d);
    int u = sac_net_upsample(net, "up", d, 1, 2, 2);
    int sl = sac_net_slice(net, "odd", u, 2, 1, 5, 2);
    int t = sac_net_unary(net, SAC_OP_RELU, "again", sl);
    int c2 = sac_net_conv2d(net, "c2", t, 5, 1, 1, 0, 1, true);
    int g = sac_net_unary(net, SAC_OP_GELU, "gelu", c2);
    sac_net_output(net, g);
    int a = sac_net_adaptive_pool(net, SAC_OP_ADAPTIVE_MAX_POOL, "cells", d, 1, 3, 3);
    int v = sac_net_dense(net, "dense", a, 7, true);
    v = sac_net_unary(net, SAC_OP_RELU, "r3", v);
    sac_net_output(net, v);
    sac_net_output(net, sac_net_dense(net, "dense2", v, 3, true));
    sac_net_output(net, d);
    sac_error error = {0};
    sac_assert_ok(sac_net_check(net, &error), &error);
    sac_params *params = quant_net_params(net, 31);
    static const struct {
        const char *name;
        double scale;
    } table[] = {{"frames", 1.0 / 255}, {"r1", 0.012},    {"pool", 0.012},
                 {"r2", 0.01},          {"cells", 0.01},  {"r3", 0.02},
                 {"up", 0.01},          {"again", 0.011}, {"absent", 1}};
    const int count = (int)(sizeof table / sizeof table[0]);
    for (int leave_out = -1; leave_out < count; leave_out++) {
        sac_quant *quant = NULL;
        cr_assert_eq(sac_quant_create(&quant), SAC_OK);
        for (int i = 0; i < count; i++) {
            if (i != leave_out && i > leave_out - 3)
                sac_assert_ok(sac_quant_set(quant, table[i].name, table[i].scale, &error), &error);
        }
        const sac_plan_options options = {
            .batch = 2, .quant = quant, .channels_last = leave_out % 2};
        pair p = pair_open(net, params, &options);
        for (int b = 0; b < 2; b++) {
            sac_rng rng;
            sac_rng_seed(&rng, 4, 2);
            uint8_t *q = sac_infer_input_u8(p.infer[b], "frames");
            float *f = sac_infer_input(p.infer[b], "frames");
            cr_assert((q != NULL) != (f != NULL));
            for (int64_t i = 0; i < 2 * 2 * 18 * 20; i++) {
                const uint8_t pixel = quant_net_pixel(&rng, i, 20);
                if (q != NULL) {
                    q[i] = pixel;
                } else {
                    f[i] = (float)pixel / 255.0f;
                }
            }
        }
        pair_run(&p);
        static const char *const outputs[] = {"gelu", "r3", "dense2", "r2"};
        for (int o = 0; o < 4; o++) {
            const sac_shape shape = sac_infer_output_shape(p.infer[0], outputs[o]);
            sac_assert_close(sac_infer_output(p.infer[0], outputs[o]),
                             sac_infer_output(p.infer[1], outputs[o]), shape.ndims, shape.dims,
                             0.025, outputs[o]);
        }
        pair_close(&p);
        sac_quant_close(&quant);
    }
    sac_params_close(&params);
    sac_net_close(&net);
}

Test(nn_int8, results_do_not_depend_on_threads_and_follow_updates) {
    const quant_net_sizes larger = {.height = 80, .width = 120, .stem = 16, .body = 48, .head = 32};
    sac_net *net = quant_net(&larger);
    sac_params *params = quant_net_params(net, 24), *other = quant_net_params(net, 25);
    const int64_t pixels = 3 * larger.height * larger.width;
    sac_quant *quant = quant_of(net, params, pixels);
    sac_error error = {0};
    const sac_plan_options options = {.batch = 1, .quant = quant};
    sac_infer *infer = NULL, *fresh = NULL;
    sac_assert_ok(sac_infer_create(&infer, net, params, &options, &error), &error);
    sac_assert_ok(sac_infer_create(&fresh, net, other, &options, &error), &error);
    sac_rng rng;
    sac_rng_seed(&rng, 5, 2);
    for (int64_t i = 0; i < pixels; i++) {
        const uint8_t q = quant_net_pixel(&rng, i, larger.width);
        sac_infer_input_u8(infer, "frames")[i] = q;
        sac_infer_input_u8(fresh, "frames")[i] = q;
    }
    float first[16];
    for (int threads = 1; threads <= 3; threads++) {
        sac_nn_set_threads(threads);
        sac_assert_ok(sac_infer_run(infer, &error), &error);
        if (threads == 1) memcpy(first, sac_infer_output(infer, "map16"), sizeof first);
        cr_assert_eq(memcmp(first, sac_infer_output(infer, "map16"), sizeof first), 0, "%d threads",
                     threads);
    }
    sac_assert_ok(sac_infer_update(infer, other, &error), &error);
    sac_assert_ok(sac_infer_run(infer, &error), &error);
    sac_assert_ok(sac_infer_run(fresh, &error), &error);
    cr_assert_eq(
        memcmp(sac_infer_output(infer, "map16"), sac_infer_output(fresh, "map16"), sizeof first),
        0);
    cr_assert_neq(memcmp(first, sac_infer_output(infer, "map16"), sizeof first), 0);

    // A clone shares the packed weights and gives the same bits.
    sac_infer *clone = NULL;
    sac_assert_ok(sac_infer_clone(&clone, infer, &error), &error);
    memcpy(sac_infer_input_u8(clone, "frames"), sac_infer_input_u8(infer, "frames"),
           (size_t)pixels);
    sac_assert_ok(sac_infer_run(clone, &error), &error);
    cr_assert_eq(
        memcmp(sac_infer_output(infer, "map16"), sac_infer_output(clone, "map16"), sizeof first),
        0);
    sac_infer_close(&clone);

    sac_profile_step *steps = NULL;
    int count = 0;
    sac_assert_ok(sac_infer_profile(infer, 3, &steps, &count, &error), &error);
    int64_t macs = 0, wanted = 0;
    for (int i = 0; i < count; i++) {
        cr_assert(steps[i].us >= 0 && steps[i].node[0] != '\0');
        macs += steps[i].macs;
    }
    for (int i = 0; i < sac_net_count(net); i++) wanted += sac_net_macs(net, i);
    cr_assert_eq(macs, wanted);
    sac_free(steps);
    sac_assert_error(sac_infer_profile(infer, 0, &steps, &count, &error), SAC_ERROR_ARGUMENT,
                     &error, "repeats", NULL);
    sac_infer_close(&infer);
    sac_infer_close(&fresh);
    sac_quant_close(&quant);
    sac_params_close(&params);
    sac_params_close(&other);
    sac_net_close(&net);
}

Test(nn_int8, a_table_for_another_network_is_an_error) {
    sac_net *net = quant_net(&small);
    sac_params *params = quant_net_params(net, 21);
    sac_quant *quant = NULL;
    sac_error error = {0};
    sac_infer *infer = NULL;
    cr_assert_eq(sac_quant_create(&quant), SAC_OK);
    sac_assert_ok(sac_quant_set(quant, "else", 1, &error), &error);
    for (int b = 0; b < 2; b++) {
        const sac_plan_options options = {
            .batch = 1, .quant = quant, .backend = b ? SAC_BACKEND_REF : SAC_BACKEND_ONEDNN};
        error = (sac_error){0};
        sac_assert_error(sac_infer_create(&infer, net, params, &options, &error),
                         SAC_ERROR_ARGUMENT, &error, "table", NULL);
    }
    sac_quant_close(&quant);
    sac_params_close(&params);
    sac_net_close(&net);
}

Test(nn_int8, every_failed_allocation_is_reported) {
    sac_net *net = quant_net(&small);
    sac_params *params = quant_net_params(net, 21);
    sac_quant *quant = quant_of(net, params, 3 * small.height * small.width);
    for (int b = 0; b < 2; b++) {
        const sac_plan_options options = {
            .batch = 1, .quant = quant, .backend = b ? SAC_BACKEND_REF : SAC_BACKEND_ONEDNN};
        bool done = false;
        for (int64_t n = 0; !done && n < 5000; n += 1 + n / 40) {
            sac_infer *infer = NULL;
            sac_memory_fail_after(n);
            const sac_status status = sac_infer_create(&infer, net, params, &options, NULL);
            sac_memory_fail_after(-1);
            done = status == SAC_OK;
            cr_assert(done || (status == SAC_ERROR_MEMORY && infer == NULL), "%d after %lld",
                      status, (long long)n);
            sac_infer_close(&infer);
        }
        cr_assert(done);
    }
    sac_quant_close(&quant);
    sac_params_close(&params);
    sac_net_close(&net);
}
