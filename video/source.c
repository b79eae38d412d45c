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
#include "video/convert.h"
#include "video/ffmpeg.h"
#include "video/pictures.h"
#include "video/source.h"
#include "video/stream.h"

#define MAX_QUEUE       64
#define MAX_QUEUE_BYTES ((int64_t)1 << 29) // 8K frames must not fill the memory

typedef struct slot {
    uint8_t *data;
    int64_t index;
    double time_s;
} slot;

struct sac_video {
    sac_video_options options;
    char *source;
    char *label; // "'source'", how messages name it
    sac_video_info info;
    sac_pictures *pictures; // one of these two
    sac_stream *stream;
    AVFrame *frame;
    bool pending; // `frame` holds the first picture already
    double pending_time_s;
    sac_converter *converter;
    int64_t index;          // of the next frame to decode
    double start_s, last_s; // presentation time of the first and the latest frame
    atomic_bool stop;

    slot *slots; // ring; the reader keeps the slot it was given last
    int slot_count;
    int head, filled; // first filled slot and how many are
    bool held;        // the reader still uses the slot before `head`
    sac_status end;   // how decoding ended; SAC_OK: it goes on
    sac_error end_error;
    bool threaded;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool lock_made;
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

// Decodes the next picture into v->frame; *time_s NaN when the input does not say.
static sac_status decode(sac_video *v, double *time_s, sac_error *error) {
    *time_s = NAN;
    if (atomic_load(&v->stop))
        return sac_error_set(error, SAC_ERROR_INTERRUPTED, v->index, "%s: interrupted", v->label);
    if (v->pending) {
        v->pending = false;
        *time_s = v->pending_time_s;
        return SAC_OK;
    }
    if (v->stream != NULL) return sac_stream_read(v->stream, v->frame, time_s, v->index, error);
    if (v->index >= sac_pictures_count(v->pictures)) return SAC_EOF;
    *time_s = (double)v->index / v->options.frame_rate;
    return sac_pictures_decode(v->pictures, v->index, v->frame, error);
}

// Decodes and converts the next frame into `out`.
static sac_status produce(sac_video *v, slot *out, sac_error *error) {
    sac_status status = SAC_OK;
    double time_s;
    SAC_TRY(decode(v, &time_s, error));
    if (status == SAC_EOF) return status;
    SAC_TRY(sac_converter_run(v->converter, out->data, v->frame, v->label, error));
    av_frame_unref(v->frame);
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

static void *decode_ahead(void *user) {
    sac_video *v = user;
    sac_status status = SAC_OK;
    sac_error error = {0};
    while (status == SAC_OK) {
        pthread_mutex_lock(&v->lock);
        while (v->filled + (v->held ? 1 : 0) >= v->slot_count && !atomic_load(&v->stop))
            pthread_cond_wait(&v->changed, &v->lock);
        slot *next = &v->slots[(v->head + v->filled) % v->slot_count];
        pthread_mutex_unlock(&v->lock);

        // Only this thread writes to free slots, so the picture is made without the lock.
        status = produce(v, next, &error);

        pthread_mutex_lock(&v->lock);
        if (status == SAC_OK) v->filled++;
        v->end = status;
        v->end_error = error;
        pthread_cond_broadcast(&v->changed);
        pthread_mutex_unlock(&v->lock);
    }
    return NULL;
}

static bool is_picture_source(const char *source) {
    struct stat info;
    if (stat(source, &info) == 0)
        return S_ISDIR(info.st_mode) || (S_ISREG(info.st_mode) && sac_pictures_name(source));
    return strstr(source, "://") == NULL && sac_pictures_is_pattern(source);
}

static sac_status open_source(sac_video *v, sac_error *error) {
    sac_status status = SAC_OK;
    if (v->source[0] == 0)
        SAC_TRY(sac_error_set(error, SAC_ERROR_ARGUMENT, -1, "the video source has no name"));
    if (v->options.format == NULL && is_picture_source(v->source)) {
        SAC_TRY(sac_pictures_open(&v->pictures, v->source, error));
        v->info.frames = sac_pictures_count(v->pictures);
        v->info.frame_rate = v->options.frame_rate;
    } else {
        sac_stream_info info;
        SAC_TRY(sac_stream_open(&v->stream, v->source, v->options.format, v->options.threads,
                                v->options.timeout_s, &v->stop, error));
        sac_stream_get_info(v->stream, &info);
        v->info.frames = info.frames;
        v->info.frame_rate = info.frame_rate;
    }
    status = decode(v, &v->pending_time_s, error);
    if (status == SAC_EOF)
        SAC_TRY(sac_error_set(error, SAC_ERROR_FORMAT, 0, "%s holds no decodable frame", v->label));
    SAC_TRY(status);
    v->pending = true;
    v->info.source_width = v->frame->width;
    v->info.source_height = v->frame->height;
    if (v->frame->width > SAC_MAX_SIDE || v->frame->height > SAC_MAX_SIDE)
        SAC_TRY(sac_error_set(error, SAC_ERROR_FORMAT, 0,
                              "%s: frame of %dx%d px, expected 1x1 to %dx%d", v->label,
                              v->frame->width, v->frame->height, SAC_MAX_SIDE, SAC_MAX_SIDE));
    v->info.width = v->options.width > 0 ? v->options.width : v->frame->width;
    v->info.height = v->options.height > 0 ? v->options.height : v->frame->height;
    v->info.channels = v->options.channels;
fail:
    return status;
}

static sac_status open_queue(sac_video *v) {
    sac_status status = SAC_OK;
    int64_t bytes = (int64_t)v->info.width * v->info.height * v->info.channels;
    v->slot_count = v->options.queue + 1; // one is with the reader
    while (v->slot_count > 2 && v->slot_count * bytes > MAX_QUEUE_BYTES) v->slot_count--;
    v->slots = sac_calloc(v->slot_count, sizeof *v->slots);
    SAC_TRY_ALLOC(v->slots);
    for (int i = 0; i < v->slot_count; i++) {
        v->slots[i].data = sac_calloc(bytes, 1);
        SAC_TRY_ALLOC(v->slots[i].data);
    }
    if (v->options.queue > 0) {
        if (pthread_create(&v->thread, NULL, decode_ahead, v) != 0) return SAC_ERROR_MEMORY;
        v->threaded = true;
    }
fail:
    return status;
}

static sac_status create(sac_video **video, const char *source, const sac_video_options *options) {
    sac_status status = SAC_OK;
    sac_video *v = sac_calloc(1, sizeof *v);
    SAC_TRY_ALLOC(v);
    v->options = *options;
    v->options.format = NULL;
    atomic_init(&v->stop, false);
    if (pthread_mutex_init(&v->lock, NULL) != 0) SAC_TRY(SAC_ERROR_MEMORY);
    if (pthread_cond_init(&v->changed, NULL) != 0) {
        pthread_mutex_destroy(&v->lock);
        SAC_TRY(SAC_ERROR_MEMORY);
    }
    v->lock_made = true;
    v->source = sac_strdup(source);
    v->label = sac_format("'%s'", source);
    SAC_TRY_ALLOC(v->source);
    SAC_TRY_ALLOC(v->label);
    if (options->format != NULL) {
        v->options.format = sac_strdup(options->format);
        SAC_TRY_ALLOC(v->options.format);
    }
    v->frame = av_frame_alloc();
    SAC_TRY_ALLOC(v->frame);
    *video = v;
    return SAC_OK;
fail:
    sac_video_close(&v);
    return status;
}

sac_status sac_video_open(sac_video **video, const char *source, const sac_video_options *options,
                          sac_error *error) {
    sac_status status = SAC_OK;
    sac_video_options defaults = sac_video_default_options();
    sac_video *v = NULL;
    *video = NULL;
    if (options == NULL) options = &defaults;
    SAC_TRY(check_options(options, error));
    sac_ffmpeg_start();
    SAC_TRY(create(&v, source, options));
    SAC_TRY(open_source(v, error));
    SAC_TRY(sac_converter_create(&v->converter, v->info.width, v->info.height, v->info.channels));
    SAC_TRY(open_queue(v));
    *video = v;
    return SAC_OK;
fail:
    if (status == SAC_ERROR_MEMORY) sac_error_set(error, status, -1, "'%s': out of memory", source);
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

// Makes the next frame on this thread.
static sac_status read_here(sac_video *v, slot **out, sac_error *error) {
    if (v->end == SAC_OK) v->end = produce(v, &v->slots[0], &v->end_error);
    *out = &v->slots[0];
    return end_of(v, error);
}

static sac_status read_queue(sac_video *v, slot **out, sac_error *error) {
    sac_status status = SAC_OK;
    pthread_mutex_lock(&v->lock);
    if (v->held) {
        v->held = false;
        pthread_cond_broadcast(&v->changed);
    }
    while (v->filled == 0 && v->end == SAC_OK && !atomic_load(&v->stop))
        pthread_cond_wait(&v->changed, &v->lock);
    if (atomic_load(&v->stop)) {
        status = sac_error_set(error, SAC_ERROR_INTERRUPTED, -1, "%s: interrupted", v->label);
    } else if (v->filled > 0) {
        *out = &v->slots[v->head];
        v->head = (v->head + 1) % v->slot_count;
        v->filled--;
        v->held = true;
    } else {
        status = end_of(v, error);
    }
    pthread_mutex_unlock(&v->lock);
    return status;
}

sac_status sac_video_read(sac_video *v, sac_frame *frame, sac_error *error) {
    slot *s = NULL;
    *frame = (sac_frame){0};
    sac_status status = v->threaded ? read_queue(v, &s, error) : read_here(v, &s, error);
    if (status != SAC_OK) return status;
    *frame = (sac_frame){.data = s->data,
                         .width = v->info.width,
                         .height = v->info.height,
                         .channels = v->info.channels,
                         .index = s->index,
                         .time_s = s->time_s};
    return SAC_OK;
}

void sac_video_interrupt(sac_video *v) {
    atomic_store(&v->stop, true);
    pthread_mutex_lock(&v->lock);
    pthread_cond_broadcast(&v->changed);
    pthread_mutex_unlock(&v->lock);
}

void sac_video_close(sac_video **video) {
    if (video == NULL || *video == NULL) return;
    sac_video *v = *video;
    if (v->threaded) {
        sac_video_interrupt(v);
        (void)pthread_join(v->thread, NULL);
    }
    sac_stream_close(&v->stream);
    sac_pictures_close(&v->pictures);
    sac_converter_close(&v->converter);
    av_frame_free(&v->frame);
    if (v->slots != NULL)
        for (int i = 0; i < v->slot_count; i++) sac_free(v->slots[i].data);
    sac_free(v->slots);
    sac_free((void *)v->options.format);
    sac_free(v->source);
    sac_free(v->label);
    if (v->lock_made) {
        pthread_cond_destroy(&v->changed);
        pthread_mutex_destroy(&v->lock);
    }
    sac_free(v);
    *video = NULL;
}

sac_status sac_video_count_frames(const char *source, int64_t *frames, int *width, int *height,
                                  sac_error *error) {
    sac_status status = SAC_OK;
    sac_video_options options = sac_video_default_options();
    sac_video *v = NULL;
    double time_s;
    options.width = options.height = 1; // nothing is converted, so no frame-sized buffers
    options.queue = 0;
    SAC_TRY(sac_video_open(&v, source, &options, error));
    if (width != NULL) *width = v->info.source_width;
    if (height != NULL) *height = v->info.source_height;
    for (;;) {
        status = decode(v, &time_s, error);
        if (status != SAC_OK) break;
        av_frame_unref(v->frame);
        v->index++;
    }
    SAC_TRY(status);
    *frames = v->index;
    status = SAC_OK;
fail:
    sac_video_close(&v);
    return status;
}
