// Dense inverse search with a variational refinement: the order of the steps and the memory they
// share. The inner loops stand in flow_kernels.c.
#include "video/flow.h"

#include <math.h>
#include <string.h>

#include "core/check.h"
#include "core/memory.h"
#include "video/flow_kernels.h"

enum {
    SIDE = SAC_FLOW_SIDE,
    PAD = 16,         // border around pictures that are searched: a patch may lie wholly outside
    LEAST_LEVEL = 12, // px, shortest side of a level that is made by halving
    MOST_LEVELS = 12,
    SWEEPS = 5, // of the refinement's solver per round
    LOCAL = 8,  // radius of the mean taken off before refining, px
};

// Steps shorter than this end the descent of a patch, px.
#define SHORT_STEP 0.02f
// Candidates nearer than this to one already tried are not worth a comparison, px.
#define SAME_PLACE 0.1f
// Where a texture repeats, noise would choose among places that fit equally well: rest is favoured,
// and what a neighbour found must fit clearly better.
#define REST    0.9f
#define HEARSAY 1.25f

// One size of the pyramid. Padded pictures have rows of `stride` floats; planes have rows of
// `pitch` floats, one readable row above and below and readable columns to both sides.
typedef struct level {
    int width, height;
    int64_t stride, pitch;
    float *from, *to;  // [height + 2 PAD][stride] padded pictures
    float *u, *v;      // [height + 2][pitch] planes
    int columns, rows; // of patches
} level;

// Where a patch fits so far, and how well.
typedef struct place {
    float u, v;
    sac_flow_sums sums;
} place;

struct sac_flow {
    sac_flow_options options;
    const sac_flow_kernels *kernels;
    int levels, finest;
    level level[MOST_LEVELS];
    // Scratch of one level at a time, as large as the finest one searched needs.
    float *dx, *dy;                      // planes: gradient of `from`
    float *weight;                       // plane: votes
    float *high_from, *high_to, *warped; // planes: pictures less their local mean
    float *stiff[2];                     // single rows
    float *a11, *a12, *a22, *b1, *b2, *right, *down, *inverse1, *inverse2; // planes
    double *sums;         // [width] columns of the local mean
    place *places;        // [rows][columns] of the patches
    sac_flow_patch patch; // the one being moved
};

sac_flow_options sac_flow_default_options(void) {
    return (sac_flow_options){.finest_level = 0,
                              .stride_px = 4,
                              .search_steps = 8,
                              .refine_rounds = 2,
                              .smoothness = 0.4,
                              .reference = false};
}

// ---- memory ------------------------------------------------------------------------------------

static int64_t round_up(int64_t n) {
    return (n + 15) / 16 * 16;
}

static int64_t plane_size(const level *l) {
    return (l->height + 2) * l->pitch;
}

// Pixel (0, 0) of a plane, of a padded picture.
static float *plane_at(const level *l, float *plane) {
    return plane + l->pitch + 16;
}

static float *picture_at(const level *l, float *picture) {
    return picture + PAD * l->stride + PAD;
}

static int patches_along(int side, int stride) {
    return (side - SIDE + stride - 1) / stride + 1;
}

static int patch_place(int index, int side, int stride) {
    return index * stride < side - SIDE ? index * stride : side - SIDE;
}

static sac_status create_planes(sac_flow *flow, const level *l) {
    sac_status status = SAC_OK;
    const int64_t size = plane_size(l), patches = (int64_t)l->columns * l->rows;
    float **planes[] = {&flow->dx,       &flow->dy,       &flow->weight, &flow->high_from,
                        &flow->high_to,  &flow->a11,      &flow->a12,    &flow->a22,
                        &flow->b1,       &flow->b2,       &flow->right,  &flow->down,
                        &flow->inverse1, &flow->inverse2, &flow->warped};
    // Without refinement only the first three are used.
    const size_t count = flow->options.refine_rounds > 0 ? sizeof planes / sizeof planes[0] : 3;
    for (size_t i = 0; i < count; i++) {
        SAC_TRY_ALLOC(*planes[i] = sac_calloc(size, sizeof(float)));
    }
    SAC_TRY_ALLOC(flow->stiff[0] = sac_calloc(l->pitch, sizeof(float)));
    SAC_TRY_ALLOC(flow->stiff[1] = sac_calloc(l->pitch, sizeof(float)));
    SAC_TRY_ALLOC(flow->sums = sac_calloc(l->width, sizeof(double)));
    SAC_TRY_ALLOC(flow->places = sac_calloc(patches, sizeof(place)));
fail:
    return status;
}

sac_status sac_flow_create(sac_flow **out, int width, int height, const sac_flow_options *options,
                           sac_error *error) {
    sac_status status = SAC_OK;
    *out = NULL;
    if (width < SAC_FLOW_LEAST_PX || height < SAC_FLOW_LEAST_PX || width > SAC_FLOW_MOST_PX ||
        height > SAC_FLOW_MOST_PX) {
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "optical flow of %dx%d frames, expected sides of %d to %d pixels",
                             width, height, SAC_FLOW_LEAST_PX, SAC_FLOW_MOST_PX);
    }
    const sac_flow_options o = options != NULL ? *options : sac_flow_default_options();
    if (o.finest_level < 0 || o.finest_level > 4 || o.stride_px < 1 || o.stride_px > SIDE ||
        o.search_steps < 1 || o.search_steps > 64 || o.refine_rounds < 0 || o.refine_rounds > 20 ||
        !(o.smoothness > 0 && o.smoothness <= 1000)) {
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "an option of the optical flow is out of range (finest level 0..4, "
                             "stride 1..8, steps 1..64, rounds 0..20, smoothness above 0 and at "
                             "most 1000)");
    }
    sac_flow *flow = sac_calloc(1, sizeof *flow);
    SAC_TRY_ALLOC(flow);
    flow->options = o;
    flow->kernels = o.reference ? &sac_flow_plain : &sac_flow_fast;
    for (int w = width, h = height; flow->levels < MOST_LEVELS; w = (w + 1) / 2, h = (h + 1) / 2) {
        if (flow->levels > 0 && (w < LEAST_LEVEL || h < LEAST_LEVEL)) break;
        level *l = &flow->level[flow->levels++];
        *l = (level){.width = w,
                     .height = h,
                     .stride = round_up(w + 2 * PAD),
                     .pitch = round_up(w) + 32,
                     .columns = patches_along(w, o.stride_px),
                     .rows = patches_along(h, o.stride_px)};
        SAC_TRY_ALLOC(l->from = sac_calloc((h + 2 * PAD) * l->stride, sizeof(float)));
        SAC_TRY_ALLOC(l->to = sac_calloc((h + 2 * PAD) * l->stride, sizeof(float)));
        if (flow->levels - 1 < o.finest_level) continue;
        SAC_TRY_ALLOC(l->u = sac_calloc(plane_size(l), sizeof(float)));
        SAC_TRY_ALLOC(l->v = sac_calloc(plane_size(l), sizeof(float)));
    }
    flow->finest = o.finest_level < flow->levels ? o.finest_level : flow->levels - 1;
    level *finest = &flow->level[flow->finest];
    if (finest->u == NULL) { // a small picture with fewer levels than asked for
        SAC_TRY_ALLOC(finest->u = sac_calloc(plane_size(finest), sizeof(float)));
        SAC_TRY_ALLOC(finest->v = sac_calloc(plane_size(finest), sizeof(float)));
    }
    SAC_TRY(create_planes(flow, finest));
    *out = flow;
    return SAC_OK;
fail:
    sac_flow_close(&flow);
    return sac_error_set(error, status, -1, "no memory for the optical flow of %dx%d frames", width,
                         height);
}

void sac_flow_close(sac_flow **slot) {
    if (slot == NULL || *slot == NULL) return;
    sac_flow *flow = *slot;
    for (int i = 0; i < MOST_LEVELS; i++) {
        sac_free(flow->level[i].from);
        sac_free(flow->level[i].to);
        sac_free(flow->level[i].u);
        sac_free(flow->level[i].v);
    }
    float *blocks[] = {
        flow->dx,       flow->dy,       flow->weight, flow->high_from, flow->high_to, flow->warped,
        flow->stiff[0], flow->stiff[1], flow->a11,    flow->a12,       flow->a22,     flow->b1,
        flow->b2,       flow->right,    flow->down,   flow->inverse1,  flow->inverse2};
    for (size_t i = 0; i < sizeof blocks / sizeof blocks[0]; i++) sac_free(blocks[i]);
    sac_free(flow->sums);
    sac_free(flow->places);
    sac_free(flow);
    *slot = NULL;
}

// ---- pictures ----------------------------------------------------------------------------------

// Continues a picture by its border pixels.
static void fill_padding(const level *l, float *picture) {
    float *at = picture_at(l, picture);
    const int64_t right = l->stride - PAD - l->width;
    for (int y = 0; y < l->height; y++) {
        float *row = at + y * l->stride;
        for (int x = 1; x <= PAD; x++) row[-x] = row[0];
        for (int x = 0; x < right; x++) row[l->width + x] = row[l->width - 1];
    }
    const size_t bytes = (size_t)l->stride * sizeof(float);
    for (int y = 1; y <= PAD; y++) {
        memcpy(at - PAD - y * l->stride, at - PAD, bytes);
        memcpy(at - PAD + (l->height - 1 + y) * l->stride, at - PAD + (l->height - 1) * l->stride,
               bytes);
    }
}

// The finest level: the frame smoothed by [1 2 1]^2 / 16, because bilinear interpolation blurs a
// picture between its pixels and the search would otherwise prefer such places.
static void smooth_frame(const level *l, float *picture, const uint8_t *frame) {
    const int w = l->width, h = l->height;
    float *at = picture_at(l, picture);
    for (int y = 0; y < h; y++) {
        const uint8_t *row = frame + (int64_t)y * w;
        const uint8_t *above = y > 0 ? row - w : row, *below = y + 1 < h ? row + w : row;
        float *dst = at + y * l->stride;
        for (int x = 0; x < w; x++) dst[x] = (float)(above[x] + 2 * row[x] + below[x]);
        float last = dst[0];
        for (int x = 0; x < w; x++) {
            const float now = dst[x], next = dst[x + 1 < w ? x + 1 : x];
            dst[x] = (last + 2 * now + next) * (1.0f / 16);
            last = now;
        }
    }
    fill_padding(l, picture);
}

static void halve(const level *l, float *picture, const level *larger, float *source) {
    float *at = picture_at(l, picture);
    // At an odd size the padding is the missing column or row.
    const float *src = picture_at(larger, source);
    for (int y = 0; y < l->height; y++) {
        const float *a = src + 2 * y * larger->stride, *b = a + larger->stride;
        float *dst = at + y * l->stride;
        for (int x = 0; x < l->width; x++) {
            dst[x] = 0.25f * ((a[2 * x] + a[2 * x + 1]) + (b[2 * x] + b[2 * x + 1]));
        }
    }
    fill_padding(l, picture);
}

static void gradients(const sac_flow *flow, const level *l) {
    const float *src = picture_at(l, l->from);
    for (int y = 0; y < l->height; y++) {
        const float *row = src + y * l->stride;
        float *dx = plane_at(l, flow->dx) + y * l->pitch,
              *dy = plane_at(l, flow->dy) + y * l->pitch;
        for (int x = 0; x < l->width; x++) {
            dx[x] = 0.5f * (row[x + 1] - row[x - 1]);
            dy[x] = 0.5f * (row[x + l->stride] - row[x - l->stride]);
        }
    }
}

// Columns -1 and width, rows -1 and height of a plane repeat its border.
static void extend(const level *l, float *plane) {
    float *at = plane_at(l, plane);
    for (int y = 0; y < l->height; y++) {
        float *row = at + y * l->pitch;
        row[-1] = row[0];
        row[l->width] = row[l->width - 1];
    }
    const size_t bytes = (size_t)(l->width + 2) * sizeof(float);
    memcpy(at - l->pitch - 1, at - 1, bytes);
    memcpy(at + l->height * l->pitch - 1, at + (l->height - 1) * l->pitch - 1, bytes);
}

// plane = picture - its mean over the (2 LOCAL + 1)^2 pixels around, which takes out changes of
// brightness.
static void take_off_mean(const sac_flow *flow, const level *l, float *plane, float *picture) {
    const float *src = picture_at(l, picture);
    float *dst = plane_at(l, plane);
    double *columns = flow->sums;
    const int w = l->width, h = l->height;
    memset(columns, 0, (size_t)w * sizeof *columns);
    int rows = 0;
    for (int y = 0; y < LOCAL && y < h; y++, rows++) {
        for (int x = 0; x < w; x++) columns[x] += (double)src[y * l->stride + x];
    }
    for (int y = 0; y < h; y++) {
        if (y + LOCAL < h) {
            const float *enters = src + (y + LOCAL) * l->stride;
            for (int x = 0; x < w; x++) columns[x] += (double)enters[x];
            rows++;
        }
        if (y - LOCAL - 1 >= 0) {
            const float *leaves = src + (y - LOCAL - 1) * l->stride;
            for (int x = 0; x < w; x++) columns[x] -= (double)leaves[x];
            rows--;
        }
        double sum = 0;
        int count = 0;
        for (int x = 0; x < LOCAL && x < w; x++, count++) sum += columns[x];
        for (int x = 0; x < w; x++) {
            if (x + LOCAL < w) {
                sum += columns[x + LOCAL];
                count++;
            }
            if (x - LOCAL - 1 >= 0) {
                sum -= columns[x - LOCAL - 1];
                count--;
            }
            dst[y * l->pitch + x] = src[y * l->stride + x] - (float)(sum / (rows * count));
        }
    }
    extend(l, plane);
}

// ---- search ------------------------------------------------------------------------------------

// Where a patch at (x, y) lands: its displacement is kept so that it stays within the padding.
static const float *landing(const level *l, int x, int y, place *at, float *fx, float *fy) {
    const float px = fminf(fmaxf((float)x + at->u, -SIDE), (float)l->width);
    const float py = fminf(fmaxf((float)y + at->v, -SIDE), (float)l->height);
    at->u = px - (float)x;
    at->v = py - (float)y;
    int left = (int)px, top = (int)py;
    if ((float)left > px) left--;
    if ((float)top > py) top--;
    *fx = px - (float)left;
    *fy = py - (float)top;
    return picture_at(l, l->to) + top * l->stride + left;
}

static void compare(const sac_flow *flow, const level *l, int x, int y, place *at) {
    float fx, fy;
    const float *image = landing(l, x, y, at, &fx, &fy);
    flow->kernels->match(&at->sums, &flow->patch, image, l->stride, fx, fy);
}

// Flow of a coarser level at the centre of a patch, in pixels of the level of the patch.
static void coarse_flow(const level *coarse, int x, int y, place *at) {
    const float most_x = (float)(coarse->width - 1), most_y = (float)(coarse->height - 1);
    const float cx = fminf(0.5f * ((float)x + 0.5f * SIDE) - 0.5f, most_x);
    const float cy = fminf(0.5f * ((float)y + 0.5f * SIDE) - 0.5f, most_y);
    const int left = (int)cx < coarse->width - 2 ? (int)cx : coarse->width - 2;
    const int top = (int)cy < coarse->height - 2 ? (int)cy : coarse->height - 2;
    const float fx = cx - (float)left, fy = cy - (float)top;
    const float a = (1 - fx) * (1 - fy), b = fx * (1 - fy), c = (1 - fx) * fy, d = fx * fy;
    const int64_t pitch = coarse->pitch, p = top * pitch + left;
    const float *u = plane_at(coarse, coarse->u) + p, *v = plane_at(coarse, coarse->v) + p;
    at->u = 2 * (a * u[0] + b * u[1] + c * u[pitch] + d * u[pitch + 1]);
    at->v = 2 * (a * v[0] + b * v[1] + c * v[pitch] + d * v[pitch + 1]);
}

// Replaces *best when the patch fits better at (u, v), its cost there taken times `favour`.
static void try_place(const sac_flow *flow, const level *l, int x, int y, float u, float v,
                      float favour, place *best) {
    if (fabsf(u - best->u) < SAME_PLACE && fabsf(v - best->v) < SAME_PLACE) return;
    place at = {.u = u, .v = v};
    compare(flow, l, x, y, &at);
    if (favour * at.sums.cost < best->sums.cost) *best = at;
}

// Inverse search: the gradients stay those of the patch, only the residuals change from step to
// step.
static void descend(const sac_flow *flow, const level *l, int x, int y, place *best) {
    const place start = *best;
    const float *m = flow->patch.inverse;
    for (int step = 0; step < flow->options.search_steps; step++) {
        const float du = m[0] * best->sums.x + m[1] * best->sums.y;
        const float dv = m[1] * best->sums.x + m[2] * best->sums.y;
        place next = {.u = best->u - du, .v = best->v - dv};
        compare(flow, l, x, y, &next);
        if (!(next.sums.cost < best->sums.cost)) break;
        *best = next;
        if (fabsf(du) < SHORT_STEP && fabsf(dv) < SHORT_STEP) break;
    }
    if (fabsf(best->u - start.u) > SIDE || fabsf(best->v - start.v) > SIDE) *best = start;
}

static void prepare(sac_flow *flow, const level *l, int x, int y) {
    const int64_t at = y * l->pitch + x;
    flow->kernels->prepare(&flow->patch, picture_at(l, l->from) + y * l->stride + x, l->stride,
                           plane_at(l, flow->dx) + at, plane_at(l, flow->dy) + at, l->pitch);
}

// Forward over the patches with the flow of the coarser level, rest and the neighbours before as
// places to start from; then back with the neighbours behind. Neighbours hand on motion of things
// too small for coarser levels.
static void search(sac_flow *flow, const level *l, const level *coarse) {
    const int stride = flow->options.stride_px;
    const int64_t columns = l->columns;
    for (int j = 0; j < l->rows; j++) {
        const int y = patch_place(j, l->height, stride);
        for (int i = 0; i < l->columns; i++) {
            const int x = patch_place(i, l->width, stride);
            place *best = &flow->places[j * columns + i];
            *best = (place){0};
            prepare(flow, l, x, y);
            if (coarse != NULL) coarse_flow(coarse, x, y, best);
            compare(flow, l, x, y, best);
            try_place(flow, l, x, y, 0, 0, REST, best);
            if (i > 0) try_place(flow, l, x, y, best[-1].u, best[-1].v, HEARSAY, best);
            if (j > 0) try_place(flow, l, x, y, best[-columns].u, best[-columns].v, HEARSAY, best);
            descend(flow, l, x, y, best);
        }
    }
    float *weight = plane_at(l, flow->weight), *u = plane_at(l, l->u), *v = plane_at(l, l->v);
    const size_t bytes = (size_t)plane_size(l) * sizeof(float);
    memset(flow->weight, 0, bytes);
    memset(l->u, 0, bytes);
    memset(l->v, 0, bytes);
    for (int j = l->rows - 1; j >= 0; j--) {
        const int y = patch_place(j, l->height, stride);
        for (int i = l->columns - 1; i >= 0; i--) {
            const int x = patch_place(i, l->width, stride);
            place *best = &flow->places[j * columns + i];
            const float before = best->sums.cost;
            prepare(flow, l, x, y);
            if (i + 1 < l->columns) try_place(flow, l, x, y, best[1].u, best[1].v, HEARSAY, best);
            if (j + 1 < l->rows) {
                try_place(flow, l, x, y, best[columns].u, best[columns].v, HEARSAY, best);
            }
            if (best->sums.cost < before) descend(flow, l, x, y, best);
            float fx, fy;
            const float *image = landing(l, x, y, best, &fx, &fy);
            const int64_t at = y * l->pitch + x;
            flow->kernels->spread(weight + at, u + at, v + at, l->pitch, &flow->patch, image,
                                  l->stride, fx, fy, best->sums.offset, best->u, best->v);
        }
    }
    for (int y = 0; y < l->height; y++) {
        float *row_u = u + y * l->pitch, *row_v = v + y * l->pitch;
        const float *row = weight + y * l->pitch;
        for (int x = 0; x < l->width; x++) {
            row_u[x] /= row[x];
            row_v[x] /= row[x];
        }
    }
}

// ---- refinement --------------------------------------------------------------------------------

static sac_flow_row row_at(const sac_flow *flow, const level *l, int y) {
    const int64_t at = (y + 1) * l->pitch + 16;
    float *u = l->u + at, *v = l->v + at;
    return (sac_flow_row){.a11 = flow->a11 + at,
                          .a12 = flow->a12 + at,
                          .a22 = flow->a22 + at,
                          .b1 = flow->b1 + at,
                          .b2 = flow->b2 + at,
                          .right = flow->right + at,
                          .down = flow->down + at,
                          .inverse1 = flow->inverse1 + at,
                          .inverse2 = flow->inverse2 + at,
                          .up = flow->down + at - l->pitch,
                          .u = u,
                          .v = v,
                          .u_above = u - l->pitch,
                          .v_above = v - l->pitch,
                          .u_below = u + l->pitch,
                          .v_below = v + l->pitch};
}

static void refine(sac_flow *flow, const level *l) {
    const sac_flow_kernels *k = flow->kernels;
    const int w = l->width, h = l->height;
    float *from = plane_at(l, flow->high_from), *to = plane_at(l, flow->high_to);
    float *warped = plane_at(l, flow->warped);
    take_off_mean(flow, l, flow->high_from, l->from);
    take_off_mean(flow, l, flow->high_to, l->to);
    for (int round = 0; round < flow->options.refine_rounds; round++) {
        for (int y = 0; y < h; y++) {
            const sac_flow_row row = row_at(flow, l, y);
            // `inside` waits in the plane of inverse1 until the row is linearised.
            k->warp(warped + y * l->pitch, row.inverse1, to, l->pitch, h, y, row.u, row.v, w);
        }
        extend(l, flow->warped);
        extend(l, l->u);
        extend(l, l->v);
        float *now = flow->stiff[0] + 16, *next = flow->stiff[1] + 16;
        sac_flow_row row = row_at(flow, l, 0);
        k->stiffen(now, &row, (float)flow->options.smoothness, w);
        for (int y = 0; y < h; y++) {
            row = row_at(flow, l, y);
            const float *const f[3] = {from + (y - 1) * l->pitch, from + y * l->pitch,
                                       from + (y + 1) * l->pitch};
            const float *const g[3] = {warped + (y - 1) * l->pitch, warped + y * l->pitch,
                                       warped + (y + 1) * l->pitch};
            k->linearise(&row, f, g, row.inverse1, w);
            if (y + 1 < h) {
                const sac_flow_row following = row_at(flow, l, y + 1);
                k->stiffen(next, &following, (float)flow->options.smoothness, w);
            }
            k->join(&row, now, y + 1 < h ? next : NULL, w);
            k->invert(&row, w);
            float *swap = now;
            now = next;
            next = swap;
        }
        for (int sweep = 0; sweep < 2 * SWEEPS; sweep++) {
            for (int y = 0; y < h; y++) {
                row = row_at(flow, l, y);
                k->relax(&row, y + sweep, w);
            }
        }
    }
}

// ---- run ---------------------------------------------------------------------------------------

// Flow of the finest level searched at the size of the frames.
static void enlarge(const sac_flow *flow, float *dst) {
    const level *l = &flow->level[flow->finest], *full = &flow->level[0];
    const int64_t picture = (int64_t)full->width * full->height;
    const float *u = plane_at(l, l->u), *v = plane_at(l, l->v);
    if (flow->finest == 0) {
        const size_t bytes = (size_t)l->width * sizeof(float);
        for (int y = 0; y < l->height; y++) {
            memcpy(dst + (int64_t)y * l->width, u + y * l->pitch, bytes);
            memcpy(dst + picture + (int64_t)y * l->width, v + y * l->pitch, bytes);
        }
        return;
    }
    const float scale = (float)(1 << flow->finest);
    for (int y = 0; y < full->height; y++) {
        const float sy = fminf(fmaxf(((float)y + 0.5f) / scale - 0.5f, 0), (float)(l->height - 1));
        const int top = (int)sy < l->height - 2 ? (int)sy : l->height - 2;
        const float fy = sy - (float)top;
        for (int x = 0; x < full->width; x++) {
            const float sx =
                fminf(fmaxf(((float)x + 0.5f) / scale - 0.5f, 0), (float)(l->width - 1));
            const int left = (int)sx < l->width - 2 ? (int)sx : l->width - 2;
            const float fx = sx - (float)left;
            const float a = (1 - fx) * (1 - fy), b = fx * (1 - fy), c = (1 - fx) * fy, d = fx * fy;
            const int64_t p = top * l->pitch + left, to = (int64_t)y * full->width + x;
            dst[to] =
                scale * (a * u[p] + b * u[p + 1] + c * u[p + l->pitch] + d * u[p + l->pitch + 1]);
            dst[picture + to] =
                scale * (a * v[p] + b * v[p + 1] + c * v[p + l->pitch] + d * v[p + l->pitch + 1]);
        }
    }
}

sac_status sac_flow_run(sac_flow *flow, float *dst, const uint8_t *from, const uint8_t *to) {
    if (flow == NULL || dst == NULL || from == NULL || to == NULL) return SAC_ERROR_ARGUMENT;
    smooth_frame(&flow->level[0], flow->level[0].from, from);
    smooth_frame(&flow->level[0], flow->level[0].to, to);
    for (int i = 1; i < flow->levels; i++) {
        halve(&flow->level[i], flow->level[i].from, &flow->level[i - 1], flow->level[i - 1].from);
        halve(&flow->level[i], flow->level[i].to, &flow->level[i - 1], flow->level[i - 1].to);
    }
    for (int i = flow->levels - 1; i >= flow->finest; i--) {
        const level *l = &flow->level[i];
        gradients(flow, l);
        search(flow, l, i + 1 < flow->levels ? &flow->level[i + 1] : NULL);
    }
    // Not between levels: its smoothness would wipe out things that are small there before the
    // search sees them.
    if (flow->options.refine_rounds > 0) refine(flow, &flow->level[flow->finest]);
    enlarge(flow, dst);
    return SAC_OK;
}
