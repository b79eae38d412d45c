// teach: detects objects, trains a teacher on the training clips of a data set, scores every object of every
// clip and writes the anomaly maps as a map store. Test labels are only used to print a table at the end.
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/check.h"
#include "core/file.h"
#include "core/json.h"
#include "core/memory.h"
#include "core/npy.h"
#include "core/time.h"
#include "core/tool.h"
#include "eval/frame_eval.h"
#include "nn/infer.h"
#include "saccade/version.h"
#include "teachers/maps.h"
#include "teachers/ssmtl_train.h"
#include "video/dataset.h"
#include "video/overlay.h"

typedef struct settings {
    sac_tool_settings tool;
    const char *dataset, *detector, *output, *overlays;
    sac_text_list overlay;
    int teacher, backbone, backend, schedule;
    bool resume, overwrite;
    double min_confidence, motion_threshold, min_area;
    int64_t epochs, samples_per_epoch, validation_samples, batch, crop_size, block, filter;
    double learning_rate, max_minutes, checkpoint_minutes;
} settings;

// clang-format off
static const sac_option options[] = {
    {.name = "", .help = "What to learn from"},
    {.name = "dataset", .letter = 'i', .type = SAC_OPTION_TEXT, .offset = offsetof(settings, dataset),
     .argument = "DIR", .help = "data set; auto:DIR, ucsd:DIR or generic:DIR names its layout"},
    {.name = "detector", .type = SAC_OPTION_TEXT, .offset = offsetof(settings, detector),
     .text = "motion", .argument = "LIST",
     .help = "motion, boxes:FILE.csv (clip,frame,x1,y1,x2,y2[,confidence][,class]), or several separated by "
             "commas"},
    {.name = "min-confidence", .type = SAC_OPTION_REAL, .offset = offsetof(settings, min_confidence),
     .number = 0.5, .min = 0, .max = 1, .help = "boxes below are dropped"},
    {.name = "motion-threshold", .type = SAC_OPTION_REAL, .offset = offsetof(settings, motion_threshold),
     .number = 14, .min = 0.5, .max = 255, .help = "gray levels above the noise that count as motion"},
    {.name = "min-area", .type = SAC_OPTION_REAL, .offset = offsetof(settings, min_area),
     .number = 40, .min = 1, .max = 1e6, .argument = "PX", .help = "pixels of the smallest moving blob"},
    {.name = "", .help = "The teacher and its training"},
    {.name = "teacher", .type = SAC_OPTION_CHOICE, .offset = offsetof(settings, teacher),
     .choices = "ssmtl", .help = "teacher family"},
    {.name = "backbone", .type = SAC_OPTION_CHOICE, .offset = offsetof(settings, backbone),
     .choices = SAC_SSMTL_BACKBONES, .help = "shared 3D network"},
    {.name = "crop-size", .type = SAC_OPTION_INT, .offset = offsetof(settings, crop_size),
     .number = 64, .min = 16, .max = 256, .argument = "PX", .help = "side of an object's crops"},
    {.name = "epochs", .type = SAC_OPTION_INT, .offset = offsetof(settings, epochs),
     .number = 6, .min = 1, .max = 100000, .help = "validations during training"},
    {.name = "samples-per-epoch", .type = SAC_OPTION_INT, .offset = offsetof(settings, samples_per_epoch),
     .number = 4096, .min = 0, .max = 1e9, .help = "objects trained on between validations; 0: all"},
    {.name = "validation-samples", .type = SAC_OPTION_INT, .offset = offsetof(settings, validation_samples),
     .number = 1024, .min = 0, .max = 1e9, .help = "held-back objects per validation; 0: all"},
    {.name = "batch", .type = SAC_OPTION_INT, .offset = offsetof(settings, batch),
     .number = 64, .min = 2, .max = 4096, .help = "objects per step"},
    {.name = "learning-rate", .type = SAC_OPTION_REAL, .offset = offsetof(settings, learning_rate),
     .number = 1e-3, .min = 1e-9, .max = 1, .help = "of Adam, at the start"},
    {.name = "schedule", .type = SAC_OPTION_CHOICE, .offset = offsetof(settings, schedule),
     .choices = "cosine|constant", .help = "course of the learning rate"},
    {.name = "max-minutes", .type = SAC_OPTION_REAL, .offset = offsetof(settings, max_minutes),
     .number = 0, .min = 0, .max = 1e6, .help = "training ends after so long; 0: no limit"},
    {.name = "backend", .type = SAC_OPTION_CHOICE, .offset = offsetof(settings, backend),
     .choices = "onednn|ref", .help = "ref repeats the run on the plain reference (slow)"},
    {.name = "", .help = "What to write"},
    {.name = "output", .letter = 'o', .type = SAC_OPTION_TEXT, .offset = offsetof(settings, output),
     .argument = "DIR", .help = "map store to make"},
    {.name = "block", .type = SAC_OPTION_INT, .offset = offsetof(settings, block),
     .number = 0, .min = 0, .max = 4096, .argument = "PX",
     .help = "pixels per cell of the painted map; 0: an 80th of the height"},
    {.name = "filter", .type = SAC_OPTION_INT, .offset = offsetof(settings, filter),
     .number = 9, .min = 1, .max = SAC_MAPS_MAX_FILTER, .argument = "N",
     .help = "side of the mean filter over covered map cells and frames, odd; 1: none"},
    {.name = "overlay", .type = SAC_OPTION_LIST, .offset = offsetof(settings, overlay),
     .argument = "CLIP=FILE", .help = "also write a video of this clip with its map and scored boxes"},
    {.name = "overlays", .type = SAC_OPTION_TEXT, .offset = offsetof(settings, overlays),
     .argument = "DIR", .help = "such videos of all test clips"},
    {.name = "resume", .type = SAC_OPTION_BOOL, .offset = offsetof(settings, resume),
     .help = "continue an interrupted run of the same settings exactly"},
    {.name = "overwrite", .type = SAC_OPTION_BOOL, .offset = offsetof(settings, overwrite),
     .help = "discard what the output folder holds"},
    {.name = "checkpoint-minutes", .type = SAC_OPTION_REAL, .offset = offsetof(settings, checkpoint_minutes),
     .number = 2, .min = 0, .max = 1e6, .help = "between checkpoints; 0: after every step"},
    SAC_TOOL_OPTIONS(settings),
    {.name = NULL},
};
// clang-format on

static const sac_command command = {
    .name = "teach",
    .usage = "--dataset DIR [--detector LIST] -o MAPS [options]",
    .description = "Trains a teacher on the training clips of a data set and writes its anomaly "
                   "maps of every clip.\n\n"
                   "  teach --dataset UCSDped2 -o runs/motion\n"
                   "  teach --dataset UCSDped2 --detector boxes:train.csv,boxes:test.csv -o "
                   "runs/yolo --overlays "
                   "runs/yolo/videos\n\n"
                   "A run that was stopped or killed continues with the same command and --resume.",
    .options = options,
    .min_positional = 0,
    .max_positional = 0,
};

// Overlay videos of picture folders have no rate of their own.
static const double OVERLAY_RATE = 10;

// A clip of the data set with what was found in it.
typedef struct work_clip {
    const sac_clip *clip;
    uint8_t *pixels; // training clips stay loaded until training ends
    int width, height;
    sac_detections detections;
    float *tasks;        // [count][SAC_SSMTL_TASKS]
    float *scores;       // [count]
    float *frame_scores; // [frames], of test clips
} work_clip;

typedef struct run {
    settings set;
    sac_logger logger;
    sac_error error;
    sac_dataset *dataset;
    sac_detector *detector;
    work_clip *clips;
    char *work, *checkpoint,
        *stamp; // folder for intermediate files; settings that a resumed run must share
    int block;
    sac_ssmtl_model *model;
    sac_ssmtl_report report;
    sac_progress *progress;
    int64_t progress_base; // done before this run
    int64_t objects, scored;
    double scoring_s;
    json_t *table; // AUC rows
} run;

static void say(run *r, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void say(run *r, const char *format, ...) {
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    r->logger.write(r->logger.user, SAC_LOG_INFO, text);
}

static sac_status interrupted(sac_error *error, const char *where) {
    return sac_error_set(error, SAC_ERROR_INTERRUPTED, -1,
                         "interrupted while %s; continue with --resume", where);
}

// ---- set-up ------------------------------------------------------------------------------------------------

// Removes the files of a folder, and the folder.
static sac_status remove_folder(const char *path, sac_error *error) {
    sac_status status = SAC_OK;
    char **names = NULL;
    int64_t count = 0;
    if (!sac_is_folder(path)) return SAC_OK;
    SAC_TRY(sac_folder_list(&names, &count, path, error));
    for (int64_t i = 0; i < count; i++) {
        char *file = sac_path_join(path, names[i]);
        SAC_TRY_ALLOC(file);
        int failed = unlink(file);
        if (failed != 0) {
            status = sac_error_set(error, SAC_ERROR_IO, -1, "%s: cannot be removed", file);
        }
        sac_free(file);
        SAC_TRY(status);
    }
    if (rmdir(path) != 0) {
        status = sac_error_set(error, SAC_ERROR_IO, -1, "%s: cannot be removed", path);
    }
fail:
    sac_free(names);
    return status;
}

// A finished or unfinished run in the output folder is never overwritten by accident.
static sac_status check_output(run *r, bool *finished) {
    sac_status status = SAC_OK;
    char *store = sac_path_join(r->set.output, "store.json");
    SAC_TRY_ALLOC(store);
    *finished = false;
    if (r->set.resume && r->set.overwrite) {
        status = sac_error_set(&r->error, SAC_ERROR_ARGUMENT, -1,
                               "--resume and --overwrite exclude each other");
        goto fail;
    }
    if (r->set.overwrite) {
        SAC_TRY(remove_folder(r->work, &r->error));
        // From now on the folder is an unfinished run.
        if (sac_is_file(store) && unlink(store) != 0) {
            status = sac_error_set(&r->error, SAC_ERROR_IO, -1, "%s: cannot be removed", store);
        }
    } else if (sac_is_file(store)) {
        if (r->set.resume) {
            *finished = true;
        } else {
            status = sac_error_set(&r->error, SAC_ERROR_ARGUMENT, -1,
                                   "%s: holds finished maps; add --overwrite to replace them",
                                   r->set.output);
        }
    } else if (!r->set.resume && sac_is_folder(r->work)) {
        status =
            sac_error_set(&r->error, SAC_ERROR_ARGUMENT, -1,
                          "%s: holds an unfinished run; continue it with --resume or discard it "
                          "with --overwrite",
                          r->set.output);
    }
fail:
    sac_free(store);
    return status;
}

// What determines the result, as one line of JSON.
static sac_status make_stamp(run *r) {
    const settings *s = &r->set;
    json_t *json = json_pack(
        "{s:s, s:s, s:f, s:f, s:f, s:s, s:I, s:I, s:I, s:I, s:I, s:f, s:i, s:I, s:i, s:f}",
        "dataset", r->dataset->fingerprint, "detector", sac_detector_text(r->detector),
        "min_confidence", s->min_confidence, "motion_threshold", s->motion_threshold, "min_area",
        s->min_area, "backbone", sac_ssmtl_backbone_at(s->backbone)->name, "crop_size",
        (json_int_t)s->crop_size, "batch", (json_int_t)s->batch, "epochs", (json_int_t)s->epochs,
        "samples_per_epoch", (json_int_t)s->samples_per_epoch, "validation_samples",
        (json_int_t)s->validation_samples, "learning_rate", s->learning_rate, "schedule",
        s->schedule, "seed", (json_int_t)s->tool.seed, "backend", s->backend, "max_minutes",
        s->max_minutes);
    char *text = json == NULL ? NULL : json_dumps(json, JSON_COMPACT | JSON_SORT_KEYS);
    r->stamp = text == NULL ? NULL : sac_strdup(text);
    json_decref(json);
    free(text);
    return r->stamp == NULL ? SAC_ERROR_MEMORY : SAC_OK;
}

static sac_status load_pixels(run *r, work_clip *c) {
    if (c->pixels != NULL) return SAC_OK;
    c->width = c->height = 0;
    return sac_clip_load(&c->pixels, &c->width, &c->height, 1, c->clip, &r->error);
}

static sac_status open_run(run *r) {
    sac_status status = SAC_OK;
    SAC_TRY(sac_dataset_open(&r->dataset, r->set.dataset, &r->logger, &r->error));
    if (r->dataset->train_count < 1) {
        status = sac_error_set(&r->error, SAC_ERROR_FORMAT, -1,
                               "%s: has no training clips, a teacher cannot be trained",
                               r->dataset->path);
        goto fail;
    }
    sac_detector_options detector = {.min_confidence = r->set.min_confidence,
                                     .motion_threshold = r->set.motion_threshold,
                                     .min_area_px = r->set.min_area};
    SAC_TRY(sac_detector_open(&r->detector, r->set.detector, &detector, &r->error));
    SAC_TRY_ALLOC(r->clips = sac_calloc(r->dataset->count, sizeof *r->clips));
    for (int64_t i = 0; i < r->dataset->count; i++) r->clips[i].clip = &r->dataset->clips[i];
    for (int64_t i = 0; i < r->set.overlay.count; i++) {
        const char *item = r->set.overlay.items[i];
        size_t length = strcspn(item, "=");
        char *name = sac_format("%.*s", (int)length, item);
        SAC_TRY_ALLOC(name);
        bool known = item[length] == '=' && item[length + 1] != '\0' &&
                     sac_dataset_find(r->dataset, name) != NULL;
        sac_free(name);
        if (!known) {
            status = sac_error_set(&r->error, SAC_ERROR_ARGUMENT, -1,
                                   "--overlay '%s': expected CLIP=FILE with a clip of the data set",
                                   item);
            goto fail;
        }
    }
    if (r->set.filter % 2 == 0) {
        status = sac_error_set(&r->error, SAC_ERROR_ARGUMENT, -1,
                               "--filter %lld: expected an odd number", (long long)r->set.filter);
        goto fail;
    }
    r->block = (int)r->set.block;
    if (r->block == 0) r->block = r->dataset->height >= 160 ? r->dataset->height / 80 : 1;
    SAC_TRY(make_stamp(r));
fail:
    return status;
}

// ---- detections --------------------------------------------------------------------------------------------

static sac_status detect_all(run *r) {
    sac_status status = SAC_OK;
    int64_t count = r->dataset->count;
    SAC_TRY(sac_progress_open(&r->progress, "detect", "clips", count, &r->set.tool));
    for (int64_t i = 0; i < r->dataset->train_count; i++) {
        work_clip *c = &r->clips[i];
        if (sac_interrupted()) SAC_TRY(interrupted(&r->error, "learning the size of people"));
        SAC_TRY(sac_detector_learn(r->detector, c->pixels, c->clip->frames, c->width, c->height,
                                   &r->error));
    }
    for (int64_t i = 0; i < count; i++) {
        work_clip *c = &r->clips[i];
        if (sac_interrupted()) SAC_TRY(interrupted(&r->error, "detecting objects"));
        SAC_TRY(load_pixels(r, c));
        SAC_TRY(sac_detector_run(r->detector, &c->detections, c->clip, c->pixels, c->width,
                                 c->height, &r->error));
        if (c->clip->test) {
            sac_free(c->pixels);
            c->pixels = NULL;
        }
        sac_progress_update(r->progress, i + 1, c->clip->name);
    }
fail:
    sac_progress_close(&r->progress);
    return status;
}

// From the cache of an interrupted run, or anew.
static sac_status get_detections(run *r) {
    sac_status status = SAC_OK;
    int64_t count = r->dataset->count;
    const char **names = NULL;
    int64_t *frames = NULL;
    sac_detections *all = NULL;
    char *path = sac_path_join(r->work, "detections.safetensors");
    SAC_TRY_ALLOC(path);
    SAC_TRY_ALLOC(names = sac_calloc(count, sizeof *names));
    SAC_TRY_ALLOC(frames = sac_calloc(count, sizeof *frames));
    SAC_TRY_ALLOC(all = sac_calloc(count, sizeof *all));
    for (int64_t i = 0; i < count; i++) {
        names[i] = r->clips[i].clip->name;
        frames[i] = r->clips[i].clip->frames;
    }
    for (int64_t i = 0; i < r->dataset->train_count; i++) {
        if (sac_interrupted()) SAC_TRY(interrupted(&r->error, "loading clips"));
        SAC_TRY(load_pixels(r, &r->clips[i]));
    }
    if (r->set.resume && sac_is_file(path)) {
        SAC_TRY(sac_detections_read(path, names, frames, all, count, r->stamp, &r->error));
        for (int64_t i = 0; i < count; i++) r->clips[i].detections = all[i];
    } else {
        SAC_TRY(detect_all(r));
        for (int64_t i = 0; i < count; i++) all[i] = r->clips[i].detections;
        SAC_TRY(sac_detections_write(path, names, all, count, r->stamp, &r->error));
    }
    int64_t training = 0;
    for (int64_t i = 0; i < count; i++) {
        r->objects += all[i].count;
        if (!r->clips[i].clip->test) training += all[i].count;
    }
    say(r, "%lld objects in %lld training clips, %lld in %lld test clips (%s)", (long long)training,
        (long long)r->dataset->train_count, (long long)(r->objects - training),
        (long long)(count - r->dataset->train_count), sac_detector_text(r->detector));
fail:
    sac_free(path);
    sac_free(names);
    sac_free(frames);
    sac_free(all); // the clips own what it points to
    return status;
}

// ---- training ----------------------------------------------------------------------------------------------

static void on_progress(void *user, int64_t done, int64_t total, double loss) {
    run *r = user;
    char note[32];
    if (r->progress == NULL) {
        // A resumed run shows the rate and the rest of what is left to do.
        r->progress_base = done - r->set.batch;
        if (sac_progress_open(&r->progress, "train", "samples", total - r->progress_base,
                              &r->set.tool) < 0) {
            return;
        }
    }
    (void)snprintf(note, sizeof note, "loss %.4f", loss);
    sac_progress_update(r->progress, done - r->progress_base, note);
}

static sac_status write_metrics(run *r, const sac_ssmtl_epoch *epochs, int64_t count, int64_t best,
                                sac_error *error) {
    sac_status status = SAC_OK;
    sac_file_writer *writer = NULL;
    char *path = sac_path_join(r->set.output, "metrics.csv");
    SAC_TRY_ALLOC(path);
    SAC_TRY(sac_file_writer_open(&writer, path, error));
    SAC_TRY(sac_file_printf(
        writer, error,
        "epoch,samples,learning_rate,seconds,train_loss,train_middle,train_arrow,"
        "train_irregularity,train_arrow_accuracy,train_irregularity_accuracy,valid_loss,"
        "valid_middle,valid_arrow,valid_irregularity,valid_arrow_accuracy,"
        "valid_irregularity_accuracy,best\n"));
    for (int64_t i = 0; i < count; i++) {
        const sac_ssmtl_epoch *e = &epochs[i];
        const sac_ssmtl_losses *t = &e->train, *v = &e->valid;
        SAC_TRY(sac_file_printf(writer, error,
                                "%lld,%lld,%.6g,%.1f,%.6g,%.6g,%.6g,%.6g,%.4f,%.4f,%.6g,%.6g,"
                                "%.6g,%.6g,%.4f,%.4f,%d\n",
                                (long long)e->epoch, (long long)e->samples, e->learning_rate,
                                e->seconds, t->total, t->middle, t->arrow, t->irregularity,
                                t->arrow_accuracy, t->irregularity_accuracy, v->total, v->middle,
                                v->arrow, v->irregularity, v->arrow_accuracy,
                                v->irregularity_accuracy, i == best));
    }
    SAC_TRY(sac_file_writer_commit(&writer, error));
fail:
    sac_file_writer_close(&writer);
    sac_free(path);
    return status;
}

static sac_status on_epoch(void *user, const sac_ssmtl_epoch *epochs, int64_t count, int64_t best,
                           sac_error *error) {
    run *r = user;
    const sac_ssmtl_epoch *e = &epochs[count - 1];
    say(r,
        "epoch %lld/%lld: train %.4f, valid %.4f (middle %.4f, arrow %.4f %.1f %%, irregularity "
        "%.4f %.1f %%)%s",
        (long long)e->epoch, (long long)r->set.epochs, e->train.total, e->valid.total,
        e->valid.middle, e->valid.arrow, 100 * e->valid.arrow_accuracy, e->valid.irregularity,
        100 * e->valid.irregularity_accuracy, best == count - 1 ? ", best" : "");
    return write_metrics(r, epochs, count, best, error);
}

static sac_status train(run *r) {
    sac_status status = SAC_OK;
    int64_t count = r->dataset->train_count;
    sac_ssmtl_clip *clips = sac_calloc(count, sizeof *clips);
    SAC_TRY_ALLOC(clips);
    for (int64_t i = 0; i < count; i++) {
        const work_clip *c = &r->clips[i];
        clips[i] = (sac_ssmtl_clip){.pixels = c->pixels,
                                    .width = c->width,
                                    .height = c->height,
                                    .detections = &c->detections};
    }
    sac_ssmtl_options o = {.backbone = r->set.backbone,
                           .crop_size = r->set.crop_size,
                           .batch = r->set.batch,
                           .epochs = r->set.epochs,
                           .samples_per_epoch = r->set.samples_per_epoch,
                           .validation_samples = r->set.validation_samples,
                           .learning_rate = r->set.learning_rate,
                           .cosine = r->set.schedule == 0,
                           .max_minutes = r->set.max_minutes,
                           .checkpoint_minutes = r->set.checkpoint_minutes,
                           .seed = (uint64_t)r->set.tool.seed,
                           .backend = r->set.backend == 1 ? SAC_BACKEND_REF : SAC_BACKEND_ONEDNN};
    sac_ssmtl_listener listener = {
        .user = r, .stop = sac_interrupted, .progress = on_progress, .epoch = on_epoch};
    status = sac_ssmtl_train(&r->model, &r->report, clips, count, &o, r->checkpoint, r->set.resume,
                             r->stamp, &listener, &r->error);
    sac_progress_close(&r->progress);
    SAC_TRY(status);
    SAC_TRY(write_metrics(r, r->report.epochs, r->report.count, r->report.best, &r->error));
    if (r->report.best < 0 || r->report.best >= r->report.count) {
        status = sac_error_set(&r->error, SAC_ERROR_NUMERIC, -1, "no epoch was finished");
        goto fail;
    }
    say(r, "trained on %lld samples in %.1f minutes, kept epoch %lld", (long long)r->report.samples,
        r->report.seconds / 60, (long long)r->report.best + 1);
fail:
    sac_free(clips);
    return status;
}

// ---- scoring -----------------------------------------------------------------------------------------------

static void on_scored(void *user, int64_t done) {
    run *r = user;
    sac_progress_update(r->progress, r->progress_base + done, NULL);
}

// Raw task scores of one clip, from the file of an interrupted run or by the network.
static sac_status score_clip(run *r, work_clip *c, sac_ssmtl_scorer *scorer) {
    sac_status status = SAC_OK;
    sac_npy npy = {0};
    int64_t dims[2] = {c->detections.count, SAC_SSMTL_TASKS};
    char *path = sac_format("%s/%s.tasks.npy", r->work, c->clip->name);
    SAC_TRY_ALLOC(path);
    SAC_TRY_ALLOC(c->tasks = sac_calloc(dims[0] * dims[1], sizeof(float)));
    SAC_TRY_ALLOC(c->scores = sac_calloc(dims[0], sizeof(float)));
    if (dims[0] == 0) goto fail;
    if (r->set.resume && sac_is_file(path)) {
        SAC_TRY(sac_npy_read(&npy, path, &r->error));
        if (npy.ndims == 2 && npy.dims[0] == dims[0] && npy.dims[1] == dims[1]) {
            memcpy(c->tasks, npy.data, (size_t)(dims[0] * dims[1]) * sizeof(float));
            goto fail;
        }
    }
    SAC_TRY(load_pixels(r, c));
    double start = sac_time_s();
    SAC_TRY(sac_ssmtl_scorer_run(scorer, c->tasks, &c->detections, c->pixels, c->width, c->height,
                                 sac_interrupted, on_scored, r, &r->error));
    r->scoring_s += sac_time_s() - start;
    r->scored += dims[0];
    SAC_TRY(sac_npy_write(path, c->tasks, 2, dims, &r->error));
fail:
    sac_npy_close(&npy);
    sac_free(path);
    return status;
}

static sac_status score_all(run *r) {
    sac_status status = SAC_OK;
    sac_ssmtl_scorer *scorer = NULL;
    float *held = NULL;
    SAC_TRY(sac_ssmtl_scorer_create(&scorer, r->model, r->set.batch,
                                    r->set.backend == 1 ? SAC_BACKEND_REF : SAC_BACKEND_ONEDNN,
                                    &r->error));
    r->progress_base = 0;
    SAC_TRY(sac_progress_open(&r->progress, "score", "objects", r->objects, &r->set.tool));
    int64_t held_count = 0;
    for (int64_t i = 0; i < r->dataset->count; i++) {
        work_clip *c = &r->clips[i];
        SAC_TRY(score_clip(r, c, scorer));
        r->progress_base += c->detections.count;
        sac_progress_update(r->progress, r->progress_base, c->clip->name);
        sac_free(c->pixels); // overlays load the few clips they need again
        c->pixels = NULL;
        if (!c->clip->test) {
            held_count += c->detections.count - sac_ssmtl_train_count(c->detections.count);
        }
    }
    SAC_TRY_ALLOC(held = sac_calloc(held_count * SAC_SSMTL_TASKS, sizeof *held));
    int64_t at = 0;
    for (int64_t i = 0; i < r->dataset->train_count; i++) {
        const work_clip *c = &r->clips[i];
        for (int64_t k = sac_ssmtl_train_count(c->detections.count); k < c->detections.count; k++) {
            memcpy(held + at++ * SAC_SSMTL_TASKS, c->tasks + k * SAC_SSMTL_TASKS,
                   SAC_SSMTL_TASKS * sizeof *held);
        }
    }
    SAC_TRY(sac_ssmtl_calibrate(&r->model->calibration, held, held_count, &r->error));
    for (int64_t i = 0; i < r->dataset->count; i++) {
        work_clip *c = &r->clips[i];
        for (int64_t k = 0; k < c->detections.count; k++) {
            c->scores[k] =
                sac_ssmtl_object_score(&r->model->calibration, c->tasks + k * SAC_SSMTL_TASKS);
        }
    }
fail:
    sac_progress_close(&r->progress);
    sac_ssmtl_scorer_close(&scorer);
    sac_free(held);
    return status;
}

// ---- output ------------------------------------------------------------------------------------------------

static sac_status write_objects(run *r) {
    sac_status status = SAC_OK;
    sac_file_writer *writer = NULL;
    char *path = sac_path_join(r->set.output, "objects.csv");
    SAC_TRY_ALLOC(path);
    SAC_TRY(sac_file_writer_open(&writer, path, &r->error));
    SAC_TRY(sac_file_printf(writer, &r->error, "clip,frame,x1,y1,x2,y2,confidence,class,score"));
    for (int k = 0; k < SAC_SSMTL_TASKS; k++) {
        SAC_TRY(sac_file_printf(writer, &r->error, ",%s", sac_ssmtl_task_name(k)));
    }
    SAC_TRY(sac_file_printf(writer, &r->error, "\n"));
    for (int64_t c = 0; c < r->dataset->count; c++) {
        const work_clip *clip = &r->clips[c];
        const sac_detections *d = &clip->detections;
        for (int64_t t = 0; t < d->frames; t++) {
            for (int64_t i = d->start[t]; i < d->start[t + 1]; i++) {
                const sac_box *b = &d->boxes[i];
                SAC_TRY(sac_file_printf(
                    writer, &r->error, "%s,%lld,%.9g,%.9g,%.9g,%.9g,%.9g,%d,%.9g", clip->clip->name,
                    (long long)t + 1, (double)b->x1, (double)b->y1, (double)b->x2, (double)b->y2,
                    (double)b->confidence, (int)b->class_id, (double)clip->scores[i]));
                for (int k = 0; k < SAC_SSMTL_TASKS; k++) {
                    SAC_TRY(sac_file_printf(writer, &r->error, ",%.9g",
                                            (double)clip->tasks[i * SAC_SSMTL_TASKS + k]));
                }
                SAC_TRY(sac_file_printf(writer, &r->error, "\n"));
            }
        }
    }
    SAC_TRY(sac_file_writer_commit(&writer, &r->error));
fail:
    sac_file_writer_close(&writer);
    sac_free(path);
    return status;
}

static json_t *losses_json(const sac_ssmtl_losses *l) {
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "total", sac_json_number(l->total), "middle",
                     sac_json_number(l->middle), "arrow", sac_json_number(l->arrow), "irregularity",
                     sac_json_number(l->irregularity), "arrow_accuracy",
                     sac_json_number(l->arrow_accuracy), "irregularity_accuracy",
                     sac_json_number(l->irregularity_accuracy));
}

static json_t *metrics_json(const run *r) {
    const sac_ssmtl_report *p = &r->report;
    const sac_ssmtl_epoch *best = &p->epochs[p->best];
    const sac_ssmtl_calibration *c = &r->model->calibration;
    json_t *calibration = json_object();
    for (int k = 0; k < SAC_SSMTL_TASKS; k++) {
        json_t *row = json_pack("{s:f, s:f}", "median", c->median[k], "q99", c->high[k]);
        if (json_object_set_new(calibration, sac_ssmtl_task_name(k), row) != 0) {
            json_decref(calibration);
            return NULL;
        }
    }
    double rate = p->seconds > 0 ? (double)p->samples / p->seconds : NAN;
    double scoring = r->scored > 0 ? (double)r->scored / r->scoring_s : NAN;
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:f, s:o, s:o, s:o, s:o, s:o}", "epochs",
                     (json_int_t)p->count, "best_epoch", (json_int_t)p->best + 1, "samples",
                     (json_int_t)p->samples, "training_objects", (json_int_t)p->training_objects,
                     "held_back_objects", (json_int_t)p->held_back_objects, "training_minutes",
                     p->seconds / 60, "samples_per_s", sac_json_number(rate), "scored_per_s",
                     sac_json_number(scoring), "train", losses_json(&best->train), "valid",
                     losses_json(&best->valid), "calibration", calibration);
}

static json_t *provenance_json(const run *r) {
    json_t *all = sac_options_to_json(&command, &r->set);
    // Where files lie on this machine is nobody's business, and no part of the method.
    static const char *const local[] = {"dataset",  "detector",  "output", "overlay",
                                        "overlays", "resume",    "json",   "progress",
                                        "quiet",    "overwrite", "config"};
    for (size_t i = 0; i < sizeof local / sizeof local[0]; i++) {
        (void)json_object_del(all, local[i]);
    }
    return json_pack("{s:s, s:{s:s, s:s, s:i, s:i}, s:s, s:i, s:i, s:o, s:o, s:s, s:s, s:s}",
                     "teacher", "ssmtl", "dataset", "name", r->dataset->name, "fingerprint",
                     r->dataset->fingerprint, "width", r->dataset->width, "height",
                     r->dataset->height, "detector", sac_detector_text(r->detector), "block",
                     r->block, "filter", (int)r->set.filter, "settings", all, "metrics",
                     metrics_json(r), "program", sac_version(), "commit", sac_commit(), "backend",
                     sac_nn_backend_version());
}

static sac_status write_overlay(run *r, work_clip *c, const sac_maps *maps, const char *path) {
    sac_status status = SAC_OK;
    sac_overlay *overlay = NULL;
    sac_overlay_box *boxes = NULL;
    const sac_detections *d = &c->detections;
    int64_t picture = 0;
    SAC_TRY(load_pixels(r, c));
    picture = (int64_t)c->width * c->height;
    SAC_TRY_ALLOC(boxes = sac_calloc(d->count, sizeof *boxes));
    for (int64_t i = 0; i < d->count; i++) {
        const sac_box *b = &d->boxes[i];
        boxes[i] = (sac_overlay_box){b->x1, b->y1, b->x2, b->y2, c->scores[i]};
    }
    SAC_TRY(sac_overlay_open(&overlay, path, c->width, c->height, OVERLAY_RATE, d->frames,
                             c->clip->labels, 1, &r->error));
    for (int64_t t = 0; t < d->frames; t++) {
        if (sac_interrupted()) SAC_TRY(interrupted(&r->error, "writing videos"));
        SAC_TRY(sac_overlay_frame(overlay, c->pixels + t * picture, 1, maps->map16 + t * 256, 16,
                                  16, boxes + d->start[t], d->start[t + 1] - d->start[t],
                                  maps->map1[t], c->clip->name, &r->error));
    }
    SAC_TRY(sac_overlay_commit(&overlay, &r->error));
    say(r, "wrote %s", path);
fail:
    sac_overlay_close(&overlay);
    sac_free(boxes);
    sac_free(c->pixels);
    c->pixels = NULL;
    return status;
}

// The videos asked for of one clip.
static sac_status write_overlays(run *r, work_clip *c, const sac_maps *maps) {
    sac_status status = SAC_OK;
    char *path = NULL;
    size_t length = strlen(c->clip->name);
    for (int64_t i = 0; i < r->set.overlay.count; i++) {
        const char *item = r->set.overlay.items[i];
        if (strncmp(item, c->clip->name, length) != 0 || item[length] != '=') continue;
        SAC_TRY(write_overlay(r, c, maps, item + length + 1));
    }
    if (r->set.overlays != NULL && c->clip->test) {
        SAC_TRY_ALLOC(path = sac_format("%s/%s.mp4", r->set.overlays, c->clip->name));
        SAC_TRY(sac_folder_create(r->set.overlays, &r->error));
        SAC_TRY(write_overlay(r, c, maps, path));
    }
fail:
    sac_free(path);
    return status;
}

static sac_status write_store(run *r) {
    sac_status status = SAC_OK;
    sac_map_store *store = NULL;
    sac_maps maps = {0};
    json_t *provenance = provenance_json(r);
    char *path = sac_path_join(r->set.output, "teacher.safetensors");
    SAC_TRY_ALLOC(provenance);
    SAC_TRY_ALLOC(path);
    SAC_TRY(sac_map_store_create(&store, r->set.output, &r->error));
    SAC_TRY(sac_ssmtl_model_write(r->model, path, provenance, &r->error));
    SAC_TRY(write_objects(r));
    for (int64_t i = 0; i < r->dataset->count; i++) {
        work_clip *c = &r->clips[i];
        if (c->width == 0) SAC_TRY(load_pixels(r, c)); // a resumed run has not seen its size yet
        SAC_TRY(sac_maps_paint(&maps, &c->detections, c->scores, c->width, c->height, r->block,
                               (int)r->set.filter));
        SAC_TRY(sac_map_store_put(store, c->clip->name, c->clip->test, &maps, &r->error));
        SAC_TRY(write_overlays(r, c, &maps));
        if (c->clip->test) {
            c->frame_scores = maps.map1;
            maps.map1 = NULL;
        }
        sac_maps_close(&maps);
        sac_free(c->pixels);
        c->pixels = NULL;
    }
    SAC_TRY(sac_map_store_commit(store, provenance, &r->error));
fail:
    sac_maps_close(&maps);
    sac_map_store_close(&store);
    json_decref(provenance);
    sac_free(path);
    return status;
}

// ---- the table ---------------------------------------------------------------------------------------------

// Frame AUC of the labelled test clips; the largest object score of a frame is its score.
static sac_status evaluate(run *r) {
    sac_status status = SAC_OK;
    int64_t count = 0;
    r->table = json_array();
    sac_eval_clip *clips = sac_calloc(r->dataset->count, sizeof *clips);
    SAC_TRY_ALLOC(clips);
    SAC_TRY_ALLOC(r->table);
    for (int64_t i = 0; i < r->dataset->count; i++) {
        const work_clip *c = &r->clips[i];
        if (!c->clip->test || c->clip->labels == NULL || c->frame_scores == NULL) continue;
        clips[count++] = (sac_eval_clip){.name = c->clip->name,
                                         .scores = c->frame_scores,
                                         .labels = c->clip->labels,
                                         .frames = c->clip->frames};
    }
    for (int kind = SAC_SMOOTHING_NONE; count > 0 && kind <= SAC_SMOOTHING_PAPER; kind++) {
        sac_eval_options o = {.smoothing.kind = (sac_smoothing)kind};
        sac_eval_result result = {0};
        SAC_TRY(sac_eval_frames(&result, clips, count, &o, &r->error));
        json_t *row = json_pack(
            "{s:s, s:o, s:o, s:o, s:o}", "smoothing", sac_smoothing_name((sac_smoothing)kind),
            "micro", sac_json_number(result.micro), "macro", sac_json_number(result.macro),
            "constant_micro", sac_json_number(result.constant_micro), "constant_macro",
            sac_json_number(result.constant_macro));
        sac_eval_result_close(&result);
        if (json_array_append_new(r->table, row) != 0) {
            status = SAC_ERROR_MEMORY;
            goto fail;
        }
    }
fail:
    sac_free(clips);
    return status;
}

static void print_percent(const json_t *row, const char *key) {
    const json_t *value = json_object_get(row, key);
    if (json_is_number(value)) {
        printf(" | %6.2f", 100 * json_number_value(value));
    } else {
        printf(" |      -");
    }
}

static void print_results(const run *r) {
    if (r->set.tool.json) {
        json_t *json = json_pack("{s:s, s:o, s:O}", "output", r->set.output, "metrics",
                                 metrics_json(r), "auc", r->table);
        char *text = json == NULL ? NULL : json_dumps(json, JSON_INDENT(2));
        if (text != NULL) puts(text);
        json_decref(json);
        free(text);
        return;
    }
    if (json_array_size(r->table) == 0) {
        printf("Maps written to %s (the test clips have no labels, so no AUC).\n", r->set.output);
        return;
    }
    printf("Frame AUC of the teacher in %%, for information: never used for selection.\n"
           "No per-video normalisation; clips of one class are left out of macro. The maps are "
           "means over\n"
           "%lld frames around each, before the smoothing named here.\n\n"
           "| smoothing |  micro |  macro |\n"
           "|-----------|-------:|-------:|\n",
           (long long)r->set.filter);
    for (size_t i = 0; i < json_array_size(r->table); i++) {
        const json_t *row = json_array_get(r->table, i);
        printf("| %-9s", json_string_value(json_object_get(row, "smoothing")));
        print_percent(row, "micro");
        print_percent(row, "macro");
        printf(" |\n");
    }
    const json_t *row = json_array_get(r->table, 0);
    printf("| constant ");
    print_percent(row, "constant_micro");
    print_percent(row, "constant_macro");
    printf(" |\n");
}

// ---- main --------------------------------------------------------------------------------------------------

static void close_run(run *r) {
    sac_progress_close(&r->progress);
    for (int64_t i = 0; r->clips != NULL && i < r->dataset->count; i++) {
        sac_free(r->clips[i].pixels);
        sac_free(r->clips[i].tasks);
        sac_free(r->clips[i].scores);
        sac_free(r->clips[i].frame_scores);
        sac_detections_close(&r->clips[i].detections);
    }
    sac_free(r->clips);
    sac_detector_close(&r->detector);
    sac_dataset_close(&r->dataset);
    sac_ssmtl_model_close(&r->model);
    sac_free(r->report.epochs);
    sac_free(r->work);
    sac_free(r->checkpoint);
    sac_free(r->stamp);
    json_decref(r->table);
}

static sac_status teach(run *r) {
    sac_status status = SAC_OK;
    bool finished = false;
    if (r->set.dataset == NULL || r->set.output == NULL) {
        return sac_error_set(&r->error, SAC_ERROR_ARGUMENT, -1, "%s is missing",
                             r->set.dataset == NULL ? "--dataset DIR" : "--output DIR");
    }
    SAC_TRY_ALLOC(r->work = sac_path_join(r->set.output, "work"));
    SAC_TRY_ALLOC(r->checkpoint = sac_path_join(r->work, "checkpoint.safetensors"));
    SAC_TRY(check_output(r, &finished));
    if (finished) {
        say(r, "%s: is finished, nothing to do", r->set.output);
        return SAC_OK;
    }
    sac_nn_set_threads((int)r->set.tool.threads);
    SAC_TRY(open_run(r));
    say(r, "%s: %lld training and %lld test clips of %dx%d; %s", r->dataset->name,
        (long long)r->dataset->train_count,
        (long long)(r->dataset->count - r->dataset->train_count), r->dataset->width,
        r->dataset->height, r->stamp);
    SAC_TRY(sac_folder_create(r->work, &r->error));
    SAC_TRY(get_detections(r));
    SAC_TRY(train(r));
    SAC_TRY(score_all(r));
    SAC_TRY(write_store(r));
    SAC_TRY(remove_folder(r->work, &r->error));
    SAC_TRY(evaluate(r));
    print_results(r);
    SAC_TRY(sac_tool_flush(&r->error));
fail:
    return status;
}

int main(int argc, char **argv) {
    run r = {0};
    sac_options_result parsed = {0};
    int code = sac_tool_start(&command, &r.set, argc, argv, &parsed);
    if (code >= 0) return code;
    r.logger = sac_tool_logger(command.name, r.set.tool.quiet);
    sac_interrupt_install();
    sac_status status = teach(&r);
    code = status < 0 ? sac_tool_fail(command.name, status, &r.error) : SAC_EXIT_OK;
    close_run(&r);
    sac_options_close(&parsed);
    if (code == SAC_EXIT_OK) sac_tool_finish(command.name, r.set.tool.quiet);
    return code;
}
