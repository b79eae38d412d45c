// Instruction sets that the int8 kernels (nn/u8_conv.h, nn/u8_head.h) are written for, in rising
// order of speed. Every set gives the same integers. A CPU that has one need not have all before
// it.
#ifndef SAC_NN_U8_ISA_H
#define SAC_NN_U8_ISA_H

#include <stdbool.h>

typedef enum sac_u8_isa {
    SAC_U8_PLAIN,    // C, compiled for several instruction sets: the definition
    SAC_U8_AVX2,     // AVX2 and FMA; products of 16-bit words
    SAC_U8_AVX_VNNI, // AVX-VNNI, 256 bits wide: products of bytes, and of words in one instruction
    SAC_U8_VNNI,     // AVX512-VNNI
    SAC_U8_AMX       // AMX-INT8 for the products, AVX512 for the rest
} sac_u8_isa;

// Whether the CPU has the set and the system lets this process use it, as for the best one.
bool sac_u8_isa_has(sac_u8_isa isa);

// The best set that the CPU has and the system lets this process use: for AMX's tiles Linux asks
// for a permission, which this requests for the whole process (arch_prctl, harmless to repeat);
// where it is refused the answer is the next set. What oneDNN is told not to use
// (ONEDNN_MAX_CPU_ISA) is not used here either. Any thread; some microseconds, so not per frame.
sac_u8_isa sac_u8_isa_best(void);
// "plain", "avx2", "avx-vnni", "vnni", "amx"; static text.
const char *sac_u8_isa_name(sac_u8_isa isa);

#endif
