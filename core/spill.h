// Arrays of any size, such as the frames of a long video: ordinary memory where they are small, the
// mapping of an unlinked temporary file where they are large, which the kernel writes out and reads
// back as memory asks for. Does not compress, share or keep anything.
#ifndef SAC_CORE_SPILL_H
#define SAC_CORE_SPILL_H

#include <stddef.h>
#include <stdint.h>

#include "saccade/status.h"

// What is held at a time in ordinary memory.
#define SAC_SPILL_THRESHOLD_BYTES ((int64_t)256 << 20)

// Zeroed array of `count` elements of `size` bytes, aligned to 64 bytes.
//   block   receives it: free it with sac_spill_free (never with sac_free); NULL on failure
//   beside  bytes that the caller holds in other such arrays at the same time: when they and this
//           one pass the threshold together, it lies in a file. 0: it is alone
// The file has no name; its folder is $TMPDIR if that is set, else /var/tmp, else /tmp (the library
// reads the environment here only). All of its room is taken at once, so that a full disk is an
// error here and no signal later; the room is given back by sac_spill_free and at the end of the
// process, however that comes.
//   SAC_ERROR_MEMORY  memory or address space is short, or the product overflows
//   SAC_ERROR_IO      the folder cannot hold the file: the message names folder, size and remedy
// Any thread, and any thread may free what another allocated.
SAC_NODISCARD sac_status sac_spill_alloc(void **block, int64_t count, size_t size, int64_t beside,
                                         sac_error *error);
void sac_spill_free(void *block); // NULL is fine

// The same with a threshold and folder of the caller's, for tests; folder NULL: the usual one.
SAC_NODISCARD sac_status sac_spill_alloc_in(void **block, int64_t count, size_t size,
                                            int64_t beside, int64_t threshold_bytes,
                                            const char *folder, sac_error *error);

#endif
