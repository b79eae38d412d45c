// Several instruction sets for one plain loop.
#ifndef SAC_VIDEO_CLONES_H
#define SAC_VIDEO_CLONES_H

// A function marked SAC_CLONES is compiled several times by gcc and chosen when the program is
// loaded. Only for whole-number loops: they give the same results in every version. Sanitizers
// start too late for the choice.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) &&                             \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#    define SAC_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#    define SAC_CLONES
#endif

#endif
