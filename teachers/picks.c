// Sorting and thinning out of objects for reports.
#include "teachers/picks.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/check.h"
#include "core/memory.h"
#include "eval/regions.h"

void sac_review_clip_close(sac_review_clip *clip) {
    sac_objects_close(&clip->objects);
    sac_truth_close(&clip->truth);
    sac_free(clip->frame_scores);
    sac_free(clip->best);
    sac_free(clip->normal);
    memset(clip, 0, sizeof *clip);
}

sac_status sac_review_match(sac_review_clip *c) {
    sac_status status = SAC_OK;
    const sac_detections *d = &c->objects.detections;
    const double least = sac_region_default_options().min_iou;
    SAC_TRY_ALLOC(c->best = sac_calloc(c->truth.count, sizeof *c->best));
    SAC_TRY_ALLOC(c->normal = sac_calloc(d->count, sizeof *c->normal));
    for (int64_t k = 0; k < c->truth.count; k++) c->best[k] = -1;
    for (int64_t t = 0; t < d->frames; t++)
        for (int64_t i = d->start[t]; i < d->start[t + 1]; i++)
            c->normal[i] = c->truth_known || (c->clip->labels != NULL && c->clip->labels[t] == 0);
    for (int64_t k = 0; k < c->truth.count; k++) {
        const sac_truth_region *r = &c->truth.regions[k];
        const sac_box truth = {.x1 = r->x1, .y1 = r->y1, .x2 = r->x2, .y2 = r->y2};
        for (int64_t i = d->start[r->frame]; i < d->start[r->frame + 1]; i++) {
            double inside;
            const double iou = sac_box_overlap(&d->boxes[i], &truth, &inside);
            if (inside > 0.5) c->normal[i] = false;
            if (iou < least) continue;
            c->normal[i] = false;
            if (c->best[k] < 0 || c->objects.scores[i] > c->objects.scores[c->best[k]])
                c->best[k] = i;
        }
    }
fail:
    return status;
}

static int from_high(const void *a, const void *b) {
    const sac_pick *p = a, *q = b;
    if (p->value > q->value) return -1;
    if (p->value < q->value) return 1;
    // A fixed order among equals.
    if (p->clip != q->clip) return p->clip < q->clip ? -1 : 1;
    if (p->frame != q->frame) return p->frame < q->frame ? -1 : 1;
    if (p->object != q->object) return p->object < q->object ? -1 : 1;
    return p->region < q->region ? -1 : p->region > q->region;
}

static int from_low(const void *a, const void *b) {
    const sac_pick *p = a, *q = b;
    if (p->value < q->value) return -1;
    if (p->value > q->value) return 1;
    return from_high(a, b);
}

// Whether two objects `apart` frames from each other may well be one that moved on.
static bool is_near(const sac_box *a, const sac_box *b, int64_t apart) {
    const float width = a->x2 - a->x1 + b->x2 - b->x1, height = a->y2 - a->y1 + b->y2 - b->y1;
    // All in half pixels, since sums of edges are twice the centre.
    const float way = 0.1F * fmaxf(width, height) * (float)apart;
    return fabsf(a->x1 + a->x2 - b->x1 - b->x2) < 1.5F * width + way &&
           fabsf(a->y1 + a->y2 - b->y1 - b->y2) < 1.5F * height + way;
}

int sac_pick_objects(sac_pick *picks, int most, const sac_review_clip *clips, int64_t count,
                     int task, bool highest, bool normal_only) {
    int64_t total = 0, used = 0;
    for (int64_t c = 0; c < count; c++) total += clips[c].objects.detections.count;
    sac_pick *all = sac_calloc(total, sizeof *all);
    if (all == NULL) return -1;
    for (int64_t c = 0; c < count; c++) {
        const sac_objects *o = &clips[c].objects;
        for (int64_t t = 0; t < o->detections.frames; t++)
            for (int64_t i = o->detections.start[t]; i < o->detections.start[t + 1]; i++) {
                if (normal_only && !clips[c].normal[i]) continue;
                const float value = task < 0 ? o->scores[i] : o->tasks[i * o->task_count + task];
                all[used++] =
                    (sac_pick){.clip = c, .frame = t, .object = i, .region = -1, .value = value};
            }
    }
    if (used > 0) qsort(all, (size_t)used, sizeof *all, highest ? from_high : from_low);
    int chosen = 0;
    for (int64_t i = 0; i < used && chosen < most; i++) {
        const sac_box *box = &clips[all[i].clip].objects.detections.boxes[all[i].object];
        bool known = false;
        for (int k = 0; k < chosen && !known; k++) {
            const sac_review_clip *clip = &clips[picks[k].clip];
            const int64_t apart = llabs((long long)(picks[k].frame - all[i].frame));
            known = picks[k].clip == all[i].clip && apart <= SAC_PICK_FRAMES &&
                    is_near(box, &clip->objects.detections.boxes[picks[k].object], apart);
        }
        if (!known) picks[chosen++] = all[i];
    }
    sac_free(all);
    return chosen;
}

int sac_pick_missed(sac_pick *picks, int most, const sac_review_clip *clips, int64_t count,
                    bool with_object) {
    int64_t total = 0, used = 0;
    for (int64_t c = 0; c < count; c++) total += clips[c].truth.count;
    sac_pick *all = sac_calloc(total, sizeof *all);
    if (all == NULL) return -1;
    for (int64_t c = 0; c < count; c++)
        for (int64_t k = 0; k < clips[c].truth.count; k++) {
            const int64_t best = clips[c].best[k];
            if ((best >= 0) != with_object) continue;
            all[used++] = (sac_pick){.clip = c,
                                     .frame = clips[c].truth.regions[k].frame,
                                     .object = best,
                                     .region = k,
                                     .value = best < 0 ? -1.0F : clips[c].objects.scores[best]};
        }
    if (used > 0) qsort(all, (size_t)used, sizeof *all, from_low);
    int chosen = 0;
    for (int64_t i = 0; i < used && chosen < most; i++) {
        const sac_truth_region *regions = clips[all[i].clip].truth.regions;
        bool known = false;
        for (int k = 0; k < chosen && !known; k++)
            known = picks[k].clip == all[i].clip &&
                    regions[picks[k].region].track == regions[all[i].region].track &&
                    llabs((long long)(picks[k].frame - all[i].frame)) <= SAC_PICK_FRAMES;
        if (!known) picks[chosen++] = all[i];
    }
    sac_free(all);
    return chosen;
}

int sac_pick_missed_frames(sac_pick *picks, int most, const sac_review_clip *clips, int64_t count) {
    int64_t total = 0, used = 0;
    for (int64_t c = 0; c < count; c++) total += clips[c].clip->frames;
    sac_pick *all = sac_calloc(total, sizeof *all);
    if (all == NULL) return -1;
    for (int64_t c = 0; c < count; c++)
        for (int64_t t = 0; t < clips[c].clip->frames; t++)
            if (clips[c].clip->labels != NULL && clips[c].clip->labels[t] != 0)
                all[used++] = (sac_pick){.clip = c,
                                         .frame = t,
                                         .object = -1,
                                         .region = -1,
                                         .value = clips[c].frame_scores[t]};
    if (used > 0) qsort(all, (size_t)used, sizeof *all, from_low);
    int chosen = 0;
    for (int64_t i = 0; i < used && chosen < most; i++) {
        bool known = false;
        for (int k = 0; k < chosen && !known; k++)
            known = picks[k].clip == all[i].clip &&
                    llabs((long long)(picks[k].frame - all[i].frame)) <= SAC_PICK_FRAMES;
        if (!known) picks[chosen++] = all[i];
    }
    sac_free(all);
    return chosen;
}

static int float_from_high(const void *a, const void *b) {
    const float p = *(const float *)a, q = *(const float *)b;
    return p > q ? -1 : p < q;
}

double sac_review_threshold(const sac_review_clip *clips, int64_t count, double rate) {
    int64_t total = 0, used = 0, frames = 0;
    for (int64_t c = 0; c < count; c++) {
        total += clips[c].objects.detections.count;
        frames += clips[c].clip->frames;
    }
    float *scores = sac_calloc(total, sizeof *scores);
    if (scores == NULL) return (double)NAN;
    for (int64_t c = 0; c < count; c++)
        for (int64_t i = 0; i < clips[c].objects.detections.count; i++)
            if (clips[c].normal[i]) scores[used++] = clips[c].objects.scores[i];
    if (used > 0) qsort(scores, (size_t)used, sizeof *scores, float_from_high);
    const int64_t allowed = (int64_t)floor(rate * (double)frames + 1e-9);
    const double threshold =
        allowed < used ? (double)nextafterf(scores[allowed], (float)INFINITY) : 0.0;
    sac_free(scores);
    return threshold;
}
