// student-calibrate: scores normal video with a student and stores in its model file what its
// scores mean there (student/calibration.h). Trains nothing; the network stays as it is.
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/check.h"
#include "core/file.h"
#include "core/json.h"
#include "core/memory.h"
#include "core/text.h"
#include "core/tool.h"
#include "saccade/student.h"
#include "saccade/version.h"
#include "saccade/video.h"
#include "student/calibration.h"
#include "student/feed.h"
#include "student/model.h"
#include "tools/conditions.h"
#include "tools/decode_options.h"
#include "video/dataset.h"
#include "video/pictures.h"

typedef struct settings {
    sac_tool_settings tool;
    const char *model, *output, *dataset, *far;
    const char *size;
    double confidence, merge_gap_s, frame_rate;
    int64_t max_frames;
    int precision; // sac_precision
    bool gate;
    decode_settings decode;
} settings;

static const sac_option options[] = {
    {.name = "", .help = "Input"},
    {.name = "model",
     .letter = 'm',
     .type = SAC_OPTION_TEXT,
     .offset = offsetof(settings, model),
     .argument = "FILE",
     .help = "model file made by distill; required"},
    {.name = "dataset",
     .type = SAC_OPTION_TEXT,
     .offset = offsetof(settings, dataset),
     .argument = "DIR",
     .help = "take the training clips of a data set (layouts: teach --help) instead of SOURCEs"},
    {.name = "frame-rate",
     .type = SAC_OPTION_REAL,
     .offset = offsetof(settings, frame_rate),
     .number = 25,
     .min = 0.001,
     .max = 10000,
     .help = "frames per second of picture folders and patterns; tells how much time they cover"},
    {.name = "max-frames",
     .type = SAC_OPTION_INT,
     .offset = offsetof(settings, max_frames),
     .min = 0,
     .max = 1e15,
     .help = "stop each source after N frames; 0: at its end"},
    {.name = "", .help = "False alarms"},
    {.name = "far",
     .type = SAC_OPTION_TEXT,
     .offset = offsetof(settings, far),
     .argument = "N/TIME",
     .help = "budget of false alarms, such as 2/day, 0.5/hour or 1/week, whose threshold becomes "
             "the model's default; refused when the video is too short to certify it"},
    {.name = "confidence",
     .type = SAC_OPTION_REAL,
     .offset = offsetof(settings, confidence),
     .number = 0.95,
     .min = 0.5,
     .max = 0.9999,
     .help = "of the bounds on false alarms"},
    {.name = "merge-gap",
     .type = SAC_OPTION_REAL,
     .offset = offsetof(settings, merge_gap_s),
     .number = 2,
     .min = 0,
     .max = 3600,
     .argument = "S",
     .help = "runs above the threshold at most S seconds apart are one event"},
    {.name = "",
     .help = "Scoring, as student-run will be told to: it warns where the conditions differ"},
    {.name = "precision",
     .type = SAC_OPTION_CHOICE,
     .offset = offsetof(settings, precision),
     .choices = "auto|f32|int8|bf16",
     .help = "of the student, see student-run --help"},
    {.name = "gate",
     .type = SAC_OPTION_BOOL,
     .offset = offsetof(settings, gate),
     .help = "score frames in which nothing moved beyond sensor noise like the ones before"},
    {.name = "size",
     .type = SAC_OPTION_TEXT,
     .offset = offsetof(settings, size),
     .argument = "WxH",
     .help = "scale frames to this size while decoding; default: the source's own"},
    DECODE_OPTIONS(settings, decode, 0),
    {.name = "", .help = "Output"},
    {.name = "output",
     .letter = 'o',
     .type = SAC_OPTION_TEXT,
     .offset = offsetof(settings, output),
     .argument = "FILE",
     .help = "calibrated model; default: the model file itself, replaced when all is done"},
    SAC_TOOL_OPTIONS_UNSEEDED(settings),
    {.name = NULL},
};

static const sac_command command = {
    .name = "student-calibrate",
    .usage = "-m MODEL SOURCE... [options]",
    .description =
        "Scores normal video of one camera and stores in the model file\n"
        "- how frequent each score is there: student-run then adds the column score_calibrated,\n"
        "  x/(x+3) with x = -log10 of the share of normal frames that reach the score: 0.25 is "
        "one\n"
        "  frame in ten, 0.5 one in a thousand, ever closer to 1;\n"
        "- thresholds for budgets of false alarms: student-run --far 2/day, or --threshold auto "
        "for\n"
        "  the budget given here. A budget counts only as far as the video can certify it (exact\n"
        "  Poisson limit): T hours without an event exclude, at 95 %, no rate below 3/T.\n\n"
        "SOURCEs are files, folders or patterns of pictures, as for student-run. They should hold\n"
        "nothing abnormal, many hours of day and night if possible, and not be what the student\n"
        "was trained on: it knows those frames, and scores them lower than new ones. No file may\n"
        "be named twice: the amount of video is what certifies a budget. Gaps in its time\n"
        "stamps do not count.\n\n"
        "  student-calibrate -m run/student.safetensors monday.mp4 tuesday.mp4 --far 2/hour\n"
        "  student-calibrate -m run/student.safetensors --dataset DIR -o calibrated.safetensors",
    .options = options,
    .min_positional = 0,
    .max_positional = -1,
};

// Reads the next frame and pushes it, as student-run does: planes where they lie unless frames are
// scaled. SAC_EOF.
static sac_status feed(sac_student *student, sac_video *video, bool scaled, sac_error *error) {
    sac_frame frame;
    if (!scaled) return sac_feed_frame(student, video, error);
    const sac_status status = sac_video_read(video, &frame, error);
    if (status != SAC_OK) return status;
    return sac_student_push(student, frame.data, frame.width, frame.height, frame.channels,
                            frame.time_s, error);
}

static sac_status score_source(sac_calibrator *calibrator, sac_student *student, const settings *s,
                               const run_conditions *conditions, const char *source,
                               sac_error *error) {
    sac_status status = SAC_OK;
    sac_video *video = NULL;
    sac_progress *progress = NULL;
    sac_video_info info;
    sac_video_counts counts;
    sac_video_options wanted = sac_video_default_options();
    sac_result result;
    int64_t read = 0;
    bool ended = false;
    char *shown = sac_text_without_login(source);
    SAC_TRY_ALLOC(shown);
    // As student-run reads: scores must come from the same bytes.
    sac_feed_options(&wanted, student);
    if (conditions->width > 0) {
        wanted.luma = false;
        wanted.width = conditions->width;
        wanted.height = conditions->height;
    }
    decode_options_apply(&wanted, &s->decode);
    wanted.frame_rate = s->frame_rate;
    SAC_TRY(sac_video_open(&video, source, &wanted, error));
    sac_video_get_info(video, &info);
    SAC_TRY(sac_progress_open(&progress, shown, "frames", info.frames, &s->tool));
    sac_student_reset(student);
    sac_calibrator_begin(calibrator);
    while (!ended) {
        if (sac_interrupted()) SAC_TRY(SAC_ERROR_INTERRUPTED);
        if (s->max_frames > 0 && read == s->max_frames)
            status = SAC_EOF;
        else
            SAC_TRY(feed(student, video, conditions->width > 0, error));
        ended = status == SAC_EOF;
        if (ended) {
            SAC_TRY(sac_student_finish(student, error));
        } else {
            read++;
        }
        for (;;) {
            SAC_TRY(sac_student_pull(student, &result, error));
            if (status != SAC_OK) break;
            SAC_TRY(sac_calibrator_push(calibrator, result.time_s, result.score_smoothed, error));
        }
        sac_progress_update(progress, read, NULL);
    }
    status = SAC_OK;
    sac_video_get_counts(video, &counts);
    if (counts.damaged > 0 && s->dataset == NULL) // a data set has spoken of its own
        fprintf(stderr,
                "%s: warning: %s: damaged frames: %" PRId64 ", the first is frame %" PRId64
                "; scores near them are not those of normal video\n",
                command.name, shown, counts.damaged, counts.first_damaged);
fail:
    sac_progress_close(&progress);
    sac_video_close(&video);
    if (status < 0)
        sac_error_set(error, status, -1, "%s: %s", shown != NULL ? shown : "source",
                      sac_status_name(status));
    sac_free(shown);
    return status;
}

// A file of a source: the video itself, or a picture of a folder or pattern.
typedef struct source_file {
    dev_t device;
    ino_t inode;
    int64_t source; // index of the SOURCE that names it
} source_file;

typedef struct source_files {
    source_file *items;
    int64_t count, capacity;
} source_files;

static sac_status add_file(source_files *files, const char *path, int64_t source) {
    struct stat info;
    // What does not exist is the business of whoever opens it; pipes and devices give other frames
    // every time.
    if (stat(path, &info) != 0 || !S_ISREG(info.st_mode)) return SAC_OK;
    if (files->count == files->capacity) {
        const int64_t capacity = files->capacity > 0 ? 2 * files->capacity : 64;
        source_file *items =
            sac_recalloc(files->items, files->capacity, capacity, sizeof *files->items);
        if (items == NULL) return SAC_ERROR_MEMORY;
        files->items = items;
        files->capacity = capacity;
    }
    files->items[files->count++] =
        (source_file){.device = info.st_dev, .inode = info.st_ino, .source = source};
    return SAC_OK;
}

static int compare_files(const void *a, const void *b) {
    const source_file *x = a, *y = b;
    if (x->device != y->device) return x->device < y->device ? -1 : 1;
    if (x->inode != y->inode) return x->inode < y->inode ? -1 : 1;
    return x->source < y->source ? -1 : x->source > y->source;
}

// What a model is calibrated with: SOURCEs, or the training clips of a data set.
static const char *source_at(const sac_dataset *dataset, const char *const *sources, int64_t i) {
    return dataset != NULL ? dataset->clips[i].source : sources[i];
}

// The same video twice is no more video than once, but would certify a lower budget: refused, by
// whatever names, links or overlapping patterns it comes. So is an output that would replace one of
// the files.
static sac_status check_files(const sac_dataset *dataset, const char *const *sources, int64_t count,
                              const char *output, sac_error *error) {
    sac_status status = SAC_OK;
    source_files files = {0};
    sac_pictures *pictures = NULL;
    for (int64_t i = 0; i < count; i++) {
        const char *source = source_at(dataset, sources, i);
        if (!sac_is_folder(source) && (sac_is_file(source) || !sac_pictures_is_pattern(source))) {
            SAC_TRY(sac_file_check_kept(source, output, "output", error));
            SAC_TRY(add_file(&files, source, i));
            continue;
        }
        status = sac_pictures_open(&pictures, source, NULL);
        if (status == SAC_ERROR_MEMORY) goto fail;
        if (status < 0) continue; // said when it is its turn
        for (int64_t k = 0; k < sac_pictures_count(pictures); k++) {
            const char *picture = sac_pictures_path(pictures, k);
            SAC_TRY(sac_file_check_kept(picture, output, "output", error));
            SAC_TRY(add_file(&files, picture, i));
        }
        sac_pictures_close(&pictures);
    }
    if (files.count > 0)
        qsort(files.items, (size_t)files.count, sizeof *files.items, compare_files);
    status = SAC_OK;
    for (int64_t i = 1; i < files.count; i++) {
        const source_file *a = &files.items[i - 1], *b = &files.items[i];
        if (a->device == b->device && a->inode == b->inode && a->source != b->source)
            SAC_TRY(sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                                  "'%s' and '%s' (SOURCEs %lld and %lld) name the same file: video "
                                  "counts once",
                                  source_at(dataset, sources, a->source),
                                  source_at(dataset, sources, b->source), (long long)a->source + 1,
                                  (long long)b->source + 1));
    }
fail:
    sac_pictures_close(&pictures);
    sac_free(files.items);
    return status;
}

// Whether the student was trained on this data set, by the fingerprint in its provenance.
static bool was_trained_on(const sac_model *model, const sac_dataset *dataset) {
    char *text = json_dumps(model->provenance, JSON_COMPACT);
    const bool found = text != NULL && strstr(text, dataset->fingerprint) != NULL;
    free(text); // Jansson allocates with malloc
    return found;
}

static const char *duration(char *text, size_t size, double hours) {
    if (hours >= 48.0)
        (void)snprintf(text, size, "%.3g days", hours / 24.0);
    else if (hours >= 1.0)
        (void)snprintf(text, size, "%.3g hours", hours);
    else
        (void)snprintf(text, size, "%.3g minutes", hours * 60.0);
    return text;
}

static void print_result(const sac_calibration *calibration, const settings *s, const char *out) {
    sac_calibration_info info;
    char text[48];
    sac_calibration_get_info(calibration, &info);
    printf("normal video: %s, %" PRId64 " frames of %" PRId64 " source%s at %.3g frames/s\n",
           duration(text, sizeof text, info.hours), info.frames, info.sources,
           info.sources == 1 ? "" : "s", info.frame_rate);
    printf("calibrated score: tail above %.4f, shape %.3f, scale %.4f\n", info.tail_start,
           info.tail_shape, info.tail_scale);
    printf("it can certify, at %g %% confidence, no fewer than %.3g false alarms per day (%.3g per "
           "hour)\n",
           100.0 * info.confidence, 24.0 * info.lowest_per_hour, info.lowest_per_hour);
    // A ladder of budgets that the video supports.
    const double factors[] = {1.0, 1.6, 2.6, 5.0, 10.0, 30.0};
    printf("  %-14s %-14s %s\n", "budget/day", "threshold", "events allowed in the video");
    for (size_t i = 0; i < sizeof factors / sizeof *factors; i++) {
        const sac_far rung = {.per_hour = factors[i] * info.lowest_per_hour * (1.0 + 1e-9),
                              .count = factors[i] * info.lowest_per_hour,
                              .unit = "hour"};
        sac_operating_point point;
        if (sac_calibration_threshold(&point, calibration, &rung, "", NULL) < 0) continue;
        printf("  %-14.3g %-14.4f %" PRId64 "\n", 24.0 * rung.per_hour, (double)point.threshold,
               point.allowed);
    }
    if (s->far != NULL) {
        sac_far budget;
        sac_operating_point point;
        if (sac_far_parse(&budget, s->far, "--far", NULL) >= 0 &&
            sac_calibration_threshold(&point, calibration, &budget, "", NULL) >= 0)
            printf("default: %s, threshold %.4f (certified: at most %.3g per day)\n", s->far,
                   (double)point.threshold, 24.0 * point.bound_per_hour);
    }
    printf("%s\n", out);
}

static sac_status print_json(const sac_calibration *calibration, const char *out,
                             sac_error *error) {
    sac_calibration_info info;
    sac_calibration_get_info(calibration, &info);
    json_t *json = json_pack("{s:s, s:s, s:s, s:o, s:o, s:o}", "tool", command.name, "version",
                             sac_version(), "commit", sac_commit(), "output", sac_json_text(out),
                             "lowest_per_hour", sac_json_number(info.lowest_per_hour),
                             "calibration", sac_calibration_to_json(calibration));
    char *text = json != NULL ? json_dumps(json, JSON_INDENT(2) | JSON_REAL_PRECISION(9)) : NULL;
    sac_status status = SAC_OK;
    if (text != NULL)
        puts(text);
    else
        status = sac_error_set(error, SAC_ERROR_MEMORY, -1, "no memory for the result");
    free(text); // Jansson allocates with malloc
    json_decref(json);
    return status;
}

// Keeps the calibration and what it was made of.
static sac_status store(sac_model *model, const sac_calibration *calibration,
                        const sac_dataset *dataset, const run_conditions *conditions,
                        const char *out, sac_error *error) {
    json_t *json = sac_calibration_to_json(calibration);
    json_t *made = json_pack("{s:s, s:s}", "version", sac_version(), "commit", sac_commit());
    bool failed = json == NULL || made == NULL || run_conditions_store(made, conditions) < 0;
    if (!failed && dataset != NULL)
        failed = json_object_set_new(made, "dataset", sac_json_text(dataset->name)) != 0 ||
                 json_object_set_new(made, "fingerprint", json_string(dataset->fingerprint)) != 0;
    if (!failed) failed = json_object_set(json, "made", made) != 0;
    json_decref(made);
    if (failed) {
        json_decref(json);
        return sac_error_set(error, SAC_ERROR_MEMORY, -1, "%s: no memory", out);
    }
    json_decref(model->calibration);
    model->calibration = json;
    return sac_model_save(model, out, error);
}

static sac_status calibrate(const settings *s, const char *const *sources, int64_t count,
                            sac_error *error) {
    sac_status status = SAC_OK;
    sac_model *model = NULL;
    sac_student_pool *pool = NULL;
    sac_student *student = NULL;
    sac_dataset *dataset = NULL;
    sac_calibrator *calibrator = NULL;
    sac_calibration *calibration = NULL;
    sac_student_info about;
    sac_far budget;
    const char *out = s->output != NULL ? s->output : s->model;
    const sac_logger logger = sac_tool_logger(command.name, s->tool.quiet);
    sac_student_options wanted = sac_student_default_options();
    run_conditions conditions = {.gate = s->gate, .decode = s->decode};
    const sac_student_pool_options workers = {.workers = (int)s->tool.threads};
    sac_calibration_options how = sac_calibration_default_options();
    how.confidence = s->confidence;
    how.merge_gap_s = s->merge_gap_s;
    if (s->model == NULL)
        SAC_TRY(sac_error_set(error, SAC_ERROR_ARGUMENT, -1, "-m MODEL is missing"));
    if ((s->dataset != NULL) == (count > 0))
        SAC_TRY(sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                              "expected either SOURCEs of normal video or --dataset DIR"));
    if (s->far != NULL) SAC_TRY(sac_far_parse(&budget, s->far, "--far", error));
    SAC_TRY(run_parse_size(&conditions.width, &conditions.height, s->size, error));
    wanted.precision = (sac_precision)s->precision;
    wanted.gate = s->gate;
    SAC_TRY(check_files(NULL, sources, count, s->output, error));
    SAC_TRY(sac_file_check(out, error));
    SAC_TRY(sac_model_load(&model, s->model, error));
    SAC_TRY(sac_student_pool_open(&pool, s->model, &wanted, &workers, error));
    SAC_TRY(sac_student_pool_stream(pool, &student, error));
    sac_student_pool_get_info(pool, &about);
    conditions.precision = about.precision;
    SAC_TRY(sac_calibrator_create(&calibrator, &how, error));
    if (s->dataset != NULL) {
        SAC_TRY(sac_dataset_open(&dataset, s->dataset, &logger, error));
        if (dataset->train_count == 0)
            SAC_TRY(sac_error_set(error, SAC_ERROR_FORMAT, -1, "'%s' has no training clips",
                                  dataset->path));
        if (was_trained_on(model, dataset) && logger.write != NULL)
            logger.write(logger.user, SAC_LOG_WARNING,
                         "the student was trained on these clips: it scores them lower than new "
                         "video, so expect more false alarms than the budget says");
    }
    const int64_t total = dataset != NULL ? dataset->train_count : count;
    if (dataset != NULL) SAC_TRY(check_files(dataset, NULL, total, s->output, error));
    for (int64_t i = 0; i < total; i++)
        SAC_TRY(score_source(calibrator, student, s, &conditions, source_at(dataset, sources, i),
                             error));
    SAC_TRY(sac_calibrator_finish(&calibration, calibrator, error));
    if (s->far != NULL)
        SAC_TRY(sac_calibration_set_budget(calibration, &budget, s->far, "--far", error));
    SAC_TRY(store(model, calibration, dataset, &conditions, out, error));
    if (s->tool.json)
        SAC_TRY(print_json(calibration, out, error));
    else
        print_result(calibration, s, out);
fail:
    sac_calibration_close(&calibration);
    sac_calibrator_close(&calibrator);
    sac_dataset_close(&dataset);
    sac_student_close(&student);
    sac_student_pool_close(&pool);
    sac_model_close(&model);
    return status;
}

int main(int argc, char **argv) {
    settings s;
    sac_options_result parsed;
    sac_error error = {0};
    int code = sac_tool_start(&command, &s, argc, argv, &parsed);
    if (code >= 0) return code;
    sac_interrupt_install();
    sac_status status = calibrate(&s, parsed.positional, parsed.positional_count, &error);
    if (status >= 0) status = sac_tool_flush(&error);
    code = status < 0 ? sac_tool_fail(command.name, status, &error) : SAC_EXIT_OK;
    if (code == SAC_EXIT_OK) sac_tool_finish(command.name, s.tool.quiet);
    sac_options_close(&parsed);
    return code;
}
