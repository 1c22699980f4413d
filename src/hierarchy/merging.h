/* The clusters that a triangle's become between two passes: which have merged, at what distance, where they are, and
 * how the next pass carries it all out. Which ones merge, and until when that can be told without another pass, is for
 * mutual.h (reducible methods) and closest.h (the others) to say.
 *
 * All in float64, whatever the triangle holds. One thread; nothing depends on time.
 */
#ifndef FASTCLUSTER_EXT_MERGING_H
#define FASTCLUSTER_EXT_MERGING_H

#include "triangle.h"

enum { NODE_NONE = -1 };

typedef struct {
    ptrdiff_t n;
    int32_t *node;    /* by position, the cluster: its position before any merge, or n + the number of its merge; or
                         NODE_NONE */
    /* By node. */
    int32_t *place;   /* 2 n: position; NODE_NONE once it has merged */
    double *sizes;    /* 2 n */
    int32_t *members; /* 2 n: how many of the triangle's clusters it is made of */
    int8_t *buffers;  /* 2 n: how many it takes to condense a row of it */
    /* By merge. */
    ptrdiff_t merges;
    int32_t *first, *second;         /* positions: of the earlier, which is given up, and the later, which is kept */
    int32_t *first_node, *second_node;
    double *heights;
} merging;

/* What is a bound up to rounding is one with this factor. */
FC_INLINE double below(double bound) { return bound > 0 ? bound * (1 - 0x1p-49) : bound * (1 + 0x1p-49); }

/* Begin with the clusters of a triangle. */
static inline void merging_begin(merging *g, const triangle *t) {
    g->n = t->n;
    g->merges = 0;
    for (int32_t x = 0; x < (int32_t)t->n; x++) {
        g->sizes[x] = triangle_real(t, t->sizes, x);
        g->node[x] = g->place[x] = g->sizes[x] > 0 ? x : NODE_NONE;
        g->members[x] = 1;
        g->buffers[x] = 0;
    }
}

/* The distance of two clusters, from those of the positions they are made of. */
static double distance_between(const merging *g, const triangle *t, lw_method method, int32_t x, int32_t y) {
    if (x < y) {
        const int32_t later = y;
        y = x;
        x = later;
    }
    if (x < g->n) return triangle_taken(t, y, x);
    const ptrdiff_t merge = x - g->n;
    const int32_t a = g->first_node[merge], b = g->second_node[merge];
    return lw_apply(method, distance_between(g, t, method, a, y), distance_between(g, t, method, b, y),
                    g->heights[merge], g->sizes[a], g->sizes[b], g->sizes[y]);
}

/* Ask for what distance_between would read: scattered, but of known places, that can be waited for all at once. */
static void prefetch_between(const merging *g, const triangle *t, int32_t x, int32_t y) {
    if (x < y) {
        const int32_t later = y;
        y = x;
        x = later;
    }
    if (x < g->n) {
        triangle_prefetch(t, y, x);
        return;
    }
    prefetch_between(g, t, g->first_node[x - g->n], y);
    prefetch_between(g, t, g->second_node[x - g->n], y);
}

/* Buffers for a cluster of two halves: the more demanding one comes first, the other beside its result. */
static inline int buffers_of_both(const merging *g, int32_t a, int32_t b) {
    const int needs_a = g->buffers[a], needs_b = g->buffers[b];
    return needs_a == needs_b ? needs_a + 1 : needs_a > needs_b ? needs_a : needs_b;
}

/* Whether the clusters at two positions can become one of so many members, at most, before the next pass. */
static inline int can_merge(const merging *g, int32_t x, int32_t y, int32_t most) {
    const int32_t a = g->node[x], b = g->node[y];
    return buffers_of_both(g, a, b) <= CONDENSE_BUFFERS && g->members[a] + g->members[b] <= most;
}

/* The clusters at a < b, at distance `height`, become one at b. Returns its node. */
static inline int32_t merge_clusters(merging *g, int32_t a, int32_t b, double height) {
    const int32_t node_a = g->node[a], node_b = g->node[b], merged = (int32_t)(g->n + g->merges);
    g->first[g->merges] = a;
    g->second[g->merges] = b;
    g->first_node[g->merges] = node_a;
    g->second_node[g->merges] = node_b;
    g->heights[g->merges] = height;
    g->merges++;
    g->place[node_a] = g->place[node_b] = g->node[a] = NODE_NONE;
    g->place[merged] = b;
    g->node[b] = merged;
    g->sizes[merged] = g->sizes[node_a] + g->sizes[node_b];
    g->members[merged] = g->members[node_a] + g->members[node_b];
    g->buffers[merged] = (int8_t)buffers_of_both(g, node_a, node_b);
    return merged;
}

/* The pairs of a cluster to the plan, halves first, its own last, with its result in `buffer`. */
static void plan_cluster(const merging *g, const triangle *t, lw_method method, condense_plan *plan, int32_t node,
                         int32_t final, int buffer) {
    const ptrdiff_t merge = node - g->n;
    const int32_t a = g->first_node[merge], b = g->second_node[merge];
    const int needs_a = g->buffers[a], needs_b = g->buffers[b], a_first = needs_a >= needs_b;
    const int buffer_a = !needs_a ? -1 : a_first || !needs_b ? buffer : buffer + 1;
    const int buffer_b = !needs_b ? -1 : !a_first || !needs_a ? buffer : buffer + 1;
    if (needs_a && a_first) plan_cluster(g, t, method, plan, a, final, buffer_a);
    if (needs_b) plan_cluster(g, t, method, plan, b, final, buffer_b);
    if (needs_a && !a_first) plan_cluster(g, t, method, plan, a, final, buffer_a);
    const ptrdiff_t q = plan->n_pairs++;
    plan->final[q] = final;
    plan->first[q] = g->first[merge];
    plan->second[q] = g->second[merge];
    plan->first_buffer[q] = (int8_t)buffer_a;
    plan->second_buffer[q] = (int8_t)buffer_b;
    plan->out_buffer[q] = (int8_t)buffer;
    const double height = g->heights[merge], size_a = g->sizes[a], size_b = g->sizes[b];
    if (t->is_double) {
        ((double *)plan->offs)[q] = lw_off_f64(method, height, size_a, size_b);
        ((double *)plan->parts)[q] = lw_part_f64(method, size_a, size_b);
    } else {
        ((float *)plan->offs)[q] = lw_off_f32(method, (float)height, (float)size_a, (float)size_b);
        ((float *)plan->parts)[q] = lw_part_f32(method, (float)size_a, (float)size_b);
    }
    triangle_set_real(t, plan->first_sizes, q, size_a);
}

/* What all pairs give up, in the order of positions. */
static inline void sort_given_up(const merging *g, condense_plan *plan) {
    int32_t *ends = plan->given_ends; /* by position, before it is by order */
    for (ptrdiff_t x = 0; x < g->n; x++) ends[x] = NODE_NONE;
    for (ptrdiff_t q = 0; q < plan->n_pairs; q++) ends[plan->first[q]] = plan->final[q];
    ptrdiff_t count = 0;
    for (ptrdiff_t x = 0; x < g->n; x++) {
        const int32_t end = ends[x];
        plan->given[count] = (int32_t)x;
        ends[count] = end;
        count += end != NODE_NONE;
    }
}

/* Plan to carry all merges out. */
static inline void plan_merges(const merging *g, const triangle *t, lw_method method, condense_plan *plan) {
    memset(plan->kept, 0, (size_t)g->n / 8 + 1);
    plan->n_new = plan->n_pairs = 0;
    for (ptrdiff_t x = 0; x < g->n; x++) {
        const int32_t node = g->node[x];
        if (node == NODE_NONE) continue;
        if (node >= g->n) plan_cluster(g, t, method, plan, node, (int32_t)x, 0);
        plan->kept[x / 8] |= (uint8_t)(1 << x % 8);
        plan->source[plan->n_new] = (int32_t)x;
        triangle_set_real(t, plan->sizes, plan->n_new++, g->sizes[node]);
    }
    sort_given_up(g, plan);
}

#endif
