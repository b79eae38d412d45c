// Attributes of objects. Optical flow is computed once per frame and kept for as long as
// neighbouring frames need it; everything else is read from boxes and crops.
#include "teachers/attributes.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#ifdef _OPENMP
#    include <omp.h>
#endif

#include "core/check.h"
#include "core/memory.h"
#include "video/flow.h"
#include "video/scale.h"

enum { DIRECTIONS = 8, MOTION = 3 + DIRECTIONS, CELLS = 4, CELL = 8, GRADIENTS = 8 };
enum { HOG_SIDE = CELLS * CELL, REST_WIDTH = 12, REST_HEIGHT = 16, RESTS = 3 };
static const int64_t REST_FRAMES[RESTS] = {8, 16, 32};
static const double TAU = 6.283185307179586;
// Share of a person's height that 95 of 100 objects may move within one step.
static const double LONGEST_MOVE = 0.2;
// Positions in units of a quarter of the width weigh as much as the median speed.
static const double PLACE_UNITS = 4;
// Per person's height.
static const double GROUND_UNITS = 2;
// More pixels of a large box say nothing new.
enum { MOST_PIXELS = 4096 };
// Flows are computed for this many frames at a time, as long as they take less memory than that.
enum { MOST_CHUNK = 32 };
static const int64_t FLOW_BYTES = 64 << 20;
// Frames whose flow is looked at to choose the step.
enum { PROBE_FRAMES = 48 };

static const struct {
    const char *name;
    int dims;
} ATTRIBUTES[SAC_ATTRIBUTES] = {
    {"velocity", 3}, {"orientation", 8}, {"place", 4},
    {"size", 2},     {"rest", 5},        {"appearance", 128},
    {"course", 4},   {"stay", 5},
};

const char *sac_attribute_name(int attribute) {
    return attribute >= 0 && attribute < SAC_ATTRIBUTES ? ATTRIBUTES[attribute].name : NULL;
}

int sac_attribute_dims(int attribute) {
    return ATTRIBUTES[attribute].dims;
}

int sac_attribute_offset(int attribute) {
    int offset = 0;
    for (int k = 0; k < attribute; k++) offset += ATTRIBUTES[k].dims;
    return offset;
}

double sac_attribute_person_height(const sac_attribute_scene *scene, double y) {
    double width, height = scene->usual_height;
    if (scene->person.count > 0) sac_person_size_at(&scene->person, y, &width, &height);
    return fmax(height, 4);
}

// ---- flow of a run of frames
// -------------------------------------------------------------------------------

typedef struct flows {
    sac_flow **workers; // one per thread
    int worker_count, slots, step;
    int64_t pixels;   // of a picture
    float *fields;    // [slots][2][height][width]: frame t is in slot t % slots
    int64_t computed; // frames before this one are done
} flows;

static void flows_close(flows *f) {
    for (int i = 0; f->workers != NULL && i < f->worker_count; i++) sac_flow_close(&f->workers[i]);
    sac_free(f->workers);
    sac_free(f->fields);
    *f = (flows){0};
}

static sac_status flows_open(flows *f, const sac_attribute_scene *scene, int step, int slots,
                             sac_error *error) {
    sac_status status = SAC_OK;
    int64_t size = 0;
    *f = (flows){.step = step, .slots = slots, .worker_count = 1};
#ifdef _OPENMP
    f->worker_count = omp_get_max_threads();
#endif
    f->pixels = (int64_t)scene->width * scene->height;
    if (!sac_mul(f->pixels, 2 * (int64_t)slots, &size)) return SAC_ERROR_MEMORY;
    SAC_TRY_ALLOC(f->workers = sac_calloc(f->worker_count, sizeof(sac_flow *)));
    SAC_TRY_ALLOC(f->fields = sac_calloc(size, sizeof *f->fields));
    sac_flow_options options = sac_flow_default_options();
    options.finest_level = scene->flow_level;
    for (int i = 0; i < f->worker_count; i++) {
        SAC_TRY(sac_flow_create(&f->workers[i], scene->width, scene->height, &options, error));
    }
fail:
    if (status < 0) flows_close(f);
    return status;
}

// Flow from frame t, px per frame, into its slot.
static sac_status flow_of(const flows *f, int worker, int64_t t, int64_t frames,
                          const uint8_t *pixels) {
    float *dst = f->fields + t % f->slots * 2 * f->pixels;
    int64_t to = t + f->step < frames ? t + f->step : t - f->step;
    if (to < 0) to = t == 0 ? frames - 1 : 0; // a clip shorter than the step
    if (to == t) {
        memset(dst, 0, (size_t)(2 * f->pixels) * sizeof *dst);
        return SAC_OK;
    }
    sac_status status =
        sac_flow_run(f->workers[worker], dst, pixels + t * f->pixels, pixels + to * f->pixels);
    const float scale = 1.0f / (float)(to - t);
    for (int64_t i = 0; i < 2 * f->pixels; i++) dst[i] *= scale;
    return status;
}

// Makes the flows of frames [first, last) of those that `wanted` marks.
static sac_status flows_run(flows *f, int64_t first, int64_t last, int64_t frames,
                            const bool *wanted, const uint8_t *pixels) {
    sac_status status = SAC_OK;
#ifdef _OPENMP
#    pragma omp parallel for schedule(dynamic, 1) num_threads(f->worker_count)
#endif
    for (int64_t t = first; t < last; t++) {
        if (!wanted[t]) continue;
        int worker = 0;
#ifdef _OPENMP
        worker = omp_get_thread_num();
#endif
        sac_status own = flow_of(f, worker, t, frames, pixels);
        if (own < 0) {
#ifdef _OPENMP
#    pragma omp critical
#endif
            status = own;
        }
    }
    f->computed = last;
    return status;
}

// ---- motion of one object
// ----------------------------------------------------------------------------------

// The k-th smallest of values [n], which get reordered (Hoare's selection).
static float select_kth(float *values, int64_t n, int64_t k) {
    int64_t low = 0, high = n - 1;
    while (low < high) {
        float pivot = values[low + (high - low) / 2];
        int64_t i = low, j = high;
        while (i <= j) {
            while (values[i] < pivot) i++;
            while (values[j] > pivot) j--;
            if (i <= j) {
                float kept = values[i];
                values[i++] = values[j];
                values[j--] = kept;
            }
        }
        if (k <= j) {
            high = j;
        } else if (k >= i) {
            low = i;
        } else {
            break;
        }
    }
    return values[k];
}

typedef struct pixel_range {
    int x1, y1, x2, y2; // not empty, inside the picture
} pixel_range;

static int bounded(double v, int low, int high) {
    if (!(v > low)) return low;
    return v < high ? (int)v : high;
}

static pixel_range box_pixels(const sac_box *b, int width, int height) {
    pixel_range r;
    r.x1 = bounded(floor((double)b->x1), 0, width - 1);
    r.y1 = bounded(floor((double)b->y1), 0, height - 1);
    r.x2 = bounded(ceil((double)b->x2), r.x1 + 1, width);
    r.y2 = bounded(ceil((double)b->y2), r.y1 + 1, height);
    return r;
}

// motion [MOTION]: mean u, v, magnitude, then magnitude by direction, of the faster half of a box's
// pixels.
static void box_motion(float motion[MOTION], const float *field, int width, int height,
                       const sac_box *box) {
    float u[MOST_PIXELS + 1], v[MOST_PIXELS + 1], speed[MOST_PIXELS + 1], sorted[MOST_PIXELS + 1];
    const pixel_range r = box_pixels(box, width, height);
    const int64_t plane = (int64_t)width * height;
    int stride = 1, n = 0;
    while ((int64_t)((r.x2 - r.x1 + stride - 1) / stride) * ((r.y2 - r.y1 + stride - 1) / stride) >
           MOST_PIXELS)
        stride++;
    for (int y = r.y1; y < r.y2; y += stride) {
        const float *row = field + (int64_t)y * width;
        for (int x = r.x1; x < r.x2; x += stride) {
            u[n] = row[x];
            v[n] = row[plane + x];
            speed[n] = sqrtf(u[n] * u[n] + v[n] * v[n]);
            n++;
        }
    }
    memcpy(sorted, speed, (size_t)n * sizeof *sorted);
    const float middle = select_kth(sorted, n, n / 2);
    double sums[MOTION] = {0};
    int64_t used = 0;
    for (int i = 0; i < n; i++) {
        if (speed[i] < middle) continue;
        sums[0] += (double)u[i];
        sums[1] += (double)v[i];
        sums[2] += (double)speed[i];
        double turn = atan2((double)v[i], (double)u[i]) / TAU * DIRECTIONS + DIRECTIONS;
        int low = (int)turn;
        double share = turn - low;
        sums[3 + low % DIRECTIONS] += (double)speed[i] * (1 - share);
        sums[3 + (low + 1) % DIRECTIONS] += (double)speed[i] * share;
        used++;
    }
    for (int k = 0; k < MOTION; k++) motion[k] = (float)(sums[k] / (double)used);
}

static float median3(float a, float b, float c) {
    return fmaxf(fminf(a, b), fminf(fmaxf(a, b), c));
}

static void object_motion(float motion[MOTION], const flows *f, const sac_attribute_scene *scene,
                          const sac_box *box, int64_t t, int64_t frames) {
    float at[3][MOTION];
    for (int i = 0; i < 3; i++) {
        int64_t time = t - 1 + i;
        time = time < 0 ? 0 : time >= frames ? frames - 1 : time;
        box_motion(at[i], f->fields + time % f->slots * 2 * f->pixels, scene->width, scene->height,
                   box);
    }
    const float scale = (float)(1 / sac_attribute_person_height(scene, (double)box->y2));
    for (int k = 0; k < MOTION; k++) motion[k] = scale * median3(at[0][k], at[1][k], at[2][k]);
}

// ---- the other attributes
// ----------------------------------------------------------------------------------

// A box cut off by a border says only that the object is at least this large.
static void object_size(float *out, const sac_attribute_scene *scene, const sac_box *b) {
    const double person = sac_attribute_person_height(scene, (double)b->y2);
    const double high = log(fmax((double)(b->y2 - b->y1), 1) / person);
    const double aspect = scene->person.count > 0 ? fmax(scene->person.aspect, 0.05) : 0.4;
    const double wide = log(fmax((double)(b->x2 - b->x1), 1) / (aspect * person));
    const bool cut_y = b->y1 <= 1 || b->y2 >= (float)scene->height - 1;
    const bool cut_x = b->x1 <= 1 || b->x2 >= (float)scene->width - 1;
    out[0] = (float)(cut_y ? fmax(high, 0) : high);
    out[1] = (float)(cut_x ? fmax(wide, 0) : wide);
}

static void object_feet(float *out, const sac_attribute_scene *scene, const sac_box *b) {
    out[0] = (float)(PLACE_UNITS * 0.5 * (double)(b->x1 + b->x2) / scene->width);
    out[1] = (float)(PLACE_UNITS * (double)b->y2 / scene->width);
}

// Where the feet are, in halves of a person's height. The integral is a sum over rows.
static void object_ground(float *out, const sac_attribute_scene *scene, const sac_box *b) {
    const double feet = fmin(fmax((double)b->y2, 0), scene->height);
    double y = 0;
    for (double row = 0; row < feet; row++)
        y += fmin(feet - row, 1) / sac_attribute_person_height(scene, row + 0.5);
    const double x = (0.5 * (double)(b->x1 + b->x2) - 0.5 * scene->width) /
                     sac_attribute_person_height(scene, feet);
    out[0] = (float)fmin(fmax(GROUND_UNITS * x, -1000), 1000);
    out[1] = (float)fmin(GROUND_UNITS * y, 1000);
}

static void object_course(float *out, const float motion[MOTION], const sac_attribute_scene *scene,
                          const sac_box *b) {
    const double u = (double)motion[0], v = (double)motion[1];
    const double speed = fmax(sqrt(u * u + v * v), 0.5 * scene->speed);
    out[0] = (float)(u / speed);
    out[1] = (float)(v / speed);
    object_ground(out + 2, scene, b);
}

static void crop(float *dst, int w, int h, const uint8_t *picture, const sac_attribute_scene *scene,
                 const sac_box *b) {
    sac_crop_gray(dst, w, h, picture, scene->width, scene->height, (double)b->x1, (double)b->y1,
                  (double)b->x2, (double)b->y2);
}

static void object_rest(float *out, const sac_attribute_scene *scene, const sac_box *b, int64_t t,
                        int64_t frames, const uint8_t *pixels) {
    enum { AREA = REST_WIDTH * REST_HEIGHT };
    float now[AREA], then[AREA];
    const int64_t picture = (int64_t)scene->width * scene->height;
    double mean = 0, contrast = 0;
    crop(now, REST_WIDTH, REST_HEIGHT, pixels + t * picture, scene, b);
    for (int i = 0; i < AREA; i++) mean += (double)now[i] / AREA;
    for (int i = 0; i < AREA; i++) contrast += fabs((double)now[i] - mean) / AREA;
    for (int k = 0; k < RESTS; k++) {
        int64_t at = t - REST_FRAMES[k] >= 0 ? t - REST_FRAMES[k] : t + REST_FRAMES[k];
        if (at >= frames) at = t > frames - 1 - t ? 0 : frames - 1;
        double change = 0;
        crop(then, REST_WIDTH, REST_HEIGHT, pixels + at * picture, scene, b);
        for (int i = 0; i < AREA; i++) change += fabs((double)now[i] - (double)then[i]) / AREA;
        out[k] = (float)fmin(change / (contrast + 0.05), 2);
    }
}

static void normalise(float *values, int n) {
    double sum = 0;
    for (int i = 0; i < n; i++) sum += (double)values[i] * (double)values[i];
    const float scale = (float)(1 / sqrt(sum + 1e-8));
    for (int i = 0; i < n; i++) values[i] *= scale;
}

static void object_appearance(float *out, const sac_attribute_scene *scene, const sac_box *b,
                              const uint8_t *picture) {
    enum { N = CELLS * CELLS * GRADIENTS };
    float image[HOG_SIDE * HOG_SIDE];
    crop(image, HOG_SIDE, HOG_SIDE, picture, scene, b);
    memset(out, 0, N * sizeof *out);
    for (int y = 0; y < HOG_SIDE; y++) {
        const int up = y > 0 ? y - 1 : y, down = y + 1 < HOG_SIDE ? y + 1 : y;
        for (int x = 0; x < HOG_SIDE; x++) {
            const int left = x > 0 ? x - 1 : x, right = x + 1 < HOG_SIDE ? x + 1 : x;
            const float dx = image[y * HOG_SIDE + right] - image[y * HOG_SIDE + left];
            const float dy = image[down * HOG_SIDE + x] - image[up * HOG_SIDE + x];
            const float strength = sqrtf(dx * dx + dy * dy);
            // Directions of an edge, not of its sides: half a turn.
            float turn = atan2f(dy, dx) / (float)TAU * 2 * GRADIENTS + 2 * GRADIENTS;
            const int low = (int)turn;
            const float share = turn - (float)low;
            float *cell = out + (y / CELL * CELLS + x / CELL) * GRADIENTS;
            cell[low % GRADIENTS] += strength * (1 - share);
            cell[(low + 1) % GRADIENTS] += strength * share;
        }
    }
    normalise(out, N);
    for (int i = 0; i < N; i++) out[i] = fminf(out[i], 0.4f);
    normalise(out, N);
}

static void measure_one(float *row, unsigned groups, const flows *f,
                        const sac_attribute_scene *scene, const sac_box *b, int64_t t,
                        int64_t frames, const uint8_t *pixels) {
    float motion[MOTION];
    object_motion(motion, f, scene, b, t, frames);
    memcpy(row, motion, sizeof motion); // VELOCITY and ORIENTATION
    float *place = row + sac_attribute_offset(SAC_ATTRIBUTE_PLACE);
    place[0] = (float)((double)motion[0] / scene->speed);
    place[1] = (float)((double)motion[1] / scene->speed);
    object_feet(place + 2, scene, b);
    object_size(row + sac_attribute_offset(SAC_ATTRIBUTE_SIZE), scene, b);
    object_course(row + sac_attribute_offset(SAC_ATTRIBUTE_COURSE), motion, scene, b);
    if (groups & (1u << SAC_ATTRIBUTE_REST | 1u << SAC_ATTRIBUTE_STAY)) {
        float *rest = row + sac_attribute_offset(SAC_ATTRIBUTE_REST);
        float *stay = row + sac_attribute_offset(SAC_ATTRIBUTE_STAY);
        object_rest(rest, scene, b, t, frames, pixels);
        memcpy(stay, rest, RESTS * sizeof *stay);
        object_feet(rest + RESTS, scene, b);
        object_ground(stay + RESTS, scene, b);
    }
    if (groups & 1u << SAC_ATTRIBUTE_APPEARANCE)
        object_appearance(row + sac_attribute_offset(SAC_ATTRIBUTE_APPEARANCE), scene, b,
                          pixels + t * scene->width * scene->height);
}

// ---- a clip
// ------------------------------------------------------------------------------------------------

sac_status sac_attributes_measure(float *features, unsigned groups,
                                  const sac_attribute_scene *scene, const sac_detections *d,
                                  const uint8_t *pixels, int width, int height, bool (*stop)(void),
                                  void (*progress)(void *user, int64_t objects_done), void *user,
                                  sac_error *error) {
    sac_status status = SAC_OK;
    flows f = {0};
    bool *wanted = NULL;
    int64_t *times = NULL;
    const int64_t frames = d->frames;
    if (width != scene->width || height != scene->height) {
        return sac_error_set(error, SAC_ERROR_SHAPE, -1,
                             "the teacher knows pictures of %dx%d, not of %dx%d", scene->width,
                             scene->height, width, height);
    }
    if (d->count == 0) return SAC_OK;
    int64_t chunk = FLOW_BYTES / (2 * (int64_t)sizeof(float) * width * height);
    chunk = chunk > MOST_CHUNK ? MOST_CHUNK : chunk < 2 ? 2 : chunk;
    SAC_TRY_ALLOC(wanted = sac_calloc(frames, sizeof *wanted));
    SAC_TRY_ALLOC(times = sac_calloc(d->count, sizeof *times));
    for (int64_t t = 0; t < frames; t++) {
        if (d->start[t + 1] == d->start[t]) continue;
        wanted[t] = true;
        if (t > 0) wanted[t - 1] = true;
        if (t + 1 < frames) wanted[t + 1] = true;
        for (int64_t i = d->start[t]; i < d->start[t + 1]; i++) times[i] = t;
    }
    SAC_TRY(flows_open(&f, scene, scene->step, (int)chunk + 2, error));
    for (int64_t first = 0; first < frames; first += chunk) {
        if (stop != NULL && stop()) {
            status = sac_error_set(error, SAC_ERROR_INTERRUPTED, -1, "scoring was interrupted");
            goto fail;
        }
        // Frame `last` is read by the last one of this chunk.
        const int64_t last = first + chunk < frames ? first + chunk : frames;
        SAC_TRY(
            flows_run(&f, f.computed, last < frames ? last + 1 : frames, frames, wanted, pixels));
#ifdef _OPENMP
#    pragma omp parallel for schedule(dynamic, 8)
#endif
        for (int64_t i = d->start[first]; i < d->start[last]; i++) {
            measure_one(features + i * SAC_ATTRIBUTE_VALUES, groups, &f, scene, &d->boxes[i],
                        times[i], frames, pixels);
        }
        if (progress != NULL) progress(user, d->start[last]);
    }
fail:
    flows_close(&f);
    sac_free(wanted);
    sac_free(times);
    return status < 0 ? sac_error_set(error, status, -1, "no memory for the attributes") : SAC_OK;
}

// ---- the scene
// ---------------------------------------------------------------------------------------------

static int compare_double(const void *pa, const void *pb) {
    double a = *(const double *)pa, b = *(const double *)pb;
    return a < b ? -1 : a > b;
}

static sac_status learn_sizes(sac_attribute_scene *scene, const sac_attribute_clip *clips,
                              int64_t count) {
    sac_status status = SAC_OK;
    sac_size_samples samples = {0};
    double *heights = NULL;
    int64_t objects = 0;
    for (int64_t c = 0; c < count; c++) objects += clips[c].detections->count;
    SAC_TRY_ALLOC(samples.items = sac_calloc(objects, sizeof *samples.items));
    SAC_TRY_ALLOC(heights = sac_calloc(objects, sizeof *heights));
    samples.capacity = objects;
    int64_t n = 0;
    for (int64_t c = 0; c < count; c++) {
        for (int64_t i = 0; i < clips[c].detections->count; i++) {
            const sac_box *b = &clips[c].detections->boxes[i];
            const double h = (double)(b->y2 - b->y1), w = (double)(b->x2 - b->x1);
            heights[n++] = h;
            if (b->x1 <= 1 || b->y1 <= 1 || b->x2 >= (float)scene->width - 1 ||
                b->y2 >= (float)scene->height - 1)
                continue;
            samples.items[samples.count++] =
                (sac_size_sample){.y = (double)b->y2, .height = h, .aspect = w / h};
        }
    }
    SAC_TRY(sac_person_size_fit(&scene->person, &samples));
    qsort(heights, (size_t)n, sizeof *heights, compare_double);
    scene->usual_height = heights[n / 2];
fail:
    sac_size_samples_close(&samples);
    sac_free(heights);
    return status;
}

// Speeds of the objects in some frames, person heights per frame, by flow over one frame.
static sac_status probe_speeds(double *speeds, int64_t *n, int64_t limit,
                               const sac_attribute_scene *scene, const sac_attribute_clip *clips,
                               int64_t count, bool (*stop)(void), sac_error *error) {
    sac_status status = SAC_OK;
    flows f = {0};
    int64_t frames = 0, done = 0;
    *n = 0;
    for (int64_t c = 0; c < count; c++) frames += clips[c].detections->frames;
    const int64_t every = frames / PROBE_FRAMES + 1;
    SAC_TRY(flows_open(&f, scene, 1, 1, error));
    for (int64_t c = 0; c < count; c++) {
        const sac_detections *d = clips[c].detections;
        for (int64_t t = 0; t < d->frames; t++, done++) {
            if (done % every != 0 || d->start[t] == d->start[t + 1]) continue;
            if (stop != NULL && stop()) {
                status =
                    sac_error_set(error, SAC_ERROR_INTERRUPTED, -1, "training was interrupted");
                goto fail;
            }
            SAC_TRY(flow_of(&f, 0, t, d->frames, clips[c].pixels));
            for (int64_t i = d->start[t]; i < d->start[t + 1] && *n < limit; i++) {
                float motion[MOTION];
                box_motion(motion, f.fields, scene->width, scene->height, &d->boxes[i]);
                speeds[(*n)++] =
                    (double)motion[2] / sac_attribute_person_height(scene, (double)d->boxes[i].y2);
            }
        }
    }
fail:
    flows_close(&f);
    return status;
}

sac_status sac_attribute_scene_learn(sac_attribute_scene *scene, const sac_attribute_clip *clips,
                                     int64_t count, int width, int height, int step,
                                     bool (*stop)(void), sac_error *error) {
    sac_status status = SAC_OK;
    double *speeds = NULL;
    int64_t objects = 0, n = 0;
    *scene = (sac_attribute_scene){.width = width, .height = height, .step = step};
    for (int64_t c = 0; c < count; c++) objects += clips[c].detections->count;
    if (objects < 1) {
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "no objects were found in %lld training clips (is the detector right "
                             "for this video?)",
                             (long long)count);
    }
    // Large pictures: the finest levels of the flow cost most and say least about whole people.
    for (int side = width < height ? width : height; side / 2 >= 200 && scene->flow_level < 3;
         side /= 2) {
        scene->flow_level++;
    }
    SAC_TRY(learn_sizes(scene, clips, count));
    SAC_TRY_ALLOC(speeds = sac_calloc(objects, sizeof *speeds));
    SAC_TRY(probe_speeds(speeds, &n, objects, scene, clips, count, stop, error));
    if (n == 0) speeds[n++] = 0;
    qsort(speeds, (size_t)n, sizeof *speeds, compare_double);
    scene->speed = fmax(speeds[n / 2], 1e-3);
    const double fast = speeds[(int64_t)(0.95 * (double)(n - 1))];
    if (step == 0) {
        scene->step = SAC_ATTRIBUTE_MOST_STEP;
        while (scene->step > 1 && fast * scene->step > LONGEST_MOVE) scene->step--;
    }
fail:
    sac_free(speeds);
    return status < 0 ? sac_error_set(error, status, -1, "no memory for the attributes") : SAC_OK;
}
