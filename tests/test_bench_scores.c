// Score files: every accepted form gives the same scores, every malformed one a message that names
// the clip or the line.
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "bench/scores.h"
#include "core/file.h"
#include "core/memory.h"
#include "core/npy.h"
#include "helper.h"

enum { TRAIN = 1, CLIPS = 4 };

typedef struct fixture {
    char names[CLIPS][16], path[8];
    uint8_t labels[3][4];
    sac_clip clips[CLIPS];
    sac_dataset dataset;
    sac_clip_selection selection;
} fixture;

// Train001; Test001 with 4 frames, Test002 with 3; Test003 without labels.
static void set_up(fixture *f) {
    memset(f, 0, sizeof *f);
    const char *const names[CLIPS] = {"Train001", "Test001", "Test002", "Test003"};
    const int64_t frames[CLIPS] = {9, 4, 3, 5};
    for (int c = 0; c < CLIPS; c++) {
        snprintf(f->names[c], sizeof f->names[c], "%s", names[c]);
        f->clips[c] = (sac_clip){.name = f->names[c], .frames = frames[c], .test = c >= TRAIN};
    }
    f->labels[0][3] = f->labels[1][0] = 1;
    f->clips[1].labels = f->labels[0];
    f->clips[2].labels = f->labels[1];
    snprintf(f->path, sizeof f->path, "set");
    f->dataset = (sac_dataset){.path = f->path, .name = f->path, .clips = f->clips, .count = CLIPS};
    sac_error error = {0};
    sac_assert_ok(sac_clip_select(&f->selection, &f->dataset, NULL, &error), &error);
}

static void tear_down(fixture *f) {
    sac_clip_selection_close(&f->selection);
}

// A folder in the temporary folder, emptied of what an earlier case left.
static const char *folder_with(const char *name, const char *test001, const char *test002) {
    static char path[600];
    sac_error error = {0};
    snprintf(path, sizeof path, "%s", sac_test_path(name));
    sac_assert_ok(sac_folder_create(path, &error), &error);
    const char *const texts[] = {test001, test002};
    for (int i = 0; i < 2; i++) {
        char file[700];
        snprintf(file, sizeof file, "%s/Test%03d.csv", path, i + 1);
        if (texts[i] != NULL)
            sac_assert_ok(sac_file_save(file, texts[i], strlen(texts[i]), &error), &error);
    }
    return path;
}

#define GOOD_1 "frame,time_s,score\n0,0.0,0.5\n1,0.1,-1\n2,0.2,1e-3\n3,0.3,9\n"
#define GOOD_2 "frame,score\n1,1\n2,2\n3,3\n"

static void expect_good(const fixture *f, const char *path) {
    const float first[] = {0.5F, -1.0F, 1e-3F, 9.0F}, second[] = {1.0F, 2.0F, 3.0F};
    sac_score_set set;
    sac_error error = {0};
    sac_assert_ok(sac_score_set_read(&set, path, "score", &f->selection, &error), &error);
    cr_assert_eq(set.count, 2);
    cr_assert_eq(memcmp(set.scores[0], first, sizeof first), 0, "%s", path);
    cr_assert_eq(memcmp(set.scores[1], second, sizeof second), 0, "%s", path);
    cr_assert_not_null(strstr(set.name, "scores "));
    sac_score_set_close(&set);
    cr_assert_null(set.scores);
}

Test(bench_scores, selection) {
    fixture f;
    set_up(&f);
    cr_assert_eq(f.selection.count, 2);
    cr_assert_eq(f.selection.frames, 7);
    sac_clip_selection some;
    sac_error error = {0};
    sac_assert_ok(sac_clip_select(&some, &f.dataset, "Test002,Test001,Test002", &error), &error);
    cr_assert_eq(some.count, 2);
    cr_assert_str_eq(some.clips[0]->name, "Test001");
    sac_clip_selection_close(&some);
    sac_assert_ok(sac_clip_select(&some, &f.dataset, "Test002", &error), &error);
    cr_assert_eq(some.count, 1);
    cr_assert_eq(some.frames, 3);
    sac_clip_selection_close(&some);
    const struct {
        const char *names, *message;
    } bad[] = {{"Test009", "'Test009' is not a clip"},
               {"Train001", "training clip"},
               {"Test003", "without labels"},
               {"Test001,", "'' is not a clip"},
               {"", "'' is not a clip"},
               {"Test00", "'Test00' is not a clip"}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        error = (sac_error){0};
        sac_assert_error(sac_clip_select(&some, &f.dataset, bad[i].names, &error),
                         SAC_ERROR_ARGUMENT, &error, bad[i].message, "Test001 Test002", NULL);
        cr_assert_null(some.clips);
    }
    f.clips[1].labels = f.clips[2].labels = NULL;
    error = (sac_error){0};
    sac_assert_error(sac_clip_select(&some, &f.dataset, NULL, &error), SAC_ERROR_ARGUMENT, &error,
                     "no test clip with labels", NULL);
    tear_down(&f);
}

Test(bench_scores, folder_of_tables) {
    fixture f;
    set_up(&f);
    const char *folder = folder_with("tables", GOOD_1, GOOD_2);
    expect_good(&f, folder);
    // The name in tables is the folder's, without its path.
    sac_score_set set;
    cr_assert_eq(sac_score_set_read(&set, folder, "score", &f.selection, NULL), SAC_OK);
    cr_assert_str_eq(set.name, "scores tables");
    sac_score_set_close(&set);
    tear_down(&f);
}

Test(bench_scores, folder_of_arrays) {
    fixture f;
    set_up(&f);
    const float first[] = {0.5F, -1.0F, 1e-3F, 9.0F};
    const int64_t dims[] = {4};
    sac_error error = {0};
    const char *folder = folder_with("arrays", NULL, GOOD_2);
    char file[700];
    snprintf(file, sizeof file, "%s/Test001.npy", folder);
    sac_assert_ok(sac_npy_write(file, first, 1, dims, &error), &error);
    expect_good(&f, folder);
    const int64_t wrong[] = {2, 2};
    sac_assert_ok(sac_npy_write(file, first, 2, wrong, &error), &error);
    sac_score_set set;
    sac_assert_error(sac_score_set_read(&set, folder, "score", &f.selection, &error),
                     SAC_ERROR_FORMAT, &error, "Test001.npy", "2 dimensions", NULL);
    const int64_t fewer[] = {3};
    sac_assert_ok(sac_npy_write(file, first, 1, fewer, NULL), &error);
    error = (sac_error){0};
    sac_assert_error(sac_score_set_read(&set, folder, "score", &f.selection, &error),
                     SAC_ERROR_FORMAT, &error, "3 scores for clip Test001", "4 labelled frames",
                     NULL);
    // One array serves one clip only.
    error = (sac_error){0};
    sac_assert_error(sac_score_set_read(&set, file, "score", &f.selection, &error),
                     SAC_ERROR_ARGUMENT, &error, "--clips", NULL);
    tear_down(&f);
}

Test(bench_scores, one_table_for_all) {
    fixture f;
    set_up(&f);
    expect_good(&f,
                sac_test_write_text("joint.csv", "clip,frame,score\nTest001,0,0.5\nTest001,1,-1\n"
                                                 "Train001,0,7\nTest002,1,1\nTest002,2,2\n"
                                                 "Test001,2,1e-3\nTest001,3,9\nTest002,3,3\n"));
    expect_good(&f, sac_test_write_text("sources.csv",
                                        "source,frame,score\na/Test001/,0,0.5\na/Test001/,1,-1\n"
                                        "a/Test001/,2,1e-3\na/Test001/,3,9\nb/Test002.mp4,0,1\n"
                                        "b/Test002.mp4,1,2\nb/Test002.mp4,2,3\nTest0011,0,1\n"));
    // A row of another clip is no row of this one.
    sac_score_set set;
    const char *other = sac_test_write_text("other.csv", "clip,frame,score\nTest0011,0,0.5\n");
    cr_assert_eq(sac_score_set_read(&set, other, "score", &f.selection, NULL), SAC_ERROR_FORMAT);
    tear_down(&f);
}

Test(bench_scores, one_table_for_one_clip) {
    fixture f;
    set_up(&f);
    sac_clip_selection_close(&f.selection);
    sac_error error = {0};
    sac_assert_ok(sac_clip_select(&f.selection, &f.dataset, "Test002", &error), &error);
    sac_score_set set;
    const char *path = sac_test_write_text("single.csv", GOOD_2);
    sac_assert_ok(sac_score_set_read(&set, path, "score", &f.selection, &error), &error);
    cr_assert_eq(set.scores[0][2], 3.0F);
    sac_score_set_close(&set);
    tear_down(&f);
}

Test(bench_scores, another_column) {
    fixture f;
    set_up(&f);
    sac_clip_selection_close(&f.selection);
    sac_error error = {0};
    sac_assert_ok(sac_clip_select(&f.selection, &f.dataset, "Test002", &error), &error);
    sac_score_set set;
    const char *path = sac_test_write_text("column.csv", "frame,score,score_smoothed\n"
                                                         "0,1,4\n1,2,5\n2,3,6\n");
    sac_assert_ok(sac_score_set_read(&set, path, "score_smoothed", &f.selection, &error), &error);
    cr_assert_eq(set.scores[0][2], 6.0F);
    sac_score_set_close(&set);
    tear_down(&f);
}

Test(bench_scores, malformed_tables_name_clip_and_line) {
    fixture f;
    set_up(&f);
    const struct {
        const char *text, *a, *b;
    } bad[] = {
        {"frame,score\n0,1\n1,2\n2,3\n", "3 scores for clip Test001", "4 labelled frames"},
        {"frame,score\n0,1\n1,2\n2,3\n3,4\n4,5\n", "5 scores for clip Test001",
         "4 labelled frames"},
        {"frame,score\n", "0 scores for clip Test001", "4 labelled frames"},
        {"frame,score\n2,1\n3,2\n4,3\n5,4\n", "line 2", "expected 0 or 1"},
        {"frame,score\n0,1\n2,2\n3,3\n4,4\n", "line 3", "expected 1"},
        {"frame,score\n0,1\n0,2\n1,3\n2,4\n", "line 3", "expected 1"},
        {"frame,score\n0,1\n1,nan\n2,3\n3,4\n", "Test001.csv", "3"},
        {"frame,score\n0,1\n1,1e39\n2,3\n3,4\n", "Test001.csv", "3"},
        {"frame,score\n0,1\n1,high\n2,3\n3,4\n", "Test001.csv", "3"},
        {"frame,score\n0,1\n-1,1\n2,3\n3,4\n", "Test001.csv", "3"},
        {"frame,score\n0,1\n1\n2,3\n3,4\n", "Test001.csv", "3"},
        {"frame,value\n0,1\n1,2\n2,3\n3,4\n", "no column 'score'", "Test001.csv"},
        {"t,score\n0,1\n1,2\n2,3\n3,4\n", "no column 'frame'", "Test001.csv"},
        {"", "Test001.csv", ""},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        sac_score_set set;
        sac_error error = {0};
        const char *folder = folder_with("bad", bad[i].text, GOOD_2);
        sac_assert_error(sac_score_set_read(&set, folder, "score", &f.selection, &error),
                         SAC_ERROR_FORMAT, &error, bad[i].a, bad[i].b, NULL);
        cr_assert_null(set.scores);
    }
    tear_down(&f);
}

Test(bench_scores, missing_files_name_the_clip) {
    fixture f;
    set_up(&f);
    sac_score_set set;
    sac_error error = {0};
    sac_assert_error(
        sac_score_set_read(&set, folder_with("half", GOOD_1, NULL), "score", &f.selection, &error),
        SAC_ERROR_IO, &error, "Test002.csv", "Test002.npy", NULL);
    error = (sac_error){0};
    sac_assert_error(sac_score_set_read(&set, "/nonexistent.csv", "score", &f.selection, &error),
                     SAC_ERROR_IO, &error, "/nonexistent.csv", NULL);
    error = (sac_error){0};
    const char *path = sac_test_write_text("nameless.csv", GOOD_1);
    sac_assert_error(sac_score_set_read(&set, path, "score", &f.selection, &error),
                     SAC_ERROR_FORMAT, &error, "no column 'clip'", NULL);
    error = (sac_error){0};
    path = sac_test_write_text("part.csv", "clip,frame,score\nTest002,0,1\nTest002,1,1\n"
                                           "Test002,2,1\n");
    sac_assert_error(sac_score_set_read(&set, path, "score", &f.selection, &error),
                     SAC_ERROR_FORMAT, &error, "0 scores for clip Test001", NULL);
    tear_down(&f);
}

Test(bench_scores, every_lack_of_memory_is_reported) {
    fixture f;
    set_up(&f);
    char folder[600];
    snprintf(folder, sizeof folder, "%s", folder_with("memory", GOOD_1, GOOD_2));
    bool finished = false;
    for (int64_t successes = 0; successes < 500 && !finished; successes++) {
        sac_score_set set;
        sac_error error = {0};
        sac_memory_fail_after(successes);
        const sac_status status = sac_score_set_read(&set, folder, "score", &f.selection, &error);
        sac_memory_fail_after(-1);
        finished = status == SAC_OK;
        if (!finished) cr_assert_eq(status, SAC_ERROR_MEMORY, "after %lld", (long long)successes);
        sac_score_set_close(&set);
    }
    cr_assert(finished);
    tear_down(&f);
}
