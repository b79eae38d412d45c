// make-model: writes a randomly initialised student, for tests that need a model file but no
// training. Its scores mean nothing. Not installed.
#include <string.h>

#include "core/check.h"
#include "core/number.h"
#include "core/rng.h"
#include "core/tool.h"
#include "nn/calibrate.h"
#include "nn/infer.h"
#include "student/arch.h"
#include "student/model.h"

typedef struct settings {
    sac_tool_settings tool;
    const char *arch;
    int64_t width, height;
    bool scales, colour;
} settings;

static const sac_option options[] = {
    {.name = "arch",
     .type = SAC_OPTION_TEXT,
     .offset = offsetof(settings, arch),
     .text = "tiny-m",
     .help = "architecture"},
    {.name = "width",
     .type = SAC_OPTION_INT,
     .offset = offsetof(settings, width),
     .number = 240,
     .min = 16,
     .max = 4096,
     .help = "network input width"},
    {.name = "height",
     .type = SAC_OPTION_INT,
     .offset = offsetof(settings, height),
     .number = 160,
     .min = 16,
     .max = 4096,
     .help = "network input height"},
    {.name = "colour",
     .type = SAC_OPTION_BOOL,
     .offset = offsetof(settings, colour),
     .help = "of a student that sees RGB"},
    {.name = "scales",
     .type = SAC_OPTION_BOOL,
     .offset = offsetof(settings, scales),
     .help = "add scales for int8, measured on random pictures"},
    SAC_TOOL_OPTIONS(settings),
    {.name = NULL},
};

static const sac_command command = {
    .name = "make-model",
    .usage = "FILE [--arch NAME] [--width N] [--height N] [--seed N] [--colour] [--scales]",
    .description = "Writes a randomly initialised student model for tests.",
    .options = options,
    .min_positional = 1,
    .max_positional = 1};

static sac_status add_scales(sac_model *model, sac_rng *rng, sac_error *error) {
    sac_status status = SAC_OK;
    sac_calibrate *c = NULL;
    const sac_plan_options plan = {.batch = 1};
    sac_calibrate_options how = sac_calibrate_defaults();
    how.input_scale = 1.0 / model->preprocess.scale;
    const int64_t frame = sac_preprocess_bytes(&model->preprocess);
    sac_nn_set_threads(1);
    SAC_TRY(sac_calibrate_create(&c, model->net, model->params, &plan, &how, error));
    for (int run = 0; run < 4; run++) {
        float *x = sac_calibrate_input(c, "frames");
        for (int64_t i = 0; i < 3 * frame; i++)
            x[i] = (float)(((double)sac_rng_below(rng, 256) - model->preprocess.mean) /
                           model->preprocess.scale);
        SAC_TRY(sac_calibrate_run(c, error));
    }
    SAC_TRY(sac_calibrate_finish(c, &model->quant, error));
fail:
    sac_calibrate_close(&c);
    return status;
}

int main(int argc, char **argv) {
    settings s;
    sac_options_result parsed;
    int code = sac_tool_start(&command, &s, argc, argv, &parsed);
    if (code >= 0) return code;
    code = SAC_EXIT_OK;
    sac_error error = {0};
    sac_status status = SAC_OK;
    sac_model *model = NULL;
    sac_rng rng;
    sac_preprocess preprocess = sac_preprocess_default();
    preprocess.width = (int)s.width;
    preprocess.height = (int)s.height;
    if (s.colour) preprocess.channels = 3;
    SAC_TRY(sac_model_create(&model, s.arch, &preprocess, &error));
    sac_rng_seed(&rng, (uint64_t)s.tool.seed, 0);
    sac_arch_init(model, &rng);
    // Random logits would mostly saturate the sigmoid; small ones give scores that move with the
    // picture.
    for (int64_t i = 0; i < sac_params_count(model->params); i++) {
        sac_param *param = sac_params_at(model->params, i);
        if (strstr(param->name, ".logit.weight") == NULL) continue;
        for (int64_t k = 0; k < param->count; k++) param->data[k] *= 0.3f;
    }
    if (s.scales) SAC_TRY(add_scales(model, &rng, &error));
    if (json_object_set_new(model->provenance, "note", json_string("random weights, for tests")) !=
        0) {
        status = SAC_ERROR_MEMORY;
        goto fail;
    }
    SAC_TRY(sac_model_save(model, parsed.positional[0], &error));
fail:
    if (status < 0) code = sac_tool_fail(command.name, status, &error);
    sac_model_close(&model);
    sac_options_close(&parsed);
    return code;
}
