// Frames from anything FFmpeg opens: files, folders and patterns of pictures, URLs, capture
// devices.
#ifndef SACCADE_VIDEO_H
#define SACCADE_VIDEO_H

#include <stdbool.h>

#include "saccade/luma.h"
#include "saccade/status.h"

#ifdef __cplusplus
extern "C" {
#endif

// Decoding may leave work out. Each saving changes pixels, and so scores a little;
// `student-bench eval` prints what it costs in AUC.
typedef enum sac_video_skip {
    SAC_VIDEO_SKIP_NONE,
    SAC_VIDEO_SKIP_NONREF, // of frames that no other frame is predicted from (most B frames)
    SAC_VIDEO_SKIP_ALL     // of all frames
} sac_video_skip;

// What happens when frames come faster than they are read and the queue is full.
typedef enum sac_video_late {
    SAC_VIDEO_LATE_BLOCK, // decoding waits: every frame is delivered
    SAC_VIDEO_LATE_DROP   // the oldest waiting frame is dropped and counted: the reader stays close
                          // to a live input, and frame indices show gaps
} sac_video_late;

typedef struct sac_video_options {
    int width, height;  // wanted size, px, 1..16384; 0, 0: that of the first frame, for all frames
    int channels;       // 1: gray (luma), 3: RGB
    bool luma;          // read with sac_video_read_luma instead of sac_video_read; channels 1, and
                        // the size is that of sac_video_picture only
    int threads;        // decoder threads, 0..64; 0: one for small frames, four for large ones
    int queue;          // frames decoded ahead on an own thread, 1..64; 0: on the caller's thread
    double frame_rate;  // of picture folders and patterns, frames per second, (0, 10000]
    const char *format; // FFmpeg input format of a device ("v4l2", "x11grab", "lavfi"); NULL: probe
    double timeout_s;   // live inputs: give up after so long without data; 0: wait for ever
    // In-loop deblocking left out (H.264, HEVC, VP8, VP9; other codecs have no such filter or keep
    // it). Where it is left out of reference frames, errors grow until the next key frame.
    sac_video_skip skip_loop_filter;
    // NONREF: such frames are not decoded, and the frame shown before each is delivered in its
    // place with its own index and time, marked `repeated`: every frame of the input still has one.
    // H.264, HEVC, MPEG-1, -2 and -4 with presentation times; ALL is SAC_ERROR_ARGUMENT.
    sac_video_skip skip_frames;
    int lowres;          // decode at 1 / 2^lowres of both sides, 0..3; MJPEG, MPEG-1, -2, -4, JPEG
    sac_video_late late; // DROP needs a queue
} sac_video_options;

// Source size, 1 channel, no borrowed planes, library's choice of threads, queue 4, 25 fps, no
// format, 10 s, nothing skipped, full resolution, blocking.
SAC_API sac_video_options sac_video_default_options(void);

typedef struct sac_video_info {
    int source_width, source_height; // of the first frame, px; with lowres as it was encoded
    int width, height, channels;     // delivered (luma: by sac_video_picture)
    double frame_rate;               // nominal, 0 when unknown
    int64_t frames; // 0 when unknown before the end (never trusted, only for progress)
} sac_video_info;

typedef struct sac_frame {
    const uint8_t
        *data; // [height][width][channels], rows packed; valid until the next read or close
    int width, height, channels;
    int64_t index; // from 0
    double time_s; // presentation time since the first frame; non-decreasing
    bool repeated; // the picture of the frame before, see skip_frames
    bool damaged;  // the decoder found errors in the picture, or in what it is predicted from, and
                   // covered them up
} sac_frame;

typedef struct sac_luma_frame {
    sac_luma luma; // in the decoder's own memory; valid until the next read or close
    int64_t index; // these as in sac_frame
    double time_s;
    bool repeated, damaged;
} sac_luma_frame;

typedef struct sac_video_counts {
    int64_t decoded;       // by the decoder; more than delivered while frames wait in the queue
    int64_t delivered;     // handed out, repeated ones included
    int64_t repeated;      // delivered in place of frames that were not decoded
    int64_t dropped;       // late frames, see SAC_VIDEO_LATE_DROP
    int64_t damaged;       // delivered, marked `damaged`
    int64_t first_damaged; // index of the first of those, -1: none
} sac_video_counts;

typedef struct sac_video sac_video;

// Opens `source` and decodes its first frame:
// - a folder of pictures: .jpg .jpeg .png .bmp .tif .tiff .pgm .ppm .pnm .webp in natural order,
//   other files ignored;
// - a printf pattern ("frames/%03d.png", from the smallest number on, gaps are errors) or a glob
//   ("frames/*.png");
// - a file, a URL, or with options->format a device; /dev/video* is opened as a camera.
// options NULL: the defaults. Gray is the luma of the video, limited range stretched to 0..255; RGB
// sources give BT.601 luma. Scaling is an area average or bilinear, see video/scale.h.
// A local file may refer to other local files only, never to the network.
//
// SAC_ERROR_ARGUMENT: an option out of range, or ones that exclude each other. SAC_ERROR_IO: no
// file, unreadable, late. SAC_ERROR_FORMAT: no video, empty, damaged, frames beyond 16384 px.
// SAC_ERROR_UNSUPPORTED: no decoder, unknown format, a codec that cannot skip frames or decode at
// lower resolution (the message names it). SAC_ERROR_MEMORY, SAC_ERROR_BACKEND.
// The first call in a process switches FFmpeg's own log off (av_log_set_level); set it again
// afterwards to see it. Owned by the caller, sac_video_close. One thread reads;
// sac_video_interrupt may come from another one.
SAC_API SAC_NODISCARD sac_status sac_video_open(sac_video **video, const char *source,
                                                const sac_video_options *options, sac_error *error);
SAC_API void sac_video_get_info(const sac_video *video, sac_video_info *info);
// Next frame; SAC_EOF at the regular end. Frames of a different size inside the source are scaled
// to the delivered size.
// Damage: bit errors that the decoder notices and covers up cost pixels, but no frame is lost and
// the indices of those behind it stay right. Such frames are delivered, marked and counted as
// `damaged`, from files as from cameras: a day of recording is not worthless for one of them.
// FFmpeg's decoders of H.264, MPEG-1, -2 and -4 tell, of the frame in which the error lies and not
// of all that are predicted from it; those of HEVC, VP8, VP9, MJPEG and FFV1 cover up in silence.
// SAC_ERROR_FORMAT: in a local file data that gives no picture at all, so that the frames behind it
// would be miscounted, named with file and frame; a damaged picture of a folder; or a file cut
// short, which is noticed where the container declares its length (MP4, MOV, Matroska, WebM, AVI)
// or a packet is incomplete; the frames before it are delivered first. Live inputs lose packets and
// go on. SAC_ERROR_IO: no data within timeout_s. SAC_ERROR_INTERRUPTED: after sac_video_interrupt.
// Once it has returned anything but SAC_OK it keeps returning the same.
SAC_API SAC_NODISCARD sac_status sac_video_read(sac_video *video, sac_frame *frame,
                                                sac_error *error);
// The same for a source opened with options.luma, without a copy: the frame's luma plane as the
// decoder made it, in its own size and range (8-bit YUV, NV12 and gray). Luma of other depths or
// layouts, RGB and palettes are converted once into memory of the source, full range for RGB.
// A plane passes from the decoding thread through the queue by reference; nothing is allocated per
// frame besides what FFmpeg's own pools need. Borrowed: copy, score or convert it before the next
// read on this source. Statuses as sac_video_read; SAC_ERROR_UNSUPPORTED for a hardware surface.
SAC_API SAC_NODISCARD sac_status sac_video_read_luma(sac_video *video, sac_luma_frame *frame,
                                                     sac_error *error);
// The luma delivered last as picture u8 [height][width] of sac_video_info, range 0..255: scaled
// and stretched, for overlays and reports. The same bytes that sac_video_read would give.
// SAC_ERROR_ARGUMENT: no plane is held (nothing read yet, or the last read gave none);
// SAC_ERROR_MEMORY.
SAC_API SAC_NODISCARD sac_status sac_video_picture(sac_video *video, uint8_t *gray,
                                                   sac_error *error);
// What happened so far. Any thread.
SAC_API void sac_video_get_counts(sac_video *video, sac_video_counts *counts);
// Makes a blocked or later sac_video_read return SAC_ERROR_INTERRUPTED soon. Any thread; not a
// signal handler.
SAC_API void sac_video_interrupt(sac_video *video);
SAC_API void sac_video_close(sac_video **video); // NULL-safe

#ifdef __cplusplus
}
#endif
#endif
