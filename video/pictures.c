// Finds the files of a picture sequence and decodes them one by one with FFmpeg's picture decoders,
// chosen by the first bytes of the file and not by its name. Deliberately no FFmpeg demuxer: its
// picture patterns stop silently at a damaged or missing file.
#include "video/pictures.h"

#include <ctype.h>
#include <errno.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <libavcodec/avcodec.h>

#include "core/check.h"
#include "core/file.h"
#include "core/memory.h"
#include "video/ffmpeg.h"

#define MAX_FILE_BYTES ((size_t)1 << 30)

enum { KINDS = 9 };

struct sac_picture_decoder {
    AVCodecContext *codec[KINDS]; // opened when first needed
    AVPacket *packet;
    int lowres;
    int coded_width, coded_height; // of the last picture
};

struct sac_pictures {
    char *source;
    char **paths;
    int64_t count, capacity;
    sac_picture_decoder *decoder;
};

bool sac_pictures_name(const char *name) {
    static const char *const endings[] = {"jpg",  "jpeg", "png", "bmp", "tif",
                                          "tiff", "pgm",  "ppm", "pnm", "webp"};
    const char *dot = strrchr(name, '.');
    if (dot == NULL) return false;
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++)
        if (strcasecmp(dot + 1, endings[i]) == 0) return true;
    return false;
}

static const char *last_component(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

// Finds "%d" or "%0Nd"; *width is N. The text around it must hold no further percent sign.
static bool find_number(const char *name, const char **begin, const char **end, int *width) {
    const char *p = strchr(name, '%');
    if (p == NULL) return false;
    *begin = p++;
    *width = 0;
    while (isdigit((unsigned char)*p) && *width < 100) *width = *width * 10 + (*p++ - '0');
    if (*p != 'd' || *width > 18) return false;
    *end = p + 1;
    return strchr(*end, '%') == NULL;
}

bool sac_pictures_is_pattern(const char *source) {
    const char *name = last_component(source), *begin, *end;
    int width;
    return strpbrk(name, "*?[") != NULL || find_number(name, &begin, &end, &width);
}

// Takes ownership of `path` (NULL: lack of memory).
static sac_status append(sac_pictures *p, char *path) {
    if (path == NULL) return SAC_ERROR_MEMORY;
    if (p->count == p->capacity) {
        int64_t capacity = p->capacity > 0 ? 2 * p->capacity : 64;
        char **paths = sac_recalloc(p->paths, p->capacity, capacity, sizeof *paths);
        if (paths == NULL) {
            sac_free(path);
            return SAC_ERROR_MEMORY;
        }
        p->paths = paths;
        p->capacity = capacity;
    }
    p->paths[p->count++] = path;
    return SAC_OK;
}

static sac_status open_folder(sac_pictures *p, sac_error *error) {
    sac_status status = SAC_OK;
    char **names = NULL;
    int64_t count = 0;
    SAC_TRY(sac_folder_list(&names, &count, p->source, error));
    for (int64_t i = 0; i < count; i++)
        if (sac_pictures_name(names[i])) SAC_TRY(append(p, sac_path_join(p->source, names[i])));
    if (p->count == 0)
        SAC_TRY(sac_error_set(
            error, SAC_ERROR_FORMAT, -1,
            "folder '%s' holds no pictures (looked for .jpg .jpeg .png .bmp .tif .tiff .pgm .ppm "
            ".pnm .webp)",
            p->source));
fail:
    sac_free(names);
    return status;
}

static int compare_paths(const void *a, const void *b) {
    return sac_natural_compare(*(const char *const *)a, *(const char *const *)b);
}

static sac_status open_glob(sac_pictures *p, sac_error *error) {
    sac_status status = SAC_OK;
    glob_t found = {0};
    int code = glob(p->source, GLOB_NOSORT, NULL, &found);
    if (code == GLOB_NOMATCH)
        SAC_TRY(sac_error_set(error, SAC_ERROR_IO, -1, "no file matches '%s'", p->source));
    if (code == GLOB_NOSPACE) SAC_TRY(SAC_ERROR_MEMORY);
    if (code != 0)
        SAC_TRY(sac_error_set(error, SAC_ERROR_IO, -1, "'%s' cannot be searched", p->source));
    for (size_t i = 0; i < found.gl_pathc; i++) SAC_TRY(append(p, sac_strdup(found.gl_pathv[i])));
    qsort(p->paths, (size_t)p->count, sizeof *p->paths, compare_paths);
fail:
    globfree(&found);
    return status;
}

// Number of `name` if it is prefix + number as printf would write it + suffix, else -1.
static int64_t number_of(const char *name, const char *pattern, const char *begin, const char *end,
                         int width) {
    size_t prefix = (size_t)(begin - pattern), suffix = strlen(end), length = strlen(name);
    if (length <= prefix + suffix || strncmp(name, pattern, prefix) != 0 ||
        strcmp(name + length - suffix, end) != 0)
        return -1;
    const char *digits = name + prefix;
    int count = (int)(length - prefix - suffix);
    if (count < width || count > 18 || (count > 1 && count > width && digits[0] == '0')) return -1;
    int64_t number = 0;
    for (int i = 0; i < count; i++) {
        if (!isdigit((unsigned char)digits[i])) return -1;
        number = number * 10 + (digits[i] - '0');
    }
    return number;
}

static sac_status open_numbered(sac_pictures *p, sac_error *error) {
    sac_status status = SAC_OK;
    const char *pattern = last_component(p->source), *begin, *end;
    char *folder = NULL, **names = NULL;
    int width;
    int64_t count = 0, previous = -1;
    find_number(pattern, &begin, &end, &width);
    folder = pattern == p->source ? sac_strdup(".")
                                  : sac_format("%.*s", (int)(pattern - p->source), p->source);
    SAC_TRY_ALLOC(folder);
    SAC_TRY(sac_folder_list(&names, &count, folder, error));
    // The list is in natural order, so the numbers of one prefix and suffix come in rising order.
    for (int64_t i = 0; i < count; i++) {
        int64_t number = number_of(names[i], pattern, begin, end, width);
        if (number < 0) continue;
        if (previous >= 0 && number != previous + 1)
            SAC_TRY(sac_error_set(error, SAC_ERROR_FORMAT, p->count,
                                  "'%s': number %lld is missing (after %lld comes %lld)", p->source,
                                  (long long)(previous + 1), (long long)previous,
                                  (long long)number));
        SAC_TRY(append(p, sac_path_join(folder, names[i])));
        previous = number;
    }
    if (p->count == 0)
        SAC_TRY(sac_error_set(error, SAC_ERROR_IO, -1, "no file matches '%s'", p->source));
fail:
    sac_free(names);
    sac_free(folder);
    return status;
}

sac_status sac_pictures_open(sac_pictures **pictures, const char *source, sac_error *error) {
    sac_status status = SAC_OK;
    const char *begin, *end;
    int width;
    sac_pictures *p = sac_calloc(1, sizeof *p);
    *pictures = NULL;
    SAC_TRY_ALLOC(p);
    p->source = sac_strdup(source);
    SAC_TRY_ALLOC(p->source);
    SAC_TRY(sac_picture_decoder_create(&p->decoder));
    if (sac_is_folder(source))
        SAC_TRY(open_folder(p, error));
    else if (sac_is_file(source))
        SAC_TRY(append(p, sac_strdup(source)));
    else if (find_number(last_component(source), &begin, &end, &width))
        SAC_TRY(open_numbered(p, error));
    else
        SAC_TRY(open_glob(p, error));
    *pictures = p;
    return SAC_OK;
fail:
    sac_pictures_close(&p);
    if (status == SAC_ERROR_MEMORY) sac_error_set(error, status, -1, "'%s': out of memory", source);
    return status;
}

int64_t sac_pictures_count(const sac_pictures *pictures) {
    return pictures->count;
}

const char *sac_pictures_path(const sac_pictures *pictures, int64_t index) {
    return pictures->paths[index];
}

sac_status sac_pictures_size(const sac_pictures *p, int64_t index, int64_t *bytes,
                             sac_error *error) {
    struct stat info;
    if (stat(p->paths[index], &info) != 0)
        return sac_error_set(error, SAC_ERROR_IO, index, "'%s': %s", p->paths[index],
                             strerror(errno));
    *bytes = info.st_size;
    return SAC_OK;
}

sac_status sac_pictures_decode(sac_pictures *p, int64_t index, AVFrame *frame, sac_error *error) {
    sac_status status = SAC_OK;
    uint8_t *bytes = NULL;
    size_t size = 0;
    SAC_TRY(sac_file_read(&bytes, &size, p->paths[index], MAX_FILE_BYTES, error));
    SAC_TRY(sac_picture_decoder_run(p->decoder, frame, bytes, size, p->paths[index], error));
fail:
    sac_free(bytes);
    return status;
}

void sac_pictures_set_lowres(sac_pictures *pictures, int lowres) {
    pictures->decoder->lowres = lowres;
}

void sac_pictures_coded_size(const sac_pictures *pictures, int *width, int *height) {
    *width = pictures->decoder->coded_width;
    *height = pictures->decoder->coded_height;
}

void sac_pictures_close(sac_pictures **pictures) {
    if (pictures == NULL || *pictures == NULL) return;
    sac_pictures *p = *pictures;
    for (int64_t i = 0; i < p->count; i++) sac_free(p->paths[i]);
    sac_free(p->paths);
    sac_free(p->source);
    sac_picture_decoder_close(&p->decoder);
    sac_free(p);
    *pictures = NULL;
}

// Decoding
// -------------------------------------------------------------------------------------------------

static const struct {
    enum AVCodecID id;
    const char *name;
} kinds[KINDS] = {
    {AV_CODEC_ID_MJPEG, "JPEG"}, {AV_CODEC_ID_PNG, "PNG"}, {AV_CODEC_ID_BMP, "BMP"},
    {AV_CODEC_ID_TIFF, "TIFF"},  {AV_CODEC_ID_PBM, "PBM"}, {AV_CODEC_ID_PGM, "PGM"},
    {AV_CODEC_ID_PPM, "PPM"},    {AV_CODEC_ID_PAM, "PAM"}, {AV_CODEC_ID_WEBP, "WebP"},
};

static int kind_of(const uint8_t *b, size_t size) {
    enum AVCodecID id = AV_CODEC_ID_NONE;
    if (size >= 3 && b[0] == 0xFF && b[1] == 0xD8 && b[2] == 0xFF) id = AV_CODEC_ID_MJPEG;
    if (size >= 8 && memcmp(b, "\x89PNG\r\n\x1a\n", 8) == 0) id = AV_CODEC_ID_PNG;
    if (size >= 14 && b[0] == 'B' && b[1] == 'M') id = AV_CODEC_ID_BMP;
    if (size >= 8 && (memcmp(b, "II*\0", 4) == 0 || memcmp(b, "MM\0*", 4) == 0))
        id = AV_CODEC_ID_TIFF;
    if (size >= 12 && memcmp(b, "RIFF", 4) == 0 && memcmp(b + 8, "WEBP", 4) == 0)
        id = AV_CODEC_ID_WEBP;
    if (size >= 3 && b[0] == 'P' && (isspace(b[2]) || b[2] == '#')) {
        if (b[1] == '1' || b[1] == '4') id = AV_CODEC_ID_PBM;
        if (b[1] == '2' || b[1] == '5') id = AV_CODEC_ID_PGM;
        if (b[1] == '3' || b[1] == '6') id = AV_CODEC_ID_PPM;
        if (b[1] == '7') id = AV_CODEC_ID_PAM;
    }
    for (int i = 0; i < KINDS; i++)
        if (kinds[i].id == id) return i;
    return -1;
}

// FFmpeg decodes a JPEG that stops in the middle and only logs it. The end marker must follow the
// first scan; thumbnails, which have end markers of their own, sit in the segments before it.
static bool jpeg_is_complete(const uint8_t *b, size_t size) {
    size_t at = 2;
    while (at + 4 <= size && b[at] == 0xFF) {
        uint8_t marker = b[at + 1];
        if (marker == 0xFF) {
            at++;
            continue;
        }
        if (marker == 0xDA) {
            while ((at += 2) + 2 <= size) {
                const uint8_t *next = memchr(b + at, 0xFF, size - at - 1);
                if (next == NULL) return false;
                at = (size_t)(next - b);
                if (b[at + 1] == 0xD9) return true;
                if (b[at + 1] == 0xFF) at--; // fill bytes: look again from the second one
            }
            return false;
        }
        bool alone = marker == 0x01 || (marker >= 0xD0 && marker <= 0xD8);
        at += 2 + (alone ? 0u : (size_t)b[at + 2] * 256 + b[at + 3]);
    }
    return false;
}

sac_status sac_picture_decoder_create(sac_picture_decoder **decoder) {
    sac_status status = SAC_OK;
    sac_picture_decoder *d = sac_calloc(1, sizeof *d);
    *decoder = NULL;
    sac_ffmpeg_start();
    SAC_TRY_ALLOC(d);
    d->packet = av_packet_alloc();
    SAC_TRY_ALLOC(d->packet);
    *decoder = d;
    return SAC_OK;
fail:
    sac_picture_decoder_close(&d);
    return status;
}

static sac_status open_codec(AVCodecContext **context, int kind, int lowres, const char *name,
                             sac_error *error) {
    sac_status status = SAC_OK;
    AVCodecContext *c = NULL;
    const AVCodec *codec = avcodec_find_decoder(kinds[kind].id);
    if (codec == NULL)
        SAC_TRY(sac_error_set(error, SAC_ERROR_UNSUPPORTED, -1,
                              "'%s': FFmpeg here has no %s decoder", name, kinds[kind].name));
    if (lowres > codec->max_lowres)
        SAC_TRY(sac_error_set(error, SAC_ERROR_UNSUPPORTED, -1,
                              "'%s': %s pictures cannot be decoded at 1/%d resolution (JPEG can)",
                              name, kinds[kind].name, 1 << lowres));
    c = avcodec_alloc_context3(codec);
    SAC_TRY_ALLOC(c);
    c->lowres = lowres;
    c->thread_count = 1; // one picture at a time; frame threads would hand out the previous one
    c->max_pixels = (int64_t)SAC_MAX_SIDE * SAC_MAX_SIDE;
    c->err_recognition = AV_EF_CRCCHECK | AV_EF_BUFFER | AV_EF_BITSTREAM;
    // In FFmpeg's TIFF decoder this flag would also refuse every tag it does not know.
    if (kinds[kind].id != AV_CODEC_ID_TIFF) c->err_recognition |= AV_EF_EXPLODE;
    int code = avcodec_open2(c, codec, NULL);
    if (code < 0)
        SAC_TRY(sac_ffmpeg_error(error, code, -1, "'%s': %s decoder", name, kinds[kind].name));
    *context = c;
    return SAC_OK;
fail:
    avcodec_free_context(&c);
    return status;
}

sac_status sac_picture_decoder_run(sac_picture_decoder *d, AVFrame *frame, const uint8_t *bytes,
                                   size_t size, const char *name, sac_error *error) {
    sac_status status = SAC_OK;
    av_frame_unref(frame);
    if (size == 0) return sac_error_set(error, SAC_ERROR_FORMAT, -1, "picture '%s' is empty", name);
    int kind = kind_of(bytes, size);
    if (kind < 0)
        return sac_error_set(
            error, SAC_ERROR_FORMAT, 0,
            "'%s' is not a picture (expected JPEG, PNG, BMP, TIFF, PGM, PPM or WebP data)", name);
    if (kinds[kind].id == AV_CODEC_ID_MJPEG && !jpeg_is_complete(bytes, size))
        return sac_error_set(error, SAC_ERROR_FORMAT, (int64_t)size,
                             "picture '%s' is truncated: JPEG without its end", name);
    if (d->codec[kind] == NULL) SAC_TRY(open_codec(&d->codec[kind], kind, d->lowres, name, error));
    AVCodecContext *c = d->codec[kind];
    int code = size <= INT32_MAX / 2 ? av_new_packet(d->packet, (int)size) : AVERROR(ENOMEM);
    if (code < 0) SAC_TRY(sac_ffmpeg_error(error, code, -1, "picture '%s'", name));
    memcpy(d->packet->data, bytes, size);
    d->packet->flags |= AV_PKT_FLAG_KEY;
    avcodec_flush_buffers(c);
    code = avcodec_send_packet(c, d->packet);
    if (code >= 0) code = avcodec_receive_frame(c, frame);
    if (code == AVERROR(EAGAIN)) code = AVERROR_INVALIDDATA;
    if (code < 0)
        SAC_TRY(sac_ffmpeg_error(error, code, -1,
                                 "picture '%s' is damaged, truncated or too large (%s)", name,
                                 kinds[kind].name));
    if (frame->decode_error_flags != 0 || (frame->flags & AV_FRAME_FLAG_CORRUPT) != 0) {
        av_frame_unref(frame);
        SAC_TRY(sac_error_set(error, SAC_ERROR_FORMAT, -1, "picture '%s' is damaged (%s)", name,
                              kinds[kind].name));
    }
    d->coded_width = d->lowres > 0 ? c->coded_width : frame->width;
    d->coded_height = d->lowres > 0 ? c->coded_height : frame->height;
fail:
    av_packet_unref(d->packet);
    return status;
}

void sac_picture_decoder_close(sac_picture_decoder **decoder) {
    if (decoder == NULL || *decoder == NULL) return;
    for (int i = 0; i < KINDS; i++) avcodec_free_context(&(*decoder)->codec[i]);
    av_packet_free(&(*decoder)->packet);
    sac_free(*decoder);
    *decoder = NULL;
}
