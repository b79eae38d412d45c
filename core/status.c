// Status names and the first-cause-wins rule of sac_error.
// Deliberately no global error state: the caller owns the sac_error.
#include "saccade/status.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

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

// Length of the UTF-8 character that starts at `text`, 0 when there is none (RFC 3629).
static size_t character_bytes(const unsigned char *text) {
    if (text[0] < 0x80) return 1;
    size_t length = text[0] >= 0xF0 ? 4 : text[0] >= 0xE0 ? 3 : 2;
    if (text[0] < 0xC2 || text[0] > 0xF4) return 0;
    for (size_t i = 1; i < length; i++) {
        if ((text[i] & 0xC0) != 0x80) return 0; // also at the final zero
    }
    // Overlong forms, surrogates and values above U+10FFFF.
    if (text[0] == 0xE0 && text[1] < 0xA0) return 0;
    if (text[0] == 0xED && text[1] > 0x9F) return 0;
    if (text[0] == 0xF0 && text[1] < 0x90) return 0;
    if (text[0] == 0xF4 && text[1] > 0x8F) return 0;
    return length;
}

// Messages quote file names and pieces of foreign files: nothing in them may reach a terminal as a
// control sequence or break the UTF-8 of a log. A character cut at the end is dropped whole.
static void make_printable(char *message, bool cut) {
    unsigned char *at = (unsigned char *)message;
    while (*at != '\0') {
        size_t length = character_bytes(at);
        if (length == 0) {
            bool at_end = cut && strlen((const char *)at) < 4;
            *at = at_end ? '\0' : '?';
            if (at_end) break;
            length = 1;
        } else if (*at < ' ' || *at == 0x7F) {
            *at = *at == '\n' || *at == '\t' ? ' ' : '?';
        }
        at += length;
    }
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
    make_printable(error->message, length >= (int)sizeof error->message);
    return code;
}
