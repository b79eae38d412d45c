// YOLO heads to boxes, and a Darknet network behind the face of a detection network.
#include "teachers/detect_darknet.h"

#include <math.h>
#include <string.h>

#include "core/check.h"
#include "core/file.h"
#include "core/memory.h"
#include "nn/infer.h"

#define MOST_BATCH     64
#define MOST_CFG_BYTES ((size_t)4 << 20)

typedef struct yolo {
    sac_darknet *darknet;
    uint8_t *cfg; // text, to build the network again for another input size
    size_t cfg_size;
    char *path; // of it
    sac_plan_options options;
    sac_infer *infer;
    int64_t picture; // elements of one
} yolo;

static double logistic(double x) {
    return 1 / (1 + exp(-x));
}

// One anchor at one cell; `t` holds its values `stride` apart.
static sac_status decode_cell(sac_box_list *boxes, const sac_darknet_head *head, int anchor,
                              int64_t i, int64_t j, const float *t, int64_t stride, double cell_w,
                              double cell_h, double least) {
    const bool plain = head->new_coords;
    const double object = plain ? (double)t[4 * stride] : logistic((double)t[4 * stride]);
    // No product can reach the threshold when this factor does not; new_coords' factors may exceed
    // 1.
    if (object < least && !plain) return SAC_OK;
    const double q = head->scale_x_y, tx = (double)t[0], ty = (double)t[stride];
    const double tw = (double)t[2 * stride], th = (double)t[3 * stride];
    const double x = ((double)i + q * (plain ? tx : logistic(tx)) - (q - 1) / 2) * cell_w;
    const double y = ((double)j + q * (plain ? ty : logistic(ty)) - (q - 1) / 2) * cell_h;
    const double w = head->anchor_w[anchor] * (plain ? 4 * tw * tw : exp(tw));
    const double h = head->anchor_h[anchor] * (plain ? 4 * th * th : exp(th));
    sac_box box = {.x1 = (float)(x - w / 2),
                   .y1 = (float)(y - h / 2),
                   .x2 = (float)(x + w / 2),
                   .y2 = (float)(y + h / 2)};
    const bool sized = isfinite(box.x1) && isfinite(box.y1) && isfinite(box.x2) &&
                       isfinite(box.y2) && box.x1 < box.x2 && box.y1 < box.y2;
    if (!sized) return SAC_OK;
    for (int c = 0; c < head->classes; c++) {
        const double score = (double)t[(5 + c) * stride];
        const double confidence = object * (plain ? score : logistic(score));
        if (!(confidence >= least) || !(confidence > 0)) continue;
        box.confidence = (float)fmin(confidence, 1);
        box.class_id = c;
        const sac_status status = sac_box_list_add(boxes, &box);
        if (status < 0) return status;
    }
    return SAC_OK;
}

sac_status sac_darknet_decode(sac_box_list *boxes, const sac_darknet_head *head,
                              const float *values, int64_t width, int64_t height,
                              double min_confidence) {
    const int64_t plane = head->grid_w * head->grid_h, channels = 5 + head->classes;
    const double cell_w = (double)width / (double)head->grid_w;
    const double cell_h = (double)height / (double)head->grid_h;
    for (int64_t i = 0; i < head->anchors * channels * plane; i++) {
        if (!isfinite(values[i])) return SAC_ERROR_NUMERIC;
    }
    for (int a = 0; a < head->anchors; a++) {
        const float *anchor = values + a * channels * plane;
        for (int64_t p = 0; p < plane; p++) {
            const sac_status status =
                decode_cell(boxes, head, a, p % head->grid_w, p / head->grid_w, anchor + p, plane,
                            cell_w, cell_h, min_confidence);
            if (status < 0) return status;
        }
    }
    return SAC_OK;
}

static float *yolo_picture(void *user, int index) {
    const yolo *y = user;
    return sac_infer_input(y->infer, SAC_DARKNET_INPUT) + index * y->picture;
}

static sac_status yolo_run(void *user, int count, double min_confidence, sac_box_list *boxes,
                           sac_error *error) {
    const yolo *y = user;
    sac_status status = sac_infer_run(y->infer, error);
    for (int h = 0; h < y->darknet->head_count && status >= 0; h++) {
        const sac_darknet_head *head = &y->darknet->heads[h];
        const float *values = sac_infer_output(y->infer, head->output);
        const int64_t size =
            head->anchors * (int64_t)(5 + head->classes) * head->grid_w * head->grid_h;
        for (int i = 0; i < count && status >= 0; i++) {
            status = sac_darknet_decode(&boxes[i], head, values + i * size, y->darknet->width,
                                        y->darknet->height, min_confidence);
        }
        if (status == SAC_ERROR_NUMERIC) {
            return sac_error_set(error, status, -1,
                                 "the detection network's output '%s' is not finite", head->output);
        }
    }
    return status;
}

static void yolo_close(void *user) {
    yolo *y = user;
    if (y == NULL) return;
    sac_infer_close(&y->infer);
    sac_darknet_close(&y->darknet);
    sac_free(y->cfg);
    sac_free(y->path);
    sac_free(y);
}

static sac_status yolo_resize(sac_box_network *network, int width, int height, sac_error *error) {
    sac_status status = SAC_OK;
    yolo *y = network->user;
    sac_darknet *d = NULL;
    sac_infer *infer = NULL;
    SAC_TRY(sac_darknet_parse(&d, y->cfg, y->cfg_size, y->path, width, height, error));
    SAC_TRY(sac_infer_create(&infer, d->net, y->darknet->params, &y->options, error));
    d->params = y->darknet->params;
    y->darknet->params = NULL;
    sac_darknet_close(&y->darknet);
    sac_infer_close(&y->infer);
    y->darknet = d;
    y->infer = infer;
    y->picture = d->channels * d->width * d->height;
    network->input.width = width;
    network->input.height = height;
    return SAC_OK;
fail:
    sac_infer_close(&infer);
    sac_darknet_close(&d);
    return status;
}

sac_status sac_darknet_network_open(sac_box_network **out, const char *cfg, const char *weights,
                                    const char *names, int64_t width, int64_t height, int batch,
                                    sac_backend backend, sac_error *error) {
    sac_status status = SAC_OK;
    sac_box_network *network = NULL;
    *out = NULL;
    if (batch < 1 || batch > MOST_BATCH) {
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1, "%s: batch %d, expected 1 to %d", cfg,
                             batch, MOST_BATCH);
    }
    SAC_TRY_ALLOC(network = sac_calloc(1, sizeof *network));
    network->close = yolo_close;
    yolo *y = network->user = sac_calloc(1, sizeof *y);
    SAC_TRY_ALLOC(y);
    SAC_TRY_ALLOC(y->path = sac_strdup(cfg));
    SAC_TRY(sac_file_read(&y->cfg, &y->cfg_size, cfg, MOST_CFG_BYTES, error));
    SAC_TRY(sac_darknet_parse(&y->darknet, y->cfg, y->cfg_size, cfg, width, height, error));
    sac_darknet *d = y->darknet;
    if (d->head_count == 0 || d->channels != 3) {
        status =
            sac_error_set(error, SAC_ERROR_FORMAT, -1,
                          "%s: %d [yolo] sections and %d channels, a detector needs at least 1 "
                          "and 3",
                          cfg, d->head_count, (int)d->channels);
        goto fail;
    }
    network->classes = d->heads[0].classes;
    SAC_TRY(sac_box_network_names(network, names, cfg, error));
    SAC_TRY(sac_darknet_read_weights(d, weights, error));
    y->options = (sac_plan_options){.batch = batch, .backend = backend};
    SAC_TRY(sac_infer_create(&y->infer, d->net, d->params, &y->options, error));
    if (width == 0 && height == 0) {
        network->resize = yolo_resize;
        network->stride = (int)d->stride;
    } else {
        sac_params_close(&d->params); // the plan has its own
    }
    y->picture = d->channels * d->width * d->height;
    network->input = (sac_network_input){.width = (int)d->width,
                                         .height = (int)d->height,
                                         .pad = 127.5,
                                         .scale = {1 / 255.0, 1 / 255.0, 1 / 255.0}};
    network->batch = batch;
    network->picture = yolo_picture;
    network->run = yolo_run;
    SAC_TRY(
        sac_box_network_stamp(network, "darknet", (const char *const[]){cfg, weights}, 2, error));
    SAC_TRY_ALLOC(network->text =
                      sac_format("darknet:%s:%s", sac_path_last(cfg), sac_path_last(weights)));
    *out = network;
    return SAC_OK;
fail:
    sac_box_network_close(&network);
    return sac_error_set(error, status, -1, "%s: no memory for the detector", cfg);
}
