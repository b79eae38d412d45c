// Task table, networks of all designs, the joint loss, and image networks that are imitated.
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "core/memory.h"
#include "core/rng.h"
#include "core/safetensors.h"
#include "helper.h"
#include "image_network_make.h"
#include "nn/params.h"
#include "nn/train.h"
#include "teachers/image_network.h"
#include "teachers/ssmtl_loss.h"
#include "video/scale.h"

enum { S = 16, N = 3, ROWS = 2, FEATURES = 6 };

Test(teachers_tasks, lists_of_tasks) {
    unsigned tasks = 0;
    sac_error error = {0};
    sac_assert_ok(sac_ssmtl_tasks_parse(&tasks, "middle,arrow,irregularity", &error), &error);
    cr_assert_eq(tasks, SAC_SSMTL_DEFAULT_TASKS);
    sac_assert_ok(sac_ssmtl_tasks_parse(&tasks, "pseudo,jigsaw,arrow", &error), &error);
    cr_assert_eq(sac_ssmtl_columns(tasks), 2);
    cr_assert_eq(sac_ssmtl_column_task(tasks, 0), SAC_SSMTL_ARROW);
    cr_assert_eq(sac_ssmtl_column_task(tasks, 1), SAC_SSMTL_JIGSAW);
    cr_assert_eq(sac_ssmtl_column_task(tasks, 2), -1);
    static const char *const bad[] = {"",       "arrow,",  "arrow,arrow", "arro",
                                      "arrows", ",middle", "middle arrow"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        error = (sac_error){0};
        sac_assert_error(sac_ssmtl_tasks_parse(&tasks, bad[i], &error), SAC_ERROR_ARGUMENT, &error,
                         "irregularity", NULL);
    }
    for (int k = 0; k < SAC_SSMTL_TASKS; k++) cr_assert_not_null(sac_ssmtl_task_name(k));
    cr_assert_null(sac_ssmtl_task_name(SAC_SSMTL_TASKS));
    cr_assert_null(sac_ssmtl_task_name(-1));
}

static sac_ssmtl_design design_of(unsigned tasks) {
    sac_ssmtl_design d = sac_ssmtl_default_design();
    d.crop_size = S;
    d.tasks = tasks;
    for (int t = 0; t < SAC_SSMTL_TARGETS; t++) d.features[t] = FEATURES + t;
    return d;
}

Test(teachers_tasks, refuses_bad_designs) {
    for (int i = 0; i < 9; i++) {
        sac_ssmtl_design d = design_of(SAC_SSMTL_DEFAULT_TASKS);
        if (i == 0) d.tasks = 0;
        if (i == 1) d.tasks = SAC_SSMTL_BIT(SAC_SSMTL_JIGSAW) | SAC_SSMTL_BIT(SAC_SSMTL_PSEUDO);
        if (i == 2) d.tasks = SAC_SSMTL_BIT(SAC_SSMTL_TASKS);
        if (i == 3) d.dropout = 1;
        if (i == 4) d.dropout = NAN;
        if (i == 5) d.transformer = 9;
        if (i == 6) d.convolution = 3;
        if (i == 7) {
            d.tasks |= SAC_SSMTL_BIT(SAC_SSMTL_POSE);
            d.features[2] = 0;
        }
        if (i == 8) {
            d.tasks |= SAC_SSMTL_BIT(SAC_SSMTL_DISTILLATION);
            d.features[0] = SAC_SSMTL_MAX_FEATURES + 1;
        }
        sac_net *net = NULL;
        sac_error error = {0};
        sac_assert_error(sac_ssmtl_net(&net, &d, true, &error), SAC_ERROR_ARGUMENT, &error, NULL);
        cr_assert_null(net, "design %d", i);
    }
}

static const unsigned ALL = SAC_SSMTL_BIT(SAC_SSMTL_TASKS) - 1;

// What a network is asked for and gets, on one backend.
typedef struct result {
    sac_params *params;
    double outputs; // sum of |outputs|, so that a comparison is not of zeros
} result;

static void run_training(result *r, const sac_net *net, sac_backend backend) {
    sac_error error = {0};
    sac_rng rng;
    sac_train *plan = NULL;
    sac_plan_options options = {.batch = ROWS, .backend = backend, .seed = 5};
    sac_assert_ok(sac_params_create(&r->params, net, &error), &error);
    sac_rng_seed(&rng, 3, 1);
    sac_params_init(r->params, &rng);
    sac_assert_ok(sac_train_create(&plan, net, r->params, &options, &error), &error);
    for (int i = 0; i < sac_net_count(net); i++) {
        const sac_node *node = sac_net_node(net, i);
        if (node->kind != SAC_OP_INPUT) continue;
        float *input = sac_train_input(plan, node->name);
        int64_t count = ROWS;
        for (int k = 0; k < node->shape.ndims; k++) count *= node->shape.dims[k];
        for (int64_t k = 0; k < count; k++) input[k] = (float)sac_rng_uniform(&rng);
    }
    sac_assert_ok(sac_train_forward(plan, &error), &error);
    for (int i = 0; i < sac_net_count(net); i++) {
        if (!sac_net_is_output(net, i)) continue;
        const char *name = sac_net_node(net, i)->name;
        sac_shape shape = sac_train_output_shape(plan, name);
        int64_t count = 1;
        for (int k = 0; k < shape.ndims; k++) count *= shape.dims[k];
        const float *output = sac_train_output(plan, name);
        float *grad = sac_train_output_grad(plan, name);
        for (int64_t k = 0; k < count; k++) {
            r->outputs += fabs((double)output[k]);
            grad[k] = (float)sac_rng_normal(&rng) / (float)count;
        }
    }
    sac_params_zero_grad(r->params);
    sac_assert_ok(sac_train_backward(plan, &error), &error);
    sac_train_close(&plan);
}

// Each design: oneDNN's gradients are those of the reference, and the scoring network's parameters
// are among those of the training network.
Test(teachers_tasks, designs_train_like_the_reference, .timeout = 280) {
    for (int i = 0; i < 5; i++) {
        // The first has every branch; the others show their operators in one.
        sac_ssmtl_design d = design_of(i == 0 ? ALL : SAC_SSMTL_BIT(SAC_SSMTL_ARROW));
        // Dropout and the maximum of nearly equal values would compare noise.
        d.dropout = 0;
        if (i == 1) d.convolution = SAC_SSMTL_FACTORISED;
        if (i == 2) d.convolution = SAC_SSMTL_DEPTHWISE;
        if (i == 3) d.transformer = 1;
        if (i == 4) d.masked = true;
        sac_net *net = NULL, *scoring = NULL;
        sac_error error = {0};
        sac_assert_ok(sac_ssmtl_net(&net, &d, true, &error), &error);
        sac_assert_ok(sac_ssmtl_net(&scoring, &d, false, &error), &error);
        result r[2] = {{0}, {0}};
        run_training(&r[0], net, SAC_BACKEND_REF);
        run_training(&r[1], net, SAC_BACKEND_ONEDNN);
        cr_assert_gt(r[0].outputs, 0.1);
        cr_assert_float_eq(r[1].outputs / r[0].outputs, 1, 1e-3, "design %d: %g %g", i,
                           r[1].outputs, r[0].outputs);
        double difference = 0, whole = 0;
        for (int64_t k = 0; k < sac_params_count(r[0].params); k++) {
            const sac_param *a = sac_params_at(r[0].params, k), *b = sac_params_at(r[1].params, k);
            for (int64_t e = 0; a->trainable && e < a->count; e++) {
                cr_assert(isfinite(b->grad[e]), "design %d: %s", i, a->name);
                difference += pow((double)a->grad[e] - (double)b->grad[e], 2);
                whole += pow((double)a->grad[e], 2);
            }
        }
        // A pool that picks another of two nearly equal values moves a gradient; most do not.
        cr_assert_lt(difference, 1e-3 * whole, "design %d: %g of %g", i, difference, whole);
        sac_params *params = NULL;
        sac_assert_ok(sac_params_create(&params, scoring, &error), &error);
        for (int64_t k = 0; k < sac_params_count(params); k++) {
            const sac_param *p = sac_params_at(params, k);
            const sac_param *q = sac_params_find(r[0].params, p->name);
            cr_assert_not_null(q, "design %d: %s", i, p->name);
            cr_assert_eq(q->count, p->count, "design %d: %s", i, p->name);
        }
        cr_assert_lt(sac_net_find(scoring, "pseudo"), 0);
        sac_params_close(&params);
        for (int k = 0; k < 2; k++) sac_params_close(&r[k].params);
        sac_net_close(&net);
        sac_net_close(&scoring);
    }
}

// ---- loss ---------------------------------------------------------------------------------------

enum { OUTPUTS = 10, MOST = N * 128 };
static const struct {
    const char *name;
    int64_t length;
    int task;
} PORTS[OUTPUTS] = {
    {"middle.residual", S *S / 2, SAC_SSMTL_MIDDLE},
    {"arrow.logits", 2, SAC_SSMTL_ARROW},
    {"irregular.logits", 2, SAC_SSMTL_IRREGULARITY},
    {"distillation.features", FEATURES, SAC_SSMTL_DISTILLATION},
    {"segmentation.features", FEATURES + 1, SAC_SSMTL_SEGMENTATION},
    {"pose.features", FEATURES + 2, SAC_SSMTL_POSE},
    {"jigsaw.logits", SAC_SSMTL_PERMUTATIONS, SAC_SSMTL_JIGSAW},
    {"inpainting.crop", 64, SAC_SSMTL_INPAINTING},
    {"pseudo.crop", 64, SAC_SSMTL_PSEUDO},
    {"arrow.masked.error", 7, -1},
};

// A plan that is only arrays. Crops are 8x8, which no network has, so that a difference is cheap.
typedef struct arrays {
    float output[OUTPUTS][MOST], grad[OUTPUTS][MOST];
} arrays;

static int port_of(const char *name) {
    for (int i = 0; i < OUTPUTS; i++) {
        if (strcmp(PORTS[i].name, name) == 0) return i;
    }
    return -1;
}
static const float *get_output(const void *plan, const char *name) {
    int i = port_of(name);
    return i < 0 ? NULL : ((const arrays *)plan)->output[i];
}
static float *get_grad(void *plan, const char *name) {
    return ((arrays *)plan)->grad[port_of(name)];
}
static sac_shape get_shape(const void *plan, const char *name) {
    (void)plan;
    return (sac_shape){.ndims = 2, .dims = {N, PORTS[port_of(name)].length}};
}

Test(teachers_tasks, gradients_of_the_joint_loss) {
    sac_ssmtl_design d = design_of(ALL);
    d.crop_size = 8;
    d.masked = true;
    sac_rng rng;
    sac_rng_seed(&rng, 8, 0);
    sac_ssmtl_batch *b = NULL;
    sac_assert_ok(sac_ssmtl_batch_create(&b, &d, N, true), NULL);
    float *targets[] = {b->middle, b->crop, b->pseudo_crop};
    for (int k = 0; k < 3; k++) {
        for (int i = 0; i < N * 64; i++) targets[k][i] = (float)sac_rng_uniform(&rng);
    }
    for (int i = 0; i < N; i++) {
        b->samples[i] = sac_ssmtl_sample_plain(i);
        b->samples[i].intermittent = i == 1; // not imitated
        b->arrow_class[i] = i % 2;
        b->irregular_class[i] = i == 1;
        b->jigsaw_class[i] = 17 * i;
    }
    enum { CLASSES = 2, STRIDE = 3 * FEATURES + 3 };
    float values[N * STRIDE];
    for (int i = 0; i < N * STRIDE; i++) values[i] = (float)sac_rng_uniform(&rng);
    const sac_ssmtl_targets imitated = {.values = values,
                                        .stride = STRIDE,
                                        .at = {0, FEATURES, 2 * FEATURES + 1},
                                        .length = {FEATURES - CLASSES, FEATURES + 1, FEATURES + 2},
                                        .classes = CLASSES,
                                        .scale = {3, 0.5, 1}};
    cr_assert_float_eq(sac_ssmtl_target_value(&imitated, 0, values, 1), 3 * (double)values[1],
                       1e-6);
    cr_assert_float_eq(sac_ssmtl_target_value(&imitated, 0, values, FEATURES - 1),
                       (double)values[FEATURES - 1], 1e-6);
    arrays *plan = sac_calloc(1, sizeof *plan), *other = sac_calloc(1, sizeof *other);
    for (int p = 0; p < OUTPUTS; p++) {
        for (int i = 0; i < MOST; i++) plan->output[p][i] = (float)sac_rng_normal(&rng);
    }
    const sac_ssmtl_ports ports = {plan, get_output, get_grad, get_shape};
    const sac_ssmtl_ports quiet = {other, get_output, NULL, get_shape};
    sac_ssmtl_losses losses, up, down;
    sac_ssmtl_loss(&losses, &d, b, N, &imitated, &ports);
    double total = 0.1 * losses.masked;
    for (int k = 0; k < SAC_SSMTL_TASKS; k++) {
        cr_assert_gt(losses.task[k], 0, "%s", sac_ssmtl_task_name(k));
        total += sac_ssmtl_loss_weight(k) * losses.task[k];
    }
    cr_assert_float_eq(losses.total, total, 1e-9);
    cr_assert_eq(sac_ssmtl_loss_weight(SAC_SSMTL_PSEUDO), 0);
    for (int p = 0; p < OUTPUTS; p++) {
        int64_t length = PORTS[p].length;
        int different = 0;
        for (int i = 0; i<N * length; i += length> 20 ? 7 : 1) {
            const float h = 1e-3f;
            memcpy(other, plan, sizeof *other);
            other->output[p][i] = plan->output[p][i] + h;
            double width = (double)other->output[p][i];
            sac_ssmtl_loss(&up, &d, b, N, &imitated, &quiet);
            other->output[p][i] = plan->output[p][i] - h;
            width -= (double)other->output[p][i];
            sac_ssmtl_loss(&down, &d, b, N, &imitated, &quiet);
            // Pseudo is no part of the total, but its gradient is wanted.
            double slope = PORTS[p].task == SAC_SSMTL_PSEUDO
                               ? up.task[SAC_SSMTL_PSEUDO] - down.task[SAC_SSMTL_PSEUDO]
                               : up.total - down.total;
            slope /= width;
            cr_assert_float_eq((double)plan->grad[p][i], slope, 1e-4 + 1e-2 * fabs(slope),
                               "%s at %d: %g, difference %g", PORTS[p].name, i,
                               (double)plan->grad[p][i], slope);
            different += slope != 0;
        }
        cr_assert_gt(different, 0, "%s", PORTS[p].name);
    }
    // The row that is intermittent is not imitated.
    for (int k = 0; k < FEATURES; k++) cr_assert_eq(plan->grad[3][FEATURES + k], 0);
    double numbers[SAC_SSMTL_LOSS_VALUES];
    sac_ssmtl_losses_put(numbers, &losses);
    up = sac_ssmtl_losses_get(numbers);
    cr_assert_eq(memcmp(&up, &losses, sizeof up), 0);
    sac_ssmtl_losses_add(&up, &losses, 2);
    cr_assert_float_eq(up.total, 3 * losses.total, 1e-9);
    cr_assert_float_eq(up.accuracy[SAC_SSMTL_ARROW], 3 * losses.accuracy[SAC_SSMTL_ARROW], 1e-9);
    sac_free(plan);
    sac_free(other);
    sac_ssmtl_batch_close(&b);
}

// ---- image networks
// ----------------------------------------------------------------------------------------

// The tiny classifier's values before the softmax, by hand.
static void expected_values(float dst[TINY_CLASSES], const float w[TINY_WEIGHTS],
                            const sac_crop_object *o) {
    float gray[TINY_SIDE * TINY_SIDE];
    double mean[TINY_FILTERS] = {0};
    sac_crop_gray(gray, TINY_SIDE, TINY_SIDE, o->pixels + o->t * o->width * o->height, o->width,
                  o->height, (double)o->box.x1, (double)o->box.y1, (double)o->box.x2,
                  (double)o->box.y2);
    for (int f = 0; f < TINY_FILTERS; f++) {
        for (int y = 0; y < TINY_SIDE; y++) {
            for (int x = 0; x < TINY_SIDE; x++) {
                double sum = (double)w[f];
                for (int k = 0; k < 27; k++) {
                    int v = y + k % 9 / 3 - 1, u = x + k % 3 - 1;
                    if (v < 0 || v >= TINY_SIDE || u < 0 || u >= TINY_SIDE) continue;
                    sum += (double)w[TINY_FILTERS + f * 27 + k] * (double)gray[v * TINY_SIDE + u];
                }
                mean[f] += (sum > 0 ? sum : 0.1 * sum) / (TINY_SIDE * TINY_SIDE);
            }
        }
    }
    const float *dense = w + TINY_FILTERS * 28;
    for (int c = 0; c < TINY_CLASSES; c++) {
        double sum = (double)dense[c];
        for (int f = 0; f < TINY_FILTERS; f++)
            sum += (double)dense[TINY_CLASSES + c * TINY_FILTERS + f] * mean[f];
        dst[c] = (float)fmax(sum, 0);
    }
}

static bool stop_now(void) {
    return true;
}

Test(teachers_tasks, image_network_looks_at_objects) {
    enum { W = 40, H = 30, T = 3, COUNT = 19 };
    static uint8_t pixels[T * W * H];
    char text[1200];
    float weights[TINY_WEIGHTS];
    sac_rng rng;
    sac_rng_seed(&rng, 9, 0);
    for (int i = 0; i < T * W * H; i++) pixels[i] = (uint8_t)sac_rng_below(&rng, 256);
    make_image_network(text, sizeof text, weights, 4);
    sac_crop_object objects[COUNT];
    for (int i = 0; i < COUNT; i++) {
        objects[i] = (sac_crop_object){.pixels = pixels,
                                       .width = W,
                                       .height = H,
                                       .frames = T,
                                       .t = i % T,
                                       .box = {(float)i, 2, (float)i + 11, 20, 1, -1}};
    }
    sac_error error = {0};
    sac_image_network *n = NULL;
    sac_assert_ok(sac_image_network_read(&n, text, SAC_IMAGE_AUTO, &error), &error);
    cr_assert_eq(n->length, TINY_CLASSES);
    cr_assert_eq(n->preprocess, SAC_IMAGE_UNIT);
    // Through a file and back, on both backends.
    sac_safetensors *st = NULL;
    sac_image_network *again = NULL;
    sac_assert_ok(sac_safetensors_create(&st), &error);
    sac_assert_ok(sac_image_network_store(n, st, "distillation", &error), &error);
    sac_assert_ok(sac_image_network_load(&again, st, "distillation", "memory", &error), &error);
    cr_assert_eq(again->digest, n->digest);
    float expected[COUNT * TINY_CLASSES];
    for (int i = 0; i < COUNT; i++)
        expected_values(expected + i * TINY_CLASSES, weights, &objects[i]);
    for (int round = 0; round < 2; round++) {
        sac_image_runner *runner = NULL;
        float values[COUNT * 7], packed[COUNT * TINY_CLASSES];
        for (int i = 0; i < COUNT * 7; i++) values[i] = -7;
        sac_assert_ok(sac_image_runner_create(&runner, round == 0 ? n : again,
                                              round == 0 ? SAC_BACKEND_ONEDNN : SAC_BACKEND_REF,
                                              &error),
                      &error);
        sac_assert_ok(sac_image_runner_run(runner, values, 7, objects, COUNT, NULL, &error),
                      &error);
        for (int i = 0; i < COUNT; i++) {
            memcpy(packed + i * TINY_CLASSES, values + i * 7, TINY_CLASSES * sizeof *values);
            cr_assert_eq(values[i * 7 + 5], -7, "beyond the vector");
        }
        int64_t dims[2] = {COUNT, TINY_CLASSES};
        sac_assert_close(packed, expected, 2, dims, 1e-4, "values of the image network");
        error = (sac_error){0};
        sac_assert_error(sac_image_runner_run(runner, values, 7, objects, COUNT, stop_now, &error),
                         SAC_ERROR_INTERRUPTED, &error, NULL);
        sac_image_runner_close(&runner);
    }
    sac_image_network_close(&again);
    // Another layer: the four means.
    char layer[1300];
    (void)snprintf(layer, sizeof layer, "%s:1", text);
    error = (sac_error){0};
    sac_assert_ok(sac_image_network_read(&again, layer, SAC_IMAGE_RAW, &error), &error);
    cr_assert_eq(again->length, TINY_FILTERS);
    cr_assert_neq(again->digest, n->digest);
    sac_image_network_close(&again);
    // The feature map behind the convolution is larger than 8x8: averaged down.
    (void)snprintf(layer, sizeof layer, "%s:0", text);
    sac_assert_ok(sac_image_network_read(&again, layer, SAC_IMAGE_RAW, &error), &error);
    cr_assert_eq(again->length, TINY_FILTERS * 8 * 8);
    sac_image_network_close(&again);
    static const char *const bad[] = {":9", ":-1", ":x", ":"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        (void)snprintf(layer, sizeof layer, "%s%s", text, bad[i]);
        error = (sac_error){0};
        sac_assert_error(sac_image_network_read(&again, layer, SAC_IMAGE_AUTO, &error),
                         SAC_ERROR_ARGUMENT, &error, "layer", NULL);
        cr_assert_null(again);
    }
    error = (sac_error){0};
    sac_assert_error(sac_image_network_read(&again, "darknet:x", SAC_IMAGE_AUTO, &error),
                     SAC_ERROR_ARGUMENT, &error, "WEIGHTS", NULL);
    error = (sac_error){0};
    sac_assert_error(sac_image_network_read(&again, "/nowhere/x.onnx", SAC_IMAGE_AUTO, &error),
                     SAC_ERROR_IO, &error, "/nowhere/x.onnx", NULL);
    // Damaged containers.
    static const struct {
        const char *key, *value, *word;
    } damage[] = {{"distillation.preprocess", "auto", "auto"},
                  {"distillation.preprocess", "", "unknown"},
                  {"distillation.network", "{\"nodes\": []}", ""},
                  {"distillation.network", "{", ""}};
    for (size_t i = 0; i < sizeof damage / sizeof damage[0]; i++) {
        error = (sac_error){0};
        sac_safetensors *broken = NULL;
        sac_assert_ok(sac_safetensors_create(&broken), &error);
        sac_assert_ok(sac_image_network_store(n, broken, "distillation", &error), &error);
        sac_assert_ok(sac_safetensors_set_metadata(broken, damage[i].key, damage[i].value, &error),
                      &error);
        sac_assert_error(sac_image_network_load(&again, broken, "distillation", "memory", &error),
                         SAC_ERROR_FORMAT, &error, "memory", damage[i].word, NULL);
        cr_assert_null(again);
        sac_safetensors_close(&broken);
    }
    sac_safetensors_close(&st);
    sac_image_network_close(&n);
}
