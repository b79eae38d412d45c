// Renders altered clips. It cuts objects out against the clip's own background and never judges
// what is abnormal: that is the teacher's part.
#include "distill/pseudo.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/check.h"
#include "core/memory.h"
#include "core/number.h"
#include "core/spill.h"
#include "distill/texture.h"
#include "distill/tracks.h"

#define MIN_TRACK  12
#define MIN_EVENT  8 // frames an alteration lasts at least
#define MAX_EVENT  45
#define MATTE_LOW  8.0  // gray levels of difference from the background: transparent below,
#define MATTE_HIGH 28.0 // opaque above
#define MARGIN     0.12 // of the box, on each side

static const char *const names[SAC_PSEUDO_KIND_COUNT] = {
    "faster",  "frozen", "elsewhere", "control", "slower",    "reversed",
    "rotated", "scaled", "texture",   "shape",   "appearing", "vanishing"};

const char *sac_pseudo_kind_name(sac_pseudo_kind kind) {
    return kind < SAC_PSEUDO_KIND_COUNT ? names[kind] : "unknown";
}

sac_pseudo_mix sac_pseudo_default_mix(void) {
    return (sac_pseudo_mix){.weights = {[SAC_PSEUDO_FASTER] = 0.35,
                                        [SAC_PSEUDO_FROZEN] = 0.25,
                                        [SAC_PSEUDO_ELSEWHERE] = 0.25,
                                        [SAC_PSEUDO_CONTROL] = 0.15}};
}

static sac_status mix_refuse(const char *item, const char *why, sac_error *error) {
    char known[256] = "";
    size_t used = 0;
    for (int k = 0; k < SAC_PSEUDO_KIND_COUNT && used < sizeof known; k++) {
        used += (size_t)snprintf(known + used, sizeof known - used, "%s%s", k > 0 ? ", " : "",
                                 names[k]);
    }
    return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                         "pseudo-anomaly '%.60s': %s; known: %s, default, all", item, why, known);
}

// One item of the list; `weight` 0: none was given.
static sac_status mix_add(sac_pseudo_mix *mix, const char *item, const char *name, double weight,
                          sac_error *error) {
    const sac_pseudo_mix usual = sac_pseudo_default_mix();
    const bool all = strcmp(name, "all") == 0, standard = strcmp(name, "default") == 0;
    bool found = false;
    for (int k = 0; k < SAC_PSEUDO_KIND_COUNT; k++) {
        if (!all && !(standard && usual.weights[k] > 0) && strcmp(name, names[k]) != 0) continue;
        if (mix->weights[k] > 0) return mix_refuse(item, "named twice", error);
        mix->weights[k] = weight > 0 ? weight : usual.weights[k] > 0 ? usual.weights[k] : 0.25;
        found = true;
    }
    return found ? SAC_OK : mix_refuse(item, "no such kind", error);
}

sac_status sac_pseudo_mix_parse(sac_pseudo_mix *mix, const char *text, sac_error *error) {
    *mix = (sac_pseudo_mix){{0}};
    for (const char *at = text;; at++) {
        char item[64];
        const size_t length = strcspn(at, ",");
        double weight = 0;
        (void)snprintf(item, sizeof item, "%.*s", (int)(length < 60 ? length : 60), at);
        char name[64];
        memcpy(name, item, sizeof name);
        char *colon = strchr(name, ':');
        if (colon != NULL) {
            *colon = '\0';
            if (!sac_number_real(colon + 1, &weight) || !(weight > 0 && weight <= 1000)) {
                return mix_refuse(item, "the weight must be in (0, 1000]", error);
            }
        }
        const sac_status status = mix_add(mix, item, name, weight, error);
        if (status != SAC_OK) return status;
        at += length;
        if (*at == '\0') return SAC_OK;
    }
}

sac_status sac_pseudo_background(uint8_t **out, const uint8_t *pixels, int64_t frames, int64_t n) {
    const int64_t picks = frames < 64 ? frames : 64;
    *out = NULL;
    uint8_t *background = sac_calloc(n, 1);
    if (background == NULL) return SAC_ERROR_MEMORY;
#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < n; i++) {
        // The upper median by counting: there are few levels, and sorting 64 values for every
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

// A frame in memory, u8 [height][width][channels].
typedef struct picture {
    const uint8_t *pixels;
    int width, height, channels;
} picture;

// Bilinear sample of one channel with replicated border.
static double sample(const picture *p, double x, double y, int channel) {
    x = clamp(x, 0, p->width - 1);
    y = clamp(y, 0, p->height - 1);
    const int x0 = (int)x, y0 = (int)y;
    const int x1 = x0 + 1 < p->width ? x0 + 1 : x0, y1 = y0 + 1 < p->height ? y0 + 1 : y0;
    const double fx = x - x0, fy = y - y0;
    const int64_t row = (int64_t)p->width * p->channels;
    const uint8_t *r0 = p->pixels + y0 * row + channel, *r1 = p->pixels + y1 * row + channel;
    const int a = x0 * p->channels, b = x1 * p->channels;
    return (1 - fy) * ((1 - fx) * r0[a] + fx * r0[b]) + fy * ((1 - fx) * r1[a] + fx * r1[b]);
}

// 1 in the middle of the rectangle, falling to 0 over its outer tenth.
static double window_weight(double u, double v) {
    const double edge = fmin(fmin(u, 1 - u), fmin(v, 1 - v));
    return clamp(edge / 0.1, 0, 1);
}

// How much of a pixel belongs to the object: difference from the background over a 3x3
// neighbourhood, mean over the channels.
static double matte(const picture *frame, const picture *background, double x, double y) {
    double sum = 0;
    for (int dy = -1; dy <= 1; dy++) {
        for (int dx = -1; dx <= 1; dx++) {
            for (int c = 0; c < frame->channels; c++) {
                sum +=
                    fabs(sample(frame, x + dx, y + dy, c) - sample(background, x + dx, y + dy, c));
            }
        }
    }
    return clamp((sum / (9 * frame->channels) - MATTE_LOW) / (MATTE_HIGH - MATTE_LOW), 0, 1);
}

static void pixel_range(double lo, double hi, int limit, int *first, int *last) {
    *first = (int)clamp(floor(lo), 0, limit);
    *last = (int)clamp(ceil(hi), 0, limit);
}

// One pixel towards the object's levels.
static void blend(uint8_t *dst, const double level[3], double alpha, int channels) {
    for (int c = 0; c < channels; c++)
        dst[c] = (uint8_t)lrint(clamp((1 - alpha) * dst[c] + alpha * level[c], 0, 255));
}

// Pastes what lies in `from` of the source frame into `to` of dst, over what is there.
static void paste(uint8_t *dst, const picture *frame, const picture *background, rect from,
                  rect to) {
    int x1, x2, y1, y2;
    pixel_range(to.x1, to.x2, frame->width, &x1, &x2);
    pixel_range(to.y1, to.y2, frame->height, &y1, &y2);
    for (int y = y1; y < y2; y++) {
        for (int x = x1; x < x2; x++) {
            const double u = (x + 0.5 - to.x1) / (to.x2 - to.x1),
                         v = (y + 0.5 - to.y1) / (to.y2 - to.y1);
            if (!(u > 0 && u < 1 && v > 0 && v < 1)) continue; // also of an empty box
            const double sx = from.x1 + u * (from.x2 - from.x1) - 0.5,
                         sy = from.y1 + v * (from.y2 - from.y1) - 0.5;
            double level[3];
            for (int c = 0; c < frame->channels; c++) level[c] = sample(frame, sx, sy, c);
            blend(dst + ((int64_t)y * frame->width + x) * frame->channels, level,
                  matte(frame, background, sx, sy) * window_weight(u, v), frame->channels);
        }
    }
}

// What is foreign about a pasted object.
typedef struct look {
    double angle;               // it is turned by, clockwise
    const sac_texture *texture; // instead of its own pixels; NULL: those
    const double *tint;         // [3] factors of the texture's levels
    const sac_shape *shape;     // instead of its own silhouette; NULL: that
} look;

// As paste, with a look.
static void paste_foreign(uint8_t *dst, const picture *frame, const picture *background, rect from,
                          rect to, const look *l) {
    const double w = to.x2 - to.x1, h = to.y2 - to.y1, cx = (to.x1 + to.x2) / 2,
                 cy = (to.y1 + to.y2) / 2, c = cos(l->angle), s = sin(l->angle);
    const double rx = (fabs(w * c) + fabs(h * s)) / 2, ry = (fabs(w * s) + fabs(h * c)) / 2;
    int x1, x2, y1, y2;
    pixel_range(cx - rx, cx + rx, frame->width, &x1, &x2);
    pixel_range(cy - ry, cy + ry, frame->height, &y1, &y2);
    for (int y = y1; y < y2; y++) {
        for (int x = x1; x < x2; x++) {
            // Back into the object's own axes.
            const double dx = x + 0.5 - cx, dy = y + 0.5 - cy;
            const double ox = c * dx + s * dy, oy = c * dy - s * dx;
            const double u = ox / w + 0.5, v = oy / h + 0.5;
            if (!(u > 0 && u < 1 && v > 0 && v < 1)) continue; // also of an empty box
            const double sx = from.x1 + u * (from.x2 - from.x1) - 0.5,
                         sy = from.y1 + v * (from.y2 - from.y1) - 0.5;
            const double alpha =
                l->shape != NULL
                    ? sac_shape_alpha(l->shape, 2 * u - 1, 2 * v - 1, 3 / fmax(3, fmin(w, h)))
                    : matte(frame, background, sx, sy) * window_weight(u, v);
            double level[3];
            for (int k = 0; k < frame->channels; k++) {
                level[k] = l->texture != NULL ? l->tint[k] * sac_texture_at(l->texture, ox, oy)
                                              : sample(frame, sx, sy, k);
            }
            blend(dst + ((int64_t)y * frame->width + x) * frame->channels, level, alpha,
                  frame->channels);
        }
    }
}

// Paints the object of `box` over with the background.
static void erase(uint8_t *dst, const picture *background, rect box) {
    int x1, x2, y1, y2;
    pixel_range(box.x1, box.x2, background->width, &x1, &x2);
    pixel_range(box.y1, box.y2, background->height, &y1, &y2);
    for (int y = y1; y < y2; y++) {
        for (int x = x1; x < x2; x++) {
            const double u = (x + 0.5 - box.x1) / (box.x2 - box.x1),
                         v = (y + 0.5 - box.y1) / (box.y2 - box.y1);
            if (!(u > 0 && u < 1 && v > 0 && v < 1)) continue;
            const double alpha = window_weight(u, v);
            const int64_t at = ((int64_t)y * background->width + x) * background->channels;
            for (int c = 0; c < background->channels; c++) {
                dst[at + c] =
                    (uint8_t)lrint((1 - alpha) * dst[at + c] + alpha * background->pixels[at + c]);
            }
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
    double dx, dy, scale; // moved by, times as large
    double angle, spin;   // ROTATED: at the first frame, and more with every one
    int64_t on, off;      // APPEARING, VANISHING: frames that it is visible and not; 0: always
    sac_texture texture;  // TEXTURE, SHAPE
    double tint[3];       // of the texture, 1 in gray clips
    sac_shape shape;      // SHAPE
} event;

// The object is where it was, and its original is painted over.
static bool in_place(sac_pseudo_kind kind) {
    return kind == SAC_PSEUDO_FASTER || kind == SAC_PSEUDO_SLOWER || kind == SAC_PSEUDO_REVERSED ||
           kind == SAC_PSEUDO_ROTATED || kind == SAC_PSEUDO_SCALED || kind == SAC_PSEUDO_TEXTURE ||
           kind == SAC_PSEUDO_VANISHING;
}

static bool is_there(const sac_track *track, int64_t now) {
    return now >= track->first && now <= track->first + track->frames - MIN_EVENT;
}

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

static sac_pseudo_kind kind_draw(const sac_pseudo_mix *mix, sac_rng *rng) {
    double sum = 0, reached = 0;
    int last = 0;
    for (int k = 0; k < SAC_PSEUDO_KIND_COUNT; k++) sum += mix->weights[k];
    const double draw = sac_rng_uniform(rng) * sum;
    for (int k = 0; k < SAC_PSEUDO_KIND_COUNT; k++) {
        if (!(mix->weights[k] > 0)) continue;
        reached += mix->weights[k];
        last = k;
        if (draw < reached) break;
    }
    return (sac_pseudo_kind)last;
}

static double coin(sac_rng *rng) {
    return sac_rng_below(rng, 2) == 0 ? -1 : 1;
}

// What the kinds beyond the first four do; false where the object does not suit.
static bool event_dress(event *e, int width, int height, sac_rng *rng) {
    const double length = (double)e->track->frames;
    const float *box = e->track->boxes;
    const double size = 0.5 * (double)(box[2] - box[0] + box[3] - box[1]);
    switch (e->kind) {
    case SAC_PSEUDO_SLOWER:
        e->speed = uniform(rng, 0.25, 0.6);
        break;
    case SAC_PSEUDO_REVERSED:
        e->speed = -uniform(rng, 0.8, 1.2);
        if (e->from < MIN_EVENT * -e->speed) return false;
        break;
    case SAC_PSEUDO_ROTATED:
        e->angle = coin(rng) * uniform(rng, 0.44, 3.14159);
        if (sac_rng_below(rng, 3) == 0) e->spin = coin(rng) * uniform(rng, 0.05, 0.2);
        break;
    case SAC_PSEUDO_SCALED:
        e->scale = coin(rng) < 0 ? uniform(rng, 0.4, 0.65) : uniform(rng, 1.6, 2.4);
        break;
    case SAC_PSEUDO_TEXTURE:
        sac_texture_draw(&e->texture, rng, size);
        break;
    case SAC_PSEUDO_SHAPE:
        sac_texture_draw(&e->texture, rng, size);
        sac_shape_draw(&e->shape, rng);
        e->speed = uniform(rng, 0.6, 3.0);
        e->scale = uniform(rng, 0.7, 1.6);
        e->from = uniform(rng, 0, length / 2);
        e->dx = uniform(rng, -0.5, 0.5) * width;
        e->dy = uniform(rng, -0.3, 0.3) * height;
        break;
    case SAC_PSEUDO_APPEARING:
        e->from = uniform(rng, 0, length / 2);
        e->dx = uniform(rng, -0.15, 0.15) * width;
        break;
    default:
        break;
    }
    if (e->kind == SAC_PSEUDO_APPEARING || e->kind == SAC_PSEUDO_VANISHING) {
        e->on = 2 + sac_rng_below(rng, 4);
        e->off = 2 + sac_rng_below(rng, 4);
    }
    return true;
}

static bool event_make(event *e, const sac_tracks *tracks, const sac_pseudo_mix *mix, int64_t now,
                       int64_t clip_frames, int width, int height, sac_rng *rng) {
    e->kind = kind_draw(mix, rng);
    e->track = &tracks->items[sac_rng_below(rng, tracks->count)];
    const bool staying = in_place(e->kind) && e->kind != SAC_PSEUDO_FASTER;
    for (int tries = 0; staying && !is_there(e->track, now) && tries < 30; tries++)
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
        if (!is_there(e->track, now)) return false;
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
    case SAC_PSEUDO_CONTROL:
        e->from = uniform(rng, 0, length / 2);
        e->dx = uniform(rng, -0.15, 0.15) * width;
        break;
    default:
        if (staying && !is_there(e->track, now)) return false;
        e->from = (double)(now - e->track->first);
        if (!event_dress(e, width, height, rng)) return false;
        break;
    }
    // The picture ends with the track; the path may go on a little.
    const double left = e->speed < 0 ? e->from : (e->frozen ? 1.5 * length : length - 1) - e->from;
    e->frames = (int64_t)(left / fabs(e->speed));
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
    const uint8_t *pixels;
    picture background;
    int width, height;
    int64_t size; // bytes of a frame
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
    for (int64_t k = e->first - e->track->first; k < e->track->frames; k++) {
        const int64_t t = e->track->first + k;
        const float *box = &e->track->boxes[k * 4];
        erase(p->pixels + t * s->size, &s->background, widen(box));
        for (int64_t b = s->detections->start[t]; b < s->detections->start[t + 1]; b++) {
            if (box_overlap(box, &s->detections->boxes[b]) > 0.5f) p->removed[b] = true;
        }
    }
}

// Draws the event's object into frame t and appends its box when at least half of it is visible.
static sac_status object_draw(sac_pseudo *p, const scene *s, const event *e, int64_t t,
                              int64_t *capacity) {
    if (e->on > 0 && (t - e->first) % (e->on + e->off) >= e->on) return SAC_OK;
    const double at = e->from + e->speed * (double)(t - e->first);
    const double posture = e->frozen ? e->posture : at;
    const int64_t source = (int64_t)lrint(clamp(posture, 0, (double)(e->track->frames - 1)));
    float place[4];
    track_at(place, e->track, at);
    const double cx = 0.5 * ((double)place[0] + (double)place[2]) + e->dx,
                 foot = (double)place[3] + e->dy;
    const float *cut = &e->track->boxes[source * 4];
    const double w = (double)(cut[2] - cut[0]) * e->scale, h = (double)(cut[3] - cut[1]) * e->scale;
    // Of a turned object the box around it, which has the same centre.
    const double angle = e->angle + e->spin * (double)(t - e->first);
    const double bw = e->angle != 0 ? fabs(w * cos(angle)) + fabs(h * sin(angle)) : w,
                 bh = e->angle != 0 ? fabs(w * sin(angle)) + fabs(h * cos(angle)) : h;
    const double bottom = e->angle != 0 ? foot - h / 2 + bh / 2 : foot;
    const sac_box box = {(float)clamp(cx - bw / 2, 0, s->width),
                         (float)clamp(bottom - bh, 0, s->height),
                         (float)clamp(cx + bw / 2, 0, s->width),
                         (float)clamp(bottom, 0, s->height),
                         1.0f,
                         (int32_t)e->kind};
    // Detectors drop what is less than a pixel wide or high, so nothing smaller is made here.
    if (box.x2 - box.x1 < 1 || box.y2 - box.y1 < 1) return SAC_OK;
    if ((double)(box.x2 - box.x1) * (double)(box.y2 - box.y1) < 0.5 * bw * bh) return SAC_OK;
    const float full[4] = {(float)(cx - w / 2), (float)(foot - h), (float)(cx + w / 2),
                           (float)foot};
    const bool shaped = e->kind == SAC_PSEUDO_SHAPE;
    const look foreign = {.angle = angle,
                          .texture = shaped || e->kind == SAC_PSEUDO_TEXTURE ? &e->texture : NULL,
                          .tint = e->tint,
                          .shape = shaped ? &e->shape : NULL};
    picture frame = s->background;
    frame.pixels = s->pixels + (e->track->first + source) * s->size;
    uint8_t *dst = p->pixels + t * s->size;
    if (shaped) {
        const rect whole = {(double)full[0], (double)full[1], (double)full[2], (double)full[3]};
        paste_foreign(dst, &frame, &s->background, whole, whole, &foreign);
    } else if (foreign.texture != NULL || e->angle != 0) {
        paste_foreign(dst, &frame, &s->background, widen(cut), widen(full), &foreign);
    } else {
        paste(dst, &frame, &s->background, widen(cut), widen(full));
    }
    p->kinds[t] |= (uint16_t)(1u << e->kind);
    return box_push(&p->altered, capacity, &box);
}

// Lays events on the clip's time line, at most two at a time.
static sac_status events_plan(event *events, int64_t *count, int64_t limit,
                              const sac_tracks *tracks, const sac_pseudo_mix *mix, int64_t frames,
                              int width, int height, sac_rng *rng) {
    for (int lane = 0; lane < 2; lane++) {
        int64_t now = sac_rng_below(rng, 12);
        int tries = 0;
        while (now + MIN_EVENT <= frames && *count < limit && tries < 200) {
            event e = {0};
            if (!event_make(&e, tracks, mix, now, frames, width, height, rng)) {
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

// Numbers of their own, so that a clip in colour is altered as the gray one.
static void events_tint(event *events, int64_t count, int channels, uint64_t seed) {
    sac_rng rng;
    sac_rng_seed(&rng, seed, 0x74696e74);
    for (int64_t i = 0; i < count; i++) {
        for (int c = 0; c < 3; c++) events[i].tint[c] = channels == 3 ? uniform(&rng, 0.4, 1.6) : 1;
    }
}

sac_status sac_pseudo_make(sac_pseudo *p, const uint8_t *pixels, int width, int height,
                           int channels, const sac_detections *d, const sac_pseudo_mix *mix,
                           uint64_t seed, sac_error *error) {
    sac_status status = SAC_OK;
    sac_tracks tracks = {0};
    uint8_t *background = NULL;
    void *copy = NULL;
    event *events = NULL;
    int64_t count = 0, capacity = 0;
    const int64_t frames = d->frames, n = (int64_t)width * height * channels,
                  limit = frames / 4 + 4;
    const sac_pseudo_mix usual = sac_pseudo_default_mix();
    double weight = 0;
    sac_rng rng;
    sac_rng_seed(&rng, seed, 0x70736575646f);
    for (int k = 0; mix != NULL && k < SAC_PSEUDO_KIND_COUNT; k++) weight += mix->weights[k];
    if (!(weight > 0)) mix = &usual;
    *p = (sac_pseudo){.frames = frames, .channels = channels};
    p->removed = sac_calloc(d->count, sizeof *p->removed);
    p->kinds = sac_calloc(frames, sizeof *p->kinds);
    p->altered.start = sac_calloc(frames + 1, sizeof *p->altered.start);
    p->altered.frames = frames;
    events = sac_calloc(limit, sizeof *events);
    SAC_TRY(sac_spill_alloc(&copy, frames, (size_t)n, frames * n, error));
    p->pixels = copy;
    SAC_TRY_ALLOC(p->removed);
    SAC_TRY_ALLOC(p->kinds);
    SAC_TRY_ALLOC(p->altered.start);
    SAC_TRY_ALLOC(events);
    memcpy(p->pixels, pixels, (size_t)(frames * n));
    SAC_TRY(sac_tracks_link(&tracks, d, MIN_TRACK));
    if (tracks.count > 0) {
        SAC_TRY(sac_pseudo_background(&background, pixels, frames, n));
        SAC_TRY(events_plan(events, &count, limit, &tracks, mix, frames, width, height, &rng));
        events_tint(events, count, channels, seed);
    }
    const scene s = {.pixels = pixels,
                     .background = {background, width, height, channels},
                     .width = width,
                     .height = height,
                     .size = n,
                     .detections = d};
    for (int64_t i = 0; i < count; i++) {
        if (in_place(events[i].kind)) object_remove(p, &s, &events[i]);
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
    sac_spill_free(p->pixels);
    sac_free(p->removed);
    sac_free(p->kinds);
    sac_detections_close(&p->altered);
    *p = (sac_pseudo){0};
}
