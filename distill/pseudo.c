// Renders altered clips. It cuts objects out against the clip's own background and never judges
// what is abnormal: that is the teacher's part.
#include "distill/pseudo.h"

#include <math.h>
#include <string.h>

#include "core/check.h"
#include "core/memory.h"
#include "distill/tracks.h"

#define MIN_TRACK  12
#define MIN_EVENT  8 // frames an alteration lasts at least
#define MAX_EVENT  45
#define MATTE_LOW  8.0  // gray levels of difference from the background: transparent below,
#define MATTE_HIGH 28.0 // opaque above
#define MARGIN     0.12 // of the box, on each side

const char *sac_pseudo_kind_name(sac_pseudo_kind kind) {
    static const char *const names[SAC_PSEUDO_KIND_COUNT] = {"faster", "frozen", "elsewhere",
                                                             "control"};
    return kind < SAC_PSEUDO_KIND_COUNT ? names[kind] : "unknown";
}

sac_status sac_pseudo_background(uint8_t **out, const uint8_t *pixels, int64_t frames, int width,
                                 int height) {
    const int64_t n = (int64_t)width * height;
    const int64_t picks = frames < 64 ? frames : 64;
    *out = NULL;
    uint8_t *background = sac_calloc(n, 1);
    if (background == NULL) return SAC_ERROR_MEMORY;
#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < n; i++) {
        // The upper median by counting: there are few gray levels, and sorting 64 values for every
        // pixel would take longer than all the rest.
        uint8_t count[256] = {0};
        for (int64_t k = 0; k < picks; k++) count[pixels[(k * frames / picks) * n + i]]++;
        int level = 0;
        for (int64_t below = count[0]; below <= picks / 2 && level < 255;) below += count[++level];
        background[i] = (uint8_t)level;
    }
    *out = background;
    return SAC_OK;
}

typedef struct rect {
    double x1, y1, x2, y2;
} rect;

static rect widen(const float box[4]) {
    const double mx = MARGIN * (double)(box[2] - box[0]), my = MARGIN * (double)(box[3] - box[1]);
    return (rect){(double)box[0] - mx, (double)box[1] - my, (double)box[2] + mx,
                  (double)box[3] + my};
}

static double clamp(double v, double lo, double hi) {
    return v < lo ? lo : v > hi ? hi : v;
}

// Bilinear sample with replicated border.
static double sample(const uint8_t *image, int width, int height, double x, double y) {
    x = clamp(x, 0, width - 1);
    y = clamp(y, 0, height - 1);
    const int x0 = (int)x, y0 = (int)y;
    const int x1 = x0 + 1 < width ? x0 + 1 : x0, y1 = y0 + 1 < height ? y0 + 1 : y0;
    const double fx = x - x0, fy = y - y0;
    const uint8_t *r0 = image + (int64_t)y0 * width, *r1 = image + (int64_t)y1 * width;
    return (1 - fy) * ((1 - fx) * r0[x0] + fx * r0[x1]) + fy * ((1 - fx) * r1[x0] + fx * r1[x1]);
}

// 1 in the middle of the rectangle, falling to 0 over its outer tenth.
static double window_weight(double u, double v) {
    const double edge = fmin(fmin(u, 1 - u), fmin(v, 1 - v));
    return clamp(edge / 0.1, 0, 1);
}

// How much of a pixel belongs to the object: difference from the background over a 3x3
// neighbourhood.
static double matte(const uint8_t *frame, const uint8_t *background, int width, int height,
                    double x, double y) {
    double sum = 0;
    for (int dy = -1; dy <= 1; dy++) {
        for (int dx = -1; dx <= 1; dx++) {
            sum += fabs(sample(frame, width, height, x + dx, y + dy) -
                        sample(background, width, height, x + dx, y + dy));
        }
    }
    return clamp((sum / 9 - MATTE_LOW) / (MATTE_HIGH - MATTE_LOW), 0, 1);
}

static void pixel_range(double lo, double hi, int limit, int *first, int *last) {
    *first = (int)clamp(floor(lo), 0, limit);
    *last = (int)clamp(ceil(hi), 0, limit);
}

// Pastes what lies in `from` of the source frame into `to` of dst, over what is there.
static void paste(uint8_t *dst, const uint8_t *frame, const uint8_t *background, int width,
                  int height, rect from, rect to) {
    int x1, x2, y1, y2;
    pixel_range(to.x1, to.x2, width, &x1, &x2);
    pixel_range(to.y1, to.y2, height, &y1, &y2);
    for (int y = y1; y < y2; y++) {
        for (int x = x1; x < x2; x++) {
            const double u = (x + 0.5 - to.x1) / (to.x2 - to.x1),
                         v = (y + 0.5 - to.y1) / (to.y2 - to.y1);
            if (!(u > 0 && u < 1 && v > 0 && v < 1)) continue; // also of an empty box
            const double sx = from.x1 + u * (from.x2 - from.x1) - 0.5,
                         sy = from.y1 + v * (from.y2 - from.y1) - 0.5;
            const double alpha =
                matte(frame, background, width, height, sx, sy) * window_weight(u, v);
            uint8_t *pixel = &dst[(int64_t)y * width + x];
            *pixel = (uint8_t)lrint(
                clamp((1 - alpha) * *pixel + alpha * sample(frame, width, height, sx, sy), 0, 255));
        }
    }
}

// Paints the object of `box` over with the background.
static void erase(uint8_t *dst, const uint8_t *background, int width, int height, rect box) {
    int x1, x2, y1, y2;
    pixel_range(box.x1, box.x2, width, &x1, &x2);
    pixel_range(box.y1, box.y2, height, &y1, &y2);
    for (int y = y1; y < y2; y++) {
        for (int x = x1; x < x2; x++) {
            const double u = (x + 0.5 - box.x1) / (box.x2 - box.x1),
                         v = (y + 0.5 - box.y1) / (box.y2 - box.y1);
            if (!(u > 0 && u < 1 && v > 0 && v < 1)) continue;
            const double alpha = window_weight(u, v);
            uint8_t *pixel = &dst[(int64_t)y * width + x];
            *pixel =
                (uint8_t)lrint((1 - alpha) * *pixel + alpha * background[(int64_t)y * width + x]);
        }
    }
}

typedef struct event {
    sac_pseudo_kind kind;
    const sac_track *track;
    int64_t first, frames; // in the clip
    double from;           // track position (frames from its beginning) at the event's first frame
    double speed;          // track frames per frame, along the path
    bool frozen;
    double posture;       // FROZEN: the track position whose picture is used
    double dx, dy, scale; // ELSEWHERE, CONTROL
} event;

static double uniform(sac_rng *rng, double lo, double hi) {
    return lo + (hi - lo) * sac_rng_uniform(rng);
}

// Box at a fractional track position; positions beyond the end go on with the mean velocity of the
// last frames.
static void track_at(float box[4], const sac_track *track, double at) {
    const double last = (double)(track->frames - 1);
    const double inside = clamp(at, 0, last);
    const int64_t i = (int64_t)inside < track->frames - 1 ? (int64_t)inside : track->frames - 2;
    const double f = inside - (double)i;
    for (int e = 0; e < 4; e++) {
        box[e] = (float)((1 - f) * (double)track->boxes[i * 4 + e] +
                         f * (double)track->boxes[(i + 1) * 4 + e]);
    }
    if (at > last) {
        const int64_t back = track->frames > 11 ? 10 : track->frames - 1;
        for (int axis = 0; axis < 2; axis++) {
            const float *end = &track->boxes[(track->frames - 1) * 4], *start = end - back * 4;
            const double v =
                0.5 *
                ((double)(end[axis] - start[axis]) + (double)(end[axis + 2] - start[axis + 2])) /
                (double)back;
            box[axis] += (float)(v * (at - last));
            box[axis + 2] += (float)(v * (at - last));
        }
    }
}

static bool event_make(event *e, const sac_tracks *tracks, int64_t now, int64_t clip_frames,
                       int width, int height, sac_rng *rng) {
    const double draw = sac_rng_uniform(rng);
    e->kind = draw < 0.35   ? SAC_PSEUDO_FASTER
              : draw < 0.6  ? SAC_PSEUDO_FROZEN
              : draw < 0.85 ? SAC_PSEUDO_ELSEWHERE
                            : SAC_PSEUDO_CONTROL;
    e->track = &tracks->items[sac_rng_below(rng, tracks->count)];
    e->first = now;
    e->dx = e->dy = 0;
    e->scale = 1;
    e->speed = 1;
    e->frozen = false;
    const double length = (double)e->track->frames;
    switch (e->kind) {
    case SAC_PSEUDO_FASTER:
        // In its own place: the event starts where the object is at that moment.
        if (now < e->track->first || now > e->track->first + e->track->frames - MIN_EVENT)
            return false;
        e->speed = uniform(rng, 1.7, 4.0);
        e->from = (double)(now - e->track->first);
        break;
    case SAC_PSEUDO_FROZEN:
        e->speed = uniform(rng, 1.0, 3.0);
        e->frozen = true;
        e->from = uniform(rng, 0, length / 2);
        e->posture = e->from;
        e->dx = uniform(rng, -0.25, 0.25) * width;
        break;
    case SAC_PSEUDO_ELSEWHERE:
        e->speed = uniform(rng, 0.6, 3.0);
        e->scale = uniform(rng, 0.8, 1.8);
        e->from = uniform(rng, 0, length / 2);
        e->dx = uniform(rng, -0.5, 0.5) * width;
        e->dy = uniform(rng, -0.3, 0.3) * height;
        break;
    default:
        e->from = uniform(rng, 0, length / 2);
        e->dx = uniform(rng, -0.15, 0.15) * width;
        break;
    }
    // The picture ends with the track; the path may go on a little.
    const double left = (e->frozen ? 1.5 * length : length - 1) - e->from;
    e->frames = (int64_t)(left / e->speed);
    if (e->frames > MAX_EVENT) e->frames = MAX_EVENT;
    if (e->frames > clip_frames - now) e->frames = clip_frames - now;
    return e->frames >= MIN_EVENT;
}

static sac_status box_push(sac_detections *d, int64_t *capacity, const sac_box *box) {
    if (d->count == *capacity) {
        const int64_t grown_capacity = *capacity == 0 ? 64 : 2 * *capacity;
        sac_box *grown = sac_recalloc(d->boxes, *capacity, grown_capacity, sizeof *grown);
        if (grown == NULL) return SAC_ERROR_MEMORY;
        d->boxes = grown;
        *capacity = grown_capacity;
    }
    d->boxes[d->count++] = *box;
    return SAC_OK;
}

typedef struct scene {
    const uint8_t *pixels, *background;
    int width, height;
    const sac_detections *detections;
} scene;

static float box_overlap(const float a[4], const sac_box *b) {
    const float w = fminf(a[2], b->x2) - fmaxf(a[0], b->x1),
                h = fminf(a[3], b->y2) - fmaxf(a[1], b->y1);
    if (w <= 0 || h <= 0) return 0;
    return w * h / ((a[2] - a[0]) * (a[3] - a[1]) + (b->x2 - b->x1) * (b->y2 - b->y1) - w * h);
}

// Takes the event's object out of its own frames, from the event's beginning to the end of its
// track.
static void object_remove(sac_pseudo *p, const scene *s, const event *e) {
    const int64_t pixels = (int64_t)s->width * s->height;
    for (int64_t k = e->first - e->track->first; k < e->track->frames; k++) {
        const int64_t t = e->track->first + k;
        const float *box = &e->track->boxes[k * 4];
        erase(p->pixels + t * pixels, s->background, s->width, s->height, widen(box));
        for (int64_t b = s->detections->start[t]; b < s->detections->start[t + 1]; b++) {
            if (box_overlap(box, &s->detections->boxes[b]) > 0.5f) p->removed[b] = true;
        }
    }
}

// Draws the event's object into frame t and appends its box when at least half of it is visible.
static sac_status object_draw(sac_pseudo *p, const scene *s, const event *e, int64_t t,
                              int64_t *capacity) {
    const int64_t pixels = (int64_t)s->width * s->height;
    const double at = e->from + e->speed * (double)(t - e->first);
    const double picture = e->frozen ? e->posture : at;
    const int64_t source = (int64_t)lrint(clamp(picture, 0, (double)(e->track->frames - 1)));
    float place[4];
    track_at(place, e->track, at);
    const double cx = 0.5 * ((double)place[0] + (double)place[2]) + e->dx,
                 foot = (double)place[3] + e->dy;
    const float *cut = &e->track->boxes[source * 4];
    const double w = (double)(cut[2] - cut[0]) * e->scale, h = (double)(cut[3] - cut[1]) * e->scale;
    const sac_box box = {(float)clamp(cx - w / 2, 0, s->width),
                         (float)clamp(foot - h, 0, s->height),
                         (float)clamp(cx + w / 2, 0, s->width),
                         (float)clamp(foot, 0, s->height),
                         1.0f,
                         (int32_t)e->kind};
    // Detectors drop what is less than a pixel wide or high, so nothing smaller is made here.
    if (box.x2 - box.x1 < 1 || box.y2 - box.y1 < 1) return SAC_OK;
    if ((double)(box.x2 - box.x1) * (double)(box.y2 - box.y1) < 0.5 * w * h) return SAC_OK;
    const float full[4] = {(float)(cx - w / 2), (float)(foot - h), (float)(cx + w / 2),
                           (float)foot};
    paste(p->pixels + t * pixels, s->pixels + (e->track->first + source) * pixels, s->background,
          s->width, s->height, widen(cut), widen(full));
    if (e->kind != SAC_PSEUDO_CONTROL) p->labels[t] = 1;
    return box_push(&p->altered, capacity, &box);
}

// Lays events on the clip's time line, at most two at a time.
static sac_status events_plan(event *events, int64_t *count, int64_t limit,
                              const sac_tracks *tracks, int64_t frames, int width, int height,
                              sac_rng *rng) {
    for (int lane = 0; lane < 2; lane++) {
        int64_t now = sac_rng_below(rng, 12);
        int tries = 0;
        while (now + MIN_EVENT <= frames && *count < limit && tries < 200) {
            event e = {0};
            if (!event_make(&e, tracks, now, frames, width, height, rng)) {
                tries++;
                continue;
            }
            events[(*count)++] = e;
            // The second lane is sparse: mostly one alteration at a time.
            now += e.frames + 4 + sac_rng_below(rng, lane == 0 ? 16 : 90);
        }
    }
    return SAC_OK;
}

sac_status sac_pseudo_make(sac_pseudo *p, const uint8_t *pixels, int width, int height,
                           const sac_detections *d, uint64_t seed) {
    sac_status status = SAC_OK;
    sac_tracks tracks = {0};
    uint8_t *background = NULL;
    event *events = NULL;
    int64_t count = 0, capacity = 0;
    const int64_t frames = d->frames, n = (int64_t)width * height, limit = frames / 4 + 4;
    sac_rng rng;
    sac_rng_seed(&rng, seed, 0x70736575646f);
    *p = (sac_pseudo){.frames = frames};
    p->pixels = sac_calloc(frames * n, 1);
    p->removed = sac_calloc(d->count, sizeof *p->removed);
    p->labels = sac_calloc(frames, 1);
    p->altered.start = sac_calloc(frames + 1, sizeof *p->altered.start);
    p->altered.frames = frames;
    events = sac_calloc(limit, sizeof *events);
    SAC_TRY_ALLOC(p->pixels);
    SAC_TRY_ALLOC(p->removed);
    SAC_TRY_ALLOC(p->labels);
    SAC_TRY_ALLOC(p->altered.start);
    SAC_TRY_ALLOC(events);
    memcpy(p->pixels, pixels, (size_t)(frames * n));
    SAC_TRY(sac_tracks_link(&tracks, d, MIN_TRACK));
    if (tracks.count > 0) {
        SAC_TRY(sac_pseudo_background(&background, pixels, frames, width, height));
        SAC_TRY(events_plan(events, &count, limit, &tracks, frames, width, height, &rng));
    }
    const scene s = {.pixels = pixels,
                     .background = background,
                     .width = width,
                     .height = height,
                     .detections = d};
    for (int64_t i = 0; i < count; i++) {
        if (events[i].kind == SAC_PSEUDO_FASTER) object_remove(p, &s, &events[i]);
    }
    for (int64_t t = 0; t < frames; t++) {
        p->altered.start[t] = p->altered.count;
        for (int64_t i = 0; i < count; i++) {
            if (t < events[i].first || t >= events[i].first + events[i].frames) continue;
            SAC_TRY(object_draw(p, &s, &events[i], t, &capacity));
        }
    }
    p->altered.start[frames] = p->altered.count;
fail:
    sac_tracks_close(&tracks);
    sac_free(background);
    sac_free(events);
    if (status != SAC_OK) sac_pseudo_close(p);
    return status;
}

void sac_pseudo_close(sac_pseudo *p) {
    sac_free(p->pixels);
    sac_free(p->removed);
    sac_free(p->labels);
    sac_detections_close(&p->altered);
    *p = (sac_pseudo){0};
}
