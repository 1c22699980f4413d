/* Weighted medians by partition, of values that may be reordered. */
#ifndef FASTCLUSTER_EXT_MEDIANS_H
#define FASTCLUSTER_EXT_MEDIANS_H

#include <math.h>
#include "common/matrix.h"

typedef struct {
    double value, weight;
} weighted_value;

FC_INLINE void weighted_swap(weighted_value *values, ptrdiff_t a, ptrdiff_t b) {
    const weighted_value value = values[a];
    values[a] = values[b];
    values[b] = value;
}

/* The middle one of the first, the middle and the last value of [low, high]. */
FC_INLINE double median_pivot(const weighted_value *values, ptrdiff_t low, ptrdiff_t high) {
    const double a = values[low].value, b = values[low + (high - low) / 2].value, c = values[high].value;
    const double least = a < b ? a : b, most = a < b ? b : a;
    return c < least ? least : c > most ? most : c;
}

/* The value below and above which there is half of the weight; where two values share that, the one between them.
 * Expected O(count). count >= 1; all weights positive. */
static inline double weighted_median(weighted_value *values, ptrdiff_t count) {
    double total = 0, below = 0, above = INFINITY;
    ptrdiff_t low = 0, high = count - 1;
    for (ptrdiff_t v = 0; v < count; v++) total += values[v].weight;
    const double half = 0.5 * total;
    /* Left of low are values with `below` weight in all, less than half; `above` is the least value right of high. */
    while (low < high) {
        const double pivot = median_pivot(values, low, high);
        double less = 0, equal = 0;
        ptrdiff_t left = low, at = low, right = high;
        while (at <= right) {
            if (values[at].value < pivot) {
                less += values[at].weight;
                weighted_swap(values, left++, at++);
            } else if (values[at].value > pivot) {
                weighted_swap(values, at, right--);
            } else {
                equal += values[at++].weight;
            }
        }
        if (below + less >= half && left > low) {
            above = pivot;
            high = left - 1;
        } else if (below + less + equal >= half || right == high) {
            for (ptrdiff_t v = right + 1; v <= high; v++) {
                if (values[v].value < above) above = values[v].value;
            }
            return below + less + equal == half && above < INFINITY ? 0.5 * (pivot + above) : pivot;
        } else {
            below += less + equal;
            low = right + 1;
        }
    }
    const double last = values[low].value;
    return below + values[low].weight == half && above < INFINITY ? 0.5 * (last + above) : last;
}

/* The weighted median of one column of some rows. scratch: count. */
static inline double column_median(const matrix *points, const double *weights, ptrdiff_t column, const ptrdiff_t *rows,
                                   ptrdiff_t count, weighted_value *scratch) {
    const char *data = points->data + column * points->column_stride;
    for (ptrdiff_t r = 0; r < count; r++) {
        scratch[r].value = matrix_value(data + rows[r] * points->row_stride, points->dtype);
        scratch[r].weight = weights ? weights[rows[r]] : 1.0;
    }
    return weighted_median(scratch, count);
}

#endif
