// Begins a student with the weights of another one of the same network. No random initialisation
// (nn/params.h), no training.
#ifndef SAC_DISTILL_INITIAL_H
#define SAC_DISTILL_INITIAL_H

#include <stdint.h>

#include "saccade/status.h"
#include "student/model.h"

// Copies every parameter of `from`, also the statistics of the batch normalisations.
//   model  receives the values; unchanged after an error
//   from   same network and same input: each parameter with the same name and shape, and the same
//          colour, frame offsets, mean and scale. Width and height of the input may differ, as
//          convolutions do not depend on them.
//   name   stands for `from` in messages
// SAC_ERROR_ARGUMENT names what differs in the input, else the first parameter of the network that
// `from` lacks or holds in another shape, else one that only `from` has.
SAC_NODISCARD sac_status sac_initial_copy(sac_model *model, const sac_model *from, const char *name,
                                          sac_error *error);
// Number that differs, but for an accident, when one of the parameters does. No protection against
// forgery.
uint64_t sac_initial_digest(const sac_params *params);

#endif
