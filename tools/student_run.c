// student-run: scores videos, picture folders, streams and cameras with a trained student and
// writes tables, maps, an overlay video and a report. Scoring itself is libsaccade
// (student/runtime.c); this is what is around it, see tools/student_run.h.
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/check.h"
#include "core/json.h"
#include "core/memory.h"
#include "core/number.h"
#include "core/text.h"
#include "core/time.h"
#include "saccade/version.h"
#include "tools/student_run.h"

// One compute thread per core, although decoders run, too: workers wait for frames asleep and share
// a core with a decoder without keeping anybody else waiting.
static int choose_threads(const run_settings *s) {
    return s->tool.threads > 0 ? (int)s->tool.threads : sac_core_count();
}

static int64_t choose_jobs(const run_state *r, bool on_stdout) {
    int64_t jobs = r->settings->jobs;
    if (jobs == 0) jobs = on_stdout ? 1 : sac_core_count();
    return jobs < r->source_count ? jobs : r->source_count;
}

static json_t *describe_model(const run_state *r) {
    const sac_model *model = sac_student_pool_model(r->pool);
    return json_pack(
        "{s:o, s:s, s:I, s:I, s:s, s:o, s:O}", "file", sac_json_text(r->settings->model), "arch",
        r->info.arch, "parameters", (json_int_t)r->info.parameters, "macs_per_frame",
        (json_int_t)r->info.macs_per_frame, "precision", sac_precision_name(r->info.precision),
        "preprocess", sac_preprocess_to_json(&model->preprocess), "provenance", model->provenance);
}

// Thresholds and calibrated scores hold for scores that came about in the same way.
static void warn_of_conditions(const run_state *r, const json_t *made) {
    const run_settings *s = r->settings;
    const run_conditions now = {.precision = r->info.precision,
                                .width = r->width,
                                .height = r->height,
                                .gate = s->gate,
                                .decode = s->decode};
    char differing[320];
    run_conditions_compare(differing, sizeof differing, made, &now);
    if (differing[0] != '\0')
        fprintf(stderr,
                "%s: warning: %s was calibrated under other conditions: %s; its thresholds and "
                "calibrated scores may not hold\n",
                run_command.name, s->model, differing);
}

// The calibration, if the model has one that fits the smoothing, and the threshold of events.
static sac_status take_calibration(run_state *r, sac_error *error) {
    sac_status status = SAC_OK;
    const run_settings *s = r->settings;
    const json_t *json = sac_student_pool_model(r->pool)->calibration;
    const bool automatic = s->threshold != NULL && strcmp(s->threshold, "auto") == 0;
    char *place = NULL;
    sac_calibration_info info = {0};
    sac_far budget;
    if (json != NULL) {
        SAC_TRY_ALLOC(place = sac_format("%s: metadata \"calibration\"", s->model));
        SAC_TRY(sac_calibration_from_json(&r->calibration, json, place, error));
        sac_calibration_get_info(r->calibration, &info);
        sac_smoothing_options used = {.kind = SAC_SMOOTHING_CAUSAL,
                                      .sigma = s->smoothing_sigma,
                                      .taps = (int)s->smoothing_taps};
        SAC_TRY(sac_smoothing_resolve(&used, &used));
        if (used.taps != info.smoothing.taps || fabs(used.sigma - info.smoothing.sigma) > 1e-9) {
            if (automatic || s->far != NULL)
                SAC_TRY(sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                                      "%s was calibrated with smoothing sigma %g over %d frames: "
                                      "its thresholds mean nothing with %g over %d",
                                      s->model, info.smoothing.sigma, info.smoothing.taps,
                                      used.sigma, used.taps));
            sac_calibration_close(&r->calibration); // a column of wrong numbers helps nobody
        }
    }
    if (r->calibration != NULL) warn_of_conditions(r, json_object_get(json, "made"));
    r->threshold = -1.0;
    if (automatic || s->far != NULL) {
        sac_operating_point point;
        if (s->threshold != NULL && s->far != NULL)
            SAC_TRY(sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                                  "--threshold and --far exclude each other"));
        // Its own mistakes come before the model's.
        if (s->far != NULL) SAC_TRY(sac_far_parse(&budget, s->far, "--far", error));
        if (r->calibration == NULL)
            SAC_TRY(sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                                  "%s has no calibration: run student-calibrate with normal video "
                                  "first",
                                  s->model));
        if (automatic && info.budget[0] == '\0')
            SAC_TRY(sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                                  "--threshold auto: %s was calibrated without --far; name a "
                                  "budget with --far N/TIME",
                                  s->model));
        if (automatic) SAC_TRY(sac_far_parse(&budget, info.budget, "budget", error));
        SAC_TRY(sac_calibration_threshold(&point, r->calibration, &budget, "--far", error));
        r->threshold = (double)point.threshold;
        r->merge_gap_s = info.merge_gap_s;
    } else if (s->threshold != NULL &&
               (!sac_number_real(s->threshold, &r->threshold) || r->threshold > 1.0)) {
        SAC_TRY(sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                              "--threshold '%.40s': a number up to 1 or auto was expected",
                              s->threshold));
    }
fail:
    sac_free(place);
    return status;
}

static sac_status prepare(run_state *r, sac_error *error) {
    sac_status status = SAC_OK;
    const run_settings *s = r->settings;
    const char *patterns[SAC_OUTPUT_COUNT] = {[SAC_OUTPUT_CSV] = s->csv,
                                              [SAC_OUTPUT_JSONL] = s->jsonl,
                                              [SAC_OUTPUT_MAPS] = s->maps,
                                              [SAC_OUTPUT_OVERLAY] = s->overlay,
                                              [SAC_OUTPUT_REPORT] = s->report};
    if (s->model == NULL) {
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "-m MODEL is missing: which model file shall score?");
    }
    r->shown = sac_calloc(r->source_count, sizeof *r->shown);
    SAC_TRY_ALLOC(r->shown);
    for (int64_t i = 0; i < r->source_count; i++)
        SAC_TRY_ALLOC(r->shown[i] = sac_text_without_login(r->sources[i]));
    SAC_TRY(run_parse_size(&r->width, &r->height, s->size, error));
    r->threads = choose_threads(s);
    bool any = s->csv != NULL || s->jsonl != NULL || s->maps != NULL || s->overlay != NULL ||
               s->report != NULL;
    if (!any && !s->tool.json) patterns[SAC_OUTPUT_CSV] = "-";
    r->text_to_stderr =
        (patterns[SAC_OUTPUT_CSV] != NULL && strcmp(patterns[SAC_OUTPUT_CSV], "-") == 0) ||
        (s->jsonl != NULL && strcmp(s->jsonl, "-") == 0);
    if (r->text_to_stderr && s->tool.json) {
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "--json and an output named \"-\" cannot share standard output");
    }
    bool on_stdout = r->text_to_stderr;
    if (on_stdout && s->jobs > 1 && r->source_count > 1) {
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "--jobs %" PRId64 ": sources that are scored at the same time cannot "
                             "share standard output; name files with \"{}\"",
                             s->jobs);
    }
    r->jobs = choose_jobs(r, on_stdout);
    const sac_student_options student = {.reference = s->backend == 1,
                                         .precision = (sac_precision)s->precision,
                                         .smoothing_sigma = s->smoothing_sigma,
                                         .smoothing_taps = (int)s->smoothing_taps,
                                         .gate = s->gate,
                                         .logger =
                                             sac_tool_logger(run_command.name, s->tool.quiet)};
    const sac_student_pool_options workers = {.workers = r->threads, .pin = s->pin};
    SAC_TRY(sac_student_pool_open(&r->pool, s->model, &student, &workers, error));
    sac_student_pool_get_info(r->pool, &r->info);
    SAC_TRY(take_calibration(r, error));
    SAC_TRY(sac_output_names_resolve(&r->names, patterns, (const char *const *)r->shown,
                                     r->source_count, s->model, error));
    r->settings_json = sac_options_to_json(&run_command, s);
    SAC_TRY_ALLOC(r->settings_json);
    r->model_json = describe_model(r);
    SAC_TRY_ALLOC(r->model_json);
    r->outcomes = sac_calloc(r->source_count, sizeof *r->outcomes);
    SAC_TRY_ALLOC(r->outcomes);
    SAC_TRY(run_watcher_start(&r->watcher, r->jobs, error));
fail:
    return status;
}

static sac_status print_json(json_t *results, json_t *failures, const run_state *r,
                             sac_error *error) {
    json_t *json =
        json_pack("{s:s, s:s, s:s, s:O, s:O, s:O, s:O}", "tool", run_command.name, "version",
                  sac_version(), "commit", sac_commit(), "model", r->model_json, "settings",
                  r->settings_json, "sources", results, "failures", failures);
    char *text = json != NULL ? json_dumps(json, JSON_INDENT(2) | JSON_REAL_PRECISION(9)) : NULL;
    sac_status status = SAC_OK;
    if (text == NULL)
        status = sac_error_set(error, SAC_ERROR_MEMORY, -1, "no memory for the summary");
    else if (puts(text) < 0) // it is flushed by lines, so this knows the cause
        status = sac_error_set(error, SAC_ERROR_IO, -1, "standard output: cannot be written: %s",
                               strerror(errno));
    free(text); // Jansson allocates with malloc
    json_decref(json);
    return status;
}

static void note_failure(json_t *failures, const char *source, const sac_error *error) {
    json_array_append_new(failures, json_pack("{s:o, s:o}", "source", sac_json_text(source),
                                              "error", sac_json_text(error->message)));
}

// The student compares frames a number of frames apart: at another rate things move otherwise, and
// a budget counts frames as time. Pauses of a camera change the mean rate a little.
static void warn_of_frame_rate(const run_state *r, const char *source, const run_outcome *o) {
    sac_calibration_info info;
    // Where the source was away, time passed without frames.
    const int64_t steps = o->frames - 1 - o->reopened;
    const double seconds = o->duration_s - o->away_s;
    if (r->calibration == NULL || steps < 1 || !(seconds > 0.0)) return;
    sac_calibration_get_info(r->calibration, &info);
    const double rate = (double)steps / seconds;
    if (rate < 1.5 * info.frame_rate && info.frame_rate < 1.5 * rate) return;
    fprintf(stderr,
            "%s: warning: %s: %.3g frames/s, %s was calibrated at %.3g; its thresholds and "
            "calibrated scores may not hold\n",
            run_command.name, source, rate, r->settings->model, info.frame_rate);
}

// Says what came of a source and adds it to the JSON. Returns the exit code so far.
static int report(run_state *r, int64_t i, json_t *results, json_t *failures, int code,
                  sac_status *status) {
    const run_settings *s = r->settings;
    const char *source = r->shown[i];
    run_outcome *o = &r->outcomes[i];
    if (o->damaged > 0)
        fprintf(stderr,
                "%s: warning: %s: damaged frames: %" PRId64 ", the first is frame %" PRId64
                "; scores near them mean little\n",
                run_command.name, source, o->damaged, o->first_damaged);
    warn_of_frame_rate(r, source, o);
    if (o->status >= 0 || o->broke_off) {
        json_t *json = run_outcome_json(r, i, source, o);
        if (json == NULL || json_array_append_new(results, json) != 0) *status = SAC_ERROR_MEMORY;
        if (!s->tool.json && !s->tool.quiet) run_print_summary(r, i, source, o);
    }
    if (!o->broke_off &&
        (o->status == SAC_ERROR_INTERRUPTED || (o->status < 0 && sac_interrupted()))) {
        fprintf(stderr, "%s: interrupted; %s: nothing was written\n", run_command.name, source);
    } else if (o->status < 0) {
        // The other sources are still worth scoring.
        code = sac_tool_fail(run_command.name, o->status, &o->error);
        if (o->broke_off)
            fprintf(stderr, "%s: %s: %" PRId64 " frames were scored and written before that\n",
                    run_command.name, source, o->frames);
        note_failure(failures, source, &o->error);
    } else if (o->interrupted) {
        fprintf(stderr, "%s: interrupted; %s: %" PRId64 " frames were scored%s\n", run_command.name,
                source, o->frames, o->frames > 0 ? " and written" : ", nothing was written");
    }
    if (o->status == SAC_ERROR_MEMORY) *status = SAC_ERROR_MEMORY;
    return code;
}

// Runs all jobs and reports on their sources in the order of the command line, each as soon as
// those before it are done.
static sac_status run_jobs(run_state *r, json_t *results, json_t *failures, int *code,
                           sac_error *error) {
    sac_status status = SAC_OK;
    int64_t started = 0;
    run_job *jobs = sac_calloc(r->jobs, sizeof *jobs);
    pthread_t *threads = sac_calloc(r->jobs, sizeof *threads);
    SAC_TRY_ALLOC(jobs);
    SAC_TRY_ALLOC(threads);
    if (r->jobs > 1)
        SAC_TRY(sac_progress_open(&r->progress, "all sources", "frames", 0, &r->settings->tool));
    for (; started < r->jobs; started++) {
        jobs[started] = (run_job){.run = r, .index = started};
        const int failed = pthread_create(&threads[started], NULL, run_job_work, &jobs[started]);
        if (failed == 0) continue;
        if (started > 0) break; // fewer will do
        status = sac_error_set(error, SAC_ERROR_BACKEND, -1, "no thread: %s", strerror(failed));
        goto fail;
    }
    for (int64_t i = 0; i < r->source_count; i++) {
        pthread_mutex_lock(&r->lock);
        // After an interruption sources that nobody has taken stay untouched.
        while (!r->outcomes[i].done && (i < r->next || !sac_interrupted())) {
            struct timespec until;
            clock_gettime(CLOCK_REALTIME, &until);
            until.tv_sec++;
            (void)pthread_cond_timedwait(&r->changed, &r->lock, &until);
        }
        const bool done = r->outcomes[i].done;
        pthread_mutex_unlock(&r->lock);
        if (done) {
            *code = report(r, i, results, failures, *code, &status);
        } else {
            fprintf(stderr, "%s: interrupted; %s: not begun\n", run_command.name, r->shown[i]);
        }
    }
fail:
    for (int64_t i = 0; i < started; i++) pthread_join(threads[i], NULL);
    sac_progress_close(&r->progress);
    sac_free(jobs);
    sac_free(threads);
    return status;
}

int main(int argc, char **argv) {
    run_settings s;
    sac_options_result parsed;
    const double start_s = sac_time_s();
    int code = sac_tool_start(&run_command, &s, argc, argv, &parsed);
    if (code >= 0) return code;
    sac_error error = {0};
    sac_status status = SAC_OK;
    run_state r = {.settings = &s,
                   .start_s = start_s,
                   .sources = parsed.positional,
                   .source_count = parsed.positional_count,
                   .lock = PTHREAD_MUTEX_INITIALIZER,
                   .changed = PTHREAD_COND_INITIALIZER};
    json_t *results = json_array(), *failures = json_array();
    code = SAC_EXIT_OK;
    sac_interrupt_install();
    // Somebody may be watching a live source through a pipe.
    setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
    SAC_TRY_ALLOC(results);
    SAC_TRY_ALLOC(failures);
    SAC_TRY(prepare(&r, &error));
    SAC_TRY(run_jobs(&r, results, failures, &code, &error));
    if (s.tool.json) SAC_TRY(print_json(results, failures, &r, &error));
    // A failed source has said what became of standard output.
    if (code == SAC_EXIT_OK) SAC_TRY(sac_tool_flush(&error));
fail:
    if (status < 0) code = sac_tool_fail(run_command.name, status, &error);
    if (sac_interrupted()) code = SAC_EXIT_INTERRUPTED;
    run_watcher_stop(&r.watcher);
    for (int64_t i = 0; r.outcomes != NULL && i < r.source_count; i++)
        sac_events_close(&r.outcomes[i].events);
    sac_free(r.outcomes);
    for (int64_t i = 0; r.shown != NULL && i < r.source_count; i++) sac_free(r.shown[i]);
    sac_free(r.shown);
    sac_student_pool_close(&r.pool);
    sac_calibration_close(&r.calibration);
    sac_output_names_close(&r.names);
    json_decref(r.settings_json);
    json_decref(r.model_json);
    json_decref(results);
    json_decref(failures);
    if (code == SAC_EXIT_OK) sac_tool_finish(run_command.name, s.tool.quiet);
    sac_options_close(&parsed);
    return code;
}
