// student-info: what is inside a student model: metadata, provenance, and one line per layer with
// shape, parameters and multiply-accumulates. --verify runs the network on both backends,
// --export-onnx writes it for other runtimes. It never changes the model.
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/check.h"
#include "core/json.h"
#include "core/memory.h"
#include "core/rng.h"
#include "core/text.h"
#include "core/time.h"
#include "core/tool.h"
#include "nn/infer.h"
#include "saccade/version.h"
#include "student/model.h"
#include "student/onnx_file.h"

typedef struct settings {
    sac_tool_settings tool;
    bool verify, kernels;
    const char *onnx;
    int onnx_input;
    int64_t onnx_batch;
} settings;

static const sac_option options[] = {
    {.name = "", .help = "What to show"},
    {.name = "verify",
     .type = SAC_OPTION_BOOL,
     .offset = offsetof(settings, verify),
     .help = "also check every weight, run random frames through oneDNN and the plain reference, "
             "and compare"},
    {.name = "kernels",
     .type = SAC_OPTION_BOOL,
     .offset = offsetof(settings, kernels),
     .help = "also list the oneDNN implementation of every step on this machine"},
    {.name = "", .help = "Export"},
    {.name = "export-onnx",
     .type = SAC_OPTION_TEXT,
     .offset = offsetof(settings, onnx),
     .argument = "FILE",
     .help = "write the network as an ONNX file, batch normalisation folded; the file says what "
             "its input and outputs are"},
    {.name = "onnx-input",
     .type = SAC_OPTION_CHOICE,
     .offset = offsetof(settings, onnx_input),
     .choices = "f32|u8",
     .help = "f32: the input is normalised already; u8: gray pixels, normalised by the graph"},
    {.name = "onnx-batch",
     .type = SAC_OPTION_INT,
     .offset = offsetof(settings, onnx_batch),
     .number = 1,
     .min = 0,
     .max = 65536,
     .argument = "N",
     .help = "frames scored at once; 0: left open in the file"},
    SAC_TOOL_OPTIONS(settings),
    {.name = NULL},
};

static const sac_command command = {
    .name = "student-info",
    .usage = "MODEL [--verify] [--kernels] [--json] [--export-onnx FILE]",
    .description = "Prints the metadata of a student model and its layers: operator, output shape, "
                   "parameters,\n"
                   "multiply-accumulates (MACs) per frame.\n\n"
                   "  student-info models/ped2.safetensors --verify\n"
                   "  student-info models/ped2.safetensors --export-onnx ped2.onnx",
    .options = options,
    .min_positional = 1,
    .max_positional = 1,
};

typedef struct layer {
    const sac_node *node;
    char shape[64];
    int64_t parameters, macs;
} layer;

typedef struct summary {
    layer *layers;
    int count;
    int64_t parameters, statistics, macs; // statistics: running means and variances
} summary;

// "[16][80][120]" of a shape, without the batch.
static void shape_text(char *text, size_t size, const sac_shape *shape) {
    size_t used = 0;
    text[0] = '\0';
    for (int i = 1; i < shape->ndims; i++) {
        int written = snprintf(text + used, size - used, "[%" PRId64 "]", shape->dims[i]);
        if (written > 0) used += (size_t)written;
    }
}

// Whether parameter "stem.conv.weight" belongs to node "stem.conv".
static bool belongs(const sac_param *param, const sac_node *node) {
    const char *dot = strrchr(param->name, '.');
    size_t length = strlen(node->name);
    return dot != NULL && (size_t)(dot - param->name) == length &&
           memcmp(param->name, node->name, length) == 0;
}

static sac_status summarise(summary *sum, const sac_model *model, sac_error *error) {
    sac_status status = SAC_OK;
    sum->count = sac_net_count(model->net);
    sac_shape *shapes = sac_calloc(sum->count, sizeof *shapes);
    sum->layers = sac_calloc(sum->count, sizeof *sum->layers);
    SAC_TRY_ALLOC(shapes);
    SAC_TRY_ALLOC(sum->layers);
    SAC_TRY(sac_net_shapes(model->net, 1, shapes, error));
    for (int i = 0; i < sum->count; i++) {
        layer *l = &sum->layers[i];
        l->node = sac_net_node(model->net, i);
        l->macs = sac_net_macs(model->net, i);
        shape_text(l->shape, sizeof l->shape, &shapes[i]);
        for (int64_t p = 0; p < sac_params_count(model->params); p++) {
            const sac_param *param = sac_params_at(model->params, p);
            if (param->trainable && belongs(param, l->node)) l->parameters += param->count;
        }
        sum->macs += l->macs;
    }
    sum->parameters = sac_params_elements(model->params, true);
    sum->statistics = sac_params_elements(model->params, false) - sum->parameters;
fail:
    sac_free(shapes);
    return status;
}

// ---- verification -------------------------------------------------------------------------------

static const struct {
    const char *name;
    int64_t values;
} outputs[3] = {{"map16", 256}, {"map4", 16}, {"map1", 1}};

typedef struct verification {
    double worst[3]; // largest |oneDNN - reference| per output
    double reference_s, onednn_s;
    bool finite, passed;
} verification;

// Accumulation order differs between the backends; outputs are probabilities, so an absolute limit
// is right.
static const double verify_limit = 1e-4;

static sac_status verify(verification *v, const sac_model *model, const settings *s,
                         sac_error *error) {
    sac_status status = SAC_OK;
    sac_infer *plans[2] = {NULL, NULL};
    const int64_t values = (int64_t)model->preprocess.width * model->preprocess.height * 3;
    const int frames = 3;
    sac_rng rng;
    sac_rng_seed(&rng, (uint64_t)s->tool.seed, 0);
    SAC_TRY(sac_params_check_finite(model->params, error));
    sac_nn_set_threads((int)s->tool.threads);
    for (int i = 0; i < 2; i++) {
        const sac_plan_options plan = {.batch = 1,
                                       .backend = i == 0 ? SAC_BACKEND_ONEDNN : SAC_BACKEND_REF,
                                       .channels_last = true};
        SAC_TRY(sac_infer_create(&plans[i], model->net, model->params, &plan, error));
    }
    v->finite = true;
    for (int frame = 0; frame < frames; frame++) {
        float *first = sac_infer_input(plans[0], "frames"),
              *second = sac_infer_input(plans[1], "frames");
        for (int64_t i = 0; i < values; i++) {
            double pixel = (double)sac_rng_below(&rng, 256);
            first[i] = second[i] =
                (float)((pixel - model->preprocess.mean) / model->preprocess.scale);
        }
        double start = sac_time_s();
        SAC_TRY(sac_infer_run(plans[0], error));
        double middle = sac_time_s();
        SAC_TRY(sac_infer_run(plans[1], error));
        v->onednn_s = middle - start; // of the last frame, when caches are warm
        v->reference_s = sac_time_s() - middle;
        for (int o = 0; o < 3; o++) {
            const float *a = sac_infer_output(plans[0], outputs[o].name);
            const float *b = sac_infer_output(plans[1], outputs[o].name);
            for (int64_t i = 0; i < outputs[o].values; i++) {
                v->finite = v->finite && isfinite(a[i]) && isfinite(b[i]);
                v->worst[o] = fmax(v->worst[o], fabs((double)a[i] - (double)b[i]));
            }
        }
    }
    v->passed = v->finite;
    for (int o = 0; o < 3; o++) v->passed = v->passed && v->worst[o] <= verify_limit;
fail:
    sac_infer_close(&plans[0]);
    sac_infer_close(&plans[1]);
    return status;
}

static sac_status describe_kernels(char **text, const sac_model *model, const settings *s,
                                   sac_error *error) {
    sac_status status = SAC_OK;
    sac_infer *plan = NULL;
    const sac_plan_options plan_options = {
        .batch = 1, .backend = SAC_BACKEND_ONEDNN, .channels_last = true};
    sac_nn_set_threads((int)s->tool.threads);
    SAC_TRY(sac_infer_create(&plan, model->net, model->params, &plan_options, error));
    *text = sac_infer_describe(plan);
    SAC_TRY_ALLOC(*text);
fail:
    sac_infer_close(&plan);
    return status;
}

// ---- printing -----------------------------------------------------------------------------------

static void print_value(const char *prefix, const json_t *object, int depth) {
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach((json_t *)object, key, value) {
        char *name = sac_format("%s%s%s", prefix, prefix[0] != '\0' ? "." : "", key);
        if (name == NULL) return;
        if (json_is_object(value) && json_object_size(value) > 0 && depth < 8) {
            print_value(name, value, depth + 1);
        } else {
            char *text = json_is_string(value)
                             ? NULL
                             : json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(8));
            char *label = sac_text_utf8(name);
            char *clean = sac_text_utf8(text != NULL            ? text
                                        : json_is_string(value) ? json_string_value(value)
                                                                : "?");
            if (label != NULL && clean != NULL) printf("  %-24s %s\n", label, clean);
            sac_free(clean);
            sac_free(label);
            free(text); // Jansson allocates with malloc
        }
        sac_free(name);
    }
}

static void print_text(const sac_model *model, const char *path, const summary *sum) {
    const sac_preprocess *p = &model->preprocess;
    char *clean = sac_text_utf8(path);
    printf("%s\n", clean != NULL ? clean : path);
    sac_free(clean);
    printf("  architecture             %s\n", model->arch);
    printf("  input                    %dx%d gray, frames t%+d t%+d t%+d, (x - %g) / %g\n",
           p->width, p->height, p->offsets[0], p->offsets[1], p->offsets[2], p->mean, p->scale);
    printf("  parameters               %" PRId64 " (and %" PRId64 " running statistics)\n",
           sum->parameters, sum->statistics);
    printf("  work per frame           %.2f MMAC\n", (double)sum->macs / 1e6);
    if (json_object_size(model->provenance) > 0) {
        printf("provenance\n");
        print_value("", model->provenance, 0);
    }
    int width = 5;
    for (int i = 0; i < sum->count; i++) {
        int length = (int)strlen(sum->layers[i].node->name);
        if (length > width) width = length;
    }
    if (width > 48) width = 48;
    printf("%-*s  %-18s %-18s %12s %14s\n", width, "layer", "operator", "output", "parameters",
           "MACs");
    for (int i = 0; i < sum->count; i++) {
        const layer *l = &sum->layers[i];
        bool shared = strcmp(l->node->share, l->node->name) != 0;
        const char *kind =
            l->node->kind == SAC_OP_INPUT ? "input" : sac_op_kind_name(l->node->kind);
        printf("%-*s  %-18s %-18s %12" PRId64 " %14" PRId64 "%s%s%s\n", width, l->node->name, kind,
               l->shape, l->parameters, l->macs, sac_net_is_output(model->net, i) ? "  output" : "",
               shared ? "  parameters of " : "", shared ? l->node->share : "");
    }
    printf("%-*s  %-18s %-18s %12" PRId64 " %14" PRId64 "\n", width, "total", "", "",
           sum->parameters, sum->macs);
}

static json_t *layers_json(const sac_model *model, const summary *sum) {
    json_t *list = json_array();
    for (int i = 0; list != NULL && i < sum->count; i++) {
        const layer *l = &sum->layers[i];
        const char *kind =
            l->node->kind == SAC_OP_INPUT ? "input" : sac_op_kind_name(l->node->kind);
        json_t *item =
            json_pack("{s:s, s:s, s:s, s:I, s:I, s:b}", "name", l->node->name, "operator", kind,
                      "output_shape", l->shape, "parameters", (json_int_t)l->parameters, "macs",
                      (json_int_t)l->macs, "is_output", sac_net_is_output(model->net, i));
        if (item == NULL || json_array_append_new(list, item) != 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

static sac_status print_json(const sac_model *model, const char *path, const summary *sum,
                             const verification *v, const char *kernels, sac_error *error) {
    char *clean = sac_text_utf8(path), *text = NULL;
    json_t *json = NULL;
    if (clean != NULL) {
        json = json_pack("{s:s, s:s, s:i, s:o, s:O, s:I, s:I, s:I, s:o}", "file", clean, "arch",
                         model->arch, "format_version", SAC_MODEL_FORMAT, "preprocess",
                         sac_preprocess_to_json(&model->preprocess), "provenance",
                         model->provenance, "parameters", (json_int_t)sum->parameters,
                         "running_statistics", (json_int_t)sum->statistics, "macs",
                         (json_int_t)sum->macs, "layers", layers_json(model, sum));
    }
    bool ok = json != NULL;
    if (ok && v != NULL) {
        ok = json_object_set_new(
                 json, "verify",
                 json_pack("{s:b, s:b, s:o, s:o, s:o, s:o, s:s}", "passed", v->passed, "finite",
                           v->finite, "max_error_map16", sac_json_number(v->worst[0]),
                           "max_error_map4", sac_json_number(v->worst[1]), "max_error_map1",
                           sac_json_number(v->worst[2]), "limit", sac_json_number(verify_limit),
                           "backend", sac_nn_backend_version())) == 0;
    }
    if (ok && kernels != NULL) ok = json_object_set_new(json, "kernels", json_string(kernels)) == 0;
    if (ok) text = json_dumps(json, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
    if (text != NULL) puts(text);
    sac_status status = SAC_OK;
    if (text == NULL)
        status = sac_error_set(error, SAC_ERROR_MEMORY, -1, "%s: no memory for its JSON", path);
    free(text); // Jansson allocates with malloc
    json_decref(json);
    sac_free(clean);
    return status;
}

int main(int argc, char **argv) {
    settings s;
    sac_options_result parsed;
    int code = sac_tool_start(&command, &s, argc, argv, &parsed);
    if (code >= 0) return code;
    code = SAC_EXIT_OK;
    sac_error error = {0};
    sac_status status = SAC_OK;
    sac_model *model = NULL;
    summary sum = {0};
    verification v = {0};
    char *kernels = NULL;
    const char *path = parsed.positional[0];
    SAC_TRY(sac_model_load(&model, path, &error));
    SAC_TRY(summarise(&sum, model, &error));
    if (s.onnx != NULL) {
        const sac_model_onnx_options onnx = {.input_u8 = s.onnx_input == 1, .batch = s.onnx_batch};
        SAC_TRY(sac_model_write_onnx(model, s.onnx, &onnx, &error));
    }
    if (s.verify) SAC_TRY(verify(&v, model, &s, &error));
    if (s.kernels) SAC_TRY(describe_kernels(&kernels, model, &s, &error));
    if (s.tool.json) {
        SAC_TRY(print_json(model, path, &sum, s.verify ? &v : NULL, kernels, &error));
    } else {
        print_text(model, path, &sum);
        if (kernels != NULL) printf("steps on %s\n%s", sac_nn_backend_version(), kernels);
        if (s.verify) {
            printf("verify                     %s: every weight is finite; %s against the "
                   "reference: largest error map16 "
                   "%.2e, map4 %.2e, map1 %.2e (limit %.0e); %.2f ms against %.0f ms a frame\n",
                   v.passed ? "passed" : "FAILED", sac_nn_backend_version(), v.worst[0], v.worst[1],
                   v.worst[2], verify_limit, v.onednn_s * 1e3, v.reference_s * 1e3);
        }
    }
    if (s.verify && !v.passed) {
        status = sac_error_set(&error, SAC_ERROR_NUMERIC, -1,
                               "%s: the backends disagree: largest error %.3g%s", path,
                               fmax(v.worst[0], fmax(v.worst[1], v.worst[2])),
                               v.finite ? "" : ", and an output is not finite");
        goto fail;
    }
    SAC_TRY(sac_tool_flush(&error));
fail:
    if (status < 0) code = sac_tool_fail(command.name, status, &error);
    sac_free(kernels);
    sac_free(sum.layers);
    sac_model_close(&model);
    sac_options_close(&parsed);
    return code;
}
