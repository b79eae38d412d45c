// What is shown around the scores: events, top moments, safe texts, output names, tables and the
// HTML page.
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/file.h"
#include "core/memory.h"
#include "core/npy.h"
#include "core/text.h"
#include "helper.h"
#include "student/moments.h"
#include "student/output_names.h"
#include "student/outputs.h"
#include "student/report.h"

// ---- events -------------------------------------------------------------------------------------

static void push_all(sac_events *events, const float *scores, int count) {
    for (int i = 0; i < count; i++)
        cr_assert(sac_events_push(events, i, 0.5 * i, scores[i]) == SAC_OK);
}

Test(student_report, events_are_the_maximal_runs) {
    static const float scores[] = {0.5f, 0.4f, 0.6f, 0.7f, 0.7f, 0.1f, 0.0f, 0.5f};
    sac_events events = SAC_EVENTS(0.5f);
    push_all(&events, scores, 8);
    cr_assert_eq(events.count, 3);
    const sac_event *e = events.items;
    cr_assert(e[0].first == 0 && e[0].last == 0 && e[0].peak == 0 && e[0].score == 0.5f);
    cr_assert(e[1].first == 2 && e[1].last == 4 && e[1].peak == 3 && e[1].score == 0.7f);
    cr_assert(e[1].first_s == 1.0 && e[1].last_s == 2.0 && e[1].peak_s == 1.5);
    cr_assert(e[2].first == 7 && e[2].last == 7);
    json_t *json = sac_events_to_json(&events);
    cr_assert_eq(json_array_size(json), 3);
    cr_assert_eq(json_integer_value(json_object_get(json_array_get(json, 1), "peak_frame")), 3);
    json_decref(json);
    sac_events_close(&events);
    cr_assert(events.count == 0 && events.threshold == 0.5f);
}

Test(student_report, events_at_the_ends_of_the_range) {
    static const float low[100] = {0};
    sac_events events = SAC_EVENTS(0.0f);
    push_all(&events, low, 100);
    cr_assert(events.count == 1 && events.items[0].last == 99,
              "a threshold of 0 takes every frame");
    sac_events_close(&events);
    events.threshold = 1.0f;
    push_all(&events, low, 100);
    cr_assert_eq(events.count, 0);
    sac_events_close(&events);
    // Many events: the list grows.
    events.threshold = 0.5f;
    for (int i = 0; i < 1000; i++)
        cr_assert(sac_events_push(&events, i, i, i % 2 ? 1.0f : 0.0f) == SAC_OK);
    cr_assert_eq(events.count, 500);
    cr_assert_eq(events.items[499].first, 999);
    sac_memory_fail_after(0);
    sac_status status = SAC_OK;
    for (int i = 1000; i < 4000 && status == SAC_OK; i++)
        status = sac_events_push(&events, i, i, i % 2 ? 1.0f : 0.0f);
    sac_memory_fail_after(-1);
    cr_assert_eq(status, SAC_ERROR_MEMORY);
    sac_events_close(&events);
}

Test(student_report, no_event_spans_a_break) {
    for (int broken = 0; broken < 2; broken++) {
        sac_events events = {.threshold = 0.5f, .merge_gap_s = 100.0};
        cr_assert(sac_events_push(&events, 0, 0.0, 0.9f) == SAC_OK);
        if (broken) sac_events_break(&events);
        cr_assert(sac_events_push(&events, 1, 60.0, 0.8f) == SAC_OK);
        cr_assert(sac_events_push(&events, 2, 61.0, 0.1f) == SAC_OK);
        cr_assert(sac_events_push(&events, 3, 62.0, 0.7f) == SAC_OK); // within the gap
        cr_assert_eq(events.count, 1 + broken);
        cr_assert_eq(events.items[0].last, broken ? 0 : 3);
        sac_events_close(&events);
    }
}

// ---- moments ------------------------------------------------------------------------------------

static float map16[256], map4[16];

static void offer(sac_moments *m, int64_t frame, float smoothed, const uint8_t *pixels) {
    const sac_result r = {.frame = frame,
                          .time_s = (double)frame,
                          .score = smoothed,
                          .score_smoothed = smoothed,
                          .peak_x = 0.5f,
                          .peak_y = 0.5f,
                          .map16 = map16,
                          .map4 = map4};
    sac_moments_offer(m, &r, pixels);
}

Test(student_report, moments_are_distinct_and_ranked) {
    sac_moments *m = NULL;
    uint8_t pixels[6];
    cr_assert(sac_moments_create(&m, 3, 10, 3, 2, 1) == SAC_OK);
    cr_assert_null(sac_moments_at(m, 0));
    // Peaks at 20 (0.9), 50 (0.6), 80 (0.8), 110 (0.7), each with a slope of 5 frames to both
    // sides.
    static const int at[] = {20, 50, 80, 110};
    static const float high[] = {0.9f, 0.6f, 0.8f, 0.7f};
    for (int t = 0; t < 140; t++) {
        float score = 0.1f;
        for (int i = 0; i < 4; i++) score = fmaxf(score, high[i] - 0.05f * (float)abs(t - at[i]));
        memset(pixels, t, sizeof pixels);
        offer(m, t, score, pixels);
    }
    cr_assert_eq(sac_moments_count(m), 3);
    static const int64_t expected[] = {20, 80, 110};
    for (int i = 0; i < 3; i++) {
        const sac_moment *moment = sac_moments_at(m, i);
        cr_assert_eq(moment->frame, expected[i], "rank %d is frame %lld", i,
                     (long long)moment->frame);
        for (int k = 0; k < 6; k++) cr_assert_eq(moment->pixels[k], expected[i], "its own picture");
    }
    cr_assert_null(sac_moments_at(m, 3));
    sac_moments_close(&m);
    cr_assert_null(m);
}

Test(student_report, moments_of_large_frames_are_small) {
    static const int sizes[][2] = {{7680, 4320}, {100, 9000}, {16384, 1}, {481, 480}, {480, 360}};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        sac_moments *m = NULL;
        int w, h, c;
        cr_assert(sac_moments_create(&m, 1, 1, sizes[i][0], sizes[i][1], 1) == SAC_OK);
        sac_moments_size(m, &w, &h, &c);
        cr_assert(w <= 480 && h <= 480 && w >= 1 && h >= 1 && c == 1, "%dx%d", w, h);
        uint8_t *pixels = sac_calloc((int64_t)sizes[i][0] * sizes[i][1], 1);
        memset(pixels, 77, (size_t)sizes[i][0] * (size_t)sizes[i][1]);
        offer(m, 0, 0.5f, pixels);
        const sac_moment *moment = sac_moments_at(m, 0);
        cr_assert(moment->pixels[0] == 77 && moment->pixels[w * h - 1] == 77);
        sac_free(pixels);
        sac_moments_close(&m);
    }
    sac_moments *m = NULL;
    cr_assert(sac_moments_create(&m, 0, 1, 1, 1, 1) == SAC_ERROR_ARGUMENT);
    cr_assert(sac_moments_create(&m, 65, 1, 1, 1, 1) == SAC_ERROR_ARGUMENT);
    cr_assert(sac_moments_create(&m, 1, 0, 1, 1, 1) == SAC_ERROR_ARGUMENT);
    cr_assert(sac_moments_create(&m, 1, 1, 1, 1, 2) == SAC_ERROR_ARGUMENT);
    cr_assert_null(m);
}

// ---- texts --------------------------------------------------------------------------------------

Test(student_report, foreign_texts_become_utf8) {
    static const char *const pairs[][2] = {
        {"plain", "plain"},
        {"gr\xC3\xBC\xC3\x9F", "gr\xC3\xBC\xC3\x9F"},
        {"\xF0\x9F\x98\x80", "\xF0\x9F\x98\x80"},
        {"a\xFF"
         "b",
         "a\xEF\xBF\xBD"
         "b"},
        {"cut\xC3", "cut\xEF\xBF\xBD"},
        {"\xE2\x82", "\xEF\xBF\xBD\xEF\xBF\xBD"},
        {"over\xC0\xAFlong", "over\xEF\xBF\xBD\xEF\xBF\xBDlong"},
        {"sur\xED\xA0\x80gate", "sur\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBDgate"},
        {"bell\x07", "bell\xEF\xBF\xBD"},
        {"esc\x1B[2J", "esc\xEF\xBF\xBD[2J"},
        {"tab\tnl\n", "tab\tnl\n"},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        char *text = sac_text_utf8(pairs[i][0]);
        cr_assert_str_eq(text, pairs[i][1], "case %zu: '%s'", i, text);
        // Jansson accepts valid UTF-8 only.
        json_t *json = json_string(text);
        cr_assert_not_null(json);
        json_decref(json);
        for (size_t k = 0; k < sizeof pairs / sizeof pairs[0]; k++)
            cr_assert_eq(sac_text_is_utf8_of(pairs[k][1], pairs[i][0]), k == i, "%zu, %zu", i, k);
        cr_assert_not(sac_text_is_utf8_of("", pairs[i][0]));
        sac_free(text);
    }
    char all[256];
    for (int i = 0; i < 255; i++) all[i] = (char)(i + 1);
    all[255] = '\0';
    char *text = sac_text_utf8(all);
    json_t *json = json_string(text);
    cr_assert_not_null(json);
    json_decref(json);
    sac_free(text);
}

Test(student_report, durations) {
    char text[32];
    cr_assert_str_eq(sac_text_duration(text, sizeof text, 0), "0.0 s");
    cr_assert_str_eq(sac_text_duration(text, sizeof text, 3.44), "3.4 s");
    cr_assert_str_eq(sac_text_duration(text, sizeof text, 59.96), "1:00.0");
    cr_assert_str_eq(sac_text_duration(text, sizeof text, 3723.4), "1:02:03.4");
    cr_assert_str_eq(sac_text_duration(text, sizeof text, -61), "-1:01.0");
    cr_assert_str_eq(sac_text_duration(text, sizeof text, NAN), "?");
    cr_assert_str_eq(sac_text_duration(text, sizeof text, 1e300), "?");
}

// ---- output names -------------------------------------------------------------------------------

Test(student_report, source_names) {
    cr_assert(mkdir(sac_test_path("Test.001"), 0700) == 0);
    char folder[600];
    snprintf(folder, sizeof folder, "%s//", sac_test_path("Test.001"));
    cr_assert(mkdir(sac_test_path("50%"), 0700) == 0);
    char percent[600], star[600];
    snprintf(percent, sizeof percent, "%s", sac_test_path("50%"));
    snprintf(star, sizeof star, "%s", sac_test_write("a*b.mp4", "", 0));
    const char *const pairs[][2] = {
        {percent, "50_"}, // a folder and a file, whatever they look like
        {star, "a_b"},
        {"\xe7\x9b\x91 1.mp4", "\xe7\x9b\x91_1"},
        {"\xc3\xbc.mp4", "\xc3\xbc"},
        {"a/b/clip.mp4", "clip"},
        {"clip", "clip"},
        {".mp4", "source"},
        {"dir/%04d.png", "dir"},
        {"a/dir/*.jpg", "dir"},
        {"*.jpg", "source"},
        {"/dev/video0", "video0"},
        {"rtsp://host/live?x=1", "live_x_1"},
        {"..", "source"},
        {"/", "source"},
        {folder, "Test.001"},
        {"a b.tar.gz", "a_b.tar"},
        {"", "source"},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        char *name = sac_output_source_name(pairs[i][0]);
        cr_assert_str_eq(name, pairs[i][1], "'%s' gives '%s'", pairs[i][0], name);
        sac_free(name);
    }
}

static sac_status resolve(sac_output_names *names, const char *csv, const char *maps,
                          const char *const *sources, int64_t count, sac_error *error) {
    const char *patterns[SAC_OUTPUT_COUNT] = {[SAC_OUTPUT_CSV] = csv, [SAC_OUTPUT_MAPS] = maps};
    *error = (sac_error){0};
    return sac_output_names_resolve(names, patterns, sources, count, "model", error);
}

Test(student_report, output_names) {
    sac_output_names names;
    sac_error error;
    const char *sources[] = {"x/one.mp4", "y/two.mp4"}, *equal[] = {"x/one.mp4", "y/one.avi"};
    char pattern[600];
    snprintf(pattern, sizeof pattern, "%s/{}-{}.csv", sac_test_folder());
    sac_assert_ok(resolve(&names, pattern, NULL, sources, 2, &error), &error);
    cr_assert(strstr(sac_output_names_get(&names, 1, SAC_OUTPUT_CSV), "/two-two.csv") != NULL);
    cr_assert_null(sac_output_names_get(&names, 1, SAC_OUTPUT_MAPS));
    sac_output_names_close(&names);
    // A folder, made when it ends in a slash.
    snprintf(pattern, sizeof pattern, "%s/new/deep/", sac_test_folder());
    sac_assert_ok(resolve(&names, pattern, pattern, sources, 2, &error), &error);
    cr_assert(strstr(sac_output_names_get(&names, 0, SAC_OUTPUT_CSV), "/new/deep/one.csv") != NULL);
    cr_assert(strstr(sac_output_names_get(&names, 0, SAC_OUTPUT_MAPS), "/new/deep/one.npy") !=
              NULL);
    sac_output_names_close(&names);
    sac_assert_error(resolve(&names, pattern, NULL, equal, 2, &error), SAC_ERROR_ARGUMENT, &error,
                     "one.csv", NULL);
    sac_assert_error(resolve(&names, "a.csv", NULL, sources, 2, &error), SAC_ERROR_ARGUMENT, &error,
                     "{}", "--csv", "folder", NULL);
    sac_assert_error(resolve(&names, NULL, "-", sources, 1, &error), SAC_ERROR_ARGUMENT, &error,
                     "--maps", NULL);
    sac_assert_error(resolve(&names, "", NULL, sources, 1, &error), SAC_ERROR_ARGUMENT, &error,
                     "empty", NULL);
    sac_assert_error(resolve(&names, "/nonexistent-folder/a.csv", NULL, sources, 1, &error),
                     SAC_ERROR_IO, &error, "/nonexistent-folder/a.csv", NULL);
    sac_assert_ok(resolve(&names, "-", NULL, sources, 2, &error), &error);
    cr_assert_str_eq(sac_output_names_get(&names, 1, SAC_OUTPUT_CSV), "-");
    sac_output_names_close(&names);
    // The same file under two spellings.
    snprintf(pattern, sizeof pattern, "%s/./same", sac_test_folder());
    sac_assert_error(resolve(&names, sac_test_path("same"), pattern, sources, 1, &error),
                     SAC_ERROR_ARGUMENT, &error, "same name", NULL);
    // An output that is the input.
    const char *input = sac_test_write_text("input.mp4", "not really a video");
    sac_assert_error(resolve(&names, input, NULL, &input, 1, &error), SAC_ERROR_ARGUMENT, &error,
                     "replace the input", NULL);
    cr_assert_null(names.paths);
    sac_output_names_close(&names);
}

// ---- outputs and page ---------------------------------------------------------------------------

enum { W = 40, H = 30 };

// As text with a terminating 0; sac_free it.
static char *read_text(const char *path) {
    uint8_t *bytes = NULL;
    size_t size = 0;
    sac_error error = {0};
    sac_assert_ok(sac_file_read(&bytes, &size, path, (size_t)1 << 26, &error), &error);
    char *text = sac_strdup((const char *)bytes); // one 0 byte follows the file's own
    sac_free(bytes);
    return text;
}

static sac_result fake_result(int64_t t) {
    float score = 0.2f + 0.6f * (float)exp(-0.02 * (double)((t - 30) * (t - 30)));
    for (int i = 0; i < 256; i++) map16[i] = (float)((i + t) % 256) / 256.0f * score;
    return (sac_result){.frame = t,
                        .time_s = 0.1 * (double)t,
                        .score = score,
                        .score_smoothed = 0.9f * score,
                        .peak_x = 0.53125f,
                        .peak_y = 0.03125f,
                        .map16 = map16,
                        .map4 = map4,
                        .map1 = score};
}

static const char evil[] = "<script>alert('x')</script>&\"\xFF.mp4";

static sac_status write_outputs(const char *const paths[SAC_OUTPUT_COUNT], int frames,
                                const sac_events *events, bool column, sac_error *error) {
    sac_status status = SAC_OK;
    sac_outputs *o = NULL;
    const sac_video_info info = {.source_width = 2 * W,
                                 .source_height = 2 * H,
                                 .width = W,
                                 .height = H,
                                 .channels = 1,
                                 .frame_rate = 10};
    sac_output_settings settings = {
        .source = evil, .source_column = column, .moments = 4, .overlay_high = 1.0f};
    memcpy(settings.paths, paths, sizeof settings.paths);
    status = sac_outputs_open(&o, &settings, &info, error);
    if (status < 0) {
        cr_assert_null(o);
        return status;
    }
    static uint8_t pixels[W * H];
    for (int t = 0; t < frames && status >= 0; t++) {
        memset(pixels, 40 + t, sizeof pixels);
        const sac_result r = fake_result(t);
        status = sac_outputs_frame(o, &r, pixels, error);
    }
    json_t *settings_json = json_pack("{s:s, s:f, s:{s:b}}", "model<b>", "</td><img src=x>",
                                      "threshold", 0.5, "deep", "flag", 1);
    const sac_output_notes notes = {.events = events,
                                    .frames_per_second = 123.4,
                                    .interrupted = true,
                                    .reason = events != NULL ? "no <data> for 3 s" : NULL,
                                    .settings = settings_json};
    if (status >= 0) status = sac_outputs_commit(&o, &notes, error);
    sac_outputs_close(&o);
    json_decref(settings_json);
    return status;
}

static int count_of(const char *text, const char *word) {
    int count = 0;
    for (const char *at = strstr(text, word); at != NULL; at = strstr(at + 1, word)) count++;
    return count;
}

Test(student_report, tables_and_maps_hold_what_was_scored) {
    enum { FRAMES = 61 };
    const char *paths[SAC_OUTPUT_COUNT] = {[SAC_OUTPUT_CSV] = sac_test_path("s.csv"),
                                           [SAC_OUTPUT_JSONL] = sac_test_path("s.jsonl"),
                                           [SAC_OUTPUT_MAPS] = sac_test_path("s.npy")};
    sac_error error = {0};
    sac_assert_ok(write_outputs(paths, FRAMES, NULL, true, &error), &error);
    cr_assert_eq(sac_test_folder_count(), 3);
    char *csv = read_text(paths[SAC_OUTPUT_CSV]), *jsonl = read_text(paths[SAC_OUTPUT_JSONL]);
    static const char header[] = "frame,time_s,score,score_smoothed,peak_x,peak_y,source\n";
    cr_assert_eq(strncmp(csv, header, strlen(header)), 0);
    cr_assert_eq(count_of(csv, "\n"), FRAMES + 1);
    cr_assert_eq(count_of(csv, "\"<script>alert('x')</script>&\"\"\xEF\xBF\xBD.mp4\"\n"), FRAMES);
    // Rows read back to the same floats.
    const char *row = csv + strlen(header), *line = jsonl;
    for (int t = 0; t < FRAMES; t++) {
        const sac_result r = fake_result(t);
        char *end = NULL;
        cr_assert_eq(strtol(row, &end, 10), t);
        double value = strtod(end + 1, &end); // the macro evaluates its arguments twice
        cr_assert_float_eq(value, 0.1 * t, 1e-6);
        float number = strtof(end + 1, &end);
        cr_assert_eq(number, r.score);
        number = strtof(end + 1, &end);
        cr_assert_eq(number, r.score_smoothed);
        value = strtod(end + 1, &end);
        cr_assert_float_eq(value, 0.53125 * 2 * W, 0.01);
        value = strtod(end + 1, &end);
        cr_assert_float_eq(value, 0.03125 * 2 * H, 0.01);
        row = strchr(row, '\n') + 1;
        const char *next = strchr(line, '\n') + 1;
        json_t *json = json_loadb(line, (size_t)(next - line), 0, NULL);
        cr_assert_not_null(json);
        cr_assert_eq(json_integer_value(json_object_get(json, "frame")), t);
        cr_assert_eq((float)json_real_value(json_object_get(json, "score")), r.score);
        cr_assert_not_null(json_object_get(json, "source"));
        json_decref(json);
        line = next;
    }
    sac_free(csv);
    sac_free(jsonl);
    sac_npy maps;
    sac_assert_ok(sac_npy_read(&maps, paths[SAC_OUTPUT_MAPS], &error), &error);
    cr_assert(maps.ndims == 3 && maps.dims[0] == FRAMES && maps.dims[1] == 16 &&
              maps.dims[2] == 16);
    for (int t = 0; t < FRAMES; t++) {
        (void)fake_result(t);
        cr_assert_eq(memcmp(maps.data + 256 * t, map16, sizeof map16), 0, "map %d", t);
    }
    sac_npy_close(&maps);
}

// Without the finest map the next one is written, of any size.
Test(student_report, maps_of_students_with_fewer) {
    static uint8_t pixels[W * H];
    const sac_video_info info = {.source_width = W,
                                 .source_height = H,
                                 .width = W,
                                 .height = H,
                                 .channels = 1,
                                 .frame_rate = 10};
    for (int side = 1; side <= 4; side += 3) {
        sac_outputs *o = NULL;
        sac_error error = {0};
        const sac_output_notes notes = {.frames_per_second = 1};
        sac_output_settings settings = {.source = "clip", .moments = 2, .overlay_high = 1};
        settings.paths[SAC_OUTPUT_MAPS] = sac_test_path("few.npy");
        settings.paths[SAC_OUTPUT_REPORT] = sac_test_path("few.html");
        sac_assert_ok(sac_outputs_open(&o, &settings, &info, &error), &error);
        for (int t = 0; t < 3; t++) {
            sac_result r = fake_result(t);
            for (int i = 0; i < 16; i++) map4[i] = (float)(i + t) / 20.0f;
            r.map16 = NULL;
            if (side == 1) r.map4 = NULL;
            r.map1 = 0.1f * (float)t;
            sac_assert_ok(sac_outputs_frame(o, &r, pixels, &error), &error);
        }
        sac_assert_ok(sac_outputs_commit(&o, &notes, &error), &error);
        sac_npy maps;
        sac_assert_ok(sac_npy_read(&maps, settings.paths[SAC_OUTPUT_MAPS], &error), &error);
        cr_assert(maps.ndims == 3 && maps.dims[0] == 3 && maps.dims[1] == side &&
                  maps.dims[2] == side);
        cr_assert_float_eq(maps.data[3 * side * side - 1], side == 4 ? 17.0f / 20.0f : 0.2f, 1e-6f);
        sac_npy_close(&maps);
        cr_assert(sac_is_file(settings.paths[SAC_OUTPUT_REPORT]));
    }
}

Test(student_report, page_is_self_contained_and_escaped) {
    const char *paths[SAC_OUTPUT_COUNT] = {[SAC_OUTPUT_REPORT] = sac_test_path("r.html")};
    sac_events events = SAC_EVENTS(0.5f);
    for (int t = 0; t < 61; t++) {
        const sac_result r = fake_result(t);
        cr_assert(sac_events_push(&events, t, r.time_s, r.score_smoothed) == SAC_OK);
    }
    cr_assert_eq(events.count, 1);
    sac_error error = {0};
    sac_assert_ok(write_outputs(paths, 61, &events, false, &error), &error);
    char *page = read_text(paths[SAC_OUTPUT_REPORT]);
    cr_assert_eq(count_of(page, "<script"), 0);
    cr_assert_eq(count_of(page, "<img src=x"), 0);
    cr_assert_eq(count_of(page, "model<b>"), 0);
    cr_assert(
        count_of(page,
                 "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&amp;&quot;\xEF\xBF\xBD.mp4") >=
        2);
    cr_assert_eq(count_of(page, "http://") + count_of(page, "https://"), 0,
                 "nothing is loaded from elsewhere");
    cr_assert_eq(count_of(page, "deep.flag"), 1);
    cr_assert_eq(count_of(page, "interrupted"), 1);
    cr_assert_eq(count_of(page, "broke off behind the last frame shown here. no &lt;data&gt;"), 1);
    cr_assert_eq(count_of(page, "<polyline"), 2);
    int pictures = count_of(page, "data:image/png;base64,iVBORw0KGgo");
    cr_assert(pictures >= 2 && pictures <= 4, "%d pictures", pictures);
    cr_assert_eq(count_of(page, "<figure"), pictures);
    cr_assert_eq(count_of(page, "</html>"), 1);
    // Every element that is opened is closed.
    static const char *const tags[] = {"div",        "table", "tr", "td", "th", "figure",
                                       "figcaption", "svg",   "a",  "p",  "h2", "main"};
    for (size_t i = 0; i < sizeof tags / sizeof tags[0]; i++) {
        char open[32], open_class[32], closing[32];
        snprintf(open, sizeof open, "<%s>", tags[i]);
        snprintf(open_class, sizeof open_class, "<%s ", tags[i]);
        snprintf(closing, sizeof closing, "</%s>", tags[i]);
        cr_assert_eq(count_of(page, open) + count_of(page, open_class), count_of(page, closing),
                     "%s", tags[i]);
    }
    sac_free(page);
    sac_events_close(&events);
}

Test(student_report, pages_of_one_and_of_many_frames) {
    static const int lengths[] = {1, 2, 5, 20000};
    for (int i = 0; i < 4; i++) {
        const char *paths[SAC_OUTPUT_COUNT] = {[SAC_OUTPUT_REPORT] = sac_test_path("r.html")};
        sac_error error = {0};
        sac_assert_ok(write_outputs(paths, lengths[i], NULL, false, &error), &error);
        char *page = read_text(paths[SAC_OUTPUT_REPORT]);
        cr_assert_eq(count_of(page, "</html>"), 1);
        // With a neighbour that base64 cannot hold.
        static const char *const broken[] = {"nan,", ",nan", "inf,",  ",inf",
                                             ">nan", ">inf", "\"nan", "\"inf"};
        for (size_t b = 0; b < sizeof broken / sizeof broken[0]; b++) {
            cr_assert_eq(count_of(page, broken[b]), 0, "%s in a page of %d frames", broken[b],
                         lengths[i]);
        }
        // Long curves are thinned out.
        cr_assert(strlen(page) < 400000, "%zu bytes for %d frames", strlen(page), lengths[i]);
        sac_free(page);
    }
}

Test(student_report, full_disk_and_abandoned_outputs) {
    for (int kind = 0; kind < SAC_OUTPUT_COUNT; kind++) {
        if (kind == SAC_OUTPUT_OVERLAY)
            continue; // a video writer chooses its container by the file ending
        const char *paths[SAC_OUTPUT_COUNT] = {NULL};
        paths[kind] = "/dev/full";
        sac_error error = {0};
        sac_assert_error(write_outputs(paths, 400, NULL, false, &error), SAC_ERROR_IO, &error,
                         "/dev/full", NULL);
    }
    const char *paths[SAC_OUTPUT_COUNT] = {[SAC_OUTPUT_CSV] = sac_test_path("a.csv"),
                                           [SAC_OUTPUT_MAPS] = sac_test_path("a.npy"),
                                           [SAC_OUTPUT_REPORT] = "/nonexistent-folder/r.html"};
    sac_error error = {0};
    sac_assert_error(write_outputs(paths, 10, NULL, false, &error), SAC_ERROR_IO, &error,
                     "/nonexistent-folder", NULL);
    cr_assert_eq(sac_test_folder_count(), 0, "nothing half-written is left behind");
}

Test(student_report, lack_of_memory_leaves_nothing_behind) {
    const char *paths[SAC_OUTPUT_COUNT] = {[SAC_OUTPUT_CSV] = sac_test_path("a.csv"),
                                           [SAC_OUTPUT_JSONL] = sac_test_path("a.jsonl"),
                                           [SAC_OUTPUT_MAPS] = sac_test_path("a.npy"),
                                           [SAC_OUTPUT_REPORT] = sac_test_path("a.html")};
    for (int64_t fail = 0;; fail += 1 + fail / 32) {
        sac_error error = {0};
        sac_memory_fail_after(fail);
        sac_status status = write_outputs(paths, 5, NULL, false, &error);
        sac_memory_fail_after(-1);
        if (status == SAC_OK) break;
        sac_assert_error(status, SAC_ERROR_MEMORY, &error, NULL);
        for (int kind = 0; kind < SAC_OUTPUT_COUNT; kind++) {
            if (paths[kind] != NULL) unlink(paths[kind]); // those committed before the failure
        }
        cr_assert_eq(sac_test_folder_count(), 0, "after %lld allocations", (long long)fail);
    }
    cr_assert_eq(sac_test_folder_count(), 4);
}
