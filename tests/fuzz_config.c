// Any bytes as a JSON config of an option table, and as words of a command line.
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/file.h"
#include "core/json.h"
#include "core/memory.h"
#include "core/options.h"
#include "fuzz.h"

typedef struct settings {
    bool flag;
    int64_t number;
    double real, time;
    const char *text;
    int choice;
    sac_text_list list;
} settings;

static const sac_option table[] = {
    {.name = "flag", .letter = 'f', .type = SAC_OPTION_BOOL, .offset = offsetof(settings, flag)},
    {.name = "number",
     .letter = 'n',
     .type = SAC_OPTION_INT,
     .offset = offsetof(settings, number),
     .min = -5,
     .max = 1e6},
    {.name = "real", .type = SAC_OPTION_REAL, .offset = offsetof(settings, real)},
    {.name = "time", .type = SAC_OPTION_DURATION, .offset = offsetof(settings, time), .max = 1e9},
    {.name = "text", .letter = 't', .type = SAC_OPTION_TEXT, .offset = offsetof(settings, text)},
    {.name = "choice",
     .type = SAC_OPTION_CHOICE,
     .offset = offsetof(settings, choice),
     .choices = "one|two|three"},
    {.name = "list", .letter = 'l', .type = SAC_OPTION_LIST, .offset = offsetof(settings, list)},
    {.name = NULL},
};

static const sac_command command = {
    .name = "fuzz", .usage = "", .options = table, .max_positional = -1};

size_t sac_fuzz_seed(int index, uint8_t *out, size_t capacity) {
    static const char *const samples[] = {
        "{\"flag\": true, \"number\": 5, \"real\": 1e-3, \"text\": \"x\"}",
        "{\"choice\": \"two\", \"list\": [\"a\", \"b\"]}",
        "{\"list\": \"a\", \"text\": null, \"real\": 7}",
        "--flag --no-flag --number=7 --real .5 -tabc --choice three -l a -l b -fn3 -- -x y",
        "--nu 7 --te=x --c one --ti=90s --print-config",
        "{\"time\": \"2h\"}",
    };
    if (index >= (int)(sizeof samples / sizeof *samples) || strlen(samples[index]) > capacity)
        return 0;
    memcpy(out, samples[index], strlen(samples[index]));
    return strlen(samples[index]);
}

static void check(const sac_options_result *result, sac_status status, const settings *s,
                  const sac_error *error) {
    if (status < 0) {
        if (error->message[0] == '\0' || result->arena != NULL) __builtin_trap();
        return;
    }
    if (!result->help && !result->version &&
        (s->number < -5 || s->number > 1000000 || s->choice < 0 || s->choice > 2))
        __builtin_trap();
    json_t *json = sac_options_to_json(&command, s);
    if (json == NULL) __builtin_trap();
    json_decref(json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static char path[64];
    if (path[0] == '\0')
        snprintf(path, sizeof path, "/dev/shm/saccade-fuzz-%ld.json", (long)getpid());
    settings s;
    sac_options_result result;
    sac_error error = {0};
    FILE *file = fopen(path, "wb");
    if (file == NULL) {
        snprintf(path, sizeof path, "/tmp/saccade-fuzz-%ld.json", (long)getpid());
        file = fopen(path, "wb");
        if (file == NULL) return 0;
    }
    fwrite(data, 1, size, file);
    fclose(file);
    char *config[] = {(char *)"fuzz", (char *)"--config", path, NULL};
    sac_status status = sac_options_parse(&command, &s, 3, config, &result, &error);
    check(&result, status, &s, &error);
    sac_options_close(&result);
    unlink(path);

    enum { MAX_WORDS = 64 };
    char *line = malloc(size + 1), *words[MAX_WORDS + 1] = {(char *)"fuzz"};
    if (line == NULL) return 0;
    memcpy(line, data, size);
    line[size] = '\0';
    int count = 1;
    char *rest = NULL;
    for (char *word = strtok_r(line, " \n", &rest); word != NULL && count < MAX_WORDS;
         word = strtok_r(NULL, " \n", &rest)) {
        // Opening files that the fuzzer names is not what is tested here.
        if (strncmp(word, "--c", 3) == 0 && strncmp(word, "--ch", 4) != 0) continue;
        words[count++] = word;
    }
    error = (sac_error){0};
    status = sac_options_parse(&command, &s, count, words, &result, &error);
    check(&result, status, &s, &error);
    sac_options_close(&result);
    free(line);
    return 0;
}
