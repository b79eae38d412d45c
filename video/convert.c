// Pixel formats to packed gray or RGB. The common case, gray out of 8-bit YUV, reads the luma plane
// where it lies; everything unusual goes through libswscale at the source's size. Scaling is always
// our own.
#include "video/convert.h"

#include <string.h>

#include <libavutil/pixdesc.h>
#include <libswscale/swscale.h>

#include "core/check.h"
#include "core/memory.h"
#include "video/bt601.h"
#include "video/ffmpeg.h"
#include "video/scale.h"

struct sac_converter {
    int width, height, channels;
    sac_scaler *scaler; // from source_width x source_height with scaler_channels
    int source_width, source_height, scaler_channels;
    sac_luma_store plane; // when luma does not lie ready in the frame
    uint8_t *rgb;         // source-sized RGB out of libswscale
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
    sac_luma_store_free(&(*converter)->plane);
    sac_free((*converter)->rgb);
    sws_freeContext((*converter)->sws);
    sac_free(*converter);
    *converter = NULL;
}

void sac_luma_store_free(sac_luma_store *store) {
    sac_free(store->bytes);
    *store = (sac_luma_store){0};
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

enum layout {
    LAYOUT_LUMA,       // gray or YUV, luma samples of 8 to 16 bits in whole bytes
    LAYOUT_RGB,        // 8-bit samples, packed or planar
    LAYOUT_PALETTE,    // 8-bit index
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
    if (y->depth > 8 && y->depth <= 16 && y->depth + y->shift <= 16 && y->step % 2 == 0 &&
        y->offset % 2 == 0)
        return LAYOUT_LUMA;
    return LAYOUT_CONVERTIBLE;
}

static void gray_of_luma(uint8_t *dst, const AVFrame *f, const AVPixFmtDescriptor *d) {
    const AVComponentDescriptor *c = &d->comp[0];
    const bool swapped =
        ((d->flags & AV_PIX_FMT_FLAG_BE) != 0) != (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__);
    for (int y = 0; y < f->height; y++, dst += f->width) {
        const uint8_t *p = f->data[c->plane] + (ptrdiff_t)y * f->linesize[c->plane] + c->offset;
        if (c->depth == 8) {
            for (int x = 0; x < f->width; x++, p += c->step) dst[x] = *p;
        } else {
            uint32_t mask = (1u << c->depth) - 1, half = 1u << (c->depth - 9);
            for (int x = 0; x < f->width; x++, p += c->step) {
                uint16_t word;
                memcpy(&word, p, sizeof word);
                if (swapped) word = (uint16_t)(word << 8 | word >> 8);
                uint32_t v = (((uint32_t)word >> c->shift & mask) + half) >> (c->depth - 8);
                dst[x] = (uint8_t)(v < 255 ? v : 255);
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
            *dst++ = sac_bt601_luma(*p[0], *p[1], *p[2]);
            for (int k = 0; k < 3; k++) p[k] += c[k].step;
        }
    }
}

static void gray_of_palette(uint8_t *dst, const AVFrame *f) {
    uint8_t gray[256];
    for (int i = 0; i < 256; i++) {
        uint32_t v; // 0xAARRGGBB in this machine's byte order
        memcpy(&v, f->data[1] + 4 * i, sizeof v);
        gray[i] = sac_bt601_luma(v >> 16 & 255, v >> 8 & 255, v & 255);
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

// The scaler from pictures of a size and kind to the converter's size.
static sac_status fit_scaler(sac_converter *c, int width, int height, int channels) {
    if (c->scaler != NULL && c->source_width == width && c->source_height == height &&
        c->scaler_channels == channels)
        return SAC_OK;
    sac_scaler_close(&c->scaler);
    sac_status status = sac_scaler_create(&c->scaler, width, height, c->width, c->height, channels);
    if (status < 0) return status;
    c->source_width = width;
    c->source_height = height;
    c->scaler_channels = channels;
    return SAC_OK;
}

static sac_status deliver_rgb(sac_converter *c, uint8_t *dst, const uint8_t *src, ptrdiff_t stride,
                              const AVFrame *f) {
    sac_status status = fit_scaler(c, f->width, f->height, 3);
    if (status == SAC_OK) sac_scaler_run_rows(c->scaler, dst, src, stride);
    return status;
}

sac_status sac_converter_gray(sac_converter *c, uint8_t *dst, const sac_luma *luma) {
    sac_status status = fit_scaler(c, luma->width, luma->height, 1);
    if (status < 0) return status;
    if (luma->full_range)
        sac_scaler_run_rows(c->scaler, dst, luma->data, luma->stride);
    else
        sac_scaler_run_limited(c->scaler, dst, luma->data, luma->stride);
    return SAC_OK;
}

static sac_status check_frame(const AVFrame *f, const AVPixFmtDescriptor *d, const char *name,
                              sac_error *error) {
    if (d == NULL || (d->flags & AV_PIX_FMT_FLAG_HWACCEL) != 0 || f->data[0] == NULL)
        return sac_error_set(error, SAC_ERROR_UNSUPPORTED, -1,
                             "%s: pixel format %s is not supported", name,
                             d != NULL ? d->name : "unknown");
    if (f->width < 1 || f->height < 1 || f->width > SAC_MAX_SIDE || f->height > SAC_MAX_SIDE)
        return sac_error_set(error, SAC_ERROR_FORMAT, -1,
                             "%s: frame of %dx%d px, expected 1x1 to %dx%d", name, f->width,
                             f->height, SAC_MAX_SIDE, SAC_MAX_SIDE);
    return SAC_OK;
}

// Luma of a picture whose samples have to be converted, into `plane` [height][width].
static sac_status make_plane(sac_converter *c, uint8_t *plane, const AVFrame *f,
                             const AVPixFmtDescriptor *d, const char *name, sac_error *error) {
    sac_status status = SAC_OK;
    ptrdiff_t row;
    switch (layout_of(d)) {
    case LAYOUT_LUMA:
        gray_of_luma(plane, f, d);
        break;
    case LAYOUT_RGB:
        gray_of_rgb(plane, f, d);
        break;
    case LAYOUT_PALETTE:
        gray_of_palette(plane, f);
        break;
    case LAYOUT_CONVERTIBLE:
        SAC_TRY(convert_rgb(c, &row, f, is_full_range(f, d), name, error));
        for (int y = 0; y < f->height; y++) {
            const uint8_t *p = c->rgb + y * row;
            uint8_t *out = plane + (int64_t)y * f->width;
            for (int x = 0; x < f->width; x++, p += 3) out[x] = sac_bt601_luma(p[0], p[1], p[2]);
        }
        break;
    }
fail:
    return status;
}

sac_status sac_converter_luma(sac_converter *c, sac_luma *luma, sac_luma_store *store,
                              const AVFrame *f, const char *name, sac_error *error) {
    sac_status status = SAC_OK;
    const AVPixFmtDescriptor *d = av_pix_fmt_desc_get(f->format);
    SAC_TRY(check_frame(f, d, name, error));
    const AVComponentDescriptor *y = &d->comp[0];
    bool is_luma = layout_of(d) == LAYOUT_LUMA;
    *luma = (sac_luma){
        .width = f->width, .height = f->height, .full_range = !is_luma || is_full_range(f, d)};
    if (is_luma && y->depth == 8 && y->step == 1) {
        luma->data = f->data[y->plane] + y->offset;
        luma->stride = f->linesize[y->plane];
    } else {
        SAC_TRY(reserve(&store->bytes, &store->size, (int64_t)f->width * f->height));
        SAC_TRY(make_plane(c, store->bytes, f, d, name, error));
        luma->data = store->bytes;
        luma->stride = f->width;
    }
fail:
    if (status == SAC_ERROR_MEMORY)
        sac_error_set(error, status, -1, "%s: out of memory for a frame of %dx%d px", name,
                      f->width, f->height);
    return status;
}

sac_status sac_converter_run(sac_converter *c, uint8_t *dst, const AVFrame *f, const char *name,
                             sac_error *error) {
    sac_status status = SAC_OK;
    const AVPixFmtDescriptor *d = av_pix_fmt_desc_get(f->format);
    SAC_TRY(check_frame(f, d, name, error));
    bool is_gray = d->nb_components <= 2 && layout_of(d) == LAYOUT_LUMA;
    if (c->channels == 1 || is_gray) {
        sac_luma luma;
        SAC_TRY(sac_converter_luma(c, &luma, &c->plane, f, name, error));
        SAC_TRY(sac_converter_gray(c, dst, &luma));
        if (c->channels == 3)
            for (int64_t i = (int64_t)c->width * c->height - 1; i >= 0;
                 i--) // in place, from the end
                dst[3 * i] = dst[3 * i + 1] = dst[3 * i + 2] = dst[i];
    } else if (f->format == AV_PIX_FMT_RGB24) {
        SAC_TRY(deliver_rgb(c, dst, f->data[0], f->linesize[0], f));
    } else {
        ptrdiff_t row = 0;
        SAC_TRY(convert_rgb(c, &row, f, is_full_range(f, d), name, error));
        SAC_TRY(deliver_rgb(c, dst, c->rgb, row, f));
    }
fail:
    if (status == SAC_ERROR_MEMORY)
        sac_error_set(error, status, -1, "%s: out of memory for a frame of %dx%d px", name,
                      f->width, f->height);
    return status;
}
