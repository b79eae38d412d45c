// Finds and loads ground-truth regions for a selection of clips, and measures score sets with them.
#include "bench/region_truth.h"

#include <stdbool.h>
#include <string.h>

#include "bench/map_scores.h"
#include "core/check.h"
#include "core/file.h"
#include "core/memory.h"

void sac_region_truth_close(sac_region_truth *truth) {
    if (truth == NULL) return;
    for (int64_t c = 0; truth->clips != NULL && c < truth->count; c++)
        sac_truth_close(&truth->clips[c]);
    sac_free(truth->clips);
    memset(truth, 0, sizeof *truth);
}

static bool is_normal(const sac_clip *clip) {
    return clip->labels != NULL && memchr(clip->labels, 1, (size_t)clip->frames) == NULL;
}

static sac_status read_tracks(sac_truth *truth, const char *folder, int first_frame,
                              const sac_clip *clip, sac_error *error) {
    sac_status status = SAC_OK;
    char *path = NULL, *name = sac_format("%s.txt", clip->name);
    SAC_TRY_ALLOC(name);
    SAC_TRY_ALLOC(path = sac_path_join(folder, name));
    if (sac_is_file(path))
        SAC_TRY(sac_truth_read(truth, path, clip->frames, first_frame, error));
    else if (is_normal(clip))
        *truth = (sac_truth){.frames = clip->frames};
    else
        SAC_TRY(
            sac_error_set(error, SAC_ERROR_IO, -1,
                          "%s: no track file of clip %s, which has abnormal frames; expected %s",
                          folder, clip->name, name));
fail:
    sac_free(name);
    sac_free(path);
    return status;
}

static sac_status read_masks(sac_truth *truth, int64_t min_area, const sac_clip *clip,
                             sac_error *error) {
    sac_status status = SAC_OK;
    uint8_t *masks = NULL;
    int width, height;
    if (clip->mask_folder == NULL) {
        *truth = (sac_truth){.frames = clip->frames};
        return SAC_OK;
    }
    SAC_TRY(sac_clip_size(&width, &height, clip, error));
    SAC_TRY(sac_clip_load_masks(&masks, &width, &height, clip, error));
    SAC_TRY(sac_truth_from_masks(truth, masks, clip->frames, width, height, min_area, error));
fail:
    sac_free(masks);
    return status;
}

// Whether the masks of the selection say where everything abnormal is.
static bool masks_suffice(const sac_clip_selection *selection, const sac_logger *logger) {
    const sac_clip *lacking = NULL;
    bool any = false;
    for (int64_t c = 0; c < selection->count; c++) {
        const sac_clip *clip = selection->clips[c];
        any = any || clip->mask_folder != NULL;
        if (clip->mask_folder == NULL && !is_normal(clip) && lacking == NULL) lacking = clip;
    }
    if (any && lacking != NULL && logger != NULL && logger->write != NULL) {
        char *message =
            sac_format("no RBDC and TBDC: clip %s has abnormal frames but no masks", lacking->name);
        if (message != NULL) logger->write(logger->user, SAC_LOG_WARNING, message);
        sac_free(message);
    }
    return any && lacking == NULL;
}

sac_status sac_region_truth_open(sac_region_truth *truth, const char *tracks, int first_frame,
                                 int64_t min_area, const sac_clip_selection *selection,
                                 const sac_logger *logger, sac_error *error) {
    sac_status status = SAC_OK;
    memset(truth, 0, sizeof *truth);
    if (tracks != NULL && !sac_is_folder(tracks))
        return sac_error_set(error, SAC_ERROR_IO, -1,
                             "%s: no such folder, track files CLIP.txt were expected in it",
                             tracks);
    if (tracks == NULL && !masks_suffice(selection, logger)) return SAC_OK;
    truth->origin = tracks != NULL ? "track files" : "pixel masks";
    SAC_TRY_ALLOC(truth->clips = sac_calloc(selection->count, sizeof *truth->clips));
    truth->count = selection->count;
    for (int64_t c = 0; c < selection->count; c++) {
        const sac_clip *clip = selection->clips[c];
        if (tracks != NULL)
            SAC_TRY(read_tracks(&truth->clips[c], tracks, first_frame, clip, error));
        else
            SAC_TRY(read_masks(&truth->clips[c], min_area, clip, error));
        truth->regions += truth->clips[c].count;
        truth->tracks += truth->clips[c].tracks;
    }
    return SAC_OK;
fail:
    sac_region_truth_close(truth);
    return sac_error_set(error, status, -1, "no memory for ground-truth regions");
}

sac_status sac_region_truth_measure(sac_region_result *result, const sac_region_truth *truth,
                                    const sac_score_set *set, const sac_clip_selection *selection,
                                    sac_error *error) {
    sac_status status = SAC_OK;
    sac_region_meter *meter = NULL;
    sac_error cause = {0};
    const sac_region_options options = sac_region_default_options();
    memset(result, 0, sizeof *result);
    SAC_TRY(sac_region_meter_create(&meter, &options, &cause));
    for (int64_t c = 0; c < selection->count; c++)
        SAC_TRY(sac_region_meter_add(meter, selection->clips[c]->name, &truth->clips[c],
                                     &set->regions[c], &cause));
    SAC_TRY(sac_region_meter_finish(result, meter, &cause));
fail:
    sac_region_meter_close(&meter);
    return status < 0 ? sac_error_set(error, status, cause.position, "%.200s: %.700s", set->name,
                                      cause.message)
                      : SAC_OK;
}
