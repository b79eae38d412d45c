// Measures optimiser steps of the real networks on random inputs. Data loading is left out: it
// overlaps with the
// network in a real run and depends on the data set.
#include "bench/training.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bench/stats.h"
#include "core/check.h"
#include "core/json.h"
#include "core/memory.h"
#include "core/time.h"
#include "nn/infer.h"
#include "nn/optim.h"
#include "nn/roofline.h"
#include "nn/train.h"
#include "student/arch.h"
#include "student/model.h"
#include "teachers/ssmtl_net.h"

#define MAX_ROUNDS 100
#define CROP       64

sac_training_options sac_training_default_options(void) {
    return (sac_training_options){
        .rounds = 5, .seconds = 2, .teacher_batch = 64, .student_batch = 32, .arch = "tiny-m"};
}

// One network with its optimiser, ready to step.
typedef struct subject {
    sac_net *net; // owned for the teacher; borrowed from the model for the student
    sac_model *model;
    sac_params *params;
    sac_train *train;
    sac_adam *adam;
    int64_t batch;
} subject;

static void subject_close(subject *s) {
    sac_train_close(&s->train);
    sac_adam_close(&s->adam);
    if (s->model == NULL) {
        sac_params_close(&s->params);
        sac_net_close(&s->net);
    }
    sac_model_close(&s->model);
}

// Random weights, random inputs; the plan decides everything else.
static sac_status subject_plan(subject *s, bool channels_last, sac_error *error) {
    sac_status status = SAC_OK;
    sac_rng rng;
    sac_rng_seed(&rng, 1, 1);
    sac_params_init(s->params, &rng);
    const sac_plan_options plan = {.batch = s->batch, .seed = 1, .channels_last = channels_last};
    const sac_adam_options adam = sac_adam_default_options();
    SAC_TRY(sac_train_create(&s->train, s->net, s->params, &plan, error));
    SAC_TRY(sac_adam_create(&s->adam, s->params, &adam));
    for (int i = 0; i < sac_net_count(s->net); i++) {
        const sac_node *node = sac_net_node(s->net, i);
        if (node->kind != SAC_OP_INPUT) continue;
        int64_t n = s->batch;
        for (int d = 0; d < node->shape.ndims; d++) n *= node->shape.dims[d];
        float *input = sac_train_input(s->train, node->name);
        for (int64_t k = 0; k < n; k++) input[k] = (float)sac_rng_uniform(&rng);
    }
fail:
    return status;
}

static sac_status subject_step(subject *s, sac_error *error) {
    sac_status status = SAC_OK;
    sac_params_zero_grad(s->params);
    SAC_TRY(sac_train_forward(s->train, error));
    for (int i = 0; i < sac_net_count(s->net); i++) {
        if (!sac_net_is_output(s->net, i)) continue;
        const char *name = sac_net_node(s->net, i)->name;
        const sac_shape shape = sac_train_output_shape(s->train, name);
        int64_t n = 1;
        for (int d = 0; d < shape.ndims; d++) n *= shape.dims[d];
        const float *output = sac_train_output(s->train, name);
        float *grad = sac_train_output_grad(s->train, name);
        for (int64_t k = 0; k < n; k++) grad[k] = 2 * output[k] / (float)n;
    }
    SAC_TRY(sac_train_backward(s->train, error));
    SAC_TRY(sac_adam_step(s->adam, s->params, 1e-5, NULL, error));
fail:
    return status;
}

static sac_status subject_rate(double *samples_s, subject *s, double seconds, sac_error *error) {
    int64_t steps = 0;
    const double begun = sac_time_s();
    double now = begun;
    while (now - begun < seconds || steps == 0) {
        const sac_status status = subject_step(s, error);
        if (status != SAC_OK) return status;
        steps++;
        now = sac_time_s();
    }
    *samples_s = (double)(steps * s->batch) / (now - begun);
    return SAC_OK;
}

static void row_describe(sac_training_row *row, const subject *s) {
    row->batch = s->batch;
    row->parameters = sac_params_elements(s->params, true);
    row->macs = 0;
    for (int i = 0; i < sac_net_count(s->net); i++) row->macs += sac_net_macs(s->net, i);
}

static sac_status subjects_open(subject subjects[2], sac_training_result *result,
                                const sac_training_options *o, sac_error *error) {
    sac_status status = SAC_OK;
    sac_preprocess preprocess;
    subject *teacher = &subjects[0], *student = &subjects[1];
    teacher->batch = o->teacher_batch;
    student->batch = o->student_batch;
    sac_ssmtl_design design = sac_ssmtl_default_design();
    design.backbone = o->backbone;
    design.crop_size = CROP;
    SAC_TRY(sac_ssmtl_net(&teacher->net, &design, true, error));
    SAC_TRY(sac_params_create(&teacher->params, teacher->net, error));
    SAC_TRY(subject_plan(teacher, false, error));
    SAC_TRY(sac_arch_preprocess(&preprocess, o->arch, error));
    SAC_TRY(sac_model_create(&student->model, o->arch, &preprocess, error));
    student->net = student->model->net;
    student->params = student->model->params;
    SAC_TRY(subject_plan(student, true, error));
    (void)snprintf(result->rows[0].name, sizeof result->rows[0].name, "teacher ssmtl %s %dx%d",
                   sac_ssmtl_backbone_at(o->backbone)->name, CROP, CROP);
    (void)snprintf(result->rows[1].name, sizeof result->rows[1].name, "student %s %dx%d", o->arch,
                   preprocess.width, preprocess.height);
    for (int k = 0; k < 2; k++) {
        row_describe(&result->rows[k], &subjects[k]);
        SAC_TRY(subject_step(&subjects[k], error)); // warm-up
    }
fail:
    return status;
}

static double median(double *values, int n) {
    sac_stats_sort(values, n);
    return sac_stats_quantile(values, n, 0.5);
}

sac_status sac_training_measure(sac_training_result *result, const sac_training_options *o,
                                sac_error *error) {
    sac_status status = SAC_OK;
    subject subjects[2] = {{0}, {0}};
    double matmul[MAX_ROUNDS], rate[2][MAX_ROUNDS], share[2][MAX_ROUNDS];
    *result = (sac_training_result){.rounds = o->rounds};
    if (o->rounds < 1 || o->rounds > MAX_ROUNDS)
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1, "rounds must be 1 to %d", MAX_ROUNDS);
    if (sac_ssmtl_backbone_at(o->backbone) == NULL)
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1, "no such backbone");
    sac_machine_describe(&result->machine);
    sac_nn_set_threads(o->threads);
    result->threads = o->threads > 0 ? o->threads : result->machine.cores;
    SAC_TRY(subjects_open(subjects, result, o, error));
    for (int r = 0; r < o->rounds; r++) {
        SAC_TRY(sac_matmul_rate(&matmul[r], o->threads, o->seconds, error));
        for (int k = 0; k < 2; k++) {
            if (o->stop != NULL && o->stop()) {
                status = sac_error_set(error, SAC_ERROR_INTERRUPTED, r, "stopped in round %d of %d",
                                       r + 1, o->rounds);
                goto fail;
            }
            SAC_TRY(subject_rate(&rate[k][r], &subjects[k], o->seconds, error));
            share[k][r] = 6e-9 * (double)result->rows[k].macs * rate[k][r] / matmul[r];
        }
    }
    result->matmul_gflops = median(matmul, o->rounds);
    for (int k = 0; k < 2; k++) {
        memcpy(result->samples_rounds[k], rate[k], (size_t)o->rounds * sizeof(double));
        result->rows[k].samples_s = median(rate[k], o->rounds);
        result->rows[k].gflops = 6e-9 * (double)result->rows[k].macs * result->rows[k].samples_s;
        result->rows[k].of_matmul = median(share[k], o->rounds);
    }
    result->machine.load_after = sac_machine_load();
fail:
    for (int k = 0; k < 2; k++) subject_close(&subjects[k]);
    return sac_error_set(error, status, -1, "measuring training: %s", sac_status_name(status));
}

sac_status sac_training_figures(sac_figures *figures, const sac_training_result *result,
                                sac_error *error) {
    sac_status status = SAC_OK;
    for (int k = 0; k < 2; k++) {
        double rounds[MAX_ROUNDS];
        char name[128];
        memcpy(rounds, result->samples_rounds[k], sizeof rounds);
        snprintf(name, sizeof name, "training step; %s; batch %" PRId64 "; %d thread%s",
                 result->rows[k].name, result->rows[k].batch, result->threads,
                 result->threads == 1 ? "" : "s");
        sac_figure figure = sac_figure_of_rounds(name, "samples/s", false, rounds, result->rounds);
        sac_figure_set_limit(&figure, "f32 matmul", result->rows[k].of_matmul);
        SAC_TRY(sac_figures_add(figures, &figure, error));
    }
fail:
    return status;
}

char *sac_training_to_markdown(const sac_training_result *r) {
    char *rows[2] = {NULL, NULL}, *machine = sac_machine_text(&r->machine);
    for (int k = 0; k < 2; k++) {
        const sac_training_row *row = &r->rows[k];
        rows[k] = sac_format("| %s | %" PRId64 " | %.3f | %.1f | %.1f | %.0f %% |\n", row->name,
                             row->batch, 1e-9 * (double)row->macs, row->samples_s, row->gflops,
                             100 * row->of_matmul);
    }
    char *text =
        machine != NULL && rows[0] != NULL && rows[1] != NULL
            ? sac_format("%s; %d thread%s; medians of %d "
                         "interleaved rounds; f32 matmul %.1f GFLOP/s\n\n"
                         "| step (forward, backward, update) | batch | GMAC forward | samples/s | "
                         "GFLOP/s | of matmul |\n|---|---|---|---|---|---|\n%s%s",
                         machine, r->threads, r->threads == 1 ? "" : "s", r->rounds,
                         r->matmul_gflops, rows[0], rows[1])
            : NULL;
    sac_free(machine);
    sac_free(rows[0]);
    sac_free(rows[1]);
    return text;
}

json_t *sac_training_to_json(const sac_training_result *r) {
    json_t *rows = json_array();
    for (int k = 0; k < 2; k++) {
        const sac_training_row *row = &r->rows[k];
        json_array_append_new(
            rows, json_pack("{s:s, s:I, s:I, s:I, s:o, s:o, s:o}", "name", row->name, "batch",
                            (json_int_t)row->batch, "parameters", (json_int_t)row->parameters,
                            "macs", (json_int_t)row->macs, "samples_per_s",
                            sac_json_number(row->samples_s), "gflops", sac_json_number(row->gflops),
                            "of_matmul", sac_json_number(row->of_matmul)));
    }
    sac_figures figures = {0};
    json_t *list =
        sac_training_figures(&figures, r, NULL) < 0 ? NULL : sac_figures_to_json(&figures);
    sac_figures_close(&figures);
    return json_pack("{s:o, s:i, s:i, s:o, s:o, s:o}", "machine", sac_machine_json(&r->machine),
                     "threads", r->threads, "rounds", r->rounds, "matmul_gflops",
                     sac_json_number(r->matmul_gflops), "steps", rows, "figures", list);
}
