// Runs a student over a clip in batches; see distill/chain.h.
#include "distill/chain.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/check.h"
#include "core/memory.h"
#include "core/spill.h"
#include "distill/initial.h"
#include "nn/infer.h"
#include "student/heads.h"

#define BATCH 16

struct sac_chain {
    sac_model *model;
    sac_infer *infer;
    sac_preprocessor *preprocessor;
};

void sac_chain_close(sac_chain **chain) {
    if (chain == NULL || *chain == NULL) return;
    sac_preprocessor_close(&(*chain)->preprocessor);
    sac_infer_close(&(*chain)->infer);
    sac_model_close(&(*chain)->model);
    sac_free(*chain);
    *chain = NULL;
}

sac_status sac_chain_open(sac_chain **out, const char *path, sac_backend backend,
                          sac_error *error) {
    sac_status status = SAC_OK;
    const sac_plan_options plan = {.batch = BATCH, .backend = backend, .channels_last = true};
    *out = NULL;
    sac_chain *chain = sac_calloc(1, sizeof *chain);
    SAC_TRY_ALLOC(chain);
    SAC_TRY(sac_model_load(&chain->model, path, error));
    if ((sac_heads_of(chain->model->net) & 1) == 0) {
        status = sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                               "%s: has no 16x16 map, which a student needs to teach", path);
        goto fail;
    }
    SAC_TRY(sac_preprocessor_create(&chain->preprocessor, &chain->model->preprocess));
    SAC_TRY(sac_infer_create(&chain->infer, chain->model->net, chain->model->params, &plan, error));
    *out = chain;
    return SAC_OK;
fail:
    sac_chain_close(&chain);
    return sac_error_set(error, status, -1, "%s: %s", path, sac_status_name(status));
}

// A map that the student has not: the largest value of its 16x16 map within each cell, as teachers'
// maps are made.
static void coarsen(float *map, const float *fine, int64_t n, int side) {
    const int step = sac_heads[0].side / side;
    memset(map, 0, (size_t)(n * side * side) * sizeof *map);
    for (int64_t i = 0; i < n * sac_heads[0].cells; i++) {
        const int64_t x = i % sac_heads[0].side, y = i / sac_heads[0].side % sac_heads[0].side;
        float *cell = &map[(i / sac_heads[0].cells * side + y / step) * side + x / step];
        *cell = fine[i] > *cell ? fine[i] : *cell;
    }
}

// Values that a network with finite weights can still miss: sigmoids of infinities.
static sac_status batch_take(sac_chain *chain, float *const maps[3], int64_t first, int64_t n,
                             sac_error *error) {
    for (int k = 0; k < SAC_HEADS; k++) {
        const float *values = sac_infer_output(chain->infer, sac_heads[k].output);
        const int64_t cells = sac_heads[k].cells;
        if (values == NULL) {
            coarsen(maps[k] + first * cells, maps[0] + first * sac_heads[0].cells, n,
                    sac_heads[k].side);
            continue;
        }
        for (int64_t i = 0; i < n * cells; i++) {
            if (values[i] >= 0 && values[i] <= 1) continue;
            return sac_error_set(error, SAC_ERROR_NUMERIC, first + i / cells,
                                 "frame %" PRId64 ": %s of the student is not in [0, 1]",
                                 first + i / cells + 1, sac_heads[k].output);
        }
        memcpy(maps[k] + first * cells, values, (size_t)(n * cells) * sizeof(float));
    }
    return SAC_OK;
}

sac_status sac_chain_maps(sac_chain *chain, sac_maps *maps, const uint8_t *pixels, int64_t frames,
                          int width, int height, int channels, bool (*stop)(void),
                          sac_error *error) {
    sac_status status = SAC_OK;
    const sac_preprocess *p = &chain->model->preprocess;
    const int64_t size = sac_preprocess_bytes(p), source = (int64_t)width * height * channels;
    float *input = sac_infer_input(chain->infer, "frames");
    *maps = (sac_maps){.frames = frames};
    void *block = NULL;
    maps->map16 = sac_calloc(frames * sac_heads[0].cells, sizeof(float));
    maps->map4 = sac_calloc(frames * sac_heads[1].cells, sizeof(float));
    maps->map1 = sac_calloc(frames, sizeof(float));
    SAC_TRY_ALLOC(maps->map16);
    SAC_TRY_ALLOC(maps->map4);
    SAC_TRY_ALLOC(maps->map1);
    SAC_TRY(sac_spill_alloc(&block, frames, (size_t)size, frames * source, error));
    uint8_t *const seen = block;
    for (int64_t t = 0; t < frames; t++) {
        SAC_TRY(sac_preprocessor_frame(chain->preprocessor, seen + t * size, pixels + t * source,
                                       width, height, channels));
    }
    float *const to[3] = {maps->map16, maps->map4, maps->map1};
    for (int64_t at = 0; at < frames; at += BATCH) {
        const int64_t n = frames - at < BATCH ? frames - at : BATCH;
        if (stop != NULL && stop()) {
            status = SAC_ERROR_INTERRUPTED;
            goto fail;
        }
        for (int64_t i = 0; i < n; i++) {
            const uint8_t *three[3];
            for (int k = 0; k < 3; k++) {
                const int64_t t = at + i + p->offsets[k];
                three[k] = seen + (t < 0 ? 0 : t >= frames ? frames - 1 : t) * size;
            }
            sac_preprocess_stack(input + i * 3 * size, three, p);
        }
        SAC_TRY(sac_infer_run(chain->infer, error));
        SAC_TRY(batch_take(chain, to, at, n, error));
    }
    sac_spill_free(block);
    return SAC_OK;
fail:
    sac_spill_free(block);
    sac_maps_close(maps);
    return status;
}

json_t *sac_chain_origin(const sac_chain *chain) {
    char digest[17];
    (void)snprintf(digest, sizeof digest, "%016" PRIx64, sac_initial_digest(chain->model->params));
    return json_pack("{s:s, s:o, s:s}", "student", chain->model->arch, "preprocess",
                     sac_preprocess_to_json(&chain->model->preprocess), "weights", digest);
}

const sac_model *sac_chain_model(const sac_chain *chain) {
    return chain->model;
}

bool sac_chain_mirrors(const sac_chain *chain) {
    const json_t *training = json_object_get(chain->model->provenance, "training");
    return json_number_value(json_object_get(training, "flip")) > 0;
}
