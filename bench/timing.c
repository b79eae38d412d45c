// Timed loops on one thread, and the workers that run several of them at once.
#include "bench/timing.h"

#include <pthread.h>
#include <string.h>

#include "core/check.h"
#include "core/memory.h"
#include "core/time.h"
#include "student/feed.h"
#include "student/runtime.h"

enum {
    PREPARED_BYTES = 64 << 20,
    PREPARED_MOST = 256,
    RAW_BYTES = 256 << 20,
    QUEUE = 4, // frames decoded ahead on an own thread, as sac_video_default_options
};

sac_status sac_timing_add(sac_timing_samples *samples, double seconds) {
    if (samples->count == samples->capacity) {
        if (samples->capacity >= SAC_TIMING_SAMPLES) return SAC_OK;
        const int64_t capacity = samples->capacity > 0 ? 2 * samples->capacity : 4096;
        double *values =
            sac_recalloc(samples->values, samples->capacity, capacity, sizeof *samples->values);
        if (values == NULL) return SAC_ERROR_MEMORY;
        samples->values = values;
        samples->capacity = capacity;
    }
    samples->values[samples->count++] = seconds;
    return SAC_OK;
}

void sac_timing_samples_close(sac_timing_samples *samples) {
    if (samples == NULL) return;
    sac_free(samples->values);
    memset(samples, 0, sizeof *samples);
}

static sac_video_options video_options(const sac_timing_source *source, int channels,
                                       bool own_thread) {
    sac_video_options video = sac_video_default_options();
    video.channels = channels;
    video.threads = source->decode_threads;
    video.skip_loop_filter = source->skip_loop_filter;
    video.skip_frames = source->skip_frames;
    video.lowres = source->lowres;
    video.queue = own_thread ? QUEUE : 0;
    video.format = source->format;
    return video;
}

// ---- frames in memory --------------------------------------------------------------------------

static sac_status too_short(const sac_timing_source *source, int64_t count, sac_error *error) {
    return sac_error_set(error, SAC_ERROR_FORMAT, count,
                         "%s: %lld frames, a speed measurement needs at least two", source->path,
                         (long long)count);
}

sac_status sac_prepared_load(sac_prepared *prepared, sac_student *student,
                             const sac_timing_source *source, sac_error *error) {
    const sac_preprocess *preprocess = &sac_student_model(student)->preprocess;
    sac_preprocessor *preprocessor = NULL;
    sac_video *video = NULL;
    sac_video_info video_info;
    sac_frame frame;
    sac_status status;
    int64_t bytes;
    memset(prepared, 0, sizeof *prepared);
    prepared->size = sac_preprocess_bytes(preprocess);
    int64_t most = PREPARED_BYTES / prepared->size;
    most = most < 8 ? 8 : most > PREPARED_MOST ? PREPARED_MOST : most;
    if (!sac_mul(most, prepared->size, &bytes)) bytes = -1;
    SAC_TRY_ALLOC(prepared->frames = sac_calloc(bytes, 1));
    SAC_TRY(sac_preprocessor_create(&preprocessor, preprocess));
    const sac_video_options options = video_options(source, preprocess->channels, false);
    SAC_TRY(sac_video_open(&video, source->path, &options, error));
    sac_video_get_info(video, &video_info);
    prepared->width = video_info.source_width;
    prepared->height = video_info.source_height;
    while (prepared->count < most) {
        SAC_TRY(sac_video_read(video, &frame, error));
        if (status == SAC_EOF) break;
        SAC_TRY(sac_preprocessor_frame(preprocessor,
                                       prepared->frames + prepared->count * prepared->size,
                                       frame.data, frame.width, frame.height, frame.channels));
        prepared->count++;
    }
    if (prepared->count < 2) SAC_TRY(too_short(source, prepared->count, error));
    status = SAC_OK;
fail:
    if (status < 0)
        sac_error_set(error, status, -1, "frames of %s cannot be prepared: %s", source->path,
                      sac_status_name(status));
    sac_preprocessor_close(&preprocessor);
    sac_video_close(&video);
    if (status < 0) sac_prepared_close(prepared);
    return status;
}

void sac_prepared_close(sac_prepared *prepared) {
    if (prepared == NULL) return;
    sac_free(prepared->frames);
    memset(prepared, 0, sizeof *prepared);
}

sac_status sac_raw_frames_load(sac_raw_frames *frames, const sac_timing_source *source,
                               int channels, int64_t most, sac_error *error) {
    sac_video *video = NULL;
    sac_frame frame;
    sac_status status;
    int64_t size = 0;
    memset(frames, 0, sizeof *frames);
    const sac_video_options options = video_options(source, channels, false);
    SAC_TRY(sac_video_open(&video, source->path, &options, error));
    do {
        SAC_TRY(sac_video_read(video, &frame, error));
        if (status == SAC_EOF) break;
        if (frames->count == 0) {
            frames->width = frame.width;
            frames->height = frame.height;
            frames->channels = frame.channels;
            size = (int64_t)frame.width * frame.height * frame.channels;
            if (most > RAW_BYTES / size) most = RAW_BYTES / size;
            if (most < 2) most = 2;
            SAC_TRY_ALLOC(frames->pixels = sac_calloc(most * size, 1));
        }
        memcpy(frames->pixels + frames->count * size, frame.data, (size_t)size);
        frames->count++;
    } while (frames->count < most);
    if (frames->count < 2) SAC_TRY(too_short(source, frames->count, error));
    status = SAC_OK;
fail:
    if (status == SAC_ERROR_MEMORY)
        sac_error_set(error, status, -1, "no memory for frames of %s", source->path);
    sac_video_close(&video);
    if (status < 0) sac_raw_frames_close(frames);
    return status;
}

void sac_raw_frames_close(sac_raw_frames *frames) {
    if (frames == NULL) return;
    sac_free(frames->pixels);
    memset(frames, 0, sizeof *frames);
}

// ---- loops of one thread -----------------------------------------------------------------------

// What one thread does and finds.
typedef struct work {
    sac_student *student;         // NULL: decode only
    const sac_prepared *prepared; // NULL: of the others
    const sac_raw_frames *raw;    // NULL: read the source
    const sac_timing_source *source;
    bool own_thread;
    double seconds;
    int64_t first; // prepared input to begin with
    bool sampling;
    sac_timing_samples samples;
    int64_t frames, pass_frames;
    double elapsed; // of the timed parts
    sac_status status;
    sac_error error;
} work;

static sac_status pull_all(int64_t *pulled, sac_student *student, sac_error *error) {
    sac_status status;
    sac_result result;
    do {
        SAC_TRY(sac_student_pull(student, &result, error));
        if (status == SAC_OK) ++*pulled;
    } while (status == SAC_OK);
    status = SAC_OK;
fail:
    return status;
}

// Frames one after the other; `ready`: as the network sees them, else decoded ones.
static sac_status loop_memory(work *w, bool ready) {
    sac_status status;
    const sac_raw_frames *raw = w->raw;
    const int64_t size =
                      ready ? w->prepared->size : (int64_t)raw->width * raw->height * raw->channels,
                  count = ready ? w->prepared->count : raw->count;
    int64_t pulled = 0;
    const double start = sac_time_s();
    double last = start;
    sac_student_reset(w->student);
    for (int64_t t = 0; last - start < w->seconds || pulled == 0; t++) {
        const int64_t place = (w->first + t) % count * size;
        if (ready)
            SAC_TRY(
                sac_student_push_plane(w->student, w->prepared->frames + place, 0.0, &w->error));
        else
            SAC_TRY(sac_student_push(w->student, raw->pixels + place, raw->width, raw->height,
                                     raw->channels, 0.0, &w->error));
        SAC_TRY(pull_all(&pulled, w->student, &w->error));
        const double now = sac_time_s();
        // The first frames only fill the look-ahead.
        if (w->sampling && pulled > 0) SAC_TRY(sac_timing_add(&w->samples, now - last));
        last = now;
    }
    w->frames = pulled;
    w->elapsed = last - start;
    status = SAC_OK;
fail:
    return status;
}

// The next picture, with a student pushed. SAC_EOF at the end.
static sac_status take_frame(work *w, sac_video *video) {
    sac_luma_frame frame;
    return w->student != NULL ? sac_feed_frame(w->student, video, &w->error)
                              : sac_video_read_luma(video, &frame, &w->error);
}

// One pass over the source, or less when the time is over.
static sac_status pass(work *w) {
    sac_video *video = NULL;
    sac_status status;
    int64_t read = 1, pulled = 0;
    const double left = w->seconds - w->elapsed;
    sac_video_options options = video_options(w->source, 1, w->own_thread);
    options.luma = true;
    if (w->student != NULL) {
        sac_student_reset(w->student);
        sac_feed_options(&options, w->student);
    }
    SAC_TRY(sac_video_open(&video, w->source->path, &options, &w->error));
    SAC_TRY(take_frame(w, video));
    if (status == SAC_EOF)
        SAC_TRY(sac_error_set(&w->error, SAC_ERROR_FORMAT, 0, "%s: no frames", w->source->path));
    const double start = sac_time_s();
    double last = start;
    bool ended = false;
    // On a busy machine the time may be over before the first result: one is waited for.
    while (!ended &&
           (last - start < left || w->frames + (w->student != NULL ? pulled : read - 1) == 0)) {
        SAC_TRY(take_frame(w, video));
        ended = status == SAC_EOF;
        if (!ended) read++;
        if (w->student != NULL) {
            if (ended) SAC_TRY(sac_student_finish(w->student, &w->error));
            SAC_TRY(pull_all(&pulled, w->student, &w->error));
        }
        const double now = sac_time_s();
        if (w->sampling && !ended) SAC_TRY(sac_timing_add(&w->samples, now - last));
        last = now;
    }
    if (ended) w->pass_frames = read;
    // The first frame was decoded before the clock started but scored within it. When the pass is
    // cut short, the student still holds its look-ahead: count what came out.
    w->frames += w->student != NULL ? pulled : read - 1;
    w->elapsed += last - start;
    status = SAC_OK;
fail:
    sac_video_close(&video);
    return status;
}

static sac_status loop_source(work *w) {
    sac_status status;
    // Opening is not timed: a source of a few frames must not make the round endless.
    const double give_up = sac_time_s() + 20.0 * w->seconds + 1.0;
    do {
        SAC_TRY(pass(w));
    } while (w->elapsed < w->seconds && sac_time_s() < give_up);
    if (w->frames == 0)
        SAC_TRY(sac_error_set(&w->error, SAC_ERROR_FORMAT, 0,
                              "%s: gave no scored frame within %g s", w->source->path, w->seconds));
    status = SAC_OK;
fail:
    return status;
}

static void *run_work(void *user) {
    work *w = user;
    w->status = w->prepared != NULL ? loop_memory(w, true)
                : w->raw != NULL    ? loop_memory(w, false)
                                    : loop_source(w);
    if (w->status == SAC_ERROR_MEMORY)
        sac_error_set(&w->error, w->status, -1, "no memory for the measurement");
    return NULL;
}

// ---- workers -----------------------------------------------------------------------------------

static sac_status gather(double *fps, work *works, int workers, sac_timing_samples *samples,
                         int64_t *pass_frames, sac_error *error) {
    sac_status status = SAC_OK;
    *fps = 0.0;
    for (int i = 0; i < workers; i++) {
        const work *w = &works[i];
        if (w->status < 0)
            SAC_TRY(sac_error_set(error, w->status, w->error.position, "%s", w->error.message));
        // All began together and ran for the same time, up to a frame: rates add up.
        *fps += w->elapsed > 0.0 ? (double)w->frames / w->elapsed : 0.0;
        if (pass_frames != NULL && w->pass_frames > 0) *pass_frames = w->pass_frames;
        for (int64_t k = 0; samples != NULL && k < w->samples.count; k++)
            SAC_TRY(sac_timing_add(samples, w->samples.values[k]));
    }
fail:
    return status;
}

static sac_status run_works(double *fps, const work *pattern, sac_student *const *students,
                            int workers, sac_timing_samples *samples, int64_t *pass_frames,
                            sac_error *error) {
    work *works = NULL;
    pthread_t threads[SAC_TIMING_WORKERS];
    int started = 0;
    sac_status status;
    if (workers < 1 || workers > SAC_TIMING_WORKERS)
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1, "%d workers, expected 1 to %d", workers,
                             SAC_TIMING_WORKERS);
    SAC_TRY_ALLOC(works = sac_calloc(workers, sizeof *works));
    for (int i = 0; i < workers; i++) {
        works[i] = *pattern;
        works[i].student = students != NULL ? students[i] : NULL;
        works[i].sampling = samples != NULL;
        if (pattern->prepared != NULL) works[i].first = pattern->prepared->count * i / workers;
        if (pattern->raw != NULL) works[i].first = pattern->raw->count * i / workers;
    }
    for (int i = 1; i < workers; i++) {
        if (pthread_create(&threads[i], NULL, run_work, &works[i]) != 0) break;
        started = i;
    }
    if (started == workers - 1) run_work(&works[0]);
    for (int i = 1; i <= started; i++) pthread_join(threads[i], NULL);
    if (started != workers - 1)
        SAC_TRY(sac_error_set(error, SAC_ERROR_BACKEND, -1, "%d threads could not be started",
                              workers));
    SAC_TRY(gather(fps, works, workers, samples, pass_frames, error));
fail:
    if (status == SAC_ERROR_MEMORY)
        sac_error_set(error, status, -1, "no memory for the measurement");
    for (int i = 0; works != NULL && i < workers; i++) {
        sac_timing_samples_close(&works[i].samples);
    }
    sac_free(works);
    return status;
}

sac_status sac_time_prepared(double *fps, sac_student *const *students, int workers,
                             const sac_prepared *prepared, sac_timing_samples *samples,
                             double seconds, sac_error *error) {
    const work pattern = {.prepared = prepared, .seconds = seconds};
    return run_works(fps, &pattern, students, workers, samples, NULL, error);
}

sac_status sac_time_raw(double *fps, sac_student *const *students, int workers,
                        const sac_raw_frames *frames, sac_timing_samples *samples, double seconds,
                        sac_error *error) {
    const work pattern = {.raw = frames, .seconds = seconds};
    return run_works(fps, &pattern, students, workers, samples, NULL, error);
}

sac_status sac_time_files(double *fps, sac_student *const *students, int workers,
                          const sac_timing_source *source, bool own_thread,
                          sac_timing_samples *samples, double seconds, int64_t *pass_frames,
                          sac_error *error) {
    const work pattern = {.source = source, .own_thread = own_thread, .seconds = seconds};
    return run_works(fps, &pattern, students, workers, samples, pass_frames, error);
}

sac_status sac_time_decoding(double *fps, int workers, const sac_timing_source *source,
                             bool own_thread, sac_timing_samples *samples, double seconds,
                             sac_error *error) {
    const work pattern = {.source = source, .own_thread = own_thread, .seconds = seconds};
    return run_works(fps, &pattern, NULL, workers, samples, NULL, error);
}
