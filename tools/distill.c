// distill: trains a student on the anomaly maps of one or several teachers. Parses options, shows
// progress, writes the model; the work is in distill/.
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/check.h"
#include "core/file.h"
#include "core/json.h"
#include "core/memory.h"
#include "core/number.h"
#include "core/time.h"
#include "core/tool.h"
#include "distill/initial.h"
#include "distill/pretrain.h"
#include "distill/quantise.h"
#include "distill/run_report.h"
#include "distill/samples.h"
#include "distill/trainer.h"
#include "nn/infer.h"
#include "saccade/version.h"
#include "student/arch.h"
#include "student/heads.h"
#include "student/model.h"

#define NAME "distill"

typedef struct settings {
    sac_tool_settings tool;
    const char *dataset, *output, *arch, *flip, *offsets, *init, *scale_weights, *kinds, *heads,
        *show, *altered_cache;
    sac_text_list teachers;
    int64_t width, height, variants, epochs, samples, batch, patience, shift, adversarial_warmup;
    double validation, pseudo_fraction, learning_rate, weight_decay, emphasis, jitter, gamma, blur,
        noise, compression, adversarial, max_minutes, checkpoint_s;
    int64_t quantise_epochs, pretrain_epochs;
    int pretrain;
    double quantise_rate;
    bool resume, quantise, colour;
    int backend;
} settings;

#define AT(member) .offset = offsetof(settings, member)
// clang-format off
static const sac_option options[] = {
    {.name = "dataset", .letter = 'i', .type = SAC_OPTION_TEXT, AT(dataset), .argument = "DIR",
     .help = "data set with training clips, as given to `teach`"},
    {.name = "teacher", .type = SAC_OPTION_LIST, AT(teachers), .argument = "NAME=MAPS[:WEIGHT]",
     .help = "map folder written by `teach`, or student:MODEL.safetensors for a trained student as "
             "a teacher, with the weight of its loss term (default 1); may be given several times"},
    {.name = "output", .letter = 'o', .type = SAC_OPTION_TEXT, AT(output), .argument = "RUN",
     .help = "folder for student.safetensors, metrics.csv, report.html and checkpoint.safetensors"},
    {.name = "resume", .type = SAC_OPTION_BOOL, AT(resume),
     .help = "go on from RUN/checkpoint.safetensors, exactly as if never stopped"},
    {.name = "", .help = "Student"},
    {.name = "arch", .type = SAC_OPTION_TEXT, AT(arch), .text = "tiny-m", .argument = "NAME",
     .help = "architecture: tiny-s, tiny-m, tiny-l or paper; tiny-m*1.5 has 1.5 times the "
             "channels"},
    {.name = "heads", .type = SAC_OPTION_TEXT, AT(heads), .text = "16,4,1", .argument = "LIST",
     .help = "anomaly maps that the student paints: one to three of 16 (16x16), 4 (4x4) and 1 "
             "(1x1); its frame score is the mean of their largest values. Part of the "
             "architecture's name: tiny-m:16,4"},
    {.name = "init", .type = SAC_OPTION_TEXT, AT(init), .argument = "MODEL",
     .help = "begin with the weights of a student of the same architecture instead of random ones"},
    {.name = "width", .type = SAC_OPTION_INT, AT(width), .number = 0, .min = 0, .max = 4096,
     .argument = "PX",
     .help = "width of the network input, at least 16; 0: the architecture's own"},
    {.name = "height", .type = SAC_OPTION_INT, AT(height), .number = 0, .min = 0, .max = 4096,
     .argument = "PX",
     .help = "height of the network input, at least 16; 0: the architecture's own"},
    {.name = "offsets", .type = SAC_OPTION_TEXT, AT(offsets), .text = "-3,0,3", .argument = "A,B,C",
     .help = "frames looked at, relative to the scored one, ascending; -6,-3,0 is causal: no frame "
             "has to be waited for"},
    {.name = "colour", .type = SAC_OPTION_BOOL, AT(colour),
     .help = "the student sees red, green and blue of each frame instead of gray, which is faster "
             "to read from video"},
    {.name = "", .help = "Training data"},
    {.name = "pseudo", .type = SAC_OPTION_INT, AT(variants), .number = 3, .min = 0, .max = 64,
     .argument = "N",
     .help = "altered versions of each training clip (objects sped up, frozen while moving, "
             "pasted elsewhere ...), scored by the teachers; 0: none"},
    {.name = "pseudo-kinds", .type = SAC_OPTION_TEXT, AT(kinds), .text = "default",
     .argument = "KIND[:WEIGHT],...",
     .help = "what is altered and how often: faster, slower, reversed, frozen, elsewhere, rotated, "
             "scaled, texture, shape, appearing, vanishing, control (pasted without a change); "
             "all; default: faster, frozen, elsewhere and control"},
    {.name = "altered-cache", .type = SAC_OPTION_TEXT, AT(altered_cache), .argument = "FOLDER",
     .help = "keep the teachers' maps of altered clips there instead of in RUN: runs with the same "
             "clips, teachers, alterations and seed, one after the other, score them only once"},
    {.name = "show-pseudo", .type = SAC_OPTION_TEXT, AT(show), .argument = "FOLDER",
     .help = "write a contact sheet of each altered clip with each teacher's maps"},
    {.name = "pseudo-fraction", .type = SAC_OPTION_REAL, AT(pseudo_fraction), .number = 0.5,
     .min = 0, .max = 1, .argument = "X",
     .help = "part of the samples that comes from altered clips"},
    {.name = "validation", .type = SAC_OPTION_REAL, AT(validation), .number = 0.15, .min = 0.01,
     .max = 0.9, .argument = "X", .help = "part of the training clips held back for validation"},
    {.name = "jitter", .type = SAC_OPTION_REAL, AT(jitter), .number = 0.1, .min = 0, .max = 0.9,
     .argument = "X", .help = "random change of contrast and brightness"},
    {.name = "flip", .type = SAC_OPTION_TEXT, AT(flip), .text = "auto", .argument = "X|auto",
     .help = "part of the samples mirrored left to right, 0 to 1; auto: 0.5, or 0 when a teacher "
             "knows directions or places (attributes, ensemble)"},
    {.name = "shift", .type = SAC_OPTION_INT, AT(shift), .number = 0, .min = 0, .max = 64,
     .argument = "PX",
     .help = "a sample's frames are moved together by up to so many pixels of the network input"},
    {.name = "gamma", .type = SAC_OPTION_REAL, AT(gamma), .number = 0, .min = 0, .max = 1,
     .argument = "X", .help = "gray levels to a random power between exp(-X) and exp(X)"},
    {.name = "blur", .type = SAC_OPTION_REAL, AT(blur), .number = 0, .min = 0, .max = 1,
     .argument = "X", .help = "random share of a 3x3 blur, up to X"},
    {.name = "noise", .type = SAC_OPTION_REAL, AT(noise), .number = 0, .min = 0, .max = 64,
     .argument = "X",
     .help = "sensor noise, its standard deviation up to so many gray levels; anew in each of a "
             "sample's frames"},
    {.name = "compression", .type = SAC_OPTION_REAL, AT(compression), .number = 0, .min = 0,
     .max = 1, .argument = "X",
     .help = "part of the samples with block artefacts of a compressed video, of random strength"},
    {.name = "", .help = "Training"},
    {.name = "epochs", .type = SAC_OPTION_INT, AT(epochs), .number = 12, .min = 0, .max = 100000,
     .argument = "N", .help = "at most so many epochs; 0 only with --init and "
                              "--quantise: no training in f32"},
    {.name = "samples-per-epoch", .type = SAC_OPTION_INT, AT(samples), .number = 6144, .min = 1,
     .max = 100000000, .argument = "N", .help = "frames drawn for one epoch"},
    {.name = "batch", .type = SAC_OPTION_INT, AT(batch), .number = 4, .min = 1, .max = 4096,
     .argument = "N", .help = "samples a step"},
    {.name = "learning-rate", .type = SAC_OPTION_REAL, AT(learning_rate), .number = 2e-3,
     .min = 1e-7, .max = 1, .argument = "X",
     .help = "of AdamW at the start; a cosine takes it to 1 % of that"},
    {.name = "weight-decay", .type = SAC_OPTION_REAL, AT(weight_decay), .number = 1e-4, .min = 0,
     .max = 1, .argument = "X", .help = "decoupled weight decay"},
    {.name = "emphasis", .type = SAC_OPTION_REAL, AT(emphasis), .number = 4, .min = 0, .max = 1000,
     .argument = "X",
     .help = "extra weight of map cells with a high target; 0: plain mean squared error"},
    {.name = "scale-weights", .type = SAC_OPTION_TEXT, AT(scale_weights), .text = "10,3,1",
     .argument = "A,B,C", .help = "weights of the loss terms of the maps 16x16, 4x4 and 1x1"},
    {.name = "adversarial", .type = SAC_OPTION_REAL, AT(adversarial), .number = 0, .min = 0,
     .max = 100, .argument = "X",
     .help = "weight of the adversarial term: a discriminator per teacher learns to tell its maps "
             "from the student's (0.1 in the paper); 0: none"},
    {.name = "adversarial-warmup", .type = SAC_OPTION_INT, AT(adversarial_warmup), .number = 2,
     .min = 0, .max = 100000, .argument = "N",
     .help = "epochs in which the discriminators learn alone"},
    {.name = "patience", .type = SAC_OPTION_INT, AT(patience), .number = 12, .min = 0,
     .max = 100000, .argument = "N",
     .help = "stop after so many epochs without a better validation loss; 0: never"},
    {.name = "max-time", .type = SAC_OPTION_DURATION, AT(max_minutes), .number = 0, .min = 0,
     .max = 1e6, .help = "end gracefully after so long, all stages together; 0: no limit"},
    {.name = "max-minutes", .type = SAC_OPTION_REAL, AT(max_minutes), .min = 0, .max = 1e6,
     .hidden = true},
    {.name = "checkpoint-seconds", .type = SAC_OPTION_REAL, AT(checkpoint_s), .number = 60,
     .min = 0, .max = 1e6, .argument = "X", .help = "time between checkpoints within an epoch"},
    {.name = "backend", .type = SAC_OPTION_CHOICE, AT(backend), .choices = "onednn|ref",
     .help = "ref repeats the run on the plain reference (very slow)"},
    {.name = "", .help = "Pre-training"},
    {.name = "pretrain", .type = SAC_OPTION_CHOICE, AT(pretrain), .choices = "none|plain|masked",
     .help = "first, without teachers, let the trunk predict the middle frame through a small "
             "decoder that is dropped afterwards; masked: half of the patches are hidden"},
    {.name = "pretrain-epochs", .type = SAC_OPTION_INT, AT(pretrain_epochs), .number = 5, .min = 1,
     .max = 100000, .argument = "N", .help = "epochs of that"},
    {.name = "", .help = "Quantisation"},
    {.name = "quantise", .type = SAC_OPTION_BOOL, AT(quantise),
     .help = "afterwards make RUN/student-int8.safetensors: batch normalisation folded, scales "
             "measured on training samples, weights fine-tuned under fake quantisation"},
    {.name = "quantise-epochs", .type = SAC_OPTION_INT, AT(quantise_epochs), .number = 3, .min = 0,
     .max = 100000, .argument = "N", .help = "epochs of that fine-tuning; 0: none"},
    {.name = "quantise-rate", .type = SAC_OPTION_REAL, AT(quantise_rate), .number = 1e-4,
     .min = 1e-7, .max = 1, .argument = "X", .help = "learning rate of that fine-tuning"},
    SAC_TOOL_OPTIONS(settings),
    {0},
};
// clang-format on

static const sac_command command = {
    .name = NAME,
    .usage = "--dataset DIR --teacher NAME=MAPS[:WEIGHT] ... -o RUN [options]",
    .description =
        "Trains a student, a tiny CNN on whole frames, to imitate the anomaly maps that\n"
        "teachers gave the training clips. Altered versions of the clips, which the teachers\n"
        "score as well, show it what abnormal looks like; test clips and labels are never\n"
        "touched. RUN/student.safetensors is the epoch with the lowest loss on held-back clips.\n"
        "An interrupted run goes on with the same command and --resume.\n"
        "\n"
        "  distill --dataset UCSDped2 --teacher ssmtl=maps -o run\n"
        "  distill --dataset UCSDped2 --teacher ssmtl=maps --teacher "
        "big=student:run/student.safetensors "
        "-o small\n"
        "  student-run -m run/student.safetensors UCSDped2/Test/Test001 --overlay out.mp4",
    .options = options,
    .min_positional = 0,
    .max_positional = 0,
};

// "NAME=MAPS[:WEIGHT]" into its parts; texts are cut out of `copy`.
static sac_status parse_teacher(sac_distill_teacher *teacher, char *copy, const char *text,
                                sac_error *error) {
    char *equals = strchr(copy, '=');
    if (equals == NULL || equals == copy || equals[1] == '\0') {
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "--teacher '%.200s': expected NAME=MAPS or NAME=MAPS:WEIGHT", text);
    }
    *equals = '\0';
    for (const char *c = copy; *c != '\0'; c++) {
        if (strchr("/\\: ", *c) != NULL) {
            return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                                 "--teacher '%.200s': the name must not contain '%c'", text, *c);
        }
    }
    static const char student[] = "student:";
    char *path = equals + 1;
    const bool chained = strncmp(path, student, sizeof student - 1) == 0;
    if (chained) path += sizeof student - 1;
    if (*path == '\0') {
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "--teacher '%.200s': expected NAME=student:MODEL", text);
    }
    *teacher = (sac_distill_teacher){.name = copy, .folder = path, .weight = 1, .student = chained};
    char *colon = strrchr(path, ':');
    double weight = 0;
    // A colon may belong to the path: it starts a weight only before a number.
    if (colon != NULL && sac_number_real(colon + 1, &weight)) {
        if (!(weight > 0 && weight <= 1000)) {
            return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                                 "--teacher '%.200s': the weight must be in (0, 1000]", text);
        }
        *colon = '\0';
        teacher->weight = weight;
    }
    return SAC_OK;
}

// One progress line at a time; it counts what was left when it was opened, so that the rate is this
// run's.
typedef struct display {
    const settings *s;
    sac_progress *progress;
    int64_t begin;
} display;

static void display_show(display *d, const char *label, const char *unit, int64_t done,
                         int64_t before, int64_t total, const char *note) {
    if (d->progress == NULL) {
        d->begin = before;
        if (sac_progress_open(&d->progress, label, unit, total - before, &d->s->tool) < 0) return;
    }
    sac_progress_update(d->progress, done - d->begin, note);
}

static void on_gather(void *user, int64_t done, int64_t total) {
    display_show(user, "gathering", "clips", done, done - 1, total, NULL);
}

static void on_step(void *user, int64_t step, int64_t steps, double loss) {
    display *d = user;
    char note[64];
    const int64_t batch = d->s->batch;
    (void)snprintf(note, sizeof note, "loss %.5f", loss);
    display_show(d, "training", "samples", step * batch, (step - 1) * batch, steps * batch, note);
}

static void on_epoch(void *user, const sac_epoch_metrics *m, bool best) {
    display *d = user;
    if (d->s->tool.quiet) return;
    sac_progress_close(&d->progress);
    char auc[32] = "";
    if (isfinite(m->pseudo_auc)) {
        (void)snprintf(auc, sizeof auc, "  pseudo AUC %.1f", 100 * m->pseudo_auc);
    }
    fprintf(stderr, NAME ": epoch %" PRId64 "  train %.5f  validation %.5f%s  %.0f samples/s%s\n",
            m->epoch, m->train_loss, m->validation_loss, auc, m->samples_per_s,
            best ? "  best" : "");
}

// {"faster": 0.93, ...} of the kinds that occur.
static json_t *kinds_json(const double aucs[SAC_PSEUDO_KIND_COUNT]) {
    json_t *json = json_object();
    for (int k = 0; k < SAC_PSEUDO_KIND_COUNT; k++) {
        if (!isfinite(aucs[k])) continue;
        (void)json_object_set_new(json, sac_pseudo_kind_name((sac_pseudo_kind)k),
                                  json_real(aucs[k]));
    }
    return json;
}

// "faster 93.1, frozen 88.0"; empty where nothing occurs.
static void kinds_text(char *text, size_t size, const double aucs[SAC_PSEUDO_KIND_COUNT]) {
    size_t used = 0;
    text[0] = '\0';
    for (int k = 0; k < SAC_PSEUDO_KIND_COUNT && used < size; k++) {
        if (!isfinite(aucs[k])) continue;
        used += (size_t)snprintf(text + used, size - used, "%s%s %.1f", used > 0 ? ", " : "",
                                 sac_pseudo_kind_name((sac_pseudo_kind)k), 100 * aucs[k]);
    }
}

// What is known of a student that teaches.
static json_t *student_origin(const char *path) {
    sac_model *model = NULL;
    if (sac_model_load(&model, path, NULL) != SAC_OK) return NULL;
    json_t *origin = json_pack("{s:s}", "student", model->arch);
    static const char *const keys[] = {"teachers", "training", "metrics", "commit"};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        json_t *value = json_object_get(model->provenance, keys[i]);
        if (value != NULL) json_object_set_new(origin, keys[i], json_deep_copy(value));
    }
    sac_model_close(&model);
    return origin;
}

static json_t *provenance_make(const settings *s, const sac_dataset *dataset,
                               const sac_distill_teacher *teachers, int teacher_count,
                               const sac_samples *samples, const sac_trainer_options *trainer,
                               const sac_trainer_result *result) {
    json_t *list = json_array();
    for (int k = 0; k < teacher_count; k++) {
        sac_map_store *store = NULL;
        json_t *origin = NULL;
        if (teachers[k].student) {
            origin = student_origin(teachers[k].folder);
        } else if (sac_map_store_open(&store, teachers[k].folder, NULL) == SAC_OK) {
            const json_t *all = sac_map_store_provenance(store);
            origin = json_object();
            static const char *const keys[] = {"teacher", "detector", "settings",
                                               "metrics", "program",  "commit"};
            for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
                json_t *value = json_object_get(all, keys[i]);
                if (value != NULL) json_object_set_new(origin, keys[i], json_deep_copy(value));
            }
            sac_map_store_close(&store);
        }
        double auc = NAN;
        double kinds[SAC_PSEUDO_KIND_COUNT];
        if (sac_samples_teacher_auc(&auc, kinds, samples, k, NULL) != SAC_OK) {
            auc = NAN;
            for (int i = 0; i < SAC_PSEUDO_KIND_COUNT; i++) kinds[i] = NAN;
        }
        json_array_append_new(
            list, json_pack("{s:o, s:f, s:o, s:o, s:o?}", "name", sac_json_text(teachers[k].name),
                            "weight", teachers[k].weight, "pseudo_auc", sac_json_number(auc),
                            "pseudo_auc_by_kind", kinds_json(kinds), "origin", origin));
    }
    int64_t validation = 0;
    for (int64_t i = 0; i < samples->originals; i++)
        validation += samples->clips[i].validation_from == 0;
    return json_pack(
        "{s:s, s:s, s:{s:o, s:s}, s:o, s:o, s:I, s:s, s:I, s:I, s:{s:I, s:I, s:o, s:o, s:o, s:f}}",
        "commit", sac_commit(), "version", sac_version(), "dataset", "name",
        sac_json_text(dataset->name), "fingerprint", dataset->fingerprint, "teachers", list,
        "training", sac_trainer_options_to_json(trainer), "pseudo_variants",
        (json_int_t)s->variants, "pseudo_kinds", s->kinds, "altered_objects",
        (json_int_t)samples->altered_objects, "held_back_clips", (json_int_t)validation, "metrics",
        "epochs", (json_int_t)result->epochs, "best_epoch", (json_int_t)result->best_epoch,
        "validation_loss", sac_json_number(result->best_validation_loss), "pseudo_auc",
        sac_json_number(result->best_pseudo_auc), "pseudo_auc_by_kind",
        kinds_json(result->best_kind_auc), "minutes", result->seconds / 60);
}

static sac_trainer_options trainer_options(const settings *s) {
    sac_trainer_options o = sac_trainer_default_options();
    o.epochs = s->epochs;
    o.samples_per_epoch = s->samples;
    o.batch = s->batch;
    o.learning_rate = s->learning_rate;
    o.weight_decay = s->weight_decay;
    o.patience = s->patience;
    o.pseudo_fraction = s->pseudo_fraction;
    o.emphasis = s->emphasis;
    o.augment = (sac_augment_options){.jitter = s->jitter,
                                      .shift = s->shift,
                                      .gamma = s->gamma,
                                      .blur = s->blur,
                                      .noise = s->noise,
                                      .compression = s->compression};
    o.adversarial = s->adversarial;
    o.adversarial_warmup = s->adversarial_warmup;
    o.max_minutes = s->max_minutes;
    o.checkpoint_s = s->checkpoint_s;
    o.seed = (uint64_t)s->tool.seed;
    o.backend = s->backend == 1 ? SAC_BACKEND_REF : SAC_BACKEND_ONEDNN;
    return o;
}

// --flip: a number in [0, 1], or "auto", which waits for the teachers.
static sac_status flip_read(double *flip, bool *automatic, const char *text, sac_error *error) {
    *flip = 0;
    *automatic = strcmp(text, "auto") == 0;
    if (*automatic || (sac_number_real(text, flip) && *flip >= 0 && *flip <= 1)) return SAC_OK;
    return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                         "--flip '%.40s': expected a number from 0 to 1, or auto", text);
}

// --scale-weights: three numbers between commas.
static sac_status scales_read(double scales[3], const char *text, sac_error *error) {
    const char *at = text;
    for (int k = 0; k < 3; k++) {
        char number[32];
        const size_t length = strcspn(at, ",");
        const bool last = at[length] == '\0';
        if (length >= sizeof number || last != (k == 2)) goto bad;
        memcpy(number, at, length);
        number[length] = '\0';
        if (!sac_number_real(number, &scales[k]) || !(scales[k] >= 0)) goto bad;
        at += length + 1;
    }
    return SAC_OK;
bad:
    return sac_error_set(
        error, SAC_ERROR_ARGUMENT, -1,
        "--scale-weights '%.80s': expected three numbers from 0 on, such as 10,3,1", text);
}

// --init: weights of another student. Its input size may differ, its architecture may not.
static sac_status init_read(sac_model *model, uint64_t *digest, json_t **origin, const char *path,
                            sac_error *error) {
    sac_status status = SAC_OK;
    sac_model *from = NULL;
    SAC_TRY(sac_model_load(&from, path, error));
    SAC_TRY(sac_initial_copy(model, from, path, error));
    *digest = sac_initial_digest(from->params);
    *origin = json_pack("{s:s, s:O?, s:O?}", "arch", from->arch, "commit",
                        json_object_get(from->provenance, "commit"), "metrics",
                        json_object_get(from->provenance, "metrics"));
    SAC_TRY_ALLOC(*origin);
fail:
    sac_model_close(&from);
    return status;
}

// The resolved size of the run, before it begins.
static void announce(const settings *s, const sac_model *model, const sac_samples *samples,
                     const sac_trainer_options *o) {
    int64_t train = 0, validate = 0;
    for (int64_t i = 0; i < samples->count; i++) {
        train += samples->clips[i].validation_from;
        validate += samples->clips[i].frames - samples->clips[i].validation_from;
    }
    if (s->tool.quiet) return;
    fprintf(stderr,
            NAME ": %" PRId64 " clips and %" PRId64 " altered ones with %" PRId64
                 " pasted objects; %" PRId64 " frames train, %" PRId64
                 " are held back; %d teacher%s, %s at %dx%d%s, %" PRId64 " epochs of %" PRId64
                 " samples, %g mirrored, seed %" PRIu64 "\n",
            samples->originals, samples->count - samples->originals, samples->altered_objects,
            train, validate, samples->teacher_count, samples->teacher_count == 1 ? "" : "s",
            model->arch, samples->preprocess.width, samples->preprocess.height,
            samples->preprocess.channels == 3 ? " in colour" : "", o->epochs, o->samples_per_epoch,
            o->augment.flip, o->seed);
}

static void report_quantised(const settings *s, const sac_quantise_result *r) {
    const struct {
        const char *name;
        const sac_validation_result *result;
    } rows[3] = {{"f32", &r->f32},
                 {"int8 after training", &r->post_training},
                 {"int8 fine-tuned", &r->fine_tuned}};
    printf("%s/student-int8.safetensors: %s weights; held-back loss and AUC:\n", s->output,
           r->kept_fine_tuned ? "fine-tuned" : "post-training");
    for (int i = 0; i < (r->epochs > 0 ? 3 : 2); i++) {
        printf("  %-20s %.5f", rows[i].name, rows[i].result->loss);
        if (isfinite(rows[i].result->pseudo_auc))
            printf("  %.2f", 100 * rows[i].result->pseudo_auc);
        printf("\n");
    }
}

static json_t *quantised_json(const sac_quantise_result *r) {
    json_t *json = json_pack("{s:b, s:I, s:f}", "fine_tuned", r->kept_fine_tuned, "epochs",
                             (json_int_t)r->epochs, "minutes", r->seconds / 60);
    const struct {
        const char *name;
        const sac_validation_result *result;
    } rows[3] = {
        {"f32", &r->f32}, {"post_training", &r->post_training}, {"fine_tuning", &r->fine_tuned}};
    for (int i = 0; json != NULL && i < (r->epochs > 0 ? 3 : 2); i++) {
        json_object_set_new(json, rows[i].name,
                            json_pack("{s:f, s:o}", "validation_loss", rows[i].result->loss,
                                      "pseudo_auc", sac_json_number(rows[i].result->pseudo_auc)));
    }
    return json;
}

static void report(const settings *s, const sac_trainer_result *r, const char *path,
                   const sac_samples *samples, double gather_s,
                   const sac_quantise_result *quantised) {
    if (s->tool.json) {
        json_t *json = json_pack(
            "{s:o, s:I, s:I, s:o, s:o, s:o, s:f, s:f, s:I}", "model", sac_json_text(path), "epochs",
            (json_int_t)r->epochs, "best_epoch", (json_int_t)r->best_epoch, "validation_loss",
            sac_json_number(r->best_validation_loss), "pseudo_auc",
            sac_json_number(r->best_pseudo_auc), "pseudo_auc_by_kind", kinds_json(r->best_kind_auc),
            "gather_minutes", gather_s / 60, "train_minutes", r->seconds / 60, "altered_objects",
            (json_int_t)samples->altered_objects);
        if (json != NULL && quantised != NULL) {
            (void)json_object_set_new(json, "int8", quantised_json(quantised));
        }
        if (json != NULL) {
            (void)json_dumpf(json, stdout, JSON_INDENT(2));
            printf("\n");
            json_decref(json);
        }
        return;
    }
    printf("%s: epoch %" PRId64 " of %" PRId64 "%s, validation loss %.5f", path, r->best_epoch,
           r->epochs,
           r->early_stop    ? " (stopped early)"
           : r->out_of_time ? " (out of time)"
                            : "",
           r->best_validation_loss);
    if (isfinite(r->best_pseudo_auc)) {
        char kinds[512];
        kinds_text(kinds, sizeof kinds, r->best_kind_auc);
        printf(", AUC on held-back pseudo-anomalies %.1f (%s)", 100 * r->best_pseudo_auc, kinds);
    }
    printf("; data %.1f min, training %.1f min\n", gather_s / 60, r->seconds / 60);
    if (quantised != NULL) report_quantised(s, quantised);
}

// How well each teacher itself tells altered frames on the held-back clips: the student's
// yardstick.
static sac_status teachers_announce(const settings *s, const sac_distill_teacher *teachers,
                                    const sac_samples *samples, sac_error *error) {
    for (int k = 0; k < samples->teacher_count && !s->tool.quiet; k++) {
        double auc = NAN;
        double aucs[SAC_PSEUDO_KIND_COUNT];
        const sac_status status = sac_samples_teacher_auc(&auc, aucs, samples, k, error);
        if (status != SAC_OK) return status;
        if (isfinite(auc)) {
            char kinds[512];
            kinds_text(kinds, sizeof kinds, aucs);
            fprintf(stderr, NAME ": teacher %s: AUC %.1f on the held-back altered frames (%s)\n",
                    teachers[k].name, 100 * auc, kinds);
        }
    }
    return SAC_OK;
}

// The architecture's own input, changed by --width, --height, --colour and --offsets.
static sac_status preprocess_of(sac_preprocess *preprocess, const settings *s, sac_error *error) {
    const sac_status status = sac_arch_preprocess(preprocess, s->arch, error);
    if (status < 0) return status;
    if (s->width > 0) preprocess->width = (int)s->width;
    if (s->height > 0) preprocess->height = (int)s->height;
    if (s->colour) preprocess->channels = 3;
    int used = 0;
    int *const o = preprocess->offsets;
    if (sscanf(s->offsets, "%d,%d,%d%n", &o[0], &o[1], &o[2], &used) != 3 ||
        s->offsets[used] != '\0') {
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "--offsets '%.40s': three ascending numbers of frames expected, such "
                             "as -3,0,3",
                             s->offsets);
    }
    return sac_preprocess_check(preprocess, SAC_ERROR_ARGUMENT, "the student's input", error);
}

// NAME of --arch, and behind it the maps of --heads unless it has them all.
static sac_status arch_of(char **arch, const settings *s, sac_error *error) {
    unsigned heads = 0;
    char text[8];
    if (!sac_heads_parse(&heads, s->heads)) {
        return sac_error_set(
            error, SAC_ERROR_ARGUMENT, -1,
            "--heads '%.40s': expected one to three of 16, 4 and 1 between commas, "
            "each once",
            s->heads);
    }
    sac_heads_text(text, sizeof text, heads);
    *arch = heads == SAC_HEADS_ALL ? sac_strdup(s->arch) : sac_format("%s:%s", s->arch, text);
    return *arch != NULL ? SAC_OK : SAC_ERROR_MEMORY;
}

// When --max-time ends (sac_time_s), 0: never. Static, as the poll of gathering takes no argument.
static double deadline_s = 0;

static bool time_is_up(void) {
    return deadline_s > 0 && sac_time_s() > deadline_s;
}

static bool gathering_ends(void) {
    return sac_interrupted() || time_is_up();
}

// Minutes of `most` that are left after `used_s`; 0 stays "no limit", and something is always left.
static double minutes_left(double most, double used_s) {
    return most > 0 ? fmax(1e-9, most - used_s / 60) : 0;
}

// The int8 student of `model` into RUN/student-int8.safetensors.
static sac_status quantise(const settings *s, const sac_model *model, const sac_samples *samples,
                           const sac_trainer_options *trainer, double used_s,
                           sac_quantise_result *result, sac_error *error) {
    sac_status status = SAC_OK;
    sac_model *int8 = NULL;
    display tuning = {.s = s};
    char *folder = sac_path_join(s->output, "quantise"),
         *path = sac_path_join(s->output, "student-int8.safetensors");
    sac_quantise_options o = sac_quantise_default_options(trainer);
    o.epochs = s->quantise_epochs;
    o.learning_rate = s->quantise_rate;
    o.trainer.max_minutes = minutes_left(s->max_minutes, used_s);
    const sac_trainer_hooks hooks = {
        .step = on_step, .epoch = on_epoch, .stop = sac_interrupted, .user = &tuning};
    SAC_TRY_ALLOC(folder);
    SAC_TRY_ALLOC(path);
    SAC_TRY(sac_quantise_run(&int8, result, folder, model, samples, &o, &hooks, s->resume, error));
    SAC_TRY(sac_model_save(int8, path, error));
fail:
    sac_progress_close(&tuning.progress);
    sac_model_close(&int8);
    sac_free(folder);
    sac_free(path);
    return status;
}

// Whether training itself has a state to go on from: a run that was stopped while it was
// pre-trained has none yet, and one that was stopped while it gathered has none at all.
static sac_status resume_find(const settings *s, bool *resume, sac_error *error) {
    char *own = sac_path_join(s->output, "checkpoint.safetensors"),
         *first = sac_path_join(s->output, "pretrain/checkpoint.safetensors");
    sac_status status = SAC_OK;
    SAC_TRY_ALLOC(own);
    SAC_TRY_ALLOC(first);
    *resume = s->resume && sac_is_file(own);
    if (s->resume && !*resume && !(s->pretrain != 0 && sac_is_file(first)) && !s->tool.quiet)
        fprintf(stderr, NAME ": %s: no such file, so nothing was trained yet: training begins\n",
                own);
    if (!s->resume && s->pretrain != 0 && sac_is_file(first)) {
        status = sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                               "%s exists: go on with --resume, or choose another folder", first);
    }
fail:
    sac_free(own);
    sac_free(first);
    return status;
}

// The trunk of `model` as an auto-encoder, in RUN/pretrain.
static sac_status pretrain(const settings *s, sac_model *model, const sac_samples *samples,
                           const sac_trainer_options *trainer, sac_pretrain_result *result,
                           sac_error *error) {
    sac_status status = SAC_OK;
    display learning = {.s = s};
    char *folder = sac_path_join(s->output, "pretrain");
    const sac_pretrain_options o = {.kind =
                                        s->pretrain == 2 ? SAC_PRETRAIN_MASKED : SAC_PRETRAIN_PLAIN,
                                    .epochs = s->pretrain_epochs,
                                    .trainer = *trainer};
    const sac_trainer_hooks hooks = {
        .step = on_step, .epoch = on_epoch, .stop = sac_interrupted, .user = &learning};
    SAC_TRY_ALLOC(folder);
    SAC_TRY(sac_pretrain_run(result, folder, model, samples, &o, &hooks, s->resume, error));
fail:
    sac_progress_close(&learning.progress);
    sac_free(folder);
    return status;
}

// Measures a student that is not trained (--epochs 0).
static sac_status measure_only(sac_trainer_result *result, const sac_model *model,
                               const sac_samples *samples, const sac_trainer_options *o,
                               sac_error *error) {
    sac_status status = SAC_OK;
    sac_validation *validation = NULL;
    sac_validation_result r;
    const sac_validation_options how = {
        .emphasis = o->emphasis,
        .scale_weights = {o->scale_weights[0], o->scale_weights[1], o->scale_weights[2]},
        .backend = o->backend};
    SAC_TRY(sac_validation_create(&validation, samples, model->net, model->params, &how, error));
    SAC_TRY(sac_validation_run(validation, &r, model->params, error));
    *result = (sac_trainer_result){.best_validation_loss = r.loss, .best_pseudo_auc = r.pseudo_auc};
    memcpy(result->best_kind_auc, r.kind_auc, sizeof r.kind_auc);
fail:
    sac_validation_close(&validation);
    return status;
}

// RUN/report.html; model NULL: after an interruption.
static sac_status page_write(const settings *s, const sac_distill_teacher *teachers,
                             const sac_samples *samples, const sac_trainer_options *trainer,
                             const sac_model *model, sac_error *error) {
    sac_status status = SAC_OK;
    json_t *settings_json = sac_options_to_json(&command, s);
    char *path = sac_path_join(s->output, "report.html");
    const sac_run_report page = {.folder = s->output,
                                 .title = s->output,
                                 .samples = samples,
                                 .teachers = teachers,
                                 .trainer = trainer,
                                 .model = model,
                                 .settings = settings_json,
                                 .result = model != NULL ? model->provenance : NULL,
                                 .interrupted = model == NULL};
    SAC_TRY_ALLOC(settings_json);
    SAC_TRY_ALLOC(path);
    SAC_TRY(sac_run_report_write(path, &page, error));
fail:
    json_decref(settings_json);
    sac_free(path);
    return status;
}

// Why a run has ended without all that was wanted of it; empty: it has not.
typedef char run_end[200];

static sac_status run(run_end unfinished, const settings *s, const sac_distill_teacher *teachers,
                      int teacher_count, sac_error *error) {
    sac_status status = SAC_OK;
    sac_dataset *dataset = NULL;
    sac_samples samples = {0};
    sac_model *model = NULL;
    sac_trainer_result result = {0};
    display gathering = {.s = s}, training = {.s = s};
    char *cache = sac_path_join(s->altered_cache != NULL ? s->altered_cache : s->output, "pseudo"),
         *path = sac_path_join(s->output, "student.safetensors");
    const sac_logger logger = sac_tool_logger(NAME, s->tool.quiet);
    sac_trainer_options trainer = trainer_options(s);
    bool flip_auto = false, resume = s->resume;
    sac_pseudo_mix mix = {{0}};
    json_t *init = NULL;
    char *arch = NULL;
    sac_preprocess preprocess;
    const double begun = sac_time_s();
    deadline_s = s->max_minutes > 0 ? begun + 60 * s->max_minutes : 0;
    SAC_TRY(arch_of(&arch, s, error));
    SAC_TRY(preprocess_of(&preprocess, s, error));
    SAC_TRY_ALLOC(cache);
    SAC_TRY_ALLOC(path);
    SAC_TRY(flip_read(&trainer.augment.flip, &flip_auto, s->flip, error));
    SAC_TRY(sac_pseudo_mix_parse(&mix, s->kinds, error));
    SAC_TRY(scales_read(trainer.scale_weights, s->scale_weights, error));
    sac_nn_set_threads((int)s->tool.threads);
    // Whatever can be wrong with the command is said before the teachers are put to work.
    SAC_TRY(sac_model_create(&model, arch, &preprocess, error));
    sac_rng rng;
    sac_rng_seed(&rng, trainer.seed, 0x696e6974);
    sac_arch_init(model, &rng);
    if (s->init != NULL) SAC_TRY(init_read(model, &trainer.initial, &init, s->init, error));
    SAC_TRY(sac_dataset_open(&dataset, s->dataset, &logger, error));
    SAC_TRY(sac_folder_create(s->output, error));
    if (s->altered_cache != NULL) SAC_TRY(sac_folder_create(s->altered_cache, error));
    if (s->show != NULL) SAC_TRY(sac_folder_create(s->show, error));
    if (s->epochs > 0) {
        SAC_TRY(resume_find(s, &resume, error));
        SAC_TRY(sac_trainer_check(s->output, &trainer, resume, error));
    } else if (s->init == NULL || !s->quantise || s->pretrain != 0) {
        status = sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                               "--epochs 0 needs --init MODEL and --quantise, and no --pretrain");
        goto fail;
    }
    const sac_samples_options gather = {.preprocess = preprocess,
                                        .variants = s->variants,
                                        .mix = mix,
                                        .show = s->show,
                                        .validation_fraction = s->validation,
                                        .seed = trainer.seed,
                                        .backend = trainer.backend,
                                        .cache = cache,
                                        .cache_shared = s->altered_cache != NULL,
                                        .stop = gathering_ends,
                                        .progress = on_gather,
                                        .user = &gathering,
                                        .logger = logger};
    status = sac_samples_load(&samples, dataset, teachers, teacher_count, &gather, error);
    sac_progress_close(&gathering.progress);
    if (status == SAC_ERROR_INTERRUPTED && !sac_interrupted()) {
        *error = (sac_error){0};
        (void)snprintf(
            unfinished, sizeof(run_end),
            "out of time while gathering the training data, before any training: go on with "
            "--resume and more of it");
        status = SAC_OK;
        goto fail;
    }
    SAC_TRY(status);
    const double gather_s = sac_time_s() - begun;
    trainer.max_minutes = minutes_left(s->max_minutes, gather_s);
    if (flip_auto) trainer.augment.flip = samples.mirrors ? 0.5 : 0;
    announce(s, model, &samples, &trainer);
    SAC_TRY(teachers_announce(s, teachers, &samples, error));
    const sac_trainer_hooks hooks = {
        .step = on_step, .epoch = on_epoch, .stop = sac_interrupted, .user = &training};
    sac_pretrain_result pretrained = {0};
    if (s->pretrain != 0 && s->epochs > 0) {
        SAC_TRY(pretrain(s, model, &samples, &trainer, &pretrained, error));
        if (pretrained.out_of_time) {
            (void)snprintf(unfinished, sizeof(run_end),
                           "out of time in pre-training after %" PRId64 " of %" PRId64
                           " epochs, so there is no student yet: go on with --resume and more of "
                           "it",
                           pretrained.epochs, s->pretrain_epochs);
            SAC_TRY(page_write(s, teachers, &samples, &trainer, NULL, error));
            goto fail;
        }
        trainer.initial = sac_initial_digest(model->params);
        trainer.max_minutes = minutes_left(trainer.max_minutes, pretrained.seconds);
    }
    if (s->epochs > 0) {
        SAC_TRY(
            sac_trainer_run(&result, s->output, model, &samples, &trainer, &hooks, resume, error));
    } else {
        SAC_TRY(measure_only(&result, model, &samples, &trainer, error));
    }
    sac_progress_close(&training.progress);
    json_decref(model->provenance);
    model->provenance =
        provenance_make(s, dataset, teachers, teacher_count, &samples, &trainer, &result);
    SAC_TRY_ALLOC(model->provenance);
    if (pretrained.epochs > 0) {
        (void)json_object_set_new(
            model->provenance, "pretraining",
            json_pack("{s:s, s:I, s:f, s:f, s:f}", "kind", s->pretrain == 2 ? "masked" : "plain",
                      "epochs", (json_int_t)pretrained.epochs, "train_loss", pretrained.train_loss,
                      "validation_loss", pretrained.validation_loss, "minutes",
                      pretrained.seconds / 60));
    }
    if (init != NULL) (void)json_object_set(model->provenance, "init", init);
    SAC_TRY(sac_model_save(model, path, error));
    bool quantised_any = false;
    sac_quantise_result quantised = {0};
    if (s->quantise && result.out_of_time) {
        (void)snprintf(unfinished, sizeof(run_end),
                       "no time is left for int8, so there is no student-int8.safetensors yet: go "
                       "on with --resume and more of it");
    } else if (s->quantise) {
        quantised_any = true;
        const double used_s = gather_s + pretrained.seconds + result.seconds;
        SAC_TRY(quantise(s, model, &samples, &trainer, used_s, &quantised, error));
    }
    SAC_TRY(page_write(s, teachers, &samples, &trainer, model, error));
    report(s, &result, path, &samples, gather_s, quantised_any ? &quantised : NULL);
    SAC_TRY(sac_tool_flush(error));
fail:
    // What was learned until then can be looked at; its failure is no second error.
    if (status == SAC_ERROR_INTERRUPTED && samples.clips != NULL)
        (void)!page_write(s, teachers, &samples, &trainer, NULL, NULL);
    sac_progress_close(&gathering.progress);
    sac_progress_close(&training.progress);
    sac_samples_close(&samples);
    sac_model_close(&model);
    sac_dataset_close(&dataset);
    json_decref(init);
    sac_free(cache);
    sac_free(path);
    sac_free(arch);
    return status;
}

static sac_status teachers_parse(sac_distill_teacher *teachers, char **copies, const settings *s,
                                 sac_error *error) {
    if (s->dataset == NULL || s->output == NULL || s->teachers.count == 0) {
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "--dataset, --teacher and -o are needed; see --help");
    }
    if (s->teachers.count > SAC_MAX_TEACHERS) {
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1, "at most %d teachers",
                             SAC_MAX_TEACHERS);
    }
    for (int64_t i = 0; i < s->teachers.count; i++) {
        copies[i] = sac_strdup(s->teachers.items[i]);
        if (copies[i] == NULL) return SAC_ERROR_MEMORY;
        const sac_status status =
            parse_teacher(&teachers[i], copies[i], s->teachers.items[i], error);
        if (status != SAC_OK) return status;
        for (int64_t k = 0; k < i; k++) {
            if (strcmp(teachers[k].name, teachers[i].name) == 0) {
                return sac_error_set(error, SAC_ERROR_ARGUMENT, -1, "two teachers are named '%s'",
                                     teachers[i].name);
            }
        }
    }
    return SAC_OK;
}

int main(int argc, char **argv) {
    sac_tool_wait_passively(argv);
    settings s = {0};
    sac_options_result parsed = {0};
    sac_error error = {0};
    sac_distill_teacher teachers[SAC_MAX_TEACHERS] = {{0}};
    char *copies[SAC_MAX_TEACHERS] = {0};
    const int code = sac_tool_start(&command, &s, argc, argv, &parsed);
    if (code >= 0) {
        sac_options_close(&parsed);
        return code;
    }
    sac_interrupt_install();
    sac_status status = teachers_parse(teachers, copies, &s, &error);
    run_end unfinished = "";
    if (status == SAC_OK) status = run(unfinished, &s, teachers, (int)s.teachers.count, &error);
    for (int i = 0; i < SAC_MAX_TEACHERS; i++) sac_free(copies[i]);
    int exit_code = SAC_EXIT_OK;
    if (status != SAC_OK) {
        exit_code = sac_tool_fail(NAME, status, &error);
    } else {
        sac_tool_finish(NAME, s.tool.quiet);
        if (unfinished[0] != '\0') {
            exit_code = SAC_EXIT_FAILED;
            fprintf(stderr, NAME ": %s\n", unfinished); // last, where a log is looked at first
        }
    }
    sac_options_close(&parsed);
    return exit_code;
}
