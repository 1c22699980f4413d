/* Lloyd's assignment over a tree of boxes: centers that cannot be nearest to any point of a box are dropped for all
 * points in it, and a box left with one center is added to it as a whole, by its precomputed sums.
 *
 * The test (T. Kanungo et al., "An efficient k-means clustering algorithm: analysis and implementation", IEEE TPAMI
 * 24(7), 2002): let z* be the candidate nearest to the box's middle. |x - z|^2 - |x - z*|^2 is linear in x, so its least
 * value over the box is at one corner; where that is positive, z is farther than z* from every point in the box. Here
 * it has to be positive by more than a float64 search could err, so that labels are exactly those of such a search.
 * Rows of leaves with several candidates left go past these, as others go past all centers in argmin.h.
 */
#ifndef FASTCLUSTER_EXT_FILTERING_H
#define FASTCLUSTER_EXT_FILTERING_H

#include "box_tiles.h"
#include "lloyd.h"

#define BOX_FEW_CANDIDATES 4 /* up to which a leaf's rows are added up candidate by candidate */

typedef struct {
    ptrdiff_t p, depth;
    const char *tiles;          /* the rows, sorted by leaf (box_tiles.h), and BOX_PADDING items */
    matrix_dtype dtype;         /* float32 or float64 */
    const double *weights;      /* of the sorted rows, and BOX_PADDING more; or NULL */
    const uint32_t *order;      /* the caller's row of each sorted row */
    const ptrdiff_t *leaf_rows; /* 2**depth + 1: where each leaf begins */
    double *boxes;              /* 2**(depth + 1) nodes x (p least, p greatest) */
    double *sums;               /* 2**(depth + 1) nodes x sums_stride(p) */
} box_tree;

/* One thread's memory. */
typedef struct {
    box_search search;   /* exact columns of its table are those of the candidates */
    double *columns;     /* (depth + 1) x p x box_places(k): of the candidates, level by level */
    int32_t *numbers;    /* (depth + 1) x box_places(k), and VF_LOOKUP_MOST more */
    int32_t *labels;     /* BOX_TILE + BOX_PADDING */
    double pairs;        /* of rows and centers that were left in leaves */
} box_worker;

/* Of so many centers, in whole vectors. */
static inline ptrdiff_t box_places(ptrdiff_t k) { return (k + 7) / 8 * 8; }

static inline size_t box_worker_bytes(ptrdiff_t k, ptrdiff_t p, ptrdiff_t depth) {
    const ptrdiff_t places = (depth + 1) * box_places(k);
    return argmin_scratch_bytes(k, p) + (size_t)(places * p + 2 * p) * sizeof(double) +
           (size_t)((p + 1) * box_places(k)) * sizeof(float) +
           (size_t)(places + VF_LOOKUP_MOST + BOX_TILE + BOX_PADDING) * sizeof(int32_t);
}

/* memory: on a cache line; places: 0, 1, ..., k - 1. */
static inline void box_worker_place(box_worker *worker, ptrdiff_t k, ptrdiff_t p, ptrdiff_t depth, const int32_t *places,
                                    char *memory) {
    box_search *search = &worker->search;
    search->places = places;
    search->scratch = memory;
    search->credit = BOX_CREDIT;
    worker->columns = (double *)(memory + argmin_scratch_bytes(k, p));
    search->row = worker->columns + (depth + 1) * box_places(k) * p;
    search->table.p = p;
    search->table.exact_stride = box_places(k);
    search->table.shift = search->row + p;
    search->table.half_norm = (float *)(search->table.shift + p);
    search->table.filter = search->table.half_norm + box_places(k);
    worker->labels = (int32_t *)(search->table.filter + p * box_places(k));
    worker->numbers = worker->labels + BOX_TILE + BOX_PADDING;
    worker->pairs = 0;
}

/* Tiles, boxes and sums of the leaves [first, last), from their rows, which are dense. */
static inline void box_leaves(box_tree *tree, const matrix *rows, ptrdiff_t first, ptrdiff_t last) {
    const ptrdiff_t p = tree->p, stride = sums_stride(p), leaves = (ptrdiff_t)1 << tree->depth;
    for (ptrdiff_t leaf = first; leaf < last; leaf++) {
        double *box = tree->boxes + (leaves + leaf) * 2 * p, *sums = tree->sums + (leaves + leaf) * stride;
        for (ptrdiff_t i = 0; i < p; i++) {
            box[i] = INFINITY;
            box[p + i] = -INFINITY;
        }
        for (ptrdiff_t i = 0; i < stride; i++) sums[i] = 0;
        for (ptrdiff_t at = tree->leaf_rows[leaf]; at < tree->leaf_rows[leaf + 1]; at += BOX_TILE) {
            const ptrdiff_t left = tree->leaf_rows[leaf + 1] - at, count = left < BOX_TILE ? left : BOX_TILE;
            const matrix tile = box_tile(tree->tiles, tree->dtype, p, at, count);
            box_tile_fill(&tile, rows, at);
            box_tile_summary(&tile, tree->weights ? tree->weights + at : NULL, box, sums);
        }
    }
}

/* The rows of a leaf, dense, to their places among all sorted rows. */
static inline void box_rows(const box_tree *tree, ptrdiff_t leaf, char *out) {
    const ptrdiff_t p = tree->p, item = (ptrdiff_t)1 << tree->dtype;
    for (ptrdiff_t at = tree->leaf_rows[leaf]; at < tree->leaf_rows[leaf + 1]; at += BOX_TILE) {
        const ptrdiff_t left = tree->leaf_rows[leaf + 1] - at, count = left < BOX_TILE ? left : BOX_TILE;
        const matrix tile = box_tile(tree->tiles, tree->dtype, p, at, count);
        for (ptrdiff_t r = 0; r < count; r++) {
            for (ptrdiff_t i = 0; i < p; i++) {
                memcpy(out + ((at + r) * p + i) * item, tile.data + i * tile.column_stride + r * item, (size_t)item);
            }
        }
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

/* The largest squared distance of a point in the box from `point`. */
FC_INLINE double box_reach(const double *box, const double *point, ptrdiff_t p) {
    double reach = 0;
    for (ptrdiff_t i = 0; i < p; i++) {
        const double below = fabs(box[i] - point[i]), above = fabs(box[p + i] - point[i]);
        reach += below > above ? below * below : above * above;
    }
    return reach;
}

/* Centers that may be nearest to a point of a box, in ascending order of their numbers; their coordinates by column,
 * box_places(k) apart, so that vectors hold centers. In the last vector the lanes behind the last one are at infinity. */
typedef struct {
    ptrdiff_t count;
    int32_t *numbers; /* box_places(k) */
    double *columns;  /* p x box_places(k) */
} box_candidates;

/* All centers. */
static inline void box_candidates_fill(box_candidates *all, const double *centers, ptrdiff_t k, ptrdiff_t p) {
    const ptrdiff_t places = box_places(k);
    all->count = k;
    for (ptrdiff_t j = 0; j < places; j++) {
        all->numbers[j] = (int32_t)j;
        for (ptrdiff_t i = 0; i < p; i++) all->columns[i * places + j] = j < k ? centers[j * p + i] : INFINITY;
    }
}

/* Of `among` those that may be nearest to a point in the box, to `kept`. p is a constant. */
FC_INLINE void box_filter_p(const double *box, const box_candidates *among, ptrdiff_t places, box_candidates *kept, int p) {
    const double *low = box, *high = box + p, *columns = among->columns;
    vd least = vd_set1(INFINITY), where = vd_set1(0);
    for (ptrdiff_t a = 0; a < among->count; a += VD_LANES) {
        vd squared = vd_set1(0);
        for (int i = 0; i < p; i++) {
            const vd z = vd_load(columns + i * places + a);
            const vd difference = vd_sub(vd_set1(low[i] + high[i]), vd_add(z, z));
            squared = vd_add(squared, vd_mul(difference, difference));
        }
        where = vd_if_less(squared, least, vd_set1((double)a), where);
        least = vd_min(squared, least);
    }
    /* Of the lanes the least, and of equal ones the first candidate. */
    double values[VD_LANES], places_of[VD_LANES];
    vd_store(values, least);
    vd_store(places_of, where);
    ptrdiff_t nearest = (ptrdiff_t)places_of[0];
    for (int l = 1; l < VD_LANES; l++) {
        const ptrdiff_t place = (ptrdiff_t)places_of[l] + l;
        if (values[l] < values[0] || (values[l] == values[0] && place < nearest)) {
            values[0] = values[l];
            nearest = place;
        }
    }
    if (!(values[0] < INFINITY)) nearest = 0;
    double best[KDTREE_MOST_COLUMNS];
    for (int i = 0; i < p; i++) best[i] = columns[i * places + nearest];
    const double farthest = box_reach(box, best, p);
    /* A float64 search errs by (p + 2) 2^-53 of each squared distance; this is 64 times that. */
    const vd margin = vd_set1((double)(p + 2) * 0x1p-47 * farthest);
    ptrdiff_t n_kept = 0;
    for (ptrdiff_t a = 0; a < among->count; a += VD_LANES) {
        vd gain = vd_set1(0);
        for (int i = 0; i < p; i++) {
            const vd z = vd_load(columns + i * places + a), to = vd_set1(best[i]), toward = vd_sub(to, z);
            const vd x = vd_if_less(vd_set1(0), toward, vd_set1(low[i]), vd_set1(high[i]));
            gain = vd_add(gain, vd_mul(toward, vd_add(vd_sub(x, z), vd_sub(x, to))));
        }
        /* The nearest is always among them: what it gains over itself is 0. */
        const ptrdiff_t left = among->count - a;
        const uint32_t here = left < VD_LANES ? (1u << left) - 1 : (1u << VD_LANES) - 1;
        const uint32_t bits = here & ~vd_less(margin, gain);
        if (!bits) continue;
        for (int i = 0; i < p; i++) {
            vd_store_where(kept->columns + i * places + n_kept, vd_load(columns + i * places + a), bits);
        }
        for (uint32_t open = bits; open; open &= open - 1) {
            kept->numbers[n_kept++] = among->numbers[a + __builtin_ctz(open)];
        }
    }
    kept->count = n_kept;
    for (; n_kept % VD_LANES; n_kept++) {
        for (int i = 0; i < p; i++) kept->columns[i * places + n_kept] = INFINITY;
    }
}

static inline void box_filter(const double *box, const box_candidates *among, ptrdiff_t places, box_candidates *kept,
                              ptrdiff_t p) {
    ARGMIN_WITH_COLUMNS(p, box_filter_p, box, among, places, kept)
}

/* Four centers, less a shift, to a pack of float32, and half their squared lengths; returns the greatest of these lengths.
 * Of the last pack, `count` of them are centers. p is a constant. */
FC_INLINE double box_pack_p(const double *columns, ptrdiff_t places, const double *shift, ptrdiff_t count, float *pack,
                            float *half_norm, int p) {
    _Static_assert(ARGMIN_PACK == 4, "a pack is a vector");
    double norms[ARGMIN_PACK] = {0}, largest = 0;
    for (int i = 0; i < p; i++) {
        for (int q = 0; q < ARGMIN_PACK; q++) {
            const double value = q < count ? columns[i * places + q] - shift[i] : 0.0;
            pack[i * ARGMIN_PACK + q] = (float)-value;
            norms[q] += value * value;
        }
    }
    for (int q = 0; q < ARGMIN_PACK; q++) {
        half_norm[q] = q < count ? (float)(0.5 * norms[q]) : INFINITY;
        largest = norms[q] > largest ? norms[q] : largest;
    }
    return largest;
}

FC_INLINE void box_table_p(const double *box, const box_candidates *candidates, centers_table *table, int p) {
    double largest = 0;
    for (int i = 0; i < p; i++) {
        const double middle = 0.5 * (box[i] + box[p + i]);
        table->shift[i] = fabs(middle) < FLT_MAX ? (double)(float)middle : 0.0;
    }
    for (ptrdiff_t a = 0; a < table->k; a += ARGMIN_PACK) {
        const ptrdiff_t left = table->k - a;
        float *pack = table->filter + a * p, *half_norm = table->half_norm + a;
        const double *columns = candidates->columns + a;
        const double norm = left >= ARGMIN_PACK
                                ? box_pack_p(columns, table->exact_stride, table->shift, ARGMIN_PACK, pack, half_norm, p)
                                : box_pack_p(columns, table->exact_stride, table->shift, left, pack, half_norm, p);
        largest = norm > largest ? norm : largest;
    }
    table->max_norm = sqrt(largest);
}

/* The table of a leaf's candidates, relative to the middle of its box. These are in ascending order of their numbers, so
 * that ties still go to the lowest. */
static inline void box_table(const double *box, const box_candidates *candidates, centers_table *table) {
    table->k = candidates->count;
    table->k_padded = centers_padded(table->k);
    table->exact = candidates->columns;
    table->numbers = candidates->numbers;
    ARGMIN_WITH_COLUMNS(table->p, box_table_p, box, candidates, table)
}

/* Where a visit puts what it finds: sums (an iteration) or labels and costs (an evaluation). */
typedef struct {
    const double *centers; /* k x p */
    ptrdiff_t k;
    double *sums;          /* sums_copies(k, p) x k x sums_stride(p), or NULL */
    double *costs;         /* k x COST_STRIDE, with labels */
    int32_t *labels;       /* by the caller's rows, or NULL */
} box_visit;

static inline void box_leaf(const box_tree *tree, box_worker *worker, const box_visit *visit, ptrdiff_t node,
                            const box_candidates *candidates) {
    const ptrdiff_t p = tree->p, stride = sums_stride(p), leaf = node - ((ptrdiff_t)1 << tree->depth);
    const ptrdiff_t first = tree->leaf_rows[leaf], last = tree->leaf_rows[leaf + 1];
    const ptrdiff_t n_candidates = candidates->count;
    const double *box = tree->boxes + 2 * node * p;
    int32_t *const labels = worker->labels;
    double reach = 0;
    /* Without weights the rows of the last candidate are those left, and how many these are is exact. */
    const int few = visit->sums && n_candidates <= BOX_FEW_CANDIDATES;
    const ptrdiff_t added = tree->weights ? n_candidates : n_candidates - 1;
    double sums[BOX_FEW_CANDIDATES * (KDTREE_MOST_COLUMNS + 1)] = {0}, *sums_of[BOX_FEW_CANDIDATES];
    for (ptrdiff_t a = 0; few && a < added; a++) sums_of[a] = sums + a * (p + 1);
    worker->pairs += (double)n_candidates * (double)(last - first);
    if (n_candidates > 1) {
        box_table(box, candidates, &worker->search.table);
        reach = box_reach(box, worker->search.table.shift, p);
    }
    for (ptrdiff_t at = first; at < last; at += BOX_TILE) {
        const ptrdiff_t count = last - at < BOX_TILE ? last - at : BOX_TILE;
        const double *weights = tree->weights ? tree->weights + at : NULL;
        const matrix tile = box_tile(tree->tiles, tree->dtype, p, at, count);
        if (n_candidates > 1) box_labels(&worker->search, &tile, reach, labels);
        else for (ptrdiff_t r = 0; r < count; r++) labels[r] = candidates->numbers[0];
        if (few) {
            sums_of_labels(&tile, weights, labels, candidates->numbers, sums_of, added);
            continue;
        }
        if (visit->sums) {
            sums_add(&tile, 0, count, weights, labels, visit->sums, visit->k);
            continue;
        }
        costs_add(&tile, 0, count, weights, labels, visit->centers, visit->costs);
        for (ptrdiff_t r = 0; r < count; r++) visit->labels[tree->order[at + r]] = labels[r];
    }
    if (!few) return;
    if (added < n_candidates) {
        double *rest = sums + added * (p + 1);
        for (ptrdiff_t i = 0; i <= p; i++) {
            rest[i] = tree->sums[node * stride + i];
            for (ptrdiff_t a = 0; a < added; a++) rest[i] -= sums[a * (p + 1) + i];
        }
        if (rest[p] == 0) memset(rest, 0, (size_t)p * sizeof(double));
    }
    for (ptrdiff_t a = 0; a < n_candidates; a++) {
        double *total = visit->sums + (ptrdiff_t)candidates->numbers[a] * stride;
        for (ptrdiff_t i = 0; i <= p; i++) total[i] += sums[a * (p + 1) + i];
    }
}

/* All rows under `node`. Recursion: as deep as the tree. */
static void box_node(const box_tree *tree, box_worker *worker, const box_visit *visit, ptrdiff_t node, ptrdiff_t level,
                     const box_candidates *among) {
    const ptrdiff_t p = tree->p, stride = sums_stride(p), leaves = (ptrdiff_t)1 << tree->depth;
    const ptrdiff_t places = box_places(visit->k);
    const double *box = tree->boxes + 2 * node * p;
    if (!(box[0] <= box[p])) return; /* no rows */
    box_candidates kept = *among;
    if (among->count > 1) {
        kept.numbers = worker->numbers + level * places;
        kept.columns = worker->columns + level * places * p;
        box_filter(box, among, places, &kept, p);
    }
    if (kept.count == 1 && visit->sums) {
        double *restrict sums = visit->sums + (ptrdiff_t)kept.numbers[0] * stride;
        for (ptrdiff_t i = 0; i < stride; i++) sums[i] += tree->sums[node * stride + i];
    } else if (node >= leaves) {
        box_leaf(tree, worker, visit, node, &kept);
    } else {
        box_node(tree, worker, visit, 2 * node, level + 1, &kept);
        box_node(tree, worker, visit, 2 * node + 1, level + 1, &kept);
    }
}

#endif
