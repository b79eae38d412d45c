// One plain loop compiled for several instruction sets; the loader picks when the program starts.
// Put the macro on the function with the inner loop, not on one that opens a parallel region: the
// region's body is outlined and would stay at the baseline.
#ifndef SAC_CORE_CLONES_H
#define SAC_CORE_CLONES_H

#if defined(__has_feature)
#    if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#        define SAC_CLONES_SANITIZED 1
#    endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#    define SAC_CLONES_SANITIZED 1
#endif

// The choice runs while the program is being relocated, before a sanitizer is ready, hence not
// under one.
#if defined(__x86_64__) && defined(__linux__) && defined(__GNUC__) && !defined(SAC_CLONES_SANITIZED)
// For loops on floating-point numbers.
#    define SAC_CLONES __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#    define SAC_CLONES
#endif

// For loops on whole numbers, which give the same results in every version: also byte instructions
// and fused multiply-adds, which the macro above leaves out.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) &&                             \
    !defined(SAC_CLONES_SANITIZED)
#    define SAC_CLONES_INTEGER                                                                     \
        __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#    define SAC_CLONES_INTEGER
#endif

// Before a small function that a kernel calls in its inner loop: clones do not inline plain
// functions by themselves.
#define SAC_CLONES_INLINE static inline __attribute__((always_inline))

#endif
