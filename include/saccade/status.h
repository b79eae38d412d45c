// Status codes, error details and the log callback shared by every part of Saccade.
// The library never prints, exits or keeps global mutable state; everything a person should read
// travels in a sac_error or through a sac_logger.
#ifndef SACCADE_STATUS_H
#define SACCADE_STATUS_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SAC_API       __attribute__((visibility("default")))
#define SAC_NODISCARD __attribute__((warn_unused_result))

// Result of every fallible call: 0 ok, >0 flow control, <0 error.
typedef enum sac_status {
    SAC_OK = 0,
    SAC_AGAIN = 1,              // nothing to hand out yet; feed more input
    SAC_EOF = 2,                // the input ended regularly
    SAC_ERROR_ARGUMENT = -1,    // a value outside its documented range, or calls in the wrong order
    SAC_ERROR_MEMORY = -2,      // allocation failed or a size product overflowed
    SAC_ERROR_IO = -3,          // the operating system refused: missing file, permission, disk full
    SAC_ERROR_FORMAT = -4,      // foreign bytes are not what their format demands
    SAC_ERROR_SHAPE = -5,       // tensor or frame sizes do not fit each other
    SAC_ERROR_UNSUPPORTED = -6, // valid, but outside what this build can do
    SAC_ERROR_NUMERIC = -7,     // a loss, weight or score is not finite
    SAC_ERROR_BACKEND = -8,     // oneDNN or FFmpeg failed for a reason of its own
    SAC_ERROR_INTERRUPTED = -9, // stopped on request after saving what was complete
} sac_status;

// First cause of a failure, for the person who reads it. All functions that take one accept NULL.
typedef struct sac_error {
    sac_status code;
    int64_t position;   // byte offset, line or frame number where it applies, else -1
    char message[1024]; // one sentence naming file, place and what was expected; UTF-8
} sac_error;

// Short fixed English name of a status ("ok", "end of input", "bad argument", ...). Static text,
// never NULL. Any thread.
SAC_API const char *sac_status_name(sac_status status);

// Fills `error` (if not NULL and still SAC_OK: the FIRST cause wins) with code, position and a
// printf message, and returns `code`. The message is cut to fit; control characters and bytes that
// are not UTF-8 become '?'. Any thread.
SAC_API sac_status sac_error_set(sac_error *error, sac_status code, int64_t position,
                                 const char *format, ...) __attribute__((format(printf, 4, 5)));

typedef enum sac_log_level {
    SAC_LOG_ERROR,
    SAC_LOG_WARNING,
    SAC_LOG_INFO,
    SAC_LOG_DEBUG
} sac_log_level;

// Log callback. `write` may be NULL (silent). Called on the thread of the library call.
typedef struct sac_logger {
    void (*write)(void *user, sac_log_level level, const char *message);
    void *user;
} sac_logger;

#ifdef __cplusplus
}
#endif
#endif
