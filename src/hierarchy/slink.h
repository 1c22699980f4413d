/* One row of SLINK: the observation `row` joins the single-linkage tree of all later ones.
 *
 * The tree is two arrays: level[j], the height at which j's cluster first meets an earlier observation, and link[j], the
 * last (here: lowest) one of the cluster it then joins. Both loops are branch-free.
 */
#ifndef FASTCLUSTER_EXT_SLINK_H
#define FASTCLUSTER_EXT_SLINK_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include "triangle.h"

/* Single precision leaves 29 bits of a double free. Filled with a distance's place they make equal distances differ, so
 * that the tree is unique, without changing the order of others. Infinity stays as it is. */
#define SLINK_PLACE_BITS 29

FC_INLINE double slink_with_place(float distance, ptrdiff_t row, ptrdiff_t column) {
    const double wide = distance;
    int64_t bits;
    memcpy(&bits, &wide, sizeof(bits));
    bits |= isinf(distance) ? 0 : (int64_t)((row & 0x3fff) << 15 | (column & 0x7fff));
    double placed;
    memcpy(&placed, &bits, sizeof(placed));
    return placed;
}

static inline void slink_reach_f32(const float *distances, ptrdiff_t row, ptrdiff_t n, double *restrict reach) {
    for (ptrdiff_t j = row + 1; j < n; j++) reach[j] = slink_with_place(distances[j - row - 1], row, j);
}

static inline void slink_reach_f64(const double *distances, ptrdiff_t row, ptrdiff_t n, double *restrict reach) {
    memcpy(reach + row + 1, distances, (size_t)(n - 1 - row) * sizeof(double));
}

/* `reach` holds the distances of `row` to all later observations, and is used up. */
static inline void slink_row(ptrdiff_t row, ptrdiff_t n, double *restrict level, int32_t *restrict link,
                             double *restrict reach) {
    level[row] = INFINITY;
    link[row] = (int32_t)row;
    for (ptrdiff_t j = n - 1; j > row; j--) {
        const double now = reach[j], before = level[j];
        const ptrdiff_t next = link[j];
        const double carried = before > now ? before : now, known = reach[next];
        reach[next] = known < carried ? known : carried;
        level[j] = before > now ? now : before;
        link[j] = before >= now ? (int32_t)row : (int32_t)next;
    }
    for (ptrdiff_t j = row + 1; j < n; j++) {
        const int32_t next = link[j];
        link[j] = level[j] >= level[next] ? (int32_t)row : next;
        KEEP_SCALAR;
    }
}

#endif
