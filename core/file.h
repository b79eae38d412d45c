// Whole-file reads with a size limit, and writes that either complete or leave nothing behind.
#ifndef SAC_CORE_FILE_H
#define SAC_CORE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "saccade/status.h"

// Reads a regular file into a fresh block (sac_free it), with one extra 0 byte behind `*size`.
// SAC_ERROR_IO: cannot be opened or read, is a folder; SAC_ERROR_FORMAT: larger than `limit`.
SAC_NODISCARD sac_status sac_file_read(uint8_t **data, size_t *size, const char *path, size_t limit,
                                       sac_error *error);

// A file under construction: written to "<path>.tmp-<pid>-<n>" in the same folder, fsynced and renamed over
// `path` by commit; close without commit removes the temporary. "-" as path means standard output (no temporary).
typedef struct sac_file_writer sac_file_writer;
SAC_NODISCARD sac_status sac_file_writer_open(sac_file_writer **writer, const char *path,
                                              sac_error *error);
SAC_NODISCARD sac_status sac_file_write(sac_file_writer *writer, const void *data, size_t size,
                                        sac_error *error);
SAC_NODISCARD sac_status sac_file_printf(sac_file_writer *writer, sac_error *error,
                                         const char *format, ...)
    __attribute__((format(printf, 3, 4)));
// Path of the temporary, for libraries that insist on opening a path themselves.
const char *sac_file_writer_path(const sac_file_writer *writer);
SAC_NODISCARD sac_status sac_file_writer_commit(sac_file_writer **writer, sac_error *error);
void sac_file_writer_close(sac_file_writer **writer); // NULL-safe; abandons when not committed

// Convenience: whole buffer in one atomic write.
SAC_NODISCARD sac_status sac_file_save(const char *path, const void *data, size_t size,
                                       sac_error *error);

// mkdir -p. SAC_ERROR_IO names the component that failed.
SAC_NODISCARD sac_status sac_folder_create(const char *path, sac_error *error);
bool sac_is_folder(const char *path);
bool sac_is_file(const char *path);

// Entries of a folder in natural order ("2" before "10"), hidden ones left out; NULL-terminated array and
// strings in one block (sac_free it). Names only.
SAC_NODISCARD sac_status sac_folder_list(char ***names, int64_t *count, const char *path,
                                         sac_error *error);
// Natural order comparison: digit runs compare as numbers.
int sac_natural_compare(const char *a, const char *b);
// "a/b" with exactly one slash; sac_free it; NULL on lack of memory.
char *sac_path_join(const char *folder, const char *name);

#endif
