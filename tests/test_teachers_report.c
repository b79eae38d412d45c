// What a teacher's report shows: the choice of objects and misses, the page, and the overlay video.
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/file.h"
#include "core/memory.h"
#include "core/spill.h"
#include "helper.h"
#include "saccade/video.h"
#include "store_make.h"
#include "teachers/clip_overlay.h"
#include "teachers/picks.h"
#include "teachers/report.h"

// ---- picks -------------------------------------------------------------------------------------

enum { FRAMES = 100 };

// One clip with two objects a frame: one walks slowly to the right, the other stands far away; a
// ground-truth region lies on the second from frame 40 on.
typedef struct walk {
    int64_t start[FRAMES + 1];
    sac_box boxes[2 * FRAMES];
    float scores[2 * FRAMES], tasks[2 * FRAMES], frame_scores[FRAMES];
    uint8_t labels[FRAMES];
    sac_truth_region regions[FRAMES];
    sac_clip clip;
    char name[8];
} walk;

static void make_walk(walk *w, sac_review_clip *c) {
    memset(w, 0, sizeof *w);
    memset(c, 0, sizeof *c);
    snprintf(w->name, sizeof w->name, "Test001");
    w->clip = (sac_clip){.name = w->name, .frames = FRAMES, .labels = w->labels, .test = true};
    for (int t = 0; t < FRAMES; t++) {
        const float x = (float)t;
        w->start[t + 1] = 2 * (t + 1);
        w->boxes[2 * t] = (sac_box){x, 10, x + 10, 30, 1, -1};
        w->boxes[2 * t + 1] = (sac_box){200, 10, 210, 30, 1, -1};
        w->scores[2 * t] = 0.2F + 0.005F * (float)t; // the last frame is its worst
        w->scores[2 * t + 1] = t < 40 ? 0.1F : 0.95F - 0.005F * (float)t;
        w->tasks[2 * t] = 1.0F - w->scores[2 * t];
        w->tasks[2 * t + 1] = 0.5F;
        w->labels[t] = t >= 40;
        w->frame_scores[t] = (float)((t * 37) % 100) / 100.0F;
        if (t >= 40) w->regions[t - 40] = (sac_truth_region){t, 0, 198, 8, 212, 32};
    }
    *c = (sac_review_clip){
        .clip = &w->clip,
        .objects = {.detections = {FRAMES, 2 * FRAMES, w->start, w->boxes},
                    .task_count = 1,
                    .scores = w->scores,
                    .tasks = w->tasks},
        .frame_scores = w->frame_scores,
        .truth = {.frames = FRAMES, .count = FRAMES - 40, .tracks = 1, .regions = w->regions},
        .truth_known = true};
    cr_assert_eq(sac_review_match(c), SAC_OK);
}

static void free_walk(sac_review_clip *c) {
    sac_free(c->best);
    sac_free(c->normal);
}

Test(teachers_report, objects_are_shown_once) {
    static walk w;
    sac_review_clip c;
    sac_pick picks[20];
    make_walk(&w, &c);
    cr_assert(c.normal[2 * 39 + 1] && !c.normal[2 * 40 + 1] && c.normal[2 * 40]);
    cr_assert_eq(c.best[0], 2 * 40 + 1);
    // Normal: the walker in frames 99, 68, 37 and 6 (31 apart), the other one in its normal time.
    const int count = sac_pick_objects(picks, 20, &c, 1, -1, true, true);
    cr_assert_eq(picks[0].frame, 99);
    cr_assert_eq(picks[0].object, 2 * 99);
    for (int i = 0; i < count; i++) {
        cr_assert(c.normal[picks[i].object]);
        for (int k = 0; k < i; k++)
            cr_assert(picks[i].object % 2 != picks[k].object % 2 ||
                          llabs((long long)(picks[i].frame - picks[k].frame)) > SAC_PICK_FRAMES,
                      "picks %d and %d show one object", i, k);
        cr_assert(i == 0 || picks[i].value <= picks[i - 1].value);
    }
    cr_assert_eq(count, 6); // 99, 68, 37, 6 of the walker, two of the other
    cr_assert_eq(sac_pick_objects(picks, 3, &c, 1, -1, true, true), 3);
    // Of all objects the abnormal one is highest; by the task the walker at the start, and lowest
    // at the end.
    cr_assert_gt(sac_pick_objects(picks, 5, &c, 1, -1, true, false), 0);
    cr_assert_eq(picks[0].object, 2 * 40 + 1);
    (void)sac_pick_objects(picks, 5, &c, 1, 0, true, false);
    cr_assert_eq(picks[0].object, 0);
    (void)sac_pick_objects(picks, 5, &c, 1, 0, false, false);
    cr_assert_eq(picks[0].object, 2 * 99);
    cr_assert_float_eq(picks[0].value, w.tasks[2 * 99], 1e-6F);
    free_walk(&c);
}

Test(teachers_report, misses_and_threshold) {
    static walk w;
    sac_review_clip c;
    sac_pick picks[20];
    make_walk(&w, &c);
    cr_assert_eq(sac_pick_missed(picks, 20, &c, 1, true), 2);
    cr_assert(picks[0].frame == 99 && picks[0].region == 59 && picks[0].object == 2 * 99 + 1);
    cr_assert_eq(picks[1].frame, 68);
    cr_assert_eq(sac_pick_missed(picks, 20, &c, 1, false), 0);
    // The detector loses it in frames 60 to 80: those regions have no object.
    free_walk(&c);
    make_walk(&w, &c);
    for (int t = 60; t <= 80; t++) w.boxes[2 * t + 1].y2 = 11;
    free_walk(&c);
    cr_assert_eq(sac_review_match(&c), SAC_OK);
    cr_assert_eq(sac_pick_missed(picks, 20, &c, 1, false), 1);
    cr_assert(picks[0].frame == 60 && picks[0].object == -1 && picks[0].value < 0);
    // What lies in the region is no false alarm, though it overlaps too little to find it.
    cr_assert_not(c.normal[2 * 70 + 1]);
    // Frames: abnormal ones only, lowest first, apart.
    const int frames = sac_pick_missed_frames(picks, 20, &c, 1);
    cr_assert(frames >= 1 && frames <= 2);
    for (int i = 0; i < frames; i++) cr_assert(picks[i].frame >= 40 && picks[i].region == -1);
    for (int t = 40; t < FRAMES; t++) cr_assert_geq(w.frame_scores[t], picks[0].value);
    // 100 frames: ten false objects may reach the threshold; the walker's eleven highest are 0.695
    // down to 0.645.
    const double threshold = sac_review_threshold(&c, 1, 0.1);
    int reaching = 0;
    for (int i = 0; i < 2 * FRAMES; i++)
        reaching += c.normal[i] && (double)w.scores[i] >= threshold;
    cr_assert_eq(reaching, 10, "threshold %g", threshold);
    cr_assert_eq(sac_review_threshold(&c, 1, 3.0), 0.0);
    // Without regions the labels say what is normal.
    free_walk(&c);
    c.truth_known = false;
    c.truth.count = 0;
    cr_assert_eq(sac_review_match(&c), SAC_OK);
    cr_assert(c.normal[0] && c.normal[79] && !c.normal[80] && !c.normal[81]);
    free_walk(&c);
    w.clip.labels = NULL;
    cr_assert_eq(sac_review_match(&c), SAC_OK);
    cr_assert_not(c.normal[0]);
    free_walk(&c);
    sac_memory_fail_after(0);
    const int failed = sac_pick_objects(picks, 5, &c, 1, -1, true, false);
    const int failed_too = sac_pick_missed(picks, 5, &c, 1, true);
    sac_memory_fail_after(-1);
    cr_assert(failed == -1 && failed_too == -1);
}

// ---- page --------------------------------------------------------------------------------------

static char *read_text(const char *path) {
    uint8_t *bytes = NULL;
    size_t size = 0;
    sac_error error = {0};
    sac_assert_ok(sac_file_read(&bytes, &size, path, (size_t)1 << 26, &error), &error);
    char *text = sac_strdup((const char *)bytes);
    sac_free(bytes);
    return text;
}

static int count_of(const char *text, const char *word) {
    int count = 0;
    for (const char *at = strstr(text, word); at != NULL; at = strstr(at + 1, word)) count++;
    return count;
}

static const char objects[] = HEADER ",one,<b>two\n"
                                     "Train001,1,1,1,9,9,1,-1,0.1,0,1\n"
                                     "Train001,1,20,1,29,9,1,-1,0.1,1,2\n"
                                     "Test001,3,22,16,30,28,1,-1,0.9,0.5,50\n"
                                     "Test001,3,2,2,10,10,1,-1,0.25,1,10\n"
                                     "Test002,2,2,2,10,10,1,-1,0.375,3,20\n";

static sac_status write_report(const fixture *f, const char *folder, const char *path, int pictures,
                               bool (*stop)(void), sac_error *error) {
    sac_status status;
    sac_map_store *store = NULL;
    sac_file_writer *writer = NULL;
    status = sac_map_store_open(&store, folder, error);
    if (status < 0) return status;
    const sac_teacher_report report = {.store = store,
                                       .dataset = &f->dataset,
                                       .truth = sac_truth_default_source(),
                                       .pictures = pictures,
                                       .stop = stop};
    status = sac_file_writer_open(&writer, path, error);
    if (status >= 0) status = sac_teacher_report_write(writer, &report, error);
    if (status >= 0) status = sac_file_writer_commit(&writer, error);
    sac_file_writer_close(&writer);
    sac_map_store_close(&store);
    return status;
}

Test(teachers_report, page) {
    fixture f;
    set_up(&f);
    char folder[700];
    make_store(folder, "maps", objects, "{\"training_minutes\": 12.25}", 0.0F);
    sac_error error = {0};
    const char *path = sac_test_path("report.html");
    sac_assert_ok(write_report(&f, folder, path, 4, NULL, &error), &error);
    char *page = read_text(path);
    cr_assert_eq(count_of(page, "<script"), 0);
    cr_assert_eq(count_of(page, "<b>two"), 0, "task names are foreign text");
    cr_assert_gt(count_of(page, "&lt;b&gt;two"), 0);
    cr_assert_eq(count_of(page, "http://") + count_of(page, "https://"), 0);
    cr_assert_eq(count_of(page, "aria-label=\"Anomaly score by frame\""), 2);
    cr_assert_eq(count_of(page, "<h2>Highest-scoring normal objects"), 1);
    cr_assert_eq(count_of(page, "<h2>Weakest on anomalies"), 1);
    cr_assert_eq(count_of(page, "<h2>Anomalies without an object"), 1);
    cr_assert_eq(count_of(page, "<h2>Task: "), 2);
    cr_assert_not_null(strstr(page, "<b>12.2</b><span>minutes of training"), "%.400s", page);
    // Two normal objects, one found region, one region without an object, then three objects (two
    // at most) highest and lowest of each task.
    cr_assert_eq(count_of(page, "<figure"), 2 + 1 + 1 + 2 * (2 + 2));
    cr_assert_eq(count_of(page, "data:image/png;base64,iVBORw0KGgo"), count_of(page, "<figure"));
    cr_assert_eq(count_of(page, "<b>no object here</b>"), 1);
    // Frame 3 of Test001 has its region found, frame 4 not: a half, and the whole track.
    cr_assert_not_null(strstr(page, "<b>50.0</b><span>RBDC"));
    cr_assert_not_null(strstr(page, "<b>100.0</b><span>TBDC"));
    cr_assert_not_null(strstr(page, "3&#8211;4"), "frames of the track");
    static const char *const tags[] = {"div", "table", "tr", "td", "th", "figure", "figcaption",
                                       "svg", "span",  "p",  "h2", "h3", "main"};
    for (size_t i = 0; i < sizeof tags / sizeof tags[0]; i++) {
        char open[32], open_with[32], close[32];
        snprintf(open, sizeof open, "<%s>", tags[i]);
        snprintf(open_with, sizeof open_with, "<%s ", tags[i]);
        snprintf(close, sizeof close, "</%s>", tags[i]);
        cr_assert_eq(count_of(page, open) + count_of(page, open_with), count_of(page, close),
                     "<%s>", tags[i]);
    }
    sac_free(page);

    // Without objects and without masks: curves, and abnormal frames with low scores.
    make_store(folder, "plain", NULL, "{}", 0.0F);
    f.clips[0].mask_path = NULL;
    sac_assert_ok(write_report(&f, folder, path, 4, NULL, &error), &error);
    page = read_text(path);
    cr_assert_eq(count_of(page, "<figure"), 1);
    cr_assert_eq(count_of(page, "RBDC"), 0);
    cr_assert_not_null(strstr(page, "frame score 0.200"));
    sac_free(page);
}

static bool at_once(void) {
    return true;
}

Test(teachers_report, page_errors) {
    fixture f;
    set_up(&f);
    char folder[700];
    make_store(folder, "maps", objects, "{}", 0.0F);
    const char *path = sac_test_path("report.html");
    sac_error error = {0};
    sac_assert_error(write_report(&f, folder, path, 0, NULL, &error), SAC_ERROR_ARGUMENT, &error,
                     "1 to 60", NULL);
    error = (sac_error){0};
    sac_assert_error(write_report(&f, folder, path, 61, NULL, &error), SAC_ERROR_ARGUMENT, &error,
                     "61", NULL);
    error = (sac_error){0};
    sac_assert_error(write_report(&f, folder, path, 4, at_once, &error), SAC_ERROR_INTERRUPTED,
                     &error, "interrupted", NULL);
    cr_assert_not(sac_is_file(path), "nothing is left of an interrupted report");
    f.clips[0].frames = 5;
    error = (sac_error){0};
    sac_assert_error(write_report(&f, folder, path, 4, NULL, &error), SAC_ERROR_SHAPE, &error,
                     "Test001", NULL);
    f.clips[0].frames = 4;
    f.names[0][0] = f.names[1][0] = 'X';
    error = (sac_error){0};
    sac_assert_error(write_report(&f, folder, path, 4, NULL, &error), SAC_ERROR_FORMAT, &error,
                     "test clip", NULL);
    // Any failing allocation ends in the right status and frees everything.
    f.names[0][0] = f.names[1][0] = 'T';
    bool done = false;
    for (int64_t n = 0; n < 8000 && !done; n += 1 + n / 40) {
        sac_memory_fail_after(n);
        const sac_status status = write_report(&f, folder, path, 2, NULL, NULL);
        sac_memory_fail_after(-1);
        done = status == SAC_OK;
        cr_assert(done || status == SAC_ERROR_MEMORY, "after %d: %s", (int)n,
                  sac_status_name(status));
    }
    cr_assert(done);
}

// ---- overlay -----------------------------------------------------------------------------------

Test(teachers_report, overlay_video) {
    fixture f;
    set_up(&f);
    char folder[700];
    make_store(folder, "maps", objects, "{}", 0.0F);
    sac_map_store *store = NULL;
    sac_object_table *table = NULL;
    sac_objects o;
    sac_maps maps;
    uint8_t *pixels = NULL;
    int width = 0, height = 0;
    sac_error error = {0};
    sac_assert_ok(sac_map_store_open(&store, folder, &error), &error);
    sac_assert_ok(sac_object_table_open(&table, store, &error), &error);
    sac_assert_ok(sac_object_table_get(table, &o, "Test001", 4, &error), &error);
    sac_assert_ok(sac_map_store_get(store, &maps, "Test001", 4, &error), &error);
    sac_assert_ok(sac_clip_load(&pixels, &width, &height, 1, &f.clips[0], &error), &error);
    const char *path = sac_test_path("overlay.mp4");
    sac_clip_overlay overlay = {.clip = &f.clips[0],
                                .pixels = pixels,
                                .width = width,
                                .height = height,
                                .detections = &o.detections,
                                .scores = o.scores,
                                .tasks = o.tasks,
                                .names = sac_object_table_tasks(table),
                                .maps = &maps,
                                .frame_rate = 10,
                                .stop = at_once};
    sac_assert_error(sac_clip_overlay_write(path, &overlay, &error), SAC_ERROR_INTERRUPTED, &error,
                     "overlay.mp4", NULL);
    cr_assert_not(sac_is_file(path));
    overlay.stop = NULL;
    error = (sac_error){0};
    sac_assert_ok(sac_clip_overlay_write(path, &overlay, &error), &error);
    sac_video *video = NULL;
    sac_frame frame;
    int frames = 0;
    sac_assert_ok(sac_video_open(&video, path, NULL, &error), &error);
    while (sac_video_read(video, &frame, &error) == SAC_OK) frames++;
    cr_assert_eq(frames, 4);
    sac_video_close(&video);
    overlay.tasks = NULL;
    sac_assert_ok(sac_clip_overlay_write(path, &overlay, &error), &error);
    sac_spill_free(pixels);
    sac_maps_close(&maps);
    sac_objects_close(&o);
    sac_object_table_close(&table);
    sac_map_store_close(&store);
}
