// Calibration: Poisson limits against tables, thresholds on score series of known rates, the bound
// that is refused, the distribution's tail, and hostile metadata.
#include "student/calibration.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/json.h"
#include "core/memory.h"
#include "core/rng.h"
#include "helper.h"

Test(student_calibration, poisson_limits_of_the_tables) {
    // chi2_{c, 2n+2} / 2, one-sided (Garwood 1936; any table of chi-square quantiles).
    static const struct {
        int64_t n;
        double confidence, upper;
    } table[] = {{0, 0.95, 2.9957},  {1, 0.95, 4.7439},  {2, 0.95, 6.2958},   {3, 0.95, 7.7537},
                 {4, 0.95, 9.1535},  {5, 0.95, 10.5130}, {10, 0.95, 16.9622}, {20, 0.95, 29.0620},
                 {50, 0.95, 63.287}, {0, 0.99, 4.6052},  {1, 0.99, 6.6384},   {5, 0.99, 13.1085},
                 {0, 0.9, 2.3026},   {3, 0.9, 6.6808},   {0, 0.975, 3.6889},  {10, 0.975, 18.3904}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        const double upper = sac_poisson_upper(table[i].n, table[i].confidence);
        cr_assert_float_eq(upper, table[i].upper, 6e-5 * table[i].upper, "%lld at %g: %.5f",
                           (long long)table[i].n, table[i].confidence, upper);
        // The inverse: that much suffices for n events and for no more.
        cr_assert_eq(sac_poisson_allowed(upper * (1 + 1e-6), table[i].confidence), table[i].n);
        cr_assert_eq(sac_poisson_allowed(upper * (1 - 1e-6), table[i].confidence), table[i].n - 1);
    }
    cr_assert(isnan(sac_poisson_upper(-1, 0.95)) && isnan(sac_poisson_upper(0, 1.0)) &&
              isnan(sac_poisson_upper(0, NAN)));
    cr_assert_eq(sac_poisson_allowed(NAN, 0.95), -1);
    const double many = sac_poisson_upper(10000, 0.95); // normal approximation
    cr_assert_float_eq(many, 10000 + 1.645 * 100 + 1.6, 1.5, "%g", many);
}

Test(student_calibration, budgets) {
    static const struct {
        const char *text;
        double per_hour;
    } good[] = {{"2/day", 2.0 / 24}, {"0.5/hour", 0.5}, {"1/week", 1.0 / 168},
                {"3/d", 0.125},      {"1e2/h", 100},    {"1/w", 1.0 / 168}};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        sac_far budget;
        sac_error error = {0};
        sac_assert_ok(sac_far_parse(&budget, good[i].text, "--far", &error), &error);
        cr_assert_float_eq(budget.per_hour, good[i].per_hour, 1e-12);
    }
    static const char *const bad[] = {
        "",        "2",      "2/",    "/day",    "0/day",
        "-1/day",  "2/year", "x/day", "nan/day", "2/day ",
        " 2 /day", "2/days", "1e9/h", "2//day",  "111111111111111111111111111111111111/d"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        sac_far budget;
        sac_error error = {0};
        sac_assert_error(sac_far_parse(&budget, bad[i], "--far", &error), SAC_ERROR_ARGUMENT,
                         &error, "--far", "2/day", NULL);
    }
}

static sac_calibrator *start(double merge_gap_s) {
    sac_error error = {0};
    sac_calibrator *c = NULL;
    sac_calibration_options options = sac_calibration_default_options();
    options.merge_gap_s = merge_gap_s;
    sac_assert_ok(sac_calibrator_create(&c, &options, &error), &error);
    return c;
}

static void push(sac_calibrator *c, double time_s, double score) {
    sac_error error = {0};
    sac_assert_ok(sac_calibrator_push(c, time_s, (float)score, &error), &error);
}

static sac_calibration *finish(sac_calibrator **c) {
    sac_error error = {0};
    sac_calibration *calibration = NULL;
    sac_assert_ok(sac_calibrator_finish(&calibration, *c, &error), &error);
    sac_calibrator_close(c);
    return calibration;
}

static sac_far far_of(const char *text) {
    sac_far budget = {0};
    sac_error error = {0};
    sac_assert_ok(sac_far_parse(&budget, text, "--far", &error), &error);
    return budget;
}

// Ten hours at one frame a second; bumps of known heights, a score of 0.1 between them.
static sac_calibration *with_bumps(int bumps) {
    sac_calibrator *c = start(2);
    for (int t = 0; t < 36000; t++) {
        const int k = t / 100, inside = t % 100;
        // Bump k has the height 0.2 + k / 1000, two runs of 3 frames, two seconds apart.
        const int high = k >= 1 && k <= bumps && (inside < 3 || (inside >= 4 && inside < 7));
        push(c, t, high ? 0.2 + k / 1000.0 : 0.1 + 0.0001 * (t % 7));
    }
    return finish(&c);
}

Test(student_calibration, thresholds_allow_exactly_what_the_bound_allows) {
    sac_calibration *c = with_bumps(50);
    sac_calibration_info info;
    sac_calibration_get_info(c, &info);
    cr_assert_float_eq(info.hours, 10, 1e-9);
    cr_assert_float_eq(info.frame_rate, 1, 1e-9);
    cr_assert_float_eq(info.lowest_per_hour, 0.29957, 1e-4);
    static const struct {
        const char *far;
        int64_t allowed; // largest n with upper(n) <= 10 hours times the budget
    } cases[] = {{"0.3/hour", 0},  {"0.47/hour", 0}, {"0.48/hour", 1},
                 {"0.78/hour", 3}, {"24/day", 4},    {"1.7/hour", 10}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        sac_error error = {0};
        sac_operating_point point;
        const sac_far budget = far_of(cases[i].far);
        sac_assert_ok(sac_calibration_threshold(&point, c, &budget, "m", &error), &error);
        cr_assert_eq(point.allowed, cases[i].allowed, "%s: %lld", cases[i].far,
                     (long long)point.allowed);
        // Bumps 50 - allowed + 1 .. 50 reach it, the one below does not.
        const double highest_below = 0.2 + (50 - (double)cases[i].allowed) / 1000.0;
        cr_assert(point.threshold > (float)highest_below &&
                      (double)point.threshold < highest_below + 0.0006,
                  "%s: threshold %g", cases[i].far, (double)point.threshold);
        cr_assert_leq(point.bound_per_hour, budget.per_hour);
        cr_assert_float_eq(point.bound_per_hour,
                           sac_poisson_upper(cases[i].allowed, 0.95) / info.hours, 1e-12);
    }
    sac_calibration_close(&c);
    cr_assert_null(c);
    sac_calibration_close(&c);
}

Test(student_calibration, more_than_the_video_certifies_is_refused) {
    sac_calibration *c = with_bumps(3);
    sac_error error = {0};
    sac_operating_point point;
    sac_far budget = far_of("2/day");
    // 10 hours, no event: 2.9957 / 10 h = 7.19 a day; for 2 a day 35.9 hours are needed.
    sac_assert_error(sac_calibration_threshold(&point, c, &budget, "--far", &error),
                     SAC_ERROR_UNSUPPORTED, &error, "10 hours", "7.19", "per day", "35.9 hours",
                     "25.9 more", "95 %", NULL);
    budget = far_of("0.2995/hour");
    cr_assert_eq(sac_calibration_threshold(&point, c, &budget, "", NULL), SAC_ERROR_UNSUPPORTED);
    cr_assert_eq(sac_calibration_set_budget(c, &budget, "0.2995/hour", "", NULL),
                 SAC_ERROR_UNSUPPORTED);
    budget = far_of("7.2/day");
    sac_assert_ok(sac_calibration_set_budget(c, &budget, "7.2/day", "m", &error), &error);
    sac_calibration_info info;
    sac_calibration_get_info(c, &info);
    cr_assert_str_eq(info.budget, "7.2/day");
    sac_calibration_close(&c);
}

// A random walk pulled back to its mean: does the promise hold on video to come?
static void stationary(sac_calibrator *c, sac_rng *rng, int frames, float threshold, double gap_s,
                       int *events) {
    double x = 0.0, last = -1e9;
    *events = 0;
    for (int t = 0; t < frames; t++) {
        x = 0.9 * x + 0.1 * (sac_rng_uniform(rng) * 2 - 1) + 0.02 * sac_rng_normal(rng);
        const double score = 1 / (1 + exp(-6 * x + 2));
        if (c != NULL) push(c, t * 0.1, score);
        if ((float)score >= threshold) {
            if (t * 0.1 - last > gap_s) (*events)++;
            last = t * 0.1;
        }
    }
}

Test(student_calibration, promises_hold_on_new_video) {
    int broken = 0, ignored;
    enum { TRIALS = 40 };
    for (int trial = 0; trial < TRIALS; trial++) {
        sac_rng rng;
        sac_rng_seed(&rng, 100 + (uint64_t)trial, 0);
        sac_calibrator *c = start(2);
        stationary(c, &rng, 36000, 2, 2, &ignored); // one hour at 10 frames/s
        sac_calibration *cal = finish(&c);
        const sac_far budget = far_of("10/hour");
        sac_operating_point point;
        sac_error error = {0};
        sac_assert_ok(sac_calibration_threshold(&point, cal, &budget, "m", &error), &error);
        cr_assert_eq(point.allowed, 4);
        int events = 0;
        stationary(NULL, &rng, 360000, point.threshold, 2, &events); // ten hours
        // The mean is known to 10 % then; at most one trial in twenty may exceed the budget.
        broken += events > 100;
        cr_assert_gt(events, 0, "a threshold that never fires is no use");
        sac_calibration_close(&cal);
    }
    cr_assert_leq(broken, 6, "%d of %d promises broken, about 2 were to be expected", broken,
                  (int)TRIALS);
}

Test(student_calibration, events_are_runs_within_a_source) {
    // Two sources, each ending or beginning high: two events, not one. No gap is bridged at 0 s.
    for (int gap = 0; gap < 2; gap++) {
        sac_calibrator *c = start(gap == 0 ? 0.0 : 5.0);
        for (int s = 0; s < 2; s++) {
            sac_calibrator_begin(c);
            for (int t = 0; t < 1000; t++) {
                const int high = s == 0 ? t >= 990 : t < 10 || (t >= 13 && t < 20);
                push(c, t, high ? 0.9 : 0.1);
            }
        }
        sac_calibration *cal = finish(&c);
        json_t *json = sac_calibration_to_json(cal);
        const json_t *thresholds = json_object_get(json, "thresholds");
        // Up to the second (third) event thresholds must lie above 0.9; with one more allowed they
        // may fall to what all frames reach.
        const size_t events = gap == 0 ? 3 : 2;
        cr_assert_eq(json_array_size(thresholds), events);
        for (size_t i = 0; i < events; i++)
            cr_assert(json_number_value(json_array_get(thresholds, i)) > 0.9);
        json_decref(json);
        sac_calibration_close(&cal);
    }
}

Test(student_calibration, scores_follow_the_distribution) {
    sac_rng rng;
    sac_rng_seed(&rng, 5, 0);
    sac_calibrator *c = start(2);
    // Exponential above 0.1: S(s) = exp(-(s - 0.1) / 0.02), shape 0.
    for (int t = 0; t < 100000; t++)
        push(c, t * 0.04, fmin(1, 0.1 - 0.02 * log(1 - sac_rng_uniform(&rng))));
    sac_calibration *cal = finish(&c);
    sac_calibration_info info;
    sac_calibration_get_info(cal, &info);
    cr_assert_float_eq(info.tail_scale, 0.02, 0.001, "%g", info.tail_scale);
    cr_assert_float_eq(info.tail_shape, 0, 0.06, "%g", info.tail_shape);
    cr_assert_float_eq(info.hours, 100000 * 0.04 / 3600, 1e-6);
    cr_assert_float_eq(info.frame_rate, 25, 1e-6);
    static const double levels[] = {0.1, 0.5, 1, 2, 3, 5};
    for (int i = 0; i < 6; i++) {
        const double s = 0.1 + 0.02 * levels[i] * log(10), expected = levels[i] / (levels[i] + 3);
        cr_assert_float_eq(sac_calibration_score(cal, (float)s), expected, 0.02, "%g: %g",
                           levels[i], (double)sac_calibration_score(cal, (float)s));
    }
    // Increasing and below 1 everywhere.
    float before = -1;
    for (int i = 0; i <= 1000; i++) {
        const float x = sac_calibration_score(cal, (float)i / 1000);
        cr_assert(x >= 0 && x < 1 && x >= before, "at %d: %g after %g", i, (double)x,
                  (double)before);
        if (i > 110) cr_assert(x > before, "at %d", i);
        before = x;
    }
    cr_assert(isnan(sac_calibration_score(cal, NAN)));
    sac_calibration_close(&cal);
}

// A recording whose clock jumps, or that pauses, shows no more video than it has frames for.
Test(student_calibration, gaps_are_no_video) {
    sac_calibrator *c = start(2);
    for (int t = 0; t < 600; t++) push(c, t * 0.1 + (t >= 300 ? 40 * 3600 : 0), 0.25);
    sac_calibration *cal = finish(&c);
    sac_calibration_info info;
    sac_calibration_get_info(cal, &info);
    cr_assert_float_eq(info.hours, 60.0 / 3600, 1e-9, "%g", info.hours);
    sac_calibration_close(&cal);
    // Frames that a camera leaves out while little moves are none.
    c = start(2);
    for (int t = 0; t < 300; t++) push(c, t < 200 ? t * 0.1 : 20 + (t - 200) * 0.9, 0.25);
    cal = finish(&c);
    sac_calibration_get_info(cal, &info);
    cr_assert_float_eq(info.hours, (20 + 99 * 0.9 + 0.1) / 3600, 1e-9, "%g", info.hours);
    sac_calibration_close(&cal);
}

Test(student_calibration, constant_scores) {
    sac_calibrator *c = start(2);
    for (int t = 0; t < 500; t++) push(c, t, 0.25);
    sac_calibration *cal = finish(&c);
    cr_assert_eq(sac_calibration_score(cal, 0.25f), 0);
    cr_assert_eq(sac_calibration_score(cal, 0.1f), 0);
    cr_assert(sac_calibration_score(cal, 0.3f) > 0.5f && sac_calibration_score(cal, 1) < 1);
    sac_operating_point point;
    const sac_far budget = far_of("100/hour");
    sac_error error = {0};
    sac_assert_ok(sac_calibration_threshold(&point, cal, &budget, "m", &error), &error);
    cr_assert_gt(point.threshold, 0.25f);
    sac_calibration_close(&cal);
}

Test(student_calibration, bad_input) {
    sac_error error = {0};
    sac_calibrator *c = NULL;
    sac_calibration_options options = sac_calibration_default_options();
    options.confidence = 1.0;
    sac_assert_error(sac_calibrator_create(&c, &options, &error), SAC_ERROR_ARGUMENT, &error,
                     "confidence", NULL);
    c = start(2);
    push(c, 1.0, 0.5);
    static const struct {
        double time_s;
        float score;
    } bad[] = {{0.5, 0.5f}, {NAN, 0.5f}, {2, NAN}, {2, -0.1f}, {2, 1.1f}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        error = (sac_error){0};
        sac_assert_error(sac_calibrator_push(c, bad[i].time_s, bad[i].score, &error),
                         SAC_ERROR_ARGUMENT, &error, "frame 1", NULL);
    }
    sac_calibration *cal = NULL;
    error = (sac_error){0};
    sac_assert_error(sac_calibrator_finish(&cal, c, &error), SAC_ERROR_ARGUMENT, &error, "1 frames",
                     "200", NULL);
    cr_assert_null(cal);
    for (int t = 0; t < 300; t++) push(c, 1.0, 0.5); // no time passes
    error = (sac_error){0};
    sac_assert_error(sac_calibrator_finish(&cal, c, &error), SAC_ERROR_ARGUMENT, &error, "hours",
                     NULL);
    sac_calibrator_close(&c);
    sac_calibrator_close(NULL);
}

Test(student_calibration, json_brings_back_the_same) {
    sac_calibration *a = with_bumps(20), *b = NULL;
    sac_error error = {0};
    const sac_far budget = far_of("1/hour");
    sac_assert_ok(sac_calibration_set_budget(a, &budget, "1/hour", "m", &error), &error);
    json_t *json = sac_calibration_to_json(a);
    char *text = json_dumps(json, JSON_REAL_PRECISION(17));
    json_decref(json);
    sac_assert_ok(sac_json_parse(&json, text, strlen(text), "m", &error), &error);
    free(text);
    sac_assert_ok(sac_calibration_from_json(&b, json, "m", &error), &error);
    json_t *again = sac_calibration_to_json(b);
    cr_assert(json_equal(json, again));
    for (int i = 0; i <= 100; i++)
        cr_assert_eq(sac_calibration_score(a, (float)i / 100),
                     sac_calibration_score(b, (float)i / 100));
    json_decref(again);
    json_decref(json);
    sac_calibration_close(&a);
    sac_calibration_close(&b);
}

Test(student_calibration, hostile_metadata) {
    sac_calibration *good = with_bumps(20), *out = NULL;
    json_t *json = sac_calibration_to_json(good);
    static const struct {
        const char *key, *value, *text;
    } wrong[] = {{"format", "2", "newer"},
                 {"format", "0", "format"},
                 {"frames", "-1", "frames"},
                 {"frames", "1e300", "frames"},
                 {"sources", "36001", "sources"},
                 {"hours", "0", "hours"},
                 {"hours", "\"ten\"", "hours"},
                 {"confidence", "1", "confidence"},
                 {"merge_gap_s", "-1", "merge_gap_s"},
                 {"smoothing", "{\"kind\": \"paper\", \"sigma\": 20, \"taps\": 49}", "causal"},
                 {"smoothing", "{\"kind\": \"causal\", \"sigma\": 4, \"taps\": 65}", "taps"},
                 {"smoothing", "[]", "smoothing"},
                 {"body", "{\"score\": [], \"level\": []}", "score"},
                 {"body", "{\"score\": [0.1, 0.1], \"level\": [0, 1]}", "ascending"},
                 {"body", "{\"score\": [0.1, 0.2], \"level\": [1, 0]}", "ascending"},
                 {"body", "{\"score\": [0.1, 0.2], \"level\": [0]}", "levels"},
                 {"body", "{\"score\": [0.1, \"x\"], \"level\": [0, 1]}", "score"},
                 {"body", "{\"score\": [0.1, 2], \"level\": [0, 1]}", "score"},
                 {"tail", "{\"shape\": -1, \"scale\": 0.1}", "shape"},
                 {"tail", "{\"shape\": 0, \"scale\": 0}", "scale"},
                 {"thresholds", "[]", "thresholds"},
                 {"thresholds", "[0.1, 0.2]", "descending"},
                 {"thresholds", "[null]", "thresholds"},
                 {"budget", "\"2/year\"", "budget"},
                 {"budget", "\"2/day\"", "35.9 hours"},
                 {"budget", "7", "budget"}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        json_t *copy = json_deep_copy(json);
        json_error_t where;
        cr_assert_eq(json_object_set_new(copy, wrong[i].key,
                                         json_loads(wrong[i].value, JSON_DECODE_ANY, &where)),
                     0);
        sac_error error = {0};
        const sac_status status = sac_calibration_from_json(&out, copy, "model.st", &error);
        cr_assert(status == SAC_ERROR_FORMAT || (i == 0 && status == SAC_ERROR_UNSUPPORTED),
                  "case %zu: %s", i, sac_status_name(status));
        cr_assert_null(out);
        cr_assert(strstr(error.message, "model.st") != NULL &&
                      strstr(error.message, wrong[i].text) != NULL,
                  "case %zu: %s", i, error.message);
        json_decref(copy);
    }
    const char *key;
    json_t *value;
    json_object_foreach(json, key, value) { // each member missing
        json_t *copy = json_deep_copy(json);
        cr_assert_eq(json_object_del(copy, key), 0);
        sac_error error = {0};
        cr_assert_eq(sac_calibration_from_json(&out, copy, "m", &error), SAC_ERROR_FORMAT, "%s",
                     key);
        json_decref(copy);
    }
    sac_error error = {0};
    cr_assert_eq(sac_calibration_from_json(&out, NULL, "m", &error), SAC_ERROR_FORMAT);
    json_decref(json);
    sac_calibration_close(&good);
}

Test(student_calibration, lack_of_memory) {
    for (int64_t n = 0;; n++) {
        sac_error error = {0};
        sac_calibrator *c = NULL;
        sac_calibration *cal = NULL;
        sac_calibration_options options = sac_calibration_default_options();
        sac_memory_fail_after(n);
        sac_status status = sac_calibrator_create(&c, &options, &error);
        for (int t = 0; t < 5000 && status >= 0; t++)
            status = sac_calibrator_push(c, t, 0.001f * (float)(t % 300), &error);
        if (status >= 0) status = sac_calibrator_finish(&cal, c, &error);
        sac_memory_fail_after(-1);
        sac_calibrator_close(&c);
        if (status == SAC_OK) {
            cr_assert_geq(n, 10);
            sac_calibration_close(&cal);
            break;
        }
        cr_assert_eq(status, SAC_ERROR_MEMORY, "%lld: %s", (long long)n, error.message);
        cr_assert_null(cal);
    }
}
