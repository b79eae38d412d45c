// What a running student costs in memory: nothing is allocated per frame, streams share weights,
// and long runs stay flat. The C library's allocation functions are replaced by counting ones.
// oneDNN makes a small argument table for every primitive it runs and frees it again; no caller can
// prevent that, so what comes from it or its C++ library is not counted, but must leave nothing
// behind.
#include <criterion/criterion.h>
#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "helper.h"
#include "stem_make.h"
#include "student/runtime.h"

#if defined(__SANITIZE_ADDRESS__) || !defined(__GLIBC__)
#    define CAN_COUNT 0 // the sanitizer has replaced them already
#else
#    define CAN_COUNT 1
#endif

static _Atomic int64_t calls, bytes_alive;
static _Atomic bool counting;

#if CAN_COUNT
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *block, size_t size);
void *__libc_memalign(size_t alignment, size_t size);
void __libc_free(void *block);

#    define VISIBLE __attribute__((visibility("default")))

static void count(const void *caller) {
    Dl_info where;
    const bool backend = dladdr(caller, &where) != 0 && where.dli_fname != NULL &&
                         (strstr(where.dli_fname, "libdnnl") != NULL ||
                          strstr(where.dli_fname, "libstdc++") != NULL);
    if (!backend) calls++;
}

static inline void *noted(void *block, const void *caller) {
    if (counting) count(caller);
    if (block != NULL) bytes_alive += (int64_t)malloc_usable_size(block);
    return block;
}

static void forget(void *block) {
    if (block != NULL) bytes_alive -= (int64_t)malloc_usable_size(block);
}

VISIBLE void *malloc(size_t size) {
    return noted(__libc_malloc(size), __builtin_return_address(0));
}

VISIBLE void *calloc(size_t count, size_t size) {
    return noted(__libc_calloc(count, size), __builtin_return_address(0));
}

VISIBLE void *realloc(void *block, size_t size) {
    forget(block);
    return noted(__libc_realloc(block, size), __builtin_return_address(0));
}

VISIBLE void *memalign(size_t alignment, size_t size) {
    return noted(__libc_memalign(alignment, size), __builtin_return_address(0));
}

VISIBLE void *aligned_alloc(size_t alignment, size_t size) {
    return noted(__libc_memalign(alignment, size), __builtin_return_address(0));
}

VISIBLE int posix_memalign(void **block, size_t alignment, size_t size) {
    *block = noted(__libc_memalign(alignment, size), __builtin_return_address(0));
    return *block != NULL ? 0 : ENOMEM;
}

VISIBLE void free(void *block) {
    forget(block);
    __libc_free(block);
}
#endif

enum { W = 32, H = 24 };

static void frame(uint8_t *pixels, int64_t size, int64_t t) {
    for (int64_t i = t % 13; i < size; i += 13) pixels[i] = (uint8_t)((i * 7 + t * 5) & 127);
}

// Cut or whole, f32 or int8.
enum { KINDS = 4 };

static sac_model *model_of(int kind) {
    sac_model *model =
        make_stem_model(W, H, 1, kind % 2 == 1 ? STEM_OWN_PARAMETERS : STEM_SOUND, 5);
    if (kind >= 2) quantise_model(model);
    return model;
}

static sac_precision precision_of(int kind) {
    return kind >= 2 ? SAC_PRECISION_INT8 : SAC_PRECISION_F32;
}

// Pushes and pulls frames first..last, through every way in.
static int64_t stream(sac_student *s, int64_t first, int64_t last) {
    static uint8_t pixels[48 * 40];
    sac_error error = {0};
    sac_result result;
    int64_t got = 0;
    for (int64_t t = first; t < last; t++) {
        frame(pixels, sizeof pixels, t);
        sac_status status = t % 2 == 0 ? sac_student_push(s, pixels, 48, 40, 1, (double)t, &error)
                                       : sac_student_push_plane(s, pixels, (double)t, &error);
        cr_assert(status == SAC_OK, "%s", error.message);
        while ((status = sac_student_pull(s, &result, &error)) == SAC_OK) got++;
        cr_assert(status == SAC_AGAIN, "%s", error.message);
    }
    return got;
}

Test(student_steady, counting_works) {
    if (!CAN_COUNT) cr_skip_test("SKIPPED: allocations cannot be counted in this build");
    calls = 0;
    counting = true;
    void *volatile block = malloc(10);
    sac_free(sac_calloc(3, 7));
    counting = false;
    free(block);
    cr_assert_eq(calls, 2);
}

Test(student_steady, nothing_is_allocated_per_frame) {
    if (!CAN_COUNT) cr_skip_test("SKIPPED: allocations cannot be counted in this build");
    for (int kind = 0; kind < KINDS; kind++) {
        for (int gate = 0; gate < 2; gate++) {
            sac_error error = {0};
            sac_model *model = model_of(kind);
            const sac_student_options options = {
                .threads = 1, .precision = precision_of(kind), .gate = gate == 1};
            sac_student *s = NULL;
            sac_assert_ok(sac_student_create(&s, &model, &options, &error), &error);
            (void)stream(s, 0, 20);
            const int64_t alive = bytes_alive;
            calls = 0;
            counting = true;
            const int64_t got = stream(s, 20, 200);
            counting = false;
            cr_assert_eq(got, 180);
            cr_assert_eq(calls, 0, "%d allocations in 180 frames", (int)calls);
            cr_assert(bytes_alive == alive, "%d bytes more", (int)(bytes_alive - alive));
            sac_student_close(&s);
        }
    }
}

Test(student_steady, nothing_is_allocated_per_frame_of_a_pool) {
    if (!CAN_COUNT) cr_skip_test("SKIPPED: allocations cannot be counted in this build");
    for (int kind = 0; kind < KINDS; kind++) {
        sac_error error = {0};
        sac_model *model = model_of(kind);
        const sac_student_pool_options two = {.workers = 2};
        const sac_student_options options = {.precision = precision_of(kind)};
        sac_student_pool *pool = NULL;
        sac_student *s = NULL;
        sac_assert_ok(sac_student_pool_create(&pool, &model, &options, &two, &error), &error);
        sac_assert_ok(sac_student_pool_stream(pool, &s, &error), &error);
        // Both workers must have met both kinds of work.
        (void)stream(s, 0, 400);
        calls = 0;
        counting = true;
        (void)stream(s, 400, 800);
        counting = false;
        cr_assert_eq(calls, 0, "%d allocations in 400 frames", (int)calls);
        sac_student_close(&s);
        sac_student_pool_close(&pool);
    }
}

Test(student_steady, a_long_run_stays_flat) {
    // Eight hours at seven frames per second, of the smallest network.
    const int64_t frames = CAN_COUNT ? 200000 : 2000;
    sac_error error = {0};
    sac_model *model = sac_calloc(1, sizeof *model);
    model->arch = sac_strdup("small");
    model->preprocess = sac_preprocess_default();
    model->preprocess.width = model->preprocess.height = 16;
    model->net = make_small_net();
    model->provenance = json_object();
    sac_assert_ok(sac_params_create(&model->params, model->net, &error), &error);
    randomise(model, 3);
    const sac_student_options options = {.threads = 1};
    sac_student *s = NULL;
    sac_assert_ok(sac_student_create(&s, &model, &options, &error), &error);
    int64_t got = stream(s, 0, 1000);
    const int64_t before = bytes_alive;
    got += stream(s, 1000, frames);
    cr_assert_eq(got, frames - 3);
    cr_assert_eq(bytes_alive, before, "%d bytes more after the run", (int)(bytes_alive - before));
    sac_student_close(&s);
}

Test(student_steady, sixty_four_streams_share_one_set_of_weights) {
    if (!CAN_COUNT) cr_skip_test("SKIPPED: allocations cannot be counted in this build");
    enum { STREAMS = 64 };
    static sac_student *streams[STREAMS];
    static uint8_t pixels[160 * 96];
    sac_error error = {0};
    sac_model *model = make_stem_model(160, 96, 1, STEM_SOUND, 5);
    const sac_student_pool_options two = {.workers = 2};
    sac_student_pool *pool = NULL;
    const int64_t before = bytes_alive;
    sac_assert_ok(sac_student_pool_create(&pool, &model, NULL, &two, &error), &error);
    int64_t one = 0;
    for (int i = 0; i < STREAMS; i++) {
        const int64_t start = bytes_alive;
        sac_assert_ok(sac_student_pool_stream(pool, &streams[i], &error), &error);
        if (i == 0) one = bytes_alive - start;
    }
    int64_t got = 0;
    for (int t = 0; t < 24; t++) {
        for (int i = 0; i < STREAMS; i++) {
            sac_result result;
            frame(pixels, sizeof pixels, t + 7 * i);
            sac_assert_ok(sac_student_push_plane(streams[i], pixels, t, &error), &error);
            while (sac_student_pull(streams[i], &result, &error) == SAC_OK) got++;
        }
    }
    const double all = (double)(bytes_alive - before), each = (double)one;
    // Rings of 23 planes of 15 KiB, 13 features of 120 KiB in f32, and small change.
    cr_assert(each < 2.5 * 1024 * 1024, "%.0f bytes per stream", each);
    cr_assert(all < 400.0 * 1024 * 1024 && all < 66.0 * each + 64e6, "%.0f bytes in all", all);
    cr_assert_gt(got, 64 * 10);
    for (int i = 0; i < STREAMS; i++) sac_student_close(&streams[i]);
    sac_student_pool_close(&pool);
}
