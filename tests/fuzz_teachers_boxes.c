// Any bytes as a table of boxes: an error or boxes that lie inside the picture, never a crash.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/file.h"
#include "core/memory.h"
#include "fuzz.h"
#include "teachers/detections.h"

static const char *const samples[] = {
    "clip,frame,x1,y1,x2,y2,confidence,class\nA,1,1,2,3,4,0.9,1\nA,2,1.5,2,30,40,0.6,-1\nB,1,0,0,9,"
    "9,1,0\n",
    "frame,clip,y2,x2,y1,x1\r\n3,A,9,9,1,1\r\n3,A,9,9,1,1\r\n4,A,9,9,-1,-1\r\n",
    "\xef\xbb\xbf"
    "clip,frame,x1,y1,x2,y2\nA,5,0,0,16,12\n\n",
};

size_t sac_fuzz_seed(int index, uint8_t *out, size_t capacity) {
    if (index >= (int)(sizeof samples / sizeof samples[0])) return 0;
    size_t size = strlen(samples[index]);
    if (size > capacity) return 0;
    memcpy(out, samples[index], size);
    return size;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static char path[64], specification[80];
    if (path[0] == '\0') {
        (void)snprintf(path, sizeof path, "/tmp/saccade-fuzz-boxes-%ld.csv", (long)getpid());
        (void)snprintf(specification, sizeof specification, "boxes:%s", path);
    }
    FILE *file = fopen(path, "wb");
    if (file == NULL) abort();
    if (size > 0 && fwrite(data, 1, size, file) != size) abort();
    if (fclose(file) != 0) abort();
    sac_detector *detector = NULL;
    sac_detector_options options = sac_detector_default_options();
    sac_error error = {0};
    sac_status status = sac_detector_open(&detector, specification, &options, &error);
    unlink(path);
    if (status < 0) {
        if (error.message[0] == '\0') abort();
        return 0;
    }
    char name[] = "A";
    sac_clip clip = {.name = name, .frames = 5};
    sac_detections d = {0};
    if (sac_detector_run(detector, &d, &clip, NULL, 16, 12, &error) >= 0) {
        if (d.start[0] != 0 || d.start[5] != d.count) abort();
        for (int64_t i = 0; i < d.count; i++) {
            const sac_box *b = &d.boxes[i];
            if (!(b->x1 >= 0 && b->y1 >= 0 && b->x2 <= 16 && b->y2 <= 12)) abort();
            if (!(b->x2 - b->x1 >= 1 && b->y2 - b->y1 >= 1)) abort();
        }
    } else if (error.message[0] == '\0') {
        abort();
    }
    sac_detections_close(&d);
    sac_detector_close(&detector);
    return 0;
}
