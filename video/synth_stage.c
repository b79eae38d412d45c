// Builds the fixed part of the scene: paints the ground, plants trees, sets up lamp, bench, board
// and bollards. Nothing here depends on the clip or on time, apart from the wind in the leaves.
#include "video/synth_stage.h"

#include <string.h>

#include "core/check.h"
#include "core/memory.h"
#include "core/rng.h"

static double range(sac_rng *rng, double lo, double hi) {
    return lo + (hi - lo) * sac_rng_uniform(rng);
}

static sac_status add_part(sac_synth_stage *stage, const sac_synth_part *part) {
    if (stage->part_count == stage->part_capacity) {
        int capacity = stage->part_capacity == 0 ? 64 : 2 * stage->part_capacity;
        sac_synth_part *parts =
            sac_recalloc(stage->parts, stage->part_capacity, capacity, sizeof *parts);
        if (parts == NULL) return SAC_ERROR_MEMORY;
        stage->parts = parts;
        stage->part_capacity = capacity;
    }
    stage->parts[stage->part_count++] = *part;
    return SAC_OK;
}

// Begins a prop at a ground point; the parts added until the next begin belong to it.
static sac_status begin_prop(sac_synth_stage *stage, sac_synth_vec foot) {
    if (stage->prop_count == stage->prop_capacity) {
        int capacity = stage->prop_capacity == 0 ? 16 : 2 * stage->prop_capacity;
        sac_synth_prop *props =
            sac_recalloc(stage->props, stage->prop_capacity, capacity, sizeof *props);
        if (props == NULL) return SAC_ERROR_MEMORY;
        stage->props = props;
        stage->prop_capacity = capacity;
    }
    stage->props[stage->prop_count++] = (sac_synth_prop){
        .depth = sac_synth_project(&stage->camera, foot).depth,
        .x = foot.x,
        .y = foot.y,
        .first = stage->part_count,
    };
    return SAC_OK;
}

static sac_status tube(sac_synth_stage *stage, sac_synth_vec a, sac_synth_vec b, double ra,
                       double rb, double value) {
    sac_synth_part part = {.a = a, .b = b, .ra = (float)ra, .rb = (float)rb, .value = (float)value};
    return add_part(stage, &part);
}

static sac_synth_vec over(sac_synth_vec foot, double x, double y, double z) {
    return (sac_synth_vec){foot.x + x, foot.y + y, foot.z + z};
}

static sac_status add_leaves(sac_synth_stage *stage, sac_synth_vec centre, double radius,
                             double flat, int count, double leaf, double value, double wind,
                             sac_rng *rng) {
    for (int i = 0; i < count; i++) {
        double x, y, z;
        do {
            x = range(rng, -1, 1);
            y = range(rng, -1, 1);
            z = range(rng, -1, 1);
        } while (x * x + y * y + z * z > 1);
        double outside = x * x + y * y + z * z;
        sac_synth_vec at = over(centre, radius * x, radius * y, radius * flat * z);
        sac_synth_part part = {
            .a = at,
            .b = over(at, range(rng, -0.5, 0.5) * leaf, range(rng, -0.5, 0.5) * leaf,
                      0.2 * leaf * z),
            .ra = (float)(leaf * range(rng, 0.5, 1.1)),
            .rb = (float)(leaf * range(rng, 0.3, 0.8)),
            // Inner and lower leaves are darker.
            .value = (float)(value * (0.6 + 0.25 * outside + 0.25 * z + range(rng, -0.12, 0.18))),
            .sway = (float)(wind * (0.4 + 0.6 * outside)),
            .phase = (float)(1.3 * at.x + 0.8 * at.y + range(rng, -0.5, 0.5)),
        };
        sac_status status = add_part(stage, &part);
        if (status < 0) return status;
    }
    return SAC_OK;
}

static sac_status add_tree(sac_synth_stage *stage, sac_synth_vec foot, double trunk, double crown,
                           int leaves, sac_rng *rng) {
    sac_status status;
    SAC_TRY(begin_prop(stage, foot));
    sac_synth_vec fork = over(foot, range(rng, -0.1, 0.1), 0, trunk);
    SAC_TRY(tube(stage, foot, fork, 0.06 * crown + 0.06, 0.05 * crown + 0.03, 0.16));
    sac_synth_vec centre = over(fork, 0, 0, 0.55 * crown);
    for (int i = 0; i < 4; i++) {
        double a = 2 * SAC_SYNTH_PI * (i + range(rng, 0, 0.8)) / 4;
        SAC_TRY(tube(stage, fork, over(centre, 0.5 * crown * cos(a), 0.5 * crown * sin(a), 0.1),
                     0.07, 0.03, 0.15));
    }
    SAC_TRY(add_leaves(stage, centre, crown, 0.75, leaves, 0.16 * crown, 0.3, 0.05, rng));
    return SAC_OK;
fail:
    return status;
}

static sac_status add_bush(sac_synth_stage *stage, sac_synth_vec foot, double size, sac_rng *rng) {
    sac_status status;
    SAC_TRY(begin_prop(stage, foot));
    SAC_TRY(add_leaves(stage, over(foot, 0, 0, 0.45 * size), size, 0.55, 45, 0.22 * size, 0.27,
                       0.015, rng));
    return SAC_OK;
fail:
    return status;
}

static sac_status add_lamp(sac_synth_stage *stage, sac_synth_vec foot) {
    sac_status status;
    SAC_TRY(begin_prop(stage, foot));
    SAC_TRY(tube(stage, foot, over(foot, 0, 0, 0.5), 0.11, 0.09, 0.14));
    SAC_TRY(tube(stage, over(foot, 0, 0, 0.5), over(foot, 0, 0, 4.3), 0.06, 0.045, 0.14));
    SAC_TRY(tube(stage, over(foot, 0, 0, 4.3), over(foot, 0, 0, 4.5), 0.2, 0.12, 0.75));
    return SAC_OK;
fail:
    return status;
}

static sac_status add_bollard(sac_synth_stage *stage, sac_synth_vec foot) {
    sac_status status;
    SAC_TRY(begin_prop(stage, foot));
    SAC_TRY(tube(stage, foot, over(foot, 0, 0, 0.75), 0.08, 0.08, 0.2));
    SAC_TRY(tube(stage, over(foot, 0, 0, 0.68), over(foot, 0, 0, 0.72), 0.085, 0.085, 0.8));
    return SAC_OK;
fail:
    return status;
}

static sac_status quad(sac_synth_stage *stage, sac_synth_vec a, sac_synth_vec b, sac_synth_vec c,
                       sac_synth_vec d, double value, bool shadowless) {
    sac_synth_part part = {.a = a,
                           .b = b,
                           .c = c,
                           .d = d,
                           .value = (float)value,
                           .quad = true,
                           .shadowless = shadowless};
    return add_part(stage, &part);
}

// Bench along the walkway at (s, l), open towards the middle.
static sac_status add_bench(sac_synth_stage *stage, double s, double l) {
    sac_status status;
    const sac_synth_walkway *way = &stage->way;
    double away = l > 0 ? 0.22 : -0.22;
    SAC_TRY(begin_prop(stage, sac_synth_walkway_to_world(way, s, l)));
    for (int i = -1; i <= 1; i += 2) {
        sac_synth_vec leg = sac_synth_walkway_to_world(way, s + 0.75 * i, l);
        SAC_TRY(tube(stage, leg, over(leg, 0, 0, 0.42), 0.05, 0.05, 0.2));
        sac_synth_vec post = sac_synth_walkway_to_world(way, s + 0.75 * i, l + away);
        SAC_TRY(tube(stage, post, over(post, 0, 0, 0.85), 0.035, 0.035, 0.2));
    }
    for (int i = -1; i <= 1; i++) {
        sac_synth_vec a = sac_synth_walkway_to_world(way, s - 0.9, l + 0.16 * i);
        sac_synth_vec b = sac_synth_walkway_to_world(way, s + 0.9, l + 0.16 * i);
        SAC_TRY(tube(stage, over(a, 0, 0, 0.45), over(b, 0, 0, 0.45), 0.06, 0.06, 0.32));
    }
    for (int i = 0; i < 2; i++) {
        sac_synth_vec a = sac_synth_walkway_to_world(way, s - 0.9, l + away);
        sac_synth_vec b = sac_synth_walkway_to_world(way, s + 0.9, l + away);
        double up = 0.65 + 0.17 * i;
        SAC_TRY(tube(stage, over(a, 0, 0, up), over(b, 0, 0, up), 0.055, 0.055, 0.34));
    }
    return SAC_OK;
fail:
    return status;
}

// Notice board: a panel on two posts, its face along the walkway.
static sac_status add_board(sac_synth_stage *stage, double s, double l) {
    sac_status status;
    const sac_synth_walkway *way = &stage->way;
    sac_synth_vec a = sac_synth_walkway_to_world(way, s - 0.7, l);
    sac_synth_vec b = sac_synth_walkway_to_world(way, s + 0.7, l);
    SAC_TRY(begin_prop(stage, sac_synth_walkway_to_world(way, s, l)));
    SAC_TRY(tube(stage, a, over(a, 0, 0, 1.75), 0.045, 0.045, 0.18));
    SAC_TRY(tube(stage, b, over(b, 0, 0, 1.75), 0.045, 0.045, 0.18));
    SAC_TRY(quad(stage, over(a, 0, 0, 0.75), over(b, 0, 0, 0.75), over(b, 0, 0, 1.65),
                 over(a, 0, 0, 1.65), 0.3, false));
    sac_synth_vec c = sac_synth_mix(a, b, 0.12), d = sac_synth_mix(a, b, 0.45);
    sac_synth_vec e = sac_synth_mix(a, b, 0.55), f = sac_synth_mix(a, b, 0.88);
    SAC_TRY(quad(stage, over(c, 0, 0, 0.9), over(d, 0, 0, 0.9), over(d, 0, 0, 1.5),
                 over(c, 0, 0, 1.5), 0.8, true));
    SAC_TRY(quad(stage, over(e, 0, 0, 1.05), over(f, 0, 0, 1.05), over(f, 0, 0, 1.5),
                 over(e, 0, 0, 1.5), 0.65, true));
    return SAC_OK;
fail:
    return status;
}

static sac_status add_bin(sac_synth_stage *stage, sac_synth_vec foot) {
    sac_status status;
    SAC_TRY(begin_prop(stage, foot));
    SAC_TRY(tube(stage, over(foot, 0, 0, 0.2), over(foot, 0, 0, 0.75), 0.22, 0.25, 0.24));
    SAC_TRY(tube(stage, over(foot, 0, 0, 0.85), over(foot, 0, 0, 0.9), 0.2, 0.12, 0.12));
    return SAC_OK;
fail:
    return status;
}

// Soft-edged indicator of x in [lo, hi].
static double band(double lo, double hi, double edge, double x) {
    return sac_synth_smooth(lo - edge, lo + edge, x) *
           (1 - sac_synth_smooth(hi - edge, hi + edge, x));
}

// Darkness of a joint line repeated every `period`, `wide` metres across.
static double joint(double x, double period, double wide) {
    double d = fabs(x - period * floor(x / period + 0.5));
    return 1 - sac_synth_smooth(0.5 * wide, wide, d);
}

static double grass(double x, double y, uint64_t seed) {
    double blades = sac_synth_fractal(x * 6, y * 3.5, 3, seed + 20);
    double patches = sac_synth_fractal(x * 0.35, y * 0.35, 3, seed + 30);
    double worn = sac_synth_smooth(0.62, 0.75, sac_synth_fractal(x * 0.5, y * 0.5, 2, seed + 40));
    return 0.26 + 0.15 * (blades - 0.5) + 0.16 * (patches - 0.5) + 0.12 * worn;
}

static double paving(double s, double l, uint64_t seed) {
    double row = floor(l / 0.75);
    double shifted = s + (((int64_t)row & 1) != 0 ? 0.6 : 0);
    double slab = sac_synth_lattice((int64_t)floor(shifted / 1.2), (int64_t)row, seed + 1);
    double stain = sac_synth_fractal(s * 0.4, l * 0.4, 4, seed + 2);
    double grain = sac_synth_fractal(s * 9, l * 9, 2, seed + 3);
    double value = 0.56 + 0.05 * (slab - 0.5) + 0.16 * (stain - 0.5) + 0.06 * (grain - 0.5);
    value -= 0.09 * fmax(joint(shifted, 1.2, 0.025), joint(l, 0.75, 0.025));
    value -= 0.12 * joint(s + 1.3, 4.8, 0.05);
    // A darker repaired patch here and there, and a row of light slabs between the two directions.
    double repaired = sac_synth_lattice((int64_t)floor(s / 2.4), (int64_t)floor(l / 1.5), seed + 4);
    if (repaired > 0.93) value -= 0.07;
    value += 0.07 * band(-0.12, 0.12, 0.02, l);
    return value;
}

static double ground_at(const sac_synth_stage *stage, double x, double y) {
    double s, l, half = stage->way.half_width_m;
    sac_synth_world_to_walkway(&stage->way, x, y, &s, &l);
    double edge = fabs(l) + 0.25 * (sac_synth_fractal(s * 1.5, l * 1.5, 2, stage->seed + 50) - 0.5);
    double off = sac_synth_smooth(half + 0.22, half + 0.3, edge);
    double value = paving(s, l, stage->seed);
    if (off > 0) {
        double path =
            band(stage->cross_s - 1.3, stage->cross_s + 1.3, 0.06, s + 0.2 * sin(0.5 * l));
        double asphalt = 0.4 + 0.1 * (sac_synth_fractal(s * 7, l * 7, 2, stage->seed + 60) - 0.5) +
                         0.1 * (sac_synth_fractal(s * 0.5, l * 0.5, 3, stage->seed + 61) - 0.5);
        double green = grass(x, y, stage->seed);
        // Fallen leaves and soil near the edge.
        green -= 0.07 * (1 - sac_synth_smooth(half + 0.3, half + 0.9, edge));
        value += (green + (asphalt - green) * path - value) * off;
    }
    double kerb = band(half, half + 0.2, 0.03, fabs(l));
    value += (0.64 - 0.04 * joint(s, 1.0, 0.03) - value) * kerb;
    return value;
}

static void paint_ground(sac_synth_stage *stage) {
    const sac_synth_camera *camera = &stage->camera;
    int samples = (int64_t)camera->width * camera->height > 640 * 480 ? 2 : 4;
    for (int y = 0; y < camera->height; y++) {
        for (int x = 0; x < camera->width; x++) {
            double sum = 0;
            for (int k = 0; k < samples * samples; k++) {
                double u = x + (k % samples + 0.5) / samples,
                       v = y + ((int)(k / samples) + 0.5) / samples;
                sac_synth_vec p = sac_synth_ground(camera, u, v);
                sum += ground_at(stage, p.x, p.y);
            }
            stage->albedo[(int64_t)y * camera->width + x] = (float)(sum / (samples * samples));
        }
    }
}

static sac_status furnish(sac_synth_stage *stage, sac_rng *rng) {
    sac_status status;
    const sac_synth_walkway *way = &stage->way;
    const sac_synth_camera *camera = &stage->camera;
    double half = way->half_width_m, verge = half + 0.55, w = camera->width;
    double rise = way->sin_ > 0 ? 1 : -1; // +s leads away from the camera or towards it
    // Pause zones: a bench on the far side, a notice board on the near one, on different halves.
    stage->pause_s[0] = -rise * range(rng, 2.5, 4.5);
    stage->pause_side[0] = 1;
    stage->pause_s[1] = rise * range(rng, 1.5, 3.5);
    stage->pause_side[1] = -1;
    SAC_TRY(add_bench(stage, stage->pause_s[0], verge));
    SAC_TRY(add_bin(stage, sac_synth_walkway_to_world(way, stage->pause_s[0] + 1.6, verge)));
    SAC_TRY(add_board(stage, stage->pause_s[1], -verge - 0.1));
    // A lamp on the near edge, in front of the walkers, and one beyond.
    SAC_TRY(add_lamp(stage,
                     sac_synth_walkway_to_world(way, rise * range(rng, -1.5, 0.5), -half - 0.4)));
    SAC_TRY(add_lamp(stage, sac_synth_walkway_to_world(way, rise * range(rng, 6, 9), half + 0.4)));
    for (int i = -2; i <= 2; i++)
        SAC_TRY(add_bollard(
            stage, sac_synth_walkway_to_world(way, stage->cross_s + 0.65 * i, half + 0.35)));
    // Two trees behind the walkway, one whose crown hangs into the picture in front of it.
    double far_left = range(rng, 0.12, 0.3) * w, far_right = range(rng, 0.62, 0.85) * w;
    for (int i = 0; i < 2; i++) {
        sac_synth_vec foot =
            sac_synth_ground(camera, i == 0 ? far_left : far_right, 0.5 * camera->cy);
        double s, l;
        sac_synth_world_to_walkway(way, foot.x, foot.y, &s, &l);
        if (l < half + 1.5) l = half + 1.5; // trees stand on the grass
        if (fabs(s - stage->cross_s) < 2.2)
            s += s < stage->cross_s ? -2.2 : 2.2; // and off the path
        SAC_TRY(add_tree(stage, sac_synth_walkway_to_world(way, s, l), range(rng, 1.7, 2.3),
                         range(rng, 1.2, 1.7), 110, rng));
    }
    sac_synth_vec corner = sac_synth_ground(camera, rise > 0 ? 0.97 * w : 0.03 * w, 2 * camera->cy);
    SAC_TRY(add_tree(stage, over(corner, 0, 0.3, 0), 1.7, 0.85, 90, rng));
    for (int i = 0; i < 5; i++) {
        sac_synth_vec foot =
            sac_synth_ground(camera, range(rng, 0, w), range(rng, 0.02, 0.2) * camera->height);
        double s, l;
        sac_synth_world_to_walkway(way, foot.x, foot.y, &s, &l);
        if (l < half + 2.5) l = half + 2.5;
        if (fabs(s - stage->cross_s) < 2.0) s += s < stage->cross_s ? -2.0 : 2.0;
        SAC_TRY(add_bush(stage, sac_synth_walkway_to_world(way, s, l), range(rng, 0.6, 1.1), rng));
    }
    for (int i = 0; i < stage->prop_count; i++) {
        sac_synth_prop *prop = &stage->props[i];
        int end = i + 1 < stage->prop_count ? stage->props[i + 1].first : stage->part_count;
        prop->count = end - prop->first;
        prop->box[0] = prop->box[1] = 1e9;
        prop->box[2] = prop->box[3] = -1e9;
        for (int k = prop->first; k < end; k++) {
            double box[4], room = 3 + 0.1 * camera->focal_px / fmax(prop->depth, 1);
            if (!sac_synth_part_bounds(&stage->parts[k], camera, box)) continue;
            prop->box[0] = fmin(prop->box[0], box[0] - room);
            prop->box[1] = fmin(prop->box[1], box[1] - room);
            prop->box[2] = fmax(prop->box[2], box[2] + room);
            prop->box[3] = fmax(prop->box[3], box[3] + room);
            if (stage->parts[k].sway <= 0)
                sac_synth_shadow_draw(stage->shade, camera, &stage->parts[k], stage->sun);
        }
    }
    return SAC_OK;
fail:
    return status;
}

bool sac_synth_stage_sees(const sac_synth_stage *stage, double s, double l, bool whole) {
    const sac_synth_camera *camera = &stage->camera;
    sac_synth_vec foot = sac_synth_walkway_to_world(&stage->way, s, l);
    if (!whole) {
        for (int i = 0; i < 2; i++) {
            sac_synth_pixel p = sac_synth_project(camera, over(foot, 0, 0, i == 0 ? 0.2 : 1.5));
            if (p.depth > 2 && p.u >= 0 && p.u < camera->width && p.v >= 0 && p.v < camera->height)
                return true;
        }
        return false;
    }
    // The body, and its shadow's tip.
    double t = 1.8 / stage->sun.z;
    sac_synth_vec points[3] = {foot, over(foot, 0, 0, 2.0),
                               over(foot, -t * stage->sun.x, -t * stage->sun.y, 0)};
    double box[4] = {1e9, 1e9, -1e9, -1e9};
    for (int i = 0; i < 3; i++) {
        sac_synth_pixel p = sac_synth_project(camera, points[i]);
        if (p.depth < 2) return false;
        double room = 0.7 * p.scale;
        box[0] = fmin(box[0], p.u - room);
        box[1] = fmin(box[1], p.v - room);
        box[2] = fmax(box[2], p.u + room);
        box[3] = fmax(box[3], p.v + room);
    }
    return box[2] > 0 && box[3] > 0 && box[0] < camera->width && box[1] < camera->height;
}

static void tabulate_reach(sac_synth_stage *stage) {
    const double step = 0.25;
    for (int i = 0; i < SAC_SYNTH_REACHES; i++) {
        sac_synth_reach *reach = &stage->reach[i];
        double l = (i - SAC_SYNTH_REACHES / 2) * 0.5;
        for (int k = -240; k <= 240; k++) {
            double s = k * step;
            if (sac_synth_stage_sees(stage, s, l, false)) reach->in_view_m += step;
            if (!sac_synth_stage_sees(stage, s, l, true)) continue;
            if (!reach->any) reach->seen_lo = s - step;
            reach->seen_hi = s + step;
            reach->any = true;
        }
    }
}

const sac_synth_reach *sac_synth_stage_reach(const sac_synth_stage *stage, double l) {
    int i = (int)lround(l / 0.5) + SAC_SYNTH_REACHES / 2;
    i = i < 0 ? 0 : i >= SAC_SYNTH_REACHES ? SAC_SYNTH_REACHES - 1 : i;
    return &stage->reach[i];
}

int sac_synth_stage_direction(const sac_synth_stage *stage, double l) {
    return l >= 0 ? stage->side_direction : -stage->side_direction;
}

sac_synth_part sac_synth_stage_sway(const sac_synth_part *part, double time_s) {
    sac_synth_part moved = *part;
    double phase = (double)part->phase, sway = (double)part->sway;
    double gust = 0.6 + 0.4 * sin(0.5 * time_s + 0.3 * phase);
    double dx = sway * gust * (sin(2.1 * time_s + phase) + 0.4 * sin(5.3 * time_s + 2.7 * phase));
    double dz = 0.5 * sway * gust * sin(3.1 * time_s + 1.9 * phase);
    moved.a.x += dx;
    moved.a.z += dz;
    moved.b.x += 1.2 * dx;
    moved.b.z += 1.2 * dz;
    return moved;
}

sac_status sac_synth_stage_create(sac_synth_stage **out, int width, int height, uint64_t seed) {
    sac_status status = SAC_OK;
    int64_t pixels;
    *out = NULL;
    sac_synth_stage *stage = sac_calloc(1, sizeof *stage);
    SAC_TRY_ALLOC(stage);
    if (!sac_mul(width, height, &pixels)) {
        status = SAC_ERROR_ARGUMENT;
        goto fail;
    }
    sac_rng rng;
    sac_rng_seed(&rng, seed, 0);
    stage->seed = sac_synth_hash(seed);
    const double degree = SAC_SYNTH_PI / 180;
    stage->camera = sac_synth_camera_make(width, height, range(&rng, 6.8, 7.6),
                                          range(&rng, 25.5, 27.5) * degree);
    sac_synth_vec middle =
        sac_synth_ground(&stage->camera, stage->camera.cx, 0.98 * stage->camera.cy);
    double yaw = range(&rng, 18, 27) * degree;
    if (sac_rng_uniform(&rng) < 0.5) yaw = -yaw;
    stage->way = (sac_synth_walkway){.x = middle.x,
                                     .y = middle.y,
                                     .cos_ = cos(yaw),
                                     .sin_ = sin(yaw),
                                     .half_width_m = range(&rng, 4.0, 4.5)};
    stage->side_direction = sac_rng_uniform(&rng) < 0.5 ? 1 : -1;
    double cross = range(&rng, -1.5, 3.0);
    stage->cross_s = yaw > 0 ? cross : -cross;
    // The sun stands in front of or behind the camera's side, so that shadows fall obliquely.
    double elevation = range(&rng, 42, 55) * degree;
    double azimuth = (range(&rng, 25, 65) + (sac_rng_uniform(&rng) < 0.5 ? 90 : 0)) * degree;
    stage->sun = (sac_synth_vec){cos(elevation) * cos(azimuth), cos(elevation) * sin(azimuth),
                                 sin(elevation)};
    stage->albedo = sac_calloc(pixels, sizeof *stage->albedo);
    stage->shade = sac_calloc(pixels, sizeof *stage->shade);
    SAC_TRY_ALLOC(stage->albedo);
    SAC_TRY_ALLOC(stage->shade);
    tabulate_reach(stage);
    SAC_TRY(furnish(stage, &rng));
    paint_ground(stage);
    *out = stage;
    return SAC_OK;
fail:
    sac_synth_stage_close(&stage);
    return status;
}

void sac_synth_stage_close(sac_synth_stage **stage) {
    if (stage == NULL || *stage == NULL) return;
    sac_free((*stage)->albedo);
    sac_free((*stage)->shade);
    sac_free((*stage)->parts);
    sac_free((*stage)->props);
    sac_free(*stage);
    *stage = NULL;
}
