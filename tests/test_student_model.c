// Model files: round trip, and what a damaged, contradicting or hostile file is told.
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "core/memory.h"
#include "core/safetensors.h"
#include "helper.h"
#include "student/arch.h"
#include "student/heads.h"
#include "student_make.h"

Test(student_model, tiny_m_is_what_it_says) {
    sac_model *model = make_model(240, 160, 1);
    int64_t macs = 0, parameters = sac_params_elements(model->params, true);
    for (int i = 0; i < sac_net_count(model->net); i++) macs += sac_net_macs(model->net, i);
    cr_assert(macs > 100e6 && macs < 130e6, "%lld MACs", (long long)macs);
    cr_assert(parameters > 100000 && parameters < 160000, "%lld parameters", (long long)parameters);
    sac_model_close(&model);
    cr_assert_null(model);
    sac_model_close(&model);
    sac_model_close(NULL);
}

Test(student_model, every_input_size_has_the_three_maps) {
    static const int sizes[][2] = {{16, 16}, {17, 16},   {16, 23},  {33, 19},
                                   {64, 48}, {240, 160}, {1000, 31}};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        sac_model *model = make_model(sizes[i][0], sizes[i][1], 1);
        sac_shape *shapes = sac_calloc(sac_net_count(model->net), sizeof *shapes);
        sac_error error = {0};
        sac_assert_ok(sac_net_shapes(model->net, 2, shapes, &error), &error);
        static const char *const names[3] = {"map16", "map4", "map1"};
        static const int64_t sides[3] = {16, 4, 1};
        for (int o = 0; o < 3; o++) {
            sac_shape shape = shapes[sac_net_find(model->net, names[o])];
            cr_assert(shape.ndims == 4 && shape.dims[0] == 2 && shape.dims[1] == 1 &&
                          shape.dims[2] == sides[o] && shape.dims[3] == sides[o],
                      "%s at %dx%d", names[o], sizes[i][0], sizes[i][1]);
        }
        sac_free(shapes);
        sac_model_close(&model);
    }
}

Test(student_model, every_architecture_has_its_size_and_cost) {
    // Parameters counted by hand from the description; MACs of the whole network at its own size.
    static const struct {
        const char *arch;
        int width, height;
        int64_t parameters, macs;
    } known[] = {
        {"tiny-s", 192, 128, 36587, 21202944},    {"tiny-m", 240, 160, 128403, 105580800},
        {"tiny-l", 288, 192, 293459, 312173568},  {"tiny-s*0.5", 192, 128, 12043, 9839616},
        {"paper", 640, 360, 5061907, 5965660160},
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        sac_preprocess p;
        sac_model *model = NULL;
        sac_error error = {0};
        sac_assert_ok(sac_arch_preprocess(&p, known[i].arch, &error), &error);
        cr_assert(p.width == known[i].width && p.height == known[i].height, "%s", known[i].arch);
        sac_assert_ok(sac_model_create(&model, known[i].arch, &p, &error), &error);
        int64_t macs = 0;
        for (int n = 0; n < sac_net_count(model->net); n++) macs += sac_net_macs(model->net, n);
        cr_assert_eq(macs, known[i].macs, "%s: %lld", known[i].arch, (long long)macs);
        cr_assert_eq(sac_params_elements(model->params, true), known[i].parameters);
        sac_model_close(&model);
    }
}

Test(student_model, channel_factors_are_checked) {
    static const char *const wrong[] = {"tiny-s*", "tiny-s*0.1", "tiny-s*nan", "tiny-s*9",
                                        "paper*1", "tiny-s*1x",  "*2",         "tiny"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        sac_preprocess p = sac_preprocess_default();
        sac_net *net = NULL;
        sac_error error = {0};
        sac_assert_error(sac_arch_build(&net, wrong[i], &p, &error), SAC_ERROR_ARGUMENT, &error,
                         wrong[i], NULL);
        cr_assert_null(net);
    }
}

// The maps stand in the architecture's name; the network has these and nothing of the others.
Test(student_model, an_architecture_may_have_fewer_maps) {
    static const struct {
        const char *arch, *text;
        unsigned heads;
    } known[] = {{"tiny-s:16,4,1", "16,4,1", 7},
                 {"tiny-s*0.5:1,16", "16,1", 5},
                 {"tiny-m:4", "4", 2},
                 {"tiny-l:1", "1", 4},
                 {"paper:4", "4", 2},
                 {"paper:1,4", "4,1", 6},
                 {"paper:16", "16", 1}};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        sac_preprocess p = sac_preprocess_default();
        sac_model *model = NULL, *read = NULL;
        sac_error error = {0};
        char text[8];
        const char *path = sac_test_path("heads.safetensors");
        p.width = 64;
        p.height = 48;
        sac_assert_ok(sac_model_create(&model, known[i].arch, &p, &error), &error);
        cr_assert_eq(sac_heads_of(model->net), known[i].heads, "%s", known[i].arch);
        sac_heads_text(text, sizeof text, known[i].heads);
        cr_assert_str_eq(text, known[i].text);
        for (int k = 0; k < SAC_HEADS; k++) {
            char name[16];
            (void)snprintf(name, sizeof name, "head%d.", sac_heads[k].side);
            int64_t own = 0;
            for (int64_t n = 0; n < sac_params_count(model->params); n++)
                own += strncmp(sac_params_at(model->params, n)->name, name, strlen(name)) == 0;
            cr_assert_eq(own > 0, (known[i].heads >> k & 1) != 0, "%s: %s", known[i].arch, name);
        }
        cr_assert_eq(sac_model_format(model), known[i].heads == SAC_HEADS_ALL ? 1 : 2);
        sac_assert_ok(sac_model_save(model, path, &error), &error);
        sac_assert_ok(sac_model_load(&read, path, &error), &error);
        cr_assert_str_eq(read->arch, known[i].arch);
        cr_assert_eq(sac_heads_of(read->net), known[i].heads);
        sac_model_close(&read);
        sac_model_close(&model);
    }
    static const char *const wrong[] = {
        "tiny-s:",  "tiny-s:8",    "tiny-s:16,16",    "tiny-s:4,",
        "paper:,1", "tiny-s:16:4", "tiny-s:16,4,1,1", "tiny-s:00000000000016"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        sac_preprocess p = sac_preprocess_default();
        sac_net *net = NULL;
        sac_error error = {0};
        sac_assert_error(sac_arch_build(&net, wrong[i], &p, &error), SAC_ERROR_ARGUMENT, &error,
                         "one to three of 16, 4 and 1", NULL);
        cr_assert_null(net);
    }
}

Test(student_model, unknown_architecture_lists_the_known) {
    sac_preprocess p = sac_preprocess_default();
    sac_model *model = NULL;
    sac_error error = {0};
    sac_assert_error(sac_model_create(&model, "huge-x", &p, &error), SAC_ERROR_ARGUMENT, &error,
                     "huge-x", "tiny-m", NULL);
    cr_assert_null(model);
    p.width = 8;
    error = (sac_error){0};
    sac_assert_error(sac_model_create(&model, "tiny-m", &p, &error), SAC_ERROR_ARGUMENT, &error,
                     "8x160", NULL);
    cr_assert_null(model);
}

static void assert_equal(const sac_model *a, const sac_model *b) {
    cr_assert_str_eq(a->arch, b->arch);
    cr_assert(a->preprocess.width == b->preprocess.width &&
              a->preprocess.height == b->preprocess.height);
    cr_assert(a->preprocess.mean == b->preprocess.mean &&
              a->preprocess.scale == b->preprocess.scale);
    cr_assert_eq(memcmp(a->preprocess.offsets, b->preprocess.offsets, sizeof a->preprocess.offsets),
                 0);
    cr_assert(json_equal(a->provenance, b->provenance));
    cr_assert((a->calibration == NULL && b->calibration == NULL) ||
              json_equal(a->calibration, b->calibration));
    cr_assert_eq(a->quant == NULL, b->quant == NULL);
    for (int i = 0; a->quant != NULL && i < sac_quant_count(a->quant); i++) {
        const char *name = sac_quant_name(a->quant, i);
        cr_assert_eq(sac_quant_scale(a->quant, name), sac_quant_scale(b->quant, name), "%s", name);
    }
    json_t *x = sac_net_to_json(a->net), *y = sac_net_to_json(b->net);
    cr_assert(json_equal(x, y));
    json_decref(x);
    json_decref(y);
    cr_assert_eq(sac_params_count(a->params), sac_params_count(b->params));
    for (int64_t i = 0; i < sac_params_count(a->params); i++) {
        const sac_param *p = sac_params_at(a->params, i), *q = sac_params_at(b->params, i);
        cr_assert_str_eq(p->name, q->name);
        cr_assert_eq(p->count, q->count);
        cr_assert_eq(memcmp(p->data, q->data, (size_t)p->count * sizeof *p->data), 0, "%s",
                     p->name);
    }
}

// Scales and a calibration, as finished models have them.
static void add_options(sac_model *model) {
    sac_error error = {0};
    sac_assert_ok(sac_quant_create(&model->quant), NULL);
    static const char *const cut[] = {"frames", "stem0.frame", "stem1.frame", "stem2.frame"};
    for (int i = 0; i < 4; i++)
        sac_assert_ok(sac_quant_set(model->quant, cut[i], 0.1, &error), &error);
    sac_assert_ok(sac_quant_set(model->quant, "fuse.relu", 1.0 / 3.0, &error), &error);
    model->calibration = json_pack("{s:[f, f], s:s}", "knots", 0.1, 0.7, "kind", "any");
}

Test(student_model, round_trip_keeps_every_bit) {
    sac_model *model = make_model(50, 34, 7), *loaded = NULL;
    add_options(model);
    model->preprocess.mean = 0.1; // not exact in decimal
    sac_free(model->arch);
    model->arch = sac_strdup("tiny-m-variant"); // the description runs, not the name
    json_object_set_new(model->provenance, "command", json_string("distill \"a b\" \xC3\xA4"));
    json_object_set_new(model->provenance, "auc", json_real(0.1 + 0.2));
    sac_error error = {0};
    const char *path = sac_test_path("m.safetensors");
    sac_assert_ok(sac_model_save(model, path, &error), &error);
    cr_assert_eq(sac_test_folder_count(), 1);
    sac_assert_ok(sac_model_load(&loaded, path, &error), &error);
    assert_equal(model, loaded);
    // Saving what was loaded gives the same bytes.
    const char *again = sac_test_path("again.safetensors");
    sac_assert_ok(sac_model_save(loaded, again, &error), &error);
    uint8_t *a = NULL, *b = NULL;
    size_t size_a = 0, size_b = 0;
    sac_assert_ok(sac_file_read(&a, &size_a, path, SIZE_MAX, &error), &error);
    sac_assert_ok(sac_file_read(&b, &size_b, again, SIZE_MAX, &error), &error);
    cr_assert(size_a == size_b && memcmp(a, b, size_a) == 0);
    sac_free(a);
    sac_free(b);
    sac_model_close(&model);
    sac_model_close(&loaded);
}

// ---- altered files ------------------------------------------------------------------------------

// A small valid model as a container that a test then spoils.

static sac_safetensors *valid_container(void) {
    sac_model *model = make_model(16, 16, 3);
    sac_error error = {0};
    const char *path = sac_test_path("valid.safetensors");
    sac_assert_ok(sac_model_save(model, path, &error), &error);
    sac_safetensors *st = NULL;
    sac_assert_ok(sac_safetensors_read(&st, path, &error), &error);
    sac_model_close(&model);
    return st;
}

static sac_status reload(sac_safetensors *st, sac_error *error) {
    sac_error own = {0};
    const char *path = sac_test_path("altered.safetensors");
    sac_assert_ok(sac_safetensors_write(st, path, &own), &own);
    sac_model *model = NULL;
    *error = (sac_error){0};
    sac_status status = sac_model_load(&model, path, error);
    cr_assert((status == SAC_OK) == (model != NULL));
    sac_model_close(&model);
    return status;
}

// Copies the container without one tensor (`without` may be NULL).
static sac_safetensors *copy_container(const sac_safetensors *st, const char *without) {
    static const char *const keys[] = {"format",  "format_version", "arch",
                                       "network", "preprocess",     "provenance"};
    sac_safetensors *copy = NULL;
    sac_error error = {0};
    sac_assert_ok(sac_safetensors_create(&copy), NULL);
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        const char *text = sac_safetensors_metadata(st, keys[i]);
        if (text == NULL || (without != NULL && strcmp(keys[i], without) == 0)) continue;
        sac_assert_ok(sac_safetensors_set_metadata(copy, keys[i], text, &error), &error);
    }
    for (int64_t i = 0; i < sac_safetensors_count(st); i++) {
        const sac_named_tensor *t = sac_safetensors_at(st, i);
        if (without != NULL && strcmp(t->name, without) == 0) continue;
        sac_assert_ok(
            sac_safetensors_add(copy, t->name, t->dtype, t->ndims, t->dims, t->data, &error),
            &error);
    }
    return copy;
}

Test(student_model, missing_metadata_or_tensor_is_named) {
    static const char *const names[] = {
        "format",           "format_version",   "arch",
        "network",          "preprocess",       "provenance",
        "down.conv.weight", "head4.logit.bias", "body2b.norm.running_var"};
    sac_safetensors *st = valid_container();
    sac_error error = {0};
    sac_assert_ok(reload(st, &error), &error);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        sac_safetensors *copy = copy_container(st, names[i]);
        sac_assert_error(reload(copy, &error), SAC_ERROR_FORMAT, &error, "altered.safetensors",
                         names[i], NULL);
        sac_safetensors_close(&copy);
    }
    sac_safetensors_close(&st);
}

// What an older program cannot run says so by its format; all that it can keeps the older one.
Test(student_model, a_student_in_colour_is_of_format_two) {
    static const char *const archs[] = {"tiny-s", "tiny-m*0.5", "tiny-l", "paper"};
    for (int i = 0; i < 8; i++) {
        sac_preprocess p = sac_preprocess_default();
        sac_model *model = NULL, *read = NULL;
        sac_error error = {0};
        const char *path = sac_test_path("colour.safetensors");
        p.width = 64;
        p.height = 48;
        p.channels = i % 2 == 0 ? 1 : 3;
        sac_assert_ok(sac_model_create(&model, archs[i / 2], &p, &error), &error);
        cr_assert_eq(sac_model_format(model), i % 2 == 0 ? 1 : 2);
        sac_assert_ok(sac_model_save(model, path, &error), &error);
        sac_assert_ok(sac_model_load(&read, path, &error), &error);
        cr_assert_eq(read->preprocess.channels, p.channels);
        const sac_shape input = sac_net_node(read->net, sac_net_find(read->net, "frames"))->shape;
        cr_assert(input.dims[0] == 3 * p.channels && input.dims[1] == 48 && input.dims[2] == 64);
        // Its input is not that of the other kind.
        read->preprocess.channels = 4 - p.channels;
        sac_assert_ok(sac_model_save(read, path, &error), &error);
        sac_model_close(&read);
        sac_assert_error(sac_model_load(&read, path, &error), SAC_ERROR_FORMAT, &error, "frames",
                         "contradicts", NULL);
        cr_assert_null(read);
        sac_model_close(&model);
    }
}

Test(student_model, versions) {
    sac_safetensors *st = valid_container();
    sac_error error = {0};
    static const char *const bad[] = {"0", "", "1.0", "-1", "x", "01", "99999999999999999999",
                                      " 1"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        sac_assert_ok(sac_safetensors_set_metadata(st, "format_version", bad[i], &error), &error);
        sac_assert_error(reload(st, &error), SAC_ERROR_FORMAT, &error, "version", NULL);
    }
    sac_assert_ok(sac_safetensors_set_metadata(st, "format_version", "3", NULL), NULL);
    sac_assert_error(reload(st, &error), SAC_ERROR_UNSUPPORTED, &error, "version 3", "newer", NULL);
    sac_assert_ok(sac_safetensors_set_metadata(st, "format_version", "1", NULL), NULL);
    sac_assert_ok(sac_safetensors_set_metadata(st, "format", "pytorch", NULL), NULL);
    sac_assert_error(reload(st, &error), SAC_ERROR_FORMAT, &error, "pytorch", "saccade-student",
                     NULL);
    sac_safetensors_close(&st);
}

Test(student_model, contradictions) {
    sac_safetensors *st = valid_container();
    sac_error error = {0};
    char *kept = sac_strdup(sac_safetensors_metadata(st, "preprocess"));
    // Preprocessing for another size than the network takes.
    sac_preprocess p = sac_preprocess_default();
    p.width = 32;
    p.height = 16;
    json_t *json = sac_preprocess_to_json(&p);
    char *text = json_dumps(json, 0);
    sac_assert_ok(sac_safetensors_set_metadata(st, "preprocess", text, NULL), NULL);
    sac_assert_error(reload(st, &error), SAC_ERROR_FORMAT, &error, "frames", "[3][16][32]", NULL);
    free(text);
    json_decref(json);
    static const char *const broken[] = {"{", "[]", "3", "{\"width\": 16}"};
    for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++) {
        sac_assert_ok(sac_safetensors_set_metadata(st, "preprocess", broken[i], NULL), NULL);
        sac_assert_error(reload(st, &error), SAC_ERROR_FORMAT, &error, "preprocess", NULL);
    }
    sac_assert_ok(sac_safetensors_set_metadata(st, "preprocess", kept, NULL), NULL);
    sac_assert_ok(sac_safetensors_set_metadata(st, "arch", "", NULL), NULL);
    sac_assert_error(reload(st, &error), SAC_ERROR_FORMAT, &error, "arch", NULL);
    sac_assert_ok(sac_safetensors_set_metadata(st, "arch", "tiny-m", NULL), NULL);
    sac_assert_ok(sac_safetensors_set_metadata(st, "provenance", "[1]", NULL), NULL);
    sac_assert_error(reload(st, &error), SAC_ERROR_FORMAT, &error, "provenance", NULL);
    sac_assert_ok(sac_safetensors_set_metadata(st, "provenance", "{}", NULL), NULL);
    sac_assert_ok(reload(st, &error), &error);
    // Parts that may be missing must be right where they are there.
    static const char *const quants[] = {"{",
                                         "[]",
                                         "{}",
                                         "{\"version\": 1, \"activations\": {\"frames\": -1}}",
                                         "{\"version\": 1, \"activations\": {\"foreign\": 0.1}}",
                                         "{\"version\": 1, \"activations\": {\"frames\": 0.1}}"};
    for (size_t i = 0; i < sizeof quants / sizeof quants[0]; i++) {
        sac_safetensors *copy = copy_container(st, NULL);
        sac_assert_ok(sac_safetensors_set_metadata(copy, "quantisation", quants[i], NULL), NULL);
        sac_assert_error(reload(copy, &error), SAC_ERROR_FORMAT, &error, "quantisation", NULL);
        sac_safetensors_close(&copy);
    }
    static const char *const calibrations[] = {"", "{", "[1]"};
    for (size_t i = 0; i < sizeof calibrations / sizeof calibrations[0]; i++) {
        sac_safetensors *copy = copy_container(st, NULL);
        sac_assert_ok(sac_safetensors_set_metadata(copy, "calibration", calibrations[i], NULL),
                      NULL);
        sac_assert_error(reload(copy, &error), SAC_ERROR_FORMAT, &error, "calibration", NULL);
        sac_safetensors_close(&copy);
    }
    // A tensor nobody uses.
    const float one = 1.0f;
    sac_assert_ok(
        sac_safetensors_add(st, "left.over", SAC_DTYPE_F32, 1, (const int64_t[]){1}, &one, NULL),
        NULL);
    sac_assert_error(reload(st, &error), SAC_ERROR_FORMAT, &error, "left.over", NULL);
    sac_free(kept);
    sac_safetensors_close(&st);
}

Test(student_model, non_finite_weights_are_named) {
    static const float bad[] = {NAN, INFINITY, -INFINITY};
    for (int i = 0; i < 3; i++) {
        sac_safetensors *st = valid_container();
        sac_error error = {0};
        float *weights = sac_safetensors_find(st, "body2a.conv.weight")->data;
        weights[100] = bad[i];
        sac_assert_error(reload(st, &error), SAC_ERROR_NUMERIC, &error, "altered.safetensors",
                         "body2a.conv.weight", NULL);
        sac_safetensors_close(&st);
    }
    sac_model *model = make_model(16, 16, 1);
    sac_params_find(model->params, "stem0.norm.bias")->data[0] = NAN;
    sac_error error = {0};
    const char *path = sac_test_path("nan.safetensors");
    sac_assert_error(sac_model_save(model, path, &error), SAC_ERROR_NUMERIC, &error,
                     "stem0.norm.bias", NULL);
    cr_assert(!sac_is_file(path));
    sac_model_close(&model);
}

// Replaces the network by `net` and drops all tensors but those of that network.
static sac_safetensors *container_of(const sac_net *net) {
    sac_safetensors *st = NULL;
    sac_params *params = NULL;
    sac_error error = {0};
    sac_preprocess p = sac_preprocess_default();
    p.width = p.height = 16;
    sac_assert_ok(sac_safetensors_create(&st), NULL);
    json_t *network = sac_net_to_json(net), *preprocess = sac_preprocess_to_json(&p);
    char *a = json_dumps(network, 0), *b = json_dumps(preprocess, 0);
    const char *pairs[][2] = {{"format", "saccade-student"},
                              {"format_version", "1"},
                              {"arch", "odd"},
                              {"network", a},
                              {"preprocess", b},
                              {"provenance", "{}"}};
    for (int i = 0; i < 6; i++)
        sac_assert_ok(sac_safetensors_set_metadata(st, pairs[i][0], pairs[i][1], &error), &error);
    sac_assert_ok(sac_params_create(&params, net, &error), &error);
    sac_assert_ok(sac_params_store(params, st, NULL, &error), &error);
    sac_params_close(&params);
    json_decref(network);
    json_decref(preprocess);
    free(a);
    free(b);
    return st;
}

Test(student_model, foreign_networks_with_the_right_interface_load) {
    sac_net *net = make_small_net();
    sac_error error = {0};
    sac_safetensors *st = container_of(net);
    sac_assert_ok(reload(st, &error), &error);
    sac_safetensors_close(&st);
    sac_net_close(&net);
}

Test(student_model, wrong_interfaces_are_refused) {
    static const char *const expected[] = {"map4",    "sigmoid", "[1][16][16]", "inputs",
                                           "outputs", "outputs", "frames"};
    for (int variant = 0; variant < 7; variant++) {
        sac_net *net = NULL;
        sac_assert_ok(sac_net_create(&net), NULL);
        int x = sac_net_input(net, variant == 6 ? "pictures" : "frames", 3,
                              (const int64_t[]){3, 16, 16});
        int y = sac_net_conv2d(net, "c", x, 1, 1, 1, 0, 1, true);
        if (variant == 3) {
            int z = sac_net_input(net, "more", 3, (const int64_t[]){1, 16, 16});
            y = sac_net_add(net, "sum", y, z);
        }
        int64_t fine = variant == 2 ? 15 : 16;
        int a = sac_net_adaptive_pool(net, SAC_OP_ADAPTIVE_MAX_POOL, "pa", y, 1, fine, fine);
        int b = sac_net_adaptive_pool(net, SAC_OP_ADAPTIVE_MAX_POOL, "pb", y, 1, 4, 4);
        int c = sac_net_adaptive_pool(net, SAC_OP_ADAPTIVE_MAX_POOL, variant == 1 ? "map1" : "pc",
                                      y, 1, 1, 1);
        static const char *const middle[7] = {"map5", "map4", "map4", "map4", "m4", "map4", "map4"};
        sac_net_output(net, sac_net_unary(net, SAC_OP_SIGMOID, variant == 4 ? "m16" : "map16", a));
        sac_net_output(net, sac_net_unary(net, SAC_OP_SIGMOID, middle[variant], b));
        if (variant == 1) sac_net_output(net, c);
        if (variant != 1 && variant != 4)
            sac_net_output(net, sac_net_unary(net, SAC_OP_SIGMOID, "map1", c));
        if (variant == 5) sac_net_output(net, y);
        sac_error error = {0};
        sac_assert_ok(sac_net_check(net, &error), &error);
        sac_safetensors *st = container_of(net);
        sac_assert_error(reload(st, &error), SAC_ERROR_FORMAT, &error, "altered.safetensors",
                         expected[variant], NULL);
        sac_safetensors_close(&st);
        sac_net_close(&net);
    }
}

Test(student_model, a_network_of_absurd_size_is_refused_before_memory_is_taken) {
    // Small file, huge promise: the weights of the description would need 100 GB.
    sac_net *net = NULL;
    sac_assert_ok(sac_net_create(&net), NULL);
    int x = sac_net_input(net, "frames", 3, (const int64_t[]){3, 16, 16});
    x = sac_net_conv2d(net, "wide", x, 60000, 3, 2, 1, 1, true);
    x = sac_net_conv2d(net, "wider", x, 60000, 3, 2, 1, 1, true);
    x = sac_net_conv2d(net, "logit", x, 1, 1, 1, 0, 1, true);
    static const char *const names[3] = {"map16", "map4", "map1"}, *const pools[3] = {"pa", "pb",
                                                                                      "pc"};
    for (int i = 0; i < 3; i++) {
        int64_t side = i == 0 ? 16 : i == 1 ? 4 : 1;
        int y = sac_net_adaptive_pool(net, SAC_OP_ADAPTIVE_MAX_POOL, pools[i], x, 1, side, side);
        sac_net_output(net, sac_net_unary(net, SAC_OP_SIGMOID, names[i], y));
    }
    json_t *network = sac_net_to_json(net);
    cr_assert_not_null(network);
    char *text = json_dumps(network, 0);
    sac_safetensors *st = valid_container();
    sac_error error = {0};
    sac_assert_ok(sac_safetensors_set_metadata(st, "network", text, &error), &error);
    sac_assert_error(reload(st, &error), SAC_ERROR_FORMAT, &error, "wide", "far more parameters",
                     NULL);
    free(text);
    json_decref(network);
    sac_safetensors_close(&st);
    sac_net_close(&net);
}

Test(student_model, truncated_and_foreign_files) {
    sac_safetensors *st = valid_container();
    sac_safetensors_close(&st);
    uint8_t *bytes = NULL;
    size_t size = 0;
    sac_error error = {0};
    sac_assert_ok(
        sac_file_read(&bytes, &size, sac_test_path("valid.safetensors"), SIZE_MAX, &error), &error);
    sac_model *model = NULL;
    for (size_t cut = 0; cut < size; cut += cut < 64 ? 1 : size / 97) {
        error = (sac_error){0};
        // An exact copy, so that the sanitizer sees a read behind its end.
        uint8_t *copy = malloc(cut > 0 ? cut : 1);
        memcpy(copy, bytes, cut);
        sac_assert_error(sac_model_parse(&model, copy, cut, "cut.bin", &error), SAC_ERROR_FORMAT,
                         &error, "cut.bin", NULL);
        cr_assert_null(model);
        free(copy);
    }
    sac_free(bytes);
    error = (sac_error){0};
    sac_assert_error(
        sac_model_load(&model,
                       sac_test_write_text("text.safetensors", "I am a letter, not a model.\n"),
                       &error),
        SAC_ERROR_FORMAT, &error, "text.safetensors", NULL);
    error = (sac_error){0};
    sac_assert_error(sac_model_load(&model, sac_test_path("absent"), &error), SAC_ERROR_IO, &error,
                     "absent", NULL);
    error = (sac_error){0};
    sac_assert_error(sac_model_load(&model, sac_test_folder(), &error), SAC_ERROR_IO, &error,
                     "folder", NULL);
    cr_assert_null(model);
}

Test(student_model, lack_of_memory_is_reported_everywhere) {
    sac_model *model = make_model(16, 16, 1);
    add_options(model);
    const char *path = sac_test_path("memory.safetensors");
    sac_error error = {0};
    sac_assert_ok(sac_model_save(model, path, &error), &error);
    sac_model_close(&model);
    // Dense at the beginning, then in growing steps: there are hundreds of allocations.
    for (int64_t fail = 0;; fail += 1 + fail / 16) {
        error = (sac_error){0};
        sac_memory_fail_after(fail);
        sac_status status = sac_model_load(&model, path, &error);
        sac_memory_fail_after(-1);
        if (status == SAC_OK) {
            cr_assert(fail > 10);
            break;
        }
        sac_assert_error(status, SAC_ERROR_MEMORY, &error, NULL);
        cr_assert_null(model);
    }
    const char *again = sac_test_path("memory-again.safetensors");
    for (int64_t fail = 0;; fail += 1 + fail / 16) {
        error = (sac_error){0};
        sac_memory_fail_after(fail);
        sac_status status = sac_model_save(model, again, &error);
        sac_memory_fail_after(-1);
        if (status == SAC_OK) break;
        sac_assert_error(status, SAC_ERROR_MEMORY, &error, NULL);
        cr_assert(!sac_is_file(again));
    }
    cr_assert(sac_is_file(again));
    sac_model_close(&model);
}

Test(student_model, unwritable_places) {
    sac_model *model = make_model(16, 16, 1);
    sac_error error = {0};
    sac_assert_error(sac_model_save(model, "/nonexistent-folder/m.safetensors", &error),
                     SAC_ERROR_IO, &error, "/nonexistent-folder", NULL);
    error = (sac_error){0};
    if (sac_is_file("/dev/full") || !sac_is_folder("/dev/full")) {
        sac_assert_error(sac_model_save(model, "/dev/full", &error), SAC_ERROR_IO, &error,
                         "/dev/full", NULL);
    }
    sac_model_close(&model);
}
