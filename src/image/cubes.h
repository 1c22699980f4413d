/* Counting colors whose key has at most 24 bits: one counter for every possible color, similar colors side by side.
 *
 * A counter has 8 bits, so all those of RGB are 16 MiB, of which a photo uses little: its colors lie close together.
 * Their place in the table is therefore not the key, which has only one channel's neighbors near each other, but the
 * bits of the channels interleaved: a cache line holds 4 x 4 x 4 colors, a page 16 x 16 x 16, and a page that no color
 * falls into is never touched. Both passes, counting and looking up, are then one load or two a pixel, most of them from
 * the first two levels of cache. A counter that runs over is noted in a list.
 */
#ifndef FASTCLUSTER_EXT_CUBES_H
#define FASTCLUSTER_EXT_CUBES_H

#include <stdlib.h>
#include "pixels.h"

#define CUBES_BATCH 256 /* pixels whose places are found at a time */

typedef struct {
    uint32_t of_byte[3][256]; /* the place of a key is the sum of its three bytes' (most significant first) */
    int key_bits;             /* 8, 16 or 24 */
    ptrdiff_t size;           /* 2**key_bits places */
    ptrdiff_t slabs;          /* equal ranges that keys and places have in common */
} cube_places;

/* Keys of 8 or 16 bits are their own places. A place for RGB: five high bits of each channel, then r g b r g b r g b. */
static inline void cubes_arrange(cube_places *places, int key_bits) {
    places->key_bits = key_bits;
    places->size = (ptrdiff_t)1 << key_bits;
    places->slabs = key_bits < 24 ? 1 : 32;
    for (uint32_t value = 0; value < 256; value++) {
        for (int channel = 0; channel < 3; channel++) {
            const uint32_t spread = (value & 1) | (value & 2) << 2 | (value & 4) << 4;
            places->of_byte[channel][value] = key_bits < 24 ? value << (8 * (2 - channel))
                                                            : value >> 3 << (19 - 5 * channel) | spread << (2 - channel);
        }
    }
}

FC_INLINE uint32_t cubes_place(const cube_places *places, uint64_t key) {
    return places->of_byte[0][key >> 16] | places->of_byte[1][key >> 8 & 255] | places->of_byte[2][key & 255];
}

#if defined(__SSSE3__)
#define CUBES_RGB_AT_ONCE (4 * CUBES_HALVES)
#define CUBES_RGB_SPARE 2 /* pixels behind those, of which bytes are read */
#if defined(__AVX2__)
#define CUBES_HALVES 2
typedef __m256i cubes_vector;
#define CUBES_DO(operation) _mm256_##operation
FC_INLINE cubes_vector cubes_table(__m128i table) { return _mm256_broadcastsi128_si256(table); }
FC_INLINE cubes_vector cubes_load(const uint8_t *rgb) {
    const __m128i low = _mm_loadu_si128((const __m128i *)rgb), high = _mm_loadu_si128((const __m128i *)(rgb + 12));
    return _mm256_inserti128_si256(_mm256_castsi128_si256(low), high, 1);
}
FC_INLINE void cubes_store(uint32_t *out, cubes_vector a) { _mm256_storeu_si256((__m256i *)out, a); }
FC_INLINE cubes_vector cubes_or(cubes_vector a, cubes_vector b) { return _mm256_or_si256(a, b); }
FC_INLINE cubes_vector cubes_and(cubes_vector a, cubes_vector b) { return _mm256_and_si256(a, b); }
#else
#define CUBES_HALVES 1
typedef __m128i cubes_vector;
#define CUBES_DO(operation) _mm_##operation
FC_INLINE cubes_vector cubes_table(__m128i table) { return table; }
FC_INLINE cubes_vector cubes_load(const uint8_t *rgb) { return _mm_loadu_si128((const __m128i *)rgb); }
FC_INLINE void cubes_store(uint32_t *out, cubes_vector a) { _mm_storeu_si128((__m128i *)out, a); }
FC_INLINE cubes_vector cubes_or(cubes_vector a, cubes_vector b) { return _mm_or_si128(a, b); }
FC_INLINE cubes_vector cubes_and(cubes_vector a, cubes_vector b) { return _mm_and_si128(a, b); }
#endif

/* The places of CUBES_RGB_AT_ONCE pixels of r, g, b. Spreading the three low bits of a byte is a table look-up, and
 * shifting the channels to their positions and joining them is a sum of products with powers of two. */
FC_INLINE void cubes_places_rgb(const uint8_t *rgb, uint32_t *places) {
    const cubes_vector to_bgr = cubes_table(_mm_setr_epi8(2, 1, 0, -1, 5, 4, 3, -1, 8, 7, 6, -1, 11, 10, 9, -1));
    const cubes_vector spread = cubes_table(_mm_setr_epi8(0, 1, 8, 9, 64, 65, 72, 73, 0, 0, 0, 0, 0, 0, 0, 0));
    const cubes_vector bgr = CUBES_DO(shuffle_epi8)(cubes_load(rgb), to_bgr);
    const cubes_vector low = CUBES_DO(shuffle_epi8)(spread, cubes_and(bgr, CUBES_DO(set1_epi32)(0x070707)));
    const cubes_vector high = cubes_and(CUBES_DO(srli_epi32)(bgr, 3), CUBES_DO(set1_epi32)(0x1f1f1f));
    const cubes_vector in_cube =
        CUBES_DO(madd_epi16)(CUBES_DO(maddubs_epi16)(low, CUBES_DO(set1_epi32)(4 << 16 | 2 << 8 | 1)),
                             CUBES_DO(set1_epi32)(1 << 16 | 1));
    const cubes_vector cube =
        CUBES_DO(madd_epi16)(CUBES_DO(maddubs_epi16)(high, CUBES_DO(set1_epi32)(1 << 16 | 32 << 8 | 1)),
                             CUBES_DO(set1_epi32)(1024 << 16 | 1));
    cubes_store(places, cubes_or(CUBES_DO(slli_epi32)(cube, 9), in_cube));
}
#endif

/* The places of pixels [at, at + CUBES_BATCH), or of fewer to the end of the row or to `stop`; returns how many. */
FC_INLINE ptrdiff_t cubes_batch(const pixels *image, ptrdiff_t at, ptrdiff_t stop, const cube_places *places,
                                uint32_t *out) {
    const char *memory;
    const ptrdiff_t run = pixels_run(image, at, stop, &memory), n = run < CUBES_BATCH ? run : CUBES_BATCH;
    ptrdiff_t i = 0;
#if defined(__SSSE3__)
    if (pixels_dense_rgb(image)) {
        /* Nothing is read behind the run, which may be the end of the memory. */
        for (; i + CUBES_RGB_AT_ONCE <= n && i + CUBES_RGB_AT_ONCE + CUBES_RGB_SPARE <= run; i += CUBES_RGB_AT_ONCE) {
            cubes_places_rgb((const uint8_t *)memory + 3 * i, out + i);
        }
    }
#endif
    for (; i < n; i++) {
        out[i] = cubes_place(places, pixels_key_any(memory + i * image->column_stride, image->channels,
                                                    image->channel_stride, image->item_size));
    }
    return n;
}

/* The key at a place: the inverse of cubes_place. */
FC_INLINE uint32_t cubes_key(const cube_places *places, uint32_t place) {
    if (places->key_bits < 24) return place;
    uint32_t key = 0;
    for (int channel = 0; channel < 3; channel++) {
        const uint32_t spread = place >> (2 - channel);
        const uint32_t value =
            (place >> (19 - 5 * channel) & 31) << 3 | (spread & 1) | (spread >> 2 & 2) | (spread >> 4 & 4);
        key |= value << (8 * (2 - channel));
    }
    return key;
}

/* What one thread has counted. All of it starts as zeros. */
typedef struct {
    uint8_t *counters; /* by place, modulo 256 */
    uint32_t *bitmap;  /* by key: which ones occur */
    uint32_t *wraps;   /* places, as often as their counter ran over; room for one in 256 pixels */
    ptrdiff_t n_wraps;
} cube_tally;

/* Returns 0 when memory is short. */
static inline int cubes_tally_create(cube_tally *tally, const cube_places *places, ptrdiff_t n_pixels) {
    /* The system zeroes a page when it is first written to. */
    tally->counters = (uint8_t *)calloc((size_t)places->size, 1);
    tally->bitmap = (uint32_t *)calloc((size_t)places->size / 32, sizeof(uint32_t));
    tally->wraps = (uint32_t *)malloc((size_t)(n_pixels / 256 + 1) * sizeof(uint32_t));
    tally->n_wraps = 0;
    return tally->counters && tally->bitmap && tally->wraps;
}

static inline void cubes_tally_destroy(cube_tally *tally) {
    free(tally->counters);
    free(tally->bitmap);
    free(tally->wraps);
}

static inline void cubes_count(const pixels *image, ptrdiff_t start, ptrdiff_t stop, const cube_places *places,
                               cube_tally *tally) {
    uint32_t place[CUBES_BATCH];
    uint8_t *const counters = tally->counters;
    for (ptrdiff_t at = start, n; at < stop; at += n) {
        n = cubes_batch(image, at, stop, places, place);
        for (ptrdiff_t i = 0; i < n; i++) {
            const uint8_t count = ++counters[place[i]];
            if (count > 1) continue;
            if (count == 0) {
                tally->wraps[tally->n_wraps++] = place[i];
            } else {
                const uint32_t key = cubes_key(places, place[i]);
                tally->bitmap[key >> 5] |= 1u << (key & 31);
            }
        }
    }
}

/* Joins a slab of all bitmaps in the first one; returns the number of keys in it. */
static inline ptrdiff_t cubes_join(const cube_places *places, cube_tally *tallies, int n_tallies, ptrdiff_t slab) {
    const ptrdiff_t words = places->size / 32;
    ptrdiff_t used = 0;
    for (ptrdiff_t w = slab * words / places->slabs; w < (slab + 1) * words / places->slabs; w++) {
        uint32_t bits = tallies[0].bitmap[w];
        for (int t = 1; t < n_tallies; t++) bits |= tallies[t].bitmap[w];
        if (!bits) continue;
        tallies[0].bitmap[w] = bits;
        used += __builtin_popcount(bits);
    }
    return used;
}

/* The keys of a slab, ascending, the first of which has rank `rank`; how often they were counted, modulo 256; and the
 * rank of every word's first key. */
static inline void cubes_collect(const cube_places *places, const cube_tally *tallies, int n_tallies, ptrdiff_t slab,
                                 ptrdiff_t rank, uint32_t *ranks, uint64_t *keys, int64_t *counts) {
    const ptrdiff_t words = places->size / 32;
    for (ptrdiff_t w = slab * words / places->slabs; w < (slab + 1) * words / places->slabs; w++) {
        uint32_t bits = tallies[0].bitmap[w];
        if (bits) ranks[w] = (uint32_t)rank;
        for (; bits; bits &= bits - 1, rank++) {
            const uint32_t key = (uint32_t)w << 5 | (uint32_t)__builtin_ctz(bits), place = cubes_place(places, key);
            int64_t count = 0;
            for (int t = 0; t < n_tallies; t++) count += tallies[t].counters[place];
            keys[rank] = key;
            counts[rank] = count;
        }
    }
}

/* Adds 256 for every time that a counter ran over. `joined` has the bitmap of all keys. */
static inline void cubes_carry(const cube_places *places, const cube_tally *joined, const cube_tally *tally,
                               const uint32_t *ranks, int64_t *counts) {
    for (ptrdiff_t i = 0; i < tally->n_wraps; i++) {
        const uint32_t key = cubes_key(places, tally->wraps[i]);
        const uint32_t below = joined->bitmap[key >> 5] & ((1u << (key & 31)) - 1u);
        counts[ranks[key >> 5] + (uint32_t)__builtin_popcount(below)] += 256;
    }
}

/* Labels of the colors by place, as codes of 8, 16 or 32 bits of which 0 means: no such color.
 *
 * Codes of 8 and 16 bits are labels plus 1, those of 32 bits are labels with their highest bit turned over; a label
 * that would have code 0 does not occur. */
#define CUBES_ENCODE(bits, from_label, to_label)                                                                       \
    static inline void cubes_encode_##bits(const cube_places *places, const uint64_t *keys, ptrdiff_t start,           \
                                           ptrdiff_t stop, const void *labels, int label_size, void *codes) {          \
        for (ptrdiff_t i = start; i < stop; i++) {                                                                     \
            const uint32_t label = label_size == 1   ? ((const uint8_t *)labels)[i]                                    \
                                   : label_size == 2 ? ((const uint16_t *)labels)[i]                                   \
                                                     : ((const uint32_t *)labels)[i];                                  \
            ((uint##bits##_t *)codes)[cubes_place(places, keys[i])] = (uint##bits##_t)(from_label);                    \
        }                                                                                                              \
    }                                                                                                                  \
                                                                                                                       \
    /* out[n] = the label of pixel n; returns 0 as soon as a color is met that has none. */                            \
    static inline int cubes_expand_##bits(const pixels *image, ptrdiff_t start, ptrdiff_t stop,                        \
                                          const cube_places *places, const void *codes, int label_size, void *out) {   \
        uint32_t place[CUBES_BATCH];                                                                                   \
        uint##bits##_t found[CUBES_BATCH];                                                                             \
        for (ptrdiff_t at = start, n; at < stop; at += n) {                                                            \
            int unknown = 0;                                                                                           \
            n = cubes_batch(image, at, stop, places, place);                                                           \
            _Pragma("GCC unroll 8") for (ptrdiff_t i = 0; i < n; i++) {                                                \
                found[i] = ((const uint##bits##_t *)codes)[place[i]];                                                  \
            }                                                                                                          \
            for (ptrdiff_t i = 0; i < n; i++) unknown |= found[i] == 0;                                                \
            if (unknown) return 0;                                                                                     \
            if (label_size == 1) {                                                                                     \
                for (ptrdiff_t i = 0; i < n; i++) {                                                                    \
                    const uint##bits##_t code = found[i];                                                              \
                    ((uint8_t *)out)[at + i] = (uint8_t)(to_label);                                                    \
                }                                                                                                      \
            } else if (label_size == 2) {                                                                              \
                for (ptrdiff_t i = 0; i < n; i++) {                                                                    \
                    const uint##bits##_t code = found[i];                                                              \
                    ((uint16_t *)out)[at + i] = (uint16_t)(to_label);                                                  \
                }                                                                                                      \
            } else {                                                                                                   \
                for (ptrdiff_t i = 0; i < n; i++) {                                                                    \
                    const uint##bits##_t code = found[i];                                                              \
                    ((uint32_t *)out)[at + i] = (uint32_t)(to_label);                                                  \
                }                                                                                                      \
            }                                                                                                          \
        }                                                                                                              \
        return 1;                                                                                                      \
    }
CUBES_ENCODE(8, label + 1u, code - 1u)
CUBES_ENCODE(16, label + 1u, code - 1u)
CUBES_ENCODE(32, label ^ 0x80000000u, code ^ 0x80000000u)

#endif
