// Describes the machine a timing was made on and measures its memory rate.
// The matrix-multiplication rate is nn/roofline's business.
#include "bench/machine.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "bench/stats.h"
#include "core/check.h"
#include "core/json.h"
#include "core/memory.h"
#include "core/time.h"
#include "nn/infer.h"
#include "saccade/version.h"
#include "video/flow.h"
#include "video/synth.h"

static void set_text(char *dst, size_t size, const char *text) {
    snprintf(dst, size, "%s", text != NULL && text[0] != '\0' ? text : "unknown");
}

// Value of a "key : value" line, in place; NULL when the line has another key.
static char *field(char *line, const char *key) {
    const size_t length = strlen(key);
    if (strncmp(line, key, length) != 0) return NULL;
    char *value = line + length;
    value += strspn(value, " \t");
    if (*value++ != ':') return NULL;
    value += strspn(value, " \t");
    value[strcspn(value, "\n")] = '\0';
    return value;
}

static void keep_known_flags(char *dst, size_t size, char *flags) {
    static const char *const known[] = {
        "avx",      "avx2",        "fma",   "avx512f", "avx512_vnni", "avx_vnni", "amx_int8",
        "amx_bf16", "avx512_bf16", "asimd", "asimddp", "sve",         "i8mm",     "bf16"};
    size_t used = 0;
    char *rest = NULL;
    dst[0] = '\0';
    for (char *flag = strtok_r(flags, " ", &rest); flag != NULL; flag = strtok_r(NULL, " ", &rest))
        for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
            const size_t length = strlen(flag);
            if (strcmp(flag, known[i]) != 0 || used + length + 2 > size) continue;
            if (used > 0) dst[used++] = ' ';
            memcpy(dst + used, flag, length + 1);
            used += length;
        }
}

static void read_cpu(sac_machine *machine) {
    FILE *file = fopen("/proc/cpuinfo", "r");
    char *line = NULL;
    size_t size = 0;
    if (file == NULL) return;
    // The first processor speaks for all.
    while (getline(&line, &size, file) > 0 && line[0] != '\n') {
        char *value = field(line, "model name");
        if (value != NULL) set_text(machine->cpu, sizeof machine->cpu, value);
        if ((value = field(line, "flags")) != NULL || (value = field(line, "Features")) != NULL)
            keep_known_flags(machine->instructions, sizeof machine->instructions, value);
    }
    free(line);
    fclose(file);
}

double sac_machine_load(void) {
    double load;
    return getloadavg(&load, 1) == 1 ? load : NAN;
}

void sac_machine_describe(sac_machine *machine) {
    struct utsname system;
    memset(machine, 0, sizeof *machine);
    if (uname(&system) == 0) {
        set_text(machine->cpu, sizeof machine->cpu, system.machine);
        snprintf(machine->system, sizeof machine->system, "%.40s %.60s %.20s", system.sysname,
                 system.release, system.machine);
    } else {
        set_text(machine->cpu, sizeof machine->cpu, NULL);
        set_text(machine->system, sizeof machine->system, NULL);
    }
    read_cpu(machine);
    machine->cores = sac_core_count();
    set_text(machine->backend, sizeof machine->backend, sac_nn_backend_version());
    set_text(machine->isa, sizeof machine->isa, sac_nn_isa());
#ifdef __clang__
    set_text(machine->compiler, sizeof machine->compiler, __VERSION__);
#else
    snprintf(machine->compiler, sizeof machine->compiler, "gcc %s", __VERSION__);
#endif
    machine->load_before = sac_machine_load();
    machine->load_after = NAN;
}

char *sac_machine_text(const sac_machine *m) {
    const char *commit = sac_commit();
    char load[80] = "";
    if (isfinite(m->load_before)) snprintf(load, sizeof load, ", load %.2f before", m->load_before);
    if (isfinite(m->load_before) && isfinite(m->load_after))
        snprintf(load, sizeof load, ", load %.2f before and %.2f after", m->load_before,
                 m->load_after);
    return sac_format("%s, %d core%s, %s, %s (%s), saccade %s%s%s%s", m->cpu, m->cores,
                      m->cores == 1 ? "" : "s", m->instructions, m->backend, m->isa, sac_version(),
                      commit[0] != '\0' ? " of " : "", commit, load);
}

json_t *sac_machine_json(const sac_machine *machine) {
    return json_pack("{s:s, s:s, s:i, s:s, s:s, s:s, s:s, s:o, s:o}", "cpu", machine->cpu,
                     "instructions", machine->instructions, "cores", machine->cores, "backend",
                     machine->backend, "isa", machine->isa, "compiler", machine->compiler, "system",
                     machine->system, "load_before", sac_json_number(machine->load_before),
                     "load_after", sac_json_number(machine->load_after));
}

sac_status sac_memory_rate(double *gigabytes_s, double seconds, sac_error *error) {
    enum { BYTES = 64 << 20, MOST = 4096 };
    if (!(seconds > 0.0 && seconds <= 600.0))
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "memory rate over %g s, expected more than 0 and at most 600",
                             seconds);
    uint8_t *a = sac_calloc(BYTES, 1), *b = sac_calloc(BYTES, 1);
    double *rates = sac_calloc(MOST, sizeof *rates);
    sac_status status = SAC_OK;
    if (a == NULL || b == NULL || rates == NULL) {
        status = sac_error_set(error, SAC_ERROR_MEMORY, -1, "no memory for two blocks of 64 MiB");
    } else {
        memset(a, 1, BYTES); // touch every page of both before the clock runs
        memcpy(b, a, BYTES);
        int64_t n = 0;
        const double end = sac_time_s() + seconds;
        do {
            const double start = sac_time_s();
            // Alternating direction and a compiler barrier keep every copy alive.
            memcpy(n % 2 == 0 ? a : b, n % 2 == 0 ? b : a, BYTES);
            __asm__ volatile("" : : "r"(a), "r"(b) : "memory");
            const double elapsed = sac_time_s() - start;
            if (elapsed > 0.0) rates[n++] = 2.0 * BYTES / elapsed / 1e9;
        } while (n < MOST && sac_time_s() < end);
        sac_stats_sort(rates, n);
        *gigabytes_s = sac_stats_quantile(rates, n, 0.5);
    }
    sac_free(a);
    sac_free(b);
    sac_free(rates);
    return status;
}

sac_status sac_flow_time(double *ms, int width, int height, double seconds, sac_error *error) {
    enum { MOST = 4096 };
    sac_status status = SAC_OK;
    sac_synth_scene *scene = NULL;
    sac_flow *flow = NULL;
    float *uv = NULL;
    uint8_t *frames = NULL;
    double *times = NULL;
    if (!(seconds > 0.0 && seconds <= 600.0))
        return sac_error_set(error, SAC_ERROR_ARGUMENT, -1,
                             "optical flow over %g s, expected more than 0 and at most 600",
                             seconds);
    sac_synth_options options = sac_synth_default_options();
    options.width = width;
    options.height = height;
    options.frames_per_clip = 2;
    SAC_TRY(sac_synth_scene_create(&scene, &options, 0, SAC_SYNTH_NONE));
    SAC_TRY(sac_flow_create(&flow, width, height, NULL, error));
    const int64_t picture = (int64_t)width * height;
    SAC_TRY_ALLOC(frames = sac_calloc(2 * picture, 1));
    SAC_TRY_ALLOC(uv = sac_calloc(2 * picture, sizeof *uv));
    SAC_TRY_ALLOC(times = sac_calloc(MOST, sizeof *times));
    for (int t = 0; t < 2; t++)
        SAC_TRY(sac_synth_scene_render(scene, t, frames + t * picture, NULL, NULL));
    SAC_TRY(sac_flow_run(flow, uv, frames, frames + picture)); // touches all memory
    int64_t n = 0;
    const double end = sac_time_s() + seconds;
    do {
        const double start = sac_time_s();
        SAC_TRY(sac_flow_run(flow, uv, frames, frames + picture));
        times[n++] = 1e3 * (sac_time_s() - start);
    } while (n < MOST && sac_time_s() < end);
    sac_stats_sort(times, n);
    *ms = sac_stats_quantile(times, n, 0.5);
fail:
    sac_synth_scene_close(&scene);
    sac_flow_close(&flow);
    sac_free(frames);
    sac_free(uv);
    sac_free(times);
    return status < 0
               ? sac_error_set(error, status, -1, "cannot time the flow of %dx%d frames (%s)",
                               width, height, sac_status_name(status))
               : SAC_OK;
}
