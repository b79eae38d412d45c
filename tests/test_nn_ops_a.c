// Pooling, adaptive pooling, upsampling, normalisations and dropout: the plain reference. Its
// values against numbers worked out by hand, its gradients against central differences, its shape
// checks against what they must refuse. tests/test_nn_ops_a_plan.c checks oneDNN against it.
#include "tests/gradcheck.h"
#include "tests/helper.h"

static sac_attrs window_attrs(const int64_t k[3], const int64_t s[3], const int64_t p[3]) {
    sac_attrs attrs = {.groups = 1};
    for (int i = 0; i < 3; i++) {
        attrs.kernel[i] = k[i];
        attrs.stride[i] = s[i];
        attrs.pad[i] = p[i];
    }
    return attrs;
}

static sac_attrs size_attrs(int64_t d, int64_t h, int64_t w) {
    return (sac_attrs){.groups = 1, .size = {d, h, w}};
}

static sac_attrs norm_attrs(void) {
    return (sac_attrs){.groups = 1, .epsilon = 1e-5, .momentum = 0.1};
}

// Runs the reference forward of an operator without parameters.
static void forward(sac_op_kind kind, const sac_attrs *attrs, sac_shape src_shape, const float *src,
                    sac_shape *dst_shape, float *dst) {
    const sac_op *op = sac_op_of(kind);
    sac_ref ref = {.attrs = attrs,
                   .training = true,
                   .src_count = 1,
                   .src_shape = {src_shape},
                   .src = {src},
                   .dst = dst};
    sac_error error = {0};
    sac_assert_ok(op->shape(attrs, &src_shape, 1, &ref.dst_shape, &error), &error);
    *dst_shape = ref.dst_shape;
    op->ref_forward(&ref);
}

static void assert_exact(const float *got, const float *want, const sac_shape *shape,
                         sac_shape want_shape, const char *what) {
    char a[96], b[96];
    cr_assert(sac_shape_equal(shape, &want_shape), "%s: shape %s, expected %s", what,
              sac_shape_text(shape, a), sac_shape_text(&want_shape, b));
    sac_assert_close(got, want, shape->ndims, shape->dims, 1e-7, what);
}

static void refuse(sac_op_kind kind, const sac_attrs *attrs, sac_shape src, sac_status code,
                   const char *text) {
    sac_error error = {0};
    sac_shape dst;
    sac_status status = sac_op_of(kind)->shape(attrs, &src, 1, &dst, &error);
    sac_assert_error(status, code, &error, text, (const char *)NULL);
}

static const int64_t k2[3] = {1, 2, 2}, s2[3] = {1, 2, 2}, p0[3] = {0, 0, 0}, k3[3] = {1, 3, 3},
                     p1[3] = {0, 1, 1}, one[3] = {1, 1, 1};
static const int64_t k3d[3] = {3, 2, 3}, s3d[3] = {2, 1, 2}, p3d[3] = {1, 0, 1};

Test(nn_ops_a, pool_values) {
    const float src[15] = {1, 9, 3, 4, 5, -6, 7, 8, -9, 10, 11, 12, 13, 14, -15};
    sac_shape shape = {4, {1, 1, 3, 5}}, out;
    float dst[16];
    sac_attrs attrs = window_attrs(k2, s2, p0);
    forward(SAC_OP_MAX_POOL, &attrs, shape, src, &out, dst);
    assert_exact(dst, (const float[]){9, 8}, &out, (sac_shape){4, {1, 1, 1, 2}}, "max 2x2");
    forward(SAC_OP_AVG_POOL, &attrs, shape, src, &out, dst);
    assert_exact(dst, (const float[]){11.0f / 4, 1.5f}, &out, (sac_shape){4, {1, 1, 1, 2}},
                 "avg 2x2");
    attrs = window_attrs(k3, s2, p1);
    forward(SAC_OP_MAX_POOL, &attrs, shape, src, &out, dst);
    assert_exact(dst, (const float[]){9, 9, 10, 12, 14, 14}, &out, (sac_shape){4, {1, 1, 2, 3}},
                 "max 3x3 padded");
    // Only the cells inside count: the corner's mean is over 4 values, not 9.
    forward(SAC_OP_AVG_POOL, &attrs, shape, src, &out, dst);
    assert_exact(dst, (const float[]){11.0f / 4, 22.0f / 6, 10.0f / 4, 24.0f / 4, 45.0f / 6, 0},
                 &out, (sac_shape){4, {1, 1, 2, 3}}, "avg 3x3 padded");
}

Test(nn_ops_a, pool_values_3d) {
    const float src[8] = {1, 2, 3, 4, 5, 6, 7, -8};
    sac_shape shape = {5, {1, 1, 2, 2, 2}}, out;
    float dst[8];
    sac_attrs attrs = window_attrs((const int64_t[3]){2, 1, 2}, one, p0);
    forward(SAC_OP_MAX_POOL, &attrs, shape, src, &out, dst);
    assert_exact(dst, (const float[]){6, 7}, &out, (sac_shape){5, {1, 1, 1, 2, 1}}, "max 2x1x2");
    forward(SAC_OP_AVG_POOL, &attrs, shape, src, &out, dst);
    assert_exact(dst, (const float[]){3.5f, 1.5f}, &out, (sac_shape){5, {1, 1, 1, 2, 1}},
                 "avg 2x1x2");
}

Test(nn_ops_a, pool_gradients) {
    const sac_shape flat[] = {{4, {1, 1, 2, 2}}, {4, {2, 3, 5, 7}}, {4, {1, 2, 6, 3}}};
    const sac_shape deep[] = {{5, {1, 1, 3, 3, 3}}, {5, {2, 2, 4, 3, 5}}};
    for (uint64_t seed = 1; seed <= 2; seed++) {
        for (int kind = SAC_OP_MAX_POOL; kind <= SAC_OP_AVG_POOL; kind++) {
            const sac_op *op = sac_op_of((sac_op_kind)kind);
            const sac_attrs flat_attrs[] = {window_attrs(k2, s2, p0), window_attrs(k3, s2, p1),
                                            window_attrs(k3, one, p1), window_attrs(k2, one, p1)};
            for (size_t a = 0; a < 4; a++) {
                for (size_t i = 0; i < 3; i++)
                    gradcheck_op_apart(op, &flat_attrs[a], &flat[i], 1, seed);
            }
            const sac_attrs deep_attrs[] = {window_attrs(k2, s2, p0), window_attrs(k3d, s3d, p3d)};
            for (size_t a = 0; a < 2; a++) {
                for (size_t i = 0; i < 2; i++)
                    gradcheck_op_apart(op, &deep_attrs[a], &deep[i], 1, seed);
            }
        }
    }
}

// Among equal values the first in scan order takes the whole gradient.
Test(nn_ops_a, max_ties) {
    const float src[4] = {2, 5, 5, 5}, diff_dst[1] = {3};
    sac_shape shape = {4, {1, 1, 2, 2}};
    const sac_attrs attrs[2] = {window_attrs(k2, s2, p0), size_attrs(1, 1, 1)};
    const sac_op_kind kinds[2] = {SAC_OP_MAX_POOL, SAC_OP_ADAPTIVE_MAX_POOL};
    for (int i = 0; i < 2; i++) {
        float diff_src[4] = {NAN, NAN, NAN, NAN};
        sac_ref ref = {.attrs = &attrs[i],
                       .training = true,
                       .src_count = 1,
                       .src_shape = {shape},
                       .dst_shape = {4, {1, 1, 1, 1}},
                       .src = {src},
                       .diff_dst = diff_dst,
                       .diff_src = {diff_src}};
        sac_op_of(kinds[i])->ref_backward(&ref);
        assert_exact(diff_src, (const float[]){0, 3, 0, 0}, &shape, shape,
                     sac_op_kind_name(kinds[i]));
    }
}

Test(nn_ops_a, pool_refusals) {
    sac_attrs attrs = window_attrs(k2, s2, p0);
    refuse(SAC_OP_MAX_POOL, &attrs, (sac_shape){3, {1, 4, 4}}, SAC_ERROR_SHAPE, "[1][4][4]");
    refuse(SAC_OP_AVG_POOL, &attrs, (sac_shape){4, {1, 4, 1, 4}}, SAC_ERROR_SHAPE,
           "larger than the padded input");
    attrs = window_attrs((const int64_t[3]){1, 0, 2}, s2, p0);
    refuse(SAC_OP_MAX_POOL, &attrs, (sac_shape){4, {1, 4, 4, 4}}, SAC_ERROR_ARGUMENT, "kernel 0");
    attrs = window_attrs(k2, (const int64_t[3]){1, 2, -1}, p0);
    refuse(SAC_OP_MAX_POOL, &attrs, (sac_shape){4, {1, 4, 4, 4}}, SAC_ERROR_ARGUMENT, "stride -1");
    attrs = window_attrs(k2, s2, (const int64_t[3]){0, 2, 0});
    refuse(SAC_OP_MAX_POOL, &attrs, (sac_shape){4, {1, 4, 4, 4}}, SAC_ERROR_ARGUMENT, "padding 2");
    attrs = window_attrs((const int64_t[3]){1, INT64_MAX, 2}, s2, p0);
    refuse(SAC_OP_MAX_POOL, &attrs, (sac_shape){4, {1, 4, 4, 4}}, SAC_ERROR_ARGUMENT, "kernel");
}

Test(nn_ops_a, adaptive_values) {
    const float src[5] = {1, 5, 2, 4, 3};
    sac_shape shape = {4, {1, 1, 1, 5}}, out;
    float dst[8];
    sac_attrs attrs = size_attrs(1, 1, 3); // cells [0, 2), [1, 4), [3, 5)
    forward(SAC_OP_ADAPTIVE_MAX_POOL, &attrs, shape, src, &out, dst);
    assert_exact(dst, (const float[]){5, 5, 4}, &out, (sac_shape){4, {1, 1, 1, 3}}, "max 5 to 3");
    forward(SAC_OP_ADAPTIVE_AVG_POOL, &attrs, shape, src, &out, dst);
    assert_exact(dst, (const float[]){3, 11.0f / 3, 3.5f}, &out, (sac_shape){4, {1, 1, 1, 3}},
                 "avg 5 to 3");
    attrs =
        size_attrs(1, 1, 7); // more cells than values: [0,1) [0,2) [1,3) [2,3) [2,4) [3,5) [4,5)
    forward(SAC_OP_ADAPTIVE_MAX_POOL, &attrs, shape, src, &out, dst);
    assert_exact(dst, (const float[]){1, 5, 5, 2, 4, 4, 3}, &out, (sac_shape){4, {1, 1, 1, 7}},
                 "max 5 to 7");
    attrs = size_attrs(1, 1, 1);
    forward(SAC_OP_ADAPTIVE_AVG_POOL, &attrs, shape, src, &out, dst);
    assert_exact(dst, (const float[]){3}, &out, (sac_shape){4, {1, 1, 1, 1}}, "global avg");
}

Test(nn_ops_a, adaptive_gradients) {
    const sac_shape shapes[] = {{4, {1, 1, 1, 5}}, {4, {2, 3, 5, 4}}, {5, {2, 2, 3, 4, 5}}};
    const sac_attrs attrs[] = {size_attrs(1, 1, 1), size_attrs(1, 1, 2), size_attrs(2, 3, 3),
                               size_attrs(3, 4, 5), size_attrs(4, 5, 7)};
    for (size_t i = 0; i < 3; i++) {
        for (size_t a = 0; a < 5; a++) {
            gradcheck_op_apart(sac_op_of(SAC_OP_ADAPTIVE_MAX_POOL), &attrs[a], &shapes[i], 1, 3);
            gradcheck_op(sac_op_of(SAC_OP_ADAPTIVE_AVG_POOL), &attrs[a], &shapes[i], 1, 3);
        }
    }
}

Test(nn_ops_a, adaptive_refusals) {
    sac_attrs attrs = size_attrs(1, 0, 2);
    refuse(SAC_OP_ADAPTIVE_MAX_POOL, &attrs, (sac_shape){4, {1, 4, 4, 4}}, SAC_ERROR_ARGUMENT,
           "output size 0");
    attrs = size_attrs(1, 2, 70000);
    refuse(SAC_OP_ADAPTIVE_AVG_POOL, &attrs, (sac_shape){4, {1, 4, 4, 4}}, SAC_ERROR_ARGUMENT,
           "output size 70000");
    attrs = size_attrs(1, 1, 1);
    refuse(SAC_OP_ADAPTIVE_AVG_POOL, &attrs, (sac_shape){2, {1, 4}}, SAC_ERROR_SHAPE, "[1][4]");
    refuse(SAC_OP_ADAPTIVE_MAX_POOL, &attrs, (sac_shape){4, {1, 4, 65536, 65536}}, SAC_ERROR_SHAPE,
           "2^31");
}

Test(nn_ops_a, upsample) {
    const float src[4] = {1, 2, 3, 4};
    sac_shape shape = {4, {1, 1, 2, 2}}, out;
    float dst[16];
    sac_attrs attrs = size_attrs(1, 2, 1);
    forward(SAC_OP_UPSAMPLE, &attrs, shape, src, &out, dst);
    assert_exact(dst, (const float[]){1, 2, 1, 2, 3, 4, 3, 4}, &out, (sac_shape){4, {1, 1, 4, 2}},
                 "rows twice");
    attrs = size_attrs(1, 1, 3);
    forward(SAC_OP_UPSAMPLE, &attrs, shape, src, &out, dst);
    assert_exact(dst, (const float[]){1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4}, &out,
                 (sac_shape){4, {1, 1, 2, 6}}, "columns three times");

    const sac_shape shapes[] = {{4, {2, 3, 2, 3}}, {5, {2, 2, 2, 1, 3}}};
    const sac_attrs factors[] = {size_attrs(1, 2, 2), size_attrs(2, 1, 3), size_attrs(1, 1, 1)};
    for (size_t i = 0; i < 2; i++) {
        for (size_t a = 0; a < 3; a++)
            gradcheck_op(sac_op_of(SAC_OP_UPSAMPLE), &factors[a], &shapes[i], 1, 5);
    }
    attrs = size_attrs(1, 0, 2);
    refuse(SAC_OP_UPSAMPLE, &attrs, shape, SAC_ERROR_ARGUMENT, "factor 0");
    attrs = size_attrs(1, 60000, 2);
    refuse(SAC_OP_UPSAMPLE, &attrs, shape, SAC_ERROR_SHAPE, "factor 60000");
    refuse(SAC_OP_UPSAMPLE, &attrs, (sac_shape){3, {1, 2, 3}}, SAC_ERROR_SHAPE, "[1][2][3]");
}

static void batch_norm_run(bool training, const float *src, sac_shape shape, float mean[],
                           float var[], float *dst) {
    sac_attrs attrs = norm_attrs();
    const float weight[2] = {2.0f, -1.0f}, bias[2] = {0.5f, 3.0f};
    sac_ref ref = {.attrs = &attrs,
                   .training = training,
                   .src_count = 1,
                   .src_shape = {shape},
                   .dst_shape = shape,
                   .src = {src},
                   .dst = dst,
                   .param = {weight, bias, mean, var},
                   .state = {NULL, NULL, mean, var}};
    sac_op_of(SAC_OP_BATCH_NORM)->ref_forward(&ref);
}

Test(nn_ops_a, batch_norm_values) {
    // Channel 0: 1 2 3 6 has mean 3, biased variance 3.5, unbiased 14/3. Channel 1: 0 0 0 4 has 1,
    // 3, 4.
    const float src[8] = {1, 0, 2, 0, 3, 0, 6, 4};
    sac_shape shape = {2, {4, 2}};
    float mean[2] = {10, 20}, var[2] = {1, 2}, dst[8], want[8];
    batch_norm_run(true, src, shape, mean, var, dst);
    for (int n = 0; n < 4; n++) {
        want[2 * n] = (float)(2.0 * ((double)src[2 * n] - 3.0) / sqrt(3.5 + 1e-5) + 0.5);
        want[2 * n + 1] = (float)(-((double)src[2 * n + 1] - 1.0) / sqrt(3.0 + 1e-5) + 3.0);
    }
    sac_assert_close(dst, want, 2, shape.dims, 1e-6, "training output");
    const int64_t two[1] = {2};
    sac_assert_close(mean, (const float[]){9.3f, 18.1f}, 1, two, 1e-6, "running mean");
    sac_assert_close(var, (const float[]){(float)(0.9 + 0.1 * 14.0 / 3.0), 2.2f}, 1, two, 1e-6,
                     "running variance is unbiased");
    float kept_mean[2] = {mean[0], mean[1]}, kept_var[2] = {var[0], var[1]};
    batch_norm_run(false, src, shape, mean, var, dst);
    cr_assert(memcmp(mean, kept_mean, sizeof(mean)) == 0 && memcmp(var, kept_var, sizeof(var)) == 0,
              "inference moved the statistics");
    for (int n = 0; n < 4; n++) {
        want[2 * n] =
            (float)(2.0 * ((double)src[2 * n] - (double)mean[0]) / sqrt((double)var[0] + 1e-5) +
                    0.5);
        want[2 * n + 1] =
            (float)(-((double)src[2 * n + 1] - (double)mean[1]) / sqrt((double)var[1] + 1e-5) +
                    3.0);
    }
    sac_assert_close(dst, want, 2, shape.dims, 1e-6, "inference output");
    // One value per channel: variance 0, its unbiased form does not exist, the output is the bias.
    float single_mean[2] = {0, 0}, single_var[2] = {1, 1};
    batch_norm_run(true, src, (sac_shape){2, {1, 2}}, single_mean, single_var, dst);
    sac_assert_close(dst, (const float[]){0.5f, 3.0f}, 1, two, 1e-6, "single value");
    sac_assert_close(single_var, (const float[]){0.9f, 0.9f}, 1, two, 1e-6,
                     "variance of a single value");
}

Test(nn_ops_a, norm_gradients) {
    sac_attrs attrs = norm_attrs();
    const sac_shape batch[] = {
        {2, {7, 3}}, {3, {3, 2, 4}}, {4, {2, 3, 3, 4}}, {5, {2, 2, 2, 3, 2}}};
    for (size_t i = 0; i < 4; i++) {
        gradcheck_op(sac_op_of(SAC_OP_BATCH_NORM), &attrs, &batch[i], 1, 7 + i);
    }
    const sac_shape layer[] = {{2, {3, 5}}, {3, {2, 3, 7}}, {4, {2, 2, 2, 6}}};
    for (size_t i = 0; i < 3; i++) {
        gradcheck_op(sac_op_of(SAC_OP_LAYER_NORM), &attrs, &layer[i], 1, 17 + i);
        gradcheck_op_fill(sac_op_of(SAC_OP_LAYER_NORM), &attrs, &layer[i], 1, 27 + i,
                          GRADCHECK_SMOOTH, false);
    }
}

Test(nn_ops_a, norm_refusals) {
    sac_attrs attrs = norm_attrs();
    refuse(SAC_OP_BATCH_NORM, &attrs, (sac_shape){1, {4}}, SAC_ERROR_SHAPE, "[4]");
    refuse(SAC_OP_LAYER_NORM, &attrs, (sac_shape){1, {4}}, SAC_ERROR_SHAPE, "[4]");
    attrs.epsilon = 0.0;
    refuse(SAC_OP_BATCH_NORM, &attrs, (sac_shape){2, {4, 4}}, SAC_ERROR_ARGUMENT, "epsilon 0");
    attrs.epsilon = NAN;
    refuse(SAC_OP_LAYER_NORM, &attrs, (sac_shape){2, {4, 4}}, SAC_ERROR_ARGUMENT, "epsilon nan");
    attrs = norm_attrs();
    attrs.momentum = 1.5;
    refuse(SAC_OP_BATCH_NORM, &attrs, (sac_shape){2, {4, 4}}, SAC_ERROR_ARGUMENT, "momentum 1.5");
}

Test(nn_ops_a, dropout_statistics) {
    enum { N = 200000 };
    const double rate = 0.3;
    sac_attrs attrs = {.groups = 1, .rate = rate};
    sac_shape shape = {2, {1, N}};
    float *src = sac_calloc(N, sizeof(float)), *dst = sac_calloc(N, sizeof(float)),
          *again = sac_calloc(N, sizeof(float));
    float workspace[2];
    cr_assert(src != NULL && dst != NULL && again != NULL);
    for (int i = 0; i < N; i++) src[i] = 1.0f;
    sac_rng rng;
    sac_rng_seed(&rng, 42, 0);
    sac_rng start = rng;
    sac_ref ref = {.attrs = &attrs,
                   .training = true,
                   .src_count = 1,
                   .src_shape = {shape},
                   .dst_shape = shape,
                   .src = {src},
                   .dst = dst,
                   .workspace = workspace,
                   .rng = &rng};
    const sac_op *op = sac_op_of(SAC_OP_DROPOUT);
    cr_assert_eq(op->ref_workspace(&attrs, &shape, &shape), 2);
    op->ref_forward(&ref);
    sac_rng_next(&start);
    cr_assert_eq(memcmp(&rng, &start, sizeof(rng)), 0, "a forward takes exactly one draw");
    // Five standard deviations of a binomial; pairs at several distances must be independent as
    // well.
    const int distances[] = {1, 2, 16, 64, 1024};
    int64_t kept = 0;
    for (int i = 0; i < N; i++) {
        cr_assert(dst[i] == 0.0f || fabs((double)dst[i] - 1.0 / (1.0 - rate)) < 1e-6);
        kept += dst[i] != 0.0f;
    }
    double p = 1.0 - rate;
    cr_assert(fabs((double)kept - p * N) < 5.0 * sqrt(N * p * (1.0 - p)), "kept %" PRId64 " of %d",
              kept, N);
    for (size_t d = 0; d < 5; d++) {
        int64_t both = 0;
        for (int i = 0; i + distances[d] < N; i++)
            both += dst[i] != 0.0f && dst[i + distances[d]] != 0.0f;
        cr_assert(fabs((double)both - p * p * N) <
                      5.0 * sqrt(N * p * p * (1.0 + 2.0 * p - 3.0 * p * p)) + 1024.0 * p * p,
                  "distance %d: %" PRId64 " pairs", distances[d], both);
    }
    ref.dst = again;
    op->ref_forward(&ref);
    int64_t equal = 0;
    for (int i = 0; i < N; i++) equal += (dst[i] != 0.0f) == (again[i] != 0.0f);
    double same = p * p + rate * rate;
    cr_assert(fabs((double)equal - same * N) < 5.0 * sqrt(N * same * (1.0 - same)),
              "next mask is not independent: %" PRId64, equal);
    // Inference is the identity and leaves the generator alone.
    ref.training = false;
    ref.rng = NULL;
    op->ref_forward(&ref);
    cr_assert_eq(memcmp(again, src, N * sizeof(float)), 0);
    sac_free(src);
    sac_free(dst);
    sac_free(again);
}

Test(nn_ops_a, dropout_gradients) {
    const sac_shape shapes[] = {{2, {3, 17}}, {4, {2, 3, 2, 3}}};
    const double rates[] = {0.0, 0.3, 0.9};
    for (size_t i = 0; i < 2; i++) {
        for (size_t r = 0; r < 3; r++) {
            sac_attrs attrs = {.groups = 1, .rate = rates[r]};
            gradcheck_op(sac_op_of(SAC_OP_DROPOUT), &attrs, &shapes[i], 1, 31);
        }
    }
    sac_attrs attrs = {.groups = 1, .rate = 1.0};
    refuse(SAC_OP_DROPOUT, &attrs, shapes[0], SAC_ERROR_ARGUMENT, "rate 1");
    attrs.rate = NAN;
    refuse(SAC_OP_DROPOUT, &attrs, shapes[0], SAC_ERROR_ARGUMENT, "rate nan");
}
