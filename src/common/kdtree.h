/* Points ordered by the leaves of a balanced k-d tree, so that rows which follow each other lie close together.
 *
 * The splits are medians of an evenly spaced sample, along the widest side of the sample in each node; all rows then
 * descend the finished tree, a tile at a time, and are sorted by leaf, in row order within a leaf. Which leaf a row
 * falls into only decides how fast later searches are, so the splits are kept in float32. The tree is complete: the
 * children of node i are 2 i and 2 i + 1, its root is 1, and leaf l is node 2**depth + l.
 *
 * Cost: O(m log m) for a sample of m rows, O(n depth) for the descent, O(n) for the sort.
 */
#ifndef FASTCLUSTER_EXT_KDTREE_H
#define FASTCLUSTER_EXT_KDTREE_H

#include "matrix.h"

#define KDTREE_TILE 256
#define KDTREE_MOST_COLUMNS 8

typedef struct {
    ptrdiff_t p, depth;
    int32_t *side;     /* 2**depth: the column a node is split along */
    float *threshold;  /* 2**depth: rows below it go left */
    double *shift;     /* p: taken off all rows before they meet a threshold */
} kdtree;

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

/* Splits `node` and all below it on sample rows [begin, end), which are reordered. Recursion: as deep as the tree. */
static void kdtree_split(kdtree *tree, ptrdiff_t node, float *sample, ptrdiff_t begin, ptrdiff_t end) {
    if (node >= (ptrdiff_t)1 << tree->depth) return;
    const ptrdiff_t p = tree->p, middle = begin + (end - begin) / 2;
    int side = 0;
    float widest = -1;
    for (ptrdiff_t c = 0; c < p && begin < end; c++) {
        float least = sample[begin * p + c], most = least;
        for (ptrdiff_t r = begin + 1; r < end; r++) {
            const float value = sample[r * p + c];
            least = value < least ? value : least;
            most = value > most ? value : most;
        }
        if (most - least > widest) {
            widest = most - least;
            side = (int)c;
        }
    }
    if (begin < end) kdtree_select(sample, p, begin, end, middle, side);
    tree->side[node] = side;
    tree->threshold[node] = begin < end ? sample[middle * p + side] : 0;
    kdtree_split(tree, 2 * node, sample, begin, middle);
    kdtree_split(tree, 2 * node + 1, sample, middle, end);
}

/* The leaf of each of rows [start, stop). columns: scratch, p x KDTREE_TILE floats. */
static inline void kdtree_descend(const kdtree *tree, const matrix *points, ptrdiff_t start, ptrdiff_t stop,
                                  float *columns, uint32_t *leaves) {
    for (ptrdiff_t at = start; at < stop; at += KDTREE_TILE) {
        const ptrdiff_t count = stop - at < KDTREE_TILE ? stop - at : KDTREE_TILE;
        int32_t node[KDTREE_TILE];
        matrix_columns_f32(points, at, count, tree->shift, columns, KDTREE_TILE);
        for (ptrdiff_t r = 0; r < KDTREE_TILE; r++) node[r] = 1;
        for (ptrdiff_t level = 0; level < tree->depth; level++) {
            for (int32_t r = 0; r < KDTREE_TILE; r++) {
                const int32_t above = columns[tree->side[node[r]] * KDTREE_TILE + r] >= tree->threshold[node[r]];
                node[r] = 2 * node[r] + above;
            }
        }
        for (ptrdiff_t r = 0; r < count; r++) leaves[at + r] = (uint32_t)(node[r] - ((int32_t)1 << tree->depth));
    }
}

/* How many of rows [start, stop) fall into each leaf. */
static inline void kdtree_count(const uint32_t *leaves, ptrdiff_t start, ptrdiff_t stop, ptrdiff_t n_leaves,
                                ptrdiff_t *counts) {
    for (ptrdiff_t l = 0; l < n_leaves; l++) counts[l] = 0;
    for (ptrdiff_t r = start; r < stop; r++) counts[leaves[r]]++;
}

/* Rows [start, stop) to their places: `places` holds the next free place of each leaf for this range of rows.
 * points are copied as they are, row after row, to `sorted`; order[place] = row. */
static inline void kdtree_scatter(const uint32_t *leaves, const matrix *points, const double *weights, ptrdiff_t start,
                                  ptrdiff_t stop, ptrdiff_t *places, char *sorted, double *sorted_weights,
                                  uint32_t *order) {
    const ptrdiff_t p = points->n_columns;
    const ptrdiff_t item = points->dtype == MATRIX_UINT8    ? 1
                           : points->dtype == MATRIX_UINT16  ? 2
                           : points->dtype == MATRIX_FLOAT32 ? 4
                                                             : 8;
    for (ptrdiff_t r = start; r < stop; r++) {
        const char *from = points->data + r * points->row_stride;
        const ptrdiff_t place = places[leaves[r]]++;
        char *to = sorted + place * p * item;
        for (ptrdiff_t c = 0; c < p; c++) memcpy(to + c * item, from + c * points->column_stride, (size_t)item);
        if (weights) sorted_weights[place] = weights[r];
        order[place] = (uint32_t)r;
    }
}

#endif
