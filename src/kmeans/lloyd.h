/* What one thread does with one chunk of rows in Lloyd's algorithm. */
#ifndef FASTCLUSTER_EXT_LLOYD_H
#define FASTCLUSTER_EXT_LLOYD_H

#include "common/argmin.h"
#include "sums.h"

/* Scratch of one thread, in bytes: for argmin_tile, the labels of a tile, and sums. */
static inline size_t lloyd_scratch_bytes(ptrdiff_t k, ptrdiff_t p) {
    return argmin_scratch_bytes(k, p) + ARGMIN_TILE * sizeof(int32_t) + sums_scratch_bytes(k, p);
}

static inline double *lloyd_sums(void *scratch, ptrdiff_t k, ptrdiff_t p) {
    return (double *)((char *)scratch + argmin_scratch_bytes(k, p) + ARGMIN_TILE * sizeof(int32_t));
}

/* Assignment and partial sums in one pass: rows [start, stop) to `sums`, k x sums_stride(p). kept: the labels of all
 * rows, or NULL. */
static inline void lloyd_chunk(const centers_table *table, const matrix *points, const double *weights,
                               ptrdiff_t start, ptrdiff_t stop, void *scratch, double *sums, int32_t *kept) {
    const ptrdiff_t k = table->k, p = table->p;
    int32_t *labels = (int32_t *)((char *)scratch + argmin_scratch_bytes(table->k, p));
    double *own = sums_begin(lloyd_sums(scratch, k, p), sums, k, p);
    for (ptrdiff_t at = start; at < stop; at += ARGMIN_TILE) {
        const ptrdiff_t count = stop - at < ARGMIN_TILE ? stop - at : ARGMIN_TILE;
        argmin_tile(table, points, at, count, scratch, labels);
        sums_add(points, at, count, weights ? weights + at : NULL, labels, own, k);
        if (kept) memcpy(kept + at, labels, (size_t)count * sizeof(int32_t));
    }
    sums_fold(own, sums, k, p);
}

/* Labels of rows [start, stop), and what each cluster costs: `costs` is k x COST_STRIDE (zeroed here). */
static inline void evaluate_chunk(const centers_table *table, const matrix *points, const double *weights,
                                  const double *centers, ptrdiff_t start, ptrdiff_t stop, void *scratch,
                                  double *costs, int32_t *labels) {
    const ptrdiff_t p = table->p;
    int32_t *tile_labels = (int32_t *)((char *)scratch + argmin_scratch_bytes(table->k, p));
    memset(costs, 0, (size_t)(table->k * COST_STRIDE) * sizeof(double));
    for (ptrdiff_t at = start; at < stop; at += ARGMIN_TILE) {
        const ptrdiff_t count = stop - at < ARGMIN_TILE ? stop - at : ARGMIN_TILE;
        argmin_tile(table, points, at, count, scratch, tile_labels);
        costs_add(points, at, count, weights ? weights + at : NULL, tile_labels, centers, costs);
        memcpy(labels + at, tile_labels, (size_t)count * sizeof(int32_t));
    }
}

/* Sums of rows [start, stop) by their labels to `sums`, as lloyd_chunk adds them. */
static inline void labeled_sums_chunk(const matrix *points, const double *weights, const int32_t *labels, ptrdiff_t k,
                                      ptrdiff_t start, ptrdiff_t stop, void *scratch, double *sums) {
    const ptrdiff_t p = points->n_columns;
    double *own = sums_begin(lloyd_sums(scratch, k, p), sums, k, p);
    for (ptrdiff_t at = start; at < stop; at += ARGMIN_TILE) {
        const ptrdiff_t count = stop - at < ARGMIN_TILE ? stop - at : ARGMIN_TILE;
        sums_add(points, at, count, weights ? weights + at : NULL, labels + at, own, k);
    }
    sums_fold(own, sums, k, p);
}

/* What rows [start, stop) cost with their labels, as evaluate_chunk adds it up: `costs` is k x COST_STRIDE. */
static inline void labeled_costs_chunk(const matrix *points, const double *weights, const int32_t *labels,
                                       const double *centers, ptrdiff_t k, ptrdiff_t start, ptrdiff_t stop,
                                       double *costs) {
    memset(costs, 0, (size_t)(k * COST_STRIDE) * sizeof(double));
    for (ptrdiff_t at = start; at < stop; at += ARGMIN_TILE) {
        const ptrdiff_t count = stop - at < ARGMIN_TILE ? stop - at : ARGMIN_TILE;
        costs_add(points, at, count, weights ? weights + at : NULL, labels + at, centers, costs);
    }
}

enum { ORDERED_ROWS = 8 };

/* Squared distances of up to ORDERED_ROWS rows from `at` on, each to a center of its own. Columns are added up in order, as
 * exact_argmin does: a choice by them is that of a brute-force search, also among rows that are as good as equally far. */
FC_INLINE void ordered_distances(const matrix *points, ptrdiff_t at, ptrdiff_t count, const double *const *centers,
                                 double *squared, matrix_dtype dtype) {
    const char *rows[ORDERED_ROWS];
    for (ptrdiff_t r = 0; r < ORDERED_ROWS; r++) {
        rows[r] = points->data + (at + (r < count ? r : 0)) * points->row_stride;
        squared[r] = 0;
    }
    for (ptrdiff_t i = 0; i < points->n_columns; i++) {
        for (int r = 0; r < ORDERED_ROWS; r++) {
            const double difference = matrix_value(rows[r] + i * points->column_stride, dtype) - centers[r][i];
            squared[r] += difference * difference;
        }
    }
}

FC_INLINE void own_distances_typed(const matrix *points, const double *centers, const int32_t *labels, ptrdiff_t start,
                                   ptrdiff_t stop, double *closest, matrix_dtype dtype) {
    const ptrdiff_t p = points->n_columns;
    for (ptrdiff_t at = start; at < stop; at += ORDERED_ROWS) {
        const ptrdiff_t count = stop - at < ORDERED_ROWS ? stop - at : ORDERED_ROWS;
        const double *own[ORDERED_ROWS];
        double squared[ORDERED_ROWS];
        for (ptrdiff_t r = 0; r < ORDERED_ROWS; r++) own[r] = centers + (ptrdiff_t)labels[at + (r < count ? r : 0)] * p;
        ordered_distances(points, at, count, own, squared, dtype);
        memcpy(closest + at, squared, (size_t)count * sizeof(double));
    }
}

/* Squared distances of rows [start, stop) to the centers they are labelled with. */
static inline void own_distances_chunk(const matrix *points, const double *centers, const int32_t *labels,
                                       ptrdiff_t start, ptrdiff_t stop, double *closest) {
    MATRIX_DISPATCH(points, own_distances_typed, centers, labels, start, stop, closest)
}

FC_INLINE void closer_typed(const matrix *points, const double *center, ptrdiff_t start, ptrdiff_t stop, double *closest,
                            matrix_dtype dtype) {
    const double *same[ORDERED_ROWS];
    for (int r = 0; r < ORDERED_ROWS; r++) same[r] = center;
    for (ptrdiff_t at = start; at < stop; at += ORDERED_ROWS) {
        const ptrdiff_t count = stop - at < ORDERED_ROWS ? stop - at : ORDERED_ROWS;
        double squared[ORDERED_ROWS];
        ordered_distances(points, at, count, same, squared, dtype);
        for (ptrdiff_t r = 0; r < count; r++) {
            if (squared[r] < closest[at + r]) closest[at + r] = squared[r];
        }
    }
}

/* closest[r] becomes the lesser of itself and the squared distance of row r to one more center. */
static inline void closer_chunk(const matrix *points, const double *center, ptrdiff_t start, ptrdiff_t stop,
                                double *closest) {
    MATRIX_DISPATCH(points, closer_typed, center, start, stop, closest)
}

/* Does row a come before row b when rows are sorted column by column? */
static inline int row_precedes(const matrix *points, ptrdiff_t a, ptrdiff_t b) {
    for (ptrdiff_t i = 0; i < points->n_columns; i++) {
        const char *column = points->data + i * points->column_stride;
        const double value = matrix_value(column + a * points->row_stride, points->dtype);
        const double other = matrix_value(column + b * points->row_stride, points->dtype);
        if (value != other) return value < other;
    }
    return 0;
}

/* The row of positive weight that is farthest from every center; -1 if no weight is positive. Of equally far rows it is
 * the first in sorted order, so that the choice is the same when rows are grouped or come in another order. */
static inline ptrdiff_t farthest_row(const matrix *points, const double *closest, const double *weights) {
    ptrdiff_t farthest = -1;
    for (ptrdiff_t at = 0; at < points->n_rows; at++) {
        if (weights && !(weights[at] > 0)) continue;
        if (farthest < 0 || closest[at] > closest[farthest] ||
            (closest[at] == closest[farthest] && row_precedes(points, at, farthest))) {
            farthest = at;
        }
    }
    return farthest;
}

/* The rows equal to row `moved` go from their cluster to cluster `to`. Gives their weight, and that of the rows left. */
static inline void take_equal_rows(const matrix *points, const double *weights, ptrdiff_t moved, int32_t to,
                                   int32_t *labels, double *taken, double *left) {
    const int32_t from = labels[moved];
    *taken = *left = 0;
    for (ptrdiff_t at = 0; at < points->n_rows; at++) {
        if (labels[at] != from) continue;
        const double weight = weights ? weights[at] : 1.0;
        if (row_precedes(points, at, moved) || row_precedes(points, moved, at)) {
            *left += weight;
        } else {
            *taken += weight;
            if (at != moved) labels[at] = to;
        }
    }
    labels[moved] = to;
}

#endif
