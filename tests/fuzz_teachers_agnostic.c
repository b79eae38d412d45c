// Any bytes as a file of the background-agnostic teacher: an error with a message, or a teacher
// that can be closed again.
#include "fuzz_teacher.h"
#include "teachers/agnostic.h"

static sac_status write_teacher(const char *path) {
    sac_agnostic_model model = {.crop_size = 16, .flow_unit = 1};
    sac_calibration_init(&model.calibration, SAC_AGNOSTIC_BRANCHES, sac_agnostic_branch_name,
                         SAC_COMBINE_MEAN);
    model.calibration.objects = 1;
    if (sac_agnostic_net(&model.net, SAC_AGNOSTIC_MODEL, 0, SAC_AGNOSTIC_NARROW, 16, 1, NULL) !=
            SAC_OK ||
        sac_params_create(&model.params, model.net, NULL) != SAC_OK)
        abort();
    sac_status status = sac_agnostic_model_write(&model, path, NULL, NULL);
    sac_params_close(&model.params);
    sac_net_close(&model.net);
    return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    sac_agnostic_model *model = NULL;
    sac_safetensors *st = NULL;
    sac_error error = {0};
    sac_status status = parse_sample(&st, data, size, &error);
    if (status == SAC_OK) status = sac_agnostic_model_parse(&model, st, "sample", &error);
    judge_sample(status, model, &error, data, size);
    sac_agnostic_model_close(&model);
    sac_safetensors_close(&st);
    return 0;
}
