// A task that a student must see motion for: a bright square that hurries is abnormal, the same
// square at a walk is not. Samples are built in memory at a network size that trains in seconds.
#ifndef SAC_TESTS_DISTILL_TOY_H
#define SAC_TESTS_DISTILL_TOY_H

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/memory.h"
#include "core/rng.h"
#include "core/spill.h"
#include "distill/samples.h"
#include "distill/trainer.h"
#include "helper.h"
#include "nn/infer.h"

enum { TOY_WIDTH = 48, TOY_HEIGHT = 32, TOY_SIDE = 8 };

static inline sac_maps toy_maps(int64_t frames) {
    const sac_maps maps = {.frames = frames,
                           .map16 = sac_calloc(frames * 256, sizeof(float)),
                           .map4 = sac_calloc(frames * 16, sizeof(float)),
                           .map1 = sac_calloc(frames, sizeof(float))};
    cr_assert(maps.map16 != NULL && maps.map4 != NULL && maps.map1 != NULL);
    return maps;
}

static inline void toy_paint(sac_maps *maps, int64_t t, int x, int y, float score) {
    for (int i = 0; i < 16; i++) {
        for (int j = 0; j < 16; j++) {
            const bool touched =
                3 * j < x + TOY_SIDE && 3 * (j + 1) > x && 2 * i < y + TOY_SIDE && 2 * (i + 1) > y;
            if (!touched) continue;
            maps->map16[t * 256 + i * 16 + j] = score;
            maps->map4[t * 16 + i / 4 * 4 + j / 4] = score;
            maps->map1[t] = score;
        }
    }
}

// A clip with a square that walks; in an altered one it hurries now and then.
static inline sac_sample_clip toy_clip(const char *name, int64_t frames, bool altered,
                                       int64_t validation_from, int teachers, uint64_t seed,
                                       uint8_t *pixels) {
    const int64_t n = TOY_WIDTH * TOY_HEIGHT;
    sac_sample_clip clip = {.name = sac_strdup(name),
                            .frames = frames,
                            .validation_from = validation_from,
                            .pixels = pixels,
                            .kinds = altered ? sac_calloc(frames, sizeof *clip.kinds) : NULL};
    cr_assert(clip.name != NULL && (!altered || clip.kinds != NULL));
    for (int k = 0; k < teachers; k++) clip.maps[k] = toy_maps(frames);
    sac_rng rng;
    sac_rng_seed(&rng, seed, 77);
    double x = sac_rng_uniform(&rng) * (TOY_WIDTH - TOY_SIDE);
    double direction = sac_rng_below(&rng, 2) == 0 ? 1 : -1;
    const int y = (int)sac_rng_below(&rng, TOY_HEIGHT - TOY_SIDE);
    for (int64_t t = 0; t < frames; t++) {
        const bool hurries = altered && t / 7 % 2 == 0;
        x += direction * (hurries ? 2.5 : 0.4);
        if (x < 0 || x > TOY_WIDTH - TOY_SIDE) direction = -direction;
        x = x < 0 ? 0 : x > TOY_WIDTH - TOY_SIDE ? TOY_WIDTH - TOY_SIDE : x;
        uint8_t *plane = clip.pixels + t * n;
        for (int64_t i = 0; i < n; i++) plane[i] = (uint8_t)(60 + i * 7 % 13);
        for (int row = y; row < y + TOY_SIDE; row++) {
            memset(plane + row * TOY_WIDTH + (int)x, 220, TOY_SIDE);
        }
        if (hurries) clip.kinds[t] = 1u << SAC_PSEUDO_FASTER;
        for (int k = 0; k < teachers; k++) {
            toy_paint(&clip.maps[k], t, (int)x, y, hurries ? 0.9f : 0.1f);
        }
    }
    return clip;
}

// Other room for the frames of all clips, for `channels` channels.
static inline void toy_room(sac_samples *s, int channels) {
    int64_t frames = 0;
    void *block = NULL;
    sac_error error = {0};
    for (int64_t i = 0; i < s->count; i++) frames += s->clips[i].frames;
    sac_spill_free(s->pixels);
    s->preprocess.channels = channels;
    const int64_t n = sac_preprocess_bytes(&s->preprocess);
    sac_assert_ok(sac_spill_alloc(&block, frames, (size_t)n, 0, &error), &error);
    uint8_t *at = s->pixels = block;
    for (int64_t i = 0; i < s->count; i++) {
        s->clips[i].pixels = at;
        at += s->clips[i].frames * n;
    }
}

// `clips` originals, the first `held` of which validate, and as many altered ones when `altered`.
static inline sac_samples toy_samples(int64_t clips, int64_t held, int64_t frames, bool altered,
                                      int teachers) {
    sac_samples s = {.preprocess = sac_preprocess_default(),
                     .count = altered ? 2 * clips : clips,
                     .originals = clips,
                     .teacher_count = teachers};
    s.preprocess.width = TOY_WIDTH;
    s.preprocess.height = TOY_HEIGHT;
    for (int k = 0; k < teachers; k++) s.weights[k] = 1;
    s.clips = sac_calloc(s.count, sizeof *s.clips);
    cr_assert_not_null(s.clips);
    for (int64_t i = 0; i < s.count; i++) s.clips[i].frames = frames;
    toy_room(&s, 1);
    for (int64_t i = 0; i < s.count; i++) {
        char name[32];
        snprintf(name, sizeof name, "clip%02d", (int)i);
        s.clips[i] = toy_clip(name, frames, i >= clips, i % clips < held ? 0 : frames, teachers,
                              100 + (uint64_t)i, s.clips[i].pixels);
    }
    return s;
}

static inline sac_model *toy_model(uint64_t seed) {
    sac_preprocess preprocess = sac_preprocess_default();
    preprocess.width = TOY_WIDTH;
    preprocess.height = TOY_HEIGHT;
    // One thread: at this size threads mostly wait for each other, on a busy machine for long.
    sac_nn_set_threads(1);
    sac_error error = {0};
    sac_model *model = NULL;
    sac_assert_ok(sac_model_create(&model, "tiny-m", &preprocess, &error), &error);
    sac_rng rng;
    sac_rng_seed(&rng, seed, 1);
    sac_params_init(model->params, &rng);
    return model;
}

// Three epochs of six steps.
static inline sac_trainer_options toy_options(void) {
    sac_trainer_options o = sac_trainer_default_options();
    o.epochs = 3;
    o.batch = 8;
    o.samples_per_epoch = 50; // a remainder of two is left out
    o.checkpoint_s = 1e9;
    o.patience = 0;
    o.adversarial = 0.1; // so that every test of resuming covers the discriminators
    o.adversarial_warmup = 1;
    return o;
}
enum { TOY_STEPS = 6, TOY_EPOCHS = 3 };

static inline void toy_same_params(const sac_model *a, const sac_model *b, const char *what) {
    cr_assert_eq(sac_params_count(a->params), sac_params_count(b->params));
    for (int64_t i = 0; i < sac_params_count(a->params); i++) {
        const sac_param *p = sac_params_at(a->params, i), *q = sac_params_at(b->params, i);
        cr_assert(memcmp(p->data, q->data, (size_t)p->count * sizeof(float)) == 0, "%s: %s differs",
                  what, p->name);
    }
}

// Stops a run after so many steps; negative: never. Hooks have no user pointer for it, as signals
// have none.
static int64_t toy_stop_after = -1, toy_steps_taken = 0;

static inline void toy_count(void *user, int64_t step, int64_t steps, double loss) {
    (void)user;
    (void)steps;
    toy_steps_taken = step;
    cr_assert(isfinite(loss));
}

static inline bool toy_stop(void) {
    return toy_stop_after >= 0 && toy_steps_taken >= toy_stop_after;
}

static inline sac_status toy_run(sac_model *model, const char *folder, const sac_samples *samples,
                                 const sac_trainer_options *options, int64_t stop_after,
                                 bool resume, sac_trainer_result *result, sac_error *error) {
    const sac_trainer_hooks hooks = {.step = toy_count, .stop = toy_stop};
    sac_trainer_result unused;
    toy_stop_after = stop_after;
    toy_steps_taken = 0;
    *error = (sac_error){0};
    return sac_trainer_run(result != NULL ? result : &unused, folder, model, samples, options,
                           &hooks, resume, error);
}

#endif
