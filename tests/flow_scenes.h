// Pairs of frames whose motion is known exactly, for tests of the dense flow: textures that are
// formulas, so that they can be shifted by any fraction of a pixel without resampling.
#ifndef SAC_TESTS_FLOW_SCENES_H
#define SAC_TESTS_FLOW_SCENES_H

#include <stdbool.h>
#include <stdint.h>

// A point (x, y) of the first frame is seen in the second at centre + matrix (x - centre) + shift.
typedef struct flow_scene {
    int width, height;
    double shift_x, shift_y;   // px, of the whole picture
    double turn, zoom;         // radians, factor less one, around the centre
    int side;                  // of a square that moves over the background, px; 0: none
    double square_x, square_y; // where it lies in the first frame, its upper left corner
    double move_x, move_y;     // of the square
    double gain, offset;       // brightness of the second frame: gain 0 stands for 1
    double noise;              // standard deviation, gray levels, in both frames
    double wavelength;         // shortest one of the textures, px; 0 stands for 6
    uint64_t seed;
} flow_scene;

// from, to: u8 [height][width]; truth: f32 [2][height][width]; seen: u8 [height][width], 1 where
// the second frame shows the point. Any of truth and seen may be NULL.
void flow_scene_make(const flow_scene *scene, uint8_t *from, uint8_t *to, float *truth,
                     uint8_t *seen);

// Mean end-point error over the pixels with seen[p] == 1 at least `border` px from the border, px.
double flow_error(const float *flow, const float *truth, const uint8_t *seen, int width, int height,
                  int border);

#endif
