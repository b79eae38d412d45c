// Batches of samples as network inputs and targets. Which samples come when is
// distill/trainer.c's part.
#ifndef SAC_DISTILL_BATCH_H
#define SAC_DISTILL_BATCH_H

#include "distill/augment.h"
#include "distill/samples.h"
#include "student/heads.h"

// Where one training sample comes from; the planes are at frame + offsets, clamped to the clip.
typedef struct sac_sample_ref {
    int32_t clip;
    int32_t frame;
} sac_sample_ref;

// Bytes of the work space that sac_batch_input needs for n samples when one of them is deep.
int64_t sac_batch_work_bytes(const sac_samples *samples, int64_t n);

// Network input f32 [n][H][W][3 channels], normalised.
//   augments  [n]; NULL: as they are
//   work      of sac_batch_work_bytes; may be NULL when no sample is deep (sac_augment_is_deep)
void sac_batch_input(float *input, const sac_samples *samples, const sac_sample_ref *refs,
                     int64_t n, const sac_augment *augments, float *work);
// The same of an int8 plan: u8 [n][H][W][3 channels], levels as they are.
void sac_batch_input_u8(uint8_t *input, const sac_samples *samples, const sac_sample_ref *refs,
                        int64_t n);
// Targets of one teacher: targets[k] f32 [n][cells of scale k]; `augments` NULL: as they are. The
// cells lie symmetrically, so that a flipped map is exactly the map of the flipped frame.
void sac_batch_targets(float *const targets[3], const sac_samples *samples,
                       const sac_sample_ref *refs, int64_t n, int teacher,
                       const sac_augment *augments);

#endif
