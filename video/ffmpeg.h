// The border to FFmpeg: its error numbers become sac_status here and nowhere else.
#ifndef SAC_VIDEO_FFMPEG_H
#define SAC_VIDEO_FFMPEG_H

#include <libavutil/frame.h>

#include "saccade/status.h"

#define SAC_MAX_SIDE 16384 // width and height of frames and pictures, px

// Silences FFmpeg's own log, once per process. FFmpeg's log level is global: a program that wants
// FFmpeg's messages sets it again after its first sac_video_open.
void sac_ffmpeg_start(void);
// Adds FFmpeg's capture devices (libavdevice) to its input formats, once per process. Loaded only
// where one is wanted: it draws in half of what a program with FFmpeg loads, which takes longer
// than everything else from the start to the first score. Without that library there are no
// devices.
void sac_ffmpeg_load_devices(void);
// IO for errno values of the system and the network, FORMAT for damaged data, UNSUPPORTED for
// missing parts, MEMORY, INTERRUPTED; BACKEND for the rest.
sac_status sac_ffmpeg_status(int code);
// Fills `error` with the text and ": " and what FFmpeg says about `code`; returns
// sac_ffmpeg_status(code).
sac_status sac_ffmpeg_error(sac_error *error, int code, int64_t position, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

#endif
