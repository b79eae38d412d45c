// The table of scales; see student/heads.h.
#include "student/heads.h"

#include <stdio.h>
#include <string.h>

#include "core/number.h"

const sac_head sac_heads[SAC_HEADS] = {{"map16", 16, 256}, {"map4", 4, 16}, {"map1", 1, 1}};

unsigned sac_heads_of(const sac_net *net) {
    unsigned heads = 0;
    for (int k = 0; k < SAC_HEADS; k++) {
        const int node = sac_net_find(net, sac_heads[k].output);
        if (node >= 0 && sac_net_is_output(net, node)) heads |= 1u << k;
    }
    return heads;
}

void sac_heads_text(char *text, size_t size, unsigned heads) {
    size_t used = 0;
    text[0] = '\0';
    for (int k = 0; k < SAC_HEADS && used < size; k++) {
        if ((heads >> k & 1) == 0) continue;
        used += (size_t)snprintf(text + used, size - used, "%s%d", used > 0 ? "," : "",
                                 sac_heads[k].side);
    }
}

bool sac_heads_parse(unsigned *heads, const char *text) {
    *heads = 0;
    for (const char *at = text;; at++) {
        char item[8];
        const size_t length = strcspn(at, ",");
        int64_t side = 0;
        unsigned bit = 0;
        (void)snprintf(item, sizeof item, "%.*s", (int)(length < 7 ? length : 7), at);
        if (!sac_number_integer(item, &side)) return false;
        for (int k = 0; k < SAC_HEADS; k++) bit |= side == sac_heads[k].side ? 1u << k : 0;
        if (bit == 0 || (*heads & bit) != 0) return false;
        *heads |= bit;
        at += length;
        if (*at == '\0') return true;
    }
}

float sac_heads_score(const float *const maps[SAC_HEADS]) {
    float sum = 0.0f;
    int count = 0;
    for (int k = SAC_HEADS - 1; k >= 0; k--) {
        if (maps[k] == NULL) continue;
        float most = maps[k][0];
        for (int i = 1; i < sac_heads[k].cells; i++) most = maps[k][i] > most ? maps[k][i] : most;
        sum += most;
        count++;
    }
    return sum / (float)count;
}
