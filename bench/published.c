// The published points, copied from the papers' abstracts and tables.
#include "bench/published.h"

#include <math.h>
#include <stddef.h>

#define NONE ((double)NAN)

const sac_published *sac_published_ped2(int index) {
    static const sac_published points[] = {
        {"MULDE", "CVPR 2024", 99.7, NONE, "object-centric features"},
        {"VADMamba++", "2025", 99.6, 133, "GPU"},
        {"HF2-VAD", "ICCV 2021", 99.3, NONE, "object-centric"},
        {"AI-VAD", "2022", 99.1, NONE, "calibrated on training scores only, light smoothing"},
        {"SSMTL", "CVPR 2021", 97.5, 51, "GPU, object detection included"},
        {"AED-MAE", "CVPR 2024", 95.4, 1655,
         "GPU, batches of 32, forward pass only, timer not synchronised"},
        {"fast distilled student", "CVIU 2024", NONE, 1480,
         "GPU, forward pass only; no AUC stated for this data set"},
    };
    return index >= 0 && index < (int)(sizeof points / sizeof points[0]) ? &points[index] : NULL;
}
