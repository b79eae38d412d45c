// The machine's measured f32 matrix-multiplication rate, the yardstick for training and inference speed.
#ifndef SAC_NN_ROOFLINE_H
#define SAC_NN_ROOFLINE_H
#include "saccade/status.h"
// *gflops = 2*M*N*K / seconds of a square oneDNN matmul (1024), median over repeats lasting about `seconds`, with `threads` threads (0: all).
SAC_NODISCARD sac_status sac_matmul_rate(double *gflops, int threads, double seconds, sac_error *error);
#endif
