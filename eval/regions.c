// RBDC and TBDC by one sweep over the thresholds: every region becomes an event at its score,
// ground truth is matched once. Reading regions from anywhere is the callers' business.
#include "eval/regions.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/check.h"
#include "core/json.h"
#include "core/memory.h"

void sac_detected_close(sac_detected *detected) {
    if (detected == NULL) return;
    sac_free(detected->regions);
    memset(detected, 0, sizeof *detected);
}

sac_region_options sac_region_default_options(void) {
    return (sac_region_options){.min_iou = 0.1, .track_share = 0.1, .max_fpr = 1.0};
}

double sac_region_iou(const float a[4], const float b[4]) {
    const double width = fmin((double)a[2], (double)b[2]) - fmax((double)a[0], (double)b[0]);
    const double height = fmin((double)a[3], (double)b[3]) - fmax((double)a[1], (double)b[1]);
    if (!(width > 0.0 && height > 0.0)) return 0.0;
    const double shared = width * height;
    const double first = ((double)a[2] - (double)a[0]) * ((double)a[3] - (double)a[1]);
    const double second = ((double)b[2] - (double)b[0]) * ((double)b[3] - (double)b[1]);
    return shared / (first + second - shared);
}

// ---- collecting --------------------------------------------------------------------------------

// What changes when the threshold sinks to `at`: a false positive more or less, or a reported
// region on ground-truth region `truth` more or less.
typedef struct event {
    float at;
    int32_t change;
    int64_t truth; // -1: a false positive
} event;

struct sac_region_meter {
    sac_region_options options;
    int64_t clips, frames, detected;
    event *events;
    int64_t event_count, event_room;
    int64_t *track_of; // [region_room] track of each ground-truth region, over all clips
    int64_t region_count, region_room;
    int64_t track_count;
};

sac_status sac_region_meter_create(sac_region_meter **out, const sac_region_options *options,
                                   sac_error *error) {
    *out = NULL;
    if (options == NULL || !(options->min_iou > 0.0 && options->min_iou <= 1.0) ||
        !(options->track_share > 0.0 && options->track_share <= 1.0) ||
        !(options->max_fpr > 0.0 && options->max_fpr <= 1e6))
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "region accuracy: expected an IoU and a track share in (0, 1] and a "
                             "false-positive rate in (0, 1e6]");
    sac_region_meter *meter = sac_calloc(1, sizeof *meter);
    if (meter == NULL)
        return sac_error_set(error, SAC_ERROR_MEMORY, -1, "no memory for region accuracy");
    meter->options = *options;
    *out = meter;
    return SAC_OK;
}

void sac_region_meter_close(sac_region_meter **meter) {
    if (meter == NULL || *meter == NULL) return;
    sac_free((*meter)->events);
    sac_free((*meter)->track_of);
    sac_free(*meter);
    *meter = NULL;
}

static sac_status add_event(sac_region_meter *meter, float at, int32_t change, int64_t truth) {
    if (meter->event_count == meter->event_room) {
        const int64_t more = meter->event_room < 512 ? 1024 : 2 * meter->event_room;
        event *grown = sac_recalloc(meter->events, meter->event_room, more, sizeof *grown);
        if (grown == NULL) return SAC_ERROR_MEMORY;
        meter->events = grown;
        meter->event_room = more;
    }
    meter->events[meter->event_count++] = (event){.at = at, .change = change, .truth = truth};
    return SAC_OK;
}

static sac_status check_box(const float box[4], int64_t frame, int64_t before, int64_t frames,
                            const char *what, const char *name, sac_error *error) {
    for (int k = 0; k < 4; k++)
        if (!isfinite(box[k]))
            return sac_error_set(error, SAC_ERROR_NUMERIC, frame,
                                 "clip %s: a %s region of frame %lld has a coordinate that is not "
                                 "finite",
                                 name, what, (long long)frame);
    if (frame < before || frame >= frames)
        return sac_error_set(
            error, SAC_ERROR_ARGUMENT, frame,
            "clip %s: a %s region of frame %lld, expected %lld to %lld (regions in "
            "frame order)",
            name, what, (long long)frame, (long long)before, (long long)(frames - 1));
    if (!(box[0] < box[2] && box[1] < box[3]))
        return sac_error_set(error, SAC_ERROR_ARGUMENT, frame,
                             "clip %s: a %s region of frame %lld is empty", name, what,
                             (long long)frame);
    return SAC_OK;
}

static sac_status check_clip(const char *name, const sac_truth *truth, const sac_detected *detected,
                             sac_error *error) {
    int64_t before = 0;
    sac_status status = SAC_OK;
    for (int64_t i = 0; i < truth->count; i++) {
        const sac_truth_region *r = &truth->regions[i];
        const float box[4] = {r->x1, r->y1, r->x2, r->y2};
        SAC_TRY(check_box(box, r->frame, before, truth->frames, "ground-truth", name, error));
        if (r->track < 0 || r->track >= truth->tracks)
            return sac_error_set(error, SAC_ERROR_ARGUMENT, r->frame,
                                 "clip %s: a ground-truth region of frame %lld belongs to track "
                                 "%lld, expected 0 to %lld",
                                 name, (long long)r->frame, (long long)r->track,
                                 (long long)(truth->tracks - 1));
        before = r->frame;
    }
    before = 0;
    for (int64_t i = 0; i < detected->count; i++) {
        const sac_detected_region *r = &detected->regions[i];
        const float box[4] = {r->x1, r->y1, r->x2, r->y2};
        SAC_TRY(check_box(box, r->frame, before, truth->frames, "detected", name, error));
        if (!isfinite(r->score))
            return sac_error_set(error, SAC_ERROR_NUMERIC, r->frame,
                                 "clip %s: the score of a detected region of frame %lld is not "
                                 "finite",
                                 name, (long long)r->frame);
        if (!(r->until < r->score))
            return sac_error_set(error, SAC_ERROR_ARGUMENT, r->frame,
                                 "clip %s: a detected region of frame %lld ends at %g, expected "
                                 "below its score %g",
                                 name, (long long)r->frame, (double)r->until, (double)r->score);
        before = r->frame;
    }
fail:
    return status;
}

// Events of one detected region; `first` .. `last` are the ground-truth regions of its frame.
static sac_status match(sac_region_meter *meter, const sac_detected_region *d,
                        const sac_truth *truth, int64_t first, int64_t last, int64_t offset) {
    sac_status status = SAC_OK;
    const float box[4] = {d->x1, d->y1, d->x2, d->y2};
    const bool ends = d->until > -INFINITY;
    bool meets = false;
    for (int64_t k = first; k < last; k++) {
        const sac_truth_region *r = &truth->regions[k];
        const float other[4] = {r->x1, r->y1, r->x2, r->y2};
        if (sac_region_iou(box, other) < meter->options.min_iou) continue;
        meets = true;
        SAC_TRY(add_event(meter, d->score, 1, offset + k));
        if (ends) SAC_TRY(add_event(meter, d->until, -1, offset + k));
    }
    if (meets) return SAC_OK;
    SAC_TRY(add_event(meter, d->score, 1, -1));
    if (ends) SAC_TRY(add_event(meter, d->until, -1, -1));
fail:
    return status;
}

sac_status sac_region_meter_add(sac_region_meter *meter, const char *name, const sac_truth *truth,
                                const sac_detected *detected, sac_error *error) {
    sac_status status = SAC_OK;
    const int64_t offset = meter->region_count;
    SAC_TRY(check_clip(name, truth, detected, error));
    if (meter->region_count + truth->count > meter->region_room) {
        const int64_t more = 2 * (meter->region_count + truth->count);
        int64_t *grown =
            sac_recalloc(meter->track_of, meter->region_room, more, sizeof *meter->track_of);
        SAC_TRY_ALLOC(grown);
        meter->track_of = grown;
        meter->region_room = more;
    }
    for (int64_t i = 0; i < truth->count; i++)
        meter->track_of[offset + i] = meter->track_count + truth->regions[i].track;
    meter->region_count += truth->count;
    meter->track_count += truth->tracks;
    meter->clips++;
    meter->frames += truth->frames;
    meter->detected += detected->count;
    int64_t first = 0, last = 0;
    for (int64_t i = 0; i < detected->count; i++) {
        const sac_detected_region *d = &detected->regions[i];
        while (first < truth->count && truth->regions[first].frame < d->frame) first++;
        if (last < first) last = first;
        while (last < truth->count && truth->regions[last].frame <= d->frame) last++;
        SAC_TRY(match(meter, d, truth, first, last, offset));
    }
    return SAC_OK;
fail:
    return sac_error_set(error, status, -1, "clip %s: no memory for its regions", name);
}

// ---- the sweep ---------------------------------------------------------------------------------

// Counts at one threshold.
typedef struct point {
    int64_t false_positives, found;
} point;

static int from_high(const void *a, const void *b) {
    const float p = ((const event *)a)->at, q = ((const event *)b)->at;
    return p > q ? -1 : p < q;
}

static int by_false_positives(const void *a, const void *b) {
    const point *p = a, *q = b;
    if (p->false_positives != q->false_positives)
        return p->false_positives < q->false_positives ? -1 : 1;
    return p->found < q->found ? -1 : p->found > q->found;
}

typedef struct sweep {
    int64_t *on;     // [regions] reported regions on each ground-truth region now
    int64_t *found;  // [tracks] found regions of each track now
    int64_t *needed; // [tracks] found regions that make the track found
    int64_t false_positives, regions, tracks;
} sweep;

static void apply(sweep *s, const sac_region_meter *meter, const event *e) {
    if (e->truth < 0) {
        s->false_positives += e->change;
        return;
    }
    const int64_t before = s->on[e->truth], track = meter->track_of[e->truth];
    s->on[e->truth] += e->change;
    const int64_t change = (s->on[e->truth] > 0) - (before > 0);
    if (change == 0) return;
    const bool was = s->found[track] >= s->needed[track];
    s->found[track] += change;
    s->regions += change;
    s->tracks += (s->found[track] >= s->needed[track]) - was;
}

static sac_status sweep_create(sweep *s, const sac_region_meter *meter) {
    sac_status status = SAC_OK;
    SAC_TRY_ALLOC(s->on = sac_calloc(meter->region_count + 1, sizeof *s->on));
    SAC_TRY_ALLOC(s->found = sac_calloc(meter->track_count + 1, sizeof *s->found));
    SAC_TRY_ALLOC(s->needed = sac_calloc(meter->track_count + 1, sizeof *s->needed));
    for (int64_t i = 0; i < meter->region_count; i++) s->needed[meter->track_of[i]]++;
    for (int64_t i = 0; i < meter->track_count; i++) {
        // 0.1 * 30 is a little above 3 in binary: the allowance keeps the decimal meaning.
        const double share = meter->options.track_share * (double)s->needed[i];
        const int64_t needed = (int64_t)ceil(share - 1e-9 * (double)s->needed[i]);
        s->needed[i] = needed < 1 ? 1 : needed;
    }
fail:
    return status;
}

static void sweep_close(sweep *s) {
    sac_free(s->on);
    sac_free(s->found);
    sac_free(s->needed);
}

// Appends a corner unless it lies where the last one does.
static void add_corner(sac_region_curve *curve, double fpr, double rate) {
    if (curve->count > 0) {
        const double same_fpr = fabs(curve->fpr[curve->count - 1] - fpr);
        const double same_rate = fabs(curve->rate[curve->count - 1] - rate);
        if (!(same_fpr > 0.0) && !(same_rate > 0.0)) return;
    }
    // A corner in the middle of a flat piece says nothing.
    if (curve->count > 1 && !(fabs(curve->rate[curve->count - 2] - rate) > 0.0) &&
        !(fabs(curve->rate[curve->count - 1] - rate) > 0.0)) {
        curve->fpr[curve->count - 1] = fpr;
        return;
    }
    curve->fpr[curve->count] = fpr;
    curve->rate[curve->count++] = rate;
}

// Area under the best rate at up to so many false positives, divided by the limit. points [count]
// begin with (0, 0) somewhere and are sorted here.
static sac_status integrate(double *area, double *end_rate, sac_region_curve *curve, point *points,
                            int64_t count, int64_t total, int64_t frames, double max_fpr) {
    *area = *end_rate = NAN;
    if (total == 0 || frames == 0) return SAC_OK;
    const int64_t room = 2 * count + 4;
    if ((curve->fpr = sac_calloc(room, sizeof *curve->fpr)) == NULL ||
        (curve->rate = sac_calloc(room, sizeof *curve->rate)) == NULL)
        return SAC_ERROR_MEMORY;
    qsort(points, (size_t)count, sizeof *points, by_false_positives);
    const double limit = max_fpr * (double)frames;
    const double rate = 1.0 / (double)total, unit = 1.0 / (double)frames;
    // Twice the area in units of one false positive and one found region: exact.
    int64_t twice = 0, at = 0, best = 0;
    double rest = 0.0, end = 0.0;
    bool reached = false;
    add_corner(curve, 0.0, 0.0);
    for (int64_t i = 0; i < count; i++) {
        const point *p = &points[i];
        const int64_t now = p->found > best ? p->found : best;
        if (p->false_positives > at) {
            const double step = (double)(p->false_positives - at);
            if ((double)p->false_positives > limit) {
                const double part = limit - (double)at;
                end = (double)best + (double)(now - best) * part / step;
                rest = part * ((double)best + end);
                reached = true;
                break;
            }
            twice += (p->false_positives - at) * (best + now);
            at = p->false_positives;
            add_corner(curve, (double)at * unit, (double)now * rate);
        }
        best = now;
        add_corner(curve, (double)at * unit, (double)best * rate);
    }
    if (!reached) {
        end = (double)best;
        rest = 2.0 * (limit - (double)at) * end;
    }
    add_corner(curve, max_fpr, end * rate);
    *area = fmin(0.5 * ((double)twice + rest) * rate / limit, 1.0);
    *end_rate = end * rate;
    return SAC_OK;
}

sac_status sac_region_meter_finish(sac_region_result *result, const sac_region_meter *meter,
                                   sac_error *error) {
    sac_status status = SAC_OK;
    sweep s = {0};
    event *events = NULL;
    point *regions = NULL, *tracks = NULL;
    int64_t count = 0;
    *result = (sac_region_result){.clips = meter->clips,
                                  .frames = meter->frames,
                                  .regions = meter->region_count,
                                  .tracks = meter->track_count,
                                  .detected = meter->detected};
    SAC_TRY(sweep_create(&s, meter));
    SAC_TRY_ALLOC(events = sac_calloc(meter->event_count + 1, sizeof *events));
    SAC_TRY_ALLOC(regions = sac_calloc(meter->event_count + 1, sizeof *regions));
    SAC_TRY_ALLOC(tracks = sac_calloc(meter->event_count + 1, sizeof *tracks));
    if (meter->event_count > 0) {
        memcpy(events, meter->events, (size_t)meter->event_count * sizeof *events);
        qsort(events, (size_t)meter->event_count, sizeof *events, from_high);
    }
    count++; // the threshold above all scores: nothing reported
    for (int64_t i = 0; i < meter->event_count;) {
        const float at = events[i].at;
        for (; i < meter->event_count && !(events[i].at < at); i++) apply(&s, meter, &events[i]);
        regions[count] = (point){s.false_positives, s.regions};
        tracks[count++] = (point){s.false_positives, s.tracks};
    }
    SAC_TRY(integrate(&result->rbdc, &result->region_rate, &result->region, regions, count,
                      meter->region_count, meter->frames, meter->options.max_fpr));
    SAC_TRY(integrate(&result->tbdc, &result->track_rate, &result->track, tracks, count,
                      meter->track_count, meter->frames, meter->options.max_fpr));
fail:
    sweep_close(&s);
    sac_free(events);
    sac_free(regions);
    sac_free(tracks);
    if (status < 0) sac_region_result_close(result);
    return status < 0 ? sac_error_set(error, status, -1, "no memory for region accuracy") : SAC_OK;
}

void sac_region_result_close(sac_region_result *result) {
    if (result == NULL) return;
    sac_free(result->region.fpr);
    sac_free(result->region.rate);
    sac_free(result->track.fpr);
    sac_free(result->track.rate);
    memset(result, 0, sizeof *result);
}

json_t *sac_region_to_json(const sac_region_result *result) {
    return json_pack("{s:o, s:o, s:o, s:o, s:I, s:I, s:I, s:I}", "rbdc",
                     sac_json_number(result->rbdc), "tbdc", sac_json_number(result->tbdc),
                     "region_rate", sac_json_number(result->region_rate), "track_rate",
                     sac_json_number(result->track_rate), "regions", (json_int_t)result->regions,
                     "tracks", (json_int_t)result->tracks, "detected", (json_int_t)result->detected,
                     "frames", (json_int_t)result->frames);
}
