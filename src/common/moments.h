/* Moments of a chunk: weight, sum of squared deviations, mean (p), scratch (p). */
#ifndef FASTCLUSTER_EXT_MOMENTS_H
#define FASTCLUSTER_EXT_MOMENTS_H

#include "matrix.h"

FC_INLINE void moments_typed(const matrix *view, const double *weights, ptrdiff_t start, ptrdiff_t stop,
                             double *restrict moments, matrix_dtype dtype) {
    const ptrdiff_t p = view->n_columns;
    double *restrict mean = moments + 2, weight = 0, squared = 0;
    for (ptrdiff_t i = 0; i < p; i++) mean[i] = 0;
    for (ptrdiff_t r = start; r < stop; r++) {
        const char *row = view->data + r * view->row_stride;
        const double w = weights ? weights[r] : 1.0;
        weight += w;
        for (ptrdiff_t i = 0; i < p; i++) mean[i] += w * matrix_value(row + i * view->column_stride, dtype);
    }
    for (ptrdiff_t i = 0; i < p; i++) mean[i] = weight > 0 ? mean[i] / weight : 0;
    for (ptrdiff_t r = start; r < stop; r++) {
        const char *row = view->data + r * view->row_stride;
        double own = 0;
        for (ptrdiff_t i = 0; i < p; i++) {
            const double difference = matrix_value(row + i * view->column_stride, dtype) - mean[i];
            own += difference * difference;
        }
        squared += (weights ? weights[r] : 1.0) * own;
    }
    moments[0] = weight;
    moments[1] = squared;
}

static inline void moments_chunk(const matrix *view, const double *weights, ptrdiff_t start, ptrdiff_t stop,
                                 double *moments) {
    MATRIX_DISPATCH(view, moments_typed, weights, start, stop, moments)
}

static inline void moments_merge(double *total, const double *part, ptrdiff_t p) {
    const double weight = total[0] + part[0];
    if (!(part[0] > 0)) return;
    double apart = 0;
    for (ptrdiff_t i = 0; i < p; i++) {
        const double difference = part[2 + i] - total[2 + i];
        apart += difference * difference;
        total[2 + i] += difference * (part[0] / weight);
    }
    total[1] += part[1] + apart * (total[0] * (part[0] / weight));
    total[0] = weight;
}

#endif
