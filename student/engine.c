// Plans of the student's network and the copies between them. Which frame belongs where, and what
// a score is, is decided elsewhere.
#include "student/engine.h"

#include <math.h>
#include <string.h>

#include "core/check.h"
#include "core/clones.h"
#include "core/memory.h"
#include "student/split.h"

struct sac_engine {
    sac_engine_options options;
    const sac_model *model;
    const sac_engine *donor; // set: a clone
    unsigned heads;          // of the network
    int64_t frame_bytes;     // H * W * channels
    // Split: stem and body; else whole. `whole` is also made for prepared inputs when they come.
    sac_infer *stem, *body, *whole;
    int64_t places, feature_place_bytes; // split: h * w, bytes of the C values of one place
    char *features;                      // name of the stem's output
    bool features_u8, in_parts;          // the body reads three arrays of u8
    int64_t macs;
    float input_scale;  // of the network's input in an int8 plan, 0: it is f32
    bool pixels;        // with that scale a pixel is its own value
    uint8_t table[256]; // value of every pixel otherwise
    uint8_t *steps;     // whole, int8: the three frames as values of the input
};

static int64_t macs_of(const sac_net *net) {
    int64_t macs = 0;
    for (int i = 0; i < sac_net_count(net); i++) macs += sac_net_macs(net, i);
    return macs;
}

static bool in_int8(const sac_engine_options *options) {
    return options->precision == SAC_PRECISION_INT8;
}

// saturate_u8(round_half_even(value / scale)), nn/quant.h. A NaN gives 0.
static uint8_t quantise(float value, float scale) {
    float q = value / scale;
    q = q > 0.0f ? q : 0.0f;
    q = q < 255.0f ? q : 255.0f;
    // Adding and taking away 1.5 * 2^23 rounds to an integer, half to even.
    return (uint8_t)((q + 12582912.0f) - 12582912.0f);
}

static void fill_table(sac_engine *e) {
    const sac_preprocess *p = &e->model->preprocess;
    e->pixels = true;
    for (int x = 0; x < 256; x++) {
        const float value = ((float)x - (float)p->mean) / (float)p->scale;
        e->table[x] = quantise(value, e->input_scale);
        e->pixels = e->pixels && e->table[x] == x;
    }
}

static sac_status plan(sac_infer **infer, const sac_engine *e, const sac_net *net,
                       const sac_params *params, const sac_quant *quant, int parts,
                       sac_error *error) {
    const sac_plan_options options = {
        .batch = 1,
        .backend = e->options.reference ? SAC_BACKEND_REF : SAC_BACKEND_ONEDNN,
        .channels_last = true,
        .channels_last_outputs = true, // the outputs of the heads have one channel
        .quant = quant,
        .bf16 = e->options.precision == SAC_PRECISION_BF16,
        .outputs_u8 = e->features_u8 && net != e->model->net,
        .input_parts = parts};
    // The backend splits its work when the plan is made, so the thread count is set before that.
    sac_nn_set_threads(e->options.threads);
    return sac_infer_create(infer, net, params, &options, error);
}

static sac_status check_outputs(const sac_engine *e, const sac_infer *infer, sac_error *error) {
    bool any = false;
    for (int k = 0; k < SAC_HEADS; k++) {
        if ((e->heads >> k & 1) == 0) continue;
        any = true;
        if (sac_infer_output(infer, sac_heads[k].output) == NULL)
            return sac_error_set(error, SAC_ERROR_FORMAT, -1, "the network lacks output '%s'",
                                 sac_heads[k].output);
    }
    return any ? SAC_OK
               : sac_error_set(error, SAC_ERROR_FORMAT, -1, "the network has no map as output");
}

static sac_status plan_whole(sac_engine *e, sac_error *error) {
    sac_status status = SAC_OK;
    const sac_quant *quant = in_int8(&e->options) ? e->model->quant : NULL;
    const bool parts = quant != NULL && e->input_scale > 0.0f && !e->options.reference;
    SAC_TRY(plan(&e->whole, e, e->model->net, e->model->params, quant, parts ? 3 : 0, error));
    if (parts) {
        e->steps = sac_calloc(3 * e->frame_bytes, 1);
        SAC_TRY_ALLOC(e->steps);
    } else if (sac_infer_input(e->whole, "frames") == NULL &&
               sac_infer_input_u8(e->whole, "frames") == NULL) {
        SAC_TRY(sac_error_set(error, SAC_ERROR_FORMAT, -1, "the network lacks input 'frames'"));
    }
    SAC_TRY(check_outputs(e, e->whole, error));
    return SAC_OK;
fail:
    // All or nothing: a later call makes it anew.
    sac_infer_close(&e->whole);
    sac_free(e->steps);
    e->steps = NULL;
    if (status == SAC_ERROR_MEMORY)
        sac_error_set(error, status, -1, "no memory for the network of three frames");
    return status;
}

// The table with one more name, for an input that stands for another node.
static sac_status extend(sac_quant **out, const sac_quant *quant, const char *name, float scale,
                         sac_error *error) {
    sac_status status = sac_quant_copy(out, quant);
    if (status == SAC_OK && scale > 0.0f) status = sac_quant_set(*out, name, (double)scale, error);
    return status;
}

static sac_status plan_split(sac_engine *e, const sac_split *split, sac_error *error) {
    sac_status status = SAC_OK;
    sac_quant *stem = NULL, *body = NULL;
    if (in_int8(&e->options)) {
        const sac_quant *quant = e->model->quant;
        const float scale = sac_quant_scale(quant, split->features[0]);
        e->features_u8 = scale > 0.0f;
        SAC_TRY(extend(&stem, quant, "frame", e->input_scale, error));
        SAC_TRY(extend(&body, quant, "features", scale, error));
    }
    e->features = sac_strdup(split->features[0]);
    SAC_TRY_ALLOC(e->features);
    SAC_TRY(plan(&e->stem, e, split->stem, split->stem_params, stem, 0, error));
    e->in_parts = e->features_u8 && !e->options.reference;
    SAC_TRY(plan(&e->body, e, split->body, split->body_params, body, e->in_parts ? 3 : 0, error));
    SAC_TRY(check_outputs(e, e->body, error));
    e->macs = macs_of(split->stem) + macs_of(split->body);
    e->places = split->shape.dims[2] * split->shape.dims[3];
    e->feature_place_bytes = split->shape.dims[1] * (e->features_u8 ? 1 : (int64_t)sizeof(float));
    // What the plans made of the table must be what the copies between them assume.
    if ((sac_infer_output_u8(e->stem, e->features) != NULL) != e->features_u8 ||
        (!e->in_parts && (sac_infer_input_u8(e->body, "features") != NULL) != e->features_u8)) {
        status = sac_error_set(error, SAC_ERROR_FORMAT, -1,
                               "the features of '%s' are quantised on one side only", e->features);
    }
fail:
    sac_quant_close(&stem);
    sac_quant_close(&body);
    return status;
}

sac_status sac_engine_create(sac_engine **out, const sac_model *model,
                             const sac_engine_options *options, sac_error *error) {
    sac_status status = SAC_OK;
    sac_split *split = NULL;
    *out = NULL;
    if (options->precision == SAC_PRECISION_AUTO)
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "an engine takes no automatic precision");
    sac_engine *e = sac_calloc(1, sizeof *e);
    SAC_TRY_ALLOC(e);
    e->options = *options;
    e->model = model;
    e->heads = sac_heads_of(model->net);
    e->frame_bytes = sac_preprocess_bytes(&model->preprocess);
    if (in_int8(options)) {
        if (model->quant == NULL) {
            status =
                sac_error_set(error, SAC_ERROR_ARGUMENT, -1, "the model holds no scales for int8");
            goto fail;
        }
        e->input_scale = sac_quant_scale(model->quant, "frames");
        if (e->input_scale > 0.0f) fill_table(e);
    }
    if (!options->whole)
        SAC_TRY(sac_split_create(&split, model->net, model->params,
                                 in_int8(options) ? model->quant : NULL, NULL, error));
    if (split != NULL) {
        SAC_TRY(plan_split(e, split, error));
    } else {
        SAC_TRY(plan_whole(e, error));
        e->macs = macs_of(model->net);
    }
    *out = e;
    e = NULL;
fail:
    sac_split_close(&split);
    sac_engine_close(&e);
    return status;
}

sac_status sac_engine_clone(sac_engine **out, const sac_engine *donor, sac_error *error) {
    sac_status status = SAC_OK;
    *out = NULL;
    sac_engine *e = sac_calloc(1, sizeof *e);
    SAC_TRY_ALLOC(e);
    *e = *donor;
    e->donor = donor;
    e->stem = e->body = e->whole = NULL;
    e->steps = NULL;
    if (donor->stem != NULL) SAC_TRY(sac_infer_clone(&e->stem, donor->stem, error));
    if (donor->body != NULL) SAC_TRY(sac_infer_clone(&e->body, donor->body, error));
    if (donor->body == NULL) SAC_TRY(sac_infer_clone(&e->whole, donor->whole, error));
    if (donor->body == NULL && donor->steps != NULL) {
        e->steps = sac_calloc(3 * e->frame_bytes, 1);
        SAC_TRY_ALLOC(e->steps);
    }
    *out = e;
    e = NULL;
fail:
    sac_engine_close(&e);
    return status;
}

void sac_engine_close(sac_engine **engine) {
    if (engine == NULL || *engine == NULL) return;
    sac_engine *e = *engine;
    sac_infer_close(&e->stem);
    sac_infer_close(&e->body);
    sac_infer_close(&e->whole);
    sac_free(e->steps);
    if (e->donor == NULL) sac_free(e->features);
    sac_free(e);
    *engine = NULL;
}

bool sac_engine_split(const sac_engine *e) {
    return e->body != NULL;
}

int64_t sac_engine_feature_bytes(const sac_engine *e) {
    return e->body != NULL ? e->places * e->feature_place_bytes : e->frame_bytes;
}

int64_t sac_engine_macs(const sac_engine *e) {
    return e->macs;
}

int64_t sac_engine_bytes(const sac_engine *e) {
    const sac_infer *const plans[] = {e->stem, e->body, e->whole};
    int64_t bytes = 0;
    for (int i = 0; i < 3; i++) {
        if (plans[i] != NULL) bytes += sac_infer_arena_bytes(plans[i]);
    }
    return bytes;
}

// count pixels to the values of an int8 input.
static void take_pixels(const sac_engine *e, uint8_t *dst, const uint8_t *src, int64_t count) {
    if (e->pixels) {
        memcpy(dst, src, (size_t)count);
    } else {
        for (int64_t i = 0; i < count; i++) dst[i] = e->table[src[i]];
    }
}

sac_status sac_engine_stem(sac_engine *e, void *features, const uint8_t *frame, sac_error *error) {
    sac_status status = SAC_OK;
    bool in_place = false, out_place = false;
    if (e->stem == NULL) {
        memcpy(features, frame, (size_t)e->frame_bytes);
        return SAC_OK;
    }
    sac_nn_set_threads(e->options.threads);
    if (e->pixels) SAC_TRY(sac_infer_bind_input_u8(e->stem, "frame", 0, frame, &in_place, error));
    if (e->features_u8)
        SAC_TRY(sac_infer_bind_output_u8(e->stem, e->features, features, &out_place, error));
    uint8_t *input = sac_infer_input_u8(e->stem, "frame");
    if (input == NULL) {
        sac_preprocess_normalise(sac_infer_input(e->stem, "frame"), frame, &e->model->preprocess);
    } else if (!in_place) {
        take_pixels(e, input, frame, e->frame_bytes);
    }
    SAC_TRY(sac_infer_run(e->stem, error));
    if (out_place) return SAC_OK;
    const void *output = e->features_u8 ? (const void *)sac_infer_output_u8(e->stem, e->features)
                                        : (const void *)sac_infer_output(e->stem, e->features);
    memcpy(features, output, (size_t)(e->places * e->feature_place_bytes));
fail:
    return status;
}

// dst [places][3 * bytes] of three arrays [places][bytes], in pieces of constant size, so that
// each copy is a register or two instead of a call.
#define INTERLEAVE(size_)                                                                          \
    for (int64_t i = 0; i < places; i++) {                                                         \
        for (int f = 0; f < 3; f++) {                                                              \
            const uint8_t *src = features[f] + i * bytes;                                          \
            for (int64_t k = 0; k < bytes; k += (size_)) memcpy(dst + k, src + k, (size_));        \
            dst += bytes;                                                                          \
        }                                                                                          \
    }

static void interleave(uint8_t *dst, const uint8_t *const features[3], int64_t places,
                       int64_t bytes) {
    if (bytes % 32 == 0) {
        INTERLEAVE(32)
    } else if (bytes % 8 == 0) {
        INTERLEAVE(8)
    } else if (bytes % 4 == 0) {
        INTERLEAVE(4)
    } else if (bytes == 3) {
        INTERLEAVE(3)
    } else if (bytes == 1) {
        const uint8_t *a = features[0], *b = features[1], *c = features[2];
        for (int64_t i = 0; i < places; i++) {
            dst[3 * i] = a[i];
            dst[3 * i + 1] = b[i];
            dst[3 * i + 2] = c[i];
        }
    } else {
        INTERLEAVE(1)
    }
}

void sac_maps_list(const float *list[SAC_HEADS], const sac_maps *maps) {
    const float *const all[SAC_HEADS] = {maps->map16, maps->map4, &maps->map1};
    for (int k = 0; k < SAC_HEADS; k++) list[k] = (maps->heads >> k & 1) != 0 ? all[k] : NULL;
}

static void take_maps(const sac_engine *e, sac_maps *maps, const sac_infer *infer) {
    float *const to[SAC_HEADS] = {maps->map16, maps->map4, &maps->map1};
    maps->heads = e->heads;
    for (int k = 0; k < SAC_HEADS; k++) {
        if ((e->heads >> k & 1) != 0)
            memcpy(to[k], sac_infer_output(infer, sac_heads[k].output),
                   (size_t)sac_heads[k].cells * sizeof(float));
    }
}

// Frame f of the whole network, whose plan was made for that.
static sac_status frame_bind(sac_engine *e, int f, const uint8_t *frame, sac_error *error) {
    bool bound = false;
    return sac_infer_bind_input_u8(e->whole, "frames", f, frame, &bound, error);
}

sac_status sac_engine_body(sac_engine *e, sac_maps *maps, const void *const features[3],
                           sac_error *error) {
    sac_status status = SAC_OK;
    const uint8_t *const bytes[3] = {features[0], features[1], features[2]};
    sac_infer *infer = e->body != NULL ? e->body : e->whole;
    sac_nn_set_threads(e->options.threads);
    if (e->in_parts) {
        bool bound = false; // always: the plan was made for it
        for (int f = 0; f < 3; f++)
            SAC_TRY(sac_infer_bind_input_u8(infer, "features", f, bytes[f], &bound, error));
    } else if (e->body != NULL) {
        uint8_t *input = e->features_u8 ? sac_infer_input_u8(infer, "features")
                                        : (uint8_t *)sac_infer_input(infer, "features");
        interleave(input, bytes, e->places, e->feature_place_bytes);
    } else if (e->steps != NULL) {
        for (int f = 0; f < 3; f++) {
            uint8_t *own = e->steps + f * e->frame_bytes;
            if (!e->pixels) take_pixels(e, own, bytes[f], e->frame_bytes);
            SAC_TRY(frame_bind(e, f, e->pixels ? bytes[f] : own, error));
        }
    } else if (sac_infer_input_u8(infer, "frames") != NULL) {
        uint8_t *input = sac_infer_input_u8(infer, "frames");
        const int64_t channels = e->model->preprocess.channels;
        interleave(input, bytes, e->frame_bytes / channels, channels);
        if (!e->pixels) take_pixels(e, input, input, 3 * e->frame_bytes);
    } else {
        sac_preprocess_stack(sac_infer_input(infer, "frames"), bytes, &e->model->preprocess);
    }
    SAC_TRY(sac_infer_run(infer, error));
    take_maps(e, maps, infer);
fail:
    return status;
}

// The same as `quantise`, but for products with the inverse, n values at a time.
SAC_CLONES static void quantise_all(uint8_t *restrict dst, const float *restrict src, int64_t n,
                                    float inverse) {
    for (int64_t i = 0; i < n; i++) {
        float q = src[i] * inverse;
        q = q > 0.0f ? q : 0.0f;
        q = q < 255.0f ? q : 255.0f;
        dst[i] = (uint8_t)(int32_t)rintf(q);
    }
}

SAC_CLONES_INTEGER static void deal3(uint8_t *restrict a, uint8_t *restrict b, uint8_t *restrict c,
                                     const uint8_t *restrict src, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        a[i] = src[3 * i];
        b[i] = src[3 * i + 1];
        c[i] = src[3 * i + 2];
    }
}

// f32 [H][W][3][C] into three frames of u8 [H][W][C].
static void frames_quantise(const sac_engine *e, const float *input) {
    enum { BLOCK = 256 };
    const int64_t channels = e->model->preprocess.channels, places = e->frame_bytes / channels;
    uint8_t block[BLOCK * 3 * 3];
    for (int64_t x = 0; x < places; x += BLOCK) {
        const int64_t n = places - x < BLOCK ? places - x : BLOCK;
        uint8_t *to[3];
        for (int f = 0; f < 3; f++) to[f] = e->steps + f * e->frame_bytes + x * channels;
        quantise_all(block, input + x * 3 * channels, n * 3 * channels, 1.0f / e->input_scale);
        if (channels == 1) {
            deal3(to[0], to[1], to[2], block, n);
            continue;
        }
        for (int64_t i = 0; i < 3 * n; i++)
            memcpy(to[i % 3] + i / 3 * channels, block + i * channels, (size_t)channels);
    }
}

sac_status sac_engine_prepared(sac_engine *e, sac_maps *maps, const float *input,
                               sac_error *error) {
    sac_status status = SAC_OK;
    sac_nn_set_threads(e->options.threads);
    if (e->whole == NULL) SAC_TRY(plan_whole(e, error));
    uint8_t *u8 = sac_infer_input_u8(e->whole, "frames");
    const int64_t count = e->frame_bytes * 3;
    if (e->steps != NULL) {
        frames_quantise(e, input);
        for (int f = 0; f < 3; f++) SAC_TRY(frame_bind(e, f, e->steps + f * e->frame_bytes, error));
    } else if (u8 != NULL) {
        for (int64_t i = 0; i < count; i++) u8[i] = quantise(input[i], e->input_scale);
    } else {
        memcpy(sac_infer_input(e->whole, "frames"), input, (size_t)count * sizeof *input);
    }
    SAC_TRY(sac_infer_run(e->whole, error));
    take_maps(e, maps, e->whole);
fail:
    return status;
}

sac_status sac_engine_profile(sac_engine *e, int repeats, sac_profile_step **out, int *count,
                              sac_error *error) {
    sac_status status = SAC_OK;
    sac_infer *const plans[2] = {e->stem, e->body != NULL ? e->body : e->whole};
    sac_profile_step *of[2] = {NULL, NULL}, *steps = NULL;
    int counts[2] = {0, 0}, n = 0;
    *out = NULL;
    *count = 0;
    sac_nn_set_threads(e->options.threads);
    for (int k = 0; k < 2; k++) {
        if (plans[k] != NULL)
            SAC_TRY(sac_infer_profile(plans[k], repeats, &of[k], &counts[k], error));
    }
    steps = sac_calloc(counts[0] + counts[1], sizeof *steps);
    SAC_TRY_ALLOC(steps);
    for (int k = 0; k < 2; k++) {
        for (int i = 0; i < counts[k]; i++) steps[n++] = of[k][i];
    }
    *out = steps;
    *count = n;
fail:
    sac_free(of[0]);
    sac_free(of[1]);
    return status;
}
