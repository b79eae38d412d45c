// Demuxing and decoding. Local files are held to their containers' word: a packet that gives no
// picture or a missing rest is an error, after the pictures before it have been handed out. Live
// inputs lose packets, so there damage is skipped. Pictures whose damage the decoder covered up are
// handed out and carry its marks.
#include "video/stream.h"

#include <errno.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>

#include "core/check.h"
#include "core/file.h"
#include "core/memory.h"
#include "core/text.h"
#include "core/time.h"
#include "video/container.h"
#include "video/ffmpeg.h"

enum { MAX_EXPECTED = 1024 };

struct sac_stream {
    char *source;
    char *name; // of the source in messages: without a password
    AVFormatContext *input;
    AVCodecContext *decoder;
    AVPacket *packet;
    // Read already, see is_cut_here, and what reading it gave.
    AVPacket *ahead;
    bool have_ahead;
    int ahead_code;
    int index;  // of the video stream
    bool local; // a regular file: damage is an error
    bool started;
    int cut; // FFmpeg's code of the damage that ended the input, 0: none
    double timeout_s, deadline_s;
    const atomic_bool *stop;

    // Frames that the decoder leaves out are found by their presentation times: those of the
    // packets fed, less those of the pictures that came out.
    bool skipping;
    int64_t expected[MAX_EXPECTED]; // ascending
    int expected_count;
    AVFrame *shown, *next; // the last picture handed out, and one that waits for repetitions of it
};

static int stop_reading(void *user) {
    const sac_stream *s = user;
    return atomic_load(s->stop) || sac_time_s() > s->deadline_s;
}

// Restarts the patience with a live input. A local file is always about to answer.
static void expect_data(sac_stream *s) {
    s->deadline_s = s->timeout_s > 0 && !s->local ? sac_time_s() + s->timeout_s : INFINITY;
}

// FFmpeg says "exit requested" for both ways in which stop_reading ends a call.
static sac_status stopped(const sac_stream *s, int64_t index, sac_error *error) {
    if (atomic_load(s->stop))
        return sac_error_set(error, SAC_ERROR_INTERRUPTED, index, "'%s': interrupted", s->name);
    return sac_error_set(error, SAC_ERROR_IO, index, "'%s': no data for %g s", s->name,
                         s->timeout_s);
}

// NULL: FFmpeg has none of that name.
static const AVInputFormat *find_demuxer(const char *name) {
    const AVInputFormat *demuxer = av_find_input_format(name);
    if (demuxer != NULL) return demuxer;
    sac_ffmpeg_load_devices();
    return av_find_input_format(name);
}

static sac_status open_input(sac_stream *s, const char *format, sac_error *error) {
    sac_status status = SAC_OK;
    AVDictionary *options = NULL;
    const AVInputFormat *demuxer = NULL;
    int code;
    struct stat info;
    if (format != NULL) {
        demuxer = find_demuxer(format);
        if (demuxer == NULL)
            SAC_TRY(sac_error_set(error, SAC_ERROR_UNSUPPORTED, -1,
                                  "'%s': FFmpeg here has no input format '%s'", s->name, format));
    } else if (stat(s->source, &info) == 0) {
        s->local = S_ISREG(info.st_mode);
        if (s->local && info.st_size == 0)
            SAC_TRY(sac_error_set(error, SAC_ERROR_FORMAT, 0, "'%s' is empty", s->name));
        if (s->local && access(s->source, R_OK) != 0)
            SAC_TRY(sac_error_set(error, SAC_ERROR_IO, -1, "'%s': %s", s->name, strerror(errno)));
        if (S_ISCHR(info.st_mode) && strncmp(s->source, "/dev/video", 10) == 0)
            demuxer = find_demuxer("video4linux2");
    } else if (strstr(s->source, "://") == NULL && strncmp(s->source, "pipe:", 5) != 0 &&
               strncmp(s->source, "file:", 5) != 0) {
        SAC_TRY(sac_error_set(error, SAC_ERROR_IO, -1, "'%s': %s", s->name, strerror(errno)));
    }
    // A hostile playlist in a local file must not make us open network connections.
    if (s->local && av_dict_set(&options, "protocol_whitelist", "file,crypto,data", 0) < 0)
        SAC_TRY(SAC_ERROR_MEMORY);
    s->input = avformat_alloc_context();
    SAC_TRY_ALLOC(s->input);
    s->input->interrupt_callback = (AVIOInterruptCB){.callback = stop_reading, .opaque = s};
    expect_data(s);
    // A name with a colon in it would be taken for a protocol.
    char *url = s->local ? sac_format("file:%s", s->source) : sac_strdup(s->source);
    SAC_TRY_ALLOC(url);
    code = avformat_open_input(&s->input, url, demuxer, &options);
    sac_free(url);
    if (code == AVERROR_EXIT) SAC_TRY(stopped(s, -1, error));
    if (code < 0)
        SAC_TRY(sac_ffmpeg_error(error, code, -1, "'%s' is not a readable video", s->name));
    // FFmpeg draws plain text as pictures of a terminal; nobody who names a text file means that.
    if (format == NULL && strcmp(s->input->iformat->name, "tty") == 0)
        SAC_TRY(sac_error_set(error, SAC_ERROR_FORMAT, 0, "'%s' is text, not video", s->name));
    expect_data(s);
    code = avformat_find_stream_info(s->input, NULL);
    if (code == AVERROR_EXIT || (code < 0 && stop_reading(s))) SAC_TRY(stopped(s, -1, error));
    if (code < 0)
        SAC_TRY(sac_ffmpeg_error(error, code, -1, "'%s' holds no readable stream", s->name));
fail:
    av_dict_free(&options);
    return status;
}

// Codecs whose decoder leaves out frames that nothing refers to, and whose packets are one shown
// frame each (hidden ones, as VP8 has, could not be told from skipped ones).
static bool can_skip(enum AVCodecID id) {
    return id == AV_CODEC_ID_H264 || id == AV_CODEC_ID_HEVC || id == AV_CODEC_ID_MPEG1VIDEO ||
           id == AV_CODEC_ID_MPEG2VIDEO || id == AV_CODEC_ID_MPEG4;
}

static enum AVDiscard discard_of(sac_video_skip skip) {
    return skip == SAC_VIDEO_SKIP_ALL      ? AVDISCARD_ALL
           : skip == SAC_VIDEO_SKIP_NONREF ? AVDISCARD_NONREF
                                           : AVDISCARD_DEFAULT;
}

static sac_status set_savings(sac_stream *s, const AVCodec *codec, const sac_video_options *o,
                              sac_error *error) {
    s->skipping = o->skip_frames != SAC_VIDEO_SKIP_NONE;
    if (s->skipping && !can_skip(codec->id))
        return sac_error_set(error, SAC_ERROR_UNSUPPORTED, -1,
                             "'%s': frames of %s cannot be skipped (H.264, HEVC, MPEG-1, -2 and -4 "
                             "can)",
                             s->name, avcodec_get_name(codec->id));
    if (o->lowres > codec->max_lowres)
        return sac_error_set(error, SAC_ERROR_UNSUPPORTED, -1,
                             "'%s': %s cannot be decoded at 1/%d resolution (MJPEG, MPEG-1, -2 and "
                             "-4 can)",
                             s->name, avcodec_get_name(codec->id), 1 << o->lowres);
    s->decoder->skip_loop_filter = discard_of(o->skip_loop_filter);
    s->decoder->skip_frame = discard_of(o->skip_frames);
    s->decoder->lowres = o->lowres;
    return SAC_OK;
}

static sac_status open_decoder(sac_stream *s, const sac_video_options *options, sac_error *error) {
    sac_status status = SAC_OK;
    const AVCodec *codec = NULL;
    int threads = options->threads;
    int code = av_find_best_stream(s->input, AVMEDIA_TYPE_VIDEO, -1, -1, &codec, 0);
    if (code == AVERROR_DECODER_NOT_FOUND)
        SAC_TRY(sac_error_set(error, SAC_ERROR_UNSUPPORTED, -1,
                              "'%s': FFmpeg here cannot decode its video", s->name));
    if (code < 0 || (s->input->streams[code]->disposition & AV_DISPOSITION_ATTACHED_PIC) != 0)
        SAC_TRY(sac_error_set(error, SAC_ERROR_FORMAT, -1, "'%s' holds no video (%s)", s->name,
                              s->input->iformat->long_name));
    s->index = code;
    const AVCodecParameters *par = s->input->streams[code]->codecpar;
    if (par->width > SAC_MAX_SIDE || par->height > SAC_MAX_SIDE)
        SAC_TRY(sac_error_set(error, SAC_ERROR_FORMAT, -1,
                              "'%s': frame of %dx%d px, expected 1x1 to %dx%d", s->name, par->width,
                              par->height, SAC_MAX_SIDE, SAC_MAX_SIDE));
    for (unsigned i = 0; i < s->input->nb_streams; i++)
        if ((int)i != s->index) s->input->streams[i]->discard = AVDISCARD_ALL;
    s->decoder = avcodec_alloc_context3(codec);
    s->packet = av_packet_alloc();
    s->ahead = av_packet_alloc();
    s->shown = av_frame_alloc();
    s->next = av_frame_alloc();
    SAC_TRY_ALLOC(s->shown);
    SAC_TRY_ALLOC(s->next);
    SAC_TRY_ALLOC(s->decoder);
    SAC_TRY_ALLOC(s->packet);
    SAC_TRY_ALLOC(s->ahead);
    code = avcodec_parameters_to_context(s->decoder, par);
    if (code < 0) SAC_TRY(sac_ffmpeg_error(error, code, -1, "'%s'", s->name));
    s->decoder->pkt_timebase = s->input->streams[s->index]->time_base;
    s->decoder->max_pixels = (int64_t)SAC_MAX_SIDE * SAC_MAX_SIDE;
    // Below about a megapixel one thread decodes faster than the student computes, and further ones
    // add next to nothing; the other cores have better things to do.
    if (threads == 0) threads = (int64_t)par->width * par->height < 1000 * 1000 ? 1 : 4;
    s->decoder->thread_count = threads;
    SAC_TRY(set_savings(s, codec, options, error));
    code = avcodec_open2(s->decoder, codec, NULL);
    if (code < 0)
        SAC_TRY(sac_ffmpeg_error(error, code, -1, "'%s': %s decoder", s->name, codec->name));
fail:
    return status;
}

sac_status sac_stream_open(sac_stream **stream, const char *source,
                           const sac_video_options *options, const atomic_bool *stop,
                           sac_error *error) {
    sac_status status = SAC_OK;
    sac_stream *s = NULL;
    *stream = NULL;
    sac_ffmpeg_start();
    s = sac_calloc(1, sizeof *s);
    SAC_TRY_ALLOC(s);
    s->timeout_s = options->timeout_s;
    s->stop = stop;
    s->source = sac_strdup(source);
    SAC_TRY_ALLOC(s->source);
    s->name = sac_text_without_login(source);
    SAC_TRY_ALLOC(s->name);
    SAC_TRY(open_input(s, options->format, error));
    SAC_TRY(open_decoder(s, options, error));
    *stream = s;
    return SAC_OK;
fail:
    if (status == SAC_ERROR_MEMORY)
        sac_error_set(error, status, -1, "%s: out of memory",
                      s != NULL && s->name != NULL ? s->name : "video source");
    sac_stream_close(&s);
    return status;
}

void sac_stream_close(sac_stream **stream) {
    if (stream == NULL || *stream == NULL) return;
    sac_stream *s = *stream;
    avcodec_free_context(&s->decoder);
    avformat_close_input(&s->input);
    av_packet_free(&s->packet);
    av_packet_free(&s->ahead);
    av_frame_free(&s->shown);
    av_frame_free(&s->next);
    sac_free(s->source);
    sac_free(s->name);
    sac_free(s);
    *stream = NULL;
}

void sac_stream_get_info(const sac_stream *s, sac_stream_info *info) {
    AVStream *st = s->input->streams[s->index];
    AVRational rate = av_guess_frame_rate(s->input, st, NULL);
    *info = (sac_stream_info){
        .width = st->codecpar->width, .height = st->codecpar->height, .local = s->local};
    if (rate.num > 0 && rate.den > 0) info->frame_rate = av_q2d(rate);
    if (st->nb_frames > 0)
        info->frames = st->nb_frames;
    else if (s->input->duration > 0 && info->frame_rate > 0) {
        double frames = (double)s->input->duration / AV_TIME_BASE * info->frame_rate;
        if (frames < 1e15) info->frames = llrint(frames);
    }
}

// The next packet of the video stream; FFmpeg's code.
static int read_packet(sac_stream *s, AVPacket *packet) {
    for (;;) {
        if (atomic_load(s->stop)) return AVERROR_EXIT;
        int code = av_read_frame(s->input, packet);
        if (code == AVERROR(EAGAIN)) { // a device without a new picture yet
            if (stop_reading(s)) return AVERROR_EXIT;
            (void)nanosleep(&(struct timespec){.tv_nsec = 1000 * 1000}, NULL);
            continue;
        }
        if (code < 0 || packet->stream_index == s->index) return code;
        av_packet_unref(packet);
    }
}

// Is s->packet, which the demuxer calls damaged, the incomplete rest of a cut file? In the middle
// the flag only says that something was lost before it (joined transport streams), and the decoder
// may try.
static bool is_cut_here(sac_stream *s) {
    if (!s->local || (s->packet->flags & AV_PKT_FLAG_CORRUPT) == 0) return false;
    if (!s->have_ahead) s->ahead_code = read_packet(s, s->ahead);
    s->have_ahead = true;
    return s->ahead_code < 0;
}

// Notes that a frame of this time ought to come out.
static sac_status expect_frame(sac_stream *s, const AVPacket *packet, int64_t index,
                               sac_error *error) {
    int64_t pts = packet->pts;
    if ((packet->flags & AV_PKT_FLAG_DISCARD) != 0) return SAC_OK; // cut away by an edit list
    if (pts == AV_NOPTS_VALUE)
        return sac_error_set(error, SAC_ERROR_UNSUPPORTED, index,
                             "'%s': frames cannot be skipped, its %s gives no presentation times",
                             s->name, s->input->iformat->long_name);
    if (s->expected_count == MAX_EXPECTED)
        return sac_error_set(error, SAC_ERROR_FORMAT, index,
                             "'%s': %d frames without a decodable one among them", s->name,
                             MAX_EXPECTED);
    int at = s->expected_count++;
    for (; at > 0 && s->expected[at - 1] > pts; at--) s->expected[at] = s->expected[at - 1];
    s->expected[at] = pts;
    return SAC_OK;
}

// Forgets the expected frames up to time `pts` and, with `itself`, of that time.
static void forget_expected(sac_stream *s, int64_t pts, bool itself) {
    int count = 0;
    while (count < s->expected_count &&
           (s->expected[count] < pts || (itself && s->expected[count] == pts)))
        count++;
    s->expected_count -= count;
    memmove(s->expected, s->expected + count, (size_t)s->expected_count * sizeof *s->expected);
}

// Gives the decoder its next packet, or the end of the input.
static sac_status feed(sac_stream *s, int64_t index, sac_error *error) {
    int code;
    for (;;) {
        if (s->have_ahead) {
            code = s->ahead_code;
            av_packet_move_ref(s->packet, s->ahead);
            s->have_ahead = false;
        } else {
            code = read_packet(s, s->packet);
        }
        if (code < 0) break;
        if (is_cut_here(s)) {
            code = s->ahead_code == AVERROR_EXIT ? AVERROR_EXIT : AVERROR_INVALIDDATA;
            break;
        }
        code = avcodec_send_packet(s->decoder, s->packet);
        if (code >= 0 && s->skipping) {
            sac_status status = expect_frame(s, s->packet, index, error);
            if (status < 0) return status;
        }
        av_packet_unref(s->packet);
        if (code >= 0 || code == AVERROR(EAGAIN)) return SAC_OK;
        if (code == AVERROR(ENOMEM)) return SAC_ERROR_MEMORY;
        // Live inputs lose packets, and recordings may begin in the middle of a group of pictures.
        if (s->local && s->started) break;
    }
    av_packet_unref(s->packet);
    if (code == AVERROR_EXIT) return stopped(s, index, error);
    if (code != AVERROR_EOF) s->cut = code;
    (void)avcodec_send_packet(s->decoder, NULL);
    return SAC_OK;
}

// The decoder has handed out everything: was that all there should be?
static sac_status finish(sac_stream *s, int64_t index, sac_error *error) {
    struct stat info;
    if (s->cut != 0)
        return sac_ffmpeg_error(error, s->cut, index, "'%s' is damaged or truncated at frame %lld",
                                s->name, (long long)index);
    int64_t declared = s->local ? sac_container_declared_bytes(s->source) : 0;
    if (declared > 0 && stat(s->source, &info) == 0 && info.st_size < declared)
        return sac_error_set(error, SAC_ERROR_FORMAT, index,
                             "'%s' is truncated at frame %lld: %lld of %lld bytes", s->name,
                             (long long)index, (long long)info.st_size, (long long)declared);
    return SAC_EOF;
}

// The next picture out of the decoder.
static sac_status receive(sac_stream *s, AVFrame *frame, int64_t index, sac_error *error) {
    sac_status status = SAC_OK;
    for (;;) {
        int code = avcodec_receive_frame(s->decoder, frame);
        if (code == 0) break;
        if (code == AVERROR_EOF) return finish(s, index, error);
        if (code == AVERROR(EAGAIN)) {
            SAC_TRY(feed(s, index, error));
        } else if (code == AVERROR(ENOMEM)) {
            SAC_TRY(SAC_ERROR_MEMORY);
        } else if (s->local && s->started && s->cut == 0) {
            // Pictures behind the damaged one, which frame threads may hold already, would get
            // wrong indices.
            SAC_TRY(sac_ffmpeg_error(error, code, index, "'%s' is damaged at frame %lld", s->name,
                                     (long long)index));
        }
        if (stop_reading(s)) SAC_TRY(stopped(s, index, error));
    }
    s->started = true;
fail:
    return status;
}

static double seconds_of(const sac_stream *s, int64_t pts) {
    return pts == AV_NOPTS_VALUE ? NAN
                                 : (double)pts * av_q2d(s->input->streams[s->index]->time_base);
}

// The picture shown last in the place of the earliest expected frame.
static sac_status repeat(sac_stream *s, AVFrame *frame, double *time_s, bool *repeated) {
    if (av_frame_ref(frame, s->shown) < 0) return SAC_ERROR_MEMORY;
    *time_s = seconds_of(s, s->expected[0]);
    *repeated = true;
    s->expected_count--;
    memmove(s->expected, s->expected + 1, (size_t)s->expected_count * sizeof *s->expected);
    return SAC_OK;
}

// Reading with skipped frames: decoded pictures come in order of presentation, so a frame that is
// expected earlier than one was left out.
static sac_status read_skipping(sac_stream *s, AVFrame *frame, double *time_s, bool *repeated,
                                int64_t index, sac_error *error) {
    sac_status status = SAC_OK;
    bool first = s->shown->data[0] == NULL;
    if (s->next->data[0] == NULL) {
        SAC_TRY(receive(s, s->next, index, error));
        if (status == SAC_EOF)
            return s->expected_count > 0 && !first ? repeat(s, frame, time_s, repeated) : SAC_EOF;
    }
    int64_t pts = s->next->pts;
    if (pts == AV_NOPTS_VALUE)
        SAC_TRY(sac_error_set(error, SAC_ERROR_UNSUPPORTED, index,
                              "'%s': frames cannot be skipped, frame %lld has no presentation time",
                              s->name, (long long)index));
    // A recording that begins in the middle of a group of pictures has undecodable ones before the
    // first; without skipping they would not come out either.
    if (first) forget_expected(s, pts, false);
    if (s->expected_count > 0 && s->expected[0] < pts) return repeat(s, frame, time_s, repeated);
    forget_expected(s, pts, true);
    av_frame_unref(s->shown);
    av_frame_move_ref(frame, s->next);
    if (av_frame_ref(s->shown, frame) < 0) SAC_TRY(SAC_ERROR_MEMORY);
    *time_s = seconds_of(s, pts);
fail:
    return status;
}

sac_status sac_stream_read(sac_stream *s, AVFrame *frame, double *time_s, bool *repeated,
                           int64_t index, sac_error *error) {
    sac_status status = SAC_OK;
    *repeated = false;
    expect_data(s);
    if (s->skipping) {
        SAC_TRY(read_skipping(s, frame, time_s, repeated, index, error));
    } else {
        SAC_TRY(receive(s, frame, index, error));
        if (status == SAC_OK) *time_s = seconds_of(s, frame->best_effort_timestamp);
    }
fail:
    if (status == SAC_ERROR_MEMORY)
        sac_error_set(error, status, index, "'%s': out of memory", s->name);
    return status;
}
