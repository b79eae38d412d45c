// distill: trains a student on the anomaly maps of one or several teachers. Prepares a run and puts
// its stages in order, see tools/distill.h; the work is in distill/.
#include <stdio.h>

#include "core/check.h"
#include "core/file.h"
#include "core/memory.h"
#include "core/time.h"
#include "distill/initial.h"
#include "nn/infer.h"
#include "student/arch.h"
#include "student/model.h"
#include "tools/distill.h"

// --init: weights of another student. Its input size may differ, its architecture may not.
static sac_status init_read(distill_run *r, sac_error *error) {
    sac_status status = SAC_OK;
    const char *path = r->settings->init;
    sac_model *from = NULL;
    SAC_TRY(sac_model_load(&from, path, error));
    SAC_TRY(sac_initial_copy(r->model, from, path, error));
    r->recipe.trainer.initial = sac_initial_digest(from->params);
    r->init = json_pack("{s:s, s:O?, s:O?}", "arch", from->arch, "commit",
                        json_object_get(from->provenance, "commit"), "metrics",
                        json_object_get(from->provenance, "metrics"));
    SAC_TRY_ALLOC(r->init);
fail:
    sac_model_close(&from);
    return status;
}

// Whatever can be wrong with the command is said here, before the teachers are put to work; nothing
// is written.
static sac_status look(distill_run *r, sac_error *error) {
    sac_status status = SAC_OK;
    const distill_settings *s = r->settings;
    const sac_logger logger = sac_tool_logger(distill_command.name, s->tool.quiet);
    sac_rng rng;
    SAC_TRY(distill_recipe_read(&r->recipe, s, error));
    SAC_TRY_ALLOC(r->student = sac_path_join(s->output, "student.safetensors"));
    sac_nn_set_threads((int)s->tool.threads);
    SAC_TRY(sac_model_create(&r->model, r->recipe.arch, &r->recipe.preprocess, error));
    sac_rng_seed(&rng, r->recipe.trainer.seed, 0x696e6974);
    sac_arch_init(r->model, &rng);
    if (s->init != NULL) SAC_TRY(init_read(r, error));
    SAC_TRY(sac_dataset_open(&r->dataset, s->dataset, &logger, error));
    SAC_TRY(sac_samples_check(r->recipe.teachers, r->recipe.teacher_count, s->variants, error));
    if (s->epochs > 0) {
        SAC_TRY(distill_resume_find(r, error));
        SAC_TRY(sac_trainer_check(s->output, r->model, &r->recipe.trainer, r->resume, error));
    } else if (s->init == NULL || !s->quantise || s->pretrain != 0) {
        status = sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                               "--epochs 0 needs --init MODEL and --quantise, and no --pretrain");
    }
fail:
    return status;
}

static sac_status make_room(const distill_run *r, sac_error *error) {
    const distill_settings *s = r->settings;
    sac_status status = SAC_OK;
    SAC_TRY(sac_folder_create(s->output, error));
    if (s->altered_cache != NULL) SAC_TRY(sac_folder_create(s->altered_cache, error));
    if (s->show != NULL) SAC_TRY(sac_folder_create(s->show, error));
    SAC_TRY(sac_file_check(r->student, error));
fail:
    return status;
}

static bool ends(const distill_run *r) {
    return r->unfinished[0] != '\0';
}

static sac_status run(distill_run *r, sac_error *error) {
    sac_status status = SAC_OK;
    SAC_TRY(look(r, error));
    if (r->settings->check) return SAC_OK;
    SAC_TRY(make_room(r, error));
    SAC_TRY(distill_gather(r, error));
    if (ends(r)) return SAC_OK;
    SAC_TRY(distill_announce(r, error));
    SAC_TRY(distill_pretrain(r, error));
    if (ends(r)) return distill_page_write(r, true, error);
    SAC_TRY(distill_train(r, error));
    SAC_TRY(distill_save(r, error));
    SAC_TRY(distill_quantise(r, error));
    SAC_TRY(distill_page_write(r, false, error));
    distill_print(r);
    SAC_TRY(sac_tool_flush(error));
fail:
    // What was learned until then can be looked at; its failure is no second error.
    if (status == SAC_ERROR_INTERRUPTED && r->samples.clips != NULL)
        (void)!distill_page_write(r, true, NULL);
    return status;
}

static void run_close(distill_run *r) {
    sac_samples_close(&r->samples);
    sac_model_close(&r->model);
    sac_dataset_close(&r->dataset);
    json_decref(r->init);
    sac_free(r->student);
    distill_recipe_close(&r->recipe);
}

int main(int argc, char **argv) {
    sac_tool_wait_passively(argv);
    distill_settings s = {0};
    sac_options_result parsed = {0};
    sac_error error = {0};
    int code = sac_tool_start(&distill_command, &s, argc, argv, &parsed);
    if (code >= 0) {
        sac_options_close(&parsed);
        return code;
    }
    distill_run r = {.settings = &s, .begun = sac_time_s()};
    sac_interrupt_install();
    const sac_status status = run(&r, &error);
    code = SAC_EXIT_OK;
    if (status != SAC_OK) {
        code = sac_tool_fail(distill_command.name, status, &error);
    } else {
        sac_tool_finish(distill_command.name, s.tool.quiet);
        if (ends(&r)) { // last, where a log is looked at first
            code = SAC_EXIT_FAILED;
            fprintf(stderr, "%s: %s\n", distill_command.name, r.unfinished);
        }
    }
    run_close(&r);
    sac_options_close(&parsed);
    return code;
}
