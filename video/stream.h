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

typedef struct sac_stream sac_stream;

typedef struct sac_stream_info {
    double frame_rate; // nominal, 0 when unknown
    int64_t frames;    // declared or estimated, 0 when unknown
} sac_stream_info;

// `stop` is polled while opening and reading, also inside FFmpeg's input; true gives
// SAC_ERROR_INTERRUPTED. Borrowed.
SAC_NODISCARD sac_status sac_stream_open(sac_stream **stream, const char *source,
                                         const char *format, int threads, double timeout_s,
                                         const atomic_bool *stop, sac_error *error);
void sac_stream_get_info(const sac_stream *stream, sac_stream_info *info);
// Next picture, `index` from 0 used in messages. *time_s: presentation time, NaN when the input has
// none. SAC_EOF; SAC_ERROR_FORMAT (damaged; local file cut), SAC_ERROR_IO (read error, no data for
// timeout_s), ...
SAC_NODISCARD sac_status sac_stream_read(sac_stream *stream, AVFrame *frame, double *time_s,
                                         int64_t index, sac_error *error);
void sac_stream_close(sac_stream **stream);

#endif
