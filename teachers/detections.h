// Objects found in a clip: boxes per frame, from detectors or a CSV file.
#ifndef SAC_TEACHERS_DETECTIONS_H
#define SAC_TEACHERS_DETECTIONS_H

#include <stdint.h>

#include "saccade/status.h"
#include "video/dataset.h"

typedef struct sac_box {
    float x1, y1, x2, y2; // pixels of the source frame, x1 < x2, y1 < y2
    float confidence;     // (0, 1]
    int32_t class_id;     // -1: unknown
} sac_box;

// Boxes of one clip in frame order: those of frame t are boxes[start[t] .. start[t+1]).
typedef struct sac_detections {
    int64_t frames, count;
    int64_t *start; // [frames + 1]
    sac_box *boxes; // [count]
} sac_detections;

void sac_detections_close(sac_detections *detections);

// A detector chosen on the command line: "motion", "boxes:FILE.csv", several separated by commas (network boxes first, then those of the next detector that no box so far
// covers: IoU < 0.3 and less than half inside).
typedef struct sac_detector sac_detector;
typedef struct sac_detector_options {
    double min_confidence; // boxes below are dropped, 0.5
    double motion_threshold; // gray levels above the background noise, motion detector
    double min_area_px;      // smallest blob
} sac_detector_options;
sac_detector_options sac_detector_default_options(void);
// Parses the specification; reads CSV files. SAC_ERROR_ARGUMENT lists the known detectors; SAC_ERROR_FORMAT names file and line.
SAC_NODISCARD sac_status sac_detector_open(sac_detector **detector, const char *specification, const sac_detector_options *options, sac_error *error);
// pixels u8 gray [frames][height][width] of the whole clip. For "boxes" a clip that no row of any CSV names is an error naming the clip; rows with frames outside the clip are errors too.
SAC_NODISCARD sac_status sac_detector_run(sac_detector *detector, sac_detections *detections, const sac_clip *clip, const uint8_t *pixels, int width, int height, sac_error *error);
const char *sac_detector_text(const sac_detector *detector); // normalised specification for provenance (file names without folders)
void sac_detector_close(sac_detector **detector);

#endif
