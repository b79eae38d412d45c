// Trained SSMTL model, its file, and task scores of objects. Does not learn.
#include "teachers/ssmtl.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/check.h"
#include "core/json.h"
#include "core/memory.h"
#include "nn/infer.h"
#include "teachers/family.h"
#include "teachers/ssmtl_batch.h"

enum { CONTEXT = SAC_SEQUENCE_LENGTH - 1, GRID = 4 };
// Added to the contrast of a crop, so that a flat one does not turn noise into an error.
static const double LEAST_CONTRAST = 0.05;

void sac_ssmtl_calibration_init(sac_calibration *calibration, unsigned tasks) {
    sac_calibration_init(calibration, sac_ssmtl_columns(tasks), sac_ssmtl_task_name,
                         SAC_COMBINE_MEAN);
    for (int c = 0; c < calibration->tasks; c++) {
        (void)snprintf(calibration->name[c], sizeof calibration->name[c], "%s",
                       sac_ssmtl_task_name(sac_ssmtl_column_task(tasks, c)));
    }
}

void sac_ssmtl_model_close(sac_ssmtl_model **slot) {
    if (slot == NULL || *slot == NULL) return;
    sac_net_close(&(*slot)->net);
    sac_params_close(&(*slot)->params);
    for (int t = 0; t < SAC_SSMTL_TARGETS; t++) sac_image_network_close(&(*slot)->networks[t]);
    sac_free(*slot);
    *slot = NULL;
}

// ---- file
// -------------------------------------------------------------------------------------------------

// Whether scoring has to run the image network of target t.
static bool needs_network(unsigned tasks, int64_t classes, int t) {
    return (tasks & SAC_SSMTL_BIT(SAC_SSMTL_DISTILLATION + t)) != 0 && (t > 0 || classes == 0);
}

static json_t *design_json(const sac_ssmtl_model *model) {
    const sac_ssmtl_design *design = &model->design;
    json_t *tasks = json_array(), *scales = json_object();
    for (int k = 0; k < SAC_SSMTL_TASKS; k++) {
        if ((design->tasks & SAC_SSMTL_BIT(k)) == 0) continue;
        bool failed = json_array_append_new(tasks, json_string(sac_ssmtl_task_name(k))) != 0;
        if (sac_ssmtl_target_of(k) >= 0) {
            json_t *scale = sac_json_number(model->scale[sac_ssmtl_target_of(k)]);
            failed = json_object_set_new(scales, sac_ssmtl_task_name(k), scale) != 0 || failed;
        }
        if (!failed) continue;
        json_decref(tasks);
        json_decref(scales);
        return NULL;
    }
    return json_pack("{s:o, s:b, s:I, s:o}", "tasks", tasks, "residual", design->residual,
                     "classes", (json_int_t)model->classes, "scales", scales);
}

static sac_status read_design(sac_ssmtl_model *model, const sac_safetensors *st, const char *path,
                              sac_error *error) {
    sac_status status = SAC_OK;
    sac_ssmtl_design *design = &model->design;
    json_t *json = NULL, *tasks = NULL, *scales = NULL;
    *design = sac_ssmtl_default_design();
    if (sac_safetensors_metadata(st, "design") == NULL) return SAC_OK;
    SAC_TRY(sac_family_get_json(st, "design", &json, path, error));
    SAC_TRY(sac_json_get_bool(json, "residual", &design->residual, path, error));
    SAC_TRY(sac_json_get_array(json, "tasks", &tasks, path, error));
    design->tasks = 0;
    for (size_t i = 0; i < json_array_size(tasks); i++) {
        const char *name = json_string_value(json_array_get(tasks, i));
        unsigned bit = 0;
        for (int k = 0; name != NULL && k < SAC_SSMTL_TASKS; k++) {
            if (strcmp(name, sac_ssmtl_task_name(k)) == 0) bit = SAC_SSMTL_BIT(k);
        }
        if (bit == 0 || (design->tasks & bit) != 0) {
            status = sac_error_set(error, SAC_ERROR_FORMAT, -1,
                                   "%s: 'design' has an unknown or repeated task '%.40s'", path,
                                   name == NULL ? "" : name);
            goto fail;
        }
        design->tasks |= bit;
    }
    for (int t = 0; t < SAC_SSMTL_TARGETS; t++) {
        int task = SAC_SSMTL_DISTILLATION + t;
        if ((design->tasks & SAC_SSMTL_BIT(task)) == 0) continue;
        SAC_TRY(sac_json_get_int(json, "classes", 0, SAC_SSMTL_MAX_CLASSES, &model->classes, path,
                                 error));
        SAC_TRY(sac_json_get_object(json, "scales", &scales, path, error));
        SAC_TRY(sac_json_get_real(scales, sac_ssmtl_task_name(task), 1e-9, 1e9, &model->scale[t],
                                  path, error));
    }
    if (sac_ssmtl_columns(design->tasks) == 0) {
        status = sac_error_set(error, SAC_ERROR_FORMAT, -1, "%s: 'design' has no task with a score",
                               path);
    }
fail:
    json_decref(json);
    return status;
}

sac_status sac_ssmtl_model_write(const sac_ssmtl_model *model, const char *path,
                                 const json_t *provenance, sac_error *error) {
    sac_status status = SAC_OK;
    sac_safetensors *st = NULL;
    json_t *network = sac_net_to_json(model->net), *design = design_json(model);
    char number[24];
    SAC_TRY(sac_safetensors_create(&st));
    SAC_TRY(sac_family_file_describe(st, "ssmtl", &model->calibration, provenance, error));
    (void)snprintf(number, sizeof number, "%lld", (long long)model->design.crop_size);
    SAC_TRY(sac_safetensors_set_metadata(st, "crop_size", number, error));
    SAC_TRY(sac_family_set_json(st, "design", design, error));
    SAC_TRY(sac_family_set_json(st, "network", network, error));
    SAC_TRY(sac_params_store(model->params, st, NULL, error));
    for (int t = 0; t < SAC_SSMTL_TARGETS; t++) {
        if (!needs_network(model->design.tasks, model->classes, t)) continue;
        SAC_TRY(sac_image_network_store(model->networks[t], st,
                                        sac_ssmtl_task_name(SAC_SSMTL_DISTILLATION + t), error));
    }
    SAC_TRY(sac_safetensors_write(st, path, error));
fail:
    sac_safetensors_close(&st);
    json_decref(network);
    json_decref(design);
    return status < 0 ? sac_error_set(error, status, -1, "%s: no memory to write it", path)
                      : SAC_OK;
}

// The image networks that scoring needs, and lengths that fit.
static sac_status load_networks(sac_ssmtl_model *model, const sac_safetensors *st, const char *path,
                                sac_error *error) {
    sac_status status = SAC_OK;
    for (int t = 0; t < SAC_SSMTL_TARGETS; t++) {
        const char *task = sac_ssmtl_task_name(SAC_SSMTL_DISTILLATION + t);
        const int64_t classes = t == 0 ? model->classes : 0;
        if ((model->design.tasks & SAC_SSMTL_BIT(SAC_SSMTL_DISTILLATION + t)) == 0) continue;
        bool fits = model->design.features[t] > classes;
        if (needs_network(model->design.tasks, model->classes, t)) {
            SAC_TRY(sac_image_network_load(&model->networks[t], st, task, path, error));
            fits = model->networks[t]->length == model->design.features[t];
        }
        if (!fits) {
            return sac_error_set(error, SAC_ERROR_FORMAT, -1,
                                 "%s: its network predicts %lld values for task %s, which does not "
                                 "fit what is imitated",
                                 path, (long long)model->design.features[t], task);
        }
    }
fail:
    return status;
}

// The inputs and outputs this code fills and reads must be there with their shapes, and no other
// input.
static sac_status check_net(const sac_net *net, sac_ssmtl_design *design, const char *path,
                            sac_error *error) {
    enum { SIDE = 0, ANY = -1 };
    const unsigned imitation = SAC_SSMTL_BIT(SAC_SSMTL_DISTILLATION) |
                               SAC_SSMTL_BIT(SAC_SSMTL_SEGMENTATION) |
                               SAC_SSMTL_BIT(SAC_SSMTL_POSE);
    const struct {
        const char *name;
        unsigned tasks; // that need it
        int ndims;
        int64_t dims[4]; // behind N
        bool input;
    } wanted[] = {
        {"arrow",
         SAC_SSMTL_BIT(SAC_SSMTL_MIDDLE) | SAC_SSMTL_BIT(SAC_SSMTL_ARROW),
         4,
         {1, CONTEXT, SIDE, SIDE},
         true},
        {"irregular",
         SAC_SSMTL_BIT(SAC_SSMTL_IRREGULARITY) | SAC_SSMTL_BIT(SAC_SSMTL_JIGSAW) | imitation,
         4,
         {1, SAC_SEQUENCE_LENGTH, SIDE, SIDE},
         true},
        {"inpainting",
         SAC_SSMTL_BIT(SAC_SSMTL_INPAINTING),
         4,
         {1, SAC_SEQUENCE_LENGTH, SIDE, SIDE},
         true},
        {"arrow.logits", SAC_SSMTL_BIT(SAC_SSMTL_ARROW), 1, {2}, false},
        {"irregular.logits", SAC_SSMTL_BIT(SAC_SSMTL_IRREGULARITY), 1, {2}, false},
        {design->residual ? "middle.residual" : "middle.crop",
         SAC_SSMTL_BIT(SAC_SSMTL_MIDDLE),
         3,
         {1, SIDE, SIDE},
         false},
        {"jigsaw.logits", SAC_SSMTL_BIT(SAC_SSMTL_JIGSAW), 1, {SAC_SSMTL_PERMUTATIONS}, false},
        {"inpainting.crop", SAC_SSMTL_BIT(SAC_SSMTL_INPAINTING), 3, {1, SIDE, SIDE}, false},
        {"distillation.features", SAC_SSMTL_BIT(SAC_SSMTL_DISTILLATION), 1, {ANY}, false},
        {"segmentation.features", SAC_SSMTL_BIT(SAC_SSMTL_SEGMENTATION), 1, {ANY}, false},
        {"pose.features", SAC_SSMTL_BIT(SAC_SSMTL_POSE), 1, {ANY}, false},
    };
    sac_status status = SAC_OK;
    int inputs = 0, count = sac_net_count(net);
    sac_shape *shapes = sac_calloc(count, sizeof *shapes);
    if (shapes == NULL) return SAC_ERROR_MEMORY;
    SAC_TRY(sac_net_shapes(net, 1, shapes, error));
    for (int i = 0; i < count; i++) inputs += sac_net_node(net, i)->kind == SAC_OP_INPUT;
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
        if ((design->tasks & wanted[i].tasks) == 0) continue;
        int at = sac_net_find(net, wanted[i].name);
        bool fits = at >= 0 && shapes[at].ndims == wanted[i].ndims + 1 &&
                    (wanted[i].input ? sac_net_node(net, at)->kind == SAC_OP_INPUT
                                     : sac_net_is_output(net, at));
        for (int k = 0; fits && k < wanted[i].ndims; k++) {
            int64_t size = wanted[i].dims[k] == SIDE ? design->crop_size : wanted[i].dims[k];
            fits = size == ANY || shapes[at].dims[k + 1] == size;
        }
        if (!fits) {
            status = sac_error_set(error, SAC_ERROR_FORMAT, -1,
                                   "%s: its network has no %s '%s' of the expected shape", path,
                                   wanted[i].input ? "input" : "output", wanted[i].name);
            goto fail;
        }
        for (int t = 0; t < SAC_SSMTL_TARGETS; t++) {
            if (wanted[i].tasks == SAC_SSMTL_BIT(SAC_SSMTL_DISTILLATION + t))
                design->features[t] = shapes[at].dims[1];
        }
        inputs -= wanted[i].input;
    }
    if (inputs != 0) {
        status = sac_error_set(error, SAC_ERROR_FORMAT, -1,
                               "%s: its network has an input that no task fills", path);
    }
fail:
    sac_free(shapes);
    return status;
}

sac_status sac_ssmtl_model_load(sac_ssmtl_model **out, const sac_safetensors *st, const char *path,
                                sac_error *error) {
    sac_status status = SAC_OK;
    json_t *json = NULL;
    const char *text = NULL;
    *out = NULL;
    sac_ssmtl_model *model = sac_calloc(1, sizeof *model);
    SAC_TRY_ALLOC(model);
    SAC_TRY(read_design(model, st, path, error));
    SAC_TRY(sac_family_get_text(st, "crop_size", &text, path, error));
    char *end = NULL;
    model->design.crop_size = strtoll(text, &end, 10);
    if (end == text || *end != '\0' || model->design.crop_size < 16 ||
        model->design.crop_size > 256 || model->design.crop_size % GRID != 0) {
        status = sac_error_set(error, SAC_ERROR_FORMAT, -1,
                               "%s: 'crop_size' is '%.20s', expected a multiple of %d from 16 to "
                               "256",
                               path, text, (int)GRID);
        goto fail;
    }
    SAC_TRY(sac_family_get_json(st, "network", &json, path, error));
    SAC_TRY(sac_net_from_json(&model->net, json, path, error));
    SAC_TRY(check_net(model->net, &model->design, path, error));
    sac_ssmtl_calibration_init(&model->calibration, model->design.tasks);
    SAC_TRY(sac_family_get_calibration(st, &model->calibration, path, error));
    SAC_TRY(sac_params_create(&model->params, model->net, error));
    SAC_TRY(sac_params_load(model->params, st, NULL, path, error));
    SAC_TRY(load_networks(model, st, path, error));
    json_decref(json);
    *out = model;
    return SAC_OK;
fail:
    json_decref(json);
    sac_ssmtl_model_close(&model);
    return sac_error_set(error, status, -1, "%s: no memory for a teacher", path);
}

sac_status sac_ssmtl_model_read(sac_ssmtl_model **out, const char *path, sac_error *error) {
    sac_status status = SAC_OK;
    sac_safetensors *st = NULL;
    *out = NULL;
    SAC_TRY(sac_safetensors_read(&st, path, error));
    SAC_TRY(sac_family_file_check(st, path, error));
    SAC_TRY(sac_ssmtl_model_load(out, st, path, error));
fail:
    sac_safetensors_close(&st);
    return status;
}

// ---- scores
// ------------------------------------------------------------------------------------------------

struct sac_ssmtl_scorer {
    sac_infer *infer;
    int64_t batch;
    sac_ssmtl_design design;
    bool paper; // task scores of the paper
    int columns;
    sac_ssmtl_batch *rows;
    sac_crop_object *objects; // [batch]
    int64_t classes;
    double scale[SAC_SSMTL_TARGETS];
    sac_image_runner *runners[SAC_SSMTL_TARGETS]; // NULL: not needed
    float *values[SAC_SSMTL_TARGETS];             // [batch][features] of the image networks
};

sac_status sac_ssmtl_scorer_create(sac_ssmtl_scorer **out, const sac_ssmtl_model *model,
                                   int64_t batch, sac_backend backend, sac_error *error) {
    sac_status status = SAC_OK;
    *out = NULL;
    sac_ssmtl_scorer *scorer = sac_calloc(1, sizeof *scorer);
    SAC_TRY_ALLOC(scorer);
    scorer->batch = batch;
    scorer->design = model->design;
    scorer->paper = model->calibration.normalisation == SAC_NORMALISE_CLIP;
    scorer->columns = sac_ssmtl_columns(model->design.tasks);
    sac_plan_options options = {.batch = batch, .backend = backend};
    SAC_TRY(sac_infer_create(&scorer->infer, model->net, model->params, &options, error));
    SAC_TRY(sac_ssmtl_batch_create(&scorer->rows, &scorer->design, batch, false));
    SAC_TRY_ALLOC(scorer->objects = sac_calloc(batch, sizeof *scorer->objects));
    scorer->classes = model->classes;
    for (int t = 0; t < SAC_SSMTL_TARGETS; t++) {
        scorer->scale[t] = model->scale[t];
        if (!needs_network(scorer->design.tasks, scorer->classes, t)) continue;
        SAC_TRY(sac_image_runner_create(&scorer->runners[t], model->networks[t], backend, error));
        SAC_TRY_ALLOC(scorer->values[t] = sac_calloc(batch * scorer->design.features[t],
                                                     sizeof *scorer->values[t]));
    }
    *out = scorer;
    return SAC_OK;
fail:
    sac_ssmtl_scorer_close(&scorer);
    return sac_error_set(error, status, -1, "no memory for a scorer");
}

void sac_ssmtl_scorer_close(sac_ssmtl_scorer **slot) {
    if (slot == NULL || *slot == NULL) return;
    sac_infer_close(&(*slot)->infer);
    sac_ssmtl_batch_close(&(*slot)->rows);
    sac_free((*slot)->objects);
    for (int t = 0; t < SAC_SSMTL_TARGETS; t++) {
        sac_image_runner_close(&(*slot)->runners[t]);
        sac_free((*slot)->values[t]);
    }
    sac_free(*slot);
    *slot = NULL;
}

// log (1 - p) / p with p the softmax of `right`, or 1 - p.
static double against(const float *logits, int classes, int right, bool paper) {
    double most = -INFINITY, others = 0;
    for (int k = 0; k < classes; k++) {
        if (k != right) most = fmax(most, (double)logits[k]);
    }
    for (int k = 0; k < classes; k++) {
        if (k != right) others += exp((double)logits[k] - most);
    }
    double odds = log(others) + most - (double)logits[right];
    return paper ? 1 / (1 + exp(-odds)) : odds;
}

static double reconstruction_error(const sac_ssmtl_scorer *s, const float *values,
                                   const float *target, int64_t row, uint16_t patches) {
    const int64_t size = s->design.crop_size, patch = size / GRID, area = size * size;
    double sum = 0;
    int64_t pixels = 0;
    for (int64_t k = 0; k < area; k++) {
        int64_t p = k / size / patch * GRID + k % size / patch;
        if ((patches >> p & 1) == 0) continue;
        sum += fabs((double)values[row * area + k] - (double)target[row * area + k]);
        pixels++;
    }
    sum /= (double)pixels;
    return s->paper ? sum : sum / ((double)s->rows->contrast[row] + LEAST_CONTRAST);
}

// How far the prediction for object i is from what it imitates.
static double imitation_error(const sac_ssmtl_scorer *s, int t, int64_t i) {
    char output[64];
    const int64_t width = s->design.features[t];
    (void)snprintf(output, sizeof output, "%s.features",
                   sac_ssmtl_task_name(SAC_SSMTL_DISTILLATION + t));
    const float *values = sac_infer_output(s->infer, output) + i * width;
    if (s->values[t] == NULL) {
        const sac_box *box = &s->objects[i].box;
        const float *predicted = values + width - s->classes;
        double most = 0;
        if (box->class_id >= 0 && box->class_id < s->classes)
            return fabs((double)box->confidence - (double)predicted[box->class_id]);
        for (int64_t k = 0; k < s->classes; k++) most = fmax(most, (double)predicted[k]);
        return most;
    }
    double sum = 0;
    for (int64_t k = 0; k < width; k++)
        sum += fabs((double)values[k] - s->scale[t] * (double)s->values[t][i * width + k]);
    return sum / (double)width;
}

// Score of one task of the rows' object i.
static double read_task(const sac_ssmtl_scorer *s, int task, int64_t i) {
    switch (task) {
    case SAC_SSMTL_MIDDLE:
        return reconstruction_error(
            s, sac_infer_output(s->infer, s->design.residual ? "middle.residual" : "middle.crop"),
            s->rows->middle, i, UINT16_MAX);
    case SAC_SSMTL_ARROW:
        return against(sac_infer_output(s->infer, "arrow.logits") + 2 * i, 2, 0, s->paper);
    case SAC_SSMTL_IRREGULARITY:
        return against(sac_infer_output(s->infer, "irregular.logits") + 2 * i, 2, 0, s->paper);
    case SAC_SSMTL_DISTILLATION:
    case SAC_SSMTL_SEGMENTATION:
    case SAC_SSMTL_POSE:
        return imitation_error(s, sac_ssmtl_target_of(task), i);
    case SAC_SSMTL_JIGSAW:
        return against(sac_infer_output(s->infer, "jigsaw.logits") + SAC_SSMTL_PERMUTATIONS * i,
                       SAC_SSMTL_PERMUTATIONS, 0, s->paper);
    case SAC_SSMTL_INPAINTING:
        return reconstruction_error(s, sac_infer_output(s->infer, "inpainting.crop"), s->rows->crop,
                                    i, SAC_SSMTL_CHESSBOARD);
    default:
        return NAN;
    }
}

// The first `count` rows of the batch through the network.
static sac_status run_batch(sac_ssmtl_scorer *s, float *tasks, int64_t count, sac_error *error) {
    sac_status status = SAC_OK;
    const sac_crop_source source = {.size = (int)s->design.crop_size, .objects = s->objects};
    const int64_t area = s->design.crop_size * s->design.crop_size;
    for (int64_t i = 0; i < count; i++) s->rows->samples[i] = sac_ssmtl_sample_plain(i);
    SAC_TRY(sac_ssmtl_batch_fill(s->rows, &source, count, true));
    const struct {
        const char *name;
        const float *data;
        int64_t length;
    } inputs[] = {{"arrow", s->rows->arrow, CONTEXT * area},
                  {"irregular", s->rows->irregular, SAC_SEQUENCE_LENGTH * area},
                  {"inpainting", s->rows->inpainting, SAC_SEQUENCE_LENGTH * area}};
    for (size_t i = 0; i < sizeof inputs / sizeof inputs[0]; i++) {
        if (inputs[i].data == NULL) continue;
        memcpy(sac_infer_input(s->infer, inputs[i].name), inputs[i].data,
               (size_t)(count * inputs[i].length) * sizeof(float));
    }
    SAC_TRY(sac_infer_run(s->infer, error));
    for (int t = 0; t < SAC_SSMTL_TARGETS; t++) {
        if (s->runners[t] == NULL) continue;
        SAC_TRY(sac_image_runner_run(s->runners[t], s->values[t], s->design.features[t], s->objects,
                                     count, NULL, error));
    }
    for (int64_t i = 0; i < count; i++) {
        for (int c = 0; c < s->columns; c++) {
            tasks[i * s->columns + c] =
                (float)read_task(s, sac_ssmtl_column_task(s->design.tasks, c), i);
        }
    }
fail:
    return status < 0 ? sac_error_set(error, status, -1, "no memory for the crops") : SAC_OK;
}

sac_status sac_ssmtl_scorer_run(sac_ssmtl_scorer *scorer, float *tasks,
                                const sac_detections *detections, const uint8_t *pixels, int width,
                                int height, bool (*stop)(void),
                                void (*progress)(void *user, int64_t objects_done), void *user,
                                sac_error *error) {
    sac_status status = SAC_OK;
    const int columns = scorer->columns;
    int64_t t = 0;
    for (int64_t first = 0; first < detections->count; first += scorer->batch) {
        if (stop != NULL && stop()) {
            return sac_error_set(error, SAC_ERROR_INTERRUPTED, -1, "scoring was interrupted");
        }
        int64_t count = detections->count - first;
        if (count > scorer->batch) count = scorer->batch;
        for (int64_t i = 0; i < count; i++) {
            while (detections->start[t + 1] <= first + i) t++;
            scorer->objects[i] = (sac_crop_object){.pixels = pixels,
                                                   .width = width,
                                                   .height = height,
                                                   .frames = detections->frames,
                                                   .t = t,
                                                   .box = detections->boxes[first + i]};
        }
        float *rows = tasks + first * columns;
        SAC_TRY(run_batch(scorer, rows, count, error));
        for (int64_t i = 0; i < count * columns; i++) {
            if (!isfinite(rows[i])) {
                return sac_error_set(error, SAC_ERROR_NUMERIC, first + i / columns,
                                     "the %s score of object %lld is not finite",
                                     sac_ssmtl_task_name(sac_ssmtl_column_task(scorer->design.tasks,
                                                                               (int)(i % columns))),
                                     (long long)(first + i / columns));
            }
        }
        if (progress != NULL) progress(user, first + count);
    }
fail:
    return status;
}
