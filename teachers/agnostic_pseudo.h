// Crops of an object for the background-agnostic teacher, and pseudo-abnormal crops made from the
// same training video: what the classifiers learn to tell from normal objects and the encoders
// learn not to code.
// Source: Georgescu et al., TPAMI 2021, section on adversarial training.
// Deviation: the paper takes objects and textures from other data sets; none come with us, so
// examples are made of the video and of noise.
#ifndef SAC_TEACHERS_AGNOSTIC_PSEUDO_H
#define SAC_TEACHERS_AGNOSTIC_PSEUDO_H

#include <stdint.h>

#include "core/rng.h"
#include "teachers/agnostic_fields.h"
#include "teachers/family.h"

// What crops are cut from; everything is borrowed.
typedef struct sac_agnostic_pool {
    const sac_family_clip *clips;
    int64_t clip_count;
    const sac_field_store *fields;    // of the same clips
    const sac_family_object *objects; // those that train, at least one
    int64_t object_count;
    int crop_size;    // px
    double flow_unit; // px per frame that count as 1
} sac_agnostic_pool;

// How a picture is made abnormal. Each gives crops in [0,1].
typedef enum sac_agnostic_picture {
    SAC_AGNOSTIC_PLACE,    // ground without objects from anywhere in the training clips
    SAC_AGNOSTIC_TEXTURE,  // gratings, checks, smooth noise or shapes of random gray
    SAC_AGNOSTIC_TURNED,   // the object upside down or lying on a side
    SAC_AGNOSTIC_MIXED,    // cut by a line; behind it another object, turned, or a texture
    SAC_AGNOSTIC_SHUFFLED, // its 4 or 16 tiles in another order
    SAC_AGNOSTIC_PICTURES
} sac_agnostic_picture;

// How a motion is made abnormal, both flows in the same way. An object that hardly moves (below 0.2
// flow units) first gets the motion of a rigid body in any direction, 1 to 3 units fast.
typedef enum sac_agnostic_motion {
    SAC_AGNOSTIC_FASTER, // 1.5 to 5 times as fast (log-uniform)
    // every vector drawn 60 to 100 % towards the mean of the moving part, 1 to 4 times as fast
    SAC_AGNOSTIC_RIGID,
    SAC_AGNOSTIC_ASIDE, // directions turned by 45 to 135 degrees, 0.8 to 2.5 times as fast
    // 4 or 16 tiles in another order, half of them mirrored, 1 to 3 times as fast
    SAC_AGNOSTIC_BROKEN,
    SAC_AGNOSTIC_MOTIONS
} sac_agnostic_motion;

// Never NULL; "unknown" outside.
const char *sac_agnostic_picture_name(int kind);
const char *sac_agnostic_motion_name(int kind);

// The object as it is: appearance f32 [S][S] in [0,1], backward and forward f32 [2][S][S] in flow
// units. Thread-safe.
void sac_agnostic_crops(float *appearance, float *backward, float *forward,
                        const sac_agnostic_pool *pool, const sac_family_object *object);

// Mirrors the three crops of an object, f32 as above, with the directions of their flow.
void sac_agnostic_mirror(float *appearance, float *backward, float *forward, int crop_size);

// The object made abnormal in picture and motion, independently of each other; kinds are drawn
// evenly, FASTER as often as the other motions together. Depends on the arguments only.
// Thread-safe.
//   scratch  f32 [2][S][S]
//   picture, motion  kind wanted, or -1: drawn
void sac_agnostic_pseudo(float *appearance, float *backward, float *forward, float *scratch,
                         const sac_agnostic_pool *pool, const sac_family_object *object,
                         uint64_t seed, int picture, int motion);

#endif
