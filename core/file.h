// Whole-file reads with a size limit, and writes that either complete or leave nothing behind.
#ifndef SAC_CORE_FILE_H
#define SAC_CORE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "saccade/status.h"

// Reads a regular file into a fresh block with one extra 0 byte behind its `*size` bytes; the
// caller frees *data with sac_free. *data is NULL after an error.
//   SAC_ERROR_IO      cannot be opened or read; a folder, pipe or device (which might never end)
//   SAC_ERROR_FORMAT  larger than `limit` bytes
//   SAC_ERROR_MEMORY
SAC_NODISCARD sac_status sac_file_read(uint8_t **data, size_t *size, const char *path, size_t limit,
                                       sac_error *error);

// A file under construction: written to "<path>.tmp-<process>-<n>" in the same folder, synced and
// renamed over `path` by commit; close without commit removes it. "-" as path means standard
// output; devices and pipes are written directly. One thread at a time.
typedef struct sac_file_writer sac_file_writer;

//   SAC_ERROR_ARGUMENT  the path is empty
//   SAC_ERROR_IO        the file cannot be created, or `path` is a folder
//   SAC_ERROR_MEMORY
SAC_NODISCARD sac_status sac_file_writer_open(sac_file_writer **writer, const char *path,
                                              sac_error *error);

// SAC_ERROR_IO: the system refused (disk full, quota). Writes are buffered, so the error may come
// as late as commit, which fails for good after a failed write.
SAC_NODISCARD sac_status sac_file_write(sac_file_writer *writer, const void *data, size_t size,
                                        sac_error *error);
SAC_NODISCARD sac_status sac_file_printf(sac_file_writer *writer, sac_error *error,
                                         const char *format, ...)
    __attribute__((format(printf, 3, 4)));

// Path of the temporary, for libraries that insist on opening a path themselves; what they leave
// there is committed. Borrowed.
const char *sac_file_writer_path(const sac_file_writer *writer);

// Flushes, syncs and renames; the file then exists under its name, complete. Closes the writer and
// sets it to NULL, also on failure, which leaves an older file of that name as it was.
// SAC_ERROR_IO: the system refused at any of these steps.
SAC_NODISCARD sac_status sac_file_writer_commit(sac_file_writer **writer, sac_error *error);

// NULL-safe; abandons what was not committed.
void sac_file_writer_close(sac_file_writer **writer);

// A whole buffer in one atomic write; the statuses of the calls above.
SAC_NODISCARD sac_status sac_file_save(const char *path, const void *data, size_t size,
                                       sac_error *error);

// Whether a file could be written to `path` now, for what is to be said before hours of work: makes
// and removes a temporary beside it. Nothing is asked of NULL and "-"; devices and pipes are not
// opened, which their readers would see. The statuses of sac_file_writer_open.
SAC_NODISCARD sac_status sac_file_check(const char *path, sac_error *error);

// Refuses an output that is one of the inputs, by whatever name or link: writing it would cost the
// person what can perhaps not be made again. SAC_ERROR_ARGUMENT names the option `--option` if it
// is not NULL; nothing is asked of a file that is NULL, and devices, pipes and what does not exist
// are fine.
SAC_NODISCARD sac_status sac_file_check_kept(const char *input, const char *output,
                                             const char *option, sac_error *error);

// Creates a folder and what is missing above it; an existing one is fine. SAC_ERROR_IO names the
// component that failed; SAC_ERROR_ARGUMENT: the path is empty; SAC_ERROR_MEMORY.
SAC_NODISCARD sac_status sac_folder_create(const char *path, sac_error *error);

// What the path leads to, links followed; false when it does not exist or cannot be seen.
bool sac_is_folder(const char *path);
bool sac_is_file(const char *path);

// Names (not paths) of a folder's entries in natural order, hidden ones left out: a NULL-terminated
// array and its texts in one block, which the caller frees with sac_free. SAC_ERROR_IO;
// SAC_ERROR_MEMORY.
SAC_NODISCARD sac_status sac_folder_list(char ***names, int64_t *count, const char *path,
                                         sac_error *error);

// Natural order, in which digit runs compare as numbers of any length ("f2" before "f10"): -1, 0 or
// 1. A total order: equal numbers written differently ("01", "1") are told apart by their bytes.
int sac_natural_compare(const char *a, const char *b);

// "folder/name" with exactly one slash between; just `name` when the folder is empty. NULL when
// memory is short. The caller frees it with sac_free.
char *sac_path_join(const char *folder, const char *name);

// The name at the end of a path, within it; all of a path that ends in a slash.
const char *sac_path_last(const char *path);

#endif
