// The training loop: order of samples, exact resume, ends of a run, errors, and that a student
// learns.
#include <criterion/criterion.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/csv.h"
#include "core/file.h"
#include "distill_toy.h"

static const char *folder_make(const char *name) {
    const char *path = sac_test_path(name);
    sac_assert_ok(sac_folder_create(path, NULL), NULL);
    return path;
}

// ---- order -------------------------------------------------------------------------------------

static sac_sample_ref *order_make(const sac_samples *s, const sac_trainer_options *o,
                                  int64_t epoch) {
    sac_error error = {0};
    sac_sample_ref *refs = sac_calloc(o->samples_per_epoch, sizeof *refs);
    cr_assert_not_null(refs);
    sac_assert_ok(sac_trainer_order(refs, s, o, epoch, &error), &error);
    return refs;
}

// How often each training frame is drawn: the least and the most of one pool.
static void draws(const sac_sample_ref *refs, int64_t n, const sac_samples *s, bool altered,
                  int64_t *total, int64_t *least, int64_t *most) {
    *total = *most = 0;
    *least = n;
    for (int64_t c = 0; c < s->count; c++) {
        if ((c >= s->originals) != altered) continue;
        for (int64_t t = 0; t < s->clips[c].validation_from; t++) {
            int64_t count = 0;
            for (int64_t i = 0; i < n; i++) count += refs[i].clip == c && refs[i].frame == t;
            *total += count;
            if (count < *least) *least = count;
            if (count > *most) *most = count;
        }
    }
}

Test(distill_trainer, order_keeps_fractions_and_draws_every_frame_before_any_again) {
    sac_samples s = toy_samples(4, 1, 10, true, 1); // 30 + 30 training frames
    sac_trainer_options o = toy_options();
    o.samples_per_epoch = 100;
    const double fractions[4] = {0, 0.3, 0.5, 1};
    const int64_t altered[4] = {0, 30, 50, 100};
    for (int f = 0; f < 4; f++) {
        o.pseudo_fraction = fractions[f];
        sac_sample_ref *refs = order_make(&s, &o, 2);
        int64_t total[2], least[2], most[2];
        for (int a = 0; a < 2; a++) draws(refs, 100, &s, a == 1, &total[a], &least[a], &most[a]);
        cr_assert_eq(total[0] + total[1], 100, "only training frames of these clips");
        cr_assert_eq(total[1], altered[f]);
        for (int a = 0; a < 2; a++) cr_assert(most[a] - least[a] <= 1);
        sac_free(refs);
    }
    sac_samples_close(&s);
}

Test(distill_trainer, order_follows_from_seed_and_epoch) {
    sac_samples s = toy_samples(4, 1, 10, true, 1);
    sac_trainer_options o = toy_options();
    const size_t bytes = (size_t)o.samples_per_epoch * sizeof(sac_sample_ref);
    sac_sample_ref *a = order_make(&s, &o, 3), *b = order_make(&s, &o, 3),
                   *c = order_make(&s, &o, 4);
    cr_assert_eq(memcmp(a, b, bytes), 0);
    cr_assert_neq(memcmp(a, c, bytes), 0);
    o.seed = 2;
    sac_sample_ref *d = order_make(&s, &o, 3);
    cr_assert_neq(memcmp(a, d, bytes), 0);
    // Mixed: both kinds in the first half.
    int64_t altered = 0;
    for (int64_t i = 0; i < 25; i++) altered += a[i].clip >= s.originals;
    cr_assert(altered > 4 && altered < 21, "%lld of the first 25", (long long)altered);
    sac_free(a);
    sac_free(b);
    sac_free(c);
    sac_free(d);
    sac_samples_close(&s);
}

Test(distill_trainer, order_without_altered_clips_takes_originals_only) {
    sac_samples s = toy_samples(4, 1, 10, false, 1);
    sac_trainer_options o = toy_options();
    o.pseudo_fraction = 1;
    sac_sample_ref *refs = order_make(&s, &o, 0);
    int64_t total, least, most;
    draws(refs, o.samples_per_epoch, &s, false, &total, &least, &most);
    cr_assert_eq(total, o.samples_per_epoch);
    sac_free(refs);
    sac_samples_close(&s);
}

Test(distill_trainer, order_of_nothing_is_an_error) {
    sac_samples s = toy_samples(2, 2, 10, true, 1);
    sac_trainer_options o = toy_options();
    sac_error error = {0};
    sac_sample_ref refs[64];
    sac_assert_error(sac_trainer_order(refs, &s, &o, 0, &error), SAC_ERROR_ARGUMENT, &error,
                     "no frames are left to train on", NULL);
    sac_samples_close(&s);
}

// ---- resume ------------------------------------------------------------------------------------

// metrics.csv without the two columns that hold times.
enum { METRICS = 8 };
static void metrics_read(double rows[][METRICS], int64_t *count, const char *folder) {
    static const char *const wanted[METRICS] = {
        "epoch",         "train_loss",       "validation_loss",    "pseudo_auc",
        "learning_rate", "adversarial_loss", "discriminator_real", "discriminator_own"};
    sac_error error = {0};
    sac_csv *csv = NULL;
    char path[600];
    snprintf(path, sizeof path, "%s/metrics.csv", folder);
    sac_assert_ok(sac_csv_read(&csv, path, &error), &error);
    *count = sac_csv_rows(csv);
    cr_assert(*count <= 16);
    for (int64_t r = 0; r < *count; r++) {
        for (int c = 0; c < METRICS; c++) {
            const int column = sac_csv_column(csv, wanted[c]);
            cr_assert(column >= 0);
            const char *text = sac_csv_text(csv, r, column);
            rows[r][c] = text[0] == '\0' ? -1 : strtod(text, NULL);
        }
    }
    sac_csv_close(&csv);
}

static void metrics_same(const char *a, const char *b, const char *what) {
    double x[16][METRICS], y[16][METRICS];
    int64_t n = 0, m = 0;
    metrics_read(x, &n, a);
    metrics_read(y, &m, b);
    cr_assert_eq(n, m, "%s: %lld and %lld rows", what, (long long)n, (long long)m);
    cr_assert(n > 0);
    for (int64_t r = 0; r < n; r++) {
        for (int c = 0; c < METRICS; c++) {
            cr_assert(x[r][c] == y[r][c], "%s: row %lld column %d: %.9g, expected %.9g", what,
                      (long long)r, c, x[r][c], y[r][c]);
        }
    }
}

typedef struct whole {
    sac_samples samples;
    sac_trainer_options options;
    sac_model *model;
    sac_trainer_result result;
    const char *folder;
} whole;

// The run that was never stopped.
static whole whole_run(void) {
    whole w = {.samples = toy_samples(4, 1, 12, true, 1),
               .options = toy_options(),
               .model = toy_model(5),
               .folder = folder_make("whole")};
    sac_error error = {0};
    sac_assert_ok(toy_run(w.model, w.folder, &w.samples, &w.options, -1, false, &w.result, &error),
                  &error);
    cr_assert_eq(w.result.epochs, TOY_EPOCHS);
    cr_assert(!w.result.early_stop && !w.result.out_of_time);
    return w;
}

static void whole_close(whole *w) {
    sac_samples_close(&w->samples);
    sac_model_close(&w->model);
}

// A resumed run starts from a model with other weights: everything must come from the checkpoint.
static void finish_and_compare(whole *w, const char *folder, const char *what) {
    sac_error error = {0};
    sac_trainer_result result;
    sac_model *model = toy_model(99);
    sac_assert_ok(toy_run(model, folder, &w->samples, &w->options, -1, true, &result, &error),
                  &error);
    toy_same_params(w->model, model, what);
    metrics_same(w->folder, folder, what);
    cr_assert_eq(result.epochs, w->result.epochs);
    cr_assert_eq(result.best_epoch, w->result.best_epoch);
    cr_assert_eq(result.best_validation_loss, w->result.best_validation_loss);
    cr_assert_eq(result.best_pseudo_auc, w->result.best_pseudo_auc);
    sac_model_close(&model);
}

Test(distill_trainer, stopped_anywhere_and_resumed_it_is_the_same_run) {
    whole w = whole_run();
    // Within an epoch, at its last step (before validation), at its end, at the very last step.
    const int64_t stops[] = {1, 5, 6, 7, 11, 12, 17, 18};
    for (size_t i = 0; i < sizeof stops / sizeof stops[0]; i++) {
        char name[32];
        snprintf(name, sizeof name, "stopped at %d", (int)stops[i]);
        const char *folder = folder_make(name);
        sac_error error = {0};
        sac_model *model = toy_model(5);
        sac_assert_error(
            toy_run(model, folder, &w.samples, &w.options, stops[i], false, NULL, &error),
            SAC_ERROR_INTERRUPTED, &error, "--resume", folder, NULL);
        cr_assert_eq(toy_steps_taken, stops[i]);
        sac_model_close(&model);
        finish_and_compare(&w, folder, name);
    }
    whole_close(&w);
}

Test(distill_trainer, stopped_at_every_step_in_turn) {
    whole w = whole_run();
    const char *folder = folder_make("many stops");
    for (int64_t step = 1; step <= TOY_STEPS * TOY_EPOCHS; step++) {
        sac_error error = {0};
        sac_model *model = toy_model(step == 1 ? 5 : 90 + (uint64_t)step);
        const sac_status status =
            toy_run(model, folder, &w.samples, &w.options, step, step > 1, NULL, &error);
        cr_assert_eq(status, SAC_ERROR_INTERRUPTED, "step %d: %s", (int)step, error.message);
        sac_model_close(&model);
    }
    finish_and_compare(&w, folder, "many stops");
    // And once more: the run is over, nothing is trained.
    finish_and_compare(&w, folder, "resumed after its end");
    cr_assert_eq(toy_steps_taken, 0);
    whole_close(&w);
}

static void die_at_ten(void *user, int64_t step, int64_t steps, double loss) {
    (void)user;
    (void)steps;
    (void)loss;
    if (step == 10) _exit(9);
}

// Killed without warning at step 10, the last checkpoint being that of the first epoch's end. The
// child comes first: a process that has used OpenMP cannot fork a child that does.
Test(distill_trainer, killed_between_checkpoints_it_is_the_same_run) {
    const char *folder = folder_make("killed");
    const pid_t child = fork();
    cr_assert(child >= 0);
    if (child == 0) {
        sac_samples samples = toy_samples(4, 1, 12, true, 1);
        const sac_trainer_options options = toy_options();
        const sac_trainer_hooks hooks = {.step = die_at_ten};
        sac_trainer_result result;
        sac_model *model = toy_model(5);
        (void)!sac_trainer_run(&result, folder, model, &samples, &options, &hooks, false, NULL);
        _exit(1);
    }
    int state = 0;
    cr_assert_eq(waitpid(child, &state, 0), child);
    cr_assert(WIFEXITED(state) && WEXITSTATUS(state) == 9, "the child ended with %d", state);
    whole w = whole_run();
    finish_and_compare(&w, folder, "killed");
    cr_assert_eq(toy_steps_taken, TOY_STEPS * TOY_EPOCHS);
    whole_close(&w);
}

Test(distill_trainer, checkpoints_inside_an_epoch_change_nothing) {
    whole w = whole_run();
    const char *folder = folder_make("busy");
    sac_trainer_options options = w.options;
    options.checkpoint_s = 0;
    sac_error error = {0};
    sac_model *model = toy_model(5);
    sac_assert_ok(toy_run(model, folder, &w.samples, &options, -1, false, NULL, &error), &error);
    toy_same_params(w.model, model, "busy");
    metrics_same(w.folder, folder, "busy");
    sac_model_close(&model);
    whole_close(&w);
}

Test(distill_trainer, with_two_threads_two_runs_are_equal) {
    sac_samples samples = toy_samples(4, 1, 12, true, 1);
    sac_trainer_options options = toy_options();
    options.epochs = 1;
    sac_model *models[2];
    for (int i = 0; i < 2; i++) {
        sac_error error = {0};
        models[i] = toy_model(5);
        sac_nn_set_threads(2);
        const char *folder = folder_make(i == 0 ? "first" : "second");
        sac_assert_ok(toy_run(models[i], folder, &samples, &options, -1, false, NULL, &error),
                      &error);
    }
    toy_same_params(models[0], models[1], "two threads");
    metrics_same(sac_test_path("first"), sac_test_path("second"), "two threads");
    sac_model_close(&models[0]);
    sac_model_close(&models[1]);
    sac_samples_close(&samples);
}

static void row_mirror(float *row, int side) {
    for (int x = 0; x < side / 2; x++) {
        const float kept = row[x];
        row[x] = row[side - 1 - x];
        row[side - 1 - x] = kept;
    }
}

// Frames of one gray level stay as they are however they are moved, to the border; others do not.
Test(distill_trainer, shifting_moves_frames_and_repeats_the_border) {
    sac_samples samples = toy_samples(4, 1, 12, true, 1);
    sac_trainer_options options = toy_options();
    options.epochs = 1;
    sac_error error = {0};
    sac_model *models[4];
    const char *const names[4] = {"still", "moved", "flat", "flat-moved"};
    for (int i = 0; i < 4; i++) {
        if (i == 2) {
            for (int64_t c = 0; c < samples.count; c++) {
                sac_sample_clip *clip = &samples.clips[c];
                for (int64_t t = 0; t < clip->frames; t++) {
                    memset(clip->pixels + t * TOY_WIDTH * TOY_HEIGHT, (int)(50 + 13 * t % 90),
                           (size_t)TOY_WIDTH * TOY_HEIGHT);
                }
            }
        }
        options.augment.shift = i % 2 == 1 ? 5 : 0;
        models[i] = toy_model(5);
        sac_assert_ok(
            toy_run(models[i], folder_make(names[i]), &samples, &options, -1, false, NULL, &error),
            &error);
    }
    toy_same_params(models[2], models[3], "a flat frame is the same wherever it lies");
    const sac_param *still = sac_params_find(models[0]->params, "stem0.conv.weight"),
                    *moved = sac_params_find(models[1]->params, "stem0.conv.weight");
    cr_assert(memcmp(still->data, moved->data, (size_t)still->count * sizeof(float)) != 0);
    for (int i = 0; i < 4; i++) sac_model_close(&models[i]);
    sac_samples_close(&samples);
}

static void samples_mirror(sac_samples *s) {
    for (int64_t c = 0; c < s->count; c++) {
        sac_sample_clip *clip = &s->clips[c];
        for (int64_t row = 0; row < clip->frames * TOY_HEIGHT; row++) {
            uint8_t *pixels = clip->pixels + row * TOY_WIDTH;
            for (int x = 0; x < TOY_WIDTH / 2; x++) {
                const uint8_t kept = pixels[x];
                pixels[x] = pixels[TOY_WIDTH - 1 - x];
                pixels[TOY_WIDTH - 1 - x] = kept;
            }
        }
        for (int64_t row = 0; row < clip->frames * 16; row++) {
            row_mirror(clip->maps[0].map16 + row * 16, 16);
        }
        for (int64_t row = 0; row < clip->frames * 4; row++) {
            row_mirror(clip->maps[0].map4 + row * 4, 4);
        }
    }
}

// To mirror every sample is to train on mirrored frames with mirrored maps.
Test(distill_trainer, flipping_all_samples_is_mirroring_the_data) {
    sac_samples samples = toy_samples(4, 1, 12, true, 1);
    sac_trainer_options options = toy_options();
    options.epochs = 1;
    sac_error error = {0};
    sac_model *models[3];
    const double flips[3] = {1, 0.5, 0};
    const char *const names[3] = {"flipped", "half", "mirrored"};
    for (int i = 0; i < 3; i++) {
        if (i == 2) samples_mirror(&samples);
        options.augment.flip = flips[i];
        models[i] = toy_model(5);
        sac_assert_ok(
            toy_run(models[i], folder_make(names[i]), &samples, &options, -1, false, NULL, &error),
            &error);
    }
    toy_same_params(models[0], models[2], "flipped");
    const sac_param *all = sac_params_find(models[0]->params, "stem0.conv.weight"),
                    *half = sac_params_find(models[1]->params, "stem0.conv.weight");
    cr_assert(memcmp(all->data, half->data, (size_t)all->count * sizeof(float)) != 0);
    for (int i = 0; i < 3; i++) sac_model_close(&models[i]);
    sac_samples_close(&samples);
}

// Noise, blur and compression draw from position alone: a stopped run goes on bit by bit.
Test(distill_trainer, deep_augmentation_resumes_exactly) {
    sac_samples samples = toy_samples(4, 1, 12, true, 1);
    sac_trainer_options options = toy_options();
    options.epochs = 2;
    options.augment = (sac_augment_options){
        .jitter = 0.1, .shift = 2, .gamma = 0.2, .blur = 0.5, .noise = 5, .compression = 0.5};
    sac_error error = {0};
    sac_model *full = toy_model(5), *parts = toy_model(5);
    const char *folder = folder_make("parts");
    sac_assert_ok(toy_run(full, folder_make("whole"), &samples, &options, -1, false, NULL, &error),
                  &error);
    sac_assert_error(toy_run(parts, folder, &samples, &options, 4, false, NULL, &error),
                     SAC_ERROR_INTERRUPTED, &error, NULL);
    sac_model_close(&parts);
    parts = toy_model(6);
    sac_assert_ok(toy_run(parts, folder, &samples, &options, -1, true, NULL, &error), &error);
    toy_same_params(full, parts, "resumed");
    sac_model_close(&full);
    sac_model_close(&parts);
    sac_samples_close(&samples);
}

Test(distill_trainer, another_seed_is_another_run) {
    whole w = whole_run();
    sac_trainer_options options = w.options;
    options.seed = 2;
    sac_error error = {0};
    sac_trainer_result result;
    sac_model *model = toy_model(5);
    sac_assert_ok(
        toy_run(model, folder_make("seed"), &w.samples, &options, -1, false, &result, &error),
        &error);
    cr_assert_neq(result.best_validation_loss, w.result.best_validation_loss);
    sac_model_close(&model);
    whole_close(&w);
}

// ---- ends of a run -----------------------------------------------------------------------------

Test(distill_trainer, time_limit_ends_the_run_and_more_time_continues_it_exactly) {
    whole w = whole_run();
    const char *folder = folder_make("short");
    sac_trainer_options options = w.options;
    options.max_minutes = 1e-9;
    for (int again = 0; again < 2; again++) {
        sac_error error = {0};
        sac_trainer_result result;
        sac_model *model = toy_model(5);
        sac_assert_ok(toy_run(model, folder, &w.samples, &options, -1, again == 1, &result, &error),
                      &error);
        cr_assert(result.out_of_time && !result.early_stop);
        cr_assert_eq(result.epochs, 1);
        cr_assert_eq(result.best_epoch, 1);
        cr_assert(isfinite(result.best_validation_loss));
        cr_assert_eq(toy_steps_taken, again == 0 ? 1 : 0, "no step without time");
        sac_model_close(&model);
    }
    finish_and_compare(&w, folder, "time limit");
    whole_close(&w);
}

// At this rate the outputs saturate at once and validation cannot improve for long.
Test(distill_trainer, patience_ends_the_run_and_resuming_adds_nothing) {
    sac_samples samples = toy_samples(4, 1, 12, true, 1);
    sac_trainer_options options = toy_options();
    options.learning_rate = 1;
    options.epochs = 60;
    options.patience = 3;
    options.samples_per_epoch = 16;
    const char *folder = folder_make("patience");
    sac_trainer_result first, second;
    sac_error error = {0};
    sac_model *model = toy_model(5), *again = toy_model(6);
    sac_assert_ok(toy_run(model, folder, &samples, &options, -1, false, &first, &error), &error);
    cr_assert(first.early_stop && !first.out_of_time);
    cr_assert_eq(first.epochs - first.best_epoch, 3);
    cr_assert(first.epochs < 60);
    sac_assert_ok(toy_run(again, folder, &samples, &options, -1, true, &second, &error), &error);
    cr_assert_eq(toy_steps_taken, 0);
    cr_assert(second.early_stop);
    cr_assert_eq(second.epochs, first.epochs);
    toy_same_params(model, again, "resumed after the early stop");
    sac_model_close(&model);
    sac_model_close(&again);
    sac_samples_close(&samples);
}

// ---- several teachers --------------------------------------------------------------------------

Test(distill_trainer, two_equal_teachers_of_half_weight_are_one) {
    sac_samples one = toy_samples(4, 1, 12, true, 1), two = toy_samples(4, 1, 12, true, 2);
    two.weights[0] = two.weights[1] = 0.5;
    sac_trainer_options options = toy_options();
    options.adversarial = 0; // every teacher's discriminator begins elsewhere
    sac_trainer_result single, result;
    sac_error error = {0};
    sac_model *model = toy_model(5);
    sac_assert_ok(toy_run(model, folder_make("one"), &one, &options, -1, false, &single, &error),
                  &error);
    sac_model_close(&model);
    model = toy_model(5);
    sac_assert_ok(toy_run(model, folder_make("two"), &two, &options, -1, false, &result, &error),
                  &error);
    // Sums in another order: equal up to rounding, which training magnifies a little.
    cr_assert_float_eq(result.best_validation_loss, single.best_validation_loss,
                       1e-3 * single.best_validation_loss);
    sac_model_close(&model);
    // Another opinion of the second teacher matters.
    for (int64_t c = 0; c < two.count; c++) {
        const sac_maps *maps = &two.clips[c].maps[1];
        memset(maps->map16, 0, (size_t)maps->frames * 256 * sizeof(float));
        memset(maps->map4, 0, (size_t)maps->frames * 16 * sizeof(float));
        memset(maps->map1, 0, (size_t)maps->frames * sizeof(float));
    }
    model = toy_model(5);
    sac_assert_ok(toy_run(model, folder_make("odd"), &two, &options, -1, false, &result, &error),
                  &error);
    cr_assert(fabs(result.best_validation_loss - single.best_validation_loss) >
              1e-2 * single.best_validation_loss);
    sac_model_close(&model);
    sac_samples_close(&two);
    sac_samples_close(&one);
}

// ---- learning ----------------------------------------------------------------------------------

// The lowest loss that any three constants, one a scale, reach on what is held back: what a student
// gets that has learned how bright maps are and nothing of the frames.
static double constant_loss(const sac_samples *s, const sac_trainer_options *options) {
    static const int64_t cells[3] = {256, 16, 1};
    double total = 0;
    for (int k = 0; k < 3; k++) {
        double weights = 0, weighted = 0, squares = 0;
        int64_t count = 0;
        for (int64_t c = 0; c < s->count; c++) {
            const sac_sample_clip *clip = &s->clips[c];
            const float *maps[3] = {clip->maps[0].map16, clip->maps[0].map4, clip->maps[0].map1};
            for (int64_t i = clip->validation_from * cells[k]; i < clip->frames * cells[k]; i++) {
                const double t = (double)maps[k][i], w = 1 + options->emphasis * t;
                weights += w;
                weighted += w * t;
                squares += w * t * t;
                count++;
            }
        }
        total +=
            options->scale_weights[k] * (squares - weighted * weighted / weights) / (double)count;
    }
    return total;
}

Test(distill_trainer, a_student_learns_what_hurries) {
    sac_samples samples = toy_samples(32, 6, 20, true, 1);
    sac_trainer_options options = toy_options();
    options.epochs = 8;
    options.batch = 8;
    options.samples_per_epoch = 480;
    sac_trainer_result result;
    sac_error error = {0};
    const char *folder = folder_make("learn");
    sac_model *model = toy_model(5);
    sac_assert_ok(toy_run(model, folder, &samples, &options, -1, false, &result, &error), &error);
    double rows[16][METRICS];
    int64_t count = 0;
    metrics_read(rows, &count, folder);
    cr_assert_eq(count, 8);
    const double constant = constant_loss(&samples, &options);
    cr_assert(result.best_validation_loss < 0.5 * constant,
              "validation loss %g, constants reach %g", result.best_validation_loss, constant);
    cr_assert(rows[7][1] < 0.5 * rows[0][1], "training loss %g, then %g", rows[0][1], rows[7][1]);
    cr_assert(result.best_pseudo_auc > 0.95, "AUC %g", result.best_pseudo_auc);
    sac_model_close(&model);
    sac_samples_close(&samples);
}

// ---- errors ------------------------------------------------------------------------------------

Test(distill_trainer, a_target_that_is_not_a_number_names_the_step) {
    sac_samples samples = toy_samples(4, 1, 12, true, 1);
    const sac_trainer_options options = toy_options();
    // The frame that comes first in the fourth step of the second epoch, and not before.
    sac_sample_ref *refs[2] = {order_make(&samples, &options, 0),
                               order_make(&samples, &options, 1)};
    int64_t wanted = -1;
    for (int64_t i = 24; i < 32 && wanted < 0; i++) {
        bool before = false;
        for (int64_t k = 0; k < 48; k++) {
            before |= memcmp(&refs[0][k], &refs[1][i], sizeof *refs[0]) == 0;
        }
        for (int64_t k = 0; k < 24; k++) {
            before |= memcmp(&refs[1][k], &refs[1][i], sizeof *refs[0]) == 0;
        }
        if (!before) wanted = i;
    }
    cr_assert(wanted >= 0, "every frame of the step was drawn before: choose other sizes");
    const sac_sample_ref ref = refs[1][wanted];
    samples.clips[ref.clip].maps[0].map4[ref.frame * 16 + 5] = NAN;
    sac_error error = {0};
    sac_model *model = toy_model(5);
    sac_assert_error(
        toy_run(model, folder_make("nan"), &samples, &options, -1, false, NULL, &error),
        SAC_ERROR_NUMERIC, &error, "epoch 2 step 4", "loss is not finite", NULL);
    sac_model_close(&model);
    sac_free(refs[0]);
    sac_free(refs[1]);
    sac_samples_close(&samples);
}

Test(distill_trainer, a_held_back_target_that_is_not_a_number_names_the_epoch) {
    sac_samples samples = toy_samples(4, 1, 12, true, 1);
    const sac_trainer_options options = toy_options();
    samples.clips[0].maps[0].map1[3] = NAN;
    sac_error error = {0};
    sac_model *model = toy_model(5);
    sac_assert_error(
        toy_run(model, folder_make("nan"), &samples, &options, -1, false, NULL, &error),
        SAC_ERROR_NUMERIC, &error, "epoch 1", "validation loss is not finite", NULL);
    sac_model_close(&model);
    sac_samples_close(&samples);
}

Test(distill_trainer, a_weight_that_is_not_a_number_names_the_step) {
    sac_samples samples = toy_samples(4, 1, 12, true, 1);
    const sac_trainer_options options = toy_options();
    sac_error error = {0};
    sac_model *model = toy_model(5);
    sac_params_find(model->params, "head4.logit.weight")->data[3] = NAN;
    sac_assert_error(
        toy_run(model, folder_make("nan"), &samples, &options, -1, false, NULL, &error),
        SAC_ERROR_NUMERIC, &error, "epoch 1 step 1", NULL);
    sac_model_close(&model);
    sac_samples_close(&samples);
}

Test(distill_trainer, options_out_of_range_say_which) {
    sac_samples samples = toy_samples(4, 1, 12, true, 1);
    sac_model *model = toy_model(5);
    const struct {
        size_t offset;
        bool integer;
        double value;
        const char *text;
    } cases[] = {
#define FIELD(member) offsetof(sac_trainer_options, member)
        {FIELD(epochs), true, 0, "epochs"},
        {FIELD(batch), true, 0, "batch"},
        {FIELD(batch), true, 51, "samples per epoch"},
        {FIELD(samples_per_epoch), true, 7, "samples per epoch"},
        {FIELD(learning_rate), false, 0, "learning rate"},
        {FIELD(learning_rate), false, NAN, "learning rate"},
        {FIELD(weight_decay), false, -1, "weight decay"},
        {FIELD(clip_norm), false, -1, "clip norm"},
        {FIELD(patience), true, -1, "patience"},
        {FIELD(pseudo_fraction), false, 1.5, "pseudo fraction"},
        {FIELD(emphasis), false, -1, "emphasis"},
        {FIELD(augment.jitter), false, 1, "jitter"},
        {FIELD(augment.flip), false, 1.5, "flipped"},
        {FIELD(augment.shift), true, -1, "shift"},
        {FIELD(augment.shift), true, 65, "shift"},
        {FIELD(augment.gamma), false, 1.1, "gamma"},
        {FIELD(augment.blur), false, -0.1, "blur"},
        {FIELD(augment.noise), false, 65, "noise"},
        {FIELD(augment.compression), false, 1.1, "compressed"},
        {FIELD(scale_weights[1]), false, -1, "scales"},
        {FIELD(adversarial), false, -0.1, "adversarial term"},
        {FIELD(adversarial_warmup), true, -1, "warm-up"},
        {FIELD(max_minutes), false, NAN, "time limit"},
        {FIELD(checkpoint_s), false, -1, "checkpoints"},
#undef FIELD
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        sac_trainer_options options = toy_options();
        char *member = (char *)&options + cases[i].offset;
        const int64_t integer = (int64_t)(isnan(cases[i].value) ? 0 : cases[i].value);
        if (cases[i].integer) {
            memcpy(member, &integer, sizeof integer);
        } else {
            memcpy(member, &cases[i].value, sizeof cases[i].value);
        }
        sac_error error = {0};
        sac_assert_error(
            toy_run(model, sac_test_folder(), &samples, &options, -1, false, NULL, &error),
            SAC_ERROR_ARGUMENT, &error, cases[i].text, NULL);
        sac_error early = {0};
        sac_assert_error(sac_trainer_check(sac_test_folder(), model, &options, false, &early),
                         SAC_ERROR_ARGUMENT, &early, cases[i].text, NULL);
    }
    cr_assert_eq(sac_test_folder_count(), 0, "nothing is written");
    sac_model_close(&model);
    sac_samples_close(&samples);
}

Test(distill_trainer, nothing_to_train_on_or_to_validate) {
    const sac_trainer_options options = toy_options();
    sac_model *model = toy_model(5);
    sac_error error = {0};
    sac_samples samples = toy_samples(2, 0, 12, true, 1);
    sac_assert_error(toy_run(model, sac_test_folder(), &samples, &options, -1, false, NULL, &error),
                     SAC_ERROR_ARGUMENT, &error, "held back for validation", NULL);
    sac_samples_close(&samples);
    samples = toy_samples(2, 2, 12, true, 1);
    sac_assert_error(toy_run(model, sac_test_folder(), &samples, &options, -1, false, NULL, &error),
                     SAC_ERROR_ARGUMENT, &error, "no frames are left to train on", NULL);
    sac_samples_close(&samples);
    samples = toy_samples(2, 1, 12, true, 1);
    samples.preprocess.height = 16;
    sac_assert_error(toy_run(model, sac_test_folder(), &samples, &options, -1, false, NULL, &error),
                     SAC_ERROR_ARGUMENT, &error, "48x16", "48x32", NULL);
    sac_samples_close(&samples);
    sac_model_close(&model);
}

// One frame a clip: the three planes of a sample are the same, and it still trains.
Test(distill_trainer, clips_of_one_frame) {
    sac_samples samples = toy_samples(3, 1, 1, true, 1);
    sac_trainer_options options = toy_options();
    options.epochs = 1;
    sac_trainer_result result;
    sac_error error = {0};
    sac_model *model = toy_model(5);
    sac_assert_ok(
        toy_run(model, folder_make("one"), &samples, &options, -1, false, &result, &error), &error);
    cr_assert_eq(result.epochs, 1);
    sac_model_close(&model);
    sac_samples_close(&samples);
}

Test(distill_trainer, without_altered_clips_there_is_no_pseudo_auc) {
    sac_samples samples = toy_samples(4, 1, 12, false, 1);
    sac_trainer_options options = toy_options();
    options.epochs = 1;
    sac_trainer_result result;
    sac_error error = {0};
    sac_model *model = toy_model(5);
    sac_assert_ok(sac_trainer_run(&result, folder_make("plain"), model, &samples, &options, NULL,
                                  false, &error),
                  &error);
    cr_assert(isnan(result.best_pseudo_auc));
    double rows[16][METRICS];
    int64_t count = 0;
    metrics_read(rows, &count, sac_test_path("plain"));
    cr_assert_eq(count, 1);
    cr_assert_eq(rows[0][3], -1, "the cell is empty");
    sac_model_close(&model);
    sac_samples_close(&samples);
}

// Each allocation of a run fails once.
Test(distill_trainer, out_of_memory_is_an_error) {
    sac_samples samples = toy_samples(2, 1, 4, true, 1);
    sac_trainer_options options = toy_options();
    options.epochs = 1;
    options.batch = 2;
    options.samples_per_epoch = 2;
    const char *folder = folder_make("memory");
    char path[600];
    snprintf(path, sizeof path, "%s/checkpoint.safetensors", folder);
    int64_t failures = 0;
    // Late ones, inside a checkpoint of many tensors, are alike: every seventh is enough.
    for (int64_t at = 0;; at += at < 60 ? 1 : 7) {
        sac_error error = {0};
        sac_model *model = toy_model(5);
        (void)remove(path);
        sac_trainer_result result;
        sac_memory_fail_after(at);
        const sac_status status =
            sac_trainer_run(&result, folder, model, &samples, &options, NULL, false, &error);
        sac_memory_fail_after(-1);
        sac_model_close(&model);
        if (status == SAC_OK) break;
        failures++;
        cr_assert_eq(status, SAC_ERROR_MEMORY, "allocation %lld: %s (%s)", (long long)at,
                     sac_status_name(status), error.message);
        cr_assert(error.message[0] != '\0');
    }
    cr_assert(failures > 60);
    sac_samples_close(&samples);
}

// A student with two of the maps: trained, validated and resumed with these alone; weights of
// scales that leave it nothing to learn are refused.
Test(distill_trainer, fewer_maps) {
    sac_samples samples = toy_samples(4, 1, 12, true, 2);
    sac_trainer_options o = toy_options();
    sac_model *models[2] = {NULL, NULL};
    sac_trainer_result result;
    sac_error error = {0};
    for (int i = 0; i < 2; i++) {
        sac_rng rng;
        sac_nn_set_threads(1);
        sac_assert_ok(sac_model_create(&models[i], "tiny-s:16,1", &samples.preprocess, &error),
                      &error);
        sac_rng_seed(&rng, 3, 1);
        sac_params_init(models[i]->params, &rng);
        const char *folder = sac_test_path(i == 0 ? "few" : "few_parts");
        sac_assert_ok(sac_folder_create(folder, &error), &error);
        if (i == 1)
            cr_assert_eq(toy_run(models[i], folder, &samples, &o, 8, false, &result, &error),
                         SAC_ERROR_INTERRUPTED);
        sac_assert_ok(toy_run(models[i], folder, &samples, &o, -1, i == 1, &result, &error),
                      &error);
        cr_assert(isfinite(result.best_validation_loss) && isfinite(result.best_pseudo_auc));
    }
    toy_same_params(models[0], models[1], "resumed");
    uint8_t *text = NULL;
    size_t size = 0;
    sac_assert_ok(sac_file_read(&text, &size, sac_test_path("few/metrics.csv"), 1 << 20, &error),
                  &error);
    // The columns of the 4x4 map, the second of three, are empty.
    const char *row = strchr((const char *)text, '\n') + 1;
    for (int column = 0; column < 15; column++, row = strchr(row, ',') + 1)
        cr_assert_eq(*row == ',', column == 11 || column == 14, "column %d: %.20s", column, row);
    sac_free(text);
    const double nothing[3] = {0, 1, 0};
    memcpy(o.scale_weights, nothing, sizeof nothing);
    sac_assert_ok(sac_folder_create(sac_test_path("nothing"), &error), &error);
    sac_assert_error(
        toy_run(models[0], sac_test_path("nothing"), &samples, &o, -1, false, NULL, &error),
        SAC_ERROR_ARGUMENT, &error, "every map", NULL);
    sac_model_close(&models[0]);
    sac_model_close(&models[1]);
    sac_samples_close(&samples);
}
