// The machine's measured matrix-multiplication rates, f32 and int8: the yardsticks for training and
// inference speed.
#ifndef SAC_NN_ROOFLINE_H
#define SAC_NN_ROOFLINE_H

#include "saccade/status.h"

// gflops = 2 M N K / seconds / 1e9 of a oneDNN f32 matmul, weights in the library's preferred
// layout; median of single calls repeated for about `seconds` (at least fifteen, after some for
// warm-up). M = N = K is 1024, for one thread the largest of 256, 512 and 1024 with which a call
// takes at most about 1.5 ms: what else runs on the machine then falls into few of the calls.
//   gflops   receives the rate
//   threads  OpenMP threads; 0: all cores the process may use
//   seconds  0 < seconds <= 3600
// SAC_ERROR_ARGUMENT: threads or seconds out of range; SAC_ERROR_MEMORY; SAC_ERROR_BACKEND. The
// thread count of the calling thread is restored. The figure means something only on an otherwise
// idle machine.
SAC_NODISCARD sac_status sac_matmul_rate(double *gflops, int threads, double seconds,
                                         sac_error *error);

// The same for u8 times s8 into s32, the products of int8 inference: *gops = 2 M N K / seconds /
// 1e9, in operations, a multiply-accumulate being two, as for f32.
SAC_NODISCARD sac_status sac_matmul_rate_int8(double *gops, int threads, double seconds,
                                              sac_error *error);

#endif
