// Any bytes as a file of the SSMTL teacher: an error with a message, or a teacher that can be
// closed again.
#include "fuzz_teacher.h"
#include "teachers/ssmtl.h"

static sac_status write_teacher(const char *path) {
    sac_ssmtl_model model = {.design = sac_ssmtl_default_design()};
    model.design.crop_size = 16;
    sac_ssmtl_calibration_init(&model.calibration, model.design.tasks);
    model.calibration.objects = 1;
    if (sac_ssmtl_net(&model.net, &model.design, false, NULL) != SAC_OK ||
        sac_params_create(&model.params, model.net, NULL) != SAC_OK)
        abort();
    sac_status status = sac_ssmtl_model_write(&model, path, NULL, NULL);
    sac_params_close(&model.params);
    sac_net_close(&model.net);
    return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    sac_ssmtl_model *model = NULL;
    sac_safetensors *st = NULL;
    sac_error error = {0};
    sac_status status = parse_sample(&st, data, size, &error);
    if (status == SAC_OK) status = sac_ssmtl_model_load(&model, st, "sample", &error);
    judge_sample(status, model, &error, data, size);
    sac_ssmtl_model_close(&model);
    sac_safetensors_close(&st);
    return 0;
}
