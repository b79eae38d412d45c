// The int8 stage: what it makes, what it measures, and that a stopped one goes on bit by bit.
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "core/file.h"
#include "distill/quantise.h"
#include "distill_toy.h"

typedef struct trained {
    sac_samples samples;
    sac_trainer_options options;
    sac_model *model;
} trained;

// A student of a few epochs, with the input of new presets (x / 255) or the older one.
static trained train(bool u8_input) {
    trained t = {.samples = toy_samples(4, 1, 24, true, 1), .options = toy_options()};
    sac_error error = {0};
    t.options.samples_per_epoch = 96;
    t.options.epochs = 4;
    t.samples.preprocess.mean = u8_input ? 0 : 127;
    t.samples.preprocess.scale = u8_input ? 255 : 128;
    t.model = toy_model(5);
    t.model->preprocess = t.samples.preprocess;
    const char *folder = sac_test_path("f32");
    sac_assert_ok(sac_folder_create(folder, NULL), NULL);
    sac_assert_ok(toy_run(t.model, folder, &t.samples, &t.options, -1, false, NULL, &error),
                  &error);
    return t;
}

static void trained_close(trained *t) {
    sac_model_close(&t->model);
    sac_samples_close(&t->samples);
}

static sac_status quantise(const trained *t, const char *name, int64_t epochs, int64_t stop_after,
                           bool resume, sac_model **int8, sac_quantise_result *result,
                           sac_error *error) {
    const sac_trainer_hooks hooks = {.step = toy_count, .stop = toy_stop};
    sac_quantise_options o = sac_quantise_default_options(&t->options);
    o.epochs = epochs;
    o.calibration_frames = 40;
    toy_stop_after = stop_after;
    toy_steps_taken = 0;
    *error = (sac_error){0};
    return sac_quantise_run(int8, result, sac_test_path(name), t->model, &t->samples, &o, &hooks,
                            resume, error);
}

Test(distill_quantise, int8_keeps_the_loss_and_survives_its_file) {
    trained t = train(true);
    sac_model *int8 = NULL, *again = NULL;
    sac_quantise_result r;
    sac_error error = {0};
    sac_assert_ok(quantise(&t, "int8", 2, -1, false, &int8, &r, &error), &error);
    cr_assert_eq(r.epochs, 2);
    cr_assert(r.f32.loss > 0 && fabs(r.post_training.loss - r.f32.loss) < 0.1 * r.f32.loss,
              "f32 %g, int8 %g", r.f32.loss, r.post_training.loss);
    cr_assert_neq(r.post_training.loss, r.f32.loss);
    cr_assert(r.fine_tuned.loss > 0 && r.fine_tuned.loss < 1.1 * r.post_training.loss, "%g %g",
              r.fine_tuned.loss, r.post_training.loss);
    cr_assert_eq(r.kept_fine_tuned, r.fine_tuned.loss < r.post_training.loss);
    cr_assert_eq(sac_quant_scale(int8->quant, "frames"), (float)(1.0 / 255));
    for (int64_t i = 0; i < sac_params_count(int8->params); i++)
        cr_assert(strstr(sac_params_at(int8->params, i)->name, ".norm") == NULL);
    const json_t *told = json_object_get(int8->provenance, "quantisation");
    cr_assert_float_eq(
        json_number_value(json_object_get(json_object_get(told, "f32"), "validation_loss")),
        r.f32.loss, 1e-12);
    // What is stored gives the loss that was measured.
    const char *path = sac_test_path("int8.safetensors");
    sac_assert_ok(sac_model_save(int8, path, &error), &error);
    sac_assert_ok(sac_model_load(&again, path, &error), &error);
    toy_same_params(int8, again, "reloaded");
    sac_validation *v = NULL;
    sac_validation_result measured;
    const sac_validation_options how = {
        .emphasis = t.options.emphasis,
        .scale_weights = {t.options.scale_weights[0], t.options.scale_weights[1],
                          t.options.scale_weights[2]},
        .quant = again->quant};
    sac_assert_ok(sac_validation_create(&v, &t.samples, again->net, again->params, &how, &error),
                  &error);
    sac_assert_ok(sac_validation_run(v, &measured, again->params, &error), &error);
    cr_assert_eq(measured.loss, r.kept_fine_tuned ? r.fine_tuned.loss : r.post_training.loss);
    int64_t count = 0;
    const sac_sample_ref *refs = sac_validation_refs(v, &count);
    double sum = 0;
    for (int64_t i = 0; i < count; i++) sum += sac_validation_losses(v)[i];
    cr_assert_float_eq(sum / (double)count, measured.loss, 1e-9);
    int side = 0;
    cr_assert(refs[0].clip == 0 && sac_validation_maps(v, &side)[0] >= 0 && side == 16);
    sac_validation_close(&v);
    sac_model_close(&int8);
    sac_model_close(&again);
    trained_close(&t);
}

Test(distill_quantise, a_stopped_stage_goes_on_exactly) {
    trained t = train(true);
    sac_model *whole = NULL, *parts = NULL;
    sac_quantise_result r, s;
    sac_error error = {0};
    sac_assert_ok(quantise(&t, "whole", 2, -1, false, &whole, &r, &error), &error);
    sac_assert_error(quantise(&t, "parts", 2, 15, false, &parts, &s, &error), SAC_ERROR_INTERRUPTED,
                     &error, "epoch 2", NULL);
    cr_assert_null(parts);
    sac_assert_error(quantise(&t, "parts", 2, -1, false, &parts, &s, &error), SAC_ERROR_ARGUMENT,
                     &error, "--resume", NULL);
    sac_assert_ok(quantise(&t, "parts", 2, -1, true, &parts, &s, &error), &error);
    toy_same_params(whole, parts, "resumed");
    cr_assert_eq(r.fine_tuned.loss, s.fine_tuned.loss);
    // Other weights to begin with are another run.
    sac_params_at(t.model->params, 0)->data[0] += 0.125f;
    sac_model *other = NULL;
    sac_assert_error(quantise(&t, "parts", 2, -1, true, &other, &s, &error), SAC_ERROR_ARGUMENT,
                     &error, "initial_weights", NULL);
    sac_model_close(&whole);
    sac_model_close(&parts);
    trained_close(&t);
}

Test(distill_quantise, older_inputs_stay_f32_and_nothing_need_be_tuned) {
    trained t = train(false);
    sac_model *int8 = NULL;
    sac_quantise_result r;
    sac_error error = {0};
    sac_assert_ok(quantise(&t, "int8", 0, -1, false, &int8, &r, &error), &error);
    cr_assert(r.epochs == 0 && !r.kept_fine_tuned && r.fine_tuned.loss == 0);
    cr_assert(!sac_is_folder(sac_test_path("int8")), "nothing to keep without fine-tuning");
    cr_assert_eq(sac_quant_scale(int8->quant, "frames"), 0);
    cr_assert(sac_quant_count(int8->quant) > 4);
    cr_assert(fabs(r.post_training.loss - r.f32.loss) < 0.1 * r.f32.loss, "f32 %g, int8 %g",
              r.f32.loss, r.post_training.loss);
    sac_model_close(&int8);
    trained_close(&t);
}
