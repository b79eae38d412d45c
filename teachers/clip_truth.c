// Finds and loads the ground-truth regions of a clip.
#include "teachers/clip_truth.h"

#include <string.h>

#include "core/check.h"
#include "core/file.h"
#include "core/memory.h"
#include "saccade/video.h"

sac_status sac_clip_size(int *width, int *height, const sac_clip *clip, sac_error *error) {
    sac_video *video = NULL;
    sac_video_info info;
    const sac_video_options options = sac_video_default_options();
    const sac_status status = sac_video_open(&video, clip->source, &options, error);
    if (status < 0) return status;
    sac_video_get_info(video, &info);
    *width = info.width;
    *height = info.height;
    sac_video_close(&video);
    return SAC_OK;
}

sac_truth_source sac_truth_default_source(void) {
    return (sac_truth_source){.masks = sac_mask_default_options()};
}

bool sac_clip_is_normal(const sac_clip *clip) {
    return clip->labels != NULL && memchr(clip->labels, 1, (size_t)clip->frames) == NULL;
}

static sac_status read_tracks(sac_truth *truth, const sac_truth_source *source,
                              const sac_clip *clip, sac_error *error) {
    sac_status status = SAC_OK;
    char *path = NULL, *name = sac_format("%s.txt", clip->name);
    SAC_TRY_ALLOC(name);
    SAC_TRY_ALLOC(path = sac_path_join(source->tracks, name));
    if (sac_is_file(path))
        SAC_TRY(sac_truth_read(truth, path, clip->frames, source->first_frame, error));
    else if (!sac_clip_is_normal(clip))
        SAC_TRY(
            sac_error_set(error, SAC_ERROR_IO, -1,
                          "%s: no track file of clip %s, which has abnormal frames; expected %s",
                          source->tracks, clip->name, name));
fail:
    sac_free(name);
    sac_free(path);
    return status;
}

static sac_status read_masks(sac_truth *truth, const sac_mask_options *options,
                             const sac_clip *clip, sac_error *error) {
    sac_status status = SAC_OK;
    uint8_t *masks = NULL;
    int width, height;
    SAC_TRY(sac_clip_size(&width, &height, clip, error));
    SAC_TRY(sac_clip_load_masks(&masks, &width, &height, clip, error));
    SAC_TRY(sac_truth_from_masks(truth, masks, clip->frames, width, height, options, error));
fail:
    sac_free(masks);
    return status;
}

sac_status sac_clip_truth(sac_truth *truth, bool *known, const sac_clip *clip,
                          const sac_truth_source *source, sac_error *error) {
    sac_status status = SAC_OK;
    *truth = (sac_truth){.frames = clip->frames};
    *known = true;
    if (source->tracks != NULL)
        SAC_TRY(read_tracks(truth, source, clip, error));
    else if (clip->mask_folder != NULL)
        SAC_TRY(read_masks(truth, &source->masks, clip, error));
    else
        *known = sac_clip_is_normal(clip);
    return SAC_OK;
fail:
    sac_truth_close(truth);
    return sac_error_set(error, status, -1, "clip %s: no memory for its regions", clip->name);
}
