// Tests that must fail under the sanitizers: they show that a leak or an undefined operation does
// turn a test red, which Criterion alone would let pass. Registered in sanitizer builds only, as
// expected failures.
#include <criterion/criterion.h>
#include <limits.h>
#include <stdlib.h>

#include "core/memory.h"

Test(canary, leak) {
    char *volatile block = sac_calloc(100, 1);
    block = NULL;
    cr_assert(block == NULL);
}

Test(canary, overflow) {
    volatile int largest = INT_MAX;
    volatile int sum = largest + 1;
    cr_assert(sum != 0);
}
