// UTF-8 repair and durations for people. No locale: the same text everywhere.
#include "core/text.h"

#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"

// Length of the valid UTF-8 character at `s`, 0 when there is none. Overlong forms and surrogates
// are not valid.
static size_t character_length(const unsigned char *s) {
    if (s[0] < 0x80) return 1;
    size_t length = s[0] >= 0xF0 ? 4 : s[0] >= 0xE0 ? 3 : 2;
    if (s[0] < 0xC2 || s[0] > 0xF4) return 0;
    for (size_t i = 1; i < length; i++) {
        if ((s[i] & 0xC0) != 0x80) return 0; // also stops at the end of the text
    }
    if (s[0] == 0xE0 && s[1] < 0xA0) return 0;
    if (s[0] == 0xED && s[1] > 0x9F) return 0;
    if (s[0] == 0xF0 && s[1] < 0x90) return 0;
    if (s[0] == 0xF4 && s[1] > 0x8F) return 0;
    return length;
}

// The next character of a foreign text and what stands for it, both of at least a byte.
static const unsigned char *next(const char **as, size_t *length, const unsigned char *s) {
    static const char replacement[] = "\xEF\xBF\xBD";
    const size_t own = character_length(s);
    bool control = (*s < 0x20 && *s != '\t' && *s != '\n') || *s == 0x7F;
    // C1 controls
    control = control || (s[0] == 0xC2 && s[1] >= 0x80 && s[1] < 0xA0);
    const bool kept = own > 0 && !control;
    *as = kept ? (const char *)s : replacement;
    *length = kept ? own : sizeof replacement - 1;
    return s + (own > 0 ? own : 1);
}

char *sac_text_utf8(const char *text) {
    // Each byte becomes at most three.
    char *out = sac_calloc((int64_t)strlen(text) + 1, 3);
    if (out == NULL) return NULL;
    const unsigned char *s = (const unsigned char *)text;
    size_t used = 0;
    while (*s != '\0') {
        const char *as;
        size_t length;
        s = next(&as, &length, s);
        memcpy(out + used, as, length);
        used += length;
    }
    out[used] = '\0';
    return out;
}

char *sac_text_without_login(const char *source) {
    char *out = sac_strdup(source);
    if (out == NULL) return NULL;
    // A URL may hold another ("async:http://...", "...?from=http://..."). As FFmpeg splits them: the
    // login ends at the last @ of the part before the path.
    for (char *at = strstr(out, "://"); at != NULL; at = strstr(at, "://")) {
        at += 3;
        char *host = at;
        const size_t end = strcspn(at, "/?#");
        for (size_t i = 0; i < end; i++)
            if (at[i] == '@') host = at + i + 1;
        memmove(at, host, strlen(host) + 1);
    }
    return out;
}

bool sac_text_is_utf8_of(const char *clean, const char *text) {
    const unsigned char *s = (const unsigned char *)text;
    while (*s != '\0') {
        const char *as;
        size_t length;
        s = next(&as, &length, s);
        if (strncmp(clean, as, length) != 0) return false;
        clean += length;
    }
    return *clean == '\0';
}

char *sac_text_duration(char *buffer, size_t size, double seconds) {
    if (!isfinite(seconds) || fabs(seconds) > 1e12) {
        snprintf(buffer, size, "?");
        return buffer;
    }
    const char *sign = seconds < 0 ? "-" : "";
    int64_t tenths = (int64_t)llround(fabs(seconds) * 10.0);
    int64_t hours = tenths / 36000, minutes = tenths / 600 % 60, rest = tenths % 600;
    if (hours > 0) {
        snprintf(buffer, size, "%s%" PRId64 ":%02" PRId64 ":%02" PRId64 ".%" PRId64, sign, hours,
                 minutes, rest / 10, rest % 10);
    } else if (minutes > 0) {
        snprintf(buffer, size, "%s%" PRId64 ":%02" PRId64 ".%" PRId64, sign, minutes, rest / 10,
                 rest % 10);
    } else {
        snprintf(buffer, size, "%s%" PRId64 ".%" PRId64 " s", sign, rest / 10, rest % 10);
    }
    return buffer;
}

char *sac_text_take(FILE *stream, char **text) {
    char *copy = NULL;
    const bool complete = !ferror(stream);
    if (fclose(stream) == 0 && complete) copy = sac_strdup(*text);
    free(*text);
    return copy;
}
