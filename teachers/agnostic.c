// Networks of the background-agnostic teacher, its file and its scorer. Does not learn.
#include "teachers/agnostic.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/check.h"
#include "core/memory.h"
#include "nn/infer.h"
#include "teachers/agnostic_fields.h"
#include "teachers/family.h"
#include "video/scale.h"

enum { STAGES = 3, JUDGE_WIDTH = 32 };
static const double JUDGE_DROPOUT = 0.3;
static const int WIDTHS[SAC_AGNOSTIC_WIDTH_COUNT][STAGES] = {{16, 16, 16}, {32, 32, 16}};
static const int JUDGE_WIDTHS[STAGES] = {16, 32, 16};

const char *sac_agnostic_branch_name(int branch) {
    static const char *const names[] = {"appearance", "backward", "forward"};
    return branch >= 0 && branch < SAC_AGNOSTIC_BRANCHES ? names[branch] : NULL;
}

int64_t sac_agnostic_branch_channels(int branch) {
    if (branch < 0 || branch >= SAC_AGNOSTIC_BRANCHES) return 0;
    return branch == SAC_AGNOSTIC_APPEARANCE ? 1 : 2;
}

// ---- networks -----------------------------------------------------------------------------------

// Nodes of one branch are called "<branch><variant>.<layer>". A variant ("", ".pseudo") repeats
// layers with the weights of the plain one.
typedef struct builder {
    sac_net *net;
    const char *branch, *variant;
    const int *widths;
    bool failed; // a name could not be made
} builder;

static char *name_of(builder *b, const char *layer) {
    char *name = sac_format("%s%s%s%s", b->branch, b->variant, layer[0] != '\0' ? "." : "", layer);
    if (name == NULL) b->failed = true;
    return name;
}

// Layers of a variant use the weights of the plain branch.
static void share_weights(builder *b, int node, const char *layer) {
    if (b->variant[0] == '\0' || node < 0) return;
    char *name = sac_format("%s.%s", b->branch, layer);
    if (name == NULL) {
        b->failed = true;
        return;
    }
    sac_net_share(b->net, node, name);
    sac_free(name);
}

static int add_input(builder *b, const char *layer, int64_t channels, int64_t size) {
    int64_t dims[3] = {channels, size, size};
    char *name = name_of(b, layer);
    int node = name == NULL ? -1 : sac_net_input(b->net, name, 3, dims);
    sac_free(name);
    return node;
}

static int add_conv(builder *b, const char *layer, int src, int64_t width) {
    char *name = name_of(b, layer);
    int node = name == NULL ? -1 : sac_net_conv2d(b->net, name, src, width, 3, 1, 1, 1, true);
    share_weights(b, node, layer);
    sac_free(name);
    return node;
}

static int add_unary(builder *b, sac_op_kind kind, const char *layer, int src) {
    char *name = name_of(b, layer);
    int node = name == NULL ? -1 : sac_net_unary(b->net, kind, name, src);
    sac_free(name);
    return node;
}

static int add_pool(builder *b, const char *layer, int src) {
    static const int64_t two[3] = {1, 2, 2}, none[3] = {0, 0, 0};
    char *name = name_of(b, layer);
    int node = name == NULL ? -1 : sac_net_pool(b->net, SAC_OP_MAX_POOL, name, src, two, two, none);
    sac_free(name);
    return node;
}

static int add_sum(builder *b, const char *layer, int x, int y) {
    char *name = name_of(b, layer);
    int node = name == NULL ? -1 : sac_net_add(b->net, name, x, y);
    sac_free(name);
    return node;
}

static int add_reversal(builder *b, const char *layer, int src, double lambda) {
    char *name = name_of(b, layer);
    int node = name == NULL ? -1 : sac_net_grad_reverse(b->net, name, src, lambda);
    sac_free(name);
    return node;
}

static int add_norm(builder *b, const char *layer, int src) {
    char *name = name_of(b, layer);
    int node = name == NULL ? -1 : sac_net_batch_norm(b->net, name, src);
    sac_free(name);
    return node;
}

static int mark_output(builder *b, int node) {
    if (node >= 0) sac_net_output(b->net, node);
    return node;
}

// What a decoder reads: the code and the activations before each pooling, at S, S/2 and S/4.
typedef struct coded {
    int code, skip[STAGES];
} coded;

static coded add_encoder(builder *b, int src) {
    coded c = {.code = src};
    for (int i = 0; i < STAGES; i++) {
        char conv[16], relu[24], pool[24];
        (void)snprintf(conv, sizeof conv, "encoder%d", i + 1);
        (void)snprintf(relu, sizeof relu, "%s.relu", conv);
        (void)snprintf(pool, sizeof pool, "%s", i + 1 < STAGES ? "pool" : "code");
        if (i + 1 < STAGES) (void)snprintf(pool, sizeof pool, "%s.pool", conv);
        c.skip[i] = add_unary(b, SAC_OP_RELU, relu, add_conv(b, conv, c.code, b->widths[i]));
        c.code = add_pool(b, pool, c.skip[i]);
    }
    return c;
}

// Adds `prefix` + ".error" = src - reconstruction. The last convolution makes the reconstruction's
// negative, which is the same thing to learn and saves an operator.
static int add_decoder(builder *b, const char *prefix, int src, const coded *c, int64_t channels) {
    int node = c->code;
    char layer[48];
    for (int i = STAGES - 1; i >= 0; i--) {
        (void)snprintf(layer, sizeof layer, "%s%d.up", prefix, STAGES - i);
        char *name = name_of(b, layer);
        node = name == NULL ? -1 : sac_net_upsample(b->net, name, node, 1, 2, 2);
        sac_free(name);
        (void)snprintf(layer, sizeof layer, "%s%d", prefix, STAGES - i);
        node = add_conv(b, layer, node, b->widths[i]);
        (void)snprintf(layer, sizeof layer, "%s%d.relu", prefix, STAGES - i);
        node = add_unary(b, SAC_OP_RELU, layer, node);
        (void)snprintf(layer, sizeof layer, "%s%d.skip", prefix, STAGES - i);
        node = add_sum(b, layer, node, c->skip[i]);
    }
    (void)snprintf(layer, sizeof layer, "%s.negative", prefix);
    node = add_conv(b, layer, node, channels);
    const char *error = strcmp(prefix, "decoder") == 0 ? "error" : "adversary.error";
    return add_sum(b, error, src, node);
}

// The adversarial decoder reads everything through the reversal.
static int add_adversary(builder *b, int src, const coded *c, int64_t channels, double lambda) {
    coded reversed = {.code = add_reversal(b, "reverse.code", c->code, lambda)};
    for (int i = 0; i < STAGES; i++) {
        char layer[24];
        (void)snprintf(layer, sizeof layer, "reverse%d", i + 1);
        reversed.skip[i] = add_reversal(b, layer, c->skip[i], lambda);
    }
    return add_decoder(b, "adversary", src, &reversed, channels);
}

static int add_judge(builder *b, int difference, int code) {
    int node = difference;
    char layer[32];
    for (int i = 0; i <= STAGES; i++) {
        (void)snprintf(layer, sizeof layer, "judge%d", i + 1);
        node = add_conv(b, layer, node, i < STAGES ? JUDGE_WIDTHS[i] : JUDGE_WIDTH);
        (void)snprintf(layer, sizeof layer, "judge%d.norm", i + 1);
        node = add_norm(b, layer, node);
        (void)snprintf(layer, sizeof layer, "judge%d.relu", i + 1);
        node = add_unary(b, SAC_OP_RELU, layer, node);
        (void)snprintf(layer, sizeof layer, "judge%d.pool", i + 1);
        node = add_pool(b, layer, node);
        if (i + 1 == STAGES) {
            int both[2] = {node, code};
            char *name = name_of(b, "judge.join");
            node = name == NULL ? -1 : sac_net_concat(b->net, name, both, 2, 1);
            sac_free(name);
        }
    }
    char *dropout = name_of(b, "judge.dropout"), *logit = name_of(b, "logit");
    if (dropout != NULL && logit != NULL) {
        node = sac_net_dropout(b->net, dropout, node, JUDGE_DROPOUT);
        node = sac_net_dense(b->net, logit, node, 1, true);
    }
    sac_free(dropout);
    sac_free(logit);
    return node;
}

static void add_branch(builder *b, sac_agnostic_part part, int branch, int64_t crop_size,
                       double lambda) {
    int64_t channels = sac_agnostic_branch_channels(branch);
    b->branch = sac_agnostic_branch_name(branch);
    b->variant = "";
    if (part == SAC_AGNOSTIC_JUDGE) {
        int difference = add_input(b, "difference.in", channels, crop_size);
        int code = add_input(b, "code.in", SAC_AGNOSTIC_CODE, crop_size >> STAGES);
        mark_output(b, add_judge(b, difference, code));
        return;
    }
    int src = add_input(b, "", channels, crop_size);
    coded c = add_encoder(b, src);
    int error = mark_output(b, add_decoder(b, "decoder", src, &c, channels));
    if (part == SAC_AGNOSTIC_MODEL) {
        // |e| is a leaky ReLU of slope -1.
        sac_attrs attrs = {.alpha = -1};
        char *name = name_of(b, "difference");
        int difference = name == NULL
                             ? -1
                             : sac_net_add_node(b->net, SAC_OP_LEAKY_RELU, name, &attrs, &error, 1);
        sac_free(name);
        mark_output(b, add_judge(b, difference, c.code));
        return;
    }
    mark_output(b, c.code);
    if (part == SAC_AGNOSTIC_LEARN) {
        b->variant = ".pseudo";
        int pseudo = add_input(b, "", channels, crop_size);
        coded p = add_encoder(b, pseudo);
        b->variant = "";
        mark_output(b, add_adversary(b, pseudo, &p, channels, lambda));
    }
}

sac_status sac_agnostic_net(sac_net **out, sac_agnostic_part part, int branch,
                            sac_agnostic_width width, int64_t crop_size, double lambda,
                            sac_error *error) {
    sac_status status = SAC_OK;
    *out = NULL;
    if (part > SAC_AGNOSTIC_MODEL || width >= SAC_AGNOSTIC_WIDTH_COUNT ||
        (part != SAC_AGNOSTIC_MODEL && sac_agnostic_branch_name(branch) == NULL)) {
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "no part %d, branch %d or width %d of this teacher", (int)part, branch,
                             (int)width);
    }
    if (crop_size < 16 || crop_size > 256 || crop_size % 8 != 0) {
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "a crop of %lld px, expected a multiple of 8 in 16..256",
                             (long long)crop_size);
    }
    builder b = {.widths = WIDTHS[width]};
    SAC_TRY(sac_net_create(&b.net));
    for (int k = 0; k < SAC_AGNOSTIC_BRANCHES; k++) {
        if (part == SAC_AGNOSTIC_MODEL || k == branch) add_branch(&b, part, k, crop_size, lambda);
    }
    if (b.failed) SAC_TRY(SAC_ERROR_MEMORY);
    SAC_TRY(sac_net_check(b.net, error));
    *out = b.net;
    return SAC_OK;
fail:
    sac_net_close(&b.net);
    return sac_error_set(error, status, -1, "no memory for a network");
}

int64_t sac_agnostic_take(sac_params *dst, const sac_params *src) {
    int64_t taken = 0;
    for (int64_t i = 0; i < sac_params_count(dst); i++) {
        sac_param *to = sac_params_at(dst, i);
        const sac_param *from = sac_params_find(src, to->name);
        if (from == NULL || from->count != to->count) continue;
        memcpy(to->data, from->data, (size_t)to->count * sizeof *to->data);
        taken++;
    }
    return taken;
}

// ---- teacher file -------------------------------------------------------------------------------

void sac_agnostic_model_close(sac_agnostic_model **slot) {
    if (slot == NULL || *slot == NULL) return;
    sac_params_close(&(*slot)->params);
    sac_net_close(&(*slot)->net);
    sac_free(*slot);
    *slot = NULL;
}

sac_status sac_agnostic_model_write(const sac_agnostic_model *model, const char *path,
                                    const json_t *provenance, sac_error *error) {
    sac_status status = SAC_OK;
    sac_safetensors *st = NULL;
    json_t *network = sac_net_to_json(model->net);
    char text[40];
    SAC_TRY_ALLOC(network);
    SAC_TRY(sac_safetensors_create(&st));
    SAC_TRY(sac_family_file_describe(st, "background-agnostic", &model->calibration, provenance,
                                     error));
    SAC_TRY(sac_family_set_json(st, "network", network, error));
    (void)snprintf(text, sizeof text, "%lld", (long long)model->crop_size);
    SAC_TRY(sac_safetensors_set_metadata(st, "crop_size", text, error));
    (void)snprintf(text, sizeof text, "%.17g", model->flow_unit);
    SAC_TRY(sac_safetensors_set_metadata(st, "flow_unit", text, error));
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
    sac_status status = SAC_OK;
    int inputs = 0, count = sac_net_count(net);
    sac_shape *shapes = sac_calloc(count, sizeof *shapes);
    SAC_TRY_ALLOC(shapes);
    SAC_TRY(sac_net_shapes(net, 1, shapes, error));
    for (int i = 0; i < count; i++) inputs += sac_net_node(net, i)->kind == SAC_OP_INPUT;
    for (int k = 0; k < SAC_AGNOSTIC_BRANCHES; k++) {
        const int64_t channels = sac_agnostic_branch_channels(k);
        const char *branch = sac_agnostic_branch_name(k);
        static const char *const parts[] = {"", ".error", ".logit"};
        for (int p = 0; p < 3; p++) {
            char name[48];
            (void)snprintf(name, sizeof name, "%s%s", branch, parts[p]);
            const int at = sac_net_find(net, name);
            const sac_shape want = p < 2 ? (sac_shape){4, {1, channels, crop_size, crop_size}}
                                         : (sac_shape){2, {1, 1}};
            bool fits =
                at >= 0 && shapes[at].ndims == want.ndims &&
                (p == 0 ? sac_net_node(net, at)->kind == SAC_OP_INPUT : sac_net_is_output(net, at));
            for (int d = 0; fits && d < want.ndims; d++) fits = shapes[at].dims[d] == want.dims[d];
            if (!fits || inputs != SAC_AGNOSTIC_BRANCHES) {
                status = sac_error_set(error, SAC_ERROR_FORMAT, -1,
                                       "%s: its network has no %s '%s' of the expected shape, or "
                                       "inputs beyond the %d expected",
                                       path, p == 0 ? "input" : "output", name,
                                       (int)SAC_AGNOSTIC_BRANCHES);
                goto fail;
            }
        }
    }
fail:
    sac_free(shapes);
    return status;
}

sac_status sac_agnostic_model_parse(sac_agnostic_model **out, const sac_safetensors *st,
                                    const char *path, sac_error *error) {
    sac_status status = SAC_OK;
    json_t *json = NULL;
    const char *text = NULL;
    char *end = NULL;
    *out = NULL;
    sac_agnostic_model *model = sac_calloc(1, sizeof *model);
    SAC_TRY_ALLOC(model);
    sac_calibration_init(&model->calibration, SAC_AGNOSTIC_BRANCHES, sac_agnostic_branch_name,
                         SAC_COMBINE_MEAN);
    SAC_TRY(sac_family_get_text(st, "crop_size", &text, path, error));
    model->crop_size = strtoll(text, &end, 10);
    if (end == text || *end != '\0' || model->crop_size < 16 || model->crop_size > 256) {
        status = sac_error_set(error, SAC_ERROR_FORMAT, -1,
                               "%s: 'crop_size' is '%.20s', expected 16 to 256", path, text);
        goto fail;
    }
    SAC_TRY(sac_family_get_text(st, "flow_unit", &text, path, error));
    model->flow_unit = strtod(text, &end);
    if (end == text || *end != '\0' || !(model->flow_unit >= 1e-3) || model->flow_unit > 1e4) {
        status =
            sac_error_set(error, SAC_ERROR_FORMAT, -1,
                          "%s: 'flow_unit' is '%.20s', expected 0.001 to 10000 px", path, text);
        goto fail;
    }
    SAC_TRY(sac_family_get_json(st, "network", &json, path, error));
    SAC_TRY(sac_net_from_json(&model->net, json, path, error));
    SAC_TRY(check_net(model->net, model->crop_size, path, error));
    SAC_TRY(sac_family_get_calibration(st, &model->calibration, path, error));
    SAC_TRY(sac_params_create(&model->params, model->net, error));
    SAC_TRY(sac_params_load(model->params, st, NULL, path, error));
    json_decref(json);
    *out = model;
    return SAC_OK;
fail:
    json_decref(json);
    sac_agnostic_model_close(&model);
    return sac_error_set(error, status, -1, "%s: no memory for a teacher", path);
}

// ---- scorer -------------------------------------------------------------------------------------

struct sac_agnostic_scorer {
    sac_infer *infer;
    int64_t batch, crop_size;
    double flow_unit;
    int64_t *frames;         // [batch] frame of each object of the batch
    int64_t *pairs, *wanted; // [2 batch] whose fields are kept; whose are to be computed
    int64_t pair_count;
    int16_t *fields;        // [2 batch] fields, in the order of pairs
    sac_field_maker *maker; // for the size of picture below; NULL: none yet
    int width, height;
};

sac_status sac_agnostic_scorer_create(sac_agnostic_scorer **out, const sac_agnostic_model *model,
                                      int64_t batch, sac_backend backend, sac_error *error) {
    sac_status status = SAC_OK;
    *out = NULL;
    sac_agnostic_scorer *scorer = sac_calloc(1, sizeof *scorer);
    SAC_TRY_ALLOC(scorer);
    scorer->batch = batch;
    scorer->crop_size = model->crop_size;
    scorer->flow_unit = model->flow_unit;
    sac_plan_options options = {.batch = batch, .backend = backend};
    SAC_TRY(sac_infer_create(&scorer->infer, model->net, model->params, &options, error));
    SAC_TRY_ALLOC(scorer->frames = sac_calloc(batch, sizeof *scorer->frames));
    SAC_TRY_ALLOC(scorer->pairs = sac_calloc(2 * batch, sizeof *scorer->pairs));
    SAC_TRY_ALLOC(scorer->wanted = sac_calloc(2 * batch, sizeof *scorer->wanted));
    *out = scorer;
    return SAC_OK;
fail:
    sac_agnostic_scorer_close(&scorer);
    return sac_error_set(error, status, -1, "no memory for a scorer");
}

void sac_agnostic_scorer_close(sac_agnostic_scorer **slot) {
    if (slot == NULL || *slot == NULL) return;
    sac_infer_close(&(*slot)->infer);
    sac_free((*slot)->frames);
    sac_free((*slot)->pairs);
    sac_free((*slot)->wanted);
    sac_free((*slot)->fields);
    sac_field_maker_close(&(*slot)->maker);
    sac_free(*slot);
    *slot = NULL;
}

// The pair of frames whose flow leads to (`forward` false) or away from frame t, in a clip of at
// least two.
static int64_t pair_at(int64_t t, bool forward, int64_t frames) {
    int64_t pair = forward ? t : t - 1;
    if (pair < 0) return 0;
    return pair < frames - 1 ? pair : frames - 2;
}

static int64_t find_pair(const int64_t *pairs, int64_t count, int64_t pair) {
    for (int64_t i = 0; i < count; i++) {
        if (pairs[i] == pair) return i;
    }
    return -1;
}

// Makes the fields of the first `count` objects of the batch ready; those the last batch had are
// kept.
static sac_status ready_fields(sac_agnostic_scorer *s, int64_t values, const uint8_t *pixels,
                               int64_t frames, int64_t count) {
    sac_status status = SAC_OK;
    int64_t kept = 0, wanted = 0;
    // Frames ascend, so the pairs needed do too and old ones move to the front only.
    for (int64_t i = 0; i < s->pair_count; i++) {
        bool needed = false;
        for (int64_t k = 0; k < count && !needed; k++) {
            needed = pair_at(s->frames[k], false, frames) == s->pairs[i] ||
                     pair_at(s->frames[k], true, frames) == s->pairs[i];
        }
        if (!needed) continue;
        if (kept != i) {
            memcpy(s->fields + kept * values, s->fields + i * values,
                   (size_t)values * sizeof *s->fields);
            s->pairs[kept] = s->pairs[i];
        }
        kept++;
    }
    for (int64_t k = 0; k < 2 * count; k++) {
        int64_t pair = pair_at(s->frames[k / 2], k % 2 == 1, frames);
        if (find_pair(s->pairs, kept, pair) < 0 && find_pair(s->wanted, wanted, pair) < 0)
            s->wanted[wanted++] = pair;
    }
    SAC_TRY(sac_field_maker_run(s->maker, s->fields + kept * values, pixels, s->wanted, wanted));
    memcpy(s->pairs + kept, s->wanted, (size_t)wanted * sizeof *s->wanted);
    s->pair_count = kept + wanted;
fail:
    return status;
}

// Prepares for clips of one size of picture.
static sac_status ready_maker(sac_agnostic_scorer *s, int width, int height, sac_error *error) {
    sac_status status = SAC_OK;
    int64_t values = 0;
    s->pair_count = 0;
    if (s->maker != NULL && s->width == width && s->height == height) return SAC_OK;
    sac_field_maker_close(&s->maker);
    sac_free(s->fields);
    s->fields = NULL;
    sac_field layout = sac_field_layout(width, height);
    if (!sac_mul((int64_t)layout.width * layout.height, 4 * s->batch, &values)) {
        return SAC_ERROR_MEMORY;
    }
    SAC_TRY_ALLOC(s->fields = sac_calloc(values, sizeof *s->fields));
    SAC_TRY(sac_field_maker_create(&s->maker, width, height, error));
    s->width = width;
    s->height = height;
fail:
    return status;
}

// Crops of `count` objects from index `first` on into the network's inputs.
static void fill_inputs(sac_agnostic_scorer *s, const sac_detections *d, int64_t first,
                        int64_t count, const uint8_t *pixels) {
    const int size = (int)s->crop_size;
    const int64_t area = s->crop_size * s->crop_size, picture = (int64_t)s->width * s->height;
    float *appearance = sac_infer_input(s->infer, "appearance");
    float *flow[2] = {sac_infer_input(s->infer, "backward"), sac_infer_input(s->infer, "forward")};
    const sac_field layout = sac_field_layout(s->width, s->height);
    const int64_t values = 2 * (int64_t)layout.width * layout.height;
#ifdef _OPENMP
#    pragma omp parallel for schedule(dynamic, 4)
#endif
    for (int64_t i = 0; i < count; i++) {
        const sac_box *b = &d->boxes[first + i];
        sac_crop_gray(appearance + i * area, size, size, pixels + s->frames[i] * picture, s->width,
                      s->height, (double)b->x1, (double)b->y1, (double)b->x2, (double)b->y2);
        for (int k = 0; k < 2; k++) {
            sac_field field = layout;
            if (d->frames > 1) {
                int64_t pair = pair_at(s->frames[i], k == 1, d->frames);
                field.data = s->fields + find_pair(s->pairs, s->pair_count, pair) * values;
            }
            sac_field_crop(flow[k] + 2 * i * area, size, &field, b, s->flow_unit);
        }
    }
}

sac_status sac_agnostic_scorer_run(sac_agnostic_scorer *s, float *tasks,
                                   const sac_detections *detections, const uint8_t *pixels,
                                   int width, int height, bool (*stop)(void),
                                   void (*progress)(void *user, int64_t objects_done), void *user,
                                   sac_error *error) {
    sac_status status = SAC_OK;
    int64_t t = 0;
    sac_field layout = sac_field_layout(width, height);
    SAC_TRY(ready_maker(s, width, height, error));
    for (int64_t first = 0; first < detections->count; first += s->batch) {
        if (stop != NULL && stop()) {
            return sac_error_set(error, SAC_ERROR_INTERRUPTED, -1, "scoring was interrupted");
        }
        int64_t count = detections->count - first;
        if (count > s->batch) count = s->batch;
        for (int64_t i = 0; i < count; i++) {
            while (detections->start[t + 1] <= first + i) t++;
            s->frames[i] = t;
        }
        if (detections->frames > 1) {
            SAC_TRY(ready_fields(s, 2 * (int64_t)layout.width * layout.height, pixels,
                                 detections->frames, count));
        }
        fill_inputs(s, detections, first, count, pixels);
        SAC_TRY(sac_infer_run(s->infer, error));
        for (int k = 0; k < SAC_AGNOSTIC_BRANCHES; k++) {
            char name[48];
            (void)snprintf(name, sizeof name, "%s.logit", sac_agnostic_branch_name(k));
            const float *logit = sac_infer_output(s->infer, name);
            for (int64_t i = 0; i < count; i++)
                tasks[(first + i) * SAC_AGNOSTIC_BRANCHES + k] =
                    (float)(1 / (1 + exp(-(double)logit[i])));
        }
        if (progress != NULL) progress(user, first + count);
    }
fail:
    return status < 0 ? sac_error_set(error, status, -1, "no memory for scoring") : SAC_OK;
}
