/* Moments of a chunk: weight, sum of squared deviations, mean (p), scratch (p). */
#ifndef FASTCLUSTER_EXT_MOMENTS_H
#define FASTCLUSTER_EXT_MOMENTS_H

#include "matrix.h"

FC_INLINE void moments_p(const matrix *view, const double *weights, ptrdiff_t start, ptrdiff_t stop,
                         double *restrict moments, matrix_dtype dtype, ptrdiff_t p) {
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

/* Dense rows of three values, the most common narrow data, in registers: means and deviations by column. */
FC_INLINE void moments_dense3(const matrix *view, ptrdiff_t start, ptrdiff_t stop, double *restrict moments,
                              matrix_dtype dtype) {
    enum { LANES = 24 }; /* eight rows: lane l holds column l % 3 */
    const ptrdiff_t item = (ptrdiff_t)1 << dtype, values = 3 * (stop - start), whole = values / LANES * LANES;
    const char *at = view->data + start * view->row_stride;
    double sums[LANES] = {0}, squares[LANES] = {0}, centers[LANES];
    for (ptrdiff_t v = 0; v < whole; v += LANES) {
        for (int l = 0; l < LANES; l++) sums[l] += matrix_value(at + (v + l) * item, dtype);
    }
    for (ptrdiff_t v = whole; v < values; v++) sums[v % 3] += matrix_value(at + v * item, dtype);
    for (int c = 0; c < 3; c++) {
        double sum = 0;
        for (int l = c; l < LANES; l += 3) sum += sums[l];
        moments[2 + c] = sum / (double)(stop - start);
    }
    for (int l = 0; l < LANES; l++) centers[l] = moments[2 + l % 3];
    for (ptrdiff_t v = 0; v < whole; v += LANES) {
        for (int l = 0; l < LANES; l++) {
            const double difference = matrix_value(at + (v + l) * item, dtype) - centers[l];
            squares[l] += difference * difference;
        }
    }
    for (ptrdiff_t v = whole; v < values; v++) {
        const double difference = matrix_value(at + v * item, dtype) - centers[v % 3];
        squares[v % 3] += difference * difference;
    }
    moments[0] = (double)(stop - start);
    moments[1] = 0;
    for (int l = 0; l < LANES; l++) moments[1] += squares[l];
}

FC_INLINE void moments_typed(const matrix *view, const double *weights, ptrdiff_t start, ptrdiff_t stop,
                             double *restrict moments, matrix_dtype dtype) {
    const ptrdiff_t item = (ptrdiff_t)1 << dtype;
    if (!weights && view->n_columns == 3 && view->column_stride == item && view->row_stride == 3 * item) {
        moments_dense3(view, start, stop, moments, dtype);
    } else {
        moments_p(view, weights, start, stop, moments, dtype, view->n_columns);
    }
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
