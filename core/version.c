// The only file that is compiled again when nothing but the git commit changed.
#include "saccade/version.h"

#include "version.h" // written by cmake/version.cmake

const char *sac_version(void) {
    return SAC_VERSION;
}

const char *sac_commit(void) {
    return SAC_COMMIT;
}
