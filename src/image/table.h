/* Counting colors of any key of up to 64 bits: an open-addressing hash table with linear probing. */
#ifndef FASTCLUSTER_EXT_TABLE_H
#define FASTCLUSTER_EXT_TABLE_H

#include <stdlib.h>
#include "pixels.h"

typedef struct {
    uint64_t key;
    int64_t value; /* a count while counting, 1 + rank when expanding; 0 marks a free slot */
} table_slot;

typedef struct {
    table_slot *slots;
    ptrdiff_t used;
    int bits; /* 2**bits slots, at most half of them used */
} color_table;

/* Returns 0 when memory is short. */
static inline int table_create(color_table *table, int bits) {
    table->bits = bits;
    table->used = 0;
    table->slots = (table_slot *)calloc((size_t)1 << bits, sizeof(table_slot));
    return table->slots != NULL;
}

static inline void table_destroy(color_table *table) {
    free(table->slots);
    table->slots = NULL;
}

/* The slot of `key`, or the free slot where it belongs. Fibonacci hashing: the high bits of a product are well mixed. */
FC_INLINE table_slot *table_find(const color_table *table, uint64_t key) {
    const size_t mask = ((size_t)1 << table->bits) - 1;
    size_t at = (size_t)((key * 0x9E3779B97F4A7C15u) >> (64 - table->bits));
    while (table->slots[at].value && table->slots[at].key != key) at = (at + 1) & mask;
    return table->slots + at;
}

/* Adds to a key's value, making room for it as needed; returns 0 when memory is short. */
static inline int table_add(color_table *table, uint64_t key, int64_t value) {
    table_slot *slot = table_find(table, key);
    if (!slot->value) {
        if (2 * (table->used + 1) > (ptrdiff_t)1 << table->bits) {
            color_table larger;
            if (!table_create(&larger, table->bits + 1)) return 0;
            for (ptrdiff_t i = 0; i < (ptrdiff_t)1 << table->bits; i++) {
                if (table->slots[i].value) *table_find(&larger, table->slots[i].key) = table->slots[i];
            }
            larger.used = table->used;
            table_destroy(table);
            *table = larger;
            slot = table_find(table, key);
        }
        slot->key = key;
        table->used++;
    }
    slot->value += value;
    return 1;
}

/* Counts pixels; those of zero alpha (the key's last byte or 16 bits) are left out if transparent_mask is not 0. */
static inline int table_count(const pixels *image, ptrdiff_t start, ptrdiff_t stop, uint64_t transparent_mask,
                              color_table *table) {
    uint64_t previous = 0;
    table_slot *slot = NULL; /* of the previous pixel: neighbors are often equal */
    PIXELS_FOR_EACH(image, start, stop, {
        if (slot && key == previous) {
            slot->value++;
            continue;
        }
        if (transparent_mask && !(key & transparent_mask)) continue;
        if (!table_add(table, key, 1)) return 0;
        previous = key;
        slot = table_find(table, key);
    })
    return 1;
}

/* Adds all of `from`; returns 0 when memory is short. */
static inline int table_merge(color_table *into, const color_table *from) {
    for (ptrdiff_t i = 0; i < (ptrdiff_t)1 << from->bits; i++) {
        if (from->slots[i].value && !table_add(into, from->slots[i].key, from->slots[i].value)) return 0;
    }
    return 1;
}

static inline void table_keys(const color_table *table, uint64_t *keys) {
    for (ptrdiff_t i = 0; i < (ptrdiff_t)1 << table->bits; i++) {
        if (table->slots[i].value) *keys++ = table->slots[i].key;
    }
}

/* From counts to ranks: the sorted keys' counts are written out, and every slot becomes 1 + rank. */
static inline void table_rank(color_table *table, const uint64_t *keys, ptrdiff_t n, int64_t *counts) {
    for (ptrdiff_t i = 0; i < n; i++) {
        table_slot *slot = table_find(table, keys[i]);
        counts[i] = slot->value;
        slot->value = 1 + i;
    }
}

/* out[n] = values[rank of pixel n]; values[used] where the pixel is transparent. Returns 0 as soon as a color is met
 * that was not counted. */
#define TABLE_EXPAND(type)                                                                                             \
    static inline int table_expand_##type(const pixels *image, ptrdiff_t start, ptrdiff_t stop,                        \
                                          uint64_t transparent_mask, const color_table *table,                         \
                                          const type##_t *values, type##_t *restrict out) {                            \
        uint64_t previous = 0;                                                                                         \
        type##_t value = 0;                                                                                            \
        int known = 0;                                                                                                 \
        PIXELS_FOR_EACH(image, start, stop, {                                                                          \
            if (!known || key != previous) {                                                                           \
                if (transparent_mask && !(key & transparent_mask)) {                                                   \
                    value = values[table->used];                                                                       \
                } else {                                                                                               \
                    const table_slot *slot = table_find(table, key);                                                   \
                    if (!slot->value) return 0;                                                                        \
                    value = values[slot->value - 1];                                                                   \
                }                                                                                                      \
                previous = key;                                                                                        \
                known = 1;                                                                                             \
            }                                                                                                          \
            out[n] = value;                                                                                            \
        })                                                                                                             \
        return 1;                                                                                                      \
    }
TABLE_EXPAND(uint8)
TABLE_EXPAND(uint16)
TABLE_EXPAND(uint32)

#endif
