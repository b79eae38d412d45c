// 3x3 kernels by AVX2 in transformed tiles, two rows of dst at a time; the formulas are in
// nn/u8_conv.h. Tiles of both rows, up to six, are transformed, then multiplied channel by channel
// as in nn/u8_conv_avx2.c, then turned back. What is transformed and the sums stay in L1.
#include "nn/u8_conv_avx2.h"

#if defined(__x86_64__)

#    if defined(SAC_CLONES_SANITIZED)
#        define MOST_TILES 3 // of a block
#    else
#        define MOST_TILES 6
#    endif

// Sums at one position of a tile run over one to four blocks of all channels. `first`: the block
// with which a position begins; the last entry is their number.
typedef struct winograd_shape {
    int positions;
    uint8_t first[17];
} winograd_shape;

// With stride 2 the blocks of a tile of 5x5 are, in each direction,
//   V = (d0 - d2, d1 | d2 | d4 - d2, d3), U = (g0, g1 | g0 + g2 | g2, g1),
//   dst = (M0 + M1, M1 + M2).
static const winograd_shape shapes[2] = {
    {16, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}},
    {9, {0, 4, 6, 10, 12, 13, 15, 19, 21, 25}}};

static int64_t winograd_tiles(const sac_u8_conv *c) {
    return (c->ow + 1) / 2;
}

bool sac_u8_winograd_fits(const sac_u8_conv *c) {
    // 4 dst must not exceed 32 bits. Few channels gain less than the transforms cost.
    return c->kh == 3 && c->kw == 3 && c->sh == c->sw && c->sw <= 2 && c->ow >= 5 && c->ic >= 16 &&
           c->ic <= INT32_MAX / (4 * 9 * 255 * 127) && c->oc >= 16;
}

int64_t sac_u8_winograd_bytes(const sac_u8_conv *c) {
    return sac_u8_winograd_blocks(c) * MOST_TILES * sac_u8_winograd_words(c) *
           (int64_t)sizeof(int16_t);
}

static void weights_stride1(int16_t u[25], const int8_t g[9]) {
    int t[4][3];
    for (int x = 0; x < 3; x++) {
        const int a = g[x], b = g[3 + x], c = g[6 + x];
        t[0][x] = 2 * a;
        t[1][x] = a + b + c;
        t[2][x] = a - b + c;
        t[3][x] = 2 * c;
    }
    for (int y = 0; y < 4; y++) {
        u[4 * y] = (int16_t)(2 * t[y][0]);
        u[4 * y + 1] = (int16_t)(t[y][0] + t[y][1] + t[y][2]);
        u[4 * y + 2] = (int16_t)(t[y][0] - t[y][1] + t[y][2]);
        u[4 * y + 3] = (int16_t)(2 * t[y][2]);
    }
}

// Of the 5 blocks of one direction: position, and which of its blocks.
static const struct {
    int position, index, count;
} blocks_of_5[5] = {{0, 0, 2}, {0, 1, 2}, {1, 0, 1}, {2, 0, 2}, {2, 1, 2}};

// Block (a, b) among the 25.
static int block_at(int a, int b) {
    return shapes[1].first[3 * blocks_of_5[a].position + blocks_of_5[b].position] +
           blocks_of_5[a].index * blocks_of_5[b].count + blocks_of_5[b].index;
}

static void weights_stride2(int16_t u[25], const int8_t g[9]) {
    int t[5][3];
    for (int x = 0; x < 3; x++) {
        t[0][x] = g[x];
        t[1][x] = t[4][x] = g[3 + x];
        t[2][x] = g[x] + g[6 + x];
        t[3][x] = g[6 + x];
    }
    for (int a = 0; a < 5; a++) {
        const int row[5] = {t[a][0], t[a][1], t[a][0] + t[a][2], t[a][2], t[a][1]};
        for (int b = 0; b < 5; b++) u[block_at(a, b)] = (int16_t)row[b];
    }
}

void sac_u8_winograd_weights(const sac_u8_conv *c, int16_t u[25], const int8_t g[9]) {
    if (c->sw == 1) {
        weights_stride1(u, g);
    } else {
        weights_stride2(u, g);
    }
}

typedef enum column_way { COLUMN_SUB, COLUMN_ADD, COLUMN_FIRST } column_way;

// 16 channels of one pixel of two rows.
TILE __m256i column(const int16_t *a, const int16_t *b, column_way way) {
    const __m256i va = _mm256_loadu_si256((const __m256i *)(const void *)a);
    if (way == COLUMN_FIRST) return va;
    const __m256i vb = _mm256_loadu_si256((const __m256i *)(const void *)b);
    return way == COLUMN_ADD ? _mm256_add_epi16(va, vb) : _mm256_sub_epi16(va, vb);
}

TILE void words_store(int16_t *to, __m256i words) {
    _mm256_storeu_si256((__m256i *)(void *)to, words);
}

// Four of the 16 positions, of 16 channels. `plane`: words from one position to the next.
TILE void row_stride1(int16_t *v, int64_t plane, int64_t words, const int16_t *a, const int16_t *b,
                      column_way way, int64_t ic, int64_t tiles) {
    __m256i c0 = column(a, b, way), c1 = column(a + ic, b + ic, way);
    for (int64_t t = 0; t < tiles; t++, v += words) {
        a += 2 * ic;
        b += 2 * ic;
        const __m256i c2 = column(a, b, way), c3 = column(a + ic, b + ic, way);
        words_store(v, _mm256_sub_epi16(c0, c2));
        words_store(v + plane, _mm256_add_epi16(c1, c2));
        words_store(v + 2 * plane, _mm256_sub_epi16(c2, c1));
        words_store(v + 3 * plane, _mm256_sub_epi16(c1, c3));
        c0 = c2;
        c1 = c3;
    }
}

// Five of the 25 blocks, those of `a` in the one direction, of 16 channels.
TILE void row_stride2(int16_t *v, int block, int64_t tiles, int64_t words, const int16_t *a,
                      const int16_t *b, column_way way, int64_t ic) {
    const uint8_t *first = shapes[1].first;
    const int position = 3 * blocks_of_5[block].position, index = blocks_of_5[block].index;
    const int64_t one = (first[position + 1] - first[position]) / 2 * words;
    int16_t *v0 = v + first[position] * tiles * words + 2 * index * words,
            *v1 = v + first[position + 1] * tiles * words + index * words,
            *v2 = v + first[position + 2] * tiles * words + 2 * index * words;
    __m256i c0 = column(a, b, way);
    for (int64_t t = 0; t < tiles; t++, v0 += 2 * one, v1 += one, v2 += 2 * one) {
        const __m256i c1 = column(a + ic, b + ic, way);
        const __m256i c2 = column(a + 2 * ic, b + 2 * ic, way);
        const __m256i c3 = column(a + 3 * ic, b + 3 * ic, way);
        a += 4 * ic;
        b += 4 * ic;
        const __m256i c4 = column(a, b, way);
        words_store(v0, _mm256_sub_epi16(c0, c2));
        words_store(v0 + words, c1);
        words_store(v1, c2);
        words_store(v2, _mm256_sub_epi16(c4, c2));
        words_store(v2 + words, c3);
        c0 = c4;
    }
}

// Of `tiles` tiles from `t` on.
TARGET static void tiles_transform(const sac_u8_conv *c, int16_t *v, const int16_t *const rows[5],
                                   int64_t t, int64_t tiles) {
    const int64_t words = sac_u8_winograd_words(c);
    const int64_t plane = tiles * words, ic = c->ic;
    for (int64_t k = 0; k < words; k += 16) {
        // The last 16 channels may overlap those before them.
        const int64_t at = k + 16 <= words ? k : words - 16, from = 2 * t * c->sw * ic + at;
        const int16_t *const r[4] = {rows[0] + from, rows[1] + from, rows[2] + from,
                                     rows[3] + from};
        int16_t *to = v + at;
        if (c->sw == 1) {
            row_stride1(to, plane, words, r[0], r[2], COLUMN_SUB, ic, tiles);
            row_stride1(to + 4 * plane, plane, words, r[1], r[2], COLUMN_ADD, ic, tiles);
            row_stride1(to + 8 * plane, plane, words, r[2], r[1], COLUMN_SUB, ic, tiles);
            row_stride1(to + 12 * plane, plane, words, r[1], r[3], COLUMN_SUB, ic, tiles);
        } else {
            row_stride2(to, 0, tiles, words, r[0], r[2], COLUMN_SUB, ic);
            row_stride2(to, 1, tiles, words, r[1], r[1], COLUMN_FIRST, ic);
            row_stride2(to, 2, tiles, words, r[2], r[2], COLUMN_FIRST, ic);
            row_stride2(to, 3, tiles, words, rows[4] + from, r[2], COLUMN_SUB, ic);
            row_stride2(to, 4, tiles, words, r[3], r[3], COLUMN_FIRST, ic);
        }
    }
}

// Sums of the positions, `next` apart, to those of two rows of two places.
TILE void sums_stride1(__m256i y[2][2], const __m256i *m, int next) {
    __m256i s[2][4];
#    pragma GCC unroll 4
    for (int j = 0; j < 4; j++) {
        const __m256i a = m[j * next], b = m[(4 + j) * next], c = m[(8 + j) * next],
                      d = m[(12 + j) * next];
        s[0][j] = _mm256_add_epi32(_mm256_add_epi32(a, b), c);
        s[1][j] = _mm256_sub_epi32(_mm256_sub_epi32(b, c), d);
    }
#    pragma GCC unroll 2
    for (int i = 0; i < 2; i++) {
        y[i][0] =
            _mm256_srai_epi32(_mm256_add_epi32(_mm256_add_epi32(s[i][0], s[i][1]), s[i][2]), 2);
        y[i][1] =
            _mm256_srai_epi32(_mm256_sub_epi32(_mm256_sub_epi32(s[i][1], s[i][2]), s[i][3]), 2);
    }
}

TILE void sums_stride2(__m256i y[2][2], const __m256i *m, int next) {
    __m256i s[2][3];
#    pragma GCC unroll 3
    for (int j = 0; j < 3; j++) {
        const __m256i middle = m[(3 + j) * next];
        s[0][j] = _mm256_add_epi32(m[j * next], middle);
        s[1][j] = _mm256_add_epi32(m[(6 + j) * next], middle);
    }
#    pragma GCC unroll 2
    for (int i = 0; i < 2; i++) {
        y[i][0] = _mm256_add_epi32(s[i][0], s[i][1]);
        y[i][1] = _mm256_add_epi32(s[i][1], s[i][2]);
    }
}

// Two places of a row, 8 * vectors channels: sums of the first, then of the second.
TILE void places_out(const tile_store *s, const __m256i acc[4], int vectors, int64_t x) {
    const sac_u8_conv *c = s->c;
    const int64_t places = c->ow - x < 2 ? 1 : 2;
    if (places == 1 || c->to_f32 || c->oc - s->oc < 8 * vectors) {
        __m256i sums[4];
#    pragma GCC unroll 4
        for (int i = 0; i < 2 * vectors; i++) sums[i] = acc[i];
        for (int64_t i = 0; i < vectors * places; i++)
            sac_u8_store_any(s, sums + i, x + i / vectors, i % vectors * 8);
        return;
    }
    __m256i q[4] = {_mm256_setzero_si256(), _mm256_setzero_si256(), _mm256_setzero_si256(),
                    _mm256_setzero_si256()};
    const uint8_t *residual = s->band->residual;
#    pragma GCC unroll 4
    for (int i = 0; i < 2 * vectors; i++) {
        const int64_t at = (x + i / vectors) * c->residual.pixel + s->oc + i % vectors * 8;
        __m256 v = scaled(acc[i], s->mul + i % vectors * 8, s->add + i % vectors * 8);
        if (residual != NULL)
            v = with_residual(v, _mm_loadl_epi64((const __m128i *)(const void *)(residual + at)),
                              c->residual_mul);
        q[i] = rounded(v);
    }
    if (vectors == 2) {
        store4(s, q, 0, 2, x);
        return;
    }
    const __m128i out = _mm256_castsi256_si128(pack4(q));
    uint8_t *dst = (uint8_t *)s->band->dst + x * c->oc + s->oc;
    store_halves(dst, dst + c->oc, out);
}

// Tiles from `t` on, 8 * vectors channels.
TILE void winograd_block(const tile_store s[2], const int16_t *v, const int16_t *w, int64_t t,
                         int tiles, int vectors) {
    const sac_u8_conv *c = s->c;
    const winograd_shape *shape = &shapes[c->sw - 1];
    const int64_t words = sac_u8_winograd_words(c);
    const int64_t block = sac_u8_winograd_blocks(c) * words * 8;
    const int count = tiles * vectors;
    __m256i m[16 * 12];
    for (int i = 0; i < shape->positions; i++) {
        const int64_t run = (shape->first[i + 1] - shape->first[i]) * words;
        const int16_t *src = v + shape->first[i] * tiles * words;
        __m256i acc[12];
#    pragma GCC unroll 12
        for (int k = 0; k < count; k++) acc[k] = _mm256_setzero_si256();
        for (int64_t k = 0; k < run; k += 2, src += 2, w += 16)
            step_of(acc, src, w, block, tiles, vectors, run);
#    pragma GCC unroll 12
        for (int k = 0; k < count; k++) m[count * i + k] = acc[k];
    }
    for (int k = 0; k < tiles; k++) {
        __m256i y[2][2][2]; // of each vector, row and place
#    pragma GCC unroll 2
        for (int b = 0; b < vectors; b++) {
            if (c->sw == 1) {
                sums_stride1(y[b], m + vectors * k + b, count);
            } else {
                sums_stride2(y[b], m + vectors * k + b, count);
            }
        }
#    pragma GCC unroll 2
        for (int i = 0; i < 2; i++) {
            __m256i acc[4];
#    pragma GCC unroll 4
            for (int j = 0; j < 2 * vectors; j++) acc[j] = y[j % vectors][i][j / vectors];
            if (s[i].band->dst != NULL) places_out(&s[i], acc, vectors, 2 * (t + k));
        }
    }
}

#    define WINOGRAD(vectors, tiles)                                                               \
        TARGET static void winograd_##vectors##_##tiles(const tile_store s[2], const int16_t *v,   \
                                                        const int16_t *w, int64_t t) {             \
            winograd_block(s, v, w, t, tiles, vectors);                                            \
        }
WINOGRAD(1, 3)
WINOGRAD(2, 3)
#    if !defined(SAC_CLONES_SANITIZED)
WINOGRAD(1, 4)
WINOGRAD(1, 5)
WINOGRAD(1, 6)
WINOGRAD(2, 4)
WINOGRAD(2, 5)
WINOGRAD(2, 6)
#    endif

void sac_u8_winograd_pair(const sac_u8_conv *c, const void *packed, int16_t *v,
                          const int16_t *const rows[5], const sac_u8_band band[2]) {
    static void (*const ways[2][MOST_TILES - 2])(const tile_store *, const int16_t *,
                                                 const int16_t *, int64_t) = {
#    if defined(SAC_CLONES_SANITIZED)
        {winograd_1_3},
        {winograd_2_3}
#    else
        {winograd_1_3, winograd_1_4, winograd_1_5, winograd_1_6},
        {winograd_2_3, winograd_2_4, winograd_2_5, winograd_2_6}
#    endif
    };
    const int64_t tiles = winograd_tiles(c), blocks = (tiles + MOST_TILES - 1) / MOST_TILES;
    const int64_t equal = (tiles + blocks - 1) / blocks, each = equal > 3 ? equal : 3;
    const int64_t eight = sac_u8_winograd_blocks(c) * sac_u8_winograd_words(c) * 8;
    const float *mul = packed, *add = mul + sac_u8_ocp(c);
    const int16_t *w = (const int16_t *)(const void *)sac_u8_weights(c, packed);
    for (int64_t b = 0; b < blocks; b++) {
        // The last block is moved left to end with the row.
        const int64_t t = (b + 1) * each <= tiles ? b * each : tiles - each;
        tiles_transform(c, v, rows, t, each);
        for (int64_t oc = 0; oc < c->oc; oc += 16) {
            tile_store s[2];
            for (int i = 0; i < 2; i++)
                s[i] = (tile_store){
                    .c = c, .band = &band[i], .mul = mul + oc, .add = add + oc, .oc = oc};
            ways[c->oc - oc > 8][each - 3](s, v, w + oc / 8 * eight, t);
        }
    }
}

#endif
