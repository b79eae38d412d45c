// Any bytes as a video file, through the whole source. The file lives in memory (memfd), so nothing
// is written to disk.
#include <libavutil/mem.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/file.h"
#include "core/memory.h"
#include "fuzz.h"
#include "saccade/video.h"
#include "video/container.h"
#include "video/picture.h"

// Small videos of our own making in several containers.
size_t sac_fuzz_seed(int index, uint8_t *out, size_t capacity) {
    static const char *const endings[] = {"mp4", "mkv", "avi", "ts", "flv", "mov"};
    char path[64];
    uint8_t pixels[24 * 16], *bytes = NULL;
    size_t size = 0;
    sac_video_writer *writer = NULL;
    if (index >= 12) return 0;
    (void)snprintf(path, sizeof path, "/tmp/sac_fuzz_%ld.%s", (long)getpid(), endings[index % 6]);
    // An impossible combination leaves a seed of one byte, so that the others still get their turn.
    out[0] = 0;
    if (sac_video_writer_open(&writer, path, 24, 16, 25, index >= 6, NULL) != SAC_OK) return 1;
    for (int t = 0; t < 4; t++) {
        for (int i = 0; i < 24 * 16; i++) pixels[i] = (uint8_t)(i * 7 + t * 31);
        if (sac_video_writer_frame(writer, pixels, 1, NULL) != SAC_OK) break;
    }
    if (sac_video_writer_commit(&writer, NULL) == SAC_OK &&
        sac_file_read(&bytes, &size, path, capacity, NULL) == SAC_OK)
        memcpy(out, bytes, size);
    sac_free(bytes);
    (void)unlink(path);
    return size > 0 ? size : 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char path[64];
    sac_error error = {0};
    sac_video *video = NULL;
    sac_video_options options = sac_video_default_options();
    sac_frame frame;
    sac_luma_frame plane;
    uint8_t picture[16 * 8];
    sac_status status;
    av_max_alloc((size_t)64 << 20);
    int file = memfd_create("fuzz", MFD_CLOEXEC);
    if (file < 0) return 0;
    if (write(file, data, size) != (ssize_t)size) __builtin_trap();
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    if (sac_container_declared_bytes(path) < 0) __builtin_trap();
    options.width = 16;
    options.height = 8;
    options.threads = 1;
    options.queue = size % 3 == 0 ? 2 : 0;
    // Bits of the size choose how it is read, so that every input goes the same way again.
    options.luma = size % 2 == 0;
    options.skip_loop_filter = (sac_video_skip)(size / 2 % 3);
    options.skip_frames = size / 4 % 4 == 0 ? SAC_VIDEO_SKIP_NONREF : SAC_VIDEO_SKIP_NONE;
    options.lowres = size / 8 % 4 == 0 ? 1 : 0;
    if (size / 16 % 4 == 0 && options.queue > 0) options.late = SAC_VIDEO_LATE_DROP;
    bool gaps = options.late == SAC_VIDEO_LATE_DROP;
    status = sac_video_open(&video, path, &options, &error);
    for (int t = 0; t < 50 && status == SAC_OK; t++) {
        if (options.luma) {
            status = sac_video_read_luma(video, &plane, &error);
            if (status != SAC_OK) break;
            if (plane.index != t && !gaps) __builtin_trap();
            status = sac_video_picture(video, picture, &error);
        } else {
            status = sac_video_read(video, &frame, &error);
            if (status != SAC_OK) break;
            if (frame.width != 16 || frame.height != 8 || (frame.index != t && !gaps))
                __builtin_trap();
        }
    }
    if (status < 0 && error.message[0] == 0) __builtin_trap();
    sac_video_close(&video);
    (void)close(file);
    return 0;
}
