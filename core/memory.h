// Overflow-checked heap allocation, 64-byte aligned for vector code.
#ifndef SAC_CORE_MEMORY_H
#define SAC_CORE_MEMORY_H

#include <stddef.h>
#include <stdint.h>

// Zeroed array of `count` elements of `size` bytes, 64-byte aligned; NULL on overflow, negative
// count or lack of memory (count 0 gives a valid empty block). Release with sac_free.
void *sac_calloc(int64_t count, size_t size);

// Grows or shrinks a block of sac_calloc to `count` elements, keeping the first old_count; the new
// tail is zeroed. Returns NULL and leaves the old block untouched on failure.
void *sac_recalloc(void *block, int64_t old_count, int64_t count, size_t size);

void sac_free(void *block); // NULL-safe

char *sac_strdup(const char *text); // NULL on lack of memory
char *sac_format(const char *format, ...) __attribute__((format(printf, 1, 2))); // sac_free it

// Test hook: after `successes` more allocations every further one fails; -1 switches it off.
// Thread-local, so that allocation-failure tests do not disturb each other.
void sac_memory_fail_after(int64_t successes);

#endif
