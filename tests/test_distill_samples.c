// Gathering of training data: planes, maps and split of a small data set, altered clips scored by
// teachers with random weights, the cache of their maps, and what does not fit together.
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/file.h"
#include "core/memory.h"
#include "core/npy.h"
#include "core/rng.h"
#include "core/spill.h"
#include "distill/samples.h"
#include "helper.h"
#include "nn/infer.h"
#include "teachers/ssmtl.h"
#include "video/synth.h"

enum { W = 64, H = 48, FRAMES = 30, PLANE_W = 48, PLANE_H = 32 };

static sac_dataset *set_make(const char *name, int64_t clips, int64_t frames) {
    sac_synth_options o = sac_synth_default_options();
    o.width = W;
    o.height = H;
    o.train_clips = clips;
    o.test_clips = 1;
    o.frames_per_clip = frames;
    o.walkers = 3;
    sac_error error = {0};
    sac_dataset *dataset = NULL;
    sac_assert_ok(sac_synth_write(sac_test_path(name), &o, NULL, NULL, &error), &error);
    sac_assert_ok(sac_dataset_open(&dataset, sac_test_path(name), NULL, &error), &error);
    cr_assert_eq(dataset->train_count, clips);
    return dataset;
}

// How a store of these tests differs from the next.
typedef struct store_kind {
    double shift, score; // px that every box lies to the right; score of every object
    int copies;          // boxes that are found for the one object
    uint64_t seed;       // of the teacher's weights
    bool blind;          // the teacher scores everything 0
    const char *family;  // in the provenance, NULL: ssmtl
} store_kind;

// One object that walks through the picture.
static sac_box object_at(const store_kind *kind, int64_t t, int copy) {
    const float x = (float)(4 + 1.2 * (double)t + kind->shift + 0.25 * copy);
    return (sac_box){x, 12, x + 12, 36, 0.9f, 0};
}

static void teacher_write(const char *folder, const store_kind *kind) {
    sac_error error = {0};
    sac_ssmtl_model model = {.design = sac_ssmtl_default_design()};
    model.design.crop_size = 16;
    sac_ssmtl_calibration_init(&model.calibration, model.design.tasks);
    model.calibration.objects = 100;
    for (int k = 0; k < SAC_SSMTL_TASKS; k++) {
        model.calibration.median[k] = -1;
        model.calibration.high[k] = 1;
    }
    // A blind teacher holds everything to be twenty times more normal than what it knows.
    model.calibration.mean_median = kind->blind ? 1e8 : 0;
    model.calibration.mean_high = kind->blind ? 1.1e8 : 1;
    sac_rng rng;
    sac_rng_seed(&rng, kind->seed, 0);
    sac_assert_ok(sac_ssmtl_net(&model.net, &model.design, false, &error), &error);
    sac_assert_ok(sac_params_create(&model.params, model.net, &error), &error);
    sac_params_init(model.params, &rng);
    json_t *provenance = json_object();
    char *path = sac_path_join(folder, "teacher.safetensors");
    sac_assert_ok(sac_ssmtl_model_write(&model, path, provenance, &error), &error);
    json_decref(provenance);
    sac_free(path);
    sac_params_close(&model.params);
    sac_net_close(&model.net);
}

// A map store as `teach` writes it.
static const char *store_make(const char *name, const sac_dataset *dataset, store_kind kind) {
    const char *folder = sac_test_path(name);
    sac_error error = {0};
    sac_map_store *store = NULL;
    sac_assert_ok(sac_map_store_create(&store, folder, &error), &error);
    char *path = sac_path_join(folder, "objects.csv");
    FILE *csv = fopen(path, "w");
    cr_assert_not_null(csv);
    fprintf(csv, "clip,frame,x1,y1,x2,y2,confidence,class,score\n");
    for (int64_t c = 0; c < dataset->count; c++) {
        const sac_clip *clip = &dataset->clips[c];
        sac_detections d = {.frames = clip->frames,
                            .start = sac_calloc(clip->frames + 1, sizeof(int64_t)),
                            .boxes = sac_calloc(clip->frames * kind.copies, sizeof(sac_box))};
        float *scores = sac_calloc(clip->frames * kind.copies, sizeof *scores);
        for (int64_t t = 0; t < clip->frames; t++) {
            d.start[t] = d.count;
            for (int k = 0; k < kind.copies; k++) {
                const sac_box box = object_at(&kind, t, k);
                fprintf(csv, "%s,%d,%.9g,%.9g,%.9g,%.9g,%.9g,0,%.9g\n", clip->name, (int)t + 1,
                        (double)box.x1, (double)box.y1, (double)box.x2, (double)box.y2,
                        (double)box.confidence, kind.score);
                scores[d.count] = (float)kind.score;
                d.boxes[d.count++] = box;
            }
        }
        d.start[clip->frames] = d.count;
        sac_maps maps = {0};
        sac_assert_ok(sac_maps_paint(&maps, &d, scores, W, H, 2, 1), NULL);
        sac_assert_ok(sac_map_store_put(store, clip->name, clip->test, &maps, &error), &error);
        sac_maps_close(&maps);
        sac_detections_close(&d);
        sac_free(scores);
    }
    cr_assert_eq(fclose(csv), 0);
    sac_free(path);
    teacher_write(folder, &kind);
    json_t *provenance = json_pack("{s:s, s:{s:s, s:s}, s:i, s:i, s:{s:i}}", "teacher",
                                   kind.family != NULL ? kind.family : "ssmtl", "dataset", "name",
                                   dataset->name, "fingerprint", dataset->fingerprint, "block", 2,
                                   "filter", 1, "settings", "seed", (int)kind.seed);
    sac_assert_ok(sac_map_store_commit(store, provenance, &error), &error);
    json_decref(provenance);
    sac_map_store_close(&store);
    return folder;
}

static sac_samples_options options_make(int64_t variants) {
    sac_nn_set_threads(1);
    sac_samples_options o = {.preprocess = sac_preprocess_default(),
                             .variants = variants,
                             .validation_fraction = 0.15,
                             .seed = 1,
                             .cache = sac_test_path("cache")};
    o.preprocess.width = PLANE_W;
    o.preprocess.height = PLANE_H;
    return o;
}

static sac_samples load(const sac_dataset *dataset, const sac_distill_teacher *teachers, int count,
                        const sac_samples_options *options) {
    sac_samples samples;
    sac_error error = {0};
    sac_assert_ok(sac_samples_load(&samples, dataset, teachers, count, options, &error), &error);
    return samples;
}

static void fails(const sac_dataset *dataset, const sac_distill_teacher *teachers, int count,
                  const sac_samples_options *options, sac_status code, const char *a,
                  const char *b) {
    sac_samples samples;
    sac_error error = {0};
    const sac_status status = sac_samples_load(&samples, dataset, teachers, count, options, &error);
    sac_assert_error(status, code, &error, a, b, NULL);
    cr_assert(samples.clips == NULL && samples.count == 0);
}

static const store_kind plain = {.score = 0.5, .copies = 1, .seed = 1};

// One teacher that knows directions is enough; what an unknown one knows is unknown.
Test(distill_samples, mirrors_when_every_teacher_does) {
    sac_dataset *dataset = set_make("set", 2, FRAMES);
    store_kind kind = plain;
    sac_distill_teacher teachers[2] = {{"a", store_make("a", dataset, plain), 1, false}};
    const char *const families[3] = {"ssmtl", "attributes", "somebody"};
    for (int i = 0; i < 3; i++) {
        kind.family = families[i];
        teachers[1] =
            (sac_distill_teacher){families[i], store_make(families[i], dataset, kind), 1, false};
        const sac_samples_options o = options_make(0);
        sac_samples s = load(dataset, teachers, 2, &o);
        cr_assert_eq(s.mirrors, i == 0, "%s", families[i]);
        sac_samples_close(&s);
    }
    sac_dataset_close(&dataset);
}

Test(distill_samples, originals_are_the_clips_at_network_size) {
    sac_dataset *dataset = set_make("set", 2, FRAMES);
    const sac_distill_teacher teacher = {"a", store_make("a", dataset, plain), 0.75, false};
    const sac_samples_options o = options_make(0);
    sac_samples s = load(dataset, &teacher, 1, &o);
    cr_assert(s.count == 2 && s.originals == 2 && s.teacher_count == 1);
    cr_assert_eq(s.weights[0], 0.75);
    cr_assert_eq(s.altered_objects, 0);
    sac_error error = {0};
    sac_preprocessor *p = NULL;
    sac_map_store *store = NULL;
    sac_assert_ok(sac_preprocessor_create(&p, &o.preprocess), NULL);
    sac_assert_ok(sac_map_store_open(&store, teacher.folder, &error), &error);
    for (int i = 0; i < 2; i++) {
        const sac_clip *clip = &dataset->clips[i];
        uint8_t *pixels = NULL, plane[PLANE_W * PLANE_H];
        int width = 0, height = 0;
        sac_assert_ok(sac_clip_load(&pixels, &width, &height, 1, clip, &error), &error);
        cr_assert_str_eq(s.clips[i].name, clip->name);
        cr_assert_eq(s.clips[i].frames, FRAMES);
        cr_assert_null(s.clips[i].kinds);
        for (int64_t t = 0; t < FRAMES; t++) {
            sac_assert_ok(sac_preprocessor_frame(p, plane, pixels + t * W * H, width, height, 1),
                          NULL);
            cr_assert_eq(memcmp(plane, s.clips[i].pixels + t * PLANE_W * PLANE_H, sizeof plane), 0,
                         "frame %d", (int)t);
        }
        sac_maps maps = {0};
        sac_assert_ok(sac_map_store_get(store, &maps, clip->name, FRAMES, &error), &error);
        const int64_t dims[3] = {FRAMES, 16, 16}, dims4[3] = {FRAMES, 4, 4};
        sac_assert_close(s.clips[i].maps[0].map16, maps.map16, 3, dims, 0, "map16");
        sac_assert_close(s.clips[i].maps[0].map4, maps.map4, 3, dims4, 0, "map4");
        sac_assert_close(s.clips[i].maps[0].map1, maps.map1, 1, dims, 0, "map1");
        sac_maps_close(&maps);
        sac_spill_free(pixels);
    }
    sac_map_store_close(&store);
    sac_preprocessor_close(&p);
    sac_samples_close(&s);
    sac_dataset_close(&dataset);
}

// A gray set in colour is R = G = B, altered as it is in gray and scored alike by teachers, which
// see gray; a student that teaches and sees colour changes how clips are read, not what a gray
// student gets.
Test(distill_samples, colour_of_a_gray_set) {
    sac_dataset *dataset = set_make("set", 2, FRAMES);
    sac_distill_teacher teachers[2] = {{"a", store_make("a", dataset, plain), 1, false}};
    sac_samples_options o = options_make(1);
    sac_samples gray = load(dataset, teachers, 1, &o);
    sac_model *model = NULL;
    sac_error error = {0};
    o.preprocess.channels = 3;
    sac_assert_ok(sac_model_create(&model, "tiny-s", &o.preprocess, &error), &error);
    const char *path = sac_test_path("colour.safetensors");
    sac_assert_ok(sac_model_save(model, path, &error), &error);
    sac_model_close(&model);
    teachers[1] = (sac_distill_teacher){"b", path, 1, true};
    for (int k = 0; k < 4; k++) { // in colour or gray, with the student that teaches or without
        o.preprocess.channels = k % 2 == 0 ? 3 : 1;
        o.cache = sac_test_path(k % 2 == 0 ? "cache3" : "cache1");
        sac_samples s = load(dataset, teachers, 1 + k / 2, &o);
        cr_assert_eq(s.count, gray.count);
        cr_assert_eq(s.altered_objects, gray.altered_objects);
        for (int64_t c = 0; c < s.count; c++) {
            const int64_t channels = o.preprocess.channels;
            for (int64_t i = 0; i < FRAMES * PLANE_W * PLANE_H * channels; i++)
                cr_assert_eq(s.clips[c].pixels[i], gray.clips[c].pixels[i / channels]);
            const sac_maps *a = &s.clips[c].maps[0], *b = &gray.clips[c].maps[0];
            cr_assert_eq(memcmp(a->map16, b->map16, FRAMES * 256 * sizeof(float)), 0);
            cr_assert_eq(memcmp(a->map1, b->map1, FRAMES * sizeof(float)), 0);
        }
        cr_assert_eq(sac_samples_digest(&s) == sac_samples_digest(&gray), k == 1);
        sac_samples_close(&s);
    }
    sac_samples_close(&gray);
    sac_dataset_close(&dataset);
}

static int64_t held_clips(const sac_samples *s, uint64_t *which) {
    int64_t held = 0;
    *which = 0;
    for (int64_t i = 0; i < s->originals; i++) {
        cr_assert(s->clips[i].validation_from == 0 ||
                  s->clips[i].validation_from == s->clips[i].frames);
        if (s->clips[i].validation_from != 0) continue;
        held++;
        *which |= 1ull << i;
    }
    return held;
}

Test(distill_samples, whole_clips_are_held_back_where_there_are_enough) {
    sac_dataset *dataset = set_make("set", 6, 4);
    const sac_distill_teacher teacher = {"a", store_make("a", dataset, plain), 1, false};
    const struct {
        double fraction;
        int64_t held;
    } cases[] = {{0.01, 1}, {0.15, 1}, {0.34, 2}, {0.5, 3}, {0.9, 5}, {0.99, 5}};
    uint64_t chosen = 0, which = 0;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        sac_samples_options o = options_make(0);
        o.validation_fraction = cases[i].fraction;
        sac_samples s = load(dataset, &teacher, 1, &o);
        cr_assert_eq(held_clips(&s, &which), cases[i].held, "%g of 6 clips", cases[i].fraction);
        sac_samples_close(&s);
    }
    for (uint64_t seed = 1; seed <= 12; seed++) {
        sac_samples_options o = options_make(0);
        o.seed = seed;
        sac_samples s = load(dataset, &teacher, 1, &o);
        cr_assert_eq(held_clips(&s, &which), 1);
        chosen |= which;
        sac_samples_close(&s);
    }
    cr_assert((chosen & (chosen - 1)) != 0, "the seed chooses the clip");
    sac_dataset_close(&dataset);
}

Test(distill_samples, of_few_clips_the_ends_are_held_back) {
    for (int64_t clips = 1; clips <= 3; clips++) {
        char name[16];
        snprintf(name, sizeof name, "set%d", (int)clips);
        sac_dataset *dataset = set_make(name, clips, 20);
        const sac_distill_teacher teacher = {"a", store_make("a", dataset, plain), 1, false};
        const sac_samples_options o = options_make(0);
        sac_samples s = load(dataset, &teacher, 1, &o);
        for (int64_t i = 0; i < clips; i++) cr_assert_eq(s.clips[i].validation_from, 17);
        sac_samples_close(&s);
        sac_dataset_close(&dataset);
    }
}

static int64_t plane_differences(const sac_sample_clip *a, const sac_sample_clip *b) {
    int64_t count = 0;
    for (int64_t i = 0; i < FRAMES * PLANE_W * PLANE_H; i++) count += a->pixels[i] != b->pixels[i];
    return count;
}

Test(distill_samples, altered_versions_follow_the_originals) {
    sac_dataset *dataset = set_make("set", 4, FRAMES);
    const sac_distill_teacher teacher = {"a", store_make("a", dataset, plain), 1, false};
    const sac_samples_options two = options_make(2), one = options_make(1);
    sac_samples s = load(dataset, &teacher, 1, &two);
    cr_assert(s.count == 12 && s.originals == 4);
    cr_assert(s.altered_objects > 50, "%lld objects", (long long)s.altered_objects);
    int64_t different = 0;
    for (int i = 0; i < 4; i++) {
        for (int v = 0; v < 2; v++) {
            const sac_sample_clip *altered = &s.clips[4 + 2 * i + v];
            char name[64];
            snprintf(name, sizeof name, "%s+%d", dataset->clips[i].name, v + 1);
            cr_assert_str_eq(altered->name, name);
            cr_assert_eq(altered->validation_from, s.clips[i].validation_from);
            cr_assert_not_null(altered->kinds);
            int64_t ones = 0;
            for (int64_t t = 0; t < FRAMES; t++) ones += sac_pseudo_abnormal(altered->kinds[t]);
            cr_assert(ones < FRAMES);
            different += plane_differences(altered, &s.clips[i]);
        }
    }
    cr_assert(different > 1000, "%lld pixels", (long long)different);
    // More versions do not change the first ones.
    sac_samples first = load(dataset, &teacher, 1, &one);
    cr_assert_eq(first.count, 8);
    for (int i = 0; i < 4; i++) {
        cr_assert_eq(plane_differences(&first.clips[4 + i], &s.clips[4 + 2 * i]), 0);
        const int64_t bytes = FRAMES * 256 * (int64_t)sizeof(float);
        cr_assert_eq(memcmp(first.clips[4 + i].maps[0].map16, s.clips[4 + 2 * i].maps[0].map16,
                            (size_t)bytes),
                     0);
    }
    sac_samples_close(&first);
    sac_samples_close(&s);
    sac_dataset_close(&dataset);
}

// The second teacher finds three boxes of the one object, a little to the side. Its network scores
// pasted objects 0 and it gave the original 1, so its map shows where the original was left in
// place: that must be the same for both teachers, and the object must be gone from some frames.
Test(distill_samples, every_teacher_forgets_what_was_painted_over) {
    sac_dataset *dataset = set_make("set", 4, FRAMES);
    const store_kind kinds[2] = {{.score = 1, .copies = 1, .seed = 1, .blind = true},
                                 {.score = 1, .copies = 3, .seed = 2, .shift = 0.5, .blind = true}};
    const sac_distill_teacher teachers[2] = {{"a", store_make("a", dataset, kinds[0]), 1, false},
                                             {"b", store_make("b", dataset, kinds[1]), 2, false}};
    const sac_samples_options o = options_make(4);
    sac_samples s = load(dataset, teachers, 2, &o);
    cr_assert(s.teacher_count == 2 && s.weights[1] == 2);
    int64_t gone = 0;
    for (int64_t i = 0; i < s.count; i++) {
        for (int64_t t = 0; t < FRAMES; t++) {
            const float a = s.clips[i].maps[0].map1[t], b = s.clips[i].maps[1].map1[t];
            cr_assert((a < 1e-6f && b < 1e-6f) || (a == 1 && b == 1), "%s frame %d: %g and %g",
                      s.clips[i].name, (int)t, (double)a, (double)b);
            if (i < s.originals) cr_assert_eq(a, 1);
            gone += a < 1e-6f;
        }
    }
    cr_assert(gone > 10, "painted over in %lld frames", (long long)gone);
    sac_samples_close(&s);
    sac_dataset_close(&dataset);
}

Test(distill_samples, pasted_objects_get_the_teachers_scores) {
    sac_dataset *dataset = set_make("set", 4, FRAMES);
    const store_kind silent = {.score = 0, .copies = 1, .seed = 1};
    const sac_distill_teacher teacher = {"a", store_make("a", dataset, silent), 1, false};
    const sac_samples_options o = options_make(1);
    sac_samples s = load(dataset, &teacher, 1, &o);
    int64_t scored = 0;
    for (int64_t i = s.originals; i < s.count; i++) {
        for (int64_t t = 0; t < FRAMES; t++) {
            const float value = s.clips[i].maps[0].map1[t];
            cr_assert(value >= 0 && value <= 1);
            // Only pasted objects have a score here.
            if (sac_pseudo_abnormal(s.clips[i].kinds[t])) scored += value > 0;
        }
    }
    cr_assert(scored > 10, "%lld frames with a score", (long long)scored);
    sac_samples_close(&s);
    sac_dataset_close(&dataset);
}

// ---- cache -------------------------------------------------------------------------------------

static void teacher_remove(const char *folder) {
    char *path = sac_path_join(folder, "teacher.safetensors");
    cr_assert_eq(remove(path), 0);
    sac_free(path);
}

Test(distill_samples, maps_of_altered_clips_are_kept) {
    sac_dataset *dataset = set_make("set", 2, FRAMES);
    const sac_distill_teacher teacher = {"a", store_make("a", dataset, plain), 1, false};
    sac_samples_options o = options_make(2);
    sac_samples s = load(dataset, &teacher, 1, &o);
    const uint64_t digest = sac_samples_digest(&s);
    const int64_t objects = s.altered_objects;
    sac_samples_close(&s);
    teacher_remove(teacher.folder);
    s = load(dataset, &teacher, 1, &o); // the teacher is not asked again
    cr_assert_eq(sac_samples_digest(&s), digest);
    cr_assert_eq(s.altered_objects, objects);
    sac_samples_close(&s);
    o.seed = 2; // other clips: it would have to be
    fails(dataset, &teacher, 1, &o, SAC_ERROR_IO, "teacher.safetensors", "a/");
    sac_dataset_close(&dataset);
}

Test(distill_samples, a_shared_cache_serves_runs_of_several_seeds) {
    sac_dataset *dataset = set_make("set", 2, FRAMES);
    const sac_distill_teacher teacher = {"a", store_make("a", dataset, plain), 1, false};
    sac_samples_options o = options_make(2);
    uint64_t digests[2];
    o.cache_shared = true;
    for (int i = 0; i < 2; i++) {
        o.seed = 1 + (uint64_t)i;
        sac_samples s = load(dataset, &teacher, 1, &o);
        digests[i] = sac_samples_digest(&s);
        sac_samples_close(&s);
    }
    cr_assert_neq(digests[0], digests[1]);
    teacher_remove(teacher.folder);
    for (int i = 0; i < 2; i++) {
        o.seed = 1 + (uint64_t)i;
        sac_samples s = load(dataset, &teacher, 1, &o); // the teacher is not asked again
        cr_assert_eq(sac_samples_digest(&s), digests[i]);
        sac_samples_close(&s);
    }
    sac_dataset_close(&dataset);
}

Test(distill_samples, a_cache_without_its_list_is_made_anew) {
    sac_dataset *dataset = set_make("set", 2, FRAMES);
    const sac_distill_teacher teacher = {"a", store_make("a", dataset, plain), 1, false};
    const sac_samples_options o = options_make(1);
    sac_samples s = load(dataset, &teacher, 1, &o);
    const uint64_t digest = sac_samples_digest(&s);
    sac_samples_close(&s);
    cr_assert_eq(remove(sac_test_path("cache-a/store.json")), 0);
    s = load(dataset, &teacher, 1, &o);
    cr_assert_eq(sac_samples_digest(&s), digest);
    sac_samples_close(&s);
    cr_assert(sac_is_file(sac_test_path("cache-a/store.json")));
    sac_dataset_close(&dataset);
}

// Another first teacher alters other objects, so the second one's kept maps are of other clips.
Test(distill_samples, the_cache_depends_on_whose_objects_are_altered) {
    sac_dataset *dataset = set_make("set", 2, FRAMES);
    const store_kind others = {.score = 0.25, .copies = 1, .seed = 3, .shift = 9};
    const sac_distill_teacher a = {"a", store_make("a", dataset, plain), 1, false},
                              b = {"b", store_make("b", dataset, plain), 1, false},
                              c = {"c", store_make("c", dataset, others), 1, false};
    const sac_distill_teacher ab[2] = {a, b}, cb[2] = {c, b};
    sac_samples_options o = options_make(1);
    sac_samples s = load(dataset, ab, 2, &o);
    sac_samples_close(&s);
    s = load(dataset, cb, 2, &o);
    const uint64_t digest = sac_samples_digest(&s);
    sac_samples_close(&s);
    o.cache = sac_test_path("fresh");
    s = load(dataset, cb, 2, &o);
    cr_assert_eq(sac_samples_digest(&s), digest);
    sac_samples_close(&s);
    sac_dataset_close(&dataset);
}

// ---- errors ------------------------------------------------------------------------------------

Test(distill_samples, teachers_that_do_not_fit) {
    sac_dataset *dataset = set_make("set", 2, FRAMES), *other = set_make("other", 2, 20);
    sac_distill_teacher teacher = {"a", store_make("a", dataset, plain), 1, false};
    const sac_samples_options o = options_make(0), altered = options_make(1);
    fails(other, &teacher, 1, &o, SAC_ERROR_FORMAT, "another data set", "fingerprint");
    fails(dataset, &teacher, 0, &o, SAC_ERROR_ARGUMENT, "1 to 8 teachers", "0 given");
    fails(dataset, &teacher, 9, &o, SAC_ERROR_ARGUMENT, "1 to 8 teachers", "9 given");
    // Maps of a clip that are damaged, of another length, or missing.
    const char *map = sac_test_path("a/Train002.4x4.npy");
    uint8_t *bytes = NULL;
    size_t size = 0;
    sac_assert_ok(sac_file_read(&bytes, &size, map, 1 << 20, NULL), NULL);
    sac_assert_ok(sac_file_save(map, bytes, size - 5, NULL), NULL);
    fails(dataset, &teacher, 1, &o, SAC_ERROR_FORMAT, "Train002.4x4.npy", "");
    uint8_t *longer = NULL;
    size_t longer_size = 0;
    sac_assert_ok(
        sac_file_read(&longer, &longer_size, sac_test_path("a/Train002.16x16.npy"), 1 << 20, NULL),
        NULL);
    sac_assert_ok(sac_file_save(map, longer, longer_size, NULL), NULL);
    fails(dataset, &teacher, 1, &o, SAC_ERROR_SHAPE, "Train002.4x4.npy", "30x4x4");
    cr_assert_eq(remove(map), 0);
    fails(dataset, &teacher, 1, &o, SAC_ERROR_IO, "Train002.4x4.npy", "");
    sac_assert_ok(sac_file_save(map, bytes, size, NULL), NULL);
    // Without the objects or the network there are maps, but no altered clips.
    teacher_remove(teacher.folder);
    fails(dataset, &teacher, 1, &altered, SAC_ERROR_IO, "teacher.safetensors", "a/");
    cr_assert_eq(remove(sac_test_path("a/objects.csv")), 0);
    teacher_write(teacher.folder, &plain);
    fails(dataset, &teacher, 1, &altered, SAC_ERROR_IO, "objects.csv", "a/");
    sac_samples s = load(dataset, &teacher, 1, &o);
    sac_samples_close(&s);
    cr_assert_eq(remove(sac_test_path("a/store.json")), 0);
    fails(dataset, &teacher, 1, &o, SAC_ERROR_IO, "store.json", "unfinished");
    teacher.folder = "/no/such/folder";
    fails(dataset, &teacher, 1, &o, SAC_ERROR_IO, "/no/such/folder", "");
    sac_free(bytes);
    sac_free(longer);
    sac_dataset_close(&dataset);
    sac_dataset_close(&other);
}

Test(distill_samples, a_set_without_training_clips) {
    sac_dataset *dataset = set_make("set", 2, 8), *tests = set_make("tests", 0, 8);
    const sac_distill_teacher teacher = {"a", store_make("a", dataset, plain), 1, false};
    const sac_samples_options o = options_make(0);
    cr_assert(tests->train_count == 0 && tests->count > 0);
    fails(tests, &teacher, 1, &o, SAC_ERROR_ARGUMENT, "no training clips", "tests");
    sac_dataset_close(&dataset);
    sac_dataset_close(&tests);
}

static int64_t polls = 0, stop_at = 0;
static bool stop_later(void) {
    return ++polls > stop_at;
}

// Clips of the cache, and with `touch` the first one's maps replaced by others.
static int64_t kept_clips(bool touch) {
    static const char *const names[] = {"Train001+1", "Train002+1", "Train003+1"};
    sac_map_store *store = NULL;
    int64_t count = 0;
    if (sac_map_store_open(&store, sac_test_path("cache-a"), NULL) != SAC_OK) return 0;
    for (int i = 0; i < 3; i++) count += sac_map_store_has(store, names[i]);
    sac_map_store_close(&store);
    if (touch) {
        const int64_t dims[3] = {FRAMES, 4, 4};
        float *none = sac_calloc(FRAMES * 16, sizeof *none);
        cr_assert_not_null(none);
        sac_assert_ok(
            sac_npy_write(sac_test_path("cache-a/Train001+1.4x4.npy"), none, 3, dims, NULL), NULL);
        sac_free(none);
    }
    return count;
}

// Each clip is kept when its maps are finished, and then not made again: of the first one's, other
// maps are found at the end.
Test(distill_samples, stopped_while_gathering_it_goes_on) {
    sac_dataset *dataset = set_make("set", 3, FRAMES);
    const sac_distill_teacher teacher = {"a", store_make("a", dataset, plain), 1, false};
    sac_samples_options o = options_make(1);
    sac_samples s = load(dataset, &teacher, 1, &o);
    const uint64_t whole = sac_samples_digest(&s);
    sac_samples_close(&s);
    cr_assert_eq(remove(sac_test_path("cache-a/store.json")), 0);
    o.stop = stop_later;
    int64_t kept = 0, steps = 0;
    for (stop_at = 0; kept < 2; stop_at++) {
        polls = 0;
        fails(dataset, &teacher, 1, &o, SAC_ERROR_INTERRUPTED, "interrupted while gathering",
              "--resume");
        const int64_t now = kept_clips(false);
        cr_assert(now == kept || now == kept + 1, "%lld clips after %lld", (long long)now,
                  (long long)kept);
        steps += now - kept;
        kept = now;
    }
    cr_assert_eq(steps, 2);
    o.stop = NULL;
    s = load(dataset, &teacher, 1, &o);
    cr_assert_eq(sac_samples_digest(&s), whole);
    cr_assert_eq(kept_clips(false), 3);
    sac_samples_close(&s);
    // The same with a mark on the first clip.
    cr_assert_eq(remove(sac_test_path("cache-a/store.json")), 0);
    o.stop = stop_later;
    for (stop_at = 0; kept_clips(false) < 1; stop_at++) {
        polls = 0;
        fails(dataset, &teacher, 1, &o, SAC_ERROR_INTERRUPTED, "interrupted", "");
    }
    cr_assert_eq(kept_clips(true), 1);
    o.stop = NULL;
    s = load(dataset, &teacher, 1, &o);
    cr_assert_neq(sac_samples_digest(&s), whole);
    for (int64_t i = 0; i < FRAMES * 16; i++) cr_assert_eq(s.clips[3].maps[0].map4[i], 0);
    sac_samples_close(&s);
    sac_dataset_close(&dataset);
}

Test(distill_samples, out_of_memory_is_an_error) {
    sac_dataset *dataset = set_make("set", 1, 14);
    const store_kind twice = {.score = 0.5, .copies = 2, .seed = 1};
    const sac_distill_teacher teachers[2] = {{"a", store_make("a", dataset, plain), 1, false},
                                             {"b", store_make("b", dataset, twice), 1, false}};
    sac_samples_options o = options_make(1);
    int64_t failures = 0;
    char store_a[600], store_b[600];
    snprintf(store_a, sizeof store_a, "%s-a/store.json", o.cache);
    snprintf(store_b, sizeof store_b, "%s-b/store.json", o.cache);
    // The clip's decoder and the network's plan allocate alike over and over: not every one is
    // tried.
    for (int64_t at = 0;; at += 1 + at / 20) {
        sac_samples s;
        sac_error error = {0};
        sac_memory_fail_after(at);
        const sac_status status = sac_samples_load(&s, dataset, teachers, 2, &o, &error);
        sac_memory_fail_after(-1);
        sac_samples_close(&s);
        if (status == SAC_OK) break;
        (void)remove(store_a); // so that the next one has everything to do again
        (void)remove(store_b);
        failures++;
        cr_assert_eq(status, SAC_ERROR_MEMORY, "allocation %lld: %s (%s)", (long long)at,
                     sac_status_name(status), error.message);
        cr_assert(error.message[0] != '\0');
    }
    cr_assert(failures > 40, "%lld", (long long)failures);
    sac_dataset_close(&dataset);
}
