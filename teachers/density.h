// How far a feature vector lies from everything that was seen in training: distance to its nearest
// neighbours in a bounded bank of training vectors. Knows nothing of what the features mean.
#ifndef SAC_TEACHERS_DENSITY_H
#define SAC_TEACHERS_DENSITY_H

#include <stdbool.h>
#include <stdint.h>

#include "core/safetensors.h"
#include "saccade/status.h"

enum { SAC_DENSITY_MAX_NEIGHBOURS = 16, SAC_DENSITY_MAX_ROWS = 65536, SAC_DENSITY_MAX_DIMS = 4096 };

typedef struct sac_density {
    int64_t rows;
    int dims;
    bool bytes;  // values are multiples of 1/255 in [0,1] and stored as such
    float *bank; // [dims][rows]: one plane per dimension, so that rows are compared side by side
} sac_density;

// Picks at most `rows` of the vectors: half at random, which follows their density, half one after
// the other the vector farthest from all picked so far, so that rare but normal ones are known as
// well.
//   density   filled; release with sac_density_close. Left empty on failure.
//   features  f32 [count][dims], finite; `stride` floats from one vector to the next
//   bytes     round values, which must lie in [0,1], to multiples of 1/255
// Same vectors, sizes and seed give the same bank. SAC_ERROR_ARGUMENT: no vectors or a size out of
// range; SAC_ERROR_MEMORY.
// Source of the score: Reiss and Hoshen, Attribute-based Representations for Accurate and
// Interpretable Video Anomaly Detection, 2022, section 3.3 (k nearest neighbours); the picking is
// ours, the second half being the greedy k-centre rule (Gonzalez, 1985).
SAC_NODISCARD sac_status sac_density_make(sac_density *density, const float *features,
                                          int64_t count, int dims, int64_t stride, int64_t rows,
                                          bool bytes, uint64_t seed, sac_error *error);
// Mean Euclidean distance to the `neighbours` nearest vectors of the bank (1 to
// SAC_DENSITY_MAX_NEIGHBOURS, at most as many as there are). Any thread.
float sac_density_distance(const sac_density *density, const float *feature, int neighbours);
// A bank of at most `rows` vectors drawn at random, which follows their density; otherwise as
// above.
SAC_NODISCARD sac_status sac_density_sample(sac_density *density, const float *features,
                                            int64_t count, int dims, int64_t rows, uint64_t seed,
                                            sac_error *error);
// How unusual the first dims - given values of a vector are where its last `given` values are as
// they are: -ln of
//   (floor + sum_i w_i k_i) / (1 + sum_i w_i), w_i = exp(-|b_i - b|^2 / 2 beta^2),
//                                              k_i = exp(-|a_i - a|^2 / 2 alpha^2)
// over the rows (a_i, b_i) of a bank drawn at random; b the given values. The 1 stands for one
// neighbour that is always there and has never seen such a thing but for `floor` (0.01): a place
// without neighbours gives -ln(floor), the highest score there is.
//   given        1 .. dims - 1
//   alpha, beta  widths of the kernels, above 0
// Any thread. Source: conditional density by kernels (Rosenblatt, 1969); the one neighbour is ours.
float sac_density_surprise(const sac_density *density, const float *feature, int given,
                           double alpha, double beta);
// Tensor "NAME.bank" [dims][rows], f32 or u8.
SAC_NODISCARD sac_status sac_density_store(const sac_density *density, sac_safetensors *st,
                                           const char *name, sac_error *error);
// SAC_ERROR_FORMAT: the tensor is missing or of another shape; SAC_ERROR_NUMERIC: a value is not
// finite.
SAC_NODISCARD sac_status sac_density_load(sac_density *density, const sac_safetensors *st,
                                          const char *name, int dims, const char *path,
                                          sac_error *error);
void sac_density_close(sac_density *density);

#endif
