// The network of the SSMTL teacher as data: a shared 3D backbone, one branch per kind of input, one
// head per proxy task. Knows nothing of video, losses or scores.
// Source: Georgescu, Barbalau, Ionescu, Khan, Popescu and Shah, Anomaly Detection in Video via
// Self-Supervised and Multi-Task Learning, CVPR 2021 (arXiv 2011.07491); the options marked ++ are
// those of Barbalau et al., SSMTL++, CVIU 2023 (arXiv 2207.08003).
#ifndef SAC_TEACHERS_SSMTL_NET_H
#define SAC_TEACHERS_SSMTL_NET_H

#include <stdbool.h>
#include <stdint.h>

#include "nn/net.h"
#include "saccade/status.h"

// Object-centric sequence: the same box at the times t-3..t+3. Times outside the clip mean its
// first or last frame (the original does not score objects nearer than 3 frames to an end; we score
// every frame).
enum { SAC_SEQUENCE_REACH = 3, SAC_SEQUENCE_LENGTH = 2 * SAC_SEQUENCE_REACH + 1 };

// Proxy tasks, in the order of task scores.
typedef enum sac_ssmtl_task {
    SAC_SSMTL_MIDDLE,       // predict the middle crop from the six others
    SAC_SSMTL_ARROW,        // is the sequence played forward or backward
    SAC_SSMTL_IRREGULARITY, // is the sequence consecutive or intermittent
    SAC_SSMTL_DISTILLATION, // imitate what an image network says about the middle crop
    SAC_SSMTL_SEGMENTATION, // ++ the same for a second network (segmentation maps)
    SAC_SSMTL_POSE,         // ++ and a third (body joints)
    SAC_SSMTL_JIGSAW,       // ++ in which of 100 orders do the 16 patches lie
    SAC_SSMTL_INPAINTING,   // ++ fill in the hidden patches of the middle crop
    // ++ be bad at reconstructing pseudo-anomalies; shapes the backbone, has no score
    SAC_SSMTL_PSEUDO,
    SAC_SSMTL_TASKS
} sac_ssmtl_task;
enum {
    SAC_SSMTL_TARGETS = 3, // distillation, segmentation and pose, in this order
    SAC_SSMTL_PERMUTATIONS = 100,
    SAC_SSMTL_PATCHES = 16,         // 4x4 of a crop
    SAC_SSMTL_MAX_FEATURES = 17408, // an image network's and 1024 classes
    SAC_SSMTL_MAX_CLASSES = 1024
};
#define SAC_SSMTL_BIT(task) (1u << (task))
#define SAC_SSMTL_DEFAULT_TASKS                                                                    \
    (SAC_SSMTL_BIT(SAC_SSMTL_MIDDLE) | SAC_SSMTL_BIT(SAC_SSMTL_ARROW) |                            \
     SAC_SSMTL_BIT(SAC_SSMTL_IRREGULARITY))
const char *sac_ssmtl_task_name(int task); // "middle" ...; NULL outside
// Whether a task is a classification.
bool sac_ssmtl_has_accuracy(int task);
// Which target of distillation a task imitates: 0 to SAC_SSMTL_TARGETS - 1, or -1.
int sac_ssmtl_target_of(int task);

// Tasks named in a list separated by commas, as bits. SAC_ERROR_ARGUMENT: an unknown or repeated
// name (the message lists the known ones), or none.
SAC_NODISCARD sac_status sac_ssmtl_tasks_parse(unsigned *tasks, const char *list, sac_error *error);
// The number of task scores of an object (all but pseudo), and the task of a column; -1 outside.
int sac_ssmtl_columns(unsigned tasks);
int sac_ssmtl_column_task(unsigned tasks, int column);

// Shared backbone as data: a width is a 3x3x3 convolution 'same' + batch norm + ReLU;
// SAC_SSMTL_POOL max-pools (1,2,2); SAC_SSMTL_POOL_ALL (T,2,2), that is, global over time; 0 ends
// the list.
enum { SAC_SSMTL_POOL = -1, SAC_SSMTL_POOL_ALL = -2, SAC_SSMTL_MAX_LAYERS = 12 };
typedef struct sac_ssmtl_backbone {
    const char *name;
    int layers[SAC_SSMTL_MAX_LAYERS];
    int decoder_width,
        decoder_stages; // hidden stages of the decoder: upsample x2, conv 3x3, norm, ReLU
} sac_ssmtl_backbone;
// shallow-narrow, shallow-wide, deep-narrow, deep-wide; NULL outside.
const sac_ssmtl_backbone *sac_ssmtl_backbone_at(int index);
// Names joined by '|' for option tables.
#define SAC_SSMTL_BACKBONES "shallow-narrow|shallow-wide|deep-narrow|deep-wide"

// How a 3x3x3 convolution is made.
typedef enum sac_ssmtl_convolution {
    SAC_SSMTL_FULL, // 27 C C' multiply-accumulates a cell
    // 1x3x3, norm, ReLU, 3x1x1: 9 C C' + 3 C' C'. Tran et al., A Closer Look at Spatiotemporal
    // Convolutions, CVPR 2018, with C' channels between
    SAC_SSMTL_FACTORISED,
    SAC_SSMTL_DEPTHWISE // 3x3x3 per channel, norm, 1x1x1: 27 C + C C'. The first layer, of one
                        // channel, stays full. Howard et al., MobileNets, 2017, in 3D
} sac_ssmtl_convolution;
#define SAC_SSMTL_CONVOLUTIONS "full|factorised|depthwise"

typedef struct sac_ssmtl_design {
    int backbone;        // sac_ssmtl_backbone_at
    int convolution;     // sac_ssmtl_convolution
    int64_t crop_size;   // px
    unsigned tasks;      // SAC_SSMTL_BIT of each
    bool residual;       // the decoder adds to the mean of the two neighbouring crops
    double dropout;      // of the heads, [0, 1)
    int64_t transformer; // ++ blocks of 3D convolutional transformer behind the CNN, 0 to 8
    bool masked;         // a masked convolution block before the last pooling
    int64_t features[SAC_SSMTL_TARGETS]; // length of each target whose task is on
} sac_ssmtl_design;
// shallow-narrow, full, 64 px, the three default tasks, residual, dropout 0.3.
sac_ssmtl_design sac_ssmtl_default_design(void);

// Inputs, those that the tasks need:
//   "arrow"      [1][6][S][S]  consecutive crops without the middle one (middle, arrow)
//   "irregular"  [1][7][S][S]  all seven (irregularity, distillation, segmentation, pose; jigsaw
//                when scoring)
//   "jigsaw"     [1][7][S][S]  patches in another order; training only: when scoring the order is
//                              right, so that the head reads the code of "irregular"
//   "inpainting" [1][7][S][S]  half of the patches hidden
//   "pseudo"     [1][6][S][S]  pseudo-anomalies; training only
// All go through the same backbone weights. Outputs, those of the tasks:
//   "middle.residual" [1][S][S]  middle crop minus the mean of the crops at t-1 and t+1, or without
//                                design.residual "middle.crop", the crop itself
//   "arrow.logits" [2]           forward, backward
//   "irregular.logits" [2]       consecutive, intermittent
//   "distillation.features", "segmentation.features", "pose.features" [features], ReLU
//   "jigsaw.logits" [100]        order 0 is the right one
//   "inpainting.crop" [1][S][S]
//   "pseudo.crop" [1][S][S]      training only; its gradient is reversed on its way into the
//                                backbone
//   "BRANCH.masked.error"        training only: output minus input of the masked convolution block
// A head is conv 3x3 32 + BN + ReLU + dropout + max-pool 2 + dense; each has its own weights. The
// parameters of a scoring network are among those of the training network, under the same names.
//
// Transformer block: X += MHSA(LN(X)), X += MLP(LN(X)) on the T x h x w tokens of C channels;
// queries, keys and values are 3x3x3 depthwise convolution + BN + 1x1x1, keys and values at every
// second cell in space; heads of 16 channels; MLP x4 with GELU. The last pooling over time comes
// behind the blocks. Masked convolution block: X' = SE(ReLU(conv(X))), the kernel being the four
// corners of 5x5 in each crop, so that a cell is predicted from what is around it and never from
// itself; SE scales channels by sigmoid(W2 ReLU(W1 mean X')). Its reconstruction error is a further
// loss. Source: Ristea et al., Self-Supervised Predictive Convolutional Attentive Block, CVPR 2022
// (arXiv 2111.09099), section 3.
//
//   training  false: the network that scores
// SAC_ERROR_ARGUMENT: no such backbone, crop_size not in 16..256 or no multiple of 8 (deep: 16), no
// task, jigsaw, inpainting and pseudo without any of the others, a number of features out of range,
// or another member out of range; SAC_ERROR_MEMORY.
SAC_NODISCARD sac_status sac_ssmtl_net(sac_net **net, const sac_ssmtl_design *design, bool training,
                                       sac_error *error);

#endif
