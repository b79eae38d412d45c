// The streaming runtime against direct computation: every frame of a clip scored by hand on the
// reference.
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "core/memory.h"
#include "helper.h"
#include "nn/infer.h"
#include "student/heads.h"
#include "student/runtime.h"
#include "student_make.h"

// A blob that moves over a textured background: consecutive frames differ, but not completely.
static void draw(uint8_t *pixels, int width, int height, int t) {
    for (int y = 0; y < height; y++) {
        for (int x = 0; x < width; x++) {
            double dx = x - (0.2 + 0.05 * t) * width, dy = y - 0.5 * height;
            double blob = exp(-(dx * dx + dy * dy) / (0.02 * width * height + 1.0));
            pixels[y * width + x] = (uint8_t)(60 + (x * 7 + y * 13) % 40 + 140 * blob);
        }
    }
}

enum { MAX_FRAMES = 40 };

typedef struct scored {
    float score, smoothed, map16[256], map4[16], map1, peak_x, peak_y;
    double time_s;
} scored;

static sac_student *open_student(int width, int height, const sac_student_options *options) {
    sac_model *model = make_model(width, height, 5);
    sac_student *student = NULL;
    sac_error error = {0};
    // One thread unless the test is about threads: barriers are slow where the machine is busy.
    const sac_student_options one = {.threads = 1};
    sac_assert_ok(sac_student_create(&student, &model, options != NULL ? options : &one, &error),
                  &error);
    cr_assert_null(model);
    return student;
}

static void keep(scored *out, const sac_result *r, int64_t expected) {
    cr_assert_eq(r->frame, expected);
    *out = (scored){.score = r->score,
                    .smoothed = r->score_smoothed,
                    .map1 = r->map1,
                    .peak_x = r->peak_x,
                    .peak_y = r->peak_y,
                    .time_s = r->time_s};
    memcpy(out->map16, r->map16, sizeof out->map16);
    memcpy(out->map4, r->map4, sizeof out->map4);
}

// Streams `frames` frames of a size; pulls after each push.
static void stream(sac_student *student, scored *out, int frames, int width, int height) {
    uint8_t *pixels = sac_calloc((int64_t)width * height, 1);
    sac_error error = {0};
    sac_result result;
    int64_t got = 0;
    for (int t = 0; t < frames; t++) {
        draw(pixels, width, height, t);
        sac_assert_ok(sac_student_push(student, pixels, width, height, 1, 0.04 * t, &error),
                      &error);
        memset(pixels, 0, (size_t)width * (size_t)height); // the student must have copied
        sac_status status;
        while ((status = sac_student_pull(student, &result, &error)) == SAC_OK) {
            keep(&out[got], &result, got);
            got++;
        }
        cr_assert(status == SAC_AGAIN, "%s", error.message);
        cr_assert_eq(got, t >= 3 ? t - 2 : 0);
    }
    sac_assert_ok(sac_student_finish(student, &error), &error);
    sac_assert_ok(sac_student_finish(student, &error), &error);
    while (sac_student_pull(student, &result, &error) == SAC_OK) {
        keep(&out[got], &result, got);
        got++;
    }
    cr_assert_eq(got, frames);
    cr_assert(sac_student_pull(student, &result, &error) == SAC_EOF);
    cr_assert(sac_student_pull(student, &result, &error) == SAC_EOF);
    sac_free(pixels);
}

// The definition: planes at clamped frames, normalised, through the reference in channels-first
// order.
static void direct(scored *out, int frames, int width, int height) {
    sac_model *model = make_model(width, height, 5);
    const int64_t size = (int64_t)width * height;
    uint8_t *clip = sac_calloc(size * frames, 1);
    for (int t = 0; t < frames; t++) draw(clip + t * size, width, height, t);
    sac_infer *infer = NULL;
    sac_error error = {0};
    const sac_plan_options options = {.batch = 1, .backend = SAC_BACKEND_REF};
    sac_nn_set_threads(1);
    sac_assert_ok(sac_infer_create(&infer, model->net, model->params, &options, &error), &error);
    float *raw = sac_calloc(frames, sizeof *raw), *smooth = sac_calloc(frames, sizeof *smooth);
    for (int t = 0; t < frames; t++) {
        float *input = sac_infer_input(infer, "frames");
        for (int c = 0; c < 3; c++) {
            int frame = t + 3 * (c - 1);
            if (frame < 0) frame = 0;
            if (frame > frames - 1) frame = frames - 1;
            for (int64_t i = 0; i < size; i++)
                input[c * size + i] = (float)clip[frame * size + i] / 255.0f;
        }
        sac_assert_ok(sac_infer_run(infer, &error), &error);
        memcpy(out[t].map16, sac_infer_output(infer, "map16"), sizeof out[t].map16);
        memcpy(out[t].map4, sac_infer_output(infer, "map4"), sizeof out[t].map4);
        out[t].map1 = sac_infer_output(infer, "map1")[0];
        float max16 = 0, max4 = 0;
        for (int i = 0; i < 256; i++) {
            if (out[t].map16[i] > max16) {
                max16 = out[t].map16[i];
                out[t].peak_x = ((float)(i % 16) + 0.5f) / 16.0f;
                out[t].peak_y = ((float)(i / 16) + 0.5f) / 16.0f;
            }
        }
        for (int i = 0; i < 16; i++) max4 = fmaxf(max4, out[t].map4[i]);
        raw[t] = out[t].score = (max16 + max4 + out[t].map1) / 3.0f;
    }
    const sac_smoothing_options smoothing = {.kind = SAC_SMOOTHING_CAUSAL};
    cr_assert(sac_smooth(smooth, raw, frames, &smoothing) == SAC_OK);
    for (int t = 0; t < frames; t++) out[t].smoothed = smooth[t];
    sac_free(raw);
    sac_free(smooth);
    sac_free(clip);
    sac_infer_close(&infer);
    sac_model_close(&model);
}

static void assert_close(const scored *actual, const scored *expected, int frames, double limit,
                         const char *what) {
    for (int t = 0; t < frames; t++) {
        char place[128];
        snprintf(place, sizeof place, "%s, frame %d of %d", what, t, frames);
        sac_assert_close(actual[t].map16, expected[t].map16, 2, (const int64_t[]){16, 16}, limit,
                         place);
        sac_assert_close(actual[t].map4, expected[t].map4, 2, (const int64_t[]){4, 4}, limit,
                         place);
        sac_assert_close(&actual[t].map1, &expected[t].map1, 1, (const int64_t[]){1}, limit, place);
        sac_assert_close(&actual[t].score, &expected[t].score, 1, (const int64_t[]){1}, limit,
                         place);
        sac_assert_close(&actual[t].smoothed, &expected[t].smoothed, 1, (const int64_t[]){1}, limit,
                         place);
    }
}

static scored actual[MAX_FRAMES], expected[MAX_FRAMES];

Test(student_runtime, clips_of_every_length_equal_direct_computation) {
    static const int lengths[] = {1, 2, 3, 4, 5, 6, 7, 8, 30};
    sac_student *student = open_student(48, 32, NULL);
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        direct(expected, lengths[i], 48, 32);
        stream(student, actual, lengths[i], 48, 32);
        assert_close(actual, expected, lengths[i], 1e-5, "oneDNN");
        for (int t = 0; t < lengths[i]; t++) cr_assert_eq(actual[t].time_s, 0.04 * t);
        sac_student_reset(student);
    }
    // Scores must depend on the frame, or the comparison above could not tell one frame from
    // another.
    float low = 1, high = 0;
    for (int t = 0; t < 30; t++) {
        low = fminf(low, expected[t].score);
        high = fmaxf(high, expected[t].score);
    }
    cr_assert(high - low > 1e-3f, "all scores lie within %g", (double)(high - low));
    sac_student_close(&student);
    cr_assert_null(student);
    sac_student_close(&student);
}

Test(student_runtime, reference_backend_and_odd_network_sizes) {
    static const int sizes[][2] = {{16, 16}, {17, 19}, {33, 16}, {40, 23}};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        const sac_student_options options = {.threads = 1, .reference = true};
        sac_student *reference = open_student(sizes[i][0], sizes[i][1], &options);
        sac_student *fast = open_student(sizes[i][0], sizes[i][1], NULL);
        direct(expected, 5, sizes[i][0], sizes[i][1]);
        stream(reference, actual, 5, sizes[i][0], sizes[i][1]);
        assert_close(actual, expected, 5, 1e-6, "reference");
        for (int t = 0; t < 5; t++) {
            cr_assert(actual[t].peak_x == expected[t].peak_x &&
                      actual[t].peak_y == expected[t].peak_y);
        }
        stream(fast, actual, 5, sizes[i][0], sizes[i][1]);
        assert_close(actual, expected, 5, 1e-5, "oneDNN");
        sac_student_close(&reference);
        sac_student_close(&fast);
    }
}

// A student with fewer maps: those it has are the same as of the whole one with the same weights,
// the score is their mean, the peak that of the finest.
Test(student_runtime, fewer_maps) {
    static const char *const archs[] = {"tiny-m:16", "tiny-m:4",    "tiny-m:16,4",
                                        "tiny-m:1",  "tiny-m:16,1", "tiny-m:4,1"};
    static const unsigned heads[] = {1, 2, 3, 4, 5, 6};
    enum { W = 48, H = 32, FRAMES = 6 };
    static uint8_t pixels[W * H];
    const sac_student_options one = {.threads = 1};
    sac_student *whole = open_student(W, H, NULL);
    stream(whole, expected, FRAMES, W, H);
    for (int a = 0; a < 6; a++) {
        sac_preprocess p = sac_preprocess_default();
        sac_model *model = NULL;
        sac_student *s = NULL;
        sac_student_info info;
        sac_error error = {0};
        sac_result r;
        p.width = W;
        p.height = H;
        sac_assert_ok(sac_model_create(&model, archs[a], &p, &error), &error);
        for (int64_t i = 0; i < sac_params_count(model->params); i++) {
            sac_param *to = sac_params_at(model->params, i);
            const sac_param *from = sac_params_find(sac_student_model(whole)->params, to->name);
            cr_assert(from != NULL && from->count == to->count);
            memcpy(to->data, from->data, (size_t)to->count * sizeof *to->data);
        }
        sac_assert_ok(sac_student_create(&s, &model, &one, &error), &error);
        sac_student_get_info(s, &info);
        cr_assert(info.has_map16 == ((heads[a] & 1) != 0) &&
                  info.has_map4 == ((heads[a] & 2) != 0) && info.has_map1 == ((heads[a] & 4) != 0));
        int got = 0;
        for (int t = 0; t <= FRAMES; t++) {
            draw(pixels, W, H, t);
            sac_assert_ok(t < FRAMES ? sac_student_push(s, pixels, W, H, 1, t, &error)
                                     : sac_student_finish(s, &error),
                          &error);
            for (; sac_student_pull(s, &r, &error) == SAC_OK; got++) {
                const scored *e = &expected[got];
                float sum = 0;
                int count = 0, side = 0;
                cr_assert_eq(r.map16 != NULL, info.has_map16);
                cr_assert_eq(r.map4 != NULL, info.has_map4);
                cr_assert_eq(!isnan(r.map1), info.has_map1);
                const float *finest = sac_result_finest(&r, &side);
                cr_assert_eq(side, info.has_map16 ? 16 : info.has_map4 ? 4 : 1);
                const float *const maps[3] = {r.map16, r.map4, info.has_map1 ? &r.map1 : NULL},
                                   *const whole_maps[3] = {e->map16, e->map4, &e->map1};
                for (int k = 0; k < 3; k++) {
                    float most = 0;
                    for (int i = 0; maps[k] != NULL && i < sac_heads[k].cells; i++) {
                        cr_assert_float_eq(maps[k][i], whole_maps[k][i], 1e-5f);
                        most = fmaxf(most, maps[k][i]);
                    }
                    sum += most;
                    count += maps[k] != NULL;
                }
                cr_assert_float_eq(r.score, sum / (float)count, 1e-6f);
                const int x = (int)(r.peak_x * (float)side), y = (int)(r.peak_y * (float)side);
                for (int i = 0; i < side * side; i++) cr_assert(finest[i] <= finest[y * side + x]);
            }
        }
        cr_assert_eq(got, FRAMES);
        sac_student_close(&s);
    }
    sac_student_close(&whole);
}

Test(student_runtime, reset_repeats_bit_by_bit_and_threads_agree) {
    static scored second[MAX_FRAMES];
    const sac_student_options one = {.threads = 1}, two = {.threads = 2};
    sac_student *a = open_student(64, 48, &one), *b = open_student(64, 48, &two);
    stream(a, actual, 12, 64, 48);
    sac_student_reset(a);
    stream(a, second, 12, 64, 48);
    cr_assert_eq(memcmp(actual, second, 12 * sizeof *actual), 0, "a stream after reset differs");
    stream(b, second, 12, 64, 48);
    assert_close(second, actual, 12, 1e-5, "two threads");
    sac_student_close(&a);
    sac_student_close(&b);
}

Test(student_runtime, smoothing_is_the_streaming_form_of_the_whole) {
    const sac_student_options options = {.threads = 1, .smoothing_sigma = 2.5, .smoothing_taps = 9};
    sac_student *student = open_student(32, 32, &options);
    stream(student, actual, 25, 32, 32);
    float raw[25], smooth[25];
    for (int t = 0; t < 25; t++) raw[t] = actual[t].score;
    const sac_smoothing_options smoothing = {.kind = SAC_SMOOTHING_CAUSAL, .sigma = 2.5, .taps = 9};
    cr_assert(sac_smooth(smooth, raw, 25, &smoothing) == SAC_OK);
    for (int t = 0; t < 25; t++) cr_assert_eq(actual[t].smoothed, smooth[t], "frame %d", t);
    sac_student_close(&student);
}

Test(student_runtime, frames_of_any_and_changing_size) {
    static const int sizes[][2] = {{17, 13}, {1, 1},       {2, 700},  {1920, 1080},
                                   {48, 32}, {7680, 4320}, {16384, 1}};
    sac_student *student = open_student(48, 32, NULL);
    sac_error error = {0};
    sac_result result;
    int64_t got = 0;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        int64_t size = (int64_t)sizes[i][0] * sizes[i][1];
        uint8_t *pixels = sac_calloc(size, 1);
        draw(pixels, sizes[i][0], sizes[i][1], (int)i);
        sac_assert_ok(
            sac_student_push(student, pixels, sizes[i][0], sizes[i][1], 1, (double)i, &error),
            &error);
        sac_free(pixels);
        while (sac_student_pull(student, &result, &error) == SAC_OK) got++;
    }
    sac_assert_ok(sac_student_finish(student, &error), &error);
    while (sac_student_pull(student, &result, &error) == SAC_OK) got++;
    cr_assert_eq(got, (int64_t)(sizeof sizes / sizeof sizes[0]));
    sac_student_close(&student);
}

Test(student_runtime, rgb_with_equal_channels_is_gray) {
    enum { W = 37, H = 29, FRAMES = 6 };
    static uint8_t gray[W * H], rgb[W * H * 3];
    sac_student *student = open_student(48, 32, NULL);
    sac_error error = {0};
    for (int colour = 0; colour < 2; colour++) {
        sac_student_reset(student);
        for (int t = 0; t < FRAMES; t++) {
            draw(gray, W, H, t);
            for (int i = 0; i < W * H * 3; i++) rgb[i] = gray[i / 3];
            sac_assert_ok(
                sac_student_push(student, colour ? rgb : gray, W, H, colour ? 3 : 1, t, &error),
                &error);
        }
        sac_assert_ok(sac_student_finish(student, &error), &error);
        sac_result result;
        for (int t = 0; sac_student_pull(student, &result, &error) == SAC_OK; t++) {
            keep(colour ? &actual[t] : &expected[t], &result, t);
        }
    }
    cr_assert_eq(memcmp(actual, expected, FRAMES * sizeof *actual), 0);
    sac_student_close(&student);
}

Test(student_runtime, prepared_input_gives_the_same_score_and_leaves_the_stream_alone) {
    enum { W = 48, H = 32, SIZE = W * H };
    static float planes[3][SIZE], input[SIZE * 3];
    static uint8_t pixels[SIZE];
    sac_student *student = open_student(W, H, NULL);
    sac_error error = {0};
    sac_result result;
    stream(student, expected, 12, W, H);
    sac_student_reset(student);
    for (int t = 0; t < 12; t++) {
        draw(pixels, W, H, t);
        sac_assert_ok(sac_student_push(student, pixels, W, H, 1, 0.04 * t, &error), &error);
        if (t >= 3) {
            sac_assert_ok(sac_student_pull(student, &result, &error), &error);
            keep(&actual[t - 3], &result, t - 3);
        }
        // In the middle of the stream score frame 5 from prepared planes.
        for (int c = 0; c < 3; c++) {
            draw(pixels, W, H, 2 + 3 * c);
            sac_assert_ok(sac_student_prepare(student, planes[c], pixels, W, H, 1, &error), &error);
            for (int i = 0; i < SIZE; i++) input[3 * i + c] = planes[c][i];
        }
        sac_assert_ok(sac_student_score_prepared(student, input, &result, &error), &error);
        cr_assert_eq(result.score, expected[5].score);
        cr_assert_eq(result.score_smoothed, result.score);
        cr_assert_eq(memcmp(result.map16, expected[5].map16, sizeof expected[5].map16), 0);
    }
    sac_assert_ok(sac_student_finish(student, &error), &error);
    for (int t = 9; t < 12; t++) {
        sac_assert_ok(sac_student_pull(student, &result, &error), &error);
        keep(&actual[t], &result, t);
    }
    cr_assert_eq(memcmp(actual, expected, 12 * sizeof *actual), 0);
    sac_student_close(&student);
}

Test(student_runtime, calls_in_the_wrong_order_and_bad_arguments) {
    enum { W = 16, H = 16 };
    static uint8_t pixels[W * H];
    sac_student *student = open_student(W, H, NULL);
    sac_error error = {0};
    sac_result result;
    cr_assert(sac_student_pull(student, &result, NULL) == SAC_AGAIN);
    // As many results as promised may wait, and not arbitrarily many.
    int pushed = 0;
    while (sac_student_push(student, pixels, W, H, 1, pushed, &error) == SAC_OK && pushed < 1000)
        pushed++;
    cr_assert(pushed >= SAC_STUDENT_WAITING + 3 && pushed < 100, "%d", pushed);
    cr_assert(error.code == SAC_ERROR_ARGUMENT && strstr(error.message, "pull") != NULL, "%s",
              error.message);
    for (int i = 0; i < pushed - 3; i++)
        cr_assert(sac_student_pull(student, &result, NULL) == SAC_OK);
    cr_assert(sac_student_pull(student, &result, NULL) == SAC_AGAIN);
    error = (sac_error){0};
    sac_assert_error(sac_student_push(student, NULL, W, H, 1, 0, &error), SAC_ERROR_ARGUMENT,
                     &error, "no pixels", NULL);
    error = (sac_error){0};
    sac_assert_error(sac_student_push(student, pixels, 0, H, 1, 0, &error), SAC_ERROR_ARGUMENT,
                     &error, "0x16", NULL);
    error = (sac_error){0};
    sac_assert_error(sac_student_push(student, pixels, W, H, 4, 0, &error), SAC_ERROR_ARGUMENT,
                     &error, "4 channels", NULL);
    error = (sac_error){0};
    sac_assert_error(sac_student_push(student, pixels, W, H, 1, NAN, &error), SAC_ERROR_ARGUMENT,
                     &error, "time", NULL);
    sac_assert_ok(sac_student_finish(student, NULL), NULL);
    error = (sac_error){0};
    sac_assert_error(sac_student_push(student, pixels, W, H, 1, 0, &error), SAC_ERROR_ARGUMENT,
                     &error, "finished", NULL);
    for (int i = 0; i < 3; i++) cr_assert(sac_student_pull(student, &result, NULL) == SAC_OK);
    cr_assert(sac_student_pull(student, &result, NULL) == SAC_EOF);
    sac_student_reset(student);
    cr_assert(sac_student_pull(student, &result, NULL) == SAC_AGAIN);
    sac_assert_ok(sac_student_finish(student, NULL), NULL);
    cr_assert(sac_student_pull(student, &result, NULL) == SAC_EOF, "an empty stream ends at once");
    error = (sac_error){0};
    sac_assert_error(sac_student_score_prepared(student, NULL, &result, &error), SAC_ERROR_ARGUMENT,
                     &error, NULL);
    error = (sac_error){0};
    sac_assert_error(sac_student_prepare(student, NULL, pixels, W, H, 1, &error),
                     SAC_ERROR_ARGUMENT, &error, NULL);
    sac_student_close(&student);
}

Test(student_runtime, options_out_of_range) {
    static const sac_student_options bad[] = {{.threads = -1},
                                              {.threads = 1025},
                                              {.smoothing_sigma = -1},
                                              {.smoothing_taps = 65},
                                              {.smoothing_sigma = NAN}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        sac_model *model = make_model(16, 16, 1);
        sac_student *student = NULL;
        sac_error error = {0};
        sac_assert_error(sac_student_create(&student, &model, &bad[i], &error), SAC_ERROR_ARGUMENT,
                         &error, NULL);
        cr_assert(student == NULL && model == NULL);
    }
}

Test(student_runtime, a_score_that_is_not_finite_names_the_frame) {
    // Finite weights whose products overflow to infinity and then to NaN.
    sac_model *model = make_model(16, 16, 5);
    static const char *const huge[] = {"stem0.norm.weight", "down.norm.weight", "fuse.norm.weight"};
    for (int i = 0; i < 3; i++) {
        sac_param *p = sac_params_find(model->params, huge[i]);
        for (int64_t k = 0; k < p->count; k++) p->data[k] = 3e38f;
    }
    const sac_student_options options = {.threads = 1, .reference = true};
    sac_student *student = NULL;
    sac_error error = {0};
    sac_assert_ok(sac_student_create(&student, &model, &options, &error), &error);
    uint8_t pixels[256];
    draw(pixels, 16, 16, 0);
    sac_result result;
    sac_assert_ok(sac_student_push(student, pixels, 16, 16, 1, 0, &error), &error);
    sac_assert_ok(sac_student_finish(student, &error), &error);
    sac_assert_error(sac_student_pull(student, &result, &error), SAC_ERROR_NUMERIC, &error,
                     "frame 0", NULL);
    cr_assert_eq(error.position, 0);
    sac_student_close(&student);
}

Test(student_runtime, causal_and_future_offsets) {
    const sac_student_options one = {.threads = 1};
    static const int offsets[][3] = {{-6, -3, 0}, {0, 3, 6}, {1, 2, 3}, {-9, -8, -7}, {-64, 0, 64}};
    static const int lookahead[] = {0, 6, 3, 0, 64};
    for (int i = 0; i < 5; i++) {
        sac_preprocess p = sac_preprocess_default();
        p.width = p.height = 16;
        memcpy(p.offsets, offsets[i], sizeof p.offsets);
        sac_model *model = NULL;
        sac_error error = {0};
        sac_assert_ok(sac_model_create(&model, "tiny-m", &p, &error), &error);
        randomise(model, 5);
        sac_student *student = NULL;
        sac_assert_ok(sac_student_create(&student, &model, &one, &error), &error);
        sac_student_info info;
        sac_student_get_info(student, &info);
        cr_assert_eq(info.lookahead, lookahead[i]);
        uint8_t pixels[256];
        sac_result result;
        int64_t got = 0;
        for (int t = 0; t < 90; t++) {
            draw(pixels, 16, 16, t % 20);
            sac_assert_ok(sac_student_push(student, pixels, 16, 16, 1, t, &error), &error);
            while (sac_student_pull(student, &result, &error) == SAC_OK)
                cr_assert_eq(result.frame, got++);
            cr_assert_eq(got, t >= lookahead[i] ? t - lookahead[i] + 1 : 0);
        }
        sac_assert_ok(sac_student_finish(student, &error), &error);
        while (sac_student_pull(student, &result, &error) == SAC_OK)
            cr_assert_eq(result.frame, got++);
        cr_assert_eq(got, 90);
        sac_student_close(&student);
    }
}

Test(student_runtime, the_defaults_are_one_thread_on_the_fast_backend) {
    const sac_student_options options = sac_student_default_options();
    cr_assert_eq(options.threads, 1);
    cr_assert_not(options.reference || options.gate);
    cr_assert_eq(options.precision, SAC_PRECISION_AUTO);
}

Test(student_runtime, open_reads_a_file_and_reports_lack_of_memory) {
    sac_model *model = make_model(16, 16, 5);
    const char *path = sac_test_path("m.safetensors");
    sac_error error = {0};
    sac_assert_ok(sac_model_save(model, path, &error), &error);
    sac_model_close(&model);
    sac_student *student = NULL;
    sac_assert_ok(sac_student_open(&student, path, NULL, &error), &error);
    sac_student_info info;
    sac_student_get_info(student, &info);
    cr_assert_str_eq(info.arch, "tiny-m");
    cr_assert(info.width == 16 && info.height == 16 && info.channels == 1 && info.lookahead == 3);
    cr_assert(info.parameters > 100000 && info.macs > 0);
    sac_student_close(&student);
    error = (sac_error){0};
    sac_assert_error(sac_student_open(&student, sac_test_path("absent"), NULL, &error),
                     SAC_ERROR_IO, &error, "absent", NULL);
    cr_assert_null(student);
    for (int64_t fail = 0;; fail += 1 + fail / 8) {
        error = (sac_error){0};
        sac_memory_fail_after(fail);
        sac_status status = sac_student_open(&student, path, NULL, &error);
        sac_memory_fail_after(-1);
        if (status == SAC_OK) break;
        sac_assert_error(status, SAC_ERROR_MEMORY, &error, NULL);
        cr_assert_null(student);
    }
    sac_student_close(&student);
}
