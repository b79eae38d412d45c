// See nn/u8_isa.h. Knows no kernel.
#include "nn/u8_isa.h"

#include <oneapi/dnnl/dnnl.h>
#include <stdbool.h>

#if defined(__x86_64__) && defined(__linux__)
#    include <cpuid.h>
#    include <sys/syscall.h>
#    include <unistd.h>

#    define ARCH_REQ_XCOMP_PERM 0x1023
#    define XFEATURE_TILE_DATA  18

// gcc 12 does not know AMX's names in __builtin_cpu_supports.
static bool cpu_has_amx(void) {
    unsigned a = 0, b = 0, c = 0, d = 0;
    const unsigned tile = 1u << 24, int8 = 1u << 25;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (d & tile) != 0 && (d & int8) != 0;
}

// The kernel grants it when it knows AMX, saves its state, and every signal stack is large enough.
static bool tiles_permitted(void) {
    return syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_TILE_DATA) == 0;
}
#endif

#if defined(__x86_64__) && defined(__GNUC__)
// Levels are sets of bits.
static bool allowed(dnnl_cpu_isa_t level) {
    return ((unsigned)dnnl_get_effective_cpu_isa() & (unsigned)level) == (unsigned)level;
}
#endif

sac_u8_isa sac_u8_isa_best(void) {
#if defined(__x86_64__) && defined(__GNUC__)
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma") ||
        !allowed(dnnl_cpu_isa_avx2))
        return SAC_U8_PLAIN;
    if (!__builtin_cpu_supports("avx512vnni") || !__builtin_cpu_supports("avx512bw") ||
        !__builtin_cpu_supports("avx512vl") || !__builtin_cpu_supports("avx512dq") ||
        !allowed(dnnl_cpu_isa_avx512_core_vnni))
        return SAC_U8_AVX2;
#    if defined(__linux__)
    if (cpu_has_amx() && allowed(dnnl_cpu_isa_avx512_core_amx) && tiles_permitted())
        return SAC_U8_AMX;
#    endif
    return SAC_U8_VNNI;
#else
    return SAC_U8_PLAIN;
#endif
}

const char *sac_u8_isa_name(sac_u8_isa isa) {
    static const char *const names[] = {"plain", "avx2", "vnni", "amx"};
    return names[isa];
}
