// Heap blocks: alignment, zeroing, overflow, growth, the failure hook.
#include <criterion/criterion.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "core/memory.h"
#include "core/time.h"

static bool all_zero(const unsigned char *bytes, size_t size) {
    for (size_t i = 0; i < size; i++) {
        if (bytes[i] != 0) return false;
    }
    return true;
}

Test(core_memory, blocks_are_aligned_and_zero) {
    static const int64_t counts[] = {0, 1, 2, 63, 64, 65, 1000, 100001};
    for (int i = 0; i < 8; i++) {
        // Dirty the heap first, or zeroing by luck would pass.
        unsigned char *dirty = sac_calloc(counts[i], 3);
        memset(dirty, 0xAA, (size_t)counts[i] * 3);
        sac_free(dirty);
        unsigned char *block = sac_calloc(counts[i], 3);
        cr_assert(block != NULL);
        cr_assert_eq((uintptr_t)block % 64, 0);
        cr_assert(all_zero(block, (size_t)counts[i] * 3));
        sac_free(block);
    }
    sac_free(NULL);
}

Test(core_memory, reserved_blocks_are_aligned_and_take_memory_when_used) {
    for (int64_t count = 0; count < 200; count += 7) {
        unsigned char *block = sac_reserve(count, 1);
        cr_assert(block != NULL);
        cr_assert_eq((uintptr_t)block % 64, 0);
        memset(block, 1, (size_t)count);
        sac_free(block);
    }
    cr_assert(sac_reserve(-1, 4) == NULL);
    cr_assert(sac_reserve((int64_t)1 << 32, (size_t)1 << 32) == NULL);
    sac_memory_fail_after(0);
    cr_assert(sac_reserve(1, 1) == NULL);
    sac_memory_fail_after(-1);
#if !defined(__SANITIZE_ADDRESS__)
    const size_t size = (size_t)256 << 20;
    const double before = sac_resident_memory_bytes();
    unsigned char *block = sac_reserve((int64_t)size, 1);
    cr_assert(block != NULL);
    cr_assert_lt(sac_resident_memory_bytes() - before, 0.1 * (double)size);
    sac_free(block);
#endif
}

Test(core_memory, impossible_sizes_give_null) {
    cr_assert(sac_calloc(-1, 4) == NULL);
    cr_assert(sac_calloc(INT64_MAX, 8) == NULL);
    cr_assert(sac_calloc(INT64_MAX / 4, 4) == NULL);
    cr_assert(sac_calloc(INT64_MAX, 1) == NULL);
    cr_assert(sac_calloc((int64_t)1 << 32, (size_t)1 << 32) == NULL);
    unsigned char *block = sac_calloc(4, 1);
    block[3] = 9;
    cr_assert(sac_recalloc(block, 4, -1, 1) == NULL);
    cr_assert(sac_recalloc(block, 4, INT64_MAX, 16) == NULL);
    cr_assert(sac_recalloc(block, -4, 8, 1) == NULL);
    cr_assert_eq(block[3], 9, "a failed growth must leave the block alone");
    sac_free(block);
}

Test(core_memory, growing_keeps_the_old_part_and_zeroes_the_new) {
    int32_t *block = sac_recalloc(NULL, 0, 5, sizeof *block);
    for (int i = 0; i < 5; i++) block[i] = i + 1;
    block = sac_recalloc(block, 5, 1000, sizeof *block);
    cr_assert_eq((uintptr_t)block % 64, 0);
    for (int i = 0; i < 1000; i++) cr_assert_eq(block[i], i < 5 ? i + 1 : 0);
    block = sac_recalloc(block, 1000, 3, sizeof *block);
    for (int i = 0; i < 3; i++) cr_assert_eq(block[i], i + 1);
    block = sac_recalloc(block, 3, 6, sizeof *block);
    for (int i = 0; i < 6; i++) cr_assert_eq(block[i], i < 3 ? i + 1 : 0);
    block = sac_recalloc(block, 6, 0, sizeof *block);
    cr_assert(block != NULL);
    sac_free(block);
}

Test(core_memory, texts) {
    char *copy = sac_strdup("frame");
    cr_assert_str_eq(copy, "frame");
    sac_free(copy);
    char *empty = sac_strdup("");
    cr_assert_str_eq(empty, "");
    sac_free(empty);
    char *text = sac_format("%s-%03d", "clip", 7);
    cr_assert_str_eq(text, "clip-007");
    sac_free(text);
    char *nothing = sac_format("%s", "");
    cr_assert_str_eq(nothing, "");
    sac_free(nothing);
}

Test(core_memory, the_hook_fails_exactly_from_the_named_allocation) {
    sac_memory_fail_after(2);
    void *a = sac_calloc(1, 1);
    void *b = sac_strdup("x");
    void *c = sac_calloc(1, 1);
    char *d = sac_format("%d", 1);
    void *grown = sac_recalloc(a, 1, 2, 1);
    sac_memory_fail_after(-1);
    void *e = sac_calloc(1, 1);
    cr_assert(a != NULL && b != NULL && c == NULL && d == NULL && grown == NULL && e != NULL);
    sac_free(a);
    sac_free(b);
    sac_free(e);
}
