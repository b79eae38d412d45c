// One source of student-run after the other: open, read, score, write; and the thread that wakes up
// a read that blocks.
#include <inttypes.h>
#include <math.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/check.h"
#include "core/memory.h"
#include "core/time.h"
#include "tools/student_run.h"

// ---- interruption of a blocked read -------------------------------------------------------------

static void *watch(void *user) {
    run_watcher *w = user;
    const struct timespec pause = {.tv_nsec = 50 * 1000 * 1000};
    int waited = 0;
    for (bool stop = false; !stop;) {
        nanosleep(&pause, NULL);
        pthread_mutex_lock(&w->lock);
        stop = w->stop;
        if (sac_interrupted()) {
            bool active = false, may_exit = true;
            for (int64_t i = 0; i < w->job_count; i++) {
                if (w->jobs[i].video != NULL) sac_video_interrupt(w->jobs[i].video);
                active = active || w->jobs[i].active;
                may_exit = may_exit && (!w->jobs[i].active || w->jobs[i].may_exit);
            }
            if (active && may_exit && !stop && ++waited > 20) {
                fprintf(stderr, "%s: interrupted while waiting for a source\n", run_command.name);
                _exit(SAC_EXIT_INTERRUPTED);
            }
        }
        pthread_mutex_unlock(&w->lock);
    }
    return NULL;
}

static void watcher_set(run_watcher *w, int64_t job, run_watched state) {
    pthread_mutex_lock(&w->lock);
    w->jobs[job] = state;
    pthread_mutex_unlock(&w->lock);
}

sac_status run_watcher_start(run_watcher *w, int64_t jobs, sac_error *error) {
    w->jobs = sac_calloc(jobs, sizeof *w->jobs);
    if (w->jobs == NULL) return sac_error_set(error, SAC_ERROR_MEMORY, -1, "no memory for jobs");
    w->job_count = jobs;
    pthread_mutex_init(&w->lock, NULL);
    int code = pthread_create(&w->thread, NULL, watch, w);
    if (code != 0)
        return sac_error_set(error, SAC_ERROR_BACKEND, -1, "no thread: %s", strerror(code));
    w->running = true;
    return SAC_OK;
}

void run_watcher_stop(run_watcher *w) {
    if (w->running) {
        pthread_mutex_lock(&w->lock);
        w->stop = true;
        pthread_mutex_unlock(&w->lock);
        pthread_join(w->thread, NULL);
        w->running = false;
    }
    sac_free(w->jobs);
    w->jobs = NULL;
}

// ---- one source ---------------------------------------------------------------------------------

// Pixels of the frames that were pushed but not scored yet; overlay and report show them beside
// their score.
typedef struct waiting {
    uint8_t *pixels; // [slots][size]
    int64_t slots, size;
} waiting;

static sac_status take_results(run_job *j, const waiting *kept, bool all, sac_error *error) {
    sac_status status = SAC_OK;
    run_outcome *o = j->o;
    for (;;) {
        sac_result result;
        double before = sac_time_s();
        if (all) sac_student_wait(j->student);
        SAC_TRY(sac_student_pull(j->student, &result, error));
        double now = sac_time_s();
        o->score_s += now - before;
        if (status != SAC_OK) return SAC_OK; // more input needed, or all taken
        result.frame += j->base;
        result.time_s += j->base_s;
        const uint8_t *pixels =
            kept->pixels != NULL ? kept->pixels + result.frame % kept->slots * kept->size : NULL;
        SAC_TRY(sac_outputs_frame(j->outputs, &result, pixels, error));
        if (j->run->threshold >= 0.0) {
            SAC_TRY(
                sac_events_push(&o->events, result.frame, result.time_s, result.score_smoothed));
        }
        if (o->frames == 0) o->first_s = now - j->run->start_s;
        if (o->frames == 0 || result.score > o->max) {
            o->max = result.score;
            o->max_frame = result.frame;
            o->max_time_s = result.time_s;
        }
        if (o->frames == 0 || result.score_smoothed > o->max_smoothed) {
            o->max_smoothed = result.score_smoothed;
            o->max_smoothed_frame = result.frame;
            o->max_smoothed_time_s = result.time_s;
        }
        o->frames++;
        o->duration_s = result.time_s;
    }
fail:
    return status;
}

// Reads frame `index`, as rows count, and pushes it; keeps its picture at `picture` if that is not
// NULL. *lost: it was the source that failed.
static sac_status read_and_push(run_job *j, int64_t index, uint8_t *picture, int64_t size,
                                bool *lost, sac_error *error) {
    sac_status status = SAC_OK;
    sac_frame frame = {0};
    sac_luma_frame luma = {0};
    double before = sac_time_s();
    status = j->luma ? sac_video_read_luma(j->video, &luma, error)
                     : sac_video_read(j->video, &frame, error);
    *lost = status < 0;
    SAC_TRY(status);
    j->o->read_s += sac_time_s() - before;
    if (status != SAC_OK) return status;
    if ((frame.damaged || luma.damaged) && j->o->damaged++ == 0) j->o->first_damaged = index;
    if (picture != NULL && j->luma) SAC_TRY(sac_video_picture(j->video, picture, error));
    if (picture != NULL && !j->luma) memcpy(picture, frame.data, (size_t)size);
    before = sac_time_s();
    if (j->luma) {
        SAC_TRY(sac_student_push_luma(j->student, &luma.luma, luma.time_s, error));
    } else {
        SAC_TRY(sac_student_push(j->student, frame.data, frame.width, frame.height, frame.channels,
                                 frame.time_s, error));
    }
    j->o->score_s += sac_time_s() - before;
fail:
    return status;
}

static void show_progress(run_job *j, int64_t read) {
    run_state *r = j->run;
    if (r->jobs == 1) {
        sac_progress_update(j->progress, read, NULL);
        return;
    }
    pthread_mutex_lock(&r->lock);
    sac_progress_update(r->progress, ++r->read, NULL);
    pthread_mutex_unlock(&r->lock);
}

// The source ends early. Rows that would need frames not read any more are left out: what is
// written equals a full run.
static sac_status take_complete(run_job *j, const waiting *kept, sac_error *error) {
    j->o->interrupted = true;
    return take_results(j, kept, true, error);
}

// A source whose frames come at a pace of their own: a device or a network stream.
static bool is_live(const run_settings *s, const char *source) {
    const char *scheme = strstr(source, "://");
    return s->format != NULL || strncmp(source, "/dev/", 5) == 0 ||
           (scheme != NULL && strncmp(source, "file:", 5) != 0);
}

static sac_status open_video(run_job *j, sac_error *error) {
    const run_state *r = j->run;
    const run_settings *s = r->settings;
    sac_video_options video = sac_video_default_options();
    // As the student sees it, whatever is drawn: an overlay must not change the scores.
    video.channels = r->info.channels;
    video.width = r->width;
    video.height = r->height;
    // Planes are borrowed from the decoder unless they have to be scaled to --size first.
    video.luma = j->luma;
    decode_options_apply(&video, &s->decode);
    video.late = (sac_video_late)s->late;
    video.queue = (int)s->queue;
    video.frame_rate = s->frame_rate;
    video.format = s->format;
    video.timeout_s = s->timeout_s;
    return sac_video_open(&j->video, j->url, &video, error);
}

// ---- a source that comes back --------------------------------------------------------------------

static void add_counts(run_outcome *o, sac_video *video) {
    sac_video_counts counts;
    sac_video_get_counts(video, &counts);
    o->counts.decoded += counts.decoded;
    o->counts.delivered += counts.delivered;
    o->counts.repeated += counts.repeated;
    o->counts.dropped += counts.dropped;
    o->counts.damaged += counts.damaged;
}

// Files that a server holds have an end, of which opening them again would make a beginning.
static bool may_come_back(const run_job *j) {
    return j->run->settings->reopen_s > 0.0 && j->live && j->o->video.frames == 0;
}

// The source is lost, for the reason `cause` if it did not just end. The frames until now are all
// there will be of this stretch: rows are completed as at the end of a file, and what comes next has
// no part in them.
static sac_status end_stretch(run_job *j, const waiting *kept, const sac_error *cause,
                              sac_error *error) {
    sac_status status = SAC_OK;
    SAC_TRY(sac_student_finish(j->student, error));
    SAC_TRY(take_results(j, kept, true, error));
    j->o->reused += sac_student_reused(j->student);
    sac_student_close(&j->student);
    SAC_TRY(sac_student_pool_stream(j->run->pool, &j->student, error));
    sac_events_break(&j->o->events);
    j->base = j->o->frames;
    j->lost_s = sac_time_s();
    j->pause_s = 0.25;
    if (cause->message[0] != '\0') {
        fprintf(stderr, "%s: warning: %s; opening it again\n", run_command.name, cause->message);
    } else {
        fprintf(stderr, "%s: warning: %s: ended behind frame %" PRId64 "; opening it again\n",
                run_command.name, j->source, j->base - 1);
    }
fail:
    return status;
}

// False: Ctrl-C came.
static bool wait_until(double when_s) {
    const struct timespec pause = {.tv_nsec = 50 * 1000 * 1000};
    while (!sac_interrupted() && sac_time_s() < when_s) nanosleep(&pause, NULL);
    return !sac_interrupted();
}

// Opens the source again, at growing intervals until --reopen is over: SAC_ERROR_IO. Ctrl-C:
// SAC_ERROR_INTERRUPTED.
static sac_status reopen(run_job *j, sac_error *error) {
    sac_status status = SAC_OK;
    run_watcher *watcher = &j->run->watcher;
    const double reopen_s = j->run->settings->reopen_s, end_s = j->lost_s + reopen_s;
    watcher_set(watcher, j->index, (run_watched){.active = true});
    if (j->video != NULL) add_counts(j->o, j->video);
    sac_video_close(&j->video);
    do {
        const double now_s = sac_time_s(), next_s = now_s + j->pause_s;
        sac_error failure = {0};
        if (now_s >= end_s)
            return sac_error_set(error, SAC_ERROR_IO, -1, "%s: not back within %g s", j->source,
                                 reopen_s);
        if (!wait_until(next_s < end_s ? next_s : end_s)) return SAC_ERROR_INTERRUPTED;
        status = open_video(j, &failure);
        if (j->pause_s < 8.0) j->pause_s *= 2.0;
    } while (status != SAC_OK);
    watcher_set(watcher, j->index, (run_watched){.active = true, .video = j->video});
    sac_video_info info;
    sac_video_get_info(j->video, &info);
    if (info.width != j->o->video.width || info.height != j->o->video.height)
        return sac_error_set(error, SAC_ERROR_FORMAT, -1,
                             "%s: came back with frames of %dx%d, not %dx%d", j->source, info.width,
                             info.height, j->o->video.width, j->o->video.height);
    return SAC_OK;
}

// At the first frame after that.
static void came_back(run_job *j) {
    run_outcome *o = j->o;
    const double away_s = sac_time_s() - j->lost_s;
    o->reopened++;
    o->away_s += away_s;
    j->base_s = o->duration_s + away_s; // the source's own clock begins anew
    j->lost_s = 0.0;
    fprintf(stderr, "%s: %s: back after %.1f s, with frame %" PRId64 "\n", run_command.name,
            j->source, away_s, j->base);
}

// Reads, pushes and pulls until the source ends, Ctrl-C comes, or the source breaks off behind rows
// that can be written: then o->broke_off is set, and o->error says why.
static sac_status score_all(run_job *j, waiting *kept, sac_error *error) {
    sac_status status = SAC_OK;
    const run_settings *s = j->run->settings;
    int64_t read = 0;
    while (s->max_frames == 0 || read < s->max_frames) {
        uint8_t *picture =
            kept->pixels != NULL ? kept->pixels + read % kept->slots * kept->size : NULL;
        bool lost = false;
        sac_error cause = {0};
        status = sac_interrupted() ? SAC_ERROR_INTERRUPTED
                                   : read_and_push(j, read, picture, kept->size, &lost, &cause);
        if ((status == SAC_EOF || lost) && !sac_interrupted() && read > 0 && may_come_back(j)) {
            if (j->lost_s == 0.0) SAC_TRY(end_stretch(j, kept, &cause, error));
            cause = (sac_error){0};
            status = reopen(j, &cause);
            if (status == SAC_OK) continue;
            lost = status != SAC_ERROR_INTERRUPTED;
        }
        if (status == SAC_EOF) break;
        if (status == SAC_ERROR_INTERRUPTED || (status < 0 && sac_interrupted())) {
            SAC_TRY(take_complete(j, kept, error));
            return SAC_OK;
        }
        if (lost) {
            const sac_status why = status;
            SAC_TRY(take_complete(j, kept, error));
            sac_error_set(&cause, why, read, "%s: %s", j->source, sac_status_name(why));
            if (j->o->frames == 0) {
                *error = cause;
                return why;
            }
            j->o->error = cause;
            j->o->broke_off = true;
            return SAC_OK;
        }
        if (status < 0) {
            *error = cause;
            goto fail;
        }
        read++;
        if (j->lost_s > 0.0) came_back(j);
        SAC_TRY(take_results(j, kept, j->live, error));
        show_progress(j, read);
    }
    if (read == 0) {
        return sac_error_set(error, SAC_ERROR_FORMAT, -1, "%s: holds no frames", j->source);
    }
    SAC_TRY(sac_student_finish(j->student, error));
    SAC_TRY(take_results(j, kept, true, error));
    return SAC_OK;
fail:
    return sac_error_set(error, status, j->o->frames, "%s: %s", j->source, sac_status_name(status));
}

static sac_status commit(run_state *r, const char *source, sac_outputs **outputs,
                         const run_outcome *o, sac_error *error) {
    sac_status status = SAC_OK;
    json_t *about = run_source_json(source, o), *timing = run_timing_json(r, o);
    if (about == NULL || timing == NULL) {
        status =
            sac_error_set(error, SAC_ERROR_MEMORY, -1, "%s: no memory for its summary", source);
        goto fail;
    }
    const sac_output_notes notes = {.events = r->threshold >= 0.0 ? &o->events : NULL,
                                    .frames_per_second = run_rate(o->frames, o->wall_s),
                                    .interrupted = o->interrupted,
                                    .reason = o->broke_off ? o->error.message : NULL,
                                    .source = about,
                                    .settings = r->settings_json,
                                    .model = r->model_json,
                                    .timing = timing};
    SAC_TRY(sac_outputs_commit(outputs, &notes, error));
fail:
    json_decref(about);
    json_decref(timing);
    return status;
}

static sac_status open_outputs(sac_outputs **outputs, run_state *r, int64_t index,
                               const char *source, const sac_video_info *info, sac_error *error) {
    int64_t expected = info->frames, limit = r->settings->max_frames;
    if (limit > 0 && expected > limit) expected = limit;
    sac_output_settings wanted = {.source = source,
                                  .moments = (int)r->settings->moments,
                                  .overlay_high = (float)r->settings->overlay_high,
                                  .frames = expected,
                                  .calibration = r->calibration};
    for (int kind = 0; kind < SAC_OUTPUT_COUNT; kind++) {
        wanted.paths[kind] = sac_output_names_get(&r->names, index, (sac_output_kind)kind);
        if (wanted.paths[kind] != NULL && strcmp(wanted.paths[kind], "-") == 0 &&
            r->source_count > 1) {
            wanted.source_column = true;
        }
    }
    return sac_outputs_open(outputs, &wanted, info, error);
}

static sac_status run_source(run_job *j, int64_t index, sac_error *error) {
    sac_status status = SAC_OK;
    run_state *r = j->run;
    run_outcome *o = j->o;
    waiting kept = {0};
    double start = sac_time_s();
    j->luma = r->width == 0 && r->info.channels == 1;
    j->live = is_live(r->settings, j->source);
    j->base = 0;
    j->base_s = j->lost_s = 0.0;
    watcher_set(&r->watcher, j->index, (run_watched){.active = true, .may_exit = true});
    SAC_TRY(open_video(j, error));
    watcher_set(&r->watcher, j->index, (run_watched){.active = true, .video = j->video});
    sac_video_get_info(j->video, &o->video);
    SAC_TRY(open_outputs(&j->outputs, r, index, j->source, &o->video, error));
    SAC_TRY(sac_student_pool_stream(r->pool, &j->student, error));
    if (sac_outputs_want_pixels(j->outputs)) {
        kept.slots = r->info.lookahead + 2 * SAC_STUDENT_WAITING; // more than can be under way
        kept.size = (int64_t)o->video.width * o->video.height * o->video.channels;
        kept.pixels = sac_calloc(kept.slots * kept.size, 1);
        SAC_TRY_ALLOC(kept.pixels);
    }
    int64_t total = o->video.frames;
    if (r->settings->max_frames > 0 && (total == 0 || total > r->settings->max_frames)) {
        total = r->settings->max_frames;
    }
    if (r->jobs == 1)
        SAC_TRY(sac_progress_open(&j->progress, j->source, "frames", total, &r->settings->tool));
    SAC_TRY(score_all(j, &kept, error));
    sac_progress_close(&j->progress);
    o->wall_s = sac_time_s() - start;
    o->reused += sac_student_reused(j->student);
    if (j->video != NULL) add_counts(o, j->video);
    if (o->frames > 0) status = commit(r, j->source, &j->outputs, o, error);
    if (status < 0) o->broke_off = false; // nothing was written
    SAC_TRY(status);
    if (o->broke_off) {
        *error = o->error;
        status = error->code;
    }
fail:
    sac_progress_close(&j->progress);
    sac_outputs_close(&j->outputs);
    sac_student_close(&j->student);
    watcher_set(&r->watcher, j->index, (run_watched){.active = true, .may_exit = true});
    sac_video_close(&j->video);
    watcher_set(&r->watcher, j->index, (run_watched){0});
    sac_free(kept.pixels);
    if (status < 0) sac_error_set(error, status, -1, "%s: %s", j->source, sac_status_name(status));
    return status;
}

void *run_job_work(void *user) {
    run_job *j = user;
    run_state *r = j->run;
    pthread_mutex_lock(&r->lock);
    while (r->next < r->source_count && !sac_interrupted()) {
        const int64_t index = r->next++;
        pthread_mutex_unlock(&r->lock);
        run_outcome *o = &r->outcomes[index];
        j->o = o;
        j->url = r->sources[index];
        j->source = r->shown[index];
        o->events = (sac_events){.threshold = (float)r->threshold, .merge_gap_s = r->merge_gap_s};
        sac_error error = {0};
        const sac_status status = run_source(j, index, &error);
        pthread_mutex_lock(&r->lock);
        o->status = status;
        o->error = error;
        o->done = true;
        pthread_cond_broadcast(&r->changed);
    }
    pthread_mutex_unlock(&r->lock);
    return NULL;
}
