// Rings and bookkeeping of a stream; see student/timeline.h. Frame i lies in slot i modulo the size
// of each ring; the conditions on claims are what keeps a slot from being used twice.
#include "student/timeline.h"

#include <math.h>
#include <string.h>

#include "core/check.h"
#include "core/memory.h"

typedef struct place {
    sac_maps maps;
    sac_result result;
    sac_status status;
    sac_error error;
    bool done;
} place;

typedef struct stem {
    sac_status status;
    sac_error error;
    bool done;
} stem;

struct sac_timeline {
    sac_preprocess preprocess;
    int64_t frame_bytes, feature_bytes;
    bool split;
    int history, lookahead, ahead; // frames before and after t that are looked at

    uint8_t *frames;              // [frame_slots][frame_bytes], untouched until they are needed
    int *frame_at;                // [frame_slots]: the place in `frames` that a frame has
    int *free_frames, free_count; // [frame_slots], split: a stack, so that few are ever touched
    bool frame_taken;             // split: frame `pushed` has its place already
    double *times;                // [frame_slots]
    bool *same;                   // [frame_slots]: the frame equals the one before, by the gate
    uint8_t *anchor;              // [frame_bytes], gate: the last frame that was not replaced
    float *blocks; // gate: mean absolute difference of each block, and as many to sort
    int64_t frame_slots, block_count;

    uint8_t *features; // split: [feature_slots][feature_bytes]
    stem *stem_places; // [feature_slots]
    int64_t feature_slots;

    place *places; // [place_slots]
    int64_t place_slots;

    // Frames and results below these counts: committed; whose stem was claimed, whose body was;
    // whose stems and bodies are all done; that were taken.
    int64_t pushed, next_stem, next_body, stems, bodies, pulled, reused;
    int running;
    bool finished;
    sac_causal_smoother fresh, smoother; // fresh: as after init, to reset without failing
};

enum { BLOCK = 8 };

// Of a network that runs whole every frame has the place of its slot, as long as results look at
// it; where it is split, a place is free again when the stem has seen the frame.
static void free_all_frames(sac_timeline *s) {
    for (int i = 0; i < s->frame_slots; i++) s->frame_at[i] = s->free_frames[i] = i;
    s->free_count = (int)s->frame_slots;
    s->frame_taken = false;
}

sac_status sac_timeline_create(sac_timeline **out, const sac_preprocess *p,
                               const sac_engine *engine, const sac_timeline_options *options,
                               sac_error *error) {
    sac_status status = SAC_OK;
    *out = NULL;
    sac_timeline *s = sac_calloc(1, sizeof *s);
    SAC_TRY_ALLOC(s);
    status = sac_causal_smoother_init(&s->fresh, options->smoothing_sigma, options->smoothing_taps);
    if (status < 0) {
        sac_error_set(
            error, status, -1,
            "causal smoothing with sigma %g and %d taps is out of range (at most %d taps)",
            options->smoothing_sigma, options->smoothing_taps, SAC_SMOOTHING_CAUSAL_TAPS);
        goto fail;
    }
    s->smoother = s->fresh;
    s->preprocess = *p;
    s->frame_bytes = sac_preprocess_bytes(p);
    s->split = sac_engine_split(engine);
    s->feature_bytes = sac_engine_feature_bytes(engine);
    s->history = p->offsets[0] < 0 ? -p->offsets[0] : 0;
    s->lookahead = p->offsets[2] > 0 ? p->offsets[2] : 0;
    s->ahead = options->ahead;
    // Frames before the first offset are in no result: results may run ahead of their stems.
    s->frame_slots = s->history + 1 + s->lookahead +
                     (p->offsets[0] > 0 ? 2 * SAC_STUDENT_WAITING : SAC_STUDENT_WAITING);
    s->feature_slots = s->split ? s->history + 1 + s->lookahead + s->ahead : 0;
    s->place_slots = s->ahead + 1; // the result taken last stays valid
    s->frames = sac_reserve(s->frame_slots * s->frame_bytes, 1);
    SAC_TRY_ALLOC(s->frames);
    s->frame_at = sac_calloc(s->frame_slots, sizeof *s->frame_at);
    SAC_TRY_ALLOC(s->frame_at);
    s->free_frames = sac_calloc(s->frame_slots, sizeof *s->free_frames);
    SAC_TRY_ALLOC(s->free_frames);
    free_all_frames(s);
    s->times = sac_calloc(s->frame_slots, sizeof *s->times);
    SAC_TRY_ALLOC(s->times);
    s->same = sac_calloc(s->frame_slots, sizeof *s->same);
    SAC_TRY_ALLOC(s->same);
    if (options->gate) {
        s->anchor = sac_calloc(s->frame_bytes, 1);
        SAC_TRY_ALLOC(s->anchor);
        s->block_count =
            (int64_t)((p->width + BLOCK - 1) / BLOCK) * ((p->height + BLOCK - 1) / BLOCK);
        s->blocks = sac_calloc(2 * s->block_count, sizeof *s->blocks);
        SAC_TRY_ALLOC(s->blocks);
    }
    s->features = sac_calloc(s->feature_slots * s->feature_bytes, 1);
    SAC_TRY_ALLOC(s->features);
    s->stem_places = sac_calloc(s->feature_slots, sizeof *s->stem_places);
    SAC_TRY_ALLOC(s->stem_places);
    s->places = sac_calloc(s->place_slots, sizeof *s->places);
    SAC_TRY_ALLOC(s->places);
    *out = s;
    return SAC_OK;
fail:
    sac_timeline_close(&s);
    return status;
}

void sac_timeline_close(sac_timeline **stream) {
    if (stream == NULL || *stream == NULL) return;
    sac_timeline *s = *stream;
    sac_free(s->frames);
    sac_free(s->frame_at);
    sac_free(s->free_frames);
    sac_free(s->times);
    sac_free(s->same);
    sac_free(s->anchor);
    sac_free(s->blocks);
    sac_free(s->features);
    sac_free(s->stem_places);
    sac_free(s->places);
    sac_free(s);
    *stream = NULL;
}

// ---- frames -------------------------------------------------------------------------------------

static uint8_t *frame_of(const sac_timeline *s, int64_t frame) {
    return s->frames + s->frame_at[frame % s->frame_slots] * s->frame_bytes;
}

static stem *stem_of(const sac_timeline *s, int64_t frame) {
    return &s->stem_places[frame % s->feature_slots];
}

static uint8_t *feature_of(const sac_timeline *s, int64_t frame) {
    return s->features + frame % s->feature_slots * s->feature_bytes;
}

uint8_t *sac_timeline_frame(sac_timeline *s) {
    // The new frame takes the slot of an old one, which the next result may still look at.
    const int64_t old = s->pushed - s->frame_slots;
    if (old >= s->pulled - s->history || (s->split && old >= s->stems)) return NULL;
    // Fewer than frame_slots frames wait for their stems, so one place is free.
    if (s->split && !s->frame_taken)
        s->frame_at[s->pushed % s->frame_slots] = s->free_frames[--s->free_count];
    s->frame_taken = true;
    return frame_of(s, s->pushed);
}

// Mean absolute difference of one block of two frames; its width in bytes.
static float block_difference(const uint8_t *a, const uint8_t *b, int64_t stride, int width,
                              int height) {
    int sum = 0;
    for (int y = 0; y < height; y++) {
        for (int x = 0; x < width; x++) {
            const int d = a[y * stride + x] - b[y * stride + x];
            sum += d < 0 ? -d : d;
        }
    }
    return (float)sum / (float)(width * height);
}

// The k-th smallest of the values, which are rearranged. Source: Hoare, Algorithm 65: FIND, 1961.
static float select_value(float *values, int64_t count, int64_t k) {
    int64_t low = 0, high = count - 1;
    while (low < high) {
        const float pivot = values[(low + high) / 2];
        int64_t i = low, j = high;
        while (i <= j) {
            while (values[i] < pivot) i++;
            while (values[j] > pivot) j--;
            if (i <= j) {
                const float swap = values[i];
                values[i++] = values[j];
                values[j--] = swap;
            }
        }
        if (k <= j) {
            high = j;
        } else if (k >= i) {
            low = i;
        } else {
            break;
        }
    }
    return values[k];
}

static bool is_still(sac_timeline *s, const uint8_t *frame) {
    const int channels = s->preprocess.channels, width = s->preprocess.width * channels,
              height = s->preprocess.height, step = BLOCK * channels;
    float most = 0.0f;
    int64_t n = 0;
    for (int y = 0; y < height; y += BLOCK) {
        for (int x = 0; x < width; x += step) {
            const int64_t at = (int64_t)y * width + x;
            const int w = width - x < step ? width - x : step,
                      h = height - y < BLOCK ? height - y : BLOCK;
            const float d = block_difference(frame + at, s->anchor + at, width, w, h);
            if (d > most) most = d;
            s->blocks[n++] = d;
        }
    }
    const float median = select_value(s->blocks, n, n / 2);
    return median <= 3.0f && most <= 1.5f + 3.0f * median;
}

void sac_timeline_gate(sac_timeline *s) {
    if (s->anchor == NULL) return;
    uint8_t *frame = frame_of(s, s->pushed);
    const bool still = s->pushed > 0 && is_still(s, frame);
    s->same[s->pushed % s->frame_slots] = still;
    if (still) {
        memcpy(frame, s->anchor, (size_t)s->frame_bytes);
    } else {
        memcpy(s->anchor, frame, (size_t)s->frame_bytes);
    }
}

void sac_timeline_commit(sac_timeline *s, double time_s) {
    s->times[s->pushed % s->frame_slots] = time_s;
    s->pushed++;
    s->frame_taken = false;
}

void sac_timeline_finish(sac_timeline *s) {
    s->finished = true;
}

int64_t sac_timeline_reused(const sac_timeline *s) {
    return s->reused;
}

void sac_timeline_reset(sac_timeline *s) {
    s->pushed = s->next_stem = s->next_body = s->stems = s->bodies = s->pulled = s->reused = 0;
    s->finished = false;
    s->smoother = s->fresh;
    free_all_frames(s);
}

int sac_timeline_running(const sac_timeline *s) {
    return s->running;
}

// ---- work ---------------------------------------------------------------------------------------

// Frame that result t sees at offset i: border frames stand in for those that are missing.
static int64_t source(const sac_timeline *s, int64_t t, int i) {
    const int64_t frame = t + s->preprocess.offsets[i];
    return frame < 0 ? 0 : frame >= s->pushed ? s->pushed - 1 : frame;
}

// All frames that result t needs have been pushed.
static bool complete(const sac_timeline *s, int64_t t) {
    return t < s->pushed && (s->finished || t + s->lookahead < s->pushed);
}

static bool body_ready(const sac_timeline *s, int64_t t) {
    if (!complete(s, t) || t >= s->pulled + s->ahead) return false;
    for (int i = 0; s->split && i < 3; i++) {
        const int64_t frame = source(s, t, i);
        if (frame >= s->next_stem || !stem_of(s, frame)->done) return false;
    }
    return true;
}

static bool stem_ready(const sac_timeline *s, int64_t frame) {
    if (!s->split || frame >= s->pushed) return false;
    // Its slot belongs to the frame feature_slots before, which no open body may need any more.
    // Where results do not look at their own frame or at earlier ones, its own stem may still run,
    // or, with the gate, that of the frame behind it, which copies it.
    const int64_t old = frame - s->feature_slots;
    if (old >= s->bodies - s->history) return false;
    if (old >= 0 && old + (s->anchor != NULL ? 1 : 0) >= s->stems) return false;
    return !s->same[frame % s->frame_slots] || stem_of(s, frame - 1)->done;
}

// Result t has the input of the result before it, by the gate.
static bool repeats(const sac_timeline *s, int64_t t) {
    if (s->anchor == NULL || t == 0) return false;
    for (int i = 0; i < 3; i++) {
        const int64_t frame = source(s, t, i);
        if (frame != source(s, t - 1, i) && !s->same[frame % s->frame_slots]) return false;
    }
    return true;
}

static void count_done(sac_timeline *s) {
    while (s->bodies < s->next_body && s->places[s->bodies % s->place_slots].done) s->bodies++;
    while (s->stems < s->next_stem && stem_of(s, s->stems)->done) {
        s->free_frames[s->free_count++] = s->frame_at[s->stems % s->frame_slots];
        s->stems++;
    }
}

// Takes the result before over for result t.
static void repeat_result(sac_timeline *s, int64_t t) {
    const place *before = &s->places[(t - 1) % s->place_slots];
    place *to = &s->places[t % s->place_slots];
    to->maps = before->maps;
    to->result = before->result;
    const float *list[SAC_HEADS];
    sac_maps_list(list, &to->maps);
    to->result.map16 = list[0];
    to->result.map4 = list[1];
    to->status = SAC_OK;
    to->done = true;
    s->reused++;
}

bool sac_timeline_claim(sac_timeline *s, sac_task *task) {
    while (body_ready(s, s->next_body)) {
        const int64_t t = s->next_body;
        const place *before = repeats(s, t) ? &s->places[(t - 1) % s->place_slots] : NULL;
        if (before != NULL && !before->done) break; // known soon
        s->next_body++;
        if (before != NULL && before->status == SAC_OK) {
            repeat_result(s, t);
            count_done(s);
            continue;
        }
        *task = (sac_task){.stream = s, .frame = t, .body = true};
        for (int i = 0; i < 3; i++) task->sources[i] = source(s, t, i);
        s->places[t % s->place_slots].done = false;
        s->running++;
        return true;
    }
    const int64_t frame = s->next_stem;
    if (!stem_ready(s, frame)) return false;
    *task = (sac_task){.stream = s, .frame = frame, .copy = s->same[frame % s->frame_slots]};
    stem_of(s, frame)->done = false;
    s->next_stem++;
    s->running++;
    return true;
}

static sac_status run_body(const sac_task *task, sac_engine *engine, place *to) {
    sac_status status = SAC_OK;
    const sac_timeline *s = task->stream;
    const void *features[3];
    for (int i = 0; i < 3; i++) {
        const int64_t frame = task->sources[i];
        features[i] = s->split ? feature_of(s, frame) : frame_of(s, frame);
        const stem *from = s->split ? stem_of(s, frame) : NULL;
        if (from != NULL && from->status < 0)
            return sac_error_set(&to->error, from->status, frame, "%s", from->error.message);
    }
    SAC_TRY(sac_engine_body(engine, &to->maps, features, &to->error));
    SAC_TRY(sac_maps_result(&to->result, &to->maps, task->frame, &to->error));
fail:
    return status;
}

static void run_stem(const sac_task *task, sac_engine *engine, stem *to) {
    const sac_timeline *s = task->stream;
    uint8_t *features = feature_of(s, task->frame);
    if (task->copy) {
        const stem *before = stem_of(s, task->frame - 1);
        to->status = before->status;
        if (before->status < 0) to->error = before->error;
        memcpy(features, feature_of(s, task->frame - 1), (size_t)s->feature_bytes);
        return;
    }
    to->status = sac_engine_stem(engine, features, frame_of(s, task->frame), &to->error);
}

// Not all of what is below tells its cause: the message of an older frame must not stand for it.
static void forget_error(sac_error *error) {
    error->code = SAC_OK;
    error->position = -1;
    error->message[0] = '\0';
}

void sac_task_run(const sac_task *task, sac_engine *engine) {
    const sac_timeline *s = task->stream;
    if (task->body) {
        place *to = &s->places[task->frame % s->place_slots];
        forget_error(&to->error);
        to->status = run_body(task, engine, to);
    } else {
        stem *to = stem_of(s, task->frame);
        forget_error(&to->error);
        run_stem(task, engine, to);
    }
}

void sac_task_done(const sac_task *task) {
    sac_timeline *s = task->stream;
    s->running--;
    if (task->body) {
        s->places[task->frame % s->place_slots].done = true;
    } else {
        stem_of(s, task->frame)->done = true;
    }
    count_done(s);
}

// ---- results ------------------------------------------------------------------------------------

sac_timeline_state sac_timeline_look(const sac_timeline *s) {
    const int64_t t = s->pulled;
    if (t >= s->pushed) return s->finished ? SAC_TIMELINE_EOF : SAC_TIMELINE_AGAIN;
    if (!complete(s, t)) return SAC_TIMELINE_AGAIN;
    if (t < s->next_body && s->places[t % s->place_slots].done) return SAC_TIMELINE_READY;
    // One more frame than can be worked on may wait: it is there when a worker becomes free.
    const bool full = s->finished || s->pushed - s->lookahead - t > s->ahead;
    return full ? SAC_TIMELINE_FULL : SAC_TIMELINE_BUSY;
}

sac_status sac_timeline_take(sac_timeline *s, sac_result *result, sac_error *error) {
    const int64_t t = s->pulled;
    place *from = &s->places[t % s->place_slots];
    if (from->status < 0) {
        return sac_error_set(error, from->status, from->error.position, "%s",
                             from->error.message[0] != '\0' ? from->error.message
                                                            : sac_status_name(from->status));
    }
    *result = from->result;
    result->frame = t;
    result->time_s = s->times[t % s->frame_slots];
    result->score_smoothed = sac_causal_smoother_push(&s->smoother, result->score);
    s->pulled++;
    return SAC_OK;
}

sac_status sac_maps_result(sac_result *result, const sac_maps *maps, int64_t frame,
                           sac_error *error) {
    const float *list[SAC_HEADS];
    bool finite = true;
    sac_maps_list(list, maps);
    for (int k = 0; k < SAC_HEADS; k++) {
        for (int i = 0; list[k] != NULL && i < sac_heads[k].cells; i++)
            finite = finite && isfinite(list[k][i]);
    }
    if (!finite) {
        return sac_error_set(error, SAC_ERROR_NUMERIC, frame,
                             "frame %lld: the network's score is not finite", (long long)frame);
    }
    const float score = sac_heads_score(list);
    *result = (sac_result){.score = score,
                           .score_smoothed = score,
                           .map16 = list[0],
                           .map4 = list[1],
                           .map1 = list[2] != NULL ? *list[2] : NAN};
    int side = 0, peak = 0;
    const float *finest = sac_result_finest(result, &side);
    for (int i = 1; i < side * side; i++) peak = finest[i] > finest[peak] ? i : peak;
    result->peak_x = ((float)(peak % side) + 0.5f) / (float)side;
    result->peak_y = ((float)(peak / side) + 0.5f) / (float)side;
    return SAC_OK;
}
