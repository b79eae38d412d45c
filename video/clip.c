// Loads whole clips and their masks into memory. Finding them is dataset.c's business.
#include <string.h>

#include "core/check.h"
#include "core/memory.h"
#include "saccade/video.h"
#include "video/convert.h"
#include "video/dataset.h"
#include "video/ffmpeg.h"
#include "video/pictures.h"
#include "video/scale.h"

sac_status sac_clip_load(uint8_t **pixels, int *width, int *height, int channels,
                         const sac_clip *clip, sac_error *error) {
    sac_status status = SAC_OK;
    sac_video_options options = sac_video_default_options();
    sac_video_info info;
    sac_video *video = NULL;
    sac_frame frame;
    uint8_t *out = NULL;
    int64_t frame_bytes, bytes, count = 0;
    *pixels = NULL;
    options.width = *width;
    options.height = *height;
    options.channels = channels;
    SAC_TRY(sac_video_open(&video, clip->source, &options, error));
    sac_video_get_info(video, &info);
    frame_bytes = (int64_t)info.width * info.height * info.channels;
    if (!sac_mul(frame_bytes, clip->frames, &bytes)) SAC_TRY(SAC_ERROR_MEMORY);
    out = sac_calloc(bytes, 1);
    SAC_TRY_ALLOC(out);
    while ((status = sac_video_read(video, &frame, error)) == SAC_OK) {
        if (count < clip->frames)
            memcpy(out + count * frame_bytes, frame.data, (size_t)frame_bytes);
        count++;
    }
    SAC_TRY(status);
    status = SAC_OK;
    if (count != clip->frames)
        SAC_TRY(sac_error_set(error, SAC_ERROR_FORMAT, count,
                              "clip '%s' ('%s') has %lld frames, expected %lld", clip->name,
                              clip->source, (long long)count, (long long)clip->frames));
    *width = info.width;
    *height = info.height;
    *pixels = out;
    out = NULL;
fail:
    if (status == SAC_ERROR_MEMORY)
        sac_error_set(error, status, -1, "clip '%s': out of memory for %lld frames", clip->name,
                      (long long)clip->frames);
    sac_free(out);
    sac_video_close(&video);
    return status;
}

// One mask picture as gray of its own size in *gray (grown as needed).
static sac_status decode_mask(uint8_t **gray, int64_t *room, sac_pictures *pictures, int64_t index,
                              AVFrame *frame, sac_error *error) {
    sac_status status = SAC_OK;
    sac_converter *converter = NULL;
    const char *path = sac_pictures_path(pictures, index), *dot = strrchr(path, '.');
    if (dot != NULL && (strcasecmp(dot, ".jpg") == 0 || strcasecmp(dot, ".jpeg") == 0))
        SAC_TRY(sac_error_set(error, SAC_ERROR_FORMAT, index,
                              "'%s': masks must be exact, expected .bmp, .png, .tif or .pgm",
                              path));
    SAC_TRY(sac_pictures_decode(pictures, index, frame, error));
    int64_t bytes = (int64_t)frame->width * frame->height;
    if (*room < bytes) {
        sac_free(*gray);
        *room = 0;
        *gray = sac_calloc(bytes, 1);
        SAC_TRY_ALLOC(*gray);
        *room = bytes;
    }
    SAC_TRY(sac_converter_create(&converter, frame->width, frame->height, 1));
    SAC_TRY(sac_converter_run(converter, *gray, frame, path, error));
fail:
    sac_converter_close(&converter);
    return status;
}

sac_status sac_clip_load_masks(uint8_t **masks, int *width, int *height, const sac_clip *clip,
                               sac_error *error) {
    sac_status status = SAC_OK;
    sac_pictures *pictures = NULL;
    sac_scaler *scaler = NULL;
    AVFrame *frame = NULL;
    uint8_t *out = NULL, *gray = NULL;
    int64_t room = 0, area = 0, bytes;
    int w = *width, h = *height, scaler_width = 0, scaler_height = 0;
    *masks = NULL;
    if (clip->mask_folder == NULL)
        SAC_TRY(sac_error_set(error, SAC_ERROR_ARGUMENT, -1, "clip '%s' has no pixel masks",
                              clip->name));
    if (w < 0 || h < 0 || w > SAC_MAX_SIDE || h > SAC_MAX_SIDE || (w == 0) != (h == 0))
        SAC_TRY(sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                              "mask size %dx%d, expected 1x1 to %dx%d or 0x0", w, h, SAC_MAX_SIDE,
                              SAC_MAX_SIDE));
    SAC_TRY(sac_pictures_open(&pictures, clip->mask_folder, error));
    if (sac_pictures_count(pictures) != clip->frames)
        SAC_TRY(sac_error_set(error, SAC_ERROR_FORMAT, sac_pictures_count(pictures),
                              "clip '%s' has %lld frames, but '%s' holds %lld masks", clip->name,
                              (long long)clip->frames, clip->mask_folder,
                              (long long)sac_pictures_count(pictures)));
    frame = av_frame_alloc();
    SAC_TRY_ALLOC(frame);
    for (int64_t t = 0; t < clip->frames; t++) {
        SAC_TRY(decode_mask(&gray, &room, pictures, t, frame, error));
        if (out == NULL) {
            if (w == 0) {
                w = frame->width;
                h = frame->height;
            }
            area = (int64_t)w * h;
            if (!sac_mul(area, clip->frames, &bytes)) SAC_TRY(SAC_ERROR_MEMORY);
            out = sac_calloc(bytes, 1);
            SAC_TRY_ALLOC(out);
        }
        uint8_t *mask = out + t * area;
        int64_t pixels = (int64_t)frame->width * frame->height;
        if (frame->width == w && frame->height == h) {
            for (int64_t i = 0; i < pixels; i++) mask[i] = gray[i] > 0;
            continue;
        }
        for (int64_t i = 0; i < pixels; i++) gray[i] = gray[i] > 0 ? 255 : 0;
        if (scaler == NULL || scaler_width != frame->width || scaler_height != frame->height) {
            sac_scaler_close(&scaler);
            SAC_TRY(sac_scaler_create(&scaler, frame->width, frame->height, w, h, 1));
            scaler_width = frame->width;
            scaler_height = frame->height;
        }
        sac_scaler_run(scaler, mask, gray);
        for (int64_t i = 0; i < area; i++) mask[i] = mask[i] >= 128;
    }
    *width = w;
    *height = h;
    *masks = out;
    out = NULL;
fail:
    if (status == SAC_ERROR_MEMORY)
        sac_error_set(error, status, -1, "clip '%s': out of memory for its masks", clip->name);
    av_frame_free(&frame);
    sac_scaler_close(&scaler);
    sac_pictures_close(&pictures);
    sac_free(gray);
    sac_free(out);
    return status;
}
