// Rows of an ablation table (read, refused, built in), children that end, fail, are stopped or do
// not exist, and accuracies there and back.
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bench/assess.h"
#include "bench/child.h"
#include "bench/pareto.h"
#include "bench/suite.h"
#include "core/file.h"
#include "core/memory.h"
#include "helper.h"

static sac_status parse(sac_suite_rows *rows, const char *text, sac_error *error) {
    return sac_suite_rows_parse(rows, text, strlen(text), "rows.json", error);
}

Test(bench_suite, rows_are_read) {
    sac_suite_rows rows;
    sac_error error = {0};
    sac_assert_ok(
        parse(&rows,
              "{\"arguments\": {\"arch\": \"tiny-s\", \"pseudo\": 5}, \"rows\": [{\"name\": "
              "\"one\"}, {\"name\": \"two\", \"group\": \"data\", \"seeds\": 3, \"teachers\": "
              "[\"a\"], \"arguments\": {\"pseudo\": 0, \"jitter\": 0.5, \"stop\": false, \"go\": "
              "true, \"list\": [\"x\", \"y\"]}}]}",
              &error),
        &error);
    cr_assert_eq(rows.count, 2);
    cr_assert_str_eq(rows.items[0].group, "main");
    cr_assert_eq(rows.items[0].seeds, 1);
    cr_assert_eq(rows.items[0].argument_count, 2);
    const sac_suite_row *two = &rows.items[1];
    const char *const expected[] = {"--arch=tiny-s", "--pseudo=0", "--jitter=0.5", "--no-stop",
                                    "--go",          "--list=x",   "--list=y"};
    cr_assert_eq(two->argument_count, 7);
    for (int i = 0; i < 7; i++) cr_assert_str_eq(two->arguments[i], expected[i]);
    cr_assert_str_eq(two->teachers[0], "a");
    cr_assert_eq(two->seeds, 3);
    sac_suite_rows_close(&rows);
}

static const struct {
    const char *text, *says;
} bad[] = {
    {"", "JSON"},
    {"{}", "rows"},
    {"{\"rows\": []}", "0 rows, expected 1 to"},
    {"{\"rows\": [7]}", "row 1"},
    {"{\"rows\": [{\"name\": \"\"}]}", "1 to 80 characters"},
    {"{\"rows\": [{\"name\": \"a|b\"}]}", "1 to 80 characters"},
    {"{\"rows\": [{\"name\": \"a\"}, {\"name\": \"a\"}]}", "a second row named 'a'"},
    {"{\"rows\": [{\"name\": \"a\", \"seed\": 1}]}", "unknown key 'seed'"},
    {"{\"rows\": [{\"name\": \"a\", \"seeds\": 0}]}", "seeds"},
    {"{\"rows\": [{\"name\": \"a\", \"teachers\": []}]}", "0 teachers"},
    {"{\"rows\": [{\"name\": \"a\", \"teachers\": [1]}]}", "array of names"},
    {"{\"rows\": [{\"name\": \"a\", \"arguments\": []}]}", "arguments"},
    {"{\"rows\": [{\"name\": \"a\", \"arguments\": {\"Pseudo\": 1}}]}", "no long option"},
    {"{\"rows\": [{\"name\": \"a\", \"arguments\": {\"-x\": 1}}]}", "no long option"},
    {"{\"rows\": [{\"name\": \"a\", \"arguments\": {\"output\": \"/\"}}]}", "set by the suite"},
    {"{\"rows\": [{\"name\": \"a\", \"arguments\": {\"pseudo\": null}}]}", "expected a text"},
    {"{\"rows\": [{\"name\": \"a\", \"arguments\": {\"pseudo\": [1]}}]}", "array of texts"},
    {"{\"rows\": [{\"name\": \"a\"}], \"arguments\": {\"seed\": 1}}", "set by the suite"},
};

Test(bench_suite, rows_are_refused) {
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        sac_suite_rows rows;
        sac_error error = {0};
        cr_assert_eq(parse(&rows, bad[i].text, &error), SAC_ERROR_FORMAT, "%s", bad[i].text);
        cr_assert_not_null(strstr(error.message, bad[i].says), "'%s' not in: %s", bad[i].says,
                           error.message);
        cr_assert_eq(rows.count, 0);
    }
}

Test(bench_suite, rows_without_memory) {
    static const char text[] =
        "{\"rows\": [{\"name\": \"a\", \"teachers\": [\"t\"], \"arguments\": {\"pseudo\": 1}}]}";
    for (int64_t n = 0; n < 12; n++) {
        sac_suite_rows rows;
        sac_memory_fail_after(n);
        const sac_status status = parse(&rows, text, NULL);
        sac_memory_fail_after(-1);
        cr_assert(status == SAC_OK || status == SAC_ERROR_MEMORY, "%d", (int)status);
        sac_suite_rows_close(&rows);
    }
}

Test(bench_suite, built_in_rows) {
    const char *const teachers[] = {"ssmtl", "attributes"};
    sac_suite_rows rows, again;
    sac_error error = {0};
    for (int n = 1; n <= 2; n++) {
        sac_assert_ok(sac_suite_rows_default(&rows, teachers, n, 3, &error), &error);
        cr_assert_geq(rows.count, 10);
        cr_assert_eq(rows.items[0].seeds, 3);
        cr_assert_eq(rows.items[0].argument_count, 1);
        cr_assert_str_eq(rows.items[0].arguments[0], "--quantise");
        cr_assert_eq(rows.items[1].teacher_count, n - 1);
        char *text = sac_suite_rows_json(&rows);
        sac_assert_ok(parse(&again, text, &error), &error);
        cr_assert_eq(again.count, rows.count);
        sac_free(text);
        sac_suite_rows_close(&again);
        sac_suite_rows_close(&rows);
    }
}

Test(bench_suite, arguments_that_the_suite_sets_itself) {
    static const char *const good[] = {
        "--arch", "tiny-s", "--offsets", "-3,0,3", "--quantise", "--no-quantise", "", "-", "x"};
    static const char *const set[] = {
        "--seed=3", "--see",       "--output",      "-o", "-oout",
        "-t",       "--no-resume", "--max-time=1h", "--", "--altered-cache=x"};
    sac_error error = {0};
    sac_assert_ok(sac_suite_arguments_check(good, 6, &error), &error);
    sac_assert_ok(sac_suite_arguments_check(good + 7, 2, &error), &error);
    sac_assert_ok(sac_suite_arguments_check(NULL, 0, &error), &error);
    for (size_t i = 0; i < sizeof set / sizeof set[0]; i++) {
        const char *const list[] = {good[0], good[1], set[i]};
        error = (sac_error){0};
        sac_assert_error(sac_suite_arguments_check(list, 3, &error), SAC_ERROR_ARGUMENT, &error,
                         set[i], "the suite sets this itself", NULL);
        cr_assert_eq(error.position, 2);
    }
}

static int stop_now(void *user) {
    (void)user;
    return 1;
}

Test(bench_suite, children) {
    const char *log = sac_test_path("child.log");
    char shell[] = "/bin/sh", flag[] = "-c", nowhere[] = "/nonexistent/program",
         good[] = "echo said; echo complained >&2", bad_end[] = "exit 7",
         sleeper[] = "exec sleep 60", killed[] = "kill -KILL $$";
    struct {
        char *script;
        int (*poll)(void *user);
        int code;
    } cases[] = {
        {good, NULL, 0}, {bad_end, NULL, 7}, {killed, NULL, 137}, {sleeper, stop_now, 130}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *arguments[] = {shell, flag, cases[i].script, NULL};
        sac_error error = {0};
        int code = -1;
        sac_assert_ok(sac_child_run(&code, arguments, log, cases[i].poll, NULL, &error), &error);
        cr_assert_eq(code, cases[i].code, "%s: %d", cases[i].script, code);
    }
    uint8_t *text = NULL;
    size_t size = 0;
    sac_error error = {0};
    sac_assert_ok(sac_file_read(&text, &size, log, 1000, &error), &error);
    cr_assert_str_eq((char *)text, "said\ncomplained\n");
    sac_free(text);
    char *arguments[] = {nowhere, NULL};
    int code;
    sac_assert_error(sac_child_run(&code, arguments, log, NULL, NULL, &error), SAC_ERROR_IO, &error,
                     "/nonexistent/program", NULL);
    error = (sac_error){0};
    sac_assert_error(sac_child_run(&code, arguments, "/nonexistent/log", NULL, NULL, &error),
                     SAC_ERROR_IO, &error, "/nonexistent/log", NULL);
}

Test(bench_suite, accuracies_there_and_back) {
    sac_accuracy a = {.micro = {0.5, 0.6, 0.7, (double)NAN}, .macro = {1, 0, 0.25, 0.125}}, b;
    a.rbdc = (double)NAN;
    a.tbdc = 0.75;
    json_t *json = sac_accuracy_json(&a);
    sac_error error = {0};
    sac_assert_ok(sac_accuracy_from_json(&b, json, "result.json", &error), &error);
    for (int i = 0; i < SAC_ASSESS_SMOOTHINGS; i++) {
        cr_assert(a.micro[i] == b.micro[i] || (isnan(a.micro[i]) && isnan(b.micro[i])));
        cr_assert_eq(a.macro[i], b.macro[i]);
    }
    cr_assert(isnan(b.rbdc) && b.tbdc == 0.75);
    json_object_set_new(json, "tbdc", json_real(1.5));
    sac_assert_error(sac_accuracy_from_json(&b, json, "result.json", &error), SAC_ERROR_FORMAT,
                     &error, "result.json", "tbdc", NULL);
    json_decref(json);
}

// The front: what nothing else beats in both.
Test(bench_suite, front) {
    sac_pareto_point points[4] = {{.fps = 100}, {.fps = 200}, {.fps = 150}, {.fps = 300}};
    const double areas[4] = {0.99, 0.97, 0.96, (double)NAN};
    for (int i = 0; i < 4; i++) points[i].accuracy.micro[2] = areas[i];
    sac_pareto pareto = {.points = points, .count = 4, .smoothing = 2};
    sac_pareto_front(&pareto);
    cr_assert(points[0].front && points[1].front);
    cr_assert_not(points[2].front);
    cr_assert_not(points[3].front);
}
