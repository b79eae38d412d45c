// Collects frame scores for evaluation from files, models and the baseline.
// Checks counts against the clips; values are checked where they are evaluated.
#include "bench/scores.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bench/baseline.h"
#include "core/check.h"
#include "core/csv.h"
#include "core/file.h"
#include "core/memory.h"
#include "core/npy.h"
#include "eval/map_regions.h"
#include "saccade/student.h"
#include "saccade/video.h"
#include "student/feed.h"

// ---- selection ---------------------------------------------------------------------------------

// "Test001 Test003 ..." of the labelled test clips, for messages.
static void list_labelled(char *text, size_t size, const sac_dataset *dataset) {
    size_t used = 0;
    text[0] = '\0';
    for (int64_t i = 0; i < dataset->count; i++) {
        const sac_clip *clip = &dataset->clips[i];
        if (!clip->test || clip->labels == NULL) continue;
        const size_t length = strlen(clip->name);
        if (used + length + 6 > size) {
            memcpy(text + used, " ...", 5);
            return;
        }
        if (used > 0) text[used++] = ' ';
        memcpy(text + used, clip->name, length + 1);
        used += length;
    }
}

static sac_status mark_named(bool *wanted, const sac_dataset *dataset, const char *names,
                             sac_error *error) {
    char labelled[600];
    for (const char *name = names; name != NULL;) {
        const char *end = strchr(name, ',');
        const size_t length = end != NULL ? (size_t)(end - name) : strlen(name);
        int64_t found = -1;
        for (int64_t i = 0; i < dataset->count && found < 0; i++)
            if (strlen(dataset->clips[i].name) == length &&
                memcmp(dataset->clips[i].name, name, length) == 0)
                found = i;
        if (found < 0 || !dataset->clips[found].test || dataset->clips[found].labels == NULL) {
            list_labelled(labelled, sizeof labelled, dataset);
            return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                                 "%s: '%.*s' is %s; labelled test clips are: %s", dataset->path,
                                 length > 200 ? 200 : (int)length, name,
                                 found < 0                     ? "not a clip"
                                 : !dataset->clips[found].test ? "a training clip"
                                                               : "a clip without labels",
                                 labelled);
        }
        wanted[found] = true;
        name = end != NULL ? end + 1 : NULL;
    }
    return SAC_OK;
}

sac_status sac_clip_select(sac_clip_selection *selection, const sac_dataset *dataset,
                           const char *names, sac_error *error) {
    memset(selection, 0, sizeof *selection);
    sac_status status;
    bool *wanted = NULL;
    SAC_TRY_ALLOC(wanted = sac_calloc(dataset->count, sizeof *wanted));
    SAC_TRY_ALLOC(selection->clips = sac_calloc(dataset->count, sizeof(const sac_clip *)));
    if (names != NULL) {
        SAC_TRY(mark_named(wanted, dataset, names, error));
    } else {
        for (int64_t i = 0; i < dataset->count; i++)
            wanted[i] = dataset->clips[i].test && dataset->clips[i].labels != NULL;
    }
    for (int64_t i = 0; i < dataset->count; i++) {
        if (!wanted[i]) continue;
        selection->clips[selection->count++] = &dataset->clips[i];
        selection->frames += dataset->clips[i].frames;
    }
    if (selection->count == 0)
        SAC_TRY(sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                              "%s: no test clip with labels to evaluate on", dataset->path));
    sac_free(wanted);
    return SAC_OK;
fail:
    if (status == SAC_ERROR_MEMORY) sac_error_set(error, status, -1, "no memory to select clips");
    sac_free(wanted);
    sac_clip_selection_close(selection);
    return status;
}

void sac_clip_selection_close(sac_clip_selection *selection) {
    if (selection == NULL) return;
    sac_free(selection->clips);
    memset(selection, 0, sizeof *selection);
}

// ---- score sets --------------------------------------------------------------------------------

void sac_score_set_close(sac_score_set *set) {
    if (set == NULL) return;
    if (set->scores != NULL)
        for (int64_t c = 0; c < set->count; c++) sac_free(set->scores[c]);
    if (set->regions != NULL)
        for (int64_t c = 0; c < set->count; c++) sac_detected_close(&set->regions[c]);
    sac_free(set->regions);
    sac_free(set->scores);
    sac_free(set->name);
    memset(set, 0, sizeof *set);
}

const char *sac_region_kind_name(sac_region_kind kind) {
    static const char *const names[] = {[SAC_REGIONS_NONE] = "-",
                                        [SAC_REGIONS_OBJECTS] = "objects",
                                        [SAC_REGIONS_MAP] = "16x16 map",
                                        [SAC_REGIONS_COARSE] = "4x4 map",
                                        [SAC_REGIONS_FRAME] = "1x1 map"};
    return names[kind];
}

sac_status sac_score_set_create(sac_score_set *set, char *name, const sac_clip_selection *selection,
                                sac_error *error) {
    *set = (sac_score_set){
        .name = name, .training_minutes = (double)NAN, .objects_per_s = (double)NAN};
    sac_status status;
    SAC_TRY_ALLOC(set->name);
    SAC_TRY_ALLOC(set->scores = sac_calloc(selection->count, sizeof *set->scores));
    set->count = selection->count;
    for (int64_t c = 0; c < selection->count; c++)
        SAC_TRY_ALLOC(set->scores[c] = sac_calloc(selection->clips[c]->frames, sizeof(float)));
    return SAC_OK;
fail:
    sac_score_set_close(set);
    return sac_error_set(error, status, -1, "no memory for %lld scores",
                         (long long)selection->frames);
}

static sac_status wrong_count(const sac_clip *clip, const char *path, int64_t scores,
                              sac_error *error) {
    return sac_error_set(error, SAC_ERROR_FORMAT, scores,
                         "%s: %lld scores for clip %s, which has %lld labelled frames", path,
                         (long long)scores, clip->name, (long long)clip->frames);
}

// Takes rows of one clip in order: `seen` of them so far, frame numbers from 0 or 1.
typedef struct table_clip {
    int64_t seen, first;
} table_clip;

static sac_status take_row(float *scores, table_clip *state, const sac_clip *clip,
                           const sac_csv *csv, int64_t row, int frame_column, int score_column,
                           const char *path, sac_error *error) {
    int64_t frame;
    double score;
    sac_status status;
    SAC_TRY(sac_csv_integer(csv, row, frame_column, 0, INT32_MAX, &frame, error));
    SAC_TRY(
        sac_csv_number(csv, row, score_column, -(double)FLT_MAX, (double)FLT_MAX, &score, error));
    if (state->seen == 0) state->first = frame;
    if (state->first > 1 || frame != state->first + state->seen)
        return sac_error_set(
            error, SAC_ERROR_FORMAT, row + 2,
            "%s: line %lld: frame %lld of clip %s, expected %s%lld (frames must be "
            "consecutive from 0 or 1)",
            path, (long long)(row + 2), (long long)frame, clip->name,
            state->seen == 0 ? "0 or " : "",
            state->seen == 0 ? 1LL : (long long)(state->first + state->seen));
    if (state->seen < clip->frames) scores[state->seen] = (float)score;
    state->seen++;
fail:
    return status;
}

static sac_status open_table(sac_csv **csv, int *frame_column, int *score_column, const char *path,
                             const char *column, sac_error *error) {
    const sac_status status = sac_csv_read(csv, path, error);
    if (status < 0) return status;
    *frame_column = sac_csv_column(*csv, "frame");
    *score_column = sac_csv_column(*csv, column);
    if (*frame_column < 0 || *score_column < 0)
        return sac_error_set(error, SAC_ERROR_FORMAT, 1,
                             "%s: line 1: no column '%s'; a score table needs 'frame' and '%s'",
                             path, *frame_column < 0 ? "frame" : column, column);
    return SAC_OK;
}

static sac_status read_clip_table(float *scores, const char *path, const char *column,
                                  const sac_clip *clip, sac_error *error) {
    sac_csv *csv = NULL;
    int frame_column, score_column;
    table_clip state = {0};
    sac_status status;
    SAC_TRY(open_table(&csv, &frame_column, &score_column, path, column, error));
    for (int64_t row = 0; row < sac_csv_rows(csv); row++)
        SAC_TRY(take_row(scores, &state, clip, csv, row, frame_column, score_column, path, error));
    if (state.seen != clip->frames) SAC_TRY(wrong_count(clip, path, state.seen, error));
fail:
    sac_csv_close(&csv);
    return status;
}

static sac_status read_clip_array(float *scores, const char *path, const sac_clip *clip,
                                  sac_error *error) {
    sac_npy npy = {0};
    sac_status status;
    SAC_TRY(sac_npy_read(&npy, path, error));
    if (npy.ndims != 1)
        SAC_TRY(sac_error_set(error, SAC_ERROR_FORMAT, -1,
                              "%s: array with %d dimensions, expected scores [frames]", path,
                              npy.ndims));
    if (npy.count != clip->frames) SAC_TRY(wrong_count(clip, path, npy.count, error));
    memcpy(scores, npy.data, (size_t)npy.count * sizeof *scores);
fail:
    sac_npy_close(&npy);
    return status;
}

// Whether a `source` field ("videos/Test001.mp4", "Test001/") means the clip.
static bool names_clip(const char *field, const char *clip) {
    if (strcmp(field, clip) == 0) return true;
    size_t end = strlen(field);
    while (end > 0 && field[end - 1] == '/') end--;
    size_t start = end;
    while (start > 0 && field[start - 1] != '/') start--;
    const size_t length = strlen(clip);
    if (end - start < length || memcmp(field + start, clip, length) != 0) return false;
    return start + length == end ||
           (field[start + length] == '.' &&
            memchr(field + start + length + 1, '.', end - start - length - 1) == NULL);
}

// One table for all clips; rows of clips that are not selected are passed over.
static sac_status read_joint_table(sac_score_set *set, const char *path, const char *column,
                                   const sac_clip_selection *selection, sac_error *error) {
    sac_csv *csv = NULL;
    table_clip *states = NULL;
    int frame_column, score_column;
    sac_status status;
    SAC_TRY(open_table(&csv, &frame_column, &score_column, path, column, error));
    int clip_column = sac_csv_column(csv, "clip");
    if (clip_column < 0) clip_column = sac_csv_column(csv, "source");
    if (clip_column < 0 && selection->count > 1)
        SAC_TRY(
            sac_error_set(error, SAC_ERROR_FORMAT, 1,
                          "%s: line 1: no column 'clip', and %lld clips are evaluated; choose one "
                          "with --clips or give a folder with one file per clip",
                          path, (long long)selection->count));
    SAC_TRY_ALLOC(states = sac_calloc(selection->count, sizeof *states));
    int64_t current = 0;
    for (int64_t row = 0; row < sac_csv_rows(csv); row++) {
        int64_t found = clip_column < 0 ? 0 : -1;
        for (int64_t i = 0; i < selection->count && found < 0; i++) {
            // Rows of a clip stand together: the last one is the best guess.
            const int64_t guess = (current + i) % selection->count;
            if (names_clip(sac_csv_text(csv, row, clip_column), selection->clips[guess]->name))
                found = guess;
        }
        if (found < 0) continue;
        current = found;
        SAC_TRY(take_row(set->scores[found], &states[found], selection->clips[found], csv, row,
                         frame_column, score_column, path, error));
    }
    for (int64_t c = 0; c < selection->count; c++)
        if (states[c].seen != selection->clips[c]->frames)
            SAC_TRY(wrong_count(selection->clips[c], path, states[c].seen, error));
fail:
    sac_free(states);
    sac_csv_close(&csv);
    return status;
}

static sac_status read_folder(sac_score_set *set, const char *path, const char *column,
                              const sac_clip_selection *selection, sac_error *error) {
    for (int64_t c = 0; c < selection->count; c++) {
        const sac_clip *clip = selection->clips[c];
        const size_t length = strlen(path);
        const char *slash = length > 0 && path[length - 1] == '/' ? "" : "/";
        char *table = sac_format("%s%s%s.csv", path, slash, clip->name);
        char *array = sac_format("%s%s%s.npy", path, slash, clip->name);
        sac_status status;
        if (table == NULL || array == NULL)
            status = SAC_ERROR_MEMORY;
        else if (sac_is_file(table))
            status = read_clip_table(set->scores[c], table, column, clip, error);
        else if (sac_is_file(array))
            status = read_clip_array(set->scores[c], array, clip, error);
        else
            status = sac_error_set(error, SAC_ERROR_IO, -1,
                                   "%s: no scores of clip %s, expected %s.csv or %s.npy there",
                                   path, clip->name, clip->name, clip->name);
        sac_free(table);
        sac_free(array);
        if (status < 0) return status;
    }
    return SAC_OK;
}

static bool ends_with(const char *text, const char *ending) {
    const size_t a = strlen(text), b = strlen(ending);
    return a >= b && strcmp(text + a - b, ending) == 0;
}

sac_status sac_score_set_read(sac_score_set *set, const char *path, const char *column,
                              const sac_clip_selection *selection, sac_error *error) {
    sac_status status;
    SAC_TRY(
        sac_score_set_create(set, sac_format("scores %s", sac_path_last(path)), selection, error));
    if (sac_is_folder(path)) {
        SAC_TRY(read_folder(set, path, column, selection, error));
    } else if (ends_with(path, ".npy")) {
        if (selection->count != 1)
            SAC_TRY(sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                                  "%s: one array, but %lld clips are evaluated; choose one with "
                                  "--clips or give a folder with one file per clip",
                                  path, (long long)selection->count));
        SAC_TRY(read_clip_array(set->scores[0], path, selection->clips[0], error));
    } else {
        SAC_TRY(read_joint_table(set, path, column, selection, error));
    }
    return SAC_OK;
fail:
    if (status == SAC_ERROR_MEMORY) sac_error_set(error, status, -1, "%s: no memory", path);
    sac_score_set_close(set);
    return status;
}

// ---- a model run here --------------------------------------------------------------------------

static int report(const sac_score_progress *progress, int64_t done, int64_t total) {
    if (progress == NULL || progress->report == NULL) return 0;
    return progress->report(progress->user, done, total);
}

// Hands out what is ready; one score (and, unless `maps` is NULL, one map) per frame, in order.
static sac_status pull_scores(float *scores, float *maps, int64_t *pulled, sac_student *student,
                              const sac_clip *clip, sac_error *error) {
    sac_status status;
    sac_result result;
    while (true) {
        SAC_TRY(sac_student_pull(student, &result, error));
        if (status != SAC_OK) return SAC_OK;
        if (result.frame != *pulled)
            return sac_error_set(error, SAC_ERROR_BACKEND, *pulled,
                                 "clip %s: the student returned frame %lld, expected %lld",
                                 clip->name, (long long)result.frame, (long long)*pulled);
        if (*pulled < clip->frames) {
            scores[*pulled] = result.score;
            int side = 0;
            const float *map = sac_result_finest(&result, &side);
            const int64_t cells = side * side;
            if (maps != NULL) memcpy(maps + *pulled * cells, map, (size_t)cells * sizeof *maps);
        }
        ++*pulled;
    }
fail:
    return status;
}

// `regions` may be NULL.
static sac_status run_clip(float *scores, sac_detected *regions, sac_student *student,
                           const sac_video_options *decode, const sac_clip *clip, int64_t before,
                           int64_t total, const sac_score_progress *progress, sac_error *error) {
    sac_video *video = NULL;
    sac_status status;
    sac_video_info source;
    int64_t pulled = 0, pushed = 0;
    float *maps = NULL;
    sac_student_info info;
    sac_video_options options = *decode;
    sac_student_get_info(student, &info);
    const int side = info.has_map16 ? SAC_MAP_FINE : info.has_map4 ? SAC_MAP_COARSE : 1;
    sac_student_reset(student);
    sac_feed_options(&options, student);
    if (regions != NULL) SAC_TRY_ALLOC(maps = sac_calloc(clip->frames * side * side, sizeof *maps));
    SAC_TRY(sac_video_open(&video, clip->source, &options, error));
    sac_video_get_info(video, &source);
    while (true) {
        if (report(progress, before + pulled, total) != 0)
            SAC_TRY(sac_error_set(error, SAC_ERROR_INTERRUPTED, pushed, "interrupted"));
        SAC_TRY(sac_feed_frame(student, video, error));
        if (status == SAC_EOF) break;
        pushed++;
        SAC_TRY(pull_scores(scores, maps, &pulled, student, clip, error));
    }
    SAC_TRY(sac_student_finish(student, error));
    SAC_TRY(pull_scores(scores, maps, &pulled, student, clip, error));
    if (pulled != clip->frames)
        SAC_TRY(sac_error_set(error, SAC_ERROR_FORMAT, pushed,
                              "clip %s: %s gives %lld scores, expected %lld", clip->name,
                              clip->source, (long long)pulled, (long long)clip->frames));
    if (regions != NULL)
        SAC_TRY(sac_map_regions(regions, maps, clip->frames, side, side, source.source_width,
                                source.source_height, error));
    status = SAC_OK;
fail:
    sac_free(maps);
    sac_video_close(&video);
    return status;
}

// "model a.safetensors", its precision unless f32, what decoding left out and the gate did.
//   reused  share of results that the gate took over, negative: there was none
static char *model_name(const char *path, sac_precision precision, const sac_video_options *decode,
                        double reused) {
    static const char *const filter[] = {"", ", loop filter skipped in non-reference frames",
                                         ", loop filter skipped"};
    static const char *const lowres[] = {"", ", decoded at 1/2", ", decoded at 1/4",
                                         ", decoded at 1/8"};
    char gate[64] = "";
    if (reused >= 0)
        (void)snprintf(gate, sizeof gate, ", gate (%.1f %% of frames taken over)", 100 * reused);
    return sac_format("model %s%s%s%s%s%s", sac_path_last(path),
                      precision == SAC_PRECISION_INT8   ? " (int8)"
                      : precision == SAC_PRECISION_BF16 ? " (bf16)"
                                                        : "",
                      filter[decode->skip_loop_filter],
                      decode->skip_frames != SAC_VIDEO_SKIP_NONE ? ", non-reference frames skipped"
                                                                 : "",
                      lowres[decode->lowres], gate);
}

sac_status sac_score_set_model(sac_score_set *set, const char *path, const sac_model_scoring *how,
                               const sac_clip_selection *selection, const sac_logger *logger,
                               const sac_score_progress *progress, sac_error *error) {
    const sac_video_options standard = sac_video_default_options();
    sac_student_pool *pool = NULL;
    sac_student *student = NULL;
    sac_student_options options = sac_student_default_options();
    const sac_student_pool_options workers = {.workers = how->threads};
    const sac_video_options *decode = how->decode != NULL ? how->decode : &standard;
    sac_student_info info;
    sac_status status;
    memset(set, 0, sizeof *set);
    options.precision = how->precision;
    options.gate = how->gate;
    if (logger != NULL) options.logger = *logger;
    SAC_TRY(sac_student_pool_open(&pool, path, &options, &workers, error));
    SAC_TRY(sac_student_pool_stream(pool, &student, error));
    sac_student_pool_get_info(pool, &info);
    SAC_TRY(
        sac_score_set_create(set, model_name(path, info.precision, decode, -1), selection, error));
    if (how->regions) {
        SAC_TRY_ALLOC(set->regions = sac_calloc(selection->count, sizeof *set->regions));
        set->region_kind = info.has_map16  ? SAC_REGIONS_MAP
                           : info.has_map4 ? SAC_REGIONS_COARSE
                                           : SAC_REGIONS_FRAME;
    }
    int64_t before = 0, reused = 0;
    for (int64_t c = 0; c < selection->count; c++) {
        SAC_TRY(run_clip(set->scores[c], how->regions ? &set->regions[c] : NULL, student, decode,
                         selection->clips[c], before, selection->frames, progress, error));
        before += selection->clips[c]->frames;
        reused += sac_student_reused(student);
    }
    if (how->gate) {
        sac_free(set->name);
        set->name = model_name(path, info.precision, decode, (double)reused / (double)before);
        SAC_TRY_ALLOC(set->name);
    }
    sac_student_close(&student);
    sac_student_pool_close(&pool);
    return SAC_OK;
fail:
    if (status == SAC_ERROR_MEMORY) sac_error_set(error, status, -1, "%s: no memory", path);
    sac_student_close(&student);
    sac_student_pool_close(&pool);
    sac_score_set_close(set);
    return status;
}

// ---- baseline ----------------------------------------------------------------------------------

typedef struct baseline_poll {
    const sac_score_progress *progress;
    int64_t done, total;
} baseline_poll;

static int poll_baseline(void *user) {
    baseline_poll *poll = user;
    return report(poll->progress, poll->done++, poll->total);
}

sac_status sac_score_set_baseline(sac_score_set *mean, sac_score_set *block,
                                  const sac_clip_selection *selection,
                                  const sac_score_progress *progress, sac_error *error) {
    baseline_poll poll = {.progress = progress, .total = selection->frames};
    sac_status status;
    memset(mean, 0, sizeof *mean);
    memset(block, 0, sizeof *block);
    SAC_TRY(sac_score_set_create(mean, sac_strdup("frame difference, mean"), selection, error));
    SAC_TRY(sac_score_set_create(
        block,
        sac_format("frame difference, largest %dx%d block", SAC_BASELINE_BLOCK, SAC_BASELINE_BLOCK),
        selection, error));
    mean->baseline = block->baseline = true;
    for (int64_t c = 0; c < selection->count; c++)
        SAC_TRY(sac_baseline_clip(mean->scores[c], block->scores[c], selection->clips[c],
                                  poll_baseline, &poll, error));
    return SAC_OK;
fail:
    sac_score_set_close(mean);
    sac_score_set_close(block);
    return status;
}
