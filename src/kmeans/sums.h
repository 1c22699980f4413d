/* Adding the rows of a tile up by label: weighted sums of the coordinates and the weights, or what the rows cost.
 * Accumulators: float64.
 *
 * A cluster's accumulator is p sums, then the weight, padded to 32 bytes, or from four columns on to whole 64-byte
 * vectors. Rows that follow each other often share a label, and an addition to memory must wait for the previous one to
 * the same place (about 10 cycles); with few clusters and columns, consecutive rows therefore go to SUMS_COPIES accumulators
 * in turn, added up in order at the end.
 */
#ifndef FASTCLUSTER_EXT_SUMS_H
#define FASTCLUSTER_EXT_SUMS_H

#include "common/matrix.h"
#include "common/simd_double.h"

#define SUMS_COPIES 4
#define SUMS_COPIES_MOST_CLUSTERS 64
#define SUMS_COPIES_MOST_COLUMNS 32

typedef double sums_vector __attribute__((vector_size(32), aligned(8)));

static inline ptrdiff_t sums_stride(ptrdiff_t p) { return p < 4 ? 4 : (p + 1 + 7) / 8 * 8; }
static inline ptrdiff_t sums_copies(ptrdiff_t k, ptrdiff_t p) {
    return k <= SUMS_COPIES_MOST_CLUSTERS && p <= SUMS_COPIES_MOST_COLUMNS ? SUMS_COPIES : 1;
}

FC_INLINE void sums_add_narrow(const matrix *view, ptrdiff_t start, ptrdiff_t count, const double *weights,
                               const int32_t *labels, double *sums, ptrdiff_t copy_size, matrix_dtype dtype, int p,
                               ptrdiff_t row_stride, ptrdiff_t column_stride) {
    const char *at = view->data + start * row_stride;
    ptrdiff_t r = 0;
#if defined(__AVX2__)
    if (p == 3 && dtype == MATRIX_FLOAT32 && column_stride == 4 && row_stride >= 12 && !weights) {
        /* Four floats at once: the fourth, of the next row or before it, gives way to the weight. The last row has no next,
         * nor has the first one of rows in reverse. */
        const __m256d one = _mm256_set1_pd(1.0);
        for (; r + SUMS_COPIES < count; r += SUMS_COPIES) {
            for (int copy = 0; copy < SUMS_COPIES; copy++, at += row_stride) {
                double *accumulator = sums + copy * copy_size + (ptrdiff_t)labels[r + copy] * 4;
                const __m256d row = _mm256_blend_pd(_mm256_cvtps_pd(_mm_loadu_ps((const float *)at)), one, 8);
                _mm256_storeu_pd(accumulator, _mm256_add_pd(_mm256_loadu_pd(accumulator), row));
            }
        }
    }
#endif
    for (; r < count; r++, at += row_stride) {
        double *accumulator = sums + (r % SUMS_COPIES) * copy_size + (ptrdiff_t)labels[r] * 4;
        /* In one expression: setting lanes one by one goes through memory where vectors are of 16 bytes, 6 ns a row. */
        sums_vector row = {
            matrix_value(at, dtype),
            p > 1 ? matrix_value(at + column_stride, dtype) : 1.0,
            p > 2 ? matrix_value(at + 2 * column_stride, dtype) : p == 2 ? 1.0 : 0.0,
            p > 2 ? 1.0 : 0.0,
        };
        if (weights) row *= weights[r];
        *(sums_vector *)accumulator += row;
    }
}

/* Contiguous float32 rows of four columns and more, vector by vector; what follows a row is read, and gives way to the
 * weight. */
static inline void sums_add_vectors(const matrix *view, ptrdiff_t start, ptrdiff_t count, const double *weights,
                                    const int32_t *labels, double *sums, ptrdiff_t copy_size) {
    enum { BITS = 8, LAST = BITS / VD_LANES };
    const ptrdiff_t p = view->n_columns, stride = sums_stride(p), last = stride - BITS;
    const char *at = view->data + start * view->row_stride;
    uint64_t bits[BITS];
    double ones[BITS] = {0};
    vd keep[LAST], one[LAST];
    for (ptrdiff_t i = 0; i < BITS; i++) bits[i] = last + i < p ? UINT64_MAX : 0;
    ones[p - last] = 1;
    for (int v = 0; v < LAST; v++) {
        double mask[VD_LANES];
        memcpy(mask, bits + v * VD_LANES, sizeof(mask));
        keep[v] = vd_load(mask);
        one[v] = vd_load(ones + v * VD_LANES);
    }
    for (ptrdiff_t r = 0; r < count; r++, at += view->row_stride) {
        double *accumulator = sums + (r % SUMS_COPIES) * copy_size + (ptrdiff_t)labels[r] * stride;
        const float *row = (const float *)at;
        const vd weight = vd_set1(weights ? weights[r] : 1.0);
        for (ptrdiff_t i = 0; i < last; i += VD_LANES) {
            vd_store(accumulator + i, vd_add(vd_load(accumulator + i), vd_mul(vd_load_f32(row + i), weight)));
        }
        for (int v = 0; v < LAST; v++) {
            double *to = accumulator + last + v * VD_LANES;
            const vd values = vd_or(vd_and(vd_load_f32(row + last + v * VD_LANES), keep[v]), one[v]);
            vd_store(to, vd_add(vd_load(to), vd_mul(values, weight)));
        }
    }
}

#if defined(__AVX2__)
/* Contiguous float32 rows of four columns, of weight one: half a vector of sums, and the weight by itself, which is less
 * than a whole vector with gaps: it takes a third less time. */
static inline void sums_add_four(const matrix *view, ptrdiff_t start, ptrdiff_t count, const int32_t *labels,
                                 double *sums, ptrdiff_t copy_size) {
    const ptrdiff_t stride = sums_stride(4);
    const char *at = view->data + start * view->row_stride;
    for (ptrdiff_t r = 0; r < count; r++, at += view->row_stride) {
        double *accumulator = sums + (r % SUMS_COPIES) * copy_size + (ptrdiff_t)labels[r] * stride;
        const __m256d row = _mm256_cvtps_pd(_mm_loadu_ps((const float *)at));
        _mm256_storeu_pd(accumulator, _mm256_add_pd(_mm256_loadu_pd(accumulator), row));
        accumulator[4] += 1.0;
    }
}
#endif

/* Rows by column, each column contiguous, as boxes keep them: blocks of 4 x 4 values become rows in registers. p, and
 * whether there are weights, are constants. Returns how many rows are added: whole blocks. */
FC_INLINE ptrdiff_t sums_add_columns(const matrix *view, ptrdiff_t start, ptrdiff_t count, const double *weights,
                                     const int32_t *labels, double *sums, ptrdiff_t copy_size, matrix_dtype dtype,
                                     int weighted, int p) {
    enum { L = 4, BLOCKS = 2 };
    const ptrdiff_t item = (ptrdiff_t)1 << dtype, stride = sums_stride(p);
    const char *at = view->data + start * item;
    ptrdiff_t r = 0;
    for (; r + L <= count; r += L, at += L * item) {
        sums_vector weight = {1, 1, 1, 1}, rows[BLOCKS][L];
        if (weighted) memcpy(&weight, weights + r, sizeof(weight));
        for (int b = 0; b * L < p; b++) {
            sums_vector column[L];
            for (int i = 0; i < L; i++) {
                const int c = b * L + i;
                const char *value = at + c * view->column_stride;
                column[i] = c == p ? weight : (sums_vector){0};
                if (c >= p) continue;
                column[i] = (sums_vector){matrix_value(value, dtype), matrix_value(value + item, dtype),
                                          matrix_value(value + 2 * item, dtype), matrix_value(value + 3 * item, dtype)};
                if (weighted) column[i] *= weight;
            }
            const sums_vector a = __builtin_shufflevector(column[0], column[1], 0, 4, 2, 6);
            const sums_vector c = __builtin_shufflevector(column[0], column[1], 1, 5, 3, 7);
            const sums_vector d = __builtin_shufflevector(column[2], column[3], 0, 4, 2, 6);
            const sums_vector e = __builtin_shufflevector(column[2], column[3], 1, 5, 3, 7);
            rows[b][0] = __builtin_shufflevector(a, d, 0, 1, 4, 5);
            rows[b][1] = __builtin_shufflevector(c, e, 0, 1, 4, 5);
            rows[b][2] = __builtin_shufflevector(a, d, 2, 3, 6, 7);
            rows[b][3] = __builtin_shufflevector(c, e, 2, 3, 6, 7);
        }
        for (int l = 0; l < L; l++) {
            double *accumulator = sums + l % SUMS_COPIES * copy_size + (ptrdiff_t)labels[r + l] * stride;
            for (int b = 0; b * L < p; b++) *(sums_vector *)(accumulator + b * L) += rows[b][l];
            if (p % L == 0) accumulator[p] += weight[l];
        }
    }
    return r;
}

FC_INLINE void sums_add_typed(const matrix *view, ptrdiff_t start, ptrdiff_t count, const double *weights,
                              const int32_t *labels, double *sums, ptrdiff_t k, matrix_dtype dtype) {
    const ptrdiff_t p = view->n_columns, rs = view->row_stride, cs = view->column_stride;
    const ptrdiff_t copy_size = sums_copies(k, p) > 1 ? k * sums_stride(p) : 0;
    if (p == 3) {
        sums_add_narrow(view, start, count, weights, labels, sums, copy_size, dtype, 3, rs, cs);
    } else if (p == 2) {
        sums_add_narrow(view, start, count, weights, labels, sums, copy_size, dtype, 2, rs, cs);
    } else if (p == 1) {
        sums_add_narrow(view, start, count, weights, labels, sums, copy_size, dtype, 1, rs, cs);
    } else {
        const ptrdiff_t stride = sums_stride(p);
        ptrdiff_t r = 0;
#if defined(__AVX2__)
        if (p == 4 && dtype == MATRIX_FLOAT32 && cs == sizeof(float) && !weights) {
            sums_add_four(view, start, count, labels, sums, copy_size);
            return;
        }
#endif
        if (dtype == MATRIX_FLOAT32 && cs == sizeof(float)) {
            r = matrix_readable(view, start, count, stride);
            sums_add_vectors(view, start, r, weights, labels, sums, copy_size);
        } else if (rs == (ptrdiff_t)1 << dtype && (dtype == MATRIX_FLOAT32 || dtype == MATRIX_FLOAT64)) {
#define SUMS_COLUMNS_OF(P)                                                                                             \
    r = weights ? sums_add_columns(view, start, count, weights, labels, sums, copy_size, dtype, 1, P)                  \
                : sums_add_columns(view, start, count, weights, labels, sums, copy_size, dtype, 0, P)
            switch (p) {
            case 4: SUMS_COLUMNS_OF(4); break;
            case 5: SUMS_COLUMNS_OF(5); break;
            case 6: SUMS_COLUMNS_OF(6); break;
            case 7: SUMS_COLUMNS_OF(7); break;
            case 8: SUMS_COLUMNS_OF(8); break;
            }
#undef SUMS_COLUMNS_OF
        }
        const char *at = view->data + (start + r) * rs;
        for (; r < count; r++, at += rs) {
            double *restrict accumulator = sums + (r % SUMS_COPIES) * copy_size + (ptrdiff_t)labels[r] * stride;
            const double weight = weights ? weights[r] : 1.0;
            for (ptrdiff_t i = 0; i < p; i++) accumulator[i] += weight * matrix_value(at + i * cs, dtype);
            accumulator[p] += weight;
        }
    }
}

/* Adds rows [start, start + count) to `sums`: sums_copies(k, p) blocks of k x sums_stride(p) doubles.
 * weights: of these rows, or NULL for ones. start must be a multiple of SUMS_COPIES. */
static inline void sums_add(const matrix *points, ptrdiff_t start, ptrdiff_t count, const double *weights,
                            const int32_t *labels, double *sums, ptrdiff_t k) {
    MATRIX_DISPATCH(points, sums_add_typed, start, count, weights, labels, sums, k)
}

/* Adds the copies `from` up to `to`, which may be the first of them. */
static inline void sums_fold(const double *from, double *to, ptrdiff_t k, ptrdiff_t p) {
    const ptrdiff_t size = k * sums_stride(p);
    if (sums_copies(k, p) == 1 && from == to) return;
    for (ptrdiff_t i = 0; i < size; i++) {
        double total = from[i];
        for (ptrdiff_t copy = 1; copy < sums_copies(k, p); copy++) total += from[copy * size + i];
        to[i] = total;
    }
}

/* Bytes in which a thread adds rows up by itself. */
static inline size_t sums_scratch_bytes(ptrdiff_t k, ptrdiff_t p) {
    return sums_copies(k, p) > 1 ? (size_t)(sums_copies(k, p) * k * sums_stride(p)) * sizeof(double) : 0;
}

/* Where to add rows up, cleared, before sums_fold brings them to `sums`, k x sums_stride(p): the copies in `scratch`
 * (sums_scratch_bytes), or, if there is one only, `sums`. Another core has read these the last time, and may be far away:
 * every cache line that is taken from it costs up to 200 ns. */
static inline double *sums_begin(double *scratch, double *sums, ptrdiff_t k, ptrdiff_t p) {
    double *own = sums_copies(k, p) > 1 ? scratch : sums;
    memset(own, 0, (size_t)(sums_copies(k, p) * k * sums_stride(p)) * sizeof(double));
    return own;
}

/* The lanes that rows are added up in, in turn; columns, and labels, at a time: as many as registers hold sums. */
enum { SUMS_LANES = 16, SUMS_COLUMNS = 4, SUMS_LABELS = VD_LANES == 8 ? 2 : 1 };

FC_INLINE double sums_of_lanes(const vd *lanes) {
    enum { vectors = SUMS_LANES / VD_LANES };
    vd sum[vectors];
    double each[VD_LANES];
    for (int v = 0; v < vectors; v++) sum[v] = lanes[v];
#pragma GCC unroll 8
    for (int half = vectors / 2; half > 0; half /= 2) {
        for (int v = 0; v < half; v++) sum[v] = vd_add(sum[v], sum[v + half]);
    }
    vd_store(each, sum[0]);
#pragma GCC unroll 8
    for (int half = VD_LANES / 2; half > 0; half /= 2) {
        for (int l = 0; l < half; l++) each[l] += each[l + half];
    }
    return each[0];
}

/* `p` columns of float32 or float64, SUMS_COLUMNS of them at most, each contiguous, for `n_labels` labels, SUMS_LABELS at
 * most; p, n_labels and the dtype are constants. */
FC_INLINE void sums_of_labels_p(const char *columns, ptrdiff_t column_stride, ptrdiff_t count, const double *weights,
                                const int32_t *labels, const int32_t *wanted, double *const *sums, ptrdiff_t first,
                                int p, int n_labels, matrix_dtype dtype) {
    enum { vectors = SUMS_LANES / VD_LANES };
    const ptrdiff_t item = (ptrdiff_t)1 << dtype;
    vd sum[SUMS_LABELS][SUMS_COLUMNS][vectors];
    for (int j = 0; j < n_labels; j++) {
        for (int i = 0; i < p; i++) {
            for (int v = 0; v < vectors; v++) sum[j][i][v] = vd_set1(0);
        }
    }
    for (ptrdiff_t r = 0; r < count; r += SUMS_LANES) {
        for (int v = 0; v < vectors; v++) {
            const ptrdiff_t at = r + v * VD_LANES;
            for (int i = 0; i < p; i++) {
                const char *value = columns + i * column_stride + at * item;
                vd x = dtype == MATRIX_FLOAT32 ? vd_load_f32((const float *)value) : vd_load((const double *)value);
                if (weights) x = vd_mul(vd_load(weights + at), x);
                for (int j = 0; j < n_labels; j++) {
                    sum[j][i][v] = vd_add_where_label(sum[j][i][v], labels + at, wanted[j], x);
                }
            }
        }
    }
    for (int j = 0; j < n_labels; j++) {
        for (int i = 0; i < p; i++) sums[j][first + i] += sums_of_lanes(sum[j][i]);
    }
}

FC_INLINE void sums_of_labels_typed(const matrix *view, const double *weights, const int32_t *labels,
                                    const int32_t *wanted, double *const *sums, ptrdiff_t first, int n_labels,
                                    matrix_dtype dtype) {
    const ptrdiff_t n = view->n_rows, p = view->n_columns, cs = view->column_stride;
    enum { most = SUMS_COLUMNS };
    for (ptrdiff_t i = 0; i < p; i += most) {
        const char *columns = view->data + i * cs;
        switch (p - i) {
        case 1: sums_of_labels_p(columns, cs, n, weights, labels, wanted, sums, first + i, 1, n_labels, dtype); break;
        case 2: sums_of_labels_p(columns, cs, n, weights, labels, wanted, sums, first + i, 2, n_labels, dtype); break;
        case 3: sums_of_labels_p(columns, cs, n, weights, labels, wanted, sums, first + i, 3, n_labels, dtype); break;
        default: sums_of_labels_p(columns, cs, n, weights, labels, wanted, sums, first + i, most, n_labels, dtype);
        }
    }
}

FC_INLINE void sums_of_labels_n(const matrix *columns, const double *weights, const int32_t *labels,
                                const int32_t *wanted, double *const *sums, int n_labels) {
    const ptrdiff_t n = columns->n_rows, p = columns->n_columns;
    if (columns->dtype == MATRIX_FLOAT32) {
        sums_of_labels_typed(columns, weights, labels, wanted, sums, 0, n_labels, MATRIX_FLOAT32);
    } else {
        sums_of_labels_typed(columns, weights, labels, wanted, sums, 0, n_labels, MATRIX_FLOAT64);
    }
    if (weights) {
        const matrix column = {(const char *)weights, n, 1, sizeof(double), 0, MATRIX_FLOAT64};
        sums_of_labels_typed(&column, NULL, labels, wanted, sums, p, n_labels, MATRIX_FLOAT64);
    } else {
        for (int j = 0; j < n_labels; j++) {
            int32_t rows = 0;
            for (ptrdiff_t r = 0; r < n; r++) rows += labels[r] == wanted[j];
            sums[j][p] += rows;
        }
    }
}

/* Adds the rows whose label is wanted[j] to sums[j]: p weighted sums, then the weight. For few labels. Columns are
 * contiguous, of float32 or float64; SUMS_LANES - 1 more items of each, weights and labels may be read, no label of
 * which may be wanted. */
static inline void sums_of_labels(const matrix *columns, const double *weights, const int32_t *labels,
                                  const int32_t *wanted, double *const *sums, ptrdiff_t n_labels) {
    ptrdiff_t j = 0;
    for (; j + SUMS_LABELS <= n_labels; j += SUMS_LABELS) {
        sums_of_labels_n(columns, weights, labels, wanted + j, sums + j, SUMS_LABELS);
    }
    for (; j < n_labels; j++) sums_of_labels_n(columns, weights, labels, wanted + j, sums + j, 1);
}

/* What a cluster costs: weighted squared distances, weight, rows; one padding. */
enum { COST_INERTIA, COST_WEIGHT, COST_ROWS, COST_STRIDE = 4 };

FC_INLINE void costs_add_p(const matrix *view, ptrdiff_t start, ptrdiff_t count, const double *weights,
                           const int32_t *labels, const double *centers, double *costs, matrix_dtype dtype, ptrdiff_t p) {
    const char *at = view->data + start * view->row_stride;
    for (ptrdiff_t r = 0; r < count; r++, at += view->row_stride) {
        const double *center = centers + (ptrdiff_t)labels[r] * p, weight = weights ? weights[r] : 1.0;
        const double squared = matrix_distance(at, center, p, view->column_stride, dtype);
        /* COST_INERTIA, COST_WEIGHT, COST_ROWS, and nothing. */
        *(sums_vector *)(costs + (ptrdiff_t)labels[r] * COST_STRIDE) += (sums_vector){weight * squared, weight, 1.0, 0.0};
    }
}

FC_INLINE void costs_add_typed(const matrix *view, ptrdiff_t start, ptrdiff_t count, const double *weights,
                               const int32_t *labels, const double *centers, double *costs, matrix_dtype dtype) {
    const ptrdiff_t p = view->n_columns;
    if (p == 3) costs_add_p(view, start, count, weights, labels, centers, costs, dtype, 3);
    else if (p == 8) costs_add_p(view, start, count, weights, labels, centers, costs, dtype, 8);
    else costs_add_p(view, start, count, weights, labels, centers, costs, dtype, p);
}

/* Adds what rows [start, start + count) cost with their labels to `costs`, k x COST_STRIDE. centers: k x p. */
static inline void costs_add(const matrix *points, ptrdiff_t start, ptrdiff_t count, const double *weights,
                             const int32_t *labels, const double *centers, double *costs) {
    MATRIX_DISPATCH(points, costs_add_typed, start, count, weights, labels, centers, costs)
}

#endif
