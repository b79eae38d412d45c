// Frames from anything FFmpeg opens: files, folders and patterns of pictures, URLs, capture
// devices.
#ifndef SACCADE_VIDEO_H
#define SACCADE_VIDEO_H

#include "saccade/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct sac_video_options {
    int width, height;  // wanted size, px, 1..16384; 0, 0: that of the first frame, for all frames
    int channels;       // 1: gray (luma), 3: RGB
    int threads;        // decoder threads, 0..64; 0: one for small frames, four for large ones
    int queue;          // frames decoded ahead on an own thread, 1..64; 0: on the caller's thread
    double frame_rate;  // of picture folders and patterns, frames per second, (0, 10000]
    const char *format; // FFmpeg input format of a device ("v4l2", "x11grab", "lavfi"); NULL: probe
    double timeout_s;   // live inputs: give up after so long without data; 0: wait for ever
} sac_video_options;

// Source size, 1 channel, library's choice of threads, queue 4, 25 fps, no format, 10 s.
SAC_API sac_video_options sac_video_default_options(void);

typedef struct sac_video_info {
    int source_width, source_height; // of the first frame, px
    int width, height, channels;     // delivered
    double frame_rate;               // nominal, 0 when unknown
    int64_t frames; // 0 when unknown before the end (never trusted, only for progress)
} sac_video_info;

typedef struct sac_frame {
    const uint8_t
        *data; // [height][width][channels], rows packed; valid until the next read or close
    int width, height, channels;
    int64_t index; // from 0
    double time_s; // presentation time since the first frame; non-decreasing
} sac_frame;

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
// SAC_ERROR_ARGUMENT: an option out of range. SAC_ERROR_IO: missing, unreadable, no data in time.
// SAC_ERROR_FORMAT: no video in it, empty, damaged, frames larger than 16384 px.
// SAC_ERROR_UNSUPPORTED: no decoder, unknown format. SAC_ERROR_MEMORY, SAC_ERROR_BACKEND.
// The first call in a process switches FFmpeg's own log off (av_log_set_level); set it again
// afterwards to see it. Owned by the caller, sac_video_close. One thread reads;
// sac_video_interrupt may come from another one.
SAC_API SAC_NODISCARD sac_status sac_video_open(sac_video **video, const char *source,
                                                const sac_video_options *options, sac_error *error);
SAC_API void sac_video_get_info(const sac_video *video, sac_video_info *info);
// Next frame; SAC_EOF at the regular end. Frames of a different size inside the source are scaled
// to the delivered size.
// SAC_ERROR_FORMAT: damaged data, named with file and frame (in folders the picture), or a file cut
// short, which is noticed where the container declares its length (MP4, MOV, Matroska, WebM, AVI)
// or a packet is incomplete; the frames before it are delivered first. SAC_ERROR_IO: no data
// within timeout_s. SAC_ERROR_INTERRUPTED: after sac_video_interrupt.
// Once it has returned anything but SAC_OK it keeps returning the same.
SAC_API SAC_NODISCARD sac_status sac_video_read(sac_video *video, sac_frame *frame,
                                                sac_error *error);
// Makes a blocked or later sac_video_read return SAC_ERROR_INTERRUPTED soon. Any thread; not a
// signal handler.
SAC_API void sac_video_interrupt(sac_video *video);
SAC_API void sac_video_close(sac_video **video); // NULL-safe

#ifdef __cplusplus
}
#endif
#endif
