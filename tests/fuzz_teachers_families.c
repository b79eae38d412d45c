// Any bytes as a teacher file of the families without networks: an error with a message, or a
// teacher that scores an object with a finite number and can be closed again.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "attributes_make.h"
#include "core/file.h"
#include "fuzz.h"
#include "teachers/attributes_family.h"
#include "teachers/teacher.h"

static test_clip clip;

// A teacher of the attribute family as small as it gets.
static sac_safetensors *small_teacher(void) {
    static const sac_attributes_options options = {
        .attributes = "velocity,size", .bank = 16, .neighbours = 1, .combination = 2, .seed = 1};
    char path[64];
    (void)snprintf(path, sizeof path, "/tmp/saccade-fuzz-families-%ld", (long)getpid());
    test_clip_make(&clip, 1.5, false, 3);
    const sac_family_clip view = test_family_clip(&clip, "one");
    const sac_family_job job = {.clips = &view,
                                .count = 1,
                                .options = &options,
                                .folder = "/tmp",
                                .file = path,
                                .stamp = ""};
    json_t *metrics = NULL;
    sac_safetensors *st = NULL;
    if (sac_attributes_family.train(&metrics, &job, NULL) != SAC_OK ||
        sac_safetensors_read(&st, path, NULL) != SAC_OK)
        abort();
    unlink(path);
    json_decref(metrics);
    return st;
}

// The same as the only member of an ensemble.
static sac_safetensors *small_ensemble(const sac_safetensors *part) {
    static const char calibration[] =
        "{\"objects\": 1, \"tasks\": {\"a\": {\"median\": 0, \"q99\": "
        "1}}, \"mean\": {\"median\": 0, \"q99\": 1}}";
    sac_safetensors *st = NULL;
    const char *key;
    char name[128];
    if (sac_safetensors_create(&st) != SAC_OK) abort();
    for (int64_t i = 0; (key = sac_safetensors_metadata_key(part, i)) != NULL; i++) {
        (void)snprintf(name, sizeof name, "member.a.%s", key);
        if (sac_safetensors_set_metadata(st, name, sac_safetensors_metadata(part, key), NULL) < 0)
            abort();
    }
    for (int64_t i = 0; i < sac_safetensors_count(part); i++) {
        const sac_named_tensor *t = sac_safetensors_at(part, i);
        (void)snprintf(name, sizeof name, "member.a.%s", t->name);
        if (sac_safetensors_add(st, name, t->dtype, t->ndims, t->dims, t->data, NULL) < 0) abort();
    }
    if (sac_safetensors_set_metadata(st, "format", "saccade-teacher", NULL) < 0 ||
        sac_safetensors_set_metadata(st, "version", "1", NULL) < 0 ||
        sac_safetensors_set_metadata(st, "teacher", "ensemble", NULL) < 0 ||
        sac_safetensors_set_metadata(st, "members", "[\"a\"]", NULL) < 0 ||
        sac_safetensors_set_metadata(st, "calibration", calibration, NULL) < 0)
        abort();
    return st;
}

size_t sac_fuzz_seed(int index, uint8_t *out, size_t capacity) {
    if (index > 1) return 0;
    char path[64];
    uint8_t *bytes = NULL;
    size_t size = 0;
    (void)snprintf(path, sizeof path, "/tmp/saccade-fuzz-families-%ld", (long)getpid());
    test_clip_close(&clip);
    sac_safetensors *part = small_teacher();
    sac_safetensors *whole = index == 0 ? NULL : small_ensemble(part);
    if (sac_safetensors_write(index == 0 ? part : whole, path, NULL) < 0 ||
        sac_file_read(&bytes, &size, path, 1u << 24, NULL) < 0)
        abort();
    unlink(path);
    sac_safetensors_close(&part);
    sac_safetensors_close(&whole);
    if (size > capacity) abort();
    memcpy(out, bytes, size);
    sac_free(bytes);
    return size;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    sac_safetensors *st = NULL;
    sac_teacher *teacher = NULL;
    sac_error error = {0};
    sac_status status = sac_safetensors_parse(&st, data, size, "fuzz", &error);
    if (status == SAC_OK) status = sac_teacher_load(&teacher, st, "fuzz", SAC_BACKEND_REF, &error);
    if (status < 0 && (error.message[0] == '\0' || teacher != NULL)) abort();
    if (teacher != NULL) {
        // One frame without motion is enough to run every number of the file.
        enum { W = 32, H = 24 };
        static uint8_t pixels[W * H];
        int64_t start[2] = {0, 1};
        sac_box box = {4, 4, 14, 20, 1, -1};
        const sac_detections one = {.frames = 1, .count = 1, .start = start, .boxes = &box};
        float score = NAN;
        error = (sac_error){0};
        status =
            sac_teacher_score(teacher, &score, NULL, &one, pixels, W, H, NULL, NULL, NULL, &error);
        if (status == SAC_OK && !(score >= 0 && score <= 1)) abort();
        if (status < 0 && error.message[0] == '\0') abort();
    }
    sac_teacher_close(&teacher);
    sac_safetensors_close(&st);
    return 0;
}
