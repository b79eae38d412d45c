// The ONNX importer: outputs of generated networks against those of ONNX Runtime, both backends
// against each other, any batch size, chosen outputs and input sizes, every kind of refusal with
// its message, lack of memory, and real files where they are at hand.
#include <math.h>

#include "core/file.h"
#include "core/memory.h"
#include "gradcheck.h"
#include "helper.h"
#include "nn/onnx.h"
#include "onnx_golden.h"
#include "onnx_models.h"

static void parse(sac_net **net, sac_params **params, onnx_make *make,
                  const sac_onnx_options *options) {
    sac_error error = {0};
    size_t size = 0;
    uint8_t *data = make_finish(make, &size);
    sac_assert_ok(sac_onnx_parse(net, params, data, size, "made.onnx", options, &error), &error);
    free(data);
}

static sac_infer *plan_inputs(const sac_net *net, const sac_params *params, int64_t batch,
                              sac_backend backend) {
    sac_error error = {0};
    sac_infer *infer = NULL;
    const sac_plan_options plan = {.batch = batch, .backend = backend};
    sac_assert_ok(sac_infer_create(&infer, net, params, &plan, &error), &error);
    int input = 0;
    for (int i = 0; i < sac_net_count(net); i++) {
        const sac_node *node = sac_net_node(net, i);
        if (node->kind != SAC_OP_INPUT) continue;
        const int64_t count = sac_shape_count(&node->shape);
        float *x = sac_infer_input(infer, node->name);
        // Every sample of a batch is another one, the first the same for all sizes of the batch.
        for (int64_t n = 0; n < batch; n++)
            onnx_model_fill(x + n * count, count, input + 50 * (int)n);
        input++;
    }
    sac_assert_ok(sac_infer_run(infer, &error), &error);
    return infer;
}

static void golden_check(const sac_infer *infer, const onnx_golden *g) {
    const sac_shape shape = sac_infer_output_shape(infer, g->output);
    char text[96];
    bool fits = shape.ndims == g->ndims;
    for (int d = 0; fits && d < g->ndims; d++) fits = shape.dims[d] == g->dims[d];
    cr_assert(fits, "%s '%s' is %s", g->model, g->output, sac_shape_text(&shape, text));
    const float *x = sac_infer_output(infer, g->output);
    cr_assert_not_null(x);
    const int64_t n = sac_shape_count(&shape);
    double sum = 0, squares = 0;
    for (int64_t i = 0; i < n; i++) {
        sum += (double)x[i];
        squares += (double)x[i] * (double)x[i];
    }
    const double limit = 2e-5 * g->rms;
    for (int k = 0; k < 8; k++) {
        const double got = (double)x[k * (n - 1) / 7];
        cr_assert(fabs(got - g->at[k]) <= limit, "%s '%s' [%lld]: %.9g, want %.9g", g->model,
                  g->output, (long long)(k * (n - 1) / 7), got, g->at[k]);
    }
    cr_assert(fabs(sum / (double)n - g->mean) <= limit, "%s '%s': mean %.9g, want %.9g", g->model,
              g->output, sum / (double)n, g->mean);
    cr_assert(fabs(sqrt(squares / (double)n) - g->rms) <= limit, "%s '%s': rms %.9g, want %.9g",
              g->model, g->output, sqrt(squares / (double)n), g->rms);
}

static const sac_onnx_options open_64 = {.dims = {0, 64, 64, 64, 64}};

Test(nn_onnx, outputs_are_those_of_onnx_runtime) {
    int checked = 0;
    for (size_t k = 0; k < ONNX_MODELS; k++) {
        onnx_make make;
        sac_net *net = NULL;
        sac_params *params = NULL;
        if (strcmp(onnx_models[k].name, "resnet50") == 0) continue; // has a test of its own
        onnx_models[k].make(&make);
        parse(&net, &params, &make, &open_64);
        sac_infer *infer = plan_inputs(net, params, 1, SAC_BACKEND_ONEDNN);
        for (int g = 0; g < ONNX_GOLDENS; g++) {
            if (strcmp(onnx_goldens[g].model, onnx_models[k].name) != 0) continue;
            golden_check(infer, &onnx_goldens[g]);
            checked++;
        }
        sac_infer_close(&infer);
        sac_params_close(&params);
        sac_net_close(&net);
    }
    cr_assert_eq(checked, ONNX_GOLDENS - 1);
}

// The plain reference agrees, the first sample of a batch does not depend on the others, and a
// description that went through JSON is the same network.
Test(nn_onnx, backends_batches_and_json_agree) {
    for (size_t k = 0; k < ONNX_MODELS; k++) {
        if (strcmp(onnx_models[k].name, "resnet50") == 0 ||
            strcmp(onnx_models[k].name, "squeezenet") == 0)
            continue; // too slow by textbook loops, and of the operators of the others
        onnx_make make;
        sac_net *net = NULL, *again = NULL;
        sac_params *params = NULL;
        sac_error error = {0};
        onnx_models[k].make(&make);
        parse(&net, &params, &make, &open_64);
        json_t *json = sac_net_to_json(net);
        sac_assert_ok(sac_net_from_json(&again, json, "made", &error), &error);
        json_decref(json);
        sac_infer *plain = plan_inputs(again, params, 1, SAC_BACKEND_REF);
        sac_infer *batch = plan_inputs(net, params, 3, SAC_BACKEND_ONEDNN);
        for (int i = 0; i < sac_net_count(net); i++) {
            if (!sac_net_is_output(net, i)) continue;
            const char *name = sac_net_node(net, i)->name;
            const sac_shape shape = sac_infer_output_shape(plain, name);
            gradcheck_compare(name, sac_infer_output(batch, name), sac_infer_output(plain, name),
                              &shape, 2e-5, k);
        }
        sac_infer_close(&plain);
        sac_infer_close(&batch);
        sac_params_close(&params);
        sac_net_close(&net);
        sac_net_close(&again);
    }
}

// The full architecture with generated weights, and two values from inside its graph.
Test(nn_onnx, resnet50) {
    onnx_make make;
    sac_net *net = NULL;
    sac_params *params = NULL;
    sac_error error = {0};
    size_t size = 0;
    model_resnet50(&make);
    uint8_t *data = make_finish(&make, &size);
    sac_assert_ok(sac_onnx_parse(&net, &params, data, size, "resnet50", &open_64, &error), &error);
    // As many weights as the published network has.
    cr_assert_eq(sac_params_elements(params, true), 25557032);
    sac_infer *infer = plan_inputs(net, params, 1, SAC_BACKEND_ONEDNN);
    const onnx_golden *golden = &onnx_goldens[ONNX_GOLDENS - 1];
    cr_assert_str_eq(golden->model, "resnet50");
    golden_check(infer, golden);
    sac_infer_close(&infer);
    sac_params_close(&params);
    sac_net_close(&net);

    static const char *const wanted[] = {"s3.2", "features"};
    const sac_onnx_options options = {.dims = {0, 0, 64, 96}, .outputs = wanted, .output_count = 2};
    sac_assert_ok(sac_onnx_parse(&net, &params, data, size, "resnet50", &options, &error), &error);
    free(data);
    cr_assert_eq(sac_net_find(net, "logits"), -1); // only needed by an output that is not wanted
    cr_assert_eq(sac_params_elements(params, true), 25557032 - 2049 * 1000);
    sac_shape shapes[256];
    cr_assert_leq(sac_net_count(net), 256);
    sac_assert_ok(sac_net_shapes(net, 4, shapes, &error), &error);
    const sac_shape *map = &shapes[sac_net_find(net, "s3.2")];
    const sac_shape *features = &shapes[sac_net_find(net, "features")];
    cr_assert(sac_shape_equal(map, &(sac_shape){4, {4, 2048, 2, 3}}));
    cr_assert(sac_shape_equal(features, &(sac_shape){4, {4, 2048, 1, 1}}));
    sac_params_close(&params);
    sac_net_close(&net);
}

// Other input sizes, and what the plan makes of a network.
Test(nn_onnx, sizes_are_replaced_and_activations_fused) {
    onnx_make make;
    sac_net *net = NULL;
    sac_params *params = NULL;
    sac_error error = {0};
    sac_shape shapes[256];

    // Fixed sizes are replaced only when asked to.
    const sac_onnx_options other = {.dims = {0, 0, 96, 128}};
    sac_onnx_options replace = other;
    replace.replace = true;
    for (int k = 0; k < 2; k++) {
        model_yolox(&make);
        parse(&net, &params, &make, k == 0 ? &other : &replace);
        sac_assert_ok(sac_net_shapes(net, 1, shapes, &error), &error);
        const sac_shape want = {3, {1, k == 0 ? 126 : 12 * 16 + 6 * 8 + 3 * 4, 7}};
        cr_assert(sac_shape_equal(&shapes[sac_net_find(net, "output")], &want));
        sac_infer *infer = NULL;
        const sac_plan_options plan = {.batch = 1};
        sac_assert_ok(sac_infer_create(&infer, net, params, &plan, &error), &error);
        char *text = sac_infer_describe(infer);
        cr_assert_not_null(text);
        // x * Sigmoid(x) became one activation and went into the convolutions.
        cr_assert(strstr(text, "eltwise") == NULL && strstr(text, "multiply") == NULL, "%s", text);
        sac_free(text);
        sac_infer_close(&infer);
        sac_params_close(&params);
        sac_net_close(&net);
    }
}

// --- refusals ----------------------------------------------------------------------------------

static void refused_bytes(const void *data, size_t size, const sac_onnx_options *options,
                          sac_status code, const char *first, const char *second) {
    sac_net *net = NULL;
    sac_params *params = NULL;
    sac_error error = {0};
    const sac_status status =
        sac_onnx_parse(&net, &params, data, size, "bad.onnx", options, &error);
    sac_assert_error(status, code, &error, "bad.onnx", first, second, NULL);
    cr_assert(net == NULL && params == NULL);
}

static void refused(onnx_make *make, const sac_onnx_options *options, sac_status code,
                    const char *first, const char *second) {
    size_t size = 0;
    uint8_t *data = make_finish(make, &size);
    refused_bytes(data, size, options, code, first, second);
    free(data);
}

// A network of one node `y` on the input x [N][4][6][6], the rest by the caller.
static void start(onnx_make *m, int64_t opset) {
    make_start(m, opset);
    make_input(m, "x", DIMS(0, 4, 6, 6));
    make_output(m, "y");
}

Test(nn_onnx, unsupported_nodes_are_named) {
    onnx_make m;
    start(&m, 13);
    make_node(&m, "Einsum", "x", "y");
    refused(&m, NULL, SAC_ERROR_UNSUPPORTED, "Einsum node 'y'", "operator Einsum");

    start(&m, 13);
    make_begin(&m, "Relu", "x", "y");
    make_text(&m.node, 7, "com.microsoft");
    make_end(&m);
    refused(&m, NULL, SAC_ERROR_UNSUPPORTED, "Relu node 'y'", "com.microsoft");

    start(&m, 13);
    make_begin(&m, "If", "x", "y");
    make_end(&m);
    refused(&m, NULL, SAC_ERROR_UNSUPPORTED, "If node", "operator If");

    start(&m, 13);
    make_node(&m, "Div", "x x", "y");
    refused(&m, NULL, SAC_ERROR_UNSUPPORTED, "Div node 'y'", "computed tensor");

    start(&m, 13);
    make_node(&m, "Softplus", "x", "y");
    refused(&m, NULL, SAC_ERROR_UNSUPPORTED, "'y'", "Softplus");

    start(&m, 13);
    make_begin(&m, "Transpose", "x", "y");
    make_attr_ints(&m, "perm", DIMS(1, 0, 2, 3));
    make_end(&m);
    refused(&m, NULL, SAC_ERROR_UNSUPPORTED, "Transpose node 'y'", "batch");

    start(&m, 13);
    make_list(&m, "wanted", DIMS(4, -1));
    make_node(&m, "Reshape", "x wanted", "y");
    refused(&m, NULL, SAC_ERROR_UNSUPPORTED, "Reshape node 'y'", "[1][4][6][6]");

    start(&m, 13);
    make_begin(&m, "Gelu", "x", "y");
    make_attr_text(&m, "approximate", "tanh");
    make_end(&m);
    refused(&m, NULL, SAC_ERROR_UNSUPPORTED, "Gelu node", "approximate 'tanh'");

    start(&m, 13);
    make_weights(&m, "plane", DIMS(6, 6), 1, 0);
    make_node(&m, "Add", "x plane", "y");
    refused(&m, NULL, SAC_ERROR_UNSUPPORTED, "Add node 'y'", "[6][6]");

    start(&m, 13);
    make_floats(&m, "half", DIMS(4), (const float[]){1, 1, 0.5f, 0.5f});
    make_begin(&m, "Resize", "x _ half", "y");
    make_end(&m);
    refused(&m, NULL, SAC_ERROR_UNSUPPORTED, "Resize node", "whole number");

    start(&m, 13);
    make_floats(&m, "twice", DIMS(4), (const float[]){1, 1, 2, 2});
    make_begin(&m, "Resize", "x _ twice", "y");
    make_attr_text(&m, "mode", "linear");
    make_end(&m);
    refused(&m, NULL, SAC_ERROR_UNSUPPORTED, "Resize node", "linear");

    start(&m, 13);
    make_floats(&m, "twice", DIMS(4), (const float[]){1, 1, 2, 2});
    make_begin(&m, "Resize", "x _ twice", "y");
    make_attr_text(&m, "nearest_mode", "floor"); // with half pixels this shifts the picture
    make_end(&m);
    refused(&m, NULL, SAC_ERROR_UNSUPPORTED, "Resize node", "repeat pixels");

    start(&m, 13);
    make_list(&m, "pads", DIMS(0, 0, 1, 1, 0, 0, 1, 1));
    make_begin(&m, "Pad", "x pads", "y");
    make_attr_text(&m, "mode", "reflect");
    make_end(&m);
    refused(&m, NULL, SAC_ERROR_UNSUPPORTED, "Pad node", "reflect");

    start(&m, 11);
    make_pool(&m, "AveragePool", "x", "y", 3, 2, 1, true, true);
    refused(&m, NULL, SAC_ERROR_UNSUPPORTED, "AveragePool node", "ceil_mode");

    start(&m, 6);
    make_node(&m, "Relu", "x", "y");
    refused(&m, NULL, SAC_ERROR_UNSUPPORTED, "operator set 6", "7 to 25");

    start(&m, 13);
    make_conv(&m, "x", "computed", 4, 4, 1, 1, 0, 1, false);
    make_node(&m, "Conv", "x computed", "y");
    refused(&m, NULL, SAC_ERROR_UNSUPPORTED, "Conv node 'y'", "only a constant");
}

Test(nn_onnx, damaged_graphs_are_refused) {
    onnx_make m;
    start(&m, 13); // a cycle
    make_node(&m, "Add", "x z", "y");
    make_node(&m, "Relu", "y", "z");
    refused(&m, NULL, SAC_ERROR_FORMAT, "Add node 'y'", "'z'");

    start(&m, 13); // nobody makes it
    make_node(&m, "Relu", "nothing", "y");
    refused(&m, NULL, SAC_ERROR_FORMAT, "Relu node 'y'", "'nothing'");

    start(&m, 13);
    make_node(&m, "Relu", "x", "z");
    make_node(&m, "Relu", "z", "z");
    make_node(&m, "Relu", "z", "y");
    refused(&m, NULL, SAC_ERROR_FORMAT, "'z'", "");

    start(&m, 13);
    make_node(&m, "Relu", "", "y");
    refused(&m, NULL, SAC_ERROR_FORMAT, "Relu node 'y'", "no input 0");

    start(&m, 13);
    make_node(&m, "Relu", "x", "other");
    refused(&m, NULL, SAC_ERROR_FORMAT, "no node makes", "'y'");

    start(&m, 13);
    make_weights(&m, "w", DIMS(8, 3, 3, 3), 1, 0);
    make_node(&m, "Conv", "x w", "y");
    refused(&m, NULL, SAC_ERROR_SHAPE, "Conv node 'y'", "[8][3][3][3]");

    start(&m, 13);
    make_weights(&m, "w", DIMS(8, 4, 7, 7), 1, 0);
    make_node(&m, "Conv", "x w", "y");
    refused(&m, NULL, SAC_ERROR_SHAPE, "Conv node 'y'", "exceeds");

    start(&m, 13);
    make_weights(&m, "w", DIMS(4, 4, 1, 1), 1, 0);
    make_begin(&m, "Conv", "x w", "y");
    make_attr_text(&m, "group", "two");
    make_end(&m);
    refused(&m, NULL, SAC_ERROR_FORMAT, "Conv node", "'group'");

    start(&m, 13);
    make_weights(&m, "w", DIMS(4, 4, 1, 1), 1, 0);
    make_begin(&m, "Conv", "x w", "y");
    make_attr_int(&m, "group", -1);
    make_end(&m);
    refused(&m, NULL, SAC_ERROR_SHAPE, "Conv node", "-1 groups");

    start(&m, 13);
    make_weights(&m, "w", DIMS(4, 4, 1, 1), 1, 0);
    make_begin(&m, "Conv", "x w", "y");
    make_attr_ints(&m, "pads", DIMS(0, INT64_MAX, 0, INT64_MIN));
    make_end(&m);
    refused(&m, NULL, SAC_ERROR_UNSUPPORTED, "Conv node", "padding");

    const float nan_weight[] = {1, NAN, 1, 1};
    start(&m, 13);
    make_floats(&m, "w", DIMS(4, 1, 1, 1), nan_weight);
    make_begin(&m, "Conv", "x w", "y");
    make_attr_int(&m, "group", 4);
    make_end(&m);
    {
        size_t size = 0;
        uint8_t *data = make_finish(&m, &size);
        sac_net *net = NULL;
        sac_params *params = NULL;
        sac_error error = {0};
        sac_assert_error(sac_onnx_parse(&net, &params, data, size, "bad.onnx", NULL, &error),
                         SAC_ERROR_NUMERIC, &error, "y.weight", NULL);
        cr_assert(net == NULL && params == NULL);
        free(data);
    }

    start(&m, 13); // much out of little
    make_list(&m, "n", DIMS(100000000, 100));
    make_node(&m, "ConstantOfShape", "n", "big");
    make_node(&m, "Add", "x big", "y");
    refused(&m, NULL, SAC_ERROR_FORMAT, "ConstantOfShape node", "at most");

    make_start(&m, 13);
    make_input(&m, "x", DIMS(1, 4, 70000, 6));
    make_output(&m, "y");
    make_node(&m, "Relu", "x", "y");
    refused(&m, NULL, SAC_ERROR_FORMAT, "'x'", "70000");

    make_start(&m, 13);
    make_input(&m, "x", DIMS(1, 60000, 60000, 60000));
    make_output(&m, "y");
    make_node(&m, "Relu", "x", "y");
    refused(&m, NULL, SAC_ERROR_SHAPE, "too large", "60000");
}

// Tensors whose data does not fit their sizes, or is not in the file.
Test(nn_onnx, damaged_constants_are_refused) {
    const float values[4] = {1, 2, 3, 4};
    static const struct {
        int64_t dims[3];
        int ndims, type;
        size_t bytes;
        sac_status code;
        const char *part;
    } cases[] = {{{5}, 1, 1, 16, SAC_ERROR_FORMAT, "holds 16 bytes"},
                 {{3}, 1, 1, 16, SAC_ERROR_FORMAT, "need 12"},
                 {{-4}, 1, 1, 16, SAC_ERROR_FORMAT, "impossible sizes [-4]"},
                 {{INT64_MAX, INT64_MAX, 4}, 3, 1, 16, SAC_ERROR_FORMAT, "impossible sizes"},
                 {{0, INT64_MAX, INT64_MAX}, 3, 1, 0, SAC_ERROR_FORMAT, "impossible sizes"},
                 {{4}, 1, 11, 16, SAC_ERROR_FORMAT, "need 32"},
                 {{4}, 1, 8, 16, SAC_ERROR_UNSUPPORTED, "type 8"},
                 {{4}, 1, 0, 16, SAC_ERROR_UNSUPPORTED, "type 0"},
                 {{4}, 1, 99, 16, SAC_ERROR_UNSUPPORTED, "type 99"}};
    onnx_make m;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        start(&m, 13);
        make_tensor_bytes(&m, "k", cases[i].type, cases[i].ndims, cases[i].dims, values,
                          cases[i].bytes);
        make_node(&m, "Add", "x k", "y");
        refused(&m, NULL, cases[i].code, "Add node 'y'", cases[i].part);
    }
    static const struct {
        int field; // written into the tensor
        bool text;
        const char *part;
    } elsewhere[] = {
        {13, true, "another file"}, {14, false, "another file"}, {3, true, "segments"}};
    for (size_t i = 0; i < sizeof elsewhere / sizeof elsewhere[0]; i++) {
        make_bytes t = {0};
        start(&m, 13);
        make_whole(&t, 1, 4);
        make_whole(&t, 2, 1);
        make_text(&t, 8, "k");
        if (elsewhere[i].text) {
            make_text(&t, elsewhere[i].field, "");
        } else {
            make_whole(&t, elsewhere[i].field, 1);
        }
        make_message(&m.graph, 5, &t);
        make_node(&m, "Add", "x k", "y");
        refused(&m, NULL, SAC_ERROR_UNSUPPORTED, "Add node 'y'", elsewhere[i].part);
    }
    start(&m, 13);
    make_text(&m.graph, 15, "");
    make_node(&m, "Relu", "x", "y");
    refused(&m, NULL, SAC_ERROR_UNSUPPORTED, "sparse", "");
}

Test(nn_onnx, wrong_options_are_refused) {
    onnx_make m;
    static const char *const none[] = {"nowhere"};
    const sac_onnx_options wanted = {.outputs = none, .output_count = 1};
    start(&m, 13);
    make_node(&m, "Relu", "x", "y");
    refused(&m, &wanted, SAC_ERROR_ARGUMENT, "no node makes", "'nowhere'");
    const sac_onnx_options no_outputs = {.outputs = none, .output_count = 0};
    start(&m, 13);
    make_node(&m, "Relu", "x", "y");
    refused(&m, &no_outputs, SAC_ERROR_ARGUMENT, "0 outputs", "1 to 64");
    make_start(&m, 13);
    make_input(&m, "x", DIMS(0, 3, 0, 0));
    make_output(&m, "y");
    make_node(&m, "Relu", "x", "y");
    refused(&m, NULL, SAC_ERROR_ARGUMENT, "'x'", "axis 2");

    sac_net *net = NULL;
    sac_params *params = NULL;
    sac_error error = {0};
    sac_assert_error(sac_onnx_read(&net, &params, sac_test_path("missing.onnx"), NULL, &error),
                     SAC_ERROR_IO, &error, "missing.onnx", NULL);
    refused_bytes("", 0, NULL, SAC_ERROR_FORMAT, "no graph", "");
    refused_bytes("not protobuf at all", 19, NULL, SAC_ERROR_FORMAT, "not an ONNX file", "");
    // Two bytes a node: the message would take thousands of times the file's size.
    const size_t many = 1 << 19;
    uint8_t *bytes = malloc(2 * many + 16);
    cr_assert_not_null(bytes);
    make_bytes head = {0};
    make_varint(&head, 7 << 3 | 2);
    make_varint(&head, 2 * many);
    memcpy(bytes, head.data, head.size);
    for (size_t i = 0; i < many; i++) {
        bytes[head.size + 2 * i] = 1 << 3 | 2;
        bytes[head.size + 2 * i + 1] = 0;
    }
    refused_bytes(bytes, head.size + 2 * many, NULL, SAC_ERROR_FORMAT, "sensible size", "");
    free(head.data);
    free(bytes);
}

// Cut off anywhere, a file is refused or, where only something optional is missing, read.
Test(nn_onnx, truncated_files_are_refused) {
    onnx_make m;
    size_t size = 0;
    model_shapes(&m);
    uint8_t *data = make_finish(&m, &size);
    int64_t refusals = 0;
    for (size_t n = 0; n < size; n++) {
        // A copy of exactly that size, so that a sanitizer sees reads behind its end.
        uint8_t *part = malloc(n > 0 ? n : 1);
        cr_assert_not_null(part);
        memcpy(part, data, n);
        sac_net *net = NULL;
        sac_params *params = NULL;
        sac_error error = {0};
        const sac_status status = sac_onnx_parse(&net, &params, part, n, "cut.onnx", NULL, &error);
        cr_assert(status == SAC_OK || error.message[0] != '\0', "%zu bytes", n);
        refusals += status != SAC_OK;
        sac_params_close(&params);
        sac_net_close(&net);
        free(part);
    }
    cr_assert_eq(refusals, (int64_t)size, "%lld of %zu", (long long)refusals, size);
    free(data);
}

Test(nn_onnx, lack_of_memory_is_survived) {
    for (size_t k = 0; k < 8; k++) {
        onnx_make m;
        size_t size = 0;
        int refusals = 0;
        onnx_models[k].make(&m);
        uint8_t *data = make_finish(&m, &size);
        sac_status status = SAC_ERROR_MEMORY;
        for (int64_t n = 0; n < 5000 && status != SAC_OK; n++) {
            sac_net *net = NULL;
            sac_params *params = NULL;
            sac_error error = {0};
            sac_memory_fail_after(n);
            status = sac_onnx_parse(&net, &params, data, size, "made.onnx", NULL, &error);
            sac_memory_fail_after(-1);
            if (status != SAC_OK) {
                cr_assert_eq(status, SAC_ERROR_MEMORY, "%s, allocation %lld: %s",
                             onnx_models[k].name, (long long)n, error.message);
                cr_assert(net == NULL && params == NULL);
                refusals++;
            }
            sac_params_close(&params);
            sac_net_close(&net);
        }
        cr_assert_eq(status, SAC_OK);
        cr_assert_gt(refusals, 20);
        free(data);
    }
}

// --- real files --------------------------------------------------------------------------------

static const char *real_file(const char *name) {
    static char path[1024];
    const char *source = getenv("SACCADE_SOURCE");
    (void)snprintf(path, sizeof path, "%s/../shared/data/pretrained/%s",
                   source != NULL ? source : ".", name);
    if (!sac_is_file(path)) sac_skip_case("no %s beside the project", name);
    return path;
}

static void real_check(const char *path, double scale, const onnx_golden *goldens, int count) {
    sac_net *net = NULL;
    sac_params *params = NULL;
    sac_infer *infer = NULL;
    sac_error error = {0};
    sac_assert_ok(sac_onnx_read(&net, &params, path, NULL, &error), &error);
    const sac_plan_options plan = {.batch = 1};
    sac_assert_ok(sac_infer_create(&infer, net, params, &plan, &error), &error);
    const sac_node *node = sac_net_node(net, 0);
    cr_assert_eq(node->kind, SAC_OP_INPUT);
    float *x = sac_infer_input(infer, node->name);
    const int64_t n = sac_shape_count(&node->shape);
    onnx_model_fill(x, n, 0);
    for (int64_t i = 0; i < n; i++) x[i] *= (float)scale;
    sac_assert_ok(sac_infer_run(infer, &error), &error);
    for (int g = 0; g < count; g++) golden_check(infer, &goldens[g]);
    sac_infer_close(&infer);
    sac_params_close(&params);
    sac_net_close(&net);
}

Test(nn_onnx, real_squeezenet) {
    static const onnx_golden goldens[] = {
        {"squeezenet",
         "features",
         {1, 1000, 1, 1},
         4,
         {2.84919739, 0.483260781, 3.75847268, 3.52966428, 3.5105269, 1.91964912, 0.0374718867,
          4.54617453},
         2.94030833,
         3.371612},
        {"squeezenet",
         "prob",
         {1, 1000, 1, 1},
         4,
         {0.000189562154, 1.77925576e-05, 0.000470592233, 0.000374347146, 0.000367251254,
          7.48262464e-05, 1.13929109e-05, 0.00103452138},
         0.00100000003,
         0.00363162689},
    };
    real_check(real_file("squeezenet1.1/squeezenet1.1.onnx"), 100, goldens, 2);
}

Test(nn_onnx, real_yolox) {
    static const onnx_golden goldens[] = {
        {"yolox",
         "output",
         {1, 3549, 85},
         3,
         {1.223634, 0.00135055184, 0.00121560693, 0.000808209181, 0.00023034215, 0.00172764063,
          0.00887358189, 0.00215640664},
         0.056748286,
         0.284489525},
    };
    real_check(real_file("yolox-nano/yolox_nano.onnx"), 100, goldens, 1);
}
