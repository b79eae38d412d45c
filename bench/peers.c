// Interleaved rounds of our runtime and the peers; see bench/peers.h. The report is in
// peers_report.c.
#include "bench/peers.h"

#include <errno.h>
#include <math.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/peers_int8.h"
#include "bench/stats.h"
#include "bench/timing.h"
#include "core/check.h"
#include "core/file.h"
#include "core/memory.h"
#include "core/number.h"
#include "core/time.h"
#include "nn/infer.h"
#include "student/heads.h"
#include "student/model.h"
#include "student/onnx_file.h"
#include "student/runtime.h"

enum { FRAMES = 64, CHECKED = 4, MAP_VALUES = 16 * 16 + 4 * 4 + 1, OURS = 2 };

#define LIST_S  60.0 // interpreters start slowly on a busy machine
#define LOAD_S  300.0
#define REPLY_S 120.0 // beyond the measured time itself
// Maps of the same network in the same precision differ by less; sums of f32 in another order, or
// a value rounded to the neighbouring one of 256 steps here and there.
#define F32_LIMIT  1e-3
#define INT8_LIMIT 0.25

static const char *const comparison_words[SAC_COMPARISONS] = {"u8", "f32"};

typedef struct bench {
    const sac_peers_options *options;
    sac_peers_result *result;
    sac_model *model;
    sac_student *students[OURS]; // by arm: f32, int8
    int ours;                    // number of our arms
    sac_quant *centred;          // of the int8 form for runtimes without integer sums
    sac_peer *peers[SAC_PEERS_MOST + OURS];
    uint8_t *planes; // [count][H][W]
    int64_t count, pixels;
    float *inputs; // [CHECKED][H][W][3]
    float *maps;   // [ours][CHECKED][MAP_VALUES]
    // By arm and comparison; the last of int8 are those with rounded residuals.
    char *folder, *onnx[OURS + 1][SAC_COMPARISONS], *frames, *answers; // temporary files
    cpu_set_t before;
    bool pinned;
    int64_t done, total;
} bench;

sac_peers_options sac_peers_default_options(void) {
    return (sac_peers_options){.threads = 1, .repeats = 5, .seconds = 1};
}

static sac_status check_options(const sac_peers_options *o, sac_error *error) {
    if (o->threads < 1 || o->threads > 1024)
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1, "%d threads, expected 1 to 1024",
                             o->threads);
    if (o->repeats < 1 || o->repeats > 1000)
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1, "%d repeats, expected 1 to 1000",
                             o->repeats);
    if (!(o->seconds > 0 && o->seconds <= 600))
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "%g s per measurement, expected more than 0 and at most 600",
                             o->seconds);
    return SAC_OK;
}

// The first processors this process may use, as many as there are threads, for us and, inherited,
// for the peers.
static sac_status pin(bench *b, sac_error *error) {
    cpu_set_t chosen;
    CPU_ZERO(&b->before);
    CPU_ZERO(&chosen);
    if (sched_getaffinity(0, sizeof b->before, &b->before) != 0)
        return sac_error_set(error, SAC_ERROR_IO, -1, "processors of this process: %s",
                             strerror(errno));
    const int allowed = CPU_COUNT(&b->before);
    if (b->options->threads > allowed)
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "%d threads, but this process may use %d processors",
                             b->options->threads, allowed);
    size_t used = 0;
    int taken = 0;
    char *text = b->result->processors;
    const size_t size = sizeof b->result->processors;
    for (size_t cpu = 0; cpu < CPU_SETSIZE && taken < b->options->threads; cpu++) {
        if (!CPU_ISSET(cpu, &b->before)) continue;
        CPU_SET(cpu, &chosen);
        const int written = snprintf(text + used, size - used, "%s%zu", taken > 0 ? "," : "", cpu);
        if (written > 0 && (size_t)written < size - used) used += (size_t)written;
        taken++;
    }
    if (sched_setaffinity(0, sizeof chosen, &chosen) != 0)
        return sac_error_set(error, SAC_ERROR_IO, -1, "pinning to processors %s: %s", text,
                             strerror(errno));
    b->pinned = true;
    return SAC_OK;
}

// ---- preparation -------------------------------------------------------------------------------

static sac_status load_frames(bench *b, sac_error *error) {
    sac_status status = SAC_OK;
    const sac_preprocess *p = &b->model->preprocess;
    const int needed = p->offsets[2] - p->offsets[0] + CHECKED;
    const sac_timing_source source = {
        .path = b->options->source, .format = b->options->format, .decode_threads = 1};
    sac_raw_frames raw = {0};
    sac_preprocessor *scaler = NULL;
    b->pixels = (int64_t)p->width * p->height;
    if (p->channels != 1)
        return sac_error_set(error, SAC_ERROR_UNSUPPORTED, -1,
                             "%s: peers are given gray planes; students that see colour are not "
                             "compared",
                             b->options->model);
    if (sac_heads_of(b->model->net) != SAC_HEADS_ALL)
        return sac_error_set(error, SAC_ERROR_UNSUPPORTED, -1,
                             "%s: peers answer with three maps; students with fewer are not "
                             "compared",
                             b->options->model);
    SAC_TRY(sac_raw_frames_load(&raw, &source, 1, needed > FRAMES ? needed : FRAMES, error));
    if (raw.count < needed) {
        status = sac_error_set(error, SAC_ERROR_FORMAT, raw.count,
                               "%s: %lld frames, this comparison needs at least %d",
                               b->options->source, (long long)raw.count, needed);
        goto fail;
    }
    b->count = raw.count;
    SAC_TRY_ALLOC(b->planes = sac_calloc(b->count * b->pixels, 1));
    SAC_TRY_ALLOC(b->inputs = sac_calloc(CHECKED * b->pixels * 3, sizeof *b->inputs));
    SAC_TRY(sac_preprocessor_create(&scaler, p));
    for (int64_t i = 0; i < b->count; i++)
        SAC_TRY(sac_preprocessor_frame(scaler, b->planes + i * b->pixels,
                                       raw.pixels + i * raw.width * raw.height, raw.width,
                                       raw.height, 1));
    for (int64_t i = 0; i < CHECKED; i++) {
        const uint8_t *three[3];
        for (int k = 0; k < 3; k++)
            three[k] = b->planes + (i + p->offsets[k] - p->offsets[0]) * b->pixels;
        sac_preprocess_stack(b->inputs + i * b->pixels * 3, three, p);
    }
fail:
    sac_preprocessor_close(&scaler);
    sac_raw_frames_close(&raw);
    return status;
}

static sac_status open_arm(bench *b, sac_precision precision, const char *scales,
                           sac_error *error) {
    sac_status status = SAC_OK;
    sac_model *copy = NULL;
    sac_student_info info;
    sac_student_options options = sac_student_default_options();
    options.threads = b->options->threads;
    options.precision = precision;
    options.logger = b->options->logger;
    SAC_TRY(sac_model_load(&copy, b->options->model, error));
    if (precision == SAC_PRECISION_INT8 && copy->quant == NULL)
        SAC_TRY(sac_quant_copy(&copy->quant, b->model->quant));
    SAC_TRY(sac_student_create(&b->students[b->ours], &copy, &options, error));
    sac_student_get_info(b->students[b->ours], &info);
    b->ours++;
    const char *name = sac_precision_name(precision);
    sac_peers_arm *arm = &b->result->arms[b->result->arm_count++];
    *arm = (sac_peers_arm){.ours = true, .difference = (double)NAN};
    (void)snprintf(arm->name, sizeof arm->name, "saccade-%s", name);
    (void)snprintf(arm->precision, sizeof arm->precision, "%s", name);
    (void)snprintf(
        arm->text, sizeof arm->text,
        "Saccade on %s, %d threads%s; u8: the streaming runtime, one frame in, one score "
        "out%s; f32: the whole network",
        info.backend, b->options->threads, scales, info.split ? ", the stem once per frame" : "");
fail:
    sac_model_close(&copy);
    return status;
}

static sac_status open_ours(bench *b, sac_error *error) {
    sac_status status = SAC_OK;
    sac_error why = {0};
    SAC_TRY(open_arm(b, SAC_PRECISION_F32, "", error));
    const bool own = b->model->quant != NULL;
    sac_nn_set_threads(b->options->threads);
    if (!own) status = sac_peers_calibrate(&b->model->quant, b->model, b->planes, b->count, &why);
    if (status == SAC_ERROR_UNSUPPORTED) {
        (void)snprintf(b->result->no_int8, sizeof b->result->no_int8, "%s", why.message);
        return SAC_OK;
    }
    if (status < 0) return sac_error_set(error, status, -1, "%s", why.message);
    SAC_TRY(sac_peers_centred(&b->centred, b->model, b->model->quant, b->planes, b->count, error));
    SAC_TRY(open_arm(b, SAC_PRECISION_INT8,
                     own ? ", scales of the model" : ", scales calibrated on these frames", error));
fail:
    return status;
}

// Maps of the first inputs, which the peers' are compared with.
static sac_status score_ours(bench *b, sac_error *error) {
    sac_status status = SAC_OK;
    SAC_TRY_ALLOC(b->maps = sac_calloc((int64_t)b->ours * CHECKED * MAP_VALUES, sizeof *b->maps));
    for (int a = 0; a < b->ours; a++) {
        for (int64_t i = 0; i < CHECKED; i++) {
            float *maps = b->maps + (a * CHECKED + i) * MAP_VALUES;
            sac_result r;
            SAC_TRY(sac_student_score_prepared(b->students[a], b->inputs + i * b->pixels * 3, &r,
                                               error));
            memcpy(maps, r.map16, 256 * sizeof *maps);
            memcpy(maps + 256, r.map4, 16 * sizeof *maps);
            maps[272] = r.map1;
        }
    }
fail:
    return status;
}

static sac_status temporary_files(bench *b, sac_error *error) {
    sac_status status = SAC_OK;
    const char *base = getenv("TMPDIR");
    char *made =
        sac_format("%s/saccade-peers-XXXXXX", base != NULL && base[0] != '\0' ? base : "/tmp");
    SAC_TRY_ALLOC(made);
    if (strpbrk(made, "\t\n") != NULL || mkdtemp(made) == NULL) {
        status = sac_error_set(error, SAC_ERROR_IO, -1, "no temporary folder '%s': %s", made,
                               strerror(errno));
        sac_free(made);
        goto fail;
    }
    b->folder = made;
    static const char *const forms[OURS + 1] = {"f32", "int8", "int8-centred"};
    for (int a = 0; a < (b->ours > 1 ? OURS + 1 : 1); a++) {
        for (int c = 0; c < SAC_COMPARISONS; c++) {
            const sac_model_onnx_options onnx = {.batch = 1,
                                                 .input_u8 = c == SAC_COMPARE_U8,
                                                 .quant = a > 0 ? b->model->quant : NULL,
                                                 .centred = a > 1 ? b->centred : NULL};
            SAC_TRY_ALLOC(b->onnx[a][c] =
                              sac_format("%s/%s-%s.onnx", made, forms[a], comparison_words[c]));
            SAC_TRY(sac_model_write_onnx(b->model, b->onnx[a][c], &onnx, error));
        }
    }
    SAC_TRY_ALLOC(b->frames = sac_format("%s/frames", made));
    SAC_TRY_ALLOC(b->answers = sac_format("%s/maps", made));
    SAC_TRY(sac_file_save(b->frames, b->planes, (size_t)(b->count * b->pixels), error));
fail:
    return status;
}

static void remove_file(char **path) {
    if (*path != NULL) unlink(*path);
    sac_free(*path);
    *path = NULL;
}

// ---- peers -------------------------------------------------------------------------------------

static int stop(void *user) {
    bench *b = user;
    const sac_peers_options *o = b->options;
    return o->progress != NULL ? o->progress(o->user, b->done, b->total) : 0;
}

// A peer that failed is left out from here on. An interruption often shows as the end of a peer,
// which got the same signal.
static sac_status leave_out(bench *b, int arm, sac_status status, const sac_error *why,
                            sac_error *error) {
    if (status == SAC_ERROR_INTERRUPTED || stop(b) != 0)
        return sac_error_set(error, SAC_ERROR_INTERRUPTED, -1, "interrupted");
    if (status == SAC_ERROR_MEMORY)
        return sac_error_set(error, status, -1, "no memory for the peers");
    sac_peers_arm *a = &b->result->arms[arm];
    const char *reason = why->message[0] != '\0' ? why->message : sac_status_name(status);
    const size_t own = strlen(a->name);
    if (strncmp(reason, a->name, own) == 0 && strncmp(reason + own, ": ", 2) == 0)
        reason += own + 2; // the report names it anyway
    (void)snprintf(a->skipped, sizeof a->skipped, "%s", reason);
    sac_peer_close(&b->peers[arm]);
    for (int c = 0; c < SAC_COMPARISONS; c++) {
        sac_free(a->rounds[c]);
        a->rounds[c] = NULL;
        a->fps[c] = (double)NAN;
    }
    return SAC_OK;
}

static int ours_of(const bench *b, const char *precision) {
    for (int a = 0; a < b->ours; a++)
        if (strcmp(b->result->arms[a].precision, precision) == 0) return a;
    return -1;
}

// Largest difference of the peer's maps from ours.
static sac_status compare_maps(bench *b, int arm, int ours, sac_error *why) {
    sac_status status = SAC_OK;
    uint8_t *bytes = NULL;
    size_t size = 0;
    const size_t expected = (size_t)CHECKED * MAP_VALUES * sizeof(float);
    sac_peers_arm *a = &b->result->arms[arm];
    SAC_TRY(sac_file_read(&bytes, &size, b->answers, expected, why));
    if (size != expected) {
        status = sac_error_set(why, SAC_ERROR_FORMAT, -1, "its maps take %zu bytes, expected %zu",
                               size, expected);
        goto fail;
    }
    const float *mine = b->maps + (int64_t)ours * CHECKED * MAP_VALUES;
    a->difference = 0;
    for (size_t i = 0; i < expected / sizeof(float); i++) {
        float value = 0;
        memcpy(&value, bytes + i * sizeof value, sizeof value);
        const double d = fabs((double)value - (double)mine[i]);
        if (!(d <= a->difference)) a->difference = d; // also what is not a number
    }
    const double limit = strcmp(a->precision, "int8") == 0 ? INT8_LIMIT : F32_LIMIT;
    if (!(a->difference <= limit))
        status = sac_error_set(why, SAC_ERROR_NUMERIC, -1,
                               "not the same network: its maps differ from ours by up to %.3g "
                               "(limit %g)",
                               a->difference, limit);
fail:
    sac_free(bytes);
    return status;
}

static sac_status start_peer(bench *b, int arm, sac_error *why) {
    sac_status status = SAC_OK;
    sac_peers_arm *a = &b->result->arms[arm];
    const sac_preprocess *p = &b->model->preprocess;
    char reply[SAC_PEER_REPLY];
    const int ours = ours_of(b, a->precision);
    if (ours < 0) return sac_error_set(why, SAC_ERROR_UNSUPPORTED, -1, "%s", b->result->no_int8);
    unlink(b->answers);
    SAC_TRY(sac_peer_start(&b->peers[arm], b->options->command, a->name, b->options->threads, why));
    SAC_TRY(sac_peer_ask(b->peers[arm], reply, LOAD_S, stop, b, why, "load\t%d\t%s\t%s\t%s\t%s",
                         b->options->threads, b->onnx[ours][SAC_COMPARE_F32],
                         b->onnx[ours][SAC_COMPARE_U8],
                         b->onnx[ours > 0 ? ours + 1 : 0][SAC_COMPARE_F32],
                         b->onnx[ours > 0 ? ours + 1 : 0][SAC_COMPARE_U8]));
    (void)snprintf(a->text, sizeof a->text, "%s",
                   strncmp(reply, "ok ", 3) == 0 ? reply + 3 : reply);
    SAC_TRY(sac_peer_ask(b->peers[arm], reply, REPLY_S, stop, b, why,
                         "frames\t%s\t%lld\t%d\t%d\t%d\t%d\t%d\t%.9g\t%.9g", b->frames,
                         (long long)b->count, p->height, p->width, p->offsets[0], p->offsets[1],
                         p->offsets[2], p->mean, p->scale));
    SAC_TRY(sac_peer_ask(b->peers[arm], reply, REPLY_S, stop, b, why, "check\t%d\t%s", CHECKED,
                         b->answers));
    SAC_TRY(compare_maps(b, arm, ours, why));
fail:
    return status;
}

// Whether `name` stands in the list `only`.
static bool wanted(const char *only, const char *name) {
    if (only == NULL) return true;
    const size_t length = strlen(name);
    for (const char *at = only; at != NULL; at = strchr(at, ',')) {
        if (*at == ',') at++;
        if (strncmp(at, name, length) == 0 && (at[length] == ',' || at[length] == '\0'))
            return true;
    }
    return false;
}

static sac_status check_only(const char *only, const sac_peer_entry *entries, int count,
                             sac_error *error) {
    for (const char *at = only; at != NULL;) {
        const char *end = strchr(at, ',');
        const size_t length = end != NULL ? (size_t)(end - at) : strlen(at);
        bool known = false;
        for (int i = 0; i < count && !known; i++)
            known = strlen(entries[i].name) == length && memcmp(entries[i].name, at, length) == 0;
        if (!known)
            return sac_error_set(error, SAC_ERROR_ARGUMENT, -1, "no peer is called '%.*s'",
                                 (int)length, at);
        at = end != NULL ? end + 1 : NULL;
    }
    return SAC_OK;
}

static sac_status start_peers(bench *b, sac_error *error) {
    sac_status status = SAC_OK;
    sac_peer_entry entries[SAC_PEERS_MOST];
    int count = 0;
    sac_error why = {0};
    status = sac_peer_list(entries, &count, b->options->command, LIST_S, &why);
    if (status < 0) {
        if (status == SAC_ERROR_MEMORY) goto fail;
        if (b->options->only != NULL && stop(b) == 0)
            SAC_TRY(
                sac_error_set(error, status, -1, "--only %s: %s", b->options->only, why.message));
        status =
            stop(b) != 0 ? sac_error_set(error, SAC_ERROR_INTERRUPTED, -1, "interrupted") : SAC_OK;
        (void)snprintf(b->result->peers_missing, sizeof b->result->peers_missing, "%s",
                       why.message);
        goto fail;
    }
    SAC_TRY(check_only(b->options->only, entries, count, error));
    for (int i = 0; i < count; i++) {
        if (!wanted(b->options->only, entries[i].name)) continue;
        const int arm = b->result->arm_count++;
        sac_peers_arm *a = &b->result->arms[arm];
        *a = (sac_peers_arm){.difference = (double)NAN};
        memcpy(a->name, entries[i].name, sizeof a->name);
        memcpy(a->precision, entries[i].precision, sizeof a->precision);
        for (int c = 0; c < SAC_COMPARISONS; c++) a->fps[c] = (double)NAN;
        why = (sac_error){0};
        status = SAC_ERROR_UNSUPPORTED;
        if (entries[i].reason[0] != '\0') {
            (void)sac_error_set(&why, status, -1, "%s", entries[i].reason);
        } else {
            status = start_peer(b, arm, &why);
        }
        if (status < 0) SAC_TRY(leave_out(b, arm, status, &why, error));
    }
fail:
    return status;
}

// ---- measurements ------------------------------------------------------------------------------

static sac_status time_stream(double *fps, bench *b, sac_student *student, double seconds,
                              sac_error *error) {
    sac_status status = SAC_OK;
    const sac_preprocess *p = &b->model->preprocess;
    sac_result r;
    int64_t pushed = 0, scored = 0;
    sac_student_reset(student);
    for (int i = 0; i < (p->offsets[2] > 0 ? p->offsets[2] : 0); i++) {
        SAC_TRY(sac_student_push(student, b->planes + pushed % b->count * b->pixels, p->width,
                                 p->height, 1, (double)pushed, error));
        pushed++;
    }
    const double start = sac_time_s();
    double now = start;
    while (now < start + seconds) {
        SAC_TRY(sac_student_push(student, b->planes + pushed % b->count * b->pixels, p->width,
                                 p->height, 1, (double)pushed, error));
        pushed++;
        SAC_TRY(sac_student_pull(student, &r, error));
        if (status == SAC_OK) scored++;
        now = sac_time_s();
    }
    *fps = (double)scored / (now - start);
    status = SAC_OK;
fail:
    return status;
}

static sac_status time_network(double *fps, bench *b, sac_student *student, double seconds,
                               sac_error *error) {
    sac_status status = SAC_OK;
    sac_result r;
    int64_t scored = 0;
    const double start = sac_time_s();
    double now = start;
    while (now < start + seconds) {
        SAC_TRY(sac_student_score_prepared(student, b->inputs, &r, error));
        scored++;
        now = sac_time_s();
    }
    *fps = (double)scored / (now - start);
fail:
    return status;
}

// "timed COUNT SECONDS"
static bool timed(const char *reply, double *fps) {
    char count_text[32], seconds_text[32], rest = '\0';
    int64_t count = 0;
    double seconds = 0;
    if (sscanf(reply, "timed %31s %31s %c", count_text, seconds_text, &rest) != 2) return false;
    if (!sac_number_integer(count_text, &count) || !sac_number_real(seconds_text, &seconds))
        return false;
    if (count < 1 || !(seconds > 0)) return false;
    *fps = (double)count / seconds;
    return true;
}

static sac_status measure(double *fps, bench *b, int arm, sac_comparison c, double seconds,
                          sac_error *error) {
    sac_status status = SAC_OK;
    char reply[SAC_PEER_REPLY];
    sac_error why = {0};
    *fps = (double)NAN;
    if (b->result->arms[arm].ours)
        return c == SAC_COMPARE_U8 ? time_stream(fps, b, b->students[arm], seconds, error)
                                   : time_network(fps, b, b->students[arm], seconds, error);
    if (b->peers[arm] == NULL) return SAC_OK;
    status = sac_peer_ask(b->peers[arm], reply, 3 * seconds + REPLY_S, stop, b, &why,
                          "run\t%s\t%.9g", comparison_words[c], seconds);
    if (status == SAC_OK && !timed(reply, fps))
        status = sac_error_set(&why, SAC_ERROR_FORMAT, -1,
                               "answers '%.80s', expected \"timed FRAMES SECONDS\"", reply);
    return status < 0 ? leave_out(b, arm, status, &why, error) : SAC_OK;
}

static sac_status all_rounds(bench *b, sac_error *error) {
    sac_status status = SAC_OK;
    sac_peers_result *result = b->result;
    const int arms = result->arm_count, repeats = b->options->repeats;
    b->total = (int64_t)(repeats + 1) * SAC_COMPARISONS * arms;
    for (int a = 0; a < arms; a++) {
        for (int c = 0; c < SAC_COMPARISONS && result->arms[a].skipped[0] == '\0'; c++)
            SAC_TRY_ALLOC(result->arms[a].rounds[c] = sac_calloc(repeats, sizeof(double)));
    }
    // The first round warms up and does not count. Each round begins with another arm.
    for (int r = -1; r < repeats; r++) {
        for (int c = 0; c < SAC_COMPARISONS; c++) {
            for (int k = 0; k < arms; k++) {
                const int a = (k + r + 1) % arms;
                double fps = 0;
                const double seconds = r < 0 ? fmin(b->options->seconds, 0.5) : b->options->seconds;
                SAC_TRY(measure(&fps, b, a, (sac_comparison)c, seconds, error));
                if (r >= 0 && result->arms[a].rounds[c] != NULL) result->arms[a].rounds[c][r] = fps;
                b->done++;
                if (stop(b) != 0) {
                    status = sac_error_set(error, SAC_ERROR_INTERRUPTED, b->done, "interrupted");
                    goto fail;
                }
            }
        }
    }
    double *sorted = sac_calloc(repeats, sizeof *sorted);
    SAC_TRY_ALLOC(sorted);
    for (int a = 0; a < arms; a++) {
        for (int c = 0; c < SAC_COMPARISONS; c++) {
            if (result->arms[a].rounds[c] == NULL) continue;
            memcpy(sorted, result->arms[a].rounds[c], (size_t)repeats * sizeof *sorted);
            sac_stats_sort(sorted, repeats);
            result->arms[a].fps[c] = sac_stats_quantile(sorted, repeats, 0.5);
        }
    }
    sac_free(sorted);
fail:
    return status;
}

sac_status sac_peers_measure(sac_peers_result *result, const sac_peers_options *options,
                             sac_error *error) {
    sac_status status = SAC_OK;
    bench b = {.options = options, .result = result};
    memset(result, 0, sizeof *result);
    SAC_TRY(check_options(options, error));
    result->repeats = options->repeats;
    result->threads = options->threads;
    sac_machine_describe(&result->machine);
    SAC_TRY(pin(&b, error));
    SAC_TRY(sac_model_load(&b.model, options->model, error));
    SAC_TRY_ALLOC(result->model = sac_strdup(sac_path_last(options->model)));
    SAC_TRY_ALLOC(result->arch = sac_strdup(b.model->arch));
    result->width = b.model->preprocess.width;
    result->height = b.model->preprocess.height;
    SAC_TRY(load_frames(&b, error));
    SAC_TRY(open_ours(&b, error));
    SAC_TRY(score_ours(&b, error));
    SAC_TRY(temporary_files(&b, error));
    SAC_TRY(start_peers(&b, error));
    SAC_TRY(all_rounds(&b, error));
    result->machine.load_after = sac_machine_load();
fail:
    if (status == SAC_ERROR_MEMORY)
        sac_error_set(error, status, -1, "no memory for the comparison with peers");
    for (int a = 0; a < SAC_PEERS_MOST + OURS; a++) sac_peer_close(&b.peers[a]);
    for (int a = 0; a < OURS; a++) sac_student_close(&b.students[a]);
    sac_quant_close(&b.centred);
    for (int a = 0; a <= OURS; a++) {
        for (int c = 0; c < SAC_COMPARISONS; c++) remove_file(&b.onnx[a][c]);
    }
    remove_file(&b.frames);
    remove_file(&b.answers);
    if (b.folder != NULL) rmdir(b.folder);
    sac_free(b.folder);
    sac_free(b.planes);
    sac_free(b.inputs);
    sac_free(b.maps);
    sac_model_close(&b.model);
    if (b.pinned) (void)sched_setaffinity(0, sizeof b.before, &b.before);
    if (status < 0) sac_peers_result_close(result);
    return status;
}

void sac_peers_result_close(sac_peers_result *result) {
    if (result == NULL) return;
    for (int a = 0; a < result->arm_count; a++) {
        for (int c = 0; c < SAC_COMPARISONS; c++) sac_free(result->arms[a].rounds[c]);
    }
    sac_free(result->model);
    sac_free(result->arch);
    memset(result, 0, sizeof *result);
}
