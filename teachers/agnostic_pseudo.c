// Makes crops, normal and pseudo-abnormal. Never decides what is learned from them.
#include "teachers/agnostic_pseudo.h"

#include <math.h>
#include <string.h>

#include "video/scale.h"

enum { LATTICE = 13, SHAPES = 10, TRIES = 12 };
static const double PI = 3.14159265358979323846;
// Most of a patch of ground that an object may cover, and of an object that may lie in it.
static const double MOST_COVERED = 0.2;
static const double LEAST_SPEED = 0.2;
static const float MOST_FLOW = 8; // as in sac_field_crop

const char *sac_agnostic_picture_name(int kind) {
    static const char *const names[] = {"place", "texture", "turned", "mixed", "shuffled"};
    return kind >= 0 && kind < SAC_AGNOSTIC_PICTURES ? names[kind] : "unknown";
}

const char *sac_agnostic_motion_name(int kind) {
    static const char *const names[] = {"faster", "rigid", "aside", "broken"};
    return kind >= 0 && kind < SAC_AGNOSTIC_MOTIONS ? names[kind] : "unknown";
}

static const sac_box *box_of(const sac_agnostic_pool *pool, const sac_family_object *o) {
    return &pool->clips[o->clip].detections->boxes[o->box];
}

static void crop_picture(float *dst, const sac_agnostic_pool *pool, int32_t clip, int64_t t,
                         const sac_box *b) {
    const sac_family_clip *c = &pool->clips[clip];
    sac_crop_gray(dst, pool->crop_size, pool->crop_size,
                  c->pixels + t * c->width * (int64_t)c->height, c->width, c->height, (double)b->x1,
                  (double)b->y1, (double)b->x2, (double)b->y2);
}

static void crop_flows(float *backward, float *forward, const sac_agnostic_pool *pool,
                       const sac_family_object *o) {
    sac_field before = sac_field_store_at(pool->fields, o->clip, o->t - 1);
    sac_field after = sac_field_store_at(pool->fields, o->clip, o->t);
    sac_field_crop(backward, pool->crop_size, &before, box_of(pool, o), pool->flow_unit);
    sac_field_crop(forward, pool->crop_size, &after, box_of(pool, o), pool->flow_unit);
}

void sac_agnostic_crops(float *appearance, float *backward, float *forward,
                        const sac_agnostic_pool *pool, const sac_family_object *object) {
    crop_picture(appearance, pool, object->clip, object->t, box_of(pool, object));
    crop_flows(backward, forward, pool, object);
}

static double between(sac_rng *rng, double low, double high) {
    return low + (high - low) * sac_rng_uniform(rng);
}

static double log_between(sac_rng *rng, double low, double high) {
    return exp(between(rng, log(low), log(high)));
}

static const sac_family_object *draw_object(const sac_agnostic_pool *pool, sac_rng *rng) {
    return &pool->objects[sac_rng_below(rng, pool->object_count)];
}

// ---- textures -----------------------------------------------------------------------------------

// Waves in one or two directions; `hard` leaves their signs only.
static void draw_waves(float *dst, int size, bool hard, sac_rng *rng) {
    int waves = 1 + (int)sac_rng_below(rng, 2);
    double kx[2], ky[2], phase[2];
    for (int w = 0; w < waves; w++) {
        double angle = between(rng, 0, PI), turns = between(rng, 1, 10);
        kx[w] = 2 * PI * turns * cos(angle) / size;
        ky[w] = 2 * PI * turns * sin(angle) / size;
        phase[w] = between(rng, 0, 2 * PI);
    }
    for (int y = 0; y < size; y++) {
        for (int x = 0; x < size; x++) {
            double value = 1;
            for (int w = 0; w < waves; w++) value *= sin(kx[w] * x + ky[w] * y + phase[w]);
            dst[y * size + x] = (float)(hard ? (value > 0 ? 1 : -1) : value);
        }
    }
}

// Smoothly joined random values on a coarse grid.
static void draw_noise(float *dst, int size, sac_rng *rng) {
    double grid[LATTICE][LATTICE];
    int cells = 2 + (int)sac_rng_below(rng, LATTICE - 3);
    for (int y = 0; y <= cells; y++) {
        for (int x = 0; x <= cells; x++) grid[y][x] = between(rng, -1, 1);
    }
    for (int y = 0; y < size; y++) {
        double v = (double)y * cells / size;
        int row = (int)v;
        double fy = v - row;
        fy = fy * fy * (3 - 2 * fy);
        for (int x = 0; x < size; x++) {
            double u = (double)x * cells / size;
            int column = (int)u;
            double fx = u - column;
            fx = fx * fx * (3 - 2 * fx);
            double top = (1 - fx) * grid[row][column] + fx * grid[row][column + 1];
            double bottom = (1 - fx) * grid[row + 1][column] + fx * grid[row + 1][column + 1];
            dst[y * size + x] = (float)((1 - fy) * top + fy * bottom);
        }
    }
}

// Discs and rectangles over one another.
static void draw_shapes(float *dst, int size, sac_rng *rng) {
    float ground = (float)between(rng, -1, 1);
    for (int64_t i = 0; i < (int64_t)size * size; i++) dst[i] = ground;
    int shapes = 3 + (int)sac_rng_below(rng, SHAPES - 2);
    for (int k = 0; k < shapes; k++) {
        bool disc = sac_rng_below(rng, 2) == 0;
        double cx = between(rng, 0, size), cy = between(rng, 0, size);
        double rx = between(rng, 0.05, 0.4) * size, ry = disc ? rx : between(rng, 0.05, 0.4) * size;
        float gray = (float)between(rng, -1, 1);
        for (int y = 0; y < size; y++) {
            for (int x = 0; x < size; x++) {
                double dx = (x - cx) / rx, dy = (y - cy) / ry;
                if (disc ? dx * dx + dy * dy < 1 : fabs(dx) < 1 && fabs(dy) < 1)
                    dst[y * size + x] = gray;
            }
        }
    }
}

static void draw_texture(float *dst, int size, sac_rng *rng) {
    switch (sac_rng_below(rng, 4)) {
    case 0:
        draw_waves(dst, size, false, rng);
        break;
    case 1:
        draw_waves(dst, size, true, rng);
        break;
    case 2:
        draw_noise(dst, size, rng);
        break;
    default:
        draw_shapes(dst, size, rng);
    }
    const double mean = between(rng, 0.2, 0.8), swing = between(rng, 0.08, 0.45);
    for (int64_t i = 0; i < (int64_t)size * size; i++)
        dst[i] = (float)fmin(fmax(mean + swing * (double)dst[i], 0), 1);
}

// ---- pictures -----------------------------------------------------------------------------------

// dst is src turned by quarters * 90 degrees.
static void turn(float *dst, const float *src, int size, int quarters) {
    for (int y = 0; y < size; y++) {
        for (int x = 0; x < size; x++) {
            int sx = x, sy = y;
            for (int q = 0; q < quarters; q++) {
                int kept = sx;
                sx = sy;
                sy = size - 1 - kept;
            }
            dst[y * size + x] = src[sy * size + sx];
        }
    }
}

// Order of side x side tiles, other than as they were.
static void draw_tiles(int64_t *order, int side, sac_rng *rng) {
    bool same = true;
    while (same) {
        for (int i = 0; i < side * side; i++) order[i] = i;
        sac_rng_shuffle(rng, order, side * side);
        for (int i = 0; i < side * side; i++) same = same && order[i] == i;
    }
}

static void shuffle(float *dst, const float *src, int size, const int64_t *order, int side) {
    int tile = size / side;
    for (int y = 0; y < size; y++) {
        for (int x = 0; x < size; x++) {
            int64_t from = order[y / tile * side + x / tile];
            int sy = (int)(from / side) * tile + y % tile,
                sx = (int)(from % side) * tile + x % tile;
            dst[y * size + x] = src[sy * size + sx];
        }
    }
}

// A patch of ground as large as some object, 0.7 to 2 times; false: none without an object was
// found.
static bool draw_place(float *dst, const sac_agnostic_pool *pool, sac_rng *rng) {
    for (int i = 0; i < TRIES; i++) {
        const sac_box *like = box_of(pool, draw_object(pool, rng));
        double scale = log_between(rng, 0.7, 2);
        double w = scale * ((double)like->x2 - (double)like->x1);
        double h = scale * ((double)like->y2 - (double)like->y1);
        int32_t clip = (int32_t)sac_rng_below(rng, pool->clip_count);
        const sac_family_clip *c = &pool->clips[clip];
        int64_t t = sac_rng_below(rng, c->detections->frames);
        double x = between(rng, 0, c->width - w), y = between(rng, 0, c->height - h);
        if (!(w < c->width) || !(h < c->height) || c->detections->frames < 1) continue;
        sac_box place = {(float)x, (float)y, (float)(x + w), (float)(y + h), 1, -1};
        bool free_of_objects = true;
        for (int64_t k = c->detections->start[t]; k < c->detections->start[t + 1]; k++) {
            double inside = 0, within = 0;
            (void)sac_box_overlap(&place, &c->detections->boxes[k], &inside);
            (void)sac_box_overlap(&c->detections->boxes[k], &place, &within);
            if (inside > MOST_COVERED || within > MOST_COVERED) free_of_objects = false;
        }
        if (!free_of_objects) continue;
        crop_picture(dst, pool, clip, t, &place);
        return true;
    }
    return false;
}

static void make_picture(float *dst, float *scratch, const sac_agnostic_pool *pool,
                         const sac_family_object *object, int kind, sac_rng *rng) {
    const int size = pool->crop_size;
    int64_t order[16];
    if (kind == SAC_AGNOSTIC_TEXTURE || (kind == SAC_AGNOSTIC_PLACE && !draw_place(dst, pool, rng)))
        draw_texture(dst, size, rng);
    if (kind == SAC_AGNOSTIC_TEXTURE || kind == SAC_AGNOSTIC_PLACE) return;
    crop_picture(scratch, pool, object->clip, object->t, box_of(pool, object));
    if (kind == SAC_AGNOSTIC_TURNED) {
        turn(dst, scratch, size, 1 + (int)sac_rng_below(rng, 3));
        return;
    }
    if (kind == SAC_AGNOSTIC_SHUFFLED) {
        int side = sac_rng_below(rng, 2) == 0 ? 2 : 4;
        draw_tiles(order, side, rng);
        shuffle(dst, scratch, size, order, side);
        return;
    }
    // MIXED: dst becomes the other thing, then the object's side of the line is put over it.
    float *other = scratch + (int64_t)size * size;
    if (sac_rng_below(rng, 2) == 0) {
        const sac_family_object *o = draw_object(pool, rng);
        crop_picture(other, pool, o->clip, o->t, box_of(pool, o));
        turn(dst, other, size, 1 + (int)sac_rng_below(rng, 3));
    } else {
        draw_texture(dst, size, rng);
    }
    double angle = between(rng, 0, 2 * PI), offset = between(rng, -0.15, 0.15) * size;
    double nx = cos(angle), ny = sin(angle), middle = 0.5 * (size - 1);
    for (int y = 0; y < size; y++) {
        for (int x = 0; x < size; x++) {
            if (nx * (x - middle) + ny * (y - middle) < offset)
                dst[y * size + x] = scratch[y * size + x];
        }
    }
}

// ---- motion -------------------------------------------------------------------------------------

// How one flow is altered; drawn once, so that both flows of an object go together.
typedef struct alteration {
    int kind, side;
    double factor, towards_mean, cosine, sine;
    double rigid[2]; // motion given to an object that has none; 0 0: it has its own
    int64_t order[16];
    bool mirrored[16];
} alteration;

static void limit(float *flow, int64_t count) {
    for (int64_t i = 0; i < count; i++) flow[i] = fminf(fmaxf(flow[i], -MOST_FLOW), MOST_FLOW);
}

static void alter(float *flow, float *scratch, int size, const alteration *a) {
    const int64_t area = (int64_t)size * size;
    float *u = flow, *v = flow + area;
    for (int64_t i = 0; i < area; i++) {
        u[i] += (float)a->rigid[0];
        v[i] += (float)a->rigid[1];
    }
    if (a->kind == SAC_AGNOSTIC_BROKEN) {
        memcpy(scratch, flow, (size_t)(2 * area) * sizeof *flow);
        shuffle(u, scratch, size, a->order, a->side);
        shuffle(v, scratch + area, size, a->order, a->side);
        int tile = size / a->side;
        for (int y = 0; y < size; y++) {
            for (int x = 0; x < size; x++) {
                if (a->mirrored[y / tile * a->side + x / tile]) u[y * size + x] = -u[y * size + x];
            }
        }
    }
    double mean[2] = {0, 0};
    if (a->kind == SAC_AGNOSTIC_RIGID) (void)sac_field_speed(flow, area, mean);
    for (int64_t i = 0; i < area; i++) {
        double x = (double)u[i], y = (double)v[i];
        x += a->towards_mean * (mean[0] - x);
        y += a->towards_mean * (mean[1] - y);
        u[i] = (float)(a->factor * (a->cosine * x - a->sine * y));
        v[i] = (float)(a->factor * (a->sine * x + a->cosine * y));
    }
    limit(flow, 2 * area);
}

static void make_motion(float *backward, float *forward, float *scratch,
                        const sac_agnostic_pool *pool, const sac_family_object *object, int kind,
                        sac_rng *rng) {
    const int64_t area = (int64_t)pool->crop_size * pool->crop_size;
    alteration a = {.kind = kind, .side = 2, .cosine = 1};
    crop_flows(backward, forward, pool, object);
    switch (kind) {
    case SAC_AGNOSTIC_FASTER:
        a.factor = log_between(rng, 1.5, 5);
        break;
    case SAC_AGNOSTIC_RIGID:
        a.factor = log_between(rng, 1, 4);
        a.towards_mean = between(rng, 0.6, 1);
        break;
    case SAC_AGNOSTIC_ASIDE: {
        double angle = between(rng, 0.25 * PI, 0.75 * PI);
        if (sac_rng_below(rng, 2) == 1) angle = -angle;
        a.cosine = cos(angle);
        a.sine = sin(angle);
        a.factor = log_between(rng, 0.8, 2.5);
        break;
    }
    default:
        a.side = sac_rng_below(rng, 2) == 0 ? 2 : 4;
        draw_tiles(a.order, a.side, rng);
        for (int i = 0; i < a.side * a.side; i++) a.mirrored[i] = sac_rng_below(rng, 2) == 1;
        a.factor = log_between(rng, 1, 3);
    }
    if (sac_field_speed(forward, area, NULL) < LEAST_SPEED) {
        double angle = between(rng, 0, 2 * PI), speed = between(rng, 1, 3) / a.factor;
        a.rigid[0] = speed * cos(angle);
        a.rigid[1] = speed * sin(angle);
    }
    alter(backward, scratch, pool->crop_size, &a);
    alter(forward, scratch, pool->crop_size, &a);
}

void sac_agnostic_pseudo(float *appearance, float *backward, float *forward, float *scratch,
                         const sac_agnostic_pool *pool, const sac_family_object *object,
                         uint64_t seed, int picture, int motion) {
    sac_rng rng;
    sac_rng_seed(&rng, seed, 0);
    int drawn_picture = (int)sac_rng_below(&rng, SAC_AGNOSTIC_PICTURES);
    int drawn_motion = (int)sac_rng_below(&rng, 2 * (SAC_AGNOSTIC_MOTIONS - 1)) + 1;
    if (drawn_motion >= SAC_AGNOSTIC_MOTIONS) drawn_motion = SAC_AGNOSTIC_FASTER;
    make_picture(appearance, scratch, pool, object, picture >= 0 ? picture : drawn_picture, &rng);
    make_motion(backward, forward, scratch, pool, object, motion >= 0 ? motion : drawn_motion,
                &rng);
}

static void mirror_plane(float *plane, int size, float sign) {
    for (int y = 0; y < size; y++) {
        float *row = plane + (int64_t)y * size;
        for (int x = 0; 2 * x < size; x++) {
            float kept = row[x];
            row[x] = sign * row[size - 1 - x];
            row[size - 1 - x] = sign * kept;
        }
    }
}

void sac_agnostic_mirror(float *appearance, float *backward, float *forward, int crop_size) {
    const int64_t area = (int64_t)crop_size * crop_size;
    mirror_plane(appearance, crop_size, 1);
    mirror_plane(backward, crop_size, -1);
    mirror_plane(backward + area, crop_size, 1);
    mirror_plane(forward, crop_size, -1);
    mirror_plane(forward + area, crop_size, 1);
}
