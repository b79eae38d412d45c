// Weighted sums along a row with shuffles: pairs of neighbouring taps are picked out of the row for
// several outputs at once, multiplied and added in one instruction, and divided exactly by a
// multiplication.
#include "video/scale_x86.h"

#include <stdbool.h>
#include <string.h>

#include "core/check.h"
#include "core/memory.h"

#if defined(__x86_64__) && defined(__GNUC__)

#    include <immintrin.h>

#    define LANES2  8   // outputs a step with AVX2
#    define WINDOW2 8   // row elements one AVX2 shuffle picks from
#    define LANES5  16  // the same with AVX-512
#    define WINDOW5 128 // two shuffles of 64

struct sac_row_reducer {
    bool avx512;
    int elements, pairs;
    int parts; // AVX2: loads for each half of a block
    // AVX2: [blocks][pairs][parts][2]; AVX-512: [blocks]. Where a load starts.
    int32_t *base;
    // AVX2: [blocks][pairs][parts][2][16] bytes to keep, 0x80 gives zero; AVX-512:
    // [blocks][pairs][32] u16 elements.
    uint8_t *pick;
    int16_t *weight; // [blocks][pairs][lanes][2]
};

// Row element of tap `t` of output element `e`.
static int element_at(const sac_row_plan *p, int e, int t) {
    return (p->first[e / p->channels] + t) * p->channels + e % p->channels;
}

// Lowest and highest row element of tap 0 among outputs [e, end): inside a pixel they need not be
// in order.
static void range_of(const sac_row_plan *p, int e, int end, int *low, int *high) {
    *low = *high = element_at(p, e, 0);
    for (int i = e + 1; i < end && i < p->elements; i++) {
        int at = element_at(p, i, 0);
        if (at < *low) *low = at;
        if (at > *high) *high = at;
    }
}

static sac_status allocate(sac_row_reducer *r, int64_t bases, int64_t pick_bytes, int64_t weights) {
    sac_status status = SAC_OK;
    r->base = sac_calloc(bases, sizeof *r->base);
    r->pick = sac_calloc(pick_bytes, 1);
    r->weight = sac_calloc(weights, sizeof *r->weight);
    SAC_TRY_ALLOC(r->base);
    SAC_TRY_ALLOC(r->pick);
    SAC_TRY_ALLOC(r->weight);
fail:
    return status;
}

// How many loads the four outputs of half a block need so that each load's tap pairs lie within one
// window.
static int parts_needed(const sac_row_plan *p) {
    for (int parts = 1; parts <= 2; parts *= 2) {
        int outputs = 4 / parts;
        bool fits = true;
        for (int e = 0; e < p->elements && fits; e += outputs) {
            int low, high;
            range_of(p, e, e + outputs, &low, &high);
            fits = high + p->channels - low < WINDOW2;
        }
        if (fits) return parts;
    }
    return 4;
}

static sac_status plan_avx2(sac_row_reducer *r, const sac_row_plan *p) {
    sac_status status = SAC_OK;
    int blocks = (p->elements + LANES2 - 1) / LANES2, pairs = r->pairs;
    int parts = parts_needed(p), outputs = 4 / parts;
    int64_t loads = (int64_t)blocks * pairs * parts * 2;
    SAC_TRY(allocate(r, loads, loads * 16, (int64_t)blocks * pairs * LANES2 * 2));
    memset(r->pick, 0x80, (size_t)loads * 16);
    for (int e = 0; e < p->elements; e++) {
        int half = e % LANES2 / 4, lane = e % 4, part = lane / outputs, low, high;
        int group = e - lane % outputs; // first output that shares this load
        range_of(p, group, group + outputs, &low, &high);
        for (int q = 0; q < pairs; q++) {
            int64_t pair = (int64_t)(e / LANES2) * pairs + q;
            int64_t load = (pair * parts + part) * 2 + half;
            r->base[load] = low + 2 * q * p->channels;
            for (int t = 2 * q; t < 2 * q + 2 && t < p->taps; t++) {
                int byte = 2 * (element_at(p, e, t) - r->base[load]);
                uint8_t *pick = r->pick + load * 16 + 4 * lane + 2 * (t % 2);
                pick[0] = (uint8_t)byte;
                pick[1] = (uint8_t)(byte + 1);
                r->weight[(pair * LANES2 + e % LANES2) * 2 + t % 2] =
                    p->weight[(int64_t)(e / p->channels) * p->taps + t];
            }
        }
    }
    r->parts = parts;
fail:
    return status;
}

static sac_status plan_avx512(sac_row_reducer *r, const sac_row_plan *p) {
    sac_status status = SAC_OK;
    int blocks = (p->elements + LANES5 - 1) / LANES5, pairs = r->pairs, low, high;
    for (int k = 0; k < blocks; k++) {
        range_of(p, k * LANES5, (k + 1) * LANES5, &low, &high);
        if (high + (p->taps - 1) * p->channels - low >= WINDOW5) return SAC_ERROR_UNSUPPORTED;
    }
    SAC_TRY(
        allocate(r, blocks, (int64_t)blocks * pairs * 64, (int64_t)blocks * pairs * LANES5 * 2));
    for (int e = 0; e < p->elements; e++) {
        int k = e / LANES5;
        range_of(p, k * LANES5, (k + 1) * LANES5, &low, &high);
        r->base[k] = low;
        for (int t = 0; t < p->taps; t++) {
            int64_t at = ((int64_t)k * pairs + t / 2) * 2 * LANES5 + 2 * (e % LANES5) + t % 2;
            uint16_t pick = (uint16_t)(element_at(p, e, t) - low);
            memcpy(r->pick + 2 * at, &pick, sizeof pick);
            r->weight[at] = p->weight[(int64_t)(e / p->channels) * p->taps + t];
        }
    }
fail:
    return status;
}

sac_status sac_row_reducer_create(sac_row_reducer **reducer, const sac_row_plan *plan,
                                  sac_scaler_code code) {
    sac_status status = SAC_OK;
    sac_row_reducer *r = NULL;
    bool avx512 = __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
    *reducer = NULL;
    r = sac_calloc(1, sizeof *r);
    SAC_TRY_ALLOC(r);
    r->elements = plan->elements;
    r->pairs = (plan->taps + 1) / 2;
    status = SAC_ERROR_UNSUPPORTED;
    if (code != SAC_SCALER_AVX2 && avx512) {
        status = plan_avx512(r, plan);
        r->avx512 = status == SAC_OK;
    }
    if (status == SAC_ERROR_UNSUPPORTED && code != SAC_SCALER_AVX512 &&
        __builtin_cpu_supports("avx2"))
        status = plan_avx2(r, plan);
    SAC_TRY(status);
    *reducer = r;
    return SAC_OK;
fail:
    sac_row_reducer_close(&r);
    return status;
}

__attribute__((target("avx2"))) static void run_avx2(const sac_row_reducer *r, uint8_t *dst,
                                                     const uint16_t *row,
                                                     const sac_row_division *by) {
    const int32_t *base = r->base;
    const uint8_t *pick = r->pick;
    const int16_t *weight = r->weight;
    __m256i low = _mm256_set1_epi32((int)by->low), most = _mm256_set1_epi32(255),
            m = _mm256_set1_epi64x((long long)by->multiplier),
            bias = _mm256_set1_epi64x((long long)by->bias);
    __m128i shift = _mm_cvtsi32_si128(by->shift);
    // The low byte of each 32-bit quotient goes to the front of its half.
    __m256i pack = _mm256_setr_epi8(0, 4, 8, 12, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, 0,
                                    4, 8, 12, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1);
    for (int e = 0; e < r->elements; e += LANES2) {
        __m256i sum = _mm256_setzero_si256();
        for (int q = 0; q < r->pairs; q++, weight += 2 * LANES2) {
            __m256i v = _mm256_setzero_si256();
            for (int g = 0; g < r->parts; g++, base += 2, pick += 32) {
                __m128i a = _mm_loadu_si128((const __m128i *)(const void *)(row + base[0]));
                __m128i b = _mm_loadu_si128((const __m128i *)(const void *)(row + base[1]));
                __m256i window = _mm256_inserti128_si256(_mm256_castsi128_si256(a), b, 1);
                __m256i at = _mm256_loadu_si256((const __m256i *)(const void *)pick);
                v = _mm256_or_si256(v, _mm256_shuffle_epi8(window, at));
            }
            __m256i w = _mm256_loadu_si256((const __m256i *)(const void *)weight);
            sum = _mm256_add_epi32(sum, _mm256_madd_epi16(v, w));
        }
        sum = _mm256_sub_epi32(_mm256_max_epu32(sum, low), low);
        __m256i even = _mm256_add_epi64(_mm256_mul_epu32(sum, m), bias);
        __m256i odd = _mm256_add_epi64(_mm256_mul_epu32(_mm256_srli_epi64(sum, 32), m), bias);
        even = _mm256_srl_epi64(even, shift);
        odd = _mm256_slli_epi64(_mm256_srl_epi64(odd, shift), 32);
        __m256i bytes = _mm256_min_epu32(_mm256_or_si256(even, odd), most);
        bytes = _mm256_shuffle_epi8(bytes, pack);
        uint32_t first = (uint32_t)_mm256_extract_epi32(bytes, 0),
                 second = (uint32_t)_mm256_extract_epi32(bytes, 4);
        uint64_t all = first | (uint64_t)second << 32;
        if (e + LANES2 <= r->elements)
            memcpy(dst + e, &all, sizeof all);
        else
            memcpy(dst + e, &all, (size_t)(r->elements - e));
    }
}

__attribute__((target("avx512f,avx512bw,avx512vl"))) static void run_avx512(
    const sac_row_reducer *r, uint8_t *dst, const uint16_t *row, const sac_row_division *by) {
    const uint8_t *pick = r->pick;
    const int16_t *weight = r->weight;
    __m512i low = _mm512_set1_epi32((int)by->low), m = _mm512_set1_epi64((long long)by->multiplier),
            bias = _mm512_set1_epi64((long long)by->bias);
    __m128i shift = _mm_cvtsi32_si128(by->shift);
    for (int e = 0, k = 0; e < r->elements; e += LANES5, k++) {
        const uint16_t *p = row + r->base[k];
        __m512i r0 = _mm512_loadu_si512(p), r1 = _mm512_loadu_si512(p + 32);
        __m512i r2 = _mm512_loadu_si512(p + 64), r3 = _mm512_loadu_si512(p + 96);
        __m512i sum = _mm512_setzero_si512();
        for (int q = 0; q < r->pairs; q++, pick += 64, weight += 2 * LANES5) {
            __m512i at = _mm512_loadu_si512(pick);
            __m512i v = _mm512_permutex2var_epi16(r0, at, r1);
            // One shuffle picks among 64 elements; only wide windows need the second one.
            __mmask32 far = _mm512_test_epi16_mask(at, _mm512_set1_epi16(64));
            if (far != 0)
                v = _mm512_mask_blend_epi16(far, v, _mm512_permutex2var_epi16(r2, at, r3));
            sum = _mm512_add_epi32(sum, _mm512_madd_epi16(v, _mm512_loadu_si512(weight)));
        }
        sum = _mm512_sub_epi32(_mm512_max_epu32(sum, low), low);
        __m512i even = _mm512_add_epi64(_mm512_mul_epu32(sum, m), bias);
        __m512i odd = _mm512_add_epi64(_mm512_mul_epu32(_mm512_srli_epi64(sum, 32), m), bias);
        even = _mm512_srl_epi64(even, shift);
        odd = _mm512_slli_epi64(_mm512_srl_epi64(odd, shift), 32);
        __m128i bytes = _mm512_cvtusepi32_epi8(_mm512_or_si512(even, odd)); // at most 255
        int left = r->elements - e;
        unsigned keep = left >= LANES5 ? 0xFFFFu : (1u << left) - 1;
        _mm_mask_storeu_epi8(dst + e, (__mmask16)keep, bytes);
    }
}

void sac_row_reducer_run(const sac_row_reducer *r, uint8_t *dst, const uint16_t *row,
                         const sac_row_division *division) {
    if (r->avx512)
        run_avx512(r, dst, row, division);
    else
        run_avx2(r, dst, row, division);
}

void sac_row_reducer_close(sac_row_reducer **reducer) {
    if (reducer == NULL || *reducer == NULL) return;
    sac_free((*reducer)->base);
    sac_free((*reducer)->pick);
    sac_free((*reducer)->weight);
    sac_free(*reducer);
    *reducer = NULL;
}

#else

sac_status sac_row_reducer_create(sac_row_reducer **reducer, const sac_row_plan *plan,
                                  sac_scaler_code code) {
    (void)plan, (void)code;
    *reducer = NULL;
    return SAC_ERROR_UNSUPPORTED;
}

void sac_row_reducer_run(const sac_row_reducer *reducer, uint8_t *dst, const uint16_t *row,
                         const sac_row_division *division) {
    (void)reducer, (void)dst, (void)row, (void)division;
}

void sac_row_reducer_close(sac_row_reducer **reducer) {
    if (reducer != NULL) *reducer = NULL;
}

#endif
