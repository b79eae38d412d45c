// Masks from pictures, .mat cells and .npy arrays, brought to one size.
#include "video/masks.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "core/check.h"
#include "core/file.h"
#include "core/mat.h"
#include "core/memory.h"
#include "core/npy.h"
#include "saccade/video.h"
#include "video/convert.h"
#include "video/ffmpeg.h"
#include "video/pictures.h"
#include "video/scale.h"

#define PICTURE_LIMIT ((size_t)1 << 28)

enum kind { PICTURES, OBJECTS, MAT, NPY };

struct sac_masks {
    enum kind kind;
    const sac_clip *clip;
    int width, height; // delivered
    bool own_size;     // of the first mask

    sac_pictures *pictures;
    AVFrame *frame;
    sac_mat *mat;
    sac_mat_matrix matrix;
    sac_npy_file *npy;
    float *slab;
    int slab_width, slab_height;
    sac_span *spans;
    int64_t span_count;
    sac_picture_decoder *decoder; // of pictures of objects
    char *object_prefix;          // "<folder>/<video>"

    uint8_t *raw; // the mask as it is, [raw_height][raw_width]
    int64_t room;
    int raw_width, raw_height;
    sac_scaler *scaler;
    int scaler_width, scaler_height;
};

static bool ends_in(const char *name, const char *ending) {
    const char *dot = strrchr(name, '.');
    return dot != NULL && strcasecmp(dot, ending) == 0;
}

static sac_status make_room(sac_masks *m, int64_t width, int64_t height, sac_error *error) {
    if (width < 1 || height < 1 || width > SAC_MAX_SIDE || height > SAC_MAX_SIDE)
        return sac_error_set(error, SAC_ERROR_FORMAT, -1,
                             "clip '%s': a mask of %lldx%lld px in '%s', expected sides of 1 to %d",
                             m->clip->name, (long long)width, (long long)height, m->clip->mask_path,
                             SAC_MAX_SIDE);
    m->raw_width = (int)width;
    m->raw_height = (int)height;
    if (m->room >= width * height) return SAC_OK;
    sac_free(m->raw);
    m->room = 0;
    m->raw = sac_calloc(width * height, 1);
    if (m->raw == NULL) return SAC_ERROR_MEMORY;
    m->room = width * height;
    return SAC_OK;
}

// The decoded picture m->frame as gray of its own size.
static sac_status take_picture(sac_masks *m, const char *path, sac_error *error) {
    sac_status status = SAC_OK;
    sac_converter *converter = NULL;
    SAC_TRY(make_room(m, m->frame->width, m->frame->height, error));
    SAC_TRY(sac_converter_create(&converter, m->raw_width, m->raw_height, 1));
    SAC_TRY(sac_converter_run(converter, m->raw, m->frame, path, error));
fail:
    sac_converter_close(&converter);
    return status;
}

static sac_status load_picture(sac_masks *m, int64_t t, sac_error *error) {
    sac_status status = SAC_OK;
    const char *path = sac_pictures_path(m->pictures, t);
    if (ends_in(path, ".jpg") || ends_in(path, ".jpeg"))
        SAC_TRY(sac_error_set(error, SAC_ERROR_FORMAT, t,
                              "'%s': masks must be exact, expected .bmp, .png, .tif or .pgm",
                              path));
    SAC_TRY(sac_pictures_decode(m->pictures, t, m->frame, error));
    SAC_TRY(take_picture(m, path, error));
    const int64_t pixels = (int64_t)m->raw_width * m->raw_height;
    for (int64_t i = 0; i < pixels; i++) m->raw[i] = m->raw[i] > 0;
fail:
    return status;
}

// Whether any object is abnormal in the frame.
static bool is_covered(const sac_masks *m, int64_t t) {
    for (int64_t i = 0; i < m->span_count; i++)
        if (t >= m->spans[i].first && t <= m->spans[i].last) return true;
    return false;
}

static char *object_path(const sac_masks *m, int64_t t) {
    return sac_format("%s_%04lld_gt.png", m->object_prefix, (long long)t);
}

// Objects of frame t, gray values as they are.
static sac_status decode_objects(sac_masks *m, int64_t t, sac_error *error) {
    sac_status status = SAC_OK;
    uint8_t *bytes = NULL;
    size_t size = 0;
    char *path = object_path(m, t);
    SAC_TRY_ALLOC(path);
    if (m->decoder == NULL) SAC_TRY(sac_picture_decoder_create(&m->decoder));
    SAC_TRY(sac_file_read(&bytes, &size, path, PICTURE_LIMIT, error));
    SAC_TRY(sac_picture_decoder_run(m->decoder, m->frame, bytes, size, path, error));
    SAC_TRY(take_picture(m, path, error));
fail:
    sac_free(path);
    sac_free(bytes);
    return status;
}

static void mark_abnormal(sac_masks *m, int64_t t) {
    bool abnormal[256] = {false};
    for (int64_t i = 0; i < m->span_count; i++)
        if (t >= m->spans[i].first && t <= m->spans[i].last) abnormal[m->spans[i].id] = true;
    const int64_t pixels = (int64_t)m->raw_width * m->raw_height;
    for (int64_t i = 0; i < pixels; i++) m->raw[i] = abnormal[m->raw[i]];
}

static sac_status bad_number(const sac_masks *m, int64_t t, sac_error *error) {
    return sac_error_set(error, SAC_ERROR_FORMAT, t,
                         "clip '%s', frame %lld: '%s' holds something that is not a finite number",
                         m->clip->name, (long long)t, m->clip->mask_path);
}

static sac_status load_cell(sac_masks *m, int64_t t, sac_error *error) {
    sac_status status = SAC_OK;
    SAC_TRY(sac_mat_read(m->mat, t, &m->matrix, error));
    SAC_TRY(make_room(m, m->matrix.cols, m->matrix.rows, error));
    const int64_t pixels = m->matrix.cols * m->matrix.rows;
    for (int64_t i = 0; i < pixels; i++) {
        const double x = m->matrix.data[i];
        if (!isfinite(x)) return bad_number(m, t, error);
        m->raw[i] = (uint8_t)(x > 0.0 || x < 0.0);
    }
fail:
    return status;
}

static sac_status load_slab(sac_masks *m, int64_t t, sac_error *error) {
    sac_status status = SAC_OK;
    SAC_TRY(sac_npy_read_slab(m->npy, t, m->slab, error));
    SAC_TRY(make_room(m, m->slab_width, m->slab_height, error));
    const int64_t pixels = (int64_t)m->slab_width * m->slab_height;
    for (int64_t i = 0; i < pixels; i++) {
        if (!isfinite(m->slab[i])) return bad_number(m, t, error);
        m->raw[i] = (uint8_t)(m->slab[i] > 0.0f || m->slab[i] < 0.0f);
    }
fail:
    return status;
}

// Frame t's mask, 0 or 1, of its own size in m->raw.
static sac_status load(sac_masks *m, int64_t t, sac_error *error) {
    sac_status status = SAC_OK;
    switch (m->kind) {
    case MAT:
        return load_cell(m, t, error);
    case NPY:
        return load_slab(m, t, error);
    case OBJECTS:
        if (!is_covered(m, t)) { // nothing to decode
            SAC_TRY(make_room(m, m->width, m->height, error));
            memset(m->raw, 0, (size_t)m->raw_width * (size_t)m->raw_height);
            return SAC_OK;
        }
        SAC_TRY(decode_objects(m, t, error));
        mark_abnormal(m, t);
        return SAC_OK;
    case PICTURES:
        return load_picture(m, t, error);
    }
fail:
    return status;
}

// Opening
// -------------------------------------------------------------------------------------------------

static sac_status wrong_count(const sac_masks *m, int64_t count, sac_error *error) {
    return sac_error_set(error, SAC_ERROR_FORMAT, count,
                         "clip '%s' has %lld frames, but '%s' holds %lld masks", m->clip->name,
                         (long long)m->clip->frames, m->clip->mask_path, (long long)count);
}

static sac_status open_npy(sac_masks *m, sac_error *error) {
    sac_status status = SAC_OK;
    int64_t dims[SAC_NPY_MAX_DIMS];
    SAC_TRY(sac_npy_open(&m->npy, m->clip->mask_path, error));
    const int ndims = sac_npy_shape(m->npy, dims);
    if (ndims != 3)
        SAC_TRY(sac_error_set(error, SAC_ERROR_FORMAT, -1,
                              "clip '%s': '%s' has %d dimensions, expected masks "
                              "[frames][height][width]",
                              m->clip->name, m->clip->mask_path, ndims));
    if (dims[0] != m->clip->frames) SAC_TRY(wrong_count(m, dims[0], error));
    if (dims[1] < 1 || dims[2] < 1 || dims[1] > SAC_MAX_SIDE || dims[2] > SAC_MAX_SIDE)
        SAC_TRY(make_room(m, dims[2], dims[1], error)); // reports it
    m->slab_height = (int)dims[1];
    m->slab_width = (int)dims[2];
    SAC_TRY_ALLOC(m->slab = sac_calloc(dims[1] * dims[2], sizeof *m->slab));
fail:
    return status;
}

static sac_status open_mat(sac_masks *m, sac_error *error) {
    sac_status status = SAC_OK;
    SAC_TRY(sac_mat_open(&m->mat, m->clip->mask_path, "volLabel", error));
    if (sac_mat_count(m->mat) != m->clip->frames)
        SAC_TRY(wrong_count(m, sac_mat_count(m->mat), error));
fail:
    return status;
}

// The folder holds <video>_%04d_gt.png for every frame in which something is abnormal.
static sac_status open_objects(sac_masks *m, sac_error *error) {
    sac_status status = SAC_OK;
    const sac_clip *clip = m->clip;
    char *path = NULL;
    SAC_TRY(
        sac_spans_read(&m->spans, &m->span_count, clip->objects, clip->name, clip->frames, error));
    const char *file = sac_path_last(clip->source), *dot = strrchr(file, '.');
    m->object_prefix = sac_format("%s/%.*s", clip->mask_path,
                                  (int)(dot != NULL ? dot - file : (ptrdiff_t)strlen(file)), file);
    SAC_TRY_ALLOC(m->object_prefix);
    for (int64_t t = 0; t < clip->frames; t++) {
        if (!is_covered(m, t)) continue;
        SAC_TRY_ALLOC(path = object_path(m, t));
        if (!sac_is_file(path))
            SAC_TRY(sac_error_set(error, SAC_ERROR_IO, t,
                                  "clip '%s' has no mask of frame %lld, in which '%s' marks an "
                                  "object: expected '%s'",
                                  clip->name, (long long)t, clip->objects, path));
        sac_free(path);
        path = NULL;
    }
fail:
    sac_free(path);
    return status;
}

static sac_status open_pictures(sac_masks *m, sac_error *error) {
    sac_status status = SAC_OK;
    SAC_TRY(sac_pictures_open(&m->pictures, m->clip->mask_path, error));
    if (sac_pictures_count(m->pictures) != m->clip->frames)
        SAC_TRY(wrong_count(m, sac_pictures_count(m->pictures), error));
fail:
    return status;
}

// Size of the first mask there is.
static sac_status measure(sac_masks *m, sac_error *error) {
    sac_status status = SAC_OK;
    int64_t first = 0;
    if (m->kind == OBJECTS) {
        while (first < m->clip->frames && !is_covered(m, first)) first++;
        if (first == m->clip->frames) { // none: the size of the frames will do
            sac_video *video = NULL;
            sac_video_info info;
            SAC_TRY(sac_video_open(&video, m->clip->source, NULL, error));
            sac_video_get_info(video, &info);
            sac_video_close(&video);
            m->width = info.source_width;
            m->height = info.source_height;
            return SAC_OK;
        }
    }
    SAC_TRY(load(m, first, error));
    m->width = m->raw_width;
    m->height = m->raw_height;
fail:
    return status;
}

sac_status sac_masks_open(sac_masks **masks, const sac_clip *clip, int width, int height,
                          sac_error *error) {
    sac_status status = SAC_OK;
    sac_masks *m = NULL;
    *masks = NULL;
    if (clip->mask_path == NULL)
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1, "clip '%s' has no pixel masks",
                             clip->name);
    if (width < 0 || height < 0 || width > SAC_MAX_SIDE || height > SAC_MAX_SIDE ||
        (width == 0) != (height == 0))
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "mask size %dx%d, expected 1x1 to %dx%d or 0x0", width, height,
                             SAC_MAX_SIDE, SAC_MAX_SIDE);
    SAC_TRY_ALLOC(m = sac_calloc(1, sizeof *m));
    m->clip = clip;
    m->width = width;
    m->height = height;
    SAC_TRY_ALLOC(m->frame = av_frame_alloc());
    if (clip->objects != NULL) {
        m->kind = OBJECTS;
        SAC_TRY(open_objects(m, error));
    } else if (ends_in(clip->mask_path, ".mat") && !sac_is_folder(clip->mask_path)) {
        m->kind = MAT;
        SAC_TRY(open_mat(m, error));
    } else if (ends_in(clip->mask_path, ".npy") && !sac_is_folder(clip->mask_path)) {
        m->kind = NPY;
        SAC_TRY(open_npy(m, error));
    } else {
        m->kind = PICTURES;
        SAC_TRY(open_pictures(m, error));
    }
    m->own_size = width == 0;
    if (m->own_size && clip->frames > 0) SAC_TRY(measure(m, error));
    *masks = m;
    return SAC_OK;
fail:
    sac_masks_close(&m);
    return sac_error_set(error, status, -1, "clip '%s': out of memory for its masks", clip->name);
}

void sac_masks_size(const sac_masks *masks, int *width, int *height) {
    *width = masks->width;
    *height = masks->height;
}

static sac_status check_frame(const sac_masks *m, int64_t frame, sac_error *error) {
    if (frame >= 0 && frame < m->clip->frames) return SAC_OK;
    return sac_error_set(error, SAC_ERROR_ARGUMENT, frame, "clip '%s': mask %lld of %lld",
                         m->clip->name, (long long)frame, (long long)m->clip->frames);
}

sac_status sac_masks_read(sac_masks *m, int64_t frame, uint8_t *mask, sac_error *error) {
    sac_status status = SAC_OK;
    SAC_TRY(check_frame(m, frame, error));
    SAC_TRY(load(m, frame, error));
    const int64_t pixels = (int64_t)m->raw_width * m->raw_height,
                  area = (int64_t)m->width * m->height;
    if (m->raw_width == m->width && m->raw_height == m->height) {
        memcpy(mask, m->raw, (size_t)area);
        return SAC_OK;
    }
    for (int64_t i = 0; i < pixels; i++) m->raw[i] = m->raw[i] > 0 ? 255 : 0;
    if (m->scaler == NULL || m->scaler_width != m->raw_width || m->scaler_height != m->raw_height) {
        sac_scaler_close(&m->scaler);
        SAC_TRY(sac_scaler_create(&m->scaler, m->raw_width, m->raw_height, m->width, m->height, 1));
        m->scaler_width = m->raw_width;
        m->scaler_height = m->raw_height;
    }
    sac_scaler_run(m->scaler, mask, m->raw);
    for (int64_t i = 0; i < area; i++) mask[i] = mask[i] >= 128;
fail:
    return status < 0 ? sac_error_set(error, status, frame,
                                      "clip '%s': out of memory for its masks", m->clip->name)
                      : SAC_OK;
}

const sac_span *sac_masks_spans(const sac_masks *masks, int64_t *count) {
    *count = masks->span_count;
    return masks->kind == OBJECTS ? masks->spans : NULL;
}

sac_status sac_masks_read_objects(sac_masks *m, int64_t frame, uint8_t *ids, sac_error *error) {
    sac_status status = SAC_OK;
    if (m->kind != OBJECTS || !m->own_size)
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "clip '%s': its masks do not tell objects apart, or are scaled",
                             m->clip->name);
    SAC_TRY(check_frame(m, frame, error));
    if (!is_covered(m, frame)) {
        memset(ids, 0, (size_t)m->width * (size_t)m->height);
        return SAC_OK;
    }
    SAC_TRY(decode_objects(m, frame, error));
    if (m->raw_width != m->width || m->raw_height != m->height)
        SAC_TRY(sac_error_set(error, SAC_ERROR_FORMAT, frame,
                              "clip '%s': mask %lld is of %dx%d px, those before of %dx%d",
                              m->clip->name, (long long)frame, m->raw_width, m->raw_height,
                              m->width, m->height));
    memcpy(ids, m->raw, (size_t)m->width * (size_t)m->height);
fail:
    return status < 0 ? sac_error_set(error, status, frame,
                                      "clip '%s': out of memory for its masks", m->clip->name)
                      : SAC_OK;
}

void sac_masks_close(sac_masks **masks) {
    if (masks == NULL || *masks == NULL) return;
    sac_masks *m = *masks;
    sac_pictures_close(&m->pictures);
    sac_picture_decoder_close(&m->decoder);
    av_frame_free(&m->frame);
    sac_mat_close(&m->mat);
    sac_mat_matrix_close(&m->matrix);
    sac_npy_file_close(&m->npy);
    sac_free(m->slab);
    sac_free(m->spans);
    sac_free(m->object_prefix);
    sac_free(m->raw);
    sac_scaler_close(&m->scaler);
    sac_free(m);
    *masks = NULL;
}
