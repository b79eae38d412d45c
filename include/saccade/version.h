// Version of the library that is running.
#ifndef SACCADE_VERSION_H
#define SACCADE_VERSION_H

#include "saccade/status.h"

#ifdef __cplusplus
extern "C" {
#endif

// "MAJOR.MINOR.PATCH". Static text, never NULL. Any thread.
SAC_API const char *sac_version(void);
// Abbreviated git commit of the sources, with "-dirty" behind it when they had been altered; ""
// when the build did not come from a git checkout. Static text, never NULL. Any thread.
SAC_API const char *sac_commit(void);

#ifdef __cplusplus
}
#endif
#endif
