// Writers of a scored source. They know the result of one frame at a time; summaries and settings
// are the caller's.
#include "student/outputs.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/check.h"
#include "core/file.h"
#include "core/json.h"
#include "core/memory.h"
#include "core/text.h"
#include "student/moments.h"
#include "student/report.h"
#include "video/overlay.h"

enum { NPY_HEADER = 128, MAP_MOST = SAC_MAP_FINE * SAC_MAP_FINE };

struct sac_outputs {
    char *paths[SAC_OUTPUT_COUNT];
    char *source;     // as given
    char *csv_source; // quoted for CSV where needed; NULL: no such column
    bool source_column;
    sac_video_info info;
    const sac_calibration *calibration;
    int64_t frames;

    sac_file_writer *writers[SAC_OUTPUT_COUNT]; // none for the overlay
    FILE *maps;   // on the temporary of its writer: the header is written again at the end
    int map_side; // of the student's finest map, known from the first frame on
    sac_overlay *overlay;

    sac_moments *moments;
    float *scores, *smoothed; // [capacity], for the report
    double *times;
    int64_t capacity;
};

// ---- CSV and JSON lines -------------------------------------------------------------------------

// RFC 4180: quoted when it holds a comma, a quote or a line break; quotes doubled.
static char *csv_text(const char *text) {
    char *clean = sac_text_utf8(text);
    if (clean == NULL || strpbrk(clean, ",\"\n\r") == NULL) return clean;
    char *out = sac_calloc(2 * (int64_t)strlen(clean) + 3, 1);
    if (out != NULL) {
        char *to = out;
        *to++ = '"';
        for (const char *from = clean; *from != '\0'; from++) {
            if (*from == '"') *to++ = '"';
            *to++ = *from;
        }
        *to++ = '"';
        *to = '\0';
    }
    sac_free(clean);
    return out;
}

static sac_status write_csv_row(const sac_outputs *o, const sac_result *r, sac_error *error) {
    char calibrated[32] = "";
    // Nine digits bring back the very same float.
    if (o->calibration != NULL)
        snprintf(calibrated, sizeof calibrated, ",%.9g",
                 (double)sac_calibration_score(o->calibration, r->score_smoothed));
    return sac_file_printf(
        o->writers[SAC_OUTPUT_CSV], error, "%" PRId64 ",%.6f,%.9g,%.9g%s,%.2f,%.2f%s%s\n", r->frame,
        r->time_s, (double)r->score, (double)r->score_smoothed, calibrated,
        (double)r->peak_x * o->info.source_width, (double)r->peak_y * o->info.source_height,
        o->csv_source != NULL ? "," : "", o->csv_source != NULL ? o->csv_source : "");
}

static double rounded(double value) {
    // Hundredths of a pixel, so that both formats say the same.
    return (double)(int64_t)(value * 100.0 + 0.5) / 100.0;
}

static sac_status write_json_line(const sac_outputs *o, const sac_result *r, sac_error *error) {
    sac_status status = SAC_OK;
    char *text = NULL;
    json_t *line =
        json_pack("{s:I, s:f, s:f, s:f, s:f, s:f}", "frame", (json_int_t)r->frame, "time_s",
                  r->time_s, "score", (double)r->score, "score_smoothed", (double)r->score_smoothed,
                  "peak_x", rounded((double)r->peak_x * o->info.source_width), "peak_y",
                  rounded((double)r->peak_y * o->info.source_height));
    SAC_TRY_ALLOC(line);
    if (o->calibration != NULL &&
        json_object_set_new(line, "score_calibrated",
                            sac_json_number((double)sac_calibration_score(
                                o->calibration, r->score_smoothed))) != 0) {
        status = SAC_ERROR_MEMORY;
        goto fail;
    }
    if (o->source_column && json_object_set_new(line, "source", sac_json_text(o->source)) != 0) {
        status = SAC_ERROR_MEMORY;
        goto fail;
    }
    text = json_dumps(line, JSON_COMPACT | JSON_REAL_PRECISION(9));
    SAC_TRY_ALLOC(text);
    SAC_TRY(sac_file_printf(o->writers[SAC_OUTPUT_JSONL], error, "%s\n", text));
fail:
    free(text); // Jansson allocates with malloc
    json_decref(line);
    return status;
}

// ---- maps ---------------------------------------------------------------------------------------

static sac_status maps_error(const sac_outputs *o, const char *what, sac_error *error) {
    return sac_error_set(error, SAC_ERROR_IO, -1, "%s: %s: %s", o->paths[SAC_OUTPUT_MAPS], what,
                         strerror(errno));
}

// Header of format 1.0, padded to a fixed size: the number of frames is known at the end only.
static sac_status write_npy_header(const sac_outputs *o, sac_error *error) {
    char header[NPY_HEADER + 1];
    memset(header, ' ', sizeof header);
    int length =
        snprintf(header + 10, sizeof header - 10,
                 "{'descr': '<f4', 'fortran_order': False, 'shape': (%" PRId64 ", %d, %d), }",
                 o->frames, o->map_side, o->map_side);
    header[10 + length] = ' ';
    memcpy(header, "\x93NUMPY\x01\x00\x76\x00", 10); // 0x76: the 118 bytes behind these ten
    header[NPY_HEADER - 1] = '\n';
    if (fseek(o->maps, 0, SEEK_SET) != 0)
        return maps_error(o, "the maps need a file with positions", error);
    if (fwrite(header, 1, NPY_HEADER, o->maps) != NPY_HEADER)
        return maps_error(o, "cannot be written", error);
    return SAC_OK;
}

static sac_status write_map(const sac_outputs *o, const float *map, sac_error *error) {
    uint8_t bytes[MAP_MOST * 4];
    const size_t size = (size_t)(o->map_side * o->map_side) * 4;
    for (int i = 0; i < o->map_side * o->map_side; i++) {
        uint32_t bits;
        memcpy(&bits, &map[i], sizeof bits);
        // Little endian on every machine, as the header says.
        for (int b = 0; b < 4; b++) bytes[4 * i + b] = (uint8_t)(bits >> (8 * b));
    }
    if (fwrite(bytes, 1, size, o->maps) != size) return maps_error(o, "cannot be written", error);
    return SAC_OK;
}

static sac_status finish_maps(sac_outputs *o, sac_error *error) {
    sac_status status = SAC_OK;
    SAC_TRY(write_npy_header(o, error));
    int failed = fclose(o->maps);
    o->maps = NULL;
    if (failed != 0) status = maps_error(o, "cannot be written", error);
fail:
    return status;
}

// ---- the whole ----------------------------------------------------------------------------------

static sac_status open_text(sac_outputs *o, sac_output_kind kind, sac_error *error) {
    return o->paths[kind] == NULL ? SAC_OK
                                  : sac_file_writer_open(&o->writers[kind], o->paths[kind], error);
}

sac_status sac_outputs_open(sac_outputs **out, const sac_output_settings *settings,
                            const sac_video_info *info, sac_error *error) {
    sac_status status = SAC_OK;
    *out = NULL;
    sac_outputs *o = sac_calloc(1, sizeof *o);
    SAC_TRY_ALLOC(o);
    o->info = *info;
    o->source_column = settings->source_column;
    o->calibration = settings->calibration;
    o->source = sac_strdup(settings->source);
    SAC_TRY_ALLOC(o->source);
    if (o->source_column) {
        o->csv_source = csv_text(o->source);
        SAC_TRY_ALLOC(o->csv_source);
    }
    for (int kind = 0; kind < SAC_OUTPUT_COUNT; kind++) {
        if (settings->paths[kind] == NULL) continue;
        o->paths[kind] = sac_strdup(settings->paths[kind]);
        SAC_TRY_ALLOC(o->paths[kind]);
    }
    SAC_TRY(open_text(o, SAC_OUTPUT_CSV, error));
    SAC_TRY(open_text(o, SAC_OUTPUT_JSONL, error));
    SAC_TRY(open_text(o, SAC_OUTPUT_MAPS, error));
    SAC_TRY(open_text(o, SAC_OUTPUT_REPORT, error));
    if (o->writers[SAC_OUTPUT_CSV] != NULL) {
        SAC_TRY(sac_file_printf(o->writers[SAC_OUTPUT_CSV], error,
                                "frame,time_s,score,score_smoothed%s,peak_x,peak_y%s\n",
                                o->calibration != NULL ? ",score_calibrated" : "",
                                o->source_column ? ",source" : ""));
    }
    if (o->writers[SAC_OUTPUT_MAPS] != NULL) {
        o->maps = fopen(sac_file_writer_path(o->writers[SAC_OUTPUT_MAPS]), "wbe");
        if (o->maps == NULL) {
            status = maps_error(o, "cannot be opened", error);
            goto fail;
        }
        SAC_TRY(write_npy_header(o, error));
    }
    if (o->paths[SAC_OUTPUT_OVERLAY] != NULL) {
        double rate = info->frame_rate > 0.0 ? info->frame_rate : 25.0;
        SAC_TRY(sac_overlay_open(&o->overlay, o->paths[SAC_OUTPUT_OVERLAY], info->width,
                                 info->height, rate, settings->frames, NULL, settings->overlay_high,
                                 error));
    }
    if (o->paths[SAC_OUTPUT_REPORT] != NULL) {
        // A second apart, and a dozen frames at least for sources without a useful clock.
        int64_t gap =
            info->frame_rate > 0.0 && info->frame_rate < 1e6 ? (int64_t)info->frame_rate : 25;
        SAC_TRY(sac_moments_create(&o->moments, settings->moments, gap < 12 ? 12 : gap, info->width,
                                   info->height, info->channels));
    }
    *out = o;
    return SAC_OK;
fail:
    sac_outputs_close(&o);
    return sac_error_set(error, status, -1, "%s: its outputs cannot be opened: %s",
                         settings->source, sac_status_name(status));
}

bool sac_outputs_want_pixels(const sac_outputs *o) {
    return o->overlay != NULL || o->moments != NULL;
}

static void *grown(void *block, int64_t count, int64_t capacity, size_t size) {
    return block == NULL ? sac_calloc(capacity, size) : sac_recalloc(block, count, capacity, size);
}

static sac_status remember(sac_outputs *o, const sac_result *result) {
    if (o->frames == o->capacity) {
        int64_t capacity = o->capacity > 0 ? 2 * o->capacity : 1024;
        float *scores = grown(o->scores, o->frames, capacity, sizeof *scores);
        if (scores == NULL) return SAC_ERROR_MEMORY;
        o->scores = scores;
        float *smoothed = grown(o->smoothed, o->frames, capacity, sizeof *smoothed);
        if (smoothed == NULL) return SAC_ERROR_MEMORY;
        o->smoothed = smoothed;
        double *times = grown(o->times, o->frames, capacity, sizeof *times);
        if (times == NULL) return SAC_ERROR_MEMORY;
        o->times = times;
        o->capacity = capacity;
    }
    o->scores[o->frames] = result->score;
    o->smoothed[o->frames] = result->score_smoothed;
    o->times[o->frames] = result->time_s;
    return SAC_OK;
}

sac_status sac_outputs_frame(sac_outputs *o, const sac_result *result, const uint8_t *pixels,
                             sac_error *error) {
    sac_status status = SAC_OK;
    const float *map = sac_result_finest(result, &o->map_side);
    if (o->writers[SAC_OUTPUT_CSV] != NULL) SAC_TRY(write_csv_row(o, result, error));
    if (o->writers[SAC_OUTPUT_JSONL] != NULL) SAC_TRY(write_json_line(o, result, error));
    if (o->maps != NULL) SAC_TRY(write_map(o, map, error));
    if (o->overlay != NULL) {
        char caption[96], time[32];
        // The overlay writes frame number and smoothed score itself.
        snprintf(caption, sizeof caption, "%s  raw %.3f",
                 sac_text_duration(time, sizeof time, result->time_s), (double)result->score);
        SAC_TRY(sac_overlay_frame(o->overlay, pixels, o->info.channels, map, o->map_side,
                                  o->map_side, NULL, 0, result->score_smoothed, caption, error));
    }
    if (o->moments != NULL) {
        SAC_TRY(remember(o, result));
        sac_moments_offer(o->moments, result, pixels);
    }
    o->frames++;
    return SAC_OK;
fail:
    return sac_error_set(error, status, result->frame,
                         "%s: frame %" PRId64 " cannot be written: %s", o->source, result->frame,
                         sac_status_name(status));
}

static sac_status write_report(sac_outputs *o, const sac_output_notes *notes, sac_error *error) {
    const sac_report report = {.title = o->source,
                               .frames = o->frames,
                               .scores = o->scores,
                               .smoothed = o->smoothed,
                               .times = o->times,
                               .events = notes->events,
                               .moments = o->moments,
                               .frames_per_second = notes->frames_per_second,
                               .interrupted = notes->interrupted,
                               .reason = notes->reason,
                               .source = notes->source,
                               .settings = notes->settings,
                               .model = notes->model,
                               .timing = notes->timing};
    return sac_report_write(o->writers[SAC_OUTPUT_REPORT], &report, error);
}

sac_status sac_outputs_commit(sac_outputs **outputs, const sac_output_notes *notes,
                              sac_error *error) {
    sac_status status = SAC_OK;
    sac_outputs *o = *outputs;
    // All contents first, then all names: a failure of one output publishes as little as possible.
    if (o->maps != NULL) SAC_TRY(finish_maps(o, error));
    if (o->writers[SAC_OUTPUT_REPORT] != NULL) SAC_TRY(write_report(o, notes, error));
    if (o->overlay != NULL) SAC_TRY(sac_overlay_commit(&o->overlay, error));
    for (int kind = 0; kind < SAC_OUTPUT_COUNT; kind++) {
        if (o->writers[kind] != NULL) SAC_TRY(sac_file_writer_commit(&o->writers[kind], error));
    }
fail:
    sac_outputs_close(outputs);
    return status;
}

void sac_outputs_close(sac_outputs **outputs) {
    if (outputs == NULL || *outputs == NULL) return;
    sac_outputs *o = *outputs;
    if (o->maps != NULL) fclose(o->maps);
    sac_overlay_close(&o->overlay);
    sac_moments_close(&o->moments);
    for (int kind = 0; kind < SAC_OUTPUT_COUNT; kind++) {
        sac_file_writer_close(&o->writers[kind]);
        sac_free(o->paths[kind]);
    }
    sac_free(o->source);
    sac_free(o->csv_source);
    sac_free(o->scores);
    sac_free(o->smoothed);
    sac_free(o->times);
    sac_free(o);
    *outputs = NULL;
}
