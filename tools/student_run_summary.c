// What student-run says of a source, as JSON and for people.
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/json.h"
#include "core/memory.h"
#include "core/text.h"
#include "nn/infer.h"
#include "saccade/version.h"
#include "tools/student_run.h"

double run_rate(int64_t frames, double seconds) {
    return seconds > 0.0 ? (double)frames / seconds : NAN;
}

json_t *run_source_json(const char *source, const run_outcome *o) {
    return json_pack("{s:o, s:i, s:i, s:o, s:I, s:o}", "source", sac_json_text(source), "width",
                     o->video.source_width, "height", o->video.source_height, "frame_rate",
                     sac_json_number(o->video.frame_rate), "frames", (json_int_t)o->frames,
                     "last_time_s", sac_json_number(o->duration_s));
}

json_t *run_timing_json(const run_state *r, const run_outcome *o) {
    return json_pack(
        "{s:o, s:o, s:o, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:I, s:s, s:s, s:s, s:o, s:o, "
        "s:o, "
        "s:s}",
        "wall_s", sac_json_number(o->wall_s), "frames_per_second",
        sac_json_number(run_rate(o->frames, o->wall_s)), "waiting_for_frames_s",
        sac_json_number(o->read_s), "waiting_for_scores_s", sac_json_number(o->score_s),
        "frames_reused_by_gate", (json_int_t)o->reused, "frames_decoded",
        (json_int_t)o->counts.decoded, "frames_repeated", (json_int_t)o->counts.repeated,
        "frames_dropped", (json_int_t)o->counts.dropped, "frames_damaged", (json_int_t)o->damaged,
        "reopened", (json_int_t)o->reopened, "away_s", sac_json_number(o->away_s), "threads",
        (json_int_t)r->threads, "precision", sac_precision_name(r->info.precision), "backend",
        r->info.backend, "isa", r->info.isa, "load_ms", sac_json_number(r->info.load_ms), "plan_ms",
        sac_json_number(r->info.plan_ms), "start_to_first_score_ms",
        sac_json_number(o->frames > 0 ? o->first_s * 1e3 : NAN), "version", sac_version());
}

json_t *run_outcome_json(const run_state *r, int64_t index, const char *source,
                         const run_outcome *o) {
    json_t *json = run_source_json(source, o);
    json_t *files = json_object();
    if (json == NULL || files == NULL) goto fail;
    for (int kind = 0; kind < SAC_OUTPUT_COUNT; kind++) {
        const char *path = sac_output_names_get(&r->names, index, (sac_output_kind)kind);
        if (path == NULL || o->frames == 0) continue;
        if (json_object_set_new(files, sac_output_option((sac_output_kind)kind),
                                sac_json_text(path)) != 0)
            goto fail;
    }
    bool failed = json_object_set(json, "outputs", files) != 0;
    failed = failed || json_object_set_new(json, "interrupted", json_boolean(o->interrupted)) != 0;
    if (o->damaged > 0)
        failed = failed || json_object_set_new(json, "first_damaged_frame",
                                               json_integer((json_int_t)o->first_damaged)) != 0;
    if (o->broke_off) {
        char *why = sac_text_utf8(o->error.message);
        failed = failed || why == NULL || json_object_set_new(json, "error", json_string(why)) != 0;
        sac_free(why);
    }
    if (o->frames > 0) {
        failed = failed || json_object_set_new(json, "max_score",
                                               json_pack("{s:o, s:I, s:o}", "score",
                                                         sac_json_number((double)o->max), "frame",
                                                         (json_int_t)o->max_frame, "time_s",
                                                         sac_json_number(o->max_time_s))) != 0;
        failed = failed ||
                 json_object_set_new(json, "max_score_smoothed",
                                     json_pack("{s:o, s:I, s:o}", "score",
                                               sac_json_number((double)o->max_smoothed), "frame",
                                               (json_int_t)o->max_smoothed_frame, "time_s",
                                               sac_json_number(o->max_smoothed_time_s))) != 0;
    }
    if (r->threshold >= 0.0) {
        failed = failed ||
                 json_object_set_new(json, "threshold", sac_json_number(r->threshold)) != 0 ||
                 json_object_set_new(json, "events", sac_events_to_json(&o->events)) != 0;
    }
    failed = failed || json_object_set_new(json, "timing", run_timing_json(r, o)) != 0;
    if (failed) goto fail;
    json_decref(files);
    return json;
fail:
    json_decref(files);
    json_decref(json);
    return NULL;
}

// The instructions that most of the work is done with: in int8 those of our own kernels.
static const char *instructions(const sac_student_info *info) {
    if (info->precision != SAC_PRECISION_INT8 || strcmp(info->isa, "portable") == 0)
        return info->isa;
    return sac_nn_int8_kernels();
}

static bool lacks_bf16(const run_state *r) {
    return r->settings->precision == SAC_PRECISION_BF16 && r->info.precision != SAC_PRECISION_BF16;
}

void run_print_summary(const run_state *r, int64_t index, const char *source,
                       const run_outcome *o) {
    FILE *out = r->text_to_stderr ? stderr : stdout;
    char at[32], from[32], to[32];
    fprintf(out, "%s: %" PRId64 " frames of %dx%d in %.2f s (%.0f frames/s), in %s (%s%s)\n",
            source, o->frames, o->video.source_width, o->video.source_height, o->wall_s,
            run_rate(o->frames, o->wall_s), sac_precision_name(r->info.precision),
            instructions(&r->info), lacks_bf16(r) ? "; bf16 needs AMX" : "");
    if (o->reopened > 0)
        fprintf(out, "  opened again %" PRId64 " times, %.1f s without it\n", o->reopened,
                o->away_s);
    if (o->counts.dropped > 0)
        fprintf(out, "  %" PRId64 " late frames dropped\n", o->counts.dropped);
    if (o->damaged > 0)
        fprintf(out, "  damaged frames: %" PRId64 ", the first is frame %" PRId64 "\n", o->damaged,
                o->first_damaged);
    if (o->frames == 0) return;
    if (r->settings->gate) {
        fprintf(out, "  %" PRId64 " frames scored like the one before, as nothing moved\n",
                o->reused);
    }
    fprintf(out, "  highest score %.4f at %s (frame %" PRId64 "); smoothed %.4f", (double)o->max,
            sac_text_duration(at, sizeof at, o->max_time_s), o->max_frame, (double)o->max_smoothed);
    fprintf(out, " at %s (frame %" PRId64 ")\n",
            sac_text_duration(at, sizeof at, o->max_smoothed_time_s), o->max_smoothed_frame);
    if (r->threshold >= 0.0) {
        fprintf(out, "  %" PRId64 " event%s at threshold %.4g\n", o->events.count,
                o->events.count == 1 ? "" : "s", r->threshold);
        for (int64_t i = 0; i < o->events.count; i++) {
            const sac_event *e = &o->events.items[i];
            fprintf(out,
                    "    %s to %s (frames %" PRId64 "-%" PRId64 "), peak %.4f at frame %" PRId64
                    "\n",
                    sac_text_duration(from, sizeof from, e->first_s),
                    sac_text_duration(to, sizeof to, e->last_s), e->first, e->last,
                    (double)e->score, e->peak);
        }
    }
    for (int kind = 0; kind < SAC_OUTPUT_COUNT; kind++) {
        const char *path = sac_output_names_get(&r->names, index, (sac_output_kind)kind);
        if (path != NULL && strcmp(path, "-") != 0) {
            fprintf(out, "  %s: %s\n", sac_output_option((sac_output_kind)kind), path);
        }
    }
}
