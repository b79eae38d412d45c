// What several test binaries need: array comparison that says where and how much, temporary
// folders, small files. Everything fails the running Criterion test itself, so callers need no
// checks.
#ifndef SAC_TESTS_HELPER_H
#define SAC_TESTS_HELPER_H

#include <stddef.h>
#include <stdint.h>

#include "saccade/status.h"

// Compares `actual` with `expected`, row-major arrays of shape dims[ndims]. Fails when a value of
// `actual` is not finite (unless `expected` holds the same infinity), when all of `expected` is
// zero (such a comparison checks nothing), or when max |a - e| / max(1, max |e|) exceeds `rtol`.
// The message holds the worst index as coordinates, both values, the scaled error, NMSE = sum (a -
// e)^2 / sum e^2, and `what` (say there how to repeat the case: seed and sizes).
void sac_assert_close(const float *actual, const float *expected, int ndims, const int64_t *dims,
                      double rtol, const char *what);
// The same with the absolute limit `limits[i]` for each element, for error bounds that depend on
// the operands.
void sac_assert_within(const float *actual, const float *expected, const double *limits, int ndims,
                       const int64_t *dims, const char *what);

// Asserts that `status` is `code`, that error->code equals it and that the message contains each
// text of the NULL-terminated list that follows.
void sac_assert_error(sac_status status, sac_status code, const sac_error *error, ...)
    __attribute__((sentinel));
// Asserts SAC_OK and shows the message otherwise.
void sac_assert_ok(sac_status status, const sac_error *error);

// Ends the running test as not runnable here and says why: "SKIPPED: reason" is what tools/test
// collects. Criterion's own cr_skip_test prints nothing and counts as passed.
_Noreturn void sac_skip_case(const char *format, ...) __attribute__((format(printf, 1, 2)));

// Fresh temporary folder; the text is static to the helper. Removed with everything in it by
// sac_test_folder_remove, which is also registered at exit.
const char *sac_test_folder(void);
void sac_test_folder_remove(void);
// Path of `name` in the temporary folder (created on first use). Valid for the rest of the process.
const char *sac_test_path(const char *name);
// Writes bytes to `name` in the temporary folder and returns its path.
const char *sac_test_write(const char *name, const void *bytes, size_t size);
const char *sac_test_write_text(const char *name, const char *text);
// Number of entries in the temporary folder, hidden ones included: shows forgotten temporaries.
int64_t sac_test_folder_count(void);

#endif
