// Dims and strides of plain (unblocked) memory descriptors, and views that permute or reshape a
// buffer without moving a byte. Used by the operators that only rename axes. Header-only; computes
// nothing on tensor data.
#ifndef SAC_NN_STRIDES_H
#define SAC_NN_STRIDES_H

#include <string.h>

#include "nn/build.h"
#include "nn/op.h"

// Plain layout of one buffer: element (i0..) is at sum i_d * strides[d] floats.
typedef struct sac_strides {
    int ndims;
    dnnl_dims_t dims, strides; // oneDNN's longer arrays, so that they can be handed over
} sac_strides;

// Strides of a row-major tensor of that shape.
static inline sac_strides sac_strides_row_major(const sac_shape *shape) {
    sac_strides s = {.ndims = shape->ndims};
    int64_t step = 1;
    for (int d = shape->ndims - 1; d >= 0; d--) {
        s.dims[d] = shape->dims[d];
        s.strides[d] = step;
        step *= shape->dims[d];
    }
    return s;
}

// Strides of [N][C][space...] stored channels-last.
static inline sac_strides sac_strides_channels_last(const sac_shape *shape) {
    sac_strides s = {.ndims = shape->ndims};
    int64_t step = 1;
    for (int i = 0; i < shape->ndims; i++) {
        // Physical order from the innermost axis: C, last space axis, ..., N.
        int d = shape->ndims == 1 ? 0 : i == 0 ? 1 : i == shape->ndims - 1 ? 0 : shape->ndims - i;
        s.dims[d] = shape->dims[d];
        s.strides[d] = step;
        step *= shape->dims[d];
    }
    return s;
}

// Same place for every element; strides of axes of size 1 mean nothing.
static inline bool sac_strides_equal(const sac_strides *a, const sac_strides *b) {
    if (a->ndims != b->ndims) return false;
    for (int d = 0; d < a->ndims; d++) {
        if (a->dims[d] != b->dims[d]) return false;
        if (a->dims[d] > 1 && a->strides[d] != b->strides[d]) return false;
    }
    return true;
}

// Reads a descriptor; false when it is blocked, padded or a window into something larger, that is,
// when strides do not say it all.
static inline bool sac_strides_of(sac_strides *s, const_dnnl_memory_desc_t md) {
    int32_t ndims = 0;
    int blocks = 0;
    int64_t offset = 0, count = 1;
    dnnl_dims_t *dims = NULL, *strides = NULL;
    if (dnnl_memory_desc_query(md, dnnl_query_ndims_s32, &ndims) != dnnl_success ||
        dnnl_memory_desc_query(md, dnnl_query_inner_nblks_s32, &blocks) != dnnl_success ||
        dnnl_memory_desc_query(md, dnnl_query_submemory_offset_s64, &offset) != dnnl_success ||
        dnnl_memory_desc_query(md, dnnl_query_dims, (void *)&dims) != dnnl_success ||
        dnnl_memory_desc_query(md, dnnl_query_strides, (void *)&strides) != dnnl_success)
        return false;
    if (ndims < 1 || ndims > SAC_MAX_DIMS || blocks != 0 || offset != 0 || !dims || !strides)
        return false;
    *s = (sac_strides){.ndims = ndims};
    for (int d = 0; d < ndims; d++) {
        s->dims[d] = (*dims)[d];
        s->strides[d] = (*strides)[d];
        count *= s->dims[d];
    }
    return dnnl_memory_desc_get_size(md) == (size_t)count * sizeof(float);
}

// Descriptor of these strides, written canonically where axes of size 1 leave a choice, because
// oneDNN picks kernels by the exact tag. The caller destroys it.
SAC_NODISCARD static inline sac_status sac_strides_md(dnnl_memory_desc_t *md, const sac_strides *s,
                                                      sac_error *error) {
    sac_shape shape = {.ndims = s->ndims};
    memcpy(shape.dims, s->dims, sizeof shape.dims);
    sac_strides row_major = sac_strides_row_major(&shape);
    sac_strides channels_last = sac_strides_channels_last(&shape);
    const sac_strides *use = sac_strides_equal(s, &row_major)       ? &row_major
                             : sac_strides_equal(s, &channels_last) ? &channels_last
                                                                    : s;
    return sac_dnnl_status(
        dnnl_memory_desc_create_with_strides(md, use->ndims, use->dims, dnnl_f32, use->strides),
        "memory descriptor by strides", error);
}

// `*out` is src, or a channels-first copy of it when its layout cannot be described by strides; `s`
// receives the strides of `*out`.
SAC_NODISCARD static inline sac_status sac_strides_plain(sac_build *build, sac_buffer src,
                                                         const sac_shape *shape, sac_buffer *out,
                                                         sac_strides *s, sac_error *error) {
    *out = src;
    if (sac_strides_of(s, sac_build_buffer_md(build, src))) return SAC_OK;
    *s = sac_strides_row_major(shape);
    return sac_build_layout(build, src, shape, SAC_LAYOUT_CHANNELS_FIRST, out, error);
}

// The same memory under other dims and strides.
SAC_NODISCARD static inline sac_status sac_strides_view(sac_build *build, sac_buffer src,
                                                        const sac_strides *s, sac_buffer *out,
                                                        sac_error *error) {
    dnnl_memory_desc_t md = NULL;
    sac_status status = sac_strides_md(&md, s, error);
    if (status == SAC_OK) status = sac_build_view(build, src, md, out, error);
    if (md) dnnl_memory_desc_destroy(md);
    return status;
}

// View with axis d of the result being axis order[d] of src, whose shape is `shape`.
SAC_NODISCARD static inline sac_status sac_strides_permuted(sac_build *build, sac_buffer src,
                                                            const sac_shape *shape,
                                                            const int *order, sac_buffer *out,
                                                            sac_error *error) {
    sac_strides from, to;
    sac_status status = sac_strides_plain(build, src, shape, &src, &from, error);
    if (status < 0) return status;
    to.ndims = from.ndims;
    for (int d = 0; d < from.ndims; d++) {
        to.dims[d] = from.dims[order[d]];
        to.strides[d] = from.strides[order[d]];
    }
    return sac_strides_view(build, src, &to, out, error);
}

// Strides under which the memory of `from` reads as shape `to` in row-major order of elements;
// false when no such strides exist (data must move).
static inline bool sac_strides_reshape(sac_strides *out, const sac_strides *from,
                                       const sac_shape *to) {
    // Axes of size 1 are dropped; then runs of old axes are matched with runs of new axes of equal
    // product. Inside an old run each stride must continue the next one, then the new axes of the
    // run take row-major strides on top of the run's innermost stride.
    int64_t dims[SAC_MAX_DIMS] = {0}, strides[SAC_MAX_DIMS] = {0};
    int n = 0;
    for (int d = 0; d < from->ndims; d++) {
        if (from->dims[d] == 1) continue;
        dims[n] = from->dims[d];
        strides[n++] = from->strides[d];
    }
    *out = sac_strides_row_major(to);
    int i = 0, j = 0;
    while (i < n && j < to->ndims) {
        int i_end = i + 1, j_end = j + 1;
        int64_t old_count = dims[i], new_count = to->dims[j];
        while (old_count != new_count) {
            if (old_count < new_count) {
                if (i_end == n) return false;
                old_count *= dims[i_end++];
            } else {
                if (j_end == to->ndims) return false;
                new_count *= to->dims[j_end++];
            }
        }
        for (int k = i; k + 1 < i_end; k++)
            if (strides[k] != dims[k + 1] * strides[k + 1]) return false;
        int64_t step = strides[i_end - 1];
        for (int k = j_end - 1; k >= j; k--) {
            out->strides[k] = step;
            step *= to->dims[k];
        }
        i = i_end;
        j = j_end;
    }
    return true; // what is left on either side are axes of size 1
}

// `*out` is src read as shape `to` in channels-first order of elements: a view when the strides
// allow it, else a view of a channels-first copy.
SAC_NODISCARD static inline sac_status sac_strides_reshaped(sac_build *build, sac_buffer src,
                                                            const sac_shape *from,
                                                            const sac_shape *to, sac_buffer *out,
                                                            sac_error *error) {
    sac_strides old, view;
    sac_status status = sac_strides_plain(build, src, from, &src, &old, error);
    if (status < 0) return status;
    if (!sac_strides_reshape(&view, &old, to)) {
        status = sac_build_layout(build, src, from, SAC_LAYOUT_CHANNELS_FIRST, &src, error);
        if (status < 0) return status;
        view = sac_strides_row_major(to);
    }
    return sac_strides_view(build, src, &view, out, error);
}

// Dense strides of `shape` with the physical order of axes that `like` has.
static inline sac_strides sac_strides_like(const sac_strides *like, const sac_shape *shape) {
    sac_strides s = {.ndims = shape->ndims};
    bool placed[SAC_MAX_DIMS] = {false};
    int64_t step = 1;
    for (int i = 0; i < shape->ndims; i++) {
        int best = -1;
        // Innermost axis not yet placed: smallest stride, for equal ones (sizes of 1) the later
        // axis.
        for (int d = shape->ndims - 1; d >= 0; d--) {
            if (!placed[d] && (best < 0 || like->strides[d] < like->strides[best])) best = d;
        }
        placed[best] = true;
        s.dims[best] = shape->dims[best];
        s.strides[best] = step;
        step *= shape->dims[best];
    }
    return s;
}

// Physical order of axes that a copying kernel works in: that of `buffer`, or the plan's default
// for layouts without plain strides.
static inline sac_strides sac_strides_order(const sac_build *build, sac_buffer buffer,
                                            const sac_shape *shape) {
    sac_strides s;
    if (sac_strides_of(&s, sac_build_buffer_md(build, buffer))) return s;
    bool last = shape->ndims > 3 && sac_build_default_layout(build) == SAC_LAYOUT_CHANNELS_LAST;
    return last ? sac_strides_channels_last(shape) : sac_strides_row_major(shape);
}

// True when the implementation oneDNN chose is its plain reference, which operators avoid.
static inline bool sac_pd_is_ref(const_dnnl_primitive_desc_t pd) {
    const char *name = NULL;
    if (dnnl_primitive_desc_query(pd, dnnl_query_impl_info_str, 0, (void *)&name) != dnnl_success ||
        !name)
        return false;
    return strncmp(name, "ref", 3) == 0;
}

#endif
