// A clip through a detection network, or from the cache.
#include "teachers/network_clip.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/check.h"
#include "core/file.h"
#include "core/memory.h"
#include "core/number.h"
#include "core/time.h"
#include "saccade/video.h"
#include "video/digest.h"

// Confidence down to which boxes are kept in the cache.
static const double FLOOR = 0.05;
// Most pixels of an input that grows with the frame.
static const double MOST_PIXELS = 4e6;

sac_status sac_network_classes(bool *keep, const sac_box_network *network, const char *list,
                               sac_error *error) {
    for (int c = 0; c < network->classes; c++) keep[c] = list == NULL;
    for (const char *item = list; item != NULL;) {
        const size_t length = strcspn(item, ",");
        char text[128] = "";
        int64_t number = -1;
        int found = -1;
        if (length < sizeof text) memcpy(text, item, length);
        for (int c = 0; c < network->classes && network->names != NULL; c++) {
            if (strcmp(network->names[c], text) == 0) found = c;
        }
        if (found < 0 && sac_number_integer(text, &number) && number >= 0 &&
            number < network->classes) {
            found = (int)number;
        }
        if (found < 0 && network->names == NULL) {
            return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                                 "class '%.*s': the names of %s are unknown, expected numbers 0 to "
                                 "%d",
                                 (int)(length < 60 ? length : 60), item, network->text,
                                 network->classes - 1);
        }
        if (found < 0) {
            char known[512] = "";
            size_t used = 0;
            for (int c = 0; c < network->classes; c++) {
                const size_t more = strlen(network->names[c]) + 2;
                if (used + more + 4 > sizeof known) {
                    memcpy(known + used, "...", 4);
                    break;
                }
                used += (size_t)snprintf(known + used, sizeof known - used, "%s%s",
                                         c > 0 ? ", " : "", network->names[c]);
            }
            return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                                 "class '%.*s' is not known to %s, which has %s",
                                 (int)(length < 60 ? length : 60), item, network->text, known);
        }
        keep[found] = true;
        item = item[length] == ',' ? item + length + 1 : NULL;
    }
    return SAC_OK;
}

// One clip on its way.
typedef struct job {
    sac_box_network *network;
    const sac_clip *clip;
    const uint8_t *pixels;
    int width, height;
    int input_w, input_h; // of the network for this clip
    const sac_network_clip_options *options;
    double floor;
    sac_error *error;
} job;

// The input's size for frames of this size.
static void choose_input(job *j) {
    const sac_network_input *input = &j->network->input;
    const double scale = j->options->network.scale;
    j->input_w = input->width;
    j->input_h = input->height;
    if (j->network->resize == NULL || !(scale > 0)) return;
    const double stride = j->network->stride;
    const double w = ceil(j->width * scale / stride) * stride;
    const double h = ceil(j->height * scale / stride) * stride;
    if (w < 1 || h < 1 || w * h > MOST_PIXELS) return;
    j->input_w = (int)w;
    j->input_h = (int)h;
}

// All that the boxes depend on.
static sac_status make_stamp(const job *j, char **stamp) {
    sac_status status = SAC_OK;
    sac_digest *digest = NULL;
    char pixels[SAC_DIGEST_TEXT];
    const sac_network_options *o = &j->options->network;
    SAC_TRY(sac_digest_create(&digest));
    sac_digest_bytes(digest, j->pixels,
                     (size_t)j->clip->frames * (size_t)j->width * (size_t)j->height);
    sac_digest_finish(digest, pixels);
    *stamp = sac_format(
        "boxes 1; %s; input %dx%d scale %.9g overlap %.9g suppression %.9g floor %.9g; "
        "clip %" PRId64 "x%dx%d%s %s",
        j->network->stamp, j->input_w, j->input_h, o->scale, o->overlap, o->nms_iou, j->floor,
        j->clip->frames, j->width, j->height, j->clip->source != NULL ? " in colour" : "", pixels);
    SAC_TRY_ALLOC(*stamp);
fail:
    sac_digest_close(&digest);
    return status;
}

static sac_status cache_path(const job *j, const char *stamp, char **path) {
    sac_status status = SAC_OK;
    sac_digest *digest = NULL;
    char text[SAC_DIGEST_TEXT];
    SAC_TRY(sac_digest_create(&digest));
    sac_digest_text(digest, stamp);
    sac_digest_finish(digest, text);
    *path = sac_format("%s/%s.%.16s.boxes.safetensors", j->options->cache, j->clip->name, text);
    SAC_TRY_ALLOC(*path);
fail:
    sac_digest_close(&digest);
    return status;
}

// Frames of the clip one after the other.
typedef struct frames {
    sac_video *video; // NULL: the gray pixels
} frames;

static sac_status open_frames(frames *f, const job *j) {
    if (j->clip->source == NULL) return SAC_OK;
    sac_video_options options = sac_video_default_options();
    options.width = j->width;
    options.height = j->height;
    options.channels = 3;
    return sac_video_open(&f->video, j->clip->source, &options, j->error);
}

static sac_status next_frame(frames *f, const job *j, int64_t t, const uint8_t **frame,
                             int *channels) {
    if (f->video == NULL) {
        *frame = j->pixels + t * j->width * j->height;
        *channels = 1;
        return SAC_OK;
    }
    sac_frame read;
    const sac_status status = sac_video_read(f->video, &read, j->error);
    if (status == SAC_EOF) {
        return sac_error_set(j->error, SAC_ERROR_FORMAT, t,
                             "clip %s ends after %" PRId64 " frames, expected %" PRId64,
                             j->clip->name, t, j->clip->frames);
    }
    if (status < 0) return status;
    *frame = read.data;
    *channels = 3;
    return SAC_OK;
}

static sac_status run_network(const job *j, sac_detections *d, sac_network_work *work) {
    sac_status status = SAC_OK;
    frames f = {0};
    sac_box_list found = {0};
    int64_t capacity = 0;
    const double start = sac_time_s();
    sac_network_options options = j->options->network;
    options.min_confidence = j->floor;
    if (j->network->input.width != j->input_w || j->network->input.height != j->input_h) {
        SAC_TRY(j->network->resize(j->network, j->input_w, j->input_h, j->error));
    }
    SAC_TRY(open_frames(&f, j));
    for (int64_t t = 0; t < j->clip->frames; t++) {
        const uint8_t *frame = NULL;
        int channels = 0;
        if (j->options->stop != NULL && j->options->stop()) {
            status = sac_error_set(j->error, SAC_ERROR_INTERRUPTED, t,
                                   "interrupted while detecting objects in clip %s", j->clip->name);
            goto fail;
        }
        SAC_TRY(next_frame(&f, j, t, &frame, &channels));
        SAC_TRY(sac_network_detect(j->network, &found, frame, j->width, j->height, channels,
                                   &options, j->error));
        if (d->count + found.count > capacity) {
            const int64_t grown = 2 * (d->count + found.count);
            sac_box *boxes = sac_recalloc(d->boxes, capacity, grown, sizeof *boxes);
            SAC_TRY_ALLOC(boxes);
            d->boxes = boxes;
            capacity = grown;
        }
        for (int64_t i = 0; i < found.count; i++) d->boxes[d->count++] = found.boxes[i];
        d->start[t + 1] = d->count;
    }
    if (work != NULL) {
        work->frames += j->clip->frames;
        work->seconds += sac_time_s() - start;
    }
    status = SAC_OK;
fail:
    sac_video_close(&f.video);
    sac_box_list_close(&found);
    return status;
}

// Drops boxes below the threshold and of other classes, in place.
static void filter(sac_detections *d, double least, const bool *keep, int classes) {
    int64_t kept = 0;
    for (int64_t t = 0, first = 0; t < d->frames; t++) {
        const int64_t last = d->start[t + 1];
        for (int64_t i = first; i < last; i++) {
            const sac_box *b = &d->boxes[i];
            const bool wanted = b->class_id >= 0 && b->class_id < classes && keep[b->class_id];
            if (wanted && (double)b->confidence >= least) d->boxes[kept++] = *b;
        }
        first = last;
        d->start[t + 1] = kept;
    }
    d->count = kept;
}

sac_status sac_network_clip(sac_box_network *network, sac_detections *detections,
                            const sac_clip *clip, const uint8_t *pixels, int width, int height,
                            const sac_network_clip_options *options, sac_network_work *work,
                            sac_error *error) {
    sac_status status = SAC_OK;
    bool *keep = NULL;
    char *stamp = NULL, *path = NULL;
    job j = {.network = network,
             .clip = clip,
             .pixels = pixels,
             .width = width,
             .height = height,
             .options = options,
             .floor = fmin(FLOOR, options->network.min_confidence),
             .error = error};
    *detections = (sac_detections){.frames = clip->frames};
    SAC_TRY_ALLOC(keep = sac_calloc(network->classes, sizeof *keep));
    SAC_TRY(sac_network_classes(keep, network, options->classes, error));
    choose_input(&j);
    bool found = false;
    if (options->cache != NULL) {
        SAC_TRY(sac_folder_create(options->cache, error));
        SAC_TRY(make_stamp(&j, &stamp));
        SAC_TRY(cache_path(&j, stamp, &path));
        const char *name = clip->name;
        found = sac_is_file(path) && sac_detections_read(path, &name, &clip->frames, detections, 1,
                                                         stamp, NULL) == SAC_OK;
    }
    if (found) {
        if (work != NULL) work->cached++;
    } else {
        *detections = (sac_detections){.frames = clip->frames};
        SAC_TRY_ALLOC(detections->start = sac_calloc(clip->frames + 1, sizeof(int64_t)));
        SAC_TRY(run_network(&j, detections, work));
        if (options->cache != NULL) {
            const char *name = clip->name;
            SAC_TRY(sac_detections_write(path, &name, detections, 1, stamp, error));
        }
    }
    filter(detections, options->network.min_confidence, keep, network->classes);
fail:
    sac_free(keep);
    sac_free(stamp);
    sac_free(path);
    if (status >= 0) return SAC_OK;
    sac_detections_close(detections);
    return sac_error_set(error, status, -1, "clip %s: no memory for its boxes", clip->name);
}
