// What distill says on standard error on its way: progress, epochs, the size of the run.
#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "tools/distill.h"

static void show(distill_display *d, const char *label, const char *unit, int64_t done,
                 int64_t before, int64_t total, const char *note) {
    if (d->progress == NULL) {
        d->begin = before;
        if (sac_progress_open(&d->progress, label, unit, total - before, &d->s->tool) < 0) return;
    }
    sac_progress_update(d->progress, done - d->begin, note);
}

void distill_on_gather(void *user, int64_t done, int64_t total) {
    show(user, "gathering", "clips", done, done - 1, total, NULL);
}

static void on_step(void *user, int64_t step, int64_t steps, double loss) {
    distill_display *d = user;
    char note[64];
    const int64_t batch = d->s->batch;
    (void)snprintf(note, sizeof note, "loss %.5f", loss);
    show(d, "training", "samples", step * batch, (step - 1) * batch, steps * batch, note);
}

static void on_epoch(void *user, const sac_epoch_metrics *m, bool best) {
    distill_display *d = user;
    if (d->s->tool.quiet) return;
    sac_progress_close(&d->progress);
    char auc[32] = "";
    if (isfinite(m->pseudo_auc)) {
        (void)snprintf(auc, sizeof auc, "  pseudo AUC %.1f", 100 * m->pseudo_auc);
    }
    fprintf(stderr, "%s: epoch %" PRId64 "  train %.5f  validation %.5f%s  %.0f samples/s%s\n",
            distill_command.name, m->epoch, m->train_loss, m->validation_loss, auc,
            m->samples_per_s, best ? "  best" : "");
}

sac_trainer_hooks distill_hooks(distill_display *display) {
    return (sac_trainer_hooks){
        .step = on_step, .epoch = on_epoch, .stop = sac_interrupted, .user = display};
}

static void announce_size(const distill_run *r) {
    const sac_samples *samples = &r->samples;
    const sac_trainer_options *o = &r->recipe.trainer;
    int64_t train = 0, validate = 0;
    for (int64_t i = 0; i < samples->count; i++) {
        train += samples->clips[i].validation_from;
        validate += samples->clips[i].frames - samples->clips[i].validation_from;
    }
    fprintf(stderr,
            "%s: %" PRId64 " clips and %" PRId64 " altered ones with %" PRId64
            " pasted objects; %" PRId64 " frames train, %" PRId64
            " are held back; %d teacher%s, %s at %dx%d%s, %" PRId64 " epochs of %" PRId64
            " samples, %g mirrored, seed %" PRIu64 "\n",
            distill_command.name, samples->originals, samples->count - samples->originals,
            samples->altered_objects, train, validate, samples->teacher_count,
            samples->teacher_count == 1 ? "" : "s", r->model->arch, samples->preprocess.width,
            samples->preprocess.height, samples->preprocess.channels == 3 ? " in colour" : "",
            o->epochs, o->samples_per_epoch, o->augment.flip, o->seed);
}

static sac_status announce_teachers(const distill_run *r, sac_error *error) {
    const sac_samples *samples = &r->samples;
    for (int k = 0; k < samples->teacher_count; k++) {
        double auc = NAN;
        double aucs[SAC_PSEUDO_KIND_COUNT];
        const sac_status status = sac_samples_teacher_auc(&auc, aucs, samples, k, error);
        if (status != SAC_OK) return status;
        if (isfinite(auc)) {
            char kinds[512];
            distill_kinds_text(kinds, sizeof kinds, aucs);
            fprintf(stderr, "%s: teacher %s: AUC %.1f on the held-back altered frames (%s)\n",
                    distill_command.name, r->recipe.teachers[k].name, 100 * auc, kinds);
        }
    }
    return SAC_OK;
}

sac_status distill_announce(const distill_run *r, sac_error *error) {
    if (r->settings->tool.quiet) return SAC_OK;
    announce_size(r);
    return announce_teachers(r, error);
}
