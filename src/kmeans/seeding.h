/* One chunk of greedy k-means++: what the potential would be with each candidate, and taking one of them.
 *
 * All in float64 with eight fixed partial sums, so every build and every number of threads draws the same seeds.
 *
 * Where the rows of a chunk lie in a known box, a candidate that is no nearer to the box than the chunk's row farthest
 * from its seed is from the seed changes nothing there, and is not looked at. Differences, squares and sums are rounded
 * in the same order for a box as for a row, and rounding preserves order: no computed distance is less than that of the
 * box, so what is skipped would not have changed a bit.
 */
#ifndef FASTCLUSTER_EXT_SEEDING_H
#define FASTCLUSTER_EXT_SEEDING_H

#include <math.h>
#include "common/matrix.h"

#define SEEDING_TILE 256
#define SEEDING_LANES 8

/* Scratch of one thread, in bytes: p columns of a tile, and its distances. */
static inline size_t seeding_scratch_bytes(ptrdiff_t p) { return (size_t)(p + 1) * SEEDING_TILE * sizeof(double); }

FC_INLINE void seeding_distances(const double *columns, ptrdiff_t p, const double *center, double *restrict squared) {
    for (ptrdiff_t r = 0; r < SEEDING_TILE; r++) squared[r] = 0;
    for (ptrdiff_t i = 0; i < p; i++) {
        const double c = center[i];
        const double *restrict x = columns + i * SEEDING_TILE;
        for (ptrdiff_t r = 0; r < SEEDING_TILE; r++) {
            const double difference = x[r] - c;
            squared[r] += difference * difference;
        }
    }
}

/* Sum of weight x value in eight interleaved sums, added up in order. */
FC_INLINE double seeding_sum(const double *restrict values, const double *weights, ptrdiff_t count) {
    double lanes[SEEDING_LANES] = {0}, sum = 0;
    ptrdiff_t r = 0;
    for (; r + SEEDING_LANES <= count; r += SEEDING_LANES) {
        for (int l = 0; l < SEEDING_LANES; l++) lanes[l] += weights ? weights[r + l] * values[r + l] : values[r + l];
    }
    for (; r < count; r++) lanes[r % SEEDING_LANES] += weights ? weights[r] * values[r] : values[r];
    for (int l = 0; l < SEEDING_LANES; l++) sum += lanes[l];
    return sum;
}

/* What is known about a chunk. */
typedef struct {
    double potential; /* sum of weight x squared distance to the nearest seed */
    double largest;   /* at least the largest of those distances; infinite before there is a seed */
} seeding_chunk;

/* The squared distance of a center to a box: p least, then p greatest coordinates. */
FC_INLINE double seeding_box_distance(const double *box, const double *center, ptrdiff_t p) {
    double squared = 0;
    for (ptrdiff_t i = 0; i < p; i++) {
        const double below = box[i] - center[i], above = center[i] - box[p + i];
        const double outside = below > above ? below : above, difference = outside > 0 ? outside : 0;
        squared += difference * difference;
    }
    return squared;
}

/* Is a center too far from a chunk to be the nearest seed of any of its rows? */
FC_INLINE int seeding_far(const double *box, const double *center, ptrdiff_t p, double largest) {
    return box && largest < INFINITY && seeding_box_distance(box, center, p) >= largest;
}

/* potentials[c] of rows [start, stop): the sum of weight x min(closest, squared distance to candidate c). box: that of
 * the rows, or NULL. near: scratch, n_candidates. */
static inline void seeding_potentials(const matrix *points, const double *weights, const double *candidates,
                                      ptrdiff_t n_candidates, ptrdiff_t start, ptrdiff_t stop, const double *box,
                                      const seeding_chunk *chunk, const double *closest, double *scratch,
                                      int32_t *near, double *potentials) {
    const ptrdiff_t p = points->n_columns;
    double *columns = scratch, *squared = scratch + p * SEEDING_TILE;
    ptrdiff_t n_near = 0;
    for (ptrdiff_t c = 0; c < n_candidates; c++) {
        const int far = seeding_far(box, candidates + c * p, p, chunk->largest);
        potentials[c] = far ? chunk->potential : 0;
        near[n_near] = (int32_t)c;
        n_near += !far;
    }
    if (n_near == 0) return;
    for (ptrdiff_t at = start; at < stop; at += SEEDING_TILE) {
        const ptrdiff_t count = stop - at < SEEDING_TILE ? stop - at : SEEDING_TILE;
        matrix_columns_f64(points, at, count, columns, SEEDING_TILE);
        for (ptrdiff_t a = 0; a < n_near; a++) {
            seeding_distances(columns, p, candidates + near[a] * p, squared);
            for (ptrdiff_t r = 0; r < count; r++) squared[r] = closest[at + r] < squared[r] ? closest[at + r] : squared[r];
            potentials[near[a]] += seeding_sum(squared, weights ? weights + at : NULL, count);
        }
    }
}

/* closest becomes min(closest, squared distance to center), and the chunk follows. */
static inline void seeding_take(const matrix *points, const double *weights, const double *center, ptrdiff_t start,
                                ptrdiff_t stop, const double *box, seeding_chunk *chunk, double *closest,
                                double *scratch) {
    const ptrdiff_t p = points->n_columns;
    double *columns = scratch, *squared = scratch + p * SEEDING_TILE, potential = 0, largest[SEEDING_LANES] = {0};
    if (seeding_far(box, center, p, chunk->largest)) return;
    for (ptrdiff_t at = start; at < stop; at += SEEDING_TILE) {
        const ptrdiff_t count = stop - at < SEEDING_TILE ? stop - at : SEEDING_TILE;
        matrix_columns_f64(points, at, count, columns, SEEDING_TILE);
        seeding_distances(columns, p, center, squared);
        for (ptrdiff_t r = 0; r < count; r++) closest[at + r] = closest[at + r] < squared[r] ? closest[at + r] : squared[r];
        potential += seeding_sum(closest + at, weights ? weights + at : NULL, count);
        for (ptrdiff_t r = 0; r + SEEDING_LANES <= count; r += SEEDING_LANES) {
            for (int l = 0; l < SEEDING_LANES; l++) {
                largest[l] = closest[at + r + l] > largest[l] ? closest[at + r + l] : largest[l];
            }
        }
        for (ptrdiff_t r = count - count % SEEDING_LANES; r < count; r++) {
            largest[0] = closest[at + r] > largest[0] ? closest[at + r] : largest[0];
        }
    }
    for (int l = 1; l < SEEDING_LANES; l++) largest[0] = largest[l] > largest[0] ? largest[l] : largest[0];
    chunk->potential = potential;
    chunk->largest = largest[0];
}

/* The row at which the running sum of weight x value, over rows [start, stop), first exceeds `target`; the last row of
 * positive weight x value if rounding keeps it below; -1 if there is none. values: NULL for ones. */
static inline ptrdiff_t seeding_locate(const double *values, const double *weights, ptrdiff_t start, ptrdiff_t stop,
                                       double target) {
    ptrdiff_t last = -1;
    double sum = 0;
    for (ptrdiff_t r = start; r < stop; r++) {
        const double share = (weights ? weights[r] : 1.0) * (values ? values[r] : 1.0);
        if (!(share > 0)) continue;
        sum += share;
        last = r;
        if (sum > target) break;
    }
    return last;
}

#endif
