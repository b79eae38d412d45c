// student-bench machine: the limits that timings are compared with.
#include <stdio.h>
#include <stdlib.h>

#include "bench/machine.h"
#include "bench/speed.h"
#include "core/check.h"
#include "core/json.h"
#include "core/memory.h"
#include "nn/roofline.h"
#include "tools/bench_tool.h"

typedef struct machine_settings {
    sac_tool_settings tool;
    const char *threads;
    double seconds;
    bench_outputs outputs; // no plot
} machine_settings;

static const sac_option machine_options[] = {
    {.name = "threads",
     .letter = 't',
     .type = SAC_OPTION_TEXT,
     .offset = offsetof(machine_settings, threads),
     .text = "1,2",
     .argument = "N[,N]",
     .help = "thread counts to measure"},
    {.name = "seconds",
     .type = SAC_OPTION_REAL,
     .offset = offsetof(machine_settings, seconds),
     .number = 1,
     .min = 0.001,
     .max = 600,
     .argument = "S",
     .help = "length of one measurement"},
    BENCH_FILE_OPTIONS(machine_settings),
    BENCH_QUIET_OPTIONS(machine_settings),
    {.name = NULL},
};

static const sac_command machine_command = {
    .name = BENCH_NAME " machine",
    .usage = "[-t N[,N]] [options]",
    .description =
        "The machine's limits: f32 and int8 matrix multiplication rates and memory copy rate, the\n"
        "yardsticks for training and inference speed; and the time of a dense optical flow,\n"
        "which teachers compute once per frame.",
    .options = machine_options,
};

static sac_status machine(const machine_settings *settings, const sac_logger *logger,
                          sac_error *error) {
    sac_machine facts;
    int threads[SAC_SPEED_MAX_RUNS], count;
    double memory;
    char *text = NULL, *markdown = NULL, *csv = NULL;
    size_t size = 0;
    FILE *out = NULL;
    json_t *rates = json_array(), *flows = json_array(), *json = NULL;
    sac_figures figures = {0};
    sac_figure figure;
    char name[64];
    sac_status status;
    SAC_TRY(bench_outputs_check(&settings->outputs, error));
    SAC_TRY(bench_parse_threads(threads, &count, SAC_SPEED_MAX_RUNS, settings->threads, error));
    sac_machine_describe(&facts);
    bench_warn_load(&facts, logger);
    SAC_TRY_ALLOC(out = open_memstream(&text, &size));
    fputs("| limit | threads | rate |\n|---|---:|---:|\n", out);
    for (int i = 0; i < count; i++) {
        double gflops, gops;
        SAC_TRY(sac_matmul_rate(&gflops, threads[i], settings->seconds, error));
        SAC_TRY(sac_matmul_rate_int8(&gops, threads[i], settings->seconds, error));
        fprintf(out, "| f32 matmul | %d | %.1f GFLOP/s |\n", threads[i], gflops);
        fprintf(out, "| int8 matmul | %d | %.1f GOP/s |\n", threads[i], gops);
        SAC_TRY(json_array_append_new(rates, json_pack("{s:i, s:o, s:o}", "threads", threads[i],
                                                       "f32_gflops", sac_json_number(gflops),
                                                       "int8_gops", sac_json_number(gops))) < 0
                    ? SAC_ERROR_MEMORY
                    : SAC_OK);
        snprintf(name, sizeof name, "f32 matmul; %d thread%s", threads[i],
                 threads[i] == 1 ? "" : "s");
        figure = sac_figure_of_value(name, "GFLOP/s", false, gflops);
        SAC_TRY(sac_figures_add(&figures, &figure, error));
        snprintf(name, sizeof name, "int8 matmul; %d thread%s", threads[i],
                 threads[i] == 1 ? "" : "s");
        figure = sac_figure_of_value(name, "GOP/s", false, gops);
        SAC_TRY(sac_figures_add(&figures, &figure, error));
        if (sac_interrupted())
            SAC_TRY(sac_error_set(error, SAC_ERROR_INTERRUPTED, i, "interrupted"));
    }
    SAC_TRY(sac_memory_rate(&memory, settings->seconds, error));
    figure = sac_figure_of_value("memory copy; read and write", "GB/s", false, memory);
    SAC_TRY(sac_figures_add(&figures, &figure, error));
    fprintf(out, "| memory copy, read and write | 1 | %.1f GB/s |\n", memory);
    static const int sizes[][2] = {{240, 160}, {360, 240}, {640, 360}};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        const int width = sizes[i][0], height = sizes[i][1];
        double ms;
        SAC_TRY(sac_flow_time(&ms, width, height, settings->seconds, error));
        fprintf(out, "| optical flow %dx%d | 1 | %.2f ms/frame |\n", width, height, ms);
        SAC_TRY(json_array_append_new(flows, json_pack("{s:i, s:i, s:o}", "width", width, "height",
                                                       height, "ms", sac_json_number(ms))) < 0
                    ? SAC_ERROR_MEMORY
                    : SAC_OK);
        snprintf(name, sizeof name, "optical flow %dx%d", width, height);
        figure = sac_figure_of_value(name, "ms", true, ms);
        SAC_TRY(sac_figures_add(&figures, &figure, error));
        if (sac_interrupted())
            SAC_TRY(sac_error_set(error, SAC_ERROR_INTERRUPTED, (int64_t)i, "interrupted"));
    }
    facts.load_after = sac_machine_load();
    const bool complete = !ferror(out);
    const int closed = fclose(out);
    out = NULL;
    if (!complete || closed != 0) SAC_TRY(SAC_ERROR_MEMORY);
    json = json_pack("{s:O, s:o, s:O, s:o, s:o}", "matmul", rates, "memory_gigabytes_s",
                     sac_json_number(memory), "flow", flows, "machine", sac_machine_json(&facts),
                     "figures", sac_figures_to_json(&figures));
    if (!bench_sign(json, &machine_command, settings)) SAC_TRY(SAC_ERROR_MEMORY);
    markdown = bench_headed(&facts, text);
    csv = sac_figures_csv(&figures);
    SAC_TRY(bench_outputs_write(&settings->outputs, json, markdown, csv, error));
fail:
    if (status == SAC_ERROR_MEMORY) sac_error_set(error, status, -1, "out of memory");
    if (out != NULL) fclose(out);
    free(text);
    sac_free(markdown);
    sac_free(csv);
    sac_figures_close(&figures);
    json_decref(json);
    json_decref(rates);
    json_decref(flows);
    return status;
}

int bench_main_machine(int argc, char **argv) {
    machine_settings settings = {0};
    sac_options_result result;
    sac_error error = {0};
    const int code = sac_tool_start(&machine_command, &settings, argc, argv, &result);
    if (code >= 0) return code;
    sac_interrupt_install();
    const sac_logger logger = sac_tool_logger(machine_command.name, settings.tool.quiet);
    const sac_status status = machine(&settings, &logger, &error);
    sac_options_close(&result);
    return bench_finish(machine_command.name, status, &error, settings.tool.quiet);
}
