// Checkpoints that are missing, in the way, damaged, foreign or contradict themselves: each is an
// error that says so, and none is ever half taken.
#include <criterion/criterion.h>
#include <jansson.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/file.h"
#include "core/safetensors.h"
#include "distill_toy.h"

typedef struct fixture {
    sac_samples samples;
    sac_trainer_options options;
    const char *folder;
    char path[600];
} fixture;

// A run that was stopped at step 8, the second of its second epoch.
static fixture stopped_run(void) {
    fixture f = {.samples = toy_samples(2, 1, 8, true, 1),
                 .options = toy_options(),
                 .folder = sac_test_path("run")};
    sac_assert_ok(sac_folder_create(f.folder, NULL), NULL);
    snprintf(f.path, sizeof f.path, "%s/checkpoint.safetensors", f.folder);
    sac_error error = {0};
    sac_model *model = toy_model(5);
    sac_assert_error(toy_run(model, f.folder, &f.samples, &f.options, 8, false, NULL, &error),
                     SAC_ERROR_INTERRUPTED, &error, f.path, "epoch 2 after step 2", NULL);
    sac_model_close(&model);
    return f;
}

static sac_status resume(const fixture *f, sac_error *error) {
    sac_model *model = toy_model(6);
    const sac_status status =
        toy_run(model, f->folder, &f->samples, &f->options, -1, true, NULL, error);
    sac_model_close(&model);
    return status;
}

static sac_safetensors *checkpoint_read(const fixture *f) {
    sac_error error = {0};
    sac_safetensors *st = NULL;
    sac_assert_ok(sac_safetensors_read(&st, f->path, &error), &error);
    return st;
}

static json_t *state_read(const sac_safetensors *st) {
    json_t *state = json_loads(sac_safetensors_metadata(st, "state"), 0, NULL);
    cr_assert_not_null(state);
    return state;
}

static void metadata_write(const fixture *f, sac_safetensors *st, const char *key,
                           const char *text) {
    sac_error error = {0};
    sac_assert_ok(sac_safetensors_set_metadata(st, key, text, &error), &error);
    sac_assert_ok(sac_safetensors_write(st, f->path, &error), &error);
}

// Replaces one member of the state; NULL takes it away.
static void state_change(const fixture *f, const sac_safetensors *good, const char *key,
                         json_t *value) {
    sac_safetensors *st = NULL;
    sac_error error = {0};
    sac_assert_ok(sac_safetensors_write(good, f->path, &error), &error);
    sac_assert_ok(sac_safetensors_read(&st, f->path, &error), &error);
    json_t *state = state_read(st);
    if (value != NULL) {
        json_object_set_new(state, key, value);
    } else {
        json_object_del(state, key);
    }
    char *text = json_dumps(state, 0);
    metadata_write(f, st, "state", text);
    free(text);
    json_decref(state);
    sac_safetensors_close(&st);
}

// The checkpoint with tensor `name` replaced by `data` (one dimension), or left out when that is
// NULL.
static void tensor_change(const fixture *f, const sac_safetensors *good, const char *name,
                          sac_dtype dtype, int64_t count, const void *data) {
    static const char *const keys[] = {"format", "state", "options"};
    sac_safetensors *st = NULL;
    sac_error error = {0};
    bool found = false;
    sac_assert_ok(sac_safetensors_create(&st), NULL);
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        sac_assert_ok(sac_safetensors_set_metadata(st, keys[i],
                                                   sac_safetensors_metadata(good, keys[i]), &error),
                      &error);
    }
    for (int64_t i = 0; i < sac_safetensors_count(good); i++) {
        const sac_named_tensor *t = sac_safetensors_at(good, i);
        if (strcmp(t->name, name) != 0) {
            sac_assert_ok(
                sac_safetensors_add(st, t->name, t->dtype, t->ndims, t->dims, t->data, &error),
                &error);
            continue;
        }
        found = true;
        if (data == NULL) continue;
        const bool reshaped = count != t->count || dtype != t->dtype;
        sac_assert_ok(sac_safetensors_add(st, name, dtype, reshaped ? 1 : t->ndims,
                                          reshaped ? &count : t->dims, data, &error),
                      &error);
    }
    cr_assert(found, "no tensor %s", name);
    sac_assert_ok(sac_safetensors_write(st, f->path, &error), &error);
    sac_safetensors_close(&st);
}

static void resume_fails(const fixture *f, const char *what, const char *text) {
    sac_error error = {0};
    const sac_status status = resume(f, &error);
    cr_assert(status == SAC_ERROR_FORMAT || status == SAC_ERROR_NUMERIC, "%s: %s (%s)", what,
              sac_status_name(status), error.message);
    cr_assert(strstr(error.message, f->path) != NULL, "%s: no file in '%s'", what, error.message);
    cr_assert(strstr(error.message, text) != NULL, "%s: no '%s' in '%s'", what, text,
              error.message);
}

Test(distill_checkpoint, an_existing_one_is_not_overwritten) {
    fixture f = stopped_run();
    uint8_t *before = NULL, *after = NULL;
    size_t size[2];
    sac_assert_ok(sac_file_read(&before, &size[0], f.path, 1 << 30, NULL), NULL);
    sac_error error = {0}, early = {0};
    sac_model *model = toy_model(5);
    sac_assert_error(toy_run(model, f.folder, &f.samples, &f.options, -1, false, NULL, &error),
                     SAC_ERROR_ARGUMENT, &error, f.path, "--resume", NULL);
    sac_assert_error(sac_trainer_check(f.folder, model, &f.options, false, &early),
                     SAC_ERROR_ARGUMENT, &early, f.path, "--resume", NULL);
    sac_assert_ok(sac_trainer_check(f.folder, model, &f.options, true, &early), NULL);
    sac_assert_ok(sac_file_read(&after, &size[1], f.path, 1 << 30, NULL), NULL);
    cr_assert_eq(size[0], size[1]);
    cr_assert_arr_eq(before, after, size[0]);
    sac_model_close(&model);
    sac_free(before);
    sac_free(after);
    sac_samples_close(&f.samples);
}

Test(distill_checkpoint, nothing_to_resume) {
    fixture f = stopped_run();
    cr_assert_eq(remove(f.path), 0);
    sac_error error = {0}, early = {0};
    sac_model *model = toy_model(5);
    sac_assert_error(resume(&f, &error), SAC_ERROR_IO, &error, f.path, "nothing to resume", NULL);
    sac_assert_error(sac_trainer_check(f.folder, model, &f.options, true, &early), SAC_ERROR_IO,
                     &early, f.path, NULL);
    early = (sac_error){0};
    sac_assert_ok(sac_trainer_check(f.folder, model, &f.options, false, &early), &early);
    // A folder that is not there yet holds no checkpoint.
    const char *folder = sac_test_path("no such folder");
    sac_assert_ok(sac_trainer_check(folder, model, &f.options, false, &early), &early);
    sac_model_close(&model);
    sac_samples_close(&f.samples);
}

Test(distill_checkpoint, other_settings_are_named) {
    fixture f = stopped_run();
    const sac_trainer_options kept = f.options;
    sac_error error = {0};
#define REFUSED(member, value)                                                                     \
    f.options = kept;                                                                              \
    f.options.member = value;                                                                      \
    error = (sac_error){0};                                                                        \
    sac_assert_error(resume(&f, &error), SAC_ERROR_ARGUMENT, &error, f.path,                       \
                     " with " #member " = ", "now it is", NULL)
    REFUSED(epochs, 4);
    REFUSED(samples_per_epoch, 51);
    REFUSED(batch, 7);
    REFUSED(learning_rate, nextafter(kept.learning_rate, 1));
    REFUSED(weight_decay, 0);
    REFUSED(clip_norm, 2);
    REFUSED(patience, 1);
    REFUSED(pseudo_fraction, 0.25);
    REFUSED(emphasis, 0);
    error = (sac_error){0};
    f.options = kept;
    f.options.scale_weights[1] = 2;
    sac_assert_error(resume(&f, &error), SAC_ERROR_ARGUMENT, &error, "scale_weights", NULL);
    static const char *const names[] = {"jitter", "flip", "gamma", "blur", "noise", "compression"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        f.options = kept;
        sac_augment_options *a = &f.options.augment;
        double *const members[] = {&a->jitter, &a->flip,  &a->gamma,
                                   &a->blur,   &a->noise, &a->compression};
        *members[i] = 0.25;
        char named[64];
        snprintf(named, sizeof named, " with %s = ", names[i]);
        error = (sac_error){0};
        sac_assert_error(resume(&f, &error), SAC_ERROR_ARGUMENT, &error, f.path, named, NULL);
    }
    f.options = kept;
    f.options.initial = 7;
    error = (sac_error){0};
    sac_assert_error(resume(&f, &error), SAC_ERROR_ARGUMENT, &error, "initial_weights", "random",
                     NULL);
    REFUSED(seed, 2);
    REFUSED(backend, SAC_BACKEND_REF);
#undef REFUSED
    // These two do not shape the run.
    f.options = kept;
    f.options.checkpoint_s = 0;
    f.options.max_minutes = 1e6;
    error = (sac_error){0};
    sac_assert_ok(resume(&f, &error), &error);
    sac_samples_close(&f.samples);
}

Test(distill_checkpoint, other_data_are_noticed) {
    fixture f = stopped_run();
    float *value = &f.samples.clips[3].maps[0].map16[100];
    const float kept = *value;
    *value = kept + 0.125f;
    sac_error error = {0};
    sac_assert_error(resume(&f, &error), SAC_ERROR_ARGUMENT, &error, f.path, "training data", NULL);
    *value = kept;
    f.samples.weights[0] = 2;
    error = (sac_error){0};
    sac_assert_error(resume(&f, &error), SAC_ERROR_ARGUMENT, &error, "training data", NULL);
    f.samples.weights[0] = 1;
    f.samples.preprocess.offsets[2] = 2;
    error = (sac_error){0};
    sac_assert_error(resume(&f, &error), SAC_ERROR_ARGUMENT, &error, "preprocess", NULL);
    f.samples.preprocess.offsets[2] = 3;
    error = (sac_error){0};
    sac_assert_ok(resume(&f, &error), &error);
    sac_samples_close(&f.samples);
}

Test(distill_checkpoint, digest_sees_every_part) {
    sac_samples s = toy_samples(2, 1, 5, true, 2);
    const uint64_t whole = sac_samples_digest(&s);
    cr_assert_eq(whole, sac_samples_digest(&s));
#define SEES(lvalue, other)                                                                        \
    do {                                                                                           \
        const double kept = (double)(lvalue);                                                      \
        (lvalue) = other;                                                                          \
        cr_assert_neq(sac_samples_digest(&s), whole, #lvalue);                                     \
        (lvalue) = (__typeof__(lvalue))kept;                                                       \
        cr_assert_eq(sac_samples_digest(&s), whole);                                               \
    } while (0)
    SEES(s.clips[0].pixels[0], 3);
    SEES(s.clips[3].pixels[5 * TOY_WIDTH * TOY_HEIGHT - 1], 3);
    SEES(s.clips[2].kinds[4], 7);
    SEES(s.clips[1].maps[0].map16[5 * 256 - 1], 0.5f);
    SEES(s.clips[1].maps[1].map4[5 * 16 - 1], 0.5f);
    SEES(s.clips[1].maps[1].map1[4], 0.5f);
    SEES(s.clips[1].validation_from, 2);
    SEES(s.weights[1], 0.25);
    SEES(s.originals, 1);
#undef SEES
    sac_samples_close(&s);
}

Test(distill_checkpoint, teachers_are_measured_on_what_is_held_back) {
    sac_samples s = toy_samples(4, 2, 20, true, 2);
    for (int64_t c = 0; c < s.count; c++) {
        sac_maps *second = &s.clips[c].maps[1];
        memset(second->map16, 0, 20 * 256 * sizeof(float));
        memset(second->map4, 0, 20 * 16 * sizeof(float));
        memset(second->map1, 0, 20 * sizeof(float));
        // What trains does not count: here the first teacher is all wrong.
        if (s.clips[c].validation_from > 0) {
            memset(s.clips[c].maps[0].map1, 0, 20 * sizeof(float));
        }
    }
    double auc = 0;
    sac_error error = {0};
    sac_assert_ok(sac_samples_teacher_auc(&auc, NULL, &s, 0, &error), &error);
    cr_assert_eq(auc, 1, "it scores what hurries 0.9 and what walks 0.1");
    sac_assert_ok(sac_samples_teacher_auc(&auc, NULL, &s, 1, &error), &error);
    cr_assert_eq(auc, 0.5);
    sac_assert_error(sac_samples_teacher_auc(&auc, NULL, &s, 2, &error), SAC_ERROR_ARGUMENT, &error,
                     "no teacher 2", NULL);
    s.clips[0].maps[0].map4[7] = NAN;
    s.clips[0].maps[0].map1[3] = NAN;
    error = (sac_error){0};
    cr_assert_eq(sac_samples_teacher_auc(&auc, NULL, &s, 0, &error), SAC_ERROR_NUMERIC);
    sac_samples_close(&s);
    s = toy_samples(2, 1, 5, false, 1);
    sac_assert_ok(sac_samples_teacher_auc(&auc, NULL, &s, 0, NULL), NULL);
    cr_assert(isnan(auc));
    sac_samples_close(&s);
}

// Every length is refused, also those that end between tensors.
Test(distill_checkpoint, a_truncated_file_is_refused) {
    fixture f = stopped_run();
    uint8_t *bytes = NULL;
    size_t size = 0;
    sac_assert_ok(sac_file_read(&bytes, &size, f.path, 1 << 30, NULL), NULL);
    const size_t lengths[] = {0, 1, 7, 8, 100, size / 4, size / 2, size - 9, size - 4, size - 1};
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        sac_assert_ok(sac_file_save(f.path, bytes, lengths[i], NULL), NULL);
        resume_fails(&f, "truncated", "checkpoint.safetensors");
    }
    memset(bytes, 0xff, size);
    sac_assert_ok(sac_file_save(f.path, bytes, size, NULL), NULL);
    resume_fails(&f, "all ones", "checkpoint.safetensors");
    sac_free(bytes);
    sac_samples_close(&f.samples);
}

// A student's file and an empty container are no checkpoints.
Test(distill_checkpoint, a_foreign_file_is_refused) {
    fixture f = stopped_run();
    sac_error error = {0};
    sac_model *model = toy_model(1);
    sac_assert_ok(sac_model_save(model, f.path, &error), &error);
    resume_fails(&f, "a model", "not a distillation checkpoint");
    sac_model_close(&model);
    sac_safetensors *st = NULL;
    sac_assert_ok(sac_safetensors_create(&st), NULL);
    sac_assert_ok(sac_safetensors_write(st, f.path, &error), &error);
    resume_fails(&f, "empty", "not a distillation checkpoint");
    sac_safetensors_close(&st);
    sac_samples_close(&f.samples);
}

Test(distill_checkpoint, contradicting_counters_are_refused) {
    fixture f = stopped_run();
    sac_safetensors *good = checkpoint_read(&f);
    const struct {
        const char *key;
        const char *value; // JSON; NULL: taken away
        const char *text;
    } cases[] = {
        {"step", "7", "\"step\" is 7"},               // an epoch has six
        {"step", "9223372036854775807", "\"step\""},  //
        {"step", "-1", "\"step\" is -1"},             //
        {"step", "3", "8 steps, the counters say 9"}, // the optimiser knows better
        {"step", "2.5", "\"step\""},
        {"step", NULL, "\"step\" is missing"},
        {"epoch", "4", "\"epoch\" is 4"}, // of three
        {"epoch", "3", "\"step\" is 2"},  // behind the last epoch there is no step
        {"epoch", "2", "1 metrics rows for 2"},
        {"epoch", "0", "\"best_epoch\""},
        {"epoch", "\"1\"", "\"epoch\""},
        {"best_epoch", "2", "\"best_epoch\" is 2"},
        {"best_epoch", "0", "\"best_epoch\" is 0"},
        {"best_validation_loss", "null", "\"best_validation_loss\""},
        {"best_validation_loss", "-1", "\"best_validation_loss\""},
        {"loss_sum", "-1", "\"loss_sum\""},
        {"loss_sum", NULL, "\"loss_sum\" is missing"},
        {"adversarial_sum", "-1", "\"adversarial_sum\""},
        {"real_sum", "\"1\"", "\"real_sum\""},
        {"own_sum", NULL, "\"own_sum\" is missing"},
        {"seconds", "1e300", "\"seconds\""},
        {"rows", "[]", "0 metrics rows for 1"},
        {"rows", "[[1]]", "row 1 needs 28 numbers"},
        {"rows", "[7]", "row 1 needs 28 numbers"},
        {"rows", "{}", "\"rows\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        json_t *value =
            cases[i].value != NULL ? json_loads(cases[i].value, JSON_DECODE_ANY, NULL) : NULL;
        cr_assert(cases[i].value == NULL || value != NULL);
        state_change(&f, good, cases[i].key, value);
        resume_fails(&f, cases[i].value != NULL ? cases[i].value : cases[i].key, cases[i].text);
    }
    sac_safetensors *st = checkpoint_read(&f);
    metadata_write(&f, st, "state", "{");
    resume_fails(&f, "state", "JSON");
    metadata_write(&f, st, "state", "[]");
    resume_fails(&f, "state", "\"epoch\"");
    sac_safetensors_close(&st);
    // The untouched one still resumes: nothing above broke it for another reason.
    sac_error error = {0};
    sac_assert_ok(sac_safetensors_write(good, f.path, &error), &error);
    sac_assert_ok(resume(&f, &error), &error);
    sac_safetensors_close(&good);
    sac_samples_close(&f.samples);
}

// Cells of the metrics that are no numbers become empty ones.
Test(distill_checkpoint, odd_metrics_cells_stay_empty) {
    fixture f = stopped_run();
    sac_safetensors *good = checkpoint_read(&f);
    state_change(
        &f, good, "rows",
        json_loads(
            "[[1, \"a,b\", null, {}, [], true, 3, null, [], 4, 0, 0, 0, 0, 0, 0, 1, {}, 0, 0, "
            "0, 0, 0, 0, 0, 0, 0, 5]]",
            JSON_DECODE_ANY, NULL));
    sac_error error = {0};
    sac_assert_ok(resume(&f, &error), &error);
    char path[600];
    snprintf(path, sizeof path, "%s/metrics.csv", f.folder);
    uint8_t *text = NULL;
    size_t size = 0;
    sac_assert_ok(sac_file_read(&text, &size, path, 1 << 20, NULL), NULL);
    cr_assert(strstr((const char *)text, "\n1,,,,,,3,,,4,0,0,0,0,0,0,1,,0,0,0,0,0,0,0,0,0,5\n") !=
                  NULL,
              "%s", (const char *)text);
    sac_free(text);
    sac_safetensors_close(&good);
    sac_samples_close(&f.samples);
}

Test(distill_checkpoint, damaged_tensors_are_refused) {
    fixture f = stopped_run();
    sac_safetensors *good = checkpoint_read(&f);
    const char *const names[] = {"model.stem0.conv.weight", "best.head1.logit.bias",
                                 "adam.stem0.norm.weight.m", "adam.stem0.norm.weight.v"};
    static float values[16 * 3 * 9 + 1];
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const sac_named_tensor *t = sac_safetensors_find(good, names[i]);
        cr_assert(t != NULL && t->count <= 16 * 3 * 9, "%s", names[i]);
        tensor_change(&f, good, names[i], SAC_DTYPE_F32, 0, NULL);
        resume_fails(&f, names[i], names[i]);
        memcpy(values, t->data, (size_t)t->count * sizeof(float));
        values[t->count - 1] = NAN;
        tensor_change(&f, good, names[i], SAC_DTYPE_F32, t->count, values);
        resume_fails(&f, names[i], "finite");
        tensor_change(&f, good, names[i], SAC_DTYPE_F32, t->count + 1, values);
        resume_fails(&f, names[i], names[i]);
    }
    const int64_t steps[2] = {7, -1};
    tensor_change(&f, good, "adam.step", SAC_DTYPE_I64, 1, &steps[0]);
    resume_fails(&f, "steps", "7 steps, the counters say 8");
    tensor_change(&f, good, "adam.step", SAC_DTYPE_I64, 1, &steps[1]);
    resume_fails(&f, "steps", "adam.step");
    const uint64_t zeros[4] = {0};
    tensor_change(&f, good, "dropout_rng", SAC_DTYPE_U64, 4, zeros);
    resume_fails(&f, "generator", "random numbers is zero");
    tensor_change(&f, good, "dropout_rng", SAC_DTYPE_U64, 3, zeros);
    resume_fails(&f, "generator", "dropout_rng");
    sac_safetensors_close(&good);
    sac_samples_close(&f.samples);
}

// A time-out long past: the run ends at once, with what it has.
Test(distill_checkpoint, no_time_left) {
    fixture f = stopped_run();
    sac_safetensors *good = checkpoint_read(&f);
    state_change(&f, good, "seconds", json_real(1e12));
    f.options.max_minutes = 1;
    sac_trainer_result result;
    sac_error error = {0};
    sac_model *model = toy_model(6);
    sac_assert_ok(toy_run(model, f.folder, &f.samples, &f.options, -1, true, &result, &error),
                  &error);
    cr_assert_eq(toy_steps_taken, 0);
    cr_assert(result.out_of_time);
    cr_assert_eq(result.epochs, 2);
    sac_model_close(&model);
    sac_safetensors_close(&good);
    sac_samples_close(&f.samples);
}

// The folder vanishes under a running training: an error of the file system, and no half file.
static char vanishing[600];
static void vanish(void *user, int64_t step, int64_t steps, double loss) {
    (void)user;
    (void)steps;
    (void)loss;
    if (step == 3) cr_assert_eq(rmdir(vanishing), 0);
}

Test(distill_checkpoint, a_folder_that_vanishes_is_an_error) {
    sac_samples samples = toy_samples(2, 1, 8, true, 1);
    const sac_trainer_options options = toy_options();
    snprintf(vanishing, sizeof vanishing, "%s", sac_test_path("vanishing"));
    sac_assert_ok(sac_folder_create(vanishing, NULL), NULL);
    const sac_trainer_hooks hooks = {.step = vanish};
    sac_trainer_result result;
    sac_error error = {0};
    sac_model *model = toy_model(5);
    sac_assert_error(
        sac_trainer_run(&result, vanishing, model, &samples, &options, &hooks, false, &error),
        SAC_ERROR_IO, &error, vanishing, NULL);
    sac_model_close(&model);
    sac_samples_close(&samples);
}
