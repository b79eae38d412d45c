// student-run: scores videos, picture folders, streams and cameras with a trained student and
// writes tables, maps, an overlay video and a report. Scoring itself is libsaccade
// (student/runtime.c); this is the loop around it.
#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/check.h"
#include "core/json.h"
#include "core/memory.h"
#include "core/number.h"
#include "core/text.h"
#include "core/time.h"
#include "core/tool.h"
#include "saccade/version.h"
#include "saccade/video.h"
#include "student/calibration.h"
#include "student/events.h"
#include "student/outputs.h"
#include "student/runtime.h"
#include "tools/decode_options.h"

typedef struct settings {
    sac_tool_settings tool;
    const char *model, *size, *format;
    const char *csv, *jsonl, *maps, *overlay, *report;
    const char *threshold, *far;
    double smoothing_sigma, frame_rate, overlay_high, timeout_s;
    int64_t smoothing_taps, max_frames, moments, queue, jobs;
    int backend;         // 0 onednn, 1 ref
    int precision, late; // as the enumerations count
    decode_settings decode;
    bool gate, pin;
} settings;

#define TEXT_OPTION(member_, letter_, argument_, help_)                                            \
    {                                                                                              \
        .name = #member_, .letter = letter_, .type = SAC_OPTION_TEXT,                              \
        .offset = offsetof(settings, member_), .argument = argument_, .help = help_                \
    }

static const sac_option options[] = {
    {.name = "", .help = "Input"},
    TEXT_OPTION(model, 'm', "FILE", "model file made by distill; required"),
    TEXT_OPTION(size, 0, "WxH",
                "scale frames to this size while decoding; default: the source's own"),
    TEXT_OPTION(format, 0, "NAME",
                "FFmpeg input format of a device, such as v4l2, x11grab or lavfi"),
    {.name = "frame-rate",
     .type = SAC_OPTION_REAL,
     .offset = offsetof(settings, frame_rate),
     .number = 25,
     .min = 0.001,
     .max = 10000,
     .help = "frames per second of picture folders and patterns"},
    {.name = "max-frames",
     .type = SAC_OPTION_INT,
     .offset = offsetof(settings, max_frames),
     .min = 0,
     .max = 1e15,
     .help = "stop each source after N frames; 0: at its end"},
    {.name = "timeout",
     .type = SAC_OPTION_REAL,
     .offset = offsetof(settings, timeout_s),
     .number = 10,
     .min = 0.1,
     .max = 86400,
     .argument = "S",
     .help = "give up on a network source after S seconds without data"},
    {.name = "",
     .help = "Output (\"{}\" in a name is replaced by the source's name; a folder holds one file "
             "per source)"},
    TEXT_OPTION(
        csv, 0, "FILE",
        "scores per frame; \"-\": standard output, which is the default without any output"),
    TEXT_OPTION(jsonl, 0, "FILE", "the same as JSON lines"),
    TEXT_OPTION(
        maps, 0, "FILE",
        "anomaly maps as .npy, float32 [frames][16][16], of a student without that map its finest"),
    TEXT_OPTION(overlay, 0, "FILE",
                "video of the frames with heat map and score curve (.mp4, .mkv, .avi)"),
    TEXT_OPTION(report, 0, "FILE", "self-contained HTML page: score curve, top moments, settings"),
    {.name = "moments",
     .type = SAC_OPTION_INT,
     .offset = offsetof(settings, moments),
     .number = 6,
     .min = 1,
     .max = 64,
     .help = "pictures of top moments in the report"},
    {.name = "overlay-high",
     .type = SAC_OPTION_REAL,
     .offset = offsetof(settings, overlay_high),
     .number = 1,
     .min = 0.001,
     .max = 1,
     .argument = "SCORE",
     .help = "score at the top of the overlay's curve"},
    {.name = "", .help = "Scoring"},
    TEXT_OPTION(threshold, 0, "SCORE|auto",
                "report events: runs of frames whose smoothed score reaches SCORE, 0 to 1; auto: "
                "the threshold of the false-alarm budget that student-calibrate stored; negative, "
                "the default: none"),
    TEXT_OPTION(far, 0, "N/TIME",
                "report events at the threshold that keeps false alarms within N per hour, day or "
                "week (2/day), as far as the model's calibration can certify that"),
    {.name = "smoothing-sigma",
     .type = SAC_OPTION_REAL,
     .offset = offsetof(settings, smoothing_sigma),
     .min = 0,
     .max = 1e6,
     .help = "width of the causal smoothing in frames; 0: its default"},
    {.name = "smoothing-taps",
     .type = SAC_OPTION_INT,
     .offset = offsetof(settings, smoothing_taps),
     .min = 0,
     .max = SAC_SMOOTHING_CAUSAL_TAPS,
     .help = "frames the smoothing looks at; 0: its default"},
    {.name = "precision",
     .type = SAC_OPTION_CHOICE,
     .offset = offsetof(settings, precision),
     .choices = "auto|f32|int8",
     .help = "auto: int8 where the model holds scales for it and this CPU gains by it"},
    {.name = "gate",
     .type = SAC_OPTION_BOOL,
     .offset = offsetof(settings, gate),
     .help = "score frames in which nothing moved beyond sensor noise like the ones before; "
             "changes scores a little"},
    {.name = "backend",
     .type = SAC_OPTION_CHOICE,
     .offset = offsetof(settings, backend),
     .choices = "onednn|ref",
     .help = "ref repeats the run on the plain reference, slowly"},
    {.name = "jobs",
     .type = SAC_OPTION_INT,
     .offset = offsetof(settings, jobs),
     .min = 0,
     .max = 256,
     .help = "sources scored at the same time; 0: one per core, or one if something goes to "
             "standard output"},
    {.name = "pin",
     .type = SAC_OPTION_BOOL,
     .offset = offsetof(settings, pin),
     .help = "keep each compute thread on one core"},
    {.name = "", .help = "Decoding"},
    DECODE_OPTIONS(settings, decode, 0),
    {.name = "queue",
     .type = SAC_OPTION_INT,
     .offset = offsetof(settings, queue),
     .number = 4,
     .min = 0,
     .max = 64,
     .help = "frames decoded ahead on a thread of their own; 0: decode between scoring"},
    {.name = "late",
     .type = SAC_OPTION_CHOICE,
     .offset = offsetof(settings, late),
     .choices = "block|drop",
     .help = "when frames come faster than they are scored: wait with decoding, or drop the oldest "
             "in the queue, as cameras need; dropped ones are counted and have no row, and frames "
             "are numbered as scored"},
    SAC_TOOL_OPTIONS(settings),
    {.name = NULL},
};

static const sac_command command = {
    .name = "student-run",
    .usage = "-m MODEL SOURCE... [options]",
    .description =
        "Scores every frame of each SOURCE: a video file, a folder or pattern of pictures, a URL "
        "or a device.\n"
        "Frames count from 0; scores lie in [0,1]; peak_x and peak_y are pixels of the source. "
        "Clips may be as short\n"
        "as one frame: the border frames stand in for those that are missing. Each of --threads "
        "computes frames of its\n"
        "own; scores do not depend on how many there are. A model that student-calibrate has seen "
        "adds the column\n"
        "score_calibrated.\n\n"
        "  student-run -m ped2.safetensors clip.mp4 --csv scores.csv --quiet\n"
        "  student-run -m ped2.safetensors Test/Test001 --report report.html --threshold 0.4\n"
        "  student-run -m ped2.safetensors *.mp4 --csv out/{}.csv --overlay out/\n"
        "  student-run -m calibrated.safetensors night.mp4 --far 2/day\n"
        "  student-run -m ped2.safetensors /dev/video0 --format v4l2 --jsonl -",
    .options = options,
    .min_positional = 1,
    .max_positional = -1,
};

// ---- interruption of a blocked read -------------------------------------------------------------

// A camera or a stalled pipe can block a read for long; this thread wakes it up when Ctrl-C comes.
// Opening and closing a source may block inside the operating system, where nothing can wake them:
// when nothing but that is going on, so that no output is open, the process just ends.
typedef struct watched {
    sac_video *video; // the source being read, or NULL
    bool active;      // a source is being worked on
    bool may_exit;    // no output of it is open
} watched;

typedef struct watcher {
    pthread_t thread;
    pthread_mutex_t lock;
    watched *jobs;
    int64_t job_count;
    bool running, stop;
} watcher;

static void *watch(void *user) {
    watcher *w = user;
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
                fprintf(stderr, "%s: interrupted while waiting for a source\n", command.name);
                _exit(SAC_EXIT_INTERRUPTED);
            }
        }
        pthread_mutex_unlock(&w->lock);
    }
    return NULL;
}

static void watcher_set(watcher *w, int64_t job, watched state) {
    pthread_mutex_lock(&w->lock);
    w->jobs[job] = state;
    pthread_mutex_unlock(&w->lock);
}

static sac_status watcher_start(watcher *w, int64_t jobs, sac_error *error) {
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

static void watcher_stop(watcher *w) {
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

// What one source came to.
typedef struct outcome {
    sac_status status;
    sac_error error;
    bool done;
    int64_t frames, reused;
    double duration_s, wall_s, score_s, read_s;
    double first_s; // from the start of the process to the first score
    float max, max_smoothed;
    int64_t max_frame, max_smoothed_frame;
    double max_time_s, max_smoothed_time_s;
    sac_events events;
    bool interrupted;
    sac_video_info video;
    sac_video_counts counts;
} outcome;

typedef struct run {
    const settings *settings;
    sac_student_pool *pool;
    sac_student_info info;
    int width, height; // of --size, 0: the source's
    int threads;       // that compute
    int64_t jobs;
    double start_s;
    sac_output_names names;
    const char *const *sources;
    int64_t source_count;
    json_t *settings_json, *model_json; // for reports and --json
    sac_calibration *calibration;       // of the model, NULL: it has none, or other smoothing
    double threshold;                   // of events; negative: none
    double merge_gap_s;                 // with a calibrated threshold
    watcher watcher;
    bool csv_on_stdout, text_to_stderr;

    // Shared by the jobs, under the lock.
    pthread_mutex_t lock;
    pthread_cond_t changed; // a source is done
    outcome *outcomes;      // [source_count]
    int64_t next;           // source that no job has taken yet
    int64_t read;           // frames of all sources so far
    sac_progress *progress; // several jobs: one for all
} run;

// One source on its way through one job.
typedef struct job {
    run *run;
    int64_t index; // of the job
    sac_student *student;
    sac_video *video;
    sac_outputs *outputs;
    sac_progress *progress; // one job: of the source
    outcome *o;
    const char *source;
    bool luma; // planes are read where they lie, for a gray student
    bool live; // frames come when they come: each is scored before the next is waited for
} job;

// Pixels of the frames that were pushed but not scored yet; overlay and report show them beside
// their score.
typedef struct waiting {
    uint8_t *pixels; // [slots][size]
    int64_t slots, size;
} waiting;

static sac_status take_results(job *j, const waiting *kept, bool all, sac_error *error) {
    sac_status status = SAC_OK;
    outcome *o = j->o;
    for (;;) {
        sac_result result;
        double before = sac_time_s();
        if (all) sac_student_wait(j->student);
        SAC_TRY(sac_student_pull(j->student, &result, error));
        double now = sac_time_s();
        o->score_s += now - before;
        if (status != SAC_OK) return SAC_OK; // more input needed, or all taken
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

// Reads the next frame and pushes it; keeps its picture at `picture` if that is not NULL.
static sac_status read_and_push(job *j, uint8_t *picture, int64_t size, sac_error *error) {
    sac_status status = SAC_OK;
    sac_frame frame;
    sac_luma_frame luma;
    double before = sac_time_s();
    SAC_TRY(j->luma ? sac_video_read_luma(j->video, &luma, error)
                    : sac_video_read(j->video, &frame, error));
    j->o->read_s += sac_time_s() - before;
    if (status != SAC_OK) return status;
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

static void show_progress(job *j, int64_t read) {
    run *r = j->run;
    if (r->jobs == 1) {
        sac_progress_update(j->progress, read, NULL);
        return;
    }
    pthread_mutex_lock(&r->lock);
    sac_progress_update(r->progress, ++r->read, NULL);
    pthread_mutex_unlock(&r->lock);
}

// Reads, pushes and pulls until the source ends or Ctrl-C comes.
static sac_status score_all(job *j, waiting *kept, sac_error *error) {
    sac_status status = SAC_OK;
    const settings *s = j->run->settings;
    int64_t read = 0;
    while (s->max_frames == 0 || read < s->max_frames) {
        uint8_t *picture =
            kept->pixels != NULL ? kept->pixels + read % kept->slots * kept->size : NULL;
        status = sac_interrupted() ? SAC_ERROR_INTERRUPTED
                                   : read_and_push(j, picture, kept->size, error);
        if (status == SAC_EOF) break;
        if (status == SAC_ERROR_INTERRUPTED || (status < 0 && sac_interrupted())) {
            // Rows that would need frames not read any more are left out: what is written equals a
            // full run.
            j->o->interrupted = true;
            sac_error none = {0};
            SAC_TRY(take_results(j, kept, true, &none));
            return SAC_OK;
        }
        if (status < 0) goto fail;
        read++;
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

static json_t *source_json(const char *source, const outcome *o) {
    char *clean = sac_text_utf8(source);
    if (clean == NULL) return NULL;
    json_t *json = json_pack("{s:s, s:i, s:i, s:o, s:I, s:o}", "source", clean, "width",
                             o->video.source_width, "height", o->video.source_height, "frame_rate",
                             sac_json_number(o->video.frame_rate), "frames", (json_int_t)o->frames,
                             "last_time_s", sac_json_number(o->duration_s));
    sac_free(clean);
    return json;
}

static double rate(int64_t frames, double seconds) {
    return seconds > 0.0 ? (double)frames / seconds : NAN;
}

static json_t *timing_json(const run *r, const outcome *o) {
    return json_pack(
        "{s:o, s:o, s:o, s:o, s:I, s:I, s:I, s:I, s:I, s:s, s:s, s:s, s:o, s:o, s:o, s:s}",
        "wall_s", sac_json_number(o->wall_s), "frames_per_second",
        sac_json_number(rate(o->frames, o->wall_s)), "waiting_for_frames_s",
        sac_json_number(o->read_s), "waiting_for_scores_s", sac_json_number(o->score_s),
        "frames_reused_by_gate", (json_int_t)o->reused, "frames_decoded",
        (json_int_t)o->counts.decoded, "frames_repeated", (json_int_t)o->counts.repeated,
        "frames_dropped", (json_int_t)o->counts.dropped, "threads", (json_int_t)r->threads,
        "precision", sac_precision_name(r->info.precision), "backend", r->info.backend, "isa",
        r->info.isa, "load_ms", sac_json_number(r->info.load_ms), "plan_ms",
        sac_json_number(r->info.plan_ms), "start_to_first_score_ms",
        sac_json_number(o->frames > 0 ? o->first_s * 1e3 : NAN), "version", sac_version());
}

static sac_status commit(run *r, const char *source, sac_outputs **outputs, const outcome *o,
                         sac_error *error) {
    sac_status status = SAC_OK;
    json_t *about = source_json(source, o), *timing = timing_json(r, o);
    if (about == NULL || timing == NULL) {
        status =
            sac_error_set(error, SAC_ERROR_MEMORY, -1, "%s: no memory for its summary", source);
        goto fail;
    }
    const sac_output_notes notes = {.events = r->threshold >= 0.0 ? &o->events : NULL,
                                    .frames_per_second = rate(o->frames, o->wall_s),
                                    .interrupted = o->interrupted,
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

static sac_status open_outputs(sac_outputs **outputs, run *r, int64_t index, const char *source,
                               const sac_video_info *info, sac_error *error) {
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

// A source whose frames come at a pace of their own: a device or a network stream.
static bool is_live(const settings *s, const char *source) {
    const char *scheme = strstr(source, "://");
    return s->format != NULL || strncmp(source, "/dev/", 5) == 0 ||
           (scheme != NULL && strncmp(source, "file:", 5) != 0);
}

static sac_status open_video(job *j, sac_error *error) {
    const run *r = j->run;
    const settings *s = r->settings;
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
    return sac_video_open(&j->video, j->source, &video, error);
}

static sac_status run_source(job *j, int64_t index, sac_error *error) {
    sac_status status = SAC_OK;
    run *r = j->run;
    outcome *o = j->o;
    waiting kept = {0};
    double start = sac_time_s();
    j->luma = r->width == 0 && r->info.channels == 1;
    j->live = is_live(r->settings, j->source);
    watcher_set(&r->watcher, j->index, (watched){.active = true, .may_exit = true});
    SAC_TRY(open_video(j, error));
    watcher_set(&r->watcher, j->index, (watched){.active = true, .video = j->video});
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
    o->reused = sac_student_reused(j->student);
    sac_video_get_counts(j->video, &o->counts);
    if (o->frames > 0) SAC_TRY(commit(r, j->source, &j->outputs, o, error));
fail:
    sac_progress_close(&j->progress);
    sac_outputs_close(&j->outputs);
    sac_student_close(&j->student);
    watcher_set(&r->watcher, j->index, (watched){.active = true, .may_exit = true});
    sac_video_close(&j->video);
    watcher_set(&r->watcher, j->index, (watched){0});
    sac_free(kept.pixels);
    if (status < 0) sac_error_set(error, status, -1, "%s: %s", j->source, sac_status_name(status));
    return status;
}

// Takes one source after the other until none is left or Ctrl-C comes.
static void *run_job(void *user) {
    job *j = user;
    run *r = j->run;
    pthread_mutex_lock(&r->lock);
    while (r->next < r->source_count && !sac_interrupted()) {
        const int64_t index = r->next++;
        pthread_mutex_unlock(&r->lock);
        outcome *o = &r->outcomes[index];
        j->o = o;
        j->source = r->sources[index];
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

// ---- summary ------------------------------------------------------------------------------------

static json_t *outcome_json(const run *r, int64_t index, const char *source, const outcome *o) {
    json_t *json = source_json(source, o);
    json_t *files = json_object();
    if (json == NULL || files == NULL) goto fail;
    for (int kind = 0; kind < SAC_OUTPUT_COUNT; kind++) {
        const char *path = sac_output_names_get(&r->names, index, (sac_output_kind)kind);
        if (path == NULL || o->frames == 0) continue;
        char *clean = sac_text_utf8(path);
        int failed =
            clean == NULL || json_object_set_new(files, sac_output_option((sac_output_kind)kind),
                                                 json_string(clean)) != 0;
        sac_free(clean);
        if (failed) goto fail;
    }
    bool failed = json_object_set(json, "outputs", files) != 0;
    failed = failed || json_object_set_new(json, "interrupted", json_boolean(o->interrupted)) != 0;
    if (o->frames > 0) {
        failed = failed || json_object_set_new(json, "max_score",
                                               json_pack("{s:o, s:I, s:o}", "score",
                                                         sac_json_number((double)o->max), "frame",
                                                         (json_int_t)o->max_frame, "time_s",
                                                         sac_json_number(o->max_time_s))) != 0;
        failed = failed ||
                 json_object_set_new(json, "max_score_smoothed",
                                     json_pack("{s:o, s:I, s:o}", "score",
                                               sac_json_number((double)o->max_smoothed), "frame",
                                               (json_int_t)o->max_smoothed_frame, "time_s",
                                               sac_json_number(o->max_smoothed_time_s))) != 0;
    }
    if (r->threshold >= 0.0) {
        failed = failed ||
                 json_object_set_new(json, "threshold", sac_json_number(r->threshold)) != 0 ||
                 json_object_set_new(json, "events", sac_events_to_json(&o->events)) != 0;
    }
    failed = failed || json_object_set_new(json, "timing", timing_json(r, o)) != 0;
    if (failed) goto fail;
    json_decref(files);
    return json;
fail:
    json_decref(files);
    json_decref(json);
    return NULL;
}

static void print_summary(const run *r, int64_t index, const char *source, const outcome *o) {
    FILE *out = r->text_to_stderr ? stderr : stdout;
    char at[32], from[32], to[32];
    fprintf(out, "%s: %" PRId64 " frames of %dx%d in %.2f s (%.0f frames/s)\n", source, o->frames,
            o->video.source_width, o->video.source_height, o->wall_s, rate(o->frames, o->wall_s));
    if (o->counts.dropped > 0)
        fprintf(out, "  %" PRId64 " late frames dropped\n", o->counts.dropped);
    if (o->frames == 0) return;
    if (r->settings->gate) {
        fprintf(out, "  %" PRId64 " frames scored like the one before, as nothing moved\n",
                o->reused);
    }
    fprintf(out, "  highest score %.4f at %s (frame %" PRId64 "); smoothed %.4f", (double)o->max,
            sac_text_duration(at, sizeof at, o->max_time_s), o->max_frame, (double)o->max_smoothed);
    fprintf(out, " at %s (frame %" PRId64 ")\n",
            sac_text_duration(at, sizeof at, o->max_smoothed_time_s), o->max_smoothed_frame);
    if (r->threshold >= 0.0) {
        fprintf(out, "  %" PRId64 " event%s at threshold %.4g\n", o->events.count,
                o->events.count == 1 ? "" : "s", r->threshold);
        for (int64_t i = 0; i < o->events.count; i++) {
            const sac_event *e = &o->events.items[i];
            fprintf(out,
                    "    %s to %s (frames %" PRId64 "-%" PRId64 "), peak %.4f at frame %" PRId64
                    "\n",
                    sac_text_duration(from, sizeof from, e->first_s),
                    sac_text_duration(to, sizeof to, e->last_s), e->first, e->last,
                    (double)e->score, e->peak);
        }
    }
    for (int kind = 0; kind < SAC_OUTPUT_COUNT; kind++) {
        const char *path = sac_output_names_get(&r->names, index, (sac_output_kind)kind);
        if (path != NULL && strcmp(path, "-") != 0) {
            fprintf(out, "  %s: %s\n", sac_output_option((sac_output_kind)kind), path);
        }
    }
}

// ---- main ---------------------------------------------------------------------------------------

static sac_status parse_size(run *r, const char *text, sac_error *error) {
    if (text == NULL) return SAC_OK;
    char buffer[32];
    int64_t width = 0, height = 0;
    snprintf(buffer, sizeof buffer, "%s", text);
    char *cross = strchr(buffer, 'x');
    bool ok = cross != NULL && strlen(text) < sizeof buffer;
    if (ok) {
        *cross = '\0';
        ok = sac_number_integer(buffer, &width) && sac_number_integer(cross + 1, &height) &&
             width >= 1 && width <= 16384 && height >= 1 && height <= 16384;
    }
    if (!ok) {
        return sac_error_set(
            error, SAC_ERROR_ARGUMENT, -1,
            "--size '%.64s': WIDTHxHEIGHT with sides of 1..16384 was expected, such as 360x240",
            text);
    }
    r->width = (int)width;
    r->height = (int)height;
    return SAC_OK;
}

// One compute thread per core, although decoders run, too: workers wait for frames asleep and share
// a core with a decoder without keeping anybody else waiting.
static int choose_threads(const settings *s) {
    return s->tool.threads > 0 ? (int)s->tool.threads : sac_core_count();
}

static int64_t choose_jobs(const run *r, bool on_stdout) {
    int64_t jobs = r->settings->jobs;
    if (jobs == 0) jobs = on_stdout ? 1 : sac_core_count();
    return jobs < r->source_count ? jobs : r->source_count;
}

static json_t *describe_model(const run *r) {
    const sac_model *model = sac_student_pool_model(r->pool);
    char *path = sac_text_utf8(r->settings->model);
    if (path == NULL) return NULL;
    json_t *json = json_pack(
        "{s:s, s:s, s:I, s:I, s:s, s:o, s:O}", "file", path, "arch", r->info.arch, "parameters",
        (json_int_t)r->info.parameters, "macs_per_frame", (json_int_t)r->info.macs_per_frame,
        "precision", sac_precision_name(r->info.precision), "preprocess",
        sac_preprocess_to_json(&model->preprocess), "provenance", model->provenance);
    sac_free(path);
    return json;
}

// The calibration, if the model has one that fits the smoothing, and the threshold of events.
static sac_status take_calibration(run *r, sac_error *error) {
    sac_status status = SAC_OK;
    const settings *s = r->settings;
    const json_t *json = sac_student_pool_model(r->pool)->calibration;
    const bool automatic = s->threshold != NULL && strcmp(s->threshold, "auto") == 0;
    char *place = NULL;
    sac_calibration_info info = {0};
    sac_far budget;
    if (json != NULL) {
        SAC_TRY_ALLOC(place = sac_format("%s: metadata \"calibration\"", s->model));
        SAC_TRY(sac_calibration_from_json(&r->calibration, json, place, error));
        sac_calibration_get_info(r->calibration, &info);
        sac_smoothing_options used = {.kind = SAC_SMOOTHING_CAUSAL,
                                      .sigma = s->smoothing_sigma,
                                      .taps = (int)s->smoothing_taps};
        SAC_TRY(sac_smoothing_resolve(&used, &used));
        if (used.taps != info.smoothing.taps || fabs(used.sigma - info.smoothing.sigma) > 1e-9) {
            if (automatic || s->far != NULL)
                SAC_TRY(sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                                      "%s was calibrated with smoothing sigma %g over %d frames: "
                                      "its thresholds mean nothing with %g over %d",
                                      s->model, info.smoothing.sigma, info.smoothing.taps,
                                      used.sigma, used.taps));
            sac_calibration_close(&r->calibration); // a column of wrong numbers helps nobody
        }
    }
    r->threshold = -1.0;
    if (automatic || s->far != NULL) {
        sac_operating_point point;
        if (s->threshold != NULL && s->far != NULL)
            SAC_TRY(sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                                  "--threshold and --far exclude each other"));
        // Its own mistakes come before the model's.
        if (s->far != NULL) SAC_TRY(sac_far_parse(&budget, s->far, "--far", error));
        if (r->calibration == NULL)
            SAC_TRY(sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                                  "%s has no calibration: run student-calibrate with normal video "
                                  "first",
                                  s->model));
        if (automatic && info.budget[0] == '\0')
            SAC_TRY(sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                                  "--threshold auto: %s was calibrated without --far; name a "
                                  "budget with --far N/TIME",
                                  s->model));
        if (automatic) SAC_TRY(sac_far_parse(&budget, info.budget, "budget", error));
        SAC_TRY(sac_calibration_threshold(&point, r->calibration, &budget, "--far", error));
        r->threshold = (double)point.threshold;
        r->merge_gap_s = info.merge_gap_s;
    } else if (s->threshold != NULL &&
               (!sac_number_real(s->threshold, &r->threshold) || r->threshold > 1.0)) {
        SAC_TRY(sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                              "--threshold '%.40s': a number up to 1 or auto was expected",
                              s->threshold));
    }
fail:
    sac_free(place);
    return status;
}

static sac_status prepare(run *r, const char *const *sources, sac_error *error) {
    sac_status status = SAC_OK;
    const settings *s = r->settings;
    const char *patterns[SAC_OUTPUT_COUNT] = {[SAC_OUTPUT_CSV] = s->csv,
                                              [SAC_OUTPUT_JSONL] = s->jsonl,
                                              [SAC_OUTPUT_MAPS] = s->maps,
                                              [SAC_OUTPUT_OVERLAY] = s->overlay,
                                              [SAC_OUTPUT_REPORT] = s->report};
    if (s->model == NULL) {
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "-m MODEL is missing: which model file shall score?");
    }
    SAC_TRY(parse_size(r, s->size, error));
    r->threads = choose_threads(s);
    bool any = s->csv != NULL || s->jsonl != NULL || s->maps != NULL || s->overlay != NULL ||
               s->report != NULL;
    if (!any && !s->tool.json) patterns[SAC_OUTPUT_CSV] = "-";
    r->text_to_stderr =
        (patterns[SAC_OUTPUT_CSV] != NULL && strcmp(patterns[SAC_OUTPUT_CSV], "-") == 0) ||
        (s->jsonl != NULL && strcmp(s->jsonl, "-") == 0);
    if (r->text_to_stderr && s->tool.json) {
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "--json and an output named \"-\" cannot share standard output");
    }
    bool on_stdout = r->text_to_stderr;
    if (on_stdout && s->jobs > 1 && r->source_count > 1) {
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "--jobs %" PRId64 ": sources that are scored at the same time cannot "
                             "share standard output; name files with \"{}\"",
                             s->jobs);
    }
    r->jobs = choose_jobs(r, on_stdout);
    const sac_student_options student = {.reference = s->backend == 1,
                                         .precision = (sac_precision)s->precision,
                                         .smoothing_sigma = s->smoothing_sigma,
                                         .smoothing_taps = (int)s->smoothing_taps,
                                         .gate = s->gate,
                                         .logger = sac_tool_logger(command.name, s->tool.quiet)};
    const sac_student_pool_options workers = {.workers = r->threads, .pin = s->pin};
    SAC_TRY(sac_student_pool_open(&r->pool, s->model, &student, &workers, error));
    sac_student_pool_get_info(r->pool, &r->info);
    SAC_TRY(take_calibration(r, error));
    SAC_TRY(
        sac_output_names_resolve(&r->names, patterns, sources, r->source_count, s->model, error));
    r->settings_json = sac_options_to_json(&command, s);
    SAC_TRY_ALLOC(r->settings_json);
    r->model_json = describe_model(r);
    SAC_TRY_ALLOC(r->model_json);
    r->outcomes = sac_calloc(r->source_count, sizeof *r->outcomes);
    SAC_TRY_ALLOC(r->outcomes);
    SAC_TRY(watcher_start(&r->watcher, r->jobs, error));
fail:
    return status;
}

static sac_status print_json(json_t *results, json_t *failures, const run *r, sac_error *error) {
    json_t *json =
        json_pack("{s:s, s:s, s:s, s:O, s:O, s:O, s:O}", "tool", command.name, "version",
                  sac_version(), "commit", sac_commit(), "model", r->model_json, "settings",
                  r->settings_json, "sources", results, "failures", failures);
    char *text = json != NULL ? json_dumps(json, JSON_INDENT(2) | JSON_REAL_PRECISION(9)) : NULL;
    sac_status status = SAC_OK;
    if (text != NULL) puts(text);
    if (text == NULL)
        status = sac_error_set(error, SAC_ERROR_MEMORY, -1, "no memory for the summary");
    free(text); // Jansson allocates with malloc
    json_decref(json);
    return status;
}

static void note_failure(json_t *failures, const char *source, const sac_error *error) {
    char *clean = sac_text_utf8(source), *message = sac_text_utf8(error->message);
    if (clean != NULL && message != NULL) {
        json_array_append_new(failures, json_pack("{s:s, s:s}", "source", clean, "error", message));
    }
    sac_free(clean);
    sac_free(message);
}

// Says what came of a source and adds it to the JSON. Returns the exit code so far.
static int report(run *r, int64_t i, json_t *results, json_t *failures, int code,
                  sac_status *status) {
    const settings *s = r->settings;
    const char *source = r->sources[i];
    outcome *o = &r->outcomes[i];
    if (o->status == SAC_ERROR_INTERRUPTED || (o->status < 0 && sac_interrupted())) {
        fprintf(stderr, "%s: interrupted; %s: nothing was written\n", command.name, source);
    } else if (o->status < 0) {
        // The other sources are still worth scoring.
        code = sac_tool_fail(command.name, o->status, &o->error);
        note_failure(failures, source, &o->error);
    } else {
        json_t *json = outcome_json(r, i, source, o);
        if (json == NULL || json_array_append_new(results, json) != 0) *status = SAC_ERROR_MEMORY;
        if (!s->tool.json && !s->tool.quiet) print_summary(r, i, source, o);
        if (o->interrupted) {
            fprintf(stderr, "%s: interrupted; %s: %" PRId64 " frames were scored%s\n", command.name,
                    source, o->frames, o->frames > 0 ? " and written" : ", nothing was written");
        }
    }
    if (o->status == SAC_ERROR_MEMORY) *status = SAC_ERROR_MEMORY;
    return code;
}

// Runs all jobs and reports on their sources in the order of the command line, each as soon as
// those before it are done.
static sac_status run_jobs(run *r, json_t *results, json_t *failures, int *code, sac_error *error) {
    sac_status status = SAC_OK;
    int64_t started = 0;
    job *jobs = sac_calloc(r->jobs, sizeof *jobs);
    pthread_t *threads = sac_calloc(r->jobs, sizeof *threads);
    SAC_TRY_ALLOC(jobs);
    SAC_TRY_ALLOC(threads);
    if (r->jobs > 1)
        SAC_TRY(sac_progress_open(&r->progress, "all sources", "frames", 0, &r->settings->tool));
    for (; started < r->jobs; started++) {
        jobs[started] = (job){.run = r, .index = started};
        const int failed = pthread_create(&threads[started], NULL, run_job, &jobs[started]);
        if (failed == 0) continue;
        if (started > 0) break; // fewer will do
        status = sac_error_set(error, SAC_ERROR_BACKEND, -1, "no thread: %s", strerror(failed));
        goto fail;
    }
    for (int64_t i = 0; i < r->source_count; i++) {
        pthread_mutex_lock(&r->lock);
        // After an interruption sources that nobody has taken stay untouched.
        while (!r->outcomes[i].done && (i < r->next || !sac_interrupted())) {
            struct timespec until;
            clock_gettime(CLOCK_REALTIME, &until);
            until.tv_sec++;
            (void)pthread_cond_timedwait(&r->changed, &r->lock, &until);
        }
        const bool done = r->outcomes[i].done;
        pthread_mutex_unlock(&r->lock);
        if (done) {
            *code = report(r, i, results, failures, *code, &status);
        } else {
            fprintf(stderr, "%s: interrupted; %s: not begun\n", command.name, r->sources[i]);
        }
    }
fail:
    for (int64_t i = 0; i < started; i++) pthread_join(threads[i], NULL);
    sac_progress_close(&r->progress);
    sac_free(jobs);
    sac_free(threads);
    return status;
}

int main(int argc, char **argv) {
    settings s;
    sac_options_result parsed;
    const double start_s = sac_time_s();
    int code = sac_tool_start(&command, &s, argc, argv, &parsed);
    if (code >= 0) return code;
    sac_error error = {0};
    sac_status status = SAC_OK;
    run r = {.settings = &s,
             .start_s = start_s,
             .sources = parsed.positional,
             .source_count = parsed.positional_count,
             .lock = PTHREAD_MUTEX_INITIALIZER,
             .changed = PTHREAD_COND_INITIALIZER};
    json_t *results = json_array(), *failures = json_array();
    code = SAC_EXIT_OK;
    sac_interrupt_install();
    // Somebody may be watching a live source through a pipe.
    setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
    SAC_TRY_ALLOC(results);
    SAC_TRY_ALLOC(failures);
    SAC_TRY(prepare(&r, parsed.positional, &error));
    SAC_TRY(run_jobs(&r, results, failures, &code, &error));
    if (s.tool.json) SAC_TRY(print_json(results, failures, &r, &error));
    SAC_TRY(sac_tool_flush(&error));
fail:
    if (status < 0) code = sac_tool_fail(command.name, status, &error);
    if (sac_interrupted()) code = SAC_EXIT_INTERRUPTED;
    watcher_stop(&r.watcher);
    for (int64_t i = 0; r.outcomes != NULL && i < r.source_count; i++)
        sac_events_close(&r.outcomes[i].events);
    sac_free(r.outcomes);
    sac_student_pool_close(&r.pool);
    sac_calibration_close(&r.calibration);
    sac_output_names_close(&r.names);
    json_decref(r.settings_json);
    json_decref(r.model_json);
    json_decref(results);
    json_decref(failures);
    if (code == SAC_EXIT_OK) sac_tool_finish(command.name, s.tool.quiet);
    sac_options_close(&parsed);
    return code;
}
