// What an object does and looks like, as a few numbers a person can name: velocity, direction here,
// size, rest, appearance. Measures pixels and boxes; what is usual is the family's business
// (attributes_family.h).
#ifndef SAC_TEACHERS_ATTRIBUTES_H
#define SAC_TEACHERS_ATTRIBUTES_H

#include <stdbool.h>
#include <stdint.h>

#include "saccade/status.h"
#include "teachers/detections.h"
#include "teachers/motion.h"

// Groups of attributes, each one task of the teacher.
typedef enum sac_attribute {
    SAC_ATTRIBUTE_VELOCITY,    // [3]   mean flow (u, v) and its mean magnitude
    SAC_ATTRIBUTE_ORIENTATION, // [8]   flow magnitude in eight directions
    SAC_ATTRIBUTE_PLACE,       // [4]   mean flow and where the feet are: against the stream HERE
    SAC_ATTRIBUTE_SIZE,        // [2]   height and width relative to a person at that row
    // [5] how much the box looks as it did a while ago, and where the feet are
    SAC_ATTRIBUTE_REST,
    SAC_ATTRIBUTE_APPEARANCE, // [128] histograms of oriented gradients
    // [4] direction of motion and where the feet are, measured in people: against the stream even
    // where another one passes beside it
    SAC_ATTRIBUTE_COURSE,
    SAC_ATTRIBUTE_STAY, // [5] as REST, the feet measured in people: staying where one passes
    SAC_ATTRIBUTES
} sac_attribute;
enum { SAC_ATTRIBUTE_VALUES = 3 + 8 + 4 + 2 + 5 + 128 + 4 + 5 };
enum { SAC_ATTRIBUTE_EVERY_GROUP = (1 << SAC_ATTRIBUTES) - 1 };
const char *sac_attribute_name(int attribute); // "velocity", ...; NULL outside
int sac_attribute_dims(int attribute);
int sac_attribute_offset(int attribute); // of its first value in a feature row

// What the numbers are relative to: one camera's view.
typedef struct sac_attribute_scene {
    int width, height;      // of the pictures
    sac_person_size person; // how large people are by row; its count may be 0
    // px, median of the boxes, for a view without enough free-standing people
    double usual_height;
    int step;       // frames the flow reaches over, 1 to 3
    int flow_level; // sac_flow_options.finest_level
    double speed;   // median speed of objects, person heights per frame
} sac_attribute_scene;
enum { SAC_ATTRIBUTE_MOST_STEP = 3 };

// One clip to learn the scene from; everything is borrowed for the call.
typedef struct sac_attribute_clip {
    const uint8_t *pixels; // u8 gray [detections->frames][height][width]
    const sac_detections *detections;
} sac_attribute_clip;

// Learns the size of people from boxes that touch no border, and how far they move. With step 0 the
// flow reaches over the largest step of 1 to 3 frames in which 95 of 100 objects move by no more
// than a fifth of a person's height: far enough to stand out from the noise of the flow, near
// enough for the flow to follow.
// SAC_ERROR_ARGUMENT: no objects, pictures too small for flow; SAC_ERROR_INTERRUPTED;
// SAC_ERROR_MEMORY.
SAC_NODISCARD sac_status sac_attribute_scene_learn(sac_attribute_scene *scene,
                                                   const sac_attribute_clip *clips, int64_t count,
                                                   int width, int height, int step,
                                                   bool (*stop)(void), sac_error *error);
// px, of a person whose feet are at row y.
double sac_attribute_person_height(const sac_attribute_scene *scene, double y);

// Feature rows f32 [detections->count][SAC_ATTRIBUTE_VALUES] of a clip's objects, finite:
//   flow         optical flow from frame t to t + step divided by step (from t - step at the end of
//                a clip); of the box's pixels the faster half counts, which are the moving parts;
//                divided by the person height at the row of the feet, so that near and far are
//                alike; the median of each number over frames t-1, t, t+1 in the same box
//   ORIENTATION  sum over those pixels of magnitude, shared between the two nearest of eight
//                directions, over their number
//   PLACE        (u, v) / speed of the scene, 4 x / width, 4 y / width, x the middle of the box, y
//                its feet
//   SIZE         log(height / person height), log(width / person width); of a box that a border of
//                the picture cuts off at least 0 in that direction, since nobody knows how large
//                the object is
//   REST         mean |crop - crop d frames earlier (later at the start of the clip)| / (contrast +
//                0.05) of the box, cut to 2, for d = 8, 16, 32; 4 x / width, 4 y / width
//   APPEARANCE   4x4 cells of a 32x32 crop, eight unsigned directions of the gradient each,
//                weighted by magnitude, divided by the Euclidean norm, cut to 0.4 and divided again
//   COURSE       (u, v) / max(|(u, v)|, half the speed of the scene), X, Y; X and Y are where the
//                feet are in halves of the height a person has there: X = 2 (x - width / 2) / h(y),
//                Y = 2 * integral of dy / h(y) from row 0, both cut to +-1000. Streams of people
//                pass each other at the distance of a person's width, which PLACE, in parts of the
//                picture, takes for the same place
//   STAY         the three numbers of REST, X, Y
//   groups  bit 1 << a for each attribute a wanted; values of the others may stay as they are
//   pixels  u8 gray [frames][height][width] of the scene's size
// `stop` and `progress` as in sac_teacher_score. All threads are used; the result does not depend
// on their number.
// SAC_ERROR_SHAPE: the scene was learned from pictures of another size; SAC_ERROR_INTERRUPTED;
// SAC_ERROR_MEMORY.
// Sources: velocity and its normalisation by perspective after Reiss and Hoshen, 2022 (AI-VAD),
// section 3.2, with the faster half instead of all pixels and a median over time; gradients after
// Dalal and Triggs, CVPR 2005.
SAC_NODISCARD sac_status sac_attributes_measure(float *features, unsigned groups,
                                                const sac_attribute_scene *scene,
                                                const sac_detections *detections,
                                                const uint8_t *pixels, int width, int height,
                                                bool (*stop)(void),
                                                void (*progress)(void *user, int64_t objects_done),
                                                void *user, sac_error *error);

#endif
