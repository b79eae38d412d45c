// Command line of `teach`: the option table and what its values mean to the library.
#ifndef SAC_TOOLS_TEACH_OPTIONS_H
#define SAC_TOOLS_TEACH_OPTIONS_H

#include "core/tool.h"
#include "teachers/agnostic_train.h"
#include "teachers/attributes_family.h"
#include "teachers/ensemble_family.h"
#include "teachers/maps.h"
#include "teachers/ssmtl_train.h"
#include "teachers/teaching.h"

typedef struct teach_settings {
    sac_tool_settings tool;
    const char *dataset, *detector, *from, *output, *overlays, *report;
    sac_text_list overlay;
    sac_detector_options detection;
    int teacher, backend, preset;
    bool training_maps, resume, overwrite;
    int64_t block, filter;
    // Shared by the families that learn in steps; seed and backend come from elsewhere.
    int schedule;
    sac_learning_options learning;
    // Options of their own, one struct per family.
    sac_ssmtl_options ssmtl;
    sac_agnostic_options agnostic;
    sac_attributes_options attributes;
    sac_ensemble_options ensemble;
} teach_settings;

extern const sac_command teach_command;

// Hands the shared values to the family's options, which are borrowed from `set`, and makes
// options->settings (a reference of the caller's). SAC_ERROR_MEMORY.
SAC_NODISCARD sac_status teach_options_fill(sac_teaching_options *options, teach_settings *set);

#endif
