// The discriminator learns to tell maps apart, its gradient on the student's maps is that of its
// formula, and its state survives a checkpoint.
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "core/memory.h"
#include "core/rng.h"
#include "distill/discriminator.h"
#include "helper.h"
#include "student/heads.h"

enum { BATCH = 8 };
static const int64_t cells[3] = {256, 16, 1};

typedef struct maps {
    float *scale[3];
} maps;

static maps maps_make(int64_t batch) {
    maps m;
    for (int k = 0; k < 3; k++) {
        m.scale[k] = sac_calloc(batch * cells[k], sizeof(float));
        cr_assert_not_null(m.scale[k]);
    }
    return m;
}

static void maps_close(maps *m) {
    for (int k = 0; k < 3; k++) sac_free(m->scale[k]);
}

// A teacher's maps: one bright cell of 4x4 whose strength stands in all three scales. With `wrong`
// the coarse scales say something else than the fine one.
static void maps_fill(maps *m, int64_t batch, bool wrong, uint64_t seed) {
    sac_rng rng;
    sac_rng_seed(&rng, seed, 5);
    for (int64_t i = 0; i < batch; i++) {
        const int64_t cell = sac_rng_below(&rng, 16);
        const float value = (float)(0.4 + 0.6 * sac_rng_uniform(&rng));
        for (int64_t c = 0; c < 256; c++) {
            const bool inside = c / 16 / 4 == cell / 4 && c % 16 / 4 == cell % 4;
            m->scale[0][i * 256 + c] = inside ? value : 0.05f;
        }
        for (int64_t c = 0; c < 16; c++) m->scale[1][i * 16 + c] = c == cell ? value : 0.05f;
        m->scale[2][i] = wrong ? 1 - value : value;
        if (wrong) m->scale[1][i * 16 + cell] = 0.05f;
    }
}

static const float *const *read_only(const maps *m) {
    return (const float *const *)m->scale;
}

static sac_discriminator *make(int64_t batch, uint64_t seed) {
    sac_discriminator *d = NULL;
    sac_error error = {0};
    sac_assert_ok(
        sac_discriminator_create(&d, SAC_HEADS_ALL, batch, seed, SAC_BACKEND_ONEDNN, &error),
        &error);
    return d;
}

static double judged(sac_discriminator *d, const maps *m) {
    double loss = 0;
    sac_error error = {0};
    sac_assert_ok(sac_discriminator_judge(d, &loss, NULL, read_only(m), 1, &error), &error);
    return loss;
}

static void teach_steps(sac_discriminator *d, int steps, bool wrong,
                        sac_discriminator_step_result *last) {
    maps real = maps_make(BATCH), own = maps_make(BATCH);
    sac_error error = {0};
    for (int i = 0; i < steps; i++) {
        maps_fill(&real, BATCH, false, 10 + (uint64_t)i);
        maps_fill(&own, BATCH, wrong, 5000 + (uint64_t)i);
        sac_assert_ok(
            sac_discriminator_step(d, last, read_only(&real), read_only(&own), 2e-3, &error),
            &error);
    }
    maps_close(&real);
    maps_close(&own);
}

// A student whose coarse maps contradict its fine one can be told from the teacher.
Test(distill_discriminator, tells_a_wrong_student_from_the_teacher) {
    sac_discriminator *d = make(BATCH, 3);
    sac_discriminator_step_result last;
    teach_steps(d, 1, true, &last);
    cr_assert(fabs(last.loss - log(2)) < 0.35, "a fresh one has loss %g", last.loss);
    teach_steps(d, 600, true, &last);
    cr_assert(last.loss < 0.1 && last.real > 0.9 && last.own < 0.1,
              "after learning: loss %g, D of the teacher %g, of the student %g", last.loss,
              last.real, last.own);
    sac_discriminator_close(&d);
}

// A perfect student leaves nothing to learn.
Test(distill_discriminator, cannot_tell_equal_students) {
    sac_discriminator *d = make(BATCH, 3);
    sac_discriminator_step_result last;
    teach_steps(d, 400, false, &last);
    cr_assert(fabs(last.loss - log(2)) < 0.1, "loss %g", last.loss);
    cr_assert(fabs(last.real - 0.5) < 0.15 && fabs(last.own - 0.5) < 0.15, "D %g and %g", last.real,
              last.own);
    sac_discriminator_close(&d);
}

// The student's half alone moves the weights: with equal teacher's maps in two runs, other student
// maps give another discriminator.
Test(distill_discriminator, the_students_half_has_a_gradient) {
    maps real = maps_make(BATCH), right = maps_make(BATCH), wrong = maps_make(BATCH);
    maps_fill(&real, BATCH, false, 1);
    maps_fill(&right, BATCH, false, 2);
    maps_fill(&wrong, BATCH, true, 2);
    sac_discriminator *a = make(BATCH, 3), *b = make(BATCH, 3);
    sac_error error = {0};
    cr_assert_eq(judged(a, &right), judged(b, &right), "equal seeds, equal discriminators");
    sac_assert_ok(
        sac_discriminator_step(a, NULL, read_only(&real), read_only(&right), 1e-2, &error), &error);
    sac_assert_ok(
        sac_discriminator_step(b, NULL, read_only(&real), read_only(&wrong), 1e-2, &error), &error);
    cr_assert(fabs(judged(a, &right) - judged(b, &right)) > 1e-6);
    sac_discriminator_close(&a);
    sac_discriminator_close(&b);
    maps_close(&real);
    maps_close(&right);
    maps_close(&wrong);
}

// Against central differences of the judgement itself, and added to what was there.
Test(distill_discriminator, gradient_on_the_students_maps) {
    maps own = maps_make(BATCH), grad = maps_make(BATCH), before = maps_make(BATCH);
    sac_discriminator *d = make(BATCH, 3);
    teach_steps(d, 60, true, NULL);
    maps_fill(&own, BATCH, true, 77);
    sac_rng rng; // no two cells alike, so that each pooling window has one maximum
    sac_rng_seed(&rng, 6, 6);
    for (int64_t i = 0; i < BATCH * 256; i++)
        own.scale[0][i] += (float)(0.2 * sac_rng_uniform(&rng));
    sac_error error = {0};
    double loss = 0, largest = 0;
    int checked = 0, corners = 0;
    for (int k = 0; k < 3; k++)
        for (int64_t i = 0; i < BATCH * cells[k]; i++) grad.scale[k][i] = 0.25f;
    sac_assert_ok(sac_discriminator_judge(d, &loss, grad.scale, read_only(&own), 0.5, &error),
                  &error);
    const double mid = judged(d, &own);
    for (int k = 0; k < 3; k++) {
        const int64_t stride = k == 0 ? 37 : 1;
        for (int64_t i = 0; i < BATCH * cells[k]; i += stride) {
            const float kept = own.scale[k][i];
            const double step = 2e-3;
            own.scale[k][i] = kept + (float)step;
            const double up = judged(d, &own);
            own.scale[k][i] = kept - (float)step;
            const double down = judged(d, &own);
            own.scale[k][i] = kept;
            // A rectifier or a pooling window changes over inside the step: no derivative there.
            checked++;
            if (fabs(up - 2 * mid + down) > 0.05 * fabs(up - down) + 2e-7) {
                corners++;
                continue;
            }
            const double wanted = 0.5 * (up - down) / (2 * step);
            const double got = (double)grad.scale[k][i] - 0.25;
            largest = fmax(largest, fabs(got));
            cr_assert(fabs(got - wanted) < 2e-3 + 0.1 * fabs(wanted),
                      "scale %d, cell %d: %g not %g", k, (int)i, got, wanted);
        }
    }
    cr_assert(corners < checked / 4, "%d corners at %d places", corners, checked);
    cr_assert(largest > 1e-3, "the gradient is all but zero: %g", largest);
    sac_discriminator_close(&d);
    maps_close(&own);
    maps_close(&grad);
    maps_close(&before);
}

Test(distill_discriminator, state_survives_a_checkpoint) {
    sac_discriminator *a = make(BATCH, 3), *b = make(BATCH, 4);
    sac_error error = {0};
    sac_safetensors *st = NULL;
    teach_steps(a, 5, true, NULL);
    sac_assert_ok(sac_safetensors_create(&st), NULL);
    sac_assert_ok(sac_discriminator_store(a, st, "d0.", &error), &error);
    sac_assert_ok(sac_discriminator_load(b, st, "d0.", "checkpoint", &error), &error);
    maps own = maps_make(BATCH);
    maps_fill(&own, BATCH, true, 9);
    cr_assert_eq(judged(a, &own), judged(b, &own));
    teach_steps(a, 3, true, NULL);
    teach_steps(b, 3, true, NULL);
    cr_assert_eq(judged(a, &own), judged(b, &own), "the moments went along");
    error = (sac_error){0};
    sac_assert_error(sac_discriminator_load(b, st, "d1.", "checkpoint", &error), SAC_ERROR_FORMAT,
                     &error, "checkpoint", "d1.fine.conv.weight", NULL);
    sac_safetensors_close(&st);
    sac_discriminator_close(&a);
    sac_discriminator_close(&b);
    maps_close(&own);
}

Test(distill_discriminator, backends_agree) {
    maps own = maps_make(3);
    maps_fill(&own, 3, true, 9);
    double loss[2];
    sac_error error = {0};
    maps grad[2] = {maps_make(3), maps_make(3)};
    for (int i = 0; i < 2; i++) {
        sac_discriminator *d = NULL;
        const sac_backend backend = i == 0 ? SAC_BACKEND_ONEDNN : SAC_BACKEND_REF;
        sac_assert_ok(sac_discriminator_create(&d, SAC_HEADS_ALL, 3, 3, backend, &error), &error);
        sac_assert_ok(
            sac_discriminator_judge(d, &loss[i], grad[i].scale, read_only(&own), 1, &error),
            &error);
        sac_discriminator_close(&d);
    }
    cr_assert(fabs(loss[0] - loss[1]) < 1e-5, "%g and %g", loss[0], loss[1]);
    for (int k = 0; k < 3; k++) {
        for (int64_t i = 0; i < 3 * cells[k]; i++)
            cr_assert(fabsf(grad[0].scale[k][i] - grad[1].scale[k][i]) < 1e-5f);
    }
    maps_close(&grad[0]);
    maps_close(&grad[1]);
    maps_close(&own);
}

Test(distill_discriminator, what_is_not_finite_is_an_error) {
    maps real = maps_make(BATCH), own = maps_make(BATCH);
    sac_discriminator *d = make(BATCH, 3);
    sac_error error = {0};
    double loss = 0;
    own.scale[2][1] = NAN;
    sac_assert_error(
        sac_discriminator_step(d, NULL, read_only(&real), read_only(&own), 1e-3, &error),
        SAC_ERROR_NUMERIC, &error, "discriminator", NULL);
    error = (sac_error){0};
    sac_assert_error(sac_discriminator_judge(d, &loss, NULL, read_only(&own), 1, &error),
                     SAC_ERROR_NUMERIC, &error, "adversarial", NULL);
    error = (sac_error){0};
    sac_discriminator *none = NULL;
    sac_assert_error(
        sac_discriminator_create(&none, SAC_HEADS_ALL, 0, 1, SAC_BACKEND_ONEDNN, &error),
        SAC_ERROR_ARGUMENT, &error, "batch", NULL);
    cr_assert_null(none);
    sac_discriminator_close(&d);
    maps_close(&real);
    maps_close(&own);
}

// With any of the maps alone or in pairs it learns, and hands gradients to these only.
Test(distill_discriminator, fewer_maps) {
    maps real = maps_make(BATCH), own = maps_make(BATCH), grad = maps_make(BATCH);
    maps_fill(&real, BATCH, false, 1);
    maps_fill(&own, BATCH, true, 2);
    for (unsigned heads = 1; heads < SAC_HEADS_ALL; heads++) {
        const float *a[3], *b[3];
        float *g[3];
        double loss = 0;
        sac_discriminator *d = NULL;
        sac_discriminator_step_result first, last;
        sac_error error = {0};
        for (int k = 0; k < 3; k++) {
            const bool there = (heads >> k & 1) != 0;
            a[k] = there ? real.scale[k] : NULL;
            b[k] = there ? own.scale[k] : NULL;
            g[k] = there ? grad.scale[k] : NULL;
            memset(grad.scale[k], 0, (size_t)(BATCH * cells[k]) * sizeof(float));
        }
        sac_assert_ok(sac_discriminator_create(&d, heads, BATCH, 3, SAC_BACKEND_ONEDNN, &error),
                      &error);
        for (int i = 0; i < 60; i++) {
            sac_assert_ok(sac_discriminator_step(d, i == 0 ? &first : &last, a, b, 5e-3, &error),
                          &error);
        }
        cr_assert(last.loss < first.loss, "maps %u: %g, then %g", heads, first.loss, last.loss);
        sac_assert_ok(sac_discriminator_judge(d, &loss, g, b, 1, &error), &error);
        for (int k = 0; k < 3; k++) {
            double sum = 0;
            for (int64_t i = 0; i < BATCH * cells[k]; i++) sum += fabs((double)grad.scale[k][i]);
            cr_assert_eq(sum > 0, (heads >> k & 1) != 0, "maps %u, scale %d: %g", heads, k, sum);
        }
        sac_discriminator_close(&d);
    }
    maps_close(&real);
    maps_close(&own);
    maps_close(&grad);
}
