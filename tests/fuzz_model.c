// Fuzzes the model file: any bytes must give an error with a reason or a model, and a model that
// was accepted must plan and score a frame (small ones are tried, mostly on the reference).
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/file.h"
#include "core/memory.h"
#include "fuzz.h"
#include "student/runtime.h"

// The criterion header is not linked here, so the small network is made without the test helper.
static sac_net *small_net(int variant) {
    sac_net *net = NULL;
    if (sac_net_create(&net) < 0) return NULL;
    int x = sac_net_input(net, "frames", 3, (const int64_t[]){3, 16, 16});
    if (variant == 1) {
        x = sac_net_conv2d(net, "stem.conv", x, 2, 3, 2, 1, 1, false);
        x = sac_net_batch_norm(net, "stem.norm", x);
        x = sac_net_unary(net, SAC_OP_RELU, "stem.relu", x);
    }
    static const char *const names[3][3] = {
        {"map16", "l16", "p16"}, {"map4", "l4", "p4"}, {"map1", "l1", "p1"}};
    static const int64_t sides[3] = {16, 4, 1};
    for (int i = 0; i < 3; i++) {
        int y = variant == 2 && i == 2 ? sac_net_dense(net, names[i][1], x, 1, true)
                                       : sac_net_conv2d(net, names[i][1], x, 1, 1, 1, 0, 1, true);
        if (variant == 2 && i == 2) {
            y = sac_net_reshape(net, names[i][2], y, 3, (const int64_t[]){1, 1, 1});
        } else {
            y = sac_net_adaptive_pool(net, SAC_OP_ADAPTIVE_MAX_POOL, names[i][2], y, 1, sides[i],
                                      sides[i]);
        }
        sac_net_output(net, sac_net_unary(net, SAC_OP_SIGMOID, names[i][0], y));
    }
    return net;
}

size_t sac_fuzz_seed(int index, uint8_t *out, size_t capacity) {
    if (index > 2) return 0;
    sac_model model = {.arch = (char[]){"small"}, .preprocess = sac_preprocess_default()};
    model.preprocess.width = model.preprocess.height = 16;
    model.net = small_net(index);
    model.provenance = json_pack("{s:s, s:[i, i]}", "dataset", "sample", "numbers", 1, 2);
    if (index == 1 && (sac_quant_create(&model.quant) < 0 ||
                       sac_quant_set(model.quant, "stem.relu", 0.05, NULL) < 0)) {
        abort();
    }
    if (index == 1) model.calibration = json_pack("{s:f}", "scale", 2.0);
    uint8_t *bytes = NULL;
    size_t size = 0;
    char path[] = "/tmp/saccade-fuzz-XXXXXX";
    int file = mkstemp(path);
    if (file >= 0) close(file);
    if (model.net == NULL || file < 0 || sac_params_create(&model.params, model.net, NULL) < 0 ||
        sac_model_save(&model, path, NULL) < 0 ||
        sac_file_read(&bytes, &size, path, capacity, NULL) < 0) {
        abort(); // without samples the target would test next to nothing
    }
    memcpy(out, bytes, size);
    unlink(path);
    sac_free(bytes);
    sac_params_close(&model.params);
    sac_net_close(&model.net);
    json_decref(model.provenance);
    json_decref(model.calibration);
    sac_quant_close(&model.quant);
    return size;
}

// Scores must be reported as what they are: within [0,1] or not finite.
static void score_frame(sac_model **model) {
    const sac_net *net = (*model)->net;
    const int64_t count = sac_net_count(net);
    sac_shape *shapes = sac_calloc(count, sizeof *shapes);
    int64_t work = 0;
    if (shapes == NULL || sac_net_shapes(net, 1, shapes, NULL) < 0) abort();
    for (int i = 0; i < count; i++) {
        int64_t values = 1;
        for (int k = 0; k < shapes[i].ndims; k++) values *= shapes[i].dims[k];
        work += values + sac_net_macs(net, i);
    }
    sac_free(shapes);
    static unsigned turn;
    const sac_student_options options = {.threads = 1, .reference = turn++ % 8 != 0};
    sac_student *student = NULL;
    sac_result result;
    static const uint8_t frame[12] = {0, 255, 7, 80};
    if (work <= 2000000 && sac_student_create(&student, model, &options, NULL) == SAC_OK) {
        if (sac_student_push(student, frame, 4, 3, 1, 0.0, NULL) < 0 ||
            sac_student_finish(student, NULL) < 0) {
            abort();
        }
        if (sac_student_pull(student, &result, NULL) == SAC_OK &&
            !(result.score >= 0.0f && result.score <= 1.0f)) {
            abort();
        }
        sac_student_close(&student);
    }
    sac_model_close(model);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    sac_model *model = NULL;
    sac_error error = {0};
    sac_status status = sac_model_parse(&model, data, size, "fuzz", &error);
    if (status < 0) {
        // A refusal without a reason is a defect as well.
        if (model != NULL || error.code != status || error.message[0] == '\0') abort();
        return 0;
    }
    if (model == NULL || sac_params_check_finite(model->params, NULL) < 0 ||
        sac_net_check(model->net, NULL) < 0) {
        abort();
    }
    score_frame(&model);
    return 0;
}
