/* What one thread does with a block of pairs: tiles of distances, written where they belong. */
#ifndef FASTCLUSTER_EXT_PAIRWISE_H
#define FASTCLUSTER_EXT_PAIRWISE_H

#include "common/argmin.h"
#include "common/chunks.h"
#include "common/metrics.h"

/* Work (metric_work) of a unit, which is one thread's, and of a slice, between two looks at signals. A unit of 1 ms is
 * long beside handing it out; a slice takes each thread up to 30 ms. Threads meet at its end, which is dear on a busy
 * machine, so it is not much shorter than it must be. */
#define PAIRWISE_UNIT 8e6
#define PAIRWISE_SLICE (VF_LANES >= 8 ? 4e8 : VF_LANES * 5e7)

/* At least metric_tile_rows. */
#define PAIRWISE_ROWS 64

/* Tiles of rows that meet a block of columns, which stays in the second-level cache, one after another: a tenth less time
 * than one, where the result is new memory. */
#define PAIRWISE_TILES 4

typedef struct {
    metric m;
    int single;     /* panels and tiles hold float32, otherwise float64 */
    int single_out; /* so does `out` */
    int condensed;  /* `out` holds the pairs i < j of n_columns points, row by row; otherwise n_rows x n_columns */
    ptrdiff_t n_columns;
    char *out;
} pairwise;

static inline size_t pairwise_value_bytes(const pairwise *pairs) {
    return pairs->single ? sizeof(float) : sizeof(double);
}

/* Bytes of the panels of n points. */
static inline size_t pairwise_panels_bytes(const pairwise *pairs, ptrdiff_t n) {
    return (size_t)metric_panels(n) * (size_t)metric_panel_size(&pairs->m) * pairwise_value_bytes(pairs);
}

static inline size_t pairwise_tile_bytes(const pairwise *pairs) {
    const metric *m = &pairs->m;
    return (size_t)metric_tile_size(m, metric_tile_rows(m), metric_tile_columns(m) / METRIC_PANEL) *
           pairwise_value_bytes(pairs);
}

/* Columns of a unit: whole tiles. */
static inline ptrdiff_t pairwise_span(const pairwise *pairs) {
    const ptrdiff_t rows = metric_tile_rows(&pairs->m), columns = metric_tile_columns(&pairs->m);
    const double tiles = PAIRWISE_UNIT / (metric_work(&pairs->m) * (double)(rows * columns));
    return tiles < 1 ? columns : (ptrdiff_t)tiles * columns;
}

/* Units of n rows and m columns. */
static inline ptrdiff_t pairwise_units(const pairwise *pairs, ptrdiff_t n, ptrdiff_t m) {
    return chunk_count(n, metric_tile_rows(&pairs->m)) * chunk_count(m, pairwise_span(pairs));
}

/* Units in a slice of a result of n_columns. */
static inline ptrdiff_t pairwise_slice(const pairwise *pairs, ptrdiff_t n_columns, int n_threads) {
    const ptrdiff_t span = pairwise_span(pairs), columns = span < n_columns ? span : n_columns;
    const double unit = metric_work(&pairs->m) * (double)(metric_tile_rows(&pairs->m) * columns);
    const double units = PAIRWISE_SLICE / unit;
    return (units < 1 ? 1 : (ptrdiff_t)units) * n_threads;
}

/* A part of a slice's units: one thread takes them in order, others that have none left take them from its end. So
 * threads stay far from each other: two that write side by side would both ask for, and clear, the same new page. */
typedef struct {
    ptrdiff_t left, front, back; /* units not taken; the next in order, and one behind the last */
    char apart[64];              /* from the next part's cache line */
} pairwise_part;

/* Share units [first, last) out. */
static inline void pairwise_share(pairwise_part *parts, int n_parts, ptrdiff_t first, ptrdiff_t last) {
    for (int i = 0; i < n_parts; i++) {
        parts[i].front = first + (last - first) * i / n_parts;
        parts[i].back = first + (last - first) * (i + 1) / n_parts;
        parts[i].left = parts[i].back - parts[i].front;
    }
}

/* A unit that nobody has taken for the owner of part `own`, or -1: there is none. Any thread may be an owner, at any
 * time. */
static inline ptrdiff_t pairwise_take(pairwise_part *parts, int n_parts, int own) {
    for (int i = 0; i < n_parts; i++) {
        pairwise_part *part = parts + (own + i) % n_parts;
        if (__atomic_fetch_sub(&part->left, 1, __ATOMIC_RELAXED) <= 0) continue;
        return i == 0 ? part->front++ : __atomic_sub_fetch(&part->back, 1, __ATOMIC_RELAXED);
    }
    return -1;
}

static inline void pairwise_pack(const pairwise *pairs, const matrix *view, ptrdiff_t start, ptrdiff_t count,
                                 void *panels) {
    if (pairs->single) metric_pack_f32(&pairs->m, view, start, count, (float *)panels);
    else metric_pack_f64(&pairs->m, view, start, count, (double *)panels);
}

/* A run of `count` distances of a tile, from tile[begin] on, to out[at ...]. */
static inline void pairwise_store(const pairwise *pairs, const void *tile, ptrdiff_t begin, ptrdiff_t count,
                                  ptrdiff_t at) {
    const size_t n = (size_t)count;
    if (pairs->single) {
        const float *from = (const float *)tile + begin;
        double *to = (double *)pairs->out + at;
        if (pairs->single_out) memcpy((float *)pairs->out + at, from, n * sizeof(float));
        else for (ptrdiff_t j = 0; j < count; j++) to[j] = from[j];
    } else {
        const double *from = (const double *)tile + begin;
        float *to = (float *)pairs->out + at;
        if (!pairs->single_out) memcpy((double *)pairs->out + at, from, n * sizeof(double));
        else for (ptrdiff_t j = 0; j < count; j++) to[j] = (float)from[j];
    }
}

/* Where the distance of points i and j is in `out`. */
FC_INLINE ptrdiff_t pairwise_place(const pairwise *pairs, ptrdiff_t i, ptrdiff_t j) {
    return pairs->condensed ? i * pairs->n_columns - i * (i + 1) / 2 + j - i - 1 : i * pairs->n_columns + j;
}

/* One tile: rows [row, row + row_count) with columns [begin, begin + count). A whole one goes straight to `out`. */
static inline void pairwise_tile(const pairwise *pairs, const void *rows, ptrdiff_t row, ptrdiff_t row_count,
                                 const void *columns, ptrdiff_t begin, ptrdiff_t count, void *tile) {
    const metric *m = &pairs->m;
    const ptrdiff_t k = metric_panels(count);
    const int whole = pairs->single == pairs->single_out && row_count % METRIC_GROUP == 0 &&
                      count % METRIC_PANEL == 0 && (!pairs->condensed || begin >= row + row_count);
    union {
        float *f32[PAIRWISE_ROWS];
        double *f64[PAIRWISE_ROWS];
    } to;
    if (pairs->single) {
        for (ptrdiff_t r = 0; r < row_count && whole; r++) {
            to.f32[r] = (float *)pairs->out + pairwise_place(pairs, row + r, begin);
        }
        metric_tile_to_f32(m, (const float *)rows, row_count, (const float *)columns, k, (float *)tile,
                           whole ? to.f32 : NULL);
    } else {
        for (ptrdiff_t r = 0; r < row_count && whole; r++) {
            to.f64[r] = (double *)pairs->out + pairwise_place(pairs, row + r, begin);
        }
        metric_tile_to_f64(m, (const double *)rows, row_count, (const double *)columns, k, (double *)tile,
                           whole ? to.f64 : NULL);
    }
    for (ptrdiff_t r = 0; r < row_count && !whole; r++) {
        const ptrdiff_t first = pairs->condensed && begin < row + r + 1 ? row + r + 1 : begin;
        if (first >= begin + count) break;
        pairwise_store(pairs, tile, r * k * METRIC_PANEL + first - begin, begin + count - first,
                       pairwise_place(pairs, row + r, first));
    }
}

/* Rows [row, row + row_count), in the panels `rows`, with columns [column, column + column_count), in the panels
 * `columns`. At most metric_tile_rows rows; `column` is a multiple of METRIC_PANEL. tile: scratch. */
static inline void pairwise_unit(const pairwise *pairs, const void *rows, ptrdiff_t row, ptrdiff_t row_count,
                                 const void *columns, ptrdiff_t column, ptrdiff_t column_count, void *tile) {
    const ptrdiff_t most = metric_tile_columns(&pairs->m), end = column + column_count;
    const ptrdiff_t panel_bytes = (ptrdiff_t)pairwise_panels_bytes(pairs, 1);
    ptrdiff_t begin = column;
    /* Tiles left of the diagonal have no pair i < j. */
    if (pairs->condensed && begin < row + 1) begin += (row + 1 - begin) / METRIC_PANEL * METRIC_PANEL;
    while (begin < end) {
        ptrdiff_t count = end - begin < most ? end - begin : most;
        /* Panels that the diagonal crosses, and one that is not full, by themselves: all others are whole tiles. */
        if (pairs->condensed && begin < row + row_count) {
            const ptrdiff_t crossed = (row + row_count - begin + METRIC_PANEL - 1) / METRIC_PANEL * METRIC_PANEL;
            if (crossed < count) count = crossed;
        } else if (count > METRIC_PANEL) {
            count -= count % METRIC_PANEL;
        }
        pairwise_tile(pairs, rows, row, row_count, (const char *)columns + (begin - column) / METRIC_PANEL * panel_bytes,
                      begin, count, tile);
        begin += count;
    }
}

/* What one thread, `own`, does of a slice. Rows are [start, start + n), packed at `panels`, and columns
 * [begin, begin + m), at `others_panels`; start and begin are multiples of METRIC_PANEL. tile: scratch. */
static inline void pairwise_work(const pairwise *pairs, pairwise_part *parts, int n_parts, int own, const char *panels,
                                 ptrdiff_t start, ptrdiff_t n, const char *others_panels, ptrdiff_t begin, ptrdiff_t m,
                                 void *tile) {
    const ptrdiff_t rows = metric_tile_rows(&pairs->m), span = pairwise_span(pairs), blocks = chunk_count(m, span);
    const ptrdiff_t tiles = chunk_count(n, rows);
    const size_t panel_bytes = pairwise_panels_bytes(pairs, 1);
    for (ptrdiff_t unit; (unit = pairwise_take(parts, n_parts, own)) >= 0;) {
        /* PAIRWISE_TILES tiles of rows go along a block of columns before the next block comes. */
        const ptrdiff_t first = unit / (PAIRWISE_TILES * blocks) * PAIRWISE_TILES, at = unit % (PAIRWISE_TILES * blocks);
        const ptrdiff_t some = tiles - first < PAIRWISE_TILES ? tiles - first : PAIRWISE_TILES;
        const ptrdiff_t row = (first + at % some) * rows, column = at / some * span;
        pairwise_unit(pairs,
                      panels + (size_t)(row / METRIC_PANEL) * panel_bytes +
                          (size_t)(row % METRIC_PANEL) * pairwise_value_bytes(pairs),
                      start + row, n - row < rows ? n - row : rows,
                      others_panels + (size_t)(column / METRIC_PANEL) * panel_bytes, begin + column,
                      m - column < span ? m - column : span, tile);
    }
}

/* Points a unit of the nearest-center search takes at a time. */
enum { NEAREST_TILE = 64 };

/* Points [start, start + count), count <= NEAREST_TILE, against centers [center, center + n_centers) in the panels
 * `centers`; distances and labels so far are kept, strictly nearer centers replace them, NaN never does.
 * panels, tile: scratch. The centers are the rows of a tile, so that one vector holds many points' minima. */
static inline void nearest_unit(const metric *m, const matrix *points, ptrdiff_t start, ptrdiff_t count,
                                const double *centers, ptrdiff_t center, ptrdiff_t n_centers, double *panels,
                                double *tile, double *distances, int32_t *labels) {
    const ptrdiff_t k = metric_panels(count), ld = k * METRIC_PANEL, most = metric_tile_rows(m);
    double least[NEAREST_TILE];
    int64_t nearest[NEAREST_TILE];
    for (ptrdiff_t j = 0; j < ld; j++) {
        least[j] = j < count ? distances[start + j] : INFINITY;
        nearest[j] = j < count ? labels[start + j] : 0;
    }
    metric_pack_f64(m, points, start, count, panels);
    for (ptrdiff_t begin = 0; begin < n_centers; begin += most) {
        const ptrdiff_t some = n_centers - begin < most ? n_centers - begin : most;
        metric_tile_f64(m, metric_row_f64(m, centers, begin), some, panels, k, tile);
        for (ptrdiff_t c = 0; c < some; c++) {
            const int64_t label = center + begin + c;
            for (ptrdiff_t j = 0; j < ld; j++) {
                const double distance = tile[c * ld + j];
                nearest[j] = distance < least[j] ? label : nearest[j];
                least[j] = distance < least[j] ? distance : least[j];
            }
        }
    }
    for (ptrdiff_t j = 0; j < count; j++) {
        distances[start + j] = least[j];
        labels[start + j] = (int32_t)nearest[j];
    }
}

/* Bytes of scratch of nearest_euclidean_unit. */
static inline size_t nearest_euclidean_bytes(ptrdiff_t k, ptrdiff_t p) {
    return argmin_scratch_bytes(k, p) + ARGMIN_TILE * sizeof(int32_t);
}

FC_INLINE void nearest_distances_typed(const matrix *points, ptrdiff_t start, ptrdiff_t count, const double *centers,
                                       int root, const int32_t *labels, double *distances, matrix_dtype dtype) {
    const ptrdiff_t p = points->n_columns;
    const char *row = points->data + start * points->row_stride;
    for (ptrdiff_t r = 0; r < count; r++, row += points->row_stride) {
        const double squared = matrix_distance(row, centers + labels[r] * p, p, points->column_stride, dtype);
        distances[r] = root ? sqrt(squared) : squared;
    }
}

/* Points [start, stop) against all centers, k x p, of `table` (argmin.h); distances are squared unless `root`. */
static inline void nearest_euclidean_unit(const centers_table *table, const double *centers, const matrix *points,
                                          ptrdiff_t start, ptrdiff_t stop, int root, void *scratch, double *distances,
                                          int32_t *labels) {
    int32_t *found = (int32_t *)((char *)scratch + argmin_scratch_bytes(table->k, table->p));
    for (ptrdiff_t at = start; at < stop; at += ARGMIN_TILE) {
        const ptrdiff_t count = stop - at < ARGMIN_TILE ? stop - at : ARGMIN_TILE;
        argmin_tile(table, points, at, count, scratch, found);
        MATRIX_DISPATCH(points, nearest_distances_typed, at, count, centers, root, found, distances + at)
        memcpy(labels + at, found, (size_t)count * sizeof(int32_t));
    }
}

#endif
