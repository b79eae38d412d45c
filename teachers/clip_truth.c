// Finds and loads the ground-truth regions of a clip.
#include "teachers/clip_truth.h"

#include <string.h>

#include "core/check.h"
#include "core/file.h"
#include "core/memory.h"
#include "saccade/video.h"
#include "video/masks.h"

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

// TRACKS/<clip>.txt or, where the halves of a data set share names and clips are called "test_01",
// the file's own name; zero-padded or not. *path NULL: there is none.
static sac_status find_tracks(char **path, const char *folder, const sac_clip *clip) {
    sac_status status = SAC_OK;
    char *name = NULL;
    const char *file = sac_path_last(clip->source);
    const char *dot = sac_is_folder(clip->source) ? NULL : strrchr(file, '.');
    const int length = (int)(dot != NULL ? dot - file : (ptrdiff_t)strlen(file));
    const char *bare = file;
    while (bare < file + length - 1 && *bare == '0') bare++;
    *path = NULL;
    for (int i = 0; i < 3 && *path == NULL; i++) {
        name = i == 0   ? sac_format("%s.txt", clip->name)
               : i == 1 ? sac_format("%.*s.txt", length, file)
                        : sac_format("%.*s.txt", (int)(file + length - bare), bare);
        SAC_TRY_ALLOC(name);
        SAC_TRY_ALLOC(*path = sac_path_join(folder, name));
        if (!sac_is_file(*path)) {
            sac_free(*path);
            *path = NULL;
        }
        sac_free(name);
        name = NULL;
    }
fail:
    sac_free(name);
    return status;
}

static sac_status read_tracks(sac_truth *truth, const sac_truth_source *source,
                              const sac_clip *clip, sac_error *error) {
    sac_status status = SAC_OK;
    char *path = NULL;
    SAC_TRY(find_tracks(&path, source->tracks, clip));
    if (path != NULL)
        SAC_TRY(sac_truth_read(truth, path, clip->frames, source->first_frame, error));
    else if (!sac_clip_is_normal(clip))
        SAC_TRY(sac_error_set(
            error, SAC_ERROR_IO, -1,
            "%s: no track file of clip %s, which has abnormal frames; expected %s.txt",
            source->tracks, clip->name, clip->name));
fail:
    sac_free(path);
    return status;
}

// Masks are scaled to the clip's frames; of masks that tell objects apart the boxes are.
static sac_status read_masks(sac_truth *truth, const sac_mask_options *options,
                             const sac_clip *clip, sac_error *error) {
    sac_status status = SAC_OK;
    sac_masks *masks = NULL;
    sac_truth_tracer *tracer = NULL;
    uint8_t *mask = NULL;
    int width, height, w, h;
    int64_t count;
    SAC_TRY(sac_clip_size(&width, &height, clip, error));
    const bool objects = clip->objects != NULL;
    SAC_TRY(sac_masks_open(&masks, clip, objects ? 0 : width, objects ? 0 : height, error));
    sac_masks_size(masks, &w, &h);
    const sac_span *spans = sac_masks_spans(masks, &count);
    SAC_TRY_ALLOC(mask = sac_calloc((int64_t)w * h, 1));
    SAC_TRY(sac_truth_tracer_create(&tracer, w, h, options, error));
    for (int64_t t = 0; t < clip->frames; t++)
        if (objects) {
            SAC_TRY(sac_masks_read_objects(masks, t, mask, error));
            SAC_TRY(sac_truth_tracer_objects(tracer, mask, spans, count, error));
        } else {
            SAC_TRY(sac_masks_read(masks, t, mask, error));
            SAC_TRY(sac_truth_tracer_mask(tracer, mask, error));
        }
    sac_truth_tracer_finish(truth, &tracer, (float)width / (float)w, (float)height / (float)h);
fail:
    sac_truth_tracer_close(&tracer);
    sac_masks_close(&masks);
    sac_free(mask);
    return status;
}

sac_status sac_clip_truth(sac_truth *truth, bool *known, const sac_clip *clip,
                          const sac_truth_source *source, sac_error *error) {
    sac_status status = SAC_OK;
    *truth = (sac_truth){.frames = clip->frames};
    *known = true;
    if (source->tracks != NULL)
        SAC_TRY(read_tracks(truth, source, clip, error));
    else if (clip->mask_path != NULL)
        SAC_TRY(read_masks(truth, &source->masks, clip, error));
    else
        *known = sac_clip_is_normal(clip);
    return SAC_OK;
fail:
    sac_truth_close(truth);
    return sac_error_set(error, status, -1, "clip %s: no memory for its regions", clip->name);
}
