// Interleaved speed rounds of a student model: alone, from file to score, decode only.
// Measures; describing the machine and writing files is left to others.
#include "bench/speed.h"

#include <math.h>
#include <string.h>

#include "bench/stats.h"
#include "core/check.h"
#include "core/memory.h"
#include "core/time.h"
#include "saccade/video.h"

enum {
    PREPARED_BYTES = 64 << 20, // of network inputs kept for "student alone": beyond the caches
    PREPARED_MOST = 256,
    SAMPLES_MOST = 1 << 22, // frame times kept per kind
    QUEUE = 4,              // frames decoded ahead when pipelined, as sac_video_default_options
};

typedef enum arm { STUDENT_ALONE, IN_SEQUENCE, PIPELINED, DECODE_ONLY, ARM_COUNT } arm;

// Frame times of one arm of one run, seconds, all rounds.
typedef struct samples {
    double *values;
    int64_t count, capacity;
} samples;

typedef struct bench {
    const sac_speed_options *options;
    sac_student *students[SAC_SPEED_MAX_RUNS]; // N threads
    sac_student *narrower[SAC_SPEED_MAX_RUNS]; // N-1 threads, for the pipeline
    samples times[SAC_SPEED_MAX_RUNS][ARM_COUNT];
    float *inputs; // [input_count][H][W][3]
    int64_t input_count, input_size;
    int64_t pass_frames; // of the last pass over the source that reached its end
} bench;

sac_speed_options sac_speed_default_options(void) {
    return (sac_speed_options){
        .threads = {1, 2}, .thread_counts = 2, .repeats = 5, .seconds = 1.0, .decode_threads = 1};
}

static sac_speed_stat *stat_of(sac_speed_run *run, arm which) {
    switch (which) {
    case STUDENT_ALONE:
        return &run->student_alone;
    case IN_SEQUENCE:
        return &run->in_sequence;
    case PIPELINED:
        return &run->pipelined;
    case DECODE_ONLY:
    case ARM_COUNT:
        break;
    }
    return &run->decode_only;
}

static sac_status add_sample(samples *times, double seconds) {
    if (times->count == times->capacity) {
        if (times->capacity >= SAMPLES_MOST) return SAC_OK;
        const int64_t capacity = times->capacity > 0 ? 2 * times->capacity : 4096;
        double *values =
            sac_recalloc(times->values, times->capacity, capacity, sizeof *times->values);
        if (values == NULL) return SAC_ERROR_MEMORY;
        times->values = values;
        times->capacity = capacity;
    }
    times->values[times->count++] = seconds;
    return SAC_OK;
}

static sac_video_options video_options(const sac_speed_options *options, int channels,
                                       bool own_thread) {
    sac_video_options video = sac_video_default_options();
    video.channels = channels;
    video.threads = options->decode_threads;
    video.queue = own_thread ? QUEUE : 0;
    video.format = options->format;
    return video;
}

// ---- prepared inputs ---------------------------------------------------------------------------

static sac_status keep_inputs(bench *b, const float *planes, int64_t planes_count,
                              const sac_student_info *info, sac_error *error) {
    const int64_t pixels = (int64_t)info->width * info->height;
    sac_status status = SAC_OK;
    b->input_size = 3 * pixels;
    int64_t floats;
    if (!sac_mul(planes_count, b->input_size, &floats)) floats = -1;
    SAC_TRY_ALLOC(b->inputs = sac_calloc(floats, sizeof *b->inputs));
    b->input_count = planes_count;
    for (int64_t t = 0; t < planes_count; t++) {
        float *input = b->inputs + t * b->input_size;
        for (int k = 0; k < 3; k++) {
            int64_t from = t + info->offsets[k];
            from = from < 0 ? 0 : from >= planes_count ? planes_count - 1 : from;
            const float *plane = planes + from * pixels;
            for (int64_t i = 0; i < pixels; i++) input[3 * i + k] = plane[i];
        }
    }
fail:
    if (status == SAC_ERROR_MEMORY)
        sac_error_set(error, status, -1, "no memory for %lld prepared frames",
                      (long long)planes_count);
    return status;
}

// Reads the first frames of the source and turns them into network inputs.
static sac_status prepare(bench *b, sac_speed_result *result, sac_error *error) {
    sac_student *student = b->students[0];
    sac_student_info info;
    sac_video *video = NULL;
    sac_video_info video_info;
    sac_frame frame;
    float *planes = NULL;
    sac_status status;
    int64_t count = 0, pixels, floats;
    sac_student_get_info(student, &info);
    result->input_width = info.width;
    result->input_height = info.height;
    result->parameters = info.parameters;
    result->macs = info.macs;
    SAC_TRY_ALLOC(result->arch = sac_strdup(info.arch));
    pixels = (int64_t)info.width * info.height;
    int64_t most = PREPARED_BYTES / (3 * (int64_t)sizeof(float) * pixels);
    most = most < 8 ? 8 : most > PREPARED_MOST ? PREPARED_MOST : most;
    if (!sac_mul(most, pixels, &floats)) floats = -1;
    SAC_TRY_ALLOC(planes = sac_calloc(floats, sizeof *planes));

    const sac_video_options options = video_options(b->options, info.channels, false);
    SAC_TRY(sac_video_open(&video, b->options->source, &options, error));
    sac_video_get_info(video, &video_info);
    result->source_width = video_info.source_width;
    result->source_height = video_info.source_height;
    while (count < most) {
        SAC_TRY(sac_video_read(video, &frame, error));
        if (status == SAC_EOF) break;
        SAC_TRY(sac_student_prepare(student, planes + count * pixels, frame.data, frame.width,
                                    frame.height, frame.channels, error));
        count++;
    }
    if (count < 2)
        SAC_TRY(sac_error_set(error, SAC_ERROR_FORMAT, count,
                              "%s: %lld frames, a speed measurement needs at least two",
                              b->options->source, (long long)count));
    SAC_TRY(keep_inputs(b, planes, count, &info, error));
fail:
    if (status == SAC_ERROR_MEMORY)
        sac_error_set(error, status, -1, "no memory to prepare frames of %s", b->options->source);
    sac_free(planes);
    sac_video_close(&video);
    return status;
}

// ---- the measurements --------------------------------------------------------------------------

// Each returns the frames per second of one measurement of about `seconds`. `times` may be NULL
// (warm-up).

static sac_status measure_alone(double *fps, bench *b, sac_student *student, samples *times,
                                double seconds, sac_error *error) {
    sac_status status;
    sac_result result;
    int64_t frames = 0;
    const double start = sac_time_s();
    double last = start;
    sac_student_reset(student);
    do {
        const float *input = b->inputs + (frames % b->input_count) * b->input_size;
        SAC_TRY(sac_student_score_prepared(student, input, &result, error));
        const double now = sac_time_s();
        if (times != NULL) SAC_TRY(add_sample(times, now - last));
        last = now;
        frames++;
    } while (last - start < seconds);
    *fps = (double)frames / (last - start);
    status = SAC_OK;
fail:
    return status;
}

static sac_status pull_all(int64_t *pulled, sac_student *student, sac_error *error) {
    sac_status status;
    sac_result result;
    do {
        SAC_TRY(sac_student_pull(student, &result, error));
        if (status == SAC_OK) ++*pulled;
    } while (status == SAC_OK);
    status = SAC_OK;
fail:
    return status;
}

// One pass over the source, or less when `seconds` are over. `student` NULL: decode only.
static sac_status measure_pass(int64_t *frames, double *elapsed, bench *b, sac_student *student,
                               bool own_thread, samples *times, double seconds, sac_error *error) {
    sac_video *video = NULL;
    sac_frame frame;
    sac_status status;
    int64_t read = 1, pulled = 0;
    sac_student_info info = {.channels = 1};
    if (student != NULL) {
        sac_student_get_info(student, &info);
        sac_student_reset(student);
    }
    const sac_video_options options = video_options(b->options, info.channels, own_thread);
    SAC_TRY(sac_video_open(&video, b->options->source, &options, error));
    SAC_TRY(sac_video_read(video, &frame, error));
    if (status == SAC_EOF)
        SAC_TRY(sac_error_set(error, SAC_ERROR_FORMAT, 0, "%s: no frames", b->options->source));
    const double start = sac_time_s();
    double last = start;
    if (student != NULL)
        SAC_TRY(sac_student_push(student, frame.data, frame.width, frame.height, frame.channels,
                                 frame.time_s, error));
    bool ended = false;
    while (!ended && last - start < seconds) {
        SAC_TRY(sac_video_read(video, &frame, error));
        ended = status == SAC_EOF;
        if (!ended) read++;
        if (student != NULL) {
            if (ended)
                SAC_TRY(sac_student_finish(student, error));
            else
                SAC_TRY(sac_student_push(student, frame.data, frame.width, frame.height,
                                         frame.channels, frame.time_s, error));
            SAC_TRY(pull_all(&pulled, student, error));
        }
        const double now = sac_time_s();
        if (times != NULL && !ended) SAC_TRY(add_sample(times, now - last));
        last = now;
    }
    if (ended) b->pass_frames = read;
    // The first frame was decoded before the clock started but scored within it. When the pass is
    // cut short, the student still holds its look-ahead: count what came out.
    *frames += student != NULL ? pulled : read - 1;
    *elapsed += last - start;
    status = SAC_OK;
fail:
    sac_video_close(&video);
    return status;
}

static sac_status measure_file(double *fps, bench *b, sac_student *student, bool own_thread,
                               samples *times, double seconds, sac_error *error) {
    sac_status status;
    int64_t frames = 0;
    double elapsed = 0.0;
    // Opening is not timed: a source of a few frames must not make the round endless.
    const double give_up = sac_time_s() + 20.0 * seconds + 1.0;
    do {
        SAC_TRY(measure_pass(&frames, &elapsed, b, student, own_thread, times, seconds - elapsed,
                             error));
    } while (elapsed < seconds && sac_time_s() < give_up);
    if (frames == 0)
        SAC_TRY(sac_error_set(error, SAC_ERROR_FORMAT, 0, "%s: gave no scored frame within %g s",
                              b->options->source, seconds));
    *fps = (double)frames / elapsed;
    status = SAC_OK;
fail:
    return status;
}

static sac_status measure(double *fps, bench *b, int run, arm which, samples *times, double seconds,
                          sac_error *error) {
    const bool own_thread = b->options->threads[run] > 1;
    switch (which) {
    case STUDENT_ALONE:
        return measure_alone(fps, b, b->students[run], times, seconds, error);
    case IN_SEQUENCE:
        return measure_file(fps, b, b->students[run], false, times, seconds, error);
    case PIPELINED:
        return measure_file(fps, b, b->narrower[run], true, times, seconds, error);
    case DECODE_ONLY:
    case ARM_COUNT:
        break;
    }
    return measure_file(fps, b, NULL, own_thread, times, seconds, error);
}

static bool takes_part(const bench *b, int run, arm which) {
    return which != PIPELINED || b->options->threads[run] > 1;
}

static sac_status all_rounds(bench *b, sac_speed_result *result, sac_error *error) {
    const sac_speed_options *options = b->options;
    sac_status status = SAC_OK;
    int64_t done = 0, total = 0;
    for (int r = 0; r < options->thread_counts; r++)
        for (int a = 0; a < ARM_COUNT; a++) total += takes_part(b, r, (arm)a);
    total *= options->repeats + 1;
    // Round -1 warms up caches, threads and the decoder and is thrown away.
    for (int round = -1; round < options->repeats; round++)
        for (int r = 0; r < options->thread_counts; r++)
            for (int a = 0; a < ARM_COUNT; a++) {
                if (!takes_part(b, r, (arm)a)) continue;
                double fps;
                const double seconds = round < 0 ? fmin(0.2, options->seconds) : options->seconds;
                SAC_TRY(measure(&fps, b, r, (arm)a, round < 0 ? NULL : &b->times[r][a], seconds,
                                error));
                if (round >= 0) stat_of(&result->runs[r], (arm)a)->rounds[round] = fps;
                done++;
                if (options->progress != NULL && options->progress(options->user, done, total) != 0)
                    SAC_TRY(sac_error_set(error, SAC_ERROR_INTERRUPTED, done, "interrupted"));
            }
fail:
    return status;
}

static sac_status summarise(bench *b, sac_speed_result *result) {
    const int repeats = b->options->repeats;
    double *sorted = sac_calloc(repeats, sizeof *sorted);
    if (sorted == NULL) return SAC_ERROR_MEMORY;
    for (int r = 0; r < result->run_count; r++)
        for (int a = 0; a < ARM_COUNT; a++) {
            sac_speed_stat *stat = stat_of(&result->runs[r], (arm)a);
            samples *times = &b->times[r][a];
            if (!takes_part(b, r, (arm)a)) {
                stat->fps = stat->p50_ms = stat->p90_ms = stat->p99_ms = NAN;
                continue;
            }
            memcpy(sorted, stat->rounds, (size_t)repeats * sizeof *sorted);
            sac_stats_sort(sorted, repeats);
            stat->fps = sac_stats_quantile(sorted, repeats, 0.5);
            sac_stats_sort(times->values, times->count);
            stat->p50_ms = 1e3 * sac_stats_quantile(times->values, times->count, 0.5);
            stat->p90_ms = 1e3 * sac_stats_quantile(times->values, times->count, 0.9);
            stat->p99_ms = 1e3 * sac_stats_quantile(times->values, times->count, 0.99);
            stat->frames = times->count;
        }
    sac_free(sorted);
    return SAC_OK;
}

static sac_status check_options(const sac_speed_options *options, sac_error *error) {
    if (options->model == NULL || options->source == NULL)
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "a speed measurement needs a model and a source");
    if (options->thread_counts < 1 || options->thread_counts > SAC_SPEED_MAX_RUNS)
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1, "%d thread counts, expected 1 to %d",
                             options->thread_counts, SAC_SPEED_MAX_RUNS);
    for (int r = 0; r < options->thread_counts; r++)
        if (options->threads[r] < 1 || options->threads[r] > 1024)
            return sac_error_set(error, SAC_ERROR_ARGUMENT, -1, "%d threads, expected 1 to 1024",
                                 options->threads[r]);
    if (options->repeats < 1 || options->repeats > 1000)
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1, "%d repeats, expected 1 to 1000",
                             options->repeats);
    if (!(options->seconds > 0.0 && options->seconds <= 600.0))
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "%g s per measurement, expected more than 0 and at most 600",
                             options->seconds);
    return SAC_OK;
}

static const char *last_component(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash != NULL && slash[1] != '\0' ? slash + 1 : path;
}

static sac_status open_students(bench *b, sac_error *error) {
    sac_status status = SAC_OK;
    for (int r = 0; r < b->options->thread_counts; r++) {
        sac_student_options options = sac_student_default_options();
        options.logger = b->options->logger;
        options.threads = b->options->threads[r];
        SAC_TRY(sac_student_open(&b->students[r], b->options->model, &options, error));
        options.threads--;
        if (options.threads > 0)
            SAC_TRY(sac_student_open(&b->narrower[r], b->options->model, &options, error));
    }
fail:
    return status;
}

sac_status sac_speed_measure(sac_speed_result *result, const sac_speed_options *options,
                             sac_error *error) {
    bench b = {.options = options};
    sac_status status;
    memset(result, 0, sizeof *result);
    SAC_TRY(check_options(options, error));
    result->run_count = options->thread_counts;
    result->repeats = options->repeats;
    SAC_TRY_ALLOC(result->model = sac_strdup(last_component(options->model)));
    SAC_TRY_ALLOC(result->source = sac_strdup(last_component(options->source)));
    for (int r = 0; r < result->run_count; r++) {
        result->runs[r].threads = options->threads[r];
        for (int a = 0; a < ARM_COUNT; a++)
            if (takes_part(&b, r, (arm)a))
                SAC_TRY_ALLOC(stat_of(&result->runs[r], (arm)a)->rounds =
                                  sac_calloc(options->repeats, sizeof(double)));
    }
    sac_machine_describe(&result->machine);
    SAC_TRY(open_students(&b, error));
    SAC_TRY(prepare(&b, result, error));
    SAC_TRY(all_rounds(&b, result, error));
    SAC_TRY(summarise(&b, result));
    result->source_frames = b.pass_frames;
    result->machine.load_after = sac_machine_load();
    status = SAC_OK;
fail:
    if (status == SAC_ERROR_MEMORY)
        sac_error_set(error, status, -1, "no memory for the speed measurement");
    for (int r = 0; r < SAC_SPEED_MAX_RUNS; r++) {
        sac_student_close(&b.students[r]);
        sac_student_close(&b.narrower[r]);
        for (int a = 0; a < ARM_COUNT; a++) sac_free(b.times[r][a].values);
    }
    sac_free(b.inputs);
    if (status < 0) sac_speed_result_close(result);
    return status;
}

void sac_speed_result_close(sac_speed_result *result) {
    if (result == NULL) return;
    for (int r = 0; r < SAC_SPEED_MAX_RUNS; r++)
        for (int a = 0; a < ARM_COUNT; a++) sac_free(stat_of(&result->runs[r], (arm)a)->rounds);
    sac_free(result->model);
    sac_free(result->source);
    sac_free(result->arch);
    memset(result, 0, sizeof *result);
}

const sac_speed_stat *sac_speed_file_to_score(const sac_speed_run *run) {
    return run->pipelined.fps > run->in_sequence.fps ? &run->pipelined : &run->in_sequence;
}
