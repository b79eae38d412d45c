// The ONNX exporter: what it writes is read back by our own importer and gives the same outputs,
// for every operator, in 2D, 3D and on tokens, and for all networks the importer is tested with;
// shared parameters stand in the file once; pixels as input; refusals; lack of memory.
#include <math.h>
#include <string.h>

#include "core/memory.h"
#include "core/rng.h"
#include "gradcheck.h"
#include "helper.h"
#include "nn/calibrate.h"
#include "nn/fold.h"
#include "nn/infer.h"
#include "nn/onnx.h"
#include "nn/onnx_export.h"
#include "onnx_models.h"
#include "quant_net.h"

static const sac_onnx_options open_64 = {.dims = {0, 64, 64, 64, 64}};

typedef struct made {
    sac_net *net;
    sac_params *params;
} made;

static made finish(sac_net *net) {
    sac_error error = {0};
    made m = {.net = net};
    sac_rng rng;
    sac_assert_ok(sac_net_check(net, &error), &error);
    sac_assert_ok(sac_params_create(&m.params, net, &error), &error);
    sac_rng_seed(&rng, 7, 0);
    sac_params_init(m.params, &rng);
    // Biases, norms and running statistics that are not the neutral ones.
    for (int64_t p = 0; p < sac_params_count(m.params); p++) {
        sac_param *param = sac_params_at(m.params, p);
        if (param->shape.ndims > 1) continue;
        for (int64_t i = 0; i < param->count; i++)
            param->data[i] += (float)(0.25 + 0.2 * sin((double)(i + p)));
    }
    return m;
}

static void close_made(made *m) {
    sac_params_close(&m->params);
    sac_net_close(&m->net);
}

static sac_infer *run(const made *m, int64_t batch, double scale, double mean) {
    sac_error error = {0};
    sac_infer *infer = NULL;
    const sac_plan_options plan = {.batch = batch, .backend = SAC_BACKEND_REF};
    sac_assert_ok(sac_infer_create(&infer, m->net, m->params, &plan, &error), &error);
    int input = 0;
    for (int i = 0; i < sac_net_count(m->net); i++) {
        const sac_node *node = sac_net_node(m->net, i);
        if (node->kind != SAC_OP_INPUT) continue;
        const int64_t count = batch * sac_shape_count(&node->shape);
        float *x = sac_infer_input(infer, node->name);
        if (scale > 0) { // pixels
            for (int64_t k = 0; k < count; k++)
                x[k] = (float)(((double)((k * 37 + input) % 256) - mean) / scale);
        } else {
            onnx_model_fill(x, count, input);
        }
        input++;
    }
    sac_assert_ok(sac_infer_run(infer, &error), &error);
    return infer;
}

// Exports, reads back and compares all outputs within 1e-5 of their size.
static void round_trip(const made *m, const sac_onnx_export_options *options, const char *what) {
    sac_error error = {0};
    uint8_t *data = NULL;
    size_t size = 0;
    made back = {0};
    const bool pixels = options != NULL && options->input_u8;
    sac_assert_ok(sac_onnx_export(&data, &size, m->net, m->params, options, &error), &error);
    sac_assert_ok(sac_onnx_parse(&back.net, &back.params, data, size, what, NULL, &error), &error);
    sac_infer *first = run(m, 2, pixels ? options->scale : 0, pixels ? options->mean : 0);
    sac_infer *second = run(&back, 2, pixels ? 1 : 0, 0);
    int compared = 0;
    for (int i = 0; i < sac_net_count(m->net); i++) {
        if (!sac_net_is_output(m->net, i)) continue;
        const char *name = sac_net_node(m->net, i)->name;
        const sac_shape shape = sac_infer_output_shape(first, name);
        const sac_shape other = sac_infer_output_shape(second, name);
        char text[96];
        cr_assert(sac_shape_equal(&shape, &other), "%s: '%s' came back as %s", what, name,
                  sac_shape_text(&other, text));
        sac_assert_close(sac_infer_output(second, name), sac_infer_output(first, name), shape.ndims,
                         shape.dims, 1e-5, name);
        compared++;
    }
    cr_assert_gt(compared, 0);
    sac_infer_close(&first);
    sac_infer_close(&second);
    close_made(&back);
    sac_free(data);
}

// --- networks ----------------------------------------------------------------------------------

static void output(sac_net *net, int node) {
    sac_net_output(net, node);
}

static made pictures(void) {
    sac_net *net = NULL;
    cr_assert_eq(sac_net_create(&net), SAC_OK);
    const int x = sac_net_input(net, "frames", 3, (const int64_t[]){3, 22, 31});
    int parts[3];
    for (int i = 0; i < 3; i++) {
        char name[32];
        snprintf(name, sizeof name, "take%d", i);
        int part = sac_net_slice(net, name, x, 1, i, 1, 1);
        snprintf(name, sizeof name, "stem%d.conv", i);
        part = sac_net_conv2d(net, name, part, 4, 3, 2, 1, 1, false);
        if (i > 0) sac_net_share(net, part, "stem0.conv");
        snprintf(name, sizeof name, "stem%d.relu", i);
        parts[i] = sac_net_unary(net, SAC_OP_RELU, name, part);
    }
    int y = sac_net_concat(net, "joined", parts, 3, 1); // [12][11][16]
    y = sac_net_conv2d(net, "body.conv", y, 8, 3, 1, 1, 4, false);
    y = sac_net_batch_norm(net, "body.norm", y);
    const int leaky = sac_net_unary(net, SAC_OP_LEAKY_RELU, "leaky", y);
    const int norm = sac_net_batch_norm(net, "alone.norm", leaky);
    const int sum = sac_net_add(net, "sum", norm, leaky);
    const int many[3] = {sum, norm, leaky};
    static const sac_attrs none = {0};
    const int three = sac_net_add_node(net, SAC_OP_ADD, "three", &none, many, 3);
    static const sac_op_kind plain[] = {SAC_OP_GELU,  SAC_OP_SIGMOID,      SAC_OP_TANH,
                                        SAC_OP_SWISH, SAC_OP_HARD_SIGMOID, SAC_OP_HARD_SWISH,
                                        SAC_OP_MISH};
    for (size_t i = 0; i < sizeof plain / sizeof plain[0]; i++)
        output(net, sac_net_unary(net, plain[i], sac_op_kind_name(plain[i]), three));
    const sac_attrs slower = {.alpha = 0.75};
    output(net, sac_net_add_node(net, SAC_OP_SWISH, "slower", &slower, &three, 1));
    output(net, sac_net_clip(net, "clip", three, -0.25, 0.5));
    output(net, sac_net_linear(net, "linear", three, -1.5, 0.25));
    output(net, sac_net_dropout(net, "dropout", three, 0.5));
    output(net, sac_net_grad_reverse(net, "reversed", three, 1));
    output(net, sac_net_fake_quant(net, "rounded", three, 0.0123));
    const int64_t k2[3] = {1, 3, 2}, s2[3] = {1, 2, 2}, p2[3] = {0, 1, 0};
    output(net, sac_net_pool(net, SAC_OP_MAX_POOL, "max", three, k2, s2, p2));
    output(net, sac_net_pool(net, SAC_OP_AVG_POOL, "mean", three, k2, s2, p2));
    sac_attrs uneven = {.kernel = {1, 3, 3},
                        .stride = {1, 2, 2},
                        .pad = {0, 0, 1},
                        .pad_extra = {0, 1, 1},
                        .count_pad = true};
    output(net, sac_net_add_node(net, SAC_OP_AVG_POOL, "counted", &uneven, &three, 1));
    output(net, sac_net_add_node(net, SAC_OP_MAX_POOL, "uneven", &uneven, &three, 1));
    sac_attrs dilated = {.channels = 6,
                         .kernel = {1, 3, 3},
                         .stride = {1, 1, 2},
                         .pad = {0, 1, 2},
                         .pad_extra = {0, 1, 0},
                         .dilation = {0, 1, 2},
                         .groups = 2,
                         .bias = true};
    output(net, sac_net_add_node(net, SAC_OP_CONV, "dilated", &dilated, &three, 1));
    output(net, sac_net_upsample(net, "up", three, 1, 2, 3));
    const int factor =
        sac_net_adaptive_pool(net, SAC_OP_ADAPTIVE_AVG_POOL, "factor", three, 1, 1, 1);
    output(net, sac_net_mul(net, "gated", three, factor));
    output(net, sac_net_mul(net, "squared", three, three));
    const int sliced = sac_net_slice(net, "sliced", three, 3, 1, 5, 3);
    output(net, sliced);
    output(net, sac_net_dense(net, "dense", sliced, 5, true));
    return finish(net);
}

// Every kind of adaptive pooling: same size, global, whole windows, overlapping cells, more cells
// than places, and one axis of each.
static made adaptive(void) {
    static const int64_t sizes[][2] = {{11, 16}, {1, 1},  {11, 4}, {4, 4},   {5, 3},
                                       {16, 16}, {1, 16}, {11, 8}, {22, 48}, {3, 7}};
    sac_net *net = NULL;
    cr_assert_eq(sac_net_create(&net), SAC_OK);
    const int x = sac_net_input(net, "x", 3, (const int64_t[]){2, 11, 16});
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        char name[32];
        snprintf(name, sizeof name, "max%zu", i);
        output(net, sac_net_adaptive_pool(net, SAC_OP_ADAPTIVE_MAX_POOL, name, x, 1, sizes[i][0],
                                          sizes[i][1]));
        snprintf(name, sizeof name, "mean%zu", i);
        output(net, sac_net_adaptive_pool(net, SAC_OP_ADAPTIVE_AVG_POOL, name, x, 1, sizes[i][0],
                                          sizes[i][1]));
    }
    return finish(net);
}

static made volumes(void) {
    sac_net *net = NULL;
    cr_assert_eq(sac_net_create(&net), SAC_OK);
    const int x = sac_net_input(net, "x", 4, (const int64_t[]){2, 5, 8, 9});
    const int64_t k[3] = {3, 3, 2}, s[3] = {1, 2, 1}, p[3] = {1, 1, 0};
    int y = sac_net_conv3d(net, "conv", x, 4, k, s, p, 2, true);
    y = sac_net_batch_norm(net, "norm", y);
    output(net, sac_net_pool(net, SAC_OP_MAX_POOL, "max", y, k, s, p));
    output(net, sac_net_pool(net, SAC_OP_AVG_POOL, "mean", y, k, s, p));
    output(net, sac_net_adaptive_pool(net, SAC_OP_ADAPTIVE_MAX_POOL, "cells", y, 2, 3, 3));
    output(net, sac_net_adaptive_pool(net, SAC_OP_ADAPTIVE_AVG_POOL, "means", y, 5, 3, 4));
    output(net, sac_net_upsample(net, "up", y, 2, 1, 2));
    return finish(net);
}

// One head of attention.
static made tokens(void) {
    sac_net *net = NULL;
    cr_assert_eq(sac_net_create(&net), SAC_OK);
    const int x = sac_net_input(net, "x", 3, (const int64_t[]){8, 3, 4});
    int t = sac_net_reshape(net, "flat", x, 2, (const int64_t[]){8, 12});
    t = sac_net_permute(net, "tokens", t, 3, (const int64_t[]){0, 2, 1});
    t = sac_net_layer_norm(net, "norm", t);
    const int k = sac_net_permute(net, "keys", t, 3, (const int64_t[]){0, 2, 1});
    int a = sac_net_matmul(net, "likeness", t, k);
    a = sac_net_softmax(net, "attention", a, 2);
    a = sac_net_matmul(net, "mixed", a, t);
    a = sac_net_add(net, "residual", a, t);
    output(net, a);
    output(net, sac_net_softmax(net, "per_token", a, 1));
    a = sac_net_dense(net, "wide", a, 6, false);
    output(net, sac_net_dense(net, "last", a, 3, true));
    return finish(net);
}

Test(nn_onnx_export, every_operator_comes_back) {
    made m = pictures();
    // All operators of nn/net.h are in one of these networks.
    bool seen[SAC_OP_COUNT] = {false};
    round_trip(&m, NULL, "pictures");
    for (int i = 0; i < sac_net_count(m.net); i++) seen[sac_net_node(m.net, i)->kind] = true;
    close_made(&m);
    made (*const others[])(void) = {adaptive, volumes, tokens};
    static const char *const names[] = {"adaptive", "volumes", "tokens"};
    for (int k = 0; k < 3; k++) {
        m = others[k]();
        round_trip(&m, NULL, names[k]);
        for (int i = 0; i < sac_net_count(m.net); i++) seen[sac_net_node(m.net, i)->kind] = true;
        close_made(&m);
    }
    for (int k = 0; k < SAC_OP_COUNT; k++)
        cr_assert(seen[k], "operator %s is not tried", sac_op_kind_name((sac_op_kind)k));
}

// Networks of the importer's tests, imported, exported, imported.
Test(nn_onnx_export, imported_networks_come_back) {
    for (size_t k = 0; k < ONNX_MODELS; k++) {
        onnx_make make;
        sac_error error = {0};
        size_t size = 0;
        made m = {0};
        if (strcmp(onnx_models[k].name, "resnet50") == 0 ||
            strcmp(onnx_models[k].name, "squeezenet") == 0)
            continue; // too slow by textbook loops
        onnx_models[k].make(&make);
        uint8_t *data = make_finish(&make, &size);
        sac_assert_ok(sac_onnx_parse(&m.net, &m.params, data, size, "made", &open_64, &error),
                      &error);
        free(data);
        round_trip(&m, NULL, onnx_models[k].name);
        close_made(&m);
    }
}

Test(nn_onnx_export, batch_and_pixels_as_input) {
    made m = pictures();
    const sac_onnx_export_options fixed = {.batch = 1};
    round_trip(&m, &fixed, "batch 1");
    static const double means[] = {0, 127};
    for (int k = 0; k < 2; k++) {
        const sac_onnx_export_options pixels = {
            .batch = 1, .input_u8 = true, .mean = means[k], .scale = k == 0 ? 255 : 128};
        round_trip(&m, &pixels, "pixels");
    }
    close_made(&m);
}

static int occurrences(const uint8_t *data, size_t size, const void *what, size_t length) {
    int count = 0;
    for (size_t i = 0; i + length <= size; i++) count += memcmp(data + i, what, length) == 0;
    return count;
}

Test(nn_onnx_export, texts_shared_parameters_and_equal_bytes) {
    made m = pictures();
    sac_error error = {0};
    uint8_t *data[2] = {NULL, NULL};
    size_t size[2] = {0, 0};
    static const sac_onnx_pair pairs[2] = {{"answer", "forty-two"}, {"empty", ""}};
    const sac_onnx_export_options options = {.name = "graph-name",
                                             .doc = "what it is",
                                             .input_doc = "what goes in",
                                             .output_doc = "what comes out",
                                             .properties = pairs,
                                             .property_count = 2};
    for (int k = 0; k < 2; k++)
        sac_assert_ok(sac_onnx_export(&data[k], &size[k], m.net, m.params, &options, &error),
                      &error);
    cr_assert(size[0] == size[1] && memcmp(data[0], data[1], size[0]) == 0);
    static const char *const texts[] = {"saccade",      "graph-name",     "what it is",
                                        "what goes in", "what comes out", "answer",
                                        "forty-two"};
    for (size_t t = 0; t < sizeof texts / sizeof texts[0]; t++)
        cr_assert_gt(occurrences(data[0], size[0], texts[t], strlen(texts[t])), 0, "%s", texts[t]);
    const sac_param *shared = sac_params_find(m.params, "stem0.conv.weight");
    cr_assert_eq(occurrences(data[0], size[0], shared->data, (size_t)shared->count * 4), 1);
    sac_free(data[0]);
    sac_free(data[1]);
    close_made(&m);
}

// --- 8 bits ------------------------------------------------------------------------------------

static const quant_net_sizes small = {.height = 24, .width = 32, .stem = 4, .body = 16, .head = 8};

static void fill_pixels(sac_infer *infer, bool normalised) {
    float *x = sac_infer_input(infer, "frames");
    for (int64_t i = 0; i < 3 * small.height * small.width; i++) {
        const float pixel = (float)(i * 37 % 256);
        x[i] = normalised ? pixel / 255.0f : pixel;
    }
}

// The exported network is that of nn/quant.h: the network to fine-tune, which rounds in the same
// places, gives the same maps, but for biases of s32 that now and then tip a value to the next
// step.
static void quantised_round_trip(const sac_net *net, const sac_params *params,
                                 const sac_quant *quant, const sac_net *qat, sac_params *qat_params,
                                 bool input_u8) {
    sac_error error = {0};
    uint8_t *data = NULL;
    size_t size = 0;
    made back = {0};
    const sac_onnx_export_options options = {
        .batch = 1, .input_u8 = input_u8, .mean = 0, .scale = 255, .quant = quant};
    sac_infer *plans[2] = {NULL, NULL};
    const sac_plan_options plan = {.batch = 1, .backend = SAC_BACKEND_REF};
    sac_assert_ok(sac_onnx_export(&data, &size, net, params, &options, &error), &error);
    sac_assert_ok(sac_onnx_parse(&back.net, &back.params, data, size, "quantised", NULL, &error),
                  &error);
    sac_assert_ok(sac_infer_create(&plans[0], qat, qat_params, &plan, &error), &error);
    sac_assert_ok(sac_infer_create(&plans[1], back.net, back.params, &plan, &error), &error);
    fill_pixels(plans[0], true);
    fill_pixels(plans[1], !input_u8);
    for (int k = 0; k < 2; k++) sac_assert_ok(sac_infer_run(plans[k], &error), &error);
    static const char *const maps[] = {"map16", "map4", "map1"};
    for (int m = 0; m < 3; m++) {
        const sac_shape shape = sac_infer_output_shape(plans[0], maps[m]);
        sac_assert_close(sac_infer_output(plans[1], maps[m]), sac_infer_output(plans[0], maps[m]),
                         shape.ndims, shape.dims, 2e-3, maps[m]);
    }
    sac_infer_close(&plans[0]);
    sac_infer_close(&plans[1]);
    close_made(&back);
    sac_free(data);
}

Test(nn_onnx_export, quantised_networks_round_in_the_same_places) {
    sac_error error = {0};
    sac_net *net = quant_net(&small), *folded = NULL, *qat = NULL;
    sac_params *params = quant_net_params(net, 11), *folded_params = NULL, *qat_params = NULL;
    sac_calibrate *calibrate = NULL;
    sac_quant *quant = NULL;
    const sac_plan_options plan = {.batch = 1};
    const sac_calibrate_options defaults = sac_calibrate_defaults();
    sac_assert_ok(sac_calibrate_create(&calibrate, net, params, &plan, &defaults, &error), &error);
    float *x = sac_calibrate_input(calibrate, "frames");
    for (int64_t i = 0; i < 3 * small.height * small.width; i++)
        x[i] = (float)(i * 37 % 256) / 255.0f;
    sac_assert_ok(sac_calibrate_run(calibrate, &error), &error);
    sac_assert_ok(sac_calibrate_finish(calibrate, &quant, &error), &error);
    sac_assert_ok(sac_fold_net(&folded, net, &error), &error);
    sac_assert_ok(sac_params_create(&folded_params, folded, &error), &error);
    sac_assert_ok(sac_fold_params(folded_params, folded, net, params, &error), &error);
    sac_assert_ok(sac_quant_training_net(&qat, folded, quant, &error), &error);
    sac_assert_ok(sac_params_create(&qat_params, qat, &error), &error);
    sac_assert_ok(sac_params_copy(qat_params, folded_params), &error);
    quantised_round_trip(net, params, quant, qat, qat_params, false);
    quantised_round_trip(net, params, quant, qat, qat_params, true);
    // The network to fine-tune says itself where it rounds.
    quantised_round_trip(qat, qat_params, NULL, qat, qat_params, false);
    // Weights of the shared stem stand there once, as bytes.
    uint8_t *data[2] = {NULL, NULL};
    size_t size[2] = {0, 0};
    const sac_onnx_export_options options = {.quant = quant};
    sac_assert_ok(sac_onnx_export(&data[0], &size[0], net, params, NULL, &error), &error);
    sac_assert_ok(sac_onnx_export(&data[1], &size[1], net, params, &options, &error), &error);
    int8_t q[8 * 4 * 9];
    float scales[8];
    sac_quant_weights(q, scales, sac_params_find(folded_params, "stem0.b.conv.weight")->data, 8,
                      36);
    cr_assert_eq(occurrences(data[1], size[1], q, sizeof q), 1);
    cr_assert_eq(occurrences(data[0], size[0], q, sizeof q), 0);
    sac_free(data[0]);
    sac_free(data[1]);
    // A convolution rounded before its residual is added: in no form of our own, but in the file.
    sac_quant *centred = NULL;
    sac_net *none = NULL;
    sac_params *none_params = NULL;
    sac_assert_ok(sac_quant_create(&centred), &error);
    sac_assert_ok(sac_quant_set(centred, "body2.conv", 0.125, &error), &error);
    const sac_onnx_export_options rounded = {.quant = quant, .centred = centred};
    sac_assert_ok(sac_onnx_export(&data[0], &size[0], net, params, &rounded, &error), &error);
    sac_assert_error(sac_onnx_parse(&none, &none_params, data[0], size[0], "centred", NULL, &error),
                     SAC_ERROR_UNSUPPORTED, &error, "body2.conv", "zero point", NULL);
    sac_free(data[0]);
    sac_quant_close(&centred);
    sac_calibrate_close(&calibrate);
    sac_quant_close(&quant);
    sac_params_close(&params);
    sac_params_close(&folded_params);
    sac_params_close(&qat_params);
    sac_net_close(&net);
    sac_net_close(&folded);
    sac_net_close(&qat);
}

// Quantised operators in a form that is not ours.
typedef struct refusal {
    const char *words[2];
    uint8_t zero;
    int zero_type;
    float scale;
    bool read_by_other; // Relu reads the steps
} refusal;

Test(nn_onnx_export, other_quantised_forms_are_refused) {
    static const refusal refusals[] = {
        {{"zero point", "q"}, 3, 2, 0.1f, false},
        {{"uint8", "q"}, 0, 3, 0.1f, false},
        {{"scale", "-1"}, 0, 2, -1.0f, false},
        {{"only DequantizeLinear", "q"}, 0, 2, 0.1f, true},
    };
    for (size_t k = 0; k < sizeof refusals / sizeof refusals[0]; k++) {
        const refusal *r = &refusals[k];
        onnx_make m;
        sac_error error = {0};
        sac_net *net = NULL;
        sac_params *params = NULL;
        size_t size = 0;
        make_start(&m, 13);
        make_input(&m, "x", DIMS(1, 2, 3, 3));
        make_number(&m, "scale", r->scale);
        make_tensor_bytes(&m, "zero", r->zero_type, 0, NULL, &r->zero, 1);
        make_node(&m, "QuantizeLinear", "x scale zero", "q");
        make_node(&m, r->read_by_other ? "Relu" : "DequantizeLinear",
                  r->read_by_other ? "q" : "q scale zero", "y");
        make_output(&m, "y");
        uint8_t *data = make_finish(&m, &size);
        const sac_status status =
            sac_onnx_parse(&net, &params, data, size, "made.onnx", NULL, &error);
        sac_assert_error(status, status == SAC_ERROR_FORMAT ? status : SAC_ERROR_UNSUPPORTED,
                         &error, "made.onnx", r->words[0], r->words[1], NULL);
        free(data);
    }
}

Test(nn_onnx_export, refusals_are_told) {
    made m = pictures();
    sac_error error = {0};
    uint8_t *data = (uint8_t *)&m;
    size_t size = 1;
    const sac_onnx_export_options negative = {.batch = -1};
    sac_assert_error(sac_onnx_export(&data, &size, m.net, m.params, &negative, &error),
                     SAC_ERROR_ARGUMENT, &error, "batch", "-1", NULL);
    cr_assert(data == NULL && size == 0);
    error = (sac_error){0};
    const sac_onnx_export_options divisor = {.input_u8 = true, .mean = 1, .scale = 0};
    sac_assert_error(sac_onnx_export(&data, &size, m.net, m.params, &divisor, &error),
                     SAC_ERROR_ARGUMENT, &error, "divisor", NULL);
    error = (sac_error){0};
    sac_params_find(m.params, "dense.bias")->data[1] = NAN;
    sac_assert_error(sac_onnx_export(&data, &size, m.net, m.params, NULL, &error),
                     SAC_ERROR_NUMERIC, &error, "dense.bias", NULL);
    cr_assert_null(data);
    close_made(&m);
}

Test(nn_onnx_export, lack_of_memory_is_survived) {
    made m = adaptive();
    sac_status status = SAC_ERROR_MEMORY;
    int refusals = 0;
    for (int64_t n = 0; n < 20000 && status != SAC_OK; n += n < 60 ? 1 : 17) {
        uint8_t *data = NULL;
        size_t size = 0;
        sac_error error = {0};
        sac_memory_fail_after(n);
        status = sac_onnx_export(&data, &size, m.net, m.params, NULL, &error);
        sac_memory_fail_after(-1);
        if (status != SAC_OK) {
            cr_assert_eq(status, SAC_ERROR_MEMORY, "allocation %lld: %s", (long long)n,
                         error.message);
            cr_assert_null(data);
            refusals++;
        }
        sac_free(data);
    }
    cr_assert_eq(status, SAC_OK);
    cr_assert_gt(refusals, 60);
    close_made(&m);
}
