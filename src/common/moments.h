/* Moments of a chunk: weight, sum of squared deviations, mean (p), scratch (p). */
#ifndef FASTCLUSTER_EXT_MOMENTS_H
#define FASTCLUSTER_EXT_MOMENTS_H

#include "matrix.h"

FC_INLINE void moments_p(const matrix *view, const double *weights, ptrdiff_t start, ptrdiff_t stop,
                         double *restrict moments, matrix_dtype dtype, ptrdiff_t column_stride) {
    enum { lanes = 8, abreast = 4 };
    const ptrdiff_t p = view->n_columns, rs = view->row_stride, cs = column_stride;
    double *restrict mean = moments + 2, weight = 0, lane[lanes] = {0};
    for (ptrdiff_t i = 0; i < p; i++) mean[i] = 0;
    ptrdiff_t r = start;
    /* Sums wait for each other: for four rows once. */
    for (; !weights && r + abreast <= stop; r += abreast) {
        const char *row = view->data + r * rs;
        for (ptrdiff_t i = 0; i < p; i++, row += cs) {
            mean[i] += (matrix_value(row, dtype) + matrix_value(row + rs, dtype)) +
                       (matrix_value(row + 2 * rs, dtype) + matrix_value(row + 3 * rs, dtype));
        }
        weight += abreast;
    }
    for (; r < stop; r++) {
        const char *row = view->data + r * rs;
        const double w = weights ? weights[r] : 1.0;
        weight += w;
        for (ptrdiff_t i = 0; i < p; i++) mean[i] += w * matrix_value(row + i * cs, dtype);
    }
    for (ptrdiff_t i = 0; i < p; i++) mean[i] = weight > 0 ? mean[i] / weight : 0;
    for (r = start; r < stop; r++) {
        const char *row = view->data + r * rs;
        const double w = weights ? weights[r] : 1.0;
        ptrdiff_t i = 0;
        for (; i + lanes <= p; i += lanes) {
            for (int l = 0; l < lanes; l++) {
                const double difference = matrix_value(row + (i + l) * cs, dtype) - mean[i + l];
                lane[l] += w * (difference * difference);
            }
        }
        for (int l = 0; i < p; i++, l++) {
            const double difference = matrix_value(row + i * cs, dtype) - mean[i];
            lane[l] += w * (difference * difference);
        }
    }
    moments[0] = weight;
    moments[1] = 0;
    for (int l = 0; l < lanes; l++) moments[1] += lane[l];
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
    } else if (view->column_stride == item) {
        moments_p(view, weights, start, stop, moments, dtype, item);
    } else {
        moments_p(view, weights, start, stop, moments, dtype, view->column_stride);
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
