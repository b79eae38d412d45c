// Separable resampling of u8 images with whole-number weights, so that every machine gives the same
// bytes, and the bilinear crops of the teachers. Rows are blended first (plain vectorisable loops),
// then each blended row is reduced along x. Only the x step has vector versions of its own
// (scale_x86.c): compilers find no good code for its uneven strides. Here stands the plain one,
// which they must equal.
#include "video/scale.h"

#include <math.h>
#include <string.h>

#include "core/check.h"
#include "core/clones.h"
#include "core/memory.h"
#include "video/scale_x86.h"

#define MAX_SIDE 16384
// A blended row holds sums of at most ROW_ONE * 255, which fit a signed 16-bit lane.
#define ROW_ONE 128
// Weights of one axis: output i is the sum of weight[i][t] * source[first[i] + t] over t, divided
// by `total`.
typedef struct axis {
    int in, out;
    int taps;        // stride of `weight`; outputs with fewer taps have zero weights
    int total;       // sum of the weights of every output, at most 16384
    int32_t *first;  // [out]
    int16_t *weight; // [out][taps]
} axis;

struct sac_scaler {
    axis x, y;
    int channels;
    bool copy;   // same size: nothing to resample
    int row_one; // what a blended row's values are multiplied with
    uint64_t row_multiplier;
    int row_shift;                  // division of row sums by y.total when those do not fit ROW_ONE
    sac_row_division full, limited; // of sums, by the final divisor
    uint16_t *row;                  // [x.in * channels + padding] blended row
    uint32_t *wide;                 // [x.in * channels] row sums that do not fit 16 bits, else NULL
    sac_row_reducer *reducer;       // NULL: the plain loop
};

static int64_t greatest_common_divisor(int64_t a, int64_t b) {
    while (b != 0) {
        int64_t r = a % b;
        a = b;
        b = r;
    }
    return a;
}

// floor(x / n) for all x < 2^30 as x * multiplier >> shift: the error term x * (multiplier * n -
// 2^shift) stays below 2^shift because the bracket is below n and 2^shift >= 2^30 * n (Granlund and
// Montgomery, PLDI 1994).
static void invert(uint32_t n, uint64_t *multiplier, int *shift) {
    int bits = 0;
    while ((1u << bits) < n) bits++;
    *shift = 30 + bits;
    *multiplier = ((UINT64_C(1) << *shift) + n - 1) / n;
}

// (sum + n / 2) / n floored, exactly.
static sac_row_division rounded(uint32_t n) {
    sac_row_division d = {.low = 0};
    invert(n, &d.multiplier, &d.shift);
    d.bias = (n / 2) * d.multiplier;
    return d;
}

// 255 (sum / n - 16) / 219 = 85 (sum - 16 n) / (73 n) rounded; the factor is good to 31 bits, so
// for sums below 2^30 a result is off by less than 2^-20 before rounding.
static sac_row_division stretched(uint32_t n) {
    sac_row_division d = {.low = 16 * n};
    int bits = 0;
    while ((2u << bits) <= n) bits++;
    d.shift = 30 + bits;
    d.multiplier = ((UINT64_C(85) << d.shift) + 73 * (uint64_t)n / 2) / (73 * (uint64_t)n);
    d.bias = UINT64_C(1) << (d.shift - 1);
    return d;
}

// Box filter: in units where a source pixel is `b` long and an output pixel `a`, every edge is a
// whole number.
static void fill_area(axis *ax, int64_t a, int64_t b) {
    ax->total = (int)a;
    for (int i = 0; i < ax->out; i++) {
        int64_t begin = i * a, end = begin + a;
        int64_t first = begin / b;
        if (first > ax->in - ax->taps) first = ax->in - ax->taps;
        ax->first[i] = (int32_t)first;
        for (int t = 0; t < ax->taps; t++) {
            int64_t left = (first + t) * b, right = left + b;
            if (left < begin) left = begin;
            if (right > end) right = end;
            ax->weight[(int64_t)i * ax->taps + t] = (int16_t)(right > left ? right - left : 0);
        }
    }
}

// Linear interpolation between pixel centres; beyond the outer centres the border pixel counts
// alone.
static void fill_linear(axis *ax, int64_t a, int64_t b) {
    int64_t unit = 2 * b; // of one source pixel
    ax->total = (int)(unit <= MAX_SIDE ? unit : MAX_SIDE);
    for (int i = 0; i < ax->out; i++) {
        int64_t at =
            (2 * (int64_t)i + 1) * a - b; // centre of the output, from the first source centre
        int64_t j = at >= 0 ? at / unit : -1, right = at - j * unit;
        if (j < 0) {
            j = 0;
            right = 0;
        } else if (j > ax->in - 2) {
            j = ax->in - 2;
            right = unit;
        }
        if (unit != ax->total) right = (right * ax->total + b) / unit;
        ax->first[i] = (int32_t)j;
        ax->weight[2 * (int64_t)i] = (int16_t)(ax->total - right);
        ax->weight[2 * (int64_t)i + 1] = (int16_t)right;
    }
}

static sac_status axis_create(axis *ax, int in, int out) {
    sac_status status = SAC_OK;
    int64_t g = greatest_common_divisor(in, out), a = in / g, b = out / g;
    ax->in = in;
    ax->out = out;
    if (out > in) {
        ax->taps = in > 1 ? 2 : 1;
    } else {
        ax->taps = 1;
        for (int64_t i = 0; i < b; i++) { // the pattern repeats every b outputs
            int taps = (int)(((i + 1) * a - 1) / b - i * a / b) + 1;
            if (taps > ax->taps) ax->taps = taps;
        }
    }
    ax->first = sac_calloc(out, sizeof *ax->first);
    ax->weight = sac_calloc((int64_t)out * ax->taps, sizeof *ax->weight);
    SAC_TRY_ALLOC(ax->first);
    SAC_TRY_ALLOC(ax->weight);
    if (out <= in) {
        fill_area(ax, a, b);
    } else if (in == 1) {
        ax->total = 1;
        for (int i = 0; i < out; i++) ax->weight[i] = 1;
    } else {
        fill_linear(ax, a, b);
    }
fail:
    return status;
}

sac_status sac_scaler_create(sac_scaler **scaler, int sw, int sh, int dw, int dh, int channels) {
    sac_status status = SAC_OK;
    sac_scaler *s = NULL;
    *scaler = NULL;
    if (sw < 1 || sh < 1 || dw < 1 || dh < 1 || sw > MAX_SIDE || sh > MAX_SIDE || dw > MAX_SIDE ||
        dh > MAX_SIDE || (channels != 1 && channels != 3))
        return SAC_ERROR_ARGUMENT;
    s = sac_calloc(1, sizeof *s);
    SAC_TRY_ALLOC(s);
    s->channels = channels;
    s->copy = sw == dw && sh == dh;
    SAC_TRY(axis_create(&s->x, sw, dw));
    SAC_TRY(axis_create(&s->y, sh, dh));
    s->row = sac_calloc((int64_t)sw * channels + SAC_ROW_PADDING, sizeof *s->row);
    SAC_TRY_ALLOC(s->row);
    s->row_one = s->y.total;
    if (s->y.total > ROW_ONE) {
        s->row_one = ROW_ONE;
        s->wide = sac_calloc((int64_t)sw * channels, sizeof *s->wide);
        SAC_TRY_ALLOC(s->wide);
        invert((uint32_t)s->y.total, &s->row_multiplier, &s->row_shift);
    }
    uint32_t n = (uint32_t)s->row_one * (uint32_t)s->x.total;
    s->full = rounded(n);
    s->limited = stretched(n);
    SAC_TRY(sac_scaler_use(s, SAC_SCALER_BEST));
    *scaler = s;
    return SAC_OK;
fail:
    sac_scaler_close(&s);
    return status;
}

sac_status sac_scaler_use(sac_scaler *s, sac_scaler_code code) {
    sac_row_reducer *reducer = NULL;
    sac_row_plan plan = {.elements = s->x.out * s->channels,
                         .channels = s->channels,
                         .taps = s->x.taps,
                         .first = s->x.first,
                         .weight = s->x.weight};
    if (code != SAC_SCALER_PLAIN) {
        sac_status status = sac_row_reducer_create(&reducer, &plan, code);
        if (status != SAC_OK && !(status == SAC_ERROR_UNSUPPORTED && code == SAC_SCALER_BEST))
            return status;
    }
    sac_row_reducer_close(&s->reducer);
    s->reducer = reducer;
    return SAC_OK;
}

void sac_scaler_close(sac_scaler **scaler) {
    if (scaler == NULL || *scaler == NULL) return;
    sac_scaler *s = *scaler;
    sac_free(s->x.first);
    sac_free(s->x.weight);
    sac_free(s->y.first);
    sac_free(s->y.weight);
    sac_free(s->row);
    sac_free(s->wide);
    sac_row_reducer_close(&s->reducer);
    sac_free(s);
    *scaler = NULL;
}

// out[i] = sum over t of weight[t] * src[t * stride + i]; the sums fit 16 bits by choice of the
// caller.
SAC_CLONES_INTEGER static void blend_rows(uint16_t *restrict out, const uint8_t *restrict src,
                                          ptrdiff_t stride, const int16_t *weight, int taps,
                                          int n) {
    const uint8_t *restrict a = src;
    uint16_t wa = (uint16_t)weight[0];
    if (taps == 1) {
        for (int i = 0; i < n; i++) out[i] = (uint16_t)(wa * a[i]);
        return;
    }
    const uint8_t *restrict b = src + stride;
    uint16_t wb = (uint16_t)weight[1];
    if (taps == 2) {
        for (int i = 0; i < n; i++) out[i] = (uint16_t)(wa * a[i] + wb * b[i]);
        return;
    }
    const uint8_t *restrict c = src + 2 * stride;
    uint16_t wc = (uint16_t)weight[2];
    for (int i = 0; i < n; i++) out[i] = (uint16_t)(wa * a[i] + wb * b[i] + wc * c[i]);
    for (int t = 3; t < taps; t++) {
        const uint8_t *restrict r = src + t * stride;
        uint16_t w = (uint16_t)weight[t];
        for (int i = 0; i < n; i++) out[i] = (uint16_t)(out[i] + w * r[i]);
    }
}

// The same for large weights: exact 32-bit sums, divided by the total into ROW_ONE-ths.
SAC_CLONES_INTEGER static void blend_wide(uint16_t *restrict out, uint32_t *restrict sum,
                                          const uint8_t *restrict src, ptrdiff_t stride,
                                          const int16_t *weight, int taps, int n, uint32_t half,
                                          uint64_t multiplier, int shift) {
    for (int i = 0; i < n; i++) sum[i] = 0;
    for (int t = 0; t < taps; t++) {
        const uint8_t *restrict r = src + t * stride;
        uint32_t w = (uint32_t)weight[t];
        for (int i = 0; i < n; i++) sum[i] += w * r[i];
    }
    for (int i = 0; i < n; i++)
        out[i] = (uint16_t)(((uint64_t)(sum[i] * ROW_ONE + half) * multiplier) >> shift);
}

static void reduce_plain(const sac_scaler *s, uint8_t *restrict dst, const sac_row_division *by) {
    const uint16_t *row = s->row;
    const int16_t *w = s->x.weight;
    int taps = s->x.taps, ch = s->channels;
    for (int x = 0; x < s->x.out; x++, w += taps) {
        const uint16_t *p = row + (int64_t)s->x.first[x] * ch;
        for (int c = 0; c < ch; c++) {
            uint32_t sum = 0;
            for (int t = 0; t < taps; t++) sum += (uint32_t)w[t] * p[t * ch + c];
            sum = sum > by->low ? sum - by->low : 0;
            uint64_t q = (sum * by->multiplier + by->bias) >> by->shift;
            *dst++ = (uint8_t)(q < 255 ? q : 255);
        }
    }
}

// The limited division for single pixels, n = 1: v <- 255 (v - 16) / 219 rounded, clipped to
// 0..255; in 16 bits as v + 36 v / 219, with 43092 / 2^18 for 36 / 219.
SAC_CLONES_INTEGER static void stretch_row(uint8_t *restrict dst, const uint8_t *restrict src,
                                           int n) {
    for (int i = 0; i < n; i++) {
        uint16_t v = (uint16_t)((src[i] > 16 ? src[i] : 16) - 16);
        uint16_t rest = (uint16_t)((uint32_t)(uint16_t)(v << 8) * 43092u >> 16);
        v = (uint16_t)(v + (uint16_t)((uint16_t)(rest + 512) >> 10));
        dst[i] = (uint8_t)(v < 255 ? v : 255);
    }
}

static void run(sac_scaler *s, uint8_t *dst, const uint8_t *src, ptrdiff_t src_stride,
                bool limited) {
    const sac_row_division *by = limited ? &s->limited : &s->full;
    int n = s->x.in * s->channels;
    size_t row_bytes = (size_t)s->x.out * (size_t)s->channels;
    if (s->copy) {
        for (int y = 0; y < s->y.out; y++, dst += row_bytes, src += src_stride) {
            if (limited)
                stretch_row(dst, src, n);
            else
                memcpy(dst, src, row_bytes);
        }
        return;
    }
    for (int y = 0; y < s->y.out; y++, dst += row_bytes) {
        const int16_t *w = s->y.weight + (int64_t)y * s->y.taps;
        const uint8_t *rows = src + s->y.first[y] * src_stride;
        int taps = s->y.taps;
        while (taps > 1 && w[taps - 1] == 0) taps--;
        while (taps > 1 && w[0] == 0) {
            w++;
            taps--;
            rows += src_stride;
        }
        if (s->wide != NULL)
            blend_wide(s->row, s->wide, rows, src_stride, w, taps, n, (uint32_t)s->y.total / 2,
                       s->row_multiplier, s->row_shift);
        else
            blend_rows(s->row, rows, src_stride, w, taps, n);
        if (s->reducer != NULL)
            sac_row_reducer_run(s->reducer, dst, s->row, by);
        else
            reduce_plain(s, dst, by);
    }
}

void sac_scaler_run_rows(sac_scaler *s, uint8_t *dst, const uint8_t *src, ptrdiff_t src_stride) {
    run(s, dst, src, src_stride, false);
}

void sac_scaler_run_limited(sac_scaler *s, uint8_t *dst, const uint8_t *src, ptrdiff_t src_stride) {
    run(s, dst, src, src_stride, true);
}

void sac_scaler_run(sac_scaler *scaler, uint8_t *dst, const uint8_t *src) {
    sac_scaler_run_rows(scaler, dst, src, (ptrdiff_t)scaler->x.in * scaler->channels);
}

// Sample positions along one axis: pixel pair and the share of the right one, border replicated.
static void sample_at(double at, int size, int *left, int *right, float *share) {
    if (!(at > 0)) at = 0; // also NaN
    if (at > size - 1) at = size - 1;
    *left = (int)at;
    *right = *left + 1 < size ? *left + 1 : *left;
    *share = (float)(at - *left);
}

static int samples_per_pixel(double extent, int out) {
    double factor = ceil(fabs(extent) / out);
    if (!(factor > 1)) return 1;
    return factor < 256 ? (int)factor : 256;
}

void sac_crop_gray(float *dst, int dw, int dh, const uint8_t *src, int sw, int sh, double x1,
                   double y1, double x2, double y2) {
    enum { CHUNK = 256 };
    int left[CHUNK], right[CHUNK], column[CHUNK];
    float share[CHUNK];
    int nx = samples_per_pixel(x2 - x1, dw), ny = samples_per_pixel(y2 - y1, dh);
    double step_x = (x2 - x1) / ((double)dw * nx), step_y = (y2 - y1) / ((double)dh * ny);
    float scale = 1.0f / (255.0f * (float)nx * (float)ny);
    int64_t total = (int64_t)dw * nx;

    memset(dst, 0, (size_t)dw * (size_t)dh * sizeof *dst);
    for (int64_t start = 0; start < total; start += CHUNK) {
        int n = (int)(total - start < CHUNK ? total - start : CHUNK);
        for (int k = 0; k < n; k++) {
            sample_at(x1 + ((double)(start + k) + 0.5) * step_x - 0.5, sw, &left[k], &right[k],
                      &share[k]);
            column[k] = (int)((start + k) / nx);
        }
        for (int y = 0; y < dh; y++) {
            float *row = dst + (int64_t)y * dw;
            for (int j = 0; j < ny; j++) {
                int top, bottom;
                float down;
                sample_at(y1 + ((double)y * ny + j + 0.5) * step_y - 0.5, sh, &top, &bottom, &down);
                const uint8_t *p = src + (int64_t)top * sw, *q = src + (int64_t)bottom * sw;
                for (int k = 0; k < n; k++) {
                    float a = (float)p[left[k]] + share[k] * (float)(p[right[k]] - p[left[k]]);
                    float b = (float)q[left[k]] + share[k] * (float)(q[right[k]] - q[left[k]]);
                    row[column[k]] += a + down * (b - a);
                }
            }
        }
    }
    for (int64_t i = 0; i < (int64_t)dw * dh; i++) dst[i] *= scale;
}
