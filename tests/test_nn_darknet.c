// Darknet import: architectures against their published counts, small networks against another
// program's results, shortcuts and pools against their definition, and every kind of error.
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "core/file.h"
#include "core/memory.h"
#include "darknet_make.h"
#include "helper.h"
#include "nn/infer.h"

static sac_darknet *parse(const char *text, int64_t width, int64_t height) {
    sac_darknet *d = NULL;
    sac_error error = {0};
    sac_assert_ok(sac_darknet_parse(&d, text, strlen(text), "test.cfg", width, height, &error),
                  &error);
    return d;
}

static sac_darknet *with_weights(const cfg_text *c, uint64_t seed) {
    sac_darknet *d = parse(c->text, 0, 0);
    sac_error error = {0};
    size_t size = 0;
    uint8_t *bytes = make_weights(d, seed, &size);
    sac_assert_ok(sac_darknet_parse_weights(d, bytes, size, "test.weights", &error), &error);
    sac_free(bytes);
    return d;
}

// Runs one image of uniform numbers.
static sac_infer *run(const sac_darknet *d, sac_backend backend, uint64_t seed) {
    sac_infer *infer = NULL;
    sac_error error = {0};
    const sac_plan_options options = {.batch = 1, .backend = backend};
    sac_assert_ok(sac_infer_create(&infer, d->net, d->params, &options, &error), &error);
    sac_rng rng;
    sac_rng_seed(&rng, seed, 0);
    float *input = sac_infer_input(infer, SAC_DARKNET_INPUT);
    for (int64_t i = 0; i < d->channels * d->height * d->width; i++) {
        input[i] = (float)sac_rng_uniform(&rng);
    }
    sac_assert_ok(sac_infer_run(infer, &error), &error);
    return infer;
}

static int64_t count_of(const sac_infer *infer, const char *name) {
    const sac_shape s = sac_infer_output_shape(infer, name);
    int64_t count = 1;
    for (int i = 0; i < s.ndims; i++) count *= s.dims[i];
    return count;
}

// The files' sizes and operation counts are those that the authors publish with the networks:
// yolov3.weights has 248007048 bytes and 65.86 BFLOPs at 416, yolov3-tiny.weights 35434956 bytes
// and 5.56 BFLOPs, resnet50.weights 87 MB.
Test(nn_darknet, published_architectures) {
    static cfg_text c;
    cfg_yolov3(&c, 416, 1);
    sac_darknet *d = parse(c.text, 0, 0);
    cr_assert_eq(d->layer_count, 107);
    cr_assert_eq(20 + 4 * d->weight_count, 248007048);
    cr_assert_float_eq(2e-9 * (double)sac_darknet_macs(d), 65.86, 0.01);
    cr_assert_eq(d->head_count, 3);
    static const int64_t grids[3] = {13, 26, 52};
    static const double widths[3] = {116, 30, 10}, heights[3] = {326, 119, 23};
    for (int i = 0; i < 3; i++) {
        const sac_darknet_head *h = &d->heads[i];
        cr_assert(h->grid_w == grids[i] && h->grid_h == grids[i] && h->classes == 80);
        cr_assert(h->anchors == 3 && h->scale_x_y == 1 && !h->new_coords);
        cr_assert_eq(h->anchor_w[0], widths[i]);
        cr_assert_eq(h->anchor_h[2], heights[i]);
    }
    cr_assert_str_eq(d->heads[0].output, "81.conv");
    cr_assert_str_eq(d->heads[2].output, "105.conv");
    cr_assert_eq(d->layers[82], -1);
    cr_assert_null(d->output);
    sac_darknet_close(&d);
    cr_assert_null(d);
    sac_darknet_close(&d);

    d = parse(c.text, 608, 320); // another input
    cr_assert(d->width == 608 && d->height == 320);
    cr_assert(d->heads[0].grid_w == 19 && d->heads[0].grid_h == 10);
    cr_assert_eq(20 + 4 * d->weight_count, 248007048);
    sac_darknet_close(&d);

    cfg_yolov3_tiny(&c, 416, 1);
    d = parse(c.text, 0, 0);
    cr_assert_eq(d->layer_count, 24);
    cr_assert_eq(20 + 4 * d->weight_count, 35434956);
    cr_assert_float_eq(2e-9 * (double)sac_darknet_macs(d), 5.56, 0.01);
    cr_assert(d->heads[0].grid_w == 13 && d->heads[1].grid_w == 26);
    sac_darknet_close(&d);

    cfg_resnet50(&c, 256, 1);
    d = parse(c.text, 0, 0);
    cr_assert_eq(d->layer_count, 69);
    cr_assert_float_eq(4 * (double)d->weight_count / (1 << 20), 87, 0.2);
    cr_assert_eq(d->head_count, 0);
    cr_assert_str_eq(d->output, "68.softmax");
    sac_darknet_close(&d);
}

static void compare_backends(const cfg_text *c, const char *what) {
    sac_darknet *d = with_weights(c, 5);
    sac_infer *fast = run(d, SAC_BACKEND_ONEDNN, 6), *ref = run(d, SAC_BACKEND_REF, 6);
    for (int i = 0; i < (d->head_count > 0 ? d->head_count : 1); i++) {
        const char *name = d->head_count > 0 ? d->heads[i].output : d->output;
        const sac_shape s = sac_infer_output_shape(ref, name);
        sac_assert_close(sac_infer_output(fast, name), sac_infer_output(ref, name), s.ndims, s.dims,
                         1e-3, what);
    }
    sac_infer_close(&fast);
    sac_infer_close(&ref);
    sac_darknet_close(&d);
}

// At a sixteenth of the filters, so that the reference stays fast.
Test(nn_darknet, architectures_run) {
    static cfg_text c;
    cfg_yolov3(&c, 64, 16);
    compare_backends(&c, "yolov3 64x64 thinned by 16");
    cfg_yolov3_tiny(&c, 64, 16);
    compare_backends(&c, "yolov3-tiny 64x64 thinned by 16");
    cfg_resnet50(&c, 64, 16);
    compare_backends(&c, "resnet50 64x64 thinned by 16");
}

static void check_golden(const float *found, int64_t count, const double *expected, int n,
                         double mean, double rms, const char *what) {
    double sum = 0, squares = 0;
    for (int64_t i = 0; i < count; i++) {
        sum += (double)found[i];
        squares += (double)found[i] * (double)found[i];
    }
    cr_assert_float_eq(sum / (double)count, mean, 2e-4, "%s: mean %g", what, sum / (double)count);
    cr_assert_float_eq(sqrt(squares / (double)count), rms, 2e-4 * rms, "%s: rms %g", what,
                       sqrt(squares / (double)count));
    for (int i = 0; i < n; i++) {
        cr_assert_float_eq(found[i * count / n], expected[i], 3e-4, "%s: value %d is %g, not %g",
                           what, i, (double)found[i * count / n], expected[i]);
    }
}

// Computed with OpenCV 4.10's Darknet importer from the same bytes; its epsilon is 1e-6, ours 1e-5,
// hence the tolerance. The layers of all these networks agree with it to 1e-5 when the epsilons are
// equal.
Test(nn_darknet, results_of_another_program) {
    static const double mixture[] = {-0.263370, 0.149795, 0.250368,  0.162742, -2.121388, 0.873170,
                                     0.641064,  0.079017, -0.258687, 0.129444, 0.568978,  0.996695};
    static const double scores[] = {0.00105949, 0.00085104, 0.00434278, 0.01432194, 0.97942483};
    static cfg_text c;
    cfg_mixture(&c);
    for (int backend = 0; backend < 2; backend++) {
        sac_darknet *d = with_weights(&c, 7);
        sac_infer *infer = run(d, backend == 0 ? SAC_BACKEND_ONEDNN : SAC_BACKEND_REF, 11);
        cr_assert_eq(count_of(infer, "16.conv"), 14 * 8 * 12);
        check_golden(sac_infer_output(infer, "16.conv"), 14 * 8 * 12, mixture, 12, 0.04013153,
                     0.7742034, backend == 0 ? "mixture" : "mixture, reference");
        sac_infer_close(&infer);
        sac_darknet_close(&d);
    }
    cfg_classifier(&c);
    sac_darknet *d = with_weights(&c, 7);
    sac_infer *infer = run(d, SAC_BACKEND_ONEDNN, 11);
    cr_assert_str_eq(d->output, "4.softmax");
    check_golden(sac_infer_output(infer, "4.softmax"), 5, scores, 5, 0.2, 0.4380637, "classifier");
    sac_infer_close(&infer);
    sac_darknet_close(&d);
}

static const float *layer_output(const sac_darknet *d, const sac_infer *infer, int layer,
                                 sac_shape *shape) {
    const char *name = sac_net_node(d->net, d->layers[layer])->name;
    *shape = sac_infer_output_shape(infer, name);
    return sac_infer_output(infer, name);
}

// dst = leaky(last + every stride-th cell of the channels both have), layer by layer in a thin
// ResNet-50.
Test(nn_darknet, shortcuts_by_definition) {
    static cfg_text c;
    cfg_resnet50(&c, 64, 16);
    sac_darknet *d = with_weights(&c, 3);
    for (int i = 0; i < d->layer_count; i++) sac_net_output(d->net, d->layers[i]);
    sac_infer *infer = run(d, SAC_BACKEND_ONEDNN, 4);
    int checked = 0, narrow = 0, strided = 0;
    for (int i = 5; i < d->layer_count - 3; i += 4) {
        sac_shape last, from, dst;
        const float *x = layer_output(d, infer, i - 1, &last);
        const float *y = layer_output(d, infer, i - 4, &from);
        const float *z = layer_output(d, infer, i, &dst);
        const int64_t stride = from.dims[2] / last.dims[2];
        narrow += from.dims[1] < last.dims[1];
        strided += stride > 1;
        float *expected = sac_calloc(dst.dims[1] * dst.dims[2] * dst.dims[3], sizeof(float));
        for (int64_t k = 0; k < dst.dims[1]; k++) {
            for (int64_t j = 0; j < dst.dims[2] * dst.dims[3]; j++) {
                const int64_t at = k * dst.dims[2] * dst.dims[3] + j;
                const int64_t row = j / dst.dims[3] * stride, column = j % dst.dims[3] * stride;
                float sum = x[at];
                if (k < from.dims[1]) sum += y[(k * from.dims[2] + row) * from.dims[3] + column];
                expected[at] = sum > 0 ? sum : 0.1f * sum;
            }
        }
        sac_assert_close(z, expected, 4, dst.dims, 1e-5, "shortcut");
        sac_free(expected);
        checked++;
    }
    cr_assert(checked == 16 && narrow == 4 && strided == 3, "%d %d %d", checked, narrow, strided);
    sac_infer_close(&infer);
    sac_darknet_close(&d);
}

// Cell (y, x) is the largest of the window that begins at (y, x) * stride - padding / 2.
Test(nn_darknet, pools_by_definition) {
    static const struct {
        int w, h, size, stride, padding; // -1: size - 1
    } cases[] = {{6, 5, 2, 2, -1}, {6, 5, 2, 1, -1}, {7, 7, 3, 2, -1},
                 {7, 6, 3, 1, -1}, {8, 8, 3, 2, -1}, {9, 9, 9, 1, -1},
                 {10, 7, 5, 3, 0}, {10, 7, 4, 2, 2}, {5, 5, 4, 4, 5}};
    for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
        char text[256], extra[32] = "";
        const int w = cases[k].w, h = cases[k].h, size = cases[k].size, stride = cases[k].stride;
        const int padding = cases[k].padding < 0 ? size - 1 : cases[k].padding;
        if (cases[k].padding >= 0) (void)snprintf(extra, sizeof extra, "padding=%d\n", padding);
        (void)snprintf(text, sizeof text,
                       "[net]\nwidth=%d\nheight=%d\nchannels=1\n[maxpool]\nsize=%d\nstride=%d\n%s",
                       w, h, size, stride, extra);
        sac_darknet *d = parse(text, 0, 0);
        uint8_t header[20] = {0, 0, 0, 0, 2};
        sac_error error = {0};
        sac_assert_ok(sac_darknet_parse_weights(d, header, 20, "none", &error), &error);
        sac_infer *infer = run(d, SAC_BACKEND_ONEDNN, k);
        const float *src = sac_infer_input(infer, SAC_DARKNET_INPUT);
        const int ow = (w + padding - size) / stride + 1, oh = (h + padding - size) / stride + 1;
        const int64_t dims[4] = {1, 1, oh, ow};
        float expected[128];
        for (int y = 0; y < oh; y++) {
            for (int x = 0; x < ow; x++) {
                float most = -INFINITY;
                for (int i = 0; i < size * size; i++) {
                    const int sy = y * stride - padding / 2 + i / size;
                    const int sx = x * stride - padding / 2 + i % size;
                    if (sy >= 0 && sx >= 0 && sy < h && sx < w)
                        most = fmaxf(most, src[sy * w + sx]);
                }
                expected[y * ow + x] = most;
            }
        }
        cr_assert_eq(count_of(infer, "0.pool"), oh * ow, "%s", text);
        sac_assert_close(sac_infer_output(infer, "0.pool"), expected, 4, dims, 0, text);
        sac_infer_close(&infer);
        sac_darknet_close(&d);
    }
}

Test(nn_darknet, details_of_the_text) {
    sac_darknet *d =
        parse("# a comment\n\n[ network ]\r\n width = 9 ; note\nheight=7\nchannels=3\n"
              "burn_in=1000\n[conv]\nfilters=4 # four\nsize=3\nstride_x=2\nstride_y=1\n"
              "padding=1\nactivation=relu6\nlearning_rate=0.1\n"
              "[conv]\nfilters=2\nsize=3\npad=1\ndilation=2\nactivation=linear\n"
              "[softmax]\nspatial=1\ntemperature=2\n",
              0, 0);
    cr_assert_eq(d->layer_count, 3);
    sac_shape shapes[16];
    sac_error error = {0};
    sac_assert_ok(sac_net_shapes(d->net, 1, shapes, &error), &error);
    const sac_shape *first = &shapes[d->layers[0]], *second = &shapes[d->layers[1]];
    cr_assert(first->dims[1] == 4 && first->dims[2] == 7 && first->dims[3] == 5);
    cr_assert(second->dims[1] == 2 && second->dims[2] == 7 && second->dims[3] == 5);
    cr_assert_eq(d->weight_count, 4 + 4 * 3 * 9 + 2 + 2 * 4 * 9);
    cr_assert_eq(d->slots[1].line, 16);
    sac_darknet_close(&d);
    // Darknet numbers of `seen` take 8 bytes from version 0.2 on, 4 before.
    d = parse("[net]\nwidth=2\nheight=2\nchannels=1\n[conv]\nactivation=linear\n", 0, 0);
    uint8_t bytes[28] = {0};
    const float numbers[2] = {0.5f, 2};
    memcpy(bytes + 16, numbers, sizeof numbers);
    sac_assert_ok(sac_darknet_parse_weights(d, bytes, 24, "old", &error), &error);
    cr_assert_eq(sac_params_find(d->params, "0.conv.bias")->data[0], 0.5f);
    cr_assert_eq(sac_params_find(d->params, "0.conv.weight")->data[0], 2.0f);
    memset(bytes, 0, sizeof bytes);
    bytes[4] = 2;
    memcpy(bytes + 20, numbers, sizeof numbers);
    sac_assert_ok(sac_darknet_parse_weights(d, bytes, 28, "new", &error), &error);
    cr_assert_eq(sac_params_find(d->params, "0.conv.weight")->data[0], 2.0f);
    sac_darknet_close(&d);
}

#define NET "[net]\nwidth=8\nheight=8\n"

Test(nn_darknet, refuses_bad_cfgs) {
    static const struct {
        const char *text;
        sac_status code;
        const char *message[3];
    } cases[] = {
        {"", SAC_ERROR_FORMAT, {"expected [net]", "0 sections"}},
        {"[net]\nwidth=8\nheight=8\n", SAC_ERROR_FORMAT, {"1 sections"}},
        {"width=8\n", SAC_ERROR_FORMAT, {"line 1", "before any section"}},
        {"[conv]\n[net]\n", SAC_ERROR_FORMAT, {"line 1", "expected [net]"}},
        {"[net\nwidth=8\n", SAC_ERROR_FORMAT, {"line 1", "such as [convolutional]"}},
        {"[net]\nwidth 8\n[conv]\n", SAC_ERROR_FORMAT, {"line 2", "key=value", "width8"}},
        {"[net]\nwidth=8\n[conv]\n", SAC_ERROR_FORMAT, {"line 1", "width and height"}},
        {"[net]\nwidth=eight\n[conv]\n", SAC_ERROR_FORMAT, {"line 2", "width=eight", "16384"}},
        {"[net]\nwidth=8\nwidth=8\n[conv]\n", SAC_ERROR_FORMAT, {"line 3", "twice", "line 2"}},
        {NET "time_steps=2\n[conv]\n", SAC_ERROR_UNSUPPORTED, {"line 4", "time_steps=2"}},
        {NET "colour=1\n[conv]\n", SAC_ERROR_UNSUPPORTED, {"line 4", "colour", "not known"}},
        {NET "[lstm]\n", SAC_ERROR_UNSUPPORTED, {"line 4", "[lstm]", "not supported"}},
        {NET "[conv]\nsize=3\nxnor=1\n", SAC_ERROR_UNSUPPORTED, {"line 6", "xnor=1"}},
        {NET "[conv]\nfilter=3\n", SAC_ERROR_UNSUPPORTED, {"line 5", "filter", "not known"}},
        {NET "[conv]\nactivation=elu\n", SAC_ERROR_UNSUPPORTED, {"line 5", "elu", "mish"}},
        {NET "[conv]\nfilters=4\ngroups=2\n", SAC_ERROR_FORMAT, {"line 6", "groups=2", "3 input"}},
        {NET "[conv]\nsize=11\n", SAC_ERROR_FORMAT, {"line 5", "size=11", "8x8"}},
        {NET "[conv]\nsize=4\nstride=1\npad=1\ndilation=2\n",
         SAC_ERROR_UNSUPPORTED,
         {"line 8", "dilation=2"}},
        {NET "[conv]\nstride=0\n", SAC_ERROR_FORMAT, {"line 5", "stride=0", "1 to 1024"}},
        {NET "[conv]\n[shortcut]\n", SAC_ERROR_FORMAT, {"line 5", "no key from"}},
        {NET "[conv]\n[shortcut]\nfrom=-2\n", SAC_ERROR_FORMAT, {"line 6", "layer -1", "0 to 0"}},
        {NET "[conv]\n[shortcut]\nfrom=1\n", SAC_ERROR_FORMAT, {"line 6", "layer 1"}},
        {NET "[conv]\n[shortcut]\nfrom=x\n", SAC_ERROR_FORMAT, {"line 6", "'x'"}},
        {NET "[conv]\n[conv]\nsize=3\n[shortcut]\nfrom=-2\n",
         SAC_ERROR_UNSUPPORTED,
         {"line 8", "8x8", "6x6"}},
        {NET "[conv]\n[shortcut]\nfrom=-1\nweights_type=per_channel\n",
         SAC_ERROR_UNSUPPORTED,
         {"line 7", "per_channel"}},
        {NET "[conv]\n[conv]\nstride=2\n[route]\nlayers=-1,-2\n",
         SAC_ERROR_FORMAT,
         {"line 8", "4x4 and 8x8", "32 px"}},
        {NET "[conv]\nfilters=3\n[route]\nlayers=-1\ngroups=2\n",
         SAC_ERROR_FORMAT,
         {"line 8", "groups=2", "3 channels"}},
        {NET "[conv]\n[upsample]\nscale=0.5\n", SAC_ERROR_UNSUPPORTED, {"line 6", "scale=0.5"}},
        {NET "[maxpool]\nsize=2\npadding=9\n", SAC_ERROR_FORMAT, {"line 5", "padding=9"}},
        {NET "[softmax]\ngroups=7\n", SAC_ERROR_FORMAT, {"line 5", "groups=7", "192"}},
        {NET "[softmax]\ntree=imagenet.tree\n", SAC_ERROR_UNSUPPORTED, {"line 5", "tree"}},
        {NET "[yolo]\nclasses=1\nnum=1\n", SAC_ERROR_FORMAT, {"line 4", "0 anchor numbers"}},
        {NET "[yolo]\nclasses=1\nnum=1\nanchors=1,2\n",
         SAC_ERROR_FORMAT,
         {"line 4", "6 channels", "has 3"}},
        {NET "[conv]\nfilters=6\n[yolo]\nclasses=1\nnum=1\nanchors=1,2\nmask=1\n",
         SAC_ERROR_FORMAT,
         {"line 10", "'1' of mask"}},
        {NET "[conv]\nfilters=6\n[yolo]\nclasses=1\nanchors=1,2\n[conv]\n",
         SAC_ERROR_FORMAT,
         {"line 9", "follows a [yolo]"}},
        {NET "[conv]\nfilters=6\n[yolo]\nclasses=1\nanchors=1,2\n[route]\nlayers=1\n",
         SAC_ERROR_UNSUPPORTED,
         {"line 10", "a yolo layer"}},
        {NET "[conv]\nfilters=6\n[yolo]\nclasses=1\nanchors=1,2\nmap=coco9k.map\n",
         SAC_ERROR_UNSUPPORTED,
         {"line 9", "map"}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        sac_darknet *d = NULL;
        sac_error error = {0};
        const sac_status status =
            sac_darknet_parse(&d, cases[i].text, strlen(cases[i].text), "bad.cfg", 0, 0, &error);
        cr_assert_null(d, "%s", cases[i].text);
        sac_assert_error(status, cases[i].code, &error, "bad.cfg", NULL);
        for (int k = 0; k < 3 && cases[i].message[k] != NULL; k++) {
            cr_assert(strstr(error.message, cases[i].message[k]) != NULL, "'%s' lacks '%s'",
                      error.message, cases[i].message[k]);
        }
    }
    sac_darknet *d = NULL;
    sac_error error = {0};
    static const char zero[] = "[net]\nwidth=8\0\n";
    sac_assert_error(sac_darknet_parse(&d, zero, sizeof zero - 1, "bad.cfg", 0, 0, &error),
                     SAC_ERROR_FORMAT, &error, "line 2", "zero byte", NULL);
    error = (sac_error){0};
    sac_assert_error(sac_darknet_parse(&d, "", 0, "bad.cfg", -1, 0, &error), SAC_ERROR_ARGUMENT,
                     &error, "-1x0", NULL);
    error = (sac_error){0};
    sac_assert_error(sac_darknet_read(&d, "/nonexistent.cfg", 0, 0, &error), SAC_ERROR_IO, &error,
                     "/nonexistent.cfg", NULL);
}

Test(nn_darknet, refuses_bad_weights) {
    static cfg_text c;
    cfg_mixture(&c);
    sac_darknet *d = parse(c.text, 0, 0);
    size_t size = 0;
    uint8_t *bytes = make_weights(d, 1, &size);
    sac_error error = {0};
    // Layer 0: 8 biases, 24 of its norm, 216 weights; layer 1: 32 and 200; layer 3: 48 and 864.
    sac_assert_error(sac_darknet_parse_weights(d, bytes, 20 + 4 * (248 + 232 + 5), "w", &error),
                     SAC_ERROR_FORMAT, &error, "485 numbers", "layer 3", "needs 912 and finds 5",
                     NULL);
    error = (sac_error){0};
    sac_assert_error(sac_darknet_parse_weights(d, bytes, size - 1, "w", &error), SAC_ERROR_FORMAT,
                     &error, "w:", "layer 16", NULL);
    error = (sac_error){0};
    sac_assert_error(sac_darknet_parse_weights(d, bytes, 19, "w", &error), SAC_ERROR_FORMAT, &error,
                     "header of 20", NULL);
    error = (sac_error){0};
    sac_assert_error(sac_darknet_parse_weights(d, bytes, 3, "w", &error), SAC_ERROR_FORMAT, &error,
                     "3 bytes", NULL);
    uint8_t *longer = sac_calloc((int64_t)size + 4, 1);
    memcpy(longer, bytes, size);
    error = (sac_error){0};
    sac_assert_error(sac_darknet_parse_weights(d, longer, size + 4, "w", &error), SAC_ERROR_FORMAT,
                     &error, "behind the header", "10102 numbers", NULL);
    sac_free(longer);
    const float bad[2] = {NAN, -1};
    const size_t places[2] = {20 + 4 * (248 + 3), 20 + 4 * (248 + 24 + 2)};
    static const char *const words[2] = {"number 3 of norm.bias in layer 1",
                                         "number 2 of norm.running_var in layer 1"};
    for (int i = 0; i < 2; i++) {
        float kept;
        memcpy(&kept, bytes + places[i], sizeof kept);
        memcpy(bytes + places[i], &bad[i], sizeof kept);
        error = (sac_error){0};
        sac_assert_error(sac_darknet_parse_weights(d, bytes, size, "w", &error), SAC_ERROR_FORMAT,
                         &error, words[i], NULL);
        memcpy(bytes + places[i], &kept, sizeof kept);
    }
    cr_assert_null(d->params);
    bytes[1] = 8; // version 2048
    error = (sac_error){0};
    sac_assert_error(sac_darknet_parse_weights(d, bytes, size, "w", &error), SAC_ERROR_FORMAT,
                     &error, "version 2048", NULL);
    bytes[1] = 4; // 1024
    error = (sac_error){0};
    sac_assert_error(sac_darknet_parse_weights(d, bytes, size, "w", &error), SAC_ERROR_UNSUPPORTED,
                     &error, "transposed", NULL);
    bytes[1] = 0;
    error = (sac_error){0};
    sac_assert_error(sac_darknet_read_weights(d, "/nonexistent", &error), SAC_ERROR_IO, &error,
                     "/nonexistent", NULL);
    error = (sac_error){0};
    const char *path = sac_test_write("w.weights", bytes, size);
    sac_assert_ok(sac_darknet_read_weights(d, path, &error), &error);
    cr_assert_not_null(d->params);
    sac_free(bytes);
    sac_darknet_close(&d);
}

Test(nn_darknet, allocation_failures) {
    static cfg_text c;
    cfg_mixture(&c);
    sac_darknet *d = parse(c.text, 0, 0);
    size_t size = 0;
    uint8_t *bytes = make_weights(d, 1, &size);
    sac_darknet_close(&d);
    bool done = false;
    for (int64_t n = 0; !done && n < 2000; n++) {
        sac_error error = {0};
        sac_memory_fail_after(n);
        sac_status status = sac_darknet_parse(&d, c.text, c.used, "test.cfg", 0, 0, &error);
        if (status == SAC_OK) status = sac_darknet_parse_weights(d, bytes, size, "w", &error);
        sac_memory_fail_after(-1);
        done = status == SAC_OK;
        cr_assert(done || status == SAC_ERROR_MEMORY, "%d: %s", (int)n, error.message);
        sac_darknet_close(&d);
    }
    cr_assert(done);
    sac_free(bytes);
}

// The real file, where it lies beside the project.
Test(nn_darknet, yolo_fastest) {
    const char *source = getenv("SACCADE_SOURCE");
    char cfg[512], weights[512];
    (void)snprintf(cfg, sizeof cfg,
                   "%s/../shared/data/pretrained/yolo-fastest-1.1-xl/yolo-fastest-1.1-xl.cfg",
                   source);
    (void)snprintf(weights, sizeof weights, "%.*s.weights", (int)strlen(cfg) - 4, cfg);
    if (!sac_is_file(cfg)) sac_skip_case("no YOLO-Fastest beside the project");
    sac_darknet *d = NULL;
    sac_error error = {0};
    sac_assert_ok(sac_darknet_read(&d, cfg, 0, 0, &error), &error);
    sac_assert_ok(sac_darknet_read_weights(d, weights, &error), &error);
    cr_assert(d->layer_count == 131 && d->weight_count == 923486);
    cr_assert(d->head_count == 2 && d->heads[0].grid_w == 10 && d->heads[1].grid_w == 20);
    sac_darknet_close(&d);
}
