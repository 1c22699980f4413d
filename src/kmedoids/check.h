/* Is a matrix one of dissimilarities: no NaN, nothing negative or infinite, symmetric? By blocks and their mirror images. */
#ifndef FASTCLUSTER_EXT_CHECK_H
#define FASTCLUSTER_EXT_CHECK_H

#include "source.h"

#define CHECK_BLOCK 64

typedef enum { CHECK_PASSED, CHECK_VALUE, CHECK_ASYMMETRIC } check_result;

/* Is anything wrong in blocks (block, other) and (other, block)? REAL: float for values read as float32. */
#define CHECK_WRONG(REAL, read, values_type)                                                                           \
    for (ptrdiff_t j = 0; j < columns; j++) {                                                                          \
        const values_type *values = read(left + j, top, rows);                                                         \
        for (ptrdiff_t i = 0; i < rows; i++) mirror[i * CHECK_BLOCK + j] = values[i];                                  \
    }                                                                                                                  \
    for (ptrdiff_t i = 0; i < rows; i++) {                                                                             \
        const values_type *values = read(top + i, left, columns);                                                      \
        const REAL *other = mirror + i * CHECK_BLOCK;                                                                  \
        for (ptrdiff_t j = 0; j < columns; j++) {                                                                      \
            const REAL a = values[j], b = other[j], high = a > b ? a : b, apart = a > b ? a - b : b - a;               \
            wrong |= !(a >= 0) | !(b >= 0) | !(high <= largest) | !(apart <= (REAL)relative * high);                   \
        }                                                                                                              \
    }

FC_INLINE const float *check_read_single(const source *s, ptrdiff_t c, ptrdiff_t start) {
    return source_single_row(s, c) + start;
}

static inline int check_wrong(const source *s, ptrdiff_t top, ptrdiff_t rows, ptrdiff_t left, ptrdiff_t columns,
                              double relative) {
    int wrong = 0;
    if (source_is_single(s)) {
        float mirror[CHECK_BLOCK * CHECK_BLOCK];
        const float largest = FLT_MAX;
#define CHECK_READ(c, start, count) check_read_single(s, c, start)
        CHECK_WRONG(float, CHECK_READ, float)
#undef CHECK_READ
    } else {
        double mirror[CHECK_BLOCK * CHECK_BLOCK], buffer[CHECK_BLOCK];
        const double largest = DBL_MAX;
#define CHECK_READ(c, start, count) source_matrix_tile(s, c, start, count, buffer)
        CHECK_WRONG(double, CHECK_READ, double)
#undef CHECK_READ
    }
    return wrong;
}

/* Blocks (block, other) for all other >= block. relative: allowed |a - b| / max(a, b). where: row and column found. */
static inline check_result check_blocks(const source *s, ptrdiff_t block, double relative, ptrdiff_t *where) {
    const ptrdiff_t n = s->n_rows, top = block * CHECK_BLOCK;
    const ptrdiff_t rows = n - top < CHECK_BLOCK ? n - top : CHECK_BLOCK;
    double buffer[2];
    for (ptrdiff_t left = top; left < n; left += CHECK_BLOCK) {
        const ptrdiff_t columns = n - left < CHECK_BLOCK ? n - left : CHECK_BLOCK;
        if (!check_wrong(s, top, rows, left, columns, relative)) continue;
        for (ptrdiff_t i = top; i < top + rows; i++) {
            for (ptrdiff_t j = left; j < left + columns; j++) {
                const double a = *source_matrix_tile(s, i, j, 1, buffer);
                const double b = *source_matrix_tile(s, j, i, 1, buffer + 1);
                const int first = !(a >= 0 && a <= DBL_MAX), second = !(b >= 0 && b <= DBL_MAX);
                where[0] = second && !first ? j : i;
                where[1] = second && !first ? i : j;
                if (first || second) return CHECK_VALUE;
                if (!(fabs(a - b) <= relative * (a > b ? a : b))) return CHECK_ASYMMETRIC;
            }
        }
    }
    return CHECK_PASSED;
}

#endif
