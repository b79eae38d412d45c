// Crops cut on demand, and the memory-mapped file of crops.
#include "teachers/crops.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "core/check.h"
#include "core/memory.h"
#include "video/scale.h"

enum { HEADER = 64, ALIGNMENT = 64, VERSION = 1, MOST_SIDE = 1024 };
// Left on the disk for checkpoints and results.
static const int64_t SPARE_BYTES = (int64_t)64 << 20;

typedef struct header {
    char magic[8];
    uint32_t version, side, times, complete;
    uint64_t objects, features, stamp;
    uint8_t zero[16];
} header;
_Static_assert(sizeof(header) == HEADER, "the header is written as it lies in memory");

struct sac_crop_cache {
    uint8_t *map;
    int64_t bytes, objects, features, features_at;
    int side;
    bool writable;
};

static int64_t time_of(const sac_crop_object *o, int offset) {
    int64_t t = o->t + offset;
    if (t < 0) return 0;
    return t < o->frames ? t : o->frames - 1;
}

sac_status sac_crop_object_cut(uint8_t *dst, int size, int margin, const sac_crop_object *o,
                               int offset) {
    const int side = size + 2 * margin;
    const int64_t area = (int64_t)side * side;
    float *crop = sac_calloc(area, sizeof *crop);
    if (crop == NULL) return SAC_ERROR_MEMORY;
    const double px = ((double)o->box.x2 - (double)o->box.x1) / size * margin,
                 py = ((double)o->box.y2 - (double)o->box.y1) / size * margin;
    sac_crop_gray(crop, side, side, o->pixels + time_of(o, offset) * o->width * o->height, o->width,
                  o->height, (double)o->box.x1 - px, (double)o->box.y1 - py, (double)o->box.x2 + px,
                  (double)o->box.y2 + py);
    for (int64_t i = 0; i < area; i++) dst[i] = (uint8_t)(crop[i] * 255.0f + 0.5f);
    sac_free(crop);
    return SAC_OK;
}

// Where the features begin and the file ends.
static bool measure(int64_t objects, int side, int64_t features, int64_t *features_at,
                    int64_t *bytes) {
    int64_t crop = (int64_t)side * side * SAC_CROP_TIMES;
    return side >= 1 && side <= MOST_SIDE && sac_mul(objects, crop, features_at) &&
           sac_add(*features_at, HEADER + ALIGNMENT - 1, features_at) &&
           (*features_at &= ~(int64_t)(ALIGNMENT - 1), true) && sac_mul(objects, features, bytes) &&
           sac_mul(*bytes, (int64_t)sizeof(float), bytes) && sac_add(*bytes, *features_at, bytes);
}

int64_t sac_crop_cache_bytes(int64_t objects, int side, int64_t features) {
    int64_t at, bytes;
    return measure(objects, side, features, &at, &bytes) ? bytes : -1;
}

static header make_header(int64_t objects, int side, int64_t features, uint64_t stamp) {
    header h = {.version = VERSION,
                .side = (uint32_t)side,
                .times = SAC_CROP_TIMES,
                .objects = (uint64_t)objects,
                .features = (uint64_t)features,
                .stamp = stamp};
    memcpy(h.magic, "SACCROPS", sizeof h.magic);
    return h;
}

static sac_status allocate(sac_crop_cache **out, int64_t objects, int side, int64_t features,
                           const char *path, sac_error *error) {
    *out = NULL;
    int64_t at, bytes;
    if (objects < 1 || features < 0 || !measure(objects, side, features, &at, &bytes)) {
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "%s: a cache of %" PRId64 " crops of %d px is out of range", path,
                             objects, side);
    }
    sac_crop_cache *cache = sac_calloc(1, sizeof *cache);
    if (cache == NULL) return sac_error_set(error, SAC_ERROR_MEMORY, -1, "%s: no memory", path);
    cache->map = MAP_FAILED;
    cache->objects = objects;
    cache->features = features;
    cache->features_at = at;
    cache->bytes = bytes;
    cache->side = side;
    *out = cache;
    return SAC_OK;
}

static sac_status map_file(sac_crop_cache *cache, int file, const char *path, sac_error *error) {
    int protection = cache->writable ? PROT_READ | PROT_WRITE : PROT_READ;
    cache->map = mmap(NULL, (size_t)cache->bytes, protection, MAP_SHARED, file, 0);
    if (cache->map != MAP_FAILED) return SAC_OK;
    return sac_error_set(error, SAC_ERROR_IO, -1, "%s: cannot be mapped: %s", path,
                         strerror(errno));
}

static double gigabytes(double bytes) {
    return bytes / 1e9;
}

sac_status sac_crop_cache_create(sac_crop_cache **out, const char *path, int64_t objects, int side,
                                 int64_t features, uint64_t stamp, sac_error *error) {
    sac_status status = SAC_OK;
    struct statvfs disk;
    sac_crop_cache *cache = NULL;
    int file = -1;
    *out = NULL;
    SAC_TRY(allocate(&cache, objects, side, features, path, error));
    cache->writable = true;
    if (unlink(path) != 0 && errno != ENOENT) {
        status = sac_error_set(error, SAC_ERROR_IO, -1, "%s: cannot be replaced: %s", path,
                               strerror(errno));
        goto fail;
    }
    file = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (file < 0) {
        status =
            sac_error_set(error, SAC_ERROR_IO, -1, "%s: cannot be made: %s", path, strerror(errno));
        goto fail;
    }
    if (fstatvfs(file, &disk) == 0) {
        double room = (double)disk.f_bavail * (double)disk.f_frsize;
        if (room < (double)cache->bytes + (double)SPARE_BYTES) {
            status = sac_error_set(error, SAC_ERROR_IO, -1,
                                   "%s: the crops of %" PRId64
                                   " objects need %.2f GB, the disk has %.2f GB left",
                                   path, objects, gigabytes((double)cache->bytes), gigabytes(room));
            goto fail;
        }
    }
    int refused = posix_fallocate(file, 0, (off_t)cache->bytes);
    if (refused != 0) {
        status = sac_error_set(error, SAC_ERROR_IO, -1, "%s: %.2f GB cannot be reserved: %s", path,
                               gigabytes((double)cache->bytes), strerror(refused));
        goto fail;
    }
    SAC_TRY(map_file(cache, file, path, error));
    header h = make_header(objects, side, features, stamp);
    memcpy(cache->map, &h, sizeof h);
    (void)close(file);
    *out = cache;
    return SAC_OK;
fail:
    if (file >= 0) {
        (void)close(file);
        (void)unlink(path);
    }
    sac_crop_cache_close(&cache);
    return status;
}

sac_status sac_crop_cache_put(sac_crop_cache *cache, int64_t first, const sac_crop_object *objects,
                              int64_t count, int size) {
    const int margin = (cache->side - size) / 2;
    const int64_t area = (int64_t)cache->side * cache->side;
    bool failed = false;
#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < count; i++) {
        uint8_t *row = cache->map + HEADER + (first + i) * SAC_CROP_TIMES * area;
        for (int k = 0; k < SAC_CROP_TIMES; k++) {
            int offset = k - SAC_CROP_REACH;
            // Repeated border frames.
            if (k > 0 && time_of(&objects[i], offset) == time_of(&objects[i], offset - 1)) {
                memcpy(row + k * area, row + (k - 1) * area, (size_t)area);
            } else if (sac_crop_object_cut(row + k * area, size, margin, &objects[i], offset) < 0) {
#pragma omp atomic write
                failed = true;
            }
        }
    }
    return failed ? SAC_ERROR_MEMORY : SAC_OK;
}

float *sac_crop_cache_features(const sac_crop_cache *cache, int64_t row) {
    if (cache->features == 0) return NULL;
    // The map is aligned to pages and features_at to 64.
    return (float *)(void *)(cache->map + cache->features_at) + row * cache->features;
}

sac_status sac_crop_cache_commit(sac_crop_cache *cache, sac_error *error) {
    header h;
    // The pixels first, so that a file marked complete is.
    if (msync(cache->map, (size_t)cache->bytes, MS_SYNC) != 0) goto fail;
    memcpy(&h, cache->map, sizeof h);
    h.complete = 1;
    memcpy(cache->map, &h, sizeof h);
    if (msync(cache->map, HEADER, MS_SYNC) != 0) goto fail;
    if (mprotect(cache->map, (size_t)cache->bytes, PROT_READ) != 0) goto fail;
    cache->writable = false;
    return SAC_OK;
fail:
    return sac_error_set(error, SAC_ERROR_IO, -1, "the crop cache cannot be written: %s",
                         strerror(errno));
}

sac_status sac_crop_cache_open(sac_crop_cache **out, const char *path, int64_t objects, int side,
                               int64_t features, uint64_t stamp, sac_error *error) {
    sac_status status = SAC_OK;
    sac_crop_cache *cache = NULL;
    struct stat info;
    header h, wanted = make_header(objects, side, features, stamp);
    int file = -1;
    *out = NULL;
    SAC_TRY(allocate(&cache, objects, side, features, path, error));
    file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0 || fstat(file, &info) != 0 || !S_ISREG(info.st_mode)) {
        status = sac_error_set(error, SAC_ERROR_IO, -1, "%s: cannot be opened: %s", path,
                               file < 0 ? strerror(errno) : "no file");
        goto fail;
    }
    if (pread(file, &h, sizeof h, 0) != (ssize_t)sizeof h ||
        memcmp(h.magic, wanted.magic, sizeof h.magic) != 0 || h.version != VERSION) {
        status = sac_error_set(error, SAC_ERROR_FORMAT, 0, "%s: not a crop cache of version %d",
                               path, (int)VERSION);
        goto fail;
    }
    wanted.complete = h.complete;
    if (h.complete != 1 || info.st_size != (off_t)cache->bytes) {
        status = sac_error_set(error, SAC_ERROR_FORMAT, 0,
                               "%s: unfinished or cut short: %lld bytes, expected %" PRId64, path,
                               (long long)info.st_size, cache->bytes);
        goto fail;
    }
    if (memcmp(&h, &wanted, sizeof h) != 0) {
        status = sac_error_set(error, SAC_ERROR_FORMAT, 0,
                               "%s: holds %" PRIu64 " objects at %" PRIu32 " px with %" PRIu64
                               " features of another run, expected %" PRId64 ", %d and %" PRId64,
                               path, h.objects, h.side, h.features, objects, side, features);
        goto fail;
    }
    SAC_TRY(map_file(cache, file, path, error));
    (void)close(file);
    *out = cache;
    return SAC_OK;
fail:
    if (file >= 0) (void)close(file);
    sac_crop_cache_close(&cache);
    return status;
}

const uint8_t *sac_crop_cache_at(const sac_crop_cache *cache, int64_t row) {
    return cache->map + HEADER + row * SAC_CROP_TIMES * cache->side * cache->side;
}

void sac_crop_cache_close(sac_crop_cache **slot) {
    if (slot == NULL || *slot == NULL) return;
    if ((*slot)->map != MAP_FAILED) (void)munmap((*slot)->map, (size_t)(*slot)->bytes);
    sac_free(*slot);
    *slot = NULL;
}

const uint8_t *sac_crop_source_get(const sac_crop_source *source, int64_t row, int offset,
                                   uint8_t *scratch) {
    const int64_t side = source->size + 2 * source->margin;
    if (source->cache != NULL) {
        return sac_crop_cache_at(source->cache, row) + (offset + SAC_CROP_REACH) * side * side;
    }
    return sac_crop_object_cut(scratch, source->size, source->margin, &source->objects[row],
                               offset) < 0
               ? NULL
               : scratch;
}
