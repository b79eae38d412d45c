// Translation of FFmpeg's errors and its one-time set-up. Opens and decodes nothing.
#include "video/ffmpeg.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include <libavdevice/version.h>
#include <libavutil/error.h>
#include <libavutil/log.h>
#include <libavutil/macros.h>

static void start_once(void) {
    av_log_set_level(AV_LOG_QUIET);
}

void sac_ffmpeg_start(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, start_once);
}

// Stays loaded: FFmpeg keeps pointers into it.
static void load_devices(void) {
    void *library =
        dlopen("libavdevice.so." AV_STRINGIFY(LIBAVDEVICE_VERSION_MAJOR), RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) return;
    void (*register_all)(void) = NULL;
    void *found = dlsym(library, "avdevice_register_all");
    memcpy(&register_all, &found, sizeof register_all); // ISO C has no cast for this
    if (register_all != NULL) register_all();
}

void sac_ffmpeg_load_devices(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, load_devices);
}

sac_status sac_ffmpeg_status(int code) {
    switch (code) {
    case AVERROR(ENOMEM):
        return SAC_ERROR_MEMORY;
    case AVERROR_EXIT:
        return SAC_ERROR_INTERRUPTED;
    case AVERROR_INVALIDDATA:
    case AVERROR_EOF:
    case AVERROR_STREAM_NOT_FOUND:
    case AVERROR(EINVAL):
    case AVERROR(ERANGE):
        return SAC_ERROR_FORMAT;
    case AVERROR_DECODER_NOT_FOUND:
    case AVERROR_DEMUXER_NOT_FOUND:
    case AVERROR_ENCODER_NOT_FOUND:
    case AVERROR_MUXER_NOT_FOUND:
    case AVERROR_PROTOCOL_NOT_FOUND:
    case AVERROR_OPTION_NOT_FOUND:
    case AVERROR_PATCHWELCOME:
    case AVERROR(ENOSYS):
        return SAC_ERROR_UNSUPPORTED;
    case AVERROR_HTTP_BAD_REQUEST:
    case AVERROR_HTTP_UNAUTHORIZED:
    case AVERROR_HTTP_FORBIDDEN:
    case AVERROR_HTTP_NOT_FOUND:
    case AVERROR_HTTP_OTHER_4XX:
    case AVERROR_HTTP_SERVER_ERROR:
        return SAC_ERROR_IO;
    default:
        break;
    }
    // FFmpeg's own codes are four-letter tags far beyond any errno.
    return code < 0 && code > -4096 ? SAC_ERROR_IO : SAC_ERROR_BACKEND;
}

sac_status sac_ffmpeg_error(sac_error *error, int code, int64_t position, const char *format, ...) {
    char text[640], reason[AV_ERROR_MAX_STRING_SIZE];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (av_strerror(code, reason, sizeof reason) < 0)
        (void)snprintf(reason, sizeof reason, "error %d", code);
    return sac_error_set(error, sac_ffmpeg_status(code), position, "%s: %s", text, reason);
}
