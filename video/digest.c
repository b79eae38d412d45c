// FFmpeg's SHA-256 behind our names.
#include "video/digest.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <libavutil/mem.h>
#include <libavutil/sha.h>

#include "core/check.h"
#include "core/memory.h"

struct sac_digest {
    struct AVSHA *sha;
};

sac_status sac_digest_create(sac_digest **out) {
    *out = sac_calloc(1, sizeof **out);
    if (*out != NULL) (*out)->sha = av_sha_alloc();
    if (*out == NULL || (*out)->sha == NULL) {
        sac_digest_close(out);
        return SAC_ERROR_MEMORY;
    }
    (void)av_sha_init((*out)->sha, 256);
    return SAC_OK;
}

void sac_digest_bytes(sac_digest *digest, const void *bytes, size_t size) {
    av_sha_update(digest->sha, bytes, size);
}

void sac_digest_text(sac_digest *digest, const char *text) {
    sac_digest_bytes(digest, text, strlen(text) + 1);
}

sac_status sac_digest_file(sac_digest *digest, const char *path, sac_error *error) {
    uint8_t buffer[65536];
    uint64_t total = 0;
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        return sac_error_set(error, SAC_ERROR_IO, -1, "%s: %s", path, strerror(errno));
    }
    for (size_t size; (size = fread(buffer, 1, sizeof buffer, file)) > 0;) {
        sac_digest_bytes(digest, buffer, size);
        total += size;
    }
    const bool failed = ferror(file) != 0;
    fclose(file);
    if (failed) return sac_error_set(error, SAC_ERROR_IO, -1, "%s: cannot be read", path);
    sac_digest_bytes(digest, &total, sizeof total);
    return SAC_OK;
}

void sac_digest_finish(sac_digest *digest, char text[SAC_DIGEST_TEXT]) {
    uint8_t bytes[32];
    av_sha_final(digest->sha, bytes);
    for (int i = 0; i < 32; i++) (void)snprintf(text + 2 * i, 3, "%02x", bytes[i]);
    (void)av_sha_init(digest->sha, 256);
}

void sac_digest_close(sac_digest **slot) {
    if (slot == NULL || *slot == NULL) return;
    av_free((*slot)->sha);
    sac_free(*slot);
    *slot = NULL;
}
