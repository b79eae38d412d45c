// Loads whole clips and their masks. Finding them is dataset.c's business.
#include <string.h>

#include "core/check.h"
#include "core/memory.h"
#include "core/spill.h"
#include "saccade/video.h"
#include "video/dataset.h"
#include "video/masks.h"

sac_status sac_clip_load_beside(uint8_t **pixels, int *width, int *height, int channels,
                                const sac_clip *clip, int64_t beside_bytes, sac_error *error) {
    sac_status status = SAC_OK;
    sac_video_options options = sac_video_default_options();
    sac_video_info info;
    sac_video *video = NULL;
    sac_frame frame;
    void *block = NULL;
    int64_t frame_bytes, count = 0;
    *pixels = NULL;
    options.width = *width;
    options.height = *height;
    options.channels = channels;
    SAC_TRY(sac_video_open(&video, clip->source, &options, error));
    sac_video_get_info(video, &info);
    frame_bytes = (int64_t)info.width * info.height * info.channels;
    SAC_TRY(sac_spill_alloc(&block, clip->frames, (size_t)frame_bytes, beside_bytes, error));
    uint8_t *const out = block;
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
    *pixels = block;
    block = NULL;
fail:
    if (status == SAC_ERROR_MEMORY)
        sac_error_set(error, status, -1, "clip '%s': out of memory for %lld frames", clip->name,
                      (long long)clip->frames);
    sac_spill_free(block);
    sac_video_close(&video);
    return status;
}

sac_status sac_clip_load(uint8_t **pixels, int *width, int *height, int channels,
                         const sac_clip *clip, sac_error *error) {
    return sac_clip_load_beside(pixels, width, height, channels, clip, 0, error);
}

sac_status sac_clip_load_masks(uint8_t **masks, int *width, int *height, const sac_clip *clip,
                               sac_error *error) {
    sac_status status = SAC_OK;
    sac_masks *reader = NULL;
    uint8_t *out = NULL;
    int64_t bytes;
    int w, h;
    *masks = NULL;
    SAC_TRY(sac_masks_open(&reader, clip, *width, *height, error));
    sac_masks_size(reader, &w, &h);
    const int64_t area = (int64_t)w * h;
    if (!sac_mul(area, clip->frames, &bytes)) SAC_TRY(SAC_ERROR_MEMORY);
    SAC_TRY_ALLOC(out = sac_calloc(bytes, 1));
    for (int64_t t = 0; t < clip->frames; t++)
        SAC_TRY(sac_masks_read(reader, t, out + t * area, error));
    *width = w;
    *height = h;
    *masks = out;
    out = NULL;
fail:
    if (status == SAC_ERROR_MEMORY)
        sac_error_set(error, status, -1, "clip '%s': out of memory for its masks", clip->name);
    sac_masks_close(&reader);
    sac_free(out);
    return status;
}
