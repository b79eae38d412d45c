// Frame ranges of the UCSD data sets, distributed as a few lines of MATLAB. This reads exactly the
// statements that occur there and refuses everything else; it is no MATLAB interpreter.
#include "core/ranges.h"

#include <stdbool.h>
#include <string.h>

#include "core/check.h"
#include "core/file.h"
#include "core/memory.h"

#define RANGES_LIMIT ((size_t)16 << 20)
#define MAX_FRAME    100000000

typedef struct parser {
    const char *at, *end; // rest of the current line
    int64_t line;
    const char *name;
    sac_error *error;
    sac_range *ranges;
    int64_t count, capacity, clips;
} parser;

static sac_status expected(const parser *p, const char *what) {
    int rest = p->end - p->at > 40 ? 40 : (int)(p->end - p->at);
    return sac_error_set(p->error, SAC_ERROR_FORMAT, p->line,
                         "%s: line %lld: %s was expected at '%.*s'", p->name, (long long)p->line,
                         what, rest, p->at);
}

static void skip_blanks(parser *p) {
    while (p->at < p->end && (*p->at == ' ' || *p->at == '\t' || *p->at == '\r')) p->at++;
}

static bool take(parser *p, const char *text) {
    skip_blanks(p);
    size_t length = strlen(text);
    if ((size_t)(p->end - p->at) < length || memcmp(p->at, text, length) != 0) return false;
    p->at += length;
    return true;
}

static bool take_name(parser *p) {
    skip_blanks(p);
    const char *first = p->at;
    while (p->at < p->end &&
           ((*p->at >= 'a' && *p->at <= 'z') || (*p->at >= 'A' && *p->at <= 'Z') || *p->at == '_' ||
            (p->at > first && *p->at >= '0' && *p->at <= '9'))) {
        p->at++;
    }
    return p->at > first;
}

static bool take_frame(parser *p, int64_t *frame) {
    skip_blanks(p);
    const char *first = p->at;
    int64_t number = 0;
    while (p->at < p->end && *p->at >= '0' && *p->at <= '9') {
        number = number * 10 + (*p->at - '0');
        if (number > MAX_FRAME) return false;
        p->at++;
    }
    *frame = number;
    return p->at > first && number >= 1;
}

static sac_status add_range(parser *p, int64_t first, int64_t last) {
    if (p->count == p->capacity) {
        int64_t larger = p->capacity * 2 + 16;
        sac_range *grown = sac_recalloc(p->ranges, p->count, larger, sizeof *grown);
        if (grown == NULL) {
            return sac_error_set(p->error, SAC_ERROR_MEMORY, -1, "%s: no memory for its ranges",
                                 p->name);
        }
        p->ranges = grown;
        p->capacity = larger;
    }
    p->ranges[p->count++] = (sac_range){.clip = p->clips, .first = first, .last = last};
    return SAC_OK;
}

static bool at_line_end(parser *p) {
    skip_blanks(p);
    return p->at == p->end || *p->at == '%';
}

// name = {};   or   name{end+1}.gt_frame = [a:b, c];
static sac_status parse_line(parser *p) {
    if (at_line_end(p)) return SAC_OK;
    if (!take_name(p)) return expected(p, "a variable name");
    if (take(p, "=")) {
        if (!take(p, "{") || !take(p, "}")) return expected(p, "'{}'");
    } else {
        if (!take(p, "{") || !take(p, "end") || !take(p, "+") || !take(p, "1") || !take(p, "}")) {
            return expected(p, "'{end+1}'");
        }
        if (!take(p, ".") || !take(p, "gt_frame")) return expected(p, "'.gt_frame'");
        if (!take(p, "=")) return expected(p, "'='");
        if (!take(p, "[")) return expected(p, "'['");
        while (!take(p, "]")) {
            int64_t first, last;
            if (!take_frame(p, &first))
                return expected(p, "a frame number from 1 to 100000000, or ']',");
            last = first;
            if (take(p, ":") && (!take_frame(p, &last) || last < first)) {
                return expected(p, "a last frame that is not before the first");
            }
            sac_status status = add_range(p, first, last);
            if (status < 0) return status;
            take(p, ",");
        }
        p->clips++;
    }
    take(p, ";");
    return at_line_end(p) ? SAC_OK : expected(p, "the end of the line");
}

sac_status sac_ranges_parse(sac_range **ranges, int64_t *count, int64_t *clips, const void *bytes,
                            size_t size, const char *name, sac_error *error) {
    sac_status status = SAC_OK;
    parser p = {.name = name, .error = error};
    *ranges = NULL;
    *count = *clips = 0;
    const char *text = size > 0 ? bytes : "", *end = text + size;
    while (text < end) {
        const char *stop = memchr(text, '\n', (size_t)(end - text));
        p.at = text;
        p.end = stop != NULL ? stop : end;
        p.line++;
        SAC_TRY(parse_line(&p));
        text = stop != NULL ? stop + 1 : end;
    }
    if (p.clips == 0) {
        status = sac_error_set(
            error, SAC_ERROR_FORMAT, p.line,
            "%s: no entry such as 'TestVideoFile{end+1}.gt_frame = [61:180];' was found", name);
        goto fail;
    }
    // Entries may all be "[]": the caller still gets a block it can free.
    if (p.ranges == NULL) p.ranges = sac_calloc(0, sizeof *p.ranges);
    if (p.ranges == NULL) {
        status = sac_error_set(error, SAC_ERROR_MEMORY, -1, "%s: no memory for its ranges", name);
        goto fail;
    }
    *ranges = p.ranges;
    *count = p.count;
    *clips = p.clips;
    return SAC_OK;
fail:
    sac_free(p.ranges);
    return status;
}

sac_status sac_ranges_read(sac_range **ranges, int64_t *count, int64_t *clips, const char *path,
                           sac_error *error) {
    uint8_t *bytes = NULL;
    size_t size = 0;
    sac_status status = SAC_OK;
    *ranges = NULL;
    *count = *clips = 0;
    SAC_TRY(sac_file_read(&bytes, &size, path, RANGES_LIMIT, error));
    SAC_TRY(sac_ranges_parse(ranges, count, clips, bytes, size, path, error));
fail:
    sac_free(bytes);
    return status;
}
