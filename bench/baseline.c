// Frame-difference scorers, the floor that any learned scorer must clear.
// Deliberately without smoothing or normalisation: evaluation adds those for every scorer alike.
#include "bench/baseline.h"

#include <string.h>

#include "core/check.h"
#include "core/memory.h"
#include "saccade/video.h"

void sac_frame_difference(float *mean, float *block, const uint8_t *frame, const uint8_t *previous,
                          int width, int height) {
    uint64_t total = 0;
    double largest = 0.0;
    for (int top = 0; top < height; top += SAC_BASELINE_BLOCK) {
        const int bottom = height - top > SAC_BASELINE_BLOCK ? top + SAC_BASELINE_BLOCK : height;
        for (int left = 0; left < width; left += SAC_BASELINE_BLOCK) {
            const int right = width - left > SAC_BASELINE_BLOCK ? left + SAC_BASELINE_BLOCK : width;
            uint32_t sum = 0;
            for (int y = top; y < bottom; y++) {
                const int64_t row = (int64_t)y * width;
                for (int x = left; x < right; x++) {
                    const int difference = (int)frame[row + x] - (int)previous[row + x];
                    sum += (uint32_t)(difference < 0 ? -difference : difference);
                }
            }
            total += sum;
            const double average = (double)sum / ((bottom - top) * (right - left));
            if (average > largest) largest = average;
        }
    }
    *mean = (float)((double)total / ((double)width * (double)height));
    *block = (float)largest;
}

sac_status sac_baseline_clip(float *mean, float *block, const sac_clip *clip,
                             int (*poll)(void *user), void *user, sac_error *error) {
    sac_video *video = NULL;
    uint8_t *previous = NULL;
    sac_video_options options = sac_video_default_options();
    sac_video_info info;
    sac_frame frame;
    sac_status status;
    int64_t frames = 0;
    options.channels = 1;
    SAC_TRY(sac_video_open(&video, clip->source, &options, error));
    sac_video_get_info(video, &info);
    int64_t size;
    if (!sac_mul(info.width, info.height, &size)) size = -1;
    SAC_TRY_ALLOC(previous = sac_calloc(size, 1));
    while (true) {
        SAC_TRY(sac_video_read(video, &frame, error));
        if (status == SAC_EOF) break;
        if (poll != NULL && poll(user) != 0)
            SAC_TRY(sac_error_set(error, SAC_ERROR_INTERRUPTED, frames, "interrupted"));
        if (frames < clip->frames) {
            if (frames > 0)
                sac_frame_difference(&mean[frames], &block[frames], frame.data, previous,
                                     info.width, info.height);
            memcpy(previous, frame.data, (size_t)size);
        }
        frames++;
    }
    if (frames != clip->frames)
        SAC_TRY(sac_error_set(error, SAC_ERROR_FORMAT, frames,
                              "clip %s: %s decodes to %lld frames, expected %lld", clip->name,
                              clip->source, (long long)frames, (long long)clip->frames));
    if (frames > 0) {
        mean[0] = frames > 1 ? mean[1] : 0.0F;
        block[0] = frames > 1 ? block[1] : 0.0F;
    }
    status = SAC_OK;
fail:
    if (status == SAC_ERROR_MEMORY)
        sac_error_set(error, status, -1, "no memory for a frame of clip %s", clip->name);
    sac_free(previous);
    sac_video_close(&video);
    return status;
}
