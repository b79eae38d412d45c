// Pre-training: the network it trains; that it learns, touches the trunk alone, resumes exactly.
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "core/file.h"
#include "distill/initial.h"
#include "distill/pretrain.h"
#include "distill_toy.h"

static double limit_minutes = 0; // of the next runs

static sac_status pretrain(sac_model *model, const sac_samples *samples, sac_pretrain_kind kind,
                           const char *name, int64_t stop_after, bool resume,
                           sac_pretrain_result *result, sac_error *error) {
    const sac_trainer_hooks hooks = {.step = toy_count, .stop = toy_stop};
    sac_pretrain_options o = {.kind = kind, .epochs = 4, .trainer = toy_options()};
    sac_pretrain_result unused;
    o.trainer.augment = (sac_augment_options){.jitter = 0.1, .flip = 0.5, .noise = 2};
    o.trainer.max_minutes = limit_minutes;
    toy_stop_after = stop_after;
    toy_steps_taken = 0;
    *error = (sac_error){0};
    return sac_pretrain_run(result != NULL ? result : &unused, sac_test_path(name), model, samples,
                            &o, &hooks, resume, error);
}

Test(distill_pretrain, the_network_is_trunk_and_decoder) {
    sac_model *model = toy_model(1);
    sac_net *net = NULL;
    sac_error error = {0};
    sac_assert_ok(sac_pretrain_net(&net, model->net, &error), &error);
    cr_assert(sac_net_find(net, "fuse.frames") > 0 && sac_net_find(net, "map16") < 0);
    const int last = sac_net_find(net, "pretrain.frame");
    sac_shape shapes[64];
    cr_assert(last >= 0 && sac_net_count(net) <= 64);
    sac_assert_ok(sac_net_shapes(net, 1, shapes, &error), &error);
    // An eighth of 32x48, doubled twice.
    cr_assert(shapes[last].dims[1] == 1 && shapes[last].dims[2] == 16 &&
              shapes[last].dims[3] == 24);
    sac_net_close(&net);
    sac_model_close(&model);
    // In colour it predicts three planes.
    sac_preprocess p = sac_preprocess_default();
    p.width = TOY_WIDTH;
    p.height = TOY_HEIGHT;
    p.channels = 3;
    sac_assert_ok(sac_model_create(&model, "tiny-s", &p, &error), &error);
    sac_assert_ok(sac_pretrain_net(&net, model->net, &error), &error);
    sac_assert_ok(sac_net_shapes(net, 1, shapes, &error), &error);
    cr_assert_eq(shapes[sac_net_find(net, "pretrain.frame")].dims[1], 3);
    sac_net_close(&net);
    sac_model_close(&model);
}

// Three flat colours, one of which changes with time: what it predicts is the colour of the middle
// frame.
Test(distill_pretrain, it_learns_colours) {
    sac_samples samples = toy_samples(4, 1, 24, false, 1);
    const int64_t pixels = TOY_WIDTH * TOY_HEIGHT;
    toy_room(&samples, 3);
    for (int64_t c = 0; c < samples.count; c++) {
        sac_sample_clip *clip = &samples.clips[c];
        for (int64_t i = 0; i < clip->frames * pixels; i++) {
            clip->pixels[3 * i] = 250;
            clip->pixels[3 * i + 1] = (uint8_t)(10 * (i / pixels));
            clip->pixels[3 * i + 2] = 5;
        }
    }
    for (int k = 0; k < 2; k++) {
        sac_model *model = NULL;
        sac_error error = {0};
        sac_pretrain_result r;
        char name[16];
        snprintf(name, sizeof name, "colours%d", k);
        sac_nn_set_threads(1);
        sac_assert_ok(sac_model_create(&model, "tiny-s", &samples.preprocess, &error), &error);
        sac_rng rng;
        sac_rng_seed(&rng, 5, 1);
        sac_params_init(model->params, &rng);
        sac_assert_ok(pretrain(model, &samples, (sac_pretrain_kind)k, name, -1, false, &r, &error),
                      &error);
        // One value for all three would leave 0.17: red is 0.98, blue 0.02.
        cr_assert(r.train_loss > 0 && r.train_loss < 0.12, "%g", r.train_loss);
        sac_model_close(&model);
    }
    sac_samples_close(&samples);
}

// Of one head the trunk reaches up to its one channel; of two it is what they share.
Test(distill_pretrain, students_with_fewer_maps) {
    static const char *const archs[] = {"tiny-s:16", "tiny-s:1", "tiny-s:16,1"};
    for (int a = 0; a < 3; a++) {
        sac_preprocess p = sac_preprocess_default();
        sac_model *model = NULL;
        sac_net *net = NULL;
        sac_error error = {0};
        p.width = TOY_WIDTH;
        p.height = TOY_HEIGHT;
        sac_assert_ok(sac_model_create(&model, archs[a], &p, &error), &error);
        sac_assert_ok(sac_pretrain_net(&net, model->net, &error), &error);
        cr_assert(sac_net_find(net, "body1b.relu") > 0);
        cr_assert_eq(sac_net_find(net, "head16.relu") > 0, a == 0);
        cr_assert_eq(sac_net_find(net, "head1.relu") > 0, a == 1);
        cr_assert_lt(sac_net_find(net, "head16.logit"), 0);
        sac_net_close(&net);
        sac_model_close(&model);
    }
}

Test(distill_pretrain, outputs_without_a_common_trunk_are_refused) {
    sac_net *net = NULL, *made = NULL;
    sac_error error = {0};
    sac_assert_ok(sac_net_create(&net), NULL);
    const int input = sac_net_input(net, "frames", 3, (const int64_t[]){3, 16, 16});
    for (int k = 0; k < 3; k++)
        sac_net_output(net, sac_net_conv2d(net, sac_heads[k].output, input, 1, 3, 1, 1, 1, true));
    sac_assert_error(sac_pretrain_net(&made, net, &error), SAC_ERROR_UNSUPPORTED, &error, "trunk",
                     NULL);
    cr_assert_null(made);
    sac_net_close(&net);
}

Test(distill_pretrain, it_learns_and_leaves_the_heads) {
    sac_samples samples = toy_samples(4, 1, 24, true, 1);
    const sac_pretrain_kind kinds[2] = {SAC_PRETRAIN_PLAIN, SAC_PRETRAIN_MASKED};
    for (int i = 0; i < 2; i++) {
        sac_model *model = toy_model(5), *fresh = toy_model(5);
        sac_pretrain_result r;
        sac_error error = {0};
        char name[16];
        snprintf(name, sizeof name, "kind%d", i);
        sac_assert_ok(pretrain(model, &samples, kinds[i], name, -1, false, &r, &error), &error);
        cr_assert_eq(r.epochs, 4);
        // Frames have a mean square of about 0.28 in (x - 127) / 128.
        cr_assert(r.train_loss > 0 && r.train_loss < 0.2 && isfinite(r.validation_loss), "%g %g",
                  r.train_loss, r.validation_loss);
        int64_t changed = 0;
        for (int64_t k = 0; k < sac_params_count(model->params); k++) {
            const sac_param *a = sac_params_at(model->params, k),
                            *b = sac_params_at(fresh->params, k);
            const bool differs = memcmp(a->data, b->data, (size_t)a->count * sizeof(float)) != 0;
            if (strncmp(a->name, "head", 4) == 0) cr_assert(!differs, "%s", a->name);
            changed += differs;
        }
        cr_assert(changed > 20, "%lld tensors changed", (long long)changed);
        sac_model_close(&model);
        sac_model_close(&fresh);
    }
    sac_samples_close(&samples);
}

Test(distill_pretrain, a_stopped_stage_goes_on_exactly) {
    sac_samples samples = toy_samples(4, 1, 12, true, 1);
    sac_model *full = toy_model(5), *parts = toy_model(5), *other = toy_model(6);
    sac_error error = {0};
    sac_assert_ok(pretrain(full, &samples, SAC_PRETRAIN_MASKED, "full", -1, false, NULL, &error),
                  &error);
    sac_assert_error(
        pretrain(parts, &samples, SAC_PRETRAIN_MASKED, "parts", 9, false, NULL, &error),
        SAC_ERROR_INTERRUPTED, &error, "epoch 2", NULL);
    sac_assert_error(
        pretrain(parts, &samples, SAC_PRETRAIN_MASKED, "parts", -1, false, NULL, &error),
        SAC_ERROR_ARGUMENT, &error, "--resume", NULL);
    sac_assert_error(pretrain(parts, &samples, SAC_PRETRAIN_PLAIN, "parts", -1, true, NULL, &error),
                     SAC_ERROR_ARGUMENT, &error, "other settings", NULL);
    sac_assert_error(
        pretrain(other, &samples, SAC_PRETRAIN_MASKED, "parts", -1, true, NULL, &error),
        SAC_ERROR_ARGUMENT, &error, "other settings", NULL);
    sac_assert_ok(pretrain(parts, &samples, SAC_PRETRAIN_MASKED, "parts", -1, true, NULL, &error),
                  &error);
    toy_same_params(full, parts, "resumed");
    // Out of time, again and again.
    sac_model *cut = toy_model(5);
    sac_pretrain_result r = {0};
    limit_minutes = 1e-9;
    for (int i = 0; i < 3; i++) {
        sac_assert_ok(pretrain(cut, &samples, SAC_PRETRAIN_MASKED, "cut", -1, i > 0, &r, &error),
                      &error);
        cr_assert(r.out_of_time && r.epochs == 0);
    }
    limit_minutes = 0;
    sac_assert_ok(pretrain(cut, &samples, SAC_PRETRAIN_MASKED, "cut", -1, true, &r, &error),
                  &error);
    cr_assert(!r.out_of_time && r.epochs == 4);
    toy_same_params(full, cut, "cut in time");
    sac_model_close(&cut);
    // A damaged checkpoint is refused.
    const char *path = sac_test_path("parts/checkpoint.safetensors");
    sac_assert_ok(sac_file_save(path, "nonsense", 8, &error), &error);
    sac_assert_error(
        pretrain(other, &samples, SAC_PRETRAIN_MASKED, "parts", -1, true, NULL, &error),
        SAC_ERROR_FORMAT, &error, "parts/checkpoint.safetensors", NULL);
    sac_model_close(&full);
    sac_model_close(&parts);
    sac_model_close(&other);
    sac_samples_close(&samples);
}
