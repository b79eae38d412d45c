// Optimiser: ten steps against the published update in double, clipping, both decays, refusal of
// bad gradients, exact store and load; schedules against their formulas.
#include <float.h>
#include <math.h>
#include <string.h>

#ifdef _OPENMP
#    include <omp.h>
#endif

#include <criterion/criterion.h>

#include "core/memory.h"
#include "core/rng.h"
#include "helper.h"
#include "nn/optim.h"

// A dense layer (weight, bias) behind a batch norm, whose running statistics are not trainable.
static sac_params *make_params(int64_t channels, uint64_t seed) {
    sac_error error = {0};
    sac_net *net = NULL;
    sac_params *params = NULL;
    sac_assert_ok(sac_net_create(&net), &error);
    int x = sac_net_input(net, "x", 3, (int64_t[]){3, 2, 2});
    x = sac_net_batch_norm(net, "norm", x);
    x = sac_net_dense(net, "head", x, channels, true);
    sac_net_output(net, x);
    sac_assert_ok(sac_params_create(&params, net, &error), &error);
    sac_net_close(&net);
    sac_rng rng;
    sac_rng_seed(&rng, seed, 1);
    for (int64_t t = 0; t < sac_params_count(params); t++) {
        sac_param *p = sac_params_at(params, t);
        for (int64_t i = 0; i < p->count; i++) p->data[i] = (float)sac_rng_normal(&rng);
    }
    return params;
}

// Gradients of very different sizes, as after a real backward pass.
static void draw_gradients(sac_params *params, uint64_t seed, int64_t step) {
    sac_rng rng;
    sac_rng_seed(&rng, seed, (uint64_t)(100 + step));
    for (int64_t t = 0; t < sac_params_count(params); t++) {
        sac_param *p = sac_params_at(params, t);
        for (int64_t i = 0; p->trainable && i < p->count; i++)
            p->grad[i] = (float)(sac_rng_normal(&rng) * pow(10, (double)(i % 5) - 3));
    }
}

static double norm_of(const sac_params *params) {
    double sum = 0;
    for (int64_t t = 0; t < sac_params_count(params); t++) {
        const sac_param *p = sac_params_at(params, t);
        for (int64_t i = 0; p->trainable && i < p->count; i++)
            sum += (double)p->grad[i] * p->grad[i];
    }
    return sqrt(sum);
}

// The published algorithm for one element, in double throughout.
typedef struct textbook {
    double p, m, v;
} textbook;

static void textbook_step(textbook *e, double g, int t, const sac_adam_options *o, double rate) {
    double before = e->p;
    if (!o->decoupled) g += o->weight_decay * before;
    e->m = o->beta1 * e->m + (1 - o->beta1) * g;
    e->v = o->beta2 * e->v + (1 - o->beta2) * g * g;
    double m_hat = e->m / (1 - pow(o->beta1, t)), v_hat = e->v / (1 - pow(o->beta2, t));
    e->p = before - rate * m_hat / (sqrt(v_hat) + o->epsilon);
    if (o->decoupled) e->p -= rate * o->weight_decay * before;
}

Test(nn_optim, ten_steps_are_the_published_update) {
    sac_adam_options cases[6];
    for (int c = 0; c < 6; c++) cases[c] = sac_adam_default_options();
    cases[1].weight_decay = 0.1;
    cases[2].weight_decay = 0.1, cases[2].decoupled = true;
    cases[3].clip_norm = 1.5;
    cases[4].clip_norm = 1e9; // never reached
    cases[5] = (sac_adam_options){.learning_rate = 0.05,
                                  .beta1 = 0.5,
                                  .beta2 = 0.9,
                                  .epsilon = 1e-3,
                                  .weight_decay = 0.02,
                                  .decoupled = true,
                                  .clip_norm = 0.7};
    for (int c = 0; c < 6; c++) {
        const sac_adam_options *o = &cases[c];
        sac_error error = {0};
        sac_params *params = make_params(17, 9), *start = make_params(17, 9);
        sac_adam *adam = NULL;
        sac_assert_ok(sac_adam_create(&adam, params, o), &error);
        int64_t tensors = sac_params_count(params);
        textbook *expected[8] = {NULL};
        cr_assert(tensors == 6);
        for (int64_t t = 0; t < tensors; t++) {
            const sac_param *p = sac_params_at(params, t);
            expected[t] = sac_calloc(p->count, sizeof(textbook));
            for (int64_t i = 0; i < p->count; i++) expected[t][i].p = p->data[i];
        }
        for (int step = 1; step <= 10; step++) {
            // The option's own rate, then changing ones as from a schedule.
            double given = step <= 3 ? 0 : 0.01 * step, rate = given > 0 ? given : o->learning_rate;
            draw_gradients(params, 2, step);
            double norm = norm_of(params), reported = NAN;
            double clip = o->clip_norm > 0 && norm > o->clip_norm ? o->clip_norm / norm : 1;
            cr_assert(c != 3 || clip < 1, "the case does not clip");
            for (int64_t t = 0; t < tensors; t++) {
                const sac_param *p = sac_params_at(params, t);
                for (int64_t i = 0; p->trainable && i < p->count; i++)
                    textbook_step(&expected[t][i], clip * p->grad[i], step, o, rate);
            }
            float *grad = sac_params_at(params, 0)->grad, kept = grad ? grad[0] : 0;
            sac_assert_ok(sac_adam_step(adam, params, given, &reported, &error), &error);
            cr_assert(grad == NULL || grad[0] == kept, "the step changed a gradient");
            cr_assert(fabs(reported - norm) <= 1e-12 * norm, "norm %g, want %g", reported, norm);
            cr_assert_eq(sac_adam_steps(adam), step);
            for (int64_t t = 0; t < tensors; t++) {
                const sac_param *p = sac_params_at(params, t);
                for (int64_t i = 0; i < p->count; i++) {
                    double want =
                        p->trainable ? expected[t][i].p : sac_params_at(start, t)->data[i];
                    // One rounding of parameter and moments to f32 per step.
                    double limit =
                        p->trainable ? step * 4 * (double)FLT_EPSILON * (1 + fabs(want)) : 0;
                    cr_assert(fabs(p->data[i] - want) <= limit,
                              "case %d step %d %s[%lld]: %.9g, want %.9g", c, step, p->name,
                              (long long)i, (double)p->data[i], want);
                }
            }
        }
        for (int64_t t = 0; t < tensors; t++) sac_free(expected[t]);
        sac_adam_close(&adam);
        cr_assert_null(adam);
        sac_params_close(&params);
        sac_params_close(&start);
    }
}

// With a constant gradient the first step has length lr whatever the gradient's size; the two
// decays differ.
Test(nn_optim, l2_and_decoupled_decay_differ_as_published) {
    for (int decoupled = 0; decoupled < 2; decoupled++) {
        sac_error error = {0};
        sac_params *params = make_params(3, 1);
        sac_adam_options o = sac_adam_default_options();
        o.learning_rate = 0.1, o.weight_decay = 0.5, o.decoupled = decoupled == 1;
        sac_adam *adam = NULL;
        sac_assert_ok(sac_adam_create(&adam, params, &o), &error);
        sac_params_zero_grad(params);
        sac_param *p = sac_params_find(params, "head.bias");
        cr_assert_not_null(p);
        p->data[0] = 2;
        sac_assert_ok(sac_adam_step(adam, params, 0, NULL, &error), &error);
        // L2: gradient 1, normalised to a step of lr. Decoupled: no gradient at all, p *= 1 - lr *
        // decay.
        cr_assert_float_eq(p->data[0], decoupled ? 2 * (1 - 0.1 * 0.5) : 2 - 0.1, 1e-6);
        sac_adam_close(&adam);
        sac_params_close(&params);
    }
}

Test(nn_optim, finds_the_minimum_of_a_quadratic) {
    sac_error error = {0};
    sac_params *params = make_params(4, 3);
    sac_adam_options o = sac_adam_default_options();
    sac_adam *adam = NULL;
    sac_assert_ok(sac_adam_create(&adam, params, &o), &error);
    sac_schedule schedule = {.kind = SAC_SCHEDULE_COSINE, .base = 0.05, .warmup = 10, .total = 600};
    for (int step = 0; step < 600; step++) {
        for (int64_t t = 0; t < sac_params_count(params); t++) {
            sac_param *p = sac_params_at(params, t);
            for (int64_t i = 0; p->trainable && i < p->count; i++)
                p->grad[i] = 2 * (p->data[i] - 0.25f * (float)(i % 7));
        }
        sac_assert_ok(sac_adam_step(adam, params, sac_schedule_rate(&schedule, step), NULL, &error),
                      &error);
    }
    for (int64_t t = 0; t < sac_params_count(params); t++) {
        sac_param *p = sac_params_at(params, t);
        for (int64_t i = 0; p->trainable && i < p->count; i++)
            cr_assert(fabsf(p->data[i] - 0.25f * (float)(i % 7)) < 1e-3f, "%s[%lld] is %g", p->name,
                      (long long)i, (double)p->data[i]);
    }
    sac_adam_close(&adam);
    sac_params_close(&params);
}

// Parameters and state as one comparable container.
static sac_safetensors *snapshot(const sac_adam *adam, const sac_params *params) {
    sac_error error = {0};
    sac_safetensors *st = NULL;
    sac_assert_ok(sac_safetensors_create(&st), &error);
    sac_assert_ok(sac_params_store(params, st, "net.", &error), &error);
    sac_assert_ok(sac_adam_store(adam, params, st, "adam.", &error), &error);
    return st;
}

static void assert_same(const sac_safetensors *a, const sac_safetensors *b, const char *what) {
    cr_assert_eq(sac_safetensors_count(a), sac_safetensors_count(b));
    for (int64_t i = 0; i < sac_safetensors_count(a); i++) {
        const sac_named_tensor *x = sac_safetensors_at(a, i), *y = sac_safetensors_at(b, i);
        cr_assert_str_eq(x->name, y->name);
        size_t size = x->dtype == SAC_DTYPE_F32 ? 4 : 8;
        cr_assert_eq(memcmp(x->data, y->data, (size_t)x->count * size), 0, "%s: \"%s\" differs",
                     what, x->name);
    }
}

Test(nn_optim, a_gradient_that_is_not_finite_changes_nothing) {
    const float bad[] = {NAN, INFINITY, -INFINITY};
    sac_error error = {0};
    sac_params *params = make_params(17, 4);
    sac_adam_options o = sac_adam_default_options();
    o.clip_norm = 1;
    sac_adam *adam = NULL;
    sac_assert_ok(sac_adam_create(&adam, params, &o), &error);
    draw_gradients(params, 5, 1);
    sac_assert_ok(sac_adam_step(adam, params, 0, NULL, &error), &error);
    sac_safetensors *before = snapshot(adam, params);
    for (int i = 0; i < 3; i++) {
        for (int64_t t = 0; t < sac_params_count(params); t++) {
            sac_param *p = sac_params_at(params, t);
            if (!p->trainable) continue;
            draw_gradients(params, 5, 2);
            p->grad[p->count - 1] = bad[i];
            error = (sac_error){0};
            sac_assert_error(sac_adam_step(adam, params, 0, NULL, &error), SAC_ERROR_NUMERIC,
                             &error, p->name, "step 2", "not finite", NULL);
            sac_safetensors *after = snapshot(adam, params);
            assert_same(before, after, "after a refused step");
            sac_safetensors_close(&after);
            cr_assert_eq(sac_adam_steps(adam), 1);
        }
    }
    draw_gradients(params, 5, 2);
    error = (sac_error){0};
    sac_assert_error(sac_adam_step(adam, params, NAN, NULL, &error), SAC_ERROR_ARGUMENT, &error,
                     "learning rate", NULL);
    error = (sac_error){0};
    sac_assert_ok(sac_adam_step(adam, params, 0, NULL, &error), &error);
    sac_safetensors_close(&before);
    sac_adam_close(&adam);
    sac_params_close(&params);
}

// f32 gradients near the largest number: squares overflow f32, state and parameters must not.
Test(nn_optim, huge_gradients_stay_finite) {
    sac_error error = {0};
    sac_params *params = make_params(3, 4);
    sac_adam_options o = sac_adam_default_options();
    sac_adam *adam = NULL;
    sac_assert_ok(sac_adam_create(&adam, params, &o), &error);
    for (int step = 0; step < 3; step++) {
        for (int64_t t = 0; t < sac_params_count(params); t++) {
            sac_param *p = sac_params_at(params, t);
            for (int64_t i = 0; p->trainable && i < p->count; i++) p->grad[i] = 3e38f;
        }
        double norm = 0;
        sac_assert_ok(sac_adam_step(adam, params, 0, &norm, &error), &error);
        cr_assert(isfinite(norm) && norm > 3e38);
        sac_assert_ok(sac_params_check_finite(params, &error), &error);
    }
    sac_safetensors *st = snapshot(adam, params);
    sac_assert_ok(sac_adam_load(adam, params, st, "adam.", "huge", &error), &error);
    sac_safetensors_close(&st);
    sac_adam_close(&adam);
    sac_params_close(&params);
}

Test(nn_optim, store_and_load_continue_bit_for_bit) {
    sac_error error = {0};
    sac_params *a = make_params(17, 6), *b = make_params(17, 7);
    sac_adam_options o = sac_adam_default_options();
    o.weight_decay = 0.01, o.clip_norm = 2;
    sac_adam *first = NULL, *second = NULL;
    sac_assert_ok(sac_adam_create(&first, a, &o), &error);
    for (int step = 1; step <= 4; step++) {
        draw_gradients(a, 8, step);
        sac_assert_ok(sac_adam_step(first, a, 0, NULL, &error), &error);
    }
    const char *path = sac_test_path("adam.safetensors");
    sac_safetensors *st = snapshot(first, a), *read = NULL;
    sac_assert_ok(sac_safetensors_write(st, path, &error), &error);
    sac_assert_ok(sac_safetensors_read(&read, path, &error), &error);
    sac_assert_ok(sac_adam_create(&second, b, &o), &error);
    sac_assert_ok(sac_params_load(b, read, "net.", path, &error), &error);
    sac_assert_ok(sac_adam_load(second, b, read, "adam.", path, &error), &error);
    cr_assert_eq(sac_adam_steps(second), 4);
    for (int step = 5; step <= 8; step++) {
        draw_gradients(a, 8, step);
        draw_gradients(b, 8, step);
        sac_assert_ok(sac_adam_step(first, a, 0.01, NULL, &error), &error);
        sac_assert_ok(sac_adam_step(second, b, 0.01, NULL, &error), &error);
    }
    sac_safetensors *x = snapshot(first, a), *y = snapshot(second, b);
    assert_same(x, y, "after resuming");
    sac_safetensors *all[] = {st, read, x, y};
    for (int i = 0; i < 4; i++) sac_safetensors_close(&all[i]);
    sac_adam_close(&first);
    sac_adam_close(&second);
    sac_params_close(&a);
    sac_params_close(&b);
}

typedef enum damage {
    MISSING,
    NO_STEP,
    WRONG_SHAPE,
    WRONG_TYPE,
    NOT_FINITE,
    NEGATIVE,
    BAD_STEP,
    DAMAGES
} damage;

// A copy of `from` with one thing wrong.
static sac_safetensors *damaged(const sac_safetensors *from, damage kind) {
    sac_error error = {0};
    sac_safetensors *st = NULL;
    sac_assert_ok(sac_safetensors_create(&st), &error);
    for (int64_t i = 0; i < sac_safetensors_count(from); i++) {
        const sac_named_tensor *t = sac_safetensors_at(from, i);
        bool last_m = strcmp(t->name, "adam.head.bias.m") == 0;
        bool last_v = strcmp(t->name, "adam.head.bias.v") == 0;
        bool step = strcmp(t->name, "adam.step") == 0;
        if ((kind == MISSING && last_v) || (kind == NO_STEP && step)) continue;
        int64_t dims[SAC_SAFETENSORS_MAX_DIMS];
        memcpy(dims, t->dims, sizeof dims);
        sac_dtype dtype = t->dtype;
        if (kind == WRONG_SHAPE && last_v) dims[0]--;
        if (kind == WRONG_TYPE && last_v) dtype = SAC_DTYPE_I32;
        sac_assert_ok(sac_safetensors_add(st, t->name, dtype, t->ndims, dims, t->data, &error),
                      &error);
        const sac_named_tensor *copy = sac_safetensors_at(st, sac_safetensors_count(st) - 1);
        if (kind == NOT_FINITE && last_m) ((float *)copy->data)[1] = NAN;
        if (kind == NEGATIVE && last_v) ((float *)copy->data)[2] = -1e-3f;
        if (kind == BAD_STEP && step) ((int64_t *)copy->data)[0] = -4;
    }
    return st;
}

Test(nn_optim, damaged_state_is_refused_and_changes_nothing) {
    static const char *const said[DAMAGES] = {"head.bias.v", "adam.step",   "head.bias.v",
                                              "head.bias.v", "head.bias.m", "head.bias.v",
                                              "adam.step"};
    sac_error error = {0};
    sac_params *params = make_params(17, 6);
    sac_adam_options o = sac_adam_default_options();
    sac_adam *adam = NULL;
    sac_assert_ok(sac_adam_create(&adam, params, &o), &error);
    draw_gradients(params, 8, 1);
    sac_assert_ok(sac_adam_step(adam, params, 0, NULL, &error), &error);
    sac_safetensors *old = snapshot(adam, params);
    draw_gradients(params, 8, 2);
    sac_assert_ok(sac_adam_step(adam, params, 0, NULL, &error), &error);
    sac_safetensors *now = snapshot(adam, params);
    for (damage kind = 0; kind < DAMAGES; kind++) {
        sac_safetensors *st = damaged(old, kind);
        error = (sac_error){0};
        sac_assert_error(sac_adam_load(adam, params, st, "adam.", "run/state.safetensors", &error),
                         SAC_ERROR_FORMAT, &error, said[kind], NULL);
        sac_safetensors *after = snapshot(adam, params);
        assert_same(now, after, said[kind]);
        sac_safetensors_close(&after);
        sac_safetensors_close(&st);
    }
    error = (sac_error){0};
    sac_assert_error(sac_adam_store(adam, params, now, "adam.", &error), SAC_ERROR_ARGUMENT, &error,
                     NULL);
    sac_safetensors_close(&old);
    sac_safetensors_close(&now);
    sac_adam_close(&adam);
    sac_params_close(&params);
}

Test(nn_optim, other_tensors_are_refused) {
    sac_error error = {0};
    sac_params *params = make_params(17, 6), *other = make_params(16, 6);
    sac_adam_options o = sac_adam_default_options();
    sac_adam *adam = NULL;
    sac_safetensors *st = NULL;
    sac_assert_ok(sac_adam_create(&adam, params, &o), &error);
    sac_assert_ok(sac_safetensors_create(&st), &error);
    sac_assert_error(sac_adam_step(adam, other, 0, NULL, &error), SAC_ERROR_ARGUMENT, &error,
                     "head.weight", NULL);
    error = (sac_error){0};
    sac_assert_error(sac_adam_store(adam, other, st, NULL, &error), SAC_ERROR_ARGUMENT, &error,
                     "head.weight", NULL);
    error = (sac_error){0};
    sac_assert_error(sac_adam_load(adam, other, st, NULL, "x", &error), SAC_ERROR_ARGUMENT, &error,
                     "head.weight", NULL);
    sac_safetensors_close(&st);
    sac_adam_close(&adam);
    sac_params_close(&params);
    sac_params_close(&other);
}

Test(nn_optim, options_out_of_range_are_refused) {
    sac_params *params = make_params(3, 6);
    for (int i = 0; i < 12; i++) {
        sac_adam_options o = sac_adam_default_options();
        if (i == 0) o.learning_rate = 0;
        if (i == 1) o.learning_rate = NAN;
        if (i == 2) o.beta1 = 1;
        if (i == 3) o.beta1 = -0.1;
        if (i == 4) o.beta2 = 1;
        if (i == 5) o.beta2 = NAN;
        if (i == 6) o.epsilon = 0;
        if (i == 7) o.weight_decay = -1;
        if (i == 8) o.weight_decay = INFINITY;
        if (i == 9) o.clip_norm = -1;
        if (i == 10) o.clip_norm = NAN;
        if (i == 11) o.learning_rate = -1;
        sac_adam *adam = NULL;
        cr_assert_eq(sac_adam_create(&adam, params, &o), SAC_ERROR_ARGUMENT, "option case %d", i);
        cr_assert_null(adam);
    }
    sac_params_close(&params);
}

Test(nn_optim, lack_of_memory_is_reported) {
    sac_params *params = make_params(3, 6);
    sac_adam_options o = sac_adam_default_options();
    bool done = false;
    int refused = 0;
    for (int64_t n = 0; n < 100 && !done; n++) {
        sac_adam *adam = NULL;
        sac_memory_fail_after(n);
        sac_status status = sac_adam_create(&adam, params, &o);
        sac_memory_fail_after(-1);
        done = status == SAC_OK;
        if (!done) {
            cr_assert_eq(status, SAC_ERROR_MEMORY);
            cr_assert_null(adam);
            refused++;
        }
        sac_adam_close(&adam);
    }
    cr_assert(done && refused == 10, "%d allocations", refused); // struct, table, m and v of four
    sac_params_close(&params);
}

Test(nn_optim, any_number_of_threads_gives_the_same_bits) {
#ifdef _OPENMP
    sac_error error = {0};
    sac_safetensors *first = NULL;
    for (int threads = 1; threads <= 3; threads++) {
        omp_set_num_threads(threads);
        sac_params *params = make_params(9001, 2); // 108,012 weights: above every threshold
        sac_adam_options o = sac_adam_default_options();
        o.clip_norm = 0.1;
        sac_adam *adam = NULL;
        sac_assert_ok(sac_adam_create(&adam, params, &o), &error);
        for (int step = 1; step <= 2; step++) {
            draw_gradients(params, 8, step);
            sac_assert_ok(sac_adam_step(adam, params, 0, NULL, &error), &error);
        }
        sac_safetensors *st = snapshot(adam, params);
        if (first == NULL) {
            first = st;
        } else {
            assert_same(first, st, "threads");
            sac_safetensors_close(&st);
        }
        sac_adam_close(&adam);
        sac_params_close(&params);
    }
    sac_safetensors_close(&first);
#else
    cr_skip_test("SKIPPED: built without OpenMP");
#endif
}

Test(nn_optim, schedules_are_their_formulas) {
    sac_schedule constant = {.kind = SAC_SCHEDULE_CONSTANT, .base = 0.3};
    cr_assert_eq(sac_schedule_rate(&constant, 0), 0.3);
    cr_assert_eq(sac_schedule_rate(&constant, 1000000), 0.3);
    constant.warmup = 4;
    for (int s = 0; s < 6; s++)
        cr_assert_float_eq(sac_schedule_rate(&constant, s), s < 4 ? 0.3 * (s + 1) / 4 : 0.3, 1e-15);

    sac_schedule stairs = {.kind = SAC_SCHEDULE_STEP, .base = 1e-4, .step = 10, .factor = 0.5};
    const int64_t at[] = {0, 9, 10, 19, 20, 35};
    const double want[] = {1e-4, 1e-4, 5e-5, 5e-5, 2.5e-5, 1.25e-5};
    for (int i = 0; i < 6; i++)
        cr_assert_float_eq(sac_schedule_rate(&stairs, at[i]), want[i], 1e-18);

    sac_schedule cosine = {
        .kind = SAC_SCHEDULE_COSINE, .base = 1, .floor = 0.1, .warmup = 10, .total = 110};
    cr_assert_float_eq(sac_schedule_rate(&cosine, 0), 0.1, 1e-15);
    cr_assert_float_eq(sac_schedule_rate(&cosine, 9), 1, 1e-15);
    cr_assert_float_eq(sac_schedule_rate(&cosine, 10), 1, 1e-15);
    cr_assert_float_eq(sac_schedule_rate(&cosine, 60), 0.55, 1e-15);
    cr_assert_float_eq(sac_schedule_rate(&cosine, 35), 0.1 + 0.9 * (1 + sqrt(0.5)) / 2, 1e-14);
    cr_assert_float_eq(sac_schedule_rate(&cosine, 110), 0.1, 1e-15);
    cr_assert_float_eq(sac_schedule_rate(&cosine, 5000), 0.1, 1e-15);
    for (int s = 11; s < 110; s++)
        cr_assert_lt(sac_schedule_rate(&cosine, s), sac_schedule_rate(&cosine, s - 1));
    // Down to nothing is never exactly 0, which would mean the optimiser's own rate.
    cosine.floor = 0;
    cr_assert(sac_schedule_rate(&cosine, 200) > 0 && sac_schedule_rate(&cosine, 200) < 1e-300);
    // As long as the warm-up: no division by zero.
    cosine.total = 10;
    cr_assert(isfinite(sac_schedule_rate(&cosine, 10)));
}
