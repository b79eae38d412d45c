// Simulates walkers and anomalies on the walkway's own coordinates (s along, l across) and records
// poses. One random stream per clip; the order of draws is fixed, so equal settings give equal
// crowds.
#include "video/synth_crowd.h"

#include <string.h>

#include "core/check.h"
#include "core/memory.h"
#include "core/rng.h"

typedef enum behaviour {
    WALK,   // along the lane
    CROSS,  // across the walkway, on the side path
    FAST,   // along the lane, minding others little
    TURN,   // along the lane, but against it between t1 and t2
    SHIFT,  // along the lane, but on the other side between t1 and t2
    LINGER, // walks to a spot, hangs about there between t1 and t2
    FLY,    // thrown
} behaviour;

typedef struct agent {
    behaviour what;
    sac_synth_anomaly kind;
    sac_synth_style style;
    int64_t actor; // index of its record
    int group;     // members walk together; 0 none
    double s, l, z, vs, vl, vz;
    double as, al; // acceleration of this step
    double speed;  // preferred, m/s
    double lane;   // preferred l (CROSS: preferred s)
    int direction; // +1, -1 along s (CROSS: along l)
    double radius; // personal space, m
    double heading, phase, wobble;
    double pause_s, pause_for, pause_until; // pause_for > 0: a stop is still to come
    double t1, t2, dwell;                   // of anomalies, seconds
    double spot_s, spot_l, goal_s, goal_l, goal_until;
    bool abnormal;
} agent;

// An agent that appears at a set time.
typedef struct cue {
    double time;
    agent who;
    bool done;
} cue;

enum { MAX_THROWS = 3 };

typedef struct world {
    const sac_synth_stage *stage;
    sac_rng rng;
    agent *agents;
    int64_t count, capacity;
    cue *cues;
    int64_t cue_count, cue_capacity;
    int groups;
    double lane_rate, cross_rate, wave; // entries per second
} world;

static double range(world *w, double lo, double hi) {
    return lo + (hi - lo) * sac_rng_uniform(&w->rng);
}

static sac_status add_agent(world *w, const agent *who) {
    if (w->count == w->capacity) {
        int64_t capacity = w->capacity == 0 ? 32 : 2 * w->capacity;
        agent *agents = sac_recalloc(w->agents, w->capacity, capacity, sizeof *agents);
        if (agents == NULL) return SAC_ERROR_MEMORY;
        w->agents = agents;
        w->capacity = capacity;
    }
    w->agents[w->count] = *who;
    w->agents[w->count++].actor = -1;
    return SAC_OK;
}

static sac_status add_cue(world *w, double time, const agent *who) {
    if (w->cue_count == w->cue_capacity) {
        int64_t capacity = w->cue_capacity == 0 ? 8 : 2 * w->cue_capacity;
        cue *cues = sac_recalloc(w->cues, w->cue_capacity, capacity, sizeof *cues);
        if (cues == NULL) return SAC_ERROR_MEMORY;
        w->cues = cues;
        w->cue_capacity = capacity;
    }
    w->cues[w->cue_count++] = (cue){.time = time, .who = *who};
    return SAC_OK;
}

static void put_at(agent *who, double s, double l) {
    who->s = s;
    who->l = l;
    if (who->what == CROSS) {
        who->vl = who->direction * who->speed;
        who->heading = who->direction > 0 ? SAC_SYNTH_PI / 2 : -SAC_SYNTH_PI / 2;
    } else {
        who->vs = who->direction * who->speed;
        who->heading = who->direction > 0 ? 0 : SAC_SYNTH_PI;
    }
}

// Where traffic of this direction comes into sight at l.
static double entrance(const sac_synth_stage *stage, double l, int direction) {
    const sac_synth_reach *reach = sac_synth_stage_reach(stage, l);
    return direction > 0 ? reach->seen_lo : reach->seen_hi;
}

static agent person(world *w, behaviour what, sac_synth_anomaly kind) {
    agent who = {.what = what, .kind = kind, .radius = 0.3};
    sac_synth_style_random(&who.style, &w->rng);
    who.speed = sac_synth_clamp(1.2 + 0.16 * sac_rng_normal(&w->rng), 0.8, 1.5);
    who.phase = sac_rng_uniform(&w->rng);
    who.wobble = range(w, 0, 6.28);
    return who;
}

static bool is_free(const world *w, double s, double l) {
    for (int64_t i = 0; i < w->count; i++) {
        if (w->agents[i].what != FLY && hypot(w->agents[i].s - s, w->agents[i].l - l) < 0.7)
            return false;
    }
    return true;
}

// A new walker, or several abreast, at the start of a random side.
static sac_status enter_lane(world *w) {
    const sac_synth_stage *stage = w->stage;
    double dice = sac_rng_uniform(&w->rng), half = stage->way.half_width_m;
    int members = dice < 0.68 ? 1 : dice < 0.93 ? 2 : 3;
    int side = sac_rng_uniform(&w->rng) < 0.5 ? 1 : -1;
    double room = 0.35 * (members - 1), lane = side * range(w, 0.45 + room, half - 0.4 - room);
    double speed = 0;
    int group = members > 1 ? ++w->groups : 0;
    for (int i = 0; i < members; i++) {
        agent who = person(w, WALK, SAC_SYNTH_NONE);
        if (i == 0) speed = group != 0 ? who.speed * 0.95 : who.speed;
        who.speed = fmax(0.8, speed);
        who.group = group;
        who.direction = sac_synth_stage_direction(stage, lane);
        who.lane = lane + 0.7 * (i - 0.5 * (members - 1));
        if (group == 0 && sac_rng_uniform(&w->rng) < 0.08) {
            // Someone who will stop at the bench or the notice board walks near that edge.
            int zone = stage->pause_side[0] == side ? 0 : 1;
            who.pause_s = stage->pause_s[zone] + range(w, -0.7, 0.7);
            who.pause_for = range(w, 1.2, 3.0);
            who.lane = side * (half - range(w, 0.35, 0.7));
        }
        if (!sac_synth_stage_reach(stage, who.lane)->any) continue;
        double s = entrance(stage, who.lane, who.direction) + range(w, -0.2, 0.2);
        if (!is_free(w, s, who.lane)) continue;
        put_at(&who, s, who.lane);
        sac_status status = add_agent(w, &who);
        if (status < 0) return status;
    }
    return SAC_OK;
}

static sac_status enter_cross(world *w) {
    const sac_synth_stage *stage = w->stage;
    agent who = person(w, CROSS, SAC_SYNTH_NONE);
    who.direction = sac_rng_uniform(&w->rng) < 0.5 ? 1 : -1;
    who.lane = stage->cross_s + range(w, -0.8, 0.8);
    // Comes from where the side path leaves the picture.
    double l = -9.5 * who.direction;
    while (fabs(l) > 0.5 && !sac_synth_stage_sees(stage, who.lane, l, true))
        l += 0.25 * who.direction;
    l -= 0.25 * who.direction;
    if (!is_free(w, who.lane, l)) return SAC_OK;
    put_at(&who, who.lane, l);
    return add_agent(w, &who);
}

// Acceleration of agent i: towards its preferred velocity, and away from others ahead of it.
static void force(world *w, int64_t i, double ps, double pl) {
    agent *me = &w->agents[i];
    const double relax = me->kind == SAC_SYNTH_NONE ? 0.5 : 0.35;
    me->as = (ps - me->vs) / relax;
    me->al = (pl - me->vl) / relax;
    double yielding = me->what == FAST ? (me->kind == SAC_SYNTH_CART ? 0 : 0.15) : 1;
    if (yielding <= 0) return;
    double speed = hypot(me->vs, me->vl), es = 0, el = 0;
    if (speed > 0.05) {
        es = me->vs / speed;
        el = me->vl / speed;
    }
    for (int64_t k = 0; k < w->count; k++) {
        const agent *other = &w->agents[k];
        if (k == i || other->what == FLY) continue;
        double ds = me->s - other->s, dl = me->l - other->l;
        // Fast ones claim the space they are about to enter.
        double early = other->what == FAST ? 0.5 : 0.15;
        ds -= early * (other->vs - me->vs);
        dl -= early * (other->vl - me->vl);
        double reach = me->radius + other->radius, d = hypot(ds, dl);
        if (d > reach + 2.2 || d < 1e-6) continue;
        if (me->group != 0 && me->group == other->group) reach *= 0.75;
        double ahead = -(ds * es + dl * el) / d, weight = 0.25 + 0.375 * (1 + ahead);
        double push = 2.2 * exp((reach - d) / 0.3) * weight * yielding;
        if (push > 4) push = 4;
        me->as += push * ds / d;
        me->al += push * 1.3 * dl / d;
    }
}

static void choose_goal(world *w, agent *me, double time) {
    me->goal_until = time + range(w, 1.0, 2.5);
    me->goal_s = me->spot_s + range(w, -0.9, 0.9);
    me->goal_l = me->spot_l + range(w, -0.35, 0.35);
}

// The velocity the agent would like to have.
static void intend(world *w, agent *me, double time, double *ps, double *pl) {
    double speed = me->speed * (1 + 0.05 * sin(0.9 * time + me->wobble)), lane = me->lane;
    int direction = me->direction;
    *ps = *pl = 0;
    switch (me->what) {
    case CROSS:
        *ps = sac_synth_clamp(0.7 * (lane - me->s), -0.4, 0.4);
        *pl = direction * speed;
        return;
    case LINGER:
        if (time >= me->t1 && time < me->t2) {
            if (time >= me->goal_until) choose_goal(w, me, time);
            double ds = me->goal_s - me->s, dl = me->goal_l - me->l, d = hypot(ds, dl);
            if (d < 0.12) return;
            double pace = d > 1.2 ? 0.9 : 0.4;
            *ps = pace * ds / d;
            *pl = pace * dl / d;
            return;
        }
        break;
    case TURN:
        if (time >= me->t1 && time < me->t2) direction = -direction;
        break;
    case SHIFT:
        if (time >= me->t1 && time < me->t2) lane = me->spot_l;
        break;
    case WALK:
        if (me->pause_for > 0 && fabs(me->s - me->pause_s) < 0.3) {
            me->pause_until = time + me->pause_for;
            me->pause_for = 0;
        }
        if (time < me->pause_until) return;
        break;
    case FAST:
    case FLY:
    default:
        break;
    }
    *ps = direction * speed;
    *pl = sac_synth_clamp(0.8 * (lane - me->l), -0.6, 0.6);
}

static void turn_towards(agent *me, double heading, double dt) {
    double off = heading - me->heading;
    off -= 2 * SAC_SYNTH_PI * floor(off / (2 * SAC_SYNTH_PI) + 0.5);
    me->heading += off * (1 - exp(-dt / 0.2));
}

static void fly(agent *me, double dt) {
    const double gravity = 9.81, restitution = 0.6;
    me->s += me->vs * dt;
    me->l += me->vl * dt;
    me->z += me->vz * dt - 0.5 * gravity * dt * dt;
    me->vz -= gravity * dt;
    if (me->z < 0) {
        me->z = -me->z * restitution;
        me->vz = me->vz < -0.8 ? -me->vz * restitution : 0;
        if (me->vz <= 0) me->z = 0;
        me->vs *= 0.92;
        me->vl *= 0.92;
    }
    me->phase += hypot(me->vs, me->vl) * dt;
}

static void move(world *w, agent *me, double time, double dt) {
    if (me->what == FLY) {
        fly(me, dt);
        me->abnormal = true;
        return;
    }
    me->vs += me->as * dt;
    me->vl += me->al * dt;
    double cap = me->what == FAST ? 1.1 * me->speed : 1.25 * me->speed, v = hypot(me->vs, me->vl);
    if (v > cap) {
        me->vs *= cap / v;
        me->vl *= cap / v;
        v = cap;
    }
    // Nobody is pushed backwards: people stop instead.
    if ((me->what == WALK || me->what == FAST) && me->vs * me->direction < 0) me->vs = 0;
    if (me->what == CROSS && me->vl * me->direction < 0) me->vl = 0;
    me->s += me->vs * dt;
    me->l += me->vl * dt;
    if (me->what == WALK || me->what == FAST || me->what == TURN) {
        double lo = 0.3, hi = w->stage->way.half_width_m - 0.25, side = me->lane >= 0 ? 1 : -1;
        me->l = side * sac_synth_clamp(side * me->l, lo, hi);
    }
    if (v > 0.15) turn_towards(me, atan2(me->vl, me->vs), dt);
    double forward = me->vs * cos(me->heading) + me->vl * sin(me->heading);
    bool wheels =
        me->kind == SAC_SYNTH_CYCLIST || me->kind == SAC_SYNTH_SKATER || me->kind == SAC_SYNTH_CART;
    me->phase += wheels ? forward * dt : forward * dt / sac_synth_stride_m(&me->style, forward);
    if (!wheels) me->phase -= floor(me->phase);
    switch (me->kind) {
    case SAC_SYNTH_WRONG_WAY:
        me->abnormal = me->vs * sac_synth_stage_direction(w->stage, me->l) < -0.2;
        break;
    case SAC_SYNTH_LOITERER:
        me->abnormal = time >= me->t1 + me->dwell && time < me->t2;
        break;
    default:
        me->abnormal = me->kind != SAC_SYNTH_NONE;
        break;
    }
}

static bool has_left(const world *w, const agent *me) {
    const sac_synth_stage *stage = w->stage;
    if (me->what == CROSS)
        return me->l * me->direction > 0.5 && !sac_synth_stage_sees(stage, me->s, me->l, true);
    const sac_synth_reach *reach = sac_synth_stage_reach(stage, me->l);
    if (!reach->any) return true;
    // A cart is longer than a person is wide.
    double room = me->kind == SAC_SYNTH_CART ? 2.5 : 1.2;
    int direction = me->what == FLY ? (me->vs > 0 ? 1 : -1) : me->direction;
    if (direction > 0) return me->s > reach->seen_hi + room;
    return me->s < reach->seen_lo - room;
}

static sac_status advance(world *w, double time, double dt) {
    sac_status status;
    for (int64_t i = 0; i < w->cue_count; i++) {
        if (w->cues[i].done || w->cues[i].time > time) continue;
        w->cues[i].done = true;
        SAC_TRY(add_agent(w, &w->cues[i].who));
    }
    double busy = 1 + 0.5 * sin(0.25 * time + w->wave);
    if (sac_rng_uniform(&w->rng) < w->lane_rate * busy * dt) SAC_TRY(enter_lane(w));
    if (sac_rng_uniform(&w->rng) < w->cross_rate * dt) SAC_TRY(enter_cross(w));
    for (int64_t i = 0; i < w->count; i++) {
        if (w->agents[i].what == FLY) continue;
        double ps, pl;
        intend(w, &w->agents[i], time, &ps, &pl);
        force(w, i, ps, pl);
    }
    int64_t kept = 0;
    for (int64_t i = 0; i < w->count; i++) {
        move(w, &w->agents[i], time, dt);
        if (has_left(w, &w->agents[i])) continue;
        w->agents[kept++] = w->agents[i];
    }
    w->count = kept;
    return SAC_OK;
fail:
    return status;
}

static sac_status record(world *w, sac_synth_crowd *crowd, int64_t t) {
    const sac_synth_walkway *way = &w->stage->way;
    double yaw = atan2(way->sin_, way->cos_);
    for (int64_t i = 0; i < w->count; i++) {
        agent *me = &w->agents[i];
        if (me->actor < 0) {
            if (crowd->count == crowd->capacity) {
                int64_t capacity = crowd->capacity == 0 ? 32 : 2 * crowd->capacity;
                sac_synth_actor *actors =
                    sac_recalloc(crowd->actors, crowd->capacity, capacity, sizeof *actors);
                if (actors == NULL) return SAC_ERROR_MEMORY;
                crowd->actors = actors;
                crowd->capacity = capacity;
            }
            me->actor = crowd->count++;
            crowd->actors[me->actor] =
                (sac_synth_actor){.kind = me->kind, .style = me->style, .first = t};
        }
        sac_synth_actor *actor = &crowd->actors[me->actor];
        if (actor->count == actor->capacity) {
            int64_t capacity = actor->capacity == 0 ? 32 : 2 * actor->capacity;
            sac_synth_pose *poses =
                sac_recalloc(actor->poses, actor->capacity, capacity, sizeof *poses);
            if (poses == NULL) return SAC_ERROR_MEMORY;
            actor->poses = poses;
            actor->capacity = capacity;
        }
        sac_synth_vec at = sac_synth_walkway_to_world(way, me->s, me->l);
        actor->poses[actor->count++] = (sac_synth_pose){
            .x = (float)at.x,
            .y = (float)at.y,
            .z = (float)me->z,
            .heading = (float)(me->heading + yaw),
            .speed_mps = (float)(me->vs * cos(me->heading) + me->vl * sin(me->heading)),
            .phase = (float)me->phase,
            .abnormal = me->abnormal,
        };
    }
    return SAC_OK;
}

// Cues someone who is to stand at s1 on its lane at time t1, walking there from the entrance.
static sac_status cue_walk_to(world *w, agent *who, double s1, double t1) {
    double start = entrance(w->stage, who->lane, who->direction);
    double time = t1 - (s1 - start) * who->direction / who->speed;
    put_at(who, start, who->lane);
    return add_cue(w, time, who);
}

// A lane well inside its side, and its visible length.
static double pick_lane(world *w, double inner, double outer, double *length) {
    int side = sac_rng_uniform(&w->rng) < 0.5 ? 1 : -1;
    double lane = side * range(w, inner, w->stage->way.half_width_m - outer);
    const sac_synth_reach *reach = sac_synth_stage_reach(w->stage, lane);
    *length = reach->any ? reach->seen_hi - reach->seen_lo : 1;
    return lane;
}

static sac_status plan_passage(world *w, sac_synth_anomaly kind, double begin, double span) {
    double length;
    agent who = person(w, FAST, kind);
    bool cart = kind == SAC_SYNTH_CART;
    who.lane = pick_lane(w, cart ? 0.75 : 0.6, cart ? 1.0 : 0.6, &length);
    who.direction = sac_synth_stage_direction(w->stage, who.lane);
    switch (kind) {
    case SAC_SYNTH_CYCLIST:
        who.speed = range(w, 3.3, 4.2);
        who.radius = 0.55;
        break;
    case SAC_SYNTH_SKATER:
        who.speed = range(w, 2.3, 2.8);
        break;
    case SAC_SYNTH_RUNNER:
        who.speed = range(w, 2.9, 3.6);
        break;
    default:
        who.speed = range(w, 2.7, 3.3);
        who.radius = 0.9;
        break;
    }
    who.style.coat = who.style.bag = false;
    // Enters early enough to be gone again before the window ends, where that is possible.
    double passage = (length + 2) / who.speed;
    double latest = fmax(0.1, (span - passage - 0.4) / span);
    double enter = begin + span * range(w, fmin(0.08, latest), fmin(0.45, latest));
    put_at(&who, entrance(w->stage, who.lane, who.direction) - who.direction * (cart ? 1.6 : 0.5),
           who.lane);
    return add_cue(w, enter, &who);
}

static sac_status plan_wrong_way(world *w, double begin, double span) {
    double length;
    agent who = person(w, TURN, SAC_SYNTH_WRONG_WAY);
    who.t1 = begin + span * range(w, 0.2, 0.32);
    who.t2 = who.t1 + fmin(span * range(w, 0.42, 0.55), 8);
    if (sac_rng_uniform(&w->rng) < 0.4) {
        // Goes over into the oncoming lane, and back.
        who.what = SHIFT;
        who.lane = pick_lane(w, 0.6, w->stage->way.half_width_m - 1.0, &length);
        who.spot_l = who.lane > 0 ? -range(w, 0.8, 1.6) : range(w, 0.8, 1.6);
    } else {
        who.lane = pick_lane(w, 0.8, 0.7, &length);
    }
    who.direction = sac_synth_stage_direction(w->stage, who.lane);
    const sac_synth_reach *reach = sac_synth_stage_reach(w->stage, who.lane);
    // The stretch walked in the meantime lies around the middle of what is visible.
    double walked = who.speed * (who.t2 - who.t1), middle = 0.5 * (reach->seen_lo + reach->seen_hi);
    double slack = fmax(0, 0.5 * (length - walked) - 2);
    double s1 = middle + range(w, -0.7, 0.7) * slack +
                (who.what == TURN ? 0.5 : -0.5) * walked * who.direction;
    return cue_walk_to(w, &who, s1, who.t1);
}

static sac_status plan_loiterer(world *w, double begin, double span) {
    double length;
    agent who = person(w, LINGER, SAC_SYNTH_LOITERER);
    who.lane = pick_lane(w, 0.6, w->stage->way.half_width_m - 1.8, &length);
    who.direction = sac_synth_stage_direction(w->stage, who.lane);
    who.t1 = begin + span * range(w, 0.08, 0.15);
    who.t2 = begin + span * range(w, 0.82, 0.9);
    who.dwell = fmin(3, 0.22 * span);
    const sac_synth_reach *reach = sac_synth_stage_reach(w->stage, 0);
    double middle = 0.5 * (reach->seen_lo + reach->seen_hi);
    double half = fmax(0, 0.5 * (reach->seen_hi - reach->seen_lo) - 4);
    // Between the two streams, where nobody stops; out of the way of those who cross.
    who.spot_l = range(w, -0.25, 0.25);
    who.spot_s = middle + range(w, -1, 1) * half;
    if (fabs(who.spot_s - w->stage->cross_s) < 2)
        who.spot_s = w->stage->cross_s + (who.spot_s < w->stage->cross_s ? -2 : 2);
    return cue_walk_to(w, &who, who.spot_s, who.t1);
}

static sac_status plan_throws(world *w, double begin, double span) {
    int throws = span < 4 ? 1 : span < 8 ? 2 : MAX_THROWS;
    for (int i = 0; i < throws; i++) {
        double length;
        agent who = {.what = FLY, .kind = SAC_SYNTH_THROWN};
        sac_synth_style_random(&who.style, &w->rng);
        who.style.torso =
            (float)(sac_rng_uniform(&w->rng) < 0.5 ? range(w, 0.75, 0.95) : range(w, 0.06, 0.18));
        // From beside the picture, flat enough to bounce and roll out of it on the other side.
        double speed = range(w, 7.5, 10.5), rise = range(w, 0.3, 0.65), aim = range(w, -0.12, 0.12);
        double lane = pick_lane(w, 0.3, 0.5, &length);
        who.direction = sac_rng_uniform(&w->rng) < 0.5 ? 1 : -1;
        who.s = entrance(w->stage, lane, who.direction);
        who.l = lane;
        who.z = range(w, 1.2, 1.7);
        who.vs = who.direction * speed * cos(rise) * cos(aim);
        who.vl = -(lane > 0 ? 1 : -1) * fabs(speed * cos(rise) * sin(aim));
        who.vz = speed * sin(rise);
        double time = begin + span * (0.12 + 0.66 * (i + range(w, 0, 0.5)) / throws);
        sac_status status = add_cue(w, time, &who);
        if (status < 0) return status;
    }
    return SAC_OK;
}

static sac_status plan_anomaly(world *w, sac_synth_anomaly anomaly, double seconds) {
    int64_t windows = (int64_t)(seconds / 15);
    if (windows < 1) windows = 1;
    double span = seconds / (double)windows;
    sac_status status = SAC_OK;
    for (int64_t k = 0; k < windows && status >= 0; k++) {
        double begin = span * (double)k;
        switch (anomaly) {
        case SAC_SYNTH_CYCLIST:
        case SAC_SYNTH_SKATER:
        case SAC_SYNTH_RUNNER:
        case SAC_SYNTH_CART:
            status = plan_passage(w, anomaly, begin, span);
            break;
        case SAC_SYNTH_WRONG_WAY:
            status = plan_wrong_way(w, begin, span);
            break;
        case SAC_SYNTH_THROWN:
            status = plan_throws(w, begin, span);
            break;
        case SAC_SYNTH_LOITERER:
            status = plan_loiterer(w, begin, span);
            break;
        case SAC_SYNTH_NONE:
        case SAC_SYNTH_ANOMALY_COUNT:
        default:
            return SAC_OK;
        }
    }
    return status;
}

// Entry rates that bring the wanted mean number of people into view; returns how long the walkway
// takes to fill, seconds.
static double set_rates(world *w, int walkers) {
    const sac_synth_stage *stage = w->stage;
    double in_view = 0, longest = 0, half = stage->way.half_width_m;
    int lanes = 0;
    for (double l = -half + 0.25; l < half; l += 0.5, lanes++) {
        const sac_synth_reach *reach = sac_synth_stage_reach(stage, l);
        in_view += reach->in_view_m;
        if (reach->any) longest = fmax(longest, reach->seen_hi - reach->seen_lo);
    }
    in_view = fmax(in_view / fmax(lanes, 1), 0.5);
    const double mean_speed = 0.88, mean_group = 0.68 + 2 * 0.25 + 3 * 0.07, cross_seconds = 8;
    double crossing = walkers >= 6 ? fmin(1.5, 0.08 * walkers) : 0;
    // At most 0.4 people per square metre: beyond that nobody could walk.
    double along = fmin(walkers - crossing, 0.4 * 2 * half * in_view);
    w->lane_rate = along * mean_speed / in_view / mean_group;
    w->cross_rate = crossing / cross_seconds;
    w->wave = range(w, 0, 6.28);
    return sac_synth_clamp(longest / 0.8 + 5, 10, 60);
}

sac_status sac_synth_crowd_create(sac_synth_crowd **out, const sac_synth_stage *stage,
                                  const sac_synth_options *options, uint64_t clip,
                                  sac_synth_anomaly anomaly) {
    sac_status status = SAC_OK;
    world w = {.stage = stage};
    *out = NULL;
    sac_synth_crowd *crowd = sac_calloc(1, sizeof *crowd);
    SAC_TRY_ALLOC(crowd);
    sac_rng_seed(&w.rng, options->seed, clip + 1);
    double frame_s = 1 / options->frame_rate;
    int steps = (int)ceil(frame_s / 0.05);
    double dt = frame_s / steps, fill = set_rates(&w, options->walkers);
    SAC_TRY(plan_anomaly(&w, anomaly, frame_s * (double)options->frames_per_clip));
    // Cues that lie before the beginning of time enter with the head start they would have had.
    for (int64_t i = 0; i < w.cue_count; i++) {
        double late = -fill - w.cues[i].time;
        if (late <= 0) continue;
        w.cues[i].who.s += w.cues[i].who.vs * late;
        w.cues[i].time = -fill;
    }
    int64_t before = (int64_t)ceil(fill / dt);
    for (int64_t i = 0; i < before; i++) SAC_TRY(advance(&w, dt * (double)(i - before), dt));
    for (int64_t t = 0; t < options->frames_per_clip; t++) {
        SAC_TRY(record(&w, crowd, t));
        for (int i = 0; i < steps; i++) SAC_TRY(advance(&w, frame_s * (double)t + dt * i, dt));
    }
    sac_free(w.agents);
    sac_free(w.cues);
    *out = crowd;
    return SAC_OK;
fail:
    sac_free(w.agents);
    sac_free(w.cues);
    sac_synth_crowd_close(&crowd);
    return status;
}

void sac_synth_crowd_close(sac_synth_crowd **crowd) {
    if (crowd == NULL || *crowd == NULL) return;
    for (int64_t i = 0; i < (*crowd)->count; i++) sac_free((*crowd)->actors[i].poses);
    sac_free((*crowd)->actors);
    sac_free(*crowd);
    *crowd = NULL;
}

const sac_synth_pose *sac_synth_actor_pose(const sac_synth_actor *actor, int64_t t) {
    if (t < actor->first || t >= actor->first + actor->count) return NULL;
    return &actor->poses[t - actor->first];
}
