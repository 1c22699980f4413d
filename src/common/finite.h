/* A chunk's values against a limit, without a branch per value. */
#ifndef FASTCLUSTER_EXT_FINITE_H
#define FASTCLUSTER_EXT_FINITE_H

#include <math.h>
#include "matrix.h"

FC_INLINE void finite_typed(const matrix *view, ptrdiff_t start, ptrdiff_t stop, double limit, int *usable,
                            matrix_dtype dtype) {
    const ptrdiff_t p = view->n_columns, item = dtype == MATRIX_FLOAT32 ? 4 : 8;
    int unusable = 0;
    if (dtype == MATRIX_FLOAT32 && view->column_stride == item && view->row_stride == item * p) {
        const float *values = (const float *)(view->data + start * view->row_stride), bound = (float)limit;
        for (ptrdiff_t i = 0; i < (stop - start) * p; i++) unusable |= !(fabsf(values[i]) <= bound);
    } else if (dtype == MATRIX_FLOAT64 && view->column_stride == item && view->row_stride == item * p) {
        const double *values = (const double *)(view->data + start * view->row_stride);
        for (ptrdiff_t i = 0; i < (stop - start) * p; i++) unusable |= !(fabs(values[i]) <= limit);
    } else {
        for (ptrdiff_t r = start; r < stop; r++) {
            const char *row = view->data + r * view->row_stride;
            for (ptrdiff_t i = 0; i < p; i++) {
                unusable |= !(fabs(matrix_value(row + i * view->column_stride, dtype)) <= limit);
            }
        }
    }
    *usable = !unusable;
}

static inline int finite_chunk(const matrix *view, ptrdiff_t start, ptrdiff_t stop, double limit) {
    int usable;
    MATRIX_DISPATCH(view, finite_typed, start, stop, limit, &usable)
    return usable;
}

#endif
