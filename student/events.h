// Events: maximal runs of frames whose smoothed score reaches a threshold, runs at most a gap apart
// being one event. Streaming; keeps the events only.
#ifndef SAC_STUDENT_EVENTS_H
#define SAC_STUDENT_EVENTS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "saccade/status.h"

typedef struct sac_event {
    int64_t first, last, peak;      // frames, inclusive
    double first_s, last_s, peak_s; // their presentation times
    float score;                    // smoothed score at the peak (the earliest of equal ones)
} sac_event;

// A value: start with SAC_EVENTS(threshold).
typedef struct sac_events {
    float threshold;
    double merge_gap_s; // 0: every run is an event of its own
    sac_event *items;   // [count], in time order; the last one is still growing while `open`
    int64_t count, capacity;
    bool open, broken;
} sac_events;

#define SAC_EVENTS(value) ((sac_events){.threshold = (value)})

// Next frame in order. A frame belongs to an event when smoothed >= threshold; a run that begins at
// most merge_gap_s after the last event's end continues it. SAC_ERROR_MEMORY.
SAC_NODISCARD sac_status sac_events_push(sac_events *events, int64_t frame, double time_s,
                                         float smoothed);
// Frames after it belong to no event before it: the source was away.
void sac_events_break(sac_events *events);
// [{"first_frame", "last_frame", "peak_frame", "first_s", "last_s", "peak_s", "score"}, ...]; new
// reference, NULL on lack of memory.
json_t *sac_events_to_json(const sac_events *events);
void sac_events_close(sac_events *events); // keeps threshold and gap; ready for the next stream

#endif
