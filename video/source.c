// The video source: pictures or stream, conversion to the wanted size and format, presentation
// times, and a bounded queue filled by a decoding thread. Finding and decoding is the business of
// pictures.c and stream.c.
#include "saccade/video.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>

#include "core/check.h"
#include "core/file.h"
#include "core/memory.h"
#include "core/text.h"
#include "video/convert.h"
#include "video/ffmpeg.h"
#include "video/pictures.h"
#include "video/source.h"
#include "video/stream.h"

#define MAX_QUEUE       64
#define MAX_QUEUE_BYTES ((int64_t)1 << 29) // 8K frames must not fill the memory

// One delivered frame: a picture of our own, or the decoder's and a view of its luma.
typedef struct slot {
    uint8_t *data;        // pixels read with sac_video_read
    AVFrame *frame;       // what `luma` borrows from
    sac_luma_store store; // or what it points into
    sac_luma luma;
    int64_t index;
    double time_s;
    bool repeated, damaged;
} slot;

struct sac_video {
    sac_video_options options;
    char *source;
    char *label; // "'source'", how messages name it: without a password
    sac_video_info info;
    sac_pictures *pictures; // one of these two
    sac_stream *stream;
    AVFrame *frame;
    bool pending; // `frame` holds the first picture already
    double pending_time_s;
    sac_converter *converter; // of the thread that decodes
    sac_converter *picture;   // of the reader
    int64_t index;            // of the next frame to decode
    double start_s, last_s;   // presentation time of the first and the latest frame
    atomic_bool stop;

    slot *slots;
    int slot_count;
    int *filled; // ring of the slots that wait for the reader
    int head, filled_count;
    int *unused; // stack of the slots that wait for a frame
    int unused_count;
    int held; // the slot that the reader uses, -1: none
    // Sleepers are woken when there is work for more than one frame: see open_queue.
    int wake_filled, wake_unused;
    sac_video_counts counts;
    sac_status end; // how decoding ended; SAC_OK: it goes on
    sac_error end_error;
    bool threaded;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t arrived, freed; // for the reader, for the decoding thread
    int made;                      // how many of the three exist
};

sac_video_options sac_video_default_options(void) {
    return (sac_video_options){.channels = 1, .queue = 4, .frame_rate = 25, .timeout_s = 10};
}

static sac_status check_options(const sac_video_options *o, sac_error *error) {
    if (o->width < 0 || o->height < 0 || o->width > SAC_MAX_SIDE || o->height > SAC_MAX_SIDE ||
        (o->width == 0) != (o->height == 0))
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "frame size %dx%d, expected 1x1 to %dx%d or 0x0", o->width, o->height,
                             SAC_MAX_SIDE, SAC_MAX_SIDE);
    if (o->channels != 1 && o->channels != 3)
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1, "%d channels, expected 1 or 3",
                             o->channels);
    if (o->luma && o->channels != 1)
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "%d channels, expected 1 where luma planes are read", o->channels);
    if (o->skip_loop_filter < SAC_VIDEO_SKIP_NONE || o->skip_loop_filter > SAC_VIDEO_SKIP_ALL ||
        o->skip_frames < SAC_VIDEO_SKIP_NONE || o->skip_frames > SAC_VIDEO_SKIP_NONREF ||
        o->late < SAC_VIDEO_LATE_BLOCK || o->late > SAC_VIDEO_LATE_DROP)
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "loop filter %d, skipped frames %d, late frames %d, expected 0 to 2, "
                             "0 to 1, 0 to 1",
                             (int)o->skip_loop_filter, (int)o->skip_frames, (int)o->late);
    if (o->lowres < 0 || o->lowres > 3)
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1, "lowres %d, expected 0 to 3",
                             o->lowres);
    if (o->late == SAC_VIDEO_LATE_DROP && o->queue == 0)
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "late frames can only be dropped from a queue of at least 1");
    if (o->threads < 0 || o->threads > 64)
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1, "%d decoder threads, expected 0 to 64",
                             o->threads);
    if (o->queue < 0 || o->queue > MAX_QUEUE)
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1, "queue of %d frames, expected 0 to %d",
                             o->queue, MAX_QUEUE);
    if (!(o->frame_rate > 0 && o->frame_rate <= 10000))
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "frame rate %g, expected above 0 to 10000", o->frame_rate);
    if (!(o->timeout_s >= 0 && o->timeout_s < 1e9))
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1, "timeout of %g s, expected 0 or more",
                             o->timeout_s);
    return SAC_OK;
}

// Decodes the next picture into `frame`, which holds none; *time_s NaN when the input does not say.
static sac_status decode(sac_video *v, AVFrame *frame, double *time_s, bool *repeated,
                         sac_error *error) {
    *time_s = NAN;
    *repeated = false;
    if (atomic_load(&v->stop))
        return sac_error_set(error, SAC_ERROR_INTERRUPTED, v->index, "%s: interrupted", v->label);
    if (v->pending) {
        v->pending = false;
        *time_s = v->pending_time_s;
        if (frame != v->frame) av_frame_move_ref(frame, v->frame);
        return SAC_OK;
    }
    if (v->stream != NULL)
        return sac_stream_read(v->stream, frame, time_s, repeated, v->index, error);
    if (v->index >= sac_pictures_count(v->pictures)) return SAC_EOF;
    *time_s = (double)v->index / v->options.frame_rate;
    return sac_pictures_decode(v->pictures, v->index, frame, error);
}

// Errors that the decoder noticed and covered up.
static bool is_damaged(const AVFrame *frame) {
    return frame->decode_error_flags != 0 || (frame->flags & AV_FRAME_FLAG_CORRUPT) != 0;
}

// Decodes the next frame into `out`; pixels are converted, luma only where it does not lie ready.
static sac_status produce(sac_video *v, slot *out, sac_error *error) {
    sac_status status = SAC_OK;
    double time_s;
    AVFrame *frame = v->options.luma ? out->frame : v->frame;
    if (v->options.luma) av_frame_unref(frame);
    SAC_TRY(decode(v, frame, &time_s, &out->repeated, error));
    if (status == SAC_EOF) return status;
    out->damaged = is_damaged(frame);
    if (v->options.luma) {
        SAC_TRY(sac_converter_luma(v->converter, &out->luma, &out->store, frame, v->label, error));
        if (out->luma.data == out->store.bytes) av_frame_unref(frame);
    } else {
        SAC_TRY(sac_converter_run(v->converter, out->data, frame, v->label, error));
        av_frame_unref(frame);
    }
    double step = 1 / (v->info.frame_rate > 0 ? v->info.frame_rate : 25);
    if (v->index == 0) {
        v->start_s = isfinite(time_s) ? time_s : 0;
        v->last_s = 0;
    } else {
        double t = isfinite(time_s) ? time_s - v->start_s : v->last_s + step;
        if (t > v->last_s) v->last_s = t;
    }
    out->index = v->index++;
    out->time_s = v->last_s;
fail:
    return status;
}

static void put_filled(sac_video *v, int s) {
    v->filled[(v->head + v->filled_count) % v->slot_count] = s;
    v->filled_count++;
}

static int take_filled(sac_video *v) {
    int s = v->filled[v->head];
    v->head = (v->head + 1) % v->slot_count;
    v->filled_count--;
    return s;
}

static void *decode_ahead(void *user) {
    sac_video *v = user;
    sac_status status = SAC_OK;
    sac_error error = {0};
    while (status == SAC_OK) {
        pthread_mutex_lock(&v->lock);
        if (v->unused_count == 0)
            while (v->unused_count < v->wake_unused && !atomic_load(&v->stop))
                pthread_cond_wait(&v->freed, &v->lock);
        // Interrupted, decoding only says so and writes nothing.
        int s = v->unused_count > 0 ? v->unused[--v->unused_count] : -1;
        pthread_mutex_unlock(&v->lock);
        if (s < 0) break;

        // Nobody else touches a slot that is on no list, so the picture is made without the lock.
        status = produce(v, &v->slots[s], &error);

        pthread_mutex_lock(&v->lock);
        if (status == SAC_OK) {
            put_filled(v, s);
            if (!v->slots[s].repeated) v->counts.decoded++;
            if (v->options.late == SAC_VIDEO_LATE_DROP && v->filled_count > v->options.queue) {
                v->unused[v->unused_count++] = take_filled(v);
                v->counts.dropped++;
            }
        } else {
            v->end = status;
            v->end_error = error;
        }
        bool wake = v->filled_count >= v->wake_filled || status != SAC_OK;
        pthread_mutex_unlock(&v->lock);
        // Not under the lock, which the woken thread would have to wait for.
        if (wake) pthread_cond_signal(&v->arrived);
    }
    return NULL;
}

static bool is_picture_source(const char *source) {
    struct stat info;
    if (stat(source, &info) == 0)
        return S_ISDIR(info.st_mode) || (S_ISREG(info.st_mode) && sac_pictures_name(source));
    return strstr(source, "://") == NULL && sac_pictures_is_pattern(source);
}

// *local: pictures or a file, which wait for their reader.
static sac_status open_source(sac_video *v, bool *local, sac_error *error) {
    sac_status status = SAC_OK;
    sac_stream_info info = {.local = true};
    bool repeated;
    if (v->source[0] == 0)
        SAC_TRY(sac_error_set(error, SAC_ERROR_ARGUMENT, -1, "the video source has no name"));
    if (v->options.format == NULL && is_picture_source(v->source)) {
        SAC_TRY(sac_pictures_open(&v->pictures, v->source, error));
        if (v->options.skip_frames != SAC_VIDEO_SKIP_NONE)
            SAC_TRY(sac_error_set(error, SAC_ERROR_UNSUPPORTED, -1,
                                  "%s: pictures cannot be skipped (frames of H.264, HEVC, MPEG-1, "
                                  "-2 and -4 can)",
                                  v->label));
        sac_pictures_set_lowres(v->pictures, v->options.lowres);
        v->info.frames = sac_pictures_count(v->pictures);
        v->info.frame_rate = v->options.frame_rate;
    } else {
        SAC_TRY(sac_stream_open(&v->stream, v->source, &v->options, &v->stop, error));
        sac_stream_get_info(v->stream, &info);
        v->info.frames = info.frames;
        v->info.frame_rate = info.frame_rate;
    }
    status = decode(v, v->frame, &v->pending_time_s, &repeated, error);
    if (status == SAC_EOF)
        SAC_TRY(sac_error_set(error, SAC_ERROR_FORMAT, 0, "%s holds no decodable frame", v->label));
    SAC_TRY(status);
    v->pending = true;
    v->info.source_width = v->frame->width;
    v->info.source_height = v->frame->height;
    if (v->options.lowres > 0 && v->stream != NULL) {
        v->info.source_width = info.width;
        v->info.source_height = info.height;
    } else if (v->options.lowres > 0) {
        sac_pictures_coded_size(v->pictures, &v->info.source_width, &v->info.source_height);
    }
    if (v->frame->width > SAC_MAX_SIDE || v->frame->height > SAC_MAX_SIDE)
        SAC_TRY(sac_error_set(error, SAC_ERROR_FORMAT, 0,
                              "%s: frame of %dx%d px, expected 1x1 to %dx%d", v->label,
                              v->frame->width, v->frame->height, SAC_MAX_SIDE, SAC_MAX_SIDE));
    v->info.width = v->options.width > 0 ? v->options.width : v->frame->width;
    v->info.height = v->options.height > 0 ? v->options.height : v->frame->height;
    v->info.channels = v->options.channels;
    *local = info.local;
fail:
    return status;
}

static sac_status open_slot(sac_video *v, slot *s) {
    sac_status status = SAC_OK;
    if (v->options.luma)
        SAC_TRY_ALLOC(s->frame = av_frame_alloc());
    else
        SAC_TRY_ALLOC(
            s->data = sac_calloc((int64_t)v->info.width * v->info.height * v->info.channels, 1));
fail:
    return status;
}

static sac_status open_queue(sac_video *v, bool patient) {
    sac_status status = SAC_OK;
    // A decoder's frame has colours too, and room around the picture.
    int64_t bytes = v->options.luma ? (int64_t)v->info.source_width * v->info.source_height * 2
                                    : (int64_t)v->info.width * v->info.height * v->info.channels;
    // One is with the reader; where the queue may overflow, one more is being made.
    v->slot_count = v->options.queue + (v->options.late == SAC_VIDEO_LATE_DROP ? 2 : 1);
    while (v->options.queue > 1 && v->slot_count * bytes > MAX_QUEUE_BYTES) {
        v->options.queue--;
        v->slot_count--;
    }
    v->slots = sac_calloc(v->slot_count, sizeof *v->slots);
    v->filled = sac_calloc(v->slot_count, sizeof *v->filled);
    v->unused = sac_calloc(v->slot_count, sizeof *v->unused);
    SAC_TRY_ALLOC(v->slots);
    SAC_TRY_ALLOC(v->filled);
    SAC_TRY_ALLOC(v->unused);
    for (int i = 0; i < v->slot_count; i++) {
        SAC_TRY(open_slot(v, &v->slots[i]));
        v->unused[v->unused_count++] = i;
    }
    // Going to sleep and waking costs as much as a small frame's scaling, so a side that had to
    // wait sleeps until the queue is half empty or half full. Only of files: of a live input every
    // frame is handed on at once. Never both sleep: together the thresholds are at most slot_count.
    v->wake_unused = (v->slot_count + 1) / 2;
    v->wake_filled = patient && v->slot_count > 3 ? v->slot_count / 2 : 1;
    if (v->options.queue > 0) {
        if (pthread_create(&v->thread, NULL, decode_ahead, v) != 0) return SAC_ERROR_MEMORY;
        v->threaded = true;
    }
fail:
    return status;
}

static sac_status create(sac_video **video, const char *source, const sac_video_options *options) {
    sac_status status = SAC_OK;
    char *shown = NULL;
    sac_video *v = sac_calloc(1, sizeof *v);
    SAC_TRY_ALLOC(v);
    v->options = *options;
    v->options.format = NULL;
    atomic_init(&v->stop, false);
    v->held = -1;
    v->counts.first_damaged = -1;
    if (pthread_mutex_init(&v->lock, NULL) != 0) SAC_TRY(SAC_ERROR_MEMORY);
    v->made++;
    if (pthread_cond_init(&v->arrived, NULL) != 0) SAC_TRY(SAC_ERROR_MEMORY);
    v->made++;
    if (pthread_cond_init(&v->freed, NULL) != 0) SAC_TRY(SAC_ERROR_MEMORY);
    v->made++;
    v->source = sac_strdup(source);
    shown = sac_text_without_login(source);
    SAC_TRY_ALLOC(v->source);
    SAC_TRY_ALLOC(shown);
    v->label = sac_format("'%s'", shown);
    SAC_TRY_ALLOC(v->label);
    if (options->format != NULL) {
        v->options.format = sac_strdup(options->format);
        SAC_TRY_ALLOC(v->options.format);
    }
    v->frame = av_frame_alloc();
    SAC_TRY_ALLOC(v->frame);
    *video = v;
    v = NULL;
fail:
    sac_free(shown);
    sac_video_close(&v);
    return status;
}

sac_status sac_video_open(sac_video **video, const char *source, const sac_video_options *options,
                          sac_error *error) {
    sac_status status = SAC_OK;
    sac_video_options defaults = sac_video_default_options();
    sac_video *v = NULL;
    bool local;
    *video = NULL;
    if (options == NULL) options = &defaults;
    SAC_TRY(check_options(options, error));
    sac_ffmpeg_start();
    SAC_TRY(create(&v, source, options));
    SAC_TRY(open_source(v, &local, error));
    SAC_TRY(sac_converter_create(&v->converter, v->info.width, v->info.height, v->info.channels));
    SAC_TRY(sac_converter_create(&v->picture, v->info.width, v->info.height, 1));
    SAC_TRY(open_queue(v, local));
    *video = v;
    return SAC_OK;
fail:
    if (status == SAC_ERROR_MEMORY)
        sac_error_set(error, status, -1, "%s: out of memory",
                      v != NULL && v->label != NULL ? v->label : "video source");
    sac_video_close(&v);
    return status;
}

void sac_video_get_info(const sac_video *video, sac_video_info *info) {
    *info = video->info;
}

static sac_status end_of(const sac_video *v, sac_error *error) {
    if (v->end < 0) sac_error_set(error, v->end, v->end_error.position, "%s", v->end_error.message);
    return v->end;
}

// Makes the next frame on this thread, in the only slot.
static sac_status read_here(sac_video *v, sac_error *error) {
    v->held = -1;
    if (v->end == SAC_OK) v->end = produce(v, &v->slots[0], &v->end_error);
    if (v->end != SAC_OK) return end_of(v, error);
    pthread_mutex_lock(&v->lock);
    if (!v->slots[0].repeated) v->counts.decoded++;
    pthread_mutex_unlock(&v->lock);
    v->held = 0;
    return SAC_OK;
}

static sac_status read_queue(sac_video *v, sac_error *error) {
    sac_status status = SAC_OK;
    pthread_mutex_lock(&v->lock);
    if (v->held >= 0) {
        v->unused[v->unused_count++] = v->held;
        v->held = -1;
        bool wake = v->unused_count == v->wake_unused;
        pthread_mutex_unlock(&v->lock);
        if (wake) pthread_cond_signal(&v->freed);
        pthread_mutex_lock(&v->lock);
    }
    if (v->filled_count == 0)
        while (v->filled_count < v->wake_filled && v->end == SAC_OK && !atomic_load(&v->stop))
            pthread_cond_wait(&v->arrived, &v->lock);
    if (atomic_load(&v->stop))
        status = sac_error_set(error, SAC_ERROR_INTERRUPTED, -1, "%s: interrupted", v->label);
    else if (v->filled_count > 0)
        v->held = take_filled(v);
    else
        status = end_of(v, error);
    pthread_mutex_unlock(&v->lock);
    return status;
}

// Makes the next frame the held one.
static sac_status next_frame(sac_video *v, bool luma, slot **out, sac_error *error) {
    if (luma != v->options.luma)
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "%s was opened for %s and is read for %s", v->label,
                             luma ? "pixels" : "luma planes", luma ? "luma planes" : "pixels");
    sac_status status = v->threaded ? read_queue(v, error) : read_here(v, error);
    if (status != SAC_OK) return status;
    *out = &v->slots[v->held];
    pthread_mutex_lock(&v->lock);
    v->counts.delivered++;
    if ((*out)->repeated) v->counts.repeated++;
    if ((*out)->damaged && v->counts.damaged++ == 0) v->counts.first_damaged = (*out)->index;
    pthread_mutex_unlock(&v->lock);
    return SAC_OK;
}

sac_status sac_video_read(sac_video *v, sac_frame *frame, sac_error *error) {
    slot *s = NULL;
    *frame = (sac_frame){0};
    sac_status status = next_frame(v, false, &s, error);
    if (status != SAC_OK) return status;
    *frame = (sac_frame){.data = s->data,
                         .width = v->info.width,
                         .height = v->info.height,
                         .channels = v->info.channels,
                         .index = s->index,
                         .time_s = s->time_s,
                         .repeated = s->repeated,
                         .damaged = s->damaged};
    return SAC_OK;
}

sac_status sac_video_read_luma(sac_video *v, sac_luma_frame *frame, sac_error *error) {
    slot *s = NULL;
    *frame = (sac_luma_frame){0};
    sac_status status = next_frame(v, true, &s, error);
    if (status != SAC_OK) return status;
    *frame = (sac_luma_frame){.luma = s->luma,
                              .index = s->index,
                              .time_s = s->time_s,
                              .repeated = s->repeated,
                              .damaged = s->damaged};
    return SAC_OK;
}

sac_status sac_video_picture(sac_video *v, uint8_t *gray, sac_error *error) {
    if (!v->options.luma || v->held < 0)
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1, "%s: no luma plane is held", v->label);
    sac_status status = sac_converter_gray(v->picture, gray, &v->slots[v->held].luma);
    if (status == SAC_ERROR_MEMORY)
        sac_error_set(error, status, -1, "%s: out of memory for a picture", v->label);
    return status;
}

void sac_video_get_counts(sac_video *v, sac_video_counts *counts) {
    pthread_mutex_lock(&v->lock);
    *counts = v->counts;
    pthread_mutex_unlock(&v->lock);
}

void sac_video_interrupt(sac_video *v) {
    atomic_store(&v->stop, true);
    pthread_mutex_lock(&v->lock);
    pthread_cond_broadcast(&v->arrived);
    pthread_cond_broadcast(&v->freed);
    pthread_mutex_unlock(&v->lock);
}

void sac_video_close(sac_video **video) {
    if (video == NULL || *video == NULL) return;
    sac_video *v = *video;
    if (v->threaded) {
        sac_video_interrupt(v);
        (void)pthread_join(v->thread, NULL);
    }
    for (int i = 0; v->slots != NULL && i < v->slot_count; i++) {
        sac_free(v->slots[i].data);
        av_frame_free(&v->slots[i].frame);
        sac_luma_store_free(&v->slots[i].store);
    }
    sac_free(v->slots);
    sac_free(v->filled);
    sac_free(v->unused);
    sac_stream_close(&v->stream);
    sac_pictures_close(&v->pictures);
    sac_converter_close(&v->converter);
    sac_converter_close(&v->picture);
    av_frame_free(&v->frame);
    sac_free((void *)v->options.format);
    sac_free(v->source);
    sac_free(v->label);
    if (v->made > 2) pthread_cond_destroy(&v->freed);
    if (v->made > 1) pthread_cond_destroy(&v->arrived);
    if (v->made > 0) pthread_mutex_destroy(&v->lock);
    sac_free(v);
    *video = NULL;
}

sac_status sac_video_count_frames(sac_video_counts *counts, const char *source, sac_error *error) {
    sac_status status = SAC_OK;
    sac_video_options options = sac_video_default_options();
    sac_video *v = NULL;
    double time_s;
    bool repeated;
    options.width = options.height = 1; // nothing is converted, so no frame-sized buffers
    options.queue = 0;
    SAC_TRY(sac_video_open(&v, source, &options, error));
    *counts = (sac_video_counts){.first_damaged = -1};
    for (;;) {
        status = decode(v, v->frame, &time_s, &repeated, error);
        if (status != SAC_OK) break;
        if (is_damaged(v->frame) && counts->damaged++ == 0) counts->first_damaged = v->index;
        av_frame_unref(v->frame);
        v->index++;
    }
    SAC_TRY(status);
    counts->decoded = v->index;
    status = SAC_OK;
fail:
    sac_video_close(&v);
    return status;
}
