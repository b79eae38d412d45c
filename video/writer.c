// Encoded video out through libavcodec and libavformat, into a temporary file that is renamed when
// complete. The encoder is opened with the first frame, so that a writer without frames leaves no
// header behind.
#include <math.h>
#include <string.h>

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/avstring.h>
#include <libavutil/opt.h>
#include <libavutil/pixdesc.h>
#include <libswscale/swscale.h>

#include "core/check.h"
#include "core/file.h"
#include "core/memory.h"
#include "video/ffmpeg.h"
#include "video/picture.h"

struct sac_video_writer {
    char *path;
    int width, height;
    AVRational frame_rate;
    bool lossless;
    sac_file_writer *file;
    AVFormatContext *output;
    AVCodecContext *encoder;
    AVStream *stream;
    AVFrame *frame;
    AVPacket *packet;
    struct SwsContext *sws;
    enum AVPixelFormat sws_from;
    uint8_t *padded; // BGRA of the even size
    bool header_written;
    bool failed; // half a frame may have been written: nothing can be committed any more
    int64_t frames;
};

static sac_status try_encoder(sac_video_writer *w, const AVCodec *codec, enum AVPixelFormat format,
                              int *code) {
    sac_status status = SAC_OK;
    avcodec_free_context(&w->encoder);
    AVCodecContext *c = w->encoder = avcodec_alloc_context3(codec);
    SAC_TRY_ALLOC(c);
    c->width = w->lossless ? w->width : (w->width + 1) / 2 * 2;
    c->height = w->lossless ? w->height : (w->height + 1) / 2 * 2;
    c->pix_fmt = format;
    c->time_base = av_inv_q(w->frame_rate);
    c->framerate = w->frame_rate;
    c->gop_size = 50;
    // Small pictures gain nothing from encoder threads, and the computation needs the cores.
    c->thread_count = (int64_t)w->width * w->height > 1000 * 1000 ? 0 : 1;
    if (!w->lossless) {
        c->color_range = AVCOL_RANGE_MPEG;
        c->colorspace = AVCOL_SPC_SMPTE170M;
        c->qmin = 2;
        c->qmax = codec->id == AV_CODEC_ID_MPEG4 ? 5 : 51;
        (void)av_opt_set(c->priv_data, "preset", "veryfast", 0);
        (void)av_opt_set(c->priv_data, "crf", "20", 0);
        c->bit_rate = (int64_t)c->width * c->height * 4; // for encoders without constant quality
        if (strcmp(codec->name, "libx264") == 0) c->bit_rate = 0;
    } else {
        // Level 3 has checksums, but cuts into slices, which FFmpeg gets wrong in pictures of a few
        // pixels.
        c->level = w->width >= 16 && w->height >= 16 ? 3 : 1;
    }
    if ((w->output->oformat->flags & AVFMT_GLOBALHEADER) != 0)
        c->flags |= AV_CODEC_FLAG_GLOBAL_HEADER;
    *code = avcodec_open2(c, codec, NULL);
fail:
    return status;
}

// The first encoder that exists, opens and fits the container. FFmpeg also lists encoders of
// graphics cards that are not there.
static sac_status open_encoder(sac_video_writer *w, sac_error *error) {
    sac_status status = SAC_OK;
    const char *const *names;
    static const char *const lossless[] = {"ffv1", NULL};
    static const char *const lossy[] = {"libx264", "libopenh264", "h264_v4l2m2m",
                                        "mpeg4",   "libxvid",     NULL};
    int code = AVERROR_ENCODER_NOT_FOUND;
    bool fits = false;
    names = w->lossless ? lossless : lossy;
    for (; *names != NULL; names++) {
        const AVCodec *codec = avcodec_find_encoder_by_name(*names);
        if (codec == NULL) continue;
        // Negative: the muxer keeps no list; it will complain in the header if it must.
        if (avformat_query_codec(w->output->oformat, codec->id, FF_COMPLIANCE_NORMAL) == 0)
            continue;
        fits = true;
        SAC_TRY(try_encoder(w, codec, w->lossless ? AV_PIX_FMT_BGR0 : AV_PIX_FMT_YUV420P, &code));
        if (code >= 0) return SAC_OK;
    }
    if (!fits)
        SAC_TRY(sac_error_set(error, SAC_ERROR_UNSUPPORTED, -1, "'%s': a %s file cannot hold %s",
                              w->path, w->output->oformat->name,
                              w->lossless ? "FFV1 (use .mkv or .avi)" : "H.264 or MPEG-4"));
    SAC_TRY(sac_ffmpeg_error(error, code, -1, "'%s': no video encoder works for %dx%d px", w->path,
                             w->width, w->height));
fail:
    return status;
}

static sac_status write_header(sac_video_writer *w, sac_error *error) {
    sac_status status = SAC_OK;
    int code;
    AVDictionary *options = NULL;
    w->stream = avformat_new_stream(w->output, NULL);
    SAC_TRY_ALLOC(w->stream);
    w->stream->time_base = w->encoder->time_base;
    w->stream->avg_frame_rate = w->frame_rate;
    code = avcodec_parameters_from_context(w->stream->codecpar, w->encoder);
    if (code < 0) SAC_TRY(sac_ffmpeg_error(error, code, -1, "'%s'", w->path));
    w->frame = av_frame_alloc();
    w->packet = av_packet_alloc();
    SAC_TRY_ALLOC(w->frame);
    SAC_TRY_ALLOC(w->packet);
    w->frame->format = w->encoder->pix_fmt;
    w->frame->width = w->encoder->width;
    w->frame->height = w->encoder->height;
    w->frame->color_range = w->encoder->color_range;
    w->frame->colorspace = w->encoder->colorspace;
    code = av_frame_get_buffer(w->frame, 0);
    if (code < 0) SAC_TRY(sac_ffmpeg_error(error, code, -1, "'%s'", w->path));
    w->padded = sac_calloc((int64_t)w->encoder->width * w->encoder->height, 4);
    SAC_TRY_ALLOC(w->padded);
    // No dates or versions in the file, and an .mp4 can be played while it is being copied.
    w->output->flags |= AVFMT_FLAG_BITEXACT;
    if (av_dict_set(&options, "movflags", "+faststart", 0) < 0) SAC_TRY(SAC_ERROR_MEMORY);
    // The muxer reads the file back under its `url`; without "file:" a colon in the name would mean
    // a protocol.
    av_freep(&w->output->url);
    w->output->url = av_asprintf("file:%s", sac_file_writer_path(w->file));
    SAC_TRY_ALLOC(w->output->url);
    code = avio_open(&w->output->pb, w->output->url, AVIO_FLAG_WRITE);
    if (code >= 0) code = avformat_write_header(w->output, &options);
    if (code < 0) SAC_TRY(sac_ffmpeg_error(error, code, -1, "'%s' cannot be written", w->path));
    w->header_written = true;
fail:
    av_dict_free(&options);
    return status;
}

sac_status sac_video_writer_open(sac_video_writer **writer, const char *path, int width, int height,
                                 double frame_rate, bool lossless, sac_error *error) {
    sac_status status = SAC_OK;
    sac_video_writer *w = NULL;
    int code;
    *writer = NULL;
    sac_ffmpeg_start();
    if (width < 1 || height < 1 || width > SAC_MAX_SIDE || height > SAC_MAX_SIDE)
        SAC_TRY(sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                              "'%s': video of %dx%d px, expected 1x1 to %dx%d", path, width, height,
                              SAC_MAX_SIDE, SAC_MAX_SIDE));
    if (!(frame_rate > 0 && frame_rate <= 1000))
        SAC_TRY(sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                              "'%s': frame rate %g, expected above 0 to 1000", path, frame_rate));
    w = sac_calloc(1, sizeof *w);
    SAC_TRY_ALLOC(w);
    w->width = width;
    w->height = height;
    w->lossless = lossless;
    w->frame_rate = av_d2q(frame_rate, 65535); // MPEG-4 allows no finer clock
    if (w->frame_rate.num <= 0 || w->frame_rate.num > 65535 || w->frame_rate.den <= 0)
        w->frame_rate = (AVRational){(int)lrint(fmax(1, fmin(frame_rate, 1000))), 1};
    w->path = sac_strdup(path);
    SAC_TRY_ALLOC(w->path);
    const AVOutputFormat *format = av_guess_format(NULL, path, NULL);
    if (format == NULL || format->video_codec == AV_CODEC_ID_NONE ||
        (format->flags & AVFMT_NOFILE) != 0 || strncmp(format->name, "image2", 6) == 0)
        SAC_TRY(sac_error_set(
            error, SAC_ERROR_UNSUPPORTED, -1,
            "'%s': the ending names no video container, expected .mp4, .mkv or .avi", path));
    code = avformat_alloc_output_context2(&w->output, format, NULL, path);
    if (code < 0) SAC_TRY(sac_ffmpeg_error(error, code, -1, "'%s'", path));
    SAC_TRY(open_encoder(w, error));
    SAC_TRY(sac_file_writer_open(&w->file, path, error));
    *writer = w;
    return SAC_OK;
fail:
    if (status == SAC_ERROR_MEMORY) sac_error_set(error, status, -1, "'%s': out of memory", path);
    sac_video_writer_close(&w);
    return status;
}

void sac_video_writer_close(sac_video_writer **writer) {
    if (writer == NULL || *writer == NULL) return;
    sac_video_writer *w = *writer;
    if (w->output != NULL && w->output->pb != NULL) (void)avio_closep(&w->output->pb);
    avformat_free_context(w->output);
    avcodec_free_context(&w->encoder);
    av_frame_free(&w->frame);
    av_packet_free(&w->packet);
    sws_freeContext(w->sws);
    sac_file_writer_close(&w->file);
    sac_free(w->padded);
    sac_free(w->path);
    sac_free(w);
    *writer = NULL;
}

// Moves finished packets from the encoder to the file.
static sac_status drain(sac_video_writer *w, sac_error *error) {
    for (;;) {
        int code = avcodec_receive_packet(w->encoder, w->packet);
        if (code == AVERROR(EAGAIN) || code == AVERROR_EOF) return SAC_OK;
        if (code >= 0) {
            av_packet_rescale_ts(w->packet, w->encoder->time_base, w->stream->time_base);
            if (w->packet->duration == 0)
                w->packet->duration = av_rescale_q(1, w->encoder->time_base, w->stream->time_base);
            w->packet->stream_index = w->stream->index;
            code = av_interleaved_write_frame(w->output, w->packet);
        }
        if (code >= 0 && w->output->pb->error < 0) code = w->output->pb->error;
        if (code < 0) {
            w->failed = true;
            return sac_ffmpeg_error(error, code, w->frames, "'%s' cannot be written at frame %lld",
                                    w->path, (long long)w->frames);
        }
    }
}

// One picture with rows `stride` bytes apart into the encoder.
static sac_status encode(sac_video_writer *w, const uint8_t *pixels, ptrdiff_t stride,
                         enum AVPixelFormat from, int bytes_per_pixel, sac_error *error) {
    sac_status status = SAC_OK;
    int code;
    if (w->failed)
        return sac_error_set(error, SAC_ERROR_IO, w->frames, "'%s': writing has failed before",
                             w->path);
    if (!w->header_written) SAC_TRY(write_header(w, error));
    int width = w->encoder->width, height = w->encoder->height;
    ptrdiff_t padded_stride = (ptrdiff_t)width * bytes_per_pixel;
    if (width != w->width || height != w->height) {
        for (int y = 0; y < height; y++) {
            const uint8_t *in = pixels + (y < w->height ? y : w->height - 1) * stride;
            uint8_t *out = w->padded + y * padded_stride;
            memcpy(out, in, (size_t)w->width * (size_t)bytes_per_pixel);
            if (width > w->width)
                memcpy(out + (size_t)w->width * (size_t)bytes_per_pixel,
                       in + (size_t)(w->width - 1) * (size_t)bytes_per_pixel,
                       (size_t)bytes_per_pixel);
        }
        pixels = w->padded;
        stride = padded_stride;
    }
    code = av_frame_make_writable(w->frame);
    if (code < 0) SAC_TRY(sac_ffmpeg_error(error, code, w->frames, "'%s'", w->path));
    if (w->lossless) { // exact by hand; libswscale would be as well, but promises nothing
        for (int y = 0; y < height; y++) {
            const uint8_t *in = pixels + y * stride;
            uint8_t *out = w->frame->data[0] + (ptrdiff_t)y * w->frame->linesize[0];
            for (int x = 0; x < width; x++, in += bytes_per_pixel, out += 4) {
                out[0] = from == AV_PIX_FMT_RGB24 ? in[2] : in[0];
                out[1] = from == AV_PIX_FMT_GRAY8 ? in[0] : in[1];
                out[2] = from == AV_PIX_FMT_BGR0 ? in[2] : in[0];
                out[3] = 255;
            }
        }
    } else {
        const uint8_t *planes[4] = {pixels};
        int strides[4] = {(int)stride};
        w->sws =
            sws_getCachedContext(w->sws, width, height, from, width, height, w->encoder->pix_fmt,
                                 SWS_BILINEAR | SWS_ACCURATE_RND | SWS_BITEXACT, NULL, NULL, NULL);
        if (w->sws == NULL)
            SAC_TRY(sac_error_set(error, SAC_ERROR_BACKEND, w->frames,
                                  "'%s': %dx%d px cannot be converted", w->path, width, height));
        (void)sws_setColorspaceDetails(w->sws, sws_getCoefficients(SWS_CS_DEFAULT), 1,
                                       sws_getCoefficients(SWS_CS_SMPTE170M), 0, 0, 1 << 16,
                                       1 << 16);
        code = sws_scale(w->sws, planes, strides, 0, height, w->frame->data, w->frame->linesize);
        if (code < 0) SAC_TRY(sac_ffmpeg_error(error, code, w->frames, "'%s'", w->path));
    }
    w->frame->pts = w->frames;
    code = avcodec_send_frame(w->encoder, w->frame);
    if (code < 0) SAC_TRY(sac_ffmpeg_error(error, code, w->frames, "'%s': encoder", w->path));
    SAC_TRY(drain(w, error));
    w->frames++;
fail:
    if (status < 0) w->failed = true;
    if (status == SAC_ERROR_MEMORY)
        sac_error_set(error, status, -1, "'%s': out of memory", w->path);
    return status;
}

sac_status sac_video_writer_frame(sac_video_writer *w, const uint8_t *pixels, int channels,
                                  sac_error *error) {
    if (channels != 1 && channels != 3)
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1, "'%s': %d channels, expected 1 or 3",
                             w->path, channels);
    return encode(w, pixels, (ptrdiff_t)w->width * channels,
                  channels == 1 ? AV_PIX_FMT_GRAY8 : AV_PIX_FMT_RGB24, channels, error);
}

sac_status sac_video_writer_canvas(sac_video_writer *w, const sac_canvas *canvas,
                                   sac_error *error) {
    int width, height, stride;
    const uint8_t *pixels = sac_canvas_pixels(canvas, &width, &height, &stride);
    if (width != w->width || height != w->height)
        return sac_error_set(error, SAC_ERROR_SHAPE, -1,
                             "'%s': picture of %dx%d px in a video of %dx%d", w->path, width,
                             height, w->width, w->height);
    return encode(w, pixels, stride, AV_PIX_FMT_BGR0, 4, error);
}

sac_status sac_video_writer_commit(sac_video_writer **writer, sac_error *error) {
    sac_status status = SAC_OK;
    sac_video_writer *w = *writer;
    int code;
    if (w->failed)
        SAC_TRY(sac_error_set(error, SAC_ERROR_IO, w->frames, "'%s': writing has failed before",
                              w->path));
    if (w->frames == 0)
        SAC_TRY(sac_error_set(error, SAC_ERROR_ARGUMENT, 0,
                              "'%s': a video needs at least one frame", w->path));
    code = avcodec_send_frame(w->encoder, NULL);
    if (code < 0) SAC_TRY(sac_ffmpeg_error(error, code, w->frames, "'%s': encoder", w->path));
    SAC_TRY(drain(w, error));
    code = av_write_trailer(w->output);
    if (code >= 0 && w->output->pb->error < 0) code = w->output->pb->error;
    int closed = avio_closep(&w->output->pb);
    if (code >= 0) code = closed;
    if (code < 0)
        SAC_TRY(sac_ffmpeg_error(error, code, w->frames, "'%s' cannot be finished", w->path));
    SAC_TRY(sac_file_writer_commit(&w->file, error));
fail:
    sac_video_writer_close(writer);
    return status;
}
