// Status names and the first-cause-wins rule of sac_error.
// Deliberately no global error state: the caller owns the sac_error.
#include "saccade/status.h"

#include <stdio.h>

const char *sac_status_name(sac_status status) {
    switch (status) {
    case SAC_OK:
        return "ok";
    case SAC_AGAIN:
        return "more input needed";
    case SAC_EOF:
        return "end of input";
    case SAC_ERROR_ARGUMENT:
        return "bad argument";
    case SAC_ERROR_MEMORY:
        return "out of memory";
    case SAC_ERROR_IO:
        return "input or output failed";
    case SAC_ERROR_FORMAT:
        return "bad format";
    case SAC_ERROR_SHAPE:
        return "sizes do not fit";
    case SAC_ERROR_UNSUPPORTED:
        return "not supported";
    case SAC_ERROR_NUMERIC:
        return "value is not finite";
    case SAC_ERROR_BACKEND:
        return "backend failed";
    case SAC_ERROR_INTERRUPTED:
        return "interrupted";
    }
    return "unknown status";
}

sac_status sac_error_set(sac_error *error, sac_status code, int64_t position, const char *format,
                         ...) {
    if (error == NULL || error->code < 0) return code;
    error->code = code;
    error->position = position;
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(error->message, sizeof error->message, format, arguments);
    va_end(arguments);
    if (length < 0) error->message[0] = '\0';
    // A cut inside a multi-byte character would no longer be UTF-8: drop its first bytes too.
    if (length >= (int)sizeof error->message) {
        size_t end = sizeof error->message - 1;
        size_t start = end;
        while (start > 0 && ((unsigned char)error->message[start - 1] & 0xC0) == 0x80) start--;
        if (start > 0 && (unsigned char)error->message[start - 1] >= 0xC0) {
            unsigned char lead = (unsigned char)error->message[start - 1];
            size_t wanted = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
            if (end - (start - 1) < wanted) error->message[start - 1] = '\0';
        }
    }
    return code;
}
