// Paced streams on a few workers: how a given number of them runs, and the search for the largest
// number that holds.
#include "bench/cameras.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "bench/stats.h"
#include "core/check.h"
#include "core/json.h"
#include "core/memory.h"
#include "core/time.h"
#include "saccade/video.h"
#include "student/feed.h"

// A worker this far behind will not catch up within a trial.
#define HOPELESS_S 3.0

typedef struct stream {
    sac_student *student;
    sac_video *video; // when decoding
    int64_t read;     // frames taken from the source since it was opened, or from memory
} stream;

typedef struct cluster {
    const sac_cameras_options *options;
    sac_raw_frames raw;
    stream *streams; // [room], the first `open` are ready
    int room, open;
    atomic_bool cut; // a trial is decided, or a worker failed
} cluster;

typedef struct worker {
    cluster *site;
    int index, streams;
    int64_t rounds;  // frames of each stream
    bool to_the_end; // whatever is late
    double start;
    sac_timing_samples delays;
    int64_t frames, late, allowed;
    sac_status status;
    sac_error error;
} worker;

sac_cameras_options sac_cameras_default_options(void) {
    return (sac_cameras_options){.source = {.decode_threads = 1},
                                 .workers = 1,
                                 .frame_rate = 25,
                                 .late_share = 0.01,
                                 .most = 1024,
                                 .search_s = 2,
                                 .verify_s = 10};
}

// ---- streams -----------------------------------------------------------------------------------

static sac_status stream_rewind(stream *s, const cluster *site, sac_error *error) {
    s->read = 0;
    if (!site->options->decoding) return SAC_OK;
    sac_video_options video = sac_video_default_options();
    sac_feed_options(&video, s->student);
    video.threads = site->options->source.decode_threads;
    video.queue = 0;
    video.format = site->options->source.format;
    sac_video_close(&s->video);
    return sac_video_open(&s->video, site->options->source.path, &video, error);
}

// The next frame into the student and what it makes possible out of it.
static sac_status stream_step(stream *s, const cluster *site, sac_error *error) {
    sac_status status;
    sac_result result;
    if (site->options->decoding) {
        SAC_TRY(sac_feed_frame(s->student, s->video, error));
        if (status == SAC_EOF) {
            SAC_TRY(stream_rewind(s, site, error));
            SAC_TRY(sac_feed_frame(s->student, s->video, error));
            if (status == SAC_EOF)
                SAC_TRY(sac_error_set(error, SAC_ERROR_FORMAT, 0, "%s: no frames",
                                      site->options->source.path));
        }
    } else {
        const sac_raw_frames *raw = &site->raw;
        const int64_t size = (int64_t)raw->width * raw->height * raw->channels;
        const uint8_t *pixels = raw->pixels + s->read % raw->count * size;
        SAC_TRY(sac_student_push(s->student, pixels, raw->width, raw->height, raw->channels, 0.0,
                                 error));
    }
    s->read++;
    do {
        SAC_TRY(sac_student_pull(s->student, &result, error));
    } while (status == SAC_OK);
    status = SAC_OK;
fail:
    return status;
}

// The first stream of each worker opens the model, the others are students beside that one.
static sac_status open_student(cluster *site, int index, sac_error *error) {
    const int workers = site->options->workers;
    sac_student_options options = sac_student_default_options();
    options.threads = 1;
    options.logger = site->options->logger;
    options.precision = site->options->precision;
    sac_student **student = &site->streams[index].student;
    return index < workers
               ? sac_student_open(student, site->options->model, &options, error)
               : sac_student_beside(site->streams[index % workers].student, student, error);
}

static sac_status open_streams(cluster *site, int count, sac_error *error) {
    sac_status status = SAC_OK;
    while (site->open < count) {
        stream *s = &site->streams[site->open];
        SAC_TRY(open_student(site, site->open, error));
        site->open++;
        sac_student_info info;
        sac_student_get_info(s->student, &info);
        if (!site->options->decoding && site->raw.count == 0)
            SAC_TRY(
                sac_raw_frames_load(&site->raw, &site->options->source, info.channels, 256, error));
        SAC_TRY(stream_rewind(s, site, error));
        // First frames, in which buffers are made, are not timed.
        for (int i = 0; i <= info.lookahead; i++) SAC_TRY(stream_step(s, site, error));
        if (site->options->stop != NULL && site->options->stop())
            SAC_TRY(sac_error_set(error, SAC_ERROR_INTERRUPTED, site->open, "interrupted"));
    }
fail:
    return status;
}

// ---- one trial ---------------------------------------------------------------------------------

static void sleep_until(double time_s) {
    struct timespec at = {.tv_sec = (time_t)time_s};
    at.tv_nsec = (long)((time_s - (double)at.tv_sec) * 1e9);
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) == EINTR) {
    }
}

static sac_status work(worker *w) {
    sac_status status = SAC_OK;
    cluster *site = w->site;
    const sac_cameras_options *o = site->options;
    const double period = 1.0 / o->frame_rate;
    for (int64_t k = 0; k < w->rounds; k++)
        for (int s = w->index; s < w->streams; s += o->workers) {
            if (atomic_load(&site->cut)) return SAC_OK;
            if (o->stop != NULL && o->stop())
                SAC_TRY(sac_error_set(&w->error, SAC_ERROR_INTERRUPTED, k, "interrupted"));
            const double due = w->start + period * ((double)k + (double)s / w->streams);
            if (sac_time_s() < due) sleep_until(due);
            SAC_TRY(stream_step(&site->streams[s], site, &w->error));
            const double delay = sac_time_s() - due;
            SAC_TRY(sac_timing_add(&w->delays, delay));
            w->frames++;
            w->late += delay > period;
            if (!w->to_the_end && (w->late > w->allowed || delay > HOPELESS_S))
                atomic_store(&site->cut, true);
        }
fail:
    return status;
}

static void *run_worker(void *user) {
    worker *w = user;
    w->status = work(w);
    if (w->status < 0) atomic_store(&w->site->cut, true);
    return NULL;
}

// elapsed: seconds from the arrival of the first frame until everything was done
static sac_status summarise(sac_cameras_trial *trial, worker *workers, const sac_cameras_options *o,
                            double elapsed, sac_error *error) {
    sac_timing_samples all = {0};
    sac_status status = SAC_OK;
    for (int i = 0; i < o->workers; i++) {
        if (workers[i].status < 0)
            SAC_TRY(sac_error_set(error, workers[i].status, workers[i].error.position, "%s",
                                  workers[i].error.message));
        trial->late += workers[i].late;
        trial->frames += workers[i].frames;
        for (int64_t k = 0; k < workers[i].delays.count; k++)
            SAC_TRY(sac_timing_add(&all, workers[i].delays.values[k]));
    }
    trial->held = !atomic_load(&workers[0].site->cut) &&
                  (double)trial->late <= o->late_share * (double)trial->frames;
    // The last frame arrives before the time that all of them take has passed.
    const double each = (double)trial->frames / trial->streams;
    trial->fps = fmin(o->frame_rate, each / elapsed);
    sac_stats_sort(all.values, all.count);
    trial->p50_ms = 1e3 * sac_stats_quantile(all.values, all.count, 0.5);
    trial->p99_ms = 1e3 * sac_stats_quantile(all.values, all.count, 0.99);
    trial->worst_ms = 1e3 * sac_stats_quantile(all.values, all.count, 1.0);
fail:
    sac_timing_samples_close(&all);
    return status;
}

static void say(const sac_cameras_options *o, const sac_cameras_trial *t) {
    char message[200];
    if (o->logger.write == NULL) return;
    snprintf(message, sizeof message, "%s%d cameras%s: %lld of %lld frames late, p99 %.1f ms: %s",
             t->verification ? "verifying " : "", t->streams,
             o->decoding ? " with decoding" : " from memory", (long long)t->late,
             (long long)t->frames, t->p99_ms, t->held ? "holds" : "does not hold");
    o->logger.write(o->logger.user, SAC_LOG_INFO, message);
}

typedef enum trial_kind {
    SEARCHING, // short
    VERIFYING, // long; these two end when it is clear that they do not hold
    RUNNING    // long and to the end
} trial_kind;

static sac_status run_trial(bool *held, cluster *site, sac_cameras_result *result, int streams,
                            trial_kind kind, sac_error *error) {
    const sac_cameras_options *o = site->options;
    worker *workers = NULL;
    pthread_t threads[SAC_TIMING_WORKERS];
    int started = 0;
    sac_status status;
    const int64_t rounds =
        (int64_t)ceil((kind == SEARCHING ? o->search_s : o->verify_s) * o->frame_rate);
    if (result->trial_count == SAC_CAMERAS_TRIALS)
        return sac_error_set(error, SAC_ERROR_NUMERIC, -1,
                             "no number of cameras was found in %d trials: the machine is too "
                             "unsteady",
                             SAC_CAMERAS_TRIALS);
    SAC_TRY_ALLOC(workers = sac_calloc(o->workers, sizeof *workers));
    SAC_TRY(open_streams(site, streams, error));
    for (int s = 0; s < streams; s++) // no source ends within a trial unless it is too short
        if (o->decoding && site->streams[s].read > 0)
            SAC_TRY(stream_rewind(&site->streams[s], site, error));
    atomic_store(&site->cut, false);
    const double start = sac_time_s() + 0.02;
    for (int i = 0; i < o->workers; i++)
        workers[i] = (worker){.site = site,
                              .index = i,
                              .streams = streams,
                              .rounds = rounds,
                              .to_the_end = kind == RUNNING,
                              .start = start,
                              .allowed = (int64_t)(o->late_share * (double)(rounds * streams))};
    for (int i = 1; i < o->workers; i++) {
        if (pthread_create(&threads[i], NULL, run_worker, &workers[i]) != 0) {
            atomic_store(&site->cut, true);
            break;
        }
        started = i;
    }
    if (started == o->workers - 1) run_worker(&workers[0]);
    for (int i = 1; i <= started; i++) pthread_join(threads[i], NULL);
    if (started != o->workers - 1)
        SAC_TRY(sac_error_set(error, SAC_ERROR_BACKEND, -1, "%d threads could not be started",
                              o->workers));
    sac_cameras_trial *trial = &result->trials[result->trial_count];
    *trial = (sac_cameras_trial){.streams = streams, .verification = kind == VERIFYING};
    SAC_TRY(summarise(trial, workers, o, sac_time_s() - start, error));
    result->trial_count++;
    say(o, trial);
    *held = trial->held;
fail:
    for (int i = 0; workers != NULL && i < o->workers; i++)
        sac_timing_samples_close(&workers[i].delays);
    sac_free(workers);
    return status;
}

// ---- the search --------------------------------------------------------------------------------

// Cameras that the workers could hold if nothing ever waited.
static sac_status estimate(int *cameras, cluster *site, sac_error *error) {
    sac_status status;
    const sac_cameras_options *o = site->options;
    int64_t frames = 0;
    SAC_TRY(open_streams(site, 1, error));
    const double start = sac_time_s(), length = fmin(0.3, o->search_s);
    do {
        SAC_TRY(stream_step(&site->streams[0], site, error));
        frames++;
    } while (sac_time_s() - start < length);
    const double rate = (double)frames / (sac_time_s() - start);
    *cameras = (int)fmin((double)o->most, fmax(1.0, o->workers * rate / o->frame_rate));
    status = SAC_OK;
fail:
    return status;
}

static int between(int value, int low, int high) {
    return value < low ? low : value > high ? high : value;
}

// Largest number that held a short trial: up or down from the estimate in steps, then halving what
// lies between.
static sac_status search(int *found, cluster *site, sac_cameras_result *result, sac_error *error) {
    const int most = site->options->most;
    int low = 0, high = most + 1, next = 0;
    bool held = false;
    sac_status status;
    SAC_TRY(estimate(&next, site, error));
    next = between((int)(0.75 * next), 1, most);
    while (high - low > 1 && (low == 0 || high > most || high - low > low / 40)) {
        SAC_TRY(run_trial(&held, site, result, next, SEARCHING, error));
        if (held)
            low = next;
        else
            high = next;
        if (high > most)
            next = low + (low + 3) / 4;
        else if (low == 0)
            next = high / 2;
        else
            next = low + (high - low) / 2;
        next = between(next, low + 1, high > most ? most : high - 1);
        if (low == most) break;
    }
    *found = low;
    status = SAC_OK;
fail:
    return status;
}

static sac_status check(const sac_cameras_options *o, sac_error *error) {
    if (o->model == NULL || o->source.path == NULL)
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1, "cameras need a model and a source");
    if (o->workers < 1 || o->workers > SAC_TIMING_WORKERS)
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1, "%d workers, expected 1 to %d",
                             o->workers, SAC_TIMING_WORKERS);
    if (!(o->frame_rate >= 0.1 && o->frame_rate <= 1000))
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "cameras of %g FPS, expected 0.1 to 1000", o->frame_rate);
    if (!(o->late_share >= 0 && o->late_share < 1))
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "a share of late frames of %g, expected 0 to less than 1",
                             o->late_share);
    if (o->most < 1 || o->most > 4096)
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "%d cameras at most, expected 1 to 4096", o->most);
    if (!(o->search_s > 0 && o->search_s <= 600 && o->verify_s > 0 && o->verify_s <= 86400))
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "trials of %g s and a verification of %g s, expected up to 600 and "
                             "86400",
                             o->search_s, o->verify_s);
    return SAC_OK;
}

static sac_status site_open(cluster *site, const sac_cameras_options *options, int room) {
    *site = (cluster){.options = options, .room = room};
    site->streams = sac_calloc(room, sizeof *site->streams);
    return site->streams != NULL ? SAC_OK : SAC_ERROR_MEMORY;
}

static void site_close(cluster *site) {
    // The students of the first streams are the hosts of the others.
    for (int i = site->room - 1; site->streams != NULL && i >= 0; i--) {
        sac_student_close(&site->streams[i].student);
        sac_video_close(&site->streams[i].video);
    }
    sac_free(site->streams);
    sac_raw_frames_close(&site->raw);
}

sac_status sac_cameras_search(sac_cameras_result *result, const sac_cameras_options *options,
                              sac_error *error) {
    cluster site = {0};
    int streams = 0;
    bool held = false;
    sac_status status;
    memset(result, 0, sizeof *result);
    SAC_TRY(check(options, error));
    SAC_TRY(site_open(&site, options, options->most));
    SAC_TRY(search(&streams, &site, result, error));
    while (streams > 0) {
        SAC_TRY(run_trial(&held, &site, result, streams, VERIFYING, error));
        if (held) break;
        streams -= 1 + streams / 20;
    }
    result->streams = streams > 0 ? streams : 0;
    result->at_limit = streams == options->most;
    result->peak_memory_bytes = sac_peak_memory_bytes();
    status = SAC_OK;
fail:
    if (status == SAC_ERROR_MEMORY) sac_error_set(error, status, -1, "no memory for the cameras");
    site_close(&site);
    return status;
}

sac_status sac_cameras_run(sac_cameras_result *result, const sac_cameras_options *options,
                           sac_error *error) {
    cluster site = {0};
    bool held = false;
    sac_status status;
    memset(result, 0, sizeof *result);
    SAC_TRY(check(options, error));
    SAC_TRY(site_open(&site, options, options->most));
    SAC_TRY(run_trial(&held, &site, result, options->most, RUNNING, error));
    result->streams = held ? options->most : 0;
    result->peak_memory_bytes = sac_peak_memory_bytes();
fail:
    if (status == SAC_ERROR_MEMORY) sac_error_set(error, status, -1, "no memory for the streams");
    site_close(&site);
    return status;
}

json_t *sac_cameras_json(const sac_cameras_result *result, const sac_cameras_options *options) {
    json_t *trials = json_array();
    for (int i = 0; trials != NULL && i < result->trial_count; i++) {
        const sac_cameras_trial *t = &result->trials[i];
        json_t *item = json_pack(
            "{s:i, s:I, s:I, s:b, s:b, s:o, s:o, s:o, s:o}", "streams", t->streams, "frames",
            (json_int_t)t->frames, "late", (json_int_t)t->late, "held", t->held, "verification",
            t->verification, "fps", sac_json_number(t->fps), "p50_ms", sac_json_number(t->p50_ms),
            "p99_ms", sac_json_number(t->p99_ms), "worst_ms", sac_json_number(t->worst_ms));
        if (json_array_append_new(trials, item) < 0) {
            json_decref(trials);
            return NULL;
        }
    }
    return json_pack("{s:b, s:i, s:f, s:f, s:i, s:b, s:f, s:o}", "decoding", options->decoding,
                     "workers", options->workers, "frame_rate", options->frame_rate, "late_share",
                     options->late_share, "streams", result->streams, "at_limit", result->at_limit,
                     "peak_memory_bytes", result->peak_memory_bytes, "trials", trials);
}
