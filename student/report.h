// The HTML report of one scored source: one file without external resources (inline style, SVG
// curve, PNG pictures as data URIs), readable in light and dark. No scripts. Every foreign text is
// escaped.
#ifndef SAC_STUDENT_REPORT_H
#define SAC_STUDENT_REPORT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/file.h"
#include "saccade/status.h"
#include "student/events.h"
#include "student/moments.h"

typedef struct sac_report {
    const char *title;          // any bytes
    int64_t frames;             // >= 1
    const float *scores;        // [frames] raw
    const float *smoothed;      // [frames]
    const double *times;        // [frames] seconds
    const sac_events *events;   // NULL: no threshold was given
    const sac_moments *moments; // NULL: no pictures
    double frames_per_second;   // of the run, for the summary line
    bool interrupted;           // says that the source was not scored to its end
    const char *reason;         // what ended it early, any bytes; NULL: the person who ran it
    // Objects of key -> value shown as tables in this order; NULL ones are left out. Nested objects
    // are flattened with dots.
    const json_t *source, *settings, *model, *timing;
} sac_report;

// Writes the page; the caller commits the writer. SAC_ERROR_IO, SAC_ERROR_MEMORY.
SAC_NODISCARD sac_status sac_report_write(sac_file_writer *writer, const sac_report *report,
                                          sac_error *error);

#endif
