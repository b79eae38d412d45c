// Student models as ONNX files; see student/onnx_file.h. The texts are made here, the graph in nn/.
#include "student/onnx_file.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/check.h"
#include "core/file.h"
#include "core/memory.h"
#include "nn/onnx_export.h"
#include "student/heads.h"

static char *doc_text(const sac_model *model, bool input_u8) {
    const sac_preprocess *p = &model->preprocess;
    char *normal =
        input_u8 ? sac_format("as u8; the graph computes (x - %g) / %g itself", p->mean, p->scale)
                 : sac_format("as f32 (x - %g) / %g of pixels x in 0..255", p->mean, p->scale);
    if (normal == NULL) return NULL;
    const bool colour = p->channels == 3;
    const unsigned heads = sac_heads_of(model->net);
    char maps[SAC_HEADS * 40] = "";
    size_t used = 0;
    for (int k = 0; k < SAC_HEADS; k++) {
        if ((heads >> k & 1) == 0) continue;
        used += (size_t)snprintf(maps + used, sizeof maps - used, "%s\"%s\" [N][1][%d][%d]",
                                 used > 0 ? ", " : "", sac_heads[k].output, sac_heads[k].side,
                                 sac_heads[k].side);
    }
    char *text = sac_format(
        "Student network %s for abnormal event detection in video. Input \"frames\" "
        "[N][%d][%d][%d]: the frames t%+d, t%+d and t%+d of a video (a frame before the first or "
        "after the last is replaced by that one), %s, scaled to %d x %d pixels "
        "(area average when shrinking, bilinear when enlarging), %s. Outputs: anomaly maps in "
        "[0,1] of frame t, %s. Score of the frame: the mean over these maps of the largest value "
        "of each.",
        model->arch, 3 * p->channels, p->height, p->width, p->offsets[0], p->offsets[1],
        p->offsets[2], colour ? "red, green and blue of each in turn" : "gray (BT.601 luma)",
        p->width, p->height, normal, maps);
    sac_free(normal);
    return text;
}

sac_status sac_model_to_onnx(uint8_t **data, size_t *size, const sac_model *model,
                             const sac_model_onnx_options *options, sac_error *error) {
    sac_status status = SAC_OK;
    json_t *preprocess = sac_preprocess_to_json(&model->preprocess);
    char *preprocess_text = NULL, *provenance_text = NULL, *doc = NULL;
    *data = NULL;
    *size = 0;
    SAC_TRY_ALLOC(preprocess);
    SAC_TRY_ALLOC(preprocess_text = json_dumps(preprocess, JSON_COMPACT));
    SAC_TRY_ALLOC(provenance_text = json_dumps(model->provenance, JSON_COMPACT));
    SAC_TRY_ALLOC(doc = doc_text(model, options->input_u8));
    const sac_onnx_pair properties[] = {
        {"saccade.arch", model->arch},
        {"saccade.preprocess", preprocess_text},
        {"saccade.provenance", provenance_text},
        {"saccade.input", options->input_u8 ? "u8" : "f32"},
        {"saccade.precision", options->quant != NULL ? "int8" : "f32"}};
    const sac_onnx_export_options export = {
        .batch = options->batch,
        .input_u8 = options->input_u8,
        .quant = options->quant,
        .centred = options->centred,
        .mean = model->preprocess.mean,
        .scale = model->preprocess.scale,
        .name = "saccade-student",
        .doc = doc,
        .input_doc = model->preprocess.channels == 3
                         ? "three frames of three colours, see the model's doc_string"
                         : "three gray frames, see the model's doc_string",
        .output_doc = "anomaly map in [0,1]",
        .properties = properties,
        .property_count = (int)(sizeof properties / sizeof properties[0]),
    };
    status = sac_onnx_export(data, size, model->net, model->params, &export, error);
fail:
    json_decref(preprocess);
    free(preprocess_text); // Jansson allocates with malloc
    free(provenance_text);
    sac_free(doc);
    if (status == SAC_ERROR_MEMORY)
        sac_error_set(error, status, -1, "no memory for the ONNX file of a model");
    return status;
}

sac_status sac_model_write_onnx(const sac_model *model, const char *path,
                                const sac_model_onnx_options *options, sac_error *error) {
    sac_status status = SAC_OK;
    uint8_t *data = NULL;
    size_t size = 0;
    SAC_TRY(sac_model_to_onnx(&data, &size, model, options, error));
    status = sac_file_save(path, data, size, error);
fail:
    sac_free(data);
    return status;
}
