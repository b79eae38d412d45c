// Pixel formats to packed gray or RGB. The common case, gray out of 8-bit YUV, reads the luma plane
// where it lies; everything unusual goes through libswscale at the source's size. Scaling is always
// our own.
#include "video/convert.h"

#include <string.h>

#include <libavutil/pixdesc.h>
#include <libswscale/swscale.h>

#include "core/check.h"
#include "core/clones.h"
#include "core/memory.h"
#include "video/ffmpeg.h"
#include "video/scale.h"

struct sac_converter {
    int width, height, channels;
    sac_scaler *scaler; // from source_width x source_height with scaler_channels
    int source_width, source_height, scaler_channels;
    uint8_t *plane; // source-sized gray, when luma does not lie packed in the frame
    int64_t plane_bytes;
    uint8_t *rgb; // source-sized RGB out of libswscale
    int64_t rgb_bytes;
    struct SwsContext *sws;
};

sac_status sac_converter_create(sac_converter **converter, int width, int height, int channels) {
    sac_converter *c = sac_calloc(1, sizeof *c);
    *converter = c;
    if (c == NULL) return SAC_ERROR_MEMORY;
    c->width = width;
    c->height = height;
    c->channels = channels;
    return SAC_OK;
}

void sac_converter_close(sac_converter **converter) {
    if (converter == NULL || *converter == NULL) return;
    sac_scaler_close(&(*converter)->scaler);
    sac_free((*converter)->plane);
    sac_free((*converter)->rgb);
    sws_freeContext((*converter)->sws);
    sac_free(*converter);
    *converter = NULL;
}

static sac_status reserve(uint8_t **block, int64_t *have, int64_t bytes) {
    if (*have >= bytes) return SAC_OK;
    uint8_t *fresh = sac_calloc(bytes, 1);
    if (fresh == NULL) return SAC_ERROR_MEMORY;
    sac_free(*block);
    *block = fresh;
    *have = bytes;
    return SAC_OK;
}

// Is a decoder's picture full range? Gray formats are by FFmpeg's convention unless they say
// otherwise.
static bool is_full_range(const AVFrame *f, const AVPixFmtDescriptor *d) {
    if (f->color_range == AVCOL_RANGE_JPEG) return true;
    switch (f->format) {
    case AV_PIX_FMT_YUVJ411P:
    case AV_PIX_FMT_YUVJ420P:
    case AV_PIX_FMT_YUVJ422P:
    case AV_PIX_FMT_YUVJ440P:
    case AV_PIX_FMT_YUVJ444P:
        return true;
    default:
        return d->nb_components <= 2 && f->color_range != AVCOL_RANGE_MPEG;
    }
}

// v <- 255 (v - 16) / 219 rounded, clipped to 0..255; in 16 bits as v + 36 v / 219, with 43092 /
// 2^18 for 36 / 219.
SAC_CLONES_INTEGER static void stretch_range(uint8_t *pixels, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        uint16_t v = (uint16_t)((pixels[i] > 16 ? pixels[i] : 16) - 16);
        uint16_t rest = (uint16_t)((uint32_t)(uint16_t)(v << 8) * 43092u >> 16);
        v = (uint16_t)(v + (uint16_t)((uint16_t)(rest + 512) >> 10));
        pixels[i] = (uint8_t)(v < 255 ? v : 255);
    }
}

static uint8_t luma_of(int r, int g, int b) {
    return (uint8_t)((19595 * r + 38470 * g + 7471 * b + 32768) >> 16); // weights sum to 65536
}

enum layout {
    LAYOUT_LUMA,    // gray or YUV, whole-byte luma samples of 8 to 16 bits in this machine's byte
                    // order
    LAYOUT_RGB,     // 8-bit samples, packed or planar
    LAYOUT_PALETTE, // 8-bit index
    LAYOUT_CONVERTIBLE // only through libswscale
};

static enum layout layout_of(const AVPixFmtDescriptor *d) {
    const AVComponentDescriptor *y = &d->comp[0];
    uint64_t odd = AV_PIX_FMT_FLAG_BITSTREAM | AV_PIX_FMT_FLAG_HWACCEL | AV_PIX_FMT_FLAG_BAYER |
                   AV_PIX_FMT_FLAG_FLOAT;
    if ((d->flags & odd) != 0 || strncmp(d->name, "xyz", 3) == 0) return LAYOUT_CONVERTIBLE;
    if ((d->flags & AV_PIX_FMT_FLAG_PAL) != 0) return LAYOUT_PALETTE;
    if ((d->flags & AV_PIX_FMT_FLAG_RGB) != 0)
        return d->nb_components >= 3 && y->depth == 8 && d->comp[1].depth == 8 &&
                       d->comp[2].depth == 8 && y->shift == 0
                   ? LAYOUT_RGB
                   : LAYOUT_CONVERTIBLE;
    if (y->depth == 8 && y->shift == 0) return LAYOUT_LUMA;
    bool swapped =
        ((d->flags & AV_PIX_FMT_FLAG_BE) != 0) != (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__);
    if (y->depth > 8 && y->depth <= 16 && y->depth + y->shift <= 16 && y->step % 2 == 0 &&
        y->offset % 2 == 0 && !swapped)
        return LAYOUT_LUMA;
    return LAYOUT_CONVERTIBLE;
}

static void gray_of_luma(uint8_t *dst, const AVFrame *f, const AVPixFmtDescriptor *d) {
    const AVComponentDescriptor *c = &d->comp[0];
    for (int y = 0; y < f->height; y++, dst += f->width) {
        const uint8_t *p = f->data[c->plane] + (ptrdiff_t)y * f->linesize[c->plane] + c->offset;
        if (c->depth == 8) {
            for (int x = 0; x < f->width; x++, p += c->step) dst[x] = *p;
        } else {
            int down = c->shift + c->depth - 8;
            for (int x = 0; x < f->width; x++, p += c->step) {
                uint16_t v;
                memcpy(&v, p, sizeof v);
                dst[x] = (uint8_t)(v >> down);
            }
        }
    }
}

static void gray_of_rgb(uint8_t *dst, const AVFrame *f, const AVPixFmtDescriptor *d) {
    const AVComponentDescriptor *c = d->comp;
    for (int y = 0; y < f->height; y++) {
        const uint8_t *p[3];
        for (int k = 0; k < 3; k++)
            p[k] = f->data[c[k].plane] + (ptrdiff_t)y * f->linesize[c[k].plane] + c[k].offset;
        for (int x = 0; x < f->width; x++) {
            *dst++ = luma_of(*p[0], *p[1], *p[2]);
            for (int k = 0; k < 3; k++) p[k] += c[k].step;
        }
    }
}

static void gray_of_palette(uint8_t *dst, const AVFrame *f) {
    uint8_t gray[256];
    for (int i = 0; i < 256; i++) {
        uint32_t v; // 0xAARRGGBB in this machine's byte order
        memcpy(&v, f->data[1] + 4 * i, sizeof v);
        gray[i] = luma_of((int)(v >> 16 & 255), (int)(v >> 8 & 255), (int)(v & 255));
    }
    for (int y = 0; y < f->height; y++) {
        const uint8_t *p = f->data[0] + (ptrdiff_t)y * f->linesize[0];
        for (int x = 0; x < f->width; x++) *dst++ = gray[p[x]];
    }
}

// The frame as RGB24 of its own size in c->rgb, rows *stride bytes apart.
static sac_status convert_rgb(sac_converter *c, ptrdiff_t *stride, const AVFrame *f, bool full,
                              const char *name, sac_error *error) {
    sac_status status = SAC_OK;
    int64_t row =
        ((int64_t)f->width * 3 + 127) / 64 * 64; // libswscale may write past the end of a row
    SAC_TRY(reserve(&c->rgb, &c->rgb_bytes, row * (f->height + 1)));
    c->sws = sws_getCachedContext(
        c->sws, f->width, f->height, f->format, f->width, f->height, AV_PIX_FMT_RGB24,
        SWS_BILINEAR | SWS_ACCURATE_RND | SWS_FULL_CHR_H_INT | SWS_BITEXACT, NULL, NULL, NULL);
    if (c->sws == NULL)
        return sac_error_set(error, SAC_ERROR_UNSUPPORTED, -1,
                             "%s: pixel format %s of size %dx%d cannot be converted", name,
                             av_get_pix_fmt_name(f->format), f->width, f->height);
    int matrix = f->colorspace == AVCOL_SPC_UNSPECIFIED ? SWS_CS_DEFAULT : (int)f->colorspace;
    (void)sws_setColorspaceDetails(c->sws, sws_getCoefficients(matrix), full,
                                   sws_getCoefficients(SWS_CS_DEFAULT), 1, 0, 1 << 16, 1 << 16);
    uint8_t *planes[4] = {c->rgb};
    int strides[4] = {(int)row};
    int code = sws_scale(c->sws, (const uint8_t *const *)f->data, f->linesize, 0, f->height, planes,
                         strides);
    if (code < 0) return sac_ffmpeg_error(error, code, -1, "%s: conversion to RGB", name);
    *stride = row;
fail:
    return status;
}

// Source rows to dst, scaled when the sizes differ.
static sac_status deliver(sac_converter *c, uint8_t *dst, const uint8_t *src, ptrdiff_t stride,
                          const AVFrame *f, int channels) {
    if (c->scaler == NULL || c->source_width != f->width || c->source_height != f->height ||
        c->scaler_channels != channels) {
        sac_scaler_close(&c->scaler);
        sac_status status =
            sac_scaler_create(&c->scaler, f->width, f->height, c->width, c->height, channels);
        if (status < 0) return status;
        c->source_width = f->width;
        c->source_height = f->height;
        c->scaler_channels = channels;
    }
    sac_scaler_run_rows(c->scaler, dst, src, stride);
    return SAC_OK;
}

static sac_status deliver_gray(sac_converter *c, uint8_t *dst, const AVFrame *f,
                               const AVPixFmtDescriptor *d, const char *name, sac_error *error) {
    sac_status status = SAC_OK;
    enum layout layout = layout_of(d);
    const AVComponentDescriptor *luma = &d->comp[0];
    bool full = is_full_range(f, d), stretch = false;
    const uint8_t *src;
    ptrdiff_t stride = f->width;
    if (layout == LAYOUT_LUMA && luma->depth == 8 && luma->step == 1) {
        src = f->data[luma->plane] + luma->offset;
        stride = f->linesize[luma->plane];
        stretch = !full;
    } else {
        SAC_TRY(reserve(&c->plane, &c->plane_bytes, (int64_t)f->width * f->height));
        src = c->plane;
        if (layout == LAYOUT_LUMA) {
            gray_of_luma(c->plane, f, d);
            stretch = !full;
        } else if (layout == LAYOUT_RGB) {
            gray_of_rgb(c->plane, f, d);
        } else if (layout == LAYOUT_PALETTE) {
            gray_of_palette(c->plane, f);
        } else {
            ptrdiff_t row;
            SAC_TRY(convert_rgb(c, &row, f, full, name, error));
            for (int y = 0; y < f->height; y++) {
                const uint8_t *p = c->rgb + y * row;
                uint8_t *out = c->plane + (int64_t)y * f->width;
                for (int x = 0; x < f->width; x++, p += 3) out[x] = luma_of(p[0], p[1], p[2]);
            }
        }
    }
    SAC_TRY(deliver(c, dst, src, stride, f, 1));
    if (stretch) stretch_range(dst, (int64_t)c->width * c->height);
fail:
    return status;
}

sac_status sac_converter_run(sac_converter *c, uint8_t *dst, const AVFrame *f, const char *name,
                             sac_error *error) {
    sac_status status = SAC_OK;
    const AVPixFmtDescriptor *d = av_pix_fmt_desc_get(f->format);
    if (d == NULL || (d->flags & AV_PIX_FMT_FLAG_HWACCEL) != 0 || f->data[0] == NULL)
        SAC_TRY(sac_error_set(error, SAC_ERROR_UNSUPPORTED, -1,
                              "%s: pixel format %s is not supported", name,
                              d != NULL ? d->name : "unknown"));
    if (f->width < 1 || f->height < 1 || f->width > SAC_MAX_SIDE || f->height > SAC_MAX_SIDE)
        SAC_TRY(sac_error_set(error, SAC_ERROR_FORMAT, -1,
                              "%s: frame of %dx%d px, expected 1x1 to %dx%d", name, f->width,
                              f->height, SAC_MAX_SIDE, SAC_MAX_SIDE));
    if (c->channels == 1) {
        SAC_TRY(deliver_gray(c, dst, f, d, name, error));
    } else if (d->nb_components <= 2 && layout_of(d) == LAYOUT_LUMA) {
        SAC_TRY(deliver_gray(c, dst, f, d, name, error));
        for (int64_t i = (int64_t)c->width * c->height - 1; i >= 0; i--) // in place, from the end
            dst[3 * i] = dst[3 * i + 1] = dst[3 * i + 2] = dst[i];
    } else if (f->format == AV_PIX_FMT_RGB24) {
        SAC_TRY(deliver(c, dst, f->data[0], f->linesize[0], f, 3));
    } else {
        ptrdiff_t row = 0;
        SAC_TRY(convert_rgb(c, &row, f, is_full_range(f, d), name, error));
        SAC_TRY(deliver(c, dst, c->rgb, row, f, 3));
    }
fail:
    if (status == SAC_ERROR_MEMORY)
        sac_error_set(error, status, -1, "%s: out of memory for a frame of %dx%d px", name,
                      f->width, f->height);
    return status;
}
