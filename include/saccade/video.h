// Frames from anything FFmpeg opens: files, folders and patterns of pictures, URLs, capture devices.
#ifndef SACCADE_VIDEO_H
#define SACCADE_VIDEO_H

#include "saccade/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct sac_video_options {
    int width, height; // wanted size in pixels; 0, 0: the size of the first frame (kept for the whole source)
    int channels;      // 1: gray (luma), 3: RGB
    int threads;       // decoder threads, 0: library's choice
    int queue;         // frames decoded ahead on an own thread, 1..64; 0: decode on the caller's thread
    double frame_rate; // for picture folders and patterns: frames per second that set the presentation times
    const char *format; // FFmpeg input format for devices ("v4l2", "x11grab", "lavfi"), NULL: probe
    double timeout_s;   // network inputs: give up after so long without data
} sac_video_options;

SAC_API sac_video_options sac_video_default_options(void); // source size, 1 channel, queue 4, 25 fps, 10 s

typedef struct sac_video_info {
    int source_width, source_height; // of the first frame
    int width, height, channels;     // delivered
    double frame_rate;               // nominal, 0 when unknown
    int64_t frames;                  // 0 when unknown before the end (never trusted, only for progress)
} sac_video_info;

typedef struct sac_frame {
    const uint8_t *data; // [height][width][channels], rows packed; valid until the next read or close
    int width, height, channels;
    int64_t index; // from 0
    double time_s; // presentation time since the first frame; non-decreasing
} sac_frame;

typedef struct sac_video sac_video;

// Opens `source`: a file, a folder of pictures (natural order), a printf or glob pattern of pictures, a URL, a device.
// SAC_ERROR_IO (missing, unreadable), SAC_ERROR_FORMAT (no video in it, empty, truncated), SAC_ERROR_UNSUPPORTED, SAC_ERROR_MEMORY.
SAC_API SAC_NODISCARD sac_status sac_video_open(sac_video **video, const char *source, const sac_video_options *options, sac_error *error);
SAC_API void sac_video_get_info(const sac_video *video, sac_video_info *info);
// Next frame; SAC_EOF at the regular end. A file cut in the middle of a frame is SAC_ERROR_FORMAT naming file and frame. Frames of a
// different size inside the source are scaled to the delivered size.
SAC_API SAC_NODISCARD sac_status sac_video_read(sac_video *video, sac_frame *frame, sac_error *error);
// Makes a blocked sac_video_read of another thread return SAC_ERROR_INTERRUPTED soon.
SAC_API void sac_video_interrupt(sac_video *video);
SAC_API void sac_video_close(sac_video **video);

#ifdef __cplusplus
}
#endif
#endif
