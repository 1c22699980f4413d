/* A read-only view of a caller's n x p array: any supported dtype, any strides, never copied.
 *
 * Kernels read it tile by tile through the functions below, which switch on the dtype once per tile. Adding a dtype
 * means one code, one line in matrix_value and one in matrix.pxd.
 */
#ifndef FASTCLUSTER_EXT_MATRIX_H
#define FASTCLUSTER_EXT_MATRIX_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include "simd.h"

/* The code is the binary logarithm of the item's size. */
typedef enum { MATRIX_UINT8, MATRIX_UINT16, MATRIX_FLOAT32, MATRIX_FLOAT64 } matrix_dtype;

typedef struct {
    const char *data;
    ptrdiff_t n_rows, n_columns;
    ptrdiff_t row_stride, column_stride; /* bytes, may be negative */
    matrix_dtype dtype;
} matrix;

/* `dtype` is a constant wherever this is called from a hot loop, so the switch folds away. */
FC_INLINE double matrix_value(const char *at, matrix_dtype dtype) {
    switch (dtype) {
    case MATRIX_UINT8: return *(const uint8_t *)at;
    case MATRIX_UINT16: return *(const uint16_t *)at;
    case MATRIX_FLOAT32: return *(const float *)at;
    default: return *(const double *)at;
    }
}

/* One expression per dtype: calls `function(..., dtype)` with the dtype as a compile-time constant. */
#define MATRIX_DISPATCH(view, function, ...)                                                                           \
    switch ((view)->dtype) {                                                                                           \
    case MATRIX_UINT8: function(view, __VA_ARGS__, MATRIX_UINT8); break;                                               \
    case MATRIX_UINT16: function(view, __VA_ARGS__, MATRIX_UINT16); break;                                             \
    case MATRIX_FLOAT32: function(view, __VA_ARGS__, MATRIX_FLOAT32); break;                                           \
    default: function(view, __VA_ARGS__, MATRIX_FLOAT64); break;                                                       \
    }

/* float32 data less a float32-representable shift: one rounding, the same in single as in double precision. */
FC_INLINE float matrix_shifted(const char *at, double shift, matrix_dtype dtype) {
    if (dtype == MATRIX_FLOAT32) return *(const float *)at - (float)shift;
    return (float)(matrix_value(at, dtype) - shift);
}

FC_INLINE void matrix_columns_f32_p(const matrix *view, ptrdiff_t start, ptrdiff_t count, const double *shift,
                                    float *restrict out, ptrdiff_t ld, matrix_dtype dtype, ptrdiff_t p,
                                    ptrdiff_t row_stride, ptrdiff_t column_stride) {
    const char *row = view->data + start * row_stride;
    for (ptrdiff_t r = 0; r < count; r++) {
        for (ptrdiff_t i = 0; i < p; i++) {
            out[i * ld + r] = matrix_shifted(row + r * row_stride + i * column_stride, shift[i], dtype);
        }
    }
}

#ifdef VF_HAS_LOAD3
/* Dense rows of three floats: the compiler's own shuffles take five times as long. */
static inline void matrix_columns_f32_dense3(const matrix *view, ptrdiff_t start, ptrdiff_t count, const double *shift,
                                             float *out, ptrdiff_t ld) {
    const float *rows = (const float *)(view->data + start * view->row_stride);
    const vf sx = vf_set1((float)shift[0]), sy = vf_set1((float)shift[1]), sz = vf_set1((float)shift[2]);
    ptrdiff_t r = 0;
    for (; r + VF_LANES <= count; r += VF_LANES) {
        vf x, y, z;
        vf_load3(rows + 3 * r, &x, &y, &z);
        vf_store(out + r, vf_sub(x, sx));
        vf_store(out + ld + r, vf_sub(y, sy));
        vf_store(out + 2 * ld + r, vf_sub(z, sz));
    }
    for (; r < count; r++) {
        for (ptrdiff_t i = 0; i < 3; i++) out[i * ld + r] = rows[3 * r + i] - (float)shift[i];
    }
}
#endif

#define MATRIX_AHEAD 64 /* rows from memory to the cache ahead of their use */

/* Of rows [start, start + count), each contiguous, how many can be read for `items` values, more than there are columns:
 * what follows a row is the next one, but nothing follows the last. */
static inline ptrdiff_t matrix_readable(const matrix *view, ptrdiff_t start, ptrdiff_t count, ptrdiff_t items) {
    const ptrdiff_t rs = view->row_stride;
    if (items <= view->n_columns) return count;
    if (rs <= 0) return 0;
    const ptrdiff_t beyond = (items - view->n_columns) << view->dtype;
    const ptrdiff_t rows = view->n_rows - (beyond + rs - 1) / rs - start;
    return rows < 0 ? 0 : rows < count ? rows : count;
}

/* Contiguous rows: blocks of VF_LANES x VF_LANES are transposed in registers, where storing item by item takes four times
 * as long. The last block of a row overlaps the one before it; of rows shorter than a block, what follows is read too. */
FC_INLINE void matrix_columns_f32_blocks(const matrix *view, ptrdiff_t start, ptrdiff_t count, const double *shift,
                                         float *out, ptrdiff_t ld, matrix_dtype dtype) {
    enum { L = VF_LANES };
    const ptrdiff_t p = view->n_columns, rs = view->row_stride, item = (ptrdiff_t)1 << dtype;
    const ptrdiff_t whole_rows = matrix_readable(view, start, count, L) / L * L, columns = p < L ? p : L;
    const char *rows = view->data + start * rs;
    for (ptrdiff_t r = 0; r < whole_rows; r += L) {
        for (ptrdiff_t begin = 0; begin < p; begin += L) {
            const ptrdiff_t i = p - begin < L && p > L ? p - L : begin;
            const char *from = rows + r * rs + i * item;
            float values[L] = {0};
            vf block[L];
            for (ptrdiff_t l = 0; l < columns; l++) values[l] = (float)shift[i + l];
            const vf middle = vf_load(values);
            for (int a = 0; a < L; a++, from += rs) {
                __builtin_prefetch(from + MATRIX_AHEAD * rs, 0, 2);
                if (dtype == MATRIX_FLOAT32) {
                    block[a] = vf_sub(vf_load((const float *)from), middle);
                } else {
                    for (ptrdiff_t l = 0; l < columns; l++) values[l] = matrix_shifted(from + l * item, shift[i + l], dtype);
                    block[a] = vf_load(values);
                }
            }
            vf_transpose(block);
#pragma GCC unroll 16
            for (int l = 0; l < L; l++) {
                if (l < columns) vf_store(out + (i + l) * ld + r, block[l]);
            }
        }
    }
    matrix_columns_f32_p(view, start + whole_rows, count - whole_rows, shift, out + whole_rows, ld, dtype, p, rs, item);
}

#ifdef VF_HAS_HALVES
/* The same of rows of half a block: two of them make a vector, which takes less than half as many shuffles. */
static inline void matrix_columns_f32_halves(const matrix *view, ptrdiff_t start, ptrdiff_t count, const double *shift,
                                             float *out, ptrdiff_t ld) {
    enum { L = VF_LANES, HALF = L / 2 };
    const ptrdiff_t p = view->n_columns, rs = view->row_stride;
    const ptrdiff_t whole_rows = matrix_readable(view, start, count, HALF) / L * L;
    const char *from = view->data + start * rs;
    float values[HALF] = {0};
    for (ptrdiff_t i = 0; i < p; i++) values[i] = (float)shift[i];
    const vf middle = vf_load_halves(values, values);
    for (ptrdiff_t r = 0; r < whole_rows; r += L, from += HALF * rs) {
        vf block[HALF];
        for (int a = 0; a < HALF; a++, from += rs) {
            __builtin_prefetch(from + MATRIX_AHEAD * rs, 0, 2);
            block[a] = vf_sub(vf_load_halves((const float *)from, (const float *)(from + HALF * rs)), middle);
        }
        vf_transpose_halves(block);
#pragma GCC unroll 8
        for (int i = 0; i < HALF; i++) {
            if (i < p) vf_store(out + i * ld + r, block[i]);
        }
    }
    matrix_columns_f32_p(view, start + whole_rows, count - whole_rows, shift, out + whole_rows, ld, MATRIX_FLOAT32, p, rs,
                         sizeof(float));
}
#endif

FC_INLINE void matrix_columns_f32_typed(const matrix *view, ptrdiff_t start, ptrdiff_t count, const double *shift,
                                        float *out, ptrdiff_t ld, matrix_dtype dtype) {
    const ptrdiff_t item = (ptrdiff_t)1 << dtype, p = view->n_columns;
    if (view->row_stride == item) {
        for (ptrdiff_t i = 0; i < p; i++) {
            const char *column = view->data + start * item + i * view->column_stride;
            for (ptrdiff_t r = 0; r < count; r++) out[i * ld + r] = matrix_shifted(column + r * item, shift[i], dtype);
        }
    } else if (view->column_stride == item && view->row_stride == item * p && p <= 4) {
        /* Dense pixels: constant strides let the compiler turn this into vector loads and shuffles. */
#ifdef VF_HAS_LOAD3
        if (p == 3 && dtype == MATRIX_FLOAT32) {
            matrix_columns_f32_dense3(view, start, count, shift, out, ld);
            return;
        }
#endif
        if (p == 1) matrix_columns_f32_p(view, start, count, shift, out, ld, dtype, 1, item, item);
        else if (p == 2) matrix_columns_f32_p(view, start, count, shift, out, ld, dtype, 2, 2 * item, item);
        else if (p == 3) matrix_columns_f32_p(view, start, count, shift, out, ld, dtype, 3, 3 * item, item);
        else matrix_columns_f32_p(view, start, count, shift, out, ld, dtype, 4, 4 * item, item);
#ifdef VF_HAS_HALVES
    } else if (view->column_stride == item && dtype == MATRIX_FLOAT32 && p <= VF_LANES / 2) {
        matrix_columns_f32_halves(view, start, count, shift, out, ld);
#endif
    } else if (view->column_stride == item && (p >= VF_LANES || (dtype == MATRIX_FLOAT32 && p > 4))) {
        matrix_columns_f32_blocks(view, start, count, shift, out, ld, dtype);
    } else {
        matrix_columns_f32_p(view, start, count, shift, out, ld, dtype, p, view->row_stride, view->column_stride);
    }
}

/* Rows [start, start + count) less `shift`, as float32 columns: out[i * ld + r]. Lanes from count to ld become 0. */
static inline void matrix_columns_f32(const matrix *view, ptrdiff_t start, ptrdiff_t count, const double *shift,
                                      float *out, ptrdiff_t ld) {
    MATRIX_DISPATCH(view, matrix_columns_f32_typed, start, count, shift, out, ld)
    if (count < ld) {
        for (ptrdiff_t i = 0; i < view->n_columns; i++) memset(out + i * ld + count, 0, (ld - count) * sizeof(float));
    }
}

FC_INLINE void matrix_columns_f64_typed(const matrix *view, ptrdiff_t start, ptrdiff_t count, double *restrict out,
                                        ptrdiff_t ld, matrix_dtype dtype) {
    const char *row = view->data + start * view->row_stride;
    for (ptrdiff_t r = 0; r < count; r++, row += view->row_stride) {
        for (ptrdiff_t i = 0; i < view->n_columns; i++) {
            out[i * ld + r] = matrix_value(row + i * view->column_stride, dtype);
        }
    }
}

/* Rows [start, start + count), unchanged, as float64 columns: out[i * ld + r]. */
static inline void matrix_columns_f64(const matrix *view, ptrdiff_t start, ptrdiff_t count, double *out, ptrdiff_t ld) {
    MATRIX_DISPATCH(view, matrix_columns_f64_typed, start, count, out, ld)
}

FC_INLINE void matrix_row_f64_typed(const matrix *view, ptrdiff_t row, double *restrict out, matrix_dtype dtype) {
    const char *at = view->data + row * view->row_stride;
    for (ptrdiff_t i = 0; i < view->n_columns; i++) out[i] = matrix_value(at + i * view->column_stride, dtype);
}

/* One row, unchanged, in float64. */
static inline void matrix_row_f64(const matrix *view, ptrdiff_t row, double *out) {
    MATRIX_DISPATCH(view, matrix_row_f64_typed, row, out)
}

FC_INLINE double matrix_distance_typed(const char *row, const double *center, ptrdiff_t p, ptrdiff_t column_stride,
                                       matrix_dtype dtype) {
    enum { lanes = 8 };
    double lane[lanes] = {0}, squared = 0;
    ptrdiff_t i = 0;
    for (; i + lanes <= p; i += lanes) {
        for (int l = 0; l < lanes; l++) {
            const double difference = matrix_value(row + (i + l) * column_stride, dtype) - center[i + l];
            lane[l] += difference * difference;
        }
    }
    for (; i < p; i++) {
        const double difference = matrix_value(row + i * column_stride, dtype) - center[i];
        squared += difference * difference;
    }
    for (int half = lanes / 2; half > 0; half /= 2) {
        for (int l = 0; l < half; l++) lane[l] += lane[l + half];
    }
    return squared + lane[0];
}

/* The squared distance of a row of a constant dtype to `center`, p doubles; added up in lanes that are the same in every
 * build. */
FC_INLINE double matrix_distance(const char *row, const double *center, ptrdiff_t p, ptrdiff_t column_stride,
                                 matrix_dtype dtype) {
    const ptrdiff_t item = (ptrdiff_t)1 << dtype;
    if (column_stride == item) return matrix_distance_typed(row, center, p, item, dtype);
    return matrix_distance_typed(row, center, p, column_stride, dtype);
}

#endif
