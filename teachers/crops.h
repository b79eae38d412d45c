// Crops of objects as a teacher reads them while it learns: of each object the same box at the
// times t-9..t+9, as u8, with a margin that leaves room to shift and scale. Either cut out of the
// clips' pixels on demand, or once for all into a memory-mapped file. Both give the same bytes. No
// networks, no random numbers.
#ifndef SAC_TEACHERS_CROPS_H
#define SAC_TEACHERS_CROPS_H

#include <stdbool.h>
#include <stdint.h>

#include "saccade/status.h"
#include "teachers/detections.h"

enum { SAC_CROP_REACH = 9, SAC_CROP_TIMES = 2 * SAC_CROP_REACH + 1 };

// Where an object is seen. Times outside the clip mean its first or last frame.
typedef struct sac_crop_object {
    const uint8_t *pixels; // u8 gray [frames][height][width]; not needed once the crops are cached
    int width, height;
    int64_t frames, t;
    sac_box box;
} sac_crop_object;

// dst u8 [size + 2 margin][size + 2 margin]: the box of frame t + offset resized to [size][size] as
// it is (not made square, as in the original: what a person's outline looks like is then the same
// near and far), and `margin` more pixels of the same scale around it; gray levels rounded to
// nearest.
// SAC_ERROR_MEMORY. Thread-safe.
SAC_NODISCARD sac_status sac_crop_object_cut(uint8_t *dst, int size, int margin,
                                             const sac_crop_object *object, int offset);

// The file: "SACCROPS", then u32 little-endian version 1, side, times, complete (1), then u64
// objects, features, stamp; zeros up to 64 bytes; crops u8 [objects][19][side][side]; zeros up to a
// multiple of 64; features f32 [objects][features]. It is scratch: little-endian machines only, and
// the pixels themselves carry no checksum.
typedef struct sac_crop_cache sac_crop_cache;

// Bytes of such a file; -1 beyond what fits into 63 bits.
int64_t sac_crop_cache_bytes(int64_t objects, int side, int64_t features);

// Makes the file at full size (the space is reserved, so that a full disk shows here and not later)
// and maps it writable. The old file of that name is replaced.
//   side      pixels, size + 2 margin, 1..1024
//   features  f32 values an object carries besides, 0: none
//   stamp     number that tells one set of objects from another
// SAC_ERROR_ARGUMENT; SAC_ERROR_IO: cannot be made, or the disk is too small, with what it needs
// and has (no file is left then); SAC_ERROR_MEMORY.
SAC_NODISCARD sac_status sac_crop_cache_create(sac_crop_cache **cache, const char *path,
                                               int64_t objects, int side, int64_t features,
                                               uint64_t stamp, sac_error *error);
// Writes the 19 crops of each of objects[0..count) to rows first.. on all threads.
SAC_NODISCARD sac_status sac_crop_cache_put(sac_crop_cache *cache, int64_t first,
                                            const sac_crop_object *objects, int64_t count,
                                            int size);
// Features of a row, writable until commit; NULL when there are none.
float *sac_crop_cache_features(const sac_crop_cache *cache, int64_t row);
// Marks the file complete; it is read-only to us from now on. SAC_ERROR_IO.
SAC_NODISCARD sac_status sac_crop_cache_commit(sac_crop_cache *cache, sac_error *error);
// Maps a complete file. SAC_ERROR_IO: absent or unreadable; SAC_ERROR_FORMAT: not such a file,
// unfinished, cut short, or of other objects than the arguments say. A file that another program
// cuts short while it is mapped ends the process (SIGBUS), like any mapped file.
SAC_NODISCARD sac_status sac_crop_cache_open(sac_crop_cache **cache, const char *path,
                                             int64_t objects, int side, int64_t features,
                                             uint64_t stamp, sac_error *error);
// u8 [19][side][side] of a row, borrowed. Any thread.
const uint8_t *sac_crop_cache_at(const sac_crop_cache *cache, int64_t row);
void sac_crop_cache_close(sac_crop_cache **cache); // NULL-safe; the file stays

// Either kind behind one face.
typedef struct sac_crop_source {
    int size, margin;
    const sac_crop_object *objects; // [rows], read when cache is NULL
    const sac_crop_cache *cache;    // or NULL
} sac_crop_source;
// u8 [side][side] of a row at an offset of -9..9; `scratch` [side][side] is used where the source
// is not cached. NULL: no memory. Thread-safe with a scratch each.
const uint8_t *sac_crop_source_get(const sac_crop_source *source, int64_t row, int offset,
                                   uint8_t *scratch);

#endif
