// What came of a run of distill: the model with its provenance, the page, the printed result.
#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "core/check.h"
#include "core/file.h"
#include "core/json.h"
#include "core/memory.h"
#include "distill/run_report.h"
#include "saccade/version.h"
#include "student/model.h"
#include "tools/distill.h"

// {"faster": 0.93, ...} of the kinds that occur.
static json_t *kinds_json(const double aucs[SAC_PSEUDO_KIND_COUNT]) {
    json_t *json = json_object();
    for (int k = 0; k < SAC_PSEUDO_KIND_COUNT; k++) {
        if (!isfinite(aucs[k])) continue;
        (void)json_object_set_new(json, sac_pseudo_kind_name((sac_pseudo_kind)k),
                                  json_real(aucs[k]));
    }
    return json;
}

void distill_kinds_text(char *text, size_t size, const double aucs[SAC_PSEUDO_KIND_COUNT]) {
    size_t used = 0;
    text[0] = '\0';
    for (int k = 0; k < SAC_PSEUDO_KIND_COUNT && used < size; k++) {
        if (!isfinite(aucs[k])) continue;
        used += (size_t)snprintf(text + used, size - used, "%s%s %.1f", used > 0 ? ", " : "",
                                 sac_pseudo_kind_name((sac_pseudo_kind)k), 100 * aucs[k]);
    }
}

// What is known of a student that teaches.
static json_t *student_origin(const char *path) {
    sac_model *model = NULL;
    if (sac_model_load(&model, path, NULL) != SAC_OK) return NULL;
    json_t *origin = json_pack("{s:s}", "student", model->arch);
    static const char *const keys[] = {"teachers", "training", "metrics", "commit"};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        json_t *value = json_object_get(model->provenance, keys[i]);
        if (value != NULL) json_object_set_new(origin, keys[i], json_deep_copy(value));
    }
    sac_model_close(&model);
    return origin;
}

static json_t *provenance_make(const distill_run *r) {
    const distill_settings *s = r->settings;
    const sac_distill_teacher *teachers = r->recipe.teachers;
    const sac_samples *samples = &r->samples;
    const sac_trainer_result *result = &r->trained;
    json_t *list = json_array();
    for (int k = 0; k < r->recipe.teacher_count; k++) {
        sac_map_store *store = NULL;
        json_t *origin = NULL;
        if (teachers[k].student) {
            origin = student_origin(teachers[k].folder);
        } else if (sac_map_store_open(&store, teachers[k].folder, NULL) == SAC_OK) {
            const json_t *all = sac_map_store_provenance(store);
            origin = json_object();
            static const char *const keys[] = {"teacher", "detector", "settings",
                                               "metrics", "program",  "commit"};
            for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
                json_t *value = json_object_get(all, keys[i]);
                if (value != NULL) json_object_set_new(origin, keys[i], json_deep_copy(value));
            }
            sac_map_store_close(&store);
        }
        double auc = NAN;
        double kinds[SAC_PSEUDO_KIND_COUNT];
        if (sac_samples_teacher_auc(&auc, kinds, samples, k, NULL) != SAC_OK) {
            auc = NAN;
            for (int i = 0; i < SAC_PSEUDO_KIND_COUNT; i++) kinds[i] = NAN;
        }
        json_array_append_new(
            list, json_pack("{s:o, s:f, s:o, s:o, s:o?}", "name", sac_json_text(teachers[k].name),
                            "weight", teachers[k].weight, "pseudo_auc", sac_json_number(auc),
                            "pseudo_auc_by_kind", kinds_json(kinds), "origin", origin));
    }
    int64_t validation = 0;
    for (int64_t i = 0; i < samples->originals; i++)
        validation += samples->clips[i].validation_from == 0;
    return json_pack(
        "{s:s, s:s, s:{s:o, s:s}, s:o, s:o, s:I, s:s, s:I, s:I, s:{s:I, s:I, s:o, s:o, s:o, s:f}}",
        "commit", sac_commit(), "version", sac_version(), "dataset", "name",
        sac_json_text(r->dataset->name), "fingerprint", r->dataset->fingerprint, "teachers", list,
        "training", sac_trainer_options_to_json(&r->recipe.trainer), "pseudo_variants",
        (json_int_t)s->variants, "pseudo_kinds", s->kinds, "altered_objects",
        (json_int_t)samples->altered_objects, "held_back_clips", (json_int_t)validation, "metrics",
        "epochs", (json_int_t)result->epochs, "best_epoch", (json_int_t)result->best_epoch,
        "validation_loss", sac_json_number(result->best_validation_loss), "pseudo_auc",
        sac_json_number(result->best_pseudo_auc), "pseudo_auc_by_kind",
        kinds_json(result->best_kind_auc), "minutes", result->seconds / 60);
}

sac_status distill_save(distill_run *r, sac_error *error) {
    sac_status status = SAC_OK;
    const sac_pretrain_result *pretrained = &r->pretrained;
    sac_model *model = r->model;
    json_decref(model->provenance);
    model->provenance = provenance_make(r);
    SAC_TRY_ALLOC(model->provenance);
    if (pretrained->epochs > 0) {
        (void)json_object_set_new(model->provenance, "pretraining",
                                  json_pack("{s:s, s:I, s:f, s:f, s:f}", "kind",
                                            r->settings->pretrain == 2 ? "masked" : "plain",
                                            "epochs", (json_int_t)pretrained->epochs, "train_loss",
                                            pretrained->train_loss, "validation_loss",
                                            pretrained->validation_loss, "minutes",
                                            pretrained->seconds / 60));
    }
    if (r->init != NULL) (void)json_object_set(model->provenance, "init", r->init);
    SAC_TRY(sac_model_save(model, r->student, error));
fail:
    return status;
}

sac_status distill_page_write(const distill_run *r, bool interrupted, sac_error *error) {
    sac_status status = SAC_OK;
    const distill_settings *s = r->settings;
    json_t *settings_json = sac_options_to_json(&distill_command, s);
    char *path = sac_path_join(s->output, "report.html");
    const sac_run_report page = {.folder = s->output,
                                 .title = s->output,
                                 .samples = &r->samples,
                                 .teachers = r->recipe.teachers,
                                 .trainer = &r->recipe.trainer,
                                 .model = interrupted ? NULL : r->model,
                                 .settings = settings_json,
                                 .result = interrupted ? NULL : r->model->provenance,
                                 .interrupted = interrupted};
    SAC_TRY_ALLOC(settings_json);
    SAC_TRY_ALLOC(path);
    SAC_TRY(sac_run_report_write(path, &page, error));
fail:
    json_decref(settings_json);
    sac_free(path);
    return status;
}

static void print_quantised(const distill_settings *s, const sac_quantise_result *r) {
    const struct {
        const char *name;
        const sac_validation_result *result;
    } rows[3] = {{"f32", &r->f32},
                 {"int8 after training", &r->post_training},
                 {"int8 fine-tuned", &r->fine_tuned}};
    printf("%s/student-int8.safetensors: %s weights; held-back loss and AUC:\n", s->output,
           r->kept_fine_tuned ? "fine-tuned" : "post-training");
    for (int i = 0; i < (r->epochs > 0 ? 3 : 2); i++) {
        printf("  %-20s %.5f", rows[i].name, rows[i].result->loss);
        if (isfinite(rows[i].result->pseudo_auc))
            printf("  %.2f", 100 * rows[i].result->pseudo_auc);
        printf("\n");
    }
}

static json_t *quantised_json(const sac_quantise_result *r) {
    json_t *json = json_pack("{s:b, s:I, s:f}", "fine_tuned", r->kept_fine_tuned, "epochs",
                             (json_int_t)r->epochs, "minutes", r->seconds / 60);
    const struct {
        const char *name;
        const sac_validation_result *result;
    } rows[3] = {
        {"f32", &r->f32}, {"post_training", &r->post_training}, {"fine_tuning", &r->fine_tuned}};
    for (int i = 0; json != NULL && i < (r->epochs > 0 ? 3 : 2); i++) {
        json_object_set_new(json, rows[i].name,
                            json_pack("{s:f, s:o}", "validation_loss", rows[i].result->loss,
                                      "pseudo_auc", sac_json_number(rows[i].result->pseudo_auc)));
    }
    return json;
}

static void print_json(const distill_run *r) {
    const sac_trainer_result *t = &r->trained;
    json_t *json = json_pack(
        "{s:o, s:I, s:I, s:o, s:o, s:o, s:f, s:f, s:I}", "model", sac_json_text(r->student),
        "epochs", (json_int_t)t->epochs, "best_epoch", (json_int_t)t->best_epoch, "validation_loss",
        sac_json_number(t->best_validation_loss), "pseudo_auc", sac_json_number(t->best_pseudo_auc),
        "pseudo_auc_by_kind", kinds_json(t->best_kind_auc), "gather_minutes", r->gather_s / 60,
        "train_minutes", t->seconds / 60, "altered_objects",
        (json_int_t)r->samples.altered_objects);
    if (json == NULL) return;
    if (r->quantised_any) (void)json_object_set_new(json, "int8", quantised_json(&r->quantised));
    (void)json_dumpf(json, stdout, JSON_INDENT(2));
    printf("\n");
    json_decref(json);
}

static void print_text(const distill_run *r) {
    const sac_trainer_result *t = &r->trained;
    printf("%s: epoch %" PRId64 " of %" PRId64 "%s, validation loss %.5f", r->student,
           t->best_epoch, t->epochs,
           t->early_stop    ? " (stopped early)"
           : t->out_of_time ? " (out of time)"
                            : "",
           t->best_validation_loss);
    if (isfinite(t->best_pseudo_auc)) {
        char kinds[512];
        distill_kinds_text(kinds, sizeof kinds, t->best_kind_auc);
        printf(", AUC on held-back pseudo-anomalies %.1f (%s)", 100 * t->best_pseudo_auc, kinds);
    }
    printf("; data %.1f min, training %.1f min\n", r->gather_s / 60, t->seconds / 60);
    if (r->quantised_any) print_quantised(r->settings, &r->quantised);
}

void distill_print(const distill_run *r) {
    if (r->settings->tool.json)
        print_json(r);
    else
        print_text(r);
}
