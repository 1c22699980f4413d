/* One thread's part of Boruvka's algorithm on a tree of boxes: the nearest point of another component.
 *
 * A point is known by its slot, its place in the leaves of the tree. What is known of its two nearest foreign points
 * never becomes wrong: components only grow, so the first of them that is still foreign is still the nearest, and the
 * distance to the second, if both are not any more, is a lower bound. Only points whose bound is not above their
 * component's shortest edge so far are searched, within that edge's length.
 *
 * Edges are ordered by length, then by the lower id of their ends, then by the higher one; so no two are equal, and the
 * spanning tree is the only one, whatever the tree of boxes looks like. Of equally near points a search finds the lowest
 * id: the first by that order. A point's `extra` is its id, a box's bound the lowest of its points.
 */
#ifndef FASTCLUSTER_EXT_BORUVKA_H
#define FASTCLUSTER_EXT_BORUVKA_H

#include <string.h>
#include "cluster_tree.h"

typedef struct {
    cluster_tree tree;
    int32_t *component; /* of each slot; -1 where empty */
    int32_t *nearest;   /* foreign slot, of each slot, or -1 if it is not known */
    int32_t *second;    /* the next one, or -1 */
    double *distances;  /* squared, to `nearest`, or a lower bound */
    double *beyond;     /* the same to `second` */
    int32_t *uniform;   /* of each node: the component of all its points, -1 if there are several, -2 if none */
    uint64_t *shortest;  /* of each component: the least squared distance to a foreign point, as bits */
} boruvka;

/* Squares are never negative, and so are ordered as their bits are. */
FC_INLINE uint64_t boruvka_bits(double value) {
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

FC_INLINE double boruvka_shortest(const boruvka *b, int32_t component) {
    const uint64_t bits = __atomic_load_n(&b->shortest[component], __ATOMIC_RELAXED);
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

FC_INLINE void boruvka_propose(boruvka *b, int32_t component, double distance) {
    const uint64_t bits = boruvka_bits(distance);
    uint64_t known = __atomic_load_n(&b->shortest[component], __ATOMIC_RELAXED);
    while (bits < known && !__atomic_compare_exchange_n(&b->shortest[component], &known, bits, 1, __ATOMIC_RELAXED,
                                                        __ATOMIC_RELAXED)) {
    }
}

/* -- nodes of one component -- */

static inline void boruvka_leaf_component(boruvka *b, ptrdiff_t leaf) {
    int32_t common = -2;
    for (ptrdiff_t l = 0; l < TREE_LEAF; l++) {
        const int32_t own = b->component[leaf * TREE_LEAF + l];
        if (own < 0) continue;
        common = common == -2 || common == own ? own : -1;
    }
    b->uniform[((ptrdiff_t)1 << b->tree.depth) + leaf] = common;
}

static inline void boruvka_node_components(boruvka *b) {
    for (ptrdiff_t node = ((ptrdiff_t)1 << b->tree.depth) - 1; node > 0; node--) {
        const int32_t left = b->uniform[2 * node], right = b->uniform[2 * node + 1];
        b->uniform[node] = left == right || right == -2 ? left : left == -2 ? right : -1;
    }
}

/* -- searching -- */

typedef struct {
    double distance, id; /* as a point's `extra` */
    int32_t slot;
} boruvka_found;

typedef struct {
    const boruvka *b;
    const double *at; /* every TREE_LEAF-th value */
    boruvka_found first, second; /* what is sought comes before the second */
    int32_t component;
} boruvka_query;

FC_INLINE int boruvka_before(double distance, double id, const boruvka_found *found) {
    return distance < found->distance || (distance == found->distance && id < found->id);
}

FC_INLINE void boruvka_scan(const boruvka *b, ptrdiff_t leaf, boruvka_query *query, ptrdiff_t p) {
    const double *block = b->tree.blocks + leaf * (p + 1) * TREE_LEAF;
    const int32_t *components = b->component + leaf * TREE_LEAF;
    double squares[TREE_LEAF];
    uint32_t near = 0;
    for (ptrdiff_t l = 0; l < TREE_LEAF; l += VD_LANES) {
        vd squared = vd_set1(0);
        for (ptrdiff_t c = 0; c < p; c++) {
            const vd difference = vd_sub(vd_load(block + c * TREE_LEAF + l), vd_set1(query->at[c * TREE_LEAF]));
            squared = vd_add(squared, vd_mul(difference, difference));
        }
        vd_store(squares + l, squared);
        near |= vd_at_most(squared, vd_set1(query->second.distance)) << l;
    }
    for (; near; near &= near - 1) {
        const int l = __builtin_ctz(near);
        if (components[l] == query->component || components[l] < 0) continue;
        const boruvka_found found = {squares[l], block[p * TREE_LEAF + l], (int32_t)(leaf * TREE_LEAF + l)};
        if (boruvka_before(found.distance, found.id, &query->first)) {
            query->second = query->first;
            query->first = found;
        } else if (boruvka_before(found.distance, found.id, &query->second)) {
            query->second = found;
        }
    }
}

FC_INLINE int boruvka_worth(const void *search, ptrdiff_t node, double gap, tree_rule rule, ptrdiff_t p) {
    (void)rule;
    const boruvka_query *query = search;
    const double lowest = query->b->tree.boxes[node * tree_box_size(p) + 2 * p];
    return boruvka_before(gap, lowest, &query->second) && query->b->uniform[node] != query->component;
}

FC_INLINE void boruvka_visit(void *search, ptrdiff_t leaf, tree_rule rule, ptrdiff_t p) {
    (void)rule;
    boruvka_query *query = search;
    boruvka_scan(query->b, leaf, query, p);
}

FC_INLINE void boruvka_search_p(boruvka *b, ptrdiff_t slot, ptrdiff_t p) {
    const ptrdiff_t leaves = (ptrdiff_t)1 << b->tree.depth, leaf = slot / TREE_LEAF;
    const double limit = boruvka_shortest(b, b->component[slot]);
    boruvka_query query;
    query.b = b;
    query.at = b->tree.blocks + leaf * (p + 1) * TREE_LEAF + slot % TREE_LEAF;
    query.component = b->component[slot];
    query.first = query.second = (boruvka_found){limit, INFINITY, -1};
    if (b->uniform[leaves + leaf] != query.component) boruvka_scan(b, leaf, &query, p);
    tree_climb(&b->tree, leaf, query.at, &query, boruvka_worth, boruvka_visit, TREE_POINTS, p);
    b->nearest[slot] = query.first.slot;
    b->second[slot] = query.second.slot;
    b->distances[slot] = query.first.slot >= 0 ? query.first.distance : nextafter(limit, INFINITY);
    b->beyond[slot] = query.second.slot >= 0 ? query.second.distance : nextafter(limit, INFINITY);
    if (query.first.slot >= 0) boruvka_propose(b, query.component, query.first.distance);
}

FC_INLINE void boruvka_leaves_p(boruvka *b, ptrdiff_t first, ptrdiff_t last, ptrdiff_t p) {
    for (ptrdiff_t slot = first * TREE_LEAF; slot < last * TREE_LEAF; slot++) {
        const int32_t component = b->component[slot];
        if (component < 0 || b->nearest[slot] >= 0 || b->distances[slot] > boruvka_shortest(b, component)) continue;
        boruvka_search_p(b, slot, p);
    }
}

/* Searches for the points in leaves [first, last) that may have their component's shortest edge and do not know. */
static inline void boruvka_leaves(boruvka *b, ptrdiff_t first, ptrdiff_t last) {
    switch (b->tree.p) {
    case 1: boruvka_leaves_p(b, first, last, 1); break;
    case 2: boruvka_leaves_p(b, first, last, 2); break;
    case 3: boruvka_leaves_p(b, first, last, 3); break;
    case 4: boruvka_leaves_p(b, first, last, 4); break;
    case 5: boruvka_leaves_p(b, first, last, 5); break;
    default: boruvka_leaves_p(b, first, last, b->tree.p); break;
    }
}

/* Whether the edge from slot `one` to its nearest comes before that from `two`, which is as long. */
static inline int boruvka_edge_before(const boruvka *b, ptrdiff_t one, ptrdiff_t two) {
    const int32_t *ids = b->tree.ids, x = ids[one], y = ids[b->nearest[one]], u = ids[two], v = ids[b->nearest[two]];
    const int32_t low = x < y ? x : y, other_low = u < v ? u : v;
    return low != other_low ? low < other_low : (x ^ y ^ low) < (u ^ v ^ other_low);
}

/* What slots [first, last) know already: edges whose end has become one of their own component are forgotten. */
static inline void boruvka_recall(boruvka *b, ptrdiff_t first, ptrdiff_t last) {
    for (ptrdiff_t slot = first; slot < last; slot++) {
        const int32_t own = b->component[slot], second = b->second[slot];
        if (b->nearest[slot] < 0) continue;
        if (b->component[b->nearest[slot]] == own) {
            b->nearest[slot] = second >= 0 && b->component[second] != own ? second : -1;
            b->distances[slot] = b->beyond[slot];
            b->second[slot] = -1;
        }
        if (b->nearest[slot] >= 0) boruvka_propose(b, own, b->distances[slot]);
    }
}

#endif
