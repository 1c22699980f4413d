/* Rows of a min-plus product: what optimal leaf ordering spends its time on. */
#ifndef FASTCLUSTER_EXT_MINPLUS_H
#define FASTCLUSTER_EXT_MINPLUS_H

#include <math.h>
#include <stddef.h>

/* out[j] = min over i of (left[i] + right[i * stride + j]), i < count, j < width. */
static inline void minplus_row(const double *left, const double *right, ptrdiff_t stride, ptrdiff_t count,
                               ptrdiff_t width, double *restrict out) {
    for (ptrdiff_t j = 0; j < width; j++) out[j] = INFINITY;
    for (ptrdiff_t i = 0; i < count; i++) {
        const double *restrict row = right + i * stride;
        const double own = left[i];
        for (ptrdiff_t j = 0; j < width; j++) {
            const double sum = own + row[j];
            out[j] = sum < out[j] ? sum : out[j];
        }
    }
}

#endif
