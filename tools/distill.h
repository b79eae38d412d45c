// What the parts of distill share: settings, what they ask for, the state of a run. Options and
// their meaning are in distill_options.c, lines on standard error in distill_display.c, the stages
// around training in distill_stages.c, what came of a run in distill_results.c; distill.c prepares
// a run and puts all that in its order.
#ifndef SAC_TOOLS_DISTILL_H
#define SAC_TOOLS_DISTILL_H

#include "core/tool.h"
#include "distill/pretrain.h"
#include "distill/quantise.h"
#include "distill/samples.h"
#include "distill/trainer.h"

typedef struct distill_settings {
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
    bool resume, check, quantise, colour;
    int backend;
} distill_settings;

extern const sac_command distill_command;

// The settings in the library's words.
typedef struct distill_recipe {
    sac_distill_teacher teachers[SAC_MAX_TEACHERS];
    int teacher_count;
    char *arch; // with the heads
    sac_preprocess preprocess;
    sac_pseudo_mix mix;
    sac_trainer_options trainer;
    bool flip_auto;                 // trainer.augment.flip waits for the teachers
    char *copies[SAC_MAX_TEACHERS]; // that the teachers' texts are parts of
} distill_recipe;

// Reads what only makes sense as a whole: names, lists, numbers in texts. SAC_ERROR_ARGUMENT names
// the option and what was expected; SAC_ERROR_MEMORY. Close it after an error, too.
SAC_NODISCARD sac_status distill_recipe_read(distill_recipe *recipe, const distill_settings *s,
                                             sac_error *error);
void distill_recipe_close(distill_recipe *recipe);

typedef struct distill_run {
    const distill_settings *settings;
    distill_recipe recipe; // completed on the way: mirroring, initial weights, the time left
    double begun;          // sac_time_s
    sac_dataset *dataset;
    sac_model *model;
    char *student; // RUN/student.safetensors
    json_t *init;  // what is known of the student of --init; NULL: none
    bool resume;   // training itself has a state to go on from
    sac_samples samples;
    double gather_s;
    sac_pretrain_result pretrained;
    sac_trainer_result trained;
    sac_quantise_result quantised;
    bool quantised_any;
    char unfinished[200]; // why it has ended without all that was wanted of it; empty: it has not
} distill_run;

// One progress line at a time; it counts what was left when it was opened, so that the rate is this
// run's.
typedef struct distill_display {
    const distill_settings *s;
    sac_progress *progress; // whoever made the display closes it
    int64_t begin;
} distill_display;

void distill_on_gather(void *user, int64_t done, int64_t total); // `user`: the display
sac_trainer_hooks distill_hooks(distill_display *display);       // with Ctrl-C as their stop
// The resolved size of the run, before it begins, and how well each teacher itself tells altered
// frames on the held-back clips: the student's yardstick.
SAC_NODISCARD sac_status distill_announce(const distill_run *r, sac_error *error);

// Looks for what --resume goes on from.
SAC_NODISCARD sac_status distill_resume_find(distill_run *r, sac_error *error);
// The stages, each after the one before it and each with what it needs of --max-time; one that is
// not wanted does nothing. One that is out of time says so in `unfinished`.
SAC_NODISCARD sac_status distill_gather(distill_run *r, sac_error *error);
SAC_NODISCARD sac_status distill_pretrain(distill_run *r, sac_error *error);
SAC_NODISCARD sac_status distill_train(distill_run *r, sac_error *error);
SAC_NODISCARD sac_status distill_quantise(distill_run *r, sac_error *error);

// The student with the run's provenance.
SAC_NODISCARD sac_status distill_save(distill_run *r, sac_error *error);
// RUN/report.html; `interrupted`: of what was learned until then, whether there is a student or not.
SAC_NODISCARD sac_status distill_page_write(const distill_run *r, bool interrupted,
                                            sac_error *error);
// The result on standard output, for people or as JSON.
void distill_print(const distill_run *r);
// "faster 93.1, frozen 88.0": AUCs by kind of alteration, those that are known; may be empty.
void distill_kinds_text(char *text, size_t size, const double aucs[SAC_PSEUDO_KIND_COUNT]);

#endif
