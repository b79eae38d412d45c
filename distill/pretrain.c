// Auto-encoder pre-training; see distill/pretrain.h. Its loop is simpler than the trainer's: one
// loss, no teachers, no best epoch.
#include "distill/pretrain.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/check.h"
#include "core/file.h"
#include "core/json.h"
#include "core/memory.h"
#include "core/safetensors.h"
#include "core/time.h"
#include "distill/checkpoint.h"
#include "distill/initial.h"
#include "nn/infer.h"
#include "nn/optim.h"

#define PATCH         16
#define FRAMES_JUDGED 256 // held-back frames, at most
#define JUDGE_BATCH   16
#define STREAM_MASK   0x6d61736b
#define SEED_SHIFT    0x70726574u // another order than the training's

// ---- network ------------------------------------------------------------------------------------

static void ancestors_mark(uint8_t *marks, const sac_net *net, int i, uint8_t bit) {
    if (i < 0 || (marks[i] & bit) != 0) return;
    const sac_node *node = sac_net_node(net, i);
    marks[i] |= bit;
    for (int s = 0; s < node->src_count; s++) ancestors_mark(marks, net, node->src[s], bit);
}

// conv 3x3 and ReLU behind `src`, then twice as large when `grow`.
static int decoder_stage(sac_net *net, const char *conv, const char *relu, const char *up, int src,
                         int64_t channels, bool grow) {
    src = sac_net_conv2d(net, conv, src, channels, 3, 1, 1, 1, true);
    src = sac_net_unary(net, SAC_OP_RELU, relu, src);
    return grow ? sac_net_upsample(net, up, src, 1, 2, 2) : src;
}

sac_status sac_pretrain_net(sac_net **out, const sac_net *student, sac_error *error) {
    sac_status status = SAC_OK;
    const int count = sac_net_count(student);
    sac_net *net = NULL;
    uint8_t *marks = sac_calloc(count, 1);
    int *map = sac_calloc(count, sizeof *map);
    sac_shape *shapes = sac_calloc(count, sizeof *shapes);
    int trunk = -1, input = -1;
    const uint8_t heads = (uint8_t)sac_heads_of(student);
    *out = NULL;
    SAC_TRY_ALLOC(marks);
    SAC_TRY_ALLOC(map);
    SAC_TRY_ALLOC(shapes);
    SAC_TRY(sac_net_shapes(student, 1, shapes, error));
    for (int k = 0; k < SAC_HEADS; k++) {
        if ((heads >> k & 1) != 0)
            ancestors_mark(marks, student, sac_net_find(student, sac_heads[k].output),
                           (uint8_t)(1u << k));
    }
    for (int i = 0; i < count; i++) {
        // Of a single head what lies before its one channel.
        if (marks[i] == heads && shapes[i].ndims == 4 && shapes[i].dims[1] > 1) trunk = i;
        if (sac_net_node(student, i)->kind == SAC_OP_INPUT) input = i;
    }
    if (trunk <= input || input < 0) {
        status = sac_error_set(error, SAC_ERROR_UNSUPPORTED, -1,
                               "pre-training: the outputs of this network have no spatial "
                               "trunk in common");
        goto fail;
    }
    SAC_TRY(sac_net_create(&net));
    for (int i = 0; i <= trunk; i++) {
        const sac_node *node = sac_net_node(student, i);
        int src[SAC_MAX_SRC];
        map[i] = -1;
        if (marks[i] != heads) continue;
        if (node->kind == SAC_OP_INPUT) {
            map[i] = sac_net_input(net, node->name, node->shape.ndims, node->shape.dims);
            continue;
        }
        for (int s = 0; s < node->src_count; s++) src[s] = map[node->src[s]];
        map[i] = sac_net_add_node(net, node->kind, node->name, &node->attrs, src, node->src_count);
        if (strcmp(node->share, node->name) != 0) sac_net_share(net, map[i], node->share);
    }
    const int64_t h = shapes[trunk].dims[2], w = shapes[trunk].dims[3];
    const int64_t H = shapes[input].dims[2], W = shapes[input].dims[3];
    int x = map[trunk];
    x = decoder_stage(net, "pretrain.conv1", "pretrain.relu1", "pretrain.up1", x, 32,
                      4 * h <= H && 4 * w <= W);
    x = decoder_stage(net, "pretrain.conv2", "pretrain.relu2", "pretrain.up2", x, 16,
                      2 * h <= H && 2 * w <= W);
    x = sac_net_conv2d(net, "pretrain.frame", x, shapes[input].dims[1] / 3, 3, 1, 1, 1, true);
    sac_net_output(net, x);
    SAC_TRY(sac_net_check(net, error));
    *out = net;
    net = NULL;
fail:
    sac_net_close(&net);
    sac_free(marks);
    sac_free(map);
    sac_free(shapes);
    return status;
}

// ---- samples ------------------------------------------------------------------------------------

typedef struct pretrain {
    const sac_pretrain_options *options;
    const sac_samples *samples;
    const sac_trainer_hooks *hooks;
    const char *folder;
    sac_net *net;
    sac_params *params;
    sac_train *train;
    sac_infer *infer;
    sac_adam *adam;
    sac_sample_ref *order, *held;
    int64_t held_count;
    sac_augment *augments;
    float *work;
    float *targets;  // [batch][c][h][w], NAN where a cell does not count
    int64_t c, h, w; // of the predicted frame
    json_t *stamp, *rows;
    int64_t epoch, step;
    double sum, seconds;
} pretrain;

// One sample's target, and its patches masked in the input f32 [H][W][3 c].
static void sample_prepare(const pretrain *p, float *input, float *target, uint64_t place) {
    const int W = p->samples->preprocess.width, H = p->samples->preprocess.height;
    const bool masked = p->options->kind == SAC_PRETRAIN_MASKED;
    const float gray = (float)((127 - p->samples->preprocess.mean) / p->samples->preprocess.scale);
    const int64_t area = p->h * p->w;
    for (int64_t n = 0; n < p->c * area; n++) {
        const int64_t c = n / area, i = n % area / p->w, j = n % p->w;
        const int64_t y1 = i * H / p->h, y2 = ((i + 1) * H + p->h - 1) / p->h;
        const int64_t x1 = j * W / p->w, x2 = ((j + 1) * W + p->w - 1) / p->w;
        float sum = 0;
        for (int64_t y = y1; y < y2; y++) {
            for (int64_t x = x1; x < x2; x++) sum += input[(y * W + x) * 3 * p->c + p->c + c];
        }
        target[n] = sum / (float)((y2 - y1) * (x2 - x1));
    }
    if (!masked) return;
    sac_rng rng;
    sac_rng_seed(&rng, p->options->trainer.seed + place, STREAM_MASK);
    for (int py = 0; py < H; py += PATCH) {
        for (int px = 0; px < W; px += PATCH) {
            const bool hidden = sac_rng_below(&rng, 2) == 1;
            const int y2 = py + PATCH < H ? py + PATCH : H, x2 = px + PATCH < W ? px + PATCH : W;
            for (int y = py; y < y2 && hidden; y++) {
                for (int64_t k = 3 * p->c * (y * W + px); k < 3 * p->c * (y * W + x2); k++)
                    input[k] = gray;
            }
            if (hidden) continue;
            for (int64_t i = 0; i < p->h; i++) { // cells whose centre is seen do not count
                const int64_t cy = (2 * i + 1) * H / (2 * p->h);
                if (cy < py || cy >= y2) continue;
                for (int64_t j = 0; j < p->w; j++) {
                    const int64_t cx = (2 * j + 1) * W / (2 * p->w);
                    for (int64_t c = 0; c < p->c && cx >= px && cx < x2; c++)
                        target[c * area + i * p->w + j] = NAN;
                }
            }
        }
    }
}

static void batch_prepare(pretrain *p, float *input, const sac_sample_ref *refs, int64_t n,
                          bool augmented, uint64_t place) {
    const int64_t size = 3 * sac_preprocess_bytes(&p->samples->preprocess);
    sac_batch_input(input, p->samples, refs, n, augmented ? p->augments : NULL,
                    augmented ? p->work : NULL);
#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < n; i++) {
        sample_prepare(p, input + i * size, p->targets + i * p->c * p->h * p->w,
                       place + (uint64_t)i);
    }
}

// Mean squared error over the cells that count; their gradient where `grad` is not NULL.
static double loss_of(const pretrain *p, const float *output, float *grad, int64_t n) {
    const int64_t cells = n * p->c * p->h * p->w;
    double sum = 0;
    int64_t counted = 0;
    for (int64_t i = 0; i < cells; i++) counted += !isnan(p->targets[i]);
    for (int64_t i = 0; i < cells; i++) {
        if (isnan(p->targets[i])) continue;
        const double e = (double)output[i] - (double)p->targets[i];
        sum += e * e;
        if (grad != NULL) grad[i] += (float)(2 * e / (double)counted);
    }
    return counted > 0 ? sum / (double)counted : 0;
}

// ---- checkpoint ---------------------------------------------------------------------------------

static sac_status checkpoint_write(const pretrain *p, sac_error *error) {
    sac_status status = SAC_OK;
    sac_safetensors *st = NULL;
    char *path = sac_path_join(p->folder, "checkpoint.safetensors");
    json_t *state =
        json_pack("{s:I, s:I, s:f, s:f, s:O}", "epoch", (json_int_t)p->epoch, "step",
                  (json_int_t)p->step, "loss_sum", p->sum, "seconds", p->seconds, "rows", p->rows);
    SAC_TRY_ALLOC(path);
    SAC_TRY(sac_safetensors_create(&st));
    SAC_TRY(sac_safetensors_set_metadata(st, "format", "saccade-pretraining", error));
    SAC_TRY(sac_checkpoint_put(st, "state", state, error));
    SAC_TRY(sac_checkpoint_put(st, "options", p->stamp, error));
    SAC_TRY(sac_params_store(p->params, st, "model.", error));
    SAC_TRY(sac_adam_store(p->adam, p->params, st, "adam.", error));
    SAC_TRY(sac_checkpoint_put_rng(st, p->train, error));
    SAC_TRY(sac_safetensors_write(st, path, error));
fail:
    sac_safetensors_close(&st);
    json_decref(state);
    sac_free(path);
    return status;
}

static sac_status state_read(pretrain *p, const json_t *state, const char *path, sac_error *error) {
    sac_status status = SAC_OK;
    json_t *rows = NULL;
    const sac_trainer_options *o = &p->options->trainer;
    SAC_TRY(sac_json_get_int(state, "epoch", 0, p->options->epochs, &p->epoch, path, error));
    const int64_t most = p->epoch < p->options->epochs ? o->samples_per_epoch / o->batch : 0;
    SAC_TRY(sac_json_get_int(state, "step", 0, most, &p->step, path, error));
    SAC_TRY(sac_json_get_real(state, "loss_sum", 0, 1e300, &p->sum, path, error));
    SAC_TRY(sac_json_get_real(state, "seconds", 0, 1e12, &p->seconds, path, error));
    SAC_TRY(sac_json_get_array(state, "rows", &rows, path, error));
    if ((int64_t)json_array_size(rows) != p->epoch) {
        return sac_error_set(error, SAC_ERROR_FORMAT, -1,
                             "%s: %zu metrics rows for %" PRId64 " finished epochs", path,
                             json_array_size(rows), p->epoch);
    }
    for (size_t i = 0; i < json_array_size(rows); i++) {
        if (json_array_size(json_array_get(rows, i)) != 5) {
            return sac_error_set(error, SAC_ERROR_FORMAT, -1, "%s: metrics row %zu needs 5 numbers",
                                 path, i + 1);
        }
    }
    json_decref(p->rows);
    p->rows = json_incref(rows);
fail:
    return status;
}

static sac_status checkpoint_read(pretrain *p, const char *path, sac_error *error) {
    sac_status status = SAC_OK;
    sac_safetensors *st = NULL;
    json_t *state = NULL, *was = NULL;
    SAC_TRY(sac_safetensors_read(&st, path, error));
    const char *text = sac_safetensors_metadata(st, "state"),
               *options = sac_safetensors_metadata(st, "options");
    if (text == NULL || options == NULL) {
        status = sac_error_set(error, SAC_ERROR_FORMAT, -1, "%s: not a checkpoint of pre-training",
                               path);
        goto fail;
    }
    SAC_TRY(sac_json_parse(&was, options, strlen(options), path, error));
    if (!json_equal(was, p->stamp)) {
        status = sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                               "%s was written with other settings, data or initial weights: "
                               "resume with the same or start a new run folder",
                               path);
        goto fail;
    }
    SAC_TRY(sac_json_parse(&state, text, strlen(text), path, error));
    SAC_TRY(state_read(p, state, path, error));
    SAC_TRY(sac_params_load(p->params, st, "model.", path, error));
    SAC_TRY(sac_adam_load(p->adam, p->params, st, "adam.", path, error));
    SAC_TRY(sac_checkpoint_get_rng(p->train, st, path, error));
fail:
    json_decref(was);
    json_decref(state);
    sac_safetensors_close(&st);
    return status;
}

static sac_status metrics_write(const pretrain *p, sac_error *error) {
    sac_status status = SAC_OK;
    sac_file_writer *writer = NULL;
    char *path = sac_path_join(p->folder, "metrics.csv");
    SAC_TRY_ALLOC(path);
    SAC_TRY(sac_file_writer_open(&writer, path, error));
    SAC_TRY(
        sac_file_printf(writer, error, "epoch,train_loss,validation_loss,learning_rate,seconds\n"));
    for (size_t r = 0; r < json_array_size(p->rows); r++) {
        for (size_t c = 0; c < 5; c++) {
            SAC_TRY(
                sac_file_printf(writer, error, "%.9g%s",
                                json_number_value(json_array_get(json_array_get(p->rows, r), c)),
                                c < 4 ? "," : "\n"));
        }
    }
    SAC_TRY(sac_file_writer_commit(&writer, error));
fail:
    sac_file_writer_close(&writer);
    sac_free(path);
    return status;
}

// ---- loop ---------------------------------------------------------------------------------------

static void pretrain_close(pretrain *p) {
    sac_train_close(&p->train);
    sac_infer_close(&p->infer);
    sac_adam_close(&p->adam);
    sac_params_close(&p->params);
    sac_net_close(&p->net);
    sac_free(p->order);
    sac_free(p->held);
    sac_free(p->augments);
    sac_free(p->work);
    sac_free(p->targets);
    json_decref(p->stamp);
    json_decref(p->rows);
}

// At most FRAMES_JUDGED held-back frames, spread evenly.
static sac_status held_make(pretrain *p, sac_error *error) {
    int64_t total = 0, seen = 0;
    const sac_samples *s = p->samples;
    for (int64_t c = 0; c < s->count; c++)
        total += s->clips[c].frames - s->clips[c].validation_from;
    if (total == 0)
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "no frames are held back for validation");
    const int64_t every = (total + FRAMES_JUDGED - 1) / FRAMES_JUDGED;
    p->held = sac_calloc(total / every + 1, sizeof *p->held);
    if (p->held == NULL) return SAC_ERROR_MEMORY;
    for (int64_t c = 0; c < s->count; c++) {
        for (int64_t f = s->clips[c].validation_from; f < s->clips[c].frames; f++, seen++) {
            if (seen % every == 0)
                p->held[p->held_count++] = (sac_sample_ref){(int32_t)c, (int32_t)f};
        }
    }
    return SAC_OK;
}

// Values of the parameters that both have.
static void params_share(sac_params *to, const sac_params *from) {
    for (int64_t i = 0; i < sac_params_count(to); i++) {
        sac_param *a = sac_params_at(to, i);
        const sac_param *b = sac_params_find(from, a->name);
        if (b != NULL && b->count == a->count)
            memcpy(a->data, b->data, (size_t)a->count * sizeof(float));
    }
}

static sac_status pretrain_open(pretrain *p, const sac_model *model, bool resume,
                                sac_error *error) {
    sac_status status = SAC_OK;
    const sac_trainer_options *o = &p->options->trainer;
    const sac_plan_options plan = {
        .batch = o->batch, .backend = o->backend, .seed = o->seed, .channels_last = true};
    const sac_plan_options judge = {
        .batch = JUDGE_BATCH, .backend = o->backend, .channels_last = true};
    sac_adam_options adam = sac_adam_default_options();
    sac_rng rng;
    char digest[17], initial[17];
    char *path = sac_path_join(p->folder, "checkpoint.safetensors");
    SAC_TRY_ALLOC(path);
    adam.learning_rate = o->learning_rate;
    adam.weight_decay = o->weight_decay;
    adam.decoupled = true;
    adam.clip_norm = o->clip_norm;
    SAC_TRY(sac_folder_create(p->folder, error));
    SAC_TRY(sac_pretrain_net(&p->net, model->net, error));
    SAC_TRY(sac_params_create(&p->params, p->net, error));
    sac_rng_seed(&rng, o->seed, SEED_SHIFT);
    sac_params_init(p->params, &rng);
    params_share(p->params, model->params);
    SAC_TRY(sac_adam_create(&p->adam, p->params, &adam));
    SAC_TRY(sac_train_create(&p->train, p->net, p->params, &plan, error));
    SAC_TRY(sac_infer_create(&p->infer, p->net, p->params, &judge, error));
    const sac_shape shape = sac_train_output_shape(p->train, "pretrain.frame");
    p->c = shape.dims[1];
    p->h = shape.dims[2];
    p->w = shape.dims[3];
    const int64_t most = o->batch > JUDGE_BATCH ? o->batch : JUDGE_BATCH;
    p->targets = sac_calloc(most * p->c * p->h * p->w, sizeof *p->targets);
    p->order = sac_calloc(o->samples_per_epoch, sizeof *p->order);
    p->augments = sac_calloc(o->batch, sizeof *p->augments);
    p->work = sac_calloc(sac_batch_work_bytes(p->samples, o->batch), 1);
    SAC_TRY_ALLOC(p->targets);
    SAC_TRY_ALLOC(p->order);
    SAC_TRY_ALLOC(p->augments);
    SAC_TRY_ALLOC(p->work);
    SAC_TRY(held_make(p, error));
    (void)snprintf(digest, sizeof digest, "%016" PRIx64, sac_samples_digest(p->samples));
    (void)snprintf(initial, sizeof initial, "%016" PRIx64, sac_initial_digest(p->params));
    p->rows = json_array();
    p->stamp = json_pack("{s:i, s:I, s:s, s:s, s:s, s:o}", "kind", (int)p->options->kind, "epochs",
                         (json_int_t)p->options->epochs, "arch", model->arch, "data", digest,
                         "weights", initial, "training", sac_trainer_options_to_json(o));
    SAC_TRY_ALLOC(p->rows);
    SAC_TRY_ALLOC(p->stamp);
    if (resume && sac_is_file(path)) {
        SAC_TRY(checkpoint_read(p, path, error));
    } else if (sac_is_file(path)) {
        status = sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                               "%s exists: go on with --resume, or choose another folder", path);
    }
fail:
    sac_free(path);
    return status;
}

static sac_status step_run(pretrain *p, double rate, double *loss, sac_error *error) {
    sac_status status = SAC_OK;
    const sac_trainer_options *o = &p->options->trainer;
    const int64_t at = p->step * o->batch;
    for (int64_t i = 0; i < o->batch; i++) {
        p->augments[i] = sac_augment_draw(&o->augment, o->seed + SEED_SHIFT, p->epoch, at + i);
    }
    batch_prepare(p, sac_train_input(p->train, "frames"), p->order + at, o->batch, true,
                  (uint64_t)(p->epoch * o->samples_per_epoch + at));
    SAC_TRY(sac_train_forward(p->train, error));
    *loss = loss_of(p, sac_train_output(p->train, "pretrain.frame"),
                    sac_train_output_grad(p->train, "pretrain.frame"), o->batch);
    if (!isfinite(*loss)) {
        return sac_error_set(error, SAC_ERROR_NUMERIC, p->step,
                             "pre-training, epoch %" PRId64 " step %" PRId64
                             ": the loss is not finite",
                             p->epoch + 1, p->step + 1);
    }
    sac_params_zero_grad(p->params);
    SAC_TRY(sac_train_backward(p->train, error));
    SAC_TRY(sac_adam_step(p->adam, p->params, rate, NULL, error));
fail:
    return status;
}

// Loss on held-back frames, always with the same masks.
static sac_status judge(pretrain *p, double *loss, sac_error *error) {
    sac_status status = SAC_OK;
    double sum = 0;
    SAC_TRY(sac_infer_update(p->infer, p->params, error));
    for (int64_t at = 0; at < p->held_count; at += JUDGE_BATCH) {
        const int64_t n = p->held_count - at < JUDGE_BATCH ? p->held_count - at : JUDGE_BATCH;
        batch_prepare(p, sac_infer_input(p->infer, "frames"), p->held + at, n, false,
                      ((uint64_t)1 << 40) + (uint64_t)at);
        SAC_TRY(sac_infer_run(p->infer, error));
        sum += (double)n * loss_of(p, sac_infer_output(p->infer, "pretrain.frame"), NULL, n);
    }
    *loss = sum / (double)p->held_count;
fail:
    return status;
}

static bool time_is_up(const pretrain *p) {
    const double most = p->options->trainer.max_minutes;
    return most > 0 && p->seconds > 60 * most && (p->epoch > 0 || p->step > 0);
}

// The steps of an epoch that are left, or as many as the time limit lets pass.
static sac_status epoch_run(pretrain *p, const sac_schedule *schedule, sac_error *error) {
    sac_status status = SAC_OK;
    sac_trainer_options order = p->options->trainer;
    const int64_t steps = order.samples_per_epoch / order.batch;
    order.seed += SEED_SHIFT;
    SAC_TRY(sac_trainer_order(p->order, p->samples, &order, p->epoch, error));
    double last = sac_time_s(), saved = last;
    while (p->step < steps && !time_is_up(p)) {
        double loss = 0;
        const int64_t at = p->epoch * steps + p->step;
        SAC_TRY(step_run(p, sac_schedule_rate(schedule, at), &loss, error));
        p->step++;
        p->sum += loss;
        const double now = sac_time_s();
        p->seconds += now - last;
        last = now;
        if (p->hooks->step != NULL) {
            p->hooks->step(p->hooks->user, at + 1, steps * p->options->epochs,
                           p->sum / (double)p->step);
        }
        const bool stop = p->hooks->stop != NULL && p->hooks->stop();
        if (stop || now - saved > order.checkpoint_s) {
            SAC_TRY(checkpoint_write(p, error));
            saved = last = sac_time_s();
        }
        if (stop) {
            return sac_error_set(error, SAC_ERROR_INTERRUPTED, p->step,
                                 "stopped in epoch %" PRId64 " of pre-training after step %" PRId64
                                 "; %s/checkpoint.safetensors is complete, go on with --resume",
                                 p->epoch + 1, p->step, p->folder);
        }
    }
    if (p->step < steps) SAC_TRY(checkpoint_write(p, error));
fail:
    return status;
}

static sac_status epoch_finish(pretrain *p, const sac_schedule *schedule, sac_error *error) {
    sac_status status = SAC_OK;
    const sac_trainer_options *o = &p->options->trainer;
    const double begun = sac_time_s();
    sac_epoch_metrics m = {.epoch = p->epoch + 1,
                           .train_loss = p->sum / (double)p->step,
                           .adversarial_loss = NAN,
                           .discriminator_real = NAN,
                           .discriminator_own = NAN,
                           .pseudo_auc = NAN};
    const int64_t steps = (p->epoch + 1) * (o->samples_per_epoch / o->batch);
    for (int k = 0; k < SAC_PSEUDO_KIND_COUNT; k++) m.kind_auc[k] = NAN;
    m.learning_rate = sac_schedule_rate(schedule, steps - 1);
    SAC_TRY(judge(p, &m.validation_loss, error));
    p->seconds += sac_time_s() - begun;
    m.seconds = p->seconds;
    m.samples_per_s = p->seconds > 0 ? (double)(steps * o->batch) / p->seconds : 0;
    json_t *row = json_pack("[I, f, f, f, f]", (json_int_t)m.epoch, m.train_loss, m.validation_loss,
                            m.learning_rate, m.seconds);
    if (row == NULL || json_array_append_new(p->rows, row) != 0) return SAC_ERROR_MEMORY;
    p->epoch++;
    p->step = 0;
    p->sum = 0;
    SAC_TRY(checkpoint_write(p, error));
    SAC_TRY(metrics_write(p, error));
    if (p->hooks->epoch != NULL) p->hooks->epoch(p->hooks->user, &m, false);
fail:
    return status;
}

sac_status sac_pretrain_run(sac_pretrain_result *result, const char *folder, sac_model *model,
                            const sac_samples *samples, const sac_pretrain_options *options,
                            const sac_trainer_hooks *hooks, bool resume, sac_error *error) {
    static const sac_trainer_hooks silent = {0};
    sac_status status = SAC_OK;
    const sac_trainer_options *o = &options->trainer;
    pretrain p = {.options = options,
                  .samples = samples,
                  .hooks = hooks != NULL ? hooks : &silent,
                  .folder = folder};
    *result = (sac_pretrain_result){0};
    if (options->epochs < 1 || options->epochs > 100000 || o->batch < 1 ||
        o->samples_per_epoch < o->batch) {
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "pre-training: epochs must be 1 to 100000 and an epoch at least one "
                             "batch");
    }
    SAC_TRY(pretrain_open(&p, model, resume, error));
    const int64_t total = options->epochs * (o->samples_per_epoch / o->batch);
    const sac_schedule schedule = {.kind = SAC_SCHEDULE_COSINE,
                                   .base = o->learning_rate,
                                   .warmup = total / 50 < 200 ? total / 50 : 200,
                                   .total = total,
                                   .floor = 0.01 * o->learning_rate};
    while (p.epoch < options->epochs && !result->out_of_time) {
        SAC_TRY(epoch_run(&p, &schedule, error));
        if (p.step == o->samples_per_epoch / o->batch) SAC_TRY(epoch_finish(&p, &schedule, error));
        result->out_of_time = time_is_up(&p) && p.epoch < options->epochs;
    }
    if (!result->out_of_time) params_share(model->params, p.params);
    const json_t *last = json_array_get(p.rows, json_array_size(p.rows) - 1);
    *result = (sac_pretrain_result){.epochs = p.epoch,
                                    .train_loss = json_number_value(json_array_get(last, 1)),
                                    .validation_loss = json_number_value(json_array_get(last, 2)),
                                    .seconds = p.seconds,
                                    .out_of_time = result->out_of_time};
    pretrain_close(&p);
    return SAC_OK;
fail:
    pretrain_close(&p);
    return sac_error_set(error, status, -1, "pre-training: %s", sac_status_name(status));
}
