// Overflow-checked heap blocks, zeroed and 64-byte aligned for vector code. Everything Saccade owns
// comes from here, so that tests can make any single allocation fail. Any thread may free what
// another allocated.
#ifndef SAC_CORE_MEMORY_H
#define SAC_CORE_MEMORY_H

#include <stddef.h>
#include <stdint.h>

// Zeroed array of `count` elements of `size` bytes. NULL when `count` is negative, the product
// overflows or memory is short; a count of 0 gives a valid block. The caller owns it and releases
// it with sac_free (never with free).
void *sac_calloc(int64_t count, size_t size);

// The same with whatever lies there in place of zeros: for large blocks of which only a part may
// ever be used, which then is all that takes memory.
void *sac_reserve(int64_t count, size_t size);

// Grows or shrinks `block` of sac_calloc (or NULL) from `old_count` to `count` elements of `size`
// bytes; the elements that both sizes have are kept, the new tail is zeroed. NULL, with the old
// block untouched, for the causes of sac_calloc.
void *sac_recalloc(void *block, int64_t old_count, int64_t count, size_t size);

// Releases a block of this file; NULL is fine.
void sac_free(void *block);

// Copy of a text; NULL when memory is short. The caller frees it with sac_free.
char *sac_strdup(const char *text);

// printf into a block of the right size; NULL when memory is short. The caller frees it with
// sac_free.
char *sac_format(const char *format, ...) __attribute__((format(printf, 1, 2)));

// For tests: after `successes` more allocations on this thread every further one fails; -1 switches
// that off. Thread-local, so that allocation-failure tests do not disturb each other.
void sac_memory_fail_after(int64_t successes);

#endif
