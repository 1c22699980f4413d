/* Lloyd's assignment over a tree of boxes: centers that cannot be nearest to any point of a box are dropped for all
 * points in it, and a box left with one center is added to it as a whole, by its precomputed sums.
 *
 * The test (T. Kanungo et al., "An efficient k-means clustering algorithm: analysis and implementation", IEEE TPAMI
 * 24(7), 2002): let z* be the candidate nearest to the box's middle. |x - z|^2 - |x - z*|^2 is linear in x, so its least
 * value over the box is at one corner; where that is positive, z is farther than z* from every point in the box. Here
 * it has to be positive by more than a float64 search could err, so that labels are exactly those of such a search.
 * Leaves with several candidates left go through argmin_tile, like any other rows.
 */
#ifndef FASTCLUSTER_EXT_FILTERING_H
#define FASTCLUSTER_EXT_FILTERING_H

#include "common/kdtree.h"
#include "lloyd.h"

typedef struct {
    ptrdiff_t p, depth;
    matrix points;              /* sorted by leaf, dense */
    const double *weights;      /* likewise, or NULL */
    const uint32_t *order;      /* the caller's row of each sorted row */
    const ptrdiff_t *leaf_rows; /* 2**depth + 1: where each leaf begins */
    double *boxes;              /* 2**(depth + 1) nodes x (p least, p greatest) */
    double *sums;               /* 2**(depth + 1) nodes x sums_stride(p) */
} box_tree;

/* One thread's memory. */
typedef struct {
    centers_table table;  /* of the candidates of a leaf */
    double *centers;      /* those candidates, k x p */
    int32_t *candidates;  /* (depth + 1) x k: one list a level */
    void *scratch;        /* lloyd_scratch_bytes(p) */
} box_worker;

static inline size_t box_worker_bytes(ptrdiff_t k, ptrdiff_t p, ptrdiff_t depth) {
    return centers_table_bytes(k, p) + (size_t)(k * p) * sizeof(double) + lloyd_scratch_bytes(p) +
           (size_t)((depth + 1) * k) * sizeof(int32_t) + 2 * FC_ALIGN;
}

static inline void box_worker_place(box_worker *worker, ptrdiff_t k, ptrdiff_t p, char *memory) {
    worker->centers = (double *)memory;
    worker->scratch = memory + (size_t)(k * p) * sizeof(double);
    char *table = (char *)worker->scratch + (lloyd_scratch_bytes(p) + FC_ALIGN - 1) / FC_ALIGN * FC_ALIGN;
    centers_table_place(&worker->table, k, p, table);
    worker->candidates = (int32_t *)(table + (centers_table_bytes(k, p) + FC_ALIGN - 1) / FC_ALIGN * FC_ALIGN);
}

/* `p` is a constant here where it matters; the box and the sums then stay in registers. */
FC_INLINE void box_leaf_p(const matrix *points, const double *weights, ptrdiff_t start, ptrdiff_t stop, double *box,
                          double *sums, matrix_dtype dtype, ptrdiff_t p) {
    double low[KDTREE_MOST_COLUMNS], high[KDTREE_MOST_COLUMNS], sum[KDTREE_MOST_COLUMNS + 1] = {0};
    const ptrdiff_t item = (ptrdiff_t)1 << dtype;
    const char *at = points->data + start * p * item;
    for (ptrdiff_t i = 0; i < p; i++) {
        low[i] = INFINITY;
        high[i] = -INFINITY;
    }
    for (ptrdiff_t r = start; r < stop; r++, at += p * item) {
        const double weight = weights ? weights[r] : 1.0;
        for (ptrdiff_t i = 0; i < p; i++) {
            const double value = matrix_value(at + i * item, dtype);
            low[i] = value < low[i] ? value : low[i];
            high[i] = value > high[i] ? value : high[i];
            sum[i] += weight * value;
        }
        sum[p] += weight;
    }
    for (ptrdiff_t i = 0; i < p; i++) {
        box[i] = low[i];
        box[p + i] = high[i];
    }
    for (ptrdiff_t i = 0; i <= p; i++) sums[i] = sum[i];
}

FC_INLINE void box_leaf_typed(const matrix *points, const double *weights, ptrdiff_t start, ptrdiff_t stop, double *box,
                              double *sums, matrix_dtype dtype) {
    switch (points->n_columns) {
    case 1: box_leaf_p(points, weights, start, stop, box, sums, dtype, 1); break;
    case 2: box_leaf_p(points, weights, start, stop, box, sums, dtype, 2); break;
    case 3: box_leaf_p(points, weights, start, stop, box, sums, dtype, 3); break;
    default: box_leaf_p(points, weights, start, stop, box, sums, dtype, points->n_columns);
    }
}

/* Box and sums of the leaves [first, last). */
static inline void box_leaves(box_tree *tree, ptrdiff_t first, ptrdiff_t last) {
    const ptrdiff_t p = tree->p, stride = sums_stride(p), leaves = (ptrdiff_t)1 << tree->depth;
    for (ptrdiff_t leaf = first; leaf < last; leaf++) {
        double *box = tree->boxes + (leaves + leaf) * 2 * p, *sums = tree->sums + (leaves + leaf) * stride;
        for (ptrdiff_t i = p + 1; i < stride; i++) sums[i] = 0;
        MATRIX_DISPATCH(&tree->points, box_leaf_typed, tree->weights, tree->leaf_rows[leaf], tree->leaf_rows[leaf + 1],
                        box, sums)
    }
}

/* Boxes and sums of the inner nodes, from the leaves up. */
static inline void box_inner(box_tree *tree) {
    const ptrdiff_t p = tree->p, stride = sums_stride(p);
    for (ptrdiff_t node = ((ptrdiff_t)1 << tree->depth) - 1; node > 0; node--) {
        const double *left = tree->boxes + 4 * node * p, *right = left + 2 * p;
        double *box = tree->boxes + 2 * node * p;
        for (ptrdiff_t i = 0; i < p; i++) {
            box[i] = left[i] < right[i] ? left[i] : right[i];
            box[p + i] = left[p + i] > right[p + i] ? left[p + i] : right[p + i];
        }
        for (ptrdiff_t i = 0; i < stride; i++) {
            tree->sums[node * stride + i] = tree->sums[2 * node * stride + i] + tree->sums[(2 * node + 1) * stride + i];
        }
    }
}

/* Of `candidates`, in order, those that may be nearest to a point in the box; returns how many. */
FC_INLINE ptrdiff_t box_filter_p(const double *box, const double *centers, ptrdiff_t p, const int32_t *candidates,
                                 ptrdiff_t n_candidates, int32_t *kept) {
    const double *low = box, *high = box + p;
    double least = INFINITY, farthest = 0;
    ptrdiff_t nearest = 0, n_kept = 0;
    for (ptrdiff_t a = 0; a < n_candidates; a++) {
        const double *z = centers + (ptrdiff_t)candidates[a] * p;
        double squared = 0;
        for (ptrdiff_t i = 0; i < p; i++) {
            const double difference = low[i] + high[i] - 2.0 * z[i];
            squared += difference * difference;
        }
        if (squared < least) {
            least = squared;
            nearest = candidates[a];
        }
    }
    const double *best = centers + nearest * p;
    for (ptrdiff_t i = 0; i < p; i++) {
        const double below = fabs(low[i] - best[i]), above = fabs(high[i] - best[i]);
        farthest += below > above ? below * below : above * above;
    }
    /* A float64 search errs by (p + 2) 2^-53 of each squared distance; this is 64 times that. */
    const double margin = (double)(p + 2) * 0x1p-47 * farthest;
    for (ptrdiff_t a = 0; a < n_candidates; a++) {
        const double *z = centers + (ptrdiff_t)candidates[a] * p;
        double gain = 0;
        for (ptrdiff_t i = 0; i < p; i++) {
            const double toward = best[i] - z[i], x = toward > 0 ? low[i] : high[i];
            gain += toward * ((x - z[i]) + (x - best[i]));
        }
        kept[n_kept] = candidates[a];
        n_kept += !(gain > margin) || candidates[a] == nearest;
    }
    return n_kept;
}

static inline ptrdiff_t box_filter(const double *box, const double *centers, ptrdiff_t p, const int32_t *candidates,
                                   ptrdiff_t n_candidates, int32_t *kept) {
    switch (p) {
    case 1: return box_filter_p(box, centers, 1, candidates, n_candidates, kept);
    case 2: return box_filter_p(box, centers, 2, candidates, n_candidates, kept);
    case 3: return box_filter_p(box, centers, 3, candidates, n_candidates, kept);
    case 4: return box_filter_p(box, centers, 4, candidates, n_candidates, kept);
    default: return box_filter_p(box, centers, p, candidates, n_candidates, kept);
    }
}

/* Labels, as indices of centers, of sorted rows [start, start + count). */
static inline void box_label_tile(const box_tree *tree, box_worker *worker, const int32_t *candidates,
                                  ptrdiff_t n_candidates, ptrdiff_t start, ptrdiff_t count, int32_t *labels) {
    double *row = (double *)worker->scratch;
    if (n_candidates == 1) {
        for (ptrdiff_t r = 0; r < count; r++) labels[r] = candidates[0];
        return;
    }
    argmin_tile(&worker->table, &tree->points, start, count, (float *)(row + tree->p), row, labels);
    for (ptrdiff_t r = 0; r < count; r++) labels[r] = candidates[labels[r]];
}

/* The table of a leaf's candidates, in ascending order of their indices, so that ties still go to the lowest. */
static inline void box_table(const box_tree *tree, box_worker *worker, const double *centers,
                             const int32_t *candidates, ptrdiff_t n_candidates) {
    const ptrdiff_t p = tree->p;
    for (ptrdiff_t a = 0; a < n_candidates; a++) {
        memcpy(worker->centers + a * p, centers + (ptrdiff_t)candidates[a] * p, (size_t)p * sizeof(double));
    }
    centers_table_place(&worker->table, n_candidates, p, worker->table.exact);
    centers_table_fill(&worker->table, worker->centers);
}

/* Where a visit puts what it finds: sums (an iteration) or labels and costs (an evaluation). */
typedef struct {
    const double *centers; /* k x p */
    ptrdiff_t k;
    double *sums;          /* sums_copies(k) x k x sums_stride(p), or NULL */
    double *costs;         /* k x COST_STRIDE, with labels */
    int32_t *labels;       /* by the caller's rows, or NULL */
} box_visit;

static inline void box_leaf(const box_tree *tree, box_worker *worker, const box_visit *visit, ptrdiff_t leaf,
                            const int32_t *candidates, ptrdiff_t n_candidates) {
    const ptrdiff_t p = tree->p;
    double *row = (double *)worker->scratch;
    int32_t *labels = (int32_t *)((float *)(row + p) + p * ARGMIN_TILE);
    if (n_candidates > 1) box_table(tree, worker, visit->centers, candidates, n_candidates);
    for (ptrdiff_t at = tree->leaf_rows[leaf]; at < tree->leaf_rows[leaf + 1]; at += ARGMIN_TILE) {
        const ptrdiff_t left = tree->leaf_rows[leaf + 1] - at, count = left < ARGMIN_TILE ? left : ARGMIN_TILE;
        const double *weights = tree->weights ? tree->weights + at : NULL;
        box_label_tile(tree, worker, candidates, n_candidates, at, count, labels);
        if (visit->sums) {
            sums_add(&tree->points, at, count, weights, labels, visit->sums, visit->k);
            continue;
        }
        costs_add(&tree->points, at, count, weights, labels, visit->centers, visit->costs);
        for (ptrdiff_t r = 0; r < count; r++) visit->labels[tree->order[at + r]] = labels[r];
    }
}

/* All rows under `node`. Recursion: as deep as the tree. */
static void box_node(const box_tree *tree, box_worker *worker, const box_visit *visit, ptrdiff_t node, ptrdiff_t level,
                     const int32_t *candidates, ptrdiff_t n_candidates) {
    const ptrdiff_t p = tree->p, stride = sums_stride(p), leaves = (ptrdiff_t)1 << tree->depth;
    const double *box = tree->boxes + 2 * node * p;
    if (!(box[0] <= box[p])) return; /* no rows */
    int32_t *kept = worker->candidates + level * visit->k;
    ptrdiff_t n_kept = n_candidates;
    if (n_candidates > 1) n_kept = box_filter(box, visit->centers, p, candidates, n_candidates, kept);
    else kept[0] = candidates[0];
    if (n_kept == 1 && visit->sums) {
        double *restrict sums = visit->sums + (ptrdiff_t)kept[0] * stride;
        for (ptrdiff_t i = 0; i < stride; i++) sums[i] += tree->sums[node * stride + i];
    } else if (node >= leaves) {
        box_leaf(tree, worker, visit, node - leaves, kept, n_kept);
    } else {
        box_node(tree, worker, visit, 2 * node, level + 1, kept, n_kept);
        box_node(tree, worker, visit, 2 * node + 1, level + 1, kept, n_kept);
    }
}

#endif
