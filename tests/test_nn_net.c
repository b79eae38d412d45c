// Network descriptions: builders, shape errors that name the node, JSON both ways, hostile JSON.
#include <criterion/criterion.h>
#include <string.h>

#include "core/json.h"
#include "core/memory.h"
#include "nn/net.h"
#include "nn/params.h"

static sac_net *small_net(void) {
    sac_net *net = NULL;
    cr_assert_eq(sac_net_create(&net), SAC_OK);
    const int64_t dims[3] = {3, 16, 24};
    int x = sac_net_input(net, "frames", 3, dims);
    x = sac_net_conv2d(net, "stem", x, 8, 3, 2, 1, 1, true);
    x = sac_net_unary(net, SAC_OP_LEAKY_RELU, "act", sac_net_batch_norm(net, "bn", x));
    const int y =
        sac_net_conv2d(net, "again", sac_net_upsample(net, "up", x, 1, 2, 2), 8, 3, 2, 1, 1, true);
    x = sac_net_add(net, "add", x, y);
    sac_net_output(net, sac_net_dense(net, "out", sac_net_dropout(net, "drop", x, 0.25), 2, true));
    return net;
}

Test(nn_net, shapes_parameters_and_macs) {
    sac_net *net = small_net();
    sac_error error = {0};
    cr_assert_eq(sac_net_check(net, &error), SAC_OK, "%s", error.message);
    sac_shape shapes[16];
    cr_assert_eq(sac_net_shapes(net, 5, shapes, &error), SAC_OK);
    const int stem = sac_net_find(net, "stem");
    const int64_t expected[4] = {5, 8, 8, 12};
    cr_assert_eq(shapes[stem].ndims, 4);
    for (int i = 0; i < 4; i++) cr_assert_eq(shapes[stem].dims[i], expected[i]);
    cr_assert_eq(sac_net_macs(net, stem), 8 * 8 * 12 * 27);
    cr_assert_eq(sac_net_macs(net, sac_net_find(net, "out")), 2 * 8 * 8 * 12);
    sac_params *params = NULL;
    cr_assert_eq(sac_params_create(&params, net, &error), SAC_OK);
    cr_assert_eq(sac_params_elements(params, true), 8 * 27 + 8 + 16 + 8 * 72 + 8 + 2 * 768 + 2);
    cr_assert_eq(sac_params_elements(params, false) - sac_params_elements(params, true), 16);
    sac_params_close(&params);
    sac_net_close(&net);
}

Test(nn_net, json_round_trip_is_exact) {
    sac_net *net = small_net(), *again = NULL;
    sac_error error = {0};
    json_t *json = sac_net_to_json(net);
    cr_assert_eq(sac_net_from_json(&again, json, "test", &error), SAC_OK, "%s", error.message);
    json_t *second = sac_net_to_json(again);
    cr_assert(json_equal(json, second));
    json_decref(json);
    json_decref(second);
    sac_net_close(&again);
    sac_net_close(&net);
}

static void expect_error(sac_net *net, const char *part) {
    sac_error error = {0};
    cr_assert_lt(sac_net_check(net, &error), 0);
    cr_assert(strstr(error.message, part) != NULL, "'%s' lacks '%s'", error.message, part);
    sac_net_close(&net);
}

static sac_net *fresh(void) {
    sac_net *net = NULL;
    cr_assert_eq(sac_net_create(&net), SAC_OK);
    return net;
}

Test(nn_net, errors_name_the_node) {
    const int64_t dims[3] = {3, 8, 8}, other[3] = {3, 4, 4};
    sac_net *net = fresh();
    sac_net_output(net, sac_net_conv2d(net, "too-big", sac_net_input(net, "x", 3, dims), 4, 11, 1,
                                       0, 1, true));
    expect_error(net, "too-big");

    net = fresh();
    sac_net_output(net, sac_net_add(net, "unequal", sac_net_input(net, "x", 3, dims),
                                    sac_net_input(net, "y", 3, other)));
    expect_error(net, "unequal");

    net = fresh();
    (void)sac_net_input(net, "x", 3, dims);
    (void)sac_net_input(net, "x", 3, dims);
    expect_error(net, "two nodes are named 'x'");

    net = fresh();
    (void)sac_net_conv2d(net, "c", sac_net_input(net, "x", 3, dims), 0, 3, 1, 1, 1, true);
    expect_error(net, "channels");

    net = fresh();
    int x = sac_net_input(net, "x", 3, dims);
    const int a = sac_net_conv2d(net, "a", x, 4, 3, 1, 1, 1, true);
    x = sac_net_conv2d(net, "b", a, 4, 3, 1, 1, 1, true);
    sac_net_share(net, x, "a");
    sac_net_output(net, x);
    expect_error(net, "cannot share");

    net = fresh();
    (void)sac_net_input(net, "x", 3, dims);
    expect_error(net, "no output");
}

Test(nn_net, hostile_json_is_refused) {
    static const char *const bad[] = {
        "{}",
        "{\"nodes\": 3, \"outputs\": []}",
        "{\"nodes\": [], \"outputs\": []}",
        "{\"nodes\": [{\"op\": \"input\", \"name\": \"x\", \"shape\": []}], \"outputs\": [\"x\"]}",
        "{\"nodes\": [{\"op\": \"input\", \"name\": \"x\", \"shape\": [-1]}], \"outputs\": "
        "[\"x\"]}",
        "{\"nodes\": [{\"op\": \"input\", \"name\": \"x\", \"shape\": [9000000000]}], \"outputs\": "
        "[\"x\"]}",
        "{\"nodes\": [{\"op\": \"input\", \"name\": \"x\", \"shape\": [3, 65536, 65536, 65536]}], "
        "\"outputs\": [\"x\"]}",
        "{\"nodes\": [{\"op\": \"input\", \"name\": \"../x y\", \"shape\": [3]}], \"outputs\": []}",
        "{\"nodes\": [{\"op\": \"warp\", \"name\": \"x\", \"src\": []}], \"outputs\": [\"x\"]}",
        "{\"nodes\": [{\"op\": \"relu\", \"name\": \"x\", \"src\": [\"x\"]}], \"outputs\": "
        "[\"x\"]}",
        "{\"nodes\": [{\"op\": \"input\", \"name\": \"x\", \"shape\": [3]}, {\"op\": \"relu\", "
        "\"name\": \"r\", \"src\": [\"x\", \"x\"]}], \"outputs\": [\"r\"]}",
        "{\"nodes\": [{\"op\": \"input\", \"name\": \"x\", \"shape\": [3]}, {\"op\": \"dense\", "
        "\"name\": \"r\", \"src\": [\"x\"], \"channels\": 1e9, \"bias\": true}], \"outputs\": "
        "[\"r\"]}",
        "{\"nodes\": [{\"op\": \"input\", \"name\": \"x\", \"shape\": [3,4,4]}, {\"op\": \"conv\", "
        "\"name\": \"r\", \"src\": [\"x\"], \"channels\": 4, \"bias\": true, \"groups\": 0, "
        "\"kernel\": [1,3,3], \"stride\": [1,1,1], \"pad\": [0,1,1]}], \"outputs\": [\"r\"]}",
        "{\"nodes\": [{\"op\": \"input\", \"name\": \"x\", \"shape\": [3]}], \"outputs\": [\"y\"]}",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        json_t *json = json_loads(bad[i], 0, NULL);
        cr_assert_not_null(json, "case %zu", i);
        sac_net *net = NULL;
        sac_error error = {0};
        cr_assert_eq(sac_net_from_json(&net, json, "model.safetensors", &error), SAC_ERROR_FORMAT,
                     "case %zu: %s", i, error.message);
        cr_assert(strstr(error.message, "model.safetensors") != NULL, "case %zu: %s", i,
                  error.message);
        cr_assert_null(net);
        json_decref(json);
    }
}
