/* Counting colors whose key has at most 24 bits: one bit a possible color, and its rank among those that occur.
 *
 * The bitmap (2 MiB for RGB) and the table of ranks (4 MiB) stay in cache however large the image is; the counters are
 * as many as there are distinct colors. A table of one counter a possible color would be 64 MiB, most of it untouched.
 */
#ifndef FASTCLUSTER_EXT_RANKS_H
#define FASTCLUSTER_EXT_RANKS_H

#include "pixels.h"

typedef struct {
    uint32_t bits;   /* which of 32 consecutive keys occur */
    uint32_t before; /* how many lesser keys occur */
} rank_entry;

/* Set the bit of every pixel's color. */
static inline void ranks_mark(const pixels *image, ptrdiff_t start, ptrdiff_t stop, uint32_t *bitmap) {
    PIXELS_FOR_EACH(image, start, stop, {
        const uint32_t bit = 1u << (key & 31);
        /* Nearly all bits are set early on; not writing again keeps the loads independent of each other. */
        if (!(bitmap[key >> 5] & bit)) bitmap[key >> 5] |= bit;
    })
}

/* Ranks from the union of several bitmaps; returns the number of colors. */
static inline ptrdiff_t ranks_build(const uint32_t *bitmaps, ptrdiff_t n_bitmaps, ptrdiff_t words, rank_entry *ranks) {
    uint32_t before = 0;
    for (ptrdiff_t w = 0; w < words; w++) {
        uint32_t bits = 0;
        for (ptrdiff_t b = 0; b < n_bitmaps; b++) bits |= bitmaps[b * words + w];
        ranks[w].bits = bits;
        ranks[w].before = before;
        before += (uint32_t)__builtin_popcount(bits);
    }
    return before;
}

FC_INLINE uint32_t ranks_of(const rank_entry *ranks, uint64_t key) {
    const rank_entry entry = ranks[key >> 5];
    return entry.before + (uint32_t)__builtin_popcount(entry.bits & ((1u << (key & 31)) - 1u));
}

/* counts[rank] += 1 for every pixel. */
static inline void ranks_count(const pixels *image, ptrdiff_t start, ptrdiff_t stop, const rank_entry *ranks,
                               uint32_t *counts) {
    PIXELS_FOR_EACH(image, start, stop, { counts[ranks_of(ranks, key)]++; })
}

/* The same into counters that all threads share: for images with so many colors that each thread's own would not fit. */
static inline void ranks_count_shared(const pixels *image, ptrdiff_t start, ptrdiff_t stop, const rank_entry *ranks,
                                      uint32_t *counts) {
    PIXELS_FOR_EACH(image, start, stop, { __atomic_fetch_add(&counts[ranks_of(ranks, key)], 1u, __ATOMIC_RELAXED); })
}

/* The keys that occur, ascending. */
static inline void ranks_keys(const rank_entry *ranks, ptrdiff_t words, uint64_t *keys) {
    for (ptrdiff_t w = 0; w < words; w++) {
        for (uint32_t bits = ranks[w].bits; bits; bits &= bits - 1) {
            *keys++ = (uint64_t)w << 5 | (uint64_t)__builtin_ctz(bits);
        }
    }
}

/* out[n] = values[rank of pixel n]; returns 0 as soon as a color is met that was not counted. */
#define RANKS_EXPAND(type)                                                                                             \
    static inline int ranks_expand_##type(const pixels *image, ptrdiff_t start, ptrdiff_t stop,                        \
                                          const rank_entry *ranks, const type##_t *values, type##_t *restrict out) {   \
        PIXELS_FOR_EACH(image, start, stop, {                                                                          \
            if (!(ranks[key >> 5].bits >> (key & 31) & 1u)) return 0;                                                  \
            out[n] = values[ranks_of(ranks, key)];                                                                     \
        })                                                                                                             \
        return 1;                                                                                                      \
    }
RANKS_EXPAND(uint8)
RANKS_EXPAND(uint16)
RANKS_EXPAND(uint32)

#endif
