// Links detections to tracks by overlap alone. No appearance model: the material only has to be
// plausible pieces of one object, not identities over a whole video.
#include "distill/tracks.h"

#include <stdlib.h>
#include <string.h>

#include "core/check.h"
#include "core/memory.h"

#define MIN_IOU 0.3f
#define MAX_GAP 2
#define SMOOTH  2 // frames to each side

typedef struct link {
    int64_t frame;
    float box[4];
} link;

typedef struct chain {
    link *links;
    int64_t count, capacity;
    bool taken; // extended in the current frame
} chain;

static float overlap(const float a[4], const sac_box *b) {
    const float w = (a[2] < b->x2 ? a[2] : b->x2) - (a[0] > b->x1 ? a[0] : b->x1);
    const float h = (a[3] < b->y2 ? a[3] : b->y2) - (a[1] > b->y1 ? a[1] : b->y1);
    if (w <= 0 || h <= 0) return 0;
    const float both = w * h;
    return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b->x2 - b->x1) * (b->y2 - b->y1) - both);
}

static sac_status chain_push(chain *c, int64_t frame, const sac_box *box) {
    if (c->count == c->capacity) {
        const int64_t capacity = c->capacity == 0 ? 16 : 2 * c->capacity;
        link *grown = sac_recalloc(c->links, c->capacity, capacity, sizeof *grown);
        if (grown == NULL) return SAC_ERROR_MEMORY;
        c->links = grown;
        c->capacity = capacity;
    }
    c->links[c->count++] = (link){.frame = frame, .box = {box->x1, box->y1, box->x2, box->y2}};
    return SAC_OK;
}

// Fills gaps linearly and smooths; the chain's links are ordered by frame.
static sac_status track_from(sac_track *track, const chain *c) {
    track->first = c->links[0].frame;
    track->frames = c->links[c->count - 1].frame - track->first + 1;
    float *raw = sac_calloc(track->frames * 4, sizeof *raw);
    track->boxes = sac_calloc(track->frames * 4, sizeof *track->boxes);
    if (raw == NULL || track->boxes == NULL) {
        sac_free(raw);
        return SAC_ERROR_MEMORY;
    }
    for (int64_t i = 0; i + 1 <= c->count; i++) {
        const link *a = &c->links[i], *b = &c->links[i + 1 < c->count ? i + 1 : i];
        const int64_t span = b->frame - a->frame;
        for (int64_t k = 0; k < (span > 0 ? span : 1); k++) {
            const float at = span > 0 ? (float)k / (float)span : 0;
            for (int e = 0; e < 4; e++)
                raw[(a->frame - track->first + k) * 4 + e] =
                    a->box[e] + at * (b->box[e] - a->box[e]);
        }
    }
    for (int64_t t = 0; t < track->frames; t++) {
        int64_t reach = SMOOTH;
        if (t < reach) reach = t;
        if (track->frames - 1 - t < reach) reach = track->frames - 1 - t;
        for (int e = 0; e < 4; e++) {
            float sum = 0;
            for (int64_t k = t - reach; k <= t + reach; k++) sum += raw[k * 4 + e];
            track->boxes[t * 4 + e] = sum / (float)(2 * reach + 1);
        }
    }
    sac_free(raw);
    return SAC_OK;
}

// A box of the current frame that could continue a chain.
typedef struct candidate {
    float iou;
    int64_t chain, box;
} candidate;

typedef struct candidates {
    candidate *items;
    int64_t count, capacity;
} candidates;

static sac_status candidate_push(candidates *list, candidate item) {
    if (list->count == list->capacity) {
        const int64_t capacity = list->capacity == 0 ? 256 : 2 * list->capacity;
        candidate *grown = sac_recalloc(list->items, list->capacity, capacity, sizeof *grown);
        if (grown == NULL) return SAC_ERROR_MEMORY;
        list->items = grown;
        list->capacity = capacity;
    }
    list->items[list->count++] = item;
    return SAC_OK;
}

// Best overlap first; among equals the older chain and the earlier box, so that the order is total.
static int by_overlap(const void *a, const void *b) {
    const candidate *x = a, *y = b;
    if (x->iou != y->iou) return x->iou > y->iou ? -1 : 1;
    if (x->chain != y->chain) return x->chain < y->chain ? -1 : 1;
    return x->box < y->box ? -1 : x->box > y->box;
}

// Joins the boxes of frame t to open chains, best overlap first; a box that is left over begins a
// chain.
static sac_status frame_link(chain *chains, int64_t *count, bool *used, candidates *list,
                             const sac_detections *d, int64_t t) {
    sac_status status = SAC_OK;
    const int64_t begin = d->start[t], end = d->start[t + 1];
    memset(used, 0, (size_t)(end - begin) * sizeof *used);
    list->count = 0;
    for (int64_t c = 0; c < *count; c++) {
        chains[c].taken = false;
        const link *last = &chains[c].links[chains[c].count - 1];
        for (int64_t b = begin; b < end; b++) {
            const float iou = overlap(last->box, &d->boxes[b]);
            if (iou >= MIN_IOU) SAC_TRY(candidate_push(list, (candidate){iou, c, b}));
        }
    }
    if (list->count > 0) {
        qsort(list->items, (size_t)list->count, sizeof *list->items, by_overlap);
    }
    for (int64_t i = 0; i < list->count; i++) {
        const candidate *best = &list->items[i];
        if (chains[best->chain].taken || used[best->box - begin]) continue;
        chains[best->chain].taken = true;
        used[best->box - begin] = true;
        SAC_TRY(chain_push(&chains[best->chain], t, &d->boxes[best->box]));
    }
    for (int64_t b = begin; b < end; b++) {
        if (used[b - begin]) continue;
        chain *fresh = &chains[(*count)++];
        SAC_TRY(chain_push(fresh, t, &d->boxes[b]));
    }
fail:
    return status;
}

sac_status sac_tracks_link(sac_tracks *tracks, const sac_detections *d, int64_t min_frames) {
    sac_status status = SAC_OK;
    *tracks = (sac_tracks){0};
    chain *chains = sac_calloc(d->count, sizeof *chains); // at most one chain a box
    bool *used = sac_calloc(d->count, sizeof *used);
    candidates list = {0};
    int64_t count = 0, open = 0;
    SAC_TRY_ALLOC(chains);
    SAC_TRY_ALLOC(used);
    for (int64_t t = 0; t < d->frames; t++) {
        // Chains that nothing can continue any more move out of the way.
        for (int64_t c = open; c < count; c++) {
            if (chains[c].links[chains[c].count - 1].frame >= t - 1 - MAX_GAP) continue;
            const chain closed = chains[c];
            chains[c] = chains[open];
            chains[open++] = closed;
        }
        int64_t live = count - open;
        SAC_TRY(frame_link(chains + open, &live, used, &list, d, t));
        count = open + live;
    }
    tracks->items = sac_calloc(count, sizeof *tracks->items);
    SAC_TRY_ALLOC(tracks->items);
    for (int64_t c = 0; c < count; c++) {
        const chain *ch = &chains[c];
        if (ch->links[ch->count - 1].frame - ch->links[0].frame + 1 < min_frames) continue;
        SAC_TRY(track_from(&tracks->items[tracks->count++], ch));
    }
fail:
    for (int64_t c = 0; chains != NULL && c < d->count; c++) sac_free(chains[c].links);
    sac_free(chains);
    sac_free(used);
    sac_free(list.items);
    if (status != SAC_OK) sac_tracks_close(tracks);
    return status;
}

void sac_tracks_close(sac_tracks *tracks) {
    for (int64_t i = 0; i < tracks->count; i++) sac_free(tracks->items[i].boxes);
    sac_free(tracks->items);
    *tracks = (sac_tracks){0};
}
