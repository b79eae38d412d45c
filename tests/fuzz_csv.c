// Any bytes as a table.
#include <string.h>

#include "core/csv.h"
#include "fuzz.h"

size_t sac_fuzz_seed(int index, uint8_t *out, size_t capacity) {
    static const char *const samples[] = {
        "clip,frame,x1,y1,x2,y2,confidence\nTest001,1,104.8,140.7,122.4,172.8,0.982\nTest001,2,-1,"
        "1e3,.5,+4,1\n",
        "\xEF\xBB\xBF"
        "video,start,end\r\na.mp4,1,20\r\n\r\n",
        "a\n1\n2",
        " a , b \n , \n",
    };
    if (index >= (int)(sizeof samples / sizeof *samples) || strlen(samples[index]) > capacity)
        return 0;
    memcpy(out, samples[index], strlen(samples[index]));
    return strlen(samples[index]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    sac_csv *csv = NULL;
    sac_error error = {0};
    if (sac_csv_parse(&csv, data, size, "fuzz.csv", &error) < 0) {
        if (error.message[0] == '\0' || csv != NULL) __builtin_trap();
        return 0;
    }
    (void)sac_csv_column(csv, "frame");
    for (int64_t row = -1; row <= sac_csv_rows(csv); row++) {
        for (int column = -1; column < 8; column++) {
            double number;
            int64_t integer;
            error = (sac_error){0};
            if (sac_csv_number(csv, row, column, -1e9, 1e9, &number, &error) < 0 &&
                error.message[0] == '\0')
                __builtin_trap();
            error = (sac_error){0};
            if (sac_csv_integer(csv, row, column, 0, 1000, &integer, &error) < 0 &&
                error.message[0] == '\0')
                __builtin_trap();
        }
    }
    sac_csv_close(&csv);
    return 0;
}
