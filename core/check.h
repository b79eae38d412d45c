// Error propagation and checked size arithmetic. Header-only.
#ifndef SAC_CORE_CHECK_H
#define SAC_CORE_CHECK_H

#include <stdbool.h>
#include <stdint.h>

#include "saccade/status.h"

// Evaluates a sac_status expression; on an error (<0) stores it in the local variable `status` and
// jumps to the function's ONE `fail:` label. Flow-control values (>0) are stored and fall through.
#define SAC_TRY(expr)                                                                              \
    do {                                                                                           \
        status = (expr);                                                                           \
        if (status < 0) goto fail;                                                                 \
    } while (0)

// Fails with SAC_ERROR_MEMORY when an allocation came back NULL.
#define SAC_TRY_ALLOC(ptr)                                                                         \
    do {                                                                                           \
        if ((ptr) == NULL) {                                                                       \
            status = SAC_ERROR_MEMORY;                                                             \
            goto fail;                                                                             \
        }                                                                                          \
    } while (0)

// a * b into *out; false on overflow or a negative factor.
static inline bool sac_mul(int64_t a, int64_t b, int64_t *out) {
    return a >= 0 && b >= 0 && !__builtin_mul_overflow(a, b, out);
}

// a + b into *out; false on overflow.
static inline bool sac_add(int64_t a, int64_t b, int64_t *out) {
    return !__builtin_add_overflow(a, b, out);
}

#endif
