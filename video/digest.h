// SHA-256 of bytes, texts and files, for caches and provenance: tells whether two things are the
// same.
#ifndef SAC_VIDEO_DIGEST_H
#define SAC_VIDEO_DIGEST_H

#include <stddef.h>

#include "saccade/status.h"

#define SAC_DIGEST_TEXT 65 // 64 hexadecimal digits and the final 0

typedef struct sac_digest sac_digest;
// SAC_ERROR_MEMORY. The caller owns it, sac_digest_close. One thread at a time.
SAC_NODISCARD sac_status sac_digest_create(sac_digest **digest);
void sac_digest_bytes(sac_digest *digest, const void *bytes, size_t size);
// A text with its final 0, so that neighbouring fields cannot run together.
void sac_digest_text(sac_digest *digest, const char *text);
// Size and bytes of a file. SAC_ERROR_IO.
SAC_NODISCARD sac_status sac_digest_file(sac_digest *digest, const char *path, sac_error *error);
// Hexadecimal digest of all that was put in; starts anew.
// Source: NIST FIPS 180-4, section 6.2.
void sac_digest_finish(sac_digest *digest, char text[SAC_DIGEST_TEXT]);
void sac_digest_close(sac_digest **digest); // NULL-safe

#endif
