/* Equal rows found by hashing: O(n) expected time, 8 to 16 bytes a row. */
#ifndef FASTCLUSTER_EXT_EQUAL_ROWS_H
#define FASTCLUSTER_EXT_EQUAL_ROWS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Slots for n rows: a power of two, at most half of them full. */
static inline ptrdiff_t equal_rows_slots(ptrdiff_t n) {
    ptrdiff_t slots = 4;
    while (slots < 2 * n) slots *= 2;
    return slots;
}

static inline uint64_t equal_rows_hash(const double *row, ptrdiff_t p) {
    uint64_t hash = 0x9E3779B97F4A7C15u;
    for (ptrdiff_t c = 0; c < p; c++) {
        const double value = row[c] + 0.0; /* -0 equals 0 */
        uint64_t bits;
        memcpy(&bits, &value, sizeof bits);
        hash = (hash ^ bits) * 0xD6E8FEB86659FD93u;
        hash ^= hash >> 32;
    }
    return hash;
}

/* first[row]: the lowest of the rows equal to it. points: n x p; slots: as many as equal_rows_slots(n) says. */
static inline void equal_rows(const double *points, ptrdiff_t n, ptrdiff_t p, int32_t *slots, int32_t *first) {
    const uint64_t mask = (uint64_t)equal_rows_slots(n) - 1;
    for (uint64_t s = 0; s <= mask; s++) slots[s] = -1;
    for (ptrdiff_t row = 0; row < n; row++) {
        uint64_t slot = equal_rows_hash(points + row * p, p) & mask;
        for (; slots[slot] >= 0; slot = (slot + 1) & mask) {
            const double *other = points + slots[slot] * p;
            ptrdiff_t c = 0;
            while (c < p && other[c] == points[row * p + c]) c++;
            if (c == p) break;
        }
        if (slots[slot] < 0) slots[slot] = (int32_t)row;
        first[row] = slots[slot];
    }
}

#endif
