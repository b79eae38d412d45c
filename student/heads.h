// The outputs that a student may have, a map of each scale: one table for all who walk over them.
// Which of them a student has follows from its network alone.
#ifndef SAC_STUDENT_HEADS_H
#define SAC_STUDENT_HEADS_H

#include <stddef.h>

#include "nn/net.h"

enum { SAC_HEADS = 3, SAC_HEADS_ALL = (1 << SAC_HEADS) - 1 };

typedef struct sac_head {
    const char *output; // "map16"
    int side;           // cells to a side
    int cells;          // side * side
} sac_head;
extern const sac_head sac_heads[SAC_HEADS]; // 16x16, 4x4, 1x1: finest first

// Bit k is set where sac_heads[k] is an output of the network; 0: it is no student's.
unsigned sac_heads_of(const sac_net *net);
// "16,4,1" of all; text of at least 8 bytes.
void sac_heads_text(char *text, size_t size, unsigned heads);
// The other way round: sides between commas, in any order, each once. False: not that.
bool sac_heads_parse(unsigned *heads, const char *text);

// frame score = mean over the maps that there are of their largest value, each f32 [side][side] and
// finite; NULL: no such map, one at least. With all three (map1 + max map4 + max map16) / 3.
// Source: Croitoru et al., "Lightning fast video anomaly detection via multi-scale adversarial
// distillation", CVIU 2024.
float sac_heads_score(const float *const maps[SAC_HEADS]);

#endif
