// The comparison with peers against tests/fake_peer.sh, which has no runtime behind it: the list of
// peers and its damage, questions and answers, peers that fail in every way, ratios and reports.
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/peers.h"
#include "bench/synthetic.h"
#include "core/memory.h"
#include "helper.h"
#include "student/arch.h"
#include "student/model.h"

static const char *fake(void) {
    static char path[1024];
    const char *source = getenv("SACCADE_SOURCE");
    if (source == NULL) sac_skip_case("SACCADE_SOURCE is not set: run through ctest");
    (void)snprintf(path, sizeof path, "%s/tests/fake_peer.sh", source);
    return path;
}

static void listed(const char *text, const char *code) {
    cr_assert_eq(setenv("FAKE_LIST", text, 1), 0);
    cr_assert_eq(setenv("FAKE_CODE", code, 1), 0);
}

Test(bench_peers, list_is_read) {
    sac_peer_entry entries[SAC_PEERS_MOST];
    sac_error error = {0};
    int count = 0;
    listed("peer ort-int8 int8 onnxruntime 1.0\\nskip ncnn-f32 f32 no wheel for this\\n"
           "skip x f32\\n",
           "0");
    sac_assert_ok(sac_peer_list(entries, &count, fake(), 20, &error), &error);
    cr_assert_eq(count, 3);
    cr_assert_str_eq(entries[0].name, "ort-int8");
    cr_assert_str_eq(entries[0].precision, "int8");
    cr_assert_str_empty(entries[0].reason);
    cr_assert_str_eq(entries[1].reason, "no wheel for this");
    cr_assert_str_eq(entries[2].reason, "no reason given");
    // The last line may lack its line feed.
    listed("peer a f32\\nskip b int8 not here", "0");
    sac_assert_ok(sac_peer_list(entries, &count, fake(), 20, &error), &error);
    cr_assert_eq(count, 2);
    cr_assert_str_eq(entries[1].name, "b");
    cr_assert_str_eq(entries[1].reason, "not here");
}

Test(bench_peers, damaged_lists_are_refused) {
    static const char *const lists[] = {"",
                                        "hello\\n",
                                        "peer a f64\\n",
                                        "peer ../a f32\\n",
                                        "peer a f32\\npeer a int8\\n",
                                        "peer a\\n",
                                        "\\n",
                                        "peer a f32\\npeer b"};
    sac_peer_entry entries[SAC_PEERS_MOST];
    int count = 7;
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        sac_error error = {0};
        listed(lists[i], "0");
        sac_assert_error(sac_peer_list(entries, &count, fake(), 20, &error), SAC_ERROR_FORMAT,
                         &error, "list", NULL);
        cr_assert_eq(count, 0);
    }
    sac_error error = {0};
    listed("peer a f32\\n", "5");
    sac_assert_error(sac_peer_list(entries, &count, fake(), 20, &error), SAC_ERROR_BACKEND, &error,
                     "exit code 5", NULL);
    error = (sac_error){0};
    sac_assert_error(sac_peer_list(entries, &count, "no/such/peer", 20, &error), SAC_ERROR_IO,
                     &error, "no/such/peer", NULL);
}

static int never(void *user) {
    (void)user;
    return 1;
}

Test(bench_peers, questions_and_what_goes_wrong) {
    static const struct {
        const char *name, *word;
    } failures[] = {{"refuses", "cannot read that"},
                    {"babbles", "more than"},
                    {"dies-at-once", "exit code 3"},
                    {"silent", "no answer in time"}};
    char reply[SAC_PEER_REPLY];
    sac_peer *peer = NULL;
    for (size_t i = 0; i < sizeof failures / sizeof failures[0]; i++) {
        sac_error error = {0};
        sac_assert_ok(sac_peer_start(&peer, fake(), failures[i].name, 2, &error), &error);
        sac_assert_error(
            sac_peer_ask(peer, reply, i == 3 ? 0.3 : 20, NULL, NULL, &error, "load\t1"),
            SAC_ERROR_BACKEND, &error, failures[i].name, failures[i].word, NULL);
        error = (sac_error){0};
        if (i > 0) // it has ended, and says so
            sac_assert_error(sac_peer_ask(peer, reply, 5, NULL, NULL, &error, "check"),
                             SAC_ERROR_BACKEND, &error, "has ended", NULL);
        sac_peer_close(&peer);
        cr_assert_null(peer);
    }
    sac_error error = {0};
    sac_assert_ok(sac_peer_start(&peer, fake(), "silent", 2, &error), &error);
    sac_assert_error(sac_peer_ask(peer, reply, 20, never, NULL, &error, "load\t1"),
                     SAC_ERROR_INTERRUPTED, &error, NULL);
    error = (sac_error){0};
    sac_assert_error(sac_peer_ask(peer, reply, 20, NULL, NULL, &error, "two\nlines"),
                     SAC_ERROR_BACKEND, &error, "one line", NULL);
    sac_peer_close(&peer);
    sac_peer_close(&peer);
    sac_peer_close(NULL);
}

// Every logit is 0 and every map 0.5. With a mean of 127 all weights are zero, else only the last.
static const char *zero_model(double mean) {
    const char *path = sac_test_path("zeros.safetensors");
    sac_model *model = NULL;
    sac_error error = {0};
    sac_preprocess preprocess = sac_preprocess_default();
    preprocess.width = 48;
    preprocess.height = 32;
    preprocess.mean = mean;
    sac_assert_ok(sac_model_create(&model, "tiny-m", &preprocess, &error), &error);
    sac_rng rng;
    sac_rng_seed(&rng, 5, 0);
    if (mean == 0) sac_arch_init(model, &rng);
    for (int64_t i = 0; i < sac_params_count(model->params); i++) {
        sac_param *p = sac_params_at(model->params, i);
        if (strstr(p->name, ".logit.") != NULL) memset(p->data, 0, (size_t)p->count * 4);
    }
    sac_assert_ok(sac_model_save(model, path, &error), &error);
    sac_model_close(&model);
    return path;
}

static const char *clip(int64_t frames) {
    const char *path = sac_test_path("clip.mp4");
    const sac_synthetic_clip scene = {.width = 64, .height = 48, .frames = frames, .seed = 3};
    sac_error error = {0};
    sac_assert_ok(sac_synthetic_clip_write(path, &scene, NULL, NULL, &error), &error);
    return path;
}

static sac_peers_options options_of(const char *model, const char *source) {
    sac_peers_options options = sac_peers_default_options();
    options.model = model;
    options.source = source;
    options.command = fake();
    options.repeats = 3;
    options.seconds = 0.01;
    return options;
}

static const sac_peers_arm *arm_of(const sac_peers_result *result, const char *name) {
    for (int a = 0; a < result->arm_count; a++)
        if (strcmp(result->arms[a].name, name) == 0) return &result->arms[a];
    cr_assert_fail("no arm '%s'", name);
    return NULL;
}

Test(bench_peers, rounds_ratios_and_every_kind_of_failure) {
    char model[600], source[600];
    sac_error error = {0};
    sac_peers_result result;
    (void)snprintf(model, sizeof model, "%s", zero_model(0));
    (void)snprintf(source, sizeof source, "%s", clip(20));
    listed("peer good f32 1\\npeer zeros f32 1\\npeer short f32 1\\npeer stops f32 1\\n"
           "peer nonsense f32 1\\npeer refuses f32 1\\npeer dies-at-once f32 1\\n"
           "peer eight int8 1\\nskip absent f32 not installed\\n",
           "0");
    const sac_peers_options options = options_of(model, source);
    const int64_t files = sac_test_folder_count();
    cr_assert_eq(setenv("TMPDIR", sac_test_folder(), 1), 0);
    sac_assert_ok(sac_peers_measure(&result, &options, &error), &error);
    cr_assert_eq(sac_test_folder_count(), files, "temporary files are left behind");
    const sac_peers_arm *good = arm_of(&result, "good"), *ours = arm_of(&result, "saccade-f32");
    cr_assert(ours->ours && ours->fps[0] > 0 && ours->fps[1] > 0);
    cr_assert_str_eq(good->text, "Fake 1.0, 1 threads, OpenMP 1");
    cr_assert_str_empty(good->skipped);
    cr_assert(good->difference < 1e-6, "%g", good->difference);
    cr_assert_eq(good->fps[SAC_COMPARE_U8], 100);
    cr_assert_eq(good->fps[SAC_COMPARE_F32], 200);
    static const struct {
        const char *name, *word;
    } skipped[] = {{"zeros", "not the same network"}, {"short", "bytes"},
                   {"stops", "exit code 4"},          {"nonsense", "timed 0 nan"},

                   {"dies-at-once", "exit code 3"},   {"refuses", "cannot read that"},
                   {"absent", "not installed"}};
    for (size_t i = 0; i < sizeof skipped / sizeof skipped[0]; i++) {
        const sac_peers_arm *arm = arm_of(&result, skipped[i].name);
        cr_assert(strstr(arm->skipped, skipped[i].word) != NULL, "%s: %s", arm->name, arm->skipped);
        cr_assert(arm->rounds[0] == NULL && arm->rounds[1] == NULL && isnan(arm->fps[0]));
    }
    const sac_peers_arm *eight = arm_of(&result, "eight");
    cr_assert(arm_of(&result, "saccade-int8")->fps[0] > 0);
    cr_assert(eight->difference < 1e-6, "%g: %s", eight->difference, eight->skipped);
    sac_peers_ratio q;
    const int index = (int)(good - result.arms);
    sac_assert_ok(sac_peers_ratio_of(&q, &result, 0, index, SAC_COMPARE_F32), &error);
    cr_assert(q.low <= q.median && q.median <= q.high);
    cr_assert(fabs(q.median - ours->fps[SAC_COMPARE_F32] / 200) < 1e-9 * q.median);
    // Reports: two tables, never mixed, and what was skipped.
    char *text = sac_peers_markdown(&result);
    cr_assert_not_null(text);
    static const char *const words[] = {"same u8 frames",
                                        "same f32 tensor",
                                        "| good | f32 | 100.0 |",
                                        "| good | f32 | 200.0 |",
                                        "SKIPPED: absent: not installed",
                                        "saccade-f32 / it"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        cr_assert(strstr(text, words[i]) != NULL, "'%s' is not in %s", words[i], text);
    sac_free(text);
    json_t *json = sac_peers_json(&result);
    cr_assert_not_null(json);
    cr_assert_eq(json_array_size(json_object_get(json, "runtimes")), 11);
    json_decref(json);
    sac_figures figures = {0};
    sac_assert_ok(sac_peers_figures(&figures, &result, &error), &error);
    cr_assert_not_null(sac_figures_find(&figures, "f32 tensor to scores; saccade-f32 / good"));
    cr_assert_null(sac_figures_find(&figures, "f32 tensor to scores; saccade-f32 / zeros"));
    sac_figures_close(&figures);
    sac_peers_result_close(&result);
}

// Pixels around zero have no u8 form, and nothing of a network of zeros ever exceeds zero.
Test(bench_peers, a_network_without_8_bits) {
    char model[600], source[600];
    sac_error error = {0};
    sac_peers_result result;
    (void)snprintf(model, sizeof model, "%s", zero_model(127));
    (void)snprintf(source, sizeof source, "%s", clip(20));
    listed("peer good f32 1\\npeer eight int8 1\\n", "0");
    const sac_peers_options options = options_of(model, source);
    sac_assert_ok(sac_peers_measure(&result, &options, &error), &error);
    cr_assert_eq(result.arm_count, 3);
    cr_assert_str_empty(arm_of(&result, "good")->skipped);
    cr_assert(result.no_int8[0] != '\0');
    cr_assert_str_eq(arm_of(&result, "eight")->skipped, result.no_int8);
    sac_peers_result_close(&result);
}

Test(bench_peers, without_peers_ours_is_measured_and_the_lack_is_told) {
    char model[600], source[600];
    sac_error error = {0};
    sac_peers_result result;
    (void)snprintf(model, sizeof model, "%s", zero_model(0));
    (void)snprintf(source, sizeof source, "%s", clip(20));
    sac_peers_options options = options_of(model, source);
    options.command = "no/such/peer";
    sac_assert_ok(sac_peers_measure(&result, &options, &error), &error);
    cr_assert_eq(result.arm_count, 2);
    cr_assert(strstr(result.peers_missing, "no/such/peer") != NULL);
    char *text = sac_peers_markdown(&result);
    cr_assert(strstr(text, "SKIPPED: all peers: no/such/peer") != NULL, "%s", text);
    sac_free(text);
    sac_peers_result_close(&result);
}

Test(bench_peers, bad_options_and_short_sources_are_refused) {
    char model[600], source[600];
    sac_peers_result result;
    sac_error error = {0};
    (void)snprintf(model, sizeof model, "%s", zero_model(0));
    (void)snprintf(source, sizeof source, "%s", clip(5));
    sac_peers_options options = options_of(model, source);
    sac_assert_error(sac_peers_measure(&result, &options, &error), SAC_ERROR_FORMAT, &error,
                     "5 frames", "10", NULL);
    listed("peer good f32 1\\n", "0");
    (void)snprintf(source, sizeof source, "%s", clip(20));
    static const struct {
        int threads, repeats;
        double seconds;
        const char *only, *word;
    } bad[] = {{0, 3, 0.1, NULL, "0 threads"},
               {1024, 3, 0.1, NULL, "processors"},
               {1, 0, 0.1, NULL, "0 repeats"},
               {1, 3, 0.0, NULL, "0 s"},
               {1, 3, 0.01, "good,other", "'other'"}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        error = (sac_error){0};
        options.threads = bad[i].threads;
        options.repeats = bad[i].repeats;
        options.seconds = bad[i].seconds;
        options.only = bad[i].only;
        sac_assert_error(sac_peers_measure(&result, &options, &error), SAC_ERROR_ARGUMENT, &error,
                         bad[i].word, NULL);
    }
}
