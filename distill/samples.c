// Gathers frames and maps for distillation and has the teachers score the altered clips. Training
// order and augmentation belong to distill/trainer.c.
#include "distill/samples.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/check.h"
#include "core/file.h"
#include "core/json.h"
#include "core/memory.h"
#include "core/rng.h"
#include "core/spill.h"
#include "distill/chain.h"
#include "distill/kind_auc.h"
#include "distill/pseudo.h"
#include "distill/pseudo_show.h"
#include "saccade/metrics.h"
#include "student/heads.h"
#include "teachers/family.h"
#include "teachers/teacher.h"
#include "video/bt601.h"

#define FEW_CLIPS 4
#define RENDERING 1 // version of distill/pseudo.c: another one makes other clips of the same seed

// One teacher while its maps are gathered.
typedef struct source {
    const char *name;     // borrowed
    sac_map_store *store; // NULL of a student
    sac_chain *chain;     // a student as teacher, NULL otherwise
    sac_teacher *teacher; // NULL without pseudo-anomalies
    // Map store of the altered clips, of a student of all: it grows clip by clip, and store.json
    // lists what is finished at any time. NULL: none is needed.
    sac_map_store *cache;
    json_t *provenance; // of the cache
    int block, filter;
    bool mirrors;
} source;

typedef struct gather {
    sac_samples *samples;
    const sac_dataset *dataset;
    const sac_samples_options *options;
    sac_preprocessor *preprocessor;
    int channels; // clips are read with: 3 when the student or one that teaches sees colour
    source sources[SAC_MAX_TEACHERS];
    int count;
    const sac_map_store *objects; // whose objects are altered; NULL: no map store
} gather;

void sac_samples_close(sac_samples *samples) {
    for (int64_t i = 0; i < samples->count; i++) {
        sac_sample_clip *clip = &samples->clips[i];
        sac_free(clip->name);
        sac_free(clip->kinds);
        for (int k = 0; k < SAC_MAX_TEACHERS; k++) sac_maps_close(&clip->maps[k]);
    }
    sac_free(samples->clips);
    sac_spill_free(samples->pixels);
    *samples = (sac_samples){0};
}

static void gather_close(gather *g) {
    for (int k = 0; k < g->count; k++) {
        sac_map_store_close(&g->sources[k].store);
        sac_map_store_close(&g->sources[k].cache);
        json_decref(g->sources[k].provenance);
        sac_teacher_close(&g->sources[k].teacher);
        sac_chain_close(&g->sources[k].chain);
    }
    sac_preprocessor_close(&g->preprocessor);
}

// A map store's provenance without the list of its clips.
static json_t *store_origin(const sac_map_store *store) {
    json_t *origin = json_copy((json_t *)(uintptr_t)sac_map_store_provenance(store));
    if (origin != NULL) (void)json_object_del(origin, "clips");
    return origin;
}

// What makes cached maps of altered clips valid: same rendering of the same clips, same teacher.
// The objects that are altered are the first map store's, whoever scores them.
static json_t *cache_key(const gather *g, const source *s) {
    // Objects are cut out by their colours where there are any.
    const char *const rendered = g->channels == 3 ? "colour" : NULL;
    json_t *kinds = json_object();
    for (int k = 0; k < SAC_PSEUDO_KIND_COUNT; k++) {
        (void)json_object_set_new(kinds, sac_pseudo_kind_name((sac_pseudo_kind)k),
                                  json_real(g->options->mix.weights[k]));
    }
    const char *const backend = g->options->backend == SAC_BACKEND_REF ? "ref" : NULL;
    return json_pack("{s:s, s:i, s:s*, s:s*, s:o, s:I, s:I, s:o, s:o}", "fingerprint",
                     g->dataset->fingerprint, "rendering", RENDERING, "pixels", rendered, "backend",
                     backend, "kinds", kinds, "variants", (json_int_t)g->options->variants, "seed",
                     (json_int_t)g->options->seed, "objects",
                     g->objects != NULL ? store_origin(g->objects) : json_null(), "teacher",
                     s->chain != NULL ? sac_chain_origin(s->chain) : store_origin(s->store));
}

// Opens the cache of the right key with the clips that it has, or begins one.
static sac_status cache_open(const gather *g, source *s, const char *path, json_t *key,
                             sac_error *error) {
    sac_status status = sac_map_store_open(&s->cache, path, NULL);
    // Whatever else is wrong with it, it is made anew.
    if (status == SAC_ERROR_MEMORY) goto fail;
    if (s->cache != NULL &&
        !json_equal(json_object_get(sac_map_store_provenance(s->cache), "key"), key))
        sac_map_store_close(&s->cache);
    SAC_TRY(s->cache != NULL ? sac_map_store_continue(s->cache, error)
                             : sac_map_store_create(&s->cache, path, error));
    s->provenance = json_pack("{s:s, s:{s:o, s:s}, s:O}", "teacher", "pseudo-anomalies", "dataset",
                              "name", sac_json_text(g->dataset->name), "fingerprint",
                              g->dataset->fingerprint, "key", key);
    SAC_TRY_ALLOC(s->provenance);
fail:
    return status;
}

static char *altered_name(const sac_clip *clip, int64_t variant) {
    return sac_format("%s+%" PRId64, clip->name, variant);
}

// Whether the cache has all altered clips, so that its teacher is not needed.
static sac_status cache_complete(bool *complete, const gather *g, const source *s) {
    *complete = true;
    for (int64_t i = 0; i < g->samples->originals; i++) {
        for (int64_t v = 1; v <= g->options->variants && *complete; v++) {
            char *name = altered_name(&g->dataset->clips[i], v);
            if (name == NULL) return SAC_ERROR_MEMORY;
            *complete = sac_map_store_has(s->cache, name);
            sac_free(name);
        }
    }
    return SAC_OK;
}

// Keeps the maps of one more clip: a run that is killed after this finds them.
static sac_status cache_keep(source *s, const char *name, const sac_maps *maps, sac_error *error) {
    const sac_status status = sac_map_store_put(s->cache, name, false, maps, error);
    return status < 0 ? status : sac_map_store_commit(s->cache, s->provenance, error);
}

// Eight bytes at a time; the tail is padded with zeros.
static uint64_t hash_bytes(uint64_t hash, const void *bytes, int64_t size) {
    const uint8_t *at = bytes;
    for (int64_t i = 0; i < size; i += 8) {
        uint64_t word = 0;
        memcpy(&word, at + i, size - i < 8 ? (size_t)(size - i) : 8);
        hash = (hash ^ word) * 0x9e3779b97f4a7c15u;
        hash ^= hash >> 32;
    }
    return hash;
}

// Where the maps of a source are kept. In a shared folder a hash of the key tells keys apart; the
// key itself is compared when the folder is opened.
static char *cache_path(const gather *g, const char *name, const json_t *key) {
    if (!g->options->cache_shared) return sac_format("%s-%s", g->options->cache, name);
    char *text = json_dumps(key, JSON_COMPACT | JSON_SORT_KEYS);
    if (text == NULL) return NULL;
    const uint64_t hash = hash_bytes(1, text, (int64_t)strlen(text));
    free(text);
    return sac_format("%s-%s-%016" PRIx64, g->options->cache, name, hash);
}

// The cache of a student as teacher: its maps of every clip are kept.
static sac_status chain_cache(gather *g, source *s, const sac_distill_teacher *teacher,
                              sac_error *error) {
    sac_status status = SAC_OK;
    json_t *key = NULL;
    char *path = NULL;
    s->mirrors = sac_chain_mirrors(s->chain);
    SAC_TRY_ALLOC(key = cache_key(g, s));
    SAC_TRY_ALLOC(path = cache_path(g, teacher->name, key));
    SAC_TRY(cache_open(g, s, path, key, error));
fail:
    json_decref(key);
    sac_free(path);
    return status;
}

static sac_status source_open(gather *g, source *s, const sac_distill_teacher *teacher,
                              sac_error *error) {
    sac_status status = SAC_OK;
    json_t *dataset = NULL, *key = NULL;
    const char *fingerprint = NULL;
    int64_t block = 0, filter = 0;
    char *path = NULL;
    SAC_TRY(sac_map_store_open(&s->store, teacher->folder, error));
    const json_t *provenance = sac_map_store_provenance(s->store);
    SAC_TRY(sac_json_get_object(provenance, "dataset", &dataset, teacher->folder, error));
    SAC_TRY(sac_json_get_text(dataset, "fingerprint", &fingerprint, teacher->folder, error));
    if (strcmp(fingerprint, g->dataset->fingerprint) != 0) {
        return sac_error_set(
            error, SAC_ERROR_FORMAT, -1,
            "%s: these maps were made from another data set than %s (fingerprint %.12s, not %.12s)",
            teacher->folder, g->dataset->path, fingerprint, g->dataset->fingerprint);
    }
    SAC_TRY(sac_json_get_int(provenance, "block", 1, 4096, &block, teacher->folder, error));
    SAC_TRY(sac_json_get_int(provenance, "filter", 1, SAC_MAPS_MAX_FILTER, &filter, teacher->folder,
                             error));
    s->filter = (int)filter;
    s->block = (int)block;
    const char *name = json_string_value(json_object_get(provenance, "teacher"));
    const sac_family *family = name != NULL ? sac_family_find(name) : NULL;
    s->mirrors = family != NULL && family->mirrors; // of an unknown one nothing is promised
    if (g->objects == NULL) g->objects = s->store;
    if (g->options->variants == 0) return SAC_OK;
    SAC_TRY_ALLOC(key = cache_key(g, s));
    SAC_TRY_ALLOC(path = cache_path(g, teacher->name, key));
    SAC_TRY(cache_open(g, s, path, key, error));
    bool complete = false;
    SAC_TRY(cache_complete(&complete, g, s));
    if (complete) goto fail;
    sac_free(path);
    path = sac_path_join(teacher->folder, "teacher.safetensors");
    SAC_TRY_ALLOC(path);
    SAC_TRY(sac_teacher_open(&s->teacher, path, g->options->backend, error));
fail:
    if (key != NULL) json_decref(key);
    sac_free(path);
    return status;
}

// A clip as the student sees it.
static sac_status frames_make(gather *g, uint8_t *out, const uint8_t *pixels, int64_t frames,
                              int width, int height) {
    const int64_t n = sac_preprocess_bytes(&g->options->preprocess);
    const int64_t size = (int64_t)width * height * g->channels;
    for (int64_t t = 0; t < frames; t++) {
        const sac_status status = sac_preprocessor_frame(
            g->preprocessor, out + t * n, pixels + t * size, width, height, g->channels);
        if (status != SAC_OK) return status;
    }
    return SAC_OK;
}

// Maps of a clip that a student looks at, from its cache or made now.
static sac_status chain_maps(gather *g, source *s, sac_maps *maps, const char *name,
                             const uint8_t *pixels, int64_t frames, int width, int height,
                             sac_error *error) {
    sac_status status = SAC_OK;
    if (sac_map_store_has(s->cache, name))
        return sac_map_store_get(s->cache, maps, name, frames, error);
    SAC_TRY(sac_chain_maps(s->chain, maps, pixels, frames, width, height, g->channels,
                           g->options->stop, error));
    SAC_TRY(cache_keep(s, name, maps, error));
fail:
    return status;
}

// What one altered clip consists of while the teachers look at it.
typedef struct altered_clip {
    const sac_pseudo *pseudo;
    const sac_clip *clip;
    const sac_detections *objects; // those of g->objects: pseudo->removed counts these
    const uint8_t *gray;           // [frames][height][width], what teachers look at
    const char *name;
    int width, height;
} altered_clip;

// Whether the object in box b of frame t was painted over. Every teacher has its own boxes of it.
static bool was_removed(const altered_clip *a, const sac_box *b, int64_t t) {
    for (int64_t r = a->objects->start[t]; r < a->objects->start[t + 1]; r++) {
        if (a->pseudo->removed[r] && sac_box_overlap(&a->objects->boxes[r], b, NULL) > 0.5) {
            return true;
        }
    }
    return false;
}

// Maps of an altered clip: the original objects that are still there with their known scores, and
// the altered ones with the teacher's.
static sac_status altered_maps(gather *g, source *s, sac_maps *maps, const altered_clip *a,
                               sac_error *error) {
    sac_status status = SAC_OK;
    const sac_pseudo *pseudo = a->pseudo;
    sac_detections original = {0}, all = {0};
    float *original_scores = NULL, *altered_scores = NULL, *scores = NULL;
    if (s->chain != NULL) {
        return chain_maps(g, s, maps, a->name, pseudo->pixels, pseudo->frames, a->width, a->height,
                          error);
    }
    if (sac_map_store_has(s->cache, a->name))
        return sac_map_store_get(s->cache, maps, a->name, pseudo->frames, error);
    SAC_TRY(sac_map_store_objects(s->store, &original, &original_scores, a->clip->name,
                                  pseudo->frames, error));
    altered_scores = sac_calloc(pseudo->altered.count, sizeof *altered_scores);
    SAC_TRY_ALLOC(altered_scores);
    SAC_TRY(sac_teacher_score(s->teacher, altered_scores, NULL, &pseudo->altered, a->gray, a->width,
                              a->height, g->options->stop, NULL, NULL, error));
    all.frames = pseudo->frames;
    all.start = sac_calloc(pseudo->frames + 1, sizeof *all.start);
    all.boxes = sac_calloc(original.count + pseudo->altered.count, sizeof *all.boxes);
    scores = sac_calloc(original.count + pseudo->altered.count, sizeof *scores);
    SAC_TRY_ALLOC(all.start);
    SAC_TRY_ALLOC(all.boxes);
    SAC_TRY_ALLOC(scores);
    for (int64_t t = 0; t < pseudo->frames; t++) {
        all.start[t] = all.count;
        for (int64_t b = original.start[t]; b < original.start[t + 1]; b++) {
            if (was_removed(a, &original.boxes[b], t)) continue;
            scores[all.count] = original_scores[b];
            all.boxes[all.count++] = original.boxes[b];
        }
        for (int64_t b = pseudo->altered.start[t]; b < pseudo->altered.start[t + 1]; b++) {
            scores[all.count] = altered_scores[b];
            all.boxes[all.count++] = pseudo->altered.boxes[b];
        }
    }
    all.start[pseudo->frames] = all.count;
    SAC_TRY(sac_maps_paint(maps, &all, scores, a->width, a->height, s->block, s->filter));
    SAC_TRY(cache_keep(s, a->name, maps, error));
fail:
    sac_detections_close(&original);
    sac_detections_close(&all);
    sac_free(original_scores);
    sac_free(altered_scores);
    sac_free(scores);
    return status;
}

// SHOW/CLIP+V-TEACHER.png
static sac_status altered_show(gather *g, int teacher, const sac_maps *maps, const altered_clip *a,
                               sac_error *error) {
    char *path = sac_format("%s/%s-%s.png", g->options->show, a->name, g->sources[teacher].name);
    if (path == NULL) return SAC_ERROR_MEMORY;
    const sac_status status = sac_pseudo_show(path, a->pseudo, a->width, a->height, maps, error);
    sac_free(path);
    return status;
}

// The luma of all pixels, where there is colour; else the pixels themselves.
static sac_status gray_make(void **made, const uint8_t **gray, const uint8_t *pixels, int64_t count,
                            int channels, sac_error *error) {
    *gray = pixels;
    if (channels == 1) return SAC_OK;
    // Beside the clip and its altered version.
    const sac_status status = sac_spill_alloc(made, count, 1, 6 * count, error);
    if (status != SAC_OK) return status;
    uint8_t *const luma = *made;
    for (int64_t i = 0; i < count; i++)
        luma[i] = sac_bt601_luma(pixels[3 * i], pixels[3 * i + 1], pixels[3 * i + 2]);
    *gray = luma;
    return SAC_OK;
}

static sac_status variant_load(gather *g, sac_sample_clip *out, const sac_clip *clip,
                               int64_t clip_index, int64_t variant, const uint8_t *pixels,
                               int width, int height, const sac_detections *objects,
                               sac_error *error) {
    sac_status status = SAC_OK;
    sac_pseudo pseudo = {0};
    void *luma = NULL;
    const uint8_t *gray = NULL;
    out->name = altered_name(clip, variant);
    SAC_TRY_ALLOC(out->name);
    // Every clip and variant has its own stream, so that more variants do not change the first
    // ones.
    SAC_TRY(sac_pseudo_make(
        &pseudo, pixels, width, height, g->channels, objects, &g->options->mix,
        g->options->seed * 1000003u + (uint64_t)clip_index * 1009u + (uint64_t)variant, error));
    SAC_TRY(frames_make(g, out->pixels, pseudo.pixels, clip->frames, width, height));
    SAC_TRY(
        gray_make(&luma, &gray, pseudo.pixels, clip->frames * width * height, g->channels, error));
    const altered_clip a = {.pseudo = &pseudo,
                            .clip = clip,
                            .objects = objects,
                            .gray = gray,
                            .name = out->name,
                            .width = width,
                            .height = height};
    for (int k = 0; k < g->count; k++) {
        SAC_TRY(altered_maps(g, &g->sources[k], &out->maps[k], &a, error));
        if (g->options->show != NULL) SAC_TRY(altered_show(g, k, &out->maps[k], &a, error));
    }
    g->samples->altered_objects += pseudo.altered.count;
    out->kinds = pseudo.kinds;
    pseudo.kinds = NULL;
fail:
    sac_spill_free(luma);
    sac_pseudo_close(&pseudo);
    return status;
}

static sac_status clip_load(gather *g, int64_t index, const sac_clip *clip, sac_error *error) {
    sac_status status = SAC_OK;
    uint8_t *pixels = NULL;
    int width = 0, height = 0;
    sac_detections objects = {0};
    const int64_t variants = g->options->variants;
    sac_samples *samples = g->samples;
    sac_sample_clip *original = &samples->clips[index];
    SAC_TRY(sac_clip_load(&pixels, &width, &height, g->channels, clip, error));
    original->name = sac_strdup(clip->name);
    SAC_TRY_ALLOC(original->name);
    SAC_TRY(frames_make(g, original->pixels, pixels, clip->frames, width, height));
    for (int k = 0; k < g->count; k++) {
        source *s = &g->sources[k];
        if (s->chain != NULL) {
            SAC_TRY(chain_maps(g, s, &original->maps[k], clip->name, pixels, clip->frames, width,
                               height, error));
        } else {
            SAC_TRY(
                sac_map_store_get(s->store, &original->maps[k], clip->name, clip->frames, error));
        }
    }
    if (variants > 0)
        SAC_TRY(sac_map_store_objects(g->objects, &objects, NULL, clip->name, clip->frames, error));
    for (int64_t v = 0; v < variants; v++) {
        sac_sample_clip *altered = &samples->clips[samples->originals + index * variants + v];
        altered->validation_from = original->validation_from;
        if (g->options->stop != NULL && g->options->stop()) {
            status = SAC_ERROR_INTERRUPTED;
            goto fail;
        }
        SAC_TRY(
            variant_load(g, altered, clip, index, v + 1, pixels, width, height, &objects, error));
    }
fail:
    sac_spill_free(pixels);
    sac_detections_close(&objects);
    return status;
}

// Room for the frames of all clips at once, so that a full disk is found before the work.
static sac_status room_make(sac_samples *samples, const sac_dataset *dataset, int64_t variants,
                            sac_error *error) {
    const int64_t frame = sac_preprocess_bytes(&samples->preprocess);
    int64_t total = 0;
    void *block = NULL;
    for (int64_t i = 0; i < samples->originals; i++)
        total += dataset->clips[i].frames * (1 + variants);
    const sac_status status = sac_spill_alloc(&block, total, (size_t)frame, 0, error);
    if (status != SAC_OK) return status;
    uint8_t *at = samples->pixels = block;
    for (int64_t i = 0; i < samples->count; i++) {
        sac_sample_clip *clip = &samples->clips[i];
        const int64_t original = i < samples->originals ? i : (i - samples->originals) / variants;
        clip->frames = dataset->clips[original].frames;
        clip->pixels = at;
        at += clip->frames * frame;
    }
    return SAC_OK;
}

// Whole clips validate where there are enough of them; else the end of each clip.
static sac_status split(sac_samples *samples, const sac_dataset *dataset, double fraction,
                        uint64_t seed) {
    const int64_t n = samples->originals;
    for (int64_t i = 0; i < n; i++) {
        const int64_t frames = dataset->clips[i].frames;
        samples->clips[i].validation_from =
            n >= FEW_CLIPS ? frames : (int64_t)ceil((1 - fraction) * (double)frames);
    }
    if (n < FEW_CLIPS) return SAC_OK;
    int64_t *order = sac_calloc(n, sizeof *order);
    if (order == NULL) return SAC_ERROR_MEMORY;
    for (int64_t i = 0; i < n; i++) order[i] = i;
    sac_rng rng;
    sac_rng_seed(&rng, seed, 0x73706c6974);
    sac_rng_shuffle(&rng, order, n);
    int64_t held = (int64_t)llround(fraction * (double)n);
    if (held < 1) held = 1;
    if (held > n - 1) held = n - 1;
    for (int64_t i = 0; i < held; i++) samples->clips[order[i]].validation_from = 0;
    sac_free(order);
    return SAC_OK;
}

sac_status sac_samples_check(const sac_distill_teacher *teachers, int teacher_count,
                             int64_t variants, sac_error *error) {
    if (teacher_count < 1 || teacher_count > SAC_MAX_TEACHERS) {
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1, "1 to %d teachers are needed, %d given",
                             SAC_MAX_TEACHERS, teacher_count);
    }
    bool objects = false;
    for (int k = 0; k < teacher_count; k++) objects = objects || !teachers[k].student;
    if (objects || variants == 0) return SAC_OK;
    return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                         "altered clips need the objects of a map folder, and all teachers are "
                         "students: name a map folder too, or --pseudo 0");
}

sac_status sac_samples_load(sac_samples *samples, const sac_dataset *dataset,
                            const sac_distill_teacher *teachers, int teacher_count,
                            const sac_samples_options *options, sac_error *error) {
    sac_status status = SAC_OK;
    gather g = {.samples = samples, .dataset = dataset, .options = options};
    *samples = (sac_samples){.preprocess = options->preprocess};
    SAC_TRY(sac_samples_check(teachers, teacher_count, options->variants, error));
    if (dataset->train_count < 1) {
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "%s: the data set has no training clips", dataset->path);
    }
    samples->originals = dataset->train_count;
    samples->count = dataset->train_count * (1 + options->variants);
    samples->clips = sac_calloc(samples->count, sizeof *samples->clips);
    if (samples->clips == NULL) samples->count = 0;
    SAC_TRY_ALLOC(samples->clips);
    SAC_TRY(split(samples, dataset, options->validation_fraction, options->seed));
    SAC_TRY(sac_preprocessor_create(&g.preprocessor, &options->preprocess));
    SAC_TRY(room_make(samples, dataset, options->variants, error));
    g.count = teacher_count;
    g.channels = options->preprocess.channels;
    // Students that teach first: one that sees colour decides how clips are read and altered.
    for (int k = 0; k < teacher_count; k++) {
        if (!teachers[k].student) continue;
        SAC_TRY(sac_chain_open(&g.sources[k].chain, teachers[k].folder, options->backend, error));
        if (sac_chain_model(g.sources[k].chain)->preprocess.channels == 3) g.channels = 3;
    }
    for (int k = 0; k < teacher_count; k++) {
        samples->weights[k] = teachers[k].weight;
        g.sources[k].name = teachers[k].name;
        if (teachers[k].student) continue;
        SAC_TRY(source_open(&g, &g.sources[k], &teachers[k], error));
    }
    // After the map stores: what a student's cache is valid for depends on the objects.
    for (int k = 0; k < teacher_count; k++) {
        if (teachers[k].student) SAC_TRY(chain_cache(&g, &g.sources[k], &teachers[k], error));
    }
    samples->mirrors = true;
    for (int k = 0; k < teacher_count; k++)
        samples->mirrors = samples->mirrors && g.sources[k].mirrors;
    samples->teacher_count = teacher_count;
    for (int64_t i = 0; i < samples->originals; i++) {
        if (options->stop != NULL && options->stop()) {
            status = SAC_ERROR_INTERRUPTED;
            goto fail;
        }
        SAC_TRY(clip_load(&g, i, &dataset->clips[i], error));
        if (options->progress != NULL) options->progress(options->user, i + 1, samples->originals);
    }
    gather_close(&g);
    return SAC_OK;
fail:
    gather_close(&g);
    sac_samples_close(samples);
    if (status == SAC_ERROR_INTERRUPTED) {
        if (error != NULL)
            *error = (sac_error){0}; // whoever was interrupted cannot say what is kept
        return sac_error_set(error, status, -1,
                             "interrupted while gathering the training data: the teachers' maps of "
                             "finished clips are kept, go on with --resume");
    }
    return sac_error_set(error, status, -1, "gathering the training data: %s",
                         sac_status_name(status));
}

uint64_t sac_samples_digest(const sac_samples *samples) {
    const int64_t frame = sac_preprocess_bytes(&samples->preprocess);
    uint64_t hash = hash_bytes(1, samples->weights, sizeof samples->weights);
    for (int64_t i = 0; i < samples->count; i++) {
        const sac_sample_clip *clip = &samples->clips[i];
        const int64_t facts[4] = {clip->frames, clip->validation_from, i < samples->originals,
                                  clip->kinds != NULL};
        hash = hash_bytes(hash, facts, sizeof facts);
        hash = hash_bytes(hash, clip->pixels, clip->frames * frame);
        if (clip->kinds != NULL) {
            hash = hash_bytes(hash, clip->kinds, clip->frames * (int64_t)sizeof *clip->kinds);
        }
        for (int k = 0; k < samples->teacher_count; k++) {
            const int64_t row = clip->frames * (int64_t)sizeof(float);
            hash = hash_bytes(hash, clip->maps[k].map16, 256 * row);
            hash = hash_bytes(hash, clip->maps[k].map4, 16 * row);
            hash = hash_bytes(hash, clip->maps[k].map1, row);
        }
    }
    return hash;
}

sac_status sac_samples_teacher_auc(double *auc, double aucs[SAC_PSEUDO_KIND_COUNT],
                                   const sac_samples *samples, int teacher, sac_error *error) {
    sac_status status = SAC_OK;
    int64_t total = 0, n = 0;
    if (teacher < 0 || teacher >= samples->teacher_count)
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1, "no teacher %d", teacher);
    for (int64_t c = 0; c < samples->count; c++)
        total += samples->clips[c].frames - samples->clips[c].validation_from;
    float *scores = sac_calloc(total, sizeof *scores);
    uint8_t *labels = sac_calloc(total, 1);
    uint16_t *kinds = sac_calloc(total, sizeof *kinds);
    SAC_TRY_ALLOC(scores);
    SAC_TRY_ALLOC(kinds);
    SAC_TRY_ALLOC(labels);
    for (int64_t c = 0; c < samples->count; c++) {
        const sac_sample_clip *clip = &samples->clips[c];
        const sac_maps *maps = &clip->maps[teacher];
        for (int64_t t = clip->validation_from; t < clip->frames; t++, n++) {
            const float *const all[SAC_HEADS] = {maps->map16 + t * 256, maps->map4 + t * 16,
                                                 maps->map1 + t};
            scores[n] = sac_heads_score(all);
            kinds[n] = clip->kinds != NULL ? clip->kinds[t] : 0;
            labels[n] = sac_pseudo_abnormal(kinds[n]);
        }
    }
    SAC_TRY(sac_auc(auc, scores, labels, total, error));
    if (aucs != NULL) SAC_TRY(sac_kind_auc(aucs, scores, kinds, total, error));
fail:
    sac_free(scores);
    sac_free(kinds);
    sac_free(labels);
    return status;
}
