// Streaming scorer: a ring of prepared gray planes, border replication at both ends of the clip,
// one network run per frame, causal smoothing. No decoding, no files besides the model, no threads
// of its own, no allocation per frame.
#include "student/runtime.h"

#include <math.h>
#include <string.h>

#include "core/check.h"
#include "core/memory.h"
#include "nn/infer.h"

struct sac_student {
    sac_student_options options;
    sac_model *model;
    sac_student_info info;
    sac_preprocessor *preprocessor;
    sac_infer *infer;
    float *input; // of the plan, [H][W][3]
    const float *map16, *map4, *map1;
    int64_t plane_size;

    // Frame i of the stream lies in slot i % slots until slots later ones have been pushed.
    uint8_t *planes; // [slots][H][W]
    uint8_t *spare;  // [H][W] for sac_student_prepare
    double *times;   // [slots]
    int64_t slots;
    int history, lookahead; // frames before and after t that are looked at
    int64_t pushed, pulled;
    bool finished;
    sac_causal_smoother fresh, smoother; // fresh: as after init, to reset without failing
};

sac_student_options sac_student_default_options(void) {
    return (sac_student_options){0};
}

static void fill_info(sac_student *s) {
    const sac_preprocess *p = &s->model->preprocess;
    s->info = (sac_student_info){.arch = s->model->arch,
                                 .width = p->width,
                                 .height = p->height,
                                 .channels = p->channels,
                                 .offsets = {p->offsets[0], p->offsets[1], p->offsets[2]},
                                 .lookahead = s->lookahead,
                                 .parameters = sac_params_elements(s->model->params, true)};
    for (int i = 0; i < sac_net_count(s->model->net); i++) {
        s->info.macs += sac_net_macs(s->model->net, i);
    }
}

sac_status sac_student_create(sac_student **out, sac_model **model,
                              const sac_student_options *options, sac_error *error) {
    sac_status status = SAC_OK;
    *out = NULL;
    sac_student *s = sac_calloc(1, sizeof *s);
    SAC_TRY_ALLOC(s);
    s->model = *model;
    *model = NULL;
    s->options = options != NULL ? *options : sac_student_default_options();
    if (s->options.threads < 0 || s->options.threads > 1024) {
        status = sac_error_set(error, SAC_ERROR_ARGUMENT, -1, "%d threads, 0..1024 expected",
                               s->options.threads);
        goto fail;
    }
    status =
        sac_causal_smoother_init(&s->fresh, s->options.smoothing_sigma, s->options.smoothing_taps);
    if (status < 0) {
        sac_error_set(
            error, status, -1,
            "causal smoothing with sigma %g and %d taps is out of range (at most %d taps)",
            s->options.smoothing_sigma, s->options.smoothing_taps, SAC_SMOOTHING_CAUSAL_TAPS);
        goto fail;
    }
    s->smoother = s->fresh;

    const sac_preprocess *p = &s->model->preprocess;
    s->plane_size = (int64_t)p->width * p->height;
    s->history = p->offsets[0] < 0 ? -p->offsets[0] : 0;
    s->lookahead = p->offsets[2] > 0 ? p->offsets[2] : 0;
    s->slots = s->history + 1 + s->lookahead + SAC_STUDENT_WAITING;
    fill_info(s);
    s->planes = sac_calloc(s->slots * s->plane_size, 1);
    SAC_TRY_ALLOC(s->planes);
    s->spare = sac_calloc(s->plane_size, 1);
    SAC_TRY_ALLOC(s->spare);
    s->times = sac_calloc(s->slots, sizeof *s->times);
    SAC_TRY_ALLOC(s->times);
    SAC_TRY(sac_preprocessor_create(&s->preprocessor, p));

    // The backend splits its work when the plan is made, so the thread count is set before that,
    // too.
    sac_nn_set_threads(s->options.threads);
    const sac_plan_options plan = {.batch = 1,
                                   .backend =
                                       s->options.reference ? SAC_BACKEND_REF : SAC_BACKEND_ONEDNN,
                                   .channels_last = true};
    SAC_TRY(sac_infer_create(&s->infer, s->model->net, s->model->params, &plan, error));
    s->input = sac_infer_input(s->infer, "frames");
    s->map16 = sac_infer_output(s->infer, "map16");
    s->map4 = sac_infer_output(s->infer, "map4");
    s->map1 = sac_infer_output(s->infer, "map1");
    if (s->input == NULL || s->map16 == NULL || s->map4 == NULL || s->map1 == NULL) {
        status = sac_error_set(error, SAC_ERROR_FORMAT, -1,
                               "the network lacks one of frames, map16, map4, map1");
        goto fail;
    }
    *out = s;
    return SAC_OK;
fail:
    sac_model_close(model);
    sac_student_close(&s);
    return sac_error_set(error, status, -1, "the student cannot be prepared: %s",
                         sac_status_name(status));
}

sac_status sac_student_open(sac_student **student, const char *path,
                            const sac_student_options *options, sac_error *error) {
    sac_status status = SAC_OK;
    sac_model *model = NULL;
    if (student == NULL) return sac_error_set(error, SAC_ERROR_ARGUMENT, -1, "student is NULL");
    *student = NULL;
    if (path == NULL) return sac_error_set(error, SAC_ERROR_ARGUMENT, -1, "the model path is NULL");
    SAC_TRY(sac_model_load(&model, path, error));
    SAC_TRY(sac_student_create(student, &model, options, error));
fail:
    return status;
}

const sac_model *sac_student_model(const sac_student *student) {
    return student->model;
}

void sac_student_get_info(const sac_student *student, sac_student_info *info) {
    *info = student->info;
}

// Turns one frame into a gray plane of the network's size, with a message for what the caller got
// wrong.
static sac_status prepare_gray(sac_student *s, uint8_t *gray, const uint8_t *pixels, int width,
                               int height, int channels, sac_error *error) {
    sac_status status =
        sac_preprocessor_frame(s->preprocessor, gray, pixels, width, height, channels);
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

sac_status sac_student_push(sac_student *s, const uint8_t *pixels, int width, int height,
                            int channels, double time_s, sac_error *error) {
    sac_status status = SAC_OK;
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
    // The new frame takes the slot of frame pushed - slots, which frame `pulled` may still look at.
    if (s->pushed - s->slots >= s->pulled - s->history) {
        return sac_error_set(
            error, SAC_ERROR_ARGUMENT, s->pushed,
            "frame %lld: more than %d results wait; pull until SAC_AGAIN after each push",
            (long long)s->pushed, SAC_STUDENT_WAITING);
    }
    int64_t slot = s->pushed % s->slots;
    SAC_TRY(
        prepare_gray(s, s->planes + slot * s->plane_size, pixels, width, height, channels, error));
    s->times[slot] = time_s;
    s->pushed++;
fail:
    return status;
}

sac_status sac_student_finish(sac_student *s, sac_error *error) {
    (void)error;
    s->finished = true;
    return SAC_OK;
}

// Runs the network on what lies in s->input and fills everything but frame, time and smoothing.
static sac_status run(sac_student *s, int64_t frame, sac_result *result, sac_error *error) {
    sac_status status = SAC_OK;
    sac_nn_set_threads(s->options.threads);
    SAC_TRY(sac_infer_run(s->infer, error));
    bool finite = isfinite(s->map1[0]);
    int peak = 0;
    for (int i = 0; i < SAC_MAP_COARSE * SAC_MAP_COARSE; i++)
        finite = finite && isfinite(s->map4[i]);
    for (int i = 0; i < SAC_MAP_FINE * SAC_MAP_FINE; i++) {
        finite = finite && isfinite(s->map16[i]);
        if (s->map16[i] > s->map16[peak]) peak = i;
    }
    if (!finite) {
        return sac_error_set(error, SAC_ERROR_NUMERIC, frame,
                             "frame %lld: the network's score is not finite", (long long)frame);
    }
    float score = sac_frame_score(s->map16, s->map4, s->map1[0]);
    *result = (sac_result){.score = score,
                           .score_smoothed = score,
                           .peak_x = ((float)(peak % SAC_MAP_FINE) + 0.5f) / SAC_MAP_FINE,
                           .peak_y = ((float)(peak / SAC_MAP_FINE) + 0.5f) / SAC_MAP_FINE,
                           .map16 = s->map16,
                           .map4 = s->map4,
                           .map1 = s->map1[0]};
fail:
    return status;
}

sac_status sac_student_pull(sac_student *s, sac_result *result, sac_error *error) {
    sac_status status = SAC_OK;
    const int64_t t = s->pulled;
    if (t >= s->pushed) return s->finished ? SAC_EOF : SAC_AGAIN;
    if (!s->finished && t + s->lookahead >= s->pushed) return SAC_AGAIN;
    const uint8_t *planes[3];
    for (int i = 0; i < 3; i++) {
        int64_t frame = t + s->model->preprocess.offsets[i];
        if (frame < 0) frame = 0;
        if (frame >= s->pushed) frame = s->pushed - 1;
        planes[i] = s->planes + frame % s->slots * s->plane_size;
    }
    sac_preprocess_stack(s->input, planes, &s->model->preprocess);
    SAC_TRY(run(s, t, result, error));
    result->frame = t;
    result->time_s = s->times[t % s->slots];
    result->score_smoothed = sac_causal_smoother_push(&s->smoother, result->score);
    s->pulled++;
    return SAC_OK;
fail:
    return status;
}

void sac_student_reset(sac_student *s) {
    s->pushed = 0;
    s->pulled = 0;
    s->finished = false;
    s->smoother = s->fresh;
}

sac_status sac_student_score_prepared(sac_student *s, const float *input, sac_result *result,
                                      sac_error *error) {
    if (input == NULL || result == NULL) {
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1, "input or result is NULL");
    }
    memcpy(s->input, input, (size_t)s->plane_size * 3 * sizeof *input);
    return run(s, 0, result, error);
}

sac_status sac_student_prepare(sac_student *s, float *plane, const uint8_t *pixels, int width,
                               int height, int channels, sac_error *error) {
    sac_status status = SAC_OK;
    if (plane == NULL) return sac_error_set(error, SAC_ERROR_ARGUMENT, -1, "plane is NULL");
    SAC_TRY(prepare_gray(s, s->spare, pixels, width, height, channels, error));
    sac_preprocess_plane(plane, s->spare, &s->model->preprocess);
fail:
    return status;
}

void sac_student_close(sac_student **student) {
    if (student == NULL || *student == NULL) return;
    sac_student *s = *student;
    sac_infer_close(&s->infer);
    sac_preprocessor_close(&s->preprocessor);
    sac_free(s->planes);
    sac_free(s->spare);
    sac_free(s->times);
    sac_model_close(&s->model);
    sac_free(s);
    *student = NULL;
}
