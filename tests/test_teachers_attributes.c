// Attributes of objects of known motion, size and texture, and the teacher that compares them with
// training objects.
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#ifdef _OPENMP
#    include <omp.h>
#endif

#include "attributes_make.h"
#include "helper.h"
#include "teacher_files.h"
#include "teachers/attributes.h"
#include "teachers/attributes_family.h"
#include "teachers/teacher.h"

enum { V = SAC_ATTRIBUTE_VALUES };

static sac_attribute_scene plain_scene(int step) {
    return (sac_attribute_scene){
        .width = SCENE_W, .height = SCENE_H, .usual_height = 16, .step = step, .speed = 0.1};
}

static const float *values(const float *row, int attribute) {
    return row + sac_attribute_offset(attribute);
}

Test(teachers_attributes, table_of_groups) {
    int total = 0;
    for (int a = 0; a < SAC_ATTRIBUTES; a++) {
        cr_assert_not_null(sac_attribute_name(a));
        cr_assert_eq(sac_attribute_offset(a), total);
        total += sac_attribute_dims(a);
    }
    cr_assert_eq(total, V);
    cr_assert_null(sac_attribute_name(SAC_ATTRIBUTES));
    cr_assert_null(sac_attribute_name(-1));
}

// Speeds the flow follows, over every step, to a few per cent.
Test(teachers_attributes, motion_of_known_speed) {
    for (int step = 1; step <= 3; step++) {
        const double speed = 2;
        test_clip c;
        sac_error error = {0};
        test_clip_make(&c, speed, false, 9);
        const sac_attribute_scene scene = plain_scene(step);
        float *f = sac_calloc(c.detections.count, V * sizeof *f);
        sac_assert_ok(sac_attributes_measure(f, SAC_ATTRIBUTE_EVERY_GROUP, &scene, &c.detections,
                                             c.pixels, SCENE_W, SCENE_H, NULL, NULL, NULL, &error),
                      &error);
        // Away from the ends of the clip and from jumps back to the start of the way.
        int checked = 0;
        for (int t = 5; t < SCENE_FRAMES - 5; t++) {
            for (int lane = 0; lane < SCENE_LANES; lane++) {
                const double ahead = test_left(lane, t + 4, speed, false, 9);
                const double behind = test_left(lane, t - 2, speed, false, 9);
                if (fabs(ahead - behind) > 20) continue;
                const int64_t i = c.detections.start[t] + lane;
                const float *v = values(f + i * V, SAC_ATTRIBUTE_VELOCITY);
                const double sign = lane < 2 ? 1 : -1;
                cr_assert_float_eq((double)v[0], sign * speed / 16, 0.02,
                                   "step %d t %d lane %d: %g", step, t, lane, (double)v[0]);
                cr_assert_float_eq((double)v[1], 0, 0.02);
                cr_assert_float_eq((double)v[2], speed / 16, 0.02);
                const float *o = values(f + i * V, SAC_ATTRIBUTE_ORIENTATION);
                cr_assert_gt(o[lane < 2 ? 0 : 4], 0.08f, "to the %s", lane < 2 ? "right" : "left");
                cr_assert_lt(o[lane < 2 ? 4 : 0], 0.01f);
                const sac_box *b = &c.detections.boxes[i];
                const float *p = values(f + i * V, SAC_ATTRIBUTE_PLACE);
                cr_assert_float_eq(p[0], v[0] / 0.1f, 1e-5);
                cr_assert_float_eq(p[2], 2 * (b->x1 + b->x2) / SCENE_W, 1e-5);
                cr_assert_float_eq(p[3], 4 * b->y2 / SCENE_W, 1e-5);
                // People are 16 px everywhere: the ground is measured in halves of that.
                const float *course = values(f + i * V, SAC_ATTRIBUTE_COURSE);
                cr_assert_float_eq((double)course[0], sign, 0.02);
                cr_assert_float_eq((double)course[1], 0, 0.15);
                cr_assert_float_eq((double)course[2],
                                   (0.5 * (double)(b->x1 + b->x2) - 0.5 * SCENE_W) / 8, 1e-4);
                cr_assert_float_eq((double)course[3], (double)b->y2 / 8, 1e-4);
                checked++;
            }
        }
        cr_assert_gt(checked, 60);
        sac_free(f);
        test_clip_close(&c);
    }
}

Test(teachers_attributes, size_rest_and_appearance) {
    enum { FRAMES = 60, N = 5 };
    uint8_t *pixels = sac_calloc((int64_t)SCENE_W * SCENE_H * FRAMES, 1);
    for (int t = 0; t < FRAMES; t++) {
        for (int y = 0; y < SCENE_H; y++) {
            for (int x = 0; x < SCENE_W; x++) {
                // Left third: vertical stripes; middle: horizontal ones; right: another picture
                // each frame.
                double level = x < 40   ? 128 + 90 * sin(0.7 * x)
                               : x < 76 ? 128 + 90 * sin(0.7 * y)
                                        : 128 + 90 * sin(0.5 * x + 0.9 * y + 1.7 * t);
                pixels[((int64_t)t * SCENE_H + y) * SCENE_W + x] = (uint8_t)lround(level);
            }
        }
    }
    sac_detections d = {.frames = FRAMES, .count = N};
    d.start = sac_calloc(FRAMES + 1, sizeof *d.start);
    d.boxes = sac_calloc(N, sizeof *d.boxes);
    for (int t = 41; t <= FRAMES; t++) d.start[t] = N; // all in frame 40
    const sac_box boxes[N] = {{8, 20, 28, 52, 1, -1},
                              {48, 20, 68, 52, 1, -1},
                              {84, 20, 104, 52, 1, -1},
                              {0, 40, 6, 72, 1, -1}, // cut at two borders
                              {50, 30, 90, 62, 1, -1}};
    memcpy(d.boxes, boxes, sizeof boxes);
    sac_attribute_scene scene = plain_scene(1);
    float f[N * V];
    sac_error error = {0};
    sac_assert_ok(sac_attributes_measure(f, SAC_ATTRIBUTE_EVERY_GROUP, &scene, &d, pixels, SCENE_W,
                                         SCENE_H, NULL, NULL, NULL, &error),
                  &error);
    // Person height 16, no learned size: width 0.4 of it.
    const float *s = values(f, SAC_ATTRIBUTE_SIZE);
    cr_assert_float_eq((double)s[0], log(2), 1e-5);
    cr_assert_float_eq((double)s[1], log(20 / 6.4), 1e-5);
    s = values(f + 3 * V, SAC_ATTRIBUTE_SIZE);
    cr_assert_float_eq((double)s[0], log(2), 1e-5, "larger than usual counts although it is cut");
    cr_assert_float_eq((double)s[1], 0, 1e-6, "a cut width below the usual one says nothing");
    // What stays the same does not change in any of the three spans; what flickers does.
    const float *still = values(f, SAC_ATTRIBUTE_REST),
                *busy = values(f + 2 * V, SAC_ATTRIBUTE_REST);
    for (int k = 0; k < 3; k++) {
        cr_assert_lt(still[k], 1e-6f);
        cr_assert_gt(busy[k], 0.3f);
    }
    const float *stay = values(f, SAC_ATTRIBUTE_STAY),
                *last = values(f + 4 * V, SAC_ATTRIBUTE_STAY);
    cr_assert_eq(memcmp(stay, still, 3 * sizeof *stay), 0);
    cr_assert_float_eq((double)stay[3], (18 - 0.5 * SCENE_W) / 8, 1e-4);
    cr_assert_float_eq((double)last[4], 62.0 / 8, 1e-4);
    // Gradients of vertical stripes point sideways (direction 0), of horizontal ones up and down (4
    // of 8).
    for (int cell = 0; cell < 16; cell++) {
        const float *a = values(f, SAC_ATTRIBUTE_APPEARANCE) + 8 * cell;
        const float *b = values(f + V, SAC_ATTRIBUTE_APPEARANCE) + 8 * cell;
        cr_assert_gt(a[0], 0.15f, "cell %d: %g", cell, (double)a[0]);
        cr_assert_lt(a[4], 0.02f);
        cr_assert_gt(b[4], 0.15f, "cell %d: %g", cell, (double)b[4]);
        cr_assert_lt(b[0], 0.02f);
    }
    double norm = 0;
    for (int k = 0; k < 128; k++) {
        const double x = (double)values(f, SAC_ATTRIBUTE_APPEARANCE)[k];
        norm += x * x;
    }
    cr_assert_float_eq(norm, 1, 1e-3);
    sac_detections_close(&d);
    sac_free(pixels);
}

// A part of the objects, and any number of threads, gives the same rows bit for bit.
Test(teachers_attributes, rows_depend_on_their_object_only) {
    test_clip c;
    sac_error error = {0};
    test_clip_make(&c, 2.5, false, 4);
    const sac_attribute_scene scene = plain_scene(2);
    const int64_t n = c.detections.count, first = 50;
    float *whole = sac_calloc(n, V * sizeof *whole), *part = sac_calloc(n, V * sizeof *part);
    sac_assert_ok(sac_attributes_measure(whole, SAC_ATTRIBUTE_EVERY_GROUP, &scene, &c.detections,
                                         c.pixels, SCENE_W, SCENE_H, NULL, NULL, NULL, &error),
                  &error);
    sac_detections view;
    sac_assert_ok(sac_family_tail(&view, &c.detections, first), &error);
    cr_assert_eq(view.count, n - first);
#ifdef _OPENMP
    const int threads = omp_get_max_threads();
    omp_set_num_threads(1);
#endif
    sac_assert_ok(sac_attributes_measure(part, SAC_ATTRIBUTE_EVERY_GROUP, &scene, &view, c.pixels,
                                         SCENE_W, SCENE_H, NULL, NULL, NULL, &error),
                  &error);
#ifdef _OPENMP
    omp_set_num_threads(threads);
#endif
    cr_assert_eq(memcmp(part, whole + first * V, (size_t)((n - first) * V) * sizeof *part), 0);
    sac_free(view.start);
    sac_free(whole);
    sac_free(part);
    test_clip_close(&c);
}

static bool stop_now(void) {
    return true;
}

Test(teachers_attributes, scene_is_learned) {
    // Boxes are 16 px high; an object may move by a fifth of that, 3.2 px, within the step.
    static const double speed[] = {0.8, 1.4, 2.6, 0.8};
    static const int step[] = {3, 2, 1, 1};
    for (int i = 0; i < 4; i++) {
        test_clip c;
        sac_error error = {0};
        sac_attribute_scene scene;
        test_clip_make(&c, speed[i], false, 2);
        const sac_attribute_clip clip = {.pixels = c.pixels, .detections = &c.detections};
        sac_assert_ok(
            sac_attribute_scene_learn(&scene, &clip, 1, SCENE_W, SCENE_H, i == 3, NULL, &error),
            &error);
        cr_assert_eq(scene.step, step[i], "speed %g: step %d", speed[i], scene.step);
        cr_assert_float_eq(scene.speed, speed[i] / 16, 0.02);
        cr_assert_float_eq(sac_attribute_person_height(&scene, 40), 16, 0.5);
        cr_assert_float_eq(scene.usual_height, 16, 1e-6);
        test_clip_close(&c);
    }
    test_clip c;
    test_clip_make(&c, 1, false, 2);
    sac_attribute_scene scene = plain_scene(1);
    sac_error error = {0};
    const sac_attribute_clip clip = {.pixels = c.pixels, .detections = &c.detections};
    sac_assert_error(
        sac_attribute_scene_learn(&scene, &clip, 1, SCENE_W, SCENE_H, 0, stop_now, &error),
        SAC_ERROR_INTERRUPTED, &error, "interrupted", NULL);
    error = (sac_error){0};
    float *f = sac_calloc(c.detections.count, V * sizeof *f);
    sac_attribute_scene other = plain_scene(1);
    sac_assert_error(sac_attributes_measure(f, SAC_ATTRIBUTE_EVERY_GROUP, &other, &c.detections,
                                            c.pixels, SCENE_W - 1, SCENE_H, NULL, NULL, NULL,
                                            &error),
                     SAC_ERROR_SHAPE, &error, "112x72", "111x72", NULL);
    error = (sac_error){0};
    sac_assert_error(sac_attributes_measure(f, SAC_ATTRIBUTE_EVERY_GROUP, &other, &c.detections,
                                            c.pixels, SCENE_W, SCENE_H, stop_now, NULL, NULL,
                                            &error),
                     SAC_ERROR_INTERRUPTED, &error, "interrupted", NULL);
    sac_free(f);
    test_clip_close(&c);
    const sac_detections none = {.frames = 1, .start = (int64_t[]){0, 0}};
    const sac_attribute_clip empty = {.pixels = (const uint8_t *)"", .detections = &none};
    error = (sac_error){0};
    sac_assert_error(
        sac_attribute_scene_learn(&scene, &empty, 1, SCENE_W, SCENE_H, 0, NULL, &error),
        SAC_ERROR_ARGUMENT, &error, "no objects", NULL);
}

// ---- the teacher
// -------------------------------------------------------------------------------------------

enum { CLIPS = 4 };
typedef struct training_set {
    test_clip clips[CLIPS];
    sac_family_clip views[CLIPS];
} training_set;

static void make_set(training_set *s) {
    static const char *const names[] = {"one", "two", "three", "four"};
    for (int i = 0; i < CLIPS; i++) {
        test_clip_make(&s->clips[i], 1.4 + 0.1 * i, false, 13 * i);
        s->views[i] = test_family_clip(&s->clips[i], names[i]);
    }
}

static void close_set(training_set *s) {
    for (int i = 0; i < CLIPS; i++) test_clip_close(&s->clips[i]);
}

static sac_attributes_options small_options(void) {
    return (sac_attributes_options){.attributes = SAC_ATTRIBUTES_ALL,
                                    .bank = 200,
                                    .neighbours = 2,
                                    .combination = 2,
                                    .seed = 1};
}

static sac_family_job make_job(const training_set *s, const sac_attributes_options *o,
                               const char *file, int clips) {
    return (sac_family_job){.clips = s->views,
                            .count = clips,
                            .options = o,
                            .folder = sac_test_folder(),
                            .file = file,
                            .stamp = ""};
}

static void train(const training_set *s, const sac_attributes_options *o, const char *file,
                  int clips) {
    sac_error error = {0};
    json_t *metrics = NULL;
    const sac_family_job job = make_job(s, o, file, clips);
    sac_assert_ok(sac_attributes_family.train(&metrics, &job, &error), &error);
    cr_assert_eq(json_integer_value(json_object_get(metrics, "training_objects")),
                 clips * SCENE_FRAMES * SCENE_LANES);
    json_decref(metrics);
}

// Mean score of a clip's objects away from its ends; *tasks receives the mean of each task's own
// score.
static double mean_score(sac_teacher *teacher, double tasks[SAC_ATTRIBUTES], double speed,
                         bool against) {
    test_clip c;
    sac_error error = {0};
    test_clip_make(&c, speed, against, 5);
    const int64_t n = c.detections.count;
    const int k = sac_teacher_task_count(teacher);
    float *scores = sac_calloc(n, sizeof *scores), *raw = sac_calloc(n * k, sizeof *raw);
    sac_assert_ok(sac_teacher_score(teacher, scores, raw, &c.detections, c.pixels, SCENE_W, SCENE_H,
                                    NULL, NULL, NULL, &error),
                  &error);
    double mean = 0;
    for (int a = 0; a < k; a++) tasks[a] = 0;
    for (int64_t i = 0; i < n; i++) {
        mean += (double)scores[i] / (double)n;
        for (int a = 0; a < k; a++) {
            tasks[a] += (double)sac_calibration_score(sac_calibration_relative(
                            sac_teacher_calibration(teacher), a, raw[i * k + a])) /
                        (double)n;
        }
    }
    sac_free(scores);
    sac_free(raw);
    test_clip_close(&c);
    return mean;
}

Test(teachers_attributes, unusual_motion_is_found) {
    training_set s;
    make_set(&s);
    const sac_attributes_options o = small_options();
    const char *file = sac_test_path("attributes.safetensors");
    train(&s, &o, file, CLIPS);
    sac_teacher *teacher = NULL;
    sac_error error = {0};
    sac_assert_ok(sac_teacher_open(&teacher, file, SAC_BACKEND_ONEDNN, &error), &error);
    cr_assert_str_eq(sac_teacher_name(teacher), "attributes");
    cr_assert_eq(sac_teacher_task_count(teacher), SAC_ATTRIBUTES);
    cr_assert_str_eq(sac_teacher_task_name(teacher, 2), "place");
    double tasks[SAC_ATTRIBUTES];
    const double usual = mean_score(teacher, tasks, 1.55, false);
    cr_assert_lt(usual, 0.35, "usual speed %g", usual);
    cr_assert_lt(tasks[SAC_ATTRIBUTE_VELOCITY], 0.35);
    const double fast = mean_score(teacher, tasks, 4, false);
    cr_assert_gt(fast, 0.85, "fast %g", fast);
    cr_assert_gt(tasks[SAC_ATTRIBUTE_VELOCITY], 0.9);
    cr_assert_gt(tasks[SAC_ATTRIBUTE_ORIENTATION], 0.9);
    // Against the stream: both directions are usual somewhere, only the place tells.
    const double against = mean_score(teacher, tasks, 1.55, true);
    cr_assert_gt(tasks[SAC_ATTRIBUTE_PLACE], 0.8, "against the stream %g",
                 tasks[SAC_ATTRIBUTE_PLACE]);
    cr_assert_gt(tasks[SAC_ATTRIBUTE_PLACE], tasks[SAC_ATTRIBUTE_VELOCITY] + 0.3);
    cr_assert_gt(tasks[SAC_ATTRIBUTE_COURSE], 0.8, "course against the stream %g",
                 tasks[SAC_ATTRIBUTE_COURSE]);
    cr_assert_gt(against, usual + 0.2, "%g", against);
    sac_teacher_close(&teacher);
    // The same once more: the same file, byte for byte but for the time it took, which nothing here
    // records.
    const char *again = sac_test_path("again.safetensors");
    train(&s, &o, again, CLIPS);
    sac_safetensors *a = NULL, *b = NULL;
    sac_assert_ok(sac_safetensors_read(&a, file, &error), &error);
    sac_assert_ok(sac_safetensors_read(&b, again, &error), &error);
    cr_assert_eq(sac_safetensors_count(a), SAC_ATTRIBUTES);
    for (int64_t i = 0; i < sac_safetensors_count(a); i++) {
        const sac_named_tensor *x = sac_safetensors_at(a, i), *y = sac_safetensors_at(b, i);
        cr_assert_eq(x->count, y->count);
        cr_assert_eq(
            memcmp(x->data, y->data, (size_t)x->count * (x->dtype == SAC_DTYPE_U8 ? 1 : 4)), 0,
            "%s differs", x->name);
    }
    cr_assert_str_eq(sac_safetensors_metadata(a, "calibration"),
                     sac_safetensors_metadata(b, "calibration"));
    sac_safetensors_close(&a);
    sac_safetensors_close(&b);
    close_set(&s);
}

Test(teachers_attributes, one_clip_and_a_few_groups_do) {
    training_set s;
    make_set(&s);
    sac_attributes_options o = small_options();
    o.attributes = "place,velocity";
    const char *file = sac_test_path("single.safetensors");
    train(&s, &o, file, 1);
    sac_teacher *teacher = NULL;
    sac_error error = {0};
    sac_assert_ok(sac_teacher_open(&teacher, file, SAC_BACKEND_REF, &error), &error);
    cr_assert_eq(sac_teacher_task_count(teacher), 2);
    cr_assert_str_eq(sac_teacher_task_name(teacher, 0), "place");
    cr_assert_str_eq(sac_teacher_task_name(teacher, 1), "velocity");
    cr_assert_null(sac_teacher_task_name(teacher, 2));
    sac_teacher_close(&teacher);
    close_set(&s);
}

Test(teachers_attributes, refuses_bad_options) {
    training_set s;
    make_set(&s);
    static const char *const lists[] = {"", "velocity,", "speed", "size,size", ",size"};
    json_t *metrics = NULL;
    const char *file = sac_test_path("none.safetensors");
    for (size_t i = 0; i < sizeof lists / sizeof lists[0] + 5; i++) {
        sac_attributes_options o = small_options();
        const size_t named = sizeof lists / sizeof lists[0];
        if (i < named) o.attributes = lists[i];
        if (i == named) o.bank = 15;
        if (i == named + 1) o.neighbours = 17;
        if (i == named + 2) o.neighbours = 0;
        if (i == named + 3) o.step = 4;
        if (i == named + 4) o.combination = 3;
        sac_error error = {0};
        const sac_family_job job = make_job(&s, &o, file, CLIPS);
        sac_assert_error(sac_attributes_family.train(&metrics, &job, &error), SAC_ERROR_ARGUMENT,
                         &error, i < named ? "--attributes" : "out of range", NULL);
        cr_assert_null(metrics);
    }
    const sac_attributes_options o = small_options();
    sac_error error = {0};
    sac_family_job job = make_job(&s, &o, file, CLIPS);
    job.listener.stop = stop_now;
    sac_assert_error(sac_attributes_family.train(&metrics, &job, &error), SAC_ERROR_INTERRUPTED,
                     &error, "interrupted", NULL);
    s.views[1].width = SCENE_W / 2;
    error = (sac_error){0};
    job.listener.stop = NULL;
    sac_assert_error(sac_attributes_family.train(&metrics, &job, &error), SAC_ERROR_UNSUPPORTED,
                     &error, "clip two", "one camera", NULL);
    cr_assert_not(sac_is_file(file));
    close_set(&s);
}

Test(teachers_attributes, refuses_foreign_files) {
    training_set s;
    make_set(&s);
    sac_attributes_options o = small_options();
    o.attributes = "velocity,size";
    const char *good = sac_test_path("good.safetensors");
    train(&s, &o, good, 2);
    expect_refusal(good, "attributes", "{}", SAC_ERROR_FORMAT, "tasks");
    expect_refusal(good, "attributes", "{\"tasks\": []}", SAC_ERROR_FORMAT, "tasks");
    expect_refusal(good, "attributes", "{\"tasks\": [3]}", SAC_ERROR_FORMAT, "tasks");
    expect_refusal(good, "attributes", "{\"tasks\": [\"size\", \"size\"]}", SAC_ERROR_FORMAT,
                   "repeated");
    expect_refusal(good, "attributes", "{\"tasks\": [\"size\"], \"neighbours\": 99}",
                   SAC_ERROR_FORMAT, "neighbours");
    expect_refusal(good, "calibration", "{\"objects\": 4, \"tasks\": {}}", SAC_ERROR_FORMAT,
                   "velocity");
    expect_refusal(good, "teacher", "ssmtl", SAC_ERROR_FORMAT, "");
    close_set(&s);
}
