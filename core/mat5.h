// Checks a .mat file of format 5 from end to end before a library reads it whose loops and
// allocations follow the lengths in the file. Converts and keeps nothing.
#ifndef SAC_CORE_MAT5_H
#define SAC_CORE_MAT5_H

#include <stddef.h>

#include "saccade/status.h"

// Every element must lie within its file or parent, every variable must have flags, dimensions and
// a name, and its data must have exactly as many numbers, cells or fields as the dimensions say
// (fewer than 2^31). Compressed elements are inflated for it, 64 KiB at a time. Both byte orders.
//   SAC_ERROR_IO           the file cannot be read
//   SAC_ERROR_FORMAT       any of this is not so, more than 16 levels of nesting, or the file is
//                          larger than 4 GiB; error->position: the byte, within the inflated data
//                          where the message says so
//   SAC_ERROR_UNSUPPORTED  a variable that is sparse, an object, a function or opaque
//   SAC_ERROR_MEMORY
// Source: MathWorks, "MAT-File Format", level 5 (version 2023).
SAC_NODISCARD sac_status sac_mat5_check(const char *path, sac_error *error);
// The same of `size` bytes that `name` stands for in messages.
SAC_NODISCARD sac_status sac_mat5_check_bytes(const void *bytes, size_t size, const char *name,
                                              sac_error *error);

#endif
