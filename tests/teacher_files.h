// What a teacher must say to files that are not its own: for the tests of the families.
#ifndef SAC_TESTS_TEACHER_FILES_H
#define SAC_TESTS_TEACHER_FILES_H

#include <criterion/criterion.h>

#include "core/file.h"
#include "core/memory.h"
#include "core/safetensors.h"
#include "helper.h"
#include "teachers/teacher.h"

// A good file with one metadata entry rewritten is refused.
static inline void expect_refusal(const char *good, const char *key, const char *value,
                                  sac_status code, const char *word) {
    sac_safetensors *st = NULL;
    sac_error error = {0};
    sac_assert_ok(sac_safetensors_read(&st, good, &error), &error);
    sac_assert_ok(sac_safetensors_set_metadata(st, key, value, &error), &error);
    sac_teacher *teacher = NULL;
    sac_assert_error(sac_teacher_load(&teacher, st, "hostile", SAC_BACKEND_REF, &error), code,
                     &error, "hostile", word, NULL);
    cr_assert_null(teacher);
    sac_safetensors_close(&st);
}

// A good file is refused when cut at every `step` bytes of about its header, and at a few places of
// its data.
static inline void expect_cuts_refused(const char *good, size_t header, size_t step) {
    uint8_t *bytes = NULL;
    size_t size = 0;
    sac_error error = {0};
    sac_assert_ok(sac_file_read(&bytes, &size, good, 1u << 28, &error), &error);
    for (size_t cut = 0; cut < size; cut += cut < header ? step : size / 7) {
        const char *path = sac_test_write("cut.safetensors", bytes, cut);
        sac_teacher *teacher = NULL;
        error = (sac_error){0};
        sac_assert_error(sac_teacher_open(&teacher, path, SAC_BACKEND_REF, &error),
                         SAC_ERROR_FORMAT, &error, "cut.safetensors", NULL);
    }
    sac_free(bytes);
}

#endif
