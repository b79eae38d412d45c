// The task losses and their gradients.
#include "teachers/ssmtl_loss.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "nn/loss.h"

enum { GRID = 4 };
static const double IMITATION_WEIGHT = 0.5, MASKED_WEIGHT = 0.1;

double sac_ssmtl_loss_weight(int task) {
    // What the backbone makes hard is no merit of a low loss.
    if (task == SAC_SSMTL_PSEUDO) return 0;
    return sac_ssmtl_target_of(task) >= 0 ? IMITATION_WEIGHT : 1;
}

typedef struct joint {
    sac_ssmtl_losses *losses;
    const sac_ssmtl_design *design;
    const sac_ssmtl_batch *batch;
    int64_t n;
    const sac_ssmtl_ports *ports;
} joint;

static float *grad_of(const joint *j, const char *name) {
    return j->ports->grad == NULL ? NULL : j->ports->grad(j->ports->plan, name);
}

static void take_l1(const joint *j, int task, const char *output, const float *target) {
    int64_t count = j->n * j->batch->size * j->batch->size;
    j->losses->task[task] =
        sac_loss_l1(grad_of(j, output), j->ports->output(j->ports->plan, output), target, count, 1);
}

static void take_classes(const joint *j, int task, const char *output, const int32_t *target,
                         int64_t classes) {
    const float *logits = j->ports->output(j->ports->plan, output);
    int64_t right = 0;
    j->losses->task[task] =
        sac_loss_cross_entropy(grad_of(j, output), logits, target, j->n, classes, 1);
    for (int64_t i = 0; i < j->n; i++) {
        const float *row = logits + i * classes;
        int32_t best = 0;
        for (int32_t k = 1; k < classes; k++) {
            if (row[k] > row[best]) best = k;
        }
        right += best == target[i];
    }
    j->losses->accuracy[task] = (double)right / (double)j->n;
}

double sac_ssmtl_target_value(const sac_ssmtl_targets *targets, int t, const float *row,
                              int64_t k) {
    double value = (double)row[targets->at[t] + k];
    return k < targets->length[t] ? value * targets->scale[t] : value;
}

static void take_imitation(const joint *j, int task, const sac_ssmtl_targets *targets) {
    char output[64];
    const int t = sac_ssmtl_target_of(task);
    const int64_t width = j->design->features[t];
    int64_t rows = 0;
    double sum = 0;
    (void)snprintf(output, sizeof output, "%s.features", sac_ssmtl_task_name(task));
    const float *values = j->ports->output(j->ports->plan, output);
    float *grad = grad_of(j, output);
    for (int64_t i = 0; i < j->n; i++) rows += !j->batch->samples[i].intermittent;
    for (int64_t i = 0; i < j->n; i++) {
        const sac_ssmtl_sample *s = &j->batch->samples[i];
        if (s->intermittent) continue;
        const float *row = targets->values + s->row * targets->stride;
        const double share = 1 / (double)(rows * width);
        for (int64_t k = 0; k < width; k++) {
            double d = (double)values[i * width + k] - sac_ssmtl_target_value(targets, t, row, k);
            sum += share * (d < 0 ? -d : d);
            if (grad != NULL && d != 0)
                grad[i * width + k] += (float)((d > 0 ? 1 : -1) * IMITATION_WEIGHT * share);
        }
    }
    j->losses->task[task] = sum;
}

static void take_inpainting(const joint *j) {
    const int64_t size = j->batch->size, patch = size / GRID, area = size * size;
    const float *values = j->ports->output(j->ports->plan, "inpainting.crop");
    float *grad = grad_of(j, "inpainting.crop");
    int64_t pixels = 0;
    double sum = 0;
    for (int64_t i = 0; i < j->n; i++) {
        for (int p = 0; p < SAC_SSMTL_PATCHES; p++)
            pixels += (j->batch->samples[i].hidden >> p & 1) * patch * patch;
    }
    for (int64_t i = 0; i < j->n; i++) {
        for (int64_t k = 0; k < area; k++) {
            int64_t p = k / size / patch * GRID + k % size / patch;
            if ((j->batch->samples[i].hidden >> p & 1) == 0) continue;
            double d = (double)values[i * area + k] - (double)j->batch->crop[i * area + k];
            sum += d < 0 ? -d : d;
            if (grad != NULL && d != 0)
                grad[i * area + k] += (float)((d > 0 ? 1 : -1) / (double)pixels);
        }
    }
    j->losses->task[SAC_SSMTL_INPAINTING] = pixels > 0 ? sum / (double)pixels : 0;
}

static void take_masked(const joint *j) {
    static const char *const branches[] = {"arrow", "irregular", "jigsaw", "inpainting", "pseudo"};
    for (size_t b = 0; b < sizeof branches / sizeof branches[0]; b++) {
        char output[64];
        (void)snprintf(output, sizeof output, "%s.masked.error", branches[b]);
        const float *values = j->ports->output(j->ports->plan, output);
        if (values == NULL) continue;
        sac_shape shape = j->ports->shape(j->ports->plan, output);
        int64_t count = j->n;
        for (int k = 1; k < shape.ndims; k++) count *= shape.dims[k];
        float *grad = grad_of(j, output);
        double sum = 0;
        for (int64_t i = 0; i < count; i++) {
            sum += (double)values[i] * (double)values[i];
            if (grad != NULL)
                grad[i] += (float)(MASKED_WEIGHT * 2 / (double)count * (double)values[i]);
        }
        j->losses->masked += sum / (double)count;
    }
}

void sac_ssmtl_loss(sac_ssmtl_losses *losses, const sac_ssmtl_design *design,
                    const sac_ssmtl_batch *batch, int64_t n, const sac_ssmtl_targets *targets,
                    const sac_ssmtl_ports *ports) {
    const joint j = {losses, design, batch, n, ports};
    const unsigned tasks = design->tasks;
    *losses = (sac_ssmtl_losses){0};
    if (tasks & SAC_SSMTL_BIT(SAC_SSMTL_MIDDLE)) {
        take_l1(&j, SAC_SSMTL_MIDDLE, design->residual ? "middle.residual" : "middle.crop",
                batch->middle);
    }
    if (tasks & SAC_SSMTL_BIT(SAC_SSMTL_ARROW))
        take_classes(&j, SAC_SSMTL_ARROW, "arrow.logits", batch->arrow_class, 2);
    if (tasks & SAC_SSMTL_BIT(SAC_SSMTL_IRREGULARITY))
        take_classes(&j, SAC_SSMTL_IRREGULARITY, "irregular.logits", batch->irregular_class, 2);
    for (int k = SAC_SSMTL_DISTILLATION; k <= SAC_SSMTL_POSE; k++) {
        if (tasks & SAC_SSMTL_BIT(k)) take_imitation(&j, k, targets);
    }
    if (tasks & SAC_SSMTL_BIT(SAC_SSMTL_JIGSAW)) {
        take_classes(&j, SAC_SSMTL_JIGSAW, "jigsaw.logits", batch->jigsaw_class,
                     SAC_SSMTL_PERMUTATIONS);
    }
    if (tasks & SAC_SSMTL_BIT(SAC_SSMTL_INPAINTING)) take_inpainting(&j);
    if (tasks & SAC_SSMTL_BIT(SAC_SSMTL_PSEUDO))
        take_l1(&j, SAC_SSMTL_PSEUDO, "pseudo.crop", batch->pseudo_crop);
    if (design->masked) take_masked(&j);
    for (int k = 0; k < SAC_SSMTL_TASKS; k++)
        losses->total += sac_ssmtl_loss_weight(k) * losses->task[k];
    losses->total += MASKED_WEIGHT * losses->masked;
}

void sac_ssmtl_losses_put(double values[SAC_SSMTL_LOSS_VALUES], const sac_ssmtl_losses *l) {
    values[0] = l->total;
    values[1] = l->masked;
    memcpy(values + SAC_SSMTL_LOSS_TASK, l->task, sizeof l->task);
    memcpy(values + SAC_SSMTL_LOSS_ACCURACY, l->accuracy, sizeof l->accuracy);
}

sac_ssmtl_losses sac_ssmtl_losses_get(const double values[SAC_SSMTL_LOSS_VALUES]) {
    sac_ssmtl_losses l = {.total = values[0], .masked = values[1]};
    memcpy(l.task, values + SAC_SSMTL_LOSS_TASK, sizeof l.task);
    memcpy(l.accuracy, values + SAC_SSMTL_LOSS_ACCURACY, sizeof l.accuracy);
    return l;
}

void sac_ssmtl_losses_add(sac_ssmtl_losses *losses, const sac_ssmtl_losses *more, double share) {
    double a[SAC_SSMTL_LOSS_VALUES], b[SAC_SSMTL_LOSS_VALUES];
    sac_ssmtl_losses_put(a, losses);
    sac_ssmtl_losses_put(b, more);
    for (int k = 0; k < SAC_SSMTL_LOSS_VALUES; k++) a[k] += share * b[k];
    *losses = sac_ssmtl_losses_get(a);
}
