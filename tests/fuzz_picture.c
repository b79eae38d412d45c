// Any bytes as a picture file, decoded and converted to gray and RGB.
#include <libavutil/frame.h>
#include <libavutil/mem.h>
#include <string.h>

#include "core/memory.h"
#include "fuzz.h"
#include "video/convert.h"
#include "video/pictures.h"

#define SEED(text)                                                                                 \
    { text, sizeof(text) - 1 }

size_t sac_fuzz_seed(int index, uint8_t *out, size_t capacity) {
    static const uint8_t bmp[] = "BM\x46\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0\2\0\0\0\2\0\0\0\1\0\x18"
                                 "\0\0\0\0\0\x10\0\0\0\0\0\0\0\0\0"
                                 "\0\0\0\0\0\0\0\0\0\0\1\2\3\4\5\6\0\0\7\x08\x09\x0a\x0b\x0c\0\0";
    static const uint8_t png[] = "\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\1\0\0\0\1\x08\0\0\0\0\x3a\x7e"
                                 "\x9b\x55\0\0\0\nIDAT\x08\xd7\x63"
                                 "\x68\0\0\0\x82\0\x81\xdd\x43\x6a\xf4\0\0\0\0IEND\xae\x42\x60\x82";
    static const uint8_t tiff[] = "II*"
                                  "\0\x08\0\0\0\x07\0\0\1\3\0\1\0\0\0\2\0\0\0\1\1\3\0\1\0\0\0\1\0\0"
                                  "\0\2\1\3\0\1\0\0\0\x08\0\0\0\3\1\3\0\1\0\0\0\1\0\0\0"
                                  "\6\1\3\0\1\0\0\0\1\0\0\0\x11\1\4\0\1\0\0\0\x62\0\0\0\x17\1\4\0\1"
                                  "\0\0\0\2\0\0\0\0\0\0\0\x10\x20";
    static const struct {
        const void *bytes;
        size_t size;
    } seeds[] = {SEED("P5\n3 2\n255\nabcdef"),
                 SEED("P6 2 1 255 abcdef"),
                 SEED("P2\n2 2\n15\n1 2 3 4\n"),
                 SEED("P4\n9 2\n\1\2\3\4"),
                 SEED("P5\n2 1\n65535\nabcd"),
                 SEED(bmp),
                 SEED(png),
                 SEED(tiff),
                 SEED("P7\nWIDTH 1\nHEIGHT 1\nDEPTH 3\nMAXVAL 255\nTUPLTYPE RGB\nENDHDR\nabc")};
    if (index >= (int)(sizeof seeds / sizeof *seeds) || seeds[index].size > capacity) return 0;
    memcpy(out, seeds[index].bytes, seeds[index].size);
    return seeds[index].size;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    sac_picture_decoder *decoder = NULL;
    AVFrame *frame = av_frame_alloc();
    sac_error error = {0};
    av_max_alloc((size_t)64 << 20); // a picture may claim any size; the fuzzer's memory is limited
    if (frame == NULL || sac_picture_decoder_create(&decoder) < 0) __builtin_trap();
    sac_status status = sac_picture_decoder_run(decoder, frame, data, size, "fuzz", &error);
    if (status < 0 && error.message[0] == 0) __builtin_trap();
    for (int channels = 1; status == SAC_OK && channels <= 3; channels += 2) {
        sac_converter *converter = NULL;
        uint8_t out[16 * 8 * 3];
        if (sac_converter_create(&converter, 16, 8, channels) < 0) __builtin_trap();
        if ((int64_t)frame->width * frame->height <= 1 << 22 &&
            sac_converter_run(converter, out, frame, "fuzz", &error) < 0 && error.message[0] == 0)
            __builtin_trap();
        sac_converter_close(&converter);
    }
    sac_picture_decoder_close(&decoder);
    av_frame_free(&frame);
    return 0;
}
