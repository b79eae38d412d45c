// What one scored source is written to: CSV, JSON lines, anomaly maps as .npy, overlay video, HTML
// report. All of it in temporary files until commit; memory stays bounded but for the scores that a
// report needs (16 bytes per frame).
#ifndef SAC_STUDENT_OUTPUTS_H
#define SAC_STUDENT_OUTPUTS_H

#include <jansson.h>
#include <stdbool.h>

#include "saccade/student.h"
#include "saccade/video.h"
#include "student/calibration.h"
#include "student/events.h"
#include "student/output_names.h"

typedef struct sac_output_settings {
    const char *paths[SAC_OUTPUT_COUNT]; // NULL: not wanted; "-": standard output
    const char *source;                  // as the user named it
    bool source_column;                  // add the column or member `source` to CSV and JSON lines
    int moments;                         // pictures in the report, 1..64
    float overlay_high;                  // score at the top of the overlay's curve
    int64_t frames;                      // expected number for the overlay's curve, 0: unknown
    const sac_calibration *calibration;  // of the model: adds score_calibrated; NULL: none
} sac_output_settings;

typedef struct sac_outputs sac_outputs;

// Opens every wanted output and writes the headers. `info` describes the frames that will come.
// SAC_ERROR_IO, SAC_ERROR_UNSUPPORTED (no video encoder), SAC_ERROR_MEMORY.
SAC_NODISCARD sac_status sac_outputs_open(sac_outputs **outputs,
                                          const sac_output_settings *settings,
                                          const sac_video_info *info, sac_error *error);
// Overlay and report show frames: the caller must then hand pixels to sac_outputs_frame.
bool sac_outputs_want_pixels(const sac_outputs *outputs);
// Next result in order, pixels u8 [height][width][channels] of that frame (may be NULL unless
// wanted).
//   CSV         frame,time_s,score,score_smoothed[,score_calibrated],peak_x,peak_y[,source]; frames
//               from 0, the peak in pixels of the source's first frame
//   JSON lines  the same as members
//   maps        f32 [frames][16][16]; of a student without that map the finest it has
// SAC_ERROR_IO, SAC_ERROR_BACKEND (video encoder), SAC_ERROR_MEMORY.
SAC_NODISCARD sac_status sac_outputs_frame(sac_outputs *outputs, const sac_result *result,
                                           const uint8_t *pixels, sac_error *error);

typedef struct sac_output_notes {
    const sac_events *events; // NULL: no threshold
    double frames_per_second;
    bool interrupted;
    const char *reason; // of an interruption, for the report; NULL: the person who ran it
    const json_t *source, *settings, *model, *timing; // tables of the report; NULL: left out
} sac_output_notes;

// Publishes all outputs under their names. On failure those not yet published are abandoned. At
// least one frame.
SAC_NODISCARD sac_status sac_outputs_commit(sac_outputs **outputs, const sac_output_notes *notes,
                                            sac_error *error);
void sac_outputs_close(sac_outputs **outputs); // NULL-safe; abandons what was not committed

#endif
