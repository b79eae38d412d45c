// See nn/u8_head.h.
#include "nn/u8_head.h"

#include <math.h>
#include <string.h>

#include "core/clones.h"
#include "nn/quant.h"

#if defined(__x86_64__)
#    include <immintrin.h>
#endif

#define HEADER 64 // mul and add, and a whole vector to keep the weights aligned

static int64_t padded(int64_t c) {
    return (c + 63) / 64 * 64;
}

void sac_u8_head_prepare(sac_u8_head *head, sac_u8_isa isa) {
    head->isa = isa >= SAC_U8_VNNI ? SAC_U8_VNNI : isa >= SAC_U8_AVX2 ? SAC_U8_AVX2 : isa;
}

size_t sac_u8_head_packed_bytes(const sac_u8_head *head) {
    return (size_t)(HEADER + padded(head->c));
}

size_t sac_u8_head_scratch_bytes(const sac_u8_head *head) {
    return (size_t)((head->h * head->w + head->oh * head->w) * (int64_t)sizeof(int32_t));
}

void sac_u8_head_pack(const sac_u8_head *head, void *packed, const float *weights,
                      const float *bias, double s_src) {
    float *factors = packed, scale = 0.0f;
    int8_t *w = (int8_t *)packed + HEADER;
    memset(packed, 0, sac_u8_head_packed_bytes(head));
    sac_quant_weights(NULL, &scale, weights, 1, head->c);
    factors[0] = (float)(s_src * (double)scale);
    factors[1] = bias != NULL ? bias[0] : 0.0f;
    for (int64_t c = 0; c < head->c; c++) w[c] = sac_quant_step(weights[c], scale);
}

SAC_CLONES_INTEGER static void sums_plain(int32_t *restrict acc, const uint8_t *restrict src,
                                          const int8_t *restrict w, int64_t places, int64_t c) {
    for (int64_t i = 0; i < places; i++) {
        int32_t sum = 0;
        for (int64_t k = 0; k < c; k++) sum += src[i * c + k] * w[k];
        acc[i] = sum;
    }
}

#if defined(__x86_64__)
#    define AVX2   __attribute__((target("avx2,fma")))
#    define TARGET __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")))

// Products of 16 channels, in eight sums.
AVX2 static inline __m256i products_16(const uint8_t *src, __m256i w) {
    const __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)src);
    return _mm256_madd_epi16(_mm256_cvtepu8_epi16(bytes), w);
}

AVX2 static inline __m256i widened(const int8_t *w) {
    return _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(const void *)w));
}

// The sum of each of four vectors. AVX512 does not imply fma: without it this is inlined there too.
__attribute__((target("avx2"))) static inline __m128i sums_of_4(const __m256i *s) {
    const __m256i sum =
        _mm256_hadd_epi32(_mm256_hadd_epi32(s[0], s[1]), _mm256_hadd_epi32(s[2], s[3]));
    return _mm_add_epi32(_mm256_castsi256_si128(sum), _mm256_extracti128_si256(sum, 1));
}

// Four places at a time.
AVX2 static void sums_avx2(int32_t *acc, const uint8_t *src, const int8_t *w, int64_t places,
                           int64_t c) {
    const int64_t whole = c / 16 * 16;
    int64_t i = 0;
    for (; i + 4 <= places; i += 4, src += 4 * c) {
        __m256i s[4] = {_mm256_setzero_si256(), _mm256_setzero_si256(), _mm256_setzero_si256(),
                        _mm256_setzero_si256()};
        for (int64_t k = 0; k < whole; k += 16) {
            const __m256i wei = widened(w + k);
#    pragma GCC unroll 4
            for (int p = 0; p < 4; p++)
                s[p] = _mm256_add_epi32(s[p], products_16(src + p * c + k, wei));
        }
        if (whole < c) {
            const __m256i wei = widened(w + whole);
            uint8_t last[16] = {0};
#    pragma GCC unroll 4
            for (int p = 0; p < 4; p++) {
                memcpy(last, src + p * c + whole, (size_t)(c - whole));
                s[p] = _mm256_add_epi32(s[p], products_16(last, wei));
            }
        }
        _mm_storeu_si128((__m128i *)(void *)(acc + i), sums_of_4(s));
    }
    if (i < places) sums_plain(acc + i, src, w, places - i, c);
}

// 32 channels, what the students have: four places at a time.
TARGET static void sums_32(int32_t *acc, const uint8_t *src, const int8_t *w, int64_t places) {
    const __m256i wei = _mm256_loadu_si256((const __m256i *)(const void *)w);
    int64_t i = 0;
    for (; i + 4 <= places; i += 4) {
        __m256i s[4];
#    pragma GCC unroll 4
        for (int k = 0; k < 4; k++)
            s[k] = _mm256_dpbusd_epi32(
                _mm256_setzero_si256(),
                _mm256_loadu_si256((const __m256i *)(const void *)(src + (i + k) * 32)), wei);
        _mm_storeu_si128((__m128i *)(void *)(acc + i), sums_of_4(s));
    }
    if (i < places) sums_plain(acc + i, src + i * 32, w, places - i, 32);
}

TARGET static void sums_vnni(int32_t *acc, const uint8_t *src, const int8_t *w, int64_t places,
                             int64_t c) {
    if (c == 32) {
        sums_32(acc, src, w, places);
        return;
    }
    for (int64_t i = 0; i < places; i++) {
        __m512i sum = _mm512_setzero_si512();
        for (int64_t k = 0; k < c; k += 64) {
            const __mmask64 mask = c - k >= 64 ? ~(__mmask64)0 : ((__mmask64)1 << (c - k)) - 1;
            sum = _mm512_dpbusd_epi32(sum, _mm512_maskz_loadu_epi8(mask, src + i * c + k),
                                      _mm512_loadu_si512(w + k));
        }
        acc[i] = _mm512_reduce_add_epi32(sum);
    }
}
#endif

SAC_CLONES_INTEGER static void row_max(int32_t *restrict dst, const int32_t *restrict src,
                                       int64_t rows, int64_t w) {
    memcpy(dst, src, (size_t)w * sizeof *dst);
    for (int64_t y = 1; y < rows; y++) {
        for (int64_t x = 0; x < w; x++) dst[x] = src[y * w + x] > dst[x] ? src[y * w + x] : dst[x];
    }
}

void sac_u8_head_run(const sac_u8_head *head, float *dst, const void *packed, void *scratch,
                     const uint8_t *src) {
    const float *factors = packed;
    const int8_t *w = (const int8_t *)packed + HEADER;
    int32_t *acc = scratch, *rows = acc + head->h * head->w;
    const int64_t places = head->h * head->w;
    for (int64_t n = 0; n < head->n; n++, src += places * head->c, dst += head->oh * head->ow) {
#if defined(__x86_64__)
        if (head->isa == SAC_U8_VNNI) {
            sums_vnni(acc, src, w, places, head->c);
        } else if (head->isa == SAC_U8_AVX2) {
            sums_avx2(acc, src, w, places, head->c);
        } else {
            sums_plain(acc, src, w, places, head->c);
        }
#else
        sums_plain(acc, src, w, places, head->c);
#endif
        for (int64_t i = 0; i < head->oh; i++) {
            const int64_t begin = i * head->h / head->oh;
            const int64_t end = ((i + 1) * head->h + head->oh - 1) / head->oh;
            row_max(rows + i * head->w, acc + begin * head->w, end - begin, head->w);
        }
        for (int64_t j = 0; j < head->ow; j++) {
            const int64_t begin = j * head->w / head->ow;
            const int64_t end = ((j + 1) * head->w + head->ow - 1) / head->ow;
            for (int64_t i = 0; i < head->oh; i++) {
                const int32_t *row = rows + i * head->w;
                int32_t most = row[begin];
                for (int64_t x = begin + 1; x < end; x++) most = row[x] > most ? row[x] : most;
                dst[i * head->ow + j] = (float)most * factors[0] + factors[1];
            }
        }
        for (int64_t i = 0; head->sigmoid && i < head->oh * head->ow; i++)
            dst[i] = 1.0f / (1.0f + expf(-dst[i]));
    }
}
