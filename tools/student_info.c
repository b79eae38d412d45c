// student-info: what is inside a student model: metadata, provenance, and one line per layer with
// shape, parameters and multiply-accumulates. --verify runs the network on both backends,
// --export-onnx writes it for other runtimes. It never changes the model.
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/check.h"
#include "core/file.h"
#include "core/json.h"
#include "core/memory.h"
#include "core/rng.h"
#include "core/text.h"
#include "core/time.h"
#include "core/tool.h"
#include "nn/infer.h"
#include "saccade/version.h"
#include "student/calibration.h"
#include "student/engine.h"
#include "student/model.h"
#include "student/onnx_file.h"
#include "student/split.h"

typedef struct settings {
    sac_tool_settings tool;
    bool verify, kernels;
    const char *onnx;
    int onnx_precision, onnx_input;
    int64_t onnx_batch;
} settings;

static const sac_option options[] = {
    {.name = "", .help = "What to show"},
    {.name = "verify",
     .type = SAC_OPTION_BOOL,
     .offset = offsetof(settings, verify),
     .help =
         "also check every weight, run random frames through oneDNN and the plain reference, in "
         "f32 and, with scales, in int8, and compare"},
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
    {.name = "onnx-precision",
     .type = SAC_OPTION_CHOICE,
     .offset = offsetof(settings, onnx_precision),
     .choices = "f32|int8",
     .help = "int8: with the scales that the model holds, as QuantizeLinear and DequantizeLinear"},
    {.name = "onnx-input",
     .type = SAC_OPTION_CHOICE,
     .offset = offsetof(settings, onnx_input),
     .choices = "f32|u8",
     .help = "f32: the input is normalised already; u8: pixels, normalised by the graph"},
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
                   "multiply-accumulates (MACs) of the whole network. A stream computes the stem "
                   "of each frame\n"
                   "once and needs fewer a frame.\n\n"
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
    int64_t parameters, statistics; // statistics: running means and variances
    int64_t macs, macs_per_frame;   // of the whole network; of a stream, a stem per frame once
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
    SAC_TRY(sac_split_macs(&sum->macs_per_frame, model->net, model->params, error));
fail:
    sac_free(shapes);
    return status;
}

// ---- verification -------------------------------------------------------------------------------

// One precision: f32, int8 with the model's scales, or bf16 where the CPU has it.
typedef struct verification {
    bool ran, split;
    unsigned heads;
    double worst[3]; // largest |oneDNN - reference| per output
    double limit;
    double reference_s, onednn_s; // of one frame
    bool finite, passed;
} verification;

typedef struct verifications {
    verification of[3];
    double off[3]; // largest |value - that in f32| of all maps, for information
    bool passed;
} verifications;

// Outputs are probabilities, so absolute limits are right. f32: the order of sums differs. int8: an
// activation right between two steps may be rounded to either (nn/quant.h), and what follows sees
// the difference of one step. bf16: an operator may be computed in f32 where that is faster.
static const struct {
    sac_precision precision;
    double limit;
} verify_how[3] = {
    {SAC_PRECISION_F32, 1e-4}, {SAC_PRECISION_INT8, 0.02}, {SAC_PRECISION_BF16, 0.02}};

// Features of three frames and the maps of the body: what a stream does for one frame.
static sac_status run_engine(sac_engine *engine, sac_maps *maps, uint8_t *const features[3],
                             uint8_t *const frames[3], sac_error *error) {
    sac_status status = SAC_OK;
    const void *seen[3] = {features[0], features[1], features[2]};
    for (int i = 0; i < 3; i++) SAC_TRY(sac_engine_stem(engine, features[i], frames[i], error));
    SAC_TRY(sac_engine_body(engine, maps, seen, error));
fail:
    return status;
}

static void compare_maps(double worst[3], bool *finite, const sac_maps *a, const sac_maps *b) {
    const float *x[SAC_HEADS], *y[SAC_HEADS];
    sac_maps_list(x, a);
    sac_maps_list(y, b);
    for (int m = 0; m < SAC_HEADS; m++) {
        for (int i = 0; x[m] != NULL && i < sac_heads[m].cells; i++) {
            *finite = *finite && isfinite(x[m][i]) && isfinite(y[m][i]);
            worst[m] = fmax(worst[m], fabs((double)x[m][i] - (double)y[m][i]));
        }
    }
}

enum { VERIFY_FRAMES = 3 };

static sac_status verify_one(verification *v, sac_maps kept[VERIFY_FRAMES], const sac_model *model,
                             int how, const settings *s, sac_error *error) {
    sac_status status = SAC_OK;
    sac_engine *engines[2] = {NULL, NULL};
    uint8_t *planes[3] = {NULL, NULL, NULL}, *features[3] = {NULL, NULL, NULL};
    const int64_t size = sac_preprocess_bytes(&model->preprocess);
    sac_rng rng;
    sac_rng_seed(&rng, (uint64_t)s->tool.seed, 0);
    for (int i = 0; i < 2; i++) {
        const sac_engine_options engine = {.threads = (int)s->tool.threads,
                                           .reference = i == 1,
                                           .precision = verify_how[how].precision};
        SAC_TRY(sac_engine_create(&engines[i], model, &engine, error));
    }
    for (int i = 0; i < 3; i++) {
        planes[i] = sac_calloc(size, 1);
        features[i] = sac_calloc(sac_engine_feature_bytes(engines[0]), 1);
        SAC_TRY_ALLOC(planes[i]);
        SAC_TRY_ALLOC(features[i]);
    }
    *v = (verification){.ran = true,
                        .split = sac_engine_split(engines[0]),
                        .finite = true,
                        .heads = sac_heads_of(model->net),
                        .limit = verify_how[how].limit};
    for (int frame = 0; frame < VERIFY_FRAMES; frame++) {
        sac_maps reference;
        for (int i = 0; i < 3; i++) {
            for (int64_t k = 0; k < size; k++) planes[i][k] = (uint8_t)sac_rng_below(&rng, 256);
        }
        double start = sac_time_s();
        SAC_TRY(run_engine(engines[0], &kept[frame], features, planes, error));
        double middle = sac_time_s();
        SAC_TRY(run_engine(engines[1], &reference, features, planes, error));
        v->onednn_s = middle - start; // of the last frame, when caches are warm
        v->reference_s = sac_time_s() - middle;
        compare_maps(v->worst, &v->finite, &kept[frame], &reference);
    }
    v->passed = v->finite;
    for (int o = 0; o < 3; o++) v->passed = v->passed && v->worst[o] <= v->limit;
fail:
    for (int i = 0; i < 3; i++) {
        sac_free(planes[i]);
        sac_free(features[i]);
    }
    sac_engine_close(&engines[0]);
    sac_engine_close(&engines[1]);
    return status;
}

static sac_status verify(verifications *all, const sac_model *model, const settings *s,
                         sac_error *error) {
    sac_status status = SAC_OK;
    static sac_maps maps[3][VERIFY_FRAMES];
    const bool possible[3] = {true, model->quant != NULL, sac_nn_has_bf16()};
    SAC_TRY(sac_params_check_finite(model->params, error));
    all->passed = true;
    for (int how = 0; how < 3; how++) {
        if (!possible[how]) continue;
        SAC_TRY(verify_one(&all->of[how], maps[how], model, how, s, error));
        all->passed = all->passed && all->of[how].passed;
        for (int frame = 0; frame < VERIFY_FRAMES; frame++) {
            double worst[3] = {0, 0, 0};
            bool finite = true;
            compare_maps(worst, &finite, &maps[0][frame], &maps[how][frame]);
            for (int o = 0; o < 3; o++) all->off[how] = fmax(all->off[how], worst[o]);
        }
    }
fail:
    return status;
}

// The error of a map, null of one that there is not.
static json_t *error_json(const verification *v, int head) {
    return (v->heads >> head & 1) != 0 ? sac_json_number(v->worst[head]) : json_null();
}

static json_t *verification_json(const verification *v) {
    return json_pack("{s:b, s:b, s:o, s:o, s:o, s:o, s:b}", "passed", v->passed, "finite",
                     v->finite, "max_error_map16", error_json(v, 0), "max_error_map4",
                     error_json(v, 1), "max_error_map1", error_json(v, 2), "limit",
                     sac_json_number(v->limit), "stem_apart", v->split);
}

static void print_verification(const char *precision, const verification *v) {
    printf("verify %-4s                %s: %s%s against the reference: largest error", precision,
           v->passed ? "passed" : "FAILED", sac_nn_backend_version(),
           v->split ? ", stem apart," : "");
    for (int k = 0, printed = 0; k < SAC_HEADS; k++) {
        if ((v->heads >> k & 1) != 0)
            printf("%s %s %.2e", printed++ > 0 ? "," : "", sac_heads[k].output, v->worst[k]);
    }
    printf(" (limit %.0e); %.2f ms against %.0f ms\n", v->limit, v->onednn_s * 1e3,
           v->reference_s * 1e3);
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

// What a runtime on this machine chooses by itself.
static const char *automatic_precision(const sac_model *model) {
    return model->quant != NULL && sac_quant_cpu_is_fast() ? "int8" : "f32";
}

static void print_calibration(const sac_calibration *calibration) {
    sac_calibration_info info;
    sac_far budget;
    sac_operating_point point;
    sac_calibration_get_info(calibration, &info);
    printf("calibration\n");
    printf("  normal video             %.3g hours, %" PRId64 " frames of %" PRId64
           " sources at %.3g frames/s\n",
           info.hours, info.frames, info.sources, info.frame_rate);
    printf("  certifies                no fewer than %.3g false alarms per day at %g %%\n",
           24.0 * info.lowest_per_hour, 100.0 * info.confidence);
    if (info.budget[0] != '\0' && sac_far_parse(&budget, info.budget, "", NULL) >= 0 &&
        sac_calibration_threshold(&point, calibration, &budget, "", NULL) >= 0)
        printf("  default threshold        %.6f for %s (at most %.3g per day)\n",
               (double)point.threshold, info.budget, 24.0 * point.bound_per_hour);
}

static void print_text(const sac_model *model, const char *path, const summary *sum,
                       const sac_calibration *calibration) {
    const sac_preprocess *p = &model->preprocess;
    char *clean = sac_text_utf8(path);
    printf("%s\n", clean != NULL ? clean : path);
    sac_free(clean);
    printf("  architecture             %s\n", model->arch);
    printf("  input                    %dx%d %s, frames t%+d t%+d t%+d, (x - %g) / %g\n", p->width,
           p->height, p->channels == 3 ? "in colour" : "gray", p->offsets[0], p->offsets[1],
           p->offsets[2], p->mean, p->scale);
    printf("  parameters               %" PRId64 " (and %" PRId64 " running statistics)\n",
           sum->parameters, sum->statistics);
    printf("  work per frame           %.2f MMAC streaming, %.2f MMAC the whole network\n",
           (double)sum->macs_per_frame / 1e6, (double)sum->macs / 1e6);
    if (model->quant != NULL)
        printf("  int8                     scales of %d activations\n",
               sac_quant_count(model->quant));
    printf("  here                     runs in %s, instruction set %s, int8 kernels %s\n",
           automatic_precision(model), sac_nn_isa(), sac_nn_int8_kernels());
    if (json_object_size(model->provenance) > 0) {
        printf("provenance\n");
        print_value("", model->provenance, 0);
    }
    if (calibration != NULL) print_calibration(calibration);
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
                             const verifications *v, const char *kernels, sac_error *error) {
    char *clean = sac_text_utf8(path), *text = NULL;
    json_t *json = NULL;
    if (clean != NULL) {
        json =
            json_pack("{s:s, s:s, s:i, s:o, s:O, s:I, s:I, s:I, s:I, s:o}", "file", clean, "arch",
                      model->arch, "format_version", sac_model_format(model), "preprocess",
                      sac_preprocess_to_json(&model->preprocess), "provenance", model->provenance,
                      "parameters", (json_int_t)sum->parameters, "running_statistics",
                      (json_int_t)sum->statistics, "macs", (json_int_t)sum->macs, "macs_per_frame",
                      (json_int_t)sum->macs_per_frame, "layers", layers_json(model, sum));
    }
    bool ok = json != NULL;
    if (ok && v != NULL) {
        static const char *const keys[3][2] = {{"verify", NULL},
                                               {"verify_int8", "max_int8_from_f32"},
                                               {"verify_bf16", "max_bf16_from_f32"}};
        for (int how = 0; ok && how < 3; how++) {
            if (!v->of[how].ran) continue;
            json_t *item = verification_json(&v->of[how]);
            ok = json_object_set_new(json, keys[how][0], item) == 0 &&
                 (keys[how][1] != NULL
                      ? json_object_set_new(json, keys[how][1], sac_json_number(v->off[how]))
                      : json_object_set_new(item, "backend",
                                            json_string(sac_nn_backend_version()))) == 0;
        }
    }
    if (ok) {
        ok = json_object_set_new(
                 json, "quantised_activations",
                 json_integer(model->quant != NULL ? sac_quant_count(model->quant) : 0)) == 0 &&
             json_object_set_new(json, "automatic_precision",
                                 json_string(automatic_precision(model))) == 0 &&
             json_object_set_new(json, "isa", json_string(sac_nn_isa())) == 0 &&
             json_object_set_new(json, "int8_kernels", json_string(sac_nn_int8_kernels())) == 0;
        if (ok && model->calibration != NULL)
            ok = json_object_set(json, "calibration", model->calibration) == 0;
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
    verifications v = {0};
    char *kernels = NULL, *place = NULL;
    sac_calibration *calibration = NULL;
    const char *path = parsed.positional[0];
    if (s.onnx == NULL && (s.onnx_precision != 0 || s.onnx_input != 0 || s.onnx_batch != 1)) {
        status = sac_error_set(&error, SAC_ERROR_ARGUMENT, -1,
                               "--onnx-precision, --onnx-input and --onnx-batch need --export-onnx "
                               "FILE");
        goto fail;
    }
    SAC_TRY(sac_file_check_kept(path, s.onnx, "export-onnx", &error));
    SAC_TRY(sac_model_load(&model, path, &error));
    SAC_TRY(summarise(&sum, model, &error));
    if (model->calibration != NULL) {
        SAC_TRY_ALLOC(place = sac_format("%s: metadata \"calibration\"", path));
        SAC_TRY(sac_calibration_from_json(&calibration, model->calibration, place, &error));
    }
    if (s.onnx != NULL) {
        const bool int8 = s.onnx_precision == 1;
        const sac_model_onnx_options onnx = {.input_u8 = s.onnx_input == 1,
                                             .batch = s.onnx_batch,
                                             .quant = int8 ? model->quant : NULL};
        if (int8 && model->quant == NULL) {
            status = sac_error_set(&error, SAC_ERROR_UNSUPPORTED, -1,
                                   "%s: --onnx-precision int8: the model holds no scales for 8 "
                                   "bits",
                                   path);
            goto fail;
        }
        SAC_TRY(sac_model_write_onnx(model, s.onnx, &onnx, &error));
    }
    if (s.verify) SAC_TRY(verify(&v, model, &s, &error));
    if (s.kernels) SAC_TRY(describe_kernels(&kernels, model, &s, &error));
    if (s.tool.json) {
        SAC_TRY(print_json(model, path, &sum, s.verify ? &v : NULL, kernels, &error));
    } else {
        print_text(model, path, &sum, calibration);
        if (kernels != NULL) printf("steps on %s\n%s", sac_nn_backend_version(), kernels);
        if (s.verify) {
            for (int how = 0; how < 3; how++) {
                const char *name = sac_precision_name(verify_how[how].precision);
                if (!v.of[how].ran) continue;
                print_verification(name, &v.of[how]);
                if (how > 0)
                    printf(
                        "                           %s differs from f32 by at most %.2e on these "
                        "random frames\n",
                        name, v.off[how]);
            }
        }
    }
    if (s.verify && !v.passed) {
        int how = 0;
        while (how < 2 && (!v.of[how].ran || v.of[how].passed)) how++;
        const verification *bad = &v.of[how];
        status = sac_error_set(&error, SAC_ERROR_NUMERIC, -1,
                               "%s: the backends disagree in %s: largest error %.3g%s", path,
                               sac_precision_name(verify_how[how].precision),
                               fmax(bad->worst[0], fmax(bad->worst[1], bad->worst[2])),
                               bad->finite ? "" : ", and an output is not finite");
        goto fail;
    }
    SAC_TRY(sac_tool_flush(&error));
fail:
    if (status < 0) code = sac_tool_fail(command.name, status, &error);
    sac_free(kernels);
    sac_free(sum.layers);
    sac_calibration_close(&calibration);
    sac_free(place);
    sac_model_close(&model);
    sac_options_close(&parsed);
    return code;
}
