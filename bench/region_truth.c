// Finds and loads ground-truth regions for a selection of clips, and measures score sets with them.
#include "bench/region_truth.h"

#include <stdbool.h>
#include <string.h>

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

// Whether the masks of the selection say where everything abnormal is.
static bool masks_suffice(const sac_clip_selection *selection, const sac_logger *logger) {
    const sac_clip *lacking = NULL;
    bool any = false;
    for (int64_t c = 0; c < selection->count; c++) {
        const sac_clip *clip = selection->clips[c];
        any = any || clip->mask_path != NULL;
        if (clip->mask_path == NULL && !sac_clip_is_normal(clip) && lacking == NULL)
            lacking = clip;
    }
    if (any && lacking != NULL && logger != NULL && logger->write != NULL) {
        char *message =
            sac_format("no RBDC and TBDC: clip %s has abnormal frames but no masks", lacking->name);
        if (message != NULL) logger->write(logger->user, SAC_LOG_WARNING, message);
        sac_free(message);
    }
    return any && lacking == NULL;
}

sac_status sac_region_truth_open(sac_region_truth *truth, const sac_truth_source *source,
                                 const sac_clip_selection *selection, const sac_logger *logger,
                                 sac_error *error) {
    sac_status status = SAC_OK;
    const char *tracks = source->tracks;
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
        bool known; // masks were counted before, track files fail by themselves
        SAC_TRY(sac_clip_truth(&truth->clips[c], &known, selection->clips[c], source, error));
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
