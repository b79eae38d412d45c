// The options of distill, and what they ask for.
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/check.h"
#include "core/memory.h"
#include "core/number.h"
#include "student/arch.h"
#include "student/heads.h"
#include "tools/distill.h"

#define AT(member) .offset = offsetof(distill_settings, member)
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
    {.name = "check", .type = SAC_OPTION_BOOL, AT(check),
     .help = "say what is wrong with the command, if anything, and do nothing else"},
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
    SAC_TOOL_OPTIONS(distill_settings),
    {0},
};
// clang-format on

const sac_command distill_command = {
    .name = "distill",
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
static sac_status teacher_read(sac_distill_teacher *teacher, char *copy, const char *text,
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

static sac_status teachers_read(distill_recipe *recipe, const distill_settings *s,
                                sac_error *error) {
    sac_distill_teacher *teachers = recipe->teachers;
    if (s->dataset == NULL || s->output == NULL || s->teachers.count == 0) {
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "--dataset, --teacher and -o are needed; see --help");
    }
    if (s->teachers.count > SAC_MAX_TEACHERS) {
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1, "at most %d teachers",
                             SAC_MAX_TEACHERS);
    }
    for (int64_t i = 0; i < s->teachers.count; i++) {
        char *copy = recipe->copies[i] = sac_strdup(s->teachers.items[i]);
        if (copy == NULL) return SAC_ERROR_MEMORY;
        const sac_status status = teacher_read(&teachers[i], copy, s->teachers.items[i], error);
        if (status != SAC_OK) return status;
        for (int64_t k = 0; k < i; k++) {
            if (strcmp(teachers[k].name, teachers[i].name) == 0) {
                return sac_error_set(error, SAC_ERROR_ARGUMENT, -1, "two teachers are named '%s'",
                                     teachers[i].name);
            }
        }
    }
    recipe->teacher_count = (int)s->teachers.count;
    return SAC_OK;
}

static sac_trainer_options trainer_options(const distill_settings *s) {
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

// "A,B,C". False: something else, or a number that no int holds.
static bool offsets_parse(int offsets[3], const char *text) {
    for (int i = 0; i < 3; i++) {
        char *end;
        errno = 0;
        const long value = strtol(text, &end, 10);
        if (end == text || errno != 0 || value < INT_MIN || value > INT_MAX) return false;
        if (*end != (i < 2 ? ',' : '\0')) return false;
        offsets[i] = (int)value;
        text = end + 1;
    }
    return true;
}

// The architecture's own input, changed by --width, --height, --colour and --offsets.
static sac_status preprocess_read(sac_preprocess *preprocess, const distill_settings *s,
                                  sac_error *error) {
    const sac_status status = sac_arch_preprocess(preprocess, s->arch, error);
    if (status < 0) return status;
    if (s->width > 0) preprocess->width = (int)s->width;
    if (s->height > 0) preprocess->height = (int)s->height;
    if (s->colour) preprocess->channels = 3;
    if (!offsets_parse(preprocess->offsets, s->offsets)) {
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "--offsets '%.40s': three ascending numbers of frames expected, such "
                             "as -3,0,3",
                             s->offsets);
    }
    return sac_preprocess_check(preprocess, SAC_ERROR_ARGUMENT, "the student's input", error);
}

// NAME of --arch, and behind it the maps of --heads unless it has them all.
static sac_status arch_read(char **arch, const distill_settings *s, sac_error *error) {
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

sac_status distill_recipe_read(distill_recipe *recipe, const distill_settings *s,
                               sac_error *error) {
    sac_status status = SAC_OK;
    *recipe = (distill_recipe){.trainer = trainer_options(s)};
    sac_trainer_options *trainer = &recipe->trainer;
    SAC_TRY(teachers_read(recipe, s, error));
    SAC_TRY(arch_read(&recipe->arch, s, error));
    SAC_TRY(preprocess_read(&recipe->preprocess, s, error));
    SAC_TRY(flip_read(&trainer->augment.flip, &recipe->flip_auto, s->flip, error));
    SAC_TRY(sac_pseudo_mix_parse(&recipe->mix, s->kinds, error));
    SAC_TRY(scales_read(trainer->scale_weights, s->scale_weights, error));
fail:
    return status;
}

void distill_recipe_close(distill_recipe *recipe) {
    for (int i = 0; i < SAC_MAX_TEACHERS; i++) sac_free(recipe->copies[i]);
    sac_free(recipe->arch);
    *recipe = (distill_recipe){0};
}
