// A picture for people: what was altered in a clip and what a teacher thinks of it.
#ifndef SAC_DISTILL_PSEUDO_SHOW_H
#define SAC_DISTILL_PSEUDO_SHOW_H

#include "distill/pseudo.h"
#include "saccade/status.h"
#include "teachers/maps.h"

// Writes a contact sheet as PNG: one row for each kind that occurs, six frames of its longest
// alteration, with the boxes of that kind in colour, those of others in gray, and the 16x16 map as
// a heat layer (a value of 1 is full); each frame says its number (from 1) and the highest score
// inside its coloured boxes. Nothing is written when nothing was altered.
//   path    of the PNG; an existing one is replaced
//   maps    of the altered clip, as many frames
// SAC_ERROR_IO, SAC_ERROR_MEMORY.
SAC_NODISCARD sac_status sac_pseudo_show(const char *path, const sac_pseudo *pseudo, int width,
                                         int height, const sac_maps *maps, sac_error *error);

#endif
