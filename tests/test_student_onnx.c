// Students as ONNX files: written, read back by our importer, and the same maps, in f32 and int8,
// with f32 and pixel input; the texts that tell a stranger how to feed it.
#include <math.h>
#include <string.h>

#include <criterion/criterion.h>

#include "core/file.h"
#include "core/memory.h"
#include "helper.h"
#include "nn/infer.h"
#include "nn/onnx.h"
#include "student/arch.h"
#include "student/onnx_file.h"

static sac_model *model_of(const char *arch, int channels) {
    sac_model *model = NULL;
    sac_error error = {0};
    sac_rng rng;
    sac_preprocess p;
    sac_assert_ok(sac_arch_preprocess(&p, arch, &error), &error);
    p.width = 96;
    p.height = 64;
    p.channels = channels;
    sac_assert_ok(sac_model_create(&model, arch, &p, &error), &error);
    sac_rng_seed(&rng, 4, 0);
    sac_arch_init(model, &rng);
    return model;
}

// Maps of the file's network and of the model itself on the reference.
static void compare(const sac_model *model, const sac_model_onnx_options *options, double rtol) {
    sac_error error = {0};
    const char *path = sac_test_path("student.onnx");
    sac_net *net = NULL;
    sac_params *params = NULL;
    sac_infer *plans[2] = {NULL, NULL};
    sac_plan_options plan = {.batch = 1, .backend = SAC_BACKEND_REF, .quant = options->quant};
    const sac_preprocess *p = &model->preprocess;
    const int64_t count = 3 * sac_preprocess_bytes(p);
    sac_assert_ok(sac_model_write_onnx(model, path, options, &error), &error);
    sac_assert_ok(sac_onnx_read(&net, &params, path, NULL, &error), &error);
    sac_assert_ok(sac_infer_create(&plans[0], model->net, model->params, &plan, &error), &error);
    plan.quant = NULL; // the imported network rounds by itself
    sac_assert_ok(sac_infer_create(&plans[1], net, params, &plan, &error), &error);
    float *mine = sac_infer_input(plans[0], "frames"),
          *theirs = sac_infer_input(plans[1], "frames");
    uint8_t *pixels = sac_infer_input_u8(plans[0], "frames");
    for (int64_t i = 0; i < count; i++) {
        const int pixel = (int)(i * 37 % 251 + i / 977 % 5);
        const float value = (float)((pixel - p->mean) / p->scale);
        if (pixels != NULL) {
            pixels[i] = (uint8_t)pixel;
        } else {
            mine[i] = value;
        }
        theirs[i] = options->input_u8 ? (float)pixel : value;
    }
    for (int k = 0; k < 2; k++) sac_assert_ok(sac_infer_run(plans[k], &error), &error);
    static const char *const maps[] = {"map16", "map4", "map1"};
    for (int m = 0; m < 3; m++) {
        const sac_shape shape = sac_infer_output_shape(plans[0], maps[m]);
        sac_assert_close(sac_infer_output(plans[1], maps[m]), sac_infer_output(plans[0], maps[m]),
                         shape.ndims, shape.dims, rtol, maps[m]);
    }
    for (int k = 0; k < 2; k++) sac_infer_close(&plans[k]);
    sac_params_close(&params);
    sac_net_close(&net);
}

Test(student_onnx, maps_are_those_of_the_model) {
    static const char *const archs[] = {"tiny-s", "tiny-m", "paper"};
    for (int a = 0; a < 6; a++) {
        sac_model *model = model_of(archs[a / 2], a % 2 == 0 ? 1 : 3);
        for (int u8 = 0; u8 < 2; u8++) {
            const sac_model_onnx_options options = {.batch = u8, .input_u8 = u8 == 1};
            compare(model, &options, 1e-5);
        }
        sac_model_close(&model);
    }
}

Test(student_onnx, int8_rounds_as_our_plan_does) {
    sac_model *model = model_of("tiny-s", 3);
    sac_error error = {0};
    sac_quant *quant = NULL;
    sac_assert_ok(sac_quant_create(&quant), &error);
    sac_assert_ok(sac_quant_set(quant, "frames", 1.0 / 255, &error), &error);
    static const char *const shared[] = {"stem0.frame", "stem1.frame", "stem2.frame"};
    for (int i = 0; i < 3; i++)
        sac_assert_ok(sac_quant_set(quant, shared[i], 1.0 / 255, &error), &error);
    static const char *const names[] = {"stem0.relu",  "stem1.relu",  "stem2.relu",
                                        "fuse.frames", "fuse.relu",   "down.relu",
                                        "body1a.relu", "body1b.relu", "head16.relu"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        sac_assert_ok(sac_quant_set(quant, names[i], 0.02, &error), &error);
    for (int u8 = 0; u8 < 2; u8++) {
        const sac_model_onnx_options options = {.batch = 1, .input_u8 = u8 == 1, .quant = quant};
        compare(model, &options, 5e-3);
    }
    sac_quant_close(&quant);
    sac_model_close(&model);
}

static bool holds(const uint8_t *data, size_t size, const char *text) {
    return memmem(data, size, text, strlen(text)) != NULL;
}

Test(student_onnx, the_file_says_what_it_is) {
    sac_model *model = model_of("tiny-s", 1), *colour = model_of("tiny-s", 3);
    sac_error error = {0};
    uint8_t *data = NULL;
    size_t size = 0;
    cr_assert_eq(json_object_set_new(model->provenance, "seed", json_string("four")), 0);
    const sac_model_onnx_options options = {.input_u8 = true};
    sac_assert_ok(sac_model_to_onnx(&data, &size, model, &options, &error), &error);
    static const char *const texts[] = {
        "saccade.arch",      "tiny-s",        "saccade.preprocess", "\"luma\":\"bt601\"",
        "\"seed\":\"four\"", "saccade.input", "saccade.precision",  "BT.601 luma",
        "96 x 64 pixels"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        cr_assert(holds(data, size, texts[i]), "'%s' is not in the file", texts[i]);
    sac_free(data);
    sac_assert_ok(sac_model_to_onnx(&data, &size, colour, &options, &error), &error);
    cr_assert(holds(data, size, "[N][9][64][96]") && holds(data, size, "red, green and blue") &&
              holds(data, size, "\"colour\":\"rgb\""));
    sac_free(data);
    sac_model_close(&colour);
    // A weight that is not finite, a place where no file can be, too little memory.
    sac_params_at(model->params, 0)->data[0] = NAN;
    sac_assert_error(sac_model_to_onnx(&data, &size, model, &options, &error), SAC_ERROR_NUMERIC,
                     &error, NULL);
    cr_assert_null(data);
    sac_params_at(model->params, 0)->data[0] = 0;
    error = (sac_error){0};
    sac_assert_error(sac_model_write_onnx(model, sac_test_path("none/x.onnx"), &options, &error),
                     SAC_ERROR_IO, &error, "none", NULL);
    sac_status status = SAC_ERROR_MEMORY;
    for (int64_t n = 0; n < 20000 && status != SAC_OK; n += n < 40 ? 1 : 29) {
        error = (sac_error){0};
        sac_memory_fail_after(n);
        status = sac_model_to_onnx(&data, &size, model, &options, &error);
        sac_memory_fail_after(-1);
        cr_assert(status == SAC_OK || status == SAC_ERROR_MEMORY, "%s", error.message);
    }
    cr_assert_eq(status, SAC_OK);
    sac_free(data);
    sac_model_close(&model);
}
