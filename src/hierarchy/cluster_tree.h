/* Clusters as points with a number each, under a complete binary tree of bounding boxes: built for nearest-neighbor
 * searches while clusters merge.
 *
 * A cluster is a point (its center) and a number, `extra`, from which dissimilarities follow (`tree_rule`). Leaves hold
 * up to TREE_LEAF clusters by column, so that a leaf is searched by a few vector instructions. The children of node i
 * are 2 i and 2 i + 1, the root is 1, leaf l is node 2**depth + l. A merged cluster takes a place of one of its two;
 * boxes are fitted again from there up. Whoever owns the tree builds it anew when half of the places are empty.
 *
 * Centers that merge are rounded, which would show where clusters are much nearer to each other than to 0. So a center
 * is a sum of two numbers, the second of which is below the first one's last digit (`lows`; T. J. Dekker, "A
 * floating-point technique for extending the available precision", Numerische Mathematik 18, 1971).
 *
 * Rounding: a box's gaps, and all that follows from them, are computed by the operations, in the order, in which those
 * of a point are; since each operation is monotone, a bound computed here never exceeds a dissimilarity computed here.
 * With `lows` boxes are a few last digits wider than the first parts of their centers, and limits as much greater.
 *
 * Cost: O(n log n) a build, O(log n) a merge, a search O(log n) or so in few dimensions, O(n) in many.
 */
#ifndef FASTCLUSTER_EXT_CLUSTER_TREE_H
#define FASTCLUSTER_EXT_CLUSTER_TREE_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include "common/simd_double.h"

#define TREE_LEAF 16
#define TREE_MOST_DEPTH 40

/* How squared distance s and the numbers a, b of two clusters make their dissimilarity. */
typedef enum {
    TREE_SUM,  /* s + (a + b): average and weighted of squared distances, with variances; centroid and median, with 0 */
    TREE_WARD, /* 2 s / (a + b), the numbers being reciprocal weights */
    TREE_MEASURED, /* s + (a + b) is a lower bound, `measure` tells */
    TREE_POINTS, /* s; the numbers are theirs who searches (boruvka.h) */
} tree_rule;

typedef struct {
    tree_rule rule;
    ptrdiff_t p, depth;
    double *boxes;  /* 2**(depth + 1) nodes x tree_box_size(p): least, greatest, bound of `extra` */
    double *blocks; /* 2**depth leaves x (p + 1) columns x TREE_LEAF: coordinates and `extra`; INFINITY where empty */
    double *lows;   /* 2**depth leaves x p columns x TREE_LEAF: what is to be added to the coordinates; or NULL */
    int32_t *ids;   /* 2**depth leaves x TREE_LEAF; -1 where empty */
    int32_t *place; /* of each cluster, by id */
    /* TREE_MEASURED: the dissimilarity of clusters a and b, or anything above `enough` if it is above that; and what
     * rounding may have added to a lower bound. */
    double (*measure)(const void *context, int32_t a, int32_t b, double enough);
    const void *context;
    double slack;
} cluster_tree;

typedef struct {
    double distance;
    int32_t id;
} tree_nearest;

static inline ptrdiff_t tree_box_size(ptrdiff_t p) { return (2 * p + 2) / 2 * 2; }

/* The least depth at which no leaf gets more than TREE_LEAF of n clusters. */
static inline ptrdiff_t tree_depth(ptrdiff_t n) {
    ptrdiff_t depth = 0;
    while ((n + ((ptrdiff_t)1 << depth) - 1) >> depth > TREE_LEAF) depth++;
    return depth;
}

/* The greatest reciprocal weight gives Ward's least dissimilarity, the least number gives that of a sum. */
FC_INLINE double tree_bound(tree_rule rule, double a, double b) {
    return rule == TREE_WARD ? (a > b ? a : b) : (a < b ? a : b);
}

/* `extra` of an empty place: bounds nothing, and with a center at INFINITY is near to nothing. */
FC_INLINE double tree_empty(tree_rule rule) { return rule == TREE_WARD ? 0 : INFINITY; }

FC_INLINE double tree_dissimilarity(tree_rule rule, double squared, double a, double b) {
    return rule == TREE_WARD ? 2 * squared / (a + b) : squared + (a + b);
}

static inline double *tree_point(const cluster_tree *tree, int32_t id) {
    const ptrdiff_t place = tree->place[id];
    return tree->blocks + place / TREE_LEAF * (tree->p + 1) * TREE_LEAF + place % TREE_LEAF;
}

static inline double *tree_low(const cluster_tree *tree, int32_t id) {
    const ptrdiff_t place = tree->place[id];
    return tree->lows + place / TREE_LEAF * tree->p * TREE_LEAF + place % TREE_LEAF;
}

/* Whether searches by this rule read `lows`. */
FC_INLINE int tree_has_lows(tree_rule rule) { return rule == TREE_SUM || rule == TREE_WARD; }

/* -- building -- */

/* While the tree is built, a cluster is a row: its center, `extra`, its id, and, of centers with lows, these. */
FC_INLINE ptrdiff_t tree_row_size(ptrdiff_t p, int with_lows) { return with_lows ? 2 * p + 2 : p + 2; }

FC_INLINE void tree_swap_rows(double *a, double *b, ptrdiff_t size) {
    for (ptrdiff_t c = 0; c < size; c++) {
        const double value = a[c];
        a[c] = b[c];
        b[c] = value;
    }
}

/* Moves the `middle`-th least row of [0, count) by column `side` into place, lesser ones before it (Hoare). */
FC_INLINE void tree_select(double *rows, ptrdiff_t count, ptrdiff_t middle, ptrdiff_t side, ptrdiff_t size) {
    ptrdiff_t low = 0, high = count - 1;
    while (low < high) {
        const double pivot = rows[(low + (high - low) / 2) * size + side];
        ptrdiff_t i = low, j = high;
        while (i <= j) {
            while (rows[i * size + side] < pivot) i++;
            while (rows[j * size + side] > pivot) j--;
            if (i <= j) tree_swap_rows(rows + i++ * size, rows + j-- * size, size);
        }
        if (middle <= j) high = j;
        else if (middle >= i) low = i;
        else break;
    }
}

/* The first row of the node-th of 2**level nodes. */
FC_INLINE ptrdiff_t tree_begin(ptrdiff_t n, ptrdiff_t level, ptrdiff_t node) {
    return (ptrdiff_t)((__int128)n * node >> level);
}

FC_INLINE void tree_split_p(double *rows, ptrdiff_t n, ptrdiff_t level, ptrdiff_t node, int with_lows, ptrdiff_t p) {
    const ptrdiff_t begin = tree_begin(n, level, node), count = tree_begin(n, level, node + 1) - begin;
    const ptrdiff_t middle = tree_begin(n, level + 1, 2 * node + 1) - begin, size = tree_row_size(p, with_lows);
    ptrdiff_t side = 0;
    double widest = -1;
    rows += begin * size;
    for (ptrdiff_t c = 0; c < p; c++) {
        double least = INFINITY, most = -INFINITY;
        for (ptrdiff_t r = 0; r < count; r++) {
            const double value = rows[r * size + c];
            least = value < least ? value : least;
            most = value > most ? value : most;
        }
        if (most - least > widest) {
            widest = most - least;
            side = c;
        }
    }
    if (middle < count) tree_select(rows, count, middle, side, size);
}

/* Parts the rows of the node-th of 2**level nodes among its two children, at the median along its widest side. */
static inline void tree_split(double *rows, ptrdiff_t p, ptrdiff_t n, ptrdiff_t level, ptrdiff_t node, int with_lows) {
    switch (with_lows ? 0 : p) {
    case 1: tree_split_p(rows, n, level, node, 0, 1); break;
    case 2: tree_split_p(rows, n, level, node, 0, 2); break;
    case 3: tree_split_p(rows, n, level, node, 0, 3); break;
    case 4: tree_split_p(rows, n, level, node, 0, 4); break;
    case 5: tree_split_p(rows, n, level, node, 0, 5); break;
    default: tree_split_p(rows, n, level, node, with_lows, p); break;
    }
}

/* What widens a box by more than the lows of its centers, and of one beside it, can be. */
FC_INLINE double tree_wider(double edge) { return fabs(edge) < INFINITY ? fabs(edge) * 0x1p-51 : 0; }

/* The box of a leaf; whether it has changed. */
FC_INLINE int tree_fit_leaf_p(cluster_tree *tree, ptrdiff_t leaf, tree_rule rule, ptrdiff_t p) {
    const double *block = tree->blocks + leaf * (p + 1) * TREE_LEAF;
    const int32_t *ids = tree->ids + leaf * TREE_LEAF;
    double *box = tree->boxes + (((ptrdiff_t)1 << tree->depth) + leaf) * tree_box_size(p);
    int changed = 0;
    for (ptrdiff_t c = 0; c <= p; c++) {
        double least = INFINITY, most = -INFINITY;
        for (ptrdiff_t l = 0; l < TREE_LEAF; l++) {
            const double value = block[c * TREE_LEAF + l];
            least = value < least ? value : least;
            most = value > most && ids[l] >= 0 ? value : most;
        }
        if (c == p) {
            const double bound = rule != TREE_WARD ? least : most > 0 ? most : 0;
            changed |= box[2 * p] != bound;
            box[2 * p] = bound;
        } else {
            if (tree_has_lows(rule)) {
                least -= tree_wider(least);
                most += tree_wider(most);
            }
            changed |= box[c] != least || box[p + c] != most;
            box[c] = least;
            box[p + c] = most;
        }
    }
    return changed;
}

/* The box of an inner node from those of its children; whether it has changed. */
FC_INLINE int tree_fit_node_p(cluster_tree *tree, ptrdiff_t node, tree_rule rule, ptrdiff_t p) {
    const ptrdiff_t size = tree_box_size(p);
    double *box = tree->boxes + node * size;
    const double *left = tree->boxes + 2 * node * size, *right = left + size;
    int changed = 0;
    for (ptrdiff_t c = 0; c < p; c++) {
        const double least = left[c] < right[c] ? left[c] : right[c];
        const double most = left[p + c] > right[p + c] ? left[p + c] : right[p + c];
        changed |= box[c] != least || box[p + c] != most;
        box[c] = least;
        box[p + c] = most;
    }
    const double bound = tree_bound(rule, left[2 * p], right[2 * p]);
    changed |= box[2 * p] != bound;
    box[2 * p] = bound;
    return changed;
}

/* The statement `call(..., rule, p)` with the rule and a small p known to the compiler. */
#define TREE_DISPATCH_P(tree, call, rule, ...)                                                                         \
    switch ((tree)->p) {                                                                                               \
    case 1: call(tree, __VA_ARGS__, rule, 1); break;                                                                   \
    case 2: call(tree, __VA_ARGS__, rule, 2); break;                                                                   \
    case 3: call(tree, __VA_ARGS__, rule, 3); break;                                                                   \
    case 4: call(tree, __VA_ARGS__, rule, 4); break;                                                                   \
    case 5: call(tree, __VA_ARGS__, rule, 5); break;                                                                   \
    default: call(tree, __VA_ARGS__, rule, (tree)->p); break;                                                          \
    }
#define TREE_DISPATCH(tree, call, ...)                                                                                 \
    if ((tree)->rule == TREE_WARD) {                                                                                   \
        TREE_DISPATCH_P(tree, call, TREE_WARD, __VA_ARGS__)                                                            \
    } else if ((tree)->rule == TREE_MEASURED) {                                                                        \
        TREE_DISPATCH_P(tree, call, TREE_MEASURED, __VA_ARGS__)                                                        \
    } else if ((tree)->rule == TREE_POINTS) {                                                                          \
        TREE_DISPATCH_P(tree, call, TREE_POINTS, __VA_ARGS__)                                                          \
    } else {                                                                                                           \
        TREE_DISPATCH_P(tree, call, TREE_SUM, __VA_ARGS__)                                                             \
    }

FC_INLINE void tree_fill_p(cluster_tree *tree, ptrdiff_t leaf, const double *rows, ptrdiff_t n, int with_lows,
                           tree_rule rule, ptrdiff_t p) {
    const ptrdiff_t begin = tree_begin(n, tree->depth, leaf), count = tree_begin(n, tree->depth, leaf + 1) - begin;
    double *block = tree->blocks + leaf * (p + 1) * TREE_LEAF;
    for (ptrdiff_t l = 0; l < TREE_LEAF; l++) {
        const double *row = rows + (begin + l) * tree_row_size(p, with_lows);
        for (ptrdiff_t c = 0; c < p; c++) block[c * TREE_LEAF + l] = l < count ? row[c] : INFINITY;
        for (ptrdiff_t c = 0; c < p && tree->lows; c++) {
            tree->lows[(leaf * p + c) * TREE_LEAF + l] = with_lows && l < count ? row[p + 2 + c] : 0;
        }
        block[p * TREE_LEAF + l] = l < count ? row[p] : tree_empty(rule);
        const int32_t id = l < count ? (int32_t)row[p + 1] : -1;
        tree->ids[leaf * TREE_LEAF + l] = id;
        if (id >= 0) tree->place[id] = (int32_t)(leaf * TREE_LEAF + l);
    }
    tree_fit_leaf_p(tree, leaf, rule, p);
}

/* A leaf's clusters, once all nodes are split; inner nodes come after all leaves (tree_fit_nodes). */
static inline void tree_fill(cluster_tree *tree, ptrdiff_t leaf, const double *rows, ptrdiff_t n, int with_lows) {
    TREE_DISPATCH(tree, tree_fill_p, leaf, rows, n, with_lows)
}

FC_INLINE void tree_fit_nodes_p(cluster_tree *tree, ptrdiff_t unused, tree_rule rule, ptrdiff_t p) {
    (void)unused;
    for (ptrdiff_t node = ((ptrdiff_t)1 << tree->depth) - 1; node > 0; node--) tree_fit_node_p(tree, node, rule, p);
}

/* All inner nodes, once all leaves are filled. */
static inline void tree_fit_nodes(cluster_tree *tree) { TREE_DISPATCH(tree, tree_fit_nodes_p, 0) }

FC_INLINE void tree_refit_p(cluster_tree *tree, ptrdiff_t leaf, tree_rule rule, ptrdiff_t p) {
    if (!tree_fit_leaf_p(tree, leaf, rule, p)) return;
    for (ptrdiff_t node = (((ptrdiff_t)1 << tree->depth) + leaf) / 2; node > 0; node /= 2) {
        if (!tree_fit_node_p(tree, node, rule, p)) return;
    }
}

/* The boxes of a leaf that has changed, and of the nodes above it. */
static inline void tree_refit(cluster_tree *tree, ptrdiff_t leaf) { TREE_DISPATCH(tree, tree_refit_p, leaf) }

/* The clusters left, in the order of the tree; returns how many. */
static inline ptrdiff_t tree_list(const cluster_tree *tree, int32_t *ids) {
    ptrdiff_t n = 0;
    for (ptrdiff_t place = 0; place < TREE_LEAF << tree->depth; place++) {
        if (tree->ids[place] >= 0) ids[n++] = tree->ids[place];
    }
    return n;
}

/* The same as rows, with lows if the tree has them. */
static inline ptrdiff_t tree_collect(const cluster_tree *tree, double *rows) {
    const ptrdiff_t p = tree->p, size = tree_row_size(p, tree->lows != NULL);
    ptrdiff_t n = 0;
    for (ptrdiff_t leaf = 0; leaf < (ptrdiff_t)1 << tree->depth; leaf++) {
        const double *block = tree->blocks + leaf * (p + 1) * TREE_LEAF;
        for (ptrdiff_t l = 0; l < TREE_LEAF; l++) {
            if (tree->ids[leaf * TREE_LEAF + l] < 0) continue;
            double *row = rows + n++ * size;
            for (ptrdiff_t c = 0; c <= p; c++) row[c] = block[c * TREE_LEAF + l];
            row[p + 1] = tree->ids[leaf * TREE_LEAF + l];
            for (ptrdiff_t c = 0; c < p && tree->lows; c++) row[p + 2 + c] = tree->lows[(leaf * p + c) * TREE_LEAF + l];
        }
    }
    return n;
}

/* -- searching -- */

/* One search: of the cluster `id` at `point` and `low` (every TREE_LEAF-th value) for its nearest. */
typedef struct {
    const cluster_tree *tree;
    const double *point, *low;
    double extra, limit; /* limit: what a squared distance is held against, see tree_limit */
    int32_t id;
    tree_nearest best;
} tree_query;

/* What is set against squared distances so that whatever passes may be as near as `best`; a few roundings to spare. */
FC_INLINE double tree_limit(const cluster_tree *tree, tree_rule rule, double best) {
    if (rule == TREE_MEASURED) return best * (1 + 0x1p-30) + tree->slack;
    return (rule == TREE_WARD ? 0.5 * best : best) * (1 + 0x1p-48);
}

/* Whether dissimilarities from squared distance s and number b on may be within the limit: for Ward's, s <= limit
 * (a + b), without a division. */
FC_INLINE int tree_within(tree_rule rule, const tree_query *query, double squared, double b) {
    if (rule == TREE_WARD) return squared <= query->limit * (query->extra + b);
    return squared + (query->extra + b) <= query->limit;
}

FC_INLINE double tree_gap(const double *box, const double *point, ptrdiff_t p) {
    double squared = 0;
    for (ptrdiff_t c = 0; c < p; c++) {
        const double x = point[c * TREE_LEAF], below = box[c] - x, above = x - box[p + c];
        double gap = below > above ? below : above;
        gap = gap > 0 ? gap : 0;
        squared += gap * gap;
    }
    return squared;
}

/* Of equally near ones the lowest id. */
FC_INLINE void tree_offer(const cluster_tree *tree, tree_rule rule, tree_query *query, double distance, int32_t id) {
    if (distance < query->best.distance || (distance == query->best.distance && id < query->best.id)) {
        query->best.distance = distance;
        query->best.id = id;
        query->limit = tree_limit(tree, rule, distance);
    }
}

FC_INLINE void tree_scan(const cluster_tree *tree, ptrdiff_t leaf, tree_query *query, tree_rule rule, ptrdiff_t p) {
    const double *block = tree->blocks + leaf * (p + 1) * TREE_LEAF, *extras = block + p * TREE_LEAF;
    const double *lows = tree_has_lows(rule) ? tree->lows + leaf * p * TREE_LEAF : NULL;
    double squares[TREE_LEAF];
    uint32_t near = 0;
    for (ptrdiff_t l = 0; l < TREE_LEAF; l += VD_LANES) {
        vd squared = vd_set1(0);
        for (ptrdiff_t c = 0; c < p; c++) {
            vd difference = vd_sub(vd_load(block + c * TREE_LEAF + l), vd_set1(query->point[c * TREE_LEAF]));
            if (tree_has_lows(rule)) {
                const vd low = vd_sub(vd_load(lows + c * TREE_LEAF + l), vd_set1(query->low[c * TREE_LEAF]));
                difference = vd_add(difference, low);
            }
            squared = vd_add(squared, vd_mul(difference, difference));
        }
        const vd both = vd_add(vd_set1(query->extra), vd_load(extras + l)), limit = vd_set1(query->limit);
        vd_store(squares + l, squared);
        near |= (rule == TREE_WARD ? vd_at_most(squared, vd_mul(limit, both)) : vd_at_most(vd_add(squared, both), limit))
                << l;
    }
    for (; near; near &= near - 1) {
        const int l = __builtin_ctz(near);
        const int32_t id = tree->ids[leaf * TREE_LEAF + l];
        if (id < 0 || id == query->id) continue;
        if (rule == TREE_MEASURED) {
            /* The limit may have fallen since the leaf was looked through. */
            if (!tree_within(rule, query, squares[l], extras[l])) continue;
            tree_offer(tree, rule, query, tree->measure(tree->context, query->id, id, query->best.distance), id);
        } else {
            tree_offer(tree, rule, query, tree_dissimilarity(rule, squares[l], query->extra, extras[l]), id);
        }
    }
}

/* What a walk through the boxes asks: whether anything in this one, so far off, may be nearer; and tells: a leaf. */
typedef int (*tree_worth)(const void *search, ptrdiff_t node, double gap, tree_rule rule, ptrdiff_t p);
typedef void (*tree_visit)(void *search, ptrdiff_t leaf, tree_rule rule, ptrdiff_t p);

/* Everything below `top` that is worth it: the nearer child first. */
FC_INLINE void tree_descend(const cluster_tree *tree, ptrdiff_t top, const double *point, void *search, tree_worth worth,
                            tree_visit visit, tree_rule rule, ptrdiff_t p) {
    const ptrdiff_t size = tree_box_size(p), leaves = (ptrdiff_t)1 << tree->depth;
    ptrdiff_t stack[TREE_MOST_DEPTH], node = top;
    double gaps[TREE_MOST_DEPTH], gap;
    int height = 0;
    for (;;) {
        while (node < leaves) {
            const double *left = tree->boxes + 2 * node * size, *right = left + size;
            const double to_left = tree_gap(left, point, p), to_right = tree_gap(right, point, p);
            const int near_right = to_right < to_left;
            const int go_left = worth(search, 2 * node, to_left, rule, p);
            const int go_right = worth(search, 2 * node + 1, to_right, rule, p);
            if (go_left && go_right) {
                stack[height] = 2 * node + !near_right;
                gaps[height++] = near_right ? to_left : to_right;
                node = 2 * node + near_right;
            } else if (go_left || go_right) {
                node = 2 * node + go_right;
            } else {
                break;
            }
        }
        if (node >= leaves) visit(search, node - leaves, rule, p);
        do {
            if (height == 0) return;
            node = stack[--height];
            gap = gaps[height];
        } while (!worth(search, node, gap, rule, p));
    }
}

/* From a leaf's siblings up to the root: what is nearest is most often near in the tree. */
FC_INLINE void tree_climb(const cluster_tree *tree, ptrdiff_t leaf, const double *point, void *search, tree_worth worth,
                          tree_visit visit, tree_rule rule, ptrdiff_t p) {
    for (ptrdiff_t node = ((ptrdiff_t)1 << tree->depth) + leaf; node > 1; node /= 2) {
        const ptrdiff_t other = node ^ 1;
        const double gap = tree_gap(tree->boxes + other * tree_box_size(p), point, p);
        if (worth(search, other, gap, rule, p)) tree_descend(tree, other, point, search, worth, visit, rule, p);
    }
}

FC_INLINE int tree_query_worth(const void *search, ptrdiff_t node, double gap, tree_rule rule, ptrdiff_t p) {
    const tree_query *query = search;
    return tree_within(rule, query, gap, query->tree->boxes[node * tree_box_size(p) + 2 * p]);
}

FC_INLINE void tree_query_visit(void *search, ptrdiff_t leaf, tree_rule rule, ptrdiff_t p) {
    tree_query *query = search;
    tree_scan(query->tree, leaf, query, rule, p);
}

FC_INLINE void tree_search_p(const cluster_tree *tree, tree_query *query, tree_rule rule, ptrdiff_t p) {
    const ptrdiff_t leaf = tree->place[query->id] / TREE_LEAF;
    query->limit = tree_limit(tree, rule, query->best.distance);
    tree_scan(tree, leaf, query, rule, p);
    tree_climb(tree, leaf, query->point, query, tree_query_worth, tree_query_visit, rule, p);
}

/* The nearest to cluster `id`, or `known` if nothing is nearer. */
static inline tree_nearest tree_search(const cluster_tree *tree, int32_t id, tree_nearest known) {
    tree_query query;
    query.tree = tree;
    query.point = tree_point(tree, id);
    query.low = tree->lows ? tree_low(tree, id) : NULL;
    query.extra = query.point[tree->p * TREE_LEAF];
    query.id = id;
    query.best = known;
    TREE_DISPATCH(tree, tree_search_p, &query)
    return query.best;
}

/* The squared distance of two centers, with lows if they are given. */
static inline double tree_squared(const double *x, const double *y, const double *low_x, const double *low_y,
                                  ptrdiff_t p) {
    double squared = 0;
    for (ptrdiff_t c = 0; c < p * TREE_LEAF; c += TREE_LEAF) {
        const double difference = x[c] - y[c] + (low_x ? low_x[c] - low_y[c] : 0);
        squared += difference * difference;
    }
    return squared;
}

static inline double tree_between(const cluster_tree *tree, int32_t a, int32_t b) {
    if (tree->rule == TREE_MEASURED) return tree->measure(tree->context, a, b, INFINITY);
    const double *x = tree_point(tree, a), *y = tree_point(tree, b);
    const double squared = tree_squared(x, y, tree_low(tree, a), tree_low(tree, b), tree->p);
    return tree_dissimilarity(tree->rule, squared, x[tree->p * TREE_LEAF], y[tree->p * TREE_LEAF]);
}

#endif
