// Feeds video/overlay.h with a teacher's boxes, scores and tasks.
#include "teachers/clip_overlay.h"

#include "core/check.h"
#include "core/memory.h"
#include "video/overlay.h"

static sac_status name_bars(sac_overlay *overlay, const sac_calibration *names, int count) {
    const char *list[SAC_OVERLAY_BARS];
    for (int k = 0; k < count; k++) list[k] = names->name[k];
    return sac_overlay_name_bars(overlay, list, count);
}

sac_status sac_clip_overlay_write(const char *path, const sac_clip_overlay *o, sac_error *error) {
    sac_status status = SAC_OK;
    sac_overlay *overlay = NULL;
    sac_overlay_box *boxes = NULL;
    float *bars = NULL;
    const sac_detections *d = o->detections;
    const int64_t picture = (int64_t)o->width * o->height;
    const int tasks = o->tasks != NULL ? o->names->tasks : 0;
    const int shown = tasks < SAC_OVERLAY_BARS ? tasks : SAC_OVERLAY_BARS;
    SAC_TRY_ALLOC(boxes = sac_calloc(d->count, sizeof *boxes));
    SAC_TRY_ALLOC(bars = sac_calloc(d->count * shown, sizeof *bars));
    for (int64_t i = 0; i < d->count; i++) {
        const sac_box *b = &d->boxes[i];
        boxes[i] = (sac_overlay_box){b->x1, b->y1, b->x2, b->y2, o->scores[i]};
        for (int k = 0; k < shown; k++) bars[i * shown + k] = o->tasks[i * tasks + k];
    }
    SAC_TRY(sac_overlay_open(&overlay, path, o->width, o->height, o->frame_rate, d->frames,
                             o->clip->labels, 1, error));
    if (shown > 0) SAC_TRY(name_bars(overlay, o->names, shown));
    for (int64_t t = 0; t < d->frames; t++) {
        if (o->stop != NULL && o->stop())
            SAC_TRY(sac_error_set(error, SAC_ERROR_INTERRUPTED, t, "%s: interrupted", path));
        if (shown > 0) sac_overlay_set_bars(overlay, bars + d->start[t] * shown);
        SAC_TRY(sac_overlay_frame(overlay, o->pixels + t * picture, 1, o->maps->map16 + t * 256, 16,
                                  16, boxes + d->start[t], d->start[t + 1] - d->start[t],
                                  o->maps->map1[t], o->clip->name, error));
    }
    SAC_TRY(sac_overlay_commit(&overlay, error));
fail:
    sac_overlay_close(&overlay);
    sac_free(boxes);
    sac_free(bars);
    return status < 0 ? sac_error_set(error, status, -1, "%s: no memory for the video", path)
                      : SAC_OK;
}
