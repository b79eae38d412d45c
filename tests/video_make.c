#include "video_make.h"

#include <criterion/criterion.h>
#include <libavcodec/avcodec.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/file.h"
#include "core/memory.h"
#include "helper.h"
#include "video/picture.h"

void make_frame(uint8_t *pixels, int w, int h, int channels, int t) {
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++)
            for (int c = 0; c < channels; c++) {
                double v = 128 + 90 * sin(0.11 * x + 0.3 * t + c) * cos(0.07 * y - 0.1 * t);
                if ((x - 3 * t % (w + 1)) >= 0 && (x - 3 * t % (w + 1)) < w / 6 && y > h / 3 &&
                    y < 2 * h / 3)
                    v = t % 2 != 0 ? 255 : 0;
                pixels[((int64_t)y * w + x) * channels + c] = (uint8_t)lrint(fmin(fmax(v, 0), 255));
            }
}

uint8_t *make_frame_new(int w, int h, int channels, int t) {
    uint8_t *pixels = sac_calloc((int64_t)w * h * channels, 1);
    cr_assert_not_null(pixels);
    make_frame(pixels, w, h, channels, t);
    return pixels;
}

const char *path_in(const char *folder, const char *name) {
    static char *kept[4096]; // reachable, so that no leak is reported
    static int count;
    cr_assert_lt(count, 4096);
    kept[count] = sac_path_join(folder, name);
    cr_assert_not_null(kept[count]);
    return kept[count++];
}

const char *make_folder(const char *name) {
    sac_error error = {0};
    const char *path = sac_test_path(name);
    sac_assert_ok(sac_folder_create(path, &error), &error);
    return path;
}

const char *make_video(const char *name, int w, int h, int frames, double frame_rate,
                       bool lossless) {
    sac_error error = {0};
    sac_video_writer *writer = NULL;
    const char *path = sac_test_path(name);
    uint8_t *pixels = make_frame_new(w, h, 1, 0);
    sac_assert_ok(sac_video_writer_open(&writer, path, w, h, frame_rate, lossless, &error), &error);
    for (int t = 0; t < frames; t++) {
        make_frame(pixels, w, h, 1, t);
        sac_assert_ok(sac_video_writer_frame(writer, pixels, 1, &error), &error);
    }
    sac_assert_ok(sac_video_writer_commit(&writer, &error), &error);
    sac_free(pixels);
    return path;
}

const char *make_png_folder(const char *name, int w, int h, int frames, int channels) {
    sac_error error = {0};
    const char *folder = make_folder(name);
    uint8_t *pixels = make_frame_new(w, h, channels, 0);
    for (int t = 0; t < frames; t++) {
        char file[32];
        (void)snprintf(file, sizeof file, "%d.png", t + 1);
        make_frame(pixels, w, h, channels, t);
        sac_assert_ok(sac_picture_write_png(path_in(folder, file), pixels, w, h, channels, &error),
                      &error);
    }
    sac_free(pixels);
    return folder;
}

uint8_t *encode_picture(enum AVCodecID id, const uint8_t *pixels, int w, int h, int channels,
                        size_t *size) {
    const AVCodec *codec = avcodec_find_encoder(id);
    cr_assert_not_null(codec, "FFmpeg lacks an encoder the test needs");
    AVCodecContext *c = avcodec_alloc_context3(codec);
    AVFrame *f = av_frame_alloc();
    AVPacket *packet = av_packet_alloc();
    enum AVPixelFormat rgb = id == AV_CODEC_ID_BMP ? AV_PIX_FMT_BGR24 : AV_PIX_FMT_RGB24;
    c->pix_fmt = id == AV_CODEC_ID_MJPEG ? AV_PIX_FMT_YUVJ444P
                 : channels == 1         ? AV_PIX_FMT_GRAY8
                                         : rgb;
    c->width = f->width = w;
    c->height = f->height = h;
    c->time_base = (AVRational){1, 25};
    if (id == AV_CODEC_ID_MJPEG) {
        c->flags |= AV_CODEC_FLAG_QSCALE;
        c->global_quality = 2 * FF_QP2LAMBDA;
        c->color_range = f->color_range = AVCOL_RANGE_JPEG;
        f->quality = c->global_quality;
    }
    f->format = c->pix_fmt;
    cr_assert_eq(avcodec_open2(c, codec, NULL), 0);
    cr_assert_eq(av_frame_get_buffer(f, 0), 0);
    for (int y = 0; y < h; y++) {
        const uint8_t *in = pixels + (int64_t)y * w * channels;
        uint8_t *out = f->data[0] + (ptrdiff_t)y * f->linesize[0];
        if (id == AV_CODEC_ID_MJPEG) {
            for (int x = 0; x < w; x++) out[x] = in[x * channels];
            memset(f->data[1] + (ptrdiff_t)y * f->linesize[1], 128, (size_t)w);
            memset(f->data[2] + (ptrdiff_t)y * f->linesize[2], 128, (size_t)w);
        } else {
            for (int x = 0; x < w; x++)
                for (int k = 0; k < channels; k++)
                    out[x * channels + k] =
                        in[x * channels + (rgb == AV_PIX_FMT_BGR24 ? channels - 1 - k : k)];
        }
    }
    cr_assert_eq(avcodec_send_frame(c, f), 0);
    cr_assert_eq(avcodec_receive_packet(c, packet), 0);
    uint8_t *bytes = sac_calloc(packet->size, 1);
    cr_assert_not_null(bytes);
    memcpy(bytes, packet->data, (size_t)packet->size);
    *size = (size_t)packet->size;
    av_packet_free(&packet);
    av_frame_free(&f);
    avcodec_free_context(&c);
    return bytes;
}

uint8_t *read_bytes(const char *path, size_t *size) {
    sac_error error = {0};
    uint8_t *bytes = NULL;
    sac_assert_ok(sac_file_read(&bytes, size, path, (size_t)1 << 30, &error), &error);
    return bytes;
}

void write_bytes(const char *path, const void *bytes, size_t size) {
    FILE *file = fopen(path, "wb");
    cr_assert_not_null(file, "%s", path);
    cr_assert_eq(fwrite(bytes, 1, size, file), size);
    cr_assert_eq(fclose(file), 0);
}
