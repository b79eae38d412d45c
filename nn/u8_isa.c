// See nn/u8_isa.h. Knows no kernel.
#include "nn/u8_isa.h"

#include <oneapi/dnnl/dnnl.h>

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

// gcc 12 and clang 14 do not know this name either.
static bool cpu_has_avx_vnni(void) {
    unsigned a = 0, b = 0, c = 0, d = 0;
    return __get_cpuid_count(7, 1, &a, &b, &c, &d) != 0 && (a & 1u << 4) != 0;
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

bool sac_u8_isa_has(sac_u8_isa isa) {
    if (isa == SAC_U8_PLAIN) return true;
#if defined(__x86_64__) && defined(__GNUC__)
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma") ||
        !allowed(dnnl_cpu_isa_avx2))
        return false;
    const bool avx512 = __builtin_cpu_supports("avx512vnni") &&
                        __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
                        __builtin_cpu_supports("avx512dq") &&
                        allowed(dnnl_cpu_isa_avx512_core_vnni);
    switch (isa) {
    case SAC_U8_AVX2:
        return true;
    case SAC_U8_VNNI:
        return avx512;
#    if defined(__linux__)
    case SAC_U8_AVX_VNNI: // to oneDNN no part of AVX512
        return cpu_has_avx_vnni() && (avx512 || allowed(dnnl_cpu_isa_avx2_vnni));
    case SAC_U8_AMX:
        return avx512 && cpu_has_amx() && allowed(dnnl_cpu_isa_avx512_core_amx) &&
               tiles_permitted();
#    endif
    default:
        return false;
    }
#else
    return false;
#endif
}

sac_u8_isa sac_u8_isa_best(void) {
    sac_u8_isa best = SAC_U8_AMX;
    while (!sac_u8_isa_has(best)) best--;
    return best;
}

const char *sac_u8_isa_name(sac_u8_isa isa) {
    static const char *const names[] = {"plain", "avx2", "avx-vnni", "vnni", "amx"};
    return names[isa];
}
