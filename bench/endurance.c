// Long runs over frames in memory, with the process's memory noted at even intervals.
#include "bench/endurance.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#ifdef __GLIBC__
#    include <malloc.h>
#endif

#include "core/check.h"
#include "core/json.h"
#include "core/time.h"

enum { WARM_UP = 20000, PROGRESS_FRAMES = 256 };

sac_endurance_options sac_endurance_default_options(void) {
    return (sac_endurance_options){
        .source = {.decode_threads = 1}, .frame_rate = 25, .growth_bytes = 2 << 20};
}

static double allocated_bytes(void) {
#if defined(__GLIBC__) && __GLIBC_PREREQ(2, 33)
    const struct mallinfo2 info = mallinfo2();
    return (double)info.uordblks + (double)info.hblkhd;
#else
    return (double)NAN;
#endif
}

static sac_status check(const sac_endurance_options *o, sac_error *error) {
    if (o->model == NULL || o->source.path == NULL)
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "a long run needs a model and a source");
    if (o->workers < 0 || o->workers > SAC_TIMING_WORKERS)
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1, "%d workers, expected 0 to %d",
                             o->workers, SAC_TIMING_WORKERS);
    if (!(o->frame_rate > 0 && o->frame_rate <= 10000))
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "%g frames a second, expected above 0 to 10000", o->frame_rate);
    if (o->frames < 100)
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "a long run of %lld frames, expected at least 100",
                             (long long)o->frames);
    if (!(o->growth_bytes >= 0))
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "a growth of %g bytes, expected 0 or more", o->growth_bytes);
    return SAC_OK;
}

// A run in progress.
typedef struct course {
    const sac_endurance_options *options;
    sac_endurance_result *result;
    sac_student *student;
    int64_t warm_up;
    int samples;
} course;

// When sample i is taken: in scored frames.
static int64_t due(const course *c, int i) {
    const int64_t rest = c->options->frames - c->warm_up, steps = SAC_ENDURANCE_SAMPLES - 1;
    return c->warm_up + rest / steps * i + rest % steps * i / steps;
}

// Takes what is ready; `all`: waits for everything that was pushed.
static sac_status take(course *c, bool all, sac_error *error) {
    sac_status status;
    sac_endurance_result *r = c->result;
    for (;;) {
        sac_result result;
        if (all) sac_student_wait(c->student);
        SAC_TRY(sac_student_pull(c->student, &result, error));
        if (status != SAC_OK) return SAC_OK;
        if (result.frame != r->frames)
            return sac_error_set(error, SAC_ERROR_BACKEND, r->frames,
                                 "the student returned frame %lld, expected %lld",
                                 (long long)result.frame, (long long)r->frames);
        r->frames++;
        if (c->samples == SAC_ENDURANCE_SAMPLES || r->frames < due(c, c->samples)) continue;
        r->samples[c->samples++] =
            (sac_endurance_sample){r->frames, sac_resident_memory_bytes(), allocated_bytes()};
    }
fail:
    return status;
}

static sac_status run(course *c, const sac_raw_frames *raw, sac_error *error) {
    sac_status status;
    const sac_endurance_options *o = c->options;
    const int64_t size = (int64_t)raw->width * raw->height * raw->channels;
    for (int64_t t = 0; t < o->frames; t++) {
        SAC_TRY(sac_student_push(c->student, raw->pixels + t % raw->count * size, raw->width,
                                 raw->height, raw->channels, (double)t / o->frame_rate, error));
        SAC_TRY(take(c, false, error));
        if (t % PROGRESS_FRAMES == 0 && o->progress != NULL &&
            o->progress(o->user, c->result->frames, o->frames) != 0)
            return sac_error_set(error, SAC_ERROR_INTERRUPTED, t, "interrupted");
    }
    SAC_TRY(sac_student_finish(c->student, error));
    SAC_TRY(take(c, true, error));
    if (c->result->frames != o->frames)
        return sac_error_set(error, SAC_ERROR_BACKEND, c->result->frames,
                             "%lld frames gave %lld results", (long long)o->frames,
                             (long long)c->result->frames);
fail:
    return status;
}

sac_status sac_endurance_measure(sac_endurance_result *result, const sac_endurance_options *options,
                                 sac_error *error) {
    course c = {.options = options, .result = result};
    sac_student_pool *pool = NULL;
    sac_student_options student = sac_student_default_options();
    const sac_student_pool_options workers = {.workers = options->workers};
    sac_student_info info;
    sac_raw_frames raw = {0};
    sac_status status;
    memset(result, 0, sizeof *result);
    SAC_TRY(check(options, error));
    c.warm_up = options->frames / 10 < WARM_UP ? options->frames / 10 : WARM_UP;
    student.logger = options->logger;
    student.precision = options->precision;
    SAC_TRY(sac_student_pool_open(&pool, options->model, &student, &workers, error));
    sac_student_pool_get_info(pool, &info);
    SAC_TRY(sac_raw_frames_load(&raw, &options->source, info.channels, 256, error));
    SAC_TRY(sac_student_pool_stream(pool, &c.student, error));
    const double start = sac_time_s();
    SAC_TRY(run(&c, &raw, error));
    result->fps = (double)result->frames / (sac_time_s() - start);
    const sac_endurance_sample *first = &result->samples[0],
                               *last = &result->samples[SAC_ENDURANCE_SAMPLES - 1];
    result->resident_growth = last->resident_bytes - first->resident_bytes;
    result->allocated_growth = last->allocated_bytes - first->allocated_bytes;
    result->flat = result->resident_growth <= options->growth_bytes;
fail:
    if (status == SAC_ERROR_MEMORY) sac_error_set(error, status, -1, "no memory for a long run");
    sac_student_close(&c.student);
    sac_student_pool_close(&pool);
    sac_raw_frames_close(&raw);
    return status;
}

sac_status sac_endurance_figures(sac_figures *figures, const sac_endurance_result *result,
                                 sac_error *error) {
    sac_status status = SAC_OK;
    const sac_endurance_sample *first = &result->samples[0],
                               *last = &result->samples[SAC_ENDURANCE_SAMPLES - 1];
    const struct {
        const char *what, *unit;
        bool lower;
        double value;
    } found[] = {
        {"frames a second", "FPS", false, result->fps},
        {"resident memory after the warm-up", "MB", true, first->resident_bytes / 1e6},
        {"resident memory at the end", "MB", true, last->resident_bytes / 1e6},
        {"growth of resident memory", "kB", true, result->resident_growth / 1e3},
        {"growth of allocated memory", "kB", true, result->allocated_growth / 1e3},
    };
    for (size_t i = 0; i < sizeof found / sizeof found[0]; i++) {
        char name[128];
        snprintf(name, sizeof name, "%lld frames in one run; %s", (long long)result->frames,
                 found[i].what);
        const sac_figure figure =
            sac_figure_of_value(name, found[i].unit, found[i].lower, found[i].value);
        SAC_TRY(sac_figures_add(figures, &figure, error));
    }
fail:
    return status;
}

json_t *sac_endurance_json(const sac_endurance_result *result) {
    json_t *samples = json_array();
    for (int i = 0; samples != NULL && i < SAC_ENDURANCE_SAMPLES; i++) {
        const sac_endurance_sample *s = &result->samples[i];
        json_t *item = json_pack("{s:I, s:o, s:o}", "frames", (json_int_t)s->frames,
                                 "resident_bytes", sac_json_number(s->resident_bytes),
                                 "allocated_bytes", sac_json_number(s->allocated_bytes));
        if (json_array_append_new(samples, item) < 0) {
            json_decref(samples);
            return NULL;
        }
    }
    return json_pack("{s:I, s:o, s:o, s:o, s:b, s:o}", "frames", (json_int_t)result->frames, "fps",
                     sac_json_number(result->fps), "resident_growth_bytes",
                     sac_json_number(result->resident_growth), "allocated_growth_bytes",
                     sac_json_number(result->allocated_growth), "flat", result->flat, "samples",
                     samples);
}
