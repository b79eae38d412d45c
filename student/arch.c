// Architectures of the student, described as data (nn/net.h). A model file stores the description
// itself, so that changing or dropping an architecture here never breaks a trained model. No
// weights and no planning here.
#include <inttypes.h>
#include <string.h>

#include "core/check.h"
#include "student/model.h"

const char *sac_arch_names(void) {
    return "tiny-m";
}

// conv 3x3 without bias, batch normalisation, ReLU; nodes NAME.conv, NAME.norm, NAME.relu.
static int conv_norm_relu(sac_net *net, const char *conv, const char *norm, const char *relu,
                          int src, int64_t channels, int64_t stride) {
    src = sac_net_conv2d(net, conv, src, channels, 3, stride, 1, 1, false);
    src = sac_net_batch_norm(net, norm, src);
    return sac_net_unary(net, SAC_OP_RELU, relu, src);
}

// Head of one scale: hidden convolution, ReLU, one logit per place, the strongest logit of each
// cell, sigmoid. Sigmoid is monotone, so pooling logits gives the map of the strongest probability
// and costs nothing extra.
static void head(sac_net *net, const char *hidden, const char *relu, const char *logit,
                 const char *pool, const char *name, int src, int64_t kernel, int64_t channels,
                 int64_t cells) {
    src = sac_net_conv2d(net, hidden, src, channels, kernel, 1, kernel / 2, 1, true);
    src = sac_net_unary(net, SAC_OP_RELU, relu, src);
    src = sac_net_conv2d(net, logit, src, 1, 1, 1, 0, 1, true);
    src = sac_net_adaptive_pool(net, SAC_OP_ADAPTIVE_MAX_POOL, pool, src, 1, cells, cells);
    src = sac_net_unary(net, SAC_OP_SIGMOID, name, src);
    sac_net_output(net, src);
}

// tiny-m: about 150 k parameters and 111 MMAC at 240x160, made for one or two CPU cores.
//   - Three gray frames enter as channels, so the first convolution already sees motion; a stem per
//     frame would cost three times as much at the resolution where time is spent.
//   - Channel counts are multiples of 8 and 16, the widths of the vector registers, and the work
//     sits in 3x3 convolutions, which run near the machine's matmul rate; depthwise ones do not.
//   - One eighth of the resolution and a receptive field of 87 pixels: a walker with surroundings
//     at 240x160.
static void build_tiny_m(sac_net *net, const sac_preprocess *preprocess) {
    int x = sac_net_input(net, "frames", 3,
                          (const int64_t[]){3, preprocess->height, preprocess->width});
    x = conv_norm_relu(net, "stem1.conv", "stem1.norm", "stem1.relu", x, 16, 2);
    x = conv_norm_relu(net, "stem2.conv", "stem2.norm", "stem2.relu", x, 24, 2);
    x = conv_norm_relu(net, "stem3.conv", "stem3.norm", "stem3.relu", x, 32, 1);
    x = conv_norm_relu(net, "stem4.conv", "stem4.norm", "stem4.relu", x, 48, 2);
    int wide = conv_norm_relu(net, "body1.conv", "body1.norm", "body1.relu", x, 64, 1);
    x = conv_norm_relu(net, "body2.conv", "body2.norm", "body2.relu", wide, 64, 1);
    x = sac_net_conv2d(net, "body3.conv", x, 64, 3, 1, 1, 1, false);
    x = sac_net_batch_norm(net, "body3.norm", x);
    x = sac_net_add(net, "body3.add", x, wide);
    x = sac_net_unary(net, SAC_OP_RELU, "body3.relu", x);
    head(net, "head16.conv", "head16.relu", "head16.logit", "head16.pool", "map16", x, 3, 32, 16);
    head(net, "head4.conv", "head4.relu", "head4.logit", "head4.pool", "map4", x, 1, 32, 4);
    head(net, "head1.conv", "head1.relu", "head1.logit", "head1.pool", "map1", x, 1, 32, 1);
}

sac_status sac_arch_build(sac_net **net, const char *arch, const sac_preprocess *preprocess,
                          sac_error *error) {
    sac_status status = SAC_OK;
    *net = NULL;
    if (strcmp(arch, "tiny-m") != 0) {
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "'%.64s' is not a known architecture; known: %s", arch,
                             sac_arch_names());
    }
    SAC_TRY(sac_preprocess_check(preprocess, SAC_ERROR_ARGUMENT, "preprocessing", error));
    SAC_TRY(sac_net_create(net));
    build_tiny_m(*net, preprocess);
    SAC_TRY(sac_net_check(*net, error));
    return SAC_OK;
fail:
    sac_net_close(net);
    return sac_error_set(error, status, -1, "architecture %s: %s", arch, sac_status_name(status));
}
