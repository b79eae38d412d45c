// Strict reading of numbers from text, the same for command lines, tables and configs.
#ifndef SAC_CORE_NUMBER_H
#define SAC_CORE_NUMBER_H

#include <stdbool.h>
#include <stdint.h>

// The whole text must be one decimal number: no blanks, no hexadecimal, no "inf" or "nan", nothing
// behind it. The decimal point is '.', whatever locale the program has chosen. False (and *value
// untouched) otherwise or when out of range.
bool sac_number_real(const char *text, double *value);
bool sac_number_integer(const char *text, int64_t *value);

#endif
