/* One chunk of greedy k-means++: what the potential would be with each candidate, and taking one of them.
 *
 * All in float64 with eight fixed partial sums, so every build and every number of threads draws the same seeds.
 */
#ifndef FASTCLUSTER_EXT_SEEDING_H
#define FASTCLUSTER_EXT_SEEDING_H

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

/* potentials[c] of rows [start, stop): the sum of weight x min(closest, squared distance to candidate c). */
static inline void seeding_potentials(const matrix *points, const double *weights, const double *candidates,
                                      ptrdiff_t n_candidates, ptrdiff_t start, ptrdiff_t stop, const double *closest,
                                      double *scratch, double *potentials) {
    const ptrdiff_t p = points->n_columns;
    double *columns = scratch, *squared = scratch + p * SEEDING_TILE;
    for (ptrdiff_t c = 0; c < n_candidates; c++) potentials[c] = 0;
    for (ptrdiff_t at = start; at < stop; at += SEEDING_TILE) {
        const ptrdiff_t count = stop - at < SEEDING_TILE ? stop - at : SEEDING_TILE;
        matrix_columns_f64(points, at, count, columns, SEEDING_TILE);
        for (ptrdiff_t c = 0; c < n_candidates; c++) {
            seeding_distances(columns, p, candidates + c * p, squared);
            for (ptrdiff_t r = 0; r < count; r++) squared[r] = closest[at + r] < squared[r] ? closest[at + r] : squared[r];
            potentials[c] += seeding_sum(squared, weights ? weights + at : NULL, count);
        }
    }
}

/* closest becomes min(closest, squared distance to center); returns the chunk's potential. */
static inline double seeding_take(const matrix *points, const double *weights, const double *center, ptrdiff_t start,
                                  ptrdiff_t stop, double *closest, double *scratch) {
    const ptrdiff_t p = points->n_columns;
    double *columns = scratch, *squared = scratch + p * SEEDING_TILE, potential = 0;
    for (ptrdiff_t at = start; at < stop; at += SEEDING_TILE) {
        const ptrdiff_t count = stop - at < SEEDING_TILE ? stop - at : SEEDING_TILE;
        matrix_columns_f64(points, at, count, columns, SEEDING_TILE);
        seeding_distances(columns, p, center, squared);
        for (ptrdiff_t r = 0; r < count; r++) closest[at + r] = closest[at + r] < squared[r] ? closest[at + r] : squared[r];
        potential += seeding_sum(closest + at, weights ? weights + at : NULL, count);
    }
    return potential;
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
