/* Points ordered by the leaves of a balanced k-d tree, so that rows which follow each other lie close together.
 *
 * The tree is built in two rounds of up to KDTREE_LEVELS levels: all rows are distributed over the buckets of one *fan*,
 * then each bucket, in cache, over the leaves of a fan of its own. All nodes of a level of a fan are split along the same
 * column, so that a vector of rows descends with one table look-up and one comparison a level. Thresholds are medians of
 * an evenly spaced sample; which leaf a row falls into only decides how fast later searches are, so they are float32.
 *
 * Cost: O(n log(n / leaf)) with two passes over the rows, however deep; O(n) bytes for the rows' numbers, no second copy.
 */
#ifndef FASTCLUSTER_EXT_KDTREE_H
#define FASTCLUSTER_EXT_KDTREE_H

#include "matrix.h"

#define KDTREE_LEVELS 7
#define KDTREE_FAN (1 << KDTREE_LEVELS) /* leaves of a fan; their numbers fit into a byte */
#define KDTREE_TILE 256
#define KDTREE_MOST_COLUMNS 8
#define KDTREE_SAMPLE (16 * KDTREE_FAN) /* rows, at most, that the thresholds of a fan are taken from */

typedef struct {
    ptrdiff_t p;
    int32_t levels;
    int32_t sides[KDTREE_LEVELS];                       /* the column of each level */
    float thresholds[KDTREE_LEVELS][VF_LOOKUP_MOST];    /* by node of the level; rows above go right */
} kdtree_fan;

/* Moves the `middle`-th least row by column `side` of rows [begin, end) into place, lesser ones before it (Hoare). */
static inline void kdtree_select(float *rows, ptrdiff_t p, ptrdiff_t begin, ptrdiff_t end, ptrdiff_t middle, int side) {
    ptrdiff_t low = begin, high = end - 1;
    while (low < high) {
        const float pivot = rows[(low + (high - low) / 2) * p + side];
        ptrdiff_t i = low, j = high;
        while (i <= j) {
            while (rows[i * p + side] < pivot) i++;
            while (rows[j * p + side] > pivot) j--;
            if (i <= j) {
                for (ptrdiff_t c = 0; c < p; c++) {
                    const float value = rows[i * p + c];
                    rows[i * p + c] = rows[j * p + c];
                    rows[j * p + c] = value;
                }
                i++;
                j--;
            }
        }
        if (middle <= j) high = j;
        else if (middle >= i) low = i;
        else break;
    }
}

/* The column whose ranges, summed over the nodes of a level, are the widest. Node b holds rows [bounds[b], bounds[b + 1]). */
static inline int kdtree_side(const float *sample, ptrdiff_t p, const ptrdiff_t *bounds, ptrdiff_t nodes) {
    int side = 0;
    double widest = -1;
    for (ptrdiff_t c = 0; c < p; c++) {
        double width = 0;
        for (ptrdiff_t b = 0; b < nodes; b++) {
            if (bounds[b] == bounds[b + 1]) continue;
            float least = sample[bounds[b] * p + c], most = least;
            for (ptrdiff_t r = bounds[b] + 1; r < bounds[b + 1]; r++) {
                const float value = sample[r * p + c];
                least = value < least ? value : least;
                most = value > most ? value : most;
            }
            width += (double)most - least;
        }
        if (width > widest) {
            widest = width;
            side = (int)c;
        }
    }
    return side;
}

/* A fan of 2**levels leaves from m x p sample rows, which are reordered. */
static inline void kdtree_fan_build(kdtree_fan *fan, ptrdiff_t p, int levels, float *sample, ptrdiff_t m) {
    ptrdiff_t bounds[KDTREE_FAN + 1] = {0};
    bounds[1] = m;
    fan->p = p;
    fan->levels = levels;
    for (int level = 0; level < levels; level++) {
        const ptrdiff_t nodes = (ptrdiff_t)1 << level;
        const int side = fan->sides[level] = kdtree_side(sample, p, bounds, nodes);
        for (ptrdiff_t b = nodes - 1; b >= 0; b--) {
            const ptrdiff_t begin = bounds[b], end = bounds[b + 1], middle = begin + (end - begin) / 2;
            if (begin < end) kdtree_select(sample, p, begin, end, middle - (middle > begin), side);
            fan->thresholds[level][b] = begin < end ? sample[(middle - (middle > begin)) * p + side] : 0;
            bounds[2 * b + 2] = end;
            bounds[2 * b + 1] = middle;
        }
    }
}

/* The same from rows [start, start + count) of `points`, of which at most KDTREE_SAMPLE, evenly spaced, are looked at.
 * sample: scratch, KDTREE_SAMPLE x p floats; row: scratch, p doubles; shift: taken off all rows. */
static inline void kdtree_fan_plan(kdtree_fan *fan, int levels, const matrix *points, ptrdiff_t start, ptrdiff_t count,
                                   const double *shift, float *sample, double *row) {
    const ptrdiff_t p = points->n_columns, wanted = (ptrdiff_t)16 << levels, m = count < wanted ? count : wanted;
    for (ptrdiff_t s = 0; s < m; s++) {
        matrix_row_f64(points, start + (ptrdiff_t)((double)s / (double)m * (double)count), row);
        for (ptrdiff_t i = 0; i < p; i++) sample[s * p + i] = (float)(row[i] - shift[i]);
    }
    kdtree_fan_build(fan, p, levels, sample, m);
}

/* The leaf of each of rows [start, stop) in leaves[0 ...], and how many fall into each: `counts`, KDTREE_FAN of them.
 * columns: scratch, p x KDTREE_TILE floats. */
static inline void kdtree_descend(const kdtree_fan *fan, const matrix *points, ptrdiff_t start, ptrdiff_t stop,
                                  const double *shift, float *columns, uint8_t *leaves, ptrdiff_t *counts) {
    for (ptrdiff_t l = 0; l < KDTREE_FAN; l++) counts[l] = 0;
    for (ptrdiff_t at = start; at < stop; at += KDTREE_TILE) {
        const ptrdiff_t count = stop - at < KDTREE_TILE ? stop - at : KDTREE_TILE;
        int32_t node[KDTREE_TILE];
        matrix_columns_f32(points, at, count, shift, columns, KDTREE_TILE);
        for (ptrdiff_t r = 0; r < KDTREE_TILE; r += VF_LANES) {
            vi nodes = vi_set1(0);
            for (int level = 0; level < fan->levels; level++) {
                const vf x = vf_load(columns + fan->sides[level] * KDTREE_TILE + r);
                nodes = vi_twice_plus(nodes, vf_less(vf_lookup(fan->thresholds[level], 1 << level, nodes), x));
            }
            vi_store(node + r, nodes);
        }
        for (ptrdiff_t r = 0; r < count; r++) {
            leaves[at - start + r] = (uint8_t)node[r];
            counts[node[r]]++;
        }
    }
}

/* Bytes ahead of where a row goes that are asked for: another core may have them, and stores wait for each other. */
#define KDTREE_AHEAD 192

/* `size` is a constant at each call that matters: a copy is then a move or two. */
FC_INLINE void kdtree_copy_rows(const uint8_t *leaves, const char *from, ptrdiff_t count, const uint32_t *numbers,
                                ptrdiff_t number, ptrdiff_t *places, char *sorted, uint32_t *order, size_t size,
                                ptrdiff_t stride) {
    for (ptrdiff_t r = 0; r < count; r++, from += stride) {
        const ptrdiff_t place = places[leaves[r]]++;
        char *to = sorted + place * (ptrdiff_t)size;
        __builtin_prefetch(to + KDTREE_AHEAD, 1);
        memcpy(to, from, size);
        if (order) order[place] = numbers ? numbers[r] : (uint32_t)(number + r);
    }
}

/* Rows [start, stop) of `points`, and their numbers, to their places: `places` holds the next free one of each leaf.
 * numbers: of these rows, or NULL where they are start, start + 1, ... The rows are packed densely in `sorted`; order may
 * be NULL if nobody asks for their numbers. */
static inline void kdtree_scatter(const uint8_t *leaves, const matrix *points, ptrdiff_t start, ptrdiff_t stop,
                                  const uint32_t *numbers, ptrdiff_t *places, char *sorted, uint32_t *order) {
    const ptrdiff_t p = points->n_columns, item = (ptrdiff_t)1 << points->dtype, rs = points->row_stride;
    const char *from = points->data + start * rs;
    const ptrdiff_t count = stop - start;
    if (points->column_stride != item) {
        for (ptrdiff_t r = 0; r < count; r++, from += rs) {
            const ptrdiff_t place = places[leaves[r]]++;
            for (ptrdiff_t c = 0; c < p; c++) {
                memcpy(sorted + (place * p + c) * item, from + c * points->column_stride, (size_t)item);
            }
            if (order) order[place] = numbers ? numbers[r] : (uint32_t)(start + r);
        }
        return;
    }
    switch (p * item) {
    case 3: kdtree_copy_rows(leaves, from, count, numbers, start, places, sorted, order, 3, rs); break;
    case 12: kdtree_copy_rows(leaves, from, count, numbers, start, places, sorted, order, 12, rs); break;
    case 16: kdtree_copy_rows(leaves, from, count, numbers, start, places, sorted, order, 16, rs); break;
    case 20: kdtree_copy_rows(leaves, from, count, numbers, start, places, sorted, order, 20, rs); break;
    case 24: kdtree_copy_rows(leaves, from, count, numbers, start, places, sorted, order, 24, rs); break;
    case 28: kdtree_copy_rows(leaves, from, count, numbers, start, places, sorted, order, 28, rs); break;
    case 32: kdtree_copy_rows(leaves, from, count, numbers, start, places, sorted, order, 32, rs); break;
    default: kdtree_copy_rows(leaves, from, count, numbers, start, places, sorted, order, (size_t)(p * item), rs);
    }
}

/* One thread's memory for kdtree_split. */
typedef struct {
    float *columns;  /* p x KDTREE_TILE */
    float *sample;   /* KDTREE_SAMPLE x p */
    double *row;     /* p */
    uint8_t *leaves; /* most_rows */
    uint32_t *order; /* most_rows */
    char *rows;      /* most_rows, dense */
    ptrdiff_t most_rows;
} kdtree_worker;

static inline size_t kdtree_worker_bytes(ptrdiff_t p, ptrdiff_t row_bytes, ptrdiff_t most_rows) {
    return (size_t)(p * (ptrdiff_t)(sizeof(double) + (KDTREE_TILE + KDTREE_SAMPLE) * sizeof(float)) +
                    most_rows * (row_bytes + 5) + 3 * FC_ALIGN);
}

static inline void kdtree_worker_place(kdtree_worker *worker, ptrdiff_t p, ptrdiff_t row_bytes, ptrdiff_t most_rows,
                                       char *memory) {
    worker->row = (double *)memory;
    worker->columns = (float *)(worker->row + p);
    worker->sample = worker->columns + p * KDTREE_TILE;
    worker->order = (uint32_t *)(worker->sample + p * KDTREE_SAMPLE);
    worker->rows = (char *)(worker->order + most_rows);
    worker->rows += (FC_ALIGN - (uintptr_t)worker->rows % FC_ALIGN) % FC_ALIGN;
    worker->most_rows = most_rows;
    worker->leaves = (uint8_t *)worker->rows + most_rows * row_bytes;
}

/* Order the sorted rows [start, stop) by the leaves of a fan of their own; leaf l > 0 begins at leaf_rows[l].
 * points: the dense rows, all of them; `order`: their numbers, or NULL. Of more rows than the worker has room for, which only
 * happens where most are equal, all stay in the first leaf. */
static inline void kdtree_split(kdtree_worker *worker, const matrix *points, ptrdiff_t start, ptrdiff_t stop, int levels,
                                const double *shift, uint32_t *order, ptrdiff_t *leaf_rows) {
    const ptrdiff_t count = stop - start, leaves = (ptrdiff_t)1 << levels, row_bytes = points->row_stride;
    ptrdiff_t places[KDTREE_FAN];
    if (count == 0 || count > worker->most_rows) {
        for (ptrdiff_t l = 1; l < leaves; l++) leaf_rows[l] = stop;
        return;
    }
    kdtree_fan fan = {0};
    kdtree_fan_plan(&fan, levels, points, start, count, shift, worker->sample, worker->row);
    kdtree_descend(&fan, points, start, stop, shift, worker->columns, worker->leaves, places);
    for (ptrdiff_t l = 0, place = 0; l < leaves; l++) {
        const ptrdiff_t size = places[l];
        if (l > 0) leaf_rows[l] = start + place;
        places[l] = place;
        place += size;
    }
    kdtree_scatter(worker->leaves, points, start, stop, order ? order + start : NULL, places, worker->rows,
                   order ? worker->order : NULL);
    memcpy((char *)points->data + start * row_bytes, worker->rows, (size_t)(count * row_bytes));
    if (order) memcpy(order + start, worker->order, (size_t)count * sizeof(uint32_t));
}

#endif
