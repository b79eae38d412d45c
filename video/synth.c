// One clip of the synthetic scene: lays figures, shadows, leaves and light over the painted ground
// and passes the result through a plausible camera (lens blur, gain flicker, vignette, shot noise).
#include "video/synth.h"

#include <stdlib.h>
#include <string.h>

#include "core/check.h"
#include "core/memory.h"
#include "video/synth_body.h"
#include "video/synth_clip.h"
#include "video/synth_crowd.h"
#include "video/synth_stage.h"

// What is drawn at its depth: an actor (index >= 0) or a prop (-1 - index).
typedef struct drawn {
    double depth;
    int64_t index;
    float light; // that falls on it
} drawn;

struct sac_synth_scene {
    sac_synth_options options;
    uint64_t noise_seed;
    sac_synth_stage *own_stage; // NULL when the stage is borrowed
    const sac_synth_stage *stage;
    sac_synth_crowd *crowd;
    sac_synth_layer layer;
    float *frame, *cover, *shade; // [height][width]
    float *sunlight;              // [grid_rows][grid_cols], cloud shade at every GRID pixels
    int grid_rows, grid_cols;
    drawn *order; // room for every actor and prop
    // This clip's light: phases of the slow drift, and its clouds.
    double drift[3], cloud_amount, cloud_x, cloud_y, wind_x, wind_y;
};

enum { GRID = 8 };

static const float ambient_light = 0.56f, sun_light = 0.44f;

sac_synth_options sac_synth_default_options(void) {
    return (sac_synth_options){.width = 240,
                               .height = 160,
                               .train_clips = 6,
                               .test_clips = 7,
                               .frames_per_clip = 120,
                               .walkers = 14,
                               .frame_rate = 10,
                               .seed = 1};
}

const char *sac_synth_anomaly_name(sac_synth_anomaly kind) {
    switch (kind) {
    case SAC_SYNTH_NONE:
        return "none";
    case SAC_SYNTH_CYCLIST:
        return "cyclist";
    case SAC_SYNTH_SKATER:
        return "skater";
    case SAC_SYNTH_RUNNER:
        return "runner";
    case SAC_SYNTH_CART:
        return "cart";
    case SAC_SYNTH_WRONG_WAY:
        return "wrong-way walker";
    case SAC_SYNTH_THROWN:
        return "thrown object";
    case SAC_SYNTH_LOITERER:
        return "loiterer";
    case SAC_SYNTH_ANOMALY_COUNT:
    default:
        return "unknown";
    }
}

sac_status sac_synth_check_options(const sac_synth_options *o, sac_error *error) {
    if (o->width < SAC_SYNTH_MIN_SIZE || o->width > SAC_SYNTH_MAX_SIZE ||
        o->height < SAC_SYNTH_MIN_SIZE || o->height > SAC_SYNTH_MAX_SIZE)
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "frame size %dx%d: width and height must be %d to %d pixels", o->width,
                             o->height, SAC_SYNTH_MIN_SIZE, SAC_SYNTH_MAX_SIZE);
    if (o->frames_per_clip < 1 || o->frames_per_clip > SAC_SYNTH_MAX_FRAMES)
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1, "%lld frames per clip: must be 1 to %d",
                             (long long)o->frames_per_clip, SAC_SYNTH_MAX_FRAMES);
    if (o->train_clips < 0 || o->train_clips > SAC_SYNTH_MAX_CLIPS || o->test_clips < 0 ||
        o->test_clips > SAC_SYNTH_MAX_CLIPS || o->train_clips + o->test_clips < 1)
        return sac_error_set(
            error, SAC_ERROR_ARGUMENT, -1,
            "%lld training and %lld test clips: each must be 0 to %d, together at least 1",
            (long long)o->train_clips, (long long)o->test_clips, SAC_SYNTH_MAX_CLIPS);
    if (o->walkers < 0 || o->walkers > SAC_SYNTH_MAX_WALKERS)
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1, "%d walkers: must be 0 to %d",
                             o->walkers, SAC_SYNTH_MAX_WALKERS);
    if (!(o->frame_rate >= 1 && o->frame_rate <= 240))
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "frame rate %g: must be 1 to 240 frames per second", o->frame_rate);
    return SAC_OK;
}

sac_status sac_synth_scene_create_on(sac_synth_scene **out, const sac_synth_stage *stage,
                                     const sac_synth_options *options, uint64_t clip,
                                     sac_synth_anomaly anomaly) {
    sac_status status = SAC_OK;
    *out = NULL;
    if (anomaly < SAC_SYNTH_NONE || anomaly >= SAC_SYNTH_ANOMALY_COUNT) return SAC_ERROR_ARGUMENT;
    sac_synth_scene *scene = sac_calloc(1, sizeof *scene);
    SAC_TRY_ALLOC(scene);
    scene->options = *options;
    scene->stage = stage;
    scene->noise_seed = sac_synth_hash(sac_synth_hash(options->seed) + clip);
    scene->grid_cols = options->width / GRID + 2;
    scene->grid_rows = options->height / GRID + 2;
    SAC_TRY(sac_synth_layer_init(&scene->layer, options->width, options->height));
    int64_t pixels = (int64_t)options->width * options->height;
    scene->frame = sac_calloc(pixels, sizeof *scene->frame);
    scene->cover = sac_calloc(pixels, sizeof *scene->cover);
    scene->shade = sac_calloc(pixels, sizeof *scene->shade);
    scene->sunlight =
        sac_calloc((int64_t)scene->grid_rows * scene->grid_cols, sizeof *scene->sunlight);
    SAC_TRY_ALLOC(scene->frame);
    SAC_TRY_ALLOC(scene->cover);
    SAC_TRY_ALLOC(scene->shade);
    SAC_TRY_ALLOC(scene->sunlight);
    SAC_TRY(sac_synth_crowd_create(&scene->crowd, stage, options, clip, anomaly));
    scene->order = sac_calloc(scene->crowd->count + stage->prop_count, sizeof *scene->order);
    SAC_TRY_ALLOC(scene->order);
    // Light has its own stream, so that the crowd's draws do not move it.
    sac_rng rng;
    sac_rng_seed(&rng, options->seed ^ 0x5bd1e995u, clip + 1);
    for (int i = 0; i < 3; i++) scene->drift[i] = 2 * SAC_SYNTH_PI * sac_rng_uniform(&rng);
    scene->cloud_amount = 0.25 + 0.5 * sac_rng_uniform(&rng);
    scene->cloud_x = 200 * sac_rng_uniform(&rng);
    scene->cloud_y = 200 * sac_rng_uniform(&rng);
    double direction = 2 * SAC_SYNTH_PI * sac_rng_uniform(&rng);
    double speed = 0.8 + 1.6 * sac_rng_uniform(&rng);
    scene->wind_x = speed * cos(direction);
    scene->wind_y = speed * sin(direction);
    *out = scene;
    return SAC_OK;
fail:
    sac_synth_scene_close(&scene);
    return status;
}

sac_status sac_synth_scene_create(sac_synth_scene **scene, const sac_synth_options *options,
                                  uint64_t clip, sac_synth_anomaly anomaly) {
    if (scene == NULL || options == NULL) return SAC_ERROR_ARGUMENT;
    sac_status status;
    sac_synth_stage *stage = NULL;
    *scene = NULL;
    SAC_TRY(sac_synth_check_options(options, NULL));
    SAC_TRY(sac_synth_stage_create(&stage, options->width, options->height, options->seed));
    SAC_TRY(sac_synth_scene_create_on(scene, stage, options, clip, anomaly));
    (*scene)->own_stage = stage;
    return SAC_OK;
fail:
    sac_synth_stage_close(&stage);
    return status;
}

// Cloud shade on a coarse grid: large soft patches that the wind carries over the ground.
static void lay_clouds(sac_synth_scene *scene, double time) {
    const sac_synth_camera *camera = &scene->stage->camera;
    for (int r = 0; r < scene->grid_rows; r++) {
        for (int c = 0; c < scene->grid_cols; c++) {
            double v = fmin(r * GRID, camera->height), u = c * GRID;
            sac_synth_vec p = sac_synth_ground(camera, u, v);
            double x = (p.x - scene->wind_x * time + scene->cloud_x) / 14;
            double y = (p.y - scene->wind_y * time + scene->cloud_y) / 14;
            double thick = sac_synth_fractal(x, y, 3, scene->noise_seed);
            double sun = 1 - scene->cloud_amount * sac_synth_smooth(0.42, 0.68, thick);
            scene->sunlight[r * scene->grid_cols + c] = (float)sun;
        }
    }
}

static float sun_at(const sac_synth_scene *scene, int x, int y) {
    const float *grid = scene->sunlight + (y / GRID) * scene->grid_cols + x / GRID;
    float tx = (float)(x % GRID) / GRID, ty = (float)(y % GRID) / GRID;
    float top = grid[0] + (grid[1] - grid[0]) * tx;
    const float *below = grid + scene->grid_cols;
    return top + (below[0] + (below[1] - below[0]) * tx - top) * ty;
}

// Light that falls on something standing at a ground point: the mean over a few pixels around its
// foot.
static float light_on(const sac_synth_scene *scene, double x, double y) {
    const sac_synth_camera *camera = &scene->stage->camera;
    sac_synth_pixel p = sac_synth_project(camera, (sac_synth_vec){x, y, 0});
    float sum = 0;
    for (int k = 0; k < 9; k++) {
        double du = (k % 3 - 1) * 0.25 * p.scale, dv = ((int)(k / 3) - 1) * 0.12 * p.scale;
        int u = (int)sac_synth_clamp(p.u + du, 0, camera->width - 1);
        int v = (int)sac_synth_clamp(p.v + dv, 0, camera->height - 1);
        float shade = scene->shade[(int64_t)v * camera->width + u];
        sum += ambient_light + sun_light * sun_at(scene, u, v) * (1 - 0.8f * shade);
    }
    return sum / 9;
}

static int far_first(const void *a, const void *b) {
    const drawn *x = a, *y = b;
    if (x->depth != y->depth) return x->depth < y->depth ? 1 : -1;
    return x->index < y->index ? -1 : x->index > y->index;
}

static int64_t list_drawn(const sac_synth_scene *scene, int64_t t, drawn *order) {
    const sac_synth_stage *stage = scene->stage;
    int64_t count = 0;
    for (int64_t i = 0; i < scene->crowd->count; i++) {
        const sac_synth_pose *pose = sac_synth_actor_pose(&scene->crowd->actors[i], t);
        if (pose == NULL) continue;
        sac_synth_vec foot = {(double)pose->x, (double)pose->y, 0};
        order[count++] = (drawn){sac_synth_project(&stage->camera, foot).depth, i, 0};
    }
    for (int i = 0; i < stage->prop_count; i++)
        order[count++] = (drawn){stage->props[i].depth, -1 - (int64_t)i, 0};
    qsort(order, (size_t)count, sizeof *order, far_first);
    return count;
}

static int build(const sac_synth_scene *scene, int64_t actor, int64_t t,
                 sac_synth_part parts[SAC_SYNTH_MAX_PARTS]) {
    const sac_synth_actor *who = &scene->crowd->actors[actor];
    return sac_synth_body_build(parts, who->kind, &who->style, sac_synth_actor_pose(who, t),
                                &scene->stage->camera);
}

// Sensor: 3x3 lens blur, vignette, gain flicker, then shot and read noise, all from hashes of the
// frame.
static void expose(sac_synth_scene *scene, int64_t t, double time, uint8_t *gray) {
    int w = scene->options.width, h = scene->options.height;
    uint64_t seed = sac_synth_hash(scene->noise_seed ^ sac_synth_hash((uint64_t)t));
    double drift = 1 + 0.035 * sin(2 * SAC_SYNTH_PI * time / 67 + scene->drift[0]) +
                   0.02 * sin(2 * SAC_SYNTH_PI * time / 19 + scene->drift[1]);
    double flicker = 1 + 0.007 * (double)sac_synth_normal(sac_synth_hash(seed)) +
                     0.005 * sin(2 * SAC_SYNTH_PI * 1.7 * time + scene->drift[2]);
    float gain = (float)(drift * flicker * 285);
    const float side = 0.13f, middle = 1 - 2 * side;
    // Separable blur: rows into `shade` (free by now), columns on the way out.
    for (int y = 0; y < h; y++) {
        const float *src = scene->frame + (int64_t)y * w;
        float *dst = scene->shade + (int64_t)y * w;
        for (int x = 0; x < w; x++) {
            float left = src[x > 0 ? x - 1 : 0], right = src[x < w - 1 ? x + 1 : x];
            dst[x] = middle * src[x] + side * (left + right);
        }
    }
    for (int y = 0; y < h; y++) {
        const float *src = scene->shade + (int64_t)y * w;
        const float *above = y > 0 ? src - w : src, *below = y < h - 1 ? src + w : src;
        float fy = 2 * ((float)y + 0.5f) / (float)h - 1;
        for (int x = 0; x < w; x++) {
            float fx = 2 * ((float)x + 0.5f) / (float)w - 1;
            float value = middle * src[x] + side * (above[x] + below[x]);
            value *= gain * (1 - 0.07f * (fx * fx + fy * fy));
            int64_t i = (int64_t)y * w + x;
            // Fixed pattern of the sensor, and noise that grows with the light.
            float fixed = 0.5f * sac_synth_normal(sac_synth_hash(scene->stage->seed + (uint64_t)i));
            float noise = sac_synth_normal(sac_synth_hash(seed + (uint64_t)i));
            value += fixed + noise * sqrtf(1.2f + 0.02f * fmaxf(value, 0));
            value = value < 0 ? 0 : value > 255 ? 255 : value;
            gray[i] = (uint8_t)(value + 0.5f);
        }
    }
}

sac_status sac_synth_scene_render(sac_synth_scene *scene, int64_t t, uint8_t *gray, uint8_t *mask,
                                  uint8_t *abnormal) {
    if (scene == NULL || gray == NULL || t < 0 || t >= scene->options.frames_per_clip)
        return SAC_ERROR_ARGUMENT;
    const sac_synth_stage *stage = scene->stage;
    const sac_synth_camera *camera = &stage->camera;
    int w = scene->options.width, h = scene->options.height;
    int64_t pixels = (int64_t)w * h, count = list_drawn(scene, t, scene->order);
    // The wind blows through clips at different moments.
    double time = (double)t / scene->options.frame_rate, wind = time + 50 * scene->drift[0];
    sac_synth_part parts[SAC_SYNTH_MAX_PARTS];
    memcpy(scene->shade, stage->shade, (size_t)pixels * sizeof *scene->shade);
    memset(scene->cover, 0, (size_t)pixels * sizeof *scene->cover);
    lay_clouds(scene, time);
    for (int i = 0; i < stage->part_count; i++) {
        if (stage->parts[i].sway <= 0) continue;
        sac_synth_part part = sac_synth_stage_sway(&stage->parts[i], wind);
        sac_synth_shadow_draw(scene->shade, camera, &part, stage->sun);
    }
    // The light on figures is read before their own shadows are drawn.
    for (int64_t i = 0; i < count; i++) {
        int64_t k = scene->order[i].index;
        const sac_synth_pose *pose =
            k >= 0 ? sac_synth_actor_pose(&scene->crowd->actors[k], t) : NULL;
        scene->order[i].light =
            pose != NULL ? light_on(scene, (double)pose->x, (double)pose->y)
                         : light_on(scene, stage->props[-1 - k].x, stage->props[-1 - k].y);
    }
    for (int64_t i = 0; i < count; i++) {
        int64_t k = scene->order[i].index;
        if (k < 0) continue;
        int n = build(scene, k, t, parts);
        for (int p = 0; p < n; p++)
            sac_synth_shadow_draw(scene->shade, camera, &parts[p], stage->sun);
    }
    for (int y = 0; y < h; y++) {
        for (int x = 0; x < w; x++) {
            int64_t i = (int64_t)y * w + x;
            float sun = sun_at(scene, x, y) * (1 - 0.85f * scene->shade[i]);
            scene->frame[i] = stage->albedo[i] * (ambient_light + sun_light * sun);
        }
    }
    for (int64_t i = 0; i < count; i++) {
        int64_t k = scene->order[i].index;
        float mark = 0;
        if (k >= 0) {
            const sac_synth_pose *pose = sac_synth_actor_pose(&scene->crowd->actors[k], t);
            int n = build(scene, k, t, parts);
            mark = pose->abnormal ? 1 : 0;
            for (int p = 0; p < n; p++)
                sac_synth_layer_draw(&scene->layer, camera, &parts[p], stage->sun);
        } else {
            const sac_synth_prop *prop = &stage->props[-1 - k];
            if (prop->box[2] < 0 || prop->box[3] < 0 || prop->box[0] > w || prop->box[1] > h)
                continue;
            for (int p = prop->first; p < prop->first + prop->count; p++) {
                sac_synth_part part = sac_synth_stage_sway(&stage->parts[p], wind);
                sac_synth_layer_draw(&scene->layer, camera, &part, stage->sun);
            }
        }
        sac_synth_layer_composite(&scene->layer, scene->frame, scene->cover, scene->order[i].light,
                                  mark);
    }
    uint8_t any = 0;
    for (int64_t i = 0; i < pixels; i++) {
        uint8_t set = scene->cover[i] > 0.5f;
        any |= set;
        if (mask != NULL) mask[i] = set;
    }
    if (abnormal != NULL) *abnormal = any;
    expose(scene, t, time, gray);
    return SAC_OK;
}

// A thing with its parts built (props: as they stand without wind) and its box in pixels.
typedef struct shape {
    const sac_synth_part *parts;
    int count;
    bool actor;
    double box[4];
} shape;

static shape shape_of(const sac_synth_scene *scene, const drawn *thing, int64_t t,
                      sac_synth_part parts[SAC_SYNTH_MAX_PARTS]) {
    shape s = {.parts = parts, .actor = thing->index >= 0, .box = {1e9, 1e9, -1e9, -1e9}};
    if (s.actor) {
        s.count = build(scene, thing->index, t, parts);
    } else {
        const sac_synth_prop *prop = &scene->stage->props[-1 - thing->index];
        s.parts = scene->stage->parts + prop->first;
        s.count = prop->count;
    }
    for (int p = 0; p < s.count; p++) {
        double part[4];
        if (!sac_synth_part_bounds(&s.parts[p], &scene->stage->camera, part)) continue;
        s.box[0] = fmin(s.box[0], part[0]);
        s.box[1] = fmin(s.box[1], part[1]);
        s.box[2] = fmax(s.box[2], part[2]);
        s.box[3] = fmax(s.box[3], part[3]);
    }
    return s;
}

static bool covers(const shape *s, const sac_synth_camera *camera, double u, double v) {
    if (u < s->box[0] || v < s->box[1] || u > s->box[2] || v > s->box[3]) return false;
    for (int p = 0; p < s->count; p++)
        if (sac_synth_part_covers(&s->parts[p], camera, u, v)) return true;
    return false;
}

// Looks at the middle of every part and at points towards its sides: one that no nearer shape
// covers will do.
static bool is_visible(const shape *s, const shape *nearer, int64_t nearer_count,
                       const sac_synth_camera *camera) {
    static const double du[5] = {0, -0.6, 0.6, 0, 0}, dv[5] = {0, 0, 0, -0.6, 0.6};
    for (int i = 0; i < 5 * s->count; i++) {
        const sac_synth_part *part = &s->parts[i / 5];
        double box[4];
        if (!sac_synth_part_bounds(part, camera, box)) continue;
        double u = 0.5 * (box[0] + box[2] + du[i % 5] * (box[2] - box[0]));
        double v = 0.5 * (box[1] + box[3] + dv[i % 5] * (box[3] - box[1]));
        if (u < 0 || v < 0 || u >= camera->width || v >= camera->height) continue;
        if (!sac_synth_part_covers(part, camera, u, v)) continue;
        int64_t k = 0;
        while (k < nearer_count && !covers(&nearer[k], camera, u, v)) k++;
        if (k == nearer_count) return true;
    }
    return false;
}

int64_t sac_synth_scene_boxes(const sac_synth_scene *scene, int64_t t, float *boxes, int64_t max) {
    if (scene == NULL || t < 0 || t >= scene->options.frames_per_clip || max < 0 ||
        (boxes == NULL && max > 0))
        return 0;
    const sac_synth_camera *camera = &scene->stage->camera;
    int64_t found = 0, count = 0;
    drawn *order = sac_calloc(scene->crowd->count + scene->stage->prop_count, sizeof *order);
    if (order != NULL) count = list_drawn(scene, t, order);
    shape *shapes = sac_calloc(count, sizeof *shapes);
    sac_synth_part *parts = sac_calloc(count, SAC_SYNTH_MAX_PARTS * sizeof *parts);
    if (shapes == NULL || parts == NULL) count = 0;
    for (int64_t i = 0; i < count; i++)
        shapes[i] = shape_of(scene, &order[i], t, parts + i * SAC_SYNTH_MAX_PARTS);
    for (int64_t i = 0; i < count; i++) {
        if (!shapes[i].actor || !is_visible(&shapes[i], &shapes[i + 1], count - 1 - i, camera))
            continue;
        if (found < max) {
            float *dst = boxes + 4 * found;
            dst[0] = (float)fmax(shapes[i].box[0], 0);
            dst[1] = (float)fmax(shapes[i].box[1], 0);
            dst[2] = (float)fmin(shapes[i].box[2], camera->width);
            dst[3] = (float)fmin(shapes[i].box[3], camera->height);
        }
        found++;
    }
    sac_free(parts);
    sac_free(shapes);
    sac_free(order);
    return found;
}

void sac_synth_scene_close(sac_synth_scene **scene) {
    if (scene == NULL || *scene == NULL) return;
    sac_synth_scene *s = *scene;
    sac_synth_layer_free(&s->layer);
    sac_free(s->frame);
    sac_free(s->cover);
    sac_free(s->shade);
    sac_free(s->sunlight);
    sac_free(s->order);
    sac_synth_crowd_close(&s->crowd);
    sac_synth_stage_close(&s->own_stage);
    sac_free(s);
    *scene = NULL;
}
