// Texts of foreign origin (file names, metadata) made safe for JSON and HTML.
#ifndef SAC_CORE_TEXT_H
#define SAC_CORE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

// Copy of `text` as valid UTF-8: bytes that are not, and control characters other than tab and line
// feed, become U+FFFD. sac_free it; NULL on lack of memory.
char *sac_text_utf8(const char *text);
// Whether `clean` is that copy of `text`.
bool sac_text_is_utf8_of(const char *clean, const char *text);

// Copy of the name of a video source for whoever reads it: in URLs "user:password@" is left out, as
// in "rtsp://camera/1" of "rtsp://user:secret@camera/1". sac_free it; NULL on lack of memory.
char *sac_text_without_login(const char *source);

// Seconds as "1:02:03.4", "2:03.4" or "3.4 s"; `size` >= 32. Returns the buffer.
char *sac_text_duration(char *buffer, size_t size, double seconds);

// Closes a stream of open_memstream and hands out what was written as a text of sac_calloc
// (sac_free it); NULL when anything failed on the way. *text, the stream's own, is freed.
char *sac_text_take(FILE *stream, char **text);

#endif
