// Ensembles: what members say is averaged, the file stands alone, foreign stores and files are
// refused.
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "attributes_make.h"
#include "core/file.h"
#include "helper.h"
#include "teachers/attributes_family.h"
#include "teachers/ensemble_family.h"
#include "teachers/maps.h"
#include "teachers/teacher.h"

enum { CLIPS = 3 };
static const char *const NAMES[CLIPS] = {"one", "two", "three"};

typedef struct training_set {
    test_clip clips[CLIPS];
    sac_family_clip views[CLIPS];
} training_set;

static void make_set(training_set *s) {
    for (int i = 0; i < CLIPS; i++) {
        test_clip_make(&s->clips[i], 1.4 + 0.1 * i, false, 13 * i);
        s->views[i] = test_family_clip(&s->clips[i], NAMES[i]);
    }
}

static void close_set(training_set *s) {
    for (int i = 0; i < CLIPS; i++) test_clip_close(&s->clips[i]);
}

static sac_family_job make_job(const training_set *s, const void *options, const char *folder,
                               const char *file, const json_t *provenance) {
    return (sac_family_job){.clips = s->views,
                            .count = CLIPS,
                            .options = options,
                            .folder = folder,
                            .file = file,
                            .stamp = "",
                            .provenance = provenance};
}

static json_t *data_set(const char *fingerprint) {
    return json_pack("{s:s, s:{s:s}}", "teacher", "attributes", "dataset", "fingerprint",
                     fingerprint);
}

// A map store as `teach` leaves it, but for the maps: teacher file, objects.csv, store.json. The
// first box of clip "two" is moved by `shift`.
static const char *make_store(const training_set *s, const char *name, const char *attributes,
                              const char *fingerprint, float shift) {
    sac_error error = {0};
    const char *folder = sac_test_path(name);
    sac_map_store *store = NULL;
    json_t *provenance = data_set(fingerprint), *metrics = NULL;
    sac_assert_ok(sac_map_store_create(&store, folder, &error), &error);
    char *file = sac_path_join(folder, "teacher.safetensors"),
         *csv = sac_path_join(folder, "objects.csv");
    const sac_attributes_options o = {
        .attributes = attributes, .bank = 100, .neighbours = 1, .combination = 2, .seed = 1};
    const sac_family_job job = make_job(s, &o, folder, file, provenance);
    sac_assert_ok(sac_attributes_family.train(&metrics, &job, &error), &error);
    sac_teacher *teacher = NULL;
    sac_assert_ok(sac_teacher_open(&teacher, file, SAC_BACKEND_REF, &error), &error);
    FILE *out = fopen(csv, "w");
    cr_assert_not_null(out);
    fprintf(out, "clip,frame,x1,y1,x2,y2,confidence,class,score");
    const int tasks = sac_teacher_task_count(teacher);
    for (int k = 0; k < tasks; k++) fprintf(out, ",%s", sac_teacher_task_name(teacher, k));
    fprintf(out, "\n");
    for (int c = 0; c < CLIPS; c++) {
        const sac_detections *d = &s->clips[c].detections;
        float *scores = sac_calloc(d->count, sizeof *scores),
              *raw = sac_calloc(d->count * tasks, sizeof *raw);
        sac_assert_ok(sac_teacher_score(teacher, scores, raw, d, s->clips[c].pixels, SCENE_W,
                                        SCENE_H, NULL, NULL, NULL, &error),
                      &error);
        for (int64_t t = 0; t < d->frames; t++) {
            for (int64_t i = d->start[t]; i < d->start[t + 1]; i++) {
                const sac_box *b = &d->boxes[i];
                const float moved = c == 1 && i == 0 ? shift : 0;
                fprintf(out, "%s,%d,%.9g,%.9g,%.9g,%.9g,1,-1,%.9g", NAMES[c], (int)t + 1,
                        (double)(b->x1 + moved), (double)b->y1, (double)b->x2, (double)b->y2,
                        (double)scores[i]);
                for (int k = 0; k < tasks; k++) fprintf(out, ",%.9g", (double)raw[i * tasks + k]);
                fprintf(out, "\n");
            }
        }
        sac_free(scores);
        sac_free(raw);
    }
    cr_assert_eq(fclose(out), 0);
    sac_assert_ok(sac_map_store_commit(store, provenance, &error), &error);
    sac_map_store_close(&store);
    sac_teacher_close(&teacher);
    json_decref(provenance);
    json_decref(metrics);
    sac_free(file);
    sac_free(csv);
    return folder;
}

static sac_status train(const training_set *s, const char *members, const char *file,
                        sac_family_recall *recall, sac_error *error) {
    const sac_ensemble_options o = {.members = members, .backend = SAC_BACKEND_REF};
    json_t *provenance = data_set("data"), *metrics = NULL;
    sac_family_job job = make_job(s, &o, sac_test_folder(), file, provenance);
    job.recall = recall;
    sac_status status = sac_ensemble_family.train(&metrics, &job, error);
    if (status == SAC_OK) {
        cr_assert_eq(json_object_size(json_object_get(metrics, "members")), 2);
        cr_assert_eq(json_integer_value(json_object_get(metrics, "held_back_objects")), 63);
    } else {
        cr_assert_null(metrics);
    }
    json_decref(provenance);
    json_decref(metrics);
    return status;
}

Test(teachers_ensemble, is_the_weighted_mean_of_its_members) {
    training_set s;
    make_set(&s);
    char members[512];
    const char *a = make_store(&s, "motion", "velocity,orientation", "data", 0);
    const char *b = make_store(&s, "place", "place", "data", 0);
    (void)snprintf(members, sizeof members, "motion=%s:3,place=%s", a, b);
    const char *file = sac_test_path("ensemble.safetensors");
    sac_family_recall recall = {0};
    sac_error error = {0};
    sac_assert_ok(train(&s, members, file, &recall, &error), &error);
    sac_teacher *whole = NULL, *parts[2];
    char *path = sac_path_join(a, "teacher.safetensors");
    sac_assert_ok(sac_teacher_open(&parts[0], path, SAC_BACKEND_REF, &error), &error);
    sac_free(path);
    path = sac_path_join(b, "teacher.safetensors");
    sac_assert_ok(sac_teacher_open(&parts[1], path, SAC_BACKEND_REF, &error), &error);
    // The file needs no other file.
    cr_assert_eq(remove(path), 0);
    sac_free(path);
    sac_assert_ok(sac_teacher_open(&whole, file, SAC_BACKEND_REF, &error), &error);
    cr_assert_str_eq(sac_teacher_name(whole), "ensemble");
    cr_assert_eq(sac_teacher_task_count(whole), 2);
    cr_assert_str_eq(sac_teacher_task_name(whole, 0), "motion");
    cr_assert_str_eq(sac_teacher_task_name(whole, 1), "place");
    cr_assert_eq(sac_teacher_calibration(whole)->weight[0], 3);
    for (int fast = 0; fast < 2; fast++) {
        test_clip c;
        test_clip_make(&c, fast ? 4 : 1.4, false, 0);
        const int64_t n = c.detections.count;
        float *scores = sac_calloc(n, sizeof *scores), *tasks = sac_calloc(n * 2, sizeof *tasks),
              *own = sac_calloc(n * 2, sizeof *own), *recalled = sac_calloc(n * 2, sizeof *own);
        sac_assert_ok(sac_teacher_score(whole, scores, tasks, &c.detections, c.pixels, SCENE_W,
                                        SCENE_H, NULL, NULL, NULL, &error),
                      &error);
        double mean = 0;
        const sac_calibration *all = sac_teacher_calibration(whole);
        for (int m = 0; m < 2; m++) {
            const int k = sac_teacher_task_count(parts[m]);
            float *ignored = sac_calloc(n, sizeof *ignored);
            sac_assert_ok(sac_teacher_score(parts[m], ignored, own, &c.detections, c.pixels,
                                            SCENE_W, SCENE_H, NULL, NULL, NULL, &error),
                          &error);
            for (int64_t i = 0; i < n; i++) {
                const double u =
                    sac_calibration_combine(sac_teacher_calibration(parts[m]), own + i * k);
                cr_assert_eq(tasks[2 * i + m], (float)u);
            }
            sac_free(ignored);
        }
        for (int64_t i = 0; i < n; i++) {
            const double u = (3 * (double)tasks[2 * i] + (double)tasks[2 * i + 1]) / 4;
            const double v = (u - all->mean_median) / (all->mean_high - all->mean_median);
            cr_assert_float_eq(scores[i], 1 / (1 + exp(2 - 2 * v)), 1e-5);
            mean += (double)scores[i] / (double)n;
        }
        cr_assert(fast ? mean > 0.8 : mean < 0.4, "mean score %g", mean);
        // What the stores remember of the training clip is what scoring gives.
        if (!fast) {
            sac_assert_ok(
                recall.tasks(recall.state, recalled, "one", &s.clips[0].detections, &error),
                &error);
            for (int64_t i = 0; i < 2 * n; i++)
                cr_assert_float_eq(recalled[i], tasks[i], 1e-4, "object %d", (int)i / 2);
        }
        sac_free(scores);
        sac_free(tasks);
        sac_free(own);
        sac_free(recalled);
        test_clip_close(&c);
    }
    recall.close(&recall.state);
    for (int m = 0; m < 2; m++) sac_teacher_close(&parts[m]);
    sac_teacher_close(&whole);
    close_set(&s);
}

Test(teachers_ensemble, refuses_foreign_members) {
    training_set s;
    make_set(&s);
    const char *good = make_store(&s, "good", "velocity", "data", 0);
    const char *moved = make_store(&s, "moved", "velocity", "data", 0.5f);
    const char *other = make_store(&s, "other", "velocity", "elsewhere", 0);
    const char *file = sac_test_path("none.safetensors");
    const struct {
        const char *format, *second;
        sac_status code;
        const char *word;
    } bad[] = {
        {"", "", SAC_ERROR_ARGUMENT, "--members"},
        {"a=%s,b", "", SAC_ERROR_ARGUMENT, "'b'"},
        {"a=%s,a=%s", good, SAC_ERROR_ARGUMENT, "different names"},
        {"a=%s,B=%s", good, SAC_ERROR_ARGUMENT, "'B="},
        {"a=%s,b=", "", SAC_ERROR_ARGUMENT, "'b='"},
        {"a=%s,b=%s:0", good, SAC_ERROR_ARGUMENT, "weight"},
        {"a=%s,b=%s", "/nowhere", SAC_ERROR_IO, "/nowhere"},
        {"a=%s,b=%s", other, SAC_ERROR_FORMAT, "another data set"},
        {"a=%s,b=%s", moved, SAC_ERROR_FORMAT, "clip two"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char members[512];
        sac_error error = {0};
        const char *at = strchr(bad[i].format, ',');
        (void)snprintf(members, sizeof members, "%s", "");
        if (at != NULL) {
            (void)snprintf(members, sizeof members, "a=%s%.*s%s%s", good, (int)strcspn(at, "%"), at,
                           bad[i].second, strchr(at, '%') == NULL ? "" : strchr(at, '%') + 2);
        }
        sac_assert_error(train(&s, members, file, NULL, &error), bad[i].code, &error, bad[i].word,
                         NULL);
    }
    cr_assert_not(sac_is_file(file));
    // An ensemble as a member, and files in which members are missing or misnamed.
    char members[512];
    sac_error error = {0};
    (void)snprintf(members, sizeof members, "a=%s,b=%s", good, good);
    char *inside = sac_path_join(moved, "teacher.safetensors");
    sac_assert_ok(train(&s, members, inside, NULL, &error), &error);
    (void)snprintf(members, sizeof members, "a=%s,b=%s", good, moved);
    sac_assert_error(train(&s, members, file, NULL, &error), SAC_ERROR_UNSUPPORTED, &error,
                     "ensemble itself", NULL);
    static const char *const lists[] = {"{}",         "[]",         "[\"a\", \"a\"]",
                                        "[\"a\", 3]", "[\"../a\"]", "[\"a\", \"c\"]",
                                        "[\"a\"",     "[\"\"]"};
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        sac_safetensors *st = NULL;
        sac_teacher *teacher = NULL;
        error = (sac_error){0};
        sac_assert_ok(sac_safetensors_read(&st, inside, &error), &error);
        sac_assert_ok(sac_safetensors_set_metadata(st, "members", lists[i], &error), &error);
        sac_assert_error(sac_teacher_load(&teacher, st, "hostile", SAC_BACKEND_REF, &error),
                         SAC_ERROR_FORMAT, &error, "hostile", NULL);
        cr_assert_null(teacher);
        sac_safetensors_close(&st);
    }
    sac_free(inside);
    close_set(&s);
}
