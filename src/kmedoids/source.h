/* Where dissimilarities come from: a row of the caller's matrix, or the metric of two points, computed when it is read.
 *
 * A source has n_rows candidates (which medoids are taken from) and n_points points (which are to be served); for a
 * matrix, and for most uses, the two are the same. Row c holds the dissimilarities of candidate c to all points and is
 * read tile by tile, always along the matrix's contiguous direction. A matrix is symmetric and never copied; values of
 * narrower types are widened tile by tile. Values are those of float64, in every build.
 */
#ifndef FASTCLUSTER_EXT_SOURCE_H
#define FASTCLUSTER_EXT_SOURCE_H

#include "common/metrics.h"

/* Points read at a time. */
#define SOURCE_TILE 128
/* Doubles that a tile takes: metric_tile_size of one row, of the metrics with most sums. */
#define SOURCE_BUFFER (2 * METRIC_GROUP * SOURCE_TILE)

/* Codes of the matrices that kernels of this family read; the first four are those of matrix_dtype. */
typedef enum {
    SOURCE_UINT8 = MATRIX_UINT8,
    SOURCE_UINT16 = MATRIX_UINT16,
    SOURCE_FLOAT32 = MATRIX_FLOAT32,
    SOURCE_FLOAT64 = MATRIX_FLOAT64,
    SOURCE_INT8,
    SOURCE_INT16,
    SOURCE_INT32,
    SOURCE_INT64,
    SOURCE_UINT32,
    SOURCE_UINT64
} source_dtype;

typedef struct {
    ptrdiff_t n_rows, n_points;
    /* A matrix, or NULL; strides are in bytes. */
    const char *data;
    ptrdiff_t row_stride, column_stride;
    source_dtype dtype;
    /* Points in panels of float64 (metrics.h). */
    metric m;
    const double *row_panels, *point_panels;
} source;

/* Can rows be read as float32 where they are? */
static inline int source_is_single(const source *s) {
    return s->data && s->dtype == SOURCE_FLOAT32 && s->column_stride == (ptrdiff_t)sizeof(float);
}

static inline const float *source_single_row(const source *s, ptrdiff_t c) {
    return (const float *)(s->data + c * s->row_stride);
}

/* Multiply-adds of a pair, about. */
static inline double source_work(const source *s) { return s->data ? 1 : metric_work(&s->m) / 2; }

#define SOURCE_WIDEN(TYPE)                                                                                             \
    for (ptrdiff_t i = 0; i < count; i++) out[i] = (double)*(const TYPE *)(at + i * stride);                           \
    break

/* Values [start, start + count) of row c of a matrix. buffer: count doubles. Returns where they are: `buffer`, or the
 * matrix itself. */
static inline const double *source_matrix_tile(const source *s, ptrdiff_t c, ptrdiff_t start, ptrdiff_t count,
                                               double *restrict buffer) {
    const ptrdiff_t stride = s->column_stride;
    const char *at = s->data + c * s->row_stride + start * stride;
    double *restrict out = buffer;
    switch (s->dtype) {
    case SOURCE_UINT8: SOURCE_WIDEN(uint8_t);
    case SOURCE_UINT16: SOURCE_WIDEN(uint16_t);
    case SOURCE_FLOAT32: SOURCE_WIDEN(float);
    case SOURCE_FLOAT64:
        if (stride == (ptrdiff_t)sizeof(double)) return (const double *)at;
        SOURCE_WIDEN(double);
    case SOURCE_INT8: SOURCE_WIDEN(int8_t);
    case SOURCE_INT16: SOURCE_WIDEN(int16_t);
    case SOURCE_INT32: SOURCE_WIDEN(int32_t);
    case SOURCE_INT64: SOURCE_WIDEN(int64_t);
    case SOURCE_UINT32: SOURCE_WIDEN(uint32_t);
    case SOURCE_UINT64: SOURCE_WIDEN(uint64_t);
    }
    return buffer;
}

/* Dissimilarities of candidate c to points [start, start + count), count <= SOURCE_TILE, start a multiple of it.
 * buffer: SOURCE_BUFFER doubles on a cache line. Returns where they are: `buffer`, or the matrix itself. */
static inline const double *source_tile(const source *s, ptrdiff_t c, ptrdiff_t start, ptrdiff_t count,
                                        double *restrict buffer) {
    if (s->data) return source_matrix_tile(s, c, start, count, buffer);
    metric_tile_f64(&s->m, metric_row_f64(&s->m, s->row_panels, c), 1, metric_row_f64(&s->m, s->point_panels, start),
                    metric_panels(count), buffer);
    return buffer;
}

/* All dissimilarities of candidate c. buffer: as above; out: n_points doubles. */
static inline void source_row(const source *s, ptrdiff_t c, double *buffer, double *out) {
    for (ptrdiff_t start = 0; start < s->n_points; start += SOURCE_TILE) {
        const ptrdiff_t count = s->n_points - start < SOURCE_TILE ? s->n_points - start : SOURCE_TILE;
        memcpy(out + start, source_tile(s, c, start, count, buffer), (size_t)count * sizeof(double));
    }
}

#endif
