// The public runtime: a model with its plans, and the streams that are scored with them, on the
// calling thread or on the workers of a pool. No decoding, no files besides the model, no
// allocation per frame.
#include "student/runtime.h"

#include <math.h>
#include <string.h>

#include "core/check.h"
#include "core/memory.h"
#include "core/time.h"
#include "nn/infer.h"
#include "student/pool.h"
#include "student/timeline.h"

// What students of one model have in common.
typedef struct base {
    sac_student_options options;
    sac_model *model;
    sac_engine *engine;
    sac_student_info info;
    char backend[64];
} base;

struct sac_student_pool {
    base base;
    sac_pool *workers;
    int ahead; // results of one stream that may be under way
};

struct sac_student {
    base own;         // unless the plans are another's
    const base *base; // own, the host's or the pool's
    sac_student_pool *pool;
    sac_preprocessor *preprocessor;
    sac_timeline *stream;
    sac_seat *seat;    // of the stream in the pool
    uint8_t *spare;    // a network frame for sac_student_prepare
    sac_maps prepared; // of sac_student_score_prepared
    int64_t pushed;
    bool finished;
};

sac_student_options sac_student_default_options(void) {
    return (sac_student_options){.threads = 1};
}

const char *sac_precision_name(sac_precision precision) {
    return precision == SAC_PRECISION_AUTO   ? "auto"
           : precision == SAC_PRECISION_F32  ? "f32"
           : precision == SAC_PRECISION_BF16 ? "bf16"
                                             : "int8";
}

const float *sac_result_finest(const sac_result *r, int *side) {
    *side = r->map16 != NULL ? SAC_MAP_FINE : r->map4 != NULL ? SAC_MAP_COARSE : 1;
    return r->map16 != NULL ? r->map16 : r->map4 != NULL ? r->map4 : &r->map1;
}

// ---- what students share ------------------------------------------------------------------------

static void fill_info(base *b) {
    const sac_model *model = b->model;
    const sac_preprocess *p = &model->preprocess;
    b->info.arch = model->arch;
    b->info.width = p->width;
    b->info.height = p->height;
    b->info.channels = p->channels;
    memcpy(b->info.offsets, p->offsets, sizeof b->info.offsets);
    const unsigned heads = sac_heads_of(model->net);
    b->info.has_map16 = (heads & 1) != 0;
    b->info.has_map4 = (heads & 2) != 0;
    b->info.has_map1 = (heads & 4) != 0;
    b->info.lookahead = p->offsets[2] > 0 ? p->offsets[2] : 0;
    b->info.parameters = sac_params_elements(model->params, true);
    for (int i = 0; i < sac_net_count(model->net); i++) b->info.macs += sac_net_macs(model->net, i);
    b->info.split = sac_engine_split(b->engine);
    b->info.macs_per_frame = sac_engine_macs(b->engine);
    b->info.plan_bytes = sac_engine_bytes(b->engine);
    (void)snprintf(b->backend, sizeof b->backend, "%s",
                   b->options.reference ? "plain reference" : sac_nn_backend_version());
    b->info.backend = b->backend;
    b->info.isa = b->options.reference ? "portable" : sac_nn_isa();
}

static void base_close(base *b) {
    sac_engine_close(&b->engine);
    sac_model_close(&b->model);
}

// Takes the model over, also on failure.
static sac_status base_create(base *b, sac_model **model, const sac_student_options *options,
                              int threads, sac_error *error) {
    sac_status status = SAC_OK;
    b->model = *model;
    *model = NULL;
    b->options = options != NULL ? *options : sac_student_default_options();
    if (b->options.threads < 0 || b->options.threads > 1024) {
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1, "%d threads, 0..1024 expected",
                             b->options.threads);
    }
    const sac_precision wanted = b->options.precision;
    if (wanted < SAC_PRECISION_AUTO || wanted > SAC_PRECISION_BF16)
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1, "precision %d is not known",
                             (int)wanted);
    if (wanted == SAC_PRECISION_INT8 && b->model->quant == NULL) {
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "the model holds no scales for int8: distill quantises one, or choose "
                             "precision f32 or auto");
    }
    const bool int8 =
        wanted == SAC_PRECISION_INT8 ||
        (wanted == SAC_PRECISION_AUTO && b->model->quant != NULL && sac_quant_cpu_is_fast());
    const bool bf16 = wanted == SAC_PRECISION_BF16 && (b->options.reference || sac_nn_has_bf16());
    b->info.precision = int8 ? SAC_PRECISION_INT8 : bf16 ? SAC_PRECISION_BF16 : SAC_PRECISION_F32;
    const double start = sac_time_s();
    const sac_engine_options engine = {.threads = threads >= 0 ? threads : b->options.threads,
                                       .reference = b->options.reference,
                                       .precision = b->info.precision};
    SAC_TRY(sac_engine_create(&b->engine, b->model, &engine, error));
    b->info.plan_ms = (sac_time_s() - start) * 1e3;
    fill_info(b);
fail:
    return status;
}

// Preprocessing, rings and result places of one stream.
static sac_status student_fill(sac_student *s, int ahead, sac_error *error) {
    sac_status status = SAC_OK;
    const base *b = s->base;
    const sac_preprocess *p = &b->model->preprocess;
    const sac_timeline_options stream = {.ahead = ahead,
                                         .gate = b->options.gate,
                                         .smoothing_sigma = b->options.smoothing_sigma,
                                         .smoothing_taps = b->options.smoothing_taps};
    SAC_TRY(sac_timeline_create(&s->stream, p, b->engine, &stream, error));
    s->spare = sac_calloc(sac_preprocess_bytes(p), 1);
    SAC_TRY_ALLOC(s->spare);
    SAC_TRY(sac_preprocessor_create(&s->preprocessor, p));
fail:
    return status;
}

sac_status sac_student_create(sac_student **out, sac_model **model,
                              const sac_student_options *options, sac_error *error) {
    sac_status status = SAC_OK;
    *out = NULL;
    sac_student *s = sac_calloc(1, sizeof *s);
    SAC_TRY_ALLOC(s);
    s->base = &s->own;
    SAC_TRY(base_create(&s->own, model, options, -1, error));
    SAC_TRY(student_fill(s, 1, error));
    *out = s;
    return SAC_OK;
fail:
    sac_model_close(model);
    sac_student_close(&s);
    return sac_error_set(error, status, -1, "the student cannot be prepared: %s",
                         sac_status_name(status));
}

static sac_status load(sac_model **model, double *load_ms, const char *path, sac_error *error) {
    if (path == NULL) return sac_error_set(error, SAC_ERROR_ARGUMENT, -1, "the model path is NULL");
    const double start = sac_time_s();
    const sac_status status = sac_model_load(model, path, error);
    *load_ms = (sac_time_s() - start) * 1e3;
    return status;
}

sac_status sac_student_open(sac_student **student, const char *path,
                            const sac_student_options *options, sac_error *error) {
    sac_status status = SAC_OK;
    sac_model *model = NULL;
    double load_ms = 0;
    if (student == NULL) return sac_error_set(error, SAC_ERROR_ARGUMENT, -1, "student is NULL");
    *student = NULL;
    SAC_TRY(load(&model, &load_ms, path, error));
    SAC_TRY(sac_student_create(student, &model, options, error));
    (*student)->own.info.load_ms = load_ms;
fail:
    return status;
}

sac_status sac_student_beside(sac_student *host, sac_student **out, sac_error *error) {
    sac_status status = SAC_OK;
    *out = NULL;
    if (host->base != &host->own) {
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "the host has no plans of its own: it belongs to %s",
                             host->pool != NULL ? "a pool" : "another host");
    }
    sac_student *s = sac_calloc(1, sizeof *s);
    SAC_TRY_ALLOC(s);
    s->base = &host->own;
    SAC_TRY(student_fill(s, 1, error));
    *out = s;
    return SAC_OK;
fail:
    sac_student_close(&s);
    return sac_error_set(error, status, -1, "a student beside another cannot be prepared: %s",
                         sac_status_name(status));
}

void sac_student_close(sac_student **student) {
    if (student == NULL || *student == NULL) return;
    sac_student *s = *student;
    sac_seat_close(&s->seat);
    sac_timeline_close(&s->stream);
    sac_preprocessor_close(&s->preprocessor);
    sac_free(s->spare);
    base_close(&s->own);
    sac_free(s);
    *student = NULL;
}

const sac_model *sac_student_model(const sac_student *student) {
    return student->base->model;
}

void sac_student_get_info(const sac_student *student, sac_student_info *info) {
    *info = student->base->info;
}

// ---- pool ---------------------------------------------------------------------------------------

sac_status sac_student_pool_create(sac_student_pool **out, sac_model **model,
                                   const sac_student_options *options,
                                   const sac_student_pool_options *pool_options, sac_error *error) {
    sac_status status = SAC_OK;
    const sac_student_pool_options wanted =
        pool_options != NULL ? *pool_options : (sac_student_pool_options){0};
    *out = NULL;
    sac_student_pool *pool = sac_calloc(1, sizeof *pool);
    SAC_TRY_ALLOC(pool);
    if (wanted.workers < 0 || wanted.workers > 1024) {
        status = sac_error_set(error, SAC_ERROR_ARGUMENT, -1, "%d workers, 0..1024 expected",
                               wanted.workers);
        goto fail;
    }
    const int workers = wanted.workers > 0 ? wanted.workers : sac_core_count();
    // Enough for every worker to find a result to work on while others are handed out.
    pool->ahead =
        2 * workers + 2 < SAC_STUDENT_WAITING - 1 ? 2 * workers + 2 : SAC_STUDENT_WAITING - 1;
    SAC_TRY(base_create(&pool->base, model, options, 1, error));
    SAC_TRY(sac_pool_create(&pool->workers, pool->base.engine, workers, wanted.pin, error));
    pool->base.info.plan_bytes = sac_pool_bytes(pool->workers);
    *out = pool;
    return SAC_OK;
fail:
    sac_model_close(model);
    sac_student_pool_close(&pool);
    return sac_error_set(error, status, -1, "the students cannot be prepared: %s",
                         sac_status_name(status));
}

sac_status sac_student_pool_open(sac_student_pool **pool, const char *path,
                                 const sac_student_options *options,
                                 const sac_student_pool_options *pool_options, sac_error *error) {
    sac_status status = SAC_OK;
    sac_model *model = NULL;
    double load_ms = 0;
    if (pool == NULL) return sac_error_set(error, SAC_ERROR_ARGUMENT, -1, "pool is NULL");
    *pool = NULL;
    SAC_TRY(load(&model, &load_ms, path, error));
    SAC_TRY(sac_student_pool_create(pool, &model, options, pool_options, error));
    (*pool)->base.info.load_ms = load_ms;
fail:
    return status;
}

sac_status sac_student_pool_stream(sac_student_pool *pool, sac_student **out, sac_error *error) {
    sac_status status = SAC_OK;
    *out = NULL;
    sac_student *s = sac_calloc(1, sizeof *s);
    SAC_TRY_ALLOC(s);
    s->base = &pool->base;
    s->pool = pool;
    SAC_TRY(student_fill(s, pool->ahead, error));
    SAC_TRY(sac_seat_create(&s->seat, pool->workers, s->stream));
    *out = s;
    return SAC_OK;
fail:
    sac_student_close(&s);
    return sac_error_set(error, status, -1, "a student of the pool cannot be prepared: %s",
                         sac_status_name(status));
}

const sac_model *sac_student_pool_model(const sac_student_pool *pool) {
    return pool->base.model;
}

void sac_student_pool_get_info(const sac_student_pool *pool, sac_student_info *info) {
    *info = pool->base.info;
}

int sac_student_pool_workers(const sac_student_pool *pool) {
    return sac_pool_workers(pool->workers);
}

void sac_student_pool_close(sac_student_pool **slot) {
    if (slot == NULL || *slot == NULL) return;
    sac_pool_close(&(*slot)->workers);
    base_close(&(*slot)->base);
    sac_free(*slot);
    *slot = NULL;
}

// ---- frames in ----------------------------------------------------------------------------------

// Turns one frame into a network frame, with a message for what the caller got wrong.
static sac_status prepare_frame(sac_student *s, uint8_t *frame, const uint8_t *pixels, int width,
                                int height, int channels, sac_error *error) {
    sac_status status =
        sac_preprocessor_frame(s->preprocessor, frame, pixels, width, height, channels);
    if (status == SAC_ERROR_ARGUMENT) {
        return sac_error_set(
            error, status, s->pushed,
            "frame %lld: %s %dx%d with %d channels; sides of 1..16384 and 1 or 3 channels "
            "expected",
            (long long)s->pushed, pixels == NULL ? "no pixels," : "", width, height, channels);
    }
    if (status < 0) {
        return sac_error_set(error, status, s->pushed, "frame %lld of %dx%d cannot be scaled: %s",
                             (long long)s->pushed, width, height, sac_status_name(status));
    }
    return SAC_OK;
}

// Checks that a frame may come now, and where it goes.
static sac_status begin_push(sac_student *s, uint8_t **frame, double time_s, sac_error *error) {
    if (s->finished) {
        return sac_error_set(error, SAC_ERROR_ARGUMENT, s->pushed,
                             "frame %lld: pushed after the stream was finished; reset first",
                             (long long)s->pushed);
    }
    if (!isfinite(time_s)) {
        return sac_error_set(error, SAC_ERROR_ARGUMENT, s->pushed,
                             "frame %lld: its presentation time is not finite",
                             (long long)s->pushed);
    }
    *frame = s->seat != NULL ? sac_seat_frame(s->seat) : sac_timeline_frame(s->stream);
    if (*frame == NULL) {
        return sac_error_set(
            error, SAC_ERROR_ARGUMENT, s->pushed,
            "frame %lld: more than %d results wait; pull until SAC_AGAIN after each push",
            (long long)s->pushed, SAC_STUDENT_WAITING);
    }
    return SAC_OK;
}

static void end_push(sac_student *s, double time_s) {
    sac_timeline_gate(s->stream);
    if (s->seat != NULL) {
        sac_seat_commit(s->seat, time_s);
    } else {
        sac_timeline_commit(s->stream, time_s);
    }
    s->pushed++;
}

sac_status sac_student_push(sac_student *s, const uint8_t *pixels, int width, int height,
                            int channels, double time_s, sac_error *error) {
    sac_status status = SAC_OK;
    uint8_t *frame = NULL;
    SAC_TRY(begin_push(s, &frame, time_s, error));
    SAC_TRY(prepare_frame(s, frame, pixels, width, height, channels, error));
    end_push(s, time_s);
fail:
    return status;
}

sac_status sac_student_push_luma(sac_student *s, const sac_luma *luma, double time_s,
                                 sac_error *error) {
    sac_status status = SAC_OK;
    uint8_t *frame = NULL;
    SAC_TRY(begin_push(s, &frame, time_s, error));
    status = sac_preprocessor_luma(s->preprocessor, frame, luma);
    if (status == SAC_ERROR_ARGUMENT) {
        return sac_error_set(error, status, s->pushed,
                             "frame %lld: a luma plane of %dx%d with %lld bytes from row to row; "
                             "sides of 1..16384 and rows that do not overlap expected",
                             (long long)s->pushed, luma != NULL ? luma->width : 0,
                             luma != NULL ? luma->height : 0,
                             luma != NULL ? (long long)luma->stride : 0);
    }
    if (status < 0) {
        return sac_error_set(error, status, s->pushed, "frame %lld of %dx%d cannot be scaled: %s",
                             (long long)s->pushed, luma->width, luma->height,
                             sac_status_name(status));
    }
    end_push(s, time_s);
fail:
    return status;
}

sac_status sac_student_push_plane(sac_student *s, const uint8_t *plane, double time_s,
                                  sac_error *error) {
    sac_status status = SAC_OK;
    uint8_t *to = NULL;
    SAC_TRY(begin_push(s, &to, time_s, error));
    if (plane == NULL) {
        return sac_error_set(error, SAC_ERROR_ARGUMENT, s->pushed, "frame %lld: no plane",
                             (long long)s->pushed);
    }
    memcpy(to, plane, (size_t)sac_preprocess_bytes(&s->base->model->preprocess));
    end_push(s, time_s);
fail:
    return status;
}

sac_status sac_student_finish(sac_student *s, sac_error *error) {
    (void)error;
    s->finished = true;
    if (s->seat != NULL) {
        sac_seat_finish(s->seat);
    } else {
        sac_timeline_finish(s->stream);
    }
    return SAC_OK;
}

void sac_student_reset(sac_student *s) {
    s->pushed = 0;
    s->finished = false;
    if (s->seat != NULL) {
        sac_seat_reset(s->seat);
    } else {
        sac_timeline_reset(s->stream);
    }
}

// ---- results out --------------------------------------------------------------------------------

void sac_student_wait(sac_student *s) {
    if (s->seat != NULL) (void)sac_seat_look(s->seat, true);
}

int64_t sac_student_reused(sac_student *s) {
    return s->seat != NULL ? sac_seat_reused(s->seat) : sac_timeline_reused(s->stream);
}

sac_status sac_student_pull(sac_student *s, sac_result *result, sac_error *error) {
    sac_timeline_state state =
        s->seat != NULL ? sac_seat_look(s->seat, false) : sac_timeline_look(s->stream);
    sac_task task;
    while (s->seat == NULL && (state == SAC_TIMELINE_BUSY || state == SAC_TIMELINE_FULL)) {
        if (sac_timeline_claim(s->stream, &task)) {
            sac_task_run(&task, s->base->engine);
            sac_task_done(&task);
        }
        state = sac_timeline_look(s->stream);
    }
    if (state == SAC_TIMELINE_EOF) return SAC_EOF;
    if (state != SAC_TIMELINE_READY) return SAC_AGAIN;
    return s->seat != NULL ? sac_seat_take(s->seat, result, error)
                           : sac_timeline_take(s->stream, result, error);
}

sac_status sac_student_score_prepared(sac_student *s, const float *input, sac_result *result,
                                      sac_error *error) {
    sac_status status = SAC_OK;
    if (input == NULL || result == NULL) {
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1, "input or result is NULL");
    }
    if (s->base != &s->own) {
        return sac_error_set(error, SAC_ERROR_UNSUPPORTED, -1,
                             "students of a pool or beside a host score streams only; open one of "
                             "its own");
    }
    SAC_TRY(sac_engine_prepared(s->own.engine, &s->prepared, input, error));
    SAC_TRY(sac_maps_result(result, &s->prepared, 0, error));
fail:
    return status;
}

sac_status sac_student_prepare(sac_student *s, float *plane, const uint8_t *pixels, int width,
                               int height, int channels, sac_error *error) {
    sac_status status = SAC_OK;
    if (plane == NULL) return sac_error_set(error, SAC_ERROR_ARGUMENT, -1, "plane is NULL");
    SAC_TRY(prepare_frame(s, s->spare, pixels, width, height, channels, error));
    sac_preprocess_normalise(plane, s->spare, &s->base->model->preprocess);
fail:
    return status;
}
