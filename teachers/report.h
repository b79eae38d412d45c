// The HTML report of a map store: how well a teacher does on the test clips and, above all, where
// it fails. One self-contained page (core/html.h). Labels and ground truth are only shown, nothing
// is chosen by them for later use.
#ifndef SAC_TEACHERS_REPORT_H
#define SAC_TEACHERS_REPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "core/file.h"
#include "saccade/status.h"
#include "teachers/clip_truth.h"
#include "teachers/maps.h"
#include "video/dataset.h"

typedef struct sac_teacher_report {
    const sac_map_store *store;
    const sac_dataset *dataset;
    sac_truth_source truth;
    int pictures;       // of each kind, 1..60; half as many highest and lowest objects a task
    bool (*stop)(void); // polled between clips; NULL: never
    void (*progress)(void *user, int64_t clips_done, int64_t clips); // or NULL
    void *user;
} sac_teacher_report;

// Writes the page; the caller commits the writer. It shows, for the test clips that the store
// holds:
//   accuracy        frame AUC under every smoothing; RBDC, TBDC and their curves where regions are
//   known score curves    of every clip, raw and lightly smoothed, with abnormal frames shaded
//   false alarms    the highest-scoring normal objects, each once (teachers/picks.h), as crops with
//                   their surroundings and a bar for each task
//   weak spots      ground-truth regions on which no object scores high, or lies at all; without
//                   regions abnormal frames with low scores; and a table of the tracks, with the
//                   share found at the threshold that one false object in ten frames reaches
//   tasks           the highest and lowest objects of every task, normal and abnormal told apart
//   settings        and training metrics out of store.json
// A store without objects.csv has curves and settings only.
// SAC_ERROR_ARGUMENT: pictures out of range; SAC_ERROR_FORMAT: none of the store's clips is a test
// clip of the data set; SAC_ERROR_INTERRUPTED; errors of reading store, clips and truth, and of
// writing.
SAC_NODISCARD sac_status sac_teacher_report_write(sac_file_writer *writer,
                                                  const sac_teacher_report *report,
                                                  sac_error *error);
// The same into a file, atomically; "-" is standard output.
SAC_NODISCARD sac_status sac_teacher_report_save(const char *path, const sac_teacher_report *report,
                                                 sac_error *error);

#endif
