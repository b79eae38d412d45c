// Deep features: preprocessing texts, vectors and their cache, and the attribute teacher with a
// generated network, in its file, elsewhere, or gone.
#include "teachers/deep.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "attributes_make.h"
#include "core/file.h"
#include "core/safetensors.h"
#include "helper.h"
#include "image_network_make.h"
#include "teachers/attributes_family.h"
#include "teachers/image_network.h"
#include "teachers/teacher.h"

static bool stop_now(void) {
    return true;
}

static sac_deep *open_deep(const char *network, int64_t side) {
    sac_error error = {0};
    sac_deep *deep = NULL;
    const sac_deep_options o = {.network = network, .preprocess = "auto", .side = side};
    sac_assert_ok(sac_deep_open(&deep, &o, SAC_BACKEND_ONEDNN, &error), &error);
    return deep;
}

Test(teachers_deep, preprocessing_is_read_from_text) {
    sac_image_input input;
    sac_error error = {0};
    sac_assert_ok(sac_image_input_parse(&input, "caffe", &error), &error);
    cr_assert_eq(input.preprocess, SAC_IMAGE_CAFFE);
    cr_assert_eq(input.mean[0], 104);
    cr_assert_eq(input.scale[2], 1);
    sac_assert_ok(sac_image_input_parse(&input, "auto", &error), &error);
    cr_assert_eq(input.preprocess, SAC_IMAGE_AUTO);
    sac_assert_ok(sac_image_input_parse(&input, "rgb:1/2/3:0.5", &error), &error);
    cr_assert_eq(input.preprocess, SAC_IMAGE_CUSTOM);
    cr_assert(input.mean[0] == 1 && input.mean[1] == 2 && input.mean[2] == 3);
    cr_assert(input.scale[0] == 0.5 && input.scale[2] == 0.5);
    cr_assert_str_eq(input.text, "rgb:1/2/3:0.5");
    // Numbers are for red, green, blue; the first channel of bgr is blue.
    sac_assert_ok(sac_image_input_parse(&input, "bgr:1/2/3:4/5/-6", &error), &error);
    cr_assert(input.mean[0] == 3 && input.mean[1] == 2 && input.mean[2] == 1);
    cr_assert(input.scale[0] == -6 && input.scale[1] == 5 && input.scale[2] == 4);
    sac_assert_ok(sac_image_input_parse(&input, "bgr:7:1", &error), &error);
    cr_assert(input.mean[0] == 7 && input.mean[1] == 7 && input.mean[2] == 7);
    static const char *const bad[] = {
        "",           "torch",     "rgb",
        "rgb:",       "rgb:1",     "rgb:1:",
        "rgb::1",     "rgb:1/2:1", "rgb:1/2/3/4:1",
        "rgb:1/2/:1", "rgb:1:0",   "rgb:1:1/0/1",
        "rgb:x:1",    "rgb:nan:1", "rgb:1:inf",
        "rbg:1:1",    "rgb:1:1:1", "rgb:1:11111111111111111111111111111111111111111111111111"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        error = (sac_error){0};
        sac_assert_error(sac_image_input_parse(&input, bad[i], &error), SAC_ERROR_ARGUMENT, &error,
                         "rgb:MEAN:SCALE", NULL);
    }
}

Test(teachers_deep, names_lose_their_folders) {
    static const char *const pairs[][2] = {
        {"a.onnx", "a.onnx"},
        {"/x/y/a.onnx:fire9/concat", "a.onnx:concat"},
        {"darknet:/x/a.cfg:../b/a.weights:12", "darknet:a.cfg:a.weights:12"},
        {"onnx:x/a.onnx", "onnx:a.onnx"},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        char *name = sac_deep_name(pairs[i][0]);
        cr_assert_str_eq(name, pairs[i][1]);
        sac_free(name);
    }
}

Test(teachers_deep, vectors_are_those_of_the_network_and_kept) {
    char text[1200], mapped[1300];
    float weights[TINY_WEIGHTS];
    sac_error error = {0};
    test_clip c;
    test_clip_make(&c, 1.5, false, 3);
    make_image_network(text, sizeof text, weights, 4);
    // The map behind the first layer is averaged to four numbers.
    (void)snprintf(mapped, sizeof mapped, "%s:0", text);
    sac_deep *deep = open_deep(mapped, 0);
    const int64_t n = c.detections.count;
    cr_assert_eq(sac_deep_length(deep), TINY_FILTERS);
    sac_deep_close(&deep);
    deep = open_deep(text, 0);
    cr_assert_eq(sac_deep_length(deep), TINY_CLASSES);
    float *rows = sac_calloc(n * TINY_CLASSES, sizeof *rows);
    float *again = sac_calloc(n * TINY_CLASSES, sizeof *again);
    const char *cache = sac_test_path("vectors");
    sac_assert_ok(sac_deep_use_cache(deep, cache), &error);
    sac_assert_ok(sac_deep_measure(deep, rows, &c.detections, c.pixels, SCENE_W, SCENE_H, NULL,
                                   NULL, NULL, &error),
                  &error);
    cr_assert_eq(sac_deep_looked_at(deep), n);
    // Against the network itself, object by object.
    sac_image_network *network = NULL;
    sac_image_runner *runner = NULL;
    sac_assert_ok(sac_image_network_read(&network, text, SAC_IMAGE_UNIT, &error), &error);
    sac_assert_ok(sac_image_runner_create(&runner, network, SAC_BACKEND_REF, &error), &error);
    for (int64_t t = 0; t < c.detections.frames; t += 7) {
        for (int64_t i = c.detections.start[t]; i < c.detections.start[t + 1]; i++) {
            const sac_crop_object object = {.pixels = c.pixels,
                                            .width = SCENE_W,
                                            .height = SCENE_H,
                                            .frames = c.detections.frames,
                                            .t = t,
                                            .box = c.detections.boxes[i]};
            float own[TINY_CLASSES];
            double sum = 0;
            sac_assert_ok(sac_image_runner_run(runner, own, TINY_CLASSES, &object, 1, NULL, &error),
                          &error);
            for (int k = 0; k < TINY_CLASSES; k++) sum += (double)own[k] * (double)own[k];
            for (int k = 0; k < TINY_CLASSES; k++) {
                cr_assert_float_eq(rows[i * TINY_CLASSES + k], (double)own[k] / sqrt(sum), 1e-4);
            }
        }
    }
    sac_image_runner_close(&runner);
    sac_image_network_close(&network);
    // From the cache, also for another run.
    sac_deep_close(&deep);
    deep = open_deep(text, 0);
    sac_assert_ok(sac_deep_use_cache(deep, cache), &error);
    sac_assert_ok(sac_deep_measure(deep, again, &c.detections, c.pixels, SCENE_W, SCENE_H, stop_now,
                                   NULL, NULL, &error),
                  &error);
    cr_assert_eq(sac_deep_looked_at(deep), 0);
    cr_assert_eq(memcmp(rows, again, (size_t)n * TINY_CLASSES * sizeof *rows), 0);
    // A spoilt file is made anew, other pixels have another.
    char **names = NULL;
    int64_t files = 0;
    sac_assert_ok(sac_folder_list(&names, &files, cache, &error), &error);
    cr_assert_eq(files, 1);
    char *path = sac_path_join(cache, names[0]);
    sac_free(names);
    cr_assert_eq(truncate(path, 200), 0);
    sac_free(path);
    sac_assert_ok(sac_deep_measure(deep, again, &c.detections, c.pixels, SCENE_W, SCENE_H, NULL,
                                   NULL, NULL, &error),
                  &error);
    cr_assert_eq(sac_deep_looked_at(deep), n);
    cr_assert_eq(memcmp(rows, again, (size_t)n * TINY_CLASSES * sizeof *rows), 0);
    c.pixels[5] ^= 1;
    sac_assert_error(sac_deep_measure(deep, again, &c.detections, c.pixels, SCENE_W, SCENE_H,
                                      stop_now, NULL, NULL, &error),
                     SAC_ERROR_INTERRUPTED, &error, "interrupted", NULL);
    sac_deep_close(&deep);
    sac_free(rows);
    sac_free(again);
    test_clip_close(&c);
}

Test(teachers_deep, refuses_what_it_cannot_use) {
    char text[1200];
    float weights[TINY_WEIGHTS];
    make_image_network(text, sizeof text, weights, 4);
    const struct {
        sac_deep_options options;
        sac_status code;
        const char *word;
    } cases[] = {
        {{"/nowhere/x.onnx", "auto", 0}, SAC_ERROR_IO, "/nowhere/x.onnx"},
        {{text, "torch", 0}, SAC_ERROR_ARGUMENT, "torch"},
        {{text, "auto", 4}, SAC_ERROR_ARGUMENT, "input of 4 px"},
        {{text, "auto", -1}, SAC_ERROR_ARGUMENT, "px"},
        {{text, "auto", (int64_t)1 << 40}, SAC_ERROR_ARGUMENT, "px"},
        {{"\xff.onnx", "auto", 0}, SAC_ERROR_ARGUMENT, "UTF-8"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        sac_deep *deep = NULL;
        sac_error error = {0};
        sac_assert_error(sac_deep_open(&deep, &cases[i].options, SAC_BACKEND_REF, &error),
                         cases[i].code, &error, cases[i].word, NULL);
        cr_assert_null(deep);
    }
}

// ---- the attribute teacher ----------------------------------------------------------------------

enum { CLIPS = 3 };
typedef struct training_set {
    test_clip clips[CLIPS];
    sac_family_clip views[CLIPS];
} training_set;

static void make_set(training_set *s) {
    static const char *const names[] = {"one", "two", "three"};
    for (int i = 0; i < CLIPS; i++) {
        test_clip_make(&s->clips[i], 1.4 + 0.1 * i, false, 13 * i);
        s->views[i] = test_family_clip(&s->clips[i], names[i]);
    }
}

static sac_status train(const training_set *s, const char *attributes, const char *network,
                        const char *file, sac_error *error) {
    json_t *metrics = NULL;
    const sac_attributes_options o = {.attributes = attributes,
                                      .bank = 64,
                                      .neighbours = 2,
                                      .combination = 2,
                                      .seed = 1,
                                      .deep = {.network = network, .preprocess = "auto"},
                                      .backend = SAC_BACKEND_ONEDNN};
    const sac_family_job job = {.clips = s->views,
                                .count = CLIPS,
                                .options = &o,
                                .folder = sac_test_folder(),
                                .file = file,
                                .stamp = "",
                                .cache = sac_test_path("cache")};
    const sac_status status = sac_attributes_family.train(&metrics, &job, error);
    if (status == SAC_OK) {
        const json_t *deep = json_object_get(metrics, "deep");
        const char *name = json_string_value(json_object_get(deep, "network"));
        cr_assert(network == NULL || strcmp(name, "darknet:tiny.cfg:tiny.weights") == 0, "%s",
                  name);
        cr_assert_eq(strlen(json_string_value(json_object_get(deep, "digest"))), 64);
    }
    json_decref(metrics);
    return status;
}

static void score(const char *file, const char *elsewhere, const test_clip *c, float *scores,
                  float *tasks) {
    sac_teacher *teacher = NULL;
    sac_error error = {0};
    const sac_teacher_context context = {.backend = SAC_BACKEND_ONEDNN, .deep_features = elsewhere};
    sac_assert_ok(sac_teacher_open_with(&teacher, file, &context, &error), &error);
    cr_assert_eq(sac_teacher_task_count(teacher), 2);
    cr_assert_str_eq(sac_teacher_task_name(teacher, 1), "deep");
    sac_assert_ok(sac_teacher_score(teacher, scores, tasks, &c->detections, c->pixels, SCENE_W,
                                    SCENE_H, NULL, NULL, NULL, &error),
                  &error);
    sac_teacher_close(&teacher);
}

static void expect_refusal(const char *file, const char *elsewhere, sac_status code,
                           const char *word, const char *other) {
    sac_teacher *teacher = NULL;
    sac_error error = {0};
    const sac_teacher_context context = {.deep_features = elsewhere};
    sac_assert_error(sac_teacher_open_with(&teacher, file, &context, &error), code, &error, word,
                     other, NULL);
    cr_assert_null(teacher);
}

Test(teachers_deep, teacher_learns_looks_and_finds_its_network_again) {
    char text[1200], moved[1300];
    float weights[TINY_WEIGHTS];
    sac_error error = {0};
    training_set s;
    make_set(&s);
    make_image_network(text, sizeof text, weights, 4);
    const char *file = sac_test_path("deep.safetensors");
    sac_assert_ok(train(&s, "velocity", text, file, &error), &error);
    // Objects that look otherwise: the same clip with black and white exchanged.
    test_clip c, other;
    test_clip_make(&c, 1.5, false, 5);
    test_clip_make(&other, 1.5, false, 5);
    for (int64_t i = 0; i < (int64_t)SCENE_W * SCENE_H * SCENE_FRAMES; i++)
        other.pixels[i] = (uint8_t)(255 - other.pixels[i]);
    const int64_t n = c.detections.count;
    float *scores = sac_calloc(n, sizeof *scores), *tasks = sac_calloc(2 * n, sizeof *tasks);
    float *again = sac_calloc(2 * n, sizeof *again);
    double usual = 0, odd = 0;
    score(file, NULL, &c, scores, tasks);
    for (int64_t i = 0; i < n; i++) usual += (double)tasks[2 * i + 1] / (double)n;
    score(file, NULL, &other, scores, again);
    for (int64_t i = 0; i < n; i++) odd += (double)again[2 * i + 1] / (double)n;
    cr_assert_gt(odd, 3 * usual, "looks: usual %g, odd %g", usual, odd);
    // Another network is not taken for it; the right one is found where the file says.
    char wrong[1200], cfg[600], moved_weights[600];
    float values[TINY_WEIGHTS];
    (void)snprintf(cfg, sizeof cfg, "%s", sac_test_path("tiny.cfg"));
    (void)snprintf(moved_weights, sizeof moved_weights, "%s", sac_test_path("moved.weights"));
    const char *own = sac_test_path("tiny.weights");
    cr_assert_eq(rename(own, moved_weights), 0);
    (void)snprintf(moved, sizeof moved, "darknet:%s:%s", cfg, moved_weights);
    expect_refusal(file, NULL, SAC_ERROR_IO, "--deep-features", "tiny.weights");
    score(file, moved, &c, scores, again);
    cr_assert_eq(memcmp(tasks, again, (size_t)n * 2 * sizeof *tasks), 0, "from where it is now");
    make_image_network(wrong, sizeof wrong, values, 5);
    expect_refusal(file, NULL, SAC_ERROR_ARGUMENT, "--deep-features", "digest");
    expect_refusal(file, wrong, SAC_ERROR_ARGUMENT, "--deep-features", "digest");
    cr_assert_eq(rename(moved_weights, own), 0);
    score(file, "/nowhere.onnx", &c, scores, again);
    cr_assert_eq(memcmp(tasks, again, (size_t)n * 2 * sizeof *tasks), 0, "where it was");
    // Descriptions that are none.
    static const char *const bad[] = {
        "{\"tasks\":[\"deep\"],\"neighbours\":1,\"width\":112,\"height\":72,\"step\":1,"
        "\"flow_level\":0,\"speed\":1,\"usual_height\":9,\"person\":{\"base\":1,\"slope\":0,"
        "\"aspect\":1,\"median_height\":1,\"count\":0}%s}"};
    static const char *const ends[] = {
        "", ",\"deep\":3", ",\"deep\":{}",
        ",\"deep\":{\"network\":\"a\",\"preprocess\":\"x\",\"digest\":\"\",\"side\":0,\"length\":"
        "4}",
        ",\"deep\":{\"network\":\"a\",\"preprocess\":\"raw\",\"digest\":\"\",\"side\":0,\"length\":"
        "0}"};
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        char json[800];
        sac_safetensors *st = NULL;
        sac_teacher *teacher = NULL;
        (void)snprintf(json, sizeof json, bad[0], ends[i]);
        sac_assert_ok(sac_safetensors_read(&st, file, &error), &error);
        sac_assert_ok(sac_safetensors_set_metadata(st, "attributes", json, &error), &error);
        sac_assert_error(sac_teacher_load(&teacher, st, "hostile", SAC_BACKEND_REF, &error),
                         SAC_ERROR_FORMAT, &error, "hostile", NULL);
        sac_safetensors_close(&st);
        error = (sac_error){0};
    }
    // The task without a network, and a network that is no such file.
    sac_assert_error(train(&s, "velocity,deep", NULL, file, &error), SAC_ERROR_ARGUMENT, &error,
                     "--deep-features", NULL);
    error = (sac_error){0};
    sac_assert_error(train(&s, "velocity", "/nowhere.onnx", file, &error), SAC_ERROR_IO, &error,
                     "nowhere", NULL);
    sac_free(scores);
    sac_free(tasks);
    sac_free(again);
    test_clip_close(&c);
    test_clip_close(&other);
    for (int i = 0; i < CLIPS; i++) test_clip_close(&s.clips[i]);
}
