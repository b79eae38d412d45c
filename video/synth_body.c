// Articulated figures. The stance foot keeps its place on the ground while the body moves over it
// and the knee follows by two-link inverse kinematics, so nobody slides.
#include "video/synth_body.h"

#include <stdlib.h>
#include <string.h>

typedef struct figure {
    sac_synth_part *parts;
    int count;
    sac_synth_vec base; // ground position
    double fx, fy;      // forward
} figure;

// Body coordinates: forward, to the left, up; metres.
static sac_synth_vec at(const figure *f, double forward, double left, double up) {
    return (sac_synth_vec){f->base.x + f->fx * forward - f->fy * left,
                           f->base.y + f->fy * forward + f->fx * left, f->base.z + up};
}

static sac_synth_part *add(figure *f, sac_synth_vec a, sac_synth_vec b, double ra, double rb,
                           float value) {
    if (f->count == SAC_SYNTH_MAX_PARTS) return &f->parts[SAC_SYNTH_MAX_PARTS - 1];
    sac_synth_part *part = &f->parts[f->count++];
    *part = (sac_synth_part){.a = a, .b = b, .ra = (float)ra, .rb = (float)rb, .value = value};
    return part;
}

static void add_quad(figure *f, sac_synth_vec a, sac_synth_vec b, sac_synth_vec c, sac_synth_vec d,
                     float value) {
    if (f->count == SAC_SYNTH_MAX_PARTS) return;
    f->parts[f->count++] =
        (sac_synth_part){.a = a, .b = b, .c = c, .d = d, .value = value, .quad = true};
}

void sac_synth_style_random(sac_synth_style *style, sac_rng *rng) {
    memset(style, 0, sizeof *style);
    style->height_m = sac_synth_clamp(1.71 + 0.09 * sac_rng_normal(rng), 1.48, 1.98);
    style->build = sac_synth_clamp(1 + 0.1 * sac_rng_normal(rng), 0.8, 1.3);
    // Clothes: mostly dark, some middle, some light; the paving lies between.
    double kind = sac_rng_uniform(rng), spread = sac_rng_uniform(rng);
    style->torso = (float)(kind < 0.5    ? 0.07 + 0.2 * spread
                           : kind < 0.75 ? 0.28 + 0.2 * spread
                                         : 0.6 + 0.25 * spread);
    style->trousers = (float)(sac_rng_uniform(rng) < 0.8 ? 0.07 + 0.22 * sac_rng_uniform(rng)
                                                         : 0.4 + 0.3 * sac_rng_uniform(rng));
    style->skin = (float)(0.38 + 0.3 * sac_rng_uniform(rng));
    style->hair = (float)(0.06 + (sac_rng_uniform(rng) < 0.2 ? 0.4 : 0.14) * sac_rng_uniform(rng));
    style->shoes = (float)(sac_rng_uniform(rng) < 0.7 ? 0.08 : 0.75);
    style->thing = (float)(0.1 + 0.5 * sac_rng_uniform(rng));
    if (sac_rng_uniform(rng) < 0.3) {
        style->stripe = (float)(0.12 + 0.22 * sac_rng_uniform(rng));
        style->period = (float)(0.1 + 0.25 * sac_rng_uniform(rng));
    }
    style->coat = sac_rng_uniform(rng) < 0.2;
    style->backpack = sac_rng_uniform(rng) < 0.3;
    style->bag = sac_rng_uniform(rng) < 0.2;
    style->hat = sac_rng_uniform(rng) < 0.15;
}

double sac_synth_stride_m(const sac_synth_style *style, double speed_mps) {
    return style->height_m * (0.36 + 0.3 * fabs(speed_mps));
}

typedef struct joint {
    double forward, up;
} joint;

// Knee (bend +1) or elbow (bend -1) between root and *end, in the body's plane of motion. An end
// out of reach is pulled in, giving a straight limb.
static joint two_links(joint root, joint *end, double upper, double lower, double bend) {
    double dx = end->forward - root.forward, dz = end->up - root.up, d = hypot(dx, dz);
    double reach = 0.999 * (upper + lower);
    if (d < 1e-6) {
        dx = 0;
        dz = -1;
        d = 1e-6;
    } else {
        dx /= d;
        dz /= d;
    }
    if (d > reach) d = reach;
    end->forward = root.forward + dx * d;
    end->up = root.up + dz * d;
    double along =
        sac_synth_clamp((upper * upper - lower * lower + d * d) / (2 * d), -upper, upper);
    double off = sqrt(fmax(0, upper * upper - along * along)) * bend;
    return (joint){root.forward + dx * along - dz * off, root.up + dz * along + dx * off};
}

typedef struct gait {
    double stance;     // fraction of the cycle a foot is on the ground
    double excursion;  // foot travel to each side of the hip, metres
    double lift, heel; // swing and push-off height of the ankle, metres
} gait;

static joint foot_at(const gait *g, double phase, double *pitch) {
    phase -= floor(phase);
    if (phase < g->stance) {
        double u = phase / g->stance, push = u > 0.6 ? (u - 0.6) / 0.4 : 0;
        *pitch = 0.7 * push * push;
        return (joint){g->excursion * (1 - 2 * u), g->heel * push * push};
    }
    double u = (phase - g->stance) / (1 - g->stance), s = u * u * (3 - 2 * u);
    *pitch = 0.7 * (1 - u) * (1 - u) - 0.25 * u;
    return (joint){g->excursion * (2 * s - 1),
                   g->heel * (1 - u) * (1 - u) + g->lift * sin(SAC_SYNTH_PI * u)};
}

static void add_leg(figure *f, const sac_synth_style *style, joint hip, joint ankle, double side,
                    double pitch) {
    double h = style->height_m, w = style->build;
    joint knee = two_links(hip, &ankle, 0.245 * h, 0.25 * h, 1);
    double hip_y = side * 0.05 * h * w, foot_y = side * 0.04 * h;
    sac_synth_vec k = at(f, knee.forward, 0.5 * (hip_y + foot_y), knee.up);
    add(f, at(f, hip.forward, hip_y, hip.up), k, 0.05 * h * w, 0.034 * h * w, style->trousers);
    add(f, k, at(f, ankle.forward, foot_y, ankle.up), 0.033 * h * w, 0.024 * h, style->trousers);
    double toe = 0.105 * h;
    double toe_up = fmax(0.018 * h, ankle.up - 0.02 * h - toe * sin(pitch));
    add(f, at(f, ankle.forward - 0.02 * h, foot_y, fmax(0.02 * h, ankle.up - 0.02 * h)),
        at(f, ankle.forward + toe * cos(pitch), foot_y, toe_up), 0.02 * h, 0.017 * h, style->shoes);
}

// swing: angle of the upper arm from straight down, forwards positive; elbow: extra forward bend;
// out: sideways angle away from the body.
static sac_synth_vec add_arm(figure *f, const sac_synth_style *style, joint shoulder, double side,
                             double swing, double elbow, double out) {
    double h = style->height_m, w = style->build, upper = 0.175 * h, lower = 0.165 * h;
    double y0 = side * 0.108 * h * w;
    double y1 = y0 + side * upper * sin(out), y2 = y1 + side * lower * sin(out) * 0.7;
    joint e = {shoulder.forward + upper * sin(swing), shoulder.up - upper * cos(swing) * cos(out)};
    joint hand = {e.forward + lower * sin(swing + elbow),
                  e.up - lower * cos(swing + elbow) * cos(out)};
    sac_synth_vec at_elbow = at(f, e.forward, y1, e.up), at_hand = at(f, hand.forward, y2, hand.up);
    add(f, at(f, shoulder.forward, y0, shoulder.up), at_elbow, 0.03 * h * w, 0.025 * h * w,
        style->torso * 0.95f);
    add(f, at_elbow, at_hand, 0.024 * h * w, 0.018 * h, style->torso * 0.95f);
    add(f, at_hand, at_hand, 0.022 * h, 0.022 * h, style->skin);
    return at_hand;
}

static void add_head(figure *f, const sac_synth_style *style, double forward, double up) {
    double h = style->height_m;
    sac_synth_vec centre = at(f, forward + 0.008 * h, 0, up);
    add(f, at(f, forward - 0.01 * h, 0, up - 0.1 * h), centre, 0.032 * h, 0.032 * h,
        style->skin * 0.9f);
    add(f, at(f, forward + 0.012 * h, 0, up - 0.018 * h),
        at(f, forward + 0.01 * h, 0, up + 0.01 * h), 0.05 * h, 0.052 * h, style->skin);
    float hair = style->hat ? style->thing : style->hair;
    add(f, at(f, forward - 0.014 * h, 0, up + 0.012 * h),
        at(f, forward - 0.006 * h, 0, up + 0.022 * h), 0.056 * h, 0.052 * h, hair);
    if (style->hat)
        add(f, at(f, forward + 0.03 * h, 0, up + 0.035 * h),
            at(f, forward + 0.065 * h, 0, up + 0.03 * h), 0.02 * h, 0.012 * h, hair);
}

// Torso leaning forwards by `lean` radians over hips at `hip`; returns the shoulder joint.
static joint add_torso(figure *f, const sac_synth_style *style, joint hip, double lean) {
    double h = style->height_m, w = style->build, length = 0.29 * h;
    double sx = hip.forward + length * sin(lean), sz = hip.up + length * cos(lean);
    for (int side = -1; side <= 1; side += 2) {
        sac_synth_part *part = add(f, at(f, hip.forward, side * 0.035 * h * w, hip.up + 0.005 * h),
                                   at(f, sx, side * 0.062 * h * w, sz - 0.03 * h), 0.058 * h * w,
                                   0.063 * h * w, style->torso);
        part->stripe = style->stripe;
        part->period = style->period;
    }
    add(f, at(f, hip.forward, 0, hip.up - 0.005 * h), at(f, hip.forward, 0, hip.up - 0.005 * h),
        0.07 * h * w, 0.07 * h * w, style->coat ? style->torso : style->trousers);
    if (style->coat)
        add(f, at(f, hip.forward, 0, hip.up), at(f, hip.forward - 0.02 * h, 0, hip.up - 0.2 * h),
            0.078 * h * w, 0.09 * h * w, style->torso);
    if (style->backpack)
        add(f, at(f, sx - 0.11 * h, 0, sz - 0.05 * h),
            at(f, 0.5 * (sx + hip.forward) - 0.115 * h, 0, hip.up + 0.09 * h), 0.06 * h, 0.07 * h,
            style->thing);
    return (joint){sx, sz - 0.01 * h};
}

static void build_walker(figure *f, const sac_synth_style *style, const sac_synth_pose *pose,
                         bool running) {
    double h = style->height_m, v = (double)pose->speed_mps, phase = (double)pose->phase;
    double go = sac_synth_smooth(0.0, 0.5, fabs(v));
    gait g = {.stance = running ? 0.36 : 0.62};
    g.excursion = go * 0.5 * g.stance * sac_synth_stride_m(style, v);
    g.lift = go * h * (running ? 0.17 : 0.04);
    g.heel = go * h * (running ? 0.12 : 0.055);
    double bob = cos(4 * SAC_SYNTH_PI * phase);
    // Highest over the standing leg, lowest when both feet are down; runners sink the other way
    // round.
    double hip_up = h * (running ? 0.505 + 0.02 * bob : 0.529 - go * (0.015 + 0.013 * bob));
    double turn = go * 0.022 * h * cos(2 * SAC_SYNTH_PI * phase); // the pelvis turns with the leg
    double pitch[2];
    joint foot[2] = {foot_at(&g, phase, &pitch[0]), foot_at(&g, phase + 0.5, &pitch[1])};
    for (int i = 0; i < 2; i++) {
        foot[i].up += 0.038 * h;
        joint hip = {i == 0 ? turn : -turn, hip_up};
        add_leg(f, style, hip, foot[i], i == 0 ? 1 : -1, pitch[i]);
    }
    joint shoulder =
        add_torso(f, style, (joint){0, hip_up + 0.015 * h}, running ? 0.16 : 0.03 + 0.04 * go);
    double reach = go * (running ? 0.75 : 0.28 + 0.2 * sac_synth_clamp(v - 0.6, 0, 1));
    double swing = -cos(2 * SAC_SYNTH_PI * phase) * reach;
    sac_synth_vec hand = {0, 0, 0};
    for (int i = 0; i < 2; i++) {
        double angle = i == 0 ? swing : -swing;
        double elbow = running ? 1.5 : 0.18 + 0.5 * fmax(0, angle);
        hand = add_arm(f, style, shoulder, i == 0 ? 1 : -1, angle + (running ? -0.15 : 0), elbow,
                       0.07);
    }
    if (style->bag && !running)
        add(f, (sac_synth_vec){hand.x, hand.y, hand.z - 0.1},
            (sac_synth_vec){hand.x, hand.y, hand.z - 0.22}, 0.09, 0.12, style->thing);
    add_head(f, style, shoulder.forward + (running ? 0.03 : 0.01) * h, shoulder.up + 0.115 * h);
}

// Stands on a board with still legs, knees a little bent, arms out for balance.
static void build_skater(figure *f, const sac_synth_style *style, const sac_synth_pose *pose) {
    double h = style->height_m, deck = 0.11;
    double balance = sin(0.9 * (double)pose->phase), hip_up = deck + 0.475 * h + 0.01 * balance;
    for (int end = -1; end <= 1; end += 2) {
        sac_synth_vec wheel = at(f, end * 0.27, 0, 0.035);
        add(f, wheel, wheel, 0.04, 0.04, 0.1f);
    }
    add(f, at(f, -0.42, 0, deck - 0.03), at(f, 0.42, 0, deck - 0.03), 0.05, 0.05, style->thing);
    add_leg(f, style, (joint){0.03, hip_up}, (joint){0.2, deck + 0.038 * h}, 1, 0);
    add_leg(f, style, (joint){-0.03, hip_up}, (joint){-0.2, deck + 0.038 * h}, -1, 0);
    joint shoulder = add_torso(f, style, (joint){0, hip_up + 0.015 * h}, 0.14 + 0.03 * balance);
    add_arm(f, style, shoulder, 1, 0.25 + 0.08 * balance, 0.3, 0.5 + 0.12 * balance);
    add_arm(f, style, shoulder, -1, -0.2 + 0.08 * balance, 0.3, 0.45 - 0.12 * balance);
    add_head(f, style, shoulder.forward + 0.02 * h, shoulder.up + 0.115 * h);
}

static void build_cyclist(figure *f, const sac_synth_style *style, const sac_synth_pose *pose) {
    enum { SPOKES = 14 };
    const double radius = 0.34, back = -0.52, front = 0.53;
    double scale = style->height_m / 1.72;
    for (int w = 0; w < 2; w++) {
        double centre = w == 0 ? back : front;
        for (int i = 0; i < SPOKES; i++) {
            double a = 2 * SAC_SYNTH_PI * i / SPOKES, b = 2 * SAC_SYNTH_PI * (i + 1) / SPOKES;
            add(f, at(f, centre + radius * cos(a), 0, radius + radius * sin(a)),
                at(f, centre + radius * cos(b), 0, radius + radius * sin(b)), 0.034, 0.034, 0.09f);
        }
    }
    sac_synth_vec crank = at(f, -0.08, 0, 0.29), seat = at(f, -0.24, 0, 0.88);
    sac_synth_vec head_tube = at(f, 0.38, 0, 0.8);
    add(f, crank, seat, 0.022, 0.022, style->thing);
    add(f, crank, head_tube, 0.026, 0.026, style->thing);
    add(f, sac_synth_mix(crank, seat, 0.85), head_tube, 0.022, 0.022, style->thing);
    add(f, crank, at(f, back, 0, radius), 0.016, 0.016, style->thing);
    add(f, sac_synth_mix(crank, seat, 0.85), at(f, back, 0, radius), 0.016, 0.016, style->thing);
    add(f, at(f, 0.36, 0, 0.95), at(f, front, 0, radius), 0.022, 0.022, style->thing);
    add(f, at(f, 0.4, 0.24, 0.98), at(f, 0.4, -0.24, 0.98), 0.018, 0.018, 0.1f);
    add(f, at(f, -0.32, 0, 0.93), at(f, -0.14, 0, 0.92), 0.05, 0.03, 0.1f);
    // `phase` counts metres; the gearing turns the cranks once in 5.5 of them.
    double turn = 2 * SAC_SYNTH_PI * (double)pose->phase / 5.5;
    joint hip = {-0.2, 0.93 + 0.03 * scale};
    for (int i = 0; i < 2; i++) {
        double a = -turn + (i == 0 ? 0 : SAC_SYNTH_PI);
        joint pedal = {-0.08 + 0.17 * cos(a), 0.29 + 0.17 * sin(a) + 0.09};
        add_leg(f, style, hip, pedal, i == 0 ? 1 : -1, 0.1);
    }
    joint shoulder = add_torso(f, style, hip, 0.62);
    for (int side = -1; side <= 1; side += 2) {
        joint hand = {0.4, 1.0};
        double h = style->height_m;
        joint elbow = two_links(shoulder, &hand, 0.175 * h, 0.18 * h, -1);
        sac_synth_vec e = at(f, elbow.forward, side * 0.23, elbow.up);
        add(f, at(f, shoulder.forward, side * 0.108 * h, shoulder.up), e, 0.03 * h, 0.025 * h,
            style->torso * 0.95f);
        add(f, e, at(f, hand.forward, side * 0.22, hand.up), 0.024 * h, 0.02 * h, style->skin);
    }
    add_head(f, style, shoulder.forward + 0.09 * scale, shoulder.up + 0.17 * scale);
}

static void add_box(figure *f, double back, double front, double half, double low, double high,
                    float value) {
    sac_synth_vec p[8];
    for (int i = 0; i < 8; i++)
        p[i] = at(f, i & 1 ? front : back, i & 2 ? half : -half, i & 4 ? high : low);
    add_quad(f, p[4], p[5], p[7], p[6], value * 1.08f); // top
    add_quad(f, p[0], p[1], p[5], p[4], value * 0.85f); // right
    add_quad(f, p[3], p[2], p[6], p[7], value * 0.85f); // left
    add_quad(f, p[1], p[3], p[7], p[5], value * 0.7f);  // front
    add_quad(f, p[2], p[0], p[4], p[6], value * 0.7f);  // back
}

// A small service cart with a roof: drawn in a fixed order (far side, driver, body, near side,
// roof).
static void build_cart(figure *f, const sac_synth_style *style, const sac_synth_pose *pose,
                       const sac_synth_camera *camera) {
    double left_depth = sac_synth_project(camera, at(f, 0, 0.6, 0)).depth;
    double right_depth = sac_synth_project(camera, at(f, 0, -0.6, 0)).depth;
    double near = left_depth < right_depth ? 1 : -1;
    for (int pass = 0; pass < 2; pass++) {
        double side = pass == 0 ? -near : near;
        if (pass == 1) {
            joint hip = {-0.15, 0.72};
            for (int i = -1; i <= 1; i += 2) add_leg(f, style, hip, (joint){0.32, 0.42}, i, 0);
            joint shoulder = add_torso(f, style, hip, -0.05);
            add_arm(f, style, shoulder, 1, 0.9, 0.4, 0.05);
            add_arm(f, style, shoulder, -1, 0.9, 0.4, 0.05);
            add_head(f, style, shoulder.forward, shoulder.up + 0.2);
            add_box(f, -1.1, -0.3, 0.58, 0.28, 0.86, style->thing);
            add_box(f, -0.3, 0.5, 0.58, 0.26, 0.46, style->thing * 0.9f);
            add_box(f, 0.5, 1.1, 0.56, 0.28, 0.9, style->thing);
        }
        for (int end = -1; end <= 1; end += 2) {
            double x = end * 0.75, turn = (double)pose->phase / 0.24;
            add(f, at(f, x, side * 0.5, 0.24), at(f, x, side * 0.6, 0.24), 0.24, 0.24, 0.08f);
            add(f, at(f, x + 0.09 * cos(turn), side * 0.62, 0.24 - 0.09 * sin(turn)),
                at(f, x - 0.09 * cos(turn), side * 0.62, 0.24 + 0.09 * sin(turn)), 0.05, 0.05,
                0.4f);
        }
        add(f, at(f, -0.95, side * 0.54, 0.8), at(f, -0.85, side * 0.54, 1.78), 0.025, 0.025,
            0.15f);
        add(f, at(f, 0.75, side * 0.54, 0.85), at(f, 0.5, side * 0.54, 1.78), 0.025, 0.025, 0.15f);
    }
    add_box(f, -1.0, 0.65, 0.6, 1.76, 1.82, style->thing * 1.1f);
}

static void build_ball(figure *f, const sac_synth_style *style, const sac_synth_pose *pose) {
    double radius = 0.1 + 0.06 * (style->build - 0.8);
    sac_synth_vec centre = at(f, 0, 0, (double)pose->z + radius);
    add(f, centre, centre, radius, radius, style->torso);
}

typedef struct keyed_part {
    double depth;
    sac_synth_part part;
} keyed_part;

static int far_first(const void *a, const void *b) {
    double x = ((const keyed_part *)a)->depth, y = ((const keyed_part *)b)->depth;
    return x < y ? 1 : x > y ? -1 : 0;
}

static void sort_by_depth(figure *f, const sac_synth_camera *camera) {
    keyed_part keyed[SAC_SYNTH_MAX_PARTS];
    for (int i = 0; i < f->count; i++) {
        sac_synth_vec middle = sac_synth_mix(f->parts[i].a, f->parts[i].b, 0.5);
        // The index breaks ties, so that the order never depends on the sort's own choices.
        keyed[i] = (keyed_part){sac_synth_project(camera, middle).depth - 1e-9 * i, f->parts[i]};
    }
    qsort(keyed, (size_t)f->count, sizeof keyed[0], far_first);
    for (int i = 0; i < f->count; i++) f->parts[i] = keyed[i].part;
}

int sac_synth_body_build(sac_synth_part parts[SAC_SYNTH_MAX_PARTS], sac_synth_anomaly kind,
                         const sac_synth_style *style, const sac_synth_pose *pose,
                         const sac_synth_camera *camera) {
    figure f = {.parts = parts,
                .base = {(double)pose->x, (double)pose->y, 0},
                .fx = cos((double)pose->heading),
                .fy = sin((double)pose->heading)};
    switch (kind) {
    case SAC_SYNTH_THROWN:
        build_ball(&f, style, pose);
        return f.count;
    case SAC_SYNTH_CART:
        build_cart(&f, style, pose, camera);
        return f.count;
    case SAC_SYNTH_SKATER:
        build_skater(&f, style, pose);
        break;
    case SAC_SYNTH_CYCLIST:
        build_cyclist(&f, style, pose);
        break;
    case SAC_SYNTH_RUNNER:
        build_walker(&f, style, pose, true);
        break;
    case SAC_SYNTH_NONE:
    case SAC_SYNTH_WRONG_WAY:
    case SAC_SYNTH_LOITERER:
    default:
        build_walker(&f, style, pose, false);
        break;
    }
    sort_by_depth(&f, camera);
    return f.count;
}
