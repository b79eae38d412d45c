// Lists of figures there and back, hostile result files, ratios in both senses, and pictures that
// are made or refused.
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bench/compare.h"
#include "bench/plot.h"
#include "core/file.h"
#include "core/memory.h"
#include "helper.h"

static void add(sac_figures *figures, const char *name, bool lower, double a, double b, double c) {
    double rounds[3] = {a, b, c};
    sac_error error = {0};
    const sac_figure figure = sac_figure_of_rounds(name, lower ? "ms" : "FPS", lower, rounds, 3);
    sac_assert_ok(sac_figures_add(figures, &figure, &error), &error);
}

Test(bench_compare, figures_there_and_back) {
    sac_figures figures = {0}, again = {0};
    sac_error error = {0};
    add(&figures, "fast, \"quoted\" | barred\n", false, 3, 1, 2);
    sac_figure single = sac_figure_of_value("single", "GB/s", false, INFINITY);
    sac_figure_set_limit(&single, "the wall", 0.25);
    sac_assert_ok(sac_figures_add(&figures, &single, &error), &error);
    cr_assert_eq(sac_figures_add(&figures, &single, &error), SAC_ERROR_ARGUMENT);
    cr_assert_str_eq(figures.items[0].name, "fast_ _quoted_ _ barred_");
    cr_assert_eq(figures.items[0].value, 2);
    cr_assert_eq(figures.items[0].low, 1);
    cr_assert_eq(figures.items[0].high, 3);
    cr_assert(isnan(figures.items[1].value));

    json_t *result = json_pack("{s:o}", "figures", sac_figures_to_json(&figures));
    cr_assert_not_null(result);
    error = (sac_error){0};
    sac_assert_ok(sac_figures_from_json(&again, result, "r.json", &error), &error);
    cr_assert_eq(again.count, 2);
    cr_assert_str_eq(again.items[0].name, figures.items[0].name);
    cr_assert_eq(again.items[0].rounds, 3);
    cr_assert(isnan(again.items[1].value) && again.items[1].of_limit == 0.25);
    cr_assert_str_eq(again.items[1].limit, "the wall");
    char *csv = sac_figures_csv(&again), *table = sac_figures_markdown(&again);
    cr_assert_not_null(strstr(csv, "single,GB/s,higher,,,,1,the wall,0.25\n"), "%s", csv);
    cr_assert_not_null(strstr(table, "25.0 % of the wall"), "%s", table);
    sac_free(csv);
    sac_free(table);
    json_decref(result);
    sac_figures_close(&figures);
    sac_figures_close(&again);
}

#define FIGURE(more)                                                                               \
    "{\"figures\": [{\"name\": \"a\", \"unit\": \"FPS\", \"better\": \"higher\", \"value\": 2, "   \
    "\"low\": 1, \"high\": 3, \"rounds\": 3, \"limit\": null, \"of_limit\": null" more "}]}"

static const struct {
    const char *text, *says;
} hostile[] = {
    {"", "JSON"},
    {"[]", "expected a JSON object"},
    {"{}", "no \"figures\""},
    {"{\"figures\": 3}", "figures"},
    {"{\"figures\": [7]}", "figure 1"},
    {"{\"figures\": [{}]}", "name"},
    {"{\"figures\": [{\"name\": \"\"}]}", "expected 1 to 127"},
    {"{\"figures\": [{\"name\": \"a,b\"}]}", "comma"},
    {"{\"figures\": [{\"name\": \"a\", \"unit\": \"u\", \"better\": \"larger\"}]}", "better"},
    {"{\"figures\": [{\"name\": \"a\", \"unit\": \"u\", \"better\": \"more\"}]}",
     "higher or lower"},
    {"{\"figures\": [{\"name\": \"a\", \"unit\": \"u\", \"better\": \"lower\", \"value\": \"1\"}]}",
     "value"},
    {"{\"figures\": [{\"name\": \"a\", \"unit\": \"u\", \"better\": \"lower\", \"value\": 1, "
     "\"low\": 2, \"high\": 3, \"of_limit\": 1, \"rounds\": 1}]}",
     "\"low\" <= \"value\""},
    {"{\"figures\": [{\"name\": \"a\", \"unit\": \"u\", \"better\": \"lower\", \"value\": 1, "
     "\"low\": 1, \"high\": null, \"of_limit\": 1, \"rounds\": 1}]}",
     "both null"},
    {"{\"figures\": [{\"name\": \"a\", \"unit\": \"u\", \"better\": \"lower\", \"value\": 1, "
     "\"low\": null, \"high\": null, \"of_limit\": 1, \"rounds\": 0}]}",
     "rounds"},
    {"{\"machine\": 5, \"figures\": []}", "machine"},
    {"{\"machine\": {\"cores\": -1}, \"figures\": []}", "cores"},
    {FIGURE(", \"name\": \"b\""), "duplicate"},
};

Test(bench_compare, hostile_files_are_refused) {
    for (size_t i = 0; i < sizeof hostile / sizeof hostile[0]; i++) {
        sac_compared_file file;
        sac_error error = {0};
        const sac_status status =
            sac_compared_parse(&file, hostile[i].text, strlen(hostile[i].text), "r.json", &error);
        cr_assert_eq(status, SAC_ERROR_FORMAT, "%s: %d", hostile[i].text, (int)status);
        cr_assert_not_null(strstr(error.message, "r.json"), "%s", error.message);
        cr_assert_not_null(strstr(error.message, hostile[i].says), "'%s' not in: %s",
                           hostile[i].says, error.message);
        cr_assert_eq(file.figures.count, 0);
    }
    sac_compared_file file;
    sac_error error = {0};
    sac_assert_ok(sac_compared_parse(&file, FIGURE(""), strlen(FIGURE("")), "r.json", &error),
                  &error);
    sac_compared_close(&file);
    cr_assert_eq(sac_compared_read(&file, "/nonexistent.json", NULL), SAC_ERROR_IO);
}

Test(bench_compare, ratios) {
    sac_compared_file a = {.origin = {.cpu = "one", .cores = 2}},
                      b = {.origin = {.cpu = "two", .cores = 2}};
    sac_error error = {0};
    add(&a.figures, "speed", false, 90, 100, 110);
    add(&b.figures, "speed", false, 190, 200, 210);
    add(&a.figures, "delay", true, 1, 2, 3);
    add(&b.figures, "delay", true, 2, 4, 6);
    add(&a.figures, "gone", false, 1, 1, 1);
    add(&b.figures, "new", false, 1, 1, 1);
    sac_comparison c;
    sac_assert_ok(sac_comparison_make(&c, &a, &b, NULL, &error), &error);
    cr_assert_eq(c.count, 4);
    cr_assert_eq(c.common, 2);
    cr_assert_eq(c.missing, 1);
    cr_assert_float_eq(c.rows[0].ratio, 2.0, 1e-12);
    cr_assert_eq(c.rows[0].difference, SAC_DIFFERENCE_CLEAR);
    cr_assert_float_eq(c.rows[1].ratio, 0.5, 1e-12);
    cr_assert_eq(c.rows[1].difference, SAC_DIFFERENCE_WITHIN);
    cr_assert_float_eq(c.geometric_mean, 1.0, 1e-12);
    cr_assert_str_eq(c.worst->a->name, "delay");
    cr_assert_eq(sac_comparison_below(&c, 0.9, false), 1);
    cr_assert_eq(sac_comparison_below(&c, 0.9, true), 0);
    cr_assert_eq(sac_comparison_below(&c, 0.5, false), 0);
    char *table = sac_comparison_markdown(&c), *csv = sac_comparison_csv(&c),
         *warnings = sac_comparison_warnings(&a.origin, &b.origin);
    cr_assert_not_null(strstr(table, "| gone | FPS | 1 | missing | - | |"), "%s", table);
    cr_assert_not_null(strstr(table, "| speed | FPS | 100 | 200 | 2.000 | clear |"), "%s", table);
    cr_assert_str_eq(csv, "figure,unit,a,b,ratio,difference\n"
                          "speed,FPS,100,200,2,clear\n"
                          "delay,ms,2,4,0.5,within the rounds\n"
                          "gone,FPS,1,,,\n"
                          "new,FPS,,1,,\n");
    cr_assert_str_eq(warnings, "cpu: one | two\n");
    sac_free(table);
    sac_free(csv);
    sac_free(warnings);
    sac_comparison_close(&c);

    sac_assert_ok(sac_comparison_make(&c, &a, &b, "sp*", &error), &error);
    cr_assert_eq(c.count, 1);
    sac_comparison_close(&c);
    error = (sac_error){0};
    sac_assert_error(sac_comparison_make(&c, &a, &b, "x*", &error), SAC_ERROR_ARGUMENT, &error,
                     "no measured figure in common", "x*", NULL);
    snprintf(b.figures.items[0].unit, sizeof b.figures.items[0].unit, "fps");
    error = (sac_error){0};
    sac_assert_error(sac_comparison_make(&c, &a, &b, NULL, &error), SAC_ERROR_FORMAT, &error,
                     "speed", NULL);
    for (int64_t n = 0; n < 3; n++) {
        sac_memory_fail_after(n);
        const sac_status status = sac_comparison_make(&c, &a, &b, "delay", NULL);
        sac_memory_fail_after(-1);
        cr_assert(status == SAC_ERROR_MEMORY || status == SAC_OK);
        sac_comparison_close(&c);
    }
    sac_compared_close(&a);
    sac_compared_close(&b);
}

static sac_plot picture(const sac_plot_point *points, int64_t count) {
    // Texts that are not UTF-8 must not spoil a picture: Cairo refuses them.
    return (sac_plot){.title = "caf\xE9",
                      .x_label = "speed \xFF",
                      .y_label = "accuracy \xFF",
                      .note = "note \xFF",
                      .groups = {"ours \xFF", "theirs"},
                      .hollow_label = "published \xFF",
                      .points = points,
                      .count = count,
                      .log_x = true};
}

Test(bench_compare, pictures) {
    const sac_plot_point points[] = {
        {"a student", 5000, 97, 96, 98, 0, false},
        {"a very long name \xFF that does not fit into the room that a label may take, by far", 10,
         95.4, (double)NAN, (double)NAN, 1, true},
        {"not measured", (double)NAN, 95, (double)NAN, (double)NAN, 0, false},
        {"no logarithm", 0, 95, (double)NAN, (double)NAN, 0, false}};
    static const char *const endings[] = {"svg", "png"};
    for (int e = 0; e < 2; e++)
        for (int kind = 0; kind < 2; kind++) {
            char name[32];
            snprintf(name, sizeof name, "plot%d.%s", kind, endings[e]);
            const char *path = sac_test_path(name);
            sac_error error = {0};
            const sac_plot plot = picture(points, 4);
            sac_assert_ok(kind == 0 ? sac_plot_scatter(&plot, path, &error)
                                    : sac_plot_bars(&plot, path, &error),
                          &error);
            uint8_t *bytes = NULL;
            size_t size = 0;
            sac_assert_ok(sac_file_read(&bytes, &size, path, 1 << 24, &error), &error);
            cr_assert_gt(size, 1000);
            if (e == 0)
                cr_assert_not_null(strstr((char *)bytes, "</svg>"));
            else
                cr_assert_eq(memcmp(bytes, "\x89PNG", 4), 0);
            sac_free(bytes);
        }
    sac_plot plot = picture(points, 0);
    cr_assert_eq(sac_plot_scatter(&plot, "x.svg", NULL), SAC_ERROR_ARGUMENT);
    plot = picture(points + 2, 2);
    cr_assert_eq(sac_plot_scatter(&plot, "x.svg", NULL), SAC_ERROR_ARGUMENT);
    plot = picture(points, 1);
    cr_assert_eq(sac_plot_bars(&plot, "x.pdf", NULL), SAC_ERROR_ARGUMENT);
    cr_assert_eq(sac_plot_bars(&plot, "/nonexistent/x.png", NULL), SAC_ERROR_IO);
    cr_assert_eq(sac_plot_check_path(NULL, "--plot", NULL), SAC_OK);
}
