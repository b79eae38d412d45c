// Streams on the workers of a pool against the same streams on one thread: bit-identical, in order,
// whatever the number of workers and streams; the gate; what goes wrong.
#include <criterion/criterion.h>
#include <math.h>
#include <pthread.h>
#include <string.h>

#include "core/memory.h"
#include "helper.h"
#include "stem_make.h"
#include "student/runtime.h"
#include "student/timeline.h"

enum { W = 32, H = 24, MAX_FRAMES = 64 };

typedef struct scored {
    float score, smoothed, map16[256], map4[16], map1;
    double time_s;
} scored;

// Frames of a student in colour are as large as three gray ones.
enum { MOST = 3 * W * H };

static void draw(uint8_t *pixels, int stream, int t) {
    for (int y = 0; y < H; y++) {
        for (int x = 0; x < W; x++) {
            const double dx = x - (0.1 + 0.04 * t) * W, dy = y - (0.3 + 0.1 * stream) * H;
            pixels[y * W + x] = (uint8_t)(60 + (x * 7 + y * 13 + 31 * stream) % 40 +
                                          140 * exp(-(dx * dx + dy * dy) / 20.0));
        }
    }
}

enum {
    SPLIT,
    WHOLE,
    SPLIT_INT8,
    WHOLE_INT8,
    SPLIT_COLOUR,
    WHOLE_COLOUR,
    SPLIT_COLOUR_INT8,
    WHOLE_COLOUR_INT8,
    KINDS
};

static bool is_split(int kind) {
    return kind % 2 == 0;
}

static bool is_int8(int kind) {
    return kind / 2 % 2 == 1;
}

static int channels_of(int kind) {
    return kind < SPLIT_COLOUR ? 1 : 3;
}

// A frame as that student sees it: the colours move apart.
static void draw_for(int kind, uint8_t *frame, int stream, int t) {
    static _Thread_local uint8_t planes[3][W * H];
    const int channels = channels_of(kind);
    for (int c = 0; c < channels; c++) draw(planes[c], stream + 2 * c, t + c);
    for (int i = 0; i < W * H * channels; i++) frame[i] = planes[i % channels][i / channels];
}

// The stems of the networks that are not cut have parameters of their own. One has the pixels of an
// old model.
static sac_model *model_of(int kind) {
    sac_model *model = make_stem_model(W, H, channels_of(kind),
                                       is_split(kind) ? STEM_SOUND : STEM_OWN_PARAMETERS, 5);
    if (kind == WHOLE) {
        model->preprocess.mean = 127;
        model->preprocess.scale = 128;
    }
    if (is_int8(kind)) quantise_model(model);
    return model;
}

// Int8 is asked for where there is one, so that the tests run it on every CPU.
static sac_student_options options_of(int kind) {
    return (sac_student_options){
        .threads = 1, .precision = is_int8(kind) ? SAC_PRECISION_INT8 : SAC_PRECISION_AUTO};
}

static void keep(scored *out, const sac_result *r, int64_t expected) {
    cr_assert_eq(r->frame, expected);
    *out = (scored){
        .score = r->score, .smoothed = r->score_smoothed, .map1 = r->map1, .time_s = r->time_s};
    memcpy(out->map16, r->map16, sizeof out->map16);
    memcpy(out->map4, r->map4, sizeof out->map4);
}

// Scores a clip; returns the status of the first call that fails.
static sac_status score(sac_student *s, int kind, int stream, int frames, scored *out, bool wait) {
    static _Thread_local uint8_t pixels[MOST];
    sac_status status = SAC_OK;
    sac_result result;
    int64_t got = 0;
    for (int t = 0; t <= frames && status >= 0; t++) {
        if (t < frames) {
            draw_for(kind, pixels, stream, t);
            status = sac_student_push_plane(s, pixels, 0.04 * t, NULL);
        } else {
            status = sac_student_finish(s, NULL);
        }
        if (wait) sac_student_wait(s);
        while (status >= 0 && (status = sac_student_pull(s, &result, NULL)) == SAC_OK) {
            keep(&out[got], &result, got);
            got++;
        }
    }
    cr_assert(status == SAC_EOF && got == frames, "status %d after %d results", (int)status,
              (int)got);
    return status;
}

static void score_alone(int kind, int stream, int frames, scored *out) {
    sac_model *model = model_of(kind);
    sac_student *s = NULL;
    sac_error error = {0};
    const sac_student_options options = options_of(kind);
    sac_assert_ok(sac_student_create(&s, &model, &options, &error), &error);
    sac_student_info info;
    sac_student_get_info(s, &info);
    cr_assert_eq(info.split, is_split(kind));
    cr_assert_str_eq(sac_precision_name(info.precision), is_int8(kind) ? "int8" : "f32");
    cr_assert(info.macs_per_frame > 0 && (is_split(kind) ? info.macs_per_frame < info.macs
                                                         : info.macs_per_frame == info.macs));
    cr_assert(info.plan_bytes > 0 && strlen(info.isa) > 2 && strstr(info.backend, "oneDNN"));
    cr_assert_eq(info.channels, channels_of(kind));
    (void)score(s, kind, stream, frames, out, false);
    sac_student_close(&s);
}

static sac_student_pool *open_pool(int kind, int workers, bool pin,
                                   const sac_student_options *options) {
    sac_model *model = model_of(kind);
    sac_student_pool *pool = NULL;
    sac_error error = {0};
    const sac_student_pool_options wanted = {.workers = workers, .pin = pin};
    const sac_student_options usual = options_of(kind);
    sac_assert_ok(
        sac_student_pool_create(&pool, &model, options != NULL ? options : &usual, &wanted, &error),
        &error);
    cr_assert_null(model);
    cr_assert_eq(sac_student_pool_workers(pool), workers);
    return pool;
}

static sac_student *open_stream(sac_student_pool *pool) {
    sac_student *s = NULL;
    sac_error error = {0};
    sac_assert_ok(sac_student_pool_stream(pool, &s, &error), &error);
    return s;
}

static scored expected[MAX_FRAMES], actual[MAX_FRAMES];

// The whole network from prepared f32 inputs, frame by frame, as a yardstick.
static void score_prepared(int kind, const sac_student_options *options, int frames, scored *out) {
    static uint8_t pixels[MOST];
    static float seen[3][MOST], input[MOST * 3];
    const int channels = channels_of(kind);
    sac_student *s = NULL;
    sac_error error = {0};
    sac_model *model = model_of(kind);
    sac_assert_ok(sac_student_create(&s, &model, options, &error), &error);
    for (int t = 0; t < frames; t++) {
        sac_result result;
        for (int f = 0; f < 3; f++) {
            int at = t + 3 * (f - 1);
            at = at < 0 ? 0 : at > frames - 1 ? frames - 1 : at;
            draw_for(kind, pixels, 1, at);
            sac_assert_ok(sac_student_prepare(s, seen[f], pixels, W, H, channels, &error), &error);
            for (int i = 0; i < W * H * channels; i++)
                input[(i / channels * 3 + f) * channels + i % channels] = seen[f][i];
        }
        sac_assert_ok(sac_student_score_prepared(s, input, &result, &error), &error);
        keep(&out[t], &result, 0);
    }
    sac_student_close(&s);
}

// The plan of the whole network is made when prepared inputs come. A student that had no memory for
// it makes it the next time.
Test(student_pool, prepared_inputs_after_a_lack_of_memory) {
    static float input[MOST * 3];
    for (int i = 0; i < MOST * 3; i++) input[i] = (float)(i % 7) / 7;
    for (int kind = 0; kind < KINDS; kind++) {
        const sac_student_options options = options_of(kind);
        sac_result whole, again;
        sac_error error = {0};
        sac_student *s = NULL;
        sac_model *model = model_of(kind);
        sac_assert_ok(sac_student_create(&s, &model, &options, &error), &error);
        sac_assert_ok(sac_student_score_prepared(s, input, &whole, &error), &error);
        const double score = whole.score;
        sac_student_close(&s);
        for (int64_t fail = 0;; fail++) {
            model = model_of(kind);
            sac_assert_ok(sac_student_create(&s, &model, &options, &error), &error);
            error = (sac_error){0};
            sac_memory_fail_after(fail);
            const sac_status status = sac_student_score_prepared(s, input, &again, &error);
            sac_memory_fail_after(-1);
            if (status != SAC_OK) sac_assert_error(status, SAC_ERROR_MEMORY, &error, NULL);
            sac_assert_ok(sac_student_score_prepared(s, input, &again, &error), &error);
            cr_assert_eq(again.score, score, "kind %d after %d", kind, (int)fail);
            sac_student_close(&s);
            if (status == SAC_OK) break;
        }
    }
}

static double worst_difference(const scored *a, const scored *b, int frames) {
    double worst = 0;
    for (int t = 0; t < frames; t++) {
        for (int i = 0; i < 256; i++)
            worst = fmax(worst, fabs((double)(a[t].map16[i] - b[t].map16[i])));
        worst = fmax(worst, fabs((double)(a[t].map1 - b[t].map1)));
    }
    return worst;
}

Test(student_pool, a_student_scores_like_its_whole_network) {
    enum { FRAMES = 12 };
    for (int kind = 0; kind < KINDS; kind++) {
        sac_student_options options = options_of(kind);
        score_alone(kind, 1, FRAMES, actual);
        score_prepared(kind, &options, FRAMES, expected);
        // The int8 plans of the parts and of the whole hold the same integers.
        const double own = worst_difference(actual, expected, FRAMES);
        cr_assert(own <= (is_int8(kind) ? 0.0 : 1e-5), "kind %d: %g", kind, own);
        double range = 0;
        for (int t = 0; t < FRAMES; t++)
            range = fmax(range, fabs((double)(actual[t].map16[0] - actual[t].map16[200])));
        cr_assert_gt(range, 1e-3, "a constant map checks nothing");
        options.reference = true;
        score_prepared(kind, &options, FRAMES, expected);
        const double reference = worst_difference(actual, expected, FRAMES);
        cr_assert(reference <= (is_int8(kind) ? 0.01 : 1e-5), "kind %d, reference: %g", kind,
                  reference);
        if (!is_int8(kind)) continue;
        options.reference = false;
        options.precision = SAC_PRECISION_F32;
        score_prepared(kind, &options, FRAMES, expected);
        const double f32 = worst_difference(actual, expected, FRAMES);
        cr_assert(f32 > 0 && f32 < 0.1, "kind %d, f32: %g", kind, f32);
    }
}

Test(student_pool, precision_is_chosen_and_may_be_forced) {
    sac_error error = {0};
    sac_student_info info;
    for (int kind = 0; kind < KINDS; kind++) {
        for (int wanted = SAC_PRECISION_AUTO; wanted <= SAC_PRECISION_BF16 + 1; wanted++) {
            sac_student *s = NULL;
            sac_model *model = model_of(kind);
            const sac_student_options options = {.threads = 1, .precision = (sac_precision)wanted};
            error = (sac_error){0};
            const sac_status status = sac_student_create(&s, &model, &options, &error);
            cr_assert_null(model);
            if (wanted > SAC_PRECISION_BF16) {
                sac_assert_error(status, SAC_ERROR_ARGUMENT, &error, "precision", NULL);
                continue;
            }
            if (wanted == SAC_PRECISION_INT8 && !is_int8(kind)) {
                sac_assert_error(status, SAC_ERROR_ARGUMENT, &error, "no scales for int8", NULL);
                cr_assert_null(s);
                continue;
            }
            sac_assert_ok(status, &error);
            sac_student_get_info(s, &info);
            const bool int8 =
                wanted == SAC_PRECISION_INT8 ||
                (wanted == SAC_PRECISION_AUTO && is_int8(kind) && sac_quant_cpu_is_fast());
            const bool bf16 = wanted == SAC_PRECISION_BF16 && sac_nn_has_bf16();
            cr_assert_eq(info.precision, int8   ? SAC_PRECISION_INT8
                                         : bf16 ? SAC_PRECISION_BF16
                                                : SAC_PRECISION_F32);
            cr_assert_str_eq(sac_precision_name(info.precision), int8   ? "int8"
                                                                 : bf16 ? "bf16"
                                                                        : "f32");
            sac_student_close(&s);
        }
    }
}

Test(student_pool, streams_are_bit_identical_to_one_thread) {
    static const int lengths[] = {1, 2, 5, 8, 60};
    for (int kind = 0; kind < KINDS; kind++) {
        for (int workers = 1; workers <= 3; workers++) {
            sac_student_pool *pool = open_pool(kind, workers, workers == 2, NULL);
            sac_student *s = open_stream(pool);
            for (int i = 0; i < 5; i++) {
                score_alone(kind, i, lengths[i], expected);
                memset(actual, 0, sizeof actual);
                (void)score(s, kind, i, lengths[i], actual, i % 2 == 1);
                cr_assert_eq(memcmp(actual, expected, (size_t)lengths[i] * sizeof *actual), 0,
                             "kind %d, %d workers, %d frames", kind, workers, lengths[i]);
                sac_student_reset(s);
            }
            sac_student_close(&s);
            sac_student_pool_close(&pool);
            cr_assert_null(pool);
        }
    }
}

typedef struct camera {
    sac_student *student;
    int stream;
    scored out[MAX_FRAMES];
} camera;

static void *run_camera(void *user) {
    camera *c = user;
    (void)score(c->student, SPLIT, c->stream, MAX_FRAMES, c->out, true);
    return NULL;
}

Test(student_pool, many_streams_from_many_threads) {
    enum { CAMERAS = 6 };
    static camera cameras[CAMERAS];
    pthread_t threads[CAMERAS];
    sac_student_pool *pool = open_pool(0, 2, false, NULL);
    for (int i = 0; i < CAMERAS; i++) {
        cameras[i].student = open_stream(pool);
        cameras[i].stream = i;
        cr_assert_eq(pthread_create(&threads[i], NULL, run_camera, &cameras[i]), 0);
    }
    for (int i = 0; i < CAMERAS; i++) {
        pthread_join(threads[i], NULL);
        sac_student_close(&cameras[i].student);
        score_alone(0, i, MAX_FRAMES, expected);
        cr_assert_eq(memcmp(cameras[i].out, expected, sizeof expected), 0, "camera %d", i);
    }
    sac_student_pool_close(&pool);
    sac_student_pool_close(&pool);
}

Test(student_pool, streams_may_be_reset_and_closed_at_any_time) {
    static uint8_t pixels[W * H];
    sac_student_pool *pool = open_pool(0, 2, false, NULL);
    sac_student *other = open_stream(pool);
    score_alone(0, 2, 20, expected);
    for (int round = 0; round < 12; round++) {
        sac_student *s = open_stream(pool);
        for (int t = 0; t < round; t++) {
            draw(pixels, 0, t);
            sac_assert_ok(sac_student_push_plane(s, pixels, t, NULL), NULL);
        }
        if (round % 2 == 0) {
            sac_student_reset(s);
            (void)score(s, SPLIT, 2, 20, actual, false);
            cr_assert_eq(memcmp(actual, expected, 20 * sizeof *actual), 0, "round %d", round);
        }
        sac_student_close(&s);
    }
    (void)score(other, SPLIT, 2, 20, actual, false);
    cr_assert_eq(memcmp(actual, expected, 20 * sizeof *actual), 0);
    sac_student_close(&other);
    sac_student_pool_close(&pool);
}

Test(student_pool, bad_arguments_and_lack_of_memory) {
    static uint8_t pixels[W * H];
    sac_error error = {0};
    sac_student_pool *pool = NULL;
    static const int bad[] = {-1, 1025};
    for (int i = 0; i < 2; i++) {
        sac_model *model = model_of(0);
        const sac_student_pool_options wanted = {.workers = bad[i]};
        error = (sac_error){0};
        sac_assert_error(sac_student_pool_create(&pool, &model, NULL, &wanted, &error),
                         SAC_ERROR_ARGUMENT, &error, "workers", NULL);
        cr_assert(pool == NULL && model == NULL);
    }
    error = (sac_error){0};
    sac_assert_error(sac_student_pool_open(&pool, sac_test_path("absent"), NULL, NULL, &error),
                     SAC_ERROR_IO, &error, "absent", NULL);
    error = (sac_error){0};
    sac_assert_error(sac_student_pool_open(&pool, NULL, NULL, NULL, &error), SAC_ERROR_ARGUMENT,
                     &error, NULL);
    for (int64_t fail = 0;; fail += 1 + fail / 8) {
        sac_model *model = model_of(0);
        const sac_student_pool_options wanted = {.workers = 2};
        error = (sac_error){0};
        sac_memory_fail_after(fail);
        const sac_status status = sac_student_pool_create(&pool, &model, NULL, &wanted, &error);
        sac_memory_fail_after(-1);
        cr_assert_null(model);
        if (status == SAC_OK) break;
        sac_assert_error(status, SAC_ERROR_MEMORY, &error, NULL);
        cr_assert_null(pool);
    }
    sac_student *s = NULL;
    for (int64_t fail = 0;; fail++) {
        error = (sac_error){0};
        sac_memory_fail_after(fail);
        const sac_status status = sac_student_pool_stream(pool, &s, &error);
        sac_memory_fail_after(-1);
        if (status == SAC_OK) break;
        sac_assert_error(status, SAC_ERROR_MEMORY, &error, NULL);
        cr_assert_null(s);
    }
    float input[1] = {0};
    sac_result result;
    error = (sac_error){0};
    sac_assert_error(sac_student_score_prepared(s, input, &result, &error), SAC_ERROR_UNSUPPORTED,
                     &error, "pool", NULL);
    error = (sac_error){0};
    sac_assert_error(sac_student_push_plane(s, NULL, 0, &error), SAC_ERROR_ARGUMENT, &error,
                     "no plane", NULL);
    cr_assert(sac_student_pull(s, &result, NULL) == SAC_AGAIN);
    // Whoever does not pull is stopped, not blocked.
    int pushed = 0;
    while (pushed < 1000 && sac_student_push_plane(s, pixels, pushed, NULL) == SAC_OK) pushed++;
    cr_assert(pushed >= SAC_STUDENT_WAITING && pushed < 100, "%d", pushed);
    sac_student_close(&s);
    sac_student_pool_close(&pool);
}

Test(student_pool, a_score_that_is_not_finite_names_the_frame) {
    sac_model *model = model_of(0);
    static const char *const huge[] = {"stem0.norm1.weight", "body.norm.weight"};
    for (int i = 0; i < 2; i++) {
        sac_param *p = sac_params_find(model->params, huge[i]);
        for (int64_t k = 0; k < p->count; k++) p->data[k] = 3e38f;
    }
    static uint8_t pixels[W * H];
    sac_student_pool *pool = NULL;
    sac_error error = {0};
    const sac_student_options reference = {.reference = true};
    const sac_student_pool_options two = {.workers = 2};
    sac_assert_ok(sac_student_pool_create(&pool, &model, &reference, &two, &error), &error);
    sac_student *s = open_stream(pool);
    for (int t = 0; t < 3; t++) {
        draw(pixels, 0, t);
        sac_assert_ok(sac_student_push_plane(s, pixels, t, NULL), NULL);
    }
    sac_assert_ok(sac_student_finish(s, NULL), NULL);
    sac_result result;
    for (int again = 0; again < 2; again++) {
        error = (sac_error){0};
        sac_assert_error(sac_student_pull(s, &result, &error), SAC_ERROR_NUMERIC, &error, "frame 0",
                         NULL);
        cr_assert_eq(error.position, 0);
    }
    sac_student_close(&s);
    sac_student_pool_close(&pool);
}

// ---- time line ----------------------------------------------------------------------------------

// Runs what may start, but leaves the stem of frame `held` claimed; takes the results. No stem may
// then get the slot of frame `read`, which that one reads or fills.
static int64_t drain(sac_timeline *s, sac_engine *engine, int64_t held, int64_t read, int64_t slots,
                     sac_task *pending) {
    sac_error error = {0};
    sac_result result;
    sac_task task;
    int64_t taken = 0;
    for (bool more = true; more;) {
        more = false;
        while (sac_timeline_claim(s, &task)) {
            more = true;
            if (!task.body && task.frame == held) {
                *pending = task;
                continue;
            }
            cr_assert(task.body || held < 0 || task.frame < read + slots,
                      "frame %d takes the slot of frame %d while the stem of frame %d runs",
                      (int)task.frame, (int)read, (int)held);
            sac_task_run(&task, engine);
            sac_task_done(&task);
        }
        while (sac_timeline_look(s) == SAC_TIMELINE_READY) {
            more = true;
            sac_assert_ok(sac_timeline_take(s, &result, &error), &error);
            taken++;
        }
    }
    return taken;
}

// A stream whose results are taken at once touches one or two of its planes, in memory and cache.
Test(student_pool, planes_are_used_again_at_once) {
    sac_model *model = model_of(SPLIT);
    sac_engine *engine = NULL;
    sac_timeline *s = NULL;
    sac_error error = {0};
    const sac_engine_options one = {.threads = 1, .precision = SAC_PRECISION_F32};
    const sac_timeline_options options = {.ahead = 1};
    sac_assert_ok(sac_engine_create(&engine, model, &one, &error), &error);
    sac_assert_ok(sac_timeline_create(&s, &model->preprocess, engine, &options, &error), &error);
    const uint8_t *low = NULL, *high = NULL;
    for (int round = 0; round < 2; round++) {
        for (int t = 0; t < 60; t++) {
            sac_task none;
            uint8_t *plane = sac_timeline_frame(s);
            cr_assert_not_null(plane);
            cr_assert_eq(sac_timeline_frame(s), plane, "asked twice for frame %d", t);
            draw(plane, 0, t);
            sac_timeline_commit(s, t);
            (void)drain(s, engine, -1, 0, 0, &none);
            if (low == NULL || plane < low) low = plane;
            if (high == NULL || plane > high) high = plane;
        }
        cr_assert_leq(high - low, 8 * W * H, "%d planes", (int)((high - low) / (W * H)) + 1);
        // As many as ever fit after that, and after frames that were asked for and not pushed.
        cr_assert_not_null(sac_timeline_frame(s));
        sac_timeline_reset(s);
    }
    int pushed = 0;
    while (sac_timeline_frame(s) != NULL && pushed < 100) sac_timeline_commit(s, pushed++);
    cr_assert(pushed >= SAC_STUDENT_WAITING + 3 && pushed < 100, "%d", pushed);
    sac_timeline_close(&s);
    sac_engine_close(&engine);
    sac_model_close(&model);
}

// Results that do not look at earlier frames leave slow stems behind.
Test(student_pool, a_slot_is_not_taken_while_a_slow_stem_needs_it) {
    enum { FRAMES = 20, AHEAD = 2 };
    static const struct {
        int offsets[3];
        bool gate;
        int64_t held, read, taken; // taken: results that do not need the held stem
    } cases[] = {
        {{0, 3, 6}, true, 1, 0, 1},  // frame 1 equals frame 0 and copies its features
        {{1, 2, 3}, false, 0, 0, 3}, // frame 0 is in no result
    };
    for (int c = 0; c < 2; c++) {
        sac_model *model = model_of(SPLIT);
        sac_engine *engine = NULL;
        sac_timeline *s = NULL;
        sac_error error = {0};
        sac_task pending = {.frame = -1};
        memcpy(model->preprocess.offsets, cases[c].offsets, sizeof cases[c].offsets);
        const sac_engine_options one = {.threads = 1, .precision = SAC_PRECISION_F32};
        const sac_timeline_options options = {.ahead = AHEAD, .gate = cases[c].gate};
        sac_assert_ok(sac_engine_create(&engine, model, &one, &error), &error);
        cr_assert(sac_engine_split(engine));
        sac_assert_ok(sac_timeline_create(&s, &model->preprocess, engine, &options, &error),
                      &error);
        const int64_t slots = 1 + cases[c].offsets[2] + AHEAD, held = cases[c].held;
        int64_t taken = 0;
        for (int t = 0; t < FRAMES; t++) {
            uint8_t *plane = sac_timeline_frame(s);
            cr_assert_not_null(plane, "no room for frame %d", t);
            draw(plane, 0, t == 1 ? 0 : t);
            sac_timeline_gate(s);
            sac_timeline_commit(s, t);
            taken += drain(s, engine, held, cases[c].read, slots, &pending);
        }
        cr_assert_eq(pending.frame, held);
        cr_assert_eq(pending.copy, cases[c].gate);
        cr_assert_eq(taken, cases[c].taken);
        sac_task_run(&pending, engine);
        sac_task_done(&pending);
        sac_timeline_finish(s);
        taken += drain(s, engine, -1, 0, slots, &pending);
        cr_assert_eq(taken, FRAMES);
        cr_assert_eq(sac_timeline_look(s), SAC_TIMELINE_EOF);
        sac_timeline_close(&s);
        sac_engine_close(&engine);
        sac_model_close(&model);
    }
}

// ---- beside one another -------------------------------------------------------------------------

Test(student_pool, students_beside_a_host_score_like_ones_of_their_own) {
    enum { STREAMS = 3, FRAMES = 20 };
    static scored out[STREAMS][FRAMES];
    static uint8_t pixels[MOST];
    for (int kind = 0; kind < KINDS; kind++) {
        sac_student *streams[STREAMS] = {NULL}, *none = NULL;
        sac_model *model = model_of(kind);
        const sac_student_options options = options_of(kind);
        sac_error error = {0};
        sac_result result;
        int64_t got[STREAMS] = {0};
        sac_assert_ok(sac_student_create(&streams[0], &model, &options, &error), &error);
        for (int64_t fail = 0;; fail++) {
            error = (sac_error){0};
            sac_memory_fail_after(fail);
            const sac_status status = sac_student_beside(streams[0], &streams[1], &error);
            sac_memory_fail_after(-1);
            if (status == SAC_OK) break;
            sac_assert_error(status, SAC_ERROR_MEMORY, &error, NULL);
            cr_assert_null(streams[1]);
        }
        sac_assert_ok(sac_student_beside(streams[0], &streams[2], &error), &error);
        cr_assert_eq(sac_student_model(streams[2]), sac_student_model(streams[0]));
        // Frame by frame in turn, the second stream ends sooner.
        for (int t = 0; t <= FRAMES; t++) {
            for (int i = 0; i < STREAMS; i++) {
                const int last = i == 1 ? FRAMES / 2 : FRAMES;
                draw_for(kind, pixels, i, t);
                if (t < last)
                    sac_assert_ok(sac_student_push_plane(streams[i], pixels, 0.04 * t, &error),
                                  &error);
                if (t == last) sac_assert_ok(sac_student_finish(streams[i], &error), &error);
                while (sac_student_pull(streams[i], &result, &error) == SAC_OK) {
                    keep(&out[i][got[i]], &result, got[i]);
                    got[i]++;
                }
            }
        }
        for (int i = 0; i < STREAMS; i++) {
            const int frames = i == 1 ? FRAMES / 2 : FRAMES;
            score_alone(kind, i, frames, expected);
            cr_assert_eq(got[i], frames);
            cr_assert_eq(memcmp(out[i], expected, (size_t)frames * sizeof *expected), 0,
                         "kind %d, stream %d", kind, i);
        }
        static float input[W * H * 3];
        error = (sac_error){0};
        sac_assert_error(sac_student_score_prepared(streams[1], input, &result, &error),
                         SAC_ERROR_UNSUPPORTED, &error, "beside", NULL);
        error = (sac_error){0};
        sac_assert_error(sac_student_beside(streams[1], &none, &error), SAC_ERROR_ARGUMENT, &error,
                         "another host", NULL);
        cr_assert_null(none);
        for (int i = STREAMS - 1; i >= 0; i--) sac_student_close(&streams[i]);
    }
    sac_student_pool *pool = open_pool(SPLIT, 1, false, NULL);
    sac_student *seated = open_stream(pool), *none = NULL;
    sac_error error = {0};
    sac_assert_error(sac_student_beside(seated, &none, &error), SAC_ERROR_ARGUMENT, &error,
                     "a pool", NULL);
    sac_student_close(&seated);
    sac_student_pool_close(&pool);
}

// ---- gate ---------------------------------------------------------------------------------------

// A still scene with sensor noise of a few gray levels, in which a small thing moves from frame
// `from` until frame `to`; in colour a thing that is but redder.
static void draw_quiet(int kind, uint8_t *pixels, int t, int from, int to) {
    const int channels = channels_of(kind);
    sac_rng rng;
    sac_rng_seed(&rng, (uint64_t)t, 4);
    draw_for(kind, pixels, 0, 0);
    for (int i = 0; i < W * H * channels; i++)
        pixels[i] = (uint8_t)(pixels[i] + (int)sac_rng_below(&rng, 5) - 2);
    if (t < from || t >= to) return;
    for (int y = 15; y < 20; y++) {
        for (int x = 0; x < 5; x++) pixels[(y * W + x + (t - from) * 2) * channels] = 250;
    }
}

static int64_t score_quiet(sac_student *s, int kind, int from, int to, scored *out) {
    static uint8_t pixels[MOST];
    sac_result result;
    int64_t got = 0;
    for (int t = 0; t <= MAX_FRAMES; t++) {
        draw_quiet(kind, pixels, t, from, to);
        if (t < MAX_FRAMES) {
            sac_assert_ok(sac_student_push_plane(s, pixels, t, NULL), NULL);
        } else {
            sac_assert_ok(sac_student_finish(s, NULL), NULL);
        }
        while (sac_student_pull(s, &result, NULL) == SAC_OK) {
            keep(&out[got], &result, got);
            got++;
        }
    }
    cr_assert_eq(got, MAX_FRAMES);
    return sac_student_reused(s);
}

Test(student_pool, the_gate_skips_still_frames_and_nothing_else) {
    static const int kinds[] = {SPLIT, WHOLE, SPLIT_COLOUR};
    for (int k = 0; k < 3; k++) {
        const int kind = kinds[k];
        sac_student *s = NULL;
        sac_error error = {0};
        const sac_student_options gated = {.threads = 1, .gate = true}, plain = {.threads = 1};
        sac_model *model = model_of(kind);
        sac_assert_ok(sac_student_create(&s, &model, &gated, &error), &error);
        // All is still: one result is computed.
        cr_assert_eq(score_quiet(s, kind, 0, 0, actual), MAX_FRAMES - 1);
        for (int t = 1; t < MAX_FRAMES; t++) cr_assert_eq(actual[t].score, actual[0].score);
        sac_student_reset(s);
        cr_assert_eq(sac_student_reused(s), 0);
        // Ten frames move, and are looked at from three before to three after.
        const int64_t reused = score_quiet(s, kind, 20, 30, actual);
        cr_assert(reused >= MAX_FRAMES - 20 && reused <= MAX_FRAMES - 16, "%d", (int)reused);
        sac_student_close(&s);
        model = model_of(kind);
        sac_assert_ok(sac_student_create(&s, &model, &plain, &error), &error);
        cr_assert_eq(score_quiet(s, kind, 20, 30, expected), 0);
        double worst = 0, range = 0;
        for (int t = 0; t < MAX_FRAMES; t++) {
            worst = fmax(worst, fabs((double)(actual[t].score - expected[t].score)));
            range = fmax(range, fabs((double)(expected[t].score - expected[0].score)));
        }
        cr_assert(worst < 0.5 * range, "the gate moves scores by %g of %g", worst, range);
        sac_student_close(&s);
        // The same on a pool, bit by bit.
        sac_student_pool *pool = open_pool(kind, 2, false, &gated);
        s = open_stream(pool);
        cr_assert_eq(score_quiet(s, kind, 20, 30, expected), reused);
        cr_assert_eq(memcmp(actual, expected, sizeof actual), 0);
        sac_student_close(&s);
        sac_student_pool_close(&pool);
    }
}

Test(student_pool, the_gate_does_not_follow_slow_change) {
    static uint8_t pixels[W * H];
    sac_student *s = NULL;
    sac_error error = {0};
    const sac_student_options gated = {.threads = 1, .gate = true};
    sac_model *model = model_of(0);
    sac_assert_ok(sac_student_create(&s, &model, &gated, &error), &error);
    sac_result result;
    // One corner brightens by one level per frame: never much between neighbours.
    for (int t = 0; t < 60; t++) {
        draw(pixels, 0, 0);
        for (int y = 0; y < 8; y++) {
            for (int x = 0; x < 8; x++) pixels[y * W + x] = (uint8_t)(pixels[y * W + x] + t);
        }
        sac_assert_ok(sac_student_push_plane(s, pixels, t, &error), &error);
        while (sac_student_pull(s, &result, &error) == SAC_OK) continue;
    }
    cr_assert(sac_student_reused(s) < 45, "%d of 57 were taken over", (int)sac_student_reused(s));
    sac_student_close(&s);
}
