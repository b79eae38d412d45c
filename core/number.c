// Strict decimal numbers. strtod does the rounding; this file only decides what it is allowed to
// see.
#include "core/number.h"

#include <errno.h>
#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

bool sac_number_real(const char *text, double *value) {
    size_t length = strlen(text);
    // strtod would also take blanks, hexadecimal, "inf" and "nan".
    if (length == 0 || length > 400 || strspn(text, "0123456789+-.eE") != length) return false;
    // An embedding program may have set a locale with a decimal comma.
    locale_t plain = newlocale(LC_NUMERIC_MASK, "C", (locale_t)0);
    if (plain == (locale_t)0) return false;
    char *end = NULL;
    double number = strtod_l(text, &end, plain);
    freelocale(plain);
    if (end == text || *end != '\0' || !isfinite(number)) return false;
    *value = number;
    return true;
}

bool sac_number_integer(const char *text, int64_t *value) {
    const char *digits = text + (*text == '-' || *text == '+');
    size_t length = strlen(digits);
    if (length == 0 || strspn(digits, "0123456789") != length) return false;
    errno = 0;
    long long number = strtoll(text, NULL, 10);
    if (errno != 0) return false;
    *value = number;
    return true;
}
