// Calibration of scores: empirical distribution with a fitted tail, thresholds with exact Poisson
// bounds, and their JSON.
#include "student/calibration.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/check.h"
#include "core/json.h"
#include "core/memory.h"
#include "core/number.h"

enum {
    FORMAT = 1,
    KNOTS = 64,       // of the empirical part
    THRESHOLDS = 512, // theta_0 .. theta_511
    TAIL_SHARE = 20,  // one frame in so many belongs to the tail
};
#define HALF_WAY   3.0   // -log10 S of the calibrated score 0.5
#define MAX_MARGIN 1e-4f // by which a threshold lies above the score it must exclude
#define MAX_HOURS  1e7
// Time between two frames that is longer than both of these is a gap.
#define GAP_S       1.0
#define GAP_MEDIANS 10.0

struct sac_calibration {
    int64_t frames, sources;
    double hours, frame_rate, confidence, merge_gap_s;
    sac_smoothing_options smoothing;
    double budget_per_hour;
    char budget[32];

    int knots;
    double score[KNOTS], level[KNOTS]; // ascending; level: -log10 S(score), the last one's is u
    double shape, scale;               // of the tail above score[knots - 1]

    int thresholds;
    float threshold[THRESHOLDS]; // descending: at most n events
};

// Bounds
// -------------------------------------------------------------------------------------------------

// P(N <= n; mu).
static double poisson_cdf(int64_t n, double mu) {
    double sum = 0.0;
    for (int64_t k = n; k >= 0; k--) {
        const double term = exp((double)k * log(mu) - mu - lgamma((double)k + 1.0));
        sum += term;
        // Below the mode terms shrink towards k = 0.
        if ((double)k < mu && term <= sum * 1e-18) break;
    }
    return sum < 1.0 ? sum : 1.0;
}

double sac_poisson_upper(int64_t events, double confidence) {
    if (events < 0 || events > 1000000 || !(confidence > 0.0 && confidence < 1.0)) return NAN;
    if (events == 0) return -log1p(-confidence);
    double lo = 0.0, hi = (double)events + 1.0;
    while (poisson_cdf(events, hi) > 1.0 - confidence) hi *= 2.0;
    for (int i = 0; i < 200 && hi - lo > 1e-11 * hi; i++) {
        const double mid = 0.5 * (lo + hi);
        if (poisson_cdf(events, mid) > 1.0 - confidence)
            lo = mid;
        else
            hi = mid;
    }
    return 0.5 * (lo + hi);
}

int64_t sac_poisson_allowed(double mean, double confidence) {
    if (!(mean > 0.0) || !(confidence > 0.0 && confidence < 1.0)) return -1;
    if (mean < -log1p(-confidence)) return -1;
    // The cdf grows with n.
    int64_t lo = 0, hi = 1;
    while (hi < 1000000 && poisson_cdf(hi, mean) <= 1.0 - confidence) {
        lo = hi;
        hi *= 2;
    }
    while (hi - lo > 1) {
        const int64_t mid = lo + (hi - lo) / 2;
        if (poisson_cdf(mid, mean) <= 1.0 - confidence)
            lo = mid;
        else
            hi = mid;
    }
    return lo;
}

sac_status sac_far_parse(sac_far *budget, const char *text, const char *option, sac_error *error) {
    static const struct {
        const char *name, *letter;
        double hours;
    } units[] = {{"hour", "h", 1}, {"day", "d", 24}, {"week", "w", 168}};
    const char *slash = strchr(text, '/');
    char number[32];
    if (slash != NULL && slash - text < (ptrdiff_t)sizeof number) {
        memcpy(number, text, (size_t)(slash - text));
        number[slash - text] = '\0';
        for (int i = 0; i < 3; i++) {
            if (strcmp(slash + 1, units[i].name) != 0 && strcmp(slash + 1, units[i].letter) != 0)
                continue;
            if (!sac_number_real(number, &budget->count) || !(budget->count > 0.0) ||
                budget->count > 1e6)
                break;
            budget->unit = units[i].name;
            budget->per_hour = budget->count / units[i].hours;
            return SAC_OK;
        }
    }
    return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                         "%s '%.40s': expected false alarms per time, above 0 and at most 1e6, "
                         "such as 2/day, 0.5/hour or 1/week",
                         option, text);
}

// Collecting
// -------------------------------------------------------------------------------------------------

struct sac_calibrator {
    sac_calibration_options options;
    float *scores;
    double *times;  // within the source
    uint8_t *first; // whether a frame is the first of its source
    int64_t count, capacity, sources;
    bool begins; // the next frame is the first of a source
};

sac_calibration_options sac_calibration_default_options(void) {
    sac_calibration_options options = {.confidence = 0.95, .merge_gap_s = 2.0};
    const sac_smoothing_options causal = {.kind = SAC_SMOOTHING_CAUSAL};
    options.smoothing = causal;
    if (sac_smoothing_resolve(&options.smoothing, &causal) < 0) options.smoothing = causal;
    return options;
}

sac_status sac_calibrator_create(sac_calibrator **calibrator,
                                 const sac_calibration_options *options, sac_error *error) {
    *calibrator = NULL;
    if (!(options->confidence >= 0.5 && options->confidence <= 0.9999) ||
        !(options->merge_gap_s >= 0.0 && options->merge_gap_s <= 3600.0))
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "calibration: confidence %g, gap %g s; expected 0.5 to 0.9999, 0 to "
                             "3600",
                             options->confidence, options->merge_gap_s);
    sac_calibrator *c = sac_calloc(1, sizeof *c);
    if (c == NULL) return sac_error_set(error, SAC_ERROR_MEMORY, -1, "calibration: no memory");
    c->options = *options;
    c->begins = true;
    *calibrator = c;
    return SAC_OK;
}

void sac_calibrator_begin(sac_calibrator *calibrator) {
    calibrator->begins = true;
}

static sac_status grow(sac_calibrator *c) {
    const int64_t more = c->capacity > 0 ? 2 * c->capacity : 4096;
    float *scores = sac_recalloc(c->scores, c->capacity, more, sizeof *scores);
    if (scores == NULL) return SAC_ERROR_MEMORY;
    c->scores = scores;
    double *times = sac_recalloc(c->times, c->capacity, more, sizeof *times);
    if (times == NULL) return SAC_ERROR_MEMORY;
    c->times = times;
    uint8_t *first = sac_recalloc(c->first, c->capacity, more, sizeof *first);
    if (first == NULL) return SAC_ERROR_MEMORY;
    c->first = first;
    c->capacity = more;
    return SAC_OK;
}

sac_status sac_calibrator_push(sac_calibrator *c, double time_s, float smoothed, sac_error *error) {
    if (!isfinite(time_s) || !(smoothed >= 0.0f && smoothed <= 1.0f) || c->count >= INT32_MAX ||
        (!c->begins && time_s < c->times[c->count - 1]))
        return sac_error_set(error, SAC_ERROR_ARGUMENT, c->count,
                             "calibration: frame %lld at %g s with score %g; expected times that "
                             "do not decrease, scores from 0 to 1, fewer than 2^31 frames",
                             (long long)c->count, time_s, (double)smoothed);
    if (c->count == c->capacity && grow(c) < 0)
        return sac_error_set(error, SAC_ERROR_MEMORY, -1, "calibration: no memory for %lld frames",
                             (long long)c->count);
    c->scores[c->count] = smoothed;
    c->times[c->count] = time_s;
    c->first[c->count] = c->begins;
    c->sources += c->begins;
    c->begins = false;
    c->count++;
    return SAC_OK;
}

void sac_calibrator_close(sac_calibrator **calibrator) {
    if (calibrator == NULL || *calibrator == NULL) return;
    sac_free((*calibrator)->scores);
    sac_free((*calibrator)->times);
    sac_free((*calibrator)->first);
    sac_free(*calibrator);
    *calibrator = NULL;
}

static int by_value(const void *a, const void *b) {
    const double p = *(const double *)a, q = *(const double *)b;
    return (p > q) - (p < q);
}

// Hours and frame rate. A source's last frame lasts as long as the median one, and so does a frame
// before a gap in the time stamps, in which nothing was seen.
static sac_status measure_time(sac_calibration *cal, const sac_calibrator *c) {
    double *steps = sac_calloc(c->count, sizeof *steps);
    int64_t count = 0;
    double total = 0.0;
    if (steps == NULL) return SAC_ERROR_MEMORY;
    for (int64_t i = 1; i < c->count; i++) {
        if (c->first[i]) continue;
        const double step = c->times[i] - c->times[i - 1];
        if (step > 0.0) steps[count++] = step;
    }
    if (count > 0) {
        qsort(steps, (size_t)count, sizeof *steps, by_value);
        const double median = steps[count / 2], most = fmax(GAP_S, GAP_MEDIANS * median);
        for (int64_t i = 1; i < c->count; i++) {
            if (c->first[i]) continue;
            const double step = c->times[i] - c->times[i - 1];
            total += step > most ? median : step;
        }
        cal->frame_rate = 1.0 / median;
        total += median * (double)c->sources;
    }
    cal->hours = total / 3600.0;
    sac_free(steps);
    return SAC_OK;
}

typedef struct entry {
    float score;
    int32_t frame;
} entry;

static int by_score(const void *a, const void *b) {
    const entry *p = a, *q = b;
    if (p->score < q->score || p->score > q->score) return p->score < q->score ? -1 : 1;
    return p->frame < q->frame ? -1 : p->frame > q->frame;
}

// Quantiles below, moments above.
static void fit_distribution(sac_calibration *cal, const entry *sorted, int64_t n) {
    const int64_t tail = n - n / TAIL_SHARE; // scores from here on are the tail's
    for (int k = 0; k < KNOTS; k++) {
        const int64_t i = (int64_t)((double)k / (KNOTS - 1) * (double)tail + 0.5);
        // Of equal scores the first: S is the share that reaches the score.
        int64_t at = i;
        while (at > 0 && sorted[at - 1].score >= sorted[i].score) at--;
        const double score = (double)sorted[i].score, level = -log10((double)(n - at) / (double)n);
        if (cal->knots > 0 && !(score > cal->score[cal->knots - 1])) continue;
        cal->score[cal->knots] = score;
        cal->level[cal->knots++] = level;
    }
    const double u = cal->score[cal->knots - 1];
    double a0 = 0.0, a1 = 0.0;
    int64_t first = n;
    while (first > 0 && (double)sorted[first - 1].score > u) first--;
    const int64_t count = n - first;
    for (int64_t i = 0; i < count; i++) {
        const double y = (double)sorted[first + i].score - u;
        a0 += y;
        if (count > 1) a1 += y * (double)(count - 1 - i) / (double)(count - 1);
    }
    if (count > 0) {
        a0 /= (double)count;
        a1 /= (double)count;
    }
    cal->shape = 0.0;
    cal->scale = a0;
    if (count >= 10 && a0 - 2.0 * a1 > 1e-12) {
        double shape = 2.0 - a0 / (a0 - 2.0 * a1);
        if (shape > 0.5) shape = 0.5;
        if (shape > 0.0) {
            cal->shape = shape;
            cal->scale = a0 * (1.0 - shape); // the mean of the tail stays a0
        }
    }
    // A camera whose scores hardly differ must not turn noise of the last digit into alarm.
    if (cal->scale < 1e-4) cal->scale = 1e-4;
}

// Events are counted at once for all thresholds: frames are taken away from the lowest score up,
// and the list of those that are left tells how the number of events changes.
static sac_status find_thresholds(sac_calibration *cal, const sac_calibrator *c,
                                  const entry *sorted) {
    sac_status status = SAC_OK;
    const int64_t n = c->count;
    int32_t *before = sac_calloc(n, sizeof *before), *after = sac_calloc(n, sizeof *after),
            *source = sac_calloc(n, sizeof *source);
    // events_at[i]: events when the threshold is the score of sorted[i].
    int64_t *events_at = sac_calloc(n, sizeof *events_at), events = 0, most = 0;
    SAC_TRY_ALLOC(before);
    SAC_TRY_ALLOC(after);
    SAC_TRY_ALLOC(source);
    SAC_TRY_ALLOC(events_at);
    for (int64_t i = 0; i < n; i++) {
        source[i] = i > 0 ? source[i - 1] + (c->first[i] != 0) : 0;
        before[i] = (int32_t)i - 1;
        after[i] = i + 1 < n ? (int32_t)i + 1 : -1;
    }
// Whether `b` begins an event when `a` is the frame above the threshold before it; neighbours are
// one run whatever time passes between them.
#define BREAKS(a, b)                                                                               \
    ((a) < 0 || source[a] != source[b] ||                                                          \
     ((b) - (a) > 1 && c->times[b] - c->times[a] > cal->merge_gap_s))
    for (int32_t i = 0; i < n; i++) events += BREAKS(i - 1, i);
    for (int64_t i = 0; i < n;) {
        // All frames from sorted[i] on are left: the threshold is its score.
        const float score = sorted[i].score;
        int64_t end = i;
        while (end < n && sorted[end].score <= score) end++;
        for (int64_t k = i; k < end; k++) events_at[k] = events;
        for (; i < end; i++) {
            const int32_t t = sorted[i].frame, a = before[t], b = after[t];
            events -= BREAKS(a, t);
            if (b >= 0) {
                events -= BREAKS(t, b);
                events += BREAKS(a, b);
                before[b] = a;
            }
            if (a >= 0) after[a] = b;
        }
    }
#undef BREAKS
    // From the highest score down: where more than k events are counted for the first time,
    // theta_k must be above.
    for (int64_t i = n - 1; i >= 0 && cal->thresholds < THRESHOLDS; i--) {
        if (events_at[i] <= most) continue;
        float margin = MAX_MARGIN;
        if (i + 1 < n && (sorted[i + 1].score - sorted[i].score) / 2 < margin)
            margin = (sorted[i + 1].score - sorted[i].score) / 2;
        float threshold = sorted[i].score + margin;
        if (!(threshold > sorted[i].score)) threshold = nextafterf(sorted[i].score, 2.0f);
        for (; most < events_at[i] && cal->thresholds < THRESHOLDS; most++)
            cal->threshold[cal->thresholds++] = threshold;
    }
fail:
    sac_free(before);
    sac_free(after);
    sac_free(source);
    sac_free(events_at);
    return status;
}

sac_status sac_calibrator_finish(sac_calibration **calibration, const sac_calibrator *c,
                                 sac_error *error) {
    sac_status status = SAC_OK;
    sac_calibration *cal = NULL;
    entry *sorted = NULL;
    *calibration = NULL;
    if (c->count < SAC_CALIBRATION_MIN_FRAMES)
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "calibration: %lld frames of normal video, at least %d are needed",
                             (long long)c->count, SAC_CALIBRATION_MIN_FRAMES);
    SAC_TRY_ALLOC(cal = sac_calloc(1, sizeof *cal));
    SAC_TRY_ALLOC(sorted = sac_calloc(c->count, sizeof *sorted));
    cal->frames = c->count;
    cal->sources = c->sources;
    cal->confidence = c->options.confidence;
    cal->merge_gap_s = c->options.merge_gap_s;
    cal->smoothing = c->options.smoothing;
    SAC_TRY(measure_time(cal, c));
    if (!(cal->hours > 0.0 && cal->hours <= MAX_HOURS))
        SAC_TRY(sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                              "calibration: the frames' times span %g hours, more than 0 and at "
                              "most %g were expected",
                              cal->hours, MAX_HOURS));
    for (int64_t i = 0; i < c->count; i++)
        sorted[i] = (entry){.score = c->scores[i], .frame = (int32_t)i};
    qsort(sorted, (size_t)c->count, sizeof *sorted, by_score);
    fit_distribution(cal, sorted, c->count);
    SAC_TRY(find_thresholds(cal, c, sorted));
    sac_free(sorted);
    *calibration = cal;
    return SAC_OK;
fail:
    sac_free(sorted);
    sac_calibration_close(&cal);
    return sac_error_set(error, status, -1, "calibration: no memory for %lld frames",
                         (long long)c->count);
}

// Using
// -------------------------------------------------------------------------------------------------

float sac_calibration_score(const sac_calibration *cal, float smoothed) {
    const double s = (double)smoothed;
    const int last = cal->knots - 1;
    double x;
    if (isnan(s)) return smoothed;
    if (s <= cal->score[0]) return 0.0f;
    if (s >= cal->score[last]) {
        const double y = (s - cal->score[last]) / cal->scale;
        x = cal->level[last] +
            (cal->shape > 0.0 ? log1p(cal->shape * y) / cal->shape : y) * 0.43429448190325182765;
    } else {
        int lo = 0, hi = last;
        while (hi - lo > 1) {
            const int mid = (lo + hi) / 2;
            if (s < cal->score[mid])
                hi = mid;
            else
                lo = mid;
        }
        x = cal->level[lo] + (cal->level[hi] - cal->level[lo]) * (s - cal->score[lo]) /
                                 (cal->score[hi] - cal->score[lo]);
    }
    return (float)(x / (x + HALF_WAY));
}

void sac_calibration_get_info(const sac_calibration *cal, sac_calibration_info *info) {
    *info = (sac_calibration_info){.frames = cal->frames,
                                   .sources = cal->sources,
                                   .hours = cal->hours,
                                   .frame_rate = cal->frame_rate,
                                   .confidence = cal->confidence,
                                   .merge_gap_s = cal->merge_gap_s,
                                   .smoothing = cal->smoothing,
                                   .lowest_per_hour =
                                       sac_poisson_upper(0, cal->confidence) / cal->hours,
                                   .budget_per_hour = cal->budget_per_hour,
                                   .tail_start = cal->score[cal->knots - 1],
                                   .tail_shape = cal->shape,
                                   .tail_scale = cal->scale};
    memcpy(info->budget, cal->budget, sizeof info->budget);
}

sac_status sac_calibration_threshold(sac_operating_point *point, const sac_calibration *cal,
                                     const sac_far *budget, const char *name, sac_error *error) {
    const double upper = sac_poisson_upper(0, cal->confidence);
    int64_t allowed = sac_poisson_allowed(budget->per_hour * cal->hours, cal->confidence);
    if (allowed < 0) {
        const double needed = upper / budget->per_hour, possible = upper / cal->hours;
        const double scale = budget->count / budget->per_hour; // hours in the unit
        return sac_error_set(
            error, SAC_ERROR_UNSUPPORTED, -1,
            "%s: %.3g hours of normal video without a single event certify no fewer than %.3g "
            "false alarms per %s at %g %% confidence. For %.3g per %s take %.3g hours of normal "
            "video (%.3g more), or a higher budget",
            name, cal->hours, possible * scale, budget->unit, 100.0 * cal->confidence,
            budget->count, budget->unit, needed, needed - cal->hours);
    }
    // A table that ends early ends with the threshold that every budget beyond it may use.
    if (allowed >= cal->thresholds) allowed = cal->thresholds - 1;
    point->allowed = allowed;
    point->threshold = cal->threshold[allowed];
    point->bound_per_hour = sac_poisson_upper(allowed, cal->confidence) / cal->hours;
    return SAC_OK;
}

sac_status sac_calibration_set_budget(sac_calibration *cal, const sac_far *budget, const char *text,
                                      const char *name, sac_error *error) {
    sac_operating_point point;
    if (strlen(text) >= sizeof cal->budget)
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1, "%s: budget '%.40s' is too long", name,
                             text);
    const sac_status status = sac_calibration_threshold(&point, cal, budget, name, error);
    if (status < 0) return status;
    cal->budget_per_hour = budget->per_hour;
    (void)snprintf(cal->budget, sizeof cal->budget, "%s", text);
    return SAC_OK;
}

void sac_calibration_close(sac_calibration **calibration) {
    if (calibration == NULL || *calibration == NULL) return;
    sac_free(*calibration);
    *calibration = NULL;
}

// JSON
// -------------------------------------------------------------------------------------------------

static json_t *reals(const double *values, int count) {
    json_t *list = json_array();
    for (int i = 0; list != NULL && i < count; i++)
        if (json_array_append_new(list, sac_json_number(values[i])) != 0) {
            json_decref(list);
            return NULL;
        }
    return list;
}

json_t *sac_calibration_to_json(const sac_calibration *cal) {
    double thresholds[THRESHOLDS];
    for (int i = 0; i < cal->thresholds; i++) thresholds[i] = (double)cal->threshold[i];
    json_t *json = json_pack(
        "{s:i, s:I, s:I, s:o, s:o, s:o, s:o, s:{s:s, s:o, s:i}, s:{s:o, s:o}, s:{s:o, s:o}, s:o}",
        "format", FORMAT, "frames", (json_int_t)cal->frames, "sources", (json_int_t)cal->sources,
        "hours", sac_json_number(cal->hours), "frame_rate", sac_json_number(cal->frame_rate),
        "confidence", sac_json_number(cal->confidence), "merge_gap_s",
        sac_json_number(cal->merge_gap_s), "smoothing", "kind",
        sac_smoothing_name(cal->smoothing.kind), "sigma", sac_json_number(cal->smoothing.sigma),
        "taps", cal->smoothing.taps, "body", "score", reals(cal->score, cal->knots), "level",
        reals(cal->level, cal->knots), "tail", "shape", sac_json_number(cal->shape), "scale",
        sac_json_number(cal->scale), "thresholds", reals(thresholds, cal->thresholds));
    if (json != NULL && cal->budget[0] != '\0' &&
        json_object_set_new(json, "budget", json_string(cal->budget)) != 0) {
        json_decref(json);
        return NULL;
    }
    return json;
}

// Numbers of an array, within [lo, hi] and strictly ascending or, with `ascending` false, not
// ascending.
static sac_status take_reals(double *values, int *count, int limit, const json_t *object,
                             const char *key, double lo, double hi, int order, const char *name,
                             sac_error *error) {
    json_t *list = NULL;
    sac_status status = sac_json_get_array(object, key, &list, name, error);
    if (status < 0) return status;
    const size_t size = json_array_size(list);
    if (size < 1 || size > (size_t)limit)
        return sac_error_set(error, SAC_ERROR_FORMAT, -1, "%s: \"%s\" must hold 1 to %d numbers",
                             name, key, limit);
    for (size_t i = 0; i < size; i++) {
        const json_t *item = json_array_get(list, i);
        const double x = json_number_value(item);
        if (!json_is_number(item) || !(x >= lo && x <= hi) ||
            (i > 0 && (order > 0   ? !(x > values[i - 1])
                       : order < 0 ? !(x <= values[i - 1])
                                   : !(x >= values[i - 1]))))
            return sac_error_set(error, SAC_ERROR_FORMAT, (int64_t)i,
                                 "%s: \"%s\", number %zu: expected %g to %g, %s", name, key, i, lo,
                                 hi, order < 0 ? "descending" : "ascending");
        values[i] = x;
    }
    *count = (int)size;
    return SAC_OK;
}

static sac_status take_smoothing(sac_smoothing_options *smoothing, const json_t *json,
                                 const char *name, sac_error *error) {
    sac_status status = SAC_OK;
    json_t *object = NULL;
    const char *kind = NULL;
    int64_t taps = 0;
    sac_smoothing_options resolved;
    SAC_TRY(sac_json_get_object(json, "smoothing", &object, name, error));
    SAC_TRY(sac_json_get_text(object, "kind", &kind, name, error));
    SAC_TRY(sac_json_get_real(object, "sigma", 0, 1e6, &smoothing->sigma, name, error));
    SAC_TRY(sac_json_get_int(object, "taps", 1, SAC_SMOOTHING_CAUSAL_TAPS, &taps, name, error));
    smoothing->taps = (int)taps;
    smoothing->kind = SAC_SMOOTHING_CAUSAL;
    if (strcmp(kind, "causal") != 0 || sac_smoothing_resolve(&resolved, smoothing) < 0)
        SAC_TRY(sac_error_set(error, SAC_ERROR_FORMAT, -1,
                              "%s: \"smoothing\" is '%.32s', causal was expected", name, kind));
fail:
    return status;
}

sac_status sac_calibration_from_json(sac_calibration **calibration, const json_t *json,
                                     const char *name, sac_error *error) {
    sac_status status = SAC_OK;
    sac_calibration *cal = NULL;
    json_t *body = NULL, *tail = NULL;
    double thresholds[THRESHOLDS];
    int levels = 0;
    int64_t format = 0;
    *calibration = NULL;
    SAC_TRY_ALLOC(cal = sac_calloc(1, sizeof *cal));
    SAC_TRY(sac_json_get_int(json, "format", 1, INT32_MAX, &format, name, error));
    if (format > FORMAT)
        SAC_TRY(sac_error_set(error, SAC_ERROR_UNSUPPORTED, -1,
                              "%s: format %lld is newer than this program, which knows up to %d",
                              name, (long long)format, FORMAT));
    SAC_TRY(sac_json_get_int(json, "frames", SAC_CALIBRATION_MIN_FRAMES, INT32_MAX, &cal->frames,
                             name, error));
    SAC_TRY(sac_json_get_int(json, "sources", 1, cal->frames, &cal->sources, name, error));
    SAC_TRY(sac_json_get_real(json, "hours", 1e-9, MAX_HOURS, &cal->hours, name, error));
    SAC_TRY(sac_json_get_real(json, "frame_rate", 0, 1e12, &cal->frame_rate, name, error));
    SAC_TRY(sac_json_get_real(json, "confidence", 0.5, 0.9999, &cal->confidence, name, error));
    SAC_TRY(sac_json_get_real(json, "merge_gap_s", 0, 3600, &cal->merge_gap_s, name, error));
    SAC_TRY(take_smoothing(&cal->smoothing, json, name, error));
    SAC_TRY(sac_json_get_object(json, "body", &body, name, error));
    SAC_TRY(take_reals(cal->score, &cal->knots, KNOTS, body, "score", 0, 1, 1, name, error));
    SAC_TRY(take_reals(cal->level, &levels, KNOTS, body, "level", 0, 20, 0, name, error));
    if (levels != cal->knots)
        SAC_TRY(sac_error_set(error, SAC_ERROR_FORMAT, -1,
                              "%s: \"body\" holds %d scores and %d levels", name, cal->knots,
                              levels));
    SAC_TRY(sac_json_get_object(json, "tail", &tail, name, error));
    SAC_TRY(sac_json_get_real(tail, "shape", 0, 0.5, &cal->shape, name, error));
    SAC_TRY(sac_json_get_real(tail, "scale", 1e-5, 10, &cal->scale, name, error));
    SAC_TRY(take_reals(thresholds, &cal->thresholds, THRESHOLDS, json, "thresholds", 0, 2, -1, name,
                       error));
    for (int i = 0; i < cal->thresholds; i++) cal->threshold[i] = (float)thresholds[i];
    if (json_object_get(json, "budget") != NULL) {
        const char *text = NULL;
        sac_far budget;
        sac_error cause = {0};
        SAC_TRY(sac_json_get_text(json, "budget", &text, name, error));
        status = sac_far_parse(&budget, text, "budget", &cause);
        if (status >= 0) status = sac_calibration_set_budget(cal, &budget, text, name, &cause);
        if (status < 0)
            SAC_TRY(sac_error_set(error, SAC_ERROR_FORMAT, -1, "%s: \"budget\": %s", name,
                                  cause.message));
    }
    *calibration = cal;
    return SAC_OK;
fail:
    sac_calibration_close(&cal);
    return sac_error_set(error, status, -1, "%s: no memory", name);
}
