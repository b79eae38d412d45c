// Network of the SSMTL teacher, task scores and the teacher file. Does not learn.
#include "teachers/ssmtl.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/check.h"
#include "core/memory.h"
#include "core/safetensors.h"
#include "nn/infer.h"
#include "teachers/family.h"

enum { CONTEXT = SAC_SEQUENCE_LENGTH - 1, HEAD_WIDTH = 32 };
static const double HEAD_DROPOUT = 0.3;
// Added to the contrast of a crop, so that a flat one does not turn noise into an error.
static const double LEAST_CONTRAST = 0.05;

static const sac_ssmtl_backbone BACKBONES[] = {
    {"shallow-narrow", {16, SAC_SSMTL_POOL, 32, SAC_SSMTL_POOL, 32, SAC_SSMTL_POOL_ALL}, 32, 2},
    {"shallow-wide", {32, SAC_SSMTL_POOL, 64, SAC_SSMTL_POOL, 64, SAC_SSMTL_POOL_ALL}, 32, 2},
    {"deep-narrow",
     {16, 16, SAC_SSMTL_POOL, 32, 32, SAC_SSMTL_POOL, 32, SAC_SSMTL_POOL, 32, SAC_SSMTL_POOL_ALL},
     32,
     3},
    {"deep-wide",
     {32, 32, SAC_SSMTL_POOL, 64, 64, SAC_SSMTL_POOL, 64, SAC_SSMTL_POOL, 64, SAC_SSMTL_POOL_ALL},
     32,
     3},
};

const sac_ssmtl_backbone *sac_ssmtl_backbone_at(int index) {
    if (index < 0 || index >= (int)(sizeof BACKBONES / sizeof BACKBONES[0])) return NULL;
    return &BACKBONES[index];
}

const char *sac_ssmtl_task_name(int task) {
    static const char *const names[] = {"middle", "arrow", "irregularity"};
    return task >= 0 && task < SAC_SSMTL_TASKS ? names[task] : NULL;
}

// Node names "<branch>.<layer>"; a shared node borrows the parameters of the other branch.
typedef struct branch {
    sac_net *net;
    const char *name;
    const char *share; // branch whose weights are used, NULL: own
    bool failed;       // a name could not be made
} branch;

static int share_with(branch *b, int node, const char *layer) {
    if (b->share == NULL || node < 0) return node;
    char *name = sac_format("%s.%s", b->share, layer);
    if (name == NULL) {
        b->failed = true;
        return -1;
    }
    sac_net_share(b->net, node, name);
    sac_free(name);
    return node;
}

// convolution 3x3x3 (or 3x3) 'same' without bias, batch norm, ReLU
static int add_conv(branch *b, const char *layer, int src, int width, bool volume) {
    char conv[64], norm[64], relu[64];
    char *full_conv = NULL, *full_norm = NULL, *full_relu = NULL;
    static const int64_t three[3] = {3, 3, 3}, one[3] = {1, 1, 1};
    (void)snprintf(conv, sizeof conv, "%s.conv", layer);
    (void)snprintf(norm, sizeof norm, "%s.norm", layer);
    (void)snprintf(relu, sizeof relu, "%s.relu", layer);
    full_conv = sac_format("%s.%s", b->name, conv);
    full_norm = sac_format("%s.%s", b->name, norm);
    full_relu = sac_format("%s.%s", b->name, relu);
    int node = -1;
    if (full_conv == NULL || full_norm == NULL || full_relu == NULL) {
        b->failed = true;
    } else {
        node = volume ? sac_net_conv3d(b->net, full_conv, src, width, three, one, one, 1, false)
                      : sac_net_conv2d(b->net, full_conv, src, width, 3, 1, 1, 1, false);
        node = share_with(b, node, conv);
        node = share_with(b, sac_net_batch_norm(b->net, full_norm, node), norm);
        node = sac_net_unary(b->net, SAC_OP_RELU, full_relu, node);
    }
    sac_free(full_conv);
    sac_free(full_norm);
    sac_free(full_relu);
    return node;
}

static int add_pool(branch *b, const char *layer, int src, int64_t depth, bool volume) {
    char *name = sac_format("%s.%s", b->name, layer);
    if (name == NULL) {
        b->failed = true;
        return -1;
    }
    int64_t kernel[3] = {volume ? depth : 1, 2, 2}, pad[3] = {0, 0, 0};
    int node = sac_net_pool(b->net, SAC_OP_MAX_POOL, name, src, kernel, kernel, pad);
    sac_free(name);
    return node;
}

// [1][T][S][S] -> [C][h][w]; *side receives h = w.
static int add_backbone(branch *b, const sac_ssmtl_backbone *backbone, int64_t length,
                        int64_t crop_size, int64_t *side) {
    int64_t dims[4] = {1, length, crop_size, crop_size};
    int node = sac_net_input(b->net, b->name, 4, dims);
    int64_t size = crop_size;
    int width = 1, convs = 0, pools = 0;
    for (const int *layer = backbone->layers; *layer != 0; layer++) {
        char name[32];
        if (*layer > 0) {
            width = *layer;
            (void)snprintf(name, sizeof name, "block%d", ++convs);
            node = add_conv(b, name, node, width, true);
        } else {
            (void)snprintf(name, sizeof name, "pool%d", ++pools);
            node = add_pool(b, name, node, *layer == SAC_SSMTL_POOL_ALL ? length : 1, true);
            size /= 2;
        }
    }
    int64_t flat[3] = {width, size, size};
    char *name = sac_format("%s.code", b->name);
    if (name == NULL) {
        b->failed = true;
        return -1;
    }
    node = sac_net_reshape(b->net, name, node, 3, flat);
    sac_free(name);
    *side = size;
    return node;
}

// Classification head "<branch>.head...", output "<branch>.logits".
static void add_head(branch *b, int code, int classes) {
    branch own = {.net = b->net, .name = b->name}; // heads share nothing
    int node = add_conv(&own, "head", code, HEAD_WIDTH, false);
    char *dropout = sac_format("%s.head.dropout", b->name);
    char *logits = sac_format("%s.logits", b->name);
    if (dropout == NULL || logits == NULL) {
        own.failed = true;
    } else {
        node = sac_net_dropout(b->net, dropout, node, HEAD_DROPOUT);
        node = add_pool(&own, "head.pool", node, 1, false);
        sac_net_output(b->net, sac_net_dense(b->net, logits, node, classes, true));
    }
    sac_free(dropout);
    sac_free(logits);
    if (own.failed) b->failed = true;
}

// Decoder of the middle crop: nearest x2 and conv 3x3 until the crop size is reached.
static void add_decoder(branch *b, const sac_ssmtl_backbone *backbone, int code) {
    branch own = {.net = b->net, .name = "middle"};
    int node = code;
    for (int i = 0; i <= backbone->decoder_stages; i++) {
        char up[32], stage[32];
        (void)snprintf(up, sizeof up, "middle.up%d", i + 1);
        (void)snprintf(stage, sizeof stage, "stage%d", i + 1);
        node = sac_net_upsample(b->net, up, node, 1, 2, 2);
        if (i < backbone->decoder_stages) {
            node = add_conv(&own, stage, node, backbone->decoder_width, false);
        }
    }
    sac_net_output(b->net, sac_net_conv2d(b->net, "middle.residual", node, 1, 3, 1, 1, 1, true));
    if (own.failed) b->failed = true;
}

sac_status sac_ssmtl_net(sac_net **out, int backbone_index, int64_t crop_size, sac_error *error) {
    sac_status status = SAC_OK;
    sac_net *net = NULL;
    *out = NULL;
    const sac_ssmtl_backbone *backbone = sac_ssmtl_backbone_at(backbone_index);
    if (backbone == NULL) {
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1, "no backbone number %d",
                             backbone_index);
    }
    int64_t unit = 1;
    for (const int *layer = backbone->layers; *layer != 0; layer++) {
        if (*layer < 0) unit *= 2;
    }
    // The code has at least 2x2 cells, because a head pools once more.
    if (crop_size < 2 * unit || crop_size > 256 || crop_size % unit != 0) {
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "crop size %lld: backbone %s needs a multiple of %lld from %lld to "
                             "256",
                             (long long)crop_size, backbone->name, (long long)unit,
                             (long long)(2 * unit));
    }
    SAC_TRY(sac_net_create(&net));
    int64_t side = 0;
    branch arrow = {.net = net, .name = "arrow"};
    int code = add_backbone(&arrow, backbone, CONTEXT, crop_size, &side);
    add_head(&arrow, code, 2);
    add_decoder(&arrow, backbone, code);
    branch irregular = {.net = net, .name = "irregular", .share = "arrow"};
    code = add_backbone(&irregular, backbone, SAC_SEQUENCE_LENGTH, crop_size, &side);
    add_head(&irregular, code, 2);
    if (arrow.failed || irregular.failed) {
        status = SAC_ERROR_MEMORY;
        goto fail;
    }
    SAC_TRY(sac_net_check(net, error));
    *out = net;
    return SAC_OK;
fail:
    sac_net_close(&net);
    return sac_error_set(error, status, -1, "no memory for the network");
}

void sac_ssmtl_calibration_init(sac_calibration *calibration) {
    sac_calibration_init(calibration, SAC_SSMTL_TASKS, sac_ssmtl_task_name, SAC_COMBINE_MEAN);
}

void sac_ssmtl_model_close(sac_ssmtl_model **slot) {
    if (slot == NULL || *slot == NULL) return;
    sac_net_close(&(*slot)->net);
    sac_params_close(&(*slot)->params);
    sac_free(*slot);
    *slot = NULL;
}

sac_status sac_ssmtl_model_write(const sac_ssmtl_model *model, const char *path,
                                 const json_t *provenance, sac_error *error) {
    sac_status status = SAC_OK;
    sac_safetensors *st = NULL;
    json_t *network = sac_net_to_json(model->net);
    char number[24];
    SAC_TRY(sac_safetensors_create(&st));
    SAC_TRY(sac_family_file_describe(st, "ssmtl", &model->calibration, provenance, error));
    (void)snprintf(number, sizeof number, "%lld", (long long)model->crop_size);
    SAC_TRY(sac_safetensors_set_metadata(st, "crop_size", number, error));
    SAC_TRY(sac_family_set_json(st, "network", network, error));
    SAC_TRY(sac_params_store(model->params, st, NULL, error));
    SAC_TRY(sac_safetensors_write(st, path, error));
fail:
    sac_safetensors_close(&st);
    json_decref(network);
    return status < 0 ? sac_error_set(error, status, -1, "%s: no memory to write it", path)
                      : SAC_OK;
}

// The inputs and outputs this code fills and reads must be there with their shapes.
static sac_status check_net(const sac_net *net, int64_t crop_size, const char *path,
                            sac_error *error) {
    static const struct {
        const char *name;
        int ndims;
        int64_t dims[4]; // behind N; 0: the crop size
        bool input;
    } wanted[] = {{"arrow", 4, {1, CONTEXT, 0, 0}, true},
                  {"irregular", 4, {1, SAC_SEQUENCE_LENGTH, 0, 0}, true},
                  {"arrow.logits", 1, {2}, false},
                  {"irregular.logits", 1, {2}, false},
                  {"middle.residual", 3, {1, 0, 0}, false}};
    int inputs = 0;
    int count = sac_net_count(net);
    sac_shape *shapes = sac_calloc(count, sizeof *shapes);
    if (shapes == NULL) return SAC_ERROR_MEMORY;
    sac_status status = SAC_OK;
    SAC_TRY(sac_net_shapes(net, 1, shapes, error));
    for (int i = 0; i < count; i++) inputs += sac_net_node(net, i)->kind == SAC_OP_INPUT;
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
        int at = sac_net_find(net, wanted[i].name);
        bool fits = at >= 0 && shapes[at].ndims == wanted[i].ndims + 1 &&
                    (wanted[i].input ? sac_net_node(net, at)->kind == SAC_OP_INPUT
                                     : sac_net_is_output(net, at));
        for (int k = 0; fits && k < wanted[i].ndims; k++) {
            int64_t size = wanted[i].dims[k] == 0 ? crop_size : wanted[i].dims[k];
            fits = shapes[at].dims[k + 1] == size;
        }
        if (!fits || inputs != 2) {
            status = sac_error_set(error, SAC_ERROR_FORMAT, -1,
                                   "%s: its network has no %s '%s' of the expected shape", path,
                                   wanted[i].input ? "input" : "output", wanted[i].name);
            goto fail;
        }
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
    SAC_TRY(sac_family_get_text(st, "crop_size", &text, path, error));
    char *end = NULL;
    model->crop_size = strtoll(text, &end, 10);
    if (end == text || *end != '\0' || model->crop_size < 16 || model->crop_size > 256) {
        status = sac_error_set(error, SAC_ERROR_FORMAT, -1,
                               "%s: 'crop_size' is '%.20s', expected 16 to 256", path, text);
        goto fail;
    }
    SAC_TRY(sac_family_get_json(st, "network", &json, path, error));
    SAC_TRY(sac_net_from_json(&model->net, json, path, error));
    SAC_TRY(check_net(model->net, model->crop_size, path, error));
    sac_ssmtl_calibration_init(&model->calibration);
    SAC_TRY(sac_family_get_calibration(st, &model->calibration, path, error));
    SAC_TRY(sac_params_create(&model->params, model->net, error));
    SAC_TRY(sac_params_load(model->params, st, NULL, path, error));
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

struct sac_ssmtl_scorer {
    sac_infer *infer;
    int64_t batch, crop_size;
    sac_ssmtl_sample *samples; // [batch]
    float *residual;           // [batch][S][S]
    float *contrast;           // [batch]
};

sac_status sac_ssmtl_scorer_create(sac_ssmtl_scorer **out, const sac_ssmtl_model *model,
                                   int64_t batch, sac_backend backend, sac_error *error) {
    sac_status status = SAC_OK;
    *out = NULL;
    sac_ssmtl_scorer *scorer = sac_calloc(1, sizeof *scorer);
    SAC_TRY_ALLOC(scorer);
    scorer->batch = batch;
    scorer->crop_size = model->crop_size;
    sac_plan_options options = {.batch = batch, .backend = backend};
    SAC_TRY(sac_infer_create(&scorer->infer, model->net, model->params, &options, error));
    SAC_TRY_ALLOC(scorer->samples = sac_calloc(batch, sizeof *scorer->samples));
    SAC_TRY_ALLOC(scorer->residual = sac_calloc(batch * model->crop_size * model->crop_size,
                                                sizeof *scorer->residual));
    SAC_TRY_ALLOC(scorer->contrast = sac_calloc(batch, sizeof *scorer->contrast));
    *out = scorer;
    return SAC_OK;
fail:
    sac_ssmtl_scorer_close(&scorer);
    return sac_error_set(error, status, -1, "no memory for a scorer");
}

void sac_ssmtl_scorer_close(sac_ssmtl_scorer **slot) {
    if (slot == NULL || *slot == NULL) return;
    sac_infer_close(&(*slot)->infer);
    sac_free((*slot)->samples);
    sac_free((*slot)->residual);
    sac_free((*slot)->contrast);
    sac_free(*slot);
    *slot = NULL;
}

// Task scores of the first `count` rows of the batch.
static void read_tasks(const sac_ssmtl_scorer *scorer, float *tasks, int64_t count) {
    const float *arrow = sac_infer_output(scorer->infer, "arrow.logits");
    const float *irregular = sac_infer_output(scorer->infer, "irregular.logits");
    const float *residual = sac_infer_output(scorer->infer, "middle.residual");
    int64_t area = scorer->crop_size * scorer->crop_size;
    for (int64_t i = 0; i < count; i++) {
        double sum = 0;
        for (int64_t k = 0; k < area; k++) {
            sum += fabs((double)residual[i * area + k] - (double)scorer->residual[i * area + k]);
        }
        float *row = tasks + i * SAC_SSMTL_TASKS;
        row[SAC_SSMTL_MIDDLE] =
            (float)(sum / (double)area / ((double)scorer->contrast[i] + LEAST_CONTRAST));
        row[SAC_SSMTL_ARROW] = arrow[2 * i + 1] - arrow[2 * i];
        row[SAC_SSMTL_IRREGULARITY] = irregular[2 * i + 1] - irregular[2 * i];
    }
}

sac_status sac_ssmtl_scorer_run(sac_ssmtl_scorer *scorer, float *tasks,
                                const sac_detections *detections, const uint8_t *pixels, int width,
                                int height, bool (*stop)(void),
                                void (*progress)(void *user, int64_t objects_done), void *user,
                                sac_error *error) {
    sac_status status = SAC_OK;
    int64_t t = 0;
    for (int64_t first = 0; first < detections->count; first += scorer->batch) {
        if (stop != NULL && stop()) {
            return sac_error_set(error, SAC_ERROR_INTERRUPTED, -1, "scoring was interrupted");
        }
        int64_t count = detections->count - first;
        if (count > scorer->batch) count = scorer->batch;
        for (int64_t i = 0; i < count; i++) {
            while (detections->start[t + 1] <= first + i) t++;
            scorer->samples[i] = (sac_ssmtl_sample){.pixels = pixels,
                                                    .width = width,
                                                    .height = height,
                                                    .frames = detections->frames,
                                                    .t = t,
                                                    .box = detections->boxes[first + i]};
        }
        sac_ssmtl_fill(sac_infer_input(scorer->infer, "arrow"),
                       sac_infer_input(scorer->infer, "irregular"), scorer->residual,
                       scorer->contrast, scorer->samples, count, scorer->crop_size);
        SAC_TRY(sac_infer_run(scorer->infer, error));
        float *rows = tasks + first * SAC_SSMTL_TASKS;
        read_tasks(scorer, rows, count);
        for (int64_t i = 0; i < count * SAC_SSMTL_TASKS; i++) {
            if (!isfinite(rows[i])) {
                return sac_error_set(error, SAC_ERROR_NUMERIC, first + i / SAC_SSMTL_TASKS,
                                     "the %s score of object %lld is not finite",
                                     sac_ssmtl_task_name((int)(i % SAC_SSMTL_TASKS)),
                                     (long long)(first + i / SAC_SSMTL_TASKS));
            }
        }
        if (progress != NULL) progress(user, first + count);
    }
fail:
    return status;
}

// What the decoder has to add to the mean of the neighbours, and the contrast of the middle crop.
static void take_residual(float *residual, float *contrast, const float *middle,
                          const float *before, const float *after, int64_t area) {
    double mean = 0, deviation = 0;
    for (int64_t k = 0; k < area; k++) {
        residual[k] = middle[k] - 0.5f * (before[k] + after[k]);
        mean += (double)middle[k];
    }
    if (contrast == NULL) return;
    mean /= (double)area;
    for (int64_t k = 0; k < area; k++) deviation += fabs((double)middle[k] - mean);
    *contrast = (float)(deviation / (double)area);
}

static void fill_one(float *arrow, float *irregular, float *residual, float *contrast,
                     const sac_ssmtl_sample *s, int64_t crop_size) {
    int64_t times[SAC_SEQUENCE_LENGTH];
    int64_t area = crop_size * crop_size;
    int size = (int)crop_size, half = SAC_SEQUENCE_REACH;
    sac_sequence_consecutive(times, s->t, s->frames);
    if (s->intermittent) {
        sac_sequence_crop(irregular, size, &s->box, s->times, SAC_SEQUENCE_LENGTH, s->pixels,
                          s->width, s->height);
        sac_sequence_crop(arrow, size, &s->box, times, half, s->pixels, s->width, s->height);
        sac_sequence_crop(arrow + half * area, size, &s->box, times + half + 1, half, s->pixels,
                          s->width, s->height);
    } else {
        // The consecutive crops serve both inputs.
        sac_sequence_crop(irregular, size, &s->box, times, SAC_SEQUENCE_LENGTH, s->pixels, s->width,
                          s->height);
        size_t bytes = (size_t)(half * area) * sizeof(float);
        memcpy(arrow, irregular, bytes);
        memcpy(arrow + half * area, irregular + (half + 1) * area, bytes);
    }
    // The centre of an intermittent sequence is the object's own frame too.
    take_residual(residual, contrast, irregular + half * area, arrow + (half - 1) * area,
                  arrow + half * area, area);
    if (!s->reversed) return;
    for (int i = 0; i < half; i++) {
        float *a = arrow + i * area, *b = arrow + (CONTEXT - 1 - i) * area;
        for (int64_t k = 0; k < area; k++) {
            float kept = a[k];
            a[k] = b[k];
            b[k] = kept;
        }
    }
}

void sac_ssmtl_fill(float *arrow, float *irregular, float *residual, float *contrast,
                    const sac_ssmtl_sample *samples, int64_t count, int64_t crop_size) {
    int64_t area = crop_size * crop_size;
#ifdef _OPENMP
#    pragma omp parallel for schedule(dynamic, 4)
#endif
    for (int64_t i = 0; i < count; i++) {
        fill_one(arrow + i * CONTEXT * area, irregular + i * SAC_SEQUENCE_LENGTH * area,
                 residual + i * area, contrast == NULL ? NULL : contrast + i, &samples[i],
                 crop_size);
    }
}
