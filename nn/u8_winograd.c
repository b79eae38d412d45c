// 3x3 kernels by AVX2 or AVX-VNNI in transformed tiles, four rows of dst at a time; the formulas are in
// nn/u8_conv.h. Up to six tiles side by side are transformed, then multiplied channel by channel as
// in nn/u8_conv_avx2.c, then turned back. The sums of a block stay in L1.
#include "nn/u8_conv_avx2.h"

#if defined(__x86_64__)

#    if defined(SAC_CLONES_SANITIZED)
#        define MOST_TILES 3 // of a block
#    else
#        define MOST_TILES 6
#    endif
#    define LEAST_TILES 2
#    define TILE_SIZE   SAC_U8_WINOGRAD_TILE

// Blocks of V and U and the positions of M, in one direction. Blocks of one position lie side by
// side and are one sum.
typedef struct winograd_line {
    int blocks, positions;
    struct {
        uint8_t position, index;
    } block[9];
    uint8_t count[7]; // blocks of each position
} winograd_line;

static const winograd_line lines[2] = {
    {6, 6, {{0, 0}, {1, 0}, {2, 0}, {3, 0}, {4, 0}, {5, 0}}, {1, 1, 1, 1, 1, 1}},
    {9,
     7,
     {{0, 0}, {0, 1}, {1, 0}, {2, 0}, {3, 0}, {4, 0}, {4, 1}, {5, 0}, {6, 0}},
     {2, 1, 1, 1, 2, 1, 1}}};

// Of both directions: the block with which each position begins; the last entry is their number.
static const uint8_t firsts[2][50] = {
    {0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15, 16, 17, 18,
     19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36},
    {0,  4,  6,  8,  10, 14, 16, 18, 20, 21, 22, 23, 25, 26, 27, 29, 30,
     31, 32, 34, 35, 36, 38, 39, 40, 41, 43, 44, 45, 49, 51, 53, 55, 59,
     61, 63, 65, 66, 67, 68, 70, 71, 72, 74, 75, 76, 77, 79, 80, 81}};

// Block (a, b), rows before columns, among all of a tile.
static int block_at(int stride, int a, int b) {
    const winograd_line *line = &lines[stride - 1];
    const int pa = line->block[a].position, pb = line->block[b].position;
    return firsts[stride - 1][line->positions * pa + pb] + line->block[a].index * line->count[pb] +
           line->block[b].index;
}

static int64_t winograd_tiles(const sac_u8_conv *c) { // of a row
    return (c->ow + TILE_SIZE - 1) / TILE_SIZE;
}

bool sac_u8_winograd_fits(const sac_u8_conv *c) {
    // What is left of 32 bits for dst itself. Few channels gain less than the transforms cost.
    const int64_t most = (c->sw == 1 ? 1 << 25 : 1 << 29) - 1;
    // Bytes that AVX-VNNI multiplies as they are need half the products of words: with stride 2,
    // where tiles save less than half of them, that is better.
    const int64_t most_stride = c->isa == SAC_U8_AVX_VNNI ? 1 : 2;
    return c->kh == 3 && c->kw == 3 && c->sh == c->sw && c->sw <= most_stride &&
           c->ow > TILE_SIZE && c->ic >= 16 && c->ic <= most / (9 * 255 * 127) && c->oc >= 16;
}

int64_t sac_u8_winograd_bytes(const sac_u8_conv *c) {
    return sac_u8_winograd_blocks(c) * MOST_TILES * sac_u8_winograd_words(c) *
           (int64_t)sizeof(int16_t);
}

int64_t sac_u8_winograd_parts(const sac_u8_conv *c) {
    return (winograd_tiles(c) + MOST_TILES - 1) / MOST_TILES;
}

// --- kernels -----------------------------------------------------------------------------------

// Three taps, `step` apart, to the blocks of U in one direction.
static void kernel_line(int u[9], const int *g, int step, int64_t stride) {
    const int a = g[0], b = g[step], c = g[2 * step];
    if (stride == 1) {
        const int line[6] = {
            6 * a, -4 * (a + b + c), -4 * (a - b + c), a + 2 * b + 4 * c, a - 2 * b + 4 * c, 6 * c};
        memcpy(u, line, sizeof line);
    } else {
        const int line[9] = {3 * a, 6 * b, -3 * (a + c), c - a, a + 2 * c,
                             6 * c, 6 * b, 6 * b,        6 * b};
        memcpy(u, line, sizeof line);
    }
}

void sac_u8_winograd_weights(const sac_u8_conv *c, int16_t u[SAC_U8_WINOGRAD_BLOCKS],
                             const int8_t g[9]) {
    const int stride = (int)c->sw, blocks = lines[stride - 1].blocks;
    int taps[9], columns[9 * 3], line[9];
    for (int k = 0; k < 9; k++) taps[k] = g[k];
    for (int x = 0; x < 3; x++) {
        kernel_line(line, taps + x, 3, stride);
        for (int a = 0; a < blocks; a++) columns[3 * a + x] = line[a];
    }
    for (int a = 0; a < blocks; a++) {
        kernel_line(line, columns + 3 * a, 1, stride);
        for (int b = 0; b < blocks; b++) u[block_at(stride, a, b)] = (int16_t)line[b];
    }
}

// --- tiles -------------------------------------------------------------------------------------

TILE __m256i words_load(const int16_t *from) {
    return _mm256_loadu_si256((const __m256i *)(const void *)from);
}

TILE __m256i words_of(const uint8_t *from) {
    return _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)(const void *)from));
}

TILE void words_store(int16_t *to, __m256i words) {
    _mm256_storeu_si256((__m256i *)(void *)to, words);
}

TILE __m256i twice(__m256i words) {
    return _mm256_add_epi16(words, words);
}

// Six pixels to the blocks of V in one direction.
TILE void line_stride1(__m256i v[6], const __m256i d[6]) {
    const __m256i d31 = _mm256_sub_epi16(d[3], d[1]), d42 = _mm256_sub_epi16(d[4], d[2]);
    const __m256i odd = _mm256_sub_epi16(d[3], _mm256_slli_epi16(d[1], 2));
    const __m256i even = _mm256_sub_epi16(d[4], _mm256_slli_epi16(d[2], 2));
    const __m256i d31_2 = twice(d31);
    v[0] = _mm256_add_epi16(_mm256_slli_epi16(_mm256_sub_epi16(d[0], d[2]), 2), d42);
    v[1] = _mm256_add_epi16(even, odd);
    v[2] = _mm256_sub_epi16(even, odd);
    v[3] = _mm256_add_epi16(d42, d31_2);
    v[4] = _mm256_sub_epi16(d42, d31_2);
    v[5] = _mm256_sub_epi16(_mm256_sub_epi16(d[5], d[3]), twice(d31_2));
}

// Nine pixels: the even ones, with the odd ones between them.
TILE void line_stride2(__m256i v[9], const __m256i d[9]) {
    const __m256i e20 = _mm256_sub_epi16(d[0], d[4]), e31 = _mm256_sub_epi16(d[6], d[2]);
    const __m256i e12 = _mm256_add_epi16(d[2], d[4]), e32 = _mm256_sub_epi16(d[6], d[4]);
    const __m256i e21 = _mm256_sub_epi16(d[4], d[2]), e42 = _mm256_sub_epi16(d[8], d[4]);
    v[0] = _mm256_add_epi16(e31, twice(e20));
    v[1] = d[1];
    v[2] = _mm256_sub_epi16(e31, e12);
    v[3] = _mm256_sub_epi16(e32, twice(e21));
    v[4] = e31;
    v[5] = _mm256_sub_epi16(e42, twice(e31));
    v[6] = d[7];
    v[7] = d[3];
    v[8] = d[5];
}

// Of `tiles` tiles from `t` on: first all columns, then each row of what that gave.
TILE void tiles_of(const sac_u8_conv *c, int stride, int16_t *v, const uint8_t *const *rows,
                   int64_t t, int64_t tiles) {
    enum { MOST_PIXELS = 2 * TILE_SIZE * MOST_TILES + 2 };
    const int blocks = stride == 1 ? 6 : 9, step = stride * TILE_SIZE;
    const int64_t words = sac_u8_winograd_words(c), ic = c->ic;
    const int64_t pixels = step * tiles + 3 - stride;
    int16_t columns[9][MOST_PIXELS][16];
    for (int64_t k = 0; k < words; k += 16) {
        // The last 16 channels may overlap those before them.
        const int64_t at = k + 16 <= words ? k : words - 16, from = t * step * ic + at;
        for (int64_t x = 0; x < pixels; x++) {
            __m256i d[9], line[9];
#    pragma GCC unroll 9
            for (int i = 0; i < step + 3 - stride; i++) d[i] = words_of(rows[i] + from + x * ic);
            if (stride == 1) {
                line_stride1(line, d);
            } else {
                line_stride2(line, d);
            }
#    pragma GCC unroll 9
            for (int i = 0; i < blocks; i++) words_store(columns[i][x], line[i]);
        }
        for (int a = 0; a < blocks; a++) {
            int64_t to[9];
            for (int b = 0; b < blocks; b++) to[b] = block_at(stride, a, b) * words + at;
            int16_t *tile = v;
            for (int64_t i = 0; i < tiles; i++, tile += blocks * blocks * words) {
                __m256i d[9], line[9];
#    pragma GCC unroll 9
                for (int x = 0; x < step + 3 - stride; x++)
                    d[x] = words_load(columns[a][i * step + x]);
                if (stride == 1) {
                    line_stride1(line, d);
                } else {
                    line_stride2(line, d);
                }
#    pragma GCC unroll 9
                for (int b = 0; b < blocks; b++) words_store(tile + to[b], line[b]);
            }
        }
    }
}

TARGET static void tiles_stride1(const sac_u8_conv *c, int16_t *v, const uint8_t *const *rows,
                                 int64_t t, int64_t tiles) {
    tiles_of(c, 1, v, rows, t, tiles);
}

TARGET static void tiles_stride2(const sac_u8_conv *c, int16_t *v, const uint8_t *const *rows,
                                 int64_t t, int64_t tiles) {
    tiles_of(c, 2, v, rows, t, tiles);
}

// --- sums --------------------------------------------------------------------------------------

// Positions in one direction, `next` apart, to four places.
TILE void line_back(int stride, __m256i y[TILE_SIZE], const __m256i *m, int next) {
    const __m256i p = _mm256_add_epi32(m[next], m[2 * next]);
    const __m256i q = _mm256_sub_epi32(m[next], m[2 * next]);
    if (stride == 1) {
        const __m256i r = _mm256_add_epi32(m[3 * next], m[4 * next]);
        const __m256i s = _mm256_sub_epi32(m[3 * next], m[4 * next]);
        y[0] = _mm256_add_epi32(_mm256_add_epi32(m[0], p), r);
        y[1] = _mm256_add_epi32(q, _mm256_add_epi32(s, s));
        y[2] = _mm256_add_epi32(p, _mm256_slli_epi32(r, 2));
        const __m256i last = _mm256_add_epi32(_mm256_add_epi32(s, s), m[5 * next]);
        y[3] = _mm256_add_epi32(q, _mm256_slli_epi32(last, 2));
    } else {
        const __m256i r = m[3 * next], r2 = _mm256_add_epi32(r, r);
        y[0] = _mm256_add_epi32(_mm256_add_epi32(m[0], p), r);
        y[1] = _mm256_add_epi32(_mm256_add_epi32(q, r2), m[5 * next]);
        y[2] = _mm256_add_epi32(_mm256_add_epi32(p, _mm256_slli_epi32(r, 2)), m[6 * next]);
        y[3] = _mm256_add_epi32(_mm256_add_epi32(q, _mm256_slli_epi32(r, 3)), m[4 * next]);
    }
}

// Four places of a row, 8 * vectors channels: sums of the first, then of the next.
TILE void places_out(const tile_store *s, __m256i *acc, int vectors, int64_t x) {
    const sac_u8_conv *c = s->c;
    const int64_t left = c->ow - x;
    if (left < TILE_SIZE || c->to_f32 || c->oc - s->oc < 8 * vectors) {
        const int64_t places = left < TILE_SIZE ? left : TILE_SIZE;
        for (int64_t i = 0; i < vectors * places; i++)
            sac_u8_store_any(s, acc + i, x + i / vectors, i % vectors * 8);
        return;
    }
    const uint8_t *residual = s->band->residual;
#    pragma GCC unroll 8
    for (int i = 0; i < TILE_SIZE * vectors; i++) {
        const int64_t at = (x + i / vectors) * c->residual.pixel + s->oc + i % vectors * 8;
        __m256 v = scaled(acc[i], s->mul + i % vectors * 8, s->add + i % vectors * 8);
        if (residual != NULL)
            v = with_residual(v, _mm_loadl_epi64((const __m128i *)(const void *)(residual + at)),
                              c->residual_mul);
        acc[i] = rounded(v);
    }
#    pragma GCC unroll 2
    for (int i = 0; i < TILE_SIZE * vectors; i += 4) store4(s, acc + i, i, vectors, x);
}

// One tile of four rows, from the sums m [position][next].
TILE void tile_back(const tile_store s[TILE_SIZE], int stride, const __m256i *m, int next,
                    int vectors, int64_t x) {
    const int positions = stride == 1 ? 6 : 7;
    // 576 dst or 36 dst in the ring of 32 bits: 9 has an inverse there, the rest is a shift.
    const __m256i ninth = _mm256_set1_epi32(0x38e38e39);
    __m256i rows[2][TILE_SIZE][7];
#    pragma GCC unroll 2
    for (int b = 0; b < vectors; b++) {
#    pragma GCC unroll 7
        for (int j = 0; j < positions; j++) {
            __m256i y[TILE_SIZE];
            line_back(stride, y, m + j * next + b, positions * next);
#    pragma GCC unroll 4
            for (int i = 0; i < TILE_SIZE; i++) rows[b][i][j] = y[i];
        }
    }
    for (int i = 0; i < TILE_SIZE; i++) {
        __m256i acc[2 * TILE_SIZE];
        if (s[i].band->dst == NULL) break;
#    pragma GCC unroll 2
        for (int b = 0; b < vectors; b++) {
            __m256i y[TILE_SIZE];
            line_back(stride, y, rows[b][i], 1);
#    pragma GCC unroll 4
            for (int j = 0; j < TILE_SIZE; j++)
                acc[j * vectors + b] =
                    _mm256_srai_epi32(_mm256_mullo_epi32(y[j], ninth), stride == 1 ? 6 : 2);
        }
        places_out(&s[i], acc, vectors, x);
    }
}

// Tiles from `t` on, 8 * vectors channels.
TILE void winograd_block(const tile_store s[TILE_SIZE], int stride, const int16_t *v,
                         const int8_t *w, int64_t t, int tiles, int vectors, products kind) {
    const int positions = stride == 1 ? 36 : 49, count = tiles * vectors;
    const uint8_t *first = firsts[stride - 1];
    const int64_t words = sac_u8_winograd_words(s->c), step = first[positions] * words;
    __m256i m[49 * 12];
    for (int i = 0; i < positions; i++) {
        const int64_t run = (first[i + 1] - first[i]) * words;
        const uint8_t *src = (const uint8_t *)(v + first[i] * words);
        __m256i acc[12];
#    pragma GCC unroll 12
        for (int k = 0; k < count; k++) acc[k] = _mm256_setzero_si256();
        for (int64_t k = 0; k < run; k += 2, src += 4, w += 32)
            step_of(acc, src, w, 2 * step * 8, tiles, vectors, 2 * step, kind);
#    pragma GCC unroll 12
        for (int k = 0; k < count; k++) m[count * i + k] = acc[k];
    }
    for (int k = 0; k < tiles; k++)
        tile_back(s, stride, m + vectors * k, count, vectors, TILE_SIZE * (t + k));
}

typedef void (*block_fn)(const tile_store s[TILE_SIZE], const int16_t *v, const int8_t *w,
                         int64_t t);

#    define WINOGRAD(name, stride, vectors, tiles, kind)                                           \
        TARGET static void name##_##vectors##_##tiles(                                             \
            const tile_store s[TILE_SIZE], const int16_t *v, const int8_t *w, int64_t t) {         \
            winograd_block(s, stride, v, w, t, tiles, vectors, kind);                              \
        }
#    define WINOGRAD_OF(tiles)                                                                     \
        WINOGRAD(stride1, 1, 1, tiles, PAIRS)                                                      \
        WINOGRAD(stride1, 1, 2, tiles, PAIRS)                                                      \
        WINOGRAD(stride2, 2, 1, tiles, PAIRS)                                                      \
        WINOGRAD(stride2, 2, 2, tiles, PAIRS)                                                      \
        WINOGRAD(vnni, 1, 1, tiles, PAIRS_VNNI)                                                    \
        WINOGRAD(vnni, 1, 2, tiles, PAIRS_VNNI)
#    define WAYS_OF(tiles)                                                                         \
        {                                                                                          \
            {stride1_1_##tiles, stride1_2_##tiles}, {stride2_1_##tiles, stride2_2_##tiles}, {      \
                vnni_1_##tiles, vnni_2_##tiles                                                     \
            }                                                                                      \
        }
WINOGRAD_OF(2)
WINOGRAD_OF(3)
#    if !defined(SAC_CLONES_SANITIZED)
WINOGRAD_OF(4)
WINOGRAD_OF(5)
WINOGRAD_OF(6)
#    endif

void sac_u8_winograd_run(const sac_u8_conv *c, const void *packed, int16_t *v,
                         const uint8_t *const rows[SAC_U8_WINOGRAD_ROWS],
                         const sac_u8_band band[TILE_SIZE], int64_t part) {
    static const block_fn ways[MOST_TILES - LEAST_TILES + 1][3][2] = {
        WAYS_OF(2),
        WAYS_OF(3),
#    if !defined(SAC_CLONES_SANITIZED)
        WAYS_OF(4),
        WAYS_OF(5),
        WAYS_OF(6)
#    endif
    };
    const int64_t tiles = winograd_tiles(c), parts = sac_u8_winograd_parts(c);
    const int64_t t = tiles * part / parts, count = tiles * (part + 1) / parts - t;
    const int64_t eight = sac_u8_winograd_blocks(c) * sac_u8_winograd_words(c) * 16; // bytes
    const int64_t way = c->isa == SAC_U8_AVX_VNNI ? 2 : c->sw - 1;
    const float *mul = packed, *add = mul + sac_u8_ocp(c);
    const int8_t *w = sac_u8_weights(c, packed);
    (c->sw == 1 ? tiles_stride1 : tiles_stride2)(c, v, rows, t, count);
    for (int64_t oc = 0; oc < c->oc; oc += 16) {
        tile_store s[TILE_SIZE];
        for (int i = 0; i < TILE_SIZE; i++)
            s[i] =
                (tile_store){.c = c, .band = &band[i], .mul = mul + oc, .add = add + oc, .oc = oc};
        ways[count - LEAST_TILES][way][c->oc - oc > 8](s, v, w + oc / 8 * eight, t);
    }
}

#endif
