// From objects to what the SSMTL network reads: which crops a sample shows, how it is altered, and
// the input and target arrays of a batch. Knows no network.
#ifndef SAC_TEACHERS_SSMTL_BATCH_H
#define SAC_TEACHERS_SSMTL_BATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "core/rng.h"
#include "teachers/crops.h"
#include "teachers/ssmtl_net.h"

// Alterations that leave every answer as it is. Strengths in [0, 1], 0: none.
typedef struct sac_ssmtl_augmentation {
    bool mirror; // left and right change places in half of the samples
    double
        jitter; // half of the samples are shifted by up to 8 % of the box and scaled by up to 15 %
    double brightness; // contrast changed by up to 20 %, brightness by up to 10 % of the range
} sac_ssmtl_augmentation;

// One example. All zero but `row` and `zoom` and `gain` 1: the object as it is, forward and
// consecutive.
typedef struct sac_ssmtl_sample {
    int64_t row;       // of the source
    bool reversed;     // arrow input: played backward
    bool intermittent; // irregular input: `offsets` instead of -3..3
    bool mirrored;
    int8_t offsets[SAC_SEQUENCE_LENGTH];
    float zoom;             // crop pixels between samples
    float shift_x, shift_y; // crop pixels
    float gain, bias;       // gray' = (gray - 0.5) gain + 0.5 + bias
    int32_t permutation;    // jigsaw: patch p shows patch sac_ssmtl_permutation(permutation)[p]
    uint16_t hidden;        // inpainting: patches that are gray, bit p = patch p (row by row)
    int64_t other;          // pseudo: row whose patches are mixed in
    uint16_t mixed;         // pseudo: which patches those are
    uint8_t turn;           // pseudo: the other object is turned by 90, 180 or 270 degrees (1 to 3)
} sac_ssmtl_sample;

// Patches hidden when an object is scored: a chessboard.
#define SAC_SSMTL_CHESSBOARD 0x5a5au

// A row as it is.
sac_ssmtl_sample sac_ssmtl_sample_plain(int64_t row);
// Draws what is done to a row: a coin each for reversed, intermittent and mirrored; steps of 1 to 3
// frames in the intermittent sequence; a permutation (0 in half of the samples); hidden patches;
// and for pseudo-anomalies patches of another of rows[0..count) turned by 90, 180 or 270 degrees in
// the place of half of its own. `augmentation` NULL: none. The number of draws depends on the
// arguments only through their results: seed rng per sample.
sac_ssmtl_sample sac_ssmtl_sample_draw(int64_t row, unsigned tasks, const int64_t *rows,
                                       int64_t count, const sac_ssmtl_augmentation *augmentation,
                                       sac_rng *rng);
// Orders of the 16 patches; 0 is the right one. Found once by a fixed rule: of 64 random orders
// each time the one farthest, in the number of patches that lie elsewhere, from all before (Noroozi
// and Favaro, ECCV 2016, section 3.2, "maximal Hamming distance"). Thread-safe after the first call
// of sac_ssmtl_batch_create.
typedef struct sac_ssmtl_permutations {
    uint8_t order[SAC_SSMTL_PERMUTATIONS][SAC_SSMTL_PATCHES];
} sac_ssmtl_permutations;
void sac_ssmtl_permutations_make(sac_ssmtl_permutations *permutations);

// Arrays of one batch; those that the design does not need are NULL. S = crop_size.
typedef struct sac_ssmtl_batch {
    int64_t n, size;            // rows; S
    bool residual;              // middle is relative to the mean of the crops at t-1 and t+1
    sac_ssmtl_sample *samples;  // [n]
    float *arrow, *irregular;   // [n][6][S][S], [n][7][S][S]
    float *jigsaw, *inpainting; // [n][7][S][S]
    float *pseudo;              // [n][6][S][S]
    float *middle;              // [n][S][S] target of middle
    float *crop;                // [n][S][S] middle crop, target of inpainting
    float *pseudo_crop;         // [n][S][S]
    float *contrast;            // [n] mean |middle crop - its mean|
    int32_t *arrow_class, *irregular_class, *jigsaw_class; // [n]
    sac_ssmtl_permutations *permutations;
} sac_ssmtl_batch;
// Arrays for `n` rows. `training` as in sac_ssmtl_net. SAC_ERROR_MEMORY.
SAC_NODISCARD sac_status sac_ssmtl_batch_create(sac_ssmtl_batch **batch,
                                                const sac_ssmtl_design *design, int64_t n,
                                                bool training);
// Fills rows 0..count of every array from samples[0..count). `parallel`: on all threads, else on
// this one.
// SAC_ERROR_MEMORY.
SAC_NODISCARD sac_status sac_ssmtl_batch_fill(sac_ssmtl_batch *batch, const sac_crop_source *source,
                                              int64_t count, bool parallel);
void sac_ssmtl_batch_close(sac_ssmtl_batch **batch); // NULL-safe

#endif
