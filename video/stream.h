// Decoded pictures out of a container, stream or device through libavformat and libavcodec.
// Sequences of still pictures are video/pictures.h; sizes, pixel formats, times and the queue are
// the video source's business.
#ifndef SAC_VIDEO_STREAM_H
#define SAC_VIDEO_STREAM_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <libavutil/frame.h>

#include "saccade/status.h"
#include "saccade/video.h"

typedef struct sac_stream sac_stream;

typedef struct sac_stream_info {
    double frame_rate; // nominal, 0 when unknown
    int64_t frames;    // declared or estimated, 0 when unknown
    int width, height; // of the encoded pictures as the container says, px
    bool local;        // a regular file
} sac_stream_info;

// Of the options: format, threads, timeout_s, skip_loop_filter, skip_frames, lowres. `stop` is
// polled while opening and reading, also inside FFmpeg's input; true gives SAC_ERROR_INTERRUPTED.
// Borrowed.
SAC_NODISCARD sac_status sac_stream_open(sac_stream **stream, const char *source,
                                         const sac_video_options *options, const atomic_bool *stop,
                                         sac_error *error);
void sac_stream_get_info(const sac_stream *stream, sac_stream_info *info);
// Next picture, `index` from 0 used in messages. *time_s: presentation time, NaN when the input has
// none. *repeated: it stands for a frame that was not decoded (skip_frames). SAC_EOF;
// SAC_ERROR_FORMAT (damaged; local file cut), SAC_ERROR_IO (read error, no data for timeout_s), ...
SAC_NODISCARD sac_status sac_stream_read(sac_stream *stream, AVFrame *frame, double *time_s,
                                         bool *repeated, int64_t index, sac_error *error);
void sac_stream_close(sac_stream **stream);

#endif
