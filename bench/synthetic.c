// Writes the synthetic scene as one encoded video for speed measurements.
// Accuracy on synthetic data is measured on a whole data set made by `synth`, not on this clip.
#include "bench/synthetic.h"

#include "core/check.h"
#include "core/memory.h"
#include "video/picture.h"
#include "video/synth.h"

sac_status sac_synthetic_clip_write(const char *path, const sac_synthetic_clip *clip,
                                    int (*poll)(void *user, int64_t done, int64_t total),
                                    void *user, sac_error *error) {
    sac_synth_options options = sac_synth_default_options();
    sac_synth_scene *scene = NULL;
    sac_video_writer *writer = NULL;
    uint8_t *gray = NULL;
    int64_t size;
    sac_status status;
    if (clip->frames < 2 || !sac_mul(clip->width, clip->height, &size))
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "synthetic clip of %dx%d with %lld frames, expected at least 2 frames",
                             clip->width, clip->height, (long long)clip->frames);
    options.width = clip->width;
    options.height = clip->height;
    options.frames_per_clip = clip->frames;
    options.frame_rate = 25.0;
    options.seed = clip->seed;
    SAC_TRY(sac_synth_scene_create(&scene, &options, 0, SAC_SYNTH_CYCLIST));
    SAC_TRY_ALLOC(gray = sac_calloc(size, 1));
    SAC_TRY(sac_video_writer_open(&writer, path, clip->width, clip->height, options.frame_rate,
                                  false, error));
    for (int64_t t = 0; t < clip->frames; t++) {
        SAC_TRY(sac_synth_scene_render(scene, t, gray, NULL, NULL));
        SAC_TRY(sac_video_writer_frame(writer, gray, 1, error));
        if (poll != NULL && poll(user, t + 1, clip->frames) != 0)
            SAC_TRY(sac_error_set(error, SAC_ERROR_INTERRUPTED, t, "interrupted"));
    }
    SAC_TRY(sac_video_writer_commit(&writer, error));
    status = SAC_OK;
fail:
    if (status < 0)
        sac_error_set(error, status, -1, "%s: the synthetic clip could not be made: %s", path,
                      sac_status_name(status));
    sac_free(gray);
    sac_video_writer_close(&writer);
    sac_synth_scene_close(&scene);
    return status;
}
