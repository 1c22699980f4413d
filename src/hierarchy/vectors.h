/* Clusters of points that merge: centers, weights, and who is nearest to whom.
 *
 * With f the first cluster's share of the two (of their weights, or one half), centers and variances of the merged one
 * are
 *
 *     c = f c1 + (1 - f) c2        v = f v1 + (1 - f) v2 + f (1 - f) |c1 - c2|^2
 *
 * Average linkage of squared Euclidean distances is |c1 - c2|^2 + v1 + v2 with shares by weight, weighted linkage the
 * same with halves; centroid and median linkage are |c1 - c2|^2 likewise; Ward's is 2 w1 w2 / (w1 + w2) |c1 - c2|^2.
 *
 * The others are measured on all points of two clusters (members.h), but are bounded from below by such numbers. The
 * average distance of two clusters is at least the distance of their centers, as a norm is convex. The greatest is at
 * least the average, with any weights of the points; its square is so at least |c1 - c2|^2 + v1 + v2 with any shares,
 * and those are best that make the variance greatest: f = 1/2 + (v1 - v2) / (2 |c1 - c2|^2). (With the greatest of
 * all variances, c is the center of the smallest ball around the points, and v its squared radius.)
 */
#ifndef FASTCLUSTER_EXT_VECTORS_H
#define FASTCLUSTER_EXT_VECTORS_H

#include "members.h"

/* The numbers of fastcluster_ext/_vectors.py. */
typedef enum {
    VECTOR_WARD,
    VECTOR_AVERAGE_SQUARES,
    VECTOR_WEIGHTED_SQUARES,
    VECTOR_CENTROID,
    VECTOR_MEDIAN,
    VECTOR_COMPLETE,
    VECTOR_AVERAGE,
    VECTOR_WEIGHTED,
} vector_method;

typedef struct {
    vector_method method;
    cluster_tree tree;
    members members; /* from VECTOR_COMPLETE on */
    double *weights;
    /* Of each cluster, by id: its nearest when it was searched for, and how far; the lists of whom it is nearest to. */
    int32_t *nearest;
    double *distances;
    int32_t *first_admirer, *next_admirer;
    /* How often the cluster of this id has been replaced; of `nearest`, at the time of the search. */
    uint32_t *versions, *seen;
} merging;

enum { NOBODY = -1 };

/* The nearest of each of `queries`, into `nearest` and `distances`; a nearest that is known bounds the search. */
static inline void merging_search(merging *m, const int32_t *queries, ptrdiff_t count) {
    for (ptrdiff_t i = 0; i < count; i++) {
        const int32_t id = queries[i], guess = m->nearest[id];
        tree_nearest known = {INFINITY, INT32_MAX};
        if (guess != NOBODY) {
            known.id = guess;
            known.distance = tree_between(&m->tree, id, guess);
        }
        const tree_nearest found = tree_search(&m->tree, id, known);
        m->nearest[id] = found.id;
        m->distances[id] = found.distance;
    }
}

/* Enters those that have been searched for into the lists of their nearest. */
static inline void merging_admire(merging *m, const int32_t *queries, ptrdiff_t count) {
    for (ptrdiff_t i = 0; i < count; i++) {
        const int32_t id = queries[i], admired = m->nearest[id];
        m->next_admirer[id] = m->first_admirer[admired];
        m->first_admirer[admired] = id;
    }
}

static double merging_measure(const void *context, int32_t a, int32_t b, double enough) {
    return members_between((const members *)context, a, b, enough);
}

static inline tree_rule merging_rule(vector_method method) {
    return method == VECTOR_WARD ? TREE_WARD : method < VECTOR_COMPLETE ? TREE_SUM : TREE_MEASURED;
}

/* Whether clusters count alike, whatever they weigh. */
static inline int merging_halves(vector_method method) {
    return method == VECTOR_WEIGHTED_SQUARES || method == VECTOR_MEDIAN || method == VECTOR_WEIGHTED;
}

/* The share of the first of two clusters, of weights w1, w2, variances v1, v2, and centers at this squared distance. */
static inline double merging_share(vector_method method, double w1, double w2, double v1, double v2, double squared) {
    if (merging_halves(method)) return 0.5;
    if (method != VECTOR_COMPLETE) return w1 / (w1 + w2);
    if (!(fabs(v1 - v2) < squared)) return v1 >= v2 ? 1 : 0;
    return 0.5 + (v1 - v2) / (2 * squared);
}

/* What a + b is more than `sum`, their rounded sum, exactly: D. E. Knuth, "The Art of Computer Programming", 4.2.2. */
FC_INLINE double merging_rest(double a, double b, double sum) {
    const double of_b = sum - a;
    return a - (sum - of_b) + (b - of_b);
}

/* Clusters a and b become one, of the greater id; it takes the place of the heavier. */
static inline int32_t merging_unite(merging *m, int32_t a, int32_t b) {
    cluster_tree *tree = &m->tree;
    const ptrdiff_t p = tree->p;
    const int32_t merged = a > b ? a : b, other = a > b ? b : a;
    const int32_t heavy = m->weights[merged] >= m->weights[other] ? merged : other;
    const int32_t light = heavy == merged ? other : merged;
    const int32_t place = tree->place[heavy], freed = tree->place[light];
    double *x = tree_point(tree, heavy), *y = tree_point(tree, light);
    double *low_x = tree->lows ? tree_low(tree, heavy) : NULL, *low_y = tree->lows ? tree_low(tree, light) : NULL;
    double *extra = x + p * TREE_LEAF, *freed_extra = y + p * TREE_LEAF;
    const double squared = tree_squared(x, y, low_x, low_y, p);
    const double share = merging_share(m->method, m->weights[heavy], m->weights[light], *extra, *freed_extra, squared);
    const double rest = 1 - share;
    for (ptrdiff_t c = 0; c < p * TREE_LEAF; c += TREE_LEAF) {
        if (tree->lows) {
            /* The center is x + low exactly, |low| being below the last digit of x. */
            const double before = x[c], low = low_x[c] + rest * (y[c] - before + (low_y[c] - low_x[c]));
            x[c] = before + low;
            low_x[c] = merging_rest(before, low, x[c]);
            low_y[c] = 0;
        } else {
            x[c] += rest * (y[c] - x[c]);
        }
        y[c] = INFINITY;
    }
    switch (m->method) {
    case VECTOR_WARD: *extra = 1 / (m->weights[a] + m->weights[b]); break;
    case VECTOR_AVERAGE_SQUARES:
    case VECTOR_WEIGHTED_SQUARES:
    case VECTOR_COMPLETE: *extra = share * *extra + rest * *freed_extra + share * rest * squared; break;
    default: break;
    }
    *freed_extra = tree_empty(tree->rule);
    tree->ids[place] = merged;
    tree->ids[freed] = -1;
    tree->place[merged] = place;
    tree->place[other] = -1;
    m->weights[merged] = m->weights[a] + m->weights[b];
    if (tree->rule == TREE_MEASURED) members_unite(&m->members, other, merged, merged, merging_halves(m->method));
    tree_refit(tree, place / TREE_LEAF);
    if (freed / TREE_LEAF != place / TREE_LEAF) tree_refit(tree, freed / TREE_LEAF);
    return merged;
}

/* After a and b have merged into `merged`: all to whom one of them was nearest go to `queries`, and it itself; returns
 * how many there are now. */
static inline ptrdiff_t merging_disappoint(merging *m, int32_t a, int32_t b, int32_t merged, int32_t *queries,
                                           ptrdiff_t count) {
    const int32_t both[2] = {a, b};
    for (int i = 0; i < 2; i++) {
        for (int32_t x = m->first_admirer[both[i]]; x != NOBODY; x = m->next_admirer[x]) {
            if (x == a || x == b) continue;
            m->nearest[x] = merged;
            queries[count++] = x;
        }
        m->first_admirer[both[i]] = NOBODY;
    }
    m->nearest[merged] = NOBODY;
    queries[count++] = merged;
    return count;
}

/* -- the closest pair first: a heap of what each cluster knew of its nearest -- */

/* A cluster and its nearest as they were when it was searched for. */
typedef struct {
    double distance;
    int32_t id, nearest;
} merging_pair;

/* Of equally near pairs the one of the lowest id, then of the lowest other id. */
FC_INLINE int merging_before(merging_pair a, merging_pair b) {
    if (a.distance != b.distance) return a.distance < b.distance;
    const int32_t low_a = a.id < a.nearest ? a.id : a.nearest, low_b = b.id < b.nearest ? b.id : b.nearest;
    if (low_a != low_b) return low_a < low_b;
    return (a.id ^ a.nearest ^ low_a) < (b.id ^ b.nearest ^ low_b);
}

/* Lets the entry at `at` sink to where none below it comes before it. */
static inline void merging_sink(merging_pair *heap, ptrdiff_t size, ptrdiff_t at) {
    const merging_pair entry = heap[at];
    for (ptrdiff_t child = 2 * at + 1; child < size; child = 2 * at + 1) {
        child += child + 1 < size && merging_before(heap[child + 1], heap[child]);
        if (!merging_before(heap[child], entry)) break;
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = entry;
}

/* Searches for the nearest of `id` and puts it at the top of the heap in place of what is there. */
static inline void merging_search_top(merging *m, int32_t id, merging_pair *heap, ptrdiff_t size) {
    const int32_t guess = m->nearest[id];
    if (guess != NOBODY && m->tree.place[guess] < 0) m->nearest[id] = NOBODY;
    merging_search(m, &id, 1);
    m->seen[id] = m->versions[m->nearest[id]];
    heap[0] = (merging_pair){m->distances[id], id, m->nearest[id]};
    merging_sink(heap, size, 0);
}

/* Entries of clusters that have merged, or have been entered again, are left in the heap until they come up. */
static inline int merging_outdated(const merging *m, merging_pair entry) {
    return m->tree.place[entry.id] < 0 || m->distances[entry.id] != entry.distance ||
           m->nearest[entry.id] != entry.nearest;
}

#endif
