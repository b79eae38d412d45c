// make-layouts: writes a data set in UCSD layout once more in another layout, with the same pixels,
// masks and labels, so that tools can be tested on each. Not installed.
#include <matio.h>
#include <stdio.h>
#include <string.h>

#include "core/check.h"
#include "core/file.h"
#include "core/memory.h"
#include "core/spill.h"
#include "video/dataset.h"
#include "video/picture.h"

typedef struct clip_data {
    const sac_clip *clip;
    uint8_t *pixels, *masks; // [frames][h][w]
    int w, h;
} clip_data;

static sac_status save(const char *path, const void *bytes, size_t size, sac_error *error) {
    char *folder = sac_format("%.*s", (int)(strrchr(path, '/') - path), path);
    sac_status status = sac_folder_create(folder, error);
    if (status >= 0 && bytes != NULL) status = sac_file_save(path, bytes, size, error);
    sac_free(folder);
    return status;
}

static sac_status write_video(const clip_data *d, const char *path, sac_error *error) {
    sac_status status = SAC_OK;
    sac_video_writer *writer = NULL;
    const int64_t area = (int64_t)d->w * d->h;
    SAC_TRY(save(path, NULL, 0, error));
    SAC_TRY(sac_video_writer_open(&writer, path, d->w, d->h, 10, true, error));
    for (int64_t t = 0; t < d->clip->frames; t++)
        SAC_TRY(sac_video_writer_frame(writer, d->pixels + t * area, 1, error));
    SAC_TRY(sac_video_writer_commit(&writer, error));
fail:
    sac_video_writer_close(&writer);
    return status;
}

// Pictures FOLDER/PREFIX%0*dSUFFIX from 0.
static sac_status write_pictures(const clip_data *d, const uint8_t *pixels, const char *prefix,
                                 int digits, const char *suffix, sac_error *error) {
    sac_status status = SAC_OK;
    char path[1024];
    for (int64_t t = 0; t < d->clip->frames; t++) {
        (void)snprintf(path, sizeof path, "%s%0*lld%s", prefix, digits, (long long)t, suffix);
        if (t == 0) SAC_TRY(save(path, NULL, 0, error));
        SAC_TRY(sac_picture_write_png(path, pixels + t * d->w * d->h, d->w, d->h, 1, error));
    }
fail:
    return status;
}

static sac_status write_mat(const char *path, matvar_t *variable, sac_error *error) {
    sac_status status = save(path, NULL, 0, error);
    mat_t *file = status >= 0 ? Mat_CreateVer(path, NULL, MAT_FT_MAT5) : NULL;
    if (file == NULL || Mat_VarWrite(file, variable, MAT_COMPRESSION_ZLIB) != 0)
        status = sac_error_set(error, SAC_ERROR_IO, -1, "%s: cannot be written", path);
    Mat_VarFree(variable);
    if (file != NULL) (void)Mat_Close(file);
    return status;
}

static sac_status write_npy(const char *path, const uint8_t *data, const char *shape, size_t count,
                            sac_error *error) {
    uint8_t *file = sac_calloc(128 + (int64_t)count, 1);
    char header[119];
    if (file == NULL) return SAC_ERROR_MEMORY;
    const int length = snprintf(header, sizeof header,
                                "{'descr': '|u1', 'fortran_order': False, 'shape': %s, }", shape);
    memset(header + length, ' ', sizeof header - (size_t)length);
    header[117] = '\n';
    memcpy(file, "\x93NUMPY\1\0\x76\0", 10);
    memcpy(file + 10, header, 118);
    memcpy(file + 128, data, count);
    sac_status status = save(path, file, 128 + count, error);
    sac_free(file);
    return status;
}

static matvar_t *cells(size_t count) {
    size_t dims[2] = {1, count};
    return Mat_VarCreate("gt", MAT_C_CELL, MAT_T_CELL, 2, dims, NULL, 0);
}

static sac_status write_avenue(const clip_data *d, int number, const char *out, sac_error *error) {
    sac_status status = SAC_OK;
    char path[1024];
    (void)snprintf(path, sizeof path, "%s/Avenue Dataset/%s_videos/%02d.avi", out,
                   d->clip->test ? "testing" : "training", number);
    SAC_TRY(write_video(d, path, error));
    if (!d->clip->test) return SAC_OK;
    size_t dims[2] = {1, (size_t)d->clip->frames}, size[2] = {(size_t)d->h, (size_t)d->w};
    matvar_t *variable = Mat_VarCreate("volLabel", MAT_C_CELL, MAT_T_CELL, 2, dims, NULL, 0);
    uint8_t *columns = sac_calloc((int64_t)d->w * d->h, 1);
    SAC_TRY_ALLOC(columns);
    for (int64_t t = 0; t < d->clip->frames; t++) {
        const uint8_t *mask = d->masks + t * d->w * d->h;
        for (int y = 0; y < d->h; y++)
            for (int x = 0; x < d->w; x++) columns[x * d->h + y] = mask[y * d->w + x];
        (void)Mat_VarSetCell(
            variable, (int)t,
            Mat_VarCreate(NULL, MAT_C_UINT8, MAT_T_UINT8, 2, size, columns, MAT_F_LOGICAL));
    }
    sac_free(columns);
    (void)snprintf(path, sizeof path, "%s/ground_truth_demo/testing_label_mask/%d_label.mat", out,
                   number);
    SAC_TRY(write_mat(path, variable, error));
fail:
    return status;
}

static sac_status write_shanghaitech(const clip_data *d, int number, const char *out,
                                     sac_error *error) {
    sac_status status = SAC_OK;
    char path[1024], shape[96];
    const size_t frames = (size_t)d->clip->frames;
    if (!d->clip->test) {
        (void)snprintf(path, sizeof path, "%s/training/videos/01_%03d.avi", out, number);
        return write_video(d, path, error);
    }
    (void)snprintf(path, sizeof path, "%s/testing/frames/01_%04d/", out, number);
    SAC_TRY(write_pictures(d, d->pixels, path, 3, ".png", error));
    (void)snprintf(path, sizeof path, "%s/testing/test_frame_mask/01_%04d.npy", out, number);
    (void)snprintf(shape, sizeof shape, "(%zu,)", frames);
    SAC_TRY(write_npy(path, d->clip->labels, shape, frames, error));
    (void)snprintf(path, sizeof path, "%s/testing/test_pixel_mask/01_%04d.npy", out, number);
    (void)snprintf(shape, sizeof shape, "(%zu, %d, %d)", frames, d->h, d->w);
    SAC_TRY(write_npy(path, d->masks, shape, frames * (size_t)d->w * (size_t)d->h, error));
fail:
    return status;
}

static sac_status write_ubnormal(const clip_data *d, int number, const char *out,
                                 sac_error *error) {
    sac_status status = SAC_OK;
    char path[1024], name[64], spans[4096] = "";
    const int64_t area = (int64_t)d->w * d->h;
    size_t used = 0;
    (void)snprintf(name, sizeof name, "%s_scene_1_scenario_%d",
                   d->clip->test ? "abnormal" : "normal", number);
    (void)snprintf(path, sizeof path, "%s/Scene1/%s.mkv", out, name);
    SAC_TRY(write_video(d, path, error));
    if (!d->clip->test) return SAC_OK;
    for (int64_t i = 0; i < d->clip->frames * area; i++) d->masks[i] = d->masks[i] > 0 ? 7 : 0;
    (void)snprintf(path, sizeof path, "%s/Scene1/%s_annotations/%s_", out, name, name);
    SAC_TRY(write_pictures(d, d->masks, path, 4, "_gt.png", error));
    for (int64_t t = 0; t < d->clip->frames; t++) {
        int64_t last = t;
        if (d->clip->labels[t] == 0) continue;
        while (last + 1 < d->clip->frames && d->clip->labels[last + 1] != 0) last++;
        used += (size_t)snprintf(spans + used, sizeof spans - used, "7,%lld,%lld\n", (long long)t,
                                 (long long)last);
        t = last;
    }
    (void)snprintf(path, sizeof path, "%s/Scene1/%s_annotations/%s_tracks.txt", out, name, name);
    SAC_TRY(save(path, spans, used, error));
fail:
    return status;
}

static sac_status write_mirror(const clip_data *d, int number, const char *out, matvar_t *gt,
                               sac_error *error) {
    char path[1024];
    (void)snprintf(path, sizeof path, "%s/%s/frames/%02d/", out,
                   d->clip->test ? "testing" : "training", number);
    const sac_status status = write_pictures(d, d->pixels, path, 3, ".png", error);
    if (status < 0 || !d->clip->test) return status;
    double ranges[2 * 512];
    size_t count = 0;
    for (int64_t t = 0; t < d->clip->frames && count < 512; t++) {
        if (d->clip->labels[t] == 0) continue;
        ranges[2 * count] = (double)t + 1;
        while (t + 1 < d->clip->frames && d->clip->labels[t + 1] != 0) t++;
        ranges[2 * count++ + 1] = (double)t + 1;
    }
    size_t dims[2] = {2, count};
    (void)Mat_VarSetCell(gt, number - 1,
                         Mat_VarCreate(NULL, MAT_C_DOUBLE, MAT_T_DOUBLE, 2, dims, ranges, 0));
    return status;
}

int main(int argc, char **argv) {
    sac_status status = SAC_OK;
    sac_error error = {0};
    sac_dataset *set = NULL;
    clip_data d = {0};
    char path[1024];
    matvar_t *gt = NULL;
    if (argc != 4) {
        fprintf(stderr, "usage: make-layouts UCSD-SET avenue|shanghaitech|ubnormal|mirror OUT\n");
        return 2;
    }
    SAC_TRY(sac_dataset_open(&set, argv[1], NULL, &error));
    gt = cells((size_t)(set->count - set->train_count));
    for (int64_t i = 0; i < set->count; i++) {
        const int number = (int)(i < set->train_count ? i + 1 : i - set->train_count + 1);
        d = (clip_data){.clip = &set->clips[i]};
        SAC_TRY(sac_clip_load(&d.pixels, &d.w, &d.h, 1, d.clip, &error));
        if (d.clip->test) SAC_TRY(sac_clip_load_masks(&d.masks, &d.w, &d.h, d.clip, &error));
        if (strcmp(argv[2], "avenue") == 0)
            SAC_TRY(write_avenue(&d, number, argv[3], &error));
        else if (strcmp(argv[2], "shanghaitech") == 0)
            SAC_TRY(write_shanghaitech(&d, number, argv[3], &error));
        else if (strcmp(argv[2], "ubnormal") == 0)
            SAC_TRY(write_ubnormal(&d, number, argv[3], &error));
        else
            SAC_TRY(write_mirror(&d, number, argv[3], gt, &error));
        sac_spill_free(d.pixels);
        sac_free(d.masks);
        d = (clip_data){0};
    }
    if (strcmp(argv[2], "mirror") == 0) {
        (void)snprintf(path, sizeof path, "%s/%s.mat", argv[3], argv[3]);
        SAC_TRY(write_mat(path, gt, &error));
        gt = NULL;
    }
fail:
    if (status < 0) fprintf(stderr, "make-layouts: %s\n", error.message);
    if (gt != NULL) Mat_VarFree(gt);
    sac_spill_free(d.pixels);
    sac_free(d.masks);
    sac_dataset_close(&set);
    return status < 0 ? 1 : 0;
}
