// What the layouts of data sets share while a data set is being opened: one file per layout
// (dataset_ucsd.c ...) finds its clips and brings labels to them, dataset.c does the rest. Internal
// to video/.
#ifndef SAC_VIDEO_DATASET_LAYOUT_H
#define SAC_VIDEO_DATASET_LAYOUT_H

#include <stdbool.h>
#include <stdint.h>

#include "saccade/status.h"
#include "video/dataset.h"

// A data set while it is being opened.
typedef struct sac_builder {
    sac_dataset *set; // set->path: the root
    int64_t capacity;
    const sac_logger *logger;
    sac_error *error;
    char *test_folder; // where the test clips lie; NULL: no such half
    char *label_place; // file or folder of labels, as the layout found it; NULL: none
} sac_builder;

typedef struct sac_layout {
    const char *name;      // "ucsd"
    const char *structure; // what was looked for, for the message that nothing was found
    // Adds the clips when the structure is there; none otherwise.
    sac_status (*find)(sac_builder *b);
    // Labels and masks of test clips, whose frames are counted by then.
    sac_status (*label)(sac_builder *b);
} sac_layout;

extern const sac_layout sac_layout_ucsd, sac_layout_avenue, sac_layout_shanghaitech,
    sac_layout_ubnormal, sac_layout_mirror, sac_layout_generic;

// Helpers
// -------------------------------------------------------------------------------------------------

__attribute__((format(printf, 3, 4))) void sac_builder_log(const sac_builder *b,
                                                           sac_log_level level, const char *format,
                                                           ...);
// Path of the first child of `folder` whose name equals one of `wanted` in any case, a folder or a
// file; *path NULL when there is none.
sac_status sac_find_child(char **path, const char *folder, const char *const *wanted, int count,
                          bool is_folder, sac_error *error);
sac_status sac_find_one(char **path, const char *folder, const char *wanted, bool is_folder,
                        sac_error *error);
// The first existing file FOLDER/NAME.ENDING, `endings` separated by blanks ("txt npy"); *path NULL
// when there is none.
sac_status sac_find_file(char **path, const char *folder, const char *name, const char *endings);
bool sac_has_ending(const char *name, const char *ending); // "mat", any case
bool sac_is_video_name(const char *name);
// "train" and digits, in any case.
bool sac_is_numbered(const char *name, const char *prefix);
// Last run of digits in a name: 7 of "Test007", 14 of "01_0014"; -1 when there is none (or it has
// more than 9 digits).
int64_t sac_number_in(const char *name);

char *sac_without_ending(const char *name);
char *sac_parent_of(const char *path);
const char *sac_last_component(const char *path);
// Name of the clip as its files have it (without ending). sac_free it; NULL on lack of memory.
char *sac_clip_file_name(const sac_clip *clip);

sac_status sac_builder_add(sac_builder *b, const char *name, const char *source, bool test);
// Adds the videos and, unless they hold labels or masks, the folders in `folder` as clips.
// SAC_ERROR_IO: no such folder.
sac_status sac_builder_add_folder(sac_builder *b, const char *folder, bool test);
// Two clips of one half must not share a name; where the halves do, each name gets its half in
// front.
sac_status sac_builder_make_unique(sac_builder *b);
// Which of `entries` entries of the range file `path` belongs to each test clip: in order when
// there are as many, else by the clips' numbers (entry 7 for Test007) when all have one within
// 1..entries, since sets with some of the clips are common. `index`: [test clips], from 0.
// SAC_ERROR_FORMAT: neither fits.
sac_status sac_builder_match(sac_builder *b, int64_t *index, int64_t entries, const char *path);
// Zeroed labels for a clip that has none. SAC_ERROR_MEMORY.
sac_status sac_clip_clear_labels(sac_clip *clip);

#endif
