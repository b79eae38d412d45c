// Checked, zeroed, 64-byte aligned heap blocks over aligned_alloc and free. There is no pool and no
// accounting here; the counter only lets tests make one particular allocation fail.
#include "core/memory.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ALIGNMENT 64

// -1: off. Tests count it down to make one particular allocation fail.
static _Thread_local int64_t allowed = -1;

void sac_memory_fail_after(int64_t successes) {
    allowed = successes;
}

static bool refused(void) {
    if (allowed < 0) return false;
    if (allowed == 0) return true;
    allowed--;
    return false;
}

// Bytes of `count` elements, rounded up to whole cache lines; false on overflow.
static bool block_bytes(int64_t count, size_t size, size_t *bytes) {
    if (count < 0 || __builtin_mul_overflow((uint64_t)count, size, bytes)) return false;
    if (*bytes > PTRDIFF_MAX - ALIGNMENT) return false;
    *bytes = (*bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    if (*bytes == 0) *bytes = ALIGNMENT;
    return true;
}

// Block of which the first `kept` bytes are left for the caller to fill, the rest zero.
static void *allocate(size_t bytes, size_t kept) {
    if (refused()) return NULL;
    unsigned char *block = aligned_alloc(ALIGNMENT, bytes);
    if (block != NULL) memset(block + kept, 0, bytes - kept);
    return block;
}

void *sac_calloc(int64_t count, size_t size) {
    size_t bytes;
    return block_bytes(count, size, &bytes) ? allocate(bytes, 0) : NULL;
}

void *sac_reserve(int64_t count, size_t size) {
    size_t bytes;
    return block_bytes(count, size, &bytes) ? allocate(bytes, bytes) : NULL;
}

void *sac_recalloc(void *block, int64_t old_count, int64_t count, size_t size) {
    size_t bytes;
    if (old_count < 0 || !block_bytes(count, size, &bytes)) return NULL;
    if (block == NULL) old_count = 0;
    size_t kept = (size_t)(old_count < count ? old_count : count) * size;
    unsigned char *grown = allocate(bytes, kept);
    if (grown == NULL) return NULL;
    if (kept > 0) memcpy(grown, block, kept);
    free(block);
    return grown;
}

void sac_free(void *block) {
    free(block);
}

char *sac_strdup(const char *text) {
    size_t bytes = strlen(text) + 1;
    char *copy = sac_calloc((int64_t)bytes, 1);
    if (copy != NULL) memcpy(copy, text, bytes);
    return copy;
}

char *sac_format(const char *format, ...) {
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    int length = vsnprintf(NULL, 0, format, arguments);
    char *text = length < 0 ? NULL : sac_calloc((int64_t)length + 1, 1);
    if (text != NULL) vsnprintf(text, (size_t)length + 1, format, again);
    va_end(again);
    va_end(arguments);
    return text;
}
